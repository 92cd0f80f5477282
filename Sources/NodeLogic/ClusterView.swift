// The agreed state as a shard uses it: the fold of the metadata log with what requests look up all the
// time worked out beforehand. A new view is made for each epoch; requests keep what they began with.

internal import CQL
internal import Encoding
internal import Environment
internal import Model
internal import Topology

/// Where a table's rows live. A class, because each request looks at one and a schema is large.
final class TableRoute: Sendable {
    let table: TableSchema
    let placement: Placement
    /// When reads ask one replica more, and when their repairs do.
    let speculativeRetry: SpeculativeRetry
    let additionalWritePolicy: SpeculativeRetry

    init(table: TableSchema, placement: Placement) {
        self.table = table
        self.placement = placement
        speculativeRetry = SpeculativeRetry(kept: table.options.speculativeRetry)
        additionalWritePolicy = SpeculativeRetry(kept: table.options.additionalWritePolicy)
    }
}

/// The cluster at one epoch, as one node sees it. Immutable; a class, because each request looks at it several
/// times, and a copy of it counts many references.
final class ClusterView {
    let state: ClusterState?
    let schema: SchemaSnapshot
    let topology: PlacementSnapshot
    /// The epoch at which the schema last changed.
    var schemaEpoch: UInt64 { schema.epoch }
    let ownIndex: NodeIndex?
    let ownDatacenter: Int
    /// Of what is every node's own.
    let localPlacement: Placement
    private let routes: [TableID: TableRoute]
    /// The route that was asked for last, which is mostly the next one too.
    @exclusivity(unchecked) private var lastRoute: TableRoute?

    var epoch: UInt64 { state?.epoch ?? 0 }
    var clusterID: UniqueID { state?.clusterID ?? .zero }
    var lineage: UInt32 { state?.lineage ?? 0 }
    var name: String { state?.name ?? "" }

    init(_ state: ClusterState?, host: HostID) {
        self.state = state
        let agreed =
            state?.schema ?? SchemaSnapshot(epoch: 0, version: UniqueID(name: []), keyspaces: [])
        schema = SchemaSnapshot(
            epoch: agreed.epoch, version: agreed.version,
            keyspaces: Self.withSystem(agreed.keyspaces),
            localTables: Self.storedLocalTables)
        topology = state?.placement ?? PlacementSnapshot(epoch: 0, nodes: [], keyspaces: [])
        ownIndex = topology.index(of: host)
        ownDatacenter = ownIndex.map { [topology] in topology.datacenter(of: $0) } ?? 0
        var routes: [TableID: TableRoute] = [:]
        let system = PlacementSnapshot(
            epoch: topology.epoch, nodes: topology.nodes,
            keyspaces: Self.storedSystemKeyspaces.map { keyspace in
                let factor = keyspace.replication.options["replication_factor"].flatMap { Int($0) }
                return (keyspace.name, .simple(factor: factor ?? 1))
            } + [("system", .local)])
        for keyspace in schema.keyspaces {
            guard
                let placement = topology.placement(of: keyspace.name)
                    ?? system.placement(of: keyspace.name)
            else { continue }
            for table in keyspace.tables {
                routes[table.id] = TableRoute(table: table, placement: placement)
            }
        }
        guard let local = system.placement(of: "system") else {
            preconditionFailure("a keyspace that was just placed has no placement")
        }
        localPlacement = local
        for table in schema.localTables {
            routes[table.id] = TableRoute(table: table, placement: local)
        }
        self.routes = routes
    }

    /// The system keyspaces whose tables are stored and replicated like a user's.
    private static let storedSystemKeyspaces = SystemSchema.keyspaces.filter {
        $0.replication.strategyClass.hasSuffix("SimpleStrategy")
    }

    /// The agreed keyspaces with the stored ones of the system, whose replication may have been altered.
    private static func withSystem(_ agreed: [KeyspaceSchema]) -> [KeyspaceSchema] {
        let system = storedSystemKeyspaces.map { keyspace in
            guard let altered = agreed.first(where: { $0.name == keyspace.name }) else {
                return keyspace
            }
            return KeyspaceSchema(
                name: keyspace.name, replication: altered.replication,
                durableWrites: altered.durableWrites, tables: keyspace.tables, types: [])
        }
        return agreed.filter { !SystemSchema.isReplicated($0.name) } + system
    }

    /// Each node's own tables that are stored: what Paxos remembers, logged batches under way, and what
    /// a node keeps for its next life.
    private static let storedLocalTables = [
        "batches", "compaction_history", "paxos", "prepared_statements",
    ].compactMap { SystemSchema.table("system", $0) }

    /// The state that a node finds in its own store when it starts.
    convenience init(loading image: MetadataImage, host: HostID) throws(ShardStartFailure) {
        let state: ClusterState?
        do {
            var entries: [MetadataEntry] = []
            for record in image.log { entries.append(try MetadataEntry(record.body)) }
            state = try ClusterState.fold(entries)
        } catch {
            throw ShardStartFailure("the metadata log in the store cannot be read: \(error)")
        }
        self.init(state, host: host)
    }

    /// The table and its placement; nil for a table that is not (or no longer) there.
    func route(of table: TableID) -> TableRoute? {
        if let lastRoute, lastRoute.table.id == table { return lastRoute }
        guard let route = routes[table] else { return nil }
        lastRoute = route
        return route
    }
}
