// A damaged block fails the read of that replica and no other: where another replica may answer it does,
// and where this one is needed the client is told by ReadFailure.

import Encoding
import Environment
import Model
import NativeProtocol
import Testing

@testable import Simulation

@Suite struct DamagedBlockTests {
    /// Three nodes with all rows on each, all in files, those of node 0 damaged in every block.
    private final class Ring {
        let world: SimulatedWorld
        let clients: [SimulatedClient]
        let rowCount = 60

        init(seed: UInt64) {
            var configuration = Configuration.simulation(seed: seed)
            configuration.storage.blockBytes = 512
            configuration.storage.blockCacheBytes = 0
            var settings = WorldSettings(seed: seed, configuration: configuration)
            settings.shardCounts = [1, 1, 1]
            let world = SimulatedRing.makeWorld(settings)
            self.world = world
            clients = (0..<3).map { SimulatedClient(world: world, name: "c\($0)", node: $0) }
        }

        /// Asks until an answer comes that is no refusal for want of nodes.
        func ask(_ text: String, _ level: ConsistencyLevel, node: Int) -> ResponseMessage? {
            for _ in 0..<40 {
                var outcome: ClientOutcome?
                clients[node].query(
                    text, QueryOptions(consistency: level), timeout: .seconds(8)
                ) { outcome = $0 }
                _ = world.run(until: world.now + .seconds(10)) { outcome != nil }
                if case .answer(let message) = outcome, !isPassing(message) { return message }
                world.run(until: world.now + .milliseconds(300))
            }
            return nil
        }

        private func isPassing(_ message: ResponseMessage) -> Bool {
            guard case .error(let answer) = message else { return false }
            switch answer.error {
            case .unavailable, .overloaded, .bootstrapping: return true
            default: return false
            }
        }

        func isError(_ message: ResponseMessage?) -> Bool {
            if case .error = message { true } else { message == nil }
        }

        /// What was wrong with setting up; empty if nothing.
        func fill() -> String {
            world.startAll()
            for client in clients { client.open() }
            _ = world.run(until: world.now + .seconds(20)) { self.clients.allSatisfy(\.isReady) }
            let statements =
                [
                    "CREATE KEYSPACE k WITH replication = "
                        + "{'class': 'SimpleStrategy', 'replication_factor': 3}",
                    "CREATE TABLE k.t (p int PRIMARY KEY, v text) "
                        + "WITH compression = {'enabled': 'false'}",
                ]
                + (0..<rowCount).map { "INSERT INTO k.t (p, v) VALUES (\($0), '\(longText($0))')" }
            for statement in statements {
                // The ring is young: its nodes may not have heard of each other yet.
                var answer = ask(statement, .all, node: 1)
                for _ in 0..<20 where isError(answer) {
                    world.run(until: world.now + .milliseconds(300))
                    answer = ask(statement, .all, node: 1)
                }
                if isError(answer) { return "\(statement): \(String(describing: answer))" }
            }
            for node in 0..<3 { world.command(["flush"], node: node) { _ in } }
            world.run(until: world.now + .seconds(10))
            return damage()
        }

        private func longText(_ number: Int) -> String {
            String(repeating: "value \(number) ", count: 12)
        }

        private func damage() -> String {
            let disk = world.nodes[0].disk
            do {
                let files = try disk.list().filter { $0.text.contains("sst-") }
                if files.isEmpty { return "nothing was flushed" }
                for file in files {
                    for offset in stride(from: 100, to: try disk.size(of: file) - 4_000, by: 200) {
                        try disk.damage(file, at: offset, bit: 3)
                    }
                }
            } catch {
                return "\(error)"
            }
            return ""
        }
    }

    @Test func otherReplicasAnswerForADamagedOne() throws {
        let ring = Ring(seed: 4)
        let problem = ring.fill()
        try #require(problem.isEmpty, "\(problem)")
        var failures = 0
        for key in 0..<ring.rowCount {
            let text = "SELECT v FROM k.t WHERE p = \(key)"
            for (level, node) in [
                (ConsistencyLevel.one, 0), (.one, 1), (.quorum, 0), (.quorum, 2),
            ] {
                let answer = ring.ask(text, level, node: node)
                #expect(
                    !ring.isError(answer),
                    "\(key) \(level) at \(node): \(String(describing: answer))")
            }
            guard case .error(let answer) = ring.ask(text, .all, node: 1) else { continue }
            guard
                case .readFailure(_, let consistency, let received, let required, _, _) =
                    answer.error
            else {
                Issue.record("\(key): \(answer)")
                continue
            }
            failures += 1
            #expect(consistency == .all)
            #expect(received < required)
            #expect(required == 3)
        }
        #expect(failures > ring.rowCount / 2, "\(failures) reads met damage")
        #expect(ring.world.failures.isEmpty)
    }
}
