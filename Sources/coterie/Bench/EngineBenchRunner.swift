// Runs workloads against our engine, through its public API.

internal import CoterieEngine
internal import Environment
internal import Server

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Our side of the benchmark. The data of `fillrandom` stays for the workloads that need it.
struct EngineBenchRunner {
    let settings: EngineBenchSettings
    let folder: String

    init(_ settings: EngineBenchSettings, folder: String) {
        self.settings = settings
        self.folder = folder
    }

    /// Runs a workload from opening to closing.
    func run(_ workload: EngineWorkload) throws -> EngineBenchResult {
        let path = "\(folder)-\(workload.needsData || workload == .fillrandom ? "main" : "other")"
        if workload.needsData {
            if access(path, F_OK) != 0 { _ = try measure(.fillrandom, path) }
        } else {
            BenchFolder.remove(path)
        }
        let result = try measure(workload, path)
        if !workload.needsData, workload != .fillrandom { BenchFolder.remove(path) }
        return result
    }

    private func measure(_ workload: EngineWorkload, _ path: String) throws -> EngineBenchResult {
        _ = PeakMemory.base
        PeakMemory.reset()
        let begin = ProcessFigures.processorMicroseconds()
        var options = EngineOptions()
        options.memtableBytes = settings.memtableBytes
        options.blockCacheBytes = settings.cacheBytes(workload)
        options.readsDirectly = settings.isDirect
        options.blockBytes = settings.blockBytes
        options.jobThreads = settings.jobThreads
        let engine = try Engine.open(path, options: options)
        var definition = TableDefinition(name: "bench")
        definition.isClustered = workload.isClustered
        var run = EngineBenchRun(
            settings, engine, try engine.createTable(definition), workload)
        defer { run.free() }
        let start = BenchClock.seconds()
        let operations = try run.perform()
        let seconds = BenchClock.seconds() - start
        try engine.flush()
        let figures = engine.figures(of: run.table)
        try engine.close()
        let end = ProcessFigures.processorMicroseconds()
        var result = EngineBenchResult(workload: workload, engine: "coterie")
        result.operations = operations
        result.seconds = seconds
        result.processorMicroseconds = Double(end - begin)
        let budget = options.memtableBytes + options.blockCacheBytes
        result.residentBytes = PeakMemory.bytes()
        result.budgetBytes = PeakMemory.base + budget
        result.lateRead = run.lateRead
        result.budgetUse = Double(engine.peakMemoryBytes) / Double(budget)
        result.sortedRuns = figures.files
        if run.userBytes > 0 {
            result.writeAmplification =
                Double(figures.flushedBytes + figures.compactedBytes) / Double(run.userBytes)
        }
        if run.liveBytes > 0 {
            result.spaceAmplification = Double(figures.fileBytes) / Double(run.liveBytes)
        }
        return result
    }
}

extension EngineWorkload {
    /// Its partitions have many rows.
    var isClustered: Bool {
        switch self {
        case .wide10k, .wide1m, .tombstones, .onepartition, .equalprefixes, .bigpartition: true
        default: false
        }
    }
}

/// The time of day does not matter here: a monotonic clock in seconds.
enum BenchClock {
    static func seconds() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}

/// The most memory that this process held since the last reset; Linux only.
enum PeakMemory {
    /// What the process held before it opened its first engine: program, runtime, and the benchmark's own.
    static let base = ProcessFigures.residentBytes()

    /// Begins anew. Where the kernel does not let us, the peak is that of the whole run.
    static func reset() {
        let file = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC)
        if file < 0 { return }
        _ = write(file, "5", 1)
        close(file)
    }

    static func bytes(of process: String = "self") -> Int? {
        let file = open("/proc/\(process)/status", O_RDONLY | O_CLOEXEC)
        if file < 0 { return nil }
        defer { close(file) }
        var buffer = [UInt8](repeating: 0, count: 8192)
        let count = read(file, &buffer, buffer.count)
        if count <= 0 { return nil }
        for line in String(decoding: buffer[0..<count], as: UTF8.self).split(separator: "\n")
        where line.hasPrefix("VmHWM:") {
            return line.split(separator: " ").dropFirst().compactMap { Int($0) }.first.map {
                $0 << 10
            }
        }
        return nil
    }
}

