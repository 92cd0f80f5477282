// Flush and compaction: merges sources into one new SSTable, step by step.
//
//     sources -> smallest (token, key) -> merge rows -> shadow -> purge -> SSTableWriter -> file
//     ... -> tail -> sync file -> sync folder -> done
//
// Memory is bounded: the writer's open block, a read buffer for each source, the range deletions of
// the partition at hand. A step stops between two rows once it has done its budget. Nothing of the
// result is seen before the shard has put it into the manifest; a file without a manifest entry is
// removed at the next start.
//
// Purging: a tombstone goes if it is past gc grace and no other source may hold something older of its
// partition: not the memtables at the job's begin, nor any SSTable outside the job whose filter may
// contain the token. Expired values lose their bytes first.

internal import Encoding
internal import Environment
internal import Model

/// The work of a flush or a compaction. Made by the shard, run by a worker, read by the shard at its
/// end.
final class MergeJob: Job {
    struct Target {
        var file: FileName
        var identity: UInt64
        var layout: SSTableLayout
    }

    struct Purge {
        var rule: PurgeRule
        /// SSTables that stay and may hold older data.
        var others: [SSTableMetadata]
    }

    let title: String
    private let scans: [PartitionScan]
    private let writer: SSTableWriter
    private let purge: Purge
    private var hasFile = false
    private var hasBegun = false
    private var isInPartition = false
    private var isFinishing = false
    /// Of the step that is running.
    private var currentFiles: (any FileSystem)?

    /// The new file; nil if nothing was left.
    private(set) var result: SSTableMetadata?
    private(set) var failure: StorageError?
    private(set) var bytesWritten = 0
    private(set) var purgedTombstones = 0

    // The partition at hand.
    private var active: [PartitionScan] = []
    private var deletion = Deletion.none
    private var rule: PurgeRule
    private var versions: [UnsafeRawBufferPointer] = []
    private let merged = ByteWriter(capacity: 1 << 10)
    private let rewritten = ByteWriter(capacity: 1 << 10)
    private let scratch = ByteWriter(capacity: 1 << 10)
    private let rowKey = ByteWriter(capacity: 64)
    private let partitionKey = ByteWriter(capacity: 64)
    /// The partition's head waits until something of it is written.
    private var pendingHead: (token: Int64, staticRow: [UInt8])?

    init(title: String, scans: [PartitionScan], target: Target, purge: Purge) {
        self.title = title
        self.scans = scans
        self.purge = purge
        rule = purge.rule
        writer = SSTableWriter(
            file: target.file, identity: target.identity, layout: target.layout)
    }

    func step(_ files: any FileSystem, budgetBytes: Int) throws(DiskFailure) -> JobProgress {
        let written = bytesWritten
        let read = scans.reduce(0) { $0 + $1.bytesRead }
        func done() -> Int {
            bytesWritten - written + scans.reduce(0) { $0 + $1.bytesRead } - read
        }
        currentFiles = files
        defer { currentFiles = nil }
        do throws(StorageError) {
            for scan in scans {
                if let rows = scan.rows as? SSTableScanRows { rows.files = files }
            }
            if !hasBegun {
                for scan in scans { try scan.nextPartition(files) }
                hasBegun = true
            }
            while !isFinishing {
                if isInPartition {
                    try mergeRow()
                } else {
                    try beginPartition(files)
                }
                if writer.output.count >= 1 << 16 { try write(files) }
                if done() + writer.output.count >= budgetBytes {
                    try write(files)
                    return .more(bytes: done())
                }
            }
            try finish(files)
        } catch {
            if case .disk(let failure) = error { throw failure }
            failure = error
            if hasFile { try files.remove(writer.file) }
        }
        return .done(bytes: done())
    }

    // MARK: Partitions

    private func beginPartition(_ files: any FileSystem) throws(StorageError) {
        var best: PartitionScan?
        for scan in scans where !scan.isAtEnd {
            guard let current = best else {
                best = scan
                continue
            }
            if precedes(scan, current) { best = scan }
        }
        guard let first = best else {
            isFinishing = true
            return
        }
        active.removeAll(keepingCapacity: true)
        deletion = .none
        partitionKey.removeAll()
        partitionKey.append(first.key)
        var staticRows: [UnsafeRawBufferPointer] = []
        for scan in scans
        where !scan.isAtEnd && scan.token == first.token && equalBytes(scan.key, first.key) {
            active.append(scan)
            deletion = deletion.merged(with: scan.deletion)
            if !scan.staticRow.isEmpty { staticRows.append(scan.staticRow) }
        }
        rule = purge.rule
        for other in purge.others where other.mayContain(first.token) {
            rule.olderThan = min(rule.olderThan, other.statistics.minimumTimestamp)
        }
        var staticRow: [UInt8] = []
        do throws(MalformedBytes) {
            if let row = try mergeVersions(staticRows, shadow: deletion) {
                staticRow = [UInt8](row)
            }
        } catch {
            throw .malformed(error)
        }
        isInPartition = true
        let keeps = !deletion.isNone && !rule.purges(deletion)
        if !deletion.isNone && !keeps { purgedTombstones += 1 }
        pendingHead = (first.token, staticRow)
        if keeps || !staticRow.isEmpty { try writeHead() }
    }

    private func precedes(_ a: PartitionScan, _ b: PartitionScan) -> Bool {
        a.token == b.token ? compareBytes(a.key, b.key) < 0 : a.token < b.token
    }

