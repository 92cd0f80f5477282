// What each shard counts: tables, files, queues, hints, clients. Shard 0 adds the shards up.

internal import CQL
internal import Encoding
internal import Environment
internal import Membership
internal import Model
internal import NativeProtocol
internal import Storage
internal import Topology

extension Shard {
    /// The figures that a task asks for.
    func figures(_ words: [String]) throws(AdminRefusal) -> AdminValue {
        switch words.first {
        case "tablestats": return tableFigures()
        case "info":
            return [
                "load": .count(storedBytes), "uncompressed_load": .count(storedPlainBytes),
                "memtable_bytes": .count(storage.memtableBytes),
            ]
        case "tpstats": return queueFigures()
        case "proxyhistograms", "tablehistograms": return histogramFacts(words)
        case "compactionstats":
            return [
                "pending": .count(storage.maintenanceTitles.count + storage.compactions.count),
                "tasks": runningTasks,
            ]
        case "sstables":
            guard words.count == 3, let id = UniqueID(words[1]), let token = Int64(words[2]) else {
                throw AdminRefusal("a malformed task: \(words)")
            }
            return .list(
                storage.files(of: TableID(id), holding: token).map { .text($0.text) })
        case "listpendinghints":
            return .list(
                hints.targets.map { target in
                    let address = cluster.topology.node(target)?.peerAddress
                    return [
                        "host_id": .text(target.description),
                        "address": .text(address?.description ?? "unknown"),
                        "status": .text(liveHosts.contains(target) ? "UP" : "DOWN"),
                        "bytes": .count(hints.bytes(for: target)),
                    ]
                })
        case "clientstats":
            return .list(
                connections.keys.sorted().compactMap { connections[$0] }.map { connection in
                    [
                        "address": .text(connection.remote.description),
                        "version": .count(Int(connection.version.rawValue)),
                        "keyspace": .text(connection.keyspace ?? ""),
                        "in_flight": .count(connection.inFlight),
                        "options": .map(
                            connection.options.map { AdminField($0.key, .text($0.value)) }),
                    ]
                })
        case let word: throw AdminRefusal("a task that no shard knows: \(word ?? "")")
        }
    }

    private var runningTasks: AdminValue {
        let merges = storage.compactions.map { compaction in
            "compact \(compaction.keyspace).\(compaction.table) (\(compaction.reason)): "
                + "\(compaction.bytesDone) of \(compaction.bytesTotal) bytes, "
                + "id \(index.value)-\(compaction.id.value)"
        }
        return .list(
            (storage.maintenanceTitles + merges).map { .text("shard \(index.value): \($0)") })
    }

    /// Bytes of all files of this shard.
    var storedBytes: Int {
        cluster.schema.keyspaces.flatMap(\.tables).reduce(0) {
            $0 + (storage.statistics(of: $1.id)?.sstableBytes ?? 0)
        }
    }

    private var storedPlainBytes: Int {
        cluster.schema.keyspaces.flatMap(\.tables).flatMap { storage.sstables(of: $0.id) }
            .reduce(0) { $0 + $1.plainBytes }
    }

    /// By keyspace and table.
    private func tableFigures() -> AdminValue {
        .map(
            cluster.schema.keyspaces.map { keyspace in
                AdminField(
                    keyspace.name,
                    .map(keyspace.tables.map { AdminField($0.name, figures(of: $0)) }))
            })
    }

    private func figures(of table: TableSchema) -> AdminValue {
        guard let statistics = storage.statistics(of: table.id) else { return [:] }
        let files = storage.sstables(of: table.id)
        let speculation = tableMetrics[table.id]?.speculation ?? SpeculationCounts()
        return [
            "sstable_count": .count(statistics.sstables),
            "space_used": .count(statistics.sstableBytes),
            "uncompressed": .count(files.reduce(0) { $0 + $1.plainBytes }),
            "partitions": .count(files.reduce(0) { $0 + $1.partitions }),
            "memtable_partitions": .count(statistics.memtablePartitions),
            "rows": .count(files.reduce(0) { $0 + $1.rows }),
            "tombstones": .count(files.reduce(0) { $0 + $1.tombstones }),
            "memtable_bytes": .count(statistics.memtableBytes),
            "memtable_switches": .count(statistics.flushes),
            "speculative_retries": .count(speculation.retries),
            "speculative_failed_retries": .count(speculation.failedRetries),
            "speculative_insufficient_replicas": .count(speculation.insufficientReplicas),
            "compactions": .count(statistics.compactions),
            "bytes_flushed": .count(statistics.bytesFlushed),
            "bytes_compacted": .count(statistics.bytesCompacted),
            "tombstones_purged": .count(statistics.tombstonesPurged),
            "filter_bytes": .count(files.reduce(0) { $0 + $1.filterBytes }),
            "sstable_sizes": .list(files.map { .count($0.bytes) }),
            "compaction_failures": .list(
                statistics.compactionFailure.map { [.text("\($0)")] } ?? []),
        ]
    }

    /// What is under way, by the names of Cassandra's pools.
    func queueFigures() -> AdminValue {
        func pool(_ active: Int, _ pending: Int = 0, completed: Int = 0) -> AdminValue {
            [
                "active": .count(active), "pending": .count(pending),
                "completed": .count(completed),
            ]
        }
        return [
            "ReadStage": pool(localReads.count, 0, completed: completedCounts.reads),
            "MutationStage": pool(
                durabilityWaiters.count, held.count, completed: completedCounts.writes),
            "RequestResponseStage": pool(writes.count + reads.count + forwarded.count),
            "Native-Transport-Requests": pool(
                connections.values.reduce(0) { $0 + $1.inFlight },
                completed: completedCounts.requests),
            "HintsDispatcher": pool(hintReplays.count),
            "CompactionExecutor": pool(storage.compactionsUnderWay),
            "MemtableFlushWriter": pool(storage.flushesUnderWay, storage.flushesWaiting),
            "MigrationStage": pool(schemaRequests.count),
        ]
    }
}

extension Shard {
    /// Whether a request that did not ask for it is traced.
    func isSampled() -> Bool {
        guard traceProbability > 0 else { return false }
        return Double(traceStream.below(1 << 32)) < traceProbability * 0x1p32
    }

    /// Tells shard 0 how much this shard holds, after jobs that may have changed it.
    func announceLoad() {
        guard mayHaveNewLoad else { return }
        mayHaveNewLoad = false
        let bytes = storedBytes
        guard bytes != announcedLoad else { return }
        announcedLoad = bytes
        sendShard(.load(UInt64(bytes)), to: ShardIndex(0))
    }

    /// On shard 0: gossip tells it with the next round.
    func shardLoaded(_ bytes: UInt64, _ shard: ShardIndex) {
        guard let control else { return }
        control.shardLoads[shard.value] = bytes
        carryOut(
            control.membership.updateOwn(
                epoch: cluster.epoch, isReady: cluster.state != nil, load: control.load))
    }
}
