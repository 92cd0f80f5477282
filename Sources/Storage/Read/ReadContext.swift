// What one run of a read may look at, and what it found missing.
//
// A run goes as far as the blocks in memory allow. What it lacks it notes down, all of it that it can
// know, and ends; when the blocks have come, the next run begins again at the last partition that was
// finished. Nothing points into a live memtable between two runs.

internal import Encoding
internal import Environment
internal import Model

/// Names a block of an SSTable.
struct BlockKey: Hashable {
    let number: UInt64
    let index: Int
}

/// The sources of a table at one moment. Immutable; a class, because each read takes one, and a copy of it counts
/// four references.
final class TableView {
    /// Any order; the live one among them.
    let memtables: [Memtable]
    /// In the order in which reads should look: `newestFirst`. Any other is right too, but slower.
    let sstables: [SSTable]
    /// The same files, as look-ups ask them.
    let probes: FileProbes
    /// Without it reads leave out no file by timestamp, and count nothing.
    let reading: TableReading?

    init(memtables: [Memtable], sstables: [SSTable], reading: TableReading? = nil) {
        self.memtables = memtables
        self.sstables = sstables
        self.reading = reading
        probes = FileProbes(sstables)
    }

    /// By falling newest timestamp.
    static func newestFirst(_ sstables: [SSTable]) -> [SSTable] {
        sstables.sorted { a, b in
            let left = a.metadata.statistics.maximumTimestamp
            let right = b.metadata.statistics.maximumTimestamp
            return left == right ? a.number > b.number : left > right
        }
    }
}

/// Shared by all parts of a run. Owned by the engine, used again for each run.
final class ReadContext {
    let cache: BlockCache
    private(set) var missing: [(sstable: SSTable, index: Int)] = []
    /// Blocks that this read waited for; kept until it ends, whatever the cache does.
    var held: [BlockKey: Block] = [:]
    /// How many blocks to ask for beyond the missing one, in the direction of reading.
    var readAhead = 0
    var isScan = false

    init(cache: BlockCache) { self.cache = cache }

    func begin(isScan: Bool, held: [BlockKey: Block], readAhead: Int) {
        if !missing.isEmpty { missing.removeAll(keepingCapacity: true) }
        self.held = held
        self.isScan = isScan
        self.readAhead = readAhead
    }

    /// The block if it is in memory; else it is noted as missing.
    @inline(__always)
    func block(_ sstable: SSTable, _ index: Int) -> Block? {
        if let block = cache.find(sstable, index, isScan: isScan) { return block }
        return heldBlock(sstable, index)
    }

    /// The same without a reference: for what ends with the run, until when no block goes.
    @inline(__always)
    func view(_ sstable: SSTable, _ index: Int) -> BlockView? {
        if let view = cache.look(sstable.cached, index, isScan: isScan) { return view }
        cache.countMiss()
        return heldBlock(sstable, index)?.view
    }

    private func heldBlock(_ sstable: SSTable, _ index: Int) -> Block? {
        if let block = held[BlockKey(number: sstable.number, index: index)] { return block }
        miss(sstable, index)
        return nil
    }

    /// Notes a block as needed soon.
    func expect(_ sstable: SSTable, _ index: Int) {
        guard sstable.cached[index].block == nil,
            held[BlockKey(number: sstable.number, index: index)] == nil
        else { return }
        miss(sstable, index)
    }

    private func miss(_ sstable: SSTable, _ index: Int) {
        if missing.contains(where: { $0.sstable === sstable && $0.index == index }) { return }
        missing.append((sstable, index))
    }
}
