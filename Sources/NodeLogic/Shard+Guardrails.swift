// Guardrails: what an operator has clients warned of, or refused. The texts are Cassandra's, because
// programs match them. Statements on system tables are let through, as there.
//
// Cost on a request's path: a comparison for each guardrail that concerns its kind.

internal import CQL
internal import Encoding
internal import Environment
internal import Model
internal import NativeProtocol
internal import Topology

extension Shard {
    private var rails: Configuration.Guardrails { configuration.guardrails }

    private static func violated(
        _ name: String, _ message: String, _ reason: String? = nil
    ) -> String {
        var text = "Guardrail \(name) violated: \(message)"
        if let reason { text += (message.hasSuffix(".") ? " " : ". ") + reason }
        return text
    }

    private func warn(_ client: ClientRequest, _ text: String) {
        if !client.warnings.contains(text) { client.warnings.append(text) }
    }

    /// Refuses what is switched off.
    private func require(
        _ isAllowed: Bool, _ name: String, _ feature: String, _ reason: String? = nil
    ) throws(CQLError) {
        guard isAllowed else {
            throw .invalid(Self.violated(name, feature + " is not allowed", reason))
        }
    }

    /// Warns or refuses when `value` is above a threshold; `text` is given whether it is a warning, and
    /// the threshold.
    private func limit(
        _ value: Int, _ threshold: Configuration.Guardrails.Threshold, _ name: String,
        _ client: ClientRequest, _ text: (Bool, Int) -> String
    ) throws(CQLError) {
        if threshold.fail >= 0, value > threshold.fail {
            throw .invalid(Self.violated(name, text(false, threshold.fail)))
        }
        if threshold.warn >= 0, value > threshold.warn {
            warn(client, Self.violated(name, text(true, threshold.warn)))
        }
    }

    private func check(
        _ values: [String], warned: [String], disallowed: [String], _ name: String, _ what: String,
        _ client: ClientRequest
    ) throws(CQLError) {
        func list(_ words: [String]) -> String { "[" + words.joined(separator: ", ") + "]" }
        let refused = values.filter { disallowed.contains($0) }
        guard refused.isEmpty else {
            throw .invalid(
                Self.violated(
                    name,
                    "Provided values \(list(refused)) are not allowed for \(what) "
                        + "(disallowed values are: \(list(disallowed)))"))
        }
        let noted = values.filter { warned.contains($0) }
        guard !noted.isEmpty else { return }
        warn(
            client,
            Self.violated(
                name,
                "Provided values \(list(noted)) are not recommended for \(what) "
                    + "(warned values are: \(list(warned)))"))
    }

    // MARK: Reading

    /// Judges a select before it is bound to its values.
    func checkSelect(_ select: SelectPlan, _ client: ClientRequest) throws(CQLError) {
        guard !select.isOfSystem else { return }
        if !rails.readLevelsDisallowed.isEmpty || !rails.readLevelsWarned.isEmpty {
            try check(
                ["\(parameters.consistency)"], warned: rails.readLevelsWarned,
                disallowed: rails.readLevelsDisallowed, "read_consistency_levels",
                "read consistency levels", client)
        }
        if select.filters {
            try require(
                rails.allowsFiltering, "allow_filtering", "Querying with ALLOW FILTERING",
                "ALLOW FILTERING can potentially visit all the data in the table and have "
                    + "unpredictable performance.")
        }
        if select.groups {
            try require(rails.allowsGroupBy, "group_by", "GROUP BY functionality")
        }
        if let size = parameters.pageSize, size > 0 {
            try limit(size, rails.pageSize, "page_size", client) { isWarning, threshold in
                isWarning
                    ? "Query for table \(select.subject.name) with page size \(size) exceeds warning "
                        + "threshold of \(threshold)."
                    : "Aborting query for table \(select.subject.name), page size \(size) exceeds fail "
                        + "threshold of \(threshold)."
            }
        }
    }

