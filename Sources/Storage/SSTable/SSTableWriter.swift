// Writes an SSTable from partitions in order. Used inside jobs, with bounded memory: blocks go out as
// they fill, and only the index, the open block and what the filter needs are kept: the partitions' tokens,
// and when they have become many a filter for as many as may come.
//
// Invariants: partitions come in the order of (token, key), rows in the order of their keys; a block
// ends between two rows or two partitions when it has reached its target size. A row, with the static row and the
// range deletions that have to stand beside it, lies in one block: what is larger than the largest block is
// refused, and the file is worth nothing then.

internal import Encoding
internal import Environment
internal import Model

/// How a table's files are laid out.
struct SSTableLayout: Equatable, Sendable {
    var table: TableID
    /// A block is filled to that many bytes before compression.
    var blockBytes: Int
    var compression: TableCompression
    var falsePositiveChance: Double
    /// No block has more before compression, however large a row is.
    var largestBlockBytes = Block.maximumPlainBytes
}

/// Builds one file's bytes; its owner writes `output` away.
final class SSTableWriter {
    let file: FileName
    /// Bytes ready to be written at `outputOffset`.
    let output = ByteWriter(capacity: 1 << 16)
    private(set) var outputOffset = 0
    /// The file was made and is not complete.
    var hasOpenFile = false

    private let identity: UInt64
    private let layout: SSTableLayout
    private let compressor: BlockCompressor
    @exclusivity(unchecked) private(set) var statistics = SSTableStatistics()
    private var entries = BlockIndex()
    /// Tokens of all partitions that are not in `filter`, little-endian.
    private let partitionTokens = ByteWriter(capacity: 1 << 12)
    /// Once there were many.
    private var filter: BloomFilter?
    private let expectedPartitions: Int
    private let tokenLimit: Int
    /// Once the file is being ended.
    private var tail: SSTableTail?
    private var isComplete = false

    /// So many tokens are kept to make a filter of exactly the right size.
    static let usualTokenLimit = 1 << 20

    // The open block: tokens (i64) and offsets (u32) of its fragments, and the fragments.
    private let tokens = ByteWriter(capacity: 1 << 12)
    private let offsets = ByteWriter(capacity: 1 << 11)
    @exclusivity(unchecked) private var firstToken: Int64 = 0
    @exclusivity(unchecked) private var lastToken: Int64 = 0
    private let fragments = ByteWriter(capacity: 1 << 15)
    private let plain = ByteWriter(capacity: 1 << 15)
    private var blockStart: (block: Int, spanStart: [UInt8])?
    @exclusivity(unchecked) private var fragmentCount = 0

    // The open partition.
    private var token: Int64 = 0
    private var key: [UInt8] = []
    private var deletion = Deletion.none
    private var staticRow: [UInt8] = []
    private var isContinued = false
    private var startBlock = 0
    private var partitionBytes = 0
    /// Where the open fragment's stretch of keys begins; nil: at the partition's begin.
    private(set) var spanStart: [UInt8]?
    private let rows = ByteWriter(capacity: 1 << 15)
    private var restarts: [UInt32] = []
    private var rowCount = 0
    private let lastKey = ByteWriter(capacity: 64)

    /// `expectedPartitions`: about as many as may come; if there are more the filter errs more often.
    /// `expectedBlocks` get room in the index before they come, so that it does not have to move as it grows.
    init(
        file: FileName, identity: UInt64, layout: SSTableLayout, expectedPartitions: Int,
        expectedBlocks: Int = 0, tokenLimit: Int = usualTokenLimit
    ) {
        self.file = file
        self.expectedPartitions = expectedPartitions
        self.tokenLimit = tokenLimit
        self.identity = identity
        self.layout = layout
        compressor = BlockCompressor(layout.compression)
        entries.reserveCapacity(expectedBlocks)
        output.appendLittleEndian(SSTableMetadata.magic)
        output.appendLittleEndian(SSTableMetadata.formatVersion)
        output.appendLittleEndian(identity)
    }

    var isEmpty: Bool { statistics.partitions == 0 }

