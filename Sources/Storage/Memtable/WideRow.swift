// A row of many cells in a memtable: a map of a million elements, or a table of a thousand columns.
//
//     record := ... | root of a tree of pieces u64 | head: a row without cells
//     piece  := a record whose key is a place in the row, and whose bytes are a row without a head
//
//     place  := column, order-equal | 0 the collection's deletion, 1 anything else | path
//
// A row that is one stretch of bytes is written anew by each merge, so that a map that grows by one
// element at a time would cost the square of its size. Here a write touches the piece that its cells
// belong to: pieces of at most a kilobyte, found through a `RowTree`, each in place until it is full and
// parts in two. Everything lies in the arena, and a frozen memtable may be read from any thread.
//
// Whoever wants the row as bytes puts it together (`assemble`): what comes out is, byte for byte, what
// merging whole rows would have made, because the merge rule is associative. So pieces may hold cells
// that a deletion in another piece or in the head covers; a deletion takes them out when it comes, to
// have their memory, not for the sake of the answer.
//
// Cost of a write of one cell: log16 of the pieces, and one merge of half a kilobyte. Cost of a
// deletion: one walk over what it covers. Cost of reading: one walk over the row's cells.
//
// Invariants: the first piece's key is empty, so that every place belongs to a piece; the cells of a
// piece lie from its key on and before the next one's; a piece may be empty, but never goes.

internal import Encoding
internal import Model

/// Working space of one memtable's wide rows.
final class WideRowSpace {
    fileprivate let key = ByteWriter(capacity: 64)
    fileprivate let incoming = ByteWriter(capacity: 1 << 10)
    fileprivate let merged = ByteWriter(capacity: 1 << 11)
    fileprivate let part = ByteWriter(capacity: 1 << 11)

    init() {}
}

/// Operations on records that are wide (`RowRecord.isWide`).
enum WideRow {
    /// Rows of fewer bytes are never wide: nobody counts their cells.
    static let thresholdBytes = 2_048
    /// Nor are rows of fewer cells, whose merge costs little for each of their bytes.
    static let thresholdCells = 64
    /// What a piece is made to hold.
    static let pieceBytes = 768

