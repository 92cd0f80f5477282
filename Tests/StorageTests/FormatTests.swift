// The formats' golden files: today's writers make these bytes, and today's readers read them. To accept
// a change of an unstable format, run with COTERIE_UPDATE_FIXTURES=1 and look at the difference.

import Encoding
import Environment
import Foundation
import Model
import Testing

@testable import Storage

@Suite struct FormatTests {
    private static let folder = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Fixtures/formats")

    /// Lines of sixteen bytes, as `docs/formats` shows them.
    private func hex(_ bytes: [UInt8]) -> String {
        stride(from: 0, to: bytes.count, by: 16).map { start in
            let line = bytes[start..<min(start + 16, bytes.count)]
            let offset = String(start, radix: 16)
            let padded = String(repeating: "0", count: max(0, 4 - offset.count)) + offset
            return padded + "  " + line.map { HexText.digits($0) }.joined(separator: " ") + "\n"
        }.joined()
    }

    private func parse(_ text: String) -> [UInt8] {
        text.split(separator: "\n").flatMap { line in
            line.split(separator: " ").dropFirst().compactMap { UInt8($0, radix: 16) }
        }
    }

    private func check(_ bytes: [UInt8], _ name: String) throws -> [UInt8] {
        let file = Self.folder.appending(path: name)
        if ProcessInfo.processInfo.environment["COTERIE_UPDATE_FIXTURES"] != nil {
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try hex(bytes).write(to: file, atomically: true, encoding: .utf8)
        }
        let golden = try String(contentsOf: file, encoding: .utf8)
        #expect(hex(bytes) == golden, "\(name)")
        return parse(golden)
    }

    /// A golden file whose bytes a library makes, another version of which may make others: it is only
    /// read, and written with COTERIE_UPDATE_FIXTURES.
    private func kept(_ name: String, _ make: () throws -> [UInt8]) throws -> [UInt8] {
        if ProcessInfo.processInfo.environment["COTERIE_UPDATE_FIXTURES"] != nil {
            return try check(make(), name)
        }
        return parse(
            try String(contentsOf: Self.folder.appending(path: name), encoding: .utf8))
    }

    // MARK: The sample

    private let key: [UInt8] = [0, 0, 0, 1]

    private func row(_ timestamp: Int64, _ value: [UInt8]) -> [UInt8] {
        let bytes = ByteWriter()
        var writer = RowWriter()
        writer.begin(
            liveness: Liveness(timestamp: timestamp), deletion: .none, baseTimestamp: 0, into: bytes
        )
        value.withUnsafeBytes {
            writer.append(Cell(column: 3, flags: [], timestamp: timestamp, value: $0), into: bytes)
        }
        writer.append(
            Cell(column: 4, flags: .tombstone, timestamp: timestamp + 1, localDeletionTime: 900),
            into: bytes)
        return bytes.array
    }

    /// Two rows that share a prefix, a static row, a range deletion and a deletion of the partition.
    private func mutation() -> [UInt8] {
        let writer = ByteWriter()
        key.withUnsafeBytes {
            MutationWriter.begin(
                table: testTable, token: Token.of(key).value, key: $0, into: writer)
        }
        let staticRow = ByteWriter()
        var rowWriter = RowWriter()
        rowWriter.begin(liveness: .none, deletion: .none, baseTimestamp: 7, into: staticRow)
        [UInt8(0x53)].withUnsafeBytes {
            rowWriter.append(
                Cell(
                    column: 2, flags: .expiring, timestamp: 7, localDeletionTime: 5_000,
                    timeToLive: 60, value: $0), into: staticRow)
        }
        PartitionWriter.begin(
            deletion: Deletion(timestamp: 1, localDeletionTime: 800), staticRow: staticRow.bytes,
            ranges: [
                RangeTombstone(
                    start: [0x40, 0x10], end: [0x40, 0x20],
                    deletion: Deletion(timestamp: 2, localDeletionTime: 801))
            ], into: writer)
        for (clustering, row) in [
            ([UInt8(0x40), 0x01, 0x38], row(5, [1, 2, 3])), ([0x40, 0x02, 0x38], row(6, [4])),
        ] {
            clustering.withUnsafeBytes { key in
                row.withUnsafeBytes { PartitionWriter.append(key: key, row: $0, into: writer) }
            }
        }
        return writer.array
    }

    /// Forty rows, compressible and in several blocks, with a counter in each.
    private func longMutation() -> [UInt8] {
        let writer = ByteWriter()
        key.withUnsafeBytes {
            MutationWriter.begin(
                table: testTable, token: Token.of(key).value, key: $0, into: writer)
        }
        PartitionWriter.begin(
            deletion: .none, staticRow: UnsafeRawBufferPointer(start: nil, count: 0),
            ranges: [
                RangeTombstone(
                    start: [0x40, 5], end: [0x40, 30],
                    deletion: Deletion(timestamp: 2, localDeletionTime: 801))
            ], into: writer)
        for number in 1...40 as ClosedRange<UInt8> {
            let row = counterRow(Int64(number))
            [0x40, number, 0x38].withUnsafeBytes { key in
                row.withUnsafeBytes { PartitionWriter.append(key: key, row: $0, into: writer) }
            }
        }
        return writer.array
    }

