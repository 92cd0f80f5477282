// Reads of replicas that hold different things: each of them was given some of the statements only, while it saw
// no other. What a level sees must be what a table shows whose replicas were given all of them.
//
// The table's twin is in the same ring: the same statements, with the same timestamps, on all replicas.

import Environment
import Model
import NativeProtocol
import Testing

@testable import Simulation

/// Nodes with one client each, three of them or as many as are asked for, and a keyspace with a replica on every node.
final class DivergentRing {
    let world: SimulatedWorld
    let clients: [SimulatedClient]
    private(set) var problems: [String] = []

    /// `factors`: of each datacenter, where there are several.
    init(
        seed: UInt64, factors: String? = nil, _ adjust: (inout WorldSettings) -> Void = { _ in }
    ) {
        var settings = WorldSettings(seed: seed, configuration: .simulation(seed: seed))
        settings.configuration.requests.hintedHandoffEnabled = false
        adjust(&settings)
        world = SimulatedRing.makeWorld(settings)
        clients = (0..<settings.nodeCount).map { [world] in
            SimulatedClient(world: world, name: "c\($0)", node: $0)
        }
        world.startAll()
        for client in clients { client.open() }
        _ = world.run(until: world.now + .seconds(20)) { [clients] in
            clients.allSatisfy(\.isReady)
        }
        world.run(until: world.now + .seconds(4))
        let replication =
            factors.map { "'NetworkTopologyStrategy', \($0)" }
            ?? "'SimpleStrategy', 'replication_factor': 3"
        prepare(["CREATE KEYSPACE k WITH replication = {'class': \(replication)}"])
    }

    /// What became of the statements, which go out together.
    func ask(
        _ statements: [(node: Int, text: String)], _ level: ConsistencyLevel,
        pageSize: Int? = nil, pagingState: [UInt8]? = nil
    ) -> [ResponseMessage?] {
        var results: [ResponseMessage??] = statements.map { _ in nil }
        for (index, statement) in statements.enumerated() {
            let options = QueryOptions(
                consistency: level, pageSize: pageSize, pagingState: pagingState)
            clients[statement.node].query(statement.text, options, timeout: .seconds(8)) {
                if case .answer(let message) = $0 {
                    results[index] = message
                } else {
                    results[index] = .some(nil)
                }
            }
        }
        _ = world.run(until: world.now + .seconds(10)) { results.allSatisfy { $0 != nil } }
        return results.map { $0 ?? nil }
    }

    /// Carries out statements of which none may fail, one after the other.
    func prepare(_ statements: [String], _ level: ConsistencyLevel = .all) {
        for text in statements { check(text, ask([(0, text)], level)[0]) }
    }

    private func check(_ text: String, _ answer: ResponseMessage?) {
        switch answer {
        case .error(let error)?: problems.append("\(text): \(error.error.message)")
        case nil: problems.append("\(text): no answer")
        default: break
        }
    }

    /// Statements that only their node carries out, all at once: no node sees another meanwhile.
    func apart(_ statements: [(node: Int, text: String)]) {
        world.install(clients.indices.map { Fault(at: world.now, .isolate(node: $0)) })
        world.run(until: world.now + .milliseconds(5))
        for (statement, answer) in zip(statements, ask(statements, .one)) {
            check("n\(statement.node): \(statement.text)", answer)
        }
        world.run(until: world.now + .seconds(1))
        world.install(clients.indices.map { Fault(at: world.now, .rejoin(node: $0)) })
        world.run(until: world.now + .seconds(5))
    }

    /// Waits until every node counts all replicas of a table as alive.
    func settle(_ table: String) {
        for node in clients.indices {
            for _ in 0..<60 {
                if case .rows? = ask([(node, "SELECT * FROM \(table) WHERE p = 99")], .all)[0] {
                    break
                }
                world.run(until: world.now + .milliseconds(500))
            }
        }
    }

