// How long things take: integer quantile tables, sampled with integers only.
//
// A table holds quantiles by the *survival* probability, in octaves: 64 steps between 2^-(k+1) and
// 2^-k for each k below 40. So the far tail, on which staleness hangs, is as finely cut as the
// middle, and one sample costs a leading-zero count, two loads and an interpolation. The tables are
// computed when first used with additions, multiplications and divisions alone
// (`DeterministicMath`), which IEEE 754 defines to the bit; no mathematical library of the host is
// asked.
//
// The four named models are the fits of the PBS paper (Bailis et al., "Probabilistically Bounded
// Staleness for Practical Partial Quorums", VLDB 2012, table 3), in milliseconds: with probability
// p a Pareto(xm, alpha), else an exponential(lambda).

package import Environment

/// Logarithm and exponential made of basic operations, equal on every machine.
enum DeterministicMath {
    private static let logarithmOfTwo = 0.693_147_180_559_945_3

    /// The natural logarithm of a positive finite number, to some 15 digits.
    static func logarithm(_ value: Double) -> Double {
        precondition(value > 0 && value.isFinite)
        var exponent = Int(value.exponent)
        var significand = value.significand
        if significand > 1.414_213_562_373_095_1 {
            significand /= 2
            exponent += 1
        }
        let z = (significand - 1) / (significand + 1)
        let square = z * z
        var power = z
        var sum = 0.0
        for odd in stride(from: 1, through: 25, by: 2) {
            sum += power / Double(odd)
            power *= square
        }
        return 2 * sum + Double(exponent) * logarithmOfTwo
    }

    /// e to the power of `value`, to some 15 digits.
    static func exponential(_ value: Double) -> Double {
        precondition(value.magnitude < 700)
        let whole = (value / logarithmOfTwo).rounded()
        let rest = value - whole * logarithmOfTwo
        var term = 1.0
        var sum = 1.0
        for index in 1...20 {
            term *= rest / Double(index)
            sum += term
        }
        return Double(sign: .plus, exponent: Int(whole), significand: 1) * sum
    }
}

/// Quantiles of one distribution, in nanoseconds.
package struct QuantileTable: Equatable, Sendable {
    private static let octaves = 40
    private static let steps = 64

    /// For each octave the quantiles at its 65 borders, by rising survival probability.
    package let nanoseconds: [Int64]

    /// Tabulates `quantile`, which maps a survival probability to nanoseconds; capped at a day or
    /// so, so that an interpolation cannot overflow.
    init(quantile: (_ survival: Double) -> Double) {
        var table: [Int64] = []
        table.reserveCapacity(Self.octaves * (Self.steps + 1))
        for octave in 0..<Self.octaves {
            let low = Double(sign: .plus, exponent: -(octave + 1), significand: 1)
            for step in 0...Self.steps {
                let survival = low * (1 + Double(step) / Double(Self.steps))
                table.append(Int64(min(quantile(survival), 1.0e14)))
            }
        }
        nanoseconds = table
    }

    /// Draws once.
    package func sample(_ stream: inout RandomStream) -> Int64 {
        let bits = stream.next() | 1
        let octave = bits.leadingZeroBitCount
        if octave >= Self.octaves { return nanoseconds[(Self.octaves - 1) * (Self.steps + 1)] }
        // The bits below the leading one: six choose the step, the next sixteen interpolate.
        let rest = bits << UInt64(octave + 1)
        let step = Int(rest >> 58)
        let fraction = Int64(rest >> 42 & 0xFFFF)
        let index = octave * (Self.steps + 1) + step
        let low = nanoseconds[index]
        return low + ((nanoseconds[index + 1] - low) * fraction) >> 16
    }
}

/// A distribution of delays.
package enum DelayModel: Equatable, Sendable {
    case constant(nanoseconds: Int64)
    case uniform(ClosedRange<Int64>)
    /// Of `threshold` in 2^32 draws the first table, else the second; `shift` is added to both.
    case mixture(threshold: UInt64, QuantileTable, QuantileTable, shift: Int64)

    /// With probability `p` a Pareto(xm, alpha), else an exponential(lambda), in milliseconds.
    package static func paretoOrExponential(
        p: Double, xm: Double, alpha: Double, lambda: Double, shiftMilliseconds: Int64 = 0
    ) -> DelayModel {
        let pareto = QuantileTable { survival in
            xm * 1e6
                * DeterministicMath.exponential(-DeterministicMath.logarithm(survival) / alpha)
        }
        let exponential = QuantileTable { survival in
            -DeterministicMath.logarithm(survival) / lambda * 1e6
        }
        return .mixture(
            threshold: UInt64((p * 4_294_967_296).rounded()), pareto, exponential,
            shift: shiftMilliseconds * 1_000_000)
    }

    /// Draws once, in nanoseconds.
    package func sample(_ stream: inout RandomStream) -> Int64 {
        switch self {
        case .constant(let nanoseconds): return nanoseconds
        case .uniform(let range): return stream.within(range)
        case .mixture(let threshold, let first, let second, let shift):
            let choosesFirst = stream.next() >> 32 < threshold
            return shift + (choosesFirst ? first.sample(&stream) : second.sample(&stream))
        }
    }
}

/// The delay models of the PBS paper, by name.
package enum PBSModel: String, Sendable, CaseIterable {
    case linkedInSSD = "lnkd-ssd"
    case linkedInDisk = "lnkd-disk"
    case yammer = "ymmr"
    case wideArea = "wan"

    /// From the coordinator to a replica, for a write (W).
    package var write: DelayModel {
        switch self {
        case .linkedInSSD: Self.fastModel
        case .linkedInDisk: Self.diskModel
        case .yammer: Self.yammerWriteModel
        case .wideArea: Self.wideAreaWriteModel
        }
    }

    /// All other ways: acknowledgement (A), read request (R) and response (S).
    package var other: DelayModel {
        switch self {
        case .linkedInSSD, .linkedInDisk: Self.fastModel
        case .yammer: Self.yammerModel
        case .wideArea: Self.wideAreaModel
        }
    }

    private static let fastModel = DelayModel.paretoOrExponential(
        p: 0.9122, xm: 0.235, alpha: 10, lambda: 1.66)
    private static let diskModel = DelayModel.paretoOrExponential(
        p: 0.38, xm: 1.05, alpha: 1.51, lambda: 0.183)
    private static let yammerWriteModel = DelayModel.paretoOrExponential(
        p: 0.939, xm: 3, alpha: 3.35, lambda: 0.0028)
    private static let yammerModel = DelayModel.paretoOrExponential(
        p: 0.982, xm: 1.5, alpha: 3.8, lambda: 0.0217)
    private static let wideAreaWriteModel = DelayModel.paretoOrExponential(
        p: 0.38, xm: 1.05, alpha: 1.51, lambda: 0.183, shiftMilliseconds: 75)
    private static let wideAreaModel = DelayModel.paretoOrExponential(
        p: 0.9122, xm: 0.235, alpha: 10, lambda: 1.66, shiftMilliseconds: 75)
}
