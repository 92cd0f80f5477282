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
    /// The name is for errors.
    case function(ScalarFunction, [PlannedTerm], place: Int, name: String)
    /// The parts of a tuple or user-defined type; null parts are allowed.
    case fields([PlannedTerm], CQLType)
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
        case .function(let function, let arguments, let place, let name):
            var evaluated: [[UInt8]?] = []
            for argument in arguments {
                evaluated.append(
                    try argument.bytes(values, context, "argument in call to function \(name)"))
            }
            let result = try function.evaluate(evaluated, context, place: place)
            return result.map { .bytes($0) } ?? .null
        case .fields(let parts, let type):
            var bytes: [UInt8] = []
            for (place, part) in parts.enumerated() {
                switch try part.evaluate(values, context) {
                case .bytes(let value):
                    bytes += SystemValue.bigEndian(Int32(value.count)) + value
                case .null: bytes += SystemValue.bigEndian(Int32(-1))
                case .unset: throw Self.unsetField(place, type)
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

    private static func unsetField(_ place: Int, _ type: CQLType) -> CQLError {
        guard case .userDefined(let definition, _) = type else {
            return .invalid("Invalid unset value for tuple field number \(place)")
        }
        return .invalid(
            "Invalid unset value for field '\(definition.fields[place].name)' of user defined type"
                + " \(definition.name)")
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

    static func vectorElement(_ element: CQLType, _ value: [UInt8]) -> [UInt8] {
        guard element.vectorElementLength == nil else { return value }
        var bytes: [UInt8] = []
        VariableInteger.appendUnsigned(UInt64(value.count), to: &bytes)
        return bytes + value
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
}