    private static let rootBytes = MemoryLayout<UInt>.size
    private static var noBytes: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: nil, count: 0)
    }

    /// Whether a row of at least `thresholdBytes` has enough cells.
    static func suits(_ row: RowView) throws(MalformedBytes) -> Bool {
        var cells = row.cells
        var count = 0
        while count < thresholdCells, try cells.next() != nil { count += 1 }
        return count == thresholdCells
    }

    // MARK: Writing

    /// A record that holds the same as `row`.
    static func make(
        key: UnsafeRawBufferPointer, _ row: RowView, in arena: Arena, _ space: WideRowSpace
    ) throws(MalformedBytes) -> RowRecord {
        let first = RowRecord.make(key: noBytes, row: noBytes, slack: pieceBytes, in: arena)
        var root = RowTree.make(first: first, in: arena)
        // Three quarters: room for what comes.
        try cut(
            row, target: pieceBytes / 4 * 3, firstAt: RowTree.first(root: root), &root, arena, space
        )
        return make(
            key: key, root: root, liveness: row.liveness, deletion: row.deletion,
            originalKey: row.originalKey, in: arena, space)
    }

    private static func make(
        key: UnsafeRawBufferPointer, root: UnsafeMutableRawPointer, liveness: Liveness,
        deletion: Deletion, originalKey: UnsafeRawBufferPointer, in arena: Arena,
        _ space: WideRowSpace
    ) -> RowRecord {
        writeHead(root, liveness, deletion, originalKey, space)
        // A marker that expires and a deletion may come later: 20 bytes.
        let record = RowRecord.make(key: key, row: space.part.bytes, slack: 24, in: arena)
        record.markWide()
        return record
    }

    private static func writeHead(
        _ root: UnsafeMutableRawPointer, _ liveness: Liveness, _ deletion: Deletion,
        _ originalKey: UnsafeRawBufferPointer, _ space: WideRowSpace
    ) {
        space.part.removeAll()
        space.part.appendLittleEndian(UInt(bitPattern: root))
        var writer = RowWriter()
        writer.begin(
            liveness: liveness, deletion: deletion, baseTimestamp: 0, originalKey: originalKey,
            into: space.part)
    }

    private static func root(_ record: RowRecord) -> UnsafeMutableRawPointer {
        let bits = UInt(littleEndian: record.contents.loadUnaligned(as: UInt.self))
        guard let root = UnsafeMutableRawPointer(bitPattern: bits) else {
            preconditionFailure("a wide row without a tree")
        }
        return root
    }

    private static func head(_ record: RowRecord) throws(MalformedBytes) -> RowView {
        try RowView(UnsafeRawBufferPointer(rebasing: record.contents[rootBytes...]))
    }

    /// Merges `row` into a wide record. Returns the record that holds both: mostly the same one, and one
    /// that is not wide if a deletion has left little.
    static func merge(
        _ record: RowRecord, _ row: RowView, in arena: Arena, _ space: WideRowSpace
    ) throws(MalformedBytes) -> RowRecord {
        let oldRoot = root(record)
        var root = oldRoot
        var deletedColumns: [(column: UInt32, deletion: Deletion)] = []
        var cells = row.cells
        var next = try cells.next()
        while let first = next {
            let place = floor(first, root, space)
            var following = place
            following.moveForward()
            let end = following.record?.key
            var writer = RowWriter()
            space.incoming.removeAll()
            writer.begin(
                liveness: .none, deletion: .none, baseTimestamp: first.timestamp,
                into: space.incoming)
            while let cell = next {
                if let end, isBehind(cell, end, space) { break }
                if cell.isComplexDeletion {
                    deletedColumns.append(
                        (
                            cell.column,
                            Deletion(
                                timestamp: cell.timestamp,
                                localDeletionTime: cell.localDeletionTime)
                        ))
                }
                writer.append(cell, into: space.incoming)
                next = try cells.next()
            }
            try merge(space.incoming.bytes, intoPieceAt: place, &root, arena, space)
        }
        let head = try head(record)
        let deletion = head.deletion.merged(with: row.deletion)
        let hasNewDeletion = deletion.timestamp > head.deletion.timestamp
        if hasNewDeletion { try remove(deletion, root, arena, space) }
        for (column, deletion) in deletedColumns {
            try remove(deletion, of: column, root, arena, space)
        }
        let result = try withHead(record, head, merging: row, oldRoot, root, arena, space)
        if hasNewDeletion || !deletedColumns.isEmpty { return try narrowed(result, arena, space) }
        return result
    }

    /// The record with the head that both give.
    private static func withHead(
        _ record: RowRecord, _ head: RowView, merging row: RowView,
        _ oldRoot: UnsafeMutableRawPointer, _ root: UnsafeMutableRawPointer, _ arena: Arena,
        _ space: WideRowSpace
    ) throws(MalformedBytes) -> RowRecord {
        let isTheSame =
            row.liveness.isNone && row.deletion.isNone
            && compareBytes(row.originalKey, head.originalKey) <= 0
        if isTheSame, root == oldRoot { return record }
        writeHead(
            root, head.liveness.merged(with: row.liveness),
            head.deletion.merged(with: row.deletion),
            compareBytes(head.originalKey, row.originalKey) >= 0
                ? head.originalKey : row.originalKey,
            space)
        if record.replaceInPlace(space.part.bytes) { return record }
        let larger = RowRecord.make(key: record.key, row: space.part.bytes, slack: 24, in: arena)
        larger.markWide()
        return larger
    }

    private static func merge(
        _ row: UnsafeRawBufferPointer, intoPieceAt place: RowTree.Place,
        _ root: inout UnsafeMutableRawPointer, _ arena: Arena, _ space: WideRowSpace
    ) throws(MalformedBytes) {
        let piece = place.knownRecord
        let old = piece.contents
        space.merged.removeAll()
        if old.isEmpty {
            space.merged.append(row)
        } else {
            _ = try RowMerge.merge(try RowView(old), try RowView(row), into: space.merged)
        }
        let merged = space.merged.bytes
        if piece.replaceInPlace(merged) { return }
        // What is appended leaves full pieces behind, as a list or a map by time does.
        let isAppend =
            old.count > 0 && old.count < merged.count
            && equalBytes(UnsafeRawBufferPointer(rebasing: merged[..<old.count]), old)
        let parts = max(2, (merged.count + pieceBytes - 1) / pieceBytes)
        let target = isAppend ? pieceBytes : min(pieceBytes, merged.count / parts + 1)
        try cut(try RowView(merged), target: target, firstAt: place, &root, arena, space)
    }

    /// Parts the cells of `row` into pieces of at most `target` bytes or one cell: the first instead of
    /// what the piece at `place` holds, the others as new ones.
    private static func cut(
        _ row: RowView, target: Int, firstAt place: RowTree.Place,
        _ root: inout UnsafeMutableRawPointer, _ arena: Arena, _ space: WideRowSpace
    ) throws(MalformedBytes) {
        var isFirst = true
        var cells = row.cells
        var next = try cells.next()
        while let first = next {
            var writer = RowWriter()
            space.part.removeAll()
            writer.begin(
                liveness: .none, deletion: .none, baseTimestamp: first.timestamp, into: space.part)
            var end = space.part.count
            while let cell = next {
                writer.append(cell, into: space.part)
                if space.part.count > target, end > emptyPieceBytes { break }
                end = space.part.count
                next = try cells.next()
            }
            space.part.truncate(to: end)
            if isFirst {
                isFirst = false
                // Before any insertion, which would move what `place` stands for.
                replace(place, by: space.part.bytes, arena)
                continue
            }
            writePlace(first, space)
            RowTree.insert(
                RowRecord.make(
                    key: space.key.bytes, row: space.part.bytes,
                    slack: max(0, pieceBytes - space.part.count), in: arena),
                root: &root, in: arena)
        }
    }

    /// In place, or as a larger record with the same key.
    private static func replace(
        _ place: RowTree.Place, by bytes: UnsafeRawBufferPointer, _ arena: Arena
    ) {
        let piece = place.knownRecord
        if piece.replaceInPlace(bytes) { return }
        place.replaceRecord(by: RowRecord.make(key: piece.key, row: bytes, slack: 0, in: arena))
    }

    /// Flags and timestamp of a row without a head.
    private static let emptyPieceBytes = 9

    // MARK: Deletions

    /// Takes out what the row's deletion covers.
    private static func remove(
        _ deletion: Deletion, _ root: UnsafeMutableRawPointer, _ arena: Arena,
        _ space: WideRowSpace
    ) throws(MalformedBytes) {
        var place = RowTree.first(root: root)
        while let piece = place.record {
            if !piece.contents.isEmpty {
                space.merged.removeAll()
                _ = try RowMerge.filter(
                    try RowView(piece.contents), shadow: deletion, into: space.merged)
                // It may be longer by the timestamps that were the first cell's.
                replace(place, by: space.merged.bytes, arena)
            }
            place.moveForward()
        }
    }

    /// Takes out what a collection's deletion covers.
    private static func remove(
        _ deletion: Deletion, of column: UInt32, _ root: UnsafeMutableRawPointer, _ arena: Arena,
        _ space: WideRowSpace
    ) throws(MalformedBytes) {
        var place = floor(
            Cell(column: column, flags: .complexDeletion, timestamp: 0), root, space)
        while let piece = place.record {
            if !piece.contents.isEmpty {
                let row = try RowView(piece.contents)
                var cells = row.cells
                guard let first = try cells.next(), first.column <= column else { return }
                space.merged.removeAll()
                _ = try RowMerge.filter(
                    row, collection: column, deletion: deletion, into: space.merged)
                replace(place, by: space.merged.bytes, arena)
            }
            place.moveForward()
        }
    }

    /// The record as one stretch of bytes again if its cells have become few.
    private static func narrowed(
        _ record: RowRecord, _ arena: Arena, _ space: WideRowSpace
    ) throws(MalformedBytes) -> RowRecord {
        var bytes = 0
        var place = RowTree.first(root: root(record))
        while let piece = place.record, bytes < thresholdBytes / 4 {
            bytes += piece.contents.count
            place.moveForward()
        }
        guard bytes < thresholdBytes / 4 else { return record }
        space.merged.removeAll()
        guard try assemble(record, into: space.merged) else { return record }
        return RowRecord.make(
            key: record.key, row: space.merged.bytes, slack: space.merged.count / 4, in: arena)
    }

    // MARK: Places

    private static func writePlace(_ cell: Cell, _ space: WideRowSpace) {
        space.key.removeAll()
        if cell.column < 0xF0 {
            // Most columns: the tree compares the first eight bytes as a number, so paths begin early.
            space.key.append(UInt8(cell.column))
        } else {
            space.key.append(0xFF)
            space.key.appendBigEndian(cell.column)
        }
        space.key.append(cell.isComplexDeletion ? 0 : 1)
        space.key.append(cell.path)
    }

    private static func isBehind(
        _ cell: Cell, _ end: UnsafeRawBufferPointer, _ space: WideRowSpace
    ) -> Bool {
        writePlace(cell, space)
        return compareBytes(space.key.bytes, end) >= 0
    }

    /// The piece that the cell belongs to.
    private static func floor(
        _ cell: Cell, _ root: UnsafeMutableRawPointer, _ space: WideRowSpace
    ) -> RowTree.Place {
        writePlace(cell, space)
        return RowTree.floor(space.key.bytes, root: root)
    }

    // MARK: Reading

    /// Appends the row's bytes; false, with nothing written, if nothing is left of it.
    static func assemble(
        _ record: RowRecord, into writer: ByteWriter
    ) throws(MalformedBytes) -> Bool {
        let head = try head(record)
        var join = RowJoin(
            liveness: head.liveness, deletion: head.deletion, originalKey: head.originalKey,
            into: writer)
        var place = RowTree.first(root: root(record))
        while let piece = place.record {
            if !piece.contents.isEmpty { try join.append(try RowView(piece.contents)) }
            place.moveForward()
        }
        return join.finish()
    }
}
