// A histogram for hot paths: buckets whose widths grow with their values, four to each power of two, so
// that a percentile is right to a quarter of itself.
//
//     value 0..3 -> bucket 0..3       above: 4 * (exponent - 1) + the two bits behind the leading one
//
// Cost of recording: one count of leading zeros, two shifts, one addition into memory that is there; nothing
// is allocated. 2 KB each.

/// Counts of values, by their size.
final class LogHistogram {
    static let bucketCount = 252

    // Not an array, whose owners would be counted with each value.
    private let buckets: UnsafeMutablePointer<UInt64>
    @exclusivity(unchecked) private(set) var count: UInt64 = 0
    @exclusivity(unchecked) private(set) var maximum: UInt64 = 0

    init() {
        buckets = .allocate(capacity: Self.bucketCount)
        buckets.initialize(repeating: 0, count: Self.bucketCount)
    }

    deinit { buckets.deallocate() }

    /// Takes in a value; a negative one counts as 0.
    @inline(__always)
    func record(_ value: Int64) {
        let value = UInt64(max(0, value))
        buckets[Self.bucket(of: value)] &+= 1
        count &+= 1
        if value > maximum { maximum = value }
    }

    @inline(__always)
    static func bucket(of value: UInt64) -> Int {
        if value < 4 { return Int(value) }
        let exponent = 63 - value.leadingZeroBitCount
        return 4 * (exponent - 1) + Int((value >> UInt64(exponent - 2)) & 3)
    }

    /// The largest value of a bucket.
    static func upperBound(of bucket: Int) -> UInt64 {
        if bucket < 4 { return UInt64(bucket) }
        let exponent = bucket / 4 + 1
        let low = (UInt64(4 + bucket % 4)) << UInt64(exponent - 2)
        return low | ((1 << UInt64(exponent - 2)) - 1)
    }

    /// How many values of a bucket were counted.
    func count(inBucket bucket: Int) -> UInt64 {
        precondition(bucket >= 0 && bucket < Self.bucketCount)
        return buckets[bucket]
    }

    /// What has been counted, to be sent to another shard.
    var figures: HistogramFigures {
        var figures = HistogramFigures()
        figures.count = count
        figures.maximum = maximum
        for bucket in 0..<Self.bucketCount where buckets[bucket] > 0 {
            figures.buckets[bucket] = buckets[bucket]
        }
        return figures
    }
}

/// A histogram as a value: those of several shards add up.
struct HistogramFigures: Equatable {
    /// Counts of the buckets that are not empty.
    var buckets: [Int: UInt64] = [:]
    var count: UInt64 = 0
    var maximum: UInt64 = 0

    mutating func add(_ other: HistogramFigures) {
        buckets.merge(other.buckets) { $0 &+ $1 }
        count &+= other.count
        maximum = max(maximum, other.maximum)
    }

    /// The value that a share of all values does not exceed; 0 without values.
    func percentile(_ share: Double) -> UInt64 {
        guard count > 0 else { return 0 }
        let wanted = UInt64((Double(count) * share).rounded(.up))
        var seen: UInt64 = 0
        for bucket in buckets.keys.sorted() {
            seen += buckets[bucket] ?? 0
            if seen >= max(1, wanted) { return min(maximum, LogHistogram.upperBound(of: bucket)) }
        }
        return maximum
    }

    /// The smallest value, to a quarter of itself.
    var minimum: UInt64 {
        buckets.keys.min().map { LogHistogram.upperBound(of: $0) }.map { min($0, maximum) } ?? 0
    }
}
