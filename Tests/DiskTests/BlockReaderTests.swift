// Blocks read in all four ways are the same bytes.

import Encoding
import Environment
import Testing

@testable import Disk

@Suite struct BlockReaderTests {
    private let file = FileName("blocks")
    private let ids = EffectIDs(incarnation: Incarnation(1))

    /// The file's content: every byte depends on its place.
    private func content(_ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ $0 >> 8) }
    }

    private func ranges(_ size: Int) -> [(offset: Int, count: Int)] {
        var random = RandomStream(seed: 4, name: "blocks")
        var ranges = [
            (0, 1), (0, 4_096), (4_095, 2), (size - 1, 1), (size - 5, 100), (size, 10),
            (size + 9, 3), (0, size), (1, size - 2),
        ]
        for _ in 0..<600 {
            ranges.append(
                (Int(random.below(UInt64(size))), 1 + Int(random.below(40_000))))
        }
        return ranges
    }

    @Test(arguments: Configuration.DiskAccessMode.allCases)
    func theRingReadsWhatTheThreadsRead(_ mode: Configuration.DiskAccessMode) throws {
        let folder = TemporaryFolder()
        let files = try RealFileSystem(path: folder.path)
        let bytes = content(300_123)
        try files.create(file, preallocate: 0)
        try bytes.withUnsafeBytes { try files.write(file, at: 0, $0) }
        let ranges = ranges(bytes.count)
        for (offset, count) in ranges {
            let expected = Array(bytes.dropFirst(offset).prefix(count))
            #expect(
                try files.readBlock(file, at: offset, count: count, mode: mode) == expected,
                "\(offset), \(count)")
        }
        // A sandbox may forbid rings: then the threads read, which is tested above.
        guard BlockReading.probe() == .ring else { return }
        let reader = try BlockReader(files: files, mode: mode)
        var asked: [EffectID: (offset: Int, count: Int)] = [:]
        for (offset, count) in ranges {
            let id = ids.next()
            asked[id] = (offset, count)
            reader.read(id, file, offset: offset, count: count)
        }
        _ = reader.submit()
        while reader.underWay > 0 {
            reader.wait()
            reader.reap { id, read in
                guard let (offset, count) = asked.removeValue(forKey: id) else {
                    Issue.record("a read ended twice")
                    return
                }
                guard case .bytes(let found) = read else {
                    Issue.record("the read of \(count) at \(offset) failed")
                    return
                }
                #expect(found == Array(bytes.dropFirst(offset).prefix(count)))
            }
        }
        #expect(asked.isEmpty)
    }

    @Test(arguments: Configuration.DiskAccessMode.allCases)
    func aReadOnTheSpotGivesTheSameOutOfOneBuffer(_ mode: Configuration.DiskAccessMode) throws {
        let folder = TemporaryFolder()
        let files = try RealFileSystem(path: folder.path)
        let bytes = content(300_123)
        try files.create(file, preallocate: 0)
        try bytes.withUnsafeBytes { try files.write(file, at: 0, $0) }
        let buffer = BlockBuffer()
        for (offset, count) in ranges(bytes.count) where offset + count <= bytes.count {
            let found = try files.readBlock(
                file, at: offset, count: count, size: bytes.count, mode: mode, into: buffer)
            #expect(
                found.elementsEqual(bytes[offset..<offset + count]), "\(offset), \(count)")
        }
        // A file that is shorter than it should be: what is left of it.
        try files.truncate(file, to: 100_000)
        let rest = try files.readBlock(
            file, at: 99_990, count: 50, size: bytes.count, mode: mode, into: buffer)
        #expect(rest.elementsEqual(bytes[99_990..<100_000]))
        let none = try files.readBlock(
            file, at: 200_000, count: 50, size: bytes.count, mode: mode, into: buffer)
        #expect(none.isEmpty)
    }

    @Test func aFileThatIsRemovedMeanwhileIsReadToItsEnd() throws {
        guard BlockReading.probe() == .ring else { return }
        let folder = TemporaryFolder()
        let files = try RealFileSystem(path: folder.path)
        try files.create(file, preallocate: 0)
        try content(50_000).withUnsafeBytes { try files.write(file, at: 0, $0) }
        let reader = try BlockReader(files: files, mode: .direct)
        reader.read(ids.next(), file, offset: 100, count: 40_000)
        _ = reader.submit()
        try files.remove(file)
        reader.read(ids.next(), file, offset: 0, count: 10)
        var read = 0
        var failed = 0
        while reader.underWay > 0 {
            reader.wait()
            reader.reap { _, outcome in
                switch outcome {
                case .bytes(let bytes): read += bytes.count
                case .failed(let failure):
                    failed += 1
                    #expect(failure.reason == .notFound)
                }
            }
        }
        #expect(read == 40_000 && failed == 1)
    }
}
