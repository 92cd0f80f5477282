// The snappy format (google/snappy, format_description.txt): a varint length, then literals and
// copies. gocql compresses with it in v4, and no C library of it is needed for so little.
//
// The compressor is greedy with one hash table of four-byte sequences over blocks of 64 KiB, as the
// format description suggests; it aims at being simple and fast rather than at the best ratio.

internal import Encoding

/// Snappy blocks.
enum Snappy {
    private static let blockSize = 1 << 16
    private static let hashBits = 14

    /// The length in the block's preamble.
    static func decompressedLength(_ source: UnsafeRawBufferPointer) throws(MalformedBytes) -> Int {
        var reader = ByteReader(source)
        let length = try reader.readVarint()
        guard length <= UInt64(UInt32.max) else {
            throw MalformedBytes("snappy length over 32 bits", offset: 0)
        }
        return Int(length)
    }

    /// Decompresses a block that must fill `target` exactly.
    static func decompress(
        _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
    ) throws(MalformedBytes) {
        var reader = ByteReader(source)
        guard try reader.readVarint() == UInt64(target.count) else {
            throw MalformedBytes("snappy length differs", offset: 0)
        }
        var written = 0
        while !reader.isAtEnd {
            let tag = try reader.readUInt8()
            let length: Int
            let distance: Int
            switch tag & 3 {
            case 0:
                let count = try literalLength(tag, &reader)
                guard count <= target.count - written else {
                    throw MalformedBytes("snappy literal beyond the end", offset: reader.position)
                }
                let literal = try reader.readBytes(count)
                UnsafeMutableRawBufferPointer(rebasing: target[written..<written + count])
                    .copyMemory(from: literal)
                written += count
                continue
            case 1:
                length = Int((tag >> 2) & 7) + 4
                distance = Int(tag >> 5) << 8 | Int(try reader.readUInt8())
            case 2:
                length = Int(tag >> 2) + 1
                distance = Int(try reader.readLittleEndian(UInt16.self))
            default:
                length = Int(tag >> 2) + 1
                distance = Int(try reader.readLittleEndian(UInt32.self))
            }
            guard distance > 0, distance <= written, length <= target.count - written else {
                throw MalformedBytes("snappy copy out of bounds", offset: reader.position)
            }
            // Byte by byte, because a copy may overlap what it writes.
            for index in written..<written + length { target[index] = target[index - distance] }
            written += length
        }
        guard written == target.count else {
            throw MalformedBytes("snappy block ends early", offset: source.count)
        }
    }

    private static func literalLength(
        _ tag: UInt8, _ reader: inout ByteReader
    ) throws(MalformedBytes) -> Int {
        let short = Int(tag >> 2)
        guard short >= 60 else { return short + 1 }
        var length = 0
        for shift in 0..<(short - 59) { length |= Int(try reader.readUInt8()) << (8 * shift) }
        return length + 1
    }

    /// Appends the compressed block to `writer`.
    static func compress(_ source: UnsafeRawBufferPointer, into writer: ByteWriter) {
        writer.appendVarint(UInt64(source.count))
        var table = [Int32](repeating: -1, count: 1 << hashBits)
        var start = 0
        while start < source.count {
            let end = min(start + blockSize, source.count)
            compressBlock(source, start..<end, &table, into: writer)
            start = end
        }
    }

    private static func compressBlock(
        _ source: UnsafeRawBufferPointer, _ block: Range<Int>, _ table: inout [Int32],
        into writer: ByteWriter
    ) {
        var position = block.lowerBound
        var literalStart = position
        while position + 4 <= block.upperBound {
            let word = source.loadUnaligned(fromByteOffset: position, as: UInt32.self)
            let slot = Int((word &* 0x1E35_A7BD) >> UInt32(32 - hashBits))
            let candidate = Int(table[slot])
            table[slot] = Int32(truncatingIfNeeded: position)
            guard candidate >= block.lowerBound, candidate < position,
                source.loadUnaligned(fromByteOffset: candidate, as: UInt32.self) == word
            else {
                position += 1
                continue
            }
            appendLiteral(source, literalStart..<position, into: writer)
            var length = 4
            while position + length < block.upperBound,
                source[candidate + length] == source[position + length]
            { length += 1 }
            appendCopy(distance: position - candidate, length: length, into: writer)
            position += length
            literalStart = position
        }
        appendLiteral(source, literalStart..<block.upperBound, into: writer)
    }

    private static func appendLiteral(
        _ source: UnsafeRawBufferPointer, _ range: Range<Int>, into writer: ByteWriter
    ) {
        guard !range.isEmpty else { return }
        let extra = range.count - 1
        if extra < 60 {
            writer.append(UInt8(extra << 2))
        } else if extra < 256 {
            writer.append(60 << 2)
            writer.append(UInt8(extra))
        } else {
            // A block is at most 64 KiB, so two bytes always do.
            writer.append(61 << 2)
            writer.appendLittleEndian(UInt16(extra))
        }
        writer.append(UnsafeRawBufferPointer(rebasing: source[range]))
    }

    private static func appendCopy(distance: Int, length: Int, into writer: ByteWriter) {
        var rest = length
        while rest > 0 {
            let part = min(rest, 64)
            writer.append(UInt8((part - 1) << 2) | 2)
            writer.appendLittleEndian(UInt16(distance))
            rest -= part
        }
    }
}
