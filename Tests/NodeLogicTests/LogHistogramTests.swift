// Histograms: percentiles against a sorted array, and shards that add up.

import Environment
import Testing

@testable import NodeLogic

@Suite struct LogHistogramTests {
    @Test func everyValueLiesInTheBucketThatEndsAtOrAboveIt() {
        var previous = -1
        for value in [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 1_000, 1 << 20, 1 << 62, UInt64.max] {
            let bucket = LogHistogram.bucket(of: value)
            #expect(bucket >= previous && bucket < LogHistogram.bucketCount)
            #expect(LogHistogram.upperBound(of: bucket) >= value)
            if bucket > 0 { #expect(LogHistogram.upperBound(of: bucket - 1) < value) }
            previous = bucket
        }
    }

    @Test func percentilesAreRightToAQuarter() {
        for seed in 1...20 as ClosedRange<UInt64> {
            var random = RandomStream(seed: seed, name: "histogram")
            let histogram = LogHistogram()
            var values: [UInt64] = []
            for _ in 0..<1_000 {
                let value = random.below(1 << (1 + random.below(40)))
                values.append(value)
                histogram.record(Int64(value))
            }
            values.sort()
            let figures = histogram.figures
            #expect(figures.count == 1_000 && figures.maximum == values.last)
            for share in [0.5, 0.75, 0.95, 0.99, 1] {
                let exact = values[max(0, Int((1_000 * share).rounded(.up)) - 1)]
                let told = figures.percentile(share)
                #expect(told >= exact && told <= exact + exact / 4 + 1, "seed \(seed), \(share)")
            }
        }
    }

    @Test func thoseOfTwoShardsAddUpAsFacts() {
        let (left, right, both) = (LogHistogram(), LogHistogram(), LogHistogram())
        for value in 0..<500 as Range<Int64> {
            (value % 3 == 0 ? left : right).record(value * value)
            both.record(value * value)
        }
        let joined = HistogramFigures(left.figures.fact.joined(with: right.figures.fact))
        #expect(joined == both.figures)
    }

    @Test func nothingRecordedShowsZeros() {
        #expect(HistogramFigures().percentile(0.99) == 0)
        #expect(LogHistogram().figures.minimum == 0)
    }

    @Test func factsThatAreMalformedCountNothing() {
        let figures = HistogramFigures(["buckets": ["-1": 5, "999": 5, "a": 5], "count": -3])
        #expect(figures.buckets.isEmpty && figures.count == 0)
    }

    @Test func aRateFallsWhenNothingHappens() {
        var meter = RateMeter()
        for second in 0..<60 as Range<Int64> {
            for _ in 0..<10 { meter.mark(now: Instant(nanoseconds: second * 1_000_000_000)) }
        }
        let now = meter.perSecond(now: Instant(nanoseconds: 60_000_000_000))
        #expect(abs(now - 10) < 0.5)
        let later = meter.perSecond(now: Instant(nanoseconds: 360_000_000_000))
        #expect(later < 4.5 && later > 2.5)
    }

    /// Tokens 1 to 10 of a file, and ranges that end or go over the ring's origin.
    @Test(
        arguments: [
            (-100, 0, 0.0), (-1, 1_000, 1.0), (0, 9, 0.9), (9, 0, 0.1), (500, -500, 0.0),
            (4, 4, 1.0), (0, 5, 0.5), (10, 20, 0.0),
        ] as [(Int64, Int64, Double)])
    func aRangeHasItsPartOfAFile(start: Int64, end: Int64, share: Double) {
        #expect(abs(Shard.share(of: 1...10, behind: start, through: end) - share) < 1e-9)
    }
}
