// The hot path of reads: columns of one row of a table without clustering columns, whose key is all bound.
//
// Such a select names one partition, which is one row; there is nothing to page, to filter or to count, so that
// what `SelectExecution` remembers between its reads is not needed. The key stays where it lies in the frame, and
// the row's values where the read put them until they are appended to the answer: nothing is allocated.
//
// Whatever is not so simple is left to `SelectExecution`, which also knows what to say of values that are wrong.

package import Encoding
package import Model

/// Memory for the row of a point select, used again by the next one.
package final class PointRow {
    @exclusivity(unchecked) fileprivate var slots: [RowOutput.Slot] = []
    fileprivate let key = ByteWriter()

    package init() {}
}

extension SelectPlan {
    /// Whether the select is of one row, by its bound key.
    package var isPoint: Bool { pointKey != nil }

    /// The serialized key of a point select. nil if it is none, or a value is one that is refused.
    package func pointKey(
        _ values: BoundValues, _ row: PointRow
    ) -> UnsafeRawBufferPointer? {
        do {
            return try pointKey?.serialized(values, table.partitionKey, into: row.key)
        } catch {
            // Refused in the same words by `SelectExecution`.
            return nil
        }
    }

    /// Takes what lives of the row out of an answer with that key, which may hold what is dead. The bytes must
    /// stay where they are until `appendPoint`.
    ///
    /// - Returns: whether there is a row.
    package func takePoint(
        _ key: UnsafeRawBufferPointer, _ result: ReadResultView, nowInSeconds: Int64,
        _ row: PointRow
    ) throws(MalformedBytes) -> Bool {
        var partitions = result.partitions
        guard let (_, found, bytes) = try partitions.next() else { return false }
        guard equalBytes(found, key) else {
            throw MalformedBytes("an answer about another partition", offset: 0)
        }
        let partition = try PartitionView(bytes)
        var rows = partition.rows
        guard let (clustering, encoded) = try rows.next() else { return false }
        let view = try RowView(encoded)
        let covering = partition.shadow(of: clustering).merged(with: view.deletion)
        row.slots.removeAll(keepingCapacity: true)
        for _ in columns.indices { row.slots.append(RowOutput.Slot()) }
        let hasCells = try readPlainCells(
            view, covering, nowInSeconds: nowInSeconds, into: &row.slots)
        let isMarked =
            view.liveness.isLive(nowInSeconds: nowInSeconds)
            && !covering.shadows(view.liveness.timestamp)
        guard hasCells || isMarked else { return false }
        try readPartitionKey(key, into: &row.slots)
        return true
    }

    /// Appends the values of the row that `takePoint` found, each as [bytes], in the order of the result.
    package func appendPoint(_ row: PointRow, into writer: ByteWriter) {
        for slot in plainSlots ?? [] {
            guard let value = row.slots[slot].value else {
                writer.appendBigEndian(Int32(-1))
                continue
            }
            writer.appendBigEndian(Int32(value.count))
            writer.append(value)
        }
    }

    // MARK: Rows into slots

    /// Puts the components of a key into the first slots.
    func readPartitionKey(
        _ key: UnsafeRawBufferPointer, into slots: inout [RowOutput.Slot]
    ) throws(MalformedBytes) {
        let count = table.partitionKey.count
        guard count > 1 else {
            slots[0].value = key
            return
        }
        for (slot, range) in try PartitionKey.components(of: key, count: count).enumerated() {
            slots[slot].value = UnsafeRawBufferPointer(rebasing: key[range.offset..<range.end])
        }
    }

    /// Puts the live cells of a row without collections into their slots. False if there are none.
    func readPlainCells(
        _ row: RowView, _ covering: Deletion, nowInSeconds: Int64,
        into slots: inout [RowOutput.Slot]
    ) throws(MalformedBytes) -> Bool {
        var found = false
        var cells = row.cells
        while let cell = try cells.next() {
            guard cell.column < slotByColumnID.count else { continue }
            let slot = Int(slotByColumnID[Int(cell.column)])
            guard slot >= 0, cell.isLive(nowInSeconds: nowInSeconds),
                !covering.shadows(cell.timestamp)
            else { continue }
            if hasReturnedColumns, cell.timestamp <= columns[slot].deadThrough { continue }
            guard !cell.flags.contains(.hasPath) else {
                throw MalformedBytes(
                    "a cell with a path in a table without collections", offset: 0)
            }
            found = true
            slots[slot] = RowOutput.Slot(value: cell.value, time: RowOutput.CellTime(cell))
        }
        return found
    }
}
