// What shard 0 does for the node: carries out what gossip and the metadata log ask for, tells the other
// shards, and keeps the hybrid clock's bound ahead of the clock.

internal import CQL
internal import Encoding
internal import Environment
internal import Membership
internal import Model
internal import NativeProtocol
internal import PeerProtocol
internal import Topology

/// What a committed batch of metadata lets happen.
enum MetadataFollowUp {
    case log(UInt64)
    case clockBound(Int64)
    case truncated(sender: HostID, request: RequestID)
    /// Nothing waits for it.
    case nothing
}

extension Shard {
    private static let clockCheckInterval = Instant.Span.seconds(5)

    /// Asks the world to commit; `followUp` happens when it has.
    func commit(_ changes: [MetadataChange], then followUp: MetadataFollowUp) {
        let id = effectIDs.next()
        metadataFollowUps[id] = followUp
        outbox.effects.append(.commitMetadata(id, MetadataBatch(changes)))
    }

    func metadataCommitted(_ id: EffectID) {
        switch metadataFollowUps.removeValue(forKey: id) {
        case .log(let number):
            withControl { carryOut($0.log.committed(number, now: now.monotonic)) }
        case .clockBound(let bound):
            withControl {
                $0.clockBound = bound
                $0.isRaisingClockBound = false
            }
        case .truncated(let sender, let request):
            sendShard(.truncated(sender: sender, request: request), to: ShardIndex(0))
        case .nothing, nil: break
        }
    }

    private func withControl(_ body: (NodeControl) -> Void) {
        if let control { body(control) }
    }

    // MARK: Start and time

    /// First effects of the node-wide machines.
    func startControl() {
        withControl { control in
            carryOut(
                control.membership.setMembers(
                    cluster.topology.nodes.map(\.hostID), now: now.monotonic))
            announceOwnAddresses(control)
        }
    }

    /// A node that was started at other addresses, or with other shards, than agreed says so.
    private func announceOwnAddresses(_ control: NodeControl) {
        guard !control.isAnnouncingAddresses, let agreed = cluster.topology.node(host),
            isOutdated(agreed)
        else { return }
        control.isAnnouncingAddresses = true
        propose(ownAddresses, control)
    }

    private func isOutdated(_ agreed: NodeDescription) -> Bool {
        agreed.clientAddress != clientAddress || agreed.peerAddress != peerAddress
            || agreed.shardCount != shardCount
    }

    private var ownAddresses: MetadataChangeKind {
        .updateNode(host, client: clientAddress, peer: peerAddress, shardCount: shardCount)
    }

    func tickControl() {
        withControl { control in
            carryOut(control.membership.tick(now: now.monotonic))
            carryOut(control.log.tick(now: now.monotonic))
            keepClockBound(control)
            readKeptStatements(control)
            announceLiveness(control)
            letClientsIn(control)
        }
    }

    /// A node that has just started knows nobody to be alive, and would refuse its first clients with
    /// Unavailable. So they are let in when every member has been heard, and what they had prepared is
    /// known again, or all that has had its time.
    private func letClientsIn(_ control: NodeControl) {
        guard let deadline = control.settleDeadline else { return }
        let isSettled = cluster.topology.nodes.allSatisfy {
            $0.hostID == host || liveHosts.contains($0.hostID)
        }
        guard isSettled && control.keptStatements == .there || deadline <= now.monotonic
        else { return }
        control.settleDeadline = nil
        outbox.effects.append(.acceptClients(true))
    }

    private func keepClockBound(_ control: NodeControl) {
        // A wall clock that was set far ahead takes the bound along at once.
        guard control.nextClockCheck <= now.monotonic || control.clockBound < clock.latest
        else { return }
        control.nextClockCheck = now.monotonic + Self.clockCheckInterval
        let latest = max(clock.latest, now.wall.microseconds)
        guard !control.isRaisingClockBound,
            control.clockBound < latest + Node.clockBoundAhead / 2
        else { return }
        control.isRaisingClockBound = true
        let bound = latest + Node.clockBoundAhead
        commit([Node.clockBound(bound)], then: .clockBound(bound))
    }

