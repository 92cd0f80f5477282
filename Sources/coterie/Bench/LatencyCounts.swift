// How long reads took, counted in classes that grow by an eighth: no list of millions of figures.

/// Counts of latencies.
struct LatencyCounts {
    private var counts = [Int](repeating: 0, count: 64 * 8)
    private(set) var total = 0

    /// The class of a latency: eight to each power of two of nanoseconds.
    private static func place(_ nanoseconds: UInt64) -> Int {
        guard nanoseconds >= 8 else { return Int(nanoseconds) }
        let power = 63 - nanoseconds.leadingZeroBitCount
        return power * 8 + Int((nanoseconds >> UInt64(power - 3)) & 7)
    }

    /// The largest latency of a class, in nanoseconds.
    private static func limit(_ place: Int) -> Double {
        guard place >= 24 else { return Double(place) }
        let power = place / 8
        return Double(UInt64(1) << UInt64(power)) * (1 + Double(place % 8 + 1) / 8)
    }

    /// Counts one.
    mutating func add(_ seconds: Double) {
        counts[Self.place(UInt64(max(0, seconds) * 1e9))] += 1
        total += 1
    }

    /// That share of all took at most so long.
    func microseconds(of share: Double) -> Double {
        var left = Int((Double(total) * share).rounded(.up))
        for (place, count) in counts.enumerated() {
            left -= count
            if left <= 0 { return Self.limit(place) / 1_000 }
        }
        return 0
    }
}
