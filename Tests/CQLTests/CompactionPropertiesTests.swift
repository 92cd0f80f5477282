// Compaction and tombstone options in CREATE and ALTER TABLE, and what DESCRIBE makes of them.

import Model
import Testing

@testable import CQL

@Suite struct CompactionPropertiesTests {
    @Test func strategiesChangeByAlteringAndAreShownAsGiven() throws {
        var bench = try SchemaBench.withKeyspace("CREATE TABLE t (k int PRIMARY KEY)")
        try bench.apply(
            "ALTER TABLE t WITH compaction = {'class': 'TimeWindowCompactionStrategy',"
                + " 'compaction_window_unit': 'HOURS', 'compaction_window_size': 6}")
        var options = try #require(bench.snapshot.table("ks", "t")).options
        #expect(options.compaction["compaction_window_unit"] == "HOURS")
        #expect(options.compaction["min_threshold"] == "4")
        try bench.apply(
            "ALTER TABLE t WITH compaction = {'class': 'UnifiedCompactionStrategy',"
                + " 'scaling_parameters': 'T8, L10', 'enabled': 'false'}")
        options = try #require(bench.snapshot.table("ks", "t")).options
        #expect(
            options.compaction == [
                "class": "org.apache.cassandra.db.compaction.UnifiedCompactionStrategy",
                "scaling_parameters": "T8, L10", "enabled": "false",
            ])
        #expect(try !CompactionOptions(reading: options.compaction).isEnabled)
        #expect(
            bench.failure(
                "ALTER TABLE t WITH compaction = {'class': 'LeveledCompactionStrategy',"
                    + " 'sstable_size_in_mb': 'big'}")
                == .configuration("big is not a parsable int (base10) for sstable_size_in_mb"))
    }

    @Test func theRuleForTombstonesIsKeptAndDescribed() throws {
        let bench = try SchemaBench.withKeyspace(
            "CREATE TABLE t (k int PRIMARY KEY) WITH tombstone_gc = {'mode': 'repair'}",
            "CREATE TABLE u (k int PRIMARY KEY)")
        #expect(bench.snapshot.table("ks", "t")?.options.tombstoneGC.mode == .repair)
        let text = try describe(bench, "DESCRIBE TABLE ks.t")[0][3]
        #expect(
            text.hasSuffix(
                "    AND tombstone_gc = {'mode': 'repair', 'propagation_delay_in_seconds': '3600'};"
            ))
        #expect(try !describe(bench, "DESCRIBE TABLE ks.u")[0][3].contains("tombstone_gc"))
        #expect(
            bench.failure("ALTER TABLE t WITH tombstone_gc = {'mode': 'never'}")
                == .configuration(
                    "Invalid value for tombstone_gc option mode: never; it must be one of timeout,"
                        + " repair, immediate, disabled"))
    }
}
