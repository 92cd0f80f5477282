// Compaction as the engine runs it: a choice becomes a merge, the merge runs slice by slice, and its end
// becomes one manifest record that takes the inputs out and the outputs in.
//
// Durability: outputs and their names are synced before the record is written, inputs are removed only
// after it is durable and no read needs them; so a crash between any two steps leaves either set whole.

internal import Encoding
package import Environment
internal import Model

extension StorageEngine {
    // MARK: Each step's end

    /// Begins what is due, and gives each waiting merge its next slice.
    func tickCompactions(_ clock: ClockReading, _ outbox: Outbox) {
        let now = clock.monotonic
        for table in tableList {
            if let due = table.compaction.nextExpiredCheck, due <= now {
                table.compaction.nextExpiredCheck = nil
                table.mayCompact = true
            }
            if let retry = table.compaction.retryAt {
                guard retry <= now else { continue }
                table.compaction.retryAt = nil
                table.mayCompact = true
            }
            begin(table, now)
        }
        guard compactor.throttle.waits(now: now) == nil else { return }
        for compaction in compactor.running where !compaction.isInFlight {
            compaction.isInFlight = true
            start(CompactionSlice(compaction.job), .compaction(compaction), outbox)
        }
    }

    /// When the next slice of a compaction that waits for its rate may run; nil if none waits.
    package var nextCompactionSlice: Instant? {
        guard compactor.running.contains(where: { !$0.isInFlight }) else { return nil }
        return compactor.throttle.waits(now: lastTick) ?? lastTick
    }

    /// When compaction has something to do without anything happening before.
    var nextCompactionWake: Instant? {
        var wake: Instant?
        func take(_ instant: Instant?) {
            if let instant { wake = wake.map { min($0, instant) } ?? instant }
        }
        if compactor.running.contains(where: { !$0.isInFlight }) {
            take(compactor.throttle.waits(now: lastTick))
        }
        for table in tableList {
            take(table.compaction.nextExpiredCheck)
            take(table.compaction.retryAt)
        }
        return wake
    }

    /// Begins a table's compactions as long as there is something due and a place free.
    private func begin(_ table: TableState, _ now: Instant) {
        guard table.mayCompact || !table.compaction.wanted.isEmpty else { return }
        while compactor.running.count < compactor.limit {
            if !table.compaction.wanted.isEmpty {
                guard beginWanted(table) else { break }
                continue
            }
            guard table.mayCompact else { break }
            guard table.compaction.isAutomatic, table.strategy.options.isEnabled,
                let choice = choose(table)
            else {
                table.mayCompact = false
                table.compaction.roomBytes = nil
                scheduleExpiredCheck(table, now)
                break
            }
            carryOut(choice, table)
        }
    }

    /// The first of the table's groups for which the strategy finds something.
    private func choose(_ table: TableState) -> CompactionChoice? {
        for view in views(table) {
            guard var choice = table.strategy.choose(view) else { continue }
            if let room = table.compaction.roomBytes, choice.deed == .merge {
                guard let smaller = shrink(choice, view, to: room) else { continue }
                choice = smaller
            }
            return choice
        }
        return nil
    }

    /// Leaves out the largest inputs until the rest fits; nil if that is not allowed or not enough.
    private func shrink(
        _ choice: CompactionChoice, _ view: CompactionView, to room: Int
    ) -> CompactionChoice? {
        var files = view.files.filter { choice.inputs.contains($0.number) }
        files.sort { $0.bytes == $1.bytes ? $0.number < $1.number : $0.bytes < $1.bytes }
        var total = files.reduce(0) { $0 + $1.bytes }
        if total <= room { return choice }
        guard choice.mayShrink else { return nil }
        while total > room, let largest = files.popLast() { total -= largest.bytes }
        guard files.count >= 2 else { return nil }
        var smaller = choice
        smaller.inputs = files.map(\.number).sorted()
        return smaller
    }

    /// A table that expires by time alone is looked at now and then, as its options say.
    private func scheduleExpiredCheck(_ table: TableState, _ now: Instant) {
        guard table.compaction.nextExpiredCheck == nil, !table.sstables.isEmpty,
            table.compaction.isAutomatic, table.strategy.options.isEnabled,
            table.sstables.contains(where: { $0.metadata.statistics.mayExpire })
        else { return }
        let seconds = table.strategy.expiredCheckSeconds
        table.compaction.nextExpiredCheck = now + .seconds(min(max(1, seconds), 1 << 32))
    }

