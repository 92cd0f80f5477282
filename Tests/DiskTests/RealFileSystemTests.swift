// The real folder: what the seam promises about files, on a real disk.

import Disk
import Encoding
import Environment
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// A fresh folder that is removed with its files.
final class TemporaryFolder {
    let path: String

    init() {
        var template = Array("/tmp/coterie-test-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { preconditionFailure("no temporary folder") }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit {
        if let files = try? RealFileSystem(path: path), let names = try? files.list() {
            for name in names { unlink(path + "/" + name.text) }
        }
        rmdir(path)
    }
}

extension RealFileSystem {
    func write(_ file: FileName, at offset: Int, text: String) throws(DiskFailure) {
        let writer = ByteWriter()
        writer.append(utf8: text)
        try write(file, at: offset, writer.bytes)
    }

    func text(_ file: FileName, at offset: Int = 0, count: Int = 1000) throws(DiskFailure) -> String
    {
        let writer = ByteWriter()
        try read(file, at: offset, count: count, into: writer)
        return String(decoding: writer.bytes, as: UTF8.self)
    }
}

@Suite struct RealFileSystemTests {
    let folder = TemporaryFolder()
    let one = FileName("one")
    let two = FileName("two")

    @Test func readsBackWhatWasWrittenAndStopsAtTheEnd() throws {
        let files = try RealFileSystem(path: folder.path)
        try files.create(one, preallocate: 0)
        try files.write(one, at: 0, text: "hello")
        try files.write(one, at: 3, text: "p!")
        #expect(try files.text(one) == "help!")
        #expect(try files.text(one, at: 1, count: 3) == "elp")
        #expect(try files.text(one, at: 5) == "")
        #expect(try files.text(one, at: 500) == "")
        #expect(try files.text(one, at: 0, count: Int.max) == "help!")
        #expect(try files.size(of: one) == 5)
        try files.truncate(one, to: 2)
        #expect(try files.text(one) == "he")
        try files.sync(one)
        try files.syncFolder()
        try files.syncAll()
        #expect(try RealFileSystem(path: folder.path).text(one) == "he")
    }

    @Test func tellsHowFullTheVolumeIs() throws {
        let space = try RealFileSystem(path: folder.path).space()
        #expect(space.totalBytes > 0)
        #expect((0...space.totalBytes).contains(space.freeBytes))
    }

    @Test func preallocatedFileReadsAsZeros() throws {
        let files = try RealFileSystem(path: folder.path)
        try files.create(one, preallocate: 10_000)
        #expect(try files.size(of: one) == 10_000)
        let writer = ByteWriter()
        try files.read(one, at: 0, count: 20_000, into: writer)
        #expect(writer.array == [UInt8](repeating: 0, count: 10_000))
    }

    @Test func createReplacesButAnOpenReaderOfALinkKeepsTheOldBytes() throws {
        let files = try RealFileSystem(path: folder.path)
        try files.create(one, preallocate: 0)
        try files.write(one, at: 0, text: "old")
        try files.link(one, to: two)
        try files.create(one, preallocate: 0)
        #expect(try files.text(one) == "")
        #expect(try files.text(two) == "old")
        #expect(try files.list() == [one, two])
        try files.remove(two)
        #expect(try files.list() == [one])
    }

    @Test func renameMovesAndReplaces() throws {
        let files = try RealFileSystem(path: folder.path)
        for (name, text) in [(one, "1"), (two, "2")] {
            try files.create(name, preallocate: 0)
            try files.write(name, at: 0, text: text)
        }
        try files.rename(one, to: two)
        #expect(try files.list() == [two])
        #expect(try files.text(two) == "1")
        #expect(throws: DiskFailure.self) { try files.text(one) }
    }

    @Test func missingFileIsNotFoundWhateverIsAsked() throws {
        let files = try RealFileSystem(path: folder.path)
        let calls: [() throws -> Void] = [
            { _ = try files.text(one) },
            { _ = try files.size(of: one) },
            { try files.remove(one) },
            { try files.sync(one) },
            { try files.truncate(one, to: 0) },
            { try files.rename(one, to: two) },
            { try files.write(one, at: 0, text: "x") },
        ]
        for call in calls {
            let failure = #expect(throws: DiskFailure.self) { try call() }
            #expect(failure?.reason == .notFound)
        }
    }

    @Test(arguments: ["", ".", "..", "../x", "a/b", ".hidden", "a\0b"])
    func nameThatLeadsElsewhereIsRefused(name: String) throws {
        let files = try RealFileSystem(path: folder.path)
        let failure = #expect(throws: DiskFailure.self) {
            try files.create(FileName(name), preallocate: 0)
        }
        #expect(failure?.reason == .inputOutput)
    }

