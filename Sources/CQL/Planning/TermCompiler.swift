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

    /// The term as a value of `type`, for the column or place called `name`.
    mutating func compile(
        _ term: Term, as type: CQLType, for name: String
    ) throws(CQLError) -> PlannedTerm {
        let compiled = try compileParts(term, type, name)
        return try folded(compiled)
    }

    /// Computes terms that hold neither markers nor calls.
    private func folded(_ term: PlannedTerm) throws(CQLError) -> PlannedTerm {
        let parts: [PlannedTerm]
        switch term {
        case .fields(let items), .collection(_, let items), .vector(_, let items): parts = items
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
        _ term: Term, _ type: CQLType, _ name: String
    ) throws(CQLError) -> PlannedTerm {
        switch term {
        case .null: return .null
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
        case .cast(let inner, let syntax):
            let target = try resolve(syntax)
            let function = try FunctionLibrary.cast(argument(inner), to: target)
            return try call(function, [inner], type, name)
        case .arithmetic(let sign, let left, let right):
            let function = try FunctionResolver.choose(
                sign, argument(left), argument(right), receiver: type)
            return try call(function, [left, right], type, name)
        case .negation(let inner):
            let function = try FunctionResolver.chooseNegation(
                argument(inner), receiver: type)
            return try call(function, [inner], type, name)
        case .function(let function, let arguments):
            let resolved = try resolve(function, arguments, receiver: type)
            return try call(resolved, arguments, type, name)
        case .list(let items): return try list(items, type, name)
        case .set(let items): return try set(items, type, name)
        case .map(let entries): return try map(entries, type, name)
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

    private func resolve(
        _ function: QualifiedName, _ arguments: [Term], receiver: CQLType?
    ) throws(CQLError) -> FunctionSignature {
        let plain = QualifiedName(keyspace: function.keyspace, name: function.name.lowercased())
        guard plain.name != "tojson", plain.name != "to_json" else {
            throw .invalid(
                "\(plain.name)() may only be used within the selection clause of SELECT statements")
        }
        var described: [CallArgument] = []
        for term in arguments { described.append(argument(term)) }
        return try FunctionLibrary.resolve(
            plain, described, receiver: receiver, partitionKey: partitionKey)
    }

    private mutating func call(
        _ function: FunctionSignature, _ arguments: [Term], _ type: CQLType, _ name: String
    ) throws(CQLError) -> PlannedTerm {
        guard function.result.assignability(to: type) != .none else {
            throw .invalid(
                "Type error: cannot assign result of function \(function.name) (type"
                    + " \(function.result.cqlName)) to \(name) (type \(type.cqlName))")
        }
        var planned: [PlannedTerm] = []
        for (place, (argument, argumentType)) in zip(arguments, function.arguments).enumerated() {
            planned.append(
                try compile(argument, as: argumentType, for: "arg\(place)(\(function.name))"))
        }
        return .function(
            function.function, planned, place: nextCall(), name: function.plainName)
    }

    // MARK: What a term may be

    /// The term as the argument of a call. Its type is found once, so that nested calls cost no more than
    /// their depth.
    func argument(_ term: Term) -> CallArgument {
        var isMarker = false
        if case .marker = term { isMarker = true }
        let compiler = self
        let type: CQLType?
        do throws(CQLError) {
            type = try exactType(term)
        } catch {
            // What is wrong with it is said when it is compiled.
            return CallArgument(
                text: term.sourceText, exactType: nil, isMarker: isMarker, likelyType: nil,
                suits: { _ in .weak })
        }
        var likelyType = type
        if case .literal(let literal) = term { likelyType = Self.preferredType(literal) }
        return CallArgument(
            text: term.sourceText, exactType: type, isMarker: isMarker, likelyType: likelyType,
            suits: { wanted in type?.assignability(to: wanted) ?? compiler.suits(term, wanted) })
    }

    /// The type of a term that has one whatever is expected of it: a call, a cast, a hint. Literals and
    /// markers have none.
    func exactType(_ term: Term) throws(CQLError) -> CQLType? {
        switch term {
        case .typeHint(let syntax, _), .cast(_, let syntax): return try resolve(syntax)
        case .function(let name, let arguments):
            let plain = name.name.lowercased()
            // Its type is what is expected of it.
            if plain == "fromjson" || plain == "from_json" { return nil }
            return try resolve(name, arguments, receiver: nil).result
        case .arithmetic(let sign, let left, let right):
            return try FunctionResolver.choose(
                sign, argument(left), argument(right), receiver: nil
            ).result
        case .negation(let inner):
            return try FunctionResolver.chooseNegation(argument(inner), receiver: nil).result
        case .tuple(let items) where items.count == 1: return try exactType(items[0])
        case .null, .literal, .marker, .list, .set, .map, .userType, .tuple: return nil
        }
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
        case (.function, _), (.cast, _), (.typeHint, _), (.arithmetic, _), (.negation, _):
            do throws(CQLError) {
                // A call that is wrong in itself is refused when it is compiled, in its own words.
                return try resultSuits(term, type)
            } catch {
                return .weak
            }
        }
    }

    private func resultSuits(_ term: Term, _ type: CQLType) throws(CQLError) -> Assignability {
        switch term {
        case .function(let name, let arguments):
            return try resolve(name, arguments, receiver: type).result.assignability(to: type)
        case .arithmetic(let sign, let left, let right):
            let function = try FunctionResolver.choose(
                sign, argument(left), argument(right), receiver: type)
            return function.result.assignability(to: type)
        default:
            return try exactType(term)?.assignability(to: type) ?? .weak
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
            // Parentheses around one value are only parentheses.
            if items.count == 1 { return try compile(items[0], as: type, for: name) }
            throw Self.mismatch("tuple", name, type)
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
        return .fields(parts)
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
        return .fields(parts)
    }
}

extension CQLType {
    /// Whether it is a tuple.
    var isTuple: Bool {
        if case .tuple = self { true } else { false }
    }
}
