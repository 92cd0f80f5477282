// How much longer than usual a node has been silent, as one number.
//
// After "The phi accrual failure detector" (Hayashibara et al., 2004) with Cassandra's
// approximation: arrivals are taken as exponentially distributed, so phi = (silence / mean
// interval) x log10(e), and phi 8 means that such a silence of a living node would be seen once in
// 10^8 times. With one heartbeat a second that is 18 s; a closed link is seen at once by
// `ClusterMembership` instead.

package import Environment

/// The arrivals of one node's heartbeats. A value; its window grows to at most 1000 intervals.
package struct PhiAccrualFailureDetector: Sendable {
    package static let windowSize = 1_000
    /// log10(e), a constant because libm may differ between machines.
    private static let factor = 0.434_294_481_903_251_8

    /// Also the longest interval that is taken in: longer ones tell of an outage, not of a rhythm.
    private let firstInterval: Int64
    private var intervals: [Int64] = []
    private var next = 0
    private var sum: Int64 = 0
    private var lastArrival: Instant?

    /// `firstInterval` stands in for the mean until there are arrivals; Cassandra takes two rounds.
    package init(firstInterval: Instant.Span) {
        precondition(firstInterval.nanoseconds > 0)
        self.firstInterval = firstInterval.nanoseconds
    }

    /// Notes that news of the node came. News out of turn (a node tells changes at once) are no
    /// part of the rhythm: taken in, a burst of them would make the next normal silence look like a
    /// death.
    package mutating func heartbeat(at now: Instant) {
        if let lastArrival {
            let interval = (now - lastArrival).nanoseconds
            if interval < firstInterval / 4 { return }
            if interval >= 0, interval <= firstInterval { add(interval) }
        } else {
            add(firstInterval)
        }
        lastArrival = now
    }

    /// The suspicion: 0 just after an arrival, and before the first.
    package func phi(at now: Instant) -> Double {
        guard let lastArrival, !intervals.isEmpty else { return 0 }
        let mean = max(Double(sum) / Double(intervals.count), 1)
        return max(0, Double((now - lastArrival).nanoseconds)) / mean * Self.factor
    }

    /// Starts the silence anew without an arrival, for a node that was unreachable and is back.
    package mutating func forgetSilence(at now: Instant) {
        if lastArrival != nil { lastArrival = now }
    }

    private mutating func add(_ interval: Int64) {
        if intervals.count < Self.windowSize {
            intervals.append(interval)
        } else {
            sum -= intervals[next]
            intervals[next] = interval
            next = (next + 1) % Self.windowSize
        }
        sum += interval
    }
}
