// Writers that are faster than the disk: they are slowed down, and no write fails.

import Encoding
import Environment
import NativeProtocol
import Testing

@testable import NodeLogic
@testable import Simulation
@testable import Storage

@Suite struct BackpressureTests {
    /// What is written, again and again.
    enum Kind: String, CaseIterable {
        case plain = "INSERT INTO lab.blobs (key, value) VALUES (?, ?)"
        case conditional = "INSERT INTO lab.blobs (key, value) VALUES (?, ?) IF NOT EXISTS"
        case counting = "UPDATE lab.counts SET n = n + 1 WHERE key = ? AND value = ?"
    }

    /// A closed loop of writes of 4 KB through every node.
    private final class Writers {
        let world: SimulatedWorld
        var clients: [SimulatedClient] = []
        var acknowledged = 0
        var problems: [String] = []
        var began = VirtualTime.zero
        private var next = 0
        private let count: Int
        private let kind: Kind

        init(_ world: SimulatedWorld, count: Int, _ kind: Kind) {
            self.world = world
            self.count = count
            self.kind = kind
        }

        func run(replicationFactor: Int, inFlight: Int) -> Bool {
            clients = world.nodes.map {
                SimulatedClient(world: world, name: "writer \($0.index)", node: $0.index)
            }
            for client in clients { client.open() }
            var end = world.now + .seconds(20)
            guard world.run(until: end, { clients.allSatisfy(\.isReady) }) else { return false }
            world.run(until: world.now + .seconds(5))
            for statement in [
                "CREATE KEYSPACE lab WITH replication = {'class': 'SimpleStrategy', "
                    + "'replication_factor': \(replicationFactor)}",
                "CREATE TABLE lab.blobs (key int PRIMARY KEY, value blob)",
                "CREATE TABLE lab.counts (key int, value blob, n counter, "
                    + "PRIMARY KEY (key, value))",
            ] {
                var isDone = false
                clients[0].query(statement, timeout: .seconds(10)) { outcome in
                    if case .answer(.error(let error)) = outcome {
                        self.problems.append("\(error)")
                    }
                    isDone = true
                }
                guard world.run(until: world.now + .seconds(15), { isDone }) else { return false }
            }
            world.run(until: world.now + .seconds(1))
            began = world.now
            for client in clients { for _ in 0..<inFlight { write(client) } }
            end = world.now + .seconds(600)
            return world.run(until: end) { self.acknowledged + self.problems.count >= self.count }
        }

        private func write(_ client: SimulatedClient) {
            guard next < count else { return }
            next += 1
            var options = QueryOptions()
            let key = withUnsafeBytes(of: UInt32(next).bigEndian) { [UInt8]($0) }
            var stream = RandomStream(seed: UInt64(next), name: "value")
            // Nothing that can be compressed: the disk must feel it.
            let value = (0..<4_000).map { _ in UInt8(truncatingIfNeeded: stream.next()) }
            options.values = [.bytes(key), .bytes(value)]
            client.execute(kind.rawValue, options, timeout: .seconds(60)) { outcome in
                switch outcome {
                case .answer(.error(let error)): self.problems.append("\(error)")
                case .answer: self.acknowledged += 1
                default: self.problems.append("\(outcome)")
                }
                self.write(client)
            }
        }
    }

    private func run(
        nodeCount: Int, replicationFactor: Int, nanosecondsPerByte: Int64, kind: Kind = .plain
    ) -> (milliseconds: Int64, delays: Int, dropped: Int) {
        var settings = WorldSettings(seed: 5, configuration: .simulation(seed: 5))
        settings.nodeCount = nodeCount
        settings.shardCounts = Array(repeating: 2, count: nodeCount)
        settings.configuration.storage.memtableBytes = 256 << 10
        settings.configuration.storage.commitLogTotalBytes = 64 << 20
        settings.configuration.requests.writeTimeout = .seconds(2)
        settings.configuration.requests.conditionalTimeout = .seconds(2)
        settings.disk.nanosecondsPerByte = nanosecondsPerByte
        let world = SimulatedRing.makeWorld(settings)
        world.startAll()
        let writers = Writers(world, count: 900, kind)
        #expect(writers.run(replicationFactor: replicationFactor, inFlight: 12))
        #expect(writers.problems.isEmpty, "\(writers.problems.prefix(3))")
        #expect(writers.acknowledged == 900)
        let took = (world.now.nanoseconds - writers.began.nanoseconds) / 1_000_000
        world.run(until: world.now + .seconds(30))
        #expect(world.failures.isEmpty, "\(world.failures.prefix(3))")
        var delays = 0
        var dropped = 0
        for node in world.nodes {
            for machine in node.shards.compactMap({ $0.machine as? Shard }) {
                delays += machine.storage.writeStatistics(now: machine.now.monotonic).delays
                dropped += machine.held.dropped
                #expect(machine.held.count == 0)
                #expect(machine.heldConnections.count == 0)
            }
        }
        return (took, delays, dropped)
    }

    @Test(arguments: [(1, 1), (3, 3)])
    func whileFlushingLagsWritesGetSlowerAndNoneFails(nodes: Int, replicas: Int) {
        let fast = run(nodeCount: nodes, replicationFactor: replicas, nanosecondsPerByte: 2)
        let slow = run(nodeCount: nodes, replicationFactor: replicas, nanosecondsPerByte: 1_500)
        #expect(slow.delays > 0)
        #expect(slow.dropped == 0)
        #expect(slow.milliseconds > 3 * fast.milliseconds)
    }

    /// They would go past the budget if what Paxos and counters write did not wait.
    @Test(arguments: [Kind.conditional, .counting], [(1, 1), (3, 3)])
    func conditionalWritesAndIncrementsGetSlowerToo(kind: Kind, ring: (nodes: Int, replicas: Int)) {
        let slow = run(
            nodeCount: ring.nodes, replicationFactor: ring.replicas, nanosecondsPerByte: 1_500,
            kind: kind)
        #expect(slow.delays > 0, "nothing of it waited")
    }
}
