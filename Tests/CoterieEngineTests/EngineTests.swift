// The engine alone through its public API, against a dumb twin, over closings, kills and snapshots.

import CoterieEngine
import Foundation
import Testing

/// A folder of its own for each test.
final class TestFolder {
    let path: String

    init() throws {
        let url = FileManager.default.temporaryDirectory.appendingPathComponent(
            "engine-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        path = url.path
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    var engine: String { path + "/engine" }
}

/// Rows of a clustered table as dictionaries.
struct Twin: Equatable {
    var cells: [[UInt8]: [[UInt8]: [UInt32: [UInt8]]]] = [:]

    var rowCount: Int { cells.values.reduce(0) { $0 + $1.count } }
}

@Suite struct EngineTests {
    private func key(_ number: UInt64) -> [UInt8] {
        withUnsafeBytes(of: number.bigEndian) { [UInt8]($0) }
    }

    private func clustered(_ name: String = "t") -> TableDefinition {
        var definition = TableDefinition(name: name)
        definition.isClustered = true
        return definition
    }

    private var smallOptions: EngineOptions {
        var options = EngineOptions()
        options.memtableBytes = 128 << 10
        options.blockBytes = 512
        options.blockCacheBytes = 64 << 10
        options.logSegmentBytes = 256 << 10
        options.logTotalBytes = 1 << 20
        return options
    }

    /// All rows of a scan.
    private func contents(
        _ engine: Engine, _ table: Table, at snapshot: Snapshot? = nil, pageBytes: Int = 300
    ) throws -> Twin {
        var twin = Twin()
        let scan = try engine.scan(table, at: snapshot, pageBytes: pageBytes)
        while let row = try scan.next() {
            let partition = [UInt8](row.partition)
            let clustering = [UInt8](row.clustering)
            #expect(twin.cells[partition]?[clustering] == nil, "a row came twice")
            var cells = row.cells()
            while let cell = cells.next() {
                twin.cells[partition, default: [:]][clustering, default: [:]][cell.column] =
                    [UInt8](cell.value)
            }
        }
        return twin
    }

    private func logSizes(_ folder: String) throws -> [String: Int] {
        var sizes: [String: Int] = [:]
        for name in try FileManager.default.contentsOfDirectory(atPath: folder)
        where name.hasSuffix(".log") {
            let bytes = try #require(FileManager.default.contents(atPath: "\(folder)/\(name)"))
            sizes[name] = bytes.count
        }
        return sizes
    }

    @Test func aClosedEngineLeavesALogThatIsClosedAndComesBackWhole() throws {
        let folder = try TestFolder()
        for life in 0..<3 {
            let sizes = life == 0 ? [:] : try logSizes(folder.engine)
            let engine = try Engine.open(folder.engine, options: smallOptions)
            // A log without an end mark would have been cut off where its records end.
            let reopened = try logSizes(folder.engine)
            for (name, size) in sizes {
                #expect(
                    reopened[name] == nil || reopened[name] == size,
                    "\(name) of \(size), then \(reopened)")
            }
            #expect(life == 0 || sizes.keys.contains { reopened[$0] != nil })
            let table = try engine.createTable(TableDefinition(name: "t"))
            let batch = engine.makeBatch()
            for number in 0..<UInt64(life) * 10 {
                #expect(try engine.value(table, partition: key(number), column: 1) == [1])
            }
            for number in UInt64(life) * 10..<UInt64(life + 1) * 10 {
                batch.put(table, partition: key(number), column: 1, value: [1])
            }
            try engine.write(batch)
            // The next segment stands ready.
            try engine.waitUntilIdle()
            try engine.close()
        }
    }

    @Test func whatIsWrittenIsReadFlushedOrNot() throws {
        let folder = try TestFolder()
        let engine = try Engine.open(folder.engine)
        let table = try engine.createTable(TableDefinition(name: "things"))
        let batch = engine.makeBatch()
        batch.put(table, partition: [1], column: 1, value: [10])
        batch.put(table, partition: [2], column: 1, value: [20])
        try engine.write(batch)
        #expect(try engine.value(table, partition: [1], column: 1) == [10])
        try engine.flush()
        #expect(try engine.value(table, partition: [2], column: 1) == [20])
        #expect(try engine.value(table, partition: [3], column: 1) == nil)
        #expect(try engine.value(table, partition: [2], column: 2) == nil)
        batch.removeAll()
        batch.delete(table, partition: [1], column: 1)
        try engine.write(batch)
        #expect(try engine.value(table, partition: [1], column: 1) == nil)
        #expect(engine.figures(of: table).files == 1)
        try engine.close()
    }

    @Test(arguments: [1, 2, 3, 4] as [UInt64])
    func readsScansAndSnapshotsShowWhatATwinHas(seed: UInt64) throws {
        let folder = try TestFolder()
        var random = SplitMix(state: seed)
        var engine = try Engine.open(folder.engine, options: smallOptions)
        var table = try engine.createTable(clustered())
        var twin = Twin()
        var held: (snapshot: Snapshot, twin: Twin)?
        for _ in 0..<1_500 {
            let batch = engine.makeBatch()
            for _ in 0...random.below(8) { try change(&random, table, batch, &twin) }
            try engine.write(batch)
            switch random.below(100) {
            case 0: held = (try engine.snapshot(of: table), twin)
            case 1: try engine.flush()
            case 2: try engine.compact(table)
            case 3:
                held = nil
                if random.below(2) == 0 { try engine.close() }
                // Without `close` the handle is dropped, as a program that ends does.
                engine = try reopened(&engine, folder)
                table = try #require(engine.table(named: "t"))
            case 4...10: try checkPartition(&random, engine, table, twin)
            case 11:
                #expect(try contents(engine, table) == twin, "seed \(seed)")
                if let held {
                    #expect(
                        try contents(engine, table, at: held.snapshot) == held.twin, "seed \(seed)")
                }
            default: break
            }
        }
        #expect(try contents(engine, table) == twin, "seed \(seed)")
        #expect(engine.figures(of: table).files > 0)
        held = nil
        try engine.close()
    }

