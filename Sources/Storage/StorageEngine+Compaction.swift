// Compaction as the engine runs it: a choice becomes a job, a job's end becomes a manifest edit.

internal import Environment
internal import Model

extension StorageEngine {
    func startCompactions(_ outbox: Outbox) {
        for table in tableList
        where !table.isCompacting && runningCompactions < max(1, configuration.concurrentCompactors)
        {
            guard table.mayCompact || table.wantsMajorCompaction else { continue }
            let choice: CompactionChoice?
            if table.wantsMajorCompaction {
                choice = table.sstables.isEmpty ? nil : CompactionChoice(inputs: table.sstables)
            } else {
                choice = SizeTieredStrategy(table.schema.options.compaction).choose(table.sstables)
            }
            table.wantsMajorCompaction = false
            table.mayCompact = false
            guard let choice else { continue }
            startCompaction(table, choice, outbox)
        }
    }

    func startCompaction(
        _ table: TableState, _ choice: CompactionChoice, _ outbox: Outbox
    ) {
        let number = manifest.takeNumber()
        var rule = table.purgeRule(nowInSeconds: wallSeconds)
        for memtable in [table.live] + table.frozen {
            rule.olderThan = min(rule.olderThan, memtable.oldestTimestamp)
        }
        let others = table.sstables.filter { other in
            !choice.inputs.contains { $0 === other }
        }
        let job = MergeJob(
            title: "compact \(table.name)",
            scans: choice.inputs.map { SSTableScan($0.metadata, slice: slice) },
            target: target(table, number),
            purge: MergeJob.Purge(rule: rule, others: others.map(\.metadata)))
        for input in choice.inputs {
            input.isCompacting = true
            input.pins += 1
        }
        table.isCompacting = true
        runningCompactions += 1
        start(
            job,
            .compaction(
                job, table, inputs: choice.inputs, generation: table.generation, number: number),
            outbox)
    }

    func compactionEnded(
        _ merge: MergeJob, _ table: TableState, _ inputs: [SSTable], _ generation: Int,
        _ number: UInt64
    ) {
        table.statistics.tombstonesPurged += merge.purgedTombstones
        let position = inputs.map(\.position).max() ?? .zero
        let made = sstable(merge, table, number, position)
        if merge.failure != nil || table.generation != generation {
            // A damaged input is left as it is: reads of the damaged part fail by name, and the
            // table is not compacted again until its files change.
            if let made { obsoleteFiles.append(made.metadata.file) }
            table.isCompacting = false
            table.mayCompact = false
            for input in inputs {
                input.isCompacting = false
                input.pins -= 1
                releaseIfUnused(input)
            }
            return
        }
        table.statistics.compactions += 1
        table.statistics.bytesCompacted += merge.bytesWritten
        var edits = inputs.map { ManifestEdit.remove(number: $0.number) }
        if made != nil {
            edits.append(.add(ManifestEntry(number: number, table: table.id, position: position)))
        }
        manifest.enqueue(edits, .compacted(table, inputs: inputs, made, generation: generation))
    }

    /// A compaction could not read or write: all stays as it was, until the table's files change.
    func compactionFailed(_ job: RunningJob) {
        guard case .compaction(_, let table, let inputs, _, let number) = job else { return }
        runningCompactions -= 1
        obsoleteFiles.append(Self.sstableName(prefix, number))
        table.isCompacting = false
        table.mayCompact = false
        for input in inputs {
            input.isCompacting = false
            input.pins -= 1
            releaseIfUnused(input)
        }
    }
}
