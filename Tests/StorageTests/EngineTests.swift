// The engine's single promises: truncation, dropped tables, errors, syncs, segments, statistics.

import Encoding
import Environment
import Model
import Testing

@testable import Storage

@Suite struct EngineTests {
    private func harness(
        _ adjust: (inout Configuration.Storage) -> Void = { _ in }
    ) throws -> Harness {
        var configuration = Configuration.Storage()
        configuration.commitLogSegmentBytes = 2_000
        configuration.blockBytes = 300
        adjust(&configuration)
        let harness = Harness(
            schema: testSchema(), configuration: configuration,
            random: RandomStream(seed: 1, name: "harness"))
        try harness.open()
        return harness
    }

    private let everything = ReadCommand(
        table: testTable, scope: .range(ReadCommand.TokenScope(start: .min, end: .max)),
        nowInSeconds: 1_000)

    private func fill(_ harness: Harness, _ count: Int, table: TableID = testTable) throws {
        var generator = Generator(seed: 3)
        for _ in 0..<count {
            try harness.apply(try generator.mutation(table: table))
            try harness.endTick()
        }
    }

    @Test func truncationForgetsMemtablesFilesAndTheLog() throws {
        let harness = try harness()
        try fill(harness, 60)
        harness.engine?.flush(table: nil)
        try harness.settle()
        try fill(harness, 60)
        let position = harness.engine?.log.nextPosition
        _ = try harness.engine?.truncate(testTable, snapshot: nil)
        #expect(try harness.read(everything) == [1])
        try harness.settle()
        #expect(harness.files.names.keys.allSatisfy { !$0.text.contains("sst-") })
        try harness.open()
        #expect(try harness.read(everything) == [1])
        #expect(LogPosition(position?.description ?? "") == position)
    }

