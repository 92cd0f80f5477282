// Compressing a block's bytes, and getting them back.
//
// Cost of 16 KiB on the machine of DESIGN's measurements: LZ4 some 30 us to write and 6 us to read, Zstd
// (level 3) twice and five times that. A compressor keeps Zstd's context, which is large, from block to
// block; reading makes one for each block, whose cost is small beside the block's.

internal import CLZ4
internal import CZstd
internal import Encoding
internal import Model

/// The byte before a stored block that says how its payload is to be read.
enum BlockMethod: UInt8 {
    case plain = 0
    case lz4 = 1
    case zstd = 2

    /// How many bytes one byte of payload can stand for at most: a length beyond that is not believed.
    var largestRatio: Int {
        switch self {
        case .plain: 1
        case .lz4: 255
        case .zstd: 1 << 15
        }
    }

    /// Fills `target` with exactly what `payload` stands for; false if it does not.
    func decompress(
        _ payload: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
    ) -> Bool {
        guard let source = payload.baseAddress, let memory = target.baseAddress else {
            return false
        }
        switch self {
        case .plain:
            guard payload.count == target.count else { return false }
            memory.copyMemory(from: source, byteCount: target.count)
            return true
        case .lz4:
            guard let from = Int32(exactly: payload.count), let room = Int32(exactly: target.count)
            else { return false }
            return room
                == LZ4_decompress_safe(
                    source.assumingMemoryBound(to: CChar.self),
                    memory.assumingMemoryBound(to: CChar.self), from, room)
        case .zstd:
            return ZSTD_decompress(memory, target.count, source, payload.count) == target.count
        }
    }
}

/// Compresses the blocks of one file. Owned by its writer.
final class BlockCompressor {
    private let compression: TableCompression
    private let context: OpaquePointer?

    init(_ compression: TableCompression) {
        self.compression = compression
        if case .zstd = compression.method { context = ZSTD_createCCtx() } else { context = nil }
    }

    deinit { ZSTD_freeCCtx(context) }

    /// Appends the payload of a block and says how it is to be read; plain where compressing gains too
    /// little.
    func append(_ plain: UnsafeRawBufferPointer, into output: ByteWriter) -> BlockMethod {
        let before = output.count
        let method: BlockMethod
        let written: Int
        switch compression.method {
        case .none:
            method = .plain
            written = 0
        case .lz4(let highLevel):
            method = .lz4
            written = appendLZ4(plain, highLevel, output)
        case .zstd(let level):
            method = .zstd
            written = appendZstd(plain, level, output)
        }
        if written > 0, written <= largest(plain.count) { return method }
        output.truncate(to: before)
        output.append(plain)
        return .plain
    }

    /// The largest payload that is worth reading through a decompressor.
    private func largest(_ plain: Int) -> Int {
        let ratio = compression.minimumRatio
        guard ratio > 0 else { return plain - plain / 8 }
        return min(plain - 1, Int((Double(plain) / ratio).rounded(.up)))
    }

    private func appendLZ4(
        _ plain: UnsafeRawBufferPointer, _ highLevel: Int32?, _ output: ByteWriter
    ) -> Int {
        guard plain.count < Int(Int32.max) / 2 else { return 0 }
        let count = Int32(plain.count)
        let bound = LZ4_compressBound(count)
        return output.appendUninitialized(Int(bound)) { target in
            guard let from = plain.baseAddress?.assumingMemoryBound(to: CChar.self),
                let to = target.baseAddress?.assumingMemoryBound(to: CChar.self)
            else { return 0 }
            if let highLevel { return Int(LZ4_compress_HC(from, to, count, bound, highLevel)) }
            return Int(LZ4_compress_default(from, to, count, bound))
        }
    }

    private func appendZstd(
        _ plain: UnsafeRawBufferPointer, _ level: Int32, _ output: ByteWriter
    ) -> Int {
        guard let context else { return 0 }
        return output.appendUninitialized(ZSTD_compressBound(plain.count)) { target in
            let written = ZSTD_compressCCtx(
                context, target.baseAddress, target.count, plain.baseAddress, plain.count, level)
            return ZSTD_isError(written) == 0 ? written : 0
        }
    }
}
