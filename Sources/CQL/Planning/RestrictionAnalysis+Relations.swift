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
        if relation.comparison != .notIn, case .clustering(let position, _) = column.kind {
            try checkOverlap(
                position..<position + 1, isSlice: relation.comparison.isSlice, isTuple: false)
        }
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
        _ name: String, width: Int? = nil
    ) throws(CQLError) {
        let isInclusive = comparison == .lessOrEqual || comparison == .greaterOrEqual
        let bound = SliceBound(term: term, isInclusive: isInclusive, tupleWidth: width)
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
        let columns = try tupleColumns(names)
        let type = CQLType.tuple(columns.map(\.type))
        let label = "(" + names.joined(separator: ",") + ")"
        let place = filters.count
        let target = RowFilter.Target.tuple(
            columns.map { RowFilter.Slot((table.slot(of: $0), $0.type)) })
        func filter(_ operand: RowFilter.Operand) -> RowFilter {
            RowFilter(target: target, comparison: relation.comparison, operand: operand)
        }
        if relation.comparison == .notIn {
            guard kind == .select else {
                throw .invalid(
                    "Unsupported restriction: \(label) NOT IN in \(kind.rawValue) statements")
            }
            filters.append(filter(.list(try listOperand(relation.operand, type, label, &compiler))))
            unkeyed.append(place)
            return
        }
        if case .clustering(let position, _) = columns[0].kind {
            try checkOverlap(
                position..<position + columns.count, isSlice: relation.comparison.isSlice,
                isTuple: true)
        }
        var entry = byColumn[names[0]] ?? ColumnRelations()
        entry.isTuple = true
        entry.count = max(entry.count, names.count)
        switch relation.comparison {
        case .equal:
            let term = try tupleTerm(relation.operand, type, label, &compiler)
            entry.equal = term
            equalColumns.formUnion(names)
            filters.append(filter(.term(term)))
        case .in:
            if case .values(let terms) = relation.operand {
                for term in terms { try Self.checkLength(term, type) }
            }
            let operand = try listOperand(relation.operand, type, label, &compiler)
            entry.among = operand
            filters.append(filter(.list(operand)))
        case .less, .lessOrEqual, .greater, .greaterOrEqual:
            let term = try tupleTerm(relation.operand, type, label, &compiler)
            try Self.addBound(&entry, relation.comparison, term, label, width: names.count)
            filters.append(filter(.term(term)))
        case .between:
            guard case .values(let ends) = relation.operand, ends.count == 2 else {
                throw .invalid("BETWEEN takes two values")
            }
            let low = try tupleTerm(.value(ends[0]), type, label, &compiler)
            let high = try tupleTerm(.value(ends[1]), type, label, &compiler)
            try Self.addBound(&entry, .greaterOrEqual, low, label, width: names.count)
            try Self.addBound(&entry, .lessOrEqual, high, label, width: names.count)
            filters.append(filter(.list(.terms([low, high]))))
        default:
            throw .invalid("Unsupported relation on \(label): \(relation.comparison.rawValue)")
        }
        entry.filters.append(place)
        byColumn[names[0]] = entry
    }

    /// The columns of a tuple: clustering columns, next to each other and in the order of the key.
    private func tupleColumns(_ names: [String]) throws(CQLError) -> [ColumnSchema] {
        var columns: [ColumnSchema] = []
        var last: Int?
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
            if let last, position != last + 1 {
                throw .invalid(
                    "Clustering columns must appear in the PRIMARY KEY order in multi-column"
                        + " relations: (\(names.joined(separator: ", ")))")
            }
            columns.append(column)
            last = position
        }
        return columns
    }

    /// Checks a relation over the clustering columns at `positions` against the earlier ones over any of
    /// them, where one of the two is about a tuple. Only slices that begin with the same column go together,
    /// each with as many columns as it likes: `b > 0 AND (b, c) < (9, 4)`.
    private func checkOverlap(
        _ positions: Range<Int>, isSlice: Bool, isTuple: Bool
    ) throws(CQLError) {
        for (first, column) in table.clustering.enumerated() {
            guard let earlier = byColumn[column.name], earlier.isTuple || isTuple else { continue }
            let common = positions.clamped(to: first..<first + earlier.count)
            guard !common.isEmpty else { continue }
            let names = table.clustering[common].map(\.name).joined(separator: " ,")
            if earlier.equal != nil { throw Self.moreThanOne(names, "an Equal") }
            if earlier.among != nil { throw Self.moreThanOne(names, "a IN") }
            guard isSlice else {
                throw .invalid(
                    "Column \"\(names)\" cannot be restricted by both an equality and an inequality"
                        + " relation")
            }
            guard first == positions.lowerBound else {
                let later = table.clustering[max(first, positions.lowerBound)].name
                throw .invalid(
                    "Column \"\(later)\" cannot be restricted by two inequalities not starting with the"
                        + " same column")
            }
        }
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
