// CREATE, ALTER and DROP TABLE.

internal import Encoding
internal import Model

extension SchemaChange {
    // MARK: CREATE TABLE

    func createTable(
        _ syntax: CreateTableSyntax, _ schema: SchemaSnapshot, _ issuedID: TableID
    ) throws(CQLError) -> SchemaChangeOutcome {
        let existing = try existingKeyspace(schema)
        let name = syntax.name.name
        guard existing.table(named: name) == nil else {
            if syntax.ifNotExists { return .nothing }
            throw .alreadyExists(
                "Cannot add already existing table \"\(name)\" to keyspace \"\(keyspace)\"",
                keyspace: keyspace, table: name)
        }
        let id = try Self.statedID(syntax.properties) ?? issuedID
        if let other = schema.table(id) {
            throw .invalid(
                "The id \(id) belongs to the table \(other.keyspace).\(other.name) already")
        }
        let table = try Self.table(
            syntax, id: id, in: keyspace, types: existing.types)
        return put(
            existing.with(tables: existing.tables + [table]), event(.created, .table, name))
    }

    private static func statedID(_ properties: [Property]) throws(CQLError) -> TableID? {
        guard let property = properties.first(where: { $0.name == "id" }) else { return nil }
        guard case .text(let text) = property.value, let id = UniqueID(text) else {
            throw .configuration("Invalid table id")
        }
        return TableID(id)
    }

    /// The table that the statement defines.
    static func table(
        _ syntax: CreateTableSyntax, id: TableID, in keyspace: String, types: [UserDefinedType]
    ) throws(CQLError) -> TableSchema {
        let name = syntax.name.name
        try checkTableName(name)
        let options = try TableProperties.apply(syntax.properties, to: TableOptions())
        let resolution = TypeResolution(keyspace: keyspace, types: types)
        var resolved: [String: CQLType] = [:]
        for column in syntax.columns {
            let type = try resolution.resolve(column.type)
            guard resolved.updateValue(type, forKey: column.name) == nil else {
                throw .invalid("Duplicate column '\(column.name)' declaration for table '\(name)'")
            }
            try checkFieldsAreFrozen(type)
        }
        let key = try primaryKey(syntax)
        for column in key.partitionKey + key.clustering {
            try checkKeyColumn(column, resolved[column], syntax)
        }
        let orders = try clusteringOrders(syntax, key.clustering)
        let columns = syntax.columns.enumerated().map { index, column in
            let kind: ColumnSchema.Kind
            if let position = key.partitionKey.firstIndex(of: column.name) {
                kind = .partitionKey(position: position)
            } else if let position = key.clustering.firstIndex(of: column.name) {
                kind = .clustering(position: position, order: orders[column.name] ?? .ascending)
            } else {
                kind = column.isStatic ? .static : .regular
            }
            return ColumnSchema(
                id: ColumnID(UInt32(index)), name: column.name,
                type: resolved[column.name] ?? .blob, kind: kind)
        }
        if syntax.hasCompactStorage {
            try checkCompact(columns)
        } else if key.clustering.isEmpty, columns.contains(where: \.isStatic) {
            throw .invalid(
                "Static columns are only useful (and thus allowed) if the table has at least one"
                    + " clustering column")
        }
        let values = columns.filter { !$0.isPrimaryKey }
        if values.contains(where: { $0.type == .counter }) {
            guard values.allSatisfy({ $0.type == .counter }) else {
                throw .invalid("Cannot mix counter and non counter columns in the same table")
            }
            guard options.defaultTimeToLive == 0 else {
                throw .invalid("Cannot set default_time_to_live on a table with counters")
            }
        }
        if syntax.hasCompactStorage {
            return compactTable(id, keyspace, name, columns, options)
        }
        return TableSchema(
            id: id, keyspace: keyspace, name: name, columns: columns, options: options,
            nextColumnID: UInt32(columns.count))
    }

    private static func checkFieldsAreFrozen(_ type: CQLType) throws(CQLError) {
        guard case .userDefined(let definition, false) = type else { return }
        guard !definition.fields.contains(where: \.type.isMultiCell) else {
            throw .invalid(
                "Non-frozen UDTs with nested non-frozen collections are not supported")
        }
    }

    private static func primaryKey(
        _ syntax: CreateTableSyntax
    ) throws(CQLError) -> CreateTableSyntax.PrimaryKeySyntax {
        guard let key = syntax.primaryKeys.first else {
            throw .invalid(
                "No PRIMARY KEY specifed for table '\(syntax.name.name)' (exactly one required)")
        }
        guard syntax.primaryKeys.count == 1 else {
            throw .invalid(
                "Multiple PRIMARY KEY specified for table '\(syntax.name.name)' (exactly one required)"
            )
        }
        var seen: Set<String> = []
        for column in key.partitionKey + key.clustering {
            guard seen.insert(column).inserted else {
                throw .invalid(
                    "Duplicate column '\(column)' in PRIMARY KEY clause for table"
                        + " '\(syntax.name.name)'")
            }
        }
        return key
    }

