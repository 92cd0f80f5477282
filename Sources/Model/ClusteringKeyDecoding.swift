// From the bytes of a clustering key back to serialized values (docs/formats/clustering-key.md).
//
// The bytes may come from a disk or a network: every length is checked, and what a key cannot hold
// is refused. Recursion is bounded by the depth of the type.

internal import Encoding

/// A cursor over a key. Inside a descending component `mask` is FF and bytes are seen inverted.
struct KeyReader {
    let bytes: UnsafeRawBufferPointer
    var position = 0
    var mask: UInt8 = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    var isAtEnd: Bool { position == bytes.count }

    @inline(__always)
    mutating func readByte() throws(MalformedBytes) -> UInt8 {
        guard position < bytes.count else {
            throw MalformedBytes("clustering key is too short", offset: position)
        }
        defer { position += 1 }
        return bytes[position] ^ mask
    }

    @inline(__always)
    mutating func read<T: FixedWidthInteger & UnsignedInteger & BitwiseCopyable>(
        _ type: T.Type
    ) throws(MalformedBytes) -> T {
        guard bytes.count - position >= MemoryLayout<T>.size else {
            throw MalformedBytes("clustering key is too short", offset: position)
        }
        defer { position += MemoryLayout<T>.size }
        let value = bytes.bigEndian(T.self, at: position)
        return mask == 0 ? value : ~value
    }

    /// Copies `count` bytes.
    mutating func copy(_ count: Int, into writer: ByteWriter) throws(MalformedBytes) {
        guard count <= bytes.count - position else {
            throw MalformedBytes("clustering key is too short", offset: position)
        }
        let start = writer.count
        writer.append(UnsafeRawBufferPointer(rebasing: bytes[position..<(position + count)]))
        if mask != 0 { writer.invert(from: start) }
        position += count
    }

    /// The index of the first byte from `start` on that is zero once masked, or the count of bytes.
    static func firstZero(_ bytes: UnsafeRawBufferPointer, from start: Int, mask: UInt8) -> Int {
        let count = bytes.count
        let wideMask: UInt64 = mask == 0 ? 0 : .max
        var index = start
        while count - index >= 8 {
            let word = bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self) ^ wideMask
            // Not zero exactly when a byte of the word is (H. S. Warren, "Hacker's Delight", 6-1).
            if (word &- 0x0101_0101_0101_0101) & ~word & 0x8080_8080_8080_8080 != 0 { break }
            index += 8
        }
        while index < count, bytes[index] != mask { index += 1 }
        return index
    }

    /// Copies escaped bytes without their escapes and end.
    mutating func copyEscaped(into writer: ByteWriter) throws(MalformedBytes) {
        while true {
            let zero = Self.firstZero(bytes, from: position, mask: mask)
            guard zero < bytes.count else {
                throw MalformedBytes("bytes in a clustering key have no end", offset: position)
            }
            try copy(zero - position, into: writer)
            position += 1
            var zeros = 0
            while position < bytes.count, bytes[position] ^ mask == 0xFE {
                zeros += 1
                position += 1
            }
            guard position < bytes.count, bytes[position] ^ mask == 0xFF else {
                return writer.appendZeros(zeros)
            }
            position += 1
            writer.appendZeros(zeros + 1)
        }
    }
}

extension ClusteringKey {
    /// Whether decoding gives back exactly `value`, a valid value of `type`, so that nothing needs
    /// to travel beside the key.
    package static func isCanonical(_ value: UnsafeRawBufferPointer, type: CQLType) -> Bool {
        switch type {
        case .float where value.count == 4:
            let bits = value.bigEndian(UInt32.self)
            return bits & 0x7FFF_FFFF <= 0x7F80_0000 || bits == 0x7FC0_0000
        case .double where value.count == 8:
            let bits = value.bigEndian(UInt64.self)
            return bits & 0x7FFF_FFFF_FFFF_FFFF <= 0x7FF0_0000_0000_0000
                || bits == 0x7FF8_0000_0000_0000
        case .varint:
            return CQLInteger.minimal(value).count == value.count
        default:
            if type.isClusteringEncodingInjective { return true }
        }
        let encoded = ByteWriter()
        let decoded = ByteWriter()
        appendPart(value, type, into: encoded)
        return withExtendedLifetime(encoded) {
            var reader = KeyReader(encoded.bytes)
            do throws(MalformedBytes) {
                if try reader.readByte() == Mark.value {
                    try decodeValue(&reader, type, into: decoded)
                }
            } catch {
                return false
            }
            return reader.isAtEnd && compare(decoded.bytes, value) == 0
        }
    }

