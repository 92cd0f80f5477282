// A world of one engine on a simulated disk: it carries out the engine's effects in their order, and
// brings the ends of syncs, reads and jobs back late and in a drawn order.
//
// A log append is written at once, as in a server. A sync begins at once and ends later: what is
// appended in between is not part of it. A job makes one step each time that it is drawn.

internal import Encoding
internal import Environment
internal import Model
internal import Storage

/// Why an engine's life ended.
enum EngineEnd: Error {
    /// The node died in a call of the disk.
    case crashed
    /// The disk failed or lied, and the engine stopped.
    case stopped(StorageError)
}

/// One engine, its disk and its clocks. Owned by a run.
final class EngineWorld {
    let disk: SimulatedDisk
    let configuration: Configuration.Storage
    var schema: SchemaSnapshot
    /// Durable at once: as if the metadata store had committed it.
    var truncations: [TableID: LogPosition] = [:]
    /// Truncations that the metadata store is committing.
    private(set) var commits: [(table: TableID, position: LogPosition)] = []
    /// Called when the metadata store has committed one.
    var truncationCommitted: (TableID) -> Void = { _ in }
    /// Called when everything up to the position is in the kernel, or on the disk.
    var appended: (LogPosition) -> Void = { _ in }
    var synced: (LogPosition) -> Void = { _ in }
    /// Draws the order of what is under way.
    var random: RandomStream
    /// From a start until what came back has been checked: what this life has synced says nothing about
    /// the writes of the last one.
    var isChecking = false
    private(set) var engine: StorageEngine?
    private(set) var incarnation: UInt32 = 0
    var seconds: Int64 = 1_000_000
    var nanoseconds: Int64 = 0

    private var syncs: [(id: EffectID, file: FileName, token: UInt64)] = []
    private var reads: [(id: EffectID, file: FileName, offset: Int, count: Int)] = []
    private var jobs: [(id: EffectID, job: any Job)] = []
    private var results: [UInt64: Result<[UInt8], StorageError>] = [:]
    private var lastTag: UInt64 = 0
    private var lastPosition = LogPosition.zero
    private let outbox = Outbox()

    static let prefix = "g1s0-"
    private static let maximumRounds = 200_000

    init(
        disk: SimulatedDisk, configuration: Configuration.Storage, schema: SchemaSnapshot,
        random: RandomStream
    ) {
        self.disk = disk
        self.configuration = configuration
        self.schema = schema
        self.random = random
    }

    var clock: ClockReading {
        ClockReading(
            monotonic: Instant(nanoseconds: nanoseconds),
            wall: WallTime(microseconds: seconds * 1_000_000))
    }

    /// Opens the engine over what the disk holds: the begin of a life.
    func open() throws(EngineEnd) {
        engine = nil
        outbox.removeAll()
        (syncs, reads, jobs, commits, results) = ([], [], [], [], [:])
        incarnation += 1
        do throws(StorageError) {
            engine = try StorageEngine.open(
                StorageStart(
                    configuration: configuration, prefix: Self.prefix, slice: .min ... .max,
                    schema: schema, incarnation: Incarnation(incarnation),
                    truncations: truncations,
                    effectIDs: EffectIDs(incarnation: Incarnation(incarnation))),
                files: disk, clock: clock)
        } catch {
            throw Self.end(error)
        }
        lastPosition = .zero
        isChecking = true
        try endTick()
    }

    private static func end(_ error: StorageError) -> EngineEnd {
        if case .disk(let failure) = error { return end(failure) }
        return .stopped(error)
    }

    private static func end(_ failure: DiskFailure) -> EngineEnd {
        failure.reason == .crashed ? .crashed : .stopped(.disk(failure))
    }

    /// Gives the mutation to the engine and says where it stands in the log; nil if the engine takes it
    /// not now, or never: then nothing of it was applied.
    func apply(_ mutation: [UInt8]) throws(EngineEnd) -> LogPosition? {
        guard let engine else { preconditionFailure("no engine is open") }
        // A shard would keep the mutation and ask again; this one waits a little.
        var patience = 64
        while !engine.admitsWrites(now: clock.monotonic) {
            patience -= 1
            let hasWorked = try work()
            if patience == 0 || !hasWorked { return nil }
        }
        do throws(StorageError) {
            lastPosition = try mutation.withBytes { (raw) throws(StorageError) in
                let view: MutationView
                do throws(MalformedBytes) { view = try MutationView(raw) } catch {
                    throw .malformed(error)
                }
                return try engine.apply(view, clock: clock)
            }
            return lastPosition
        } catch {
            switch error {
            case .refused, .mutationTooLarge: return nil
            default: throw Self.end(error)
            }
        }
    }

    /// Ends the engine's step, carries out its effects, and says what they have promised.
    func endTick() throws(EngineEnd) {
        try step()
        guard let engine, !isChecking else { return }
        appended(lastPosition)
        synced(engine.syncedPosition)
    }