    private func reopened(_ engine: inout Engine, _ folder: TestFolder) throws -> Engine {
        let other = try TestFolder()
        engine = try Engine.open(other.engine)
        return try Engine.open(folder.engine, options: smallOptions)
    }

    private func change(
        _ random: inout SplitMix, _ table: Table, _ batch: WriteBatch, _ twin: inout Twin
    ) throws {
        let partition = key(random.below(6))
        let row = key(random.below(60))
        let column = UInt32(1 + random.below(3))
        switch random.below(40) {
        case 0:
            batch.deletePartition(table, partition: partition)
            twin.cells[partition] = nil
        case 1, 2:
            let other = key(random.below(60))
            let (from, to) = row.lexicographicallyPrecedes(other) ? (row, other) : (other, row)
            if from == to { return }
            try batch.deleteRange(table, partition: partition, from: from, to: to)
            for found in (twin.cells[partition] ?? [:]).keys
            where !found.lexicographicallyPrecedes(from) && found.lexicographicallyPrecedes(to) {
                twin.cells[partition]?[found] = nil
            }
        case 3, 4:
            batch.deleteRow(table, partition: partition, clustering: row)
            twin.cells[partition]?[row] = nil
        case 5...8:
            batch.delete(table, partition: partition, clustering: row, column: column)
            twin.cells[partition]?[row]?[column] = nil
            if twin.cells[partition]?[row]?.isEmpty == true { twin.cells[partition]?[row] = nil }
        default:
            let value = [UInt8](
                repeating: UInt8(random.below(256)), count: Int(random.below(200)))
            batch.put(
                table, partition: partition, clustering: row, column: column, value: value)
            twin.cells[partition, default: [:]][row, default: [:]][column] = value
        }
        if twin.cells[partition]?.isEmpty == true { twin.cells[partition] = nil }
    }

    private func checkPartition(
        _ random: inout SplitMix, _ engine: Engine, _ table: Table, _ twin: Twin
    ) throws {
        let partition = key(random.below(6))
        let from = key(random.below(60))
        let reversed = random.below(2) == 0
        let limit = Int(1 + random.below(20))
        let result = ReadResult()
        try engine.read(
            table, partition: partition,
            rows: .init(lower: from, reversed: reversed, limit: limit), into: result)
        var found: [[UInt8]] = []
        var rows = result.rows()
        while let row = rows.next() { found.append([UInt8](row.clustering)) }
        var expected = (twin.cells[partition] ?? [:]).keys.filter {
            !$0.lexicographicallyPrecedes(from)
        }.sorted { $0.lexicographicallyPrecedes($1) }
        if reversed { expected.reverse() }
        #expect(found == Array(expected.prefix(limit)))
    }

