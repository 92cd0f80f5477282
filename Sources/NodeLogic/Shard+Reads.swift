// Coordinating reads. One `ReadCommand` of a select is a session of one or more pieces: a piece has the
// same replicas throughout (a partition, or neighbouring token ranges that share them) and goes as far
// as the replicas' limits let it. Pieces follow one another until enough live rows are there or the
// scope is done.

internal import CQL
internal import Encoding
internal import Environment
internal import Model
internal import PeerProtocol
internal import Replication
internal import Storage
internal import Topology

extension Shard {
    /// Reads for a client; the session's result comes by `readFinished`.
    func startRead(_ command: ReadCommand, consistency: ConsistencyLevel, client: ClientRequest) {
        guard let route = cluster.route(of: command.table) else {
            readFailed(client, .invalid("unconfigured table \(command.table)"))
            return
        }
        // Of what is every node's own there is one copy, whatever is asked for.
        let placement = command.showsFragments ? cluster.localPlacement : route.placement
        let isOwn = placement.replicaCount == 0 && placement.isLocal
        let session = ReadSession(
            command: command, consistency: isOwn ? .one : consistency, client: client,
            topology: cluster.topology, placement: placement,
            repairsReplicas: route.table.options.readRepair != "NONE")
        run(session)
    }

    /// Starts pieces until one has to wait.
    private func run(_ session: ReadSession) {
        session.isRunning = true
        repeat {
            session.pieceEnded = false
            startPiece(session)
        } while session.pieceEnded && !session.client.isAnswered
        session.isRunning = false
    }

    private func startPiece(_ session: ReadSession) {
        var command = session.command
        if command.tombstoneLimit != .max {
            command.tombstoneLimit = max(1, command.tombstoneLimit - session.tombstones)
        }
        let token: Token
        switch command.scope {
        case .partition(let value, let key):
            token = Token(value)
            if session.hasGathered {
                command.slices = session.slices
                command.rowLimit = max(1, command.rowLimit - session.liveCount)
                command.partitionRowLimit = max(
                    1, command.partitionRowLimit - session.liveRows(inPartition: key))
            }
        case .range(let range):
            command.rowLimit = max(1, command.rowLimit - session.liveCount)
            let first = session.after?.token ?? (session.token == .max ? .max : session.token + 1)
            token = Token(first)
            session.pieceEnd = pieceEnd(from: first, to: range.end, session)
            command.scope = .range(
                ReadCommand.TokenScope(
                    start: session.token, end: session.pieceEnd, after: session.after))
        }
        // Only a partition can be settled by Paxos; a range is read at the quorum of that level.
        if session.consistency.isSerial, !session.placement.isLocal,
            case .partition(_, let key) = command.scope
        {
            startSerialRead(command, key, token, session)
            return
        }
        let living = preferredReplicas(of: token, session)
        switch BlockFor.availability(
            session.consistency, placement: session.placement, snapshot: session.topology,
            localDatacenter: cluster.ownDatacenter, alive: living)
        {
        case .insufficient(let required, let alive):
            readFailed(
                session.client,
                .unavailable(
                    "Cannot achieve consistency level \(session.consistency)",
                    consistency: session.consistency, required: required, alive: alive))
        case .sufficient: send(command, token, living, session)
        }
    }

    private func send(
        _ command: ReadCommand, _ token: Token, _ living: [NodeIndex], _ session: ReadSession
    ) {
        var required = BlockFor.required(
            session.consistency, placement: session.placement,
            localDatacenter: cluster.ownDatacenter)
        if configuration.requests.plantedBugCountsOneAnswerAsQuorum { required = 1 }
        if required == 1, observer == nil, session.client.trace == nil,
            session.topology.host(at: living[0]) == host, owner(of: token) == index
        {
            guard case .range = command.scope, shardCount > 1 else {
                readAlone(command, token, living, session)
                return
            }
        }
        let speculativeRetry = speculativeRetry(command, session)
        let operation = ReadOperation(
            command: command, consistency: session.consistency, required: required,
            replicas: living, purgeBefore: purgeBefore(command),
            repairsReplicas: session.repairsReplicas,
            speculatesAtOnce: speculativeRetry == .always)
        let id = requestIDs.next()
        let pending = PendingRead(operation: operation, session: session, token: token)
        reads[id] = pending
        if operation.hasSpeculated { metrics(of: command.table).speculation.retries += 1 }
        observe(
            .readSent(
                table: command.table.value, token: token.value,
                replicas: operation.contacted.map { session.topology.host(at: $0) },
                request: id.value))
        send(operation.firstSends, id, pending)
        // What was answered at once needs no deadline.
        guard reads[id] != nil else { return }
        expect(id, pending, speculativeRetry)
    }

