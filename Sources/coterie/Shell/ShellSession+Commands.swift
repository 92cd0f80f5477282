// The commands that the shell itself understands; everything else goes to the server.

internal import Model
internal import NativeClient
internal import NativeProtocol

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// A command that cannot be carried out, and why.
struct ShellFailure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// A command with arguments that it does not know; it is named as it was typed.
struct ImproperCommand: Error {}

extension ShellSession {
    /// Runs `statement` if it is a command of the shell's own; false if it is not. `source` is what the
    /// server gets to see of it.
    func runCommand(_ statement: String, _ source: String) throws -> Bool {
        if statement.hasPrefix("?") {
            help(Self.words(String(statement.dropFirst())))
            return true
        }
        let words = Self.words(statement)
        guard let first = words.first else { return false }
        do {
            return try runCommand(first, Array(words.dropFirst()), statement, source)
        } catch is ImproperCommand {
            throw ShellFailure("Improper \(first) command.")
        }
    }

    private func runCommand(
        _ first: String, _ arguments: [String], _ statement: String, _ source: String
    ) throws -> Bool {
        switch first.lowercased() {
        case "consistency": try consistency(arguments)
        case "serial": try serialConsistency(arguments)
        case "paging": try paging(arguments)
        case "expand": try toggle("EXPAND", &isExpanded, arguments)
        case "tracing": try toggle("TRACING", &isTracing, arguments)
        case "elapsed": try toggle("ELAPSED", &showsElapsed, arguments)
        case "show": try show(arguments)
        case "source": try runSource(statement)
        case "capture": try capture(statement)
        case "copy": try copy(statement)
        case "login": try login(statement)
        case "history": try printHistory(arguments)
        case "describe", "desc": try describe(source)
        case "help": help(arguments)
        case "unicode":
            guard arguments.isEmpty else { throw ImproperCommand() }
            help(["UNICODE"])
        case "exit", "quit":
            guard arguments.isEmpty else { throw ImproperCommand() }
            isDone = true
        case "clear", "cls":
            guard arguments.isEmpty else { throw ImproperCommand() }
            clearScreen()
        case "debug":
            throw ShellFailure("DEBUG opens Python's debugger in cqlsh; there is none here.")
        default: return false
        }
        return true
    }

    /// Clears the terminal; what is not one stays as it is, as with `clear` without TERM.
    private func clearScreen() {
        guard getenv("TERM") != nil else { return }
        output.print("\u{1B}[H\u{1B}[2J\u{1B}[3J", terminator: "")
    }

    static func words(_ text: String) -> [String] {
        text.split(whereSeparator: \.isWhitespace).map(String.init)
    }

    /// A path with `~` for the home folder.
    static func expandedPath(_ path: String) -> String {
        guard path == "~" || path.hasPrefix("~/"), let home = getenv("HOME") else { return path }
        return String(cString: home) + path.dropFirst()
    }

    // MARK: - Consistency

    private func consistency(_ arguments: [String]) throws {
        guard let name = arguments.first else {
            output.print("Current consistency level is \(consistency).")
            return
        }
        guard arguments.count == 1, let level = ConsistencyLevel(name: name) else {
            throw ImproperCommand()
        }
        consistency = level
        output.print("Consistency level set to \(level).")
    }

    private func serialConsistency(_ arguments: [String]) throws {
        guard arguments.first?.lowercased() == "consistency", arguments.count <= 2 else {
            throw ImproperCommand()
        }
        guard arguments.count == 2 else {
            output.print("Current serial consistency level is \(serialConsistency).")
            return
        }
        guard let level = ConsistencyLevel(name: arguments[1]), level.isSerial else {
            throw ImproperCommand()
        }
        serialConsistency = level
        output.print("Serial consistency level set to \(level).")
    }

    // MARK: - Switches

    private func paging(_ arguments: [String]) throws {
        guard arguments.count <= 1 else { throw ImproperCommand() }
        if let text = arguments.first, let size = Int(text) {
            // No size at all, as in the protocol: the whole result in one page.
            guard (0...Int(Int32.max)).contains(size) else { throw ImproperCommand() }
            isPaging = true
            pageSize = size
        } else {
            try toggle("PAGING", &isPaging, arguments)
        }
        if isPaging {
            output.print("Page size: \(pageSize)")
        } else {
            pageSize = Self.defaultPageSize
        }
    }

    private func toggle(_ name: String, _ value: inout Bool, _ arguments: [String]) throws {
        guard arguments.count <= 1 else { throw ImproperCommand() }
        let current = value ? "ON" : "OFF"
        guard let argument = arguments.first?.uppercased() else {
            output.print("\(name) is \(current)")
            return
        }
        guard argument == "ON" || argument == "OFF" else { throw ImproperCommand() }
        if argument == current {
            output.print("\(name) is already \(current)")
        } else {
            value.toggle()
            output.print("\(name) set to \(argument)")
        }
    }

