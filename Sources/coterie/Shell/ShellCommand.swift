// `coterie shell`: an interactive CQL shell, and a runner of CQL scripts.
//
// One thread for the network, the main thread for the person: the shell waits for each answer. It
// reads statements from -e, from a file, from a pipe or from the terminal; only the last is interactive.
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

    @Argument(help: "The node's address.")
    var host = "127.0.0.1"

    @Argument(help: "The node's port for CQL clients.")
    var port = 9042

    @Option(name: [.customShort("u"), .customLong("username")], help: "The user to log in as.")
    var user: String?

    @Option(name: .shortAndLong, help: "The user's password; asked for if only a user is given.")
    var password: String?

    @Option(name: .shortAndLong, help: "The keyspace to start in.")
    var keyspace: String?

    @Option(name: .shortAndLong, help: "Run these statements and exit.")
    var execute: String?

    @Option(name: .shortAndLong, help: "Run the statements of this file and exit.")
    var file: String?

    @Option(help: "The native protocol's version to begin with (3, 4 or 5).")
    var protocolVersion: UInt8 = 5

    @Option(help: "How many seconds to wait for a connection.")
    var connectTimeout = 5

    @Option(help: "How many seconds to wait for each answer.")
    var requestTimeout = 20

    @Flag(inversion: .prefixedNo, help: "Colours; by default if the output is a terminal.")
    var color: Bool?

    func validate() throws {
        guard ProtocolVersion(rawValue: protocolVersion) != nil else {
            throw ValidationError("there is no protocol version \(protocolVersion): 3, 4 or 5")
        }
        guard (1...65_535).contains(port) else { throw ValidationError("no port: \(port)") }
        guard connectTimeout > 0, requestTimeout > 0 else {
            throw ValidationError("timeouts must be at least one second")
        }
        guard execute == nil || file == nil else {
            throw ValidationError("-e and -f exclude each other")
        }
    }

    func run() throws {
        let isScript = execute != nil || file != nil || isatty(STDIN_FILENO) == 0
        let output = ShellOutput(hasColors: color ?? ShellOutput.terminalHasColors())
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        defer {
            output.flush()
            group.shutdownGracefully { _ in }
        }
        let session: ShellSession
        do {
            let connection = try ShellConnection.connect(
                host: host, port: port, try connectionOptions(), on: group)
            session = ShellSession(connection, output, isInteractive: !isScript)
            if let keyspace { try session.use(keyspace) }
        } catch {
            output.printError(ErrorText.text(error))
            throw ExitCode(1)
        }
        defer { session.connection.close() }
        if let execute {
            session.run(execute, endsLastStatement: true)
        } else if let file {
            guard session.runFile(file) else { throw ExitCode(1) }
        } else if isScript {
            session.runStandardInput()
        } else {
            session.interact()
            return
        }
        if session.hasFailed { throw ExitCode(2) }
    }

    private func connectionOptions() throws -> ConnectionOptions {
        var options = ConnectionOptions()
        if let version = ProtocolVersion(rawValue: protocolVersion) { options.version = version }
        options.connectTimeout = .seconds(connectTimeout)
        options.requestTimeout = .seconds(requestTimeout)
        options.driverName = "Coterie shell"
        options.user = user
        options.password = password
        if user != nil, password == nil { options.password = try LineEditor.readPassword() }
        return options
    }
}
