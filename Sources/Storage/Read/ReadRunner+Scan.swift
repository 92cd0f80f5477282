// A scan's run: the sources' partitions in the order of (token, key).
//
//     heads -> first (token, key), how many have it, the next token of all others
//         one file has it:          its single rows are appended up to that next token
//         several, a row each:      their versions are merged
//         anything else:            the partition is read like any other
//
// Tokens are hashes, so that a file's partitions come in runs between those of other files; inside such
// a run nothing is compared but the token with the run's end. Where all that is next is single rows of plain
// files the merge goes over heads alone, and counts no reference.
//
// Cost of a partition of one row of a plain file: finding its bytes in the block, and mostly one copy. Each
// run costs one pass over the heads; a partition that several files have, also one over the versions' cells.

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
        heads.resize(to: memtables.count + usedKeyCursors)
        for index in memtables.indices { heads.places[index] = memtables[index].head }
        for index in 0..<usedKeyCursors {
            let cursor = keyCursors[index]
            var head = ScanHead()
            var isLoaded = try cursor.load(&head, context)
            while isLoaded, !head.isAtEnd, isPassed(head.token, head.key, run.position) {
                isLoaded = try cursor.advance(&head, context)
            }
            heads.places[memtables.count + index] = head
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
    private static func lead(_ heads: UnsafeMutableBufferPointer<ScanHead>) -> Lead {
        var lead = Lead()
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
        // Plain pointers and constants: nothing that the loop touches for each partition counts references.
        let heads = heads.places
        let output = run.output
        let context = context
        let cursors = keyCursors
        // A position inside a partition concerns only the first one.
        var resumed = run.position.flatMap { $0.clustering == nil ? nil : $0 }
        let isSimple =
            run.command.slices == nil && run.limits.partitionRows > 0 && fragments == nil
        let mayBePlain = isSimple && run.rule.dropped.isEmpty
        // Until the run ends blocks and memtables stay where they are, whichever the heads stand in.
        var finished: Finished?
        while true {
            if mayBePlain, resumed == nil {
                var limits = run.limits
                Self.mergePlain(heads, end, &limits, output, &finished)
                run.limits = limits
                var isLoaded = true
                for index in files..<heads.count where heads[index].isPending {
                    if try !cursors[index - files].goOn(&heads[index], context) { isLoaded = false }
                }
                if !isLoaded { return pause(run, finished) }
            }
            let lead = Self.lead(heads)
            guard lead.source >= 0, lead.token <= end else { return true }
            if run.limits.rows <= 0 || output.count >= run.limits.endOfBytes { return false }
            if mayBePlain, resumed == nil, Self.isPlain(heads, lead) { continue }
            if isSimple, resumed == nil {
                if lead.sharers == 1, lead.source >= files, lead.next > lead.token,
                    heads[lead.source].isSingle
                {
                    let isLoaded = try appendSingles(
                        run, cursors[lead.source - files], &heads[lead.source],
                        through: min(end, lead.next - 1), &finished, output, context)
                    if !isLoaded { return pause(run, finished) }
                    continue
                } else if try mergeSingles(run, lead.token, lead.key, output) {
                    finished = Finished(token: lead.token, key: lead.key)
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
            finished = Finished(token: lead.token, key: lead.key)
            try noteTombstones(run)
            if try !advance(lead.token, lead.key, &memtables) { return pause(run, finished) }
        }
    }

    /// The last partition that was finished.
    private struct Finished {
        var token: Int64
        var key: UnsafeRawBufferPointer
    }

    /// Whether the next partition is a single row of plain files, in all that have it the same.
    private static func isPlain(
        _ heads: UnsafeMutableBufferPointer<ScanHead>, _ lead: Lead
    ) -> Bool {
        let first = heads[lead.source]
        if lead.sharers == 1 { return first.isPlain && first.isSingle }
        return newest(heads, lead) != nil
    }

    /// Which of the heads at a partition that several have has all that counts; nil if it takes a merge.
    @inline(__always)
    private static func newest(
        _ heads: UnsafeMutableBufferPointer<ScanHead>, _ lead: Lead
    ) -> Int? {
        var newest = lead.source
        for index in heads.indices where heads[index].isAt(lead.token, lead.key) {
            guard heads[index].isPlain, heads[index].isSingle,
                equalBytes(heads[index].rowKey, heads[newest].rowKey)
            else { return nil }
            if index == lead.source { continue }
            do throws(MalformedBytes) {
                guard
                    let isNewer = try RowMerge.isNewer(
                        heads[index].row, than: heads[newest].row)
                else { return nil }
                if isNewer { newest = index }
            } catch {
                return nil
            }
        }
        return newest
    }

    /// Appends partitions of single rows of plain files as far as the heads know them by themselves: up to one
    /// of another shape, to a limit, or until some head is pending. `finished` is the last one.
    private static func mergePlain(
        _ heads: UnsafeMutableBufferPointer<ScanHead>, _ end: Int64,
        _ limits: inout PartitionReader.Limits, _ output: ByteWriter, _ finished: inout Finished?
    ) {
        while limits.rows > 0, output.count < limits.endOfBytes {
            let lead = lead(heads)
            guard lead.source >= 0, lead.token <= end else { return }
            let first = lead.source
            if lead.sharers > 1 {
                guard let newest = newest(heads, lead) else { return }
                heads[newest].append(into: output)
                limits.rows -= 1
                finished = Finished(token: lead.token, key: lead.key)
                var isPending = false
                for index in heads.indices where heads[index].isAt(lead.token, lead.key) {
                    heads[index].advance()
                    isPending = isPending || heads[index].isPending
                }
                if isPending { return }
                continue
            }
            guard heads[first].isPlain, heads[first].isSingle else { return }
            // Another key of the same token may be the next.
            let last = lead.next > lead.token ? min(end, lead.next - 1) : lead.token
            repeat {
                heads[first].append(into: output)
                limits.rows -= 1
                finished = Finished(token: heads[first].token, key: heads[first].key)
                heads[first].advance()
                if heads[first].isPending { return }
            } while heads[first].token <= last && lead.next > lead.token && limits.rows > 0
                && output.count < limits.endOfBytes
        }
    }

    /// Appends the head's partitions of one row each up to the token `last`, or to a limit, or to one
    /// of another shape; false if a block is missing.
    private func appendSingles(
        _ run: ReadRun, _ cursor: SSTableKeyCursor, _ head: inout ScanHead, through last: Int64,
        _ finished: inout Finished?, _ output: ByteWriter, _ context: ReadContext
    ) throws(StorageError) -> Bool {
        var limits = run.limits
        defer { run.limits = limits }
        let rule = run.rule
        while !head.isAtEnd, head.isSingle, head.token <= last, limits.rows > 0,
            output.count < limits.endOfBytes
        {
            do throws(MalformedBytes) {
                try reader.readSingleRow(
                    token: head.token, key: head.key, rowKey: head.rowKey, row: head.row,
                    rule: rule, limits: &limits, into: output)
            } catch {
                throw .malformed(error)
            }
            finished = Finished(token: head.token, key: head.key)
            try noteTombstones(run)
            if run.limits.endOfBytes == 0 { limits.endOfBytes = 0 }
            if try !cursor.advance(&head, context) { return false }
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
        let heads = heads.places
        for index in heads.indices where heads[index].isAt(token, key) {
            if index < memtables.count {
                memtables[index].advance()
                heads[index] = memtables[index].head
            } else {
                _ = try keyCursors[index - memtables.count].advance(&heads[index], context)
            }
        }
        return context.missing.isEmpty
    }

    /// A block is missing: the next run goes on behind the last partition that was finished.
    private func pause(_ run: ReadRun, _ finished: Finished?) -> Bool? {
        if let finished {
            run.position = ReadCommand.Position(
                token: finished.token, key: [UInt8](finished.key), clustering: nil)
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
            add(
                try cursor.fragment(heads[index]), sstable, cursor.blockIndex, heads[index].place,
                token)
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
