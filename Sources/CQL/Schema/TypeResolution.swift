// Types as written become types as meant: names of user-defined types are looked up, and what CQL
// forbids inside collections, tuples and vectors is refused (texts are Cassandra's).

internal import Model

/// Looks up the types that a statement names.
struct TypeResolution {
    /// The keyspace whose user-defined types may be named.
    let keyspace: String
    let types: [UserDefinedType]

    /// The type that `syntax` means in this keyspace.
    func resolve(_ syntax: TypeSyntax) throws(CQLError) -> CQLType {
        let type = try meaning(of: syntax)
        try Self.checkDepth(type)
        return type
    }

    /// Refuses a type that is nested deeper than its stored form may be.
    static func checkDepth(_ type: CQLType) throws(CQLError) {
        guard type.depth <= CQLType.maximumDepth else {
            throw .invalid("Types may be nested at most \(CQLType.maximumDepth) levels deep")
        }
    }

    /// `whole` is how refusals show the type, with the `frozen<…>` around it.
    private func meaning(
        of syntax: TypeSyntax, in whole: TypeSyntax? = nil
    ) throws(CQLError) -> CQLType {
        let whole = whole ?? syntax
        switch syntax {
        case .native(let type, _): return type
        case .custom(let name): return try Self.type(ofClass: name)
        case .list(let element):
            return .list(try part(element, of: whole), frozen: false)
        case .set(let element):
            let type = try part(element, of: whole)
            guard !type.containsDuration else {
                throw .invalid("Durations are not allowed inside sets: \(whole)")
            }
            return .set(type, frozen: false)
        case .map(let key, let value):
            let keyType = try part(key, of: whole)
            guard !keyType.containsDuration else {
                throw .invalid("Durations are not allowed as map keys: \(whole)")
            }
            return .map(keyType, try part(value, of: whole), frozen: false)
        case .tuple(let parts):
            var types: [CQLType] = []
            for part in parts {
                let type = try meaning(of: part)
                guard type != .counter else {
                    throw .invalid("Counters are not allowed inside tuples")
                }
                types.append(type.frozen)
            }
            return .tuple(types)
        case .vector(let element, let dimensions):
            guard dimensions > 0 else {
                throw .invalid("vectors may only have positive dimensions; given \(dimensions)")
            }
            let type = try meaning(of: element)
            guard type != .counter else {
                throw .invalid("Counters are not allowed inside vectors")
            }
            return .vector(type.frozen, dimensions: dimensions)
        case .frozen(let inner):
            switch inner {
            case .list, .set, .map, .tuple, .vector, .userDefined, .frozen: break
            case .native, .custom:
                throw .invalid(
                    "frozen<> is only allowed on collections, tuples, and user-defined types"
                        + " (got \(inner))")
            }
            return try meaning(of: Self.thawed(inner), in: whole).frozen
        case .userDefined(let name):
            if let other = name.keyspace, other != keyspace {
                throw .invalid(
                    "Statement on keyspace \(keyspace) cannot refer to a user type in keyspace"
                        + " \(other); user types can only be used in the keyspace they are defined in"
                )
            }
            guard let type = types.first(where: { $0.name == name.name }) else {
                throw .invalid("Unknown type \(keyspace).\(name.name)")
            }
            return .userDefined(type, frozen: false)
        }
    }

    /// A class that stands for one of CQL's own types is that type; others stay what they are called. So does
    /// one of a user-defined type: it tells what the type was, not which type of the keyspace it is.
    private static func type(ofClass name: String) throws(CQLError) -> CQLType {
        let type = JavaTypeName.type(inStatement: name)
        guard !type.hasOwnName else { return .custom(JavaTypeName.qualified(name)) }
        for part in type.parts {
            guard part != .counter else {
                throw .invalid("Counters are not allowed inside collections: \(type.cqlName)")
            }
            guard !part.isMultiCell else {
                throw .invalid(
                    "Non-frozen collections are not allowed inside collections: \(type.cqlName)")
            }
        }
        return type
    }

