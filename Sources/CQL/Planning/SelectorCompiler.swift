// Compiles select lists: columns are looked up, calls find their function, literals get a type.
//
// As for terms, the type of an expression is asked for before it is compiled, since a call is found by the
// types of its arguments. A literal has no type of its own: it takes the one that is expected, and where none
// is, the statement is refused.

internal import Encoding
internal import Model

/// Compiles the expressions of one select list.
struct SelectorCompiler {
    let table: TableSchema
    var terms: TermCompiler
    var aggregates: [PlannedAggregate] = []

    typealias Typed = (selector: PlannedSelector, type: CQLType, name: String)

    init(table: TableSchema, terms: TermCompiler) {
        self.table = table
        self.terms = terms
    }

    // MARK: Compiling

    /// The expression, its type, and how its result column is called. `expected` is the type that it has
    /// to have, where that is known.
    mutating func compile(
        _ selector: Selector, as expected: CQLType? = nil
    ) throws(CQLError) -> Typed {
        switch selector {
        case .column(let name):
            let column = try column(name)
            return (.column(table.slot(of: column)), column.type, name)
        case .term(let term): return try compile(term, selector, expected)
        case .countRows: return aggregate(.countRows, nil, .bigint, "count")
        case .writeTime(let kind, let inner): return try writeTime(kind, inner)
        case .function(let name, let arguments): return try call(name, arguments, expected)
        case .cast(let inner, let syntax):
            let target = try resolve(syntax)
            // A cast to the type that the value has already is left out, also in the name.
            if try exactType(inner) == target { return try compile(inner, as: target) }
            let function = try FunctionLibrary.cast(try argument(inner), to: target)
            let (call, type, names) = try call(function, [inner])
            return (call, type, "cast(\(names[0]) as \(syntax))")
        case .typeHint(let syntax, let inner): return try hinted(inner, syntax)
        case .field(let inner, let field): return try self.field(inner, field)
        case .element(let inner, let key): return try element(inner, key)
        case .slice(let inner, let from, let to): return try slice(inner, from, to)
        case .arithmetic(let sign, let left, let right):
            let function = try FunctionResolver.choose(
                sign, try argument(left), try argument(right), receiver: expected)
            let (call, type, names) = try call(function, [left, right])
            return (call, type, "\(names[0]) \(sign.rawValue) \(names[1])")
        case .negation(let inner):
            let function = try FunctionResolver.chooseNegation(
                try argument(inner), receiver: expected)
            let (call, type, names) = try call(function, [inner])
            return (call, type, "-\(names[0])")
        case .tuple(let items) where items.count == 1 && expected?.isTuple != true:
            guard expected != nil else { throw cannotInfer(selector) }
            let (inner, type, name) = try compile(items[0], as: expected)
            return (inner, type, "(\(name))")
        case .tuple, .list, .set, .map: return try literal(selector, expected)
        }
    }

    func column(_ name: String) throws(CQLError) -> ColumnSchema {
        guard let column = table.column(named: name) else {
            throw .invalid(
                "Undefined column name \(Identifier.quoted(name)) in table"
                    + " \(table.keyspace).\(table.name)")
        }
        return column
    }

    func resolve(_ syntax: TypeSyntax) throws(CQLError) -> CQLType {
        try TypeResolution(keyspace: table.keyspace, types: terms.types).resolve(syntax)
    }

    private mutating func compile(
        _ term: Term, _ selector: Selector, _ expected: CQLType?
    ) throws(CQLError) -> Typed {
        guard let type = try terms.exactType(term) ?? expected else { throw cannotInfer(selector) }
        try check(selector, type)
        return (
            .term(try terms.compile(term, as: type, for: "[selection]")), type, term.sourceText
        )
    }

    private func cannotInfer(_ selector: Selector) -> CQLError {
        .invalid(
            "Cannot infer type for term \(selector.sourceText) in selection clause (try using a cast to"
                + " force a type)")
    }

    private func check(_ selector: Selector, _ type: CQLType) throws(CQLError) {
        guard try suits(selector, type) != .none else {
            throw .invalid("\(selector.sourceText) is not of the expected type: \(type.cqlName)")
        }
    }

    private mutating func hinted(
        _ inner: Selector, _ syntax: TypeSyntax
    ) throws(CQLError) -> Typed {
        let type = try resolve(syntax)
        guard try suits(inner, type) != .none else {
            let text = "(\(syntax))\(inner.sourceText)"
            throw .invalid("Cannot assign value \(text) to \(text) of type \(type.cqlName)")
        }
        let (planned, _, name) = try compile(inner, as: type)
        // A hint makes a value of a whole, never of cells.
        return (planned, type.frozen, "(\(syntax))\(name)")
    }

