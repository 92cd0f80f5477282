// The Java class names that stand for types: in the native protocol's `custom` option, and in statements
// that name a type by its class.
//
// For example `org.apache.cassandra.db.marshal.VectorType(org.apache.cassandra.db.marshal.FloatType , 3)`.
// Names of user-defined types and their fields are in hexadecimal, as Cassandra writes them.

internal import Encoding

/// Between types and Cassandra's class names.
package enum JavaTypeName {
    private static let package = "org.apache.cassandra.db.marshal."

    private static let plain: [(type: CQLType, name: String)] = [
        (.ascii, "AsciiType"), (.bigint, "LongType"), (.blob, "BytesType"),
        (.boolean, "BooleanType"), (.counter, "CounterColumnType"), (.date, "SimpleDateType"),
        (.decimal, "DecimalType"), (.double, "DoubleType"), (.duration, "DurationType"),
        (.float, "FloatType"), (.inet, "InetAddressType"), (.int, "Int32Type"),
        (.smallint, "ShortType"), (.text, "UTF8Type"), (.time, "TimeType"),
        (.timestamp, "TimestampType"), (.timeuuid, "TimeUUIDType"), (.tinyint, "ByteType"),
        (.uuid, "UUIDType"), (.varint, "IntegerType"),
    ]

    /// Classes of former versions, and the types that Cassandra takes them for.
    private static let former: [String: CQLType] = [
        "DateType": .timestamp, "LexicalUUIDType": .uuid,
    ]

    /// The full class name of `type`, with its parameters.
    package static func name(of type: CQLType) -> String {
        switch type {
        case .list(let element, let frozen): freeze("ListType(\(name(of: element)))", frozen)
        case .set(let element, let frozen): freeze("SetType(\(name(of: element)))", frozen)
        case .map(let key, let value, let frozen):
            freeze("MapType(\(name(of: key)),\(name(of: value)))", frozen)
        case .tuple(let parts):
            package + "TupleType(" + parts.map { name(of: $0) }.joined(separator: ",") + ")"
        case .vector(let element, let dimensions):
            package + "VectorType(\(name(of: element)) , \(dimensions))"
        case .userDefined(let type, let frozen):
            freeze(
                "UserType("
                    + ([type.keyspace, HexText.text(type.name.utf8)]
                    + type.fields.map { "\(HexText.text($0.name.utf8)):\(name(of: $0.type))" })
                    .joined(separator: ",") + ")", frozen)
        case .custom(let name): name
        default:
            if let found = plain.first(where: { $0.type == type }) {
                package + found.name
            } else {
                preconditionFailure("type \(type) has no class name")
            }
        }
    }

    private static func freeze(_ inner: String, _ frozen: Bool) -> String {
        frozen ? "\(package)FrozenType(\(package)\(inner))" : package + inner
    }

    /// The type that a class name stands for; one that we do not know is `custom`.
    package static func type(named name: String) -> CQLType {
        var parser = Parser(text: Array(name.utf8))
        guard let type = parser.parseType(depth: 0), parser.isAtEnd else { return .custom(name) }
        return type
    }

    /// The type that a class name in a statement stands for: without a package, one of Cassandra's own.
    package static func type(inStatement name: String) -> CQLType {
        name.hasPrefix(package) || !name.contains(".") ? type(named: name) : .custom(name)
    }

    /// Classes whose values are only bytes here.
    private static let opaque: Set<String> = ["CompositeType", "EmptyType"]

    /// The full name of a class of Cassandra's that stands for none of CQL's types, as its schema has it: with
    /// the package before it and before its parameters. Other names stay as they are.
    package static func qualified(_ name: String) -> String {
        let head = name.prefix { $0 != "(" }
        let short = head.hasPrefix(package) ? head.dropFirst(package.count) : head
        guard opaque.contains(String(short)) else { return name }
        var result = ""
        var word = ""
        for character in name + " " {
            guard "(), ".contains(character) else {
                word.append(character)
                continue
            }
            let isBare = !word.isEmpty && !word.contains(".") && Int(word) == nil
            result += isBare ? package + word : word
            word = ""
            if character != " " { result.append(character) }
        }
        return result
    }

    private struct Parser {
        let text: [UInt8]
        var position = 0

        var isAtEnd: Bool { position == text.count }

        mutating func skipSpaces() {
            while position < text.count, text[position] == UInt8(ascii: " ") { position += 1 }
        }

        mutating func consume(_ character: Unicode.Scalar) -> Bool {
            skipSpaces()
            guard position < text.count, text[position] == UInt8(ascii: character) else {
                return false
            }
            position += 1
            return true
        }

        mutating func parseWord() -> String {
            skipSpaces()
            let start = position
            let stops = Array("(), :".utf8)
            while position < text.count, !stops.contains(text[position]) { position += 1 }
            return String(decoding: text[start..<position], as: UTF8.self)
        }

        mutating func parseType(depth: Int) -> CQLType? {
            guard depth < 64 else { return nil }
            let word = parseWord()
            let short = word.split(separator: ".").last.map(String.init) ?? word
            if let found = JavaTypeName.plain.first(where: { $0.name == short }) {
                return found.type
            }
            if let found = JavaTypeName.former[short] { return found }
            guard consume("(") else { return nil }
            if short == "UserType" { return parseUserType(depth: depth) }
            guard let first = parseType(depth: depth + 1) else { return nil }
            if short == "VectorType" {
                guard consume(","), let dimensions = Int(parseWord()), dimensions > 0,
                    consume(")")
                else { return nil }
                return .vector(first, dimensions: dimensions)
            }
            var parts = [first]
            while consume(",") {
                guard let part = parseType(depth: depth + 1) else { return nil }
                parts.append(part)
            }
            guard consume(")") else { return nil }
            return assemble(short, parts)
        }

        private func assemble(_ name: String, _ parts: [CQLType]) -> CQLType? {
            switch (name, parts.count) {
            case ("ListType", 1): .list(parts[0], frozen: false)
            case ("SetType", 1): .set(parts[0], frozen: false)
            case ("MapType", 2): .map(parts[0], parts[1], frozen: false)
            case ("TupleType", _): .tuple(parts)
            case ("ReversedType", 1): parts[0]
            case ("FrozenType", 1): frozen(parts[0])
            default: nil
            }
        }

        private func frozen(_ type: CQLType) -> CQLType {
            switch type {
            case .list(let element, _): .list(element, frozen: true)
            case .set(let element, _): .set(element, frozen: true)
            case .map(let key, let value, _): .map(key, value, frozen: true)
            case .userDefined(let type, _): .userDefined(type, frozen: true)
            default: type
            }
        }

        private mutating func parseUserType(depth: Int) -> CQLType? {
            let keyspace = parseWord()
            guard consume(","), let name = unhex(parseWord()) else { return nil }
            var fields: [UserDefinedType.Field] = []
            while consume(",") {
                guard let field = unhex(parseWord()), consume(":"),
                    let type = parseType(depth: depth + 1)
                else { return nil }
                fields.append(.init(name: field, type: type))
            }
            guard consume(")") else { return nil }
            return .userDefined(
                UserDefinedType(keyspace: keyspace, name: name, fields: fields), frozen: false)
        }

        private func unhex(_ digits: String) -> String? {
            let utf8 = Array(digits.utf8)
            guard utf8.count % 2 == 0 else { return nil }
            var bytes: [UInt8] = []
            for index in stride(from: 0, to: utf8.count, by: 2) {
                let pair = String(decoding: utf8[index..<index + 2], as: UTF8.self)
                guard let byte = UInt8(pair, radix: 16) else { return nil }
                bytes.append(byte)
            }
            return String(validating: bytes, as: UTF8.self)
        }
    }
}