    private func writeHead() throws(StorageError) {
        guard let head = pendingHead else { return }
        pendingHead = nil
        do throws(MalformedBytes) {
            try head.staticRow.withBytes { (staticRow) throws(MalformedBytes) in
                try writer.beginPartition(
                    token: head.token, key: partitionKey.bytes,
                    deletion: rule.purges(deletion) ? .none : deletion, staticRow: staticRow)
            }
        } catch {
            throw .malformed(error)
        }
    }

    /// Merges and purges; nil if nothing is left. The bytes live in one of the scratch buffers.
    private func mergeVersions(
        _ versions: [UnsafeRawBufferPointer], shadow: Deletion
    ) throws(MalformedBytes) -> UnsafeRawBufferPointer? {
        guard let first = versions.first else { return nil }
        var bytes = first
        if versions.count > 1 || !shadow.isNone {
            merged.removeAll()
            guard
                try PartitionMerge.mergeRows(
                    versions, shadow: shadow, scratch: scratch, into: merged)
            else { return nil }
            bytes = merged.bytes
        }
        let row = try RowView(bytes)
        guard try RowPurge.inspect(row, rule).needsRewrite else { return bytes }
        rewritten.removeAll()
        guard try RowPurge.rewrite(row, rule, into: rewritten) else {
            purgedTombstones += 1
            return nil
        }
        return rewritten.bytes
    }

    private func mergeRow() throws(StorageError) {
        var best: RowSource?
        for scan in active where scan.rows.state == .row {
            guard let current = best else {
                best = scan.rows
                continue
            }
            if compareBytes(scan.rows.key, current.key) < 0 { best = scan.rows }
        }
        guard let first = best else { return try endPartition() }
        rowKey.removeAll()
        rowKey.append(first.key)
        var shadow = deletion
        versions.removeAll(keepingCapacity: true)
        for scan in active {
            if !scan.rows.ranges.isEmpty {
                shadow = shadow.merged(
                    with: RangeTombstones.covering(rowKey.bytes, in: scan.rows.ranges))
            }
            if scan.rows.state == .row, equalBytes(scan.rows.key, rowKey.bytes) {
                versions.append(scan.rows.row)
            }
        }
        do throws(MalformedBytes) {
            if let row = try mergeVersions(versions, shadow: shadow) {
                do throws(StorageError) { try writeHead() } catch {
                    throw MalformedBytes("\(error)", offset: 0)
                }
                if writer.wantsCut(before: rowKey.count + row.count) {
                    writer.cut(before: rowKey.bytes, ranges: ranges(before: rowKey.bytes))
                    trimRanges()
                }
                try writer.addRow(key: rowKey.bytes, row: row)
            }
        } catch {
            throw .malformed(error)
        }
        for scan in active
        where scan.rows.state == .row && equalBytes(scan.rows.key, rowKey.bytes) {
            try scan.rows.advance()
        }
    }

    /// The range deletions of all sources in the open fragment's stretch that still mean something.
    private func ranges(before end: UnsafeRawBufferPointer?) -> [RangeTombstone] {
        var all: [RangeTombstone] = []
        for scan in active where !scan.rows.ranges.isEmpty {
            all = RangeTombstones.merged(all, scan.rows.ranges, shadow: deletion)
        }
        if all.isEmpty { return [] }
        let clipped = RangeTombstones.clipped(
            all, from: writer.spanStart, to: end.map { [UInt8]($0) })
        return clipped.filter { !rule.purges($0.deletion) }
    }

    /// Forgets range deletions that end before the open fragment.
    private func trimRanges() {
        guard let start = writer.spanStart else { return }
        for scan in active where !scan.rows.ranges.isEmpty {
            scan.rows.ranges = RangeTombstones.clipped(scan.rows.ranges, from: start, to: nil)
        }
    }

    private func endPartition() throws(StorageError) {
        var rest: [RangeTombstone] = []
        if pendingHead == nil {
            rest = ranges(before: nil)
        } else if active.contains(where: { !$0.rows.ranges.isEmpty }) {
            rest = allRanges()
            if !rest.isEmpty { try writeHead() }
        }
        if pendingHead == nil { writer.endPartition(ranges: rest) }
        pendingHead = nil
        isInPartition = false
        guard let files = currentFiles else { return }
        for scan in active { try scan.nextPartition(files) }
    }

    /// Like `ranges(before:)` of a partition of which nothing was written yet.
    private func allRanges() -> [RangeTombstone] {
        var all: [RangeTombstone] = []
        for scan in active { all = RangeTombstones.merged(all, scan.rows.ranges, shadow: deletion) }
        return all.filter { !rule.purges($0.deletion) }
    }

    // MARK: The file

    private func write(_ files: any FileSystem) throws(StorageError) {
        try storing { () throws(DiskFailure) in
            if !hasFile {
                try files.create(writer.file, preallocate: 0)
                hasFile = true
            }
            if writer.output.count > 0 {
                try files.write(writer.file, at: writer.outputOffset, writer.output.bytes)
            }
        }
        bytesWritten += writer.output.count
        writer.outputWritten()
    }

    private func finish(_ files: any FileSystem) throws(StorageError) {
        guard !writer.isEmpty else {
            if hasFile {
                try storing { () throws(DiskFailure) in try files.remove(writer.file) }
            }
            return
        }
        let built = writer.finish()
        try write(files)
        try storing { () throws(DiskFailure) in
            try files.sync(writer.file)
            try files.syncFolder()
        }
        result = built
    }
}
