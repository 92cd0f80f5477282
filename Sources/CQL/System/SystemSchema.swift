// The keyspaces that every node has: their tables, by the columns that drivers and tools expect.
//
// The tables are written in CQL and read once by this room's own parser. Their ids are name-based as
// Cassandra's are, so they are the same on every node and in every run.

internal import Encoding
package import Model

/// The definitions of system keyspaces.
package enum SystemSchema {
    /// All system keyspaces, sorted by name.
    package static let keyspaces: [KeyspaceSchema] = definitions.map(keyspace)
        .sorted { $0.name < $1.name }

    /// The system keyspace of that name.
    package static func keyspace(named name: String) -> KeyspaceSchema? {
        keyspaces.first { $0.name == name }
    }

    /// The system table of that name.
    package static func table(_ keyspace: String, _ name: String) -> TableSchema? {
        self.keyspace(named: keyspace)?.table(named: name)
    }

    /// Whether no statement may change the keyspace's tables.
    package static func isProtected(_ keyspace: String) -> Bool {
        // Each write asks; the names of most keyspaces begin otherwise.
        guard keyspace.utf8.first == UInt8(ascii: "s") else { return false }
        return keyspace == "system" || keyspace == "system_schema" || isVirtual(keyspace)
    }

    /// Whether the keyspace is one of ours that is replicated like a user's: its replication may be
    /// altered, and nothing else of its schema.
    package static func isReplicated(_ keyspace: String) -> Bool {
        keyspace == "system_auth" || keyspace == "system_distributed"
            || keyspace == "system_traces"
    }

    /// Whether every client may read the table, whatever it was granted: tools rely on it.
    package static func isReadableByAll(_ keyspace: String, _ table: String) -> Bool {
        switch keyspace {
        case "system":
            ["local", "peers", "peers_v2", "size_estimates", "table_estimates"].contains(table)
        case "system_schema", "system_virtual_schema": true
        case "system_traces": ["events", "sessions"].contains(table)
        default: false
        }
    }

    /// Whether the keyspace is only a view of a node's state.
    package static func isVirtual(_ keyspace: String) -> Bool {
        guard keyspace.utf8.first == UInt8(ascii: "s") else { return false }
        return keyspace == "system_virtual_schema" || keyspace == "system_views"
    }

    /// Whether rows of that table of a view may be changed: of the settings only.
    package static func isSettings(_ table: TableSchema) -> Bool {
        table.keyspace == "system_views" && table.name == "settings"
    }

    /// Whether the keyspace is one of ours, and so is left out of `DESCRIBE SCHEMA`.
    package static func isSystem(_ keyspace: String) -> Bool {
        // Each request asks; the names of most keyspaces begin otherwise.
        guard keyspace.utf8.first == UInt8(ascii: "s") else { return false }
        return definitions.contains { $0.name == keyspace }
    }

    /// The id of a system table: the name-based UUID of keyspace and table.
    package static func tableID(_ keyspace: String, _ table: String) -> TableID {
        TableID(UniqueID(name: Array((keyspace + table).utf8)))
    }

    // MARK: Reading the definitions

    struct Definition {
        let name: String
        let replication: ReplicationParameters
        /// For tables that state none.
        let gcGraceSeconds: Int32
        let tables: [String]
    }

    static let local = ReplicationParameters(
        strategyClass: KeyspaceProperties.locatorPackage + "LocalStrategy", options: [:])

    static func simple(_ factor: Int) -> ReplicationParameters {
        ReplicationParameters(
            strategyClass: KeyspaceProperties.locatorPackage + "SimpleStrategy",
            options: ["replication_factor": String(factor)])
    }

    private static func keyspace(_ definition: Definition) -> KeyspaceSchema {
        KeyspaceSchema(
            name: definition.name, replication: definition.replication,
            tables: definition.tables.map { table($0, definition) })
    }

    private static func table(_ text: String, _ definition: Definition) -> TableSchema {
        do throws(CQLError) {
            guard case .createTable(let syntax) = try Parser.parse("CREATE TABLE " + text).statement
            else { preconditionFailure("the definition is no table: \(text)") }
            let table = try SchemaChange.table(
                syntax, id: tableID(definition.name, syntax.name.name), in: definition.name,
                types: [])
            var options = table.options
            if !syntax.properties.contains(where: { $0.name == "gc_grace_seconds" }) {
                options.gcGraceSeconds = definition.gcGraceSeconds
            }
            return table.with(options: options)
        } catch {
            preconditionFailure("a system table's definition is wrong: \(error.message) in \(text)")
        }
    }
}
