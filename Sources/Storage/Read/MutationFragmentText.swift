// A row as JSON, for `MutationFragmentReader`: once without the values, once the values alone. The shape is
// that of Scylla's `sstable dump-data`.
//
//     metadata   {"tombstone": TOMBSTONE, "marker": MARKER, "columns": {name: CELL | COLLECTION, ...}}
//     value      {name: text | [{"key": text, "value": text}, ...], ...}
//     CELL       {"is_live": bool, "type": ..., "timestamp": n, ["ttl", "expiry" | "deletion_time"]}
//     COLLECTION {"type": "collection", "tombstone": TOMBSTONE, "cells": [{"key": text, "value": CELL}, ...]}
//
// A cell that has expired is shown as it was written: nothing here looks at a clock. A column that was dropped
// and has cells left is shown as `name (dropped)`; one that the schema does not know by its number.

internal import Encoding
internal import Model

/// Writes the parts of rows as JSON.
struct MutationFragmentText {
    private struct Column {
        let name: String
        let type: CQLType?
    }

    private var columns: [UInt32: Column] = [:]

    init(_ table: TableSchema) {
        for dropped in table.dropped {
            columns[dropped.column.id.value] = Column(
                name: dropped.column.name + " (dropped)", type: dropped.column.type)
        }
        for column in table.allColumns {
            columns[column.id.value] = Column(name: column.name, type: column.type)
        }
    }

    private func column(_ id: UInt32) -> Column {
        columns[id] ?? Column(name: "column \(id)", type: nil)
    }

    // MARK: Deletions and times

    /// `{"tombstone":{...}}`; of no deletion, `{"tombstone":{}}`.
    static func tombstone(_ deletion: Deletion) -> String {
        "{\"tombstone\":" + object(deletion) + "}"
    }

    private static func object(_ deletion: Deletion) -> String {
        guard !deletion.isNone else { return "{}" }
        return "{\"timestamp\":\(deletion.timestamp),\"deletion_time\":"
            + "\"\(time(deletion.localDeletionTime))\"}"
    }

    /// `2024-01-31 23:59:59z`, of seconds since 1970.
    static func time(_ seconds: UInt32) -> String {
        let date = CQLCalendar.date(days: Int64(seconds) / 86_400)
        func padded(_ value: Int64) -> String { CQLCalendar.padded(value, 2) }
        let second = Int64(seconds) % 86_400
        return CQLCalendar.padded(date.year, 4) + "-" + padded(date.month) + "-" + padded(date.day)
            + " " + padded(second / 3_600) + ":" + padded(second / 60 % 60) + ":"
            + padded(second % 60) + "z"
    }

    // MARK: Metadata

    /// A static row's columns, or all that there is of a row, without values.
    func metadata(of row: RowView, isStatic: Bool) throws(MalformedBytes) -> String {
        let columns = try columnsMetadata(of: row)
        if isStatic { return columns }
        var parts: [String] = []
        if !row.deletion.isNone { parts.append("\"tombstone\":" + Self.object(row.deletion)) }
        if !row.liveness.isNone {
            var marker = "{\"timestamp\":\(row.liveness.timestamp)"
            if row.liveness.isExpiring {
                marker += Self.expiry(row.liveness.timeToLive, row.liveness.expiresAt)
            }
            parts.append("\"marker\":" + marker + "}")
        }
        parts.append("\"columns\":" + columns)
        return "{" + parts.joined(separator: ",") + "}"
    }

    private static func expiry(_ timeToLive: UInt32, _ expiresAt: UInt32) -> String {
        ",\"ttl\":\"\(timeToLive)s\",\"expiry\":\"\(time(expiresAt))\""
    }

    private func columnsMetadata(of row: RowView) throws(MalformedBytes) -> String {
        try object(of: row) { (cell, column) throws(MalformedBytes) in
            Self.metadata(of: cell, column.type)
        } ofParts: { (deletion, parts, column) throws(MalformedBytes) in
            let cells = parts.map { cell in
                "{\"key\":" + JSONString.quoted(Self.key(of: cell, column.type)) + ",\"value\":"
                    + Self.metadata(of: cell, nil) + "}"
            }
            let tombstone = deletion.isNone ? "" : "\"tombstone\":" + Self.object(deletion) + ","
            return "{\"type\":\"collection\"," + tombstone + "\"cells\":["
                + cells.joined(separator: ",") + "]}"
        }
    }

    private static func metadata(of cell: Cell, _ type: CQLType?) -> String {
        let kind =
            cell.flags.contains(.counter)
            ? "counter-shards" : type?.isCollection == true ? "frozen-collection" : "regular"
        var text = "{\"is_live\":\(!cell.isTombstone),\"type\":\"\(kind)\",\"timestamp\":"
        text += String(cell.timestamp)
        if cell.isTombstone {
            text += ",\"deletion_time\":\"\(time(cell.localDeletionTime))\""
        } else if cell.isExpiring {
            text += expiry(cell.timeToLive, cell.localDeletionTime)
        }
        return text + "}"
    }

    // MARK: Values

