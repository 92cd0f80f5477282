// Columns that are dropped and come back: reads leave their old cells out whether or not a compaction has
// been, and whatever writes a file anew leaves them out of it.

import Encoding
import Environment
import Model
import Testing

@testable import Storage

@Suite struct DroppedColumnTests {
    private static let counter: UInt32 = 7

    /// The test's table after columns were dropped, some of which may be back.
    private func schema(
        dropped: [UInt32: Int64], back: Set<UInt32> = [], gcGrace: Int64 = 1_000_000, epoch: UInt64
    ) throws -> SchemaSnapshot {
        let base = testSchema { $0.gcGraceSeconds = Int32(gcGrace) }
        let plain = try #require(base.table(testTable))
        func column(_ id: UInt32) -> ColumnSchema {
            ColumnSchema(
                id: ColumnID(id), name: "c\(id)", type: id == Self.counter ? .counter : .blob,
                kind: id == 2 || id == 8 ? .static : .regular)
        }
        let kept = plain.allColumns.filter { dropped[$0.id.value] == nil }
        let table = TableSchema(
            id: testTable, keyspace: plain.keyspace, name: plain.name,
            columns: kept + back.sorted().map(column),
            dropped: dropped.sorted { $0.key < $1.key }.map {
                DroppedColumn(column: column($0.key), droppedAt: $0.value)
            }, options: plain.options, nextColumnID: 10)
        return SchemaSnapshot(
            epoch: epoch, version: base.version,
            keyspaces: base.keyspaces.map {
                KeyspaceSchema(name: $0.name, replication: $0.replication, tables: [table])
            })
    }

    /// All cells in the table's files, as column and timestamp.
    private func cells(_ harness: Harness) throws -> [(column: UInt32, timestamp: Int64)] {
        var found: [(column: UInt32, timestamp: Int64)] = []
        func take(_ row: UnsafeRawBufferPointer) throws {
            if row.isEmpty { return }
            var cells = try RowView(row).cells
            while let cell = try cells.next() { found.append((cell.column, cell.timestamp)) }
        }
        for sstable in harness.engine?.tables[testTable]?.sstables ?? [] {
            let scan = SSTableScan(sstable.metadata, slice: .min ... .max)
            scan.setFiles(harness.files)
            try scan.nextPartition(harness.files)
            while !scan.isAtEnd {
                try take(scan.staticRow)
                while scan.rows.state == .row {
                    try take(scan.rows.row)
                    try scan.rows.advance()
                }
                try scan.nextPartition(harness.files)
            }
        }
        return found
    }

    private func dead(_ harness: Harness, _ dropped: [UInt32: Int64]) throws -> Int {
        try cells(harness).count { cell in
            dropped[cell.column].map { cell.timestamp <= $0 } ?? false
        }
    }

    private let everything = ReadCommand(
        table: testTable, scope: .range(ReadCommand.TokenScope(start: .min, end: .max)),
        nowInSeconds: 1_000, byteLimit: 1 << 28)

    /// Two files with cells of all columns, no compactions but those asked for.
    private func filled(seed: UInt64 = 5) throws -> (harness: Harness, twin: Twin) {
        var random = RandomStream(seed: seed, name: "configuration")
        let harness = Harness(
            schema: try schema(dropped: [:], epoch: 1), configuration: smallConfiguration(&random),
            random: RandomStream(seed: seed, name: "harness"))
        try harness.open()
        harness.engine?.setAutomaticCompaction(table: testTable, false)
        var twin = Twin()
        var generator = Generator(seed: seed)
        for number in 0..<160 {
            let mutation = try generator.mutation()
            try harness.apply(mutation)
            try twin.apply(mutation)
            if number % 80 == 79 {
                harness.engine?.flush(table: testTable)
                try harness.settle()
            }
        }
        return (harness, twin)
    }

    private func finish(_ harness: Harness, _ id: MaintenanceID) throws {
        for _ in 0..<100_000 {
            if harness.engine?.completedMaintenance.contains(where: { $0.id == id }) ?? true {
                return
            }
            if try !harness.work() { try harness.endTick() }
        }
        throw MaintenanceRefusal("the task never ends")
    }

    enum Rewriter: CaseIterable {
        case major, scrub, upgrade, cleanup, garbage
    }

