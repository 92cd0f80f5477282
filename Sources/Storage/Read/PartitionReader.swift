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
        /// How many deletions it may hold before it may stop.
        var tombstones = Int.max
    }

    /// What is known of the partition's head, gathered by the caller.
    var deletion = Deletion.none
    var staticRows: [UnsafeRawBufferPointer] = []
    var sources: [RowSource] = []

    /// Deletions that reads have passed since their owner last set it.
    @exclusivity(unchecked) var tombstones = 0
    /// Rows in the answer of which nothing lives, or more, since the owner last set it.
    @exclusivity(unchecked) var deadRows = 0
    /// More than these and a read is given up.
    @exclusivity(unchecked) var tombstoneLimit = Int.max

    private let rows = ByteWriter(capacity: 1 << 12)
    private let merged = ByteWriter(capacity: 1 << 10)
    private let scratch = ByteWriter(capacity: 1 << 10)
    private let rewritten = ByteWriter(capacity: 1 << 10)
    private let staticRow = ByteWriter()
    private var ranges: [RangeTombstone] = []
    /// The key of the last row in `rows`.
    private var lastKey = ByteRange(offset: 0, count: 0)

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
        if !ranges.isEmpty { ranges.removeAll(keepingCapacity: true) }
        lastKey = ByteRange(offset: 0, count: 0)
        var live = 0
        let used = writer.count
        if !staticRows.isEmpty {
            do throws(MalformedBytes) { try buildStaticRow(rule) } catch { throw .malformed(error) }
        }
        var outcome = Outcome.whole
        if command.slices == nil, behind == nil || behind?.isEmpty == true {
            outcome = try readSlice(
                lower: nil, upper: nil, command.reversed, rule, limits, used: used, live: &live)
        } else {
            for (lower, upper) in Self.bounds(command, behind: behind) {
                outcome = try readSlice(
                    lower: lower, upper: upper, command.reversed, rule, limits, used: used,
                    live: &live)
                if outcome != .whole { break }
            }
        }
        if outcome == .missing { return .missing }
        if outcome != .whole, !ranges.isEmpty {
            // Nothing is said about what lies behind the last row.
            let last = [UInt8](rows[lastKey])
            ranges =
                command.reversed
                ? RangeTombstones.clipped(ranges, from: last, to: nil)
                : RangeTombstones.clipped(ranges, from: nil, to: last + [0])
        }
        if live == 0, outcome == .whole, behind == nil, staticRow.count > 0 {
            do throws(MalformedBytes) {
                if try RowView(staticRow.bytes).isLive(nowInSeconds: rule.nowInSeconds) { live = 1 }
            } catch {
                throw .malformed(error)
            }
        }
        limits.rows -= live
        append(token, key, rule, into: writer)
        return outcome
    }

    /// Appends head and rows unless all is empty.
    private func append(
        _ token: Int64, _ key: UnsafeRawBufferPointer, _ rule: PurgeRule, into writer: ByteWriter
    ) {
        if deletion.isNone, staticRow.count == 0, ranges.isEmpty {
            if rows.count == 0 { return }
            writer.reserve(key.count + rows.count + 32)
            writer.appendLittleEndian(token)
            writer.appendLengthPrefixed(key)
            writer.appendVarint(UInt64(1 + rows.count))
            writer.append(0)
            writer.append(rows.bytes)
            return
        }
        let shown = rule.purges(deletion) ? Deletion.none : deletion
        let kept = ranges.filter {
            !rule.purges($0.deletion) && !deletion.shadows($0.deletion.timestamp)
        }
        if shown.isNone, staticRow.count == 0, kept.isEmpty, rows.count == 0 { return }
        tombstones += kept.count + (shown.isNone ? 0 : 1)
        scratch.removeAll()
        PartitionWriter.begin(
            deletion: shown, staticRow: staticRow.bytes, ranges: kept, into: scratch)
        writer.appendLittleEndian(token)
        writer.appendLengthPrefixed(key)
        writer.appendVarint(UInt64(scratch.count + rows.count))
        writer.append(scratch.bytes)
        writer.append(rows.bytes)
    }

    /// The short way for a partition that is one row of one source, without deletions around it: what
    /// tables without clustering columns mostly are. `limits` allow at least one row.
    func readSingleRow(
        token: Int64, key: UnsafeRawBufferPointer, rowKey: UnsafeRawBufferPointer,
        row bytes: UnsafeRawBufferPointer, rule: PurgeRule, limits: inout Limits,
        into writer: ByteWriter
    ) throws(MalformedBytes) {
        var row = try RowView(bytes)
        let verdict = try RowPurge.inspect(row, rule)
        tombstones += verdict.tombstones
        if verdict.needsRewrite {
            rewritten.removeAll()
            guard try RowPurge.rewrite(row, rule, into: rewritten) else { return }
            row = try RowView(rewritten.bytes)
        }
        if verdict.isLive { limits.rows -= 1 } else { deadRows += 1 }
        appendSingleRow(token: token, key: key, rowKey: rowKey, row: row.bytes, into: writer)
    }

    /// Appends a partition of one row as it is.
    func appendSingleRow(
        token: Int64, key: UnsafeRawBufferPointer, rowKey: UnsafeRawBufferPointer,
        row: UnsafeRawBufferPointer, into writer: ByteWriter
    ) {
        let size = row.count
        writer.reserve(key.count + rowKey.count + size + 40)
        writer.appendLittleEndian(token)
        writer.appendLengthPrefixed(key)
        writer.appendVarint(
            UInt64(
                1 + Self.varintBytes(rowKey.count) + rowKey.count + Self.varintBytes(size) + size))
        writer.append(0)
        writer.appendLengthPrefixed(rowKey)
        writer.appendLengthPrefixed(row)
    }

    /// As `readSingleRow` for several versions of the row, which are all there is of the partition.
    func readSingleRow(
        token: Int64, key: UnsafeRawBufferPointer, rowKey: UnsafeRawBufferPointer,
        versions: [UnsafeRawBufferPointer], rule: PurgeRule, limits: inout Limits,
        into writer: ByteWriter
    ) throws(MalformedBytes) {
        var row = versions[0]
        if versions.count > 1 {
            if let newest = try RowMerge.newestAlike(versions) {
                row = newest
            } else {
                merged.removeAll()
                guard try mergeVersions(versions, shadow: .none) else { return }
                row = merged.bytes
            }
        }
        try readSingleRow(
            token: token, key: key, rowKey: rowKey, row: row, rule: rule, limits: &limits,
            into: writer)
    }

    @inline(__always)
    private static func varintBytes(_ value: Int) -> Int {
        value < 128 ? 1 : value < 16_384 ? 2 : (64 - value.leadingZeroBitCount + 6) / 7
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
    static func bounds(
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
        lower: [UInt8]?, upper: [UInt8]?, _ reversed: Bool, _ rule: PurgeRule, _ limits: Limits,
        used: Int, live: inout Int
    ) throws(StorageError) -> Outcome {
        let maximum = min(limits.rows, limits.partitionRows)
        if sources.count == 1 {
            return try readSliceOfOne(
                sources[0], lower: lower, upper: upper, reversed, rule, limits, maximum: maximum,
                used: used, live: &live)
        }
        var isMissing = false
        for source in sources {
            try source.seek(lower: lower, upper: upper, reversed: reversed)
            if source.state == .missing { isMissing = true }
        }
        if isMissing { return .missing }
        var outcome = Outcome.whole
        while true {
            guard let first = smallest(reversed: reversed) else { break }
            let isFull = live >= maximum || rows.count > 0 && isLong(limits, used)
            let key = first.key
            let visible: Visible
            do throws(MalformedBytes) {
                visible = try emit(first, key, rule, isPeeking: isFull)
            } catch {
                throw .malformed(error)
            }
            if isFull, visible != .nothing {
                outcome =
                    live >= limits.partitionRows && live < limits.rows ? .partitionLimit : .limit
                break
            }
            if visible == .live { live += 1 }
            if tombstones > tombstoneLimit { throw .tooManyTombstones(tombstones) }
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

    /// The same with a single source: no comparing of keys.
    private func readSliceOfOne(
        _ source: RowSource, lower: [UInt8]?, upper: [UInt8]?, _ reversed: Bool, _ rule: PurgeRule,
        _ limits: Limits, maximum: Int, used: Int, live: inout Int
    ) throws(StorageError) -> Outcome {
        try source.seek(lower: lower, upper: upper, reversed: reversed)
        var outcome = Outcome.whole
        while source.state == .row {
            let isFull = live >= maximum || rows.count > 0 && isLong(limits, used)
            var shadow = deletion
            if !source.ranges.isEmpty {
                shadow = shadow.merged(
                    with: RangeTombstones.covering(source.key, in: source.ranges))
            }
            let visible: Visible
            do throws(MalformedBytes) {
                if shadow.isNone {
                    visible = try emit(
                        source.key, try RowView(source.row), rule, isPeeking: isFull)
                } else {
                    merged.removeAll()
                    visible =
                        try RowMerge.filter(try RowView(source.row), shadow: shadow, into: merged)
                        ? try emit(
                            source.key, try RowView(merged.bytes), rule, isPeeking: isFull)
                        : .nothing
                }
            } catch {
                throw .malformed(error)
            }
            if isFull, visible != .nothing {
                outcome =
                    live >= limits.partitionRows && live < limits.rows ? .partitionLimit : .limit
                break
            }
            if visible == .live { live += 1 }
            if tombstones > tombstoneLimit { throw .tooManyTombstones(tombstones) }
            try source.advance()
        }
        if source.state == .missing { return .missing }
        if !source.ranges.isEmpty { collectRanges(lower: lower, upper: upper) }
        return outcome
    }

    /// Whether the answer may stop for its size, or for the deletions in it.
    @inline(__always)
    private func isLong(_ limits: Limits, _ used: Int) -> Bool {
        used + rows.count >= limits.endOfBytes || tombstones >= limits.tombstones
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
        let row: RowView
        if versions.count == 1, shadow.isNone {
            row = try RowView(versions[0])
        } else {
            merged.removeAll()
            guard try mergeVersions(versions, shadow: shadow) else { return .nothing }
            row = try RowView(merged.bytes)
        }
        return try emit(key, row, rule, isPeeking: isPeeking)
    }

    /// Purges and appends a merged row.
    @inline(__always)
    private func emit(
        _ key: UnsafeRawBufferPointer, _ row: RowView, _ rule: PurgeRule, isPeeking: Bool
    ) throws(MalformedBytes) -> Visible {
        let verdict = try RowPurge.inspect(row, rule)
        tombstones += verdict.tombstones
        var bytes = row.bytes
        if verdict.needsRewrite {
            rewritten.removeAll()
            guard try RowPurge.rewrite(row, rule, into: rewritten) else { return .nothing }
            bytes = rewritten.bytes
        }
        if !verdict.isLive { deadRows += 1 }
        if !isPeeking {
            rows.appendVarint(UInt64(key.count))
            lastKey = ByteRange(offset: rows.count, count: key.count)
            rows.append(key)
            rows.appendLengthPrefixed(bytes)
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
