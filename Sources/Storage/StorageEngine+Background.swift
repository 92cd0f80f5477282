// Events, timers and background work: flushes, compactions, the manifest, files that go.
//
//     endTick: log append -> due syncs -> full memtables freeze -> flush jobs -> compaction jobs
//              -> manifest job -> removal job
//
// One flush at a time for each table, oldest memtable first, so that `flushedPosition` is a prefix of
// the log; compactions up to `concurrentCompactors`; one manifest job at a time.

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
        switch event {
        case .logSynced(let id): return log.receiveSynced(id)
        case .blockRead(let id, let result): return receiveBlock(id, result, outbox: outbox)
        case .jobEnded(let id, _, let failure):
            let isPreparation = failure == nil ? log.receivePrepared(id) : log.isPreparation(id)
            guard let job = jobs.removeValue(forKey: id) else {
                if isPreparation, let failure { throw .disk(failure) }
                return isPreparation
            }
            if let failure { throw .disk(failure) }
            try jobEnded(job)
            return true
        default: return false
        }
    }

    private func jobEnded(_ job: RunningJob) throws(StorageError) {
        switch job {
        case .flush(let merge, let table, let memtable, let generation, let number):
            table.isFlushing = false
            if let failure = merge.failure { throw failure }
            flushEnded(merge, table, memtable, generation, number)
        case .compaction(let merge, let table, let inputs, let generation, let number):
            runningCompactions -= 1
            compactionEnded(merge, table, inputs, generation, number)
        case .manifest:
            for consequence in manifest.jobEnded() { take(consequence) }
        case .removal: isRemovingFiles = false
        }
    }

    func sstable(
        _ merge: MergeJob, _ table: TableState, _ number: UInt64, _ position: LogPosition
    ) -> SSTable? {
        merge.result.map {
            SSTable(number: number, table: table.id, metadata: $0, position: position)
        }
    }

    private func flushEnded(
        _ merge: MergeJob, _ table: TableState, _ memtable: Memtable, _ generation: Int,
        _ number: UInt64
    ) {
        let made = sstable(merge, table, number, memtable.lastPosition)
        guard table.generation == generation else {
            // Truncated or dropped meanwhile.
            if let made { obsoleteFiles.append(made.metadata.file) }
            memtable.pins -= 1
            if memtable.isRetired, memtable.pins == 0 { memtable.recycle() }
            return
        }
        table.statistics.flushes += 1
        table.statistics.bytesFlushed += merge.bytesWritten
        // Until the manifest is durable the table goes on flushing: order is kept.
        table.isFlushing = true
        var edits: [ManifestEdit] = [.flushed(table.id, memtable.lastPosition)]
        if let made {
            edits.append(
                .add(ManifestEntry(number: number, table: table.id, position: made.position)))
        }
        manifest.enqueue(edits, .flushed(table, memtable, made, generation: generation))
    }

    private func take(_ consequence: ManifestConsequence) {
        switch consequence {
        case .flushed(let table, let memtable, let made, let generation):
            table.isFlushing = false
            memtable.pins -= 1
            guard table.generation == generation else {
                if let made { obsoleteFiles.append(made.metadata.file) }
                if memtable.isRetired, memtable.pins == 0 { memtable.recycle() }
                return
            }
            precondition(table.frozen.first === memtable, "flushes end out of order")
            table.frozen.removeFirst()
            table.flushedPosition = max(table.flushedPosition, memtable.lastPosition)
            if let made { table.sstables.append(made) }
            table.mayCompact = true
            memtable.retire()
        case .compacted(let table, let inputs, let made, let generation):
            table.isCompacting = false
            if table.generation == generation {
                table.sstables.removeAll { sstable in inputs.contains { $0 === sstable } }
                if let made {
                    table.sstables.append(made)
                    table.sstables.sort { $0.number < $1.number }
                }
                table.mayCompact = true
                for input in inputs { input.isObsolete = true }
            } else if let made {
                obsoleteFiles.append(made.metadata.file)
            }
            for input in inputs {
                input.isCompacting = false
                input.pins -= 1
                releaseIfUnused(input)
            }
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
        log.endTick(clock: clock, outbox: outbox)
        freezeFullMemtables()
        startFlushes(outbox)
        startCompactions(outbox)
        obsoleteFiles += log.release(before: firstNeededSegment)
        if let job = manifest.nextJob() { start(job, .manifest, outbox) }
        if !obsoleteFiles.isEmpty, !isRemovingFiles {
            isRemovingFiles = true
            let job = RemoveObsoleteJob(obsoleteFiles)
            obsoleteFiles.removeAll()
            start(job, .removal, outbox)
        }
    }

    /// When the engine must be stepped next if nothing happens before.
    package var nextWake: Instant? { log.nextWake }

    func start(_ job: any Job, _ running: RunningJob, _ outbox: Outbox) {
        let id = effectIDs.next()
        jobs[id] = running
        outbox.effects.append(.runJob(id, job))
    }

    /// The first segment with a mutation that no SSTable holds.
    private var firstNeededSegment: UInt32 {
        var needed = log.active.number
        for table in tableList {
            if let oldest = table.oldestUnflushed { needed = min(needed, oldest.segment) }
        }
        return needed
    }

    // MARK: Flushing

    private func freezeFullMemtables() {
        let half = configuration.memtableBytes / 2
        var total = 0
        var largest: TableState?
        for table in tableList {
            let bytes = table.live.isEmpty ? 0 : table.live.bytes
            if table.wantsFlush || bytes >= half && bytes > 0 {
                freeze(table)
                continue
            }
            total += bytes
            if bytes > largest?.live.bytes ?? 0 { largest = table }
        }
        if total >= half, let largest { freeze(largest) }
        if log.totalBytes > configuration.commitLogTotalBytes { freezeOldest() }
    }

    /// Freezes the tables that keep the oldest segment from being freed.
    private func freezeOldest() {
        let oldest = firstNeededSegment
        guard oldest < log.active.number else { return }
        for table in tableList where table.frozen.isEmpty {
            if let first = table.live.firstPosition, first.segment == oldest { freeze(table) }
        }
    }

    func freeze(_ table: TableState) {
        table.wantsFlush = false
        guard !table.live.isEmpty else { return }
        let full = table.live
        full.freeze()
        table.frozen.append(full)
        table.live = Memtable(
            slice: slice, expectedPartitions: full.partitionCount, pool: pool)
    }

    private func startFlushes(_ outbox: Outbox) {
        for table in tableList where !table.isFlushing {
            guard let memtable = table.frozen.first else { continue }
            table.isFlushing = true
            let (job, number) = makeFlush(table, memtable)
            memtable.pins += 1
            start(
                job,
                .flush(job, table, memtable, generation: table.generation, number: number), outbox)
        }
    }

    func makeFlush(_ table: TableState, _ memtable: Memtable) -> (MergeJob, UInt64) {
        let number = manifest.takeNumber()
        let rule = PurgeRule(nowInSeconds: wallSeconds, gcBefore: .min, olderThan: .min)
        let job = MergeJob(
            title: "flush \(table.name)", scans: [MemtableScan(memtable, slice: slice)],
            target: target(table, number), purge: MergeJob.Purge(rule: rule, others: []))
        return (job, number)
    }

    func target(_ table: TableState, _ number: UInt64) -> MergeJob.Target {
        let file = Self.sstableName(prefix, number)
        let options = table.schema.options
        let method = options.compression["class"] ?? ""
        return MergeJob.Target(
            file: file,
            identity: Array(file.text.utf8).withUnsafeBytes {
                Murmur3.hash128($0, seed: UInt64(effectIDs.incarnation.value)).0
            },
            blockBytes: configuration.blockBytes,
            compresses: !method.isEmpty && options.compression["enabled"] != "false",
            falsePositiveChance: options.bloomFilterFalsePositiveChance)
    }

    static func sstableName(_ prefix: String, _ number: UInt64) -> FileName {
        FileName("\(prefix)sst-\(number).db")
    }

    // MARK: Commands

    /// Freezes and flushes a table's memtable, or all of them, with the next steps.
    package func flush(table id: TableID?) {
        for table in tableList where id == nil || table.id == id { table.wantsFlush = true }
    }

    /// Compacts all SSTables of a table into one, with the next steps.
    package func compact(table id: TableID) { tables[id]?.wantsMajorCompaction = true }

    /// Forgets all data of a table. The position belongs into the metadata store: mutations up to it
    /// do not come back.
    package func truncate(
        _ id: TableID, clock: ClockReading
    ) throws(StorageError) -> LogPosition {
        let position = log.nextPosition
        guard let table = tables[id] else { throw .unknownTable(id) }
        forget(table)
        table.flushedPosition = position
        manifest.enqueue(
            [.dropTable(id), .flushed(id, position)], .released(takeFiles(table)))
        return position
    }

    /// Drops memtables; jobs that are under way lose their meaning.
    private func forget(_ table: TableState) {
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
    private func takeFiles(_ table: TableState) -> [SSTable] {
        let files = table.sstables
        table.sstables.removeAll()
        for sstable in files { sstable.pins += 1 }
        return files
    }

    /// Takes a new schema: new tables appear, those that are gone lose their data.
    package func install(_ schema: SchemaSnapshot) {
        self.schema = schema
        for table in schema.allTables {
            if let state = tables[table.id] {
                state.schema = table
                state.mayCompact = true
            } else {
                tables[table.id] = TableState(
                    schema: table,
                    live: Memtable(slice: slice, expectedPartitions: 0, pool: pool))
            }
        }
        for table in tableList where schema.table(table.id) == nil {
            forget(table)
            manifest.enqueue([.dropTable(table.id)], .released(takeFiles(table)))
            tables[table.id] = nil
        }
        lastTable = nil
        tableList = tables.values.sorted { $0.id < $1.id }
    }
}
