// What a strategy sees: a table's SSTables as plain values, so that a choice can be made, and tested,
// without files.

internal import Model

/// An SSTable as far as choosing goes.
struct CompactionFile: Equatable, Sendable {
    var number: UInt64
    var bytes: Int
    var level = 0
    var tokens: ClosedRange<Int64> = .min ... .max
    var minimumTimestamp = Int64.min
    var maximumTimestamp = Int64.max
    /// Seconds since 1970; nil if something in it neither expires nor is a deletion.
    var lastDeletionTime: Int64?
    /// The share of what is in it that could be purged if nothing else were in the way.
    var droppableShare = 0.0
    /// Seconds since 1970.
    var createdAt: Int64 = 0
    /// An input of a compaction that is running.
    var isBusy = false

    func overlaps(_ other: CompactionFile) -> Bool { tokens.overlaps(other.tokens) }
}

/// A compaction that is running, as far as its output is concerned.
struct RunningOutput: Equatable, Sendable {
    var level: Int
    var tokens: ClosedRange<Int64>
}

/// A table at one moment: only files that may be compacted together (a repair keeps what it has covered
/// apart from what it has not).
struct CompactionView: Sendable {
    /// By rising number.
    var files: [CompactionFile]
    /// SSTables of the table that are not in `files` but may hold data that theirs shadow.
    var others: [CompactionFile] = []
    /// The tokens that the shard owns.
    var slice: ClosedRange<Int64> = .min ... .max
    var nowInSeconds: Int64 = 0
    /// Seconds since 1970: what was deleted or expired before may be forgotten.
    var gcBefore: Int64 = .min
    /// Of all memtables: nothing in them is older.
    var oldestInMemory = Int64.max
    var running: [RunningOutput] = []
    /// The usual size of a flushed SSTable; 0 if unknown.
    var flushBytes = 0

    var idle: [CompactionFile] { files.filter { !$0.isBusy } }

    /// Marks files as taken by a choice: to count what else there would be to do.
    mutating func take(_ choice: CompactionChoice) {
        var tokens: ClosedRange<Int64>?
        for index in files.indices where choice.inputs.contains(files[index].number) {
            files[index].isBusy = true
            tokens = tokens.map { hull($0, files[index].tokens) } ?? files[index].tokens
        }
        if let tokens { running.append(RunningOutput(level: choice.level, tokens: tokens)) }
    }

    /// Files in which everything is expired or deleted, past gc grace, and shadows nothing that is left.
    /// `unchecked`: the last condition is not asked.
    func expired(unchecked: Bool) -> [CompactionFile] {
        func isForgettable(_ file: CompactionFile) -> Bool {
            file.lastDeletionTime.map { $0 < gcBefore } ?? false
        }
        let candidates = idle.filter(isForgettable)
        if unchecked || candidates.isEmpty { return candidates }
        // What is forgettable itself has nothing live that could come back.
        let lasting = (files + others).filter { !isForgettable($0) }
        return candidates.filter { candidate in
            candidate.maximumTimestamp < oldestInMemory
                && lasting.allSatisfy {
                    !$0.overlaps(candidate) || candidate.maximumTimestamp < $0.minimumTimestamp
                }
        }
    }

    /// A file that is worth rewriting for its tombstones alone; the one with most to gain.
    func worthPurging(_ options: CompactionOptions.Tombstones) -> CompactionFile? {
        var best: CompactionFile?
        for file in idle
        where file.droppableShare > options.threshold
            && nowInSeconds - file.createdAt > options.intervalSeconds
            && (options.isUnchecked
                || file.droppableShare * shareWithoutOlderOverlap(file) > options.threshold)
        {
            if file.droppableShare > best?.droppableShare ?? 0 { best = file }
        }
        return best
    }

    /// The share of a file's tokens where no other SSTable has something as old as what is in it.
    private func shareWithoutOlderOverlap(_ file: CompactionFile) -> Double {
        var covered: [ClosedRange<Int64>] = []
        for other in files + others
        where other.number != file.number && other.overlaps(file)
            && other.minimumTimestamp <= file.maximumTimestamp
        {
            covered.append(other.tokens.clamped(to: file.tokens))
        }
        if covered.isEmpty { return 1 }
        covered.sort { $0.lowerBound < $1.lowerBound }
        var bare = 0.0
        var next = file.tokens.lowerBound
        for range in covered {
            if range.lowerBound > next { bare += width(next, range.lowerBound) }
            next = max(next, range.upperBound)
        }
        bare += width(next, file.tokens.upperBound)
        let whole = width(file.tokens.lowerBound, file.tokens.upperBound)
        return whole > 0 ? bare / whole : 0
    }
}

/// The smallest range that holds both.
func hull(_ a: ClosedRange<Int64>, _ b: ClosedRange<Int64>) -> ClosedRange<Int64> {
    min(a.lowerBound, b.lowerBound)...max(a.upperBound, b.upperBound)
}

/// How many tokens lie from `low` to `high`, which is not smaller.
func width(_ low: Int64, _ high: Int64) -> Double {
    Double(UInt64(bitPattern: high &- low))
}
