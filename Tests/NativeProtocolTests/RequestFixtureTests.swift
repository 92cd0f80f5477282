// Requests that the Python driver encoded (Fixtures/native-protocol/requests.txt): decoded by the
// server's side field by field, and encoded by our client's side to the same bytes.

import Encoding
import Model
import NativeProtocol
import Testing

@Suite struct RequestFixtureTests {
    private struct Fixture {
        let name: String
        let version: ProtocolVersion
        let framing: Framing
        let bytes: [UInt8]
    }

    private func load() throws -> [Fixture] {
        try fixtureLines("requests.txt").map { fields in
            let version = try #require(UInt8(fields[1]).flatMap(ProtocolVersion.init(rawValue:)))
            let framing: Framing =
                switch fields[2] {
                case "lz4": .plain(.lz4)
                case "segment": .segments(compressed: false)
                case "segment-lz4": .segments(compressed: true)
                default: .plain(nil)
                }
            return Fixture(
                name: fields[0], version: version, framing: framing, bytes: bytes(hex: fields[3]))
        }
    }

    private func frame(_ fixture: Fixture) throws -> OwnedFrame {
        let decoder = FrameDecoder(side: .server)
        decoder.framing = fixture.framing
        let frames = try decode([fixture.bytes], with: decoder)
        #expect(frames.count == 1)
        let frame = try #require(frames.first)
        #expect(frame.header.stream == 7)
        #expect(frame.header.version == fixture.version)
        return frame
    }

    @Test func driversRequestsAreReadFieldByField() throws {
        let all = try load()
        #expect(all.count >= 50)
        for fixture in all {
            try frame(fixture).withFrame { frame in
                try check(fixture, frame)
            }
        }
    }

    private func check(_ fixture: Fixture, _ frame: Frame) throws {
        let version = fixture.version
        let body = try frame.requestBody()
        var parameters = QueryParameters()
        switch fixture.name {
        case "options":
            #expect(frame.header.opcode == .options && body.isEmpty)
        case "startup":
            let startup = try StartupRequest(body)
            #expect(startup["CQL_VERSION"] == "3.4.7")
            #expect(startup["DRIVER_NAME"] == "fixture")
            #expect(startup["CLIENT_ID"] == nil)
            #expect(try startup.compression(version) == .lz4)
        case "auth_response":
            let (user, password) = try AuthResponseRequest(body).plainCredentials()
            #expect(user == "user" && password == "secret")
        case "register":
            let events = try RegisterRequest(body).events
            #expect(events == [.topologyChange, .statusChange, .schemaChange])
        case "prepare", "prepare_keyspace":
            let prepare = try PrepareRequest(body, version)
            #expect(try prepare.text.string() == "SELECT v FROM t WHERE k = ?")
            #expect(prepare.keyspace == (fixture.name == "prepare" ? nil : "ks"))
        case "query":
            let query = try QueryRequest(body, version, parameters: &parameters)
            #expect(try query.text.string() == "SELECT * FROM system.local")
            #expect(parameters.consistency == .one && parameters.values.isEmpty)
            #expect(parameters.pageSize == nil && parameters.timestamp == nil)
        case "query_all":
            let query = try QueryRequest(body, version, parameters: &parameters)
            #expect(try query.text.string() == "SELECT * FROM ü")
            #expect(parameters.consistency == .quorum)
            #expect(parameters.serialConsistency == .localSerial)
            #expect(parameters.pageSize == 100)
            #expect(parameters.pagingState.map { Array($0) } == [1, 2, 3])
            #expect(parameters.timestamp == 1_234_567_890_123_456)
            #expect(parameters.keyspace == (version >= .v5 ? "ks" : nil))
        case "execute":
            let execute = try ExecuteRequest(body, version, parameters: &parameters)
            #expect(Array(execute.preparedID) == [UInt8](repeating: 0xAA, count: 16))
            let expected = version >= .v5 ? [UInt8](repeating: 0xBB, count: 16) : nil
            #expect(execute.resultMetadataID.map { Array($0) } == expected)
            #expect(!parameters.skipsMetadata && parameters.pageSize == 5000)
            #expect(parameters.timestamp == 5 && parameters.consistency == .localQuorum)
            checkValues(parameters.values, version)
        case "batch":
            let batch = try BatchRequest(body, version, parameters: &parameters)
            #expect(batch.kind == .unlogged && batch.statements.count == 2)
            #expect(parameters.consistency == .localOne && parameters.timestamp == 77)
            #expect(parameters.keyspace == (version >= .v5 ? "ks" : nil))
            guard case .text(let text) = batch.statements[0].statement,
                case .prepared(let id) = batch.statements[1].statement
            else {
                Issue.record("statements of another kind")
                return
            }
            #expect(try text.string() == "INSERT INTO t (k) VALUES (1)")
            #expect(Array(id) == [UInt8](repeating: 0xCC, count: 16))
            #expect(batch.statements[0].values.isEmpty)
            let values = parameters.values.slice(batch.statements[1].values)
            #expect(values.count == 2)
            #expect(values.bytes(at: 0).map { Array($0) } == Array("a".utf8))
            #expect(values.bytes(at: 1) == nil)
        case "query_repeated_2000", "query_repeated_300000":
            let count = fixture.name == "query_repeated_2000" ? 2000 : 300_000
            let query = try QueryRequest(body, version, parameters: &parameters)
            #expect(query.text.bytes.count == count + 16)
        default:
            Issue.record("no check for fixture \(fixture.name)")
        }
    }

