// The life of memtables: when one freezes, how it is flushed, and how fast writes may come meanwhile.
//
//     live --(a reason)--> frozen --flush job--> file --manifest job--> SSTable, memory goes back
//
// Reasons to freeze, looked at in each `endTick` that has one:
//   - all memtables together hold half of the budget: the largest live one;
//   - the log is longer than `commitlog_total_space`: those that need its oldest segment;
//   - the table's `memtable_flush_period_in_ms` is over;
//   - a command.
// While a flush runs, writing goes on into the other half; when that fills too, `WriteThrottle` slows
// writes down, and the shard keeps what is not taken.
//
// One flush at a time for each table, oldest memtable first, so that `flushedPosition` is a prefix of
// the log. A flush that failed is tried again if the policy says so (`StorageEngine+DiskState`).
//
// Invariant: when writes are not admitted, some memtable is frozen or will be by this step's
// `endTick`: so waiting always ends.

internal import Encoding
package import Environment
package import Model

/// Figures about taking in writes.
package struct WriteStatistics: Equatable, Sendable {
    /// Bytes of all memtables, live and frozen, and what they may be.
    package var memtableBytes = 0
    package var memtableLimitBytes = 0
    /// Bytes kept for later memtables.
    package var pooledBytes = 0
    /// How often writes began to wait for a flush or a late sync, and for how long altogether.
    package var delays = 0
    package var blockedNanoseconds: Int64 = 0
    /// Flushes under way.
    package var runningFlushes = 0
    package var logBytes = 0
}

extension StorageEngine {
    // MARK: Taking in writes

    /// Whether a mutation may be applied now; if not, ask again after the next event of the engine or at
    /// `nextAdmission`. True while writes are refused: `apply` says why.
    @inline(__always)
    package func admitsWrites(now: Instant) -> Bool {
        if pool.usedBytes < throttle.softBytes, !isSyncLate, !hasWaited { return true }
        return admitsSlowly(now)
    }

    private func admitsSlowly(_ now: Instant) -> Bool {
        if writeRefusal != nil { return admitted(now) }
        if isSyncLate {
            hasWaited = true
            throttle.beginWaiting(now)
            return false
        }
        var waiting = 0
        var live = 0
        for table in tableList {
            for memtable in table.frozen { waiting += memtable.bytes }
            if !table.live.isEmpty { live += table.live.bytes }
        }
        // Nothing would ever be freed: the budget is smaller than what empty memtables take.
        if waiting + live == 0 { return admitted(now) }
        let isTaken = throttle.admits(
            usedBytes: pool.usedBytes, waitingBytes: max(waiting, live), now: now)
        hasWaited = !isTaken
        return isTaken
    }

    /// When those who were not admitted should ask again; nil: after the engine's next event.
    package var nextAdmission: Instant? { throttle.nextAdmission(usedBytes: pool.usedBytes) }

    private func admitted(_ now: Instant) -> Bool {
        throttle.endWaiting(now)
        hasWaited = false
        return true
    }

    /// Figures about taking in writes.
    package func writeStatistics(now: Instant) -> WriteStatistics {
        WriteStatistics(
            memtableBytes: pool.usedBytes, memtableLimitBytes: configuration.memtableBytes,
            pooledBytes: pool.heldBytes, delays: throttle.delays,
            blockedNanoseconds: throttle.blockedNanoseconds(now: now),
            runningFlushes: tableList.count { $0.isFlushing }, logBytes: log.totalBytes)
    }

    // MARK: Freezing

    func freezeFullMemtables(_ now: Instant) {
        watchPeriods(now)
        let half = configuration.memtableBytes / 2
        if pool.usedBytes >= half || isFlushWanted {
            isFlushWanted = false
            freezeLargest(half)
        }
        if log.totalBytes > configuration.commitLogTotalBytes { freezeOldest() }
    }

    private func freezeLargest(_ half: Int) {
        var total = 0
        var largest: TableState?
        var isFlushing = false
        for table in tableList {
            if table.wantsFlush { freeze(table) }
            if !table.frozen.isEmpty { isFlushing = true }
            if table.live.isEmpty { continue }
            total += table.live.bytes
            if table.live.bytes > largest?.live.bytes ?? 0 { largest = table }
        }
        guard let largest else { return }
        let isOver = pool.usedBytes >= configuration.memtableBytes && !isFlushing
        if total >= half || isOver { freeze(largest) }
    }

    /// Freezes the tables that keep the oldest segment from being freed.
    private func freezeOldest() {
        let oldest = firstNeededSegment
        guard oldest < log.active.number else { return }
        for table in tableList where table.frozen.isEmpty {
            if let first = table.live.firstPosition, first.segment == oldest { freeze(table) }
        }
    }

    /// Sets and looks at the dates of tables that are flushed by time.
    private func watchPeriods(_ now: Instant) {
        for table in periodicTables {
            if table.live.isEmpty {
                table.flushDue = nil
            } else if let due = table.flushDue {
                guard due <= now else { continue }
                table.wantsFlush = true
                isFlushWanted = true
            } else {
                table.flushDue =
                    now + .milliseconds(Int64(table.schema.options.memtableFlushPeriodMilliseconds))
            }
        }
    }