    /// The read is under way: it may ask one replica more, and ends in time.
    private func expect(
        _ id: RequestID, _ pending: PendingRead, _ speculativeRetry: SpeculativeRetry
    ) {
        let timeout = timeout(of: pending.operation.command, for: pending.session.client)
        deadlines.add(.read(id), span: timeout, now: now.monotonic)
        planSpeculation(id, pending, speculativeRetry, timeout: timeout)
    }

    /// Reads where this shard's own answer is enough: unless it must wait for the disk, nothing has to be
    /// remembered. If it cannot read (a damaged block), another living replica is asked.
    private func readAlone(
        _ command: ReadCommand, _ token: Token, _ living: [NodeIndex], _ session: ReadSession
    ) {
        resultScratch.removeAll()
        nextReadTag += 1
        let tag = nextReadTag
        do {
            switch try storage.read(
                command, tag: tag, clock: now, outbox: outbox, into: resultScratch,
                mayBeSimple: !session.client.isNotSimple)
            {
            case .done:
                noteRead(command, storage.lastRead, since: now.monotonic)
                noteTombstones(storage.lastRead.tombstones, session.client)
                try takeOneAnswer(session, resultScratch.bytes)
            case .parked:
                localReads[tag] = LocalRead(
                    reader: .operation(
                        remember(command, token, living, session), wantsDigest: false),
                    command: command, coveredThrough: nil, began: now.monotonic)
            }
        } catch {
            session.client.trace?.note("Read failed: \(error)", now: now.monotonic)
            fail(
                LocalRead(
                    reader: .operation(
                        remember(command, token, living, session), wantsDigest: false),
                    command: command, coveredThrough: nil),
                Self.reason(error))
        }
    }

    /// Takes in a piece that one replica has answered.
    private func takeOneAnswer(
        _ session: ReadSession, _ bytes: UnsafeRawBufferPointer
    ) throws(MalformedBytes) {
        let view = try ReadResultView(bytes)
        let stop = try ReadMerge.stop(of: view)
        if session.isWholeAnswer(stop) {
            readFinished(session.client, view)
        } else {
            try session.append(view)
            pieceEnded(session, stop)
        }
    }

    /// Makes an operation of a read that this shard was to answer alone.
    private func remember(
        _ command: ReadCommand, _ token: Token, _ living: [NodeIndex], _ session: ReadSession
    ) -> RequestID {
        let id = requestIDs.next()
        let operation = ReadOperation(
            command: command, consistency: session.consistency, required: 1, replicas: living,
            purgeBefore: purgeBefore(command), repairsReplicas: false)
        let pending = PendingRead(operation: operation, session: session, token: token)
        reads[id] = pending
        expect(id, pending, speculativeRetry(command, session))
        return id
    }

    func timeout(of command: ReadCommand, for client: ClientRequest) -> Instant.Span {
        if let timeout = client.timeout { return timeout }
        if case .partition = command.scope { return configuration.requests.readTimeout }
        return configuration.requests.rangeTimeout
    }

    /// Living replicas of a token, ourselves first, then those of our datacenter; for local levels only
    /// those, for EACH_QUORUM a quorum of each.
    private func preferredReplicas(of token: Token, _ session: ReadSession) -> [NodeIndex] {
        let topology = session.topology
        let own = cluster.ownDatacenter
        if session.placement.isLocal {
            return topology.index(of: host).map { [$0] } ?? []
        }
        let replicas = session.placement.replicas(of: token)
        let ownIndex = topology === cluster.topology ? cluster.ownIndex : topology.index(of: host)
        var living: [NodeIndex] = []
        living.reserveCapacity(replicas.count)
        if let ownIndex, replicas.contains(ownIndex) { living.append(ownIndex) }
        for node in replicas
        where node != ownIndex && topology.datacenter(of: node) == own && isAlive(node, topology) {
            living.append(node)
        }
        guard !session.consistency.isLocal else { return living }
        for node in replicas
        where node != ownIndex && topology.datacenter(of: node) != own && isAlive(node, topology) {
            living.append(node)
        }
        if session.consistency == .eachQuorum, session.placement.knowsDatacenters {
            return quorums(of: living, session)
        }
        return living
    }

    /// Of each datacenter as many as make a quorum, or as are there: nobody stands in for another datacenter's.
    private func quorums(of living: [NodeIndex], _ session: ReadSession) -> [NodeIndex] {
        var missing = session.placement.datacenterFactors.map { BlockFor.quorum(of: $0) }
        return living.filter { node in
            let datacenter = session.topology.datacenter(of: node)
            missing[datacenter] -= 1
            return missing[datacenter] >= 0
        }
    }

