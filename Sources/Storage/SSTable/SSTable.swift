// An SSTable as its shard has it: the resident metadata, the blocks that are cached, and who needs it.

internal import Encoding
internal import Environment
internal import Model

/// One open SSTable. Owned by its table; used only by the shard.
final class SSTable {
    let number: UInt64
    let table: TableID
    let metadata: SSTableMetadata
    /// What the manifest says of it; its level and its repair may change.
    var entry: ManifestEntry
    /// All mutations of the table up to here that it was made of.
    var position: LogPosition { entry.position }
    /// Those of its blocks that are in the cache.
    let places: CachedFile
    /// The same, where they lie.
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
        places = CachedFile(number: number, blocks: metadata.blocks.count)
        cached = places.places
    }
}
