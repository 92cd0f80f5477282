// What is known of an SSTable without reading its blocks: the index of blocks, the filter, statistics.
// Immutable, so that the shard and its jobs share it. Layout: docs/formats/sstable.md.

internal import Encoding
internal import Environment
internal import Model

/// The resident part of an SSTable.
final class SSTableMetadata: Sendable {
    let file: FileName
    let identity: UInt64
    let blocks: BlockIndex
    let filter: BloomFilter
    let statistics: SSTableStatistics
    /// Whose data it is; for tools, and for files that are brought in from elsewhere.
    let table: TableID
    /// Of the whole file.
    let bytes: Int
    /// What the file takes in memory while it is open, without its blocks: index, filter, and the cache's
    /// places for blocks.
    let residentBytes: Int

    static let magic: UInt32 = 0x5353_5443
    static let formatVersion: UInt32 = 1
    static let headerBytes = 16
    static let footerBytes = 72
    /// Of the footer, before its own checksum.
    static let coveredFooterBytes = 64

    init(
        file: FileName, identity: UInt64, table: TableID, blocks: BlockIndex, filter: BloomFilter,
        statistics: SSTableStatistics, bytes: Int
    ) {
        self.table = table
        self.file = file
        self.identity = identity
        self.blocks = blocks
        self.filter = filter
        self.statistics = statistics
        self.bytes = bytes
        residentBytes =
            blocks.byteCount + blocks.count * MemoryLayout<CachedBlock>.stride + filter.byteCount
    }

    /// The seed of the checksum of the block at `offset`.
    static func seed(identity: UInt64, offset: Int) -> UInt32 {
        let mixed = (identity ^ UInt64(offset) &* 0x9E37_79B9_7F4A_7C15) &* 0xBF58_476D_1CE4_E5B9
        return UInt32(truncatingIfNeeded: mixed >> 32)
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

    /// In pieces, so that it takes no memory of the tail's size; nothing is decoded before the checksum holds.
    private static func decodeTail(
        _ file: FileName, _ files: any FileSystem, _ buffer: ByteWriter, base: Int,
        lengths: (index: Int, filter: Int, statistics: Int), identity: UInt64, table: TableID,
        crc: UInt32, size: Int
    ) throws(MalformedBytes) -> SSTableMetadata {
        func read(_ offset: Int, _ count: Int) throws(MalformedBytes) -> UnsafeRawBufferPointer {
            buffer.removeAll()
            do throws(DiskFailure) {
                try files.read(file, at: offset, count: count, into: buffer)
            } catch {
                throw MalformedBytes("cannot read the index: \(error)", offset: 0)
            }
            guard buffer.count == count else { throw MalformedBytes("index checksum", offset: 0) }
            return buffer.bytes
        }
        let filterStart = base + lengths.index
        let statisticsStart = filterStart + lengths.filter
        let end = statisticsStart + lengths.statistics
        var found = seed(identity: identity, offset: base)
        for start in stride(from: base, to: end, by: SSTableTail.pieceBytes) {
            let piece = try read(start, min(SSTableTail.pieceBytes, end - start))
            found = CRC32C.checksum(piece, seed: found)
        }
        guard found == crc else { throw MalformedBytes("index checksum", offset: 0) }
        var indexReader = ByteReader(try read(base, lengths.index))
        let blocks = try BlockIndex(from: &indexReader, end: base)
        let filter = try BloomFilter(byteCount: lengths.filter) {
            (offset, count) throws(MalformedBytes) in try read(filterStart + offset, count)
        }
        var statisticsReader = ByteReader(try read(statisticsStart, lengths.statistics))
        let statistics = try SSTableStatistics(from: &statisticsReader)
        return SSTableMetadata(
            file: file, identity: identity, table: table, blocks: blocks, filter: filter,
            statistics: statistics,
            bytes: size)
    }
}
