// Random rows, range deletions and partitions over few keys and timestamps, so that ties are common.

import Encoding

@testable import Model

/// A small seeded generator (SplitMix64): the tests of this room do not reach for another room's.
struct SmallRandom {
    var state: UInt64

    init(_ seed: Int) { state = UInt64(seed) &* 0x9E37_79B9_7F4A_7C15 &+ 1 }

    mutating func next() -> UInt64 {
        state = state &+ 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
    mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }
    mutating func chance(_ part: Int, outOf whole: Int) -> Bool { below(whole) < part }

    mutating func bytes(_ limit: Int) -> [UInt8] { (0..<below(limit)).map { _ in UInt8(below(3)) } }

    mutating func deletion() -> Deletion {
        Deletion(timestamp: Int64(below(8)), localDeletionTime: UInt32(below(6)))
    }

    /// A row's canonical bytes; empty if nothing is in it.
    mutating func row() throws -> [UInt8] {
        let raw = ByteWriter()
        var liveness = Liveness.none
        if chance(1, outOf: 2) {
            liveness = Liveness(timestamp: Int64(below(8)))
            if chance(1, outOf: 2) {
                liveness.timeToLive = UInt32(1 + below(3))
                liveness.expiresAt = UInt32(below(6))
            }
        }
        var writer = RowWriter()
        let key = chance(1, outOf: 4) ? bytes(4) : []
        key.withUnsafeBytes {
            writer.begin(
                liveness: liveness, deletion: chance(1, outOf: 4) ? deletion() : .none,
                baseTimestamp: Int64(below(8)), originalKey: $0, into: raw)
        }
        for column in 1...4 where chance(1, outOf: 2) {
            if column == 4 {
                if chance(1, outOf: 2) {
                    let gone = deletion()
                    writer.append(
                        Cell(
                            column: 4, flags: .complexDeletion, timestamp: gone.timestamp,
                            localDeletionTime: gone.localDeletionTime), into: raw)
                }
                for path in 0..<3 where chance(1, outOf: 2) {
                    cell(4, path: [UInt8(path)], writer, raw)
                }
            } else {
                cell(UInt32(column), path: nil, writer, raw)
            }
        }
        if chance(1, outOf: 2) { counter(5, writer, raw) }
        let canonical = ByteWriter()
        _ = try RowMerge.filter(try RowView(raw.bytes), shadow: .none, into: canonical)
        return canonical.array
    }

    /// A row that was written at one moment: so many plain columns, and perhaps a marker.
    mutating func plainRow(columns: Int, hasMarker: Bool) -> [UInt8] {
        let output = ByteWriter()
        let timestamp = Int64(below(8))
        var writer = RowWriter()
        writer.begin(
            liveness: hasMarker ? Liveness(timestamp: timestamp) : .none, deletion: .none,
            baseTimestamp: timestamp, into: output)
        for column in 0..<columns {
            bytes(4).withUnsafeBytes {
                writer.append(
                    Cell(column: UInt32(column), flags: [], timestamp: timestamp, value: $0),
                    into: output)
            }
        }
        return columns == 0 && !hasMarker ? [] : output.array
    }

    private mutating func cell(
        _ column: UInt32, path: [UInt8]?, _ writer: RowWriter, _ raw: ByteWriter
    ) {
        var cell = Cell(
            column: column, flags: path == nil ? [] : .hasPath, timestamp: Int64(below(8)))
        let kind = below(3)
        if kind == 0 { cell.flags.insert(.tombstone) }
        if kind == 1 {
            cell.flags.insert(.expiring)
            cell.timeToLive = UInt32(1 + below(2))
        }
        if kind < 2 { cell.localDeletionTime = UInt32(below(6)) }
        let value = kind == 0 ? [] : bytes(3)
        (path ?? []).withUnsafeBytes { path in
            value.withUnsafeBytes { value in
                cell.path = path
                cell.value = value
                writer.append(cell, into: raw)
            }
        }
    }

    /// A count by up to three replicas, or a counter's tombstone.
    private mutating func counter(_ column: UInt32, _ writer: RowWriter, _ raw: ByteWriter) {
        if chance(1, outOf: 6) {
            return writer.append(
                Cell(
                    column: column, flags: [.counter, .tombstone], timestamp: Int64(below(8)),
                    localDeletionTime: UInt32(below(6))), into: raw)
        }
        let value = ByteWriter()
        var newest = noTimestamp
        for replica in 1...3 where replica == 1 || chance(1, outOf: 2) {
            let shard = CounterShard(
                replica: UniqueID(high: UInt64(replica), low: 0), clock: Int64(below(8)),
                count: Int64(below(5)) - 2)
            newest = max(newest, shard.clock)
            CounterShards.append(shard, into: value)
        }
        writer.append(
            Cell(column: column, flags: .counter, timestamp: newest, value: value.bytes), into: raw)
    }

    /// Sorted, not overlapping.
    mutating func ranges(_ count: Int) -> [RangeTombstone] {
        var list: [RangeTombstone] = []
        var start = 0
        for _ in 0..<count {
            start += below(3)
            let end = start + 1 + below(3)
            if chance(2, outOf: 3) {
                list.append(
                    RangeTombstone(start: [UInt8(start)], end: [UInt8(end)], deletion: deletion()))
            }
            start = end
        }
        return list
    }

    mutating func partition() throws -> [UInt8] {
        let writer = ByteWriter()
        let staticRow = chance(1, outOf: 3) ? try row() : []
        let gone = chance(1, outOf: 4) ? deletion() : .none
        let ranges = chance(1, outOf: 2) ? ranges(3) : []
        staticRow.withUnsafeBytes {
            PartitionWriter.begin(deletion: gone, staticRow: $0, ranges: ranges, into: writer)
        }
        for key in 0..<6 where chance(1, outOf: 2) {
            let row = try row()
            if row.isEmpty { continue }
            [UInt8(key)].withUnsafeBytes { key in
                row.withUnsafeBytes { PartitionWriter.append(key: key, row: $0, into: writer) }
            }
        }
        return writer.array
    }
}
