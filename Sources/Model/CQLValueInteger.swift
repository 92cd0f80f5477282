// Whole numbers of any size: `varint`, and the unscaled part of a `decimal`.
//
// CQL has them as two's complement bytes, most significant first. Only what a database needs of
// them is here: dropping superfluous sign bytes, comparing, and the conversion to and from decimal
// digits. The conversion is quadratic in the length, which is why the text of a number is limited.

/// Functions over two's complement bytes.
package enum CQLInteger {
    /// The most digits that the text of a number may have. As keys cannot be longer than 65,535
    /// bytes, a longer number has no practical use, and its conversion would hold up a shard.
    package static let maximumDigits = 65_535

    /// `bytes` without superfluous sign bytes. Empty only if `bytes` is.
    static func minimal(_ bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        var start = 0
        while start + 1 < bytes.count {
            let sign: UInt8 = bytes[start + 1] & 0x80 == 0 ? 0x00 : 0xFF
            guard bytes[start] == sign else { break }
            start += 1
        }
        return bytes.suffix(rebasedFrom: start)
    }

    static func isNegative(_ bytes: UnsafeRawBufferPointer) -> Bool {
        bytes.first.map { $0 & 0x80 != 0 } ?? false
    }

    /// Compares two numbers; no bytes at all count as zero.
    static func compare(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Int {
        let (a, b) = (minimal(left), minimal(right))
        let isNegative = isNegative(a)
        if isNegative != Self.isNegative(b) { return isNegative ? -1 : 1 }
        if a.isEmpty || b.isEmpty {
            // Neither is negative here, so only zero and not zero remain.
            let (x, y) = (a.contains { $0 != 0 }, b.contains { $0 != 0 })
            return x == y ? 0 : (x ? 1 : -1)
        }
        if a.count != b.count { return (a.count < b.count) == isNegative ? 1 : -1 }
        for index in 0..<a.count where a[index] != b[index] { return a[index] < b[index] ? -1 : 1 }
        return 0
    }

    /// The number's sign and its decimal digits (0-9, most significant first, no leading zeros;
    /// none for zero).
    static func digits(_ bytes: UnsafeRawBufferPointer) -> (isNegative: Bool, digits: [UInt8]) {
        let isNegative = isNegative(bytes)
        var magnitude = Magnitude(bytes, negate: isNegative)
        return (isNegative, magnitude.takeDigits())
    }

    /// The shortest two's complement bytes of a number given by sign and decimal digits.
    static func bytes(isNegative: Bool, digits: some Collection<UInt8>) -> [UInt8] {
        var magnitude = Magnitude()
        for digit in digits { magnitude.pushDigit(digit) }
        return magnitude.twosComplement(negate: isNegative)
    }

    /// Reads `-?[0-9]+` (a leading plus sign too). Nil if the text has another form or too many
    /// digits.
    package static func parse(_ text: some StringProtocol) -> [UInt8]? {
        var rest = Array(text.utf8)[...]
        var isNegative = false
        if let sign = rest.first, sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+") {
            isNegative = sign == UInt8(ascii: "-")
            rest = rest.dropFirst()
        }
        guard !rest.isEmpty, rest.count <= maximumDigits,
            rest.allSatisfy({ $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") })
        else { return nil }
        return bytes(isNegative: isNegative, digits: rest.map { $0 - UInt8(ascii: "0") })
    }

    /// The number in decimal.
    static func text(_ bytes: UnsafeRawBufferPointer) -> String {
        let (isNegative, digits) = digits(bytes)
        return (isNegative ? "-" : "") + text(digits: digits)
    }

    /// Decimal digits as text, `0` for none.
    static func text(digits: some Collection<UInt8>) -> String {
        digits.isEmpty
            ? "0"
            : String(decoding: digits.map { $0 + UInt8(ascii: "0") }, as: UTF8.self)
    }
}

/// A whole number of any size without a sign, as limbs of 64 bits, least significant first.
struct Magnitude {
    private var limbs: [UInt64] = []
    /// Digits that were pushed and are not in the limbs yet: `pending` of them, worth
    /// `pendingValue`.
    private var pendingValue: UInt64 = 0
    private var pendingScale: UInt64 = 1

    private static let chunkDigits = 18
    private static let chunk: UInt64 = 1_000_000_000_000_000_000

    init() {}

    init(_ value: UInt64) { if value != 0 { limbs = [value] } }

    /// The absolute value of two's complement bytes, whose sign the caller gives.
    init(_ bytes: UnsafeRawBufferPointer, negate: Bool) {
        limbs.reserveCapacity(bytes.count / 8 + 1)
        let fill: UInt8 = negate ? 0xFF : 0
        var carry: UInt64 = negate ? 1 : 0
        var end = bytes.count
        while end > 0 {
            var limb: UInt64 = 0
            for index in 0..<8 {
                let position = end - 1 - index
                let byte = (position >= 0 ? bytes[position] : fill) ^ fill
                limb |= UInt64(byte) << UInt64(index * 8)
            }
            let (sum, overflow) = limb.addingReportingOverflow(carry)
            limbs.append(sum)
            carry = overflow ? 1 : 0
            end -= 8
        }
        if carry != 0 { limbs.append(carry) }
        trim()
    }

    private mutating func trim() {
        while limbs.last == 0 { limbs.removeLast() }
    }

    /// Multiplies by `factor` and adds `addend`.
    mutating func multiply(by factor: UInt64, adding addend: UInt64 = 0) {
        var carry = addend
        for index in limbs.indices {
            let (high, low) = limbs[index].multipliedFullWidth(by: factor)
            let (sum, overflow) = low.addingReportingOverflow(carry)
            limbs[index] = sum
            carry = high &+ (overflow ? 1 : 0)
        }
        if carry != 0 { limbs.append(carry) }
    }

    mutating func shiftLeft(_ bits: Int) {
        for _ in 0..<(bits / 32) { multiply(by: 1 << 32) }
        multiply(by: 1 << UInt64(bits % 32))
    }

    /// Appends a decimal digit.
    mutating func pushDigit(_ digit: UInt8) {
        pendingValue = pendingValue * 10 + UInt64(digit)
        pendingScale *= 10
        if pendingScale == Self.chunk { flush() }
    }

    private mutating func flush() {
        guard pendingScale > 1 else { return }
        multiply(by: pendingScale, adding: pendingValue)
        pendingValue = 0
        pendingScale = 1
    }

    /// The decimal digits, most significant first, without leading zeros. Leaves the number at
    /// zero.
    mutating func takeDigits() -> [UInt8] {
        flush()
        var reversed: [UInt8] = []
        while !limbs.isEmpty {
            var remainder: UInt64 = 0
            for index in limbs.indices.reversed() {
                (limbs[index], remainder) = Self.chunk.dividingFullWidth((remainder, limbs[index]))
            }
            trim()
            for _ in 0..<Self.chunkDigits {
                reversed.append(UInt8(remainder % 10))
                remainder /= 10
            }
        }
        while reversed.last == 0 { reversed.removeLast() }
        reversed.reverse()
        return reversed
    }

    /// The shortest two's complement bytes.
    mutating func twosComplement(negate: Bool) -> [UInt8] {
        flush()
        guard !limbs.isEmpty else { return [0] }
        var bytes: [UInt8] = [0]
        for limb in limbs.reversed() {
            for shift in stride(from: UInt64(56), through: 0, by: -8) {
                bytes.append(UInt8(truncatingIfNeeded: limb >> shift))
            }
        }
        if negate {
            var carry = true
            for index in bytes.indices.reversed() {
                bytes[index] = ~bytes[index]
                if carry {
                    carry = bytes[index] == 0xFF
                    bytes[index] &+= 1
                }
            }
        }
        return bytes.withUnsafeBytes { Array(CQLInteger.minimal($0)) }
    }
}
