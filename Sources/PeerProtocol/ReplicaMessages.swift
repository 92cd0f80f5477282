// The bodies of the messages between coordinator and replica. The mutation, the read command and
// the result inside are opaque here: their bytes are made and read by the rooms that own those
// formats.
//
// Decoded values borrow from the message's bytes and must not outlive them. Nothing is allocated.

package import Encoding
package import Environment

/// Why a replica could not do what it was asked (the reason map of native protocol v5, section 9).
package enum ReplicaFailureReason: UInt16, Sendable, CaseIterable {
    case unknown = 0x0000
    case readTooManyTombstones = 0x0001
    case readSize = 0x0004
    case nodeDown = 0x0005
    case timeout = 0x0006
    case incompatibleSchema = 0x0008
}

/// A mutation for a replica (`PeerMessageKind.mutation`).
package struct MutationRequest {
    package struct Flags: OptionSet, Hashable, Sendable {
        package let rawValue: UInt8
        package init(rawValue: UInt8) { self.rawValue = rawValue }
        /// Replayed for a replica that was down; the sender waits for the answer before it forgets.
        package static let isHint = Flags(rawValue: 1)
        package static let isReadRepair = Flags(rawValue: 2)
    }

    package let flags: Flags
    /// The encoded mutation.
    package let mutation: UnsafeRawBufferPointer

    package init(flags: Flags = Flags(), mutation: UnsafeRawBufferPointer) {
        self.flags = flags
        self.mutation = mutation
    }

    package init(_ body: UnsafeRawBufferPointer) throws(MalformedBytes) {
        var reader = ByteReader(body)
        let raw = try reader.readUInt8()
        guard raw & ~3 == 0 else {
            throw MalformedBytes("unknown mutation flags \(raw)", offset: 0)
        }
        flags = Flags(rawValue: raw)
        mutation = try reader.readBytes(reader.remaining)
    }

    package func encode(into writer: ByteWriter) {
        writer.append(flags.rawValue)
        writer.append(mutation)
    }
}

/// A replica's answer to a mutation (`.mutationResponse`) or a truncation (`.truncateResponse`).
package enum MutationResponse: Equatable, Sendable {
    case applied
    case failed(ReplicaFailureReason)

    package init(_ body: UnsafeRawBufferPointer) throws(MalformedBytes) {
        var reader = ByteReader(body)
        switch try reader.readUInt8() {
        case 0: self = .applied
        case 1: self = .failed(try ReplicaFailureReason.read(&reader))
        case let other: throw MalformedBytes("unknown mutation outcome \(other)", offset: 0)
        }
        try reader.expectEnd()
    }

    package func encode(into writer: ByteWriter) {
        switch self {
        case .applied: writer.append(0)
        case .failed(let reason):
            writer.append(1)
            writer.appendLittleEndian(reason.rawValue)
        }
    }
}

/// A read for a replica (`.read`).
package struct ReadRequest {
    /// Whether the replica answers with a digest of its data only.
    package let wantsDigest: Bool
    /// The encoded read command.
    package let command: UnsafeRawBufferPointer

    package init(wantsDigest: Bool, command: UnsafeRawBufferPointer) {
        self.wantsDigest = wantsDigest
        self.command = command
    }

    package init(_ body: UnsafeRawBufferPointer) throws(MalformedBytes) {
        var reader = ByteReader(body)
        let raw = try reader.readUInt8()
        guard raw <= 1 else { throw MalformedBytes("unknown read flags \(raw)", offset: 0) }
        wantsDigest = raw == 1
        command = try reader.readBytes(reader.remaining)
    }

    package func encode(into writer: ByteWriter) {
        writer.append(wantsDigest ? 1 : 0)
        writer.append(command)
    }
}

