// GROUP BY: groups, aggregates over them, limits, pages, and what is refused.

import Encoding
import Model
import Testing

@testable import CQL

@Suite struct GroupByTests {
    private static func bench() throws -> Bench {
        var bench = try Bench(
            "CREATE TABLE t (a int, b int, c int, d int, e int, PRIMARY KEY (a, b, c, d))")
        for (a, b, c, d, e) in [
            (1, 2, 1, 3, 6), (1, 2, 2, 6, 12), (1, 3, 2, 12, 24), (1, 4, 2, 12, 24),
            (1, 4, 2, 6, 12), (2, 2, 3, 3, 6), (2, 4, 3, 6, 12), (4, 8, 2, 12, 24),
        ] {
            try bench.run("INSERT INTO t (a, b, c, d, e) VALUES (\(a), \(b), \(c), \(d), \(e))")
        }
        return bench
    }

    private static let cases: [(String, [String])] = [
        (
            "SELECT a, b, e, count(b), max(e) FROM t GROUP BY a",
            ["1,2,6,5,24", "2,2,6,2,12", "4,8,24,1,24"]
        ),
        (
            "SELECT a, b, count(*), max(e) FROM t GROUP BY a, b",
            ["1,2,2,12", "1,3,1,24", "1,4,2,24", "2,2,1,6", "2,4,1,12", "4,8,1,24"]
        ),
        (
            "SELECT a, b, c, d FROM t GROUP BY a, b, c",
            ["1,2,1,3", "1,2,2,6", "1,3,2,12", "1,4,2,6", "2,2,3,3", "2,4,3,6", "4,8,2,12"]
        ),
        ("SELECT * FROM t GROUP BY a", ["1,2,1,3,6", "2,2,3,3,6", "4,8,2,12,24"]),
        ("SELECT count(*), max(e) FROM t WHERE a = 1 GROUP BY a, b", ["2,12", "1,24", "2,24"]),
        (
            "SELECT b, max(e) FROM t WHERE a = 1 GROUP BY a, b ORDER BY b DESC, c DESC",
            ["4,24", "3,24", "2,12"]
        ),
        ("SELECT b, sum(e) FROM t WHERE a = 1 AND b = 2 GROUP BY a, c", ["2,6", "2,12"]),
        ("SELECT a, b, sum(e) FROM t GROUP BY a, b LIMIT 3", ["1,2,18", "1,3,24", "1,4,36"]),
        (
            "SELECT a, b, sum(e) FROM t GROUP BY a, b PER PARTITION LIMIT 1",
            ["1,2,18", "2,2,6", "4,8,24"]
        ),
        (
            "SELECT a, b, sum(e) FROM t GROUP BY a, b PER PARTITION LIMIT 2 LIMIT 3",
            ["1,2,18", "1,3,24", "2,2,6"]
        ),
        ("SELECT a, count(*) FROM t WHERE e = 24 GROUP BY a ALLOW FILTERING", ["1,2", "4,1"]),
        ("SELECT a, max(e) - min(e) FROM t GROUP BY a", ["1,18", "2,6", "4,0"]),
        ("SELECT DISTINCT a, count(a) FROM t GROUP BY a", ["1,1", "2,1", "4,1"]),
        ("SELECT a, b FROM t WHERE a IN (2, 4) GROUP BY a, b", ["2,2", "2,4", "4,8"]),
        ("SELECT a, count(*) FROM t WHERE a = 99 GROUP BY a", []),
        ("SELECT JSON a, count(*) FROM t WHERE a = 2 GROUP BY a", ["{\"a\": 2, \"count\": 2}"]),
    ]

    /// Each group appears once and whole, however small the pages are and however often an answer stops.
    @Test(arguments: [nil, 1, 2, 3, 5] as [Int?])
    func groupsAreTheSameOnPagesOfEverySize(pageSize: Int?) throws {
        var bench = try Self.bench()
        bench.store.random = SplitMix(seed: 11)
        for (statement, expected) in Self.cases {
            #expect(try bench.run(statement, pageSize: pageSize) == expected, "\(statement)")
        }
    }

