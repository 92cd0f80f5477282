// Coordinating writes: to all living replicas at once, a hint for those that are down, and an answer as
// soon as the consistency level is satisfied.

internal import Encoding
internal import Environment
internal import Model
internal import PeerProtocol
internal import Replication
internal import Storage
internal import Topology

extension Shard {
    /// Starts one mutation. `client.outstandingWrites` has been raised for it.
    func coordinateWrite(
        _ mutation: UnsafeRawBufferPointer, consistency: ConsistencyLevel, type: WriteType,
        timestamp: Int64, client: ClientRequest
    ) {
        do throws(MalformedBytes) {
            coordinateWrite(
                try MutationView(mutation), consistency: consistency, type: type,
                timestamp: timestamp, client: client)
        } catch {
            finishWrite(client, error: .serverError("\(error)"))
        }
    }

    /// The same; `facts`: what is known of its rows by whoever built it.
    func coordinateWrite(
        _ view: MutationView, facts: RowSummary? = nil, consistency: ConsistencyLevel,
        type: WriteType, timestamp: Int64, client: ClientRequest
    ) {
        do {
            guard let route = cluster.route(of: view.table) else {
                throw CQLError.invalid("unconfigured table \(view.table)")
            }
            let token = Token(view.token)
            let replicas = replicas(of: token, in: route.placement)
            try checkSize(view)
            try checkDisk(replicas, client)
            // One node may be the only living place of three replicas: the factor is what levels go by.
            if route.placement.replicationFactor == 1, replicas.count == 1,
                replicas.first == cluster.ownIndex, owner(of: token) == index,
                case .periodic = configuration.storage.commitLogSync
            {
                try applyAlone(view, facts, token, consistency, timestamp, client)
            } else {
                try replicate(view, route, token, replicas, consistency, type, timestamp, client)
            }
        } catch let error as CQLError {
            finishWrite(client, error: error)
        } catch {
            finishWrite(client, error: .serverError("\(error)"))
        }
    }

    /// The replicas of a token; of a keyspace that is every node's own, this node.
    private func replicas(of token: Token, in placement: Placement) -> ArraySlice<NodeIndex> {
        let replicas = placement.replicas(of: token)
        guard replicas.isEmpty, placement.isLocal, let ownIndex = cluster.ownIndex else {
            return replicas
        }
        return [ownIndex]
    }

    /// The only replica is this very shard: nothing to remember.
    private func applyAlone(
        _ view: MutationView, _ facts: RowSummary?, _ token: Token,
        _ consistency: ConsistencyLevel, _ timestamp: Int64, _ client: ClientRequest
    ) throws {
        try checkAvailability(
            consistency, required: consistency.fixedCount, alive: 1, for: "write")
        guard mayApply else {
            hold(
                HeldWrite(
                    mutation: [UInt8](view.bytes), waiter: .alone(client, timestamp: timestamp)))
            return
        }
        try applyAloneNow(view, facts, timestamp, client)
    }

    /// The same, once storage takes it.
    func applyAloneNow(
        _ view: MutationView, _ facts: RowSummary?, _ timestamp: Int64, _ client: ClientRequest
    ) throws(StorageError) {
        try storage.apply(view, facts: facts, clock: now)
        noteApplied(view.table)
        observe(
            .mutationApplied(
                table: view.table.value, token: view.token, timestamp: timestamp, request: 0))
        finishWrite(client, error: nil)
    }

    /// The log of no replica would take a larger one.
    private func checkSize(_ view: MutationView) throws(CQLError) {
        let limit = storage.maximumMutationBytes
        guard view.bytes.count > limit, let table = cluster.schema.table(view.table) else { return }
        throw .invalid(
            "Encountered an oversized mutation (\(view.bytes.count)/\(limit)) for keyspace: "
                + "\(table.keyspace). Top keys are: \(table.name).0x\(HexText.text(view.key))")
    }

