// INSERT, UPDATE, DELETE and BATCH: what reads show afterwards, and what is refused.

import Encoding
import Model
import Testing

@testable import CQL

@Suite struct ModificationTests {
    private static let wide =
        "CREATE TABLE w (p int, c int, d text, s text static, a int, b text, PRIMARY KEY (p, c, d))"

    @Test func insertedValuesComeBack() throws {
        var bench = try Bench("CREATE TABLE t (k int PRIMARY KEY, v text, w int)")
        try bench.run("INSERT INTO t (k, v, w) VALUES (1, 'one', 11)")
        try bench.run("INSERT INTO t (k, v, w) VALUES (?, ?, ?)", [int(2), text("two"), nil])
        #expect(try bench.run("SELECT * FROM t WHERE k = 1") == ["1,one,11"])
        #expect(try bench.run("SELECT w, v FROM t WHERE k = ?", [int(2)]) == ["null,two"])
        #expect(try bench.run("SELECT * FROM t WHERE k = 3").isEmpty)
    }

    /// A row whose values are all bound is not walked over again by storage: what is said of it must be so.
    @Test func whatIsSaidOfABoundRowIsWhatAWalkOverItFinds() throws {
        let bench = try SchemaBench.withKeyspace(
            "CREATE TABLE t (k int, d decimal, v text, w int, PRIMARY KEY (k, d))")
        let statements: [(text: String, extra: [[UInt8]])] = [
            ("INSERT INTO t (k, d, v, w) VALUES (?, ?, ?, ?)", []),
            (
                "INSERT INTO t (k, d, v, w) VALUES (?, ?, ?, ?) USING TTL 7 AND TIMESTAMP ?",
                [bigint(5)]
            ),
            ("INSERT INTO t (k, d, v, w) VALUES (?, ?, ?, ?) USING TTL ?", [int(0)]),
        ]
        let short: [UInt8] = [0, 0, 0, 1, 15]
        let long: [UInt8] = [0, 0, 0, 2, 0, 150]
        var said = 0
        for (text, extra) in statements {
            guard case .modification(let plan) = try bench.plan(text).plan else {
                throw Unexpected()
            }
            for decimal in [short, long] {
                for value in [int(3), nil] {
                    let sink = MutationSink()
                    try BoundValues.withValues([int(1), decimal, [], value] + extra) { bound in
                        try plan.build(
                            bound, ExecutionContext(timestamp: 9, nowInSeconds: 100), into: sink)
                    }
                    let entry = try #require(sink.entries.first)
                    let read = try MutationView(sink[entry])
                    let view = sink.view(of: entry)
                    #expect(view.table == read.table && view.token == read.token)
                    #expect(equalBytes(view.key, read.key))
                    #expect(equalBytes(view.partition, read.partition))
                    #expect(view.partition.baseAddress == read.partition.baseAddress)
                    guard let facts = entry.facts else { continue }
                    said += 1
                    var found = RowSummary()
                    var rows = try PartitionView(read.partition).rows
                    while let (_, row) = try rows.next() { try found.addChecking(row) }
                    #expect(facts == found, "\(text)")
                }
            }
        }
        #expect(said == 6, "of those without a null")
    }

    @Test func everyScalarTypeIsWrittenAndRead() throws {
        var bench = try Bench(
            """
            CREATE TABLE t (k int PRIMARY KEY, a ascii, b bigint, c blob, d boolean, e date, f decimal,
            g double, h duration, i float, j inet, l smallint, m time, n timestamp, o timeuuid,
            q tinyint, r uuid, s varint, u frozen<list<int>>, v frozen<map<text, int>>,
            w frozen<set<text>>, x frozen<tuple<int, text>>, y vector<float, 2>)
            """)
        try bench.run(
            """
            INSERT INTO t (k, a, b, c, d, e, f, g, h, i, j, l, m, n, o, q, r, s, u, v, w, x, y) VALUES (1,
            'x', 9223372036854775807, 0xCAFE, true, '2024-02-29', -1.50, 1e300, 1mo2d3h, -0.5,
            '::1', -32768, '12:34:56.789', '2024-01-02T03:04:05.678Z',
            50554d6e-29bb-11e5-b345-feff819cdc9f, 127, f47ac10b-58cc-4372-a567-0e02b2c3d479,
            123456789012345678901234567890, [3, 1], {'b': 2, 'a': 1}, {'z', 'y', 'z'}, (5, null),
            [1.5, -2])
            """)
        let rows = try bench.run("SELECT * FROM t WHERE k = 1")
        #expect(rows.count == 1)
        #expect(rows[0].contains("x,9223372036854775807,0xcafe,True,2024-02-29,-1.50,1e+300,"))
        #expect(rows[0].contains("123456789012345678901234567890,[3, 1],"))
        #expect(rows[0].contains("{'a': 1, 'b': 2},{'y', 'z'},"))
    }

