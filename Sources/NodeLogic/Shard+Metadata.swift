// Schema and topology as they change: every shard installs each epoch, and tells the clients that
// registered for it.

internal import CQL
internal import Encoding
internal import Environment
internal import Model
internal import NativeProtocol
internal import PeerProtocol
internal import Storage
internal import Topology

extension Shard {
    /// Sends a notice to another shard of this node, or takes it in at once if it is for this one.
    func sendShard(_ notice: ShardNotice, to shard: ShardIndex) {
        if shard == index {
            receive(notice, from: index)
            return
        }
        let start = deferred.bytes.count
        notice.encode(into: deferred.bytes)
        deferred.effects.append(
            .shardMessage(
                shard, ByteRange(offset: start, count: deferred.bytes.count - start)))
    }

    /// A message of another shard: a request for data in peers' form, or a notice.
    func receiveShard(_ bytes: UnsafeRawBufferPointer, from sender: ShardIndex) {
        if bytes.first == PeerEnvelope.magic {
            receivePeer(bytes, fromShard: true)
            return
        }
        do {
            receive(try ShardNotice(bytes), from: sender)
        } catch {
            stop("a notice of shard \(sender.value) cannot be read: \(error)")
        }
    }

    private func receive(_ notice: ShardNotice, from sender: ShardIndex) {
        switch notice {
        case .entries(let records): install(records)
        case .liveness(let hosts, let epochs): install(hosts, epochs)
        case .epochSeen(let epoch, let peer):
            if let control {
                carryOut(control.log.epochSeen(epoch, at: peer, now: now.monotonic))
            }
        case .changeSchema(let request, let statement, let keyspace):
            changeSchema(request, statement, keyspace, from: sender)
        case .schemaChanged(let request, let answer): schemaChanged(request, answer)
        case .truncate(let table, let timestamp, let origin, let request):
            truncateOwn(table, timestamp, origin, request)
        case .truncated(let origin, let request): shardTruncated(origin, request)
        case .installed(let epoch): shardInstalled(epoch, sender)
        case .adminTask(let task, let words): serveAdmin(task, words)
        case .adminDone(let task, let value, let failure): adminDone(task, value, failure)
        case .load(let bytes): shardLoaded(bytes, sender)
        case .changeSetting(let change, let name, let value):
            serveSetting(change, name, value, from: sender)
        case .settingChanged(let change): settingChanged(change)
        case .viewTask(let view, let table): serveView(view, table, from: sender)
        case .viewFacts(let view, let facts): viewTold(view, facts)
        case .rolesChanged(let change):
            forgetAuthorities()
            sendShard(.rolesForgotten(change), to: sender)
        case .rolesForgotten(let change): rolesForgotten(change)
        case .prepared(let keyspace, let text, let epoch):
            statementPrepared(keyspace, text, epoch)
        }
    }

    // MARK: Installing

    /// Entries that shard 0 has stored.
    func install(_ records: [MetadataLogRecord]) {
        do {
            var state = cluster.state
            for record in records where state.map({ record.epoch > $0.epoch }) ?? true {
                let next = try ClusterState.following(state, try MetadataEntry(record.body))
                // A table may come back under its id: what it held goes between the two.
                if let state, Self.drops(from: state.schema, to: next.schema) { install(next) }
                state = next
            }
            if let state, state.epoch > cluster.epoch || cluster.state == nil { install(state) }
        } catch {
            stop("an entry of the metadata log cannot be installed: \(error)")
        }
    }

    private static func drops(from old: SchemaSnapshot, to new: SchemaSnapshot) -> Bool {
        old.epoch != new.epoch && old.allTables.contains { new.table($0.id) == nil }
    }

    /// Keeps the log's records of tables that are gone away from tables that are made under their ids
    /// later. Committed before an entry that makes one can be.
    func forgetRecords(of tables: [TableID]) {
        guard !tables.isEmpty else { return }
        let time = WallTime(microseconds: clock.next(wall: now.wall))
        for table in tables { truncatedAt[table] = time }
        let position = storage.logPosition.description
        commit(
            tables.sorted().map { table in
                .putTruncation(
                    table: table.value, shard: index.value, microseconds: time.microseconds,
                    position: position)
            }, then: .nothing)
    }