/// A replica's answer to a read (`.readResponse`).
package enum ReadResponse {
    /// Encoded rows.
    case data(UnsafeRawBufferPointer)
    /// Encoded rows, for which the replica passed more deletions than it likes to.
    case dataBehind(tombstones: Int, UnsafeRawBufferPointer)
    case digest(UniqueID)
    case failed(ReplicaFailureReason)

    package init(_ body: UnsafeRawBufferPointer) throws(MalformedBytes) {
        var reader = ByteReader(body)
        switch try reader.readUInt8() {
        case 0: self = .data(try reader.readBytes(reader.remaining))
        case 1: self = .digest(try reader.readUniqueID())
        case 2: self = .failed(try ReplicaFailureReason.read(&reader))
        case 3:
            let tombstones = try reader.readVarint()
            self = .dataBehind(
                tombstones: Int(clamping: tombstones), try reader.readBytes(reader.remaining))
        case let other: throw MalformedBytes("unknown read outcome \(other)", offset: 0)
        }
        try reader.expectEnd()
    }

    package func encode(into writer: ByteWriter) {
        switch self {
        case .data(let bytes):
            writer.append(0)
            writer.append(bytes)
        case .dataBehind(let tombstones, let bytes):
            writer.append(3)
            writer.appendVarint(UInt64(tombstones))
            writer.append(bytes)
        case .digest(let digest):
            writer.append(1)
            writer.append(digest)
        case .failed(let reason):
            writer.append(2)
            writer.appendLittleEndian(reason.rawValue)
        }
    }
}

/// Empties a table on a replica (`.truncate`); answered with a `MutationResponse`.
package struct TruncateRequest: Equatable, Sendable {
    package let table: UniqueID
    /// Writes with timestamps up to this one go, in microseconds since 1970.
    package let timestamp: Int64

    package init(table: UniqueID, timestamp: Int64) {
        self.table = table
        self.timestamp = timestamp
    }

    package init(_ body: UnsafeRawBufferPointer) throws(MalformedBytes) {
        var reader = ByteReader(body)
        table = try reader.readUniqueID()
        timestamp = try reader.readLittleEndian(Int64.self)
        try reader.expectEnd()
    }

    package func encode(into writer: ByteWriter) {
        writer.append(table)
        writer.appendLittleEndian(timestamp)
    }
}

/// The epoch that a replica has, where the request's one will not do (`.wrongEpoch`).
package struct WrongEpoch: Equatable, Sendable {
    package let epoch: UInt64
    package init(epoch: UInt64) { self.epoch = epoch }

    package init(_ body: UnsafeRawBufferPointer) throws(MalformedBytes) {
        var reader = ByteReader(body)
        epoch = try reader.readLittleEndian(UInt64.self)
        try reader.expectEnd()
    }

    package func encode(into writer: ByteWriter) { writer.appendLittleEndian(epoch) }
}

extension ReplicaFailureReason {
    fileprivate static func read(
        _ reader: inout ByteReader
    ) throws(MalformedBytes) -> ReplicaFailureReason {
        // A newer node may know more reasons than we do.
        ReplicaFailureReason(rawValue: try reader.readLittleEndian(UInt16.self)) ?? .unknown
    }
}

extension ByteReader {
    /// Refuses bytes after the end of what was read.
    package func expectEnd() throws(MalformedBytes) {
        guard isAtEnd else { throw MalformedBytes("\(remaining) bytes too many", offset: position) }
    }

    /// A count of things that take at least `minimumBytes` each.
    package mutating func readCount(minimumBytes: Int) throws(MalformedBytes) -> Int {
        let start = position
        let value = try readVarint()
        guard value <= UInt64(remaining / minimumBytes) else {
            throw MalformedBytes("count \(value) exceeds what is left", offset: start)
        }
        return Int(value)
    }

    /// An address as `append(_: SocketAddress)` wrote it.
    package mutating func readSocketAddress() throws(MalformedBytes) -> SocketAddress {
        let start = position
        let length = try readUInt8()
        guard length == 4 || length == 16 else {
            throw MalformedBytes("address of \(length) bytes", offset: start)
        }
        let address = Array(try readBytes(Int(length)))
        return SocketAddress(address: address, port: try readLittleEndian(UInt16.self))
    }
}

extension ByteWriter {
    /// The address's length in one byte, the address, the port.
    package func append(_ address: SocketAddress) {
        append(UInt8(address.address.count))
        append(address.address)
        appendLittleEndian(address.port)
    }
}
