// What one replica has promised, accepted and seen committed for one partition: the acceptor of the
// conditional writes' Paxos (docs/protocols/paxos.md).
//
//     nothing --prepare--> promised --accept--> accepted --commit--> committed --prepare--> promised ...
//
// Durability: a promise and an acceptance are synced before they are answered. The record of a commit
// follows the committed mutation's sync, so that an accepted value is forgotten only when its mutation
// can no longer be lost.
//
// Invariants: `promised` never falls. `accepted` is newer than `committed`. A ballot is promised only if
// its time is later than that of all before: two values with one write timestamp never both get a
// majority.

package import Encoding
package import PeerProtocol

/// A value on its way through Paxos: a mutation, and the ballot under which it was first proposed, by
/// which its proposer knows it again when others have finished it.
package struct ProposedValue: Equatable, Sendable {
    package let origin: PartitionBallot
    /// Empty: nothing is written. Such a value only settles that no older one is chosen any more.
    package let mutation: [UInt8]

    package init(origin: PartitionBallot, mutation: [UInt8]) {
        self.origin = origin
        self.mutation = mutation
    }

    /// Reads what `encoded` made.
    package init(_ bytes: [UInt8]) throws(MalformedBytes) {
        let (origin, consumed) = try bytes.withBytes { (raw) throws(MalformedBytes) in
            var reader = ByteReader(raw)
            return (try PartitionBallot(&reader), reader.position)
        }
        self.init(origin: origin, mutation: Array(bytes[consumed...]))
    }

    package var encoded: [UInt8] {
        let writer = ByteWriter(capacity: mutation.count + 16)
        origin.encode(into: writer)
        writer.append(mutation)
        return writer.array
    }
}

/// The acceptor of one partition on one replica.
package struct PartitionAcceptor: Equatable, Sendable {
    package private(set) var promised = PartitionBallot.zero
    package private(set) var accepted: AcceptedProposal?
    package private(set) var committed = PartitionBallot.zero
    /// Under which ballot the committed value was first proposed.
    package private(set) var committedOrigin = PartitionBallot.zero

    package init() {}

    /// The state as it was stored.
    package init(
        promised: PartitionBallot, accepted: AcceptedProposal?, committed: PartitionBallot,
        committedOrigin: PartitionBallot
    ) {
        self.promised = max(promised, accepted?.ballot ?? .zero, committed)
        self.accepted = (accepted?.ballot ?? .zero) > committed ? accepted : nil
        self.committed = committed
        self.committedOrigin = committedOrigin
    }

    private func isAhead(_ ballot: PartitionBallot) -> Bool {
        ballot.microseconds > promised.microseconds
    }

    /// Promises to accept nothing below `ballot`. False: it is not later than what was promised.
    package mutating func prepare(_ ballot: PartitionBallot) -> Bool {
        guard isAhead(ballot) || ballot == promised else { return false }
        promised = ballot
        return true
    }

    /// Accepts a value. False: something later was promised, or it was decided long ago.
    package mutating func accept(_ ballot: PartitionBallot, _ value: [UInt8]) -> Bool {
        guard isAhead(ballot) || ballot == promised, ballot > committed else { return false }
        promised = ballot
        accepted = AcceptedProposal(ballot: ballot, value: value)
        return true
    }

    /// Notes that the value of that ballot was decided and is applied here. False: something newer was.
    package mutating func commit(_ ballot: PartitionBallot, origin: PartitionBallot) -> Bool {
        guard ballot > committed else { return false }
        committed = ballot
        committedOrigin = origin
        promised = max(promised, ballot)
        if let value = accepted, value.ballot <= ballot { accepted = nil }
        return true
    }
}
