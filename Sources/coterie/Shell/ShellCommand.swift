// `coterie shell`: an interactive CQL shell, and a runner of CQL scripts.
//
// One thread for the network, the main thread for the person: the shell waits for each answer. It
// reads statements from -e, from a file, from a pipe or from the terminal; only the last is interactive.
// Options are those of cqlsh, where they mean something here; the others say that they do not.
// Exit code: 0; 1 if there is no connection; 2 if a statement of a script failed.

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

    @Flag(
        name: [.customShort("C"), .customLong("color")], help: "Colours, also in files and pipes.")
    var usesColors = false

    @Flag(
        name: .customLong("no-color"),
        help: "No colours; without either there are some if the output is a terminal.")
    var usesNoColors = false

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

    @Option(help: "The version of CQL to ask for: 3.0.0 to 3.4.7.")
    var cqlversion: String?

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
        guard protocolVersion.map({ ProtocolVersion(rawValue: $0) != nil }) ?? true else {
            throw ValidationError(
                "there is no protocol version \(protocolVersion ?? 0): 3, 4 or 5")
        }
        guard port.map({ (1...65_535).contains($0) }) ?? true else {
            throw ValidationError("no port: \(port ?? 0)")
        }
        guard connectTimeout ?? 1 > 0, requestTimeout ?? 1 > 0 else {
            throw ValidationError("timeouts must be at least one second")
        }
        guard execute == nil || file == nil else {
            throw ValidationError("-e and -f exclude each other")
        }
        guard !ssl else { throw ValidationError("\(ShellConfiguration.noEncryption)") }
        if let encoding {
            do { try ShellConfiguration.checkEncoding(encoding) } catch {
                throw ValidationError("\(error)")
            }
        }
        guard dataFolder == nil || embedded else {
            throw ValidationError("--data is for --embedded")
        }
        if embedded, let host {
            guard let count = Int(host), (1...RingLayout.maximumNodes).contains(count) else {
                throw ValidationError(
                    "--embedded takes how many nodes, 1 to \(RingLayout.maximumNodes), not \(host)")
            }
        }
        if let cqlversion {
            let parts = cqlversion.split(separator: ".")
            guard parts.first == "3", parts.dropFirst().first.flatMap({ Int($0) }) ?? 0 <= 4 else {
                throw ValidationError("CQL \(cqlversion) is not supported: 3.0.0 to 3.4.7 is")
            }
        }
    }

    func run() throws {
        // A reader that goes away ends the output, not the shell.
        signal(SIGPIPE, SIG_IGN)
        let isTerminal = isatty(STDIN_FILENO) == 1
        let output = ShellOutput(hasColors: false)
        var configuration: ShellConfiguration
        do {
            configuration = try ShellConfiguration.load(given: cqlshrc)
            if let credentials {
                try configuration.addCredentials(ShellSession.expandedPath(credentials))
            }
        } catch {
            output.printError("\(error)")
            throw ExitCode(1)
        }
        if disableHistory { configuration.isHistoryDisabled = true }
        if browser != nil {
            configuration.warnings.append("--browser has no effect: help is built in")
        }
        if coverage { configuration.warnings.append("--coverage has no effect") }
        for warning in configuration.warnings { output.printError("Warning: " + warning) }
        let isScript =
            execute != nil || file != nil
            || (!isTerminal && !tty && !configuration.isTerminalForced)
        let given = usesNoColors ? false : usesColors ? true : configuration.hasColors
        let hasColors = given ?? (file == nil && ShellOutput.terminalHasColors())
        try run(configuration, ShellOutput(hasColors: hasColors), isScript: isScript)
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
        do {
            if embedded {
                ring = try EmbeddedRing.start(
                    nodes: host.flatMap { Int($0) } ?? 1, folder: dataFolder)
            }
            let connector = try connector(configuration, ring, group)
            if debug {
                output.printError("Connecting to \(connector.host):\(connector.port)")
                output.printError("Using connect timeout: \(connector.options.connectTimeout)")
                output.printError("Using 'utf-8' encoding")
                output.printError("Using ssl: False")
            }
            session = ShellSession(
                try connector.connect(), connector, output, isInteractive: !isScript)
            session.configuration = configuration
            session.format = configuration.format
            session.maximumTraceWaitSeconds = configuration.maximumTraceWaitSeconds
            if let keyspace = keyspace ?? configuration.keyspace { try session.use(keyspace) }
        } catch {
            output.printError("Connection error: " + ErrorText.text(error))
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
            session.run(execute, endsLastStatement: true)
        } else if let file {
            guard session.runFile(ShellSession.expandedPath(file)) else { throw ExitCode(1) }
        } else if isScript {
            session.runStandardInput()
        } else {
            session.interact()
            return
        }
        output.endCapture()
        if session.hasFailed { throw ExitCode(2) }
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
        options.user = user ?? configuration.user
        options.password = password ?? configuration.password
        if options.user != nil, options.password == nil {
            options.password = try LineEditor.readPassword()
        }
        let variables = (
            Self.variable("CQLSH_HOST"), Self.variable("CQLSH_PORT").flatMap { Int($0) }
        )
        return ShellConnector(
            host: ring?.host ?? host ?? variables.0 ?? configuration.hostname ?? "127.0.0.1",
            port: ring?.port ?? port ?? variables.1 ?? configuration.port ?? 9042,
            options: options, group: group)
    }

    private static func variable(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
    }
}
