// Terms with their types settled: literals become constants, calls find their function, and each bind marker
// learns what it stands for.
//
// A term is compiled against the type that is expected of it. Before that, the arguments of a call are only
// asked how well they suit a type (`suits`), so that the call's function can be found.

internal import Encoding
internal import Model

/// Settles the types of terms and collects what the bind markers stand for.
struct TermCompiler {
    let keyspace: String
    let table: String
    let types: [UserDefinedType]
    /// The names that markers were given.
    let markerNames: [String?]
    /// What `token` takes in this statement.
    var partitionKey: [CQLType] = []
    /// What each marker stands for, once it was met.
    private(set) var markers: [ColumnSpecification?]
    private var calls = 0

    init(keyspace: String, table: String, types: [UserDefinedType], markerNames: [String?]) {
        self.keyspace = keyspace
        self.table = table
        self.types = types
        self.markerNames = markerNames
        self.markers = Array(repeating: nil, count: markerNames.count)
    }

    /// Notes what marker `index` stands for.
    mutating func bind(_ index: Int, _ name: String, _ type: CQLType) {
        markers[index] = ColumnSpecification(
            keyspace: keyspace, table: table, name: markerNames[index] ?? name, type: type)
    }

    /// A number for the next function call.
    mutating func nextCall() -> Int {
        calls += 1
        return calls
    }

    /// The term as a value of `type`, for the column or place called `name`. `described` is the term as
    /// an argument, where it was tried as one before.
    mutating func compile(
        _ term: Term, as type: CQLType, for name: String, described: CallArgument? = nil
    ) throws(CQLError) -> PlannedTerm {
        let compiled = try compileParts(term, type, name, described)
        return try folded(compiled)
    }

    /// Computes terms that hold neither markers nor calls.
    private func folded(_ term: PlannedTerm) throws(CQLError) -> PlannedTerm {
        let parts: [PlannedTerm]
        switch term {
        case .fields(let items, _), .collection(_, let items), .vector(_, let items): parts = items
        default: return term
        }
        guard parts.allSatisfy(\.isConstant) else { return term }
        let context = ExecutionContext(timestamp: 0, nowInSeconds: 0)
        switch try term.evaluate(BoundValues(), context) {
        case .bytes(let bytes): return .constant(bytes)
        case .null, .unset: return .null
        }
    }

    private mutating func compileParts(
        _ term: Term, _ type: CQLType, _ name: String, _ described: CallArgument?
    ) throws(CQLError) -> PlannedTerm {
        switch term {
        case .null:
            guard type != .counter else {
                throw .invalid("Invalid null value for counter increment/decrement")
            }
            return .null
        case .literal(let literal)
        where type == .timestamp && literal.kind == .string && TimeFunctions.meansNow(literal.text):
            return .function(
                .currentTimestamp, [], place: nextCall(), name: "system.current_timestamp")
        case .literal(let literal): return .constant(try Self.literal(literal, type, name))
        case .marker(let index):
            bind(index, name, type)
            return .marker(index, type)
        case .typeHint(let syntax, let inner):
            let hinted = try resolve(syntax)
            guard hinted.assignability(to: type) != .none, suits(inner, hinted) != .none else {
                throw .invalid(
                    "Cannot assign value \(term.sourceText) to \(name) of type \(type.cqlName)")
            }
            return try compile(inner, as: hinted, for: name)
        case .cast, .arithmetic, .negation, .function:
            let operands = described?.operands ?? term.operands.map { argument($0) }
            let function = try signature(term, operands, receiver: type)
            return try call(function, term.operands, operands, type, name)
        case .list(let items): return try list(items, type, name)
        case .set(let items): return try set(items, type, name)
        case .map(let entries): return try map(entries, type, name)
        case .tuple(let items) where items.count == 1 && !type.isTuple:
            // Parentheses around one value are only parentheses.
            return try compile(items[0], as: type, for: name, described: described)
        case .tuple(let items): return try tuple(items, type, name)
        case .userType(let fields): return try userType(fields, type, name)
        }
    }

