// What is known of an SSTable without reading its blocks: the index of blocks, the filter, statistics.
// Immutable, so that the shard and its jobs share it. Layout: docs/formats/sstable.md.

internal import Encoding
internal import Environment
internal import Model

/// Where one block lies and what it begins with.
struct BlockEntry: Equatable, Sendable {
    var firstToken: Int64
    var lastToken: Int64
    var offset: Int
    var length: Int
    /// The block in which the partition of this block's first fragment begins: its own number, or an
    /// earlier one's if the block begins inside a partition.
    var startBlock: Int
    /// If it begins inside a partition: where its stretch of clustering keys begins.
    var spanStart: [UInt8]
}

/// The resident part of an SSTable.
final class SSTableMetadata: Sendable {
    let file: FileName
    let identity: UInt64
    let blocks: [BlockEntry]
    /// The blocks' tokens once more, close together for searching.
    private let firstTokens: [Int64]
    private let lastTokens: [Int64]
    let filter: BloomFilter
    let statistics: SSTableStatistics
    /// Whose data it is; for tools, and for files that are brought in from elsewhere.
    let table: TableID
    /// Of the whole file.
    let bytes: Int
    /// What the file takes in memory while it is open, without its blocks: index and filter.
    let residentBytes: Int

    static let magic: UInt32 = 0x5353_5443
    static let formatVersion: UInt32 = 1
    static let headerBytes = 16
    static let footerBytes = 72
    /// Of the footer, before its own checksum.
    private static let coveredFooterBytes = 64

    init(
        file: FileName, identity: UInt64, table: TableID, blocks: [BlockEntry], filter: BloomFilter,
        statistics: SSTableStatistics, bytes: Int
    ) {
        self.table = table
        self.file = file
        self.identity = identity
        self.blocks = blocks
        firstTokens = blocks.map(\.firstToken)
        lastTokens = blocks.map(\.lastToken)
        self.filter = filter
        self.statistics = statistics
        self.bytes = bytes
        residentBytes = Self.residentBytes(blocks) + filter.byteCount
    }

    /// Of the index: its entries, their keys, the tokens once more, and the cache's places for blocks.
    private static func residentBytes(_ blocks: [BlockEntry]) -> Int {
        let perBlock =
            MemoryLayout<BlockEntry>.stride + 2 * MemoryLayout<Int64>.stride
            + MemoryLayout<CachedBlock>.stride
        var bytes = blocks.count * perBlock
        // An array's header and what the allocator adds.
        for block in blocks where !block.spanStart.isEmpty { bytes += block.spanStart.count + 48 }
        return bytes
    }

    /// The seed of the checksum of the block at `offset`.
    static func seed(identity: UInt64, offset: Int) -> UInt32 {
        let mixed = (identity ^ UInt64(offset) &* 0x9E37_79B9_7F4A_7C15) &* 0xBF58_476D_1CE4_E5B9
        return UInt32(truncatingIfNeeded: mixed >> 32)
    }

    /// The blocks that may hold a partition of that token, in order. Cost: one interpolating search;
    /// tokens of a file are spread evenly, so it ends after two or three steps.
    func candidates(_ token: Int64) -> Range<Int> {
        let lower = firstBlock(endingAtOrAfter: token)
        var upper = lower
        while upper < firstTokens.count, firstTokens[upper] <= token {
            upper += 1
            if upper - lower == 4 { return lower..<lastCandidate(token, from: upper) }
        }
        return lower..<upper
    }

