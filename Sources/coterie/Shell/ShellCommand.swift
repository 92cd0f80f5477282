// `coterie shell`: an interactive CQL shell, and a runner of CQL scripts.
//
// One thread for the network, the main thread for the person: the shell waits for each answer. It
// reads statements from -e, from a file, from a pipe or from the terminal; only the last is interactive.
// Options are those of cqlsh, where they mean something here; the others say that they do not.
// Exit code: 0; 1 if there is no connection or no script; 2 if a statement of a script failed, or the
// command line makes no sense.

internal import ArgumentParser
internal import Model
internal import NIOCore
internal import NIOPosix
internal import NativeClient
internal import NativeProtocol

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// The command `shell`.
struct ShellCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "shell", abstract: "Talk CQL to a node, or run a CQL script.")

    @Argument(help: "The node's address; with --embedded, how many nodes.")
    var host: String?

    @Argument(help: "The node's port for CQL clients.")
    var port: Int?

    @Option(name: [.customShort("u"), .customLong("username")], help: "The user to log in as.")
    var user: String?

    @Option(name: .shortAndLong, help: "The user's password; asked for if only a user is given.")
    var password: String?

    @Option(name: .shortAndLong, help: "The keyspace to start in.")
    var keyspace: String?

    @Option(
        name: .shortAndLong, parsing: .unconditional, help: "Run these statements and exit.")
    var execute: String?

    @Option(name: .shortAndLong, help: "Run the statements of this file and exit.")
    var file: String?

    @Option(help: "The native protocol's version to begin with (3, 4 or 5).")
    var protocolVersion: UInt8?

    @Option(help: "How many seconds to wait for a connection (5 if not given).")
    var connectTimeout: Int?

    @Option(help: "How many seconds to wait for each answer (20 if not given).")
    var requestTimeout: Int?

    @Flag(exclusivity: .chooseLast)
    var colors: ColorChoice?

    @Flag(
        name: [.customShort("t"), .long], help: "Be interactive although the input is no terminal.")
    var tty = false

    @Flag(help: "Say what the shell connects with.")
    var debug = false

    @Flag(help: "Keep nothing of what is typed.")
    var disableHistory = false

    @Option(help: "The encoding of text: utf8.")
    var encoding: String?

    @Option(help: "A file to read in place of ~/.cassandra/cqlshrc.")
    var cqlshrc: String?

    @Option(help: "A file with the user's name and password.")
    var credentials: String?

    @Option(help: "The version of CQL that the node must speak.")
    var cqlversion: String?

    @Flag(name: .shortAndLong, help: "Say which shell this is, and exit.")
    var version = false

    @Option(help: .hidden)
    var browser: String?

    @Flag(help: .hidden)
    var ssl = false

    @Flag(help: .hidden)
    var coverage = false

    @Flag(help: .hidden)
    var insecurePasswordWithoutWarning = false

    @Flag(
        help: ArgumentHelp(
            "Talk to a private ring inside of this process, which ends with the shell."))
    var embedded = false

    @Option(
        name: .customLong("data"),
        help: "Where the embedded ring keeps its data; a temporary folder if not given.")
    var dataFolder: String?

    func validate() throws {
        guard port.map({ (1...65_535).contains($0) }) ?? true else {
            throw ValidationError("no port: \(port ?? 0)")
        }
        guard connectTimeout ?? 1 > 0, requestTimeout ?? 1 > 0 else {
            throw ValidationError("timeouts must be at least one second")
        }
        guard !ssl else { throw ValidationError("\(ShellConfiguration.noEncryption)") }
        guard dataFolder == nil || embedded else {
            throw ValidationError("--data is for --embedded")
        }
        if embedded, let host {
            guard let count = Int(host), (1...RingLayout.maximumNodes).contains(count) else {
                throw ValidationError(
                    "--embedded takes how many nodes, 1 to \(RingLayout.maximumNodes), not \(host)")
            }
        }
        if let cqlversion { _ = try Self.fullVersion(cqlversion) }
        if let port = ShellConfiguration.variable("CQLSH_PORT"), self.port == nil {
            guard let number = Int(port), (1...65_535).contains(number) else {
                throw ValidationError("'\(port)' is not a valid port number.")
            }
        }
    }

    /// A version of CQL with all its three numbers.
    private static func fullVersion(_ text: String) throws -> String {
        let numbers = text.split(separator: ".", omittingEmptySubsequences: false).map { Int($0) }
        guard let first = numbers.first ?? nil, first >= 3, !numbers.contains(nil) else {
            throw ValidationError("'\(text)' is not a supported CQL version.")
        }
        return text + String(repeating: ".0", count: max(3 - numbers.count, 0))
    }

    func run() throws {
        if version {
            print(Self.versionText)
            return
        }
        // A reader that goes away ends the output, not the shell.
        signal(SIGPIPE, SIG_IGN)
        let isTerminal = isatty(STDIN_FILENO) == 1
        let output = ShellOutput(hasColors: false)
        var configuration: ShellConfiguration
        var notices: [String] = []
        do {
            configuration = try ShellConfiguration.load(
                given: cqlshrc, credentials: credentials, notices: &notices)
        } catch {
            output.printError("\(error)")
            throw ExitCode(1)
        }
        addWarnings(to: &configuration)
        for notice in notices { output.print(notice) }
        output.flush()
        for warning in configuration.warnings { output.printError(warning) }
        let isScript =
            execute != nil || file != nil
            || (!isTerminal && !tty && !configuration.isTerminalForced)
        let given = colors.map { $0 == .color } ?? configuration.hasColors
        let hasColors = given ?? (file == nil && ShellOutput.terminalHasColors())
        try run(configuration, ShellOutput(hasColors: hasColors), isScript: isScript)
    }

    private func addWarnings(to configuration: inout ShellConfiguration) {
        if disableHistory { configuration.isHistoryDisabled = true }
        if let encoding { configuration.noteEncoding(encoding) }
        if password != nil, !insecurePasswordWithoutWarning {
            configuration.warnings.append(
                "\nWarning: Using a password on the command line interface can be insecure."
                    + "\nRecommendation: use the credentials file to securely provide the password.\n"
            )
        }
        if browser != nil {
            configuration.warnings.append("Warning: --browser has no effect: help is built in")
        }
        if coverage { configuration.warnings.append("Warning: --coverage has no effect") }
    }

    private func run(
        _ configuration: ShellConfiguration, _ output: ShellOutput, isScript: Bool
    ) throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        defer {
            output.flush()
            group.shutdownGracefully { _ in }
        }
        let session: ShellSession
        var ring: EmbeddedRing?
        defer { ring?.stop() }
        var target: ShellConnector?
        do {
            if embedded {
                ring = try EmbeddedRing.start(
                    nodes: host.flatMap { Int($0) } ?? 1, folder: dataFolder)
            }
            let connector = try connector(configuration, ring, group)
            target = connector
            if debug {
                output.printError("Connecting to \(connector.host):\(connector.port)")
                let seconds = connector.options.connectTimeout.components.seconds
                output.printError("Using connect timeout: \(seconds) seconds")
                output.printError("Using 'utf-8' encoding")
                output.printError("Using ssl: False")
            }
            try checkProtocolVersion(configuration, connector)
            session = ShellSession(
                try connector.connect(), connector, output, isInteractive: !isScript)
            session.configuration = configuration
            session.format = configuration.format
            session.maximumTraceWaitSeconds = configuration.maximumTraceWaitSeconds
            if let keyspace = keyspace ?? configuration.keyspace {
                try begin(session, in: keyspace, connector.host)
            }
        } catch {
            let host = target?.host ?? ""
            output.printError(
                "Connection error: "
                    + DriverText.connection(error, host: host, port: target?.port ?? 0))
            if case ClientError.cannotConnect = error {
                output.printError(
                    "No node answers there. `coterie ring up` starts a ring on this machine, "
                        + "`coterie ring status` shows it,\n"
                        + "and `coterie shell --embedded` needs none.")
            }
            throw ExitCode(1)
        }
        defer { session.connection.close() }
        if let execute {
            session.runArgument(execute)
        } else if let file {
            do {
                try session.runFile(ShellSession.expandedPath(file), refusal: "Can't open")
            } catch {
                output.printError("\(error)")
                throw ExitCode(1)
            }
        } else if isScript {
            session.runStandardInput()
        } else {
            session.interact()
            return
        }
        output.endCapture()
        if session.hasFailed { throw ExitCode(2) }
    }

    /// Makes the keyspace the one in use; without it there is no use in going on.
    private func begin(_ session: ShellSession, in keyspace: String, _ host: String) throws {
        do {
            try session.use(keyspace)
        } catch let answer as ErrorAnswer {
            let text = PythonText.quoted(
                "Unable to connect to any servers using keyspace '\(keyspace)'")
            let peers = try session.connection.rows("SELECT peer FROM system.peers").texts()
            let hosts = ([host] + peers.compactMap { $0["peer"] }).map(PythonText.quoted)
            throw ShellFailure(
                "(\(text), [\(hosts.joined(separator: ", "))])\n\(answer.error.message)")
        }
    }

    /// A version that nobody speaks is told in the words that cqlsh has when the server refuses it.
    private func checkProtocolVersion(
        _ configuration: ShellConfiguration, _ connector: ShellConnector
    ) throws {
        guard let raw = protocolVersion ?? configuration.protocolVersion,
            ProtocolVersion(rawValue: raw) == nil
        else { return }
        throw ShellFailure(
            "('Unable to connect to any servers', {'\(connector.host):\(connector.port)': "
                + "DriverException('ProtocolError returned from server while using explicitly set "
                + "client protocol_version \(raw)')})")
    }

    private func connector(
        _ configuration: ShellConfiguration, _ ring: EmbeddedRing?,
        _ group: MultiThreadedEventLoopGroup
    ) throws -> ShellConnector {
        var options = ConnectionOptions()
        if let raw = protocolVersion ?? configuration.protocolVersion,
            let version = ProtocolVersion(rawValue: raw)
        {
            options.version = version
        }
        options.connectTimeout = .seconds(connectTimeout ?? configuration.connectTimeout ?? 5)
        options.requestTimeout = .seconds(requestTimeout ?? configuration.requestTimeout ?? 20)
        options.driverName = "Coterie shell"
        options.cqlVersion = try (cqlversion ?? configuration.cqlVersion).map(Self.fullVersion)
        options.user = user ?? configuration.credentials.user
        options.password = password ?? configuration.credentials.password
        if options.user != nil, options.password == nil {
            options.password = try LineEditor.readPassword()
        }
        let variables = (
            ShellConfiguration.variable("CQLSH_HOST"),
            ShellConfiguration.variable("CQLSH_PORT").flatMap { Int($0) }
        )
        return ShellConnector(
            host: ring?.host ?? host ?? variables.0 ?? configuration.hostname ?? "127.0.0.1",
            port: ring?.port ?? port ?? variables.1 ?? configuration.port ?? 9042,
            options: options, group: group)
    }

    /// The version of cqlsh whose words and options these are.
    private static let versionText = "coterie shell, as cqlsh 6.2.2"
}

/// Whether there are colours, whatever the output is.
enum ColorChoice: EnumerableFlag {
    case color, noColor

    static func name(for value: ColorChoice) -> NameSpecification {
        value == .color ? [.customShort("C"), .customLong("color")] : .customLong("no-color")
    }

    static func help(for value: ColorChoice) -> ArgumentHelp? {
        value == .color
            ? "Colours, also in files and pipes."
            : "No colours; without either there are some if the output is a terminal."
    }
}
