// What the simulated world drives. In the lab it is the node's own `Shard`; a test of the world
// itself may put a small machine here.

package import Environment

/// A deterministic machine behind the seam.
package protocol ShardMachine: AnyObject {
    /// Handles all events of the inbox and fills the outbox; runs to completion.
    func step(_ inbox: Inbox, clock: ClockReading, outbox: Outbox)
}

/// With what a simulated node is started.
package struct NodeLaunch {
    package var index: Int
    package var shardCount: Int
    package var configuration: Configuration
    package var host: HostID
    package var clientAddress: SocketAddress
    package var peerAddress: SocketAddress
    package var randomSeed: UInt64
    /// Names the run of the machine's kernel: another one after each power loss.
    package var boot: String
    package var observer: (any Observer)?
}

/// A node that has started.
package struct NodeBirth {
    package let incarnation: Incarnation
    /// One for each shard.
    package let machines: [any ShardMachine]

    package init(incarnation: Incarnation, machines: [any ShardMachine]) {
        self.incarnation = incarnation
        self.machines = machines
    }
}

/// A node could not start, and why.
package struct LaunchFailure: Error, CustomStringConvertible {
    package let description: String

    package init(_ description: String) { self.description = description }
}

/// Makes and recovers the shards of a node from its files and its metadata; one outbox for each.
package typealias NodeStart = (
    _ launch: NodeLaunch, _ store: SimulatedMetadataStore, _ files: any FileSystem,
    _ clock: ClockReading, _ outboxes: [Outbox]
) throws(LaunchFailure) -> NodeBirth
