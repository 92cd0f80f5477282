// A node in the real world: its folder, its threads, its ports, its start and its end.
//
// Ordering at the start: lock the folder; take the ports; raise and commit the incarnation, so that
// nothing of an earlier life can be taken for this one's; divide the files anew if the number of shards
// has changed; recover every shard; only then listen.
// Ordering at the end: close the ports and connections; finish syncs; sync every file; close the
// metadata. A kill at any moment is as good: the end only spares the next start some replay.

internal import Disk
internal import Encoding
package import Environment
internal import NIOCore
internal import NIOPosix
internal import NodeLogic
internal import SQLiteMetadata
internal import Synchronization

/// How to run a node.
package struct NodeOptions: Sendable {
    package var dataFolder: String
    /// Where clients and peers find the node.
    package var address: [UInt8]
    package var clientPort: UInt16
    package var peerPort: UInt16
    /// Where operators' commands come in; nil: the usual port, if it is free.
    package var adminPort: UInt16?
    package var shardCount: Int
    package var configuration: Configuration
    /// Whether the log has errors only.
    package var isQuiet = false

    package init(
        dataFolder: String, address: [UInt8], clientPort: UInt16 = 9042, peerPort: UInt16 = 7000,
        adminPort: UInt16? = nil, shardCount: Int, configuration: Configuration
    ) {
        self.dataFolder = dataFolder
        self.address = address
        self.clientPort = clientPort
        self.peerPort = peerPort
        self.adminPort = adminPort
        self.shardCount = shardCount
        self.configuration = configuration
    }

    /// The node's own address if that is a loopback one, so that nodes of one machine are told apart;
    /// else 127.0.0.1: commands come from the machine itself.
    var adminAddress: [UInt8] {
        let isLoopback =
            address.count == 4
            ? address[0] == 127 : address.dropLast().allSatisfy { $0 == 0 } && address.last == 1
        return isLoopback ? address : [127, 0, 0, 1]
    }
}

