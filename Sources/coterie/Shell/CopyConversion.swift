// From the fields of a CSV file to values, by the rules of cqlsh's COPY FROM, so that the same file gives
// the same table: blanks around a field do not count, single quotes around it neither, a boolean is true
// only if it is the word for true, a field that is the null marker is null, and an empty field that its
// type does not take is null too.
//
// Nested values are written as the shell shows them. Strings inside stand in single quotes; a separator
// inside quotes or brackets is not one.

internal import Model

/// A field that is no value of its column.
struct CopyParseFailure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// Reads fields.
struct CopyConversion {
    let format: ValueFormat

    /// The text of a field as a literal of CQL: what stands for null is `NULL`, and types that are
    /// written in quotes get them.
    func literal(_ field: String, _ type: CQLType) -> String {
        if field == format.nullText { return "NULL" }
        switch type {
        case .ascii, .text, .timestamp, .date, .time, .inet:
            return "'" + field.replacing("'", with: "''") + "'"
        default: return field
        }
    }

    /// The serialized value of a field of the partition's key.
    func keyValue(_ field: String, _ type: CQLType) throws(CopyParseFailure) -> [UInt8] {
        try bytes(Self.unquoted(field), type)
    }

    /// The value of a whole field.
    func value(_ field: String, _ type: CQLType) throws(CopyParseFailure) -> BindValueOrNull {
        if field == format.nullText { return .null }
        do {
            return .bytes(try bytes(Self.unquoted(field), type))
        } catch {
            if field.isEmpty { return .null }
            throw CopyParseFailure("Failed to parse \(field) : \(error)")
        }
    }

    enum BindValueOrNull: Equatable {
        case null
        case bytes([UInt8])
    }

    /// Without blanks around it, and without single quotes around that.
    static func unquoted(_ text: some StringProtocol) -> String {
        var text = Substring(text)
        while text.first?.isWhitespace == true { text = text.dropFirst() }
        while text.last?.isWhitespace == true { text = text.dropLast() }
        guard text.count > 1, text.first == "'", text.last == "'" else { return String(text) }
        return String(text.dropFirst().dropLast()).replacing("''", with: "'")
    }

    private func bytes(_ text: String, _ type: CQLType) throws(CopyParseFailure) -> [UInt8] {
        do {
            switch type {
            case .text, .ascii: return Array(text.utf8)
            case .boolean:
                return [text.lowercased() == format.trueText.lowercased() ? 1 : 0]
            case .tinyint, .smallint, .int, .bigint, .varint, .counter:
                guard let digits = PythonNumber.integer(plain(text)) else {
                    throw CopyParseFailure(PythonNumber.noInteger(text))
                }
                return try type.parse(digits)
            case .float, .double, .decimal:
                if text.isEmpty { throw CopyParseFailure("no number in ''") }
                var number = plain(text)
                if format.decimalSeparator != "." {
                    number = number.replacing(format.decimalSeparator, with: ".")
                }
                if number.lowercased().hasSuffix("inf") { number += "inity" }
                return try type.parse(PythonNumber.withoutUnderscores(number))
            case .timestamp:
                if let milliseconds = format.timestamps.parse(text) {
                    return withUnsafeBytes(of: milliseconds.bigEndian) { Array($0) }
                }
                return try type.parse(text)
            case .list, .set, .map, .tuple, .vector, .userDefined: return try nested(text, type)
            default:
                if text.isEmpty { throw CopyParseFailure("nothing to read") }
                return try type.parse(text)
            }
        } catch let failure as CopyParseFailure {
            throw failure
        } catch {
            throw CopyParseFailure(refusal(text, type) ?? "\(error)")
        }
    }

    /// The words that cqlsh has for a text of no value of the type, where its type has some.
    private func refusal(_ text: String, _ type: CQLType) -> String? {
        let quoted = PythonText.quoted(text)
        switch type {
        case .float, .double: return PythonNumber.noFloat(text)
        case .decimal: return "[<class 'decimal.ConversionSyntax'>]"
        case .uuid: return "badly formed hexadecimal UUID string"
        case .timestamp:
            return
                "can't interpret \(quoted) as a date with format \(format.timestamps.pattern) or as "
                + "int"
        case .date: return "time data \(quoted) does not match format '%Y-%m-%d'"
        case .time: return "can't interpret \(quoted) as a time"
        case .inet: return "can't interpret \(quoted) as an inet address"
        case .blob:
            let digits = text.utf8.dropFirst(2)
            let position = digits.prefix { UnicodeScalar($0).properties.isASCIIHexDigit }.count
            return "non-hexadecimal number found in fromhex() arg at position \(position)"
        default: return nil
        }
    }

