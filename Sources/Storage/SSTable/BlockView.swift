// Finding things in a block, by plain pointers: nothing is counted and no object is touched, so that a
// look-up costs the cache misses of what it looks at and no others.
//
//     block := count u32 | tokens i64 x count | offsets u32 x count | fragments     (see Block.swift)
//
// A view does not keep its block in memory: whoever has one holds the block, or is inside a run of a
// read, during which the cache lets none go.

internal import CMemory
internal import Encoding
internal import Model

/// A block's bytes, checked and decompressed.
struct BlockView: BitwiseCopyable {
    let bytes: UnsafeRawBufferPointer
    /// Of fragments; `Block.decode` has seen that tokens and offsets lie inside the bytes.
    let count: Int

    @inline(__always)
    func token(_ index: Int) -> Int64 {
        Int64(littleEndian: bytes.loadUnaligned(fromByteOffset: 4 + index * 8, as: Int64.self))
    }

    @inline(__always)
    private func offset(_ index: Int) -> Int {
        Int(
            UInt32(
                littleEndian: bytes.loadUnaligned(
                    fromByteOffset: 4 + count * 8 + index * 4, as: UInt32.self)))
    }

    /// Key and row of the fragment of that number if it is a whole partition of one row and nothing
    /// else; nil if it is not, or is damaged: `fragment` says how.
    @inline(__always)
    func single(
        _ index: Int
    ) throws(MalformedBytes) -> (key: UnsafeRawBufferPointer, row: SingleRow)? {
        precondition(index >= 0 && index < count)
        let start = offset(index)
        let end = index + 1 < count ? offset(index + 1) : bytes.count
        guard start >= 4 + count * 12, start < end, end <= bytes.count, bytes[start] == 0 else {
            return nil
        }
        var reader = ByteReader(
            UnsafeRawBufferPointer(rebasing: bytes[start..<end]), position: 1)
        let key = try reader.readLengthPrefixed()
        // One row, which shares nothing.
        guard try reader.readVarint() == 1, try reader.readVarint() == 0 else { return nil }
        let rowKey = try reader.readLengthPrefixed()
        return (key, SingleRow(key: rowKey, row: try reader.readLengthPrefixed()))
    }

    /// The fragment of that number.
    func fragment(_ index: Int) throws(MalformedBytes) -> Fragment {
        precondition(index >= 0 && index < count)
        let start = offset(index)
        let end = index + 1 < count ? offset(index + 1) : bytes.count
        guard start >= 4 + count * 12, start <= end, end <= bytes.count else {
            throw MalformedBytes("fragment offsets", offset: start)
        }
        return try Fragment(UnsafeRawBufferPointer(rebasing: bytes[start..<end]))
    }

    /// The first fragment whose token is at least `token`; `span` are the block's first and last token as
    /// the file's index has them, which is in the processor's cache where the block is not. Cost: tokens
    /// are spread evenly, so a guess by interpolation and a look around it touch one or two cache lines;
    /// else a binary search.
    func lowerBound(_ token: Int64, span: (first: Int64, last: Int64)) -> Int {
        var low = 0
        var high = count
        if count > 16 {
            let guess = guess(token, span)
            prefetch(around: guess)
            let near = 6
            let before = max(0, guess - near)
            let behind = min(count, guess + near)
            if self.token(before) < token { low = before + 1 } else { high = before }
            if low > 0, behind < count {
                if self.token(behind) >= token { high = behind } else { low = behind + 1 }
            }
        }
        while low < high {
            let middle = (low + high) >> 1
            if self.token(middle) < token { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Where a token would stand if all were spread evenly over the span.
    @inline(__always)
    private func guess(_ token: Int64, _ span: (first: Int64, last: Int64)) -> Int {
        if token <= span.first { return 0 }
        if token >= span.last { return count - 1 }
        let width = UInt64(bitPattern: span.last &- span.first)
        let offset = UInt64(bitPattern: token &- span.first)
        return Int(
            width.dividingFullWidth(offset.multipliedFullWidth(by: UInt64(count - 1))).quotient)
    }

    /// What a look-up touches after the tokens: the fragment's offset, and about where it lies if all
    /// fragments are of one size. The misses overlap with that of the tokens.
    @inline(__always)
    private func prefetch(around index: Int) {
        guard let base = bytes.baseAddress else { return }
        coterie_prefetch(base + 4 + count * 8 + index * 4)
        let head = 4 + count * 12
        let near = head + (bytes.count - head) / count * index
        coterie_prefetch(base + near)
        coterie_prefetch(base + min(near + 64, bytes.count - 1))
    }

    /// The fragment in which that partition begins, if it begins in this block.
    @inline(__always)
    func find(
        token: Int64, key: UnsafeRawBufferPointer, span: (first: Int64, last: Int64)
    ) throws(MalformedBytes) -> (index: Int, fragment: Fragment)? {
        var index = lowerBound(token, span: span)
        while index < count, self.token(index) == token {
            let fragment = try fragment(index)
            if equalBytes(fragment.key, key), !fragment.flags.contains(.continued) {
                return (index, fragment)
            }
            index += 1
        }
        return nil
    }
}
