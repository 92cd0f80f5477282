// Checking a serialized value in place, as Cassandra's validators do: lengths, UTF-8, counts.
//
// Cost: nothing is allocated unless the value is refused. Text is checked eight bytes at a time
// while it is ASCII.

private import Encoding

extension CQLType {
    /// How many bytes each value has, or nil when that differs. An empty value is not counted.
    package var fixedLength: Int? {
        switch self {
        case .boolean, .tinyint: 1
        case .smallint: 2
        case .int, .float, .date: 4
        case .bigint, .counter, .double, .time, .timestamp: 8
        case .uuid, .timeuuid: 16
        case .vector: vectorElementLength
        default: nil
        }
    }

    /// The length that elements of the type have inside a vector, or nil when each has its length
    /// before it. For historical reasons of Cassandra's, `tinyint`, `smallint`, `date` and `time`
    /// do.
    package var vectorElementLength: Int? {
        switch self {
        case .boolean: 1
        case .int, .float: 4
        case .bigint, .double, .timestamp: 8
        case .uuid, .timeuuid: 16
        case .vector(let element, let dimensions):
            element.vectorElementLength.map { length in
                let (product, overflow) = length.multipliedReportingOverflow(by: max(dimensions, 0))
                return overflow ? Int.max : product
            }
        default: nil
        }
    }

    /// Checks that `value` is a serialized value of the type.
    ///
    /// - Throws: `CQLValueError` with Cassandra's wording.
    package func validate(_ value: UnsafeRawBufferPointer) throws(CQLValueError) {
        let count = value.count
        switch self {
        case .blob, .varint, .custom:
            break
        case .text:
            guard UTF8Check.isValid(value) else { throw CQLValueError("String didn't validate.") }
        case .ascii:
            if let byte = value.first(where: { $0 >= 0x80 }) {
                throw CQLValueError("Invalid byte for ascii: \(Int8(bitPattern: byte))")
            }
        case .int:
            try Self.check(count == 4 || count == 0, "Expected 4 or 0 byte int", count)
        case .bigint, .counter:
            try Self.check(count == 8 || count == 0, "Expected 8 or 0 byte long", count)
        case .smallint:
            try Self.check(count == 2, "Expected 2 bytes for a smallint", count)
        case .tinyint:
            try Self.check(count == 1, "Expected 1 byte for a tinyint", count)
        case .boolean:
            try Self.check(count == 1 || count == 0, "Expected 1 or 0 byte value", count)
        case .float:
            try Self.check(
                count == 4 || count == 0, "Expected 4 or 0 byte value for a float", count)
        case .double:
            try Self.check(
                count == 8 || count == 0, "Expected 8 or 0 byte value for a double", count)
        case .timestamp:
            try Self.check(count == 8 || count == 0, "Expected 8 or 0 byte long for date", count)
        case .date:
            try Self.check(count == 4, "Expected 4 byte long for date", count)
        case .time:
            try Self.check(count == 8, "Expected 8 byte long for time", count)
        case .uuid:
            try Self.check(count == 16 || count == 0, "UUID should be 16 or 0 bytes", count)
        case .timeuuid:
            try Self.check(count == 16 || count == 0, "UUID should be 16 or 0 bytes", count)
            if count == 16, value[6] & 0xF0 != 0x10 {
                throw CQLValueError(
                    "Invalid version for TimeUUID type: 0x\(String(value[6] >> 4, radix: 16))")
            }
        case .inet:
            guard count == 0 || count == 4 || count == 16 else {
                throw CQLValueError(
                    "Expected 4 or 16 byte inetaddress; got \(HexText.text(value))")
            }
        case .decimal:
            // Four bytes of scale need at least one of the number behind them.
            try Self.check(count == 0 || count > 4, "Expected 0 or at least 4 bytes", count)
        case .duration:
            try CQLDuration.validate(value)
        case .list(let element, _):
            try Self.validateElements(value, self, element, "list")
        case .set(let element, _):
            try Self.validateElements(value, self, element, "set")
        case .map(let keyType, let valueType, _):
            try Self.validateMap(value, self, keyType, valueType)
        case .tuple(let types):
            var fields = FieldWalk(value)
            for (index, type) in types.enumerated() {
                guard try fields.validate(type, "\(index)th component") else { return }
            }
            guard fields.isAtEnd else {
                throw CQLValueError("Invalid remaining data after end of tuple value")
            }
        case .userDefined(let definition, _):
            var fields = FieldWalk(value)
            for (index, field) in definition.fields.enumerated() {
                guard try fields.validate(field.type, "\(index)th field \(field.name)") else {
                    return
                }
            }
            guard fields.isAtEnd else {
                throw CQLValueError("Invalid remaining data after end of UDT value")
            }
        case .vector(let element, let dimensions):
            try Self.validateVector(value, self, element, dimensions)
        }
    }

    @inline(__always)
    private static func check(
        _ isTrue: Bool, _ expectation: StaticString, _ count: Int
    ) throws(CQLValueError) {
        guard isTrue else { throw CQLValueError("\(expectation) (\(count))") }
    }

