// What is known of a file without reading its blocks: the filter, the histogram, the properties.

import Encoding
import Environment
import Model
import Testing

@testable import Storage

@Suite struct SSTableStatisticsTests {
    /// The share of absent tokens to which a filter says "may be".
    private func falsePositives(_ chance: Double, count: Int) -> Double {
        var random = RandomStream(seed: 7, name: "bloom")
        let filter = BloomFilter(count: count, falsePositiveChance: chance)
        for _ in 0..<count {
            let token = Int64(bitPattern: random.next()) | 1
            filter.insert(token)
            #expect(filter.mayContain(token))
        }
        var wrong = 0
        let probes = 40_000
        for _ in 0..<probes where filter.mayContain(Int64(bitPattern: random.next()) & ~1) {
            wrong += 1
        }
        return Double(wrong) / Double(probes)
    }

    @Test(arguments: [0.5, 0.1, 0.01, 0.001])
    func theFilterErrsAsSeldomAsAsked(chance: Double) {
        let found = falsePositives(chance, count: 20_000)
        #expect(found <= chance * 1.25, "\(found) for \(chance)")
        #expect(found >= chance / 6, "\(found) for \(chance): more bits than needed")
    }

    @Test(arguments: [1, 100, 7_000, 20_000, 39_999, 60_000])
    func aFilterForMoreThanCameIsFoldedAndErrsAsSeldom(count: Int) {
        var random = RandomStream(seed: 9, name: "fold")
        let filter = BloomFilter(atMost: 60_000, falsePositiveChance: 0.01)
        let tokens = (0..<count).map { _ in Int64(bitPattern: random.next()) | 1 }
        for token in tokens { filter.insert(token) }
        let folded = filter.folded(to: count, falsePositiveChance: 0.01)
        #expect(tokens.allSatisfy { folded.mayContain($0) })
        let wrong = (0..<20_000).count { _ in
            folded.mayContain(Int64(bitPattern: random.next()) & ~1)
        }
        #expect(wrong <= 250, "\(wrong) of 20,000")
        let exact = BloomFilter(count: count, falsePositiveChance: 0.01)
        #expect(folded.byteCount >= exact.byteCount)
        if count >= 7_000 { #expect(folded.byteCount <= exact.byteCount * 2) }
    }

    @Test func aWriterOfManyPartitionsKeepsAFilterInsteadOfTheirTokens() throws {
        var random = RandomStream(seed: 10, name: "writer")
        let writer = SSTableWriter(
            file: FileName("x"), identity: 1,
            layout: SSTableLayout(
                table: testTable, blockBytes: 4_096, compression: TableCompression(stored: [:]),
                falsePositiveChance: 0.01),
            expectedPartitions: 9_000, tokenLimit: 250)
        let tokens = (0..<6_100).map { _ in Int64(bitPattern: random.next()) | 1 }.sorted()
        let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
        for token in tokens {
            try writer.beginPartition(
                token: token, key: nothing,
                deletion: Deletion(timestamp: 5, localDeletionTime: 5), staticRow: nothing)
            try writer.endPartition(ranges: [])
        }
        let filter = writer.finishWhole().metadata.filter
        #expect(tokens.allSatisfy { filter.mayContain($0) })
        let wrong = (0..<20_000).count { _ in
            filter.mayContain(Int64(bitPattern: random.next()) & ~1)
        }
        #expect(wrong <= 250, "\(wrong) of 20,000")
    }

    @Test func aChanceOfOneDropsTheFilter() throws {
        let filter = BloomFilter(count: 1_000, falsePositiveChance: 1)
        #expect(filter.mayContain(5))
        let writer = ByteWriter()
        #expect(filter.encode(from: 0, limit: 100, into: writer) == nil)
        #expect(writer.count == 2)
    }

    @Test func theHistogramIsBoundedAndNeverCallsDroppableWhatIsNot() throws {
        var random = RandomStream(seed: 3, name: "histogram")
        var histogram = TombstoneHistogram()
        var times: [UInt32] = []
        for _ in 0..<5_000 {
            let time = UInt32(1_000 + random.below(100_000))
            times.append(time)
            histogram.add(time)
        }
        #expect(histogram.bins.count <= TombstoneHistogram.maximumBins)
        #expect(histogram.count(before: .max) == times.count)
        for _ in 0..<100 {
            let before = Int64(random.below(110_000))
            let exact = times.count { Int64($0) < before }
            let found = histogram.count(before: before)
            #expect(found <= exact)
            #expect(exact - found <= times.count / 4)
        }
        let writer = ByteWriter()
        histogram.encode(into: writer)
        var reader = ByteReader(writer.bytes)
        #expect(try TombstoneHistogram(from: &reader) == histogram)
    }

    @Test func propertiesComeBackAndUnknownOnesArePassedOver() throws {
        var statistics = SSTableStatistics()
        statistics.partitions = 3
        statistics.minimumToken = -5
        statistics.maximumToken = 9
        statistics.add(Deletion(timestamp: 4, localDeletionTime: 77))
        let (large, small): ([UInt8], [UInt8]) = ([1, 2], [3])
        large.withUnsafeBytes { statistics.addPartition(key: $0, bytes: 1_000) }
        small.withUnsafeBytes { statistics.addPartition(key: $0, bytes: 1) }
        let writer = ByteWriter()
        statistics.encode(into: writer)
        var reader = ByteReader(writer.bytes)
        #expect(try SSTableStatistics(from: &reader) == statistics)
        #expect(statistics.partitionSizes[10] == 1)
        #expect(statistics.largestPartitionKey == [1, 2])
        // A later version's property, in front.
        let later = ByteWriter()
        later.append(writer.bytes[0] + 1)
        later.appendVarint(999)
        later.appendLengthPrefixed([1, 2, 3])
        later.append(UnsafeRawBufferPointer(rebasing: writer.bytes.dropFirst()))
        reader = ByteReader(later.bytes)
        #expect(try SSTableStatistics(from: &reader) == statistics)
        // Without properties nothing makes a read skip the file.
        let none = ByteWriter()
        none.append(0)
        reader = ByteReader(none.bytes)
        let empty = try SSTableStatistics(from: &reader)
        #expect(empty.minimumToken == .min)
        #expect(empty.maximumTimestamp == .max)
        #expect(empty.hasPartitionWide)
    }
}
