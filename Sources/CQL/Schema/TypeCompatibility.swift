// Whether a column that was dropped may come back with another type (Cassandra's `isSerializationCompatibleWith`).
//
// Values that were written with the former type must be readable as the new one: in files that are restored, or
// when a drop and an addition reach the nodes in another order. So a type goes together with itself, with those
// whose bytes it takes as they are, and only if both are written with a length, or with the same fixed one.

internal import Model

extension CQLType {
    /// Whether cells of `previous` can be read as cells of this type.
    func canReadCells(of previous: CQLType) -> Bool {
        takesBytes(of: previous) && storedLength == previous.storedLength
            && isMultiCell == previous.isMultiCell
    }

    /// Whether every value of `previous` is a value of this type.
    private func takesBytes(of previous: CQLType) -> Bool {
        switch (self, previous) {
        case (.blob, _), (.text, .ascii), (.bigint, .timestamp), (.timestamp, .bigint),
            (.uuid, .timeuuid):
            return true
        case (.list(let element, true), .list(let former, true)):
            return element.takesBytes(of: former)
        case (.map(let key, let value, true), .map(let formerKey, let formerValue, true)):
            return key.sorts(asSortedBy: formerKey) && value.takesBytes(of: formerValue)
        case (.tuple(let parts), .tuple(let formerParts)):
            return formerParts.count <= parts.count
                && zip(parts, formerParts).allSatisfy { $0.takesBytes(of: $1) }
        case (.list(let element, false), .list(let former, false)):
            return element.canReadCells(of: former)
        case (.map(let key, let value, false), .map(let formerKey, let formerValue, false)):
            return key.sorts(asSortedBy: formerKey) && value.canReadCells(of: formerValue)
        default: return sorts(asSortedBy: previous)
        }
    }

    /// Whether every value of `previous` is a value of this type, and they have the same order.
    private func sorts(asSortedBy previous: CQLType) -> Bool {
        switch (self, previous) {
        case (.blob, .text), (.blob, .ascii), (.text, .ascii): return true
        case (.list(let element, true), .list(let former, true)),
            (.set(let element, true), .set(let former, true)),
            (.set(let element, false), .set(let former, false)):
            return element.sorts(asSortedBy: former)
        case (.map(let key, let value, true), .map(let formerKey, let formerValue, true)):
            return key.sorts(asSortedBy: formerKey) && value.sorts(asSortedBy: formerValue)
        case (.tuple(let parts), .tuple(let formerParts)):
            return formerParts.count <= parts.count
                && zip(parts, formerParts).allSatisfy { $0.sorts(asSortedBy: $1) }
        default: return self == previous
        }
    }

    /// How many bytes Cassandra writes for every value of the type; nil if it writes a length before each.
    private var storedLength: Int? {
        switch self {
        case .boolean: 1
        case .int, .float: 4
        case .bigint, .double, .timestamp, .counter: 8
        case .uuid, .timeuuid: 16
        case .vector(let element, let dimensions): element.storedLength.map { $0 * dimensions }
        default: nil
        }
    }
}
