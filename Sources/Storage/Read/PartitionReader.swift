// Reads one partition out of all its sources: the merge that every read ends in.
//
//     sources (newest first, any order is right) -> smallest key -> merge its versions -> shadow
//         -> purge -> count -> answer
//
// The answer is canonical: it depends on what the sources hold together, not on how it lies in them.
// Deletions are in it, except those past gc grace, which shadow and then vanish; range deletions are
// clipped to the slices and to the part that was read.
//
// Cost with one source and no deletions: one walk over each row's cells and one copy.

internal import Encoding
internal import Model

/// Working space for reading partitions, used again for each. Owned by one engine (or job).
final class PartitionReader {
    enum Outcome {
        /// All that the command wants of the partition is in the answer.
        case whole
        /// The partition's own row limit was reached, and there is more behind.
        case partitionLimit
        /// The row or byte limit was reached; there may be more behind.
        case limit
        /// A block is missing; nothing was written.
        case missing
    }

    /// What a read may still return.
    struct Limits {
        var rows: Int
        var partitionRows: Int
        /// The answer's size at which it may stop.
        var endOfBytes: Int
    }

    /// What is known of the partition's head, gathered by the caller.
    var deletion = Deletion.none
    var staticRows: [UnsafeRawBufferPointer] = []
    var sources: [RowSource] = []

    private let rows = ByteWriter(capacity: 1 << 12)
    private let merged = ByteWriter(capacity: 1 << 10)
    private let scratch = ByteWriter(capacity: 1 << 10)
    private let rewritten = ByteWriter(capacity: 1 << 10)
    private let staticRow = ByteWriter()
    private var ranges: [RangeTombstone] = []
    private var lastKey: [UInt8] = []

    init() {}

    func begin() {
        deletion = .none
        staticRows.removeAll(keepingCapacity: true)
        sources.removeAll(keepingCapacity: true)
    }

    /// Appends the partition to the answer unless it is empty. `behind`: begin after that row (the
    /// static row does not count then).
    func read(
        token: Int64, key: UnsafeRawBufferPointer, _ command: ReadCommand, behind: [UInt8]?,
        rule: PurgeRule, limits: inout Limits, into writer: ByteWriter
    ) throws(StorageError) -> Outcome {
        rows.removeAll()
        staticRow.removeAll()
        ranges.removeAll(keepingCapacity: true)
        lastKey.removeAll(keepingCapacity: true)
        var live = 0
        let maximum = min(limits.rows, limits.partitionRows)
        do throws(MalformedBytes) {
            if !staticRows.isEmpty { try buildStaticRow(rule) }
        } catch {
            throw .malformed(error)
        }
        var outcome = Outcome.whole
        let wanted = Self.bounds(command, behind: behind)
        for (lower, upper) in wanted {
            outcome = try readSlice(
                lower: lower, upper: upper, command, rule, maximum: maximum, limits: limits,
                used: writer.count, live: &live)
            if outcome == .missing { return .missing }
            if outcome != .whole { break }
        }
        if outcome != .whole, !ranges.isEmpty {
            // Nothing is said about what lies behind the last row.
            ranges = command.reversed
                ? RangeTombstones.clipped(ranges, from: lastKey, to: nil)
                : RangeTombstones.clipped(ranges, from: nil, to: lastKey + [0])
        }
        if live == 0, outcome == .whole, behind == nil, staticRow.count > 0 {
            do throws(MalformedBytes) {
                if try RowView(staticRow.bytes).isLive(nowInSeconds: rule.nowInSeconds) { live = 1 }
            } catch {
                throw .malformed(error)
            }
        }
        limits.rows -= live
        let shown = rule.purges(deletion) ? Deletion.none : deletion
        let kept = ranges.isEmpty
            ? [] : ranges.filter { !rule.purges($0.deletion) && !deletion.shadows($0.deletion.timestamp) }
        if !shown.isNone || staticRow.count > 0 || !kept.isEmpty || rows.count > 0 {
            scratch.removeAll()
            PartitionWriter.begin(
                deletion: shown, staticRow: staticRow.bytes, ranges: kept, into: scratch)
            writer.reserve(key.count + scratch.count + rows.count + 32)
            writer.appendLittleEndian(token)
            writer.appendLengthPrefixed(key)
            writer.appendVarint(UInt64(scratch.count + rows.count))
            writer.append(scratch.bytes)
            writer.append(rows.bytes)
        }
        return outcome
    }

    private func buildStaticRow(_ rule: PurgeRule) throws(MalformedBytes) {
        merged.removeAll()
        guard try mergeVersions(staticRows, shadow: deletion) else { return }
        let row = try RowView(merged.bytes)
        if try RowPurge.inspect(row, rule).needsRewrite {
            _ = try RowPurge.rewrite(row, rule, into: staticRow)
        } else {
            staticRow.append(merged.bytes)
        }
    }

    /// The stretches of keys to read, in the order of reading.
    private static func bounds(
        _ command: ReadCommand, behind: [UInt8]?
    ) -> [(lower: [UInt8]?, upper: [UInt8]?)] {
        var list: [(lower: [UInt8]?, upper: [UInt8]?)]
        if let slices = command.slices {
            list = slices.map { ($0.lower, $0.upper) }
        } else {
            list = [(nil, nil)]
        }
        if command.reversed { list.reverse() }
        // An empty key: the static row alone was seen.
        guard let behind, !behind.isEmpty else { return list }
        return list.compactMap { lower, upper in
            if command.reversed {
                let end = upper.map { compareBytes($0, behind) < 0 ? $0 : behind } ?? behind
                if let lower, compareBytes(lower, end) >= 0 { return nil }
                return (lower, end)
            }
            let next = behind + [0]
            let start = lower.map { compareBytes($0, next) > 0 ? $0 : next } ?? next
            if let upper, compareBytes(start, upper) >= 0 { return nil }
            return (start, upper)
        }
    }