    // MARK: Views

    /// The table's SSTables as strategies see them, one view for each group that a repair keeps apart.
    func views(_ table: TableState) -> [CompactionView] {
        var groups: [(key: RepairGroup, files: [SSTable])] = []
        for sstable in table.sstables {
            let key = RepairGroup(sstable.entry)
            if let index = groups.firstIndex(where: { $0.key == key }) {
                groups[index].files.append(sstable)
            } else {
                groups.append((key, [sstable]))
            }
        }
        let oldest = oldestInMemory(table)
        return groups.map { group in
            let rule = purgeRule(table, group.files)
            var view = CompactionView(files: [])
            view.slice = slice
            view.nowInSeconds = wallSeconds
            view.gcBefore = rule.gcBefore
            view.oldestInMemory = oldest
            view.flushBytes =
                table.statistics.flushes > 0
                ? table.statistics.bytesFlushed / table.statistics.flushes : 0
            for sstable in table.sstables {
                let file = CompactionFile(sstable, gcBefore: rule.gcBefore)
                if RepairGroup(sstable.entry) == group.key {
                    view.files.append(file)
                } else {
                    view.others.append(file)
                }
            }
            view.running = compactor.running.filter { $0.table === table }.map {
                RunningOutput(level: $0.choice.level, tokens: $0.tokens)
            }
            return view
        }
    }

    func oldestInMemory(_ table: TableState) -> Int64 {
        table.frozen.reduce(table.live.oldestTimestamp) { min($0, $1.oldestTimestamp) }
    }

    /// What a compaction of these files may forget.
    func purgeRule(_ table: TableState, _ files: [SSTable]) -> PurgeRule {
        let repairedAt = files.map(\.entry.repairedAt).min() ?? 0
        var rule = table.purgeRule(
            nowInSeconds: wallSeconds, repairedAt: repairedAt > 0 ? repairedAt / 1_000 : nil)
        if table.strategy.options.tombstones.onlyPurgesRepaired, repairedAt == 0 {
            rule.gcBefore = .min
        }
        return rule
    }

    // MARK: Commands' choices

    /// Begins what was asked for first; false if it has to wait.
    private func beginWanted(_ table: TableState) -> Bool {
        guard let wanted = table.compaction.wanted.first else { return false }
        // The whole table waits until it stands still; meanwhile nothing new begins.
        if case .major = wanted, compactor.running.contains(where: { $0.table === table }) {
            return false
        }
        let choices = views(table).compactMap { choice(for: wanted, $0, table) }
        guard
            choices.count <= compactor.limit - compactor.running.count || compactor.running.isEmpty
        else { return false }
        table.compaction.wanted.removeFirst()
        for choice in choices { carryOut(choice, table) }
        return true
    }

    private func choice(
        for wanted: TableCompaction.Wanted, _ view: CompactionView, _ table: TableState
    ) -> CompactionChoice? {
        let files: [CompactionFile]
        switch wanted {
        case .major(let splits): return table.strategy.major(view, splits: splits)
        case .tokens(let tokens): files = view.idle.filter { $0.tokens.overlaps(tokens) }
        case .files(let numbers): files = view.idle.filter { numbers.contains($0.number) }
        }
        guard let first = files.first else { return nil }
        // One file keeps its level: its place is free. Several may overlap what they did not before.
        return CompactionChoice(
            files, level: files.count == 1 ? first.level : 0, reason: .userDefined)
    }

    // MARK: Carrying out

    /// Begins a choice: a merge, or a manifest record alone.
    func carryOut(_ choice: CompactionChoice, _ table: TableState) {
        let inputs = table.sstables.filter { choice.inputs.contains($0.number) }
        precondition(
            inputs.count == choice.inputs.count && !inputs.contains(where: \.isCompacting),
            "a choice of \(choice.inputs) among files that are gone or busy")
        for input in inputs { input.isCompacting = true }
        switch choice.deed {
        case .merge: merge(choice, table, inputs)
        case .drop:
            var purged = 0
            for input in inputs {
                input.pins += 1
                purged += input.metadata.statistics.tombstones
            }
            table.statistics.tombstonesPurged += purged
            record(
                table, id: takeCompactionID(), reason: choice.reason, inputs: inputs, outputs: 0,
                bytesOut: 0, partitions: [], purged: purged)
            manifest.enqueue(
                inputs.map { .remove(number: $0.number) },
                .compacted(table, inputs: inputs, [], generation: table.generation, memory: nil))
        case .relevel:
            let changes = inputs.map { input in
                var entry = input.entry
                entry.level = UInt8(clamping: choice.level)
                return (sstable: input, entry: entry)
            }
            manifest.enqueue(
                changes.flatMap { [.remove(number: $0.entry.number), .add($0.entry)] },
                .changed(table, changes))
        }
    }

