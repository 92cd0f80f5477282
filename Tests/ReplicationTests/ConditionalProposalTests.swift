// Conditional writes as pure machines: acceptors keep their promises, and proposers on a network that
// loses, delays and reorders never decide twice, nor tell a client what did not happen.

import Encoding
import Environment
import Model
import PeerProtocol
import Replication
import Testing
import Topology

private func ballot(_ time: Int64, _ proposer: UInt64 = 1) -> PartitionBallot {
    PartitionBallot(microseconds: time, proposer: proposer)
}

@Suite struct PartitionAcceptorTests {
    @Test func aBallotIsPromisedOnlyIfItsTimeIsLater() {
        var acceptor = PartitionAcceptor()
        let steps = [
            acceptor.prepare(ballot(5, 1)), acceptor.prepare(ballot(5, 9)),
            acceptor.prepare(ballot(5, 1)), acceptor.prepare(ballot(4)),
            acceptor.prepare(ballot(6)),
        ]
        #expect(steps == [true, false, true, false, true])
    }

    @Test func nothingBelowThePromiseIsAccepted() {
        var acceptor = PartitionAcceptor()
        let steps = [
            acceptor.prepare(ballot(5)), acceptor.accept(ballot(4), [1]),
            acceptor.accept(ballot(5), [2]), acceptor.accept(ballot(5, 2), [3]),
        ]
        #expect(steps == [true, false, true, false])
        #expect(acceptor.accepted == AcceptedProposal(ballot: ballot(5), value: [2]))
    }

    @Test func aCommitForgetsWhatItCovers() {
        var acceptor = PartitionAcceptor()
        let first = [
            acceptor.accept(ballot(5), [1]), acceptor.commit(ballot(5), origin: ballot(3)),
        ]
        #expect(first == [true, true])
        #expect(acceptor.accepted == nil && acceptor.committedOrigin == ballot(3))
        // What was decided is not accepted again, and an older commit changes nothing.
        let second = [
            acceptor.accept(ballot(5), [2]), acceptor.accept(ballot(7), [4]),
            acceptor.commit(ballot(4), origin: ballot(4)),
        ]
        #expect(second == [false, true, false])
        #expect(acceptor.accepted?.ballot == ballot(7))
    }
}

@Suite struct ConditionalProposalTests {
    private static let result: [UInt8] = [1]

    private static func proposal(_ time: Int64, isRead: Bool = false) -> ConditionalProposal {
        ConditionalProposal(
            command: ReadCommand(
                table: TableID(.zero), scope: .partition(token: 0, key: [1]), nowInSeconds: 0),
            consistency: .serial, required: 2, isRead: isRead,
            replicas: (0..<3).map { NodeIndex($0) }, replicaCount: 3, repairsReplicas: true,
            ballot: ballot(time))
    }

    private func promise(
        _ proposal: inout ConditionalProposal, _ node: Int, accepted: AcceptedProposal? = nil
    ) throws -> ConditionalProposal.Step {
        try Self.result.withUnsafeBytes { data in
            try proposal.promise(
                ConditionalPromise(
                    ballot: proposal.ballot, outcome: .promised, promised: proposal.ballot,
                    accepted: accepted, data: data),
                from: NodeIndex(node), address: [0, 0, 0, 0])
        }
    }

    @Test func aWriteTakesAMajorityOfPromisesAndOfAcceptances() throws {
        var proposal = Self.proposal(5)
        #expect(proposal.begin == .prepare(ballot(5)))
        // A second answer of one replica counts once.
        let early = [try promise(&proposal, 0), try promise(&proposal, 0)]
        #expect(early == [.none, .none])
        guard case .judge = try promise(&proposal, 2) else {
            Issue.record("not judged")
            return
        }
        let value = ProposedValue(origin: ballot(5), mutation: [9])
        let proposed = proposal.propose(mutation: [9])
        #expect(proposed == .accept(ballot(5), value))
        let yes = ConditionalAccepted(ballot: ballot(5), outcome: .promised, promised: ballot(5))
        let answers = [1, 0].map { proposal.accepted(yes, from: NodeIndex($0), address: []) }
        #expect(answers == [.none, .commit(ballot(5), value, isOwn: true)])
    }

    @Test func whatOthersHaveLeftIsFinishedFirst() throws {
        var proposal = Self.proposal(5)
        let left = ProposedValue(origin: ballot(2), mutation: [7])
        _ = try promise(&proposal, 0)
        let step = try promise(
            &proposal, 1, accepted: AcceptedProposal(ballot: ballot(3), value: left.encoded))
        #expect(step == .accept(ballot(5), left))
    }

    @Test func aReadThatAllReplicasAnswerNeedsNoProposal() throws {
        var proposal = Self.proposal(5, isRead: true)
        let early = [try promise(&proposal, 0), try promise(&proposal, 1)]
        #expect(early == [.none, .linger])
        guard case .judge = try promise(&proposal, 2) else {
            Issue.record("not judged")
            return
        }
        let end = proposal.conclude()
        #expect(end == .finished)
    }

    @Test func aReadThatOnlyAMajorityAnswersSettlesThingsByAnEmptyProposal() throws {
        var proposal = Self.proposal(5, isRead: true)
        let early = [try promise(&proposal, 0), try promise(&proposal, 1)]
        #expect(early == [.none, .linger])
        guard case .judge = try proposal.tick(next: ballot(9)) else {
            Issue.record("not judged")
            return
        }
        let nothing = ProposedValue(origin: ballot(5), mutation: [])
        let end = proposal.conclude()
        #expect(end == .accept(ballot(5), nothing))
    }

