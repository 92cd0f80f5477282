// The engine's compactions at one moment: what runs, what was asked for, how fast it may go.
//
//     choice -> RunningCompaction: waiting -> a slice runs -> waiting -> ... -> finished -> manifest
//                                     \-> stopped (files removed, inputs free again)
//
// A merge is not given to the world whole but slice by slice, one job step each, and comes back to the
// shard in between. So the shard alone decides about speed, order, pausing and stopping, without flags
// that threads share, and the simulator sees the same decisions.

package import Environment
internal import Model

/// Names a compaction in this life of the engine.
package struct CompactionID: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let value: UInt64
    package init(_ value: UInt64) { self.value = value }
    package static func < (left: CompactionID, right: CompactionID) -> Bool {
        left.value < right.value
    }
    package var description: String { String(value) }
}

/// A merge under way. Owned by the engine; the world has it only while `isInFlight`.
final class RunningCompaction {
    let id: CompactionID
    let table: TableState
    let choice: CompactionChoice
    let inputs: [SSTable]
    let job: MergeJob
    /// Of the table, when it began.
    let generation: Int
    /// Of the outputs.
    let entry: ManifestEntry
    let tokens: ClosedRange<Int64>
    /// What the job has had after its last slice.
    let memory: MemoryReservation
    var isInFlight = false
    var isStopping = false
    /// Bytes read when the last slice ended.
    var bytesReadBefore = 0

    init(
        id: CompactionID, table: TableState, choice: CompactionChoice, inputs: [SSTable],
        job: MergeJob, entry: ManifestEntry, tokens: ClosedRange<Int64>, cache: BlockCache
    ) {
        self.id = id
        self.table = table
        self.choice = choice
        self.inputs = inputs
        self.job = job
        self.entry = entry
        self.tokens = tokens
        memory = MemoryReservation(job.memoryBytes, of: cache)
        generation = table.generation
    }
}

/// One step of a merge, as the world runs it.
final class CompactionSlice: Job {
    private let merge: MergeJob

    init(_ merge: MergeJob) { self.merge = merge }

    var title: String { merge.title }

    func step(_ files: any FileSystem, budgetBytes: Int) throws(DiskFailure) -> JobProgress {
        switch try merge.step(files, budgetBytes: budgetBytes) {
        case .more(let bytes), .done(let bytes): .done(bytes: bytes)
        }
    }
}

/// What is asked of a table's compaction.
struct TableCompaction {
    /// Switched on and off by command; apart from the table's option `enabled`.
    var isAutomatic = true
    /// Asked for by command, oldest first.
    var wanted: [Wanted] = []
    /// After a compaction found no room: not before then.
    var retryAt: Instant?
    /// Bytes that a choice may have at most, after one found no room.
    var roomBytes: Int?
    /// When to look again for what expires.
    var nextExpiredCheck: Instant?

    enum Wanted: Equatable {
        case major(splits: Bool)
        /// All files that have something of these tokens.
        case tokens(ClosedRange<Int64>)
        /// Files by number.
        case files([UInt64])
    }
}

/// Compactions of one engine, and their limits.
struct Compactor {
    /// By rising id.
    var running: [RunningCompaction] = []
    var nextID: UInt64 = 1
    /// How many may run at once.
    var limit: Int
    var throttle: Throttle
    /// The newest last.
    var history: [CompactionRecord] = []
    static let historyLength = 256
    /// All that have ended in this life.
    var endedCount = 0

    init(_ configuration: Configuration.Storage) {
        limit = max(1, configuration.concurrentCompactors)
        throttle = Throttle(
            bytesPerSecond: configuration.compactionThroughputBytesPerSecond)
    }

    /// Lets bytes pass at a rate: who has taken some waits until they are paid for.
    struct Throttle {
        /// 0: no limit.
        var bytesPerSecond: Int
        private var paidAt = Instant(nanoseconds: 0)
        /// Debts shorter than this are not worth a timer.
        private static let smallestDebt = Instant.Span.milliseconds(1)

        init(bytesPerSecond: Int) { self.bytesPerSecond = bytesPerSecond }

        mutating func take(_ bytes: Int, now: Instant) {
            guard bytesPerSecond > 0, bytes > 0 else { return }
            let nanoseconds = Double(bytes) * 1e9 / Double(bytesPerSecond)
            // A step is small; a debt of more than a minute would only be a changed rate's.
            let span = Instant.Span(nanoseconds: Int64(min(nanoseconds, 6e10)))
            paidAt = (paidAt > now ? paidAt : now) + span
        }

        /// When the next bytes may pass; nil: now.
        func waits(now: Instant) -> Instant? {
            guard bytesPerSecond > 0, paidAt > now + Self.smallestDebt else { return nil }
            return paidAt
        }

        mutating func forgetDebt() { paidAt = Instant(nanoseconds: 0) }
    }
}

/// A compaction that has ended, for `system.compaction_history` and its like.
package struct CompactionRecord: Equatable, Sendable {
    package let id: CompactionID
    package let keyspace: String
    package let table: String
    /// Of its end.
    package let time: WallTime
    package let bytesIn: Int
    package let bytesOut: Int
    /// How many partitions were made out of one, two, ... SSTables, from index 1 on.
    package let partitionsBySources: [Int]
    package let inputs: Int
    package let outputs: Int
    package let tombstonesPurged: Int
    package let reason: String
}

/// A compaction that is running, for `system_views.sstable_tasks` and its like.
package struct CompactionProgress: Equatable, Sendable {
    package let id: CompactionID
    package let keyspace: String
    package let table: String
    package let reason: String
    package let sstables: Int
    /// Read so far, of how many.
    package let bytesDone: Int
    package let bytesTotal: Int
    package let bytesWritten: Int
}
