// From the text of a constant to a serialized value. The text is what stands in the statement,
// without its quotes; whether a constant of that kind suits the type at all is the CQL room's
// decision.

internal import Encoding

extension CQLType {
    /// The serialized value of a constant, for example `1.5`, `2024-01-01`, `0xCAFE`.
    ///
    /// No text at all gives an empty value for types that have one. Of nested types, tuples have
    /// constants.
    package func parse(_ text: String) throws(CQLValueError) -> [UInt8] {
        if text.isEmpty, hasEmptyValue { return [] }
        switch self {
        case .text: return Array(text.utf8)
        case .ascii:
            guard text.utf8.allSatisfy({ $0 < 0x80 }) else {
                throw CQLValueError("Invalid ASCII character in string literal: \(text)")
            }
            return Array(text.utf8)
        case .blob, .custom:
            guard let bytes = CQLBlob.parse(text) else {
                throw CQLValueError("cannot parse '\(text)' as hex bytes")
            }
            return bytes
        case .boolean:
            switch text.lowercased() {
            case "true": return [1]
            case "false": return [0]
            default: throw Self.unable("boolean", text)
            }
        case .tinyint: return try Self.integer(text, Int8.self, "byte")
        case .smallint: return try Self.integer(text, Int16.self, "short")
        case .int: return try Self.integer(text, Int32.self, "int")
        case .bigint, .counter: return try Self.integer(text, Int64.self, "long")
        case .varint:
            guard let bytes = CQLInteger.parse(text) else {
                throw CQLValueError("unable to make int from '\(Self.shortened(text))'")
            }
            return bytes
        case .decimal:
            guard let decimal = CQLDecimal(text) else {
                throw CQLValueError("unable to make BigDecimal from '\(Self.shortened(text))'")
            }
            return decimal.bytes
        case .float:
            guard let value = Self.floatingPoint(text, Float.self) else {
                throw Self.unable("float", text)
            }
            return Self.bigEndianBytes(value.bitPattern)
        case .double:
            guard let value = Self.floatingPoint(text, Double.self) else {
                throw Self.unable("double", text)
            }
            return Self.bigEndianBytes(value.bitPattern)
        case .timestamp: return Self.bigEndianBytes(try CQLTimestamp.parse(text))
        case .date: return Self.bigEndianBytes(try CQLDate.parse(text))
        case .time: return Self.bigEndianBytes(try CQLTime.parse(text))
        case .duration: return try CQLDuration(text).bytes
        case .uuid:
            guard let id = UniqueID(text) else { throw Self.unable("UUID", text) }
            return id.bytes
        case .timeuuid:
            guard let id = UniqueID(text) else {
                throw CQLValueError("Unknown timeuuid representation: \(text)")
            }
            guard id.high & 0xF000 == 0x1000 else {
                throw CQLValueError("TimeUUID supports only version 1 UUIDs")
            }
            return id.bytes
        case .inet:
            guard let address = CQLInet.parse(text) else { throw Self.unable("inet address", text) }
            return address
        case .tuple(let types): return try parseTuple(text, types)
        case .list, .set, .map, .userDefined, .vector:
            throw CQLValueError("cannot parse '\(Self.shortened(text))' as \(cqlName)")
        }
    }

    /// A tuple's parts with colons between them; `@` is null, and `\\:` and `\\@` are the characters.
    private func parseTuple(_ text: String, _ types: [CQLType]) throws(CQLValueError) -> [UInt8] {
        var parts: [String] = text.isEmpty ? [] : [""]
        var previous: Character?
        for character in text {
            if character == ":", previous != "\\" {
                parts.append("")
            } else {
                parts[parts.count - 1].append(character)
            }
            previous = character
        }
        guard parts.count <= types.count else {
            throw CQLValueError(
                "Invalid tuple literal: too many elements. Type \(cqlName) expects \(types.count) but"
                    + " got \(parts.count)")
        }
        var bytes: [UInt8] = []
        for (part, type) in zip(parts, types) {
            guard part != "@" else {
                bytes += Self.bigEndianBytes(Int32(-1))
                continue
            }
            let plain = part.replacing("\\:", with: ":").replacing("\\@", with: "@")
            let value = try type.parse(plain)
            bytes += Self.bigEndianBytes(Int32(value.count)) + value
        }
        return bytes
    }

    /// Whether an empty value is one of the type's, or stands for its absence, as Cassandra allows
    /// it.
    private var hasEmptyValue: Bool {
        switch self {
        case .int, .bigint, .counter, .varint, .decimal, .float, .double, .uuid, .timeuuid, .inet,
            .timestamp, .boolean, .text, .ascii, .blob:
            true
        default: false
        }
    }

    private static func unable(_ what: String, _ text: String) -> CQLValueError {
        CQLValueError("Unable to make \(what) from '\(shortened(text))'")
    }

    /// Keeps an error's text short when the constant is long.
    private static func shortened(_ text: String) -> String {
        text.utf8.count <= 256 ? text : String(text.prefix(256)) + "..."
    }

    private static func integer<T: FixedWidthInteger & BitwiseCopyable>(
        _ text: String, _ type: T.Type, _ name: String
    ) throws(CQLValueError) -> [UInt8] {
        guard let value = T(text) else { throw unable(name, text) }
        return bigEndianBytes(value)
    }

    static func bigEndianBytes<T: FixedWidthInteger & BitwiseCopyable>(_ value: T) -> [UInt8] {
        withUnsafeBytes(of: value.bigEndian) { Array($0) }
    }

    /// Reads a decimal number, `NaN` or `Infinity`; a number too large becomes infinite.
    private static func floatingPoint<T: BinaryFloatingPoint & LosslessStringConvertible>(
        _ text: String, _ type: T.Type
    ) -> T? {
        let unsigned = text.hasPrefix("-") || text.hasPrefix("+") ? text.dropFirst() : text[...]
        switch unsigned.lowercased() {
        case "nan": return T.nan
        case "infinity": return text.hasPrefix("-") ? -T.infinity : T.infinity
        default: break
        }
        let isNumber = unsigned.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "e"),
                UInt8(ascii: "E"), UInt8(ascii: "+"), UInt8(ascii: "-"):
                true
            default: false
            }
        }
        return isNumber ? T(text) : nil
    }
}