    private func takeCompactionID() -> CompactionID {
        defer { compactor.nextID += 1 }
        return CompactionID(compactor.nextID)
    }

    private func merge(_ choice: CompactionChoice, _ table: TableState, _ inputs: [SSTable]) {
        var rule = purgeRule(table, inputs)
        rule.olderThan = min(rule.olderThan, oldestInMemory(table))
        let others = table.sstables.filter { !choice.inputs.contains($0.number) }
        let bytes = inputs.reduce(0) { $0 + $1.metadata.bytes }
        let numbers = manifest.takeNumbers(maximumOutputs(choice.split, bytes))
        let job = MergeJob(
            title: "compact \(table.name)",
            scans: inputs.map { SSTableScan($0.metadata, slice: slice, offersSingles: true) },
            targets: numbers.map { target(table, $0) }, split: choice.split,
            purge: MergeJob.Purge(rule: rule, others: others.map(\.metadata)), neededBytes: bytes)
        var tokens: ClosedRange<Int64>?
        for input in inputs {
            input.pins += 1
            let range = CompactionFile.tokens(input.metadata)
            tokens = tokens.map { hull($0, range) } ?? range
        }
        compactor.running.append(
            RunningCompaction(
                id: takeCompactionID(), table: table, choice: choice, inputs: inputs, job: job,
                entry: outputEntry(table, choice, inputs), tokens: tokens ?? .min ... .max,
                cache: cache))
    }

    /// What the manifest will say of each output but its number.
    private func outputEntry(
        _ table: TableState, _ choice: CompactionChoice, _ inputs: [SSTable]
    ) -> ManifestEntry {
        var entry = ManifestEntry(
            number: 0, table: table.id, level: UInt8(clamping: choice.level),
            position: inputs.map(\.position).max() ?? .zero)
        entry.repairedAt = inputs.map(\.entry.repairedAt).min() ?? 0
        if let first = inputs.first {
            entry.pendingRepair = first.entry.pendingRepair
            let isOfOne = inputs.allSatisfy { $0.entry.originHost == first.entry.originHost }
            entry.originHost = isOfOne ? first.entry.originHost : .zero
        }
        return entry
    }

    /// How many files a split may make; the last one takes what the numbers do not reach for.
    private func maximumOutputs(_ split: OutputSplit, _ bytes: Int) -> Int {
        switch split {
        case .never: 1
        case .bytes(let limit): min(bytes / max(1, limit) + 2, 1 << 16)
        case .halves: 64
        case .tokens(let tokens): tokens.count + 1
        }
    }

    // MARK: The end

    /// A slice has ended.
    func compactionStepped(_ compaction: RunningCompaction) {
        compaction.isInFlight = false
        let job = compaction.job
        compactor.throttle.take(job.bytesRead - compaction.bytesReadBefore, now: lastTick)
        compaction.bytesReadBefore = job.bytesRead
        compaction.memory.bytes = job.memoryBytes
        let table = compaction.table
        if compaction.isStopping || table.generation != compaction.generation {
            return giveUp(compaction)
        }
        switch job.outcome {
        case .running: return
        case .finished: install(compaction)
        case .failed(let error):
            markSuspect(compaction, error)
            giveUp(compaction)
        case .noRoom(_, let freeBytes):
            table.statistics.compactionsWithoutRoom += 1
            table.compaction.roomBytes = freeBytes - freeBytes / 20
            table.compaction.retryAt = lastTick + configuration.diskRetryDelay
            giveUp(compaction)
        }
    }

    /// The disk would not read or write: all stays as it was, and another attempt comes later.
    func compactionFailed(_ compaction: RunningCompaction) {
        compaction.isInFlight = false
        compaction.table.compaction.retryAt = lastTick + configuration.diskRetryDelay
        giveUp(compaction)
    }

