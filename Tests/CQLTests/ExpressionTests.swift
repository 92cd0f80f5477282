// Expressions in select lists and in values: arithmetic, casts, hints, literals, parts of values, functions.

import Encoding
import Model
import Testing

@testable import CQL

@Suite struct ExpressionTests {
    private static func bench() throws -> Bench {
        var bench = try Bench(
            "CREATE TYPE address (street text, number int)",
            """
            CREATE TABLE t (k int PRIMARY KEY, a tinyint, b smallint, c int, d bigint, e float, f double,
            g decimal, h varint, s text, ts timestamp, dt date, m map<text, int>, l list<int>,
            st set<int>, u address, fm frozen<map<text, int>>, v vector<float, 2>, ti time)
            """)
        try bench.run(
            """
            INSERT INTO t (k, a, b, c, d, e, f, g, h, s, ts, dt, m, l, st, u, fm, v, ti) VALUES (1, 1, 2, 3, 4,
            5.5, 6.25, 7.50, 8, 'text', '2016-09-27 16:10:00 UTC', '2016-09-27',
            {'a': 1, 'b': 2, 'c': 3}, [10, 20, 30], {1, 2, 3}, {street: 'Main', number: 5},
            {'x': 9}, [3.0, 4.0], '10:15:30')
            """)
        return bench
    }

    private static func one(_ bench: inout Bench, _ expression: String) throws -> String {
        let rows = try bench.run("SELECT \(expression) FROM t WHERE k = 1")
        return rows.count == 1 ? rows[0] : "\(rows.count) rows"
    }

    @Test func arithmeticPromotesToTheWiderType() throws {
        var bench = try Self.bench()
        let cases: [(String, CQLType, String)] = [
            ("a + a", .tinyint, "2"), ("a + b", .smallint, "3"), ("b * c", .int, "6"),
            ("c - d", .bigint, "-1"), ("c / b", .int, "1"), ("d % c", .bigint, "1"),
            ("c + e", .float, "8.5"), ("d + e", .double, "9.5"), ("e * f", .double, "34.375"),
            ("c + h", .varint, "11"), ("h * h", .varint, "64"), ("h % c", .varint, "2"),
            ("c + g", .decimal, "10.50"), ("g * g", .decimal, "56.2500"),
            ("g / c", .decimal, "2.5"), ("g % c", .decimal, "1.50"), ("-c", .int, "-3"),
            ("(c + 1) * 2", .int, "8"), ("c + 1 * 2", .int, "5"), ("c - 1 - 1", .int, "1"),
            ("1 + 1", .int, "2"), ("h + 1.5", .decimal, "9.5"), ("- g", .decimal, "-7.50"),
        ]
        for (expression, type, expected) in cases {
            let plan = try bench.schema.plan("SELECT \(expression) FROM t")
            #expect(plan.resultColumns[0].type == type, "\(expression)")
            #expect(try Self.one(&bench, expression) == expected, "\(expression)")
        }
    }

    @Test func integersWrapAroundAndDivisionByZeroFails() throws {
        var bench = try Self.bench()
        #expect(try Self.one(&bench, "(tinyint)127 + (tinyint)1") == "-128")
        #expect(try Self.one(&bench, "2147483647 + c") == "-2147483646")
        try bench.run("INSERT INTO t (k, c) VALUES (7, 1)")
        #expect(try bench.run("SELECT c + d FROM t WHERE k = 7") == ["null"])
        for expression in ["c / 0", "c % 0", "h / 0", "g / 0"] {
            let error = #expect(throws: CQLError.self) { try Self.one(&bench, expression) }
            guard case .functionFailure(let message, _, _, _)? = error else {
                Issue.record("\(expression): \(String(describing: error))")
                continue
            }
            #expect(message.contains("failed: "), "\(message)")
        }
        #expect(try Self.one(&bench, "f / 0") == "Infinity")
    }

