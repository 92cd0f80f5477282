// The block cache: it keeps what is read again, whatever scans bring in, and never holds too much.

import Encoding
import Environment
import Model
import Testing

@testable import Storage

@Suite struct BlockCacheTests {
    /// A file of several hundred small blocks, and its bytes.
    private func file() throws -> (SSTable, [UInt8]) {
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
        return (sstable, try #require(harness.files.names[sstable.metadata.file]).bytes)
    }

    private func block(_ bytes: [UInt8], _ sstable: SSTable, _ index: Int) throws -> Block {
        let entry = sstable.metadata.blocks[index]
        let stored = Array(bytes[entry.offset..<(entry.offset + entry.length)])
        return try stored.withBytes { (raw) throws(StorageError) in
            try Block.decode(raw, entry, sstable.metadata)
        }
    }

    /// A file of several hundred small blocks, and its blocks.
    private func blocks() throws -> (SSTable, [Block]) {
        let (sstable, bytes) = try file()
        return (sstable, try sstable.metadata.blocks.indices.map { try block(bytes, sstable, $0) })
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
        while cache.isReleasing { cache.release() }
        #expect(cache.bytes == 0 && cache.count == 0)
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

    @Test func blocksOfFilesThatWentGoAFewAtATimeAndOthersStay() throws {
        let (kept, bytes) = try file()
        let count = kept.metadata.blocks.count
        let cache = BlockCache(limitBytes: kept.metadata.statistics.plainBytes * 3 / 2)
        var random = RandomStream(seed: 8, name: "leaving")
        var all: [WeakBlock] = []
        for round in 0..<20 {
            let leaving = SSTable(
                ManifestEntry(
                    number: UInt64(100 + round), table: testTable, position: .zero, createdAt: 0),
                kept.metadata)
            for _ in 0..<count * 2 {
                let index = Int(random.below(UInt64(count)))
                for sstable in [leaving, kept] where random.chance(1, outOf: 2) {
                    if cache.find(sstable, index, isScan: false) != nil { continue }
                    let block = try block(bytes, kept, index)
                    all.append(WeakBlock(block: block))
                    cache.insert(block, sstable, index)
                }
                let before = cache.count
                cache.release()
                #expect(before - cache.count <= 32)
                #expect(cache.bytes <= cache.limitBytes)
            }
            leaving.isObsolete = true
            cache.forget(leaving)
            let inside = kept.cached.count { $0.block != nil }
            var calls = 0
            while cache.isReleasing {
                cache.release()
                calls += 1
            }
            #expect(calls > 2)
            #expect(kept.cached.count { $0.block != nil } == inside)
            #expect(leaving.cached.allSatisfy { $0.block == nil })
            let held = kept.cached.reduce(0) { $0 + ($1.block?.bytes.count ?? 0) }
            #expect(held == cache.bytes && cache.count == inside)
            #expect(cache.names <= 2 * cache.count + 128)
        }
        #expect(all.count { $0.block != nil } == cache.count)
    }

    @Test func blocksOfFilesThatWentMakeRoomBeforeOthersDo() throws {
        let (kept, bytes) = try file()
        let leaving = SSTable(
            ManifestEntry(number: 100, table: testTable, position: .zero, createdAt: 0),
            kept.metadata)
        let next = SSTable(
            ManifestEntry(number: 101, table: testTable, position: .zero, createdAt: 0),
            kept.metadata)
        let cache = BlockCache(limitBytes: kept.metadata.statistics.plainBytes * 2)
        for index in kept.metadata.blocks.indices {
            cache.insert(try block(bytes, kept, index), kept, index)
            cache.insert(try block(bytes, kept, index), leaving, index)
        }
        leaving.isObsolete = true
        cache.forget(leaving)
        for index in kept.metadata.blocks.indices {
            cache.insert(try block(bytes, kept, index), next, index)
        }
        #expect(kept.cached.allSatisfy { $0.block != nil })
        #expect(next.cached.allSatisfy { $0.block != nil })
        #expect(leaving.cached.allSatisfy { $0.block == nil })
        #expect(cache.bytes <= cache.limitBytes)
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
