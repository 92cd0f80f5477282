// Planning of SELECT.

internal import Model

extension Planner {
    func planSelect(
        _ syntax: SelectSyntax, _ markers: [String?]
    ) throws(CQLError) -> PreparedPlan {
        let subject = try table(syntax.table)
        let table = syntax.showsFragments ? try fragments(of: subject, syntax) : subject
        var selectors = SelectorCompiler(table: table, terms: compiler(table, markers))
        var planned: [PlannedSelector] = []
        var results: [ColumnSpecification] = []
        func result(_ name: String, _ type: CQLType) -> ColumnSpecification {
            ColumnSpecification(
                keyspace: table.keyspace, table: table.name, name: name, type: type)
        }
        if syntax.selectors.isEmpty {
            for (slot, column) in table.allColumns.enumerated() where !table.isHidden(column) {
                planned.append(.column(slot))
                results.append(result(column.name, column.type))
            }
        }
        for item in syntax.selectors {
            let (selector, type, name) = try selectors.compile(item.selector)
            planned.append(selector)
            results.append(result(item.alias ?? name, type))
        }
        let selected = planned + selectors.aggregates.compactMap(\.argument)
        var terms = selectors.terms
        let restrictions = try RestrictionAnalysis.analyse(
            syntax.relations, table: table, kind: .select,
            allowsFiltering: syntax.allowsFiltering, compiler: &terms)
        let grouping = try grouping(syntax, restrictions, table, &terms)
        if !selectors.aggregates.isEmpty || grouping != nil {
            // Beside aggregates, what is not one shows the first row's value.
            for index in planned.indices {
                planned[index] = planned[index].ofFirstRow(&selectors.aggregates)
            }
        }
        if syntax.isDistinct { try checkDistinct(selected, restrictions, table, results) }
        let isReversed = try checkOrdering(syntax.orderings, restrictions, table)
        var perPartitionLimit: PlannedTerm?
        if let term = syntax.perPartitionLimit {
            guard !syntax.isDistinct else {
                throw .invalid("PER PARTITION LIMIT is not allowed with SELECT DISTINCT queries")
            }
            guard selectors.aggregates.isEmpty || grouping != nil else {
                throw .invalid("PER PARTITION LIMIT is not allowed with aggregate queries.")
            }
            perPartitionLimit = try limit(
                term, "PER PARTITION LIMIT", "[per_partition_limit]", &terms)
        }
        let limit = try syntax.limit.map { (term) throws(CQLError) in
            try self.limit(term, "LIMIT", "[limit]", &terms)
        }
        let plan = SelectPlan(
            table: table, resultColumns: results, selectors: planned,
            aggregates: selectors.aggregates, restrictions: restrictions,
            isDistinct: syntax.isDistinct, isReversed: isReversed,
            hasOrdering: !syntax.orderings.isEmpty, limit: limit,
            perPartitionLimit: perPartitionLimit, grouping: grouping, isJSON: syntax.isJSON,
            fragmentsOf: syntax.showsFragments ? subject : nil)
        let timeout = try timeout(syntax.timeout, &terms)
        return PreparedPlan(
            plan: .select(plan), bindMarkers: try Self.specifications(terms),
            partitionKeyBindIndexes: Self.partitionKeyIndexes(restrictions.partition),
            resultColumns: plan.resultColumns, tableID: table.id, epoch: schema.epoch,
            timeout: timeout, dependsOnKeyspace: syntax.table.keyspace == nil)
    }

    /// The table of a table's mutation fragments.
    private func fragments(
        of table: TableSchema, _ syntax: SelectSyntax
    ) throws(CQLError) -> TableSchema {
        guard !SystemSchema.isVirtual(table.keyspace) else {
            throw SelectPlan.noFragments(of: table)
        }
        guard syntax.orderings.isEmpty else {
            throw .invalid(
                "ORDER BY is not supported in SELECT FROM MUTATION_FRAGMENTS() statements.")
        }
        return try MutationFragments.schema(of: table)
    }

    private func limit(
        _ term: Term, _ clause: String, _ name: String, _ terms: inout TermCompiler
    ) throws(CQLError) -> PlannedTerm {
        let planned = try terms.compile(term, as: .int, for: name)
        if planned.isConstant {
            // A literal that is not positive is refused before anything is bound.
            _ = try SelectPlan.limit(
                planned, clause, BoundValues(), ExecutionContext(timestamp: 0, nowInSeconds: 0))
        }
        return planned
    }

    // MARK: GROUP BY

    private static let groupOrder =
        "Group by currently only support groups of columns following their declared order in the PRIMARY"
        + " KEY"

