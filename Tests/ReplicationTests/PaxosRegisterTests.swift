// Proposers and acceptors on a network that loses, repeats and reorders, with acceptors that forget
// what they had not committed.

import Encoding
import Environment
import PeerProtocol
import Replication
import Testing

private func host(_ number: Int) -> HostID { HostID(UniqueID(high: 1, low: UInt64(number))) }
private func ballot(_ round: UInt64, _ number: Int) -> Ballot {
    Ballot(round: round, host: host(number))
}

struct PaxosAcceptorTests {
    @Test func nothingBelowThePromiseIsTaken() {
        var acceptor = PaxosAcceptor()
        let steps = [
            acceptor.prepare(ballot(5, 1)), acceptor.prepare(ballot(4, 9)),
            acceptor.accept(ballot(4, 9), [1]), acceptor.accept(ballot(5, 1), [2]),
            acceptor.accept(ballot(5, 1), [3]), acceptor.prepare(ballot(5, 1)),
            acceptor.accept(ballot(6, 2), [4]),
        ]
        #expect(steps == [true, false, false, true, false, false, true])
        #expect(acceptor.promised == ballot(6, 2))
        #expect(acceptor.accepted == AcceptedValue(ballot: ballot(6, 2), value: [4]))
    }

    @Test func storedVoteComesBack() throws {
        var acceptor = PaxosAcceptor()
        #expect(try PaxosAcceptor(acceptor.encoded) == acceptor)
        _ = acceptor.prepare(ballot(7, 3))
        #expect(try PaxosAcceptor(acceptor.encoded) == acceptor)
        _ = acceptor.accept(ballot(8, 2), [1, 2, 3])
        #expect(try PaxosAcceptor(acceptor.encoded) == acceptor)
        var bytes = acceptor.encoded
        bytes.removeLast()
        #expect(throws: MalformedBytes.self) { try PaxosAcceptor(bytes) }
    }

    @Test func ballotsAreNeverRepeatedAcrossLives() {
        var seen: Set<Ballot> = []
        for life in UInt32(1)...5 {
            for number in 0..<3 {
                var source = BallotSource(host: host(number), incarnation: Incarnation(life))
                var last = Ballot.zero
                for step in 0..<50 {
                    let next = source.next(above: step % 3 == 0 ? .zero : last)
                    #expect(next > last && seen.insert(next).inserted)
                    last = next
                }
            }
        }
    }
}

struct PaxosProposerTests {
    @Test func highestAcceptedValueIsAdopted() {
        var random = RandomStream(seed: 1, name: "p")
        var ballots = BallotSource(host: host(0), incarnation: Incarnation(1))
        var proposer = PaxosProposer(
            voters: [host(0), host(1), host(2)], value: [9], ballots: &ballots,
            patience: .init(), now: Instant(nanoseconds: 0))
        guard case .prepare(_, let mine) = proposer.begin().first else {
            Issue.record("no prepare")
            return
        }
        let now = Instant(nanoseconds: 1)
        let first = proposer.promise(
            from: host(1), ballot: mine, promised: mine,
            accepted: AcceptedValue(ballot: ballot(3, 1), value: [3]), now: now, random: &random)
        #expect(first.isEmpty)
        let again = proposer.promise(
            from: host(1), ballot: mine, promised: mine, accepted: nil, now: now, random: &random)
        #expect(again.isEmpty, "one voter counts once")
        let second = proposer.promise(
            from: host(2), ballot: mine, promised: mine,
            accepted: AcceptedValue(ballot: ballot(4, 1), value: [4]), now: now, random: &random)
        #expect(second == [.accept(to: [host(0), host(1), host(2)], mine, [4])])
        #expect(!proposer.mayStillBeDecided)
        let stranger = proposer.accepted(
            from: host(7), ballot: mine, promised: mine, now: now, random: &random)
        #expect(stranger.isEmpty)
    }