    @Test func oneRefusalLeavesAMajority() throws {
        var proposal = Self.proposal(5)
        let no = ConditionalPromise(ballot: ballot(5), outcome: .refused, promised: ballot(8))
        let answers = [
            try proposal.promise(no, from: NodeIndex(0), address: []),
            try proposal.promise(no, from: NodeIndex(1), address: []),
        ]
        #expect(answers == [.none, .wait(contentions: 1)])
        #expect(proposal.highestSeen == ballot(8))
        let again = try proposal.tick(next: ballot(9))
        #expect(again == .prepare(ballot(9)))
    }

    /// Three proposers, each of which wants to append its number once, on a network that loses and
    /// reorders: the log of commits never forks, and `applied` means exactly once.
    @Test(arguments: 1...200 as ClosedRange<UInt64>)
    func proposersOnABadNetworkNeverDecideTwice(_ seed: UInt64) throws {
        var world = World(seed: seed)
        try world.run()
        #expect(world.problems.isEmpty, "seed \(seed): \(world.problems)")
    }

    /// Acceptors and proposers, and the messages between them.
    private struct World {
        private enum Message {
            case prepare(Int, Int, PartitionBallot)
            case promise(Int, Int, PartitionBallot, PartitionAcceptor, Bool)
            case accept(Int, Int, PartitionBallot, ProposedValue)
            case accepted(Int, Int, PartitionBallot, PartitionBallot, Bool)
            case commit(Int, PartitionBallot, ProposedValue)
            case tick(Int)
        }

        private var stream: RandomStream
        private var acceptors = [PartitionAcceptor](repeating: PartitionAcceptor(), count: 3)
        private var proposals: [ConditionalProposal] = []
        private var messages: [Message] = []
        private var time: Int64 = 100
        /// Values that a majority accepted, by origin: each ballot under which that happened.
        private var votes: [PartitionBallot: (origin: PartitionBallot, nodes: Set<Int>)] = [:]
        private(set) var problems: [String] = []

        init(seed: UInt64) {
            stream = RandomStream(seed: seed, name: "world")
            proposals = (0..<3).map { ConditionalProposalTests.proposal(Int64($0) + 1) }
        }

        mutating func run() throws {
            for index in 0..<3 { carryOut(index, proposals[index].begin) }
            var steps = 0
            while !messages.isEmpty, steps < 2_000 {
                steps += 1
                let place = Int(stream.below(UInt64(messages.count)))
                let message = messages.remove(at: place)
                if stream.chance(1, outOf: 12) {
                    if case .tick = message { messages.append(message) }
                    continue
                }
                try deliver(message)
            }
            check()
        }

        private mutating func carryOut(_ index: Int, _ step: ConditionalProposal.Step) {
            switch step {
            case .prepare(let ballot):
                for node in 0..<3 { messages.append(.prepare(index, node, ballot)) }
                messages.append(.tick(index))
            case .accept(let ballot, let value):
                for node in 0..<3 { messages.append(.accept(index, node, ballot, value)) }
            case .judge:
                carryOut(index, proposals[index].propose(mutation: [UInt8(index)]))
            case .commit(let ballot, let value, let isOwn):
                for node in 0..<3 { messages.append(.commit(node, ballot, value)) }
                if isOwn {
                    if value.mutation != [UInt8(index)] { problems.append("not its own value") }
                } else {
                    time += 1
                    carryOut(index, proposals[index].committed(next: nextBallot(index)))
                }
            case .wait, .linger: messages.append(.tick(index))
            case .none, .repair, .finished, .unknown, .failed: break
            }
        }

        private func nextBallot(_ index: Int) -> PartitionBallot {
            ballot(max(time, proposals[index].highestSeen.microseconds + 1), UInt64(index))
        }

        private mutating func deliver(_ message: Message) throws {
            switch message {
            case .prepare(let index, let node, let ballot):
                let isPromised = acceptors[node].prepare(ballot)
                messages.append(.promise(index, node, ballot, acceptors[node], isPromised))
            case .promise(let index, let node, let ballot, let state, let isPromised):
                let step = try ConditionalProposalTests.result.withUnsafeBytes { data in
                    try proposals[index].promise(
                        ConditionalPromise(
                            ballot: ballot, outcome: isPromised ? .promised : .refused,
                            promised: state.promised, committed: state.committed,
                            committedOrigin: state.committedOrigin, accepted: state.accepted,
                            data: data),
                        from: NodeIndex(node), address: [])
                }
                carryOut(index, step)
            case .accept(let index, let node, let ballot, let value):
                let isAccepted = acceptors[node].accept(ballot, value.encoded)
                if isAccepted { votes[ballot, default: (value.origin, [])].nodes.insert(node) }
                messages.append(
                    .accepted(index, node, ballot, acceptors[node].promised, isAccepted))
            case .accepted(let index, let node, let ballot, let promised, let isAccepted):
                carryOut(
                    index,
                    proposals[index].accepted(
                        ConditionalAccepted(
                            ballot: ballot, outcome: isAccepted ? .promised : .refused,
                            promised: promised),
                        from: NodeIndex(node), address: []))
            case .commit(let node, let ballot, let value):
                _ = acceptors[node].commit(ballot, origin: value.origin)
            case .tick(let index):
                time += 1
                carryOut(index, try proposals[index].tick(next: nextBallot(index)))
            }
        }

        /// In the order of ballots, what was decided: a value that was decided once is not decided again
        /// after another one.
        private mutating func check() {
            let decided = votes.filter { $0.value.nodes.count >= 2 }.sorted { $0.key < $1.key }
            var finished: Set<PartitionBallot> = []
            var last: PartitionBallot?
            for (_, vote) in decided {
                if vote.origin != last, finished.contains(vote.origin) {
                    problems.append("\(vote.origin) was decided, then another, then it again")
                }
                if let last, last != vote.origin { finished.insert(last) }
                last = vote.origin
            }
        }
    }
}
