// The commit log at its edges: late syncs, torn tails, damage under each policy, and what a start reads.

import Encoding
import Environment
import Model
import Testing

@testable import Storage

@Suite struct CommitLogTests {
    private func harness(
        _ adjust: (inout Configuration.Storage) -> Void = { _ in }
    ) throws -> Harness {
        var configuration = Configuration.Storage()
        configuration.commitLogSegmentBytes = 4_000
        configuration.commitLogTotalBytes = 1 << 30
        adjust(&configuration)
        let harness = Harness(
            schema: testSchema { $0.gcGraceSeconds = 1_000_000 }, configuration: configuration,
            random: RandomStream(seed: 1, name: "harness"))
        try harness.open()
        return harness
    }

    /// Fills the log, all of it synced, and tells the twin.
    private func fill(_ harness: Harness, _ count: Int, _ twin: inout Twin) throws {
        var generator = Generator(seed: 3)
        for _ in 0..<count {
            let mutation = try generator.mutation()
            try harness.apply(mutation)
            try twin.apply(mutation)
            harness.engine?.requestSync()
            try harness.settle()
        }
    }

    private func segments(_ harness: Harness) -> [FileName] {
        harness.files.names.keys.sorted {
            CommitLog.number(of: $0, prefix: "g1s0-") ?? 0
                < CommitLog.number(of: $1, prefix: "g1s0-") ?? 0
        }.filter { CommitLog.number(of: $0, prefix: "g1s0-") != nil }
    }

    /// Damages a record in the middle of the first segment; tells the file and the record's place.
    private func damage(_ harness: Harness) throws -> (FileName, Int) {
        let file = segments(harness)[0]
        let inode = try #require(harness.files.names[file])
        let seed = try inode.bytes.withUnsafeBytes { raw in
            var reader = ByteReader(raw)
            try reader.skip(16)
            return CommitLog.seed(try reader.readLittleEndian(UInt64.self))
        }
        var offset = CommitLog.headerBytes
        for _ in 0..<4 {
            let next: Int? = inode.bytes.withUnsafeBytes {
                if case .record(_, _, let next) = LogRecord.read($0, at: offset, seed: seed) {
                    return next
                }
                return nil
            }
            offset = try #require(next)
        }
        inode.bytes[offset + 20] ^= 0x40
        return (file, offset)
    }

    private func rows(_ harness: Harness) throws -> [UInt8] {
        try harness.read(
            ReadCommand(
                table: testTable, scope: .range(ReadCommand.TokenScope(start: .min, end: .max)),
                nowInSeconds: 1_000))
    }

    @Test(arguments: [Configuration.CommitFailurePolicy.stop, .die])
    func damageBeforeTheSyncedPlaceRefusesTheStart(
        _ policy: Configuration.CommitFailurePolicy
    ) throws {
        let harness = try harness { $0.commitFailurePolicy = policy }
        var twin = Twin()
        try fill(harness, 60, &twin)
        let (file, offset) = try damage(harness)
        let before = harness.files.names.mapValues(\.bytes)
        do {
            try harness.open()
            Issue.record("the start must fail")
        } catch {
            guard case .corruption(let damage) = error else { throw error }
            #expect(damage.file == file && damage.offset == offset)
        }
        #expect(before[file] == harness.files.names[file]?.bytes, "the evidence is untouched")
    }

    @Test func damageIsLivedWithUnderIgnoreAndNothingSoundIsLost() throws {
        let harness = try harness { $0.commitFailurePolicy = .ignore }
        var twin = Twin()
        try fill(harness, 60, &twin)
        _ = try damage(harness)
        try harness.open()
        let report = try #require(harness.engine?.replayReport)
        #expect(report.damagedSegments == 1 && report.records == 59)
        #expect(report.recoveredRecords > 0)
        let first = try rows(harness)
        // What was read behind the damage is still there after a kill, and after a flush.
        try harness.open()
        #expect(try rows(harness) == first)
        #expect(harness.engine?.replayReport.records == 59)
        harness.engine?.flush(table: nil)
        harness.engine?.requestSync()
        try harness.settle()
        try harness.open()
        #expect(try rows(harness) == first)
        #expect(harness.engine?.writeRefusal == nil)
    }

    @Test func damageUnderStopCommitLetsReadsGoOnAndRefusesWrites() throws {
        let harness = try harness { $0.commitFailurePolicy = .stopCommit }
        var twin = Twin()
        try fill(harness, 60, &twin)
        let (file, offset) = try damage(harness)
        try harness.open()
        #expect(try rows(harness).count > 1)
        var generator = Generator(seed: 4)
        do {
            try harness.apply(try generator.mutation())
            Issue.record("the write must be refused")
        } catch StorageError.refused(.damagedLog(let damage)) {
            #expect(damage.file == file && damage.offset == offset)
        }
        harness.engine?.flush(table: nil)
        try harness.settle()
        #expect(harness.files.names[file] != nil, "the damaged file stays")
    }

