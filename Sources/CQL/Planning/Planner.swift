// From syntax to plans: names are looked up in one schema snapshot, types are settled, and what is not
// allowed is refused in Cassandra's words. What cannot be executed yet is refused by its name.

package import Model

/// Plans statements against a schema.
package struct Planner {
    let schema: SchemaSnapshot
    /// The keyspace in use.
    let keyspace: String?
    let datacenters: [String]
    /// Whether the statement is the node's own, which alone may write the tables of the system.
    let isOwn: Bool

    /// The plan of a parsed statement. `keyspace` is the one in use, for tables that are named without
    /// one; `datacenters` are those of the cluster, for `replication_factor`, empty if not known.
    package static func plan(
        _ parsed: ParsedStatement, schema: SchemaSnapshot, keyspace: String?,
        datacenters: [String] = [], isOwn: Bool = false
    ) throws(CQLError) -> PreparedPlan {
        let planner = Planner(
            schema: schema, keyspace: keyspace, datacenters: datacenters, isOwn: isOwn)
        return try planner.plan(parsed)
    }

    private func plan(_ parsed: ParsedStatement) throws(CQLError) -> PreparedPlan {
        switch parsed.statement {
        case .select(let syntax): return try planSelect(syntax, parsed.bindMarkers)
        case .insert, .update, .delete:
            return try planModification(parsed.statement, parsed.bindMarkers)
        case .batch(let syntax): return try planBatch(syntax, parsed.bindMarkers)
        case .use(let name):
            guard find(keyspace: name) != nil else {
                throw .invalid("Keyspace '\(name)' does not exist")
            }
            return try withoutMarkers(.use(name), parsed)
        case .truncate(let name):
            let table = try table(name)
            guard !SystemSchema.isVirtual(table.keyspace) else {
                throw .invalid(
                    "Truncation is not supported by table \(table.keyspace).\(table.name)")
            }
            try checkWritable(table)
            return try withoutMarkers(.truncate(table), parsed, tableID: table.id)
        case .createKeyspace(let name, _, _), .alterKeyspace(let name, _, _),
            .dropKeyspace(let name, _):
            return try schemaChange(name, parsed)
        case .createTable(let syntax): return try schemaChange(keyspaceName(syntax.name), parsed)
        case .alterTable(let syntax): return try schemaChange(keyspaceName(syntax.name), parsed)
        case .dropTable(let name, _): return try schemaChange(keyspaceName(name), parsed)
        case .createType(let name, _, _): return try schemaChange(keyspaceName(name), parsed)
        case .alterType(let syntax): return try schemaChange(keyspaceName(syntax.name), parsed)
        case .dropType(let name, _), .dropAbsent(let name):
            return try schemaChange(keyspaceName(name), parsed)
        case .describe(let syntax):
            let request = DescribeRequest(
                subject: syntax.subject, withInternals: syntax.withInternals, keyspace: keyspace)
            return PreparedPlan(
                plan: .describe(request), bindMarkers: [], partitionKeyBindIndexes: [],
                resultColumns: request.resultColumns, tableID: nil, epoch: schema.epoch)
        case .roles(let statement): return try planRoles(statement, parsed)
        case .unsupported(let name): throw .invalid("\(name) is not supported by Coterie yet")
        }
    }

    /// A table that is named without its keyspace is one of the keyspace in use.
    private func planRoles(
        _ statement: RoleStatement, _ parsed: ParsedStatement
    ) throws(CQLError) -> PreparedPlan {
        guard parsed.bindMarkers.isEmpty else {
            throw .invalid("Bind variables are not supported in this statement")
        }
        var statement = statement
        if case .table("", let name) = statement.resource {
            let keyspace = try keyspaceName(QualifiedName(keyspace: nil, name: name))
            statement = statement.with(.table(keyspace, name))
        }
        return PreparedPlan(
            plan: .roles(statement), bindMarkers: [], partitionKeyBindIndexes: [],
            resultColumns: statement.resultColumns, tableID: nil, epoch: schema.epoch)
    }

    private func schemaChange(
        _ keyspace: String, _ parsed: ParsedStatement
    ) throws(CQLError) -> PreparedPlan {
        let change = SchemaChange(
            keyspace: keyspace, statement: parsed.statement, datacenters: datacenters)
        return try withoutMarkers(.schemaChange(change), parsed)
    }

    private func withoutMarkers(
        _ plan: Plan, _ parsed: ParsedStatement, tableID: TableID? = nil
    ) throws(CQLError) -> PreparedPlan {
        guard parsed.bindMarkers.isEmpty else {
            throw .invalid("Bind variables are not supported in this statement")
        }
        return PreparedPlan(
            plan: plan, bindMarkers: [], partitionKeyBindIndexes: [], resultColumns: [],
            tableID: tableID, epoch: schema.epoch)
    }

    // MARK: Names

    func keyspaceName(_ name: QualifiedName) throws(CQLError) -> String {
        guard let keyspace = name.keyspace ?? keyspace else {
            throw .invalid(
                "No keyspace has been specified. USE a keyspace, or explicitly specify"
                    + " keyspace.tablename")
        }
        return keyspace
    }

    func find(keyspace name: String) -> KeyspaceSchema? {
        schema.keyspace(named: name) ?? SystemSchema.keyspace(named: name)
    }

    func table(_ name: QualifiedName) throws(CQLError) -> TableSchema {
        let keyspaceName = try keyspaceName(name)
        guard let keyspace = find(keyspace: keyspaceName) else {
            throw .invalid("keyspace \(keyspaceName) does not exist")
        }
        guard let table = keyspace.table(named: name.name) else {
            throw .invalid("table \(name.name) does not exist")
        }
        return table
    }

    func checkWritable(_ table: TableSchema) throws(CQLError) {
        guard isOwn || !SystemSchema.isProtected(table.keyspace) else {
            throw .unauthorized("\(table.keyspace) keyspace is not user-modifiable.")
        }
    }

    func compiler(_ table: TableSchema, _ markers: [String?]) -> TermCompiler {
        var compiler = TermCompiler(
            keyspace: table.keyspace, table: table.name,
            types: find(keyspace: table.keyspace)?.types ?? [], markerNames: markers)
        compiler.partitionKey = table.partitionKey.map(\.type)
        return compiler
    }

    /// USING TIMEOUT with its marker.
    func timeout(
        _ term: Term?, _ compiler: inout TermCompiler
    ) throws(CQLError) -> PlannedTimeout? {
        guard let term else { return nil }
        let timeout = PlannedTimeout(
            term: try compiler.compile(term, as: .duration, for: "[timeout]"))
        if timeout.term.isConstant { _ = try timeout.nanoseconds(BoundValues()) }
        return timeout
    }

    /// The markers that hold the whole partition key; empty if it isn't all bound.
    static func partitionKeyIndexes(_ restriction: PartitionRestriction) -> [Int] {
        guard case .keys(let keys) = restriction else { return [] }
        var indexes: [Int] = []
        for key in keys {
            guard case .equal(.marker(let index, _)) = key else { return [] }
            indexes.append(index)
        }
        return indexes
    }

    /// Every marker's meaning; each is met exactly once by then.
    static func specifications(_ compiler: TermCompiler) throws(CQLError) -> [ColumnSpecification] {
        var result: [ColumnSpecification] = []
        for marker in compiler.markers {
            guard let marker else {
                throw .invalid("A bind variable stands where none is supported")
            }
            result.append(marker)
        }
        return result
    }
}
