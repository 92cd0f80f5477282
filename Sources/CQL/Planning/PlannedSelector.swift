// The select list with its names looked up and its types settled.

internal import Encoding
internal import Model

/// An expression over one row (or over the results of aggregates).
indirect enum PlannedSelector: Sendable {
    /// A column by its place in `SELECT *`.
    case column(Int)
    case term(PlannedTerm)
    case writeTime(Int)
    case timeToLive(Int)
    /// The token of the row's partition.
    case token
    case function(ScalarFunction, [PlannedSelector], place: Int)
    /// The result of the aggregate of that number.
    case aggregate(Int)
    /// A field of a user-defined type, by its place.
    case field(PlannedSelector, Int, CQLType)
    /// The value of a key of a map, or an element of a set if it is there.
    case element(PlannedSelector, PlannedTerm, CQLType)
}

extension PlannedSelector {
    /// Whether the expression holds values of its own.
    var holdsTerms: Bool {
        switch self {
        case .term: true
        case .function(_, let arguments, _): arguments.contains(where: \.holdsTerms)
        case .field(let inner, _, _): inner.holdsTerms
        case .element: true
        case .column, .writeTime, .timeToLive, .token, .aggregate: false
        }
    }

    /// The expression with its own values computed, so that it needs no bound values any more.
    func resolved(
        _ values: BoundValues, _ context: ExecutionContext
    ) throws(CQLError) -> PlannedSelector {
        switch self {
        case .term(let term):
            let value = try term.bytes(values, context, "selection")
            return .term(value.map { .constant($0) } ?? .null)
        case .function(let function, let arguments, let place):
            var resolved: [PlannedSelector] = []
            for argument in arguments { resolved.append(try argument.resolved(values, context)) }
            return .function(function, resolved, place: place)
        case .field(let inner, let index, let type):
            return .field(try inner.resolved(values, context), index, type)
        case .element(let inner, let key, let type):
            guard let bytes = try key.bytes(values, context, "selection") else {
                throw .invalid("Invalid null value for element selection")
            }
            return .element(try inner.resolved(values, context), .constant(bytes), type)
        case .column, .writeTime, .timeToLive, .token, .aggregate: return self
        }
    }

    /// The part of a serialized value of the nested `type` that a field or an element selects.
    static func part(
        of value: [UInt8], _ type: CQLType, field: Int = 0, key: [UInt8]? = nil
    ) -> [UInt8]? {
        value.withUnsafeBytes { raw -> [UInt8]? in
            guard var parts = CQLValueParts(type, raw) else { return nil }
            var index = 0
            while true {
                let step = parts.next()
                var part: UnsafeRawBufferPointer?
                switch step {
                case .end, .malformed: return nil
                case .part(let bytes): part = bytes
                case .null: part = nil
                }
                guard let key else {
                    if index == field { return part.map { Array($0) } }
                    index += 1
                    continue
                }
                let element = type.parts.first ?? .blob
                let matches = part.map { part in
                    key.withUnsafeBytes { element.compare(part, $0) == 0 }
                }
                if case .map = type {
                    guard case .part(let value) = parts.next() else { return nil }
                    if matches == true { return Array(value) }
                } else if matches == true {
                    return part.map { Array($0) }
                }
            }
        }
    }
}

/// An aggregate with the expression it runs over.
struct PlannedAggregate: Sendable {
    enum Kind: String, Sendable {
        case countRows, count, min, max, sum
        case average = "avg"
        /// The value in the first row, for plain columns beside aggregates.
        case first
    }

    let kind: Kind
    let argument: PlannedSelector?
    /// The type of the argument; `min`, `max`, `sum`, `avg` and `first` give the same.
    let type: CQLType
}

/// Compiles select lists.
struct SelectorCompiler {
    let table: TableSchema
    var terms: TermCompiler
    var aggregates: [PlannedAggregate] = []

    typealias Typed = (selector: PlannedSelector, type: CQLType, name: String)

