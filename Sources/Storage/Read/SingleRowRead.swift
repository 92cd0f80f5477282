// The short way of a point read, where all that is known of the row is plain versions of it, in memtables and
// blocks that are in memory. That is what nearly all reads of a table without clustering columns meet, whose
// partitions are one row each, and of one row among others those that find its partition in memtables alone, or in
// files that have no other row of it.
//
//     memtables' places, filters' lines: asked for together
//         -> versions, wherever they lie -> one: copied as it lies; several: merged
//
// No run is begun, no command kept and no object's references are counted, except of files that have the
// partition. Whatever is not so simple (several missing blocks, a static row or a deletion around the row, damage)
// is left to the general way, which begins anew; a table counts only the way that answers, the cache both.
//
// Cost: one lookup for each memtable; for each file a comparison of tokens and a filter probe, and where
// it passes a walk over what is known of the row already, and two searches by interpolation.

package import Encoding
package import Environment
package import Model

/// How the short way of reading ended.
package enum SimpleRead {
    /// The answer was written.
    case done
    /// One block is missing: whoever reads it, and gives it to `StorageEngine.take`, may ask again. Another
    /// one may be missing then, of older data that the first may make needless.
    case missing(WantedBlock)
    /// It is not so simple.
    case notSimple
}

/// A block that is not in memory.
package struct WantedBlock {
    let sstable: SSTable
    let index: Int

    private var entry: BlockEntry { sstable.metadata.blocks[index] }
    package var file: FileName { sstable.metadata.file }
    package var offset: Int { entry.offset }
    package var count: Int { entry.length }
    /// The file's, as it was when it was opened; the block lies inside.
    package var fileBytes: Int { sstable.metadata.bytes }
}

extension StorageEngine {
    /// Answers a read of a whole partition, or of its row of that clustering key, if that is simple: the bytes of
    /// a `ReadResultView` were appended. Else nothing was, and `read` says what there is to say.
    package func readSimply(
        _ id: TableID, token: Int64, key: UnsafeRawBufferPointer,
        row: UnsafeRawBufferPointer? = nil, nowInSeconds: Int64, at pinned: PinnedView? = nil,
        into writer: ByteWriter
    ) -> SimpleRead {
        // All that there is of a partition is one row where no row is named.
        guard let table = table(id), table.reading.hasSingleRows == (row == nil) else {
            return .notSimple
        }
        precondition(pinned == nil || pinned?.table == id)
        let rule = table.purgeRule(nowInSeconds: nowInSeconds)
        if let pinned {
            return runner.readSimply(
                pinned.view, token: token, key: key, row: row, rule, into: writer)
        }
        return runner.readSimply(table.view, token: token, key: key, row: row, rule, into: writer)
    }

    /// The same for a command.
    package func readSimply(
        _ command: ReadCommand, at pinned: PinnedView? = nil, into writer: ByteWriter
    ) -> SimpleRead {
        guard case .partition(let token, let key) = command.scope, command.rowLimit > 0,
            command.partitionRowLimit > 0, !command.showsFragments
        else { return .notSimple }
        return key.withBytes { key in
            guard command.slices != nil else {
                return readSimply(
                    command.table, token: token, key: key, nowInSeconds: command.nowInSeconds,
                    at: pinned, into: writer)
            }
            guard let row = command.onlyRow else { return .notSimple }
            return row.withBytes { row in
                readSimply(
                    command.table, token: token, key: key, row: row,
                    nowInSeconds: command.nowInSeconds, at: pinned, into: writer)
            }
        }
    }

    /// Takes in a block that was read at once, by the thread that steps the engine. It is in the cache
    /// then, unless that is too small.
    package func take(
        _ bytes: UnsafeRawBufferPointer, of wanted: WantedBlock
    ) throws(StorageError) {
        let metadata = wanted.sstable.metadata
        do throws(StorageError) {
            let block = try decode(bytes, wanted.index, metadata)
            cache.insert(block, wanted.sstable, wanted.index)
        } catch {
            note(error)
            throw error
        }
    }
}

extension ReadRunner {
    /// What the short way has seen, for the table's counters.
    private struct Seen {
        var skippedByTokens = 0
        var skippedByFilter = 0
        var skippedByTimestamp = 0
        var filesRead = 0
        var falsePositives = 0
        /// No version comes from where something is deleted or expires.
        var isPlain = true
        /// How many of the versions are in the bound of what older files could add.
        var bounded = 0
    }