    // MARK: Literals

    private static func literal(
        _ literal: Literal, _ type: CQLType, _ name: String
    ) throws(CQLError) -> [UInt8] {
        guard isAssignable(literal.kind, type) else {
            throw .invalid(
                "Invalid \(literal.kind.rawValue) constant (\(literal.text)) for \"\(name)\" of type"
                    + " \(type.cqlName)")
        }
        do throws(CQLValueError) {
            return try type.parse(literal.text)
        } catch {
            throw .invalid(error.message)
        }
    }

    private static func isAssignable(_ kind: Literal.Kind, _ type: CQLType) -> Bool {
        switch (kind, type) {
        case (_, .custom): kind == .string || kind == .hexadecimal
        // Its parts stand in one text, whatever kind of literal that looks like.
        case (_, .tuple): true
        case (.string, .ascii), (.string, .text), (.string, .inet), (.string, .date),
            (.string, .time), (.string, .timestamp):
            true
        case (.integer, .bigint), (.integer, .counter), (.integer, .date), (.integer, .decimal),
            (.integer, .double), (.integer, .duration), (.integer, .float), (.integer, .int),
            (.integer, .smallint), (.integer, .time), (.integer, .timestamp), (.integer, .tinyint),
            (.integer, .varint):
            true
        case (.uuid, .uuid), (.uuid, .timeuuid): true
        case (.float, .decimal), (.float, .double), (.float, .float): true
        case (.boolean, .boolean), (.hexadecimal, .blob), (.duration, .duration): true
        default: false
        }
    }

    // MARK: Calls

    private func resolve(_ syntax: TypeSyntax) throws(CQLError) -> CQLType {
        try TypeResolution(keyspace: keyspace, types: types).resolve(syntax)
    }

    /// The function that a call, a cast or an operator means.
    private func signature(
        _ call: Term, _ operands: [CallArgument], receiver: CQLType?
    ) throws(CQLError) -> FunctionSignature {
        switch call {
        case .cast(_, let syntax):
            return try FunctionLibrary.cast(operands[0], to: try resolve(syntax))
        case .arithmetic(let sign, _, _):
            return try FunctionResolver.choose(sign, operands[0], operands[1], receiver: receiver)
        case .negation:
            return try FunctionResolver.chooseNegation(operands[0], receiver: receiver)
        case .function(let function, _):
            let plain = QualifiedName(
                keyspace: function.keyspace, name: function.name.lowercased())
            guard plain.name != "tojson", plain.name != "to_json" else {
                throw .invalid(
                    "\(plain.name)() may only be used within the selection clause of SELECT"
                        + " statements")
            }
            guard SelectorCompiler.aggregateKind(plain) == nil else {
                throw .invalid("Aggregation function are not supported in the where clause")
            }
            return try FunctionLibrary.resolve(
                plain, operands, receiver: receiver, partitionKey: partitionKey)
        case .null, .literal, .marker, .list, .set, .map, .userType, .tuple, .typeHint:
            preconditionFailure("\(call.sourceText) is no call")
        }
    }

    private mutating func call(
        _ function: FunctionSignature, _ arguments: [Term], _ operands: [CallArgument],
        _ type: CQLType, _ name: String
    ) throws(CQLError) -> PlannedTerm {
        guard function.result.assignability(to: type) != .none else {
            throw .invalid(
                "Type error: cannot assign result of function \(function.name) (type"
                    + " \(function.result.cqlName)) to \(name) (type \(type.cqlName))")
        }
        var planned: [PlannedTerm] = []
        for (place, (argument, argumentType)) in zip(arguments, function.arguments).enumerated() {
            planned.append(
                try compile(
                    argument, as: argumentType, for: "arg\(place)(\(function.name))",
                    described: operands[place]))
        }
        return .function(
            function.function, planned, place: nextCall(), name: function.plainName)
    }

