// A reader of JSON (RFC 8259).
//
// Numbers keep their text, because `varint` and `decimal` have more digits than any number of the machine.
// Nesting is limited, so that hostile input cannot exhaust the stack.

/// A JSON value.
indirect enum JSONValue: Equatable {
    case null
    case boolean(Bool)
    case number(String)
    case string(String)
    case array([JSONValue])
    /// In the order written; of several entries with one key all are here.
    case object([Entry])

    struct Entry: Equatable {
        let key: String
        let value: JSONValue
    }

    /// How Java calls what was read, for error texts.
    var javaName: String {
        switch self {
        case .null: "null"
        case .boolean: "Boolean"
        case .number(let text):
            text.contains(where: { ".eE".contains($0) })
                ? "Double"
                : (Int32(text) != nil ? "Integer" : (Int64(text) != nil ? "Long" : "BigInteger"))
        case .string: "String"
        case .array: "ArrayList"
        case .object: "LinkedHashMap"
        }
    }

    /// As Java shows it, for error texts.
    var javaText: String {
        switch self {
        case .null: "null"
        case .boolean(let value): value ? "true" : "false"
        case .number(let text): text
        case .string(let text): text
        case .array(let items): "[" + items.map(\.javaText).joined(separator: ", ") + "]"
        case .object(let entries):
            "{" + entries.map { "\($0.key)=\($0.value.javaText)" }.joined(separator: ", ") + "}"
        }
    }
}

/// Why a text is no JSON.
struct JSONError: Error {
    let message: String
}

/// Reads one JSON value.
struct JSONReader {
    private static let maximumDepth = 128

    private let bytes: [UInt8]
    private var offset = 0
    private var depth = 0

    /// The value that the text begins with. What follows it is not looked at, as Cassandra's reader does it.
    static func read(_ bytes: [UInt8]) throws(JSONError) -> JSONValue {
        var reader = JSONReader(bytes: bytes)
        reader.skipBlanks()
        return try reader.value()
    }

    private init(bytes: [UInt8]) { self.bytes = bytes }

    private var current: UInt8? { offset < bytes.count ? bytes[offset] : nil }

    private mutating func skipBlanks() {
        while let byte = current, byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D {
            offset += 1
        }
    }

    private var unexpected: JSONError {
        JSONError(
            message: current.map {
                "unexpected character '\(String(decoding: [$0], as: UTF8.self))' at byte \(offset)"
            } ?? "unexpected end of the text")
    }

    private mutating func accept(_ text: StaticString) -> Bool {
        let word = text.withUTF8Buffer { Array($0) }
        guard bytes.count - offset >= word.count,
            bytes[offset..<(offset + word.count)].elementsEqual(word)
        else { return false }
        offset += word.count
        return true
    }

    private mutating func value() throws(JSONError) -> JSONValue {
        guard depth < Self.maximumDepth else {
            throw JSONError(message: "nested over \(Self.maximumDepth) levels deep")
        }
        depth += 1
        defer { depth -= 1 }
        switch current {
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "{"): return try object()
        case UInt8(ascii: "["): return try array()
        case UInt8(ascii: "t") where accept("true"): return .boolean(true)
        case UInt8(ascii: "f") where accept("false"): return .boolean(false)
        case UInt8(ascii: "n") where accept("null"): return .null
        default: return .number(try number())
        }
    }

    private mutating func object() throws(JSONError) -> JSONValue {
        offset += 1
        skipBlanks()
        var entries: [JSONValue.Entry] = []
        if accept("}") { return .object(entries) }
        while true {
            guard current == UInt8(ascii: "\"") else { throw unexpected }
            let key = try string()
            skipBlanks()
            guard accept(":") else { throw unexpected }
            skipBlanks()
            entries.append(JSONValue.Entry(key: key, value: try value()))
            skipBlanks()
            if accept("}") { return .object(entries) }
            guard accept(",") else { throw unexpected }
            skipBlanks()
        }
    }

    private mutating func array() throws(JSONError) -> JSONValue {
        offset += 1
        skipBlanks()
        var items: [JSONValue] = []
        if accept("]") { return .array(items) }
        while true {
            items.append(try value())
            skipBlanks()
            if accept("]") { return .array(items) }
            guard accept(",") else { throw unexpected }
            skipBlanks()
        }
    }

    private mutating func number() throws(JSONError) -> String {
        let start = offset
        func isDigit(_ byte: UInt8?) -> Bool {
            byte.map { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) } ?? false
        }
        _ = accept("-")
        let whole = offset
        while isDigit(current) { offset += 1 }
        guard offset > whole, offset == whole + 1 || bytes[whole] != UInt8(ascii: "0") else {
            throw unexpected
        }
        if accept(".") {
            let fraction = offset
            while isDigit(current) { offset += 1 }
            guard offset > fraction else { throw unexpected }
        }
        if accept("e") || accept("E") {
            _ = accept("+") || accept("-")
            let exponent = offset
            while isDigit(current) { offset += 1 }
            guard offset > exponent else { throw unexpected }
        }
        return String(decoding: bytes[start..<offset], as: UTF8.self)
    }

    private mutating func string() throws(JSONError) -> String {
        offset += 1
        var content: [UInt8] = []
        while let byte = current {
            offset += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard let text = String(validating: content, as: UTF8.self) else {
                    throw JSONError(message: "a string is not valid UTF-8")
                }
                return text
            case UInt8(ascii: "\\"): try escape(into: &content)
            case 0..<0x20:
                throw JSONError(message: "a control character in a string at byte \(offset - 1)")
            default: content.append(byte)
            }
        }
        throw JSONError(message: "a string has no end")
    }

    private mutating func escape(into content: inout [UInt8]) throws(JSONError) {
        guard let byte = current else { throw unexpected }
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): content.append(byte)
        case UInt8(ascii: "b"): content.append(0x08)
        case UInt8(ascii: "f"): content.append(0x0C)
        case UInt8(ascii: "n"): content.append(0x0A)
        case UInt8(ascii: "r"): content.append(0x0D)
        case UInt8(ascii: "t"): content.append(0x09)
        case UInt8(ascii: "u"):
            offset += 1
            var code = try hexadecimal()
            if (0xD800..<0xDC00).contains(code) {
                guard accept("\\u") else { throw unexpected }
                let low = try hexadecimal()
                guard (0xDC00..<0xE000).contains(low) else { throw unexpected }
                code = 0x1_0000 + (code - 0xD800) << 10 + (low - 0xDC00)
            }
            guard let scalar = Unicode.Scalar(code) else {
                throw JSONError(message: "half of a surrogate pair at byte \(offset)")
            }
            content += Array(String(Character(scalar)).utf8)
            return
        default: throw unexpected
        }
        offset += 1
    }

    private mutating func hexadecimal() throws(JSONError) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = current, let digit = Character(Unicode.Scalar(byte)).hexDigitValue
            else {
                throw unexpected
            }
            value = value << 4 | UInt32(digit)
            offset += 1
        }
        return value
    }
}