    private func readSlice(
        lower: [UInt8]?, upper: [UInt8]?, _ command: ReadCommand, _ rule: PurgeRule, maximum: Int,
        limits: Limits, used: Int, live: inout Int
    ) throws(StorageError) -> Outcome {
        var isMissing = false
        for source in sources {
            try source.seek(lower: lower, upper: upper, reversed: command.reversed)
            if source.state == .missing { isMissing = true }
        }
        if isMissing { return .missing }
        var outcome = Outcome.whole
        while true {
            guard let first = smallest(reversed: command.reversed) else { break }
            let isFull =
                live >= maximum || rows.count > 0 && used + rows.count >= limits.endOfBytes
            let key = first.key
            let visible: Visible
            do throws(MalformedBytes) {
                visible = try emit(first, key, rule, isPeeking: isFull)
            } catch {
                throw .malformed(error)
            }
            if isFull, visible != .nothing {
                outcome = live >= limits.partitionRows && live < limits.rows ? .partitionLimit : .limit
                break
            }
            if visible == .live { live += 1 }
            if visible != .nothing { lastKey.replaceSubrange(0..<lastKey.count, with: key) }
            for source in sources
            where source !== first && source.state == .row && equalBytes(source.key, key) {
                try source.advance()
                if source.state == .missing { isMissing = true }
            }
            try first.advance()
            if first.state == .missing || isMissing { return .missing }
        }
        collectRanges(lower: lower, upper: upper)
        return outcome
    }

    /// The source with the next row.
    private func smallest(reversed: Bool) -> RowSource? {
        var best: RowSource?
        for source in sources where source.state == .row {
            guard let current = best else {
                best = source
                continue
            }
            let order = compareBytes(source.key, current.key)
            if reversed ? order > 0 : order < 0 { best = source }
        }
        return best
    }

    private var versions: [UnsafeRawBufferPointer] = []

    /// What a reader sees of a row.
    private enum Visible { case nothing, dead, live }

    /// Appends the row of `key` unless nothing is left of it, or only looks at it. At a limit one must
    /// look whether anything is behind: rows that are shadowed or purged must not make a difference
    /// between two replicas' answers.
    private func emit(
        _ first: RowSource, _ key: UnsafeRawBufferPointer, _ rule: PurgeRule, isPeeking: Bool
    ) throws(MalformedBytes) -> Visible {
        var shadow = deletion
        versions.removeAll(keepingCapacity: true)
        versions.append(first.row)
        for source in sources {
            if !source.ranges.isEmpty {
                shadow = shadow.merged(with: RangeTombstones.covering(key, in: source.ranges))
            }
            if source !== first, source.state == .row, equalBytes(source.key, key) {
                versions.append(source.row)
            }
        }
        var row: RowView
        if versions.count == 1, shadow.isNone {
            row = try RowView(versions[0])
        } else {
            merged.removeAll()
            guard try mergeVersions(versions, shadow: shadow) else { return .nothing }
            row = try RowView(merged.bytes)
        }
        let verdict = try RowPurge.inspect(row, rule)
        if verdict.needsRewrite {
            rewritten.removeAll()
            guard try RowPurge.rewrite(row, rule, into: rewritten) else { return .nothing }
            if !isPeeking { PartitionWriter.append(key: key, row: rewritten.bytes, into: rows) }
        } else if !isPeeking {
            PartitionWriter.append(key: key, row: row.bytes, into: rows)
        }
        return verdict.isLive ? .live : .dead
    }

    /// Merges into `merged`, which is empty; false if nothing is left.
    private func mergeVersions(
        _ versions: [UnsafeRawBufferPointer], shadow: Deletion
    ) throws(MalformedBytes) -> Bool {
        try PartitionMerge.mergeRows(versions, shadow: shadow, scratch: scratch, into: merged)
    }

    /// Adds the sources' range deletions inside the bounds.
    private func collectRanges(lower: [UInt8]?, upper: [UInt8]?) {
        var all: [RangeTombstone] = []
        for source in sources where !source.ranges.isEmpty {
            all = RangeTombstones.merged(all, source.ranges)
        }
        if all.isEmpty { return }
        all = RangeTombstones.clipped(all, from: lower, to: upper)
        // Slices come in order (or reversed), so that lists only join at an end.
        ranges = RangeTombstones.merged(ranges, all)
    }
}

extension RangeTombstones {
    /// The parts of `ranges` inside the bounds; nil is no bound.
    static func clipped(
        _ ranges: [RangeTombstone], from lower: [UInt8]?, to upper: [UInt8]?
    ) -> [RangeTombstone] {
        ranges.compactMap { range in
            var range = range
            if let lower, compareBytes(range.start, lower) < 0 { range.start = lower }
            if let upper, compareBytes(range.end, upper) > 0 { range.end = upper }
            return compareBytes(range.start, range.end) < 0 ? range : nil
        }
    }
}
