// The newest data of one table, in memory: what the commit log holds and no SSTable does yet.
//
// A write is merged on arrival: a row that exists is replaced in place if the merged row fits its
// record, else a new record is made and the old one counted as garbage; a row of many cells is kept in
// pieces instead (`WideRow`). Deletions of partitions and
// ranges are kept beside the rows and shadow them when they are read, so a range deletion costs no walk.
//
// A frozen memtable never changes again; its flush job reads it on another thread while reads go on.
//
// Cost of an insert: the directory's lookup, one copy of key and row into the arena, nothing else.

internal import Encoding
internal import Model

/// One table's memtable. Owned by its engine.
final class Memtable {
    private let arena: Arena
    private let directory: PartitionDirectory
    private var rangeLists: [RangeList] = [RangeList()]
    /// Made for the first row that is wide.
    private var wideRowSpace: WideRowSpace?
    private(set) var isFrozen = false
    /// The log position of the first mutation in here that is in the log.
    private(set) var firstPosition: LogPosition?
    /// Whatever the log holds of the table up to here, and no earlier memtable has, is in here.
    private(set) var lastPosition = LogPosition.zero
    /// No cell, marker or deletion in here is older.
    private(set) var oldestTimestamp = Int64.max
    /// Nothing in here is deleted or expires: there is nothing to purge.
    private(set) var isPlain = true
    /// Some row, or what lies around the rows of a partition, may take a large part of the memory.
    private(set) var mayHoldLargeRows = false
    private(set) var rowCount = 0
    private(set) var garbageBytes = 0
    /// Views that hold this memtable besides the table itself; its memory is recycled at zero.
    var pins = 0
    /// Its data is in an SSTable or was truncated: the memory goes when the last pin goes.
    private(set) var isRetired = false

    /// The range deletions of one partition: a merged list, and what came since.
    private struct RangeList {
        var merged: [RangeTombstone] = []
        var pending: [[RangeTombstone]] = []
    }

    init(slice: ClosedRange<Int64>, expectedPartitions: Int, pool: ArenaPool) {
        arena = Arena(pool: pool)
        directory = PartitionDirectory(
            slice: slice, expectedCount: expectedPartitions, arena: arena)
    }

    var partitionCount: Int { directory.count }
    var isEmpty: Bool { directory.count == 0 }
    /// Memory held, in bytes.
    var bytes: Int { arena.heldBytes }

    // MARK: Writing

    /// Has the processor load what writes of these partitions will touch.
    func prefetch(_ tokens: UnsafeBufferPointer<Int64>) { directory.prefetch(tokens) }

    /// The same for a single write that comes after some other work: first `prefetchSlot`, and a hundred
    /// nanoseconds later, when that has come, `prefetchLeaf`.
    @inline(__always)
    func prefetchSlot(_ token: Int64) { directory.prefetchSlot(token) }
    @inline(__always)
    func prefetchLeaf(_ token: Int64) { directory.prefetchLeaf(token) }

    /// Merges a mutation's partition in. `partition` was validated; its oldest timestamp is given, and
    /// whether surely nothing in it is a deletion or expires, and the position behind its record, or for
    /// one that is not logged the log's end.
    func apply(
        token: Int64, key: UnsafeRawBufferPointer, _ partition: PartitionView,
        oldestTimestamp oldest: Int64, isPlain: Bool = false, position: LogPosition,
        isLogged: Bool = true, scratch: ByteWriter
    ) throws(MalformedBytes) {
        precondition(!isFrozen)
        if !isPlain { self.isPlain = false }
        if partition.bytes.count > Self.largeRowBytes { mayHoldLargeRows = true }
        if firstPosition == nil, isLogged { firstPosition = position }
        lastPosition = position
        if oldest < oldestTimestamp { oldestTimestamp = oldest }
        let node = directory.findOrInsert(token: token, key: key)
        if !partition.deletion.isNone {
            node.set(deletion: node.deletion.merged(with: partition.deletion), in: arena)
        }
        if !partition.ranges.isEmpty { addRanges(partition.ranges, to: node) }
        if !partition.staticRow.isEmpty {
            if let record = node.staticRow {
                node.set(
                    staticRow: try merged(record, partition.staticRow, scratch), in: arena)
            } else {
                node.set(
                    staticRow: RowRecord.make(
                        key: UnsafeRawBufferPointer(start: nil, count: 0),
                        row: partition.staticRow, slack: 0, in: arena), in: arena)
            }
        }
        var rows = partition.rows
        while let (rowKey, row) = try rows.next() {
            try apply(rowKey, row, to: node, scratch)
        }
    }

