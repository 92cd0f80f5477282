// Rows of system tables, built by column name and read in the order of `SELECT *`.

package import Encoding
package import Model

/// A value of a system table.
package enum SystemValue: Sendable {
    case text(String)
    case int(Int32)
    case bigint(Int64)
    case boolean(Bool)
    case double(Double)
    case uuid(UniqueID)
    /// Milliseconds since 1970.
    case timestamp(Int64)
    case blob([UInt8])
    /// Four or sixteen bytes.
    case inet([UInt8])
    /// Shown sorted by key.
    case textMap([String: String])
    /// Shown sorted by key.
    case countMap([Int32: Int64])
    /// Shown sorted by key.
    case blobMap([String: [UInt8]])
    case textList([String])
    /// Shown sorted.
    case textSet([String])

    /// The value in CQL's serialized form.
    package var bytes: [UInt8] {
        switch self {
        case .text(let text): return Array(text.utf8)
        case .int(let value): return Self.bigEndian(value)
        case .bigint(let value), .timestamp(let value): return Self.bigEndian(value)
        case .boolean(let value): return [value ? 1 : 0]
        case .double(let value): return Self.bigEndian(value.bitPattern)
        case .uuid(let id): return id.bytes
        case .blob(let bytes), .inet(let bytes): return bytes
        case .textMap(let map):
            let entries = map.sorted { $0.key < $1.key }
            return Self.collection(
                count: map.count, entries.flatMap { [Array($0.key.utf8), Array($0.value.utf8)] })
        case .countMap(let map):
            let entries = map.sorted { $0.key < $1.key }
            return Self.collection(
                count: map.count,
                entries.flatMap { [Self.bigEndian($0.key), Self.bigEndian($0.value)] })
        case .blobMap(let map):
            let entries = map.sorted { $0.key < $1.key }
            return Self.collection(
                count: map.count, entries.flatMap { [Array($0.key.utf8), $0.value] })
        case .textList(let items):
            return Self.collection(count: items.count, items.map { Array($0.utf8) })
        case .textSet(let items):
            let sorted = Set(items).sorted()
            return Self.collection(count: sorted.count, sorted.map { Array($0.utf8) })
        }
    }

    static func bigEndian(_ value: some FixedWidthInteger) -> [UInt8] {
        withUnsafeBytes(of: value.bigEndian) { Array($0) }
    }

    /// A collection's serialized form: the count, then each part with its length.
    static func collection(count: Int, _ parts: [[UInt8]]) -> [UInt8] {
        var bytes = bigEndian(Int32(count))
        for part in parts {
            bytes += bigEndian(Int32(part.count))
            bytes += part
        }
        return bytes
    }
}

/// A row of a system table: one value for each column in the order of `SELECT *`, nil for null.
package typealias SystemRow = [[UInt8]?]

extension TableSchema {
    /// A row of this table. Columns that are not named are null; a name that is not a column's is a
    /// mistake of ours.
    package func systemRow(_ values: [String: SystemValue]) -> SystemRow {
        for name in values.keys {
            precondition(
                column(named: name) != nil, "no column \(name) in \(keyspace).\(self.name)")
        }
        return allColumns.map { values[$0.name]?.bytes }
    }
}
