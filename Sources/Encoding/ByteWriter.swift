// Writing bytes into a buffer that is kept and used again.
//
// A `ByteWriter` is one growing block of raw memory. `removeAll` keeps the memory, so a writer that
// is reused on the request path allocates nothing once it has grown to its working size. It is a
// class because it is a resource with one owner; hand out ranges (`ByteRange`) or copies, never
// pointers that outlive the next append.
//
// What is small and hot is `public` so that other modules inline it (see ByteReader.swift).

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// A stretch of a buffer that somebody else owns.
public struct ByteRange: Equatable, Sendable {
    /// Where it begins.
    public var offset: Int
    /// How many bytes it has.
    public var count: Int

    /// `count` bytes from `offset` on.
    @inlinable
    public init(offset: Int, count: Int) {
        self.offset = offset
        self.count = count
    }

    /// The offset behind the last byte.
    @inlinable public var end: Int { offset + count }
}

/// A growing, reusable byte buffer with one owner.
public final class ByteWriter {
    // One owner, and no access spans a call: the dynamic check of exclusive access, which costs more
    // than an append, has nothing to find.
    @exclusivity(unchecked) @usableFromInline var base: UnsafeMutableRawPointer
    @exclusivity(unchecked) @usableFromInline var capacity: Int
    // Not `count` itself: a stored property read from another module is checked in spite of the
    // attribute, an inlined getter is not.
    @exclusivity(unchecked) @usableFromInline var used: Int
    /// How many bytes were written.
    @inlinable public var count: Int { used }

    package init(capacity: Int = 256) {
        let size = max(capacity, 16)
        guard let memory = malloc(size) else {
            preconditionFailure("out of memory for \(size) bytes")
        }
        self.base = memory
        self.capacity = size
        self.used = 0
    }

    deinit { free(base) }

    /// The written bytes, valid until the next append.
    @inlinable
    public var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

    /// The bytes of `range`, valid until the next append.
    @inlinable
    public subscript(_ range: ByteRange) -> UnsafeRawBufferPointer {
        precondition(range.offset >= 0 && range.count >= 0 && range.end <= count)
        return UnsafeRawBufferPointer(start: base + range.offset, count: range.count)
    }

    /// A copy of what was written.
    package var array: [UInt8] { Array(bytes) }

    /// Forgets the bytes and keeps the memory.
    @inlinable
    public func removeAll() { used = 0 }

    /// Forgets what was written after the first `newCount` bytes.
    @inlinable
    public func truncate(to newCount: Int) {
        precondition(newCount >= 0 && newCount <= count)
        used = newCount
    }

    /// How much memory is held for bytes that were or will be written.
    @inlinable package var heldBytes: Int { capacity }

    /// Gives memory back if far more is held than `limit` bytes; for use between bursts.
    package func shrink(to limit: Int) {
        guard count == 0, capacity > limit, let smaller = realloc(base, max(limit, 16)) else {
            return
        }
        base = smaller
        capacity = max(limit, 16)
    }

    /// Makes room for `more` bytes without moving again until they are written.
    @inlinable @inline(__always)
    public func reserve(_ more: Int) {
        precondition(more >= 0)
        if count + more > capacity { grow(more) }
    }

    @usableFromInline
    func grow(_ more: Int) {
        let needed = count + more
        let size = max(needed, capacity &* 2)
        guard let memory = realloc(base, size) else {
            preconditionFailure("out of memory for \(size) bytes")
        }
        base = memory
        capacity = size
    }

    @inlinable @inline(__always)
    func claim(_ more: Int) -> UnsafeMutableRawPointer {
        reserve(more)
        let start = base + count
        used += more
        return start
    }

    /// Appends one byte.
    @inlinable @inline(__always)
    public func append(_ byte: UInt8) {
        claim(1).storeBytes(of: byte, as: UInt8.self)
    }

    /// Appends a fixed-width integer, least significant byte first.
    @inlinable @inline(__always)
    public func appendLittleEndian<T: FixedWidthInteger & BitwiseCopyable>(_ value: T) {
        claim(MemoryLayout<T>.size).storeBytes(of: value.littleEndian, as: T.self)
    }

    /// Appends a fixed-width integer, most significant byte first.
    @inlinable @inline(__always)
    public func appendBigEndian<T: FixedWidthInteger & BitwiseCopyable>(_ value: T) {
        claim(MemoryLayout<T>.size).storeBytes(of: value.bigEndian, as: T.self)
    }

