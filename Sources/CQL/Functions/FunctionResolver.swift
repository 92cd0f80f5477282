// Which function a call means: the overload whose types fit its arguments.
//
// An argument is tried against the types that a function takes: it fits exactly, or weakly (a literal that
// may be of several types, a bind marker), or not. An exact fit of all arguments wins; otherwise exactly
// one function may fit weakly. The texts are Cassandra's.

internal import Model

/// How well a value suits a type.
enum Assignability: Int, Comparable {
    case none
    case weak
    case exact

    static func < (left: Assignability, right: Assignability) -> Bool {
        left.rawValue < right.rawValue
    }
}

/// What has to be known of an argument to find the function that is called with it.
///
/// An argument may be a call itself, which is found anew for each type that is tried: what suits is
/// remembered, so that a chain of calls costs no more than its length.
final class CallArgument {
    /// nil for literals, which may be of several types, and for bind markers.
    let exactType: CQLType?
    let isMarker: Bool
    /// The type that suits exactly, if that is known without asking for each: that of a literal too, if
    /// nothing else is said.
    let likelyType: CQLType?
    /// If it is a call: the arguments of that.
    let operands: [CallArgument]
    /// If it is written as a list: of how many elements.
    let elementCount: Int?
    private let describe: () -> String
    private let judge: (CQLType) -> Assignability
    private var judged: [CQLType: Assignability] = [:]

    init(
        text: @escaping @autoclosure () -> String, exactType: CQLType?, isMarker: Bool = false,
        likelyType: CQLType?, operands: [CallArgument] = [], elementCount: Int? = nil,
        suits: @escaping (CQLType) -> Assignability
    ) {
        self.exactType = exactType
        self.isMarker = isMarker
        self.likelyType = likelyType
        self.operands = operands
        self.elementCount = elementCount
        describe = text
        judge = suits
    }

    /// As the statement has it.
    var text: String { describe() }

    /// How well it suits a type.
    func suits(_ type: CQLType) -> Assignability {
        if let known = judged[type] { return known }
        let result = judge(type)
        judged[type] = result
        return result
    }
}

/// A function with the types that it takes and gives.
struct FunctionSignature: Sendable {
    /// With the keyspace that it lives in: `system.now`.
    let name: String
    let function: ScalarFunction
    let arguments: [CQLType]
    let result: CQLType

    init(_ name: String, _ function: ScalarFunction, _ arguments: [CQLType], _ result: CQLType) {
        self.name = Self.keyspace + name
        self.function = function
        self.arguments = arguments
        self.result = result
    }

    private static let keyspace = "system."

    /// The name without its keyspace.
    var plainName: String { String(name.dropFirst(Self.keyspace.count)) }

    /// As error texts show it.
    var description: String {
        "\(name) : (\(arguments.map(\.cqlName).joined(separator: ", "))) -> \(result.cqlName)"
    }
}

/// Finds the function of a call.
enum FunctionResolver {
    /// The one of `candidates` that the call means. `receiver` is the type that the result has to have,
    /// if it is known.
    static func choose(
        _ candidates: [FunctionSignature], _ arguments: [CallArgument], receiver: CQLType?
    ) throws(CQLError) -> FunctionSignature {
        if candidates.count == 1 {
            try check(candidates[0], arguments)
            return candidates[0]
        }
        let name = candidates.first?.name ?? ""
        var weak: [FunctionSignature] = []
        for candidate in candidates where fits(candidate.result, receiver) {
            switch match(candidate, arguments) {
            case .exact: return candidate
            case .weak: weak.append(candidate)
            case .none: continue
            }
        }
        if weak.count == 1 { return weak[0] }
        guard weak.isEmpty else {
            throw .invalid(
                "Ambiguous call to function \(name) (can be matched by following signatures:"
                    + " \(list(weak))): use type casts to disambiguate")
        }
        throw .invalid(
            "Invalid call to function \(name), none of its type signatures match (known type"
                + " signatures: \(list(candidates)))")
    }

