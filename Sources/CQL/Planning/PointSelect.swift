// The hot path of reads: columns of one row, whose whole key is bound.
//
// Such a select names one row of one partition; there is nothing to page, to filter or to count, so that what
// `SelectExecution` remembers between its reads is not needed. The partition key stays where it lies in the frame,
// and the row's values where the read put them until they are appended to the answer: nothing is allocated.
//
// Whatever is not so simple is left to `SelectExecution`, which also knows what to say of values that are wrong.

package import Encoding
package import Model

/// Memory for the row of a point select, used again by the next one.
package final class PointRow {
    @exclusivity(unchecked) fileprivate var slots: [RowOutput.Slot] = []
    fileprivate let key = ByteWriter()
    fileprivate let clustering = ByteWriter()
    @exclusivity(unchecked) fileprivate var clusteringValues = ClusteringValues()

    package init() {}

    /// Makes all slots null.
    fileprivate func begin(_ count: Int) {
        if slots.count != count { slots = Array(repeating: RowOutput.Slot(), count: count) }
        for index in slots.indices { slots[index] = RowOutput.Slot() }
    }
}

/// Which row a point select is of. The bytes are somebody else's.
package struct PointPlace {
    /// The serialized partition key.
    package let key: UnsafeRawBufferPointer
    /// The encoded clustering key; nil in a table without clustering columns.
    package let clustering: UnsafeRawBufferPointer?

    package init(key: UnsafeRawBufferPointer, clustering: UnsafeRawBufferPointer?) {
        self.key = key
        self.clustering = clustering
    }
}

/// The key of a point select: all of its components are bound.
struct PointKey: Sendable {
    let partition: BoundKey
    let clustering: [BoundSource]

    /// nil unless the restrictions are one bound value for each column of the whole key.
    init?(_ restrictions: Restrictions, of table: TableSchema) {
        guard restrictions.filters.isEmpty, restrictions.keyTokens == nil,
            case .keys(let keys) = restrictions.partition, let key = BoundKey(keys, of: table),
            let clustering = BoundSource.clusteringKey(restrictions.clustering, of: table)
        else { return nil }
        partition = key
        self.clustering = clustering
    }
}

extension SelectPlan {
    /// Whether the select is of one row, by its bound key.
    package var isPoint: Bool { pointKey != nil }

    /// The row that a point select is of: its clustering key is in `row`. nil if it is none, or a value is one
    /// that is refused.
    package func pointPlace(_ values: BoundValues, _ row: PointRow) -> PointPlace? {
        guard let pointKey else { return nil }
        do {
            let key = try pointKey.partition.serialized(values, table.partitionKey, into: row.key)
            if pointKey.clustering.isEmpty { return PointPlace(key: key, clustering: nil) }
            row.clustering.removeAll()
            for index in pointKey.clustering.indices {
                let column = table.clustering[index]
                ClusteringKey.appendComponent(
                    try pointKey.clustering[index].keyValue(values, table.clustering, index),
                    type: column.type, order: column.order, into: row.clustering)
            }
            ClusteringKey.appendTerminator(into: row.clustering)
            return PointPlace(key: key, clustering: row.clustering.bytes)
        } catch {
            // Refused in the same words by `SelectExecution`.
            return nil
        }
    }

    /// Takes what lives of the row out of an answer about that place, which may hold what is dead. The bytes must
    /// stay where they are until `appendPoint`.
    ///
    /// - Returns: whether there is a row.
    package func takePoint(
        _ place: PointPlace, _ result: ReadResultView, nowInSeconds: Int64, _ row: PointRow
    ) throws(MalformedBytes) -> Bool {
        var partitions = result.partitions
        guard let (_, found, bytes) = try partitions.next() else { return false }
        guard equalBytes(found, place.key) else {
            throw MalformedBytes("an answer about another partition", offset: 0)
        }
        let partition = try PartitionView(bytes)
        var rows = partition.rows
        guard let (clustering, encoded) = try rows.next() else { return false }
        if let asked = place.clustering, !equalBytes(asked, clustering) {
            throw MalformedBytes("an answer about another row", offset: 0)
        }
        let view = try RowView(encoded)
        let covering = partition.shadow(of: clustering).merged(with: view.deletion)
        row.begin(columns.count)
        let hasCells = try readPlainCells(
            view, covering, nowInSeconds: nowInSeconds, into: &row.slots)
        let isMarked =
            view.liveness.isLive(nowInSeconds: nowInSeconds)
            && !covering.shadows(view.liveness.timestamp)
        // A static row alone is not shown to those who ask for a row.
        guard hasCells || isMarked else { return false }
        if !partition.staticRow.isEmpty {
            _ = try readPlainCells(
                try RowView(partition.staticRow), partition.deletion, nowInSeconds: nowInSeconds,
                into: &row.slots)
        }
        try readPartitionKey(place.key, into: &row.slots)
        if needsClustering {
            try row.clusteringValues.read(
                clustering, view, table, from: table.partitionKey.count, into: &row.slots)
        }
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

/// The values of a clustering key, taken out of its encoded form, or as they were first written where that does
/// not give them back.
struct ClusteringValues {
    private let values = ByteWriter()
    private var ranges: [ByteRange] = []

    /// Puts the values of the row's key into the slots from `first` on. They stay until the next call.
    mutating func read(
        _ encoded: UnsafeRawBufferPointer, _ row: RowView, _ table: TableSchema, from first: Int,
        into slots: inout [RowOutput.Slot]
    ) throws(MalformedBytes) {
        let columns = table.clustering
        if row.originalKey.count > 0 {
            var reader = ByteReader(row.originalKey)
            for slot in columns.indices {
                let length = Int(try reader.readLittleEndian(Int32.self))
                slots[first + slot].value = length < 0 ? nil : try reader.readBytes(length)
            }
            return
        }
        values.removeAll()
        ranges.removeAll(keepingCapacity: true)
        try ClusteringKey.decode(encoded, columns: columns, into: values, ranges: &ranges)
        for (slot, range) in ranges.enumerated() {
            slots[first + slot].value = range.count < 0 ? nil : values[range]
        }
    }
}
