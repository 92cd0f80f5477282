// Increments of counters (docs/protocols/counters.md).
//
//     coordinator --increment--> leader: latch, read own shard, add, log, sync --> replicate --> answer
//
// A counter is the sum of its replicas' shards, and only a replica itself changes its shard: the one that
// leads an increment reads its shard, adds, and sends the whole shard to the others, who merge it by its
// clock. So a repeated message or a hint adds nothing twice; only a repeated *request* does, and a client
// that got no answer cannot know.
//
// **Ordering.** The latch is held from reading to applying. The new shard is synced before it is sent or
// answered, in every sync mode: a leader that lost it in a crash would count on from an older one that
// the others have already seen replaced.

internal import CQL
internal import Encoding
internal import Environment
internal import Model
internal import PeerProtocol
internal import Replication
internal import Storage
internal import Topology

/// An increment that its coordinator waits for.
struct PendingIncrement {
    let client: ClientRequest
    let consistency: ConsistencyLevel
    let required: Int
    let leader: HostID
    let table: TableID
    let token: Token
}

/// An increment that this shard leads.
struct LedIncrement {
    let header: PeerHeader
    let fromShard: Bool
    let consistency: ConsistencyLevel
    /// As it came: what is to be added.
    let deltas: [UInt8]
    let latch: LatchKey
    /// What is replicated, once it was counted.
    var counted: [UInt8] = []
    var timestamp: Int64 = 0
}

extension Shard {
    // MARK: Coordinating

    /// Whether the mutation of a counter table adds to counters, rather than deletes.
    func isIncrement(_ mutation: UnsafeRawBufferPointer) throws(MalformedBytes) -> Bool {
        let partition = try PartitionView(try MutationView(mutation).partition)
        if !partition.staticRow.isEmpty, try hasCount(partition.staticRow) { return true }
        var rows = partition.rows
        while let (_, row) = try rows.next() {
            if try hasCount(row) { return true }
        }
        return false
    }

    private func hasCount(_ row: UnsafeRawBufferPointer) throws(MalformedBytes) -> Bool {
        var cells = try RowView(row).cells
        while let cell = try cells.next() {
            if cell.isCount { return true }
        }
        return false
    }

    /// Sends increments of one partition to a replica that leads them. `client.outstandingWrites` has
    /// been raised for it.
    func coordinateIncrement(
        _ mutation: UnsafeRawBufferPointer, consistency: ConsistencyLevel, client: ClientRequest
    ) {
        do {
            let view = try MutationView(mutation)
            guard let route = cluster.route(of: view.table) else {
                throw CQLError.invalid("unconfigured table \(view.table)")
            }
            let token = Token(view.token)
            let topology = cluster.topology
            let living = route.placement.replicas(of: token).filter { isAlive($0, topology) }
            if case .insufficient(let required, let alive) = BlockFor.availability(
                consistency, placement: route.placement, snapshot: topology,
                localDatacenter: cluster.ownDatacenter, alive: living)
            {
                throw CQLError.unavailable(
                    "Cannot achieve consistency level \(consistency)", consistency: consistency,
                    required: required, alive: alive)
            }
            let id = requestIDs.next()
            guard let leader = self.leader(of: living, topology, id) else {
                throw CQLError.unavailable(
                    "Cannot achieve consistency level \(consistency)", consistency: consistency,
                    required: 1, alive: 0)
            }
            let required = BlockFor.required(
                consistency, placement: route.placement, localDatacenter: cluster.ownDatacenter)
            increments[id] = PendingIncrement(
                client: client, consistency: consistency, required: required, leader: leader,
                table: view.table, token: token)
            deadlines.add(
                .increment(id), span: client.timeout ?? configuration.requests.writeTimeout,
                now: now.monotonic)
            client.trace?.note("Counting on \(name(of: leader))", now: now.monotonic)
            sendRequest(
                .increment, to: leader, token: token, request: id,
                budget: configuration.requests.writeTimeout, trace: client.trace
            ) {
                IncrementRequest(consistency: consistency.rawValue, mutation: mutation)
                    .encode(into: $0)
            }
        } catch let error as CQLError {
            finishWrite(client, error: error)
        } catch {
            finishWrite(client, error: .serverError("\(error)"))
        }
    }

    /// Ourselves if we are a replica, else one of our datacenter, in turns.
    private func leader(
        of living: [NodeIndex], _ topology: PlacementSnapshot, _ id: RequestID
    ) -> HostID? {
        if living.contains(where: { topology.host(at: $0) == host }) { return host }
        let near = living.filter { topology.datacenter(of: $0) == cluster.ownDatacenter }
        let candidates = near.isEmpty ? living : near
        guard !candidates.isEmpty else { return nil }
        return topology.host(at: candidates[Int(id.value % UInt64(candidates.count))])
    }

    private static let mayHaveCounted =
        "; the increment may have been applied, and asking again may count it twice"