    private func checkValues(_ values: BoundValues, _ version: ProtocolVersion) {
        #expect(values.count == 4)
        #expect(values.bytes(at: 0).map { Array($0) } == Array("key".utf8))
        guard case .null = values[1], case .bytes(let empty) = values[3] else {
            Issue.record("null or empty read as something else")
            return
        }
        #expect(empty.isEmpty)
        switch values[2] {
        case .unset: #expect(version >= .v4)
        case .null: #expect(version == .v3)
        case .bytes: Issue.record("unset read as bytes")
        }
    }

    @Test func ourClientEncodesTheSameBytes() throws {
        for fixture in try load() where fixture.framing == .plain(nil) {
            let version = fixture.version
            let ours = encoded(.client) { encoder in
                write(fixture.name, version, encoder)
            }
            #expect(hex(ours) == hex(fixture.bytes), "\(fixture.name) \(version)")
        }
    }

    private func write(_ name: String, _ version: ProtocolVersion, _ encoder: FrameEncoder) {
        let keyspace = version >= .v5 ? "ks" : nil
        let statement = "SELECT v FROM t WHERE k = ?"
        switch name {
        case "options": encoder.options(version, stream: 7)
        case "startup":
            encoder.startup(
                version, stream: 7,
                [("COMPRESSION", "lz4"), ("DRIVER_NAME", "fixture"), ("CQL_VERSION", "3.4.7")])
        case "auth_response":
            encoder.authResponse(version, stream: 7, token: Array("\0user\0secret".utf8))
        case "register": encoder.register(version, stream: 7, EventType.allCases)
        case "prepare": encoder.prepare(version, stream: 7, statement)
        case "prepare_keyspace": encoder.prepare(version, stream: 7, statement, keyspace: "ks")
        case "query": encoder.query(version, stream: 7, "SELECT * FROM system.local")
        case "query_all":
            encoder.query(
                version, stream: 7, "SELECT * FROM ü",
                QueryOptions(
                    consistency: .quorum, serialConsistency: .localSerial, pageSize: 100,
                    pagingState: [1, 2, 3], timestamp: 1_234_567_890_123_456, keyspace: keyspace))
        case "execute":
            encoder.execute(
                version, stream: 7, preparedID: [UInt8](repeating: 0xAA, count: 16),
                resultMetadataID: [UInt8](repeating: 0xBB, count: 16),
                QueryOptions(
                    consistency: .localQuorum,
                    values: [
                        .bytes(Array("key".utf8)), .null, version >= .v4 ? .unset : .null,
                        .bytes([]),
                    ], pageSize: 5000, timestamp: 5))
        case "batch":
            encoder.batch(
                version, stream: 7, .unlogged,
                [
                    BatchItem(.text("INSERT INTO t (k) VALUES (1)")),
                    BatchItem(
                        .prepared(id: [UInt8](repeating: 0xCC, count: 16)),
                        values: [.bytes(Array("a".utf8)), .null]),
                ],
                QueryOptions(
                    consistency: .localOne, serialConsistency: .serial, timestamp: 77,
                    keyspace: keyspace))
        default: Issue.record("no encoding for fixture \(name)")
        }
    }

    @Test func ourSegmentsAreTheDriversWhereNothingIsCompressed() throws {
        for fixture in try load() where fixture.framing == .segments(compressed: false) {
            let ours = encoded(.client, fixture.framing) {
                write(fixture.name, fixture.version, $0)
            }
            #expect(hex(ours) == hex(fixture.bytes), "\(fixture.name)")
        }
    }
}
