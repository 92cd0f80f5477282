// Point selects: answered on the spot, by another shard of the node, or the general way, and alike.
//
// A shard is stepped by hand, so that it is seen what one step answers and what it asks others.

import Encoding
import Environment
import Model
import NativeProtocol
import PeerProtocol
import Testing

@testable import NodeLogic
@testable import Simulation
@testable import Topology

@Suite struct PointReadTests {
    private static let statements = [
        "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
        "CREATE TABLE ks.t (k int PRIMARY KEY, v text)",
        "CREATE TABLE ks.w (k int, c int, v text, s text static, PRIMARY KEY (k, c))"
            + " WITH CLUSTERING ORDER BY (c DESC)",
    ]
    private static let select = "SELECT v FROM ks.t WHERE k = ?"

    /// A bench whose shard is the first of two, and a connection to it.
    private static func bench() throws -> ShardBench {
        let bench = try ShardBench(shards: 2, statements: statements)
        bench.open(1)
        try bench.step()
        clear(bench)
        return bench
    }

    private static func clear(_ bench: ShardBench) {
        bench.answers = [:]
        bench.responses = [:]
        bench.shardMessages = []
    }

    /// The first key that the shard of two owns.
    private static func key(ofShard shard: Int) throws -> [UInt8] {
        let keys = (0..<Int32(100)).map { value in
            withUnsafeBytes(of: value.bigEndian) { Array($0) }
        }
        return try #require(
            keys.first { ShardMap.shard(of: Token.of($0), count: 2) == ShardIndex(shard) })
    }

    /// What the other shard was asked.
    private static func questions(_ bench: ShardBench) -> [[UInt8]] {
        bench.shardMessages.filter { $0.first == PeerEnvelope.magic }
    }

    private static func ask(
        _ bench: ShardBench, _ key: [UInt8], _ level: ConsistencyLevel = .one, stream: Int16 = 1
    ) throws {
        bench.send(1) {
            $0.query(
                .v4, stream: stream, select,
                QueryOptions(consistency: level, values: [.bytes(key)]))
        }
        try bench.step()
    }

    /// Executes a statement in a step of its own; its values are four bytes each.
    private static func run(
        _ bench: ShardBench, _ text: String, _ values: [[UInt8]] = []
    ) throws {
        bench.send(1) {
            $0.query(
                .v4, stream: 1, text, QueryOptions(values: values.map { .bytes($0) }))
        }
        try bench.step()
    }

    private static func int(_ value: Int32) -> [UInt8] {
        withUnsafeBytes(of: value.bigEndian) { Array($0) }
    }

    /// All values of the answer to a select that its step answers.
    private static func rows(
        _ bench: ShardBench, _ text: String, _ values: [[UInt8]]
    ) throws -> [[[UInt8]?]] {
        clear(bench)
        try run(bench, text, values)
        guard case .rows(let rows)? = bench.responses[1]?.first else {
            Issue.record("no rows: \(String(describing: bench.responses[1]))")
            return []
        }
        return (0..<rows.rowCount).map { row in
            (0..<rows.columnCount).map { rows.value(row: row, column: $0) }
        }
    }

    @Test func aRowAmongOthersIsAnsweredInTheStepThatAsks() throws {
        let bench = try Self.bench()
        let key = try Self.key(ofShard: 0)
        let select = "SELECT v FROM ks.w WHERE k = ? AND c = ?"
        for place in Int32(1)...40 {
            try Self.run(
                bench, "INSERT INTO ks.w (k, c, v) VALUES (?, ?, 'v\(place)')",
                [key, Self.int(place)])
        }
        let before = bench.shard.completedCounts
        #expect(try Self.rows(bench, select, [key, Self.int(17)]) == [[Array("v17".utf8)]])
        #expect(try Self.rows(bench, select, [key, Self.int(41)]) == [])
        #expect(bench.shard.completedCounts.reads == before.reads + 2)
        #expect(Self.questions(bench).isEmpty)
        #expect(bench.shard.requestBytes == 0)
    }

    /// What the short way says is what the general one does, which answers IN.
    @Test(arguments: 1...4)
    func aRowAmongOthersIsAnsweredAsByTheGeneralWay(seed: Int) throws {
        let bench = try Self.bench()
        let key = try Self.key(ofShard: 0)
        var random = RandomStream(seed: UInt64(seed), name: "rows")
        for _ in 0..<150 {
            let place = Self.int(Int32(random.below(4)))
            let row = "WHERE k = ? AND c = ?"
            switch random.below(9) {
            case 0, 1:
                try Self.run(
                    bench, "INSERT INTO ks.w (k, c, v) VALUES (?, ?, 'v\(random.below(100))')",
                    [key, place])
            case 2:
                try Self.run(
                    bench, "UPDATE ks.w USING TTL 2 SET v = 't\(random.below(9))' \(row)",
                    [key, place])
            case 3: try Self.run(bench, "DELETE v FROM ks.w \(row)", [key, place])
            case 4: try Self.run(bench, "DELETE FROM ks.w \(row)", [key, place])
            case 5 where random.below(4) == 0:
                try Self.run(bench, "DELETE FROM ks.w WHERE k = ? AND c > ?", [key, place])
            case 6 where random.below(4) == 0:
                try Self.run(
                    bench, "UPDATE ks.w SET s = 's\(random.below(100))' WHERE k = ?", [key])
            case 7 where random.below(8) == 0:
                try Self.run(bench, "DELETE FROM ks.w WHERE k = ?", [key])
            default: bench.pass(.milliseconds(700))
            }
            let asked = Self.int(Int32(random.below(4)))
            for columns in ["v", "s, c, v, k"] {
                let select = "SELECT \(columns) FROM ks.w WHERE k = ? AND c"
                let found = try Self.rows(bench, select + " = ?", [key, asked])
                #expect(try found == Self.rows(bench, select + " IN (?, ?)", [key, asked, asked]))
            }
        }
    }

    @Test func aRowAmongOthersOfAnotherShardIsAskedForAloneAndOnce() throws {
        let bench = try Self.bench()
        let key = try Self.key(ofShard: 1)
        try Self.run(bench, "SELECT v FROM ks.w WHERE k = ? AND c = ?", [key, Self.int(2)])
        #expect(bench.responses[1] == nil)
        #expect(bench.shard.forwarded.count == 1)
        let asked = try #require(Self.questions(bench).last)
        let command = try asked.withUnsafeBytes { raw in
            let (_, body) = try PeerEnvelope.decode(raw)
            var reader = ByteReader(try ReadRequest(body).command)
            return try ReadCommand(from: &reader)
        }
        let row = try #require(command.onlyRow)
        try Self.result(bench, key, "there", table: "w", row: row).withUnsafeBytes {
            try Self.answer(bench, .data($0))
        }
        #expect(Self.values(bench) == [[Array("there".utf8)]])
        #expect(Self.questions(bench).count == 1)
        #expect(bench.shard.forwarded.isEmpty)
    }

    /// The values of the only column of the answers so far.
    private static func values(_ bench: ShardBench) -> [[[UInt8]?]] {
        (bench.responses[1] ?? []).map { message in
            guard case .rows(let rows) = message else { return [] }
            return (0..<rows.rowCount).map { rows.value(row: $0, column: 0) }
        }
    }

    @Test(arguments: [ConsistencyLevel.one, .localOne, .quorum, .localQuorum, .all])
    func aRowInMemoryIsAnsweredInTheStepThatAsks(level: ConsistencyLevel) throws {
        let bench = try Self.bench()
        let key = try Self.key(ofShard: 0)
        try Self.ask(bench, key, level)
        #expect(Self.values(bench) == [[]], "there is no row yet")
        bench.send(1) {
            $0.query(
                .v4, stream: 1, "INSERT INTO ks.t (k, v) VALUES (?, 'x')",
                QueryOptions(values: [.bytes(key)]))
        }
        try bench.step()
        Self.clear(bench)
        let before = bench.shard.completedCounts
        try Self.ask(bench, key, level)
        #expect(Self.values(bench) == [[[UInt8(ascii: "x")]]])
        #expect(Self.questions(bench).isEmpty)
        #expect(bench.shard.completedCounts.reads == before.reads + 1)
        #expect(bench.shard.completedCounts.requests == before.requests + 1)
        #expect(bench.shard.requestBytes == 0)
    }

    @Test func moreReplicasThanThereAreAreRefused() throws {
        let bench = try Self.bench()
        for level in [ConsistencyLevel.two, .three] {
            Self.clear(bench)
            try Self.ask(bench, try Self.key(ofShard: 0), level)
            guard case .error(let answer)? = bench.responses[1]?.first,
                case .unavailable = answer.error
            else {
                Issue.record("\(level) is answered")
                continue
            }
        }
    }

    /// The answer of the other shard to the last message that it got.
    private static func answer(_ bench: ShardBench, _ response: ReadResponse) throws {
        let asked = try #require(Self.questions(bench).last)
        var (header, _) = try asked.withUnsafeBytes { try PeerEnvelope.decode($0) }
        #expect(header.kind == .read)
        header.kind = .readResponse
        header.senderShard = ShardIndex(1)
        let writer = ByteWriter()
        let start = PeerEnvelope.begin(header, into: writer)
        response.encode(into: writer)
        _ = try #require(PeerEnvelope.end(start, in: writer))
        bench.sendShard(writer.bytes, from: ShardIndex(1))
        try bench.step()
    }

    /// A read result with the row of that key.
    private static func result(
        _ bench: ShardBench, _ key: [UInt8], _ value: String, table name: String = "t",
        row place: [UInt8]? = nil
    ) throws -> [UInt8] {
        let table = try #require(
            bench.shard.cluster.schema.keyspaces.first { $0.name == "ks" }?.table(named: name))
        let column = table.regulars[0].id.value
        let writer = ByteWriter()
        let start = ReadResultWriter.begin(into: writer)
        let row = ByteWriter()
        var rowWriter = RowWriter()
        rowWriter.begin(
            liveness: Liveness(timestamp: 5, timeToLive: 0, expiresAt: 0), deletion: .none,
            baseTimestamp: 5, into: row)
        Array(value.utf8).withUnsafeBytes {
            rowWriter.append(Cell(column: column, flags: [], timestamp: 5, value: $0), into: row)
        }
        let clustering = ByteWriter()
        if let place { clustering.append(place) }
        if place == nil { ClusteringKey.appendTerminator(into: clustering) }
        let partition = ByteWriter()
        PartitionWriter.begin(into: partition)
        PartitionWriter.append(key: clustering.bytes, row: row.bytes, into: partition)
        key.withUnsafeBytes {
            ReadResultWriter.append(
                token: Token.of(key).value, key: $0, partition: partition.bytes, into: writer)
        }
        ReadResultWriter.finish(start: start, isExhausted: true, into: writer)
        return writer.array
    }

    @Test func aRowOfAnotherShardIsAskedForOnceAndAnswered() throws {
        let bench = try Self.bench()
        let key = try Self.key(ofShard: 1)
        try Self.ask(bench, key)
        #expect(bench.responses[1] == nil)
        #expect(Self.questions(bench).count == 1)
        #expect(bench.shard.forwarded.count == 1)
        try Self.result(bench, key, "there").withUnsafeBytes { try Self.answer(bench, .data($0)) }
        #expect(Self.values(bench) == [[Array("there".utf8)]])
        #expect(bench.shard.forwarded.isEmpty)
        #expect(bench.shard.requestBytes == 0)
    }

    @Test func aShardThatCannotReadIsAskedAgainAndItsFailureTold() throws {
        let bench = try Self.bench()
        try Self.ask(bench, try Self.key(ofShard: 1))
        try Self.answer(bench, .failed(.unknown))
        #expect(bench.responses[1] == nil)
        #expect(Self.questions(bench).count == 2)
        try Self.answer(bench, .failed(.unknown))
        guard case .error(let answer)? = bench.responses[1]?.first,
            case .readFailure = answer.error
        else {
            Issue.record("no failure: \(String(describing: bench.responses[1]))")
            return
        }
        #expect(bench.shard.reads.isEmpty)
    }

    @Test func aShardThatIsSilentIsATimeoutAndItsLateAnswerIsNobodys() throws {
        let bench = try Self.bench()
        let key = try Self.key(ofShard: 1)
        try Self.ask(bench, key)
        bench.pass(bench.shard.configuration.requests.readTimeout)
        bench.pass(.milliseconds(1))
        try bench.step()
        guard case .error(let answer)? = bench.responses[1]?.first,
            case .readTimeout = answer.error
        else {
            Issue.record("no timeout: \(String(describing: bench.responses[1]))")
            return
        }
        #expect(bench.shard.forwarded.isEmpty)
        try Self.result(bench, key, "late").withUnsafeBytes { try Self.answer(bench, .data($0)) }
        #expect(bench.responses[1]?.count == 1)
    }

    @Test func anAnswerAboutAnotherRowIsAnError() throws {
        let bench = try Self.bench()
        try Self.ask(bench, try Self.key(ofShard: 1))
        let other = try Self.key(ofShard: 0)
        try Self.result(bench, other, "other").withUnsafeBytes { try Self.answer(bench, .data($0)) }
        guard case .error(let answer)? = bench.responses[1]?.first,
            case .serverError = answer.error
        else {
            Issue.record("it is shown: \(String(describing: bench.responses[1]))")
            return
        }
    }

    @Test func aRequestThatIsUnderWayKeepsItsObject() throws {
        let bench = try Self.bench()
        let (own, other) = (try Self.key(ofShard: 0), try Self.key(ofShard: 1))
        try Self.ask(bench, other, stream: 7)
        try Self.ask(bench, own, stream: 8)
        try Self.ask(bench, own, stream: 9)
        #expect(bench.answers[1]?.count == 2)
        try Self.result(bench, other, "first").withUnsafeBytes { try Self.answer(bench, .data($0)) }
        #expect(Self.values(bench) == [[], [], [Array("first".utf8)]])
    }
}
