// The three clocks of a node are never mixed up: `Instant` is this machine's monotonic clock (timers,
// budgets, failure detection), `WallTime` may jump (write timestamps, time to live), and the hybrid
// logical clock is made of both. The world reads its clocks once per step and hands in a reading.

/// A moment of this machine's monotonic clock. Its zero has no meaning.
///
/// It is `public`, and so are its operators one by one, because only that is inlined into other modules (see
/// `ByteReader`): every request asks for spans.
public struct Instant: Hashable, Comparable, Sendable {
    /// Since the clock's zero.
    public var nanoseconds: Int64

    /// The moment so many nanoseconds behind the clock's zero.
    @inlinable
    public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    package static let distantFuture = Instant(nanoseconds: .max)

    /// Whether both are the same moment.
    @inlinable
    public static func == (left: Instant, right: Instant) -> Bool {
        left.nanoseconds == right.nanoseconds
    }
    /// Whether the left one comes first.
    @inlinable
    public static func < (left: Instant, right: Instant) -> Bool {
        left.nanoseconds < right.nanoseconds
    }
    /// The moment a span later; the last one there is if that is beyond it.
    @inlinable
    public static func + (left: Instant, right: Span) -> Instant {
        let (sum, overflow) = left.nanoseconds.addingReportingOverflow(right.nanoseconds)
        return Instant(nanoseconds: overflow ? .max : sum)
    }
    /// From the right one to the left one.
    @inlinable
    public static func - (left: Instant, right: Instant) -> Span {
        Span(nanoseconds: left.nanoseconds - right.nanoseconds)
    }

    /// A length of monotonic time.
    public struct Span: Hashable, Comparable, Sendable {
        /// May be negative.
        public var nanoseconds: Int64

        /// A span of so many nanoseconds.
        @inlinable
        public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

        /// A span of so many microseconds.
        @inlinable public static func microseconds(_ count: Int64) -> Span {
            Span(nanoseconds: count * 1_000)
        }
        /// A span of so many milliseconds.
        @inlinable public static func milliseconds(_ count: Int64) -> Span {
            Span(nanoseconds: count * 1_000_000)
        }
        /// A span of so many seconds.
        @inlinable public static func seconds(_ count: Int64) -> Span {
            Span(nanoseconds: count * 1_000_000_000)
        }
        /// Whether both are of the same length.
        @inlinable public static func == (left: Span, right: Span) -> Bool {
            left.nanoseconds == right.nanoseconds
        }
        /// Whether the left one is shorter.
        @inlinable public static func < (left: Span, right: Span) -> Bool {
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
