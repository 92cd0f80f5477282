// Maintenance of an engine: snapshots, verify, scrub, cleanup, rewriting, import, and what goes with a
// table that is emptied or dropped. The tasks' states stand in `Maintenance/MaintenanceTask.swift`.
//
// Invariants
//   - a file is linked or read only while it is pinned;
//   - a rewritten file takes the place of its source by one manifest record;
//   - what a truncation or a drop takes away stays named by the manifest until its snapshot is durable.

internal import Encoding
package import Environment
package import Model

extension StorageEngine {
    // MARK: Commands

    /// Flushes the tables (nil: all) and ends when what is in memory now is in files.
    package func startFlush(_ ids: [TableID]?) -> MaintenanceID {
        add("flush", .flushing(freezeForTask(ids), then: nil))
    }

    /// Takes a snapshot. Tables that this engine does not have are passed over.
    package func startSnapshot(_ request: SnapshotRequest) -> MaintenanceID {
        let waiting = request.skipsFlush ? [] : freezeForTask(request.tables.map(\.id))
        return add("snapshot \(request.tag)", .flushing(waiting, then: request))
    }

    /// Goes through all files that the tables have now; where one has become others when its turn comes,
    /// through those.
    package func startFiles(_ kind: FileMaintenance, _ ids: [TableID]?) -> MaintenanceID {
        var queue: [(table: TableState, number: UInt64)] = []
        for table in tableList where ids?.contains(table.id) ?? true {
            for sstable in inOrder(table.sstables, kind) { queue.append((table, sstable.number)) }
        }
        return add(kind.title, .files(kind, queue))
    }

    /// Garbage is collected from the oldest data first: what shadows it may be forgotten once it is gone.
    private func inOrder(_ sstables: [SSTable], _ kind: FileMaintenance) -> [SSTable] {
        guard case .garbage = kind else { return sstables }
        return TableView.newestFirst(sstables).reversed()
    }

    /// Takes in what was staged under `lead` and checked by an `ImportCheckJob`.
    package func startImport(
        _ id: TableID, lead: String, fileCount: Int
    ) throws(StorageError) -> MaintenanceID {
        guard let table = tables[id] else { throw .unknownTable(id) }
        return add(
            "import into \(table.name)", .importing(table, lead: lead, fileCount: fileCount))
    }

    /// Forgets all data of a table, with a snapshot of it if one is asked for. Reads find nothing from
    /// now on. The position of the `CompletedMaintenance` belongs into the metadata store: mutations
    /// up to it do not come back.
    package func truncate(
        _ id: TableID, snapshot: SnapshotRequest?
    ) throws(StorageError) -> MaintenanceID {
        guard let table = tables[id] else { throw .unknownTable(id) }
        let position = log.nextPosition
        mayReleaseSegments = true
        let task = MaintenanceTask(
            id: nextMaintenanceID(), title: "truncate \(table.name)", state: .busy)
        task.position = position
        retire(table, snapshot, task, position)
        table.flushedPosition = position
        return task.id
    }

    /// Forgets all data of a table without a snapshot. The position may be committed at once: a start
    /// that finds it drops what the manifest still names.
    package func truncate(
        _ id: TableID, clock: ClockReading
    ) throws(StorageError) -> LogPosition {
        let position = log.nextPosition
        _ = try truncate(id, snapshot: nil)
        return position
    }

    /// Forgets a table that is no longer in the schema.
    func retireDropped(_ table: TableState, _ snapshot: SnapshotRequest?) {
        let task = MaintenanceTask(
            id: nextMaintenanceID(), title: "drop \(table.name)", state: .busy)
        retire(table, snapshot, task, nil)
    }

    /// Ends tasks that go through files after the file at hand.
    package func stopMaintenance(_ isMeant: (FileMaintenance) -> Bool) -> Int {
        var count = 0
        for task in maintenance {
            if case .files(let kind, _) = task.state, isMeant(kind) {
                task.state = .files(kind, [])
            } else if let rest = task.rest, isMeant(rest.0) {
                task.rest = (rest.0, [])
            } else {
                continue
            }
            task.report.isStopped = true
            count += 1
        }
        return count
    }

    /// Jobs of each kind that the world is running, and flushes that wait for theirs.
    package var flushesUnderWay: Int { tableList.count { $0.isFlushing } }
    package var flushesWaiting: Int {
        tableList.reduce(0) { $0 + max(0, $1.frozen.count - ($1.isFlushing ? 1 : 0)) }
    }
    package var compactionsUnderWay: Int { compactions.count }

