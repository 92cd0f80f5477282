// `coterie node`: one node of a ring, in the foreground, until SIGTERM or SIGINT.
//
// Exit codes: 0 after an orderly end, 1 when the node could not start, 70 when it could not go on (a
// disk that fails, for example); the last line of the log says why.

internal import ArgumentParser
internal import Environment
internal import Server

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Runs one node.
struct NodeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "node", abstract: "Run one node in the foreground.",
        discussion: """
            A node belongs to a cluster from the moment its folder holds the cluster's metadata log. \
            `--initialise` founds a cluster of this one node; `coterie ring up` founds one of several.
            """)

    @Option(
        name: .customLong("data"),
        help: "The node's data folder (data_file_directories of the configuration file).")
    var dataFolder: String?

    @Option(help: "The address for clients and peers (127.0.0.1 if not given).")
    var address: String?

    @Option(help: "The CQL port (9042 if not given).")
    var port: UInt16?

    @Option(help: "The port for the other nodes (7000 if not given).")
    var peerPort: UInt16?

    @Option(help: "The port for coterie admin, on a loopback address (7199 if it is free).")
    var adminPort: UInt16?

    @Option(help: "How many shards (threads); as many as there are processors if not given.")
    var shards: Int?

    @Flag(name: .customLong("initialise"), help: "Found a new cluster that consists of this node.")
    var isInitialising = false

    @Option(
        name: .customLong("config"),
        help: "A configuration file with Cassandra's keys (cassandra.yaml).")
    var configurationFile: String?

    @Option(
        name: .customLong("set"),
        help: ArgumentHelp(
            "A setting, for example write_request_timeout=2s; it comes after those of the file.",
            valueName: "key=value"))
    var settings: [String] = []

    func run() throws {
        let options = try CommandFailure.reporting {
            let file = try configurationFile.map { path throws(ServerFailure) in
                try NodeArguments.configurationFile(path)
            }
            guard let folder = dataFolder ?? file?.places.dataFolder else {
                throw ServerFailure(
                    "no data folder: give --data, or data_file_directories in the file")
            }
            return try NodeOptions(
                dataFolder: folder,
                address: NodeArguments.address(address ?? file?.places.address ?? "127.0.0.1"),
                clientPort: port ?? file?.places.clientPort ?? 9042,
                peerPort: peerPort ?? file?.places.peerPort ?? 7000, adminPort: adminPort,
                shardCount: NodeArguments.shardCount(shards),
                configuration: NodeArguments.configuration((file?.settings ?? []) + settings))
        }
        try CommandFailure.reporting {
            if isInitialising { try ClusterFounding.found(ofNodes: [options]) }
            try NodeProcess.run([options])
        }
    }
}

/// What several commands read from their arguments.
enum NodeArguments {
    static func address(_ text: String) throws(ServerFailure) -> [UInt8] {
        guard let address = InternetAddress.parse(text) else {
            throw ServerFailure("\(text) is not an IP address")
        }
        return address
    }

    static func shardCount(_ given: Int?) throws(ServerFailure) -> Int {
        let count = given ?? processorCount
        guard (1...256).contains(count) else {
            throw ServerFailure("a node has 1 to 256 shards, not \(count)")
        }
        return count
    }

    static func configuration(_ settings: [String]) throws(SettingFailure) -> Configuration {
        var configuration = Configuration()
        for setting in settings { try configuration.set(setting) }
        try configuration.check()
        return configuration
    }

    /// Reads a configuration file, and warns of what has no effect, on standard error.
    static func configurationFile(_ path: String) throws(ServerFailure) -> ConfigurationFile {
        guard let text = try TextFile.read(path) else {
            throw ServerFailure("\(path): there is no such file")
        }
        do throws(SettingFailure) {
            let file = try ConfigurationFile(text)
            for warning in file.warnings {
                CommandFailure.printError("coterie: \(path): \(warning)")
            }
            return file
        } catch {
            throw ServerFailure("\(path): \(error.description)")
        }
    }

    static var processorCount: Int { max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))) }
}

/// Runs nodes until a signal ends them.
enum NodeProcess {
    static func run(_ nodes: [NodeOptions]) throws(ServerFailure) {
        // Blocked before the first thread is made, so that all threads inherit it and the signals
        // wait for `sigwait`.
        var endSignals = sigset_t()
        sigemptyset(&endSignals)
        sigaddset(&endSignals, SIGTERM)
        sigaddset(&endSignals, SIGINT)
        pthread_sigmask(SIG_BLOCK, &endSignals, nil)
        signal(SIGPIPE, SIG_IGN)
        ProcessFigures.raiseFileLimit()
        var servers: [NodeServer] = []
        for options in nodes {
            let address = SocketAddress(address: options.address, port: options.clientPort)
            servers.append(
                try NodeServer(options) { reason in
                    NodeLog(node: address.description).error("the node ends: \(reason)")
                    // Not `exit`: other threads go on until the last moment and must not act.
                    _exit(70)
                })
        }
        var received: Int32 = 0
        while sigwait(&endSignals, &received) != 0 {}
        // A second signal ends at once.
        pthread_sigmask(SIG_UNBLOCK, &endSignals, nil)
        for server in servers { server.stop() }
    }
}
