// One read, from its first run to its answer.
//
//     run -> done
//         -> missing blocks -> parked (view pinned) -> blocks come -> run ...
//
// A point read whose blocks are all in memory ends in its first run and allocates nothing that stays.
// A run that lacks blocks asks for all that it knows of at once; each further run asks for twice as
// much ahead. What a scan has finished stays in its output; the partition in progress begins anew,
// so that one partition's answer is always of one moment.

internal import Encoding
internal import Environment
internal import Model

/// The state of a read between its runs.
final class ReadRun {
    private(set) var command: ReadCommand
    private(set) var view: TableView
    private(set) var rule: PurgeRule
    /// The table whose fragments are shown, for a read of those.
    private(set) var fragmentsOf: TableSchema?
    @exclusivity(unchecked) var limits: PartitionReader.Limits
    /// Behind the last partition that is in the output.
    var position: ReadCommand.Position?
    var rounds = 0
    /// Deletions passed in the partitions that are finished, and rows of them without anything that lives.
    var tombstones = 0
    var deadRows = 0
    // Of a parked read.
    var tag: UInt64 = 0
    @exclusivity(unchecked) var output: ByteWriter
    private(set) var outputStart: Int
    /// Parked, with the answer in a buffer of its own instead of the caller's.
    private(set) var hasOwnOutput = false
    var held: [BlockKey: Block] = [:]
    var outstanding = 0
    var failure: StorageError?

    init(
        _ command: ReadCommand, view: TableView, rule: PurgeRule, fragmentsOf table: TableSchema?,
        output: ByteWriter
    ) {
        self.command = command
        self.view = view
        self.rule = rule
        self.output = output
        outputStart = 0
        limits = PartitionReader.Limits(rows: 0, partitionRows: 0, endOfBytes: 0)
        begin(command, view: view, rule: rule, fragmentsOf: table, output: output)
    }

    /// Becomes another read: runs that never parked are used again.
    func begin(
        _ command: ReadCommand, view: TableView, rule: PurgeRule, fragmentsOf table: TableSchema?,
        output: ByteWriter
    ) {
        fragmentsOf = table
        self.command = command
        self.view = view
        self.rule = rule
        self.output = output
        tombstones = 0
        deadRows = 0
        outputStart = ReadResultWriter.begin(into: output)
        limits = PartitionReader.Limits(
            rows: command.rowLimit, partitionRows: command.partitionRowLimit,
            endOfBytes: outputStart.addingReportingOverflow(command.byteLimit).overflow
                ? .max : outputStart + command.byteLimit,
            tombstones: command.tombstoneLimit)
        if case .range(let range) = command.scope { position = range.after } else { position = nil }
    }

    /// Goes on under that tag, in the caller's buffer.
    func park(tag: UInt64) { self.tag = tag }

    /// Goes on under that tag, with what was written so far in a buffer of its own.
    func park(tag: UInt64, output: ByteWriter) {
        self.tag = tag
        hasOwnOutput = true
        self.output = output
        if limits.endOfBytes != .max { limits.endOfBytes -= outputStart }
        outputStart = 0
    }

    /// Lets go of blocks that only finished partitions needed. Those of the partition in progress are
    /// asked for again, and come from the cache unless it is too small.
    func keepOnlyMissing() { held.removeAll(keepingCapacity: true) }
}

/// Carries out runs. Owned by the engine; its pools are used again for each run.
final class ReadRunner {
    enum Outcome {
        case done
        case missing
    }

    let context: ReadContext
    /// Of the last run that was done.
    @exclusivity(unchecked) private(set) var figures = ReadFigures()
    let reader = PartitionReader()
    private var memtableSources: [MemtableRowSource] = []
    private var sstableSources: [SSTableRowSource] = []
    private var usedMemtableSources = 0
    private var usedSSTableSources = 0
    /// Of a run that shows fragments.
    private(set) var fragments: MutationFragmentReader?

    // Of scans (`+Scan`).
    let slice: ClosedRange<Int64>
    let heads = ScanHeads()
    @exclusivity(unchecked) var keyCursors: [SSTableKeyCursor] = []
    @exclusivity(unchecked) var usedKeyCursors = 0
    @exclusivity(unchecked) var versions: [UnsafeRawBufferPointer] = []

