// Collections and user-defined types with a cell for each element.

import Encoding
import Model
import Testing

@testable import CQL

@Suite struct CollectionTests {
    private static let table =
        """
        CREATE TABLE t (k int, c int, s set<text>, m map<text, int>, l list<int>, d set<decimal>,
        n map<varint, text>, u place, st map<int, text> static, PRIMARY KEY (k, c))
        """

    private static func bench() throws -> Bench {
        try Bench("CREATE TYPE place (x int, y int, name text)", table)
    }

    @Test func wholeValuesAreWrittenAndReplaced() throws {
        var bench = try Self.bench()
        try bench.run(
            "INSERT INTO t (k, c, s, m, l, u) VALUES (1, 1, {'b', 'a'}, {'y': 2, 'x': 1}, [3, 1, 3],"
                + " {x: 1, name: 'home'})")
        #expect(
            try bench.run("SELECT s, m, l, u FROM t WHERE k = 1 AND c = 1") == [
                "{'a', 'b'},{'x': 1, 'y': 2},[3, 1, 3],{x: 1, y: null, name: 'home'}"
            ])
        try bench.run("UPDATE t SET s = {'c'}, m = {}, l = [9], u = {y: 5} WHERE k = 1 AND c = 1")
        let replaced = try bench.run("SELECT s, m, l, u FROM t WHERE k = 1 AND c = 1")
        #expect(replaced == ["{'c'},null,[9],{x: null, y: 5, name: null}"])
        try bench.run("UPDATE t SET s = null, l = null WHERE k = 1 AND c = 1")
        #expect(try bench.run("SELECT s, l FROM t WHERE k = 1 AND c = 1") == ["null,null"])
    }

    @Test func partsAreAddedAndRemoved() throws {
        var bench = try Self.bench()
        let row = " WHERE k = 1 AND c = 1"
        try bench.run("UPDATE t SET s = s + {'b'}, m['z'] = 1, m['a'] = 2, l = l + [2, 3]" + row)
        try bench.run("UPDATE t SET s += {'a', 'c'}, m += {'q': 7}, l = [0, 1] + l" + row)
        try bench.run("UPDATE t SET l = [-1] + l" + row)
        #expect(
            try bench.run("SELECT s, m, l FROM t WHERE k = 1") == [
                "{'a', 'b', 'c'},{'a': 2, 'q': 7, 'z': 1},[-1, 0, 1, 2, 3]"
            ])
        try bench.run("UPDATE t SET s = s - {'b', 'x'}, m = m - {'a'}, u.x = 4, u.name = 'n'" + row)
        try bench.run("DELETE m['z'], s['c'], u.x FROM t" + row)
        #expect(
            try bench.run("SELECT s, m, u FROM t WHERE k = 1") == [
                "{'a'},{'q': 7},{x: null, y: null, name: 'n'}"
            ])
        try bench.run("DELETE s, m, l, u FROM t" + row)
        #expect(try bench.run("SELECT s FROM t WHERE k = 1").isEmpty)
    }

    @Test func fieldsAndElementsAreSelected() throws {
        var bench = try Self.bench()
        try bench.run(
            "UPDATE t SET m = {'a': 1, 'b': 2}, s = {'x'}, u = {y: 3} WHERE k = 1 AND c = 1")
        let query = "SELECT m['b'], m[?], m['z'], s['x'], s['q'], u.y, u.name FROM t"
        #expect(try bench.run(query, [text("a")]) == ["2,1,null,x,null,3,null"])
        let prepared = try bench.schema.plan(query)
        #expect(prepared.resultColumns.map(\.name)[0] == "m['b']")
        #expect(prepared.resultColumns.map(\.name)[5] == "u.y")
    }

    @Test func appendsOfOneBatchKeepTheirOrder() throws {
        var bench = try Self.bench()
        try bench.run(
            """
            BEGIN BATCH UPDATE t SET l = l + [1, 2] WHERE k = 1 AND c = 1;
            UPDATE t SET l = l + [3] WHERE k = 1 AND c = 1;
            UPDATE t SET l = l + [4, 5] WHERE k = 1 AND c = 1 APPLY BATCH
            """)
        #expect(try bench.run("SELECT l FROM t WHERE k = 1") == ["[1, 2, 3, 4, 5]"])
    }

    @Test func elementsKeepTheirOwnBytes() throws {
        var bench = try Self.bench()
        try bench.run("INSERT INTO t (k, c, d) VALUES (1, 1, {1.50, 2})")
        try bench.run("UPDATE t SET n[?] = 'x' WHERE k = 1 AND c = 1", [[0, 0, 5]])
        #expect(try bench.run("SELECT d, n FROM t WHERE k = 1") == ["{1.50, 2},{5: 'x'}"])
        // An equal number in another form is the same element.
        try bench.run("UPDATE t SET d = d - {1.5}, n[5] = 'y' WHERE k = 1 AND c = 1")
        #expect(try bench.run("SELECT d, n FROM t WHERE k = 1") == ["{2},{5: 'y'}"])
    }

    @Test func staticCollectionsAndExpiry() throws {
        var bench = try Self.bench()
        try bench.run("UPDATE t USING TTL 10 SET st = st + {1: 'a'} WHERE k = 1")
        try bench.run("UPDATE t SET st[2] = 'b' WHERE k = 1")
        try bench.run("INSERT INTO t (k, c, s) VALUES (1, 1, {'x'})")
        try bench.run("INSERT INTO t (k, c, s) VALUES (1, 2, {'y'})")
        #expect(
            try bench.run("SELECT st, s FROM t WHERE k = 1") == [
                "{1: 'a', 2: 'b'},{'x'}", "{1: 'a', 2: 'b'},{'y'}",
            ])
        bench.now += 10
        #expect(
            try bench.run("SELECT st, s FROM t WHERE k = 1") == [
                "{2: 'b'},{'x'}", "{2: 'b'},{'y'}",
            ])
    }

    @Test func boundCollectionsAndFilters() throws {
        var bench = try Self.bench()
        let set = SystemValue.textSet(["q", "p"]).bytes
        let map = SystemValue.collection(count: 1, [text("k"), int(8)])
        try bench.run("INSERT INTO t (k, c, s, m) VALUES (1, 1, ?, ?)", [set, map])
        try bench.run("INSERT INTO t (k, c, s, m) VALUES (1, 2, ?, ?)", [nil, map])
        #expect(try bench.run("SELECT s, m FROM t") == ["{'p', 'q'},{'k': 8}", "null,{'k': 8}"])
        #expect(try bench.run("SELECT c FROM t WHERE s CONTAINS 'p' ALLOW FILTERING") == ["1"])
        #expect(
            try bench.run(
                "SELECT c FROM t WHERE m CONTAINS KEY 'k' AND m CONTAINS 8 ALLOW FILTERING")
                == ["1", "2"])
    }

    @Test func refusals() throws {
        let bench = try Self.bench().schema
        let cases: [(String, String)] = [
            (
                "UPDATE t SET s['x'] = 1 WHERE k = 1 AND c = 1",
                "Invalid operation (s['x'] = 1) for set column s"
            ),
            (
                "UPDATE t SET u.z = 1 WHERE k = 1 AND c = 1",
                "UDT column u does not have a field named z"
            ),
            (
                "SELECT * FROM t WHERE s = {'a'} ALLOW FILTERING",
                "Collection column 's' (set<text>) cannot be restricted by a '=' relation"
            ),
            (
                "INSERT INTO t (k, c, s) VALUES (1, 1, ['a'])",
                "Invalid list literal for s of type set<text>"
            ),
        ]
        for (statement, expected) in cases {
            #expect(bench.failure(statement) == .invalid(expected), "\(statement)")
        }
        #expect(
            bench.failure("UPDATE t SET s = {'a'}, s = s + {'b'} WHERE k = 1 AND c = 1")?.message
                .contains("Multiple incompatible setting of column s") == true)
    }

    /// Random changes against plain Swift collections.
    @Test func listElementsLieByTheCoordinatorsClock() throws {
        var bench = try Bench("CREATE TABLE t (k int PRIMARY KEY, l list<int>, u timeuuid)")
        for number in 1...4 {
            bench.clientTimestamp = Int64(1_000 - number)
            try bench.run("UPDATE t SET l = l + [\(number)] WHERE k = 1")
            try bench.run("UPDATE t SET l = [\(-number)] + l WHERE k = 1")
        }
        #expect(try bench.run("SELECT l FROM t") == ["[-4, -3, -2, -1, 1, 2, 3, 4]"])
        try bench.run("INSERT INTO t (k, u) VALUES (2, now())")
        #expect(
            try bench.run("SELECT to_unix_timestamp(u), writetime(u) FROM t WHERE k = 2") == [
                "1000,996"
            ])
    }

    @Test func aBatchPrependsBeforeWhatItHasPrepended() throws {
        var bench = try Bench("CREATE TABLE t (k int PRIMARY KEY, l list<int>)")
        try bench.run(
            "BEGIN BATCH UPDATE t SET l = [1, 2] + l WHERE k = 1; UPDATE t SET l = [3, 4] + l WHERE"
                + " k = 1; UPDATE t SET l = l + [5] WHERE k = 1; UPDATE t SET l = l + [6] WHERE k = 1;"
                + " APPLY BATCH")
        #expect(try bench.run("SELECT l FROM t") == ["[3, 4, 1, 2, 5, 6]"])
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func randomChangesEqualPlainCollections(seed: UInt64) throws {
        var random = SplitMix(seed: seed)
        var bench = try Self.bench()
        var set: Set<Int> = []
        var map: [Int: Int] = [:]
        var list: [Int] = []
        try bench.run(
            "CREATE TABLE r (k int PRIMARY KEY, s set<int>, m map<int, int>, l list<int>)")
        for _ in 0..<150 {
            let (a, b) = (random.below(12), random.below(12))
            let change: String
            switch random.below(9) {
            case 0:
                change = "s = {\(a), \(b)}"
                set = [a, b]
            case 1:
                change = "s = s + {\(a), \(b)}"
                set.formUnion([a, b])
            case 2:
                change = "s = s - {\(a)}"
                set.remove(a)
            case 3:
                change = "m[\(a)] = \(b)"
                map[a] = b
            case 4:
                change = "m = m - {\(a), \(b)}"
                map[a] = nil
                map[b] = nil
            case 5:
                change = "m = {\(a): \(b)}"
                map = [a: b]
            case 6:
                change = "l = l + [\(a), \(b)]"
                list += [a, b]
            case 7:
                change = "l = [\(a), \(b)] + l"
                list = [a, b] + list
            default:
                change = "l = [\(a)]"
                list = [a]
            }
            try bench.run("UPDATE r SET \(change) WHERE k = 1")
            let shown = try bench.run("SELECT s, m, l FROM r WHERE k = 1").first
            let elements = set.sorted().map(String.init).joined(separator: ", ")
            let entries = map.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }
                .joined(separator: ", ")
            let items = list.map(String.init).joined(separator: ", ")
            let parts = [
                set.isEmpty ? "null" : "{\(elements)}", map.isEmpty ? "null" : "{\(entries)}",
                list.isEmpty ? "null" : "[\(items)]",
            ]
            let isGone = set.isEmpty && map.isEmpty && list.isEmpty
            #expect(
                shown == (isGone ? nil : parts.joined(separator: ",")), "seed \(seed): \(change)")
        }
    }
}
