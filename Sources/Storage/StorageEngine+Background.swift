// Events, timers and background work: flushes, compactions, the manifest, files that go.
//
//     endTick: log append -> due syncs -> full memtables freeze -> flush jobs -> compaction jobs
//              -> manifest job -> removal job
//
// Compactions run up to `concurrentCompactors`, manifest jobs one at a time; flushes have their own
// file. A step in which nothing of this is due looks at a few flags and goes.

internal import Encoding
package import Environment
package import Model

extension StorageEngine {
    // MARK: Events

    /// Takes an event if it is the engine's; false if it belongs to somebody else. Throws if the
    /// engine cannot go on: the node must stop.
    @discardableResult
    package func receive(
        _ event: Event, clock: ClockReading, outbox: Outbox
    ) throws(StorageError) -> Bool {
        lastTick = clock.monotonic
        switch event {
        case .logSynced(let id):
            guard log.receiveSynced(id) else { return false }
            mayReleaseSegments = true
            isSyncLate = log.isSyncLate(clock.monotonic)
            return true
        case .blockRead(let id, let result): return receiveBlock(id, result, outbox: outbox)
        case .jobEnded(let id, _, let failure):
            if log.isPreparation(id) {
                if let failure {
                    try preparationFailed(failure, now: clock.monotonic)
                } else {
                    log.receivePrepared()
                    preparationSucceeded()
                }
                return true
            }
            guard let job = jobs.removeValue(forKey: id) else { return false }
            mayReleaseSegments = true
            if let failure {
                try jobFailed(job, failure, now: clock.monotonic)
            } else {
                try jobEnded(job, now: clock.monotonic)
            }
            return true
        default: return false
        }
    }

    private func jobEnded(_ job: RunningJob, now: Instant) throws(StorageError) {
        switch job {
        case .flush(let merge, let table, let memtable, let generation, let number):
            table.isFlushing = false
            table.flushMemory = nil
            if let failure = merge.failure { throw failure }
            flushEnded(merge, table, memtable, generation, number)
        case .compaction(let compaction): compactionStepped(compaction)
        case .manifest:
            manifestSucceeded()
            for consequence in manifest.jobEnded() { take(consequence, now: now) }
        case .removal: isRemovingFiles = false
        case .maintenance(let task, let run): try maintenanceEnded(task, run, nil)
        case .usage(let job): usageChecked(job, now: now)
        }
    }

    private func take(_ consequence: ManifestConsequence, now: Instant) {
        switch consequence {
        case .flushed(let table, let memtable, let made, let generation):
            flushBecameDurable(table, memtable, made, generation, now: now)
        case .compacted(let table, let inputs, let made, let generation, _):
            compactionInstalled(table, inputs, made, generation)
        case .changed(let table, let changes):
            for change in changes {
                change.sstable.entry = change.entry
                change.sstable.isCompacting = false
            }
            table.mayCompact = true
        case .maintenance(let consequence): take(consequence)
        case .released(let sstables):
            for sstable in sstables {
                sstable.isObsolete = true
                sstable.pins -= 1
                releaseIfUnused(sstable)
            }
        }
    }

    /// Lets the file of an SSTable go that nobody needs any more.
    func releaseIfUnused(_ sstable: SSTable) {
        guard sstable.isObsolete, sstable.pins == 0 else { return }
        cache.forget(sstable)
        obsoleteFiles.append(sstable.metadata.file)
    }

    // MARK: Each step's end

    /// Ends a step: emits the log append (before any client bytes of the step), and the syncs and
    /// jobs that are due. Throws if the engine cannot go on.
    package func endTick(clock: ClockReading, outbox: Outbox) throws(StorageError) {
        wallSeconds = clock.wall.seconds
        lastTick = clock.monotonic
        log.endTick(clock: clock, outbox: outbox)
        isSyncLate = log.isSyncLate(clock.monotonic)
        freezeFullMemtables(clock.monotonic)
        retryFailed(clock.monotonic, outbox)
        startFlushes(clock.monotonic, outbox)
        stepMaintenance(outbox)
        startRetirements(outbox)
        tickCompactions(clock, outbox)
        if cache.isReleasing { cache.release() }
        if mayReleaseSegments {
            mayReleaseSegments = false
            obsoleteFiles += log.release(before: firstNeededSegment)
        }
        if let job = manifest.nextJob() { start(job, .manifest, outbox) }
        if !obsoleteFiles.isEmpty, !isRemovingFiles {
            isRemovingFiles = true
            let job = RemoveObsoleteJob(obsoleteFiles)
            obsoleteFiles.removeAll()
            start(job, .removal, outbox)
        }
        watchDiskUsage(clock.monotonic, outbox)
    }

