// A connection to one node, for the shell, the lab and the tests. Not a driver: it knows one node,
// keeps no pool and retries nothing.
//
//     let connection = try await NativeConnection.connect(host: "127.0.0.1", port: 9042, on: group)
//     let response = try await connection.query("SELECT * FROM system.local")
//     try await connection.close()
//
// Any number of requests may be under way at a time. A request whose connection breaks or whose time
// runs out has an unknown result, and the error says so.

internal import Encoding
internal import Model
package import NIOCore
internal import NIOPosix
package import NativeProtocol

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// How to connect.
package struct ConnectionOptions: Sendable {
    /// The version to try first; lower ones follow if the server does not speak it.
    package var version = ProtocolVersion.v5
    /// The version of CQL that the server must support; nil takes any.
    package var cqlVersion: String?
    package var compression: CompressionAlgorithm?
    package var user: String?
    package var password: String?
    package var connectTimeout = Duration.seconds(5)
    /// For each request; nil waits for ever.
    package var requestTimeout: Duration? = .seconds(20)
    /// What the server shows about this client.
    package var driverName = "Coterie client"

    package init() {}
}

/// A connection whose handshake is done.
package final class NativeConnection: Sendable {
    package let version: ProtocolVersion
    package let host: String
    package let port: Int
    /// What the server pushes after `register`; may be iterated once. The newest 1,000 are kept.
    package let events: AsyncStream<ServerEvent>

    let channel: any Channel
    private let handler: NIOLoopBound<ClientHandler>
    private let requestTimeout: TimeAmount?

    private init(
        host: String, port: Int, version: ProtocolVersion, channel: any Channel,
        handler: NIOLoopBound<ClientHandler>, events: AsyncStream<ServerEvent>,
        requestTimeout: TimeAmount?
    ) {
        self.host = host
        self.port = port
        self.version = version
        self.channel = channel
        self.handler = handler
        self.events = events
        self.requestTimeout = requestTimeout
    }

    /// Connects and shakes hands; throws `ClientError`, or `ErrorAnswer` if the server refuses.
    package static func connect(
        host: String, port: Int, _ options: ConnectionOptions = ConnectionOptions(),
        on group: any EventLoopGroup
    ) async throws -> NativeConnection {
        var version = options.version
        while true {
            let connection = try await open(host, port, version, options, group)
            do {
                try await connection.handshake(options)
                return connection
            } catch let answer as ErrorAnswer {
                await connection.closeQuietly()
                guard isVersionRefusal(answer),
                    let lower = ProtocolVersion(rawValue: version.rawValue - 1)
                else { throw answer }
                version = lower
            } catch {
                await connection.closeQuietly()
                throw error
            }
        }
    }

    private static func isVersionRefusal(_ answer: ErrorAnswer) -> Bool {
        guard case .protocolError(let text) = answer.error else { return false }
        return text.lowercased().contains("unsupported protocol version")
    }

    private static func open(
        _ host: String, _ port: Int, _ version: ProtocolVersion, _ options: ConnectionOptions,
        _ group: any EventLoopGroup
    ) async throws -> NativeConnection {
        // v5's segments know only lz4, and a version below is another connection with its own choice.
        let compression =
            version >= .v5 && options.compression == .snappy ? nil : options.compression
        let (events, continuation) = AsyncStream.makeStream(
            of: ServerEvent.self, bufferingPolicy: .bufferingNewest(1000))
        let loop = group.next()
        let bootstrap = ClientBootstrap(group: loop)
            .connectTimeout(TimeAmount(options.connectTimeout))
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        ClientHandler(
                            version: version, compression: compression, events: continuation))
                }
            }
        do {
            let channel = try await bootstrap.connect(host: host, port: port).get()
            let handler = try await loop.submit {
                NIOLoopBound(
                    try channel.pipeline.syncOperations.handler(type: ClientHandler.self),
                    eventLoop: loop)
            }.get()
            return NativeConnection(
                host: host, port: port, version: version, channel: channel, handler: handler,
                events: events, requestTimeout: options.requestTimeout.map { TimeAmount($0) })
        } catch {
            throw ClientError.cannotConnect(
                "\(host):\(port): \(describe(error))", systemError: systemError(error))
        }
    }

    /// The system's number for why there is no connection.
    private static func systemError(_ error: any Error) -> Int32? {
        if let failed = error as? NIOConnectionError {
            return failed.connectionErrors.first.flatMap { systemError($0.error) }
        }
        return (error as? IOError)?.errnoCode
    }

    private static func describe(_ error: any Error) -> String {
        if let failed = error as? NIOConnectionError {
            if let first = failed.connectionErrors.first { return describe(first.error) }
            return "the host name cannot be resolved"
        }
        if let system = error as? IOError { return String(cString: strerror(system.errnoCode)) }
        if case ChannelError.connectTimeout(let time) = error {
            return "no answer within \(time.nanoseconds / 1_000_000) ms"
        }
        return "\(error)"
    }

    private func handshake(_ options: ConnectionOptions) async throws {
        if let asked = options.cqlVersion {
            let supported =
                try await supportedOptions()
                .first { $0.key == "CQL_VERSION" }?.values ?? []
            guard supported.contains(asked) else {
                throw ClientError.unsupportedVersion(asked, supported: supported)
            }
        }
        var startup = [
            (key: "CQL_VERSION", value: options.cqlVersion ?? "3.0.0"),
            (key: "DRIVER_NAME", value: options.driverName),
        ]
        let compression =
            version >= .v5 && options.compression == .snappy ? nil : options.compression
        if let compression { startup.append(("COMPRESSION", compression.rawValue)) }
        let fields = startup
        let response = try await send(isStartup: true) { encoder, version, stream in
            encoder.startup(version, stream: stream, fields)
        }
        switch response.message {
        case .ready: return
        case .authenticate(let authenticator):
            guard let user = options.user, let password = options.password else {
                throw ClientError.credentialsNeeded(authenticator: authenticator)
            }
            let token = [0] + Array(user.utf8) + [0] + Array(password.utf8)
            let answer = try await send { encoder, version, stream in
                encoder.authResponse(version, stream: stream, token: token)
            }
            guard case .authSuccess = answer.message else {
                throw ClientError.unexpectedAnswer("to AUTH_RESPONSE: \(answer.message)")
            }
        default: throw ClientError.unexpectedAnswer("to STARTUP: \(response.message)")
        }
    }

    /// Sends what `write` writes and gives the answer; an ERROR is thrown as `ErrorAnswer`.
    package func send(
        isStartup: Bool = false, _ write: @escaping RequestWriter
    ) async throws -> Response {
        let promise = channel.eventLoop.makePromise(of: Response.self)
        channel.eventLoop.execute {
            self.handler.value.send(
                write, isStartup: isStartup, timeout: self.requestTimeout, promise)
        }
        let response = try await promise.futureResult.get()
        if case .error(let answer) = response.message { throw answer }
        return response
    }

    /// Whether the connection still stands, as far as this side knows.
    package var isOpen: Bool { channel.isActive }

    /// The options that the server supports.
    package func supportedOptions() async throws -> [(key: String, values: [String])] {
        let response = try await send { $0.options($1, stream: $2) }
        guard case .supported(let options) = response.message else {
            throw ClientError.unexpectedAnswer("to OPTIONS: \(response.message)")
        }
        return options
    }

    /// Executes a statement's text.
    package func query(
        _ text: String, _ options: QueryOptions = QueryOptions(), isTraced: Bool = false
    ) async throws -> Response {
        try await send { encoder, version, stream in
            encoder.query(
                version, flags: isTraced ? .tracing : [], stream: stream, text, options)
        }
    }

    /// Prepares a statement.
    package func prepare(_ text: String, keyspace: String? = nil) async throws -> PreparedStatement
    {
        let response = try await send { encoder, version, stream in
            encoder.prepare(version, stream: stream, text, keyspace: keyspace)
        }
        guard case .prepared(let prepared) = response.message else {
            throw ClientError.unexpectedAnswer("to PREPARE: \(response.message)")
        }
        return prepared
    }

    /// Executes a prepared statement. The caller prepares again if the answer is `unprepared`.
    package func execute(
        _ prepared: PreparedStatement, _ options: QueryOptions
    ) async throws -> Response {
        try await send { encoder, version, stream in
            encoder.execute(
                version, stream: stream, preparedID: prepared.id,
                resultMetadataID: prepared.resultMetadataID, options)
        }
    }

    /// Executes several statements together.
    package func batch(
        _ kind: BatchKind, _ items: [BatchItem], _ options: QueryOptions = QueryOptions()
    ) async throws -> Response {
        try await send { encoder, version, stream in
            encoder.batch(version, stream: stream, kind, items, options)
        }
    }

    /// Asks for events, which then come in `events`.
    package func register(_ types: [EventType]) async throws {
        let response = try await send { encoder, version, stream in
            encoder.register(version, stream: stream, types)
        }
        guard case .ready = response.message else {
            throw ClientError.unexpectedAnswer("to REGISTER: \(response.message)")
        }
    }

    /// Closes the connection; requests under way fail.
    package func close() async throws {
        do {
            try await channel.close()
        } catch ChannelError.alreadyClosed {
            // The server was faster, which is no failure.
        }
    }

    private func closeQuietly() async {
        do {
            try await close()
        } catch {
            // The connection is given up for a reason that the caller is told instead.
        }
    }
}