/// One workload under way: the engine, and buffers for keys and values.
struct EngineBenchRun {
    let settings: EngineBenchSettings
    let engine: Engine
    let table: Table
    let workload: EngineWorkload
    let key = BenchKey()
    let clustering = BenchKey()
    var values: BenchValues
    var random: RandomStream
    let batch: WriteBatch
    let result = ReadResult()
    /// Bytes of keys and values that were put.
    var userBytes = 0
    /// Bytes of keys and values that are there in the end.
    var liveBytes = 0
    var lateRead: (microseconds: Double, undisturbed: Double)?

    init(
        _ settings: EngineBenchSettings, _ engine: Engine, _ table: Table,
        _ workload: EngineWorkload
    ) {
        self.settings = settings
        self.engine = engine
        self.table = table
        self.workload = workload
        values = BenchValues(length: settings.valueBytes, seed: settings.seed)
        random = RandomStream(seed: settings.seed, name: workload.rawValue)
        batch = engine.makeBatch()
    }

    func free() {
        key.free()
        clustering.free()
        values.free()
    }

    private var entries: Int { settings.entries }
    private let nothing = UnsafeRawBufferPointer(start: nil, count: 0)

    /// Does the workload's operations and says how many there were.
    mutating func perform() throws -> Int {
        switch workload {
        case .fillseq: return try fill(inBatchesOf: settings.batch, isRandom: false)
        case .fillrandom, .overwrite:
            return try fill(inBatchesOf: settings.batch, isRandom: true)
        case .fillbatch: return try fill(inBatchesOf: 32, isRandom: true)
        case .readrandom: return try readRandom(entries)
        case .readcold: return try readRandom(settings.coldReads)
        case .readwhilecompacting: return try readBesideCompaction()
        case .bigpartition: return try fillBigPartition()
        case .readseq: return try readSequentially()
        case .seekrandom: return try seekRandomly()
        case .readwhilewriting: return try readAndWrite()
        case .wide10k: return try widePartitions(rows: 10_000)
        case .wide1m: return try widePartitions(rows: entries)
        case .hotkey: return try overwriteOneKey()
        case .bigmap: return try fillMap()
        case .tombstones: return try scanOverTombstones()
        case .expiry: return try expire()
        case .skewedtokens: return try fillSkewed()
        case .onepartition: return try fillOnePartition(sharing: 0)
        case .equalprefixes: return try fillOnePartition(sharing: 64)
        }
    }

    // MARK: db_bench's workloads

    private mutating func fill(inBatchesOf size: Int, isRandom: Bool) throws -> Int {
        var number = 0
        while number < entries {
            batch.removeAll()
            for _ in 0..<min(size, entries - number) {
                let place = isRandom ? random.below(UInt64(entries)) : UInt64(number)
                batch.put(table, partition: key.set(place), column: 1, value: values.next())
                number += 1
            }
            try engine.write(batch)
        }
        userBytes = settings.dataBytes
        liveBytes =
            isRandom && workload != .overwrite
            ? settings.distinctOfRandom * (settings.keyBytes + settings.valueBytes) : userBytes
        if workload == .overwrite {
            // After two rounds of draws 1 - 1/e² of the keys are there.
            liveBytes = Int(Double(entries) * 0.864_66) * (settings.keyBytes + settings.valueBytes)
        }
        return entries
    }

    private mutating func readRandom(_ count: Int) throws -> Int {
        var found = 0
        for _ in 0..<count {
            try engine.read(
                table, partition: key.set(random.below(UInt64(entries))), into: result)
            var rows = result.rows()
            if let row = rows.next(), row.value(1)?.count == settings.valueBytes { found += 1 }
        }
        guard found > count / 4 else { throw ServerFailure("readrandom found only \(found)") }
        return count
    }

    private mutating func readSequentially() throws -> Int {
        let scan = try engine.scan(table)
        var count = 0
        var bytes = 0
        while let row = try scan.next() {
            count += 1
            bytes += row.value(1)?.count ?? 0
        }
        guard bytes == count * settings.valueBytes, count > 0 else {
            throw ServerFailure("readseq found \(count) rows with \(bytes) bytes")
        }
        return count
    }

    private mutating func seekRandomly() throws -> Int {
        var found = 0
        for _ in 0..<entries {
            let scan = try engine.scan(
                table, from: key.set(random.below(UInt64(entries))), limit: 1)
            if try scan.next() != nil { found += 1 }
        }
        guard found > entries / 2 else { throw ServerFailure("seekrandom found only \(found)") }
        return entries
    }

