// SELECT: restrictions, orders, limits, paging, functions, filtering.

import Encoding
import Model
import Testing

@testable import CQL

@Suite struct SelectTests {
    /// Partitions 1...3, each with rows c 1...3 and d a...b; v = 10p + c.
    private static func bench() throws -> Bench {
        var bench = try Bench(
            """
            CREATE TABLE t (p int, c int, d text, s text static, v int, PRIMARY KEY (p, c, d))
            WITH CLUSTERING ORDER BY (c DESC, d ASC)
            """)
        for p in 1...3 {
            try bench.run("INSERT INTO t (p, s) VALUES (\(p), 's\(p)')")
            for c in 1...3 {
                for d in ["a", "b"] {
                    try bench.run(
                        "INSERT INTO t (p, c, d, v) VALUES (\(p), \(c), '\(d)', \(10 * p + c))")
                }
            }
        }
        return bench
    }

    @Test func clusteringRestrictions() throws {
        var bench = try Self.bench()
        let cases: [(String, [String])] = [
            ("p = 1", ["3a", "3b", "2a", "2b", "1a", "1b"]),
            ("p = 1 AND c = 2", ["2a", "2b"]),
            ("p = 1 AND c > 1", ["3a", "3b", "2a", "2b"]),
            ("p = 1 AND c >= 2 AND c < 3", ["2a", "2b"]),
            ("p = 1 AND c <= 1", ["1a", "1b"]),
            ("p = 1 AND c IN (3, 1, 3)", ["3a", "3b", "1a", "1b"]),
            ("p = 1 AND c = 2 AND d = 'b'", ["2b"]),
            ("p = 1 AND c IN (1, 2) AND d > 'a'", ["2b", "1b"]),
            ("p = 1 AND c IN ()", []),
            ("p = 1 AND (c, d) = (2, 'a')", ["2a"]),
            ("p = 1 AND (c, d) IN ((1, 'b'), (3, 'a'), (9, 'x'))", ["3a", "1b"]),
            ("p = 1 AND (c, d) > (2, 'a')", ["3a", "3b", "2b"]),
            ("p = 1 AND (c, d) >= (2, 'a')", ["3a", "3b", "2a", "2b"]),
            ("p = 1 AND (c, d) < (2, 'b')", ["2a", "1a", "1b"]),
            ("p = 1 AND (c, d) > (1, 'a') AND (c, d) <= (3, 'a')", ["3a", "2a", "2b", "1b"]),
            ("p = 1 AND (c) > (2)", ["3a", "3b"]),
            ("p = 1 AND c BETWEEN 2 AND 3 ", ["3a", "3b", "2a", "2b"]),
            ("p = 1 AND c > 3", []),
            ("p = 1 AND c > 2 AND c < 2", []),
        ]
        for (clause, expected) in cases {
            let rows = try bench.run("SELECT c, d FROM t WHERE \(clause)")
            #expect(rows.map { $0.filter { $0 != "," } } == expected, "\(clause)")
        }
    }