    /// What grows with the file, and the filter also before it is there. Nothing when the file is complete: then
    /// it is its metadata's.
    var memoryBytes: Int {
        if isComplete { return 0 }
        let filterBytes =
            tail?.filter.byteCount ?? filter?.byteCount
            ?? BloomFilter.byteCount(
                count: expectedPartitions, falsePositiveChance: layout.falsePositiveChance)
        return partitionTokens.heldBytes + entries.byteCount + filterBytes
    }

    /// About what a file of so many partitions takes at most while it is written, without its index.
    static func memoryBytes(partitions: Int, falsePositiveChance: Double) -> Int {
        min(partitions, usualTokenLimit) * 8
            + BloomFilter.byteCount(count: partitions, falsePositiveChance: falsePositiveChance)
    }

    /// Bytes were written away: forget them.
    func outputWritten() {
        outputOffset += output.count
        output.removeAll()
    }

    // MARK: Partitions

    /// Appends a partition of one row and nothing else. The same bytes as by `beginPartition`, `addRow`
    /// and `endPartition`, at one copy of key and row and one walk over the row's cells.
    func addSingle(
        token: Int64, key: UnsafeRawBufferPointer, _ single: SingleRow
    ) throws(StorageError) {
        let size = key.count + single.key.count + single.row.count + Self.lengthBytes
        if !fits(size) { try makeRoom(size, key, single.key) }
        let start = fragments.count
        openFragment(token)
        addToFilter(token)
        statistics.partitions += 1
        statistics.rows += 1
        statistics.minimumToken = min(statistics.minimumToken, token)
        statistics.maximumToken = max(statistics.maximumToken, token)
        try count(single.row)
        if !single.key.isEmpty || statistics.rows == 1 { addClustering(single.key) }
        fragments.append(0)
        fragments.appendLengthPrefixed(key)
        fragments.append(1)
        fragments.append(0)
        fragments.appendLengthPrefixed(single.key)
        fragments.appendLengthPrefixed(single.row)
        statistics.addPartition(key: key, bytes: fragments.count - start)
        if fragments.count >= layout.blockBytes { flushBlock() }
    }

    @inline(__always)
    private func count(_ row: UnsafeRawBufferPointer) throws(StorageError) {
        do throws(MalformedBytes) { try statistics.add(row: row) } catch {
            throw .malformed(error)
        }
    }

    // MARK: Limits

    /// What flags and lengths of a fragment's head and of one row take at most.
    private static let lengthBytes = 64

    /// Whether a fragment of at most so many bytes may be added to the open block.
    @inline(__always)
    private func fits(_ size: Int) -> Bool {
        4 + (fragmentCount + 1) * 12 + fragments.count + size <= layout.largestBlockBytes
    }

    /// Ends the open block before a large fragment; throws if not even a block of its own can hold it.
    private func makeRoom(
        _ size: Int, _ key: UnsafeRawBufferPointer, _ rowKey: UnsafeRawBufferPointer
    ) throws(StorageError) {
        flushBlock()
        guard !fits(size) else { return }
        throw .oversized(
            OversizedPartition(
                file: file, table: layout.table, key: [UInt8](key), clustering: [UInt8](rowKey),
                bytes: size, limit: layout.largestBlockBytes))
    }

    /// The open fragment's bytes without its range deletions, or some more.
    private var openBytes: Int {
        key.count + staticRow.count + Self.lengthBytes + restarts.count * 4 + rows.count
    }

    @inline(__always)
    private func addToFilter(_ token: Int64) {
        partitionTokens.appendLittleEndian(token)
        if partitionTokens.count >= tokenLimit * 8 { spillTokens() }
    }

    /// Moves the tokens into a filter for all that may come.
    private func spillTokens() {
        let filter =
            filter
            ?? BloomFilter(
                atMost: max(expectedPartitions, statistics.partitions),
                falsePositiveChance: layout.falsePositiveChance)
        self.filter = filter
        filter.insert(tokens: partitionTokens.bytes)
        partitionTokens.removeAll()
    }

    private func finishFilter() -> BloomFilter {
        let chance = layout.falsePositiveChance
        if filter != nil { spillTokens() }
        defer {
            partitionTokens.removeAll()
            partitionTokens.shrink(to: 0)
        }
        if let filter {
            self.filter = nil
            return filter.folded(to: statistics.partitions, falsePositiveChance: chance)
        }
        let exact = BloomFilter(count: partitionTokens.count / 8, falsePositiveChance: chance)
        exact.insert(tokens: partitionTokens.bytes)
        return exact
    }

