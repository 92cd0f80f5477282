// Hints: what a replica missed is handed to it, and what has become useless or harmful meanwhile is not.

import Environment
import Model
import NativeProtocol
import PeerProtocol
import Testing

@testable import Simulation

@Suite struct HintTests {
    /// A ring with hints, of which one is sent at a time.
    private func ring(
        seed: UInt64, tables: [String], _ adjust: (inout Configuration) -> Void = { _ in }
    ) -> DivergentRing {
        let ring = DivergentRing(seed: seed) { settings in
            settings.configuration.requests.hintedHandoffEnabled = true
            settings.configuration.requests.hintReplayBatch = 1
            adjust(&settings.configuration)
        }
        ring.prepare(tables.map { "CREATE TABLE k.\($0)" })
        return ring
    }

    private func run(_ ring: DivergentRing, seconds: Int64) {
        ring.world.run(until: ring.world.now + .seconds(seconds))
    }

    private func isolate(_ node: Int, of ring: DivergentRing) {
        ring.world.install([Fault(at: ring.world.now, .isolate(node: node))])
        ring.world.run(until: ring.world.now + .milliseconds(1))
    }

    private func rejoin(_ node: Int, of ring: DivergentRing) {
        ring.world.install([Fault(at: ring.world.now, .rejoin(node: node))])
        ring.world.run(until: ring.world.now + .milliseconds(1))
    }

    /// The values of `p` that a node has by itself.
    private func own(_ node: Int, _ table: String, of ring: DivergentRing) -> [String] {
        isolate(node, of: ring)
        defer {
            rejoin(node, of: ring)
            run(ring, seconds: 3)
        }
        return ring.rows("SELECT p FROM k.\(table)", .one, node: node).sorted()
    }

    private func command(_ words: [String], on nodes: ClosedRange<Int>, of ring: DivergentRing) {
        for node in nodes { ring.world.command(words, node: node) { _ in } }
        ring.world.run(until: ring.world.now + .milliseconds(10))
    }

    /// A statement at a node other than the first, and whether it was carried out.
    private func succeeds(
        _ text: String, _ level: ConsistencyLevel, node: Int = 0, of ring: DivergentRing
    ) -> Bool {
        switch ring.ask([(node, text)], level)[0] {
        case .error, nil: false
        default: true
        }
    }

    private func expectSound(_ ring: DivergentRing) {
        #expect(ring.problems.isEmpty && ring.world.failures.isEmpty, "\(ring.problems)")
    }

    @Test(arguments: [false, true])
    func whatWasWrittenBeforeATruncationIsNotHandedOver(_ restarts: Bool) {
        let ring = ring(
            seed: 1, tables: ["t (p int PRIMARY KEY)", "u (p int PRIMARY KEY)"])
        isolate(2, of: ring)
        ring.prepare(
            ["INSERT INTO k.t (p) VALUES (1)", "INSERT INTO k.u (p) VALUES (1)"], .quorum)
        run(ring, seconds: 2)
        command(["pausehandoff"], on: 0...1, of: ring)
        rejoin(2, of: ring)
        ring.settle("k.u")
        ring.prepare(["TRUNCATE k.t"])
        if restarts {
            for node in 0...1 { ring.world.kill(node) }
            for node in 0...1 { ring.world.start(node) }
        } else {
            command(["resumehandoff"], on: 0...1, of: ring)
        }
        run(ring, seconds: 10)
        #expect(own(2, "u", of: ring) == ["1"])
        #expect(own(2, "t", of: ring) == [])
        ring.settle("k.u")
        ring.prepare(["INSERT INTO k.t (p) VALUES (2)"])
        #expect(own(2, "t", of: ring) == ["2"])
        expectSound(ring)
    }

    @Test func whatWasDecidedBeforeATruncationIsNotCommittedAfterIt() {
        let ring = DivergentRing(seed: 12) {
            $0.shardCounts = [1, 1, 1]
            // Commits to other nodes are late.
            $0.network.delays = [1_000_000, 30_000_000_000].map { .constant(nanoseconds: $0) }
            $0.network.classify = {
                $0.count > 2 && $0[2] == PeerMessageKind.conditionalCommit.rawValue ? 1 : 0
            }
        }
        ring.prepare(["CREATE TABLE k.t (p int PRIMARY KEY, v int)"])
        func insert(_ value: Int) -> String {
            "INSERT INTO k.t (p, v) VALUES (1, \(value)) IF NOT EXISTS"
        }
        #expect(ring.rows(insert(1), .one) == ["[1]"])
        #expect(ring.rows("SELECT v FROM k.t", .one) == ["1"])
        #expect(ring.rows("SELECT v FROM k.t", .one, node: 1) == [])
        ring.prepare(["TRUNCATE k.t"])
        // A majority that knows of no commit finishes what was accepted, and finds the table empty.
        isolate(0, of: ring)
        #expect(ring.rows(insert(2), .one, node: 1) == ["[1]"])
        rejoin(0, of: ring)
        run(ring, seconds: 70)
        // Node 0 has missed the second, and there are no hints.
        for node in 0..<3 {
            let own = ring.rows("SELECT v FROM k.t", .one, node: node)
            #expect(own == (node == 0 ? [] : ["2"]), "n\(node)")
        }
        #expect(ring.rows("SELECT v FROM k.t") == ["2"])
        expectSound(ring)
    }

