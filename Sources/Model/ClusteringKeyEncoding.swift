// The bytes of a value inside a clustering key, type by type (docs/formats/clustering-key.md).

internal import Encoding

extension ClusteringKey {
    /// Appends the ascending encoding of `value`, which is not empty.
    static func appendValue(
        _ value: UnsafeRawBufferPointer, _ type: CQLType, into writer: ByteWriter
    ) {
        switch type {
        case .tinyint: writer.append(load(value, UInt8.self) ^ 0x80)
        case .smallint: writer.appendBigEndian(load(value, UInt16.self) ^ 0x8000)
        case .int: writer.appendBigEndian(load(value, UInt32.self) ^ 0x8000_0000)
        case .bigint, .counter, .timestamp:
            writer.appendBigEndian(load(value, UInt64.self) ^ 0x8000_0000_0000_0000)
        case .date: writer.appendBigEndian(load(value, UInt32.self))
        case .time: writer.appendBigEndian(load(value, UInt64.self))
        case .boolean: writer.append(value[0] == 0 ? 0 : 1 as UInt8)
        case .float: appendFloat(load(value, UInt32.self), into: writer)
        case .double: appendDouble(load(value, UInt64.self), into: writer)
        case .uuid: appendUUID(value, into: writer)
        case .timeuuid:
            writer.appendBigEndian(timeOrdered(load(value, UInt64.self)))
            writer.appendBigEndian(load(value, UInt64.self, at: 8) ^ 0x8080_8080_8080_8080)
        case .text, .ascii, .blob, .inet, .custom, .duration: appendEscaped(value, into: writer)
        case .varint: appendInteger(CQLInteger.minimal(value), into: writer)
        case .decimal: appendDecimal(CQLDecimal(value), into: writer)
        case .list, .set, .map, .vector, .tuple, .userDefined:
            appendSequence(value, type, into: writer)
        }
    }

    /// The big-endian integer at `offset`. Bytes that are missing count as zeros.
    private static func load<T: FixedWidthInteger & UnsignedInteger & BitwiseCopyable>(
        _ value: UnsafeRawBufferPointer, _ type: T.Type, at offset: Int = 0
    ) -> T {
        let size = MemoryLayout<T>.size
        if value.count >= offset + size { return value.bigEndian(T.self, at: offset) }
        var result: T = 0
        for index in offset..<(offset + size) {
            result = result << 8 | (index < value.count ? T(value[index]) : 0)
        }
        return result
    }

    private static func appendFloat(_ bits: UInt32, into writer: ByteWriter) {
        let isNaN = bits & 0x7FFF_FFFF > 0x7F80_0000
        let canonical = isNaN ? 0x7FC0_0000 : bits
        writer.appendBigEndian(canonical >> 31 == 0 ? canonical ^ 0x8000_0000 : ~canonical)
    }

    private static func appendDouble(_ bits: UInt64, into writer: ByteWriter) {
        let isNaN = bits & 0x7FFF_FFFF_FFFF_FFFF > 0x7FF0_0000_0000_0000
        let canonical = isNaN ? 0x7FF8_0000_0000_0000 : bits
        writer.appendBigEndian(canonical >> 63 == 0 ? canonical ^ (1 << 63) : ~canonical)
    }

    /// The first half of a version 1 UUID with its time's most significant bits first:
    /// low:32 mid:16 high:16 becomes high mid low.
    static func timeOrdered(_ half: UInt64) -> UInt64 {
        half << 48 | (half << 16) & 0xFFFF_0000_0000 | half >> 32
    }

    /// The inverse of `timeOrdered`.
    static func timeReordered(_ half: UInt64) -> UInt64 {
        half << 32 | (half >> 16) & 0xFFFF_0000 | half >> 48
    }

    private static func appendUUID(_ value: UnsafeRawBufferPointer, into writer: ByteWriter) {
        let high = load(value, UInt64.self)
        let version = (high >> 12) & 0xF
        writer.appendBigEndian(
            version == 1
                ? timeOrdered(high)
                : version << 60 | (high >> 4) & 0x0FFF_FFFF_FFFF_F000 | high & 0xFFF)
        writer.appendBigEndian(load(value, UInt64.self, at: 8))
    }

    /// Appends bytes of any length: zeros escaped, a zero at the end.
    static func appendEscaped(_ value: UnsafeRawBufferPointer, into writer: ByteWriter) {
        let count = value.count
        writer.reserve(count + 2)
        var copied = 0
        var index = KeyReader.firstZero(value, from: 0, mask: 0)
        while index < count {
            var end = index + 1
            while end < count, value[end] == 0 { end += 1 }
            writer.append(UnsafeRawBufferPointer(rebasing: value[copied...index]))
            for _ in (index + 1)..<end { writer.append(0xFE as UInt8) }
            if end == count { return writer.append(0xFE as UInt8) }
            writer.append(0xFF as UInt8)
            copied = end
            index = KeyReader.firstZero(value, from: end, mask: 0)
        }
        writer.append(value.suffix(rebasedFrom: copied))
        writer.append(0 as UInt8)
    }

    /// Appends a whole number given by its shortest two's complement bytes.
    private static func appendInteger(_ bytes: UnsafeRawBufferPointer, into writer: ByteWriter) {
        let length = bytes.count
        let isNegative = CQLInteger.isNegative(bytes)
        if length <= 127 {
            let size = UInt8(max(length, 1) - 1)
            writer.append(isNegative ? 0x7F - size : 0x80 + size)
        } else {
            let size = UInt32(truncatingIfNeeded: length)
            writer.append(isNegative ? 0x00 : 0xFF as UInt8)
            writer.appendBigEndian(isNegative ? ~size : size)
        }
        writer.append(bytes)
    }

    private static func appendDecimal(_ decimal: CQLDecimal, into writer: ByteWriter) {
        let digits = decimal.digits.prefix(decimal.significantCount)
        guard !digits.isEmpty else { return writer.append(0x80 as UInt8) }
        writer.append(decimal.isNegative ? 0x40 : 0xC0 as UInt8)
        let start = writer.count
        let exponent = CQLType.bigEndianBytes(Int64(decimal.exponent))
        exponent.withUnsafeBytes { appendInteger(CQLInteger.minimal($0), into: writer) }
        var index = 0
        while index < digits.count {
            let second = index + 1 < digits.count ? digits[index + 1] : 0
            writer.append(digits[index] * 10 + second + 1)
            index += 2
        }
        writer.append(0 as UInt8)
        if decimal.isNegative { writer.invert(from: start) }
    }

    /// Appends the parts of a nested value. Null fields at the end of a tuple are left out.
    private static func appendSequence(
        _ value: UnsafeRawBufferPointer, _ type: CQLType, into writer: ByteWriter
    ) {
        let omitsTrailingNulls =
            switch type {
            case .tuple, .userDefined: true
            default: false
            }
        if var parts = CQLValueParts(type, value) {
            var index = 0
            var nulls = 0
            walk: while true {
                switch parts.next() {
                case .part(let part):
                    for _ in 0..<nulls { writer.append(Mark.null) }
                    nulls = 0
                    appendPart(part, type.partType(index), into: writer)
                case .null:
                    if omitsTrailingNulls { nulls += 1 } else { writer.append(Mark.null) }
                case .end, .malformed:
                    break walk
                }
                index += 1
            }
        }
        writer.append(Mark.end)
    }
}
