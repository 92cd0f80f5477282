// Planning of INSERT JSON.

internal import Model

extension Planner {
    /// INSERT JSON: an INSERT of all columns, whose values are found in the text when it is executed.
    func insertJSON(
        _ syntax: InsertSyntax, _ missing: InsertSyntax.MissingColumns, _ table: TableSchema,
        _ compiler: inout TermCompiler
    ) throws(CQLError) -> ModificationPlan {
        guard let value = syntax.values.first else { throw .invalid("INSERT JSON takes a text") }
        let (timestamp, timeToLive) = try times(syntax.using, &compiler)
        let json = JSONInsert(
            text: try compiler.compile(value, as: .text, for: "[json]"), missing: missing,
            timestamp: timestamp, timeToLive: timeToLive, columns: table.allColumns)
        func marker(_ column: ColumnSchema) -> PlannedTerm {
            .marker(table.slot(of: column), column.type)
        }
        let isStaticOnly = table.compact == .static
        var cells = (table.statics + table.regulars).filter { !table.isHidden($0) }.map {
            ModificationPlan.CellSource(column: $0, term: marker($0))
        }
        if !isStaticOnly { try completeCompact(&cells, table) }
        return ModificationPlan(
            table: table, effect: .write(marksRow: table.compact == nil),
            partition: table.partitionKey.map { .equal(marker($0)) },
            clustering: table.visibleClustering.map { .equal(marker($0)) }, cells: cells,
            timestamp: json.timestampMarker, timeToLive: json.timeToLiveMarker,
            isStaticOnly: isStaticOnly,
            condition: syntax.ifNotExists ? .notExists : nil, json: json)
    }
}