    func incrementAnswered(_ header: PeerHeader, _ response: IncrementResponse) {
        guard let pending = increments.removeValue(forKey: header.request) else { return }
        let error: CQLError?
        switch response {
        case .applied: error = nil
        case .unavailable(let required, let alive):
            error = .unavailable(
                "Cannot achieve consistency level \(pending.consistency)",
                consistency: pending.consistency, required: required, alive: alive)
        case .timedOut(let received, let required):
            error = .writeTimeout(
                "Operation timed out - received only \(received) responses; counted on its leader and"
                    + " on \(max(received - 1, 0)) more replicas, and will reach the others: asking"
                    + " again would count it twice",
                consistency: pending.consistency, received: received, required: required,
                type: .counter)
        case .failed(let reason):
            error = .writeFailure(
                "Operation failed - received 0 responses and 1 failures" + Self.mayHaveCounted,
                consistency: pending.consistency, received: 0, required: pending.required,
                failures: [
                    CQLError.ReplicaFailure(
                        address: cluster.topology.node(header.sender)?.clientAddress.address
                            ?? [0, 0, 0, 0],
                        reason: reason)
                ], type: .counter)
        }
        finishWrite(pending.client, error: error)
    }

    func incrementExpired(_ id: RequestID) {
        guard let pending = increments.removeValue(forKey: id) else { return }
        observe(
            .requestTimedOut(
                table: pending.table.value, token: pending.token.value, received: 0,
                required: pending.required, request: id.value))
        finishWrite(
            pending.client,
            error: .writeTimeout(
                "Operation timed out - received only 0 responses" + Self.mayHaveCounted,
                consistency: pending.consistency, received: 0, required: pending.required,
                type: .counter))
    }

    // MARK: Leading

    func serveIncrement(
        _ header: PeerHeader, _ request: IncrementRequest, fromShard: Bool
    ) throws {
        let view = try MutationView(request.mutation)
        try view.validate()
        guard let consistency = ConsistencyLevel(rawValue: request.consistency) else {
            throw MalformedBytes("consistency \(request.consistency)", offset: 0)
        }
        guard cluster.schema.table(view.table) != nil else {
            respond(to: header, .incrementResponse, fromShard: fromShard) {
                IncrementResponse.failed(reason: ReplicaFailureReason.incompatibleSchema.rawValue)
                    .encode(into: $0)
            }
            return
        }
        nextReadTag += 1
        let tag = nextReadTag
        let latch = LatchKey(purpose: .counting, table: view.table, key: [UInt8](view.key))
        ledIncrements[tag] = LedIncrement(
            header: header, fromShard: fromShard, consistency: consistency,
            deltas: [UInt8](request.mutation), latch: latch)
        if latches.acquire(latch, .increment(tag)) { lead(tag) }
    }

    /// The latch is ours: reads our shards of the counters.
    func lead(_ tag: UInt64) {
        guard let led = ledIncrements[tag] else { return }
        do {
            let command = try led.deltas.withBytes { raw throws(MalformedBytes) in
                let view = try MutationView(raw)
                var slices: [ClusteringSlice] = []
                var rows = try PartitionView(view.partition).rows
                while let (key, _) = try rows.next() {
                    slices.append(ClusteringSlice(key: [UInt8](key)))
                }
                return ReadCommand(
                    table: view.table, scope: .partition(token: view.token, key: [UInt8](view.key)),
                    slices: slices, nowInSeconds: now.wall.seconds)
            }
            readOwn(command, for: .counting(tag))
        } catch {
            refuse(tag)
        }
    }

    private func refuse(_ tag: UInt64) {
        guard let led = ledIncrements.removeValue(forKey: tag) else { return }
        if led.counted.isEmpty { release(led.latch) }
        respond(to: led.header, .incrementResponse, fromShard: led.fromShard) {
            IncrementResponse.failed(reason: ReplicaFailureReason.unknown.rawValue).encode(into: $0)
        }
    }

    /// Our shards as they are; nil: they could not be read.
    func countersRead(_ tag: UInt64, _ result: UnsafeRawBufferPointer?) {
        guard let led = ledIncrements[tag] else { return }
        do {
            guard let result else { throw MalformedBytes("unreadable counters", offset: 0) }
            let current = CounterRows(try ReadResultView(result))
            let stamp = clock.next(wall: now.wall)
            let counted = try led.deltas.withBytes { raw throws(MalformedBytes) in
                try count(try MutationView(raw), current, stamp)
            }
            ledIncrements[tag]?.counted = counted.mutation
            ledIncrements[tag]?.timestamp = counted.newest
            let position = try counted.mutation.withBytes { raw in
                try storage.apply(try MutationView(raw), clock: now)
            }
            traceReplica(led.header, "Counted: \(counted.mutation.count) bytes")
            durabilityWaiters.append(DurabilityWaiter(position: position, waiter: .counted(tag)))
            storage.requestSync()
            release(led.latch)
        } catch {
            ledIncrements[tag]?.counted = []
            refuse(tag)
        }
    }