    /// Decodes a value behind its mark and appends its serialized form.
    static func decodeValue(
        _ reader: inout KeyReader, _ type: CQLType, into writer: ByteWriter
    ) throws(MalformedBytes) {
        switch type {
        case .tinyint: writer.append(try reader.readByte() ^ 0x80)
        case .smallint: writer.appendBigEndian(try reader.read(UInt16.self) ^ 0x8000)
        case .int: writer.appendBigEndian(try reader.read(UInt32.self) ^ 0x8000_0000)
        case .bigint, .counter, .timestamp:
            writer.appendBigEndian(try reader.read(UInt64.self) ^ 0x8000_0000_0000_0000)
        case .date: writer.appendBigEndian(try reader.read(UInt32.self))
        case .time: writer.appendBigEndian(try reader.read(UInt64.self))
        case .boolean: writer.append(try reader.readByte())
        case .float:
            let bits = try reader.read(UInt32.self)
            writer.appendBigEndian(bits >> 31 == 0 ? ~bits : bits ^ 0x8000_0000)
        case .double:
            let bits = try reader.read(UInt64.self)
            writer.appendBigEndian(bits >> 63 == 0 ? ~bits : bits ^ (1 << 63))
        case .uuid:
            let high = try reader.read(UInt64.self)
            writer.appendBigEndian(
                high >> 60 == 1
                    ? timeReordered(high)
                    : (high & 0x0FFF_FFFF_FFFF_F000) << 4 | (high >> 60) << 12 | high & 0xFFF)
            writer.appendBigEndian(try reader.read(UInt64.self))
        case .timeuuid:
            writer.appendBigEndian(timeReordered(try reader.read(UInt64.self)))
            writer.appendBigEndian(try reader.read(UInt64.self) ^ 0x8080_8080_8080_8080)
        case .text, .ascii, .blob, .inet, .custom, .duration:
            try reader.copyEscaped(into: writer)
        case .varint:
            let length = try readIntegerLength(&reader)
            try reader.copy(length, into: writer)
        case .decimal:
            try decodeDecimal(&reader, into: writer)
        case .list, .set:
            try decodeCounted(&reader, type, partsPerElement: 1, into: writer)
        case .map:
            try decodeCounted(&reader, type, partsPerElement: 2, into: writer)
        case .tuple(let types):
            try decodeFields(&reader, type, count: types.count, into: writer)
        case .userDefined(let definition, _):
            try decodeFields(&reader, type, count: definition.fields.count, into: writer)
        case .vector(let element, let dimensions):
            try decodeVector(&reader, element, dimensions, into: writer)
        }
    }

    private static func readIntegerLength(
        _ reader: inout KeyReader
    ) throws(MalformedBytes) -> Int {
        let prefix = try reader.readByte()
        return switch prefix {
        case 0x00: Int(~(try reader.read(UInt32.self)))
        case 0xFF: Int(try reader.read(UInt32.self))
        case 0x80...0xFE: Int(prefix) - 0x80 + 1
        default: 0x7F - Int(prefix) + 1
        }
    }

