// Texts inside of JSON (RFC 8259, section 7).

/// Writes strings as JSON has them.
package enum JSONString {
    /// The text in quotation marks, with what may not stand between them escaped.
    package static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case 0x22: result += "\\\""
            case 0x5C: result += "\\\\"
            case 0x08: result += "\\b"
            case 0x09: result += "\\t"
            case 0x0A: result += "\\n"
            case 0x0C: result += "\\f"
            case 0x0D: result += "\\r"
            case 0..<0x20:
                result +=
                    "\\u00" + HexText.text([UInt8(truncatingIfNeeded: scalar.value)]).uppercased()
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
