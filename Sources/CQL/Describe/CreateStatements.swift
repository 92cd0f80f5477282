// CREATE statements of what a schema holds, in the layout of Cassandra 5.0, which cqlsh prints as it is.
//
// **Invariant.** A statement that this makes, given to the parser again, makes an equal element (system
// views excepted, which are shown in comments).

internal import Encoding
package import Model

/// Writes elements of a schema as the statements that create them.
package enum CreateStatements {
    // MARK: Keyspaces and types

    /// `CREATE KEYSPACE …`
    package static func keyspace(_ keyspace: KeyspaceSchema) -> String {
        let name = Identifier.quoted(keyspace.name)
        guard !SystemSchema.isVirtual(keyspace.name) else {
            return """
                /*
                Warning: Keyspace \(name) is a virtual keyspace and cannot be recreated with CQL.
                Structure, for reference:
                VIRTUAL KEYSPACE \(name);
                */
                """
        }
        let fullClass = keyspace.replication.strategyClass
        let shortClass =
            fullClass.hasPrefix(KeyspaceProperties.locatorPackage)
            ? String(fullClass.dropFirst(KeyspaceProperties.locatorPackage.count)) : fullClass
        var replication = "{'class': \(Identifier.literal(shortClass))"
        for (key, value) in keyspace.replication.options.sorted(by: { $0.key < $1.key }) {
            replication += ", \(Identifier.literal(key)): \(Identifier.literal(value))"
        }
        return "CREATE KEYSPACE \(name) WITH replication = \(replication)}"
            + "  AND durable_writes = \(keyspace.durableWrites);"
    }

    /// `CREATE TYPE …`
    package static func type(_ type: UserDefinedType) -> String {
        let fields = type.fields.map { "    \(Identifier.quoted($0.name)) \($0.type.cqlName)" }
        return "CREATE TYPE \(qualified(type.keyspace, type.name)) (\n"
            + fields.joined(separator: ",\n") + "\n);"
    }

    private static func qualified(_ keyspace: String, _ name: String) -> String {
        Identifier.quoted(keyspace) + "." + Identifier.quoted(name)
    }

    // MARK: Tables

    /// `CREATE TABLE …`; with internals also its id and what was dropped from it.
    package static func table(_ table: TableSchema, withInternals: Bool = false) -> String {
        let name = qualified(table.keyspace, table.name)
        let isVirtual = SystemSchema.isVirtual(table.keyspace)
        var text = ""
        if isVirtual {
            text += """
                /*
                Warning: Table \(name) is a virtual table and cannot be recreated with CQL.
                Structure, for reference:
                VIRTUAL
                """
        } else {
            text += "CREATE"
        }
        text += " TABLE \(name) (\n"
        text += columnLines(table, withInternals: withInternals).joined(separator: ",\n")
        text += "\n) WITH "
        text += optionLines(table, withInternals: withInternals, isVirtual: isVirtual)
            .joined(separator: "\n    AND ")
        text += ";"
        if isVirtual { text += "\n*/" }
        return withInternals ? text + droppedStatements(table, name) : text
    }

    private static func definition(_ column: ColumnSchema, _ table: TableSchema) -> String {
        definition(column.name, column, table)
    }

    private static func definition(
        _ name: String, _ column: ColumnSchema, _ table: TableSchema
    ) -> String {
        // Those of a compact table were not declared so.
        let isStatic = column.isStatic && table.compact == nil
        return
            "\(Identifier.quoted(name)) \(column.type.cqlName)" + (isStatic ? " static" : "")
    }

    /// The name that a column is created with. A column of the key may have been given the name of one
    /// that was dropped: it is created with a free one, and renamed once that is gone.
    private static func createdName(_ column: ColumnSchema, _ table: TableSchema) -> String {
        let dropped = table.latestDropped.map(\.column.name)
        guard dropped.contains(column.name) else { return column.name }
        let taken = Set(dropped + table.allColumns.map(\.name))
        var name = column.name + "_"
        while taken.contains(name) { name += "_" }
        return name
    }

    /// The key, then static columns, then others, and of both kinds those of several cells last: the order that
    /// Cassandra writes, where SELECT * has all of a kind by name.
    private static func inOrderOfCreation(_ columns: [ColumnSchema]) -> [ColumnSchema] {
        func place(_ column: ColumnSchema) -> Int {
            if column.isPrimaryKey { return 0 }
            return (column.kind == .static ? 1 : 3) + (column.type.isMultiCell ? 1 : 0)
        }
        return columns.enumerated().sorted {
            (place($0.element), $0.offset) < (place($1.element), $1.offset)
        }.map(\.element)
    }

    private static func columnLines(_ table: TableSchema, withInternals: Bool) -> [String] {
        let dropped = withInternals ? table.latestDropped : []
        let clustering = table.visibleClustering
        let isSingleKey = table.partitionKey.count == 1 && clustering.isEmpty
        func name(_ column: ColumnSchema) -> String {
            withInternals ? createdName(column, table) : column.name
        }
        var lines: [String] = []
        for column in inOrderOfCreation(table.visibleColumns) {
            // A column that came back is added by its own statement after the drop.
            if !column.isPrimaryKey, dropped.contains(where: { $0.column.name == column.name }) {
                continue
            }
            var line =
                "    "
                + definition(
                    column.isPrimaryKey ? name(column) : column.name, column, table)
            if isSingleKey, column.isPrimaryKey { line += " PRIMARY KEY" }
            lines.append(line)
        }
        for record in dropped { lines.append("    " + definition(record.column, table)) }
        guard !isSingleKey else { return lines }
        let partition = table.partitionKey.map { Identifier.quoted(name($0)) }
        let first =
            partition.count == 1 ? partition[0] : "(" + partition.joined(separator: ", ") + ")"
        let key = [first] + clustering.map { Identifier.quoted(name($0)) }
        lines.append("    PRIMARY KEY (" + key.joined(separator: ", ") + ")")
        return lines
    }

    private static func optionLines(
        _ table: TableSchema, withInternals: Bool, isVirtual: Bool
    ) -> [String] {
        var lines: [String] = []
        if table.compact != nil { lines.append("COMPACT STORAGE") }
        if withInternals { lines.append("ID = \(table.id)") }
        if !table.visibleClustering.isEmpty {
            let orders = zip(table.clustering, table.clusteringOrders).map { column, order in
                let name = withInternals ? createdName(column, table) : column.name
                return "\(Identifier.quoted(name)) \(order == .ascending ? "ASC" : "DESC")"
            }
            lines.append("CLUSTERING ORDER BY (\(orders.joined(separator: ", ")))")
        }
        let options = table.options
        if isVirtual { return lines + ["comment = \(Identifier.literal(options.comment))"] }
        lines += [
            "additional_write_policy = \(Identifier.literal(options.additionalWritePolicy))",
            "allow_auto_snapshot = \(options.allowAutoSnapshot)",
            "bloom_filter_fp_chance = \(JavaText.double(options.bloomFilterFalsePositiveChance))",
            "caching = \(map(options.caching))",
            "cdc = \(options.cdc)",
            "comment = \(Identifier.literal(options.comment))",
            "compaction = \(map(options.compaction))",
            "compression = \(map(options.compression))",
            "memtable = \(Identifier.literal(options.memtable))",
            "crc_check_chance = \(JavaText.double(options.crcCheckChance))",
            "default_time_to_live = \(options.defaultTimeToLive)",
            "extensions = \(extensions(options.extensions))",
            "gc_grace_seconds = \(options.gcGraceSeconds)",
            "incremental_backups = \(options.incrementalBackups)",
            "max_index_interval = \(options.maxIndexInterval)",
            "memtable_flush_period_in_ms = \(options.memtableFlushPeriodMilliseconds)",
            "min_index_interval = \(options.minIndexInterval)",
            "read_repair = \(Identifier.literal(options.readRepair))",
            "speculative_retry = \(Identifier.literal(options.speculativeRetry))",
        ]
        // Not one of Cassandra's options: shown only where it was given.
        if options.tombstoneGC != TombstoneGC() {
            lines.append("tombstone_gc = \(map(options.tombstoneGC.map))")
        }
        return lines
    }

    private static func map(_ map: [String: String]) -> String {
        let entries = map.sorted { $0.key < $1.key }
            .map { "\(Identifier.literal($0.key)): \(Identifier.literal($0.value))" }
        return "{" + entries.joined(separator: ", ") + "}"
    }

    private static func extensions(_ map: [String: [UInt8]]) -> String {
        let entries = map.sorted { $0.key < $1.key }
            .map { "\(Identifier.literal($0.key)): 0x\(HexText.text($0.value))" }
        return "{" + entries.joined(separator: ", ") + "}"
    }

    private static func droppedStatements(_ table: TableSchema, _ name: String) -> String {
        var text = ""
        for record in table.latestDropped {
            let column = Identifier.quoted(record.column.name)
            text += "\nALTER TABLE \(name) DROP \(column) USING TIMESTAMP \(record.droppedAt);"
            if let again = table.column(named: record.column.name), !again.isPrimaryKey {
                text += "\nALTER TABLE \(name) ADD \(definition(again, table));"
            }
        }
        for column in table.partitionKey + table.clustering {
            let created = createdName(column, table)
            guard created != column.name else { continue }
            text +=
                "\nALTER TABLE \(name) RENAME \(Identifier.quoted(created)) TO "
                + Identifier.quoted(column.name) + ";"
        }
        return text
    }
}
