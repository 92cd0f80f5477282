// SELECT JSON, INSERT JSON, to_json and from_json.

import Encoding
import Model
import Testing

@testable import CQL

@Suite struct JSONTests {
    private static let columns: [(name: String, type: String, literal: String, json: String)] = [
        ("a_ascii", "ascii", "'abc'", #""abc""#), ("a_text", "text", "'a\"b\\c'", #""a\"b\\c""#),
        ("a_int", "int", "-5", "-5"), ("a_tiny", "tinyint", "7", "7"),
        ("a_small", "smallint", "300", "300"),
        ("a_big", "bigint", "9223372036854775807", "9223372036854775807"),
        ("a_varint", "varint", "123456789012345678901234567890", "123456789012345678901234567890"),
        ("a_decimal", "decimal", "1.50", "1.50"), ("a_float", "float", "1.5", "1.5"),
        ("a_double", "double", "1e20", "1.0E20"), ("a_bool", "boolean", "true", "true"),
        ("a_blob", "blob", "0xcafe", #""0xcafe""#),
        ("a_inet", "inet", "'127.0.0.1'", #""127.0.0.1""#),
        (
            "a_uuid", "uuid", "6bddc89a-5644-11e4-97fc-56847afe9799",
            #""6bddc89a-5644-11e4-97fc-56847afe9799""#
        ),
        ("a_date", "date", "'2020-02-29'", #""2020-02-29""#),
        ("a_time", "time", "'10:20:30.5'", #""10:20:30.500000000""#),
        ("a_ts", "timestamp", "'2014-01-01 00:00:00+0000'", #""2014-01-01 00:00:00.000Z""#),
        ("a_duration", "duration", "1y2mo3d", #""1y2mo3d""#),
        ("a_list", "list<int>", "[1, 2]", "[1, 2]"),
        ("a_set", "set<text>", "{'b', 'a'}", #"["a", "b"]"#),
        ("a_map", "map<int, text>", "{2: 'b', 1: 'a'}", #"{"1": "a", "2": "b"}"#),
        ("a_tuple", "frozen<tuple<int, text>>", "(1, null)", "[1, null]"),
        ("a_udt", "frozen<pair>", "{x: 1, \"Y\": 'q'}", #"{"x": 1, "\"Y\"": "q"}"#),
        ("a_vector", "vector<float, 2>", "[1.0, 2.5]", "[1.0, 2.5]"),
    ]

    /// The shell's form of text doubles backslashes.
    private func plain(_ rows: [String]) -> [String] {
        rows.map { $0.replacing("\\\\", with: "\\") }
    }

    private static func bench() throws -> Bench {
        let list = columns.map { "\($0.name) \($0.type)" }.joined(separator: ", ")
        return try Bench(
            "CREATE TYPE pair (x int, \"Y\" text)",
            "CREATE TABLE t (k int PRIMARY KEY, \(list), \"Case\" int)")
    }

    @Test func everyTypeIsShownAsJSONAndReadBack() throws {
        var bench = try Self.bench()
        for (index, column) in Self.columns.enumerated() {
            try bench.run(
                "INSERT INTO t (k, \(column.name)) VALUES (\(index), \(column.literal))")
            let shown = try bench.run("SELECT JSON \(column.name) FROM t WHERE k = \(index)")
            #expect(plain(shown) == ["{\"\(column.name)\": \(column.json)}"])
            #expect(
                try plain(bench.run("SELECT to_json(\(column.name)) FROM t WHERE k = \(index)"))
                    == [column.json])
            let copy = index + 100
            try bench.run(
                "INSERT INTO t JSON ?",
                [text("{\"k\": \(copy), \"\(column.name)\": \(column.json)}")])
            #expect(
                try bench.run("SELECT \(column.name) FROM t WHERE k = \(copy)")
                    == bench.run("SELECT \(column.name) FROM t WHERE k = \(index)"), "\(column)")
            let third = index + 200
            try bench.run(
                "INSERT INTO t (k, \(column.name)) VALUES (\(third), from_json(?))",
                [text(column.json)])
            #expect(
                try bench.run("SELECT \(column.name) FROM t WHERE k = \(third)")
                    == bench.run("SELECT \(column.name) FROM t WHERE k = \(index)"), "\(column)")
        }
    }

    @Test func columnsThatAreMissingBecomeNullOrStay() throws {
        var bench = try Self.bench()
        try bench.run(#"INSERT INTO t JSON '{"k": 1, "a_int": 1, "A_TEXT": "x", "\"Case\"": 5}'"#)
        #expect(try bench.run("SELECT a_int, a_text, \"Case\" FROM t") == ["1,x,5"])
        #expect(
            try plain(bench.run("SELECT JSON k, \"Case\" FROM t")) == [#"{"k": 1, "\"Case\"": 5}"#])
        try bench.run(#"INSERT INTO t JSON '{"k": 1, "a_int": 2}' DEFAULT UNSET"#)
        #expect(try bench.run("SELECT a_int, a_text FROM t") == ["2,x"])
        try bench.run(#"INSERT INTO t JSON '{"k": 1, "a_int": 3}' DEFAULT NULL"#)
        #expect(try bench.run("SELECT a_int, a_text FROM t") == ["3,null"])
        try bench.run(#"INSERT INTO t JSON '{"k": 1, "a_int": null}' USING TIMESTAMP 1"#)
        #expect(try bench.run("SELECT a_int FROM t") == ["3"])
        try bench.run(
            "INSERT INTO t JSON ? USING TTL ?",
            [text(#"{"k": 4, "a_int": "7", "a_list": "[1, 2]"}"#), int(100)])
        #expect(
            try bench.run("SELECT a_int, ttl(a_int), a_list FROM t WHERE k = 4") == ["7,100,[1, 2]"]
        )
    }

    @Test func functionsAliasesAndNullsInSelectJSON() throws {
        var bench = try Self.bench()
        try bench.run("INSERT INTO t (k, a_double) VALUES (1, NaN)")
        #expect(
            try plain(bench.run("SELECT JSON k AS \"K\", a_double, a_int, count(*) FROM t"))
                == [#"{"\"K\"": 1, "a_double": null, "a_int": null, "count": 1}"#])
        let plan = try bench.schema.plan("SELECT JSON * FROM t")
        #expect(plan.resultColumns.map(\.name) == ["[json]"])
        #expect(plan.resultColumns.map(\.type) == [.text])
    }

    @Test func refusals() throws {
        var bench = try Self.bench()
        let cases = [
            (#"{"k": 1, "nope": 1}"#, "JSON values map contains unrecognized column: nope"),
            ("null", "Got null for INSERT JSON values"),
            (
                #"{"k": 1"#,
                "Could not decode JSON string as a map: unexpected end of the text. (String was: {\"k\": 1)"
            ),
            (
                "[1]",
                "Could not decode JSON string as a map: found a value of type ArrayList. (String was: [1])"
            ),
            (
                #"{"k": 1, "a_int": 1.5}"#,
                "Error decoding JSON value for a_int: Expected an int value, but got a Double: 1.5"
            ),
            (
                #"{"k": 1, "a_int": true}"#,
                "Error decoding JSON value for a_int: Expected an int value, but got a Boolean: true"
            ),
            (
                #"{"k": 1, "a_text": 5}"#,
                "Error decoding JSON value for a_text: Expected a UTF-8 string, but got a Integer: 5"
            ),
            (
                #"{"k": 1, "a_list": [null]}"#,
                "Error decoding JSON value for a_list: Invalid null element in list"
            ),
            (
                #"{"k": 1, "a_tuple": [1]}"#,
                "Error decoding JSON value for a_tuple: Tuple is missing items (expected 2): [1]"
            ),
            (
                #"{"k": 1, "a_vector": [1]}"#,
                "Error decoding JSON value for a_vector: List had incorrect size: expected 2 but given 1: [1]"
            ),
            (#"{"a_int": 1}"#, "Invalid null value in condition for column k"),
        ]
        for (json, message) in cases {
            let error = #expect(throws: CQLError.self) {
                try bench.run("INSERT INTO t JSON ?", [text(json)])
            }
            #expect(error == .invalid(message), "\(json)")
        }
        let deep = String(repeating: "[", count: 100_000)
        #expect(throws: CQLError.self) { try bench.run("INSERT INTO t JSON ?", [text(deep)]) }
    }

    @Test func nowIsTheTimeOfTheRequestWhereverATimestampStands() throws {
        var bench = try Bench(
            "CREATE TYPE stamped (at timestamp)",
            "CREATE TABLE t (k timestamp PRIMARY KEY, v timestamp, l list<timestamp>, "
                + "m map<timestamp, timestamp>, p frozen<tuple<int, timestamp>>, "
                + "u frozen<stamped>, name text)")
        let json = #"""
            {"k": "now", "v": "NOW", "l": ["now"], "m": {"Now": "now"}, "p": [1, "now"],
            "u": {"at": "now"}, "name": "now"}
            """#
        try bench.run("INSERT INTO t JSON ?", [text(json)])
        let now = "1970-01-01 00:00:01.000Z"
        #expect(
            plain(try bench.run("SELECT JSON v, l, m, p, u, name FROM t")) == [
                #"{"v": "\#(now)", "l": ["\#(now)"], "m": {"\#(now)": "\#(now)"}, "#
                    + #""p": [1, "\#(now)"], "u": {"at": "\#(now)"}, "name": "now"}"#
            ])
        // The client's timestamp is not the time.
        bench.clientTimestamp = 5_000_000_000
        try bench.run("INSERT INTO t (k, v) VALUES (from_json('\"now\"'), 'now')")
        #expect(try bench.run("SELECT k FROM t WHERE k = 1000").count == 1)
        #expect(throws: CQLError.self) {
            try bench.run("INSERT INTO t JSON ?", [text(#"{"k": "nowish"}"#)])
        }
    }

    /// What is no JSON is refused, and nothing traps.
    @Test func randomTextsNeverTrap() throws {
        var random = SplitMix(seed: 5)
        let alphabet = Array(#"{}[]":,\u0123456789eE+-.truefalsn d800"#.utf8)
        for _ in 0..<5_000 {
            let bytes = (0..<random.below(24)).map { _ in alphabet[random.below(alphabet.count)] }
            do {
                let value = try JSONReader.read(bytes)
                _ = value.javaText
                for type in [CQLType.int, .text, .list(.int, frozen: true), .duration, .decimal] {
                    do { _ = try JSONValues(clock: 0).bytes(value, type) } catch {}
                }
            } catch {}
        }
    }
}
