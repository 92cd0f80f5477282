// One shard on its event loop: gathers events, steps the shard once for each wake, and carries out
// what it asks for. It holds no decisions.
//
//     sockets, timer, mailbox --> inbox --> shard.step --> outbox --> disk, sockets, helper threads
//
// Ordering
//   - Effects are carried out in their order, and bytes for clients, peers and other shards are only
//     gathered meanwhile and leave after the last effect. So everything that leaves has all log
//     appends of its step behind it, and a failed append stops the node before anything has left.
//   - After a failure nothing is carried out any more.
// Cost: a tick costs one task on the loop, two clock readings, one log write, and one socket write for
// each connection that got an answer. Nothing here is done per request.

internal import Disk
internal import Encoding
internal import Environment
internal import NIOCore
internal import NIOPosix
internal import NodeLogic
internal import PeerProtocol
internal import SQLiteMetadata
internal import Synchronization

/// What all shards of a node share.
// Sendable unchecked: immutable; the store is used on the metadata thread only.
final class NodeParts: @unchecked Sendable {
    let configuration: Configuration
    let incarnation: Incarnation
    let files: RealFileSystem
    let helpers: HelperThreads
    let blockReading: BlockReading
    let metadataThread: SerialThread
    let store: SQLiteMetadataStore
    let log: NodeLog
    let clientGate: ClientGate
    /// Ends the node at once; called on any thread, at most once has an effect.
    let fail: @Sendable (String) -> Void

    init(
        configuration: Configuration, incarnation: Incarnation, files: RealFileSystem,
        helpers: HelperThreads, blockReading: BlockReading, metadataThread: SerialThread,
        store: SQLiteMetadataStore,
        log: NodeLog, clientGate: ClientGate, fail: @escaping @Sendable (String) -> Void
    ) {
        self.configuration = configuration
        self.incarnation = incarnation
        self.files = files
        self.helpers = helpers
        self.blockReading = blockReading
        self.metadataThread = metadataThread
        self.store = store
        self.log = log
        self.clientGate = clientGate
        self.fail = fail
    }
}

/// A shard and everything that it is connected to.
// Sendable unchecked: all mutable state is used on `eventLoop` only, except `mailbox` (locked) and
// `connectionCount` (atomic).
final class ShardRunner: @unchecked Sendable {
    let index: ShardIndex
    let eventLoop: any EventLoop
    let mailbox = ShardMailbox()
    /// Connections given to this shard, for whoever looks for the least loaded one.
    let connectionCount = Atomic<Int>(0)

    /// Events for the next step.
    var inbox = Inbox()
    var connections: [ConnectionID: ClientConnection] = [:]
    /// What clients' bytes are read into, and memory for long answers.
    let readBuffer = ReadBuffer()
    let writeBuffers = WriteBuffers()
    var incomingPeers: [ObjectIdentifier: ChannelHandlerContext] = [:]

    private let parts: NodeParts
    private var shard: Shard?
    private let outbox = Outbox()
    /// Nil where helper threads read blocks; else its bell is rung when reads have ended.
    private var blocks: BlockReader?
    private var bell: (any Channel)?
    /// All shards of the node, this one included, and what is staged for each of them.
    private var siblings: [ShardRunner] = []
    private var staged: [Inbox] = []
    private var links: [HostID: PeerLink] = [:]
    private var touchedConnections: [ClientConnection] = []
    private var touchedLinks: [PeerLink] = []
    private var commands: [UInt64: @Sendable (AdminAnswer) -> Void] = [:]
    private var lastCommand: UInt64 = 0
    private var lastConnection: UInt64 = 0
    private var wakeAt: Instant?
    private var armedFor: Instant?
    private var armedTimer: NIOScheduledCallback?
    private static let shortestWait = Instant.Span(nanoseconds: 20_000)
    private var isTickScheduled = false
    private var hasLateEvents = false
    private var isStopped = false

    init(index: ShardIndex, eventLoop: any EventLoop, parts: NodeParts) {
        self.index = index
        self.eventLoop = eventLoop
        self.parts = parts
    }

