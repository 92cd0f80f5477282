// The checksums of segments against their plain definitions, at every length at which another way of
// computing them sets in.

import Encoding
import Testing

@Suite struct SegmentChecksumTests {
    /// Bit by bit, as the polynomials define them.
    private func plainCRC32(_ bytes: some Sequence<UInt8>) -> UInt32 {
        var crc: UInt32 = 0xFFFF_FFFF
        for byte in bytes {
            crc ^= UInt32(byte)
            for _ in 0..<8 { crc = crc >> 1 ^ (crc & 1 == 1 ? 0xEDB8_8320 : 0) }
        }
        return ~crc
    }

    private func plainCRC24(_ bytes: some Sequence<UInt8>) -> UInt32 {
        var crc: UInt32 = 0x875060
        for byte in bytes {
            crc ^= UInt32(byte) << 16
            for _ in 0..<8 {
                crc <<= 1
                if crc & 0x1000000 != 0 { crc ^= 0x1974F0B }
            }
        }
        return crc
    }

    @Test func payloadChecksumIsThatOfItsDefinitionAtEveryLength() {
        let seed: [UInt8] = [0xFA, 0x2D, 0x55, 0xCA]
        let bytes = (0..<1100).map { UInt8(truncatingIfNeeded: $0 &* 167 ^ $0 >> 3) }
        for count in Array(0...300) + [511, 512, 513, 1000, 1090] {
            for offset in [0, 1, 7] {
                let part = bytes[offset..<offset + count]
                let checksum = part.withUnsafeBytes { SegmentChecksum.payload($0) }
                #expect(checksum == plainCRC32(seed + part), "\(count) bytes from \(offset)")
            }
        }
    }

    @Test func headerChecksumIsThatOfItsDefinition() {
        for count in [3, 5] {
            for step in UInt64(0)..<1000 {
                let header = step &* 0x9E37_79B9_7F4A_7C15 & (1 << UInt64(8 * count) - 1)
                let bytes = (0..<count).map { UInt8(truncatingIfNeeded: header >> UInt64(8 * $0)) }
                #expect(SegmentChecksum.header(header, count: count) == plainCRC24(bytes))
            }
        }
    }
}
