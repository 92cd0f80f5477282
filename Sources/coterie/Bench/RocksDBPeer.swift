// RocksDB's own benchmark program beside ours: `db_bench` of the Debian package rocksdb-tools.

internal import Server

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// The peer's side of the benchmark.
struct RocksDBPeer {
    let settings: EngineBenchSettings
    let folder: String
    private let program: String

    /// Throws if `db_bench` is not there.
    init(_ settings: EngineBenchSettings, folder: String) throws {
        self.settings = settings
        self.folder = folder
        var folders = "/usr/bin"
        if let path = getenv("PATH") { folders = String(cString: path) }
        let programs = folders.split(separator: ":").map { folder -> String in "\(folder)/db_bench"
        }
        let found = programs.first { program in access(program, X_OK) == 0 }
        guard let found else {
            throw ServerFailure(
                "db_bench is not on the PATH: install Debian's rocksdb-tools, or leave --peer out")
        }
        program = found
    }

    /// Runs db_bench for a workload; nil if it has none like it.
    func run(_ workload: EngineWorkload) throws -> EngineBenchResult? {
        guard let name = Self.name(workload) else { return nil }
        let isMain = workload.needsData || workload == .fillrandom
        let path = "\(folder)-\(isMain ? "main" : "other")"
        if workload.needsData, access(path, F_OK) != 0 {
            _ = try Self.execute(program, arguments(.fillrandom, "fillrandom", path))
        }
        if !workload.needsData { BenchFolder.remove(path) }
        let run = try Self.execute(program, arguments(workload, name, path))
        // Its progress stands before the result, with a carriage return between them.
        var result = EngineBenchResult(workload: workload, engine: "rocksdb")
        guard
            let line = run.output.split(whereSeparator: \.isNewline).first(where: {
                $0.hasPrefix("\(name) ")
            }),
            let perSecond = Self.number(in: line, before: "ops/sec"),
            let operations = Self.number(in: line, before: "operations;")
        else { throw ServerFailure("db_bench said something unexpected:\n\(run.output)") }
        result.operations = Int(operations)
        result.seconds = operations / perSecond
        result.processorMicroseconds = run.processorMicroseconds
        result.residentBytes = run.residentBytes
        result.sortedRuns = Self.sortedRuns(run.output)
        let user = settings.dataBytes
        if let written = Self.writtenBytes(run.output), written > 0 {
            result.writeAmplification =
                written / Double(workload == .readwhilewriting ? user / 2 : user)
        }
        let live: Double
        switch workload {
        case .fillseq: live = 1
        case .fillrandom, .fillbatch: live = 0.632_12
        case .overwrite: live = 0.864_66
        default: live = 0
        }
        if live > 0 {
            result.spaceAmplification =
                Double(BenchFolder.bytes(path, ending: ".sst")) / (Double(user) * live)
        }
        if !isMain { BenchFolder.remove(path) }
        return result
    }

    /// What db_bench calls the workload.
    private static func name(_ workload: EngineWorkload) -> String? {
        switch workload {
        case .fillseq, .fillrandom, .overwrite, .readrandom, .readseq, .seekrandom:
            workload.rawValue
        case .readcold: "readrandom"
        case .fillbatch: "fillrandom"
        case .readwhilewriting: "readrandomwriterandom"
        default: nil
        }
    }

    private func arguments(_ workload: EngineWorkload, _ name: String, _ path: String) -> [String] {
        var arguments = [
            "--db=\(path)", "--num=\(settings.entries)", "--key_size=\(settings.keyBytes)",
            "--value_size=\(settings.valueBytes)", "--compression_type=lz4",
            "--compression_ratio=0.5", "--write_buffer_size=\(settings.memtableBytes / 2)",
            "--max_write_buffer_number=2", "--cache_size=\(settings.cacheBytes(workload))",
            "--bloom_bits=10",
            "--block_size=\(settings.blockBytes)", "--max_background_jobs=\(settings.jobThreads)",
            "--disable_wal=false", "--sync=false", "--threads=1", "--seed=\(settings.seed)",
            "--batch_size=\(workload == .fillbatch ? 32 : settings.batch)",
            "--use_existing_db=\(workload.needsData)", "--readwritepercent=50",
            "--stats_per_interval=0",
        ]
        if workload == .readcold { arguments.append("--reads=\(settings.coldReads)") }
        if settings.isDirect {
            arguments += ["--use_direct_reads", "--use_direct_io_for_flush_and_compaction"]
        }
        let isWriting =
            !workload.needsData || workload == .overwrite || workload == .readwhilewriting
        let work = isWriting ? "\(name),flush,waitforcompaction" : name
        arguments.append("--benchmarks=\(work),levelstats,stats")
        return arguments
    }

