// DESCRIBE: the layout that cqlsh prints, and the way back through the parser.

import Encoding
import Model
import Testing

@testable import CQL

func describe(_ bench: SchemaBench, _ text: String, keyspace: String? = nil) throws
    -> [[String]]
{
    guard case .describe(let request) = try bench.plan(text, keyspace: keyspace).plan else {
        throw Unexpected()
    }
    let answer = try request.answer(
        schema: bench.snapshot,
        cluster: ClusterDescription(
            name: "c", snitch: "SimpleSnitch", rangeOwnership: [("5", ["127.0.0.1"])]))
    for row in answer.rows { #expect(row.count == answer.columns.count) }
    return answer.rows.map { $0.map { String(decoding: $0 ?? [], as: UTF8.self) } }
}

@Suite struct DescribeTests {
    private static func bench() throws -> SchemaBench {
        var bench = try SchemaBench.withKeyspace(
            "CREATE TYPE zone (name text, \"Offset\" int)",
            "CREATE TYPE address (street text, z frozen<zone>)",
            """
            CREATE TABLE "Weird" (a int, "B c" text, s frozen<set<frozen<address>>> static, d duration,
            v vector<float, 3>, t frozen<tuple<int, text>>, c timestamp,
            PRIMARY KEY ((a, "B c"), c)) WITH CLUSTERING ORDER BY (c DESC)
            AND comment = 'it''s' AND bloom_filter_fp_chance = 0.0001
            AND extensions = {'x': 0xCAFE} AND compression = {'enabled': false}
            AND compaction = {'class': 'UnifiedCompactionStrategy', 'scaling_parameters': 'T4'}
            """,
            "CREATE TABLE t (k int PRIMARY KEY, v text)")
        try bench.apply("ALTER TABLE t DROP v", at: 42)
        return bench
    }

    @Test func tableHasCassandrasLayout() throws {
        let rows = try describe(try Self.bench(), "DESCRIBE TABLE ks.\"Weird\"")
        #expect(rows.count == 1)
        #expect(rows[0][0...2] == ["ks", "table", "\"Weird\""])
        let expected = """
            CREATE TABLE ks."Weird" (
                a int,
                "B c" text,
                c timestamp,
                s frozen<set<frozen<address>>> static,
                d duration,
                t frozen<tuple<int, text>>,
                v vector<float, 3>,
                PRIMARY KEY ((a, "B c"), c)
            ) WITH CLUSTERING ORDER BY (c DESC)
                AND additional_write_policy = '99p'
                AND allow_auto_snapshot = true
                AND bloom_filter_fp_chance = 1.0E-4
                AND caching = {'keys': 'ALL', 'rows_per_partition': 'NONE'}
                AND cdc = false
                AND comment = 'it''s'
                AND compaction = {'class': 'org.apache.cassandra.db.compaction.UnifiedCompactionStrategy', 'scaling_parameters': 'T4'}
                AND compression = {'enabled': 'false'}
                AND memtable = 'default'
                AND crc_check_chance = 1.0
                AND default_time_to_live = 0
                AND extensions = {'x': 0xcafe}
                AND gc_grace_seconds = 864000
                AND incremental_backups = true
                AND max_index_interval = 2048
                AND memtable_flush_period_in_ms = 0
                AND min_index_interval = 128
                AND read_repair = 'BLOCKING'
                AND speculative_retry = '99p';
            """
        #expect(rows[0][3] == expected)
    }

    @Test func keyspaceComesWithTypesInOrderAndTables() throws {
        let rows = try describe(try Self.bench(), "DESCRIBE KEYSPACE ks")
        #expect(rows.map { $0[1] } == ["keyspace", "type", "type", "table", "table"])
        #expect(rows.map { $0[2] } == ["ks", "zone", "address", "\"Weird\"", "t"])
        #expect(
            rows[0][3]
                == "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy',"
                + " 'replication_factor': '1'}  AND durable_writes = true;")
        #expect(
            rows[1][3] == "CREATE TYPE ks.zone (\n    name text,\n    \"Offset\" int\n);")
    }

    @Test func singleColumnKeyStandsBesideItsColumn() throws {
        let statement = try describe(try Self.bench(), "DESCRIBE TABLE ks.t WITH INTERNALS")[0][3]
        #expect(
            statement.hasPrefix(
                "CREATE TABLE ks.t (\n    k int PRIMARY KEY,\n    v text\n) WITH ID = "))
        #expect(statement.hasSuffix("\nALTER TABLE ks.t DROP v USING TIMESTAMP 42;"))
    }

    @Test func outputRunsBackToAnEqualSchema() throws {
        let bench = try Self.bench()
        var copy = try SchemaBench()
        for row in try describe(bench, "DESCRIBE FULL SCHEMA WITH INTERNALS")
        where !SystemSchema.isSystem(row[0]) {
            for statement in row[3].split(separator: ";\n") { try copy.apply(String(statement)) }
        }
        let original = try #require(bench.snapshot.keyspace(named: "ks"))
        let again = try #require(copy.snapshot.keyspace(named: "ks"))
        #expect(again.replication == original.replication)
        #expect(again.types == original.types)
        #expect(again.tables.map(\.name) == original.tables.map(\.name))
        for (left, right) in zip(again.tables, original.tables) {
            #expect(left.id == right.id)
            #expect(left.options == right.options)
            #expect(left.allColumns.map(\.name) == right.allColumns.map(\.name))
            #expect(left.allColumns.map(\.type) == right.allColumns.map(\.type))
            #expect(left.allColumns.map(\.kind) == right.allColumns.map(\.kind))
            #expect(left.dropped.map(\.droppedAt) == right.dropped.map(\.droppedAt))
        }
    }

    /// DESCRIBE of any schema is CQL that makes an equal one.
    @Test(arguments: 1...40 as ClosedRange<UInt64>)
    func descriptionsOfRandomSchemasRunBack(seed: UInt64) throws {
        var random = SplitMix(seed: seed)
        var schemas = RandomSchema(random: random)
        let bench = try schemas.make()
        random = schemas.random
        var copy = try SchemaBench()
        for row in try describe(bench, "DESCRIBE FULL SCHEMA WITH INTERNALS")
        where !SystemSchema.isSystem(row[0]) {
            for statement in row[3].split(separator: ";\n") {
                #expect(throws: Never.self, "seed \(seed): \(statement)") {
                    try copy.apply(String(statement))
                }
            }
        }
        let original = try #require(bench.snapshot.keyspace(named: "ks"))
        let again = try #require(copy.snapshot.keyspace(named: "ks"), "seed \(seed)")
        #expect(again.types == original.types, "seed \(seed)")
        #expect(again.tables.map(\.name) == original.tables.map(\.name))
        for (left, right) in zip(again.tables, original.tables) {
            #expect(left.options == right.options, "seed \(seed)")
            #expect(left.allColumns.map(\.name) == right.allColumns.map(\.name), "seed \(seed)")
            #expect(left.allColumns.map(\.type) == right.allColumns.map(\.type), "seed \(seed)")
            #expect(left.allColumns.map(\.kind) == right.allColumns.map(\.kind), "seed \(seed)")
            #expect(
                left.dropped.map { [$0.column.name, "\($0.droppedAt)", $0.column.type.cqlName] }
                    == right.dropped.map {
                        [$0.column.name, "\($0.droppedAt)", $0.column.type.cqlName]
                    },
                "seed \(seed)")
        }
    }

    @Test func everySystemTableIsDescribedAndParses() throws {
        let bench = try SchemaBench()
        var tables = 0
        for row in try describe(bench, "DESC FULL SCHEMA") where row[1] == "table" {
            if SystemSchema.isVirtual(row[0]) {
                #expect(row[3].hasPrefix("/*\nWarning: Table "))
                #expect(row[3].hasSuffix(";\n*/"))
                continue
            }
            guard case .createTable = try Parser.parse(row[3]).statement else { throw Unexpected() }
            tables += 1
        }
        #expect(tables > 40)
    }

    @Test func listingsAndTheCluster() throws {
        let bench = try Self.bench()
        #expect(try describe(bench, "DESC KEYSPACES").map { $0[0] }.contains("ks"))
        #expect(
            try describe(bench, "DESC TABLES", keyspace: "ks")
                == [["ks", "table", "\"Weird\""], ["ks", "table", "t"]])
        #expect(try describe(bench, "DESC TYPES", keyspace: "ks").count == 2)
        #expect(try describe(bench, "DESC FUNCTIONS").isEmpty)
        #expect(
            try describe(bench, "DESC CLUSTER") == [["c", "Murmur3Partitioner", "SimpleSnitch"]])
        #expect(try describe(bench, "DESC CLUSTER", keyspace: "ks")[0].count == 4)
        #expect(try describe(bench, "DESC t", keyspace: "ks")[0][1] == "table")
        #expect(try describe(bench, "DESC ks")[0][1] == "keyspace")
    }

    @Test func whatIsMissingIsNamed() throws {
        let bench = try Self.bench()
        for (statement, keyspace, expected) in [
            ("DESC TABLE ks.nope", nil, "Table 'nope' not found in keyspace 'ks'"),
            ("DESC KEYSPACE nope", nil, "'nope' not found in keyspaces"),
            ("DESC TABLE t", nil, "No keyspace specified and no current keyspace"),
            ("DESC TYPE nope", "ks", "User defined type 'nope' not found in 'ks'"),
            ("DESC nope", "ks", "'nope' not found in keyspace 'ks'"),
            ("DESC INDEX i", "ks", "Table for existing index 'i' not found in 'ks'"),
        ] as [(String, String?, String)] {
            #expect(throws: CQLError.invalid(expected)) {
                try describe(bench, statement, keyspace: keyspace)
            }
        }
    }
}