    @Test func truncationDuringAFlushAndACompactionLeavesNothing() throws {
        for seed in 0..<20 {
            let harness = try harness { $0.jobStepBytes = 200 }
            var random = RandomStream(seed: UInt64(seed), name: "truncate")
            for _ in 0..<3 {
                try fill(harness, 40)
                harness.engine?.flush(table: nil)
                for _ in 0..<random.below(60) { try harness.work() }
            }
            harness.engine?.compact(table: testTable)
            try harness.endTick()
            for _ in 0..<random.below(40) { try harness.work() }
            _ = try harness.engine?.truncate(testTable, snapshot: nil)
            #expect(try harness.read(everything) == [1], "seed \(seed)")
            try harness.settle()
            #expect(try harness.read(everything) == [1], "seed \(seed)")
            #expect(
                harness.files.names.keys.allSatisfy { !$0.text.contains("sst-") }, "seed \(seed)")
            try harness.open()
            #expect(try harness.read(everything) == [1], "seed \(seed)")
        }
    }

    @Test func positionsOfTheMetadataStoreKeepTruncatedWritesAway() throws {
        let harness = try harness()
        try fill(harness, 10)
        let position = try #require(harness.engine?.log.nextPosition)
        harness.truncations = [testTable: position]
        try harness.open()
        #expect(try harness.read(everything) == [1])
    }

    @Test func aDroppedTableLosesItsFilesAndItsLog() throws {
        let harness = try harness()
        try fill(harness, 50)
        harness.engine?.flush(table: nil)
        try harness.settle()
        try fill(harness, 20)
        try fill(harness, 20, table: otherTable)
        let whole = harness.schema
        let other = try #require(whole.table(otherTable))
        harness.schema = SchemaSnapshot(
            epoch: 2, version: UniqueID(high: 1, low: 2),
            keyspaces: [
                KeyspaceSchema(
                    name: "ks", replication: whole.keyspaces[0].replication, tables: [other])
            ])
        harness.engine?.install(harness.schema)
        try harness.settle()
        #expect(throws: StorageError.unknownTable(testTable)) { try harness.read(everything) }
        #expect(harness.files.names.keys.allSatisfy { !$0.text.contains("sst-") })
        try harness.open()
        var command = everything
        command.table = otherTable
        #expect(try harness.read(command).count > 1)
    }

    @Test func mutationsOfOthersAreRefusedAndLeaveNothing() throws {
        let harness = try harness()
        harness.slice = 0 ... .max
        try harness.open()
        var generator = Generator(seed: 1)
        generator.tokens = -10 ... -1
        let before = harness.engine?.log.nextPosition
        #expect(throws: StorageError.self) { try harness.apply(try generator.mutation()) }
        let unknown = TableID(UniqueID(high: 9, low: 9))
        #expect(throws: StorageError.unknownTable(unknown)) {
            try harness.apply(try generator.mutation(table: unknown))
        }
        #expect(harness.engine?.log.nextPosition == before)
    }

    @Test func malformedMutationsAreRefusedWholly() throws {
        let harness = try harness()
        var generator = Generator(seed: 5)
        var random = RandomStream(seed: 5, name: "damage")
        for _ in 0..<2_000 {
            var mutation = try generator.mutation()
            let place = 24 + Int(random.below(UInt64(mutation.count - 24)))
            mutation[place] = UInt8(truncatingIfNeeded: random.next())
            let before = harness.engine?.log.nextPosition
            do {
                try harness.apply(mutation)
            } catch {
                #expect(harness.engine?.log.nextPosition == before)
            }
        }
        try harness.settle()
        _ = try harness.read(everything)
        try harness.open()
        _ = try harness.read(everything)
    }

    @Test func batchModeMovesTheSyncedPositionOnlyOverWhatWasAppended() throws {
        let harness = try harness { $0.commitLogSync = .batch }
        try fill(harness, 1)
        let engine = try #require(harness.engine)
        let first = engine.log.nextPosition
        engine.requestSync()
        try harness.endTick()
        #expect(engine.syncedPosition < first)
        #expect(harness.syncs.count == 1)
        // Those who come while a sync is under way share the next one.
        var generator = Generator(seed: 9)
        try harness.apply(try generator.mutation())
        engine.requestSync()
        try harness.endTick()
        try harness.apply(try generator.mutation())
        engine.requestSync()
        try harness.endTick()
        #expect(harness.syncs.count == 1)
        let second = engine.log.nextPosition
        let (id, _) = harness.syncs.removeFirst()
        try engine.receive(.logSynced(id), clock: harness.clock, outbox: harness.outbox)
        #expect(engine.syncedPosition >= first && engine.syncedPosition < second)
        try harness.endTick()
        #expect(harness.syncs.count == 1)
        try harness.settle()
        #expect(engine.syncedPosition >= second)
    }

    @Test func groupModeWaitsForItsWindow() throws {
        let harness = try harness {
            $0.commitLogSync = .group
            $0.commitLogSyncGroupWindow = .milliseconds(15)
        }
        try fill(harness, 1)
        let engine = try #require(harness.engine)
        engine.requestSync()
        try harness.endTick()
        #expect(harness.syncs.isEmpty)
        #expect(engine.nextWake == harness.clock.monotonic + .milliseconds(15))
        harness.nanoseconds += 15_000_000
        try harness.endTick()
        #expect(harness.syncs.count == 1)
    }

    @Test func periodicModeSyncsOnItsTimerAndThenRests() throws {
        let harness = try harness { $0.commitLogSyncPeriod = .seconds(10) }
        try fill(harness, 1)
        let engine = try #require(harness.engine)
        #expect(engine.nextWake == harness.clock.monotonic + .seconds(10))
        #expect(harness.syncs.isEmpty)
        harness.nanoseconds += 10_000_000_000
        try harness.settle()
        #expect(engine.syncedPosition == engine.log.nextPosition)
        #expect(engine.nextWake == nil)
    }

    @Test func segmentsAreFreedWhenTheirTablesAreFlushedAndUsedAgain() throws {
        let harness = try harness()
        for _ in 0..<10 {
            try fill(harness, 60)
            harness.engine?.flush(table: nil)
            harness.engine?.requestSync()
            try harness.settle()
        }
        let segments = harness.files.names.keys.filter { $0.text.contains("commitlog-") }
        #expect(segments.count <= 4, "\(segments)")
    }

    @Test func theLogsCapFlushesTheOldestTable() throws {
        let harness = try harness { $0.commitLogTotalBytes = 8_000 }
        try fill(harness, 1, table: otherTable)
        for _ in 0..<40 {
            try fill(harness, 30)
            harness.engine?.requestSync()
            try harness.settle()
        }
        #expect(harness.engine?.statistics(of: otherTable)?.flushes == 1)
        #expect((harness.engine?.log.totalBytes ?? .max) < 16_000)
    }

    @Test func compactionKeepsFilesUntilTheLastReadHasEnded() throws {
        let harness = try harness { $0.blockCacheBytes = 0 }
        for _ in 0..<3 {
            try fill(harness, 40)
            harness.engine?.flush(table: nil)
            try harness.settle()
        }
        let expected = try harness.read(everything)
        let tag = try harness.begin(everything)
        #expect(harness.results[tag] == nil)
        harness.engine?.compact(table: testTable)
        // All jobs, but no block yet.
        let waiting = harness.reads
        harness.reads = []
        try harness.settle()
        #expect(harness.engine?.statistics(of: testTable)?.sstables == 1)
        harness.reads = waiting
        while harness.results[tag] == nil { try harness.work() }
        #expect(try harness.results[tag]?.get() == expected)
        try harness.settle()
        #expect(harness.files.names.keys.filter { $0.text.contains("sst-") }.count == 1)
    }

    @Test func purgedTombstonesLeaveAnEmptyTableWithoutFiles() throws {
        let harness = try harness()
        var generator = Generator(seed: 1)
        generator.now = 500
        let writer = ByteWriter()
        let key = generator.key()
        key.withUnsafeBytes {
            MutationWriter.begin(
                table: testTable, token: generator.token(key), key: $0, into: writer)
        }
        PartitionWriter.begin(
            deletion: Deletion(timestamp: 5, localDeletionTime: 500), into: writer)
        try harness.apply(writer.array)
        harness.engine?.flush(table: nil)
        try harness.settle()
        harness.engine?.compact(table: testTable)
        try harness.settle()
        #expect(harness.engine?.statistics(of: testTable)?.sstables == 0)
        #expect(harness.engine?.statistics(of: testTable)?.tombstonesPurged == 1)
        #expect(harness.files.names.keys.allSatisfy { !$0.text.contains("sst-") })
    }

    @Test func aTombstoneStaysWhileAnotherFileMayHoldWhatItShadows() throws {
        let harness = try harness()
        func partition(_ deletion: Deletion, _ timestamp: Int64?) throws {
            let writer = ByteWriter()
            let key: [UInt8] = [1, 2, 3]
            key.withUnsafeBytes {
                MutationWriter.begin(
                    table: testTable, token: Token.of(key).value, key: $0, into: writer)
            }
            PartitionWriter.begin(deletion: deletion, into: writer)
            if let timestamp {
                let row = ByteWriter()
                var rowWriter = RowWriter()
                rowWriter.begin(
                    liveness: Liveness(timestamp: timestamp), deletion: .none, baseTimestamp: 0,
                    into: row)
                PartitionWriter.append(
                    key: UnsafeRawBufferPointer(start: nil, count: 0), row: row.bytes, into: writer)
            }
            try harness.apply(writer.array)
            harness.engine?.flush(table: nil)
            try harness.settle()
        }
        try partition(.none, 3)
        try partition(Deletion(timestamp: 5, localDeletionTime: 1), nil)
        let engine = try #require(harness.engine)
        let table = try #require(engine.tables[testTable])
        // Compact the file of the tombstone alone.
        let newest = try #require(table.sstables.last)
        engine.setAutomaticCompaction(table: testTable, false)
        #expect(engine.compact(files: [newest.metadata.file]).isEmpty)
        try harness.settle()
        #expect(table.sstables.count == 2)
        #expect(try harness.read(everything) == [1])
        engine.compact(table: testTable)
        try harness.settle()
        #expect(table.sstables.isEmpty)
    }
}
