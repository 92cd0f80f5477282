// The bodies of the messages of conditional writes: Paxos among the replicas of one partition
// (docs/protocols/paxos.md).
//
//     prepare   ballot | table 16 | key | command
//     promise   ballot | outcome u8 | promised | committed, its origin | [accepted, value] | data
//     accept    ballot | table 16 | key | value to the end
//     accepted  ballot | outcome u8 | promised
//     commit    ballot | origin | mutation to the end
//
// A ballot is 16 bytes: microseconds i64, proposer u64, little-endian. Keys, commands and values are
// length-prefixed unless they go to the end. Decoded values borrow from the message's bytes.

package import Encoding

/// A proposal number of a conditional write, and the write timestamp of what is proposed.
///
/// Ballots are ordered by time. A replica promises only a ballot whose time is later than all that it has
/// promised, so that two proposals with one write timestamp never both get a majority.
package struct PartitionBallot: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// Microseconds since 1970, by the proposer's hybrid clock.
    package var microseconds: Int64
    /// Tells shards and lives of nodes apart: 62 bits.
    package var proposer: UInt64

    package init(microseconds: Int64, proposer: UInt64) {
        self.microseconds = microseconds
        self.proposer = proposer & (UInt64.max >> 2)
    }

    /// Below all others; nobody proposes with it.
    package static let zero = PartitionBallot(microseconds: 0, proposer: 0)

    package static func < (left: PartitionBallot, right: PartitionBallot) -> Bool {
        (left.microseconds, left.proposer) < (right.microseconds, right.proposer)
    }

    package var description: String { "\(microseconds)@\(proposer)" }

    package init(_ reader: inout ByteReader) throws(MalformedBytes) {
        microseconds = try reader.readLittleEndian(Int64.self)
        proposer = try reader.readLittleEndian(UInt64.self)
    }

    package func encode(into writer: ByteWriter) {
        writer.appendLittleEndian(microseconds)
        writer.appendLittleEndian(proposer)
    }

    /// 100 ns intervals between 1582-10-15 and 1970-01-01.
    private static let gregorianOffset: UInt64 = 0x01B2_1DD2_1381_4000

    /// The ballot as a version 1 UUID, the form in which `system.paxos` shows it.
    package var timeUUID: UniqueID {
        let time = UInt64(bitPattern: microseconds) &* 10 &+ Self.gregorianOffset
        let high =
            (time & 0xFFFF_FFFF) << 32 | (time >> 32 & 0xFFFF) << 16 | 0x1000
            | (time >> 48 & 0x0FFF)
        return UniqueID(high: high, low: 0x8000_0000_0000_0000 | proposer)
    }

    /// Reads what `timeUUID` made.
    package init(timeUUID: UniqueID) {
        let high = timeUUID.high
        let time = (high >> 32) | (high >> 16 & 0xFFFF) << 32 | (high & 0x0FFF) << 48
        self.init(
            microseconds: Int64(bitPattern: (time &- Self.gregorianOffset) / 10),
            proposer: timeUUID.low)
    }
}

/// Asks for a promise, and for the partition as it is.
package struct ConditionalPrepare {
    package let ballot: PartitionBallot
    package let table: UniqueID
    /// The serialized partition key.
    package let key: UnsafeRawBufferPointer
    /// The encoded read command.
    package let command: UnsafeRawBufferPointer

    package init(
        ballot: PartitionBallot, table: UniqueID, key: UnsafeRawBufferPointer,
        command: UnsafeRawBufferPointer
    ) {
        self.ballot = ballot
        self.table = table
        self.key = key
        self.command = command
    }

    package init(_ body: UnsafeRawBufferPointer) throws(MalformedBytes) {
        var reader = ByteReader(body)
        ballot = try PartitionBallot(&reader)
        table = try reader.readUniqueID()
        key = try reader.readLengthPrefixed()
        command = try reader.readLengthPrefixed()
        try reader.expectEnd()
    }

    package func encode(into writer: ByteWriter) {
        ballot.encode(into: writer)
        writer.append(table)
        writer.appendLengthPrefixed(key)
        writer.appendLengthPrefixed(command)
    }
}

/// What a replica has accepted and not seen committed.
package struct AcceptedProposal: Equatable, Sendable {
    package var ballot: PartitionBallot
    /// The encoded `ProposedValue`.
    package var value: [UInt8]

    package init(ballot: PartitionBallot, value: [UInt8]) {
        self.ballot = ballot
        self.value = value
    }
}

