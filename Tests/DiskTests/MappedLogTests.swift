// A log through a mapping holds what the same appends by `pwrite` hold.

import Disk
import Encoding
import Environment
import Foundation
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

    #if os(Linux)
        @Test func pagesThatAreWrittenDoNotStayInTheProcess() throws {
            let files = try RealFileSystem(path: folder.path)
            let log = MappedLog(files)
            let file = FileName("resident-log")
            let size = 4 << 20
            try files.create(file, preallocate: size)
            let bytes = [UInt8](repeating: 7, count: 1_000)
            for offset in stride(from: 0, to: size - 1_000, by: 1_000) {
                try append(log, file, at: offset, bytes)
            }
            // "Rss:   300 kB" stands in the paragraph of the mapping.
            let smaps = try #require(FileHandle(forReadingAtPath: "/proc/self/smaps"))
            var maps = Data()
            // The kernel gives a page at a time.
            while let more = try smaps.read(upToCount: 4_096), !more.isEmpty { maps += more }
            let lines = String(decoding: maps, as: UTF8.self).split(separator: "\n")
            // A file system that is not trusted with a mapping has none to look at.
            guard log.isMapped(file) else { return }
            let start = try #require(lines.firstIndex { $0.hasSuffix("/resident-log") })
            let line = try #require(lines[start...].first { $0.hasPrefix("Rss:") })
            let kilobytes = try #require(line.split(separator: " ").compactMap { Int($0) }.first)
            #expect(kilobytes <= 512, "\(kilobytes) KiB of \(size >> 10)")
        }
    #endif

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