    /// The values of the row's cells; those that are deleted have none.
    func value(of row: RowView) throws(MalformedBytes) -> String {
        try object(of: row) { (cell, column) throws(MalformedBytes) in
            try Self.value(of: cell, column.type)
        } ofParts: { (_, parts, column) throws(MalformedBytes) in
            var texts: [String] = []
            for cell in parts {
                var text = "{\"key\":" + JSONString.quoted(Self.key(of: cell, column.type))
                if let value = try Self.value(of: cell, part: column.type) {
                    text += ",\"value\":" + value
                }
                texts.append(text + "}")
            }
            return "[" + texts.joined(separator: ",") + "]"
        }
    }

    private static func value(
        of cell: Cell, _ type: CQLType?
    ) throws(MalformedBytes) -> String? {
        guard !cell.isTombstone else { return nil }
        if cell.isCount {
            let shards = try CounterShards(cell.value)
            let texts = (0..<shards.count).map { index in
                let shard = shards[index]
                return "{\"id\":\"\(shard.replica)\",\"value\":\(shard.count),\"clock\":"
                    + "\(shard.clock)}"
            }
            return "[" + texts.joined(separator: ",") + "]"
        }
        return JSONString.quoted(type?.display(cell.value) ?? "0x" + HexText.text(cell.value))
    }

    /// The value of one element or field of a column that is not frozen.
    private static func value(
        of cell: Cell, part type: CQLType?
    ) throws(MalformedBytes) -> String? {
        switch type {
        case .set: return cell.isTombstone ? nil : "\"\""
        case .map(let key, let value, _):
            guard !cell.isTombstone, !key.isClusteringEncodingInjective else {
                return try self.value(of: cell, value)
            }
            var plain = cell
            plain.value = try parts(of: cell.value).value
            return try self.value(of: plain, value)
        case .list(let element, _): return try self.value(of: cell, element)
        case .userDefined(let definition, _):
            let field = field(of: cell, definition)
            return try self.value(of: cell, field?.type)
        default: return try self.value(of: cell, type)
        }
    }

    /// Key, or element, and value of a cell whose path does not give them back.
    private static func parts(
        of value: UnsafeRawBufferPointer
    ) throws(MalformedBytes) -> (key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) {
        var reader = ByteReader(value)
        let length = Int(try reader.readBigEndian(UInt32.self))
        return (try reader.readBytes(length), try reader.readBytes(reader.remaining))
    }

    private static func field(
        of cell: Cell, _ definition: UserDefinedType
    ) -> UserDefinedType.Field? {
        guard cell.path.count == 2 else { return nil }
        let index = Int(cell.path[0]) << 8 | Int(cell.path[1])
        return definition.fields.indices.contains(index) ? definition.fields[index] : nil
    }

    /// The element of a set, the key of a map, the name of a field, or where in a list an element stands.
    private static func key(of cell: Cell, _ type: CQLType?) -> String {
        let hexadecimal = "0x" + HexText.text(cell.path)
        switch type {
        case .set(let element, _), .map(let element, _, _):
            do throws(MalformedBytes) {
                if !cell.isTombstone, !element.isClusteringEncodingInjective {
                    return element.display(try parts(of: cell.value).key)
                }
                let column = ColumnSchema(
                    id: ColumnID(0), name: "", type: element,
                    kind: .clustering(position: 0, order: .ascending))
                let decoded = try ClusteringKey.decode(cell.path, columns: [column])[0] ?? []
                return decoded.withUnsafeBytes(element.display)
            } catch {
                // What cannot be read is shown as it is: that is what one looks for here.
                return hexadecimal
            }
        case .userDefined(let definition, _):
            return field(of: cell, definition)?.name ?? hexadecimal
        default: return hexadecimal
        }
    }

    // MARK: Walking

    /// An object with a member for each column: `ofCell` gives that of a single cell (nil: none), `ofParts`
    /// that of a column with a cell for each part, with its deletion.
    private func object(
        of row: RowView, _ ofCell: (Cell, Column) throws(MalformedBytes) -> String?,
        ofParts: (Deletion, [Cell], Column) throws(MalformedBytes) -> String
    ) throws(MalformedBytes) -> String {
        var members: [String] = []
        var open: (id: UInt32, deletion: Deletion, cells: [Cell])?
        func close() throws(MalformedBytes) {
            guard let parts = open else { return }
            open = nil
            let column = column(parts.id)
            members.append(
                JSONString.quoted(column.name) + ":"
                    + (try ofParts(parts.deletion, parts.cells, column)))
        }
        var cells = row.cells
        while let cell = try cells.next() {
            if open?.id != cell.column { try close() }
            if cell.isComplexDeletion {
                let deletion = Deletion(
                    timestamp: cell.timestamp, localDeletionTime: cell.localDeletionTime)
                open = (cell.column, deletion, [])
            } else if cell.flags.contains(.hasPath) {
                if open == nil { open = (cell.column, .none, []) }
                open?.cells.append(cell)
            } else {
                let column = column(cell.column)
                guard let text = try ofCell(cell, column) else { continue }
                members.append(JSONString.quoted(column.name) + ":" + text)
            }
        }
        try close()
        return "{" + members.joined(separator: ",") + "}"
    }
}
