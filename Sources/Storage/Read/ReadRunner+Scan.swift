// A scan's run: the sources' partitions in the order of (token, key).
//
//     heads -> first (token, key), how many have it, the next token of all others
//         one file has it:          its single rows are appended up to that next token
//         several, a row each:      their versions are merged
//         anything else:            the partition is read like any other
//
// Tokens are hashes, so that a file's partitions come in runs between those of other files; inside such
// a run nothing is compared but the token with the run's end, and no reference is counted.
//
// Cost of a partition of one row that one file has: finding its bytes in the block, one walk over its
// cells, one copy. Each run costs one pass over the heads.

internal import Encoding
internal import Environment
internal import Model

extension ReadRunner {
    /// A scan asks for no more than this beyond what is missing, in all files together.
    private static var mostAheadBytes: Int { 256 << 10 }
    /// A scan for so few rows asks for nothing ahead.
    private static var fewRows: Int { 16 }

    /// Whether the scan came to its end; nil if blocks are missing.
    func scan(
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
            var head = MemtableHead(memtable, from: from)
            head.advance()
            while let node = head.node, isPassed(node.token, node.key, run.position) {
                head.advance()
            }
            memtables.append(head)
        }
        openCursors(run, from: from, end: end)
        defer { closeCursors() }
        for index in 0..<usedKeyCursors {
            let cursor = keyCursors[index]
            var isLoaded = try cursor.load(context)
            while isLoaded, !cursor.isAtEnd, isPassed(cursor.token, cursor.key, run.position) {
                isLoaded = try cursor.advance(context)
            }
        }
        if !context.missing.isEmpty { return nil }
        return try scan(run, end, &memtables)
    }

    private func openCursors(_ run: ReadRun, from: Int64, end: Int64) {
        usedKeyCursors = 0
        var total = 0
        for sstable in run.view.sstables { total += sstable.metadata.bytes }
        // What is wanted comes out of all files in the shares of their sizes.
        let wanted =
            run.limits.rows <= Self.fewRows
            ? 0 : min(run.limits.endOfBytes - run.output.count, Self.mostAheadBytes)
        for sstable in run.view.sstables
        where sstable.metadata.statistics.maximumToken >= from
            && sstable.metadata.statistics.minimumToken <= end
        {
            if usedKeyCursors == keyCursors.count { keyCursors.append(SSTableKeyCursor()) }
            let ahead = Int(
                Double(max(0, wanted)) * Double(sstable.metadata.bytes) / Double(max(1, total)))
            keyCursors[usedKeyCursors].open(sstable, from: from, aheadBytes: ahead)
            usedKeyCursors += 1
        }
    }

    private func closeCursors() {
        for index in 0..<usedKeyCursors { keyCursors[index].close() }
        usedKeyCursors = 0
    }

    /// The first partition of all heads.
    private struct Lead {
        /// The first source that has it; -1 if all are at their end.
        var source = -1
        var token = Int64.max
        var key = UnsafeRawBufferPointer(start: nil, count: 0)
        /// How many sources have it.
        var sharers = 0
        /// The smallest token of what the other sources have next.
        var next = Int64.max
    }

    @inline(__always)
    private func lead() -> Lead {
        var lead = Lead()
        let heads = heads.places
        for index in heads.indices where !heads[index].isAtEnd {
            let token = heads[index].token
            if lead.source >= 0 {
                if token > lead.token {
                    lead.next = min(lead.next, token)
                    continue
                }
                if token == lead.token {
                    let order = compareBytes(heads[index].key, lead.key)
                    if order == 0 {
                        lead.sharers += 1
                        continue
                    }
                    lead.next = token
                    if order > 0 { continue }
                } else {
                    lead.next = lead.token
                }
            }
            lead.source = index
            lead.token = token
            lead.key = heads[index].key
            lead.sharers = 1
        }
        return lead
    }

    private func scan(
        _ run: ReadRun, _ end: Int64, _ memtables: inout [MemtableHead]
    ) throws(StorageError) -> Bool? {
        let files = memtables.count
        heads.resize(to: files + usedKeyCursors)
        // Plain pointers and constants: nothing that the loop touches for each partition counts references.
        let heads = heads.places
        let output = run.output
        let context = context
        let cursors = keyCursors
        for index in memtables.indices { heads[index] = memtables[index].head }
        for index in 0..<usedKeyCursors { heads[files + index] = cursors[index].head }
        // A position inside a partition concerns only the first one.
        var resumed = run.position.flatMap { $0.clustering == nil ? nil : $0 }
        let isSimple =
            run.command.slices == nil && run.limits.partitionRows > 0 && fragments == nil
        var finished: Int64?
        while true {
            let lead = lead()
            guard lead.source >= 0, lead.token <= end else { return true }
            if run.limits.rows <= 0 || output.count >= run.limits.endOfBytes { return false }
            if isSimple, resumed == nil {
                if lead.sharers == 1, lead.source >= files, lead.next > lead.token {
                    if heads[lead.source].isSingle {
                        let cursor = cursors[lead.source - files]
                        let last = min(end, lead.next - 1)
                        let isLoaded = try appendSingles(
                            run, cursor, through: last, &finished, output, context)
                        heads[lead.source] = cursor.head
                        if !isLoaded { return pause(run, finished) }
                        continue
                    }
                } else if try mergeSingles(run, lead.token, lead.key, output) {
                    finished = lead.token
                    try noteTombstones(run)
                    if try !advance(lead.token, lead.key, &memtables) {
                        return pause(run, finished)
                    }
                    continue
                }
            }
            let isResumed =
                resumed.map { $0.token == lead.token && compare(lead.key, $0.key) == 0 } ?? false
            let outcome = try readHeads(
                run, lead.token, lead.key, memtables,
                behind: isResumed ? resumed?.clustering : nil)
            if outcome == .missing { return pause(run, finished) }
            if outcome == .limit { return false }
            resumed = nil
            finished = lead.token
            try noteTombstones(run)
            if try !advance(lead.token, lead.key, &memtables) { return pause(run, finished) }
        }
    }

    /// Appends the cursor's partitions of one row each up to the token `last`, or to a limit, or to one
    /// of another shape; false if a block is missing.
    private func appendSingles(
        _ run: ReadRun, _ cursor: SSTableKeyCursor, through last: Int64, _ finished: inout Int64?,
        _ output: ByteWriter, _ context: ReadContext
    ) throws(StorageError) -> Bool {
        var limits = run.limits
        // Until the run ends its blocks stay where they are, whichever the cursor stands in.
        var passed: (token: Int64, key: UnsafeRawBufferPointer)?
        defer {
            run.limits = limits
            if let passed {
                finished = passed.token
                lastKey.removeAll()
                lastKey.append(passed.key)
            }
        }
        if cursor.isPlain, run.rule.dropped.isEmpty {
            return try cursor.appendPlain(
                through: last, limits: &limits, into: output, passed: &passed, context)
        }
        let rule = run.rule
        while !cursor.isAtEnd, cursor.isSingle, cursor.token <= last, limits.rows > 0,
            output.count < limits.endOfBytes
        {
            do throws(MalformedBytes) {
                try reader.readSingleRow(
                    token: cursor.token, key: cursor.key, rowKey: cursor.rowKey, row: cursor.row,
                    rule: rule, limits: &limits, into: output)
            } catch {
                throw .malformed(error)
            }
            passed = (cursor.token, cursor.key)
            try noteTombstones(run)
            if run.limits.endOfBytes == 0 { limits.endOfBytes = 0 }
            if try !cursor.advance(context) { return false }
        }
        return true
    }

    /// A partition was finished: the deletions passed so far are the run's.
    @inline(__always)
    private func noteTombstones(_ run: ReadRun) throws(StorageError) {
        run.tombstones = reader.tombstones
        run.deadRows = reader.deadRows
        if reader.tombstones >= run.limits.tombstones { run.limits.endOfBytes = 0 }
        if reader.tombstones > reader.tombstoneLimit {
            throw .tooManyTombstones(reader.tombstones)
        }
    }

    /// Appends the partition of the heads at that key if each of them has one row of it, the same, and
    /// nothing else; false, with nothing appended, if not.
    private func mergeSingles(
        _ run: ReadRun, _ token: Int64, _ key: UnsafeRawBufferPointer, _ output: ByteWriter
    ) throws(StorageError) -> Bool {
        versions.removeAll(keepingCapacity: true)
        var rowKey = UnsafeRawBufferPointer(start: nil, count: 0)
        let heads = heads.places
        for index in heads.indices where heads[index].isAt(token, key) {
            guard heads[index].isSingle else { return false }
            if versions.isEmpty {
                rowKey = heads[index].rowKey
            } else if !equalBytes(rowKey, heads[index].rowKey) {
                return false
            }
            versions.append(heads[index].row)
        }
        do throws(MalformedBytes) {
            try reader.readSingleRow(
                token: token, key: key, rowKey: rowKey, versions: versions, rule: run.rule,
                limits: &run.limits, into: output)
        } catch {
            throw .malformed(error)
        }
        return true
    }

    /// Moves all heads that stand at that partition; false if a block is missing.
    private func advance(
        _ token: Int64, _ key: UnsafeRawBufferPointer, _ memtables: inout [MemtableHead]
    ) throws(StorageError) -> Bool {
        // The key may lie in a block that goes away.
        lastKey.removeAll()
        lastKey.append(key)
        let heads = heads.places
        for index in heads.indices where heads[index].isAt(token, lastKey.bytes) {
            if index < memtables.count {
                memtables[index].advance()
                heads[index] = memtables[index].head
            } else {
                let cursor = keyCursors[index - memtables.count]
                _ = try cursor.advance(context)
                heads[index] = cursor.head
            }
        }
        return context.missing.isEmpty
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
        behind: [UInt8]?
    ) throws(StorageError) -> PartitionReader.Outcome {
        beginPartition()
        let heads = heads.places
        for index in heads.indices where heads[index].isAt(token, key) {
            if index < memtables.count {
                if let node = memtables[index].node { try add(node, memtables[index].memtable) }
                continue
            }
            let cursor = keyCursors[index - memtables.count]
            guard let sstable = cursor.sstable else { continue }
            add(try cursor.fragment(), sstable, cursor.blockIndex, cursor.place, token)
        }
        return try finishPartition(run, token: token, key: key, behind: behind)
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