    /// How far neighbouring ranges have the same replicas.
    private func pieceEnd(from first: Int64, to end: Int64, _ session: ReadSession) -> Int64 {
        let ring = session.placement.ring
        guard ring.count > 0, !session.placement.isLocal else { return end }
        var position = ring.position(of: Token(first))
        let replicas = session.placement.replicas(at: position).sorted()
        var reached = first
        while reached < end {
            // The last range of the ring goes on at the first position.
            let rangeEnd = ring.tokens[position].value
            reached = rangeEnd < reached ? .max : rangeEnd
            if reached >= end { return end }
            position = (position + 1) % ring.count
            if session.placement.replicas(at: position).sorted() != replicas { return reached }
            if position == 0 {
                return session.placement.replicas(at: 0).sorted() == replicas ? end : reached
            }
        }
        return end
    }

    func send(_ sends: [ReadOperation.Send], _ id: RequestID, _ pending: PendingRead) {
        for send in sends {
            let target = pending.session.topology.host(at: send.node)
            let command = pending.operation.command
            let trace = pending.session.client.trace
            trace?.note(
                "Reading \(send.wantsDigest ? "digest" : "data") from \(name(of: target))",
                now: now.monotonic)
            if target == host, owner(of: pending.token) == index {
                readOwn(command, for: .operation(id, wantsDigest: send.wantsDigest))
                continue
            }
            bodyScratch.removeAll()
            command.encode(into: bodyScratch)
            sendRequest(
                .read, to: target, token: pending.token, request: id,
                budget: timeout(of: command, for: pending.session.client), trace: trace
            ) { writer in
                ReadRequest(wantsDigest: send.wantsDigest, command: bodyScratch.bytes)
                    .encode(into: writer)
            }
        }
    }

    /// A replica's answer came over the network or from another shard.
    func receiveReadResponse(_ header: PeerHeader, _ response: ReadResponse) {
        if header.sender == host, !forwarded.isEmpty,
            let client = forwarded.removeValue(forKey: header.request)
        {
            forwardedAnswered(client, response)
            return
        }
        switch response {
        case .data(let bytes): receiveData(bytes, header.request, by: header.sender)
        case .dataBehind(let tombstones, let bytes):
            if let pending = reads[header.request] {
                noteTombstones(tombstones, pending.session.client)
            }
            receiveData(bytes, header.request, by: header.sender)
        case .digest(let id):
            readAnswered(
                header.request, by: header.sender,
                .digest(ReadDigest(high: id.high, low: id.low)))
        case .failed(let reason):
            let address =
                cluster.topology.node(header.sender)?.clientAddress.address ?? [0, 0, 0, 0]
            readAnswered(
                header.request, by: header.sender,
                .failed(address: address, reason: reason.rawValue))
        }
    }

    /// The one answer that is needed goes to the client as it is; of several a copy is kept.
    private func receiveData(
        _ bytes: UnsafeRawBufferPointer, _ id: RequestID, by replica: HostID
    ) {
        guard observer == nil, let pending = reads[id],
            let node = pending.session.topology.index(of: replica),
            pending.operation.endsWithOneAnswer(from: node)
        else {
            readAnswered(id, by: replica, .data([UInt8](bytes)))
            return
        }
        reads[id] = nil
        let session = pending.session
        session.client.trace?.note(
            "Answer received from \(name(of: replica))", now: now.monotonic)
        guard !session.client.isAnswered else { return }
        do throws(MalformedBytes) {
            try takeOneAnswer(session, bytes)
        } catch {
            readFailed(session.client, .serverError("a replica's answer is malformed: \(error)"))
        }
    }

    func readAnswered(_ id: RequestID, by replica: HostID, _ answer: ReadOperation.Answer) {
        guard let pending = reads[id],
            let node = pending.session.topology.index(of: replica)
        else { return }
        pending.session.client.trace?.note(
            "Answer received from \(name(of: replica))", now: now.monotonic)
        do {
            let step = try pending.operation.receive(answer, from: node, scratch: digestScratch)
            take(step, id, pending)
        } catch {
            reads[id] = nil
            readFailed(
                pending.session.client, .serverError("a replica's answer is malformed: \(error)"))
        }
    }

    /// A replica acknowledged its repair.
    func repairAcknowledged(_ id: RequestID, _ number: Int) {
        guard let pending = reads[id] else { return }
        take(pending.operation.repaired(number), id, pending)
    }

