// A world of one engine: carries out its effects on a `MemoryFiles`, in order, and brings back events
// late and in a random order.

import Encoding
import Environment
import Model

@testable import Storage

final class Harness {
    let files: MemoryFiles
    var configuration: Configuration.Storage
    var schema: SchemaSnapshot
    var slice: ClosedRange<Int64> = .min ... .max
    var prefix = "g1s0-"
    var incarnation: UInt32 = 1
    var engine: StorageEngine?
    var effectIDs = EffectIDs(incarnation: Incarnation(1))
    var seconds: Int64 = 1_000
    var nanoseconds: Int64 = 0
    var random: RandomStream
    /// Work under way.
    var syncs: [(EffectID, FileName)] = []
    var reads: [(EffectID, FileName, Int, Int)] = []
    var jobs: [(EffectID, any Job)] = []
    var truncations: [TableID: LogPosition] = [:]
    let outbox = Outbox()
    var results: [UInt64: Result<[UInt8], StorageError>] = [:]
    var stopped: String?
    private var nextTag: UInt64 = 0

    init(
        schema: SchemaSnapshot, configuration: Configuration.Storage, random: RandomStream,
        files: MemoryFiles = MemoryFiles()
    ) {
        self.files = files
        self.schema = schema
        self.configuration = configuration
        self.random = random
    }

    var clock: ClockReading {
        ClockReading(
            monotonic: Instant(nanoseconds: nanoseconds),
            wall: WallTime(microseconds: seconds * 1_000_000))
    }

    func open() throws(StorageError) {
        outbox.removeAll()
        syncs = []
        reads = []
        jobs = []
        effectIDs = EffectIDs(incarnation: Incarnation(incarnation))
        engine = try StorageEngine.open(
            StorageStart(
                configuration: configuration, prefix: prefix, slice: slice, schema: schema,
                incarnation: Incarnation(incarnation), truncations: truncations,
                effectIDs: effectIDs),
            files: files, clock: clock)
        incarnation += 1
    }

    /// Ends the step and carries out its effects.
    func endTick() throws {
        guard let engine else { return }
        try engine.endTick(clock: clock, outbox: outbox)
        for completed in engine.completedReads { results[completed.tag] = completed.result }
        engine.completedReads = []
        for effect in outbox.effects {
            switch effect {
            case .logAppend(let file, let offset, let range):
                try files.write(file, at: offset, outbox.bytes[range])
            case .logSync(let id, let file): syncs.append((id, file))
            case .readBlock(let id, let file, let offset, let count):
                reads.append((id, file, offset, count))
            case .runJob(let id, let job): jobs.append((id, job))
            case .stopNode(let reason): stopped = reason
            default: break
            }
        }
        outbox.removeAll()
    }

    /// Does one piece of the work under way, if there is any; false if there was none.
    @discardableResult
    func work() throws -> Bool {
        let total = syncs.count + reads.count + jobs.count
        guard total > 0, let engine else { return false }
        var pick = Int(random.below(UInt64(total)))
        if pick < syncs.count {
            let (id, file) = syncs.remove(at: pick)
            try files.sync(file)
            try engine.receive(.logSynced(id), clock: clock, outbox: outbox)
        } else if pick - syncs.count < reads.count {
            pick -= syncs.count
            let (id, file, offset, count) = reads.remove(at: pick)
            let buffer = ByteWriter()
            var event = Event.blockRead(id, .bytes([]))
            do {
                try files.read(file, at: offset, count: count, into: buffer)
                event = .blockRead(id, .bytes(buffer.array))
            } catch {
                event = .blockRead(id, .failed(error))
            }
            try engine.receive(event, clock: clock, outbox: outbox)
        } else {
            pick -= syncs.count + reads.count
            let (id, job) = jobs[pick]
            do {
                let progress = try job.step(files, budgetBytes: configuration.jobStepBytes)
                if case .done = progress {
                    jobs.remove(at: pick)
                    try engine.receive(.jobEnded(id, job, nil), clock: clock, outbox: outbox)
                }
            } catch let failure as DiskFailure where failure.reason != .crashed {
                jobs.remove(at: pick)
                try engine.receive(.jobEnded(id, job, failure), clock: clock, outbox: outbox)
            }
        }
        try endTick()
        return true
    }

    /// Works until nothing is under way.
    func settle() throws {
        try endTick()
        var rounds = 0
        while try work() {
            rounds += 1
            precondition(rounds < 1_000_000, "the engine never rests")
        }
        while engine?.cache.isReleasing == true { try endTick() }
        checkReservations()
    }

    /// Nothing but open files takes room of the block cache when no job works.
    private func checkReservations() {
        guard let engine, engine.isIdle, engine.compactor.running.isEmpty else { return }
        var resident = 0
        for table in engine.tableList {
            for sstable in table.sstables { resident += sstable.metadata.residentBytes }
        }
        precondition(
            engine.cache.reservedBytes == resident,
            "\(engine.cache.reservedBytes) bytes are reserved for files of \(resident)")
    }

    func apply(_ mutation: [UInt8]) throws {
        guard let engine else { return }
        let _: LogPosition = try mutation.withBytes { (raw) throws(StorageError) in
            let view: MutationView
            do throws(MalformedBytes) { view = try MutationView(raw) } catch {
                throw .malformed(error)
            }
            return try engine.apply(view, clock: clock)
        }
    }

    /// Reads and works until the answer is there.
    func read(_ command: ReadCommand) throws -> [UInt8] {
        let tag = try begin(command)
        var rounds = 0
        while results[tag] == nil {
            if try !work() { try endTick() }
            rounds += 1
            precondition(rounds < 100_000, "the read never ends")
        }
        guard let result = results.removeValue(forKey: tag) else { return [] }
        return try result.get()
    }

    func begin(_ command: ReadCommand) throws -> UInt64 {
        nextTag += 1
        let writer = ByteWriter()
        guard let engine else { return nextTag }
        let status = try engine.read(
            command, tag: nextTag, clock: clock, outbox: outbox, into: writer)
        if status == .done { results[nextTag] = .success(writer.array) }
        try endTick()
        return nextTag
    }
}
