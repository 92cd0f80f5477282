// What one shard tells for a virtual table. Facts that are rows already are lists of maps by column names;
// facts that add up over the shards are maps, of which `viewRows` makes rows.

internal import CQL
internal import Encoding
internal import Environment
internal import Membership
internal import Model
internal import NativeProtocol
internal import PeerProtocol
internal import Storage
internal import Topology

extension Shard {
    /// What this shard knows for the rows of that table.
    func facts(for table: String) -> AdminValue {
        switch table {
        case "system_views.batch_metrics": return batchFacts
        case "system_views.caches": return cacheFacts
        case "system_views.clients": return clientFacts
        case "system_views.cql_metrics":
            return [
                "prepared_statements_count": .count(prepared.count),
                "prepared_statements_evicted": .count(prepared.evicted),
                "prepared_statements_executed": .count(statementCounts.prepared),
                "regular_statements_executed": .count(statementCounts.regular),
            ]
        case "system_views.gossip_info": return gossipFacts
        case "system_views.internode_inbound": return trafficFacts(isInbound: true)
        case "system_views.internode_outbound": return trafficFacts(isInbound: false)
        case "system_views.pending_hints": return hintFacts
        case "system_views.queries": return queryFacts
        case "system_views.sstable_tasks": return taskFacts
        case "system_views.system_properties": return propertyFacts
        case "system_views.thread_pools": return queueFigures()
        case "system_views.disk_usage", "system_views.max_partition_size",
            "system_views.max_sstable_size":
            return sizeFacts
        case "system_views.rows_per_read", "system_views.tombstones_per_read":
            let isRows = table == "system_views.rows_per_read"
            return tableFacts { [histogram(isRows ? $0.rows.figures : $0.tombstones.figures)] }
        case "system.size_estimates", "system.table_estimates": return estimateFacts
        default:
            guard let measure = RequestMeasure(view: table) else { return .list([]) }
            return tableFacts { metrics in
                [
                    histogram(metrics.figures(measure)),
                    AdminField("rate", .number(metrics.rate(measure, now: now.monotonic))),
                ]
            }
        }
    }

    // MARK: Histograms

    private func histogram(_ figures: HistogramFigures) -> AdminField {
        AdminField("histogram", figures.fact)
    }

    /// By `keyspace.table`, of all stored tables.
    private func tableFacts(_ fields: (TableMetrics) -> [AdminField]) -> AdminValue {
        let empty = TableMetrics()
        return .map(
            storedTables.map { table in
                AdminField(
                    "\(table.keyspace).\(table.name)",
                    .map(fields(tableMetrics[table.id] ?? empty)))
            })
    }

    var storedTables: [TableSchema] {
        cluster.schema.keyspaces.flatMap(\.tables) + cluster.schema.localTables
    }

    private var batchFacts: AdminValue {
        .map(
            zip(["logged", "unlogged", "counter"], batchPartitions).map { name, histogram in
                AdminField("partitions_per_\(name)_batch", histogram.figures.fact)
            })
    }

    // MARK: Storage

    private var cacheFacts: AdminValue {
        let use = storage.blockCacheUse
        let asked = lastCacheFigures
        let seconds = max(1, Double((now.monotonic - asked.at).nanoseconds) / 1e9)
        lastCacheFigures = (now.monotonic, use.hits, use.misses)
        let hits = Double(use.hits - asked.hits) / seconds
        let requests = Double(use.hits + use.misses - asked.hits - asked.misses) / seconds
        return [
            "capacity_bytes": .count(storage.blockCacheLimit),
            "entry_count": .count(storage.cachedBlocks), "hit_count": .count(use.hits),
            "request_count": .count(use.hits + use.misses), "size_bytes": .count(use.bytes),
            "recent_hit_rate_per_second": .number(hits),
            "recent_request_rate_per_second": .number(requests),
        ]
    }

    /// For each table its bytes, and the largest of its files and partitions under names that tell the
    /// shards apart: they do not add up.
    private var sizeFacts: AdminValue {
        .map(
            storedTables.map { table in
                let files = storage.sstables(of: table.id)
                return AdminField(
                    "\(table.keyspace).\(table.name)",
                    [
                        "bytes": .count(files.reduce(0) { $0 + $1.bytes }),
                        "largest_sstable": .list([.count(files.map(\.bytes).max() ?? 0)]),
                        "largest_partition": .list([
                            .count(files.map(\.largestPartitionBytes).max() ?? 0)
                        ]),
                    ])
            })
    }