    @Test func ordersReverse() throws {
        var bench = try Self.bench()
        #expect(
            try bench.run("SELECT c, d FROM t WHERE p = 1 ORDER BY c ASC")
                == ["1,b", "1,a", "2,b", "2,a", "3,b", "3,a"])
        #expect(
            try bench.run("SELECT c, d FROM t WHERE p = 1 ORDER BY c DESC, d ASC LIMIT 2")
                == ["3,a", "3,b"])
        #expect(
            try bench.run("SELECT d FROM t WHERE p = 1 AND c = 2 ORDER BY d DESC") == ["b", "a"])
        #expect(
            try bench.run(
                "SELECT p, c FROM t WHERE p IN (2, 1) AND d = 'a' AND c IN (1, 2) ORDER BY c ASC")
                == ["1,1", "2,1", "1,2", "2,2"])
    }

    @Test func boundValuesInEveryPlace() throws {
        var bench = try Self.bench()
        #expect(
            try bench.run(
                "SELECT d FROM t WHERE p = ? AND c = ? AND d > ? LIMIT ?",
                [int(1), int(2), text("a"), int(5)]) == ["b"])
        let list = SystemValue.collection(count: 2, [int(3), int(1)])
        #expect(
            try bench.run("SELECT p FROM t WHERE p IN ? AND c = 1 AND d = 'a'", [list]) == [
                "1", "3",
            ])
        #expect(
            try bench.run("SELECT c FROM t WHERE p = 1 AND c IN ? AND d = 'a'", [list]) == [
                "3", "1",
            ])
        let tuple = int(4) + int(2) + int(1) + text("a")
        #expect(
            try bench.run(
                "SELECT d FROM t WHERE p = 1 AND (c, d) > ? AND (c, d) <= (2, 'b')", [tuple])
                == ["b"])
        let prepared = try bench.schema.plan(
            "SELECT * FROM t WHERE p = ? AND (c, d) IN ? AND token(p) > ? ALLOW FILTERING")
        #expect(prepared.bindMarkers.map(\.name) == ["p", "in((c,d))", "partition key token"])
        #expect(prepared.bindMarkers.map(\.type.cqlName)[2] == "bigint")
        #expect(
            try bench.schema.plan("SELECT * FROM t WHERE p = ? LIMIT ?").partitionKeyBindIndexes
                == [0])
    }

    @Test func limitsCountRowsAndPartitions() throws {
        var bench = try Self.bench()
        #expect(try bench.run("SELECT p FROM t").count == 18)
        #expect(try bench.run("SELECT p FROM t LIMIT 7").count == 7)
        #expect(try bench.run("SELECT p FROM t PER PARTITION LIMIT 2").count == 6)
        #expect(try bench.run("SELECT p FROM t PER PARTITION LIMIT 4 LIMIT 10").count == 10)
        #expect(
            try bench.run("SELECT p, c FROM t WHERE p IN (1, 2) PER PARTITION LIMIT 1") == [
                "1,3", "2,3",
            ])
    }

    @Test func distinctShowsPartitionsOnce() throws {
        var bench = try Self.bench()
        try bench.run("INSERT INTO t (p, s) VALUES (9, 'alone')")
        #expect(try bench.run("SELECT DISTINCT p FROM t").sorted() == ["1", "2", "3", "9"])
        #expect(
            try bench.run("SELECT DISTINCT p, s FROM t WHERE p IN (1, 9)") == ["1,s1", "9,alone"])
        #expect(try bench.run("SELECT DISTINCT p FROM t LIMIT 2").count == 2)
    }

    @Test func tokensSelectStretchesOfTheRing() throws {
        var bench = try Self.bench()
        let tokens = try bench.run("SELECT DISTINCT p, token(p) FROM t")
        #expect(tokens.count == 3)
        let first = String(tokens[0].split(separator: ",")[1])
        #expect(try bench.run("SELECT DISTINCT p FROM t WHERE token(p) > \(first)").count == 2)
        #expect(try bench.run("SELECT DISTINCT p FROM t WHERE token(p) >= \(first)").count == 3)
        #expect(try bench.run("SELECT DISTINCT p FROM t WHERE token(p) = \(first)").count == 1)
        #expect(
            try bench.run(
                "SELECT DISTINCT p FROM t WHERE token(p) > token(1) AND token(p) <= token(1)"
            )
            .isEmpty)
        #expect(
            try bench.run("SELECT count(*) FROM t WHERE token(p) >= \(Int64.min)") == ["18"])
        #expect(
            try bench.run("SELECT count(*) FROM t WHERE token(p) <= \(Int64.max)") == ["18"])
    }

    @Test func aggregatesRunOverAllRows() throws {
        var bench = try Self.bench()
        #expect(try bench.run("SELECT count(*) FROM t") == ["18"])
        #expect(try bench.run("SELECT count(1), count(v), min(v), max(d) FROM t") == ["18,18,11,b"])
        #expect(try bench.run("SELECT sum(v), avg(v) FROM t WHERE p = 1") == ["72,12"])
        #expect(try bench.run("SELECT p, c, max(v) FROM t WHERE p = 2") == ["2,3,23"])
        #expect(
            try bench.run("SELECT count(*), sum(v), avg(v), min(v) FROM t WHERE p = 99")
                == ["0,0,0,null"])
        #expect(try bench.run("SELECT count(*) FROM t LIMIT 5", pageSize: 3) == ["18"])
        let prepared = try bench.schema.plan("SELECT count(*), max(v), sum(v) AS total FROM t")
        #expect(prepared.resultColumns.map(\.name) == ["count", "system.max(v)", "total"])
        #expect(prepared.resultColumns.map(\.type) == [.bigint, .int, .int])
    }

    @Test func functionsAndCastsInTheSelectList() throws {
        var bench = try Self.bench()
        let computed =
            try bench.run(
                "SELECT CAST(v AS text), CAST(v AS double), intasblob(v), (int)5, (text)'x', blob_as_int(0x00000007)"
                    + " FROM t WHERE p = 1 AND c = 1 AND d = 'a'")
        #expect(computed == ["11,11,0x0000000b,5,x,7"])
        let prepared = try bench.schema.plan(
            "SELECT CAST(v AS text), token(p), writetime(v) FROM t")
        #expect(
            prepared.resultColumns.map(\.name)
                == ["cast(v as text)", "system.token(p)", "writetime(v)"])
    }

    @Test func filteringLooksAtEveryRow() throws {
        var bench = try Self.bench()
        #expect(
            try bench.run("SELECT p, c FROM t WHERE v = 22 AND d = 'a' ALLOW FILTERING") == ["2,2"])
        #expect(
            try bench.run("SELECT c FROM t WHERE p = 1 AND d = 'b' ALLOW FILTERING")
                == ["3", "2", "1"])
        #expect(
            try bench.run(
                "SELECT c FROM t WHERE p = 1 AND v IN (12, 13) AND d = 'a' LIMIT 1 ALLOW FILTERING")
                == ["3"])
        #expect(
            try bench.run("SELECT DISTINCT p FROM t WHERE s = 's2' ALLOW FILTERING") == ["2"])
        #expect(try bench.run("SELECT count(*) FROM t WHERE c > 1 ALLOW FILTERING") == ["12"])
    }

    @Test func pagesAddUpToTheWhole() throws {
        var bench = try Self.bench()
        try bench.run("INSERT INTO t (p, s) VALUES (8, 'alone')")
        try bench.run("INSERT INTO t (p, s) VALUES (9, 'alone')")
        for text in [
            "SELECT p, c, d FROM t", "SELECT p, c, d FROM t WHERE p IN (3, 1, 9)",
            "SELECT p, c, d FROM t WHERE p = 2 ORDER BY c ASC",
            "SELECT p, c, d FROM t WHERE p = 2 AND c IN (1, 3)",
            "SELECT p, c, d FROM t PER PARTITION LIMIT 4", "SELECT DISTINCT p, s FROM t",
            "SELECT p, c, d FROM t LIMIT 11", "SELECT p, c FROM t WHERE v > 12 ALLOW FILTERING",
            "SELECT p, c, d FROM t WHERE p IN (1, 2) PER PARTITION LIMIT 3 LIMIT 5",
        ] {
            let whole = try bench.run(text)
            for pageSize in 1...20 {
                let pages = try bench.run(text, pageSize: pageSize)
                #expect(pages == whole, "\(text) by \(pageSize)")
            }
        }
    }

    @Test func cellsOfDroppedColumnsKeepNoRowAlive() throws {
        var bench = try Bench("CREATE TABLE t (p int, c int, v int, w int, PRIMARY KEY (p, c))")
        try bench.run("UPDATE t SET v = 1 WHERE p = 1 AND c = 1")
        try bench.run("UPDATE t SET w = 1 WHERE p = 1 AND c = 2")
        try bench.run("INSERT INTO t (p, c, v) VALUES (1, 3, 1)")
        try bench.run("ALTER TABLE t DROP v")
        #expect(try bench.run("SELECT c, w FROM t WHERE p = 1") == ["2,1", "3,null"])
        try bench.run("ALTER TABLE t ADD v int")
        #expect(try bench.run("SELECT c, v FROM t WHERE p = 1") == ["2,null", "3,null"])
    }

    @Test func garbageAsPagingStateIsRefused() throws {
        var bench = try Self.bench()
        let prepared = try bench.schema.plan("SELECT * FROM t")
        guard case .select(let plan) = prepared.plan else { throw Unexpected() }
        let state = try #require(try bench.page(plan, prepared, [], 4, nil).state)
        #expect(try bench.page(plan, prepared, [], 4, state).rows.count == 4)
        var random = SplitMix(seed: 3)
        for _ in 0..<500 {
            var broken = state
            switch random.below(3) {
            case 0: broken[random.below(broken.count)] ^= UInt8(1 << random.below(8))
            case 1: broken.removeLast(1 + random.below(broken.count))
            default:
                broken = (0..<random.below(40)).map { _ in UInt8(truncatingIfNeeded: random.next())
                }
            }
            #expect(throws: CQLError.invalid("Invalid value for the paging state")) {
                try bench.page(plan, prepared, [], 4, broken)
            }
        }
    }

    @Test func refusalsAreWordedAsCassandraWordsThem() throws {
        let bench = try SchemaBench.withKeyspace(
            "CREATE TABLE t (p int, c int, d text, s text static, v int, PRIMARY KEY (p, c, d))",
            "CREATE TABLE two (a int, b int, v int, PRIMARY KEY ((a, b)))")
        let filtering =
            "Cannot execute this query as it might involve data filtering and thus may have"
            + " unpredictable performance. If you want to execute this query despite the performance"
            + " unpredictability, use ALLOW FILTERING"
        let cases: [(String, String)] = [
            ("SELECT x FROM t", "Undefined column name x in table ks.t"),
            ("SELECT * FROM t WHERE x = 1", "Undefined column name x in table ks.t"),
            ("SELECT * FROM t WHERE v = 1", filtering),
            ("SELECT * FROM two WHERE a = 1", filtering),
            ("SELECT * FROM t WHERE p > 1", filtering),
            (
                "SELECT * FROM t WHERE p = 1 AND d = 'x'",
                "PRIMARY KEY column \"d\" cannot be restricted as preceding column \"c\" is not"
                    + " restricted"
            ),
            (
                "SELECT * FROM t WHERE p = 1 AND c > 1 AND d = 'x'",
                "Clustering column \"d\" cannot be restricted (preceding column \"c\" is restricted by"
                    + " a non-EQ relation)"
            ),
            (
                "SELECT * FROM t WHERE p = 1 AND p = 2",
                "p cannot be restricted by more than one relation if it includes an Equal"
            ),
            (
                "SELECT * FROM t WHERE p = 1 AND c > 1 AND c > 2",
                "More than one restriction was found for the start bound on c"
            ),
            (
                "SELECT * FROM t WHERE p = 'x'", "Invalid STRING constant (x) for \"p\" of type int"
            ),
            (
                "SELECT * FROM t ORDER BY c",
                "ORDER BY is only supported when the partition key is restricted by an EQ or an IN."
            ),
            (
                "SELECT * FROM t WHERE p = 1 ORDER BY v",
                "Order by is currently only supported on the clustered columns of the PRIMARY KEY, got"
                    + " v"
            ),
            (
                "SELECT * FROM t WHERE p = 1 ORDER BY d",
                "Order by currently only supports the ordering of columns following their declared"
                    + " order in the PRIMARY KEY"
            ),
            ("SELECT * FROM t WHERE p = 1 ORDER BY c ASC, d DESC", "Unsupported order by relation"),
            ("SELECT * FROM t LIMIT 0", "LIMIT must be strictly positive"),
            (
                "SELECT DISTINCT v FROM t",
                "SELECT DISTINCT queries must only request partition key columns and/or static"
                    + " columns (not v)"
            ),
            (
                "SELECT DISTINCT a FROM two",
                "SELECT DISTINCT queries must request all the partition key columns (missing b)"
            ),
            (
                "SELECT writetime(p) FROM t",
                "Cannot use selection function writetime on PRIMARY KEY part p"
            ),
            ("SELECT nope(v) FROM t", "Unknown function 'nope'"),
            (
                "SELECT * FROM two WHERE token(b, a) > 1",
                "The token function arguments must be in the partition key order: a, b"
            ),
            (
                "SELECT * FROM two WHERE token(a) > 1",
                "The token() function must be applied to all partition key components or none of them"
            ),
            (
                "SELECT * FROM t WHERE p = 1 AND (d, c) > ('x', 1)",
                "Clustering columns must appear in the PRIMARY KEY order in multi-column relations:"
                    + " (d, c) > ('x', 1)"
            ),
            (
                "SELECT * FROM t WHERE p = 1 AND (c, d) > (1)",
                "Expected 2 elements in value tuple, but got 1: (1)"
            ),
        ]
        for (statement, expected) in cases {
            #expect(bench.failure(statement) == .invalid(expected), "\(statement)")
        }
    }

    /// Random tables, rows, slices, limits and page sizes against a plain evaluation over all rows.
    @Test(arguments: [1, 2, 3, 4, 5, 6] as [UInt64])
    func randomQueriesEqualAPlainEvaluation(seed: UInt64) throws {
        var random = SplitMix(seed: seed)
        let orders = ["ASC", "DESC"]
        var bench = try Bench(
            """
            CREATE TABLE r (p int, c int, d int, s int static, v int, PRIMARY KEY (p, c, d)) WITH
            CLUSTERING ORDER BY (c \(orders[random.below(2)]), d \(orders[random.below(2)]))
            """)
        bench.store.random = SplitMix(seed: seed)
        for _ in 0..<120 {
            let (p, c, d) = (random.below(4), random.below(5), random.below(5))
            switch random.below(8) {
            case 0: try bench.run("DELETE FROM r WHERE p = \(p) AND c = \(c) AND d = \(d)")
            case 1: try bench.run("DELETE FROM r WHERE p = \(p) AND c = \(c) AND d > \(d)")
            case 2: try bench.run("UPDATE r SET s = \(d) WHERE p = \(p)")
            case 3:
                try bench.run(
                    "UPDATE r SET v = \(random.below(9)) WHERE p = \(p) AND c = \(c) AND d = \(d)")
            default:
                try bench.run(
                    "INSERT INTO r (p, c, d, v) VALUES (\(p), \(c), \(d), \(random.below(9)))")
            }
        }
        // What is there, read without any restriction, is the twin's data.
        let all = try bench.run("SELECT p, c, d, v FROM r").map { row in
            row.split(separator: ",").map { Int($0) }
        }
        for _ in 0..<250 {
            var clauses: [String] = []
            var tests: [([Int?]) -> Bool] = []
            func add(_ clause: String, _ test: @escaping ([Int?]) -> Bool) {
                clauses.append(clause)
                tests.append(test)
            }
            let (x, y, z) = (random.below(5), random.below(5), random.below(5))
            let p = random.below(4)
            switch random.below(3) {
            case 0: add("p = \(p)") { $0[0] == p }
            case 1: add("p IN (0, \(p))") { $0[0] == p || $0[0] == 0 }
            default: break
            }
            let needsPrefix = !clauses.isEmpty
            if needsPrefix {
                switch random.below(7) {
                case 0: add("c = \(x)") { $0[1] == x }
                case 1:
                    add("c = \(x)") { $0[1] == x }
                    add("d >= \(y)") { ($0[2] ?? -1) >= y }
                case 2: add("c > \(x)") { ($0[1] ?? -1) > x }
                case 3: add("c IN (\(x), \(y))") { $0[1] == x || $0[1] == y }
                case 4:
                    add("(c, d) > (\(x), \(y))") {
                        guard let c = $0[1], let d = $0[2] else { return false }
                        return (c, d) > (x, y)
                    }
                case 5:
                    add("(c, d) >= (\(x), \(y))") {
                        guard let c = $0[1], let d = $0[2] else { return false }
                        return (c, d) >= (x, y)
                    }
                    add("(c, d) < (\(z), \(y))") {
                        guard let c = $0[1], let d = $0[2] else { return false }
                        return (c, d) < (z, y)
                    }
                default: break
                }
            }
            if random.below(3) == 0 {
                let v = random.below(9)
                add("v > \(v)") { ($0[3] ?? -1) > v }
            }
            var query = "SELECT p, c, d, v FROM r"
            if !clauses.isEmpty { query += " WHERE " + clauses.joined(separator: " AND ") }
            var expected = all.filter { row in tests.allSatisfy { $0(row) } }
            if needsPrefix {
                // Named partitions come in the order of their values, scans in token order.
                expected = expected.enumerated().sorted {
                    ($0.element[0] ?? 0, $0.offset) < ($1.element[0] ?? 0, $1.offset)
                }.map(\.element)
            }
            if random.below(2) == 0 {
                let limit = 1 + random.below(3)
                query += " PER PARTITION LIMIT \(limit)"
                var counts: [Int: Int] = [:]
                expected = expected.filter { row in
                    counts[row[0] ?? 0, default: 0] += 1
                    return counts[row[0] ?? 0, default: 0] <= limit
                }
            }
            if random.below(2) == 0 {
                let limit = 1 + random.below(12)
                query += " LIMIT \(limit)"
                expected = Array(expected.prefix(limit))
            }
            query += " ALLOW FILTERING"
            let shown = expected.map { row in
                row.map { $0.map(String.init) ?? "null" }.joined(separator: ",")
            }
            let pageSize = random.below(2) == 0 ? nil : 1 + random.below(6)
            #expect(
                try bench.run(query, pageSize: pageSize) == shown,
                "seed \(seed), page \(pageSize ?? 0): \(query)")
        }
    }
}