    // MARK: Membership

    func linkChanged(_ peer: HostID, isUp: Bool) {
        if isUp { linkedHosts.insert(peer) } else { linkedHosts.remove(peer) }
        withControl {
            carryOut($0.membership.linkChanged(peer, up: isUp, now: now.monotonic))
        }
        if isUp { continueHintReplays() }
    }

    func carryOut(_ actions: [MembershipAction]) {
        for action in actions {
            switch action {
            case .send(let target, let message):
                sendControl(message.kind, to: target) { message.encode(into: $0) }
            // Who is up is told to all shards at once, below; addresses change by agreement alone.
            case .up, .down, .readyChanged, .addressesChanged: break
            case .epochSeen(let peer, let epoch):
                withControl {
                    carryOut($0.log.epochSeen(epoch, at: peer, now: now.monotonic))
                }
            case .superseded(let generation):
                stop(
                    "another process runs as host \(host), in its life \(generation): was this "
                        + "data folder copied?")
            }
        }
        withControl {
            announceLiveness($0)
            answerInstalled($0)
        }
    }

    /// Tells all shards, this one included, who is alive and how far everybody is.
    private func announceLiveness(_ control: NodeControl) {
        let live = control.membership.aliveMembers
        var epochs: [HostID: UInt64] = [:]
        for host in live { epochs[host] = control.membership.state(of: host)?.epoch }
        guard live != control.announcedLive || epochs != peerEpochs else { return }
        control.announcedLive = live
        let notice = ShardNotice.liveness(live, epochs: epochs)
        for shard in 1..<max(1, shardCount) { sendShard(notice, to: ShardIndex(shard)) }
        install(live, epochs)
    }

    /// Who is alive now, by gossip.
    func install(_ live: [HostID], _ epochs: [HostID: UInt64]) {
        let former = liveHosts
        liveHosts = Set(live)
        peerEpochs = epochs
        for peer in live where !former.contains(peer) { announceStatus(peer, .up) }
        for peer in former.sorted() where !liveHosts.contains(peer) { announceStatus(peer, .down) }
        guard !liveHosts.subtracting(former).isEmpty else { return }
        continueHintReplays()
        // What could not be agreed without a majority may be possible now.
        withControl { announceOwnAddresses($0) }
    }

    private func announceStatus(_ peer: HostID, _ status: ServerEvent.Status) {
        guard let node = cluster.topology.node(peer) else { return }
        announce(
            .status(
                status, address: node.clientAddress.address, port: Int(node.clientAddress.port)))
    }

    // MARK: Messages

    func receiveControl(_ header: PeerHeader, _ body: UnsafeRawBufferPointer) throws(MalformedBytes)
    {
        guard let control else { return }
        switch header.kind {
        case .gossipSyn, .gossipAck, .gossipAck2:
            let message = try GossipMessage(kind: header.kind, body)
            carryOut(
                control.membership.receive(
                    message, from: header.sender, incarnation: header.senderIncarnation,
                    now: now.monotonic))
        default:
            let message = try MetadataMessage(kind: header.kind, body)
            carryOut(control.log.receive(message, from: header.sender, now: now.monotonic))
        }
    }

    /// A peer has an epoch that we do not have.
    func newerEpochSeen(_ header: PeerHeader) {
        guard header.epoch > cluster.epoch else { return }
        if let control {
            carryOut(
                control.log.epochSeen(header.epoch, at: header.sender, now: now.monotonic))
        } else {
            sendShard(.epochSeen(header.epoch, at: header.sender), to: ShardIndex(0))
        }
    }

    // MARK: Metadata log

    private func propose(_ change: MetadataChangeKind, _ control: NodeControl) {
        control.nextProposal += 1
        carryOut(
            control.log.propose(
                ProposalID(control.nextProposal), change, expectedEpoch: cluster.epoch,
                alive: control.membership.aliveMembers, time: now.wall,
                deadline: now.monotonic + configuration.requests.schemaTimeout,
                now: now.monotonic))
    }

