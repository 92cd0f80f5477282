// The trace: every delivery to a shard, hashed in order and, if wanted, written as text.
//
// Two runs with the same hash saw the same deliveries at the same virtual times with the same
// bytes. The hash is a chain of folded 128-bit products over whole words (the idea of wyhash):
// about one multiplication for eight bytes, and no dependence on the host's byte order, locale or
// folder.

internal import Encoding

/// What was delivered.
package enum DeliveryKind: UInt8, Sendable, CustomStringConvertible {
    case clientOpened = 1
    case clientBytes
    case clientWritable
    case clientClosed
    case peerConnected
    case peerDisconnected
    case peerMessage
    case shardMessage
    case logSynced
    case blockRead
    case jobStep
    case jobEnded
    case metadataCommitted
    case command
    case wake
    case started
    case died
    case paused
    case resumed
    case partitioned
    case healed
    case clockChanged
    case toClient
    case closedToClient

    package var description: String {
        switch self {
        case .clientOpened: "client-opened"
        case .clientBytes: "client-bytes"
        case .clientWritable: "client-writable"
        case .clientClosed: "client-closed"
        case .peerConnected: "peer-connected"
        case .peerDisconnected: "peer-disconnected"
        case .peerMessage: "peer-message"
        case .shardMessage: "shard-message"
        case .logSynced: "log-synced"
        case .blockRead: "block-read"
        case .jobStep: "job-step"
        case .jobEnded: "job-ended"
        case .metadataCommitted: "metadata-committed"
        case .command: "command"
        case .wake: "wake"
        case .started: "started"
        case .died: "died"
        case .paused: "paused"
        case .resumed: "resumed"
        case .partitioned: "partitioned"
        case .healed: "healed"
        case .clockChanged: "clock-changed"
        case .toClient: "to-client"
        case .closedToClient: "closed-to-client"
        }
    }
}

/// A running hash over all deliveries of a world.
package struct TraceHash: Hashable, Sendable, CustomStringConvertible {
    private var chain: UInt64 = 0x9E37_79B9_7F4A_7C15
    private var sum: UInt64 = 0
    /// How many deliveries were hashed.
    package private(set) var count: UInt64 = 0

    package init() {}

    @inline(__always)
    private mutating func mix(_ word: UInt64) {
        let product = (chain ^ word ^ 0xA076_1D64_78BD_642F)
            .multipliedFullWidth(by: 0xE703_7ED1_A0B4_28DB)
        chain = product.high ^ product.low &+ word
    }

    /// Adds one delivery.
    package mutating func add(
        at time: VirtualTime, node: Int, shard: Int, kind: DeliveryKind, detail: UInt64,
        _ bytes: UnsafeRawBufferPointer
    ) {
        count += 1
        mix(UInt64(bitPattern: time.nanoseconds))
        mix(
            UInt64(truncatingIfNeeded: node) << 32 | UInt64(truncatingIfNeeded: shard) << 16
                | UInt64(kind.rawValue))
        mix(detail)
        mix(UInt64(bytes.count))
        var offset = 0
        while offset + 8 <= bytes.count {
            mix(UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)))
            offset += 8
        }
        if offset < bytes.count {
            var last: UInt64 = 0
            for index in offset..<bytes.count { last = last << 8 | UInt64(bytes[index]) }
            mix(last)
        }
        sum = (sum << 7 | sum >> 57) &+ chain
    }

    /// Adds another hash, for one figure over several worlds.
    package mutating func add(_ other: TraceHash) {
        count += other.count
        mix(other.chain)
        mix(other.sum)
        sum = (sum << 7 | sum >> 57) &+ chain
    }

    /// Thirty-two hexadecimal digits.
    package var description: String {
        UniqueID(high: chain, low: sum).bytes.reduce(into: "") { $0 += HexText.digits($1) }
    }
}
