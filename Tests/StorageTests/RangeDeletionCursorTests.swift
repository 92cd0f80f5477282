// Reads that begin, page and end inside range deletions, in both directions, over memtables and the files of
// every strategy: a cursor must know the deletion that is open where it begins.

import Encoding
import Environment
import Model
import Testing

@testable import Storage

@Suite struct RangeDeletionCursorTests {
    private static func options(_ name: String) -> CompactionOptions {
        var options = CompactionOptions()
        switch name {
        case "sizeTiered": options.strategy = .sizeTiered(.init())
        case "leveled":
            var levels = CompactionOptions.Leveled()
            levels.sstableBytes = 900
            options.strategy = .leveled(levels)
        case "timeWindow":
            var windows = CompactionOptions.TimeWindow()
            windows.timestampsPerSecond = 1
            windows.windowSeconds = 20
            options.strategy = .timeWindow(windows)
        default:
            var unified = CompactionOptions.Unified()
            unified.minimumSSTableBytes = 0
            unified.targetSSTableBytes = 700
            options.strategy = .unified(unified)
        }
        return options
    }

    private let rowCount = 60

    private func clustering(_ number: Int) -> [UInt8] { [0x40, UInt8(number), 0x38] }

    private func row(_ timestamp: Int64, counts: Bool) -> [UInt8] {
        let bytes = ByteWriter()
        var writer = RowWriter()
        writer.begin(
            liveness: counts ? .none : Liveness(timestamp: timestamp), deletion: .none,
            baseTimestamp: timestamp, into: bytes)
        guard counts else { return bytes.array }
        let value = ByteWriter()
        CounterShards.append(
            CounterShard(
                replica: UniqueID(high: 1, low: UInt64(timestamp) % 3), clock: timestamp,
                count: timestamp), into: value)
        writer.append(
            Cell(column: 7, flags: .counter, timestamp: timestamp, value: value.bytes), into: bytes)
        return bytes.array
    }

    /// One partition's mutation of some rows, or of one range deletion.
    private func mutation(_ random: inout RandomStream, counts: Bool) throws -> [UInt8] {
        let key: [UInt8] = [1]
        let writer = ByteWriter()
        key.withUnsafeBytes {
            MutationWriter.begin(
                table: testTable, token: Token.of(key).value, key: $0, into: writer)
        }
        var ranges: [RangeTombstone] = []
        let timestamp = random.within(1...100)
        if random.chance(1, outOf: 3) {
            let start = Int(random.below(UInt64(rowCount)))
            let end = start + 1 + Int(random.below(12))
            ranges = [
                RangeTombstone(
                    start: clustering(start), end: clustering(min(end, 255)),
                    deletion: Deletion(timestamp: timestamp, localDeletionTime: 990))
            ]
        }
        PartitionWriter.begin(
            deletion: .none, staticRow: UnsafeRawBufferPointer(start: nil, count: 0),
            ranges: ranges, into: writer)
        guard ranges.isEmpty else { return writer.array }
        for number in 0..<rowCount where random.chance(1, outOf: 6) {
            let row = row(timestamp, counts: counts)
            clustering(number).withUnsafeBytes { key in
                row.withUnsafeBytes { PartitionWriter.append(key: key, row: $0, into: writer) }
            }
        }
        return writer.array
    }

    @Test(
        arguments: ["sizeTiered", "leveled", "timeWindow", "unified"], [false, true])
    func readsThatBeginInsideADeletionAnswerLikeTheTwin(strategy: String, counts: Bool) throws {
        for seed in 0..<3 as Range<UInt64> {
            var random = RandomStream(seed: seed, name: "ranges")
            var configuration = Configuration.Storage()
            configuration.blockBytes = [64, 200, 1_000][Int(seed)]
            let harness = Harness(
                schema: testSchema { $0.gcGraceSeconds = 1_000_000 }, configuration: configuration,
                random: RandomStream(seed: seed, name: "harness"))
            harness.seconds = 1_000
            try harness.open()
            harness.engine?.tables[testTable]?.strategy = CompactionStrategy(
                options: Self.options(strategy))
            var twin = Twin()
            for round in 0..<40 {
                let mutation = try mutation(&random, counts: counts)
                try harness.apply(mutation)
                try twin.apply(mutation)
                // The last ones stay in memory.
                guard round % 5 == 0, round < 36 else { continue }
                harness.engine?.flush(table: testTable)
                try harness.settle()
            }
            try check(harness, twin, "\(strategy) seed \(seed)")
            harness.engine?.flush(table: testTable)
            harness.engine?.compact(table: testTable)
            try harness.settle()
            try check(harness, twin, "\(strategy) seed \(seed), compacted")
        }
    }

    /// Every first row, both directions, whole and in pages of two.
    private func check(_ harness: Harness, _ twin: Twin, _ what: String) throws {
        let key: [UInt8] = [1]
        for first in 0..<rowCount {
            for reversed in [false, true] {
                for limit in [2, Int.max] {
                    let slice =
                        reversed
                        ? ClusteringSlice(lower: clustering(0), upper: clustering(first + 1))
                        : ClusteringSlice(lower: clustering(first), upper: clustering(rowCount))
                    let command = ReadCommand(
                        table: testTable, scope: .partition(token: Token.of(key).value, key: key),
                        slices: [slice], reversed: reversed, nowInSeconds: 1_000, rowLimit: limit)
                    let found = try harness.read(command)
                    let expected = try twin.read(command, gcGrace: 1_000_000)
                    let isEqual = found == expected
                    #expect(
                        isEqual,
                        "\(what) from \(first) reversed \(reversed) limit \(limit): \(describe(found, expected))"
                    )
                    if !isEqual { return }
                }
            }
        }
    }
}