    /// A fragment of a partition begins here.
    @inline(__always)
    private func openFragment(_ token: Int64) {
        if fragmentCount == 0 { firstToken = token }
        lastToken = token
        fragmentCount += 1
        tokens.appendLittleEndian(token)
        offsets.appendLittleEndian(UInt32(fragments.count))
    }

    /// `staticRow` is empty for none.
    func beginPartition(
        token: Int64, key: UnsafeRawBufferPointer, deletion: Deletion,
        staticRow: UnsafeRawBufferPointer
    ) throws(StorageError) {
        self.token = token
        self.key = [UInt8](key)
        self.deletion = deletion
        self.staticRow = [UInt8](staticRow)
        isContinued = false
        startBlock = entries.count
        partitionBytes = 0
        spanStart = nil
        addToFilter(token)
        statistics.partitions += 1
        statistics.minimumToken = min(statistics.minimumToken, token)
        statistics.maximumToken = max(statistics.maximumToken, token)
        statistics.add(deletion)
        if !deletion.isNone { statistics.hasPartitionWide = true }
        if !staticRow.isEmpty {
            statistics.hasPartitionWide = true
            try count(staticRow)
        }
    }

    /// Whether the open fragment should end before a row of that size.
    func wantsCut(before bytes: Int) -> Bool {
        rowCount > 0 && fragments.count + rows.count + bytes > layout.blockBytes
    }

    /// Ends the fragment and the block before `next`; `ranges` lie in the fragment's stretch.
    func cut(
        before next: UnsafeRawBufferPointer, ranges: [RangeTombstone]
    ) throws(StorageError) {
        try endFragment(ranges: ranges, continues: true)
        flushBlock()
        isContinued = true
        let span = [UInt8](next)
        spanStart = span
        blockStart = (startBlock, span)
    }

    func addRow(
        key rowKey: UnsafeRawBufferPointer, row: UnsafeRawBufferPointer
    ) throws(StorageError) {
        // Before it is copied: the whole fragment is looked at once more when it ends.
        let size = openBytes + rowKey.count + row.count
        if 16 + size > layout.largestBlockBytes {
            try key.withBytes { (key) throws(StorageError) in try makeRoom(size, key, rowKey) }
        }
        var shared = 0
        if rowCount % rowsPerRestart == 0 {
            if rowCount > 0 { restarts.append(UInt32(rows.count)) }
        } else {
            let limit = min(lastKey.count, rowKey.count)
            let previous = lastKey.bytes
            while shared < limit, previous[shared] == rowKey[shared] { shared += 1 }
        }
        rows.appendVarint(UInt64(shared))
        rows.appendLengthPrefixed(UnsafeRawBufferPointer(rebasing: rowKey[shared...]))
        rows.appendLengthPrefixed(row)
        lastKey.truncate(to: shared)
        lastKey.append(UnsafeRawBufferPointer(rebasing: rowKey[shared...]))
        rowCount += 1
        statistics.rows += 1
        try count(row)
        addClustering(rowKey)
    }

    /// Widens the bounds of clustering keys by that of a row that was counted.
    private func addClustering(_ rowKey: UnsafeRawBufferPointer) {
        if statistics.rows == 1 || compare(rowKey, statistics.minimumClustering) < 0 {
            statistics.minimumClustering = [UInt8](rowKey)
        }
        if statistics.rows == 1 || compare(rowKey, statistics.maximumClustering) > 0 {
            statistics.maximumClustering = [UInt8](rowKey)
        }
    }

    func endPartition(ranges: [RangeTombstone]) throws(StorageError) {
        try endFragment(ranges: ranges, continues: false)
        key.withUnsafeBytes { statistics.addPartition(key: $0, bytes: partitionBytes) }
        if fragments.count >= layout.blockBytes { flushBlock() }
    }

    /// Of a range deletion besides its bounds, at most.
    private static let rangeBytes = 32