    /// The expression, its type, and how its result column is called.
    mutating func compile(_ selector: Selector) throws(CQLError) -> Typed {
        switch selector {
        case .column(let name):
            guard let column = table.column(named: name) else {
                throw .invalid(
                    "Undefined column name \(Identifier.quoted(name)) in table"
                        + " \(table.keyspace).\(table.name)")
            }
            return (.column(table.slot(of: column)), column.type, name)
        case .term(let term): return try constant(term)
        case .countRows: return aggregate(.countRows, nil, .bigint, "count")
        case .writeTime(let kind, let inner): return try writeTime(kind, inner)
        case .function(let name, let arguments): return try call(name, arguments)
        case .cast(let inner, let syntax): return try cast(inner, syntax)
        case .typeHint(let syntax, .term(let term)):
            let type = try TypeResolution(keyspace: table.keyspace, types: terms.types)
                .resolve(syntax)
            let planned = try terms.compile(term, as: type, for: "[selection]")
            return (.term(planned), type, "(\(syntax))\(term.sourceText)")
        case .field(let inner, let field):
            let (planned, type, name) = try compile(inner)
            guard case .userDefined(let definition, _) = type else {
                throw .invalid(
                    "Invalid field selection: \(name) of type \(type.cqlName) is not a user type")
            }
            guard let index = definition.fields.firstIndex(where: { $0.name == field }) else {
                throw .invalid("\(name) of type \(definition.name) has no field \(field)")
            }
            return (
                .field(planned, index, type), definition.fields[index].type,
                "\(name).\(Identifier.quoted(field))"
            )
        case .element(let inner, let key):
            let (planned, type, name) = try compile(inner)
            let label = "\(name)[\(key.sourceText)]"
            switch type {
            case .map(let keyType, let valueType, _):
                let term = try terms.compile(key, as: keyType, for: "key(\(name))")
                return (.element(planned, term, type), valueType, label)
            case .set(let element, _):
                let term = try terms.compile(key, as: element, for: "value(\(name))")
                return (.element(planned, term, type), element, label)
            default:
                throw .invalid(
                    "Invalid element selection: \(name) is of type \(type.cqlName) is not a set or map"
                )
            }
        case .slice: throw Self.unsupported("Selection of slices of collections")
        case .arithmetic, .negation: throw Self.unsupported("Arithmetic")
        case .tuple, .list, .set, .map, .typeHint:
            throw Self.unsupported("Selection of collection, tuple and user-defined type literals")
        }
    }

    private static func unsupported(_ what: String) -> CQLError {
        .invalid("\(what) is not supported by Coterie yet")
    }

    private mutating func constant(_ term: Term) throws(CQLError) -> Typed {
        let type: CQLType
        switch term {
        case .literal(let literal):
            switch literal.kind {
            case .string: type = .text
            case .integer: type = Int32(literal.text) == nil ? .bigint : .int
            case .float: type = .double
            case .boolean: type = .boolean
            case .duration: type = .duration
            case .uuid: type = .uuid
            case .hexadecimal: type = .blob
            }
        default:
            throw .invalid(
                "Cannot infer type for term \(term.sourceText) in selection clause (try using a cast"
                    + " to force a type)")
        }
        return (
            .term(try terms.compile(term, as: type, for: "[selection]")), type, term.sourceText
        )
    }

    private mutating func writeTime(
        _ kind: Selector.WriteTimeKind, _ inner: Selector
    ) throws(CQLError) -> Typed {
        guard case .column(let name) = inner else {
            throw Self.unsupported("\(kind.rawValue) of an element or field")
        }
        guard case (.column(let slot), let type, _) = try compile(inner) else {
            throw .invalid("Invalid argument for \(kind.rawValue)")
        }
        let column = table.allColumns[slot]
        guard !column.isPrimaryKey else {
            throw .invalid(
                "Cannot use selection function \(kind.rawValue) on PRIMARY KEY part \(name)")
        }
        guard !type.isMultiCell else { throw Self.unsupported("\(kind.rawValue) of a collection") }
        let label = "\(kind.rawValue)(\(Identifier.quoted(name)))"
        if kind == .timeToLive { return (.timeToLive(slot), .int, label) }
        return (.writeTime(slot), .bigint, label)
    }

    private mutating func cast(_ inner: Selector, _ syntax: TypeSyntax) throws(CQLError) -> Typed {
        let (planned, from, name) = try compile(inner)
        let to = try TypeResolution(keyspace: table.keyspace, types: terms.types).resolve(syntax)
        guard let function = ScalarFunction.conversion(from: from, to: to) else {
            throw .invalid("\(from.cqlName) cannot be cast to \(to.cqlName)")
        }
        return (
            .function(function, [planned], place: terms.nextCall()), to,
            "cast(\(name) as \(syntax))"
        )
    }

    // MARK: Calls

