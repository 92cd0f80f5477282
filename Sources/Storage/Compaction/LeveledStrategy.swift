// Levelled compaction, as Cassandra's LeveledCompactionStrategy (after LevelDB): level 0 takes what is
// flushed; each level below is one sorted run of SSTables that do not overlap, of a fixed size, and holds
// `fanout_size` times more than the one above.
//
//     L0  overlapping, any size       -- 4 files or more --> L1 (all of L0, and what they overlap there)
//     L1  10 x sstable_size_in_mb     -- too large       --> L2 (one file, and what it overlaps there)
//     L2 100 x ...
//
// Cost: a point read meets one file for each level and those of L0; each byte is written about
// `fanout / 2` times for each level that it goes down. Which file goes down: the one that overlaps least
// of the next level, for its size (RocksDB calls it kMinOverlappingRatio); no state between choices.
//
// Invariants
//   - the outputs of a compaction into a level and that level's other files do not overlap: the inputs
//     include every file of the target level in their span, and no running compaction writes there;
//   - files that overlap others of their level (a former strategy's, restored ones) count as level 0.
//
// Differs from Cassandra: level 0 waits for `min_threshold` files, where Cassandra begins with two; it
// picks by overlap instead of in a circle.

internal import Model

/// Chooses by level.
struct LeveledStrategy {
    let options: CompactionOptions.Leveled
    static let maximumLevel = 8
    /// With more files than this, level 0 is compacted by size alone, so that reads do not drown.
    static let crowdedLevelZero = 32

    init(_ options: CompactionOptions.Leveled) { self.options = options }

    func choose(_ view: CompactionView) -> CompactionChoice? {
        let levels = levels(view.files)
        let zero = levels[0].filter { !$0.isBusy }
        let isCrowded = zero.count > Self.crowdedLevelZero
        for level in (1..<Self.maximumLevel).reversed() {
            let idleBytes = levels[level].reduce(0) { $0 + ($1.isBusy ? 0 : $1.bytes) }
            guard Double(idleBytes) > Double(bytes(of: level)) * 1.001 else { continue }
            if isCrowded, let choice = bySize(zero) { return choice }
            if let choice = promote(level, levels, view) { return choice }
        }
        if isCrowded, let choice = bySize(zero) { return choice }
        return leaveLevelZero(zero, levels, view)
    }

    /// What a level may hold.
    func bytes(of level: Int) -> Int {
        var bytes = options.sstableBytes
        for _ in 0..<level {
            let (product, overflow) = bytes.multipliedReportingOverflow(by: options.fanout)
            if overflow { return .max }
            bytes = product
        }
        return bytes
    }

    /// Files by level, each level but 0 sorted by token and free of overlap.
    func levels(_ files: [CompactionFile]) -> [[CompactionFile]] {
        var levels = [[CompactionFile]](repeating: [], count: Self.maximumLevel + 1)
        for file in files { levels[min(max(file.level, 0), Self.maximumLevel)].append(file) }
        for level in 1...Self.maximumLevel {
            levels[level].sort {
                ($0.tokens.lowerBound, $0.number) < ($1.tokens.lowerBound, $1.number)
            }
            var last = Int64.min
            var run: [CompactionFile] = []
            for file in levels[level] {
                if run.isEmpty || file.tokens.lowerBound > last {
                    run.append(file)
                    last = file.tokens.upperBound
                } else {
                    levels[0].append(file)
                }
            }
            levels[level] = run
        }
        levels[0].sort { $0.number < $1.number }
        return levels
    }

    private func bySize(_ zero: [CompactionFile]) -> CompactionChoice? {
        SizeTieredStrategy(options.levelZero).choose(among: zero, reason: .levelZero)
    }

    private func isFree(_ tokens: ClosedRange<Int64>, _ level: Int, _ view: CompactionView) -> Bool
    {
        !view.running.contains { $0.level == level && $0.tokens.overlaps(tokens) }
    }

    /// One file of a level, and what it overlaps in the next.
    private func promote(
        _ level: Int, _ levels: [[CompactionFile]], _ view: CompactionView
    ) -> CompactionChoice? {
        var best: (inputs: [CompactionFile], share: Double)?
        for file in levels[level] where !file.isBusy {
            let below = levels[level + 1].filter { $0.overlaps(file) }
            let span = below.reduce(file.tokens) { hull($0, $1.tokens) }
            guard !below.contains(where: \.isBusy), isFree(span, level + 1, view) else { continue }
            let share =
                Double(below.reduce(0) { $0 + $1.bytes }) / Double(max(1, file.bytes))
            if share < best?.share ?? .infinity { best = ([file] + below, share) }
        }
        guard let best else { return nil }
        let isAlone = best.inputs.count == 1 && options.singleSSTableUplevel
        return CompactionChoice(
            best.inputs, deed: isAlone ? .relevel : .merge, level: level + 1,
            split: .bytes(options.sstableBytes), reason: .level)
    }

    /// Level 0 into level 1; among itself while it does not fill an SSTable yet.
    private func leaveLevelZero(
        _ zero: [CompactionFile], _ levels: [[CompactionFile]], _ view: CompactionView
    ) -> CompactionChoice? {
        guard zero.count >= options.levelZero.minimumThreshold else { return nil }
        let inputs = Array(zero.prefix(Self.crowdedLevelZero))
        guard inputs.reduce(0, { $0 + $1.bytes }) >= options.sstableBytes else {
            return bySize(zero)
        }
        var span = inputs[0].tokens
        for file in inputs { span = hull(span, file.tokens) }
        let below = levels[1].filter { $0.tokens.overlaps(span) }
        for file in below { span = hull(span, file.tokens) }
        guard !below.contains(where: \.isBusy), isFree(span, 1, view) else { return nil }
        return CompactionChoice(
            inputs + below, level: 1, split: .bytes(options.sstableBytes), reason: .levelZero)
    }

    /// Everything, into the first level that holds it. Nil while something is running: its output
    /// could overlap ours.
    func major(_ view: CompactionView) -> CompactionChoice? {
        guard !view.files.contains(where: \.isBusy) else { return nil }
        let total = view.files.reduce(0) { $0 + $1.bytes }
        var level = 1
        while level < Self.maximumLevel, bytes(of: level) < total { level += 1 }
        return CompactionChoice(
            view.files, level: level, split: .bytes(options.sstableBytes), reason: .major)
    }
}
