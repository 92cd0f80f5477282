// The entries of the metadata log: everything that all nodes must agree on.
// Layout: docs/protocols/metadata-log.md.

package import Encoding
package import Environment
package import Model
package import Topology

/// One change of the cluster's schema. An entry holds a list of them, which takes effect as one.
package enum SchemaEdit: Sendable {
    /// Creates the keyspace or changes its parameters; tables and types stay as they are.
    case putKeyspace(name: String, replication: ReplicationParameters, durableWrites: Bool)
    case dropKeyspace(String)
    /// Creates the table or replaces the one of the same id.
    case putTable(TableSchema)
    case dropTable(keyspace: String, name: String)
    /// Creates the type or replaces the one of the same name.
    case putType(UserDefinedType)
    case dropType(keyspace: String, name: String)

    /// What makes `new` of `old` (nil: the keyspace does not exist yet). Types come before the
    /// tables that may use them.
    package static func difference(
        from old: KeyspaceSchema?, to new: KeyspaceSchema
    ) -> [SchemaEdit] {
        var edits: [SchemaEdit] = []
        if old?.replication != new.replication || old?.durableWrites != new.durableWrites {
            edits.append(
                .putKeyspace(
                    name: new.name, replication: new.replication,
                    durableWrites: new.durableWrites))
        }
        for table in old?.tables ?? [] where !new.tables.contains(where: { $0.id == table.id }) {
            edits.append(.dropTable(keyspace: new.name, name: table.name))
        }
        for type in new.types where old?.type(named: type.name) != type {
            edits.append(.putType(type))
        }
        for table in new.tables {
            let former = old?.tables.first { $0.id == table.id }
            if former.map(TableSchemaCoding.encoded) != TableSchemaCoding.encoded(table) {
                edits.append(.putTable(table))
            }
        }
        for type in old?.types ?? [] where new.type(named: type.name) == nil {
            edits.append(.dropType(keyspace: new.name, name: type.name))
        }
        return edits
    }
}

/// What an entry changes.
package enum MetadataChangeKind: Sendable {
    /// Entry 0 and only it: the cluster is born.
    case initialise(clusterID: UniqueID, name: String, voters: [HostID], nodes: [NodeDescription])
    case addNode(NodeDescription)
    /// A node was started with other addresses or another number of shards.
    case updateNode(HostID, client: SocketAddress, peer: SocketAddress, shardCount: Int)
    case removeNode(HostID)
    /// Who votes on the entries after this one.
    case setVoters([HostID])
    case schema([SchemaEdit])
}

/// An entry of the metadata log.
package struct MetadataEntry: Sendable {
    /// Its place in the log; the first is 0.
    package let epoch: UInt64
    /// Unique, so that its proposer recognises it.
    package let id: UniqueID
    package let author: HostID
    /// When it was proposed by the author's wall clock, for people.
    package let time: WallTime
    package let change: MetadataChangeKind

    package init(
        epoch: UInt64, id: UniqueID, author: HostID, time: WallTime, change: MetadataChangeKind
    ) {
        self.epoch = epoch
        self.id = id
        self.author = author
        self.time = time
        self.change = change
    }

    /// What it does in a few words, for example `CREATE TABLE ks.t`. `before` is the state that it
    /// is applied to (nil for entry 0).
    package func summary(before: ClusterState?) -> String {
        switch change {
        case .initialise(_, let name, _, let nodes):
            "INITIALISE CLUSTER \(name) WITH \(nodes.count) NODES"
        case .addNode(let node): "ADD NODE \(node.hostID)"
        case .updateNode(let host, let client, _, _): "UPDATE NODE \(host) AT \(client)"
        case .removeNode(let host): "REMOVE NODE \(host)"
        case .setVoters(let voters): "SET \(voters.count) VOTERS"
        case .schema(let edits):
            edits.map { Self.summary($0, before?.schema) }.joined(separator: "; ")
        }
    }

    private static func summary(_ edit: SchemaEdit, _ schema: SchemaSnapshot?) -> String {
        switch edit {
        case .putKeyspace(let name, _, _):
            "\(schema?.keyspace(named: name) == nil ? "CREATE" : "ALTER") KEYSPACE \(name)"
        case .dropKeyspace(let name): "DROP KEYSPACE \(name)"
        case .putTable(let table):
            "\(schema?.table(table.id) == nil ? "CREATE" : "ALTER") TABLE "
                + "\(table.keyspace).\(table.name)"
        case .dropTable(let keyspace, let name): "DROP TABLE \(keyspace).\(name)"
        case .putType(let type):
            "\(isNew(type, schema) ? "CREATE" : "ALTER") TYPE \(type.keyspace).\(type.name)"
        case .dropType(let keyspace, let name): "DROP TYPE \(keyspace).\(name)"
        }
    }

    private static func isNew(_ type: UserDefinedType, _ schema: SchemaSnapshot?) -> Bool {
        schema?.keyspace(named: type.keyspace)?.type(named: type.name) == nil
    }
}
