// The batch log: a logged batch of several partitions is finished by others if its coordinator dies
// (docs/protocols/batchlog.md).
//
//     coordinator: entry on two other nodes --both have it--> the writes --at their level--> entries removed
//     a node with an entry older than two write timeouts: sends all its writes, then removes it
//
// An entry is a row of `system.batches`, of the node's own and of the shard whose slice has the id's
// token; it travels as a mutation like any other. Removing is not waited for: an entry that stays is
// sent again, and its writes have their old timestamps. What was written to a table that was truncated or dropped
// meanwhile is left out, and what is older than `gc_grace_seconds`: its deletion may be forgotten. An entry is
// done with when each of its writes has reached a replica, or is kept in hints for all of them.

internal import CQL
internal import Encoding
internal import Environment
internal import Model
internal import PeerProtocol
internal import Replication
internal import Storage
internal import Topology

/// A logged batch whose entry is on its way to its keepers.
final class LoggedBatch {
    let client: ClientRequest
    let id: UniqueID
    let keepers: [HostID]
    let mutations: [[UInt8]]
    let consistency: ConsistencyLevel
    let timestamp: Int64
    var kept = 0

    init(
        client: ClientRequest, id: UniqueID, keepers: [HostID], mutations: [[UInt8]],
        consistency: ConsistencyLevel, timestamp: Int64
    ) {
        self.client = client
        self.id = id
        self.keepers = keepers
        self.mutations = mutations
        self.consistency = consistency
        self.timestamp = timestamp
    }
}

/// A batch that this shard carries out for a coordinator that has not said that it did.
struct ReplayedBatch {
    var outstanding: Int
    /// Some of its writes reached no replica: it must be sent again.
    var isIncomplete = false
}

/// The columns of `system.batches`.
enum BatchesTable {
    static let schema: TableSchema = {
        guard let table = SystemSchema.table("system", "batches") else {
            preconditionFailure("the system keyspace has no table batches")
        }
        return table
    }()
    static let mutations = column("mutations")
    static let version = column("version")
    /// Of the mutations' encoding.
    static let currentVersion: Int32 = 1

    private static func column(_ name: String) -> UInt32 {
        guard let column = schema.column(named: name) else {
            preconditionFailure("system.batches has no column \(name)")
        }
        return column.id.value
    }

    /// The mutation that keeps an entry.
    static func entry(_ id: UniqueID, _ batch: [[UInt8]], timestamp: Int64) -> [UInt8] {
        let row = ByteWriter(capacity: 1024)
        var writer = RowWriter()
        writer.begin(
            liveness: Liveness(timestamp: timestamp), deletion: .none, baseTimestamp: timestamp,
            into: row)
        func appendMutations() {
            for (place, mutation) in batch.enumerated() {
                // The path of an element behind all others (`CollectionCells`).
                let path =
                    [0x80] + bigEndian(UInt64(bitPattern: timestamp) ^ (1 << 63))
                    + bigEndian(UInt32(place)) + bigEndian(UInt32(0))
                path.withBytes { path in
                    mutation.withBytes { mutation in
                        writer.append(
                            Cell(
                                column: mutations, flags: .hasPath, timestamp: timestamp,
                                path: path,
                                value: mutation),
                            into: row)
                    }
                }
            }
        }
        func appendVersion() {
            bigEndian(UInt32(bitPattern: currentVersion)).withBytes { value in
                writer.append(
                    Cell(column: version, flags: [], timestamp: timestamp, value: value), into: row)
            }
        }
        // A row's cells are sorted by column.
        if mutations < version {
            appendMutations()
            appendVersion()
        } else {
            appendVersion()
            appendMutations()
        }
        let output = ByteWriter(capacity: row.count + 64)
        begin(id, into: output)
        PartitionWriter.begin(into: output)
        let clustering = ByteWriter(capacity: 4)
        ClusteringKey.appendTerminator(into: clustering)
        PartitionWriter.append(key: clustering.bytes, row: row.bytes, into: output)
        return output.array
    }

