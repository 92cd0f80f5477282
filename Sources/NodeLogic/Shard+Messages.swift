// Messages to and from other nodes and the other shards of this one.

internal import Encoding
internal import Environment
internal import Model
internal import PeerProtocol
internal import Storage
internal import Topology

extension Shard {
    /// Which shard of this node owns a token.
    func owner(of token: Token) -> ShardIndex {
        ShardMap.shard(of: token, count: shardCount)
    }

    /// A node as traces name it.
    func name(of target: HostID) -> String {
        cluster.topology.node(target).map { "/" + $0.peerAddress.description } ?? "\(target)"
    }

    /// Whether requests may be sent to a node: gossip hears it, and our link to it stands.
    func isAlive(_ node: NodeIndex, _ topology: PlacementSnapshot) -> Bool {
        if health.topology !== topology { health = replicaHealth(in: topology) }
        return health.isAlive[node.index]
    }

    private func replicaHealth(in topology: PlacementSnapshot) -> ReplicaHealth {
        ReplicaHealth(
            topology: topology,
            isAlive: topology.nodes.map { node in
                node.hostID == host
                    || (liveHosts.contains(node.hostID) && linkedHosts.contains(node.hostID))
            })
    }

    private func header(_ kind: PeerMessageKind, request: RequestID) -> PeerHeader {
        PeerHeader(
            kind: kind, clusterID: cluster.clusterID, lineage: cluster.lineage, sender: host,
            senderIncarnation: incarnation, senderShard: index, epoch: cluster.epoch,
            request: request, hybridTime: clock.latest)
    }

    /// Sends a request for a token to the shard that owns it, on this or another node.
    func sendRequest(
        _ kind: PeerMessageKind, to target: HostID, token: Token, request: RequestID,
        budget: Instant.Span, trace: RequestTrace? = nil, body: (ByteWriter) -> Void
    ) {
        var header = header(kind, request: request)
        header.traceID = trace?.id
        header.routeToken = token
        header.remainingBudget = UInt32(clamping: budget.wholeMicroseconds)
        send(header, to: target, shard: owner(of: token), body: body)
    }

    /// Sends a message that is about the whole node, from shard 0 to shard 0.
    func sendControl(
        _ kind: PeerMessageKind, to target: HostID, request: RequestID = .none,
        body: (ByteWriter) -> Void
    ) {
        send(header(kind, request: request), to: target, shard: ShardIndex(0), body: body)
    }

    /// Answers a request.
    func respond(
        to request: PeerHeader, _ kind: PeerMessageKind, fromShard: Bool,
        body: (ByteWriter) -> Void
    ) {
        var header = header(kind, request: request.request)
        header.targetShard = request.senderShard
        send(header, to: request.sender, shard: request.senderShard, body: body)
    }

    private func send(
        _ header: PeerHeader, to target: HostID, shard: ShardIndex, body: (ByteWriter) -> Void
    ) {
        let start = PeerEnvelope.begin(header, into: deferred.bytes)
        body(deferred.bytes)
        guard let range = PeerEnvelope.end(start, in: deferred.bytes) else {
            stop("a message of kind \(header.kind) is over the protocol's limit")
            return
        }
        if target != host { traffic(with: target).sent(range.count) }
        if target == host {
            deferred.effects.append(.shardMessage(shard, range))
        } else {
            deferred.effects.append(.peerMessage(target, range))
        }
    }

    /// Takes in a message of a peer, or of another shard of this node in the same form.
    func receivePeer(_ bytes: UnsafeRawBufferPointer, fromShard: Bool) {
        let header: PeerHeader
        let body: UnsafeRawBufferPointer
        do {
            (header, body) = try PeerEnvelope.decode(bytes, verifyingChecksum: !fromShard)
        } catch {
            // A damaged message is a lost one: its sender will notice by its deadline.
            return
        }
        guard header.clusterID == cluster.clusterID, header.lineage == cluster.lineage else {
            return
        }
        if !fromShard { traffic(with: header.sender).received(bytes.count) }
        // The shards of a node have one clock.
        if !fromShard { _ = clock.observe(header.hybridTime, wall: now.wall) }
        if header.epoch > cluster.epoch, !fromShard { newerEpochSeen(header) }
        if header.epoch > cluster.epoch, header.kind.route == .token {
            park(header.epoch, bytes, fromShard)
            return
        }
        do {
            try dispatch(header, body, fromShard: fromShard)
        } catch {
            // Well-formed by checksum and yet not readable: a newer or broken sender.
            if !fromShard { traffic(with: header.sender).refusedCount += 1 }
            refuse(header, body, fromShard: fromShard)
        }
    }