@Suite struct SystemSchemaTests {
    @Test func idsAreCassandras() {
        #expect(
            SystemSchema.table("system", "local")?.id.description
                == "7ad54392-bcdd-35a6-8417-4e047860b377")
        #expect(
            SystemSchema.table("system", "peers")?.id.description
                == "37f71aca-7dc2-383b-a706-72528af04d4f")
        let ids = SystemSchema.keyspaces.flatMap(\.tables).map(\.id)
        #expect(Set(ids).count == ids.count)
    }

    private func rows(_ bench: SchemaBench, _ text: String) throws -> [String] {
        let prepared = try bench.plan(text, keyspace: nil)
        guard case .select(let plan) = prepared.plan else { throw Unexpected() }
        let rows = try #require(SystemSchema.rows(of: plan.table, describing: bench.snapshot))
        let result = try plan.execute(
            overRows: rows, BoundValues(), ExecutionContext(timestamp: 0, nowInSeconds: 0))
        return try show(result.rows, result.rowCount, prepared.resultColumns)
    }

    @Test func schemaTablesDescribeTheSchema() throws {
        var bench = try SchemaBench.withKeyspace(
            "CREATE TYPE y (a int, b frozen<list<text>>)",
            "CREATE TABLE t (k int, c text, v int, w int, s text static, PRIMARY KEY (k, c))"
                + " WITH CLUSTERING ORDER BY (c DESC)")
        try bench.apply("ALTER TABLE t DROP w", at: 5_000)
        #expect(
            try rows(
                bench,
                "SELECT column_name, kind, position, clustering_order, type FROM system_schema.columns"
                    + " WHERE keyspace_name = 'ks'")
                == [
                    "c,clustering,0,desc,text", "k,partition_key,0,none,int",
                    "s,static,-1,none,text",
                    "v,regular,-1,none,int",
                ])
        #expect(
            try rows(
                bench, "SELECT column_name, type FROM system_schema.dropped_columns") == ["w,int"])
        #expect(
            try rows(bench, "SELECT * FROM system_schema.types")
                == ["ks,y,['a', 'b'],['int', 'frozen<list<text>>']"])
        #expect(
            try rows(
                bench,
                "SELECT table_name FROM system_schema.tables WHERE keyspace_name IN ('ks', 'x')")
                == ["t"])
        #expect(
            try rows(
                bench, "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = 'ks'")
                == [
                    "{'class': 'org.apache.cassandra.locator.SimpleStrategy',"
                        + " 'replication_factor': '1'}"
                ])
        for name in ["aggregates", "functions", "indexes", "triggers", "views", "column_masks"] {
            #expect(try rows(bench, "SELECT * FROM system_schema.\(name)").isEmpty)
        }
        #expect(
            try rows(bench, "SELECT * FROM system_virtual_schema.keyspaces")
                == ["system_views", "system_virtual_schema"])
        #expect(
            try rows(
                bench,
                "SELECT count(*) FROM system_virtual_schema.columns WHERE table_name = 'keyspaces'")
                == ["1"])
    }

    @Test func rowsInMemoryAreFilteredAndLimited() throws {
        let bench = try SchemaBench.withKeyspace()
        let table = try #require(SystemSchema.table("system", "peers_v2"))
        let peers = (1...4).map { number in
            table.systemRow([
                "peer": .inet([127, 0, 0, UInt8(number)]), "peer_port": .int(7_000),
                "data_center": .text(number == 2 ? "west" : "east"),
            ])
        }
        func select(_ text: String) throws -> [String] {
            let prepared = try bench.plan(text)
            guard case .select(let plan) = prepared.plan else { throw Unexpected() }
            let result = try plan.execute(
                overRows: peers, BoundValues(), ExecutionContext(timestamp: 0, nowInSeconds: 0))
            return try show(result.rows, result.rowCount, prepared.resultColumns)
        }
        #expect(
            try select("SELECT peer, data_center FROM system.peers_v2 WHERE peer = '127.0.0.2'")
                == ["127.0.0.2,west"])
        #expect(
            try select(
                "SELECT peer FROM system.peers_v2 WHERE data_center = 'east' LIMIT 2 ALLOW FILTERING"
            )
                == ["127.0.0.1", "127.0.0.3"])
        #expect(try select("SELECT count(*), max(peer) FROM system.peers_v2") == ["4,127.0.0.4"])
    }
}

