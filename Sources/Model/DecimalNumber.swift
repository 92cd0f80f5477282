// Arithmetic on `decimal`: a whole number and how many of its digits stand behind the point.
//
// The results have the scales that java.math.BigDecimal gives them, because Cassandra's have them and a
// client sees them: a sum has the larger scale, a product the sum of both, a quotient at least 32
// significant digits without zeros at its end.

/// A decimal number: `unscaled` × 10^-`scale`.
package struct DecimalNumber: Equatable, Sendable {
    package var unscaled: WholeNumber
    package var scale: Int

    /// How many digits a quotient has at least, and behind the point.
    private static let quotientDigits = 32
    private static let maximumQuotientScale = 1_000
    /// How many significant digits the sum, the difference and the product of two numbers have at most.
    private static let maximumDigits = 10_000
    /// How far apart the scales of two summands may be: bringing them together costs as many digits.
    private static let maximumScaleDistance = 20_000

    package init(unscaled: WholeNumber, scale: Int) {
        self.unscaled = unscaled
        self.scale = scale
    }

    /// Reads a serialized decimal; nil if the bytes are none, or too many to compute with.
    package init?(serialized value: some RandomAccessCollection<UInt8>) {
        guard value.count > 4, value.count <= WholeNumber.maximumBytes else { return nil }
        let raw = value.prefix(4).reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        self.init(
            unscaled: WholeNumber(twosComplement: value.dropFirst(4)),
            scale: Int(Int32(bitPattern: raw)))
    }

    /// A finite number by the shortest digits that give it back, with one behind the point at least.
    package init?(_ value: Double) {
        guard value.isFinite else { return nil }
        self.init(javaText: JavaNumberText.text(value))
    }

    /// As for a double, with the digits of the shorter number.
    package init?(_ value: Float) {
        guard value.isFinite else { return nil }
        self.init(javaText: JavaNumberText.text(value))
    }

    private init?(javaText text: String) {
        guard let decimal = CQLDecimal(text) else { return nil }
        let parsed: DecimalNumber? = decimal.bytes.withUnsafeBytes { raw in
            DecimalNumber(serialized: Array(raw))
        }
        guard let parsed else { return nil }
        self = parsed
    }

    /// A finite number with all its digits.
    package init?(exactly value: Double) {
        guard value.isFinite else { return nil }
        guard value != 0 else {
            self.init(unscaled: WholeNumber(0), scale: 0)
            return
        }
        let exponent = Int(value.exponent) - 52
        let significand = WholeNumber(truncating: value.significand * 4_503_599_627_370_496)
        let signed = value < 0 ? significand.negated : significand
        if exponent >= 0 {
            self.init(unscaled: signed * WholeNumber.power(2, exponent), scale: 0)
        } else {
            // × 2^-n = × 5^n × 10^-n
            self.init(unscaled: signed * WholeNumber.power(5, -exponent), scale: -exponent)
        }
    }

    /// The serialized form; nil if the scale does not fit 32 bits.
    package var serialized: [UInt8]? {
        guard let scale = Int32(exactly: scale) else { return nil }
        return CQLType.bigEndianBytes(scale) + unscaled.twosComplement
    }

    package var isZero: Bool { unscaled.isZero }

    /// The nearest floating-point number.
    package var double: Double { Double("\(unscaled.text)e\(-scale)") ?? .nan }

    /// The number without what is behind the point.
    package var whole: WholeNumber {
        if scale <= 0 { return unscaled * WholeNumber.powerOfTen(-scale) }
        // So many digits behind the point leave nothing before it.
        guard scale <= unscaled.twosComplement.count * 3 else { return WholeNumber(0) }
        return unscaled.dividedWithRemainder(by: WholeNumber.powerOfTen(scale)).quotient
    }

    /// Whether `whole` can be computed at a bounded cost.
    package var hasBoundedWhole: Bool { scale >= -Self.maximumScaleDistance }

    // MARK: Arithmetic

    /// Both numbers with the larger of their scales; nil if that takes too many digits.
    private static func aligned(
        _ left: DecimalNumber, _ right: DecimalNumber
    ) -> (WholeNumber, WholeNumber, scale: Int)? {
        let scale = max(left.scale, right.scale)
        guard scale - min(left.scale, right.scale) <= maximumScaleDistance else { return nil }
        return (
            left.unscaled * WholeNumber.powerOfTen(scale - left.scale),
            right.unscaled * WholeNumber.powerOfTen(scale - right.scale), scale
        )
    }

    /// The sum; nil if the scales are too far apart.
    package static func sum(_ left: DecimalNumber, _ right: DecimalNumber) -> DecimalNumber? {
        aligned(left, right).map { DecimalNumber(unscaled: $0.0 + $0.1, scale: $0.scale) }
    }

    /// The difference; nil if the scales are too far apart.
    package static func difference(_ left: DecimalNumber, _ right: DecimalNumber) -> DecimalNumber?
    {
        sum(left, right.negated)
    }

    /// The sum as an operator gives it, with 10,000 significant digits at most.
    ///
    /// A number that is too small to be among these digits counts by its sign only, so that no distance of
    /// the scales costs more than they do (java.math.BigDecimal, `add` with a `MathContext`).
    package static func + (left: DecimalNumber, right: DecimalNumber) -> DecimalNumber {
        guard !left.isZero, !right.isZero else {
            return (left.isZero ? right : left).shortened(
                towards: max(left.scale, right.scale))
        }
        var (large, small) = left.scale <= right.scale ? (left, right) : (right, left)
        if small.scale - large.scale > maximumDigits {
            // Where the result ends, and where the other number begins.
            let end = large.scale - large.unscaled.digitCount + maximumDigits
            let place = small.scale - small.unscaled.digitCount + 1
            if place > max(large.scale, end) + 2 {
                small = DecimalNumber(
                    unscaled: WholeNumber(small.unscaled.isNegative ? -1 : 1),
                    scale: max(large.scale, end) + 3)
            }
        }
        let scale = max(large.scale, small.scale)
        large.unscaled = large.unscaled * WholeNumber.powerOfTen(scale - large.scale)
        small.unscaled = small.unscaled * WholeNumber.powerOfTen(scale - small.scale)
        return DecimalNumber(unscaled: large.unscaled + small.unscaled, scale: scale).shortened
    }

    /// The product as an operator gives it, with 10,000 significant digits at most.
    package static func * (left: DecimalNumber, right: DecimalNumber) -> DecimalNumber {
        DecimalNumber(
            unscaled: left.unscaled * right.unscaled, scale: left.scale + right.scale
        ).shortened
    }

    /// The number with 10,000 significant digits at most, half rounded away from zero.
    private var shortened: DecimalNumber {
        guard !unscaled.hasFewerDigits(than: Self.maximumDigits) else { return self }
        let excess = unscaled.digitCount - Self.maximumDigits
        guard excess > 0 else { return self }
        let result = DecimalNumber(
            unscaled: Self.roundedQuotient(unscaled, .powerOfTen(excess), toEven: false),
            scale: scale - excess)
        // Nines may have become a one with one digit more.
        return result.shortened
    }

    /// The number, shortened, with that scale or the nearest that it may have.
    private func shortened(towards wanted: Int) -> DecimalNumber {
        let result = shortened
        guard wanted > result.scale else { return result }
        guard !result.isZero else { return DecimalNumber(unscaled: result.unscaled, scale: wanted) }
        let zeros = min(wanted - result.scale, Self.maximumDigits - result.unscaled.digitCount)
        return DecimalNumber(
            unscaled: result.unscaled * WholeNumber.powerOfTen(zeros), scale: result.scale + zeros)
    }

    /// The quotient as Cassandra computes it; the divisor is not zero. Nil if the scales are too far
    /// apart.
    package static func quotient(_ left: DecimalNumber, _ right: DecimalNumber) -> DecimalNumber? {
        let firstDigit =
            (left.unscaled.digitCount - left.scale) - (right.unscaled.digitCount - right.scale)
        var scale = max(quotientDigits - firstDigit, left.scale, right.scale, quotientDigits)
        scale = min(scale, maximumQuotientScale)
        return left.divided(by: right, scale: scale)?.withoutTrailingZeros
    }

    /// The quotient with that scale, its last digit rounded half up (or half to even).
    package func divided(
        by divisor: DecimalNumber, scale wanted: Int, toEven: Bool = false
    ) -> DecimalNumber? {
        // self / divisor = a/b × 10^(divisor.scale - scale); wanted digits: × 10^wanted.
        let shift = wanted + divisor.scale - scale
        guard abs(shift) <= Self.maximumScaleDistance else { return nil }
        let dividend = shift > 0 ? unscaled * WholeNumber.powerOfTen(shift) : unscaled
        let by = shift < 0 ? divisor.unscaled * WholeNumber.powerOfTen(-shift) : divisor.unscaled
        return DecimalNumber(
            unscaled: Self.roundedQuotient(dividend, by, toEven: toEven), scale: wanted)
    }

    private static func roundedQuotient(
        _ dividend: WholeNumber, _ divisor: WholeNumber, toEven: Bool
    ) -> WholeNumber {
        let (quotient, remainder) = dividend.dividedWithRemainder(by: divisor)
        let order = WholeNumber.compare(
            remainder.magnitude * WholeNumber(2), divisor.magnitude)
        let isOdd = quotient.lowBits & 1 == 1
        guard order > 0 || (order == 0 && (!toEven || isOdd)) else { return quotient }
        let isNegative = dividend.isNegative != divisor.isNegative
        return quotient + WholeNumber(isNegative ? -1 : 1)
    }

    /// What division by `right`, which is not zero, leaves; it has the sign of `left`. Nil if the scales
    /// are too far apart.
    ///
    /// It is `left` less the whole quotient times `right`, and has the scale of that difference: the scale of `left`,
    /// unless `right` has more digits behind the point and the quotient does not end with as many zeros.
    package static func remainder(_ left: DecimalNumber, _ right: DecimalNumber) -> DecimalNumber? {
        guard let (dividend, divisor, scale) = aligned(left, right) else { return nil }
        let (quotient, remainder) = dividend.dividedWithRemainder(by: divisor)
        let wanted = max(right.scale - left.scale, 0)
        let zeros = zerosAtEnd(of: quotient, atMost: wanted)
        // All that is cut off is zero: both terms of the difference have no more digits behind the point.
        let excess = scale - (left.scale + wanted - zeros)
        return DecimalNumber(
            unscaled: remainder.dividedWithRemainder(by: .powerOfTen(excess)).quotient,
            scale: scale - excess)
    }

    /// With how many zeros a number ends; zero ends with as many as are asked for.
    private static func zerosAtEnd(of number: WholeNumber, atMost limit: Int) -> Int {
        guard !number.isZero else { return limit }
        let ten = WholeNumber(10)
        var (count, rest) = (0, number)
        while count < limit {
            let (quotient, remainder) = rest.dividedWithRemainder(by: ten)
            guard remainder.isZero else { break }
            rest = quotient
            count += 1
        }
        return count
    }

    package var negated: DecimalNumber { DecimalNumber(unscaled: unscaled.negated, scale: scale) }
    package var magnitude: DecimalNumber {
        DecimalNumber(unscaled: unscaled.magnitude, scale: scale)
    }

    /// The number with that scale, half rounded away from zero; nil if that takes too many digits.
    package func rounded(toScale wanted: Int) -> DecimalNumber? {
        divided(by: DecimalNumber(unscaled: WholeNumber(1), scale: 0), scale: wanted)
    }

    /// The same number with the smallest scale that writes it; zero has the scale 0.
    package var withoutTrailingZeros: DecimalNumber {
        guard !isZero else { return DecimalNumber(unscaled: WholeNumber(0), scale: 0) }
        var result = self
        let ten = WholeNumber(10)
        while true {
            let (quotient, remainder) = result.unscaled.dividedWithRemainder(by: ten)
            guard remainder.isZero else { return result }
            result = DecimalNumber(unscaled: quotient, scale: result.scale - 1)
        }
    }
}