    private func dispatch(
        _ header: PeerHeader, _ body: UnsafeRawBufferPointer, fromShard: Bool
    ) throws {
        switch header.kind {
        case .mutation: try serveMutation(header, try MutationRequest(body), fromShard: fromShard)
        case .read: try serveRead(header, try ReadRequest(body), fromShard: fromShard)
        case .mutationResponse:
            switch try MutationResponse(body) {
            case .applied: writeAcknowledged(header.request, by: header.sender)
            case .failed(let reason):
                writeRefused(header.request, by: header.sender, reason: reason.rawValue)
            }
        case .readResponse: receiveReadResponse(header, try ReadResponse(body))
        case .truncate: serveTruncate(header, try TruncateRequest(body), fromShard: fromShard)
        case .truncateResponse: truncationAnswered(header, try MutationResponse(body))
        case .wrongEpoch: newerEpochSeen(header)
        case .ping:
            respond(to: header, .pong, fromShard: fromShard) { _ in }
        case .pong: break
        case .conditionalPrepare, .conditionalAccept, .conditionalCommit, .increment:
            if holdsBack(header, body, fromShard: fromShard) { return }
            try serveWriting(header, body, fromShard: fromShard)
        case .conditionalPromise: receivePromise(header, try ConditionalPromise(body))
        case .conditionalAccepted: receiveAccepted(header, try ConditionalAccepted(body))
        case .incrementResponse: incrementAnswered(header, try IncrementResponse(body))
        case .gossipSyn, .gossipAck, .gossipAck2, .paxosPrepare, .paxosPromise, .paxosAccept,
            .paxosAccepted, .metadataCatchUp, .metadataEntries:
            try receiveControl(header, body)
        }
    }

    private func serveWriting(
        _ header: PeerHeader, _ body: UnsafeRawBufferPointer, fromShard: Bool
    ) throws {
        if header.kind == .increment {
            try serveIncrement(header, try IncrementRequest(body), fromShard: fromShard)
        } else {
            try serveConditional(header, body, fromShard: fromShard)
        }
    }

    /// The same for a request that was held back.
    func serveHeld(_ header: PeerHeader, _ body: UnsafeRawBufferPointer, fromShard: Bool) {
        do {
            try serveWriting(header, body, fromShard: fromShard)
        } catch {
            refuse(header, body, fromShard: fromShard)
        }
    }

    /// Tells the sender of a request that we cannot serve it.
    private func refuse(
        _ header: PeerHeader, _ body: UnsafeRawBufferPointer, fromShard: Bool
    ) {
        switch header.kind {
        case .mutation:
            respond(to: header, .mutationResponse, fromShard: fromShard) {
                MutationResponse.failed(.unknown).encode(into: $0)
            }
        case .read:
            respond(to: header, .readResponse, fromShard: fromShard) {
                ReadResponse.failed(.unknown).encode(into: $0)
            }
        case .conditionalPrepare, .conditionalAccept, .conditionalCommit:
            refuseConditional(header, body, fromShard: fromShard)
        case .increment:
            respond(to: header, .incrementResponse, fromShard: fromShard) {
                IncrementResponse.failed(reason: ReplicaFailureReason.unknown.rawValue)
                    .encode(into: $0)
            }
        default: break
        }
    }

    /// Keeps a request that was planned with an epoch that we do not have yet.
    private func park(_ epoch: UInt64, _ bytes: UnsafeRawBufferPointer, _ fromShard: Bool) {
        // Bounded: what is dropped times out at its sender and gets a hint there.
        guard parkedMessages.count < 4096 else { return }
        parkedMessages.append((epoch, [UInt8](bytes), fromShard))
    }

    /// Serves what waited for the epoch that is installed now.
    func resumeParked() {
        let ready = parkedMessages.filter { $0.epoch <= cluster.epoch }
        guard !ready.isEmpty else { return }
        parkedMessages.removeAll { $0.epoch <= cluster.epoch }
        for message in ready {
            message.bytes.withBytes { receivePeer($0, fromShard: message.fromShard) }
        }
    }
}
