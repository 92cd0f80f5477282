// One relation of a WHERE clause: what it is about, whether it is allowed there, and its values.

internal import Model

extension RestrictionAnalysis {
    // MARK: Relations

    private func column(_ name: String) throws(CQLError) -> ColumnSchema {
        guard let column = table.column(named: name) else {
            throw .invalid(
                "Undefined column name \(Identifier.quoted(name)) in table"
                    + " \(table.keyspace).\(table.name)")
        }
        return column
    }

    mutating func add(
        _ relation: Relation, _ compiler: inout TermCompiler
    ) throws(CQLError) {
        switch relation.target {
        case .column(let name): try addColumn(try column(name), relation, &compiler)
        case .columns(let names): try addTuple(names, relation, &compiler)
        case .token(let names): try addToken(names, relation, &compiler)
        case .element(let name, let key):
            try addElement(try column(name), key, relation, &compiler)
        case .field(let name, let field):
            throw .invalid("Restrictions on a field (\(name).\(field)) are not supported")
        }
    }

    private static func single(_ operand: Relation.Operand) throws(CQLError) -> Term {
        guard case .value(let term) = operand else {
            throw .invalid("The relation takes one value")
        }
        return term
    }

    private func listOperand(
        _ operand: Relation.Operand, _ type: CQLType, _ name: String,
        _ compiler: inout TermCompiler
    ) throws(CQLError) -> InOperand {
        switch operand {
        case .marker(let index):
            let list = CQLType.list(type.frozen, frozen: true)
            compiler.bind(index, "in(\(name))", .list(type.frozen, frozen: false))
            return .marker(index, list: list)
        case .values(let terms):
            var planned: [PlannedTerm] = []
            for term in terms { planned.append(try compiler.compile(term, as: type, for: name)) }
            return .terms(planned)
        case .value, .nothing: throw .invalid("The relation takes a list of values")
        }
    }