    private static func checkKeyColumn(
        _ column: String, _ type: CQLType?, _ syntax: CreateTableSyntax
    ) throws(CQLError) {
        guard let type else {
            throw .invalid(
                "Unknown column '\(column)' referenced in PRIMARY KEY for table '\(syntax.name.name)'"
            )
        }
        if type.isMultiCell {
            let what = type.isCollection ? "collection" : "user-defined"
            throw .invalid(
                "Invalid non-frozen \(what) type \(type.cqlName) for PRIMARY KEY column '\(column)'"
            )
        }
        guard type != .counter else {
            throw .invalid("counter type is not supported for PRIMARY KEY column '\(column)'")
        }
        guard !type.containsDuration else {
            throw .invalid("duration type is not supported for PRIMARY KEY column '\(column)'")
        }
        guard !syntax.columns.contains(where: { $0.name == column && $0.isStatic }) else {
            throw .invalid("Static column '\(column)' cannot be part of the PRIMARY KEY")
        }
    }

    private static func clusteringOrders(
        _ syntax: CreateTableSyntax, _ clustering: [String]
    ) throws(CQLError) -> [String: ClusteringOrder] {
        let named = syntax.clusteringOrder.map(\.column)
        for (index, column) in named.enumerated() where named[..<index].contains(column) {
            throw .invalid(
                "Duplicate column '\(column)' in CLUSTERING ORDER BY clause for table"
                    + " '\(syntax.name)'")
        }
        guard syntax.clusteringOrder.count <= clustering.count else {
            throw .invalid("Only clustering columns can be defined in CLUSTERING ORDER directive")
        }
        var orders: [String: ClusteringOrder] = [:]
        for (expected, given) in zip(clustering, syntax.clusteringOrder) {
            guard expected == given.column else {
                guard named.contains(expected) else {
                    throw .invalid("Missing CLUSTERING ORDER for column \(expected)")
                }
                throw .invalid(
                    "The order of columns in the CLUSTERING ORDER directive must match that of the"
                        + " clustering columns (\(expected) must appear before \(given.column))")
            }
            orders[given.column] = given.order
        }
        return orders
    }

    // MARK: ALTER TABLE

    func alterTable(
        _ syntax: AlterTableSyntax, _ schema: SchemaSnapshot, _ timestamp: Int64
    ) throws(CQLError) -> SchemaChangeOutcome {
        let name = syntax.name.name
        guard let existing = schema.keyspace(named: keyspace),
            let table = existing.table(named: name)
        else {
            if syntax.ifExists { return .nothing }
            throw .invalid("Table '\(keyspace).\(name)' doesn't exist")
        }
        let altered: TableSchema
        try Self.checkCompact(syntax.change, of: table)
        switch syntax.change {
        case .add(let columns, let ifNotExists):
            altered = try adding(columns, ifNotExists, to: table, types: existing.types)
        case .drop(let columns, let ifExists, let stated):
            altered = try dropping(columns, ifExists, from: table, at: stated ?? timestamp)
        case .rename(let renamings, let ifExists):
            altered = try renaming(renamings, ifExists, in: table)
        case .options(let properties):
            guard !properties.contains(where: { $0.name == "id" }) else {
                throw .configuration("Cannot alter table id.")
            }
            let options = try TableProperties.apply(properties, to: table.options)
            guard !table.isCounter || options.defaultTimeToLive == 0 else {
                throw .invalid("Cannot set default_time_to_live on a table with counters")
            }
            altered = table.with(options: options)
        case .dropCompactStorage: altered = try Self.withoutCompactStorage(table)
        case .alterType: throw .invalid("Altering column types is no longer supported")
        case .mask:
            throw .invalid("Dynamic data masking (MASKED WITH) is not supported by Coterie yet")
        }
        guard altered !== table else { return .nothing }
        let tables = existing.tables.map { $0.name == name ? altered : $0 }
        return put(existing.with(tables: tables), event(.updated, .table, name))
    }

