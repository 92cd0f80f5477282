// COPY TO: a table as CSV.
//
// The ring is cut at the nodes' tokens; several ranges are read at a time, each page by page. Pages are
// taken in the order in which they were asked for, so the same table gives the same file. A page that
// fails is asked for again: no row is written twice, and none is left out while attempts last.

internal import Model
internal import NIOCore
internal import NativeClient
internal import NativeProtocol

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// One export.
struct CopyExport {
    private let session: ShellSession
    private let table: CopiedTable
    private let columns: [String]
    private let options: CopyOptions
    private let path: String?

    init(
        _ session: ShellSession, _ table: CopiedTable, _ columns: [String], _ options: CopyOptions,
        _ file: String?
    ) {
        self.session = session
        self.table = table
        self.columns = columns
        self.options = options
        path = file.map(ShellSession.expandedPath)
    }

    /// A range of tokens, and how far it is.
    private struct Piece {
        let name: String
        let worker: Int
        let prepared: PreparedStatement
        let values: [BindValue]
        var pagingState: [UInt8]?
        var attempts = 1
        var rows = 0
    }

    /// Reads the table and writes the file.
    func run() throws {
        if let begin = options.beginToken, let end = options.endToken, begin > end {
            throw ShellFailure("Begin token \(begin) must be smaller than end token \(end)")
        }
        if path == nil, options.maximumOutputRows > 0 {
            session.fail(
                "WARNING: maxoutputsize \(options.maximumOutputRows) ignored when writing to STDOUT"
            )
        }
        let output = session.output
        let workers = CopyWorkers(session, maximum: options.connections)
        defer { workers.close() }
        var pieces = try self.pieces(workers)[...]
        let total = pieces.count
        let writer = try CopyWriter(path, columns, options, output)
        defer { writer.close() }
        if path != nil { output.print(ShellSession.startOfCopy(table, columns)) }
        var meter = CopyMeter(options, isShown: path != nil)
        var inFlight: [(piece: Piece, answer: EventLoopFuture<Response>)] = []
        var failed = 0
        let maximum = options.maximumRequests * options.connections
        while !pieces.isEmpty || !inFlight.isEmpty {
            while inFlight.count < maximum, let piece = pieces.popFirst() {
                inFlight.append((piece, ask(piece, workers)))
            }
            var (piece, answer) = inFlight.removeFirst()
            do {
                guard case .rows(let page) = try answer.wait().message else {
                    throw ClientError.unexpectedAnswer("no rows to a page of \(table.name)")
                }
                piece.pagingState = page.pagingState
                piece.rows += page.rowCount
                if page.pagingState != nil {
                    piece.attempts = 1
                    inFlight.append((piece, ask(piece, workers)))
                }
                try write(page, piece.prepared.columns, writer)
                meter.add(page.rowCount, output)
            } catch let failure as ShellFailure {
                throw failure
            } catch {
                if tellsToRetry(piece, error) {
                    piece.attempts += 1
                    inFlight.append((piece, ask(piece, workers)))
                } else {
                    failed += 1
                }
            }
        }
        if path != nil { meter.report(output) }
        if failed > 0 {
            session.fail(
                "Exported \(total - failed) ranges out of \(total) total ranges, some records might "
                    + "be missing")
        }
        if path != nil {
            output.print(
                "\n\(meter.total) rows exported to \(writer.fileCount) files in "
                    + "\(CopyMeter.interval(meter.seconds)).")
        }
    }

    /// Tells an error; whether the page is to be asked for again.
    private func tellsToRetry(_ piece: Piece, _ error: any Error) -> Bool {
        let (name, message) = session.driverParts(error)
        let text = "Error for \(piece.name): \(name) - \(message)"
        guard piece.attempts < options.maximumAttempts else {
            session.fail(
                text + " (permanently given up after \(piece.rows) rows and \(piece.attempts) "
                    + "attempts)")
            return false
        }
        session.fail(
            text + " (will try again later attempt \(piece.attempts) of "
                + "\(options.maximumAttempts))")
        return true
    }

    private func ask(_ piece: Piece, _ workers: CopyWorkers) -> EventLoopFuture<Response> {
        workers.connection(piece.worker).executing(
            piece.prepared,
            QueryOptions(
                consistency: session.consistency, values: piece.values,
                pageSize: options.pageSize > 0 ? options.pageSize : nil,
                pagingState: piece.pagingState))
    }

