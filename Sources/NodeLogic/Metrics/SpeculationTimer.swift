// The latencies of a table as they are lately: what a histogram has counted, with a half-life of a minute, as
// Cassandra's decaying histograms have. A policy of asking more replicas takes its time from it.
//
//     histogram of all times --(what is new since the last look)--> weights by bucket, halved each minute
//
// Cost: nothing for a request but a comparison; a look goes over 252 buckets, once in a read's timeout.

internal import Environment
internal import Model

/// A policy's time, looked up again from time to time. Before there are samples it is half of the request's
/// timeout, as in Cassandra.
struct SpeculationTimer {
    /// Percentiles below count as this. A shard measures by steps, and what is answered in the step that
    /// asked counts as nothing: asking one more at once would help nobody.
    static let shortestPercentile = Instant.Span.milliseconds(1)

    private var trend = LatencyTrend()
    private var policy: SpeculativeRetry.Threshold?
    private var value: Instant.Span?
    private var isDue = Instant(nanoseconds: .min)

    /// How long to wait before one replica more is asked.
    mutating func threshold(
        _ policy: SpeculativeRetry.Threshold, of latencies: LogHistogram?, timeout: Instant.Span,
        now: Instant
    ) -> Instant.Span {
        if let value, now < isDue, self.policy == policy { return value }
        trend.take(latencies, now: now)
        let current = policy.threshold(trend, otherwise: value ?? timeout.half)
        (value, self.policy, isDue) = (current, policy, now + timeout)
        return current
    }
}

/// Weights of latencies by bucket, of which the old ones count less.
struct LatencyTrend {
    /// 2^(-1/60): a second of a minute that halves.
    private static let perSecond = 0.98851402035289613
    /// After some ten half-lives nothing is left.
    private static let forgottenAfter: Int64 = 600

    private var weights: [Double] = []
    private var counted: [UInt64] = []
    private var looked = Instant(nanoseconds: 0)

    /// Takes in what the histogram has counted since the last time.
    mutating func take(_ latencies: LogHistogram?, now: Instant) {
        guard let latencies else { return }
        if weights.isEmpty {
            weights = [Double](repeating: 0, count: LogHistogram.bucketCount)
            counted = [UInt64](repeating: 0, count: LogHistogram.bucketCount)
            looked = now
        }
        let seconds = (now - looked).nanoseconds / Instant.Span.seconds(1).nanoseconds
        var factor = seconds >= Self.forgottenAfter ? 0.0 : 1.0
        for _ in 0..<max(0, min(seconds, Self.forgottenAfter)) { factor *= Self.perSecond }
        looked = Instant(
            nanoseconds: looked.nanoseconds + seconds * Instant.Span.seconds(1).nanoseconds)
        for bucket in weights.indices {
            let count = latencies.count(inBucket: bucket)
            weights[bucket] = weights[bucket] * factor + Double(count &- counted[bucket])
            counted[bucket] = count
        }
    }

    /// The time that a share of the recent ones does not exceed, to a quarter of itself; nil without any.
    func percentile(_ share: Double) -> Instant.Span? {
        let total = weights.reduce(0, +)
        guard total >= 0.5 else { return nil }
        var seen = 0.0
        for (bucket, weight) in weights.enumerated() where weight > 0 {
            seen += weight
            if seen >= total * share {
                return Instant.Span(
                    nanoseconds: Int64(clamping: LogHistogram.upperBound(of: bucket)))
            }
        }
        return nil
    }
}

extension SpeculativeRetry.Threshold {
    /// The time by those latencies; `otherwise` if it needs some and there are none.
    fileprivate func threshold(_ trend: LatencyTrend, otherwise: Instant.Span) -> Instant.Span {
        func percentile(_ value: Double) -> Instant.Span? {
            trend.percentile(value / 100).map { max($0, SpeculationTimer.shortestPercentile) }
        }
        switch self {
        case .milliseconds(let count): return .milliseconds(Int64(count))
        case .percentile(let value): return percentile(value) ?? otherwise
        case .earlier(let value, let count):
            return percentile(value).map { min($0, .milliseconds(Int64(count))) } ?? otherwise
        case .later(let value, let count):
            return percentile(value).map { max($0, .milliseconds(Int64(count))) } ?? otherwise
        }
    }
}

extension Instant.Span {
    fileprivate var half: Instant.Span { Instant.Span(nanoseconds: nanoseconds / 2) }
}