    var configuration: Configuration { parts.configuration }
    var log: NodeLog { parts.log }
    private var files: RealFileSystem { parts.files }

    /// Recovers the shard from its folder and carries out its first effects. On the loop.
    func start(_ start: ShardStart, siblings: [ShardRunner]) throws(ShardStartFailure) {
        openBlockReader()
        self.siblings = siblings
        staged = siblings.map { _ in Inbox() }
        let shard = try Shard(start, files: files, clock: SystemClocks.read(), outbox: outbox)
        self.shard = shard
        if let report = shard.recoveryReport {
            log.write(
                report.isAlarming ? .warning : .info, "shard \(index.value): \(report.text)")
        }
        carryOutbox()
        // What other shards sent while this one recovered waits in the mailbox.
        scheduleTick()
    }

    /// Closes all connections; nothing is carried out from here on. On the loop.
    func stop() {
        isStopped = true
        for connection in connections.values { connection.close() }
        for peer in incomingPeers.values { peer.close(promise: nil) }
        for link in links.values { link.close() }
        links.removeAll()
        armedTimer?.cancel()
        armedTimer = nil
        bell?.close(promise: nil)
        bell = nil
        blocks = nil
    }

    // MARK: - Events

    /// Takes an event that happened on this loop.
    func receive(_ event: Event) {
        inbox.events.append(event)
        scheduleTick()
    }

    /// Takes an event that came of carrying out a step; one that is not urgent comes with the next step,
    /// whenever that is. It is worth a look at the sockets before: a client that asks for much would
    /// keep all others waiting with such events alone.
    func receiveLater(_ event: Event, isUrgent: Bool) {
        inbox.events.append(event)
        if isUrgent { hasLateEvents = true }
    }

    /// Takes an event from any thread.
    func deliver(_ event: Event) {
        if mailbox.post(event) { wake() }
    }

    /// Runs a tick soon, from any thread.
    private func wake() {
        eventLoop.execute { self.scheduledTick() }
    }

    private func scheduleTick() {
        if isTickScheduled { return }
        isTickScheduled = true
        eventLoop.execute { self.scheduledTick() }
    }

    private func scheduledTick() {
        isTickScheduled = false
        tick()
    }

