// A log through a mapping holds what the same appends by `pwrite` hold.

import Disk
import Encoding
import Environment
import Testing

@Suite struct MappedLogTests {
    private let folder = TemporaryFolder()

    private func record(_ number: Int) -> [UInt8] {
        (0..<(1 + number * 37 % 300)).map { UInt8(truncatingIfNeeded: number &+ $0) }
    }

    private func append(
        _ log: MappedLog, _ file: FileName, at offset: Int, _ bytes: [UInt8]
    ) throws {
        try bytes.withUnsafeBytes { try log.append(file, at: offset, $0) }
    }

    @Test func appendsLieInTheFileAtOnceAlsoBehindItsPreallocatedEnd() throws {
        let files = try RealFileSystem(path: folder.path)
        let log = MappedLog(files)
        let file = FileName("log")
        let size = 512 << 10
        try files.create(file, preallocate: size)
        let expected = ByteWriter()
        expected.appendZeros(32)
        var number = 0
        while expected.count < size + 2_000 {
            let bytes = record(number)
            try append(log, file, at: expected.count, bytes)
            expected.append(bytes)
            number += 1
            if number % 500 == 0 {
                let found = ByteWriter()
                try files.read(file, at: 0, count: expected.count, into: found)
                #expect(found.array == expected.array)
            }
        }
        try files.sync(file)
        let found = ByteWriter()
        try files.read(file, at: 0, count: 2 * size, into: found)
        #expect(found.array == expected.array)
    }

    @Test func aRecycledSegmentIsMappedUnderItsNewNameAndOverwritten() throws {
        let files = try RealFileSystem(path: folder.path)
        let log = MappedLog(files)
        let (first, second) = (FileName("log-1"), FileName("log-2"))
        try files.create(first, preallocate: 256 << 10)
        try append(log, first, at: 0, record(9))
        try files.create(FileName("log-other"), preallocate: 256 << 10)
        try append(log, FileName("log-other"), at: 0, record(3))
        try files.rename(first, to: second)
        try append(log, second, at: 10, record(5))
        let found = ByteWriter()
        try files.read(second, at: 0, count: 10 + record(5).count, into: found)
        #expect(found.array == record(9)[0..<10] + record(5))
    }

    @Test func aFileWithoutReservedBlocksIsWrittenWithoutAMapping() throws {
        let files = try RealFileSystem(path: folder.path)
        let log = MappedLog(files)
        let file = FileName("log")
        try files.create(file, preallocate: 0)
        try files.truncate(file, to: 1 << 20)
        try append(log, file, at: 100, record(4))
        #expect(!log.isMapped(file))
        let found = ByteWriter()
        try files.read(file, at: 100, count: record(4).count, into: found)
        #expect(found.array == record(4))
    }

    @Test func aFileThatIsNotThereIsAnError() throws {
        let log = MappedLog(try RealFileSystem(path: folder.path))
        #expect(throws: DiskFailure.self) {
            try append(log, FileName("none"), at: 0, record(1))
        }
    }
}
