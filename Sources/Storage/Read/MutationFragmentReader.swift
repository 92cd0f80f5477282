// Reads a partition as its sources have it, each by itself (`MutationFragments`): the memtables, then the
// files, as rows of the schema of fragments. Nothing is merged, shadowed or purged.
//
//     for each slice, for each source by name:
//         start, static row, rows with the changes of the open range deletion between them, end
//
// A file keeps a range deletion in pieces, one for each block that it lies over; they are shown as the one
// deletion that they are, because the pieces meet.
//
// Bounds: an answer ends at the command's limits like any other, and goes on behind its last fragment; a source
// is asked for the rows from there on, so that a page costs what it shows.

internal import Encoding
internal import Environment
internal import Model

/// Reads fragments. Made for one run of a read.
final class MutationFragmentReader {
    /// What one memtable or file has of the partition.
    private struct Source {
        let name: String
        let deletion: Deletion
        /// Empty for none.
        let staticRow: UnsafeRawBufferPointer
        let rows: RowSource
    }

    private enum Step { case next, pastSlice, full, missing }

    private let table: TableSchema
    private let columns: MutationFragments.Columns
    private let text: MutationFragmentText
    private let view: TableView
    private var sources: [Source] = []

    // The partition in progress.
    private let rows = ByteWriter(capacity: 1 << 12)
    private let key = ByteWriter(capacity: 128)
    private let values = ByteWriter(capacity: 64)
    private let row = ByteWriter(capacity: 1 << 10)
    private var limits = PartitionReader.Limits(rows: 0, partitionRows: 0, endOfBytes: 0)
    private var used = 0
    private var count = 0

    init(_ table: TableSchema, _ view: TableView) {
        self.table = table
        self.view = view
        columns = MutationFragments.columns(of: table)
        text = MutationFragmentText(table)
    }

    /// Begins another partition.
    func begin() { sources.removeAll(keepingCapacity: true) }

    func add(_ node: PartitionNode, _ memtable: Memtable, _ rows: MemtableRowSource)
        throws(StorageError)
    {
        let index = view.memtables.firstIndex { $0 === memtable } ?? 0
        sources.append(
            Source(
                name: "memtable:\(index)", deletion: node.deletion,
                staticRow: try rows.staticRow() ?? UnsafeRawBufferPointer(start: nil, count: 0),
                rows: rows))
    }

    func add(_ fragment: Fragment, _ sstable: SSTable, _ rows: SSTableRowSource) {
        sources.append(
            Source(
                name: "sstable:\(sstable.metadata.file.text)", deletion: fragment.deletion,
                staticRow: fragment.staticRow, rows: rows))
    }

    /// Appends the partition's fragments to the answer, unless there are none in the slices. `behind`: only
    /// those after that key.
    func read(
        token: Int64, key partition: UnsafeRawBufferPointer, _ command: ReadCommand,
        behind: [UInt8]?, limits: inout PartitionReader.Limits, into writer: ByteWriter
    ) throws(StorageError) -> PartitionReader.Outcome {
        rows.removeAll()
        self.limits = limits
        used = writer.count
        count = 0
        sources.sort { Array($0.name.utf8).lexicographicallyPrecedes(Array($1.name.utf8)) }
        let step = try read(command, behind)
        if step == .missing { return .missing }
        limits.rows -= count
        if count > 0 {
            writer.appendLittleEndian(token)
            writer.appendLengthPrefixed(partition)
            writer.appendVarint(UInt64(1 + rows.count))
            PartitionWriter.begin(into: writer)
            writer.append(rows.bytes)
        }
        guard step == .full else { return .whole }
        return count >= self.limits.partitionRows && limits.rows > 0 ? .partitionLimit : .limit
    }

    private func read(_ command: ReadCommand, _ behind: [UInt8]?) throws(StorageError) -> Step {
        for (lower, upper) in PartitionReader.bounds(command, behind: behind) {
            for source in sources {
                let step = try read(source, lower ?? [], upper)
                if step == .pastSlice { break }
                guard step == .next else { return step }
            }
        }
        return .next
    }

    // MARK: One source

    private func read(
        _ source: Source, _ lower: [UInt8], _ upper: [UInt8]?
    ) throws(StorageError) -> Step {
        let keys = MutationFragmentKeys(table, source: source.name)
        func edge(
            _ region: MutationFragments.Region, _ kind: MutationFragments.Kind, _ metadata: String?,
            _ value: String?
        ) -> Step {
            key.removeAll()
            values.removeAll()
            keys.appendEdge(region, into: key)
            switch place(lower, upper) {
            case .before: return .next
            case .behind: return .pastSlice
            case .inside: return append(kind, metadata, value)
            }
        }
        var step = edge(
            .partitionStart, .partitionStart, MutationFragmentText.tombstone(source.deletion), nil)
        guard step == .next else { return step }
        if !source.staticRow.isEmpty {
            let (metadata, value) = try texts(of: source.staticRow, isStatic: true)
            step = edge(.staticRow, .staticRow, metadata, value)
            guard step == .next else { return step }
        }
        step = try readRows(source.rows, keys, lower, upper)
        guard step == .next else { return step }
        return edge(.partitionEnd, .partitionEnd, nil, nil)
    }