    /// Two replicas have counted.
    private func counterRow(_ clock: Int64) -> [UInt8] {
        let value = ByteWriter()
        for replica in 1...2 as ClosedRange<UInt64> {
            CounterShards.append(
                CounterShard(
                    replica: UniqueID(high: 0xAB, low: replica), clock: clock + 10 * Int64(replica),
                    count: clock), into: value)
        }
        let bytes = ByteWriter()
        var writer = RowWriter()
        writer.begin(liveness: .none, deletion: .none, baseTimestamp: clock + 20, into: bytes)
        writer.append(
            Cell(column: 7, flags: .counter, timestamp: clock + 20, value: value.bytes), into: bytes
        )
        writer.append(
            Cell(
                column: 8, flags: [.counter, .tombstone], timestamp: clock, localDeletionTime: 900),
            into: bytes)
        return bytes.array
    }

    private func harness(_ compression: [String: String] = [:]) -> Harness {
        var configuration = Configuration.Storage()
        configuration.commitLogSegmentBytes = 1 << 20
        if !compression.isEmpty { configuration.blockBytes = 700 }
        return Harness(
            schema: testSchema {
                $0.gcGraceSeconds = 1_000_000
                $0.compression = compression
            }, configuration: configuration, random: RandomStream(seed: 1, name: "golden"))
    }

    private var everything: ReadCommand {
        ReadCommand(
            table: testTable, scope: .range(ReadCommand.TokenScope(start: .min, end: .max)),
            nowInSeconds: 1_000)
    }

    private func expected() throws -> [UInt8] {
        var twin = Twin()
        try twin.apply(mutation())
        return try twin.read(everything, gcGrace: 1_000_000)
    }

    // MARK: Formats

    @Test func rowsOfVersionOne() throws {
        let golden = try check(mutation(), "row/1/mutation.hex")
        try golden.withUnsafeBytes { try MutationView($0).validate() }
    }

    @Test func countersOfVersionOne() throws {
        let golden = try check(counterRow(5), "row/1/counter.hex")
        try golden.withUnsafeBytes { try RowView($0).validate() }
    }

