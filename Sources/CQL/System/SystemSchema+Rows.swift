// The rows of system_schema.* and system_virtual_schema.*: a schema described in tables. This is where
// drivers learn what there is.

package import Model

extension SystemSchema {
    /// The rows of a table of `system_schema` or `system_virtual_schema`, sorted by key, each in the
    /// order of `SELECT *`. nil for every other table.
    package static func rows(of table: TableSchema, describing schema: SchemaSnapshot)
        -> [SystemRow]?
    {
        switch (table.keyspace, table.name) {
        case ("system_schema", let name):
            return schemaRows(table, name, real(schema))
        case ("system_virtual_schema", let name):
            return virtualRows(table, name, all(schema).filter { isVirtual($0.name) })
        default: return nil
        }
    }

    /// The keyspaces of `schema` and those of ours that it doesn't list, sorted by name.
    package static func all(_ schema: SchemaSnapshot) -> [KeyspaceSchema] {
        let missing = keyspaces.filter { schema.keyspace(named: $0.name) == nil }
        return (schema.keyspaces + missing).sorted { $0.name < $1.name }
    }

    private static func real(_ schema: SchemaSnapshot) -> [KeyspaceSchema] {
        all(schema).filter { !isVirtual($0.name) }
    }

    private static func schemaRows(
        _ table: TableSchema, _ name: String, _ keyspaces: [KeyspaceSchema]
    ) -> [SystemRow]? {
        switch name {
        case "keyspaces":
            return keyspaces.map { keyspace in
                table.systemRow([
                    "keyspace_name": .text(keyspace.name),
                    "durable_writes": .boolean(keyspace.durableWrites),
                    "replication": .textMap(keyspace.replication.map),
                ])
            }
        case "tables":
            return keyspaces.flatMap(\.tables).map { table.systemRow(tableRow($0)) }
        case "columns":
            return keyspaces.flatMap(\.tables).flatMap { columnRows($0, table) }
        case "dropped_columns":
            return keyspaces.flatMap(\.tables).flatMap { droppedRows($0, table) }
        case "types":
            return keyspaces.flatMap(\.types).map { type in
                table.systemRow([
                    "keyspace_name": .text(type.keyspace), "type_name": .text(type.name),
                    "field_names": .textList(type.fields.map(\.name)),
                    "field_types": .textList(type.fields.map(\.type.cqlName)),
                ])
            }
        case "aggregates", "column_masks", "functions", "indexes", "triggers", "views":
            return []
        default: return nil
        }
    }

    private static func virtualRows(
        _ table: TableSchema, _ name: String, _ keyspaces: [KeyspaceSchema]
    ) -> [SystemRow]? {
        switch name {
        case "keyspaces":
            return keyspaces.map { table.systemRow(["keyspace_name": .text($0.name)]) }
        case "tables":
            return keyspaces.flatMap(\.tables).map { described in
                table.systemRow([
                    "keyspace_name": .text(described.keyspace), "table_name": .text(described.name),
                    "comment": .text(described.options.comment),
                ])
            }
        case "columns": return keyspaces.flatMap(\.tables).flatMap { columnRows($0, table) }
        default: return nil
        }
    }

