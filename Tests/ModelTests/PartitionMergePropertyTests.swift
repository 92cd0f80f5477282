// The merge of partitions does not depend on order or grouping, to the byte.

import Encoding
import Testing

@testable import Model

@Suite struct PartitionMergePropertyTests {
    private func merge(_ versions: [[UInt8]]) throws -> [UInt8] {
        let memory = versions.map { version in
            let copy = UnsafeMutableRawBufferPointer.allocate(
                byteCount: version.count, alignment: 8)
            copy.copyBytes(from: version)
            return copy
        }
        defer { for copy in memory { copy.deallocate() } }
        let writer = ByteWriter()
        let views = try memory.map { try PartitionView(UnsafeRawBufferPointer($0)) }
        try PartitionMerge.merge(views, into: writer)
        return writer.array
    }

    @Test func orderAndGroupingMakeNoDifference() throws {
        for seed in 0..<2_000 {
            var random = SmallRandom(seed)
            // Original keys differ between versions of a row only by mistake; they are left out.
            let versions = try (0..<4).map { _ in try withoutOriginalKeys(try random.partition()) }
            let whole = try merge(versions)
            #expect(try merge(versions.reversed()) == whole, "seed \(seed)")
            let grouped = try merge([
                try merge([versions[2], versions[0]]), try merge([versions[3], versions[1]]),
            ])
            #expect(grouped == whole, "seed \(seed)")
            #expect(try merge([whole, versions[1]]) == whole, "seed \(seed)")
            try whole.withUnsafeBytes { try PartitionView($0).validate() }
        }
    }

    private func withoutOriginalKeys(_ bytes: [UInt8]) throws -> [UInt8] {
        try bytes.withUnsafeBytes { raw in
            let view = try PartitionView(raw)
            let writer = ByteWriter()
            let staticRow = view.staticRow.isEmpty ? [] : try plain(view.staticRow)
            staticRow.withUnsafeBytes {
                PartitionWriter.begin(
                    deletion: view.deletion, staticRow: $0, ranges: view.ranges, into: writer)
            }
            var rows = view.rows
            while let (key, row) = try rows.next() {
                try plain(row).withUnsafeBytes {
                    PartitionWriter.append(key: key, row: $0, into: writer)
                }
            }
            return writer.array
        }
    }

    private func plain(_ row: UnsafeRawBufferPointer) throws -> [UInt8] {
        let view = try RowView(row)
        let writer = ByteWriter()
        var row = RowWriter()
        row.begin(
            liveness: view.liveness, deletion: view.deletion, baseTimestamp: view.baseTimestamp,
            into: writer)
        var cells = view.cells
        while let cell = try cells.next() { row.append(cell, into: writer) }
        return writer.array
    }

    @Test func damagedPartitionsAreRefusedOrReadButNeverTrap() throws {
        for seed in 0..<4_000 {
            var random = SmallRandom(seed)
            var bytes = try random.partition()
            if bytes.isEmpty { continue }
            for _ in 0...random.below(3) {
                bytes[random.below(bytes.count)] = UInt8(truncatingIfNeeded: random.next())
            }
            if random.chance(1, outOf: 4) { bytes.removeLast(random.below(bytes.count)) }
            bytes.withUnsafeBytes { raw in
                do {
                    try PartitionView(raw).validate()
                } catch {
                    // Refused.
                }
            }
        }
    }
}