    /// A read that passes more deletions than these is given up.
    var tombstoneLimit: Int {
        get { reader.tombstoneLimit }
        set { reader.tombstoneLimit = newValue }
    }

    init(cache: BlockCache, slice: ClosedRange<Int64>) {
        context = ReadContext(cache: cache)
        self.slice = slice
    }

    /// A read is done, with so many live rows.
    func note(rows: Int) {
        figures = ReadFigures(
            rows: rows, tombstones: reader.tombstones, deadRows: reader.deadRows)
    }

    /// One run: the answer is written, or `context.missing` says what is lacking.
    func run(_ run: ReadRun) throws(StorageError) -> Outcome {
        let command = run.command
        reader.tombstones = run.tombstones
        reader.deadRows = run.deadRows
        fragments = run.fragmentsOf.map { MutationFragmentReader($0, run.view) }
        defer { fragments = nil }
        let isScan = if case .range = command.scope { true } else { false }
        context.begin(
            isScan: isScan, held: run.held,
            readAhead: run.rounds == 0 ? 0 : 1 << min(run.rounds, 6))
        let isExhausted: Bool
        switch command.scope {
        case .partition(let token, let key):
            let outcome = try key.withBytes { (key) throws(StorageError) in
                try readPartition(run, token: token, key: key)
            }
            if outcome == .missing { return .missing }
            isExhausted = outcome == .whole
        case .range(let range):
            guard let ended = try scan(run, range) else { return .missing }
            isExhausted = ended
        }
        ReadResultWriter.finish(
            start: run.outputStart, isExhausted: isExhausted, into: run.output)
        note(rows: command.rowLimit - run.limits.rows)
        return .done
    }

    // MARK: One partition

    func beginPartition() {
        reader.begin()
        fragments?.begin()
        usedMemtableSources = 0
        usedSSTableSources = 0
    }

    /// A partition that a single source has, so far: many are answered from it at once.
    private struct LoneSource {
        var memtable: (memtable: Memtable, node: PartitionNode)?
        var file: (sstable: SSTable, block: Int, place: Int, fragment: Fragment)?
    }

    private func readPartition(
        _ run: ReadRun, token: Int64, key: UnsafeRawBufferPointer
    ) throws(StorageError) -> PartitionReader.Outcome {
        beginPartition()
        let view = run.view
        view.reading?.counters.partitionReads += 1
        // With slices nothing is answered simply.
        let mayBeSimple = run.command.slices == nil && fragments == nil
        var lone = LoneSource()
        for memtable in view.memtables {
            guard let node = memtable.find(token: token, key: key) else { continue }
            if mayBeSimple, lone.memtable == nil, reader.sources.isEmpty {
                lone.memtable = (memtable, node)
            } else {
                try settle(&lone, token)
                try add(node, memtable)
            }
        }
        if !view.sstables.isEmpty, try readFiles(run, token, key, mayBeSimple, &lone) {
            return .missing
        }
        if let (_, node) = lone.memtable, try readSimply(run, node) { return .whole }
        if let file = lone.file, try readSimply(run, token, key, file.fragment) { return .whole }
        try settle(&lone, token)
        return try finishPartition(run, token: token, key: key, behind: nil)
    }

    /// The lone source becomes one of several.
    private func settle(_ lone: inout LoneSource, _ token: Int64) throws(StorageError) {
        if let (memtable, node) = lone.memtable { try add(node, memtable) }
        if let file = lone.file { add(file.fragment, file.sstable, file.block, file.place, token) }
        lone = LoneSource()
    }

