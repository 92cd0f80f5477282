// The simulator's side of a node: what stays when it dies (disks, metadata, clock) and what does
// not (its shards' machines, inboxes, timers, links, connections).

package import Environment

/// The state of one shard of a simulated node.
final class SimulatedShard {
    let node: Int
    let index: Int
    /// The node's folder.
    let disk: SimulatedDisk
    /// Nil while the node is dead.
    var machine: (any ShardMachine)?
    let inbox = Inbox()
    let outbox = Outbox()
    /// Set while the shard waits in the world's list of those to be stepped at this very time.
    var isReady = false
    /// When the shard has finished the step before; events that come earlier wait in the inbox.
    var busyUntil: Int64 = 0
    var stepIsQueued = false
    /// The earliest wake-up in the queue, or `.max`.
    var queuedWake: Int64 = .max
    /// When the shard wants to be woken, or `.max`.
    var wantedWake: Int64 = .max
    var connections: [ConnectionID: SimulatedConnection] = [:]
    var nextConnection: UInt64 = 1
    /// By target node; nil where there never was one.
    var links: [SimulatedLink?]
    /// The time up to which each mailbox of a sibling is filled, so that it stays in order.
    var mailboxTimes: [Int64]
    var mailboxStream: RandomStream
    var diskStream: RandomStream
    var costStream: RandomStream

    init(
        node: Int, index: Int, shardCount: Int, nodeCount: Int, disk: SimulatedDisk, seed: UInt64
    ) {
        self.node = node
        self.index = index
        let name = "node \(node) shard \(index)"
        self.disk = disk
        mailboxTimes = Array(repeating: 0, count: shardCount)
        links = Array(repeating: nil, count: nodeCount)
        mailboxStream = RandomStream(seed: seed, name: "\(name) mailbox")
        diskStream = RandomStream(seed: seed, name: "\(name) disk delay")
        costStream = RandomStream(seed: seed, name: "\(name) cost")
    }

    /// Forgets all that dies with the process.
    func forget() {
        machine = nil
        inbox.removeAll()
        outbox.removeAll()
        isReady = false
        busyUntil = 0
        stepIsQueued = false
        queuedWake = .max
        wantedWake = .max
        connections.removeAll()
        nextConnection = 1
        for index in mailboxTimes.indices { mailboxTimes[index] = 0 }
    }
}

/// A link from a shard to a node.
final class SimulatedLink {
    enum State { case down, connecting, up }

    let fromNode: Int
    let fromShard: Int
    let toNode: Int
    /// The shard that serves this link at the other end.
    var toShard = 0
    var state = State.down
    /// The shard asked for it and has not taken that back.
    var isWanted = false
    /// Which life of the target it was connected to.
    var targetLife: UInt32 = 0
    /// Counts connections, so that news about a former one is ignored.
    var connection: UInt64 = 0
    var inFlight = 0
    var stream: RandomStream

    init(fromNode: Int, fromShard: Int, toNode: Int, seed: UInt64) {
        self.fromNode = fromNode
        self.fromShard = fromShard
        self.toNode = toNode
        stream = RandomStream(seed: seed, name: "link \(fromNode).\(fromShard)>\(toNode)")
    }
}

/// One node of a simulated world.
package final class SimulatedNode {
    package enum State: Sendable { case dead, running, paused }

    package let index: Int
    package let host: HostID
    package let clientAddress: SocketAddress
    package let peerAddress: SocketAddress
    package let store: SimulatedMetadataStore
    package let disk: SimulatedDisk
    package internal(set) var state = State.dead
    package internal(set) var clock: SimulatedClock
    /// Counts lives; a start that failed is one, too.
    package internal(set) var life: UInt32 = 0
    /// Of the last life that began.
    package internal(set) var incarnation = Incarnation(0)
    /// Counts the power losses.
    var boots = 0
    /// Why the last life ended.
    package internal(set) var lastDeath = ""
    var shards: [SimulatedShard]
    private let nodeCount: Int
    private let seed: UInt64
    /// Effects and disk operations until the node dies; nil: it does not.
    var crashCountdown: Int?
    var crashKind = DeathKind.kill
    /// The countdown has reached its end inside a call; the world finishes the death.
    var isDying = false
    var stream: RandomStream

    init(
        index: Int, host: HostID, shardCount: Int, nodeCount: Int, clock: SimulatedClock,
        metadata: MetadataImage, seed: UInt64
    ) {
        self.index = index
        self.host = host
        clientAddress = Self.clientAddress(index)
        peerAddress = Self.peerAddress(index)
        store = SimulatedMetadataStore(metadata)
        self.clock = clock
        self.nodeCount = nodeCount
        self.seed = seed
        disk = SimulatedDisk(stream: RandomStream(seed: seed, name: "node \(index) disk content"))
        shards = []
        stream = RandomStream(seed: seed, name: "node \(index)")
        changeShardCount(to: shardCount)
        disk.crashesHere = { [unowned self] in self.passCrashPoint() }
    }

    package var shardCount: Int { shards.count }

    /// Where clients find the node of that number.
    package static func clientAddress(_ index: Int) -> SocketAddress { address(index, port: 9042) }
    /// Where other nodes find it.
    package static func peerAddress(_ index: Int) -> SocketAddress { address(index, port: 7000) }

    private static func address(_ index: Int, port: UInt16) -> SocketAddress {
        precondition(index < 250)
        return SocketAddress(address: [127, 0, 0, UInt8(index + 1)], port: port)
    }

    /// Gives a dead node another number of shards for its next life.
    package func changeShardCount(to count: Int) {
        precondition(state == .dead && count > 0)
        if count == shards.count { return }
        shards = (0..<count).map {
            SimulatedShard(
                node: index, index: $0, shardCount: count, nodeCount: nodeCount, disk: disk,
                seed: seed)
        }
    }

    /// Counts one effect or disk operation; true: the node dies here.
    func passCrashPoint() -> Bool {
        guard let left = crashCountdown else { return false }
        if left > 0 {
            crashCountdown = left - 1
            return false
        }
        crashCountdown = nil
        isDying = true
        return true
    }
}
