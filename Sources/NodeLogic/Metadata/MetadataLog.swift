// The metadata log of one node: schema and topology as one agreed sequence of entries.
// docs/protocols/metadata-log.md describes the protocol.
//
// A value machine. Messages, completed commits and the clock go in; actions come out, to be carried
// out in order.
//
// - Each entry has an epoch, its place in the sequence. For each epoch there is one Paxos register,
//   on which the voters of the state before it vote. Any node may propose; nobody leads.
// - A node that is behind catches up by range from any node that is ahead.
//
// Durability: a vote is committed before it is answered, and an entry before it is installed.
// Batches commit in order, so an answer waits for the last batch that was handed out before it.
//
// Invariant: `entries[e].epoch == e`; `known` is their fold; voters vote only on epoch
// `entries.count`.

package import Encoding
package import Environment
internal import Model
package import PeerProtocol
package import Replication
package import Topology

/// A proposal by its number, which the caller issues and does not repeat in one life of the node.
package struct ProposalID: Hashable, Sendable {
    package let value: UInt64
    package init(_ value: UInt64) { self.value = value }
}

/// The machine of the metadata log.
package struct MetadataLog: Sendable {
    /// What is asked of the caller, in order.
    package enum Action: Sendable {
        case send(to: HostID, MetadataMessage)
        /// Commit, then call `committed` with the number.
        case commit(MetadataBatch, UInt64)
        /// These entries are agreed and durable; this is the state after the last of them.
        case installed(ClusterState, [MetadataEntry])
        /// Another entry came first: judge the proposal against this state, then call `repropose`
        /// or `abandon`.
        case revalidate(ProposalID, ClusterState)
        case ended(ProposalID, Outcome)
        /// The log of that node differs from ours in that epoch: one of the two is damaged.
        case conflict(epoch: UInt64, with: HostID)
        /// An agreed entry that this version cannot read or apply; the node cannot go on.
        case unreadable(epoch: UInt64, reason: String)
    }

    /// How a proposal ended.
    package enum Outcome: Equatable, Sendable {
        /// It is the entry of that epoch, and installed on this node.
        case committed(epoch: UInt64)
        /// Nothing was changed.
        case rejected(String)
        /// Too few voters answered in time. If `mayStillCommit`, another node may yet complete it.
        case noMajority(answered: [HostID], voters: [HostID], mayStillCommit: Bool)
    }

    /// How patient the machine is.
    package struct Settings: Equatable, Sendable {
        package var patience = PaxosProposer.Patience()
        /// After this long without entries the next node is asked for them.
        package var catchUpInterval = Instant.Span.milliseconds(200)
        /// Entries of one message have at most this many bytes together (but there is at least
        /// one).
        package var catchUpBytes = 1 << 20
        package var maximumProposals = 128
        package init() {}
    }

    enum Completion: Sendable {
        case reply(to: HostID, MetadataMessage)
        case install(ClusterState, [MetadataEntry])
        case revalidate(ProposalID)
        case ended(ProposalID, Outcome)
    }

    struct Proposal: Sendable {
        enum Phase: Sendable {
            case queued
            case running(PaxosProposer)
            /// The caller has been asked, or will be when what was handed out is durable.
            case revalidating
            /// It is agreed, and ends when that is durable.
            case won
        }

        let id: ProposalID
        let entryID: UniqueID
        let time: WallTime
        let deadline: Instant
        var change: MetadataChangeKind
        /// The epoch of the state that the change was judged against.
        var base: UInt64
        var phase = Phase.queued
    }

    let host: HostID
    let settings: Settings
    var random: RandomStream
    var ballots: BallotSource
    /// Mixed into entry ids.
    let incarnation: Incarnation
    var issued: UInt64 = 0

    /// All agreed entries, as bytes, from entry 0 on.
    var entries: [MetadataEntryBytes] = []
    /// The version of the schema after each entry.
    var schemaVersions: [UniqueID] = []
    /// The fold of `entries`.
    var known: ClusterState?
    /// The fold of the durable ones.
    package private(set) var installed: ClusterState?
    /// This node's vote on epoch `entries.count`.
    var vote = PaxosAcceptor()

    var commits: UInt64 = 0
    var waiting: [(commit: UInt64, completion: Completion)] = []
    var proposals: [Proposal] = []
    /// The highest epoch that others are known to have, who has it, and when to ask (again).
    var ahead: (epoch: UInt64, host: HostID, askAt: Instant)?
    var actions: [Action] = []

    /// Loads the log of a node from its metadata store.
    package init(
        loading image: MetadataImage, host: HostID, incarnation: Incarnation,
        settings: Settings = Settings(), random: RandomStream
    ) throws(InvalidEntry) {
        self.host = host
        self.incarnation = incarnation
        self.settings = settings
        self.random = random
        ballots = BallotSource(host: host, incarnation: incarnation)
        for record in image.log {
            guard record.epoch == UInt64(entries.count) else {
                throw InvalidEntry("the metadata log has a gap before epoch \(record.epoch)")
            }
            let entry = try Self.read(record.body, epoch: record.epoch)
            let state = try ClusterState.following(known, entry)
            known = state
            entries.append(MetadataEntryBytes(epoch: record.epoch, body: record.body))
            schemaVersions.append(state.schema.version)
        }
        installed = known
        if let bytes = image.votes[UInt64(entries.count)], !bytes.isEmpty {
            do {
                vote = try PaxosAcceptor(bytes)
            } catch {
                throw InvalidEntry("vote of epoch \(entries.count): \(error)")
            }
        }
    }

    /// Entry 0 as the batch that founds a cluster in a node's empty store. Equal arguments give
    /// equal bytes, so that several stores can be founded with the same entry.
    package static func initialise(
        clusterID: UniqueID, name: String, voters: [HostID], nodes: [NodeDescription],
        time: WallTime
    ) throws(InvalidEntry) -> MetadataBatch {
        let entry = MetadataEntry(
            epoch: 0, id: UniqueID(name: clusterID.bytes), author: HostID(.zero), time: time,
            change: .initialise(
                clusterID: clusterID, name: name, voters: voters.sorted(),
                nodes: nodes.sorted { $0.hostID < $1.hostID }))
        _ = try ClusterState.following(nil, entry)
        return MetadataBatch([
            .putLogEntry(
                MetadataLogRecord(
                    epoch: 0, summary: entry.summary(before: nil), body: entry.encoded))
        ])
    }

    // MARK: Questions

    /// What drivers compare, at an epoch that this node knows.
    package func schemaVersion(atEpoch epoch: UInt64) -> UniqueID? {
        epoch < UInt64(schemaVersions.count) ? schemaVersions[Int(epoch)] : nil
    }

    /// The agreed entries from that epoch on, for the other shards of this node.
    package func entries(from epoch: UInt64) -> [MetadataEntryBytes] {
        epoch < UInt64(entries.count) ? Array(entries[Int(epoch)...]) : []
    }

    /// When `tick` must be called next; nil if only events matter.
    package var deadline: Instant? {
        var earliest: Instant?
        func consider(_ moment: Instant) { earliest = min(earliest ?? moment, moment) }
        if let ahead { consider(ahead.askAt) }
        for proposal in proposals {
            consider(proposal.deadline)
            if case .running(let paxos) = proposal.phase { consider(paxos.deadline) }
        }
        return earliest
    }

    // MARK: Events

    /// The batch of that number, and all before it, are durable.
    package mutating func committed(_ commit: UInt64, now: Instant) -> [Action] {
        while let first = waiting.first, first.commit <= commit {
            waiting.removeFirst()
            complete(first.completion)
        }
        pump(now)
        return take()
    }

    /// A node was seen (in a header or by gossip) to have that epoch.
    package mutating func epochSeen(_ epoch: UInt64, at other: HostID, now: Instant) -> [Action] {
        noteAhead(epoch, other, now)
        return take()
    }

    /// A message of the metadata log; `sender` may be this very node's host id.
    package mutating func receive(
        _ message: MetadataMessage, from sender: HostID, now: Instant
    ) -> [Action] {
        handle(message, sender, now)
        pump(now)
        return take()
    }

    /// Time has passed.
    package mutating func tick(now: Instant) -> [Action] {
        if let ahead, now >= ahead.askAt { ask(now) }
        expire(now)
        for index in proposals.indices {
            guard case .running(var paxos) = proposals[index].phase else { continue }
            let steps = paxos.tick(now: now, ballots: &ballots)
            proposals[index].phase = .running(paxos)
            carryOut(steps, index, now)
            break
        }
        pump(now)
        return take()
    }

    // MARK: Shared by the extensions

    mutating func take() -> [Action] {
        defer { actions.removeAll() }
        return actions
    }

    static func read(_ body: [UInt8], epoch: UInt64) throws(InvalidEntry) -> MetadataEntry {
        let entry: MetadataEntry
        do throws(MalformedBytes) {
            entry = try MetadataEntry(body)
        } catch {
            throw InvalidEntry("entry \(epoch) of the metadata log: \(error)")
        }
        guard entry.epoch == epoch else {
            throw InvalidEntry("entry \(epoch) of the metadata log says it is \(entry.epoch)")
        }
        return entry
    }

    /// Hands out a batch, with what is to follow when it is durable.
    mutating func commit(_ changes: [MetadataChange], then completion: Completion) {
        commits += 1
        actions.append(.commit(MetadataBatch(changes), commits))
        waiting.append((commits, completion))
    }

    /// Does it once all that was handed out is durable.
    mutating func whenDurable(_ completion: Completion) {
        if let last = waiting.last {
            waiting.append((last.commit, completion))
        } else {
            complete(completion)
        }
    }

    private mutating func complete(_ completion: Completion) {
        switch completion {
        case .reply(let target, let message): deliver(message, to: target)
        case .install(let state, let news):
            installed = state
            actions.append(.installed(state, news))
        case .revalidate(let id):
            guard let known, proposals.contains(where: { $0.id == id }) else { return }
            actions.append(.revalidate(id, known))
        case .ended(let id, let outcome):
            proposals.removeAll { $0.id == id }
            actions.append(.ended(id, outcome))
        }
    }

    /// Sends to a node, or to this very one: own messages are queued for `pump`.
    mutating func deliver(_ message: MetadataMessage, to target: HostID) {
        if target == host {
            ownMessages.append(message)
        } else {
            actions.append(.send(to: target, message))
        }
    }

    /// Messages of this node to itself, not handled yet.
    var ownMessages: [MetadataMessage] = []

    /// Handles own messages and begins the next proposal, until nothing is left to do.
    mutating func pump(_ now: Instant) {
        while true {
            if ownMessages.isEmpty, !beginNext(now) { return }
            let messages = ownMessages
            ownMessages = []
            for message in messages { handle(message, host, now) }
        }
    }
}
