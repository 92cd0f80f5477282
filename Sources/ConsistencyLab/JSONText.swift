// Writes JSON: keys in the order given, two spaces of indentation, nothing that depends on a
// locale.

internal import Encoding

/// A JSON value.
package indirect enum JSONText {
    case integer(Int64)
    case unsigned(UInt64)
    /// With so many digits behind the point, rounded.
    case decimal(Double, places: Int)
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
        case .decimal(let value, let places): return Self.decimal(value, places)
        case .boolean(let value): return value ? "true" : "false"
        case .string(let value): return JSONString.quoted(value)
        case .array(let values):
            if values.isEmpty { return "[]" }
            let lines = values.map { inner + $0.text(indent: inner) }
            return "[\n" + lines.joined(separator: ",\n") + "\n\(indent)]"
        case .object(let members):
            if members.isEmpty { return "{}" }
            let lines = members.map {
                "\(inner)\(JSONString.quoted($0.0)): \($0.1.text(indent: inner))"
            }
            return "{\n" + lines.joined(separator: ",\n") + "\n\(indent)}"
        }
    }

    /// Written digit by digit: what a locale says about points does not matter. Not a number is null.
    private static func decimal(_ value: Double, _ places: Int) -> String {
        precondition((0...9).contains(places))
        var scale: UInt64 = 1
        for _ in 0..<places { scale *= 10 }
        let scaled = (value.magnitude * Double(scale)).rounded()
        guard scaled < 9e18 else { return "null" }
        let whole = UInt64(scaled) / scale
        let sign = value < 0 && scaled > 0 ? "-" : ""
        if places == 0 { return "\(sign)\(whole)" }
        let digits = String(UInt64(scaled) % scale)
        return "\(sign)\(whole)." + String(repeating: "0", count: places - digits.count) + digits
    }
}
