// From a serialized value to text, in two ways: as a CQL literal that gives the value back
// (`format`), and as cqlsh shows it to a person (`display`).
//
// Bytes that are no value of the type are shown as a blob; nothing here traps or throws.

internal import Encoding

extension CQLType {
    /// The value as a CQL literal: strings in single quotes, blobs as `0x...`, collections in
    /// brackets.
    package func format(_ value: UnsafeRawBufferPointer) -> String {
        ValueText(style: .literal).text(value, self, isNested: false)
    }

    /// The value as cqlsh shows it: text without quotes (inside of collections with them), floating
    /// point with five digits, timestamps with microseconds in UTC.
    package func display(_ value: UnsafeRawBufferPointer) -> String {
        ValueText(style: .shell).text(value, self, isNested: false)
    }
}

/// Writes values in one of the two styles.
private struct ValueText {
    enum Style { case literal, shell }

    let style: Style

    func text(_ value: UnsafeRawBufferPointer, _ type: CQLType, isNested: Bool) -> String {
        if value.isEmpty { return emptyText(type, isNested: isNested) }
        return scalarText(value, type, isNested: isNested)
            ?? nestedText(value, type)
            ?? "0x" + HexText.text(value)
    }

    private func emptyText(_ type: CQLType, isNested: Bool) -> String {
        switch type {
        case .text, .ascii: quoted("", isNested: isNested)
        case .blob, .custom: "0x"
        case .tuple: "()"
        case .userDefined: "{}"
        default: style == .literal ? "null" : ""
        }
    }

    /// The text of a value that is not nested; nil if its bytes are not of the type.
    private func scalarText(
        _ value: UnsafeRawBufferPointer, _ type: CQLType, isNested: Bool
    ) -> String? {
        if let length = type.fixedLength, !type.isNested, value.count != length { return nil }
        switch type {
        case .text, .ascii:
            guard let text = String(validating: value, as: UTF8.self) else { return nil }
            return quoted(text, isNested: isNested)
        case .tinyint: return "\(value.bigEndian(Int8.self))"
        case .smallint: return "\(value.bigEndian(Int16.self))"
        case .int: return "\(value.bigEndian(Int32.self))"
        case .bigint, .counter: return "\(value.bigEndian(Int64.self))"
        case .boolean:
            return switch (value[0] != 0, style) {
            case (true, .literal): "true"
            case (false, .literal): "false"
            case (true, .shell): "True"
            case (false, .shell): "False"
            }
        case .float: return number(Float(bitPattern: value.bigEndian(UInt32.self)))
        case .double: return number(Double(bitPattern: value.bigEndian(UInt64.self)))
        case .varint:
            // The conversion is quadratic in the length.
            return value.count > CQLInteger.maximumDigits / 2 ? nil : CQLInteger.text(value)
        case .decimal:
            guard value.count > 4, value.count <= CQLInteger.maximumDigits / 2 else { return nil }
            let decimal = CQLDecimal(value)
            return style == .literal ? decimal.text : decimal.pythonText
        case .timestamp:
            let milliseconds = value.bigEndian(Int64.self)
            let fraction = style == .literal ? 3 : 6
            guard let text = CQLTimestamp.text(milliseconds, fractionDigits: fraction) else {
                return "\(milliseconds)"
            }
            return plain(text, isQuotedInShell: isNested)
        case .date:
            let raw = value.bigEndian(UInt32.self)
            return style == .literal ? "'\(CQLDate.text(raw))'" : CQLDate.pythonText(raw)
        case .time:
            return CQLTime.text(value.bigEndian(Int64.self)).map {
                plain($0, isQuotedInShell: false)
            }
        case .inet: return CQLInet.text(value).map { plain($0, isQuotedInShell: isNested) }
        case .duration:
            guard let duration = CQLDuration(value) else { return nil }
            return duration.text.isEmpty && style == .literal ? "0s" : duration.text
        case .uuid, .timeuuid:
            return UniqueID(
                high: value.bigEndian(UInt64.self), low: value.bigEndian(UInt64.self, at: 8)
            ).description
        case .blob, .custom, .list, .set, .map, .tuple, .userDefined, .vector: return nil
        }
    }

    /// In single quotes as a literal, and in the shell where it says so.
    private func plain(_ text: String, isQuotedInShell: Bool) -> String {
        style == .literal || isQuotedInShell ? "'\(text)'" : text
    }

    private func quoted(_ text: String, isNested: Bool) -> String {
        let shown = style == .literal ? text : ShellText.escaped(text)
        guard style == .literal || isNested else { return shown }
        let doubled = shown.split(separator: "'", omittingEmptySubsequences: false)
        return "'" + doubled.joined(separator: "''") + "'"
    }

