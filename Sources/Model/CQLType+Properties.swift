// What a type is: its shape, its parts, its name in CQL.

extension CQLType {
    /// A list, set or map, frozen or not.
    package var isCollection: Bool {
        switch self {
        case .list, .set, .map: true
        default: false
        }
    }

    /// Whether a column of the type keeps a cell for each element: a collection or user-defined
    /// type that is not frozen.
    package var isMultiCell: Bool {
        switch self {
        case .list(_, let frozen), .set(_, let frozen), .map(_, _, let frozen),
            .userDefined(_, let frozen):
            !frozen
        default: false
        }
    }

    /// A nested type whose value is one cell. Tuples and vectors always are.
    package var isFrozen: Bool {
        switch self {
        case .list(_, let frozen), .set(_, let frozen), .map(_, _, let frozen),
            .userDefined(_, let frozen):
            frozen
        case .tuple, .vector: true
        default: false
        }
    }

    /// Whether values of the type are made of values of other types.
    package var isNested: Bool {
        switch self {
        case .list, .set, .map, .tuple, .userDefined, .vector: true
        default: false
        }
    }

    /// The types that this one is directly made of, in order.
    package var parts: [CQLType] {
        switch self {
        case .list(let element, _), .set(let element, _), .vector(let element, _): [element]
        case .map(let key, let value, _): [key, value]
        case .tuple(let types): types
        case .userDefined(let definition, _): definition.fields.map(\.type)
        default: []
        }
    }

    /// The type of part `index` of a nested value, counted as `CQLValueParts` walks.
    package func partType(_ index: Int) -> CQLType {
        switch self {
        case .list(let element, _), .set(let element, _), .vector(let element, _): element
        case .map(let key, let value, _): index.isMultiple(of: 2) ? key : value
        case .tuple(let types): index < types.count ? types[index] : .blob
        case .userDefined(let definition, _):
            index < definition.fields.count ? definition.fields[index].type : .blob
        default: .blob
        }
    }

    /// The type with itself and all that it is made of frozen, as `frozen<...>` makes it.
    package var frozen: CQLType {
        switch self {
        case .list(let element, _): .list(element.frozen, frozen: true)
        case .set(let element, _): .set(element.frozen, frozen: true)
        case .map(let key, let value, _): .map(key.frozen, value.frozen, frozen: true)
        case .tuple(let types): .tuple(types.map(\.frozen))
        case .vector(let element, let dimensions): .vector(element.frozen, dimensions: dimensions)
        case .userDefined(let definition, _):
            .userDefined(
                UserDefinedType(
                    keyspace: definition.keyspace, name: definition.name,
                    fields: definition.fields.map { .init(name: $0.name, type: $0.type.frozen) }),
                frozen: true)
        default: self
        }
    }

    /// The type with tuples in place of user-defined types: what is left of it to say when those may be
    /// altered or dropped. Values mean the same.
    package var expanded: CQLType {
        switch self {
        case .list(let element, let isFrozen): .list(element.expanded, frozen: isFrozen)
        case .set(let element, let isFrozen): .set(element.expanded, frozen: isFrozen)
        case .map(let key, let value, let isFrozen):
            .map(key.expanded, value.expanded, frozen: isFrozen)
        case .tuple(let types): .tuple(types.map(\.expanded))
        case .vector(let element, let dimensions):
            .vector(element.expanded, dimensions: dimensions)
        case .userDefined(let definition, _):
            .tuple(definition.fields.map(\.type.frozen.expanded))
        default: self
        }
    }

    /// Whether `predicate` holds for the type or for one that it is made of, at any depth.
    package func contains(where predicate: (CQLType) -> Bool) -> Bool {
        predicate(self) || parts.contains { $0.contains(where: predicate) }
    }

    /// Whether the type is or holds a duration, which has no order and so cannot be in a key, in a
    /// set or in a map's key.
    package var containsDuration: Bool { contains { $0 == .duration } }

    /// Whether columns of the type may cluster rows, and why not where they may not.
    package var refusalAsClusteringKey: String? {
        if self == .counter { return "counter type is not supported for PRIMARY KEY column" }
        if containsDuration { return "duration type is not supported for PRIMARY KEY column" }
        if isMultiCell {
            return "Invalid non-frozen collection or user-defined type for PRIMARY KEY"
        }
        return nil
    }

    /// The type as CQL writes it, for example `frozen<map<text, int>>`.
    package var cqlName: String {
        switch self {
        case .ascii: "ascii"
        case .bigint: "bigint"
        case .blob: "blob"
        case .boolean: "boolean"
        case .counter: "counter"
        case .date: "date"
        case .decimal: "decimal"
        case .double: "double"
        case .duration: "duration"
        case .float: "float"
        case .inet: "inet"
        case .int: "int"
        case .smallint: "smallint"
        case .text: "text"
        case .time: "time"
        case .timestamp: "timestamp"
        case .timeuuid: "timeuuid"
        case .tinyint: "tinyint"
        case .uuid: "uuid"
        case .varint: "varint"
        case .list(let element, let frozen): Self.name("list<\(element.cqlName)>", frozen)
        case .set(let element, let frozen): Self.name("set<\(element.cqlName)>", frozen)
        case .map(let key, let value, let frozen):
            Self.name("map<\(key.cqlName), \(value.cqlName)>", frozen)
        case .tuple(let types):
            Self.name("tuple<\(types.map(\.cqlName).joined(separator: ", "))>", true)
        case .vector(let element, let dimensions): "vector<\(element.cqlName), \(dimensions)>"
        case .userDefined(let definition, let frozen):
            Self.name(CQLIdentifier.quoted(definition.name), frozen)
        case .custom(let className): CQLIdentifier.literal(className)
        }
    }

    private static func name(_ text: String, _ frozen: Bool) -> String {
        frozen ? "frozen<\(text)>" : text
    }
}

/// How names of keyspaces, tables, columns and types are written in CQL.
package enum CQLIdentifier {
    /// `name` as CQL must write it: as it is when it is lower case and no reserved word, otherwise
    /// in double quotes.
    package static func quoted(_ name: String) -> String {
        let isPlain =
            name.utf8.enumerated().allSatisfy { index, byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"): true
                case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"): index > 0
                default: false
                }
            }
        if isPlain, !name.isEmpty, !reserved.contains(name) { return name }
        return "\"" + doubling("\"", in: name) + "\""
    }

    /// The text as a string literal.
    package static func literal(_ text: String) -> String { "'" + doubling("'", in: text) + "'" }

    /// By scalars: a mark that a combining character follows is no `Character` of its own.
    private static func doubling(_ mark: Unicode.Scalar, in text: String) -> String {
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            result.append(scalar)
            if scalar == mark { result.append(scalar) }
        }
        return String(result)
    }

    /// The words that CQL's grammar keeps for itself (CQL specification, appendix A).
    package static let reserved: Set<String> = [
        "add", "allow", "alter", "and", "apply", "asc", "authorize", "batch", "begin", "by",
        "columnfamily", "create", "default", "delete", "desc", "describe", "drop", "entries",
        "execute", "from", "full", "grant", "if", "in", "index", "infinity", "insert", "into", "is",
        "keyspace", "limit", "materialized", "mbean", "mbeans", "modify", "nan", "norecursive",
        "not", "null", "of", "on", "or", "order", "primary", "rename", "replace", "revoke",
        "schema",
        "select", "set", "table", "to", "token", "truncate", "unlogged", "unset", "update", "use",
        "using", "view", "where", "with",
    ]
}
