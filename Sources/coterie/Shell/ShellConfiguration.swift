// Settings from files: ~/.cassandra/cqlshrc as cqlsh has it, then ~/.coterie/shellrc, which has the same
// form and wins. The command line wins over both.
//
//     [ui]
//     float_precision = 3
//     time_format = %Y-%m-%d
//
// What is not honoured is named in a warning, so that nobody waits for its effect.

internal import Server

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Sections of `name = value` lines, in the form of Python's configparser.
struct SettingsFile: Equatable {
    /// By section and name, both in lower case.
    private(set) var sections: [String: [(name: String, value: String)]] = [:]

    static func == (left: SettingsFile, right: SettingsFile) -> Bool {
        left.sections.mapValues { $0.map { "\($0.name)=\($0.value)" } }
            == right.sections.mapValues { $0.map { "\($0.name)=\($0.value)" } }
    }

    init(_ text: String = "") {
        var section = ""
        for line in text.split(whereSeparator: \.isNewline) {
            let trimmed = Self.trimmed(line)
            if trimmed.isEmpty || trimmed.hasPrefix("#") || trimmed.hasPrefix(";") { continue }
            if trimmed.hasPrefix("["), trimmed.hasSuffix("]") {
                section = trimmed.dropFirst().dropLast().lowercased()
                continue
            }
            guard let mark = trimmed.firstIndex(where: { $0 == "=" || $0 == ":" }) else { continue }
            let name = Self.trimmed(trimmed[..<mark]).lowercased()
            let value = Self.trimmed(trimmed[trimmed.index(after: mark)...])
            sections[section, default: []].append((name, value))
        }
    }

    private static func trimmed(_ text: some StringProtocol) -> String {
        var text = text[...]
        while text.first?.isWhitespace == true { text = text.dropFirst() }
        while text.last?.isWhitespace == true { text = text.dropLast() }
        return String(text)
    }

    /// The last value of the name in the section.
    func value(_ section: String, _ name: String) -> String? {
        sections[section.lowercased()]?.last { $0.name == name }?.value
    }
}

/// What the files say about the shell.
struct ShellConfiguration {
    var user: String?
    var password: String?
    var keyspace: String?
    var hostname: String?
    var port: Int?
    var connectTimeout: Int?
    var requestTimeout: Int?
    var protocolVersion: UInt8?
    var hasColors: Bool?
    var isHistoryDisabled = false
    var isTerminalForced = false
    var maximumTraceWaitSeconds = 10.0
    var format = ValueFormat()
    /// The sections of COPY's options.
    var copySections = SettingsFile()
    /// Lines for the person: what is not honoured, what does not read.
    var warnings: [String] = []

    private static let known: [String: Set<String>] = [
        "authentication": ["username", "password", "keyspace", "credentials"],
        "ui": [
            "color", "time_format", "timezone", "float_precision", "double_precision", "tty",
            "encoding",
        ],
        "connection": ["hostname", "port", "timeout", "request_timeout", "ssl"],
        "protocol": ["version"], "tracing": ["max_trace_wait"], "history": ["disabled"],
    ]

    /// Takes the settings of a file in; `path` is for warnings.
    mutating func add(_ file: SettingsFile, path: String) throws {
        for (section, settings) in file.sections.sorted(by: { $0.key < $1.key }) {
            if section.hasPrefix("copy") { continue }
            for setting in settings {
                guard Self.known[section]?.contains(setting.name) == true else {
                    warnings.append("\(path): [\(section)] \(setting.name) is not honoured")
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
        case ("authentication", "username"): user = value
        case ("authentication", "password"): password = value
        case ("authentication", "keyspace"): keyspace = value
        case ("authentication", "credentials"): try addCredentials(ShellSession.expandedPath(value))
        case ("ui", "color"): hasColors = Self.isTrue(value)
        case ("ui", "tty"): isTerminalForced = Self.isTrue(value)
        case ("ui", "time_format"): format.timestamps.pattern = value
        case ("ui", "timezone"):
            if TimestampFormat.setZone(value) {
                format.timestamps.isLocal = true
            } else {
                warnings.append("\(path): could not recognize timezone '\(value)'")
            }
        case ("ui", "float_precision"): format.floatPrecision = try number()
        case ("ui", "double_precision"): format.doublePrecision = try number()
        case ("ui", "encoding"): try Self.checkEncoding(value)
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
        default: break
        }
    }

    /// Reads the name and password of a credentials file, which must be readable for its owner only.
    mutating func addCredentials(_ path: String) throws {
        guard let text = try TextFile.read(path) else { return }
        var status = stat()
        guard stat(path, &status) == 0, status.st_mode & 0o077 == 0, status.st_uid == geteuid()
        else {
            warnings.append(
                "Credentials file '\(path)' is not used: it must belong to you and be readable for "
                    + "nobody else (chmod 600)")
            return
        }
        let file = SettingsFile(text)
        user = file.value("plain_text_auth", "username") ?? user
        password = file.value("plain_text_auth", "password") ?? password
    }

    static let noEncryption = ShellFailure(
        "SSL is not supported: this shell talks to nodes without encryption only")

    static func checkEncoding(_ name: String) throws {
        guard ["utf8", "utf-8"].contains(name.lowercased()) else {
            throw ShellFailure("encoding \(name) is not supported: only utf8 is")
        }
    }

    private static func isTrue(_ value: String) -> Bool {
        ["1", "yes", "true", "on"].contains(value.lowercased())
    }

    /// Reads the person's files, `given` in place of cqlshrc.
    static func load(given: String?) throws -> ShellConfiguration {
        var configuration = ShellConfiguration()
        if let zone = getenv("TZ"), zone.pointee != 0, zone.pointee != CChar(UInt8(ascii: ":")) {
            configuration.format.timestamps.isLocal = TimestampFormat.setZone(String(cString: zone))
        }
        let home = getenv("HOME").map { String(cString: $0) }
        if let home { try configuration.addCredentials(home + "/.cassandra/credentials") }
        var paths = [
            home.map { $0 + "/.cassandra/cqlshrc" }, home.map { $0 + "/.coterie/shellrc" },
        ]
        .compactMap { $0 }
        if let given {
            let path = ShellSession.expandedPath(given)
            if access(path, R_OK) != 0 {
                configuration.warnings.append(
                    "Specified cqlshrc location `\(path)` does not exist")
            } else {
                paths = [path] + paths.suffix(1)
            }
        }
        var merged = ""
        for path in paths {
            guard let text = try TextFile.read(path) else { continue }
            try configuration.add(SettingsFile(text), path: path)
            merged += text + "\n"
        }
        configuration.copySections = SettingsFile(merged)
        return configuration
    }
}
