// The rows that a statement has to see before it writes: for conditions (IF ...) and for operations on
// lists by index or value.
//
// Filled from results of reads that hold live rows only, the way `LiveRows` makes them.

package import Encoding
package import Model

/// Live rows as they are now, to be asked by key. Owned by the request that has read them.
package final class CurrentRows {
    private struct Partition {
        let key: [UInt8]
        var staticRow: ByteRange?
        var rows: [(clustering: [UInt8], range: ByteRange)] = []
    }

    private let bytes = ByteWriter(capacity: 512)
    private var partitions: [Partition] = []

    package init() {}

    /// Takes in a result of live rows.
    package func add(_ result: ReadResultView) throws(MalformedBytes) {
        var cursor = result.partitions
        while let (_, key, encoded) = try cursor.next() {
            let view = try PartitionView(encoded)
            var partition = Partition(key: [UInt8](key))
            if !view.staticRow.isEmpty { partition.staticRow = keep(view.staticRow) }
            var rows = view.rows
            while let (clustering, row) = try rows.next() {
                partition.rows.append(([UInt8](clustering), keep(row)))
            }
            partitions.append(partition)
        }
    }

    private func keep(_ row: UnsafeRawBufferPointer) -> ByteRange {
        let range = ByteRange(offset: bytes.count, count: row.count)
        bytes.append(row)
        return range
    }

    /// The encoded clustering keys of a partition's rows, in their order.
    func clusteringKeys(_ key: [UInt8]) -> [[UInt8]] {
        partitions.filter { $0.key == key }.flatMap { $0.rows.map(\.clustering) }
    }

    /// The row of that key, or the static row for nil. Valid until more rows are added.
    func row(_ key: [UInt8], _ clustering: [UInt8]?) -> UnsafeRawBufferPointer? {
        for partition in partitions where partition.key == key {
            guard let clustering else {
                if let range = partition.staticRow { return bytes[range] }
                continue
            }
            if let found = partition.rows.first(where: { $0.clustering == clustering }) {
                return bytes[found.range]
            }
        }
        return nil
    }

    /// The elements of a list in their order.
    func listCells(
        _ column: ColumnSchema, _ key: [UInt8], _ clustering: [UInt8]?
    ) throws(MalformedBytes) -> [ListElement] {
        guard let row = row(key, clustering) else { return [] }
        var result: [ListElement] = []
        var cells = try RowView(row).cells
        while let cell = try cells.next() {
            guard cell.column == column.id.value, cell.flags.contains(.hasPath),
                cell.timestamp > column.deadThrough
            else { continue }
            result.append(
                ListElement(
                    path: [UInt8](cell.path), value: [UInt8](cell.value),
                    timestamp: cell.timestamp))
        }
        return result
    }

    /// The values of a row in the order of `SELECT *`, those of the static row among them; nil for null.
    /// Without a clustering key, the static row alone.
    func values(
        _ table: TableSchema, _ key: [UInt8], _ clustering: [UInt8]?
    ) throws(MalformedBytes) -> [[UInt8]?] {
        let columns = table.allColumns
        var values: [[UInt8]?] = Array(repeating: nil, count: columns.count)
        let keyColumns = table.partitionKey.count
        let ranges = try key.withBytes { (raw) throws(MalformedBytes) in
            try PartitionKey.components(of: raw, count: keyColumns)
        }
        for (slot, range) in ranges.enumerated() {
            values[slot] = Array(key[range.offset..<range.end])
        }
        let staticRow = row(key, nil)
        let regularRow = clustering.flatMap { row(key, $0) }
        if let staticRow { try Self.read(try RowView(staticRow), columns, into: &values) }
        if let regularRow { try Self.read(try RowView(regularRow), columns, into: &values) }
        guard let clustering, let regularRow, !table.clustering.isEmpty else { return values }
        let first = table.partitionKey.count
        let view = try RowView(regularRow)
        if view.originalKey.count > 0 {
            var reader = ByteReader(view.originalKey)
            for slot in table.clustering.indices {
                let length = Int(try reader.readLittleEndian(Int32.self))
                values[first + slot] = length < 0 ? nil : [UInt8](try reader.readBytes(length))
            }
            return values
        }
        let decoded = try clustering.withBytes { (raw) throws(MalformedBytes) in
            try ClusteringKey.decode(raw, columns: table.clustering)
        }
        for (slot, value) in decoded.enumerated() { values[first + slot] = value }
        return values
    }

    private static func read(
        _ row: RowView, _ columns: [ColumnSchema], into values: inout [[UInt8]?]
    ) throws(MalformedBytes) {
        var assembly = CollectionAssembly()
        let collections = ByteWriter()
        var cells = row.cells
        while let cell = try cells.next() {
            guard !cell.isTombstone, !cell.isComplexDeletion,
                let slot = columns.firstIndex(where: { $0.id.value == cell.column }),
                cell.timestamp > columns[slot].deadThrough
            else { continue }
            if cell.flags.contains(.hasPath) {
                try assembly.add(cell, slot: slot, type: columns[slot].type, into: collections)
            } else {
                values[slot] = [UInt8](cell.value)
            }
        }
        for (slot, range) in assembly.finish(into: collections) {
            values[slot] = [UInt8](collections[range])
        }
    }
}