    /// Behind all records of the log: whoever keeps it as a table's truncation never sees them again.
    package var logPosition: LogPosition { log.nextPosition }

    /// What is under way or waits, oldest first.
    package var maintenanceTitles: [String] { maintenance.map(\.title) }

    /// The files of a table, with the tokens and the level that they have.
    package func sstables(of id: TableID) -> [SSTableSummary] {
        (tables[id]?.sstables ?? []).map { sstable in
            SSTableSummary(
                file: sstable.metadata.file, bytes: sstable.metadata.bytes,
                plainBytes: sstable.metadata.statistics.plainBytes,
                partitions: sstable.metadata.statistics.partitions,
                rows: sstable.metadata.statistics.rows,
                tombstones: sstable.metadata.statistics.tombstones,
                level: Int(sstable.entry.level),
                minimumToken: sstable.metadata.statistics.minimumToken,
                maximumToken: sstable.metadata.statistics.maximumToken,
                filterBytes: sstable.metadata.filter.byteCount,
                largestPartitionBytes: sstable.metadata.statistics.largestPartitionBytes,
                partitionSizes: sstable.metadata.statistics.partitionSizes)
        }
    }

    /// The files that may hold a partition of that token.
    package func files(of id: TableID, holding token: Int64) -> [FileName] {
        (tables[id]?.sstables ?? []).filter { $0.metadata.mayContain(token) }.map(\.metadata.file)
    }

    // MARK: Tasks

    private func nextMaintenanceID() -> MaintenanceID {
        nextMaintenance += 1
        return MaintenanceID(nextMaintenance)
    }

    private func add(_ title: String, _ state: MaintenanceTask.State) -> MaintenanceID {
        let task = MaintenanceTask(id: nextMaintenanceID(), title: title, state: state)
        maintenance.append(task)
        return task.id
    }

    private func freezeForTask(_ ids: [TableID]?) -> [(table: TableState, memtable: Memtable)] {
        var waiting: [(table: TableState, memtable: Memtable)] = []
        for table in tableList where ids?.contains(table.id) ?? true {
            freeze(table)
            for memtable in table.frozen { waiting.append((table, memtable)) }
        }
        return waiting
    }

    /// Starts what can start: at each step's end.
    func stepMaintenance(_ outbox: Outbox) {
        guard !maintenance.isEmpty else { return }
        var isBusyWithFiles = maintenance.contains { task in
            if case .busy = task.state { task.rest != nil } else { false }
        }
        for task in maintenance {
            switch task.state {
            case .flushing(let waiting, let request):
                let left = waiting.filter { entry in
                    entry.table.frozen.contains { $0 === entry.memtable }
                }
                task.state = .flushing(left, then: request)
                guard left.isEmpty else { continue }
                task.state = .ended
                if let request { startSnapshotJob(task, request, outbox) }
            case .files(let kind, let queue):
                if isBusyWithFiles { continue }
                startNextFile(task, kind, queue[...], outbox)
                if case .ended = task.state { continue }
                isBusyWithFiles = true
            case .importing(let table, let lead, let count):
                startImportJob(task, table, lead, count, outbox)
            case .busy, .ended: break
            }
        }
        endTasks()
    }

    private func endTasks() {
        maintenance.removeAll { task in
            guard case .ended = task.state else { return false }
            completedMaintenance.append(
                CompletedMaintenance(id: task.id, report: task.report, position: task.position))
            return true
        }
    }

    /// Goes on with a task whose busy part has ended.
    private func goOn(_ task: MaintenanceTask) {
        if let (kind, queue) = task.rest {
            task.rest = nil
            task.state = .files(kind, queue)
        } else {
            task.state = .ended
        }
    }

    func run(
        _ job: any Job, _ run: MaintenanceRun, _ task: MaintenanceTask, _ outbox: Outbox
    ) {
        task.state = .busy
        start(job, .maintenance(task, run), outbox)
    }

    // MARK: Snapshots

    private func key(_ tag: String, _ table: TableState) -> SnapshotKey {
        var part = prefix
        while part.hasSuffix("-") { part.removeLast() }
        return SnapshotKey(tag: tag, table: table.id, part: part)
    }

    private func group(
        _ table: TableState, _ request: SnapshotRequest, _ schemaText: String
    ) -> SnapshotJob.Group {
        SnapshotJob.Group(
            manifest: SnapshotManifest(
                key: key(request.tag, table), keyspace: table.schema.keyspace,
                table: table.schema.name, parts: request.parts, createdAt: request.createdAt,
                expiresAt: request.expiresAt, isEphemeral: request.isEphemeral,
                columns: SnapshotManifest.columns(of: table.schema), files: []),
            schemaText: schemaText, sstables: table.sstables.map(\.metadata), flushes: [])
    }