    /// Whether this node's disk has room for what it would have to keep. Only the volume's threshold is
    /// judged here: a disk that is full already makes this replica fail, and the others may suffice.
    private func checkDisk(
        _ replicas: ArraySlice<NodeIndex>, _ client: ClientRequest
    ) throws(CQLError) {
        guard storage.isDiskFilling || storage.writeRefusal != nil,
            replicas.contains(where: { $0 == cluster.ownIndex })
        else { return }
        if case .refused(.diskUsage) = storage.writeRefusal {
            throw .invalid(
                "Guardrail replica_disk_usage violated: Write request failed because disk usage "
                    + "exceeds failure threshold")
        }
        let warning =
            "Guardrail replica_disk_usage violated: Replica disk usage exceeds warning threshold"
        if storage.isDiskFilling, !client.warnings.contains(warning) {
            client.warnings.append(warning)
        }
    }

    private func checkAvailability(
        _ consistency: ConsistencyLevel, required: Int, alive: Int, for operation: String
    ) throws(CQLError) {
        guard alive < required else { return }
        throw .unavailable(
            "Cannot achieve consistency level \(consistency)", consistency: consistency,
            required: required, alive: alive)
    }

    private func replicate(
        _ view: MutationView, _ route: TableRoute, _ token: Token,
        _ replicas: ArraySlice<NodeIndex>, _ consistency: ConsistencyLevel, _ type: WriteType,
        _ timestamp: Int64, _ client: ClientRequest
    ) throws {
        let topology = cluster.topology
        let living = replicas.filter { isAlive($0, topology) }
        let datacenter = cluster.ownDatacenter
        if case .insufficient(let required, let alive) = BlockFor.availability(
            consistency, placement: route.placement, snapshot: topology,
            localDatacenter: datacenter, alive: living)
        {
            throw CQLError.unavailable(
                "Cannot achieve consistency level \(consistency)", consistency: consistency,
                required: required, alive: alive)
        }
        replicate(
            [UInt8](view.bytes), table: view.table, token: token, placement: route.placement,
            topology: topology, consistency: consistency, type: type, timestamp: timestamp,
            completion: .client(client), client: client)
    }

    /// Sends a mutation to all living replicas, and keeps hints for the others; `completion` is told what
    /// becomes of it. `isAppliedHere`: our own replica has it, synced. `begun`: when, if not now.
    func replicate(
        _ mutation: [UInt8], table: TableID, token: Token, placement: Placement,
        topology: PlacementSnapshot, consistency: ConsistencyLevel, type: WriteType,
        timestamp: Int64, completion: WriteCompletion, client: ClientRequest?,
        commit: (ballot: PartitionBallot, origin: PartitionBallot)? = nil,
        isAppliedHere: Bool = false, begun: WallTime? = nil
    ) {
        let replicas = replicas(of: token, in: placement)
        let living = replicas.filter { isAlive($0, topology) }
        let quota = AnswerQuota(
            consistency, placement: placement, localDatacenter: cluster.ownDatacenter)
        let write = PendingWrite(
            operation: WriteOperation(
                consistency: consistency, type: type, replicas: living, quota: quota),
            mutation: mutation, table: table, token: token, timestamp: timestamp,
            topology: topology, completion: completion, client: client, begun: begun ?? agreedNow,
            commit: commit)
        let id = requestIDs.next()
        writes[id] = write
        deadlines.add(
            .write(id), span: client?.timeout ?? configuration.requests.writeTimeout,
            now: now.monotonic)
        observe(
            .writeSent(
                table: table.value, token: token.value, timestamp: timestamp,
                replicas: living.map { topology.host(at: $0) }, request: id.value))
        for node in replicas where !living.contains(node) {
            if storeHint(for: topology.host(at: node), write) {
                settle(id, write, write.operation.hintStored())
            }
        }
        for node in living {
            if isAppliedHere, topology.host(at: node) == host {
                writeAcknowledged(id, by: host)
            } else {
                send(write, id, to: node)
            }
        }
        // Nobody is there to answer: the operation ends at once.
        if living.isEmpty, writes[id] != nil { writeExpired(id) }
    }

