// Rows as lines of JSON, one object for each row: CAPTURE JSON.
//
// Numbers that JSON's readers take exactly are numbers; what has no JSON form (blobs, times, UUIDs) is a
// string as the shell shows it. A map is an object whose keys are texts.

internal import Encoding
internal import Model
internal import NativeProtocol

/// Writes rows as JSON.
enum JSONLines {
    /// Prints each row of the page as one line.
    static func print(
        _ page: ResultRows, _ columns: [ColumnSpecification], to output: ShellOutput
    ) {
        for row in 0..<page.rowCount {
            let fields = columns.enumerated().map { index, column in
                let value = page.withValue(row: row, column: index) { text($0, column.type) }
                return "\(JSONString.quoted(column.name)): \(value)"
            }
            output.printResult("{" + fields.joined(separator: ", ") + "}")
        }
    }

    /// A value as JSON.
    static func text(_ value: UnsafeRawBufferPointer?, _ type: CQLType) -> String {
        guard let value else { return "null" }
        switch type {
        case .text, .ascii: return JSONString.quoted(String(decoding: value, as: UTF8.self))
        case .boolean where value.count == 1: return value[0] != 0 ? "true" : "false"
        case .tinyint, .smallint, .int, .bigint, .varint, .counter, .decimal, .float, .double:
            // As a literal, all digits are there.
            let number = type.format(value)
            return number.isEmpty || number.contains("N") || number.contains("I")
                ? JSONString.quoted(number) : number
        case .list, .set, .map, .tuple, .vector, .userDefined: return nested(value, type)
        default: return JSONString.quoted(type.display(value))
        }
    }

    private static func nested(_ value: UnsafeRawBufferPointer, _ type: CQLType) -> String {
        guard var parts = CQLValueParts(type, value) else {
            return JSONString.quoted(type.display(value))
        }
        var texts: [String] = []
        walk: while true {
            switch parts.next() {
            case .part(let part): texts.append(text(part, type.partType(texts.count)))
            case .null: texts.append("null")
            case .end: break walk
            case .malformed: return JSONString.quoted(type.display(value))
            }
        }
        switch type {
        case .map:
            let pairs = stride(from: 0, to: texts.count - 1, by: 2).map {
                let key = texts[$0].hasPrefix("\"") ? texts[$0] : JSONString.quoted(texts[$0])
                return "\(key): \(texts[$0 + 1])"
            }
            return "{" + pairs.joined(separator: ", ") + "}"
        case .userDefined(let definition, _):
            let fields = zip(definition.fields, texts).map {
                "\(JSONString.quoted($0.name)): \($1)"
            }
            return "{" + fields.joined(separator: ", ") + "}"
        default: return "[" + texts.joined(separator: ", ") + "]"
        }
    }
}
