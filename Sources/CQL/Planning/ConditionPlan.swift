// What follows IF: conditions on a row as it is before the statement changes it.
//
// A column that the row lacks is null, and so is every column of a row that does not exist. A collection
// that is not frozen and has no elements is the empty one too. Comparing is by the type's own order.

internal import Encoding
internal import Model

/// The condition of one INSERT, UPDATE or DELETE.
enum ConditionPlan: Sendable {
    case notExists
    case exists
    /// All of them, in the order of the statement.
    case columns([ColumnCondition])

    /// The columns that the condition names; nil if it is about the row.
    var columns: [ColumnSchema]? {
        guard case .columns(let conditions) = self else { return nil }
        return conditions.map(\.column)
    }
}

/// A condition on a column, an element of a collection, or a field.
struct ColumnCondition: Sendable {
    enum Access: Sendable {
        case whole
        /// By key of a map, or by index of a list.
        case element(PlannedTerm)
        case field(Int)
    }

    enum Operand: Sendable {
        case value(PlannedTerm)
        case values([PlannedTerm])
        /// One marker for the whole list of IN.
        case marker(Int, list: CQLType)
    }

    let column: ColumnSchema
    let access: Access
    let comparison: RelationOperator
    let operand: Operand
    /// The type of what is compared: the column's, the element's or the field's.
    let type: CQLType

    /// The condition with its values.
    func bound(
        _ values: BoundValues, _ context: ExecutionContext
    ) throws(CQLError) -> BoundCondition {
        var wanted: [[UInt8]?] = []
        switch operand {
        case .value(let term):
            switch try term.evaluate(values, context) {
            case .bytes(let bytes): wanted = [bytes]
            case .null: wanted = [nil]
            case .unset:
                // A collection never contains what is unset; nothing else can be compared with it.
                guard comparison == .contains || comparison == .containsKey else {
                    throw .invalid("Invalid 'unset' value in condition")
                }
            }
        case .values(let terms):
            for term in terms {
                switch try term.evaluate(values, context) {
                case .bytes(let bytes): wanted.append(bytes)
                case .null: wanted.append(nil)
                case .unset: continue
                }
            }
        case .marker(let index, let list): wanted = try Self.list(values[index], list)
        }
        var key: [UInt8]?
        if case .element(let term) = access {
            let kind = if case .map = column.type { "map" } else { "list" }
            switch try term.evaluate(values, context) {
            case .bytes(let bytes): key = bytes
            case .null: throw .invalid("Invalid null value for \(kind) element access")
            case .unset: throw .invalid("Invalid unset value for \(kind) element access")
            }
        }
        if comparison != .equal, comparison != .notEqual, comparison != .in, wanted.contains(nil) {
            throw .invalid(
                "Invalid comparison with null for operator \"\(comparison.rawValue)\"")
        }
        return BoundCondition(condition: self, key: key, values: wanted)
    }

    private static func list(
        _ value: BoundValues.Value, _ type: CQLType
    ) throws(CQLError) -> [[UInt8]?] {
        switch value {
        case .null: throw .invalid("Invalid null list in IN condition")
        case .unset: throw .invalid("Invalid 'unset' value in condition")
        case .bytes(let raw):
            try type.check(raw)
            guard var parts = CQLValueParts(type, raw) else {
                throw .invalid("Invalid list value in IN condition")
            }
            var result: [[UInt8]?] = []
            while true {
                switch parts.next() {
                case .part(let part): result.append([UInt8](part))
                case .null: result.append(nil)
                case .end: return result
                case .malformed: throw .invalid("Invalid list value in IN condition")
                }
            }
        }
    }
}

/// A condition with its values.
struct BoundCondition {
    let condition: ColumnCondition
    /// The key or index of an element.
    let key: [UInt8]?
    /// One, or those of IN.
    let values: [[UInt8]?]

    /// Whether it holds for a row whose column has that value; nil for null.
    func holds(_ current: [UInt8]?) throws(CQLError) -> Bool {
        let actual = try accessed(current)
        let comparison = condition.comparison == .in ? .equal : condition.comparison
        return values.contains { holds(comparison, $0, actual) }
    }

    /// The part of the column's value that is compared.
    private func accessed(_ current: [UInt8]?) throws(CQLError) -> [UInt8]? {
        switch condition.access {
        case .whole: return current
        case .field(let index):
            return current.flatMap {
                PlannedSelector.part(of: $0, condition.column.type, field: index)
            }
        case .element:
            let key = key ?? []
            guard case .list = condition.column.type else {
                return current.flatMap {
                    PlannedSelector.part(of: $0, condition.column.type, key: key)
                }
            }
            let index = key.reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            let wanted = Int32(bitPattern: index)
            guard wanted >= 0 else { throw .invalid("Invalid negative list index \(wanted)") }
            return current.flatMap { Self.element($0, condition.column.type, Int(wanted)) }
        }
    }

    private static func element(_ list: [UInt8], _ type: CQLType, _ index: Int) -> [UInt8]? {
        list.withUnsafeBytes { raw in
            guard var parts = CQLValueParts(type, raw) else { return nil }
            var place = 0
            while case .part(let part) = parts.next() {
                if place == index { return [UInt8](part) }
                place += 1
            }
            return nil
        }
    }

    private func holds(
        _ comparison: RelationOperator, _ wanted: [UInt8]?, _ actual: [UInt8]?
    ) -> Bool {
        guard let wanted else { return comparison == .equal ? actual == nil : actual != nil }
        if comparison == .contains || comparison == .containsKey {
            return actual.map { contains($0, wanted, keys: comparison == .containsKey) } ?? false
        }
        var present = actual
        if present == nil, case .whole = condition.access, condition.type.isMultiCell,
            condition.type.isCollection
        {
            present = SystemValue.collection(count: 0, [])
        }
        guard let present else { return comparison == .notEqual }
        let order = present.withUnsafeBytes { a in
            wanted.withUnsafeBytes { b in condition.type.compare(a, b) }
        }
        switch comparison {
        case .equal: return order == 0
        case .notEqual: return order != 0
        case .less: return order < 0
        case .lessOrEqual: return order <= 0
        case .greater: return order > 0
        case .greaterOrEqual: return order >= 0
        default: return false
        }
    }

    private func contains(_ actual: [UInt8], _ wanted: [UInt8], keys: Bool) -> Bool {
        let type = condition.column.type
        return actual.withUnsafeBytes { raw in
            guard var parts = CQLValueParts(type, raw) else { return false }
            var isKey = true
            while case .part(let part) = parts.next() {
                let element: CQLType
                if case .map(let key, let value, _) = type {
                    let isWanted = isKey == keys
                    element = isKey ? key : value
                    isKey.toggle()
                    guard isWanted else { continue }
                } else {
                    element = type.parts.first ?? .blob
                }
                if wanted.withUnsafeBytes({ element.compare(part, $0) == 0 }) { return true }
            }
            return false
        }
    }
}