    func send(_ write: PendingWrite, _ id: RequestID, to node: NodeIndex) {
        let target = write.topology.host(at: node)
        let trace = write.client?.trace
        trace?.note("Sending mutation to \(name(of: target))", now: now.monotonic)
        if let commit = write.commit {
            sendRequest(
                .conditionalCommit, to: target, token: write.token, request: id,
                budget: configuration.requests.writeTimeout, trace: trace
            ) { writer in
                write.mutation.withBytes {
                    ConditionalCommit(
                        ballot: commit.ballot, origin: commit.origin, mutation: $0
                    ).encode(into: writer)
                }
            }
            return
        }
        if target == host, owner(of: write.token) == index {
            if mayApply {
                write.mutation.withBytes { applyOwnNow($0, id, write) }
            } else {
                trace?.note("Waiting for memtables to be flushed", now: now.monotonic)
                hold(HeldWrite(mutation: write.mutation, waiter: .operation(id, write)))
            }
            return
        }
        sendRequest(
            .mutation, to: target, token: write.token, request: id,
            budget: write.client?.timeout ?? configuration.requests.writeTimeout, trace: trace
        ) { writer in
            write.mutation.withBytes { MutationRequest(mutation: $0).encode(into: writer) }
        }
    }

    /// This shard is one of the replicas, and storage takes the mutation.
    func applyOwnNow(
        _ mutation: UnsafeRawBufferPointer, _ id: RequestID, _ write: PendingWrite
    ) {
        do {
            let position = try storage.apply(try MutationView(mutation), clock: now)
            noteApplied(write.table)
            observe(
                .mutationApplied(
                    table: write.table.value, token: write.token.value,
                    timestamp: write.timestamp, request: id.value))
            if configuration.storage.commitLogSync == .periodic {
                writeAcknowledged(id, by: host)
            } else {
                durabilityWaiters.append(
                    DurabilityWaiter(position: position, waiter: .operation(id)))
                storage.requestSync()
            }
        } catch {
            writeRefused(id, by: host, reason: ReplicaFailureReason.unknown.rawValue)
        }
    }

    /// A replica applied the mutation of that request.
    func writeAcknowledged(_ id: RequestID, by replica: HostID) {
        if batchKept(id) { return }
        if hintAcknowledged(id, by: replica, applied: true) { return }
        guard let write = writes[id], let node = write.topology.index(of: replica) else { return }
        write.client?.trace?.note(
            "Mutation acknowledged by \(name(of: replica))", now: now.monotonic)
        var outcome = write.operation.acknowledged(
            by: node, datacenter: write.topology.datacenter(of: node))
        if configuration.requests.plantedBugCountsOneAnswerAsQuorum, outcome == .none {
            outcome = write.operation.countOneAnswerAsQuorum()
        }
        settle(id, write, outcome)
    }

    /// A replica could not apply the mutation of that request.
    func writeRefused(_ id: RequestID, by replica: HostID, reason: UInt16) {
        if hintAcknowledged(id, by: replica, applied: false) { return }
        if batchNotKept(
            id, address: cluster.topology.node(replica)?.clientAddress.address ?? [0, 0, 0, 0],
            reason: reason)
        {
            return
        }
        guard let write = writes[id], let node = write.topology.index(of: replica) else { return }
        let address = write.topology.nodes[node.index].clientAddress.address
        // It may be able to later: its disk is full, or it does not know the table yet.
        if write.isForEveryReplica, write.operation.waiting.contains(node),
            storeHint(for: replica, write)
        {
            settle(id, write, write.operation.hintStored())
        }
        settle(
            id, write,
            write.operation.refused(by: node, address: address, reason: reason) {
                write.topology.datacenter(of: $0)
            })
    }

    private func settle(_ id: RequestID, _ write: PendingWrite, _ outcome: WriteOperation.Outcome) {
        switch outcome {
        case .none: break
        case .acknowledged:
            observe(
                .writeAcknowledged(
                    table: write.table.value, token: write.token.value, timestamp: write.timestamp,
                    from: write.operation.acknowledgedBy.map { write.topology.host(at: $0) },
                    request: id.value))
            complete(write, error: nil)
        case .failed(let error): complete(write, error: error)
        }
        guard write.operation.hasEnded, writes.removeValue(forKey: id) != nil else { return }
        // All have answered and they are too few: some died after the level was found possible.
        if let error = write.operation.timedOut().error { complete(write, error: error) }
        ended(write)
    }

