// A partition, or a part of one, as bytes (docs/formats/row.md): what a mutation carries, what a replica
// answers to a read, and what merging makes of several.
//
//     partition := flags u8
//                  [timestamp i64, local u32]                         if hasDeletion
//                  [length varint, row]                               if hasStatic
//                  [count varint, (start, end, timestamp i64, local u32)*]   if hasRanges
//                  (key length varint, key, row length varint, row)*  to the end
//
// `start` and `end` are length-prefixed clustering bounds: a range deletion covers start <= key < end
// in byte order. Ranges are sorted and do not overlap. Rows are sorted by key, or from last to first
// in the answer to a reversed read; keys do not repeat.

package import Encoding

/// The flags of a partition's first byte.
package struct PartitionFlags: OptionSet, Sendable {
    package let rawValue: UInt8
    @inlinable package init(rawValue: UInt8) { self.rawValue = rawValue }
    @inlinable package static var hasDeletion: PartitionFlags { PartitionFlags(rawValue: 0x01) }
    @inlinable package static var hasStatic: PartitionFlags { PartitionFlags(rawValue: 0x02) }
    @inlinable package static var hasRanges: PartitionFlags { PartitionFlags(rawValue: 0x04) }
    @inlinable package static var known: PartitionFlags { PartitionFlags(rawValue: 0x07) }
}

/// The deletion of a stretch of rows.
package struct RangeTombstone: Hashable, Sendable {
    /// Inclusive clustering bound.
    package var start: [UInt8]
    /// Exclusive clustering bound.
    package var end: [UInt8]
    package var deletion: Deletion

    package init(start: [UInt8], end: [UInt8], deletion: Deletion) {
        self.start = start
        self.end = end
        self.deletion = deletion
    }

    package func covers(_ key: UnsafeRawBufferPointer) -> Bool {
        start.withUnsafeBytes { compareBytes($0, key) <= 0 }
            && end.withUnsafeBytes { compareBytes(key, $0) < 0 }
    }
}

/// A partition's bytes with the header read. A view: valid while the bytes are.
package struct PartitionView {
    package let bytes: UnsafeRawBufferPointer
    package let deletion: Deletion
    /// Empty without a static row.
    package let staticRow: UnsafeRawBufferPointer
    /// Sorted by start, not overlapping.
    package let ranges: [RangeTombstone]
    @usableFromInline let rowsOffset: Int

    package init(_ bytes: UnsafeRawBufferPointer) throws(MalformedBytes) {
        var reader = ByteReader(bytes)
        let flags = PartitionFlags(rawValue: try reader.readUInt8())
        guard PartitionFlags.known.isSuperset(of: flags) else {
            throw MalformedBytes("unknown partition flags \(flags.rawValue)", offset: 0)
        }
        var deletion = Deletion.none
        if flags.contains(.hasDeletion) {
            deletion.timestamp = try reader.readLittleEndian(Int64.self)
            deletion.localDeletionTime = try reader.readLittleEndian(UInt32.self)
        }
        staticRow =
            flags.contains(.hasStatic)
            ? try reader.readLengthPrefixed() : UnsafeRawBufferPointer(start: nil, count: 0)
        var ranges: [RangeTombstone] = []
        if flags.contains(.hasRanges) {
            let count = try reader.readCount()
            for _ in 0..<count {
                let start = [UInt8](try reader.readLengthPrefixed())
                let end = [UInt8](try reader.readLengthPrefixed())
                let timestamp = try reader.readLittleEndian(Int64.self)
                let local = try reader.readLittleEndian(UInt32.self)
                guard compareBytes(start, end) < 0, compareBytes(ranges.last?.end ?? [], start) <= 0
                else { throw MalformedBytes("range deletions overlap", offset: reader.position) }
                ranges.append(
                    RangeTombstone(
                        start: start, end: end,
                        deletion: Deletion(timestamp: timestamp, localDeletionTime: local)))
            }
        }
        self.bytes = bytes
        self.deletion = deletion
        self.ranges = ranges
        self.rowsOffset = reader.position
    }

    @inlinable
    package var rows: PartitionRowCursor {
        PartitionRowCursor(reader: ByteReader(bytes, position: rowsOffset))
    }

    package var isEmpty: Bool {
        deletion.isNone && staticRow.isEmpty && ranges.isEmpty && rowsOffset == bytes.count
    }

    /// What covers a row of that key: the partition's deletion and the range around it.
    package func shadow(of key: UnsafeRawBufferPointer) -> Deletion {
        RangeTombstones.covering(key, in: ranges).merged(with: deletion)
    }

    /// Reads everything once: throws unless all is well-formed. `reversed`: rows from last to first.
    package func validate(reversed: Bool = false) throws(MalformedBytes) {
        if !staticRow.isEmpty { try RowView(staticRow).validate() }
        var cursor = rows
        var previous: UnsafeRawBufferPointer?
        while let row = try cursor.next() {
            if let previous {
                let order = compareBytes(previous, row.key)
                guard reversed ? order > 0 : order < 0 else {
                    throw MalformedBytes("rows out of order", offset: cursor.reader.position)
                }
            }
            previous = row.key
            try RowView(row.row).validate()
        }
    }
}

