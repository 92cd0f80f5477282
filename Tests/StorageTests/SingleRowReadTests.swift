// The short way of reading one row among others: when it is taken, and that it says what the general one does
// (`EnginePropertyTests` holds both against the twin).

import Encoding
import Environment
import Model
import Testing

@testable import Storage

@Suite struct SingleRowReadTests {
    private static let key: [UInt8] = [1, 2, 3]

    private func harness() throws -> Harness {
        let harness = Harness(
            schema: testSchema { $0.compaction["enabled"] = "false" },
            configuration: Configuration.Storage(), random: RandomStream(seed: 1, name: "rows"))
        try harness.open()
        return harness
    }

    private func row(_ timestamp: Int64, column: UInt32 = 3) -> [UInt8] {
        let bytes = ByteWriter()
        var writer = RowWriter()
        writer.begin(
            liveness: Liveness(timestamp: timestamp), deletion: .none, baseTimestamp: timestamp,
            into: bytes)
        [UInt8(truncatingIfNeeded: timestamp)].withUnsafeBytes {
            writer.append(
                Cell(column: column, flags: [], timestamp: timestamp, value: $0), into: bytes)
        }
        return bytes.array
    }

    /// Writes rows by their clustering keys, and what is around them.
    private func write(
        _ harness: Harness, _ rows: [(place: [UInt8], row: [UInt8])] = [],
        deletion: Deletion = .none, staticRow: [UInt8] = [], ranges: [RangeTombstone] = []
    ) throws {
        let writer = ByteWriter()
        Self.key.withUnsafeBytes {
            MutationWriter.begin(
                table: testTable, token: Token.of(Self.key).value, key: $0, into: writer)
        }
        staticRow.withUnsafeBytes {
            PartitionWriter.begin(deletion: deletion, staticRow: $0, ranges: ranges, into: writer)
        }
        for (place, row) in rows {
            place.withUnsafeBytes { key in
                row.withUnsafeBytes { PartitionWriter.append(key: key, row: $0, into: writer) }
            }
        }
        try harness.apply(writer.array)
    }

    private func flush(_ harness: Harness) throws {
        harness.engine?.flush(table: nil)
        try harness.settle()
    }

    /// The answer of the short way, nil if it is not simple; blocks that it asks for are read.
    private func short(_ harness: Harness, _ place: [UInt8]) throws -> [UInt8]? {
        let engine = try #require(harness.engine)
        let answer = ByteWriter()
        for _ in 0..<5 {
            let read = Self.key.withUnsafeBytes { key in
                place.withUnsafeBytes { place in
                    engine.readSimply(
                        testTable, token: Token.of(Self.key).value, key: key, row: place,
                        nowInSeconds: harness.seconds, into: answer)
                }
            }
            switch read {
            case .done: return answer.array
            case .notSimple: return nil
            case .missing(let block):
                let bytes = ByteWriter()
                try harness.files.read(
                    block.file, at: block.offset, count: block.count, into: bytes)
                try engine.take(bytes.bytes, of: block)
            }
        }
        return nil
    }

    /// The answer of the general way. Its blocks must be in memory.
    private func general(_ harness: Harness, _ place: [UInt8]) throws -> [UInt8] {
        let answer = ByteWriter()
        let status = try #require(harness.engine).read(
            ReadCommand(
                table: testTable,
                scope: .partition(token: Token.of(Self.key).value, key: Self.key),
                slices: [ClusteringSlice(key: place)], nowInSeconds: harness.seconds),
            tag: 0, clock: harness.clock, outbox: harness.outbox, into: answer, mayBeSimple: false)
        #expect(status == .done)
        return answer.array
    }

    @Test(arguments: [1, 2, 100])
    func aRowOfAMemtableIsSimple(count: Int) throws {
        let harness = try harness()
        for number in 0..<count {
            try write(harness, [([UInt8(number), 1], row(Int64(number) + 10))])
        }
        for place in [[0, 1], [UInt8(count - 1), 1], [UInt8(count), 1], [0]] {
            #expect(try short(harness, place) == general(harness, place))
        }
    }

    @Test func versionsOfARowAreMergedWhereverTheyLie() throws {
        let harness = try harness()
        try write(harness, [([5], row(10))])
        try flush(harness)
        try write(harness, [([5], row(20)), ([6], row(21))])
        let found = try #require(try short(harness, [5]))
        #expect(try found == general(harness, [5]))
        #expect(try short(harness, [6]) == general(harness, [6]))
        #expect(try short(harness, [7]) == general(harness, [7]))
    }

    @Test func aFileWithOtherRowsOfThePartitionIsNotSimple() throws {
        let harness = try harness()
        try write(harness, [([5], row(10)), ([6], row(10))])
        try flush(harness)
        #expect(try short(harness, [5]) == nil)
        try write(harness, [([5], row(5))])
        #expect(try short(harness, [5]) == nil)
        // All that the file has of the row is older than what there is of all of its columns.
        try write(harness, [([5], row(20))])
        #expect(try short(harness, [5]) == general(harness, [5]))
    }

    @Test func whatLiesAroundRowsIsNotSimple() throws {
        let gone = Deletion(timestamp: 5, localDeletionTime: 900)
        let range = RangeTombstone(start: [4], end: [9], deletion: gone)
        let around: [(Harness) throws -> Void] = [
            { try write($0, deletion: gone) },
            { try write($0, staticRow: row(10, column: 2)) },
            { try write($0, ranges: [range]) },
        ]
        for surround in around {
            let harness = try harness()
            try write(harness, [([5], row(10)), ([6], row(10))])
            #expect(try short(harness, [5]) != nil)
            try surround(harness)
            #expect(try short(harness, [5]) == nil)
        }
    }

    @Test func oneRowIsAskedForOnlyWhereThereAreOthers() throws {
        let harness = try harness()
        try write(harness, [([5], row(10))])
        let engine = try #require(harness.engine)
        let read = Self.key.withUnsafeBytes {
            engine.readSimply(
                testTable, token: Token.of(Self.key).value, key: $0,
                nowInSeconds: harness.seconds, into: ByteWriter())
        }
        guard case .notSimple = read else {
            Issue.record("a partition of rows is read as one row")
            return
        }
    }
}
