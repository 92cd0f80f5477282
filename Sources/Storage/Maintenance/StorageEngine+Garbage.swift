// Garbage collection: each file of a table written anew by itself, without what other files delete or
// overwrite. Unlike a major compaction it leaves as many files as there were, with their levels and ages.
//
// Shadows are files, never memtables: what a memtable says is only sure to be there after a crash if it is
// logged, and a file must not have forgotten what a lost write had replaced.

internal import Environment
internal import Model

extension StorageEngine {
    /// Begins with one file, which is pinned.
    func collectGarbage(
        _ task: MaintenanceTask, _ title: String, _ granularity: GarbageGranularity,
        _ table: TableState, _ sstable: SSTable, _ outbox: Outbox
    ) {
        let others = table.sstables.filter { $0 !== sstable }
        let shadows = others.filter { isShadow($0, of: sstable, granularity) }
        for shadow in shadows { shadow.pins += 1 }
        var rule = purgeRule(table, [sstable])
        rule.olderThan = min(rule.olderThan, oldestInMemory(table))
        let job = MergeJob(
            title: title,
            scans: [SSTableScan(sstable.metadata, slice: slice, offersSingles: true)],
            targets: [target(table, manifest.takeNumber())],
            purge: MergeJob.Purge(rule: rule, others: others.map(\.metadata)),
            shadows: ShadowSources(shadows.map(\.metadata), granularity),
            neededBytes: sstable.metadata.bytes)
        sstable.isCompacting = true
        run(
            job,
            .collect(job, table, sstable, shadows: shadows, generation: table.generation), task,
            outbox)
    }

    /// Whether anything in a file may lose against what is in `other`. The tombstone of a counter beats what is
    /// newer, too.
    private func isShadow(
        _ other: SSTable, of sstable: SSTable, _ granularity: GarbageGranularity
    ) -> Bool {
        let (ours, theirs) = (sstable.metadata.statistics, other.metadata.statistics)
        return !other.isSuspect
            && (theirs.maximumTimestamp >= ours.minimumTimestamp || theirs.hasCounters)
            && CompactionFile.tokens(other.metadata).overlaps(
                CompactionFile.tokens(sstable.metadata))
            && (granularity == .cell || theirs.tombstones > 0)
    }

    /// The job of one file has ended; `failure` is the disk's.
    func garbageCollected(
        _ task: MaintenanceTask, _ job: MergeJob, _ table: TableState, _ sstable: SSTable,
        _ shadows: [SSTable], _ generation: Int, _ failure: DiskFailure?
    ) {
        for shadow in shadows { unpin(shadow) }
        task.report.files += 1
        task.report.bytesRead += job.bytesRead
        task.report.bytesWritten += job.bytesWritten
        var isWhole = false
        switch job.outcome {
        case .running: break
        case .finished: isWhole = failure == nil
        case .failed(let error):
            task.report.failure = "\(error)"
            table.statistics.compactionFailure = error
            if case .corruption(let corruption) = error {
                for file in [sstable] + shadows where file.metadata.file == corruption.file {
                    file.isSuspect = true
                }
            }
        case .noRoom(let neededBytes, let freeBytes):
            table.statistics.compactionsWithoutRoom += 1
            task.report.failure =
                "no room to write \(sstable.metadata.file) anew: \(neededBytes) bytes of \(freeBytes)"
        }
        var made: SSTable?
        if isWhole {
            task.report.rewritten += 1
            task.report.partitions += job.partitionsWritten
            table.statistics.tombstonesPurged += job.purgedTombstones
            if let output = job.outputs.first {
                var entry = sstable.entry
                entry.number = output.number
                entry.createdAt = wallSeconds
                made = SSTable(entry, output.metadata)
            }
        } else {
            obsoleteFiles += job.createdFiles
        }
        rewriteEnded(task, isWhole: isWhole, table, sstable, made, generation)
    }
}
