// The simulator's own clock: nanoseconds since the world began. Nodes never see it; they see their
// `SimulatedClock`, which may be ahead, behind, fast or slow.

package import Environment

/// A moment of a simulated world.
package struct VirtualTime: Hashable, Comparable, Sendable, CustomStringConvertible {
    package var nanoseconds: Int64

    @inlinable
    package init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    package static let zero = VirtualTime(nanoseconds: 0)
    package static let distantFuture = VirtualTime(nanoseconds: .max)

    /// That many milliseconds after the begin of the world.
    package static func milliseconds(_ count: Int64) -> VirtualTime {
        VirtualTime(nanoseconds: count * 1_000_000)
    }

    @inlinable
    package static func < (left: VirtualTime, right: VirtualTime) -> Bool {
        left.nanoseconds < right.nanoseconds
    }
    @inlinable
    package static func + (left: VirtualTime, right: Instant.Span) -> VirtualTime {
        let (sum, overflow) = left.nanoseconds.addingReportingOverflow(right.nanoseconds)
        return VirtualTime(nanoseconds: overflow ? .max : sum)
    }
    @inlinable
    package static func - (left: VirtualTime, right: VirtualTime) -> Instant.Span {
        Instant.Span(nanoseconds: left.nanoseconds - right.nanoseconds)
    }

    /// Milliseconds with six decimals, written with integers only: `12.345678`.
    package var description: String { Self.text(nanoseconds) }

    /// Nanoseconds as milliseconds with six decimals.
    package static func text(_ nanoseconds: Int64) -> String {
        let magnitude = nanoseconds.magnitude
        let fraction = String(magnitude % 1_000_000)
        let zeros = String(repeating: "0", count: 6 - fraction.count)
        return "\(nanoseconds < 0 ? "-" : "")\(magnitude / 1_000_000).\(zeros)\(fraction)"
    }
}
