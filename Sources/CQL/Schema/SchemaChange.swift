// DDL: a statement, and what it makes of a schema.
//
// A `SchemaChange` is the statement with its keyspace known. It is judged only when it is applied to a
// snapshot, and that gives a plain value: the keyspace as it is afterwards, or that it is gone. So one
// change can be applied again to a newer snapshot when another change came first.
//
// Ids and times are the caller's: `apply` takes the id for a new table and the time of a drop.

package import Model

/// What clients that registered for it are told (native protocol specification, SCHEMA_CHANGE).
package struct SchemaChangeEvent: Equatable, Sendable {
    package enum Change: String, Sendable {
        case created = "CREATED"
        case updated = "UPDATED"
        case dropped = "DROPPED"
    }

    package enum Target: String, Sendable {
        case keyspace = "KEYSPACE"
        case table = "TABLE"
        case type = "TYPE"
    }

    package let change: Change
    package let target: Target
    package let keyspace: String
    /// Empty for a keyspace.
    package let name: String
}

/// What a change made of a schema.
package struct SchemaChangeOutcome: Sendable {
    package enum Effect: Sendable {
        /// `IF [NOT] EXISTS` found nothing to do.
        case nothing
        /// The keyspace as it is now.
        case put(KeyspaceSchema)
        case dropKeyspace(String)
    }

    package let effect: Effect
    /// nil when nothing changed.
    package let event: SchemaChangeEvent?

    static let nothing = SchemaChangeOutcome(effect: .nothing, event: nil)
}

