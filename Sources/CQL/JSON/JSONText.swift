// Values as JSON, as SELECT JSON and `to_json` give them.
//
//     numbers, booleans          as JSON has them; NaN and infinities are null
//     texts, blobs, uuids, times in quotation marks; a timestamp as `2024-01-01 00:00:00.000Z`
//     lists, sets, tuples, vectors   arrays
//     maps, user-defined types   objects; a key that is no text becomes one

internal import Encoding
internal import Model

/// Writes values as JSON.
enum JSONText {
    /// The value as JSON; nil is null.
    static func text(_ value: [UInt8]?, _ type: CQLType) -> String {
        guard let value else { return "null" }
        return value.withUnsafeBytes { text($0, type) }
    }

    /// A row as an object. `names` are the columns' names.
    static func row(_ names: [String], _ types: [CQLType], _ values: [[UInt8]?]) -> String {
        var result = "{"
        for (index, name) in names.enumerated() {
            if index > 0 { result += ", " }
            result += quoted(key(name)) + ": " + text(values[index], types[index])
        }
        return result + "}"
    }

    /// A name as a key of an object: in quotation marks of its own unless it is all lower case.
    private static func key(_ name: String) -> String {
        name == name.lowercased() ? name : "\"" + name + "\""
    }

    private static func text(_ value: UnsafeRawBufferPointer, _ type: CQLType) -> String {
        switch type {
        case .text, .ascii: return quoted(String(decoding: value, as: UTF8.self))
        case .blob, .custom: return "\"0x" + HexText.text(value) + "\""
        default: break
        }
        if value.isEmpty { return type.isNested ? "null" : "\"\"" }
        switch type {
        case .float, .double:
            guard let number = Number(Array(value), type), number.real.isFinite else {
                return "null"
            }
            return type == .float
                ? JavaNumberText.text(Float(number.real)) : JavaNumberText.text(number.real)
        case .decimal: return decimal(value)
        case .timestamp: return "\"" + (timestamp(Array(value)) ?? "") + "\""
        case .tinyint, .smallint, .int, .bigint, .counter, .varint, .boolean:
            return type.format(value)
        case .inet: return quoted(address(Array(value)))
        case .list, .set, .tuple, .vector: return array(value, type)
        case .map(let key, let value_, _): return map(value, type, key, value_)
        case .userDefined(let definition, _): return object(value, type, definition)
        default:
            let text = type.format(value)
            let isQuoted = text.utf8.count >= 2 && text.hasPrefix("'") && text.hasSuffix("'")
            return quoted(isQuoted ? String(text.dropFirst().dropLast()) : text)
        }
    }

    /// A decimal as Java writes it: with an exponent where there are many zeros.
    static func decimal(_ value: UnsafeRawBufferPointer) -> String {
        guard value.count > 4, value.count <= WholeNumber.maximumBytes,
            let number = DecimalNumber(serialized: Array(value))
        else { return CQLType.decimal.format(value) }
        let isNegative = number.unscaled.isNegative
        let digits = number.unscaled.magnitude.text
        let sign = isNegative ? "-" : ""
        let adjusted = digits.utf8.count - 1 - number.scale
        if number.scale >= 0, adjusted >= -6 {
            if number.scale == 0 { return sign + digits }
            let padding = String(
                repeating: "0", count: max(number.scale + 1 - digits.utf8.count, 0))
            let padded = padding + digits
            return sign + padded.dropLast(number.scale) + "." + padded.suffix(number.scale)
        }
        var text = sign + digits.prefix(1)
        if digits.utf8.count > 1 { text += "." + digits.dropFirst() }
        if adjusted != 0 { text += "E" + (adjusted > 0 ? "+" : "") + "\(adjusted)" }
        return text
    }

    /// `2024-01-01 00:00:00.000Z`; nil if the bytes are no timestamp.
    static func timestamp(_ value: [UInt8]) -> String? {
        guard value.count == 8 else { return nil }
        var text = value.withUnsafeBytes { CQLType.timestamp.format($0) }
        if text.hasPrefix("'"), text.hasSuffix("'") { text = String(text.dropFirst().dropLast()) }
        guard text.hasSuffix("+0000") else { return text }
        return text.dropLast(5) + "Z"
    }

    /// An address as Java writes it: of IPv6 all eight groups, whatever is zero.
    static func address(_ value: [UInt8]) -> String {
        guard value.count == 16 else { return value.map(String.init).joined(separator: ".") }
        let groups = stride(from: 0, to: 16, by: 2).map {
            UInt16(value[$0]) << 8 | UInt16(value[$0 + 1])
        }
        return groups.map { String($0, radix: 16) }.joined(separator: ":")
    }

    private static func parts(
        _ value: UnsafeRawBufferPointer, _ type: CQLType
    ) -> [UnsafeRawBufferPointer?] {
        guard var walk = CQLValueParts(type, value) else { return [] }
        var result: [UnsafeRawBufferPointer?] = []
        while true {
            switch walk.next() {
            case .part(let part): result.append(part)
            case .null: result.append(nil)
            case .end, .malformed: return result
            }
        }
    }

    private static func text(_ value: UnsafeRawBufferPointer?, orNull type: CQLType) -> String {
        value.map { text($0, type) } ?? "null"
    }

    private static func array(_ value: UnsafeRawBufferPointer, _ type: CQLType) -> String {
        var items = parts(value, type)
        let types = type.parts
        if case .tuple = type { while items.count < types.count { items.append(nil) } }
        let texts = items.enumerated().map { index, item in
            text(item, orNull: index < types.count ? types[index] : types[0])
        }
        return "[" + texts.joined(separator: ", ") + "]"
    }

    private static func map(
        _ value: UnsafeRawBufferPointer, _ type: CQLType, _ key: CQLType, _ content: CQLType
    ) -> String {
        let parts = parts(value, type)
        var texts: [String] = []
        for index in stride(from: 0, to: parts.count - 1, by: 2) {
            let name = text(parts[index], orNull: key)
            let quotedName = name.hasPrefix("\"") ? name : quoted(name)
            texts.append(quotedName + ": " + text(parts[index + 1], orNull: content))
        }
        return "{" + texts.joined(separator: ", ") + "}"
    }

    private static func object(
        _ value: UnsafeRawBufferPointer, _ type: CQLType, _ definition: UserDefinedType
    ) -> String {
        let parts = parts(value, type)
        let texts = definition.fields.enumerated().map { index, field in
            quoted(key(field.name)) + ": "
                + text(index < parts.count ? parts[index] : nil, orNull: field.type)
        }
        return "{" + texts.joined(separator: ", ") + "}"
    }

    /// A JSON string.
    static func quoted(_ text: String) -> String { JSONString.quoted(text) }
}
