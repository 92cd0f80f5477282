// COPY FROM: rows of CSV files into a table.
//
// Records are read in chunks and turned into values here; what does not read is told once for each reason
// in a chunk, and written to the error file. Rows of one partition travel together in an unlogged batch,
// others alone, many at a time. A request that fails is sent again, up to MAXATTEMPTS times: an insert may
// happen twice without harm; an increment of a counter may not, so it is sent once.

internal import Model
internal import NIOCore
internal import NativeClient
internal import NativeProtocol

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// One import.
final class CopyImport {
    private struct Row {
        let fields: [String]
        let values: [BindValue]
        /// The partition's serialized key columns, one after the other.
        let partition: [UInt8]
    }

    /// Rows on their way to a node.
    private struct Batch {
        let rows: [Row]
        let worker: Int
        let attempts: Int
        let answer: EventLoopFuture<Response>
    }

    private let session: ShellSession
    private let table: CopiedTable
    /// Those that are written, and where they stand in a record.
    private let columns: [String]
    private let positions: [Int]
    private let fieldCount: Int
    private let options: CopyOptions
    private let pattern: String?
    private let isCounter: Bool
    private let conversion: CopyConversion
    private let workers: CopyWorkers
    /// The statement that writes a row.
    private let statementText: String
    private let partitionKey: Set<String>

    private var meter: CopyMeter
    private var failedRows = 0
    private var parseErrors = 0
    private var insertErrors = 0
    private var sentRows = 0
    private var chunks = 0
    private var chunk: [[String]] = []
    private var inFlight: [Batch] = []
    /// Whether there were more errors than may be.
    private var isGivenUp = false

    init(
        _ session: ShellSession, _ table: CopiedTable, _ columns: [String], _ options: CopyOptions,
        _ file: String?
    ) {
        self.session = session
        self.table = table
        positions = columns.indices.filter { !options.skippedColumns.contains(columns[$0]) }
        self.columns = positions.map { columns[$0] }
        fieldCount = columns.count
        self.options = options
        pattern = file
        let written = self.columns
        isCounter = table.columns.contains {
            $0.typeName == "counter" && written.contains($0.name)
        }
        conversion = CopyConversion(format: options.format)
        meter = CopyMeter(options, isShown: true)
        workers = CopyWorkers(session, maximum: options.connections)
        statementText = Self.statement(
            table, written, isCounter: isCounter, timeToLive: options.timeToLive)
        partitionKey = Set(table.partitionKey.map(\.name))
    }

    /// Reads the files and fills the table.
    func run() throws {
        guard !columns.isEmpty else { throw ShellFailure("No valid column specified") }
        for key in table.primaryKey where !columns.contains(key.name) {
            throw ShellFailure("Primary key column '\(key.name)' missing or skipped")
        }
        defer { workers.close() }
        try moveErrorFile()
        session.output.print(ShellSession.startOfCopy(table, columns))
        session.output.flush()
        let statement = try workers.prepared(statementText, by: 0)
        var counter = RecordCounter(options)
        var fileCount = 1
        if let pattern {
            fileCount = try readFiles(of: pattern, &counter, statement)
        } else {
            session.output.print("[Use . on a line by itself to end input]")
            session.output.flush()
            try readStandardInput(&counter, statement)
        }
        while !inFlight.isEmpty { try takeAnswer() }
        if failedRows > 0 {
            session.fail(
                "Failed to process \(failedRows) rows; failed rows written to \(options.errorFile)")
        }
        meter.report(session.output)
        session.output.print(
            "\n\(meter.total - failedRows) rows imported from \(fileCount) files in "
                + "\(CopyMeter.interval(meter.seconds)) (\(options.skippedRows) skipped).")
    }

    /// The statement that writes a row, with a marker for each column.
    private static func statement(
        _ table: CopiedTable, _ columns: [String], isCounter: Bool, timeToLive: Int?
    ) -> String {
        let ttl = timeToLive.map { " USING TTL \($0)" } ?? ""
        guard isCounter else {
            let names = columns.map(CQLIdentifier.quoted).joined(separator: ", ")
            let marks = columns.map { _ in "?" }.joined(separator: ", ")
            return "INSERT INTO \(table.qualifiedName) (\(names)) VALUES (\(marks))\(ttl)"
        }
        let keys = table.primaryKey.map(\.name)
        let counters = columns.filter { !keys.contains($0) }.map(CQLIdentifier.quoted)
        let wheres = keys.map { "\(CQLIdentifier.quoted($0)) = ?" }.joined(separator: " AND ")
        let sets = counters.map { "\($0) = \($0) + ?" }.joined(separator: ", ")
        return "UPDATE \(table.qualifiedName) SET \(sets) WHERE \(wheres)"
    }