    @Test(arguments: [-3_000_000, 3_000_000] as [Int64])
    func whatIsWrittenAfterATruncationIsNotTakenForOlder(_ microseconds: Int64) {
        let ring = ring(seed: 13, tables: ["t (p int PRIMARY KEY)"])
        // The clock of who truncates and those of who writes differ.
        ring.world.install([
            Fault(at: ring.world.now, .jumpClock(node: 0, microseconds: microseconds))
        ])
        run(ring, seconds: 1)
        ring.prepare(["TRUNCATE k.t"])
        isolate(2, of: ring)
        let insert = "INSERT INTO k.t (p) VALUES"
        #expect(succeeds("\(insert) (1)", .quorum, node: 0, of: ring))
        #expect(succeeds("\(insert) (2)", .quorum, node: 1, of: ring))
        #expect(ring.rows("\(insert) (3) IF NOT EXISTS", .quorum, node: 1) == ["[1]"])
        rejoin(2, of: ring)
        run(ring, seconds: 10)
        #expect(own(2, "t", of: ring) == ["1", "2", "3"])
        expectSound(ring)
    }

    @Test func hintsOfATableThatIsGoneAreNotInTheWayOfOthers() {
        let ring = ring(
            seed: 2, tables: ["t (p int PRIMARY KEY)", "u (p int PRIMARY KEY)"])
        isolate(2, of: ring)
        ring.prepare(
            ["INSERT INTO k.t (p) VALUES (1)", "INSERT INTO k.u (p) VALUES (1)"], .quorum)
        run(ring, seconds: 2)
        ring.prepare(["DROP TABLE k.t"], .quorum)
        rejoin(2, of: ring)
        run(ring, seconds: 10)
        #expect(own(2, "u", of: ring) == ["1"])
        expectSound(ring)
    }

    @Test func aHintHasTheGraceOfItsTableToArrive() {
        let ring = ring(
            seed: 3,
            tables: [
                "short (p int PRIMARY KEY) WITH gc_grace_seconds = 4",
                "none (p int PRIMARY KEY) WITH gc_grace_seconds = 0",
                "lowered (p int PRIMARY KEY)",
                "raised (p int PRIMARY KEY) WITH gc_grace_seconds = 4",
                "usual (p int PRIMARY KEY)",
                "kept (p int PRIMARY KEY) WITH gc_grace_seconds = 4 "
                    + "AND tombstone_gc = {'mode': 'disabled'}",
            ])
        isolate(2, of: ring)
        let tables = ["short", "none", "lowered", "raised", "usual", "kept"]
        ring.prepare(tables.map { "INSERT INTO k.\($0) (p) VALUES (1)" }, .quorum)
        run(ring, seconds: 2)
        ring.prepare(
            [
                "ALTER TABLE k.lowered WITH gc_grace_seconds = 4",
                "ALTER TABLE k.raised WITH gc_grace_seconds = 100",
            ], .quorum)
        run(ring, seconds: 6)
        rejoin(2, of: ring)
        run(ring, seconds: 10)
        for table in tables {
            let isHanded = table == "usual" || table == "kept"
            #expect(own(2, table, of: ring) == (isHanded ? ["1"] : []), "\(table)")
        }
        expectSound(ring)
    }

    @Test func aReplicaThatIsAwayForLongerThanTheWindowGetsWhatItMissedUntilThen() {
        let ring = ring(seed: 4, tables: ["t (p int PRIMARY KEY)"]) {
            $0.requests.maximumHintWindow = .seconds(12)
        }
        isolate(2, of: ring)
        ring.prepare(["INSERT INTO k.t (p) VALUES (1)"], .quorum)
        run(ring, seconds: 8)
        ring.prepare(["INSERT INTO k.t (p) VALUES (2)"], .quorum)
        run(ring, seconds: 30)
        ring.prepare(["INSERT INTO k.t (p) VALUES (3)"], .quorum)
        // That it has no hint of its own does not make a coordinator think otherwise.
        #expect(succeeds("INSERT INTO k.t (p) VALUES (4)", .quorum, node: 1, of: ring))
        // Nor does a restart, after which it never heard the replica.
        ring.world.kill(0)
        ring.world.start(0)
        run(ring, seconds: 4)
        ring.prepare(["INSERT INTO k.t (p) VALUES (5)"], .quorum)
        rejoin(2, of: ring)
        run(ring, seconds: 10)
        #expect(own(2, "t", of: ring) == ["1", "2"])
        // Once all is delivered, the next absence has a window of its own.
        isolate(2, of: ring)
        ring.prepare(["INSERT INTO k.t (p) VALUES (6)"], .quorum)
        run(ring, seconds: 4)
        rejoin(2, of: ring)
        run(ring, seconds: 10)
        #expect(own(2, "t", of: ring) == ["1", "2", "6"])
        expectSound(ring)
    }

