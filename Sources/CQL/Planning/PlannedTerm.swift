// Terms with their types settled: literals become serialized values when the statement is planned, bind
// markers and function calls wait for the execution.

internal import Encoding
internal import Model

/// A value that a statement needs, ready to be computed.
indirect enum PlannedTerm: Sendable {
    case null
    /// Serialized and checked.
    case constant([UInt8])
    case marker(Int, CQLType)
    case function(ScalarFunction, [PlannedTerm], place: Int)
    /// The parts of a tuple or user-defined type; null parts are allowed.
    case fields([PlannedTerm])
    /// A list, or the elements of a set or map in order; `type` sorts them.
    case collection(CQLType, [PlannedTerm])
    case vector(CQLType, [PlannedTerm])

    /// A computed value.
    enum Value: Equatable {
        case null
        case unset
        case bytes([UInt8])
    }

    /// Whether the value is known without executing.
    var isConstant: Bool {
        switch self {
        case .null, .constant: true
        default: false
        }
    }

    /// Computes the value. Bound values are checked against their type.
    func evaluate(
        _ values: BoundValues, _ context: ExecutionContext
    ) throws(CQLError) -> Value {
        switch self {
        case .null: return .null
        case .constant(let bytes): return .bytes(bytes)
        case .marker(let index, let type):
            switch values[index] {
            case .null: return .null
            case .unset: return .unset
            case .bytes(let raw):
                try type.check(raw)
                return .bytes(Array(raw))
            }
        case .function(let function, let arguments, let place):
            var evaluated: [[UInt8]?] = []
            for argument in arguments {
                evaluated.append(try argument.bytes(values, context, "function argument"))
            }
            let result = try function.evaluate(evaluated, context, place: place)
            return result.map { .bytes($0) } ?? .null
        case .fields(let parts):
            var bytes: [UInt8] = []
            for part in parts {
                if let value = try part.bytes(values, context, "tuple value") {
                    bytes += SystemValue.bigEndian(Int32(value.count)) + value
                } else {
                    bytes += SystemValue.bigEndian(Int32(-1))
                }
            }
            return .bytes(bytes)
        case .collection(let type, let parts):
            var evaluated: [[UInt8]] = []
            for part in parts {
                guard let value = try part.bytes(values, context, "collection value") else {
                    throw .invalid("null is not supported inside collections")
                }
                evaluated.append(value)
            }
            return .bytes(Self.collection(type, evaluated))
        case .vector(let element, let parts):
            var bytes: [UInt8] = []
            for part in parts {
                guard let value = try part.bytes(values, context, "vector value") else {
                    throw .invalid("null is not supported inside vectors")
                }
                bytes += Self.vectorElement(element, value)
            }
            return .bytes(bytes)
        }
    }

    /// The value's bytes, nil for null; unset is refused.
    func bytes(
        _ values: BoundValues, _ context: ExecutionContext, _ name: String
    ) throws(CQLError) -> [UInt8]? {
        switch try evaluate(values, context) {
        case .null: return nil
        case .unset: throw .invalid("Invalid unset value for \(name)")
        case .bytes(let bytes): return bytes
        }
    }

    /// The serialized form of a collection, with sets and map keys sorted and without repeats.
    static func collection(_ type: CQLType, _ parts: [[UInt8]]) -> [UInt8] {
        func precedes(_ type: CQLType, _ left: [UInt8], _ right: [UInt8]) -> Bool {
            left.withUnsafeBytes { a in right.withUnsafeBytes { b in type.compare(a, b) < 0 } }
        }
        switch type {
        case .set(let element, _):
            var unique: [[UInt8]] = []
            for part in parts.sorted(by: { precedes(element, $0, $1) }) {
                if let last = unique.last, !precedes(element, last, part) { continue }
                unique.append(part)
            }
            return SystemValue.collection(count: unique.count, unique)
        case .map(let key, _, _):
            var entries: [(key: [UInt8], value: [UInt8])] = []
            for index in stride(from: 0, to: parts.count - 1, by: 2) {
                entries.append((parts[index], parts[index + 1]))
            }
            // The sort is stable in effect: of equal keys the one written last stays.
            let order = entries.indices.sorted { a, b in
                if precedes(key, entries[a].key, entries[b].key) { return true }
                if precedes(key, entries[b].key, entries[a].key) { return false }
                return a < b
            }
            var unique: [(key: [UInt8], value: [UInt8])] = []
            for index in order {
                if let last = unique.last, !precedes(key, last.key, entries[index].key) {
                    unique.removeLast()
                }
                unique.append(entries[index])
            }
            return SystemValue.collection(
                count: unique.count, unique.flatMap { [$0.key, $0.value] })
        default: return SystemValue.collection(count: parts.count, parts)
        }
    }

    private static func vectorElement(_ element: CQLType, _ value: [UInt8]) -> [UInt8] {
        switch element {
        case .int, .float, .bigint, .double, .boolean, .timestamp, .uuid, .timeuuid, .vector:
            return value
        default:
            // A length in Cassandra's variable form goes before elements of other types.
            return UnsignedVariableInteger.bytes(UInt64(value.count)) + value
        }
    }
}