    // MARK: - Files

    /// Reads the files of a list of names and patterns up to one that is not there; how many were read.
    private func readFiles(
        of list: String, _ counter: inout RecordCounter, _ statement: PreparedStatement
    ) throws -> Int {
        var count = 0
        do {
            for part in list.split(separator: ",") {
                for file in try Self.files(ShellSession.expandedPath(PythonNumber.stripped(part))) {
                    guard !isGivenUp else { return count }
                    let descriptor = open(file, O_RDONLY | O_CLOEXEC)
                    guard descriptor >= 0 else {
                        throw UnreadableFile(
                            "Can't open \(PythonText.quoted(file)) for reading: "
                                + PythonText.fileError(errno, file))
                    }
                    defer { _ = close(descriptor) }
                    count += 1
                    try read(descriptor, file, &counter, statement)
                }
            }
        } catch let unreadable as UnreadableFile {
            session.fail(
                "Failed to import 0 rows: OSError - \(unreadable.text),  given up after 1 attempts")
        }
        return count
    }

    private struct UnreadableFile: Error {
        let text: String
        init(_ text: String) { self.text = text }
    }

    /// The file of that name, or those that the pattern stands for.
    private static func files(_ path: String) throws(UnreadableFile) -> [String] {
        var status = stat()
        if stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG { return [path] }
        var found = glob_t()
        defer { globfree(&found) }
        guard glob(path, 0, nil, &found) == 0, found.gl_pathc > 0 else {
            throw UnreadableFile(
                "Can't open \(PythonText.quoted(path)) for reading: no matching file found")
        }
        return (0..<Int(found.gl_pathc)).compactMap { index in
            found.gl_pathv[index].map { String(cString: $0) }
        }
    }

    /// An error file of an earlier import gets the time into its name.
    private func moveErrorFile() throws {
        guard access(options.errorFile, F_OK) == 0 else { return }
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        let stamp = TimestampFormat(pattern: ".%Y%m%d_%H%M%S").text(Int64(now.tv_sec) * 1_000)
        guard rename(options.errorFile, options.errorFile + stamp) == 0 else {
            throw ShellFailure(
                "Can't rename '\(options.errorFile)': \(String(cString: strerror(errno)))")
        }
    }

    private func read(
        _ descriptor: Int32, _ path: String, _ counter: inout RecordCounter,
        _ statement: PreparedStatement
    ) throws {
        counter.beginFile()
        var reader = CSVReader(options.dialect)
        var bytes = [UInt8](repeating: 0, count: 64 * 1024)
        while !isGivenUp {
            #if canImport(Glibc)
                let count = Glibc.read(descriptor, &bytes, bytes.count)
            #else
                let count = Darwin.read(descriptor, &bytes, bytes.count)
            #endif
            guard count >= 0 else {
                throw UnreadableFile(PythonText.fileError(errno, path))
            }
            if count > 0 { reader.append(bytes[0..<count]) } else { reader.finish() }
            try take(&reader, &counter, statement)
            if count == 0 || counter.isDone { break }
        }
        try endChunk(statement)
    }

    private func readStandardInput(
        _ counter: inout RecordCounter, _ statement: PreparedStatement
    ) throws {
        counter.beginFile()
        var reader = CSVReader(options.dialect)
        while let line = session.nextInputLine(), line != "." {
            reader.append((line + "\n").utf8)
            try take(&reader, &counter, statement)
        }
        reader.finish()
        try take(&reader, &counter, statement)
        try endChunk(statement)
    }

    private func take(
        _ reader: inout CSVReader, _ counter: inout RecordCounter, _ statement: PreparedStatement
    ) throws {
        while let record = reader.next() {
            guard counter.counts(record), !isGivenUp else { continue }
            chunk.append(record)
            if chunk.count >= options.chunkSize { try endChunk(statement) }
        }
    }

