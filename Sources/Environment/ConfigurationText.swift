// The text of a configuration file: the part of YAML that configuration files are written in.
//
//     key: value              scalars: plain, 'single' and "double" quoted
//     key:                    a map or a list below, by indentation
//       inner: value
//     list:
//       - item
//     flow: [a, b]            and {} and []
//
// Anchors, tags, block scalars, several documents and tabs are refused, with the line. A value is text:
// what it means is for whoever knows the setting. The text is not trusted: depth and size are bounded.

/// A value of a configuration file.
package indirect enum ConfigurationValue: Equatable, Sendable {
    /// Nothing stands behind the key.
    case none
    case text(String)
    case list([ConfigurationValue])
    case map([ConfigurationField])
}

/// A key with its value and the line it stands on, from 1.
package struct ConfigurationField: Equatable, Sendable {
    package let key: String
    package let value: ConfigurationValue
    package let line: Int
}

/// Reads the text of a configuration file.
struct ConfigurationText {
    private struct Line {
        let number: Int
        let indent: Int
        let content: Substring
    }

    private static let maximumBytes = 4 << 20
    private static let maximumDepth = 16

    private var lines: [Line] = []
    private var next = 0

    /// The fields of the file, in order. A key that comes twice is an error.
    static func fields(_ text: String) throws(SettingFailure) -> [ConfigurationField] {
        guard text.utf8.count <= maximumBytes else {
            throw SettingFailure(description: "the file is larger than \(maximumBytes) bytes")
        }
        var reader = try ConfigurationText(text)
        guard let first = reader.lines.first else { return [] }
        guard case .map(let fields) = try reader.block(indent: first.indent, depth: 0) else {
            throw reader.failure(first, "the file must consist of lines `key: value`")
        }
        if reader.next < reader.lines.count {
            throw reader.failure(reader.lines[reader.next], "the indentation fits no line above")
        }
        return fields
    }

    private init(_ text: String) throws(SettingFailure) {
        var number = 0
        for raw in text.split(separator: "\n", omittingEmptySubsequences: false) {
            number += 1
            let line = raw.last == "\r" ? raw.dropLast() : raw
            let content = Self.withoutComment(line.drop { $0 == " " })
            if content.isEmpty || content == "---" && lines.isEmpty { continue }
            let found = Line(
                number: number, indent: line.prefix { $0 == " " }.count, content: content)
            if content.first == "\t" { throw failure(found, "a tab does not indent") }
            if content == "---" || content == "..." {
                throw failure(found, "there must be one document only")
            }
            lines.append(found)
        }
    }

    private func failure(_ line: Line, _ reason: String) -> SettingFailure {
        SettingFailure(description: "line \(line.number): \(reason)")
    }

    /// The text before a `#` that begins a comment, without spaces at its end.
    private static func withoutComment(_ text: Substring) -> Substring {
        var quote: Character?
        var previous: Character = " "
        var end = text.endIndex
        for index in text.indices {
            let character = text[index]
            if let open = quote {
                if character == open { quote = nil }
            } else if (character == "'" || character == "\"") && " [{,:".contains(previous) {
                quote = character
            } else if character == "#", previous == " " || previous == "\t" {
                end = index
                break
            }
            previous = character
        }
        var content = text[..<end]
        while let last = content.last, last == " " || last == "\t" { content.removeLast() }
        return content
    }

    // MARK: Blocks

    /// The map or list whose lines have that indentation.
    private mutating func block(
        indent: Int, depth: Int
    ) throws(SettingFailure) -> ConfigurationValue {
        guard depth < Self.maximumDepth else {
            throw failure(lines[next], "more than \(Self.maximumDepth) levels")
        }
        let isList = Self.item(lines[next].content) != nil
        var items: [ConfigurationValue] = []
        var fields: [ConfigurationField] = []
        while next < lines.count, lines[next].indent == indent {
            let line = lines[next]
            if let item = Self.item(line.content) {
                guard isList else { throw failure(line, "a list item among keys") }
                items.append(try listItem(item, line, depth))
                continue
            }
            guard !isList else { break }
            let field = try field(line, depth)
            if let other = fields.first(where: { $0.key == field.key }) {
                throw failure(line, "\(field.key) was set before, in line \(other.line)")
            }
            fields.append(field)
        }
        if next < lines.count, lines[next].indent > indent {
            throw failure(lines[next], "the indentation fits no line above")
        }
        return isList ? .list(items) : .map(fields)
    }

    /// What stands behind the dash of a list item; nil if the line is none.
    private static func item(_ content: Substring) -> Substring? {
        if content == "-" { return "" }
        guard content.hasPrefix("- ") else { return nil }
        return content.dropFirst(2).drop { $0 == " " }
    }

