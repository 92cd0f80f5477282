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
        guard kind == .select || !relation.comparison.isContainment else {
            throw .invalid("Cannot use \(kind.rawValue) with \(relation.comparison.rawValue)")
        }
        if case (.isNotNull, .column(let name)) = (relation.comparison, relation.target) {
            throw .invalid("Unsupported restriction: \(Identifier.quoted(name)) IS NOT NULL")
        }
        guard relation.comparison != .notEqual else {
            throw .invalid("Unsupported \"!=\" relation: \(relation.sourceText)")
        }
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
        try checkOperator(column, relation)
        let relation = relation.simplified
        let place = filters.count
        let target = RowFilter.Target.column(table.slot(of: column), column.type, name)
        func filter(_ operand: RowFilter.Operand) {
            filters.append(
                RowFilter(target: target, comparison: relation.comparison, operand: operand))
        }
        if relation.comparison.isContainment {
            let part = try Self.containedType(column, relation.comparison)
            let label = relation.comparison.isOfKey ? "key(\(name))" : "value(\(name))"
            filter(
                .term(
                    try compiler.compile(
                        try Self.single(relation.operand), as: part, for: label)))
            unkeyed.append(place)
            if case .clustering(let position, _) = column.kind {
                try checkOrder(position, isSlice: false)
            }
            return
        }
        if relation.comparison == .notIn {
            filter(.list(try listOperand(relation.operand, column.type, name, &compiler)))
            unkeyed.append(place)
            return
        }
        try checkConflict([column], relation.comparison)
        var entry = byColumn[name] ?? ColumnRelations()
        switch relation.comparison {
        case .in:
            let operand = try listOperand(relation.operand, column.type, name, &compiler)
            entry.among = operand
            filter(.list(operand))
        case .between:
            guard case .values(let ends) = relation.operand, ends.count == 2 else {
                throw .invalid("BETWEEN takes two values")
            }
            let low = try compiler.compile(ends[0], as: column.type, for: name)
            let high = try compiler.compile(ends[1], as: column.type, for: name)
            try Self.addBound(&entry, .greaterOrEqual, low, name)
            try Self.addBound(&entry, .lessOrEqual, high, name)
            filter(.list(.terms([low, high])))
        default:
            let term = try compiler.compile(
                try Self.single(relation.operand), as: column.type, for: name)
            if relation.comparison == .equal {
                entry.equal = term
                equalColumns.insert(name)
            } else {
                try Self.addBound(&entry, relation.comparison, term, name)
            }
            filter(.term(term))
        }
        if case .clustering(let position, _) = column.kind {
            try checkOrder(position, isSlice: relation.comparison.isSlice)
        }
        entry.filters.append(place)
        byColumn[name] = entry
    }

    /// Whether that relation is possible on columns of that type.
    private func checkOperator(
        _ column: ColumnSchema, _ relation: Relation
    ) throws(CQLError) {
        let name = column.name
        if relation.comparison.isSlice, let what = column.type.durationHolder {
            throw .invalid("Slice restrictions are not supported on \(what)")
        }
        if relation.comparison.isContainment {
            _ = try Self.containedType(column, relation.comparison)
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
        switch relation.comparison {
        case .like:
            let value = try Self.single(relation.operand).sourceText
            throw .invalid(
                "LIKE restriction is only supported on properly indexed columns."
                    + " \(name) LIKE \(value) is not valid.")
        case .notIn where kind != .select:
            throw .invalid(
                "Unsupported restriction: \(name) NOT IN in \(kind.rawValue) statements")
        default: break
        }
    }

    private static func containedType(
        _ column: ColumnSchema, _ comparison: RelationOperator
    ) throws(CQLError) -> CQLType {
        let isKey = comparison.isOfKey
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
        if case .list = column.type {
            throw .invalid(
                "Indexes on list entries (\(column.name)[index] = value)"
                    + " are not currently supported.")
        }
        guard case .map(let keyType, let valueType, _) = column.type else {
            throw .invalid("Column \(column.name) cannot be used as a map")
        }
        guard column.type.isMultiCell else {
            throw .invalid(
                "Map-entry equality predicates on frozen map column \(column.name) are not supported"
            )
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
        let columns = try tupleColumns(names, relation)
        let relation = relation.simplified
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
        try checkConflict(columns, relation.comparison)
        if case .clustering(let position, _) = columns[0].kind {
            try checkOrder(position, isSlice: relation.comparison.isSlice)
        }
        var entry = byColumn[names[0]] ?? ColumnRelations()
        // What it has in common with the earlier relation, for errors.
        let shared = names.prefix(min(entry.count, names.count)).joined(separator: " ,")
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
            try Self.addBound(&entry, relation.comparison, term, shared, width: names.count)
            filters.append(filter(.term(term)))
        case .between:
            guard case .values(let ends) = relation.operand, ends.count == 2 else {
                throw .invalid("BETWEEN takes two values")
            }
            let low = try tupleTerm(.value(ends[0]), type, label, &compiler)
            let high = try tupleTerm(.value(ends[1]), type, label, &compiler)
            try Self.addBound(&entry, .greaterOrEqual, low, shared, width: names.count)
            try Self.addBound(&entry, .lessOrEqual, high, shared, width: names.count)
            filters.append(filter(.list(.terms([low, high]))))
        default:
            throw .invalid("Unsupported relation on \(label): \(relation.comparison.rawValue)")
        }
        entry.filters.append(place)
        byColumn[names[0]] = entry
    }

    /// The columns of a tuple: clustering columns, next to each other and in the order of the key.
    private func tupleColumns(
        _ names: [String], _ relation: Relation
    ) throws(CQLError) -> [ColumnSchema] {
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
                        + " relations: \(relation.sourceText)")
            }
            columns.append(column)
            last = position
        }
        return columns
    }

    /// Checks a relation over these columns against the earlier ones over any of them. The earliest one names
    /// the conflict. Only slices that begin with the same column go together, each with as many columns as
    /// it likes: `b > 0 AND (b, c) < (9, 4)`.
    private func checkConflict(
        _ columns: [ColumnSchema], _ comparison: RelationOperator
    ) throws(CQLError) {
        guard case .clustering(let position, _) = columns[0].kind else {
            if let earlier = byColumn[columns[0].name] {
                try Self.checkConflict(earlier, columns[0].name, comparison)
            }
            return
        }
        let positions = position..<position + columns.count
        for (first, column) in table.clustering.enumerated() {
            guard let earlier = byColumn[column.name] else { continue }
            let common = positions.clamped(to: first..<first + earlier.count)
            guard !common.isEmpty else { continue }
            let names = table.clustering[common].map(\.name).joined(separator: " ,")
            try Self.checkConflict(earlier, names, comparison)
            guard first == positions.lowerBound else {
                let later = table.clustering[max(first, positions.lowerBound)].name
                throw .invalid(
                    "Column \"\(later)\" cannot be restricted by two inequalities not starting with the"
                        + " same column")
            }
        }
    }

    private static func checkConflict(
        _ earlier: ColumnRelations, _ names: String, _ comparison: RelationOperator
    ) throws(CQLError) {
        if earlier.equal != nil { throw moreThanOne(names, "an Equal") }
        if earlier.among != nil { throw moreThanOne(names, "a IN") }
        guard comparison.isSlice || earlier.lower == nil && earlier.upper == nil else {
            throw .invalid(
                "Column \"\(names)\" cannot be restricted by both an equality and an inequality relation"
            )
        }
    }

    /// Checks a relation that begins with the clustering column at `position` against the last one of those
    /// that came before it: behind an interval no column can be restricted, without filtering.
    private func checkOrder(_ position: Int, isSlice: Bool) throws(CQLError) {
        guard !allowsFiltering, !SystemSchema.isVirtual(table.keyspace),
            let last = table.clustering.lastIndex(where: { byColumn[$0.name] != nil }),
            let entry = byColumn[table.clustering[last].name]
        else { return }
        let name = table.clustering[position].name
        if position > last, entry.lower != nil || entry.upper != nil {
            throw .invalid(
                "Clustering column \"\(name)\" cannot be restricted (preceding column"
                    + " \"\(table.clustering[last].name)\" is restricted by a non-EQ relation)")
        }
        guard position < last, isSlice,
            let next = table.clustering[(position + 1)...].first(where: { byColumn[$0.name] != nil }
            )
        else { return }
        throw .invalid(
            "PRIMARY KEY column \"\(next.name)\" cannot be restricted (preceding column \"\(name)\" is"
                + " restricted by a non-EQ relation)")
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

    /// What is wrong with the columns that `token` is given.
    private static func notThePartitionKey(_ names: [String], _ expected: [String]) -> CQLError {
        guard Set(names).isSuperset(of: expected) else {
            return .invalid(
                "The token() function must be applied to all partition key components or none of them"
            )
        }
        guard Set(names).count == names.count else {
            return .invalid("The token() function contains duplicate partition key components")
        }
        guard names.count == expected.count else {
            return .invalid("The token() function must contains only partition key components")
        }
        return .invalid(
            "The token function arguments must be in the partition key order: "
                + expected.joined(separator: ", "))
    }

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
        guard names == expected else { throw Self.notThePartitionKey(names, expected) }
        var entry = token ?? ColumnRelations()
        let name = "partition key token"
        let label = names.joined(separator: ", ")
        if entry.equal != nil { throw Self.moreThanOne(label, "an Equal") }
        guard relation.comparison != .equal || entry.lower == nil && entry.upper == nil else {
            throw .invalid(
                "Columns \"\(label)\" cannot be restricted by both an equality and an inequality relation"
            )
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

extension Relation {
    /// IN with one value is an equality.
    fileprivate var simplified: Relation {
        guard comparison == .in, case .values(let terms) = operand, terms.count == 1 else {
            return self
        }
        return Relation(target: target, comparison: .equal, operand: .value(terms[0]))
    }
}

extension RelationOperator {
    /// Whether it looks into a collection.
    var isContainment: Bool { self == .contains || self == .notContains || isOfKey }

    /// Whether it looks for a key of a map.
    var isOfKey: Bool { self == .containsKey || self == .notContainsKey }
}
