// The engine's single promises about compaction: speed, stopping, commands, room on the disk, purging,
// and what it tells about itself.

import Encoding
import Environment
import Model
import Testing

@testable import Storage

@Suite struct CompactionEngineTests {
    private let everything = ReadCommand(
        table: testTable, scope: .range(ReadCommand.TokenScope(start: .min, end: .max)),
        nowInSeconds: 1_000)

    private func harness(
        _ adjust: (inout Configuration.Storage) -> Void = { _ in }
    ) throws -> Harness {
        try tableHarness(options: { _ in }, adjust)
    }

    private func tableHarness(
        options: (inout TableOptions) -> Void,
        _ adjust: (inout Configuration.Storage) -> Void = { _ in }
    ) throws -> Harness {
        var configuration = Configuration.Storage()
        configuration.blockBytes = 300
        configuration.jobStepBytes = 500
        configuration.compactionThroughputBytesPerSecond = 0
        adjust(&configuration)
        let harness = Harness(
            schema: testSchema(options), configuration: configuration,
            random: RandomStream(seed: 1, name: "harness"))
        try harness.open()
        return harness
    }

    /// Flushed files of some writes each, not compacted.
    private func fill(_ harness: Harness, files: Int, writes: Int = 30) throws {
        var generator = Generator(seed: 3)
        harness.engine?.setAutomaticCompaction(table: nil, false)
        for _ in 0..<files {
            for _ in 0..<writes { try harness.apply(try generator.mutation()) }
            harness.engine?.flush(table: testTable)
            try harness.settle()
        }
    }

    private func table(_ harness: Harness) throws -> TableState {
        try #require(harness.engine?.tables[testTable])
    }

    /// One partition with a deletion or a row, flushed.
    private func write(
        _ harness: Harness, key: [UInt8] = [1, 2, 3], deletedAt: Int64? = nil, local: UInt32 = 1,
        rowAt: Int64? = nil, expires: UInt32? = nil
    ) throws {
        let writer = ByteWriter()
        key.withUnsafeBytes {
            MutationWriter.begin(
                table: testTable, token: Token.of(key).value, key: $0, into: writer)
        }
        let deletion = deletedAt.map { Deletion(timestamp: $0, localDeletionTime: local) }
        PartitionWriter.begin(deletion: deletion ?? .none, into: writer)
        if let rowAt {
            var liveness = Liveness(timestamp: rowAt)
            if let expires {
                liveness.timeToLive = 10
                liveness.expiresAt = expires
            }
            let row = ByteWriter()
            var rowWriter = RowWriter()
            rowWriter.begin(liveness: liveness, deletion: .none, baseTimestamp: 0, into: row)
            PartitionWriter.append(
                key: UnsafeRawBufferPointer(start: nil, count: 0), row: row.bytes, into: writer)
        }
        try harness.apply(writer.array)
        harness.engine?.flush(table: testTable)
        try harness.settle()
    }

    // MARK: Speed and stopping

    @Test func compactionKeepsToItsThroughput() throws {
        let harness = try harness { $0.compactionThroughputBytesPerSecond = 1_000 }
        try fill(harness, files: 4)
        let bytes = try table(harness).sstables.reduce(0) { $0 + $1.metadata.bytes }
        let engine = try #require(harness.engine)
        engine.compact(table: testTable)
        let start = harness.nanoseconds
        while try table(harness).sstables.count > 1 {
            try harness.settle()
            guard let wake = engine.nextWake else { break }
            harness.nanoseconds = max(harness.nanoseconds, wake.nanoseconds)
        }
        let seconds = Double(harness.nanoseconds - start) / 1e9
        let expected = Double(bytes) / 1_000
        #expect(seconds > expected * 0.6 && seconds < expected * 1.2, "\(seconds) for \(expected)")
    }

    @Test func throughputChangesWhileACompactionWaits() throws {
        let harness = try harness { $0.compactionThroughputBytesPerSecond = 1 }
        try fill(harness, files: 4)
        let engine = try #require(harness.engine)
        engine.compact(table: testTable)
        try harness.settle()
        #expect(engine.compactions.count == 1)
        #expect(engine.compactions[0].bytesDone > 0)
        engine.compactionThroughputBytesPerSecond = 0
        try harness.settle()
        #expect(try table(harness).sstables.count == 1 && engine.compactions.isEmpty)
    }

