// Point selects: which selects are ones, and that they answer what `SelectExecution` does (`Bench` holds the two
// against each other for every select that it runs).

import Encoding
import Model
import Testing

@testable import CQL

@Suite struct PointSelectTests {
    @Test func selectsOfOneRowByItsBoundKeyArePointSelects() throws {
        let bench = try SchemaBench.withKeyspace(
            "CREATE TABLE t (k int PRIMARY KEY, a text, b int)",
            "CREATE TABLE pair (p int, q text, a int, PRIMARY KEY ((p, q)))",
            "CREATE TABLE rows (k int, c int, a int, PRIMARY KEY (k, c))",
            "CREATE TABLE sets (k int PRIMARY KEY, s set<int>)",
            "CREATE TABLE counts (k int PRIMARY KEY, n counter)")
        let cases = [
            ("SELECT a FROM t WHERE k = ?", true),
            ("SELECT * FROM t WHERE k = ?", true),
            ("SELECT k, b AS c, k FROM t WHERE k = ?", true),
            ("SELECT a FROM pair WHERE q = ? AND p = ?", true),
            ("SELECT a FROM t WHERE k = 1", false),
            ("SELECT a FROM t WHERE k IN ?", false),
            ("SELECT a FROM t WHERE token(k) = ?", false),
            ("SELECT a FROM t WHERE k = ? LIMIT ?", false),
            ("SELECT a FROM t WHERE k = ? PER PARTITION LIMIT 1", false),
            ("SELECT a FROM t WHERE k = ? AND b = 3 ALLOW FILTERING", false),
            ("SELECT JSON a FROM t WHERE k = ?", false),
            ("SELECT DISTINCT k FROM t WHERE k = ?", false),
            ("SELECT count(*) FROM t WHERE k = ?", false),
            ("SELECT a, ttl(a) FROM t WHERE k = ?", false),
            ("SELECT a FROM pair WHERE p = ? AND q = 'x'", false),
            ("SELECT a FROM rows WHERE k = ?", false),
            ("SELECT a FROM rows WHERE k = ? AND c = ?", false),
            ("SELECT k FROM sets WHERE k = ?", false),
            ("SELECT n FROM counts WHERE k = ?", false),
            ("SELECT * FROM MUTATION_FRAGMENTS(t) WHERE k = ?", false),
        ]
        for (text, isPoint) in cases {
            guard case .select(let select) = try bench.plan(text).plan else { throw Unexpected() }
            #expect(select.isPoint == isPoint, "\(text)")
        }
    }

    @Test func aPointSelectShowsWhatLivesOfTheRow() throws {
        var bench = try Bench("CREATE TABLE t (k int PRIMARY KEY, a text, b int)")
        func row(_ key: Int32) throws -> [String] {
            try bench.run("SELECT b, k, a, k FROM t WHERE k = ?", [int(key)])
        }
        #expect(try row(1) == [])
        try bench.run("INSERT INTO t (k, a, b) VALUES (1, 'x', 2)")
        #expect(try row(1) == ["2,1,x,1"])
        try bench.run("DELETE a FROM t WHERE k = 1")
        #expect(try row(1) == ["2,1,null,1"])
        try bench.run("DELETE b FROM t WHERE k = 1")
        #expect(try row(1) == ["null,1,null,1"], "the row's marker lives")
        try bench.run("DELETE FROM t WHERE k = 1")
        #expect(try row(1) == [])
        try bench.run("UPDATE t USING TTL 10 SET b = 5 WHERE k = 2")
        #expect(try row(2) == ["5,2,null,2"])
        bench.now += 10
        #expect(try row(2) == [])
    }

