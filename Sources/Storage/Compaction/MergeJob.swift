// Flush and compaction: merges sources into new SSTables, step by step.
//
//     sources -> smallest (token, key) -> merge rows -> shadow -> purge -> SSTableWriter -> file
//            \-> split before this partition? -> tail -> sync file -> next file
//     ... -> tail -> sync file -> sync folder -> done
//
// Memory is bounded: the writer's open block, index and filter, a read buffer for each source, the range
// deletions of the partition at hand. A step stops between two rows once it has done its budget. Nothing of the
// result is seen before the shard has put it into the manifest; a file without a manifest entry is
// removed at the next start.
//
// Purging: a tombstone goes if it is past gc grace and no other source may hold something older of its
// partition: not the memtables at the job's begin, nor any SSTable outside the job whose filter may
// contain the token. Expired values lose their bytes first. A merge leaves cells of dropped columns out.
//
// Garbage collection is a merge of one file with shadows (`ShadowSources`): what those delete or overwrite
// is left out, but nothing of them is written.
//
// Most partitions are a single row and nothing else (`PartitionScan.single`). They go from source to
// writer as they lie there; those that several sources have are merged on the way, and what expires or is
// deleted is looked at only if a source has such a thing at all.
//
// Cost for each single partition: two comparisons of tokens to keep the sources in order, one walk over
// the row's cells for the statistics, two copies (block to block buffer to output), and the block's
// compression.

internal import Encoding
internal import Environment
internal import Model

/// The work of a flush or a compaction. Made by the shard, run by a worker, read by the shard between
/// two runs and at its end.
final class MergeJob: Job {
    /// One file that may be written. A job has some in reserve and uses as many as it splits into.
    struct Target {
        var number: UInt64
        var file: FileName
        var identity: UInt64
        var layout: SSTableLayout
    }

    struct Purge {
        var rule: PurgeRule
        /// SSTables that stay and may hold older data.
        var others: [SSTableMetadata]
    }

    /// How it stands.
    enum Outcome {
        case running
        case finished
        /// An input is damaged; nothing is left of the outputs.
        case failed(StorageError)
        /// The disk has no room; nothing is left of the outputs.
        case noRoom(neededBytes: Int, freeBytes: Int)
    }

    /// One finished file.
    struct Output {
        let number: UInt64
        let metadata: SSTableMetadata
    }

    /// A source and its current partition's token: most comparisons end there.
    private struct Waiting {
        var token: Int64
        let scan: PartitionScan
    }

    let title: String
    /// The sources in the order of their current partitions; those that are at their end are gone.
    private var queue: [Waiting]
    private let scans: [PartitionScan]
    private let targets: [Target]
    private let split: OutputSplit
    private let purge: Purge
    private let shadows: ShadowSources?
    /// Room that must be on the disk before anything is written; nil: not asked.
    private let neededBytes: Int?
    private var writer: SSTableWriter
    /// In one file, at most or about.
    private let expectedPartitions: Int
    private let expectedBlocks: Int
    private var targetIndex = 0
    private var splitIndex = 0
    private var hasBegun = false
    private var isInPartition = false
    private var isFinishing = false
    /// Of the step that is running.
    private var currentFiles: (any FileSystem)?

    private(set) var outcome = Outcome.running
    /// The new files; empty if nothing was left.
    private(set) var outputs: [Output] = []
    private(set) var bytesWritten = 0
    /// Of the sources' files.
    private(set) var bytesRead = 0
    private(set) var purgedTombstones = 0
    private(set) var partitionsWritten = 0
    /// How many partitions were made out of one, two, ... sources.
    private(set) var partitionsBySources: [Int]

    // The partition at hand.
    private var active: [PartitionScan] = []
    private var deletion = Deletion.none
    /// As it is written: a shadow's deletion counts in `deletion` alone.
    private var headDeletion = Deletion.none
    private var rule: PurgeRule
    /// Nothing of the partition at hand can be purged or shadowed: rows are copied as they are.
    private var isPlain = false
    private var versions: [UnsafeRawBufferPointer] = []
    private let merged = ByteWriter(capacity: 1 << 10)
    private let rewritten = ByteWriter(capacity: 1 << 10)
    private let collected = ByteWriter(capacity: 1 << 10)
    private let scratch = ByteWriter(capacity: 1 << 10)
    private let rowKey = ByteWriter(capacity: 64)
    private let partitionKey = ByteWriter(capacity: 64)
    private var token: Int64 = 0
    private let staticRow = ByteWriter(capacity: 64)
    /// The partition's head waits until something of it is written.
    private var isHeadPending = false

