// A whole ring in one process: nodes of shards, links, disks, clocks and clients in virtual time.
//
// One loop takes the earliest occurrence from the queue, lets it change the world, and when nothing
// more happens at that very time steps the shards that have something in their inbox. A shard's
// effects are carried out in order, which is the seam's promise, and each of them, like each disk
// operation, is a point at which the node may die.
//
//     queue --pop--> handle --deliver--> shard.inbox      (more at this time? go on popping)
//                                          |
//     queue <--push-- carry out <--outbox-- step
//
// Invariants: nothing is drawn from a stream that another node, link, client or fault uses; nothing
// iterates over a dictionary; one thread.

internal import Encoding
package import Environment

/// A simulated ring and its clients.
package final class SimulatedWorld {
    package let settings: WorldSettings
    package let nodes: [SimulatedNode]
    package internal(set) var now = VirtualTime.zero
    package internal(set) var trace = TraceHash()
    /// Gets a line for each delivery; nil: no text is made.
    package var traceSink: ((String) -> Void)?
    /// Told all facts of all shards; set it before the nodes start.
    package var observer: (any Observer)?
    /// Occurrences handled so far.
    package internal(set) var eventCount: UInt64 = 0
    package internal(set) var stepCount: UInt64 = 0
    package internal(set) var messageCount: UInt64 = 0
    package internal(set) var lostMessageCount: UInt64 = 0
    /// Background jobs that have ended.
    package internal(set) var jobCount = 0
    /// Starts that failed although nothing crashed, and nodes that stopped themselves: what no run
    /// without a lying disk may show.
    package internal(set) var failures: [String] = []

    let startNode: NodeStart
    let queue = EventQueue<Occurrence>()
    var ready: [SimulatedShard] = []
    var indexByHost: [HostID: Int] = [:]
    /// How many faults cut the direction, by from * nodeCount + to.
    var cuts: [Int]
    var commandAnswers: [EffectID: (AdminAnswer) -> Void] = [:]
    var nextCommand: UInt64 = 1
    /// Job steps of paused nodes.
    var deferred: [[Occurrence]]

    /// Something that will happen.
    enum Occurrence {
        case step(SimulatedShard, life: UInt32)
        case wake(SimulatedShard, life: UInt32)
        case peerMessage(SimulatedLink, targetLife: UInt32, [UInt8])
        case shardMessage(SimulatedShard, life: UInt32, from: Int, [UInt8])
        case logSynced(SimulatedShard, EffectID, FileName, token: UInt64, life: UInt32)
        case blockRead(SimulatedShard, EffectID, FileName, offset: Int, count: Int, life: UInt32)
        case jobStep(SimulatedShard, EffectID, any Job, life: UInt32)
        case metadataCommitted(SimulatedShard, EffectID, token: UInt64, life: UInt32)
        case linkUp(SimulatedLink, connection: UInt64)
        case linkDown(SimulatedLink, connection: UInt64)
        case connectionOpened(SimulatedConnection)
        case bytesToNode(SimulatedConnection, [UInt8])
        case heldBytesToNode(SimulatedConnection)
        case unreadBytesToNode(SimulatedConnection)
        case closedToNode(SimulatedConnection)
        case bytesToClient(SimulatedConnection, [UInt8])
        case closedToClient(SimulatedConnection)
        case fault(Fault)
        case action(() -> Void)
    }

    /// A world of dead nodes. `hosts` and `metadata` give each node its identity and what its store
    /// holds before its first start.
    package init(
        _ settings: WorldSettings, hosts: [HostID], metadata: [MetadataImage],
        start: @escaping NodeStart
    ) {
        let count = settings.nodeCount
        precondition(hosts.count == count && metadata.count == count)
        precondition(settings.shardCounts.map { $0.count == count } ?? true)
        self.settings = settings
        startNode = start
        nodes = (0..<count).map { index in
            SimulatedNode(
                index: index, host: hosts[index], shardCount: settings.shardCount(ofNode: index),
                nodeCount: count,
                clock: index < settings.clocks.count ? settings.clocks[index] : SimulatedClock(),
                metadata: metadata[index], seed: settings.seed)
        }
        cuts = Array(repeating: 0, count: count * count)
        deferred = Array(repeating: [], count: count)
        for node in nodes { indexByHost[node.host] = node.index }
    }

    /// Host ids as a world of that seed draws them.
    package static func hosts(seed: UInt64, count: Int) -> [HostID] {
        var stream = RandomStream(seed: seed, name: "hosts")
        return (0..<count).map { _ in HostID(stream.uniqueID()) }
    }

    // MARK: Running

    /// Runs `action` at that time (not before now), between two occurrences.
    package func schedule(at time: VirtualTime, _ action: @escaping () -> Void) {
        queue.push(at: max(time, now).nanoseconds, .action(action))
    }

    /// Puts the faults into the queue.
    package func install(_ faults: [Fault]) {
        for fault in faults { queue.push(at: max(fault.at, now).nanoseconds, .fault(fault)) }
    }

    /// Runs until nothing is due before `end`, and sets the time to `end`.
    package func run(until end: VirtualTime) {
        _ = run(until: end) { false }
        now = max(now, end)
    }

    /// Runs until `isDone` says so, or until nothing is due before `end`; tells whether it is done.
    package func run(until end: VirtualTime, _ isDone: () -> Bool) -> Bool {
        while !isDone() {
            guard let next = queue.nextTime, next <= end.nanoseconds else { return false }
            runOne()
        }
        return true
    }

    private func runOne() {
        let (time, occurrence) = queue.pop()
        precondition(time >= now.nanoseconds, "time runs backwards")
        now.nanoseconds = time
        eventCount += 1
        handle(occurrence)
        if ready.isEmpty { return }
        if let next = queue.nextTime, next == time { return }
        stepReady()
    }

    private func stepReady() {
        var index = 0
        while index < ready.count {
            let shard = ready[index]
            index += 1
            if shard.isReady { step(shard) }
        }
        ready.removeAll(keepingCapacity: true)
    }

    func makeReady(_ shard: SimulatedShard) {
        if shard.isReady || nodes[shard.node].state != .running || shard.machine == nil { return }
        if now.nanoseconds < shard.busyUntil {
            if !shard.stepIsQueued {
                shard.stepIsQueued = true
                queue.push(at: shard.busyUntil, .step(shard, life: nodes[shard.node].life))
            }
            return
        }
        shard.isReady = true
        ready.append(shard)
    }

    private func step(_ shard: SimulatedShard) {
        shard.isReady = false
        let node = nodes[shard.node]
        guard node.state == .running, let machine = shard.machine else { return }
        stepCount += 1
        shard.outbox.removeAll()
        shard.wantedWake = .max
        machine.step(shard.inbox, clock: node.clock.read(now), outbox: shard.outbox)
        shard.inbox.removeAll()
        let cost = max(0, settings.stepCost.sample(&shard.costStream))
        carryOut(shard, of: node, cost: cost)
    }

    // MARK: Deliveries

    /// Hashes (and writes) one delivery.
    func record(
        _ kind: DeliveryKind, node: Int, shard: Int, detail: UInt64 = 0,
        _ bytes: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0),
        text: @autoclosure () -> String = ""
    ) {
        trace.add(at: now, node: node, shard: shard, kind: kind, detail: detail, bytes)
        guard let traceSink else { return }
        var line = "\(now) n\(node).\(shard) \(kind)"
        let more = text()
        if !more.isEmpty { line += " \(more)" }
        if bytes.count > 0 { line += " \(bytes.count) \(HexText.text(bytes))" }
        traceSink(line)
    }

    func deliver(
        _ event: Event, to shard: SimulatedShard, _ kind: DeliveryKind, detail: UInt64 = 0,
        text: @autoclosure () -> String = ""
    ) {
        record(kind, node: shard.node, shard: shard.index, detail: detail, text: text())
        shard.inbox.events.append(event)
        makeReady(shard)
    }

    func isAlive(_ shard: SimulatedShard, life: UInt32) -> Bool {
        let node = nodes[shard.node]
        return node.state != .dead && node.life == life
    }

    /// Whether a completion for `life` may be delivered: to the life that asked, or, as a test of
    /// the shard, now and then to a later one.
    private func takesCompletion(_ shard: SimulatedShard, life: UInt32) -> Bool {
        let node = nodes[shard.node]
        if node.state == .dead || shard.machine == nil { return false }
        if node.life == life { return true }
        return node.stream.chance(settings.lateCompletionChance, outOf: 1_000_000)
    }

    private func handle(_ occurrence: Occurrence) {
        switch occurrence {
        case .step(let shard, let life):
            guard isAlive(shard, life: life) else { return }
            shard.stepIsQueued = false
            if !shard.inbox.isEmpty || shard.wantedWake <= now.nanoseconds { makeReady(shard) }
        case .wake(let shard, let life):
            guard isAlive(shard, life: life), shard.queuedWake == now.nanoseconds else { return }
            shard.queuedWake = .max
            if shard.wantedWake <= now.nanoseconds {
                record(.wake, node: shard.node, shard: shard.index)
                makeReady(shard)
            } else {
                queueWake(shard)
            }
        case .peerMessage(let link, let targetLife, let bytes):
            receive(link, targetLife: targetLife, bytes)
        case .shardMessage(let shard, let life, let from, let bytes):
            guard isAlive(shard, life: life) else { return }
            bytes.withUnsafeBytes { raw in
                record(
                    .shardMessage, node: shard.node, shard: shard.index, detail: UInt64(from), raw,
                    text: "from shard \(from)")
                let range = shard.inbox.store(raw)
                shard.inbox.events.append(.shardMessage(from: ShardIndex(from), range))
            }
            makeReady(shard)
        case .logSynced(let shard, let id, let file, let token, let life):
            // The kernel ends what it began, whoever died; after a power loss the token is unknown.
            shard.disk.endLogSync(file, token: token)
            guard takesCompletion(shard, life: life) else { return }
            deliver(
                .logSynced(id), to: shard, .logSynced, detail: id.sequence, text: file.text)
        case .blockRead(let shard, let id, let file, let offset, let count, let life):
            guard takesCompletion(shard, life: life) else { return }
            readBlock(shard, id, file, offset: offset, count: count)
        case .jobStep(let shard, let id, let job, let life):
            guard isAlive(shard, life: life) else { return }
            if nodes[shard.node].state == .paused {
                deferred[shard.node].append(occurrence)
                return
            }
            stepJob(shard, id, job, life: life)
        case .metadataCommitted(let shard, let id, let token, let life):
            if nodes[shard.node].life == life { nodes[shard.node].store.end(token) }
            guard takesCompletion(shard, life: life) else { return }
            deliver(.metadataCommitted(id), to: shard, .metadataCommitted, detail: id.sequence)
        case .linkUp(let link, let connection): linkUp(link, connection: connection)
        case .linkDown(let link, let connection): linkDown(link, connection: connection)
        case .connectionOpened(let connection): open(connection)
        case .bytesToNode(let connection, let bytes): receiveFromClient(connection, bytes)
        case .heldBytesToNode(let connection): releaseHeldBytes(connection)
        case .unreadBytesToNode(let connection): releaseUnreadBytes(connection)
        case .closedToNode(let connection): closedByClient(connection)
        case .bytesToClient(let connection, let bytes): receiveFromNode(connection, bytes)
        case .closedToClient(let connection): closedByNode(connection)
        case .fault(let fault): apply(fault)
        case .action(let action): action()
        }
    }

    // MARK: Wake-ups

    func queueWake(_ shard: SimulatedShard) {
        let time = max(shard.wantedWake, now.nanoseconds)
        guard time != .max, time < shard.queuedWake else { return }
        shard.queuedWake = time
        queue.push(at: time, .wake(shard, life: nodes[shard.node].life))
    }
}
