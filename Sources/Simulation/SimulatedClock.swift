// A node's clocks: the monotonic one runs at its own rate, the wall clock is off and may jump.

package import Environment

/// Turns virtual time into what a node's clocks show, with integers only.
package struct SimulatedClock: Equatable, Sendable {
    /// What the monotonic clock showed when the world began.
    package var monotonicBase: Int64
    /// Parts per million by which the node's clocks run fast (positive) or slow.
    package var driftPartsPerMillion: Int64
    /// Microseconds by which the wall clock is ahead, drift not counted.
    package var wallOffsetMicroseconds: Int64

    /// When every world begins: 2024-01-01 00:00:00 UTC, in microseconds.
    package static let epochMicroseconds: Int64 = 1_704_067_200_000_000

    package init(
        monotonicBase: Int64 = 1_000_000_000, driftPartsPerMillion: Int64 = 0,
        wallOffsetMicroseconds: Int64 = 0
    ) {
        precondition(driftPartsPerMillion.magnitude < 500_000)
        self.monotonicBase = monotonicBase
        self.driftPartsPerMillion = driftPartsPerMillion
        self.wallOffsetMicroseconds = wallOffsetMicroseconds
    }

    /// How far the node believes that time has gone.
    private func elapsed(_ time: VirtualTime) -> Int64 {
        let product = time.nanoseconds.multipliedFullWidth(by: driftPartsPerMillion)
        return time.nanoseconds + Int64(1_000_000).dividingFullWidth(product).quotient
    }

    package func read(_ time: VirtualTime) -> ClockReading {
        let elapsed = driftPartsPerMillion == 0 ? time.nanoseconds : self.elapsed(time)
        return ClockReading(
            monotonic: Instant(nanoseconds: monotonicBase + elapsed),
            wall: WallTime(
                microseconds: Self.epochMicroseconds + elapsed / 1_000 + wallOffsetMicroseconds))
    }

    /// The first virtual time at which the monotonic clock shows `instant` or more.
    package func time(of instant: Instant) -> VirtualTime {
        if instant == .distantFuture { return .distantFuture }
        let wanted = instant.nanoseconds - monotonicBase
        if driftPartsPerMillion == 0 || wanted <= 0 {
            return VirtualTime(nanoseconds: max(wanted, 0))
        }
        let product = wanted.multipliedFullWidth(by: 1_000_000)
        let guess = (1_000_000 + driftPartsPerMillion).dividingFullWidth(product).quotient
        var time = VirtualTime(nanoseconds: max(guess - 2, 0))
        while elapsed(time) < wanted { time.nanoseconds += 1 }
        return time
    }
}