    /// The rows of a query on all its pages, each as a text, or the error.
    func rows(
        _ text: String, _ level: ConsistencyLevel = .all, node: Int = 0, pageSize: Int? = nil
    ) -> [String] {
        var all: [String] = []
        var state: [UInt8]?
        repeat {
            let answer = ask([(node, text)], level, pageSize: pageSize, pagingState: state)[0]
            guard case .rows(let page)? = answer else {
                if case .error(let error)? = answer { return all + [error.error.message] }
                return all + ["\(String(describing: answer))"]
            }
            for row in 0..<page.rowCount {
                let values = (0..<page.columnCount).map {
                    Self.text(page.value(row: row, column: $0))
                }
                all.append(values.joined(separator: "|"))
            }
            state = page.pagingState
        } while state != nil && all.count < 10_000
        return all
    }

    /// How many repairs of replicas a node has sent while it carried out `action`, as its traces tell.
    func repairs(node: Int, during action: () -> Void) -> Int {
        func trace(_ probability: String) {
            world.command(["settraceprobability", probability], node: node) { _ in }
            world.run(until: world.now + .milliseconds(1))
        }
        prepare(["TRUNCATE system_traces.events"])
        trace("1")
        action()
        trace("0")
        world.run(until: world.now + .seconds(2))
        let text = "SELECT activity FROM system_traces.events"
        guard case .rows(let rows)? = ask([(node, text)], .all)[0], rows.rowCount > 0 else {
            problems.append("there are no traces")
            return -1
        }
        return (0..<rows.rowCount).count {
            let activity = String(decoding: rows.value(row: $0, column: 0) ?? [], as: UTF8.self)
            return activity.hasPrefix("Digest mismatch: repairing")
        }
    }

    /// Integers as such, and other values as bytes.
    private static func text(_ value: [UInt8]?) -> String {
        guard let value else { return "null" }
        guard value.count == 4 || value.count == 8 else { return "\(value)" }
        let number = value.reduce(value[0] >= 128 ? -1 : 0) { $0 << 8 | Int64($1) }
        return "\(number)"
    }
}

@Suite struct DivergentReplicasTests {
    private static let columns =
        "(p int, a int, b int, s int static, v int, w int, m set<int>, PRIMARY KEY (p, a, b))"

    /// Statements and queries as a seed draws them.
    private struct Draw {
        var stream: RandomStream
        /// Against the order of the table.
        let reversedOrder: String

        init(seed: UInt64, _ name: String) {
            stream = RandomStream(seed: seed, name: name)
            reversedOrder = seed % 5 == 0 ? "a ASC, b DESC" : "a DESC, b DESC"
        }

        mutating func below(_ bound: Int) -> Int { Int(stream.below(UInt64(bound))) }

        mutating func pick(_ choices: [String]) -> String { choices[below(choices.count)] }

        /// A modification of the table that `$t` stands for.
        mutating func statement(timestamp: Int) -> String {
            let using = "USING TIMESTAMP \(timestamp)"
            let partition = "p = \(below(4))"
            let row = "\(partition) AND a = \(below(4)) AND b = \(below(3))"
            switch below(20) {
            case 0..<9:
                let values = "\(below(4)), \(below(4)), \(below(3)), \(below(9))"
                return "INSERT INTO $t (p, a, b, v) VALUES (\(values)) \(using)"
            case 9: return "UPDATE $t \(using) SET v = \(below(9)), w = 1 WHERE \(row)"
            case 10: return "UPDATE $t \(using) SET m = m + {\(below(3))} WHERE \(row)"
            case 11: return "UPDATE $t \(using) SET m = {\(below(3))} WHERE \(row)"
            case 12: return "UPDATE $t \(using) SET s = \(below(9)) WHERE \(partition)"
            case 13: return "DELETE v, m FROM $t \(using) WHERE \(row)"
            case 14:
                if below(2) == 0 { return "DELETE s FROM $t \(using) WHERE \(partition)" }
                let values = "\(below(4)), \(below(4)), \(below(3)), \(below(9))"
                return "INSERT INTO $t (p, a, b, v) VALUES (\(values)) \(using) AND TTL 5000"
            case 15, 16: return "DELETE FROM $t \(using) WHERE \(row)"
            case 17: return "DELETE FROM $t \(using) WHERE \(partition) AND a = \(below(4))"
            case 18:
                let low = below(4)
                let high = "\(pick(["<", "<="])) \(low + 1 + below(2))"
                return "DELETE FROM $t \(using) WHERE \(partition) AND a > \(low) AND a \(high)"
            default:
                if below(3) > 0 {
                    return "DELETE FROM $t \(using) WHERE \(partition) AND a <= \(below(3))"
                }
                return "DELETE FROM $t \(using) WHERE \(partition)"
            }
        }

