// Values and types as they are written, before anybody knows what they are for.

package import Model

/// A name with an optional keyspace before it, both folded.
package struct QualifiedName: Equatable, Sendable, CustomStringConvertible {
    package let keyspace: String?
    package let name: String

    package init(keyspace: String?, name: String) {
        self.keyspace = keyspace
        self.name = name
    }

    package var description: String {
        keyspace.map { Identifier.quoted($0) + "." + Identifier.quoted(name) }
            ?? Identifier.quoted(name)
    }
}

/// A literal: its kind, which limits the types it can become, and its text without quotation marks.
package struct Literal: Equatable, Sendable {
    package enum Kind: String, Sendable {
        case string = "STRING"
        case integer = "INTEGER"
        case float = "FLOAT"
        case boolean = "BOOLEAN"
        case duration = "DURATION"
        case uuid = "UUID"
        case hexadecimal = "HEX"
    }

    package let kind: Kind
    package let text: String

    package init(kind: Kind, text: String) {
        self.kind = kind
        self.text = text
    }

    /// As the statement had it, for error texts and result column names.
    package var sourceText: String { kind == .string ? Identifier.literal(text) : text }
}

/// Arithmetic between two values.
package enum ArithmeticOperator: String, Equatable, Sendable, CaseIterable {
    case add = "+"
    case subtract = "-"
    case multiply = "*"
    case divide = "/"
    case remainder = "%"
}

/// A value as it is written.
package indirect enum Term: Equatable, Sendable {
    case null
    case literal(Literal)
    /// The bind marker of that index.
    case marker(Int)
    case list([Term])
    /// Also the empty map: `{}` says nothing about itself.
    case set([Term])
    case map([MapEntry])
    case userType([FieldValue])
    case tuple([Term])
    case function(QualifiedName, [Term])
    /// `(type) value`
    case typeHint(TypeSyntax, Term)
    /// `CAST(value AS type)`
    case cast(Term, TypeSyntax)
    case arithmetic(ArithmeticOperator, Term, Term)
    case negation(Term)

    package struct MapEntry: Equatable, Sendable {
        package let key: Term
        package let value: Term
    }

    package struct FieldValue: Equatable, Sendable {
        package let name: String
        package let value: Term
    }

    /// As a statement would show it, for error texts and result column names.
    package var sourceText: String {
        switch self {
        case .null: "NULL"
        case .literal(let literal): literal.sourceText
        case .marker: "?"
        case .list(let items): "[" + items.map(\.sourceText).joined(separator: ", ") + "]"
        case .set(let items): "{" + items.map(\.sourceText).joined(separator: ", ") + "}"
        case .map(let entries):
            "{"
                + entries.map { "\($0.key.sourceText): \($0.value.sourceText)" }
                .joined(separator: ", ") + "}"
        case .userType(let fields):
            "{" + fields.map { "\($0.name): \($0.value.sourceText)" }.joined(separator: ", ") + "}"
        case .tuple(let items): "(" + items.map(\.sourceText).joined(separator: ", ") + ")"
        case .function(let name, let arguments):
            "\(name)(" + arguments.map(\.sourceText).joined(separator: ", ") + ")"
        case .typeHint(let type, let term): "(\(type))\(term.sourceText)"
        case .cast(let term, let type): "cast(\(term.sourceText) as \(type))"
        case .arithmetic(let sign, let left, let right):
            "\(left.sourceText) \(sign.rawValue) \(right.sourceText)"
        case .negation(let term): "-\(term.sourceText)"
        }
    }
}

/// A type as it is written.
package indirect enum TypeSyntax: Equatable, Sendable, CustomStringConvertible {
    case native(CQLType, name: String)
    case list(TypeSyntax)
    case set(TypeSyntax)
    case map(TypeSyntax, TypeSyntax)
    case tuple([TypeSyntax])
    case vector(TypeSyntax, dimensions: Int)
    case frozen(TypeSyntax)
    case userDefined(QualifiedName)
    case custom(String)

    package var description: String {
        switch self {
        case .native(_, let name): name
        case .list(let element): "list<\(element)>"
        case .set(let element): "set<\(element)>"
        case .map(let key, let value): "map<\(key), \(value)>"
        case .tuple(let parts):
            "tuple<" + parts.map(\.description).joined(separator: ", ") + ">"
        case .vector(let element, let dimensions): "vector<\(element), \(dimensions)>"
        case .frozen(let type): "frozen<\(type)>"
        case .userDefined(let name): name.description
        case .custom(let name): Identifier.literal(name)
        }
    }
}
