// The bodies of the metadata log's messages: single-decree Paxos for one epoch, and catching up
// (docs/protocols/metadata-log.md). Votes' values are encoded entries, opaque here.

package import Encoding
package import Environment

/// A proposal number of Paxos: unique, because a proposer never uses one of its own twice.
package struct Ballot: Hashable, Comparable, Sendable, CustomStringConvertible {
    package var round: UInt64
    package var host: HostID

    package init(round: UInt64, host: HostID) {
        self.round = round
        self.host = host
    }

    /// Below all others; nobody proposes with it.
    package static let zero = Ballot(round: 0, host: HostID(.zero))

    package static func < (left: Ballot, right: Ballot) -> Bool {
        (left.round, left.host) < (right.round, right.host)
    }

    package var description: String { "\(round)@\(host)" }

    static let bytes = 24

    package init(_ reader: inout ByteReader) throws(MalformedBytes) {
        round = try reader.readLittleEndian(UInt64.self)
        host = HostID(try reader.readUniqueID())
    }

    package func encode(into writer: ByteWriter) {
        writer.appendLittleEndian(round)
        writer.append(host.value)
    }
}

/// A value that an acceptor has accepted.
package struct AcceptedValue: Equatable, Sendable {
    package var ballot: Ballot
    package var value: [UInt8]

    package init(ballot: Ballot, value: [UInt8]) {
        self.ballot = ballot
        self.value = value
    }
}

/// An agreed entry as nodes pass it on.
package struct MetadataEntryBytes: Equatable, Sendable {
    package var epoch: UInt64
    package var body: [UInt8]

    package init(epoch: UInt64, body: [UInt8]) {
        self.epoch = epoch
        self.body = body
    }
}

/// A message of the metadata log.
package enum MetadataMessage: Equatable, Sendable {
    /// Asks for a promise to accept nothing below `ballot` for that epoch.
    case prepare(epoch: UInt64, ballot: Ballot)
    /// `promised` is the highest ballot promised so far: equal to `ballot` if the promise was
    /// given, above it if refused.
    case promise(epoch: UInt64, ballot: Ballot, promised: Ballot, accepted: AcceptedValue?)
    case accept(epoch: UInt64, ballot: Ballot, value: [UInt8])
    /// `promised` is equal to `ballot` if the value was accepted, above it if refused.
    case accepted(epoch: UInt64, ballot: Ballot, promised: Ballot)
    /// Asks for all entries from that epoch on.
    case catchUp(from: UInt64)
    /// Agreed entries by rising epoch, without a gap.
    case entries([MetadataEntryBytes])

    package var kind: PeerMessageKind {
        switch self {
        case .prepare: .paxosPrepare
        case .promise: .paxosPromise
        case .accept: .paxosAccept
        case .accepted: .paxosAccepted
        case .catchUp: .metadataCatchUp
        case .entries: .metadataEntries
        }
    }

    /// Reads a body of one of these kinds.
    package init(
        kind: PeerMessageKind, _ body: UnsafeRawBufferPointer
    ) throws(MalformedBytes) {
        var reader = ByteReader(body)
        switch kind {
        case .paxosPrepare:
            let epoch = try reader.readLittleEndian(UInt64.self)
            self = .prepare(epoch: epoch, ballot: try Ballot(&reader))
        case .paxosPromise:
            let epoch = try reader.readLittleEndian(UInt64.self)
            let ballot = try Ballot(&reader)
            let promised = try Ballot(&reader)
            self = .promise(
                epoch: epoch, ballot: ballot, promised: promised,
                accepted: try AcceptedValue.readOptional(&reader))
        case .paxosAccept:
            let epoch = try reader.readLittleEndian(UInt64.self)
            let ballot = try Ballot(&reader)
            self = .accept(
                epoch: epoch, ballot: ballot, value: Array(try reader.readLengthPrefixed()))
        case .paxosAccepted:
            let epoch = try reader.readLittleEndian(UInt64.self)
            let ballot = try Ballot(&reader)
            self = .accepted(epoch: epoch, ballot: ballot, promised: try Ballot(&reader))
        case .metadataCatchUp:
            self = .catchUp(from: try reader.readLittleEndian(UInt64.self))
        case .metadataEntries:
            let count = try reader.readCount(minimumBytes: 9)
            var entries: [MetadataEntryBytes] = []
            entries.reserveCapacity(count)
            for _ in 0..<count {
                let epoch = try reader.readLittleEndian(UInt64.self)
                entries.append(
                    MetadataEntryBytes(
                        epoch: epoch, body: Array(try reader.readLengthPrefixed())))
            }
            self = .entries(entries)
        default: throw MalformedBytes("kind \(kind) is not the metadata log's", offset: 0)
        }
        try reader.expectEnd()
    }

    package func encode(into writer: ByteWriter) {
        switch self {
        case .prepare(let epoch, let ballot):
            writer.appendLittleEndian(epoch)
            ballot.encode(into: writer)
        case .promise(let epoch, let ballot, let promised, let accepted):
            writer.appendLittleEndian(epoch)
            ballot.encode(into: writer)
            promised.encode(into: writer)
            AcceptedValue.encode(accepted, into: writer)
        case .accept(let epoch, let ballot, let value):
            writer.appendLittleEndian(epoch)
            ballot.encode(into: writer)
            writer.appendLengthPrefixed(value)
        case .accepted(let epoch, let ballot, let promised):
            writer.appendLittleEndian(epoch)
            ballot.encode(into: writer)
            promised.encode(into: writer)
        case .catchUp(let epoch):
            writer.appendLittleEndian(epoch)
        case .entries(let entries):
            writer.appendVarint(UInt64(entries.count))
            for entry in entries {
                writer.appendLittleEndian(entry.epoch)
                writer.appendLengthPrefixed(entry.body)
            }
        }
    }
}

extension AcceptedValue {
    /// Reads what `encode` wrote.
    package static func readOptional(
        _ reader: inout ByteReader
    ) throws(MalformedBytes) -> AcceptedValue? {
        switch try reader.readUInt8() {
        case 0: return nil
        case 1:
            let ballot = try Ballot(&reader)
            return AcceptedValue(ballot: ballot, value: Array(try reader.readLengthPrefixed()))
        case let other:
            throw MalformedBytes("accepted marker \(other)", offset: reader.position - 1)
        }
    }

    /// One byte that says whether there is a value, then the value.
    package static func encode(_ accepted: AcceptedValue?, into writer: ByteWriter) {
        guard let accepted else {
            writer.append(0)
            return
        }
        writer.append(1)
        accepted.ballot.encode(into: writer)
        writer.appendLengthPrefixed(accepted.value)
    }
}