    /// The mutation that removes an entry.
    static func removal(_ id: UniqueID, timestamp: Int64, nowInSeconds: Int64) -> [UInt8] {
        let output = ByteWriter(capacity: 64)
        begin(id, into: output)
        PartitionWriter.begin(
            deletion: Deletion(
                timestamp: timestamp, localDeletionTime: UInt32(clamping: nowInSeconds)),
            into: output)
        return output.array
    }

    private static func begin(_ id: UniqueID, into output: ByteWriter) {
        id.bytes.withBytes {
            MutationWriter.begin(
                table: schema.id, token: Token.of($0).value, key: $0, into: output)
        }
    }

    private static func bigEndian<Value: FixedWidthInteger>(_ value: Value) -> [UInt8] {
        withUnsafeBytes(of: value.bigEndian) { Array($0) }
    }

    /// The entries of a read result: id and mutations.
    static func entries(
        _ result: ReadResultView
    ) throws(MalformedBytes) -> [(id: UniqueID, mutations: [[UInt8]])] {
        var entries: [(id: UniqueID, mutations: [[UInt8]])] = []
        var partitions = result.partitions
        while let (_, key, bytes) = try partitions.next() {
            var reader = ByteReader(key)
            let id = try reader.readUniqueID()
            var batch: [[UInt8]] = []
            let view = try PartitionView(bytes)
            var rows = view.rows
            while let (clustering, row) = try rows.next() {
                let shadow = view.shadow(of: clustering)
                var cells = try RowView(row).cells
                while let cell = try cells.next() {
                    guard cell.column == mutations, !cell.isTombstone, !cell.isComplexDeletion,
                        !shadow.shadows(cell.timestamp)
                    else { continue }
                    batch.append([UInt8](cell.value))
                }
            }
            if !batch.isEmpty { entries.append((id, batch)) }
        }
        return entries
    }
}

extension Shard {
    // MARK: Coordinating

    /// Starts a logged batch of several partitions.
    func startLoggedBatch(
        _ mutations: [[UInt8]], consistency: ConsistencyLevel, timestamp: Int64,
        _ client: ClientRequest
    ) throws(CQLError) {
        for mutation in mutations { try checkAvailable(mutation, consistency) }
        let keepers = try batchKeepers(consistency)
        let id = timeUUID(at: agreedNow)
        let batch = LoggedBatch(
            client: client, id: id, keepers: keepers, mutations: mutations,
            consistency: consistency,
            timestamp: timestamp)
        let run = requestIDs.next()
        loggedBatches[run] = batch
        deadlines.add(
            .batchLog(run), span: client.timeout ?? configuration.requests.writeTimeout,
            now: now.monotonic)
        client.trace?.note(
            "Writing the batch log on \(keepers.map { name(of: $0) }.joined(separator: " and "))",
            now: now.monotonic)
        let stamp = clock.next(wall: now.wall)
        let entry = BatchesTable.entry(id, mutations, timestamp: stamp)
        for keeper in keepers { sendEntry(entry, id, to: keeper, request: run) }
    }

    /// Before anything is logged all of the batch must be possible.
    private func checkAvailable(
        _ mutation: [UInt8], _ consistency: ConsistencyLevel
    ) throws(CQLError) {
        let view: MutationView
        do throws(MalformedBytes) {
            view = try mutation.withBytes { raw throws(MalformedBytes) in try MutationView(raw) }
        } catch {
            throw .serverError("a mutation that was just made is malformed: \(error)")
        }
        guard let route = cluster.route(of: view.table) else {
            throw .invalid("unconfigured table \(view.table)")
        }
        let topology = cluster.topology
        let living = route.placement.replicas(of: Token(view.token)).filter {
            isAlive($0, topology)
        }
        if case .insufficient(let required, let alive) = BlockFor.availability(
            consistency, placement: route.placement, snapshot: topology,
            localDatacenter: cluster.ownDatacenter, alive: living)
        {
            throw .unavailable(
                "Cannot achieve consistency level \(consistency)", consistency: consistency,
                required: required, alive: alive)
        }
    }

