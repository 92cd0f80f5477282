// What `WITH compaction = {...}` means: the options of Cassandra 5.0's four strategies, read once and
// checked here, for the statement that sets them and for the engine that obeys them.
//
// Sources of names, ranges and defaults: the option classes of Cassandra 5.0's
// `db/compaction` package, and `UnifiedCompactionStrategy.md` there.

/// A table's compaction options, checked.
package struct CompactionOptions: Hashable, Sendable {
    package var strategy = Strategy.sizeTiered(SizeTiered())
    /// False: nothing is compacted unless it is asked for.
    package var isEnabled = true
    package var tombstones = Tombstones()

    /// Size-tiered compaction: thresholds and what counts as similar in size.
    package struct SizeTiered: Hashable, Sendable {
        package var minimumThreshold = 4
        package var maximumThreshold = 32
        package var bucketLow = 0.5
        package var bucketHigh = 1.5
        package var minimumSSTableBytes = 50 << 20
        package init() {}
    }

    /// Levelled compaction.
    package struct Leveled: Hashable, Sendable {
        package var sstableBytes = 160 << 20
        /// A level holds this many times more than the one above it.
        package var fanout = 10
        /// A lone SSTable without overlap goes up a level without being rewritten.
        package var singleSSTableUplevel = true
        /// How level 0 is compacted when it has grown too large.
        package var levelZero = SizeTiered()
        package init() {}
    }

    /// Time windows.
    package struct TimeWindow: Hashable, Sendable {
        package var windowSeconds: Int64 = 86_400
        /// How many units of a write timestamp make a second.
        package var timestampsPerSecond: Int64 = 1_000_000
        package var expiredCheckSeconds: Int64 = 600
        /// Expired SSTables go even if another may hold what they shadow.
        package var dropsExpiredUnchecked = false
        /// How the newest window is compacted.
        package var newest = SizeTiered()
        package init() {}
    }

    /// Which overlapping SSTables a unified compaction takes along.
    package enum OverlapInclusion: String, Hashable, Sendable {
        case none = "NONE"
        case single = "SINGLE"
        case transitive = "TRANSITIVE"
    }

    /// Unified compaction.
    package struct Unified: Hashable, Sendable {
        /// One for each level, the last one for all that follow: above 0 tiered, below levelled.
        package var scaling = [2]
        package var targetSSTableBytes = 1 << 30
        package var minimumSSTableBytes = 100 << 20
        package var baseShardCount = 4
        /// 0: SSTables stay at the target size; 1: their number stays.
        package var sstableGrowth = 0.333
        /// 0: from the SSTables that are there.
        package var flushBytes = 0
        package var maximumSSTablesToCompact = Int.max
        package var expiredCheckSeconds: Int64 = 600
        package var dropsExpiredUnchecked = false
        package var overlapInclusion = OverlapInclusion.transitive
        package init() {}

        /// The scaling parameter of a level.
        package func scaling(_ level: Int) -> Int { scaling[min(level, scaling.count - 1)] }

        /// How many times denser a level is than the one before.
        package func fanout(_ level: Int) -> Int {
            let parameter = scaling(level)
            return parameter < 0 ? 2 - parameter : 2 + parameter
        }

        /// How many overlapping SSTables of a level make it due.
        package func threshold(_ level: Int) -> Int {
            let parameter = scaling(level)
            return parameter <= 0 ? 2 : 2 + parameter
        }
    }

    /// How a table's SSTables are chosen.
    package enum Strategy: Hashable, Sendable {
        case sizeTiered(SizeTiered)
        case leveled(Leveled)
        case timeWindow(TimeWindow)
        case unified(Unified)
    }

    /// When a single SSTable is rewritten to get rid of its tombstones.
    package struct Tombstones: Hashable, Sendable {
        /// The share of droppable tombstones that is too much.
        package var threshold = 0.2
        /// An SSTable younger than this stays as it is.
        package var intervalSeconds: Int64 = 86_400
        /// Rewritten even if overlapping SSTables may keep the tombstones from going.
        package var isUnchecked = false
        /// Tombstones of SSTables that no repair has covered stay.
        package var onlyPurgesRepaired = false
        /// The threshold or the interval was given: time windows rewrite for tombstones only then.
        package var isExplicit = false
        package init() {}
    }

    /// Size-tiered with its defaults.
    package init() {}

    /// The classes' names, without their package.
    package enum ClassName: String, CaseIterable, Sendable {
        case sizeTiered = "SizeTieredCompactionStrategy"
        case leveled = "LeveledCompactionStrategy"
        case timeWindow = "TimeWindowCompactionStrategy"
        case unified = "UnifiedCompactionStrategy"

        package static let package = "org.apache.cassandra.db.compaction."
        package var full: String { Self.package + rawValue }
    }
}
