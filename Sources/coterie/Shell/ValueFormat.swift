// Values as cqlsh shows them, with the settings that it lets one change, in colours or without.
//
// `Model` knows the text of every scalar; here are the digits of floating point, the pattern of
// timestamps, separators, the words for true and false, and which part of a nested value has which
// colour. A backslash is shown doubled, but once where colours tell it from an escape. What is null inside
// of a tuple is `None`, as cqlsh has it; in a user-defined type it is what stands for null.

internal import Model

/// A text with its colours and the columns that it takes.
struct ShownValue: Equatable {
    var text = ""
    var colored = ""
    var width = 0

    mutating func append(_ other: ShownValue) {
        text += other.text
        colored += other.colored
        width += other.width
    }

    /// Text in one colour.
    init(_ text: String, _ color: ShellOutput.Color) {
        self.text = text
        colored = color.rawValue + text + ShellOutput.reset
        width = TextWidth.columns(text)
    }

    init() {}

    /// A string of the user's: escapes stand out. `quote` puts it in single quotes.
    init(string: String, _ color: ShellOutput.Color, isQuoted: Bool = false) {
        let body = isQuoted ? string.replacing("'", with: "''") : string
        let quote = isQuoted ? "'" : ""
        text = quote + ShellText.escaped(body) + quote
        guard text.utf8.contains(UInt8(ascii: "\\")) else {
            colored = color.rawValue + text + ShellOutput.reset
            width = TextWidth.columns(text)
            return
        }
        colored = color.rawValue
        var rest = text[...]
        while let character = rest.popFirst() {
            guard character == "\\", let kind = rest.popFirst() else {
                colored.append(character)
                continue
            }
            guard kind != "\\" else {
                colored.append("\\")
                continue
            }
            var escape = "\\" + String(kind)
            if kind == "x" {
                escape += rest.prefix(2)
                rest = rest.dropFirst(2)
            }
            colored += ShellOutput.Color.darkMagenta.rawValue + escape + color.rawValue
        }
        colored += ShellOutput.reset
        width = TextWidth.columns(text)
    }
}

/// How values are shown.
struct ValueFormat: Equatable {
    var floatPrecision = ShellText.defaultPrecision
    var doublePrecision = ShellText.defaultPrecision
    var timestamps = TimestampFormat()
    var nullText = "null"
    var trueText = "True"
    var falseText = "False"
    var decimalSeparator = "."
    var thousandsSeparator = ""

    /// The value, or what stands for null.
    func shown(_ value: UnsafeRawBufferPointer?, _ type: CQLType) -> ShownValue {
        guard let value else { return ShownValue(nullText, .red) }
        return shown(value, type, isNested: false)
    }

    private func shown(
        _ value: UnsafeRawBufferPointer, _ type: CQLType, isNested: Bool
    ) -> ShownValue {
        switch type {
        case .text, .ascii:
            guard let text = String(validating: value, as: UTF8.self) else { break }
            return ShownValue(string: text, .yellow, isQuoted: isNested)
        case .blob, .custom: return ShownValue(type.display(value), .darkMagenta)
        case .list, .set, .map, .tuple, .vector, .userDefined:
            return nested(value, type) ?? ShownValue(type.display(value), .blue)
        case .float where value.count == 4:
            let bits = UInt32(bigEndian: value.loadUnaligned(as: UInt32.self))
            return ShownValue(
                number(Double(Float(bitPattern: bits)), floatPrecision), .green)
        case .double where value.count == 8:
            let bits = UInt64(bigEndian: value.loadUnaligned(as: UInt64.self))
            // As cqlsh: inside of collections the digits of a float count.
            let precision = isNested ? floatPrecision : doublePrecision
            return ShownValue(number(Double(bitPattern: bits), precision), .green)
        case .decimal where !thousandsSeparator.isEmpty || decimalSeparator != ".":
            guard let number = Double(type.display(value)) else { break }
            return ShownValue(self.number(number, floatPrecision), .green)
        case .boolean where value.count == 1:
            return ShownValue(value[0] != 0 ? trueText : falseText, .green)
        case .timestamp where value.count == 8:
            let milliseconds = Int64(bigEndian: value.loadUnaligned(as: Int64.self))
            let text = timestamps.text(milliseconds)
            return ShownValue(isNested ? "'\(text)'" : text, .green)
        case .inet where isNested && !value.isEmpty:
            return ShownValue("'\(type.display(value))'", .green)
        case .tinyint, .smallint, .int, .bigint, .varint, .counter:
            guard !thousandsSeparator.isEmpty else { break }
            return ShownValue(grouped(type.display(value)), .green)
        default: break
        }
        let text = type.display(value)
        return ShownValue(text, value.isEmpty ? .yellow : .green)
    }

