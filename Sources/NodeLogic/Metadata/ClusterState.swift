// The fold of the metadata log: what the cluster looks like at one epoch. Every node that has the
// same entries computes the same state, byte for byte and id for id.

package import Encoding
package import Environment
package import Model
package import Topology

/// An entry that cannot follow the state it is applied to, in words for whoever proposed it.
package struct InvalidEntry: Error, Equatable, Sendable {
    package let reason: String
    package init(_ reason: String) { self.reason = reason }
}

/// The cluster at one epoch. Immutable and shared.
package final class ClusterState: Sendable, Equatable {
    package let clusterID: UniqueID
    /// One more after each recovery of the log without a majority.
    package let lineage: UInt32
    package let epoch: UInt64
    package let name: String
    /// Sorted by host id.
    package let nodes: [NodeDescription]
    /// Who votes on the next entry; sorted.
    package let voters: [HostID]
    /// The same object for as long as the schema does not change; its epoch is that of its last
    /// change. Its version is a hash of its content, so all nodes show the same.
    package let schema: SchemaSnapshot
    /// The same object for as long as nodes and replication do not change; its epoch is that of its
    /// last change, so a request that was planned at or after it has the same replicas.
    package let placement: PlacementSnapshot

    /// A hash of each table's bytes, so that a change costs the hashing of what it changed.
    private let tableDigests: [TableID: UniqueID]

    /// The most voters that there can be.
    package static let maximumVoters = 7

    private init(
        clusterID: UniqueID, lineage: UInt32, epoch: UInt64, name: String,
        nodes: [NodeDescription], voters: [HostID], schema: SchemaSnapshot,
        tableDigests: [TableID: UniqueID], placement: PlacementSnapshot
    ) {
        self.clusterID = clusterID
        self.lineage = lineage
        self.epoch = epoch
        self.name = name
        self.nodes = nodes
        self.voters = voters
        self.schema = schema
        self.tableDigests = tableDigests
        self.placement = placement
    }

    package static func == (left: ClusterState, right: ClusterState) -> Bool {
        left === right
            || left.clusterID == right.clusterID && left.lineage == right.lineage
                && left.epoch == right.epoch && left.name == right.name
                && left.nodes == right.nodes && left.voters == right.voters
                && left.schema.version == right.schema.version
    }

    package func node(_ host: HostID) -> NodeDescription? { placement.node(host) }

    /// How many voters must agree on the next entry.
    package var majority: Int { voters.count / 2 + 1 }

    /// The state after all these entries, which begin with entry 0 and have no gaps; nil for none.
    package static func fold(_ entries: [MetadataEntry]) throws(InvalidEntry) -> ClusterState? {
        var state: ClusterState?
        for entry in entries { state = try following(state, entry) }
        return state
    }

    /// The state after `entry`, which must be the next one after `state`'s epoch (0 if nil).
    package static func following(
        _ state: ClusterState?, _ entry: MetadataEntry
    ) throws(InvalidEntry) -> ClusterState {
        guard let state else { return try initial(entry) }
        guard entry.epoch == state.epoch + 1 else {
            throw InvalidEntry("entry of epoch \(entry.epoch) cannot follow epoch \(state.epoch)")
        }
        var nodes = state.nodes
        var voters = state.voters
        switch entry.change {
        case .initialise: throw InvalidEntry("the cluster is initialised already")
        case .addNode(let node):
            nodes.append(node)
            try check(nodes, voters)
        case .updateNode(let host, let client, let peer, let shardCount):
            guard let index = nodes.firstIndex(where: { $0.hostID == host }) else {
                throw InvalidEntry("node \(host) is not a member")
            }
            nodes[index].clientAddress = client
            nodes[index].peerAddress = peer
            nodes[index].shardCount = shardCount
            try check(nodes, voters)
        case .removeNode(let host):
            guard nodes.contains(where: { $0.hostID == host }) else {
                throw InvalidEntry("node \(host) is not a member")
            }
            guard !voters.contains(host) else {
                throw InvalidEntry("node \(host) is a voter; another must take its place first")
            }
            nodes.removeAll { $0.hostID == host }
            try check(nodes, voters)
        case .setVoters(let new):
            let added = Set(new).subtracting(voters)
            let removed = Set(voters).subtracting(new)
            guard added.count <= 1, removed.count <= 1 else {
                throw InvalidEntry("voters change by one per entry")
            }
            voters = new.sorted()
            try check(nodes, voters)
        case .schema(let edits):
            return try state.editingSchema(edits, epoch: entry.epoch)
        }
        return state.with(nodes: nodes, voters: voters, epoch: entry.epoch)
    }

    private static func initial(_ entry: MetadataEntry) throws(InvalidEntry) -> ClusterState {
        guard entry.epoch == 0,
            case .initialise(let clusterID, let name, let firstVoters, let firstNodes) = entry
                .change
        else { throw InvalidEntry("a log begins with entry 0, which initialises the cluster") }
        let nodes = firstNodes.sorted { $0.hostID < $1.hostID }
        let voters = firstVoters.sorted()
        try check(nodes, voters)
        return ClusterState(
            clusterID: clusterID, lineage: 1, epoch: 0, name: name, nodes: nodes, voters: voters,
            schema: SchemaSnapshot(epoch: 0, version: Self.version(of: [], [:]), keyspaces: []),
            tableDigests: [:],
            placement: PlacementSnapshot(epoch: 0, nodes: nodes, keyspaces: []))
    }

    private static func check(
        _ nodes: [NodeDescription], _ voters: [HostID]
    ) throws(InvalidEntry) {
        guard !nodes.isEmpty, nodes.count <= NodeIndex.maximumCount else {
            throw InvalidEntry("a cluster has 1 to \(NodeIndex.maximumCount) nodes")
        }
        let hosts = Set(nodes.map(\.hostID))
        guard hosts.count == nodes.count else { throw InvalidEntry("a host id occurs twice") }
        guard Set(nodes.map(\.peerAddress)).count == nodes.count,
            Set(nodes.map(\.clientAddress)).count == nodes.count
        else { throw InvalidEntry("two nodes have the same address") }
        var seen: Set<Token> = []
        for node in nodes {
            guard !node.tokens.isEmpty else { throw InvalidEntry("a node without tokens") }
            guard node.shardCount >= 1, node.shardCount <= 1 << 16 else {
                throw InvalidEntry("shard count \(node.shardCount)")
            }
            for token in node.tokens {
                guard seen.insert(token).inserted else {
                    throw InvalidEntry("token \(token) belongs to two nodes")
                }
            }
        }
        guard !voters.isEmpty, voters.count <= maximumVoters else {
            throw InvalidEntry("there must be 1 to \(maximumVoters) voters")
        }
        guard Set(voters).count == voters.count, hosts.isSuperset(of: voters) else {
            throw InvalidEntry("voters must be different members")
        }
    }

    private func with(nodes: [NodeDescription], voters: [HostID], epoch: UInt64) -> ClusterState {
        var placement = placement
        let nodes = nodes.sorted { $0.hostID < $1.hostID }
        if nodes != self.nodes {
            placement = PlacementSnapshot(
                epoch: epoch, nodes: nodes, keyspaces: Self.strategies(of: schema.keyspaces))
        }
        return ClusterState(
            clusterID: clusterID, lineage: lineage, epoch: epoch, name: name, nodes: nodes,
            voters: voters, schema: schema, tableDigests: tableDigests, placement: placement)
    }

    // MARK: Schema

    private func editingSchema(
        _ edits: [SchemaEdit], epoch: UInt64
    ) throws(InvalidEntry) -> ClusterState {
        guard !edits.isEmpty else { throw InvalidEntry("an entry without a change") }
        var draft = SchemaDraft(schema)
        for edit in edits { try draft.apply(edit) }
        let keyspaces = draft.keyspaces
        let digests = digests(of: keyspaces)
        let schema = SchemaSnapshot(
            epoch: epoch, version: Self.version(of: keyspaces, digests), keyspaces: keyspaces)
        var placement = placement
        let replication = keyspaces.map { KeyspaceReplication($0) }
        if replication != self.schema.keyspaces.map({ KeyspaceReplication($0) }) {
            placement = PlacementSnapshot(
                epoch: epoch, nodes: nodes, keyspaces: Self.strategies(of: keyspaces))
        }
        return ClusterState(
            clusterID: clusterID, lineage: lineage, epoch: epoch, name: name, nodes: nodes,
            voters: voters, schema: schema, tableDigests: digests, placement: placement)
    }

    private struct KeyspaceReplication: Equatable {
        let name: String
        let replication: ReplicationParameters
        init(_ keyspace: KeyspaceSchema) {
            name = keyspace.name
            replication = keyspace.replication
        }
    }

    private static func strategies(
        of keyspaces: [KeyspaceSchema]
    ) -> [(name: String, strategy: ReplicationStrategy)] {
        keyspaces.map { keyspace in
            do throws(ReplicationError) {
                return (keyspace.name, try ReplicationStrategy(keyspace.replication))
            } catch {
                preconditionFailure("replication was checked when it was put: \(error.message)")
            }
        }
    }

    private func digests(of keyspaces: [KeyspaceSchema]) -> [TableID: UniqueID] {
        var digests: [TableID: UniqueID] = [:]
        for table in keyspaces.flatMap(\.tables) {
            let isUnchanged = schema.table(table.id) === table
            digests[table.id] =
                (isUnchanged ? tableDigests[table.id] : nil)
                ?? UniqueID(name: TableSchemaCoding.encoded(table))
        }
        return digests
    }

    /// A name-based UUID of the schema's canonical bytes: keyspaces, types and the digests of
    /// tables, each sorted by name.
    private static func version(
        of keyspaces: [KeyspaceSchema], _ digests: [TableID: UniqueID]
    ) -> UniqueID {
        let writer = ByteWriter()
        for keyspace in keyspaces {
            let head = SchemaEdit.putKeyspace(
                name: keyspace.name, replication: keyspace.replication,
                durableWrites: keyspace.durableWrites)
            head.encode(into: writer)
            for type in keyspace.types { SchemaEdit.putType(type).encode(into: writer) }
            for table in keyspace.tables {
                if let digest = digests[table.id] { writer.append(digest) }
            }
        }
        return UniqueID(name: writer.array)
    }
}

