// Hints: delivered in order and once a file is done gone, kept through kills, bounded, expired ones
// passed over, damage counted.

import Encoding
import Environment
import Testing

@testable import Storage

/// A world of one hint store.
final class HintWorld {
    let files = MemoryFiles()
    var store: HintStore?
    var microseconds: Int64 = 2_000_000
    var fileBytes = 4 << 20
    var maximumBytes = 1 << 30
    var isWanted: (WallTime, [UInt8]) -> Bool = { _, _ in true }
    private var incarnation: UInt32 = 0
    private let outbox = Outbox()
    private var reads: [(EffectID, FileName, Int, Int)] = []
    private var jobs: [(EffectID, any Job)] = []

    var clock: ClockReading {
        ClockReading(
            monotonic: Instant(nanoseconds: 0), wall: WallTime(microseconds: microseconds))
    }

    func open() throws {
        incarnation += 1
        outbox.removeAll()
        reads = []
        jobs = []
        store = try HintStore.open(
            HintStoreStart(
                prefix: "h0-", maximumBytesPerHost: maximumBytes, fileBytes: fileBytes,
                effectIDs: EffectIDs(incarnation: Incarnation(incarnation))),
            files: files, clock: clock)
    }

    func endTick() throws {
        store?.endTick(clock: clock, outbox: outbox)
        for effect in outbox.effects {
            switch effect {
            case .logAppend(let file, let offset, let range):
                try files.write(file, at: offset, outbox.bytes[range])
            case .readBlock(let id, let file, let offset, let count):
                reads.append((id, file, offset, count))
            case .runJob(let id, let job): jobs.append((id, job))
            default: break
            }
        }
        outbox.removeAll()
    }

    func settle() throws {
        try endTick()
        while !reads.isEmpty || !jobs.isEmpty {
            if !reads.isEmpty {
                let (id, file, offset, count) = reads.removeFirst()
                let buffer = ByteWriter()
                try files.read(file, at: offset, count: count, into: buffer)
                _ = try store?.receive(
                    .blockRead(id, .bytes(buffer.array)), clock: clock, outbox: outbox)
            } else {
                let (id, job) = jobs.removeFirst()
                _ = try job.step(files, budgetBytes: 1 << 20)
                _ = try store?.receive(.jobEnded(id, job, nil), clock: clock, outbox: outbox)
            }
            try endTick()
        }
    }

    func add(_ host: HostID, _ number: Int, expiresAt: Int64 = .max) {
        store?.add(
            target: host, mutation: [UInt8(number >> 8), UInt8(truncatingIfNeeded: number)],
            createdAt: clock.wall, expiresAt: WallTime(microseconds: expiresAt))
    }

    /// One batch, read from disk if need be.
    func nextBatch(_ host: HostID, maximum: Int = 5) throws -> [[UInt8]] {
        for _ in 0..<4 {
            let batch =
                store?.nextBatch(
                    host, maximum: maximum, clock: clock, outbox: outbox, isWanted: isWanted) ?? []
            if !batch.isEmpty { return batch }
            try settle()
        }
        return []
    }

    func forget(_ host: HostID) { store?.removeAll(of: host, outbox: outbox) }

    /// Delivers everything.
    func takeAll(_ host: HostID) throws -> [[UInt8]] {
        var all: [[UInt8]] = []
        while true {
            let batch = try nextBatch(host)
            if batch.isEmpty { return all }
            all += batch
            _ = store?.batchDelivered(host, outbox: outbox)
        }
    }
}

@Suite struct HintStoreTests {
    private let host = HostID(UniqueID(high: 1, low: 1))
    private let other = HostID(UniqueID(high: 1, low: 2))

    private func numbers(_ range: Range<Int>) -> [[UInt8]] {
        range.map { [UInt8($0 >> 8), UInt8(truncatingIfNeeded: $0)] }
    }

    @Test func hintsAreDeliveredInOrderAndThenGone() throws {
        let world = HintWorld()
        world.fileBytes = 200
        try world.open()
        for number in 0..<100 {
            world.add(host, number)
            if number % 3 == 0 { world.add(other, number) }
            if number % 7 == 0 { try world.settle() }
        }
        try world.settle()
        #expect(world.store?.targets == [host, other])
        #expect(try world.takeAll(host) == numbers(0..<100))
        #expect(world.store?.bytes(for: host) == 0)
        try world.settle()
        #expect(world.files.names.keys.allSatisfy { !$0.text.contains(host.description) })
        #expect(try world.takeAll(other).count == 34)
        try world.settle()
        #expect(world.files.names.isEmpty)
        #expect(world.store?.isEmpty == true)
    }

    @Test func hintsSurviveAKill() throws {
        let world = HintWorld()
        world.fileBytes = 150
        try world.open()
        for number in 0..<40 {
            world.add(host, number)
            try world.settle()
        }
        let first = try world.nextBatch(host)
        #expect(first == numbers(0..<5))
        try world.open()
        for number in 40..<60 { world.add(host, number) }
        try world.settle()
        // The batch was on its way, not delivered: it comes again.
        #expect(try world.takeAll(host) == numbers(0..<60))
    }

