// What writing a row of a table with COMPACT STORAGE needs.

internal import Model

extension Planner {
    /// Whether these are the first clustering columns, as many as a row of a compact table must have.
    func isCompactPrefix(_ given: [ColumnSchema], of table: TableSchema) -> Bool {
        table.compact == .compound && !given.isEmpty
            && given.map(\.id) == table.clustering.prefix(given.count).map(\.id)
    }

    /// What an INSERT says that leaves out clustering columns: in a compact table, where the last ones may be
    /// left out, it is the first gap that is wrong.
    func missingClustering(_ given: [ColumnSchema], of table: TableSchema) -> CQLError {
        let missing = table.clustering.filter { column in
            !given.contains { $0.id == column.id }
        }
        if table.compact != nil, let first = missing.first,
            let later = table.clustering.drop(while: { $0.id != first.id })
                .first(where: { column in given.contains { $0.id == column.id } })
        {
            return .invalid(
                "PRIMARY KEY column \"\(later.name)\" cannot be restricted as preceding column"
                    + " \"\(first.name)\" is not restricted")
        }
        return .invalid(
            "Some clustering keys are missing: " + missing.map(\.name).joined(separator: ", "))
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