/// A DDL statement that is ready to be applied.
package struct SchemaChange: Sendable {
    /// The keyspace that it changes.
    package let keyspace: String
    package let statement: Statement
    /// The datacenters that `replication_factor` expands to; empty if not known.
    package let datacenters: [String]

    /// Whether `apply` needs an id for a new table.
    package var createsTable: Bool {
        if case .createTable = statement { true } else { false }
    }

    /// What the statement makes of `schema`. `tableID` is for a new table, unless the statement names
    /// one; `timestamp` is in microseconds since 1970, for dropped columns.
    package func apply(
        to schema: SchemaSnapshot, tableID: TableID, timestamp: Int64
    ) throws(CQLError) -> SchemaChangeOutcome {
        if SystemSchema.isProtected(keyspace) {
            // Who may make keyspaces may make any; the others are held against the keyspace's protection.
            guard case .createKeyspace = statement else {
                throw .unauthorized("\(keyspace) keyspace is not user-modifiable.")
            }
            throw .invalid("System keyspace '\(keyspace)' is not user-modifiable")
        }
        if SystemSchema.isReplicated(keyspace) { try checkReplicatedSystem() }
        switch statement {
        case .createKeyspace(let name, let ifNotExists, let properties):
            return try createKeyspace(name, ifNotExists, properties, schema)
        case .alterKeyspace(let name, let ifExists, let properties):
            return try alterKeyspace(name, ifExists, properties, schema)
        case .dropKeyspace(let name, let ifExists):
            guard schema.keyspace(named: name) != nil else {
                if ifExists { return .nothing }
                throw Self.missingKeyspace(name)
            }
            return SchemaChangeOutcome(
                effect: .dropKeyspace(name), event: event(.dropped, .keyspace, ""))
        case .createTable(let syntax): return try createTable(syntax, schema, tableID)
        case .alterTable(let syntax): return try alterTable(syntax, schema, timestamp)
        case .dropTable(let name, let ifExists): return try dropTable(name, ifExists, schema)
        case .createType(let name, let ifNotExists, let fields):
            return try createType(name, ifNotExists, fields, schema)
        case .alterType(let syntax): return try alterType(syntax, schema)
        case .dropType(let name, let ifExists): return try dropType(name, ifExists, schema)
        // There is none of its kind, and the statement says that this is well.
        case .dropAbsent: return .nothing
        default: throw .invalid("The statement does not change the schema")
        }
    }

    /// Of the system's replicated keyspaces only the replication may be altered.
    private func checkReplicatedSystem() throws(CQLError) {
        switch statement {
        case .createKeyspace(_, let ifNotExists, _):
            guard !ifNotExists else { return }
            throw .alreadyExists(
                "Cannot add existing keyspace \"\(keyspace)\"", keyspace: keyspace, table: "")
        case .alterKeyspace: return
        default:
            guard let (permission, resource) = neededPermission else { return }
            throw .unauthorized("Cannot \(permission.names.joined()) \(resource)")
        }
    }

    /// What a client must be permitted for it.
    package var neededPermission: (permission: PermissionSet, on: Resource)? {
        switch statement {
        case .createKeyspace: (.create, .allKeyspaces)
        case .alterKeyspace, .alterType: (.alter, .keyspace(keyspace))
        case .dropKeyspace, .dropType, .dropAbsent: (.drop, .keyspace(keyspace))
        case .createTable: (.create, .allTables(keyspace))
        case .alterTable(let syntax): (.alter, .table(keyspace, syntax.name.name))
        case .dropTable(let name, _): (.drop, .table(keyspace, name.name))
        case .createType: (.create, .keyspace(keyspace))
        default: nil
        }
    }

    // MARK: Shared

    static func missingKeyspace(_ name: String) -> CQLError {
        .invalid("Keyspace '\(name)' doesn't exist")
    }

    func event(
        _ change: SchemaChangeEvent.Change, _ target: SchemaChangeEvent.Target, _ name: String
    ) -> SchemaChangeEvent {
        SchemaChangeEvent(change: change, target: target, keyspace: keyspace, name: name)
    }

    func put(
        _ keyspace: KeyspaceSchema, _ event: SchemaChangeEvent
    ) -> SchemaChangeOutcome {
        SchemaChangeOutcome(effect: .put(keyspace), event: event)
    }

    func existingKeyspace(_ schema: SchemaSnapshot) throws(CQLError) -> KeyspaceSchema {
        guard let found = schema.keyspace(named: keyspace) else {
            throw Self.missingKeyspace(keyspace)
        }
        return found
    }

    /// The longest name of a table: with 32 digits behind it, it may still name a folder.
    private static let longestTableName = 222

    /// Names stand in the names of files and folders, so they are plain.
    private static func isPlain(_ name: String) -> Bool {
        !name.isEmpty
            && name.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
                    true
                default: false
                }
            }
    }

    private static func checkKeyspaceName(_ name: String) throws(CQLError) {
        guard isPlain(name), name.utf8.count <= 48 else {
            throw .invalid(
                "Keyspace name must not be empty, more than 48 characters long, or contain"
                    + " non-alphanumeric-underscore characters (got '\(name)')")
        }
    }

    static func checkTableName(_ name: String) throws(CQLError) {
        guard isPlain(name) else {
            throw .configuration(
                "Table name must not be empty or contain non-alphanumeric-underscore characters"
                    + " (got \"\(name)\")")
        }
        guard name.utf8.count <= longestTableName else {
            throw .invalid(
                "Table name must not be more than \(longestTableName) characters long (got"
                    + " \(name.utf8.count) characters for \"\(name)\")")
        }
    }

    // MARK: Keyspaces

    private func createKeyspace(
        _ name: String, _ ifNotExists: Bool, _ properties: [Property], _ schema: SchemaSnapshot
    ) throws(CQLError) -> SchemaChangeOutcome {
        try Self.checkKeyspaceName(name)
        try KeyspaceProperties.checkNames(properties)
        guard schema.keyspace(named: name) == nil, !SystemSchema.isReplicated(name) else {
            if ifNotExists { return .nothing }
            throw .alreadyExists(
                "Cannot add existing keyspace \"\(name)\"", keyspace: name, table: "")
        }
        let values = try KeyspaceProperties(
            properties, keyspace: name, datacenters: datacenters)
        guard let replication = values.replication else {
            throw .configuration("Missing mandatory option 'replication'")
        }
        let created = KeyspaceSchema(
            name: name, replication: replication, durableWrites: values.durableWrites ?? true)
        return put(created, event(.created, .keyspace, ""))
    }

    private func alterKeyspace(
        _ name: String, _ ifExists: Bool, _ properties: [Property], _ schema: SchemaSnapshot
    ) throws(CQLError) -> SchemaChangeOutcome {
        guard let existing = schema.keyspace(named: name) ?? Self.systemKeyspace(name) else {
            if ifExists { return .nothing }
            throw Self.missingKeyspace(name)
        }
        let values = try KeyspaceProperties(
            properties, keyspace: name, datacenters: datacenters)
        let altered = KeyspaceSchema(
            name: name, replication: values.replication ?? existing.replication,
            durableWrites: values.durableWrites ?? existing.durableWrites,
            tables: existing.tables, types: existing.types)
        return put(altered, event(.updated, .keyspace, ""))
    }

    /// A replicated keyspace of the system as it is until it is altered. What is agreed of it is its
    /// parameters: its tables are every node's own knowledge.
    private static func systemKeyspace(_ name: String) -> KeyspaceSchema? {
        SystemSchema.isReplicated(name)
            ? SystemSchema.keyspace(named: name)?.with(tables: []) : nil
    }

    // MARK: Types

    private func createType(
        _ name: QualifiedName, _ ifNotExists: Bool, _ fields: [FieldSyntax],
        _ schema: SchemaSnapshot
    ) throws(CQLError) -> SchemaChangeOutcome {
        let existing = try existingKeyspace(schema)
        guard existing.type(named: name.name) == nil else {
            if ifNotExists { return .nothing }
            throw .invalid("A user type with name '\(name.name)' already exists")
        }
        let resolution = TypeResolution(keyspace: keyspace, types: existing.types)
        var resolved: [UserDefinedType.Field] = []
        for field in fields {
            guard !resolved.contains(where: { $0.name == field.name }) else {
                throw .invalid("Duplicate field name '\(field.name)' in type '\(name.name)'")
            }
            resolved.append(try self.field(field, resolution))
        }
        let type = UserDefinedType(keyspace: keyspace, name: name.name, fields: resolved)
        try TypeResolution.checkDepth(.userDefined(type, frozen: true))
        return put(existing.with(types: existing.types + [type]), event(.created, .type, name.name))
    }

    private func field(
        _ field: FieldSyntax, _ resolution: TypeResolution
    ) throws(CQLError) -> UserDefinedType.Field {
        let type = try resolution.resolve(field.type)
        guard type != .counter else {
            throw .invalid("A user type cannot contain counters")
        }
        if case .userDefined = type, type.isMultiCell {
            throw .invalid("A user type cannot contain non-frozen UDTs")
        }
        return UserDefinedType.Field(name: field.name, type: type)
    }

    private func alterType(
        _ syntax: AlterTypeSyntax, _ schema: SchemaSnapshot
    ) throws(CQLError) -> SchemaChangeOutcome {
        let name = syntax.name.name
        guard let existing = schema.keyspace(named: keyspace),
            let type = existing.type(named: name)
        else {
            if syntax.ifExists { return .nothing }
            throw .invalid("Type '\(keyspace).\(name)' doesn't exist")
        }
        var fields = type.fields
        switch syntax.change {
        case .alter: throw .invalid("Altering field types is no longer supported")
        case .add(let added, let ifNotExists):
            guard !fields.contains(where: { $0.name == added.name }) else {
                if ifNotExists { return .nothing }
                throw .invalid(
                    "Cannot add field \(added.name) to type \(keyspace).\(name): a field with name"
                        + " \(added.name) already exists")
            }
            let resolution = TypeResolution(keyspace: keyspace, types: existing.types)
            let field = try self.field(added, resolution)
            guard !field.type.mentions(keyspace: keyspace, type: name) else {
                throw .invalid(
                    "Cannot add new field \(added.name) of type \(field.type.cqlName) to user type"
                        + " \(keyspace).\(name) as it would create a circular reference")
            }
            try checkPartitionKeys(existing, added.name, field.type, name)
            fields.append(field)
        case .rename(let renamings, let ifExists):
            for renaming in renamings {
                guard let index = fields.firstIndex(where: { $0.name == renaming.from }) else {
                    if ifExists { continue }
                    throw .invalid(
                        "Unknown field \(renaming.from) in user type \(keyspace).\(name)")
                }
                fields[index] = UserDefinedType.Field(name: renaming.to, type: fields[index].type)
            }
            for (place, field) in fields.enumerated()
            where fields[..<place].contains(where: { $0.name == field.name }) {
                throw .invalid("Duplicate field name \(field.name) in type \(keyspace).\(name)")
            }
        }
        let changed = UserDefinedType(keyspace: keyspace, name: name, fields: fields)
        let altered = KeyspaceSchema(
            name: existing.name, replication: existing.replication,
            durableWrites: existing.durableWrites,
            tables: existing.tables.map { $0.replacing(changed) },
            types: existing.types.map { $0.name == name ? changed : $0.replacing(changed) })
        for type in altered.types {
            try TypeResolution.checkDepth(.userDefined(type, frozen: true))
        }
        for column in altered.tables.flatMap(\.allColumns) {
            try TypeResolution.checkDepth(column.type)
        }
        return put(altered, event(.updated, .type, name))
    }

    /// A field more would give the keys that are written other bytes, and other tokens.
    private func checkPartitionKeys(
        _ existing: KeyspaceSchema, _ field: String, _ fieldType: CQLType, _ name: String
    ) throws(CQLError) {
        let tables = existing.tables.filter { table in
            table.partitionKey.contains { $0.type.mentions(keyspace: keyspace, type: name) }
        }
        guard tables.isEmpty else {
            throw .invalid(
                "Cannot add new field \(field) of type \(fieldType.cqlName) to user type"
                    + " \(keyspace).\(name) as the type is being used in partition key by the following"
                    + " tables: \(tables.map { "\(keyspace).\($0.name)" }.joined(separator: ", "))")
        }
    }

    private func dropType(
        _ name: QualifiedName, _ ifExists: Bool, _ schema: SchemaSnapshot
    ) throws(CQLError) -> SchemaChangeOutcome {
        let name = name.name
        guard let existing = schema.keyspace(named: keyspace), existing.type(named: name) != nil
        else {
            if ifExists { return .nothing }
            throw .invalid("Type '\(keyspace).\(name)' doesn't exist")
        }
        let otherTypes = existing.types.filter { other in
            other.name != name
                && other.fields.contains { $0.type.mentions(keyspace: keyspace, type: name) }
        }
        guard otherTypes.isEmpty else {
            throw .invalid(
                "Cannot drop user type '\(keyspace).\(name)' as it is still used by user types "
                    + otherTypes.map(\.name).joined(separator: ", "))
        }
        let tables = existing.tables.filter { table in
            table.allColumns.contains { $0.type.mentions(keyspace: keyspace, type: name) }
        }
        guard tables.isEmpty else {
            throw .invalid(
                "Cannot drop user type '\(keyspace).\(name)' as it is still used by tables "
                    + tables.map(\.name).joined(separator: ", "))
        }
        let left = existing.types.filter { $0.name != name }
        return put(existing.with(types: left), event(.dropped, .type, name))
    }
}