    // MARK: Parts

    private mutating func field(_ inner: Selector, _ field: String) throws(CQLError) -> Typed {
        let (planned, type, name) = try compile(inner, as: try parenthesisedType(inner))
        let (definition, index) = try Self.field(field, of: type, name)
        return (
            .field(planned, index, type), definition.fields[index].type,
            "\(name).\(Identifier.quoted(field))"
        )
    }

    private static func field(
        _ field: String, of type: CQLType, _ name: String
    ) throws(CQLError) -> (UserDefinedType, Int) {
        guard case .userDefined(let definition, _) = type else {
            throw .invalid(
                "Invalid field selection: \(name) of type \(type.cqlName) is not a user type")
        }
        guard let index = definition.fields.firstIndex(where: { $0.name == field }) else {
            throw .invalid("\(name) of type \(definition.name) has no field \(field)")
        }
        return (definition, index)
    }

    /// The type of a key of a map or of an element of a set.
    private static func keyType(
        _ type: CQLType, _ name: String, _ what: String
    ) throws(CQLError) -> CQLType {
        switch type {
        case .map(let key, _, _): return key
        case .set(let element, _): return element
        case .list:
            throw .invalid(
                "\(what) selection is only allowed on sets and maps, but \(name) is a list")
        default:
            throw .invalid(
                "Invalid \(what.lowercased()) selection: \(name) is of type \(type.cqlName) is not a"
                    + " collection")
        }
    }

    private mutating func element(_ inner: Selector, _ key: Term) throws(CQLError) -> Typed {
        let (planned, type, name) = try compile(inner)
        let keyType = try Self.keyType(type, name, "Element")
        let term = try terms.compile(key, as: keyType, for: Self.keyName(type, name))
        var result = keyType
        if case .map(_, let value, _) = type { result = value }
        return (
            .element(planned, term, type, name: name), result, "\(name)[\(key.sourceText)]"
        )
    }

    private static func keyName(_ type: CQLType, _ name: String) -> String {
        if case .map = type { "key(\(name))" } else { "value(\(name))" }
    }

    private mutating func slice(
        _ inner: Selector, _ from: Term?, _ to: Term?
    ) throws(CQLError) -> Typed {
        let (planned, type, name) = try compile(inner)
        let (first, last) = try bounds(type, name, from, to)
        let label = "\(name)[\(from?.sourceText ?? "")..\(to?.sourceText ?? "")]"
        return (.slice(planned, from: first, to: last, type, name: name), type, label)
    }

    private mutating func bounds(
        _ type: CQLType, _ name: String, _ from: Term?, _ to: Term?
    ) throws(CQLError) -> (PlannedTerm?, PlannedTerm?) {
        let keyType = try Self.keyType(type, name, "Slice")
        let label = Self.keyName(type, name)
        var planned: [PlannedTerm?] = []
        for term in [from, to] {
            if let term {
                planned.append(try terms.compile(term, as: keyType, for: label))
            } else {
                planned.append(nil)
            }
        }
        return (planned[0], planned[1])
    }

    /// The column that a chain of fields, elements and slices begins with, and these in their order.
    private static func chain(of selector: Selector) -> (column: String, links: [Selector])? {
        switch selector {
        case .column(let name): return (name, [])
        case .field(let inner, _), .element(let inner, _), .slice(let inner, _, _):
            guard let chain = chain(of: inner) else { return nil }
            return (chain.column, chain.links + [selector])
        default: return nil
        }
    }

    private static func partName(_ selector: Selector) -> String {
        switch selector {
        case .column(let name): Identifier.quoted(name)
        case .field(let inner, let field): "\(partName(inner)).\(Identifier.quoted(field))"
        case .element(let inner, let key): "\(partName(inner))[\(key.sourceText)]"
        case .slice(let inner, let from, let to):
            "\(partName(inner))[\(from?.sourceText ?? "")..\(to?.sourceText ?? "")]"
        default: selector.sourceText
        }
    }

