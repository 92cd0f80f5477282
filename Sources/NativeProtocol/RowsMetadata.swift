// The columns of a result or of a statement's bind markers, encoded once.
//
// A prepared statement answers the same columns again and again, so they are encoded when they are
// made, for each version, and copied into responses as bytes. The id by which v5 clients notice that a
// result's columns changed is the MD5 of the v5 encoding.

internal import Encoding
package import Model

/// An immutable list of column specifications, ready to be sent.
package final class RowsMetadata: Sendable {
    package let columns: [ColumnSpecification]
    /// Sixteen bytes that change when the columns do.
    package let id: [UInt8]
    /// Whether all columns are of one table, which is then named once.
    let hasGlobalTable: Bool
    // <global_table_spec>?<col_spec_1>...<col_spec_n>, one for each version.
    private let encoded: [[UInt8]]

    /// No columns: what a statement without result or markers has.
    package static let empty = RowsMetadata([])

    package init(_ columns: [ColumnSpecification]) {
        self.columns = columns
        let first = columns.first
        let isGlobal =
            first != nil
            && columns.allSatisfy { $0.keyspace == first?.keyspace && $0.table == first?.table }
        hasGlobalTable = isGlobal
        encoded = ProtocolVersion.allCases.map { version in
            let writer = ByteWriter()
            if isGlobal, let first {
                writer.appendProtocolString(first.keyspace)
                writer.appendProtocolString(first.table)
            }
            for column in columns {
                if !isGlobal {
                    writer.appendProtocolString(column.keyspace)
                    writer.appendProtocolString(column.table)
                }
                writer.appendProtocolString(column.name)
                writer.append(column.type, version)
            }
            return writer.array
        }
        id = MD5.digest(encoded[encoded.count - 1])
    }

    /// The specifications as `version` has them, without flags and count.
    func specifications(_ version: ProtocolVersion) -> [UInt8] {
        encoded[Int(version.rawValue - ProtocolVersion.v3.rawValue)]
    }
}
