// The storage engine alone: tables of wide partitions in a folder, for a program of its own. The same
// engine that a shard of a Coterie node has, stepped by the calls of one thread.
//
//     write -> storage.apply -> endTick -> one log append -> jobs to helper threads
//     read  -> storage.read; a block that is missing is read here, several through io_uring at once
//
// A call does its work on the caller's thread and hands flushes, compactions and syncs to helper
// threads; what they have finished is taken in with the next call. There is no `async` and nothing is
// awaited, except where a call says so: a write while the memtables' memory is used up, `flush`,
// `compact`, `sync` and `close`.
//
// Crash safety: when `write` has returned, the batch is in the kernel; see `EngineOptions.Durability`.

internal import Disk
internal import Encoding
internal import Environment
internal import Model
internal import Storage

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// A table of an open engine.
public final class Table {
    /// What it was made with.
    public let definition: TableDefinition
    let id: TableID
    /// Whose it is; nil once it was dropped.
    weak var engine: Engine?

    init(_ definition: TableDefinition, number: UInt32, _ engine: Engine) {
        self.definition = definition
        id = TableDefinition.id(number)
        self.engine = engine
    }

    /// Its name.
    public var name: String { definition.name }
}

/// Figures of a table since the engine was opened.
public struct TableFigures: Equatable, Sendable {
    /// Files of the table that a read may have to look into.
    public var files = 0
    /// Bytes of those files.
    public var fileBytes = 0
    /// Bytes of memtables that are not in files yet.
    public var memtableBytes = 0
    /// Memtables that became files.
    public var flushes = 0
    /// Merges of files.
    public var compactions = 0
    /// Bytes of all files that flushes made.
    public var flushedBytes = 0
    /// Bytes of all files that compactions made.
    public var compactedBytes = 0
}

/// An open engine. It belongs to one thread at a time.
///
/// ```swift
/// let engine = try Engine.open("/var/lib/things")
/// let table = try engine.createTable(TableDefinition(name: "things"))
/// let batch = engine.makeBatch()
/// batch.put(table, partition: Array("a".utf8), column: 1, value: Array("1".utf8))
/// try engine.write(batch)
/// let value = try engine.value(table, partition: Array("a".utf8), column: 1)
/// try engine.close()
/// ```
public final class Engine {
    /// What the engine was opened with.
    public let options: EngineOptions
    let files: RealFileSystem
    private let log: MappedLog
    private var lock: FolderLock?
    private let helpers: HelperThreads
    private let completions = Completions()
    private var catalogue: Catalogue
    private var tables: [String: Table] = [:]
    let timestamps = TimestampSource()

    let storage: StorageEngine
    let outbox = Outbox()
    private let blockBytes = ByteWriter(capacity: 32 << 10)
    /// For single blocks that are read on the spot.
    let blockBuffer = BlockBuffer()
    private var readsToDo: [BlockSpan.Part] = []
    /// Where the kernel has io_uring.
    private let ring: BlockReader?
    /// What the ring is reading, by the id of each span's first block.
    private var spans: [EffectID: BlockSpan] = [:]
    /// Requests that helper threads have not answered yet.
    private var outstanding = 0
    /// Why no more calls are taken.
    private var closedBecause: String?
    /// Behind the record of the last change.
    private var lastWrite = LogPosition.zero
    private var epoch: UInt64 = 1
    private var readTag: UInt64 = 0

    // MARK: Opening and closing

    /// Opens the engine of a folder, which is made if it is not there (its parents are not). Replays the
    /// log: what was written and not yet in files is back when it returns.
    public static func open(
        _ folder: String, options: EngineOptions = EngineOptions()
    ) throws(EngineError) -> Engine {
        try options.validate()
        return try Engine(folder, options)
    }

