// The options of COPY, with cqlsh's names, defaults and rules.
//
// They come from the sections [copy], [copy-to] or [copy-from], and those with the table's name, of the
// settings' files or of CONFIGFILE, and then from the statement. Options of cqlsh's own processes and
// pipes, which there are none of here, are accepted and named in a warning.

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
        "childtimeout", "maxbackoffattempts", "maxpendingchunks", "numprocesses", "pagetimeout",
        "requesttimeout",
    ]

    var dialect = CSVDialect()
    var hasHeader = false
    var format = ValueFormat(doublePrecision: 12, nullText: "")
    var maximumAttempts = 5
    var reportSeconds = 0.25
    var rateFile = ""

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
    var maximumInFlight = 512
    /// Lines for the person.
    var notices: [String] = []

    /// Reads the options in order; a later one wins.
    init(
        _ options: [(name: String, value: String)], _ direction: CopyStatement.Direction,
        keyspace: String, table: String, timestampPattern: String = TimestampFormat.standardPattern
    ) throws(ShellFailure) {
        errorFile = "import_\(keyspace)_\(table).err"
        format.timestamps = TimestampFormat(
            pattern: timestampPattern, isCutToMilliseconds: true)
        let known = direction == .to ? Self.exportNames : Self.importNames
        var unknown: [String] = []
        for (name, value) in options {
            if Self.withoutEffect.contains(name) {
                notices.append("\(name.uppercased()) has no effect: there are no child processes")
            } else if name == "maxinflightmessages" || known.contains(name.uppercased()) {
                try set(name, value)
            } else if (Self.importNames + Self.exportNames).contains(name.uppercased()) {
                // As cqlsh: an option of the other direction is taken and means nothing.
                notices.append("\(name.uppercased()) has no effect in COPY \(direction.rawValue)")
            } else {
                unknown.append(name)
            }
        }
        guard unknown.isEmpty else {
            throw ShellFailure(
                "Unrecognized COPY \(direction.rawValue) options: "
                    + unknown.joined(separator: ", "))
        }
        if dialect.quote == dialect.escape { dialect.escape = nil }
    }

    private mutating func set(_ name: String, _ value: String) throws(ShellFailure) {
        func number(_ range: ClosedRange<Int>) throws(ShellFailure) -> Int {
            guard let number = Int(value), range.contains(number) else {
                throw ShellFailure("\(name.uppercased()) = \(value): a number is needed")
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
            guard ["utf8", "utf-8"].contains(value.lowercased()) else {
                throw ShellFailure("ENCODING = \(value) is not supported: only utf8 is")
            }
        case "datetimeformat": format.timestamps.pattern = value
        case "decimalsep": format.decimalSeparator = value
        case "thousandssep": format.thousandsSeparator = value
        case "boolstyle":
            let words = value.split(separator: ",", omittingEmptySubsequences: false).map { word in
                var word = word
                while word.first?.isWhitespace == true { word = word.dropFirst() }
                while word.last?.isWhitespace == true { word = word.dropLast() }
                return String(word)
            }
            guard words.count == 2, words[0] != words[1], !words[0].isEmpty, !words[1].isEmpty
            else {
                throw ShellFailure(
                    "Invalid boolean styles [\(words.map { "'\($0)'" }.joined(separator: ", "))]")
            }
            (format.trueText, format.falseText) = (words[0], words[1])
        case "maxattempts": maximumAttempts = try number(any)
        case "reportfrequency":
            guard let seconds = Double(value), seconds >= 0 else {
                throw ShellFailure("REPORTFREQUENCY = \(value): a number of seconds is needed")
            }
            reportSeconds = seconds
        case "ratefile": rateFile = ShellSession.expandedPath(value)
        case "pagesize": pageSize = try number(any)
        case "maxrequests": maximumRequests = try number(1...32_000)
        case "begintoken": beginToken = try Self.token(name, value)
        case "endtoken": endToken = try Self.token(name, value)
        case "maxoutputsize": maximumOutputRows = try number(-1...Int.max)
        case "floatprecision": format.floatPrecision = try number(1...60)
        case "doubleprecision": format.doublePrecision = try number(1...60)
        case "chunksize": chunkSize = try number(any)
        case "ingestrate": ingestRate = try number(any)
        case "minbatchsize": minimumBatchSize = try number(any)
        case "maxbatchsize": maximumBatchSize = try number(1...65_535)
        case "maxrows": maximumRows = try number(-1...Int.max)
        case "skiprows": skippedRows = try number(0...Int.max)
        case "skipcols":
            skippedColumns = value.split(separator: ",").map { $0.filter { !$0.isWhitespace } }
        case "maxparseerrors": maximumParseErrors = try number(-1...Int.max)
        case "maxinserterrors": maximumInsertErrors = try number(-1...Int.max)
        case "errfile": errorFile = ShellSession.expandedPath(value)
        case "ttl": timeToLive = try number(0...Int(Int32.max))
        case "maxinflightmessages": maximumInFlight = try number(1...32_000)
        case "preparedstatements":
            if value.lowercased() != "true" {
                throw ShellFailure(
                    "PREPAREDSTATEMENTS = \(value) is not supported: rows are always sent by "
                        + "prepared statements")
            }
        default: break
        }
    }

    private static func token(_ name: String, _ value: String) throws(ShellFailure) -> Int64? {
        if value.isEmpty { return nil }
        guard let token = Int64(value) else {
            throw ShellFailure("\(name.uppercased()) = \(value): a token is a 64-bit number")
        }
        return token
    }

    /// The options of a settings' file for this table, in the order in which they count.
    static func options(
        in file: SettingsFile, _ direction: CopyStatement.Direction, keyspace: String, table: String
    ) -> [(name: String, value: String)] {
        let kind = "copy-" + direction.rawValue.lowercased()
        let name = "\(keyspace).\(table)".lowercased()
        return ["copy", kind, "copy:\(name)", "\(kind):\(name)"].flatMap { file.sections[$0] ?? [] }
    }
}
