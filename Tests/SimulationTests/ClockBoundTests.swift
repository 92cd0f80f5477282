// How a node's clock begins: after a kill, after a power loss, and with a damaged file.

import Encoding
import Environment
import Testing

@testable import NodeLogic
@testable import Simulation

struct ClockBoundTests {
    private let disk = SimulatedDisk(stream: RandomStream(seed: 1, name: "disk"))
    private let host = HostID(UniqueID(randomHigh: 1, low: 2))

    /// A life that gave out stamps up to `latest`, with the committed bound half a minute ahead.
    private func live(until latest: Int64, boot: String) throws -> MetadataImage {
        var image = MetadataImage()
        image.apply(try Node.begin(image, newHost: host, boot: boot).batch)
        image.apply(MetadataBatch([Node.clockBound(latest + Node.clockBoundAhead)]))
        var file = try ClockBoundFile(of: ShardIndex(0), existing: [], files: disk)
        let outbox = Outbox()
        file.keepAhead(of: latest, outbox: outbox)
        for case .logAppend(let name, let offset, let range) in outbox.effects {
            try disk.write(name, at: offset, outbox.bytes[range])
        }
        return image
    }

    private func firstStamp(_ image: MetadataImage, boot: String, wall: Int64) throws -> Int64 {
        let identity = try Node.begin(image, newHost: host, boot: boot)
        let clock = try Node.makeClock(
            image, identity: identity, files: disk, configuration: Configuration(),
            wall: WallTime(microseconds: wall))
        return clock.next(wall: WallTime(microseconds: wall))
    }

    @Test func afterAKillTheClockBeginsLaterThanAllThatLeftAndHardlyAhead() throws {
        let image = try live(until: 50_000_000, boot: "a")
        let setBack = try firstStamp(image, boot: "a", wall: 10_000_000)
        #expect(setBack > 50_000_000 && setBack <= 50_100_001)
        #expect(try firstStamp(image, boot: "a", wall: 60_000_000) == 60_000_000)
    }

    @Test func afterAPowerLossTheCommittedBoundDecidesUnlessTheWallHasPassedIt() throws {
        let image = try live(until: 50_000_000, boot: "a")
        disk.losePower()
        #expect(try firstStamp(image, boot: "b", wall: 51_000_000) == 80_000_001)
        #expect(try firstStamp(image, boot: "b", wall: 81_000_000) == 81_000_000)
        #expect(
            try firstStamp(image, boot: "", wall: 51_000_000) == 80_000_001,
            "where boots have no names nothing unsynced is relied on")
    }

    @Test func aDamagedFileIsNotReliedOn() throws {
        let image = try live(until: 50_000_000, boot: "a")
        let name = FileName("clock-0")
        for offset in 0..<12 {
            let bytes = ByteWriter(capacity: 1)
            try disk.read(name, at: offset, count: 1, into: bytes)
            let original = bytes.bytes[0]
            func put(_ byte: UInt8) throws {
                try [byte].withUnsafeBytes { try disk.write(name, at: offset, $0) }
            }
            try put(original ^ 0x10)
            #expect(try firstStamp(image, boot: "a", wall: 51_000_000) == 80_000_001)
            try put(original)
        }
    }

    @Test func theFileIsWrittenAsItsPageSays() throws {
        let outbox = Outbox()
        var file = try ClockBoundFile(of: ShardIndex(0), existing: [], files: disk)
        file.keepAhead(of: 900_000, outbox: outbox)
        #expect(
            [UInt8](outbox.bytes.bytes) == [
                0x40, 0x42, 0x0f, 0, 0, 0, 0, 0, 0xe0, 0xc3, 0xd6, 0xda,
            ])
        file.keepAhead(of: 1_000_000, outbox: outbox)
        #expect(outbox.effects.count == 1, "the clock has not reached the bound")
        file.keepAhead(of: 1_000_001, outbox: outbox)
        #expect(outbox.effects.count == 2)
    }
}