    @Test func theOrderOfSeveralPartitionsIsThatOfTheirGroups() throws {
        var bench = try Self.bench()
        #expect(
            try bench.run(
                "SELECT a, b, sum(e) FROM t WHERE a IN (1, 2, 4) GROUP BY a, b ORDER BY b DESC, c DESC"
            )
                == ["4,8,24", "2,4,12", "1,4,36", "1,3,24", "2,2,6", "1,2,18"])
    }

    @Test func functionsCoarsenTheLastColumn() throws {
        var bench = try Bench(
            "CREATE TABLE s (k int, at timestamp, v int, PRIMARY KEY (k, at))")
        for (time, v) in [
            ("16:10:00", 1), ("16:12:00", 2), ("16:14:00", 3), ("16:15:00", 4), ("16:21:00", 5),
        ] {
            try bench.run("INSERT INTO s (k, at, v) VALUES (1, '2016-09-27 \(time) UTC', \(v))")
        }
        #expect(
            try bench.run(
                "SELECT floor(at, 5m), min(v), max(v), count(v) FROM s GROUP BY k, floor(at, 5m)")
                == [
                    "2016-09-27 16:10:00.000000+0000,1,3,3",
                    "2016-09-27 16:15:00.000000+0000,4,4,1",
                    "2016-09-27 16:20:00.000000+0000,5,5,1",
                ])
        #expect(
            try bench.run("SELECT count(v) FROM s GROUP BY k, floor(at, ?)", [[0, 0, 0]]).count == 5
        )
    }

    @Test func staticRowsAloneAreGroups() throws {
        var bench = try Bench(
            "CREATE TABLE s (k int, c int, s int static, v int, PRIMARY KEY (k, c))",
            "INSERT INTO s (k, s) VALUES (1, 7)", "INSERT INTO s (k, c, v) VALUES (2, 1, 5)",
            "INSERT INTO s (k, c, v) VALUES (2, 2, 6)")
        for pageSize in [nil, 1] as [Int?] {
            #expect(
                try bench.run("SELECT k, s, count(*), sum(v) FROM s GROUP BY k", pageSize: pageSize)
                    == ["1,7,1,0", "2,null,2,11"])
        }
    }

    @Test func refusals() throws {
        let bench = try Self.bench()
        let order =
            "Group by currently only support groups of columns following their declared order in the"
            + " PRIMARY KEY"
        let cases = [
            (
                "SELECT a, max(c) FROM t GROUP BY a, e",
                "Group by is currently only supported on the columns of the PRIMARY KEY, got e"
            ),
            ("SELECT a FROM t WHERE a = 1 GROUP BY c", order),
            ("SELECT a FROM t GROUP BY a, c, b", order), ("SELECT a FROM t GROUP BY a, a", order),
            ("SELECT a FROM t GROUP BY nope", "Undefined column name nope in table ks.t"),
            (
                "SELECT DISTINCT a, count(a) FROM t GROUP BY a, b",
                "Grouping on clustering columns is not allowed for SELECT DISTINCT queries"
            ),
            (
                "SELECT a, count(*) FROM t GROUP BY a ORDER BY b DESC",
                "ORDER BY is only supported when the partition key is restricted by an EQ or an IN."
            ),
            (
                "SELECT a FROM t GROUP BY a, count(b)",
                "Aggregate functions are not supported within the GROUP BY clause, got: system.count"
            ),
            (
                "SELECT a FROM t GROUP BY a, abs(b)",
                "Only monotonic functions are supported in the GROUP BY clause. Got: system.abs"
            ),
        ]
        for (statement, message) in cases {
            #expect(bench.schema.failure(statement) == .invalid(message), "\(statement)")
        }
        let two = try Bench("CREATE TABLE two (a int, b int, c int, PRIMARY KEY ((a, b), c))")
        #expect(
            two.schema.failure("SELECT a FROM two GROUP BY a")
                == .invalid("Group by is not supported on only a part of the partition key"))
    }
}