    private mutating func listItem(
        _ item: Substring, _ line: Line, _ depth: Int
    ) throws(SettingFailure) -> ConfigurationValue {
        if item.isEmpty {
            next += 1
            guard next < lines.count, lines[next].indent > line.indent else { return .none }
            return try block(indent: lines[next].indent, depth: depth + 1)
        }
        guard try split(item, line) != nil else {
            next += 1
            return try scalar(item, line)
        }
        // A map that begins behind the dash: its other keys stand under its first one.
        let indent = line.indent + (line.content.count - item.count)
        lines[next] = Line(number: line.number, indent: indent, content: item)
        return try block(indent: indent, depth: depth + 1)
    }

    private mutating func field(
        _ line: Line, _ depth: Int
    ) throws(SettingFailure) -> ConfigurationField {
        guard let (key, rest) = try split(line.content, line) else {
            throw failure(line, "expected `key: value`, found `\(line.content.prefix(60))`")
        }
        next += 1
        if !rest.isEmpty {
            return ConfigurationField(key: key, value: try scalar(rest, line), line: line.number)
        }
        guard next < lines.count else {
            return ConfigurationField(key: key, value: .none, line: line.number)
        }
        let isBelow = lines[next].indent > line.indent
        // A list may stand under its key without indentation.
        let isList = lines[next].indent == line.indent && Self.item(lines[next].content) != nil
        guard isBelow || isList else {
            return ConfigurationField(key: key, value: .none, line: line.number)
        }
        return ConfigurationField(
            key: key, value: try block(indent: lines[next].indent, depth: depth + 1),
            line: line.number)
    }

    /// Key and value of a line `key: value` or `key:`; nil if it is none.
    private func split(
        _ content: Substring, _ line: Line
    ) throws(SettingFailure) -> (key: String, rest: Substring)? {
        if "'\"[{".contains(content.first ?? " ") { return nil }
        guard
            let colon = content.indices.first(where: { index in
                content[index] == ":"
                    && (content.index(after: index) == content.endIndex
                        || content[content.index(after: index)] == " ")
            })
        else { return nil }
        let key = String(content[..<colon])
        guard !key.isEmpty, key.utf8.count <= 256 else {
            throw failure(line, "a key has 1 to 256 bytes")
        }
        return (key, content[content.index(after: colon)...].drop { $0 == " " })
    }

    // MARK: Scalars

    private func scalar(
        _ text: Substring, _ line: Line
    ) throws(SettingFailure) -> ConfigurationValue {
        switch text.first {
        case "'", "\"": return .text(try quoted(text, line))
        case "[":
            guard text.last == "]" else { throw failure(line, "a list without its end `]`") }
            let inner = text.dropFirst().dropLast()
            if inner.allSatisfy({ $0 == " " }) { return .list([]) }
            var items: [ConfigurationValue] = []
            for part in inner.split(separator: ",", omittingEmptySubsequences: false) {
                let trimmed = Self.withoutComment(part.drop { $0 == " " })
                if "[{".contains(trimmed.first ?? " ") {
                    throw failure(line, "lists in lists are written on lines of their own")
                }
                items.append(try scalar(trimmed, line))
            }
            return .list(items)
        case "{":
            guard text.dropFirst().allSatisfy({ $0 == " " || $0 == "}" }), text.last == "}" else {
                throw failure(line, "a map is written on lines of its own")
            }
            return .map([])
        case "&", "*", "!", "|", ">", "%", "@", "`":
            throw failure(
                line, "`\(text.prefix(1))` has a meaning in YAML that is not supported here")
        case _ where text == "~" || text == "null": return .none
        default: return .text(String(text))
        }
    }

    private func quoted(_ text: Substring, _ line: Line) throws(SettingFailure) -> String {
        let quote = text.first
        var result = ""
        var rest = text.dropFirst()
        while let character = rest.popFirst() {
            if character == quote {
                if quote == "'", rest.first == "'" {
                    rest.removeFirst()
                    result.append("'")
                    continue
                }
                guard rest.isEmpty else { throw failure(line, "text behind the closing quote") }
                return result
            }
            if character == "\\", quote == "\"" {
                switch rest.popFirst() {
                case "n": result.append("\n")
                case "t": result.append("\t")
                case "\"": result.append("\"")
                case "\\": result.append("\\")
                case let other:
                    throw failure(line, "unknown escape \\\(other.map(String.init) ?? "")")
                }
                continue
            }
            result.append(character)
        }
        throw failure(line, "a quote that is not closed")
    }
}