    @Test func anAbandonedBatchComesAgain() throws {
        let world = HintWorld()
        try world.open()
        for number in 0..<10 { world.add(host, number) }
        try world.settle()
        let batch = try world.nextBatch(host)
        #expect(try world.nextBatch(host).isEmpty)
        world.store?.abandonBatch(host)
        #expect(try world.nextBatch(host) == batch)
    }

    @Test func expiredHintsArePassedOver() throws {
        let world = HintWorld()
        try world.open()
        for number in 0..<20 {
            world.add(host, number, expiresAt: number % 2 == 0 ? 5_000_000 : .max)
        }
        try world.settle()
        world.microseconds = 6_000_000
        let found = try world.takeAll(host)
        #expect(found == numbers(0..<20).enumerated().filter { $0.offset % 2 == 1 }.map(\.element))
    }

    @Test func hintsThatAreNotWantedArePassedOverAndTheOldestIsKnown() throws {
        let world = HintWorld()
        try world.open()
        #expect(world.store?.oldest(for: host) == nil)
        for number in 0..<20 {
            world.microseconds = 1_000_000 + Int64(number)
            world.add(host, number)
        }
        try world.settle()
        try world.open()
        #expect(world.store?.oldest(for: host) == WallTime(microseconds: 1_000_000))
        var asked: [Int64] = []
        world.isWanted = { created, mutation in
            asked.append(created.microseconds - 1_000_000)
            return mutation[1] % 4 == 3
        }
        #expect(try world.nextBatch(host, maximum: 2) == [[0, 3], [0, 7]])
        #expect(asked == Array(0..<8))
        _ = world.store?.batchDelivered(host, outbox: Outbox())
        #expect(try world.nextBatch(host, maximum: 1) == [[0, 11]])
        #expect(world.store?.oldest(for: host) == WallTime(microseconds: 1_000_008))
        world.store?.abandonBatch(host)
        #expect(try world.takeAll(host) == [[0, 11], [0, 15], [0, 19]])
        #expect(world.store?.oldest(for: host) == nil)
    }

    @Test func whatIsForgottenIsGoneAndWhatComesLaterIsNot() throws {
        for isSettled in [false, true] {
            let world = HintWorld()
            world.fileBytes = 200
            try world.open()
            for number in 0..<40 {
                world.add(host, number)
                world.add(other, number)
                if isSettled { try world.settle() }
            }
            _ = try isSettled ? world.nextBatch(host) : []
            world.forget(host)
            #expect(world.store?.targets == [other] && world.store?.oldest(for: host) == nil)
            for number in 40..<44 { world.add(host, number) }
            try world.settle()
            #expect(try world.takeAll(host) == numbers(40..<44))
            #expect(try world.takeAll(other) == numbers(0..<40))
            try world.settle()
            #expect(world.files.names.isEmpty)
        }
    }

    @Test func aTargetHasABound() throws {
        let world = HintWorld()
        world.maximumBytes = 300
        try world.open()
        for number in 0..<100 {
            world.add(host, number)
            try world.settle()
        }
        #expect((world.store?.bytes(for: host) ?? 0) <= 300)
        #expect((world.store?.droppedCount ?? 0) > 80)
        #expect(try world.takeAll(host).count + (world.store?.droppedCount ?? 0) == 100)
    }

    @Test func damageLosesTheRestOfItsFileAndIsCounted() throws {
        for place in 0..<76 {
            let world = HintWorld()
            try world.open()
            world.add(host, 1)
            world.add(host, 2)
            try world.settle()
            let file = try #require(world.files.names.keys.first)
            let inode = try #require(world.files.names[file])
            try #require(inode.bytes.count == 76)
            inode.bytes[place] ^= 0x10
            try world.open()
            world.add(host, 3)
            try world.settle()
            let found = try world.takeAll(host)
            #expect(found == (place < 50 ? [] : numbers(1..<2)) + numbers(3..<4), "byte \(place)")
            #expect(world.store?.damagedFileCount == 1, "byte \(place)")
        }
    }

    @Test func aFileCutShortAnywhereLosesWhatIsBehindTheCutAlone() throws {
        for length in 0..<76 {
            let world = HintWorld()
            try world.open()
            world.add(host, 1)
            world.add(host, 2)
            try world.settle()
            let file = try #require(world.files.names.keys.first)
            world.files.names[file]?.bytes.removeLast(76 - length)
            try world.open()
            #expect(try world.takeAll(host) == (length < 50 ? [] : numbers(1..<2)), "\(length)")
            try world.settle()
            #expect(world.files.names.isEmpty)
        }
    }

    @Test func aFileOfANewerVersionIsRefusedByName() throws {
        let world = HintWorld()
        try world.open()
        world.add(host, 1)
        try world.settle()
        let file = try #require(world.files.names.keys.first)
        let inode = try #require(world.files.names[file])
        let head = ByteWriter()
        head.append(inode.bytes)
        head.overwriteLittleEndian(at: 4, UInt32(2))
        head.overwriteLittleEndian(
            at: 16, CRC32C.checksum(head[ByteRange(offset: 0, count: 16)]))
        inode.bytes = head.array
        #expect(throws: StorageError.newerFormat(file: file, version: 2)) { try world.open() }
        #expect(world.files.names[file] != nil)
    }
}
