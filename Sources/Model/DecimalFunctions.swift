// exp, log and log10 of decimals, to 32 significant digits or as many as the argument has.
//
// In fixed point, on whole numbers: exp by the series of the remainder of a division by ln 10, log by
// Newton's iteration on exp. The digits are limited, and so the cost of a call is.

/// Functions of decimals that have no finite expansion.
package enum DecimalFunctions {
    private static let minimumDigits = 32
    private static let maximumDigits = 100
    /// Digits that are computed beyond those that are kept.
    private static let guardDigits = 25
    /// An exponent beyond gives a number with too many digits.
    private static let maximumExponent: Int64 = 40_000

    private static let ln10Digits =
        "2302585092994045684017991454684364207601101488628772976033327900967572609677352480235997205"
        + "089598298341967784042286248633409525465082806756666287369098781689482907208325554680843799"
        + "894826233198528393505308965377732628846163366222287698219886746543667474404"

    private static func digits(for value: DecimalNumber) -> Int {
        min(max(value.unscaled.digitCount, minimumDigits), maximumDigits)
    }

    /// e to the power of `value`; nil if the result has too many digits.
    package static func exponential(
        _ value: DecimalNumber, digits wanted: Int? = nil
    ) -> DecimalNumber? {
        let digits = wanted ?? digits(for: value)
        let working = digits + guardDigits
        guard value.unscaled.digitCount - value.scale <= 6, value.scale < 20_000,
            let fixed = value.rounded(toScale: working)
        else {
            return nil
        }
        // value = power × ln 10 + rest
        guard let ln10 = naturalLogarithmOfTen(scale: working) else { return nil }
        let (power, rest) = fixed.unscaled.dividedWithRemainder(by: ln10)
        guard power.magnitude.lowBits <= maximumExponent else { return nil }
        let result = series(rest, scale: working)
        return rounded(
            DecimalNumber(unscaled: result, scale: working - Int(power.lowBits)), digits: digits)
    }

    /// The natural logarithm of a positive number; nil if it cannot be computed at a bounded cost.
    package static func logarithm(
        _ value: DecimalNumber, digits wanted: Int? = nil
    ) -> DecimalNumber? {
        let digits = wanted ?? digits(for: value)
        let working = digits + guardDigits
        let zero = DecimalNumber(unscaled: WholeNumber(0), scale: 0)
        // The iteration only comes near to zero.
        if DecimalNumber.difference(value, DecimalNumber(unscaled: WholeNumber(1), scale: 0))?
            .isZero == true
        {
            return zero
        }
        guard let ln10 = naturalLogarithmOfTen(scale: working) else { return nil }
        // value = mantissa × 10^power, with a mantissa from 0.1 to 1.
        let power = value.unscaled.digitCount - value.scale
        let mantissa = DecimalNumber(
            unscaled: value.unscaled, scale: value.unscaled.digitCount)
        guard let fixed = mantissa.rounded(toScale: working),
            var estimate = DecimalNumber(estimatedLogarithm(of: mantissa.double))?.rounded(
                toScale: working)?.unscaled
        else { return nil }
        let one = WholeNumber.powerOfTen(working)
        // Newton: y + 2 (m - e^y) / (m + e^y), which triples the digits each time.
        for _ in 0..<4 {
            let power = series(estimate, scale: working)
            let step = (WholeNumber(2) * (fixed.unscaled - power) * one)
                .dividedWithRemainder(by: fixed.unscaled + power).quotient
            estimate = estimate + step
        }
        let result = estimate + ln10 * WholeNumber(Int64(power))
        return rounded(DecimalNumber(unscaled: result, scale: working), digits: digits)
    }

    /// The decimal logarithm of a positive number; nil if it cannot be computed at a bounded cost.
    package static func decimalLogarithm(
        _ value: DecimalNumber, digits wanted: Int? = nil
    ) -> DecimalNumber? {
        // A power of ten has a whole logarithm, and no rounding is to hide that.
        let stripped = value.withoutTrailingZeros
        if stripped.unscaled == WholeNumber(1) {
            return DecimalNumber(unscaled: WholeNumber(Int64(-stripped.scale)), scale: 0)
        }
        let digits = wanted ?? digits(for: value)
        guard let natural = logarithm(value, digits: digits + guardDigits / 2),
            let ln10 = naturalLogarithmOfTen(scale: digits + guardDigits)
        else { return nil }
        let divisor = DecimalNumber(unscaled: ln10, scale: digits + guardDigits)
        let quotient = natural.divided(by: divisor, scale: digits + guardDigits)
        return quotient.flatMap { rounded($0, digits: digits) }
    }

    /// A first estimate from hardware floating point, by the same series: the mantissa is 0.1 to 1.
    private static func estimatedLogarithm(of value: Double) -> Double {
        // atanh: ln m = 2 artanh((m - 1) / (m + 1)); slow near 0.1, and fast enough for an estimate.
        let ratio = (value - 1) / (value + 1)
        let square = ratio * ratio
        var power = ratio
        var sum = 0.0
        for index in stride(from: 1.0, through: 201, by: 2) {
            sum += power / index
            power *= square
        }
        return 2 * sum
    }

    private static func naturalLogarithmOfTen(scale: Int) -> WholeNumber? {
        let count = scale + 1
        guard count <= ln10Digits.utf8.count,
            let bytes = CQLInteger.parse(String(ln10Digits.prefix(count)))
        else { return nil }
        return WholeNumber(twosComplement: bytes)
    }

    /// e to the power of `value` / 10^scale, times 10^scale, for exponents from -ln 10 to ln 10.
    private static func series(_ value: WholeNumber, scale: Int) -> WholeNumber {
        let one = WholeNumber.powerOfTen(scale)
        // e^x = (e^(x/2^8))^(2^8) makes the series short.
        let reduced = value.dividedWithRemainder(by: WholeNumber(256)).quotient
        var sum = one
        var term = one
        var index: Int64 = 1
        while !term.isZero {
            term = (term * reduced).dividedWithRemainder(by: one * WholeNumber(index)).quotient
            sum = sum + term
            index += 1
        }
        for _ in 0..<8 { sum = (sum * sum).dividedWithRemainder(by: one).quotient }
        return sum
    }

    /// The number with so many significant digits.
    private static func rounded(_ value: DecimalNumber, digits: Int) -> DecimalNumber? {
        let excess = value.unscaled.digitCount - digits
        return excess > 0 ? value.rounded(toScale: value.scale - excess) : value
    }
}
