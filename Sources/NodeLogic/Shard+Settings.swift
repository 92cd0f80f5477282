// `UPDATE system_views.settings SET value = '...' WHERE name = '...'`: every shard has its own copy of the
// settings, so the statement is answered when all of them have taken the new value. It lasts until the node
// stops; what a file or `--set` says holds again at the next start.

internal import CQL
internal import Encoding
internal import Environment
internal import Model
internal import Storage

/// A change of a setting that some shard has not taken yet.
struct PendingSetting {
    let client: ClientRequest
    var waiting: Int
}

extension Shard {
    /// Changes the setting that the statement names.
    func changeSettings(
        _ plan: ModificationPlan, _ values: BoundValues, _ client: ClientRequest
    ) throws(CQLError) {
        let sink = MutationSink()
        try plan.build(
            values,
            ExecutionContext(
                timestamp: now.wall.microseconds, nowInSeconds: now.wall.seconds), into: sink)
        var changes: [(name: String, value: String)] = []
        for entry in sink.entries {
            let change: (name: String, value: String)?
            do throws(MalformedBytes) {
                change = try Self.setting(sink[entry], plan.table)
            } catch {
                throw .serverError("a mutation that was just made is malformed: \(error)")
            }
            guard let change else {
                throw .invalid("A setting cannot be deleted, only changed")
            }
            changes.append(change)
        }
        guard let change = changes.first, changes.count == 1 else {
            throw .invalid("One setting is changed at a time")
        }
        guard let setting = Configuration.setting(named: change.name) else {
            throw .invalid(unknownSetting(change.name))
        }
        guard setting.isHot else {
            throw .invalid(
                "\(change.name) cannot be changed while the node runs: it is read when it starts")
        }
        var changed = configuration
        do throws(SettingFailure) {
            try changed.set(change.name, to: change.value)
            try changed.check()
        } catch {
            throw .invalid(error.description)
        }
        nextView += 1
        pendingSettings[nextView] = PendingSetting(client: client, waiting: shardCount)
        for shard in 0..<shardCount {
            sendShard(
                .changeSetting(nextView, name: change.name, value: change.value),
                to: ShardIndex(shard))
        }
    }

    private func unknownSetting(_ name: String) -> String {
        var copy = configuration
        do throws(SettingFailure) { try copy.set(name, to: "") } catch { return error.description }
        return "there is no setting \(name)"
    }

    /// Name and value of a mutation of the settings; nil if it deletes something.
    private static func setting(
        _ bytes: UnsafeRawBufferPointer, _ table: TableSchema
    ) throws(MalformedBytes) -> (name: String, value: String)? {
        let mutation = try MutationView(bytes)
        let partition = try PartitionView(mutation.partition)
        var rows = partition.rows
        guard partition.deletion.isNone, partition.ranges.isEmpty,
            let (_, bytes) = try rows.next()
        else { return nil }
        let row = try RowView(bytes)
        var cells = row.cells
        guard row.deletion.isNone, let cell = try cells.next(), cell.isLive(nowInSeconds: 0),
            cell.column == table.column(named: "value")?.id.value
        else { return nil }
        return (
            String(decoding: mutation.key, as: UTF8.self),
            String(decoding: cell.value, as: UTF8.self)
        )
    }

    /// Takes a setting that was checked, for a shard of this node.
    func serveSetting(_ id: UInt64, _ name: String, _ value: String, from shard: ShardIndex) {
        do throws(SettingFailure) { try change(name, to: value) } catch {
            stop("a setting that was checked is refused: \(error)")
        }
        sendShard(.settingChanged(id), to: shard)
    }

    /// A shard has taken it.
    func settingChanged(_ id: UInt64) {
        guard var pending = pendingSettings[id] else { return }
        pending.waiting -= 1
        pendingSettings[id] = pending.waiting > 0 ? pending : nil
        if pending.waiting == 0 { answerVoid(pending.client) }
    }

    /// Changes a setting of this shard.
    func change(_ name: String, to value: String) throws(SettingFailure) {
        var changed = configuration
        try changed.set(name, to: value)
        configuration = changed
        switch name {
        case "compaction_throughput":
            // The node's rate is shared by its shards.
            let bytes = changed.storage.compactionThroughputBytesPerSecond
            storage.compactionThroughputBytesPerSecond = bytes == 0 ? 0 : max(1, bytes / shardCount)
        case "file_cache_size":
            storage.resizeBlockCache(to: changed.storage.blockCacheBytes)
        case "max_prepared_statements":
            prepared.maximumCount = max(1, changed.clients.maximumPreparedStatements)
        case "prepared_statements_cache_size":
            prepared.maximumBytes = changed.clients.maximumPreparedBytes
        case "tombstone_failure_threshold":
            storage.tombstoneFailureThreshold = changed.requests.tombstoneFailureThreshold
        default: break
        }
    }
}