    private mutating func readAndWrite() throws -> Int {
        for number in 0..<entries {
            let place = key.set(random.below(UInt64(entries)))
            if number % 2 == 0 {
                try engine.read(table, partition: place, into: result)
                var rows = result.rows()
                while let row = rows.next() { _ = row.value(1) }
            } else {
                batch.removeAll()
                batch.put(table, partition: place, column: 1, value: values.next())
                try engine.write(batch)
            }
        }
        userBytes = settings.dataBytes / 2
        return entries
    }

    /// Reads with everything in the cache, first alone and then while another table is compacted.
    private mutating func readBesideCompaction() throws -> Int {
        let other = try engine.createTable(TableDefinition(name: "other"))
        for round in 0..<4 {
            for number in 0..<UInt64(max(1, entries / 4)) {
                batch.removeAll()
                batch.put(
                    other, partition: key.set(number &* 4 &+ UInt64(round)), column: 1,
                    value: values.next())
                try engine.write(batch)
            }
        }
        try engine.flush()
        let scan = try engine.scan(table)
        while try scan.next() != nil {}
        var alone = LatencyCounts()
        for _ in 0..<entries { try readTimed(&alone) }
        var beside = LatencyCounts()
        var before = 0
        repeat {
            before = beside.total
            try engine.startCompaction(of: other)
            while engine.isCompacting, beside.total < 10 * entries { try readTimed(&beside) }
        } while beside.total > before && beside.total < entries
        try engine.dropTable(other)
        lateRead = (beside.microseconds(of: 0.99), alone.microseconds(of: 0.99))
        return alone.total + beside.total
    }

    private mutating func readTimed(_ latencies: inout LatencyCounts) throws {
        let place = key.set(random.below(UInt64(entries)))
        let start = BenchClock.seconds()
        try engine.read(table, partition: place, into: result)
        latencies.add(BenchClock.seconds() - start)
    }

    // MARK: Our own

    /// As many rows of 1,000 bytes in one partition as there are entries; then it is compacted, and read
    /// in every direction.
    private mutating func fillBigPartition() throws -> Int {
        var large = BenchValues(length: 1_000, seed: settings.seed)
        defer { large.free() }
        for start in stride(from: 0, to: entries, by: 10) {
            batch.removeAll()
            for number in start..<min(start + 10, entries) {
                batch.put(
                    table, partition: key.set(1),
                    clustering: clustering.set(UInt64(number) &* 0x9E37_79B9_7F4A_7C15), column: 1,
                    value: large.next())
            }
            try engine.write(batch)
        }
        try engine.compact(table)
        var read = 0
        for isReversed in [false, true] {
            var bound: [UInt8]?
            while true {
                try engine.read(
                    table, partition: key.set(1),
                    rows: .init(
                        lower: isReversed ? nil : bound, upper: isReversed ? bound : nil,
                        reversed: isReversed, limit: 1_000), into: result)
                var rows = result.rows()
                var count = 0
                while let row = rows.next() {
                    count += 1
                    bound = [UInt8](row.clustering)
                }
                read += count
                if count < 1_000 { break }
                // Behind the last row: the smallest key that is larger, or that row itself, exclusive.
                if !isReversed { bound?.append(0) }
            }
        }
        guard read == 2 * entries else { throw ServerFailure("read \(read) rows of \(entries)") }
        for _ in 0..<1_000 {
            let place = clustering.set(random.below(UInt64(entries)) &* 0x9E37_79B9_7F4A_7C15)
            try engine.read(
                table, partition: key.set(1), rows: .init(lower: [UInt8](place), limit: 100),
                into: result)
            var rows = result.rows()
            guard rows.next() != nil else { throw ServerFailure("a slice has no row") }
        }
        userBytes = entries * (32 + 1_000)
        liveBytes = userBytes
        return 3 * entries
    }

    /// Rows of `entries / rows` partitions in turn, then each partition is read once in slices of 100.
    private mutating func widePartitions(rows: Int) throws -> Int {
        let rows = min(rows, entries)
        let partitions = entries / rows
        for row in 0..<rows {
            batch.removeAll()
            for partition in 0..<partitions {
                batch.put(
                    table, partition: key.set(UInt64(partition)),
                    clustering: clustering.set(UInt64(row)), column: 1, value: values.next())
            }
            try engine.write(batch)
        }
        var read = 0
        for partition in 0..<partitions {
            for start in stride(from: 0, to: rows, by: 100) {
                let lower = [UInt8](clustering.set(UInt64(start)))
                try engine.read(
                    table, partition: key.set(UInt64(partition)),
                    rows: .init(lower: lower, limit: 100), into: result)
                var cursor = result.rows()
                while cursor.next() != nil { read += 1 }
            }
        }
        guard read == rows * partitions else { throw ServerFailure("read \(read) of \(entries)") }
        userBytes = rows * partitions * (32 + settings.valueBytes)
        liveBytes = userBytes
        return 2 * read
    }

