// Rows that no block can hold: refused by name before anything is cut off or a number overflows, with a block limit
// of kilobytes instead of a gigabyte.

import Encoding
import Environment
import Model
import Testing

@testable import Storage

@Suite struct OversizedRowTests {
    private let nothing = UnsafeRawBufferPointer(start: nil, count: 0)

    // MARK: The writer

    private func writer(limit: Int, blockBytes: Int = 300) -> SSTableWriter {
        SSTableWriter(
            file: FileName("x"), identity: 1,
            layout: SSTableLayout(
                table: testTable, blockBytes: blockBytes,
                compression: TableCompression(stored: [:]), falsePositiveChance: 0.01,
                largestBlockBytes: limit),
            expectedPartitions: 10)
    }

    /// A row with a value of so many bytes.
    private func row(_ count: Int) -> [UInt8] {
        let raw = ByteWriter()
        var row = RowWriter()
        row.begin(
            liveness: Liveness(timestamp: 5), deletion: .none, baseTimestamp: 5, into: raw)
        [UInt8](repeating: 7, count: count).withUnsafeBytes {
            row.append(Cell(column: 3, flags: [], timestamp: 5, value: $0), into: raw)
        }
        return raw.array
    }

    private func addSingle(
        _ writer: SSTableWriter, _ key: UInt8, _ token: Int64, _ count: Int
    ) throws(StorageError) {
        try [key].withBytes { (key) throws(StorageError) in
            try row(count).withBytes { (row) throws(StorageError) in
                try writer.addSingle(token: token, key: key, SingleRow(key: nothing, row: row))
            }
        }
    }

    /// All blocks of the file as they are read back.
    private func blocks(_ writer: SSTableWriter) throws -> [Block] {
        let (metadata, bytes) = writer.finishWhole()
        return try metadata.blocks.map { entry in
            try bytes[entry.offset..<entry.offset + entry.length].withUnsafeBytes {
                try Block.decode($0, entry, metadata)
            }
        }
    }

    private func oversized(_ body: () throws -> Void) -> OversizedPartition? {
        do {
            try body()
        } catch StorageError.oversized(let found) {
            return found
        } catch {
            Issue.record("\(error)")
        }
        return nil
    }

    @Test func aSingleRowThatFitsIsWrittenAndALargerOneIsRefusedByName() throws {
        let limit = 4_000
        var largest = 0
        for count in 3_800..<4_000 {
            let writer = writer(limit: limit)
            let found = oversized { try addSingle(writer, 9, 1, count) }
            guard let found else {
                largest = count
                let block = try #require(try blocks(writer).first)
                #expect(block.bytes.count <= limit)
                continue
            }
            #expect(found.key == [9])
            #expect(found.table == testTable)
            #expect(found.limit == limit)
            #expect(found.bytes > count)
            #expect("\(found)".contains("partition 0x09 of table \(testTable)"))
        }
        #expect(largest > 3_850 && largest < 3_999, "the limit lies at \(largest) bytes")
    }

    @Test func aLargeRowEndsTheBlockBeforeIt() throws {
        let writer = writer(limit: 4_000, blockBytes: 2_000)
        try addSingle(writer, 1, 1, 1_500)
        try addSingle(writer, 2, 2, 3_500)
        try addSingle(writer, 3, 3, 100)
        let found = try blocks(writer)
        #expect(found.map(\.count) == [1, 1, 1])
        #expect(found.allSatisfy { $0.bytes.count <= 4_000 })
    }

    private func begin(
        _ writer: SSTableWriter, _ token: Int64, staticBytes: Int = 0
    ) throws {
        let staticRow = staticBytes == 0 ? [] : row(staticBytes)
        try [UInt8(token)].withUnsafeBytes { key in
            try staticRow.withUnsafeBytes {
                try writer.beginPartition(
                    token: token, key: key, deletion: .none, staticRow: $0)
            }
        }
    }

    private func add(_ writer: SSTableWriter, _ clustering: UInt8, _ count: Int) throws {
        try [0x40, clustering].withUnsafeBytes { key in
            let row = row(count)
            try row.withUnsafeBytes { row in
                if writer.wantsCut(before: key.count + row.count) {
                    try writer.cut(before: key, ranges: [])
                }
                try writer.addRow(key: key, row: row)
            }
        }
    }

    @Test func rowsThatFitOnlyApartGoIntoBlocksOfTheirOwn() throws {
        let writer = writer(limit: 4_000, blockBytes: 2_000)
        try begin(writer, 1)
        try add(writer, 1, 1_500)
        try writer.endPartition(ranges: [])
        try begin(writer, 2)
        for clustering in 1...4 { try add(writer, UInt8(clustering), 3_000) }
        try writer.endPartition(ranges: [])
        let (metadata, _) = writer.finishWhole()
        #expect(metadata.blocks.map(\.startBlock) == [0, 1, 1, 1, 1])
        #expect(metadata.blocks.map(\.firstToken) == [1, 2, 2, 2, 2])
    }

    @Test func aRowTooLargeIsNamedWithItsClusteringKey() throws {
        let writer = writer(limit: 4_000)
        try begin(writer, 7)
        try add(writer, 1, 100)
        let found = try #require(oversized { try add(writer, 2, 4_000) })
        #expect(found.key == [7])
        #expect(found.clustering == [0x40, 2])
        #expect("\(found)".contains("partition 0x07, row 0x4002"))
    }