    // MARK: - Files

    private static let cannotOpen = "Could not open"

    private func runSource(_ statement: String) throws {
        let tokens = CommandLexer.tokens(statement)
        // Without quotes a path is what stands between blanks, which cqlsh does not take.
        let words = Self.words(statement)
        if tokens.count == 2, tokens[1].kind == .string, tokens[1].isWhole {
            try runFile(Self.expandedPath(tokens[1].value), refusal: Self.cannotOpen)
        } else if words.count == 2, !words[1].contains("'") {
            try runFile(Self.expandedPath(words[1]), refusal: Self.cannotOpen)
        } else {
            throw ImproperCommand()
        }
    }

    private func capture(_ statement: String) throws {
        var arguments = CommandLexer.tokens(statement).dropFirst()
        if arguments.isEmpty {
            output.print(
                output.capture.map {
                    "Currently capturing query output to \(PythonText.quoted($0.path))."
                }
                    ?? "Currently not capturing query output.")
            return
        }
        if arguments.count == 1, arguments.first?.keyword == "off" {
            guard output.capture != nil else {
                throw ShellFailure("Not currently capturing output.")
            }
            output.endCapture()
            return
        }
        let isJSON = arguments.first?.keyword == "json"
        if isJSON { arguments = arguments.dropFirst() }
        guard arguments.count == 1, let file = arguments.first, file.kind == .string, file.isWhole
        else { throw ImproperCommand() }
        if let capture = output.capture {
            throw ShellFailure(
                "Already capturing output to \(capture.path). Use CAPTURE OFF to disable.")
        }
        let path = Self.expandedPath(file.value)
        let descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, mode_t(0o644))
        guard descriptor >= 0 else {
            throw ShellFailure(
                "Could not open \(PythonText.quoted(path)) for append: "
                    + PythonText.fileError(errno, path))
        }
        output.begin(.init(path: path, descriptor: descriptor, isJSON: isJSON))
        output.print("Now capturing query output to \(PythonText.quoted(path)).")
    }

    private func printHistory(_ arguments: [String]) throws {
        if let text = arguments.first {
            guard arguments.count == 1, let count = Int(text), count >= 0 else {
                throw ImproperCommand()
            }
            shownHistory = count
        }
        for line in history.lines.suffix(shownHistory) { output.print(line) }
    }

    // MARK: - Who talks to whom

    private func login(_ statement: String) throws {
        let tokens = CommandLexer.tokens(statement).dropFirst()
        guard let user = tokens.first, user.kind != .mark, user.kind != .number,
            tokens.count <= 2
        else { throw ImproperCommand() }
        var given: String?
        if tokens.count == 2, let last = tokens.last {
            guard last.kind == .string else { throw ImproperCommand() }
            given = last.value
        }
        let password = try given ?? LineEditor.readPassword()
        let login = connector.asUser(user.value, password: password)
        let other: ShellConnection
        do {
            other = try login.connect()
        } catch {
            throw ShellFailure(
                DriverText.connection(error, host: connector.host, port: connector.port))
        }
        let previous = connection
        connection = other
        do {
            if let keyspace { try use(name: keyspace) }
        } catch {
            connection = previous
            other.close()
            throw error
        }
        previous.close()
        connector = login
        self.user = user.value
    }

    private func show(_ arguments: [String]) throws {
        switch (arguments.first?.lowercased(), arguments.count) {
        case ("version", 1): showVersion()
        case ("host", 1): showHost()
        case ("session", 2):
            guard let id = UniqueIDText.bytes(arguments[1]) else {
                throw ImproperCommand()
            }
            try showSession(id, waits: true)
        case ("replicas", 2), ("replicas", 3):
            guard let token = Int64(arguments[1]) else { throw ImproperCommand() }
            let name =
                arguments.count > 2 ? CommandLexer.tokens(arguments[2]).first?.name : keyspace
            guard let name else { throw ShellFailure("No keyspace is in use: name one.") }
            let replicas = try ownership(of: name).replicas(of: token).map { "'\($0)'" }
            output.print("[\(replicas.joined(separator: ", "))]")
        default: throw ImproperCommand()
        }
    }

    /// The server tells the ranges of the keyspace in use, so another one takes another connection.
    private func ownership(of name: String) throws -> TokenRanges {
        if name == keyspace { return try TokenRanges.ownership(connection) }
        let other = try connector.connect()
        defer { other.close() }
        let quoted = name.replacing("\"", with: "\"\"")
        _ = try other.query("USE \"\(quoted)\"", QueryOptions())
        return try TokenRanges.ownership(other)
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
            let rows = try connection.rows(
                "SELECT cluster_name, release_version, cql_version FROM system.local "
                    + "WHERE key = 'local'")
            return rows.texts().first ?? [:]
        } catch {
            fail(text(error))
            return [:]
        }
    }
}