    @Test func anyIsNotAcknowledgedWithoutAReplicaAndWithoutAHint() {
        let ring = ring(seed: 5, tables: [])
        ring.prepare([
            "CREATE KEYSPACE one WITH replication = "
                + "{'class': 'SimpleStrategy', 'replication_factor': 1}",
            "CREATE TABLE one.t (p int PRIMARY KEY)",
            "CREATE TABLE one.u (p int PRIMARY KEY) WITH gc_grace_seconds = 0",
        ])
        ring.world.kill(2)
        run(ring, seconds: 20)
        func write(_ table: String) -> [Bool] {
            (0..<20).map { succeeds("INSERT INTO one.\(table) (p) VALUES (\($0))", .any, of: ring) }
        }
        #expect(write("t").allSatisfy { $0 })
        let useless = write("u")
        #expect(useless.contains(true) && useless.contains(false))
        command(["disablehandoff"], on: 0...0, of: ring)
        #expect(write("t") == useless)
        command(["enablehandoff"], on: 0...0, of: ring)
        ring.world.start(2)
        run(ring, seconds: 20)
        #expect(ring.rows("SELECT p FROM one.t", .one).count == 20)
        expectSound(ring)
    }

    @Test func whatAReplicaRefusedIsHandedToItWhenItCanTakeIt() {
        let ring = ring(seed: 8, tables: ["t (p int PRIMARY KEY)"]) {
            $0.storage.diskUsageFailPercentage = 50
            $0.storage.diskUsageCheckInterval = .seconds(1)
        }
        let disk = ring.world.nodes[2].disk
        disk.capacityBytes = disk.usedBytes * 5 / 4
        run(ring, seconds: 3)
        #expect(!succeeds("INSERT INTO k.t (p) VALUES (0)", .all, of: ring))
        ring.prepare(["INSERT INTO k.t (p) VALUES (1)"], .quorum)
        #expect(own(2, "t", of: ring) == [])
        disk.capacityBytes = .max
        run(ring, seconds: 10)
        #expect(own(2, "t", of: ring) == ["0", "1"])
        expectSound(ring)
    }

    @Test func anyIsAcknowledgedByAHintForAReplicaThatIsSilentOrRefuses() {
        let ring = ring(seed: 9, tables: []) {
            $0.storage.diskUsageFailPercentage = 50
            $0.storage.diskUsageCheckInterval = .seconds(1)
        }
        ring.prepare([
            "CREATE KEYSPACE one WITH replication = "
                + "{'class': 'SimpleStrategy', 'replication_factor': 1}",
            "CREATE TABLE one.t (p int PRIMARY KEY)",
        ])
        func write(_ keys: Range<Int>, _ level: ConsistencyLevel) -> [Bool] {
            keys.map { succeeds("INSERT INTO one.t (p) VALUES (\($0))", level, of: ring) }
        }
        func fails(_ outcomes: [Bool]) -> Bool {
            outcomes.contains(true) && outcomes.contains(false)
        }
        let disk = ring.world.nodes[2].disk
        disk.capacityBytes = disk.usedBytes * 5 / 4
        run(ring, seconds: 3)
        #expect(fails(write(0..<10, .one)))
        #expect(write(10..<20, .any).allSatisfy { $0 })
        disk.capacityBytes = .max
        run(ring, seconds: 3)
        isolate(2, of: ring)
        #expect(write(20..<24, .any).allSatisfy { $0 })
        rejoin(2, of: ring)
        run(ring, seconds: 20)
        #expect(ring.rows("SELECT p FROM one.t", .one).count == 24)
        expectSound(ring)
    }