    private func take(_ step: ReadOperation.Step, _ id: RequestID, _ pending: PendingRead) {
        switch step {
        case .wait: break
        case .send(let sends): send(sends, id, pending)
        case .repair(let repairs):
            for repair in repairs {
                let target = pending.session.topology.host(at: repair.node)
                pending.session.client.trace?.note(
                    "Digest mismatch: repairing \(name(of: target))", now: now.monotonic)
                sendRepair(repair, for: id, pending)
            }
            planSubstitutes(id, pending)
        case .finished(let result, let stop):
            reads[id] = nil
            pieceFinished(pending, id, result, stop)
        case .failed(let error):
            reads[id] = nil
            readFailed(pending.session.client, error)
        }
    }

    func readExpired(_ id: RequestID) {
        guard let pending = reads.removeValue(forKey: id) else {
            forwardedExpired(id)
            return
        }
        if pending.operation.hasSpeculated {
            metrics(of: pending.operation.command.table).speculation.failedRetries += 1
        }
        observe(
            .requestTimedOut(
                table: pending.operation.command.table.value, token: pending.token.value,
                received: pending.operation.received,
                required: pending.operation.required, request: id.value))
        readFailed(pending.session.client, pending.operation.timedOut())
    }

    private func pieceFinished(
        _ pending: PendingRead, _ id: RequestID, _ result: [UInt8], _ stop: ReadStop?
    ) {
        let session = pending.session
        guard !session.client.isAnswered else { return }
        var isWhole = false
        do {
            try result.withBytes { raw throws(MalformedBytes) in
                let view = try ReadResultView(raw)
                isWhole = session.isWholeAnswer(stop)
                if !isWhole { try session.append(view) }
                if observer != nil, case .partition(let token, _) = session.command.scope {
                    let newest = try view.newestTimestamp()
                    observe(
                        .readAnswered(
                            table: session.command.table.value, token: token,
                            newestTimestamp: newest,
                            from: pending.operation.answeredBy.map {
                                session.topology.host(at: $0)
                            },
                            request: id.value))
                }
            }
        } catch {
            readFailed(session.client, .serverError("a replica's answer is malformed: \(error)"))
            return
        }
        guard isWhole else {
            pieceEnded(session, stop)
            return
        }
        result.withBytes { raw in
            do throws(MalformedBytes) {
                readFinished(session.client, try ReadResultView(raw))
            } catch {
                readFailed(
                    session.client, .serverError("a replica's answer is malformed: \(error)"))
            }
        }
    }

    /// Goes on behind a piece whose rows were taken in, or ends the session.
    func pieceEnded(_ session: ReadSession, _ stop: ReadStop?) {
        let isDone = advance(session, stop)
        var pausedAt: ReadCommand.Position?
        if !isDone, !session.isFull, session.isTired, case .position(let position) = stop {
            pausedAt = position
        }
        if isDone || session.isFull || pausedAt != nil {
            // A select that is told where it was paused knows what is whole.
            var inside: [UInt8]?
            if !isDone, pausedAt == nil, case .position(let last) = stop, last.clustering != nil {
                inside = last.key
            }
            session.finish(isExhausted: isDone, inside: inside)
            do throws(MalformedBytes) {
                readFinished(
                    session.client, try ReadResultView(session.output.bytes), pausedAt: pausedAt,
                    passed: session.tombstones)
            } catch {
                readFailed(
                    session.client,
                    .serverError("a result that was just made is malformed: \(error)"))
            }
        } else if session.isRunning {
            session.pieceEnded = true
        } else {
            run(session)
        }
    }

    /// Moves the session behind what was read; true if its scope is done.
    private func advance(_ session: ReadSession, _ stop: ReadStop?) -> Bool {
        switch session.command.scope {
        case .partition:
            guard case .position(let position) = stop, let last = position.clustering else {
                return true
            }
            session.slices = narrowed(session, behind: last)
            return session.slices?.isEmpty ?? false
        case .range(let range):
            switch stop {
            case nil:
                session.token = session.pieceEnd
                session.after = nil
            case .token(let token):
                session.token = token
                session.after = nil
            case .position(let position):
                session.token = position.token == .min ? .min : position.token - 1
                session.after = position
            }
            return session.after == nil && session.token >= range.end
        }
    }

    private func narrowed(_ session: ReadSession, behind last: [UInt8]) -> [ClusteringSlice] {
        let bound = ByteWriter(capacity: 8)
        ClusteringKey.appendBound(.above, into: bound)
        let all = [ClusteringSlice(lower: [], upper: bound.array)]
        return (session.slices ?? all).compactMap { slice in
            var rest = slice
            if session.command.reversed {
                if compareBytes(rest.upper, last) > 0 { rest.upper = last }
            } else if compareBytes(rest.lower, last + [0]) < 0 {
                rest.lower = last + [0]
            }
            return compareBytes(rest.lower, rest.upper) < 0 ? rest : nil
        }
    }
}
