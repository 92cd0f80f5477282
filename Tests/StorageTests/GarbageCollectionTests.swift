// Garbage collection rewrites each file by itself: what other files delete or overwrite goes, what is read stays
// the same, and so does the number of files.

import Encoding
import Environment
import Model
import Testing

@testable import Storage

@Suite struct GarbageCollectionTests {
    private let everything = ReadCommand(
        table: testTable, scope: .range(ReadCommand.TokenScope(start: .min, end: .max)),
        nowInSeconds: 1_000, byteLimit: 1 << 28)

    private func harness(
        seed: UInt64 = 1, gcGrace: Int64 = 1_000_000,
        _ change: (inout Configuration.Storage) -> Void = { _ in }
    ) throws -> Harness {
        var random = RandomStream(seed: seed, name: "configuration")
        var configuration = smallConfiguration(&random)
        change(&configuration)
        let harness = Harness(
            schema: testSchema {
                $0.gcGraceSeconds = Int32(gcGrace)
                $0.compaction["enabled"] = "false"
            },
            configuration: configuration, random: RandomStream(seed: seed, name: "harness"))
        try harness.open()
        return harness
    }

    private func flush(_ harness: Harness) throws {
        harness.engine?.flush(table: testTable)
        try harness.settle()
    }

    private func collect(
        _ harness: Harness, _ granularity: GarbageGranularity
    ) throws -> MaintenanceReport {
        let id = try #require(harness.engine?.startFiles(.garbage(granularity), [testTable]))
        for _ in 0..<100_000 {
            if let ended = harness.engine?.completedMaintenance.first(where: { $0.id == id }) {
                return ended.report
            }
            if try !harness.work() { try harness.endTick() }
        }
        throw MaintenanceRefusal("the task never ends")
    }

    private func files(_ harness: Harness) throws -> [SSTable] {
        try #require(harness.engine?.tables[testTable]).sstables
    }

    // MARK: Against the twin

    @Test(arguments: 0..<12)
    func readsAnswerLikeTheTwin(seed: Int) throws {
        try run(seed: UInt64(seed), gcGrace: 1_000_000)
    }

    /// Timestamps rise, so that nothing older comes after a tombstone is purged.
    @Test(arguments: 100..<112)
    func readsAnswerLikeTheTwinWhileItPurges(seed: Int) throws {
        try run(seed: UInt64(seed), gcGrace: testGcGrace)
    }

    @Test(arguments: 200..<206)
    func purgingAtOnceBringsNothingBack(seed: Int) throws {
        try run(seed: UInt64(seed), gcGrace: 0)
    }

