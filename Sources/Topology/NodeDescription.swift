// What the cluster knows of a node by agreement (the metadata log), as opposed to by gossip.

package import Environment
package import Model

/// A node's place in one snapshot: its position among all nodes sorted by host id. Another snapshot
/// may give the same node another index, so it never leaves the snapshot's users. `public`, to be inlined where
/// requests are placed.
public struct NodeIndex: Hashable, Comparable, Sendable {
    /// From 0 on.
    public let value: UInt16
    /// The node of that number, which is below `maximumCount`.
    @inlinable public init(_ value: Int) { self.value = UInt16(value) }
    /// Whether both are the same node, if they are of one snapshot.
    @inlinable public static func == (left: NodeIndex, right: NodeIndex) -> Bool {
        left.value == right.value
    }
    /// Whether the left one has the smaller number.
    @inlinable public static func < (left: NodeIndex, right: NodeIndex) -> Bool {
        left.value < right.value
    }
    /// For indexing arrays.
    @inlinable public var index: Int { Int(value) }

    /// More nodes than this are refused.
    package static let maximumCount = 1 << 12
}

/// A member of the ring.
package struct NodeDescription: Hashable, Sendable {
    package var hostID: HostID
    /// Where clients connect.
    package var clientAddress: SocketAddress
    /// Where other nodes connect.
    package var peerAddress: SocketAddress
    package var datacenter: String
    package var rack: String
    /// Sorted, at least one, each one once.
    package var tokens: [Token]
    /// With how many shards the node was started last, for clients that route by shard. Nothing
    /// about correctness hangs on it.
    package var shardCount: Int

    package init(
        hostID: HostID, clientAddress: SocketAddress, peerAddress: SocketAddress,
        datacenter: String, rack: String, tokens: [Token], shardCount: Int
    ) {
        self.hostID = hostID
        self.clientAddress = clientAddress
        self.peerAddress = peerAddress
        self.datacenter = datacenter
        self.rack = rack
        self.tokens = tokens.sorted()
        self.shardCount = shardCount
    }
}