    private func apply(
        _ key: UnsafeRawBufferPointer, _ row: UnsafeRawBufferPointer, to node: PartitionNode,
        _ scratch: ByteWriter
    ) throws(MalformedBytes) {
        var root: UnsafeMutableRawPointer
        switch node.rows {
        case .none:
            node.set(rows: .one(RowRecord.make(key: key, row: row, slack: 0, in: arena)))
            rowCount += 1
            return
        case .one(let record):
            if equalBytes(record.key, key) {
                let result = try merged(record, row, scratch)
                if result.base != record.base { node.set(rows: .one(result)) }
                return
            }
            root = RowTree.make(first: record, in: arena)
        case .tree(let tree):
            if let slot = RowTree.find(key, root: tree),
                let old = UnsafeMutableRawPointer(bitPattern: slot.pointee)
            {
                slot.pointee = UInt(bitPattern: try merged(RowRecord(old), row, scratch).base)
                return
            }
            root = tree
        }
        RowTree.insert(
            RowRecord.make(key: key, row: row, slack: 0, in: arena), root: &root, in: arena)
        node.set(rows: .tree(root))
        rowCount += 1
    }

    /// The record that holds both versions: the old one if the merged row fits there.
    private func merged(
        _ record: RowRecord, _ row: UnsafeRawBufferPointer, _ scratch: ByteWriter
    ) throws(MalformedBytes) -> RowRecord {
        if record.isWide {
            mayHoldLargeRows = true
            return try WideRow.merge(record, try RowView(row), in: arena, spaceForWideRows())
        }
        // A row that is put again replaces the one before.
        if let isNewer = try RowMerge.isNewer(row, than: record.row),
            !isNewer || record.replaceInPlace(row)
        {
            return record
        }
        scratch.removeAll()
        guard try RowMerge.merge(try RowView(record.row), try RowView(row), into: scratch) else {
            return record
        }
        if scratch.count >= WideRow.thresholdBytes {
            if scratch.count > Self.largeRowBytes { mayHoldLargeRows = true }
            let merged = try RowView(scratch.bytes)
            if try WideRow.suits(merged) {
                garbageBytes += record.bytes
                return try WideRow.make(key: record.key, merged, in: arena, spaceForWideRows())
            }
        }
        if record.replaceInPlace(scratch.bytes) { return record }
        garbageBytes += record.bytes
        // A row that grew once grows again: leave it a quarter more.
        return RowRecord.make(
            key: record.key, row: scratch.bytes, slack: scratch.count / 4, in: arena)
    }

    private func spaceForWideRows() -> WideRowSpace {
        if let wideRowSpace { return wideRowSpace }
        let space = WideRowSpace()
        wideRowSpace = space
        return space
    }

    private static let largeRowBytes = 1 << 20

    private func addRanges(_ ranges: [RangeTombstone], to node: PartitionNode) {
        mayHoldLargeRows = true
        if node.rangeList == 0 {
            rangeLists.append(RangeList())
            node.set(rangeList: rangeLists.count - 1, in: arena)
        }
        rangeLists[node.rangeList].pending.append(ranges)
        var bytes = 0
        for range in ranges { bytes += range.start.count + range.end.count + 96 }
        arena.charge(bytes)
    }

    /// Ends all writing.
    func freeze() {
        for index in rangeLists.indices { settle(index) }
        isFrozen = true
    }

    /// Merges what is pending, in rounds of pairs: n log n, not n squared.
    private func settle(_ index: Int) {
        guard !rangeLists[index].pending.isEmpty else { return }
        var lists = rangeLists[index].pending
        lists.append(rangeLists[index].merged)
        while lists.count > 1 {
            var next: [[RangeTombstone]] = []
            for pair in stride(from: 0, to: lists.count, by: 2) {
                next.append(
                    pair + 1 < lists.count
                        ? RangeTombstones.merged(lists[pair], lists[pair + 1]) : lists[pair])
            }
            lists = next
        }
        rangeLists[index] = RangeList(merged: lists[0], pending: [])
    }

    /// The table is done with it.
    func retire() {
        isRetired = true
        if pins == 0 { recycle() }
    }

    /// Gives the memory to the pool. Nobody may read this memtable afterwards.
    func recycle() {
        precondition(pins == 0 && isRetired)
        arena.recycle()
    }

    // MARK: Reading

    func find(token: Int64, key: UnsafeRawBufferPointer) -> PartitionNode? {
        directory.find(token: token, key: key)
    }

    /// Walks over partitions in order, from the first with at least that token.
    func cursor(from token: Int64) -> PartitionDirectory.Cursor { directory.cursor(from: token) }

    /// The partition's range deletions, merged.
    func ranges(of node: PartitionNode) -> [RangeTombstone] {
        let index = node.rangeList
        if index == 0 { return [] }
        if !isFrozen { settle(index) }
        return rangeLists[index].merged
    }
}

@inline(__always)
func compare(_ key: UnsafeRawBufferPointer, _ bound: [UInt8]) -> Int {
    bound.withUnsafeBytes { compareBytes(key, $0) }
}
