// What a kill keeps and what a power loss may take.

import Encoding
import Environment
import Testing

@testable import Simulation

@Suite struct SimulatedDiskTests {
    private let log = FileName("log")

    private func disk(_ seed: UInt64) -> SimulatedDisk {
        SimulatedDisk(stream: RandomStream(seed: seed, name: "disk test"))
    }

    private func write(_ disk: SimulatedDisk, _ file: FileName, at offset: Int, _ bytes: [UInt8])
        throws
    {
        try bytes.withUnsafeBytes { raw in try disk.write(file, at: offset, raw) }
    }

    private func read(_ disk: SimulatedDisk, _ file: FileName) throws -> [UInt8] {
        let writer = ByteWriter()
        try disk.read(file, at: 0, count: disk.size(of: file), into: writer)
        return writer.array
    }

    @Test func whatWasSyncedSurvivesEveryPowerLoss() throws {
        for seed in 1...200 as ClosedRange<UInt64> {
            let disk = disk(seed)
            try disk.create(log, preallocate: 0)
            try write(disk, log, at: 0, Array(repeating: 1, count: 1500))
            try disk.sync(log)
            try disk.syncFolder()
            try write(disk, log, at: 1500, Array(repeating: 2, count: 3000))
            disk.losePower()
            let left = try read(disk, log)
            #expect(left.count >= 1500 && left.prefix(1500).allSatisfy { $0 == 1 }, "seed \(seed)")
            #expect(left.dropFirst(1500).allSatisfy { $0 == 2 || $0 == 0 }, "seed \(seed)")
        }
    }

    @Test func unsyncedSectorsVanishInAnySubset() throws {
        var outcomes: Set<[Bool]> = []
        for seed in 1...400 as ClosedRange<UInt64> {
            let disk = disk(seed)
            try disk.create(log, preallocate: 2048)
            try disk.sync(log)
            try disk.syncFolder()
            for sector in 0..<4 {
                try write(disk, log, at: sector * 512, Array(repeating: 7, count: 512))
            }
            disk.losePower()
            let left = try read(disk, log)
            outcomes.insert((0..<4).map { left[$0 * 512] == 7 })
            for sector in 0..<4 {
                #expect(Set(left[sector * 512..<(sector + 1) * 512]).count == 1, "a torn sector")
            }
        }
        #expect(outcomes.count == 16, "\(outcomes.count) of 16 subsets were seen")
    }

    @Test func namesVanishUntilTheFolderIsSynced() throws {
        var present = 0
        for seed in 1...200 as ClosedRange<UInt64> {
            let disk = disk(seed)
            try disk.create(FileName("a.tmp"), preallocate: 0)
            try write(disk, FileName("a.tmp"), at: 0, [1])
            try disk.sync(FileName("a.tmp"))
            try disk.syncFolder()
            try disk.rename(FileName("a.tmp"), to: FileName("a"))
            disk.losePower()
            let names = try disk.list().map(\.text)
            // A rename is there or not, never half.
            #expect(names == ["a"] || names == ["a.tmp"], "seed \(seed): \(names)")
            if names == ["a"] { present += 1 }
        }
        #expect(present > 20 && present < 180)
    }

    @Test func aSyncPromisesWhatWasWrittenWhenItBegan() throws {
        for seed in 1...100 as ClosedRange<UInt64> {
            let disk = disk(seed)
            try disk.create(log, preallocate: 1024)
            try disk.sync(log)
            try disk.syncFolder()
            try write(disk, log, at: 0, [1, 1])
            let token = try disk.beginLogSync(log)
            try write(disk, log, at: 2, [2, 2])
            disk.endLogSync(log, token: token)
            disk.losePower()
            let left = try read(disk, log).prefix(4)
            #expect(left == [1, 1, 0, 0] || left == [1, 1, 2, 2], "seed \(seed): \(left)")
        }
    }

    @Test(arguments: 1...8 as ClosedRange<UInt64>)
    func aMendedBitDoesNotComeBackWithALossOfPower(_ seed: UInt64) throws {
        let disk = SimulatedDisk(stream: RandomStream(seed: seed, name: "disk"))
        let file = FileName("a")
        try disk.create(file, preallocate: 0)
        try [1, 2].withBytes { try disk.write(file, at: 0, $0) }
        try disk.sync(file)
        try disk.syncFolder()
        let damage = try disk.damage(file, at: 0, bit: 4)
        // The sector as it is remembered for a loss of power is the damaged one.
        try [3].withBytes { try disk.write(file, at: 1, $0) }
        damage.mend()
        disk.losePower()
        let found = ByteWriter(capacity: 2)
        try disk.read(file, at: 0, count: 1, into: found)
        #expect(found.array == [1])
    }

    @Test func aDeadDiskRefusesEverything() throws {
        let disk = disk(1)
        disk.crashesHere = { true }
        #expect(throws: DiskFailure.self) { try disk.create(log, preallocate: 0) }
        #expect(throws: DiskFailure.self) { try disk.list() }
        disk.isDead = false
        disk.crashesHere = { false }
        #expect(try disk.list().count <= 1)
    }

    @Test func aFullDiskSaysSoAndKeepsWhatItHas() throws {
        let disk = disk(1)
        try disk.create(log, preallocate: 0)
        disk.capacityBytes = 1000
        try write(disk, log, at: 0, Array(repeating: 1, count: 900))
        do {
            try write(disk, log, at: 900, Array(repeating: 1, count: 200))
            Issue.record("the disk took more than it holds")
        } catch let failure as DiskFailure {
            #expect(failure.reason == .full)
        }
        #expect(try disk.size(of: log) == 900)
        #expect(try disk.space() == VolumeSpace(freeBytes: 100, totalBytes: 1000))
    }

    @Test func theSimulatedMetadataStoreKeepsTheContract() throws {
        for seed in 1...50 as ClosedRange<UInt64> {
            let violations = try MetadataStoreContract.violations(
                of: SimulatedMetadataStoreUnderTest(seed: seed))
            #expect(violations.isEmpty, "seed \(seed): \(violations)")
        }
    }

    /// The contract must catch a store that breaks it.
    @Test func theContractFindsAStoreThatTearsBatches() throws {
        final class Torn: MetadataStoreUnderTest {
            var image = MetadataImage()
            func load() -> MetadataImage { image }
            func commit(_ batch: MetadataBatch) { image.apply(batch) }
            func reopen(losing: MetadataBatch?) {
                if let first = losing?.changes.first { image.apply(MetadataBatch([first])) }
            }
        }
        #expect(try !MetadataStoreContract.violations(of: Torn()).isEmpty)
    }
}