    /// Judges a select by how many partitions and slices its values name.
    func checkKeys(_ execution: SelectExecution, _ client: ClientRequest) throws(CQLError) {
        let table = execution.plan.subject
        let partitions = execution.partitionCount
        guard partitions > 1 || execution.sliceCount > 1,
            !SystemSchema.isSystem(table.keyspace)
        else { return }
        if partitions > 1 {
            try limit(
                partitions, rails.partitionKeysInSelect, "partition_keys_in_select", client
            ) { isWarning, threshold in
                isWarning
                    ? "Query with partition keys in IN clause on table \(table.name), with number "
                        + "of partition keys \(partitions) exceeds warning threshold of \(threshold)."
                    : "Aborting query with partition keys in IN clause on table \(table.name), "
                        + "number of partition keys \(partitions) exceeds fail threshold of "
                        + "\(threshold)."
            }
        }
        for (what, count) in [
            ("partition key", partitions), ("clustering key", execution.sliceCount),
        ] where count > 1 {
            try limit(
                count, rails.cartesianProduct, "in_select_cartesian_product", client
            ) { isWarning, threshold in
                isWarning
                    ? "The cartesian product of the IN restrictions on \(what) produces \(count) "
                        + "values, this exceeds warning threshold of \(threshold)."
                    : "Aborting query because the cartesian product of the IN restrictions on "
                        + "\(what) produces \(count) values, this exceeds fail threshold of "
                        + "\(threshold)."
            }
        }
    }

    // MARK: Writing

    /// Judges a statement that writes, or one of a batch.
    func checkModification(
        _ plan: ModificationPlan, _ client: ClientRequest
    ) throws(CQLError) {
        guard !plan.isOfSystem else { return }
        if !rails.writeLevelsDisallowed.isEmpty || !rails.writeLevelsWarned.isEmpty {
            try check(
                ["\(parameters.consistency)"], warned: rails.writeLevelsWarned,
                disallowed: rails.writeLevelsDisallowed, "write_consistency_levels",
                "write consistency levels", client)
            if plan.isConditional {
                try check(
                    ["\(parameters.serialConsistency)"], warned: rails.writeLevelsWarned,
                    disallowed: rails.writeLevelsDisallowed, "write_consistency_levels",
                    "write consistency levels", client)
            }
        }
        if !rails.allowsUserTimestamps, plan.statesTimestamp { try refuseTimestamp() }
        if plan.requiresRead {
            try require(
                rails.allowsListReads, "read_before_write_list_operations",
                "List operation requiring read before write")
        }
    }

    func checkBatchTimestamp(_ batch: BatchPlan) throws(CQLError) {
        if !rails.allowsUserTimestamps, batch.statesTimestamp { try refuseTimestamp() }
    }

    private func refuseTimestamp() throws(CQLError) {
        try require(false, "user_timestamps", "User provided timestamps (USING TIMESTAMP)")
    }

    func checkTruncation() throws(CQLError) {
        try require(
            rails.allowsDropTruncateTable, "drop_truncate_table_enabled",
            "DROP and TRUNCATE TABLE functionality")
    }

    // MARK: Schema

    /// Judges a change of the schema by what it would make of the schema as it is now.
    func checkChange(_ change: CQL.SchemaChange, _ client: ClientRequest) throws(CQLError) {
        guard !SystemSchema.isSystem(change.keyspace), let kind = change.kind else { return }
        let options = change.tableOptionNames
        if !options.isEmpty {
            try check(
                options, warned: rails.tablePropertiesWarned,
                disallowed: rails.tablePropertiesDisallowed, "table_properties",
                "Table Properties", client)
        }
        if change.createsCompactStorage {
            try require(
                rails.allowsCompactTables, "compact_tables_enabled",
                "Creation of new COMPACT STORAGE tables")
        }
        guard !change.dropsCompactStorage || configuration.requests.allowsDropCompactStorage else {
            throw .invalid("DROP COMPACT STORAGE is disabled. Enable in cassandra.yaml to use.")
        }
        switch kind {
        case .dropKeyspace:
            try require(
                rails.allowsDropKeyspace, "drop_keyspace_enabled", "DROP KEYSPACE functionality")
        case .dropTable: try checkTruncation()
        case .alterTable(_, columns: true):
            try require(
                rails.allowsAlterTable, "alter_table",
                "User access to ALTER TABLE statement for column mutation")
        default: break
        }
        let outcome: SchemaChangeOutcome
        do throws(CQLError) {
            outcome = try change.apply(
                to: cluster.schema, tableID: TableID(.zero), timestamp: now.wall.microseconds)
        } catch {
            // The change is refused for what it is by whoever makes it.
            return
        }
        guard case .put(let keyspace) = outcome.effect else { return }
        try check(keyspace, kind, client)
    }