    private mutating func overwriteOneKey() throws -> Int {
        let count = entries * 10
        for _ in 0..<count {
            batch.removeAll()
            batch.put(table, partition: key.set(1), column: 1, value: values.next())
            try engine.write(batch)
        }
        userBytes = count * (settings.keyBytes + settings.valueBytes)
        return count
    }

    private mutating func fillMap() throws -> Int {
        let value = UnsafeRawBufferPointer(rebasing: values.next()[0..<8])
        for start in stride(from: 0, to: entries, by: 100) {
            batch.removeAll()
            for number in start..<min(start + 100, entries) {
                batch.put(
                    table, partition: key.set(1), column: 1,
                    path: clustering.set(UInt64(number) &* 0x9E37_79B9_7F4A_7C15), value: value)
            }
            try engine.write(batch)
        }
        try engine.read(table, partition: key.set(1), into: result)
        var rows = result.rows()
        var count = 0
        if let row = rows.next() {
            var cells = row.cells()
            while cells.next() != nil { count += 1 }
        }
        guard count == entries else { throw ServerFailure("the map has \(count) elements") }
        userBytes = entries * 24
        return entries
    }

    /// A hundred partitions; all rows but each thousandth are deleted; then all are scanned.
    private mutating func scanOverTombstones() throws -> Int {
        let partitions = 100
        let rows = max(1, entries / partitions)
        for isDeletion in [false, true] {
            for row in 0..<rows where !isDeletion || row % 1000 != 0 {
                batch.removeAll()
                for partition in 0..<partitions {
                    let place = key.set(UInt64(partition))
                    let inside = clustering.set(UInt64(row))
                    if isDeletion {
                        batch.deleteRow(
                            table, partition: [UInt8](place), clustering: [UInt8](inside))
                    } else {
                        batch.put(
                            table, partition: place, clustering: inside, column: 1,
                            value: values.next())
                    }
                }
                try engine.write(batch)
            }
        }
        let scan = try engine.scan(table)
        var live = 0
        while try scan.next() != nil { live += 1 }
        guard live == partitions * ((rows + 999) / 1000) else {
            throw ServerFailure("\(live) rows are left")
        }
        userBytes = rows * partitions * (32 + settings.valueBytes) * 2
        return rows * partitions * 3
    }

    private mutating func expire() throws -> Int {
        for number in 0..<entries {
            batch.removeAll()
            batch.put(
                table, partition: key.set(UInt64(number)), column: 1, value: values.next(),
                timeToLive: 1)
            try engine.write(batch)
        }
        let end = BenchClock.seconds() + 2
        while BenchClock.seconds() < end { usleep(50_000) }
        try engine.compact(table)
        let scan = try engine.scan(table)
        guard try scan.next() == nil else { throw ServerFailure("something did not expire") }
        userBytes = settings.dataBytes
        return entries
    }

    /// Keys whose tokens all lie in a hundredth of the ring.
    private mutating func fillSkewed() throws -> Int {
        let width = Int64(truncatingIfNeeded: UInt64.max / 100)
        var number: UInt64 = 0
        var written = 0
        while written < entries {
            let place = key.set(number)
            number += 1
            guard (0..<width).contains(Engine.token(of: place)) else { continue }
            batch.removeAll()
            batch.put(table, partition: place, column: 1, value: values.next())
            try engine.write(batch)
            written += 1
        }
        userBytes = settings.dataBytes
        liveBytes = userBytes
        return entries
    }

    /// Rows of one partition in random order, their keys beginning with the same `sharing` bytes.
    private mutating func fillOnePartition(sharing: Int) throws -> Int {
        let full = UnsafeMutableRawBufferPointer.allocate(byteCount: sharing + 16, alignment: 8)
        defer { full.deallocate() }
        full.initializeMemory(as: UInt8.self, repeating: 0x41)
        for number in 0..<entries {
            full.storeBytes(
                of: (UInt64(number) &* 0x9E37_79B9_7F4A_7C15).bigEndian, toByteOffset: sharing,
                as: UInt64.self)
            batch.removeAll()
            batch.put(
                table, partition: key.set(1), clustering: UnsafeRawBufferPointer(full), column: 1,
                value: values.next())
            try engine.write(batch)
        }
        userBytes = entries * (16 + full.count + settings.valueBytes)
        liveBytes = userBytes
        return entries
    }
}
