// `decimal`: an i32 scale and a whole number of any size; the value is number x 10^-scale.
//
// Two values are equal in order when they are the same number, whatever their scale. The normal
// form used for that is a sign, digits without zeros at either end, and the exponent E of 0.DIGITS
// x 10^E.

/// A decimal number in parts.
package struct CQLDecimal: Equatable {
    var isNegative: Bool
    /// Decimal digits of the unscaled number, most significant first, no leading zeros; none for
    /// zero.
    var digits: [UInt8]
    var scale: Int

    /// Reads a serialized decimal. What is too short for one counts as zero.
    init(_ value: UnsafeRawBufferPointer) {
        guard value.count > 4 else {
            self.init(isNegative: false, digits: [], scale: 0)
            return
        }
        let (isNegative, digits) = CQLInteger.digits(value.suffix(rebasedFrom: 4))
        self.init(
            isNegative: isNegative, digits: digits, scale: Int(value.bigEndian(Int32.self)))
    }

    init(isNegative: Bool, digits: [UInt8], scale: Int) {
        self.isNegative = isNegative && !digits.isEmpty
        self.digits = digits
        self.scale = scale
    }

    /// The exponent of 0.DIGITS x 10^E.
    var exponent: Int { digits.count - scale }

    /// The number of digits without zeros at the end.
    var significantCount: Int { digits.lastIndex { $0 != 0 }.map { $0 + 1 } ?? 0 }

    /// The serialized form; the scale must fit 32 bits.
    var bytes: [UInt8] {
        let raw = UInt32(bitPattern: Int32(truncatingIfNeeded: scale))
        return stride(from: 24, through: 0, by: -8).map {
            UInt8(truncatingIfNeeded: raw >> UInt32($0))
        } + CQLInteger.bytes(isNegative: isNegative, digits: digits)
    }

    /// Reads `[+-]digits[.digits][e[+-]digits]`.
    init?(_ text: some StringProtocol) {
        var rest = Array(text.utf8)[...]
        var digits: [UInt8] = []
        var scale = 0
        var isNegative = false
        if let sign = rest.first, sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+") {
            isNegative = sign == UInt8(ascii: "-")
            rest = rest.dropFirst()
        }
        var sawDigit = false
        var sawPoint = false
        while let byte = rest.first {
            if byte == UInt8(ascii: "."), !sawPoint {
                sawPoint = true
            } else if byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") {
                sawDigit = true
                if sawPoint { scale += 1 }
                if !digits.isEmpty || byte != UInt8(ascii: "0") {
                    digits.append(byte - UInt8(ascii: "0"))
                }
            } else {
                break
            }
            rest = rest.dropFirst()
        }
        guard sawDigit, digits.count <= CQLInteger.maximumDigits else { return nil }
        if let mark = rest.first {
            guard mark == UInt8(ascii: "e") || mark == UInt8(ascii: "E"),
                let exponent = Int(String(decoding: rest.dropFirst(), as: UTF8.self)),
                (-(1 << 32)...(1 << 32)).contains(exponent)
            else { return nil }
            scale -= exponent
        }
        guard Int32(exactly: scale) != nil else { return nil }
        self.init(isNegative: isNegative, digits: digits, scale: scale)
    }

    /// Numeric order.
    static func compare(_ a: CQLDecimal, _ b: CQLDecimal) -> Int {
        let (signA, signB) = (a.sign, b.sign)
        if signA != signB { return signA < signB ? -1 : 1 }
        if signA == 0 { return 0 }
        return signA * compareMagnitudes(a, b)
    }

    private var sign: Int { digits.isEmpty ? 0 : (isNegative ? -1 : 1) }

    private static func compareMagnitudes(_ a: CQLDecimal, _ b: CQLDecimal) -> Int {
        if a.exponent != b.exponent { return a.exponent < b.exponent ? -1 : 1 }
        for index in 0..<max(a.digits.count, b.digits.count) {
            let x = index < a.digits.count ? a.digits[index] : 0
            let y = index < b.digits.count ? b.digits[index] : 0
            if x != y { return x < y ? -1 : 1 }
        }
        return 0
    }

    /// The number without an exponent where its scale is moderate, as CQL literals have it.
    var text: String {
        guard scale >= 0, scale - digits.count <= 100 else {
            if scale < 0, scale >= -100 {
                let zeros = digits.isEmpty ? 0 : -scale
                return sign(CQLInteger.text(digits: digits + [UInt8](repeating: 0, count: zeros)))
            }
            return sign("\(CQLInteger.text(digits: digits))E\(-scale)")
        }
        if scale == 0 { return sign(CQLInteger.text(digits: digits)) }
        let padded = [UInt8](repeating: 0, count: max(scale + 1 - digits.count, 0)) + digits
        let point = padded.count - scale
        return sign(
            CQLInteger.text(digits: padded[..<point]) + "."
                + CQLInteger.text(digits: padded[point...]))
    }

    /// The number as Python's `Decimal` and so cqlsh shows it: scientific when the exponent is
    /// positive or there are more than six zeros before the first digit.
    var pythonText: String {
        let shown = digits.isEmpty ? [0] : digits
        let pointPosition = shown.count - scale
        if scale >= 0, pointPosition > -6 {
            if scale == 0 { return sign(CQLInteger.text(digits: shown)) }
            let padded = [UInt8](repeating: 0, count: max(1 - pointPosition, 0)) + shown
            let split = padded.count - scale
            return sign(
                CQLInteger.text(digits: padded[..<split]) + "."
                    + CQLInteger.text(digits: padded[split...]))
        }
        var text = CQLInteger.text(digits: shown.prefix(1))
        if shown.count > 1 { text += "." + CQLInteger.text(digits: shown.dropFirst()) }
        let exponent = pointPosition - 1
        return sign(text + "E" + (exponent < 0 ? "" : "+") + "\(exponent)")
    }

    private func sign(_ text: String) -> String { isNegative ? "-" + text : text }
}
