// COMPACT STORAGE in CREATE and ALTER TABLE. The hidden columns are those that Cassandra adds, so that a table
// that gives it up shows the same columns.

internal import Model

extension SchemaChange {
    /// Refuses what tables before CQL could not have.
    static func checkCompact(_ columns: [ColumnSchema]) throws(CQLError) {
        let values = columns.filter { !$0.isPrimaryKey }
        guard !values.contains(where: \.type.isMultiCell) else {
            throw .invalid(
                "Non-frozen collections and UDTs are not supported with COMPACT STORAGE")
        }
        guard !values.contains(where: \.isStatic) else {
            throw .invalid("Static columns are not supported in COMPACT STORAGE tables")
        }
        let isDense = columns.contains {
            if case .clustering = $0.kind { true } else { false }
        }
        guard isDense || !values.isEmpty else {
            throw .invalid("No definition found that is not part of the PRIMARY KEY")
        }
        guard !isDense || values.count <= 1 else {
            let names = values.map { Identifier.quoted($0.name) }.sorted()
            throw .invalid(
                "COMPACT STORAGE with composite PRIMARY KEY allows no more than one column not part of"
                    + " the PRIMARY KEY (got: \(names.joined(separator: ", ")))")
        }
    }

    /// The table of these columns, with those that are hidden.
    static func compactTable(
        _ id: TableID, _ keyspace: String, _ name: String, _ declared: [ColumnSchema],
        _ options: TableOptions
    ) -> TableSchema {
        var columns = declared
        func freeName(_ base: String, from first: Int) -> String {
            var number = first
            while true {
                let name = number == 0 ? base : base + String(number)
                if !columns.contains(where: { $0.name == name }) { return name }
                number += 1
            }
        }
        func add(_ name: String, _ type: CQLType, _ kind: ColumnSchema.Kind) {
            columns.append(
                ColumnSchema(
                    id: ColumnID(UInt32(columns.count)), name: name, type: type, kind: kind))
        }
        let clustering = declared.count {
            if case .clustering = $0.kind { true } else { false }
        }
        if clustering == 0 {
            columns = declared.map { column in
                column.isPrimaryKey
                    ? column
                    : ColumnSchema(
                        id: column.id, name: column.name, type: column.type, kind: .static)
            }
            let isCounter = declared.contains { $0.type == .counter }
            add(
                freeName("column", from: 1), .text, .clustering(position: 0, order: .ascending))
            add(freeName("value", from: 0), isCounter ? .counter : .blob, .regular)
        } else if declared.allSatisfy(\.isPrimaryKey) {
            add(freeName("value", from: 0), CompactStorage.emptyType, .regular)
        }
        return TableSchema(
            id: id, keyspace: keyspace, name: name, columns: columns, options: options,
            compact: clustering == 0 ? .static : clustering == 1 ? .dense : .compound,
            nextColumnID: UInt32(columns.count))
    }

    /// Refuses changes that the shape of a table with COMPACT STORAGE does not allow.
    static func checkCompact(
        _ change: AlterTableSyntax.Change, of table: TableSchema
    ) throws(CQLError) {
        guard let compact = table.compact else { return }
        let hidden = table.allColumns.filter(table.isHidden)
        switch change {
        case .add(let columns, let ifNotExists):
            for column in columns {
                // A hidden column has its name too.
                let isThere = table.allColumns.contains { $0.name == column.name }
                if isThere, ifNotExists { continue }
                guard !isThere else {
                    throw .invalid("Column with name '\(column.name)' already exists")
                }
                throw .invalid("Cannot add new column to a COMPACT STORAGE table")
            }
        case .drop(let names, _, _):
            for name in names {
                guard !hidden.contains(where: { $0.name == name }) else {
                    throw .invalid(
                        "Column \(name) was not found in table '\(table.keyspace).\(table.name)'")
                }
            }
            guard
                compact == .static
                    || !names.contains(where: { name in
                        table.regulars.contains { $0.name == name }
                    })
            else {
                throw .invalid("Cannot drop the value column of a COMPACT STORAGE table")
            }
        case .rename(let renamings, _):
            for renaming in renamings where table.column(named: renaming.from) == nil {
                throw .invalid(
                    "Undefined column name \(Identifier.quoted(renaming.from)) in table"
                        + " \(table.keyspace).\(table.name)")
            }
        case .options, .dropCompactStorage, .alterType, .mask: break
        }
    }

    /// The table with its hidden columns for all to see.
    static func withoutCompactStorage(_ table: TableSchema) throws(CQLError) -> TableSchema {
        guard table.compact != nil else {
            throw .invalid("Cannot DROP COMPACT STORAGE on table without COMPACT STORAGE")
        }
        return TableSchema(
            id: table.id, keyspace: table.keyspace, name: table.name, columns: table.allColumns,
            dropped: table.dropped, options: table.options, nextColumnID: table.nextColumnID)
    }
}
