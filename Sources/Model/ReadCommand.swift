// What a replica is asked to read, and the shape of its answer.
//
// A replica answers rows *with* their deletions and expired cells, so that a coordinator can merge
// several answers; only live rows count against the limits. It stops at a limit and says so. What it
// says nothing about then is everything after the last row (or partition) of its answer: a
// coordinator that merges answers must cut the merge at the smallest such position and ask again from
// there (short-read protection).

package import Encoding

/// A stretch of clustering keys: `lower <= key < upper` in byte order.
package struct ClusteringSlice: Hashable, Sendable {
    package var lower: [UInt8]
    package var upper: [UInt8]

    package init(lower: [UInt8], upper: [UInt8]) {
        self.lower = lower
        self.upper = upper
    }

    /// The slice of exactly one key.
    package init(key: [UInt8]) {
        lower = key
        upper = key + [0]
    }

    /// Whether it is of exactly one key, which is `lower`.
    package var isOneKey: Bool {
        upper.count == lower.count + 1 && upper.last == 0 && upper.starts(with: lower)
    }
}

/// One read, of one partition or of a stretch of the token ring.
package struct ReadCommand: Hashable, Sendable {
    package enum Scope: Hashable, Sendable {
        case partition(token: Int64, key: [UInt8])
        case range(TokenScope)
    }

    /// `start < token <= end`; never wraps (a wrapping range is two commands), and `start` of the
    /// smallest integer means from the very beginning.
    package struct TokenScope: Hashable, Sendable {
        package var start: Int64
        package var end: Int64
        /// Go on behind this place, which lies inside the range.
        package var after: Position?

        package init(start: Int64, end: Int64, after: Position? = nil) {
            self.start = start
            self.end = end
            self.after = after
        }
    }

    /// A place in a scan: behind that row of that partition, or behind the whole partition.
    package struct Position: Hashable, Sendable {
        package var token: Int64
        package var key: [UInt8]
        /// The encoded clustering key of the last row seen; nil: the whole partition was seen. An empty
        /// key: its static row alone was seen.
        package var clustering: [UInt8]?

        package init(token: Int64, key: [UInt8], clustering: [UInt8]?) {
            self.token = token
            self.key = key
            self.clustering = clustering
        }
    }

    package var table: TableID
    package var scope: Scope
    /// Sorted upwards, not overlapping; nil: all rows. An empty list: no rows, the static row only.
    package var slices: [ClusteringSlice]?
    /// Rows from the last to the first, inside each partition.
    package var reversed: Bool
    /// When to see what has expired: fixed by the coordinator.
    package var nowInSeconds: Int64
    /// Live rows in all. A partition whose only live row is its static one counts as one.
    package var rowLimit: Int
    /// Live rows of each partition.
    package var partitionRowLimit: Int
    /// The answer may stop after any row beyond this many bytes.
    package var byteLimit: Int
    /// The answer may stop after any row, or partition, once it holds this many deletions.
    package var tombstoneLimit: Int
    /// What lies in each memtable and file by itself, as rows of `MutationFragments.schema`, instead of
    /// what they are together. The slices are of that schema's keys; never reversed.
    package var showsFragments: Bool

    package init(
        table: TableID, scope: Scope, slices: [ClusteringSlice]? = nil, reversed: Bool = false,
        nowInSeconds: Int64, rowLimit: Int = .max, partitionRowLimit: Int = .max,
        byteLimit: Int = 4 << 20, tombstoneLimit: Int = .max, showsFragments: Bool = false
    ) {
        self.table = table
        self.scope = scope
        self.slices = slices
        self.reversed = reversed
        self.nowInSeconds = nowInSeconds
        self.rowLimit = rowLimit
        self.partitionRowLimit = partitionRowLimit
        self.byteLimit = byteLimit
        self.tombstoneLimit = tombstoneLimit
        self.showsFragments = showsFragments
    }

    /// The clustering key of the only row that the slices leave of a partition; nil if they may leave several, or
    /// none.
    package var onlyRow: [UInt8]? {
        guard let slices, slices.count == 1, slices[0].isOneKey else { return nil }
        return slices[0].lower
    }

    private enum Flag {
        static let reversed: UInt8 = 0x01
        static let hasSlices: UInt8 = 0x02
        static let limitsTombstones: UInt8 = 0x04
        static let showsFragments: UInt8 = 0x08
    }

    /// Appends the command's bytes; version 1.
    package func encode(into writer: ByteWriter) {
        writer.append(1)
        writer.append(table.value)
        var flags: UInt8 = 0
        if reversed { flags |= Flag.reversed }
        if slices != nil { flags |= Flag.hasSlices }
        if tombstoneLimit != .max { flags |= Flag.limitsTombstones }
        if showsFragments { flags |= Flag.showsFragments }
        writer.append(flags)
        writer.appendLittleEndian(nowInSeconds)
        writer.appendVarint(UInt64(rowLimit))
        writer.appendVarint(UInt64(partitionRowLimit))
        writer.appendVarint(UInt64(byteLimit))
        if tombstoneLimit != .max { writer.appendVarint(UInt64(tombstoneLimit)) }
        switch scope {
        case .partition(let token, let key):
            writer.append(0)
            writer.appendLittleEndian(token)
            writer.appendLengthPrefixed(key)
        case .range(let range):
            writer.append(range.after == nil ? 1 : range.after?.clustering == nil ? 2 : 3)
            writer.appendLittleEndian(range.start)
            writer.appendLittleEndian(range.end)
            if let after = range.after {
                writer.appendLittleEndian(after.token)
                writer.appendLengthPrefixed(after.key)
                if let clustering = after.clustering { writer.appendLengthPrefixed(clustering) }
            }
        }
        if let slices {
            writer.appendVarint(UInt64(slices.count))
            for slice in slices {
                writer.appendLengthPrefixed(slice.lower)
                writer.appendLengthPrefixed(slice.upper)
            }
        }
    }

    /// Reads what `encode` wrote.
    package init(from reader: inout ByteReader) throws(MalformedBytes) {
        let version = try reader.readUInt8()
        guard version == 1 else {
            throw MalformedBytes("read command of version \(version)", offset: reader.position)
        }
        table = TableID(try reader.readUniqueID())
        let flags = try reader.readUInt8()
        reversed = flags & Flag.reversed != 0
        showsFragments = flags & Flag.showsFragments != 0
        nowInSeconds = try reader.readLittleEndian(Int64.self)
        rowLimit = Int(clamping: try reader.readVarint())
        partitionRowLimit = Int(clamping: try reader.readVarint())
        byteLimit = Int(clamping: try reader.readVarint())
        tombstoneLimit =
            flags & Flag.limitsTombstones != 0
            ? max(1, Int(clamping: try reader.readVarint())) : .max
        let kind = try reader.readUInt8()
        switch kind {
        case 0:
            let token = try reader.readLittleEndian(Int64.self)
            scope = .partition(token: token, key: [UInt8](try reader.readLengthPrefixed()))
        case 1, 2, 3:
            let start = try reader.readLittleEndian(Int64.self)
            var range = TokenScope(start: start, end: try reader.readLittleEndian(Int64.self))
            if kind > 1 {
                let token = try reader.readLittleEndian(Int64.self)
                let key = [UInt8](try reader.readLengthPrefixed())
                let clustering = kind == 3 ? [UInt8](try reader.readLengthPrefixed()) : nil
                range.after = Position(token: token, key: key, clustering: clustering)
            }
            scope = .range(range)
        default: throw MalformedBytes("unknown scope \(kind)", offset: reader.position)
        }
        slices = nil
        if flags & Flag.hasSlices != 0 {
            var list: [ClusteringSlice] = []
            for _ in 0..<(try reader.readCount()) {
                let lower = [UInt8](try reader.readLengthPrefixed())
                let upper = [UInt8](try reader.readLengthPrefixed())
                guard compareBytes(list.last?.upper ?? [], lower) <= 0,
                    compareBytes(lower, upper) < 0
                else { throw MalformedBytes("slices out of order", offset: reader.position) }
                list.append(ClusteringSlice(lower: lower, upper: upper))
            }
            slices = list
        }
    }
}

