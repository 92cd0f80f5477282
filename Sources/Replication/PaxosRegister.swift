// A register that is written once: single-decree Paxos ("Paxos made simple", Lamport, 2001) as two
// values. The metadata log uses one register for each epoch.
//
// Durability: what an acceptor promises or accepts must be committed before the answer leaves;
// `prepare` and `accept` say whether there is something to commit.
//
// Invariant: a ballot is used for at most one value, even across restarts of its proposer, because
// it carries the proposer's host id and incarnation, and a `BallotSource` never repeats itself.

package import Encoding
package import Environment
package import PeerProtocol

/// What one voter has promised and accepted.
package struct PaxosAcceptor: Equatable, Sendable {
    /// Nothing below is accepted any more.
    package private(set) var promised = Ballot.zero
    package private(set) var accepted: AcceptedValue?

    package init() {}

    /// Reads what `encoded` made.
    package init(_ bytes: [UInt8]) throws(MalformedBytes) {
        self = try Self.decode(bytes)
    }

    /// The form in which a vote is stored: promised ballot, accepted value.
    package var encoded: [UInt8] {
        let writer = ByteWriter()
        promised.encode(into: writer)
        AcceptedValue.encode(accepted, into: writer)
        return writer.array
    }

    /// Promises `ballot` if it is above all promised before. The answer is `promised` and
    /// `accepted`. Returns whether the state changed.
    package mutating func prepare(_ ballot: Ballot) -> Bool {
        guard ballot > promised else { return false }
        promised = ballot
        return true
    }

    /// Accepts `value` if nothing higher was promised. The answer is `promised`. Returns whether
    /// the state changed.
    package mutating func accept(_ ballot: Ballot, _ value: [UInt8]) -> Bool {
        guard ballot > .zero, ballot >= promised, accepted?.ballot != ballot else { return false }
        promised = ballot
        accepted = AcceptedValue(ballot: ballot, value: value)
        return true
    }

    private static func decode(_ bytes: [UInt8]) throws(MalformedBytes) -> PaxosAcceptor {
        let result: Result<PaxosAcceptor, MalformedBytes> = bytes.withUnsafeBytes { raw in
            do throws(MalformedBytes) {
                var reader = ByteReader(raw)
                var acceptor = PaxosAcceptor()
                acceptor.promised = try Ballot(&reader)
                acceptor.accepted = try AcceptedValue.readOptional(&reader)
                try reader.expectEnd()
                return .success(acceptor)
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }
}

/// Issues ballots, each once: the round's low 24 bits are the proposer's incarnation.
package struct BallotSource: Sendable {
    private let host: HostID
    private let incarnation: UInt64
    private var counter: UInt64 = 0

    package init(host: HostID, incarnation: Incarnation) {
        self.host = host
        self.incarnation = UInt64(incarnation.value) & 0xFF_FFFF
    }

    /// A ballot above `other` and above all that this source has issued.
    package mutating func next(above other: Ballot) -> Ballot {
        counter = max(counter, min(other.round >> 24, UInt64.max >> 25)) + 1
        return Ballot(round: counter << 24 | incarnation, host: host)
    }
}

/// One proposer's attempt to write a register.
///
///     preparing --majority of promises--> accepting --majority of acceptances--> decided
///         ^   \                               /
///         |    +--------- refused -----------+
///         |                  v
///         +--time passed-- waiting
package struct PaxosProposer: Sendable {
    /// What to send, or what came out. Messages that get no answer are sent again.
    package enum Step: Equatable, Sendable {
        case prepare(to: [HostID], Ballot)
        case accept(to: [HostID], Ballot, [UInt8])
        /// The register's value, which need not be the proposed one.
        case decided([UInt8])
    }

    /// How patient a proposer is.
    package struct Patience: Equatable, Sendable {
        /// After this long without an answer a message is sent again.
        package var resend = Instant.Span.milliseconds(200)
        /// After the n-th refusal it waits a random time up to this x 2^n (at most x 64).
        package var backoff = Instant.Span.milliseconds(10)
        package init() {}
    }

    private enum Phase: Equatable {
        case preparing, accepting, waiting, decided
    }

    private let voters: [HostID]
    private let proposed: [UInt8]
    private let patience: Patience
    private var phase = Phase.preparing
    private var ballot: Ballot
    private var highestSeen: Ballot
    private var value: [UInt8]
    /// Of the highest ballot that a promise carried.
    private var adopted: AcceptedValue?
    /// Who agreed in the present phase, sorted.
    private var agreed: [HostID] = []
    private var refusals = 0
    /// Who answered anything since the proposer began, sorted.
    package private(set) var answered: [HostID] = []
    /// Whether the proposed value was sent to acceptors, so that it may be decided even if this
    /// proposer gives up.
    package private(set) var mayStillBeDecided = false
    /// When `tick` must be called next.
    package private(set) var deadline: Instant

    /// Begins with no message sent; `begin` gives the first.
    package init(
        voters: [HostID], value: [UInt8], ballots: inout BallotSource, patience: Patience,
        now: Instant
    ) {
        precondition(!voters.isEmpty)
        self.voters = voters.sorted()
        proposed = value
        self.value = value
        self.patience = patience
        ballot = ballots.next(above: .zero)
        highestSeen = ballot
        deadline = now + patience.resend
    }

    /// The first messages.
    package func begin() -> [Step] { [.prepare(to: voters, ballot)] }

    /// How many voters must agree.
    package var majority: Int { voters.count / 2 + 1 }

    /// A voter's answer to `prepare`.
    package mutating func promise(
        from voter: HostID, ballot answeredBallot: Ballot, promised: Ballot,
        accepted: AcceptedValue?, now: Instant, random: inout RandomStream
    ) -> [Step] {
        guard voters.contains(voter) else { return [] }
        note(voter, promised)
        guard phase == .preparing, answeredBallot == ballot else { return [] }
        guard promised == ballot else { return refused(now, &random) }
        if let accepted, accepted.ballot > adopted?.ballot ?? .zero { adopted = accepted }
        agree(voter)
        guard agreed.count >= majority else { return [] }
        value = adopted?.value ?? proposed
        if value == proposed { mayStillBeDecided = true }
        phase = .accepting
        agreed = []
        deadline = now + patience.resend
        return [.accept(to: voters, ballot, value)]
    }

    /// A voter's answer to `accept`.
    package mutating func accepted(
        from voter: HostID, ballot answeredBallot: Ballot, promised: Ballot, now: Instant,
        random: inout RandomStream
    ) -> [Step] {
        guard voters.contains(voter) else { return [] }
        note(voter, promised)
        guard phase == .accepting, answeredBallot == ballot else { return [] }
        guard promised == ballot else { return refused(now, &random) }
        agree(voter)
        guard agreed.count >= majority else { return [] }
        phase = .decided
        deadline = .distantFuture
        return [.decided(value)]
    }

    /// Time has passed: sends again, or tries with a higher ballot.
    package mutating func tick(now: Instant, ballots: inout BallotSource) -> [Step] {
        guard now >= deadline else { return [] }
        deadline = now + patience.resend
        let silent = voters.filter { !agreed.contains($0) }
        switch phase {
        case .preparing: return [.prepare(to: silent, ballot)]
        case .accepting: return [.accept(to: silent, ballot, value)]
        case .waiting:
            ballot = ballots.next(above: highestSeen)
            highestSeen = ballot
            phase = .preparing
            adopted = nil
            agreed = []
            return begin()
        case .decided: return []
        }
    }

    private mutating func note(_ voter: HostID, _ promised: Ballot) {
        if !answered.contains(voter) {
            answered.append(voter)
            answered.sort()
        }
        highestSeen = max(highestSeen, promised)
    }

    private mutating func agree(_ voter: HostID) {
        if !agreed.contains(voter) { agreed.append(voter) }
    }

    private mutating func refused(_ now: Instant, _ random: inout RandomStream) -> [Step] {
        phase = .waiting
        let longest = patience.backoff.nanoseconds << Int64(min(refusals, 6))
        refusals += 1
        let wait = Instant.Span(nanoseconds: random.within(0...longest))
        deadline = now + wait
        return []
    }
}