    /// Turns the records of a chunk into rows and sends them; tells each reason why some are none.
    private func endChunk(_ statement: PreparedStatement) throws {
        guard !chunk.isEmpty else { return }
        let worker = try workers.worker(of: chunks)
        chunks += 1
        var rows: [Row] = []
        var reasons: [String] = []
        var refused: [String: [[String]]] = [:]
        for record in chunk {
            let fields = positions.count == fieldCount ? record : withoutSkipped(record)
            do throws(CopyParseFailure) {
                rows.append(try row(fields, statement))
            } catch {
                if refused[error.description] == nil { reasons.append(error.description) }
                refused[error.description, default: []].append(fields)
            }
        }
        chunk.removeAll(keepingCapacity: true)
        for reason in reasons {
            try giveUp(refused[reason] ?? [], "ParseError - \(reason)", isParseError: true)
        }
        if !isGivenUp { try send(rows, worker) }
    }

    /// The record without the fields of skipped columns; one of another length keeps the others.
    private func withoutSkipped(_ record: [String]) -> [String] {
        record.indices.compactMap { index in
            index < fieldCount && !positions.contains(index) ? nil : record[index]
        }
    }

    // MARK: - Rows

    private func row(
        _ record: [String], _ statement: PreparedStatement
    ) throws(CopyParseFailure) -> Row {
        guard record.count == columns.count else {
            throw CopyParseFailure("Invalid row length \(record.count) should be \(columns.count)")
        }
        var byName: [String: String] = [:]
        for (name, field) in zip(columns, record) { byName[name] = field }
        for key in table.primaryKey where byName[key.name] == options.format.nullText {
            var text = "Cannot insert null value for primary key column '\(key.name)'."
            if options.format.nullText.isEmpty {
                text +=
                    " If you want to insert empty strings, consider using the WITH NULL=<marker> "
                    + "option for COPY."
            }
            throw CopyParseFailure(text)
        }
        var values: [BindValue] = []
        var partition: [UInt8] = []
        for marker in statement.markers {
            let field = byName[marker.name] ?? ""
            let isKey = partitionKey.contains(marker.name)
            if !options.isPrepared, !isCounter {
                // The server reads the text; only where the row goes has to be known here.
                values.append(.bytes(Array(conversion.literal(field, marker.type).utf8)))
                if isKey { Self.append(try conversion.keyValue(field, marker.type), &partition) }
                continue
            }
            switch try conversion.value(field, marker.type) {
            case .null:
                // An increment by nothing is one by zero.
                values.append(isCounter ? .bytes([UInt8](repeating: 0, count: 8)) : .null)
            case .bytes(let bytes):
                values.append(.bytes(bytes))
                if isKey { Self.append(bytes, &partition) }
            }
        }
        return Row(fields: record, values: values, partition: partition)
    }

    private static func append(_ bytes: [UInt8], _ partition: inout [UInt8]) {
        withUnsafeBytes(of: UInt32(clamping: bytes.count)) { partition += $0 }
        partition += bytes
    }

    /// Sends the rows, those of one partition together.
    private func send(_ rows: [Row], _ worker: Int) throws {
        var order: [[UInt8]] = []
        var groups: [[UInt8]: [Row]] = [:]
        for row in rows {
            if groups[row.partition] == nil { order.append(row.partition) }
            groups[row.partition, default: []].append(row)
        }
        for partition in order {
            var rest = (groups[partition] ?? [])[...]
            let size = rest.count >= options.minimumBatchSize ? options.maximumBatchSize : 1
            while !rest.isEmpty {
                let part = Array(rest.prefix(size))
                rest = rest.dropFirst(size)
                while inFlight.count >= options.maximumInFlight { try takeAnswer() }
                if isGivenUp { return }
                throttle()
                sentRows += part.count
                try ask(part, worker, attempts: 1)
            }
        }
    }

    private func throttle() {
        let due = Double(sentRows) / Double(options.ingestRate)
        let early = due - meter.seconds
        if early > 0.001 { usleep(UInt32(min(early, 1) * 1_000_000)) }
    }

