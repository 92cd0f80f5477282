// What an engine and its tables can be told.

internal import Encoding
internal import Environment
internal import Model

/// Settings of an engine. They are not kept: each `Engine.open` brings its own.
public struct EngineOptions: Sendable {
    /// When a write has returned, where is it?
    public enum Durability: Sendable {
        /// In the kernel: it survives the end of this process, and a loss of power once it is synced,
        /// which happens with the first call after `syncIntervalMilliseconds`, and at `sync`.
        case periodic
        /// On the device: it survives a loss of power.
        case everyWrite
    }

    /// When writes are synced.
    public var durability = Durability.periodic
    /// The longest time between two syncs of the log while calls come, for `.periodic`.
    public var syncIntervalMilliseconds = 10_000
    /// Memory of all memtables together. A table's memtable is flushed at half of it; writes wait
    /// while more is in use.
    public var memtableBytes = 64 << 20
    /// Memory of decompressed blocks that were read, and of the index and filters of all files, which
    /// are always in memory: some 70 to 140 bytes for each block and 1.5 for each partition. A quarter of
    /// it is kept for blocks even if they would need more.
    public var blockCacheBytes = 64 << 20
    /// The size that blocks of a file are aimed at, before compression.
    public var blockBytes = 16 << 10
    /// Size of a file of the log.
    public var logSegmentBytes = 32 << 20
    /// All files of the log together; above it the oldest memtable is flushed.
    public var logTotalBytes = 256 << 20
    /// Threads that flush and compact.
    public var jobThreads = 2
    /// How many bytes of files compactions may read in a second; 0 for no limit.
    public var compactionBytesPerSecond = 0
    /// Blocks are read around the kernel's page cache (`O_DIRECT`), where the file system can do that:
    /// then the block cache is the only one.
    public var readsDirectly = false
    /// Threads that read blocks where the kernel has no io_uring.
    public var readThreads = 2

    /// The defaults.
    public init() {}

    func validate() throws(EngineError) {
        guard memtableBytes >= 1 << 16, blockCacheBytes >= 0, blockBytes >= 256,
            blockBytes <= 1 << 24, logSegmentBytes >= 1 << 16, logSegmentBytes <= 1 << 30,
            logTotalBytes >= logSegmentBytes, syncIntervalMilliseconds > 0,
            (1...64).contains(jobThreads), (1...64).contains(readThreads),
            compactionBytesPerSecond >= 0
        else { throw .invalid("the engine's options are out of range: \(self)") }
    }

    var storage: Configuration.Storage {
        var storage = Configuration.Storage()
        storage.commitLogSync = durability == .everyWrite ? .batch : .periodic
        storage.commitLogSyncPeriod = .milliseconds(Int64(syncIntervalMilliseconds))
        storage.commitLogSegmentBytes = logSegmentBytes
        storage.commitLogTotalBytes = logTotalBytes
        storage.memtableBytes = memtableBytes
        storage.blockBytes = blockBytes
        storage.blockCacheBytes = blockCacheBytes
        storage.compactionThroughputBytesPerSecond = compactionBytesPerSecond
        storage.diskAccessMode = readsDirectly ? .direct : .standard
        return storage
    }
}

/// A table's name and how its files are made. Kept by the engine.
public struct TableDefinition: Equatable, Sendable {
    /// Unique in its engine; one to 200 bytes.
    public var name: String
    /// Whether a partition has many rows, told apart by clustering keys, or a single one.
    public var isClustered = false
    /// Whether blocks are compressed (LZ4).
    public var isCompressed = true
    /// How often a file's filter may say "perhaps" for a key that the file does not have.
    public var falsePositiveChance = 0.01
    /// How long a deletion is kept before compaction may forget it. An engine that stands alone needs
    /// none: nobody brings back what was deleted.
    public var tombstoneGraceSeconds = 0

    /// A definition with the defaults.
    public init(name: String) { self.name = name }

    func validate() throws(EngineError) {
        guard (1...200).contains(name.utf8.count), falsePositiveChance > 0,
            falsePositiveChance <= 1, (0...Int(Int32.max)).contains(tombstoneGraceSeconds)
        else { throw .invalid("the definition of table \(name) is out of range") }
    }

    /// The key is one blob, the clustering key another: their encodings are the caller's.
    func schema(number: UInt32) -> TableSchema {
        var options = TableOptions()
        options.bloomFilterFalsePositiveChance = falsePositiveChance
        options.gcGraceSeconds = Int32(tombstoneGraceSeconds)
        // Size-tiered with tiers from a megabyte up. Cassandra's default gathers all files under 50 MiB in
        // one tier, and where memtables are small rewrites most of it each time.
        options.compaction["min_sstable_size"] = "\(1 << 20)"
        if !isCompressed { options.compression = ["enabled": "false"] }
        var columns = [
            ColumnSchema(
                id: ColumnID(0), name: "key", type: .blob, kind: .partitionKey(position: 0))
        ]
        if isClustered {
            columns.append(
                ColumnSchema(
                    id: ColumnID(1), name: "row", type: .blob,
                    kind: .clustering(position: 0, order: .ascending)))
        }
        return TableSchema(
            id: Self.id(number), keyspace: "engine", name: name, columns: columns, options: options,
            nextColumnID: 2)
    }

    static func id(_ number: UInt32) -> TableID {
        TableID(UniqueID(high: 0x656E_6769_6E65_0000, low: UInt64(number)))
    }
}