/// A running node.
// Sendable unchecked: immutable after `init`, `stop` has one caller.
package final class NodeServer: @unchecked Sendable {
    package let host: HostID
    package let incarnation: Incarnation
    let options: NodeOptions
    let folder: DataFolder
    let log: NodeLog
    private let group: MultiThreadedEventLoopGroup
    let runners: [ShardRunner]
    let parts: NodeParts
    private var peerAcceptor: (acceptor: Acceptor, thread: OwnThread)?
    private var controls: [ControlSocket] = []
    let startedMilliseconds = NodeServer.monotonicMilliseconds()
    /// Names the files of an import while they wait.
    let nextImport = Atomic<UInt64>(1)
    /// Links and copies files of imports.
    let importThread = SerialThread(name: "import")

    /// Starts a node and returns when it listens for peers; for clients it listens as soon as the shards
    /// ask for it. `onFailure` is called once, on any thread, when the
    /// node cannot go on. It must end the process: what the node still held in memory must not act any
    /// more.
    package init(
        _ options: NodeOptions, onFailure: @escaping @Sendable (String) -> Void
    ) throws(ServerFailure) {
        precondition(options.shardCount > 0 && options.shardCount <= 1024)
        let log = NodeLog(
            node: Environment.SocketAddress(
                address: options.address, port: options.clientPort
            ).description, isQuiet: options.isQuiet)
        let folder = try DataFolder(path: options.dataFolder)
        let clientGate = try ClientGate(
            Environment.SocketAddress(address: options.address, port: options.clientPort), log: log)
        let peers = try Acceptor(
            address: Environment.SocketAddress(address: options.address, port: options.peerPort),
            purpose: "peer", log: log)
        let store = try NodeIdentity.open(folder)
        let files = try Self.openFiles(folder)
        let beginning: Beginning
        do throws(ShardStartFailure) {
            beginning = try Beginning(store: store, files: files, options: options)
        } catch {
            throw ServerFailure(error.description)
        }
        let hasFailed = SharedFlag()
        let blockReading = BlockReading.probe()
        if case .threads(let reason) = blockReading {
            log.info("blocks are read by helper threads (\(reason))")
        }
        let parts = NodeParts(
            configuration: options.configuration, incarnation: beginning.identity.incarnation,
            files: files,
            helpers: HelperThreads(readers: 4, jobRunners: max(2, options.shardCount)),
            blockReading: blockReading,
            metadataThread: SerialThread(name: "metadata"), store: store, log: log,
            clientGate: clientGate,
            fail: { reason in
                if hasFailed.raise() { onFailure(reason) }
            })
        let group = MultiThreadedEventLoopGroup(numberOfThreads: options.shardCount)
        var runners: [ShardRunner] = []
        for loop in group.makeIterator() {
            runners.append(
                ShardRunner(index: ShardIndex(runners.count), eventLoop: loop, parts: parts))
        }
        self.host = beginning.identity.host
        self.incarnation = beginning.identity.incarnation
        self.options = options
        self.folder = folder
        self.log = log
        self.parts = parts
        self.group = group
        self.runners = runners
        log.info(
            "starting host=\(host) incarnation=\(incarnation.value) shards=\(runners.count) "
                + "data=\(folder.path) pid=\(ProcessFigures.processID)")
        try recoverShards(beginning)
        try listen(peers: peers)
    }

    private static func openFiles(_ folder: DataFolder) throws(ServerFailure) -> RealFileSystem {
        do { return try RealFileSystem(path: folder.filesPath) } catch {
            throw ServerFailure(error.description)
        }
    }

    private func recoverShards(_ beginning: Beginning) throws(ServerFailure) {
        var generator = SystemRandomNumberGenerator()
        let seed = generator.next()
        let starts = runners.map { runner in
            let start = ShardStart(
                index: runner.index, shardCount: runners.count,
                configuration: options.configuration, host: host, incarnation: incarnation,
                metadata: beginning.image,
                clientAddress: Environment.SocketAddress(
                    address: options.address, port: options.clientPort),
                peerAddress: Environment.SocketAddress(
                    address: options.address, port: options.peerPort),
                randomSeed: seed, clock: beginning.clock,
                filePrefix: beginning.layout.filePrefix(runner.index), observer: nil)
            let box = UncheckedBox(start)
            return runner.eventLoop.submit { try runner.start(box.value, siblings: self.runners) }
        }
        var failure: ServerFailure?
        for start in starts {
            do { try start.wait() } catch {
                failure = failure ?? ServerFailure("\(error)")
            }
        }
        if let failure { throw failure }
    }

    private func listen(peers: Acceptor) throws(ServerFailure) {
        let runners = runners
        try listenForCommands()
        let peerThread = try peers.run { socket, _, remote in
            Self.leastLoaded(runners).adoptPeer(socket, remote: remote)
        }
        peerAcceptor = (peers, peerThread)
        try parts.clientGate.begin { socket, local, remote in
            let runner = Self.leastLoaded(runners)
            runner.connectionCount.add(1, ordering: .relaxed)
            runner.adoptClient(socket, local: local, remote: remote)
        }
        log.info("listening peers=\(peers.address)")
    }

    private func listenForCommands() throws(ServerFailure) {
        let obey: ControlSocket.Obey = { [weak self] request, answer in
            guard let self else { return answer(.refused("the node is stopping")) }
            self.obey(request, answer: answer)
        }
        controls = [try ControlSocket(path: folder.controlPath, group: group, obey: obey)]
        let port = options.adminPort ?? AdminClient.defaultPort
        let address = Environment.SocketAddress(address: options.adminAddress, port: port)
        do throws(ServerFailure) {
            controls.append(try ControlSocket(address: address, group: group, obey: obey))
            log.info("listening admin=\(address)")
        } catch {
            // A port that was asked for must be there; the usual one may belong to another node.
            if options.adminPort != nil { throw error }
            log.warning("\(error): commands come in by the data folder only")
        }
    }

    private static func leastLoaded(_ runners: [ShardRunner]) -> ShardRunner {
        var best = runners[0]
        var least = best.connectionCount.load(ordering: .relaxed)
        for runner in runners.dropFirst() {
            let load = runner.connectionCount.load(ordering: .relaxed)
            if load < least { (best, least) = (runner, load) }
        }
        return best
    }

    /// The machine's clock that only goes forward, for whoever measures how long something took.
    package static func monotonicMilliseconds() -> Int64 {
        SystemClocks.monotonic().nanoseconds / 1_000_000
    }

    /// What this machine believes the time of day is.
    package static func wallTime() -> WallTime { SystemClocks.wall() }

    /// Ends the node in order. Blocks; not to be called on an event loop.
    package func stop() {
        log.info("stopping")
        for control in controls { control.stop() }
        parts.clientGate.end()
        if let (acceptor, thread) = peerAcceptor {
            acceptor.stop()
            thread.join()
        }
        for runner in runners {
            do { try runner.eventLoop.submit { runner.stop() }.wait() } catch {
                log.warning("shard \(runner.index.value) did not stop in order: \(error)")
            }
        }
        importThread.stop()
        parts.helpers.stop()
        do { try parts.files.syncAll() } catch { log.error("the files were not synced: \(error)") }
        parts.metadataThread.stop()
        do { try group.syncShutdownGracefully() } catch {
            log.warning("event loops did not stop in order: \(error)")
        }
        log.info("stopped")
    }
}

/// What is known and committed before any shard is made.
private struct Beginning {
    let image: MetadataImage
    let identity: Node.Identity
    let layout: Node.Layout
    let clock: HybridClock

    /// Loads the metadata, makes this life of the node the newest, and divides the files among the
    /// shards if their number has changed.
    init(
        store: SQLiteMetadataStore, files: RealFileSystem, options: NodeOptions
    ) throws(ShardStartFailure) {
        var image: MetadataImage
        do throws(MetadataStoreFailure) { image = try store.load() } catch {
            throw ShardStartFailure(error.description)
        }
        func commit(_ batch: MetadataBatch) throws(ShardStartFailure) {
            do throws(MetadataStoreFailure) { try store.commit(batch) } catch {
                throw ShardStartFailure(error.description)
            }
            image.apply(batch)
        }
        identity = try Node.begin(
            image, newHost: NodeIdentity.newHostID(), boot: ProcessFigures.machineBoot())
        try commit(identity.batch)
        let preparation = try Node.prepare(
            image, shardCount: options.shardCount, configuration: options.configuration,
            incarnation: identity.incarnation, files: files, clock: SystemClocks.read())
        try commit(preparation.batch)
        try Node.finish(preparation, files: files)
        layout = preparation.layout
        clock = try Node.makeClock(
            image, identity: identity, files: files, configuration: options.configuration,
            wall: SystemClocks.wall())
        self.image = image
    }
}

/// Raised once.
private final class SharedFlag: Sendable {
    private let isRaised = Atomic<Bool>(false)

    /// True for the first caller only.
    func raise() -> Bool {
        isRaised.compareExchange(expected: false, desired: true, ordering: .relaxed).exchanged
    }
}

/// Carries a value to the loop that will own it.
// Sendable unchecked: made by one thread, then used by one other only.
private struct UncheckedBox<Value>: @unchecked Sendable {
    let value: Value
    init(_ value: Value) { self.value = value }
}
