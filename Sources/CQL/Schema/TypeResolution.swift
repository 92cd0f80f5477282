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
        try resolve(syntax, depth: 0)
    }

    private func resolve(_ syntax: TypeSyntax, depth: Int) throws(CQLError) -> CQLType {
        guard depth < 32 else {
            throw .invalid("Types may be nested at most 32 levels deep")
        }
        switch syntax {
        case .native(let type, _): return type
        case .custom(let name): return .custom(name)
        case .list(let element):
            return .list(try part(element, of: syntax, depth), frozen: false)
        case .set(let element):
            let type = try part(element, of: syntax, depth)
            guard !type.containsDuration else {
                throw .invalid("Durations are not allowed inside sets: \(syntax)")
            }
            return .set(type, frozen: false)
        case .map(let key, let value):
            let keyType = try part(key, of: syntax, depth)
            guard !keyType.containsDuration else {
                throw .invalid("Durations are not allowed as map keys: \(syntax)")
            }
            return .map(keyType, try part(value, of: syntax, depth), frozen: false)
        case .tuple(let parts):
            var types: [CQLType] = []
            for part in parts {
                let type = try resolve(part, depth: depth + 1)
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
            guard dimensions <= 8_192 else {
                throw .invalid("vectors may have at most 8192 dimensions; given \(dimensions)")
            }
            let type = try resolve(element, depth: depth + 1)
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
            return try resolve(Self.thawed(inner), depth: depth + 1).frozen
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
        _ syntax: TypeSyntax, of whole: TypeSyntax, _ depth: Int
    ) throws(CQLError) -> CQLType {
        let type = try resolve(syntax, depth: depth + 1)
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