    // MARK: What a term may be

    /// The term as the argument of a call.
    func argument(_ term: Term) -> CallArgument {
        switch term {
        case .literal(let literal):
            return CallArgument(
                text: term.sourceText, exactType: nil, likelyType: Self.preferredType(literal)
            ) { Self.suits(literal, $0) }
        case .list(let items):
            return CallArgument(
                text: term.sourceText, exactType: nil, likelyType: likelyType(term),
                elementCount: items.count
            ) { self.suits(term, $0) }
        case .tuple(let items) where items.count == 1:
            let inner = argument(items[0])
            return CallArgument(
                text: term.sourceText, exactType: inner.exactType, likelyType: inner.likelyType,
                operands: inner.operands
            ) { $0.isTuple ? self.suits(term, $0) : inner.suits($0) }
        case .function, .cast, .arithmetic, .negation: return call(term)
        default:
            var isMarker = false
            if case .marker = term { isMarker = true }
            do throws(CQLError) {
                let type = try exactType(term)
                return CallArgument(
                    text: term.sourceText, exactType: type, isMarker: isMarker,
                    likelyType: type ?? likelyType(term)
                ) { type?.assignability(to: $0) ?? self.suits(term, $0) }
            } catch {
                // What is wrong with it is said when it is compiled.
                return CallArgument(
                    text: term.sourceText, exactType: nil, isMarker: isMarker, likelyType: nil
                ) { _ in .weak }
            }
        }
    }

    /// A call as an argument: which function it means depends on the type that is wanted of it.
    private func call(_ term: Term) -> CallArgument {
        let operands = term.operands.map { argument($0) }
        func result(_ receiver: CQLType?) -> CQLType? {
            do throws(CQLError) {
                return try signature(term, operands, receiver: receiver).result
            } catch {
                // A call that is wrong in itself is refused when it is compiled, in its own words.
                return nil
            }
        }
        let type = result(nil)
        return CallArgument(
            text: term.sourceText, exactType: type, likelyType: type, operands: operands
        ) { result($0)?.assignability(to: $0) ?? .weak }
    }

    /// The type of a term that has one whatever is expected of it: a call, a cast, a hint. Literals and
    /// markers have none.
    func exactType(_ term: Term) throws(CQLError) -> CQLType? {
        switch term {
        case .typeHint(let syntax, _), .cast(_, let syntax): return try resolve(syntax)
        case .function, .arithmetic, .negation:
            // The type of `from_json` is what is expected of it.
            if case .function(let name, _) = term,
                ["fromjson", "from_json"].contains(name.name.lowercased())
            {
                return nil
            }
            return try signature(term, term.operands.map { argument($0) }, receiver: nil).result
        case .tuple(let items) where items.count == 1: return try exactType(items[0])
        case .null, .literal, .marker, .list, .set, .map, .userType, .tuple: return nil
        }
    }

    /// The type that a literal has if nothing is expected of it, also that of a list, set or map of such.
    func likelyType(_ term: Term) -> CQLType? {
        switch term {
        case .literal(let literal): Self.preferredType(literal)
        case .tuple(let items) where items.count == 1: likelyType(items[0])
        case .list(let items):
            Self.common(items.map { likelyType($0) }).map { .list($0.frozen, frozen: false) }
        case .set(let items):
            Self.common(items.map { likelyType($0) }).map { .set($0.frozen, frozen: false) }
        case .map(let entries):
            if let key = Self.common(entries.map { likelyType($0.key) }),
                let value = Self.common(entries.map { likelyType($0.value) })
            {
                .map(key.frozen, value.frozen, frozen: false)
            } else {
                nil
            }
        default: nil
        }
    }

