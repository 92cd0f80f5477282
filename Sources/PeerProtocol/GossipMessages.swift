// The bodies of gossip: three messages make a round (docs/protocols/gossip.md).

package import Encoding
package import Environment

/// What a node tells of itself; only it raises the numbers.
package struct EndpointState: Equatable, Sendable {
    package var host: HostID
    /// The node's incarnation: one more at each start.
    package var generation: UInt32
    /// Rises with each gossip round of the node, and with each change of what follows.
    package var heartbeat: UInt64
    package var clientAddress: SocketAddress
    package var peerAddress: SocketAddress
    /// The newest epoch of the metadata log that the node has installed.
    package var epoch: UInt64
    /// Whether it serves clients.
    package var isReady: Bool
    /// Bytes of its live data.
    package var load: UInt64

    package init(
        host: HostID, generation: UInt32, heartbeat: UInt64, clientAddress: SocketAddress,
        peerAddress: SocketAddress, epoch: UInt64, isReady: Bool, load: UInt64
    ) {
        self.host = host
        self.generation = generation
        self.heartbeat = heartbeat
        self.clientAddress = clientAddress
        self.peerAddress = peerAddress
        self.epoch = epoch
        self.isReady = isReady
        self.load = load
    }

    package var digest: GossipDigest {
        GossipDigest(host: host, generation: generation, heartbeat: heartbeat)
    }

    static let minimumBytes = 16 + 4 + 8 + 7 + 7 + 8 + 1 + 8

    init(_ reader: inout ByteReader) throws(MalformedBytes) {
        host = HostID(try reader.readUniqueID())
        generation = try reader.readLittleEndian(UInt32.self)
        heartbeat = try reader.readLittleEndian(UInt64.self)
        clientAddress = try reader.readSocketAddress()
        peerAddress = try reader.readSocketAddress()
        epoch = try reader.readLittleEndian(UInt64.self)
        let ready = try reader.readUInt8()
        guard ready <= 1 else {
            throw MalformedBytes("ready flag \(ready)", offset: reader.position - 1)
        }
        isReady = ready == 1
        load = try reader.readLittleEndian(UInt64.self)
    }

    func encode(into writer: ByteWriter) {
        writer.append(host.value)
        writer.appendLittleEndian(generation)
        writer.appendLittleEndian(heartbeat)
        writer.append(clientAddress)
        writer.append(peerAddress)
        writer.appendLittleEndian(epoch)
        writer.append(isReady ? 1 : 0)
        writer.appendLittleEndian(load)
    }
}

/// How new somebody's knowledge of a node is.
package struct GossipDigest: Equatable, Sendable {
    package var host: HostID
    package var generation: UInt32
    package var heartbeat: UInt64

    package init(host: HostID, generation: UInt32, heartbeat: UInt64) {
        self.host = host
        self.generation = generation
        self.heartbeat = heartbeat
    }

    /// Whether this is newer knowledge of the same node than `other`.
    package func isNewer(than other: GossipDigest) -> Bool {
        (generation, heartbeat) > (other.generation, other.heartbeat)
    }

    static let bytes = 28

    init(_ reader: inout ByteReader) throws(MalformedBytes) {
        host = HostID(try reader.readUniqueID())
        generation = try reader.readLittleEndian(UInt32.self)
        heartbeat = try reader.readLittleEndian(UInt64.self)
    }

    func encode(into writer: ByteWriter) {
        writer.append(host.value)
        writer.appendLittleEndian(generation)
        writer.appendLittleEndian(heartbeat)
    }
}

/// One of the three messages of a gossip round.
package enum GossipMessage: Equatable, Sendable {
    /// All that the sender knows, as digests.
    case syn([GossipDigest])
    /// What the receiver of the syn knows newer, and what it wants to be told.
    case ack(states: [EndpointState], wanted: [GossipDigest])
    /// What was wanted.
    case ack2([EndpointState])

    package var kind: PeerMessageKind {
        switch self {
        case .syn: .gossipSyn
        case .ack: .gossipAck
        case .ack2: .gossipAck2
        }
    }

    /// Reads a body of a gossip kind.
    package init(
        kind: PeerMessageKind, _ body: UnsafeRawBufferPointer
    ) throws(MalformedBytes) {
        var reader = ByteReader(body)
        switch kind {
        case .gossipSyn: self = .syn(try Self.digests(&reader))
        case .gossipAck:
            let states = try Self.states(&reader)
            self = .ack(states: states, wanted: try Self.digests(&reader))
        case .gossipAck2: self = .ack2(try Self.states(&reader))
        default: throw MalformedBytes("kind \(kind) is not gossip", offset: 0)
        }
        try reader.expectEnd()
    }

    package func encode(into writer: ByteWriter) {
        switch self {
        case .syn(let digests): Self.write(digests, into: writer)
        case .ack(let states, let wanted):
            Self.write(states, into: writer)
            Self.write(wanted, into: writer)
        case .ack2(let states): Self.write(states, into: writer)
        }
    }

    private static func digests(
        _ reader: inout ByteReader
    ) throws(MalformedBytes) -> [GossipDigest] {
        let count = try reader.readCount(minimumBytes: GossipDigest.bytes)
        var result: [GossipDigest] = []
        result.reserveCapacity(count)
        for _ in 0..<count { result.append(try GossipDigest(&reader)) }
        return result
    }

    private static func states(
        _ reader: inout ByteReader
    ) throws(MalformedBytes) -> [EndpointState] {
        let count = try reader.readCount(minimumBytes: EndpointState.minimumBytes)
        var result: [EndpointState] = []
        result.reserveCapacity(count)
        for _ in 0..<count { result.append(try EndpointState(&reader)) }
        return result
    }

    private static func write(_ digests: [GossipDigest], into writer: ByteWriter) {
        writer.appendVarint(UInt64(digests.count))
        for digest in digests { digest.encode(into: writer) }
    }

    private static func write(_ states: [EndpointState], into writer: ByteWriter) {
        writer.appendVarint(UInt64(states.count))
        for state in states { state.encode(into: writer) }
    }
}
