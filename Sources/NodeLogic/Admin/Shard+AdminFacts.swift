// What shard 0 can answer by itself: the agreed state, what gossip says, and the settings.

internal import CQL
internal import Encoding
internal import Environment
internal import Membership
internal import Model
internal import PeerProtocol
internal import Topology

extension Shard {
    /// The answer from what this shard knows; nil if the others must be asked.
    func localAnswer(
        _ request: AdminRequest, _ control: NodeControl
    ) throws(AdminRefusal) -> AdminValue? {
        switch request.verb {
        case "probe": return probe()
        case "version": return ["release_version": .text(Self.releaseVersion)]
        case "status", "ring": return try ringFacts(request, [], control)
        case "describecluster": return describeCluster()
        case "gossipinfo":
            try AdminOptions(request).expect(0...0, request.verb)
            return .list(cluster.topology.nodes.map { gossip(of: $0, control) })
        case "failuredetector":
            return .list(
                cluster.topology.nodes.filter { $0.hostID != host }.map { node in
                    [
                        "endpoint": .text(node.peerAddress.description),
                        "phi": .number(control.membership.phi(of: node.hostID, now: now.monotonic)),
                    ]
                })
        case "getendpoints": return try endpoints(request)
        case "describering": return try describeRing(request)
        case "statushandoff":
            return [
                "enabled": .bool(configuration.requests.hintedHandoffEnabled),
                "paused": .bool(isHandoffPaused),
            ]
        case "getmaxhintwindow":
            let window = configuration.requests.maximumHintWindow
            return ["milliseconds": .integer(window.nanoseconds / 1_000_000)]
        case "gettraceprobability": return ["probability": .number(traceProbability)]
        case "getcompactionthroughput":
            let bytes = configuration.storage.compactionThroughputBytesPerSecond
            return ["bytes_per_second": .count(bytes)]
        case "gettimeout": return try timeout(request)
        default: return nil
        }
    }

    /// What `coterie ring` asks every moment: few words, as fast as can be.
    private func probe() -> AdminValue {
        var live = 0
        for node in cluster.topology.nodes
        where node.hostID == host || liveHosts.contains(node.hostID) {
            live += 1
        }
        return [
            "cluster": .text(cluster.name), "host": .text(host.description),
            "epoch": .integer(Int64(cluster.epoch)), "ready": .bool(cluster.state != nil),
            "live": .count(live),
        ]
    }

    // MARK: The ring

    private func isUp(_ node: NodeDescription) -> Bool {
        node.hostID == host || liveHosts.contains(node.hostID)
    }

    /// Parts of the ring by node: for each, the share of the tokens that it holds a replica of.
    private func ownership(_ placement: Placement?) -> [Double] {
        let topology = cluster.topology
        var shares = [Double](repeating: 0, count: topology.nodes.count)
        let ring = topology.ring
        for position in 0..<ring.count {
            var share = 0.0
            for range in ring.range(at: position).unwrapped {
                share += (Double(range.end.value) - Double(range.start.value)) / 0x1p64
            }
            if let placement, !placement.isLocal {
                for node in placement.replicas(at: position) { shares[node.index] += share }
            } else {
                shares[ring.owners[position].index] += share
            }
        }
        return shares
    }

    /// The placement that ownership is told for: the keyspace's, or the one that all keyspaces of users
    /// share.
    private func ownershipPlacement(
        _ keyspace: String?
    ) throws(AdminRefusal) -> (placement: Placement?, note: String) {
        if let keyspace {
            guard let placement = cluster.topology.placement(of: keyspace) else {
                throw AdminRefusal("The keyspace \(keyspace), does not exist")
            }
            return (placement, "")
        }
        let users = cluster.schema.keyspaces.filter { !SystemSchema.isSystem($0.name) }
        guard let first = users.first else { return (nil, "") }
        guard users.allSatisfy({ $0.replication == first.replication }) else {
            return (
                nil,
                "Non-system keyspaces don't have the same replication settings, effective "
                    + "ownership information is meaningless"
            )
        }
        return (cluster.topology.placement(of: first.name), "")
    }

