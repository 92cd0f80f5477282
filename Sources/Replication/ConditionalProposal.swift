// One conditional write, or one serial read, as its coordinator carries it out: Paxos among the replicas
// of a partition, in rounds until one ends it.
//
//     preparing --majority promised--> repairing --(replicas agree)--> judging
//        |  ^  \                                                      /        \
//        |  |   '--an accepted value was left--> proposing (theirs)  proposing   (nothing to write,
//        |  |                                      |                  (ours)      all replicas agree)
//        |  '------------committed-----------------'                    |              |
//        '--refused--> waiting --(a random time)--> preparing        committing      finished
//
// The read travels with the prepare, so a write takes three round trips (prepare, accept, commit), and a
// read one: if every replica has promised and none has accepted anything, no older value can be chosen
// any more. Otherwise an empty value is proposed, which settles the same.
//
// A value that was accepted by too few and then overtaken may still be chosen: it is recognised by its
// origin when another coordinator has finished it. Only if a later commit hides it, its outcome stays
// unknown.
//
// The machine has no clock and sends nothing; its owner carries out the steps, and gives it ballots.

package import Encoding
package import Model
package import PeerProtocol
package import Topology

/// The bookkeeping of one conditional write. A value that the coordinator keeps by request id.
package struct ConditionalProposal {
    /// What the owner is to do next.
    package enum Step: Equatable {
        case none
        /// Send to all replicas.
        case prepare(PartitionBallot)
        case repair([ReadOperation.Repair])
        /// Decide on these rows (a read result with deletions, and how far it goes), then call `propose`
        /// or `conclude`.
        case judge(result: [UInt8], stop: ReadStop?)
        /// Send to all replicas.
        case accept(PartitionBallot, ProposedValue)
        /// Send to all replicas, wait for a majority, then call `committed` (`isOwn`: for the statement's
        /// consistency level, and then the client is answered).
        case commit(PartitionBallot, ProposedValue, isOwn: Bool)
        /// Call `tick` after a while: n-th back-off.
        case wait(contentions: Int)
        /// Call `tick` after a short while: some replicas have not answered yet, and it may be worth it.
        case linger
        /// Nothing was written; what was read stands.
        case finished
        /// Our value may or may not have been decided.
        case unknown
        case failed(CQLError)
    }

    package typealias Repair = ReadOperation.Repair

    private enum Phase: Equatable {
        case preparing
        case repairing(outstanding: Int)
        case judging
        /// `isOwn`: ours; an empty value is never anybody's.
        case proposing(ProposedValue, isOwn: Bool)
        case committing
        case waiting
        case ended
    }

    private struct Answer {
        let node: NodeIndex
        let committed: PartitionBallot
        let committedOrigin: PartitionBallot
        let accepted: AcceptedProposal?
        let data: [UInt8]
    }

    package let command: ReadCommand
    /// SERIAL or LOCAL_SERIAL.
    package let consistency: ConsistencyLevel
    package let required: Int
    /// A read has no value of its own.
    private let isRead: Bool
    /// The living replicas, who are asked.
    package let replicas: [NodeIndex]
    /// How many replicas there are, dead ones included.
    private let replicaCount: Int
    private let repairsReplicas: Bool

    private var phase = Phase.preparing
    package private(set) var ballot: PartitionBallot
    package private(set) var highestSeen: PartitionBallot
    private var answers: [Answer] = []
    private var accepts: [NodeIndex] = []
    private var failures: [CQLError.ReplicaFailure] = []
    /// Who has promised something later, in the present phase.
    private var refusals: [NodeIndex] = []
    private var merged: (result: [UInt8], stop: ReadStop?) = ([], nil)
    /// Every replica has promised this ballot and none had accepted anything.
    private var isConclusive = false
    private var hasLingered = false
    /// Our value, and the ballots under which it was sent, newest last.
    private var ownValue: ProposedValue?
    private var ownBallots: [PartitionBallot] = []
    /// How many times others had the higher ballot.
    package private(set) var contentions = 0

    /// Begins; the first step is `begin`.
    package init(
        command: ReadCommand, consistency: ConsistencyLevel, required: Int, isRead: Bool,
        replicas: [NodeIndex], replicaCount: Int, repairsReplicas: Bool, ballot: PartitionBallot
    ) {
        precondition(required > 0 && replicas.count >= required)
        self.command = command
        self.consistency = consistency
        self.required = required
        self.isRead = isRead
        self.replicas = replicas
        self.replicaCount = replicaCount
        self.repairsReplicas = repairsReplicas
        self.ballot = ballot
        highestSeen = ballot
    }

    package var begin: Step { .prepare(ballot) }

    /// Whether the client's value was sent to acceptors and is not known to be dead.
    package var mayBeDecided: Bool { !ownBallots.isEmpty }

    /// Begins another round, with a ballot above `highestSeen`.
    private mutating func prepareAgain(_ next: PartitionBallot) -> Step {
        precondition(next > highestSeen)
        ballot = next
        highestSeen = next
        phase = .preparing
        answers = []
        accepts = []
        failures = []
        refusals = []
        hasLingered = false
        isConclusive = false
        return .prepare(next)
    }

    // MARK: Preparing

    /// A replica's answer to a prepare.
    package mutating func promise(
        _ promise: ConditionalPromise, from node: NodeIndex, address: [UInt8]
    ) throws(MalformedBytes) -> Step {
        guard replicas.contains(node) else { return .none }
        highestSeen = max(highestSeen, promise.promised, promise.committed)
        guard phase == .preparing, promise.ballot == ballot,
            !answers.contains(where: { $0.node == node }), !refusals.contains(node)
        else { return .none }
        switch promise.outcome {
        case .refused: return refused(by: node)
        case .failed: return failed(address)
        case .promised: break
        }
        answers.append(
            Answer(
                node: node, committed: promise.committed,
                committedOrigin: promise.committedOrigin, accepted: promise.accepted,
                data: [UInt8](promise.data)))
        guard answers.count >= required else { return .none }
        if isRead, answers.count < replicaCount, answers.count < replicas.count {
            // The last replica may save the read a round trip.
            if replicas.count == replicaCount, !hasLingered, leftover() == nil {
                hasLingered = true
                return .linger
            }
            if hasLingered { return .none }
        }
        return try evaluate()
    }

    /// One refusal ends the round only if it leaves no majority.
    private mutating func refused(by node: NodeIndex) -> Step {
        refusals.append(node)
        guard replicas.count - refusals.count - failures.count < required else { return .none }
        contentions += 1
        if case .proposing(_, true) = phase, refusals.count == replicaCount {
            // Nobody has accepted it, so it is as if it had never been sent.
            ownBallots.removeLast()
            if ownBallots.isEmpty { ownValue = nil }
        }
        phase = .waiting
        return .wait(contentions: contentions)
    }

    private mutating func failed(_ address: [UInt8]) -> Step {
        failures.append(
            CQLError.ReplicaFailure(address: address, reason: ReplicaFailureReason.unknown.rawValue)
        )
        guard replicas.count - refusals.count - failures.count < required else { return .none }
        phase = .ended
        let text =
            "Operation failed - received \(answers.count + accepts.count) responses and"
            + " \(failures.count) failures"
        if isRead {
            return .failed(
                .readFailure(
                    text, consistency: consistency, received: answers.count, required: required,
                    failures: failures, dataPresent: !answers.isEmpty))
        }
        return .failed(
            .writeFailure(
                text + (mayBeDecided ? "; the write may still apply" : "; nothing was written"),
                consistency: consistency, received: accepts.count, required: required,
                failures: failures, type: .compareAndSet))
    }

    /// The newest value that some replica has accepted and none of those asked has committed.
    private func leftover() -> AcceptedProposal? {
        let committed = answers.map(\.committed).max() ?? .zero
        let newest = answers.compactMap(\.accepted).max { $0.ballot < $1.ballot }
        guard let newest, newest.ballot > committed else { return nil }
        return newest
    }

    /// A majority has promised.
    private mutating func evaluate() throws(MalformedBytes) -> Step {
        let newest = answers.max { $0.committed < $1.committed }
        if let ownValue, let newest, let last = ownBallots.last {
            if newest.committedOrigin == ownValue.origin {
                // Others have finished what we began.
                phase = .committing
                return .commit(newest.committed, ownValue, isOwn: true)
            }
            if newest.committed > last {
                phase = .ended
                return .unknown
            }
        }
        if let left = leftover() {
            let value = try ProposedValue(left.value)
            if let ownValue, let last = ownBallots.last, value.origin != ownValue.origin,
                left.ballot > last
            {
                // Whoever proposed that may have finished ours before.
                phase = .ended
                return .unknown
            }
            if !value.mutation.isEmpty {
                let isOwn = ownValue?.origin == value.origin
                return propose(value, isOwn: isOwn)
            }
        }
        isConclusive = answers.count == replicaCount && leftover() == nil
        return try merge()
    }

    private mutating func merge() throws(MalformedBytes) -> Step {
        let result = try ReadMerge.merge(
            answers.map { ReadMerge.Answer(bytes: $0.data) }, command: command)
        merged = (result.result, result.stop)
        let repairs =
            repairsReplicas ? Repair.all(of: answers.map(\.node), lacking: result.repairs) : []
        guard repairs.isEmpty else {
            phase = .repairing(outstanding: repairs.count)
            return .repair(repairs)
        }
        phase = .judging
        return .judge(result: merged.result, stop: merged.stop)
    }

    /// One repair was acknowledged.
    package mutating func repaired() -> Step {
        guard case .repairing(let outstanding) = phase else { return .none }
        if outstanding > 1 {
            phase = .repairing(outstanding: outstanding - 1)
            return .none
        }
        phase = .judging
        return .judge(result: merged.result, stop: merged.stop)
    }

    // MARK: Proposing

    /// The conditions hold: this is to be written.
    package mutating func propose(mutation: [UInt8]) -> Step {
        precondition(phase == .judging)
        return propose(ProposedValue(origin: ballot, mutation: mutation), isOwn: true)
    }

    /// Nothing is to be written.
    package mutating func conclude() -> Step {
        precondition(phase == .judging)
        if isConclusive {
            phase = .ended
            return .finished
        }
        return propose(ProposedValue(origin: ballot, mutation: []), isOwn: false)
    }

    private mutating func propose(_ value: ProposedValue, isOwn: Bool) -> Step {
        if isOwn {
            // What we proposed before dies with this: whoever prepares later sees a higher ballot.
            if ownValue?.origin != value.origin { ownBallots = [] }
            ownValue = value
            ownBallots.append(ballot)
        }
        phase = .proposing(value, isOwn: isOwn)
        accepts = []
        failures = []
        refusals = []
        return .accept(ballot, value)
    }

    /// A replica's answer to an accept.
    package mutating func accepted(
        _ answer: ConditionalAccepted, from node: NodeIndex, address: [UInt8]
    ) -> Step {
        guard replicas.contains(node) else { return .none }
        highestSeen = max(highestSeen, answer.promised)
        guard case .proposing(let value, let isOwn) = phase, answer.ballot == ballot,
            !accepts.contains(node), !refusals.contains(node)
        else { return .none }
        switch answer.outcome {
        case .refused: return refused(by: node)
        case .failed: return failed(address)
        case .promised: accepts.append(node)
        }
        guard accepts.count >= required else { return .none }
        if value.mutation.isEmpty {
            phase = .ended
            return .finished
        }
        phase = .committing
        return .commit(ballot, value, isOwn: isOwn)
    }

    /// Another's value was committed; our turn, with a new ballot.
    package mutating func committed(next: PartitionBallot) -> Step {
        guard phase == .committing else { return .none }
        return prepareAgain(next)
    }

    /// The time of `wait` or `linger` is over. `next` is a ballot above `highestSeen`.
    package mutating func tick(next: PartitionBallot) throws(MalformedBytes) -> Step {
        if phase == .waiting { return prepareAgain(next) }
        if phase == .preparing, hasLingered, answers.count >= required { return try evaluate() }
        return .none
    }

    // MARK: Ending

    /// The deadline passed: what the client is told.
    package mutating func timedOut() -> CQLError {
        let inPropose: Bool
        if case .proposing = phase { inPropose = true } else { inPropose = false }
        phase = .ended
        let received = min(inPropose ? accepts.count : answers.count, required - 1)
        let contended = contentions > 0 ? ", after \(contentions) contentions" : ""
        if isRead {
            return .readTimeout(
                "Operation timed out - received only \(received) responses\(contended).",
                consistency: consistency, received: received, required: required,
                dataPresent: !answers.isEmpty)
        }
        let known =
            mayBeDecided
            ? "accepted by \(inPropose ? accepts.count : 0) of \(replicas.count) replicas asked, may still"
                + " apply" : "nothing was proposed, not applied"
        return .conditionalTimeout(
            "Operation timed out - received only \(received) responses\(contended); \(known)",
            consistency: consistency, received: received, required: required,
            contentions: contentions)
    }

    /// What the client is told when nobody knows.
    package var unknownOutcome: CQLError {
        .conditionalUnknown(
            "CAS operation result is unknown - proposal accepted by \(min(accepts.count, required - 1))"
                + " but not a quorum, and overtaken by a later one; it may have been applied",
            consistency: consistency, received: min(accepts.count, required - 1),
            required: required)
    }
}
