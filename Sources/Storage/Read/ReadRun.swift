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
    let command: ReadCommand
    let table: TableState
    var view: TableView
    let rule: PurgeRule
    var limits: PartitionReader.Limits
    /// Behind the last partition that is in the output.
    var position: ReadCommand.Position?
    var rounds = 0
    // Of a parked read.
    var tag: UInt64 = 0
    var output: ByteWriter
    private(set) var outputStart: Int
    var held: [BlockKey: Block] = [:]
    var outstanding = 0
    var failure: StorageError?

    init(
        _ command: ReadCommand, table: TableState, view: TableView, rule: PurgeRule,
        output: ByteWriter
    ) {
        self.command = command
        self.table = table
        self.view = view
        self.rule = rule
        self.output = output
        outputStart = ReadResultWriter.begin(into: output)
        limits = PartitionReader.Limits(
            rows: command.rowLimit, partitionRows: command.partitionRowLimit,
            endOfBytes: outputStart.addingReportingOverflow(command.byteLimit).overflow
                ? .max : outputStart + command.byteLimit)
        if case .range(let range) = command.scope { position = range.after }
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
    private let reader = PartitionReader()
    private var memtableSources: [MemtableRowSource] = []
    private var sstableSources: [SSTableRowSource] = []
    private var usedMemtableSources = 0
    private var usedSSTableSources = 0

    private let slice: ClosedRange<Int64>

    init(cache: BlockCache, slice: ClosedRange<Int64>) {
        context = ReadContext(cache: cache)
        self.slice = slice
    }

    /// One run: the answer is written, or `context.missing` says what is lacking.
    func run(_ run: ReadRun) throws(StorageError) -> Outcome {
        let command = run.command
        let isScan = if case .range = command.scope { true } else { false }
        context.begin(
            isScan: isScan, held: run.held,
            readAhead: run.rounds == 0 ? 0 : 1 << min(run.rounds, 6))
        let isExhausted: Bool
        switch command.scope {
        case .partition(let token, let key):
            let outcome = try key.withBytes { (key) throws(StorageError) in
                try readPartition(run, token: token, key: key, behind: nil)
            }
            if outcome == .missing { return .missing }
            isExhausted = outcome == .whole
        case .range(let range):
            guard let ended = try scan(run, range) else { return .missing }
            isExhausted = ended
        }
        ReadResultWriter.finish(
            start: run.outputStart, isExhausted: isExhausted, into: run.output)
        return .done
    }

    // MARK: One partition

    private func readPartition(
        _ run: ReadRun, token: Int64, key: UnsafeRawBufferPointer, behind: [UInt8]?
    ) throws(StorageError) -> PartitionReader.Outcome {
        reader.begin()
        usedMemtableSources = 0
        usedSSTableSources = 0
        for memtable in run.view.memtables {
            guard let node = memtable.find(token: token, key: key) else { continue }
            let source = nextMemtableSource()
            source.open(node, in: memtable)
            reader.sources.append(source)
            if !node.deletion.isNone { reader.deletion = reader.deletion.merged(with: node.deletion) }
            if let row = node.staticRow { reader.staticRows.append(row.row) }
        }
        var isMissing = false
        for sstable in run.view.sstables where sstable.metadata.mayContain(token) {
            if try !addSource(sstable, token, key, run) { isMissing = true }
        }
        if isMissing { return .missing }
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

    /// Adds what the SSTable has of the partition; false if a block is missing.
    private func addSource(
        _ sstable: SSTable, _ token: Int64, _ key: UnsafeRawBufferPointer, _ run: ReadRun
    ) throws(StorageError) -> Bool {
        for index in sstable.metadata.candidates(token) {
            // A block that begins inside a partition of this token goes on with it; the partition
            // itself begins before.
            guard let block = context.block(sstable, index) else { return false }
            guard let (place, fragment) = try block.find(token: token, key: key) else { continue }
            if usedSSTableSources == sstableSources.count {
                sstableSources.append(SSTableRowSource())
            }
            let source = sstableSources[usedSSTableSources]
            usedSSTableSources += 1
            source.open(
                sstable, context, startBlock: index, startIndex: place, fragment, token: token)
            reader.sources.append(source)
            if !fragment.deletion.isNone {
                reader.deletion = reader.deletion.merged(with: fragment.deletion)
            }
            if !fragment.staticRow.isEmpty { reader.staticRows.append(fragment.staticRow) }
            return true
        }
        return true
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
        if range.start == .max { return true }
        var from = range.start == .min ? Int64.min : range.start + 1
        if let position = run.position { from = max(from, position.token) }
        // A file may hold another shard's partitions besides.
        from = max(from, slice.lowerBound)
        let end = min(range.end, slice.upperBound)
        if from > end { return true }
        var memtables = run.view.memtables.map { $0.cursor(from: from) }
        var nodes: [PartitionNode?] = []
        for index in memtables.indices { nodes.append(memtables[index].next()) }
        var cursors: [SSTableKeyCursor] = []
        for sstable in run.view.sstables
        where sstable.metadata.statistics.maximumToken >= from
            && sstable.metadata.statistics.minimumToken <= end
        {
            cursors.append(SSTableKeyCursor(sstable, from: from))
        }
        var isMissing = false
        for cursor in cursors where try !cursor.load(context) { isMissing = true }
        if isMissing { return nil }
        while true {
            guard let (token, key) = try nextPartition(run, &memtables, &nodes, cursors) else {
                return context.missing.isEmpty ? true : nil
            }
            if token > end { return true }
            if run.limits.rows <= 0 || run.output.count >= run.limits.endOfBytes { return false }
            var behind: [UInt8]?
            if let position = run.position, position.token == token, compare(key, position.key) == 0 {
                behind = position.clustering
            }
            let outcome = try readPartition(run, token: token, key: key, behind: behind)
            if outcome == .missing { return nil }
            run.position = ReadCommand.Position(token: token, key: [UInt8](key), clustering: nil)
            if outcome == .limit { return false }
        }
    }

    /// The first partition of all sources behind the run's position; nil at the end of all, or if a
    /// block is missing.
    private func nextPartition(
        _ run: ReadRun, _ memtables: inout [PartitionDirectory.Cursor],
        _ nodes: inout [PartitionNode?], _ cursors: [SSTableKeyCursor]
    ) throws(StorageError) -> (token: Int64, key: UnsafeRawBufferPointer)? {
        var best: (token: Int64, key: UnsafeRawBufferPointer)?
        func consider(_ token: Int64, _ key: UnsafeRawBufferPointer) {
            if let best,
                best.token < token || best.token == token && compareBytes(best.key, key) <= 0
            {
                return
            }
            best = (token, key)
        }
        for index in nodes.indices {
            while let node = nodes[index], isPassed(node.token, node.key, run.position) {
                nodes[index] = memtables[index].next()
            }
            if let node = nodes[index] { consider(node.token, node.key) }
        }
        for cursor in cursors {
            while let head = cursor.head, isPassed(head.token, head.key, run.position) {
                guard try cursor.advance(context) else { return nil }
            }
            if let head = cursor.head { consider(head.token, head.key) }
        }
        return best
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
    private let sstable: SSTable
    private var blockIndex: Int
    private var fragmentIndex: Int?
    private let from: Int64
    private var block: Block?
    /// The current partition; nil at the end. Valid while the run lasts.
    private(set) var head: (token: Int64, key: UnsafeRawBufferPointer)?

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
        guard let block, let index = fragmentIndex, let head else { return true }
        if try block.fragment(index).flags.contains(.continues) {
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
                    head = (block.token(index), fragment.key)
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
