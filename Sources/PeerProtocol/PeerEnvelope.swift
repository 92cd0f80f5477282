// Writing and reading whole messages. The layout is drawn in PeerHeader.swift.

package import Encoding
internal import Environment
internal import Model

/// Encodes and decodes the envelope.
package enum PeerEnvelope {
    package static let magic: UInt8 = 0xC7
    package static let version: UInt8 = 1
    package static let headerBytes = 96
    /// A stream's reader can tell a message's length once it has this many bytes of it.
    package static let prefixBytes = 12
    /// A longer body is refused by sender and receiver.
    package static let maximumBodyBytes = 64 << 20

    static let hasTrace: UInt8 = 1

    /// Writes the header and says where the message begins. The caller writes the body next, and
    /// then calls `end` with this mark.
    package static func begin(_ header: PeerHeader, into writer: ByteWriter) -> Int {
        let start = writer.count
        writer.reserve(headerBytes + 16)
        writer.append(magic)
        writer.append(version)
        writer.append(header.kind.rawValue)
        writer.append(header.traceID == nil ? 0 : hasTrace)
        writer.appendLittleEndian(UInt32(0))
        writer.appendLittleEndian(UInt32(0))
        writer.appendLittleEndian(header.lineage)
        writer.append(header.clusterID)
        writer.append(header.sender.value)
        writer.appendLittleEndian(header.senderIncarnation.value)
        writer.appendLittleEndian(UInt16(truncatingIfNeeded: header.senderShard.value))
        writer.appendLittleEndian(UInt16(truncatingIfNeeded: header.targetShard.value))
        writer.appendLittleEndian(header.routeToken.value)
        writer.appendLittleEndian(header.epoch)
        writer.appendLittleEndian(header.request.value)
        writer.appendLittleEndian(header.hybridTime)
        writer.appendLittleEndian(header.remainingBudget)
        writer.appendLittleEndian(UInt32(0))
        if let trace = header.traceID { writer.append(trace) }
        return start
    }

    /// Completes the message begun at `start`: fills in length and checksum. Returns where it lies
    /// in the writer, or nil (and takes the message back) if its body is longer than allowed.
    package static func end(_ start: Int, in writer: ByteWriter) -> ByteRange? {
        let whole = ByteRange(offset: start, count: writer.count - start)
        let traceBytes = writer[whole][3] & hasTrace == 0 ? 0 : 16
        let body = whole.count - headerBytes - traceBytes
        precondition(body >= 0, "message ended before it began")
        guard body <= maximumBodyBytes else {
            writer.truncate(to: start)
            return nil
        }
        writer.overwriteLittleEndian(at: start + 8, UInt32(body))
        writer.overwriteLittleEndian(at: start + 4, checksum(writer[whole]))
        return whole
    }

    /// Reads a whole message. The body is not copied. Messages of another shard of this very node
    /// need no checksum check; all that came over a network do.
    package static func decode(
        _ bytes: UnsafeRawBufferPointer, verifyingChecksum: Bool = true
    ) throws(MalformedBytes) -> (header: PeerHeader, body: UnsafeRawBufferPointer) {
        guard bytes.count >= headerBytes else {
            throw MalformedBytes("peer message shorter than its header", offset: bytes.count)
        }
        let length = try messageLength(ofPrefix: bytes)
        guard length == bytes.count else {
            throw MalformedBytes("peer message has \(bytes.count) bytes, says \(length)", offset: 8)
        }
        var reader = ByteReader(bytes, position: 4)
        let expected = try reader.readLittleEndian(UInt32.self)
        if verifyingChecksum {
            guard checksum(bytes) == expected else {
                throw MalformedBytes("peer message's checksum is wrong", offset: 4)
            }
        }
        guard let kind = PeerMessageKind(rawValue: bytes[2]) else {
            throw MalformedBytes("unknown peer message kind \(bytes[2])", offset: 2)
        }
        try reader.skip(4)
        let lineage = try reader.readLittleEndian(UInt32.self)
        let clusterID = try reader.readUniqueID()
        let sender = HostID(try reader.readUniqueID())
        let incarnation = Incarnation(try reader.readLittleEndian(UInt32.self))
        let senderShard = ShardIndex(Int(try reader.readLittleEndian(UInt16.self)))
        let targetShard = ShardIndex(Int(try reader.readLittleEndian(UInt16.self)))
        let token = Token(try reader.readLittleEndian(Int64.self))
        let epoch = try reader.readLittleEndian(UInt64.self)
        let request = RequestID(try reader.readLittleEndian(UInt64.self))
        let hybridTime = try reader.readLittleEndian(Int64.self)
        let budget = try reader.readLittleEndian(UInt32.self)
        try reader.skip(4)
        let trace: UniqueID? = bytes[3] & hasTrace == 0 ? nil : try reader.readUniqueID()
        let header = PeerHeader(
            kind: kind, clusterID: clusterID, lineage: lineage, sender: sender,
            senderIncarnation: incarnation, senderShard: senderShard, targetShard: targetShard,
            routeToken: token, epoch: epoch, request: request, hybridTime: hybridTime,
            remainingBudget: budget, traceID: trace)
        return (header, try reader.readBytes(reader.remaining))
    }

    /// How long the message is that begins with these bytes, of which at least `prefixBytes` are
    /// there. Throws if no message begins so: a stream then cannot be read on.
    package static func messageLength(
        ofPrefix bytes: UnsafeRawBufferPointer
    ) throws(MalformedBytes) -> Int {
        guard bytes.count >= prefixBytes else {
            throw MalformedBytes("peer message shorter than its prefix", offset: bytes.count)
        }
        guard bytes[0] == magic else {
            throw MalformedBytes("not a peer message", offset: 0)
        }
        guard bytes[1] == version else {
            throw MalformedBytes("peer protocol version \(bytes[1]) is not supported", offset: 1)
        }
        guard bytes[3] & ~hasTrace == 0 else {
            throw MalformedBytes("unknown peer message flags \(bytes[3])", offset: 3)
        }
        let body = Int(
            UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt32.self)))
        guard body <= maximumBodyBytes else {
            throw MalformedBytes("peer message of \(body) bytes is too long", offset: 8)
        }
        return headerBytes + (bytes[3] & hasTrace == 0 ? 0 : 16) + body
    }

    private static func checksum(_ message: UnsafeRawBufferPointer) -> UInt32 {
        let seed = UInt32(littleEndian: message.loadUnaligned(as: UInt32.self))
        return CRC32C.checksum(UnsafeRawBufferPointer(rebasing: message[8...]), seed: seed)
    }
}
