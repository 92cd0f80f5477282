// The checksums of our files and of the native protocol's segments.

internal import CChecksum

/// CRC32C (Castagnoli), with the processor's instruction where there is one. What our own formats use.
package enum CRC32C {
    /// The checksum of `bytes`, continued from `seed`; files seed it with their own identity, so that
    /// bytes of another file never pass.
    package static func checksum(_ bytes: UnsafeRawBufferPointer, seed: UInt32 = 0) -> UInt32 {
        coterie_crc32c(seed, bytes.baseAddress, bytes.count)
    }

    package static func checksum(_ bytes: [UInt8], seed: UInt32 = 0) -> UInt32 {
        bytes.withUnsafeBytes { checksum($0, seed: seed) }
    }
}

/// The two checksums of a native protocol v5 segment (v5 specification, section 2.2).
package enum SegmentChecksum {
    private static let payloadSeed: UInt32 = {
        let seed: [UInt8] = [0xFA, 0x2D, 0x55, 0xCA]
        return seed.withUnsafeBytes { coterie_crc32(0, $0.baseAddress, $0.count) }
    }()

    /// CRC32 of the payload, begun over the four bytes FA 2D 55 CA.
    package static func payload(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        coterie_crc32(payloadSeed, bytes.baseAddress, bytes.count)
    }

    /// CRC24 of the low `count` bytes of `header` (least significant first), initial value 0x875060
    /// and polynomial 0x1974F0B.
    package static func header(_ header: UInt64, count: Int) -> UInt32 {
        coterie_crc24(header, count)
    }
}
