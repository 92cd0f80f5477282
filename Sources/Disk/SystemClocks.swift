// The real clocks.

package import Environment

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Reads the machine's clocks, once for each step of a shard.
package enum SystemClocks {
    package static func read() -> ClockReading {
        ClockReading(monotonic: monotonic(), wall: wall())
    }

    /// Goes on while the machine runs; never set back.
    package static func monotonic() -> Instant {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Instant(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
    }

    /// What the machine believes the time of day is.
    package static func wall() -> WallTime {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return WallTime(microseconds: Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1_000)
    }
}
