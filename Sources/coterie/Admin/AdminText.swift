// Values as JSON and YAML, and figures as nodetool writes them.

internal import Encoding
internal import Environment

/// Writes values for programs and for people.
enum AdminText {
    /// JSON in one line.
    static func json(_ value: AdminValue) -> String {
        switch value {
        case .null: "null"
        case .bool(let flag): String(flag)
        case .integer(let number): String(number)
        case .number(let number): number.isFinite ? String(number) : "null"
        case .text(let text): JSONString.quoted(text)
        case .list(let elements): "[" + elements.map(json).joined(separator: ", ") + "]"
        case .map(let fields):
            "{"
                + fields.map { "\(JSONString.quoted($0.name)): \(json($0.value))" }.joined(
                    separator: ", ")
                + "}"
        }
    }

    /// YAML, a line for each scalar. Words are quoted as in JSON, which is YAML too.
    static func yaml(_ value: AdminValue) -> String {
        lines(value, 0).joined(separator: "\n") + "\n"
    }

    private static func lines(_ value: AdminValue, _ depth: Int) -> [String] {
        let indent = String(repeating: "  ", count: depth)
        switch value {
        case .map(let fields) where !fields.isEmpty:
            return fields.flatMap { field -> [String] in
                if isScalar(field.value) {
                    return ["\(indent)\(JSONString.quoted(field.name)): \(json(field.value))"]
                }
                return ["\(indent)\(JSONString.quoted(field.name)):"]
                    + lines(field.value, depth + 1)
            }
        case .list(let elements) where !elements.isEmpty:
            return elements.flatMap { element -> [String] in
                if isScalar(element) { return ["\(indent)- \(json(element))"] }
                var inner = lines(element, depth + 1)
                inner[0] = "\(indent)- " + inner[0].dropFirst(indent.count + 2)
                return inner
            }
        default: return [indent + json(value)]
        }
    }

    private static func isScalar(_ value: AdminValue) -> Bool {
        switch value {
        case .map(let fields): fields.isEmpty
        case .list(let elements): elements.isEmpty
        default: true
        }
    }

    // MARK: Figures

    /// A size as nodetool has it: `75.21 KiB`.
    static func size(_ bytes: Int64) -> String {
        let units = ["KiB", "MiB", "GiB", "TiB"]
        guard bytes >= 1024 else { return "\(bytes) bytes" }
        var value = Double(bytes) / 1024
        var unit = 0
        while value >= 1024, unit < units.count - 1 {
            value /= 1024
            unit += 1
        }
        return "\(trimmed(value, 2)) \(units[unit])"
    }

    /// With exactly so many digits behind the point.
    static func fixed(_ value: Double, _ digits: Int) -> String {
        guard value.isFinite else { return value.isNaN ? "NaN" : "\(value)" }
        var factor = 1.0
        for _ in 0..<digits { factor *= 10 }
        let scaled = Int64((value * factor).rounded())
        let text = String(scaled.magnitude)
        let padded = String(repeating: "0", count: max(0, digits + 1 - text.count)) + text
        let sign = scaled < 0 ? "-" : ""
        if digits == 0 { return sign + padded }
        return sign + padded.dropLast(digits) + "." + padded.suffix(digits)
    }

    /// With at most so many digits behind the point.
    static func trimmed(_ value: Double, _ digits: Int) -> String {
        var text = fixed(value, digits)
        guard text.contains(".") else { return text }
        while text.hasSuffix("0") { text.removeLast() }
        if text.hasSuffix(".") { text.removeLast() }
        return text
    }

    /// Rows in columns that are as wide as they must be, two spaces apart.
    static func table(_ rows: [[String]], right: Set<Int> = []) -> String {
        let columns = rows.map(\.count).max() ?? 0
        let widths = (0..<columns).map { column in
            rows.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0
        }
        return rows.map { row in
            row.enumerated().map { column, text in
                let space = String(repeating: " ", count: widths[column] - text.count)
                return right.contains(column) ? space + text : text + space
            }.joined(separator: "  ") + "\n"
        }.joined()
    }

    /// Padded on its right to a width.
    static func padded(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }

    /// A moment as nodetool's lists have it, in UTC.
    static func time(microseconds: Int64) -> String {
        let seconds = microseconds.quotientAndRemainder(dividingBy: 1_000_000)
        var days = Int(seconds.quotient / 86_400)
        let rest = Int(seconds.quotient % 86_400)
        // Days since 1970 as a date (Hinnant, "chrono-compatible low-level date algorithms").
        days += 719_468
        let era = days / 146_097
        let dayOfEra = days - era * 146_097
        let yearOfEra =
            (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthIndex = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * monthIndex + 2) / 5 + 1
        let month = monthIndex < 10 ? monthIndex + 3 : monthIndex - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
        let milliseconds = Int(seconds.remainder / 1_000)
        let fraction =
            String(repeating: "0", count: 3 - String(milliseconds).count) + "\(milliseconds)"
        return "\(year)-\(two(month))-\(two(day))T\(two(rest / 3_600)):\(two(rest / 60 % 60)):"
            + "\(two(rest % 60)).\(fraction)Z"
    }
}
