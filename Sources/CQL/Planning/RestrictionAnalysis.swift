// Sorts the relations of a WHERE clause into what restricts the partitions, what restricts the rows inside
// them, and what is left to be filtered.
//
// First each relation is checked and noted under its column (`RestrictionAnalysis+Relations.swift`), then the
// columns are walked in the order of the key. Error texts are Cassandra's, because programs match them.

internal import Model

/// Sorts relations into `Restrictions`.
struct RestrictionAnalysis {
    enum StatementKind: String {
        case select = "SELECT"
        case update = "UPDATE"
        case delete = "DELETE"
        case insert = "INSERT"
    }

    /// The relations of one column, or of tuples of columns that begin with it.
    struct ColumnRelations {
        var equal: PlannedTerm?
        var among: InOperand?
        var lower: SliceBound?
        var upper: SliceBound?
        /// How many clustering columns it spans: those of the widest tuple.
        var count = 1
        var isTuple = false
        /// Places in `filters`.
        var filters: [Int] = []
    }

    let table: TableSchema
    let kind: StatementKind
    let allowsFiltering: Bool
    var byColumn: [String: ColumnRelations] = [:]
    var token: ColumnRelations?
    var tokenFilters: [RowFilter] = []
    var filters: [RowFilter] = []
    var equalColumns: Set<String> = []
    /// Filters on value columns and with operators that no key can answer.
    var unkeyed: [Int] = []

    init(table: TableSchema, kind: StatementKind, allowsFiltering: Bool) {
        self.table = table
        self.kind = kind
        self.allowsFiltering = allowsFiltering
    }

    /// The restrictions of `relations`, their terms compiled by `compiler`.
    static func analyse(
        _ relations: [Relation], table: TableSchema, kind: StatementKind, allowsFiltering: Bool,
        compiler: inout TermCompiler
    ) throws(CQLError) -> Restrictions {
        var analysis = RestrictionAnalysis(
            table: table, kind: kind, allowsFiltering: allowsFiltering)
        for relation in relations { try analysis.add(relation, &compiler) }
        return try analysis.finish()
    }

    // MARK: Sorting

    private mutating func finish() throws(CQLError) -> Restrictions {
        var result = Restrictions()
        result.allFilters = filters + tokenFilters
        result.equalColumns = equalColumns
        var residual = Set(unkeyed)
        try finishPartition(&result, &residual)
        try finishClustering(&result, &residual)
        try checkValueColumns()
        for column in table.statics + table.regulars {
            residual.formUnion(byColumn[column.name]?.filters ?? [])
        }
        guard residual.isEmpty || kind == .select else {
            throw .invalid("Invalid restriction in \(kind.rawValue) statement")
        }
        guard residual.isEmpty || allowsFiltering || SystemSchema.isVirtual(table.keyspace) else {
            throw Restrictions.needsFiltering
        }
        guard !residual.contains(where: { filters[$0].isTupleList }) else {
            throw .invalid("Multicolumn IN filters are not supported")
        }
        guard !residual.contains(where: { filters[$0].isTupleSlice }) else {
            throw .invalid("Multi-column slice restrictions cannot be used for filtering.")
        }
        result.filters = residual.sorted().map { filters[$0] }
        let hasRowFilter = result.filters.contains { filter in
            filter.slots.contains { table.allColumns[$0].kind == .regular }
        }
        let restrictsClustering = table.clustering.contains { byColumn[$0.name] != nil }
        if kind == .select, restrictsClustering, !allowsFiltering,
            !SystemSchema.isVirtual(table.keyspace)
        {
            // Rows in the midst of every partition: each of them has to be looked at.
            guard case .keys = result.partition else { throw Restrictions.needsFiltering }
        }
        result.restrictsRows = restrictsClustering || hasRowFilter
        return result
    }

    /// Only SELECT may restrict columns that are no keys.
    private func checkValueColumns() throws(CQLError) {
        guard kind != .select else { return }
        let unkeyedSlots = Set(unkeyed.flatMap { filters[$0].slots })
        let names = (table.statics + table.regulars).filter {
            byColumn[$0.name] != nil || unkeyedSlots.contains(table.slot(of: $0))
        }.map(\.name)
        guard names.isEmpty else {
            throw .invalid(
                "Non PRIMARY KEY columns found in where clause: \(names.joined(separator: ", "))")
        }
    }

