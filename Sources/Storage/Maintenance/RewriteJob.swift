// Writes one SSTable anew: scrub, cleanup, upgrade and the import of a table whose columns have other
// numbers.
//
//     blocks, one at a time -> fragments -> partitions that are kept -> rows -> SSTableWriter -> file
//
// Nothing is merged and no tombstone is purged: what comes out is what went in, without partitions of
// others, without cells of dropped columns and, when it scrubs, without what is damaged. A block whose checksum fails is left out as a
// whole, because nothing in it can be believed; a partition that began before it or goes on behind it
// keeps its other rows. What is out of order is left out too: the order of the file is what readers
// rely upon. A partition's deletion and static row stand in its first block and go with it.
//
// Memory is bounded by a block. A file without a manifest entry is removed at the next start, so that a
// crash at any step changes nothing.

internal import Encoding
internal import Environment
internal import Model

/// The work on one file. Made by the shard, run by a worker, read by the shard at its end.
final class RewriteJob: Job {
    struct Plan {
        var source: SSTableMetadata
        var target: MergeJob.Target
        /// The shard's tokens: other partitions belong to another shard, which has its own link.
        var slice: ClosedRange<Int64>
        /// The node's tokens, sorted and apart; nil: all.
        var owned: [ClosedRange<Int64>]?
        var skipsDamage = false
        /// Other numbers for the columns; nil: as they are.
        var columns: ColumnRenumbering?
        /// Cells that are left out.
        var dropped = DroppedCells()
    }

    let title: String
    private let plan: Plan
    private let writer: SSTableWriter
    private var blockIndex = 0
    private let stored = ByteWriter(capacity: 1 << 15)
    private let cursor = FragmentCursor()

    // The partition at hand.
    private var isOpen = false
    private var token: Int64 = 0
    private var key: [UInt8] = []
    private var lastRow: [UInt8]?
    private var ranges: [RangeTombstone] = []
    /// The head waits until something of the partition is written.
    private var pendingHead: (deletion: Deletion, staticRow: [UInt8])?
    /// The row at hand, where it is not written as it was.
    private let output = ByteWriter(capacity: 1 << 10)

    /// The new file; nil if nothing was left.
    private(set) var result: SSTableMetadata?
    private(set) var failure: StorageError?
    private(set) var report = MaintenanceReport()

    init(title: String, _ plan: Plan) {
        self.title = title
        self.plan = plan
        writer = SSTableWriter(
            file: plan.target.file, identity: plan.target.identity, layout: plan.target.layout,
            expectedPartitions: plan.source.statistics.partitions,
            expectedBlocks: plan.source.blocks.count)
        report.files = 1
    }

    func step(_ files: any FileSystem, budgetBytes: Int) throws(DiskFailure) -> JobProgress {
        let before = report.bytesRead + report.bytesWritten
        do throws(StorageError) {
            while blockIndex < plan.source.blocks.count {
                try rewriteBlock(files)
                blockIndex += 1
                if writer.output.count >= 1 << 16 { try write(files) }
                if report.bytesRead + report.bytesWritten - before >= budgetBytes {
                    return .more(bytes: report.bytesRead + report.bytesWritten - before)
                }
            }
            try endPartition()
            try finish(files)
        } catch {
            if case .disk(let failure) = error { throw failure }
            failure = error
            if writer.hasOpenFile { try files.remove(plan.target.file) }
        }
        return .done(bytes: report.bytesRead + report.bytesWritten - before)
    }

    // MARK: Blocks

    /// Throws what is wrong, or notes it and goes on when it scrubs.
    private func damaged(_ error: StorageError) throws(StorageError) {
        guard plan.skipsDamage, case .corruption(let corruption) = error else { throw error }
        report.add(MaintenanceFinding(corruption))
    }