    /// The first type that all others may stand for; what has none is passed over.
    static func common(_ types: [CQLType?]) -> CQLType? {
        let known = types.compactMap { $0 }
        return known.first { type in known.allSatisfy { $0.assignability(to: type) != .none } }
    }

    /// How well the term suits a type.
    func suits(_ term: Term, _ type: CQLType) -> Assignability {
        func worst(_ terms: [Term], _ type: CQLType) -> Assignability {
            terms.map { suits($0, type) }.min() ?? .exact
        }
        switch (term, type) {
        case (.null, _), (.marker, _): return .weak
        case (.literal(let literal), _): return Self.suits(literal, type)
        case (.tuple(let items), _) where items.count == 1 && !type.isTuple:
            return suits(items[0], type)
        case (.tuple(let items), .tuple(let types)):
            guard items.count <= types.count else { return .none }
            return zip(items, types).map { suits($0, $1) }.min() ?? .exact
        case (.list(let items), .list(let element, _)): return worst(items, element)
        case (.list(let items), .vector(let element, let dimensions)):
            return items.count == dimensions ? worst(items, element) : .none
        case (.set(let items), .set(let element, _)): return worst(items, element)
        case (.set(let items), .map): return items.isEmpty ? .weak : .none
        case (.map(let entries), .map(let key, let value, _)):
            return min(worst(entries.map(\.key), key), worst(entries.map(\.value), value))
        case (.userType(let fields), .userDefined(let definition, _)):
            var result = Assignability.exact
            for field in fields {
                guard let known = definition.fields.first(where: { $0.name == field.name }) else {
                    return .none
                }
                result = min(result, suits(field.value, known.type))
            }
            return result
        case (.list, _), (.set, _), (.map, _), (.userType, _), (.tuple, _): return .none
        case (.typeHint, _), (.function, _), (.cast, _), (.arithmetic, _), (.negation, _):
            return argument(term).suits(type)
        }
    }

    private static func suits(_ literal: Literal, _ type: CQLType) -> Assignability {
        if type == preferredType(literal) { return .exact }
        if case .custom = type { return .weak }
        if literal.kind == .duration, type == .duration { return .exact }
        return isAssignable(literal.kind, type) ? .weak : .none
    }

    /// The type that a literal has if nothing else is said.
    private static func preferredType(_ literal: Literal) -> CQLType? {
        switch literal.kind {
        case .string: literal.text.utf8.allSatisfy { $0 < 0x80 } ? .ascii : .text
        case .integer:
            Int32(literal.text) != nil ? .int : (Int64(literal.text) != nil ? .bigint : .varint)
        case .float: .double
        case .boolean: .boolean
        case .duration: .duration
        case .uuid: .uuid
        case .hexadecimal: .blob
        }
    }

    // MARK: Nested values

    private static func mismatch(_ kind: String, _ name: String, _ type: CQLType) -> CQLError {
        .invalid("Invalid \(kind) literal for \(name) of type \(type.cqlName)")
    }

    /// Refuses a literal one of whose elements cannot be of their type, in the words that name the literal.
    private func check(
        _ items: [Term], _ type: CQLType, _ kind: String, _ part: String, _ name: String
    ) throws(CQLError) {
        for item in items where suits(item, type) == .none {
            throw .invalid(
                "Invalid \(kind) literal for \(name): \(part) \(item.sourceText) is not of type"
                    + " \(type.cqlName)")
        }
    }

    private mutating func list(
        _ items: [Term], _ type: CQLType, _ name: String
    ) throws(CQLError) -> PlannedTerm {
        if case .vector(let element, let dimensions) = type {
            guard items.count == dimensions else {
                throw .invalid(
                    "Invalid vector literal for \(name) of type \(type.cqlName); expected"
                        + " \(dimensions) elements, but given \(items.count)")
            }
            try check(items, element, "vector", "value", name)
            var parts: [PlannedTerm] = []
            for item in items {
                parts.append(try compile(item, as: element, for: "value(\(name))"))
            }
            return .vector(element, parts)
        }
        guard case .list(let element, _) = type else { throw Self.mismatch("list", name, type) }
        try check(items, element, "list", "value", name)
        var parts: [PlannedTerm] = []
        for item in items { parts.append(try compile(item, as: element, for: "value(\(name))")) }
        return .collection(type, parts)
    }