        private mutating func limits() -> String {
            (below(2) == 0 ? " PER PARTITION LIMIT \(1 + below(4))" : "")
                + (below(2) == 0 ? " LIMIT \(1 + below(7))" : "")
        }

        private mutating func slice() -> String {
            switch below(6) {
            case 0: return " AND a = \(below(4))"
            case 1: return " AND a > \(below(3))"
            case 2: return " AND a <= \(below(4))"
            case 3: return " AND a IN (\(below(2)), \(2 + below(2)))"
            case 4: return " AND (a, b) > (\(below(3)), \(below(3)))"
            default: return ""
            }
        }

        /// A query of the table that `$t` stands for.
        mutating func query() -> String {
            let partition = "p = \(below(4))"
            let order = pick(["", " ORDER BY \(reversedOrder)"])
            switch below(14) {
            case 12: return "SELECT * FROM $t WHERE s = \(below(9))\(limits()) ALLOW FILTERING"
            case 13: return "SELECT p, a, b FROM $t WHERE m CONTAINS \(below(3)) ALLOW FILTERING"
            case 0, 1, 2: return "SELECT * FROM $t WHERE \(partition)\(slice())\(order)\(limits())"
            case 3: return "SELECT * FROM $t WHERE p IN (0, 2, 3)\(limits())"
            case 4, 5, 6: return "SELECT * FROM $t\(limits())"
            case 7: return "SELECT DISTINCT p, s FROM $t" + pick(["", " LIMIT 2", " LIMIT 1"])
            case 8:
                let key = pick(["p", "p, a"])
                return "SELECT \(key), count(*), max(v) FROM $t GROUP BY \(key)\(limits())"
            case 9:
                return "SELECT * FROM $t WHERE token(p) > \(below(2) == 0 ? 0 : -3_000_000_000)"
                    + limits()
            case 10: return "SELECT * FROM $t WHERE v > \(below(8))\(limits()) ALLOW FILTERING"
            default:
                return "SELECT * FROM $t WHERE a >= \(below(3)) PER PARTITION LIMIT 1 "
                    + "ALLOW FILTERING"
            }
        }

        /// Some of three nodes, at least so many.
        mutating func nodes(atLeast least: Int) -> [Int] {
            while true {
                let chosen = (0..<3).filter { _ in below(2) == 0 }
                if chosen.count >= least { return chosen }
            }
        }
    }

    /// A ring with `k.d`, whose replicas differ, and `k.r`, whose replicas do not. Each statement is on so many at
    /// least, of three nodes and of as many more as are in another datacenter.
    private func ring(
        seed: UInt64, statements: Int, atLeast least: Int, _ options: String, far: Int = 0
    ) -> DivergentRing {
        let ring = DivergentRing(
            seed: seed, factors: far > 0 ? "'near': 3, 'far': \(far)" : nil
        ) {
            if far > 0 {
                $0.nodeCount = 3 + far
                $0.datacenters = (0..<3 + far).map { $0 < 3 ? "near" : "far" }
            }
            if seed % 3 == 0 { $0.configuration.requests.tombstonePageLimit = Int(2 + seed % 5) }
        }
        let options = options + (seed % 5 == 0 ? " AND CLUSTERING ORDER BY (a DESC, b ASC)" : "")
        ring.prepare([
            "CREATE TABLE k.d \(Self.columns) WITH \(options)",
            "CREATE TABLE k.r \(Self.columns) WITH \(options)",
        ])
        var draw = Draw(seed: seed, "statements")
        var given: [(node: Int, text: String)] = []
        var whole: [String] = []
        // Each is of two statements: what wins is the same on all replicas then, too.
        var timestamps = (1...statements).map { $0 / 2 }
        while !timestamps.isEmpty {
            let timestamp = timestamps.remove(at: draw.below(timestamps.count))
            let text = draw.statement(timestamp: timestamp)
            whole.append(text.replacing("$t", with: "k.r"))
            var nodes = draw.nodes(atLeast: least)
            if far > 0 { nodes += draw.nodes(atLeast: least).map { $0 + 3 } }
            for node in nodes { given.append((node, text.replacing("$t", with: "k.d"))) }
        }
        ring.apart(given)
        ring.settle("k.r")
        ring.prepare(whole)
        if draw.below(2) == 0 {
            for node in ring.clients.indices {
                ring.world.command(["flush"], node: node) { _ in }
            }
            ring.world.run(until: ring.world.now + .seconds(3))
        }
        return ring
    }

