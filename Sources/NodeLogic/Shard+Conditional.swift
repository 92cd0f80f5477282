// Coordinating conditional writes and serial reads: Paxos among the replicas of one partition
// (docs/protocols/paxos.md). The decisions are `ConditionalProposal`'s; here its steps are carried out.
//
//     latch --> rounds of prepare / accept --> commit at the statement's level --> [applied]
//
// Requests of one shard for one partition wait for each other at a latch, so that only different
// coordinators can contend. Our own replica is sent messages like the others.

internal import CQL
internal import Encoding
internal import Environment
internal import Model
internal import NativeProtocol
internal import PeerProtocol
internal import Replication
internal import Topology

/// A conditional write, or a piece of a serial read, on its way.
final class ConditionalRun {
    enum Purpose {
        case change(ConditionalRequest, commit: ConsistencyLevel)
        case read(ReadSession)
    }

    let id: RequestID
    let client: ClientRequest
    let purpose: Purpose
    let table: TableSchema
    let key: [UInt8]
    let token: Token
    let command: ReadCommand
    let consistency: ConsistencyLevel
    let topology: PlacementSnapshot
    let placement: Placement
    /// Nil until the latch is ours.
    var proposal: ConditionalProposal?
    /// What the last judgement saw, and what it was.
    var current = CurrentRows()
    var holds = false
    /// Of a read: what it gives.
    var result: (bytes: [UInt8], stop: ReadStop?) = ([], nil)
    /// Our value is decided and being committed: the commit has a deadline of its own.
    var isCommitting = false

    init(
        id: RequestID, client: ClientRequest, purpose: Purpose, table: TableSchema, key: [UInt8],
        command: ReadCommand, token: Token, consistency: ConsistencyLevel,
        topology: PlacementSnapshot, placement: Placement
    ) {
        self.id = id
        self.client = client
        self.purpose = purpose
        self.table = table
        self.key = key
        self.token = token
        self.command = command
        self.consistency = consistency
        self.topology = topology
        self.placement = placement
    }

    var isRead: Bool { if case .read = purpose { true } else { false } }
}

extension Shard {
    // MARK: Beginning

    /// Starts a conditional statement or batch.
    func startConditional(
        _ request: ConditionalRequest, commit: ConsistencyLevel, serial: ConsistencyLevel,
        _ client: ClientRequest
    ) throws(CQLError) {
        guard !commit.isSerial else {
            throw .invalid(
                "\(commit) is not supported as conditional update commit consistency. Use ANY if you "
                    + "mean \"make sure it is accepted but I don't care how many replicas commit it "
                    + "for non-SERIAL reads\"")
        }
        guard serial.isSerial else {
            throw .invalid(
                "Invalid consistency for conditional update. Must be one of SERIAL or LOCAL_SERIAL")
        }
        guard let route = cluster.route(of: request.table.id) else {
            throw .invalid("unconfigured table \(request.table.name)")
        }
        let token = Token(request.token)
        let living = route.placement.replicas(of: token).filter { isAlive($0, cluster.topology) }
        try checkAvailable(commit, route.placement, living)
        let run = ConditionalRun(
            id: requestIDs.next(), client: client, purpose: .change(request, commit: commit),
            table: route.table, key: request.key, command: request.readCommand, token: token,
            consistency: serial, topology: cluster.topology, placement: route.placement)
        start(run, span: configuration.requests.conditionalTimeout)
    }

    /// Starts a piece of a read at SERIAL or LOCAL_SERIAL: what it shows is settled among the replicas.
    func startSerialRead(
        _ command: ReadCommand, _ key: [UInt8], _ token: Token, _ session: ReadSession
    ) {
        guard let route = cluster.route(of: command.table) else {
            readFailed(session.client, .invalid("unconfigured table \(command.table)"))
            return
        }
        let run = ConditionalRun(
            id: requestIDs.next(), client: session.client, purpose: .read(session),
            table: route.table, key: key, command: command, token: token,
            consistency: session.consistency, topology: session.topology,
            placement: session.placement)
        start(run, span: configuration.requests.readTimeout)
    }

    private func checkAvailable(
        _ consistency: ConsistencyLevel, _ placement: Placement, _ living: [NodeIndex]
    ) throws(CQLError) {
        if case .insufficient(let required, let alive) = BlockFor.availability(
            consistency, placement: placement, snapshot: cluster.topology,
            localDatacenter: cluster.ownDatacenter, alive: living)
        {
            throw .unavailable(
                "Cannot achieve consistency level \(consistency)", consistency: consistency,
                required: required, alive: alive)
        }
    }

