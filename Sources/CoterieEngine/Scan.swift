// A walk over a table, page by page.
//
// Each page is one read of the engine; between two pages nothing is held except by the scan's snapshot,
// if it has one. Without one, each page sees the table as it is then.

internal import Encoding
internal import Model

/// The rows of a table by rising token and, inside a partition, by rising clustering key.
public final class Scan {
    private let engine: Engine
    private let table: Table
    private let snapshot: Snapshot?
    private let pageBytes: Int
    private var left: Int
    private let start: Int64
    private var after: ReadCommand.Position?
    private let page = ReadResult()
    private var cursor: RowCursor
    private var isAtEnd = false

    init(
        _ engine: Engine, _ table: Table, from token: Int64, at snapshot: Snapshot?,
        pageBytes: Int, limit: Int
    ) {
        self.engine = engine
        self.table = table
        self.snapshot = snapshot
        self.pageBytes = pageBytes
        left = limit
        // The smallest integer is the place before all keys.
        start = token == .min ? .min : token - 1
        cursor = page.rows()
    }

    /// The next row, valid until the next call; nil at the end.
    public func next() throws(EngineError) -> Row? {
        if left == 0 { return nil }
        while true {
            if let row = cursor.next() {
                left -= 1
                return row
            }
            if isAtEnd { return nil }
            try readPage()
        }
    }

    private func readPage() throws(EngineError) {
        try engine.ready()
        if cursor.hasSeenPartition {
            let clustering = cursor.lastClustering
            after = ReadCommand.Position(
                token: cursor.token, key: [UInt8](cursor.lastPartition),
                clustering: clustering.isEmpty ? nil : [UInt8](clustering))
        }
        // An answer begins with a byte of its own: a page of one byte has room for a row.
        let byteLimit = min(pageBytes, .max - 1) + 1
        try engine.run(
            ReadCommand(
                table: table.id,
                scope: .range(ReadCommand.TokenScope(start: start, end: .max, after: after)),
                nowInSeconds: snapshot?.nowInSeconds ?? engine.nowInSeconds, rowLimit: left,
                byteLimit: byteLimit),
            at: snapshot?.pinned, into: page)
        isAtEnd = page.isComplete
        cursor = page.rows()
    }
}
