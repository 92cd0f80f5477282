// Proposing: one proposal of this node runs at a time, the others wait behind it.

internal import Encoding
package import Environment
internal import PeerProtocol
internal import Replication
internal import Topology

extension MetadataLog {
    /// Proposes a change that was judged against the state of `expectedEpoch`. It ends by an
    /// `ended` action; before that the caller may be asked to `revalidate` it.
    ///
    /// `alive` are the members that answer at present: without a majority of voters among them the
    /// proposal ends at once instead of at its deadline.
    package mutating func propose(
        _ id: ProposalID, _ change: MetadataChangeKind, expectedEpoch: UInt64, alive: [HostID],
        time: WallTime, deadline: Instant, now: Instant
    ) -> [Action] {
        precondition(!proposals.contains { $0.id == id }, "proposal id used twice")
        guard let known else {
            actions.append(.ended(id, .rejected("this node has no cluster metadata yet")))
            return take()
        }
        guard proposals.count < settings.maximumProposals else {
            actions.append(.ended(id, .rejected("too many schema changes are waiting")))
            return take()
        }
        let answering = known.voters.filter { $0 == host || alive.contains($0) }
        guard answering.count >= known.majority else {
            actions.append(
                .ended(
                    id,
                    .noMajority(answered: answering, voters: known.voters, mayStillCommit: false)))
            return take()
        }
        issued += 1
        proposals.append(
            Proposal(
                id: id, entryID: entryID(issued), time: time, deadline: deadline, change: change,
                base: expectedEpoch))
        pump(now)
        return take()
    }

    /// The answer to `revalidate`: the change as it is to be against the state of `expectedEpoch`.
    package mutating func repropose(
        _ id: ProposalID, _ change: MetadataChangeKind, expectedEpoch: UInt64, now: Instant
    ) -> [Action] {
        guard let index = proposals.firstIndex(where: { $0.id == id }),
            case .revalidating = proposals[index].phase
        else { return [] }
        proposals[index].change = change
        proposals[index].base = expectedEpoch
        proposals[index].phase = .queued
        pump(now)
        return take()
    }

    /// The answer to `revalidate`: the change is no longer wanted or possible. No `ended` follows.
    package mutating func abandon(_ id: ProposalID, now: Instant) -> [Action] {
        guard let index = proposals.firstIndex(where: { $0.id == id }),
            case .revalidating = proposals[index].phase
        else { return [] }
        proposals.remove(at: index)
        pump(now)
        return take()
    }

    /// Unique across all nodes and lives: a hash of host, incarnation and number.
    private func entryID(_ number: UInt64) -> UniqueID {
        let writer = ByteWriter()
        writer.append(host.value)
        writer.appendLittleEndian(incarnation.value)
        writer.appendLittleEndian(number)
        return UniqueID(name: writer.array)
    }

    /// Begins the first proposal if it is queued. Returns whether anything was done.
    mutating func beginNext(_ now: Instant) -> Bool {
        guard let known, let proposal = proposals.first, case .queued = proposal.phase else {
            return false
        }
        guard proposal.base == known.epoch else {
            proposals[0].phase = .revalidating
            whenDurable(.revalidate(proposal.id))
            return true
        }
        let entry = MetadataEntry(
            epoch: known.epoch + 1, id: proposal.entryID, author: host, time: proposal.time,
            change: proposal.change)
        do {
            _ = try ClusterState.following(known, entry)
        } catch {
            proposals.removeFirst()
            whenDurable(.ended(proposal.id, .rejected(error.reason)))
            return true
        }
        let paxos = PaxosProposer(
            voters: known.voters, value: entry.encoded, ballots: &ballots,
            patience: settings.patience, now: now)
        proposals[0].phase = .running(paxos)
        carryOut(paxos.begin(), 0, now)
        return true
    }

    /// Does what the Paxos attempt of the proposal at `index` asks for.
    mutating func carryOut(_ steps: [PaxosProposer.Step], _ index: Int, _ now: Instant) {
        let epoch = UInt64(entries.count)
        for step in steps {
            switch step {
            case .prepare(let voters, let ballot):
                for voter in voters { deliver(.prepare(epoch: epoch, ballot: ballot), to: voter) }
            case .accept(let voters, let ballot, let value):
                for voter in voters {
                    deliver(.accept(epoch: epoch, ballot: ballot, value: value), to: voter)
                }
            case .decided(let value):
                let decided = MetadataEntryBytes(epoch: epoch, body: value)
                for node in known?.nodes ?? [] where node.hostID != host {
                    deliver(.entries([decided]), to: node.hostID)
                }
                learn([decided], from: host, now)
            }
        }
    }

    /// The entry of an epoch is known: whoever proposed for that epoch has won or must think again.
    mutating func settleProposals(_ entry: MetadataEntry) {
        for index in proposals.indices {
            switch proposals[index].phase {
            case .running where proposals[index].base + 1 == entry.epoch:
                let id = proposals[index].id
                if entry.id == proposals[index].entryID {
                    proposals[index].phase = .won
                    whenDurable(.ended(id, .committed(epoch: entry.epoch)))
                } else {
                    proposals[index].phase = .revalidating
                    whenDurable(.revalidate(id))
                }
            case .running, .queued, .revalidating, .won: break
            }
        }
    }

    /// Ends proposals whose time is over.
    mutating func expire(_ now: Instant) {
        let voters = known?.voters ?? []
        for proposal in proposals where now >= proposal.deadline {
            var answered: [HostID] = []
            var mayStillCommit = false
            switch proposal.phase {
            case .won: continue
            case .running(let paxos):
                answered = paxos.answered
                mayStillCommit = paxos.mayStillBeDecided
            case .queued, .revalidating: answered = voters
            }
            proposals.removeAll { $0.id == proposal.id }
            actions.append(
                .ended(
                    proposal.id,
                    .noMajority(
                        answered: answered, voters: voters, mayStillCommit: mayStillCommit)))
        }
    }
}
