// When memtables are flushed, what they may hold altogether, and what is not logged.

import Encoding
import Environment
import Model
import Testing

@testable import Storage

@Suite struct MemtableLifeTests {
    private func harness(
        durableWrites: Bool = true, _ adjust: (inout Configuration.Storage) -> Void = { _ in },
        options: (inout TableOptions) -> Void = { _ in }
    ) throws -> Harness {
        var configuration = Configuration.Storage()
        configuration.blockBytes = 1_000
        adjust(&configuration)
        let harness = Harness(
            schema: schema(durableWrites: durableWrites, options), configuration: configuration,
            random: RandomStream(seed: 1, name: "harness"))
        try harness.open()
        return harness
    }

    private func schema(
        durableWrites: Bool, _ options: (inout TableOptions) -> Void = { _ in }
    ) -> SchemaSnapshot {
        let whole = testSchema(options)
        return SchemaSnapshot(
            epoch: 1, version: whole.version,
            keyspaces: whole.keyspaces.map {
                KeyspaceSchema(
                    name: $0.name, replication: $0.replication, durableWrites: durableWrites,
                    tables: $0.tables)
            })
    }

    /// One row in a partition of its own.
    private func mutation(
        _ number: Int, table: TableID = testTable, valueBytes: Int = 200
    ) -> [UInt8] {
        let key = withUnsafeBytes(of: UInt32(number).bigEndian) { [UInt8]($0) }
        let writer = ByteWriter()
        key.withUnsafeBytes {
            MutationWriter.begin(table: table, token: Token.of(key).value, key: $0, into: writer)
        }
        PartitionWriter.begin(into: writer)
        let row = ByteWriter()
        var rowWriter = RowWriter()
        rowWriter.begin(
            liveness: Liveness(timestamp: 1), deletion: .none, baseTimestamp: 0, into: row)
        [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: valueBytes).withUnsafeBytes {
            rowWriter.append(Cell(column: 3, flags: [], timestamp: 1, value: $0), into: row)
        }
        PartitionWriter.append(
            key: UnsafeRawBufferPointer(start: nil, count: 0), row: row.bytes, into: writer)
        return writer.array
    }

    private func count(_ harness: Harness, table: TableID = testTable) throws -> Int {
        let answer = try harness.read(
            ReadCommand(
                table: table, scope: .range(ReadCommand.TokenScope(start: .min, end: .max)),
                nowInSeconds: 1_000, byteLimit: 1 << 30))
        return try answer.withUnsafeBytes { raw in
            var partitions = try ReadResultView(raw).partitions
            var count = 0
            while try partitions.next() != nil { count += 1 }
            return count
        }
    }

    @Test func memtablesOfAllTablesKeepTheBudgetWhileFlushingLags() throws {
        let limit = 1 << 20
        let harness = try harness {
            $0.memtableBytes = limit
            $0.jobStepBytes = 2_000
            $0.commitLogSegmentBytes = 1 << 18
            $0.commitLogTotalBytes = 1 << 30
        }
        let engine = try #require(harness.engine)
        var highest = 0
        var refused = 0
        var number = 0
        while number < 12_000 {
            harness.nanoseconds += 10_000
            guard engine.admitsWrites(now: harness.clock.monotonic) else {
                refused += 1
                try harness.work()
                continue
            }
            try harness.apply(mutation(number, table: number % 3 == 0 ? otherTable : testTable))
            number += 1
            if number % 8 == 0 { try harness.endTick() }
            if number % 40 == 0 { try harness.work() }
            highest = max(highest, engine.pool.usedBytes + engine.pool.heldBytes)
        }
        #expect(highest <= limit + limit / 10, "\(highest) bytes of \(limit)")
        #expect(highest > limit / 4 * 3, "writes were slowed down before the budget pressed")
        #expect(refused > 10)
        let statistics = engine.writeStatistics(now: harness.clock.monotonic)
        #expect(statistics.delays > 0 && statistics.blockedNanoseconds > 0)
        try harness.settle()
        #expect(try count(harness) + count(harness, table: otherTable) == 12_000)
        try harness.open()
        #expect(try count(harness) + count(harness, table: otherTable) == 12_000)
    }

