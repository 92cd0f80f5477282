// `coterie bench engine`: the storage engine alone, workload by workload, and `db_bench` of RocksDB
// beside it in the same run with the same sizes.

internal import ArgumentParser
internal import ConsistencyLab
internal import Server

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// The engine's benchmark.
struct EngineBenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "engine",
        abstract: "The storage engine alone, one thread, 16-byte keys and 100-byte values.",
        discussion: """
            Each workload opens the engine, does its operations, waits until no flush or compaction is \
            running, and closes; processor time is that of the whole process with its background \
            threads, all of that included. Operations per second are of the foreground alone. With \
            --peer rocksdb each workload is run by db_bench next, with the same memtable bytes, cache, \
            block size, compression, filter and background threads. The log is written with each \
            operation and not synced.

            MiB is the most memory that the process held during the workload, mapped files included; RSS is \
            that for each byte of its budget: memtables, cache (blocks, index and filters of all files), and \
            what the process held before it opened an engine. budget is what of memtables and cache was in \
            use by our own account.

            Workloads: \(EngineWorkload.allCases.map(\.rawValue).joined(separator: ", ")). \
            The default is db_bench's seven.
            """)

    @Option(help: "The engine to run beside: rocksdb or none.")
    var peer = "none"

    @Option(help: "How many entries the tables have.")
    var entries = 1_000_000

    @Option(help: "Which workloads, separated by commas, or all.")
    var workloads = EngineWorkload.standard.map(\.rawValue).joined(separator: ",")

    @Option(help: "Write the results as JSON to this file.")
    var json: String?

    @Option(help: "How often each workload is run; the median by processor time is shown.")
    var runs = 1

    @Option(help: "Bytes of all memtables; by default a sixteenth to a quarter of the data.")
    var memtableBytes: Int?

    @Option(help: "Bytes of the block cache; by default more than the data.")
    var cacheBytes: Int?

    @Option(help: "Bytes that a block has before compression.")
    var blockBytes = 16 << 10

    @Option(help: "Puts in a write, for both engines.")
    var batch = 1

    @Option(help: "Threads for flushes and compactions, for both engines.")
    var jobThreads = 2

    @Flag(help: "Read files around the page cache (RocksDB writes them around it too).")
    var direct = false

    @Option(help: "The folder for the data, which is removed afterwards.")
    var folder: String?

    @Option(help: "Chooses the order of the keys.")
    var seed: UInt64 = 1

    func run() throws {
        guard (1_000...1_000_000_000).contains(entries), (1...99).contains(runs), batch >= 1,
            batch <= 10_000, (256...1 << 20).contains(blockBytes), (1...64).contains(jobThreads)
        else { throw ValidationError("an option is out of range") }
        guard ["none", "rocksdb"].contains(peer) else {
            throw ValidationError("--peer is rocksdb or none")
        }
        let chosen = try EngineWorkload.parse(workloads)
        ProcessFigures.raiseFileLimit()
        var settings = EngineBenchSettings(entries: entries)
        settings.blockBytes = blockBytes
        settings.batch = batch
        settings.jobThreads = jobThreads
        settings.seed = seed
        settings.isDirect = direct
        if let memtableBytes { settings.memtableBytes = memtableBytes }
        if let cacheBytes { settings.cacheBytes = cacheBytes }
        guard (1 << 16...1 << 40).contains(settings.memtableBytes), settings.cacheBytes >= 0 else {
            throw ValidationError("--memtable-bytes or --cache-bytes is out of range")
        }
        let parent = try BenchFolder(path: folder)
        defer { parent.remove() }
        print(settings.summary)
        print(EngineBenchReport.header(hasPeer: peer == "rocksdb"))
        var results: [EngineBenchResult] = []
        let ours = EngineBenchRunner(settings, folder: parent.path + "/coterie")
        let theirs =
            peer == "rocksdb" ? try RocksDBPeer(settings, folder: parent.path + "/rocksdb") : nil
        for workload in chosen {
            var mine: [EngineBenchResult] = []
            var other: [EngineBenchResult] = []
            for _ in 0..<runs {
                mine.append(try ours.run(workload))
                if let theirs, let result = try theirs.run(workload) { other.append(result) }
            }
            let median = EngineBenchResult.median(mine)
            let peerMedian = other.isEmpty ? nil : EngineBenchResult.median(other)
            print(EngineBenchReport.line(median, peerMedian))
            results.append(median)
            if let peerMedian { results.append(peerMedian) }
        }
        if let json {
            let file = try OutputFile(path: json)
            file.write(JSONText.array(results.map(\.json)).text() + "\n")
            try file.close()
        }
    }
}

/// A folder for data that does not stay.
struct BenchFolder {
    let path: String

    /// Makes an empty folder below `path`, or below the system's folder for temporary files.
    init(path parent: String?) throws {
        var base = "/tmp"
        if let folder = getenv("TMPDIR") { base = String(cString: folder) }
        if let parent { base = parent }
        var template = Array("\(base)/coterie-bench-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else {
            throw ServerFailure(
                "no folder can be made below \(base): \(String(cString: strerror(errno)))")
        }
        path = String(
            decoding: template.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    func remove() { Self.remove(path) }

    /// Removes a folder and all that is in it, two levels deep at most. What cannot be removed stays: it
    /// is only data of a benchmark.
    static func remove(_ path: String) {
        if let stream = opendir(path) {
            var names: [String] = []
            while let entry = readdir(stream) {
                let name = withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                }
                if name != ".", name != ".." { names.append(name) }
            }
            closedir(stream)
            for name in names where unlink("\(path)/\(name)") != 0 { remove("\(path)/\(name)") }
        }
        rmdir(path)
    }

    /// Bytes of the files whose names end so.
    static func bytes(_ path: String, ending: String) -> Int {
        guard let stream = opendir(path) else { return 0 }
        defer { closedir(stream) }
        var total = 0
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            var status = stat()
            if name.hasSuffix(ending), stat("\(path)/\(name)", &status) == 0 {
                total += Int(status.st_size)
            }
        }
        return total
    }
}