    func carryOut(_ actions: [MetadataLog.Action]) {
        guard let control else { return }
        for action in actions {
            switch action {
            case .send(let target, let message):
                sendControl(message.kind, to: target) { message.encode(into: $0) }
            case .commit(let batch, let number): commit(batch.changes, then: .log(number))
            case .installed(let state, let entries): installed(state, entries, control)
            case .revalidate(let id, let state): revalidate(id, state, control)
            case .ended(let id, let outcome): ended(id, outcome, control)
            case .conflict(let epoch, let peer):
                stop(
                    "the metadata log of \(peer) differs from ours in epoch \(epoch): one of the "
                        + "two is damaged")
            case .unreadable(let epoch, let reason):
                stop("entry \(epoch) of the metadata log cannot be read: \(reason)")
            }
        }
    }

    private func installed(
        _ state: ClusterState, _ entries: [MetadataEntry], _ control: NodeControl
    ) {
        let first = entries.first?.epoch ?? state.epoch
        let records = control.log.entries(from: first).filter { $0.epoch <= state.epoch }.map {
            MetadataLogRecord(epoch: $0.epoch, summary: "", body: $0.body)
        }
        for shard in 1..<max(1, shardCount) { sendShard(.entries(records), to: ShardIndex(shard)) }
        install(records)
        if state.epoch > cluster.epoch || cluster.state == nil { install(state) }
        carryOut(
            control.membership.setMembers(
                state.placement.nodes.map(\.hostID), now: now.monotonic))
        carryOut(
            control.membership.updateOwn(epoch: state.epoch, isReady: true, load: control.load))
    }

    // MARK: Schema changes

    /// A statement of a client of some shard of this node.
    func changeSchema(
        _ request: UInt64, _ statement: String, _ keyspace: String?, from shard: ShardIndex
    ) {
        guard let control else { return }
        var pending = PendingSchemaChange(
            shard: shard, request: request, statement: statement, keyspace: keyspace,
            answer: .nothing, tableID: TableID(control.random.uniqueID()),
            timestamp: clock.next(wall: now.wall))
        guard let state = cluster.state else {
            finish(pending, .failed(.serverError("this node belongs to no cluster yet")))
            return
        }
        do {
            guard let edits = try judge(&pending, state) else {
                finish(pending, .nothing)
                return
            }
            control.nextProposal += 1
            let id = ProposalID(control.nextProposal)
            control.proposals[id] = pending
            carryOut(
                control.log.propose(
                    id, .schema(edits), expectedEpoch: state.epoch,
                    alive: control.membership.aliveMembers, time: now.wall,
                    deadline: now.monotonic + configuration.requests.schemaTimeout,
                    now: now.monotonic))
        } catch {
            finish(pending, .failed(error))
        }
    }

    /// What the statement changes in that state; nil for nothing.
    private func judge(
        _ pending: inout PendingSchemaChange, _ state: ClusterState
    ) throws(CQLError) -> [SchemaEdit]? {
        let plan = try Planner.plan(
            try Parser.parse(pending.statement), schema: state.schema, keyspace: pending.keyspace,
            datacenters: state.placement.datacenters)
        guard case .schemaChange(let change) = plan.plan else {
            throw .serverError("not a schema change: \(pending.statement)")
        }
        let outcome = try change.apply(
            to: state.schema, tableID: pending.tableID, timestamp: pending.timestamp)
        pending.answer = outcome.event.map { .changed($0.announcement) } ?? .nothing
        switch outcome.effect {
        case .nothing: return nil
        case .dropKeyspace(let name): return [.dropKeyspace(name)]
        case .put(let keyspace):
            let edits = SchemaEdit.difference(
                from: state.schema.keyspace(named: keyspace.name), to: keyspace)
            // A statement that leaves everything as it was is still answered as a change.
            return edits.isEmpty ? nil : edits
        }
    }

