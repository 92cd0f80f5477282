// The `compression` option: Cassandra's names, defaults and refusals.

import Testing

@testable import Model

@Suite struct TableCompressionTests {
    private func read(_ map: [String: String]) throws(CQLError) -> TableCompression {
        try TableCompression.read(map).value
    }

    @Test func classesAndLevelsAreRead() throws {
        #expect(try read(["class": "LZ4Compressor"]).method == .lz4(highLevel: nil))
        #expect(
            try read(["class": "LZ4Compressor", "lz4_compressor_type": "high"]).method
                == .lz4(highLevel: 9))
        #expect(try read(["class": "ZstdCompressor"]).method == .zstd(level: 3))
        #expect(
            try read(["class": "ZstdCompressor", "compression_level": "-5"]).method
                == .zstd(level: -5))
        #expect(try read(["class": "NoopCompressor"]).method == .none)
        #expect(try read([:]).method == .none)
        #expect(try read(["enabled": "false"]).method == .none)
        let options = try read([
            "class": "LZ4Compressor", "chunk_length_in_kb": "64", "min_compress_ratio": "1.5",
        ])
        #expect(options.chunkBytes == 64 << 10)
        #expect(options.minimumRatio == 1.5)
    }

    @Test func classesThatWeDoNotWriteGetAnotherAndSaySo() throws {
        let snappy = try read(["class": "SnappyCompressor"])
        #expect(snappy.method == .lz4(highLevel: nil))
        #expect(snappy.replacedClass == "SnappyCompressor")
        let deflate = try read(["class": "org.apache.cassandra.io.compress.DeflateCompressor"])
        #expect(deflate.method == .zstd(level: 3))
        #expect(deflate.replacedClass == "DeflateCompressor")
        #expect(try read(["class": "LZ4Compressor"]).replacedClass == nil)
    }

    @Test func schemaTablesShowTheCanonicalForm() throws {
        let shown = try TableCompression.read(["class": "ZstdCompressor", "enabled": "true"])
            .canonical
        #expect(
            shown == [
                "class": "org.apache.cassandra.io.compress.ZstdCompressor",
                "chunk_length_in_kb": "16",
            ])
        #expect(TableCompression(stored: shown).method == .zstd(level: 3))
        #expect(TableCompression(stored: ["class": "Unheard"]).method == .lz4(highLevel: nil))
    }

    @Test(arguments: [
        (["chunk_length_in_kb": "16"], "Missing sub-option 'class'"),
        (["class": ""], "must not be empty"),
        (["class": "BrotliCompressor"], "Could not create Compression for type"),
        (["class": "com.example.Own"], "Could not create Compression for type com.example.Own"),
        (["class": "LZ4Compressor", "level": "1"], "Unknown compression options level"),
        (["class": "LZ4Compressor", "compression_level": "1"], "Unknown compression options"),
        (
            ["class": "LZ4Compressor", "chunk_length_in_kb": "x"],
            "Invalid value for chunk_length_in_kb"
        ),
        (["class": "LZ4Compressor", "chunk_length_in_kb": "0"], "Invalid negative or null"),
        (["class": "LZ4Compressor", "chunk_length_in_kb": "-4"], "Invalid negative or null"),
        (["class": "LZ4Compressor", "chunk_length_in_kb": "12"], "must be a power of 2"),
        (["class": "LZ4Compressor", "chunk_length_in_kb": "2097153"], "is too large (2097153)"),
        (["class": "LZ4Compressor", "min_compress_ratio": "-1"], "Invalid negative"),
        (["class": "LZ4Compressor", "min_compress_ratio": "0.5"], "can either be 0 or greater"),
        (
            ["class": "LZ4Compressor", "lz4_compressor_type": "best"],
            "Invalid compressor type 'best'"
        ),
        (
            ["class": "LZ4Compressor", "lz4_high_compressor_level": "18"],
            "Value must be between 1 and 17"
        ),
        (
            ["class": "ZstdCompressor", "compression_level": "23"],
            "compression_level=23 is invalid"
        ),
        (["enabled": "false", "class": "LZ4Compressor"], "no other options must be specified"),
        (["enabled": "maybe", "class": "LZ4Compressor"], "Invalid value 'maybe'"),
    ])
    func whatCassandraRefusesIsRefusedInItsWords(map: [String: String], phrase: String) {
        do {
            _ = try read(map)
            Issue.record("\(map) was accepted")
        } catch {
            #expect(error.message.contains(phrase), "\(error)")
        }
    }
}