    private static func tableRow(_ table: TableSchema) -> [String: SystemValue] {
        let options = table.options
        return [
            "keyspace_name": .text(table.keyspace),
            "table_name": .text(table.name),
            "additional_write_policy": .text(options.additionalWritePolicy),
            "allow_auto_snapshot": .boolean(options.allowAutoSnapshot),
            "bloom_filter_fp_chance": .double(options.bloomFilterFalsePositiveChance),
            "caching": .textMap(options.caching),
            "cdc": .boolean(options.cdc),
            "comment": .text(options.comment),
            "compaction": .textMap(options.compaction),
            "compression": .textMap(options.compression),
            "crc_check_chance": .double(options.crcCheckChance),
            "dclocal_read_repair_chance": .double(0),
            "default_time_to_live": .int(options.defaultTimeToLive),
            "extensions": .blobMap(options.extensions),
            "flags": .textSet(flags(of: table)),
            "gc_grace_seconds": .int(options.gcGraceSeconds),
            "id": .uuid(table.id.value),
            "incremental_backups": .boolean(options.incrementalBackups),
            "max_index_interval": .int(options.maxIndexInterval),
            "memtable": .text(options.memtable),
            "memtable_flush_period_in_ms": .int(options.memtableFlushPeriodMilliseconds),
            "min_index_interval": .int(options.minIndexInterval),
            "read_repair": .text(options.readRepair),
            "read_repair_chance": .double(0),
            "speculative_retry": .text(options.speculativeRetry),
        ]
    }

    /// As drivers read the shape of a table.
    private static func flags(of table: TableSchema) -> [String] {
        let shape =
            switch table.compact {
            case nil: ["compound"]
            case .static: [String]()
            case .dense: ["dense"]
            case .compound: ["compound", "dense"]
            }
        return (shape + (table.isCounter ? ["counter"] : [])).sorted()
    }

    private static func columnRows(_ described: TableSchema, _ table: TableSchema) -> [SystemRow] {
        described.allColumns.sorted { bytesPrecede($0.name, $1.name) }.map { column in
            let kind: String
            var position: Int32 = -1
            var order = "none"
            switch column.kind {
            case .partitionKey(let place):
                kind = "partition_key"
                position = Int32(place)
            case .clustering(let place, let direction):
                kind = "clustering"
                position = Int32(place)
                order = direction == .ascending ? "asc" : "desc"
            case .static: kind = "static"
            case .regular: kind = "regular"
            }
            return table.systemRow([
                "keyspace_name": .text(described.keyspace),
                "table_name": .text(described.name),
                "column_name": .text(column.name),
                "clustering_order": .text(order),
                "column_name_bytes": .blob(Array(column.name.utf8)),
                "kind": .text(kind),
                "position": .int(position),
                "type": .text(
                    column.type == CompactStorage.emptyType ? "empty" : column.type.cqlName),
            ])
        }
    }

    private static func droppedRows(_ described: TableSchema, _ table: TableSchema) -> [SystemRow] {
        described.latestDropped.sorted { bytesPrecede($0.column.name, $1.column.name) }.map {
            dropped in
            table.systemRow([
                "keyspace_name": .text(described.keyspace),
                "table_name": .text(described.name),
                "column_name": .text(dropped.column.name),
                "dropped_time": .timestamp(dropped.droppedAt / 1_000),
                "kind": .text(dropped.column.isStatic ? "static" : "regular"),
                "type": .text(dropped.column.type.withoutUserTypes.cqlName),
            ])
        }
    }

    private static func bytesPrecede(_ left: String, _ right: String) -> Bool {
        left.utf8.lexicographicallyPrecedes(right.utf8)
    }
}

extension ReplicationParameters {
    /// The options with the class among them, as `system_schema.keyspaces` shows them.
    package var map: [String: String] {
        options.merging(["class": strategyClass]) { own, _ in own }
    }
}

extension TableSchema {
    /// The newest record of each dropped column's name, sorted by name. Their types name no user-defined
    /// ones, which may be gone since.
    var latestDropped: [DroppedColumn] {
        var newest: [String: DroppedColumn] = [:]
        for record in dropped {
            if let other = newest[record.column.name], other.droppedAt >= record.droppedAt {
                continue
            }
            newest[record.column.name] = record
        }
        return newest.values.map { record in
            let column = record.column
            return DroppedColumn(
                column: ColumnSchema(
                    id: column.id, name: column.name, type: column.type.expanded,
                    kind: column.kind),
                droppedAt: record.droppedAt)
        }.sorted { $0.column.name < $1.column.name }
    }
}
