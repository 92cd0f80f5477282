// Who sets a table option that has no effect yet is told so; who repeats a default is not.

import Model
import Testing

@testable import CQL

@Suite struct OptionWarningsTests {
    private func warnings(_ options: String) throws -> [String] {
        let bench = try SchemaBench.withKeyspace("CREATE TABLE t (k int PRIMARY KEY)")
        guard case .schemaChange(let change) = try bench.plan("ALTER TABLE t WITH \(options)").plan
        else { throw Unexpected() }
        return change.optionWarnings
    }

    @Test(arguments: [
        "min_index_interval = 64", "max_index_interval = 4096", "memtable = 'trie'", "cdc = true",
        "incremental_backups = true",
    ])
    func anOptionWithoutEffectWarnsByName(_ option: String) throws {
        let warnings = try warnings(option)
        try #require(warnings.count == 1)
        #expect(warnings[0].hasPrefix(String(option.prefix { $0 != " " })))
    }

    @Test func defaultsAndOptionsThatActWarnOfNothing() throws {
        #expect(
            try warnings(
                "speculative_retry = '50ms' AND additional_write_policy = 'ALWAYS' AND "
                    + "min_index_interval = 128 AND max_index_interval = 2048 AND "
                    + "memtable = 'default' AND cdc = false AND incremental_backups = false AND "
                    + "gc_grace_seconds = 5 AND memtable_flush_period_in_ms = 500"
            ).isEmpty)
    }
}