    private mutating func addColumn(
        _ column: ColumnSchema, _ relation: Relation, _ compiler: inout TermCompiler
    ) throws(CQLError) {
        let name = column.name
        guard !column.type.containsDuration || !relation.comparison.isSlice else {
            throw .invalid("Slice restrictions are not supported on duration columns")
        }
        if column.type.isMultiCell {
            if case .userDefined = column.type {
                throw .invalid(
                    "Non-frozen UDT column '\(name)' (\(column.type.cqlName)) cannot be restricted by"
                        + " any relation")
            }
            guard relation.comparison.isContainment else {
                throw .invalid(
                    "Collection column '\(name)' (\(column.type.cqlName)) cannot be restricted by a"
                        + " '\(relation.comparison.rawValue)' relation")
            }
        }
        if relation.comparison != .notIn, isInTupleRelation(column) { throw Self.mixed(name) }
        var entry = byColumn[name] ?? ColumnRelations()
        let place = filters.count
        let slot = table.slot(of: column)
        func filter(_ operand: RowFilter.Operand) -> RowFilter {
            RowFilter(
                target: .column(slot, column.type, name), comparison: relation.comparison,
                operand: operand)
        }
        switch relation.comparison {
        case .equal:
            guard entry.equal == nil, entry.among == nil, entry.lower == nil, entry.upper == nil
            else {
                throw Self.moreThanOne(name, "an Equal")
            }
            let term = try compiler.compile(
                try Self.single(relation.operand), as: column.type, for: name)
            entry.equal = term
            equalColumns.insert(name)
            filters.append(filter(.term(term)))
        case .in:
            guard entry.equal == nil, entry.among == nil, entry.lower == nil, entry.upper == nil
            else {
                throw Self.moreThanOne(name, "a IN")
            }
            let operand = try listOperand(relation.operand, column.type, name, &compiler)
            entry.among = operand
            filters.append(filter(.list(operand)))
        case .less, .lessOrEqual, .greater, .greaterOrEqual:
            guard entry.equal == nil, entry.among == nil else {
                throw Self.moreThanOne(name, entry.equal == nil ? "a IN" : "an Equal")
            }
            let term = try compiler.compile(
                try Self.single(relation.operand), as: column.type, for: name)
            try Self.addBound(&entry, relation.comparison, term, name)
            filters.append(filter(.term(term)))
        case .between:
            guard entry.equal == nil, entry.among == nil else {
                throw Self.moreThanOne(name, entry.equal == nil ? "a IN" : "an Equal")
            }
            guard case .values(let ends) = relation.operand, ends.count == 2 else {
                throw .invalid("BETWEEN takes two values")
            }
            let low = try compiler.compile(ends[0], as: column.type, for: name)
            let high = try compiler.compile(ends[1], as: column.type, for: name)
            try Self.addBound(&entry, .greaterOrEqual, low, name)
            try Self.addBound(&entry, .lessOrEqual, high, name)
            filters.append(filter(.list(.terms([low, high]))))
        case .contains, .containsKey, .notContains, .notContainsKey:
            let part = try Self.containedType(column, relation.comparison)
            let term = try compiler.compile(
                try Self.single(relation.operand), as: part, for: "value(\(name))")
            filters.append(filter(.term(term)))
            unkeyed.append(place)
            return
        case .isNotNull:
            throw .invalid(
                "Unsupported restriction: \(Identifier.quoted(name)) IS NOT NULL")
        case .notEqual:
            let value = try Self.single(relation.operand).sourceText
            throw .invalid("Unsupported \"!=\" relation: \(name) != \(value)")
        case .like:
            let value = try Self.single(relation.operand).sourceText
            throw .invalid(
                "LIKE restriction is only supported on properly indexed columns."
                    + " \(name) LIKE \(value) is not valid.")
        case .notIn:
            guard kind == .select else {
                throw .invalid(
                    "Unsupported restriction: \(name) NOT IN in \(kind.rawValue) statements")
            }
            let operand = try listOperand(relation.operand, column.type, name, &compiler)
            filters.append(filter(.list(operand)))
            unkeyed.append(place)
            return
        }
        entry.filters.append(place)
        byColumn[name] = entry
    }

    private static func containedType(
        _ column: ColumnSchema, _ comparison: RelationOperator
    ) throws(CQLError) -> CQLType {
        let isKey = comparison == .containsKey || comparison == .notContainsKey
        switch (column.type, isKey) {
        case (.list(let element, _), false), (.set(let element, _), false): return element
        case (.map(_, let value, _), false): return value
        case (.map(let key, _, _), true): return key
        default:
            throw .invalid(
                "Cannot use \(comparison.rawValue) on non-\(isKey ? "map" : "collection")"
                    + " column \(column.name)")
        }
    }

    /// `m[key] = value`
    private mutating func addElement(
        _ column: ColumnSchema, _ key: Term, _ relation: Relation, _ compiler: inout TermCompiler
    ) throws(CQLError) {
        guard case .map(let keyType, let valueType, _) = column.type else {
            throw .invalid("Column \(column.name) cannot be used as a map")
        }
        guard kind == .select else {
            throw .invalid("Non PRIMARY KEY columns found in where clause: \(column.name)")
        }
        guard relation.comparison == .equal else {
            throw .invalid("Only EQ relations are supported on map entries")
        }
        let plannedKey = try compiler.compile(key, as: keyType, for: "key(\(column.name))")
        let value = try compiler.compile(
            try Self.single(relation.operand), as: valueType, for: "value(\(column.name))")
        unkeyed.append(filters.count)
        filters.append(
            RowFilter(
                target: .column(table.slot(of: column), column.type, column.name),
                comparison: .equal, operand: .entry(key: plannedKey, value: value)))
    }

    private static func moreThanOne(_ name: String, _ what: String) -> CQLError {
        .invalid("\(name) cannot be restricted by more than one relation if it includes \(what)")
    }