    private func run(seed: UInt64, gcGrace: Int64) throws {
        var generator = Generator(seed: seed)
        generator.countersStayDeleted = gcGrace < 1_000
        if seed % 3 == 0 { generator.clusterings = 400 }
        if seed % 4 == 1 { generator.elements = 30 }
        let harness = try harness(seed: seed, gcGrace: gcGrace) {
            $0.memtableBytes = 20_000
            $0.concurrentCompactors = 2
        }
        harness.seconds = generator.now
        var twin = Twin()
        for step in 0..<400 {
            harness.nanoseconds += Int64(generator.random.below(400_000_000))
            switch generator.random.below(100) {
            case 0..<50:
                if gcGrace < 1_000 { generator.oldestTimestamp = Int64(step) * 60 }
                let mutation = try generator.mutation()
                try harness.apply(mutation)
                try twin.apply(mutation)
                if generator.random.chance(1, outOf: 2) { try harness.endTick() }
            case 50..<70:
                let command = generator.command()
                let found = try harness.read(command)
                let expected = try twin.read(command, gcGrace: gcGrace)
                #expect(
                    found == expected, "seed \(seed) step \(step) \(describe(found, expected))")
                if found != expected { return }
            case 70..<80: for _ in 0..<4 { try harness.work() }
            case 80..<88: harness.engine?.flush(table: testTable)
            case 88..<93:
                let granularity: GarbageGranularity =
                    generator.random.chance(1, outOf: 2) ? .row : .cell
                _ = harness.engine?.startFiles(.garbage(granularity), [testTable])
            case 93: harness.engine?.compact(table: testTable)
            case 94..<98: try harness.settle()
            default:
                try harness.endTick()
                try harness.open()
            }
            #expect(harness.stopped == nil)
        }
        try harness.settle()
        #expect(try collect(harness, .cell).failure == nil)
        try harness.open()
        let all = try harness.read(everything)
        #expect(try all == twin.read(everything, gcGrace: gcGrace), "seed \(seed) at the end")
    }

    // MARK: What goes

    /// What one file holds of one partition, as plain facts.
    private struct Facts {
        var deletion = Deletion.none
        var ranges: [RangeTombstone] = []
        var rows: [[UInt8]: [UInt8]] = [:]
    }

    private func facts(_ sstable: SSTable, _ harness: Harness) throws -> [[UInt8]: Facts] {
        let scan = SSTableScan(sstable.metadata, slice: .min ... .max)
        scan.setFiles(harness.files)
        var all: [[UInt8]: Facts] = [:]
        while true {
            try scan.nextPartition(harness.files)
            if scan.isAtEnd { return all }
            var facts = Facts()
            facts.deletion = scan.deletion
            if !scan.staticRow.isEmpty { facts.rows[[0xFF]] = [UInt8](scan.staticRow) }
            let key = [UInt8](scan.key)
            while scan.rows.state == .row {
                facts.rows[[UInt8](scan.rows.key)] = [UInt8](scan.rows.row)
                try scan.rows.advance()
            }
            facts.ranges = scan.rows.ranges
            all[key] = facts
        }
    }

    /// Counts what is in `ours` and loses for certain against `theirs`, cell by cell.
    private func needless(_ ours: Facts, _ theirs: Facts, byCell: Bool) throws -> Int {
        var count = theirs.deletion.merged(with: ours.deletion) == ours.deletion ? 0 : 1
        if ours.deletion.isNone { count = 0 }
        for (key, bytes) in ours.rows {
            let around = key.withUnsafeBytes { key in
                key.count == 1
                    ? theirs.deletion
                    : theirs.deletion.merged(
                        with: RangeTombstones.covering(key, in: theirs.ranges))
            }
            let other = theirs.rows[key] ?? []
            count += try bytes.withUnsafeBytes { ours in
                try other.withUnsafeBytes { theirs in
                    try needless(
                        try RowView(ours), theirs.isEmpty ? nil : try RowView(theirs), around,
                        byCell: byCell)
                }
            }
        }
        return count
    }

    private func needless(
        _ ours: RowView, _ theirs: RowView?, _ around: Deletion, byCell: Bool
    ) throws -> Int {
        var count = around.shadows(ours.deletion.timestamp) && !ours.deletion.isNone ? 1 : 0
        let covering = around.merged(with: theirs?.deletion ?? .none)
        if !ours.liveness.isNone, covering.shadows(ours.liveness.timestamp) { count += 1 }
        var cells = ours.cells
        while let cell = try cells.next() {
            if cell.isCounterTombstone { continue }
            if covering.shadows(cell.timestamp) { count += 1 }
            guard byCell, !cell.flags.contains(.counter), var others = theirs?.cells else {
                continue
            }
            while let other = try others.next() {
                if other.position(comparedTo: cell) == 0, other.timestamp > cell.timestamp {
                    count += 1
                }
                if other.isComplexDeletion, other.column == cell.column, !cell.isComplexDeletion,
                    other.timestamp >= cell.timestamp
                {
                    count += 1
                }
            }
        }
        return count
    }

    /// In all pairs of files.
    private func needless(_ harness: Harness, byCell: Bool) throws -> Int {
        let all = try files(harness).map { try facts($0, harness) }
        var count = 0
        for (index, ours) in all.enumerated() {
            for (place, theirs) in all.enumerated() where place != index {
                for (key, facts) in ours {
                    guard let other = theirs[key] else { continue }
                    count += try needless(facts, other, byCell: byCell)
                }
            }
        }
        return count
    }

    @Test(arguments: 0..<8)
    func nothingIsLeftThatAnotherFileMakesNeedless(seed: Int) throws {
        let harness = try harness(seed: UInt64(seed))
        var generator = Generator(seed: UInt64(seed))
        for _ in 0..<5 {
            for _ in 0..<40 { try harness.apply(try generator.mutation()) }
            try flush(harness)
        }
        let before = try harness.read(everything)
        let bytes = try files(harness).reduce(0) { $0 + $1.metadata.statistics.plainBytes }
        #expect(try needless(harness, byCell: true) > 100, "the test has something to collect")

        let rows = try collect(harness, .row)
        #expect(rows.rewritten == 5)
        #expect(try needless(harness, byCell: false) == 0, "seed \(seed)")
        #expect(try needless(harness, byCell: true) > 10, "cells are left: seed \(seed)")
        #expect(try harness.read(everything) == before, "seed \(seed)")

        let cells = try collect(harness, .cell)
        #expect(cells.rewritten == 5)
        #expect(cells.bytesWritten < rows.bytesWritten)
        #expect(try needless(harness, byCell: true) == 0, "seed \(seed)")
        #expect(try harness.read(everything) == before, "seed \(seed)")
        #expect(try files(harness).count == 5, "the files are not merged")
        let left = try files(harness).reduce(0) { $0 + $1.metadata.statistics.plainBytes }
        #expect(left < bytes * 3 / 4, "\(bytes) bytes before, \(left) after")
    }

    /// Writes one row of a partition.
    private func put(_ harness: Harness, _ key: UInt8, at timestamp: Int64) throws {
        try write(harness, key, .none) { writer in
            let raw = ByteWriter()
            var row = RowWriter()
            row.begin(
                liveness: Liveness(timestamp: timestamp), deletion: .none,
                baseTimestamp: timestamp, into: raw)
            [UInt8](repeating: key, count: 100).withUnsafeBytes {
                row.append(
                    Cell(column: 3, flags: [], timestamp: timestamp, value: $0), into: raw)
            }
            [UInt8](arrayLiteral: 0x40, 1, 0x38).withUnsafeBytes {
                PartitionWriter.append(key: $0, row: raw.bytes, into: writer)
            }
        }
    }

    private func write(
        _ harness: Harness, _ key: UInt8, _ deletion: Deletion,
        _ rows: (ByteWriter) throws -> Void = { _ in }
    ) throws {
        let writer = ByteWriter()
        [key].withUnsafeBytes {
            MutationWriter.begin(
                table: testTable, token: Token.of([key]).value, key: $0, into: writer)
        }
        PartitionWriter.begin(deletion: deletion, into: writer)
        try rows(writer)
        try harness.apply(writer.array)
    }

    @Test func deletedPartitionsGoAndTheirTombstonesAfterThem() throws {
        let harness = try harness(gcGrace: 10)
        for key in 0..<UInt8(40) { try put(harness, key, at: 5) }
        try flush(harness)
        for key in 0..<UInt8(30) {
            try write(harness, key, Deletion(timestamp: 9, localDeletionTime: 900))
        }
        try flush(harness)
        #expect(try collect(harness, .row).rewritten == 2)
        // The data went in the light of the tombstones, and these, which come later and are past gc grace, had
        // nothing left to hold down.
        #expect(try files(harness).map(\.metadata.statistics.partitions) == [10])
        #expect(try files(harness).map(\.metadata.statistics.tombstones) == [0])
    }

    @Test func aTombstoneStaysWhileAMemtableHoldsSomethingOlder() throws {
        let harness = try harness(gcGrace: 10)
        try write(harness, 1, Deletion(timestamp: 9, localDeletionTime: 900))
        try put(harness, 2, at: 20)
        try flush(harness)
        let before = try harness.read(everything)
        try put(harness, 1, at: 5)
        #expect(try collect(harness, .cell).rewritten == 1)
        #expect(try files(harness).map(\.metadata.statistics.tombstones) == [1])
        #expect(try harness.read(everything) == before)
        try flush(harness)
        #expect(try collect(harness, .cell).rewritten == 2)
        #expect(try harness.read(everything) == before)
        #expect(try files(harness).map(\.metadata.statistics.partitions) == [1])
    }

    /// What lies in a memtable may be lost in a crash: it takes away nothing.
    @Test func memtablesShadowNothing() throws {
        let harness = try harness()
        try put(harness, 1, at: 5)
        try flush(harness)
        try put(harness, 1, at: 9)
        _ = try collect(harness, .cell)
        #expect(try files(harness).map(\.metadata.statistics.rows) == [1])
    }

    @Test func levelsAndAgesStay() throws {
        let harness = try harness()
        for key in 0..<UInt8(9) { try put(harness, key, at: 5) }
        try flush(harness)
        let old = try #require(try files(harness).first)
        old.entry.level = 3
        _ = try collect(harness, .row)
        let new = try #require(try files(harness).first)
        #expect(new.number != old.number)
        #expect(new.entry.level == 3)
        #expect(new.position == old.position)
        #expect(old.isObsolete)
        #expect(old.pins == 0)
    }

    // MARK: Damage and want of room

    @Test func aDamagedShadowIsNamedAndTheFileStays() throws {
        let harness = try harness()
        for key in 0..<UInt8(20) { try put(harness, key, at: 5) }
        try flush(harness)
        for key in 0..<UInt8(20) { try put(harness, key, at: 6) }
        try flush(harness)
        let all = try files(harness)
        let block = all[1].metadata.blocks[0]
        try #require(harness.files.names[all[1].metadata.file]).bytes[block.offset + 9] ^= 1
        let report = try collect(harness, .cell)
        #expect(report.failure?.contains("\(all[1].metadata.file)") == true, "\(report)")
        #expect(all[1].isSuspect)
        #expect(!all[0].isSuspect)
        #expect(all.allSatisfy { $0.pins == 0 && !$0.isCompacting })
        // What is known to be damaged is left alone from then on.
        let again = try collect(harness, .cell)
        #expect(again.failure == nil)
        #expect(again.rewritten == 1)
    }

    @Test func withoutRoomNothingIsRewritten() throws {
        let harness = try harness()
        for key in 0..<UInt8(20) { try put(harness, key, at: 5) }
        try flush(harness)
        let numbers = try files(harness).map(\.number)
        harness.files.capacityBytes = 10
        let report = try collect(harness, .row)
        #expect(report.failure?.contains("no room") == true, "\(report)")
        #expect(try files(harness).map(\.number) == numbers)
    }
}
