// `coterie ring`: a ring of nodes on this machine, for development and for the lab.

internal import ArgumentParser
internal import Environment
internal import Server

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// The verbs of a local ring.
struct RingCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ring", abstract: "Start, stop and disturb a ring of nodes on this machine.",
        subcommands: [
            Up.self, Status.self, Down.self, Kill.self, Start.self, Pause.self, Resume.self,
            Serve.self,
        ])

    /// Which ring.
    struct Place: ParsableArguments {
        @Option(
            name: .customLong("data"),
            help: ArgumentHelp("The ring's folder.", discussion: "~/.coterie/ring if not given."))
        var dataFolder: String?

        func folder() throws -> String {
            guard let dataFolder else {
                guard let home = getenv("HOME") else {
                    throw ServerFailure("there is no HOME: name the ring's folder with --data")
                }
                return String(cString: home) + "/.coterie/ring"
            }
            if dataFolder.hasPrefix("/") { return dataFolder }
            var buffer = [CChar](repeating: 0, count: 4096)
            guard getcwd(&buffer, buffer.count) != nil else {
                throw ServerFailure("the current folder is gone")
            }
            let current = buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
            return String(decoding: current, as: UTF8.self) + "/" + dataFolder
        }

        /// The ring that was created there.
        func ring() throws -> LocalRing {
            let folder = try folder()
            guard let layout = try RingLayout.load(folder: folder) else {
                throw ServerFailure("there is no ring in \(folder): make one with coterie ring up")
            }
            return LocalRing(layout: layout)
        }

        /// The ring, if its nodes are processes that can be disturbed one by one.
        func ringOfProcesses() throws -> LocalRing {
            let ring = try ring()
            if ring.layout.isOneProcess {
                throw ServerFailure(
                    "the ring in \(ring.layout.folder) is one process (--in-process): "
                        + "its nodes cannot be disturbed one by one")
            }
            return ring
        }
    }
}

