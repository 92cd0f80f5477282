// A shard's commit log: every mutation is in here before anything that depends on it leaves the node.
//
//     apply -> record into the tick's buffer -> endTick: one `logAppend` -> `logSync` by the mode
//
// Segments are preallocated files, recycled under a new name; the next one is made ready ahead of
// need by a job. A segment that is full before its successor stands simply grows: a write never waits.
// The log switches segments only between ticks, so a position is known when its record is made.
//
// Durability: after a tick's `logAppend` a kill loses nothing. `syncedPosition` is what survives a
// power loss: it moves when a sync comes back, and only over what was appended before the sync was
// asked for, in order, whichever sync comes back first.
//
// Cost of an append: one copy, one CRC32C over the record.

internal import Encoding
internal import Environment

/// The writing half of the log. Owned by its engine.
final class CommitLog {
    struct Segment {
        let number: UInt32
        let file: FileName
        let seed: UInt32
    }

    static let formatVersion: UInt32 = 1
    static let magic: UInt32 = 0x4C43_5443
    /// `magic u32 | version u32 | number u32 | zero u32 | identity u64 | crc u32 | zero u32`
    static let headerBytes = 32

    private let configuration: Configuration.Storage
    private let prefix: String
    private let effectIDs: EffectIDs
    private(set) var active: Segment
    private var activeEnd: Int
    /// Older segments, by rising number, with their sizes.
    private(set) var closed: [(segment: Segment, bytes: Int)]
    private var closedBytes: Int
    private var spare: Segment?
    /// Freed files that wait for a new life.
    private var recyclable: [Segment] = []
    private var preparation: (id: EffectID, segment: Segment)?
    /// When to try again to prepare a segment.
    private var preparationRetry: Instant?
    private let buffer = ByteWriter(capacity: 1 << 16)

    private(set) var syncedPosition: LogPosition
    private var appendedPosition: LogPosition
    private var syncs: [Sync] = []
    private var isSyncRequested = false
    private var syncRequestedAt: Instant?
    private var nextPeriodicSync: Instant?
    /// When the oldest record was appended that no sync asked for covers.
    private var unsyncedSince: Instant?
    private(set) var bytesWritten = 0

    private struct Sync {
        let id: EffectID
        let segment: UInt32
        let position: LogPosition
        /// When the oldest record that it covers was appended, or later.
        let since: Instant
        var isDone = false
    }

    static func fileName(_ prefix: String, _ number: UInt32) -> FileName {
        FileName("\(prefix)commitlog-\(number).log")
    }

    /// The number in a segment's file name, or nil if it is none of that prefix.
    static func number(of file: FileName, prefix: String) -> UInt32? {
        let start = "\(prefix)commitlog-"
        guard file.text.hasPrefix(start), file.text.hasSuffix(".log") else { return nil }
        return UInt32(file.text.dropFirst(start.count).dropLast(4))
    }

    static func segment(_ prefix: String, _ number: UInt32, incarnation: Incarnation) -> Segment {
        Segment(
            number: number, file: fileName(prefix, number),
            seed: seed(identity(prefix, number, incarnation)))
    }

    static func identity(_ prefix: String, _ number: UInt32, _ incarnation: Incarnation) -> UInt64 {
        let name = Array("\(prefix)\(number)".utf8)
        return name.withUnsafeBytes { Murmur3.hash128($0, seed: UInt64(incarnation.value)).0 }
    }

    static func seed(_ identity: UInt64) -> UInt32 {
        withUnsafeBytes(of: identity.littleEndian) { CRC32C.checksum($0) }
    }

    static func header(number: UInt32, identity: UInt64) -> [UInt8] {
        let writer = ByteWriter(capacity: headerBytes)
        writer.appendLittleEndian(magic)
        writer.appendLittleEndian(formatVersion)
        writer.appendLittleEndian(number)
        writer.appendLittleEndian(UInt32(0))
        writer.appendLittleEndian(identity)
        writer.appendLittleEndian(CRC32C.checksum(writer.bytes))
        writer.appendLittleEndian(UInt32(0))
        return writer.array
    }

    /// Begins to write into `active`, a segment that stands empty on the disk. `closed` are synced.
    init(
        _ configuration: Configuration.Storage, prefix: String, effectIDs: EffectIDs,
        active: Segment, closed: [(segment: Segment, bytes: Int)]
    ) {
        self.configuration = configuration
        self.prefix = prefix
        self.effectIDs = effectIDs
        self.active = active
        self.closed = closed
        closedBytes = closed.reduce(0) { $0 + $1.bytes }
        activeEnd = Self.headerBytes
        appendedPosition = LogPosition(segment: active.number, offset: UInt32(Self.headerBytes))
        syncedPosition = appendedPosition
    }