/// Makes schemas of every kind of name, type, key and option.
private struct RandomSchema {
    var random: SplitMix

    private static let scalars = [
        "ascii", "bigint", "blob", "boolean", "date", "decimal", "double", "float", "inet", "int",
        "smallint", "text", "time", "timestamp", "timeuuid", "tinyint", "uuid", "varint",
    ]
    private static let words = [
        "k", "Key", "select", "a b", "a\"b", "é", "type", "ttl", "x1", "_y", "from", "Z", "1st",
        "token",
    ]

    private mutating func pick<Item>(_ items: [Item]) -> Item { items[random.below(items.count)] }

    private mutating func names(_ count: Int) -> [String] {
        Array(Self.words.shuffled(using: &random).prefix(count))
            .map { "\"" + $0.replacing("\"", with: "\"\"") + "\"" }
    }

    private mutating func type(_ types: [String], depth: Int, frozen: Bool) -> String {
        guard depth > 0, random.below(2) == 0 else { return pick(Self.scalars) }
        func wrap(_ text: String) -> String { frozen ? "frozen<\(text)>" : text }
        switch random.below(types.isEmpty ? 5 : 6) {
        case 0: return wrap("list<\(type(types, depth: depth - 1, frozen: true))>")
        case 1: return wrap("set<\(type(types, depth: depth - 1, frozen: true))>")
        case 2:
            return wrap(
                "map<\(pick(Self.scalars)), \(type(types, depth: depth - 1, frozen: true))>")
        case 3:
            return "tuple<int, \(type(types, depth: depth - 1, frozen: true))>"
        case 4: return "vector<\(pick(["float", "int", "text"])), \(random.below(5) + 1)>"
        default: return wrap(pick(types))
        }
    }