    @Test(arguments: Rewriter.allCases)
    func whateverWritesAFileAnewLeavesDeadCellsOut(rewriter: Rewriter) throws {
        var (harness, twin) = try filled()
        let dropped: [UInt32: Int64] = [2: 40, 3: 30, 6: 50, Self.counter: .max]
        // What came back keeps what is newer.
        harness.schema = try schema(dropped: dropped, back: [3], epoch: 2)
        harness.engine?.install(harness.schema)
        twin.dropped = dropped
        let expected = try twin.read(everything, gcGrace: 1_000_000)
        #expect(try harness.read(everything) == expected)
        #expect(try dead(harness, dropped) > 0)
        let newer = try cells(harness).count { $0.column == 3 && $0.timestamp > 30 }
        let engine = try #require(harness.engine)
        switch rewriter {
        case .major: engine.compact(table: testTable)
        case .scrub: try finish(harness, engine.startFiles(.scrub, nil))
        case .upgrade: try finish(harness, engine.startFiles(.upgrade(all: true), nil))
        case .cleanup:
            try finish(harness, engine.startFiles(.cleanup([.min...5, 7 ... .max]), nil))
        case .garbage: try finish(harness, engine.startFiles(.garbage(.cell), nil))
        }
        try harness.settle()
        #expect(try dead(harness, dropped) == 0)
        #expect(newer > 0)
        #expect(try cells(harness).contains { $0.column == 3 && $0.timestamp > 30 })
        #expect(try harness.read(everything) == expected)
        try harness.open()
        #expect(try harness.read(everything) == expected)
    }

