// Views that somebody holds on to: a snapshot of a table for as long as it is wanted.
//
// A live memtable changes in place, so it is frozen first; a view is made of what never changes any
// more. Cost: the table's memtable is flushed earlier than it would have been.

internal import Environment
package import Model

/// A table at one moment. Held files and memtables stay until `StorageEngine.unpin`.
package final class PinnedView {
    let table: TableID
    let view: TableView

    init(table: TableID, view: TableView) {
        self.table = table
        self.view = view
    }
}

extension StorageEngine {
    /// Holds the table as it is now. Whoever calls it calls `unpin` once.
    package func pinView(of id: TableID) throws(StorageError) -> PinnedView {
        guard let table = table(id) else { throw .unknownTable(id) }
        freeze(table)
        let view = TableView(memtables: table.frozen, sstables: table.sstables)
        pin(view)
        return PinnedView(table: id, view: view)
    }

    /// Lets go of a view: nothing may read at it afterwards.
    package func unpin(_ pinned: PinnedView) { unpin(pinned.view) }
}
