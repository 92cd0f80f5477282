// The dumb twin: every mutation ever applied, merged anew for each read.

import Encoding
import Environment
import Model

@testable import Storage

/// A key of a partition, in the order of the ring.
struct TwinKey: Hashable, Comparable {
    let token: Int64
    let key: [UInt8]
    static func < (a: TwinKey, b: TwinKey) -> Bool {
        a.token == b.token ? a.key.lexicographicallyPrecedes(b.key) : a.token < b.token
    }
}

struct Twin {
    var partitions: [TwinKey: [UInt8]] = [:]
    /// When columns were dropped, by their numbers.
    var dropped: [UInt32: Int64] = [:]

    mutating func apply(_ mutation: [UInt8]) throws {
        let (key, partition) = try mutation.withUnsafeBytes { raw in
            let view = try MutationView(raw)
            return (TwinKey(token: view.token, key: [UInt8](view.key)), [UInt8](view.partition))
        }
        partitions[key] = try merge([partitions[key], partition].compactMap { $0 })
    }

    func merge(_ versions: [[UInt8]]) throws -> [UInt8] {
        let writer = ByteWriter()
        // Copies that stay put while the merge reads them.
        let memory = versions.map { version in
            let copy = UnsafeMutableRawBufferPointer.allocate(
                byteCount: version.count, alignment: 8)
            copy.copyBytes(from: version)
            return copy
        }
        defer { for copy in memory { copy.deallocate() } }
        let views = try memory.map { try PartitionView(UnsafeRawBufferPointer($0)) }
        try PartitionMerge.merge(views, into: writer)
        return writer.array
    }

    /// What the engine must answer.
    func read(_ command: ReadCommand, gcGrace: Int64) throws -> [UInt8] {
        let rule = PurgeRule(
            nowInSeconds: command.nowInSeconds, gcBefore: command.nowInSeconds - gcGrace)
        let writer = ByteWriter()
        let start = ReadResultWriter.begin(into: writer)
        var keys: [TwinKey]
        var after: ReadCommand.Position?
        switch command.scope {
        case .partition(let token, let key):
            keys = [TwinKey(token: token, key: key)]
        case .range(let range):
            after = range.after
            keys = partitions.keys.sorted().filter {
                ($0.token > range.start || range.start == .min) && $0.token <= range.end
            }
            if let after {
                let place = TwinKey(token: after.token, key: after.key)
                keys = keys.filter { after.clustering == nil ? place < $0 : place <= $0 }
            }
        }
        var rowsLeft = command.rowLimit
        var exhausted = true
        for (index, key) in keys.enumerated() {
            guard let bytes = partitions[key] else { continue }
            let isScan = if case .range = command.scope { true } else { false }
            if isScan, rowsLeft <= 0 || writer.count - start >= command.byteLimit {
                exhausted = false
                break
            }
            _ = index
            var behind: [UInt8]?
            if let after, after.token == key.token, after.key == key.key {
                behind = after.clustering
            }
            let outcome = try bytes.withUnsafeBytes { raw in
                try read(
                    try PartitionView(raw), key, command, rule, behind, &rowsLeft,
                    writer.count - start, writer)
            }
            if outcome == 2 || outcome == 1 && !isScan {
                exhausted = false
                break
            }
        }
        ReadResultWriter.finish(start: start, isExhausted: exhausted, into: writer)
        return writer.array
    }

    /// Appends what dropped columns leave of a row; false if that is nothing.
    private func append(_ row: UnsafeRawBufferPointer, into target: ByteWriter) throws -> Bool {
        let view = try RowView(row)
        let raw = ByteWriter()
        var writer = RowWriter()
        writer.begin(
            liveness: view.liveness, deletion: view.deletion, baseTimestamp: view.baseTimestamp,
            originalKey: view.originalKey, into: raw)
        var cells = view.cells
        while let cell = try cells.next() {
            if let droppedAt = dropped[cell.column], cell.timestamp <= droppedAt { continue }
            writer.append(cell, into: raw)
        }
        return try RowMerge.filter(try RowView(raw.bytes), shadow: .none, into: target)
    }

