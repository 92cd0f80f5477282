// Snappy against vectors of the C++ library's format, and both algorithms there and back.

import Encoding
import Testing

@testable import NativeProtocol

@Suite struct CompressionTests {
    private func unsnap(_ stream: String, count: Int) throws -> [UInt8] {
        var target = [UInt8](repeating: 0, count: count)
        try bytes(hex: stream).withUnsafeBytes { source in
            try target.withUnsafeMutableBytes { try Snappy.decompress(source, into: $0) }
        }
        return target
    }

    // Worked by hand from format_description.txt: literals, then copies with one, two and four bytes
    // of offset, the first of which overlaps what it writes.
    @Test func snappyElementsAreReadAsTheFormatSays() throws {
        #expect(try unsnap("00", count: 0) == [])
        #expect(try unsnap("03 08 616263", count: 3) == Array("abc".utf8))
        #expect(try unsnap("08 04 6162 09 02", count: 8) == Array("abababab".utf8))
        #expect(try unsnap("06 08 616263 0a 0300", count: 6) == Array("abcabc".utf8))
        #expect(try unsnap("06 08 616263 0b 03000000", count: 6) == Array("abcabc".utf8))
        let long = [UInt8](repeating: 0x7A, count: 70)
        #expect(try unsnap("46 f0 45" + hex(long), count: 70) == long)
    }

    @Test func brokenSnappyIsRefused() {
        for stream in [
            "", "03", "03 08 6162", "03 04 6162", "06 08 616263 0a 0400", "06 08 616263 0a 0000",
            "04 08 616263 0a 0300", "ffffffffffffffffffff01", "03 f0",
        ] {
            #expect(throws: MalformedBytes.self, "\(stream)") {
                _ = try unsnap(stream, count: stream.hasPrefix("04") ? 4 : 6)
            }
        }
    }

    @Test func bodiesComeBackFromBothAlgorithms() throws {
        for seed in UInt64(1)...60 {
            var generator = SeededGenerator(state: seed)
            let size = [1, 5, 100, 1000, 65_536, 70_000, 200_000][Int(seed % 7)]
            let words = (0..<20).map { _ in
                generator.bytes(Int.random(in: 8...100, using: &generator))
            }
            var body: [UInt8] = []
            while body.count < size { body += words.randomElement(using: &generator) ?? [] }
            body.removeLast(body.count - size)
            for algorithm in CompressionAlgorithm.allCases {
                let writer = ByteWriter()
                let smaller = body.withUnsafeBytes {
                    BodyCompression.compress($0, algorithm, into: writer)
                }
                guard smaller else {
                    #expect(writer.count == 0 && size <= 1000, "seed \(seed)")
                    continue
                }
                #expect(writer.count < size)
                let length = try BodyCompression.decompressedLength(
                    writer.bytes, algorithm, limit: 1 << 20)
                #expect(length == size, "seed \(seed) \(algorithm)")
                var target = [UInt8](repeating: 0, count: length)
                try target.withUnsafeMutableBytes {
                    try BodyCompression.decompress(writer.bytes, algorithm, into: $0)
                }
                #expect(target == body, "seed \(seed) \(algorithm)")
            }
        }
    }
}