    @Test func aStoppedCompactionLeavesItsInputsAndNothingElse() throws {
        let harness = try harness { $0.compactionThroughputBytesPerSecond = 1 }
        try fill(harness, files: 4)
        let engine = try #require(harness.engine)
        let before = try harness.read(everything)
        let files = harness.files.names.keys.filter { $0.text.contains("sst-") }
        engine.compact(table: testTable)
        try harness.settle()
        let id = try #require(engine.compactions.first?.id)
        #expect(engine.stopCompaction(id) && !engine.stopCompaction(CompactionID(77)))
        try harness.settle()
        #expect(engine.compactions.isEmpty && engine.compactionHistory.isEmpty)
        #expect(harness.files.names.keys.filter { $0.text.contains("sst-") }.count == files.count)
        #expect(try harness.read(everything) == before)
        // It may be begun again.
        engine.compactionThroughputBytesPerSecond = 0
        engine.compact(table: testTable)
        try harness.settle()
        #expect(try table(harness).sstables.count == 1)
        #expect(try harness.read(everything) == before)
    }

    @Test func automaticCompactionCanBeSwitchedOff() throws {
        let harness = try harness { $0.concurrentCompactors = 2 }
        try fill(harness, files: 6)
        let engine = try #require(harness.engine)
        #expect(try table(harness).sstables.count == 6)
        #expect(engine.isAutomaticCompactionOn(table: testTable) == false)
        #expect(engine.statistics(of: testTable)?.pendingCompactions == 1)
        engine.setAutomaticCompaction(table: testTable, true)
        try harness.settle()
        #expect(try table(harness).sstables.count == 1)
    }

    @Test func aTableWithEnabledFalseIsCompactedOnlyWhenAsked() throws {
        let harness = try tableHarness(options: { $0.compaction["enabled"] = "false" })
        try fill(harness, files: 5)
        harness.engine?.setAutomaticCompaction(table: nil, true)
        try harness.settle()
        #expect(try table(harness).sstables.count == 5)
        harness.engine?.compact(table: testTable)
        try harness.settle()
        #expect(try table(harness).sstables.count == 1)
    }

    @Test func separateCompactionsOfOneTableRunAtOnce() throws {
        let harness = try tableHarness(options: { $0.compaction["min_sstable_size"] = "0" }) {
            $0.concurrentCompactors = 2
            $0.compactionThroughputBytesPerSecond = 1
        }
        try fill(harness, files: 4, writes: 12)
        try fill(harness, files: 4, writes: 120)
        let engine = try #require(harness.engine)
        engine.setAutomaticCompaction(table: nil, true)
        try harness.settle()
        #expect(engine.compactions.count == 2)
        #expect(engine.statistics(of: testTable)?.sstables == 8)
        engine.compactionThroughputBytesPerSecond = 0
        try harness.settle()
        #expect(try table(harness).sstables.count == 2)
    }

    // MARK: Commands

    @Test func filesAreCompactedByName() throws {
        let harness = try harness()
        try fill(harness, files: 4)
        let sstables = try table(harness).sstables
        let names = [sstables[1], sstables[3]].map(\.metadata.file)
        let unknown = FileName("g1s0-sst-999.db")
        var refused = RefusedFiles()
        refused.unknown = [unknown]
        #expect(harness.engine?.compact(files: names + [unknown]) == refused)
        let before = try harness.read(everything)
        try harness.settle()
        let left = try table(harness).sstables
        #expect(left.count == 3 && left[0] === sstables[0] && left[1] === sstables[2])
        #expect(try harness.read(everything) == before)
        #expect(harness.engine?.compactionHistory.last?.reason == "user_defined")
    }

    @Test func filesThatAreBusyOrDamagedAreNamed() throws {
        let harness = try harness()
        try fill(harness, files: 4)
        let engine = try #require(harness.engine)
        let sstables = try table(harness).sstables
        let names = sstables.map(\.metadata.file)
        #expect(engine.compact(files: [names[0], names[1]]).isEmpty)
        try harness.endTick()
        sstables[2].isSuspect = true
        let refused = engine.compact(files: [names[1], names[2], names[3]])
        #expect(refused.busy == [names[1]])
        #expect(refused.suspect == [names[2]])
        #expect(refused.unknown.isEmpty)
        try harness.settle()
        let left = try table(harness).sstables
        #expect(left.count == 3)
        #expect(left[0] === sstables[2], "the damaged file stays")
        #expect(!left.contains { $0 === sstables[3] }, "the other went")
    }