    private func readRows(
        _ source: RowSource, _ keys: MutationFragmentKeys, _ lower: [UInt8], _ upper: [UInt8]?
    ) throws(StorageError) -> Step {
        key.removeAll()
        keys.appendPrefix(.clustered, into: key)
        let prefix = key.array
        let isBehindRegion = !lower.starts(with: prefix) && compareBytes(lower, prefix) > 0
        if isBehindRegion { return .next }
        let bound = lower.withUnsafeBytes { lower in
            prefix.withUnsafeBytes { keys.rowBound(for: lower, prefix: $0) }
        }
        try source.seek(lower: bound, upper: nil, reversed: false)
        var changed: [UInt8]?
        while source.state == .row {
            let step = try readChanges(
                source, upTo: source.key, &changed, keys, lower, upper)
            guard step == .next else { return step }
            try appendKey(of: source, keys)
            switch place(lower, upper) {
            case .before: break
            case .behind: return .pastSlice
            case .inside:
                let (metadata, value) = try texts(of: source.row, isStatic: false)
                let step = append(.clusteringRow, metadata, value)
                guard step == .next else { return step }
            }
            try source.advance()
        }
        if source.state == .missing { return .missing }
        return try readChanges(source, upTo: nil, &changed, keys, lower, upper)
    }

    /// What a row is, without and with its values.
    private func texts(
        of row: UnsafeRawBufferPointer, isStatic: Bool
    ) throws(StorageError) -> (metadata: String, value: String) {
        do throws(MalformedBytes) {
            let view = try RowView(row)
            return (try text.metadata(of: view, isStatic: isStatic), try text.value(of: view))
        } catch {
            throw .malformed(error)
        }
    }

    /// Shows where the open range deletion changes, behind `changed` and up to a row.
    private func readChanges(
        _ source: RowSource, upTo row: UnsafeRawBufferPointer?, _ changed: inout [UInt8]?,
        _ keys: MutationFragmentKeys, _ lower: [UInt8], _ upper: [UInt8]?
    ) throws(StorageError) -> Step {
        while let change = Self.change(after: changed, in: source.ranges) {
            if let row, compare(row, change.place) < 0 { return .next }
            changed = change.place
            try appendKey(of: change.place, keys)
            switch place(lower, upper) {
            case .before: continue
            case .behind: return .pastSlice
            case .inside:
                let step = append(
                    .rangeTombstoneChange, MutationFragmentText.tombstone(change.deletion), nil)
                guard step == .next else { return step }
            }
        }
        return .next
    }

    private func appendKey(
        of source: RowSource, _ keys: MutationFragmentKeys
    ) throws(StorageError) {
        key.removeAll()
        values.removeAll()
        do throws(MalformedBytes) {
            let original = try RowView(source.row).originalKey
            keys.appendRow(source.key, original: original, into: key, values: values)
        } catch {
            throw .malformed(error)
        }
    }

    private func appendKey(
        of bound: [UInt8], _ keys: MutationFragmentKeys
    ) throws(StorageError) {
        key.removeAll()
        values.removeAll()
        do throws(MalformedBytes) {
            try bound.withBytes { (bound) throws(MalformedBytes) in
                try keys.appendChange(at: bound, into: key, values: values)
            }
        } catch {
            throw .malformed(error)
        }
    }

    /// The next bound at which another deletion begins to hold, and which; none where one only ends.
    private static func change(
        after place: [UInt8]?, in ranges: [RangeTombstone]
    ) -> (place: [UInt8], deletion: Deletion)? {
        var low = 0
        var high = ranges.count
        if let place {
            while low < high {
                let middle = (low + high) / 2
                if compareBytes(ranges[middle].end, place) <= 0 {
                    low = middle + 1
                } else {
                    high = middle
                }
            }
        }
        guard low < ranges.count else { return nil }
        let range = ranges[low]
        guard let place, compareBytes(range.start, place) <= 0 else {
            return (range.start, range.deletion)
        }
        let meets = low + 1 < ranges.count && ranges[low + 1].start == range.end
        return (range.end, meets ? ranges[low + 1].deletion : .none)
    }

    // MARK: Answering

    private enum Place { case before, inside, behind }

    /// Where the key in `key` lies.
    private func place(_ lower: [UInt8], _ upper: [UInt8]?) -> Place {
        if compare(key.bytes, lower) < 0 { return .before }
        if let upper, compare(key.bytes, upper) >= 0 { return .behind }
        return .inside
    }

    /// Appends the fragment of `key` unless a limit is reached.
    private func append(
        _ kind: MutationFragments.Kind, _ metadata: String?, _ value: String?
    ) -> Step {
        if count >= min(limits.rows, limits.partitionRows)
            || count > 0 && used + rows.count >= limits.endOfBytes
        {
            return .full
        }
        count += 1
        row.removeAll()
        var writer = RowWriter()
        writer.begin(
            liveness: Liveness(timestamp: 0), deletion: .none, baseTimestamp: 0,
            originalKey: values.bytes, into: row)
        for (column, text) in [
            (columns.metadata, metadata), (columns.kind, kind.rawValue), (columns.value, value),
        ] {
            guard let text else { continue }
            Array(text.utf8).withUnsafeBytes {
                writer.append(
                    Cell(column: column, flags: [], timestamp: 0, value: $0), into: row)
            }
        }
        PartitionWriter.append(key: key.bytes, row: row.bytes, into: rows)
        return .next
    }
}