    /// The parts in brackets; nil if the bytes do not hold together.
    private func nested(_ value: UnsafeRawBufferPointer, _ type: CQLType) -> ShownValue? {
        guard var parts = CQLValueParts(type, value) else { return nil }
        var texts: [ShownValue] = []
        walk: while true {
            switch parts.next() {
            case .part(let part):
                texts.append(shown(part, type.partType(texts.count), isNested: true))
            case .null: texts.append(absent(texts.count, type))
            case .end: break walk
            case .malformed: return nil
            }
        }
        guard parts.isAtEnd else { return nil }
        func joined(_ open: String, _ close: String, _ texts: [ShownValue]) -> ShownValue {
            var result = ShownValue(open, .blue)
            for (index, text) in texts.enumerated() {
                if index > 0 { result.append(ShownValue(", ", .blue)) }
                result.append(text)
            }
            result.append(ShownValue(close, .blue))
            return result
        }
        func pair(_ key: ShownValue, _ value: ShownValue) -> ShownValue {
            var result = key
            result.append(ShownValue(": ", .blue))
            result.append(value)
            return result
        }
        switch type {
        case .list, .vector: return joined("[", "]", texts)
        case .set: return joined("{", "}", texts)
        case .map:
            let pairs = stride(from: 0, to: texts.count - 1, by: 2).map {
                pair(texts[$0], texts[$0 + 1])
            }
            return joined("{", "}", pairs)
        case .tuple(let types):
            let all = texts + (texts.count..<max(types.count, texts.count)).map { absent($0, type) }
            return joined("(", ")", all)
        case .userDefined(let definition, _):
            let count = max(definition.fields.count, texts.count)
            let all = texts + (texts.count..<count).map { absent($0, type) }
            let fields = zip(definition.fields, all).map { field, text in
                pair(ShownValue(string: field.name, .yellow), text)
            }
            return joined("{", "}", fields)
        default: return nil
        }
    }

    /// What stands for the part with that number if there is none.
    private func absent(_ number: Int, _ type: CQLType) -> ShownValue {
        guard case .tuple = type else { return ShownValue(nullText, .red) }
        switch type.partType(number) {
        case .text, .ascii: return ShownValue("None", .yellow)
        default: return ShownValue("None", .green)
        }
    }

    // MARK: - Numbers

    private func number(_ value: Double, _ precision: Int) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Infinity" : "Infinity" }
        guard !thousandsSeparator.isEmpty else {
            let text = ShellText.number(value, precision: precision)
            return decimalSeparator == "." ? text : text.replacing(".", with: decimalSeparator)
        }
        let whole = value.rounded(.towardZero)
        let fraction = (value - whole).magnitude
        // The digits of the integer part, which may have many.
        let digits = ShellText.general(whole, digits: 400)
        var text = grouped(digits)
        if whole == 0, value.sign == .minus, !text.hasPrefix("-") { text = "-" + text }
        var decimals = AdminText.fixed(fraction, min(precision, 15)).dropFirst(2)
        while decimals.last == "0" { decimals.removeLast() }
        if !decimals.isEmpty { text += decimalSeparator + decimals }
        return text
    }

    private func grouped(_ digits: String) -> String {
        let isNegative = digits.hasPrefix("-")
        var groups: [Substring] = []
        var rest = isNegative ? digits.dropFirst() : digits[...]
        while rest.count > 3 {
            groups.insert(rest.suffix(3), at: 0)
            rest = rest.dropLast(3)
        }
        groups.insert(rest, at: 0)
        return (isNegative ? "-" : "") + groups.joined(separator: thousandsSeparator)
    }
}
