// Pages that end wherever the coordinator stops show together what one answer shows.

import Encoding
import Model
import Testing

@testable import CQL

@Suite struct SelectPausingTests {
    private static func bench(seed: UInt64) throws -> Bench {
        var bench = try Bench(
            "CREATE TABLE t (k int, c int, s int static, v int, PRIMARY KEY (k, c))")
        var random = SplitMix(seed: seed)
        for _ in 0..<120 {
            let (k, c) = (random.below(7), random.below(12))
            switch random.below(9) {
            case 0: _ = try bench.run("UPDATE t SET s = \(c) WHERE k = \(k)")
            case 1...4: _ = try bench.run("INSERT INTO t (k, c, v) VALUES (\(k), \(c), \(c))")
            default: _ = try bench.run("DELETE FROM t WHERE k = \(k) AND c = \(c)")
            }
        }
        return bench
    }

    /// Where an answer that is not exhausted ends.
    private static func end(of result: ReadResultView) throws -> ReadCommand.Position? {
        var end: ReadCommand.Position?
        var partitions = result.partitions
        while let (token, key, bytes) = try partitions.next() {
            end = ReadCommand.Position(token: token, key: Array(key), clustering: nil)
            var rows = try PartitionView(bytes).rows
            while let row = try rows.next() { end?.clustering = Array(row.key) }
        }
        return end
    }

    @Test(arguments: [
        "SELECT * FROM t", "SELECT * FROM t WHERE k IN (0, 1, 2, 3, 4, 5, 6)",
        "SELECT * FROM t WHERE k = 3", "SELECT k, s FROM t WHERE k = 3 AND c > 2 AND c < 9",
        "SELECT DISTINCT k, s FROM t", "SELECT * FROM t LIMIT 9",
        "SELECT * FROM t PER PARTITION LIMIT 2", "SELECT * FROM t WHERE k = 2 ORDER BY c DESC",
        "SELECT * FROM t WHERE v > 5 ALLOW FILTERING",
    ])
    func pagesThatEndEarlyShowTheSameRows(statement: String) throws {
        for seed in 0..<25 as Range<UInt64> {
            var bench = try Self.bench(seed: seed)
            let wanted = try bench.run(statement)
            bench.store.random = SplitMix(seed: seed)
            let prepared = try bench.schema.plan(statement)
            guard case .select(let plan) = prepared.plan else { throw Unexpected() }
            var shown: [String] = []
            var state: [UInt8]?
            var pages = 0
            repeat {
                let execution = try SelectExecution(
                    plan, BoundValues(), bench.context, pageSize: 4, pagingState: state)
                execution.limitTombstones(to: 1)
                #expect(execution.mayPause)
                while let command = try execution.nextCommand() {
                    let bytes = try bench.store.read(command)
                    try bytes.withUnsafeBytes {
                        let result = try ReadResultView($0)
                        let end = result.isExhausted ? nil : try Self.end(of: result)
                        try execution.consume(result, pausedAt: end, passed: end == nil ? 0 : 1)
                    }
                }
                try execution.finish()
                shown += try show(
                    Array(execution.rows), execution.rowCount, prepared.resultColumns)
                state = execution.pagingState
                pages += 1
                try #require(pages < 1_000)
            } while state != nil
            #expect(shown == wanted, "seed \(seed)")
        }
    }

    @Test func whatNeedsAllRowsDoesNotPause() throws {
        let bench = try Self.bench(seed: 1)
        let cases: [(String, Int?)] = [
            ("SELECT count(*) FROM t", 10), ("SELECT k, count(*) FROM t GROUP BY k", 10),
            ("SELECT * FROM t", nil),
        ]
        for (statement, pageSize) in cases {
            guard case .select(let plan) = try bench.schema.plan(statement).plan else {
                throw Unexpected()
            }
            let execution = try SelectExecution(
                plan, BoundValues(), bench.context, pageSize: pageSize)
            execution.limitTombstones(to: 1)
            #expect(!execution.mayPause)
            #expect(try execution.nextCommand()?.tombstoneLimit == .max)
        }
    }
}
