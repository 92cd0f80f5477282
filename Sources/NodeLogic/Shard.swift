// A shard: the deterministic machine at the heart of a node. It owns one contiguous slice of the
// node's token space (commit log, memtables, SSTables, cache), the client connections that were given
// to it, and the requests that came in on them, which it coordinates.
//
//     events --> step --> effects          one thread, run to completion, nothing is awaited
//
// A step takes in all events that happened since the last one, then what has timed out, then lets the
// storage engine end its tick (one log append for all writes of the step), and only then hands out
// what clients and peers are told: the order of the outbox is "append before acknowledge".
//
// The shard is split by aspect: `+Clients` (connections and requests), `+Statements` (executing plans),
// `+Writes` and `+Reads` (coordinating), `+Replica` (serving other coordinators), `+Hints`,
// `+Metadata` (schema and topology as they change). Shard 0 also holds the node-wide machines
// (`NodeControl`).
//
// **Invariants.** Everything that depends on a dictionary's order is sorted first. Nothing is kept that
// points into an inbox. A completion of another incarnation is dropped.

internal import CQL
internal import Encoding
package import Environment
internal import Membership
internal import Model
internal import NativeProtocol
internal import PeerProtocol
internal import Replication
internal import Storage
internal import Topology

/// One shard of a node.
package final class Shard {
    /// An operator may change it while the node runs (`Shard+AdminSettings`).
    var configuration: Configuration
    let index: ShardIndex
    let shardCount: Int
    let host: HostID
    let incarnation: Incarnation
    let clientAddress: SocketAddress
    let peerAddress: SocketAddress
    let clock: HybridClock
    var clockBound: ClockBoundFile
    let observer: (any Observer)?
    let effectIDs: EffectIDs
    let storage: StorageEngine
    let hints: HintStore
    /// The node-wide machines; on shard 0 only.
    let control: NodeControl?

    // What is agreed (the fold of the metadata log), and what is known of the others' health.
    var cluster: ClusterView
    var liveHosts: Set<HostID> = [] {
        didSet {
            health = ReplicaHealth()
            noteSilence(after: oldValue)
        }
    }
    var linkedHosts: Set<HostID> = [] { didSet { health = ReplicaHealth() } }
    var health = ReplicaHealth()
    /// Since when gossip has not heard a node that it once heard.
    var silentSince: [HostID: Instant] = [:]
    /// When a table was emptied (or dropped) last, by the hybrid clock: older writes are not applied any more.
    var truncatedAt: [TableID: WallTime] = [:]
    /// The epochs that peers have installed, by gossip.
    var peerEpochs: [HostID: UInt64] = [:]
    var metadataFollowUps: [EffectID: MetadataFollowUp] = [:]
    /// Hosts whose link was asked for, with the address used.
    var linkTargets: [HostID: SocketAddress] = [:]

    // Clients.
    var connections: [ConnectionID: ClientConnection] = [:]
    /// The open one whose frames were handled last, whose requests are mostly those that are answered next.
    var lastConnection: ClientConnection?
    /// Bytes of requests that are not answered yet, of all clients and by address.
    var requestBytes = 0
    var addressLoads: [[UInt8]: AddressLoad] = [:]
    var dirtyConnections: [ClientConnection] = []
    var prepared: PreparedStatements
    var parameters = QueryParameters()
    /// Of the request that is being handled.
    var canonicalValues: [CanonicalValues] = []
    var lastRequest = ClientRequest(connection: ConnectionID(0), stream: 0, version: .v4)
    /// Those who wait for the next step (`Shard+Turns`).
    var waitingConnections: [ClientConnection] = []
    var waitingSelects: [ClientRequest] = []
    /// What requests have cost in this life, about.
    var workDone = 0
    /// Long statements (`Shard+LongStatements`), and the plans of those that are being executed.
    var longRequests = LongRequests()
    var planned: PlannedFrame?

    // Roles and permissions (`Authentication/`).
    var authorities = AuthorityCache()
    var passwords = PasswordLine()
    var saltStream: RandomStream

    // Requests under way.
    var requestIDs: RequestIDSource
    var writes: [RequestID: PendingWrite] = [:]
    var reads: [RequestID: PendingRead] = [:]
    /// Point selects that another shard of this node answers.
    var forwarded: [RequestID: ClientRequest] = [:]
    var localReads: [UInt64: LocalRead] = [:]
    var nextReadTag: UInt64 = 0
    var schemaRequests: [UInt64: ClientRequest] = [:]
    var nextSchemaRequest: UInt64 = 0
    var truncations: [RequestID: PendingTruncation] = [:]

    // Reading before writing.
    var latches = PartitionLatches<LatchWaiter>()
    /// Latches that were handed on, and to whom; they go on at the end of the step.
    var latched: [(LatchKey, LatchWaiter)] = []
    var conditionals: [RequestID: ConditionalRun] = [:]
    var acceptors: [AcceptorKey: AcceptorEntry] = [:]
    var promises: [UInt64: PendingPromise] = [:]
    /// Of the last ballot, in microseconds.
    var lastBallot: Int64 = 0
    /// Tells this shard's ballots, in this life, from all others.
    let ballotProposer: UInt64
    var backoffStream: RandomStream
    var increments: [RequestID: PendingIncrement] = [:]
    var ledIncrements: [UInt64: LedIncrement] = [:]
    /// When tables were last written with conditions, and which one was last written without.
    var conditionalTables: [TableID: Instant] = [:]
    var lastPlainWrite: (table: TableID, at: Instant)?

    // Logged batches: ours, and those that are kept for others.
    var loggedBatches: [RequestID: LoggedBatch] = [:]
    var replayedBatches: [UniqueID: ReplayedBatch] = [:]
    var nextKeeper = 0
    /// There may be entries in `system.batches`: a former life may have left some.
    var mayHaveBatches = true
    var isReadingBatches = false
    var nextBatchCheck: Instant

    var deadlines = Deadlines<DeadlineKey>()
    var speculations = Deadlines<SpeculationKey>()
    var durabilityWaiters: [DurabilityWaiter] = []
    /// Mutations that storage does not take yet, and the clients that are not read from.
    var held = HeldWrites()
    var heldConnections: [ConnectionID] = []
    /// Connections whose buffers have grown, and when to look at them.
    var largeConnections: [ConnectionID] = []
    var nextBufferCheck: Instant?
    var parkedMessages: [(epoch: UInt64, bytes: [UInt8], fromShard: Bool)] = []

    // Hints on their way.
    var hintReplays: [HostID: HintReplay] = [:]
    var nextHintCheck: Instant
    var isHandoffPaused = false

    // What an operator asked for.
    var maintenanceWaiters: [MaintenanceID: MaintenanceWaiter] = [:]
    /// The share of requests that are traced without having asked.
    var traceProbability = 0.0
    var traceStream: RandomStream
    /// What shard 0 was told last of this shard's bytes.
    var announcedLoad = 0
    var mayHaveNewLoad = true

    // What is told to whoever asks (`Views/`, `Metrics/`).
    var pendingSettings: [UInt64: PendingSetting] = [:]
    var pendingRoles: [UInt64: PendingRoles] = [:]
    var pendingViews: [UInt64: PendingView] = [:]
    var nextView: UInt64 = 0
    var tableMetrics: [TableID: TableMetrics] = [:]
    var lastMetrics: (table: TableID, metrics: TableMetrics)?
    var statementCounts = (prepared: 0, regular: 0)
    /// Partitions of logged, unlogged and counter batches.
    let batchPartitions = [LogHistogram(), LogHistogram(), LogHistogram()]
    /// The block cache's counts when they were last asked for.
    var lastCacheFigures: (at: Instant, hits: Int, misses: Int)
    var peerTraffic: [HostID: PeerTraffic] = [:]
    var completedCounts = (reads: 0, writes: 0, requests: 0)

    // This step.
    var now: ClockReading
    var outbox: Outbox
    /// Messages to peers, other shards and clients wait here until the log append is in the outbox.
    let deferred = Outbox()
    let mutationScratch = ByteWriter(capacity: 4096)
    let resultScratch = ByteWriter(capacity: 16384)
    let digestScratch = ByteWriter(capacity: 4096)
    let bodyScratch = ByteWriter(capacity: 4096)
    let sink = MutationSink()
    let pointRow = PointRow()
    var madeRows = MadeRows(epoch: 0)
    /// Plans of statements of our own, by their text.
    var internalPlans: [String: PreparedPlan] = [:]
    var nextTimeUUID: UInt64 = 0
    /// Compactions whose rows of the history are written.
    var recordedCompactions = 0

    /// Recovers: reads the files of this shard, synchronously, and emits the first effects.
    package init(
        _ start: ShardStart, files: any FileSystem, clock reading: ClockReading, outbox: Outbox
    ) throws(ShardStartFailure) {
        configuration = start.configuration
        index = start.index
        shardCount = start.shardCount
        host = start.host
        incarnation = start.incarnation
        clientAddress = start.clientAddress
        peerAddress = start.peerAddress
        clock = start.clock
        observer = start.observer
        now = reading
        self.outbox = outbox
        effectIDs = EffectIDs(incarnation: start.incarnation)
        requestIDs = RequestIDSource(incarnation: start.incarnation, shard: start.index)
        prepared = PreparedStatements(
            maximumCount: start.configuration.clients.maximumPreparedStatements,
            maximumBytes: start.configuration.clients.maximumPreparedBytes)
        let name = start.host.value.bytes + [UInt8(truncatingIfNeeded: start.index.value)]
        ballotProposer = name.withBytes {
            Murmur3.hash128($0, seed: UInt64(start.incarnation.value)).0
        }
        saltStream = RandomStream(
            seed: start.randomSeed, name: "salts of shard \(start.index.value) of \(start.host)")
        backoffStream = RandomStream(
            seed: start.randomSeed, name: "conditional back-off of shard \(start.index.value)")
        nextBatchCheck = reading.monotonic + start.configuration.requests.batchlogReplayInterval
        traceStream = RandomStream(
            seed: start.randomSeed, name: "traces of \(start.host) \(start.index.value)")
        lastCacheFigures = (reading.monotonic, 0, 0)
        nextHintCheck = reading.monotonic + start.configuration.requests.hintReplayInterval
        if let conflict = start.configuration.authentication.conflict {
            throw ShardStartFailure(conflict)
        }
        cluster = try ClusterView(loading: start.metadata, host: start.host)
        for (key, truncation) in start.metadata.truncations {
            let time = WallTime(microseconds: truncation.microseconds)
            truncatedAt[TableID(key.table)] = max(truncatedAt[TableID(key.table)] ?? time, time)
        }
        do {
            storage = try StorageEngine.open(
                Node.storageStart(start, schema: cluster.schema, effectIDs: effectIDs),
                files: files, clock: reading)
            hints = try HintStore.open(
                Node.hintStart(start, effectIDs: effectIDs), files: files, clock: reading)
            clockBound = try ClockBoundFile(
                of: start.index, existing: try files.list(), files: files)
        } catch {
            throw ShardStartFailure("shard \(start.index.value) cannot recover: \(error)")
        }
        let snapshotExpiry: WallTime?
        do {
            snapshotExpiry =
                start.index.value == 0
                ? try SnapshotFolder.recover(files, now: reading.wall) : nil
        } catch {
            throw ShardStartFailure("the snapshots cannot be looked through: \(error)")
        }
        storage.tombstoneFailureThreshold =
            start.configuration.requests.tombstoneFailureThreshold
        control =
            start.index.value == 0
            ? try NodeControl(start, clock: reading) : nil
        control?.snapshotExpiry = snapshotExpiry
        installTopology()
        forgetRecords(of: Array(storage.replayReport.unknownTables))
        if control != nil { startControl() }
        finishStep()
    }

    /// Takes in what happened and says what to do.
    package func step(_ inbox: Inbox, clock reading: ClockReading, outbox: Outbox) {
        now = reading
        self.outbox = outbox
        takeTurns()
        for event in inbox.events { receive(event, inbox.bytes) }
        expireRequests()
        tickHints()
        tickBatchlog()
        tickControl()
        tickSnapshots()
        tickBuffers()
        tickAuthorities()
        applyHeld()
        finishStep()
    }

    private func receive(_ event: Event, _ bytes: ByteWriter) {
        switch event {
        case .clientOpened(let id, let local, let remote):
            connections[id] = ClientConnection(
                id: id, local: local, remote: remote, load: load(of: remote.address),
                maximumFrameBytes: configuration.clients.maximumFrameBytes)
        case .clientBytes(let id, let range): receiveClient(id, bytes[range])
        case .clientWritable(let id): clientWritable(id)
        case .clientClosed(let id): forget(id)
        case .peerConnected(let host): linkChanged(host, isUp: true)
        case .peerDisconnected(let host): linkChanged(host, isUp: false)
        case .peerMessage(let range): receivePeer(bytes[range], fromShard: false)
        case .shardMessage(let sender, let range): receiveShard(bytes[range], from: sender)
        case .logSynced(let id), .blockRead(let id, _), .jobEnded(let id, _, _):
            guard id.incarnation == incarnation else { return }
            mayHaveNewLoad = true
            if case .jobEnded(_, let job, let failure) = event {
                if passwordJobEnded(id, job, failure) || adminJobEnded(id, job, failure)
                    || planningJobEnded(id, job)
                {
                    return
                }
            }
            do {
                if try storage.receive(event, clock: now, outbox: outbox) {
                    completeStorageReads()
                    releaseDurable()
                    recordCompactions()
                } else if try hints.receive(event, clock: now, outbox: outbox) {
                    continueHintReplays()
                }
            } catch {
                stop("storage: \(error)")
            }
        case .metadataCommitted(let id):
            guard id.incarnation == incarnation else { return }
            metadataCommitted(id)
        case .command(let id, let request): receiveCommand(id, request)
        }
    }

    /// Ends the step: the appends of log and clock first, then all that depends on it.
    private func finishStep() {
        runLatched()
        completeMaintenance()
        do {
            try storage.endTick(clock: now, outbox: outbox)
        } catch {
            stop("storage: \(error)")
            return
        }
        hints.endTick(clock: now, outbox: outbox)
        completeMaintenance()
        announceLoad()
        releaseDurable()
        flushConnections()
        if !deferred.effects.isEmpty { clockBound.keepAhead(of: clock.latest, outbox: outbox) }
        let base = outbox.bytes.count
        outbox.bytes.append(deferred.bytes.bytes)
        for effect in deferred.effects { outbox.effects.append(effect.shifted(by: base)) }
        deferred.removeAll()
        outbox.wakeAt = nextWake
    }

    private var nextWake: Instant? {
        let candidates = [
            storage.nextWake, hints.nextWake, deadlines.next, nextSpeculation, control?.nextWake,
            hints.isEmpty ? nil : nextHintCheck, held.isEmpty ? nil : storage.nextAdmission,
            mayHaveBatches && !isReadingBatches ? nextBatchCheck : nil, nextBufferCheck,
            latched.isEmpty && !hasTurnsWaiting ? nil : now.monotonic,
            storage.completedMaintenance.isEmpty ? nil : now.monotonic,
            control?.snapshotExpiry == nil ? nil : control?.nextSnapshotCheck,
            nextAuthorityUpdate,
        ]
        return candidates.compactMap { $0 }.min()
    }

    /// The shard cannot go on.
    func stop(_ reason: String) {
        outbox.effects.append(.stopNode(reason))
    }

    /// A line for the people who run the node.
    func report(_ text: String) { deferred.effects.append(.report(text)) }

    func observe(_ fact: @autoclosure () -> Fact) {
        if let observer { observer.observe(fact(), host: host, shard: index, at: now) }
    }
}

extension Effect {
    /// The effect with its bytes moved by `offset` in the outbox.
    fileprivate func shifted(by offset: Int) -> Effect {
        func moved(_ range: ByteRange) -> ByteRange {
            ByteRange(offset: range.offset + offset, count: range.count)
        }
        return switch self {
        case .clientBytes(let id, let range): .clientBytes(id, moved(range))
        case .peerMessage(let host, let range): .peerMessage(host, moved(range))
        case .shardMessage(let shard, let range): .shardMessage(shard, moved(range))
        default: self
        }
    }
}
