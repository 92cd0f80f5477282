// The commands that the shell itself understands; everything else goes to the server.

internal import Model
internal import NativeClient
internal import NativeProtocol

extension ShellSession {
    /// A command with an argument that it does not know.
    private struct Improper: Error, CustomStringConvertible {
        let description: String
        init(_ command: String) { description = "Improper \(command) command." }
    }

    /// Runs `statement` if it is a command of the shell's own; false if it is not.
    func runCommand(_ statement: String) throws -> Bool {
        if statement.hasPrefix("?") {
            help(Self.words(String(statement.dropFirst())))
            return true
        }
        let words = Self.words(statement)
        guard let first = words.first else { return true }
        let arguments = Array(words.dropFirst())
        switch first.lowercased() {
        case "consistency": try consistency(arguments)
        case "serial": try serialConsistency(arguments)
        case "paging": try paging(arguments)
        case "expand": try expand(arguments)
        case "show": try show(arguments)
        case "source": try source(statement, arguments)
        case "describe", "desc": try describe(statement)
        case "help": help(arguments)
        case "exit", "quit": isDone = true
        case "clear", "cls":
            if output.hasColors { output.print("\u{1B}[H\u{1B}[2J", terminator: "") }
        case "capture", "copy", "history", "login", "tracing":
            fail("\(first.uppercased()) is a command of cqlsh that this shell does not have.")
        default: return false
        }
        return true
    }

    private static func words(_ text: String) -> [String] {
        text.split(whereSeparator: \.isWhitespace).map(String.init)
    }

    // MARK: - Consistency

    private func consistency(_ arguments: [String]) throws {
        guard let name = arguments.first else {
            output.print("Current consistency level is \(consistency).")
            return
        }
        guard arguments.count == 1, let level = ConsistencyLevel(name: name) else {
            throw Improper("CONSISTENCY")
        }
        consistency = level
        output.print("Consistency level set to \(level).")
    }

    private func serialConsistency(_ arguments: [String]) throws {
        guard arguments.first?.lowercased() == "consistency", arguments.count <= 2 else {
            throw Improper("SERIAL CONSISTENCY")
        }
        guard arguments.count == 2 else {
            output.print("Current serial consistency level is \(serialConsistency).")
            return
        }
        guard let level = ConsistencyLevel(name: arguments[1]), level.isSerial else {
            throw Improper("SERIAL CONSISTENCY")
        }
        serialConsistency = level
        output.print("Serial consistency level set to \(level).")
    }

    // MARK: - Switches

    private func paging(_ arguments: [String]) throws {
        guard arguments.count <= 1 else { throw Improper("PAGING") }
        if let text = arguments.first, let size = Int(text) {
            guard (1...1_000_000).contains(size) else { throw Improper("PAGING") }
            isPaging = true
            pageSize = size
        } else {
            try toggle("PAGING", &isPaging, arguments.first)
        }
        if isPaging { output.print("Page size: \(pageSize)") }
    }

    private func expand(_ arguments: [String]) throws {
        guard arguments.count <= 1 else { throw Improper("EXPAND") }
        try toggle("EXPAND", &isExpanded, arguments.first)
    }

    private func toggle(_ name: String, _ value: inout Bool, _ argument: String?) throws {
        let current = value ? "ON" : "OFF"
        guard let argument = argument?.uppercased() else {
            output.print("\(name) is \(current)")
            return
        }
        guard argument == "ON" || argument == "OFF" else { throw Improper(name) }
        if argument == current {
            output.print("\(name) is already \(current)")
        } else {
            value.toggle()
            output.print("\(name) set to \(argument)")
        }
    }

    // MARK: - Showing and running

    private func show(_ arguments: [String]) throws {
        switch arguments.map({ $0.lowercased() }) {
        case ["version"]: showVersion()
        case ["host"]: showHost()
        default: throw Improper("SHOW")
        }
    }

    private func source(_ statement: String, _ arguments: [String]) throws {
        // The name may hold spaces, so it is what stands between the quotes.
        let parts = statement.split(separator: "'", omittingEmptySubsequences: false)
        if parts.count == 3, parts[2].allSatisfy(\.isWhitespace) {
            _ = runFile(String(parts[1]))
        } else if parts.count == 1, arguments.count == 1 {
            _ = runFile(arguments[0])
        } else {
            throw Improper("SOURCE")
        }
    }

    /// `Connected to <cluster> at <host>:<port>`.
    func showHost() {
        let name = local()["cluster_name"] ?? "a cluster without a name"
        let shown = output.colored(name, .blue)
        output.print(
            "Connected to \(shown) at \(connection.native.host):\(connection.native.port)")
    }

    /// `[coterie shell | Cassandra compatible <release> | CQL spec <version> | Native protocol v<n>]`.
    func showVersion() {
        let local = local()
        output.print(
            "[coterie shell | Cassandra \(local["release_version"] ?? "?") compatible"
                + " | CQL spec \(local["cql_version"] ?? "?")"
                + " | Native protocol v\(connection.native.version.rawValue)]")
    }

    /// The text columns of the node's own row; empty if it does not answer.
    private func local() -> [String: String] {
        do {
            let response = try connection.query(
                "SELECT cluster_name, release_version, cql_version FROM system.local "
                    + "WHERE key = 'local'", QueryOptions())
            guard case .rows(let rows) = response.message, rows.rowCount == 1 else { return [:] }
            var values: [String: String] = [:]
            for (index, column) in (rows.columns ?? []).enumerated() {
                values[column.name] = rows.value(row: 0, column: index).map {
                    String(decoding: $0, as: UTF8.self)
                }
            }
            return values
        } catch {
            fail(ErrorText.text(error))
            return [:]
        }
    }
}
