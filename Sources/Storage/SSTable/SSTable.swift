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
    /// Blocks that are in the cache, by their number.
    fileprivate(set) var cached: [Block?]
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

/// Decompressed blocks, up to a number of bytes, for all SSTables of a shard.
///
/// Replacement is CLOCK with counts (GCLOCK): a block enters without credit and earns one with each
/// later hit of a point read, so what a scan brings in leaves first. Finding a block is an index into
/// its SSTable's array: no hashing.
final class BlockCache {
    private struct Slot {
        let block: Block
        let sstable: SSTable
        let index: Int
    }

    private let limitBytes: Int
    private var slots: [Slot] = []
    private var hand = 0
    private(set) var bytes = 0
    @exclusivity(unchecked) private(set) var hits = 0
    private(set) var misses = 0

    init(limitBytes: Int) { self.limitBytes = limitBytes }

    /// The cached block, which earns credit unless a scan asks.
    @inline(__always)
    func find(_ sstable: SSTable, _ index: Int, isScan: Bool) -> Block? {
        guard let block = sstable.cached[index] else {
            misses += 1
            return nil
        }
        hits += 1
        if !isScan, block.hits < 3 { block.hits += 1 }
        return block
    }

    func insert(_ block: Block, _ sstable: SSTable, _ index: Int) {
        guard sstable.cached[index] == nil, !sstable.isObsolete else { return }
        let size = block.bytes.count
        guard size <= limitBytes else { return }
        while bytes + size > limitBytes, !slots.isEmpty { evictOne() }
        sstable.cached[index] = block
        slots.append(Slot(block: block, sstable: sstable, index: index))
        bytes += size
    }

    private func evictOne() {
        while true {
            if hand >= slots.count { hand = 0 }
            let slot = slots[hand]
            if slot.block.hits > 0 {
                slot.block.hits -= 1
                hand += 1
                continue
            }
            remove(at: hand)
            hand += 1
            return
        }
    }

    private func remove(at place: Int) {
        let slot = slots[place]
        slot.sstable.cached[slot.index] = nil
        bytes -= slot.block.bytes.count
        let last = slots.removeLast()
        if place < slots.count { slots[place] = last }
    }

    /// Forgets the blocks of a file that is no longer read.
    func forget(_ sstable: SSTable) {
        var place = 0
        while place < slots.count {
            if slots[place].sstable === sstable { remove(at: place) } else { place += 1 }
        }
    }
}
