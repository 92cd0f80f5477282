// The three clocks of a node are never mixed up: `Instant` is this machine's monotonic clock (timers,
// budgets, failure detection), `WallTime` may jump (write timestamps, time to live), and the hybrid
// logical clock is made of both. The world reads its clocks once per step and hands in a reading.

/// A moment of this machine's monotonic clock. Its zero has no meaning.
package struct Instant: Hashable, Comparable, Sendable {
    package var nanoseconds: Int64

    @inlinable
    package init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    package static let distantFuture = Instant(nanoseconds: .max)

    @inlinable
    package static func < (left: Instant, right: Instant) -> Bool {
        left.nanoseconds < right.nanoseconds
    }
    @inlinable
    package static func + (left: Instant, right: Span) -> Instant {
        let (sum, overflow) = left.nanoseconds.addingReportingOverflow(right.nanoseconds)
        return Instant(nanoseconds: overflow ? .max : sum)
    }
    @inlinable
    package static func - (left: Instant, right: Instant) -> Span {
        Span(nanoseconds: left.nanoseconds - right.nanoseconds)
    }

    /// A length of monotonic time.
    package struct Span: Hashable, Comparable, Sendable {
        package var nanoseconds: Int64

        @inlinable
        package init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

        @inlinable package static func microseconds(_ count: Int64) -> Span {
            Span(nanoseconds: count * 1_000)
        }
        @inlinable package static func milliseconds(_ count: Int64) -> Span {
            Span(nanoseconds: count * 1_000_000)
        }
        @inlinable package static func seconds(_ count: Int64) -> Span {
            Span(nanoseconds: count * 1_000_000_000)
        }
        @inlinable package static func < (left: Span, right: Span) -> Bool {
            left.nanoseconds < right.nanoseconds
        }
        package var wholeMicroseconds: Int64 { nanoseconds / 1_000 }
        package var wholeMilliseconds: Int64 { nanoseconds / 1_000_000 }
    }
}

/// What a wall clock shows: microseconds since 1970, UTC. It may jump both ways.
package struct WallTime: Hashable, Comparable, Sendable {
    package var microseconds: Int64

    @inlinable
    package init(microseconds: Int64) { self.microseconds = microseconds }

    @inlinable
    package static func < (left: WallTime, right: WallTime) -> Bool {
        left.microseconds < right.microseconds
    }
    /// Whole seconds since 1970, as expiry and deletion times are kept.
    package var seconds: Int64 {
        microseconds >= 0 ? microseconds / 1_000_000 : (microseconds - 999_999) / 1_000_000
    }
}

/// Both clocks, read once at the begin of a step.
package struct ClockReading: Hashable, Sendable {
    package var monotonic: Instant
    package var wall: WallTime

    package init(monotonic: Instant, wall: WallTime) {
        self.monotonic = monotonic
        self.wall = wall
    }
}
