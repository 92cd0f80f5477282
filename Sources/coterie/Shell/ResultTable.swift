// Rows as cqlsh prints them: headers to the left, values to the right, one space around.
//
//      k | v
//     ---+-----
//      1 | one

internal import Model
internal import NativeProtocol

/// Lays out one page of rows.
struct ResultTable {
    private let names: [ShownValue]
    private let rows: [[ShownValue]]

    /// `columns` are those of the statement, which a page may leave out; `roles` tells the colours of
    /// the columns that are part of a key.
    init(
        _ page: ResultRows, _ columns: [ColumnSpecification], _ format: ValueFormat = ValueFormat(),
        roles: [String: ShellOutput.Color] = [:]
    ) {
        names = columns.map { ShownValue(string: $0.name, roles[$0.name] ?? .magenta) }
        rows = (0..<page.rowCount).map { row in
            columns.enumerated().map { index, column in
                page.withValue(row: row, column: index) { format.shown($0, column.type) }
            }
        }
    }

    /// A table of what is not a result of the server's.
    init(names: [String], rows: [[ShownValue]]) {
        self.names = names.map { ShownValue(string: $0, .magenta) }
        self.rows = rows
    }

    /// Prints the header, if wanted, and the rows.
    func print(to output: ShellOutput, withHeader: Bool) {
        var widths = names.map(\.width)
        for row in rows {
            for (index, cell) in row.enumerated() { widths[index] = max(widths[index], cell.width) }
        }
        if withHeader {
            let header = zip(names, widths).map { Self.left($0, $1, output) }
                .joined(separator: " | ")
            output.printResult(Self.withoutTrailingSpaces(" " + header))
            let rules = widths.map { String(repeating: "-", count: $0) }
            output.printResult("-" + rules.joined(separator: "-+-") + "-")
        }
        for row in rows {
            let line = zip(row, widths).map { Self.right($0, $1, output) }
            output.printResult(" " + line.joined(separator: " | "))
        }
    }

    /// Prints each row as a list of its columns, the first one numbered `first`.
    func printExpanded(to output: ShellOutput, first: Int) {
        let nameWidth = names.map(\.width).max() ?? 0
        let valueWidth = rows.flatMap { $0 }.map(\.width).max() ?? 0
        for (number, row) in rows.enumerated() {
            output.printResult("@ Row \(first + number)")
            output.printResult(
                "-" + String(repeating: "-", count: nameWidth) + "-+-"
                    + String(repeating: "-", count: valueWidth) + "-")
            for (name, cell) in zip(names, row) {
                output.printResult(
                    " " + Self.left(name, nameWidth, output) + " | "
                        + Self.left(cell, cell.width, output))
            }
            output.printResult("")
        }
    }

    private static func left(_ cell: ShownValue, _ width: Int, _ output: ShellOutput) -> String {
        colored(cell, output) + String(repeating: " ", count: width - cell.width)
    }

    private static func right(_ cell: ShownValue, _ width: Int, _ output: ShellOutput) -> String {
        String(repeating: " ", count: width - cell.width) + colored(cell, output)
    }

    private static func colored(_ cell: ShownValue, _ output: ShellOutput) -> String {
        output.hasResultColors ? cell.colored : cell.text
    }

    private static func withoutTrailingSpaces(_ text: String) -> String {
        var text = text
        while text.last == " " { text.removeLast() }
        return text
    }
}
