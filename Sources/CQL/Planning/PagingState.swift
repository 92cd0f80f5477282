// Where a paged query goes on: keys and counts only, so that any node can continue it.
//
//     state := version u8 | flags u8 | remaining varint | in partition varint | token i64
//              | key length varint, key | [clustering length varint, clustering] | [origin 16 bytes]
//              | CRC32C u32
//
// The client carries it and gives it back; the checksum tells its own garbage from ours.

internal import Encoding
internal import Model

/// A place in the result of a SELECT.
struct PagingState: Equatable {
    var token: Int64
    /// The serialized partition key of the last row.
    var key: [UInt8]
    /// The encoded clustering key of the last row; nil: nothing more of that partition is wanted.
    var clustering: [UInt8]?
    /// How many rows LIMIT still allows.
    var remaining: Int
    /// How many rows of that partition PER PARTITION LIMIT still allows.
    var remainingInPartition: Int
    /// Whether the partition had a live row before; if not, its static row may yet be a row alone.
    var hadLiveRows = true
    /// The node that alone can go on.
    var origin: UniqueID?

    private enum Flag {
        static let hasClustering: UInt8 = 0x01
        static let hadNoLiveRows: UInt8 = 0x02
        static let hasOrigin: UInt8 = 0x04
        static let known: UInt8 = 0x07
    }

    private static let version: UInt8 = 1
    private static let checksumSeed: UInt32 = 0x7061_6765

    static let invalid: CQLError = .invalid("Invalid value for the paging state")

    var bytes: [UInt8] {
        let writer = ByteWriter()
        writer.append(Self.version)
        var flags: UInt8 = 0
        if clustering != nil { flags |= Flag.hasClustering }
        if !hadLiveRows { flags |= Flag.hadNoLiveRows }
        if origin != nil { flags |= Flag.hasOrigin }
        writer.append(flags)
        writer.appendVarint(UInt64(remaining))
        writer.appendVarint(UInt64(remainingInPartition))
        writer.appendLittleEndian(token)
        writer.appendLengthPrefixed(key)
        if let clustering { writer.appendLengthPrefixed(clustering) }
        if let origin { writer.append(origin) }
        writer.appendLittleEndian(CRC32C.checksum(writer.bytes, seed: Self.checksumSeed))
        return writer.array
    }

    init(
        token: Int64, key: [UInt8], clustering: [UInt8]?, remaining: Int,
        remainingInPartition: Int, hadLiveRows: Bool = true, origin: UniqueID? = nil
    ) {
        self.token = token
        self.key = key
        self.clustering = clustering
        self.remaining = remaining
        self.remainingInPartition = remainingInPartition
        self.hadLiveRows = hadLiveRows
        self.origin = origin
    }

    /// Reads a state that a client gave back; `columns` are the table's clustering columns, nil if places are
    /// not only keys of them.
    init(_ bytes: [UInt8], clusteringColumns columns: [ColumnSchema]?) throws(CQLError) {
        do throws(MalformedBytes) {
            self = try bytes.withBytes { (raw) throws(MalformedBytes) in
                try PagingState.read(raw, columns)
            }
        } catch {
            throw Self.invalid
        }
    }

    private static func read(
        _ raw: UnsafeRawBufferPointer, _ columns: [ColumnSchema]?
    ) throws(MalformedBytes) -> PagingState {
        guard raw.count > 4 else { throw MalformedBytes("paging state too short", offset: 0) }
        let content = UnsafeRawBufferPointer(rebasing: raw[..<(raw.count - 4)])
        var checksum = ByteReader(raw, position: raw.count - 4)
        guard
            try checksum.readLittleEndian(UInt32.self)
                == CRC32C.checksum(content, seed: checksumSeed)
        else { throw MalformedBytes("paging state with a wrong checksum", offset: 0) }
        var reader = ByteReader(content)
        guard try reader.readUInt8() == version else {
            throw MalformedBytes("paging state of another version", offset: 0)
        }
        let flags = try reader.readUInt8()
        let remaining = try reader.readVarint()
        let inPartition = try reader.readVarint()
        let token = try reader.readLittleEndian(Int64.self)
        let key = try reader.readLengthPrefixed()
        guard flags <= Flag.known, Token.of(key).value == token else {
            throw MalformedBytes("paging state of another key", offset: 0)
        }
        var clustering: [UInt8]?
        if flags & Flag.hasClustering != 0 {
            let encoded = try reader.readLengthPrefixed()
            if let columns { _ = try ClusteringKey.decode(encoded, columns: columns) }
            clustering = Array(encoded)
        }
        let origin = flags & Flag.hasOrigin != 0 ? try reader.readUniqueID() : nil
        guard reader.isAtEnd else { throw MalformedBytes("bytes after a paging state", offset: 0) }
        return PagingState(
            token: token, key: Array(key), clustering: clustering,
            remaining: Int(clamping: remaining), remainingInPartition: Int(clamping: inPartition),
            hadLiveRows: flags & Flag.hadNoLiveRows == 0, origin: origin)
    }
}
