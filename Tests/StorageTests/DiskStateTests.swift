// What the engine does when the disk is full, filling, or broken.

import Encoding
import Environment
import Model
import Testing

@testable import Storage

@Suite struct DiskStateTests {
    private func harness(
        _ adjust: (inout Configuration.Storage) -> Void = { _ in }
    ) throws -> Harness {
        var configuration = Configuration.Storage()
        configuration.commitLogSegmentBytes = 4_000
        configuration.blockBytes = 300
        adjust(&configuration)
        let harness = Harness(
            schema: testSchema { $0.gcGraceSeconds = 1_000_000 }, configuration: configuration,
            random: RandomStream(seed: 1, name: "harness"))
        try harness.open()
        return harness
    }

    private func write(_ harness: Harness, _ generator: inout Generator) throws {
        try harness.apply(try generator.mutation())
        try harness.endTick()
    }

    private func rows(_ harness: Harness) throws -> [UInt8] {
        try harness.read(
            ReadCommand(
                table: testTable, scope: .range(ReadCommand.TokenScope(start: .min, end: .max)),
                nowInSeconds: 1_000))
    }

    private func isRefused(_ harness: Harness) throws -> Bool {
        var generator = Generator(seed: 99)
        let before = harness.engine?.log.nextPosition
        do {
            try harness.apply(try generator.mutation())
            return false
        } catch StorageError.refused {
            #expect(harness.engine?.log.nextPosition == before)
            return true
        }
    }

    @Test(arguments: ["sst-", "manifest-", "commitlog-"])
    func aFullDiskRefusesWritesWhileReadsGoOnAndIsOvercome(_ kind: String) throws {
        let harness = try harness()
        var generator = Generator(seed: 3)
        try harness.settle()
        for _ in 0..<60 { try write(harness, &generator) }
        harness.engine?.flush(table: nil)
        let known = Set(harness.files.names.keys)
        harness.files.failure = {
            // What is preallocated has its room; everything else needs more.
            let hasRoom = $0.text.contains("commitlog-") && known.contains($0)
            return $0.text.contains(kind) && !hasRoom ? .full : nil
        }
        if kind == "commitlog-" {
            var count = 0
            while harness.engine?.writeRefusal == nil, count < 500 {
                try write(harness, &generator)
                try harness.settle()
                count += 1
            }
        }
        var rounds = 0
        while try harness.work() {
            rounds += 1
            // What waits for its next attempt is no work; the job itself comes back at once.
            if rounds > 2_000 { break }
        }
        let expected = try rows(harness)
        #expect(try isRefused(harness))
        let refusal = try #require(harness.engine?.writeRefusal)
        #expect(refusal.description.contains("the disk is full"))
        // Attempts come and fail.
        harness.nanoseconds += 5_000_000_000
        #expect(harness.engine?.nextWake.map { $0 <= harness.clock.monotonic } == true)
        try harness.settle()
        #expect(try isRefused(harness))
        harness.files.failure = { _ in nil }
        harness.nanoseconds += 5_000_000_000
        try harness.settle()
        #expect(try rows(harness) == expected)
        #expect(try !isRefused(harness))
        #expect(harness.engine?.writeRefusal == nil)
        try harness.settle()
        let after = try rows(harness)
        try harness.open()
        #expect(try rows(harness) == after)
    }

    @Test(arguments: [Configuration.DiskFailurePolicy.stop, .die])
    func aBrokenDiskEndsTheNode(_ policy: Configuration.DiskFailurePolicy) throws {
        let harness = try harness { $0.diskFailurePolicy = policy }
        var generator = Generator(seed: 3)
        for _ in 0..<20 { try write(harness, &generator) }
        harness.engine?.flush(table: nil)
        harness.files.failure = { $0.text.contains("sst-") ? .inputOutput : nil }
        #expect(throws: StorageError.self) { try harness.settle() }
    }

    @Test func dieEndsTheNodeOnAFullDiskToo() throws {
        let harness = try harness { $0.diskFailurePolicy = .die }
        var generator = Generator(seed: 3)
        for _ in 0..<20 { try write(harness, &generator) }
        harness.engine?.flush(table: nil)
        harness.files.failure = { $0.text.contains("sst-") ? .full : nil }
        #expect(throws: StorageError.self) { try harness.settle() }
    }

    @Test(arguments: [Configuration.DiskFailurePolicy.bestEffort, .ignore])
    func aFlushThatFailsIsTriedAgainUnderBestEffort(
        _ policy: Configuration.DiskFailurePolicy
    ) throws {
        let harness = try harness { $0.diskFailurePolicy = policy }
        var generator = Generator(seed: 3)
        for _ in 0..<40 { try write(harness, &generator) }
        harness.engine?.flush(table: nil)
        harness.files.failure = { $0.text.contains("sst-") ? .inputOutput : nil }
        try harness.settle()
        let expected = try rows(harness)
        #expect(try isRefused(harness))
        harness.files.failure = { _ in nil }
        harness.nanoseconds += 2_000_000_000
        try harness.settle()
        #expect(try rows(harness) == expected)
        #expect(harness.engine?.statistics(of: testTable)?.flushes == 1)
        #expect(try !isRefused(harness))
    }

    @Test func aCompactionThatFailsLeavesItsFilesUnderBestEffort() throws {
        let harness = try harness { $0.diskFailurePolicy = .bestEffort }
        var generator = Generator(seed: 3)
        for _ in 0..<2 {
            for _ in 0..<40 { try write(harness, &generator) }
            harness.engine?.flush(table: nil)
            try harness.settle()
        }
        let expected = try rows(harness)
        let known = Set(harness.files.names.keys)
        harness.files.failure = {
            $0.text.contains("sst-") && !known.contains($0) ? .inputOutput : nil
        }
        harness.engine?.compact(table: testTable)
        try harness.settle()
        #expect(harness.engine?.statistics(of: testTable)?.sstables == 2)
        #expect(try rows(harness) == expected)
        harness.files.failure = { _ in nil }
        harness.engine?.compact(table: testTable)
        try harness.settle()
        #expect(harness.engine?.statistics(of: testTable)?.sstables == 1)
        #expect(try rows(harness) == expected)
    }

    @Test func aVolumeAboveItsThresholdRefusesWritesUntilThereIsRoom() throws {
        let harness = try harness {
            $0.diskUsageWarnPercentage = 50
            $0.diskUsageFailPercentage = 80
            $0.diskUsageCheckInterval = .seconds(30)
        }
        var generator = Generator(seed: 3)
        harness.files.capacityBytes = 1 << 40
        for _ in 0..<40 { try write(harness, &generator) }
        try harness.settle()
        let engine = try #require(harness.engine)
        #expect(!engine.isDiskFilling)
        func look(_ percentage: Int) throws {
            let space = try harness.files.space()
            let used = space.totalBytes - space.freeBytes
            harness.files.capacityBytes = used * 100 / percentage
            harness.nanoseconds += 30_000_000_000
            try harness.settle()
            harness.files.capacityBytes = 1 << 40
        }
        try look(60)
        #expect(engine.isDiskFilling)
        #expect(try !isRefused(harness))
        try look(85)
        #expect(try isRefused(harness))
        #expect(try rows(harness).count > 1)
        try look(40)
        #expect(try !isRefused(harness))
        #expect(!engine.isDiskFilling)
    }
}
