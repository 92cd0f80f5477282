// One shard's storage engine: commit log, memtables, SSTables, compaction.
//
//     apply  -> commit log buffer + live memtable
//     read   -> live memtable + frozen memtables + SSTables, merged; parks while blocks are read
//     endTick-> the step's one log append, syncs that are due, jobs that are due
//     receive-> the ends of syncs, block reads and jobs
//
//     live memtable --full--> frozen --flush job--> file --manifest job--> SSTable
//                                    SSTables --compaction job--> file --manifest job--> SSTable
//
// The engine is part of its shard: single-threaded, without clocks, files or threads of its own. It
// touches files only at `open`; later its jobs do, which the world runs elsewhere.
//
// Invariants
//   - what `apply` took is in the log's buffer and in a memtable, or in neither;
//   - an SSTable is shown to reads only after the manifest that names it is durable, and what it was
//     made of leaves in the same step;
//   - a segment is given up only when every mutation in it is in a durable SSTable or was truncated;
//   - a file is removed only after the manifest that no longer names it is durable and no read needs it.

internal import Encoding
package import Environment
package import Model

/// All that an engine is opened with.
package struct StorageStart {
    package var configuration: Configuration.Storage
    /// All file names of the engine begin with it.
    package var prefix: String
    /// The tokens that the shard owns.
    package var slice: ClosedRange<Int64>
    package var schema: SchemaSnapshot
    package var incarnation: Incarnation
    /// Mutations of these tables up to the position do not come back by replay.
    package var truncations: [TableID: LogPosition]
    package var effectIDs: EffectIDs

    package init(
        configuration: Configuration.Storage, prefix: String, slice: ClosedRange<Int64>,
        schema: SchemaSnapshot, incarnation: Incarnation, truncations: [TableID: LogPosition],
        effectIDs: EffectIDs
    ) {
        self.configuration = configuration
        self.prefix = prefix
        self.slice = slice
        self.schema = schema
        self.incarnation = incarnation
        self.truncations = truncations
        self.effectIDs = effectIDs
    }
}

/// How a read stands.
package enum ReadStatus: Equatable, Sendable {
    /// The answer was written.
    case done
    /// Blocks are being read: the answer comes as a `CompletedRead` of the same tag.
    case parked
}

/// The end of a read that was parked.
package struct CompletedRead: Sendable {
    package let tag: UInt64
    /// The bytes of a `ReadResultView`.
    package let result: Result<[UInt8], StorageError>
    package var figures = ReadFigures()
}

/// What a read has passed.
package struct ReadFigures: Equatable, Sendable {
    /// Live rows that it returned.
    package var rows = 0
    /// Deletions that may not be forgotten yet: of partitions, rows, ranges and cells, and expired cells.
    package var tombstones = 0
    /// Rows of which nothing lives; at zero each row of the answer is live.
    package var deadRows = 0

    package init(rows: Int = 0, tombstones: Int = 0, deadRows: Int = 0) {
        self.rows = rows
        self.tombstones = tombstones
        self.deadRows = deadRows
    }
}

/// What came back at the start.
package struct ReplayReport: Equatable, Sendable {
    package var records = 0
    /// Already in SSTables, truncated, or of tables that are gone.
    package var skipped = 0
    /// Those tables that are gone.
    package var unknownTables: Set<TableID> = []
    /// Segments whose end was torn, and the sound records behind the tear.
    package var tornSegments = 0
    package var droppedRecords = 0
    /// Segments with damage that the policy let us live with, the first damage, and the records read
    /// behind it.
    package var damagedSegments = 0
    package var corruption: CorruptionError?
    package var recoveredRecords = 0
}