    /// Another entry came first: is the change still possible?
    private func revalidate(_ id: ProposalID, _ state: ClusterState, _ control: NodeControl) {
        guard var pending = control.proposals[id] else {
            revalidateAnnouncement(id, state, control)
            return
        }
        do {
            guard let edits = try judge(&pending, state) else {
                control.proposals[id] = nil
                carryOut(control.log.abandon(id, now: now.monotonic))
                finish(pending, .nothing)
                return
            }
            control.proposals[id] = pending
            carryOut(
                control.log.repropose(
                    id, .schema(edits), expectedEpoch: state.epoch, now: now.monotonic))
        } catch {
            control.proposals[id] = nil
            carryOut(control.log.abandon(id, now: now.monotonic))
            finish(pending, .failed(error))
        }
    }

    /// The same for what this node says of itself. It is judged by the state that is asked about and
    /// not by our view, which may follow only after this action.
    private func revalidateAnnouncement(
        _ id: ProposalID, _ state: ClusterState, _ control: NodeControl
    ) {
        guard let agreed = state.placement.node(host), isOutdated(agreed) else {
            control.isAnnouncingAddresses = false
            carryOut(control.log.abandon(id, now: now.monotonic))
            return
        }
        carryOut(
            control.log.repropose(
                id, ownAddresses, expectedEpoch: state.epoch, now: now.monotonic))
    }

    private func ended(_ id: ProposalID, _ outcome: MetadataLog.Outcome, _ control: NodeControl) {
        guard let pending = control.proposals.removeValue(forKey: id) else {
            control.isAnnouncingAddresses = false
            return
        }
        switch outcome {
        case .committed(let epoch):
            control.agreed.append(
                (epoch, pending, now.monotonic + configuration.requests.schemaTimeout))
            answerInstalled(control)
        case .rejected(let reason): finish(pending, .failed(.invalid(reason)))
        case .noMajority(let answered, let voters, let mayStillCommit):
            let names = voters.map { voter in
                let address = cluster.topology.node(voter)?.clientAddress.description ?? "\(voter)"
                return answered.contains(voter) ? "\(address) answered" : "\(address) did not"
            }
            finish(
                pending,
                .failed(
                    .serverError(
                        "The schema cannot change without a majority of the voters of the metadata "
                            + "log (\(names.joined(separator: ", ")))"
                            + (mayStillCommit ? "; the change may still be applied" : "")
                            + ". Data is served at the last epoch meanwhile.")))
        }
    }

    /// A shard of this node has installed everything up to that epoch.
    func shardInstalled(_ epoch: UInt64, _ shard: ShardIndex) {
        guard let control else { return }
        control.shardEpochs[shard.value] = max(control.shardEpochs[shard.value], epoch)
        answerInstalled(control)
    }

    /// Answers the schema changes that every shard of this node and every living node has installed: the
    /// client's next statement may go to any of them. A node that stays behind is not waited for longer
    /// than `schemaTimeout`.
    private func answerInstalled(_ control: NodeControl) {
        guard !control.agreed.isEmpty, let installed = control.shardEpochs.min() else { return }
        var everywhere = UInt64.max
        for peer in control.membership.aliveMembers {
            everywhere = min(everywhere, control.membership.state(of: peer)?.epoch ?? 0)
        }
        let ready = control.agreed.filter {
            $0.epoch <= installed && ($0.epoch <= everywhere || $0.deadline <= now.monotonic)
        }
        control.agreed.removeAll { change in
            ready.contains { $0.pending.tableID == change.pending.tableID }
        }
        for change in ready { finish(change.pending, change.pending.answer) }
    }

    /// Answers the shard whose client asked. Notices arrive in order, so that shard has installed the
    /// change by then.
    private func finish(_ pending: PendingSchemaChange, _ answer: SchemaAnswer) {
        if pending.shard == index {
            schemaChanged(pending.request, answer)
        } else {
            sendShard(
                .schemaChanged(request: pending.request, answer), to: pending.shard)
        }
    }
}