    private init(_ folder: String, _ options: EngineOptions) throws(EngineError) {
        self.options = options
        let files = try onDisk { () throws(DiskFailure) in try RealFileSystem(path: folder) }
        lock = try FolderLock(path: folder)
        var catalogue = try Catalogue.load(files)
        catalogue.life += 1
        try catalogue.store(files)
        let incarnation = Incarnation(catalogue.life)
        let start = StorageStart(
            configuration: options.storage, prefix: "engine-", slice: .min ... .max,
            schema: Self.schema(catalogue, epoch: 1), incarnation: incarnation, truncations: [:],
            effectIDs: EffectIDs(incarnation: incarnation))
        let clock = SystemClocks.read()
        storage = try translated { () throws(StorageError) in
            try StorageEngine.open(start, files: files, clock: clock)
        }
        timestamps.wall = clock.wall.microseconds
        self.files = files
        ring = Self.openRing(files, options)
        log = MappedLog(files)
        self.catalogue = catalogue
        helpers = HelperThreads(readers: options.readThreads, jobRunners: options.jobThreads)
        for (number, definition) in catalogue.tables {
            tables[definition.name] = Table(definition, number: number, self)
        }
    }

    /// A kernel or a sandbox without io_uring is no failure: helper threads read then.
    private static func openRing(_ files: RealFileSystem, _ options: EngineOptions) -> BlockReader?
    {
        guard BlockReading.probe() == .ring else { return nil }
        do throws(SystemError) {
            return try BlockReader(files: files, mode: options.storage.diskAccessMode)
        } catch {
            return nil
        }
    }

    deinit { if closedBecause == nil { helpers.stop() } }

    /// Syncs the log and lets the folder go. Memtables are not flushed: the log has what they hold.
    public func close() throws(EngineError) {
        try ready()
        closedBecause = "the engine was closed"
        helpers.stop()
        storage.endLog(outbox: outbox)
        try writeEndOfLog()
        try onDisk { () throws(DiskFailure) in try files.syncAll() }
        lock = nil
    }

    /// Marks of the end stand anywhere in the log: the mapping is for what follows each other.
    private func writeEndOfLog() throws(EngineError) {
        for case .logAppend(let file, let offset, let range) in outbox.effects {
            try onDisk { () throws(DiskFailure) in
                try files.write(file, at: offset, outbox.bytes[range])
            }
        }
        outbox.removeAll()
    }

    // MARK: Tables

    /// The table of that name, or nil.
    public func table(named name: String) -> Table? { tables[name] }

    /// All tables, by name.
    public var allTables: [Table] { catalogue.tables.compactMap { tables[$0.definition.name] } }

    /// Makes a table, or gives back the one that is there, as it was made. Durable when it returns.
    public func createTable(_ definition: TableDefinition) throws(EngineError) -> Table {
        try ready()
        try definition.validate()
        if let table = tables[definition.name] { return table }
        var next = catalogue
        let number = next.add(definition)
        try next.store(files)
        let table = Table(definition, number: number, self)
        tables[definition.name] = table
        try install(next)
        return table
    }

    /// Forgets a table and all its data.
    public func dropTable(_ table: Table) throws(EngineError) {
        try ready()
        guard tables[table.name] === table else { throw .unknownTable(table.name) }
        var next = catalogue
        next.tables.removeAll { $0.definition.name == table.name }
        try next.store(files)
        tables[table.name] = nil
        table.engine = nil
        try install(next)
        try waitUntilIdle()
    }

    private func install(_ next: Catalogue) throws(EngineError) {
        catalogue = next
        epoch += 1
        storage.install(Self.schema(next, epoch: epoch))
        try endTick(SystemClocks.read())
    }

    private static func schema(_ catalogue: Catalogue, epoch: UInt64) -> SchemaSnapshot {
        SchemaSnapshot(
            epoch: epoch, version: UniqueID(high: 0, low: epoch),
            keyspaces: [
                KeyspaceSchema(
                    name: "engine",
                    replication: ReplicationParameters(strategyClass: "", options: [:]),
                    tables: catalogue.tables.map { $0.definition.schema(number: $0.number) })
            ])
    }

    /// The most bytes that have counted against `EngineOptions.memtableBytes` and `blockCacheBytes`
    /// together.
    public private(set) var peakMemoryBytes = 0

    func notePeak() {
        let memory = storage.budgetedBytes
        if memory > peakMemoryBytes { peakMemoryBytes = memory }
    }

    /// Where a partition lies among all of them: the hash that partitions are ordered by.
    public static func token(of partition: UnsafeRawBufferPointer) -> Int64 {
        Token.of(partition).value
    }