    private func ringFacts(
        _ request: AdminRequest, _ known: [String], _ control: NodeControl
    ) throws(AdminRefusal) -> AdminValue {
        let options = try AdminOptions(request, known)
        try options.expect(0...1, "\(request.verb) [<keyspace>]")
        let (placement, note) = try ownershipPlacement(options.arguments.first)
        let shares = ownership(placement)
        let nodes = cluster.topology.nodes.enumerated().map { index, node -> AdminValue in
            let load =
                node.hostID == host
                ? control.load : control.membership.state(of: node.hostID)?.load ?? 0
            return [
                "address": .text(node.clientAddress.host),
                "port": .count(Int(node.clientAddress.port)),
                "datacenter": .text(node.datacenter), "rack": .text(node.rack),
                "status": .text(isUp(node) ? "Up" : "Down"), "state": "Normal",
                "load": isUp(node) ? .integer(Int64(load)) : .null,
                "owns": .number(shares[index]), "host_id": .text(node.hostID.description),
                "tokens": .list(node.tokens.map { .text(String($0.value)) }),
            ]
        }
        return [
            "nodes": .list(nodes), "effective": .bool(placement != nil), "note": .text(note),
        ]
    }

    private func describeCluster() -> AdminValue {
        let nodes = cluster.topology.nodes
        var versions: [AdminField] = []
        for node in nodes {
            let isCurrent =
                node.hostID == host || (peerEpochs[node.hostID] ?? 0) >= cluster.schemaEpoch
            let name =
                !isUp(node)
                ? "UNREACHABLE" : isCurrent ? cluster.schema.version.description : "BEHIND"
            let value = AdminValue.list([.text(node.peerAddress.host)])
            if let index = versions.firstIndex(where: { $0.name == name }) {
                versions[index].value = versions[index].value.joined(with: value)
            } else {
                versions.append(AdminField(name, value))
            }
        }
        let datacenters = cluster.topology.datacenters.map { name -> AdminValue in
            let members = nodes.filter { $0.datacenter == name }
            return [
                "name": .text(name), "nodes": .count(members.count),
                "down": .count(members.count { !isUp($0) }),
            ]
        }
        return [
            "name": .text(cluster.name),
            "snitch": "org.apache.cassandra.locator.GossipingPropertyFileSnitch",
            "partitioner": .text(Self.partitioner), "schema_versions": .map(versions),
            "live": .count(nodes.count(where: isUp)),
            "unreachable": .count(nodes.count { !isUp($0) }),
            "datacenters": .list(datacenters),
            "database_versions": .map([
                AdminField(
                    Self.releaseVersion,
                    .list(nodes.filter(isUp).map { .text($0.peerAddress.description) }))
            ]),
            "keyspaces": .list(
                cluster.schema.keyspaces.map { keyspace in
                    [
                        "name": .text(keyspace.name),
                        "class": .text(
                            String(
                                keyspace.replication.strategyClass.split(separator: ".").last ?? "")
                        ),
                        "options": .map(
                            keyspace.replication.options.sorted { $0.key < $1.key }.map {
                                AdminField($0.key, .text($0.value))
                            }),
                    ]
                }),
        ]
    }