    private static func addBound(
        _ entry: inout ColumnRelations, _ comparison: RelationOperator, _ term: PlannedTerm,
        _ name: String
    ) throws(CQLError) {
        let isInclusive = comparison == .lessOrEqual || comparison == .greaterOrEqual
        let bound = SliceBound(term: term, isInclusive: isInclusive)
        if comparison == .greater || comparison == .greaterOrEqual {
            guard entry.lower == nil else {
                throw .invalid("More than one restriction was found for the start bound on \(name)")
            }
            entry.lower = bound
        } else {
            guard entry.upper == nil else {
                throw .invalid("More than one restriction was found for the end bound on \(name)")
            }
            entry.upper = bound
        }
    }

    // MARK: Tuples

    private mutating func addTuple(
        _ names: [String], _ relation: Relation, _ compiler: inout TermCompiler
    ) throws(CQLError) {
        var columns: [ColumnSchema] = []
        var positions: [Int] = []
        for name in names {
            let column = try column(name)
            guard case .clustering(let position, _) = column.kind else {
                throw .invalid(
                    "Multi-column relations can only be applied to clustering columns but was applied"
                        + " to: \(name)")
            }
            guard !columns.contains(column) else {
                throw .invalid("Column \"\(name)\" appeared twice in a relation: \(names)")
            }
            if let last = positions.last, position != last + 1 {
                throw .invalid(
                    "Clustering columns must appear in the PRIMARY KEY order in multi-column"
                        + " relations: (\(names.joined(separator: ", ")))")
            }
            columns.append(column)
            positions.append(position)
        }
        let type = CQLType.tuple(columns.map(\.type))
        let label = "(" + names.joined(separator: ",") + ")"
        var entry = byColumn[names[0]] ?? ColumnRelations()
        guard entry.filters.isEmpty || (entry.isTuple && entry.count == names.count) else {
            throw Self.mixed(names[0])
        }
        for name in names.dropFirst() where byColumn[name] != nil { throw Self.mixed(name) }
        entry.isTuple = true
        entry.count = names.count
        let place = filters.count
        func filter(_ operand: RowFilter.Operand) -> RowFilter {
            RowFilter(
                target: .tuple(
                    columns.map { (table.slot(of: $0), $0.type) }.map(RowFilter.Slot.init)),
                comparison: relation.comparison, operand: operand)
        }
        let isFree = entry.equal == nil && entry.among == nil
        switch relation.comparison {
        case .equal:
            guard isFree, entry.lower == nil, entry.upper == nil else {
                throw Self.moreThanOne(label, "an Equal")
            }
            let term = try tupleTerm(relation.operand, type, label, &compiler)
            entry.equal = term
            equalColumns.formUnion(names)
            filters.append(filter(.term(term)))
        case .in:
            guard isFree, entry.lower == nil, entry.upper == nil else {
                throw Self.moreThanOne(label, "a IN")
            }
            if case .values(let terms) = relation.operand {
                for term in terms { try Self.checkLength(term, type) }
            }
            let operand = try listOperand(relation.operand, type, label, &compiler)
            entry.among = operand
            filters.append(filter(.list(operand)))
        case .less, .lessOrEqual, .greater, .greaterOrEqual:
            guard isFree else { throw Self.moreThanOne(label, "an Equal") }
            let term = try tupleTerm(relation.operand, type, label, &compiler)
            try Self.addBound(&entry, relation.comparison, term, label)
            filters.append(filter(.term(term)))
        case .between:
            guard isFree else { throw Self.moreThanOne(label, "an Equal") }
            guard case .values(let ends) = relation.operand, ends.count == 2 else {
                throw .invalid("BETWEEN takes two values")
            }
            let low = try tupleTerm(.value(ends[0]), type, label, &compiler)
            let high = try tupleTerm(.value(ends[1]), type, label, &compiler)
            try Self.addBound(&entry, .greaterOrEqual, low, label)
            try Self.addBound(&entry, .lessOrEqual, high, label)
            filters.append(filter(.list(.terms([low, high]))))
        case .notIn:
            guard kind == .select else {
                throw .invalid(
                    "Unsupported restriction: \(label) NOT IN in \(kind.rawValue) statements")
            }
            let operand = try listOperand(relation.operand, type, label, &compiler)
            filters.append(filter(.list(operand)))
            unkeyed.append(place)
            return
        default:
            throw .invalid("Unsupported relation on \(label): \(relation.comparison.rawValue)")
        }
        entry.filters.append(place)
        byColumn[names[0]] = entry
    }