    /// Drops, returns, every strategy, rewriting and restarts in any order.
    @Test(arguments: 0..<16)
    func reorderedWithAllElseReadsAnswerLikeTheTwin(seed: Int) throws {
        let seed = UInt64(seed)
        var generator = Generator(seed: seed)
        var configuration = smallConfiguration(&generator.random)
        configuration.memtableBytes = 20_000
        let harness = Harness(
            schema: try schema(dropped: [:], epoch: 1), configuration: configuration,
            random: RandomStream(seed: seed, name: "harness"))
        harness.seconds = generator.now
        try harness.open()
        var twin = Twin()
        var back: Set<UInt32> = []
        for step in 0..<300 {
            switch generator.random.below(100) {
            case 0..<50:
                let mutation = try generator.mutation()
                try harness.apply(mutation)
                try twin.apply(mutation)
            case 50..<70:
                let command = generator.command()
                let found = try harness.read(command)
                let expected = try twin.read(command, gcGrace: 1_000_000)
                try #require(
                    found == expected, "seed \(seed) step \(step) \(describe(found, expected))")
            case 70..<76:
                let column = UInt32(2 + generator.random.below(6))
                if twin.dropped[column] != nil, !back.contains(column), column != Self.counter {
                    back.insert(column)
                } else {
                    back.remove(column)
                    twin.dropped[column] = max(
                        twin.dropped[column] ?? 0,
                        column == Self.counter ? .max : Int64(generator.random.below(60)))
                }
                harness.schema = try schema(
                    dropped: twin.dropped, back: back, epoch: UInt64(step) + 2)
                harness.engine?.install(harness.schema)
            case 76..<84: harness.engine?.flush(table: testTable)
            case 84..<88:
                harness.engine?.tables[testTable]?.strategy = CompactionStrategy(
                    options: smallStrategy(&generator.random))
                harness.engine?.tables[testTable]?.mayCompact = true
            case 88..<91:
                let kinds = [FileMaintenance.scrub, .garbage(.cell), .upgrade(all: true)]
                _ = harness.engine?.startFiles(kinds[Int(generator.random.below(3))], nil)
            case 91: harness.engine?.compact(table: testTable)
            case 92..<97: try harness.settle()
            default:
                try harness.endTick()
                try harness.open()
            }
            for _ in 0..<3 { try harness.work() }
            #expect(harness.stopped == nil)
        }
        try harness.settle()
        harness.engine?.compact(table: testTable)
        try harness.settle()
        #expect(try dead(harness, twin.dropped) == 0, "seed \(seed)")
    }

    /// What the log holds from before the drop is dead when it is replayed, and gone with its first merge.
    @Test func aReplayBringsNothingBack() throws {
        var (harness, twin) = try filled()
        var generator = Generator(seed: 77)
        for _ in 0..<40 {
            let mutation = try generator.mutation()
            try harness.apply(mutation)
            try twin.apply(mutation)
        }
        try harness.endTick()
        let dropped: [UInt32: Int64] = [3: 60, 5: 60]
        harness.schema = try schema(dropped: dropped, back: [3], epoch: 2)
        twin.dropped = dropped
        let expected = try twin.read(everything, gcGrace: 1_000_000)
        try harness.open()
        #expect(try harness.read(everything) == expected)
        harness.engine?.flush(table: testTable)
        try harness.settle()
        #expect(try dead(harness, dropped) > 0)
        harness.engine?.compact(table: testTable)
        try harness.settle()
        #expect(try dead(harness, dropped) == 0)
        #expect(try harness.read(everything) == expected)
    }

    /// A table of single rows, whose reads have short ways.
    @Test func shortWaysLeaveDeadCellsOutToo() throws {
        var (harness, twin) = try singleRows()
        let commands = (0..<12).map { number in
            let key = [UInt8](repeating: UInt8(number), count: 2)
            return ReadCommand(
                table: testTable,
                scope: .partition(token: key.withUnsafeBytes { Token.of($0).value }, key: key),
                nowInSeconds: 1_000, byteLimit: 1 << 28)
        }
        let before = try commands.map { try harness.read($0) }
        let plain = try #require(harness.schema.table(testTable))
        let gone = try #require(plain.regulars.first { $0.id.value == 4 })
        let table = TableSchema(
            id: testTable, keyspace: plain.keyspace, name: plain.name,
            columns: plain.allColumns.filter { $0.id != gone.id },
            dropped: [DroppedColumn(column: gone, droppedAt: 30)], options: plain.options,
            nextColumnID: 10)
        harness.schema = SnapshotSchema.with([table], like: harness.schema)
        harness.engine?.install(harness.schema)
        twin.dropped = [4: 30]
        for isCompacted in [false, true] {
            for (place, command) in commands.enumerated() {
                let found = try harness.read(command)
                #expect(found == (try twin.read(command, gcGrace: 1_000_000)))
                #expect(found != before[place])
            }
            #expect(try harness.read(everything) == twin.read(everything, gcGrace: 1_000_000))
            if !isCompacted {
                harness.engine?.compact(table: testTable)
                try harness.settle()
                #expect(try dead(harness, twin.dropped) == 0)
            }
        }
    }

    /// Twelve partitions of one row with three columns each, written at once, some in a file.
    private func singleRows() throws -> (harness: Harness, twin: Twin) {
        var random = RandomStream(seed: 9, name: "configuration")
        let harness = Harness(
            schema: testSchema(isClustered: false) { $0.gcGraceSeconds = 1_000_000 },
            configuration: smallConfiguration(&random),
            random: RandomStream(seed: 9, name: "harness"))
        try harness.open()
        var twin = Twin()
        for number in 0..<12 {
            let row = ByteWriter()
            var writer = RowWriter()
            writer.begin(
                liveness: Liveness(timestamp: 20), deletion: .none, baseTimestamp: 20, into: row)
            for column: UInt32 in [3, 4, 5] {
                [UInt8(column)].withUnsafeBytes {
                    writer.append(
                        Cell(column: column, flags: [], timestamp: 20, value: $0), into: row)
                }
            }
            let partition = ByteWriter()
            PartitionWriter.begin(
                deletion: .none, staticRow: UnsafeRawBufferPointer(start: nil, count: 0),
                ranges: [],
                into: partition)
            PartitionWriter.append(
                key: UnsafeRawBufferPointer(start: nil, count: 0), row: row.bytes, into: partition)
            let key = [UInt8](repeating: UInt8(number), count: 2)
            let mutation = ByteWriter()
            key.withUnsafeBytes {
                MutationWriter.begin(
                    table: testTable, token: Token.of($0).value, key: $0, into: mutation)
            }
            mutation.append(partition.bytes)
            try harness.apply(mutation.array)
            try twin.apply(mutation.array)
            if number == 5 {
                harness.engine?.flush(table: testTable)
                try harness.settle()
            }
        }
        return (harness, twin)
    }
}
