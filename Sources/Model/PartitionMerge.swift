// Merging several versions of one partition: what a coordinator does with its replicas' answers, and
// the dumb, complete form of what the storage engine does with its sources.

package import Encoding

/// Merges partitions of the same key.
package enum PartitionMerge {
    /// Writes the partition that holds what all sources hold; each source's rows are sorted upwards, or
    /// downwards if `reversed`. Shadowed data is left out; deletions are kept.
    package static func merge(
        _ sources: [PartitionView], reversed: Bool = false, into writer: ByteWriter
    ) throws(MalformedBytes) {
        let deletion = sources.reduce(Deletion.none) { $0.merged(with: $1.deletion) }
        var ranges: [RangeTombstone] = []
        for source in sources {
            ranges = RangeTombstones.merged(ranges, source.ranges, shadow: deletion)
        }
        let scratch = ByteWriter()
        let other = ByteWriter()
        var staticRows: [UnsafeRawBufferPointer] = []
        for source in sources where !source.staticRow.isEmpty {
            staticRows.append(source.staticRow)
        }
        let hasStatic = try mergeRows(staticRows, shadow: deletion, scratch: other, into: scratch)
        PartitionWriter.begin(
            deletion: deletion,
            staticRow: hasStatic ? scratch.bytes : UnsafeRawBufferPointer(start: nil, count: 0),
            ranges: ranges, into: writer)
        var cursors = sources.map(\.rows)
        var heads: [(key: UnsafeRawBufferPointer, row: UnsafeRawBufferPointer)?] = []
        for index in cursors.indices { heads.append(try cursors[index].next()) }
        var versions: [UnsafeRawBufferPointer] = []
        while true {
            var next: UnsafeRawBufferPointer?
            for head in heads {
                guard let head else { continue }
                guard let current = next else {
                    next = head.key
                    continue
                }
                let order = compareBytes(head.key, current)
                if reversed ? order > 0 : order < 0 { next = head.key }
            }
            guard let key = next else { return }
            versions.removeAll(keepingCapacity: true)
            for index in heads.indices {
                guard let head = heads[index], equalBytes(head.key, key) else { continue }
                versions.append(head.row)
                heads[index] = try cursors[index].next()
            }
            scratch.removeAll()
            let shadow = RangeTombstones.covering(key, in: ranges).merged(with: deletion)
            if try mergeRows(versions, shadow: shadow, scratch: other, into: scratch) {
                PartitionWriter.append(key: key, row: scratch.bytes, into: writer)
            }
        }
    }

    /// Merges any number of versions of one row; false, with nothing written, if nothing is left.
    /// `scratch` is working space. `writer` must be empty.
    package static func mergeRows(
        _ versions: [UnsafeRawBufferPointer], shadow: Deletion, scratch: ByteWriter,
        into writer: ByteWriter
    ) throws(MalformedBytes) -> Bool {
        precondition(writer.count == 0)
        guard let first = versions.first else { return false }
        if versions.count == 1 {
            return try RowMerge.filter(try RowView(first), shadow: shadow, into: writer)
        }
        guard
            try RowMerge.merge(
                try RowView(first), try RowView(versions[1]), shadow: shadow, into: writer)
        else {
            return try mergeRows(
                Array(versions.dropFirst(2)), shadow: shadow, scratch: scratch, into: writer)
        }
        for version in versions.dropFirst(2) {
            scratch.removeAll()
            scratch.append(writer.bytes)
            writer.removeAll()
            _ = try RowMerge.merge(
                try RowView(scratch.bytes), try RowView(version), shadow: shadow, into: writer)
        }
        return writer.count > 0
    }
}