    private func lastCandidate(_ token: Int64, from start: Int) -> Int {
        var low = start
        var high = firstTokens.count
        while low < high {
            let middle = (low + high) >> 1
            if firstTokens[middle] <= token { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// The first and the last token of a block.
    @inline(__always)
    func span(_ index: Int) -> (first: Int64, last: Int64) {
        (firstTokens[index], lastTokens[index])
    }

    /// The first block whose last token is at least `token`.
    func firstBlock(endingAtOrAfter token: Int64) -> Int {
        var low = 0
        var high = lastTokens.count
        var guesses = 3
        while low < high {
            var middle = (low + high) >> 1
            if guesses > 0, high - low > 8 {
                guesses -= 1
                let first = lastTokens[low]
                let width = UInt64(bitPattern: lastTokens[high - 1] &- first)
                if token <= first {
                    middle = low
                } else if width > 0 {
                    let offset = UInt64(bitPattern: token &- first)
                    if offset >= width {
                        middle = high - 1
                    } else {
                        middle =
                            low
                            + Int(
                                width.dividingFullWidth(
                                    offset.multipliedFullWidth(by: UInt64(high - low - 1))
                                ).quotient)
                    }
                }
            }
            if lastTokens[middle] < token { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// The last block of the partition that begins in `start` and goes on behind it.
    func lastBlock(ofPartitionFrom start: Int, token: Int64) -> Int {
        var last = max(start, candidates(token).upperBound - 1)
        while last > start, blocks[last].startBlock != start { last -= 1 }
        return last
    }

    /// What is wrong with a block, and where.
    func damaged(_ error: MalformedBytes, inBlock index: Int) -> StorageError {
        .corruption(
            CorruptionError(
                file: file, offset: blocks[index].offset,
                detail: "\(error.reason) at byte \(error.offset) of the block"))
    }

    /// Whether the token lies between the file's first and last.
    @inline(__always)
    func spans(_ token: Int64) -> Bool {
        statistics.minimumToken <= token && token <= statistics.maximumToken
    }

    /// Whether a read of that token may find something here.
    @inline(__always)
    func mayContain(_ token: Int64) -> Bool {
        spans(token) && filter.mayContain(token)
    }

    /// Whether a read of those slices may find something here, by the bounds of the clustering keys.
    func mayOverlap(_ slices: [ClusteringSlice]?) -> Bool {
        guard let slices, !statistics.hasPartitionWide else { return true }
        return slices.contains { slice in
            compareBytes(slice.lower, statistics.maximumClustering) <= 0
                && compareBytes(slice.upper, statistics.minimumClustering) > 0
        }
    }

    /// Appends index, filter, statistics and footer; `base` is where the bytes will stand in the file.
    func encodeTail(base: Int, into writer: ByteWriter) {
        let start = writer.count
        writer.appendVarint(UInt64(blocks.count))
        for (index, block) in blocks.enumerated() {
            writer.appendLittleEndian(block.firstToken)
            writer.appendLittleEndian(block.lastToken)
            writer.appendVarint(UInt64(block.offset))
            writer.appendVarint(UInt64(block.length))
            writer.appendVarint(UInt64(index - block.startBlock))
            if block.startBlock != index { writer.appendLengthPrefixed(block.spanStart) }
        }
        let indexEnd = writer.count
        filter.encode(into: writer)
        let filterEnd = writer.count
        statistics.encode(into: writer)
        let end = writer.count
        let crc = CRC32C.checksum(
            writer[ByteRange(offset: start, count: end - start)],
            seed: Self.seed(identity: identity, offset: base))
        let footer = writer.count
        writer.appendLittleEndian(UInt64(base))
        writer.appendLittleEndian(UInt64(indexEnd - start))
        writer.appendLittleEndian(UInt64(filterEnd - indexEnd))
        writer.appendLittleEndian(UInt64(end - filterEnd))
        writer.appendLittleEndian(identity)
        writer.append(table.value)
        writer.appendLittleEndian(crc)
        writer.appendLittleEndian(Self.formatVersion)
        writer.appendLittleEndian(
            CRC32C.checksum(writer[ByteRange(offset: footer, count: Self.coveredFooterBytes)]))
        writer.appendLittleEndian(Self.magic)
    }

    /// Reads the tail of a file.
    static func load(
        _ file: FileName, from files: any FileSystem
    ) throws(StorageError) -> SSTableMetadata {
        func damaged(_ detail: String, _ offset: Int) -> StorageError {
            .corruption(CorruptionError(file: file, offset: offset, detail: detail))
        }
        let size: Int
        do throws(DiskFailure) { size = try files.size(of: file) } catch {
            if error.reason == .notFound { throw damaged("named by the manifest, but missing", 0) }
            throw .disk(error)
        }
        guard size >= headerBytes + footerBytes else { throw damaged("file too short", size) }
        let buffer = ByteWriter(capacity: 1 << 12)
        let footerStart = size - footerBytes
        try storing { () throws(DiskFailure) in
            try files.read(file, at: footerStart, count: footerBytes, into: buffer)
        }
        guard buffer.count == footerBytes else { throw damaged("short read", footerStart) }
        do throws(MalformedBytes) {
            var reader = ByteReader(buffer.bytes)
            let base = Int(clamping: try reader.readLittleEndian(UInt64.self))
            let indexBytes = Int(clamping: try reader.readLittleEndian(UInt64.self))
            let filterBytes = Int(clamping: try reader.readLittleEndian(UInt64.self))
            let statisticsBytes = Int(clamping: try reader.readLittleEndian(UInt64.self))
            let identity = try reader.readLittleEndian(UInt64.self)
            let table = TableID(try reader.readUniqueID())
            let crc = try reader.readLittleEndian(UInt32.self)
            let version = try reader.readLittleEndian(UInt32.self)
            let footerCRC = try reader.readLittleEndian(UInt32.self)
            let magic = try reader.readLittleEndian(UInt32.self)
            guard magic == Self.magic,
                CRC32C.checksum(buffer[ByteRange(offset: 0, count: coveredFooterBytes)])
                    == footerCRC
            else { throw MalformedBytes("footer checksum", offset: 0) }
            guard version == formatVersion else {
                // Told apart from damage: the checksum holds.
                return try refuse(version)
            }
            guard base >= headerBytes, base <= footerStart,
                indexBytes <= footerStart, filterBytes <= footerStart,
                statisticsBytes <= footerStart,
                base + indexBytes + filterBytes + statisticsBytes == footerStart
            else { throw MalformedBytes("sections do not fill the file", offset: 0) }
            return try decodeTail(
                file, files, buffer, base: base,
                lengths: (indexBytes, filterBytes, statisticsBytes),
                identity: identity, table: table, crc: crc, size: size)
        } catch {
            if error.reason.hasPrefix(newerFormatMark) {
                throw .newerFormat(file: file, version: UInt32(error.offset))
            }
            throw damaged(error.reason, footerStart + error.offset)
        }
    }

    private static let newerFormatMark = "newer format"
    private static func refuse(_ version: UInt32) throws(MalformedBytes) -> SSTableMetadata {
        throw MalformedBytes(newerFormatMark, offset: Int(version))
    }

    private static func decodeTail(
        _ file: FileName, _ files: any FileSystem, _ buffer: ByteWriter, base: Int,
        lengths: (index: Int, filter: Int, statistics: Int), identity: UInt64, table: TableID,
        crc: UInt32, size: Int
    ) throws(MalformedBytes) -> SSTableMetadata {
        let length = lengths.index + lengths.filter + lengths.statistics
        buffer.removeAll()
        do throws(DiskFailure) {
            try files.read(file, at: base, count: length, into: buffer)
        } catch {
            throw MalformedBytes("cannot read the index: \(error)", offset: 0)
        }
        guard buffer.count == length,
            CRC32C.checksum(buffer.bytes, seed: seed(identity: identity, offset: base)) == crc
        else { throw MalformedBytes("index checksum", offset: 0) }
        var reader = ByteReader(buffer[ByteRange(offset: 0, count: lengths.index)])
        let count = try reader.readCount()
        var blocks: [BlockEntry] = []
        blocks.reserveCapacity(count)
        for index in 0..<count {
            let first = try reader.readLittleEndian(Int64.self)
            let last = try reader.readLittleEndian(Int64.self)
            let offset = Int(clamping: try reader.readVarint())
            let blockLength = Int(clamping: try reader.readVarint())
            let back = Int(clamping: try reader.readVarint())
            guard back <= index, offset <= base, blockLength <= base - offset, first <= last,
                first >= blocks.last?.lastToken ?? .min
            else { throw MalformedBytes("block entry \(index)", offset: reader.position) }
            let spanStart = back > 0 ? [UInt8](try reader.readLengthPrefixed()) : []
            blocks.append(
                BlockEntry(
                    firstToken: first, lastToken: last, offset: offset, length: blockLength,
                    startBlock: index - back, spanStart: spanStart))
        }
        var filterReader = ByteReader(
            buffer[ByteRange(offset: lengths.index, count: lengths.filter)])
        let filter = try BloomFilter(from: &filterReader)
        var statisticsReader = ByteReader(
            buffer[ByteRange(offset: lengths.index + lengths.filter, count: lengths.statistics)])
        let statistics = try SSTableStatistics(from: &statisticsReader)
        return SSTableMetadata(
            file: file, identity: identity, table: table, blocks: blocks, filter: filter,
            statistics: statistics,
            bytes: size)
    }
}