    private var taskFacts: AdminValue {
        let merges = storage.compactions.map { compaction -> AdminValue in
            let total = max(compaction.bytesTotal, compaction.bytesDone)
            return [
                "keyspace_name": .text(compaction.keyspace), "table_name": .text(compaction.table),
                "task_id": .text(
                    TimeUUID.make(
                        microseconds: 0, sequence: compaction.id.value,
                        node: host.value.low &+ UInt64(index.value)
                    ).description),
                "completion_ratio": .number(
                    total == 0 ? 1 : Double(compaction.bytesDone) / Double(total)),
                "kind": "compaction", "progress": .count(compaction.bytesDone),
                "sstables": .count(compaction.sstables), "total": .count(total), "unit": "bytes",
            ]
        }
        let tasks = storage.maintenanceTitles.enumerated().map { place, title -> AdminValue in
            [
                "keyspace_name": "*", "table_name": "*",
                "task_id": .text(
                    TimeUUID.make(
                        microseconds: 1, sequence: UInt64(place),
                        node: host.value.low &+ UInt64(index.value)
                    ).description),
                "kind": .text(title), "unit": "bytes",
            ]
        }
        return .list(merges + tasks)
    }

    /// For each user table its files' tokens, partitions and bytes.
    private var estimateFacts: AdminValue {
        .map(
            cluster.schema.keyspaces.filter { !SystemSchema.isSystem($0.name) }.flatMap(\.tables)
                .map { table in
                    AdminField(
                        "\(table.keyspace).\(table.name)",
                        .list(
                            storage.sstables(of: table.id).map { file in
                                [
                                    "first": .integer(file.minimumToken),
                                    "last": .integer(file.maximumToken),
                                    "partitions": .count(file.partitions),
                                    "bytes": .count(file.plainBytes),
                                ]
                            }))
                })
    }

    // MARK: Clients and requests

    private var clientFacts: AdminValue {
        .list(
            connections.keys.sorted().compactMap { connections[$0] }.map { connection in
                func option(_ name: String) -> AdminValue {
                    connection.options.first { $0.key == name }.map { .text($0.value) } ?? .null
                }
                return [
                    "address": .text(connection.remote.host),
                    "port": .count(Int(connection.remote.port)),
                    "hostname": .text(connection.remote.host),
                    "username": .text(connection.role ?? "anonymous"),
                    "connection_stage": .text(connection.isStarted ? "ready" : "established"),
                    "protocol_version": .count(Int(connection.version.rawValue)),
                    "client_options": .map(
                        connection.options.map { AdminField($0.key, .text($0.value)) }),
                    "driver_name": option("DRIVER_NAME"),
                    "driver_version": option("DRIVER_VERSION"),
                    "keyspace_name": connection.keyspace.map { .text($0) } ?? .null,
                    "request_count": .count(connection.requestCount), "ssl_enabled": false,
                ]
            })
    }

    private var queryFacts: AdminValue {
        var clients: [(id: UInt64, client: ClientRequest)] = []
        func add(_ id: RequestID, _ client: ClientRequest?) {
            guard let client, !client.isAnswered, !client.statement.isEmpty,
                !clients.contains(where: { $0.client === client })
            else { return }
            clients.append((id.value, client))
        }
        for (id, read) in reads.sorted(by: { $0.key.value < $1.key.value }) {
            add(id, read.session.client)
        }
        for (id, write) in writes.sorted(by: { $0.key.value < $1.key.value }) {
            add(id, write.client)
        }
        return .list(
            clients.map { id, client in
                [
                    "thread_id": .text("Native-Transport-Requests-\(index.value)-\(id)"),
                    "queued_micros": 0,
                    "running_micros": .integer((now.monotonic - client.began).wholeMicroseconds),
                    "task": .text("QUERY " + client.statement),
                ]
            })
    }

    // MARK: Other nodes

