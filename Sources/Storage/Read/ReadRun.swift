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
    @exclusivity(unchecked) var limits: PartitionReader.Limits
    /// Behind the last partition that is in the output.
    var position: ReadCommand.Position?
    var rounds = 0
    /// Deletions passed in the partitions that are finished.
    var tombstones = 0
    // Of a parked read.
    var tag: UInt64 = 0
    @exclusivity(unchecked) var output: ByteWriter
    private(set) var outputStart: Int
    var held: [BlockKey: Block] = [:]
    var outstanding = 0
    var failure: StorageError?

    init(_ command: ReadCommand, view: TableView, rule: PurgeRule, output: ByteWriter) {
        self.command = command
        self.view = view
        self.rule = rule
        self.output = output
        outputStart = 0
        limits = PartitionReader.Limits(rows: 0, partitionRows: 0, endOfBytes: 0)
        begin(command, view: view, rule: rule, output: output)
    }

    /// Becomes another read: runs that never parked are used again.
    func begin(_ command: ReadCommand, view: TableView, rule: PurgeRule, output: ByteWriter) {
        self.command = command
        self.view = view
        self.rule = rule
        self.output = output
        tombstones = 0
        outputStart = ReadResultWriter.begin(into: output)
        limits = PartitionReader.Limits(
            rows: command.rowLimit, partitionRows: command.partitionRowLimit,
            endOfBytes: outputStart.addingReportingOverflow(command.byteLimit).overflow
                ? .max : outputStart + command.byteLimit)
        if case .range(let range) = command.scope { position = range.after } else { position = nil }
    }

    /// Goes on under that tag, with what was written so far in a buffer of its own.
    func park(tag: UInt64, output: ByteWriter) {
        self.tag = tag
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
    private let reader = PartitionReader()
    private var memtableSources: [MemtableRowSource] = []
    private var sstableSources: [SSTableRowSource] = []
    private var usedMemtableSources = 0
    private var usedSSTableSources = 0

    /// The key of the last partition that a scan has finished.
    private let lastKey = ByteWriter(capacity: 64)
    private let slice: ClosedRange<Int64>

    /// A read that passes more deletions than these is given up.
    var tombstoneLimit: Int {
        get { reader.tombstoneLimit }
        set { reader.tombstoneLimit = newValue }
    }

    init(cache: BlockCache, slice: ClosedRange<Int64>) {
        context = ReadContext(cache: cache)
        self.slice = slice
    }

    /// One run: the answer is written, or `context.missing` says what is lacking.
    func run(_ run: ReadRun) throws(StorageError) -> Outcome {
        let command = run.command
        reader.tombstones = run.tombstones
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
        figures = ReadFigures(
            rows: command.rowLimit - run.limits.rows, tombstones: reader.tombstones)
        return .done
    }

    // MARK: One partition

    private func beginPartition() {
        reader.begin()
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
        let mayBeSimple = run.command.slices == nil
        var lone = LoneSource()
        for memtable in view.memtables {
            guard let node = memtable.find(token: token, key: key) else { continue }
            if mayBeSimple, lone.memtable == nil, reader.sources.isEmpty {
                lone.memtable = (memtable, node)
            } else {
                settle(&lone, token)
                add(node, memtable)
            }
        }
        if !view.sstables.isEmpty, try readFiles(run, token, key, mayBeSimple, &lone) {
            return .missing
        }
        if let (_, node) = lone.memtable, try readSimply(run, node) { return .whole }
        if let file = lone.file, try readSimply(run, token, key, file.fragment) { return .whole }
        settle(&lone, token)
        return try finishPartition(run, token: token, key: key, behind: nil)
    }

    /// The lone source becomes one of several.
    private func settle(_ lone: inout LoneSource, _ token: Int64) {
        if let (memtable, node) = lone.memtable { add(node, memtable) }
        if let file = lone.file { add(file.fragment, file.sstable, file.block, file.place, token) }
        lone = LoneSource()
    }

    /// Finds the partition in the files, newest first; whether blocks are missing.
    private func readFiles(
        _ run: ReadRun, _ token: Int64, _ key: UnsafeRawBufferPointer, _ mayBeSimple: Bool,
        _ lone: inout LoneSource
    ) throws(StorageError) -> Bool {
        let reading = run.view.reading
        var isMissing = false
        var oldestMissing = Int64.max
        for sstable in run.view.sstables {
            let metadata = sstable.metadata
            guard metadata.spans(token) else {
                reading?.counters.skippedByTokens += 1
                continue
            }
            guard metadata.filter.mayContain(token) else {
                reading?.counters.skippedByFilter += 1
                continue
            }
            guard metadata.mayOverlap(run.command.slices) else {
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
                if try isSuperfluous(metadata.statistics, run.command, reading, lone) {
                    reading.counters.skippedByTimestamp += 1
                    continue
                }
                reading.counters.filesRead += 1
            }
            var isFound = false
            for index in metadata.candidates(token) {
                guard let block = context.block(sstable, index) else {
                    isMissing = true
                    isFound = true
                    oldestMissing = min(oldestMissing, metadata.statistics.minimumTimestamp)
                    break
                }
                guard let (place, fragment) = try block.find(token: token, key: key) else {
                    continue
                }
                isFound = true
                if mayBeSimple, lone.memtable == nil, lone.file == nil, reader.sources.isEmpty {
                    lone.file = (sstable, index, place, fragment)
                } else {
                    settle(&lone, token)
                    add(fragment, sstable, index, place, token)
                }
                break
            }
            if !isFound { reading?.counters.falsePositives += 1 }
        }
        return isMissing
    }

    // MARK: Leaving out files by timestamp

    private var bound = RowBound()

    /// The bounds of the only row that the command can show of a partition; nil if it may show several.
    private func singleRow(
        _ command: ReadCommand, _ reading: TableReading
    ) -> (lower: [UInt8], upper: [UInt8])? {
        guard let slices = command.slices else { return reading.hasSingleRows ? ([], [0]) : nil }
        guard slices.count == 1, let slice = slices.first,
            slice.upper.count == slice.lower.count + 1, slice.upper.last == 0,
            slice.upper.starts(with: slice.lower)
        else { return nil }
        return (slice.lower, slice.upper)
    }

    /// Whether nothing in a file can change what is known of the partition, or of the one row that is
    /// read, from the sources found so far.
    private func isSuperfluous(
        _ statistics: SSTableStatistics, _ command: ReadCommand, _ reading: TableReading,
        _ lone: LoneSource
    ) throws(StorageError) -> Bool {
        let isLone = lone.memtable != nil || lone.file != nil
        guard isLone || !reader.sources.isEmpty, !statistics.hasOriginalKeys,
            !statistics.hasCounters
        else { return false }
        var deletion = reader.deletion.timestamp
        if let (_, node) = lone.memtable { deletion = node.deletion.timestamp }
        if let file = lone.file { deletion = file.fragment.deletion.timestamp }
        if deletion > statistics.maximumTimestamp { return true }
        guard let row = singleRow(command, reading) else { return false }
        bound.begin(needed: reading.columns)
        do throws(MalformedBytes) {
            if let (_, node) = lone.memtable {
                guard node.rowCount == 1, let rows = node.rows else { return false }
                try bound.add(try RowView(RowRecord(rows).row), needed: reading.columns)
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
        return bound.makesSuperfluous(statistics)
    }

    /// Answers a partition of one row without anything around it; false if it is not so simple.
    @inline(__always)
    private func readSimply(_ run: ReadRun, _ node: PartitionNode) throws(StorageError) -> Bool {
        guard run.command.slices == nil, node.rowCount == 1, node.isPlain, let rows = node.rows,
            run.limits.rows > 0, run.limits.partitionRows > 0
        else { return false }
        let record = RowRecord(rows)
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

    private func finishPartition(
        _ run: ReadRun, token: Int64, key: UnsafeRawBufferPointer, behind: [UInt8]?
    ) throws(StorageError) -> PartitionReader.Outcome {
        if reader.sources.isEmpty { return .whole }
        let written = run.output.count
        let limits = run.limits
        let outcome = try reader.read(
            token: token, key: key, run.command, behind: behind, rule: run.rule,
            limits: &run.limits, into: run.output)
        if outcome == .missing {
            run.output.truncate(to: written)
            run.limits = limits
        }
        return outcome
    }

    private func add(_ node: PartitionNode, _ memtable: Memtable) {
        let source = nextMemtableSource()
        source.open(node, in: memtable)
        reader.sources.append(source)
        if !node.deletion.isNone { reader.deletion = reader.deletion.merged(with: node.deletion) }
        if let row = node.staticRow { reader.staticRows.append(row.row) }
    }

    private func add(
        _ fragment: Fragment, _ sstable: SSTable, _ block: Int, _ place: Int, _ token: Int64
    ) {
        if usedSSTableSources == sstableSources.count { sstableSources.append(SSTableRowSource()) }
        let source = sstableSources[usedSSTableSources]
        usedSSTableSources += 1
        source.open(sstable, context, startBlock: block, startIndex: place, fragment, token: token)
        reader.sources.append(source)
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

    // MARK: Scans

    /// Whether the scan came to its end; nil if blocks are missing.
    private func scan(
        _ run: ReadRun, _ range: ReadCommand.TokenScope
    ) throws(StorageError) -> Bool? {
        if run.rounds == 0 { run.view.reading?.counters.scans += 1 }
        if range.start == .max { return true }
        var from = range.start == .min ? Int64.min : range.start + 1
        if let position = run.position { from = max(from, position.token) }
        // A file may hold another shard's partitions besides.
        from = max(from, slice.lowerBound)
        let end = min(range.end, slice.upperBound)
        if from > end { return true }
        var memtables: [MemtableHead] = []
        for memtable in run.view.memtables where !memtable.isEmpty {
            var head = MemtableHead(memtable: memtable, cursor: memtable.cursor(from: from))
            head.advance()
            while let node = head.node, isPassed(node.token, node.key, run.position) {
                head.advance()
            }
            memtables.append(head)
        }
        var cursors: [SSTableKeyCursor] = []
        for sstable in run.view.sstables
        where sstable.metadata.statistics.maximumToken >= from
            && sstable.metadata.statistics.minimumToken <= end
        {
            cursors.append(SSTableKeyCursor(sstable, from: from))
        }
        for cursor in cursors {
            var isLoaded = try cursor.load(context)
            while isLoaded, let head = cursor.head, isPassed(head.token, head.key, run.position) {
                isLoaded = try cursor.advance(context)
            }
        }
        if !context.missing.isEmpty { return nil }
        return try scan(run, end, &memtables, cursors)
    }

    /// A memtable's next partition in a scan.
    private struct MemtableHead {
        let memtable: Memtable
        var cursor: PartitionDirectory.Cursor
        var node: PartitionNode?

        mutating func advance() { node = cursor.next() }

        @inline(__always)
        func isAt(_ token: Int64, _ key: UnsafeRawBufferPointer) -> Bool {
            guard let node else { return false }
            return node.token == token && equalBytes(node.key, key)
        }
    }

    private func scan(
        _ run: ReadRun, _ end: Int64, _ memtables: inout [MemtableHead],
        _ cursors: [SSTableKeyCursor]
    ) throws(StorageError) -> Bool? {
        // A position inside a partition concerns only the first one.
        var resumed = run.position.flatMap { $0.clustering == nil ? nil : $0 }
        var token: Int64 = 0
        var finished: Int64?
        while true {
            var best: UnsafeRawBufferPointer?
            for head in memtables {
                guard let node = head.node else { continue }
                if let current = best, !precedes(node.token, node.key, token, current) { continue }
                token = node.token
                best = node.key
            }
            for cursor in cursors {
                guard let head = cursor.head else { continue }
                if let current = best, !precedes(head.token, head.key, token, current) { continue }
                token = head.token
                best = head.key
            }
            guard let key = best, token <= end else { return true }
            if run.limits.rows <= 0 || run.output.count >= run.limits.endOfBytes { return false }
            let isResumed =
                resumed.map { $0.token == token && compare(key, $0.key) == 0 } ?? false
            let outcome = try readHeads(
                run, token, key, memtables, cursors, behind: isResumed ? resumed?.clustering : nil)
            if outcome == .missing { return pause(run, finished) }
            if outcome == .limit { return false }
            resumed = nil
            finished = token
            run.tombstones = reader.tombstones
            if reader.tombstones > reader.tombstoneLimit {
                throw .tooManyTombstones(reader.tombstones)
            }
            lastKey.removeAll()
            lastKey.append(key)
            for index in memtables.indices where memtables[index].isAt(token, lastKey.bytes) {
                memtables[index].advance()
            }
            for cursor in cursors where cursor.isAt(token, lastKey.bytes) {
                _ = try cursor.advance(context)
            }
            if !context.missing.isEmpty { return pause(run, finished) }
        }
    }

    /// A block is missing: the next run goes on behind the last partition that was finished.
    private func pause(_ run: ReadRun, _ finished: Int64?) -> Bool? {
        if let finished {
            run.position = ReadCommand.Position(
                token: finished, key: lastKey.array, clustering: nil)
        }
        return nil
    }

    /// Reads the partition that stands at the heads.
    private func readHeads(
        _ run: ReadRun, _ token: Int64, _ key: UnsafeRawBufferPointer, _ memtables: [MemtableHead],
        _ cursors: [SSTableKeyCursor], behind: [UInt8]?
    ) throws(StorageError) -> PartitionReader.Outcome {
        var count = 0
        var node: PartitionNode?
        var fragment: Fragment?
        for head in memtables where head.isAt(token, key) {
            count += 1
            node = head.node
        }
        for cursor in cursors where cursor.isAt(token, key) {
            count += 1
            fragment = cursor.head?.fragment
        }
        if count == 1, behind == nil {
            if let node, try readSimply(run, node) { return .whole }
            if let fragment, try readSimply(run, token, key, fragment) { return .whole }
        }
        beginPartition()
        for head in memtables where head.isAt(token, key) {
            if let node = head.node { add(node, head.memtable) }
        }
        for cursor in cursors where cursor.isAt(token, key) {
            guard let head = cursor.head else { continue }
            add(head.fragment, cursor.sstable, cursor.blockIndex, head.place, token)
        }
        return try finishPartition(run, token: token, key: key, behind: behind)
    }

    @inline(__always)
    private func precedes(
        _ token: Int64, _ key: UnsafeRawBufferPointer, _ otherToken: Int64,
        _ otherKey: UnsafeRawBufferPointer
    ) -> Bool {
        token == otherToken ? compareBytes(key, otherKey) < 0 : token < otherToken
    }

    /// Whether a scan at `position` has the partition wholly behind it.
    private func isPassed(
        _ token: Int64, _ key: UnsafeRawBufferPointer, _ position: ReadCommand.Position?
    ) -> Bool {
        guard let position else { return false }
        if token != position.token { return token < position.token }
        let order = compare(key, position.key)
        return order == 0 ? position.clustering == nil : order < 0
    }
}

/// Walks over the partitions' keys of an SSTable in a scan.
final class SSTableKeyCursor {
    let sstable: SSTable
    @exclusivity(unchecked) private(set) var blockIndex: Int
    @exclusivity(unchecked) private var fragmentIndex: Int?
    private let from: Int64
    @exclusivity(unchecked) private var block: Block?
    /// The current partition; nil at the end. Valid while the run lasts.
    @exclusivity(unchecked) private(set) var head: Head?

    /// A partition's first fragment, and its place in its block.
    struct Head {
        let token: Int64
        let fragment: Fragment
        let place: Int
        var key: UnsafeRawBufferPointer { fragment.key }
    }

    @inline(__always)
    func isAt(_ token: Int64, _ key: UnsafeRawBufferPointer) -> Bool {
        guard let head else { return false }
        return head.token == token && equalBytes(head.key, key)
    }

    init(_ sstable: SSTable, from: Int64) {
        self.sstable = sstable
        self.from = from
        blockIndex = sstable.metadata.firstBlock(endingAtOrAfter: from)
    }

    /// Goes to the first partition; false if a block is missing.
    func load(_ context: ReadContext) throws(StorageError) -> Bool {
        try settle(context)
    }

    /// Goes to the next partition; false if a block is missing.
    func advance(_ context: ReadContext) throws(StorageError) -> Bool {
        guard let index = fragmentIndex, let head else { return true }
        if head.fragment.flags.contains(.continues) {
            // The next partition begins in the last block of this one, or behind it.
            let last = sstable.metadata.lastBlock(ofPartitionFrom: blockIndex, token: head.token)
            blockIndex = max(last, blockIndex + 1)
            fragmentIndex = nil
        } else {
            fragmentIndex = index + 1
        }
        return try settle(context)
    }

    private func settle(_ context: ReadContext) throws(StorageError) -> Bool {
        head = nil
        while blockIndex < sstable.metadata.blocks.count {
            guard let block = context.block(sstable, blockIndex) else {
                for ahead in 0..<context.readAhead {
                    let index = blockIndex + 1 + ahead
                    if index < sstable.metadata.blocks.count { context.expect(sstable, index) }
                }
                return false
            }
            self.block = block
            var index = fragmentIndex ?? block.lowerBound(from)
            while index < block.count {
                let fragment = try block.fragment(index)
                if !fragment.flags.contains(.continued) {
                    fragmentIndex = index
                    head = Head(token: block.token(index), fragment: fragment, place: index)
                    return true
                }
                index += 1
            }
            blockIndex += 1
            fragmentIndex = nil
        }
        return true
    }
}