    /// Finds the partition in the files, newest first; whether blocks are missing.
    private func readFiles(
        _ run: ReadRun, _ token: Int64, _ key: UnsafeRawBufferPointer, _ mayBeSimple: Bool,
        _ lone: inout LoneSource
    ) throws(StorageError) -> Bool {
        let view = run.view
        // Of fragments no file is superfluous, and their slices are of other keys.
        let showsFragments = fragments != nil
        let reading = showsFragments ? nil : view.reading
        var isMissing = false
        var oldestMissing = Int64.max
        let hash = BloomFilter.hash(token)
        view.probes.prefetch(token, hash)
        for place in view.probes.list.indices {
            let probe = view.probes.list[place]
            guard probe.spans(token) else {
                reading?.counters.skippedByTokens += 1
                continue
            }
            guard probe.filter.mayContain(hash) else {
                reading?.counters.skippedByFilter += 1
                continue
            }
            let sstable = view.sstables[place]
            let metadata = sstable.metadata
            guard showsFragments || metadata.mayOverlap(run.command.slices) else {
                reading?.counters.skippedByClustering += 1
                continue
            }
            if let reading {
                // What the missing blocks hold may make all that is older superfluous: wait for them.
                if isMissing, run.rounds == 0, metadata.statistics.maximumTimestamp < oldestMissing,
                    singleRow(run.command, reading) != nil
                {
                    return true
                }
                if try isSuperfluous(metadata, run.command, reading, lone) {
                    reading.counters.skippedByTimestamp += 1
                    continue
                }
                reading.counters.filesRead += 1
            }
            var isFound = false
            for index in metadata.blocks.candidates(token) {
                guard let block = context.view(sstable, index) else {
                    isMissing = true
                    isFound = true
                    oldestMissing = min(oldestMissing, metadata.statistics.minimumTimestamp)
                    break
                }
                guard let (place, fragment) = try find(token, key, block, metadata, index) else {
                    continue
                }
                isFound = true
                if mayBeSimple, lone.memtable == nil, lone.file == nil, reader.sources.isEmpty {
                    lone.file = (sstable, index, place, fragment)
                } else {
                    try settle(&lone, token)
                    add(fragment, sstable, index, place, token)
                }
                break
            }
            if !isFound { reading?.counters.falsePositives += 1 }
        }
        return isMissing
    }

    private func find(
        _ token: Int64, _ key: UnsafeRawBufferPointer, _ block: BlockView,
        _ metadata: SSTableMetadata, _ index: Int
    ) throws(StorageError) -> (index: Int, fragment: Fragment)? {
        do throws(MalformedBytes) {
            return try block.find(token: token, key: key, span: metadata.blocks.tokens(index))
        } catch {
            throw metadata.damaged(error, inBlock: index)
        }
    }

    // MARK: Leaving out files by timestamp

    /// Of the row that is read.
    @exclusivity(unchecked) var bound = RowBound()

    /// The bounds of the only row that the command can show of a partition; nil if it may show several.
    private func singleRow(
        _ command: ReadCommand, _ reading: TableReading
    ) -> (lower: [UInt8], upper: [UInt8])? {
        guard let slices = command.slices else { return reading.hasSingleRows ? ([], [0]) : nil }
        guard command.onlyRow != nil, let slice = slices.first else { return nil }
        return (slice.lower, slice.upper)
    }

    /// Whether nothing in a file can change what is known of the partition, or of the one row that is
    /// read, from the sources found so far.
    private func isSuperfluous(
        _ metadata: SSTableMetadata, _ command: ReadCommand, _ reading: TableReading,
        _ lone: LoneSource
    ) throws(StorageError) -> Bool {
        let isLone = lone.memtable != nil || lone.file != nil
        guard isLone || !reader.sources.isEmpty, !metadata.statistics.hasOriginalKeys,
            !metadata.statistics.hasCounters
        else { return false }
        var deletion = reader.deletion.timestamp
        if let (_, node) = lone.memtable { deletion = node.deletion.timestamp }
        if let file = lone.file { deletion = file.fragment.deletion.timestamp }
        if deletion > metadata.statistics.maximumTimestamp { return true }
        guard let row = singleRow(command, reading) else { return false }
        bound.begin(needed: reading.columns)
        do throws(MalformedBytes) {
            if let (_, node) = lone.memtable {
                guard case .one(let record) = node.rows, !record.isWide else { return false }
                try bound.add(try RowView(record.row), needed: reading.columns)
            } else if let file = lone.file {
                guard let bytes = try file.fragment.onlyRow?.row else { return false }
                try bound.add(try RowView(bytes), needed: reading.columns)
            }
        } catch {
            throw .malformed(error)
        }
        for source in reader.sources {
            try source.seek(lower: row.lower, upper: row.upper, reversed: false)
            if source.state == .missing { return false }
            guard source.state == .row else { continue }
            do throws(MalformedBytes) {
                try bound.add(try RowView(source.row), needed: reading.columns)
            } catch {
                throw .malformed(error)
            }
        }
        return bound.makesSuperfluous(metadata.statistics)
    }

