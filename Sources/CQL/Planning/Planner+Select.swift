// Planning of SELECT.

internal import Model

extension Planner {
    func planSelect(
        _ syntax: SelectSyntax, _ markers: [String?]
    ) throws(CQLError) -> PreparedPlan {
        let table = try table(syntax.table)
        guard !syntax.isJSON else { throw .invalid("SELECT JSON is not supported by Coterie yet") }
        guard syntax.groupBy.isEmpty else {
            throw .invalid("GROUP BY is not supported by Coterie yet")
        }
        var selectors = SelectorCompiler(table: table, terms: compiler(table, markers))
        var planned: [PlannedSelector] = []
        var results: [ColumnSpecification] = []
        func result(_ name: String, _ type: CQLType) -> ColumnSpecification {
            ColumnSpecification(
                keyspace: table.keyspace, table: table.name, name: name, type: type)
        }
        if syntax.selectors.isEmpty {
            for (slot, column) in table.allColumns.enumerated() {
                planned.append(.column(slot))
                results.append(result(column.name, column.type))
            }
        }
        for item in syntax.selectors {
            let (selector, type, name) = try selectors.compile(item.selector)
            planned.append(selector)
            results.append(result(item.alias ?? name, type))
        }
        if !selectors.aggregates.isEmpty {
            // Beside aggregates, what is not one shows the first row's value.
            for (index, selector) in planned.enumerated() where !selector.isAggregate {
                selectors.aggregates.append(
                    PlannedAggregate(
                        kind: .first, argument: selector, type: results[index].type))
                planned[index] = .aggregate(selectors.aggregates.count - 1)
            }
        }
        var terms = selectors.terms
        let restrictions = try RestrictionAnalysis.analyse(
            syntax.relations, table: table, kind: .select,
            allowsFiltering: syntax.allowsFiltering, compiler: &terms)
        if syntax.isDistinct { try checkDistinct(planned, restrictions, table, results) }
        let isReversed = try checkOrdering(syntax.orderings, restrictions, table)
        var perPartitionLimit: PlannedTerm?
        if let term = syntax.perPartitionLimit {
            guard !syntax.isDistinct else {
                throw .invalid("PER PARTITION LIMIT is not allowed with SELECT DISTINCT queries")
            }
            guard selectors.aggregates.isEmpty else {
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
            perPartitionLimit: perPartitionLimit)
        return PreparedPlan(
            plan: .select(plan), bindMarkers: try Self.specifications(terms),
            partitionKeyBindIndexes: Self.partitionKeyIndexes(restrictions.partition),
            resultColumns: results, tableID: table.id, epoch: schema.epoch)
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

extension PlannedSelector {
    /// Whether the expression is made of aggregates' results.
    var isAggregate: Bool {
        switch self {
        case .aggregate: true
        case .function(_, let arguments, _): arguments.contains(where: \.isAggregate)
        case .field(let inner, _, _), .element(let inner, _, _): inner.isAggregate
        case .column, .term, .writeTime, .timeToLive, .token: false
        }
    }
}
