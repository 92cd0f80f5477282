// Reads that ask one replica more, in a simulated ring with a paused replica.

import Environment
import Model
import NativeProtocol
import Testing

@testable import NodeLogic
@testable import Simulation

@Suite struct SpeculationTests {
    /// Three nodes, one client at node 0. Messages take a millisecond.
    private final class Ring {
        let world: SimulatedWorld
        let client: SimulatedClient
        var problems: [String] = []

        init(seed: UInt64) {
            var settings = WorldSettings(seed: seed, configuration: .simulation(seed: seed))
            settings.shardCounts = [2, 1, 2]
            settings.configuration.requests.hintedHandoffEnabled = false
            settings.network.delays = [.constant(nanoseconds: 1_000_000)]
            settings.clients.splitChance = 0
            settings.clients.joinChance = 0
            world = SimulatedRing.makeWorld(settings)
            client = SimulatedClient(world: world, name: "c", node: 0)
            world.startAll()
            client.open()
            _ = world.run(until: world.now + .seconds(20)) { [client] in client.isReady }
            world.run(until: world.now + .seconds(3))
        }

        /// What became of the statements, which go out together, and after how long.
        func ask(
            _ statements: [String], _ level: ConsistencyLevel = .all
        ) -> [(outcome: ResponseMessage?, span: Instant.Span)] {
            let begin = world.now
            var results: [(outcome: ResponseMessage?, span: Instant.Span)?] = statements.map { _ in
                nil
            }
            for (index, text) in statements.enumerated() {
                client.query(text, QueryOptions(consistency: level), timeout: .seconds(8)) {
                    [world] in
                    var answer: ResponseMessage?
                    if case .answer(let message) = $0 { answer = message }
                    results[index] = (answer, world.now - begin)
                }
            }
            _ = world.run(until: world.now + .seconds(10)) { results.allSatisfy { $0 != nil } }
            return results.map { $0 ?? (nil, .seconds(10)) }
        }

        /// Carries out statements of which none may fail.
        func prepare(_ statements: [String]) {
            for text in statements {
                if case .error(let error)? = ask([text])[0].outcome {
                    problems.append("\(text): \(error.error.message)")
                }
            }
        }

        /// Those of a table of keyspace k at node 0.
        func counts(_ table: String) -> [Int] {
            var counts: [Int]?
            world.command(["tablestats"], node: 0) { answer in
                guard case .value(let value) = answer else { return }
                let facts = value["k"][table]
                counts = ["retries", "failed_retries", "insufficient_replicas"].map {
                    Int(facts["speculative_\($0)"].integer)
                }
            }
            _ = world.run(until: world.now + .seconds(5)) { counts != nil }
            return counts ?? []
        }
    }

    private let keys = Array(0..<40)

    /// A ring with rows in tables `never`, `fixed` and `always`, of which a node that is not the client's is
    /// paused.
    private func ring(seed: UInt64, replicas: Int) -> Ring {
        let ring = Ring(seed: seed)
        ring.prepare([
            "CREATE KEYSPACE k WITH replication = {'class': 'SimpleStrategy', "
                + "'replication_factor': \(replicas)}"
        ])
        for (table, policy) in [("never", "NONE"), ("fixed", "20ms"), ("always", "ALWAYS")] {
            ring.prepare([
                "CREATE TABLE k.\(table) (p int PRIMARY KEY, v int) "
                    + "WITH speculative_retry = '\(policy)'"
            ])
            ring.prepare(keys.map { "INSERT INTO k.\(table) (p, v) VALUES (\($0), \($0))" })
        }
        // Of replicas that are asked for their own sake, node 1 comes before node 2.
        ring.world.pause(replicas == 3 ? 2 : 1)
        return ring
    }

    private func read(
        _ table: String, _ ring: Ring, _ level: ConsistencyLevel
    ) -> [(outcome: ResponseMessage?, span: Instant.Span)] {
        ring.ask(keys.map { "SELECT v FROM k.\(table) WHERE p = \($0)" }, level)
    }

    private func isRow(_ message: ResponseMessage?, _ value: Int) -> Bool {
        guard case .rows(let rows)? = message, rows.rowCount == 1 else { return false }
        return rows.value(row: 0, column: 0) == [0, 0, 0, UInt8(value)]
    }

    private func isTimeout(_ message: ResponseMessage?) -> Bool {
        if case .error(let error)? = message, case .readTimeout = error.error {
            true
        } else {
            false
        }
    }

    @Test(arguments: [
        (UInt64(1), 3, ConsistencyLevel.quorum), (2, 3, .localQuorum), (3, 3, .two),
        (4, 2, .one), (5, 2, .localOne),
    ])
    func aReadAnswersAfterTheThresholdWhereItWouldTimeOut(
        seed: UInt64, replicas: Int, level: ConsistencyLevel
    ) {
        let ring = ring(seed: seed, replicas: replicas)
        let plain = read("never", ring, level)
        let needy = keys.filter { isTimeout(plain[$0].outcome) }
        #expect(!needy.isEmpty && needy.count < keys.count)
        #expect(keys.allSatisfy { needy.contains($0) || isRow(plain[$0].outcome, $0) })
        let hedged = read("fixed", ring, level)
        for key in keys {
            let (outcome, span) = hedged[key]
            #expect(isRow(outcome, key), "\(key): \(String(describing: outcome))")
            let isNeedy = needy.contains(key)
            #expect((span >= .milliseconds(20)) == isNeedy, "\(key): \(span)")
            #expect(span < .milliseconds(30), "\(key): \(span)")
        }
        // One more request for each read that needed one, and for no other.
        #expect(ring.counts("fixed") == [needy.count, 0, 0])
        #expect(ring.counts("never") == [0, 0, 0])
        let at = read("always", ring, level)
        #expect(keys.allSatisfy { isRow(at[$0].outcome, $0) && at[$0].span < .milliseconds(10) })
        #expect(ring.counts("always")[0] <= keys.count && ring.counts("always")[1...] == [0, 0])
        #expect(ring.problems.isEmpty && ring.world.failures.isEmpty)
    }

