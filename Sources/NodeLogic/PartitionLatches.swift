// Latches on partitions: who reads before it writes holds one from its read to its write, so that two such
// operations on one partition do not meet half-way on this shard. First come, first served.
//
// A latch is no lock of the cluster: other coordinators have latches of their own. Paxos and the shards
// of counters are what keeps replicas right; the latch keeps operations of one shard from fighting.

internal import Model

/// A partition of a table, and what for.
struct LatchKey: Hashable {
    enum Purpose: Hashable {
        /// Coordinating conditional writes, serial reads, and operations on lists.
        case coordination
        /// Leading increments of counters.
        case counting
    }

    let purpose: Purpose
    let table: TableID
    let key: [UInt8]
}

/// The latches of one shard, with those who wait for them.
struct PartitionLatches<Waiter> {
    private var queues: [LatchKey: [Waiter]] = [:]

    /// How many latches are held.
    var count: Int { queues.count }

    /// Takes the latch, or queues for it. True: the caller holds it.
    mutating func acquire(_ key: LatchKey, _ waiter: @autoclosure () -> Waiter) -> Bool {
        guard queues[key] != nil else {
            queues[key] = []
            return true
        }
        queues[key]?.append(waiter())
        return false
    }

    /// Gives the latch back; returns who holds it now.
    mutating func release(_ key: LatchKey) -> Waiter? {
        guard var queue = queues[key] else { return nil }
        guard !queue.isEmpty else {
            queues[key] = nil
            return nil
        }
        let next = queue.removeFirst()
        queues[key] = queue
        return next
    }
}
