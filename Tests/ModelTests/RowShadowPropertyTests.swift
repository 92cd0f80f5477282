// Taking out of versions of a row what the others make needless changes nothing of what they are together.

import Encoding
import Testing

@testable import Model

@Suite struct RowShadowPropertyTests {
    private func remove(
        _ row: [UInt8], by other: [UInt8], shadow: Deletion, _ granularity: GarbageGranularity
    ) throws -> [UInt8] {
        if row.isEmpty { return [] }
        if other.isEmpty { return try filter(row, shadow) }
        let writer = ByteWriter()
        try row.withUnsafeBytes { row in
            try other.withUnsafeBytes { other in
                let isLeft = try RowShadow.remove(
                    from: try RowView(row), by: try RowView(other), shadow: shadow, granularity,
                    into: writer)
                #expect(isLeft == (writer.count > 0))
            }
        }
        return writer.array
    }

    private func filter(_ row: [UInt8], _ shadow: Deletion) throws -> [UInt8] {
        if row.isEmpty { return [] }
        let writer = ByteWriter()
        try row.withUnsafeBytes {
            _ = try RowMerge.filter(try RowView($0), shadow: shadow, into: writer)
        }
        return writer.array
    }

    /// All versions as one, without original keys: that of a version of which nothing is left goes with it.
    private func merge(_ versions: [[UInt8]], shadow: Deletion = .none) throws -> [UInt8] {
        let merged = try versions.filter { !$0.isEmpty }.reduce([UInt8]()) { a, b in
            if a.isEmpty { return try filter(b, shadow) }
            let writer = ByteWriter()
            try a.withUnsafeBytes { a in
                try b.withUnsafeBytes { b in
                    _ = try RowMerge.merge(
                        try RowView(a), try RowView(b), shadow: shadow, into: writer)
                }
            }
            return writer.array
        }
        if merged.isEmpty { return [] }
        return try merged.withUnsafeBytes { raw in
            let view = try RowView(raw)
            let writer = ByteWriter()
            var row = RowWriter()
            row.begin(
                liveness: view.liveness, deletion: view.deletion,
                baseTimestamp: view.baseTimestamp, into: writer)
            var cells = view.cells
            while let cell = try cells.next() { row.append(cell, into: writer) }
            return writer.array
        }
    }

    @Test(arguments: [GarbageGranularity.row, .cell])
    func whatIsLeftMergesToTheSame(granularity: GarbageGranularity) throws {
        for seed in 0..<4_000 {
            var random = SmallRandom(seed)
            let a = try random.row()
            let b = try random.row()
            let shadow = random.chance(1, outOf: 2) ? Deletion.none : random.deletion()
            let less = try remove(a, by: b, shadow: shadow, granularity)
            #expect(
                try merge([less, b], shadow: shadow) == (try merge([a, b], shadow: shadow)),
                "seed \(seed)")
        }
    }

    /// Each in the light of all others, at once: nothing goes from everywhere.
    @Test(arguments: [GarbageGranularity.row, .cell])
    func versionsThatAreCollectedAtOnceLoseNothing(granularity: GarbageGranularity) throws {
        for seed in 0..<3_000 {
            var random = SmallRandom(seed)
            var versions = try (0..<4).map { _ in try random.row() }
            if random.chance(1, outOf: 3) { versions[1] = versions[0] }
            let left = try versions.indices.map { index in
                var others = versions
                others.remove(at: index)
                let other = try wholeMerge(others)
                return try remove(versions[index], by: other, shadow: .none, granularity)
            }
            #expect(try merge(left) == (try merge(versions)), "seed \(seed)")
        }
    }

    private func wholeMerge(_ versions: [[UInt8]]) throws -> [UInt8] {
        try versions.filter { !$0.isEmpty }.reduce([UInt8]()) { a, b in
            if a.isEmpty { return b }
            let writer = ByteWriter()
            try a.withUnsafeBytes { a in
                try b.withUnsafeBytes { b in
                    _ = try RowMerge.merge(try RowView(a), try RowView(b), into: writer)
                }
            }
            return writer.array
        }
    }

    /// A row of one column.
    private func row(_ timestamp: Int64, _ value: [UInt8], deleted: Deletion = .none) -> [UInt8] {
        let raw = ByteWriter()
        var writer = RowWriter()
        writer.begin(
            liveness: .none, deletion: deleted, baseTimestamp: timestamp, into: raw)
        value.withUnsafeBytes {
            writer.append(Cell(column: 3, flags: [], timestamp: timestamp, value: $0), into: raw)
        }
        return raw.array
    }

    @Test func overwrittenCellsGoOnlyByCell() throws {
        let old = row(5, [1, 2, 3])
        let new = row(6, [4])
        #expect(try remove(old, by: new, shadow: .none, .cell) == [])
        #expect(try remove(old, by: new, shadow: .none, .row) == old)
        #expect(try remove(new, by: old, shadow: .none, .cell) == new)
        #expect(try remove(old, by: old, shadow: .none, .cell) == old, "of two equals both stay")
    }

    @Test func deletedRowsGoByRowToo() throws {
        let old = row(5, [1, 2, 3])
        let gone = Deletion(timestamp: 7, localDeletionTime: 1)
        for granularity in [GarbageGranularity.row, .cell] {
            #expect(
                try remove(old, by: row(8, [1], deleted: gone), shadow: .none, granularity) == [])
            #expect(try remove(old, by: row(4, [1]), shadow: gone, granularity) == [])
        }
    }
}