    /// Appends an unsigned LEB128 integer; most are one byte.
    @inlinable @inline(__always)
    public func appendVarint(_ value: UInt64) {
        if value < 0x80 {
            append(UInt8(truncatingIfNeeded: value))
        } else {
            appendLongVarint(value)
        }
    }

    @usableFromInline @inline(never)
    func appendLongVarint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        append(UInt8(rest))
    }

    /// Appends a copy of `bytes`.
    @inlinable
    public func append(_ bytes: UnsafeRawBufferPointer) {
        guard let source = bytes.baseAddress, bytes.count > 0 else { return }
        claim(bytes.count).copyMemory(from: source, byteCount: bytes.count)
    }

    /// Appends a copy of `bytes`.
    @inlinable
    public func append(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { append($0) }
    }

    /// Appends the text's UTF-8, without a length.
    package func append(utf8 text: String) {
        var text = text
        text.withUTF8 { append(UnsafeRawBufferPointer($0)) }
    }

    /// Appends a varint length and the bytes.
    @inlinable
    public func appendLengthPrefixed(_ bytes: UnsafeRawBufferPointer) {
        appendVarint(UInt64(bytes.count))
        append(bytes)
    }

    /// Appends a varint length and the bytes.
    @inlinable
    public func appendLengthPrefixed(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { appendLengthPrefixed($0) }
    }

    /// Appends a varint length and the text's UTF-8.
    package func appendString(_ text: String) {
        var text = text
        text.withUTF8 { appendLengthPrefixed(UnsafeRawBufferPointer($0)) }
    }

    /// Appends `count` zero bytes.
    @inlinable
    public func appendZeros(_ count: Int) {
        claim(count).initializeMemory(as: UInt8.self, repeating: 0, count: count)
    }

    /// Offers room for `limit` bytes to `fill`, which says how many it wrote; returns that number.
    package func appendUninitialized(
        _ limit: Int, _ fill: (UnsafeMutableRawBufferPointer) -> Int
    ) -> Int {
        let start = claim(limit)
        let written = fill(UnsafeMutableRawBufferPointer(start: start, count: limit))
        precondition(written >= 0 && written <= limit)
        used -= limit - written
        return written
    }

    /// Inserts bytes at `offset` and moves the rest up; for a part whose need shows only afterwards.
    package func insert(_ bytes: [UInt8], at offset: Int) {
        precondition(offset >= 0 && offset <= count)
        let tail = count - offset
        _ = claim(bytes.count)
        memmove(base + offset + bytes.count, base + offset, tail)
        bytes.withUnsafeBytes { source in
            guard let start = source.baseAddress else { return }
            (base + offset).copyMemory(from: start, byteCount: source.count)
        }
    }

    /// Inverts every bit of the bytes written from `offset` on.
    @inlinable
    public func invert(from offset: Int) {
        precondition(offset >= 0 && offset <= count)
        var index = offset
        while count - index >= 8 {
            let word = base.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            (base + index).storeBytes(of: ~word, as: UInt64.self)
            index += 8
        }
        while index < count {
            let byte = base.load(fromByteOffset: index, as: UInt8.self)
            base.storeBytes(of: ~byte, toByteOffset: index, as: UInt8.self)
            index += 1
        }
    }

    /// Overwrites bytes written before, for a length that was not known then.
    @inlinable
    public func overwriteLittleEndian<T: FixedWidthInteger & BitwiseCopyable>(
        at offset: Int, _ value: T
    ) {
        precondition(offset >= 0 && offset + MemoryLayout<T>.size <= count)
        (base + offset).storeBytes(of: value.littleEndian, as: T.self)
    }

    /// Overwrites bytes written before, for a length that was not known then.
    @inlinable
    public func overwriteBigEndian<T: FixedWidthInteger & BitwiseCopyable>(
        at offset: Int, _ value: T
    ) {
        precondition(offset >= 0 && offset + MemoryLayout<T>.size <= count)
        (base + offset).storeBytes(of: value.bigEndian, as: T.self)
    }

    /// Removes the first `prefix` bytes and moves the rest down; for input buffers.
    package func removeFirst(_ prefix: Int) {
        precondition(prefix >= 0 && prefix <= count)
        memmove(base, base + prefix, count - prefix)
        used -= prefix
    }
}