    /// `targets` are the files that may be written, one at least; with more than one, `split` says
    /// where each ends.
    init(
        title: String, scans: [PartitionScan], targets: [Target], split: OutputSplit = .never,
        purge: Purge, shadows: ShadowSources? = nil, neededBytes: Int? = nil
    ) {
        precondition(!targets.isEmpty, "a merge needs a file to write")
        self.title = title
        self.scans = scans
        self.targets = targets
        self.split = split
        self.purge = purge
        self.shadows = shadows
        self.neededBytes = neededBytes
        queue = []
        rule = purge.rule
        partitionsBySources = Array(repeating: 0, count: scans.count + 1)
        var share = 1.0
        if case .bytes(let limit) = split {
            // Twice the share that a file of that size has of the inputs.
            share = min(1, 2 * Double(limit) / Double(max(1, neededBytes ?? limit)))
        }
        func expected(_ count: (PartitionScan) -> Int) -> Int {
            Int((Double(scans.reduce(0) { $0 + count($1) }) * share).rounded(.up))
        }
        expectedPartitions = expected(\.partitions)
        expectedBlocks = expected(\.blocks)
        writer = Self.writer(targets[0], expectedPartitions, expectedBlocks)
    }

    private static func writer(
        _ target: Target, _ expectedPartitions: Int, _ expectedBlocks: Int
    ) -> SSTableWriter {
        SSTableWriter(
            file: target.file, identity: target.identity, layout: target.layout,
            expectedPartitions: expectedPartitions, expectedBlocks: expectedBlocks)
    }

    /// What it has in memory between two steps, and a new file's index and filter until its table has them.
    var memoryBytes: Int {
        var bytes = writer.memoryBytes
        for scan in scans { bytes += scan.memoryBytes }
        for output in outputs { bytes += output.metadata.residentBytes }
        return bytes
    }

    /// Every file that there may be of it: to be removed if it is given up.
    var createdFiles: [FileName] {
        outputs.map(\.metadata.file) + (writer.hasOpenFile ? [writer.file] : [])
    }

    /// What was written so far, and the failure if an input is damaged.
    var failure: StorageError? {
        if case .failed(let error) = outcome { error } else { nil }
    }

    func step(_ files: any FileSystem, budgetBytes: Int) throws(DiskFailure) -> JobProgress {
        let before = bytesWritten + bytesRead
        currentFiles = files
        defer { currentFiles = nil }
        do throws(StorageError) {
            if !hasBegun, try !begin(files) { return .done(bytes: 0) }
            for waiting in queue { waiting.scan.setFiles(files) }
            shadows?.setFiles(files)
            while !isFinishing {
                // Looking at the budget costs more than merging a small row.
                for _ in 0..<16 where !isFinishing {
                    if isInPartition {
                        try mergeRow()
                    } else if try !mergeSingle(files) {
                        try beginPartition()
                    }
                }
                if writer.output.count >= 1 << 16 { try write(files) }
                countRead()
                if bytesWritten + bytesRead - before + writer.output.count >= budgetBytes {
                    try write(files)
                    return .more(bytes: bytesWritten + bytesRead - before)
                }
            }
            try finishFile(files)
            countRead()
            if !outputs.isEmpty {
                try storing { () throws(DiskFailure) in try files.syncFolder() }
            }
            outcome = .finished
        } catch {
            try fail(error, files)
        }
        return .done(bytes: bytesWritten + bytesRead - before)
    }

    /// Asks for room and opens the sources; false if there is no room.
    private func begin(_ files: any FileSystem) throws(StorageError) -> Bool {
        hasBegun = true
        if let neededBytes {
            let free = try storing { () throws(DiskFailure) in try files.space() }.freeBytes
            // As Cassandra, at most 95 % of what is free.
            guard neededBytes <= free - free / 20 else {
                outcome = .noRoom(neededBytes: neededBytes, freeBytes: free)
                return false
            }
        }
        for scan in scans {
            scan.setFiles(files)
            try scan.nextPartition(files)
            enqueue(scan)
        }
        return true
    }

    /// A damaged input or a full disk ends the job and leaves nothing; what else a disk says is the
    /// node's business.
    private func fail(_ error: StorageError, _ files: any FileSystem) throws(DiskFailure) {
        if case .disk(let failure) = error {
            guard failure.reason == .full, neededBytes != nil else { throw failure }
        }
        for file in createdFiles { try files.remove(file) }
        outputs.removeAll()
        writer.hasOpenFile = false
        if case .disk = error {
            outcome = .noRoom(neededBytes: neededBytes ?? 0, freeBytes: 0)
        } else {
            outcome = .failed(error)
        }
    }

    private func countRead() {
        bytesRead = 0
        for scan in scans { bytesRead += scan.bytesRead }
        bytesRead += shadows?.bytesRead ?? 0
    }

    // MARK: Partitions