    /// Answers a partition of one row without anything around it; false if it is not so simple.
    @inline(__always)
    func readSimply(_ run: ReadRun, _ node: PartitionNode) throws(StorageError) -> Bool {
        guard run.command.slices == nil, let record = node.plainRecord, run.limits.rows > 0,
            run.limits.partitionRows > 0
        else { return false }
        do throws(MalformedBytes) {
            try reader.readSingleRow(
                token: node.token, key: node.key, rowKey: record.key, row: record.row,
                rule: run.rule, limits: &run.limits, into: run.output)
        } catch {
            throw .malformed(error)
        }
        return true
    }

    /// The same for a partition of one SSTable.
    @inline(__always)
    private func readSimply(
        _ run: ReadRun, _ token: Int64, _ key: UnsafeRawBufferPointer, _ fragment: Fragment
    ) throws(StorageError) -> Bool {
        guard run.command.slices == nil, fragment.flags.isEmpty,
            run.limits.rows > 0, run.limits.partitionRows > 0
        else { return false }
        do throws(MalformedBytes) {
            guard let (rowKey, row) = try fragment.onlyRow else { return false }
            try reader.readSingleRow(
                token: token, key: key, rowKey: rowKey, row: row,
                rule: run.rule, limits: &run.limits, into: run.output)
        } catch {
            throw .malformed(error)
        }
        return true
    }

    func finishPartition(
        _ run: ReadRun, token: Int64, key: UnsafeRawBufferPointer, behind: [UInt8]?
    ) throws(StorageError) -> PartitionReader.Outcome {
        if reader.sources.isEmpty { return .whole }
        let written = run.output.count
        let limits = run.limits
        let outcome =
            if let fragments {
                try fragments.read(
                    token: token, key: key, run.command, behind: behind, limits: &run.limits,
                    into: run.output)
            } else {
                try reader.read(
                    token: token, key: key, run.command, behind: behind, rule: run.rule,
                    limits: &run.limits, into: run.output)
            }
        if outcome == .missing {
            run.output.truncate(to: written)
            run.limits = limits
        }
        return outcome
    }

    func add(_ node: PartitionNode, _ memtable: Memtable) throws(StorageError) {
        let source = nextMemtableSource()
        source.open(node, in: memtable)
        reader.sources.append(source)
        try fragments?.add(node, memtable, source)
        if !node.deletion.isNone { reader.deletion = reader.deletion.merged(with: node.deletion) }
        if let row = try source.staticRow() { reader.staticRows.append(row) }
    }

    func add(
        _ fragment: Fragment, _ sstable: SSTable, _ block: Int, _ place: Int, _ token: Int64
    ) {
        if usedSSTableSources == sstableSources.count { sstableSources.append(SSTableRowSource()) }
        let source = sstableSources[usedSSTableSources]
        usedSSTableSources += 1
        source.open(sstable, context, startBlock: block, startIndex: place, fragment, token: token)
        reader.sources.append(source)
        fragments?.add(fragment, sstable, source)
        if !fragment.deletion.isNone {
            reader.deletion = reader.deletion.merged(with: fragment.deletion)
        }
        if !fragment.staticRow.isEmpty { reader.staticRows.append(fragment.staticRow) }
    }

    private func nextMemtableSource() -> MemtableRowSource {
        if usedMemtableSources == memtableSources.count {
            memtableSources.append(MemtableRowSource())
        }
        usedMemtableSources += 1
        return memtableSources[usedMemtableSources - 1]
    }
}