    // MARK: Appending

    /// Frames a mutation into the tick's buffer and says where it will end.
    func append(_ mutation: UnsafeRawBufferPointer) -> LogPosition {
        LogRecord.append(mutation, synced: syncedPosition, seed: active.seed, into: buffer)
        return nextPosition
    }

    /// Behind the last record.
    var nextPosition: LogPosition {
        LogPosition(segment: active.number, offset: UInt32(activeEnd + buffer.count))
    }

    /// All bytes of all segments.
    var totalBytes: Int { closedBytes + activeEnd + buffer.count }

    /// Emits this step's append, the syncs that are due, and the making of the next segment.
    func endTick(clock: ClockReading, outbox: Outbox) {
        let isFull = activeEnd + buffer.count >= configuration.commitLogSegmentBytes
        if isFull, spare != nil {
            LogRecord.append(
                UnsafeRawBufferPointer(start: nil, count: 0), synced: syncedPosition,
                seed: active.seed, into: buffer)
        }
        if buffer.count > 0 {
            let range = outbox.store(buffer.bytes)
            outbox.effects.append(.logAppend(active.file, offset: activeEnd, range))
            activeEnd += buffer.count
            bytesWritten += buffer.count
            buffer.removeAll()
            appendedPosition = LogPosition(segment: active.number, offset: UInt32(activeEnd))
            if unsyncedSince == nil { unsyncedSince = clock.monotonic }
            if nextPeriodicSync == nil {
                nextPeriodicSync = clock.monotonic + configuration.commitLogSyncPeriod
            }
        }
        if isFull, let spare {
            beginSync(clock, outbox)
            closed.append((active, activeEnd))
            closedBytes += activeEnd
            active = spare
            activeEnd = Self.headerBytes
            appendedPosition = LogPosition(segment: active.number, offset: UInt32(activeEnd))
            self.spare = nil
        }
        startDueSyncs(clock, outbox)
        let mayPrepare = preparationRetry.map { $0 <= clock.monotonic } ?? true
        if spare == nil, preparation == nil, mayPrepare { prepareSpare(outbox) }
    }

    /// Emits the end marks of the segments that no other follows: the next start knows then that nothing lies
    /// behind the last record, and need not search. `isNeeded`: memtables have what no SSTable has. Else the
    /// marks stand before all records, and the next start reads none. Nothing may be appended any more.
    func end(isNeeded: Bool, _ outbox: Outbox) {
        emitEnd(of: active, at: isNeeded ? activeEnd : Self.headerBytes, outbox)
        if let spare { emitEnd(of: spare, at: Self.headerBytes, outbox) }
        for segment in recyclable { emitEnd(of: segment, at: Self.headerBytes, outbox) }
        if isNeeded { return }
        for (segment, _) in closed { emitEnd(of: segment, at: Self.headerBytes, outbox) }
    }

    private func emitEnd(of segment: Segment, at offset: Int, _ outbox: Outbox) {
        precondition(buffer.count == 0, "records wait for a step to write them")
        LogRecord.append(
            UnsafeRawBufferPointer(start: nil, count: 0), synced: syncedPosition,
            seed: segment.seed, into: buffer)
        let range = outbox.store(buffer.bytes)
        outbox.effects.append(.logAppend(segment.file, offset: offset, range))
        buffer.removeAll()
    }

    // MARK: Syncing

    /// Asks that what was appended until the end of this step be synced: at once in batch mode, within
    /// the window in group mode; in periodic mode at once too, for those who must have it.
    func requestSync(at now: Instant?) {
        isSyncRequested = true
        if syncRequestedAt == nil { syncRequestedAt = now }
    }

    private func startDueSyncs(_ clock: ClockReading, _ outbox: Outbox) {
        if syncedPosition >= appendedPosition || isEverythingAsked {
            if syncedPosition >= appendedPosition { nextPeriodicSync = nil }
            if isEverythingAsked {
                isSyncRequested = false
                syncRequestedAt = nil
            }
            return
        }
        if syncRequestedAt == nil, isSyncRequested { syncRequestedAt = clock.monotonic }
        var isDue = false
        if isSyncRequested {
            // One sync of the active file at a time: those who come meanwhile share the next one.
            let isBusy = syncs.contains { $0.segment == active.number && !$0.isDone }
            switch configuration.commitLogSync {
            case .group:
                let since = syncRequestedAt ?? clock.monotonic
                isDue =
                    !isBusy
                    && clock.monotonic >= since + configuration.commitLogSyncGroupWindow
            case .batch, .periodic: isDue = !isBusy
            }
        }
        if let due = nextPeriodicSync, clock.monotonic >= due { isDue = true }
        if isDue { beginSync(clock, outbox) }
    }