/// Cassandra's unsigned variable-length integer, as vectors hold it.
enum UnsignedVariableInteger {
    static func bytes(_ value: UInt64) -> [UInt8] {
        let bits = 64 - (value | 1).leadingZeroBitCount
        let extra = min((bits - 1) / 7, 8)
        var bytes: [UInt8] = []
        if extra == 8 {
            bytes.append(0xFF)
        } else {
            let mark = ~(UInt8(0xFF) >> UInt8(extra))
            bytes.append(mark | UInt8(truncatingIfNeeded: value >> UInt64(extra * 8)))
        }
        for index in stride(from: extra - 1, through: 0, by: -1) {
            bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(index * 8)))
        }
        return bytes
    }
}

extension CQLType {
    /// Checks a client's value, as a request's error.
    @inline(__always)
    func check(_ value: UnsafeRawBufferPointer) throws(CQLError) {
        do throws(CQLValueError) {
            try validate(value)
        } catch {
            throw .invalid(error.message)
        }
    }

    /// Whether a value of type `other` may stand where this type is expected.
    func accepts(_ other: CQLType) -> Bool {
        if self == other { return true }
        switch (self, other) {
        case (.text, .ascii), (.uuid, .timeuuid), (.blob, _), (.bigint, .counter),
            (.counter, .bigint):
            return true
        default: return frozen == other.frozen
        }
    }
}

/// Settles the types of terms and collects what the bind markers stand for.
struct TermCompiler {
    let keyspace: String
    let table: String
    let types: [UserDefinedType]
    /// The names that markers were given.
    let markerNames: [String?]
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
            let hinted = try TypeResolution(keyspace: keyspace, types: types).resolve(syntax)
            guard type.accepts(hinted) else {
                throw .invalid(
                    "Cannot assign value \(term.sourceText) to \(name) of type \(type.cqlName)")
            }
            return try compile(inner, as: hinted, for: name)
        case .cast: throw .invalid("CAST on values is not supported by Coterie yet")
        case .arithmetic, .negation:
            throw .invalid("Arithmetic is not supported by Coterie yet")
        case .function(let function, let arguments):
            return try call(function, arguments, type, name)
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

    private mutating func call(
        _ function: QualifiedName, _ arguments: [Term], _ type: CQLType, _ name: String
    ) throws(CQLError) -> PlannedTerm {
        let candidates = ScalarFunction.candidates(function.name.lowercased())
            .filter { $0.arguments.count == arguments.count }
        guard function.keyspace == nil || function.keyspace == "system", !candidates.isEmpty else {
            throw .invalid("Unknown function '\(function)'")
        }
        var failure: CQLError?
        for candidate in candidates {
            var attempt = self
            do throws(CQLError) {
                var planned: [PlannedTerm] = []
                for (argument, argumentType) in zip(arguments, candidate.arguments) {
                    guard attempt.fits(argument, argumentType) else {
                        throw .invalid(
                            "Invalid call to function \(function), none of its type signatures match"
                        )
                    }
                    planned.append(
                        try attempt.compile(argument, as: argumentType, for: "arg0(\(function))"))
                }
                guard type.accepts(candidate.result) else {
                    throw .invalid(
                        "Type error: cannot assign result of function system.\(function.name) (type"
                            + " \(candidate.result.cqlName)) to \(name) (type \(type.cqlName))")
                }
                let place = attempt.nextCall()
                self = attempt
                return .function(candidate.function, planned, place: place)
            } catch {
                failure = failure ?? error
            }
        }
        throw failure ?? .invalid("Unknown function '\(function)'")
    }

    /// Whether an argument that is itself a call gives the type that is asked for.
    private func fits(_ argument: Term, _ type: CQLType) -> Bool {
        guard case .function(let inner, let arguments) = argument else { return true }
        return ScalarFunction.candidates(inner.name.lowercased()).contains {
            $0.arguments.count == arguments.count && type.accepts($0.result)
        }
    }

    // MARK: Nested values

    private static func mismatch(_ kind: String, _ name: String, _ type: CQLType) -> CQLError {
        .invalid("Invalid \(kind) literal for \(name) of type \(type.cqlName)")
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
            var parts: [PlannedTerm] = []
            for item in items {
                parts.append(try compile(item, as: element, for: "value(\(name))"))
            }
            return .vector(element, parts)
        }
        guard case .list(let element, _) = type else { throw Self.mismatch("list", name, type) }
        var parts: [PlannedTerm] = []
        for item in items { parts.append(try compile(item, as: element, for: "value(\(name))")) }
        return .collection(type, parts)
    }

    private mutating func set(
        _ items: [Term], _ type: CQLType, _ name: String
    ) throws(CQLError) -> PlannedTerm {
        if items.isEmpty, case .map = type { return .collection(type, []) }
        guard case .set(let element, _) = type else { throw Self.mismatch("set", name, type) }
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
            parts.append(try compile(given.value, as: field.type, for: "\(name).\(field.name)"))
        }
        return .fields(parts)
    }
}
