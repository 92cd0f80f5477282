// One conversation with a node: where statements come from, and what becomes of their answers.

internal import Encoding
internal import Model
internal import NativeClient
internal import NativeProtocol

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// The state of a shell.
final class ShellSession {
    var connection: ShellConnection
    /// How to connect anew.
    var connector: ShellConnector
    let output: ShellOutput
    /// Whether a person types; pages then wait, and errors do not end anything.
    let isInteractive: Bool
    var keyspace: String?
    var consistency = ConsistencyLevel.one
    var serialConsistency = ConsistencyLevel.serial
    var isPaging = true
    static let defaultPageSize = 100
    var pageSize = defaultPageSize
    var isExpanded = false
    var isTracing = false
    var showsElapsed = false
    /// Who is logged in, for the prompt.
    var user: String?
    var format = ValueFormat()
    var configuration = ShellConfiguration()
    var maximumTraceWaitSeconds = 10.0
    var history = ShellHistory()
    /// How many lines HISTORY shows.
    var shownHistory = 50
    /// Gives the lines that follow a statement where it came from, for COPY FROM STDIN.
    var nextInputLine: () -> String? = { readLine() }
    /// What completion knows of the schema.
    var schema = CompletionSchema()
    // The colours of a table's columns by their part in the key.
    private var roles: [String: [String: ShellOutput.Color]] = [:]
    /// Whether some statement failed.
    private(set) var hasFailed = false
    /// Whether the shell was told to end.
    var isDone = false
    // The script that runs and the line that it has been read to, to name them in errors.
    private var place: (name: String, line: Int)?
    // Guards against a file that sources itself.
    private var sourceDepth = 0
    private static let deepestSource = 16
    // What errors say of the node; asked for when the first one does.
    private var namedNode: NamedNode?

    init(
        _ connection: ShellConnection, _ connector: ShellConnector, _ output: ShellOutput,
        isInteractive: Bool
    ) {
        self.connection = connection
        self.connector = connector
        user = connector.options.user
        self.output = output
        self.isInteractive = isInteractive
    }

    /// Prints an error, behind the script's name and line as cqlsh does, and remembers that there was
    /// one.
    func fail(_ text: String) {
        output.printError(place.map { "\($0.name):\($0.line):\(text)" } ?? text)
        hasFailed = true
    }

    /// An error in the words of cqlsh's driver.
    func text(_ error: any Error) -> String {
        let (name, message) = driverParts(error)
        return name.isEmpty ? message : name + ": " + message
    }

    /// The class that cqlsh's driver has for an error, and its message.
    func driverParts(_ error: any Error) -> (name: String, message: String) {
        DriverText(node: node()).parts(error)
    }

    private func node() -> NamedNode {
        if let namedNode { return namedNode }
        let endpoint = "\(connection.native.host):\(connection.native.port)"
        do {
            let rows = try connection.rows(
                "SELECT data_center FROM system.local WHERE key = 'local'")
            let node = NamedNode(
                endpoint: endpoint, datacenter: rows.texts().first?["data_center"])
            namedNode = node
            return node
        } catch {
            // The name stands in the text of another error, which is what is to be told.
            return NamedNode(endpoint: endpoint, datacenter: nil)
        }
    }

    // MARK: - Where statements come from

    /// The text of `-e`: its last statement needs no semicolon.
    func runArgument(_ text: String) {
        place = ("<stdin>", 1)
        var splitter = StatementSplitter()
        splitter.append(text + "\n")
        while !isDone, let statement = splitter.next() { execute(statement, splitter.source) }
        guard !isDone, let rest = splitter.rest() else { return }
        execute(rest, splitter.source)
    }

    /// The statements of a file, which EXIT ends.
    private func run(_ text: String, name: String) {
        let outer = (place, nextInputLine, isDone)
        defer { (place, nextInputLine, isDone) = outer }
        var splitter = StatementSplitter()
        splitter.append(text.hasSuffix("\n") || text.isEmpty ? text : text + "\n")
        while !isDone, let statement = splitter.next() {
            place = (name, splitter.followingLine)
            var isFirst = true
            nextInputLine = { [unowned self] in
                if isFirst { _ = splitter.nextRawLine() }
                isFirst = false
                place?.line += 1
                return splitter.nextRawLine()
            }
            execute(statement, splitter.source)
        }
        guard !isDone, splitter.rest() != nil else { return }
        place = (name, splitter.followingLine)
        fail("Incomplete statement at end of file")
    }

    /// Runs the statements of a file; throws if it cannot be read, with `refusal` before the path.
    func runFile(_ path: String, refusal: String) throws(ShellFailure) {
        guard sourceDepth < Self.deepestSource else {
            throw ShellFailure("Files that source one another are nested too deep at \(path)")
        }
        let text: String
        do {
            text = try ScriptFile.text(path)
        } catch {
            throw ShellFailure("\(refusal) \(PythonText.quoted(path)): \(error)")
        }
        sourceDepth += 1
        defer { sourceDepth -= 1 }
        run(text, name: path)
    }