    @Test func aKilledProcessLosesNothingThatWriteReturnedFor() throws {
        let folder = try TestFolder()
        let engine = try Engine.open(folder.engine, options: smallOptions)
        let table = try engine.createTable(TableDefinition(name: "t"))
        for number: UInt64 in 0..<3_000 {
            let batch = engine.makeBatch()
            batch.put(table, partition: key(number), column: 1, value: key(number * 3))
            try engine.write(batch)
        }
        // The folder as a kill leaves it at this moment, while jobs may be running; a file that a job
        // removes meanwhile would be in no manifest.
        try engine.waitUntilIdle()
        let copy = folder.path + "/copy"
        try FileManager.default.copyItem(atPath: folder.engine, toPath: copy)
        let survivor = try Engine.open(copy, options: smallOptions)
        let found = try #require(survivor.table(named: "t"))
        for number: UInt64 in 0..<3_000 {
            #expect(
                try survivor.value(found, partition: key(number), column: 1) == key(number * 3))
        }
        try survivor.close()
        try engine.close()
    }

    @Test(arguments: [false, true])
    func scansOfManyFilesShowEachRowOnce(isDirect: Bool) throws {
        let folder = try TestFolder()
        var options = smallOptions
        options.readsDirectly = isDirect
        let engine = try Engine.open(folder.engine, options: options)
        let table = try engine.createTable(TableDefinition(name: "t"))
        let batch = engine.makeBatch()
        var twin: [[UInt8]: [UInt8]] = [:]
        // Files that share some partitions and not others, and a memtable over them.
        for file in UInt64(0)..<6 {
            for number in 0..<(file == 5 ? 50 : 400) {
                let partition = key(UInt64(number) &* (file % 3 + 1))
                let value = key(file * 1_000 + UInt64(number))
                batch.removeAll()
                if number % 17 == 3 {
                    batch.deleteRow(table, partition: partition)
                    twin[partition] = nil
                } else {
                    batch.put(table, partition: partition, column: 1, value: value)
                    twin[partition] = value
                }
                try engine.write(batch)
            }
            if file < 5 { try engine.flush(table) }
        }
        #expect(engine.figures(of: table).files >= 1)
        for pageBytes in [1, 700, 1 << 20] {
            let scan = try engine.scan(table, pageBytes: pageBytes)
            var seen: [[UInt8]: [UInt8]] = [:]
            var last = Int64.min
            while let row = try scan.next() {
                let token = Engine.token(of: row.partition)
                #expect(token > last)
                last = token
                seen[[UInt8](row.partition)] = row.value(1).map { [UInt8]($0) }
            }
            #expect(seen == twin)
        }
        for (partition, value) in twin {
            #expect(try engine.value(table, partition: partition, column: 1) == value)
        }
        try engine.close()
    }

    @Test func aCompactionRunsOnWhileRowsAreRead() throws {
        let folder = try TestFolder()
        let engine = try Engine.open(folder.engine, options: smallOptions)
        let table = try engine.createTable(TableDefinition(name: "t"))
        let batch = engine.makeBatch()
        for file in UInt64(0)..<3 {
            for number in UInt64(0)..<300 {
                batch.removeAll()
                batch.put(table, partition: key(number), column: 1, value: key(file))
                try engine.write(batch)
            }
            try engine.flush(table)
        }
        try engine.startCompaction(of: table)
        var reads = 0
        while engine.isCompacting {
            #expect(try engine.value(table, partition: key(7), column: 1) == key(2))
            reads += 1
        }
        #expect(reads > 0)
        try engine.waitUntilIdle()
        #expect(engine.figures(of: table).files == 1)
        try engine.close()
    }

    @Test func everyWriteIsSyncedIfAskedFor() throws {
        let folder = try TestFolder()
        var options = smallOptions
        options.durability = .everyWrite
        let engine = try Engine.open(folder.engine, options: options)
        let table = try engine.createTable(TableDefinition(name: "t"))
        for number: UInt64 in 0..<50 {
            let batch = engine.makeBatch()
            batch.put(
                table, partition: key(number), column: 1, value: Array(repeating: 1, count: 9_000))
            try engine.write(batch)
        }
        #expect(try contents(engine, table, pageBytes: 20_000).rowCount == 50)
        try engine.sync()
        try engine.close()
    }

    @Test func aLaterTimestampStandsWhateverTheOrder() throws {
        let folder = try TestFolder()
        let engine = try Engine.open(folder.engine)
        let table = try engine.createTable(TableDefinition(name: "t"))
        let batch = engine.makeBatch()
        batch.put(table, partition: [1], column: 1, value: [1], timeToLive: 1_000, timestamp: 7)
        batch.put(table, partition: [1], column: 1, value: [2], timestamp: 6)
        batch.put(table, partition: [2], column: 1, value: [2], timestamp: 6)
        batch.delete(table, partition: [2], column: 1, timestamp: 6)
        try engine.write(batch)
        #expect(try engine.value(table, partition: [1], column: 1) == [1])
        #expect(try engine.value(table, partition: [2], column: 1) == nil)
        try engine.close()
    }

    @Test func tablesStayAndDroppedOnesComeBackEmpty() throws {
        let folder = try TestFolder()
        let engine = try Engine.open(folder.engine)
        let table = try engine.createTable(TableDefinition(name: "a"))
        _ = try engine.createTable(clustered("b"))
        let batch = engine.makeBatch()
        batch.put(table, partition: [1], column: 1, value: [1])
        try engine.write(batch)
        try engine.dropTable(table)
        #expect(throws: EngineError.self) { try engine.write(batch) }
        let again = try engine.createTable(TableDefinition(name: "a"))
        #expect(try engine.value(again, partition: [1], column: 1) == nil)
        try engine.close()
        let reopened = try Engine.open(folder.engine)
        #expect(reopened.allTables.map(\.name) == ["a", "b"])
        #expect(reopened.table(named: "b")?.definition.isClustered == true)
        let found = try #require(reopened.table(named: "a"))
        #expect(try reopened.value(found, partition: [1], column: 1) == nil)
        try reopened.close()
    }

    @Test func aFolderHasOneEngineAtATime() throws {
        let folder = try TestFolder()
        let engine = try Engine.open(folder.engine)
        #expect(throws: EngineError.self) { try Engine.open(folder.engine) }
        try engine.close()
        #expect(throws: EngineError.self) { try engine.flush() }
    }

    @Test func theCatalogueOfVersionOneIsReadAndWrittenAsItWas() throws {
        let golden = URL(fileURLWithPath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "Fixtures/formats/engine-catalogue/1/catalogue.hex")
        let bytes = try String(contentsOf: golden, encoding: .utf8).split(separator: "\n")
            .flatMap { $0.split(separator: " ").dropFirst().compactMap { UInt8($0, radix: 16) } }
        let written = try TestFolder()
        let engine = try Engine.open(written.engine)
        _ = try engine.createTable(TableDefinition(name: "t"))
        try engine.close()
        let path = "/engine-catalogue"
        #expect(try [UInt8](Data(contentsOf: URL(fileURLWithPath: written.engine + path))) == bytes)
        let read = try TestFolder()
        try FileManager.default.createDirectory(
            atPath: read.engine, withIntermediateDirectories: true)
        try Data(bytes).write(to: URL(fileURLWithPath: read.engine + path))
        let reopened = try Engine.open(read.engine)
        #expect(reopened.allTables.map(\.name) == ["t"])
        try reopened.close()
    }

    @Test func aDamagedCatalogueIsRefused() throws {
        let folder = try TestFolder()
        let engine = try Engine.open(folder.engine)
        _ = try engine.createTable(TableDefinition(name: "a"))
        try engine.close()
        let path = folder.engine + "/engine-catalogue"
        let whole = try [UInt8](Data(contentsOf: URL(fileURLWithPath: path)))
        for index in whole.indices {
            var damaged = whole
            damaged[index] ^= 0x10
            try Data(damaged).write(to: URL(fileURLWithPath: path))
            #expect(throws: EngineError.self) { try Engine.open(folder.engine) }
            try Data(whole[..<index]).write(to: URL(fileURLWithPath: path))
            #expect(throws: EngineError.self) { try Engine.open(folder.engine) }
        }
        try FileManager.default.removeItem(atPath: path)
        #expect(throws: EngineError.self) { try Engine.open(folder.engine) }
    }

    @Test func theExampleRuns() throws {
        let folder = try TestFolder()
        let program = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
            .appendingPathComponent("EngineExample")
        let process = Process()
        process.executableURL = program
        process.arguments = [folder.engine]
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let bytes = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        #expect(
            String(decoding: bytes, as: UTF8.self) == """
                attic at 99
                attic at 98
                attic at 97
                200 rows before the deletion, 120 after it
                1 file after a compaction
                200 rows are still in the snapshot

                """)
    }
}

/// Random numbers of a seed (SplitMix64).
struct SplitMix {
    var state: UInt64

    mutating func below(_ bound: UInt64) -> UInt64 {
        state = state &+ 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return (z ^ (z >> 31)).multipliedFullWidth(by: bound).high
    }
}