    @Test func clusteringRowsAreSortedAndOverwritten() throws {
        var bench = try Bench(Self.wide)
        for (c, d) in [(2, "b"), (1, "z"), (2, "a")] {
            try bench.run("INSERT INTO w (p, c, d, a) VALUES (1, \(c), '\(d)', 0)")
        }
        try bench.run("UPDATE w SET a = 9, b = 'x' WHERE p = 1 AND c = 2 AND d = 'a'")
        #expect(
            try bench.run("SELECT c, d, a, b FROM w WHERE p = 1")
                == ["1,z,0,null", "2,a,9,x", "2,b,0,null"])
    }

    @Test func staticColumnsBelongToThePartition() throws {
        var bench = try Bench(Self.wide)
        try bench.run("INSERT INTO w (p, s) VALUES (1, 'only')")
        #expect(try bench.run("SELECT p, c, s FROM w WHERE p = 1") == ["1,null,only"])
        #expect(try bench.run("SELECT p, c, s FROM w WHERE p = 1 AND c = 1").isEmpty)
        try bench.run("INSERT INTO w (p, c, d, a) VALUES (1, 1, 'x', 5)")
        try bench.run("UPDATE w SET s = 'new' WHERE p = 1")
        #expect(try bench.run("SELECT p, c, s FROM w WHERE p = 1") == ["1,1,new"])
        try bench.run("DELETE s FROM w WHERE p = 1")
        #expect(try bench.run("SELECT p, c, s FROM w WHERE p = 1") == ["1,1,null"])
    }

    @Test func insertMarksRowsAndUpdateDoesNot() throws {
        var bench = try Bench("CREATE TABLE t (k int PRIMARY KEY, v int)")
        try bench.run("INSERT INTO t (k, v) VALUES (1, null)")
        try bench.run("UPDATE t SET v = 1 WHERE k = 2")
        try bench.run("UPDATE t SET v = null WHERE k = 2")
        #expect(try bench.run("SELECT * FROM t WHERE k = 1") == ["1,null"])
        #expect(try bench.run("SELECT * FROM t WHERE k = 2").isEmpty)
    }

    @Test func deletionsOfEveryExtent() throws {
        var bench = try Bench(Self.wide)
        func fill() throws {
            for p in 1...2 {
                for c in 1...3 {
                    for d in ["a", "b"] {
                        try bench.run(
                            "INSERT INTO w (p, c, d, a, b) VALUES (\(p), \(c), '\(d)', 1, 'x')")
                    }
                }
            }
        }
        try fill()
        try bench.run("DELETE b FROM w WHERE p = 1 AND c = 1 AND d = 'a'")
        try bench.run("DELETE FROM w WHERE p = 1 AND c = 1 AND d = 'b'")
        try bench.run("DELETE FROM w WHERE p = 1 AND c = 2")
        #expect(
            try bench.run("SELECT c, d, b FROM w WHERE p = 1") == ["1,a,null", "3,a,x", "3,b,x"])
        try bench.run("DELETE FROM w WHERE p = 1 AND c > 1 AND c <= 3")
        #expect(try bench.run("SELECT c, d FROM w WHERE p = 1") == ["1,a"])
        try bench.run("DELETE FROM w WHERE p = 1")
        #expect(try bench.run("SELECT c, d FROM w WHERE p = 1").isEmpty)
        #expect(try bench.run("SELECT c FROM w WHERE p = 2").count == 6)
        try bench.run("DELETE FROM w WHERE p IN (1, 2) AND c IN (1, 3) AND d = 'a'")
        #expect(try bench.run("SELECT c, d FROM w WHERE p = 2") == ["1,b", "2,a", "2,b", "3,b"])
        try fill()
        #expect(try bench.run("SELECT c FROM w WHERE p = 1").count == 6)
    }

    @Test func updateNamesSeveralRows() throws {
        var bench = try Bench(Self.wide)
        try bench.run("UPDATE w SET a = 1 WHERE p IN (1, 2) AND c IN (1, 2) AND d = 'x'")
        #expect(
            try bench.run("SELECT p, c FROM w WHERE p IN (1, 2)") == ["1,1", "1,2", "2,1", "2,2"])
        try bench.run("UPDATE w SET a = 2 WHERE p = 1 AND (c, d) IN ((1, 'x'), (3, 'y'))")
        #expect(try bench.run("SELECT c, a FROM w WHERE p = 1") == ["1,2", "2,1", "3,2"])
    }

    @Test func timestampsDecide() throws {
        var bench = try Bench("CREATE TABLE t (k int PRIMARY KEY, v int)")
        try bench.run("INSERT INTO t (k, v) VALUES (1, 1) USING TIMESTAMP 100")
        try bench.run("INSERT INTO t (k, v) VALUES (1, 2) USING TIMESTAMP 50")
        #expect(try bench.run("SELECT v, writetime(v) FROM t WHERE k = 1") == ["1,100"])
        try bench.run("UPDATE t USING TIMESTAMP ? SET v = 3 WHERE k = 1", [bigint(200)])
        #expect(try bench.run("SELECT v, writetime(v) FROM t WHERE k = 1") == ["3,200"])
        try bench.run("DELETE FROM t USING TIMESTAMP 150 WHERE k = 1")
        #expect(try bench.run("SELECT v FROM t WHERE k = 1") == ["3"])
    }

    @Test func timeToLiveExpiresCellsAndMarkers() throws {
        var bench = try Bench(
            "CREATE TABLE t (k int PRIMARY KEY, v int, w int)",
            "CREATE TABLE short (k int PRIMARY KEY, v int) WITH default_time_to_live = 100")
        try bench.run("INSERT INTO t (k, v) VALUES (1, 1) USING TTL 60")
        try bench.run("UPDATE t USING TTL ? SET w = 2 WHERE k = 1", [int(30)])
        try bench.run("INSERT INTO short (k, v) VALUES (1, 1)")
        try bench.run("INSERT INTO short (k, v) VALUES (2, 1) USING TTL 0")
        #expect(try bench.run("SELECT v, w, ttl(v), ttl(w) FROM t WHERE k = 1") == ["1,2,60,30"])
        bench.now += 30
        #expect(try bench.run("SELECT v, w, ttl(v) FROM t WHERE k = 1") == ["1,null,30"])
        bench.now += 30
        #expect(try bench.run("SELECT v FROM t WHERE k = 1").isEmpty)
        #expect(try bench.run("SELECT v, ttl(v) FROM short WHERE k = 1") == ["1,40"])
        bench.now += 40
        #expect(try bench.run("SELECT k FROM short") == ["2"])
    }

    @Test func unsetValuesWriteNothing() throws {
        let bench = try SchemaBench.withKeyspace("CREATE TABLE t (k int PRIMARY KEY, v int, w int)")
        let prepared = try bench.plan("UPDATE t SET v = ?, w = ? WHERE k = ?")
        guard case .modification(let plan) = prepared.plan else { throw Unexpected() }
        let key = int(1)
        try key.withUnsafeBytes { raw in
            var values = BoundValues()
            values.removeAll(base: raw.baseAddress)
            values.appendUnset()
            values.appendUnset()
            values.append(ByteRange(offset: 0, count: 4))
            let sink = MutationSink()
            try plan.build(
                values, ExecutionContext(timestamp: 5, nowInSeconds: 1), into: sink)
            #expect(sink.entries.isEmpty)
            values.removeAll(base: raw.baseAddress)
            values.append(ByteRange(offset: 0, count: 4))
            values.appendUnset()
            values.append(ByteRange(offset: 0, count: 4))
            try plan.build(
                values, ExecutionContext(timestamp: 5, nowInSeconds: 1), into: sink)
            let partition = try PartitionView(try MutationView(sink[sink.entries[0]]).partition)
            var rows = partition.rows
            let row = try RowView(try #require(try rows.next()).row)
            var cells = row.cells
            #expect(try cells.next()?.column == 1)
            #expect(try cells.next() == nil)
        }
    }

    @Test func valuesThatDoNotRoundTripThroughTheKeyKeepTheirBytes() throws {
        var bench = try Bench(
            "CREATE TABLE t (p int, c decimal, v varint, x int, PRIMARY KEY (p, c, v))")
        try bench.run("INSERT INTO t (p, c, v, x) VALUES (1, 1.50, 7, 1)")
        try bench.run(
            "INSERT INTO t (p, c, v, x) VALUES (1, ?, ?, 2)", [[0, 0, 0, 1, 15], [0, 0, 8]])
        #expect(try bench.run("SELECT c FROM t WHERE p = 1") == ["1.50", "1.5"])
        let columns = try bench.run("SELECT varint_as_blob(v) FROM t WHERE p = 1 AND c = 1.5")
        #expect(columns == ["0x07", "0x000008"])
    }

    @Test func batchesAreOneMutationForEachPartition() throws {
        var bench = try Bench("CREATE TABLE t (k int, c int, v int, PRIMARY KEY (k, c))")
        let prepared = try bench.schema.plan(
            """
            BEGIN BATCH USING TIMESTAMP 7 INSERT INTO t (k, c, v) VALUES (1, 1, ?);
            INSERT INTO t (k, c, v) VALUES (2, 1, 1); UPDATE t SET v = 3 WHERE k = 1 AND c = 2;
            DELETE FROM t WHERE k = 1 AND c = 3 APPLY BATCH
            """)
        guard case .batch(let plan) = prepared.plan else { throw Unexpected() }
        #expect(prepared.bindMarkers.map(\.name) == ["v"])
        let sink = MutationSink()
        try BoundValues.withValues([int(9)]) { values in
            try plan.build(
                values, ExecutionContext(timestamp: 1, nowInSeconds: 1), into: sink)
        }
        #expect(sink.entries.count == 2)
        try bench.store.apply(sink)
        #expect(
            try bench.run("SELECT k, c, v, writetime(v) FROM t WHERE k IN (1, 2)")
                == ["1,1,9,7", "1,2,3,7", "2,1,1,7"])
    }

    @Test func compositeKeysAreSerializedAsDriversDo() throws {
        let bench = try SchemaBench.withKeyspace(
            "CREATE TABLE t (a int, b text, v int, PRIMARY KEY ((a, b)))")
        let prepared = try bench.plan("INSERT INTO t (v, b, a) VALUES (?, ?, ?)")
        #expect(prepared.partitionKeyBindIndexes == [2, 1])
        guard case .modification(let plan) = prepared.plan else { throw Unexpected() }
        let sink = MutationSink()
        try BoundValues.withValues([int(1), text("hi"), int(5)]) { values in
            try plan.build(
                values, ExecutionContext(timestamp: 1, nowInSeconds: 1), into: sink)
        }
        let mutation = try MutationView(sink[sink.entries[0]])
        let expected: [UInt8] = [0, 4, 0, 0, 0, 5, 0, 0, 2] + text("hi") + [0]
        #expect(Array(mutation.key) == expected)
        #expect(mutation.token == Token.of(expected).value)
        #expect(
            try bench.plan("INSERT INTO t (v, b, a) VALUES (?, 'x', ?)").partitionKeyBindIndexes
                .isEmpty)
    }

    @Test func functionsComputeValues() throws {
        var bench = try Bench(
            "CREATE TABLE t (k int PRIMARY KEY, u uuid, t timeuuid, n timestamp, d date)")
        try bench.run(
            "INSERT INTO t (k, u, t, n, d) VALUES (1, uuid(), now(), toTimestamp(now()), current_date())"
        )
        let rows = try bench.run(
            "SELECT toUnixTimestamp(t), toUnixTimestamp(n), to_timestamp(t), d FROM t WHERE k = 1")
        #expect(rows[0].hasPrefix("1000,1000,"))
        #expect(rows[0].hasSuffix("1970-01-01"))
        #expect(
            bench.schema.failure("INSERT INTO t (k, u) VALUES (1, toDate(now()))")
                == .invalid(
                    "Invalid call to function system.todate, none of its type signatures match (known"
                        + " type signatures: system.todate : (timeuuid) -> date, system.todate :"
                        + " (timestamp) -> date)"))
    }

    @Test func refusalsAreWordedAsCassandraWordsThem() throws {
        let bench = try SchemaBench.withKeyspace(
            Self.wide, "CREATE TABLE t (k int PRIMARY KEY, v int)",
            "CREATE TABLE n (k int PRIMARY KEY, n counter)")
        let cases: [(String, String)] = [
            ("INSERT INTO nope (k) VALUES (1)", "table nope does not exist"),
            ("INSERT INTO nope.t (k) VALUES (1)", "keyspace nope does not exist"),
            ("INSERT INTO t (k, x) VALUES (1, 2)", "Undefined column name x in table ks.t"),
            (
                "INSERT INTO t (k, v) VALUES (1, 'abc')",
                "Invalid STRING constant (abc) for \"v\" of type int"
            ),
            ("INSERT INTO t (k, v) VALUES (1)", "Unmatched column names/values"),
            ("INSERT INTO t (k, k) VALUES (1, 1)", "The column names contains duplicates"),
            ("INSERT INTO t (v) VALUES (1)", "Some partition key parts are missing: k"),
            ("INSERT INTO w (p, c, a) VALUES (1, 1, 1)", "Some clustering keys are missing: d"),
            ("UPDATE w SET a = 1 WHERE p = 1 AND c = 1", "Some clustering keys are missing: d"),
            ("UPDATE w SET a = 1 WHERE c = 1", "Some partition key parts are missing: p"),
            ("UPDATE t SET k = 1 WHERE k = 1", "PRIMARY KEY part k found in SET part"),
            (
                "UPDATE t SET v = 1 WHERE k = 1 AND v = 2",
                "Non PRIMARY KEY columns found in where clause: v"
            ),
            (
                "UPDATE t SET v = 1 WHERE k > 1",
                "Only EQ and IN relation are supported on the partition key (unless you use the"
                    + " token() function) for UPDATE statements"
            ),
            (
                "DELETE FROM t WHERE token(k) = 1",
                "The token function cannot be used in WHERE clauses for DELETE statements"
            ),
            (
                "UPDATE w SET a = 1 WHERE p = 1 AND c = 1 AND d > 'x'",
                "Slice restrictions are not supported on the clustering columns in UPDATE statements"
            ),
            (
                "UPDATE w SET s = 'x' WHERE p = 1 AND c = 1",
                "Invalid restrictions on clustering columns since the UPDATE statement modifies only"
                    + " static columns"
            ),
            (
                "DELETE a FROM w WHERE p = 1 AND c = 1",
                "Range deletions are not supported for specific columns"
            ),
            (
                "DELETE k FROM t WHERE k = 1",
                "Invalid identifier k for deletion (should not be a PRIMARY KEY part)"
            ),
            (
                "DELETE FROM w WHERE p = 1 AND d = 'x'",
                "PRIMARY KEY column \"d\" cannot be restricted as preceding column \"c\" is not"
                    + " restricted"
            ),
            (
                "INSERT INTO t (k, v) VALUES (1, 1) IF NOT EXISTS USING TIMESTAMP 1",
                "Cannot provide custom timestamp for conditional updates"
            ),
            (
                "UPDATE n SET n = n + null WHERE k = 1",
                "Invalid null value for counter increment/decrement"
            ),
            (
                "SELECT * FROM n WHERE n = null ALLOW FILTERING",
                "Invalid null value for counter increment/decrement"
            ),
            (
                "BEGIN COUNTER BATCH INSERT INTO t (k) VALUES (1) APPLY BATCH",
                "Cannot include non-counter statement in a counter batch"
            ),
            (
                "BEGIN BATCH USING TIMESTAMP 1 INSERT INTO t (k) VALUES (1) USING TIMESTAMP 2 APPLY BATCH",
                "Timestamp must be set either on BATCH or individual statements"
            ),
            ("INSERT INTO t (k, v) VALUES (1, nope())", "Unknown function 'nope'"),
            (
                "INSERT INTO t (k, v) VALUES (1, 99999999999)",
                "Unable to make int from '99999999999'"
            ),
        ]
        for (statement, expected) in cases {
            #expect(bench.failure(statement) == .invalid(expected), "\(statement)")
        }
        #expect(
            bench.failure("INSERT INTO system.local (key) VALUES ('x')")
                == .unauthorized("system keyspace is not user-modifiable."))
    }

    @Test func boundValuesAreChecked() throws {
        var bench = try Bench("CREATE TABLE t (k text PRIMARY KEY, v int)", Self.wide)
        let cases: [(String, [[UInt8]?], String)] = [
            (
                "INSERT INTO t (k, v) VALUES (?, ?)", [text("a"), [1, 2]],
                "Expected 4 or 0 byte int (2)"
            ),
            (
                "INSERT INTO t (k, v) VALUES (?, ?)", [nil, int(1)],
                "Invalid null value in condition for column k"
            ),
            ("INSERT INTO t (k, v) VALUES (?, ?)", [[], int(1)], "Key may not be empty"),
            (
                "INSERT INTO t (k, v) VALUES (?, ?)", [Array(repeating: 97, count: 70_000), nil],
                "Key length of 70000 is longer than maximum of 65535"
            ),
            ("INSERT INTO t (k, v) VALUES (?, ?)", [[0xFF], nil], "String didn't validate."),
            (
                "INSERT INTO t (k, v) VALUES (?, 1) USING TTL ?", [text("a"), int(-1)],
                "A TTL must be greater or equal to 0, but was -1"
            ),
            (
                "INSERT INTO t (k, v) VALUES (?, 1) USING TTL ?", [text("a"), int(630_720_001)],
                "ttl is too large. requested (630720001) maximum (630720000)"
            ),
            (
                "INSERT INTO w (p, c, d) VALUES (1, ?, 'x')", [nil],
                "Invalid null value in condition for column c"
            ),
            (
                "SELECT * FROM t WHERE k = ?", [nil], "Invalid null value in condition for column k"
            ),
            ("SELECT * FROM t LIMIT ?", [int(0)], "LIMIT must be strictly positive"),
            (
                "INSERT INTO t (k) VALUES (?)", [],
                "Invalid amount of bind variables: expected 1, got 0"
            ),
        ]
        for (statement, values, expected) in cases {
            #expect(throws: CQLError.invalid(expected), "\(statement)") {
                try bench.run(statement, values)
            }
        }
    }

    @Test func namedValuesFindTheirMarkers() throws {
        let bench = try SchemaBench.withKeyspace("CREATE TABLE t (k int PRIMARY KEY, v int)")
        let prepared = try bench.plan("INSERT INTO t (k, v) VALUES (:key, ?)")
        #expect(prepared.bindMarkers.map(\.name) == ["key", "v"])
        try BoundValues.withValues([int(1), int(2)], names: ["v", "key"]) { values in
            let ordered = try prepared.ordered(values)
            #expect(ordered.bytes(at: 0).map { Array($0) } == int(2))
            #expect(ordered.bytes(at: 1).map { Array($0) } == int(1))
        }
        #expect(throws: CQLError.invalid("Missing value for bind marker v")) {
            try BoundValues.withValues([int(1), int(2)], names: ["x", "key"]) { values in
                _ = try prepared.ordered(values)
            }
        }
    }
}
