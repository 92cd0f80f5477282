// The merge of rows is commutative, associative and idempotent, to the byte, under any shadow.

import Encoding
import Testing

@testable import Model

@Suite struct RowMergePropertyTests {
    /// The merged bytes; empty if nothing is left.
    private func merge(
        _ a: [UInt8], _ b: [UInt8], shadow: Deletion = .none
    ) throws -> [UInt8] {
        if a.isEmpty { return try filter(b, shadow) }
        if b.isEmpty { return try filter(a, shadow) }
        let writer = ByteWriter()
        try a.withUnsafeBytes { a in
            try b.withUnsafeBytes { b in
                _ = try RowMerge.merge(try RowView(a), try RowView(b), shadow: shadow, into: writer)
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

    @Test func mergeIsCommutativeAssociativeAndIdempotent() throws {
        for seed in 0..<4_000 {
            var random = SmallRandom(seed)
            let a = try random.row()
            let b = try random.row()
            let c = try random.row()
            let ab = try merge(a, b)
            #expect(ab == (try merge(b, a)), "seed \(seed)")
            #expect(try merge(ab, c) == (try merge(a, try merge(b, c))), "seed \(seed)")
            #expect(try merge(a, a) == a, "seed \(seed)")
            #expect(try merge(ab, b) == ab, "seed \(seed)")
        }
    }

    @Test func aVersionIsTheNewestAlikeOnlyIfItIsTheMerge() throws {
        var alike = 0
        for seed in 0..<4_000 {
            var random = SmallRandom(seed)
            var versions: [[UInt8]] = []
            let columns = random.below(4)
            let hasMarker = random.chance(1, outOf: 2)
            for _ in 0..<2 + random.below(3) {
                versions.append(
                    random.chance(1, outOf: 8)
                        ? try random.row()
                        : random.plainRow(columns: columns, hasMarker: hasMarker))
            }
            versions.removeAll { $0.isEmpty }
            var merged: [UInt8] = []
            for version in versions { merged = try merge(merged, version) }
            let views = versions.map { bytes -> UnsafeMutableRawBufferPointer in
                let copy = UnsafeMutableRawBufferPointer.allocate(
                    byteCount: bytes.count, alignment: 1)
                copy.copyBytes(from: bytes)
                return copy
            }
            defer { for view in views { view.deallocate() } }
            let newest = try RowMerge.newestAlike(views.map { UnsafeRawBufferPointer($0) })
            if let newest, versions.count > 1 {
                alike += 1
                #expect([UInt8](newest) == merged, "seed \(seed)")
            }
        }
        #expect(alike > 500)
    }

    @Test func mergeUnderAShadowIsTheShadowedMerge() throws {
        for seed in 0..<4_000 {
            var random = SmallRandom(seed)
            let a = try random.row()
            let b = try random.row()
            let shadow = random.deletion()
            let early = try merge(try filter(a, shadow), try filter(b, shadow), shadow: shadow)
            let late = try filter(try merge(a, b), shadow)
            // The original key of a row that vanished cannot come back; all else is equal.
            #expect(try withoutKey(early) == (try withoutKey(late)), "seed \(seed)")
        }
    }

    private func withoutKey(_ row: [UInt8]) throws -> [UInt8] {
        if row.isEmpty { return [] }
        return try row.withUnsafeBytes { raw in
            let view = try RowView(raw)
            let writer = ByteWriter()
            var row = RowWriter()
            row.begin(
                liveness: view.liveness, deletion: view.deletion, baseTimestamp: view.baseTimestamp,
                into: writer)
            var cells = view.cells
            while let cell = try cells.next() { row.append(cell, into: writer) }
            return writer.array
        }
    }

    @Test func purgingAgainChangesNothing() throws {
        for seed in 0..<4_000 {
            var random = SmallRandom(seed)
            let row = try random.row()
            if row.isEmpty { continue }
            let rule = PurgeRule(
                nowInSeconds: Int64(random.below(7)), gcBefore: Int64(random.below(7)),
                olderThan: Int64(random.below(9)))
            let once = try purge(row, rule)
            if once.isEmpty { continue }
            #expect(try purge(once, rule) == once, "seed \(seed)")
            let isSettled = try once.withUnsafeBytes {
                !(try RowPurge.inspect(try RowView($0), rule).needsRewrite)
            }
            #expect(isSettled, "seed \(seed)")
            let live = try row.withUnsafeBytes {
                try RowPurge.inspect(try RowView($0), rule).isLive
            }
            let stillLive = try once.withUnsafeBytes {
                try RowPurge.inspect(try RowView($0), rule).isLive
            }
            #expect(live == stillLive, "seed \(seed)")
        }
    }

    private func purge(_ row: [UInt8], _ rule: PurgeRule) throws -> [UInt8] {
        let writer = ByteWriter()
        try row.withUnsafeBytes {
            _ = try RowPurge.rewrite(try RowView($0), rule, into: writer)
        }
        return writer.array
    }

    @Test func anExpiredCellStaysWhatItWasToTheMergeRule() throws {
        // A tombstone of the same timestamp beats an expiring cell, whether that was stripped or not.
        for strips in [false, true] {
            let expiring = ByteWriter()
            var writer = RowWriter()
            writer.begin(liveness: .none, deletion: .none, baseTimestamp: 5, into: expiring)
            [UInt8(1)].withUnsafeBytes {
                writer.append(
                    Cell(
                        column: 1, flags: .expiring, timestamp: 5, localDeletionTime: 90,
                        timeToLive: 10, value: $0), into: expiring)
            }
            var bytes = expiring.array
            if strips { bytes = try purge(bytes, PurgeRule(nowInSeconds: 100, gcBefore: 0)) }
            let tombstone = ByteWriter()
            writer = RowWriter()
            writer.begin(liveness: .none, deletion: .none, baseTimestamp: 5, into: tombstone)
            writer.append(
                Cell(column: 1, flags: .tombstone, timestamp: 5, localDeletionTime: 40),
                into: tombstone)
            #expect(try merge(bytes, tombstone.array) == tombstone.array)
        }
    }
}
