// Compaction options as clients write them: what they mean, and the words with which they are refused.

import Model
import Testing

@Suite struct CompactionOptionsTests {
    private func read(_ name: String, _ map: [String: String] = [:]) throws -> CompactionOptions {
        var map = map
        map["class"] = name
        return try CompactionOptions(reading: map)
    }

    @Test func defaultsAreThoseOfCassandra() throws {
        let tiered = try read("SizeTieredCompactionStrategy")
        #expect(tiered == CompactionOptions())
        #expect(tiered.tombstones.threshold == 0.2 && tiered.tombstones.intervalSeconds == 86_400)
        guard case .leveled(let levels) = try read("LeveledCompactionStrategy").strategy,
            case .timeWindow(let windows) = try read("TimeWindowCompactionStrategy").strategy,
            case .unified(let unified) = try read(
                "org.apache.cassandra.db.compaction.UnifiedCompactionStrategy"
            ).strategy
        else {
            Issue.record("wrong strategies")
            return
        }
        #expect(levels.sstableBytes == 160 << 20 && levels.fanout == 10)
        #expect(windows.windowSeconds == 86_400 && windows.expiredCheckSeconds == 600)
        #expect(unified.scaling == [2] && unified.fanout(0) == 4 && unified.threshold(3) == 4)
        #expect(unified.targetSSTableBytes == 1 << 30 && unified.minimumSSTableBytes == 100 << 20)
        #expect(unified.baseShardCount == 4 && unified.sstableGrowth == 0.333)
    }

    @Test func scalingParametersArePerLevel() throws {
        let map = ["scaling_parameters": "T8, N, L10, -3", "sstable_growth": "50%"]
        guard case .unified(let options) = try read("UnifiedCompactionStrategy", map).strategy
        else { return }
        #expect(options.scaling == [6, 0, -8, -3] && options.sstableGrowth == 0.5)
        #expect((0..<6).map(options.fanout) == [8, 2, 10, 5, 5, 5])
        #expect((0..<6).map(options.threshold) == [8, 2, 2, 2, 2, 2])
    }

    @Test func sizesHaveUnits() throws {
        for (text, bytes) in [("2 MiB", 2 << 20), ("1.5GiB", 3 << 29), ("2097152", 2 << 20)] {
            let map = ["target_sstable_size": text, "min_sstable_size": "0B"]
            guard case .unified(let options) = try read("UnifiedCompactionStrategy", map).strategy
            else { return }
            #expect(options.targetSSTableBytes == bytes && options.minimumSSTableBytes == 0)
        }
    }

