// DDL: what it makes, and what it refuses in which words.

import Encoding
import Model
import Testing

@testable import CQL

@Suite struct SchemaTests {
    @Test func keyspacesAreCreatedAlteredAndDropped() throws {
        var bench = try SchemaBench()
        let event = try bench.apply(
            "CREATE KEYSPACE k WITH replication = {'class': 'SimpleStrategy', 'replication_factor': '3'}"
                + " AND durable_writes = false")
        #expect(
            event == SchemaChangeEvent(change: .created, target: .keyspace, keyspace: "k", name: "")
        )
        let keyspace = try #require(bench.snapshot.keyspace(named: "k"))
        #expect(keyspace.replication.strategyClass == "org.apache.cassandra.locator.SimpleStrategy")
        #expect(keyspace.replication.options == ["replication_factor": "3"])
        #expect(!keyspace.durableWrites)
        try bench.apply("ALTER KEYSPACE k WITH durable_writes = true")
        #expect(bench.snapshot.keyspace(named: "k")?.durableWrites == true)
        #expect(bench.snapshot.keyspace(named: "k")?.replication == keyspace.replication)
        #expect(try bench.apply("CREATE KEYSPACE IF NOT EXISTS k WITH replication = {}") == nil)
        #expect(try bench.apply("DROP KEYSPACE k")?.change == .dropped)
        #expect(bench.snapshot.keyspaces.isEmpty)
        #expect(try bench.apply("DROP KEYSPACE IF EXISTS k") == nil)
    }

    @Test func networkTopologyExpandsReplicationFactorToAllDatacenters() throws {
        var bench = try SchemaBench()
        bench.datacenters = ["east", "west"]
        try bench.apply(
            "CREATE KEYSPACE k WITH replication = {'class': 'NetworkTopologyStrategy',"
                + " 'replication_factor': 3, 'west': 1}")
        #expect(
            bench.snapshot.keyspace(named: "k")?.replication.options == ["east": "3", "west": "1"])
        #expect(
            bench.failure(
                "CREATE KEYSPACE j WITH replication = {'class': 'NetworkTopologyStrategy', 'north': 1}"
            )
                == .configuration(
                    "Unrecognized strategy option {north} passed to NetworkTopologyStrategy for"
                        + " keyspace j"))
    }

    @Test func keyspaceRefusals() throws {
        let bench = try SchemaBench.withKeyspace()
        let cases: [(String, CQLError)] = [
            (
                "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy'}",
                .alreadyExists("Cannot add existing keyspace \"ks\"", keyspace: "ks", table: "")
            ),
            (
                "CREATE KEYSPACE j WITH replication = {'class': 'Strange'}",
                .configuration(
                    "Unable to find replication strategy class"
                        + " 'org.apache.cassandra.locator.Strange'")
            ),
            (
                "CREATE KEYSPACE j WITH durable_writes = true",
                .configuration("Missing mandatory option 'replication'")
            ),
            (
                "CREATE KEYSPACE j WITH replication = {'replication_factor': 1}",
                .configuration("Missing replication strategy class")
            ),
            (
                "CREATE KEYSPACE j WITH replicaton = {'class': 'SimpleStrategy'}",
                .syntax("Unknown property 'replicaton'. Did you mean 'replication'?")
            ),
            (
                "CREATE KEYSPACE j WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 'x'}",
                .configuration("Replication factor must be numeric; found x")
            ),
            ("DROP KEYSPACE j", .invalid("Keyspace 'j' doesn't exist")),
            ("USE j", .invalid("Keyspace 'j' does not exist")),
            ("DROP KEYSPACE system", .unauthorized("system keyspace is not user-modifiable.")),
            (
                "CREATE KEYSPACE system WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
                .invalid("System keyspace 'system' is not user-modifiable")
            ),
            (
                "CREATE KEYSPACE \"a b\" WITH replication = {'class': 'SimpleStrategy'}",
                .invalid(
                    "Keyspace name must not be empty, more than 48 characters long, or contain"
                        + " non-alphanumeric-underscore characters (got 'a b')")
            ),
        ]
        for (statement, expected) in cases {
            #expect(bench.failure(statement) == expected, "\(statement)")
        }
    }

    @Test func aTypeOfCQLsOwnMayBeNamedByItsClass() throws {
        let bench = try SchemaBench.withKeyspace(
            """
            CREATE TABLE t (k int PRIMARY KEY, l 'ListType(Int32Type)', m 'MapType(UTF8Type,LongType)',
            f 'FrozenType(SetType(Int32Type))', v 'VectorType(FloatType , 2)',
            c 'CompositeType(Int32Type, UTF8Type)', d 'DateType', u 'UserType(ks,61,62:Int32Type)')
            """)
        let table = try #require(bench.snapshot.table("ks", "t"))
        let types = Dictionary(uniqueKeysWithValues: table.regulars.map { ($0.name, $0.type) })
        #expect(types["l"] == .list(.int, frozen: false))
        #expect(types["m"] == .map(.text, .bigint, frozen: false))
        #expect(types["f"] == .set(.int, frozen: true))
        #expect(types["v"] == .vector(.float, dimensions: 2))
        let package = "org.apache.cassandra.db.marshal."
        #expect(
            types["c"]
                == .custom("\(package)CompositeType(\(package)Int32Type,\(package)UTF8Type)"))
        #expect(types["d"] == .timestamp)
        #expect(types["u"] == .custom("UserType(ks,61,62:Int32Type)"))
        #expect(
            bench.failure("CREATE TABLE u (k int PRIMARY KEY, v 'ListType(SetType(Int32Type))')")
                == .invalid(
                    "Non-frozen collections are not allowed inside collections: list<set<int>>"))
    }

    @Test func tablesHoldTheirColumnsByKind() throws {
        let bench = try SchemaBench.withKeyspace(
            """
            CREATE TABLE t (z int, b text, a int, s text static, d timestamp, y frozen<list<int>>,
            PRIMARY KEY ((b, a), d, z)) WITH CLUSTERING ORDER BY (d DESC, z ASC) AND comment = 'x'
            """)
        let table = try #require(bench.snapshot.table("ks", "t"))
        #expect(table.partitionKey.map(\.name) == ["b", "a"])
        #expect(table.clustering.map(\.name) == ["d", "z"])
        #expect(table.clusteringOrders == [.descending, .ascending])
        #expect(table.statics.map(\.name) == ["s"])
        #expect(table.regulars.map(\.type) == [.list(.int, frozen: true)])
        #expect(table.options.comment == "x")
        #expect(table.nextColumnID == 6)
    }

    @Test func tableRefusals() throws {
        let bench = try SchemaBench.withKeyspace("CREATE TABLE t (k int PRIMARY KEY, v int)")
        let cases: [(String, CQLError)] = [
            (
                "CREATE TABLE t (k int PRIMARY KEY)",
                .alreadyExists(
                    "Cannot add already existing table \"t\" to keyspace \"ks\"", keyspace: "ks",
                    table: "t")
            ),
            (
                "CREATE TABLE u (k int)",
                .invalid("No PRIMARY KEY specifed for table 'u' (exactly one required)")
            ),
            (
                "CREATE TABLE u (k int PRIMARY KEY, PRIMARY KEY (k))",
                .invalid("Multiple PRIMARY KEY specified for table 'u' (exactly one required)")
            ),
            (
                "CREATE TABLE u (k int, PRIMARY KEY (j))",
                .invalid("Unknown column 'j' referenced in PRIMARY KEY for table 'u'")
            ),
            (
                "CREATE TABLE u (k int, k text, PRIMARY KEY (k))",
                .invalid("Duplicate column 'k' declaration for table 'u'")
            ),
            (
                "CREATE TABLE u (k list<int> PRIMARY KEY)",
                .invalid(
                    "Invalid non-frozen collection type list<int> for PRIMARY KEY column 'k'")
            ),
            (
                "CREATE TABLE u (k duration PRIMARY KEY)",
                .invalid("duration type is not supported for PRIMARY KEY column 'k'")
            ),
            (
                "CREATE TABLE u (k int PRIMARY KEY, s int static)",
                .invalid(
                    "Static columns are only useful (and thus allowed) if the table has at least one"
                        + " clustering column")
            ),
            (
                "CREATE TABLE u (k int, c int, d int, PRIMARY KEY (k, c, d)) WITH CLUSTERING ORDER BY (d ASC, c ASC)",
                .invalid(
                    "The order of columns in the CLUSTERING ORDER directive must match that of the"
                        + " clustering columns (c must appear before d)")
            ),
            (
                "CREATE TABLE u (k int PRIMARY KEY, v frozen<int>)",
                .invalid(
                    "frozen<> is only allowed on collections, tuples, and user-defined types (got int)"
                )
            ),
            ("CREATE TABLE u (k int PRIMARY KEY, v strange)", .invalid("Unknown type ks.strange")),
            (
                "CREATE TABLE u (k int PRIMARY KEY, v set<frozen<list<duration>>>)",
                .invalid(
                    "Durations are not allowed inside sets: set<frozen<list<duration>>>")
            ),
            (
                "CREATE TABLE u (k int PRIMARY KEY, v list<list<int>>)",
                .invalid(
                    "Non-frozen collections are not allowed inside collections: list<list<int>>")
            ),
            (
                "CREATE TABLE u (k int PRIMARY KEY, v counter, w int)",
                .invalid("Cannot mix counter and non counter columns in the same table")
            ),
            (
                "CREATE TABLE other.u (k int PRIMARY KEY)",
                .invalid("Keyspace 'other' doesn't exist")
            ),
            ("DROP TABLE u", .invalid("Table 'ks.u' doesn't exist")),
            ("ALTER TABLE u ADD x int", .invalid("Table 'ks.u' doesn't exist")),
            ("ALTER TABLE t ADD v int", .invalid("Column with name 'v' already exists")),
            ("ALTER TABLE t DROP k", .invalid("Cannot drop PRIMARY KEY column k")),
            ("ALTER TABLE t DROP x", .invalid("Column x was not found in table 'ks.t'")),
            ("ALTER TABLE t RENAME v TO w", .invalid("Cannot rename non PRIMARY KEY column v")),
            ("CREATE INDEX ON t (v)", .invalid("CREATE INDEX is not supported by Coterie yet")),
        ]
        for (statement, expected) in cases {
            #expect(bench.failure(statement) == expected, "\(statement)")
        }
        #expect(
            bench.failure("CREATE TABLE u (k int PRIMARY KEY)", keyspace: nil)
                == .invalid(
                    "No keyspace has been specified. USE a keyspace, or explicitly specify"
                        + " keyspace.tablename"))
    }

    @Test func alterTableKeepsIdsAndRemembersDroppedColumns() throws {
        var bench = try SchemaBench.withKeyspace(
            "CREATE TABLE t (k int PRIMARY KEY, a int, b text)")
        let id = bench.snapshot.table("ks", "t")?.id
        try bench.apply("ALTER TABLE t ADD (c int, d frozen<map<text, int>>)")
        try bench.apply("ALTER TABLE t DROP (a, b)", at: 77)
        try bench.apply("ALTER TABLE t RENAME k TO key")
        try bench.apply("ALTER TABLE t ADD a int")
        let table = try #require(bench.snapshot.table("ks", "t"))
        #expect(table.id == id)
        #expect(table.allColumns.map(\.name) == ["key", "a", "c", "d"])
        #expect(table.column(named: "a")?.id == ColumnID(1))
        #expect(table.column(named: "a")?.deadThrough == 77 && table.hasReturnedColumns)
        #expect(table.column(named: "c")?.deadThrough == noTimestamp)
        #expect(table.nextColumnID == 5)
        #expect(table.dropped.map(\.column.name) == ["a", "b"])
        #expect(table.dropped.map(\.droppedAt) == [77, 77])
        #expect(
            bench.failure("ALTER TABLE t ADD b int")
                == .invalid(
                    "Cannot re-add previously dropped column 'b' of type int, incompatible with"
                        + " previous type text"))
        #expect(try bench.apply("ALTER TABLE t ADD IF NOT EXISTS c int") == nil)
        #expect(try bench.apply("ALTER TABLE t DROP IF EXISTS x") == nil)
        try bench.apply("ALTER TABLE t DROP c USING TIMESTAMP 5")
        #expect(bench.snapshot.table("ks", "t")?.dropped.last?.droppedAt == 5)
    }

    @Test func tableOptionsAreCheckedAndCanonical() throws {
        var bench = try SchemaBench.withKeyspace("CREATE TABLE t (k int PRIMARY KEY)")
        try bench.apply(
            """
            ALTER TABLE t WITH compaction = {'class': 'LeveledCompactionStrategy', 'sstable_size_in_mb': 160}
            AND compression = {'class': 'ZstdCompressor'} AND caching = {'keys': 'none'}
            AND speculative_retry = '99PERCENTILE' AND additional_write_policy = 'min(99p, 50ms)'
            AND gc_grace_seconds = 10 AND read_repair = 'none' AND extensions = {'a': 0xCAFE}
            AND default_time_to_live = 60 AND cdc = true
            """)
        let options = try #require(bench.snapshot.table("ks", "t")).options
        #expect(
            options.compaction == [
                "class": "org.apache.cassandra.db.compaction.LeveledCompactionStrategy",
                "max_threshold": "32", "min_threshold": "4", "sstable_size_in_mb": "160",
            ])
        #expect(options.bloomFilterFalsePositiveChance == 0.1)
        #expect(
            options.compression == [
                "chunk_length_in_kb": "16",
                "class": "org.apache.cassandra.io.compress.ZstdCompressor",
            ])
        #expect(options.caching == ["keys": "NONE", "rows_per_partition": "NONE"])
        #expect(options.speculativeRetry == "99p")
        #expect(options.additionalWritePolicy == "MIN(99p,50ms)")
        #expect(options.readRepair == "NONE" && options.cdc)
        #expect(options.extensions == ["a": [0xCA, 0xFE]])
        let cases: [(String, CQLError)] = [
            ("coment = 'x'", .syntax("Unknown property 'coment'. Did you mean 'comment'?")),
            ("wholly_else = 1", .syntax("Unknown property 'wholly_else'")),
            (
                "comment = 'a' AND comment = 'b'",
                .syntax("Multiple definitions for property 'comment'")
            ),
            ("gc_grace_seconds = 'x'", .syntax("Invalid integer value x for 'gc_grace_seconds'")),
            (
                "gc_grace_seconds = -1",
                .configuration("gc_grace_seconds must be greater than or equal to 0 (got -1)")
            ),
            (
                "compaction = {'class': 'SizeTieredCompactionStrategy', 'typo': 1}",
                .configuration(
                    "Properties specified [typo] are not understood by SizeTieredCompactionStrategy"
                )
            ),
            (
                "compaction = {'class': 'Nope'}",
                .configuration(
                    "Unable to find compaction strategy class 'org.apache.cassandra.db.compaction.Nope'"
                )
            ),
            ("caching = 'x'", .syntax("Invalid value for property 'caching'. It should be a map.")),
            (
                "speculative_retry = 'sometimes'",
                .configuration("Specified Speculative Retry Policy [sometimes] is not supported")
            ),
            (
                "compression = {'class': 'LZ4Compressor', 'chunk_length_in_kb': 10}",
                .configuration("chunk_length_in_kb must be a power of 2")
            ),
            ("id = 5", .configuration("Cannot alter table id.")),
        ]
        for (property, expected) in cases {
            #expect(bench.failure("ALTER TABLE t WITH \(property)") == expected, "\(property)")
        }
    }

    @Test func userTypesAreUsedAndProtected() throws {
        var bench = try SchemaBench.withKeyspace(
            "CREATE TYPE address (street text, zip int)",
            "CREATE TYPE person (name text, home frozen<address>)",
            "CREATE TABLE t (k int PRIMARY KEY, p frozen<person>)")
        #expect(
            bench.failure("DROP TYPE address")
                == .invalid(
                    "Cannot drop user type 'ks.address' as it is still used by user types person"))
        #expect(
            bench.failure("DROP TYPE person")
                == .invalid("Cannot drop user type 'ks.person' as it is still used by tables t"))
        try bench.apply("ALTER TYPE address ADD country text")
        try bench.apply("ALTER TYPE address RENAME zip TO code")
        guard
            case .userDefined(let person, true)? = bench.snapshot.table("ks", "t")?
                .column(named: "p")?.type,
            case .userDefined(let address, true) = person.fields[1].type
        else { throw Unexpected() }
        #expect(address.fields.map(\.name) == ["street", "code", "country"])
        try bench.apply("DROP TABLE t")
        #expect(try bench.apply("DROP TYPE person")?.target == .type)
        #expect(
            bench.failure("CREATE TYPE address (a int)")
                == .invalid("A user type with name 'address' already exists"))
        #expect(
            bench.failure("CREATE TYPE x (a int, a int)")
                == .invalid("Duplicate field name 'a' in type 'x'"))
    }
}