extension KeyspaceSchema {
    func with(tables: [TableSchema]) -> KeyspaceSchema {
        KeyspaceSchema(
            name: name, replication: replication, durableWrites: durableWrites, tables: tables,
            types: types)
    }

    func with(types: [UserDefinedType]) -> KeyspaceSchema {
        KeyspaceSchema(
            name: name, replication: replication, durableWrites: durableWrites, tables: tables,
            types: types)
    }
}

extension TableSchema {
    /// The table with every use of the user-defined type of that name replaced; itself if unchanged.
    func replacing(_ type: UserDefinedType) -> TableSchema {
        guard
            allColumns.contains(where: {
                $0.type.mentions(keyspace: type.keyspace, type: type.name)
            })
        else { return self }
        return with(
            columns: allColumns.map { column in
                ColumnSchema(
                    id: column.id, name: column.name, type: column.type.replacing(type),
                    kind: column.kind)
            })
    }

    func with(
        columns: [ColumnSchema]? = nil, dropped: [DroppedColumn]? = nil,
        options: TableOptions? = nil, nextColumnID: UInt32? = nil
    ) -> TableSchema {
        TableSchema(
            id: id, keyspace: keyspace, name: name, columns: columns ?? allColumns,
            dropped: dropped ?? self.dropped, options: options ?? self.options, compact: compact,
            nextColumnID: nextColumnID ?? self.nextColumnID)
    }
}