    private func plain(_ text: String) -> String {
        format.thousandsSeparator.isEmpty
            ? text : text.replacing(format.thousandsSeparator, with: "")
    }

    // MARK: - Nested values

    private func nested(_ text: String, _ type: CQLType) throws(CopyParseFailure) -> [UInt8] {
        let parts = try Self.split(text)
        var bytes: [UInt8] = []
        switch type {
        case .list(let element, _), .set(let element, _):
            Self.appendLength(parts.count, to: &bytes)
            for part in parts { Self.append(try mandatory(part, element), to: &bytes) }
        case .map(let key, let value, _):
            Self.appendLength(parts.count, to: &bytes)
            for part in parts {
                let pair = try Self.split("{\(part)}", separator: ":")
                guard pair.count == 2 else { throw CopyParseFailure("no key and value in \(part)") }
                Self.append(try mandatory(pair[0], key), to: &bytes)
                Self.append(try mandatory(pair[1], value), to: &bytes)
            }
        case .tuple(let types):
            guard parts.count <= types.count else {
                throw CopyParseFailure("\(parts.count) values for a tuple of \(types.count)")
            }
            for (part, type) in zip(parts, types) {
                Self.append(try optional(part, type), to: &bytes)
            }
        case .vector(let element, let dimensions):
            guard parts.count == dimensions else {
                throw CopyParseFailure(
                    "The length of given vector value '\(parts.count)' is not equal to the vector "
                        + "size from the type definition '\(dimensions)'")
            }
            for part in parts {
                let value = try mandatory(part, element)
                if element.vectorElementLength == nil {
                    VariableInteger.appendUnsigned(UInt64(value.count), to: &bytes)
                }
                bytes += value
            }
        case .userDefined(let definition, _):
            var given: [String: String] = [:]
            for part in parts {
                let pair = try Self.split("{\(part)}", separator: ":")
                guard pair.count == 2 else {
                    throw CopyParseFailure("no field and value in \(part)")
                }
                given[Self.unquoted(pair[0])] = pair[1]
            }
            for field in definition.fields {
                Self.append(
                    try given[field.name].map { text throws(CopyParseFailure) in
                        // In quotes or not, what stands for null is null.
                        Self.unquoted(text) == format.nullText
                            ? nil : try optional(text, field.type)
                    } ?? nil, to: &bytes)
            }
        default: throw CopyParseFailure("\(type.cqlName) is not nested")
        }
        return bytes
    }

    /// A part that cannot be null: an empty string counts only as text.
    private func mandatory(_ part: String, _ type: CQLType) throws(CopyParseFailure) -> [UInt8] {
        let text = Self.unquoted(part)
        if text == format.nullText, type != .text, type != .ascii {
            throw CopyParseFailure("Empty values are not allowed")
        }
        return try bytes(text, type)
    }

    /// A field of a tuple or user-defined type: the words for null are null, which cqlsh writes and
    /// does not read.
    private func optional(_ part: String, _ type: CQLType) throws(CopyParseFailure) -> [UInt8]? {
        let text = Self.unquoted(part)
        if !part.contains("'"), text.lowercased() == "null" || text == "None" { return nil }
        return try mandatory(part, type)
    }

    /// The parts between the outermost brackets.
    static func split(
        _ text: String, separator: Character = ","
    ) throws(CopyParseFailure) -> [String] {
        let closing: [Character: Character] = ["{": "}", "[": "]", "(": ")"]
        guard text.count > 1, let first = text.first, let last = closing[first], text.last == last
        else {
            throw CopyParseFailure(
                "Invalid composite string, it should start and end with matching parentheses: "
                    + text)
        }
        var parts: [String] = []
        var part = ""
        var level = 0
        var isQuoted = false
        for character in text.dropFirst().dropLast() {
            if character == "'" {
                isQuoted.toggle()
            } else if !isQuoted {
                switch character {
                case "{", "[", "(": level += 1
                case "}", "]", ")": level -= 1
                case separator where level == 0:
                    parts.append(part)
                    part = ""
                    continue
                default: break
                }
            }
            part.append(character)
        }
        if !part.isEmpty { parts.append(part) }
        return parts
    }

    private static func append(_ value: [UInt8]?, to bytes: inout [UInt8]) {
        guard let value else {
            bytes += [0xFF, 0xFF, 0xFF, 0xFF]
            return
        }
        appendLength(value.count, to: &bytes)
        bytes += value
    }

    private static func appendLength(_ count: Int, to bytes: inout [UInt8]) {
        withUnsafeBytes(of: Int32(clamping: count).bigEndian) { bytes += $0 }
    }
}
