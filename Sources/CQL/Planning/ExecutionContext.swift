// What an execution takes from outside: the coordinator's clock and a little randomness.

/// The time and the random bits of one request, fixed by the coordinator.
package struct ExecutionContext: Sendable {
    /// Microseconds since 1970: the write timestamp unless the statement states one. The client's, if it
    /// gave one with the request.
    package var timestamp: Int64
    /// Microseconds since 1970 by the coordinator's own clock, whatever the client states: for `now()` and
    /// for the order of list elements.
    package var clock: Int64
    /// Seconds since 1970, for expiry and deletion times.
    package var nowInSeconds: Int64
    /// Randomness for `uuid()` and for the node part of `now()`.
    package var random: (UInt64, UInt64)

    /// The clock is the timestamp unless they differ.
    package init(
        timestamp: Int64, clock: Int64? = nil, nowInSeconds: Int64,
        random: (UInt64, UInt64) = (0, 0)
    ) {
        self.timestamp = timestamp
        self.clock = clock ?? timestamp
        self.nowInSeconds = nowInSeconds
        self.random = random
    }

    /// Random bits of their own for each place in a statement that asks.
    func randomBits(at place: Int) -> (UInt64, UInt64) {
        (
            Self.mix(random.0 &+ UInt64(truncatingIfNeeded: place) &* 0x9E37_79B9_7F4A_7C15),
            Self.mix(random.1 &+ UInt64(truncatingIfNeeded: place) &* 0xD1B5_4A32_D192_ED03)
        )
    }

    /// SplitMix64's finish.
    private static func mix(_ value: UInt64) -> UInt64 {
        var mixed = value
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