    /// Tables whose blocks are compressed and whose partition goes over several of them.
    @Test(arguments: ["LZ4Compressor", "ZstdCompressor"])
    func compressedSSTablesOfVersionOne(compressor: String) throws {
        let compression = ["class": compressor]
        let table = FileName("g1s0-sst-1.db")
        let manifest = FileName("g1s0-manifest-1.log")
        let harness = harness(compression)
        try harness.open()
        try harness.apply(longMutation())
        harness.engine?.flush(table: nil)
        try harness.settle()
        let golden = try kept("sstable/1/\(compressor).hex") {
            try #require(harness.files.names[table]).bytes
        }
        let reader = self.harness(compression)
        reader.incarnation = 2
        let written = try #require(harness.files.names[manifest]).bytes
        for (file, bytes) in [(table, golden), (manifest, written)] {
            let inode = MemoryFiles.Inode()
            inode.bytes = bytes
            reader.files.names[file] = inode
        }
        try reader.open()
        let opened = try #require(reader.engine?.tables[testTable]?.sstables.first)
        #expect(opened.metadata.blocks.count > 2)
        #expect(golden[16] == (compressor == "LZ4Compressor" ? 1 : 2))
        var twin = Twin()
        try twin.apply(longMutation())
        for reversed in [false, true] {
            var command = everything
            command.reversed = reversed
            #expect(
                try reader.read(command) == (try twin.read(command, gcGrace: 1_000_000)))
        }
    }

    @Test func commitLogOfVersionOne() throws {
        let harness = harness()
        try harness.open()
        try harness.apply(mutation())
        try harness.endTick()
        let file = FileName("g1s0-commitlog-1.log")
        let golden = try check(
            try #require(harness.files.names[file]).bytes, "commit-log/1/segment.hex")
        let reader = self.harness()
        reader.incarnation = 2
        let inode = MemoryFiles.Inode()
        inode.bytes = golden
        reader.files.names[file] = inode
        try reader.open()
        #expect(reader.engine?.replayReport.records == 1)
        #expect(try reader.read(everything) == (try expected()))
    }

    /// A segment that was closed: several records, the end mark, and what a later one says is synced.
    @Test func closedSegmentsOfVersionOne() throws {
        let harness = harness()
        harness.configuration.commitLogSegmentBytes = 400
        harness.configuration.maximumMutationBytes = 1 << 16
        try harness.open()
        for _ in 0..<6 {
            try harness.apply(mutation())
            harness.engine?.requestSync()
            try harness.settle()
        }
        let files = [1, 2].map { FileName("g1s0-commitlog-\($0).log") }
        let reader = self.harness()
        reader.incarnation = 2
        for (file, name) in zip(files, ["closed", "successor"]) {
            let inode = MemoryFiles.Inode()
            inode.bytes = try check(
                try #require(harness.files.names[file]).bytes, "commit-log/1/\(name).hex")
            reader.files.names[file] = inode
        }
        let read = try LogInspection.commitLog(files[0], reader.files) { _ in }
        #expect(read["closed"] == .bool(true))
        try reader.open()
        #expect(reader.engine?.replayReport.records ?? 0 > 2)
        #expect(try reader.read(everything) == (try expected()))
    }

    /// Every kind of edit with nothing at zero.
    @Test func manifestEditsOfVersionOne() throws {
        let file = FileName("g1s0-manifest-7.log")
        func entry(_ number: UInt64, level: UInt8) -> ManifestEntry {
            ManifestEntry(
                number: number, table: testTable, level: level, repairedAt: 1_700_000_000_123,
                pendingRepair: UniqueID(high: 0xA1, low: 0xA2),
                originHost: UniqueID(high: 0xB1, low: 0xB2),
                position: LogPosition(segment: 3, offset: 4_096), createdAt: 1_700_000_000)
        }
        let records: [[ManifestEdit]] = [
            [.clear, .nextNumber(300)],
            [.add(entry(17, level: 2)), .add(entry(299, level: 0))],
            [.remove(number: 299), .flushed(testTable, LogPosition(segment: 5, offset: 64))],
            [.flushed(otherTable, LogPosition(segment: 6, offset: 65)), .dropTable(otherTable)],
        ]
        var bytes = ManifestFile.header(file)
        for record in records {
            bytes += ManifestFile.record(record, file) + ManifestFile.mark(file)
        }
        let golden = try check(bytes, "manifest/1/edits.hex")
        let files = MemoryFiles()
        let inode = MemoryFiles.Inode()
        inode.bytes = golden
        files.names[file] = inode
        var expected = ManifestState()
        expected.entries = [17: entry(17, level: 2)]
        expected.flushed = [testTable: LogPosition(segment: 5, offset: 64)]
        expected.nextNumber = 300
        #expect(try ManifestFile.load(file, from: files) == expected)
    }

    @Test func snapshotManifestsOfVersionOne() throws {
        let key = SnapshotKey(tag: "before upgrade", table: testTable, part: "g1s0")
        let manifest = SnapshotManifest(
            key: key, keyspace: "Ks", table: "t", parts: 2,
            createdAt: WallTime(microseconds: 1_764_000_000_000_000),
            expiresAt: WallTime(microseconds: 1_764_086_400_000_000), isEphemeral: true,
            columns: SnapshotManifest.columns(of: try #require(testSchema().table("ks", "t"))),
            files: [
                .init(
                    name: SnapshotName.file(key, .data(1)), source: "g1s0-sst-17.db",
                    bytes: 81_920, digest: 2_774_901_234, partitions: 512),
                .init(
                    name: SnapshotName.file(key, .data(2)), source: "", bytes: 400, digest: 7,
                    partitions: 1),
            ])
        let golden = try check([UInt8](manifest.text.utf8), "snapshot/1/manifest.hex")
        #expect(golden.withUnsafeBytes { SnapshotManifest($0) } == manifest)
    }

    @Test func sstableAndManifestOfVersionOne() throws {
        let harness = harness()
        try harness.open()
        try harness.apply(mutation())
        harness.engine?.flush(table: nil)
        try harness.settle()
        let table = FileName("g1s0-sst-1.db")
        let manifest = FileName("g1s0-manifest-1.log")
        let goldenTable = try check(
            try #require(harness.files.names[table]).bytes, "sstable/1/table.hex")
        let goldenManifest = try check(
            try #require(harness.files.names[manifest]).bytes, "manifest/1/manifest.hex")
        let reader = self.harness()
        reader.incarnation = 2
        for (file, bytes) in [(table, goldenTable), (manifest, goldenManifest)] {
            let inode = MemoryFiles.Inode()
            inode.bytes = bytes
            reader.files.names[file] = inode
        }
        try reader.open()
        #expect(reader.engine?.statistics(of: testTable)?.sstables == 1)
        #expect(try reader.read(everything) == (try expected()))
    }

    @Test func hintsOfVersionOne() throws {
        let host = HostID(UniqueID(high: 0xA, low: 0xB))
        let file = FileName("h0-hints-\(host)-1.hint")
        let world = HintWorld()
        try world.open()
        world.store?.add(
            target: host, mutation: [1, 2, 3], createdAt: WallTime(microseconds: 1_000_000),
            expiresAt: WallTime(microseconds: 9_000_000))
        try world.settle()
        let golden = try check(try #require(world.files.names[file]).bytes, "hints/1/file.hex")
        let reader = HintWorld()
        let inode = MemoryFiles.Inode()
        inode.bytes = golden
        reader.files.names[file] = inode
        try reader.open()
        #expect(try reader.takeAll(host) == [[1, 2, 3]])
    }
}