    private static func validateElements(
        _ value: UnsafeRawBufferPointer, _ type: CQLType, _ element: CQLType, _ kind: String
    ) throws(CQLValueError) {
        guard var parts = CQLValueParts(type, value) else { throw unreadable(value, kind) }
        while try validateNext(&parts, element, kind) {}
        guard parts.isAtEnd else {
            throw CQLValueError("Unexpected extraneous bytes after \(kind) value")
        }
    }

    private static func validateMap(
        _ value: UnsafeRawBufferPointer, _ type: CQLType, _ keyType: CQLType, _ valueType: CQLType
    ) throws(CQLValueError) {
        guard var parts = CQLValueParts(type, value) else { throw unreadable(value, "map") }
        while try validateNext(&parts, keyType, "map") {
            _ = try validateNext(&parts, valueType, "map")
        }
        guard parts.isAtEnd else {
            throw CQLValueError("Unexpected extraneous bytes after map value")
        }
    }

    /// Why the head of a collection cannot be read: its count is negative, or tells of more than there is.
    private static func unreadable(
        _ value: UnsafeRawBufferPointer, _ kind: String
    ) -> CQLValueError {
        value.count >= 4 && value[0] >= 0x80
            ? CQLValueError("The data cannot be deserialized as a \(kind)")
            : CQLValueError("Not enough bytes to read a \(kind)")
    }

    private static func validateVector(
        _ value: UnsafeRawBufferPointer, _ type: CQLType, _ element: CQLType, _ dimensions: Int
    ) throws(CQLValueError) {
        if value.isEmpty { return }
        guard var parts = CQLValueParts(type, value) else {
            throw CQLValueError("Not enough bytes to read a vector")
        }
        while try validateNext(&parts, element, "vector") {}
        guard parts.isAtEnd else {
            throw CQLValueError("Unexpected extraneous bytes after vector value")
        }
    }

    private static func validateNext(
        _ parts: inout CQLValueParts, _ type: CQLType, _ kind: String
    ) throws(CQLValueError) -> Bool {
        switch parts.next() {
        case .part(let element):
            try type.validate(element)
            return true
        case .null:
            throw CQLValueError("null is not supported inside collections")
        case .end:
            return false
        case .malformed:
            throw CQLValueError("Not enough bytes to read a \(kind)")
        }
    }
}

/// The fields of a tuple, checked one after the other.
private struct FieldWalk {
    private let bytes: UnsafeRawBufferPointer
    private var offset = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    var isAtEnd: Bool { offset == bytes.count }

    /// Checks the next field; false when the value ends before it, which is allowed.
    mutating func validate(
        _ type: CQLType, _ what: @autoclosure () -> String
    ) throws(CQLValueError) -> Bool {
        if isAtEnd { return false }
        guard bytes.count - offset >= 4 else {
            throw CQLValueError("Not enough bytes to read size of \(what())")
        }
        let length = Int(bytes.bigEndian(Int32.self, at: offset))
        offset += 4
        if length < 0 { return true }
        guard bytes.count - offset >= length else {
            throw CQLValueError("Not enough bytes to read \(what())")
        }
        try type.validate(UnsafeRawBufferPointer(rebasing: bytes[offset..<(offset + length)]))
        offset += length
        return true
    }
}

/// A check of UTF-8 (Unicode 15, table 3-7) without making a `String`.
package enum UTF8Check {
    /// Whether `bytes` is well-formed UTF-8.
    package static func isValid(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var index = 0
        let count = bytes.count
        while index < count {
            if count - index >= 8 {
                let word = bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)
                if word & 0x8080_8080_8080_8080 == 0 {
                    index += 8
                    continue
                }
            }
            let first = bytes[index]
            if first < 0x80 {
                index += 1
                continue
            }
            guard let length = sequenceLength(bytes, at: index, first: first) else { return false }
            index += length
        }
        return true
    }

    /// The length of the well-formed sequence of several bytes at `index`, or nil.
    private static func sequenceLength(
        _ bytes: UnsafeRawBufferPointer, at index: Int, first: UInt8
    ) -> Int? {
        let length: Int
        var second: ClosedRange<UInt8> = 0x80...0xBF
        switch first {
        case 0xC2...0xDF: length = 2
        case 0xE0:
            length = 3
            second = 0xA0...0xBF
        case 0xED:
            length = 3
            second = 0x80...0x9F
        case 0xE1...0xEF: length = 3
        case 0xF0:
            length = 4
            second = 0x90...0xBF
        case 0xF4:
            length = 4
            second = 0x80...0x8F
        case 0xF1...0xF3: length = 4
        default: return nil
        }
        guard bytes.count - index >= length, second.contains(bytes[index + 1]) else { return nil }
        for offset in 2..<4 where offset < length {
            guard bytes[index + offset] & 0xC0 == 0x80 else { return nil }
        }
        return length
    }
}