    private mutating func writeTime(
        _ kind: Selector.WriteTimeKind, _ inner: Selector
    ) throws(CQLError) -> Typed {
        guard let chain = Self.chain(of: inner) else {
            throw .invalid(
                "Cannot use selection function \(kind.rawValue) on \(inner.sourceText): a column, or"
                    + " an element, slice or field of one is needed")
        }
        let column = try self.column(chain.column)
        var parts: [CellTimeSelection.Part] = []
        // Only a slice leaves several cells, of which the next link takes some.
        loop: for link in chain.links {
            switch link {
            case .field(_, let field):
                parts.append(.field(try Self.field(field, of: column.type, chain.column).1))
                break loop
            case .element(_, let key):
                let keyType = try Self.keyType(column.type, chain.column, "Element")
                let name = Self.keyName(column.type, chain.column)
                parts.append(.element(try terms.compile(key, as: keyType, for: name)))
                break loop
            case .slice(_, let from, let to):
                let (first, last) = try bounds(column.type, chain.column, from, to)
                parts.append(.slice(from: first, to: last))
                if !column.type.isMultiCell { break loop }
            default: break loop
            }
        }
        // What lies inside of one cell has that cell's time, if it is there at all.
        var presence: PlannedSelector?
        if chain.links.count > (column.type.isMultiCell ? parts.count : 0) {
            presence = try compile(inner).selector
        }
        let name = Self.partName(inner)
        guard !column.isPrimaryKey else {
            throw .invalid(
                "Cannot use selection function \(kind.rawValue) on PRIMARY KEY part \(column.name)")
        }
        guard column.type != .counter || kind != .timeToLive else {
            throw .invalid("Cannot use selection function ttl on counters")
        }
        let selection = CellTimeSelection(
            kind: kind, slot: table.slot(of: column), type: column.type, parts: parts,
            name: column.name, presence: presence)
        let single: CQLType = kind == .timeToLive ? .int : .bigint
        return (
            .cellTime(selection), selection.isList ? .list(single, frozen: false) : single,
            "\(kind.rawValue)(\(name))"
        )
    }

    // MARK: Literals

    private mutating func literal(
        _ selector: Selector, _ expected: CQLType?
    ) throws(CQLError) -> Typed {
        guard let type = try exactType(selector) ?? expected else { throw cannotInfer(selector) }
        try check(selector, type)
        var names: [String] = []
        func parts(
            _ items: [(Selector, CQLType)], _ compiler: inout SelectorCompiler
        ) throws(CQLError) -> [PlannedSelector] {
            var planned: [PlannedSelector] = []
            for (item, type) in items {
                let (selector, _, name) = try compiler.compile(item, as: type)
                planned.append(selector)
                names.append(name)
            }
            return planned
        }
        switch (selector, type) {
        case (.tuple(let items), .tuple(let types)):
            let planned = try parts(Array(zip(items, types)), &self)
            return (.fields(planned), type, "(" + names.joined(separator: ", ") + ")")
        case (.list(let items), .list(let element, _)), (.list(let items), .vector(let element, _)):
            let planned = try parts(items.map { ($0, element) }, &self)
            return (.collection(type, planned), type, "[" + names.joined(separator: ", ") + "]")
        case (.set(let items), .set(let element, _)):
            guard element != .duration else {
                throw .invalid("Durations are not allowed inside sets: \(type.frozen.cqlName)")
            }
            let planned = try parts(items.map { ($0, element) }, &self)
            return (.collection(type, planned), type, "{" + names.joined(separator: ", ") + "}")
        case (.set, .map): return (.collection(type, []), type, "{}")
        case (.map(let entries), .map(let key, let value, _)):
            let planned = try parts(
                entries.flatMap { [($0.key, key), ($0.value, value)] }, &self)
            let texts = stride(from: 0, to: names.count, by: 2).map {
                "\(names[$0]): \(names[$0 + 1])"
            }
            return (.collection(type, planned), type, "{" + texts.joined(separator: ", ") + "}")
        case (.map(let entries), .userDefined(let definition, _)):
            return try userType(entries, definition, type)
        default:
            throw .invalid("\(selector.sourceText) is not of the expected type: \(type.cqlName)")
        }
    }

    private mutating func userType(
        _ entries: [Selector.MapEntry], _ definition: UserDefinedType, _ type: CQLType
    ) throws(CQLError) -> Typed {
        var planned = [PlannedSelector](
            repeating: .term(.null), count: definition.fields.count)
        var texts: [String] = []
        for entry in entries {
            guard case .column(let field) = entry.key,
                let index = definition.fields.firstIndex(where: { $0.name == field })
            else {
                throw .invalid(
                    "Unknown field '\(entry.key.sourceText)' in value of user defined type"
                        + " \(definition.name)")
            }
            let (selector, _, name) = try compile(
                entry.value, as: definition.fields[index].type)
            planned[index] = selector
            texts.append("\(Identifier.quoted(field)): \(name)")
        }
        return (.fields(planned), type, "{" + texts.joined(separator: ", ") + "}")
    }

    // MARK: Calls

