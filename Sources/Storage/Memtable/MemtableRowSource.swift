// The rows of one partition of a memtable, in the order of a read.
//
// A row that lies in pieces is put together when it is shown, into memory of this source: several jobs
// and the shard may read one frozen memtable at once.

internal import Encoding
internal import Model

/// The rows of one partition of a memtable, as a source of a merge. Pooled: `open` begins anew.
final class MemtableRowSource: RowSource {
    private var node: PartitionNode?
    private var allRanges: [RangeTombstone] = []
    private var place: RowTree.Place?
    private var lower: [UInt8]?
    private var upper: [UInt8]?
    private var isReversed = false
    /// A wide row and a wide static row as bytes.
    private let assembledRow = ByteWriter(capacity: 16)
    private let assembledStaticRow = ByteWriter(capacity: 16)

    func open(_ node: PartitionNode, in memtable: Memtable) {
        self.node = node
        allRanges = memtable.ranges(of: node)
        state = .end
    }

    /// The bytes of the open partition's static row; nil without one. Valid until the next `open`.
    func staticRow() throws(StorageError) -> UnsafeRawBufferPointer? {
        guard let record = node?.staticRow else { return nil }
        return try bytes(of: record, assembledStaticRow)
    }

    private func bytes(
        of record: RowRecord, _ writer: ByteWriter
    ) throws(StorageError) -> UnsafeRawBufferPointer {
        guard record.isWide else { return record.row }
        writer.removeAll()
        do throws(MalformedBytes) {
            let isThere = try WideRow.assemble(record, into: writer)
            precondition(isThere, "a row of which nothing is left")
        } catch {
            throw .malformed(error)
        }
        return writer.bytes
    }

    override func seek(
        lower: [UInt8]?, upper: [UInt8]?, reversed: Bool
    ) throws(StorageError) {
        ranges = allRanges
        self.lower = lower
        self.upper = upper
        isReversed = reversed
        place = nil
        state = .end
        guard let node else { return }
        let rows: UnsafeMutableRawPointer
        switch node.rows {
        case .none: return
        case .one(let record):
            if let lower, compare(record.key, lower) < 0 { return }
            if let upper, compare(record.key, upper) >= 0 { return }
            return try show(record)
        case .tree(let root): rows = root
        }
        var place: RowTree.Place
        if reversed {
            if let upper {
                place = upper.withUnsafeBytes { RowTree.lowerBound($0, root: rows) }
                place.moveBackward()
            } else {
                place = RowTree.last(root: rows)
            }
        } else if let lower {
            place = lower.withUnsafeBytes { RowTree.lowerBound($0, root: rows) }
        } else {
            place = RowTree.first(root: rows)
        }
        self.place = place
        try showPlace()
    }

    override func advance() throws(StorageError) {
        guard place != nil else {
            state = .end
            return
        }
        if isReversed { place?.moveBackward() } else { place?.moveForward() }
        try showPlace()
    }

    private func showPlace() throws(StorageError) {
        guard let record = place?.record else {
            state = .end
            return
        }
        if isReversed, let lower, compare(record.key, lower) < 0 {
            state = .end
        } else if !isReversed, let upper, compare(record.key, upper) >= 0 {
            state = .end
        } else {
            try show(record)
        }
    }

    private func show(_ record: RowRecord) throws(StorageError) {
        key = record.key
        row = try bytes(of: record, assembledRow)
        state = .row
    }
}