    @Test func aStaticRowAndTheFirstRowCountTogether() throws {
        let writer = writer(limit: 4_000)
        try begin(writer, 7, staticBytes: 2_500)
        #expect(oversized { try add(writer, 1, 2_500) } != nil)
        let other = self.writer(limit: 4_000)
        try begin(other, 7, staticBytes: 2_500)
        try add(other, 1, 1_000)
        try other.endPartition(ranges: [])
        #expect(try blocks(other).count == 1)
    }

    @Test func rangeDeletionsOfOneStretchCountToo() throws {
        func ranges(_ count: Int) -> [RangeTombstone] {
            (0..<count).map { number in
                let start = [UInt8(number >> 8), UInt8(number & 255)]
                return RangeTombstone(
                    start: start + [1], end: start + [2],
                    deletion: Deletion(timestamp: Int64(number), localDeletionTime: 5))
            }
        }
        let writer = writer(limit: 4_000)
        try begin(writer, 7)
        #expect(oversized { try writer.endPartition(ranges: ranges(300)) } != nil)
        let other = self.writer(limit: 4_000)
        try begin(other, 7)
        try other.endPartition(ranges: ranges(80))
        #expect(try blocks(other).count == 1)
    }

    // MARK: The engine

    private func harness() throws -> Harness {
        var configuration = Configuration.Storage()
        configuration.largestBlockBytes = 256 << 10
        configuration.memtableBytes = 8 << 20
        configuration.commitLogSegmentBytes = 1 << 20
        configuration.commitLogTotalBytes = 16 << 20
        let harness = Harness(
            schema: testSchema { $0.compaction["enabled"] = "false" },
            configuration: configuration, random: RandomStream(seed: 1, name: "harness"))
        try harness.open()
        return harness
    }

    /// Elements of one collection: `count` of a kilobyte, from `start` on.
    private func mutation(_ key: UInt8, _ start: Int, _ count: Int) -> [UInt8] {
        let raw = ByteWriter()
        var row = RowWriter()
        row.begin(liveness: .none, deletion: .none, baseTimestamp: 5, into: raw)
        let value = [UInt8](repeating: key, count: 1_000)
        for element in start..<start + count {
            [UInt8(element >> 8), UInt8(element & 255)].withUnsafeBytes { path in
                value.withUnsafeBytes { value in
                    row.append(
                        Cell(column: 6, flags: .hasPath, timestamp: 5, path: path, value: value),
                        into: raw)
                }
            }
        }
        let writer = ByteWriter()
        [key].withUnsafeBytes {
            MutationWriter.begin(
                table: testTable, token: Token.of([key]).value, key: $0, into: writer)
        }
        PartitionWriter.begin(into: writer)
        [0x40, 1, 0x38].withUnsafeBytes {
            PartitionWriter.append(key: $0, row: raw.bytes, into: writer)
        }
        return writer.array
    }

    private let everything = ReadCommand(
        table: testTable, scope: .range(ReadCommand.TokenScope(start: .min, end: .max)),
        nowInSeconds: 1_000, byteLimit: 1 << 28)

    @Test func whatIsTakenIsFlushedAndACompactionThatCannotBeSaysWhy() throws {
        let harness = try harness()
        var twin = Twin()
        for start in stride(from: 0, to: 600, by: 8) {
            let mutation = mutation(9, start, 8)
            try harness.apply(mutation)
            try twin.apply(mutation)
            if start % 64 == 0 { try harness.endTick() }
        }
        let small = mutation(1, 0, 1)
        try harness.apply(small)
        try twin.apply(small)
        harness.engine?.flush(table: nil)
        try harness.settle()
        let table = try #require(harness.engine?.tables[testTable])
        #expect(table.sstables.count > 5, "memtables end before a row is too large")
        #expect(harness.stopped == nil)
        let expected = try twin.read(everything, gcGrace: testGcGrace)
        #expect(expected.count > 600_000)
        #expect(try harness.read(everything) == expected)

        let before = table.sstables.map(\.number)
        harness.engine?.compact(table: testTable)
        try harness.settle()
        #expect(table.sstables.map(\.number) == before, "the inputs stay")
        guard case .oversized(let found) = table.statistics.compactionFailure else {
            Issue.record("\(String(describing: table.statistics.compactionFailure))")
            return
        }
        #expect(found.key == [9])
        #expect(found.limit == 256 << 10)
        #expect(found.bytes > 256 << 10)
        #expect(try harness.read(everything) == expected)
        #expect(
            harness.files.names.keys.filter { $0.text.contains("sst-") }.count == before.count)
        // The table goes on.
        try harness.apply(mutation(2, 0, 8))
        harness.engine?.flush(table: nil)
        try harness.settle()
        #expect(table.sstables.count == before.count + 1)
        #expect(harness.stopped == nil)
    }

    @Test func aReplayOfALargeRowIsFlushedInPartsToo() throws {
        let harness = try harness()
        var twin = Twin()
        for start in stride(from: 0, to: 600, by: 8) {
            let mutation = mutation(9, start, 8)
            try harness.apply(mutation)
            try twin.apply(mutation)
        }
        try harness.endTick()
        try harness.open()
        #expect(
            try harness.read(everything) == twin.read(everything, gcGrace: testGcGrace))
    }

    @Test func aMutationIsAtMostAnEighthOfTheLargestBlock() throws {
        let harness = try harness()
        let error = #expect(throws: StorageError.self) {
            try harness.apply(mutation(9, 0, 40))
        }
        guard case .mutationTooLarge(let bytes, let limit) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(limit == 32 << 10)
        #expect(bytes > limit)
    }
}
