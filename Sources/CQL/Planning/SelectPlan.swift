// A planned SELECT: everything that does not depend on bound values.

internal import Encoding
package import Model

/// A planned SELECT. `SelectExecution` runs it on a table; `execute(overRows:…)` on rows in memory.
package final class SelectPlan: Sendable {
    package let table: TableSchema
    /// The table whose mutation fragments `table` is made of.
    package let fragmentsOf: TableSchema?
    package let resultColumns: [ColumnSpecification]
    let selectors: [PlannedSelector]
    let aggregates: [PlannedAggregate]
    let restrictions: Restrictions
    let isDistinct: Bool
    /// GROUP BY, if there is one.
    let grouping: Grouping?
    /// Whether each row is given as one text of JSON, with these names and types in it.
    let isJSON: Bool
    let jsonNames: [String]
    let jsonTypes: [CQLType]
    /// Against the clustering order.
    let isReversed: Bool
    let hasOrdering: Bool
    let limit: PlannedTerm?
    let perPartitionLimit: PlannedTerm?
    /// Whether clustering values are looked at at all.
    let needsClustering: Bool
    /// Whether all selectors are plain columns.
    let plainSlots: [Int]?
    /// Whether the select list holds values of its own, which may be bound ones.
    let selectsTerms: Bool
    /// The place of each column in `SELECT *`, by its id; −1 for ids that are no column any more.
    let slotByColumnID: [Int32]
    let columns: [ColumnSchema]
    /// Whether it is asked when the parts of collections were written.
    let needsElementTimes: Bool
    /// Whether cells have to be held against the time at which their column was dropped once.
    let hasReturnedColumns: Bool
    /// Whether the table has columns with a cell for each element.
    let hasCollections: Bool
    /// The key of a point select (`PointSelect`); nil if it is none.
    let pointKey: PointKey?
    /// Whether the table is one of the system's.
    package let isOfSystem: Bool

    /// The table that the statement is about.
    package var subject: TableSchema { fragmentsOf ?? table }

    /// What a client is told of an aggregation over more than one partition: it costs as much as reading all
    /// of them.
    package var aggregationWarning: String? {
        guard !aggregates.isEmpty || grouping != nil, !SystemSchema.isVirtual(table.keyspace) else {
            return nil
        }
        switch restrictions.partition {
        case .everything: return "Aggregation query used without partition key"
        case .tokens: return nil
        case .keys(let keys):
            let hasIn = keys.contains { if case .among = $0 { true } else { false } }
            return hasIn
                ? "Aggregation query used on multiple partition keys (IN restriction)" : nil
        }
    }

    /// The refusal of a table that is not stored.
    package static func noFragments(of table: TableSchema) -> CQLError {
        .invalid(
            "SELECT FROM MUTATION_FRAGMENTS() is not supported for \(table.keyspace).\(table.name): "
                + "its rows are not stored")
    }

    init(
        table: TableSchema, resultColumns: [ColumnSpecification], selectors: [PlannedSelector],
        aggregates: [PlannedAggregate], restrictions: Restrictions, isDistinct: Bool,
        isReversed: Bool, hasOrdering: Bool, limit: PlannedTerm?, perPartitionLimit: PlannedTerm?,
        grouping: Grouping? = nil, isJSON: Bool = false, fragmentsOf: TableSchema? = nil
    ) {
        self.table = table
        self.fragmentsOf = fragmentsOf
        self.grouping = grouping
        self.isJSON = isJSON
        self.resultColumns =
            isJSON
            ? [
                ColumnSpecification(
                    keyspace: table.keyspace, table: table.name, name: "[json]", type: .text)
            ] : resultColumns
        jsonNames = isJSON ? resultColumns.map(\.name) : []
        jsonTypes = isJSON ? resultColumns.map(\.type) : []
        self.selectors = selectors
        self.aggregates = aggregates
        self.restrictions = restrictions
        self.isDistinct = isDistinct
        self.isReversed = isReversed
        self.hasOrdering = hasOrdering
        self.limit = limit
        self.perPartitionLimit = perPartitionLimit
        let columns = table.allColumns
        self.columns = columns
        self.hasReturnedColumns = table.hasReturnedColumns
        let hasCollections = columns.contains { $0.type.isMultiCell }
        self.hasCollections = hasCollections
        var slots = Array(repeating: Int32(-1), count: Int(table.nextColumnID))
        for (index, column) in columns.enumerated() { slots[Int(column.id.value)] = Int32(index) }
        self.slotByColumnID = slots
        var plain: [Int]? = aggregates.isEmpty ? [] : nil
        for selector in selectors {
            if case .column(let slot) = selector { plain?.append(slot) } else { plain = nil }
        }
        self.plainSlots = plain
        self.selectsTerms = selectors.contains(where: \.holdsTerms)
        self.needsElementTimes =
            (selectors + aggregates.compactMap(\.argument)).contains(where: \.needsElementTimes)
        let clusteringSlots =
            table.partitionKey.count..<(table.partitionKey.count + table.clustering.count)
        var looked: Set<Int> = []
        for selector in selectors { selector.collectSlots(&looked) }
        grouping?.collectSlots(&looked)
        for aggregate in aggregates { aggregate.argument?.collectSlots(&looked) }
        for filter in restrictions.filters { looked.formUnion(filter.slots) }
        self.needsClustering = looked.contains { clusteringSlots.contains($0) }
        let isPlain =
            plain != nil && !isJSON && grouping == nil && !isDistinct && !hasOrdering
            && limit == nil && perPartitionLimit == nil && fragmentsOf == nil
        let isSimple = table.compact == nil && !table.isCounter && !hasCollections
        pointKey = isPlain && isSimple ? PointKey(restrictions, of: table) : nil
        isOfSystem = SystemSchema.isSystem(table.keyspace)
    }

    /// Whether several rows become one.
    var isAggregating: Bool { !aggregates.isEmpty }

    /// Whether rows have to be filtered one by one.
    var isFiltering: Bool { !restrictions.filters.isEmpty }

    /// Whether the query reads exactly one partition or several named ones.
    package var namesPartitions: Bool {
        if case .keys = restrictions.partition { true } else { false }
    }

    /// LIMIT or PER PARTITION LIMIT with its value; nil for none.
    static func limit(
        _ term: PlannedTerm?, _ name: String, _ values: BoundValues, _ context: ExecutionContext
    ) throws(CQLError) -> Int? {
        guard let term else { return nil }
        switch try term.evaluate(values, context) {
        case .unset: return nil
        case .null: throw .invalid("Invalid null value of limit")
        case .bytes(let bytes):
            guard bytes.count == 4 else { throw .invalid("Invalid limit value") }
            let value = Int32(truncatingIfNeeded: bytes.reduce(UInt32(0)) { $0 << 8 | UInt32($1) })
            guard value > 0 else { throw .invalid("\(name) must be strictly positive") }
            return Int(value)
        }
    }

    // MARK: Rows in memory

    /// Runs the query over rows that are given in the order of `SELECT *`, sorted by key. Every relation
    /// is a filter here; nothing is paged.
    package func execute(
        overRows rows: [SystemRow], _ values: BoundValues, _ context: ExecutionContext
    ) throws(CQLError) -> SelectResult {
        let limit = try Self.limit(limit, "LIMIT", values, context)
        let perPartition = try Self.limit(
            perPartitionLimit, "PER PARTITION LIMIT", values, context)
        var output = try RowOutput(self, values, context, limit: limit ?? .max)
        var filters: [BoundFilter] = []
        for filter in restrictions.allFilters { filters.append(try filter.bound(values, context)) }
        let keyCount = table.partitionKey.count
        var previousKey: ArraySlice<[UInt8]?> = []
        var inPartition = 0
        let allowed = isDistinct ? 1 : perPartition ?? .max
        var group: [[UInt8]?]?
        for row in isReversed ? reversedInPartitions(rows, keyCount) : rows {
            precondition(row.count == columns.count, "a row in memory with other columns")
            if output.isFull { break }
            if row[..<keyCount] != previousKey {
                if group != nil { try output.closeGroup() }
                group = nil
                previousKey = row[..<keyCount]
                inPartition = 0
                var components: [[UInt8]] = []
                for component in previousKey { components.append(component ?? []) }
                output.token = Token.of(try PartitionKeyBuilder.serialize(components)).value
            }
            guard let grouping else {
                if inPartition < allowed, try output.add(row, filters) { inPartition += 1 }
                continue
            }
            guard try output.set(row, filters) else { continue }
            let key = try output.groupKey(grouping)
            if key != group {
                if group != nil { try output.closeGroup() }
                group = nil
                guard inPartition < allowed, !output.isFull else { continue }
                group = key
                inPartition += 1
            }
            if group != nil { try output.emit() }
        }
        if group != nil { try output.closeGroup() }
        try output.finish()
        return SelectResult(rows: output.rows.array, rowCount: output.rowCount)
    }

    /// The rows with each partition's from last to first.
    private func reversedInPartitions(_ rows: [SystemRow], _ keyCount: Int) -> [SystemRow] {
        var result: [SystemRow] = []
        var start = 0
        while start < rows.count {
            var end = start + 1
            while end < rows.count, rows[end][..<keyCount] == rows[start][..<keyCount] { end += 1 }
            result += rows[start..<end].reversed()
            start = end
        }
        return result
    }
}

/// Rows as the native protocol carries them.
package struct SelectResult: Equatable, Sendable {
    /// The rows one after another, each value as [bytes]: a 32-bit length, −1 for null, and the value.
    package let rows: [UInt8]
    package let rowCount: Int

    package init(rows: [UInt8], rowCount: Int) {
        self.rows = rows
        self.rowCount = rowCount
    }
}

/// GROUP BY: a prefix of the clustering columns, whose last one a function may coarsen. The partition key
/// always belongs to it.
struct Grouping: Sendable {
    enum Part: Sendable {
        /// A column by its place in `SELECT *`.
        case column(Int)
        /// The expression of that number.
        case expression(Int)
    }

    var parts: [Part] = []
    var expressions: [PlannedSelector] = []

    func collectSlots(_ slots: inout Set<Int>) {
        for case .column(let slot) in parts { slots.insert(slot) }
        for expression in expressions { expression.collectSlots(&slots) }
    }
}