    private func gossip(of node: NodeDescription, _ control: NodeControl) -> AdminValue {
        let isOwn = node.hostID == host
        let state = isOwn ? nil : control.membership.state(of: node.hostID)
        let load = isOwn ? control.load : state?.load ?? 0
        return [
            "address": .text(node.peerAddress.host),
            "generation": .count(Int(isOwn ? incarnation.value : state?.generation ?? 0)),
            "heartbeat": .count(Int(state?.heartbeat ?? 0)),
            "STATUS_WITH_PORT": .text("NORMAL,\(node.tokens.first?.value ?? 0)"),
            "LOAD": .integer(Int64(load)), "SCHEMA": .text(cluster.schema.version.description),
            "DC": .text(node.datacenter), "RACK": .text(node.rack),
            "RELEASE_VERSION": .text(Self.releaseVersion), "NET_VERSION": "1",
            "HOST_ID": .text(node.hostID.description),
            "NATIVE_ADDRESS_AND_PORT": .text(node.clientAddress.description),
            "INTERNAL_ADDRESS_AND_PORT": .text(node.peerAddress.description),
            "EPOCH": .integer(Int64(isOwn ? cluster.epoch : state?.epoch ?? 0)),
            "RPC_READY": .bool(isOwn ? cluster.state != nil : state?.isReady ?? false),
            "TOKENS": "<hidden>",
        ]
    }

    // MARK: Keys and ranges

    /// A partition key as an operator writes it: components by colons, or its bytes in hexadecimal.
    func partitionKey(
        _ text: String, of table: TableSchema, isHex: Bool = false
    ) throws(AdminRefusal) -> [UInt8] {
        do throws(CQLValueError) {
            if isHex { return try CQLType.blob.parse("0x" + text) }
            let count = table.partitionKey.count
            let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(
                String.init)
            guard count == 1 || parts.count == count else {
                throw CQLValueError(
                    "the key has \(count) components, written with colons between them")
            }
            let values = count == 1 ? [text] : parts
            var components: [[UInt8]] = []
            for (column, value) in zip(table.partitionKey, values) {
                components.append(try column.type.parse(value))
            }
            if count == 1 { return components[0] }
            let writer = ByteWriter()
            for component in components {
                try PartitionKey.checkLength(component.count)
                component.withUnsafeBytes { PartitionKey.appendComponent($0, into: writer) }
            }
            return writer.array
        } catch {
            throw AdminRefusal("\(text): \(error)")
        }
    }

    private func endpoints(_ request: AdminRequest) throws(AdminRefusal) -> AdminValue {
        let options = try AdminOptions(request)
        try options.expect(3...3, "getendpoints <keyspace> <table> <key>")
        let table = try tables(options.arguments.prefix(2))[0]
        guard let route = cluster.route(of: table.id) else {
            throw AdminRefusal("Unknown keyspace/cf pair (\(table.keyspace).\(table.name))")
        }
        let key = try partitionKey(options.arguments[2], of: table)
        let nodes = cluster.topology.nodes
        return .list(
            route.placement.replicas(of: Token.of(key)).map {
                .text(nodes[$0.index].peerAddress.host)
            })
    }

    private func describeRing(_ request: AdminRequest) throws(AdminRefusal) -> AdminValue {
        let options = try AdminOptions(request)
        try options.expect(1...1, "describering <keyspace>")
        guard let placement = cluster.topology.placement(of: options.arguments[0]) else {
            throw AdminRefusal("The keyspace \(options.arguments[0]), does not exist")
        }
        let nodes = cluster.topology.nodes
        let ranges = (0..<placement.ring.count).map { position -> AdminValue in
            let range = placement.ring.range(at: position)
            let replicas = placement.replicas(at: position).map { nodes[$0.index] }
            return [
                "start_token": .text(String(range.start.value)),
                "end_token": .text(String(range.end.value)),
                "endpoints": .list(replicas.map { .text($0.peerAddress.host) }),
                "rpc_endpoints": .list(replicas.map { .text($0.clientAddress.host) }),
                "endpoint_details": .list(
                    replicas.map { node in
                        [
                            "host": .text(node.peerAddress.host),
                            "datacenter": .text(node.datacenter), "rack": .text(node.rack),
                        ]
                    }),
            ]
        }
        return [
            "schema_version": .text(cluster.schema.version.description), "ranges": .list(ranges),
        ]
    }
}
