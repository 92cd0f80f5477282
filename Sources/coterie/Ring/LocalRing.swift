// Starting, stopping and watching the nodes of a local ring.

internal import Environment
internal import Server

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// A ring on this machine, by its layout.
struct LocalRing {
    let layout: RingLayout

    /// How long a ring may take until it answers.
    static let startMilliseconds = 120_000
    static let stopMilliseconds = 20_000
    static let sightMilliseconds = 15_000

    /// Creates the nodes' folders and founds their cluster.
    func create() throws {
        for number in layout.numbers {
            let folder = layout.nodeFolder(number)
            if try TextFile.read(folder + "/metadata.db") != nil {
                throw ServerFailure(
                    "\(folder) holds a node, but \(layout.folder)/ring.conf is missing: "
                        + "remove the folder or choose another with --data")
            }
        }
        try ClusterFounding.found(ofNodes: layout.numbers.map { try layout.options($0) })
        try layout.save()
    }

    /// Starts those of the given nodes that do not run, and waits until they serve.
    /// - Returns: how many were started.
    func start(_ numbers: [Int]) throws -> Int {
        var waiting: [(number: Int, child: pid_t)] = []
        if layout.isOneProcess {
            if try DataFolder.holder(path: layout.nodeFolder(1)) == nil {
                let child = try RingProcesses.spawn(
                    ["ring", "serve", "--data", layout.folder], logPath: layout.logPath(1))
                waiting = layout.numbers.map { ($0, child) }
            }
        } else {
            for number in numbers
            where try DataFolder.holder(path: layout.nodeFolder(number)) == nil {
                waiting.append((number, try spawn(number)))
            }
        }
        let started = waiting.map(\.number)
        var passed = 0
        while !waiting.isEmpty {
            for entry in waiting where RingProcesses.hasEnded(child: entry.child) {
                throw ServerFailure(
                    "node \(entry.number) ended while it started:\n" + lastLines(entry.number))
            }
            try waiting.removeAll { try isServing($0.number) }
            if waiting.isEmpty { break }
            if passed > Self.startMilliseconds {
                let names = waiting.map { String($0.number) }.joined(separator: ", ")
                throw ServerFailure(
                    "node \(names) does not answer after \(passed / 1_000) s; see "
                        + layout.logPath(waiting[0].number))
            }
            RingProcesses.sleep(milliseconds: 20)
            passed += 20
        }
        try waitUntilSeen(started)
        return started.count
    }

    /// Waits until the started nodes and all others that serve take each other for alive, so that the
    /// next statement finds its replicas. Gives up quietly: a ring may be cut by a fault on purpose.
    private func waitUntilSeen(_ started: [Int]) throws(ServerFailure) {
        if started.isEmpty { return }
        for _ in 0..<Self.sightMilliseconds / 20 {
            var live: [Int] = []
            for number in layout.numbers {
                let condition = try RingProbe.condition(of: number, in: layout)
                if condition.state == .up { live.append(condition.liveNodes ?? 0) }
            }
            if live.allSatisfy({ $0 >= live.count }) { return }
            RingProcesses.sleep(milliseconds: 20)
        }
    }

    private func spawn(_ number: Int) throws(ServerFailure) -> pid_t {
        let node = layout.node(number)
        var arguments = [
            "node", "--data", layout.nodeFolder(number), "--address", node.clientAddress.host,
            "--port", String(node.clientPort), "--peer-port", String(node.peerPort),
            "--shards", String(layout.shardsOfNode),
        ]
        if let port = node.adminPort { arguments += ["--admin-port", String(port)] }
        for setting in layout.settings { arguments += ["--set", setting] }
        return try RingProcesses.spawn(arguments, logPath: layout.logPath(number))
    }

    private func isServing(_ number: Int) throws(ServerFailure) -> Bool {
        guard RingProbe.answersCQL(layout.node(number).clientAddress) else { return false }
        return try RingProbe.condition(of: number, in: layout).state == .up
    }

    /// Ends the given nodes in order, and those that do not end by force.
    /// - Returns: how many ran.
    func stop(_ numbers: [Int]) throws(ServerFailure) -> Int {
        var running: [(number: Int, process: pid_t)] = []
        for number in numbers {
            guard let process = try DataFolder.holder(path: layout.nodeFolder(number)) else {
                continue
            }
            running.append((number, process))
            try RingProcesses.send(SIGTERM, to: process)
            // A paused process takes its signals when it goes on.
            try RingProcesses.send(SIGCONT, to: process)
        }
        let count = running.count
        var passed = 0
        while !running.isEmpty {
            try filter(&running)
            if running.isEmpty { break }
            if passed == Self.stopMilliseconds {
                for entry in running {
                    print("node \(entry.number) does not end; killing process \(entry.process)")
                    try RingProcesses.send(SIGKILL, to: entry.process)
                }
            } else if passed > 2 * Self.stopMilliseconds {
                throw ServerFailure("process \(running[0].process) cannot be ended")
            }
            RingProcesses.sleep(milliseconds: 20)
            passed += 20
        }
        return count
    }

    /// Kills a node as a power switch would, for its process. Waits until it is gone.
    func kill(_ number: Int) throws(ServerFailure) -> pid_t {
        let process = try runningProcess(number)
        try RingProcesses.send(SIGKILL, to: process)
        var running = [(number: number, process: process)]
        while !running.isEmpty {
            try filter(&running)
            RingProcesses.sleep(milliseconds: 5)
        }
        return process
    }

    /// The process that runs a node, or a message that none does.
    func runningProcess(_ number: Int) throws(ServerFailure) -> pid_t {
        try layout.check(number)
        guard let process = try DataFolder.holder(path: layout.nodeFolder(number)) else {
            throw ServerFailure("node \(number) is not running")
        }
        return process
    }

    private func filter(
        _ running: inout [(number: Int, process: pid_t)]
    ) throws(ServerFailure) {
        var still: [(number: Int, process: pid_t)] = []
        for entry in running
        where try DataFolder.holder(path: layout.nodeFolder(entry.number)) == entry.process {
            still.append(entry)
        }
        running = still
    }

    private func lastLines(_ number: Int) -> String {
        let path = layout.logPath(number)
        guard let text = try? TextFile.read(path) else { return "  (no log in \(path))" }
        let lines = text.split(separator: "\n").suffix(5)
        return lines.map { "  \($0)" }.joined(separator: "\n") + "\n(the log: \(path))"
    }

    /// A table of all nodes for a person.
    func statusTable() throws(ServerFailure) -> String {
        var rows = [["node", "address", "state", "pid", "host id", "epoch", "live", "memory"]]
        for number in layout.numbers {
            let condition = try RingProbe.condition(of: number, in: layout)
            let memory = condition.facts["resident_bytes"].flatMap(Int.init)
            rows.append([
                String(number), layout.node(number).clientAddress.description,
                condition.state.rawValue, condition.process.map(String.init) ?? "-",
                condition.facts["host"] ?? "-", condition.facts["epoch"] ?? "-",
                condition.liveNodes.map(String.init) ?? "-",
                memory.map { "\($0 >> 20) MiB" } ?? "-",
            ])
        }
        let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            zip(row, widths).map { text, width in
                text + String(repeating: " ", count: width - text.count)
            }.joined(separator: "  ")
        }.joined(separator: "\n")
    }
}