    @Test func datesTakeDurations() throws {
        var bench = try Self.bench()
        #expect(try Self.one(&bench, "dt + 1mo") == "2016-10-27")
        #expect(try Self.one(&bench, "dt - 1y2d") == "2015-09-25")
        #expect(try Self.one(&bench, "ts + 1h30m") == "2016-09-27 17:40:00.000000+0000")
        let error = #expect(throws: CQLError.self) { try Self.one(&bench, "dt + 10h") }
        #expect(
            error?.message
                == "the operation 'date + duration' failed: The duration must have a day precision."
                + " Was: 10h")
        try bench.run("INSERT INTO t (k, dt) VALUES (2, '2016-02-29' + 1y)")
        #expect(try bench.run("SELECT dt FROM t WHERE k = 2") == ["2017-02-28"])
    }

    @Test func valuesMayBeComputed() throws {
        var bench = try Self.bench()
        try bench.run("INSERT INTO t (k, c, d, g) VALUES (1 + 1, 2 * (3 + 4), -(5), 1.5 + 1.25)")
        #expect(try bench.run("SELECT c, d, g FROM t WHERE k = 1 + 1") == ["14,-5,2.75"])
        try bench.run("UPDATE t SET c = CAST(7.9 AS int), s = (text)'x' WHERE k = 2")
        #expect(try bench.run("SELECT c, s FROM t WHERE k = 2") == ["7,x"])
        try bench.run("INSERT INTO t (k, c) VALUES (3, (int)? + 1)", [int(41)])
        #expect(try bench.run("SELECT c FROM t WHERE k = 3") == ["42"])
    }

    @Test func arithmeticOfLiteralsTakesTheTypeThatIsWantedHoweverItNests() throws {
        var bench = try Self.bench()
        try bench.run(
            """
            UPDATE t SET a = -(1 + 2), b = 1 + 2 + 3, c = 2 * (1 + 1), d = 60 * 60 * 1000 * 1000 * 1000,
            e = -(1 + 2), f = 1 + 2 * (3 + 4), g = -(1 + 2) - 3, h = 2 * (2 + 2) WHERE k = 1
            """)
        #expect(
            try bench.run("SELECT a, b, c, d, e, f, g, h FROM t WHERE k = 1")
                == ["-3,6,4,3600000000000,-3,15,-6.0,8"])
        // Each operator is judged once for each type, however long the chain is.
        let chain = Array(repeating: "1", count: 200).joined(separator: " + ")
        try bench.run("UPDATE t SET d = \(chain), b = -(\(chain)) WHERE k = 1")
        #expect(try bench.run("SELECT d, b FROM t WHERE k = 1") == ["200,-200"])
        try bench.run("UPDATE t SET h = to_timestamp('2016-09-27') WHERE k = 1")
        #expect(
            bench.schema.failure("UPDATE t SET b = 1 * (? + 1) WHERE k = 1")
                == .invalid(
                    "Ambiguous '+' operation with args ? and 1: use type hint to disambiguate,"
                        + " example '(int) ?'"))
    }

    @Test func textsAreAddedOneBehindTheOther() throws {
        var bench = try Self.bench()
        #expect(try Self.one(&bench, "s + s") == "texttext")
        #expect(try Self.one(&bench, "'a' + 'b' + s") == "abtext")
        try bench.run("UPDATE t SET s = 'a' + 'é' WHERE k = 1")
        #expect(try bench.run("SELECT s + '!' FROM t WHERE k = 1") == ["aé!"])
        #expect(
            bench.schema.failure("SELECT s - s FROM t")
                == .invalid("the '-' operation is not supported between s and s"))
    }

    @Test func aResultIsNamedAsItWasWritten() throws {
        let bench = try Self.bench()
        let cases = [
            ("(c - b) / a + d", "(c - b) / a + d"), ("-(c - a)", "-(c - a)"),
            ("(int)((c - a) % b)", "(int)((c - a) % b)"), ("CAST(c AS int)", "c"),
            ("CAST(c AS bigint)", "cast(c as bigint)"), ("(float)NaN", "(float)NaN"),
            ("(double)-Infinity", "(double)-Infinity"),
        ]
        for (expression, name) in cases {
            let plan = try bench.schema.plan("SELECT \(expression) FROM t")
            #expect(plan.resultColumns[0].name == name)
        }
    }

    @Test func boundValuesInTheSelectList() throws {
        var bench = try Self.bench()
        #expect(
            try bench.run(
                "SELECT (int)? + c, m[?], (text)? FROM t WHERE k = ?",
                [int(10), text("b"), text("x"), int(1)]) == ["13,2,x"])
        #expect(try bench.run("SELECT count(*) + 1, sum(c) FROM t WHERE k = 99") == ["1,0"])
        #expect(
            try bench.run("SELECT count(*) + (bigint)? FROM t WHERE k = 99", [bigint(5)]) == ["5"])
    }

    @Test func castsConvert() throws {
        var bench = try Self.bench()
        let cases = [
            ("CAST(f AS int)", "6"), ("CAST(g AS double)", "7.5"), ("CAST(c AS decimal)", "3"),
            ("CAST(f AS decimal)", "6.25"), ("CAST(e AS text)", "5.5"), ("CAST(h AS tinyint)", "8"),
            ("CAST(1e10 AS tinyint)", "-1"), ("CAST(ts AS date)", "2016-09-27"),
            ("CAST(dt AS timestamp)", "2016-09-27 00:00:00.000000+0000"),
            ("CAST(dt AS text)", "2016-09-27"), ("CAST(ts AS text)", "2016-09-27T16:10:00.000Z"),
            ("CAST(true AS text)", "true"), ("CAST(c AS int)", "3"), ("CAST(f AS text)", "6.25"),
            ("CAST(d AS varint)", "4"), ("CAST((float)5.2 AS decimal)", "5.2"),
        ]
        for (expression, expected) in cases {
            #expect(try Self.one(&bench, expression) == expected, "\(expression)")
        }
        #expect(
            bench.schema.failure("SELECT CAST(m AS int) FROM t")
                == .invalid("m cannot be cast to int"))
    }

    @Test func literalsTakeTheHintedType() throws {
        var bench = try Self.bench()
        let cases: [(String, String, String)] = [
            ("(int)5", "5", "(int)5"), ("(text)'x'", "x", "(text)'x'"),
            ("[c, 4]", "[3, 4]", "[c, 4]"), ("{c, 3, 1}", "{1, 3}", "{c, 3, 1}"),
            ("(c, s)", "(3, 'text')", "(c, s)"), ("(int)(c)", "3", "(int)(c)"),
            ("(map<text, int>){'a': c}", "{'a': 3}", "(map<text, int>){'a': c}"),
            (
                "(address){street: s, number: c}", "{street: 'text', number: 3}",
                "(address){street: s, number: c}"
            ),
            ("(vector<float, 2>)[1.0, 2.0]", "[1, 2]", "(vector<float, 2>)[1.0, 2.0]"),
            ("(tuple<int, text>)(1, 'a')", "(1, 'a')", "(tuple<int, text>)(1, 'a')"),
            ("(list<bigint>)[1, 2]", "[1, 2]", "(list<bigint>)[1, 2]"),
        ]
        for (expression, expected, name) in cases {
            #expect(try Self.one(&bench, expression) == expected, "\(expression)")
            let plan = try bench.schema.plan("SELECT \(expression) FROM t")
            #expect(plan.resultColumns[0].name == name)
        }
        let refused = [
            (
                "5",
                "Cannot infer type for term 5 in selection clause (try using a cast to force a type)"
            ),
            (
                "[1, 2]",
                "Cannot infer type for term [1, 2] in selection clause (try using a cast to force a type)"
            ),
            (
                "?",
                "Cannot infer type for term ? in selection clause (try using a cast to force a type)"
            ),
            ("(int)'x'", "Cannot assign value (int)'x' to (int)'x' of type int"),
            ("(tinyint)s", "Cannot assign value (tinyint)s to (tinyint)s of type tinyint"),
        ]
        for (expression, message) in refused {
            #expect(bench.schema.failure("SELECT \(expression) FROM t") == .invalid(message))
        }
    }

    @Test func partsOfValuesAreSelected() throws {
        var bench = try Self.bench()
        let cases = [
            ("m['b']", "2"), ("m['z']", "null"), ("m['a'..'b']", "{'a': 1, 'b': 2}"),
            ("m['b'..]", "{'b': 2, 'c': 3}"), ("m[..'b']", "{'a': 1, 'b': 2}"),
            ("m['x'..]", "null"),
            ("fm['y'..]", "{}"), ("st[9..]", "null"),
            ("st[2]", "2"), ("st[9]", "null"), ("st[2..]", "{2, 3}"), ("u.street", "Main"),
            ("fm['x']", "9"), ("m['a'] + m['b']", "3"), ("u.number * 2", "10"),
        ]
        for (expression, expected) in cases {
            #expect(try Self.one(&bench, expression) == expected, "\(expression)")
        }
        #expect(
            bench.schema.failure("SELECT l[0] FROM t")
                == .invalid("Element selection is only allowed on sets and maps, but l is a list"))
        #expect(
            bench.schema.failure("SELECT u.nope FROM t")
                == .invalid("u of type address has no field nope"))
    }

    @Test func timesOfPartsAreSelected() throws {
        var bench = try Bench(
            "CREATE TYPE pair (a int, b int)",
            "CREATE TABLE w (k int PRIMARY KEY, m map<text, int>, s set<int>, u pair, f frozen<set<int>>)",
            "UPDATE w USING TIMESTAMP 10 SET m['a'] = 1, u.b = 2 WHERE k = 1",
            "UPDATE w USING TIMESTAMP 20 AND TTL 1000 SET m['b'] = 2, s = s + {5} WHERE k = 1",
            "UPDATE w USING TIMESTAMP 30 SET f = {1} WHERE k = 1")
        let cases = [
            ("writetime(m)", "[10, 20]"), ("ttl(m)", "[null, 1000]"), ("maxwritetime(m)", "20"),
            ("writetime(m['a'])", "10"), ("writetime(m['z'])", "null"), ("ttl(m['b'])", "1000"),
            ("writetime(m['b'..])", "[20]"), ("writetime(u)", "[null, 10]"),
            ("writetime(u.b)", "10"),
            ("writetime(u.a)", "null"), ("writetime(s)", "[20]"), ("writetime(f)", "30"),
            ("maxwritetime(f)", "30"), ("maxwritetime(u)", "10"), ("ttl(s[5])", "1000"),
            ("writetime(f[1])", "30"), ("writetime(f[9])", "null"), ("writetime(f[5..])", "null"),
            ("writetime(f[..5])", "30"),
        ]
        for (expression, expected) in cases {
            let rows = try bench.run("SELECT \(expression) FROM w WHERE k = 1")
            #expect(rows == [expected], "\(expression)")
        }
    }

    @Test func functionsOverNumbersAndCollections() throws {
        var bench = try Self.bench()
        let cases = [
            ("abs(-5)", "5"), ("abs(g - 10)", "2.50"), ("exp(0.0)", "1"), ("log10(100.0)", "2"),
            ("round(2.5)", "3"), ("round(g)", "8"), ("log(1)", "0"),
            (
                "exp((decimal)1)",
                "2.7182818284590452353602874713527"
            ),
            ("log10((decimal)1000)", "3"),
            ("log((decimal)10)", "2.3025850929940456840179914546844"),
            ("map_keys(m)", "{'a', 'b', 'c'}"), ("map_values(m)", "[1, 2, 3]"),
            ("collection_count(m)", "3"), ("collection_count(l)", "3"), ("collection_min(l)", "10"),
            ("collection_max(st)", "3"), ("collection_sum(l)", "60"), ("collection_avg(l)", "20"),
            ("similarity_euclidean(v, [3.0, 4.0])", "1"), ("similarity_cosine(v, v)", "1"),
            ("similarity_dot_product(v, [0.0, 1.0])", "2.5"), ("mask_default(s)", "****"),
            ("mask_inner(s, 1, 1)", "t**t"), ("mask_outer(s, 1, 1, '#')", "#ex#"),
            ("mask_null(c)", "null"), ("mask_replace(c, 0)", "0"),
            ("to_json(u)", "{\"street\": \"Main\", \"number\": 5}"),
            ("floor(ts, 1h)", "2016-09-27 16:00:00.000000+0000"), ("floor(dt, 1mo)", "2016-09-01"),
            ("floor(ti, 1h)", "10:00:00.000000000"),
        ]
        for (expression, expected) in cases {
            #expect(try Self.one(&bench, expression) == expected, "\(expression)")
        }
    }

    @Test func callsThatFitNoFunctionNameTheCandidates() throws {
        let bench = try Self.bench()
        let refused = [
            (
                "to_date(c)",
                "Invalid call to function system.to_date, none of its type signatures match (known type"
                    + " signatures: system.to_date : (timeuuid) -> date, system.to_date : (timestamp) ->"
                    + " date)"
            ),
            ("dateof(c)", "Unknown function 'dateof'"),
            ("unixtimestampof(c)", "Unknown function 'unixtimestampof'"),
            (
                "min_timeuuid(c)",
                "Type error: c cannot be passed as argument 0 of function system.min_timeuuid of type"
                    + " timestamp"
            ),
            (
                "now(c)",
                "Invalid number of arguments in call to function system.now: 0 required but 1 provided"
            ),
            (
                "collection_count(c)",
                "Function system.collection_count requires a collection argument, but found argument c"
                    + " of type int"
            ),
            ("s + c", "the '+' operation is not supported between s and c"),
            ("sum(s)", nil),
            (
                "from_json(s)",
                "from_json() cannot be used in the selection clause of a SELECT statement"
            ),
            (
                "sum(min(c))",
                "aggregate functions cannot be used as arguments of aggregate functions"
            ),
        ]
        for (expression, message) in refused {
            let failure = bench.schema.failure("SELECT \(expression) FROM t")
            if let message {
                #expect(failure == .invalid(message), "\(expression)")
            } else {
                #expect(failure != nil, "\(expression)")
            }
        }
    }

    @Test func deepNestingOfCallsIsPlannedInTime() throws {
        let bench = try Self.bench()
        // Exponential resolution would never end.
        let sums = String(repeating: "(1 + ", count: 60) + "c" + String(repeating: ")", count: 60)
        _ = try bench.schema.plan("SELECT 1 + \(sums) FROM t")
        let calls = String(repeating: "abs(", count: 60) + "c" + String(repeating: ")", count: 60)
        _ = try bench.schema.plan("SELECT \(calls) FROM t")
        let masks =
            String(repeating: "mask_null(", count: 30) + "m"
            + String(repeating: "['a'..'b'])", count: 30)
        _ = try bench.schema.plan("SELECT \(masks) FROM t")
        _ = try bench.schema.plan(
            "INSERT INTO t (k, c) VALUES (1, \(sums.replacing("c", with: "1")))")
    }

    @Test func aggregatesTakeEveryType() throws {
        var bench = try Bench(
            "CREATE TABLE n (k int PRIMARY KEY, a tinyint, g decimal, h varint, f float, s text)")
        for k in 1...4 {
            try bench.run(
                "INSERT INTO n (k, a, g, h, f, s) VALUES (\(k), 100, \(k).25, 1000000000000000000000\(k),"
                    + " 0.1, 's\(k)')")
        }
        let cases = [
            ("sum(a)", "-112"), ("avg(a)", "100"), ("sum(g)", "11.00"), ("avg(g)", "2.75"),
            ("sum(h)", "40000000000000000000010"), ("avg(h)", "10000000000000000000002"),
            ("min(s)", "s1"), ("max(s)", "s4"), ("count(s)", "4"), ("max(h) - min(h)", "3"),
            ("count(*) + 1", "5"), ("avg(f)", "0.1"),
        ]
        for (expression, expected) in cases {
            #expect(try bench.run("SELECT \(expression) FROM n") == [expected], "\(expression)")
        }
        #expect(
            try bench.run("SELECT sum(g), avg(g), sum(h), min(g), count(g) FROM n WHERE k = 9")
                == ["0,0,0,null,0"])
    }
}
