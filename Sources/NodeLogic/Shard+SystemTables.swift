// The rows of system tables: what drivers read to discover the ring and its schema. They are made when
// asked for, from the agreed state and from what gossip says; nothing of them is stored.

internal import CQL
internal import Encoding
internal import Environment
internal import Membership
internal import Model
internal import Topology

extension Shard {
    /// The version of Cassandra whose behaviour we follow. Drivers choose their schema parser by it, and
    /// some parse it strictly as three numbers.
    static let releaseVersion = "5.0.0"
    static let cqlVersion = "3.4.7"
    static let partitioner = "org.apache.cassandra.dht.Murmur3Partitioner"

    /// All rows of a system table in the order of its keys, each in the order of `SELECT *`.
    func systemRows(of table: TableSchema) -> [SystemRow] {
        if let rows = schemaRows(of: table) { return rows }
        switch (table.keyspace, table.name) {
        case ("system", "local"): return [localRow(table)]
        case ("system", "peers"):
            return otherNodes.map { table.systemRow(peerRow($0)) }
        case ("system", "peers_v2"):
            return otherNodes.map { table.systemRow(peerVersionTwoRow($0)) }
        case ("system_views", "settings"):
            return Self.sorted(
                Configuration.settings.map { setting in
                    table.systemRow([
                        "name": .text(setting.name),
                        "value": .text(configuration.text(of: setting)),
                    ])
                }, 1)
        default: return []
        }
    }

    /// Rows that describe the schema, made once for each epoch: every driver that connects reads all of them.
    private func schemaRows(of table: TableSchema) -> [SystemRow]? {
        let epoch = cluster.schema.epoch
        if madeRows.epoch == epoch, let known = madeRows.byTable[table.id] { return known }
        guard let rows = SystemSchema.rows(of: table, describing: cluster.schema) else {
            return nil
        }
        workDone += Cost.ofMadeRows(rows.count * 4)
        if madeRows.epoch != epoch { madeRows = MadeRows(epoch: epoch) }
        if rows.count <= MadeRows.maximumCount { madeRows.byTable[table.id] = rows }
        return rows
    }

    private var otherNodes: [NodeDescription] {
        cluster.topology.nodes.filter { $0.hostID != host }
            .sorted { $0.clientAddress < $1.clientAddress }
    }

    private func localRow(_ table: TableSchema) -> SystemRow {
        let own = cluster.topology.node(host)
        return table.systemRow([
            "key": .text("local"),
            "bootstrapped": .text(own == nil ? "NEEDS_BOOTSTRAP" : "COMPLETED"),
            "broadcast_address": .inet(peerAddress.address),
            "broadcast_port": .int(Int32(peerAddress.port)),
            "cluster_name": .text(cluster.name),
            "cql_version": .text(Self.cqlVersion),
            "data_center": .text(own?.datacenter ?? configuration.cluster.datacenter),
            "gossip_generation": .int(Int32(truncatingIfNeeded: incarnation.value)),
            "host_id": .uuid(host.value),
            "listen_address": .inet(peerAddress.address),
            "listen_port": .int(Int32(peerAddress.port)),
            "native_protocol_version": .text("5"),
            "partitioner": .text(Self.partitioner),
            "rack": .text(own?.rack ?? configuration.cluster.rack),
            "release_version": .text(Self.releaseVersion),
            "rpc_address": .inet(clientAddress.address),
            "rpc_port": .int(Int32(clientAddress.port)),
            "schema_version": .uuid(cluster.schema.version),
            "tokens": .textSet(own?.tokens.map { String($0.value) } ?? []),
        ])
    }

    private func peerRow(_ node: NodeDescription) -> [String: SystemValue] {
        [
            "peer": .inet(node.peerAddress.address),
            "data_center": .text(node.datacenter),
            "host_id": .uuid(node.hostID.value),
            "rack": .text(node.rack),
            "release_version": .text(Self.releaseVersion),
            "rpc_address": .inet(node.clientAddress.address),
            "schema_version": .uuid(schemaVersion(of: node.hostID)),
            "tokens": .textSet(node.tokens.map { String($0.value) }),
        ]
    }

    private func peerVersionTwoRow(_ node: NodeDescription) -> [String: SystemValue] {
        [
            "peer": .inet(node.peerAddress.address),
            "peer_port": .int(Int32(node.peerAddress.port)),
            "data_center": .text(node.datacenter),
            "host_id": .uuid(node.hostID.value),
            "native_address": .inet(node.clientAddress.address),
            "native_port": .int(Int32(node.clientAddress.port)),
            "rack": .text(node.rack),
            "release_version": .text(Self.releaseVersion),
            "schema_version": .uuid(schemaVersion(of: node.hostID)),
            "tokens": .textSet(node.tokens.map { String($0.value) }),
        ]
    }

    /// The schema version of a peer as far as we know: ours if it has installed the epoch that our
    /// schema last changed at, else one that is equal to no other, so that drivers wait.
    func schemaVersion(of peer: HostID) -> UniqueID {
        guard let epoch = peerEpochs[peer], epoch < cluster.schemaEpoch else {
            return cluster.schema.version
        }
        return UniqueID(name: Array("epoch \(epoch)".utf8))
    }

    /// The ring for DESCRIBE CLUSTER.
    func clusterDescription(for request: DescribeRequest) -> ClusterDescription {
        var ownership: [(token: String, replicas: [String])] = []
        if request.needsRangeOwnership, let keyspace = request.keyspace,
            let placement = cluster.topology.placement(of: keyspace)
        {
            for position in 0..<placement.ring.count {
                let replicas = placement.replicas(at: position).map {
                    cluster.topology.nodes[$0.index].clientAddress.host
                }
                ownership.append((String(placement.ring.tokens[position].value), replicas))
            }
        }
        return ClusterDescription(
            name: cluster.name, snitch: "GossipingPropertyFileSnitch", rangeOwnership: ownership)
    }
}

/// Rows of the schema's tables, as they are in one epoch.
struct MadeRows {
    /// Larger tables are made anew each time, so that they take no memory meanwhile.
    static let maximumCount = 20_000

    var epoch: UInt64
    var byTable: [TableID: [SystemRow]] = [:]
}
