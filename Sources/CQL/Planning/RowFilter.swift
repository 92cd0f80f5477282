// Conditions that are evaluated on rows one by one.

internal import Encoding
internal import Model

/// A condition on a row, with terms that wait for bound values.
struct RowFilter: Sendable {
    /// A column by its place in `SELECT *`.
    struct Slot: Sendable {
        let index: Int
        let type: CQLType

        init(_ pair: (Int, CQLType)) {
            index = pair.0
            type = pair.1
        }
    }

    enum Target: Sendable {
        case column(Int, CQLType, String)
        case tuple([Slot])
        /// The partition's token.
        case token
    }

    enum Operand: Sendable {
        case term(PlannedTerm)
        case list(InOperand)
        /// An entry of a map.
        case entry(key: PlannedTerm, value: PlannedTerm)
    }

    let target: Target
    let comparison: RelationOperator
    let operand: Operand

    /// The places of the columns that it looks at.
    var slots: [Int] {
        switch target {
        case .column(let slot, _, _): [slot]
        case .tuple(let slots): slots.map(\.index)
        case .token: []
        }
    }

    /// Whether it compares several columns at once with a list.
    var isTupleList: Bool { comparison == .in && slots.count > 1 }
    var isTupleSlice: Bool { comparison.isSlice && slots.count > 1 }

    /// The filter with its values.
    func bound(
        _ values: BoundValues, _ context: ExecutionContext
    ) throws(CQLError) -> BoundFilter {
        let name: String
        switch target {
        case .column(_, _, let column): name = column
        case .tuple: name = "tuple"
        case .token: name = "partition key token"
        }
        func value(_ term: PlannedTerm, _ what: String = "value") throws(CQLError) -> [UInt8] {
            switch try term.evaluate(values, context) {
            case .bytes(let bytes): return bytes
            case .null: throw .invalid("Unsupported null \(what) for column \(name)")
            case .unset: throw .invalid("Unsupported unset \(what) for column \(name)")
            }
        }
        switch operand {
        case .term(let term): return BoundFilter(filter: self, values: [try value(term)])
        case .entry(let key, let content):
            return BoundFilter(
                filter: self, values: [try value(key, "map key"), try value(content, "map value")])
        case .list(let list):
            return BoundFilter(filter: self, values: try list.evaluate(values, context, name))
        }
    }
}

/// A condition with its values. Null satisfies nothing.
struct BoundFilter {
    let filter: RowFilter
    let values: [[UInt8]]

    /// Whether a row satisfies the condition. `value` gives a column of the row by its place.
    func accepts(token: Int64, _ value: (Int) -> UnsafeRawBufferPointer?) -> Bool {
        switch filter.target {
        case .token:
            guard let other = values.first, other.count == 8 else { return false }
            let bound = other.reduce(Int64(0)) { $0 << 8 | Int64($1) }
            // As the end of an interval the smallest token stands for the end of the ring.
            if bound == .min, filter.comparison == .less || filter.comparison == .lessOrEqual {
                return true
            }
            return Self.holds(filter.comparison, token < bound ? -1 : (token > bound ? 1 : 0))
        case .column(let slot, let type, _):
            guard let actual = value(slot) else { return false }
            return accepts(actual, type)
        case .tuple(let slots):
            var parts: [UnsafeRawBufferPointer] = []
            for slot in slots {
                guard let part = value(slot.index) else { return false }
                parts.append(part)
            }
            return accepts(tuple: parts, slots.map(\.type))
        }
    }

    private func accepts(_ actual: UnsafeRawBufferPointer, _ type: CQLType) -> Bool {
        if case .entry = filter.operand {
            guard values.count == 2, case .map(_, let content, _) = type,
                let found = PlannedSelector.part(of: Array(actual), type, key: values[0])
            else { return false }
            return found.withUnsafeBytes { a in
                values[1].withUnsafeBytes { b in content.compare(a, b) == 0 }
            }
        }
        switch filter.comparison {
        case .in, .notIn:
            let isAmong = values.contains { other in
                other.withUnsafeBytes { type.compare(actual, $0) == 0 }
            }
            return isAmong == (filter.comparison == .in)
        case .between:
            guard values.count == 2 else { return false }
            return values[0].withUnsafeBytes { type.compare(actual, $0) >= 0 }
                && values[1].withUnsafeBytes { type.compare(actual, $0) <= 0 }
        case .contains, .containsKey: return contains(actual, type)
        case .notContains, .notContainsKey: return !contains(actual, type)
        default:
            guard let other = values.first else { return false }
            return Self.holds(
                filter.comparison, other.withUnsafeBytes { type.compare(actual, $0) })
        }
    }

    private func contains(_ actual: UnsafeRawBufferPointer, _ type: CQLType) -> Bool {
        guard let wanted = values.first, var parts = CQLValueParts(type, actual) else {
            return false
        }
        var isKey = true
        while case .part(let part) = parts.next() {
            let element: CQLType
            switch type {
            case .map(let key, let value, _):
                let asksForKey =
                    filter.comparison == .containsKey || filter.comparison == .notContainsKey
                let matches = isKey == asksForKey
                element = isKey ? key : value
                isKey.toggle()
                if !matches { continue }
            default: element = type.parts.first ?? .blob
            }
            if wanted.withUnsafeBytes({ element.compare(part, $0) == 0 }) { return true }
        }
        return false
    }

    private func accepts(tuple parts: [UnsafeRawBufferPointer], _ types: [CQLType]) -> Bool {
        func order(_ other: [UInt8]) -> Int? {
            other.withUnsafeBytes { raw -> Int? in
                guard var fields = CQLValueParts(.tuple(types), raw) else { return nil }
                for (part, type) in zip(parts, types) {
                    guard case .part(let field) = fields.next() else { return nil }
                    let order = type.compare(part, field)
                    if order != 0 { return order }
                }
                return 0
            }
        }
        switch filter.comparison {
        case .in: return values.contains { order($0) == 0 }
        case .notIn: return !values.contains { order($0) == 0 }
        case .between:
            guard values.count == 2, let low = order(values[0]), let high = order(values[1]) else {
                return false
            }
            return low >= 0 && high <= 0
        default: break
        }
        guard let other = values.first, let order = order(other) else { return false }
        return Self.holds(filter.comparison, order)
    }

    private static func holds(_ comparison: RelationOperator, _ order: Int) -> Bool {
        switch comparison {
        case .equal: order == 0
        case .less: order < 0
        case .lessOrEqual: order <= 0
        case .greater: order > 0
        case .greaterOrEqual: order >= 0
        case .notEqual: order != 0
        default: false
        }
    }
}