    private func ask(_ rows: [Row], _ worker: Int, attempts: Int) throws {
        let connection = workers.connection(worker)
        var request = QueryOptions(consistency: session.consistency)
        let answer: EventLoopFuture<Response>
        if !options.isPrepared, !isCounter {
            let items = rows.map { BatchItem(.text(insertion(of: $0))) }
            answer = connection.executing(.unlogged, items, request)
        } else if rows.count == 1, let row = rows.first {
            request.values = row.values
            answer = connection.executing(
                try workers.prepared(statementText, by: worker), request)
        } else {
            let prepared = try workers.prepared(statementText, by: worker)
            let items = rows.map { BatchItem(.prepared(id: prepared.id), values: $0.values) }
            answer = connection.executing(isCounter ? .counter : .unlogged, items, request)
        }
        inFlight.append(Batch(rows: rows, worker: worker, attempts: attempts, answer: answer))
    }

    /// The text that inserts a row whose values are texts.
    private func insertion(of row: Row) -> String {
        let names = columns.map(CQLIdentifier.quoted).joined(separator: ", ")
        let literals = row.values.map { value in
            guard case .bytes(let bytes) = value else { return "NULL" }
            return String(decoding: bytes, as: UTF8.self)
        }
        let ttl = options.timeToLive.map { " USING TTL \($0)" } ?? ""
        return "INSERT INTO \(table.qualifiedName) (\(names)) VALUES "
            + "(\(literals.joined(separator: ",")))\(ttl)"
    }

    private func takeAnswer() throws {
        let batch = inFlight.removeFirst()
        do {
            _ = try batch.answer.wait()
            meter.add(batch.rows.count, session.output)
        } catch {
            let (name, message) = session.driverParts(error)
            let text = "\(name) - \(message)"
            guard batch.attempts < options.maximumAttempts, !isCounter, !isGivenUp else {
                try giveUp(
                    batch.rows.map(\.fields), text, isParseError: false, attempts: batch.attempts)
                return
            }
            session.fail(
                "Failed to import \(batch.rows.count) rows: \(text),  will retry later, attempt "
                    + "\(batch.attempts) of \(options.maximumAttempts)")
            if ErrorText.cause(error) == .unprepared {
                workers.forget(statementText, by: batch.worker)
            }
            try ask(batch.rows, batch.worker, attempts: batch.attempts + 1)
        }
    }

    /// Tells why records are not in the table, writes them to the error file, and sees whether that were
    /// too many.
    private func giveUp(
        _ records: [[String]], _ text: String, isParseError: Bool, attempts: Int = 1
    ) throws {
        failedRows += records.count
        meter.add(records.count, session.output)
        session.fail(
            "Failed to import \(records.count) rows: \(text),  given up "
                + (isParseError ? "without retries" : "after \(attempts) attempts"))
        let file = open(
            options.errorFile, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, mode_t(0o644))
        guard file >= 0 else {
            throw ShellFailure(
                "Can't write to '\(options.errorFile)': \(String(cString: strerror(errno)))")
        }
        defer { _ = close(file) }
        var bytes: [UInt8] = []
        for record in records { options.dialect.append(record, to: &bytes) }
        ShellOutput.write(bytes, to: file)
        if isParseError { parseErrors += records.count } else { insertErrors += records.count }
        guard !isGivenUp else { return }
        checkLimit("insert", insertErrors, options.maximumInsertErrors)
        if !isGivenUp { checkLimit("parse", parseErrors, options.maximumParseErrors) }
    }

    private func checkLimit(_ kind: String, _ count: Int, _ maximum: Int) {
        guard maximum >= 0, count > maximum else { return }
        session.fail("Exceeded maximum number of \(kind) errors \(maximum)")
        isGivenUp = true
    }
}

/// Which records of the files count.
private struct RecordCounter {
    private let options: CopyOptions
    private var read = 0
    private var isHeaderDue = false
    private(set) var isDone = false

    init(_ options: CopyOptions) { self.options = options }

    mutating func beginFile() { isHeaderDue = options.hasHeader }

    /// Whether the record is a row; counts it.
    mutating func counts(_ record: [String]) -> Bool {
        if isHeaderDue {
            isHeaderDue = false
            return false
        }
        guard !isDone else { return false }
        read += 1
        if options.maximumRows >= 0, read > options.maximumRows {
            isDone = true
            return false
        }
        return read > options.skippedRows
    }
}