    private func step() throws(EngineEnd) {
        guard let engine else { return }
        do throws(StorageError) {
            try engine.endTick(clock: clock, outbox: outbox)
        } catch {
            throw Self.end(error)
        }
        for completed in engine.completedReads { results[completed.tag] = completed.result }
        engine.completedReads = []
        do throws(DiskFailure) {
            for effect in outbox.effects { try carryOut(effect) }
        } catch {
            throw Self.end(error)
        }
        outbox.removeAll()
    }

    private func carryOut(_ effect: Effect) throws(DiskFailure) {
        switch effect {
        case .logAppend(let file, let offset, let range):
            try disk.write(file, at: offset, outbox.bytes[range])
        case .logSync(let id, let file):
            syncs.append((id, file, try disk.beginLogSync(file)))
        case .readBlock(let id, let file, let offset, let count):
            reads.append((id, file, offset, count))
        case .runJob(let id, let job): jobs.append((id, job))
        default: preconditionFailure("an engine does not ask for \(effect)")
        }
    }

    func requestSync() { engine?.requestSync() }
    func flush(_ table: TableID?) { engine?.flush(table: table) }
    func compact(_ table: TableID) { engine?.compact(table: table) }

    /// Installs the schema; it is durable already.
    func install(_ schema: SchemaSnapshot) {
        self.schema = schema
        engine?.install(schema)
    }

    /// Empties a table; its end comes when the metadata store has committed it.
    func truncate(_ table: TableID) throws(EngineEnd) {
        guard let engine else { return }
        do throws(StorageError) {
            commits.append((table, try engine.truncate(table, clock: clock)))
        } catch {
            throw Self.end(error)
        }
    }

    // MARK: Work under way

    /// Does one piece of what is under way; false if there was nothing.
    @discardableResult
    func work() throws(EngineEnd) -> Bool {
        let total = syncs.count + reads.count + jobs.count + (commits.isEmpty ? 0 : 1)
        guard total > 0 else { return false }
        var pick = Int(random.below(UInt64(total)))
        do throws(StorageError) {
            if pick < syncs.count {
                try endSync(pick)
            } else if pick - syncs.count < reads.count {
                try endRead(pick - syncs.count)
            } else {
                pick -= syncs.count + reads.count
                if pick < jobs.count { try stepJob(pick) } else { try commitTruncation() }
            }
        } catch {
            throw Self.end(error)
        }
        try endTick()
        return true
    }

    private func receive(_ event: Event) throws(StorageError) {
        try engine?.receive(event, clock: clock, outbox: outbox)
    }

    private func endSync(_ index: Int) throws(StorageError) {
        let (id, file, token) = syncs.remove(at: index)
        do throws(DiskFailure) {
            if let reason = disk.failsHere(.sync, file) {
                throw DiskFailure(reason, file: file, detail: "simulated failure of a log's sync")
            }
            try disk.passCrashPoint()
        } catch {
            throw .disk(error)
        }
        disk.endLogSync(file, token: token)
        try receive(.logSynced(id))
    }

    private func endRead(_ index: Int) throws(StorageError) {
        let (id, file, offset, count) = reads.remove(at: index)
        let buffer = ByteWriter()
        var result: BlockRead
        do throws(DiskFailure) {
            try disk.read(file, at: offset, count: count, into: buffer)
            result = .bytes(buffer.array)
        } catch {
            if error.reason == .crashed { throw .disk(error) }
            result = .failed(error)
        }
        try receive(.blockRead(id, result))
    }

    private func stepJob(_ index: Int) throws(StorageError) {
        let (id, job) = jobs[index]
        do throws(DiskFailure) {
            if case .more = try job.step(disk, budgetBytes: configuration.jobStepBytes) { return }
        } catch {
            if error.reason == .crashed { throw .disk(error) }
            jobs.remove(at: index)
            return try receive(.jobEnded(id, job, error))
        }
        jobs.remove(at: index)
        try receive(.jobEnded(id, job, nil))
    }

    private func commitTruncation() throws(StorageError) {
        let (table, position) = commits.removeFirst()
        do throws(DiskFailure) { try disk.passCrashPoint() } catch { throw .disk(error) }
        truncations[table] = position
        truncationCommitted(table)
    }

    /// Works until nothing is under way.
    func settle() throws(EngineEnd) {
        try endTick()
        var rounds = 0
        while try work() {
            rounds += 1
            precondition(rounds < Self.maximumRounds, "the engine never rests")
        }
    }

    // MARK: Reading

    /// The answer to a read, working until it is there.
    func read(_ command: ReadCommand) throws(EngineEnd) -> Result<[UInt8], StorageError> {
        guard let engine else { preconditionFailure("no engine is open") }
        lastTag += 1
        let tag = lastTag
        let writer = ByteWriter()
        do throws(StorageError) {
            let status = try engine.read(
                command, tag: tag, clock: clock, outbox: outbox, into: writer)
            if status == .done { results[tag] = .success(writer.array) }
        } catch {
            results[tag] = .failure(error)
        }
        try endTick()
        var rounds = 0
        while true {
            if let result = results.removeValue(forKey: tag) { return result }
            let hasWorked = try work()
            precondition(hasWorked, "a parked read waits for nothing")
            rounds += 1
            precondition(rounds < Self.maximumRounds, "the read never ends")
        }
    }
}