/// Keyspaces while they are being changed.
private struct SchemaDraft {
    private var byName: [String: KeyspaceSchema]

    init(_ schema: SchemaSnapshot) {
        byName = Dictionary(uniqueKeysWithValues: schema.keyspaces.map { ($0.name, $0) })
    }

    /// Sorted by name.
    var keyspaces: [KeyspaceSchema] { byName.values.sorted { $0.name < $1.name } }

    mutating func apply(_ edit: SchemaEdit) throws(InvalidEntry) {
        switch edit {
        case .putKeyspace(let name, let replication, let durableWrites):
            do throws(ReplicationError) {
                _ = try ReplicationStrategy(replication)
            } catch {
                throw InvalidEntry(error.message)
            }
            byName[name] = KeyspaceSchema(
                name: name, replication: replication, durableWrites: durableWrites,
                tables: byName[name]?.tables ?? [], types: byName[name]?.types ?? [])
        case .dropKeyspace(let name):
            guard byName.removeValue(forKey: name) != nil else {
                throw InvalidEntry("keyspace '\(name)' does not exist")
            }
        case .putTable(let table):
            let keyspace = try find(table.keyspace)
            var tables = keyspace.tables.filter { $0.id != table.id }
            guard !tables.contains(where: { $0.name == table.name }) else {
                throw InvalidEntry("table '\(table.keyspace).\(table.name)' exists with another id")
            }
            let isElsewhere = byName.values.contains { other in
                other.name != table.keyspace && other.tables.contains { $0.id == table.id }
            }
            guard !isElsewhere else {
                throw InvalidEntry("table id \(table.id) belongs to another keyspace")
            }
            tables.append(table)
            put(keyspace, tables: tables, types: keyspace.types)
        case .dropTable(let name, let table):
            let keyspace = try find(name)
            guard keyspace.table(named: table) != nil else {
                throw InvalidEntry("table '\(name).\(table)' does not exist")
            }
            put(
                keyspace, tables: keyspace.tables.filter { $0.name != table },
                types: keyspace.types)
        case .putType(let type):
            let keyspace = try find(type.keyspace)
            put(
                keyspace, tables: keyspace.tables,
                types: keyspace.types.filter { $0.name != type.name } + [type])
        case .dropType(let name, let type):
            let keyspace = try find(name)
            guard keyspace.type(named: type) != nil else {
                throw InvalidEntry("type '\(name).\(type)' does not exist")
            }
            put(keyspace, tables: keyspace.tables, types: keyspace.types.filter { $0.name != type })
        }
    }

    private func find(_ name: String) throws(InvalidEntry) -> KeyspaceSchema {
        guard let keyspace = byName[name] else {
            throw InvalidEntry("keyspace '\(name)' does not exist")
        }
        return keyspace
    }

    private mutating func put(
        _ keyspace: KeyspaceSchema, tables: [TableSchema], types: [UserDefinedType]
    ) {
        byName[keyspace.name] = KeyspaceSchema(
            name: keyspace.name, replication: keyspace.replication,
            durableWrites: keyspace.durableWrites, tables: tables, types: types)
    }
}