    /// Inside `frozen<…>` all parts are frozen, so that their own refusals do not apply.
    private static func thawed(_ syntax: TypeSyntax) -> TypeSyntax {
        switch syntax {
        case .list(let element): .list(.frozenOnce(element))
        case .set(let element): .set(.frozenOnce(element))
        case .map(let key, let value): .map(.frozenOnce(key), .frozenOnce(value))
        case .frozen(let inner): thawed(inner)
        default: syntax
        }
    }

    /// The type of a part of the collection `whole`.
    private func part(
        _ syntax: TypeSyntax, of whole: TypeSyntax
    ) throws(CQLError) -> CQLType {
        let type = try meaning(of: syntax)
        guard type != .counter else {
            throw .invalid("Counters are not allowed inside collections: \(whole)")
        }
        if type.isMultiCell {
            if case .userDefined = type {
                throw .invalid("Non-frozen UDTs are not allowed inside collections: \(whole)")
            }
            throw .invalid("Non-frozen collections are not allowed inside collections: \(whole)")
        }
        return type
    }
}

extension TypeSyntax {
    fileprivate static func frozenOnce(_ syntax: TypeSyntax) -> TypeSyntax {
        switch syntax {
        case .list, .set, .map, .userDefined: .frozen(syntax)
        default: syntax
        }
    }
}

extension CQLType {
    /// Whether it is or holds a type that is not CQL's own.
    fileprivate var hasOwnName: Bool {
        contains { part in
            switch part {
            case .userDefined, .custom: true
            default: false
            }
        }
    }

    /// The type with every use of the user-defined type of that name replaced by `replacement`.
    func replacing(_ replacement: UserDefinedType) -> CQLType {
        switch self {
        case .list(let element, let frozen): .list(element.replacing(replacement), frozen: frozen)
        case .set(let element, let frozen): .set(element.replacing(replacement), frozen: frozen)
        case .map(let key, let value, let frozen):
            .map(key.replacing(replacement), value.replacing(replacement), frozen: frozen)
        case .tuple(let parts): .tuple(parts.map { $0.replacing(replacement) })
        case .vector(let element, let dimensions):
            .vector(element.replacing(replacement), dimensions: dimensions)
        case .userDefined(let definition, let frozen):
            if definition.keyspace == replacement.keyspace, definition.name == replacement.name {
                .userDefined(replacement, frozen: false).withFrozen(frozen)
            } else {
                .userDefined(definition.replacing(replacement), frozen: frozen)
            }
        default: self
        }
    }

    /// How deeply parts are nested in it; a user-defined type counts for itself and its definition.
    var depth: Int {
        let inner = parts.map(\.depth).max() ?? -1
        if case .userDefined = self { return inner + 2 }
        return inner + 1
    }

    /// The type with a tuple in the place of each user-defined type, which may be gone one day.
    var withoutUserTypes: CQLType {
        switch self {
        case .list(let element, let frozen): .list(element.withoutUserTypes, frozen: frozen)
        case .set(let element, let frozen): .set(element.withoutUserTypes, frozen: frozen)
        case .map(let key, let value, let frozen):
            .map(key.withoutUserTypes, value.withoutUserTypes, frozen: frozen)
        case .tuple(let parts): .tuple(parts.map(\.withoutUserTypes))
        case .vector(let element, let dimensions):
            .vector(element.withoutUserTypes, dimensions: dimensions)
        case .userDefined(let definition, _):
            .tuple(definition.fields.map { $0.type.withoutUserTypes.frozen })
        default: self
        }
    }

    private func withFrozen(_ isFrozen: Bool) -> CQLType { isFrozen ? frozen : self }

    /// Whether the type is or holds the user-defined type of that name.
    func mentions(keyspace: String, type name: String) -> Bool {
        contains { part in
            if case .userDefined(let definition, _) = part {
                return definition.keyspace == keyspace && definition.name == name
            }
            return false
        }
    }
}

extension UserDefinedType {
    /// The type with every use of another one in its fields replaced.
    func replacing(_ replacement: UserDefinedType) -> UserDefinedType {
        UserDefinedType(
            keyspace: keyspace, name: name,
            fields: fields.map { Field(name: $0.name, type: $0.type.replacing(replacement)) })
    }
}