    private mutating func call(
        _ name: QualifiedName, _ arguments: [Selector]
    ) throws(CQLError) -> Typed {
        guard name.keyspace == nil || name.keyspace == "system" else {
            throw .invalid("Unknown function '\(name)'")
        }
        let plain = name.name.lowercased()
        if plain == "token" { return try token(arguments) }
        if let kind = PlannedAggregate.Kind(rawValue: plain), kind != .countRows, kind != .first {
            return try aggregateCall(kind, arguments)
        }
        let candidates = ScalarFunction.candidates(plain)
        guard !candidates.isEmpty else { throw .invalid("Unknown function '\(name)'") }
        for candidate in candidates where candidate.arguments.count == arguments.count {
            var attempt = self
            var planned: [PlannedSelector] = []
            var names: [String] = []
            var fits = true
            for (argument, type) in zip(arguments, candidate.arguments) {
                if case .term(let term) = argument {
                    do throws(CQLError) {
                        planned.append(
                            .term(try attempt.terms.compile(term, as: type, for: "argument")))
                    } catch {
                        // A constant that is no value of the type rules this signature out.
                        fits = false
                        break
                    }
                    names.append(term.sourceText)
                    continue
                }
                let (selector, actual, label) = try attempt.compile(argument)
                fits = fits && type.accepts(actual)
                planned.append(selector)
                names.append(label)
            }
            guard fits else { continue }
            let place = attempt.terms.nextCall()
            self = attempt
            return (
                .function(candidate.function, planned, place: place), candidate.result,
                "system.\(plain)(\(names.joined(separator: ", ")))"
            )
        }
        throw .invalid(
            "Invalid call to function \(name), none of its type signatures match (known type"
                + " signatures: "
                + candidates.map { candidate in
                    "system.\(plain) : (\(candidate.arguments.map(\.cqlName).joined(separator: ", ")))"
                        + " -> \(candidate.result.cqlName)"
                }.joined(separator: ", ") + ")")
    }

    private func token(_ arguments: [Selector]) throws(CQLError) -> Typed {
        let key = table.partitionKey.map(\.name)
        guard arguments == key.map(Selector.column) else {
            throw .invalid(
                "The token() function must be applied to all partition key components, in order: "
                    + key.joined(separator: ", "))
        }
        let names = key.map { Identifier.quoted($0) }.joined(separator: ", ")
        return (.token, .bigint, "system.token(\(names))")
    }

    private mutating func aggregate(
        _ kind: PlannedAggregate.Kind, _ argument: PlannedSelector?, _ type: CQLType, _ name: String
    ) -> Typed {
        aggregates.append(PlannedAggregate(kind: kind, argument: argument, type: type))
        let result: CQLType = kind == .count || kind == .countRows ? .bigint : type
        return (.aggregate(aggregates.count - 1), result, name)
    }

    private mutating func aggregateCall(
        _ kind: PlannedAggregate.Kind, _ arguments: [Selector]
    ) throws(CQLError) -> Typed {
        guard arguments.count == 1, let argument = arguments.first else {
            throw .invalid(
                "Invalid number of arguments in call to function system.\(kind.rawValue): 1 required"
                    + " but \(arguments.count) provided")
        }
        if kind == .count, case .term = argument {
            return aggregate(.countRows, nil, .bigint, "count")
        }
        let before = aggregates.count
        let (selector, type, name) = try compile(argument)
        guard aggregates.count == before else {
            throw .invalid(
                "aggregate functions cannot be used as arguments of aggregate functions")
        }
        switch kind {
        case .sum, .average:
            switch type {
            case .tinyint, .smallint, .int, .bigint, .counter, .float, .double: break
            case .varint, .decimal:
                throw Self.unsupported("\(kind.rawValue)() of \(type.cqlName)")
            default:
                throw .invalid(
                    "Invalid call to function \(kind.rawValue), none of its type signatures match")
            }
        case .min, .max, .count, .countRows, .first: break
        }
        return aggregate(kind, selector, type, "system.\(kind.rawValue)(\(name))")
    }
}

/// The running value of an aggregate.
struct Accumulator {
    let aggregate: PlannedAggregate
    private var count: Int64 = 0
    private var best: [UInt8]?
    private var integer: Int64 = 0
    private var real = 0.0
    private var hasFirst = false

    init(_ aggregate: PlannedAggregate) { self.aggregate = aggregate }

    /// Takes in a row's value of the argument; nil is null and is skipped except by `countRows`.
    mutating func add(_ value: [UInt8]?) {
        switch aggregate.kind {
        case .countRows: count += 1
        case .count: if value != nil { count += 1 }
        case .first:
            if !hasFirst { best = value }
            hasFirst = true
        case .min, .max:
            guard let value else { return }
            guard let current = best else {
                best = value
                return
            }
            let order = value.withUnsafeBytes { a in
                current.withUnsafeBytes { b in aggregate.type.compare(a, b) }
            }
            if aggregate.kind == .min ? order < 0 : order > 0 { best = value }
        case .sum, .average:
            guard let value, let number = Number(value, aggregate.type) else { return }
            count += 1
            switch number {
            case .integer(let value): integer = integer &+ value
            case .real(let value): real += value
            }
        }
    }

    /// The result: zero for empty sums and averages, null for empty minima.
    var result: [UInt8]? {
        switch aggregate.kind {
        case .countRows, .count: return SystemValue.bigEndian(count)
        case .first, .min, .max: return best
        case .sum: return total(divisor: 1)
        case .average: return total(divisor: max(count, 1))
        }
    }

    private func total(divisor: Int64) -> [UInt8]? {
        switch aggregate.type {
        case .float, .double:
            return Number.real(real / Double(divisor)).bytes(as: aggregate.type)
        default:
            return Number.integer(integer / divisor).bytes(as: aggregate.type)
        }
    }
}
