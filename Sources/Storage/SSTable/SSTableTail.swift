// The end of an SSTable as it is written: index, filter, statistics, footer (docs/formats/sstable.md). Piece
// by piece, because index and filter of a large file take tens of megabytes, which must not be in memory
// twice.

internal import Encoding
internal import Model

/// Appends a tail to its file's bytes. Owned by the file's writer.
struct SSTableTail {
    private enum Part {
        /// From that block on.
        case index(Int)
        /// From that word on.
        case filter(Int)
        case statistics
    }

    /// A piece has about so many bytes.
    static let pieceBytes = 1 << 16

    let blocks: BlockIndex
    let filter: BloomFilter
    let statistics: SSTableStatistics
    private let identity: UInt64
    private let table: TableID
    /// Where the tail begins in the file.
    private let base: Int
    private var part = Part.index(0)
    private var indexBytes = 0
    private var filterBytes = 0
    private var crc: UInt32

    init(
        blocks: BlockIndex, filter: BloomFilter, statistics: SSTableStatistics, identity: UInt64,
        table: TableID, base: Int
    ) {
        self.blocks = blocks
        self.filter = filter
        self.statistics = statistics
        self.identity = identity
        self.table = table
        self.base = base
        crc = SSTableMetadata.seed(identity: identity, offset: base)
    }

    /// Appends some of what comes next, until `writer` has about a piece; true if that was the last.
    mutating func append(to writer: ByteWriter) -> Bool {
        let start = writer.count
        switch part {
        case .index(let next):
            let rest = blocks.encode(from: next, limit: Self.pieceBytes, into: writer)
            part = rest.map(Part.index) ?? .filter(0)
            indexBytes += cover(writer, from: start)
            return false
        case .filter(let next):
            let rest = filter.encode(from: next, limit: Self.pieceBytes, into: writer)
            part = rest.map(Part.filter) ?? .statistics
            filterBytes += cover(writer, from: start)
            return false
        case .statistics:
            statistics.encode(into: writer)
            // First, since the footer has the checksum.
            let statisticsBytes = cover(writer, from: start)
            appendFooter(statisticsBytes: statisticsBytes, to: writer)
            return true
        }
    }

    /// Takes what was appended into the checksum and tells how much it is.
    private mutating func cover(_ writer: ByteWriter, from start: Int) -> Int {
        let piece = ByteRange(offset: start, count: writer.count - start)
        crc = CRC32C.checksum(writer[piece], seed: crc)
        return piece.count
    }

    private func appendFooter(statisticsBytes: Int, to writer: ByteWriter) {
        let footer = writer.count
        writer.appendLittleEndian(UInt64(base))
        writer.appendLittleEndian(UInt64(indexBytes))
        writer.appendLittleEndian(UInt64(filterBytes))
        writer.appendLittleEndian(UInt64(statisticsBytes))
        writer.appendLittleEndian(identity)
        writer.append(table.value)
        writer.appendLittleEndian(crc)
        writer.appendLittleEndian(SSTableMetadata.formatVersion)
        let covered = ByteRange(offset: footer, count: SSTableMetadata.coveredFooterBytes)
        writer.appendLittleEndian(CRC32C.checksum(writer[covered]))
        writer.appendLittleEndian(SSTableMetadata.magic)
    }
}