    private func finishPartition(
        _ result: inout Restrictions, _ residual: inout Set<Int>
    ) throws(CQLError) {
        let names = table.partitionKey.map(\.name)
        let restricted = names.filter { byColumn[$0] != nil }
        if let token {
            guard restricted.count == names.count else {
                guard restricted.isEmpty || allowsFiltering else {
                    throw Restrictions.needsFiltering
                }
                for name in restricted { residual.formUnion(byColumn[name]?.filters ?? []) }
                result.partition = .tokens(lower: token.lower, upper: token.upper)
                return
            }
            result.keyTokens = TokenBounds(lower: token.lower, upper: token.upper)
        }
        let missing = names.filter { byColumn[$0] == nil }
        if kind != .select {
            guard missing.isEmpty else {
                throw .invalid(
                    "Some partition key parts are missing: \(missing.joined(separator: ", "))")
            }
        }
        var keys: [KeyRestriction] = []
        for name in names {
            guard let entry = byColumn[name] else { continue }
            if let term = entry.equal {
                keys.append(.equal(term))
            } else if let among = entry.among {
                keys.append(.among(among))
            } else if kind != .select {
                throw .invalid(
                    "Only EQ and IN relation are supported on the partition key (unless you use the"
                        + " token() function) for \(kind.rawValue) statements")
            }
        }
        if keys.count == names.count {
            result.partition = .keys(keys)
            return
        }
        guard restricted.isEmpty || allowsFiltering || SystemSchema.isVirtual(table.keyspace) else {
            throw Restrictions.needsFiltering
        }
        for name in restricted { residual.formUnion(byColumn[name]?.filters ?? []) }
    }

    private func finishClustering(
        _ result: inout Restrictions, _ residual: inout Set<Int>
    ) throws(CQLError) {
        try checkContainment()
        var position = 0
        var unrestricted: ColumnSchema?
        var afterSlice: ColumnSchema?
        while position < table.clustering.count {
            let column = table.clustering[position]
            guard let entry = byColumn[column.name] else {
                unrestricted = unrestricted ?? column
                position += 1
                continue
            }
            position += entry.count
            if unrestricted != nil || afterSlice != nil {
                guard kind == .select, allowsFiltering || SystemSchema.isVirtual(table.keyspace)
                else {
                    throw outOfOrder(column, afterSlice, unrestricted)
                }
                residual.formUnion(entry.filters)
                continue
            }
            if let term = entry.equal {
                result.clustering.append(
                    entry.isTuple ? .tupleEqual(count: entry.count, term) : .equal(term))
            } else if let among = entry.among {
                result.clustering.append(
                    entry.isTuple ? .tupleAmong(count: entry.count, among) : .among(among))
            } else if entry.lower != nil || entry.upper != nil {
                result.clustering.append(
                    .slice(count: entry.count, lower: entry.lower, upper: entry.upper))
                afterSlice = column
            } else {
                unrestricted = column
            }
        }
    }

    private func checkContainment() throws(CQLError) {
        guard !allowsFiltering, !SystemSchema.isVirtual(table.keyspace) else { return }
        let isOnClustering = unkeyed.contains { index in
            filters[index].comparison.isContainment
                && filters[index].slots.contains { slot in
                    if case .clustering = table.allColumns[slot].kind { true } else { false }
                }
        }
        guard !isOnClustering else {
            throw .invalid(
                "Clustering columns can only be restricted with CONTAINS with a secondary index or"
                    + " filtering")
        }
    }

    private func outOfOrder(
        _ column: ColumnSchema, _ slice: ColumnSchema?, _ unrestricted: ColumnSchema?
    ) -> CQLError {
        if let slice {
            return .invalid(
                "Clustering column \"\(column.name)\" cannot be restricted (preceding column"
                    + " \"\(slice.name)\" is restricted by a non-EQ relation)")
        }
        if kind == .update, table.compact == nil {
            var restricted: Set<Int> = []
            for (first, column) in table.clustering.enumerated() {
                guard let entry = byColumn[column.name] else { continue }
                restricted.formUnion(first..<first + entry.count)
            }
            let missing = table.clustering.indices.filter { !restricted.contains($0) }
            return .invalid(
                "Some clustering keys are missing: "
                    + missing.map { table.clustering[$0].name }.joined(separator: ", "))
        }
        return .invalid(
            "PRIMARY KEY column \"\(column.name)\" cannot be restricted as preceding column"
                + " \"\(unrestricted?.name ?? "")\" is not restricted")
    }
}
