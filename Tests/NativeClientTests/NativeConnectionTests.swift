// The client against a server on the loopback interface.

import Encoding
import Model
import NIOCore
import NIOPosix
import NativeProtocol
import Testing

@testable import NativeClient

@Suite struct NativeConnectionTests {
    private static let columns = RowsMetadata([
        ColumnSpecification(keyspace: "ks", table: "t", name: "v", type: .text)
    ])

    /// Answers a QUERY with one row that holds its text.
    private static let echo: Answer = { frame, encoder in
        var parameters = QueryParameters()
        let version = frame.header.version
        guard frame.header.opcode == .query,
            let query = try? QueryRequest(frame.body, version, parameters: &parameters)
        else {
            encoder.error(version, stream: frame.header.stream, .invalid("no query"))
            return .stay
        }
        var rows = RowsWriter(encoder, version, stream: frame.header.stream, columns)
        rows.append(query.text.bytes)
        rows.endRow()
        rows.finish()
        return .stay
    }

    private func withServer(
        highestVersion: ProtocolVersion = .v5, authenticator: String? = nil,
        answer: @escaping Answer,
        _ body: (FakeServer, MultiThreadedEventLoopGroup) async throws -> Void
    ) async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let server = try await FakeServer(
            on: group, highestVersion: highestVersion, authenticator: authenticator, answer)
        do {
            try await body(server, group)
        } catch {
            try await server.stop()
            try await group.shutdownGracefully()
            throw error
        }
        try await server.stop()
        try await group.shutdownGracefully()
    }

    private func text(_ response: Response) -> String? {
        guard case .rows(let rows) = response.message, rows.rowCount == 1 else { return nil }
        return rows.value(row: 0, column: 0).map { String(decoding: $0, as: UTF8.self) }
    }

    @Test func queriesAreAnsweredInEveryVersionAndCompression() async throws {
        try await withServer(answer: Self.echo) { server, group in
            for version in ProtocolVersion.allCases {
                for compression in [nil, CompressionAlgorithm.lz4, .snappy] {
                    var options = ConnectionOptions()
                    options.version = version
                    options.compression = compression
                    let connection = try await NativeConnection.connect(
                        host: "127.0.0.1", port: server.port, options, on: group)
                    #expect(connection.version == version)
                    for length in [1, 2000, 300_000] {
                        let query = String(repeating: "x", count: length)
                        #expect(try await text(connection.query(query)) == query)
                    }
                    try await connection.close()
                }
            }
        }
    }

    @Test func clientStepsDownToWhatTheServerSpeaks() async throws {
        for highest in [ProtocolVersion.v3, .v4] {
            try await withServer(highestVersion: highest, answer: Self.echo) { server, group in
                let connection = try await NativeConnection.connect(
                    host: "127.0.0.1", port: server.port, on: group)
                #expect(connection.version == highest)
                #expect(try await text(connection.query("q")) == "q")
                try await connection.close()
            }
        }
    }

    @Test func manyRequestsAtATimeGetTheirOwnAnswers() async throws {
        try await withServer(answer: Self.echo) { server, group in
            let connection = try await NativeConnection.connect(
                host: "127.0.0.1", port: server.port, on: group)
            try await withThrowingTaskGroup(of: Bool.self) { tasks in
                for index in 0..<2000 {
                    tasks.addTask {
                        let response = try await connection.query("query \(index)")
                        return text(response) == "query \(index)"
                    }
                }
                for try await isRight in tasks { #expect(isRight) }
            }
            try await connection.close()
        }
    }

    @Test func credentialsAreSentAndAskedFor() async throws {
        try await withServer(authenticator: "auth.Class", answer: Self.echo) { server, group in
            func connect(_ user: String?, _ password: String?) async throws -> NativeConnection {
                var options = ConnectionOptions()
                options.user = user
                options.password = password
                return try await NativeConnection.connect(
                    host: "127.0.0.1", port: server.port, options, on: group)
            }
            try await connect("cassandra", "secret").close()
            await #expect(throws: ErrorAnswer(code: 0x0100, error: .badCredentials("wrong"))) {
                _ = try await connect("cassandra", "guess")
            }
            await #expect(throws: ClientError.credentialsNeeded(authenticator: "auth.Class")) {
                _ = try await connect(nil, nil)
            }
        }
    }

    @Test func errorsOfTheServerAreThrown() async throws {
        try await withServer(answer: { frame, encoder in
            encoder.error(frame.header.version, stream: frame.header.stream, .invalid("no table"))
            return .stay
        }) { server, group in
            let connection = try await NativeConnection.connect(
                host: "127.0.0.1", port: server.port, on: group)
            await #expect(throws: ErrorAnswer(code: 0x2200, error: .invalid("no table"))) {
                _ = try await connection.query("q")
            }
            try await connection.close()
        }
    }

    @Test func silenceEndsInATimeoutAndALateAnswerHarmsNobody() async throws {
        // The first request is answered only together with another one.
        try await withServer(answer: { frame, encoder in
            var parameters = QueryParameters()
            let version = frame.header.version
            let query = try? QueryRequest(frame.body, version, parameters: &parameters)
            switch try? query?.text.string() {
            case "first": return .stay
            case "late": encoder.void(version, stream: 0)
            default: break
            }
            return Self.echo(frame, encoder)
        }) { server, group in
            var options = ConnectionOptions()
            options.requestTimeout = .milliseconds(50)
            let connection = try await untilInTime {
                try await NativeConnection.connect(
                    host: "127.0.0.1", port: server.port, options, on: group)
            }
            await #expect(throws: ClientError.timedOut(milliseconds: 50)) {
                _ = try await connection.query("first")
            }
            do {
                _ = try await connection.query("late")
            } catch ClientError.timedOut {
                // Then two answers come late.
            }
            for query in ["second", "third"] {
                let response = try await untilInTime { try await connection.query(query) }
                #expect(text(response) == query)
            }
            try await connection.close()
        }
    }

    /// Does it again while the machine is too slow for the time limit.
    private func untilInTime<Result>(_ action: () async throws -> Result) async throws -> Result {
        for _ in 0..<1_000 {
            do {
                return try await action()
            } catch ClientError.timedOut { continue }
        }
        return try await action()
    }

    /// The option has the number of another one, which only root may set, at the level of sockets.
    @Test func requestsAreSentAtOnceAndTheSocketIsOneThatEveryoneMayHave() async throws {
        try await withServer(answer: Self.echo) { server, group in
            let connection = try await NativeConnection.connect(
                host: "127.0.0.1", port: server.port, on: group)
            let isSentAtOnce = try await connection.channel
                .getOption(.tcpOption(.tcp_nodelay)).get()
            #expect(isSentAtOnce != 0)
            let isDebugged = try await connection.channel
                .getOption(.socketOption(.tcp_nodelay)).get()
            #expect(isDebugged == 0)
            try await connection.close()
        }
    }

    @Test func requestsOfABrokenConnectionFail() async throws {
        try await withServer(answer: { _, _ in .close }) { server, group in
            let connection = try await NativeConnection.connect(
                host: "127.0.0.1", port: server.port, on: group)
            for _ in 0..<2 {
                await #expect(throws: ClientError.closed("the server ended the connection")) {
                    _ = try await connection.query("q")
                }
            }
            try await connection.close()
        }
    }

    @Test func answersThatNobodyAskedForEndTheConnection() async throws {
        try await withServer(answer: { frame, encoder in
            encoder.void(frame.header.version, stream: 77)
            return .stay
        }) { server, group in
            let connection = try await NativeConnection.connect(
                host: "127.0.0.1", port: server.port, on: group)
            do {
                _ = try await connection.query("q")
                Issue.record("nothing thrown")
            } catch ClientError.unexpectedAnswer(let what) {
                #expect(what.contains("stream 77"))
            }
        }
    }

    @Test func eventsReachTheClient() async throws {
        let event = ServerEvent.schema(SchemaChange(.created, keyspace: "ks", .keyspace))
        try await withServer(answer: { frame, encoder in
            encoder.ready(frame.header.version, stream: frame.header.stream)
            encoder.event(frame.header.version, event)
            return .stay
        }) { server, group in
            let connection = try await NativeConnection.connect(
                host: "127.0.0.1", port: server.port, on: group)
            try await connection.register([.schemaChange])
            var iterator = connection.events.makeAsyncIterator()
            #expect(await iterator.next() == event)
            try await connection.close()
            #expect(await iterator.next() == nil)
        }
    }

    @Test func preparedStatementsCarryTheirIDs() async throws {
        try await withServer(answer: { frame, encoder in
            let (version, stream) = (frame.header.version, frame.header.stream)
            switch frame.header.opcode {
            case .prepare:
                encoder.prepared(
                    version, stream: stream,
                    PreparedAnswer(
                        id: [1, 2, 3], markers: Self.columns, partitionKeyMarkers: [0],
                        columns: Self.columns))
            case .execute:
                var parameters = QueryParameters()
                guard
                    let request = try? ExecuteRequest(
                        frame.body, version, parameters: &parameters),
                    Array(request.preparedID) == [1, 2, 3], parameters.values.count == 1,
                    request.resultMetadataID.map({ Array($0) == Self.columns.id }) ?? true
                else { fallthrough }
                var rows = RowsWriter(
                    encoder, version, stream: stream, Self.columns,
                    skipMetadata: parameters.skipsMetadata)
                rows.append(parameters.values.bytes(at: 0))
                rows.endRow()
                rows.finish()
            default: encoder.error(version, stream: stream, .invalid("not so"))
            }
            return .stay
        }) { server, group in
            let connection = try await NativeConnection.connect(
                host: "127.0.0.1", port: server.port, on: group)
            let prepared = try await connection.prepare("SELECT v FROM t WHERE k = ?")
            #expect(prepared.markers == Self.columns.columns)
            let response = try await connection.execute(
                prepared,
                QueryOptions(values: [.bytes(Array("bound".utf8))], skipMetadata: true))
            #expect(text(response) == "bound")
            try await connection.close()
        }
    }

    @Test func nobodyListeningIsSaidPlainly() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let server = try await FakeServer(on: group, Self.echo)
        try await server.stop()
        do {
            _ = try await NativeConnection.connect(host: "127.0.0.1", port: server.port, on: group)
            Issue.record("connected to nobody")
        } catch ClientError.cannotConnect(let reason, let code) {
            #expect(reason == "127.0.0.1:\(server.port): Connection refused")
            #expect(code != nil)
        }
        try await group.shutdownGracefully()
    }
}