    private func startSnapshotJob(
        _ task: MaintenanceTask, _ request: SnapshotRequest, _ outbox: Outbox
    ) {
        var groups: [SnapshotJob.Group] = []
        var pinned: [SSTable] = []
        for entry in request.tables {
            guard let table = tables[entry.id] else { continue }
            groups.append(group(table, request, entry.schemaText))
            for sstable in table.sstables {
                sstable.pins += 1
                pinned.append(sstable)
            }
        }
        let job = SnapshotJob(title: task.title, groups)
        run(job, .snapshot(job, pinned, [], nil), task, outbox)
    }

    /// Takes everything away from a table; its snapshot, if one is wanted, comes first.
    private func retire(
        _ table: TableState, _ request: SnapshotRequest?, _ task: MaintenanceTask,
        _ position: LogPosition?
    ) {
        maintenance.append(task)
        var group: SnapshotJob.Group?
        var memtables: [Memtable] = []
        retiringSegments[task.id] = table.oldestUnflushed?.segment
        if let request, let text = request.tables.first(where: { $0.id == table.id }) {
            freeze(table)
            memtables = table.frozen
            var made = self.group(table, request, text.schemaText)
            for (index, memtable) in memtables.enumerated() {
                memtable.pins += 1
                var place = target(table, manifest.takeNumber())
                place.file = SnapshotName.file(made.manifest.key, .data(UInt64(index + 1)))
                made.flushes.append(makeFlush(table, memtable, into: place))
            }
            group = made
        }
        stopCompactions(of: table)
        forget(table)
        let retired = RetiredFiles(
            table: table.id, sstables: takeFiles(table), numbers: manifest.numbers(of: table.id),
            position: position)
        lateFiles[table.id] = lateFiles[table.id] ?? []
        guard let group, !group.sstables.isEmpty || !group.flushes.isEmpty else {
            enqueueRetired(retired, task)
            return
        }
        waitingRetirements.append(
            (
                task,
                .snapshot(SnapshotJob(title: task.title, [group]), [], memtables, retired)
            ))
    }

    private func enqueueRetired(_ retired: RetiredFiles, _ task: MaintenanceTask) {
        let sstables = retired.sstables + (lateFiles.removeValue(forKey: retired.table) ?? [])
        // One by one: what was flushed since the truncation is the table's. All in one record: what was about to be
        // named when the table was emptied must not be there without the rest.
        var edits = Set(sstables.map(\.number) + retired.numbers).sorted()
            .map { ManifestEdit.remove(number: $0) }
        if let position = retired.position {
            edits.append(.flushed(retired.table, position))
        } else if schema.table(retired.table) == nil {
            // Otherwise a table was made under its id meanwhile, whose files these are not.
            edits.append(.dropTable(retired.table))
        }
        manifest.enqueue(edits, .maintenance(.retired(task, sstables)))
    }

    /// Starts the snapshots of tables that go.
    func startRetirements(_ outbox: Outbox) {
        for (task, run) in waitingRetirements {
            guard case .snapshot(let job, _, _, _) = run else { continue }
            self.run(job, run, task, outbox)
        }
        waitingRetirements.removeAll()
    }

    // MARK: Files

    private func startNextFile(
        _ task: MaintenanceTask, _ kind: FileMaintenance,
        _ queue: ArraySlice<(table: TableState, number: UInt64)>, _ outbox: Outbox
    ) {
        var queue = queue
        while let entry = queue.first {
            // What became of a file stands in its place; this one has gone with its table's data.
            guard let sstable = entry.table.sstables.first(where: { $0.number == entry.number })
            else {
                queue.removeFirst()
                continue
            }
            if !isDue(kind, entry.table, sstable) {
                task.report.files += 1
                queue.removeFirst()
                continue
            }
            if kind != .verify, sstable.isCompacting {
                task.state = .files(kind, Array(queue))
                return
            }
            task.rest = (kind, Array(queue.dropFirst()))
            startFile(task, kind, entry.table, sstable, outbox)
            return
        }
        task.state = .ended
    }

