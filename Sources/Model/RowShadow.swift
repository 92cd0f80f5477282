// Taking out of a row what other versions of it make needless, versions that stay where they are: the rule
// of garbage collection, which rewrites one file in the light of others without merging them.
//
// Only what loses for certain goes. Of two equals the row keeps its own, so that of any number of files
// that are collected in the light of each other, at once or one after another, each thing stays in
// one at least: "loses" is a strict order (the wider deletion, then the later timestamp, then the rest of the
// merge rule), and what is first in it is beaten by none.

package import Encoding

/// How far garbage collection looks.
package enum GarbageGranularity: Equatable, Sendable {
    /// What a deletion of the partition, of a range or of the row covers.
    case row
    /// Also cells, elements and row markers that are overwritten or deleted one by one.
    case cell
}

/// Applies versions from elsewhere to a row without merging them in.
package enum RowShadow {
    /// Writes the row less what `other`, a version of the same row, or `shadow`, a deletion around it, makes
    /// needless. Counts are not compared: each version has shards of its own. A row that keeps its clustering
    /// values as they were first written loses nothing cell by cell, since they are part of what versions agree
    /// upon. Returns false, with nothing written, if nothing is left.
    package static func remove(
        from row: RowView, by other: RowView, shadow: Deletion, _ granularity: GarbageGranularity,
        into writer: ByteWriter
    ) throws(MalformedBytes) -> Bool {
        let comparesCells = granularity == .cell && row.originalKey.isEmpty
        var liveness = row.liveness
        if other.deletion.shadows(liveness.timestamp)
            || comparesCells && other.liveness.merged(with: liveness) != liveness
        {
            liveness = .none
        }
        let isRedeleted = other.deletion.merged(with: row.deletion) != row.deletion
        var assembler = RowAssembler(
            liveness: liveness, deletion: isRedeleted ? .none : row.deletion, shadow: shadow,
            originalKey: row.originalKey, writer: writer)
        assembler.cover(other.deletion)
        var rivals = Rivals(comparesCells ? other.cells : nil)
        var cursor = row.cells
        while let cell = try cursor.next() {
            if try !rivals.beat(cell) { try assembler.append(cell) }
        }
        return assembler.finish()
    }

    /// The other version's cells, walked along with the row's.
    private struct Rivals {
        private var cursor: CellCursor?
        private var next: Cell?
        /// The deletion of a collection that was passed.
        private var column: UInt32?
        private var deletion = Deletion.none

        init(_ cursor: CellCursor?) { self.cursor = cursor }

        /// Whether the row's next cell loses.
        mutating func beat(_ cell: Cell) throws(MalformedBytes) -> Bool {
            if next == nil { next = try cursor?.next() }
            while let rival = next, rival.position(comparedTo: cell) < 0 {
                if rival.isComplexDeletion {
                    column = rival.column
                    deletion = Deletion(
                        timestamp: rival.timestamp, localDeletionTime: rival.localDeletionTime)
                }
                next = try cursor?.next()
            }
            if column == cell.column, !cell.isComplexDeletion, deletion.shadows(cell.timestamp) {
                return true
            }
            guard let rival = next, rival.position(comparedTo: cell) == 0 else { return false }
            if rival.isCount, cell.isCount { return false }
            return rival.wins(over: cell) && !cell.wins(over: rival)
        }
    }
}
