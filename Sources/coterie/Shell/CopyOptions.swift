// The options of COPY, with cqlsh's names, defaults and rules.
//
// They come from the sections [copy], [copy-to] or [copy-from], and those with the table's name, of the
// settings' files or of CONFIGFILE, and then from the statement. NUMPROCESSES is how many connections
// share the work, where cqlsh has processes; options of its processes' pipes, which there are none of
// here, are accepted and named in a warning.

/// How COPY reads or writes.
struct CopyOptions: Equatable {
    static let commonNames = [
        "BOOLSTYLE", "CONFIGFILE", "DATETIMEFORMAT", "DECIMALSEP", "DELIMITER", "ENCODING",
        "ESCAPE",
        "HEADER", "MAXATTEMPTS", "NULL", "NUMPROCESSES", "QUOTE", "RATEFILE", "REPORTFREQUENCY",
        "THOUSANDSSEP",
    ]
    static let importNames =
        commonNames + [
            "CHUNKSIZE", "ERRFILE", "INGESTRATE", "MAXBATCHSIZE", "MAXINSERTERRORS",
            "MAXPARSEERRORS", "MAXROWS", "MINBATCHSIZE", "PREPAREDSTATEMENTS", "SKIPCOLS",
            "SKIPROWS",
            "TTL",
        ]
    static let exportNames =
        commonNames + [
            "BEGINTOKEN", "DOUBLEPRECISION", "ENDTOKEN", "FLOATPRECISION", "MAXOUTPUTSIZE",
            "MAXREQUESTS", "PAGESIZE", "PAGETIMEOUT",
        ]
    /// What only makes sense for cqlsh's processes.
    private static let withoutEffect: Set<String> = [
        "childtimeout", "maxbackoffattempts", "maxpendingchunks", "pagetimeout", "requesttimeout",
    ]

    var dialect = CSVDialect()
    var hasHeader = false
    var format = ValueFormat(doublePrecision: 12, nullText: "")
    var maximumAttempts = 5
    /// How many connections share the work.
    var connections: Int
    var reportSeconds = 0.25
    var rateFile = ""

    /// Nothing or less: whole ranges in one page.
    var pageSize = 1_000
    var maximumRequests = 6
    var beginToken: Int64?
    var endToken: Int64?
    var maximumOutputRows = -1

    var chunkSize = 5_000
    var ingestRate = 100_000
    var minimumBatchSize = 10
    var maximumBatchSize = 20
    var maximumRows = -1
    var skippedRows = 0
    var skippedColumns: [String] = []
    var maximumParseErrors = -1
    var maximumInsertErrors = 1_000
    var errorFile: String
    var timeToLive: Int?
    /// Whether rows go as values of a prepared statement, or each as the text of one.
    var isPrepared = true
    var maximumInFlight = 512
    /// Lines for the person.
    var notices: [String] = []
    /// Names that nobody knows.
    private(set) var unrecognized: [String] = []

    /// Reads the options in order; a later one wins. `cores` are this machine's.
    init(
        _ options: [(name: String, value: String)], _ direction: CopyStatement.Direction,
        keyspace: String, table: String, timestampPattern: String = TimestampFormat.standardPattern,
        cores: Int = 2
    ) throws(ShellFailure) {
        connections = max(1, min(16, cores - 1))
        errorFile = "import_\(keyspace)_\(table).err"
        format.timestamps = TimestampFormat(
            pattern: timestampPattern, isCutToMilliseconds: true)
        let known = direction == .to ? Self.exportNames : Self.importNames
        for (name, value) in options {
            if Self.withoutEffect.contains(name) {
                notices.append("\(name.uppercased()) has no effect: there are no child processes")
            } else if name == "maxinflightmessages" || known.contains(name.uppercased()) {
                try set(name, value)
            } else if (Self.importNames + Self.exportNames).contains(name.uppercased()) {
                // As cqlsh: an option of the other direction is taken and means nothing.
                notices.append("\(name.uppercased()) has no effect in COPY \(direction.rawValue)")
            } else {
                unrecognized.append(name)
            }
        }
        if dialect.quote == dialect.escape { dialect.escape = nil }
    }