    private func rewriteBlock(_ files: any FileSystem) throws(StorageError) {
        let block: Block
        do throws(StorageError) {
            block = try readBlock(files)
        } catch {
            report.droppedBlocks += 1
            return try damaged(error)
        }
        for index in 0..<block.count {
            let fragment: Fragment
            do throws(StorageError) {
                fragment = try block.fragment(index)
            } catch {
                report.droppedPartitions += 1
                try damaged(error)
                continue
            }
            try take(fragment, block.token(index), block)
        }
    }

    private func readBlock(_ files: any FileSystem) throws(StorageError) -> Block {
        let entry = plan.source.blocks[blockIndex]
        stored.removeAll()
        do throws(DiskFailure) {
            try files.read(plan.source.file, at: entry.offset, count: entry.length, into: stored)
        } catch {
            // A broken sector is damage of this block; a crash or a missing file is not.
            guard error.reason == .inputOutput else { throw .disk(error) }
            throw .corruption(
                CorruptionError(file: plan.source.file, offset: entry.offset, detail: error.detail))
        }
        report.bytesRead += stored.count
        return try Block.decode(stored.bytes, entry, plan.source)
    }

    // MARK: Partitions

    private func take(
        _ fragment: Fragment, _ fragmentToken: Int64, _ block: Block
    ) throws(StorageError) {
        guard plan.slice.contains(fragmentToken) else { return }
        guard isOwned(fragmentToken) else {
            if !fragment.flags.contains(.continued) { report.foreignPartitions += 1 }
            return
        }
        let isSame =
            isOpen && fragmentToken == token
            && key.withUnsafeBytes { equalBytes(fragment.key, $0) }
        if !isSame {
            if isOpen, follows(fragmentToken, fragment.key) == false {
                report.droppedPartitions += 1
                return try damaged(
                    block.damaged(MalformedBytes("partition out of order", offset: 0)))
            }
            try endPartition()
            try begin(fragment, fragmentToken, block)
        } else if !fragment.flags.contains(.continued) {
            report.droppedPartitions += 1
            return try damaged(block.damaged(MalformedBytes("partition twice", offset: 0)))
        }
        do throws(MalformedBytes) {
            let found = try fragment.ranges
            if !found.isEmpty { ranges = RangeTombstones.merged(ranges, found) }
        } catch {
            report.droppedRows += 1
            try damaged(block.damaged(error))
        }
        try takeRows(fragment, block)
    }

    private func isOwned(_ token: Int64) -> Bool {
        guard let owned = plan.owned else { return true }
        return SortedRanges.contain(owned, token)
    }

    private func follows(_ nextToken: Int64, _ nextKey: UnsafeRawBufferPointer) -> Bool {
        if nextToken != token { return nextToken > token }
        return key.withUnsafeBytes { compareBytes($0, nextKey) < 0 }
    }

    private func begin(
        _ fragment: Fragment, _ fragmentToken: Int64, _ block: Block
    ) throws(StorageError) {
        token = fragmentToken
        key = [UInt8](fragment.key)
        lastRow = nil
        ranges = []
        isOpen = true
        var staticRow: [UInt8] = []
        if !fragment.staticRow.isEmpty {
            do throws(MalformedBytes) {
                let row = try RowView(fragment.staticRow)
                try row.validate()
                if let kept = try rewritten(row) { staticRow = [UInt8](kept) }
            } catch {
                report.droppedRows += 1
                try damaged(block.damaged(error))
            }
        }
        pendingHead = (fragment.deletion, staticRow)
    }

    private func writeHead() throws(StorageError) {
        guard let head = pendingHead else { return }
        pendingHead = nil
        report.partitions += 1
        try key.withBytes { (key) throws(StorageError) in
            try head.staticRow.withBytes { (staticRow) throws(StorageError) in
                try writer.beginPartition(
                    token: token, key: key, deletion: head.deletion, staticRow: staticRow)
            }
        }
    }

