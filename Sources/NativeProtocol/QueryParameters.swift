// <query_parameters> of QUERY and EXECUTE, and the tail of BATCH (v5 specification, 4.1.4 and 4.1.7).
//
//     consistency 2 | flags 1 (v3, v4) or 4 (v5)
//     | values | page size 4 | paging state | serial 2 | timestamp 8 | keyspace (v5) | now 4 (v5)
//
// each part after the flags only if its flag is set. Bound values and paging state stay in the frame.

internal import Encoding
package import Model

/// The bits that say which parts of the query parameters follow.
package struct QueryFlags: OptionSet, Sendable {
    package let rawValue: UInt32
    @inlinable
    package init(rawValue: UInt32) { self.rawValue = rawValue }

    package static let values = QueryFlags(rawValue: 0x01)
    package static let skipMetadata = QueryFlags(rawValue: 0x02)
    package static let pageSize = QueryFlags(rawValue: 0x04)
    package static let pagingState = QueryFlags(rawValue: 0x08)
    package static let serialConsistency = QueryFlags(rawValue: 0x10)
    package static let timestamp = QueryFlags(rawValue: 0x20)
    package static let names = QueryFlags(rawValue: 0x40)
    package static let keyspace = QueryFlags(rawValue: 0x80)
    package static let nowInSeconds = QueryFlags(rawValue: 0x100)

    static func known(_ version: ProtocolVersion) -> UInt32 { version >= .v5 ? 0x1FF : 0x7F }
}

/// How a statement is to be executed. Reused from request to request: the table of values keeps its
/// memory. Valid as long as the frame that it was decoded from.
package struct QueryParameters {
    package var consistency = ConsistencyLevel.one
    /// The consistency of the Paxos phase: `serial` unless the client says otherwise.
    package var serialConsistency = ConsistencyLevel.serial
    package var flags = QueryFlags()
    /// The values of all statements of a batch, one after the other; see `BatchStatement.values`.
    package var values = BoundValues()
    /// Rows per page, or nil for no paging.
    package var pageSize: Int?
    /// Where an earlier page ended; in the frame.
    package var pagingState: UnsafeRawBufferPointer?
    /// The client's default timestamp in microseconds.
    package var timestamp: Int64?
    /// The keyspace for this request alone (v5).
    package var keyspace: String?
    /// What the client wants as the present for expiry (v5); for tests of drivers.
    package var nowInSeconds: Int32?

    package init() {}

    /// Whether a result may leave out its columns.
    @inlinable
    package var skipsMetadata: Bool { flags.contains(.skipMetadata) }

    mutating func reset(frame: UnsafeRawPointer?) {
        values.removeAll(base: frame)
        flags = QueryFlags()
        serialConsistency = .serial
        pageSize = nil
        pagingState = nil
        timestamp = nil
        if keyspace != nil { keyspace = nil }
        nowInSeconds = nil
    }

    /// Reads the parameters at the reader's position; the reader must span the whole body.
    mutating func decode(
        _ reader: inout ByteReader, _ version: ProtocolVersion
    ) throws(MalformedBytes) {
        reset(frame: reader.bytes.baseAddress)
        consistency = try reader.readConsistency()
        try decodeFlags(&reader, version)
        if flags.contains(.values) {
            let count = try reader.readShort()
            try decodeValues(&reader, version, count: count, named: flags.contains(.names))
        }
        try decodeRest(&reader)
    }

    /// Reads the tail of a BATCH, whose values were read with its statements.
    mutating func decodeBatchTail(
        _ reader: inout ByteReader, _ version: ProtocolVersion
    ) throws(MalformedBytes) {
        consistency = try reader.readConsistency()
        let start = reader.position
        try decodeFlags(&reader, version)
        guard flags.isDisjoint(with: [.values, .skipMetadata, .pageSize, .pagingState]) else {
            throw MalformedBytes("a BATCH with the flags of a QUERY", offset: start)
        }
        guard !flags.contains(.names) else {
            throw MalformedBytes("a BATCH cannot name its values", offset: start)
        }
        try decodeRest(&reader)
    }

    private mutating func decodeFlags(
        _ reader: inout ByteReader, _ version: ProtocolVersion
    ) throws(MalformedBytes) {
        let start = reader.position
        let bits =
            version >= .v5
            ? try reader.readBigEndian(UInt32.self) : UInt32(try reader.readUInt8())
        guard bits & ~QueryFlags.known(version) == 0 else {
            throw MalformedBytes("unknown query flags 0x\(String(bits, radix: 16))", offset: start)
        }
        flags = QueryFlags(rawValue: bits)
    }

    /// Appends `count` values to the table.
    mutating func decodeValues(
        _ reader: inout ByteReader, _ version: ProtocolVersion, count: Int, named: Bool
    ) throws(MalformedBytes) {
        var names: [String] = []
        for _ in 0..<count {
            if named { names.append(try reader.readProtocolString()) }
            let start = reader.position
            let length = Int(try reader.readBigEndian(Int32.self))
            if length >= 0 {
                let offset = reader.position
                try reader.skip(length)
                values.append(ByteRange(offset: offset, count: length))
            } else if length == -1 || version < .v4 {
                values.appendNull()
            } else if length == -2 {
                values.appendUnset()
            } else {
                throw MalformedBytes("Invalid ByteBuf length \(length)", offset: start)
            }
        }
        if named { values.names = names }
    }

    private mutating func decodeRest(_ reader: inout ByteReader) throws(MalformedBytes) {
        if flags.contains(.pageSize) {
            let size = Int(try reader.readBigEndian(Int32.self))
            pageSize = size > 0 ? size : nil
        }
        if flags.contains(.pagingState) { pagingState = try reader.readOptionalBytes() }
        if flags.contains(.serialConsistency) {
            serialConsistency = try reader.readConsistency()
        }
        if flags.contains(.timestamp) {
            let start = reader.position
            let value = try reader.readBigEndian(Int64.self)
            guard value != .min else {
                throw MalformedBytes("Out of bound timestamp \(value)", offset: start)
            }
            timestamp = value
        }
        if flags.contains(.keyspace) { keyspace = try reader.readProtocolString() }
        if flags.contains(.nowInSeconds) { nowInSeconds = try reader.readBigEndian(Int32.self) }
    }
}
