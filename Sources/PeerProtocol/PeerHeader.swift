// The envelope of every message between nodes, and between the shards of one node: a fixed header
// of 96 bytes (little-endian), an optional trace id, the body. Layout:
// docs/formats/peer-protocol.md.
//
//      0  magic u8        1  version u8      2  kind u8         3  flags u8
//      4  CRC32C u32 of all from byte 8 on, seeded with bytes 0-3
//      8  body length u32           12  lineage u32
//     16  cluster id                32  sender's host id
//     48  sender's incarnation u32  52  sender's shard u16      54  target shard u16
//     56  route token i64           64  metadata epoch u64      72  request id u64
//     80  HLC i64 (microseconds)    88  remaining budget u32 (microseconds)
//     92  zero u32                  96  trace id (if flagged), then the body
//
// Cost: encoding and decoding touch each byte once and allocate nothing.

package import Encoding
package import Environment
package import Model

/// The number of a request that a message belongs to: unique across all requests, shards and lives
/// of its sender for as long as any message of it can be under way.
package struct RequestID: Hashable, Comparable, Sendable {
    package let value: UInt64
    @inlinable package init(_ value: UInt64) { self.value = value }
    @inlinable package static func < (left: RequestID, right: RequestID) -> Bool {
        left.value < right.value
    }
    /// For messages that nobody answers.
    package static let none = RequestID(0)
}

/// Issues the request ids of one shard in one life: 16 bits of the incarnation, 8 of the shard,
/// then a sequence of 40 bits, which wraps after weeks of full load.
package struct RequestIDSource: Sendable {
    private let prefix: UInt64
    private var sequence: UInt64 = 0

    package init(incarnation: Incarnation, shard: ShardIndex) {
        prefix =
            UInt64(incarnation.value & 0xFFFF) << 48 | UInt64(
                truncatingIfNeeded: shard.value & 0xFF) << 40
    }

    package mutating func next() -> RequestID {
        sequence = (sequence + 1) & 0xFF_FFFF_FFFF
        // Never `none`, even at incarnation 0.
        if prefix == 0, sequence == 0 { sequence = 1 }
        return RequestID(prefix | sequence)
    }
}

/// What a message is. The numbers are part of the format.
package enum PeerMessageKind: UInt8, Sendable, CaseIterable {
    case mutation = 1
    case mutationResponse = 2
    case read = 3
    case readResponse = 4
    case truncate = 5
    case truncateResponse = 6
    /// The answer to a request that was planned with a placement that the replica does not share.
    case wrongEpoch = 7
    case ping = 8
    case pong = 9
    case gossipSyn = 16
    case gossipAck = 17
    case gossipAck2 = 18
    case paxosPrepare = 24
    case paxosPromise = 25
    case paxosAccept = 26
    case paxosAccepted = 27
    case metadataCatchUp = 32
    case metadataEntries = 33
    /// Conditional writes (`ConditionalMessages`); a commit is answered by a `mutationResponse`.
    case conditionalPrepare = 40
    case conditionalPromise = 41
    case conditionalAccept = 42
    case conditionalAccepted = 43
    case conditionalCommit = 44
    /// Increments of counters, for the replica that leads them.
    case increment = 48
    case incrementResponse = 49

    /// How a message finds its shard.
    package enum Route: Sendable { case token, shard, control }

    package var route: Route {
        switch self {
        case .mutation, .read, .conditionalPrepare, .conditionalAccept, .conditionalCommit,
            .increment:
            .token
        case .mutationResponse, .readResponse, .truncateResponse, .wrongEpoch,
            .conditionalPromise, .conditionalAccepted, .incrementResponse:
            .shard
        case .truncate, .ping, .pong, .gossipSyn, .gossipAck, .gossipAck2, .paxosPrepare,
            .paxosPromise, .paxosAccept, .paxosAccepted, .metadataCatchUp, .metadataEntries:
            .control
        }
    }
}

/// The fixed header of a message.
package struct PeerHeader: Equatable, Sendable {
    package var kind: PeerMessageKind
    package var clusterID: UniqueID
    /// Which life of the cluster's metadata log: one more after a recovery without a majority.
    package var lineage: UInt32
    package var sender: HostID
    package var senderIncarnation: Incarnation
    package var senderShard: ShardIndex
    /// Responses: the sender's shard of the request. Else 0.
    package var targetShard: ShardIndex
    /// Requests for a key: its token. Else 0.
    package var routeToken: Token
    /// The newest epoch that the sender has installed.
    package var epoch: UInt64
    package var request: RequestID
    /// The sender's hybrid logical clock, microseconds since 1970.
    package var hybridTime: Int64
    /// How long the request may still take, in microseconds; late work is dropped. An absolute
    /// deadline would break under clock skew.
    package var remainingBudget: UInt32
    package var traceID: UniqueID?

    package init(
        kind: PeerMessageKind, clusterID: UniqueID, lineage: UInt32, sender: HostID,
        senderIncarnation: Incarnation, senderShard: ShardIndex = ShardIndex(0),
        targetShard: ShardIndex = ShardIndex(0), routeToken: Token = Token(0), epoch: UInt64,
        request: RequestID = .none, hybridTime: Int64, remainingBudget: UInt32 = 0,
        traceID: UniqueID? = nil
    ) {
        self.kind = kind
        self.clusterID = clusterID
        self.lineage = lineage
        self.sender = sender
        self.senderIncarnation = senderIncarnation
        self.senderShard = senderShard
        self.targetShard = targetShard
        self.routeToken = routeToken
        self.epoch = epoch
        self.request = request
        self.hybridTime = hybridTime
        self.remainingBudget = remainingBudget
        self.traceID = traceID
    }
}
