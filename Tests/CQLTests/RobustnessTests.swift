// What others send: drivers' own statements, and bytes that nobody should have sent.

import Encoding
import Glibc
import Model
import Testing

@testable import CQL

private func lines(ofFixture name: String) throws -> [String] {
    let root = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3)
    let path = root.joined(separator: "/") + "/Fixtures/cql/" + name
    let stream = try #require(fopen(path, "r"), "no fixture at \(path)")
    defer { fclose(stream) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
        let count = fread(&buffer, 1, buffer.count, stream)
        if count == 0 { break }
        bytes += buffer[..<count]
    }
    return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
}

@Suite struct RobustnessTests {
    private static func bench() throws -> SchemaBench {
        try SchemaBench.withKeyspace(
            """
            CREATE TABLE t (a int, "B" text, c int, s text static, v text, f decimal,
            PRIMARY KEY ((a, "B"), c))
            """)
    }

    @Test func driversStatementsAreUnderstood() throws {
        let bench = try Self.bench()
        let statements = try lines(ofFixture: "driver-statements.txt").filter { !$0.hasPrefix("#") }
        #expect(statements.count > 50)
        for statement in statements {
            #expect(bench.failure(statement, keyspace: nil) == nil, "\(statement)")
        }
    }

    @Test func randomlyChangedStatementsPlanOrFailWithoutTrapping() throws {
        let bench = try Self.bench()
        let words = [
            "(", ")", ",", "a", "\"B\"", "c", "s", "v", "f", "=", "?", "1", "'x'", "IN", "AND",
            "token",
            "[", "]", "{", "}", ":", "count", "*", "<", ">", "NULL", "1.5", "0xFF", "now", "t",
            "ks",
            "DESC", "LIMIT", "DISTINCT", "min", "writetime", "CAST", "AS", "text", "-", "true",
        ]
        let seeds = [
            "SELECT a , v FROM t WHERE a = 1 AND \"B\" = 'x' AND c > 1 ORDER BY c DESC LIMIT 1",
            "SELECT DISTINCT a , \"B\" , s FROM t WHERE token ( a , \"B\" ) > 5",
            "SELECT count ( * ) , min ( c ) FROM t WHERE v = 'x' ALLOW FILTERING",
            "SELECT CAST ( c AS text ) , writetime ( v ) FROM t WHERE a IN ( 1 , ? ) AND \"B\" IN ?",
            "INSERT INTO t ( a , \"B\" , c , v ) VALUES ( ? , ? , ? , 'x' ) USING TTL ?",
            "UPDATE t SET v = 'x' , f = 1.5 WHERE a = 1 AND \"B\" = 'x' AND c IN ( 1 , 2 )",
            "DELETE v FROM t WHERE a = 1 AND \"B\" = 'x' AND ( c ) = ( 1 )",
            "SELECT * FROM t WHERE a = 1 AND \"B\" = 'x' AND ( c ) > ( 1 ) AND ( c ) < ?",
        ].map { $0.split(separator: " ").map(String.init) }
        var random = SplitMix(seed: 11)
        var planned = 0
        for _ in 0..<8_000 {
            var tokens = seeds[random.below(seeds.count)]
            for _ in 0..<random.below(4) {
                let place = random.below(tokens.count)
                switch random.below(3) {
                case 0: tokens[place] = words[random.below(words.count)]
                case 1: tokens.insert(words[random.below(words.count)], at: place)
                default: tokens.swapAt(place, random.below(tokens.count))
                }
            }
            let text = tokens.joined(separator: " ")
            do {
                let prepared = try bench.plan(text)
                planned += 1
                try Self.execute(prepared, &random)
            } catch is CQLError {
                continue
            }
        }
        #expect(planned > 500)
    }

