// Opening: what the disk holds becomes an engine.
//
//     manifest -> SSTables' tails -> files that nobody names go -> log replay -> a new segment
//
// The replay fills memtables under the same budget as later writes do. It flushes on the spot, the
// largest first, only when three quarters of it are used: what a log of the usual size holds fits, and
// is flushed in the background after the start. Every start writes a new manifest with a checkpoint
// alone.

internal import Encoding
package import Environment
internal import Model

extension StorageEngine {
    /// Opens the files of `start.prefix`, replays the log and is ready to write. Blocks: at start only.
    package static func open(
        _ start: StorageStart, files: any FileSystem, clock: ClockReading
    ) throws(StorageError) -> StorageEngine {
        let loaded = try loadManifest(start.prefix, files)
        var replay = try CommitLogReplay(
            prefix: start.prefix, policy: start.configuration.commitFailurePolicy, files: files)
        let number = replay.highestNumber + 1
        let segment = CommitLog.segment(start.prefix, number, incarnation: start.incarnation)
        let engine = StorageEngine(
            start,
            log: CommitLog(
                start.configuration, prefix: start.prefix, effectIDs: start.effectIDs,
                active: segment, closed: []),
            manifest: ManifestKeeper(
                state: loaded.state, prefix: start.prefix, fileNumber: loaded.number, size: 0),
            clock: clock)
        engine.install(start.schema)
        var state = loaded.state
        for id in Set(state.entries.values.map(\.table)).union(state.flushed.keys).sorted()
        where start.schema.table(id) == nil {
            state.apply(.dropTable(id))
        }
        // A truncation is for good once the metadata store has it, even if the node died before its
        // manifest had. A position of zero is one that a change of the shards has made void.
        for entry in state.entries.values.sorted(by: { $0.number < $1.number }) {
            if let truncated = start.truncations[entry.table], truncated > .zero,
                entry.position <= truncated
            {
                state.apply(.remove(number: entry.number))
            }
        }
        try engine.loadSSTables(&state, files, prefix: start.prefix)
        try engine.replay(&replay, start, &state, files)
        try engine.begin(state, replay, start, segment, loaded, files)
        try engine.beginDiskState(files, now: clock.monotonic)
        return engine
    }

    private static func loadManifest(
        _ prefix: String, _ files: any FileSystem
    ) throws(StorageError) -> (state: ManifestState, number: UInt64, files: [FileName]) {
        var found: [(number: UInt64, file: FileName)] = []
        for file in try storing({ () throws(DiskFailure) in try files.list() }) {
            if let number = ManifestFile.number(of: file, prefix: prefix) {
                found.append((number, file))
            }
        }
        found.sort { $0.number > $1.number }
        for (_, file) in found {
            if let state = try ManifestFile.load(file, from: files) {
                return (state, found[0].number, found.map(\.file))
            }
        }
        // A manifest that cannot be read while there are SSTables: data would vanish silently.
        for file in try storing({ () throws(DiskFailure) in try files.list() })
        where !found.isEmpty && sstableNumber(file, prefix) != nil {
            throw .corruption(
                CorruptionError(file: found[0].file, offset: 0, detail: "no readable manifest"))
        }
        return (ManifestState(), found.first?.number ?? 0, found.map(\.file))
    }

    static func sstableNumber(_ file: FileName, _ prefix: String) -> UInt64? {
        let start = "\(prefix)sst-"
        guard file.text.hasPrefix(start), file.text.hasSuffix(".db") else { return nil }
        return UInt64(file.text.dropFirst(start.count).dropLast(3))
    }

    /// Opens the SSTables that the manifest names, and removes files that it does not.
    private func loadSSTables(
        _ state: inout ManifestState, _ files: any FileSystem, prefix: String
    ) throws(StorageError) {
        for entry in state.entries.values.sorted(by: { $0.number < $1.number }) {
            guard let table = tables[entry.table] else { continue }
            let metadata = try SSTableMetadata.load(
                Self.sstableName(prefix, entry.number), from: files)
            table.sstables.append(
                SSTable(entry, metadata))
        }
        for (id, position) in state.flushed { tables[id]?.flushedPosition = position }
        for file in try storing({ () throws(DiskFailure) in try files.list() }) {
            guard let number = Self.sstableNumber(file, prefix) else { continue }
            state.nextNumber = max(state.nextNumber, number + 1)
            if state.entries[number] == nil {
                try storing { () throws(DiskFailure) in try files.remove(file) }
            }
        }
    }

