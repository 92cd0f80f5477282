// The stale-read experiment keeps what it promises: the same seed is the same run, W + R > N is
// never stale, ONE is, and a planted bug is found.

import Model
import Simulation
import Testing

@testable import ConsistencyLab

@Suite struct StaleReadTests {
    private func report(_ options: StaleReadOptions) -> StaleReadReport { StaleReadReport(options) }

    @Test func theSameSeedGivesTheSameReportAndAnotherSeedAnother() {
        var options = StaleReadOptions(seed: 7)
        options.operationCount = 300
        var lines: [String] = []
        let first = StaleReadReport(options) { lines.append($0) }
        let second = report(options)
        #expect(first.trace == second.trace)
        #expect(first.json.text() == second.json.text())
        #expect(lines.count == Int(first.trace.count) + ConsistencyPair.all.count)
        var other = options
        other.seed = 8
        #expect(report(other).trace != first.trace)
    }

    @Test func onlyOverlappingQuorumsAreNeverStale() {
        var survey = StaleReadSurvey()
        for seed in 1...6 as ClosedRange<UInt64> {
            survey.add(report(StaleReadOptions(seed: seed)))
        }
        print(survey.text)
        #expect(survey.problems.isEmpty)
        for row in survey.rows {
            #expect(row.fewestReads >= 1_000, "\(row.pair)")
            #expect(row.fewestAcknowledgedWrites >= 200, "\(row.pair)")
            if row.pair.overlaps(replicas: 3) {
                #expect(row.staleReads == 0, "\(row.pair)")
            } else {
                #expect(row.seedsWithStaleReads > 0, "\(row.pair)")
            }
        }
    }

    @Test func aPlantedBugIsFound() {
        var options = StaleReadOptions(seed: 3)
        options.plantsBug = true
        let report = report(options)
        #expect(report.results.last.map { $0.staleReads > 0 } == true)
        #expect(!report.problems.isEmpty)
    }

    @Test func skewedServerClocksLoseWritesWithoutStaleQuorumReads() throws {
        var options = StaleReadOptions(seed: 5)
        options.timestamps = .server
        options.clockSkewMilliseconds = 4_000
        let report = report(options)
        let quorum = try #require(report.results.last)
        #expect(quorum.staleReads == 0)
        #expect(quorum.lostToLastWriteWinsWrites > 0)
        options.clockSkewMilliseconds = 0
        options.timestamps = .client
        #expect(StaleReadReport(options).results.allSatisfy { $0.lostToLastWriteWinsWrites == 0 })
    }

    @Test func takingOneOperationAwayLeavesTheOthersTimes() {
        var options = StaleReadOptions(seed: 11)
        options.operationCount = 300
        let whole = report(options)
        options.without = 100
        let less = report(options)
        #expect(whole.plan.faults == less.plan.faults)
        for (before, after) in zip(whole.results, less.results) {
            var expected = before.invocationTimes
            expected[100] = nil
            #expect(after.invocationTimes == expected)
            #expect(after.operations == before.operations - 1)
        }
    }

    @Test func theExampleNamesWriteReplicasAndRule() throws {
        let report = report(StaleReadOptions(seed: 2))
        let example = try #require(report.results.first).example
        #expect(example.count >= 7)
        #expect(example.first?.hasPrefix("read #") == true)
        #expect(example.contains { $0.contains("acknowledged it after the answers of {") })
        #expect(example.contains { $0.contains(" asked {") })
        #expect(example.last?.hasPrefix("rule: W + R = 1 + 1 <= N = 3") == true)
    }

    @Test func distributionsAreOfTheSortedFigures() {
        let figures = Distribution((1...200).map { Int64(201 - $0) })
        #expect(figures.median == 100 && figures.percentile99 == 198 && figures.maximum == 200)
        #expect(figures.mean == 100 && figures.count == 200)
        #expect(Distribution([]).maximum == 0)
        #expect(Distribution([5]).percentile99 == 5)
    }

    @Test func jsonIsEscaped() {
        let text = JSONText.object([("a\"", .array([.string("x\n\u{1}ü"), .integer(-1)]))]).text()
        #expect(text == "{\n  \"a\\\"\": [\n    \"x\\n\\u0001ü\",\n    -1\n  ]\n}")
    }
}
