// Writes JSON: keys in the order given, two spaces of indentation, nothing that depends on a
// locale.

/// A JSON value.
package indirect enum JSONText {
    case integer(Int64)
    case unsigned(UInt64)
    case boolean(Bool)
    case string(String)
    case array([JSONText])
    case object([(String, JSONText)])

    /// The text, ending without a newline.
    package func text(indent: String = "") -> String {
        let inner = indent + "  "
        switch self {
        case .integer(let value): return String(value)
        case .unsigned(let value): return String(value)
        case .boolean(let value): return value ? "true" : "false"
        case .string(let value): return Self.quoted(value)
        case .array(let values):
            if values.isEmpty { return "[]" }
            let lines = values.map { inner + $0.text(indent: inner) }
            return "[\n" + lines.joined(separator: ",\n") + "\n\(indent)]"
        case .object(let members):
            if members.isEmpty { return "{}" }
            let lines = members.map {
                "\(inner)\(Self.quoted($0.0)): \($0.1.text(indent: inner))"
            }
            return "{\n" + lines.joined(separator: ",\n") + "\n\(indent)}"
        }
    }

    private static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case _ where scalar.value < 0x20:
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
