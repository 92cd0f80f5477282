// What garbage collection holds a file against: the other files of the table. They delete and overwrite,
// but contribute nothing to what is written, and stay as they are.
//
//     the job's partition -> filter of each shadow -> look-up in its index -> head, rows in step with the job's
//
// A shadow is not walked over but looked up partition by partition, so that a small file does not cost a
// reading of the large ones around it; where the look-ups are dense, they become one reading from begin to end.
//
// Memory: for each shadow a block and a read buffer, and the range deletions of the partition at hand behind
// the row at hand.

internal import Encoding
internal import Environment
internal import Model

/// The shadows of one job. Owned by it; the files are pinned as long as it runs.
final class ShadowSources {
    let granularity: GarbageGranularity
    private let sources: [(metadata: SSTableMetadata, rows: SSTableScanRows)]
    /// Those that have the partition at hand, and with how many range deletions the ones that lie behind are
    /// forgotten.
    private var active: [(rows: SSTableScanRows, rangeLimit: Int)] = []
    private var versions: [UnsafeRawBufferPointer] = []
    private let merged = ByteWriter(capacity: 1 << 10)
    private let scratch = ByteWriter(capacity: 1 << 10)

    init(_ files: [SSTableMetadata], _ granularity: GarbageGranularity) {
        self.granularity = granularity
        sources = files.map { ($0, SSTableScanRows($0, from: .min, isSparse: true)) }
    }

    /// Bytes read from the disk so far.
    var bytesRead: Int { sources.reduce(0) { $0 + $1.rows.bytesRead } }

    /// Whether some shadow has the partition at hand.
    var isActive: Bool { !active.isEmpty }

    /// Tells where to read from in this step.
    func setFiles(_ files: any FileSystem) { for source in sources { source.rows.files = files } }

    /// Whether some shadow may have a partition of that token.
    func mayContain(_ token: Int64) -> Bool { sources.contains { $0.metadata.mayContain(token) } }

    /// Goes to a partition, and tells what it is deleted by. The static row is that of all shadows, merged, or
    /// empty; valid until the next call.
    func begin(
        _ token: Int64, _ key: UnsafeRawBufferPointer
    ) throws(StorageError) -> (deletion: Deletion, staticRow: UnsafeRawBufferPointer) {
        active.removeAll(keepingCapacity: true)
        versions.removeAll(keepingCapacity: true)
        var deletion = Deletion.none
        for source in sources where source.metadata.mayContain(token) {
            guard let fragment = try source.rows.find(token: token, key: key) else { continue }
            active.append((source.rows, Self.smallestRangeLimit))
            deletion = deletion.merged(with: fragment.deletion)
            if !fragment.staticRow.isEmpty { versions.append(fragment.staticRow) }
        }
        return (deletion, try mergedVersion() ?? UnsafeRawBufferPointer(start: nil, count: 0))
    }

    /// What the shadows say of the row of that key: the range deletions around it, and their versions of it,
    /// merged. Keys must rise from call to call; valid until the next call.
    func row(
        _ key: UnsafeRawBufferPointer
    ) throws(StorageError) -> (ranges: Deletion, version: UnsafeRawBufferPointer?) {
        var deletion = Deletion.none
        versions.removeAll(keepingCapacity: true)
        for index in active.indices {
            let rows = active[index].rows
            while rows.state == .row, compareBytes(rows.key, key) < 0 { try rows.advance() }
            if !rows.ranges.isEmpty {
                if rows.ranges.count > active[index].rangeLimit {
                    rows.ranges = RangeTombstones.clipped(
                        rows.ranges, from: [UInt8](key), to: nil)
                    active[index].rangeLimit = max(
                        Self.smallestRangeLimit, rows.ranges.count * 2)
                }
                deletion = deletion.merged(with: RangeTombstones.covering(key, in: rows.ranges))
            }
            if rows.state == .row, equalBytes(rows.key, key) { versions.append(rows.row) }
        }
        return (deletion, try mergedVersion())
    }

    private static let smallestRangeLimit = 64

    private func mergedVersion() throws(StorageError) -> UnsafeRawBufferPointer? {
        guard let first = versions.first else { return nil }
        if versions.count == 1 { return first }
        merged.removeAll()
        do throws(MalformedBytes) {
            guard
                try PartitionMerge.mergeRows(
                    versions, shadow: .none, scratch: scratch, into: merged)
            else { return nil }
        } catch {
            throw .malformed(error)
        }
        return merged.bytes
    }
}