    /// Whether a sync under way covers all that was appended.
    private var isEverythingAsked: Bool {
        syncedPosition >= appendedPosition
            || syncs.last.map { $0.position >= appendedPosition } ?? false
    }

    private func beginSync(_ clock: ClockReading, _ outbox: Outbox) {
        isSyncRequested = false
        syncRequestedAt = nil
        nextPeriodicSync = nil
        guard !isEverythingAsked else { return }
        let id = effectIDs.next()
        syncs.append(
            Sync(
                id: id, segment: active.number, position: appendedPosition,
                since: unsyncedSince ?? clock.monotonic))
        unsyncedSince = nil
        outbox.effects.append(.logSync(id, active.file))
    }

    /// Takes a sync's end; false if it is not the log's.
    func receiveSynced(_ id: EffectID) -> Bool {
        guard let index = syncs.firstIndex(where: { $0.id == id }) else { return false }
        syncs[index].isDone = true
        while let first = syncs.first, first.isDone {
            syncedPosition = max(syncedPosition, first.position)
            syncs.removeFirst()
        }
        return true
    }

    /// In `periodic` mode, a sync under way has taken so long that more than one and a half periods of
    /// writes would be lost with the power: no more writes are to be taken until it comes back.
    func isSyncLate(_ now: Instant) -> Bool {
        guard configuration.commitLogSync == .periodic, let oldest = syncs.first else {
            return false
        }
        let period = configuration.commitLogSyncPeriod.nanoseconds
        return (now - oldest.since).nanoseconds > period + period / 2
    }

    /// When a sync falls due, or a segment is to be prepared.
    var nextWake: Instant? {
        var wake = nextPeriodicSync
        if let retry = preparationRetry, preparation == nil {
            wake = wake.map { min($0, retry) } ?? retry
        }
        if isSyncRequested, configuration.commitLogSync == .group, let since = syncRequestedAt {
            let due = since + configuration.commitLogSyncGroupWindow
            wake = wake.map { min($0, due) } ?? due
        }
        return wake
    }

    // MARK: Segments

    private func prepareSpare(_ outbox: Outbox) {
        let number = active.number + 1
        let incarnation = effectIDs.incarnation
        let segment = Self.segment(prefix, number, incarnation: incarnation)
        let job = SegmentJob(
            file: segment.file, recycling: recyclable.popLast()?.file,
            header: Self.header(
                number: number, identity: Self.identity(prefix, number, incarnation)),
            bytes: configuration.commitLogSegmentBytes)
        let id = effectIDs.next()
        preparationRetry = nil
        preparation = (id, segment)
        outbox.effects.append(.runJob(id, job))
    }

    /// Takes the end of a preparation.
    func receivePrepared() {
        spare = preparation?.segment
        preparation = nil
    }

    /// The segment could not be made. The file that it was to be made of may have either name by now:
    /// the next attempt makes a new one.
    func preparationFailed(retryAt: Instant) {
        preparation = nil
        preparationRetry = retryAt
    }

    func isPreparation(_ id: EffectID) -> Bool { preparation.map { $0.id == id } ?? false }

    var isPreparing: Bool { preparation != nil }

    /// Lets go of the closed segments before `needed`, the first with data that no SSTable holds, and
    /// returns the files that nobody needs any more.
    func release(before needed: UInt32) -> [FileName] {
        var surplus: [FileName] = []
        while let first = closed.first, first.segment.number < needed,
            first.segment.number < syncedPosition.segment
        {
            closed.removeFirst()
            closedBytes -= first.bytes
            if recyclable.isEmpty {
                recyclable.append(first.segment)
            } else {
                surplus.append(first.segment.file)
            }
        }
        return surplus
    }
}

/// Makes a segment ready: a former file under a new name or a new one, with its header, durable.
final class SegmentJob: Job {
    private let file: FileName
    private let recycled: FileName?
    private let header: [UInt8]
    private let bytes: Int

    init(file: FileName, recycling recycled: FileName?, header: [UInt8], bytes: Int) {
        self.file = file
        self.recycled = recycled
        self.header = header
        self.bytes = bytes
    }

    var title: String { "prepare \(file)" }

    func step(_ files: any FileSystem, budgetBytes: Int) throws(DiskFailure) -> JobProgress {
        // The new name is durable before the bytes change: a power loss must not leave the old name with
        // the new header, which would look like a damaged segment.
        if let recycled {
            try files.rename(recycled, to: file)
        } else {
            try files.create(file, preallocate: bytes)
        }
        try files.syncFolder()
        try header.withBytes { (raw) throws(DiskFailure) in
            try files.write(file, at: 0, raw)
        }
        try files.sync(file)
        return .done(bytes: header.count)
    }
}