    private func start(_ run: ConditionalRun, span: Instant.Span) {
        let latch = LatchKey(purpose: .coordination, table: run.table.id, key: run.key)
        if let held = run.client.latch, held != latch {
            fail(
                run,
                .invalid(
                    "SERIAL/LOCAL_SERIAL consistency may only be requested for one partition at a "
                        + "time"))
            return
        }
        conditionals[run.id] = run
        deadlines.add(
            .conditional(run.id), span: run.client.timeout ?? span, now: now.monotonic)
        let isHeld = run.client.latch == latch
        if isHeld || latches.acquire(latch, .conditional(run.id)) {
            run.client.latch = latch
            begin(run)
        }
    }

    /// The run holds its latch.
    func begin(_ run: ConditionalRun) {
        let replicas = run.placement.replicas(of: run.token)
        let own = cluster.ownDatacenter
        let isLocal = run.consistency == .localSerial && run.placement.knowsDatacenters
        let voters =
            isLocal ? replicas.filter { run.topology.datacenter(of: $0) == own } : Array(replicas)
        let living = voters.filter { isAlive($0, run.topology) }
        var required = BlockFor.required(
            run.consistency, placement: run.placement, localDatacenter: own)
        guard living.count >= required else {
            fail(
                run,
                .unavailable(
                    "Cannot achieve consistency level \(run.consistency)",
                    consistency: run.consistency, required: required, alive: living.count))
            return
        }
        if configuration.requests.plantedBugCountsOneAnswerAsQuorum { required = 1 }
        let proposal = ConditionalProposal(
            command: run.command, consistency: run.consistency, required: required,
            isRead: run.isRead, replicas: living, replicaCount: voters.count,
            repairsReplicas: run.table.options.readRepair != "NONE",
            ballot: nextBallot(above: .zero))
        run.proposal = proposal
        carryOut(proposal.begin, run)
    }

    /// A ballot of this shard, later than `other` and than all that the node has stamped.
    private func nextBallot(above other: PartitionBallot) -> PartitionBallot {
        lastBallot = max(
            clock.next(wall: now.wall), other.microseconds + 1, lastBallot + 1)
        return PartitionBallot(microseconds: lastBallot, proposer: ballotProposer)
    }

    // MARK: Steps

    private func carryOut(_ step: ConditionalProposal.Step, _ run: ConditionalRun) {
        guard let proposal = run.proposal else { return }
        switch step {
        case .none: break
        case .prepare(let ballot):
            run.client.trace?.note("Preparing \(ballot.timeUUID)", now: now.monotonic)
            bodyScratch.removeAll()
            run.command.encode(into: bodyScratch)
            run.key.withBytes { key in
                let request = ConditionalPrepare(
                    ballot: ballot, table: run.table.id.value, key: key,
                    command: bodyScratch.bytes)
                send(.conditionalPrepare, run, proposal.replicas) { request.encode(into: $0) }
            }
        case .accept(let ballot, let value):
            run.client.trace?.note("Proposing \(ballot.timeUUID)", now: now.monotonic)
            let encoded = value.encoded
            run.key.withBytes { key in
                encoded.withBytes { value in
                    let request = ConditionalAccept(
                        ballot: ballot, table: run.table.id.value, key: key, value: value)
                    send(.conditionalAccept, run, proposal.replicas) { request.encode(into: $0) }
                }
            }
        case .repair(let repairs):
            for repair in repairs { sendConditionalRepair(repair, run) }
        case .judge(let result, let stop): judge(run, result, stop)
        case .commit(let ballot, let value, let isOwn): commit(run, ballot, value, isOwn: isOwn)
        case .wait(let contentions):
            let doublings = backoffStream.below(UInt64(min(contentions, 6) + 1))
            let span = Instant.Span(
                nanoseconds: configuration.requests.conditionalBackoff.nanoseconds
                    << Int64(doublings))
            deadlines.add(.conditionalTick(run.id), span: span, now: now.monotonic)
        case .linger:
            deadlines.add(
                .conditionalTick(run.id), span: configuration.requests.conditionalLinger,
                now: now.monotonic)
        case .finished: finish(run, applied: run.holds)
        case .unknown: fail(run, proposal.unknownOutcome)
        case .failed(let error): fail(run, error)
        }
    }

