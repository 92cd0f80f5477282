// Arithmetic on whole numbers of any size, for `varint` and for the unscaled part of a `decimal`.
//
// Sign and magnitude, in limbs of 32 bits, least significant first. Multiplication is that of school,
// division Knuth's algorithm D (The Art of Computer Programming, volume 2, 4.3.1). Both are quadratic,
// which is why operands are limited (`maximumBytes`): a statement must not hold up its shard.
//
// **Invariant.** The last limb is not zero; zero has no limbs and no sign.

/// A whole number of any size.
package struct WholeNumber: Equatable, Sendable {
    /// Operands may be no longer than this in CQL's form: some 20,000 digits.
    package static let maximumBytes = 8_192

    package private(set) var isNegative: Bool
    private var limbs: [UInt32]

    private init(isNegative: Bool, limbs: [UInt32]) {
        self.limbs = limbs
        while self.limbs.last == 0 { self.limbs.removeLast() }
        self.isNegative = isNegative && !self.limbs.isEmpty
    }

    package init(_ value: Int64) {
        let magnitude = value.magnitude
        self.init(
            isNegative: value < 0,
            limbs: [
                UInt32(truncatingIfNeeded: magnitude), UInt32(truncatingIfNeeded: magnitude >> 32),
            ])
    }

    /// The whole part of a finite number.
    package init(truncating value: Double) {
        let magnitude = value.magnitude.rounded(.towardZero)
        guard magnitude >= 1, magnitude.isFinite else {
            self.init(0)
            return
        }
        let exponent = Int(magnitude.exponent)
        let significand = magnitude.significandBitPattern | 1 << 52
        let shift = exponent - 52
        var number = WholeNumber(Int64(shift >= 0 ? significand : significand >> UInt64(-shift)))
        if shift > 0 { number = number * WholeNumber.powerOfTwo(shift) }
        self.init(isNegative: value < 0, limbs: number.limbs)
    }

    private static func powerOfTwo(_ exponent: Int) -> WholeNumber {
        var limbs = [UInt32](repeating: 0, count: exponent / 32 + 1)
        limbs[exponent / 32] = 1 << UInt32(exponent % 32)
        return WholeNumber(isNegative: false, limbs: limbs)
    }

    /// Ten to the power of `exponent`, which is not negative.
    package static func powerOfTen(_ exponent: Int) -> WholeNumber { power(10, exponent) }

    /// `base` to the power of `exponent`, which is not negative.
    package static func power(_ base: Int64, _ exponent: Int) -> WholeNumber {
        var result = WholeNumber(1)
        var factor = WholeNumber(base)
        var rest = exponent
        while rest > 0 {
            if rest & 1 == 1 { result = result * factor }
            rest >>= 1
            if rest > 0 { factor = factor * factor }
        }
        return result
    }

    // MARK: Forms

    /// Reads two's complement bytes, most significant first; none at all are zero.
    package init(twosComplement bytes: some BidirectionalCollection<UInt8>) {
        let isNegative = bytes.first.map { $0 >= 0x80 } ?? false
        var limbs: [UInt32] = []
        var limb: UInt32 = 0
        var shift: UInt32 = 0
        var carry = isNegative
        for byte in bytes.reversed() {
            var digit = isNegative ? ~byte : byte
            if carry {
                digit &+= 1
                carry = digit == 0
            }
            limb |= UInt32(digit) << shift
            shift += 8
            if shift == 32 {
                limbs.append(limb)
                limb = 0
                shift = 0
            }
        }
        limbs.append(limb)
        if carry {
            // Only 0x80 00 … has a magnitude longer than itself, and that fits its own bytes.
            limbs.append(1)
        }
        self.init(isNegative: isNegative, limbs: limbs)
    }

    /// The shortest two's complement bytes.
    package var twosComplement: [UInt8] {
        var bytes: [UInt8] = [0]
        for limb in limbs.reversed() {
            for shift in [UInt32(24), 16, 8, 0] {
                bytes.append(UInt8(truncatingIfNeeded: limb >> shift))
            }
        }
        if isNegative {
            var carry = true
            for index in bytes.indices.reversed() {
                bytes[index] = ~bytes[index]
                if carry {
                    bytes[index] &+= 1
                    carry = bytes[index] == 0
                }
            }
        }
        return bytes.withUnsafeBytes { Array(CQLInteger.minimal($0)) }
    }

    /// The number in decimal.
    package var text: String { twosComplement.withUnsafeBytes { CQLInteger.text($0) } }

    /// How many decimal digits the number has; one for zero.
    package var digitCount: Int {
        max(twosComplement.withUnsafeBytes { CQLInteger.digits($0).digits.count }, 1)
    }

    /// Whether the number surely has fewer decimal digits, by its size alone: a limb has ten at most.
    package func hasFewerDigits(than count: Int) -> Bool { limbs.count * 10 < count }

    package var isZero: Bool { limbs.isEmpty }
    package var negated: WholeNumber { WholeNumber(isNegative: !isNegative, limbs: limbs) }
    package var magnitude: WholeNumber { WholeNumber(isNegative: false, limbs: limbs) }

    /// The lowest 64 bits of the two's complement form, as Java's `longValue` gives them.
    package var lowBits: Int64 {
        var magnitude: UInt64 = limbs.first.map(UInt64.init) ?? 0
        if limbs.count > 1 { magnitude |= UInt64(limbs[1]) << 32 }
        let value = Int64(bitPattern: magnitude)
        return isNegative ? 0 &- value : value
    }

    /// The nearest floating-point number; infinite if the number is too large.
    package var double: Double { Double(text) ?? (isNegative ? -Double.infinity : .infinity) }

    // MARK: Arithmetic

    /// Negative, zero or positive as the left one is smaller, equal or greater.
    package static func compare(_ left: WholeNumber, _ right: WholeNumber) -> Int {
        if left.isNegative != right.isNegative { return left.isNegative ? -1 : 1 }
        let order = compareMagnitudes(left.limbs, right.limbs)
        return left.isNegative ? -order : order
    }

    private static func compareMagnitudes(_ left: [UInt32], _ right: [UInt32]) -> Int {
        if left.count != right.count { return left.count < right.count ? -1 : 1 }
        for index in left.indices.reversed() where left[index] != right[index] {
            return left[index] < right[index] ? -1 : 1
        }
        return 0
    }

    package static func + (left: WholeNumber, right: WholeNumber) -> WholeNumber {
        if left.isNegative == right.isNegative {
            return WholeNumber(
                isNegative: left.isNegative, limbs: sum(left.limbs, right.limbs))
        }
        if compareMagnitudes(left.limbs, right.limbs) >= 0 {
            return WholeNumber(
                isNegative: left.isNegative, limbs: difference(left.limbs, right.limbs))
        }
        return WholeNumber(
            isNegative: right.isNegative, limbs: difference(right.limbs, left.limbs))
    }

    package static func - (left: WholeNumber, right: WholeNumber) -> WholeNumber {
        left + right.negated
    }

    package static func * (left: WholeNumber, right: WholeNumber) -> WholeNumber {
        var product = [UInt32](repeating: 0, count: left.limbs.count + right.limbs.count)
        for i in left.limbs.indices {
            var carry: UInt64 = 0
            for j in right.limbs.indices {
                let value =
                    UInt64(left.limbs[i]) * UInt64(right.limbs[j]) + UInt64(product[i + j]) + carry
                product[i + j] = UInt32(truncatingIfNeeded: value)
                carry = value >> 32
            }
            product[i + right.limbs.count] = UInt32(truncatingIfNeeded: carry)
        }
        return WholeNumber(isNegative: left.isNegative != right.isNegative, limbs: product)
    }

    /// The quotient, cut towards zero, and the remainder, which has the sign of `self`. The divisor is
    /// not zero.
    package func dividedWithRemainder(
        by divisor: WholeNumber
    ) -> (quotient: WholeNumber, remainder: WholeNumber) {
        precondition(!divisor.isZero, "division by zero")
        guard Self.compareMagnitudes(limbs, divisor.limbs) >= 0 else {
            return (WholeNumber(0), self)
        }
        let (quotient, remainder) =
            divisor.limbs.count == 1
            ? Self.divide(limbs, by: divisor.limbs[0]) : Self.divide(limbs, by: divisor.limbs)
        return (
            WholeNumber(isNegative: isNegative != divisor.isNegative, limbs: quotient),
            WholeNumber(isNegative: isNegative, limbs: remainder)
        )
    }

    private static func sum(_ left: [UInt32], _ right: [UInt32]) -> [UInt32] {
        var result: [UInt32] = []
        var carry: UInt64 = 0
        for index in 0..<max(left.count, right.count) {
            let value =
                (index < left.count ? UInt64(left[index]) : 0)
                + (index < right.count ? UInt64(right[index]) : 0) + carry
            result.append(UInt32(truncatingIfNeeded: value))
            carry = value >> 32
        }
        if carry > 0 { result.append(UInt32(carry)) }
        return result
    }

    /// `left` is not smaller than `right`.
    private static func difference(_ left: [UInt32], _ right: [UInt32]) -> [UInt32] {
        var result: [UInt32] = []
        var borrow: Int64 = 0
        for index in left.indices {
            var value = Int64(left[index]) - borrow
            if index < right.count { value -= Int64(right[index]) }
            borrow = value < 0 ? 1 : 0
            result.append(UInt32(truncatingIfNeeded: value))
        }
        return result
    }

    private static func divide(
        _ dividend: [UInt32], by divisor: UInt32
    ) -> (quotient: [UInt32], remainder: [UInt32]) {
        var quotient = dividend
        var remainder: UInt64 = 0
        for index in quotient.indices.reversed() {
            let value = remainder << 32 | UInt64(quotient[index])
            quotient[index] = UInt32(truncatingIfNeeded: value / UInt64(divisor))
            remainder = value % UInt64(divisor)
        }
        return (quotient, [UInt32(remainder)])
    }

    /// Knuth's algorithm D; the divisor has two limbs at least and no more than the dividend.
    private static func divide(
        _ dividend: [UInt32], by divisor: [UInt32]
    ) -> (quotient: [UInt32], remainder: [UInt32]) {
        let shift = UInt32(divisor[divisor.count - 1].leadingZeroBitCount)
        let v = shifted(divisor, by: shift)
        var u = shifted(dividend, by: shift)
        if u.count == dividend.count { u.append(0) }
        let n = divisor.count
        var quotient = [UInt32](repeating: 0, count: u.count - n)
        for j in quotient.indices.reversed() {
            let head = UInt64(u[j + n]) << 32 | UInt64(u[j + n - 1])
            var estimate = head / UInt64(v[n - 1])
            var rest = head % UInt64(v[n - 1])
            while estimate >> 32 != 0
                || estimate * UInt64(v[n - 2]) > rest << 32 | UInt64(u[j + n - 2])
            {
                estimate -= 1
                rest += UInt64(v[n - 1])
                if rest >> 32 != 0 { break }
            }
            var borrow: Int64 = 0
            var carry: UInt64 = 0
            for i in 0..<n {
                let product = estimate * UInt64(v[i]) + carry
                carry = product >> 32
                let value = Int64(u[i + j]) - borrow - Int64(product & 0xFFFF_FFFF)
                u[i + j] = UInt32(truncatingIfNeeded: value)
                borrow = value < 0 ? 1 : 0
            }
            let value = Int64(u[j + n]) - borrow - Int64(carry)
            u[j + n] = UInt32(truncatingIfNeeded: value)
            if value < 0 {
                // The estimate was one too large: add the divisor back.
                estimate -= 1
                var back: UInt64 = 0
                for i in 0..<n {
                    let sum = UInt64(u[i + j]) + UInt64(v[i]) + back
                    u[i + j] = UInt32(truncatingIfNeeded: sum)
                    back = sum >> 32
                }
                u[j + n] = UInt32(truncatingIfNeeded: UInt64(u[j + n]) + back)
            }
            quotient[j] = UInt32(truncatingIfNeeded: estimate)
        }
        var remainder: [UInt32] = []
        for index in 0..<n {
            let low = UInt64(u[index]) >> UInt64(shift)
            let high = index + 1 < u.count ? UInt64(u[index + 1]) << UInt64(32 - shift) : 0
            remainder.append(UInt32(truncatingIfNeeded: low | high))
        }
        return (quotient, remainder)
    }

    /// Shifted to the left by fewer than 32 bits; one limb longer only if that is needed.
    private static func shifted(_ limbs: [UInt32], by shift: UInt32) -> [UInt32] {
        guard shift > 0 else { return limbs }
        var result: [UInt32] = []
        var carry: UInt32 = 0
        for limb in limbs {
            result.append(limb << shift | carry)
            carry = limb >> (32 - shift)
        }
        if carry > 0 { result.append(carry) }
        return result
    }
}