    /// The function of an operator between two values.
    static func choose(
        _ sign: ArithmeticOperator, _ left: CallArgument, _ right: CallArgument, receiver: CQLType?
    ) throws(CQLError) -> FunctionSignature {
        if let leftType = left.likelyType, let rightType = right.likelyType,
            let direct = ArithmeticFunctions.signature(sign, leftType, rightType),
            fits(direct.result, receiver)
        {
            return direct
        }
        var weak: [FunctionSignature] = []
        for candidate in ArithmeticFunctions.candidates[sign] ?? []
        where fits(candidate.result, receiver) {
            switch match(candidate, [left, right]) {
            case .exact: return candidate
            case .weak: weak.append(candidate)
            case .none: continue
            }
        }
        if weak.count == 1 { return weak[0] }
        guard !weak.isEmpty else {
            throw .invalid(
                "the '\(sign.rawValue)' operation is not supported between \(left.text) and"
                    + " \(right.text)")
        }
        if let receiver, !left.isMarker, !right.isMarker,
            let same = weak.first(where: { $0.arguments == [receiver, receiver] })
        {
            return same
        }
        throw .invalid(
            "Ambiguous '\(sign.rawValue)' operation with args \(left.text) and \(right.text): use type"
                + " hint to disambiguate, example '(int) ?'")
    }

    /// The function that negates a value.
    static func chooseNegation(
        _ argument: CallArgument, receiver: CQLType?
    ) throws(CQLError) -> FunctionSignature {
        let candidates = ArithmeticFunctions.numericTypes.map {
            FunctionSignature("_negate", .negation($0), [$0], $0)
        }
        var weak: [FunctionSignature] = []
        for candidate in candidates where fits(candidate.result, receiver) {
            switch match(candidate, [argument]) {
            case .exact: return candidate
            case .weak: weak.append(candidate)
            case .none: continue
            }
        }
        if weak.count == 1 { return weak[0] }
        if let receiver, let same = weak.first(where: { $0.result == receiver }) { return same }
        guard weak.isEmpty else {
            throw .invalid("Ambiguous negation: use type casts to disambiguate")
        }
        throw .invalid(
            "Invalid call to function system._negate, none of its type signatures match (known type"
                + " signatures: \(list(candidates)))")
    }

    private static func fits(_ result: CQLType, _ receiver: CQLType?) -> Bool {
        receiver.map { result.assignability(to: $0) != .none } ?? true
    }

    private static func match(
        _ candidate: FunctionSignature, _ arguments: [CallArgument]
    ) -> Assignability {
        guard candidate.arguments.count == arguments.count else { return .none }
        var result = Assignability.exact
        for (argument, type) in zip(arguments, candidate.arguments) {
            result = min(result, argument.suits(type))
            if result == .none { break }
        }
        return result
    }

    /// Checks a call of the only function of its name, for more exact texts.
    private static func check(
        _ function: FunctionSignature, _ arguments: [CallArgument]
    ) throws(CQLError) {
        guard arguments.count == function.arguments.count else {
            throw .invalid(
                "Invalid number of arguments in call to function \(function.name):"
                    + " \(function.arguments.count) required but \(arguments.count) provided")
        }
        for (place, (argument, type)) in zip(arguments, function.arguments).enumerated()
        where argument.suits(type) == .none {
            throw .invalid(
                "Type error: \(argument.text) cannot be passed as argument \(place) of function"
                    + " \(function.name) of type \(type.cqlName)")
        }
    }

    static func list(_ functions: [FunctionSignature]) -> String {
        functions.map(\.description).joined(separator: ", ")
    }
}

extension CQLType {
    /// Whether a value of this type may stand where `receiver` is expected. Whether either is frozen makes
    /// no difference to a value.
    func assignability(to receiver: CQLType) -> Assignability {
        if self == receiver || frozen == receiver.frozen { return .exact }
        return receiver.accepts(self) ? .weak : .none
    }

    /// Whether a value of type `other` may stand where this type is expected.
    func accepts(_ other: CQLType) -> Bool {
        if self == other { return true }
        switch (self, other) {
        case (.text, .ascii), (.uuid, .timeuuid), (.blob, _), (.bigint, .timestamp),
            (.timestamp, .bigint), (.varint, .int), (.varint, .bigint), (.varint, .timestamp):
            return true
        default: return frozen == other.frozen
        }
    }
}