    @Test func aWriteFailsWhenItsOwnDatacenterRefusesItWhateverOthersDo() {
        let ring = DivergentRing(seed: 11, factors: "'near': 3, 'far': 3") {
            $0.nodeCount = 6
            $0.datacenters = ["near", "near", "near", "far", "far", "far"]
            $0.configuration.storage.diskUsageFailPercentage = 50
            $0.configuration.storage.diskUsageCheckInterval = .seconds(1)
        }
        ring.prepare(["CREATE TABLE k.t (p int PRIMARY KEY)"])
        for node in 1...2 {
            let disk = ring.world.nodes[node].disk
            disk.capacityBytes = disk.usedBytes * 5 / 4
        }
        run(ring, seconds: 3)
        let insert = "INSERT INTO k.t (p) VALUES (1)"
        for (level, needed) in [(ConsistencyLevel.localQuorum, 2), (.eachQuorum, 4), (.all, 6)] {
            guard case .error(let answer)? = ring.ask([(0, insert)], level)[0],
                case .writeFailure(_, level, let received, needed, let failures, .simple) =
                    answer.error
            else {
                Issue.record("\(level) was not refused")
                continue
            }
            // ALL fails with the first refusal.
            #expect(received < needed && failures.count == (level == .all ? 1 : 2), "\(level)")
        }
        ring.prepare([insert], .quorum)
        ring.prepare([insert], .localOne)
        expectSound(ring)
    }

    @Test func aLoggedBatchThatNobodyElseCouldFinishIsRefused() throws {
        let ring = ring(seed: 10, tables: ["t (p int PRIMARY KEY)"])
        for node in 1...2 { ring.world.kill(node) }
        run(ring, seconds: 20)
        let insert = "INSERT INTO k.t (p) VALUES"
        func batch(_ keys: (Int, Int)) -> String {
            "BEGIN BATCH \(insert) (\(keys.0)); \(insert) (\(keys.1)); APPLY BATCH"
        }
        guard case .error(let answer)? = ring.ask([(0, batch((1, 2)))], .one)[0],
            case .unavailable(_, let level, let required, let alive) = answer.error
        else {
            Issue.record("it was not refused")
            return
        }
        #expect(level == .two && required == 2 && alive == 0)
        #expect(ring.rows("SELECT p FROM k.t", .one) == [])
        // One of one partition needs no log, and at ANY its coordinator keeps it.
        ring.prepare([batch((3, 3))], .one)
        ring.prepare([batch((4, 5))], .any)
        #expect(ring.rows("SELECT p FROM k.t", .one).sorted() == ["3", "4", "5"])
        expectSound(ring)
    }

    /// The bytes of hints that a node keeps.
    private func hintBytes(_ node: Int, of ring: DivergentRing) -> Int {
        var bytes: Int?
        ring.world.command(["listpendinghints"], node: node) { answer in
            guard case .value(let value) = answer else { return }
            bytes = value.elements.reduce(0) { $0 + Int($1["bytes"].integer) }
        }
        _ = ring.world.run(until: ring.world.now + .seconds(5)) { bytes != nil }
        return bytes ?? -1
    }

    private static let batch =
        "BEGIN BATCH "
        + (0..<20).map { "INSERT INTO one.t (p) VALUES (\($0)); " }.joined() + "APPLY BATCH"

    /// A ring with a table of one replica, and node 2 away while a batch is logged: it is on node 1 alone then.
    private func ringWithABatch(seed: UInt64, interval: Int64) -> DivergentRing {
        let ring = ring(seed: seed, tables: []) {
            $0.requests.batchlogReplayInterval = .seconds(interval)
        }
        ring.prepare([
            "CREATE KEYSPACE one WITH replication = "
                + "{'class': 'SimpleStrategy', 'replication_factor': 1}",
            "CREATE TABLE one.t (p int PRIMARY KEY)",
        ])
        isolate(2, of: ring)
        #expect(!succeeds(Self.batch, .one, of: ring))
        return ring
    }

    @Test func aBatchWhoseReplicasAreDownIsHintedOnce() {
        let ring = ringWithABatch(seed: 6, interval: 1)
        run(ring, seconds: 20)
        let bytes = hintBytes(1, of: ring)
        #expect(bytes > 0)
        run(ring, seconds: 20)
        #expect(hintBytes(1, of: ring) == bytes)
        #expect(ring.rows("SELECT id FROM system.batches", .one, node: 1) == [])
        rejoin(2, of: ring)
        run(ring, seconds: 60)
        #expect(ring.rows("SELECT p FROM one.t", .one).count == 20)
        expectSound(ring)
    }

    @Test func aBatchThatWasLoggedBeforeATruncationIsNotCarriedOut() {
        let ring = ringWithABatch(seed: 7, interval: 30)
        rejoin(2, of: ring)
        ring.settle("one.t")
        ring.prepare(["TRUNCATE one.t"])
        #expect(ring.rows("SELECT id FROM system.batches", .one, node: 1).count == 1)
        run(ring, seconds: 65)
        #expect(ring.rows("SELECT id FROM system.batches", .one, node: 1) == [])
        #expect(ring.rows("SELECT p FROM one.t", .one) == [])
        expectSound(ring)
    }
}