    @Test func aTornTailIsCutOffAndWhatStoodBehindItIsCounted() throws {
        let harness = try harness { $0.commitLogSegmentBytes = 1 << 20 }
        var generator = Generator(seed: 3)
        var ends: [Int] = []
        for _ in 0..<10 {
            try harness.apply(try generator.mutation())
            try harness.endTick()
            ends.append(Int(try #require(harness.engine?.log.nextPosition.offset)))
        }
        let inode = try #require(harness.files.names[segments(harness)[0]])
        // Nothing was synced: a power loss may have taken the sixth record and left those behind it.
        inode.bytes[ends[4] + 1] ^= 1
        try harness.open()
        let report = try #require(harness.engine?.replayReport)
        #expect(report.records == 5 && report.tornSegments == 1 && report.droppedRecords == 4)
        try harness.open()
        #expect(harness.engine?.replayReport.records == 5)
        #expect(harness.engine?.replayReport.tornSegments == 0)
    }

    @Test func eachSegmentIsReadOnce() throws {
        let harness = try harness()
        var twin = Twin()
        try fill(harness, 200, &twin)
        let files = segments(harness)
        #expect(files.count > 3)
        let sizes = files.map { harness.files.names[$0]?.bytes.count }
        harness.files.bytesRead = [:]
        try harness.open()
        #expect(files.map { harness.files.bytesRead[$0] } == sizes)
        #expect(harness.engine?.replayReport.records == 200)
    }

    private func endLog(_ harness: Harness) throws {
        harness.engine?.endLog(outbox: harness.outbox)
        for case .logAppend(let file, let offset, let range) in harness.outbox.effects {
            try harness.files.write(file, at: offset, harness.outbox.bytes[range])
        }
        harness.outbox.removeAll()
        harness.engine = nil
    }

    /// Whatever of the end marks a loss of power leaves.
    @Test(arguments: 0..<8) func ofALogWhoseRecordsAreAllInFilesOnlyHeadsAreRead(seed: Int) throws {
        let harness = try harness { $0.memtableBytes = seed % 2 == 0 ? 1 << 20 : 6_000 }
        var twin = Twin()
        try fill(harness, 120, &twin)
        harness.engine?.flush(table: nil)
        try harness.settle()
        let before = try rows(harness)
        try endLog(harness)
        if seed >= 2 {
            var random = RandomStream(seed: UInt64(seed), name: "power")
            harness.files.losePower(&random)
        }
        harness.files.bytesRead = [:]
        let files = segments(harness)
        #expect(!files.isEmpty)
        try harness.open()
        #expect(try rows(harness) == before)
        let engine = try #require(harness.engine)
        #expect(engine.replayReport.corruption == nil)
        if seed < 2 {
            #expect(engine.replayReport.records == 0)
            for file in files { #expect(harness.files.bytesRead[file] == 48) }
        }
        // Positions go on rising: what is written now is not taken for what was flushed before.
        try fill(harness, 30, &twin)
        let more = try rows(harness)
        try harness.open()
        #expect(try #require(harness.engine).replayReport.records >= 30)
        #expect(try rows(harness) == more)
    }

    @Test func aLogWithRecordsThatNoFileHasIsClosedBehindThem() throws {
        let harness = try harness()
        var twin = Twin()
        try fill(harness, 40, &twin)
        harness.engine?.flush(table: nil)
        try harness.settle()
        try fill(harness, 20, &twin)
        let before = try rows(harness)
        try endLog(harness)
        try harness.open()
        #expect(try #require(harness.engine).replayReport.records >= 20)
        #expect(harness.engine?.replayReport.tornSegments == 0)
        #expect(try rows(harness) == before)
    }

    @Test func theReplayKeepsTheBudgetAndFlushesTheLargest() throws {
        let harness = try harness { $0.commitLogSegmentBytes = 1 << 16 }
        var generator = Generator(seed: 8)
        generator.keys = 100_000
        generator.valueBytes = 300
        for number in 0..<1_500 {
            let isOther = number % 10 == 0
            try harness.apply(try generator.mutation(table: isOther ? otherTable : testTable))
            if number % 10 == 9 { try harness.endTick() }
        }
        let before = try rows(harness)
        harness.configuration.memtableBytes = 200_000
        try harness.open()
        let engine = try #require(harness.engine)
        #expect(engine.pool.usedBytes < 200_000)
        let sstables = try #require(engine.statistics(of: testTable)?.sstables)
        #expect(sstables > engine.statistics(of: otherTable)?.sstables ?? 0)
        #expect(try rows(harness) == before)
    }

    @Test func inPeriodicModeWritesWaitForASyncThatIsLate() throws {
        let harness = try harness { $0.commitLogSyncPeriod = .seconds(10) }
        let engine = try #require(harness.engine)
        var generator = Generator(seed: 3)
        try harness.apply(try generator.mutation())
        try harness.endTick()
        harness.nanoseconds += 10_000_000_000
        try harness.endTick()
        #expect(harness.syncs.count == 1)
        harness.nanoseconds += 5_000_000_000
        try harness.endTick()
        #expect(engine.admitsWrites(now: harness.clock.monotonic))
        harness.nanoseconds += 1
        try harness.endTick()
        #expect(!engine.admitsWrites(now: harness.clock.monotonic))
        let (id, _) = harness.syncs.removeFirst()
        try engine.receive(.logSynced(id), clock: harness.clock, outbox: harness.outbox)
        #expect(engine.admitsWrites(now: harness.clock.monotonic))
        #expect(engine.writeStatistics(now: harness.clock.monotonic).delays == 1)
    }

    @Test func aLogOfANewerFormatRefusesTheStart() throws {
        let harness = try harness()
        var twin = Twin()
        try fill(harness, 5, &twin)
        let file = segments(harness)[0]
        let inode = try #require(harness.files.names[file])
        let writer = ByteWriter()
        inode.bytes.withUnsafeBytes { writer.append(UnsafeRawBufferPointer(rebasing: $0[0..<24])) }
        writer.overwriteLittleEndian(at: 4, CommitLog.formatVersion + 1)
        writer.appendLittleEndian(CRC32C.checksum(writer.bytes))
        inode.bytes.replaceSubrange(0..<28, with: writer.array)
        do {
            try harness.open()
            Issue.record("the start must fail")
        } catch {
            #expect(error == .newerFormat(file: file, version: CommitLog.formatVersion + 1))
            #expect(error.description.contains("newer version"))
        }
    }
}