/// Figures of one table.
package struct TableStatistics: Equatable, Sendable {
    package var sstables = 0
    package var sstableBytes = 0
    package var memtableBytes = 0
    package var memtablePartitions = 0
    package var flushes = 0
    package var compactions = 0
    package var bytesFlushed = 0
    /// Written by compactions.
    package var bytesCompacted = 0
    /// Read by compactions.
    package var bytesCompactedFrom = 0
    package var tombstonesPurged = 0
    /// Compactions that found no room on the disk.
    package var compactionsWithoutRoom = 0
    /// What the last compaction met that gave up over damage or a row that is too large; its inputs are left
    /// alone until the next start.
    package var compactionFailure: StorageError?
    /// Files by level, of a table with levels.
    package var sstablesByLevel: [Int] = []
    package var pendingCompactions = 0
    package var pendingCompactionBytes = 0
    /// Bytes written to files for each byte flushed, since the start; 0 before the first flush.
    package var writeAmplification = 0.0
    /// The largest number of files in which a partition may lie.
    package var readAmplification = 0
    /// Bytes of all files for each byte that a full compaction would about leave; 0 without files.
    package var spaceAmplification = 0.0
    package var reads = ReadCounters()
}

/// The engine of one shard. Owned by the shard.
package final class StorageEngine {
    let configuration: Configuration.Storage
    /// Larger mutations are refused.
    package let maximumMutationBytes: Int
    let prefix: String
    let slice: ClosedRange<Int64>
    let effectIDs: EffectIDs
    let pool: ArenaPool
    let cache: BlockCache
    let runner: ReadRunner
    /// A run that never parked, for the next read.
    var idleRun: ReadRun?
    let mergeScratch = ByteWriter(capacity: 1 << 12)
    var schema: SchemaSnapshot
    var log: CommitLog
    var manifest: ManifestKeeper

    var tables: [TableID: TableState] = [:]
    /// By rising id: whatever can be seen goes through this list.
    var tableList: [TableState] = []
    var lastTable: TableState?

    // Reads that wait for blocks.
    var blockReads: [EffectID: BlockRequest] = [:]
    var blockRequests: [BlockKey: EffectID] = [:]

    // Work under way and to come.
    var jobs: [EffectID: RunningJob] = [:]
    var obsoleteFiles: [FileName] = []
    var isRemovingFiles = false
    var compactor: Compactor
    /// The wall clock of the last step, in seconds: for the purge rules of jobs.
    var wallSeconds: Int64 = 0
    /// The monotonic clock of the last step.
    var lastTick: Instant

    // Maintenance under way (`StorageEngine+Maintenance`).
    var maintenance: [MaintenanceTask] = []
    var nextMaintenance: UInt64 = 0
    /// The first segments with what tables that go had in memory, until their snapshots are durable.
    var retiringSegments: [MaintenanceID: UInt32] = [:]
    /// Files that the manifest named only after their table had to let them go.
    var lateFiles: [TableID: [SSTable]] = [:]
    /// Snapshots of tables that go, for the step's end.
    var waitingRetirements: [(MaintenanceTask, MaintenanceRun)] = []
    /// Tasks that have ended; the shard takes them at the end of each step.
    package var completedMaintenance: [CompletedMaintenance] = []
    // Taking in writes (`+Flush`).
    var throttle: WriteThrottle
    /// Somebody was told to wait and has not been admitted since.
    var hasWaited = false
    /// The log's syncs lag too far behind to take more (`periodic` mode).
    var isSyncLate = false
    /// What a step has to look at.
    var isFlushWanted = false
    var mayFlush = false
    var mayReleaseSegments = true
    /// Tables with a `memtable_flush_period_in_ms`.
    var periodicTables: [TableState] = []

    // What the disk said (`+DiskState`).
    /// Why no write is taken; `updateRefusal` works it out of what follows.
    package internal(set) var writeRefusal: StorageError?
    var damagedLog: CorruptionError?
    var segmentFailure: DiskFailure?
    var flushFailure: StorageError?
    var flushRetry: Instant?
    var manifestFailure: DiskFailure?
    var manifestRetry: Instant?
    /// In percent, if it is watched.
    var diskUsage: Int?
    var nextUsageCheck: Instant?

    /// Reads that were parked and have ended; the shard takes them after each event.
    package var completedReads: [CompletedRead] = []
    package internal(set) var replayReport = ReplayReport()
    /// Damage that reads met since the start, each place once: which file, where, and what.
    package private(set) var damage: [CorruptionError] = []
    private static var maximumDamage: Int { 64 }

    init(_ start: StorageStart, log: CommitLog, manifest: ManifestKeeper, clock: ClockReading) {
        configuration = start.configuration
        maximumMutationBytes = start.configuration.largestMutationBytes
        prefix = start.prefix
        slice = start.slice
        effectIDs = start.effectIDs
        schema = start.schema
        pool = ArenaPool(limitBytes: start.configuration.memtableBytes)
        throttle = WriteThrottle(limitBytes: start.configuration.memtableBytes)
        cache = BlockCache(limitBytes: start.configuration.blockCacheBytes)
        runner = ReadRunner(cache: cache, slice: start.slice)
        wallSeconds = clock.wall.seconds
        lastTick = clock.monotonic
        compactor = Compactor(start.configuration)
        self.log = log
        self.manifest = manifest
    }

    /// Everything appended at or before it survives a power loss.
    package var syncedPosition: LogPosition { log.syncedPosition }

    @inline(__always)
    func table(_ id: TableID) -> TableState? {
        if let lastTable, lastTable.id == id { return lastTable }
        guard let table = tables[id] else { return nil }
        lastTable = table
        return table
    }

    /// No job is running, no read is parked, nothing waits to be flushed.
    package var isIdle: Bool {
        jobs.isEmpty && blockReads.isEmpty && obsoleteFiles.isEmpty && manifest.isIdle
            && !log.isPreparing && maintenance.isEmpty && !cache.isReleasing
            && tableList.allSatisfy { $0.frozen.isEmpty }
    }

    /// Remembers damage that a read met.
    func note(_ error: StorageError) {
        guard case .corruption(let found) = error, damage.count < Self.maximumDamage,
            !damage.contains(where: { $0.file == found.file && $0.offset == found.offset })
        else { return }
        damage.append(found)
    }

    /// Figures of a table; nil if the shard does not have it.
    package func statistics(of id: TableID) -> TableStatistics? {
        guard let table = tables[id] else { return nil }
        var statistics = table.statistics
        statistics.reads = table.reading.counters
        statistics.sstables = table.sstables.count
        statistics.sstableBytes = table.sstables.reduce(0) { $0 + $1.metadata.bytes }
        addCompactionFigures(table, to: &statistics)
        let memtables = [table.live] + table.frozen
        statistics.memtableBytes = memtables.reduce(0) { $0 + $1.bytes }
        statistics.memtablePartitions = memtables.reduce(0) { $0 + $1.partitionCount }
        return statistics
    }

    /// Bytes of decompressed blocks in the cache.
    package var cachedBytes: Int { cache.bytes }

    /// Bytes of all memtables, live and frozen, and of those that only a job or a read still holds.
    package var memtableBytes: Int { pool.usedBytes }

    /// All that counts against the limits of memtables and block cache: memtables and what is kept for
    /// later ones, cached blocks, the index and filters of all files, and what jobs work with.
    package var budgetedBytes: Int {
        pool.usedBytes + pool.heldBytes + cache.bytes + cache.reservedBytes
    }
}

