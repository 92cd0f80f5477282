// What the engine's benchmark does: db_bench's workloads by their names there, and our own for what a
// wide-column store meets besides.

internal import ArgumentParser

/// One workload.
enum EngineWorkload: String, CaseIterable {
    // db_bench's.
    case fillseq
    case fillrandom
    case overwrite
    case readrandom
    case readseq
    case seekrandom
    /// One thread, half reads and half writes: db_bench's `readrandomwriterandom`, since an engine
    /// handle of ours belongs to one thread.
    case readwhilewriting
    /// fillrandom in batches of 32.
    case fillbatch
    /// readrandom with a cache of a tenth of the data, 200,000 reads at most.
    case readcold
    /// Cached reads while a compaction of another table runs, and how late they are then: the same reads
    /// are timed without it first.
    case readwhilecompacting

    // Ours alone.
    /// Partitions of 10,000 rows, written row by row in turn, then read whole.
    case wide10k
    /// One partition of a million rows (or as many as there are entries), then slices of 100 of it.
    case wide1m
    /// One key overwritten ten times as often as there are entries.
    case hotkey
    /// One map of as many elements as there are entries, in batches of 100.
    case bigmap
    /// Rows that are deleted one by one, then partitions are scanned over their tombstones.
    case tombstones
    /// Entries that expire while the benchmark runs, then a compaction.
    case expiry
    /// The memtable's worst cases: all tokens in a hundredth of the ring,
    case skewedtokens
    /// all rows in one partition in random order,
    case onepartition
    /// and clustering keys that share their first 64 bytes.
    case equalprefixes
    /// One partition with rows of 1,000 bytes: written, compacted, read forwards, backwards and by slices.
    case bigpartition

    static let standard: [EngineWorkload] = [
        .fillseq, .fillrandom, .overwrite, .readrandom, .readseq, .readwhilewriting, .seekrandom,
    ]

    static func parse(_ text: String) throws -> [EngineWorkload] {
        if text == "all" { return allCases }
        return try text.split(separator: ",").map { name in
            guard let workload = EngineWorkload(rawValue: String(name)) else {
                throw ValidationError(
                    "there is no workload \(name); there are "
                        + allCases.map(\.rawValue).joined(separator: ", "))
            }
            return workload
        }
    }

    /// It reads or changes what `fillrandom` wrote.
    var needsData: Bool {
        switch self {
        case .overwrite, .readrandom, .readseq, .seekrandom, .readwhilewriting, .readcold,
            .readwhilecompacting:
            true
        default: false
        }
    }
}

/// Sizes, the same for both engines.
struct EngineBenchSettings {
    let entries: Int
    let keyBytes = 16
    let valueBytes = 100
    var memtableBytes: Int
    var cacheBytes: Int
    var blockBytes = 16 << 10
    var batch = 1
    var jobThreads = 2
    var seed: UInt64 = 1
    /// Blocks are read around the page cache.
    var isDirect = false

    /// Two memtables, each a power of two between an eighth and a sixteenth of the data but not over
    /// 64 MiB; a cache that holds everything.
    init(entries: Int) {
        self.entries = entries
        let data = entries * 116
        var each = 64 << 20
        while each > 1 << 16, each * 8 > data { each /= 2 }
        memtableBytes = each * 2
        cacheBytes = max(64 << 20, data * 2)
    }

    var dataBytes: Int { entries * (keyBytes + valueBytes) }

    /// Reads of `readcold`: each is one or two of the disk's, whatever the table's size.
    var coldReads: Int { min(entries, 200_000) }

    func cacheBytes(_ workload: EngineWorkload) -> Int {
        workload == .readcold ? dataBytes / 10 : cacheBytes
    }

    /// Of N draws out of N keys: how many different ones, N (1 - 1/e).
    var distinctOfRandom: Int { Int(Double(entries) * 0.632_12) }

    var summary: String {
        """
        \(entries) entries of \(keyBytes) + \(valueBytes) bytes (half of a value compresses away), \
        \(memtableBytes >> 10) KiB of memtables, \(cacheBytes >> 20) MiB of cache, blocks of \
        \(blockBytes) bytes, LZ4, \(batch) put\(batch == 1 ? "" : "s") in a write, \(jobThreads) \
        background threads, log without sync, files read \(isDirect ? "around" : "through") the page cache
        """
    }
}
