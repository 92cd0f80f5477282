// Rows as cqlsh prints them: headers to the left, values to the right, one space around.
//
//      k | v
//     ---+-----
//      1 | one

internal import Model
internal import NativeProtocol

/// Lays out one page of rows.
struct ResultTable {
    private struct Cell {
        let text: String
        let width: Int
        let color: ShellOutput.Color?

        init(_ text: String, _ color: ShellOutput.Color?) {
            self.text = text
            width = TextWidth.columns(text)
            self.color = color
        }
    }

    private let names: [Cell]
    private let rows: [[Cell]]

    /// `columns` are those of the statement, which a page may leave out.
    init(_ page: ResultRows, _ columns: [ColumnSpecification]) {
        names = columns.map { Cell($0.name, .magenta) }
        rows = (0..<page.rowCount).map { row in
            columns.enumerated().map { index, column in
                page.withValue(row: row, column: index) { value in
                    guard let value else { return Cell("null", .red) }
                    return Cell(column.type.display(value), Self.color(column.type))
                }
            }
        }
    }

    private static func color(_ type: CQLType) -> ShellOutput.Color {
        switch type {
        case .ascii, .text: .yellow
        case .blob, .custom: .magenta
        case .list, .set, .map, .tuple, .vector, .userDefined: .blue
        default: .green
        }
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
            output.print(Self.withoutTrailingSpaces(" " + header))
            let rules = widths.map { String(repeating: "-", count: $0) }
            output.print("-" + rules.joined(separator: "-+-") + "-")
        }
        for row in rows {
            let line = zip(row, widths).map { Self.right($0, $1, output) }
            output.print(" " + line.joined(separator: " | "))
        }
    }

    /// Prints each row as a list of its columns, the first one numbered `first`.
    func printExpanded(to output: ShellOutput, first: Int) {
        let nameWidth = names.map(\.width).max() ?? 0
        let valueWidth = rows.flatMap { $0 }.map(\.width).max() ?? 0
        for (number, row) in rows.enumerated() {
            output.print("@ Row \(first + number)")
            output.print(
                "-" + String(repeating: "-", count: nameWidth) + "-+-"
                    + String(repeating: "-", count: valueWidth) + "-")
            for (name, cell) in zip(names, row) {
                output.print(
                    " " + Self.left(name, nameWidth, output) + " | "
                        + Self.left(cell, cell.width, output))
            }
            output.print("")
        }
    }

    private static func left(_ cell: Cell, _ width: Int, _ output: ShellOutput) -> String {
        colored(cell, output) + String(repeating: " ", count: width - cell.width)
    }

    private static func right(_ cell: Cell, _ width: Int, _ output: ShellOutput) -> String {
        String(repeating: " ", count: width - cell.width) + colored(cell, output)
    }

    private static func colored(_ cell: Cell, _ output: ShellOutput) -> String {
        cell.color.map { output.colored(cell.text, $0) } ?? cell.text
    }

    private static func withoutTrailingSpaces(_ text: String) -> String {
        var text = text
        while text.last == " " { text.removeLast() }
        return text
    }
}
