// How a file is cut into blocks and compressed changes no answer, and no damage of it gives a wrong one.

import Encoding
import Environment
import Model
import Testing

@testable import Storage

@Suite struct BlockLayoutTests {
    private static let methods: [[String: String]] = [
        ["enabled": "false"], ["class": "LZ4Compressor"],
        ["class": "LZ4Compressor", "lz4_compressor_type": "high"],
        ["class": "ZstdCompressor", "compression_level": "1", "min_compress_ratio": "1"],
    ]

    private func harness(_ blockBytes: Int, _ compression: [String: String]) -> Harness {
        var configuration = Configuration.Storage()
        configuration.blockBytes = blockBytes
        configuration.blockCacheBytes = 20_000
        return Harness(
            schema: testSchema {
                $0.gcGraceSeconds = 1_000_000
                $0.compression = compression
            }, configuration: configuration, random: RandomStream(seed: 1, name: "layout"))
    }

    /// Rows of two partitions, so that they go over many blocks; all of it twice in different files.
    private func fill(_ harness: Harness, seed: UInt64, mutations: Int) throws -> Twin {
        var generator = Generator(seed: seed)
        generator.keys = 2
        generator.clusterings = 150
        var twin = Twin()
        harness.seconds = generator.now
        try harness.open()
        for step in 0..<mutations {
            let mutation = try generator.mutation()
            try harness.apply(mutation)
            try twin.apply(mutation)
            if step == mutations / 2 {
                harness.engine?.flush(table: nil)
                try harness.settle()
            }
        }
        harness.engine?.flush(table: nil)
        try harness.settle()
        return twin
    }

    @Test(arguments: [1, 17, 64, 300, 1_024, 4_096, 16_384, 1 << 20])
    func answersAreTheSameForEveryBlockSizeAndMethod(blockBytes: Int) throws {
        for (index, method) in Self.methods.enumerated() {
            let harness = harness(blockBytes, method)
            let seed = UInt64(index)
            let twin = try fill(harness, seed: seed, mutations: 160)
            for compacts in [false, true] {
                if compacts {
                    harness.engine?.compact(table: testTable)
                    try harness.settle()
                    #expect(harness.engine?.statistics(of: testTable)?.sstables == 1)
                }
                var generator = Generator(seed: seed + 100)
                generator.keys = 2
                generator.clusterings = 150
                for _ in 0..<60 {
                    let command = generator.command()
                    let found = try harness.read(command)
                    let expected = try twin.read(command, gcGrace: 1_000_000)
                    let isEqual = found == expected
                    #expect(
                        isEqual,
                        "\(blockBytes) \(method) \(command) \(describe(found, expected))")
                    if !isEqual { return }
                }
            }
        }
    }

    /// Every bit of a whole file, and every length of it.
    @Test(arguments: [0, 1, 3])
    func noFlippedBitAndNoTruncationGivesAWrongAnswer(method: Int) throws {
        let source = harness(400, Self.methods[method])
        let twin = try fill(source, seed: 5, mutations: 8)
        source.engine?.compact(table: testTable)
        try source.settle()
        let everything = ReadCommand(
            table: testTable, scope: .range(ReadCommand.TokenScope(start: .min, end: .max)),
            nowInSeconds: 1_000)
        let expected = try twin.read(everything, gcGrace: 1_000_000)
        let name = try #require(
            source.files.names.keys.sorted().first { $0.text.contains("sst-") })
        let good = try #require(source.files.names[name]).bytes
        let manifest = try #require(
            source.files.names.keys.sorted().first { $0.text.contains("manifest-") })
        let manifestBytes = try #require(source.files.names[manifest]).bytes

        func check(_ bytes: [UInt8], _ what: String) throws {
            let reader = harness(400, Self.methods[method])
            reader.incarnation = 9
            for (file, content) in [(name, bytes), (manifest, manifestBytes)] {
                let inode = MemoryFiles.Inode()
                inode.bytes = content
                reader.files.names[file] = inode
            }
            do {
                try reader.open()
                #expect(try reader.read(everything) == expected, "\(what)")
                #expect(bytes == good || what.hasPrefix("bit"), "\(what) went unnoticed")
            } catch let error as StorageError {
                guard case .corruption(let damage) = error else {
                    if case .newerFormat = error { return }
                    Issue.record("\(what): \(error)")
                    return
                }
                #expect(damage.file == name, "\(what): \(error)")
            }
        }

        try check(good, "the file")
        for length in stride(from: 0, to: good.count, by: 3) {
            try check(Array(good[0..<length]), "truncated to \(length)")
        }
        var damaged = good
        for place in good.indices {
            let bit = UInt8(1 << (place % 8))
            damaged[place] ^= bit
            try check(damaged, "bit \(place % 8) of byte \(place)")
            damaged[place] ^= bit
        }
    }
}
