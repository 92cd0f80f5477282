// Settings from files: ~/.cassandra/cqlshrc as cqlsh has it, then ~/.coterie/shellrc, which has the same
// form and wins. The command line wins over both.
//
//     [ui]
//     float_precision = 3
//     time_format = %Y-%m-%d
//
// What is not honoured is named in a warning, so that nobody waits for its effect. Names and passwords
// have a file of their own, which nobody else may read: `Credentials`.

internal import Server

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// What the files say about the shell.
struct ShellConfiguration {
    var credentials = Credentials()
    var keyspace: String?
    var hostname: String?
    var port: Int?
    var connectTimeout: Int?
    var requestTimeout: Int?
    var protocolVersion: UInt8?
    var cqlVersion: String?
    var hasColors: Bool?
    var isHistoryDisabled = false
    var isTerminalForced = false
    var maximumTraceWaitSeconds = 10.0
    var format = ValueFormat()
    /// The sections of COPY's options, and the file that they are from.
    var copySections = SettingsFile()
    var copyPath = ""
    /// Lines for the person: what is not honoured, what does not read. Each stands as it is printed.
    var warnings: [String] = []

    private static let known: [String: Set<String>] = [
        "authentication": ["username", "password", "keyspace", "credentials"],
        "ui": [
            "color", "time_format", "timezone", "float_precision", "double_precision", "tty",
            "encoding",
        ],
        "connection": ["hostname", "port", "timeout", "request_timeout", "ssl"],
        "protocol": ["version"], "tracing": ["max_trace_wait"], "history": ["disabled"],
        "cql": ["version"],
    ]
    /// Sections that are read elsewhere.
    private static let others = ["auth_provider", "plain_text_auth", "PlainTextAuthProvider"]

    /// Takes the settings of a file in; `path` is for warnings.
    mutating func add(_ file: SettingsFile, path: String) throws {
        for (section, settings) in file.sections.sorted(by: { $0.key < $1.key }) {
            if section.hasPrefix("copy") || Self.others.contains(section) { continue }
            for setting in settings {
                guard Self.known[section]?.contains(setting.name) == true else {
                    warnings.append(
                        "Warning: \(path): [\(section)] \(setting.name) is not honoured")
                    continue
                }
                try set(section, setting.name, setting.value, path)
            }
        }
    }

    private mutating func set(
        _ section: String, _ name: String, _ value: String, _ path: String
    ) throws {
        func number() throws -> Int {
            guard let number = Int(value), number >= 0 else {
                throw ShellFailure("\(path): [\(section)] \(name) = \(value) is no number")
            }
            return number
        }
        switch (section, name) {
        case ("authentication", "keyspace"): keyspace = value
        case ("ui", "color"): hasColors = Self.isTrue(value)
        case ("ui", "tty"): isTerminalForced = Self.isTrue(value)
        case ("ui", "time_format"): format.timestamps.pattern = value
        case ("ui", "timezone"):
            if TimestampFormat.setZone(value) {
                format.timestamps.isLocal = true
            } else {
                warnings.append(
                    "Warning: could not recognize timezone '\(value)' specified in cqlshrc\n")
            }
        case ("ui", "float_precision"): format.floatPrecision = try number()
        case ("ui", "double_precision"): format.doublePrecision = try number()
        case ("ui", "encoding"): noteEncoding(value)
        case ("connection", "hostname"): hostname = value
        case ("connection", "port"): port = try number()
        case ("connection", "timeout"): connectTimeout = try number()
        case ("connection", "request_timeout"): requestTimeout = try number()
        case ("connection", "ssl"): if Self.isTrue(value) { throw Self.noEncryption }
        case ("protocol", "version"): protocolVersion = UInt8(clamping: try number())
        case ("tracing", "max_trace_wait"):
            guard let seconds = Double(value), seconds >= 0, seconds < 86_400 else {
                throw ShellFailure("\(path): [tracing] max_trace_wait = \(value) is no time")
            }
            maximumTraceWaitSeconds = seconds
        case ("history", "disabled"): isHistoryDisabled = Self.isTrue(value)
        case ("cql", "version"): cqlVersion = value
        default: break
        }
    }

    static let noEncryption = ShellFailure(
        "SSL is not supported: this shell talks to nodes without encryption only")

    /// Text is UTF-8 whatever the encoding is called; cqlsh says nothing of it either, and writes UTF-8.
    mutating func noteEncoding(_ name: String) {
        guard !["utf8", "utf-8"].contains(name.lowercased()) else { return }
        warnings.append(
            "Warning: encoding \(name) has no effect: text is read and written as UTF-8")
    }

    private static func isTrue(_ value: String) -> Bool {
        ["1", "yes", "true", "on"].contains(value.lowercased())
    }

    /// Reads the person's files: `given` in place of cqlshrc, `credentials` in place of the one beside
    /// it. `notices` gets what cqlsh prints to the standard output.
    static func load(
        given: String?, credentials: String?, notices: inout [String]
    ) throws -> ShellConfiguration {
        var configuration = ShellConfiguration()
        if let pattern = variable("CQLSH_DEFAULT_TIMESTAMP_FORMAT") {
            configuration.format.timestamps.pattern = pattern
        }
        let home = variable("HOME") ?? ""
        let standard = home + "/.cassandra/cqlshrc"
        var path = given.map(ShellSession.expandedPath) ?? standard
        if access(path, F_OK) != 0, path != standard {
            notices.append(
                "\nWarning: Specified cqlshrc location `\(path)` does not exist.  "
                    + "Using `\(standard)` instead.\n")
            path = standard
        }
        var merged = ""
        for path in [path, home + "/.coterie/shellrc"] {
            guard let text = try TextFile.read(path) else { continue }
            try configuration.add(SettingsFile(text), path: path)
            merged += text + "\n"
        }
        let rules = SettingsFile(merged)
        configuration.copySections = rules
        configuration.copyPath = path
        configuration.setZoneOfEnvironment()
        let beside = path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
        let file =
            credentials ?? rules.value("authentication", "credentials") ?? beside + "credentials"
        configuration.credentials = try Credentials.read(
            rules, path: path, file: ShellSession.expandedPath(file), &configuration.warnings)
        return configuration
    }

    /// TZ wins over the file.
    private mutating func setZoneOfEnvironment() {
        guard let zone = Self.variable("TZ"), !zone.hasPrefix(":") else { return }
        if TimestampFormat.setZone(zone) {
            format.timestamps.isLocal = true
        } else {
            warnings.append(
                "Warning: could not recognize timezone '\(zone)' from environment value TZ\n")
        }
    }

    /// The value of an environment variable, unless it is empty.
    static func variable(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
    }
}