    private func check(
        _ keyspace: KeyspaceSchema, _ kind: CQL.SchemaChange.Kind, _ client: ClientRequest
    ) throws(CQLError) {
        let users = cluster.schema.keyspaces.filter { !SystemSchema.isSystem($0.name) }
        switch kind {
        case .createKeyspace(let name):
            try limit(users.count + 1, rails.keyspaces, "keyspaces", client) { isWarning, limit in
                isWarning
                    ? "Creating keyspace \(name), current number of keyspaces \(users.count + 1) "
                        + "exceeds warning threshold of \(limit)."
                    : "Cannot have more than \(limit) keyspaces, aborting the creation of keyspace "
                        + "\(name)"
            }
            try checkReplication(keyspace, client)
        case .alterKeyspace: try checkReplication(keyspace, client)
        case .createTable(let name):
            let count = users.reduce(1) { $0 + $1.tables.count }
            try limit(count, rails.tables, "tables", client) { isWarning, limit in
                isWarning
                    ? "Creating table \(name), current number of tables \(count) exceeds warning "
                        + "threshold of \(limit)."
                    : "Cannot have more than \(limit) tables, aborting the creation of table \(name)"
            }
            try checkTable(name, keyspace, client)
        case .alterTable(let name, _): try checkTable(name, keyspace, client)
        case .putType(let name):
            let count = keyspace.types.first { $0.name == name }?.fields.count ?? 0
            try limit(count, rails.fieldsPerType, "fields_per_udt", client) { isWarning, limit in
                isWarning
                    ? "The user type \(name) has \(count) columns, this exceeds the warning "
                        + "threshold of \(limit)."
                    : "User types cannot have more than \(limit) columns, but \(count) provided for "
                        + "user type \(name)."
            }
        case .dropKeyspace, .dropTable, .dropType: break
        }
    }

    private func checkTable(
        _ name: String, _ keyspace: KeyspaceSchema, _ client: ClientRequest
    ) throws(CQLError) {
        guard let table = keyspace.table(named: name) else { return }
        let count = table.visibleColumns.count
        try limit(count, rails.columnsPerTable, "columns_per_table", client) { isWarning, limit in
            isWarning
                ? "The table \(name) has \(count) columns, this exceeds the warning threshold of "
                    + "\(limit)."
                : "Tables cannot have more than \(limit) columns, but \(count) provided for table "
                    + "\(name)"
        }
        if table.options.compression["enabled"]?.lowercased() == "false"
            || table.options.compression.isEmpty
        {
            try require(
                rails.allowsUncompressedTables, "uncompressed_tables_enabled", "Uncompressed table")
        }
    }

    private func checkReplication(
        _ keyspace: KeyspaceSchema, _ client: ClientRequest
    ) throws(CQLError) {
        let parameters = keyspace.replication
        if parameters.strategyClass.hasSuffix("SimpleStrategy") {
            try require(rails.allowsSimpleStrategy, "simplestrategy", "SimpleStrategy")
        }
        for (_, text) in parameters.options.sorted(by: { $0.key < $1.key }) {
            guard let factor = text.split(separator: "/").first.flatMap({ Int($0) }) else {
                continue
            }
            func sentence(_ side: String, _ isWarning: Bool, _ threshold: Int) -> String {
                "The keyspace \(keyspace.name) has a replication factor of \(factor), \(side) the "
                    + "\(isWarning ? "warning" : "failure") threshold of \(threshold)."
            }
            try limit(
                factor, rails.maximumReplicationFactor, "maximum_replication_factor", client
            ) { sentence("above", $0, $1) }
            let minimum = rails.minimumReplicationFactor
            if minimum.fail >= 0, factor < minimum.fail {
                throw .invalid(
                    Self.violated(
                        "minimum_replication_factor", sentence("below", false, minimum.fail)))
            }
            if minimum.warn >= 0, factor < minimum.warn {
                warn(
                    client,
                    Self.violated(
                        "minimum_replication_factor", sentence("below", true, minimum.warn)))
            }
        }
        warnOfMissingNodes(keyspace, client)
    }

    /// Tells who asks for more replicas than there are nodes. No guardrail: it can't be switched off.
    private func warnOfMissingNodes(_ keyspace: KeyspaceSchema, _ client: ClientRequest) {
        let topology = cluster.topology
        guard !topology.nodes.isEmpty,
            // Parameters that are none were refused before.
            let strategy = try? ReplicationStrategy(keyspace.replication)
        else { return }
        func warn(_ factor: Int, above count: Int, _ place: String) {
            guard factor > count else { return }
            self.warn(
                client,
                "Your replication factor \(factor) for keyspace \(keyspace.name) is higher than the "
                    + "number of nodes \(count)\(place)")
        }
        switch strategy {
        case .simple(let factor): warn(factor, above: topology.nodes.count, "")
        case .networkTopology(let factors):
            for wanted in factors {
                let count = topology.nodes.count { $0.datacenter == wanted.datacenter }
                warn(wanted.factor, above: count, " for datacenter \(wanted.datacenter)")
            }
        case .local: break
        }
    }
}