    private func send(
        _ kind: PeerMessageKind, _ run: ConditionalRun, _ replicas: [NodeIndex],
        body: (ByteWriter) -> Void
    ) {
        for node in replicas {
            sendRequest(
                kind, to: run.topology.host(at: node), token: run.token, request: run.id,
                budget: configuration.requests.conditionalTimeout, trace: run.client.trace,
                body: body)
        }
    }

    /// Decides on what a majority has shown.
    private func judge(_ run: ConditionalRun, _ result: [UInt8], _ stop: ReadStop?) {
        guard var proposal = run.proposal else { return }
        var step: ConditionalProposal.Step
        switch run.purpose {
        case .read:
            run.result = (result, stop)
            step = proposal.conclude()
        case .change(let request, _):
            // What lies behind the first live row is not asked for.
            guard stop == nil || request.readsFirstRow else {
                fail(run, .serverError("the rows of the conditions are too large to be judged"))
                return
            }
            do {
                let output = ByteWriter(capacity: result.count + 16)
                var live = LiveRows(nowInSeconds: run.command.nowInSeconds, into: output)
                try result.withBytes { raw throws(MalformedBytes) in
                    try live.append(try ReadResultView(raw))
                }
                live.finish(isExhausted: true)
                run.current = CurrentRows()
                try run.current.add(try ReadResultView(output.bytes))
                run.holds = try request.judge(run.current)
                let mutation =
                    run.holds
                    ? try request.mutation(at: proposal.ballot.microseconds, run.current, sink)
                    : nil
                if let mutation {
                    step = proposal.propose(mutation: mutation)
                } else {
                    step = proposal.conclude()
                }
            } catch let error as CQLError {
                fail(run, error)
                return
            } catch {
                fail(run, .serverError("a replica's answer is malformed: \(error)"))
                return
            }
        }
        run.proposal = proposal
        carryOut(step, run)
    }

    private func commit(
        _ run: ConditionalRun, _ ballot: PartitionBallot, _ value: ProposedValue, isOwn: Bool
    ) {
        run.client.trace?.note("Committing \(ballot.timeUUID)", now: now.monotonic)
        var consistency =
            run.consistency == .localSerial ? ConsistencyLevel.localQuorum : .quorum
        if isOwn, case .change(_, let commit) = run.purpose {
            consistency = commit
            run.isCommitting = true
        }
        replicate(
            value.mutation, table: run.table.id, token: run.token, placement: run.placement,
            topology: run.topology, consistency: consistency, type: .simple,
            timestamp: value.origin.microseconds, completion: .conditional(run.id, isOwn: isOwn),
            client: run.client, commit: (ballot, value.origin))
    }

    private func sendConditionalRepair(_ repair: ConditionalProposal.Repair, _ run: ConditionalRun)
    {
        let id = requestIDs.next()
        let quota = AnswerQuota(
            .one, placement: run.placement, localDatacenter: cluster.ownDatacenter)
        let write = PendingWrite(
            operation: WriteOperation(
                consistency: .one, type: .simple, replicas: [repair.node], quota: quota),
            mutation: repair.mutation, table: run.table.id, token: run.token,
            timestamp: noTimestamp, topology: run.topology,
            completion: .conditionalRepair(run.id), client: nil, begun: agreedNow)
        writes[id] = write
        deadlines.add(.write(id), span: configuration.requests.writeTimeout, now: now.monotonic)
        observe(
            .readRepairSent(
                target: run.topology.host(at: repair.node), table: run.table.id.value,
                token: run.token.value, request: run.id.value))
        send(write, id, to: repair.node)
    }

    // MARK: Events

    /// Lets the run's machine take in an event.
    private func advance(
        _ id: RequestID,
        _ event: (inout ConditionalProposal, ConditionalRun) throws(MalformedBytes) ->
            ConditionalProposal.Step
    ) {
        guard let run = conditionals[id], var proposal = run.proposal else { return }
        do throws(MalformedBytes) {
            let step = try event(&proposal, run)
            run.proposal = proposal
            carryOut(step, run)
        } catch {
            fail(run, .serverError("a replica's answer is malformed: \(error)"))
        }
    }

    private func address(of replica: HostID) -> [UInt8] {
        cluster.topology.node(replica)?.clientAddress.address ?? [0, 0, 0, 0]
    }

    func receivePromise(_ header: PeerHeader, _ promise: ConditionalPromise) {
        advance(header.request) { (proposal, run) throws(MalformedBytes) in
            guard let node = run.topology.index(of: header.sender) else { return .none }
            return try proposal.promise(promise, from: node, address: address(of: header.sender))
        }
    }

