// Values of CQL types in their serialized form (native protocol specification, section 6, and
// Cassandra's vector layout), and how to walk through the nested ones.
//
//     list, set   count:i32  { length:i32 bytes }...
//     map         count:i32  { length:i32 key  length:i32 value }...
//     tuple, UDT  { length:i32 bytes }...           length -1 = null; trailing fields may be absent
//     vector      elements side by side              where the element's length is fixed
//                 { length:unsigned vint bytes }...  otherwise
//
// A value stays in this form from the client's frame to the disk and back; it is checked in place.

internal import Encoding

/// A value that its type refuses. The text is worded as Cassandra words it, because programs match
/// it.
package struct CQLValueError: Error, Equatable, CustomStringConvertible {
    package let message: String

    package init(_ message: String) { self.message = message }

    package var description: String { message }
}

/// A walk over the direct parts of a nested value: elements, keys and values in turn, or fields.
///
/// It trusts nothing: a part that does not fit into the bytes ends the walk as `malformed`.
package struct CQLValueParts {
    /// What the next step of the walk found.
    package enum Step {
        case part(UnsafeRawBufferPointer)
        case null
        case end
        case malformed
    }

    private enum Layout {
        /// An i32 length before each part; the number of parts is known, none may be missing.
        case counted
        /// An i32 length before each part; trailing parts may be missing.
        case fields
        case fixed(Int)
        case vintPrefixed
    }

    private let bytes: UnsafeRawBufferPointer
    private let layout: Layout
    private var offset: Int
    /// How many parts are still to come at most.
    package private(set) var remaining: Int

    /// Starts a walk over `value`, a serialized value of the nested type `type`. Nil when `type` is
    /// not nested or the head of the value is malformed.
    package init?(_ type: CQLType, _ value: UnsafeRawBufferPointer) {
        bytes = value
        offset = 0
        switch type {
        case .list, .set, .map:
            guard value.count >= 4 else { return nil }
            let count = Int(Int32(bigEndian: value.loadUnaligned(as: Int32.self)))
            let parts = if case .map = type { count * 2 } else { count }
            // Each part has a length of four bytes, so a larger count cannot be true.
            guard count >= 0, parts <= (value.count - 4) / 4 else { return nil }
            offset = 4
            remaining = parts
            layout = .counted
        case .tuple(let types):
            remaining = types.count
            layout = .fields
        case .userDefined(let definition, _):
            remaining = definition.fields.count
            layout = .fields
        case .vector(let element, let dimensions):
            remaining = max(dimensions, 0)
            layout = element.vectorElementLength.map { .fixed($0) } ?? .vintPrefixed
        default:
            return nil
        }
    }

    /// Whether the walk has consumed all bytes.
    package var isAtEnd: Bool { offset == bytes.count }

    /// Takes the next part.
    package mutating func next() -> Step {
        guard remaining > 0 else { return .end }
        let length: Int
        switch layout {
        case .fields where offset == bytes.count:
            remaining = 0
            return .end
        case .counted, .fields:
            guard bytes.count - offset >= 4 else { return .malformed }
            let raw = bytes.loadUnaligned(fromByteOffset: offset, as: Int32.self)
            length = Int(Int32(bigEndian: raw))
            offset += 4
            if length < 0 {
                remaining -= 1
                return .null
            }
        case .fixed(let size):
            length = size
        case .vintPrefixed:
            guard let prefix = VariableInteger.readUnsigned(bytes, &offset),
                prefix <= UInt64(Int32.max)
            else { return .malformed }
            length = Int(prefix)
        }
        guard length <= bytes.count - offset else { return .malformed }
        remaining -= 1
        defer { offset += length }
        return .part(UnsafeRawBufferPointer(rebasing: bytes[offset..<(offset + length)]))
    }
}

/// Cassandra's variable-length integers, most significant group first: the number of leading one
/// bits of the first byte says how many bytes follow. Used inside durations and vectors.
package enum VariableInteger {
    /// Reads one and moves `offset` behind it; nil if the bytes end first.
    static func readUnsigned(_ bytes: UnsafeRawBufferPointer, _ offset: inout Int) -> UInt64? {
        guard offset < bytes.count else { return nil }
        let first = bytes[offset]
        let extra = (~first).leadingZeroBitCount
        guard bytes.count - offset > extra else { return nil }
        var value = extra >= 8 ? 0 : UInt64(first & (0xFF >> UInt8(extra)))
        for index in 1..<(extra + 1) { value = value << 8 | UInt64(bytes[offset + index]) }
        offset += extra + 1
        return value
    }

    /// Reads a zigzag-coded signed integer.
    static func readSigned(_ bytes: UnsafeRawBufferPointer, _ offset: inout Int) -> Int64? {
        guard let raw = readUnsigned(bytes, &offset) else { return nil }
        return Int64(bitPattern: raw >> 1) ^ -Int64(bitPattern: raw & 1)
    }

    package static func appendUnsigned(_ value: UInt64, to bytes: inout [UInt8]) {
        let bits = 64 - (value | 1).leadingZeroBitCount
        let extra = min((bits - 1) / 7, 8)
        if extra == 8 {
            bytes.append(0xFF)
        } else {
            let mark = ~(UInt8(0xFF) >> UInt8(extra))
            bytes.append(mark | UInt8(truncatingIfNeeded: value >> UInt64(extra * 8)))
        }
        for index in stride(from: extra - 1, through: 0, by: -1) {
            bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(index * 8)))
        }
    }

    static func appendSigned(_ value: Int64, to bytes: inout [UInt8]) {
        appendUnsigned(UInt64(bitPattern: (value << 1) ^ (value >> 63)), to: &bytes)
    }
}

extension UnsafeRawBufferPointer {
    /// The big-endian integer at the start; the caller has checked the length.
    @inline(__always)
    func bigEndian<T: FixedWidthInteger & BitwiseCopyable>(_ type: T.Type, at offset: Int = 0) -> T
    {
        T(bigEndian: loadUnaligned(fromByteOffset: offset, as: T.self))
    }

    /// The bytes from `start` on, as a buffer of its own.
    func suffix(rebasedFrom start: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: self[start...])
    }
}
