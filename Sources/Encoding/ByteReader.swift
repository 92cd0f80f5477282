// Reading bytes that came from a disk or a network.
//
// A `ByteReader` walks over memory that it does not own. Every read checks the length first and
// throws `MalformedBytes` instead of trapping, because bytes from outside are never trusted.
// Our own formats are little-endian; the CQL native protocol is big-endian, hence both readers.
//
// Cost: one comparison and one unaligned load for each fixed-size read; no allocation. What is small
// and hot is `public`, not `package`: Swift 6.3 does not carry the bodies of `@inlinable package`
// functions into other modules, so that each would be a call, for generic ones through witness tables.

/// The bytes do not have the shape that their reader expects.
public struct MalformedBytes: Error, Equatable, CustomStringConvertible {
    /// What was being read, for a person.
    public let reason: String
    /// Where in the reader's bytes it went wrong.
    public let offset: Int

    /// What was wrong, and at which offset of the bytes.
    public init(_ reason: String, offset: Int) {
        self.reason = reason
        self.offset = offset
    }

    /// The reason and the place.
    public var description: String { "\(reason) at byte \(offset)" }
}

/// A cursor over bytes owned by somebody else. It must not outlive them.
public struct ByteReader {
    /// All bytes, read or not.
    public let bytes: UnsafeRawBufferPointer
    /// The offset of the next byte to read.
    public var position: Int

    /// Starts at the first of `bytes`.
    @inlinable
    public init(_ bytes: UnsafeRawBufferPointer) {
        self.init(bytes, position: 0)
    }

    /// Starts at `position`, which must lie inside `bytes` or at their end.
    @inlinable
    public init(_ bytes: UnsafeRawBufferPointer, position: Int) {
        precondition(position >= 0 && position <= bytes.count)
        self.bytes = bytes
        self.position = position
    }

    /// How many bytes are left.
    @inlinable
    public var remaining: Int { bytes.count - position }
    /// Whether all bytes are read.
    @inlinable
    public var isAtEnd: Bool { position == bytes.count }

    @inlinable
    mutating func advance(_ count: Int) throws(MalformedBytes) -> UnsafeRawPointer {
        guard count >= 0, count <= bytes.count - position, let base = bytes.baseAddress else {
            throw shortage(count)
        }
        let start = base + position
        position += count
        return start
    }

    /// The error for a read of `count` bytes that are not there; apart, so that reads stay small.
    @usableFromInline @inline(never)
    func shortage(_ count: Int) -> MalformedBytes {
        MalformedBytes("need \(count) bytes, have \(remaining)", offset: position)
    }

    /// Reads one byte.
    @inlinable
    public mutating func readUInt8() throws(MalformedBytes) -> UInt8 {
        try advance(1).load(as: UInt8.self)
    }

    /// Reads a fixed-width little-endian integer, as our own formats write it.
    @inlinable
    public mutating func readLittleEndian<T: FixedWidthInteger & BitwiseCopyable>(
        _ type: T.Type = T.self
    ) throws(MalformedBytes) -> T {
        T(littleEndian: try advance(MemoryLayout<T>.size).loadUnaligned(as: T.self))
    }

    /// Reads a fixed-width big-endian integer, as the native protocol and CQL values write it.
    @inlinable
    public mutating func readBigEndian<T: FixedWidthInteger & BitwiseCopyable>(
        _ type: T.Type = T.self
    ) throws(MalformedBytes) -> T {
        T(bigEndian: try advance(MemoryLayout<T>.size).loadUnaligned(as: T.self))
    }

    /// Reads an unsigned LEB128 integer of at most ten bytes; most are one byte.
    @inlinable @inline(__always)
    public mutating func readVarint() throws(MalformedBytes) -> UInt64 {
        if position < bytes.count, bytes[position] < 0x80 {
            position += 1
            return UInt64(bytes[position - 1])
        }
        return try readLongVarint()
    }

    @usableFromInline @inline(never)
    mutating func readLongVarint() throws(MalformedBytes) -> UInt64 {
        let start = position
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while shift < 64 {
            let byte = try readUInt8()
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 {
                if shift == 63, byte > 1 { break }
                return value
            }
            shift += 7
        }
        throw MalformedBytes("varint over 64 bits", offset: start)
    }

    /// Reads a varint that counts or measures something that must lie in the rest of the bytes.
    @inlinable
    public mutating func readCount() throws(MalformedBytes) -> Int {
        let start = position
        let value = try readVarint()
        guard value <= UInt64(remaining) else {
            throw excess(value, at: start)
        }
        return Int(value)
    }

    @usableFromInline @inline(never)
    func excess(_ value: UInt64, at start: Int) -> MalformedBytes {
        MalformedBytes("count \(value) exceeds what is left", offset: start)
    }

    /// The next `count` bytes, not copied.
    @inlinable
    public mutating func readBytes(_ count: Int) throws(MalformedBytes) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: try advance(count), count: count)
    }

    /// A varint length and that many bytes, not copied. Most lengths are one byte.
    @inlinable @inline(__always)
    public mutating func readLengthPrefixed() throws(MalformedBytes) -> UnsafeRawBufferPointer {
        let left = bytes.count - position
        if left > 0, let base = bytes.baseAddress {
            let length = Int(base.load(fromByteOffset: position, as: UInt8.self))
            if length < 0x80, length < left {
                let start = position + 1
                position = start + length
                return UnsafeRawBufferPointer(start: base + start, count: length)
            }
        }
        return try readLongLengthPrefixed()
    }

    @usableFromInline @inline(never)
    mutating func readLongLengthPrefixed() throws(MalformedBytes) -> UnsafeRawBufferPointer {
        let count = try readCount()
        return try readBytes(count)
    }

    /// A varint length and that many bytes of UTF-8.
    package mutating func readString() throws(MalformedBytes) -> String {
        let start = position
        let raw = try readLengthPrefixed()
        guard let text = String(validating: raw, as: UTF8.self) else {
            throw MalformedBytes("text is not UTF-8", offset: start)
        }
        return text
    }

    /// Moves over `count` bytes.
    @inlinable
    public mutating func skip(_ count: Int) throws(MalformedBytes) {
        _ = try advance(count)
    }
}

extension [UInt8] {
    /// As `withUnsafeBytes`, but passes on which error the body throws.
    @inlinable
    public func withBytes<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try withUnsafeBufferPointer { (buffer) throws(Failure) -> Result in
            try body(UnsafeRawBufferPointer(buffer))
        }
    }
}