    /// Takes over a client's socket. From any thread; `connectionCount` was raised by the caller.
    func adoptClient(
        _ socket: Int32, local: Environment.SocketAddress, remote: Environment.SocketAddress
    ) {
        eventLoop.execute {
            self.lastConnection += 1
            let id = ConnectionID(self.lastConnection)
            self.bootstrap(SharedReadAllocator(self.readBuffer))
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(
                            ClientConnection(
                                id: id, runner: self, local: local, remote: remote,
                                allocator: channel.allocator))
                    }
                }
                .withConnectedSocket(socket)
                .whenFailure { _ in self.connectionEnded() }
        }
    }

    /// Takes over the socket of a peer that has connected. From any thread.
    func adoptPeer(_ socket: Int32, remote: Environment.SocketAddress) {
        eventLoop.execute {
            let reading = AdaptiveRecvByteBufferAllocator(
                minimum: 1 << 10, initial: 8 << 10, maximum: 256 << 10)
            self.bootstrap(reading)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(
                            PeerReceiver(runner: self, remote: remote))
                    }
                }
                .withConnectedSocket(socket)
                .whenFailure { self.log.warning("peer connection from \(remote): \($0)") }
        }
    }

    private func bootstrap(_ reading: any RecvByteBufferAllocator) -> ClientBootstrap {
        ClientBootstrap(group: eventLoop)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            // One read for each wake: the next connection's bytes belong to the same step.
            .channelOption(.maxMessagesPerRead, value: 1)
            .channelOption(.recvAllocator, value: reading)
            .channelOption(.writeBufferWaterMark, value: .init(low: 1, high: 64 << 10))
    }

    /// Ends all client connections: the node no longer serves them. From any thread.
    func closeClients() {
        eventLoop.execute {
            for connection in self.connections.values { connection.close() }
        }
    }

    /// A client's connection has ended, or could not be taken over.
    func connectionEnded() {
        connectionCount.subtract(1, ordering: .relaxed)
    }

    /// Hands a peer's message to the shard that it is for; `postStaged` must follow.
    func routePeerMessage(_ message: UnsafeRawBufferPointer) {
        let target = PeerRouting.shard(of: message, shardCount: siblings.count)
        if target == index {
            receive(.peerMessage(inbox.store(message)))
            return
        }
        let batch = staged[target.value]
        batch.events.append(.peerMessage(batch.store(message)))
    }

    /// Posts what is staged for other shards, and wakes those that sleep.
    func postStaged() {
        for target in siblings.indices where !staged[target].isEmpty {
            if siblings[target].mailbox.post(staged[target]) { siblings[target].wake() }
            staged[target].removeAll()
        }
    }

    /// Asks the shard to obey a command. From any thread; `answer` is called on the loop.
    func command(_ request: AdminRequest, answer: @escaping @Sendable (AdminAnswer) -> Void) {
        eventLoop.execute {
            self.lastCommand += 1
            self.commands[self.lastCommand] = answer
            let id = EffectID(incarnation: self.parts.incarnation, sequence: self.lastCommand)
            self.receive(.command(id, request))
        }
    }

    // MARK: - The tick

    private func tick() {
        guard let shard, !isStopped else { return }
        mailbox.drain(into: &inbox)
        let clock = SystemClocks.read()
        let isDue = wakeAt.map { $0 <= clock.monotonic } ?? false
        guard isDue || !inbox.isEmpty else { return arm(now: clock.monotonic) }
        shard.step(inbox, clock: clock, outbox: outbox)
        inbox.removeAll()
        carryOutbox()
    }

    /// Carries out the outbox, empties it and sets the timer.
    private func carryOutbox() {
        for effect in outbox.effects {
            carryOut(effect)
            if isStopped { return }
        }
        for connection in touchedConnections { connection.flush() }
        touchedConnections.removeAll(keepingCapacity: true)
        for link in touchedLinks { link.flush() }
        touchedLinks.removeAll(keepingCapacity: true)
        postStaged()
        // One system call for all reads of the step.
        if let blocks, blocks.submit() { blocksEnded() }
        let now = SystemClocks.monotonic()
        wakeAt = hasLateEvents ? now : outbox.wakeAt
        hasLateEvents = false
        outbox.removeAll()
        arm(now: now)
    }

    private func carryOut(_ effect: Effect) {
        switch effect {
        case .clientBytes(let id, let range):
            if let connection = connections[id], connection.append(outbox.bytes[range]) {
                touchedConnections.append(connection)
            }
        case .clientClose(let id): connections[id]?.closeAfterFlush()
        case .clientReading(let id, let isOn): connections[id]?.setReading(isOn)
        case .acceptClients(let isOn): parts.clientGate.set(isOn)
        case .peerLink(let host, let address): keepLink(to: host, at: address)
        case .peerUnlink(let host): links.removeValue(forKey: host)?.close()
        case .peerMessage(let host, let range):
            if let link = links[host], link.append(outbox.bytes[range]) {
                touchedLinks.append(link)
            }
        case .shardMessage(let target, let range):
            let batch = staged[target.value]
            batch.events.append(.shardMessage(from: index, batch.store(outbox.bytes[range])))
        case .logAppend(let file, let offset, let range):
            do { try files.write(file, at: offset, outbox.bytes[range]) } catch {
                fail("the log cannot be written: \(error)")
            }
        case .logSync(let id, let file):
            parts.helpers.sync(id, file, of: files, deliver: completion)
        case .readBlock(let id, let file, let offset, let count):
            if let blocks {
                blocks.read(id, file, offset: offset, count: count)
            } else {
                parts.helpers.read(
                    id, file, offset: offset, count: count,
                    mode: configuration.storage.diskAccessMode, of: files, deliver: completion)
            }
        case .runJob(let id, let job):
            parts.helpers.run(
                id, job, budgetBytes: configuration.storage.jobStepBytes, of: files,
                deliver: completion)
        case .commitMetadata(let id, let batch): commitMetadata(id, batch)
        case .commandAnswer(let id, let answer):
            commands.removeValue(forKey: id.sequence)?(answer)
        case .report(let text): log.write(.warning, "shard \(index.value): \(text)")
        case .stopNode(let reason): fail(reason)
        }
    }

    private func keepLink(to host: HostID, at address: Environment.SocketAddress) {
        if let link = links[host] { return link.move(to: address) }
        let link = PeerLink(host: host, address: address, runner: self)
        links[host] = link
        link.connect()
    }

    private func commitMetadata(_ id: EffectID, _ batch: MetadataBatch) {
        let parts = parts
        parts.metadataThread.run {
            do {
                try parts.store.commit(batch)
                self.deliver(.metadataCommitted(id))
            } catch {
                parts.fail("the metadata cannot be committed: \(error)")
            }
        }
    }

    /// Turns a helper thread's completion into an event; on that thread.
    private func completion(_ completion: HelperCompletion) {
        switch completion {
        case .logSynced(let id, nil): deliver(.logSynced(id))
        case .logSynced(_, .some(let failure)):
            // What the kernel dropped is unknown from here on.
            parts.fail("the log cannot be synced: \(failure)")
        case .blockRead(let id, let read): deliver(.blockRead(id, read))
        case .jobEnded(let id, let job, let failure): deliver(.jobEnded(id, job, failure))
        }
    }

    private func fail(_ reason: String) {
        isStopped = true
        parts.fail(reason)
    }

    // MARK: - Block reads

    /// Opens the shard's ring, if the node has rings, and lets its bell ring on this loop.
    private func openBlockReader() {
        guard parts.blockReading == .ring else { return }
        do throws(SystemError) {
            let reader = try BlockReader(
                files: files, mode: configuration.storage.diskAccessMode)
            let bell = try reader.makeEventDescriptor()
            blocks = reader
            NIOPipeBootstrap(group: eventLoop)
                .channelOption(.maxMessagesPerRead, value: 1)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(RingBell(runner: self))
                    }
                }
                .takingOwnershipOfDescriptor(input: bell)
                .whenComplete { result in
                    switch result {
                    case .success(let channel): self.bell = channel
                    case .failure(let error):
                        self.fail("the ends of block reads cannot be watched: \(error)")
                    }
                }
        } catch {
            log.warning("shard \(index.value) reads blocks with helper threads: \(error)")
        }
    }

    /// Some block reads have ended.
    func blocksEnded() {
        guard let blocks, !isStopped else { return }
        blocks.reap { id, read in receive(.blockRead(id, read)) }
    }

    // MARK: - The timer

    /// Makes sure that a tick comes at `wakeAt`. A timer that is set for an earlier time stays: it
    /// costs less to wake once in vain than to set a timer anew in each tick.
    private func arm(now: Instant) {
        guard var wakeAt else { return }
        // A tick that is asked for at once comes behind a look at the sockets, which a task of the loop
        // would not wait for: it runs all tasks, and what they add, before it looks.
        wakeAt = max(wakeAt, now + Self.shortestWait)
        if let armedFor, armedFor <= wakeAt { return }
        armedTimer?.cancel()
        armedFor = wakeAt
        do {
            armedTimer = try eventLoop.scheduleCallback(
                in: .nanoseconds((wakeAt - now).nanoseconds), handler: self)
        } catch {
            // Only a loop that is shutting down refuses.
            armedFor = nil
        }
    }
}

extension ShardRunner: NIOScheduledCallbackHandler {
    func handleScheduledCallback(eventLoop: some EventLoop) {
        armedTimer = nil
        armedFor = nil
        tick()
    }
}

/// The pipe of a ring's event descriptor: its bytes only say that something has ended.
private final class RingBell: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let runner: ShardRunner

    init(runner: ShardRunner) { self.runner = runner }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { runner.blocksEnded() }
}
