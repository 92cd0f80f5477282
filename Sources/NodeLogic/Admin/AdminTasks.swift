// Commands under way: what shard 0 waits for before it answers the operator, and what each shard waits
// for before it tells shard 0.

internal import Encoding
internal import Environment
internal import PeerProtocol
internal import Storage

/// On shard 0: a command that all shards work on.
struct PendingAdmin {
    let command: EffectID
    /// Shards that have not told yet.
    var waiting: Int
    var value = AdminValue.null
    /// The first reason why it cannot be done.
    var failure: String?
    /// What shard 0 knows of it.
    var facts = AdminValue.null
    /// Staged files that go when all shards are done.
    var staged: String?
    /// SSTables that one of the shards must have.
    var files: [String] = []
}

/// On shard 0: a job on the node's folder, and whom its end is for.
enum AdminJob {
    case list(EffectID)
    case clear(EffectID?)
    case check(EffectID, tableWords: [String], lead: String, facts: AdminValue)
    case unstage(EffectID, AdminAnswer)
    /// The snapshots for a virtual table, of the view of that number on that shard.
    case view(UInt64, ShardIndex)
}

/// On each shard: whom the end of a task of maintenance is for.
enum MaintenanceWaiter {
    case admin(UInt64)
    case truncation(table: UniqueID, sender: HostID, request: RequestID)
}

extension MaintenanceReport {
    /// The report for an operator.
    var value: AdminValue {
        [
            "files": .count(files), "rewritten": .count(rewritten),
            "bytes_read": .count(bytesRead), "bytes_written": .count(bytesWritten),
            "partitions": .count(partitions), "rows": .count(rows),
            "dropped_blocks": .count(droppedBlocks),
            "dropped_partitions": .count(droppedPartitions), "dropped_rows": .count(droppedRows),
            "foreign_partitions": .count(foreignPartitions),
            "findings": .list(
                findings.map { finding in
                    [
                        "file": .text(finding.file.text), "offset": .count(finding.offset),
                        "detail": .text(finding.detail),
                    ]
                }),
            "more_findings": .count(moreFindings), "stopped": .bool(isStopped),
        ]
    }
}