    private func pieces(_ workers: CopyWorkers) throws -> [Piece] {
        let list = columns.map(CQLIdentifier.quoted).joined(separator: ", ")
        let key = table.partitionKey.map { CQLIdentifier.quoted($0.name) }.joined(separator: ", ")
        let select = "SELECT \(list) FROM \(table.qualifiedName)"
        let ranges = TokenRanges.cut(
            try TokenRanges.tokens(session.connection), begin: options.beginToken,
            end: options.endToken)
        return try ranges.enumerated().map { number, range in
            var conditions: [String] = []
            var values: [BindValue] = []
            if let start = range.start {
                conditions.append("token(\(key)) > ?")
                values.append(.bytes(Self.bytes(start)))
            }
            if let end = range.end {
                conditions.append("token(\(key)) <= ?")
                values.append(.bytes(Self.bytes(end)))
            }
            let text =
                select
                + (conditions.isEmpty ? "" : " WHERE " + conditions.joined(separator: " AND "))
            let worker = try workers.worker(of: number)
            let statement = try workers.prepared(text, by: worker)
            let name =
                "(\(range.start.map(String.init) ?? "None"), "
                + "\(range.end.map(String.init) ?? "None"))"
            return Piece(name: name, worker: worker, prepared: statement, values: values)
        }
    }

    private static func bytes(_ token: Int64) -> [UInt8] {
        withUnsafeBytes(of: token.bigEndian) { Array($0) }
    }

    private func write(
        _ page: ResultRows, _ columns: [ColumnSpecification], _ writer: CopyWriter
    ) throws {
        let columns = page.columns ?? columns
        for row in 0..<page.rowCount {
            let fields = columns.enumerated().map { index, column in
                page.withValue(row: row, column: index) { value -> String in
                    guard let value, !Self.isAbsent(value, column.type) else {
                        return options.format.nullText
                    }
                    return options.format.shown(value, column.type).text
                }
            }
            try writer.write(fields)
        }
    }

    /// An empty value of a type that has none counts as null in a CSV file.
    private static func isAbsent(_ value: UnsafeRawBufferPointer, _ type: CQLType) -> Bool {
        guard value.isEmpty else { return false }
        switch type {
        case .text, .ascii, .blob, .custom, .tuple, .userDefined: return false
        default: return true
        }
    }
}

/// The file, or files, of an export.
final class CopyWriter {
    private let path: String?
    private let options: CopyOptions
    private let output: ShellOutput
    private var descriptor: Int32 = -1
    private var buffer: [UInt8] = []
    private var rowsInFile = 0
    private(set) var fileCount = 0

    init(
        _ path: String?, _ columns: [String], _ options: CopyOptions, _ output: ShellOutput
    ) throws {
        self.path = path
        self.options = options
        self.output = output
        try open()
        if options.hasHeader { options.dialect.append(columns, to: &buffer) }
    }

    private func open() throws {
        guard let path else { return }
        let name = fileCount == 0 ? path : "\(path).\(fileCount)"
        #if canImport(Glibc)
            descriptor = Glibc.open(
                name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode_t(0o644))
        #else
            descriptor = Darwin.open(
                name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode_t(0o644))
        #endif
        guard descriptor >= 0 else {
            throw ShellFailure(
                "Can't open \(PythonText.quoted(name)) for writing: "
                    + PythonText.fileError(errno, name))
        }
        fileCount += 1
    }

    /// Adds a row; begins another file where the one is full.
    func write(_ fields: [String]) throws {
        if path != nil, options.maximumOutputRows > 0, rowsInFile == options.maximumOutputRows {
            close()
            try open()
            rowsInFile = 0
        }
        options.dialect.append(fields, to: &buffer)
        rowsInFile += 1
        if buffer.count > 1 << 18 { try flush() }
    }

    private func flush() throws {
        defer { buffer.removeAll(keepingCapacity: true) }
        guard path != nil else {
            output.print(String(decoding: buffer, as: UTF8.self), terminator: "")
            return
        }
        guard ShellOutput.write(buffer, to: descriptor) else {
            throw ShellFailure(
                "Can't write to '\(path ?? "")': \(String(cString: strerror(errno)))")
        }
    }

    /// Writes what waits and closes the file. A full disk is told by the writes before.
    func close() {
        do { try flush() } catch { output.printError("\(error)") }
        #if canImport(Glibc)
            if descriptor >= 0 { _ = Glibc.close(descriptor) }
        #else
            if descriptor >= 0 { _ = Darwin.close(descriptor) }
        #endif
        descriptor = -1
    }
}
