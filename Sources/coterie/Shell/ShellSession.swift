// One conversation with a node: where statements come from, and what becomes of their answers.

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
    let connection: ShellConnection
    let output: ShellOutput
    /// Whether a person types; pages then wait, and errors do not end anything.
    let isInteractive: Bool
    var keyspace: String?
    var consistency = ConsistencyLevel.one
    var serialConsistency = ConsistencyLevel.serial
    var isPaging = true
    var pageSize = 100
    var isExpanded = false
    /// Whether some statement failed.
    private(set) var hasFailed = false
    /// Whether the shell was told to end.
    var isDone = false
    // The script that runs and the line of its statement, to name them in errors.
    private var place: (name: String, line: Int)?
    // Guards against a file that sources itself.
    private var sourceDepth = 0
    private static let deepestSource = 16

    init(_ connection: ShellConnection, _ output: ShellOutput, isInteractive: Bool) {
        self.connection = connection
        self.output = output
        self.isInteractive = isInteractive
    }

    /// Prints an error and remembers that there was one.
    func fail(_ text: String) {
        output.printError(place.map { "\($0.name):\($0.line): \(text)" } ?? text)
        hasFailed = true
    }

    // MARK: - Where statements come from

    /// Runs the statements of a text, `name` in errors. The last one needs a semicolon unless
    /// `endsLastStatement`.
    func run(_ text: String, name: String? = nil, endsLastStatement: Bool) {
        let outer = place
        defer { place = outer }
        var splitter = StatementSplitter()
        splitter.append(text + "\n")
        while !isDone, let statement = splitter.next() {
            place = name.map { ($0, splitter.statementLine) }
            execute(statement)
        }
        guard !isDone, let rest = splitter.rest() else { return }
        place = name.map { ($0, splitter.statementLine) }
        if endsLastStatement {
            execute(rest)
        } else {
            fail("Incomplete statement at end of file")
        }
    }

    /// Runs a file; false if it cannot be read.
    func runFile(_ path: String) -> Bool {
        guard sourceDepth < Self.deepestSource else {
            fail("Files that source one another are nested too deep at \(path)")
            return false
        }
        guard let text = Self.contents(path) else {
            fail("Could not open \(path): \(String(cString: strerror(errno)))")
            return false
        }
        sourceDepth += 1
        defer { sourceDepth -= 1 }
        run(text, name: path, endsLastStatement: false)
        return true
    }

    private static func contents(_ path: String) -> String? {
        let descriptor = open(path, O_RDONLY)
        guard descriptor >= 0 else { return nil }
        defer { _ = close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 * 1024)
        while true {
            let count = read(descriptor, &chunk, chunk.count)
            if count < 0 { return nil }
            if count == 0 { return String(decoding: bytes, as: UTF8.self) }
            bytes += chunk[0..<count]
        }
    }

    /// Runs the statements of a pipe, each as soon as it is whole.
    func runStandardInput() {
        var splitter = StatementSplitter()
        func runWhole() {
            while !isDone, let statement = splitter.next() {
                place = ("<stdin>", splitter.statementLine)
                execute(statement)
            }
        }
        while !isDone, let line = readLine(strippingNewline: false) {
            splitter.append(line)
            runWhole()
        }
        // A command may end with the input instead of its line.
        splitter.append("\n")
        runWhole()
        if !isDone, splitter.rest() != nil {
            place = ("<stdin>", splitter.statementLine)
            fail("Incomplete statement at end of file")
        }
    }

    /// Talks with a person until the end of input or EXIT.
    func interact() {
        let history = ShellHistory.load()
        let editor = LineEditor(history: history)
        var splitter = StatementSplitter()
        var typed = ""
        showHost()
        showVersion()
        output.print("Use HELP for help.")
        while !isDone {
            output.flush()
            switch editor.readLine(prompt: prompt(splitter.unfinished)) {
            case .end:
                output.print("")
                isDone = true
            case .interrupted:
                splitter.reset()
                typed = ""
            case .line(let line):
                typed += typed.isEmpty ? line : " " + line
                splitter.append(line + "\n")
                while !isDone, let statement = splitter.next() { execute(statement) }
                if splitter.unfinished == .nothing {
                    history.add(typed)
                    typed = ""
                }
            }
        }
        output.flush()
    }

    private func prompt(_ unfinished: StatementSplitter.Unfinished) -> String {
        let name = keyspace.map { "coterie@\($0)" } ?? "coterie"
        guard unfinished != .nothing else { return name + "> " }
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

    /// Runs one statement or command, without its semicolon.
    func execute(_ statement: String) {
        defer { if isInteractive { output.flush() } }
        do {
            if try runCommand(statement) { return }
            try runStatement(statement)
        } catch {
            fail(ErrorText.text(error, statement: statement))
        }
    }

    /// Makes `name` the keyspace in use.
    func use(_ name: String) throws {
        let isQuoted = name.hasPrefix("\"")
        let quoted = name.split(separator: "\"", omittingEmptySubsequences: false)
            .joined(separator: "\"\"")
        try runStatement("USE " + (isQuoted ? name : "\"\(quoted)\""))
    }

    /// How statements are to be executed now.
    var queryOptions: QueryOptions {
        QueryOptions(
            consistency: consistency, serialConsistency: serialConsistency,
            pageSize: isPaging ? pageSize : nil)
    }

    private func runStatement(_ statement: String) throws {
        var options = queryOptions
        let response = try connection.query(statement, options)
        defer { printWarnings(response.prefix.warnings) }
        switch response.message {
        case .setKeyspace(let name): keyspace = name
        case .rows(let first):
            let isSelect =
                Self.firstWord(statement) == "select" || Self.firstWord(statement) == "list"
            try printRows(first, statement, &options, withCount: isSelect)
        case .void, .schemaChange: break
        case let other: throw ClientError.unexpectedAnswer("\(other)")
        }
    }

    static func firstWord(_ statement: String) -> String {
        statement.prefix { $0.isLetter }.lowercased()
    }

    private func printRows(
        _ first: ResultRows, _ statement: String, _ options: inout QueryOptions, withCount: Bool
    ) throws {
        let columns = first.columns ?? []
        var page = first
        var count = 0
        output.print("")
        while true {
            let isFirst = page.pagingState == first.pagingState && count == 0
            if page.rowCount > 0 || isFirst { printPage(page, columns, isFirst, count) }
            count += page.rowCount
            guard let state = page.pagingState else { break }
            if isInteractive, !waitForMore() { break }
            options.pagingState = state
            guard case .rows(let next) = try connection.query(statement, options).message else {
                throw ClientError.unexpectedAnswer("no rows for the next page")
            }
            page = next
        }
        guard withCount else { return }
        if !isInteractive { output.print("") }
        output.print("(\(count) rows)")
    }

    private func printPage(
        _ page: ResultRows, _ columns: [ColumnSpecification], _ isFirst: Bool, _ count: Int
    ) {
        let table = ResultTable(page, columns)
        if isExpanded, page.rowCount > 0 {
            table.printExpanded(to: output, first: count + 1)
            return
        }
        table.print(to: output, withHeader: isFirst || isInteractive)
        if isInteractive || page.rowCount == 0 { output.print("") }
    }

    /// Waits for Return between pages; false if the person has seen enough.
    private func waitForMore() -> Bool {
        output.print("---MORE---", terminator: "")
        output.flush()
        return readLine() != nil
    }

    func printWarnings(_ warnings: [String]) {
        guard !warnings.isEmpty else { return }
        output.print("\nWarnings :")
        for warning in warnings { output.print(warning + "\n") }
    }
}
