// DESCRIBE: the server answers it with rows, which are printed as cqlsh prints them.

internal import Encoding
internal import Model
internal import NativeClient
internal import NativeProtocol

extension ShellSession {
    /// Sends a DESCRIBE statement and prints its answer.
    func describe(_ statement: String) throws {
        var options = queryOptions
        options.consistency = .localOne
        let response = try connection.query(statement, options)
        guard case .rows(let first) = response.message else {
            throw ClientError.unexpectedAnswer("to DESCRIBE: \(response.message)")
        }
        var rows = try Self.texts(first, first.columns ?? [])
        var state = first.pagingState
        while let paging = state {
            options.pagingState = paging
            guard case .rows(let page) = try connection.query(statement, options).message else {
                throw ClientError.unexpectedAnswer("no rows for the next page")
            }
            rows += try Self.texts(page, first.columns ?? [])
            state = page.pagingState
        }
        let subject = statement.split(whereSeparator: \.isWhitespace).dropFirst().first
        if rows.first?["create_statement"] != nil {
            for row in rows { output.print("\n" + (row["create_statement"] ?? "")) }
        } else if rows.first?["cluster"] != nil {
            printCluster(rows, Self.ownership(first))
        } else if subject?.lowercased() == "keyspaces" {
            output.print("")
            printColumns(rows.compactMap { $0["name"] })
            output.print("")
        } else {
            printNames(rows)
        }
        printWarnings(response.prefix.warnings)
    }

    /// Each row by column name, values as they are displayed.
    private static func texts(
        _ page: ResultRows, _ columns: [ColumnSpecification]
    ) throws -> [[String: String]] {
        (0..<page.rowCount).map { row in
            var texts: [String: String] = [:]
            for (index, column) in columns.enumerated() {
                page.withValue(row: row, column: index) { value in
                    guard let value else { return }
                    // A statement is printed as it is, not with its line feeds shown.
                    texts[column.name] =
                        column.type == .text
                        ? String(decoding: value, as: UTF8.self) : column.type.display(value)
                }
            }
            return texts
        }
    }

    private func printCluster(
        _ rows: [[String: String]], _ ownership: [(token: String, replicas: [String])]
    ) {
        for row in rows {
            output.print("\nCluster: \(row["cluster"] ?? "")")
            output.print("Partitioner: \(row["partitioner"] ?? "")")
            output.print("Snitch: \(row["snitch"] ?? "")\n")
        }
        guard !ownership.isEmpty else { return }
        output.print("Range ownership:")
        for (token, replicas) in ownership {
            let blank = String(repeating: " ", count: max(39 - token.count, 0))
            output.print(" \(blank)\(token)  [\(replicas.joined(separator: ", "))]")
        }
        output.print("")
    }

    /// The column `range_ownership`, a map from tokens to lists of addresses; empty without it.
    private static func ownership(_ page: ResultRows) -> [(token: String, replicas: [String])] {
        guard page.rowCount > 0,
            let column = page.columns?.firstIndex(where: { $0.name == "range_ownership" })
        else { return [] }
        return page.withValue(row: 0, column: column) { value in
            var entries: [(token: String, replicas: [String])] = []
            var reader = ByteReader(value ?? UnsafeRawBufferPointer(start: nil, count: 0))
            do throws(MalformedBytes) {
                let count = try reader.readBigEndian(Int32.self)
                for _ in 0..<max(count, 0) {
                    let token = try text(&reader)
                    var list = ByteReader(
                        try reader.readOptionalBytes()
                            ?? UnsafeRawBufferPointer(start: nil, count: 0))
                    var replicas: [String] = []
                    let replicaCount = try list.readBigEndian(Int32.self)
                    for _ in 0..<max(replicaCount, 0) { replicas.append(try text(&list)) }
                    entries.append((token, replicas))
                }
            } catch {
                return []
            }
            return entries
        }
    }

    private static func text(_ reader: inout ByteReader) throws(MalformedBytes) -> String {
        String(
            decoding: try reader.readOptionalBytes() ?? .init(start: nil, count: 0), as: UTF8.self)
    }

    /// Names grouped by keyspace, whose name is shown only if none is in use.
    private func printNames(_ rows: [[String: String]]) {
        guard !rows.isEmpty else { return }
        var index = 0
        while index < rows.count {
            let keyspaceName = rows[index]["keyspace_name"] ?? ""
            var names: [String] = []
            while index < rows.count, rows[index]["keyspace_name"] == keyspaceName {
                names.append(rows[index]["name"] ?? "")
                index += 1
            }
            output.print("")
            if keyspace == nil {
                output.print("Keyspace \(keyspaceName)")
                output.print("---------" + String(repeating: "-", count: keyspaceName.count))
            }
            printColumns(names)
        }
        output.print("")
    }

    /// Names in as few lines as fit 80 columns, read downwards.
    private func printColumns(_ names: [String]) {
        guard !names.isEmpty else {
            output.print("<empty>")
            return
        }
        var lineCount = names.count
        var widths = [names.map(TextWidth.columns).max() ?? 0]
        for lines in 1..<max(names.count, 2) {
            let groups = stride(from: 0, to: names.count, by: lines).map {
                names[$0..<min($0 + lines, names.count)]
            }
            let candidate = groups.map { $0.map(TextWidth.columns).max() ?? 0 }
            if candidate.reduce(0, +) + 2 * (candidate.count - 1) <= 80 {
                lineCount = lines
                widths = candidate
                break
            }
        }
        for line in 0..<lineCount {
            var text = ""
            for (column, width) in widths.enumerated() {
                let index = column * lineCount + line
                guard index < names.count else { break }
                if column > 0 { text += "  " }
                text += names[index]
                let isLast = index + lineCount >= names.count
                if !isLast {
                    text += String(repeating: " ", count: width - TextWidth.columns(names[index]))
                }
            }
            output.print(text)
        }
    }
}
