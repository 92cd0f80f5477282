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
            "CREATE TABLE wide (k int, c int, d text, s int static, a int, PRIMARY KEY (k, c, d))",
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
            ("SELECT a FROM rows WHERE k = ? AND c = ?", true),
            ("SELECT * FROM rows WHERE c = ? AND k = ?", true),
            ("SELECT a, s FROM wide WHERE k = ? AND d = ? AND c = ?", true),
            ("SELECT a FROM wide WHERE k = ? AND c = ?", false),
            ("SELECT a FROM rows WHERE k = ? AND c = 1", false),
            ("SELECT a FROM rows WHERE k = ? AND c IN ?", false),
            ("SELECT a FROM rows WHERE k = ? AND c IN (?)", true),
            ("SELECT a FROM rows WHERE k = ? AND c IN (?, ?)", false),
            ("SELECT a FROM rows WHERE k IN ? AND c = ?", false),
            ("SELECT a FROM rows WHERE k = ? AND c >= ?", false),
            ("SELECT a FROM wide WHERE k = ? AND (c, d) = (?, ?)", false),
            ("SELECT a FROM rows WHERE k = ? AND c = ? ORDER BY c DESC", false),
            ("SELECT a FROM rows WHERE k = ? AND c = ? LIMIT 1", false),
            ("SELECT a FROM rows WHERE k = ? AND c = ? AND a = 1 ALLOW FILTERING", false),
            ("SELECT max(a) FROM rows WHERE k = ? AND c = ?", false),
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

    @Test func aRowAmongOthersIsShownWithTheStaticColumns() throws {
        var bench = try Bench(
            "CREATE TABLE t (k int, c int, s text static, a int, PRIMARY KEY (k, c))"
                + " WITH CLUSTERING ORDER BY (c DESC)")
        func row(_ clustering: Int32) throws -> [String] {
            try bench.run("SELECT * FROM t WHERE k = ? AND c = ?", [int(1), int(clustering)])
        }
        for place in 1...3 {
            try bench.run("INSERT INTO t (k, c, a) VALUES (1, \(place), \(place * 10))")
        }
        #expect(try row(2) == ["1,2,null,20"])
        #expect(try row(4) == [])
        try bench.run("UPDATE t SET s = 'all' WHERE k = 1")
        #expect(try row(2) == ["1,2,all,20"])
        #expect(try row(4) == [], "the static row alone is not the row that was asked for")
        try bench.run("DELETE FROM t WHERE k = 1 AND c = 2")
        #expect(try row(2) == [])
        try bench.run("DELETE FROM t WHERE k = 1 AND c > 2")
        #expect(try row(3) == [])
        #expect(try row(1) == ["1,1,all,10"])
        try bench.run("INSERT INTO t (k, c, a) VALUES (1, 3, 5) USING TTL 10")
        #expect(try row(3) == ["1,3,all,5"], "later than the deletion of the range")
        bench.now += 10
        #expect(try row(3) == [])
        try bench.run("DELETE FROM t WHERE k = 1")
        #expect(try row(1) == [])
    }

    @Test func clusteringValuesAreShownAsTheyWereWritten() throws {
        var bench = try Bench(
            "CREATE TABLE t (k int, d decimal, e text, a int, PRIMARY KEY (k, d, e))")
        try bench.run("INSERT INTO t (k, d, e, a) VALUES (1, 1.50, '', 7)")
        // 1.5 is the same key, with another scale.
        let equal: [UInt8] = [0, 0, 0, 1, 15]
        #expect(
            try bench.run(
                "SELECT e, d, a FROM t WHERE k = ? AND d = ? AND e = ?",
                [int(1), equal, text("")]) == [",1.50,7"])
        #expect(
            try bench.run(
                "SELECT a FROM t WHERE k = ? AND d = ? AND e = ?", [int(1), equal, text("x")])
                == [])
    }

    @Test(arguments: [UInt64(1), 2, 3, 4])
    func randomRowsAmongOthersAreAnsweredAsByTheGeneralWay(seed: UInt64) throws {
        var random = SplitMix(seed: seed)
        var bench = try Bench(
            "CREATE TABLE t (k int, c int, d text, s int static, a text, b int,"
                + " PRIMARY KEY (k, c, d)) WITH CLUSTERING ORDER BY (c DESC, d ASC)")
        for _ in 0..<300 {
            let key = random.below(2)
            let place = random.below(3)
            let rows = "WHERE k = \(key) AND c = \(place)"
            let row = rows + " AND d = 'd\(random.below(2))'"
            switch random.below(9) {
            case 0: try bench.run("UPDATE t SET a = 'a\(random.below(100))' \(row)")
            case 1:
                try bench.run("INSERT INTO t (k, c, d, b) VALUES (\(key), \(place), 'd1', 4)")
            case 2:
                try bench.run("UPDATE t USING TTL \(1 + random.below(5)) SET b = 1, a = '' \(row)")
            case 3: try bench.run("DELETE a FROM t \(row)")
            case 4: try bench.run("DELETE FROM t \(random.below(2) == 0 ? row : rows)")
            case 5: bench.now += Int64(random.below(3))
            case 6:
                try bench.run("UPDATE t SET s = \(random.below(100)) WHERE k = \(key)")
            case 7:
                if random.below(4) == 0 { try bench.run("DELETE FROM t WHERE k = \(key)") }
            default: try bench.run("DELETE s FROM t WHERE k = \(key)")
            }
            let values = [
                int(Int32(key)), int(Int32(random.below(3))), text("d\(random.below(2))"),
            ]
            let asked = "FROM t WHERE k = ? AND c = ? AND d = ?"
            try bench.run("SELECT b, d, s, c, a \(asked)", values)
            try bench.run("SELECT a \(asked)", values, pageSize: 1)
        }
    }

    @Test func valuesThatAreWrongAreLeftToTheGeneralWay() throws {
        let bench = try SchemaBench.withKeyspace("CREATE TABLE t (k int PRIMARY KEY, a text)")
        let prepared = try bench.plan("SELECT a FROM t WHERE k = ?")
        guard case .select(let select) = prepared.plan else { throw Unexpected() }
        let wrong: [[UInt8]?] = [nil, [1, 2, 3], []]
        for value in wrong {
            BoundValues.withValues([value]) {
                #expect(select.pointPlace($0, PointRow()) == nil)
            }
        }
    }

    @Test func clusteringValuesThatAreWrongAreLeftToTheGeneralWay() throws {
        let bench = try SchemaBench.withKeyspace(
            "CREATE TABLE t (k int, c int, a text, PRIMARY KEY (k, c))")
        let prepared = try bench.plan("SELECT a FROM t WHERE k = ? AND c = ?")
        guard case .select(let select) = prepared.plan else { throw Unexpected() }
        let wrong: [[UInt8]?] = [nil, [1, 2, 3]]
        for value in wrong {
            BoundValues.withValues([int(1), value]) {
                #expect(select.pointPlace($0, PointRow()) == nil)
            }
        }
    }

    @Test func anAnswerAboutAnotherPartitionIsRefused() throws {
        let bench = try SchemaBench.withKeyspace("CREATE TABLE t (k int PRIMARY KEY, a text)")
        try expectRefusal(
            of: "SELECT a FROM t WHERE k = ?", bench, [int(1)], answer: int(2), row: nil)
    }

    @Test func anAnswerAboutAnotherRowIsRefused() throws {
        let bench = try SchemaBench.withKeyspace(
            "CREATE TABLE t (k int, c int, a text, PRIMARY KEY (k, c))")
        let other = ByteWriter()
        int(3).withUnsafeBytes {
            ClusteringKey.appendComponent($0, type: .int, order: .ascending, into: other)
        }
        ClusteringKey.appendTerminator(into: other)
        try expectRefusal(
            of: "SELECT a FROM t WHERE k = ? AND c = ?", bench, [int(1), int(2)], answer: int(1),
            row: other.array)
    }

    /// An answer about that partition, and a row in it, is not the one that was asked for.
    private func expectRefusal(
        of text: String, _ bench: SchemaBench, _ values: [[UInt8]], answer key: [UInt8],
        row clustering: [UInt8]?
    ) throws {
        guard case .select(let select) = try bench.plan(text).plan else { throw Unexpected() }
        let partition = ByteWriter()
        PartitionWriter.begin(into: partition)
        if let clustering {
            let row = ByteWriter()
            var writer = RowWriter()
            writer.begin(
                liveness: Liveness(timestamp: 1), deletion: .none, baseTimestamp: 1, into: row)
            clustering.withUnsafeBytes {
                PartitionWriter.append(key: $0, row: row.bytes, into: partition)
            }
        }
        let writer = ByteWriter()
        let start = ReadResultWriter.begin(into: writer)
        key.withUnsafeBytes {
            ReadResultWriter.append(token: 1, key: $0, partition: partition.bytes, into: writer)
        }
        ReadResultWriter.finish(start: start, isExhausted: true, into: writer)
        try BoundValues.withValues(values) { bound in
            let row = PointRow()
            let place = try #require(select.pointPlace(bound, row))
            let result = try ReadResultView(writer.bytes)
            #expect(throws: MalformedBytes.self) {
                try select.takePoint(place, result, nowInSeconds: 0, row)
            }
        }
    }
}