/// One table as the engine has it.
final class TableState {
    let id: TableID
    var schema: TableSchema {
        didSet {
            strategy = Self.strategy(schema)
            tombstones = (schema.options.tombstoneGC, schema.options.gcGraceSeconds)
            droppedCells = DroppedCells(schema)
            reading.schemaChanged(schema)
        }
    }
    /// When tombstones may go, out of the schema's options: each read asks.
    private var tombstones: (gc: TombstoneGC, graceSeconds: Int32)
    /// Of the schema's dropped columns.
    private(set) var droppedCells: DroppedCells
    /// Out of the schema's options.
    var strategy: CompactionStrategy
    let reading: TableReading
    var live: Memtable { didSet { viewChanged() } }
    /// Oldest first; the first one may be on its way into a file.
    var frozen: [Memtable] = [] { didSet { viewChanged() } }
    /// By rising number.
    var sstables: [SSTable] = [] { didSet { viewChanged() } }
    /// All of them, as reads see them.
    private(set) var view: TableView
    private let cache: BlockCache
    /// What its files hold in memory besides their blocks, as the cache knows it.
    private var residentBytes = 0
    /// All mutations of the table up to here are in SSTables, or truncated.
    var flushedPosition = LogPosition.zero
    /// Mutations go into the log (`durable_writes` of the keyspace).
    var isLogged = true
    /// When the live memtable is flushed by `memtable_flush_period_in_ms`.
    var flushDue: Instant?
    /// When the flush under way was started.
    var flushBegan = Instant(nanoseconds: 0)
    /// Raised by truncation: what jobs that began before bring back is not wanted.
    var generation = 0
    var isFlushing = false
    /// What the flush under way works with.
    var flushMemory: MemoryReservation?
    var wantsFlush = false
    /// The set of SSTables has changed since compaction last looked.
    var mayCompact = true
    var compaction = TableCompaction()
    /// Nobody else has the data: nobody can have missed a delete.
    var isSingleReplica = false
    var statistics = TableStatistics()

