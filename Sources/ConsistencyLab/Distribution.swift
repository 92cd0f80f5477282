// Mean, percentiles and maximum of whole numbers, computed with integers.

/// The summary of a set of figures.
package struct Distribution: Equatable, Sendable {
    package let count: Int
    package let mean: Int64
    package let median: Int64
    package let percentile99: Int64
    package let maximum: Int64

    /// All zero for no figures.
    package init(_ figures: [Int64]) {
        let sorted = figures.sorted()
        count = sorted.count
        guard let last = sorted.last else {
            (mean, median, percentile99, maximum) = (0, 0, 0, 0)
            return
        }
        mean = sorted.reduce(0, +) / Int64(count)
        median = sorted[(count - 1) / 2]
        percentile99 = sorted[min(count - 1, (count * 99 + 99) / 100 - 1)]
        maximum = last
    }
}