    /// Figures of a table.
    public func figures(of table: Table) -> TableFigures {
        var figures = TableFigures()
        guard let statistics = storage.statistics(of: table.id) else { return figures }
        figures.files = statistics.sstables
        figures.fileBytes = statistics.sstableBytes
        figures.memtableBytes = statistics.memtableBytes
        figures.flushes = statistics.flushes
        figures.compactions = statistics.compactions
        figures.flushedBytes = statistics.bytesFlushed
        figures.compactedBytes = statistics.bytesCompacted
        return figures
    }

    // MARK: Writing

    /// An empty batch of this engine.
    public func makeBatch() -> WriteBatch { WriteBatch(clock: timestamps) }

    /// Writes a batch. When it returns, the batch is as durable as the options say, and reads see it.
    /// Changes of one partition that were put in order are there together or not at all after a crash;
    /// a crash inside this call may keep some partitions' changes and not others'.
    ///
    /// Waits while the memtables' memory is used up.
    public func write(_ batch: WriteBatch) throws(EngineError) {
        try ready()
        batch.closeMutation()
        let clock = SystemClocks.read()
        timestamps.wall = clock.wall.microseconds
        try check(batch)
        if !storage.admitsWrites(now: clock.monotonic) { try waitForAdmission() }
        for index in batch.mutations.indices {
            if index % Self.prefetchGroup == 0 { prefetch(batch, from: index) }
            let range = batch.mutations[index]
            try storing { () throws(StorageError) in
                let mutation: MutationView
                do throws(MalformedBytes) { mutation = try MutationView(batch.bytes[range]) } catch
                {
                    throw .malformed(error)
                }
                lastWrite = try storage.apply(mutation, clock: clock)
            }
        }
        if options.durability == .everyWrite { storage.requestSync() }
        try endTick(clock)
        if options.durability == .everyWrite { try waitForSync() }
        notePeak()
    }

    private static let prefetchGroup = 32

    /// Lets the cache misses of the next mutations overlap.
    private func prefetch(_ batch: WriteBatch, from start: Int) {
        let count = min(Self.prefetchGroup, batch.mutations.count - start)
        guard count >= 4, batch.tables.count == 1 else { return }
        withUnsafeTemporaryAllocation(of: Int64.self, capacity: count) { tokens in
            for index in 0..<count {
                let bytes = batch.bytes[batch.mutations[start + index]]
                // A mutation begins with its table's sixteen bytes and the token.
                let token = bytes.loadUnaligned(fromByteOffset: 16, as: Int64.self)
                tokens.initializeElement(at: index, to: Int64(littleEndian: token))
            }
            storage.prefetch(batch.tables[0].id, tokens: UnsafeBufferPointer(tokens))
        }
    }

    /// All or nothing: what could be refused in the middle is refused before.
    private func check(_ batch: WriteBatch) throws(EngineError) {
        for table in batch.tables where table.engine !== self {
            throw .unknownTable("table \(table.name) is not of this engine, or was dropped")
        }
        if batch.bytes.count > storage.maximumMutationBytes {
            throw .invalid(
                "a batch of \(batch.bytes.count) bytes; at most \(storage.maximumMutationBytes)")
        }
        if let refusal = storage.writeRefusal { throw EngineError(refusal) }
    }

    /// Waits until flushes have made room for writes.
    private func waitForAdmission() throws(EngineError) {
        while true {
            let clock = SystemClocks.read()
            try endTick(clock)
            if storage.admitsWrites(now: clock.monotonic) { return }
            if let next = storage.nextAdmission, next > clock.monotonic || outstanding == 0 {
                // At most a millisecond, for what comes meanwhile.
                usleep(UInt32(min(max(1, (next - clock.monotonic).wholeMicroseconds), 1_000)))
                if !completions.isEmpty { try wait() }
            } else {
                try wait()
            }
        }
    }

    private func waitForSync() throws(EngineError) {
        while storage.syncedPosition < lastWrite { try wait() }
    }

    /// Returns when all that was written survives a loss of power.
    public func sync() throws(EngineError) {
        try ready()
        guard storage.syncedPosition < lastWrite else { return }
        storage.requestSync()
        try endTick(SystemClocks.read())
        try waitForSync()
    }

    // MARK: Maintenance

    /// Writes a table's memtable, or all of them, into files, and waits for it.
    public func flush(_ table: Table? = nil) throws(EngineError) {
        try ready()
        storage.flush(table: table?.id)
        try waitUntilIdle()
        if let refusal = storage.writeRefusal { throw EngineError(refusal) }
    }