    init(schema: TableSchema, live: Memtable, cache: BlockCache) {
        id = schema.id
        self.schema = schema
        strategy = Self.strategy(schema)
        tombstones = (schema.options.tombstoneGC, schema.options.gcGraceSeconds)
        droppedCells = DroppedCells(schema)
        self.live = live
        self.cache = cache
        reading = TableReading(schema)
        view = TableView(memtables: [live], sstables: [], reading: reading)
    }

    deinit { cache.reserve(-residentBytes) }

    private func viewChanged() {
        view = TableView(
            memtables: [live] + frozen, sstables: TableView.newestFirst(sstables), reading: reading)
        let resident = sstables.reduce(0) { $0 + $1.metadata.residentBytes }
        cache.reserve(resident - residentBytes)
        residentBytes = resident
    }

    /// Options that this version cannot read (a newer node wrote them) count as the defaults: files go
    /// on being compacted.
    private static func strategy(_ schema: TableSchema) -> CompactionStrategy {
        do throws(CQLError) {
            return CompactionStrategy(
                options: try CompactionOptions(reading: schema.options.compaction))
        } catch {
            return CompactionStrategy(options: CompactionOptions())
        }
    }

    /// The purge rule of a read at that second, or of a compaction of data that a repair of second
    /// `repairedAt` has covered.
    func purgeRule(nowInSeconds: Int64, repairedAt: Int64? = nil) -> PurgeRule {
        PurgeRule(
            nowInSeconds: nowInSeconds,
            gcBefore: tombstones.gc.gcBefore(
                nowInSeconds: nowInSeconds, gcGraceSeconds: tombstones.graceSeconds,
                isSingleReplica: isSingleReplica, repairedAt: repairedAt),
            dropped: droppedCells)
    }

    /// The first log position that only memtables hold; nil without one.
    var oldestUnflushed: LogPosition? {
        for memtable in frozen {
            if let position = memtable.firstPosition { return position }
        }
        return live.firstPosition
    }

    var name: String { "\(schema.keyspace).\(schema.name)" }
}

/// A block that was asked for, and the reads that wait for it.
struct BlockRequest {
    let sstable: SSTable
    let index: Int
    var waiting: [ReadRun]
}

/// A job of the engine that the world is running.
enum RunningJob {
    case flush(MergeJob, TableState, Memtable, generation: Int, number: UInt64)
    case compaction(RunningCompaction)
    case manifest
    case removal
    case maintenance(MaintenanceTask, MaintenanceRun)
    case usage(DiskUsageJob)
}