    /// Whether a multi-column relation restricts the column.
    private func isInTupleRelation(_ column: ColumnSchema) -> Bool {
        guard case .clustering(let position, _) = column.kind else { return false }
        return table.clustering[...position].enumerated().contains { first, candidate in
            guard let entry = byColumn[candidate.name], entry.isTuple else { return false }
            return first + entry.count > position
        }
    }

    private static func mixed(_ name: String) -> CQLError {
        .invalid(
            "Column \"\(name)\" cannot be restricted by both a single column relation and a"
                + " multi-column relation, nor by multi-column relations that begin differently")
    }

    private func tupleTerm(
        _ operand: Relation.Operand, _ type: CQLType, _ label: String,
        _ compiler: inout TermCompiler
    ) throws(CQLError) -> PlannedTerm {
        let term = try Self.single(operand)
        try Self.checkLength(term, type)
        return try compiler.compile(term, as: type, for: label)
    }

    private static func checkLength(_ term: Term, _ type: CQLType) throws(CQLError) {
        guard case .tuple(let items) = term, items.count != type.parts.count else { return }
        throw .invalid(
            "Expected \(type.parts.count) elements in value tuple, but got \(items.count):"
                + " \(term.sourceText)")
    }

    // MARK: Tokens

    private mutating func addToken(
        _ names: [String], _ relation: Relation, _ compiler: inout TermCompiler
    ) throws(CQLError) {
        guard kind == .select else {
            throw .invalid(
                "The token function cannot be used in WHERE clauses for \(kind.rawValue) statements"
            )
        }
        for name in names { _ = try column(name) }
        let expected = table.partitionKey.map(\.name)
        guard names == expected else {
            if Set(names) == Set(expected) {
                throw .invalid(
                    "The token function arguments must be in the partition key order: "
                        + expected.joined(separator: ", "))
            }
            throw .invalid(
                "The token() function must be applied to all partition key components or none of them"
            )
        }
        compiler.partitionKey = table.partitionKey.map(\.type)
        var entry = token ?? ColumnRelations()
        let name = "partition key token"
        let label = names.joined(separator: ", ")
        let isFirst = entry.lower == nil && entry.upper == nil
        guard entry.equal == nil, isFirst || relation.comparison != .equal else {
            throw Self.moreThanOne(label, "an Equal")
        }
        let bounds: [(RelationOperator, Term)]
        switch (relation.comparison, relation.operand) {
        case (.equal, .value(let term)):
            // Both ends inclusive.
            bounds = [(.greaterOrEqual, term), (.lessOrEqual, term)]
        case (.between, .values(let ends)) where ends.count == 2:
            bounds = [(.greaterOrEqual, ends[0]), (.lessOrEqual, ends[1])]
        case (let comparison, .value(let term)) where comparison.isSlice:
            bounds = [(comparison, term)]
        default:
            throw .invalid("\(relation.comparison.rawValue) cannot be used with the token function")
        }
        for (comparison, term) in bounds {
            let planned = try compiler.compile(term, as: .bigint, for: name)
            try Self.addBound(&entry, comparison, planned, label)
            if relation.comparison == .equal { entry.equal = planned }
            tokenFilters.append(
                RowFilter(target: .token, comparison: comparison, operand: .term(planned)))
        }
        token = entry
    }
}

extension RelationOperator {
    /// Whether it looks into a collection.
    var isContainment: Bool {
        switch self {
        case .contains, .containsKey, .notContains, .notContainsKey: true
        default: false
        }
    }
}
