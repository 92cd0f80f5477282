// A node in the real world: its folder, its threads, its ports, its start and its end.
//
// Ordering at the start: lock the folder; raise and commit the incarnation, so that nothing of an
// earlier life can be taken for this one's; recover every shard; only then open the ports.
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
    package var shardCount: Int
    package var configuration: Configuration

    package init(
        dataFolder: String, address: [UInt8], clientPort: UInt16 = 9042, peerPort: UInt16 = 7000,
        shardCount: Int, configuration: Configuration
    ) {
        self.dataFolder = dataFolder
        self.address = address
        self.clientPort = clientPort
        self.peerPort = peerPort
        self.shardCount = shardCount
        self.configuration = configuration
    }
}

/// A running node.
// Sendable unchecked: immutable after `init`, `stop` has one caller.
package final class NodeServer: @unchecked Sendable {
    package let host: HostID
    package let incarnation: Incarnation
    private let options: NodeOptions
    private let folder: DataFolder
    private let log: NodeLog
    private let group: MultiThreadedEventLoopGroup
    private let runners: [ShardRunner]
    private let parts: NodeParts
    private var acceptors: [(Acceptor, OwnThread)] = []
    private var control: ControlSocket?

    /// Starts a node and returns when it listens.
    /// - Parameter onFailure: called once, on any thread, when the node cannot go on. It must end the
    ///   process: what the node still held in memory must not act any more.
    package init(
        _ options: NodeOptions, onFailure: @escaping @Sendable (String) -> Void
    ) throws(ServerFailure) {
        precondition(options.shardCount > 0 && options.shardCount <= 1024)
        let log = NodeLog(node: Environment.SocketAddress(
            address: options.address, port: options.clientPort
        ).description)
        let folder = try DataFolder(path: options.dataFolder)
        let store = try NodeIdentity.open(folder)
        let loaded = try Self.beginIncarnation(store)
        let hasFailed = SharedFlag()
        let parts = NodeParts(
            configuration: options.configuration, incarnation: loaded.incarnation,
            files: try Self.openFiles(folder),
            helpers: HelperThreads(readers: 4, jobRunners: max(2, options.shardCount)),
            metadataThread: SerialThread(name: "metadata"), store: store, log: log,
            fail: { reason in
                if hasFailed.raise() { onFailure(reason) }
            })
        let group = MultiThreadedEventLoopGroup(numberOfThreads: options.shardCount)
        var runners: [ShardRunner] = []
        for loop in group.makeIterator() {
            runners.append(
                ShardRunner(index: ShardIndex(runners.count), eventLoop: loop, parts: parts))
        }
        self.host = loaded.host
        self.incarnation = loaded.incarnation
        self.options = options
        self.folder = folder
        self.log = log
        self.parts = parts
        self.group = group
        self.runners = runners
        log.info(
            "starting host=\(host) incarnation=\(incarnation.value) shards=\(runners.count) "
                + "data=\(folder.path) pid=\(ProcessFigures.processID)")
        try recoverShards(loaded.image)
        try listen()
    }

    /// Loads the metadata and makes this life of the node the newest, durably.
    private static func beginIncarnation(
        _ store: SQLiteMetadataStore
    ) throws(ServerFailure) -> (image: MetadataImage, host: HostID, incarnation: Incarnation) {
        var image = try NodeIdentity.load(store)
        let host = try NodeIdentity.ensureHostID(store, image: image)
        let last = image.local["generation"] ?? "0"
        guard let number = UInt32(last), number < UInt32.max else {
            throw ServerFailure("the node's metadata is damaged: generation is \(last)")
        }
        let batch = MetadataBatch([.setLocal("generation", String(number + 1))])
        try NodeIdentity.commit(batch, to: store)
        image.apply(MetadataBatch([.setLocal("host_id", host.description)]))
        image.apply(batch)
        return (image, host, Incarnation(number + 1))
    }

    private static func openFiles(_ folder: DataFolder) throws(ServerFailure) -> RealFileSystem {
        do { return try RealFileSystem(path: folder.filesPath) } catch {
            throw ServerFailure(error.description)
        }
    }

    private func recoverShards(_ image: MetadataImage) throws(ServerFailure) {
        var generator = SystemRandomNumberGenerator()
        let seed = generator.next()
        let starts = runners.map { runner in
            let start = ShardStart(
                index: runner.index, shardCount: runners.count,
                configuration: options.configuration, host: host, incarnation: incarnation,
                metadata: image,
                clientAddress: Environment.SocketAddress(
                    address: options.address, port: options.clientPort),
                peerAddress: Environment.SocketAddress(
                    address: options.address, port: options.peerPort),
                randomSeed: seed &+ UInt64(runner.index.value), observer: nil)
            let box = UncheckedBox(start)
            return runner.eventLoop.submit { try runner.start(box.value, siblings: self.runners) }
        }
        var failure: ServerFailure?
        for (runner, start) in zip(runners, starts) {
            do { try start.wait() } catch {
                failure = failure ?? ServerFailure("shard \(runner.index.value): \(error)")
            }
        }
        if let failure { throw failure }
    }

    private func listen() throws(ServerFailure) {
        let runners = runners
        let clients = try Acceptor(
            address: Environment.SocketAddress(address: options.address, port: options.clientPort),
            purpose: "CQL", log: log)
        let peers = try Acceptor(
            address: Environment.SocketAddress(address: options.address, port: options.peerPort),
            purpose: "peer", log: log)
        control = try ControlSocket(path: folder.controlPath, group: group) {
            [weak self] command, answer in
            guard let self else { return answer("error the node is stopping\n") }
            self.obey(command, answer: answer)
        }
        let peerThread = peers.run { socket, _, remote in
            Self.leastLoaded(runners).adoptPeer(socket, remote: remote)
        }
        let clientThread = clients.run { socket, local, remote in
            let runner = Self.leastLoaded(runners)
            runner.connectionCount.add(1, ordering: .relaxed)
            runner.adoptClient(socket, local: local, remote: remote)
        }
        acceptors = [(clients, clientThread), (peers, peerThread)]
        log.info("listening cql=\(clients.address) peers=\(peers.address)")
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

    /// Obeys an operator's command: `status` gets the process's own lines in front, everything else
    /// is for shard 0.
    package func obey(_ command: String, answer: @escaping @Sendable (String) -> Void) {
        runners[0].command(command) { [options, incarnation, runners] text in
            guard command == "status" else { return answer(text) }
            let connections = runners.reduce(0) {
                $0 + $1.connectionCount.load(ordering: .relaxed)
            }
            answer(
                """
                pid \(ProcessFigures.processID)
                incarnation \(incarnation.value)
                shards \(options.shardCount)
                connections \(connections)
                resident_bytes \(ProcessFigures.residentBytes())
                processor_microseconds \(ProcessFigures.processorMicroseconds())
                \(text)
                """)
        }
    }

    /// Ends the node in order. Blocks; not to be called on an event loop.
    package func stop() {
        log.info("stopping")
        control?.stop()
        for (acceptor, thread) in acceptors {
            acceptor.stop()
            thread.join()
        }
        for runner in runners {
            do { try runner.eventLoop.submit { runner.stop() }.wait() } catch {
                log.warning("shard \(runner.index.value) did not stop in order: \(error)")
            }
        }
        parts.helpers.stop()
        do { try parts.files.syncAll() } catch { log.error("the files were not synced: \(error)") }
        parts.metadataThread.stop()
        do { try group.syncShutdownGracefully() } catch {
            log.warning("event loops did not stop in order: \(error)")
        }
        log.info("stopped")
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