    private func endFragment(
        ranges: [RangeTombstone], continues: Bool
    ) throws(StorageError) {
        var size = openBytes
        for range in ranges { size += range.start.count + range.end.count + Self.rangeBytes }
        if !fits(size) {
            try key.withBytes { (key) throws(StorageError) in try makeRoom(size, key, lastKey.bytes)
            }
            // It begins in the next block now; a fragment that goes on was alone in its block before.
            if !isContinued { startBlock = entries.count }
        }
        let start = fragments.count
        openFragment(token)
        var flags = FragmentFlags()
        if isContinued { flags.insert(.continued) }
        if continues { flags.insert(.continues) }
        if !isContinued, !deletion.isNone { flags.insert(.hasDeletion) }
        if !isContinued, !staticRow.isEmpty { flags.insert(.hasStatic) }
        if !ranges.isEmpty { flags.insert(.hasRanges) }
        fragments.append(flags.rawValue)
        fragments.appendLengthPrefixed(key)
        if flags.contains(.hasDeletion) {
            fragments.appendLittleEndian(deletion.timestamp)
            fragments.appendLittleEndian(deletion.localDeletionTime)
        }
        if flags.contains(.hasStatic) { fragments.appendLengthPrefixed(staticRow) }
        if flags.contains(.hasRanges) {
            statistics.hasPartitionWide = true
            fragments.appendVarint(UInt64(ranges.count))
            for range in ranges {
                statistics.add(range.deletion)
                fragments.appendLengthPrefixed(range.start)
                fragments.appendLengthPrefixed(range.end)
                fragments.appendLittleEndian(range.deletion.timestamp)
                fragments.appendLittleEndian(range.deletion.localDeletionTime)
            }
        }
        fragments.appendVarint(UInt64(rowCount))
        for restart in restarts { fragments.appendLittleEndian(restart) }
        fragments.append(rows.bytes)
        partitionBytes += fragments.count - start
        rows.removeAll()
        restarts.removeAll(keepingCapacity: true)
        rowCount = 0
        lastKey.removeAll()
    }

    // MARK: Blocks

    private func flushBlock() {
        guard fragmentCount > 0 else { return }
        let base = 4 + fragmentCount * 12
        plain.removeAll()
        plain.reserve(base + fragments.count)
        plain.appendLittleEndian(UInt32(fragmentCount))
        plain.append(tokens.bytes)
        let places = offsets.bytes
        for index in 0..<fragmentCount {
            let place = places.load(fromByteOffset: index * 4, as: UInt32.self)
            plain.appendLittleEndian(UInt32(base) + UInt32(littleEndian: place))
        }
        plain.append(fragments.bytes)
        let start = output.count
        let offset = outputOffset + start
        output.append(0)
        output.appendLittleEndian(UInt32(plain.count))
        let method = compressor.append(plain.bytes, into: output)
        output.overwriteLittleEndian(at: start, method.rawValue)
        let covered = ByteRange(offset: start, count: output.count - start)
        let seed = SSTableMetadata.seed(identity: identity, offset: offset)
        output.appendLittleEndian(CRC32C.checksum(output[covered], seed: seed))
        statistics.plainBytes += plain.count
        entries.append(
            BlockEntry(
                firstToken: firstToken, lastToken: lastToken, offset: offset,
                length: output.count - start,
                startBlock: blockStart?.block ?? entries.count),
            spanStart: blockStart?.spanStart ?? [])
        blockStart = nil
        fragmentCount = 0
        tokens.removeAll()
        offsets.removeAll()
        fragments.removeAll()
    }

    /// Ends the file: appends some of the tail to `output`, which is to be written away before the next call,
    /// and tells what was built when all of it was there.
    func finish() -> SSTableMetadata? {
        var tail = takeTail()
        while output.count < SSTableTail.pieceBytes {
            guard tail.append(to: output) else { continue }
            isComplete = true
            entries = BlockIndex()
            self.tail = nil
            return SSTableMetadata(
                file: file, identity: identity, table: layout.table, blocks: tail.blocks,
                filter: tail.filter, statistics: tail.statistics,
                bytes: outputOffset + output.count)
        }
        self.tail = tail
        return nil
    }

    /// What is left to be appended; the first call ends what stands before.
    private func takeTail() -> SSTableTail {
        if let tail { return tail }
        flushBlock()
        return SSTableTail(
            blocks: entries, filter: finishFilter(), statistics: statistics, identity: identity,
            table: layout.table, base: outputOffset + output.count)
    }
}
