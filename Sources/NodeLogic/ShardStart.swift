// What a shard is born with.

package import Environment

/// Everything that a shard needs to know before it recovers.
package struct ShardStart {
    package var index: ShardIndex
    package var shardCount: Int
    package var configuration: Configuration
    package var host: HostID
    /// This life of the node; committed to the metadata store before any shard is made.
    package var incarnation: Incarnation
    package var metadata: MetadataImage
    package var clientAddress: SocketAddress
    package var peerAddress: SocketAddress
    /// One for all shards of a node; a shard derives its streams by name.
    package var randomSeed: UInt64
    /// The node's clock, shared by its shards: `Node.makeClock`.
    package var clock: HybridClock
    /// The beginning of this shard's file names: `Node.filePrefix`.
    package var filePrefix: String
    package var observer: (any Observer)?

    package init(
        index: ShardIndex, shardCount: Int, configuration: Configuration, host: HostID,
        incarnation: Incarnation, metadata: MetadataImage, clientAddress: SocketAddress,
        peerAddress: SocketAddress, randomSeed: UInt64, clock: HybridClock, filePrefix: String,
        observer: (any Observer)? = nil
    ) {
        self.index = index
        self.shardCount = shardCount
        self.configuration = configuration
        self.host = host
        self.incarnation = incarnation
        self.metadata = metadata
        self.clientAddress = clientAddress
        self.peerAddress = peerAddress
        self.randomSeed = randomSeed
        self.clock = clock
        self.filePrefix = filePrefix
        self.observer = observer
    }
}

/// Why a shard cannot start. Says what to do about it where that is known.
package struct ShardStartFailure: Error, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }
}