    @Test func thresholdsAreShownWhereTheClassHasThem() throws {
        #expect(
            try CompactionOptions.canonical(["class": "LeveledCompactionStrategy"]) == [
                "class": "org.apache.cassandra.db.compaction.LeveledCompactionStrategy",
                "min_threshold": "4", "max_threshold": "32",
            ])
        #expect(
            try CompactionOptions.canonical(["class": "UnifiedCompactionStrategy"]) == [
                "class": "org.apache.cassandra.db.compaction.UnifiedCompactionStrategy"
            ])
    }

    static let refusals: [(String, [String: String], String)] = [
        (
            "Nope", [:],
            "Unable to find compaction strategy class 'org.apache.cassandra.db.compaction.Nope'"
        ),
        (
            "SizeTieredCompactionStrategy", ["fanout_size": "3"],
            "Properties specified [fanout_size] are not understood by SizeTieredCompactionStrategy"
        ),
        (
            "SizeTieredCompactionStrategy", ["tombstone_threshold": "-1"],
            "tombstone_threshold must be greater than 0, but was -1.000000"
        ),
        (
            "SizeTieredCompactionStrategy", ["tombstone_compaction_interval": "x"],
            "x is not a parsable int (base10) for tombstone_compaction_interval"
        ),
        (
            "SizeTieredCompactionStrategy", ["unchecked_tombstone_compaction": "maybe"],
            "'unchecked_tombstone_compaction' should be either 'true' or 'false', not 'maybe'"
        ),
        (
            "SizeTieredCompactionStrategy", ["min_sstable_size": "-5"],
            "min_sstable_size must be non negative: -5"
        ),
        (
            "SizeTieredCompactionStrategy", ["bucket_low": "2"],
            "Bucket high value (1.5) is less than or equal bucket low value (2.0)"
        ),
        (
            "SizeTieredCompactionStrategy", ["min_threshold": "1"],
            "Min compaction threshold cannot be less than 2 (got 1)"
        ),
        (
            "SizeTieredCompactionStrategy", ["max_threshold": "3"],
            "Max compaction threshold (got 3) cannot be less than min compaction threshold (got 4)"
        ),
        (
            "SizeTieredCompactionStrategy", ["provide_overlapping_tombstones": "row"],
            "provide_overlapping_tombstones = 'ROW' is not supported by Coterie yet"
        ),
        (
            "LeveledCompactionStrategy", ["sstable_size_in_mb": "0"],
            "sstable_size_in_mb must be larger than 0, but was 0"
        ),
        (
            "LeveledCompactionStrategy", ["fanout_size": "ten"],
            "ten is not a parsable int (base10) for fanout_size"
        ),
        (
            "TimeWindowCompactionStrategy", ["compaction_window_unit": "YEARS"],
            "YEARS is not valid for compaction_window_unit"
        ),
        (
            "TimeWindowCompactionStrategy", ["compaction_window_size": "0"],
            "0 must be greater than 1 for compaction_window_size"
        ),
        (
            "TimeWindowCompactionStrategy", ["timestamp_resolution": "DAYS"],
            "DAYS is not valid for timestamp_resolution"
        ),
        (
            "UnifiedCompactionStrategy", ["scaling_parameters": "T1"],
            "Fan factor cannot be lower than 2 in T1"
        ),
        (
            "UnifiedCompactionStrategy", ["scaling_parameters": "T4,Q"],
            "Scaling parameter Q must match N|L[0-9]+|T[0-9]+|[+-]?[0-9]+"
        ),
        (
            "UnifiedCompactionStrategy", ["target_sstable_size": "1KiB"],
            "target_sstable_size 1KiB is not acceptable, size must be at least 1.000MiB"
        ),
        (
            "UnifiedCompactionStrategy", ["base_shard_count": "-1"],
            "Invalid configuration, base_shard_count should be positive: -1"
        ),
        (
            "UnifiedCompactionStrategy", ["sstable_growth": "2"],
            "sstable_growth 2 must be between 0 and 1"
        ),
        (
            "UnifiedCompactionStrategy", ["overlap_inclusion_method": "some"],
            "Invalid overlap inclusion method some. The valid options are [NONE, SINGLE, TRANSITIVE]."
        ),
    ]

    @Test(arguments: refusals.indices)
    func wrongOptionsAreRefusedInCassandrasWords(index: Int) {
        let (name, map, text) = Self.refusals[index]
        #expect(throws: CQLError.configuration(text)) { try read(name, map) }
    }

    @Test func aTableWithoutClassIsRefused() {
        #expect(
            throws: CQLError.configuration(
                "Missing sub-option 'class' for the 'compaction' option.")
        ) { try CompactionOptions(reading: ["min_threshold": "4"]) }
    }

    @Test func tombstonesGoAsTheModeSays() throws {
        func before(_ mode: String, single: Bool = false, repairedAt: Int64? = nil) throws -> Int64
        {
            try TombstoneGC(reading: ["mode": mode]).gcBefore(
                nowInSeconds: 10_000, gcGraceSeconds: 1_000, isSingleReplica: single,
                repairedAt: repairedAt)
        }
        #expect(try before("timeout") == 9_000)
        #expect(try before("immediate") == 10_000)
        #expect(try before("disabled") == .min)
        #expect(try before("repair") == .min)
        #expect(try before("repair", repairedAt: 8_000) == 4_400)
        #expect(try before("repair", single: true) == 10_000)
        #expect(TombstoneGC().mode == .timeout)
        #expect(
            throws: CQLError.configuration(
                "Invalid value for tombstone_gc option mode: soon; it must be one of timeout,"
                    + " repair, immediate, disabled")
        ) { try TombstoneGC(reading: ["mode": "soon"]) }
    }

    @Test func oneReplicaIsOneHoweverItIsWritten() {
        func isSingle(_ name: String, _ options: [String: String]) -> Bool {
            ReplicationParameters(strategyClass: name, options: options).isSingleReplica
        }
        #expect(isSingle("org.apache.cassandra.locator.LocalStrategy", [:]))
        #expect(isSingle("SimpleStrategy", ["replication_factor": "1"]))
        #expect(!isSingle("SimpleStrategy", ["replication_factor": "3"]))
        #expect(isSingle("NetworkTopologyStrategy", ["dc1": "1", "dc2": "0"]))
        #expect(!isSingle("NetworkTopologyStrategy", ["dc1": "1", "dc2": "1"]))
    }
}