    /// Two other living nodes of our datacenter, of two other racks where there are, or the only one. Ourselves
    /// if we are its only node, or at ANY: otherwise the batch would be lost with us.
    private func batchKeepers(_ consistency: ConsistencyLevel) throws(CQLError) -> [HostID] {
        let topology = cluster.topology
        let ownRack = topology.node(host)?.rack
        let neighbours = topology.nodes.indices.map { NodeIndex($0) }.filter {
            topology.host(at: $0) != host && topology.datacenter(of: $0) == cluster.ownDatacenter
        }
        let others = neighbours.filter { isAlive($0, topology) }
        guard !others.isEmpty else {
            if neighbours.isEmpty || consistency == .any { return [host] }
            throw .unavailable(
                "Cannot achieve consistency level TWO for the batch log", consistency: .two,
                required: 2, alive: 0)
        }
        nextKeeper += 1
        let turn = others.indices.map { others[($0 + nextKeeper) % others.count] }
        var chosen: [NodeIndex] = []
        var racks: [String] = []
        for node in turn where topology.nodes[node.index].rack != ownRack && chosen.count < 2 {
            let rack = topology.nodes[node.index].rack
            guard !racks.contains(rack) else { continue }
            racks.append(rack)
            chosen.append(node)
        }
        for node in turn where chosen.count < 2 && !chosen.contains(node) { chosen.append(node) }
        return chosen.map { topology.host(at: $0) }
    }

    private func sendEntry(
        _ mutation: [UInt8], _ id: UniqueID, to keeper: HostID, request: RequestID
    ) {
        let token = id.bytes.withBytes { Token.of($0) }
        sendRequest(
            .mutation, to: keeper, token: token, request: request,
            budget: configuration.requests.writeTimeout
        ) { writer in
            mutation.withBytes { MutationRequest(mutation: $0).encode(into: writer) }
        }
    }

    /// A keeper has the entry; false if the request is none of a batch.
    func batchKept(_ id: RequestID) -> Bool {
        guard let batch = loggedBatches[id] else { return false }
        batch.kept += 1
        guard batch.kept == batch.keepers.count else { return true }
        loggedBatches[id] = nil
        guard !batch.client.isAnswered else { return true }
        batch.client.loggedBatch = batch
        batch.client.outstandingWrites = batch.mutations.count
        for mutation in batch.mutations {
            mutation.withBytes {
                coordinateWrite(
                    $0, consistency: batch.consistency, type: .batch, timestamp: batch.timestamp,
                    client: batch.client)
            }
        }
        return true
    }

    /// A keeper could not keep the entry; false if the request is none of a batch.
    func batchNotKept(_ id: RequestID, address: [UInt8], reason: UInt16) -> Bool {
        guard let batch = loggedBatches.removeValue(forKey: id) else { return false }
        removeEntries(batch)
        answer(
            batch.client,
            error: .writeFailure(
                "Operation failed - received \(batch.kept) responses and 1 failures: the batch log was"
                    + " not written, and nothing of the batch was",
                consistency: batch.consistency, received: batch.kept,
                required: batch.keepers.count,
                failures: [CQLError.ReplicaFailure(address: address, reason: reason)],
                type: .batchLog))
        return true
    }

    func batchLogExpired(_ id: RequestID) {
        guard let batch = loggedBatches.removeValue(forKey: id) else { return }
        // The entry may have arrived after all: the batch is then carried out later.
        answer(
            batch.client,
            error: .writeTimeout(
                "Operation timed out - received only \(batch.kept) responses: the batch log was written"
                    + " on \(batch.kept) of \(batch.keepers.count) nodes, nothing of the batch was yet,"
                    + " and all of it may still apply",
                consistency: batch.keepers.count > 1 ? .two : .one, received: batch.kept,
                required: batch.keepers.count, type: .batchLog))
    }