    @Test func onlyFilesOfTheTokensAreCompacted() throws {
        let harness = try harness()
        harness.engine?.setAutomaticCompaction(table: nil, false)
        for number in 0..<6 { try write(harness, key: [UInt8(number)], rowAt: 5) }
        let tokens = (0..<6).map { Token.of([UInt8($0)]).value }.sorted()
        harness.engine?.compact(table: testTable, tokens: tokens[0]...tokens[2])
        try harness.settle()
        #expect(try table(harness).sstables.count == 4)
    }

    @Test func levelledTablesGetRunsThatDoNotOverlap() throws {
        let harness = try harness()
        try fill(harness, files: 5, writes: 100)
        var levels = CompactionOptions.Leveled()
        levels.sstableBytes = 3_000
        var options = CompactionOptions()
        options.strategy = .leveled(levels)
        let state = try table(harness)
        state.strategy = CompactionStrategy(options: options)
        let before = try harness.read(everything)
        harness.engine?.setAutomaticCompaction(table: nil, true)
        try harness.settle()
        let made = state.sstables.filter { $0.entry.level == 1 }
        #expect(made.count > 2)
        #expect(harness.engine?.statistics(of: testTable)?.sstablesByLevel.count == 2)
        #expect(harness.engine?.statistics(of: testTable)?.readAmplification == 1)
        #expect(try harness.read(everything) == before)
        try harness.open()
        #expect(try table(harness).sstables.filter { $0.entry.level == 1 }.count == made.count)
    }

    // MARK: The disk

    @Test func aCompactionWithoutRoomWaitsAndTakesLess() throws {
        let harness = try tableHarness(options: { $0.compaction["min_threshold"] = "4" })
        try fill(harness, files: 3, writes: 10)
        try fill(harness, files: 1, writes: 200)
        let state = try table(harness)
        let sizes = state.sstables.map(\.metadata.bytes)
        let used = harness.files.names.values.reduce(0) { $0 + $1.bytes.count }
        // Room for the three small ones, not for the large one.
        harness.files.capacityBytes = used + sizes[0..<3].reduce(0, +) * 3 / 2
        let before = try harness.read(everything)
        let engine = try #require(harness.engine)
        engine.setAutomaticCompaction(table: nil, true)
        try harness.settle()
        #expect(engine.statistics(of: testTable)?.compactionsWithoutRoom == 1)
        #expect(state.sstables.count == 4)
        harness.nanoseconds = try #require(engine.nextWake).nanoseconds
        try harness.settle()
        #expect(state.sstables.count == 2)
        #expect(try harness.read(everything) == before)
    }

    @Test func aDiskThatFillsUpUnderACompactionCostsOnlyThatCompaction() throws {
        let harness = try harness()
        try fill(harness, files: 4, writes: 60)
        let engine = try #require(harness.engine)
        engine.compact(table: testTable)
        try harness.endTick()
        for _ in 0..<3 { try harness.work() }
        harness.files.capacityBytes = harness.files.names.values.reduce(0) { $0 + $1.bytes.count }
        try harness.settle()
        #expect(engine.statistics(of: testTable)?.compactionsWithoutRoom == 1)
        #expect(harness.files.names.keys.filter { $0.text.contains("sst-") }.count == 4)
        _ = try harness.read(everything)
    }

    @Test func aDamagedFileIsLeftAloneAndTheOthersAreCompacted() throws {
        let harness = try harness { $0.blockCacheBytes = 0 }
        try fill(harness, files: 6)
        let state = try table(harness)
        let bad = state.sstables[2]
        harness.files.names[bad.metadata.file]?.bytes[40] ^= 0xFF
        harness.engine?.setAutomaticCompaction(table: nil, true)
        try harness.settle()
        #expect(bad.isSuspect && !bad.isObsolete)
        #expect(state.sstables.count == 2 && state.sstables.contains { $0 === bad })
    }

    // MARK: Purging

    @Test func aFileOfExpiredDataGoesWithoutBeingRead() throws {
        let harness = try harness { $0.blockCacheBytes = 0 }
        harness.seconds = 500
        try write(harness, rowAt: 5, expires: 900)
        try write(harness, key: [9], rowAt: 7)
        // Past its expiry, not past gc grace.
        harness.seconds = 950
        try write(harness, key: [8], rowAt: 8)
        #expect(try table(harness).sstables.count == 3)
        harness.seconds = 1_000
        try write(harness, key: [7], rowAt: 9)
        try harness.settle()
        #expect(try table(harness).sstables.count == 3)
        let record = try #require(harness.engine?.compactionHistory.last)
        #expect(record.reason == "expired" && record.bytesOut == 0 && record.inputs == 1)
    }