    /// Puts a source where its partition belongs; drops it at its end.
    private func enqueue(_ scan: PartitionScan) {
        if scan.isAtEnd { return }
        var place = queue.count
        let waiting = Waiting(token: scan.token, scan: scan)
        while place > 0, precedes(waiting, queue[place - 1]) { place -= 1 }
        queue.insert(waiting, at: place)
    }

    private func precedes(_ a: Waiting, _ b: Waiting) -> Bool {
        a.token < b.token || a.token == b.token && compareBytes(a.scan.key, b.scan.key) < 0
    }

    /// Writes the next partition if it is single in each source that has it, all with the same row, and no
    /// shadow may have it; else false, and nothing happened.
    private func mergeSingle(_ files: any FileSystem) throws(StorageError) -> Bool {
        guard let first = queue.first?.scan, var single = first.single else { return false }
        let token = first.token
        if let shadows, shadows.mayContain(token) { return false }
        var count = 1
        isPlain = first.isPlain && purge.rule.dropped.isEmpty
        while count < queue.count, queue[count].token == token {
            let other = queue[count].scan
            guard let row = other.single, equalBytes(row.key, single.key),
                equalBytes(other.key, first.key)
            else { return false }
            isPlain = isPlain && other.isPlain
            count += 1
        }
        self.token = token
        partitionsBySources[count] += 1
        if split != .never { try splitIfDue() }
        var isLeft = true
        if count > 1 || !isPlain {
            setRule()
            versions.removeAll(keepingCapacity: true)
            for index in 0..<count {
                if let version = queue[index].scan.single { versions.append(version.row) }
            }
            if let row = try mergeVersions(shadow: .none, other: nil) {
                single.row = row
            } else {
                isLeft = false
            }
        }
        if isLeft {
            try writer.addSingle(token: token, key: first.key, single)
            partitionsWritten += 1
        }
        for place in (0..<count).reversed() {
            try goOn(place, files)
        }
        return true
    }

    /// Moves a source to its next partition and to its place; drops it at its end.
    private func goOn(_ start: Int, _ files: any FileSystem) throws(StorageError) {
        let scan = queue[start].scan
        try scan.nextPartition(files)
        if scan.isAtEnd {
            queue.remove(at: start)
            return
        }
        let token = scan.token
        queue[start].token = token
        var place = start
        while place + 1 < queue.count, token >= queue[place + 1].token,
            precedes(queue[place + 1], queue[place])
        {
            queue.swapAt(place, place + 1)
            place += 1
        }
    }

    /// What may be purged of the partition at hand.
    private func setRule() {
        rule = purge.rule
        if isPlain { return }
        for other in purge.others where other.mayContain(token) {
            rule.olderThan = min(rule.olderThan, other.statistics.minimumTimestamp)
        }
    }

    private func beginPartition() throws(StorageError) {
        guard let first = queue.first?.scan else {
            isFinishing = true
            return
        }
        token = first.token
        partitionKey.removeAll()
        partitionKey.append(first.key)
        active.removeAll(keepingCapacity: true)
        deletion = .none
        var count = 0
        isPlain = purge.rule.dropped.isEmpty
        for waiting in queue {
            let scan = waiting.scan
            if count > 0 {
                guard waiting.token == token, equalBytes(scan.key, partitionKey.bytes) else {
                    break
                }
            }
            count += 1
            try scan.openRows()
            active.append(scan)
            isPlain = isPlain && scan.isPlain
            if !scan.deletion.isNone { deletion = deletion.merged(with: scan.deletion) }
        }
        queue.removeFirst(count)
        isPlain = isPlain && deletion.isNone
        partitionsBySources[count] += 1
        try splitIfDue()
        setRule()
        isInPartition = true
        isHeadPending = true
        headDeletion = deletion
        var otherStatic: UnsafeRawBufferPointer?
        if let shadows {
            let found = try shadows.begin(token, partitionKey.bytes)
            deletion = deletion.merged(with: found.deletion)
            if deletion != headDeletion { headDeletion = .none }
            if !found.staticRow.isEmpty { otherStatic = found.staticRow }
        }
        try mergeStaticRows(other: otherStatic)
        let keeps = !headDeletion.isNone && !rule.purges(headDeletion)
        if !headDeletion.isNone && !keeps { purgedTombstones += 1 }
        if keeps || staticRow.count > 0 { try writeHead() }
    }

    private func mergeStaticRows(other: UnsafeRawBufferPointer?) throws(StorageError) {
        staticRow.removeAll()
        versions.removeAll(keepingCapacity: true)
        for scan in active where !scan.staticRow.isEmpty { versions.append(scan.staticRow) }
        if versions.isEmpty { return }
        if let row = try mergeVersions(shadow: deletion, other: other) { staticRow.append(row) }
    }