    func receiveAccepted(_ header: PeerHeader, _ answer: ConditionalAccepted) {
        advance(header.request) { (proposal, run) throws(MalformedBytes) in
            guard let node = run.topology.index(of: header.sender) else { return .none }
            return proposal.accepted(answer, from: node, address: address(of: header.sender))
        }
    }

    func conditionalRepaired(_ id: RequestID) {
        advance(id) { (proposal, _) throws(MalformedBytes) in proposal.repaired() }
    }

    func conditionalTick(_ id: RequestID) {
        guard let run = conditionals[id], let highest = run.proposal?.highestSeen else { return }
        let next = nextBallot(above: highest)
        advance(id) { (proposal, _) throws(MalformedBytes) in try proposal.tick(next: next) }
    }

    /// A commit has reached its consistency level, or has not.
    func conditionalCommitted(_ id: RequestID, isOwn: Bool, error: CQLError?) {
        guard let run = conditionals[id] else { return }
        if isOwn {
            if let error { fail(run, error) } else { finish(run, applied: true) }
            return
        }
        // A commit that did not reach a majority is seen, and repeated, by the next round.
        guard let highest = run.proposal?.highestSeen else { return }
        let next = nextBallot(above: highest)
        advance(id) { (proposal, _) throws(MalformedBytes) in proposal.committed(next: next) }
    }

    func conditionalExpired(_ id: RequestID) {
        guard let run = conditionals[id], !run.isCommitting else { return }
        let error: CQLError
        if run.proposal != nil {
            error = run.proposal?.timedOut() ?? .serverError("")
        } else {
            let required = BlockFor.required(
                run.consistency, placement: run.placement, localDatacenter: cluster.ownDatacenter)
            let text =
                "Operation timed out - received only 0 responses: it waited for other conditional "
                + "requests for the partition, and was not applied"
            error =
                run.isRead
                ? .readTimeout(
                    text, consistency: run.consistency, received: 0, required: required,
                    dataPresent: false)
                : .conditionalTimeout(
                    text, consistency: run.consistency, received: 0, required: required,
                    contentions: 0)
        }
        observe(
            .requestTimedOut(
                table: run.table.id.value, token: run.token.value, received: 0,
                required: run.proposal?.required ?? 0, request: id.value))
        fail(run, error)
    }

    // MARK: Ending

    private func fail(_ run: ConditionalRun, _ error: CQLError) {
        conditionals[run.id] = nil
        switch run.purpose {
        case .read: readFailed(run.client, error)
        case .change: answer(run.client, error: error)
        }
    }

    private func finish(_ run: ConditionalRun, applied: Bool) {
        conditionals[run.id] = nil
        switch run.purpose {
        case .read(let session):
            do {
                try run.result.bytes.withBytes { raw throws(MalformedBytes) in
                    try session.append(try ReadResultView(raw))
                }
            } catch {
                readFailed(run.client, .serverError("a replica's answer is malformed: \(error)"))
                return
            }
            pieceEnded(session, run.result.stop)
        case .change(let request, _):
            do {
                answer(run.client, try request.answer(applied: applied, run.current))
            } catch {
                answer(run.client, error: error)
            }
        }
    }

    private func answer(_ client: ClientRequest, _ result: ConditionalRequest.Answer) {
        // The columns depend on the outcome, so they are always sent.
        answerRows(client, RowsMetadata(result.columns), result.rows)
    }

    // MARK: Latches

    /// Gives a latch back; whoever has it next goes on at the end of the step.
    func release(_ latch: LatchKey) {
        if let next = latches.release(latch) { latched.append((latch, next)) }
    }

    /// Lets those go on who were handed a latch.
    func runLatched() {
        var index = 0
        // Those that go on may end at once and hand their latch to others.
        while index < latched.count {
            let (latch, waiter) = latched[index]
            index += 1
            switch waiter {
            case .conditional(let id):
                guard let run = conditionals[id], !run.client.isAnswered else {
                    release(latch)
                    continue
                }
                run.client.latch = latch
                begin(run)
            case .modification(let client):
                guard !client.isAnswered else {
                    release(latch)
                    continue
                }
                client.latch = latch
                continueModification(client)
            case .increment(let id): lead(id)
            }
        }
        latched.removeAll(keepingCapacity: true)
    }
}

/// Who waits for a latch.
enum LatchWaiter {
    case conditional(RequestID)
    case modification(ClientRequest)
    /// The number of an increment to lead.
    case increment(UInt64)
}
