// An SSTable as its shard has it: the resident metadata, the blocks that are cached, and who needs it.

internal import Encoding
internal import Environment
internal import Model

/// One open SSTable. Owned by its table; used only by the shard.
final class SSTable {
    let number: UInt64
    let table: TableID
    let metadata: SSTableMetadata
    /// All mutations of the table up to here that it was made of.
    let position: LogPosition
    /// Blocks that are in the cache, by their number; only the cache changes it.
    var cached: [Block?]
    /// Parked reads and jobs that still need the file.
    var pins = 0
    /// No longer of the table: the file goes when the last pin goes.
    var isObsolete = false
    /// An input of the compaction that is running.
    var isCompacting = false

    init(number: UInt64, table: TableID, metadata: SSTableMetadata, position: LogPosition) {
        self.number = number
        self.table = table
        self.metadata = metadata
        self.position = position
        cached = Array(repeating: nil, count: metadata.blocks.count)
    }
}