    /// Flushes without waiting for compactions.
    func flushMemtable(of table: Table) throws(EngineError) {
        storage.flush(table: table.id)
        try endTick(SystemClocks.read())
        while !storage.isFlushed(table.id) {
            if let refusal = storage.writeRefusal { throw EngineError(refusal) }
            try wait()
        }
    }

    /// Merges all files of a table into one, and waits for it.
    public func compact(_ table: Table) throws(EngineError) {
        try flush(table)
        storage.compact(table: table.id)
        try waitUntilIdle()
    }

    /// Waits until no flush or compaction is running or due.
    public func waitUntilIdle() throws(EngineError) {
        try ready()
        while true {
            let clock = SystemClocks.read()
            try endTick(clock)
            if outstanding > 0 {
                try wait()
            } else if let next = storage.nextCompactionSlice {
                // Compactions keep to the rate that they were given.
                usleep(UInt32(min(max(1, (next - clock.monotonic).wholeMicroseconds), 1_000)))
            } else {
                break
            }
        }
    }

    /// Begins to merge all files of a table into one, and returns at once: the next calls carry it on.
    public func startCompaction(of table: Table) throws(EngineError) {
        try ready()
        storage.compact(table: table.id)
        try endTick(SystemClocks.read())
    }

    /// Whether a merge of files is under way.
    public var isCompacting: Bool { storage.isCompacting }

    // MARK: The engine's steps

    /// Takes in what helper threads have finished; throws if the engine takes no more calls.
    @inline(__always)
    func ready() throws(EngineError) {
        if let closedBecause { throw .closed(closedBecause) }
        if !completions.isEmpty { try wait() }
    }

    /// Takes in what helper threads have finished, waiting for the first one.
    private func wait() throws(EngineError) {
        precondition(outstanding > 0, "waits for nothing")
        let clock = SystemClocks.read()
        for completion in completions.take() {
            outstanding -= 1
            switch completion {
            case .logSynced(let id, nil): try receive(.logSynced(id), clock)
            case .logSynced(_, .some(let failure)):
                // What the kernel dropped is unknown from here on.
                throw failed(.disk("the log cannot be synced: \(failure)"))
            case .blockRead(let id, let read): try receive(.blockRead(id, read), clock)
            case .jobEnded(let id, let job, let failure):
                try receive(.jobEnded(id, job, failure), clock)
            }
        }
        try endTick(clock)
    }

    private func receive(_ event: Event, _ clock: ClockReading) throws(EngineError) {
        _ = try storing { () throws(StorageError) in
            try storage.receive(event, clock: clock, outbox: outbox)
        }
    }

    /// Runs what may only fail for good.
    private func storing<Result>(
        _ body: () throws(StorageError) -> Result
    ) throws(EngineError) -> Result {
        do { return try body() } catch { throw failed(EngineError(error)) }
    }

    /// Nothing more is taken: what was done and what not is unknown.
    private func failed(_ error: EngineError) -> EngineError {
        if closedBecause == nil {
            closedBecause = "\(error)"
            helpers.stop()
        }
        return error
    }

    /// Ends a step and carries out what the storage engine asks for.
    private func endTick(_ clock: ClockReading) throws(EngineError) {
        try storing { () throws(StorageError) in
            try storage.endTick(clock: clock, outbox: outbox)
        }
        try carryOut()
    }

    private func carryOut() throws(EngineError) {
        for effect in outbox.effects {
            switch effect {
            case .logAppend(let file, let offset, let range):
                do throws(DiskFailure) {
                    try log.append(file, at: offset, outbox.bytes[range])
                } catch {
                    throw failed(.disk("the log cannot be written: \(error)"))
                }
            case .logSync(let id, let file):
                outstanding += 1
                helpers.sync(id, file, of: files, deliver: completions.push)
            case .readBlock(let id, let file, let offset, let count):
                readsToDo.append(
                    BlockSpan.Part(id: id, file: file, offset: offset, count: count))
            case .runJob(let id, let job):
                outstanding += 1
                helpers.run(
                    id, job, budgetBytes: options.storage.jobStepBytes, of: files,
                    deliver: completions.push)
            default: preconditionFailure("the storage engine asked for \(effect)")
            }
        }
        outbox.removeAll()
    }

