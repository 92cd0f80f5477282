// What writing a row of a table with COMPACT STORAGE needs.

internal import Model

extension Planner {
    /// Whether these are the first clustering columns, as many as a row of a compact table must have.
    func isCompactPrefix(_ given: [ColumnSchema], of table: TableSchema) -> Bool {
        table.compact == .compound && !given.isEmpty
            && given.map(\.id) == table.clustering.prefix(given.count).map(\.id)
    }

    /// Nothing but its value says that a row of a compact table is there: it must have one, and if none is
    /// declared, it gets the hidden one.
    func completeCompact(
        _ cells: inout [ModificationPlan.CellSource], _ table: TableSchema
    ) throws(CQLError) {
        guard table.compact != nil, cells.isEmpty, let value = table.regulars.first else { return }
        guard table.isHidden(value) else {
            throw .invalid(
                "Column \(Identifier.quoted(value.name)) is mandatory for this COMPACT STORAGE table"
            )
        }
        cells.append(ModificationPlan.CellSource(column: value, term: .constant([])))
    }
}