/// A replica's answer to a `ReadCommand`, also what a coordinator makes of several. A view.
///
///     result := flags u8 | [coveredThrough i64] | (token i64 | key length varint, key
///               | partition length varint, partition)*
///
/// Exhausted (0x01): nothing of the scope lies behind the last partition. With `coveredThrough` (0x02)
/// that holds up to and including that token only: the rest of the scope belongs to another shard.
/// Neither: a limit was reached, and the answer ends with the last row of its last partition (behind
/// that partition if it shows no row).
package struct ReadResultView {
    package let bytes: UnsafeRawBufferPointer
    package let isExhausted: Bool
    package let coveredThrough: Int64?

    package init(_ bytes: UnsafeRawBufferPointer) throws(MalformedBytes) {
        var reader = ByteReader(bytes)
        let flags = try reader.readUInt8()
        guard flags <= 2 else { throw MalformedBytes("unknown result flags \(flags)", offset: 0) }
        coveredThrough = flags == 2 ? try reader.readLittleEndian(Int64.self) : nil
        self.bytes = bytes
        isExhausted = flags == 1
    }

    /// Where the partitions begin.
    package var partitionsOffset: Int { coveredThrough == nil ? 1 : 9 }

    package var partitions: ReadResultCursor {
        ReadResultCursor(reader: ByteReader(bytes, position: partitionsOffset))
    }
}

/// Reads a result's partitions one after another.
package struct ReadResultCursor {
    package var reader: ByteReader

    /// The next partition, or nil at the end.
    package mutating func next() throws(MalformedBytes)
        -> (token: Int64, key: UnsafeRawBufferPointer, partition: UnsafeRawBufferPointer)?
    {
        if reader.isAtEnd { return nil }
        let token = try reader.readLittleEndian(Int64.self)
        let key = try reader.readLengthPrefixed()
        return (token, key, try reader.readLengthPrefixed())
    }
}

/// Writes a `ReadResultView`'s bytes.
package enum ReadResultWriter {
    /// Begins; `finish` sets the flag that is not known yet.
    package static func begin(into writer: ByteWriter) -> Int {
        let start = writer.count
        writer.append(0)
        return start
    }

    package static func append(
        token: Int64, key: UnsafeRawBufferPointer, partition: UnsafeRawBufferPointer,
        into writer: ByteWriter
    ) {
        writer.appendLittleEndian(token)
        writer.appendLengthPrefixed(key)
        writer.appendLengthPrefixed(partition)
    }

    /// A result that is exhausted up to and including `token` only.
    package static func begin(coveredThrough token: Int64, into writer: ByteWriter) {
        writer.append(2)
        writer.appendLittleEndian(token)
    }

    /// Ends the result begun at `start`.
    package static func finish(start: Int, isExhausted: Bool, into writer: ByteWriter) {
        writer.overwriteLittleEndian(at: start, UInt8(isExhausted ? 1 : 0))
    }
}