    private func writeHead() throws(StorageError) {
        guard isHeadPending else { return }
        isHeadPending = false
        partitionsWritten += 1
        try writer.beginPartition(
            token: token, key: partitionKey.bytes,
            deletion: rule.purges(headDeletion) ? .none : headDeletion, staticRow: staticRow.bytes)
    }

    /// Ends the open file before the partition at hand if the split says so.
    private func splitIfDue() throws(StorageError) {
        var isDue = false
        switch split {
        case .never: return
        case .bytes(let limit): isDue = writer.outputOffset + writer.output.count >= limit
        case .halves(let limit):
            isDue =
                writer.outputOffset + writer.output.count
                >= max(limit >> min(targetIndex, 62), OutputSplit.smallestHalf)
        case .tokens(let tokens):
            while splitIndex < tokens.count, token >= tokens[splitIndex] {
                splitIndex += 1
                isDue = true
            }
        }
        guard isDue, !writer.isEmpty, targetIndex + 1 < targets.count, let files = currentFiles
        else { return }
        try finishFile(files)
        targetIndex += 1
        writer = Self.writer(targets[targetIndex], expectedPartitions, expectedBlocks)
    }

    /// Merges `versions`, takes out what `other` (of a shadow) makes needless, and purges; nil if nothing is
    /// left. The bytes live in one of the scratch buffers, or are those of the only version.
    private func mergeVersions(
        shadow: Deletion, other: UnsafeRawBufferPointer?
    ) throws(StorageError) -> UnsafeRawBufferPointer? {
        do throws(MalformedBytes) { return try mergedVersions(shadow, other) } catch {
            throw .malformed(error)
        }
    }

    @inline(__always)
    private func mergedVersions(
        _ shadow: Deletion, _ other: UnsafeRawBufferPointer?
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
        if let other, let shadows {
            collected.removeAll()
            guard
                try RowShadow.remove(
                    from: try RowView(bytes), by: try RowView(other), shadow: shadow,
                    shadows.granularity, into: collected)
            else { return nil }
            bytes = collected.bytes
        }
        if isPlain { return bytes }
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
        if active.count == 1 { return try copyRow(active[0]) }
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
        try writeRow(rowKey.bytes, shadow: shadow)
        for scan in active
        where scan.rows.state == .row && equalBytes(scan.rows.key, rowKey.bytes) {
            try scan.rows.advance()
        }
    }

    /// The only source's current row.
    private func copyRow(_ scan: PartitionScan) throws(StorageError) {
        let rows = scan.rows
        guard rows.state == .row else { return try endPartition() }
        versions.removeAll(keepingCapacity: true)
        versions.append(rows.row)
        var shadow = deletion
        if !rows.ranges.isEmpty {
            shadow = shadow.merged(with: RangeTombstones.covering(rows.key, in: rows.ranges))
        }
        try writeRow(rows.key, shadow: shadow)
        try rows.advance()
    }

    /// Merges `versions` and writes what is left.
    private func writeRow(
        _ key: UnsafeRawBufferPointer, shadow: Deletion
    ) throws(StorageError) {
        var shadow = shadow
        var other: UnsafeRawBufferPointer?
        if let shadows, shadows.isActive {
            let found = try shadows.row(key)
            shadow = shadow.merged(with: found.ranges)
            other = found.version
        }
        guard let row = try mergeVersions(shadow: shadow, other: other) else { return }
        try writeHead()
        if writer.wantsCut(before: key.count + row.count) {
            try writer.cut(before: key, ranges: ranges(before: key))
            trimRanges()
        }
        try writer.addRow(key: key, row: row)
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
        if !isHeadPending {
            rest = ranges(before: nil)
        } else if active.contains(where: { !$0.rows.ranges.isEmpty }) {
            rest = allRanges()
            if !rest.isEmpty { try writeHead() }
        }
        if !isHeadPending { try writer.endPartition(ranges: rest) }
        isInPartition = false
        guard let files = currentFiles else { return }
        for scan in active {
            try scan.nextPartition(files)
            enqueue(scan)
        }
    }

    /// Like `ranges(before:)` of a partition of which nothing was written yet.
    private func allRanges() -> [RangeTombstone] {
        var all: [RangeTombstone] = []
        for scan in active { all = RangeTombstones.merged(all, scan.rows.ranges, shadow: deletion) }
        return all.filter { !rule.purges($0.deletion) }
    }

    // MARK: The files

    private func write(_ files: any FileSystem) throws(StorageError) {
        let before = writer.outputOffset
        defer { bytesWritten += writer.outputOffset - before }
        try writer.write(to: files)
    }

    private func finishFile(_ files: any FileSystem) throws(StorageError) {
        let before = writer.outputOffset
        defer { bytesWritten += writer.outputOffset - before }
        guard let built = try writer.finish(to: files) else { return }
        outputs.append(Output(number: targets[targetIndex].number, metadata: built))
    }
}