    @Test func aColumnThatComesBackHidesWhatWasBefore() throws {
        var bench = try Bench("CREATE TABLE t (k int PRIMARY KEY, a text, b int)")
        try bench.run("UPDATE t SET a = 'old' WHERE k = 1")
        try bench.run("ALTER TABLE t DROP a")
        try bench.run("ALTER TABLE t ADD a text")
        #expect(try bench.run("SELECT a FROM t WHERE k = ?", [int(1)]) == [])
        try bench.run("UPDATE t SET a = 'new' WHERE k = 1")
        #expect(try bench.run("SELECT a FROM t WHERE k = ?", [int(1)]) == ["new"])
    }

    @Test func componentsOfAKeyAreShownAsTheyWereBound() throws {
        var bench = try Bench(
            "CREATE TABLE t (p int, q text, a int, PRIMARY KEY ((p, q)))")
        try bench.run("INSERT INTO t (p, q, a) VALUES (1, '', 7)")
        #expect(
            try bench.run("SELECT * FROM t WHERE q = ? AND p = ?", [text(""), int(1)]) == ["1,,7"])
        #expect(try bench.run("SELECT * FROM t WHERE q = ? AND p = ?", [text("x"), int(1)]) == [])
    }

    @Test(arguments: [UInt64(1), 2, 3, 4])
    func randomRowsAreAnsweredAsByTheGeneralWay(seed: UInt64) throws {
        var random = SplitMix(seed: seed)
        var bench = try Bench("CREATE TABLE t (k int PRIMARY KEY, a text, b int, c blob)")
        for _ in 0..<200 {
            let key = random.below(5)
            switch random.below(7) {
            case 0: try bench.run("INSERT INTO t (k, a) VALUES (\(key), 'a\(random.below(100))')")
            case 1: try bench.run("UPDATE t SET b = \(random.below(100)) WHERE k = \(key)")
            case 2:
                try bench.run(
                    "UPDATE t USING TTL \(1 + random.below(5)) SET c = 0xAB, a = '' WHERE k = \(key)"
                )
            case 3: try bench.run("DELETE b, c FROM t WHERE k = \(key)")
            case 4: try bench.run("DELETE FROM t WHERE k = \(key)")
            case 5: bench.now += Int64(random.below(3))
            default:
                try bench.run("INSERT INTO t (k) VALUES (\(key)) USING TTL \(1 + random.below(5))")
            }
            try bench.run("SELECT c, k, a FROM t WHERE k = ?", [int(Int32(key))])
            try bench.run("SELECT * FROM t WHERE k = ?", [int(Int32(key))], pageSize: 1)
        }
    }

    @Test func valuesThatAreWrongAreLeftToTheGeneralWay() throws {
        let bench = try SchemaBench.withKeyspace("CREATE TABLE t (k int PRIMARY KEY, a text)")
        let prepared = try bench.plan("SELECT a FROM t WHERE k = ?")
        guard case .select(let select) = prepared.plan else { throw Unexpected() }
        let wrong: [[UInt8]?] = [nil, [1, 2, 3], []]
        for value in wrong {
            BoundValues.withValues([value]) {
                #expect(select.pointKey($0, PointRow()) == nil)
            }
        }
    }

    @Test func anAnswerAboutAnotherPartitionIsRefused() throws {
        let bench = try SchemaBench.withKeyspace("CREATE TABLE t (k int PRIMARY KEY, a text)")
        guard case .select(let select) = try bench.plan("SELECT a FROM t WHERE k = ?").plan else {
            throw Unexpected()
        }
        let writer = ByteWriter()
        let start = ReadResultWriter.begin(into: writer)
        int(2).withUnsafeBytes { key in
            let partition = ByteWriter()
            PartitionWriter.begin(into: partition)
            ReadResultWriter.append(token: 1, key: key, partition: partition.bytes, into: writer)
        }
        ReadResultWriter.finish(start: start, isExhausted: true, into: writer)
        try int(1).withUnsafeBytes { key in
            let result = try ReadResultView(writer.bytes)
            #expect(throws: MalformedBytes.self) {
                try select.takePoint(key, result, nowInSeconds: 0, PointRow())
            }
        }
    }
}