    /// The next date of a table that is flushed by time.
    var nextPeriodicFlush: Instant? { periodicTables.compactMap(\.flushDue).min() }

    /// Whether a row of the live memtable may become too large to be flushed as one.
    func isOversized(_ table: TableState) -> Bool {
        table.live.mayHoldLargeRows && table.live.bytes >= configuration.largestBlockBytes / 4
    }

    /// Begins a new memtable before a row of the live one could become too large to be flushed.
    @inline(__always)
    func freezeIfOversized(_ table: TableState) {
        if isOversized(table) { freeze(table) }
    }

    func freeze(_ table: TableState) {
        table.wantsFlush = false
        table.flushDue = nil
        guard !table.live.isEmpty else { return }
        let full = table.live
        full.freeze()
        table.frozen.append(full)
        mayFlush = true
        table.live = Memtable(
            slice: slice, expectedPartitions: full.partitionCount, pool: pool)
    }

    // MARK: Flushing

    func startFlushes(_ now: Instant, _ outbox: Outbox) {
        guard mayFlush else { return }
        mayFlush = false
        for table in tableList where !table.isFlushing {
            guard let memtable = table.frozen.first else { continue }
            if let retry = flushRetry, retry > now {
                mayFlush = true
                continue
            }
            table.isFlushing = true
            table.flushBegan = now
            let (job, number) = makeFlush(table, memtable)
            memtable.pins += 1
            table.flushMemory = MemoryReservation(
                SSTableWriter.memoryBytes(
                    partitions: memtable.partitionCount,
                    falsePositiveChance: table.schema.options.bloomFilterFalsePositiveChance),
                of: cache)
            start(
                job,
                .flush(job, table, memtable, generation: table.generation, number: number), outbox)
        }
    }

    func makeFlush(_ table: TableState, _ memtable: Memtable) -> (MergeJob, UInt64) {
        let number = manifest.takeNumber()
        return (makeFlush(table, memtable, into: target(table, number)), number)
    }

    func makeFlush(
        _ table: TableState, _ memtable: Memtable, into target: MergeJob.Target
    ) -> MergeJob {
        let rule = PurgeRule(nowInSeconds: wallSeconds, gcBefore: .min, olderThan: .min)
        return MergeJob(
            title: "flush \(table.name)",
            scans: [MemtableScan(memtable, slice: slice, offersSingles: true)],
            targets: [target], purge: MergeJob.Purge(rule: rule, others: []))
    }

    func flushEnded(
        _ merge: MergeJob, _ table: TableState, _ memtable: Memtable, _ generation: Int,
        _ number: UInt64
    ) {
        let made = merge.outputs.first.map {
            SSTable(
                ManifestEntry(
                    number: number, table: table.id, position: memtable.lastPosition,
                    createdAt: wallSeconds), $0.metadata)
        }
        flushSucceeded()
        guard table.generation == generation else {
            // Truncated or dropped meanwhile.
            if let made { obsoleteFiles.append(made.metadata.file) }
            unpin(memtable)
            mayFlush = true
            return
        }
        table.statistics.flushes += 1
        table.statistics.bytesFlushed += merge.bytesWritten
        // Until the manifest is durable the table goes on flushing: order is kept.
        table.isFlushing = true
        var edits: [ManifestEdit] = [.flushed(table.id, memtable.lastPosition)]
        if let made { edits.append(.add(made.entry)) }
        manifest.enqueue(edits, .flushed(table, memtable, made, generation: generation))
    }

    /// The manifest names the new SSTable: the memtable goes.
    func flushBecameDurable(
        _ table: TableState, _ memtable: Memtable, _ made: SSTable?, _ generation: Int, now: Instant
    ) {
        table.isFlushing = false
        mayFlush = true
        let bytes = memtable.bytes
        guard table.generation == generation else {
            if let made { withdraw(made) }
            unpin(memtable)
            return
        }
        memtable.pins -= 1
        precondition(table.frozen.first === memtable, "flushes end out of order")
        table.frozen.removeFirst()
        table.flushedPosition = max(table.flushedPosition, memtable.lastPosition)
        if let made { table.sstables.append(made) }
        table.mayCompact = true
        memtable.retire()
        throttle.flushEnded(bytes: bytes, after: now - table.flushBegan)
    }

    /// A job lets go of a memtable that is not the table's any more.
    func unpin(_ memtable: Memtable) {
        memtable.pins -= 1
        if memtable.isRetired, memtable.pins == 0 { memtable.recycle() }
    }

    /// The first segment with a mutation that no SSTable holds.
    var firstNeededSegment: UInt32 {
        var needed = log.active.number
        for table in tableList {
            if let oldest = table.oldestUnflushed { needed = min(needed, oldest.segment) }
        }
        // Until the manifest says so a truncation may yet not have happened, and then all must be there.
        for segment in retiringSegments.values { needed = min(needed, segment) }
        return needed
    }

    // MARK: Commands

    /// Freezes and flushes a table's memtable, or all of them, with the next steps.
    package func flush(table id: TableID?) {
        for table in tableList where id == nil || table.id == id { table.wantsFlush = true }
        isFlushWanted = true
    }
}