    /// A damaged input is left as it is: reads of the damaged part fail by name, and the rest of the
    /// table is compacted without it. So are inputs which together give a row that is too large.
    private func markSuspect(_ compaction: RunningCompaction, _ error: StorageError) {
        compaction.table.statistics.compactionFailure = error
        var named = compaction.inputs
        if case .corruption(let corruption) = error {
            named = named.filter { $0.metadata.file == corruption.file }
        }
        for input in named.isEmpty ? compaction.inputs : named { input.isSuspect = true }
    }

    /// Removes what was written and frees the inputs.
    private func giveUp(_ compaction: RunningCompaction) {
        compactor.running.removeAll { $0 === compaction }
        obsoleteFiles += compaction.job.createdFiles
        for input in compaction.inputs {
            input.isCompacting = false
            input.pins -= 1
            releaseIfUnused(input)
        }
        compaction.table.mayCompact = true
    }

    private func install(_ compaction: RunningCompaction) {
        compactor.running.removeAll { $0 === compaction }
        let (table, job) = (compaction.table, compaction.job)
        var made: [SSTable] = []
        for output in job.outputs {
            var entry = compaction.entry
            entry.number = output.number
            entry.createdAt = wallSeconds
            made.append(SSTable(entry, output.metadata))
        }
        table.compaction.roomBytes = nil
        table.statistics.compactions += 1
        table.statistics.bytesCompacted += job.bytesWritten
        table.statistics.bytesCompactedFrom += job.bytesRead
        table.statistics.tombstonesPurged += job.purgedTombstones
        record(
            table, id: compaction.id, reason: compaction.choice.reason, inputs: compaction.inputs,
            outputs: made.count, bytesOut: job.bytesWritten, partitions: job.partitionsBySources,
            purged: job.purgedTombstones)
        manifest.enqueue(
            compaction.inputs.map { .remove(number: $0.number) } + made.map { .add($0.entry) },
            .compacted(
                table, inputs: compaction.inputs, made, generation: compaction.generation,
                memory: compaction.memory))
    }

    private func record(
        _ table: TableState, id: CompactionID, reason: CompactionReason, inputs: [SSTable],
        outputs: Int, bytesOut: Int, partitions: [Int], purged: Int
    ) {
        compactor.endedCount += 1
        compactor.history.append(
            CompactionRecord(
                id: id, keyspace: table.schema.keyspace, table: table.schema.name,
                time: WallTime(microseconds: wallSeconds * 1_000_000),
                bytesIn: inputs.reduce(0) { $0 + $1.metadata.bytes }, bytesOut: bytesOut,
                partitionsBySources: partitions, inputs: inputs.count, outputs: outputs,
                tombstonesPurged: purged, reason: reason.rawValue))
        if compactor.history.count > Compactor.historyLength { compactor.history.removeFirst() }
    }

    /// The manifest's record is durable: reads see the outputs from now on, and no longer the inputs.
    func compactionInstalled(
        _ table: TableState, _ inputs: [SSTable], _ made: [SSTable], _ generation: Int
    ) {
        if table.generation == generation {
            var sstables = table.sstables.filter { sstable in !inputs.contains { $0 === sstable } }
            sstables += made
            sstables.sort { $0.number < $1.number }
            table.sstables = sstables
            table.mayCompact = true
            for input in inputs { input.isObsolete = true }
            replaceInQueues(table, inputs, by: made)
        } else {
            for sstable in made { withdraw(sstable) }
        }
        for input in inputs {
            input.isCompacting = false
            input.pins -= 1
            releaseIfUnused(input)
        }
    }

    /// Ends a table's merges; those that the world is running end with their slice.
    func stopCompactions(of table: TableState) {
        for compaction in compactor.running where compaction.table === table { stop(compaction) }
    }

    func stop(_ compaction: RunningCompaction) {
        compaction.isStopping = true
        if !compaction.isInFlight { giveUp(compaction) }
    }
}

/// What a repair keeps apart: data that it has covered, that it has not, and that one is working on.
private struct RepairGroup: Equatable {
    let isRepaired: Bool
    let pending: UniqueID

    init(_ entry: ManifestEntry) {
        isRepaired = entry.repairedAt > 0
        pending = entry.pendingRepair
    }
}
