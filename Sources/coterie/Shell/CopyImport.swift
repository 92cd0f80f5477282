// COPY FROM: rows of CSV files into a table.
//
// Records are read in chunks and turned into values here; what does not read is written to the error
// file. Rows of one partition travel together in an unlogged batch, others alone, many at a time. A
// request that fails is sent again, up to MAXATTEMPTS times: an insert may happen twice without harm; an
// increment of a counter may not, so it is sent once.

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

    private let session: ShellSession
    private let table: CopiedTable
    /// Those of the file.
    private let fileColumns: [String]
    /// Those that are written.
    private let columns: [String]
    private let options: CopyOptions
    private let pattern: String?
    private let isCounter: Bool
    private let conversion: CopyConversion

    private var meter: CopyMeter
    private var failedRows = 0
    private var parseErrors = 0
    private var insertErrors = 0
    private var sentRows = 0
    private var inFlight: [(rows: [Row], attempts: Int, answer: EventLoopFuture<Response>)] = []
    private var prepared: PreparedStatement?

    init(
        _ session: ShellSession, _ table: CopiedTable, _ columns: [String], _ options: CopyOptions,
        _ file: String?
    ) {
        self.session = session
        self.table = table
        fileColumns = columns
        self.columns = columns.filter { !options.skippedColumns.contains($0) }
        self.options = options
        pattern = file
        let written = self.columns
        isCounter = table.columns.contains {
            $0.typeName == "counter" && written.contains($0.name)
        }
        conversion = CopyConversion(format: options.format)
        meter = CopyMeter(options, isShown: true)
    }

    /// Reads the files and fills the table.
    func run() throws {
        guard !columns.isEmpty else { throw ShellFailure("No valid column specified") }
        for key in table.primaryKey where !columns.contains(key.name) {
            throw ShellFailure("Primary key column '\(key.name)' missing or skipped")
        }
        let files = try pattern.map { try Self.files($0) } ?? []
        try moveErrorFile()
        session.output.print(ShellSession.startOfCopy(table, columns))
        session.output.flush()
        let statement = try session.connection.prepare(statementText())
        prepared = statement
        var counter = RecordCounter(options)
        if pattern == nil {
            session.output.print("[Use . on a line by itself to end input]")
            session.output.flush()
            try readStandardInput(&counter, statement)
        } else {
            for file in files where !counter.isDone { try read(file, &counter, statement) }
        }
        while !inFlight.isEmpty { try takeAnswer() }
        meter.report(session.output)
        if failedRows > 0 {
            session.fail(
                "Failed to process \(failedRows) rows; failed rows written to \(options.errorFile)")
        }
        session.output.print(
            "\n\(meter.total) rows imported from \(pattern == nil ? 1 : files.count) files in "
                + "\(CopyMeter.interval(meter.seconds)) (\(options.skippedRows) skipped).")
    }

    private func statementText() -> String {
        let ttl = options.timeToLive.map { " USING TTL \($0)" } ?? ""
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

    /// The files of a list of names and patterns.
    private static func files(_ list: String) throws -> [String] {
        var files: [String] = []
        for part in list.split(separator: ",") {
            let path = ShellSession.expandedPath(
                CopyConversion.unquoted(part))
            if access(path, F_OK) == 0 {
                files.append(path)
                continue
            }
            var found = glob_t()
            defer { globfree(&found) }
            guard glob(path, 0, nil, &found) == 0, found.gl_pathc > 0 else {
                throw ShellFailure("Can't open '\(path)' for reading: no matching file found")
            }
            for index in 0..<Int(found.gl_pathc) {
                if let name = found.gl_pathv[index] { files.append(String(cString: name)) }
            }
        }
        return files
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
        _ path: String, _ counter: inout RecordCounter, _ statement: PreparedStatement
    ) throws {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw ShellFailure(
                "Can't open '\(path)' for reading: \(String(cString: strerror(errno)))")
        }
        defer { _ = close(descriptor) }
        counter.beginFile()
        var reader = CSVReader(options.dialect)
        var chunk = [UInt8](repeating: 0, count: 64 * 1024)
        var rows: [Row] = []
        while !counter.isDone {
            #if canImport(Glibc)
                let count = Glibc.read(descriptor, &chunk, chunk.count)
            #else
                let count = Darwin.read(descriptor, &chunk, chunk.count)
            #endif
            guard count >= 0 else {
                throw ShellFailure("Can't read '\(path)': \(String(cString: strerror(errno)))")
            }
            if count > 0 { reader.append(chunk[0..<count]) } else { reader.finish() }
            try take(&reader, &counter, &rows, statement)
            if count == 0 { break }
        }
        try send(&rows)
    }

    private func readStandardInput(
        _ counter: inout RecordCounter, _ statement: PreparedStatement
    ) throws {
        counter.beginFile()
        var reader = CSVReader(options.dialect)
        var rows: [Row] = []
        while let line = session.nextInputLine(), line != ".", line != "\\." {
            reader.append((line + "\n").utf8)
            try take(&reader, &counter, &rows, statement)
        }
        reader.finish()
        try take(&reader, &counter, &rows, statement)
        try send(&rows)
    }

    private func take(
        _ reader: inout CSVReader, _ counter: inout RecordCounter, _ rows: inout [Row],
        _ statement: PreparedStatement
    ) throws {
        while let record = reader.next() {
            guard counter.counts(record) else { continue }
            do {
                rows.append(try row(record, statement))
            } catch let failure as CopyParseFailure {
                try giveUp([record], "ParseError - \(failure)", isParseError: true)
            }
            if rows.count >= options.chunkSize { try send(&rows) }
        }
    }

    // MARK: - Rows

    private func row(_ record: [String], _ statement: PreparedStatement) throws -> Row {
        guard record.count == fileColumns.count else {
            throw CopyParseFailure(
                "Invalid row length \(record.count) should be \(fileColumns.count)")
        }
        var byName: [String: String] = [:]
        for (name, field) in zip(fileColumns, record) { byName[name] = field }
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
        let keys = Set(table.partitionKey.map(\.name))
        for marker in statement.markers {
            switch try conversion.value(byName[marker.name] ?? "", marker.type) {
            case .null:
                // An increment by nothing is one by zero.
                values.append(isCounter ? .bytes([UInt8](repeating: 0, count: 8)) : .null)
            case .bytes(let bytes):
                values.append(.bytes(bytes))
                if keys.contains(marker.name) {
                    withUnsafeBytes(of: UInt32(clamping: bytes.count)) { partition += $0 }
                    partition += bytes
                }
            }
        }
        return Row(fields: record, values: values, partition: partition)
    }

    /// Sends the rows, those of one partition together.
    private func send(_ rows: inout [Row]) throws {
        var order: [[UInt8]] = []
        var groups: [[UInt8]: [Row]] = [:]
        for row in rows {
            if groups[row.partition] == nil { order.append(row.partition) }
            groups[row.partition, default: []].append(row)
        }
        rows.removeAll(keepingCapacity: true)
        for partition in order {
            var rest = (groups[partition] ?? [])[...]
            let size = rest.count >= options.minimumBatchSize ? options.maximumBatchSize : 1
            while !rest.isEmpty {
                let part = Array(rest.prefix(size))
                rest = rest.dropFirst(size)
                while inFlight.count >= options.maximumInFlight { try takeAnswer() }
                throttle()
                sentRows += part.count
                try ask(part, attempts: 1)
            }
        }
    }

    private func throttle() {
        let due = Double(sentRows) / Double(options.ingestRate)
        let early = due - meter.seconds
        if early > 0.001 { usleep(UInt32(min(early, 1) * 1_000_000)) }
    }

    private func ask(_ rows: [Row], attempts: Int) throws {
        guard let prepared else { throw ShellFailure("nothing is prepared") }
        var options = QueryOptions(consistency: session.consistency)
        let answer: EventLoopFuture<Response>
        if rows.count == 1, let row = rows.first {
            options.values = row.values
            answer = session.connection.executing(prepared, options)
        } else {
            let items = rows.map { BatchItem(.prepared(id: prepared.id), values: $0.values) }
            answer = session.connection.executing(isCounter ? .counter : .unlogged, items, options)
        }
        inFlight.append((rows, attempts, answer))
    }

    private func takeAnswer() throws {
        let (rows, attempts, answer) = inFlight.removeFirst()
        do {
            _ = try answer.wait()
            meter.add(rows.count, session.output)
        } catch {
            let text = ErrorText.text(error).replacing(": ", with: " - ", maxReplacements: 1)
            if attempts < options.maximumAttempts, !isCounter {
                session.fail(
                    "Failed to import \(rows.count) rows: \(text),  will retry later, attempt "
                        + "\(attempts) of \(options.maximumAttempts)")
                if case ErrorText.Cause.unprepared = ErrorText.cause(error) {
                    prepared = try session.connection.prepare(statementText())
                }
                try ask(rows, attempts: attempts + 1)
            } else {
                try giveUp(
                    rows.map(\.fields), text, isParseError: false, attempts: attempts)
            }
        }
    }

    private func giveUp(
        _ records: [[String]], _ text: String, isParseError: Bool, attempts: Int = 1
    ) throws {
        failedRows += records.count
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
        if options.maximumParseErrors >= 0, parseErrors > options.maximumParseErrors {
            throw ShellFailure(
                "Exceeded maximum number of parse errors \(options.maximumParseErrors)")
        }
        if options.maximumInsertErrors >= 0, insertErrors > options.maximumInsertErrors {
            throw ShellFailure(
                "Exceeded maximum number of insert errors \(options.maximumInsertErrors)")
        }
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
        return read > options.skippedRows && !record.isEmpty
    }
}
