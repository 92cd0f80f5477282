// A shard that is stepped by hand, so that it is seen what one step does.

import Encoding
import Environment
import NativeProtocol
import Testing

@testable import NodeLogic
@testable import Simulation
@testable import Storage

/// A statement that a bench needs was not executed.
struct Refused: Error {
    let statement: String
    init(_ statement: String) { self.statement = statement }
}

/// A shard of a node that is up, and a few raw connections to it.
final class ShardBench {
    let shard: Shard
    let files: any FileSystem
    private var clock: ClockReading
    private var inbox = Inbox()
    private let outbox = Outbox()
    /// Frames that each connection was answered with.
    var answers: [UInt64: [Opcode]] = [:]
    var isReading: [UInt64: Bool] = [:]
    var jobs: [(EffectID, any Job)] = []
    /// The answers themselves, and messages to the other shards of the node, which come to nobody.
    var responses: [UInt64: [ResponseMessage]] = [:]
    var shardMessages: [[UInt8]] = []
    private var decoders: [UInt64: FrameDecoder] = [:]

    /// The first shard of a node of so many, for which these statements were executed.
    init(shards: Int = 1, statements: [String] = []) throws {
        var settings = WorldSettings(seed: 3, configuration: .simulation(seed: 3))
        settings.nodeCount = 1
        settings.shardCounts = [shards]
        settings.configuration.clients.maximumFrameBytes = 16 << 20
        settings.configuration.clients.pauseReadingAboveBytes = 1 << 20
        let world = SimulatedRing.makeWorld(settings)
        world.startAll()
        world.run(until: world.now + .seconds(10))
        let client = SimulatedClient(world: world, name: "schema", node: 0)
        client.open()
        _ = world.run(until: world.now + .seconds(20)) { client.isReady }
        for statement in statements {
            var outcome: ClientOutcome?
            client.query(statement, timeout: .seconds(8)) { outcome = $0 }
            _ = world.run(until: world.now + .seconds(10)) { outcome != nil }
            guard case .answer(.schemaChange) = outcome else { throw Refused(statement) }
        }
        let simulated = world.nodes[0].shards[0]
        shard = try #require(simulated.machine as? Shard)
        files = simulated.disk
        let now = Instant(nanoseconds: 60_000_000_000)
        let wall = WallTime(microseconds: 1_700_000_000_000_000)
        clock = ClockReading(monotonic: now, wall: wall)
    }

    /// Opens a connection that has begun.
    func open(_ id: UInt64) {
        let place = SocketAddress(address: [127, 0, 0, 9], port: UInt16(id))
        inbox.events.append(.clientOpened(ConnectionID(id), local: place, remote: place))
        decoders[id] = FrameDecoder(side: .client)
        send(id) { $0.startup(.v4, stream: 0, [("CQL_VERSION", "3.4.7")]) }
    }

    func send(_ id: UInt64, _ write: (FrameEncoder) -> Void) {
        let encoder = FrameEncoder(side: .client)
        write(encoder)
        let bytes = ByteWriter()
        encoder.flush(into: bytes)
        inbox.events.append(.clientBytes(ConnectionID(id), inbox.store(bytes.bytes)))
    }

    func sendRaw(_ id: UInt64, _ bytes: UnsafeRawBufferPointer) {
        inbox.events.append(.clientBytes(ConnectionID(id), inbox.store(bytes)))
    }

    /// A message of another shard of the node.
    func sendShard(_ bytes: UnsafeRawBufferPointer, from shard: ShardIndex) {
        inbox.events.append(.shardMessage(from: shard, inbox.store(bytes)))
    }

    func close(_ id: UInt64) { inbox.events.append(.clientClosed(ConnectionID(id))) }

    func end(_ id: EffectID, _ job: any Job) {
        inbox.events.append(.jobEnded(id, job, nil))
    }

    /// Lets time pass until the next step.
    func pass(_ span: Instant.Span) {
        clock = ClockReading(
            monotonic: clock.monotonic + span,
            wall: WallTime(microseconds: clock.wall.microseconds + span.nanoseconds / 1_000))
    }

    /// One step; true if the shard wants the next one at once.
    @discardableResult func step() throws -> Bool {
        shard.step(inbox, clock: clock, outbox: outbox)
        inbox.removeAll()
        for effect in outbox.effects {
            switch effect {
            case .clientBytes(let id, let range):
                let decoder = try #require(decoders[id.value])
                decoder.feed(outbox.bytes[range])
                while let frame = try decoder.next() {
                    answers[id.value, default: []].append(frame.header.opcode)
                    responses[id.value, default: []].append(try Response(frame).message)
                }
                decoder.finish()
                inbox.events.append(.clientWritable(id))
            case .clientReading(let id, let isOn): isReading[id.value] = isOn
            case .shardMessage(_, let range): shardMessages.append(Array(outbox.bytes[range]))
            case .runJob(let id, let job): jobs.append((id, job))
            default: break
            }
        }
        let isDue = outbox.wakeAt.map { $0 <= clock.monotonic } ?? false
        outbox.removeAll()
        return isDue
    }
}