    /// The table's files `old` have become `new`: tasks that have not come to them go through those.
    func replaceInQueues(_ table: TableState, _ old: [SSTable], by new: [SSTable]) {
        func replaced(
            _ queue: [(table: TableState, number: UInt64)]
        ) -> [(table: TableState, number: UInt64)] {
            func isOld(_ entry: (table: TableState, number: UInt64)) -> Bool {
                entry.table === table && old.contains { $0.number == entry.number }
            }
            guard let place = queue.firstIndex(where: isOld) else { return queue }
            return queue[..<place] + new.map { (table, $0.number) }
                + queue[place...].filter { !isOld($0) }
        }
        for task in maintenance {
            if case .files(let kind, let queue) = task.state {
                task.state = .files(kind, replaced(queue))
            } else if let (kind, queue) = task.rest {
                task.rest = (kind, replaced(queue))
            }
        }
    }

    /// Whether there is anything to do for the file.
    private func isDue(
        _ kind: FileMaintenance, _ table: TableState, _ sstable: SSTable
    ) -> Bool {
        switch kind {
        case .verify, .scrub: return true
        // There is one format so far: every file that opens has it.
        case .upgrade(let all): return all
        case .cleanup(let owned):
            let statistics = sstable.metadata.statistics
            return !SortedRanges.cover(owned, statistics.minimumToken...statistics.maximumToken)
        case .garbage:
            return !sstable.isSuspect
                && (sstable.entry.repairedAt > 0
                    || !table.strategy.options.tombstones.onlyPurgesRepaired)
        }
    }

    private func startFile(
        _ task: MaintenanceTask, _ kind: FileMaintenance, _ table: TableState, _ sstable: SSTable,
        _ outbox: Outbox
    ) {
        sstable.pins += 1
        // It reads or writes an index and a filter as large as the file's.
        task.memory = MemoryReservation(
            sstable.metadata.residentBytes
                + SSTableWriter.memoryBytes(
                    partitions: sstable.metadata.statistics.partitions, falsePositiveChance: 1),
            of: cache)
        let title = "\(kind.title) \(table.name)"
        if case .garbage(let granularity) = kind {
            return collectGarbage(task, title, granularity, table, sstable, outbox)
        }
        if kind == .verify {
            let job = VerifyJob(title: title, sstable.metadata)
            return run(job, .verify(job, sstable), task, outbox)
        }
        let number = manifest.takeNumber()
        var plan = RewriteJob.Plan(
            source: sstable.metadata, target: target(table, number), slice: slice)
        if case .cleanup(let owned) = kind { plan.owned = owned }
        plan.skipsDamage = kind == .scrub
        plan.dropped = table.droppedCells
        let job = RewriteJob(title: title, plan)
        sstable.isCompacting = true
        run(
            job, .rewrite(job, table, sstable, generation: table.generation, number: number), task,
            outbox)
    }

    private func startImportJob(
        _ task: MaintenanceTask, _ table: TableState, _ lead: String, _ count: Int, _ outbox: Outbox
    ) {
        let places = (0..<count).map { _ in
            let number = manifest.takeNumber()
            return (number, target(table, number))
        }
        let job = ImportJob(lead: lead, schema: table.schema, slice: slice, places: places)
        run(job, .importing(job, table, generation: table.generation), task, outbox)
    }

    // MARK: Ends

    /// A job of a task has ended; `failure` is the disk's. Throws if what a table was to leave behind
    /// cannot be kept: the node must stop, and finds all as it was before.
    func maintenanceEnded(
        _ task: MaintenanceTask, _ run: MaintenanceRun, _ failure: DiskFailure?
    ) throws(StorageError) {
        task.memory = nil
        if let failure {
            if failure.reason == .crashed { throw .disk(failure) }
            if case .snapshot(_, _, _, .some) = run { throw .disk(failure) }
        }
        if let failure { task.report.failure = "\(failure)" }
        switch run {
        case .snapshot(let job, let sstables, let memtables, let retired):
            task.report.add(job.report)
            if let reason = job.failure { task.report.failure = task.report.failure ?? reason }
            for sstable in sstables { unpin(sstable) }
            for memtable in memtables { unpin(memtable) }
            if let retired { return enqueueRetired(retired, task) }
            goOn(task)
        case .verify(let job, let sstable):
            task.report.add(job.report)
            unpin(sstable)
            goOn(task)
        case .rewrite(let job, let table, let sstable, let generation, let number):
            task.report.add(job.report)
            if let error = job.failure { task.report.failure = "\(error)" }
            var made: SSTable?
            if let metadata = job.result {
                var entry = sstable.entry
                entry.number = number
                made = SSTable(entry, metadata)
            }
            rewriteEnded(
                task, isWhole: failure == nil && job.failure == nil, table, sstable, made,
                generation)
        case .collect(let job, let table, let sstable, let shadows, let generation):
            garbageCollected(task, job, table, sstable, shadows, generation, failure)
        case .importing(let job, let table, let generation):
            task.report.add(job.report)
            if let reason = job.failure { task.report.failure = reason }
            importEnded(task, job, table, generation)
        }
    }