    func readSimply(
        _ view: TableView, token: Int64, key: UnsafeRawBufferPointer,
        row wantedRow: UnsafeRawBufferPointer?, _ rule: PurgeRule, into output: ByteWriter
    ) -> SimpleRead {
        let probes = view.probes.list
        let hash = BloomFilter.hash(token)
        for index in view.memtables.indices { view.memtables[index].prefetchSlot(token) }
        for probe in probes where probe.spans(token) { probe.filter.prefetch(hash) }
        // One at most, mostly: cheaper than `removeAll(keepingCapacity:)`.
        while versions.popLast() != nil {}
        var seen = Seen()
        var rowKey = UnsafeRawBufferPointer(start: nil, count: 0)
        for index in view.memtables.indices {
            guard let node = view.memtables[index].find(token: token, key: key) else { continue }
            if let wantedRow {
                switch node.find(wantedRow) {
                case .absent: continue
                case .notPlain: return .notSimple
                case .plain(let record): _ = takeVersion(record.key, record.row, &rowKey)
                }
            } else {
                guard let record = node.plainRecord, takeVersion(record.key, record.row, &rowKey)
                else { return .notSimple }
            }
            if !view.memtables[index].isPlain { seen.isPlain = false }
        }
        var wanted: WantedBlock?
        for index in probes.indices {
            guard probes[index].spans(token) else {
                seen.skippedByTokens += 1
                continue
            }
            guard probes[index].filter.mayContain(hash) else {
                seen.skippedByFilter += 1
                continue
            }
            if !versions.isEmpty, let reading = view.reading,
                isSuperfluous(view.sstables[index].metadata.statistics, reading, &seen)
            {
                seen.skippedByTimestamp += 1
                continue
            }
            seen.filesRead += 1
            switch findSingle(view.sstables[index], token, key) {
            case .absent: seen.falsePositives += 1
            case .notSimple: return .notSimple
            case .missing(let block):
                // Several are better asked for together, unless the newest may make the others needless.
                guard wanted == nil else { return .notSimple }
                let next = WantedBlock(sstable: view.sstables[index], index: block)
                if mayEnd(view, at: index) { return .missing(next) }
                wanted = next
            case .row(let single):
                if let wantedRow, !equalBytes(single.key, wantedRow) { continue }
                guard takeVersion(single.key, single.row, &rowKey) else { return .notSimple }
                if !view.sstables[index].metadata.statistics.isPlain { seen.isPlain = false }
            }
        }
        if let wanted { return .missing(wanted) }
        guard
            let rows = answer(
                token, key, rowKey, rule, isPlain: seen.isPlain && rule.dropped.isEmpty,
                into: output)
        else { return .notSimple }
        note(rows: rows)
        if let reading = view.reading {
            reading.counters.partitionReads += 1
            reading.counters.skippedByTokens += seen.skippedByTokens
            reading.counters.skippedByFilter += seen.skippedByFilter
            reading.counters.skippedByTimestamp += seen.skippedByTimestamp
            reading.counters.filesRead += seen.filesRead
            reading.counters.falsePositives += seen.falsePositives
        }
        return .done
    }

    /// Whether all that is in files behind that one is older than what it has, so that it may turn out to
    /// need no other.
    @inline(__always)
    private func mayEnd(_ view: TableView, at index: Int) -> Bool {
        guard view.reading?.columns != nil else { return false }
        if index + 1 == view.sstables.count { return true }
        // By falling newest timestamp: the next one's is that of all.
        return view.sstables[index + 1].metadata.statistics.maximumTimestamp
            < view.sstables[index].metadata.statistics.minimumTimestamp
    }

    /// Adds a version; false if it is not of the same row as those before.
    @inline(__always)
    private func takeVersion(
        _ key: UnsafeRawBufferPointer, _ row: UnsafeRawBufferPointer,
        _ rowKey: inout UnsafeRawBufferPointer
    ) -> Bool {
        if versions.isEmpty {
            rowKey = key
        } else if !equalBytes(rowKey, key) {
            return false
        }
        versions.append(row)
        return true
    }

    /// Whether nothing in a file can change what the versions say. A malformed one says nothing.
    private func isSuperfluous(
        _ statistics: borrowing SSTableStatistics, _ reading: TableReading, _ seen: inout Seen
    ) -> Bool {
        guard !statistics.hasOriginalKeys, !statistics.hasCounters else { return false }
        if seen.bounded == 0 { bound.begin(needed: reading.columns) }
        while seen.bounded < versions.count {
            do throws(MalformedBytes) {
                try bound.add(try RowView(versions[seen.bounded]), needed: reading.columns)
            } catch {
                return false
            }
            seen.bounded += 1
        }
        return bound.makesSuperfluous(statistics)
    }

    private enum Found {
        /// The file does not have the partition.
        case absent
        case row(SingleRow)
        case missing(Int)
        /// The partition has another shape.
        case notSimple
    }

    @inline(__always)
    private func findSingle(
        _ sstable: SSTable, _ token: Int64, _ key: UnsafeRawBufferPointer
    ) -> Found {
        for index in sstable.metadata.blocks.candidates(token) {
            guard let block = context.cache.look(sstable.cached, index, isScan: false) else {
                return .missing(index)
            }
            var place = block.lowerBound(token, span: sstable.metadata.blocks.tokens(index))
            while place < block.count, block.token(place) == token {
                do throws(MalformedBytes) {
                    guard let found = try block.single(place) else { return .notSimple }
                    if equalBytes(found.key, key) { return .row(found.row) }
                } catch {
                    return .notSimple
                }
                place += 1
            }
        }
        return .absent
    }

    /// Writes the answer and says how many live rows are in it; nil, with nothing written, if a version is
    /// malformed.
    private func answer(
        _ token: Int64, _ key: UnsafeRawBufferPointer, _ rowKey: UnsafeRawBufferPointer,
        _ rule: PurgeRule, isPlain: Bool, into output: ByteWriter
    ) -> Int? {
        let start = ReadResultWriter.begin(into: output)
        reader.tombstones = 0
        reader.deadRows = 0
        var limits = PartitionReader.Limits(rows: 1, partitionRows: 1, endOfBytes: .max)
        if versions.count == 1, isPlain {
            reader.appendSingleRow(
                token: token, key: key, rowKey: rowKey, row: versions[0], into: output)
            limits.rows = 0
        } else if !versions.isEmpty {
            do throws(MalformedBytes) {
                try reader.readSingleRow(
                    token: token, key: key, rowKey: rowKey, versions: versions, rule: rule,
                    limits: &limits, into: output)
            } catch {
                output.truncate(to: start)
                return nil
            }
        }
        ReadResultWriter.finish(start: start, isExhausted: true, into: output)
        return 1 - limits.rows
    }
}
