// DESCRIBE: the server answers it with rows, which are printed as cqlsh prints them.

internal import Model
internal import NativeClient
internal import NativeProtocol

extension ShellSession {
    /// Sends a DESCRIBE statement and prints its answer.
    func describe(_ statement: String) throws {
        var options = queryOptions
        options.consistency = .localOne
        let response: Response
        do {
            response = try connection.query(statement, options)
        } catch let answer as ErrorAnswer {
            // What does not parse is no command of the shell's; of the rest the message says it all.
            if case .syntax = answer.error { throw ImproperCommand() }
            throw ShellFailure(answer.error.message)
        }
        guard case .rows(let first) = response.message else {
            throw ClientError.unexpectedAnswer("to DESCRIBE: \(response.message)")
        }
        var rows = first.texts()
        var state = first.pagingState
        while let paging = state {
            options.pagingState = paging
            guard case .rows(let page) = try connection.query(statement, options).message else {
                throw ClientError.unexpectedAnswer("no rows for the next page")
            }
            rows += page.texts(first.columns)
            state = page.pagingState
        }
        let subject = CommandLexer.tokens(statement).dropFirst().first?.keyword
        if rows.first?["create_statement"] != nil {
            for row in rows {
                output.print("")
                output.printResult(row["create_statement"] ?? "", terminator: "")
                output.print("")
            }
        } else if rows.first?["cluster"] != nil {
            printCluster(rows, TokenRanges.entries(first))
        } else if subject == "keyspaces" {
            output.print("")
            printColumns(rows.compactMap { $0["name"] })
            output.print("")
        } else {
            printNames(rows)
        }
        printWarnings(response.prefix.warnings)
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
    func printColumns(_ names: [String]) {
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
                // As cqlsh, also behind the last one.
                text += String(repeating: " ", count: width - TextWidth.columns(names[index]))
            }
            output.print(text)
        }
    }
}