/// The answer to a prepare.
package struct ConditionalPromise {
    package enum Outcome: UInt8, Sendable { case promised = 0, refused = 1, failed = 2 }

    /// The ballot that was asked for.
    package let ballot: PartitionBallot
    package let outcome: Outcome
    /// The highest ballot promised so far.
    package let promised: PartitionBallot
    /// The newest commit that the replica has applied, and the ballot under which its value was first
    /// proposed.
    package let committed: PartitionBallot
    package let committedOrigin: PartitionBallot
    package let accepted: AcceptedProposal?
    /// The result of the read; empty unless promised.
    package let data: UnsafeRawBufferPointer

    package init(
        ballot: PartitionBallot, outcome: Outcome, promised: PartitionBallot,
        committed: PartitionBallot = .zero, committedOrigin: PartitionBallot = .zero,
        accepted: AcceptedProposal? = nil,
        data: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0)
    ) {
        self.ballot = ballot
        self.outcome = outcome
        self.promised = promised
        self.committed = committed
        self.committedOrigin = committedOrigin
        self.accepted = accepted
        self.data = data
    }

    package init(_ body: UnsafeRawBufferPointer) throws(MalformedBytes) {
        var reader = ByteReader(body)
        ballot = try PartitionBallot(&reader)
        outcome = try reader.readOutcome()
        promised = try PartitionBallot(&reader)
        committed = try PartitionBallot(&reader)
        committedOrigin = try PartitionBallot(&reader)
        switch try reader.readUInt8() {
        case 0: accepted = nil
        case 1:
            let ballot = try PartitionBallot(&reader)
            accepted = AcceptedProposal(
                ballot: ballot, value: [UInt8](try reader.readLengthPrefixed()))
        case let other: throw MalformedBytes("unknown flag \(other)", offset: reader.position)
        }
        data = try reader.readBytes(reader.remaining)
    }

    package func encode(into writer: ByteWriter) {
        ballot.encode(into: writer)
        writer.append(outcome.rawValue)
        promised.encode(into: writer)
        committed.encode(into: writer)
        committedOrigin.encode(into: writer)
        writer.append(accepted == nil ? 0 : 1)
        if let accepted {
            accepted.ballot.encode(into: writer)
            writer.appendLengthPrefixed(accepted.value)
        }
        writer.append(data)
    }
}

/// Asks a replica to accept a value.
package struct ConditionalAccept {
    package let ballot: PartitionBallot
    package let table: UniqueID
    package let key: UnsafeRawBufferPointer
    /// The encoded `ProposedValue`.
    package let value: UnsafeRawBufferPointer

    package init(
        ballot: PartitionBallot, table: UniqueID, key: UnsafeRawBufferPointer,
        value: UnsafeRawBufferPointer
    ) {
        self.ballot = ballot
        self.table = table
        self.key = key
        self.value = value
    }

    package init(_ body: UnsafeRawBufferPointer) throws(MalformedBytes) {
        var reader = ByteReader(body)
        ballot = try PartitionBallot(&reader)
        table = try reader.readUniqueID()
        key = try reader.readLengthPrefixed()
        value = try reader.readBytes(reader.remaining)
    }

    package func encode(into writer: ByteWriter) {
        ballot.encode(into: writer)
        writer.append(table)
        writer.appendLengthPrefixed(key)
        writer.append(value)
    }
}

/// The answer to an accept.
package struct ConditionalAccepted: Equatable, Sendable {
    package let ballot: PartitionBallot
    package let outcome: ConditionalPromise.Outcome
    /// The highest ballot promised so far.
    package let promised: PartitionBallot

    package init(
        ballot: PartitionBallot, outcome: ConditionalPromise.Outcome, promised: PartitionBallot
    ) {
        self.ballot = ballot
        self.outcome = outcome
        self.promised = promised
    }

    package init(_ body: UnsafeRawBufferPointer) throws(MalformedBytes) {
        var reader = ByteReader(body)
        ballot = try PartitionBallot(&reader)
        outcome = try reader.readOutcome()
        promised = try PartitionBallot(&reader)
        try reader.expectEnd()
    }

    package func encode(into writer: ByteWriter) {
        ballot.encode(into: writer)
        writer.append(outcome.rawValue)
        promised.encode(into: writer)
    }
}

/// Tells a replica what was decided; it applies the mutation.
package struct ConditionalCommit {
    package let ballot: PartitionBallot
    package let origin: PartitionBallot
    package let mutation: UnsafeRawBufferPointer

    package init(
        ballot: PartitionBallot, origin: PartitionBallot, mutation: UnsafeRawBufferPointer
    ) {
        self.ballot = ballot
        self.origin = origin
        self.mutation = mutation
    }

    package init(_ body: UnsafeRawBufferPointer) throws(MalformedBytes) {
        var reader = ByteReader(body)
        ballot = try PartitionBallot(&reader)
        origin = try PartitionBallot(&reader)
        mutation = try reader.readBytes(reader.remaining)
    }

    package func encode(into writer: ByteWriter) {
        ballot.encode(into: writer)
        origin.encode(into: writer)
        writer.append(mutation)
    }
}

extension ByteReader {
    fileprivate mutating func readOutcome() throws(MalformedBytes) -> ConditionalPromise.Outcome {
        let raw = try readUInt8()
        guard let outcome = ConditionalPromise.Outcome(rawValue: raw) else {
            throw MalformedBytes("unknown outcome \(raw)", offset: position)
        }
        return outcome
    }
}