    private mutating func call(
        _ name: QualifiedName, _ arguments: [Selector], _ expected: CQLType?
    ) throws(CQLError) -> Typed {
        let plain = QualifiedName(keyspace: name.keyspace, name: name.name.lowercased())
        if plain.name == "token", arguments == table.partitionKey.map({ .column($0.name) }) {
            let names = table.partitionKey.map { Identifier.quoted($0.name) }
            return (.token, .bigint, "system.token(\(names.joined(separator: ", ")))")
        }
        if let kind = Self.aggregateKind(plain) { return try aggregateCall(kind, arguments) }
        var described: [CallArgument] = []
        for argument in arguments { described.append(try self.argument(argument)) }
        let function = try FunctionLibrary.resolve(
            plain, described, receiver: expected, partitionKey: terms.partitionKey)
        let (call, type, names) = try call(function, arguments)
        return (call, type, "\(function.name)(\(names.joined(separator: ", ")))")
    }

    private mutating func call(
        _ function: FunctionSignature, _ arguments: [Selector]
    ) throws(CQLError) -> (PlannedSelector, CQLType, names: [String]) {
        var planned: [PlannedSelector] = []
        var names: [String] = []
        for (argument, type) in zip(arguments, function.arguments) {
            let (selector, _, name) = try compile(argument, as: type)
            planned.append(selector)
            names.append(name)
        }
        return (
            .function(function.function, planned, place: terms.nextCall()), function.result, names
        )
    }

    static func aggregateKind(_ name: QualifiedName) -> AggregateKind? {
        guard name.keyspace == nil || name.keyspace == "system",
            let kind = AggregateKind(rawValue: name.name), kind != .countRows, kind != .first
        else { return nil }
        return kind
    }

    private mutating func aggregate(
        _ kind: AggregateKind, _ argument: PlannedSelector?, _ type: CQLType, _ name: String
    ) -> Typed {
        aggregates.append(PlannedAggregate(kind: kind, argument: argument, type: type))
        return (.aggregate(aggregates.count - 1), Self.result(kind, type), name)
    }

    static func result(_ kind: AggregateKind, _ type: CQLType) -> CQLType {
        switch kind {
        case .count, .countRows: .bigint
        default: type == .counter ? .bigint : type
        }
    }

    private mutating func aggregateCall(
        _ kind: AggregateKind, _ arguments: [Selector]
    ) throws(CQLError) -> Typed {
        guard arguments.count == 1, let argument = arguments.first else {
            throw .invalid(
                "Invalid number of arguments in call to function system.\(kind.rawValue): 1 required"
                    + " but \(arguments.count) provided")
        }
        // No constant is null, so that counting one counts rows.
        if kind == .count, case .term(.literal) = argument {
            return aggregate(.countRows, nil, .bigint, "count")
        }
        let before = aggregates.count
        let (selector, type, name) = try compile(argument, as: try parenthesisedType(argument))
        guard aggregates.count == before else {
            throw .invalid(
                "aggregate functions cannot be used as arguments of aggregate functions")
        }
        if kind == .sum || kind == .average, !ArithmeticFunctions.isNumeric(type) {
            let known = ArithmeticFunctions.numericTypes.map {
                FunctionSignature(kind.rawValue, .toBlob, [$0], Self.result(kind, $0))
            }
            throw .invalid(
                "Invalid call to function system.\(kind.rawValue), none of its type signatures match"
                    + " (known type signatures: \(FunctionResolver.list(known)))")
        }
        return aggregate(kind, selector, type, "system.\(kind.rawValue)(\(name))")
    }
}

extension Selector {
    /// As a statement would show it, for error texts.
    package var sourceText: String {
        func list(_ items: [Selector]) -> String {
            items.map(\.sourceText).joined(separator: ", ")
        }
        return switch self {
        case .column(let name): name
        case .term(let term): term.sourceText
        case .countRows: "count(*)"
        case .function(let name, let arguments):
            "\(name.keyspace == nil ? "system." : "")\(name)(\(list(arguments)))"
        case .writeTime(let kind, let inner): "\(kind.rawValue)(\(inner.sourceText))"
        case .cast(let inner, let type): "cast(\(inner.sourceText) as \(type))"
        case .field(let inner, let field): "\(inner.sourceText).\(field)"
        case .element(let inner, let key): "\(inner.sourceText)[\(key.sourceText)]"
        case .slice(let inner, let from, let to):
            "\(inner.sourceText)[\(from?.sourceText ?? "")..\(to?.sourceText ?? "")]"
        case .arithmetic(let sign, let left, let right):
            "\(left.sourceText) \(sign.rawValue) \(right.sourceText)"
        case .negation(let inner): "-\(inner.sourceText)"
        case .tuple(let items): "(\(list(items)))"
        case .list(let items): "[\(list(items))]"
        case .set(let items): "{\(list(items))}"
        case .map(let entries):
            "{"
                + entries.map { "\($0.key.sourceText): \($0.value.sourceText)" }
                .joined(separator: ", ") + "}"
        case .typeHint(let type, let inner): "(\(type))\(inner.sourceText)"
        }
    }
}
