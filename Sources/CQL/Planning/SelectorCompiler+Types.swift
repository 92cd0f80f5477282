// What type an expression of a select list has, or could have.
//
//     exactType    whatever is expected of it
//     likelyType   if nothing is expected of it: also that of literals
//     suits        how well it is a value of an expected type
//
// By them functions are found; those of any type (`to_json`, `collection_count`, `similarity_cosine`) by the likely one.

internal import Model

extension SelectorCompiler {
    /// The expression as an argument of a call.
    func argument(_ selector: Selector) throws(CQLError) -> CallArgument {
        if case .term(let term) = selector { return terms.argument(term) }
        var exact = try parenthesisedType(selector)
        if exact == nil { exact = try exactType(selector) }
        let compiler = self
        var elementCount: Int?
        if case .list(let items) = selector { elementCount = items.count }
        var likely = exact
        if likely == nil { likely = try likelyType(selector) }
        return CallArgument(
            text: selector.sourceText, exactType: exact, likelyType: likely,
            elementCount: elementCount
        ) { [exact, elementCount] wanted in
            if let exact, elementCount == nil { return exact.assignability(to: wanted) }
            do throws(CQLError) {
                return try compiler.suits(selector, wanted)
            } catch {
                // What is wrong with it is said when it is compiled.
                return .weak
            }
        }
    }

    /// The type of what stands alone in parentheses.
    func parenthesisedType(_ selector: Selector) throws(CQLError) -> CQLType? {
        guard case .tuple(let items) = selector, items.count == 1 else { return nil }
        if let type = try parenthesisedType(items[0]) { return type }
        return try exactType(items[0])
    }

    /// The type of an expression that has one whatever is expected of it. An expression in parentheses
    /// has none: it may be a tuple of one.
    func exactType(_ selector: Selector) throws(CQLError) -> CQLType? {
        switch selector {
        case .column(let name): return try column(name).type
        case .term(let term): return try terms.exactType(term)
        case .countRows: return .bigint
        case .cast(_, let syntax): return try resolve(syntax)
        case .typeHint(let syntax, _): return try resolve(syntax).frozen
        case .tuple(let items):
            if items.count == 1 { return nil }
            var types: [CQLType] = []
            for item in items {
                guard let type = try exactType(item) else { return nil }
                types.append(type.frozen)
            }
            return .tuple(types)
        case .list(let items):
            return try firstType(items).map { .list($0.frozen, frozen: true) }
        case .set(let items):
            return try firstType(items).map { .set($0.frozen, frozen: true) }
        case .map(let entries):
            // A key that is a bare name may be a field of a user-defined type.
            for entry in entries {
                if case .column(let name) = entry.key, table.column(named: name) == nil {
                    return nil
                }
            }
            guard let key = try firstType(entries.map(\.key)),
                let value = try firstType(entries.map(\.value))
            else { return nil }
            return .map(key.frozen, value.frozen, frozen: true)
        case .function(let name, let arguments):
            let plain = QualifiedName(keyspace: name.keyspace, name: name.name.lowercased())
            if let kind = Self.aggregateKind(plain) {
                if kind == .count { return .bigint }
                guard let argument = arguments.first else { return nil }
                return try exactType(argument).map { Self.result(kind, $0) }
            }
            var described: [CallArgument] = []
            for argument in arguments { described.append(try self.argument(argument)) }
            return try FunctionLibrary.resolve(
                plain, described, receiver: nil, partitionKey: terms.partitionKey
            ).result
        case .arithmetic(let sign, let left, let right):
            return try FunctionResolver.choose(
                sign, try argument(left), try argument(right), receiver: nil
            ).result
        case .negation(let inner):
            return try FunctionResolver.chooseNegation(try argument(inner), receiver: nil).result
        case .writeTime:
            var compiler = self
            return try compiler.compile(selector).type
        case .slice(let inner, _, _): return try exactType(inner)
        case .field(let inner, let field):
            guard case .userDefined(let definition, _)? = try exactType(inner) else { return nil }
            return definition.fields.first { $0.name == field }?.type
        case .element(let inner, _):
            switch try exactType(inner) {
            case .map(_, let value, _): return value
            case .set(let element, _): return element
            default: return nil
            }
        }
    }

    private func firstType(_ items: [Selector]) throws(CQLError) -> CQLType? {
        for item in items {
            if let type = try exactType(item) { return type }
        }
        return nil
    }

    /// How well an expression suits a type.
    func suits(_ selector: Selector, _ type: CQLType) throws(CQLError) -> Assignability {
        func worst(_ items: [(Selector, CQLType)]) throws(CQLError) -> Assignability {
            var result = Assignability.exact
            for (item, type) in items { result = min(result, try suits(item, type)) }
            return result
        }
        switch (selector, type) {
        case (.term(let term), _): return terms.argument(term).suits(type)
        case (.tuple(let items), _) where items.count == 1 && !type.isTuple:
            return try suits(items[0], type)
        case (.tuple(let items), .tuple(let types)):
            return items.count > types.count ? .none : try worst(Array(zip(items, types)))
        case (.list(let items), .list(let element, _)):
            return try worst(items.map { ($0, element) })
        case (.list(let items), .vector(let element, let dimensions)):
            return items.count == dimensions ? try worst(items.map { ($0, element) }) : .none
        case (.set(let items), .set(let element, _)):
            return try worst(items.map { ($0, element) })
        case (.set(let items), .map), (.set(let items), .userDefined):
            return items.isEmpty ? .weak : .none
        case (.map(let entries), .map(let key, let value, _)):
            return try worst(entries.flatMap { [($0.key, key), ($0.value, value)] })
        case (.map(let entries), .userDefined(let definition, _)):
            var items: [(Selector, CQLType)] = []
            for entry in entries {
                guard case .column(let name) = entry.key,
                    let field = definition.fields.first(where: { $0.name == name })
                else { return .none }
                items.append((entry.value, field.type))
            }
            return try worst(items)
        case (.tuple, _), (.list, _), (.set, _), (.map, _): return .none
        default:
            do throws(CQLError) {
                return try exactType(selector)?.assignability(to: type) ?? .weak
            } catch {
                // It may still be found by the type that is expected of it.
                return .weak
            }
        }
    }

    /// The type of the expression if nothing is expected of it, also that of a list, set or map of literals;
    /// nil for null and bind markers.
    func likelyType(_ selector: Selector) throws(CQLError) -> CQLType? {
        switch selector {
        case .term(let term): return try terms.exactType(term) ?? terms.likelyType(term)
        case .tuple(let items) where items.count == 1: return try likelyType(items[0])
        case .list(let items):
            return try common(items).map { .list($0.frozen, frozen: false) }
        case .set(let items):
            return try common(items).map { .set($0.frozen, frozen: false) }
        case .map(let entries):
            // A key that is a bare name may be a field of a user-defined type.
            for entry in entries {
                if case .column(let name) = entry.key, table.column(named: name) == nil {
                    return nil
                }
            }
            guard let key = try common(entries.map(\.key)),
                let value = try common(entries.map(\.value))
            else { return nil }
            return .map(key.frozen, value.frozen, frozen: false)
        default: return try exactType(selector)
        }
    }

    private func common(_ items: [Selector]) throws(CQLError) -> CQLType? {
        var types: [CQLType?] = []
        for item in items { types.append(try likelyType(item)) }
        return TermCompiler.common(types)
    }
}
