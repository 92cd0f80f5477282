// What an operator asks of a node, and what the node answers: a command line as words, and a tree of
// values. The node tells facts; how they look is for whoever shows them (a table, JSON, YAML).

package import Encoding

/// A command of the operator: the verb and its arguments.
package struct AdminRequest: Equatable, Sendable {
    package var words: [String]

    package init(_ words: [String]) { self.words = words }

    package var verb: String { words.first ?? "" }
    package var arguments: ArraySlice<String> { words.dropFirst() }

    package func encode(into writer: ByteWriter) {
        writer.appendVarint(UInt64(words.count))
        for word in words { writer.appendString(word) }
    }

    package init(from reader: inout ByteReader) throws(MalformedBytes) {
        words = []
        for _ in 0..<(try reader.readCount()) { words.append(try reader.readString()) }
    }
}

/// What came of a command.
package enum AdminAnswer: Equatable, Sendable {
    case value(AdminValue)
    /// It was not done, with the reason for a person.
    case refused(String)
}

/// A named part of a value.
package struct AdminField: Equatable, Sendable {
    package var name: String
    package var value: AdminValue

    package init(_ name: String, _ value: AdminValue) {
        self.name = name
        self.value = value
    }
}

/// A fact about a node.
package indirect enum AdminValue: Equatable, Sendable {
    case null
    case bool(Bool)
    case integer(Int64)
    case number(Double)
    case text(String)
    case list([AdminValue])
    /// In the order in which a person would read it; names are unique.
    case map([AdminField])

    /// Deeper values are malformed.
    private static let maximumDepth = 32

    package static func count(_ value: Int) -> AdminValue { .integer(Int64(value)) }

    /// The part of that name; null if there is none.
    package subscript(_ name: String) -> AdminValue {
        guard case .map(let fields) = self else { return .null }
        return fields.first { $0.name == name }?.value ?? .null
    }

    package var elements: [AdminValue] {
        if case .list(let elements) = self { elements } else { [] }
    }

    package var fields: [AdminField] {
        if case .map(let fields) = self { fields } else { [] }
    }

    package var integer: Int64 {
        switch self {
        case .integer(let value): value
        case .number(let value): Int64(exactly: value.rounded()) ?? 0
        default: 0
        }
    }

    package var number: Double {
        switch self {
        case .integer(let value): Double(value)
        case .number(let value): value
        default: .nan
        }
    }

    package var isTrue: Bool { self == .bool(true) }

    /// As a word.
    package var text: String {
        switch self {
        case .null: ""
        case .bool(let value): String(value)
        case .integer(let value): String(value)
        case .number(let value): String(value)
        case .text(let value): value
        case .list(let elements): elements.map(\.text).joined(separator: ", ")
        case .map(let fields): fields.map { "\($0.name)=\($0.value.text)" }.joined(separator: ", ")
        }
    }

    /// The values of two shards as one: figures add up, lists follow each other, maps join by name;
    /// of words the first one stays.
    package func joined(with other: AdminValue) -> AdminValue {
        switch (self, other) {
        case (.null, let value): return value
        case (.integer(let left), .integer(let right)): return .integer(left &+ right)
        case (.number(let left), .number(let right)): return .number(left + right)
        case (.bool(let left), .bool(let right)): return .bool(left || right)
        case (.list(let left), .list(let right)): return .list(left + right)
        case (.map(var left), .map(let right)):
            for field in right {
                if let index = left.firstIndex(where: { $0.name == field.name }) {
                    left[index].value = left[index].value.joined(with: field.value)
                } else {
                    left.append(field)
                }
            }
            return .map(left)
        default: return self
        }
    }

    // MARK: Bytes

    package func encode(into writer: ByteWriter) {
        switch self {
        case .null: writer.append(0)
        case .bool(let value): writer.append(value ? 2 : 1)
        case .integer(let value):
            writer.append(3)
            writer.appendLittleEndian(value)
        case .number(let value):
            writer.append(4)
            writer.appendLittleEndian(value.bitPattern)
        case .text(let value):
            writer.append(5)
            writer.appendString(value)
        case .list(let elements):
            writer.append(6)
            writer.appendVarint(UInt64(elements.count))
            for element in elements { element.encode(into: writer) }
        case .map(let fields):
            writer.append(7)
            writer.appendVarint(UInt64(fields.count))
            for field in fields {
                writer.appendString(field.name)
                field.value.encode(into: writer)
            }
        }
    }

    package init(from reader: inout ByteReader) throws(MalformedBytes) {
        try self.init(from: &reader, depth: 0)
    }

    private init(from reader: inout ByteReader, depth: Int) throws(MalformedBytes) {
        guard depth < Self.maximumDepth else {
            throw MalformedBytes("a value in values beyond \(depth)", offset: reader.position)
        }
        switch try reader.readUInt8() {
        case 0: self = .null
        case 1: self = .bool(false)
        case 2: self = .bool(true)
        case 3: self = .integer(try reader.readLittleEndian())
        case 4: self = .number(Double(bitPattern: try reader.readLittleEndian()))
        case 5: self = .text(try reader.readString())
        case 6:
            var elements: [AdminValue] = []
            for _ in 0..<(try reader.readCount()) {
                elements.append(try AdminValue(from: &reader, depth: depth + 1))
            }
            self = .list(elements)
        case 7:
            var fields: [AdminField] = []
            for _ in 0..<(try reader.readCount()) {
                let name = try reader.readString()
                fields.append(AdminField(name, try AdminValue(from: &reader, depth: depth + 1)))
            }
            self = .map(fields)
        case let tag: throw MalformedBytes("unknown value \(tag)", offset: reader.position)
        }
    }
}

extension AdminValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    package init(stringLiteral value: String) { self = .text(value) }
    package init(integerLiteral value: Int64) { self = .integer(value) }
    package init(booleanLiteral value: Bool) { self = .bool(value) }
    package init(arrayLiteral elements: AdminValue...) { self = .list(elements) }
    package init(dictionaryLiteral elements: (String, AdminValue)...) {
        self = .map(elements.map { AdminField($0.0, $0.1) })
    }
}