/// Reads a partition's rows one after another.
package struct PartitionRowCursor {
    package var reader: ByteReader

    @inlinable
    init(reader: ByteReader) { self.reader = reader }

    /// The next row's encoded clustering key and bytes, or nil at the end.
    @inlinable
    package mutating func next() throws(MalformedBytes)
        -> (key: UnsafeRawBufferPointer, row: UnsafeRawBufferPointer)?
    {
        if reader.isAtEnd { return nil }
        let key = try reader.readLengthPrefixed()
        return (key, try reader.readLengthPrefixed())
    }
}

/// Lists of range deletions: sorted by start, not overlapping.
package enum RangeTombstones {
    /// The deletion that covers `key`, or none.
    package static func covering(
        _ key: UnsafeRawBufferPointer, in ranges: [RangeTombstone]
    ) -> Deletion {
        if ranges.isEmpty { return .none }
        // The last range that starts at or before the key is the only one that can cover it.
        var low = 0
        var high = ranges.count
        while low < high {
            let middle = (low + high) / 2
            let startsAfter = ranges[middle].start.withUnsafeBytes { compareBytes($0, key) > 0 }
            if startsAfter { high = middle } else { low = middle + 1 }
        }
        guard low > 0, ranges[low - 1].covers(key) else { return .none }
        return ranges[low - 1].deletion
    }

    /// The union of two lists: where they overlap the stronger deletion stands. Neighbours with equal
    /// deletions are joined, and what `shadow` covers is left out. Linear in both.
    package static func merged(
        _ a: [RangeTombstone], _ b: [RangeTombstone], shadow: Deletion = .none
    ) -> [RangeTombstone] {
        var result: [RangeTombstone] = []
        func add(_ start: [UInt8], _ end: [UInt8], _ deletion: Deletion) {
            guard compareBytes(start, end) < 0, !shadow.shadows(deletion.timestamp) else { return }
            if let last = result.last, last.end == start, last.deletion == deletion {
                result[result.count - 1].end = end
            } else {
                result.append(RangeTombstone(start: start, end: end, deletion: deletion))
            }
        }
        var i = 0
        var j = 0
        // Starts of what is left of a[i] and b[j].
        var left = a.first?.start ?? []
        var right = b.first?.start ?? []
        func nextLeft() {
            i += 1
            left = i < a.count ? a[i].start : []
        }
        func nextRight() {
            j += 1
            right = j < b.count ? b[j].start : []
        }
        while i < a.count && j < b.count {
            if compareBytes(a[i].end, right) <= 0 {
                add(left, a[i].end, a[i].deletion)
                nextLeft()
            } else if compareBytes(b[j].end, left) <= 0 {
                add(right, b[j].end, b[j].deletion)
                nextRight()
            } else {
                // They overlap: the part before the later start belongs to one of them alone.
                let order = compareBytes(left, right)
                if order < 0 {
                    add(left, right, a[i].deletion)
                    left = right
                } else if order > 0 {
                    add(right, left, b[j].deletion)
                    right = left
                }
                let both = a[i].deletion.merged(with: b[j].deletion)
                let ends = compareBytes(a[i].end, b[j].end)
                let end = ends <= 0 ? a[i].end : b[j].end
                add(left, end, both)
                left = end
                right = end
                if ends <= 0 { nextLeft() }
                if ends >= 0 { nextRight() }
            }
        }
        while i < a.count {
            add(left, a[i].end, a[i].deletion)
            nextLeft()
        }
        while j < b.count {
            add(right, b[j].end, b[j].deletion)
            nextRight()
        }
        return result
    }

    /// The parts of `ranges` that lie inside `start ..< end`.
    package static func clipped(
        _ ranges: [RangeTombstone], start: [UInt8], end: [UInt8]
    ) -> [RangeTombstone] {
        ranges.compactMap { range in
            let from = compareBytes(range.start, start) < 0 ? start : range.start
            let to = compareBytes(range.end, end) > 0 ? end : range.end
            guard compareBytes(from, to) < 0 else { return nil }
            return RangeTombstone(start: from, end: to, deletion: range.deletion)
        }
    }
}

/// Writes a partition's bytes: `begin`, then the rows in order. The partition ends where the next
/// thing begins.
package enum PartitionWriter {
    /// Writes the header. `staticRow` is empty for none; `ranges` sorted and not overlapping.
    package static func begin(
        deletion: Deletion = .none,
        staticRow: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0),
        ranges: [RangeTombstone] = [], into writer: ByteWriter
    ) {
        var flags = PartitionFlags()
        if !deletion.isNone { flags.insert(.hasDeletion) }
        if !staticRow.isEmpty { flags.insert(.hasStatic) }
        if !ranges.isEmpty { flags.insert(.hasRanges) }
        writer.append(flags.rawValue)
        if flags.contains(.hasDeletion) {
            writer.appendLittleEndian(deletion.timestamp)
            writer.appendLittleEndian(deletion.localDeletionTime)
        }
        if flags.contains(.hasStatic) { writer.appendLengthPrefixed(staticRow) }
        if flags.contains(.hasRanges) {
            writer.appendVarint(UInt64(ranges.count))
            for range in ranges {
                writer.appendLengthPrefixed(range.start)
                writer.appendLengthPrefixed(range.end)
                writer.appendLittleEndian(range.deletion.timestamp)
                writer.appendLittleEndian(range.deletion.localDeletionTime)
            }
        }
    }

    /// Appends a whole row.
    package static func append(
        key: UnsafeRawBufferPointer, row: UnsafeRawBufferPointer, into writer: ByteWriter
    ) {
        writer.appendLengthPrefixed(key)
        writer.appendLengthPrefixed(row)
    }
}
