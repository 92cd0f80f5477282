// Hashes and checksums against values that others computed: a deviation would route drivers'
// requests to wrong nodes, or make them drop the connection.

import Foundation
import Testing

@testable import Encoding

/// The repository's fixtures, found from this file.
private let fixtures = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .appending(path: "Fixtures")

private func bytes(hex: Substring) -> [UInt8] {
    var bytes: [UInt8] = []
    var rest = hex
    while let byte = UInt8(rest.prefix(2), radix: 16) {
        bytes.append(byte)
        rest = rest.dropFirst(2)
    }
    return bytes
}

@Suite struct Murmur3Tests {
    @Test func tokensEqualThoseOfCassandrasDriver() throws {
        let text = try String(
            contentsOf: fixtures.appending(path: "murmur3/tokens.txt"), encoding: .utf8)
        var checked = 0
        for line in text.split(separator: "\n") where !line.hasPrefix("#") {
            let parts = line.split(separator: " ")
            try #require(parts.count == 2)
            let key = parts[0] == "-" ? [] : bytes(hex: parts[0])
            #expect(
                key.withUnsafeBytes { Murmur3.cassandraToken($0) } == Int64(parts[1]), "\(line)")
            checked += 1
        }
        #expect(checked > 300)
    }

    @Test func theReferenceFormDiffersOnlyInTailsWithHighBytes() {
        func both(_ key: [UInt8]) -> (UInt64, UInt64) {
            key.withUnsafeBytes {
                (Murmur3.hash128($0).0, Murmur3.hash128($0, signExtendsTail: true).0)
            }
        }
        let low = both([1, 2, 0x7F])
        #expect(low.0 == low.1)
        let high = both([1, 2, 0x80])
        #expect(high.0 != high.1)
        let wholeBlock = both([UInt8](repeating: 0xFF, count: 16))
        #expect(wholeBlock.0 == wholeBlock.1)
    }

    /// The bytes behind the last block one by one, as Cassandra's loop takes them.
    private static func tail(_ bytes: [UInt8]) -> (UInt64, UInt64) {
        var parts: (UInt64, UInt64) = (0, 0)
        for (index, byte) in bytes.enumerated() {
            let wide = UInt64(bitPattern: Int64(Int8(bitPattern: byte)))
            if index < 8 {
                parts.0 ^= wide << (index * 8)
            } else {
                parts.1 ^= wide << ((index - 8) * 8)
            }
        }
        return parts
    }

    @Test func tailsOfEachLengthAreTakenAsByteByByte() {
        var state: UInt64 = 1
        for length in 1..<16 {
            for _ in 0..<40 {
                var bytes: [UInt8] = []
                for _ in 0..<length {
                    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                    bytes.append(UInt8(truncatingIfNeeded: state >> 56))
                }
                let found = bytes.withUnsafeBytes { Murmur3.tail($0, from: 0, signExtends: true) }
                #expect(found == Self.tail(bytes), "\(bytes)")
                let block = [UInt8](repeating: 7, count: 16)
                let behind = (block + bytes).withUnsafeBytes {
                    Murmur3.tail($0, from: 16, signExtends: true)
                }
                #expect(behind == Self.tail(bytes), "\(bytes)")
            }
        }
    }

    @Test func theReferenceHashMatchesItsPublishedValue() {
        // MurmurHash3_x64_128 of this sentence with seed 0, as its users publish it.
        let text = Array("The quick brown fox jumps over the lazy dog".utf8)
        let (high, low) = text.withUnsafeBytes { Murmur3.hash128($0) }
        #expect(high == 0xE34B_BC7B_BC07_1B6C)
        #expect(low == 0x7A43_3CA9_C49A_9347)
    }
}

@Suite struct ChecksumTests {
    private let digits = Array("123456789".utf8)