    /// Runs a plan with random values; client errors are fine.
    private static func execute(_ prepared: PreparedPlan, _ random: inout SplitMix) throws {
        let values: [[UInt8]?] = prepared.bindMarkers.map { marker in
            switch random.below(4) {
            case 0: return nil
            case 1:
                return (0..<random.below(9)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            default:
                switch marker.type {
                case .int: return int(Int32(random.below(3)))
                case .bigint: return bigint(Int64(random.below(3)))
                case .list(let element, _):
                    return SystemValue.collection(
                        count: 1, [element == .int ? int(1) : text("x")])
                default: return text("x")
                }
            }
        }
        let context = ExecutionContext(timestamp: 1, nowInSeconds: 1)
        try BoundValues.withValues(values) { bound in
            switch prepared.plan {
            case .select(let plan):
                let execution = try SelectExecution(plan, bound, context)
                _ = try execution.nextCommand()
            case .modification(let plan):
                let sink = MutationSink()
                try plan.build(bound, context, into: sink)
                for entry in sink.entries { try MutationView(sink[entry]).validate() }
            default: break
            }
        }
    }

    @Test func malformedReadResultsAreErrorsAndNoTraps() throws {
        var bench = try Bench(
            "CREATE TABLE t (p int, q text, c decimal, s int static, v int, PRIMARY KEY ((p, q), c))"
        )
        for c in 0..<6 {
            try bench.run(
                "INSERT INTO t (p, q, c, s, v) VALUES (1, 'x', ?, 5, \(c))",
                [[0, 0, 0, 1, UInt8(c * 10)]])
        }
        try bench.run("DELETE FROM t WHERE p = 1 AND q = 'x' AND c = 2")
        let prepared = try bench.schema.plan("SELECT *, token(p, q), ttl(v) FROM t".replacingStar)
        guard case .select(let plan) = prepared.plan else { throw Unexpected() }
        let context = bench.context
        var random = SplitMix(seed: 5)
        var failures = 0
        for _ in 0..<3_000 {
            let execution = try SelectExecution(plan, BoundValues(), context, pageSize: 100)
            let next = try execution.nextCommand()
            let command = try #require(next)
            var bytes = try bench.store.read(command)
            for _ in 0...random.below(3) {
                switch random.below(3) {
                case 0: bytes[random.below(bytes.count)] = UInt8(truncatingIfNeeded: random.next())
                case 1: bytes.remove(at: random.below(bytes.count))
                default: bytes.removeLast(random.below(bytes.count / 2))
                }
                if bytes.isEmpty { bytes = [0] }
            }
            do {
                try bytes.withUnsafeBytes { try execution.consume(try ReadResultView($0)) }
                try execution.finish()
            } catch {
                failures += 1
            }
        }
        #expect(failures > 300)
    }

    @Test func statementsWithoutEndAreRefused() {
        let huge = "SELECT a FROM t WHERE a IN (" + String(repeating: "1,", count: 1_100_000) + "1)"
        #expect(throws: CQLError.self) { try Parser.parse(huge) }
    }

    @Test func chainsOfOperatorsAreBounded() throws {
        let bench = try SchemaBench.withKeyspace(
            "CREATE TABLE t (k int PRIMARY KEY, v int, m map<int, int>)")
        for text in [
            "SELECT v" + String(repeating: " + 1", count: 100_000) + " FROM t",
            "SELECT v" + String(repeating: " * 2", count: 100_000) + " FROM t",
            "SELECT m" + String(repeating: "[1]", count: 100_000) + " FROM t",
            "SELECT v" + String(repeating: ".f", count: 100_000) + " FROM t",
            "INSERT INTO t (k, v) VALUES (1, 1" + String(repeating: " + 1", count: 100_000) + ")",
            "SELECT " + String(repeating: "- ", count: 100_000) + "v FROM t",
            "SELECT " + String(repeating: "abs(", count: 100_000) + "v FROM t",
            "SELECT JSON " + String(repeating: "(int)", count: 100_000) + "v FROM t",
        ] {
            #expect(throws: CQLError.self) { try bench.plan(text) }
        }
        // What is allowed is planned in time, at its deepest too.
        _ = try bench.plan("SELECT v" + String(repeating: " + 1", count: 200) + " FROM t")
        _ = try bench.plan(
            "INSERT INTO t (k, v) VALUES (1, 1" + String(repeating: " + 1", count: 200) + ")")
    }

    @Test func aStatementOfAMegabyteIsPlanned() throws {
        var bench = try Bench("CREATE TABLE t (k int PRIMARY KEY, v text)")
        let megabyte = String(repeating: "x", count: 1_000_000)
        try bench.run("INSERT INTO t (k, v) VALUES (1, '\(megabyte)')")
        #expect(try bench.run("SELECT v FROM t WHERE k = 1")[0].utf8.count == 1_000_000)
        let keys = (0..<100_000).map { "\($0 % 500)" }.joined(separator: ",")
        #expect(try bench.run("SELECT k FROM t WHERE k IN (\(keys))") == ["1"])
    }

    @Test func productsOfListsAreBounded() throws {
        let bench = try Bench("CREATE TABLE t (p int, c int, v int, PRIMARY KEY (p, c))")
        let list = (0..<300).map(String.init).joined(separator: ",")
        let prepared = try bench.schema.plan(
            "UPDATE t SET v = 1 WHERE p IN (\(list)) AND c IN (\(list))")
        guard case .modification(let plan) = prepared.plan else { throw Unexpected() }
        #expect(throws: CQLError.self) {
            try plan.build(BoundValues(), bench.context, into: MutationSink())
        }
    }
}

extension String {
    /// `*` stands alone in a select list.
    fileprivate var replacingStar: String {
        split(separator: "*", omittingEmptySubsequences: false).joined(separator: "p, q, c, s, v")
    }
}