    private mutating func set(_ name: String, _ value: String) throws(ShellFailure) {
        func number(
            _ range: ClosedRange<Int> = Int.min...Int.max
        ) throws(ShellFailure) -> Int {
            guard let number = PythonNumber.integer(value).flatMap({ Int($0) }) else {
                throw ShellFailure(PythonNumber.noInteger(value))
            }
            guard range.contains(number) else {
                throw ShellFailure(
                    "\(name.uppercased()) = \(number) is not between \(range.lowerBound) and "
                        + "\(range.upperBound)")
            }
            return number
        }
        func character() throws(ShellFailure) -> UInt8 {
            let bytes = Array((value == "\\t" ? "\t" : value).utf8)
            guard bytes.count == 1, bytes[0] < 0x80 else {
                throw ShellFailure("\"\(name)\" must be a 1-character string")
            }
            return bytes[0]
        }
        let any = 1...1_000_000_000
        switch name {
        case "delimiter": dialect.delimiter = try character()
        case "quote": dialect.quote = try character()
        case "escape": dialect.escape = try character()
        case "header": hasHeader = value.lowercased() == "true"
        case "null": format.nullText = value
        case "encoding":
            if !["utf8", "utf-8"].contains(value.lowercased()) {
                notices.append("ENCODING = \(value) has no effect: files are UTF-8")
            }
        case "datetimeformat": format.timestamps.pattern = value
        case "decimalsep": format.decimalSeparator = value
        case "thousandssep": format.thousandsSeparator = value
        case "boolstyle": try setBooleans(value)
        case "maxattempts": maximumAttempts = try number()
        case "numprocesses": connections = try number(1...1_000)
        case "reportfrequency":
            guard let seconds = Double(value), seconds.isFinite else {
                throw ShellFailure(PythonNumber.noFloat(value))
            }
            reportSeconds = min(max(seconds, 0), 1e6)
        case "ratefile": rateFile = ShellSession.expandedPath(value)
        case "pagesize": pageSize = try number(Int.min...Int(Int32.max))
        case "maxrequests": maximumRequests = try number(1...32_000)
        case "begintoken": beginToken = try Self.token(value)
        case "endtoken": endToken = try Self.token(value)
        case "maxoutputsize": maximumOutputRows = try number()
        case "floatprecision": format.floatPrecision = try number(0...60)
        case "doubleprecision": format.doublePrecision = try number(0...60)
        case "chunksize": chunkSize = try number(any)
        case "ingestrate": ingestRate = try number(any)
        case "minbatchsize": minimumBatchSize = try number(any)
        case "maxbatchsize": maximumBatchSize = try number(1...65_535)
        case "maxrows": maximumRows = try number()
        case "skiprows": skippedRows = try number()
        case "skipcols":
            skippedColumns = value.split(separator: ",").map { PythonNumber.stripped($0) }
        case "maxparseerrors": maximumParseErrors = try number()
        case "maxinserterrors": maximumInsertErrors = try number()
        case "errfile": errorFile = ShellSession.expandedPath(value)
        case "ttl":
            let seconds = try number()
            timeToLive = seconds < 0 ? nil : seconds
        case "maxinflightmessages": maximumInFlight = try number(1...32_000)
        case "preparedstatements":
            isPrepared = value.lowercased() == "true"
        default: break
        }
    }

    /// The words for true and false, which a comma parts.
    private mutating func setBooleans(_ value: String) throws(ShellFailure) {
        let words = value.split(separator: ",", omittingEmptySubsequences: false)
            .map { PythonNumber.stripped($0) }
        guard words.count == 2, words[0] != words[1], !words[0].isEmpty, !words[1].isEmpty else {
            throw ShellFailure(
                "Invalid boolean styles [" + words.map(PythonText.quoted).joined(separator: ", ")
                    + "]")
        }
        (format.trueText, format.falseText) = (words[0], words[1])
    }

    private static func token(_ value: String) throws(ShellFailure) -> Int64? {
        if value.isEmpty { return nil }
        guard let token = PythonNumber.integer(value).flatMap({ Int64($0) }) else {
            throw ShellFailure(PythonNumber.noInteger(value))
        }
        return token
    }

    /// The sections of a settings' file that are about this table, in the order in which they count.
    static func sections(
        of file: SettingsFile, _ direction: CopyStatement.Direction, keyspace: String, table: String
    ) -> [(name: String, options: [(name: String, value: String)])] {
        let kind = "copy-" + direction.rawValue.lowercased()
        let name = "\(keyspace).\(table)"
        return ["copy", kind, "copy:\(name)", "\(kind):\(name)"].compactMap { section in
            file.sections[section].map { (section, $0.map { ($0.name, $0.value) }) }
        }
    }
}