    private var gossipFacts: AdminValue {
        guard let control else { return .list([]) }
        return .list(
            cluster.topology.nodes.map { node in
                let isOwn = node.hostID == host
                let state = isOwn ? nil : control.membership.state(of: node.hostID)
                let load = isOwn ? control.load : state?.load ?? 0
                let heartbeat = AdminValue.count(Int(clamping: state?.heartbeat ?? 0))
                let isReady = isOwn ? cluster.state != nil : state?.isReady ?? false
                let told: [(String, AdminValue)] = [
                    ("dc", .text(node.datacenter)), ("rack", .text(node.rack)),
                    ("host_id", .text(node.hostID.description)),
                    ("internal_address_and_port", .text(node.peerAddress.description)),
                    ("internal_ip", .text(node.peerAddress.host)),
                    ("load", .text(String(load))),
                    ("native_address_and_port", .text(node.clientAddress.description)),
                    ("net_version", "1"), ("release_version", .text(Self.releaseVersion)),
                    ("rpc_address", .text(node.clientAddress.host)),
                    ("rpc_ready", .text(String(isReady))),
                    ("schema", .text(schemaVersion(of: node.hostID).description)),
                    ("status", .text("NORMAL,\(node.tokens.first?.value ?? 0)")),
                    ("status_with_port", .text("NORMAL,\(node.tokens.first?.value ?? 0)")),
                    ("tokens", .text(node.tokens.map { String($0.value) }.joined(separator: ","))),
                ]
                var fields = [
                    AdminField("address", .text(node.peerAddress.host)),
                    AdminField("port", .count(Int(node.peerAddress.port))),
                    AdminField("hostname", .text(node.peerAddress.host)),
                    AdminField(
                        "generation",
                        .count(Int(isOwn ? incarnation.value : state?.generation ?? 0))
                    ),
                    AdminField("heartbeat", heartbeat),
                ]
                for (name, value) in told {
                    fields.append(AdminField(name, value))
                    // All of a node's states come with one heartbeat.
                    fields.append(AdminField(name + "_version", heartbeat))
                }
                return .map(fields)
            })
    }

    private var hintFacts: AdminValue {
        .map(
            hints.targets.map { target in
                AdminField(
                    target.description,
                    [
                        "files": .count(hints.fileCount(for: target)),
                        "is_up": .bool(liveHosts.contains(target)),
                    ])
            })
    }

    private func trafficFacts(isInbound: Bool) -> AdminValue {
        .map(
            peerTraffic.sorted { $0.key < $1.key }.map { peer, traffic in
                AdminField(
                    peer.description,
                    isInbound
                        ? [
                            "count": .count(traffic.receivedCount),
                            "bytes": .count(traffic.receivedBytes),
                            "errors": .count(traffic.refusedCount),
                        ]
                        : [
                            "count": .count(traffic.sentCount), "bytes": .count(traffic.sentBytes),
                            "links": .count(linkedHosts.contains(peer) && control != nil ? 1 : 0),
                        ])
            })
    }

    private var propertyFacts: AdminValue {
        guard control != nil else { return .list([]) }
        let properties: [(String, String)] = [
            ("coterie.client_address", clientAddress.description),
            ("coterie.cql_version", Self.cqlVersion), ("coterie.host_id", host.description),
            ("coterie.incarnation", String(incarnation.value)),
            ("coterie.peer_address", peerAddress.description),
            ("coterie.release_version", Self.releaseVersion),
            ("coterie.shards", String(shardCount)), ("product", "Coterie"),
        ]
        return .list(properties.map { ["name": .text($0.0), "value": .text($0.1)] })
    }
}

extension RequestMeasure {
    /// The measure that a virtual table shows.
    init?(view table: String) {
        switch table {
        case "system_views.coordinator_read_latency": self = .coordinatorRead
        case "system_views.coordinator_scan_latency": self = .coordinatorScan
        case "system_views.coordinator_write_latency": self = .coordinatorWrite
        case "system_views.local_read_latency": self = .localRead
        case "system_views.local_scan_latency": self = .localScan
        case "system_views.local_write_latency": self = .localWrite
        default: return nil
        }
    }
}

extension HistogramFigures {
    /// As facts that add up; the largest values stand in a list, because they do not.
    var fact: AdminValue {
        [
            "buckets": .map(
                buckets.sorted { $0.key < $1.key }.map {
                    AdminField(String($0.key), .integer(Int64(clamping: $0.value)))
                }),
            "count": .integer(Int64(clamping: count)),
            "maximum": .list([.integer(Int64(clamping: maximum))]),
        ]
    }

    /// Out of facts that were added up.
    init(_ fact: AdminValue) {
        for field in fact["buckets"].fields {
            guard let bucket = Int(field.name), (0..<LogHistogram.bucketCount).contains(bucket)
            else {
                continue
            }
            buckets[bucket] = UInt64(clamping: field.value.integer)
        }
        count = UInt64(clamping: fact["count"].integer)
        maximum = UInt64(clamping: fact["maximum"].elements.map(\.integer).max() ?? 0)
    }
}