    @Test func flushedMemoryIsUsedAgainAndGivenUpWhereTheBudgetNeedsIt() throws {
        let pool = ArenaPool(limitBytes: 1 << 16)
        var arenas = (0..<8).map { _ in Arena(pool: pool) }
        for arena in arenas { for _ in 0..<50 { _ = arena.allocate(100) } }
        let full = pool.usedBytes
        #expect(full > 1 << 15)
        for arena in arenas { arena.recycle() }
        #expect(pool.usedBytes == 0 && pool.heldBytes <= 1 << 16 && pool.heldBytes > 1 << 14)
        let large = Arena(pool: pool)
        _ = large.allocate(60_000)
        #expect(pool.usedBytes + pool.heldBytes <= 1 << 16)
        large.recycle()
        #expect(pool.usedBytes == 0)
        arenas.removeAll()
    }

    @Test func emptyMemtablesThatFillTheBudgetHoldNobodyUp() throws {
        let harness = try harness { $0.memtableBytes = 1_000 }
        let engine = try #require(harness.engine)
        for number in 0..<20 {
            var rounds = 0
            while !engine.admitsWrites(now: harness.clock.monotonic) {
                try harness.endTick()
                try harness.work()
                rounds += 1
                #expect(rounds < 1_000)
                if rounds >= 1_000 { return }
            }
            try harness.apply(mutation(number))
            try harness.endTick()
        }
        try harness.settle()
        #expect(try count(harness) == 20)
    }

    @Test func withoutDurableWritesAKillLosesExactlyWhatWasNotFlushed() throws {
        let harness = try harness(durableWrites: false)
        let engine = try #require(harness.engine)
        let empty = engine.log.totalBytes
        for number in 0..<50 { try harness.apply(mutation(number)) }
        harness.engine?.flush(table: nil)
        try harness.settle()
        for number in 50..<80 { try harness.apply(mutation(number)) }
        try harness.settle()
        #expect(try count(harness) == 80)
        #expect(engine.log.totalBytes == empty)
        try harness.open()
        #expect(try count(harness) == 50)
        #expect(harness.engine?.replayReport.records == 0)
    }

    @Test func durableWritesCanBeSwitchedOnAndOff() throws {
        let harness = try harness(durableWrites: false)
        try harness.apply(mutation(0))
        try harness.endTick()
        harness.schema = schema(durableWrites: true)
        harness.engine?.install(harness.schema)
        try harness.apply(mutation(1))
        try harness.endTick()
        // Segments that hold the one that was logged stay until it is flushed.
        #expect(harness.engine?.tables[testTable]?.oldestUnflushed != nil)
        harness.schema = schema(durableWrites: false)
        harness.engine?.install(harness.schema)
        try harness.apply(mutation(2))
        try harness.endTick()
        try harness.open()
        #expect(try count(harness) == 1)
        #expect(harness.engine?.replayReport.records == 1)
    }

    @Test func aTableIsFlushedWhenItsPeriodIsOver() throws {
        let harness = try harness(options: { $0.memtableFlushPeriodMilliseconds = 500 })
        let engine = try #require(harness.engine)
        try harness.settle()
        #expect(engine.nextPeriodicFlush == nil)
        try harness.apply(mutation(1))
        try harness.settle()
        #expect(engine.nextPeriodicFlush == harness.clock.monotonic + .milliseconds(500))
        harness.nanoseconds += 499_000_000
        try harness.settle()
        #expect(engine.statistics(of: testTable)?.flushes == 0)
        harness.nanoseconds += 1_000_000
        try harness.settle()
        #expect(engine.statistics(of: testTable)?.flushes == 1)
        #expect(engine.nextPeriodicFlush == nil)
        harness.nanoseconds += 10_000_000_000
        try harness.settle()
        #expect(engine.statistics(of: testTable)?.flushes == 1, "an empty table is not flushed")
    }

    @Test func anOversizedMutationIsRefusedByName() throws {
        let harness = try harness { $0.commitLogSegmentBytes = 8_000 }
        let before = harness.engine?.log.nextPosition
        let large = mutation(1, valueBytes: 5_000)
        #expect(throws: StorageError.mutationTooLarge(bytes: large.count, limit: 4_000)) {
            try harness.apply(large)
        }
        #expect(harness.engine?.log.nextPosition == before)
        #expect(try count(harness) == 0)
        try harness.apply(mutation(1, valueBytes: 3_000))
    }
}