    private mutating func set(
        _ items: [Term], _ type: CQLType, _ name: String
    ) throws(CQLError) -> PlannedTerm {
        if items.isEmpty, case .map = type { return .collection(type, []) }
        guard case .set(let element, _) = type else { throw Self.mismatch("set", name, type) }
        try check(items, element, "set", "value", name)
        var parts: [PlannedTerm] = []
        for item in items { parts.append(try compile(item, as: element, for: "value(\(name))")) }
        return .collection(type, parts)
    }

    private mutating func map(
        _ entries: [Term.MapEntry], _ type: CQLType, _ name: String
    ) throws(CQLError) -> PlannedTerm {
        guard case .map(let key, let value, _) = type else {
            throw Self.mismatch("map", name, type)
        }
        try check(entries.map(\.key), key, "map", "key", name)
        try check(entries.map(\.value), value, "map", "value", name)
        var parts: [PlannedTerm] = []
        for entry in entries {
            parts.append(try compile(entry.key, as: key, for: "key(\(name))"))
            parts.append(try compile(entry.value, as: value, for: "value(\(name))"))
        }
        return .collection(type, parts)
    }

    private mutating func tuple(
        _ items: [Term], _ type: CQLType, _ name: String
    ) throws(CQLError) -> PlannedTerm {
        guard case .tuple(let types) = type else {
            throw Self.mismatch("tuple type", name, type)
        }
        guard items.count <= types.count else {
            throw .invalid(
                "Invalid tuple literal for \(name): too many elements. Type \(type.cqlName) expects"
                    + " \(types.count) but got \(items.count)")
        }
        var parts: [PlannedTerm] = []
        for (item, part) in zip(items, types) {
            guard suits(item, part) != .none else {
                throw .invalid(
                    "Invalid tuple literal for \(name): component \(parts.count) is not of type"
                        + " \(part.cqlName)")
            }
            parts.append(try compile(item, as: part, for: "\(name)[\(parts.count)]"))
        }
        return .fields(parts, type)
    }

    private mutating func userType(
        _ fields: [Term.FieldValue], _ type: CQLType, _ name: String
    ) throws(CQLError) -> PlannedTerm {
        guard case .userDefined(let definition, _) = type else {
            throw Self.mismatch("user type", name, type)
        }
        for field in fields where !definition.fields.contains(where: { $0.name == field.name }) {
            throw .invalid(
                "Unknown field '\(field.name)' in value of user defined type \(definition.name)")
        }
        var parts: [PlannedTerm] = []
        for field in definition.fields {
            guard let given = fields.first(where: { $0.name == field.name }) else {
                parts.append(.null)
                continue
            }
            guard suits(given.value, field.type) != .none else {
                throw .invalid(
                    "Invalid user type literal for \(name): field \(field.name) is not of type"
                        + " \(field.type.cqlName)")
            }
            parts.append(try compile(given.value, as: field.type, for: "\(name).\(field.name)"))
        }
        return .fields(parts, type)
    }
}

extension Term {
    /// The arguments of a call, a cast or an operator.
    fileprivate var operands: [Term] {
        switch self {
        case .cast(let inner, _), .negation(let inner): [inner]
        case .arithmetic(_, let left, let right): [left, right]
        case .function(_, let arguments): arguments
        case .null, .literal, .marker, .list, .set, .map, .userType, .tuple, .typeHint: []
        }
    }
}

extension CQLType {
    /// Whether it is a tuple.
    var isTuple: Bool {
        if case .tuple = self { true } else { false }
    }
}