    /// The mutation with our shards after the increments, and its newest clock.
    private func count(
        _ deltas: MutationView, _ current: CounterRows, _ stamp: Int64
    ) throws(MalformedBytes) -> (mutation: [UInt8], newest: Int64) {
        let partition = try PartitionView(deltas.partition)
        let output = ByteWriter(capacity: deltas.bytes.count + 64)
        let row = ByteWriter(capacity: 256)
        var newest = stamp
        MutationWriter.begin(
            table: deltas.table, token: deltas.token, key: deltas.key, into: output)
        if !partition.staticRow.isEmpty {
            newest = max(
                newest, try count(partition.staticRow, try current.staticRow(), stamp, into: row))
        }
        PartitionWriter.begin(staticRow: row.bytes, into: output)
        var rows = partition.rows
        while let (key, bytes) = try rows.next() {
            row.removeAll()
            newest = max(newest, try count(bytes, try current.row(key), stamp, into: row))
            PartitionWriter.append(key: key, row: row.bytes, into: output)
        }
        return (output.array, newest)
    }

    private func count(
        _ deltas: UnsafeRawBufferPointer, _ current: UnsafeRawBufferPointer?, _ stamp: Int64,
        into output: ByteWriter
    ) throws(MalformedBytes) -> Int64 {
        let view = try RowView(deltas)
        var writer = RowWriter()
        writer.begin(
            liveness: .none, deletion: view.deletion, baseTimestamp: stamp,
            originalKey: view.originalKey, into: output)
        var newest = stamp
        let value = ByteWriter(capacity: 64)
        var cells = view.cells
        while let cell = try cells.next() {
            guard cell.isCount else {
                writer.append(cell, into: output)
                continue
            }
            var shard = CounterShard(replica: host.value, clock: stamp, count: 0)
            if let current, let own = try CounterRows.shard(of: host.value, cell.column, current) {
                shard.count = own.count
                shard.clock = max(stamp, own.clock + 1)
            }
            shard.count &+= try CounterShards(cell.value).total
            newest = max(newest, shard.clock)
            value.removeAll()
            CounterShards.append(shard, into: value)
            writer.append(
                Cell(
                    column: cell.column, flags: .counter, timestamp: shard.clock,
                    value: value.bytes),
                into: output)
        }
        return newest
    }

    /// Our shards are synced: the others get them.
    func countSynced(_ tag: UInt64) {
        guard let led = ledIncrements.removeValue(forKey: tag) else { return }
        let view: MutationView
        do throws(MalformedBytes) {
            view = try led.counted.withBytes { raw throws(MalformedBytes) in try MutationView(raw) }
        } catch {
            preconditionFailure("an increment that was just made is malformed: \(error)")
        }
        guard let route = cluster.route(of: view.table) else {
            respond(to: led.header, .incrementResponse, fromShard: led.fromShard) {
                IncrementResponse.failed(reason: ReplicaFailureReason.incompatibleSchema.rawValue)
                    .encode(into: $0)
            }
            return
        }
        replicate(
            led.counted, table: route.table.id, token: Token(view.token),
            placement: route.placement, topology: cluster.topology, consistency: led.consistency,
            type: .counter, timestamp: led.timestamp,
            completion: .increment(led.header, fromShard: led.fromShard), client: nil,
            isAppliedHere: true)
    }

    /// The replicas of a led increment have answered, or not.
    func incrementReplicated(_ header: PeerHeader, fromShard: Bool, error: CQLError?) {
        let response: IncrementResponse
        switch error {
        case nil: response = .applied
        case .unavailable(_, _, let required, let alive):
            response = .unavailable(required: required, alive: alive)
        case .writeTimeout(_, _, let received, let required, _):
            response = .timedOut(received: received, required: required)
        default: response = .failed(reason: ReplicaFailureReason.unknown.rawValue)
        }
        respond(to: header, .incrementResponse, fromShard: fromShard) { response.encode(into: $0) }
    }
}

/// The counters of the one partition that a leader has read. A view.
struct CounterRows {
    private let result: ReadResultView

    init(_ result: ReadResultView) { self.result = result }

    private func partition() throws(MalformedBytes) -> PartitionView? {
        var partitions = result.partitions
        guard let (_, _, bytes) = try partitions.next() else { return nil }
        return try PartitionView(bytes)
    }

    func staticRow() throws(MalformedBytes) -> UnsafeRawBufferPointer? {
        guard let view = try partition(), !view.staticRow.isEmpty else { return nil }
        return view.staticRow
    }

    func row(_ key: UnsafeRawBufferPointer) throws(MalformedBytes) -> UnsafeRawBufferPointer? {
        guard let view = try partition() else { return nil }
        var rows = view.rows
        while let (found, row) = try rows.next() {
            if equalBytes(found, key) { return row }
        }
        return nil
    }

    /// That replica's shard of a counter of a row.
    static func shard(
        of replica: UniqueID, _ column: UInt32, _ row: UnsafeRawBufferPointer
    ) throws(MalformedBytes) -> CounterShard? {
        var cells = try RowView(row).cells
        while let cell = try cells.next() {
            if cell.column == column, cell.isCount {
                return try CounterShards(cell.value).shard(of: replica)
            }
        }
        return nil
    }
}