    private func takeRows(_ fragment: Fragment, _ block: Block) throws(StorageError) {
        var taken = 0
        do throws(StorageError) {
            try reading { () throws(MalformedBytes) in try cursor.seekForward(fragment, nil) }
            while !cursor.isAtEnd {
                try takeRow(cursor.key, cursor.row)
                taken += 1
                try reading { () throws(MalformedBytes) in try cursor.next() }
            }
        } catch {
            guard case .malformed(let error) = error else { throw error }
            report.droppedRows += max(1, fragment.rowCount - taken)
            try damaged(block.damaged(error))
        }
    }

    private func reading(_ body: () throws(MalformedBytes) -> Void) throws(StorageError) {
        do { try body() } catch { throw .malformed(error) }
    }

    private func takeRow(
        _ rowKey: UnsafeRawBufferPointer, _ bytes: UnsafeRawBufferPointer
    ) throws(StorageError) {
        if let lastRow, lastRow.withUnsafeBytes({ compareBytes($0, rowKey) >= 0 }) {
            throw .malformed(MalformedBytes("row out of order", offset: 0))
        }
        var kept: UnsafeRawBufferPointer?
        try reading { () throws(MalformedBytes) in
            let view = try RowView(bytes)
            try view.validate()
            kept = try rewritten(view)
        }
        lastRow = [UInt8](rowKey)
        guard let row = kept else { return }
        try writeHead()
        if writer.wantsCut(before: rowKey.count + row.count) {
            try writer.cut(
                before: rowKey,
                ranges: RangeTombstones.clipped(ranges, from: writer.spanStart, to: [UInt8](rowKey))
            )
            ranges = RangeTombstones.clipped(ranges, from: writer.spanStart, to: nil)
        }
        try writer.addRow(key: rowKey, row: row)
        report.rows += 1
    }

    /// The row as it is written, valid until the next one; nil if nothing is left of it.
    private func rewritten(_ row: RowView) throws(MalformedBytes) -> UnsafeRawBufferPointer? {
        if let columns = plan.columns {
            output.removeAll()
            return try columns.rewrite(row, into: output) ? output.bytes : nil
        }
        let rule = PurgeRule.only(plan.dropped)
        guard !plan.dropped.isEmpty, try RowPurge.inspect(row, rule).needsRewrite else {
            return row.bytes
        }
        output.removeAll()
        return try RowPurge.rewrite(row, rule, into: output) ? output.bytes : nil
    }

    private func endPartition() throws(StorageError) {
        guard isOpen else { return }
        isOpen = false
        if let head = pendingHead, head.deletion.isNone, head.staticRow.isEmpty, ranges.isEmpty {
            pendingHead = nil
            return
        }
        try writeHead()
        try writer.endPartition(
            ranges: RangeTombstones.clipped(ranges, from: writer.spanStart, to: nil))
    }

    // MARK: The file

    private func write(_ files: any FileSystem) throws(StorageError) {
        let before = writer.outputOffset
        defer { report.bytesWritten += writer.outputOffset - before }
        try writer.write(to: files)
    }

    private func finish(_ files: any FileSystem) throws(StorageError) {
        report.rewritten = 1
        let before = writer.outputOffset
        defer { report.bytesWritten += writer.outputOffset - before }
        guard let built = try writer.finish(to: files) else { return }
        try storing { () throws(DiskFailure) in try files.syncFolder() }
        result = built
    }
}

/// Sorted ranges that do not touch each other.
enum SortedRanges {
    /// Whether one of them contains the value. Cost: a binary search.
    static func contain(_ ranges: [ClosedRange<Int64>], _ value: Int64) -> Bool {
        var low = 0
        var high = ranges.count
        while low < high {
            let middle = (low + high) >> 1
            if ranges[middle].upperBound < value { low = middle + 1 } else { high = middle }
        }
        return low < ranges.count && ranges[low].contains(value)
    }

    /// Whether one of them covers all of `range`.
    static func cover(_ ranges: [ClosedRange<Int64>], _ range: ClosedRange<Int64>) -> Bool {
        ranges.contains {
            $0.lowerBound <= range.lowerBound && $0.upperBound >= range.upperBound
        }
    }
}
