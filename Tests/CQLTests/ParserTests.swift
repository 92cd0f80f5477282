// Statements to syntax trees, and the texts of syntax errors.

import Model
import Testing

@testable import CQL

private func parse(_ text: String) throws -> Statement { try Parser.parse(text).statement }

private func integer(_ text: String) -> Term { .literal(Literal(kind: .integer, text: text)) }

private func table(_ name: String, in keyspace: String? = nil) -> QualifiedName {
    QualifiedName(keyspace: keyspace, name: name)
}

@Suite struct ParserTests {
    @Test func selectWithEveryClause() throws {
        guard
            case .select(let select) = try parse(
                """
                SELECT a, b AS "B", count(*) FROM ks.t WHERE p = ? AND c > :low AND (c, d) IN ((1, 2), ?)
                AND token(p) <= 5 GROUP BY a, b ORDER BY c DESC, d PER PARTITION LIMIT 2 LIMIT ?
                ALLOW FILTERING;
                """)
        else { throw Unexpected() }
        #expect(select.table == table("t", in: "ks"))
        #expect(select.selectors.map(\.alias) == [nil, "B", nil])
        #expect(select.selectors.map(\.selector) == [.column("a"), .column("b"), .countRows])
        #expect(select.relations.count == 4)
        #expect(
            select.relations[2]
                == Relation(
                    target: .columns(["c", "d"]), comparison: .in,
                    operand: .values([.tuple([integer("1"), integer("2")]), .marker(2)])))
        #expect(
            select.relations[3]
                == Relation(
                    target: .token(["p"]), comparison: .lessOrEqual, operand: .value(integer("5"))))
        #expect(select.groupBy == [.column("a"), .column("b")])
        #expect(select.orderings.map(\.isDescending) == [true, false])
        #expect(select.perPartitionLimit == integer("2"))
        #expect(select.limit == .marker(3))
        #expect(select.allowsFiltering)
    }

    @Test func wordsThatAreNotReservedAreNames() throws {
        guard
            case .select(let select) = try parse(
                "SELECT json, distinct, key, ttl, count, type, values FROM list WHERE key = 1")
        else { throw Unexpected() }
        #expect(
            select.selectors.map(\.selector)
                == ["json", "distinct", "key", "ttl", "count", "type", "values"]
                .map(Selector.column))
        #expect(select.table == table("list"))
        guard case .select(let other) = try parse("SELECT DISTINCT p, s FROM t") else {
            throw Unexpected()
        }
        #expect(other.isDistinct && other.selectors.count == 2)
    }

    @Test func selectorsNestAndCompute() throws {
        guard
            case .select(let select) = try parse(
                "SELECT writetime(m[1]), CAST(a AS text), m['k'], u.f, l[1..2], ks.f(a, 1) + -b * 2,"
                    + " (int) 5, token(p), (a, b), min(x) FROM t")
        else { throw Unexpected() }
        let selectors = select.selectors.map(\.selector)
        #expect(selectors[0] == .writeTime(.writeTime, of: .element(.column("m"), integer("1"))))
        #expect(selectors[1] == .cast(.column("a"), .native(.text, name: "text")))
        #expect(selectors[3] == .field(.column("u"), "f"))
        #expect(selectors[4] == .slice(.column("l"), from: integer("1"), to: integer("2")))
        #expect(
            selectors[5]
                == .arithmetic(
                    .add,
                    .function(table("f", in: "ks"), [.column("a"), .term(integer("1"))]),
                    .arithmetic(.multiply, .negation(.column("b")), .term(integer("2")))))
        #expect(
            selectors[6] == .typeHint(.native(.int, name: "int"), .term(integer("5"))))
        #expect(selectors[7] == .function(table("token"), [.column("p")]))
        #expect(selectors[8] == .tuple([.column("a"), .column("b")]))
    }

    @Test func insertUpdateAndDelete() throws {
        guard
            case .insert(let insert) = try parse(
                "INSERT INTO t (a, b, c) VALUES (?, 'x', {1: [2, null]}) IF NOT EXISTS"
                    + " USING TIMESTAMP 5 AND TTL ?")
        else { throw Unexpected() }
        #expect(insert.columns == ["a", "b", "c"] && insert.ifNotExists)
        #expect(insert.using == UsingClause(timestamp: integer("5"), timeToLive: .marker(1)))
        #expect(
            insert.values[2]
                == .map([
                    Term.MapEntry(key: integer("1"), value: .list([integer("2"), .null]))
                ]))
        guard
            case .update(let update) = try parse(
                "UPDATE t USING TTL 9 SET a = 1, l = l + [1], l = [2] + l, n = n - 2, n = n -2,"
                    + " m['k'] = 3, u.f = 4, s += {1} WHERE p = 1 IF a = 1 AND m[1] > 2")
        else { throw Unexpected() }
        #expect(update.assignments.count == 8)
        #expect(update.assignments[2] == .prepend("l", .list([integer("2")])))
        #expect(update.assignments[3] == .subtract("n", integer("2")))
        #expect(update.assignments[4] == .add("n", integer("-2")))
        guard case .relations(let conditions) = update.condition else { throw Unexpected() }
        #expect(conditions.count == 2)
        guard
            case .delete(let delete) = try parse(
                "DELETE a, m[1], u.f FROM t USING TIMESTAMP ? WHERE p IN (1, 2) AND c >= 3 IF EXISTS"
            )
        else { throw Unexpected() }
        #expect(delete.deletions == [.column("a"), .element("m", integer("1")), .field("u", "f")])
        #expect(delete.condition == .exists)
    }

    @Test func batchesHoldModifications() throws {
        guard
            case .batch(let batch) = try parse(
                "BEGIN UNLOGGED BATCH USING TIMESTAMP 1 INSERT INTO t (a) VALUES (1);"
                    + " UPDATE t SET a = 1 WHERE p = 1 IF EXISTS DELETE FROM t WHERE p = 1; APPLY BATCH"
            )
        else { throw Unexpected() }
        #expect(batch.kind == .unlogged && batch.statements.count == 3)
    }

    @Test func createTableWithKeysOrderAndOptions() throws {
        guard
            case .createTable(let create) = try parse(
                """
                CREATE TABLE IF NOT EXISTS ks.t (a int, b frozen<list<text>>, "C" ks.my_type,
                  s map<text, vector<float, 3>> static, v varchar, PRIMARY KEY ((a, b), "C"))
                WITH CLUSTERING ORDER BY ("C" DESC) AND comment = 'x' AND gc_grace_seconds = 1
                AND compaction = {'class': 'LeveledCompactionStrategy', 'n': 1} AND cdc = true;
                """)
        else { throw Unexpected() }
        #expect(create.columns.map(\.name) == ["a", "b", "C", "s", "v"])
        #expect(create.columns.map(\.isStatic) == [false, false, false, true, false])
        #expect(create.columns[2].type == .userDefined(table("my_type", in: "ks")))
        #expect(create.columns[4].type == .native(.text, name: "text"))
        #expect(
            create.primaryKeys == [
                CreateTableSyntax.PrimaryKeySyntax(partitionKey: ["a", "b"], clustering: ["C"])
            ])
        #expect(
            create.clusteringOrder == [ClusteringOrderSyntax(column: "C", order: .descending)])
        #expect(
            create.properties.map(\.name) == ["comment", "gc_grace_seconds", "compaction", "cdc"])
        #expect(create.properties[3].value == .text("true"))
    }

    @Test func describeTakesEveryForm() throws {
        let expected: [(String, DescribeSyntax.Subject)] = [
            ("DESCRIBE CLUSTER", .cluster),
            ("DESC KEYSPACES", .keyspaces),
            ("DESC TABLES", .tables),
            ("DESC TYPES", .types),
            ("DESC FUNCTIONS", .functions),
            ("DESC AGGREGATES", .aggregates),
            ("DESC SCHEMA", .schema(full: false)),
            ("DESC FULL SCHEMA", .schema(full: true)),
            ("DESC KEYSPACE", .keyspace(nil, only: false)),
            ("DESC KEYSPACE k", .keyspace("k", only: false)),
            ("DESC ONLY KEYSPACE k", .keyspace("k", only: true)),
            ("DESC TABLE k.t", .table(table("t", in: "k"))),
            ("DESC TYPE y", .type(table("y"))),
            ("DESC INDEX i", .index(table("i"))),
            ("DESC MATERIALIZED VIEW v", .view(table("v"))),
            ("DESC FUNCTION f", .function(table("f"))),
            ("DESC AGGREGATE f", .aggregate(table("f"))),
            ("DESC \"Weird\".t", .named(table("t", in: "Weird"))),
            ("DESC system", .named(table("system"))),
            ("DESC tables.cluster", .named(table("cluster", in: "tables"))),
        ]
        for (text, subject) in expected {
            guard case .describe(let describe) = try parse(text + " WITH INTERNALS") else {
                throw Unexpected()
            }
            #expect(describe.subject == subject, "\(text)")
            #expect(describe.withInternals)
        }
    }

    @Test func bindMarkersAreNumberedInOrder() throws {
        let parsed = try Parser.parse("INSERT INTO t (a, b, c) VALUES (?, :x, :\"Y\") USING TTL ?")
        #expect(parsed.bindMarkers == [nil, "x", "Y", nil])
    }

    @Test func recognisedStatementsAreNamed() throws {
        for (text, name) in [
            ("CREATE CUSTOM INDEX ON t (a) USING 'sai'", "CREATE INDEX"),
            ("CREATE OR REPLACE FUNCTION f (a int) RETURNS NULL ON NULL INPUT", "CREATE FUNCTION"),
            ("ADD IDENTITY 'x' TO ROLE 'y'", "ADD IDENTITY"),
            ("LIST SUPERUSERS", "LIST SUPERUSERS"),
        ] {
            #expect(try parse(text) == .unsupported(name))
        }
    }

    @Test func syntaxErrorsNamePlaceAndInput() {
        for (text, expected) in [
            (
                "SELEC * FROM t",
                "line 1:0 no viable alternative at input 'SELEC' ([SELEC] * FROM t)"
            ),
            (
                "SELECT * FORM t",
                "line 1:9 mismatched input 'FORM' expecting K_FROM (SELECT * [FORM] t)"
            ),
            ("SELECT * FROM t x", "line 1:16 missing EOF at 'x' (SELECT * FROM t [x])"),
            (
                "SELECT * FROM t\nWHERE",
                "line 2:5 no viable alternative at input '<EOF>' (SELECT * FROM t\nWHERE[])"
            ),
            (
                "INSERT INTO t (a VALUES (1)",
                "line 1:17 mismatched input 'VALUES' expecting ')' (INSERT INTO t (a [VALUES] (1))"
            ),
            (
                "SELECT * FROM ?",
                "line 1:14 Bind variables cannot be used for table names (SELECT * FROM [?])"
            ),
        ] {
            #expect(throws: syntaxError(expected)) { try Parser.parse(text) }
        }
    }

    @Test func tenThousandBracketsAreAnErrorAndNoCrash() {
        for opening in ["[", "(", "{", "-", "f(", "(int)", "{1:", "cast("] {
            let nested = String(repeating: opening, count: 10_000)
            for text in [
                "SELECT \(nested) FROM t", "INSERT INTO t (a) VALUES (\(nested)",
                "SELECT * FROM t WHERE \(nested)",
            ] {
                #expect(throws: CQLError.self) { try Parser.parse(text) }
            }
        }
        for opening in ["list<", "frozen<", "map<int, ", "tuple<"] {
            #expect(throws: CQLError.self) {
                try Parser.parse("CREATE TABLE t (a \(String(repeating: opening, count: 10_000))")
            }
        }
    }

    @Test func longListsAreReadPieceByPiece() throws {
        let many = 5_000
        func list(_ item: String) -> String {
            Array(repeating: item, count: many).joined(separator: ", ")
        }
        let markers = try Parser.parse("SELECT * FROM t WHERE k IN (\(list("?")))").bindMarkers
        #expect(markers.count == many)
        // Each of these is read twice: as a type or as names first, and then as what it is.
        for text in [
            "SELECT * FROM t WHERE (\(list("a"))) = (\(list("1")))",
            "INSERT INTO t (a) VALUES ((tuple<\(list("int"))>) ?)",
        ] {
            #expect(throws: Never.self) { try Parser.parse(text) }
        }
        #expect(throws: CQLError.self) {
            try Parser.parse("INSERT INTO t (a) VALUES ((tuple<\(list("int"))) 1)")
        }
    }

    @Test func aMistakeAtTheBeginningIsToldWhateverFollows() {
        for word in ["SELECT ", "x"] {
            let end = String(repeating: word, count: 100_000)
            let error = #expect(throws: CQLError.self) { try Parser.parse("SELEC \(end)") }
            #expect(error?.message.hasPrefix("line 1:0 no viable alternative") == true)
            #expect(error?.message.utf8.count ?? 0 < 2_000)
        }
    }

    @Test func randomlyChangedStatementsNeverTrap() {
        let words = [
            "SELECT", "FROM", "WHERE", "INSERT", "INTO", "VALUES", "(", ")", ",", "a", "b", "=",
            "?",
            "1", "'x'", "IN", "AND", "TOKEN", "[", "]", "{", "}", ":", "COUNT", "*", "CREATE",
            "TABLE",
            "PRIMARY", "KEY", "<", ">", "list", "map", "frozen", "WITH", "BEGIN", "BATCH", "APPLY",
            "UPDATE", "SET", "DELETE", "IF", "EXISTS", "NOT", ".", "DESCRIBE", "ALTER", "DROP",
            "..",
            "+", "-", "CAST", "AS", "LIMIT", "PER", "PARTITION",
        ]
        let seeds = [
            "SELECT a , b AS x FROM t WHERE a = 1 AND b IN ( 1 , 2 ) LIMIT 1",
            "INSERT INTO t ( a , b ) VALUES ( ? , { 1 : 'x' } ) USING TTL 1",
            "CREATE TABLE t ( a int , b list < int > , PRIMARY KEY ( a , b ) ) WITH c = 1",
            "UPDATE t SET a = 1 , b = b + [ 1 ] WHERE p = 1 IF a = 1",
            "BEGIN BATCH DELETE a FROM t WHERE p = 1 ; APPLY BATCH",
        ].map { $0.split(separator: " ").map(String.init) }
        var random = SplitMix(seed: 7)
        var successes = 0
        for _ in 0..<10_000 {
            var tokens = seeds[Int(random.next() % UInt64(seeds.count))]
            for _ in 0..<(1 + Int(random.next() % 3)) {
                let place = Int(random.next() % UInt64(tokens.count))
                let word = words[Int(random.next() % UInt64(words.count))]
                switch random.next() % 3 {
                case 0: tokens[place] = word
                case 1: tokens.insert(word, at: place)
                default: tokens.remove(at: place)
                }
            }
            let text = tokens.joined(separator: " ")
            do {
                _ = try Parser.parse(text)
                successes += 1
            } catch {
                switch error {
                case .syntax, .invalid: continue
                default:
                    Issue.record("not a syntax error: \(error)")
                    return
                }
            }
        }
        #expect(successes > 100 && successes < 9_000)
    }
}

/// The parser returned another kind of statement than the test's text is.
struct Unexpected: Error {}