    /// The batch is through at its consistency level: nobody has to finish it.
    func removeEntries(_ batch: LoggedBatch) {
        let removal = BatchesTable.removal(
            batch.id, timestamp: clock.next(wall: now.wall), nowInSeconds: now.wall.seconds)
        for keeper in batch.keepers {
            sendEntry(removal, batch.id, to: keeper, request: requestIDs.next())
        }
    }

    // MARK: Replaying

    /// Looks from time to time for batches that nobody has finished.
    func tickBatchlog() {
        guard mayHaveBatches, nextBatchCheck <= now.monotonic, !isReadingBatches else { return }
        nextBatchCheck = now.monotonic + configuration.requests.batchlogReplayInterval
        isReadingBatches = true
        let slice = ShardMap.firstToken(of: index, count: shardCount).value
        let last = ShardMap.lastToken(of: index, count: shardCount).value
        let start = slice == .min ? .min : slice - 1
        readOwn(
            ReadCommand(
                table: BatchesTable.schema.id,
                scope: .range(ReadCommand.TokenScope(start: start, end: last)),
                nowInSeconds: now.wall.seconds),
            for: .batches)
    }

    /// The entries of this shard; nil: they could not be read.
    func batchesRead(_ result: UnsafeRawBufferPointer?) {
        isReadingBatches = false
        guard let result else { return }
        do throws(MalformedBytes) {
            let view = try ReadResultView(result)
            let entries = try BatchesTable.entries(view)
            // More may come, and a full answer is not all there is.
            if entries.isEmpty, view.isExhausted || view.coveredThrough != nil {
                mayHaveBatches = false
            }
            let patience = configuration.requests.writeTimeout.nanoseconds * 2 / 1_000
            for entry in entries where replayedBatches[entry.id] == nil {
                let writtenAt = PartitionBallot(timeUUID: entry.id).microseconds
                guard writtenAt + patience < now.wall.microseconds else { continue }
                replay(entry.id, entry.mutations, writtenAt: WallTime(microseconds: writtenAt))
            }
        } catch {
            stop("system.batches cannot be read: \(error)")
        }
    }

    private func replay(_ id: UniqueID, _ mutations: [[UInt8]], writtenAt: WallTime) {
        replayedBatches[id] = ReplayedBatch(outstanding: mutations.count)
        for mutation in mutations {
            do throws(MalformedBytes) {
                let (table, token) = try mutation.withBytes { raw throws(MalformedBytes) in
                    let view = try MutationView(raw)
                    return (view.table, Token(view.token))
                }
                guard let route = cluster.route(of: table), isTimely(table, begun: writtenAt) else {
                    // The table is gone or was emptied, and the write with it; or it comes too late.
                    batchReplayed(id, wasApplied: true)
                    continue
                }
                replicate(
                    mutation, table: table, token: token, placement: route.placement,
                    topology: cluster.topology, consistency: .all, type: .batch,
                    timestamp: noTimestamp, completion: .batchReplay(id), client: nil,
                    begun: writtenAt)
            } catch {
                batchReplayed(id, wasApplied: true)
            }
        }
    }

    /// One write of a replayed batch has been answered by all, or has waited long enough.
    func batchReplayed(_ id: UniqueID, wasApplied: Bool) {
        guard var batch = replayedBatches[id] else { return }
        batch.outstanding -= 1
        if !wasApplied { batch.isIncomplete = true }
        replayedBatches[id] = batch
        guard batch.outstanding == 0 else { return }
        replayedBatches[id] = nil
        guard !batch.isIncomplete else { return }
        let removal = BatchesTable.removal(
            id, timestamp: clock.next(wall: now.wall), nowInSeconds: now.wall.seconds)
        sendEntry(removal, id, to: host, request: requestIDs.next())
    }
}
