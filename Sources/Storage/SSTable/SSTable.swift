// An SSTable as its shard has it: the resident metadata, the blocks that are cached, and who needs it.

internal import Encoding
internal import Environment
internal import Model

/// The cache's place for a block of a file.
struct CachedBlock {
    /// Nil: it is not in the cache.
    var block: Block?
    /// The block's, so that a look-up does not touch the object: its count of references is a cache miss.
    var view = BlockView(bytes: UnsafeRawBufferPointer(start: nil, count: 0), count: 0)
    /// How often it was found since its queue came by.
    var hits: UInt8 = 0
}

/// One open SSTable. Owned by its table; used only by the shard.
final class SSTable {
    let number: UInt64
    let table: TableID
    let metadata: SSTableMetadata
    /// What the manifest says of it; its level and its repair may change.
    var entry: ManifestEntry
    /// All mutations of the table up to here that it was made of.
    var position: LogPosition { entry.position }
    /// Blocks that are in the cache, by their number; only the cache changes it.
    let cached: UnsafeMutableBufferPointer<CachedBlock>
    /// Parked reads and jobs that still need the file.
    var pins = 0
    /// No longer of the table: the file goes when the last pin goes.
    var isObsolete = false
    /// An input of a compaction that is running.
    var isCompacting = false
    /// A compaction gave up over it, for damage or for a row that is too large: it is not compacted any more, so
    /// that what can be read stays as it is.
    var isSuspect = false

    init(_ entry: ManifestEntry, _ metadata: SSTableMetadata) {
        number = entry.number
        table = entry.table
        self.entry = entry
        self.metadata = metadata
        cached = .allocate(capacity: metadata.blocks.count)
        cached.initialize(repeating: CachedBlock())
    }

    deinit {
        cached.deinitialize()
        cached.deallocate()
    }
}
