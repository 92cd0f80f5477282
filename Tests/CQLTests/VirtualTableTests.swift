// Statements about a node's views: only the settings may be written, by plain statements of their own.

import Model
import Testing

@testable import CQL

@Suite struct VirtualTableTests {
    /// Why the statement is refused: when it is planned, or when it is executed.
    private func failure(_ text: String) throws -> CQLError? {
        let bench = try SchemaBench.withKeyspace("CREATE TABLE t (k int PRIMARY KEY, v int)")
        if let failure = bench.failure(text) { return failure }
        let plans: [ModificationPlan]
        switch try bench.plan(text).plan {
        case .modification(let plan): plans = [plan]
        case .batch(let batch): plans = batch.modifications
        default: return nil
        }
        do throws(CQLError) {
            for plan in plans { try plan.checkWritable() }
            return nil
        } catch {
            return error
        }
    }

    @Test func onlySettingsAreWritten() throws {
        let update = "UPDATE system_views.settings SET value = '1s' WHERE name = 'cas_backoff'"
        #expect(try failure(update) == nil)
        let caches = "UPDATE system_views.caches SET entry_count = 1 WHERE name = 'chunks'"
        let cases: [(String, String)] = [
            (caches, "Modification is not supported by table system_views.caches"),
            (
                "DELETE FROM system_views.caches WHERE name = 'chunks'",
                "Modification is not supported by table system_views.caches"
            ),
            (caches + " IF EXISTS", "Conditional updates are not supported by virtual tables"),
            (
                "INSERT INTO system_views.caches (name) VALUES ('a') USING TTL 1",
                "Expiring columns are not supported by virtual tables"
            ),
            (
                "INSERT INTO system_views.caches (name) VALUES ('a') USING TIMESTAMP 1",
                "Custom timestamp is not supported by virtual tables"
            ),
            (
                "BEGIN BATCH \(update); APPLY BATCH",
                "Cannot include a virtual table statement in a logged batch"
            ),
            (
                "BEGIN UNLOGGED BATCH \(update); INSERT INTO t (k) VALUES (1); APPLY BATCH",
                "Mutations for virtual and regular tables cannot exist in the same batch"
            ),
            (
                "BEGIN UNLOGGED BATCH \(update) IF EXISTS; APPLY BATCH",
                "Conditional BATCH statements cannot include mutations for virtual tables"
            ),
            (
                "TRUNCATE system_views.settings",
                "Truncation is not supported by table system_views.settings"
            ),
        ]
        for (statement, expected) in cases {
            #expect(try failure(statement) == .invalid(expected), "\(statement)")
        }
    }

    @Test func theSchemaOfViewsIsNotForClients() throws {
        for statement in [
            "DROP TABLE system_views.caches", "ALTER TABLE system_views.caches ADD a int",
            "CREATE TABLE system_views.own (k int PRIMARY KEY)", "DROP KEYSPACE system_views",
            "CREATE TYPE system_views.own (a int)",
        ] {
            #expect(
                try failure(statement)
                    == .unauthorized("system_views keyspace is not user-modifiable."),
                "\(statement)")
        }
    }
}
