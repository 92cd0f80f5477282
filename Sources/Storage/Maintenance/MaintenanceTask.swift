// A task of maintenance as the engine carries it: what it still waits for, and what it has found.
//
//     flush    freeze -> wait until those memtables are files -> done
//     snapshot flush (unless told otherwise) -> SnapshotJob -> done
//     files    for each file: VerifyJob, or RewriteJob or MergeJob -> manifest -> the new file takes its place
//     import   ImportJob -> manifest -> the files are the table's
//     retire   SnapshotJob of a table that was emptied or dropped -> manifest -> done
//
// Tasks run beside reads, writes, flushes and compactions; of those that go through files one at a time
// has a job, so that maintenance takes no more of the disk than a compaction.

package import Environment
package import Model

/// What a snapshot is to be.
package struct SnapshotRequest: Sendable {
    /// One table of it, with the statements that make it again.
    package struct Table: Sendable {
        package let id: TableID
        package let schemaText: String

        package init(id: TableID, schemaText: String) {
            self.id = id
            self.schemaText = schemaText
        }
    }

    package var tag: String
    package var tables: [Table]
    /// How many shards the node has.
    package var parts: Int
    package var createdAt: WallTime
    package var expiresAt: WallTime?
    package var isEphemeral = false
    /// What is only in memory stays out.
    package var skipsFlush = false

    package init(tag: String, tables: [Table], parts: Int, createdAt: WallTime) {
        self.tag = tag
        self.tables = tables
        self.parts = parts
        self.createdAt = createdAt
    }
}

/// One task of one engine.
final class MaintenanceTask {
    enum State {
        /// Until these memtables are files.
        case flushing([(table: TableState, memtable: Memtable)], then: SnapshotRequest?)
        /// The files that are still to be done.
        case files(FileMaintenance, [(table: TableState, number: UInt64)])
        case importing(TableState, lead: String, fileCount: Int)
        /// A job of it runs, or the manifest writes what it gave.
        case busy
        case ended
    }

    let id: MaintenanceID
    let title: String
    var state: State
    /// What to do when the busy part has ended.
    var rest: (FileMaintenance, [(table: TableState, number: UInt64)])?
    var report = MaintenanceReport()
    var position = LogPosition.zero
    /// What the job under way works with.
    var memory: MemoryReservation?

    init(id: MaintenanceID, title: String, state: State) {
        self.id = id
        self.title = title
        self.state = state
    }
}

/// A job of a task that the world is running.
enum MaintenanceRun {
    /// The SSTables and memtables are pinned until it ends.
    case snapshot(SnapshotJob, [SSTable], [Memtable], RetiredFiles?)
    case verify(VerifyJob, SSTable)
    case rewrite(RewriteJob, TableState, SSTable, generation: Int, number: UInt64)
    /// The shadows are pinned until it ends.
    case collect(MergeJob, TableState, SSTable, shadows: [SSTable], generation: Int)
    case importing(ImportJob, TableState, generation: Int)
}

/// What leaves a table for good once its snapshot is taken.
struct RetiredFiles {
    let table: TableID
    /// Pinned until the manifest no longer names them.
    let sstables: [SSTable]
    /// What the manifest named of the table, or was about to name, when it was emptied: files of flushes and
    /// compactions that had ended but were not installed are among them.
    let numbers: [UInt64]
    /// Of a truncation: log records up to it are needless. nil: the table is dropped.
    let position: LogPosition?
}

/// What a manifest edit of a task was for.
enum MaintenanceConsequence {
    case rewritten(MaintenanceTask, TableState, old: SSTable, new: SSTable?, generation: Int)
    case imported(MaintenanceTask, TableState, [SSTable], generation: Int)
    case retired(MaintenanceTask, [SSTable])
}
