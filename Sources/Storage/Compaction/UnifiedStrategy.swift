// Unified compaction, as Cassandra 5.0's UnifiedCompactionStrategy (UnifiedCompactionStrategy.md there):
// files are put into levels by density (bytes for the share of the token space that they span), and a
// level is due where enough of its files overlap at one token. One parameter for each level says how
// many: T4 waits for four and writes little, L10 acts at once and lets reads meet few files, N lies
// between.
//
//     density            level            output
//     bytes / share      log of density   split at the borders of 2^n equal shards of the slice, so that
//                        by the fan-out   later compactions of different shards run side by side
//
// Cost: as size-tiered with T, as levelled with L, with files near the target size in both. Free space
// that one compaction needs: one shard of a level, not the table.
//
// Differs from Cassandra: of several due places the lowest level goes first, and there the leftmost;
// flushes are not split.

internal import Model

/// Chooses by density and overlap.
struct UnifiedStrategy {
    let options: CompactionOptions.Unified

    init(_ options: CompactionOptions.Unified) { self.options = options }

    /// Narrower files are of one partition or so: density says nothing about them.
    private static let smallestShare = 0x1p-48
    private static let maximumShift = 20

    func choose(_ view: CompactionView) -> CompactionChoice? {
        let levels = levels(view)
        for (level, files) in levels.enumerated()
        where files.count >= options.threshold(level) {
            let sets = overlapSets(files)
            guard let start = sets.firstIndex(where: { $0.count >= options.threshold(level) })
            else { continue }
            var chosen = bucket(files, sets, around: start)
            let limit = max(options.maximumSSTablesToCompact, options.fanout(level))
            if chosen.count > limit {
                // Of those that share a token, the oldest: merged, there are fewer over it, whatever
                // becomes of the neighbours.
                chosen = sets[start].sorted {
                    ($0.maximumTimestamp, $0.number) < ($1.maximumTimestamp, $1.number)
                }
                chosen = Array(chosen.prefix(limit))
            }
            return choice(chosen, view, reason: .unified)
        }
        return nil
    }

    /// Everything, split as its density asks.
    func major(_ view: CompactionView) -> CompactionChoice? {
        choice(view.idle, view, reason: .major)
    }

    private func choice(
        _ files: [CompactionFile], _ view: CompactionView, reason: CompactionReason
    ) -> CompactionChoice {
        var span = files[0].tokens
        for file in files { span = hull(span, file.tokens) }
        let bytes = files.reduce(0) { $0 + $1.bytes }
        let density = Double(bytes) / share(span, of: view.slice)
        return CompactionChoice(
            files, split: split(view.slice, into: shardCount(density: density)), reason: reason,
            mayShrink: true)
    }

    // MARK: Density

    /// The share of the slice that the tokens span.
    func share(_ tokens: ClosedRange<Int64>, of slice: ClosedRange<Int64>) -> Double {
        guard tokens.overlaps(slice) else { return 1 }
        let inside = tokens.clamped(to: slice)
        let whole = width(slice.lowerBound, slice.upperBound)
        let share = whole > 0 ? width(inside.lowerBound, inside.upperBound) / whole : 1
        return share < Self.smallestShare ? 1 : share
    }

    /// Idle files by level.
    func levels(_ view: CompactionView) -> [[CompactionFile]] {
        let megabyte = 1 << 20
        let usual = options.flushBytes > 0 ? options.flushBytes : view.flushBytes
        let flush = Double(max(1, (usual + megabyte - 1) / megabyte) * megabyte)
        // Some leeway below the usual size: a flush may end up smaller.
        var limit = flush * (1 - 0.9 / Double(options.fanout(0))) * Double(options.fanout(0))
        let sorted = view.idle.map { ($0, Double($0.bytes) / share($0.tokens, of: view.slice)) }
            .sorted { $0.1 == $1.1 ? $0.0.number < $1.0.number : $0.1 < $1.1 }
        var levels: [[CompactionFile]] = [[]]
        for (file, density) in sorted {
            while density >= limit, levels.count < 64 {
                limit *= Double(options.fanout(levels.count))
                levels.append([])
            }
            levels[levels.count - 1].append(file)
        }
        return levels
    }

    // MARK: Overlap

    /// The largest sets of files that share a token, in the order of tokens.
    func overlapSets(_ files: [CompactionFile]) -> [[CompactionFile]] {
        let sorted = files.sorted {
            ($0.tokens.lowerBound, $0.number) < ($1.tokens.lowerBound, $1.number)
        }
        var sets: [[CompactionFile]] = []
        var active: [CompactionFile] = []
        for file in sorted {
            if active.contains(where: { $0.tokens.upperBound < file.tokens.lowerBound }) {
                sets.append(active)
                active.removeAll { $0.tokens.upperBound < file.tokens.lowerBound }
            }
            active.append(file)
        }
        if !active.isEmpty { sets.append(active) }
        return sets
    }

    /// The files of an overlap set, with the neighbours that the method includes.
    private func bucket(
        _ files: [CompactionFile], _ sets: [[CompactionFile]], around start: Int
    ) -> [CompactionFile] {
        var numbers = Set(sets[start].map(\.number))
        guard options.overlapInclusion != .none else { return sets[start] }
        let isTransitive = options.overlapInclusion == .transitive
        let seed = numbers
        func touches(_ set: [CompactionFile]) -> Bool {
            set.contains { (isTransitive ? numbers : seed).contains($0.number) }
        }
        for set in sets[..<start].reversed() {
            guard touches(set) else { break }
            numbers.formUnion(set.map(\.number))
        }
        for set in sets[(start + 1)...] {
            guard touches(set) else { break }
            numbers.formUnion(set.map(\.number))
        }
        return files.filter { numbers.contains($0.number) }
    }

    // MARK: Shards

    /// Into how many shards data of that density is split.
    func shardCount(density: Double) -> Int {
        let base = options.baseShardCount
        if options.minimumSSTableBytes > 0 {
            let count = density / Double(options.minimumSSTableBytes)
            if count < Double(base) {
                // A power of two that divides the base, so that borders stay borders.
                var shards = 1
                while shards * 2 <= Int(count), base % (shards * 2) == 0 { shards *= 2 }
                return shards
            }
        }
        let count = density / (Double(options.targetSSTableBytes) * Double(base))
        let power = binaryLogarithm(count) * (1 - options.sstableGrowth) + 0.5
        guard power > 0 else { return base }
        return base << min(Int(power), Self.maximumShift)
    }

    /// Of a positive number, within 0.01; without the platform's mathematical library, which may differ
    /// from one to the other.
    private func binaryLogarithm(_ value: Double) -> Double {
        guard value > 0, value.isFinite else { return value > 0 ? 1_024 : -1_024 }
        let fraction = value.significand - 1
        // Exact at both ends; the parabola takes out what a straight line lacks in the middle.
        return Double(value.exponent) + fraction + 0.344 * fraction * (1 - fraction)
    }

    /// The first tokens of all shards but the first.
    func split(_ slice: ClosedRange<Int64>, into count: Int) -> OutputSplit {
        guard count > 1 else { return .never }
        let whole = UInt64(bitPattern: slice.upperBound &- slice.lowerBound)
        let step = whole / UInt64(count) + (whole % UInt64(count) == UInt64(count) - 1 ? 1 : 0)
        guard step > 0 else { return .never }
        return .tokens(
            (1..<count).map {
                Int64(bitPattern: UInt64(bitPattern: slice.lowerBound) &+ step &* UInt64($0))
            })
    }
}
