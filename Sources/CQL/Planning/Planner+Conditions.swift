// Planning of what follows IF.

internal import Model

extension Planner {
    /// The conditions of an UPDATE or DELETE.
    func condition(
        _ syntax: ConditionSyntax, _ table: TableSchema, _ compiler: inout TermCompiler
    ) throws(CQLError) -> ConditionPlan? {
        switch syntax {
        case .none: return nil
        case .exists: return .exists
        case .relations(let relations):
            var conditions: [ColumnCondition] = []
            for relation in relations {
                conditions.append(try condition(relation, table, &compiler))
            }
            return .columns(conditions)
        }
    }

    private func condition(
        _ relation: Relation, _ table: TableSchema, _ compiler: inout TermCompiler
    ) throws(CQLError) -> ColumnCondition {
        let name: String
        switch relation.target {
        case .column(let column), .element(let column, _), .field(let column, _): name = column
        case .columns, .token: throw .invalid("Only single columns can have IF conditions")
        }
        guard let column = table.column(named: name) else {
            throw .invalid(
                "Undefined column name \(Identifier.quoted(name)) in table"
                    + " \(table.keyspace).\(table.name)")
        }
        guard !column.isPrimaryKey else {
            throw .invalid("PRIMARY KEY column '\(name)' cannot have IF conditions")
        }
        guard column.type != .counter else {
            throw .invalid("Conditional updates are not supported on counter tables")
        }
        let (access, type, place) = try access(relation.target, column, &compiler)
        try Self.checkOperator(relation.comparison, type, name)
        let operand = try operand(relation, type, place, &compiler)
        return ColumnCondition(
            column: column, access: access, comparison: relation.comparison, operand: operand,
            type: type)
    }

    /// What of the column is compared, its type, and its name for markers.
    private func access(
        _ target: Relation.Target, _ column: ColumnSchema, _ compiler: inout TermCompiler
    ) throws(CQLError) -> (ColumnCondition.Access, CQLType, String) {
        let name = column.name
        switch (target, column.type) {
        case (.element(_, let key), .list(let element, _)):
            let index = try compiler.compile(key, as: .int, for: "idx(\(name))")
            return (.element(index), element, "value(\(name))")
        case (.element(_, let key), .map(let keyType, let value, _)):
            let key = try compiler.compile(key, as: keyType, for: "key(\(name))")
            return (.element(key), value, "value(\(name))")
        case (.element, .set):
            throw .invalid("Invalid element access syntax for set column \(name)")
        case (.element, _):
            throw .invalid("Invalid element access syntax for non-collection column \(name)")
        case (.field(_, let field), .userDefined(let definition, _)):
            guard let index = definition.fields.firstIndex(where: { $0.name == field }) else {
                throw .invalid("Unknown field \(field) for column \(name)")
            }
            return (.field(index), definition.fields[index].type, "\(name).\(field)")
        case (.field, _):
            throw .invalid("Invalid field access syntax for non-UDT column \(name)")
        default: return (.whole, column.type, name)
        }
    }

    private static func checkOperator(
        _ comparison: RelationOperator, _ type: CQLType, _ name: String
    ) throws(CQLError) {
        switch comparison {
        case .equal, .notEqual, .in: break
        case .less, .lessOrEqual, .greater, .greaterOrEqual:
            guard let what = type.durationHolder else { return }
            switch type {
            case .list, .set, .map, .tuple, .userDefined:
                throw .invalid("Slice conditions are not supported on \(what)")
            default:
                throw .invalid(
                    "Slice conditions ( \(comparison.rawValue) ) are not supported on durations")
            }
        case .contains:
            guard type.isCollection else {
                throw .invalid("Cannot use CONTAINS on non-collection column \(name)")
            }
        case .containsKey:
            guard case .map = type else {
                throw .invalid("Cannot use CONTAINS KEY on non-map column \(name)")
            }
        default:
            throw .invalid("\(comparison.rawValue) is not supported in IF conditions")
        }
    }

    private func operand(
        _ relation: Relation, _ type: CQLType, _ name: String, _ compiler: inout TermCompiler
    ) throws(CQLError) -> ColumnCondition.Operand {
        var (type, name) = (type, name)
        switch (relation.comparison, type) {
        case (.contains, .map(_, let value, _)): (type, name) = (value, "value(\(name))")
        case (.contains, _): (type, name) = (type.parts.first ?? type, "value(\(name))")
        case (.containsKey, _): (type, name) = (type.parts.first ?? type, "key(\(name))")
        default: break
        }
        switch relation.operand {
        case .value(let term): return .value(try compiler.compile(term, as: type, for: name))
        case .values(let terms):
            var planned: [PlannedTerm] = []
            for term in terms { planned.append(try compiler.compile(term, as: type, for: name)) }
            return .values(planned)
        case .marker(let index):
            let list = CQLType.list(type, frozen: true)
            compiler.bind(index, "in(\(name))", list)
            return .marker(index, list: list)
        case .nothing: throw .invalid("IS NOT NULL is not supported in IF conditions")
        }
    }
}

extension CQLType {
    /// What holds durations, which have no order, if the type is one or has one among its parts.
    var durationHolder: String? {
        guard referencesDuration else { return nil }
        return switch self {
        case .list, .set, .map: "collections containing durations"
        case .tuple: "tuples containing durations"
        case .userDefined: "UDTs containing durations"
        default: "duration columns"
        }
    }

    private var referencesDuration: Bool {
        switch self {
        case .duration: true
        case .userDefined(let definition, _):
            definition.fields.contains { $0.type.referencesDuration }
        default: parts.contains { $0.referencesDuration }
        }
    }
}