    mutating func make() throws -> SchemaBench {
        var bench = try SchemaBench.withKeyspace()
        var types: [String] = []
        for index in 0..<random.below(4) {
            let name = index == 0 ? "plain" : "\"Type \(index)\""
            let fields = names(random.below(3) + 1)
                .map { "\($0) \(type(types, depth: 2, frozen: true))" }
            try bench.apply("CREATE TYPE \(name) (\(fields.joined(separator: ", ")))")
            types.append(name)
        }
        for index in 0..<(random.below(3) + 1) { try makeTable(index, types, &bench) }
        return bench
    }

    private mutating func makeTable(
        _ index: Int, _ types: [String], _ bench: inout SchemaBench
    ) throws {
        let name = index == 0 ? "t" : "\"Table\(index)\""
        let columns = names(random.below(6) + 4)
        let partition = random.below(2) + 1
        let clustering = random.below(3)
        var definitions: [String] = []
        for (place, column) in columns.enumerated() {
            if place < partition + clustering {
                definitions.append("\(column) \(pick(Self.scalars))")
            } else {
                let isStatic = clustering > 0 && random.below(4) == 0
                definitions.append(
                    "\(column) \(type(types, depth: 3, frozen: random.below(2) == 0))"
                        + (isStatic ? " static" : ""))
            }
        }
        let key = columns[..<partition].joined(separator: ", ")
        let rest = columns[partition..<min(partition + clustering, columns.count)]
        definitions.append(
            "PRIMARY KEY (" + (["(\(key))"] + rest).joined(separator: ", ") + ")")
        var options: [String] = []
        if !rest.isEmpty {
            let orders = rest.map { "\($0) \(random.below(2) == 0 ? "ASC" : "DESC")" }
            options.append("CLUSTERING ORDER BY (\(orders.joined(separator: ", ")))")
        }
        let choices = [
            "comment = 'it''s; \"this\" é'", "gc_grace_seconds = \(random.below(1000))",
            "default_time_to_live = \(random.below(1000))",
            "bloom_filter_fp_chance = 0.0\(random.below(9) + 1)",
            "caching = {'keys': 'NONE', 'rows_per_partition': '\(random.below(100))'}",
            "cdc = true",
            "speculative_retry = '\(random.below(90) + 1)p'", "read_repair = 'NONE'",
            "compression = {'enabled': false}", "crc_check_chance = 0.\(random.below(9))",
            "compaction = {'class': 'LeveledCompactionStrategy'}", "extensions = {'x': 0xCAFE}",
        ]
        options += choices.shuffled(using: &random).prefix(random.below(5))
        let with = options.isEmpty ? "" : " WITH " + options.joined(separator: " AND ")
        try bench.apply("CREATE TABLE \(name) (\(definitions.joined(separator: ", ")))\(with)")
        // A user-defined type that is not frozen cannot be dropped.
        let last = columns[columns.count - 1]
        let lastType = definitions[columns.count - 1].dropFirst(last.count + 1)
        let isDroppable = !types.contains { lastType == $0 || lastType == $0 + " static" }
        if columns.count > partition + clustering, isDroppable, random.below(2) == 0 {
            try bench.apply("ALTER TABLE \(name) DROP \(last)", at: Int64(random.below(10_000)))
        }
    }
}