    @Test func fullDiskIsToldFromABrokenOne() throws {
        #if canImport(Glibc)
            // A device that is always full, under a name of ours.
            let files = try RealFileSystem(path: folder.path)
            try #require(symlink("/dev/full", folder.path + "/one") == 0)
            let failure = #expect(throws: DiskFailure.self) {
                try files.write(one, at: 0, text: "x")
            }
            #expect(failure?.reason == .full)
        #endif
    }
}

/// A job of a given number of steps that notes the turns it got, and may wait with its first.
private final class CountingJob: Job {
    let title: String
    let steps: Int
    let turns: Turns
    let gate: WorkQueue<Void>?
    var taken = 0

    final class Turns: @unchecked Sendable {
        let lock = Lock()
        var names: [String] = []
    }

    init(_ title: String, steps: Int, turns: Turns, after gate: WorkQueue<Void>? = nil) {
        self.title = title
        self.steps = steps
        self.turns = turns
        self.gate = gate
    }

    func step(_ files: any FileSystem, budgetBytes: Int) throws(DiskFailure) -> JobProgress {
        if taken == 0 { _ = gate?.pop() }
        turns.lock.withLock { turns.names.append(title) }
        taken += 1
        if title == "failing", taken == steps {
            throw DiskFailure(.inputOutput, file: FileName("x"), detail: "broken")
        }
        return taken == steps ? .done(bytes: 1) : .more(bytes: 1)
    }
}

@Suite struct HelperThreadsTests {
    let folder = TemporaryFolder()

    private func id(_ number: UInt64) -> EffectID {
        EffectID(incarnation: Incarnation(1), sequence: number)
    }

    @Test func jobsTakeTurnsSoThatAShortOneDoesNotWaitForALongOne() throws {
        let files = try RealFileSystem(path: folder.path)
        let helpers = HelperThreads(readers: 1, jobRunners: 1)
        let turns = CountingJob.Turns()
        let ended = WorkQueue<(String, DiskFailure?)>()
        let allWait = WorkQueue<Void>()
        for (number, job) in [
            CountingJob("long", steps: 100, turns: turns, after: allWait),
            CountingJob("short", steps: 3, turns: turns),
            CountingJob("failing", steps: 2, turns: turns),
        ].enumerated() {
            helpers.run(id(UInt64(number)), job, budgetBytes: 1, of: files) { completion in
                guard case .jobEnded(_, let job, let failure) = completion else { return }
                ended.push((job.title, failure))
            }
        }
        allWait.push(())
        let order = [
            try #require(ended.pop()), try #require(ended.pop()), try #require(ended.pop()),
        ]
        helpers.stop()
        #expect(order.map(\.0) == ["failing", "short", "long"])
        #expect(order[0].1?.detail == "broken")
        #expect(order[1].1 == nil)
    }

    @Test func syncsAndReadsCompleteWithTheirIDs() throws {
        let files = try RealFileSystem(path: folder.path)
        let log = FileName("log")
        try files.create(log, preallocate: 0)
        try files.write(log, at: 0, text: "block")
        let helpers = HelperThreads(readers: 2, jobRunners: 1)
        let done = WorkQueue<String>()
        let deliver: HelperThreads.Deliver = { completion in
            switch completion {
            case .logSynced(let id, let failure):
                done.push("sync \(id.sequence) \(failure?.reason as DiskFailure.Reason?)")
            case .blockRead(let id, .bytes(let bytes)):
                done.push("read \(id.sequence) \(String(decoding: bytes, as: UTF8.self))")
            case .blockRead(let id, .failed(let failure)):
                done.push("read \(id.sequence) \(failure.reason)")
            case .jobEnded: done.push("job")
            }
        }
        for number in 1...10 as ClosedRange<UInt64> {
            helpers.sync(id(number), log, of: files, deliver: deliver)
        }
        helpers.sync(id(11), FileName("missing"), of: files, deliver: deliver)
        helpers.read(id(12), log, offset: 1, count: 3, of: files, deliver: deliver)
        helpers.read(id(13), FileName("missing"), offset: 0, count: 3, of: files, deliver: deliver)
        helpers.stop()
        done.close()
        let lines = done.popAll() ?? []
        #expect(lines.filter { $0.hasPrefix("sync") }.count == 11)
        #expect(
            Array(lines.filter { $0.hasPrefix("sync") }.prefix(10))
                == (1...10).map { "sync \($0) nil" })
        #expect(lines.contains("sync 11 Optional(Environment.DiskFailure.Reason.notFound)"))
        #expect(lines.contains("read 12 loc"))
        #expect(lines.contains("read 13 notFound"))
    }
}