    @Test func expiredDataBecomesATombstoneThenGoesAfterGcGrace() throws {
        let harness = try harness()
        harness.engine?.setAutomaticCompaction(table: nil, false)
        try write(harness, deletedAt: 1, rowAt: 5, expires: 980)
        try write(harness, key: [9], rowAt: 7)
        harness.engine?.compact(table: testTable)
        try harness.settle()
        #expect(try table(harness).sstables.first?.metadata.statistics.partitions == 2)
        harness.seconds = 2_000
        harness.engine?.compact(table: testTable)
        try harness.settle()
        #expect(try table(harness).sstables.first?.metadata.statistics.partitions == 1)
    }

    private func survives(
        _ mode: TombstoneGC.Mode, repairedAt: Int64 = 0, seconds: Int64 = 1_000_000,
        onlyRepaired: Bool = false
    ) throws -> Bool {
        let harness = try tableHarness(options: {
            $0.tombstoneGC.mode = mode
            if onlyRepaired { $0.compaction["only_purge_repaired_tombstones"] = "true" }
        })
        harness.schema = replicated(harness.schema)
        try harness.open()
        harness.engine?.setAutomaticCompaction(table: nil, false)
        try write(harness, deletedAt: 5, local: 999)
        for sstable in try table(harness).sstables {
            sstable.entry.repairedAt = repairedAt * 1_000
        }
        harness.seconds = seconds
        harness.engine?.compact(table: testTable)
        try harness.settle()
        return try !table(harness).sstables.isEmpty
    }

    private func replicated(_ schema: SchemaSnapshot) -> SchemaSnapshot {
        SchemaSnapshot(
            epoch: 2, version: schema.version,
            keyspaces: [
                KeyspaceSchema(
                    name: "ks",
                    replication: ReplicationParameters(
                        strategyClass: "SimpleStrategy", options: ["replication_factor": "3"]),
                    tables: schema.keyspaces[0].tables)
            ])
    }

    @Test func tombstonesGoAsTheTablesModeSays() throws {
        #expect(try !survives(.timeout))
        #expect(try survives(.timeout, seconds: 1_000))
        #expect(try !survives(.immediate, seconds: 1_000))
        #expect(try survives(.disabled))
        #expect(try survives(.repair))
        #expect(try !survives(.repair, repairedAt: 10_000))
        // The repair began before the deletion had time to spread.
        #expect(try survives(.repair, repairedAt: 2_000))
        #expect(try survives(.timeout, onlyRepaired: true))
        #expect(try !survives(.timeout, repairedAt: 10_000, onlyRepaired: true))
    }

    @Test func repairedAndUnrepairedFilesAreNotMixed() throws {
        let harness = try harness()
        try fill(harness, files: 8)
        let state = try table(harness)
        for sstable in state.sstables[0..<4] { sstable.entry.repairedAt = 5_000 }
        harness.engine?.setAutomaticCompaction(table: nil, true)
        try harness.settle()
        #expect(state.sstables.map(\.entry.repairedAt).sorted() == [0, 5_000])
    }

    // MARK: Figures

    @Test func amplificationIsMeasured() throws {
        let harness = try harness()
        try fill(harness, files: 4)
        let engine = try #require(harness.engine)
        let before = try #require(engine.statistics(of: testTable))
        #expect(before.writeAmplification == 1 && before.readAmplification == 4)
        #expect(before.spaceAmplification > 2)
        #expect(before.pendingCompactions == 1)
        #expect(before.pendingCompactionBytes == before.sstableBytes)
        engine.setAutomaticCompaction(table: nil, true)
        try harness.settle()
        let after = try #require(engine.statistics(of: testTable))
        #expect(after.writeAmplification > 1 && after.readAmplification == 1)
        #expect(after.spaceAmplification == 1 && after.pendingCompactions == 0)
        let record = try #require(engine.compactionHistory.last)
        #expect(record.keyspace == "ks" && record.table == "t" && record.reason == "size_tiered")
        #expect(record.bytesIn == before.sstableBytes && record.bytesOut == after.sstableBytes)
        #expect(record.inputs == 4 && record.outputs == 1)
        #expect(record.partitionsBySources.reduce(0, +) >= 12)
    }
}
