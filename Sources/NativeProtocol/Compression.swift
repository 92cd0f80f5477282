// Compression of frame bodies (v3 and v4 specifications, section 5) and of v5 segments (v5, 2.2).
//
// A v3/v4 body compressed with lz4 begins with its uncompressed length (four bytes, big-endian) and
// goes on with one lz4 block; snappy carries its length itself. A v5 segment is a bare lz4 block: both
// lengths are in the segment's header.

internal import CLZ4
internal import Encoding

/// What STARTUP's COMPRESSION option may name.
package enum CompressionAlgorithm: String, Sendable, CaseIterable {
    case lz4
    case snappy

    /// The algorithm of that name, in either case.
    package init?(name: String) {
        guard let found = Self.allCases.first(where: { $0.rawValue == name.lowercased() }) else {
            return nil
        }
        self = found
    }
}

/// lz4 blocks.
enum LZ4 {
    /// The most that `count` bytes can grow to.
    static func bound(_ count: Int) -> Int { count + count / 255 + 16 }

    /// Compresses into `target`; nil if it does not fit there.
    static func compress(
        _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
    ) -> Int? {
        let written = LZ4_compress_default(
            source.baseAddress?.assumingMemoryBound(to: CChar.self),
            target.baseAddress?.assumingMemoryBound(to: CChar.self), Int32(source.count),
            Int32(target.count))
        return written > 0 ? Int(written) : nil
    }

    /// Decompresses a block that must fill `target` exactly.
    static func decompress(
        _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
    ) throws(MalformedBytes) {
        let written = LZ4_decompress_safe(
            source.baseAddress?.assumingMemoryBound(to: CChar.self),
            target.baseAddress?.assumingMemoryBound(to: CChar.self), Int32(source.count),
            Int32(target.count))
        guard Int(written) == target.count else {
            throw MalformedBytes("not an lz4 block of \(target.count) bytes", offset: 0)
        }
    }
}

/// Compression of whole bodies, as v3 and v4 have it.
enum BodyCompression {
    /// How many bytes the compressed `body` says it holds; checked against `limit`.
    static func decompressedLength(
        _ body: UnsafeRawBufferPointer, _ algorithm: CompressionAlgorithm, limit: Int
    ) throws(MalformedBytes) -> Int {
        let length: Int
        switch algorithm {
        case .lz4:
            var reader = ByteReader(body)
            length = Int(try reader.readBigEndian(UInt32.self))
        case .snappy:
            length = try Snappy.decompressedLength(body)
        }
        // No block of either kind expands more than some 255 times: a small body cannot make us
        // allocate the limit.
        guard length <= limit, length <= body.count * 256 + 64 else {
            throw MalformedBytes("compressed body claims \(length) bytes", offset: 0)
        }
        return length
    }

    /// Decompresses into `target`, which has the length that `decompressedLength` gave.
    static func decompress(
        _ body: UnsafeRawBufferPointer, _ algorithm: CompressionAlgorithm,
        into target: UnsafeMutableRawBufferPointer
    ) throws(MalformedBytes) {
        switch algorithm {
        case .lz4:
            guard target.count > 0 else { return }
            try LZ4.decompress(UnsafeRawBufferPointer(rebasing: body[4...]), into: target)
        case .snappy: try Snappy.decompress(body, into: target)
        }
    }

    /// Appends the compressed `body` to `writer`, unless that would not make it smaller.
    static func compress(
        _ body: UnsafeRawBufferPointer, _ algorithm: CompressionAlgorithm, into writer: ByteWriter
    ) -> Bool {
        let start = writer.count
        switch algorithm {
        case .lz4:
            writer.appendBigEndian(UInt32(body.count))
            let written = writer.appendUninitialized(LZ4.bound(body.count)) { target in
                LZ4.compress(body, into: target) ?? 0
            }
            if written > 0, writer.count - start < body.count { return true }
        case .snappy:
            Snappy.compress(body, into: writer)
            if writer.count - start < body.count { return true }
        }
        writer.truncate(to: start)
        return false
    }
}