    // MARK: Reading what it says

    private static func number(in line: Substring, before word: String) -> Double? {
        let words = line.split(separator: " ")
        guard let index = words.firstIndex(of: Substring(word)), index > 0 else { return nil }
        return Double(words[index - 1])
    }

    /// Files of level 0 and levels that have any, out of `levelstats`.
    private static func sortedRuns(_ output: String) -> Int? {
        var runs = 0
        var isInside = false
        for line in output.split(separator: "\n") {
            if line.hasPrefix("Level Files Size(MB)") {
                isInside = true
                continue
            }
            guard isInside, !line.hasPrefix("---") else { continue }
            let words = line.split(separator: " ").compactMap { Int($0) }
            guard words.count == 3 else { break }
            runs += words[0] == 0 ? words[1] : min(1, words[1])
        }
        return isInside ? runs : nil
    }

    /// Flushes and compactions together, out of `stats`.
    private static func writtenBytes(_ output: String) -> Double? {
        for line in output.split(separator: "\n") where line.hasPrefix("Cumulative compaction: ") {
            let words = line.split(separator: " ")
            guard words.count > 3, let size = Double(words[2]) else { return nil }
            switch words[3] {
            case "GB": return size * 1_073_741_824
            case "MB": return size * 1_048_576
            default: return nil
            }
        }
        return nil
    }

    // MARK: Running it

    private struct Execution {
        let output: String
        let processorMicroseconds: Double
        let residentBytes: Int?
    }

    /// Runs a program to its end; throws with its output if it fails.
    private static func execute(_ program: String, _ arguments: [String]) throws -> Execution {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else {
            throw ServerFailure("no pipe: \(String(cString: strerror(errno)))")
        }
        #if canImport(Darwin)
            var actions: posix_spawn_file_actions_t?
        #else
            var actions = posix_spawn_file_actions_t()
        #endif
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
        posix_spawn_file_actions_adddup2(&actions, ends[1], 2)
        posix_spawn_file_actions_addclose(&actions, ends[0])
        posix_spawn_file_actions_addclose(&actions, ends[1])
        var pointers: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) }
        pointers.append(nil)
        defer { for pointer in pointers { free(pointer) } }
        var process: pid_t = 0
        let started = posix_spawn(&process, program, &actions, nil, pointers, environ)
        close(ends[1])
        var bytes: [UInt8] = []
        // The kernel counts the parent's peak as the child's, so we look at what the child's memory was
        // again and again; it only grows.
        var resident: Int?
        if started == 0 {
            var buffer = [UInt8](repeating: 0, count: 1 << 16)
            while true {
                var wait = pollfd(fd: ends[0], events: Int16(POLLIN), revents: 0)
                if poll(&wait, 1, 20) == 0 {
                    resident = PeakMemory.bytes(of: "\(process)") ?? resident
                    continue
                }
                let count = read(ends[0], &buffer, buffer.count)
                if count < 0, errno == EINTR { continue }
                if count <= 0 { break }
                bytes += buffer[0..<count]
            }
        }
        close(ends[0])
        guard started == 0 else {
            throw ServerFailure(
                "\(program) cannot be started: \(String(cString: strerror(started)))")
        }
        var status: Int32 = 0
        var usage = rusage()
        while wait4(process, &status, 0, &usage) < 0 {
            guard errno == EINTR else { throw ServerFailure("db_bench was lost") }
        }
        let output = String(decoding: bytes, as: UTF8.self)
        guard status == 0 else { throw ServerFailure("db_bench failed (\(status)):\n\(output)") }
        let microseconds =
            Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6
            + Double(usage.ru_utime.tv_usec) + Double(usage.ru_stime.tv_usec)
        return Execution(
            output: output, processorMicroseconds: microseconds, residentBytes: resident)
    }
}
