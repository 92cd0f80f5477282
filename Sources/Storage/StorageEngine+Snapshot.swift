// Views that somebody holds on to: a snapshot of a table for as long as it is wanted.
//
// A live memtable changes in place, and a frozen one that is held would use up the memtables' budget, so
// a view is of files only: whoever wants one flushes the table first.

internal import Environment
package import Model

/// A table's files at one moment. They stay until `StorageEngine.unpin`.
package final class PinnedView {
    let table: TableID
    let view: TableView

    init(table: TableID, view: TableView) {
        self.table = table
        self.view = view
    }
}

extension StorageEngine {
    /// Whether all of the table is in files.
    package func isFlushed(_ id: TableID) -> Bool {
        guard let table = table(id) else { return true }
        return table.live.isEmpty && table.frozen.isEmpty
    }

    /// Holds the table as it is now; it must be flushed. Whoever calls it calls `unpin` once.
    package func pinView(of id: TableID) throws(StorageError) -> PinnedView {
        guard let table = table(id) else { throw .unknownTable(id) }
        precondition(isFlushed(id), "a view of a table that is not flushed")
        let view = TableView(memtables: [], sstables: table.sstables)
        pin(view)
        return PinnedView(table: id, view: view)
    }

    /// Lets go of a view: nothing may read at it afterwards.
    package func unpin(_ pinned: PinnedView) { unpin(pinned.view) }
}
