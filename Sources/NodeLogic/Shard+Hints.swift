// Hinted handoff: mutations for replicas that were down, silent or refused them are kept in files of the
// storage engine and sent when the replica is back. Hints are best effort: they never fail a write, and what
// is too old or too much is dropped (anti-entropy is what makes replicas equal for certain).
//
// **When there is no hint.** As in Cassandra, for a replica that is away for longer than `max_hint_window`: what
// it missed until then is still handed to it. That it is away is told by the oldest of its hints, which outlives
// restarts, and by when gossip lost it.
//
// **When a hint is not sent.** A write must not come back that a deletion has covered and that deletion forgotten:
// so a hint has the `gc_grace_seconds` of its table to arrive, those of the time when it was made or those of
// now, whichever are less; with 0 there are no hints. Nor is it sent when its table was truncated after the write
// began, or dropped; one that no replica can take any more would be in the way of all that follow.

internal import Encoding
internal import Environment
internal import Model
internal import PeerProtocol
internal import Storage
internal import Topology

extension Shard {
    /// Keeps a mutation for a replica that has not applied it, as far as we know; false if none is kept.
    @discardableResult
    func storeHint(for target: HostID, _ write: PendingWrite) -> Bool {
        guard configuration.requests.hintedHandoffEnabled, target != host,
            let grace = hintGrace(of: write.table), grace > 0, !isAwayTooLong(target),
            hints.add(
                target: target, mutation: write.mutation, createdAt: write.begun,
                expiresAt: WallTime(microseconds: write.begun.microseconds + grace))
        else {
            write.isMissedForGood = true
            return false
        }
        observe(.hintStored(target: target, table: write.table.value, token: write.token.value))
        return true
    }

    /// Microseconds from the begin of a write in which a copy of it may still arrive; nil for a table that is
    /// not there.
    func hintGrace(of table: TableID) -> Int64? {
        guard let options = cluster.route(of: table)?.table.options else { return nil }
        let forever: Int64 = 100 * 365 * 86_400 * 1_000_000
        return options.tombstoneGC.mode == .disabled
            ? forever : Int64(options.gcGraceSeconds) * 1_000_000
    }

    /// Whether a copy of a write that began then may still be sent.
    func isTimely(_ table: TableID, begun: WallTime) -> Bool {
        guard let grace = hintGrace(of: table) else { return false }
        if isTruncated(table, since: begun) { return false }
        return begun.microseconds + grace > now.wall.microseconds
    }

    /// Whether a replica has missed writes for longer than hints are kept for it.
    private func isAwayTooLong(_ target: HostID) -> Bool {
        let window = configuration.requests.maximumHintWindow
        if let oldest = hints.oldest(for: target),
            now.wall.microseconds - oldest.microseconds > window.nanoseconds / 1_000
        {
            return true
        }
        guard let silent = silentSince[target] else { return false }
        return now.monotonic > silent + window
    }

    /// Gossip hears other nodes than before: notes since when one is silent.
    func noteSilence(after former: Set<HostID>) {
        for peer in former.subtracting(liveHosts) { silentSince[peer] = now.monotonic }
        for peer in liveHosts.subtracting(former) { silentSince[peer] = nil }
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
            target, maximum: configuration.requests.hintReplayBatch, clock: now, outbox: outbox,
            isWanted: { [self] created, mutation in
                guard let view = mutation.withBytes({ try? MutationView($0) }) else { return false }
                return isTimely(view.table, begun: created)
            })
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

    /// An operator wants the hints of these nodes forgotten, or with none named all.
    func forgetHints(of hosts: [HostID]) {
        for target in hosts.isEmpty ? hints.targets : hosts {
            hintReplays[target] = nil
            hints.removeAll(of: target, outbox: outbox)
        }
    }

    /// A replayed hint was answered; false if the request is no hint.
    func hintAcknowledged(_ id: RequestID, by replica: HostID, applied: Bool) -> Bool {
        guard var replay = hintReplays[replica], replay.outstanding.remove(id) != nil else {
            return false
        }
        if !applied { replay.failed = true }
        if replay.outstanding.isEmpty {
            finishReplay(replay, to: replica)
        } else {
            hintReplays[replica] = replay
        }
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
