// Columns under other numbers. Files name columns by the number that they got with the schema; the same
// table made anew in another cluster may have given its columns other numbers.

internal import Encoding
internal import Model

/// From the numbers in a file to those of the table that takes it in.
package struct ColumnRenumbering: Equatable, Sendable {
    private let numbers: [UInt32: UInt32]

    /// Columns that are not named are left out: they were dropped, or will never be read.
    package init(_ numbers: [UInt32: UInt32]) { self.numbers = numbers }

    /// Nothing changes.
    package var isIdentity: Bool { numbers.allSatisfy { $0.key == $0.value } }

    /// Writes the row with the new numbers; false if nothing of it is left.
    func rewrite(_ row: RowView, into target: ByteWriter) throws(MalformedBytes) -> Bool {
        var cells: [Cell] = []
        var cursor = row.cells
        while var cell = try cursor.next() {
            guard let number = numbers[cell.column] else { continue }
            cell.column = number
            cells.append(cell)
        }
        if cells.isEmpty, row.liveness.isNone, row.deletion.isNone { return false }
        cells.sort { $0.position(comparedTo: $1) < 0 }
        var writer = RowWriter()
        writer.begin(
            liveness: row.liveness, deletion: row.deletion, baseTimestamp: row.baseTimestamp,
            originalKey: row.originalKey, into: target)
        for cell in cells { writer.append(cell, into: target) }
        return true
    }
}