extension RingCommand {
    struct Up: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Start a ring, a new one or the one that is there, and wait until it answers."
        )

        @OptionGroup var place: Place
        @Option(help: "How many nodes a new ring has (3 if not given).")
        var nodes: Int?
        @Option(help: "How many shards each node of a new ring has.")
        var shards: Int?
        @Option(help: "The CQL port.")
        var port: UInt16 = 9042
        @Option(help: "The port between the nodes.")
        var peerPort: UInt16 = 7000
        @Option(help: "The port for coterie admin (7199 if it is free).")
        var adminPort: UInt16?
        @Flag(name: .customLong("in-process"), help: "Run all nodes in one process.")
        var isOneProcess = false
        @Flag(
            name: .customLong("same-address"),
            help: "Give all nodes 127.0.0.1 and ports that count up.")
        var isSameAddress = false
        @Option(
            name: .customLong("config"),
            help: ArgumentHelp(
                "A configuration file with Cassandra's keys (cassandra.yaml).",
                discussion: "Its addresses, ports and folders are left out: the ring gives its own."
            ))
        var configurationFile: String?
        @Option(
            name: .customLong("set"),
            help: ArgumentHelp(
                "A setting of all nodes; it comes after those of the file.",
                valueName: "key=value"))
        var assignments: [String] = []

        func run() throws {
            try CommandFailure.reporting {
                var settings: [String] = []
                if let configurationFile {
                    settings = try NodeArguments.configurationFile(configurationFile).settings
                }
                settings += assignments
                _ = try NodeArguments.configuration(settings)
                let begin = NodeServer.monotonicMilliseconds()
                let folder = try place.folder()
                // Two `up` at once would both create the ring.
                let lock = try DataFolder(path: folder)
                let ring = try existing(folder, settings) ?? create(folder, settings)
                let started = try ring.start(Array(ring.layout.numbers))
                withExtendedLifetime(lock) {}
                let passed = NodeServer.monotonicMilliseconds() - begin
                if started == 0 {
                    print("the ring in \(folder) is already running:")
                } else {
                    print("\(started) of \(ring.layout.nodes.count) nodes started in \(passed) ms:")
                }
                print(try ring.statusTable())
            }
        }

        private func create(_ folder: String, _ settings: [String]) throws -> LocalRing {
            let ring = LocalRing(
                layout: try RingLayout.new(
                    folder: folder, nodes: nodes ?? 3, shardsOfNode: shards,
                    isSameAddress: isSameAddress, isOneProcess: isOneProcess, settings: settings,
                    port: port, peerPort: peerPort, adminPort: adminPort))
            try ring.create()
            return ring
        }

        private func existing(_ folder: String, _ settings: [String]) throws -> LocalRing? {
            guard var layout = try RingLayout.load(folder: folder) else { return nil }
            if let nodes, nodes != layout.nodes.count {
                throw ServerFailure(
                    "the ring in \(folder) has \(layout.nodes.count) nodes, not \(nodes); "
                        + "choose another folder with --data, or remove that one")
            }
            if let shards { layout.shardsOfNode = try NodeArguments.shardCount(shards) }
            if isOneProcess { layout.isOneProcess = true }
            // A later setting of the same name counts, so new ones go to the end.
            layout.settings = layout.settings.filter { !settings.contains($0) } + settings
            try layout.save()
            return LocalRing(layout: layout)
        }
    }

    struct Status: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show each node of the ring.")

        @OptionGroup var place: Place

        func run() throws {
            try CommandFailure.reporting { print(try place.ring().statusTable()) }
        }
    }

    struct Down: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Stop all nodes in order; the data stays.")

        @OptionGroup var place: Place

        func run() throws {
            try CommandFailure.reporting {
                let ring = try place.ring()
                let count = try ring.stop(Array(ring.layout.numbers))
                print(
                    count == 0
                        ? "the ring was not running"
                        : "\(count) of \(ring.layout.nodes.count) nodes stopped")
            }
        }
    }

    struct Kill: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Kill a node (SIGKILL).")

        @OptionGroup var place: Place
        @Argument(help: "The node's number, from 1.") var number: Int

        func run() throws {
            try CommandFailure.reporting {
                let ring = try place.ringOfProcesses()
                print("node \(number) killed (process \(try ring.kill(number)))")
            }
        }
    }

    struct Start: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Start a stopped node and wait until it answers.")

        @OptionGroup var place: Place
        @Argument(help: "The node's number, from 1.") var number: Int

        func run() throws {
            try CommandFailure.reporting {
                let ring = try place.ringOfProcesses()
                try ring.layout.check(number)
                let begin = NodeServer.monotonicMilliseconds()
                guard try ring.start([number]) == 1 else {
                    throw ServerFailure(
                        "node \(number) is already running (process "
                            + "\(try ring.runningProcess(number)))")
                }
                print("node \(number) started in \(NodeServer.monotonicMilliseconds() - begin) ms")
            }
        }
    }

    struct Pause: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Stop a node's process where it stands (SIGSTOP).")

        @OptionGroup var place: Place
        @Argument(help: "The node's number, from 1.") var number: Int

        func run() throws {
            try CommandFailure.reporting {
                let process = try place.ringOfProcesses().runningProcess(number)
                try RingProcesses.pause(process)
                print("node \(number) paused (process \(process))")
            }
        }
    }

    struct Resume: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Let a paused node go on (SIGCONT).")

        @OptionGroup var place: Place
        @Argument(help: "The node's number, from 1.") var number: Int

        func run() throws {
            try CommandFailure.reporting {
                let process = try place.ringOfProcesses().runningProcess(number)
                try RingProcesses.send(SIGCONT, to: process)
                print("node \(number) resumed (process \(process))")
            }
        }
    }

    /// All nodes of a ring as threads of this process; `up --in-process` runs it in the background.
    struct Serve: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Run all nodes of the ring in this process, in the foreground.")

        @OptionGroup var place: Place

        func run() throws {
            try CommandFailure.reporting {
                let layout = try place.ring().layout
                try NodeProcess.run(layout.numbers.map { try layout.options($0) })
            }
        }
    }
}
