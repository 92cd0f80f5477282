// After how long a read asks one replica more, by what was measured.

import Environment
import Model
import Testing

@testable import NodeLogic

@Suite struct SpeculationTimerTests {
    private let timeout = Instant.Span.seconds(5)

    private func at(_ seconds: Int64) -> Instant { Instant(nanoseconds: seconds * 1_000_000_000) }

    private func latencies(_ milliseconds: Int64..., times: Int = 100) -> LogHistogram {
        let histogram = LogHistogram()
        for value in milliseconds {
            for _ in 0..<times { histogram.record(value * 1_000_000) }
        }
        return histogram
    }

    private func threshold(
        _ policy: String, _ histogram: LogHistogram?, at now: Int64 = 0
    ) throws -> Instant.Span {
        guard case .threshold(let threshold) = try SpeculativeRetry(policy) else {
            throw CQLError.invalid("no threshold: \(policy)")
        }
        var timer = SpeculationTimer()
        return timer.threshold(threshold, of: histogram, timeout: timeout, now: at(now))
    }

    @Test func beforeThereAreSamplesOnlyAFixedTimeIsKnown() throws {
        for policy in ["99p", "MIN(99p,50ms)", "MAX(99p,50ms)"] {
            #expect(try threshold(policy, nil) == .milliseconds(2_500), "\(policy)")
            #expect(try threshold(policy, LogHistogram()) == .milliseconds(2_500), "\(policy)")
        }
        #expect(try threshold("50ms", nil) == .milliseconds(50))
    }

    @Test func aPercentileIsOneOfTheLatencies() throws {
        let histogram = latencies(10, 20, 400)
        let half = try threshold("50p", histogram)
        #expect(half >= .milliseconds(20) && half <= .milliseconds(25))
        #expect(try threshold("MIN(50p,5ms)", histogram) == .milliseconds(5))
        #expect(try threshold("MIN(50p,500ms)", histogram) == half)
        #expect(try threshold("MAX(50p,500ms)", histogram) == .milliseconds(500))
        #expect(try threshold("MAX(50p,5ms)", histogram) == half)
        #expect(try threshold("99p", histogram) >= .milliseconds(400))
        // What is answered in the step that asks counts as nothing.
        #expect(try threshold("99p", latencies(0)) == .milliseconds(1))
    }

    @Test func theTimeIsLookedUpAgainAfterATimeoutOrWithAnotherPolicy() {
        var timer = SpeculationTimer()
        let histogram = latencies(10)
        func time(_ policy: SpeculativeRetry.Threshold, _ seconds: Int64) -> Instant.Span {
            timer.threshold(policy, of: histogram, timeout: timeout, now: at(seconds))
        }
        let first = time(.percentile(99), 0)
        for _ in 0..<100_000 { histogram.record(300_000_000) }
        #expect(time(.percentile(99), 4) == first)
        #expect(time(.milliseconds(7), 4) == .milliseconds(7))
        #expect(time(.percentile(99), 4) >= .milliseconds(300))
    }

    @Test func whatIsOldWeighsHalfAsMuchAMinuteLater() throws {
        var trend = LatencyTrend()
        let histogram = latencies(10)
        trend.take(histogram, now: at(0))
        for _ in 0..<60 { histogram.record(300_000_000) }
        trend.take(histogram, now: at(60))
        // 50 of 10 ms are left, and 60 are new.
        #expect(try #require(trend.percentile(0.45)) <= .milliseconds(13))
        #expect(try #require(trend.percentile(0.46)) >= .milliseconds(300))
        trend.take(histogram, now: at(10_000))
        #expect(trend.percentile(0.5) == nil)
    }

    @Test func anEndedRequestInFrontWakesNobody() {
        var deadlines = Deadlines<Int>()
        for key in 0..<4 {
            deadlines.add(key, span: .milliseconds(Int64(10)), now: at(Int64(key)))
        }
        deadlines.add(9, span: .milliseconds(5), now: at(0))
        deadlines.dropFirst { $0 != 2 }
        #expect(deadlines.next == at(2) + .milliseconds(10))
        #expect(deadlines.popExpired(now: at(3)) == 2)
        deadlines.dropFirst { _ in true }
        #expect(deadlines.next == nil)
    }
}