    /// Asks that the log be closed where it ends, for a start that has nothing to search behind it; or where
    /// it begins, if files have all that is in it. The last thing that is asked of an engine: no step may
    /// follow.
    package func endLog(outbox: Outbox) {
        let isNeeded =
            !retiringSegments.isEmpty || tableList.contains { $0.oldestUnflushed != nil }
        log.end(isNeeded: isNeeded, outbox)
    }

    /// When the engine must be stepped next if nothing happens before.
    package var nextWake: Instant? {
        var wake = log.nextWake
        func consider(_ other: Instant?) {
            if let other { wake = wake.map { min($0, other) } ?? other }
        }
        if !periodicTables.isEmpty { consider(nextPeriodicFlush) }
        consider(flushRetry)
        consider(manifestRetry)
        consider(nextUsageCheck)
        consider(nextCompactionWake)
        if cache.isReleasing { consider(lastTick + Self.releasePause) }
        return wake
    }

    /// Between two portions of blocks that nobody needs, in an engine that has nothing else to do.
    private static let releasePause = Instant.Span.milliseconds(1)

    func start(_ job: any Job, _ running: RunningJob, _ outbox: Outbox) {
        let id = effectIDs.next()
        jobs[id] = running
        outbox.effects.append(.runJob(id, job))
    }

    func target(_ table: TableState, _ number: UInt64) -> MergeJob.Target {
        let file = Self.sstableName(prefix, number)
        return MergeJob.Target(
            number: number, file: file,
            identity: Array(file.text.utf8).withUnsafeBytes {
                Murmur3.hash128($0, seed: UInt64(effectIDs.incarnation.value)).0
            }, layout: layout(of: table.schema))
    }

    /// How the files of a table are to be written. A chunk length other than the default's makes blocks
    /// larger or smaller in proportion, up to a limit: a point read decompresses a whole block.
    func layout(of schema: TableSchema) -> SSTableLayout {
        let compression = TableCompression(stored: schema.options.compression)
        let chunk = min(compression.chunkBytes, Self.largestChunkBytes)
        return SSTableLayout(
            table: schema.id,
            blockBytes: max(
                1, configuration.blockBytes * chunk / TableCompression.defaultChunkBytes),
            compression: compression,
            falsePositiveChance: schema.options.bloomFilterFalsePositiveChance,
            largestBlockBytes: configuration.largestBlockBytes)
    }

    private static var largestChunkBytes: Int { 1 << 20 }

    static func sstableName(_ prefix: String, _ number: UInt64) -> FileName {
        FileName("\(prefix)sst-\(number).db")
    }

    // MARK: Commands

    /// Drops memtables; jobs that are under way lose their meaning.
    func forget(_ table: TableState) {
        table.generation += 1
        let old = [table.live] + table.frozen
        table.live = Memtable(slice: slice, expectedPartitions: 0, pool: pool)
        table.frozen.removeAll()
        for memtable in old {
            if !memtable.isFrozen { memtable.freeze() }
            memtable.retire()
        }
    }

    /// The table's files, each with a pin that goes when the manifest no longer names them.
    func takeFiles(_ table: TableState) -> [SSTable] {
        let files = table.sstables
        table.sstables.removeAll()
        for sstable in files { sstable.pins += 1 }
        return files
    }

    /// Takes a new schema: new tables appear, those that are gone lose their data, after a snapshot
    /// where one is asked for.
    package func install(
        _ schema: SchemaSnapshot, snapshots: [TableID: SnapshotRequest] = [:]
    ) {
        self.schema = schema
        let stored = schema.keyspaces.flatMap { keyspace in
            keyspace.tables.map {
                (
                    table: $0, isSingleReplica: keyspace.replication.isSingleReplica,
                    isLogged: keyspace.durableWrites
                )
            }
        }
        for (table, isSingleReplica, isLogged) in stored
            + schema.localTables.map({ ($0, true, true) })
        {
            let state =
                tables[table.id]
                ?? TableState(
                    schema: table,
                    live: Memtable(slice: slice, expectedPartitions: 0, pool: pool), cache: cache)
            tables[table.id] = state
            state.schema = table
            state.isSingleReplica = isSingleReplica
            state.isLogged = isLogged
            state.flushDue = nil
            state.mayCompact = true
        }
        for table in tableList where schema.table(table.id) == nil {
            retireDropped(table, snapshots[table.id])
            tables[table.id] = nil
        }
        lastTable = nil
        tableList = tables.values.sorted { $0.id < $1.id }
        periodicTables = tableList.filter { $0.schema.options.memtableFlushPeriodMilliseconds > 0 }
        mayReleaseSegments = true
    }
}
