// Which nodes may not come back with the data that they have.

import Encoding
import Environment
import Model
import Testing

@testable import NodeLogic

@Suite struct ResurrectionCheckTests {
    private func schema(
        keyspace: String = "ks", replication: [String: String] = ["replication_factor": "3"],
        grace: Int32 = 864_000
    ) -> SchemaSnapshot {
        var options = TableOptions()
        options.gcGraceSeconds = grace
        let table = TableSchema(
            id: TableID(UniqueID(high: 1, low: 1)), keyspace: keyspace, name: "t",
            columns: [
                ColumnSchema(
                    id: ColumnID(0), name: "k", type: .int, kind: .partitionKey(position: 0))
            ], options: options, nextColumnID: 1)
        return SchemaSnapshot(
            epoch: 1, version: UniqueID(high: 1, low: 1),
            keyspaces: [
                KeyspaceSchema(
                    name: keyspace,
                    replication: ReplicationParameters(
                        strategyClass: "SimpleStrategy", options: replication),
                    tables: [table])
            ])
    }

    private func isRefused(_ schema: SchemaSnapshot, downSeconds: Int64) -> Bool {
        do {
            try ResurrectionCheck.check(
                schema: schema, lastAlive: 1_000_000,
                now: WallTime(microseconds: 1_000_000 + downSeconds * 1_000_000))
            return false
        } catch {
            #expect(error.description.contains("ks.t (864000 s)"))
            #expect(error.description.contains("check_data_resurrection=false"))
            return true
        }
    }

    @Test func aNodeThatWasAwayForLongerThanGraceIsRefused() {
        #expect(!isRefused(schema(), downSeconds: 864_000))
        #expect(isRefused(schema(), downSeconds: 864_001))
        #expect(!isRefused(schema(), downSeconds: -5))
    }

    @Test func tablesWhoseDeletionsNobodyElseForgetsDoNotCount() {
        #expect(!isRefused(schema(grace: 0), downSeconds: 10_000_000))
        #expect(
            !isRefused(schema(replication: ["replication_factor": "1"]), downSeconds: 10_000_000))
        #expect(isRefused(schema(replication: ["dc1": "1", "dc2": "1"]), downSeconds: 10_000_000))
        #expect(!isRefused(schema(keyspace: "system"), downSeconds: 10_000_000))
    }
}