    /// Lets a file go that the manifest names, but that its table does not want any more: only when the
    /// manifest has forgotten it, or a crash would leave a name without a file.
    func withdraw(_ sstable: SSTable) {
        sstable.pins += 1
        if lateFiles[sstable.table] != nil {
            // Its snapshot is not durable yet: the file goes with the others.
            lateFiles[sstable.table]?.append(sstable)
        } else {
            manifest.enqueue([.remove(number: sstable.number)], .released([sstable]))
        }
    }

    func unpin(_ sstable: SSTable) {
        sstable.pins -= 1
        releaseIfUnused(sstable)
    }

    /// `isWhole`: the job has done all of its work, and `made` holds it, or nothing was left.
    func rewriteEnded(
        _ task: MaintenanceTask, isWhole: Bool, _ table: TableState, _ sstable: SSTable,
        _ made: SSTable?, _ generation: Int
    ) {
        guard isWhole, table.generation == generation else {
            if let made { obsoleteFiles.append(made.metadata.file) }
            release(table, sstable)
            return goOn(task)
        }
        manifest.enqueue(
            [.remove(number: sstable.number)] + (made.map { [.add($0.entry)] } ?? []),
            .maintenance(
                .rewritten(task, table, old: sstable, new: made, generation: generation)))
    }

    private func release(_ table: TableState, _ sstable: SSTable) {
        table.mayCompact = true
        sstable.isCompacting = false
        unpin(sstable)
    }

    private func importEnded(
        _ task: MaintenanceTask, _ job: ImportJob, _ table: TableState, _ generation: Int
    ) {
        guard task.report.failure == nil, table.generation == generation else {
            obsoleteFiles += job.taken.map(\.metadata.file)
            task.report.failure =
                task.report.failure ?? "\(table.name) was emptied or dropped meanwhile"
            return goOn(task)
        }
        // A start drops files up to the position of the table's last truncation: these came later.
        let position = LogPosition(packed: log.nextPosition.packed + 1)
        let made = job.taken.map { number, metadata in
            SSTable(
                ManifestEntry(
                    number: number, table: table.id, position: position, createdAt: wallSeconds),
                metadata)
        }
        let edits = made.map { ManifestEdit.add($0.entry) }
        manifest.enqueue(
            edits, .maintenance(.imported(task, table, made, generation: generation)))
    }

    /// The manifest has written what a task asked for.
    func take(_ consequence: MaintenanceConsequence) {
        switch consequence {
        case .rewritten(let task, let table, let old, let new, let generation):
            if table.generation == generation {
                table.sstables.removeAll { $0 === old }
                if let new {
                    table.sstables.append(new)
                    table.sstables.sort { $0.number < $1.number }
                }
                old.isObsolete = true
                replaceInQueues(table, [old], by: new.map { [$0] } ?? [])
            } else if let new {
                withdraw(new)
            }
            release(table, old)
            goOn(task)
        case .imported(let task, let table, let sstables, let generation):
            if table.generation == generation {
                table.sstables = (table.sstables + sstables).sorted { $0.number < $1.number }
                table.mayCompact = true
            } else {
                for sstable in sstables { withdraw(sstable) }
                task.report.failure = "\(table.name) was emptied or dropped meanwhile"
            }
            goOn(task)
        case .retired(let task, let sstables):
            retiringSegments[task.id] = nil
            mayReleaseSegments = true
            for sstable in sstables {
                sstable.isObsolete = true
                unpin(sstable)
            }
            goOn(task)
        }
        endTasks()
    }
}

/// One SSTable for an operator.
package struct SSTableSummary: Equatable, Sendable {
    package let file: FileName
    package let bytes: Int
    /// Of its blocks before compression.
    package let plainBytes: Int
    package let partitions: Int
    package let rows: Int
    package let tombstones: Int
    package let level: Int
    package let minimumToken: Int64
    package let maximumToken: Int64
    package let filterBytes: Int
    package let largestPartitionBytes: Int
    /// How many partitions have more than 2^(n-1) and up to 2^n bytes, by n.
    package let partitionSizes: [Int]
}
