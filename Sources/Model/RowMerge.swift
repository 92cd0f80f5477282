// Merging two versions of one row, cell by cell, by the merge rule of `Cell.swift`.

package import Encoding

/// Merges rows of the same key.
package enum RowMerge {
    /// Writes the row that holds what both hold, less what `shadow` (a deletion of the partition or of
    /// a range around the row), either row's deletion or a collection's deletion covers.
    /// Returns false, with nothing written, if nothing is left.
    package static func merge(
        _ a: RowView, _ b: RowView, shadow: Deletion = .none, into writer: ByteWriter
    ) throws(MalformedBytes) -> Bool {
        var merger = Merger(
            liveness: a.liveness.merged(with: b.liveness),
            deletion: a.deletion.merged(with: b.deletion), shadow: shadow,
            baseTimestamp: max(a.baseTimestamp, b.baseTimestamp),
            originalKey: a.originalKey.count > 0 ? a.originalKey : b.originalKey, writer: writer)
        var left = a.cells
        var right = b.cells
        var leftCell = try left.next()
        var rightCell = try right.next()
        while true {
            if let l = leftCell, let r = rightCell {
                let order = l.position(comparedTo: r)
                if order < 0 {
                    merger.append(l)
                    leftCell = try left.next()
                } else if order > 0 {
                    merger.append(r)
                    rightCell = try right.next()
                } else {
                    merger.append(try winner(l, r))
                    leftCell = try left.next()
                    rightCell = try right.next()
                }
            } else if let l = leftCell {
                merger.append(l)
                leftCell = try left.next()
            } else if let r = rightCell {
                merger.append(r)
                rightCell = try right.next()
            } else {
                return merger.finish()
            }
        }
    }

    /// Writes the row less what `shadow` and its own deletions cover.
    /// Returns false, with nothing written, if nothing is left.
    package static func filter(
        _ row: RowView, shadow: Deletion, into writer: ByteWriter
    ) throws(MalformedBytes) -> Bool {
        var merger = Merger(
            liveness: row.liveness, deletion: row.deletion, shadow: shadow,
            baseTimestamp: row.baseTimestamp, originalKey: row.originalKey, writer: writer)
        var cursor = row.cells
        while let cell = try cursor.next() { merger.append(cell) }
        return merger.finish()
    }

    @inline(__always)
    private static func winner(_ a: Cell, _ b: Cell) throws(MalformedBytes) -> Cell {
        a.wins(over: b) ? a : b
    }

    /// Writes the surviving cells, and the row's header before the first of them.
    private struct Merger {
        let liveness: Liveness
        let deletion: Deletion
        /// What covers cells: the row's deletion and `shadow` together.
        let covering: Deletion
        let baseTimestamp: Int64
        let originalKey: UnsafeRawBufferPointer
        let writer: ByteWriter
        var rowWriter = RowWriter()
        var hasBegun = false
        var complexColumn: UInt32?
        var complexDeletion = Deletion.none

        init(
            liveness: Liveness, deletion: Deletion, shadow: Deletion, baseTimestamp: Int64,
            originalKey: UnsafeRawBufferPointer, writer: ByteWriter
        ) {
            let covering = deletion.merged(with: shadow)
            self.covering = covering
            // A row deletion that the shadow covers says nothing any more.
            self.deletion = shadow.shadows(deletion.timestamp) ? .none : deletion
            self.liveness = covering.shadows(liveness.timestamp) ? .none : liveness
            self.baseTimestamp = baseTimestamp
            self.originalKey = originalKey
            self.writer = writer
            if !self.liveness.isNone || !self.deletion.isNone { begin() }
        }

        mutating func begin() {
            hasBegun = true
            rowWriter.begin(
                liveness: liveness, deletion: deletion, baseTimestamp: baseTimestamp,
                originalKey: originalKey, into: writer)
        }

        mutating func append(_ cell: Cell) {
            if covering.shadows(cell.timestamp) { return }
            if cell.isComplexDeletion {
                complexColumn = cell.column
                complexDeletion = Deletion(
                    timestamp: cell.timestamp, localDeletionTime: cell.localDeletionTime)
            } else if complexColumn == cell.column, complexDeletion.shadows(cell.timestamp) {
                return
            }
            if !hasBegun { begin() }
            rowWriter.append(cell, into: writer)
        }

        func finish() -> Bool { hasBegun }
    }
}
