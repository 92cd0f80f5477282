// The block cache: it keeps what is read again, whatever scans bring in, and never holds too much.

import Encoding
import Environment
import Model
import Testing

@testable import Storage

@Suite struct BlockCacheTests {
    /// A file of several hundred small blocks, and its blocks.
    private func blocks() throws -> (SSTable, [Block]) {
        var configuration = Configuration.Storage()
        configuration.blockBytes = 64
        let harness = Harness(
            schema: testSchema { $0.compression = ["enabled": "false"] },
            configuration: configuration, random: RandomStream(seed: 1, name: "cache"))
        var generator = Generator(seed: 4)
        generator.keys = 300
        try harness.open()
        for _ in 0..<600 { try harness.apply(try generator.mutation()) }
        harness.engine?.flush(table: nil)
        try harness.settle()
        let sstable = try #require(harness.engine?.tables[testTable]?.sstables.first)
        let bytes = try #require(harness.files.names[sstable.metadata.file]).bytes
        var list: [Block] = []
        for entry in sstable.metadata.blocks {
            let stored = Array(bytes[entry.offset..<(entry.offset + entry.length)])
            list.append(
                try stored.withBytes { (raw) throws(StorageError) in
                    try Block.decode(raw, entry, sstable.metadata)
                })
        }
        return (sstable, list)
    }

    @Test func scansDoNotDriveOutWhatIsReadAgain() throws {
        let (sstable, blocks) = try blocks()
        #expect(blocks.count > 200)
        let total = blocks.reduce(0) { $0 + $1.bytes.count }
        let cache = BlockCache(limitBytes: total / 4)
        let hot = Array(stride(from: 0, to: blocks.count, by: 20))
        func read(_ index: Int, isScan: Bool) -> Bool {
            if cache.find(sstable, index, isScan: isScan) != nil { return true }
            cache.insert(blocks[index], sstable, index)
            return false
        }
        for _ in 0..<4 { for index in hot { _ = read(index, isScan: false) } }
        for _ in 0..<5 {
            for index in blocks.indices { _ = read(index, isScan: true) }
            #expect(cache.bytes <= cache.limitBytes)
        }
        let kept = hot.count { read($0, isScan: false) }
        #expect(kept == hot.count, "\(kept) of \(hot.count)")
    }

    @Test func theSizeHoldsAndMayChange() throws {
        let (sstable, blocks) = try blocks()
        var random = RandomStream(seed: 2, name: "sizes")
        let cache = BlockCache(limitBytes: 5_000)
        for step in 0..<5_000 {
            let index = Int(random.below(UInt64(blocks.count)))
            if cache.find(sstable, index, isScan: random.chance(1, outOf: 3)) == nil {
                cache.insert(blocks[index], sstable, index)
            }
            if step % 500 == 499 { cache.resize(to: Int(random.below(20_000))) }
            #expect(cache.bytes <= cache.limitBytes)
            if step % 100 == 0 {
                let held = sstable.cached.reduce(0) { $0 + ($1.block?.bytes.count ?? 0) }
                #expect(held == cache.bytes)
            }
        }
        cache.resize(to: 0)
        #expect(cache.bytes == 0)
        #expect(sstable.cached.allSatisfy { $0.block == nil })
        cache.resize(to: 5_000)
        for index in blocks.indices { cache.insert(blocks[index], sstable, index) }
        #expect(cache.bytes > 0)
        cache.forget(sstable)
        #expect(cache.bytes == 0)
        #expect(sstable.cached.allSatisfy { $0.block == nil })
    }

    @Test func aBlockThatWasEvictedIsNotInMemoryAnyMore() throws {
        var (sstable, blocks) = try blocks()
        let cache = BlockCache(limitBytes: blocks[0].bytes.count * 40)
        var all: [WeakBlock] = []
        for index in blocks.indices {
            cache.insert(blocks[index], sstable, index)
            all.append(WeakBlock(block: blocks[index]))
        }
        blocks.removeAll()
        let living = all.count { $0.block != nil }
        #expect(living == cache.count, "\(living) blocks are in memory, \(cache.count) cached")
        #expect(living < all.count / 2)
        _ = sstable
    }

    private struct WeakBlock { weak var block: Block? }

    @Test func indexAndFiltersTakeRoomFromBlocksButNotAllOfIt() throws {
        let (sstable, blocks) = try blocks()
        #expect(sstable.metadata.residentBytes > sstable.metadata.filter.byteCount)
        let cache = BlockCache(limitBytes: 20_000)
        func fill() {
            for index in blocks.indices { cache.insert(blocks[index], sstable, index) }
        }
        fill()
        #expect((19_000...20_000).contains(cache.bytes))
        cache.reserve(12_000)
        #expect(cache.bytes <= 8_000)
        fill()
        #expect((7_000...8_000).contains(cache.bytes))
        cache.reserve(1_000_000)
        fill()
        #expect((4_000...5_000).contains(cache.bytes))
        cache.reserve(-1_012_000)
        fill()
        #expect((19_000...20_000).contains(cache.bytes))
    }
}
