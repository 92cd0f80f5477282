// Hinted handoff: mutations for replicas that were down or silent are kept in files of the storage engine
// and sent when the replica is back. Hints are best effort: they never fail a write, and what is too
// old or too much is dropped (anti-entropy is what makes replicas equal for certain).

internal import Encoding
internal import Environment
internal import Model
internal import PeerProtocol
internal import Storage
internal import Topology

extension Shard {
    /// Keeps a mutation for a replica that has not applied it, as far as we know.
    func storeHint(for target: HostID, _ write: PendingWrite) {
        guard configuration.requests.hintedHandoffEnabled, target != host else { return }
        let window = configuration.requests.maximumHintWindow.nanoseconds / 1000
        hints.add(
            target: target, mutation: write.mutation, createdAt: now.wall,
            expiresAt: WallTime(microseconds: now.wall.microseconds + window))
        observe(.hintStored(target: target, table: write.table.value, token: write.token.value))
    }

    /// Looks from time to time whether hints can be delivered.
    func tickHints() {
        guard !hints.isEmpty, nextHintCheck <= now.monotonic else { return }
        nextHintCheck = now.monotonic + configuration.requests.hintReplayInterval
        continueHintReplays()
    }

    func continueHintReplays() {
        if isHandoffPaused { return }
        for target in hints.targets {
            guard hintReplays[target] == nil, let node = cluster.topology.index(of: target) else {
                continue
            }
            guard isAlive(node, cluster.topology) else { continue }
            replayHints(to: target)
        }
    }

    /// Sends the next batch of one target's hints.
    private func replayHints(to target: HostID) {
        let batch = hints.nextBatch(
            target, maximum: configuration.requests.hintReplayBatch, clock: now, outbox: outbox)
        guard !batch.isEmpty else { return }
        var replay = HintReplay(outstanding: [])
        for mutation in batch {
            guard let view = mutation.withBytes({ try? MutationView($0) }) else { continue }
            let id = requestIDs.next()
            replay.outstanding.insert(id)
            sendRequest(
                .mutation, to: target, token: Token(view.token), request: id,
                budget: configuration.requests.writeTimeout
            ) { writer in
                mutation.withBytes {
                    MutationRequest(flags: .isHint, mutation: $0).encode(into: writer)
                }
            }
            deadlines.add(
                .hints(target, id), span: configuration.requests.writeTimeout, now: now.monotonic)
        }
        hintReplays[target] = replay
    }

    /// A replayed hint was answered; false if the request is no hint.
    func hintAcknowledged(_ id: RequestID, by replica: HostID, applied: Bool) -> Bool {
        guard var replay = hintReplays[replica], replay.outstanding.remove(id) != nil else {
            return false
        }
        if !applied { replay.failed = true }
        if replay.outstanding.isEmpty { finishReplay(replay, to: replica) } else { hintReplays[replica] = replay }
        return true
    }

    /// A replayed hint was not answered in time: the batch is sent again later.
    func hintExpired(_ target: HostID, _ id: RequestID) {
        guard let replay = hintReplays[target], replay.outstanding.contains(id) else { return }
        hintReplays[target] = nil
        hints.abandonBatch(target)
    }

    private func finishReplay(_ replay: HintReplay, to target: HostID) {
        hintReplays[target] = nil
        if replay.failed {
            hints.abandonBatch(target)
            return
        }
        let delivered = hints.batchDelivered(target, outbox: outbox)
        observe(.hintDelivered(target: target, count: delivered))
        if !isHandoffPaused { replayHints(to: target) }
    }
}