    private func adding(
        _ columns: [ColumnSyntax], _ ifNotExists: Bool, to table: TableSchema,
        types: [UserDefinedType]
    ) throws(CQLError) -> TableSchema {
        let resolution = TypeResolution(keyspace: keyspace, types: types)
        var all = table.allColumns
        var next = table.nextColumnID
        let count = all.count
        for column in columns {
            guard !all.contains(where: { $0.name == column.name }) else {
                if ifNotExists { continue }
                throw .invalid("Column with name '\(column.name)' already exists")
            }
            let type = try resolution.resolve(column.type)
            try Self.checkFieldsAreFrozen(type)
            guard !column.isStatic || !table.clustering.isEmpty else {
                throw .invalid(
                    "Static columns are only useful (and thus allowed) if the table has at least one"
                        + " clustering column")
            }
            if table.isCounter != (type == .counter) {
                throw table.isCounter
                    ? .invalid(
                        "Cannot have a non counter column (\"\(column.name)\") in a counter table")
                    : .invalid(
                        "Cannot have a counter column (\"\(column.name)\") in a non counter table")
            }
            let kind: ColumnSchema.Kind = column.isStatic ? .static : .regular
            try checkReadded(column.name, type, kind, table)
            // What was written behind the time of its drop is there again.
            let former = table.dropped.filter { $0.column.name == column.name }.map(\.column.id)
                .max()
            all.append(
                ColumnSchema(
                    id: former ?? ColumnID(next), name: column.name, type: type, kind: kind))
            if former == nil { next += 1 }
        }
        return all.count == count ? table : table.with(columns: all, nextColumnID: next)
    }

    /// A column that was dropped may come back as the kind that it was, with a type that can read its cells.
    private func checkReadded(
        _ name: String, _ type: CQLType, _ kind: ColumnSchema.Kind, _ table: TableSchema
    ) throws(CQLError) {
        for dropped in table.dropped where dropped.column.name == name {
            guard dropped.column.type != .counter else {
                throw .invalid("Cannot re-add previously dropped counter column \(name)")
            }
            guard type.expanded.canReadCells(of: dropped.column.type.expanded) else {
                throw .invalid(
                    "Cannot re-add previously dropped column '\(name)' of type \(type.cqlName),"
                        + " incompatible with previous type \(dropped.column.type.expanded.cqlName)"
                )
            }
            guard dropped.column.kind == kind else {
                throw .invalid(
                    "Cannot re-add previously dropped column '\(name)' of kind"
                        + " \(kind == .static ? "STATIC" : "REGULAR"), incompatible with previous kind"
                        + " \(dropped.column.kind == .static ? "STATIC" : "REGULAR")")
            }
        }
    }

    private func dropping(
        _ names: [String], _ ifExists: Bool, from table: TableSchema, at timestamp: Int64
    ) throws(CQLError) -> TableSchema {
        var all = table.allColumns
        var dropped = table.dropped
        for name in names {
            guard let index = all.firstIndex(where: { $0.name == name }) else {
                if ifExists { continue }
                throw .invalid("Column \(name) was not found in table '\(keyspace).\(table.name)'")
            }
            guard !all[index].isPrimaryKey else {
                throw .invalid("Cannot drop PRIMARY KEY column \(name)")
            }
            // What is left of it could not be described: there is no tuple that is not frozen.
            if case .userDefined(_, frozen: false) = all[index].type {
                throw .invalid(
                    "Cannot drop non-frozen column \(name) of user type"
                        + " \(all[index].type.cqlName)")
            }
            let column = all.remove(at: index)
            dropped.removeAll { $0.column.id == column.id }
            dropped.append(DroppedColumn(column: column, droppedAt: timestamp))
        }
        return all.count == table.allColumns.count
            ? table : table.with(columns: all, dropped: dropped)
    }

    private func renaming(
        _ renamings: [AlterTableSyntax.Renaming], _ ifExists: Bool, in table: TableSchema
    ) throws(CQLError) -> TableSchema {
        var all = table.allColumns
        var changed = false
        for renaming in renamings {
            guard let index = all.firstIndex(where: { $0.name == renaming.from }) else {
                if ifExists { continue }
                throw .invalid(
                    "Column \(renaming.from) was not found in table '\(keyspace).\(table.name)'")
            }
            guard all[index].isPrimaryKey else {
                throw .invalid("Cannot rename non PRIMARY KEY column \(renaming.from)")
            }
            guard !all.contains(where: { $0.name == renaming.to }) else {
                throw .invalid(
                    "Cannot rename column \(renaming.from) to \(renaming.to) in table"
                        + " '\(keyspace).\(table.name)'; another column with that name already exists"
                )
            }
            all[index] = ColumnSchema(
                id: all[index].id, name: renaming.to, type: all[index].type, kind: all[index].kind)
            changed = true
        }
        return changed ? table.with(columns: all) : table
    }

    // MARK: DROP TABLE

    func dropTable(
        _ name: QualifiedName, _ ifExists: Bool, _ schema: SchemaSnapshot
    ) throws(CQLError) -> SchemaChangeOutcome {
        guard let existing = schema.keyspace(named: keyspace),
            existing.table(named: name.name) != nil
        else {
            if ifExists { return .nothing }
            throw .invalid("Table '\(keyspace).\(name.name)' doesn't exist")
        }
        let left = existing.tables.filter { $0.name != name.name }
        return put(existing.with(tables: left), event(.dropped, .table, name.name))
    }
}
