// Voting, learning what was decided, and catching up.

internal import Encoding
internal import Environment
internal import Model
internal import PeerProtocol
internal import Replication

extension MetadataLog {
    mutating func handle(_ message: MetadataMessage, _ sender: HostID, _ now: Instant) {
        switch message {
        case .prepare(let epoch, let ballot):
            guard mayVote(on: epoch, sender, now) else { return }
            let isNew = vote.prepare(ballot)
            answer(
                .promise(
                    epoch: epoch, ballot: ballot, promised: vote.promised, accepted: vote.accepted),
                to: sender, isNew)
        case .accept(let epoch, let ballot, let value):
            guard mayVote(on: epoch, sender, now) else { return }
            let isNew = vote.accept(ballot, value)
            answer(
                .accepted(epoch: epoch, ballot: ballot, promised: vote.promised), to: sender, isNew)
        case .promise(let epoch, let ballot, let promised, let accepted):
            guard epoch == UInt64(entries.count) else { return }
            stepProposal(now) { paxos, random in
                paxos.promise(
                    from: sender, ballot: ballot, promised: promised, accepted: accepted, now: now,
                    random: &random)
            }
        case .accepted(let epoch, let ballot, let promised):
            guard epoch == UInt64(entries.count) else { return }
            stepProposal(now) { paxos, random in
                paxos.accepted(
                    from: sender, ballot: ballot, promised: promised, now: now, random: &random)
            }
        case .catchUp(let epoch): tell(sender, from: epoch)
        case .entries(let news): learn(news, from: sender, now)
        }
    }

    private mutating func stepProposal(
        _ now: Instant,
        _ step: (inout PaxosProposer, inout RandomStream) -> [PaxosProposer.Step]
    ) {
        guard case .running(var paxos) = proposals.first?.phase else { return }
        let steps = step(&paxos, &random)
        proposals[0].phase = .running(paxos)
        carryOut(steps, 0, now)
    }

    // MARK: Voting

    /// Votes are given only on the epoch right after the known ones, by those whom the known state
    /// names as voters. Others are told what is decided already, or asked for what we lack.
    private mutating func mayVote(on epoch: UInt64, _ proposer: HostID, _ now: Instant) -> Bool {
        guard let known else {
            if epoch > 0 { noteAhead(epoch - 1, proposer, now) }
            return false
        }
        if epoch <= known.epoch {
            tell(proposer, from: epoch)
            return false
        }
        if epoch > known.epoch + 1 {
            noteAhead(epoch - 1, proposer, now)
            return false
        }
        return known.voters.contains(host)
    }

    /// Answers when the vote is durable. An unchanged vote may still be on its way to the disk.
    private mutating func answer(_ message: MetadataMessage, to target: HostID, _ isNew: Bool) {
        let reply = Completion.reply(to: target, message)
        if isNew {
            commit(
                [.putVote(epoch: UInt64(entries.count), vote: vote.encoded)], then: reply)
        } else {
            whenDurable(reply)
        }
    }

    // MARK: Learning

    /// Takes in decided entries and hands them out to be committed.
    mutating func learn(_ news: [MetadataEntryBytes], from sender: HostID, _ now: Instant) {
        var learnt: [MetadataEntry] = []
        var changes: [MetadataChange] = []
        for item in news {
            let next = UInt64(entries.count)
            guard item.epoch >= next else {
                if entries[Int(item.epoch)].body != item.body {
                    actions.append(.conflict(epoch: item.epoch, with: sender))
                    return
                }
                continue
            }
            guard item.epoch == next else {
                noteAhead(item.epoch, sender, now)
                break
            }
            let entry: MetadataEntry
            let state: ClusterState
            do {
                entry = try Self.read(item.body, epoch: item.epoch)
                state = try ClusterState.following(known, entry)
            } catch {
                actions.append(.unreadable(epoch: item.epoch, reason: error.reason))
                break
            }
            changes.append(
                .putLogEntry(
                    MetadataLogRecord(
                        epoch: item.epoch, summary: entry.summary(before: known), body: item.body)))
            // The vote has done its duty; an empty one stands for none.
            if vote != PaxosAcceptor() { changes.append(.putVote(epoch: next, vote: [])) }
            vote = PaxosAcceptor()
            known = state
            entries.append(item)
            schemaVersions.append(state.schema.version)
            learnt.append(entry)
        }
        guard let known, !learnt.isEmpty else { return }
        commit(changes, then: .install(known, learnt))
        for entry in learnt { settleProposals(entry) }
        if let ahead, ahead.epoch <= known.epoch {
            self.ahead = nil
        } else if ahead != nil {
            ask(now)
        }
    }

    /// Notes that a node has an epoch, and asks it if we do not.
    mutating func noteAhead(_ epoch: UInt64, _ other: HostID, _ now: Instant) {
        guard other != host, epoch >= UInt64(entries.count) else { return }
        if let current = ahead {
            if epoch > current.epoch {
                ahead = (epoch, other, current.askAt)
            } else if now >= current.askAt {
                // Whoever was asked is silent: try another one.
                ahead = (current.epoch, other, current.askAt)
            }
            if now >= current.askAt { ask(now) }
        } else {
            ahead = (epoch, other, now)
            ask(now)
        }
    }

    /// Asks for what we lack.
    mutating func ask(_ now: Instant) {
        guard let current = ahead else { return }
        ahead?.askAt = now + settings.catchUpInterval
        deliver(.catchUp(from: UInt64(entries.count)), to: current.host)
    }

    /// Sends a node the entries from that epoch on, as many as fit.
    private mutating func tell(_ other: HostID, from epoch: UInt64) {
        guard epoch < UInt64(entries.count) else { return }
        var told: [MetadataEntryBytes] = []
        var bytes = 0
        for entry in entries[Int(epoch)...] {
            bytes += entry.body.count
            if !told.isEmpty, bytes > settings.catchUpBytes { break }
            told.append(entry)
        }
        deliver(.entries(told), to: other)
    }
}