    /// Runs the statements of a pipe, each as soon as it is whole.
    func runStandardInput() {
        var splitter = StatementSplitter()
        nextInputLine = { [unowned self] in
            place?.line += 1
            // What is left of the statement's own line is not data.
            return splitter.nextRawLine().flatMap { $0.isEmpty ? nil : $0 } ?? readLine()
        }
        func runWhole() {
            while !isDone, let statement = splitter.next() {
                place = ("<stdin>", splitter.followingLine)
                execute(statement, splitter.source)
            }
        }
        var endsWithLine = true
        while !isDone, let line = readLine(strippingNewline: false) {
            endsWithLine = line.hasSuffix("\n")
            splitter.append(line)
            runWhole()
        }
        // A command may end with the input instead of its line.
        if !endsWithLine { splitter.append("\n") }
        runWhole()
        if !isDone, splitter.rest() != nil {
            place = ("<stdin>", splitter.followingLine)
            fail("Incomplete statement at end of file")
        }
    }

    /// Talks with a person until the end of input or EXIT.
    func interact() {
        var splitter = StatementSplitter()
        var typed = ""
        history = ShellHistory.load(isKept: !configuration.isHistoryDisabled)
        let editor = LineEditor(history: history)
        editor.complete = { [unowned self] before in completions(typed, before) }
        nextInputLine = {
            guard case .line(let line) = editor.readLine(prompt: "[copy] ") else { return nil }
            return line
        }
        showHost()
        showVersion()
        output.print("Use HELP for help.")
        var blankLines = 0
        let customPrompt = ShellConfiguration.variable("CQLSH_PROMPT")
        while !isDone {
            // A line of its own before the prompt, as cqlsh has it.
            if splitter.unfinished == .nothing, let customPrompt { output.print(customPrompt) }
            output.flush()
            switch editor.readLine(prompt: prompt(splitter.unfinished, &blankLines)) {
            case .end:
                output.print("")
                isDone = true
            case .interrupted:
                splitter.reset()
                typed = ""
                blankLines = 0
            case .line(let line):
                typed += typed.isEmpty ? line : " " + line
                blankLines = line.isEmpty ? blankLines + 1 : 0
                splitter.append(line + "\n")
                while !isDone, let statement = splitter.next() {
                    execute(statement, splitter.source)
                }
                if splitter.unfinished == .nothing {
                    history.add(typed)
                    typed = ""
                }
            }
        }
        output.flush()
    }

    /// The prompt; after three empty lines inside of a statement it says how to get out.
    private func prompt(
        _ unfinished: StatementSplitter.Unfinished, _ blankLines: inout Int
    ) -> String {
        let login = user.map { $0 + "@" } ?? ""
        let name = login + "coterie" + (keyspace.map { ":" + $0 } ?? "")
        guard unfinished != .nothing else {
            blankLines = 0
            return name + "> "
        }
        if blankLines >= 3 {
            blankLines = 0
            output.print(
                "Statements are terminated with a ';'.  "
                    + "You can press CTRL-C to cancel an incomplete statement.")
            output.flush()
        }
        let mark =
            switch unfinished {
            case .nothing, .statement: "..."
            case .string: "'"
            case .quotedName: "\""
            case .dollars: "$$"
            case .comment: "/*"
            }
        let width = TextWidth.columns(name) + 2
        return String(repeating: " ", count: max(width - mark.count - 1, 0)) + mark + " "
    }

    // MARK: - What becomes of them

    /// Runs one statement or command; `source` is the statement with its semicolon.
    private func execute(_ statement: String, _ source: String) {
        let begin = ShellClock.microseconds()
        defer {
            if showsElapsed {
                output.print("(\((ShellClock.microseconds() - begin) / 1_000)ms elapsed)")
            }
            if isInteractive { output.flush() }
        }
        do {
            try reconnect()
        } catch {
            // A statement that needs the connection says so below; others, such as EXIT, go on.
        }
        do {
            if try runCommand(statement, source) { return }
            try reconnect()
            try runStatement(source)
        } catch {
            tell(error, source)
        }
    }

    private func tell(_ error: any Error, _ source: String) {
        let (name, message) = driverParts(error)
        let pointer = isInteractive && place == nil ? ErrorText.pointer(message, source) : nil
        fail((name.isEmpty ? "" : name + ": ") + message + (pointer.map { "\n" + $0 } ?? ""))
    }

    /// Connects again after the connection broke, as the same user and with the same keyspace.
    private func reconnect() throws {
        guard !connection.native.isOpen else { return }
        let other = try connector.connect()
        connection.close()
        connection = other
        if let keyspace { try use(name: keyspace) }
    }

    /// Makes the keyspace in use what a person wrote: in quotes, or as it is.
    func use(_ text: String) throws {
        let isQuoted = text.hasPrefix("\"") && text.hasSuffix("\"") && text.count > 1
        try use(
            name: isQuoted
                ? String(text.dropFirst().dropLast()).replacing("\"\"", with: "\"") : text)
    }