    @Test func crc32cMatchesRFC3720() {
        #expect(CRC32C.checksum(digits) == 0xE306_9283)
        #expect(CRC32C.checksum([UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)
        #expect(CRC32C.checksum([UInt8](repeating: 0xFF, count: 32)) == 0x62A8_AB43)
        #expect(CRC32C.checksum(Array(0..<32)) == 0x46DD_794E)
        #expect(CRC32C.checksum(Array((0..<32).reversed())) == 0x113F_DB5C)
    }

    @Test func crc32cOfALongBufferIsThatOfItsPieces() {
        // Long ones are taken in several streams at once, short ones are not.
        let bytes = (0..<9_000).map { UInt8(truncatingIfNeeded: $0 &* $0 >> 3) }
        for count in [1_535, 1_536, 1_537, 3_000, 3_072, 4_607, 4_608, 8_191, 9_000] {
            let whole = Array(bytes[..<count])
            var crc: UInt32 = 0
            for start in stride(from: 0, to: count, by: 700) {
                crc = CRC32C.checksum(Array(whole[start..<min(start + 700, count)]), seed: crc)
            }
            #expect(CRC32C.checksum(whole) == crc, "\(count) bytes")
        }
    }

    @Test func crc32cContinuesAtEverySplit() {
        let bytes = (0..<100).map { UInt8($0 &* 7 & 0xFF) }
        let whole = CRC32C.checksum(bytes)
        for split in 0...bytes.count {
            let first = CRC32C.checksum(Array(bytes[..<split]))
            #expect(CRC32C.checksum(Array(bytes[split...]), seed: first) == whole)
        }
    }

    @Test func segmentPayloadChecksumIsSeededWithFourBytes() {
        // CRC32 of FA 2D 55 CA followed by the payload (zlib.crc32 in Python).
        #expect([UInt8]().withUnsafeBytes { SegmentChecksum.payload($0) } == 0x4477_7ED3)
        #expect(digits.withUnsafeBytes { SegmentChecksum.payload($0) } == 0xE2A2_61A7)
    }

    @Test func segmentHeaderChecksumIsTheDriversCRC24() {
        for (header, count, expected) in headerVectors {
            #expect(SegmentChecksum.header(header, count: count) == expected)
        }
    }

    /// Header, its length in bytes, and what `cassandra.segment.compute_crc24` gives.
    private let headerVectors: [(UInt64, Int, UInt32)] = [
        (0, 3, 0x7DE777),
        (1, 3, 0x15876F),
        (131072, 3, 0xC4366A),
        (262143, 3, 0x474025),
        (12345, 3, 0x423DC1),
        (0, 5, 0xAAAC0A),
        (17179869183, 5, 0xB388A2),
        (17206083684, 5, 0x629C56),
        (4328719365, 5, 0x55CD12),
    ]
}

@Suite struct MD5Tests {
    @Test func digestsMatchRFC1321() {
        let expected = [
            "": "d41d8cd98f00b204e9800998ecf8427e",
            "a": "0cc175b9c0f1b6a831c399e269772661",
            "abc": "900150983cd24fb0d6963f7d28e17f72",
            "message digest": "f96b697d7cb7938d525a2f31aaf161d0",
            "abcdefghijklmnopqrstuvwxyz": "c3fcd3d76192e4007dfb496cca67e13b",
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789":
                "d174ab98d277d9f5a5611c2c9f419d9f",
            "12345678901234567890123456789012345678901234567890123456789012345678901234567890":
                "57edf4a22be3c955ac49da2e2107b67a",
        ]
        for (text, digest) in expected {
            #expect(HexText.text(MD5.digest(Array(text.utf8))) == digest)
        }
    }

    @Test func nameBasedUUIDIsJavas() {
        // java.util.UUID.nameUUIDFromBytes("system".getBytes()), checked with Python's hashlib.
        #expect(
            UniqueID(name: Array("system".utf8)).description
                == "54b53072-540e-3eb8-b8e9-343e71f28176")
    }
}
