// What a node tells an observer about itself: typed facts, from which the lab explains what happened.
// Without an observer a fact costs one predictable branch.

package import Encoding

/// A fact about one step of one node.
package enum Fact: Equatable, Sendable {
    /// A replica made a mutation part of its data.
    case mutationApplied(table: UniqueID, token: Int64, timestamp: Int64, request: UInt64)
    /// A replica answered a read of a partition; the newest write timestamp that it showed.
    case replicaAnswered(
        table: UniqueID, token: Int64, newestTimestamp: Int64?, request: UInt64)
    /// A coordinator chose whom to ask.
    case readSent(table: UniqueID, token: Int64, replicas: [HostID], request: UInt64)
    case writeSent(
        table: UniqueID, token: Int64, timestamp: Int64, replicas: [HostID], request: UInt64)
    /// A coordinator answered its client.
    case readAnswered(
        table: UniqueID, token: Int64, newestTimestamp: Int64?, from: [HostID], request: UInt64)
    case writeAcknowledged(
        table: UniqueID, token: Int64, timestamp: Int64, from: [HostID], request: UInt64)
    case requestTimedOut(
        table: UniqueID, token: Int64, received: Int, required: Int, request: UInt64)
    case hintStored(target: HostID, table: UniqueID, token: Int64)
    case hintDelivered(target: HostID, count: Int)
    case readRepairSent(target: HostID, table: UniqueID, token: Int64, request: UInt64)
    case epochInstalled(UInt64)
    case tombstonePurged(table: UniqueID, count: Int)
}

/// Whoever wants to know. Called inside a step; must not call back.
package protocol Observer: AnyObject {
    func observe(_ fact: Fact, host: HostID, shard: ShardIndex, at: ClockReading)
}
