// What is to be compacted, as a strategy says it. A strategy only chooses; the engine carries it out.

internal import Model

/// Where one output SSTable ends and the next begins; always between two partitions.
enum OutputSplit: Equatable, Sendable {
    case never
    /// When it has that many bytes.
    case bytes(Int)
    /// At that many bytes, the next at half of it, and so on.
    case halves(Int)
    /// Before the first partition at or after each of these tokens, which rise.
    case tokens([Int64])

    /// No half is smaller.
    static let smallestHalf = 50 << 20
}

/// Why something is compacted: for people and for the history.
enum CompactionReason: String, Equatable, Sendable {
    case sizeTiered = "size_tiered"
    case levelZero = "level_zero"
    case level
    case timeWindow = "time_window"
    case unified
    case tombstones
    case expired
    case major
    case userDefined = "user_defined"
}

/// SSTables and what is to become of them.
struct CompactionChoice: Equatable, Sendable {
    enum Deed: Equatable, Sendable {
        /// Merge them into new ones.
        case merge
        /// Forget them unread: all in them is expired.
        case drop
        /// Only their level changes.
        case relevel
    }

    var deed = Deed.merge
    /// Numbers, rising.
    var inputs: [UInt64]
    /// Of the outputs.
    var level = 0
    var split = OutputSplit.never
    var reason: CompactionReason
    /// Where the disk has no room for all, the largest inputs may be left out.
    var mayShrink = false

    init(
        _ files: [CompactionFile], deed: Deed = .merge, level: Int = 0, split: OutputSplit = .never,
        reason: CompactionReason, mayShrink: Bool = false
    ) {
        self.deed = deed
        inputs = files.map(\.number).sorted()
        self.level = level
        self.split = split
        self.reason = reason
        self.mayShrink = mayShrink
    }
}

/// A table's strategy with its options.
struct CompactionStrategy: Sendable {
    let options: CompactionOptions

    /// What to do next; nil: nothing. Deterministic: equal views give equal choices.
    func choose(_ view: CompactionView) -> CompactionChoice? {
        let expired = view.expired(unchecked: dropsExpiredUnchecked)
        if !expired.isEmpty { return CompactionChoice(expired, deed: .drop, reason: .expired) }
        let choice =
            switch options.strategy {
            case .sizeTiered(let tiers): SizeTieredStrategy(tiers).choose(view)
            case .leveled(let levels): LeveledStrategy(levels).choose(view)
            case .timeWindow(let windows): TimeWindowStrategy(windows).choose(view)
            case .unified(let unified): UnifiedStrategy(unified).choose(view)
            }
        if let choice { return choice }
        if case .timeWindow = options.strategy, !options.tombstones.isExplicit { return nil }
        guard let file = view.worthPurging(options.tombstones) else { return nil }
        var purge = CompactionChoice([file], level: file.level, reason: .tombstones)
        // Its outputs must not overlap others of its level; alone it covers what it covered before.
        if file.level > 0,
            view.running.contains(where: {
                $0.level == file.level && $0.tokens.overlaps(file.tokens)
            })
        {
            return nil
        }
        if case .leveled(let levels) = options.strategy, file.level > 0 {
            purge.split = .bytes(levels.sstableBytes)
        }
        return purge
    }

    /// All idle files into one, or into as many as the strategy would make of them.
    func major(_ view: CompactionView, splits: Bool) -> CompactionChoice? {
        let files = view.idle
        guard !files.isEmpty else { return nil }
        switch options.strategy {
        case .leveled(let levels): return LeveledStrategy(levels).major(view)
        case .unified(let unified): return UnifiedStrategy(unified).major(view)
        case .sizeTiered, .timeWindow:
            // Halves, quarters, ... of the whole, so that the next tiers have companions.
            let total = files.reduce(0) { $0 + $1.bytes }
            return CompactionChoice(
                files, split: splits ? .halves((total + 1) / 2) : .never, reason: .major,
                mayShrink: true)
        }
    }

    /// How often a table without writes must be looked at for what has expired meanwhile.
    var expiredCheckSeconds: Int64 {
        switch options.strategy {
        case .timeWindow(let windows): windows.expiredCheckSeconds
        case .unified(let unified): unified.expiredCheckSeconds
        // As often as Cassandra looks at all tables.
        case .sizeTiered, .leveled: 300
        }
    }

    private var dropsExpiredUnchecked: Bool {
        switch options.strategy {
        case .timeWindow(let windows): windows.dropsExpiredUnchecked
        case .unified(let unified): unified.dropsExpiredUnchecked
        case .sizeTiered, .leveled: false
        }
    }

    /// How many compactions are due and how many bytes they would read: choices until there are none.
    func pending(_ view: CompactionView) -> (tasks: Int, bytes: Int) {
        var view = view
        var result = (tasks: 0, bytes: 0)
        while result.tasks < 1_000, let choice = choose(view) {
            result.tasks += 1
            if choice.deed == .merge {
                for file in view.files where choice.inputs.contains(file.number) {
                    result.bytes += file.bytes
                }
            }
            view.take(choice)
        }
        return result
    }
}