    /// Makes the keyspace with exactly this name the one in use.
    func use(name: String) throws {
        try runStatement("USE \"\(name.replacing("\"", with: "\"\""))\"", isOwn: true)
    }

    /// How statements are to be executed now.
    var queryOptions: QueryOptions {
        QueryOptions(
            consistency: consistency, serialConsistency: serialConsistency,
            pageSize: isPaging && pageSize > 0 ? pageSize : nil)
    }

    private func runStatement(_ statement: String, isOwn: Bool = false) throws {
        var options = queryOptions
        let isTraced = isTracing && !isOwn && !readsTraces(statement)
        let response = try connection.query(statement, options, isTraced: isTraced)
        var traces = response.prefix.tracingID.map { [$0.bytes] } ?? []
        switch response.message {
        case .setKeyspace(let name): keyspace = name
        case .rows(let first):
            let word = Self.firstWord(statement)
            try printRows(
                first, statement, &options, withCount: word == "select" || word == "list", &traces,
                isTraced: isTraced)
        case .void: break
        case .schemaChange:
            schema.forget()
            roles = [:]
        case let other: throw ClientError.unexpectedAnswer("\(other)")
        }
        printWarnings(response.prefix.warnings)
        for trace in traces { try showSession(trace, waits: true) }
    }

    private func readsTraces(_ statement: String) -> Bool {
        let tokens = CommandLexer.tokens(statement)
        guard let from = tokens.firstIndex(where: { $0.keyword == "from" }),
            tokens.count > from + 1
        else { return false }
        let isQualified = tokens.count > from + 2 && tokens[from + 2].value == "."
        return (isQualified ? tokens[from + 1].name : keyspace) == "system_traces"
    }

    static func firstWord(_ statement: String) -> String {
        statement.prefix { $0.isLetter }.lowercased()
    }

    private func printRows(
        _ first: ResultRows, _ statement: String, _ options: inout QueryOptions, withCount: Bool,
        _ traces: inout [[UInt8]], isTraced: Bool
    ) throws {
        let columns = first.columns ?? []
        let isJSON = output.capture?.isJSON == true
        let waitsForMore = isInteractive && output.capture == nil
        var page = first
        var count = 0
        if !isJSON { output.printResult("") }
        while true {
            let isFirst = page.pagingState == first.pagingState && count == 0
            if isJSON {
                JSONLines.print(page, columns, to: output)
            } else if page.rowCount > 0 || isFirst {
                printPage(page, columns, isFirst, count)
            }
            count += page.rowCount
            guard let state = page.pagingState else { break }
            if waitsForMore, !waitForMore() { break }
            options.pagingState = state
            let response = try connection.query(statement, options, isTraced: isTraced)
            guard case .rows(let next) = response.message else {
                throw ClientError.unexpectedAnswer("no rows for the next page")
            }
            if let id = response.prefix.tracingID { traces.append(id.bytes) }
            page = next
        }
        guard withCount, !isJSON else { return }
        if !isInteractive { output.printResult("") }
        output.printResult("(\(count) rows)")
    }

    private func printPage(
        _ page: ResultRows, _ columns: [ColumnSpecification], _ isFirst: Bool, _ count: Int
    ) {
        let table = ResultTable(page, columns, format, roles: columnColors(columns))
        if isExpanded, page.rowCount > 0 {
            table.printExpanded(to: output, first: count + 1)
            return
        }
        table.print(to: output, withHeader: isFirst || isInteractive)
        if isInteractive || page.rowCount == 0 { output.printResult("") }
    }

    /// The colours of columns by their part in the table's key; nothing where nobody sees them.
    private func columnColors(_ columns: [ColumnSpecification]) -> [String: ShellOutput.Color] {
        guard output.hasResultColors, let first = columns.first, !first.table.isEmpty else {
            return [:]
        }
        let table = first.keyspace + "." + first.table
        if let known = roles[table] { return known }
        var colors: [String: ShellOutput.Color] = [:]
        do {
            let rows = try connection.rows(
                "SELECT column_name, kind FROM system_schema.columns "
                    + "WHERE keyspace_name = ? AND table_name = ?",
                [.bytes(Array(first.keyspace.utf8)), .bytes(Array(first.table.utf8))])
            for row in rows.texts() {
                guard let name = row["column_name"] else { continue }
                switch row["kind"] {
                case "partition_key": colors[name] = .red
                case "clustering": colors[name] = .cyan
                case "static": colors[name] = .white
                default: break
                }
            }
        } catch {
            // Rows can be read without the key's colours too.
        }
        roles[table] = colors
        return colors
    }

    /// Waits for Return between pages; false if the person has seen enough.
    private func waitForMore() -> Bool {
        output.print("---MORE---", terminator: "")
        output.flush()
        return readLine() != nil
    }

    func printWarnings(_ warnings: [String]) {
        guard !warnings.isEmpty else { return }
        output.printResult("\nWarnings :")
        for warning in warnings { output.printResult(warning + "\n") }
    }
}

/// The clock of the shell: how long things take.
enum ShellClock {
    /// Microseconds since some moment.
    static func microseconds() -> Int64 {
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        return Int64(now.tv_sec) * 1_000_000 + Int64(now.tv_nsec) / 1_000
    }
}