    /// Goal: whatever happens, all proposers decide one value. Method: random schedules of
    /// messages, losses, repeats and acceptor restarts; acceptors keep what they answered, and
    /// nothing else.
    @Test func allProposersDecideOneValue() throws {
        var decisions = 0
        for seed in UInt64(0)..<400 {
            var world = RegisterWorld(seed: seed, voters: seed % 2 == 0 ? 3 : 5)
            let decided = try world.run()
            #expect(Set(decided).count <= 1, "seed \(seed)")
            decisions += decided.count
        }
        #expect(decisions > 400)
    }
}

private struct RegisterWorld {
    enum Message {
        case prepare(Int, Ballot), accept(Int, Ballot, [UInt8])
        case promise(Int, HostID, Ballot, Ballot, AcceptedValue?)
        case accepted(Int, HostID, Ballot, Ballot)
    }

    var random: RandomStream
    let voters: [HostID]
    var acceptors: [PaxosAcceptor]
    var proposers: [PaxosProposer] = []
    var ballots: [BallotSource] = []
    var network: [(to: Int, Message)] = []
    var decided: [[UInt8]] = []
    var now = Instant(nanoseconds: 0)

    init(seed: UInt64, voters count: Int) {
        random = RandomStream(seed: seed, name: "register")
        voters = (0..<count).map(host)
        acceptors = [PaxosAcceptor](repeating: PaxosAcceptor(), count: count)
        for index in 0..<3 {
            var source = BallotSource(host: host(index), incarnation: Incarnation(1))
            proposers.append(
                PaxosProposer(
                    voters: voters, value: [UInt8(index)], ballots: &source, patience: .init(),
                    now: now))
            ballots.append(source)
        }
    }

    mutating func run() throws -> [[UInt8]] {
        for index in proposers.indices { send(proposers[index].begin(), index) }
        for _ in 0..<3_000 {
            if decided.count == proposers.count { break }
            if network.isEmpty || random.chance(1, outOf: 10) {
                now = now + .milliseconds(random.within(1...150))
                for index in proposers.indices {
                    send(proposers[index].tick(now: now, ballots: &ballots[index]), index)
                }
                continue
            }
            let at = Int(random.below(UInt64(network.count)))
            let (to, message) = network[at]
            if !random.chance(1, outOf: 8) { network.remove(at: at) }
            if random.chance(1, outOf: 6) { continue }
            try deliver(message, to)
        }
        return decided
    }

    private mutating func send(_ steps: [PaxosProposer.Step], _ from: Int) {
        for step in steps {
            switch step {
            case .prepare(let targets, let ballot):
                for target in targets {
                    network.append((voters.firstIndex(of: target) ?? 0, .prepare(from, ballot)))
                }
            case .accept(let targets, let ballot, let value):
                for target in targets {
                    let to = voters.firstIndex(of: target) ?? 0
                    network.append((to, .accept(from, ballot, value)))
                }
            case .decided(let value): decided.append(value)
            }
        }
    }

    private mutating func deliver(_ message: Message, _ to: Int) throws {
        switch message {
        case .prepare(let from, let ballot):
            _ = acceptors[to].prepare(ballot)
            acceptors[to] = try PaxosAcceptor(acceptors[to].encoded)
            network.append(
                (
                    from,
                    .promise(
                        from, voters[to], ballot, acceptors[to].promised, acceptors[to].accepted)
                ))
        case .accept(let from, let ballot, let value):
            let stored = acceptors[to]
            _ = acceptors[to].accept(ballot, value)
            if random.chance(1, outOf: 10) {
                // Power loss between acceptance and commit: no answer may leave.
                acceptors[to] = stored
                return
            }
            network.append((from, .accepted(from, voters[to], ballot, acceptors[to].promised)))
        case .promise(let proposer, let voter, let ballot, let promised, let accepted):
            send(
                proposers[proposer].promise(
                    from: voter, ballot: ballot, promised: promised, accepted: accepted, now: now,
                    random: &random), proposer)
        case .accepted(let proposer, let voter, let ballot, let promised):
            send(
                proposers[proposer].accepted(
                    from: voter, ballot: ballot, promised: promised, now: now, random: &random),
                proposer)
        }
    }
}