    private func grouping(
        _ syntax: SelectSyntax, _ restrictions: Restrictions, _ table: TableSchema,
        _ terms: inout TermCompiler
    ) throws(CQLError) -> Grouping? {
        guard !syntax.groupBy.isEmpty else { return nil }
        var grouping = Grouping()
        let keyColumns = table.partitionKey + table.clustering
        var next = 0
        for selector in syntax.groupBy {
            guard grouping.expressions.isEmpty else {
                throw .invalid(
                    "Functions are only supported on the last element of the GROUP BY clause")
            }
            let column: ColumnSchema
            if case .column(let name) = selector {
                guard let found = table.column(named: name) else {
                    throw .invalid(
                        "Undefined column name \(Identifier.quoted(name)) in table"
                            + " \(table.keyspace).\(table.name)")
                }
                guard found.isPrimaryKey else {
                    throw .invalid(
                        "Group by is currently only supported on the columns of the PRIMARY KEY, got"
                            + " \(name)")
                }
                column = found
            } else {
                let (expression, found) = try groupFunction(selector, table, &terms)
                grouping.expressions.append(expression)
                column = found
            }
            while true {
                guard next < keyColumns.count else { throw .invalid(Self.groupOrder) }
                let candidate = keyColumns[next]
                next += 1
                if case .clustering = candidate.kind {
                    grouping.parts.append(
                        candidate.id == column.id && !grouping.expressions.isEmpty
                            ? .expression(0) : .column(table.slot(of: candidate)))
                }
                if candidate.id == column.id { break }
                guard restrictions.equalColumns.contains(candidate.name) else {
                    throw .invalid(Self.groupOrder)
                }
            }
        }
        guard next >= table.partitionKey.count else {
            throw .invalid("Group by is not supported on only a part of the partition key")
        }
        guard grouping.parts.isEmpty || !syntax.isDistinct else {
            throw .invalid(
                "Grouping on clustering columns is not allowed for SELECT DISTINCT queries")
        }
        return grouping
    }

    /// A function over a clustering column, which may stand last.
    private func groupFunction(
        _ selector: Selector, _ table: TableSchema, _ terms: inout TermCompiler
    ) throws(CQLError) -> (PlannedSelector, ColumnSchema) {
        guard case .function(let name, _) = selector else {
            throw .invalid(
                "Only column names and monotonic functions are supported in the GROUP BY clause, got:"
                    + " \(selector.sourceText)")
        }
        if SelectorCompiler.aggregateKind(name) != nil || selector == .countRows {
            throw .invalid(
                "Aggregate functions are not supported within the GROUP BY clause, got:"
                    + " system.\(name.name)")
        }
        var compiler = SelectorCompiler(table: table, terms: terms)
        let (expression, _, _) = try compiler.compile(selector)
        guard case .function(.floor, _, _) = expression else {
            throw .invalid(
                "Only monotonic functions are supported in the GROUP BY clause. Got: system.\(name.name)"
            )
        }
        terms = compiler.terms
        var slots: Set<Int> = []
        expression.collectSlots(&slots)
        let columns = slots.sorted().map { table.allColumns[$0] }
        guard let column = columns.first else {
            throw .invalid(
                "GROUP BY functions must have one clustering column name as parameter")
        }
        guard columns.count == 1 else {
            throw .invalid(
                "GROUP BY functions accept only one clustering column as parameter, got:"
                    + " \(columns.map(\.name).joined(separator: ","))")
        }
        guard case .clustering = column.kind else {
            throw .invalid(
                "Group by functions are only supported on clustering columns, got \(column.name)")
        }
        return (expression, column)
    }

    // MARK: Checks

    private func checkDistinct(
        _ selectors: [PlannedSelector], _ restrictions: Restrictions, _ table: TableSchema,
        _ results: [ColumnSpecification]
    ) throws(CQLError) {
        guard restrictions.clustering.isEmpty, !restrictions.restrictsRows else {
            throw .invalid(
                "SELECT DISTINCT with WHERE clause only supports restriction by partition key and/or"
                    + " static columns.")
        }
        var slots: Set<Int> = []
        for selector in selectors { selector.collectSlots(&slots) }
        for slot in slots.sorted() {
            let column = table.allColumns[slot]
            if case .partitionKey = column.kind { continue }
            guard column.isStatic else {
                throw .invalid(
                    "SELECT DISTINCT queries must only request partition key columns and/or static"
                        + " columns (not \(column.name))")
            }
        }
        guard case .keys(let keys) = restrictions.partition, keys.count == table.partitionKey.count
        else {
            for (slot, column) in table.partitionKey.enumerated() where !slots.contains(slot) {
                throw .invalid(
                    "SELECT DISTINCT queries must request all the partition key columns (missing"
                        + " \(column.name))")
            }
            return
        }
    }

    /// Whether rows are read against the clustering order.
    private func checkOrdering(
        _ orderings: [OrderingSyntax], _ restrictions: Restrictions, _ table: TableSchema
    ) throws(CQLError) -> Bool {
        guard !orderings.isEmpty else { return false }
        guard orderings.allSatisfy({ $0.nearestNeighbour == nil }) else {
            throw .invalid("ORDER BY ... ANN OF is not supported by Coterie yet")
        }
        guard case .keys = restrictions.partition else {
            throw .invalid(
                "ORDER BY is only supported when the partition key is restricted by an EQ or an IN."
            )
        }
        var isReversed: Bool?
        var position = 0
        for ordering in orderings {
            guard let column = table.column(named: ordering.column) else {
                throw .invalid(
                    "Undefined column name \(Identifier.quoted(ordering.column)) in table"
                        + " \(table.keyspace).\(table.name)")
            }
            guard case .clustering(let place, let order) = column.kind else {
                throw .invalid(
                    "Order by is currently only supported on the clustered columns of the PRIMARY KEY,"
                        + " got \(column.name)")
            }
            while position < place, restrictions.clustering.count > position,
                restrictions.clustering[position].isEquality
            {
                position += 1
            }
            guard place == position else {
                throw .invalid(
                    "Order by currently only supports the ordering of columns following their declared"
                        + " order in the PRIMARY KEY")
            }
            position += 1
            let reverses = ordering.isDescending != (order == .descending)
            guard isReversed == nil || isReversed == reverses else {
                throw .invalid("Unsupported order by relation")
            }
            isReversed = reverses
        }
        return isReversed ?? false
    }
}