    /// The state of a new epoch.
    func install(_ state: ClusterState) {
        let former = cluster
        cluster = ClusterView(state, host: host)
        if former.schema.epoch != cluster.schema.epoch {
            forgetRecords(
                of: former.schema.allTables.map(\.id).filter { cluster.schema.table($0) == nil })
            storage.install(
                cluster.schema, snapshots: droppedSnapshots(former.schema, epoch: state.epoch))
            forgetImpossibleStatements()
        }
        if former.topology !== cluster.topology { installTopology() }
        observe(.epochInstalled(state.epoch))
        for change in Self.differences(from: former.schema, to: cluster.schema) {
            announce(.schema(change))
        }
        for node in cluster.topology.nodes
        where former.state != nil && former.topology.node(node.hostID) == nil {
            announce(
                .topology(
                    .newNode, address: node.clientAddress.address,
                    port: Int(node.clientAddress.port)))
        }
        resumeParked()
        sendShard(.installed(state.epoch), to: ShardIndex(0))
    }

    /// Links to all other nodes, at their agreed addresses.
    func installTopology() {
        for node in cluster.topology.nodes
        where node.hostID != host && linkTargets[node.hostID] != node.peerAddress {
            linkTargets[node.hostID] = node.peerAddress
            deferred.effects.append(.peerLink(node.hostID, node.peerAddress))
        }
        for peer in linkTargets.keys.sorted() where cluster.topology.node(peer) == nil {
            linkTargets[peer] = nil
            linkedHosts.remove(peer)
            deferred.effects.append(.peerUnlink(peer))
        }
    }

    /// What clients are told about the way from one schema to another.
    private static func differences(
        from old: SchemaSnapshot, to new: SchemaSnapshot
    ) -> [NativeProtocol.SchemaChange] {
        guard old.epoch != new.epoch else { return [] }
        var changes: [NativeProtocol.SchemaChange] = []
        for keyspace in new.keyspaces {
            let former = old.keyspace(named: keyspace.name)
            if former == nil {
                changes.append(.init(.created, keyspace: keyspace.name, .keyspace))
            } else if former?.replication != keyspace.replication
                || former?.durableWrites != keyspace.durableWrites
            {
                changes.append(.init(.updated, keyspace: keyspace.name, .keyspace))
            }
            for type in keyspace.types where former?.type(named: type.name) != type {
                let verb: NativeProtocol.SchemaChange.Change =
                    former?.type(named: type.name) == nil ? .created : .updated
                changes.append(.init(verb, keyspace: keyspace.name, .type(type.name)))
            }
            for table in keyspace.tables {
                let before = former?.table(named: table.name)
                if before === table { continue }
                changes.append(
                    .init(
                        before?.id == table.id ? .updated : .created, keyspace: keyspace.name,
                        .table(table.name)))
            }
        }
        for keyspace in old.keyspaces {
            guard let now = new.keyspace(named: keyspace.name) else {
                changes.append(.init(.dropped, keyspace: keyspace.name, .keyspace))
                continue
            }
            for table in keyspace.tables where now.table(named: table.name) == nil {
                changes.append(.init(.dropped, keyspace: keyspace.name, .table(table.name)))
            }
            for type in keyspace.types where now.type(named: type.name) == nil {
                changes.append(.init(.dropped, keyspace: keyspace.name, .type(type.name)))
            }
        }
        return changes
    }

    // MARK: Schema changes for our clients

    func startSchemaChange(_ statement: String, keyspace: String?, _ client: ClientRequest) {
        nextSchemaRequest += 1
        let id = nextSchemaRequest
        schemaRequests[id] = client
        let span = configuration.requests.schemaTimeout
        deadlines.add(
            .schema(id), span: Instant.Span(nanoseconds: span.nanoseconds * 2), now: now.monotonic)
        sendShard(
            .changeSchema(request: id, statement: statement, keyspace: keyspace),
            to: ShardIndex(0))
    }

    func schemaChanged(_ request: UInt64, _ outcome: SchemaAnswer) {
        guard let client = schemaRequests.removeValue(forKey: request) else { return }
        switch outcome {
        case .nothing: answerVoid(client)
        case .changed(let change): followWithPermissions(change, client)
        case .failed(let error): answer(client, error: error)
        }
    }

    func schemaExpired(_ request: UInt64) {
        guard let client = schemaRequests.removeValue(forKey: request) else { return }
        answer(
            client,
            error: .serverError(
                "The schema change was not agreed in time; it may still be applied"))
    }
}
