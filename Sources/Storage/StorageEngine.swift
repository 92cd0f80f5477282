// One shard's storage engine: commit log, memtables, SSTables, compaction.
//
//     apply  -> commit log buffer + live memtable
//     read   -> live memtable + frozen memtables + SSTables, merged; parks while blocks are read
//     endTick-> the step's one log append, syncs that are due, jobs that are due
//     receive-> the ends of syncs, block reads and jobs
//
// The engine is part of its shard: single-threaded, without clocks, files or threads of its own. It
// touches files only at `open`; later its jobs do, which the world runs elsewhere.
//
// Invariants
//   - what `apply` took is in the log's buffer and in a memtable, or in neither;
//   - an SSTable is shown to reads only after the manifest that names it is durable, and the memtable
//     that it was made of leaves in the same step;
//   - a segment is given up only when every mutation in it is in a durable SSTable or was truncated.

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
}

/// What came back at the start.
package struct ReplayReport: Equatable, Sendable {
    package var records = 0
    /// Already in SSTables, truncated, or of tables that are gone.
    package var skipped = 0
    /// Segments whose end was torn, and the sound records behind the tear.
    package var tornSegments = 0
    package var droppedRecords = 0
}

/// The engine of one shard. Owned by the shard.
package final class StorageEngine {
    let configuration: Configuration.Storage
    let prefix: String
    let slice: ClosedRange<Int64>
    let effectIDs: EffectIDs
    let pool: ArenaPool
    var schema: SchemaSnapshot
    var log: CommitLog
    var tables: [TableID: TableState] = [:]
    /// In order of their ids: what is visible goes through this list.
    var tableList: [TableState] = []
    var lastTable: TableState?
    var pendingRequestSync = false

    let partitionReader = PartitionReader()
    var memtableSources: [MemtableRowSource] = []
    let mergeScratch = ByteWriter(capacity: 1 << 12)

    /// Reads that were parked and have ended; the shard takes them after each event.
    package var completedReads: [CompletedRead] = []
    package internal(set) var replayReport = ReplayReport()

    init(_ start: StorageStart, log: CommitLog) {
        configuration = start.configuration
        prefix = start.prefix
        slice = start.slice
        effectIDs = start.effectIDs
        schema = start.schema
        pool = ArenaPool(limitBytes: start.configuration.memtableBytes)
        self.log = log
    }

    /// Everything appended at or before it survives a power loss.
    package var syncedPosition: LogPosition { log.syncedPosition }

    func table(_ id: TableID) -> TableState? {
        if let lastTable, lastTable.id == id { return lastTable }
        guard let table = tables[id] else { return nil }
        lastTable = table
        return table
    }
}

/// One table as the engine has it.
final class TableState {
    let id: TableID
    var schema: TableSchema
    var live: Memtable
    /// Oldest first.
    var frozen: [Memtable] = []
    /// All mutations of the table up to here are in SSTables, or truncated.
    var flushedPosition = LogPosition.zero

    init(schema: TableSchema, live: Memtable) {
        id = schema.id
        self.schema = schema
        self.live = live
    }

    /// Purge rule of a read at that second.
    func purgeRule(nowInSeconds: Int64) -> PurgeRule {
        PurgeRule(
            nowInSeconds: nowInSeconds,
            gcBefore: nowInSeconds - Int64(schema.options.gcGraceSeconds))
    }
}