    private func compare(
        _ ring: DivergentRing, _ draw: inout Draw, queries: Int, _ level: ConsistencyLevel,
        seed: UInt64, of reference: ConsistencyLevel = .all,
        tables: (d: String, r: String) = ("k.d", "k.r")
    ) {
        for _ in 0..<queries {
            var query = draw.query()
            // Only one partition can be settled at a time.
            if level.isSerial, query.contains("IN (0, 2, 3)") { query = "SELECT * FROM $t" }
            let pageSize = draw.below(2) == 0 ? nil : 1 + draw.below(5)
            let node = draw.below(3)
            let expected = ring.rows(query.replacing("$t", with: tables.r), reference, node: node)
            let actual = ring.rows(
                query.replacing("$t", with: tables.d), level, node: node, pageSize: pageSize)
            #expect(
                actual == expected,
                "seed \(seed), \(level), page \(pageSize ?? 0), n\(node): \(query)")
        }
    }

    @Test(arguments: 1...12 as ClosedRange<UInt64>)
    func allSeesWhatEveryReplicaWasGiven(_ seed: UInt64) {
        let ring = ring(seed: seed, statements: 60, atLeast: 1, "read_repair = 'NONE'")
        var draw = Draw(seed: seed, "queries")
        compare(ring, &draw, queries: 60, .all, seed: seed)
        #expect(ring.problems.isEmpty && ring.world.failures.isEmpty, "\(ring.problems)")
    }

    @Test(arguments: 21...28 as ClosedRange<UInt64>)
    func quorumSeesWhatAQuorumWasGiven(_ seed: UInt64) {
        let ring = ring(
            seed: seed, statements: 60, atLeast: 2,
            "read_repair = 'NONE' AND speculative_retry = '\(seed % 2 == 0 ? "ALWAYS" : "99p")'")
        var draw = Draw(seed: seed, "queries")
        compare(ring, &draw, queries: 60, .quorum, seed: seed)
        compare(ring, &draw, queries: 20, .serial, seed: seed)
        #expect(ring.problems.isEmpty && ring.world.failures.isEmpty, "\(ring.problems)")
    }

    @Test(arguments: 41...48 as ClosedRange<UInt64>)
    func whatWasReadAtAllIsOnEveryReplica(_ seed: UInt64) {
        let ring = ring(seed: seed, statements: 60, atLeast: 1, "gc_grace_seconds = 864000")
        var draw = Draw(seed: seed, "queries")
        compare(ring, &draw, queries: 20, .all, seed: seed)
        let whole = ring.rows("SELECT * FROM k.r")
        #expect(ring.rows("SELECT * FROM k.d", pageSize: 3) == whole)
        // And it is the same to the last deletion, so that no later read repairs it again.
        let repairs = ring.repairs(node: 0) {
            for _ in 0..<10 {
                let pageSize = draw.below(2) == 0 ? nil : 1 + draw.below(5)
                _ = ring.rows(draw.query().replacing("$t", with: "k.d"), pageSize: pageSize)
            }
        }
        #expect(repairs == 0, "seed \(seed)")
        ring.world.install((0..<3).map { Fault(at: ring.world.now, .isolate(node: $0)) })
        ring.world.run(until: ring.world.now + .seconds(1))
        for node in 0..<3 {
            let own = ring.rows("SELECT * FROM k.d", .one, node: node)
            #expect(own == whole, "seed \(seed), n\(node)")
        }
        #expect(ring.problems.isEmpty && ring.world.failures.isEmpty, "\(ring.problems)")
    }

    @Test(arguments: 61...66 as ClosedRange<UInt64>)
    func levelsSeeWhatTheirDatacentersWereGiven(_ seed: UInt64) {
        let ring = ring(seed: seed, statements: 40, atLeast: 2, "read_repair = 'NONE'", far: 3)
        var draw = Draw(seed: seed, "queries")
        for level in [ConsistencyLevel.localQuorum, .eachQuorum, .quorum, .localSerial] {
            compare(ring, &draw, queries: 15, level, seed: seed)
        }
        #expect(ring.problems.isEmpty && ring.world.failures.isEmpty, "\(ring.problems)")
    }

    @Test(arguments: [81, 82, 83, 84] as [UInt64])
    func rangesOfDifferentReplicasAreReadAroundADeadNode(_ seed: UInt64) {
        let ring = DivergentRing(seed: seed) { $0.nodeCount = 5 }
        ring.prepare([
            "CREATE KEYSPACE two WITH replication = "
                + "{'class': 'SimpleStrategy', 'replication_factor': 2}",
            "CREATE KEYSPACE all WITH replication = "
                + "{'class': 'SimpleStrategy', 'replication_factor': 5}",
            "CREATE TABLE two.d \(Self.columns)", "CREATE TABLE all.r \(Self.columns)",
        ])
        var draw = Draw(seed: seed, "statements")
        for timestamp in 1...60 {
            let text = draw.statement(timestamp: timestamp)
            ring.prepare(["two.d", "all.r"].map { text.replacing("$t", with: $0) })
        }
        let tables = (d: "two.d", r: "all.r")
        compare(ring, &draw, queries: 30, .two, seed: seed, tables: tables)
        ring.world.kill(4)
        ring.world.run(until: ring.world.now + .seconds(20))
        for level in [ConsistencyLevel.one, .localOne] {
            compare(ring, &draw, queries: 20, level, seed: seed, of: .one, tables: tables)
        }
        #expect(ring.problems.isEmpty && ring.world.failures.isEmpty, "\(ring.problems)")
    }

    // MARK: By hand

    private static let simple = "(p int, a int, s int static, PRIMARY KEY (p, a))"

    /// A ring with a table, rows of partitions on all nodes, and what one node alone was given then.
    private func ring(
        tombstonePageLimit: Int = 10_000, rows: [(p: Int, a: Range<Int>)], s: [Int] = [],
        alone: [(node: Int, text: String)]
    ) -> DivergentRing {
        let ring = DivergentRing(seed: 3) {
            $0.configuration.requests.tombstonePageLimit = tombstonePageLimit
        }
        ring.prepare(["CREATE TABLE k.t \(Self.simple) WITH read_repair = 'NONE'"])
        for (p, a) in rows {
            ring.prepare(a.map { "INSERT INTO k.t (p, a) VALUES (\(p), \($0))" })
        }
        ring.prepare(s.map { "UPDATE k.t SET s = 7 WHERE p = \($0)" })
        if !alone.isEmpty { ring.apart(alone) }
        ring.settle("k.t")
        return ring
    }

    @Test func eachQuorumReadsAQuorumOfEveryDatacenter() {
        let ring = DivergentRing(seed: 6, factors: "'near': 3, 'far': 1") {
            $0.nodeCount = 4
            $0.datacenters = ["near", "near", "near", "far"]
        }
        ring.prepare(["CREATE TABLE k.t \(Self.simple) WITH read_repair = 'NONE'"])
        ring.apart([(3, "INSERT INTO k.t (p, a) VALUES (1, 1)")])
        ring.settle("k.t")
        for node in 0..<4 {
            for query in ["SELECT p FROM k.t WHERE p = 1", "SELECT p FROM k.t"] {
                #expect(ring.rows(query, .eachQuorum, node: node) == ["1"], "n\(node): \(query)")
                let near = ring.rows(query, .localQuorum, node: node)
                #expect(near == (node == 3 ? ["1"] : []), "n\(node): \(query)")
            }
        }
        ring.world.kill(3)
        ring.world.run(until: ring.world.now + .seconds(20))
        ring.prepare(["SELECT p FROM k.t", "INSERT INTO k.t (p, a) VALUES (2, 1)"], .localQuorum)
        for text in ["SELECT p FROM k.t", "INSERT INTO k.t (p, a) VALUES (2, 1)"] {
            guard case .error(let answer)? = ring.ask([(0, text)], .eachQuorum)[0],
                case .unavailable(_, .eachQuorum, required: 1, alive: 0) = answer.error
            else {
                Issue.record("\(text) was not refused")
                continue
            }
        }
        #expect(ring.problems.isEmpty, "\(ring.problems)")
    }

    // Partitions lie in the order 1, 0, 2, 3.

    @Test func rowsThatOneReplicaDeletedDoNotHideThoseBehindALimit() {
        let ring = ring(
            rows: [(1, 0..<4), (0, 0..<4)],
            alone: [
                (0, "DELETE FROM k.t WHERE p = 1 AND a = 0"),
                (1, "DELETE FROM k.t WHERE p = 1 AND a = 1"),
                (2, "DELETE FROM k.t WHERE p = 1 AND a = 2"),
                (2, "DELETE FROM k.t WHERE p = 0 AND a < 3"),
            ])
        let queries = [
            "": ["1|3", "0|3"], "WHERE p = 0 LIMIT 1": ["0|3"], "LIMIT 1": ["1|3"],
            "PER PARTITION LIMIT 1": ["1|3", "0|3"], "PER PARTITION LIMIT 2": ["1|3", "0|3"],
            "PER PARTITION LIMIT 1 LIMIT 1": ["1|3"],
            "WHERE p IN (0, 1) PER PARTITION LIMIT 1": ["0|3", "1|3"],
        ]
        for (query, expected) in queries.sorted(by: { $0.key < $1.key }) {
            for pageSize in [nil, 1, 2] {
                let rows = ring.rows("SELECT p, a FROM k.t \(query)", pageSize: pageSize)
                #expect(rows == expected, "\(query), page \(String(describing: pageSize))")
            }
        }
        #expect(ring.rows("SELECT DISTINCT p FROM k.t") == ["1", "0"])
        #expect(ring.problems.isEmpty, "\(ring.problems)")
    }

    @Test func countersAddUpWhatEachReplicaHasCounted() {
        let ring = DivergentRing(seed: 4)
        ring.prepare([
            "CREATE TABLE k.t (p int, a int, c counter, s counter static, PRIMARY KEY (p, a))"
        ])
        func count(_ by: Int, _ key: String, _ column: String = "c") -> String {
            "UPDATE k.t SET \(column) = \(column) + \(by) WHERE \(key)"
        }
        ring.prepare([count(1, "p = 1 AND a = 1"), count(1, "p = 1 AND a = 2")])
        ring.apart(
            (0..<3).flatMap { node in
                [
                    (node, count(10 << node, "p = 1 AND a = 1")),
                    (node, count(100 << node, "p = 1", "s")),
                    (node, count(3, "p = 2 AND a = \(node)")),
                ]
            } + [(1, "DELETE FROM k.t WHERE p = 1 AND a = 2")])
        ring.settle("k.t")
        for node in 0..<3 {
            let one = ring.rows("SELECT a, c, s FROM k.t WHERE p = 1", node: node)
            #expect(one == ["1|71|700"], "n\(node)")
            let two = ring.rows("SELECT a, c FROM k.t WHERE p = 2 LIMIT 2", node: node)
            #expect(two == ["0|3", "1|3"], "n\(node)")
        }
        #expect(ring.rows("SELECT sum(c) FROM k.t", pageSize: 1) == ["80"])
        for node in 0..<3 {
            #expect(ring.rows("SELECT sum(c) FROM k.t", .one, node: node) == ["80"], "n\(node)")
        }
        #expect(ring.problems.isEmpty, "\(ring.problems)")
    }

    @Test func deletionsThatMayBeForgottenAreNotSpreadAgain() {
        let ring = DivergentRing(seed: 5)
        let deletions = [
            (0, "DELETE FROM $t WHERE p = 1 AND a > 3"), (0, "DELETE FROM $t WHERE p = 2"),
            (1, "DELETE FROM $t WHERE p = 1 AND a = 2"), (1, "DELETE s FROM $t WHERE p = 3"),
        ]
        var given: [(node: Int, text: String)] = []
        for (table, grace) in [("k.t", 2), ("k.kept", 2000)] {
            ring.prepare([
                "CREATE TABLE \(table) \(Self.simple) WITH gc_grace_seconds = \(grace)",
                "INSERT INTO \(table) (p, a, s) VALUES (1, 1, 1)",
            ])
            given += deletions.map { ($0, $1.replacing("$t", with: table)) }
        }
        ring.apart(given)
        ring.settle("k.t")
        ring.world.run(until: ring.world.now + .seconds(5))
        for (table, isSpread) in [("k.t", false), ("k.kept", true)] {
            let repairs = ring.repairs(node: 2) {
                #expect(ring.rows("SELECT * FROM \(table)", node: 2) == ["1|1|1"])
                #expect(ring.rows("SELECT * FROM \(table) WHERE p = 1", node: 2) == ["1|1|1"])
            }
            #expect((repairs > 0) == isSpread, "\(table): \(repairs)")
        }
        #expect(ring.problems.isEmpty, "\(ring.problems)")
    }

    @Test func aReplicaThatAKeyspaceGetsLaterIsRepairedByReading() {
        let ring = DivergentRing(seed: 7)
        func factor(_ count: Int) -> String {
            "KEYSPACE one WITH replication = "
                + "{'class': 'SimpleStrategy', 'replication_factor': \(count)}"
        }
        ring.prepare(["CREATE \(factor(1))", "CREATE TABLE one.t \(Self.simple)"])
        ring.prepare((0..<10).map { "INSERT INTO one.t (p, a, s) VALUES (\($0), 1, 2)" })
        ring.prepare(["ALTER \(factor(3))"])
        ring.world.run(until: ring.world.now + .seconds(2))
        #expect(ring.rows("SELECT * FROM one.t WHERE p = 3", node: 1) == ["3|1|2"])
        #expect(ring.rows("SELECT count(*) FROM one.t", node: 2) == ["10"])
        for node in 0..<3 {
            #expect(ring.rows("SELECT count(*) FROM one.t", .one, node: node) == ["10"])
        }
        #expect(ring.problems.isEmpty, "\(ring.problems)")
    }

    @Test func aRowThatIsDeletedBehindALimitIsNotShown() {
        let ring = ring(
            rows: [(1, 0..<3)],
            alone: [
                (0, "DELETE FROM k.t WHERE p = 1 AND a = 2"),
                (1, "DELETE FROM k.t WHERE p = 1 AND a = 0"),
            ])
        #expect(ring.rows("SELECT p, a FROM k.t PER PARTITION LIMIT 2") == ["1|1"])
        #expect(ring.rows("SELECT p, a FROM k.t WHERE p = 1 LIMIT 2") == ["1|1"])
        #expect(ring.problems.isEmpty, "\(ring.problems)")
    }

    @Test func aPartitionWhoseFirstRowIsDeletedElsewhereIsPagedToItsEnd() {
        let ring = ring(
            rows: [(2, 0..<1), (3, 0..<3)], s: [2, 3],
            alone: [(1, "DELETE FROM k.t WHERE p = 3 AND a = 0")])
        let rows = ring.rows("SELECT p, a, s FROM k.t", pageSize: 1)
        #expect(rows == ["2|0|7", "3|1|7", "3|2|7"])
        #expect(ring.problems.isEmpty, "\(ring.problems)")
    }

    @Test(arguments: [ConsistencyLevel.one, .all])
    func aPartitionThatBeginsWithDeletionsIsPagedToItsEnd(_ level: ConsistencyLevel) {
        let ring = ring(
            tombstonePageLimit: 3, rows: [(2, 0..<1), (3, 0..<9)], s: [2, 3], alone: [])
        ring.prepare((0..<7).map { "DELETE FROM k.t WHERE p = 3 AND a = \($0)" })
        for pageSize in 1...4 {
            let rows = ring.rows("SELECT p, a, s FROM k.t", level, pageSize: pageSize)
            #expect(rows == ["2|0|7", "3|7|7", "3|8|7"], "pages of \(pageSize)")
        }
        #expect(ring.problems.isEmpty, "\(ring.problems)")
    }
}