    /// The write is acknowledged at its level, or is not.
    private func complete(_ write: PendingWrite, error: CQLError?) {
        switch write.completion {
        case .client(let client): finishWrite(client, error: error)
        case .repair(let read, let number):
            // A repair that was refused is waited for until the read's deadline.
            if error == nil { repairAcknowledged(read, number) }
        case .conditional(let id, let isOwn):
            conditionalCommitted(id, isOwn: isOwn, error: error)
        case .conditionalRepair(let id): if error == nil { conditionalRepaired(id) }
        case .increment(let header, let fromShard):
            incrementReplicated(header, fromShard: fromShard, error: error)
        case .batchReplay: break
        }
    }

    /// No replica is left to wait for.
    private func ended(_ write: PendingWrite) {
        guard case .batchReplay(let id) = write.completion else { return }
        batchReplayed(
            id, wasApplied: !write.operation.acknowledgedBy.isEmpty || !write.isMissedForGood)
    }

    /// The write's time is over: a hint for each replica that is silent, and the truth for the client.
    func writeExpired(_ id: RequestID) {
        guard let write = writes.removeValue(forKey: id) else { return }
        if case .repair(let read, _) = write.completion { readExpired(read) }
        guard write.isForEveryReplica else { return }
        for node in write.operation.waiting
        where storeHint(for: write.topology.host(at: node), write) {
            settle(id, write, write.operation.hintStored())
        }
        let (silent, error) = write.operation.timedOut()
        defer { ended(write) }
        guard let error else { return }
        observe(
            .requestTimedOut(
                table: write.table.value, token: write.token.value,
                received: write.operation.acknowledgedBy.count,
                required: write.operation.acknowledgedBy.count + silent.count, request: id.value))
        complete(write, error: error)
    }

    /// Brings one replica up to date for a read, which goes on when all of its repairs are through.
    func sendRepair(_ repair: ReadOperation.Repair, for read: RequestID, _ pending: PendingRead) {
        let topology = pending.session.topology
        let target = topology.host(at: repair.node)
        guard let view = repair.mutation.withBytes({ try? MutationView($0) }) else {
            stop("a repair that was just made is malformed")
            return
        }
        let id = requestIDs.next()
        let quota = AnswerQuota(
            .one, placement: pending.session.placement, localDatacenter: cluster.ownDatacenter)
        let write = PendingWrite(
            operation: WriteOperation(
                consistency: .one, type: .simple, replicas: [repair.node], quota: quota),
            mutation: repair.mutation, table: view.table, token: Token(view.token),
            timestamp: noTimestamp, topology: topology,
            completion: .repair(read, number: repair.number), client: nil, begun: agreedNow)
        writes[id] = write
        deadlines.add(.write(id), span: configuration.requests.writeTimeout, now: now.monotonic)
        observe(
            .readRepairSent(
                target: target, table: view.table.value, token: view.token, request: read.value))
        send(write, id, to: repair.node)
    }

    /// One of the client's mutations has its outcome.
    func finishWrite(_ client: ClientRequest, error: CQLError?) {
        client.outstandingWrites -= 1
        if let error {
            answer(client, error: error)
        } else if client.outstandingWrites == 0, !client.isAnswered {
            if let batch = client.loggedBatch { removeEntries(batch) }
            answerVoid(client)
        }
    }

    /// Answers the writes that are synced by now.
    func releaseDurable() {
        guard !durabilityWaiters.isEmpty else { return }
        let synced = storage.syncedPosition
        let ready = durabilityWaiters.filter { $0.position <= synced }
        guard !ready.isEmpty else { return }
        durabilityWaiters.removeAll { $0.position <= synced }
        for waiter in ready {
            switch waiter.waiter {
            case .operation(let id): writeAcknowledged(id, by: host)
            case .remote(let header, let fromShard):
                respond(to: header, .mutationResponse, fromShard: fromShard) {
                    MutationResponse.applied.encode(into: $0)
                }
            case .promise(let tag): promiseSynced(tag)
            case .accepted(let header, let ballot, let fromShard):
                respond(to: header, .conditionalAccepted, fromShard: fromShard) {
                    ConditionalAccepted(ballot: ballot, outcome: .promised, promised: ballot)
                        .encode(into: $0)
                }
            case .commitRecord(let key): storeCommit(key)
            case .counted(let tag): countSynced(tag)
            }
        }
    }
}

extension ConsistencyLevel {
    /// The answers needed of the one replica of a replication factor of one.
    fileprivate var fixedCount: Int {
        switch self {
        case .two: 2
        case .three: 3
        default: 1
        }
    }
}