    @Test func whereNobodyIsLeftTheReadTimesOutAndIsCounted() {
        let ring = ring(seed: 11, replicas: 2)
        let needy = read("fixed", ring, .two).count { isTimeout($0.outcome) }
        #expect(needy > 0)
        #expect(ring.counts("fixed") == [0, 0, needy])
        // ALL has nobody left at any time.
        #expect(read("fixed", ring, .all).contains { isTimeout($0.outcome) })
        #expect(ring.counts("fixed") == [0, 0, needy])
    }

    @Test func aRetryThatDoesNotHelpIsCounted() {
        let ring = ring(seed: 12, replicas: 3)
        ring.world.pause(1)
        #expect(read("fixed", ring, .quorum).allSatisfy { isTimeout($0.outcome) })
        #expect(ring.counts("fixed") == [keys.count, keys.count, 0])
    }

    @Test func scansAndSerialReadsAskNobodyMore() {
        let ring = ring(seed: 13, replicas: 3)
        _ = ring.ask(["SELECT v FROM k.fixed"], .quorum)
        _ = ring.ask(["SELECT v FROM k.fixed WHERE p = 1"], .serial)
        #expect(ring.counts("fixed") == [0, 0, 0])
    }

    @Test func theDefaultGoesByWhatWasMeasured() {
        let ring = Ring(seed: 14)
        ring.prepare([
            "CREATE KEYSPACE k WITH replication = {'class': 'SimpleStrategy', "
                + "'replication_factor': 3}",
            "CREATE TABLE k.t (p int PRIMARY KEY, v int)",
        ])
        ring.prepare(keys.map { "INSERT INTO k.t (p, v) VALUES (\($0), \($0))" })
        for _ in 0..<10 { _ = read("t", ring, .quorum) }
        // The first read of these has found no samples: the time is looked up again a timeout later.
        ring.world.run(until: ring.world.now + .seconds(1))
        ring.world.pause(2)
        let spans = read("t", ring, .quorum).map(\.span)
        #expect(spans.allSatisfy { $0 < .milliseconds(10) }, "\(spans)")
        #expect(ring.counts("t")[0] > 0)
    }

    @Test func theTraceNamesWhoIsAskedMore() {
        let ring = ring(seed: 15, replicas: 3)
        ring.world.command(["settraceprobability", "1"], node: 0) { _ in }
        ring.world.run(until: ring.world.now + .milliseconds(1))
        let needy = read("fixed", ring, .quorum).count { $0.span >= .milliseconds(20) }
        ring.world.command(["settraceprobability", "0"], node: 0) { _ in }
        ring.world.resume(2)
        ring.world.run(until: ring.world.now + .seconds(2))
        let events = ring.ask(["SELECT activity FROM system_traces.events"], .one)[0].outcome
        guard case .rows(let rows)? = events else {
            Issue.record("no events: \(String(describing: events))")
            return
        }
        let texts = (0..<rows.rowCount).compactMap { rows.value(row: $0, column: 0) }
            .map { String(decoding: $0, as: UTF8.self) }
        let told = texts.filter { $0.hasPrefix("Speculating read retry on /") }
        #expect(told.count == needy && needy > 0, "\(told.count) of \(needy)")
    }

    /// Node 1 lacks what the others have, and goes silent when it has shown so.
    private func repairing(_ policy: String) -> [(outcome: ResponseMessage?, span: Instant.Span)] {
        let ring = Ring(seed: 16)
        ring.prepare([
            "CREATE KEYSPACE k WITH replication = {'class': 'SimpleStrategy', "
                + "'replication_factor': 3}",
            "CREATE TABLE k.t (p int PRIMARY KEY, v int) WITH speculative_retry = 'NONE' "
                + "AND additional_write_policy = '\(policy)'",
        ])
        ring.world.install([Fault(at: ring.world.now, .cut(from: 0, to: 1))])
        let writes = keys.map { "INSERT INTO k.t (p, v) VALUES (\($0), \($0))" }
        for (_, span) in ring.ask(writes, .quorum) where span > .milliseconds(100) {
            Issue.record("a write took \(span)")
        }
        ring.world.install([Fault(at: ring.world.now, .heal(from: 0, to: 1))])
        ring.world.run(until: ring.world.now + .seconds(3))
        // A digest is there after 2 ms, the data after 4, and the repair would come after 5.
        ring.world.schedule(at: ring.world.now + .microseconds(4_500)) { [world = ring.world] in
            world.pause(1)
        }
        return read("t", ring, .quorum)
    }

    @Test func repairsOfASilentReplicaGoToOneThatWasNotAsked() {
        let alone = repairing("NONE")
        let needy = keys.filter { isTimeout(alone[$0].outcome) }
        #expect(!needy.isEmpty && needy.count < keys.count)
        let helped = repairing("20ms")
        for key in keys {
            #expect(isRow(helped[key].outcome, key), "\(String(describing: helped[key].outcome))")
            #expect((helped[key].span >= .milliseconds(20)) == needy.contains(key))
            #expect(helped[key].span < .milliseconds(40))
        }
    }
}