    /// 0: whole; 1: cut by the partition's limit; 2: cut by another limit.
    private func read(
        _ partition: PartitionView, _ key: TwinKey, _ command: ReadCommand, _ rule: PurgeRule,
        _ behind: [UInt8]?, _ rowsLeft: inout Int, _ used: Int, _ writer: ByteWriter
    ) throws -> Int {
        let scratch = ByteWriter()
        let body = ByteWriter()
        var staticRow: [UInt8] = []
        var staticIsLive = false
        if !partition.staticRow.isEmpty {
            let kept = ByteWriter()
            _ = try append(partition.staticRow, into: kept)
            let view = try RowView(kept.count > 0 ? kept.bytes : partition.staticRow)
            if kept.count > 0, try RowPurge.rewrite(view, rule, into: scratch) {
                staticRow = scratch.array
            }
            staticIsLive = try kept.count > 0 && RowPurge.inspect(view, rule).isLive
        }
        var list: [(key: [UInt8], row: [UInt8], live: Bool)] = []
        var cursor = partition.rows
        while let (rowKey, row) = try cursor.next() {
            let bytes = [UInt8](rowKey)
            let inSlice =
                command.slices.map { slices in
                    slices.contains {
                        compareBytes($0.lower, bytes) <= 0 && compareBytes(bytes, $0.upper) < 0
                    }
                } ?? true
            guard inSlice else { continue }
            if let behind, !behind.isEmpty {
                let order = compareBytes(bytes, behind)
                if command.reversed ? order >= 0 : order <= 0 { continue }
            }
            scratch.removeAll()
            let kept = ByteWriter()
            guard try append(row, into: kept) else { continue }
            let view = try RowView(kept.bytes)
            let live = try RowPurge.inspect(view, rule).isLive
            let left = try RowPurge.rewrite(view, rule, into: scratch)
            if left { list.append((bytes, scratch.array, live)) }
        }
        if command.reversed { list.reverse() }
        var live = 0
        var outcome = 0
        var lastKey: [UInt8]?
        for (rowKey, row, isLive) in list {
            if live >= min(rowsLeft, command.partitionRowLimit)
                || body.count > 0 && used + body.count >= command.byteLimit
            {
                outcome = live >= command.partitionRowLimit && live < rowsLeft ? 1 : 2
                break
            }
            lastKey = rowKey
            rowKey.withUnsafeBytes { a in
                row.withUnsafeBytes { b in PartitionWriter.append(key: a, row: b, into: body) }
            }
            if isLive { live += 1 }
        }
        if live == 0, outcome == 0, behind == nil, staticIsLive { live = 1 }
        rowsLeft -= live
        var ranges: [RangeTombstone] = []
        let bounds: [(lower: [UInt8]?, upper: [UInt8]?)] =
            command.slices.map { $0.map { ($0.lower, $0.upper) } } ?? [(nil, nil)]
        for (lower, upper) in bounds {
            var part = RangeTombstones.clipped(partition.ranges, from: lower, to: upper)
            if let behind, !behind.isEmpty {
                part =
                    command.reversed
                    ? RangeTombstones.clipped(part, from: nil, to: behind)
                    : RangeTombstones.clipped(part, from: behind + [0], to: nil)
            }
            if outcome != 0, let lastKey {
                part =
                    command.reversed
                    ? RangeTombstones.clipped(part, from: lastKey, to: nil)
                    : RangeTombstones.clipped(part, from: nil, to: lastKey + [0])
            }
            ranges = RangeTombstones.merged(ranges, part)
        }
        ranges = ranges.filter { !rule.purges($0.deletion) }
        let deletion = rule.purges(partition.deletion) ? Deletion.none : partition.deletion
        if deletion.isNone, staticRow.isEmpty, ranges.isEmpty, body.count == 0 { return outcome }
        let whole = ByteWriter()
        staticRow.withUnsafeBytes {
            PartitionWriter.begin(deletion: deletion, staticRow: $0, ranges: ranges, into: whole)
        }
        whole.append(body.bytes)
        key.key.withUnsafeBytes {
            ReadResultWriter.append(token: key.token, key: $0, partition: whole.bytes, into: writer)
        }
        return outcome
    }
}