    private static func decodeDecimal(
        _ reader: inout KeyReader, into writer: ByteWriter
    ) throws(MalformedBytes) {
        let start = reader.position
        let refusal = MalformedBytes("no decimal in a clustering key", offset: start)
        let kind = try reader.readByte()
        guard kind != 0x80 else {
            return writer.append(CQLDecimal(isNegative: false, digits: [], scale: 0).bytes)
        }
        guard kind == 0x40 || kind == 0xC0 else { throw refusal }
        let isNegative = kind == 0x40
        if isNegative { reader.mask = ~reader.mask }
        defer { if isNegative { reader.mask = ~reader.mask } }

        let length = try readIntegerLength(&reader)
        guard (1...8).contains(length) else { throw refusal }
        var exponent = Int64(Int8(bitPattern: try reader.readByte()))
        for _ in 1..<length { exponent = exponent << 8 | Int64(try reader.readByte()) }
        var digits: [UInt8] = []
        while true {
            let pair = try reader.readByte()
            if pair == 0 { break }
            guard pair <= 100 else { throw refusal }
            digits.append((pair - 1) / 10)
            digits.append((pair - 1) % 10)
        }
        while digits.last == 0 { digits.removeLast() }
        guard let first = digits.first, first != 0 else { throw refusal }
        // The scale that keeps all digits and no more; a number so large that its scale would not
        // fit gets zeros at its end, of which an encoded number never needs many.
        var scale = Int64(digits.count) - exponent
        if scale < Int64(Int32.min), scale >= Int64(Int32.min) - Int64(CQLInteger.maximumDigits) {
            digits += [UInt8](repeating: 0, count: Int(Int64(Int32.min) - scale))
            scale = Int64(Int32.min)
        }
        guard Int32(exactly: scale) != nil else { throw refusal }
        writer.append(
            CQLDecimal(isNegative: isNegative, digits: digits, scale: Int(scale)).bytes)
    }

    /// Reads the next part of a sequence and appends it with an i32 length; false at the sequence's
    /// end.
    private static func decodePart(
        _ reader: inout KeyReader, _ type: CQLType, into writer: ByteWriter
    ) throws(MalformedBytes) -> Bool {
        switch try reader.readByte() {
        case Mark.end:
            return false
        case Mark.null:
            writer.appendBigEndian(Int32(-1))
        case Mark.empty:
            writer.appendBigEndian(Int32(0))
        case Mark.value:
            let place = writer.count
            writer.appendBigEndian(Int32(0))
            try decodeValue(&reader, type, into: writer)
            let length = writer.count - place - 4
            writer.overwriteBigEndian(at: place, Int32(truncatingIfNeeded: length))
        default:
            throw MalformedBytes("no part of a nested value", offset: reader.position - 1)
        }
        return true
    }

    private static func decodeCounted(
        _ reader: inout KeyReader, _ type: CQLType, partsPerElement: Int, into writer: ByteWriter
    ) throws(MalformedBytes) {
        let place = writer.count
        writer.appendBigEndian(Int32(0))
        var parts = 0
        while try decodePart(&reader, type.partType(parts), into: writer) { parts += 1 }
        guard parts.isMultiple(of: partsPerElement) else {
            throw MalformedBytes("a key of a map has no value", offset: reader.position)
        }
        writer.overwriteBigEndian(at: place, Int32(truncatingIfNeeded: parts / partsPerElement))
    }

    private static func decodeFields(
        _ reader: inout KeyReader, _ type: CQLType, count: Int, into writer: ByteWriter
    ) throws(MalformedBytes) {
        for index in 0..<count {
            guard try decodePart(&reader, type.partType(index), into: writer) else {
                for _ in index..<count { writer.appendBigEndian(Int32(-1)) }
                return
            }
        }
        guard try reader.readByte() == Mark.end else {
            throw MalformedBytes("tuple has too many fields", offset: reader.position - 1)
        }
    }

    private static func decodeVector(
        _ reader: inout KeyReader, _ element: CQLType, _ dimensions: Int, into writer: ByteWriter
    ) throws(MalformedBytes) {
        let isFixed = element.vectorElementLength != nil
        let scratch = isFixed ? writer : ByteWriter()
        for _ in 0..<dimensions {
            let mark = try reader.readByte()
            guard mark == Mark.value || (mark == Mark.empty && !isFixed) else {
                throw MalformedBytes("no element of a vector", offset: reader.position - 1)
            }
            if mark == Mark.value { try decodeValue(&reader, element, into: scratch) }
            if !isFixed {
                var prefix: [UInt8] = []
                VariableInteger.appendUnsigned(UInt64(scratch.count), to: &prefix)
                writer.append(prefix)
                writer.append(scratch.bytes)
                scratch.removeAll()
            }
        }
        guard try reader.readByte() == Mark.end else {
            throw MalformedBytes("vector has too many elements", offset: reader.position - 1)
        }
    }
}