    private func replay(
        _ replay: inout CommitLogReplay, _ start: StorageStart, _ state: inout ManifestState,
        _ files: any FileSystem
    ) throws(StorageError) {
        var skipped = 0
        var unknownTables: Set<TableID> = []
        manifest = ManifestKeeper(state: state, prefix: prefix, fileNumber: 0, size: 0)
        let fullBytes = configuration.memtableBytes / 4 * 3
        try replay.run { (bytes, position, file) throws(StorageError) in
            do throws(MalformedBytes) {
                let mutation = try MutationView(bytes)
                guard let table = table(mutation.table) else {
                    skipped += 1
                    unknownTables.insert(mutation.table)
                    return
                }
                guard position > table.flushedPosition,
                    position > start.truncations[mutation.table] ?? .zero,
                    slice.contains(mutation.token)
                else {
                    skipped += 1
                    return
                }
                let partition = try PartitionView(mutation.partition)
                let facts = try Self.check(partition)
                try table.live.apply(
                    token: mutation.token, key: mutation.key, partition,
                    oldestTimestamp: facts.oldestTimestamp, isPlain: facts.isPlain,
                    position: position, scratch: mergeScratch)
            } catch {
                throw .corruption(
                    CorruptionError(
                        file: file, offset: Int(position.offset), detail: "mutation: \(error)"))
            }
            if pool.usedBytes >= fullBytes, let table = largestTable {
                try flushNow(table, files)
            }
            if let table = lastTable, isOversized(table) { try flushNow(table, files) }
        }
        state = manifest.state
        replayReport = replay.report
        replayReport.skipped = skipped
        replayReport.unknownTables = unknownTables
        replayReport.corruption = replay.corruption
        if let corruption = replay.corruption, configuration.commitFailurePolicy == .stopCommit {
            damagedLog = corruption
        }
    }

    /// The table with the largest live memtable that holds something.
    var largestTable: TableState? {
        var largest: TableState?
        for table in tableList where !table.live.isEmpty {
            if table.live.bytes > largest?.live.bytes ?? 0 { largest = table }
        }
        return largest
    }

    /// Flushes a table's memtable at once: at start only. The manifest's state knows of it, its file
    /// not yet: until it does, the log still holds what was flushed.
    func flushNow(_ table: TableState, _ files: any FileSystem) throws(StorageError) {
        freeze(table)
        for memtable in table.frozen {
            let (job, number) = makeFlush(table, memtable)
            try storing { () throws(DiskFailure) in
                while case .more = try job.step(files, budgetBytes: configuration.jobStepBytes) {}
            }
            if let failure = job.failure { throw failure }
            var edits: [ManifestEdit] = [.flushed(table.id, memtable.lastPosition)]
            if let output = job.outputs.first {
                let entry = ManifestEntry(
                    number: number, table: table.id, position: memtable.lastPosition,
                    createdAt: wallSeconds)
                edits.append(.add(entry))
                table.sstables.append(SSTable(entry, output.metadata))
            }
            manifest.apply(edits)
            memtable.retire()
        }
        table.frozen.removeAll()
    }

    /// Writes the checkpoint and the first segment, and takes up the log.
    private func begin(
        _ state: ManifestState, _ replay: CommitLogReplay, _ start: StorageStart,
        _ segment: CommitLog.Segment,
        _ loaded: (state: ManifestState, number: UInt64, files: [FileName]),
        _ files: any FileSystem
    ) throws(StorageError) {
        let number = loaded.number + 1
        let name = ManifestFile.name(prefix, number)
        var size = 0
        try storing { () throws(DiskFailure) in
            size = try ManifestFile.writeCheckpoint(state, name, files)
            for old in loaded.files { try files.remove(old) }
            for file in replay.emptyFiles { try files.remove(file) }
            let job = SegmentJob(
                file: segment.file, recycling: nil,
                header: CommitLog.header(
                    number: segment.number,
                    identity: CommitLog.identity(prefix, segment.number, start.incarnation)),
                bytes: configuration.commitLogSegmentBytes)
            _ = try job.step(files, budgetBytes: .max)
        }
        for (id, position) in state.flushed { tables[id]?.flushedPosition = position }
        manifest = ManifestKeeper(state: state, prefix: prefix, fileNumber: number, size: size)
        log = CommitLog(
            configuration, prefix: prefix, effectIDs: effectIDs, active: segment,
            closed: replay.closed)
    }
}
