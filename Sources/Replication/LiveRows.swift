// From replicas' data to what a client may see: deletions and expired cells are taken out, and the
// pieces of a scan are put together into one result.

package import Encoding
package import Model

/// Gathers the live rows of successive pieces of one read into one read result without deletions.
///
/// A partition may come in several pieces; its rows then continue in order. It counts as one row if it
/// shows only a static row, unless rows of it were shown before the first piece.
package struct LiveRows {
    private let nowInSeconds: Int64
    private let output: ByteWriter
    private let start: Int
    private var openToken: Int64 = 0
    private var openKey: [UInt8]?
    private var openRows = ByteWriter(capacity: 1024)
    private var openStatic: [UInt8] = []
    private var rowsInOpen = 0
    private let row = ByteWriter(capacity: 512)
    /// The partition inside of which the first piece begins.
    private let resumed: [UInt8]?
    /// Live rows so far.
    package private(set) var count = 0
    /// Bytes of live rows so far.
    package private(set) var byteCount = 0
    /// Deletions, and cells that have expired, that were taken out.
    package private(set) var tombstones = 0

    /// Begins a result in `output`. `resumed`: the partition inside of which the first piece begins.
    package init(nowInSeconds: Int64, resumed: [UInt8]? = nil, into output: ByteWriter) {
        self.nowInSeconds = nowInSeconds
        self.resumed = resumed
        self.output = output
        start = ReadResultWriter.begin(into: output)
    }

    /// How many live rows the partition has that pieces were appended of last, if it is that one.
    package func rows(inPartition key: [UInt8]) -> Int { openKey == key ? rowsInOpen : 0 }

    /// Appends the live part of a piece.
    package mutating func append(_ result: ReadResultView) throws(MalformedBytes) {
        var partitions = result.partitions
        while let (token, key, bytes) = try partitions.next() {
            let isSame = openKey.map { $0.withUnsafeBytes { equalBytes($0, key) } } ?? false
            if !isSame {
                closePartition()
                openToken = token
                openKey = [UInt8](key)
            }
            let view = try PartitionView(bytes)
            tombstones += view.ranges.count + (view.deletion.isNone ? 0 : 1)
            if openStatic.isEmpty, !view.staticRow.isEmpty {
                row.removeAll()
                if try appendLive(view.staticRow, covered: view.deletion) { openStatic = row.array }
            }
            var rows = view.rows
            while let (clustering, encoded) = try rows.next() {
                row.removeAll()
                guard try appendLive(encoded, covered: view.shadow(of: clustering)) else {
                    continue
                }
                PartitionWriter.append(key: clustering, row: row.bytes, into: openRows)
                rowsInOpen += 1
                count += 1
                byteCount += row.count
            }
        }
    }

    private mutating func closePartition() {
        if let key = openKey, rowsInOpen > 0 || !openStatic.isEmpty {
            if rowsInOpen == 0, key != resumed { count += 1 }
            let partition = ByteWriter(capacity: openRows.count + openStatic.count + 16)
            openStatic.withUnsafeBytes {
                PartitionWriter.begin(staticRow: $0, into: partition)
            }
            partition.append(openRows.bytes)
            key.withUnsafeBytes {
                ReadResultWriter.append(
                    token: openToken, key: $0, partition: partition.bytes, into: output)
            }
        }
        openKey = nil
        openRows.removeAll()
        openStatic = []
        rowsInOpen = 0
    }

    /// Writes the live part of a row to `row`; false if nothing of it lives.
    private mutating func appendLive(
        _ bytes: UnsafeRawBufferPointer, covered: Deletion
    ) throws(MalformedBytes) -> Bool {
        let view = try RowView(bytes)
        let covering = covered.merged(with: view.deletion)
        let isMarked =
            view.liveness.isLive(nowInSeconds: nowInSeconds)
            && !covering.shadows(view.liveness.timestamp)
        var writer = RowWriter()
        writer.begin(
            liveness: isMarked ? view.liveness : .none, deletion: .none,
            baseTimestamp: view.baseTimestamp, originalKey: view.originalKey, into: row)
        var isLive = isMarked
        if !view.deletion.isNone || !isMarked && !view.liveness.isNone { tombstones += 1 }
        var complexColumn: UInt32?
        var complexDeletion = Deletion.none
        var cells = view.cells
        while let cell = try cells.next() {
            if cell.isComplexDeletion {
                complexColumn = cell.column
                complexDeletion = Deletion(
                    timestamp: cell.timestamp, localDeletionTime: cell.localDeletionTime)
                tombstones += 1
                continue
            }
            guard cell.isLive(nowInSeconds: nowInSeconds), !covering.shadows(cell.timestamp) else {
                tombstones += 1
                continue
            }
            if complexColumn == cell.column, complexDeletion.shadows(cell.timestamp) { continue }
            isLive = true
            if cell.isCount {
                try appendTotal(cell, writer)
            } else {
                writer.append(cell, into: row)
            }
        }
        return isLive
    }

    /// Writes a counter as what a client sees: one number, the sum of its shards.
    private func appendTotal(_ cell: Cell, _ writer: RowWriter) throws(MalformedBytes) {
        let total = try CounterShards(cell.value).total.bigEndian
        withUnsafeBytes(of: total) { value in
            writer.append(
                Cell(column: cell.column, flags: [], timestamp: cell.timestamp, value: value),
                into: row)
        }
    }

    /// Ends the result: `isExhausted` if nothing of the scope lies behind it. `inside`: the partition behind
    /// a row of which the last piece ended; if it shows no row so far it is left out, for it may have some: a
    /// partition without rows is taken for whole.
    package mutating func finish(isExhausted: Bool, inside: [UInt8]? = nil) {
        if rowsInOpen == 0, let inside, inside == openKey { openStatic = [] }
        closePartition()
        ReadResultWriter.finish(start: start, isExhausted: isExhausted, into: output)
    }
}

extension ReadResultView {
    /// The newest write timestamp that the result shows, deletions included; nil for an empty one.
    package func newestTimestamp() throws(MalformedBytes) -> Int64? {
        var newest = noTimestamp
        var cursor = partitions
        while let (_, _, bytes) = try cursor.next() {
            let view = try PartitionView(bytes)
            newest = max(newest, view.deletion.timestamp)
            for range in view.ranges { newest = max(newest, range.deletion.timestamp) }
            if !view.staticRow.isEmpty {
                newest = max(newest, try RowView(view.staticRow).newestTimestamp())
            }
            var rows = view.rows
            while let (_, row) = try rows.next() {
                newest = max(newest, try RowView(row).newestTimestamp())
            }
        }
        return newest == noTimestamp ? nil : newest
    }
}
