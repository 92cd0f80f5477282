// What the simulated world drives. In the lab it is the node's own `Shard`; a test of the world itself
// may put a small machine here.

package import Environment

/// A deterministic machine behind the seam.
package protocol ShardMachine: AnyObject {
    /// Handles all events of the inbox and fills the outbox; runs to completion.
    func step(_ inbox: Inbox, clock: ClockReading, outbox: Outbox)
}

/// With what a shard of a simulated node is started.
package struct ShardLaunch {
    package var index: ShardIndex
    package var shardCount: Int
    package var configuration: Configuration
    package var host: HostID
    package var incarnation: Incarnation
    package var metadata: MetadataImage
    package var clientAddress: SocketAddress
    package var peerAddress: SocketAddress
    package var randomSeed: UInt64
    package var observer: (any Observer)?
}

/// A shard could not start, and why.
package struct LaunchFailure: Error, CustomStringConvertible {
    package let description: String
    /// Whether the node died while it was starting; then nothing is wrong.
    package let isCrash: Bool

    package init(_ description: String, isCrash: Bool) {
        self.description = description
        self.isCrash = isCrash
    }
}

/// Makes and recovers a shard from its files.
package typealias ShardFactory = (
    _ launch: ShardLaunch, _ files: any FileSystem, _ clock: ClockReading, _ outbox: Outbox
) throws(LaunchFailure) -> any ShardMachine
