// Where the blocks of an SSTable lie and what they begin with, column by column: a search touches tokens
// alone. In memory as long as the file is open.
//
// Memory: 28 bytes for a block. As soon as one block begins inside a partition, 12 more for each, and the
// bounds of those that do.

internal import Encoding

/// One block, as the index has it.
struct BlockEntry: Equatable, Sendable, BitwiseCopyable {
    var firstToken: Int64
    var lastToken: Int64
    /// In the file, with its head and its checksum.
    var offset: Int
    var length: Int
    /// The block in which the partition of this block's first fragment begins: its own number, or an
    /// earlier one's if the block begins inside a partition.
    var startBlock: Int
}

/// The blocks of one file, in the order of the file.
struct BlockIndex: Equatable, Sendable {
    private var firstTokens: [Int64] = []
    private var lastTokens: [Int64] = []
    private var offsets: [UInt64] = []
    private var lengths: [UInt32] = []
    /// Empty as long as every block begins with a partition of its own.
    private var startBlocks: [UInt32] = []
    /// Where the bound of each block ends in `spans`; empty as long as `startBlocks`.
    private var spanEnds: [Int] = []
    private var spans: [UInt8] = []

    init() {}

    /// What it takes in memory.
    var byteCount: Int { count * Self.bytesPerBlock + startBlocks.count * 12 + spans.count }

    private static var bytesPerBlock: Int { 28 }

    mutating func reserveCapacity(_ count: Int) {
        firstTokens.reserveCapacity(count)
        lastTokens.reserveCapacity(count)
        offsets.reserveCapacity(count)
        lengths.reserveCapacity(count)
    }

    /// `spanStart`: where the block's stretch of clustering keys begins, if it begins inside a partition.
    mutating func append(_ entry: BlockEntry, spanStart: [UInt8] = []) {
        let isContinued = entry.startBlock != count
        if isContinued, startBlocks.isEmpty {
            startBlocks = (0..<UInt32(count)).map { $0 }
            spanEnds = Array(repeating: 0, count: count)
        }
        if isContinued || !startBlocks.isEmpty {
            startBlocks.append(UInt32(entry.startBlock))
            spans += spanStart
            spanEnds.append(spans.count)
        }
        firstTokens.append(entry.firstToken)
        lastTokens.append(entry.lastToken)
        offsets.append(UInt64(entry.offset))
        lengths.append(UInt32(entry.length))
    }

    // MARK: One block

    @inline(__always)
    func startBlock(_ index: Int) -> Int {
        startBlocks.isEmpty ? index : Int(startBlocks[index])
    }

    /// Bytes of the block in the file.
    @inline(__always)
    func length(_ index: Int) -> Int { Int(lengths[index]) }

    /// The first and the last token of a block.
    @inline(__always)
    func tokens(_ index: Int) -> (first: Int64, last: Int64) {
        (firstTokens[index], lastTokens[index])
    }

    /// Less than, equal to or greater than zero, as the block's stretch of clustering keys begins before, at
    /// or behind `bound`. Before every bound if the block begins with a partition.
    func compareSpanStart(_ index: Int, to bound: [UInt8]) -> Int {
        spans.withUnsafeBytes {
            compare(UnsafeRawBufferPointer(rebasing: $0[spanRange(index)]), bound)
        }
    }

    private func spanRange(_ index: Int) -> Range<Int> {
        if spanEnds.isEmpty { return 0..<0 }
        return (index == 0 ? 0 : spanEnds[index - 1])..<spanEnds[index]
    }

    // MARK: Searching

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
        var last = Swift.max(start, candidates(token).upperBound - 1)
        while last > start, startBlock(last) != start { last -= 1 }
        return last
    }

    // MARK: In the file (docs/formats/sstable.md)

    /// Appends entries from block `index` on until `writer` has `limit` bytes, one entry at least, and tells
    /// which comes next; nil: none.
    func encode(from index: Int, limit: Int, into writer: ByteWriter) -> Int? {
        if index == 0 { writer.appendVarint(UInt64(count)) }
        var next = index
        while next < count {
            let start = startBlock(next)
            writer.appendLittleEndian(firstTokens[next])
            writer.appendLittleEndian(lastTokens[next])
            writer.appendVarint(offsets[next])
            writer.appendVarint(UInt64(lengths[next]))
            writer.appendVarint(UInt64(next - start))
            if start != next {
                spans.withUnsafeBytes { spans in
                    writer.appendLengthPrefixed(
                        UnsafeRawBufferPointer(rebasing: spans[spanRange(next)]))
                }
            }
            next += 1
            if writer.count >= limit { break }
        }
        return next < count ? next : nil
    }

    /// `end`: where blocks end in the file.
    init(from reader: inout ByteReader, end: Int) throws(MalformedBytes) {
        let count = try reader.readCount()
        reserveCapacity(count)
        for index in 0..<count {
            let first = try reader.readLittleEndian(Int64.self)
            let last = try reader.readLittleEndian(Int64.self)
            let offset = Int(clamping: try reader.readVarint())
            let length = Int(clamping: try reader.readVarint())
            let back = Int(clamping: try reader.readVarint())
            guard back <= index, offset <= end, length <= end - offset, length <= UInt32.max,
                first <= last, first >= lastTokens.last ?? .min
            else { throw MalformedBytes("block entry \(index)", offset: reader.position) }
            let spanStart = back > 0 ? [UInt8](try reader.readLengthPrefixed()) : []
            append(
                BlockEntry(
                    firstToken: first, lastToken: last, offset: offset, length: length,
                    startBlock: index - back), spanStart: spanStart)
        }
    }
}

extension BlockIndex: RandomAccessCollection {
    var startIndex: Int { 0 }
    var endIndex: Int { lengths.count }

    @inline(__always)
    subscript(_ index: Int) -> BlockEntry {
        BlockEntry(
            firstToken: firstTokens[index], lastToken: lastTokens[index],
            offset: Int(offsets[index]), length: Int(lengths[index]), startBlock: startBlock(index))
    }
}
