// TRUNCATE: every node empties the table, and all must be there, because a node that is down would bring
// its rows back.
//
// **What came before.** Hints, logged batches and proposals of conditional writes may bring a write to a replica
// later; those from before the truncation are not applied. Both have times of the hybrid clock: the truncation's
// is its coordinator's, and whoever has carried it out stamps nothing older any more, whatever the wall clocks say.

internal import Encoding
internal import Environment
internal import Model
internal import NativeProtocol
internal import PeerProtocol
internal import Storage
internal import Topology

extension Shard {
    func startTruncation(_ table: TableSchema, _ client: ClientRequest) {
        let topology = cluster.topology
        let dead = topology.nodes.indices.filter { !isAlive(NodeIndex($0), topology) }
        guard dead.isEmpty else {
            answer(
                client,
                error: .truncateError(
                    "Error during truncate: Cannot achieve consistency level ALL: \(dead.count) of"
                        + " \(topology.nodes.count) nodes are down, and all must empty the table"))
            return
        }
        let id = requestIDs.next()
        var waiting: [HostID: Int] = [:]
        for node in topology.nodes { waiting[node.hostID] = 1 }
        truncations[id] = PendingTruncation(client: client, waiting: waiting)
        deadlines.add(
            .truncation(id), span: configuration.requests.truncateTimeout, now: now.monotonic)
        let request = TruncateRequest(
            table: table.id.value, timestamp: clock.next(wall: now.wall))
        for node in topology.nodes {
            sendControl(.truncate, to: node.hostID, request: id) { request.encode(into: $0) }
        }
    }

    /// On shard 0: passes the truncation on to all shards of this node; on another shard: carries it
    /// out and answers shard 0, which answers the coordinator when all have.
    func serveTruncate(_ header: PeerHeader, _ request: TruncateRequest, fromShard: Bool) {
        guard let control else { return }
        control.truncations[TruncationOrigin(sender: header.sender, request: header.request)] =
            NodeTruncation(header: header, fromShard: fromShard, waiting: shardCount)
        for shard in 0..<shardCount {
            sendShard(
                .truncate(
                    request.table, timestamp: request.timestamp, sender: header.sender,
                    request: header.request),
                to: ShardIndex(shard))
        }
    }

    /// Now, by the hybrid clock: not before anything that this node has heard of.
    var agreedNow: WallTime {
        WallTime(microseconds: max(now.wall.microseconds, clock.latest))
    }

    /// Whether something of that time was there before the table was emptied.
    func isTruncated(_ table: TableID, since time: WallTime) -> Bool {
        truncatedAt[table].map { time < $0 } ?? false
    }

    /// Empties the table in this shard, after a snapshot of it unless that is switched off. The
    /// timestamp names the snapshot: it is the same for all shards.
    func truncateOwn(
        _ table: UniqueID, _ timestamp: Int64, _ sender: HostID, _ request: RequestID
    ) {
        // A stamp too far ahead has been rejected, and is not to outdate what comes for as long.
        truncatedAt[TableID(table)] = WallTime(
            microseconds: min(timestamp, agreedNow.microseconds))
        do {
            let snapshot = automaticSnapshot(
                "truncated-\(timestamp)", of: TableID(table), in: cluster.schema)
            let id = try storage.truncate(TableID(table), snapshot: snapshot)
            maintenanceWaiters[id] = .truncation(table: table, sender: sender, request: request)
        } catch {
            stop("storage: \(error)")
        }
    }

    /// The manifest no longer names the table's files: now the position is kept, so that the log's
    /// mutations up to it stay away too, and the time, for hints and logged batches.
    func truncatedOwn(
        _ table: UniqueID, _ completed: CompletedMaintenance, _ sender: HostID, _ request: RequestID
    ) {
        let time = truncatedAt[TableID(table)] ?? agreedNow
        commit(
            [
                .putTruncation(
                    table: table, shard: index.value, microseconds: time.microseconds,
                    position: completed.position.description)
            ], then: .truncated(sender: sender, request: request))
    }

    /// On shard 0: one shard has emptied the table, for good.
    func shardTruncated(_ sender: HostID, _ request: RequestID) {
        let origin = TruncationOrigin(sender: sender, request: request)
        guard let control, var pending = control.truncations[origin] else { return }
        pending.waiting -= 1
        guard pending.waiting == 0 else {
            control.truncations[origin] = pending
            return
        }
        control.truncations[origin] = nil
        respond(to: pending.header, .truncateResponse, fromShard: pending.fromShard) {
            MutationResponse.applied.encode(into: $0)
        }
    }

    /// On the coordinator: one node has emptied the table.
    func truncationAnswered(_ header: PeerHeader, _ response: MutationResponse) {
        guard let pending = truncations[header.request] else { return }
        pending.waiting[header.sender] = nil
        guard pending.waiting.isEmpty else { return }
        truncations[header.request] = nil
        answerVoid(pending.client)
    }

    func truncationExpired(_ id: RequestID) {
        guard let pending = truncations.removeValue(forKey: id) else { return }
        let answered = pending.nodeCount - pending.waiting.count
        answer(
            pending.client,
            error: .truncateError(
                "Error during truncate: Truncate timed out - received only \(answered) responses:"
                    + " \(pending.waiting.count) nodes have not answered"))
    }
}

/// Which truncation, among all coordinators'.
struct TruncationOrigin: Hashable {
    let sender: HostID
    let request: RequestID
}

/// A truncation that this node's shards are carrying out.
struct NodeTruncation {
    let header: PeerHeader
    let fromShard: Bool
    var waiting: Int
}
