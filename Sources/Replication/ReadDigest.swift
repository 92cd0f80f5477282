// The digest of a replica's answer: equal on two replicas whenever they hold the same data, however
// each came by it. So it is taken over the meaning (keys, timestamps, values) and not over the bytes,
// in which the base timestamp of a row depends on the order of its merges.
//
// Tombstones that compaction may purge are left out: replicas purge at different times. Whether the
// answer goes to the end of its scope is in it: one replica may have nothing behind the rows that fill
// the limit, where another has a row that the first one lacks.

package import Encoding
package import Model

/// A 128-bit digest of a read result (Murmur3; it protects from accidents, not from attackers).
package struct ReadDigest: Hashable, Sendable {
    package let high: UInt64
    package let low: UInt64

    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// The digest of an answer. Deletions from before `purgeBefore` (seconds since 1970) are left out.
    /// `scratch` is working space.
    package init(
        of result: ReadResultView, purgeBefore: Int64, scratch: ByteWriter
    ) throws(MalformedBytes) {
        scratch.removeAll()
        scratch.append(result.isExhausted ? 1 : 0)
        var partitions = result.partitions
        while let (token, key, bytes) = try partitions.next() {
            let start = scratch.count
            scratch.appendLittleEndian(token)
            scratch.appendLengthPrefixed(key)
            let header = scratch.count
            try Self.append(try PartitionView(bytes), purgeBefore: purgeBefore, into: scratch)
            if scratch.count == header { scratch.truncate(to: start) }
        }
        (high, low) = Murmur3.hash128(scratch.bytes)
    }

    private static func append(
        _ partition: PartitionView, purgeBefore: Int64, into writer: ByteWriter
    ) throws(MalformedBytes) {
        append(partition.deletion, mark: 1, purgeBefore: purgeBefore, into: writer)
        for range in partition.ranges where Int64(range.deletion.localDeletionTime) >= purgeBefore {
            writer.appendLengthPrefixed(range.start)
            writer.appendLengthPrefixed(range.end)
            append(range.deletion, mark: 2, purgeBefore: purgeBefore, into: writer)
        }
        if !partition.staticRow.isEmpty {
            try appendRow(
                key: UnsafeRawBufferPointer(start: nil, count: 0), partition.staticRow,
                purgeBefore: purgeBefore, into: writer)
        }
        var rows = partition.rows
        while let (key, row) = try rows.next() {
            try appendRow(key: key, row, purgeBefore: purgeBefore, into: writer)
        }
    }

    private static func append(
        _ deletion: Deletion, mark: UInt8, purgeBefore: Int64, into writer: ByteWriter
    ) {
        guard !deletion.isNone, Int64(deletion.localDeletionTime) >= purgeBefore else { return }
        writer.append(mark)
        writer.appendLittleEndian(deletion.timestamp)
        writer.appendLittleEndian(deletion.localDeletionTime)
    }

    /// Appends what two equal rows have in common; nothing for a row that is purgeable altogether.
    package static func appendRow(
        key: UnsafeRawBufferPointer, _ bytes: UnsafeRawBufferPointer, purgeBefore: Int64,
        into writer: ByteWriter
    ) throws(MalformedBytes) {
        let row = try RowView(bytes)
        let start = writer.count
        writer.appendLengthPrefixed(key)
        let header = writer.count
        if !row.liveness.isNone {
            writer.append(3)
            writer.appendLittleEndian(row.liveness.timestamp)
            writer.appendLittleEndian(row.liveness.timeToLive)
            writer.appendLittleEndian(row.liveness.expiresAt)
        }
        append(row.deletion, mark: 4, purgeBefore: purgeBefore, into: writer)
        var cells = row.cells
        while let cell = try cells.next() {
            if cell.isTombstone || cell.isComplexDeletion,
                Int64(cell.localDeletionTime) < purgeBefore
            {
                continue
            }
            writer.append(5)
            writer.appendVarint(UInt64(cell.column))
            writer.append(cell.flags.subtracting(.sameTimestamp).rawValue)
            writer.appendLittleEndian(cell.timestamp)
            writer.appendLittleEndian(cell.localDeletionTime)
            writer.appendLittleEndian(cell.timeToLive)
            writer.appendLengthPrefixed(cell.path)
            writer.appendLengthPrefixed(cell.value)
        }
        if writer.count == header { writer.truncate(to: start) }
    }
}