    // MARK: Reading, shared by reads and scans

    /// Answers a command into `result`.
    func run(
        _ command: ReadCommand, at pinned: PinnedView?, into result: ReadResult,
        mayBeSimple: Bool = true
    ) throws(EngineError) {
        result.bytes.removeAll()
        result.nowInSeconds = command.nowInSeconds
        readTag += 1
        let clock = ClockReading(
            monotonic: Instant(nanoseconds: 0),
            wall: WallTime(microseconds: command.nowInSeconds * 1_000_000))
        let status = try translated { () throws(StorageError) in
            try storage.read(
                command, at: pinned, tag: readTag, clock: clock, outbox: outbox,
                into: result.bytes, isWriterKept: true, mayBeSimple: mayBeSimple)
        }
        let figures =
            status == .parked ? try finishParkedRead(into: result) : storage.lastRead
        result.isAllLive = figures.deadRows == 0
        result.isComplete = result.bytes.bytes.first == 1
    }

    /// Reads blocks until the parked read has ended.
    private func finishParkedRead(into result: ReadResult) throws(EngineError) -> ReadFigures {
        try carryOut()
        while true {
            if let index = storage.completedReads.firstIndex(where: { $0.tag == readTag }) {
                let completed = storage.completedReads.remove(at: index)
                // The answer itself is in the result's memory, which was kept.
                _ = try translated { () throws(StorageError) in try completed.result.get() }
                notePeak()
                return completed.figures
            }
            if readsToDo.isEmpty {
                try wait()
            } else {
                try readBlocks()
            }
        }
    }

    /// Reads what the storage engine asked for and waits for it. Neighbouring blocks of a file are one
    /// read. A single read through the page cache is done here: handing it over would cost more. Several
    /// go to the kernel at once, by its ring or by helper threads, so that the device works on them all.
    private func readBlocks() throws(EngineError) {
        let wanted = BlockSpan.joined(readsToDo)
        readsToDo.removeAll(keepingCapacity: true)
        if wanted.count == 1, !options.readsDirectly {
            try readHere(wanted[0])
            return try carryOut()
        }
        guard let ring else {
            for part in wanted.flatMap(\.parts) {
                outstanding += 1
                helpers.read(
                    part.id, part.file, offset: part.offset, count: part.count,
                    mode: options.storage.diskAccessMode, of: files, deliver: completions.push)
            }
            return
        }
        for span in wanted {
            spans[span.parts[0].id] = span
            ring.read(span.parts[0].id, span.file, offset: span.offset, count: span.count)
        }
        while ring.underWay > 0 {
            ring.wait()
            var ended: [(EffectID, BlockRead)] = []
            ring.reap { id, read in ended.append((id, read)) }
            for (id, read) in ended {
                guard let span = spans.removeValue(forKey: id) else {
                    preconditionFailure("the ring ended a read that nobody began")
                }
                switch read {
                case .failed(let failure): try deliver(span, failure)
                case .bytes(let bytes): bytes.withUnsafeBytes { deliver(span, $0) }
                }
            }
        }
        try carryOut()
    }

    private func readHere(_ span: BlockSpan) throws(EngineError) {
        blockBytes.removeAll()
        do throws(DiskFailure) {
            try files.read(span.file, at: span.offset, count: span.count, into: blockBytes)
        } catch {
            return try deliver(span, error)
        }
        deliver(span, blockBytes.bytes)
    }

    /// Gives each block of a span its bytes; what lies behind the file's end is missing.
    private func deliver(_ span: BlockSpan, _ bytes: UnsafeRawBufferPointer) {
        let clock = SystemClocks.read()
        for part in span.parts {
            let start = min(part.offset - span.offset, bytes.count)
            let end = min(start + part.count, bytes.count)
            storage.receiveBlock(
                part.id, UnsafeRawBufferPointer(rebasing: bytes[start..<end]), clock: clock,
                outbox: outbox)
        }
    }

    private func deliver(_ span: BlockSpan, _ failure: DiskFailure) throws(EngineError) {
        let clock = SystemClocks.read()
        for part in span.parts { try receive(.blockRead(part.id, .failed(failure)), clock) }
    }

    /// The second at which a read that begins now judges expiry.
    var nowInSeconds: Int64 { SystemClocks.wall().seconds }
}