/// Floating-point numbers as Java writes them, which is how Cassandra shows them as text.
package enum JavaNumberText {
    /// The shortest digits that give the number back: `1.0`, `1.0E10`, `NaN`, `-Infinity`.
    package static func text(_ value: Double) -> String { text(value.description) }

    /// The shortest digits that give the number back.
    package static func text(_ value: Float) -> String { text(value.description) }

    /// From Swift's description, which has the same digits.
    private static func text(_ description: String) -> String {
        switch description {
        case "nan", "-nan": return "NaN"
        case "inf": return "Infinity"
        case "-inf": return "-Infinity"
        default: break
        }
        let isNegative = description.hasPrefix("-")
        let unsigned = isNegative ? description.dropFirst() : description[...]
        let parts = unsigned.split(separator: "e")
        var exponent = parts.count > 1 ? Int(parts[1]) ?? 0 : 0
        let number = parts[0].split(separator: ".", omittingEmptySubsequences: false)
        var digits = Array((String(number[0]) + (number.count > 1 ? number[1] : "")).utf8)
        exponent += number[0].utf8.count
        // The value is 0.DIGITS × 10^exponent.
        let zero = UInt8(ascii: "0")
        while digits.count > 1, digits.first == zero {
            digits.removeFirst()
            exponent -= 1
        }
        while digits.count > 1, digits.last == zero { digits.removeLast() }
        let sign = isNegative ? "-" : ""
        if digits == [zero] { return sign + "0.0" }
        func string(_ part: some Sequence<UInt8>) -> String {
            String(decoding: Array(part), as: UTF8.self)
        }
        if (-2...7).contains(exponent) {
            if exponent <= 0 {
                return sign + "0." + String(repeating: "0", count: -exponent) + string(digits)
            }
            if digits.count <= exponent {
                let zeros = String(repeating: "0", count: exponent - digits.count)
                return sign + string(digits) + zeros + ".0"
            }
            return sign + string(digits[..<exponent]) + "." + string(digits[exponent...])
        }
        let fraction = digits.count > 1 ? string(digits[1...]) : "0"
        return sign + string(digits[..<1]) + "." + fraction + "E\(exponent - 1)"
    }
}