    private func number<T: BinaryFloatingPoint & CustomStringConvertible>(_ value: T) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Infinity" : "Infinity" }
        return style == .literal ? value.description : ShellText.number(Double(value))
    }

    /// The text of a nested value; nil if the type is not nested or the bytes do not hold together.
    private func nestedText(_ value: UnsafeRawBufferPointer, _ type: CQLType) -> String? {
        guard var parts = CQLValueParts(type, value) else { return nil }
        var texts: [String] = []
        walk: while true {
            switch parts.next() {
            case .part(let part):
                texts.append(text(part, type.partType(texts.count), isNested: true))
            case .null: texts.append("null")
            case .end: break walk
            case .malformed: return nil
            }
        }
        guard parts.isAtEnd else { return nil }
        switch type {
        case .list, .vector: return "[" + texts.joined(separator: ", ") + "]"
        case .set: return "{" + texts.joined(separator: ", ") + "}"
        case .map:
            let pairs = stride(from: 0, to: texts.count, by: 2).map {
                "\(texts[$0]): \(texts[$0 + 1])"
            }
            return "{" + pairs.joined(separator: ", ") + "}"
        case .tuple(let types):
            if style == .shell { texts += absent(types.count - texts.count) }
            return "(" + texts.joined(separator: ", ") + ")"
        case .userDefined(let definition, _):
            if style == .shell { texts += absent(definition.fields.count - texts.count) }
            let fields = zip(definition.fields, texts).map { field, text in
                let name = style == .literal ? CQLIdentifier.quoted(field.name) : field.name
                return "\(name): \(text)"
            }
            return "{" + fields.joined(separator: ", ") + "}"
        default: return nil
        }
    }

    private func absent(_ count: Int) -> [String] {
        [String](repeating: "null", count: max(count, 0))
    }
}

/// How cqlsh, which is written in Python, shows text and floating point.
package enum ShellText {
    /// The digits that cqlsh shows of a floating-point number if not told otherwise.
    package static let defaultPrecision = 5

    /// Backslashes doubled, control characters as escapes.
    package static func escaped(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case 0x5C: result += "\\\\"
            case 0x09: result += "\\t"
            case 0x0A: result += "\\n"
            case 0x0D: result += "\\r"
            case 0x00...0x1F, 0x7F...0xA0:
                result += "\\x" + HexText.digits(UInt8(truncatingIfNeeded: scalar.value))
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    /// A finite number with `precision` digits, to which those left of the point are added where
    /// the number is moderate.
    package static func number(_ value: Double, precision: Int = defaultPrecision) -> String {
        var digits = precision
        if value.magnitude > Double.ulpOfOne {
            let (shortest, exponent) = shortestDigits(value.magnitude)
            // The integer part of the decimal logarithm, towards zero.
            let logarithm = exponent < 0 && shortest != [1] ? exponent + 1 : exponent
            if logarithm >= -4, logarithm < precision { digits = precision + logarithm + 1 }
        }
        return general(value, digits: digits)
    }

    /// The digits of the shortest text that reads back as `value`, and the exponent of the first
    /// one.
    private static func shortestDigits(_ value: Double) -> ([UInt8], exponent: Int) {
        guard let decimal = CQLDecimal(value.description), !decimal.digits.isEmpty else {
            return ([0], 0)
        }
        return (
            Array(decimal.digits.prefix(decimal.significantCount)), exponent: decimal.exponent - 1
        )
    }

    /// C's `%.*g`: `digits` significant digits, correctly rounded, without zeros at the end.
    package static func general(_ value: Double, digits: Int) -> String {
        // C takes a precision of nothing for one digit.
        let digits = max(digits, 1)
        let sign = value.sign == .minus ? "-" : ""
        if value == 0 { return sign + "0" }
        let exact = exactDecimal(value.magnitude)
        var exponent = exact.exponent - 1
        var kept = Array(exact.digits.prefix(digits))
        if roundsUp(exact.digits, at: digits) {
            var index = kept.count - 1
            while index >= 0, kept[index] == 9 {
                kept[index] = 0
                index -= 1
            }
            if index >= 0 {
                kept[index] += 1
            } else {
                kept = [1]
                exponent += 1
            }
        }
        while kept.last == 0 { kept.removeLast() }
        if exponent >= -4, exponent < digits {
            return CQLDecimal(
                isNegative: value < 0,
                digits: kept + [UInt8](repeating: 0, count: max(exponent + 1 - kept.count, 0)),
                scale: max(kept.count - 1 - exponent, 0)
            ).text
        }
        var text = sign + CQLInteger.text(digits: kept.prefix(1))
        if kept.count > 1 { text += "." + CQLInteger.text(digits: kept.dropFirst()) }
        return text + "e" + (exponent < 0 ? "-" : "+") + CQLCalendar.padded(Int64(abs(exponent)), 2)
    }

    /// Whether what follows the first `count` digits is more than a half, or a half after an odd
    /// digit.
    private static func roundsUp(_ digits: [UInt8], at count: Int) -> Bool {
        guard digits.count > count, count > 0 else { return false }
        if digits[count] != 5 { return digits[count] > 5 }
        return digits[(count + 1)...].contains { $0 != 0 } || digits[count - 1] % 2 == 1
    }

    /// All digits of a positive finite number.
    private static func exactDecimal(_ value: Double) -> CQLDecimal {
        let fraction = value.significandBitPattern
        let isNormal = value.exponentBitPattern != 0
        var magnitude = Magnitude(isNormal ? fraction | 1 << 52 : fraction)
        let power = Int(isNormal ? value.exponentBitPattern : 1) - 1_075
        if power >= 0 {
            magnitude.shiftLeft(power)
            return CQLDecimal(isNegative: false, digits: magnitude.takeDigits(), scale: 0)
        }
        // m x 2^-k = m x 5^k x 10^-k
        for _ in 0..<(-power) { magnitude.multiply(by: 5) }
        return CQLDecimal(isNegative: false, digits: magnitude.takeDigits(), scale: -power)
    }
}
