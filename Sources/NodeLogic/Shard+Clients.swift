// Client connections: bytes in, frames out. Each complete frame is handled in the step that brings its
// last byte; answers gather in the connection's encoder and leave, together, at the end of the step.

internal import CQL
internal import Encoding
internal import Environment
internal import Model
internal import NativeProtocol
internal import PeerProtocol

extension Shard {
    func receiveClient(_ id: ConnectionID, _ bytes: UnsafeRawBufferPointer) {
        guard let connection = connections[id], !connection.isClosing else { return }
        takeFrames(connection, bytes)
    }

    /// Handles the connection's whole frames, until more answers wait than its client may leave unread, or
    /// its turn is over: the frames behind that stay in the decoder until the socket has taken some, or to
    /// the next step. So a client that asks much and reads little costs no more memory than that, and
    /// no step is all its own.
    private func takeFrames(_ connection: ClientConnection, _ bytes: UnsafeRawBufferPointer) {
        let limit = configuration.clients.pauseReadingAboveBytes
        let end = workDone + Self.turnCost
        connection.hasFramesWaiting = false
        lastConnection = connection
        // A chunk that was on its way when the turn was over finds the connection in the line already.
        let isInLine = connection.isWaitingForTurn
        connection.decoder.feed(bytes)
        do throws(FrameError) {
            while !connection.isClosing {
                if connection.unsentBytes + connection.encoder.waitingBytes > limit {
                    connection.hasFramesWaiting = true
                    break
                }
                if isInLine || workDone > end {
                    waitForTurn(connection)
                    break
                }
                guard let frame = try connection.decoder.next() else { break }
                workDone += Cost.request
                handle(frame, connection)
            }
        } catch {
            connection.encoder.error(error)
            close(connection)
        }
        connection.decoder.finish()
        if connection.decoder.bufferedBytes > 0 || connection.receivingBytes > 0 {
            makeRoom(connection)
        }
        updateReading(connection)
    }

    private func waitForTurn(_ connection: ClientConnection) {
        guard !connection.isWaitingForTurn else { return }
        connection.isWaitingForTurn = true
        waitingConnections.append(connection)
    }

    /// The connection's turn has come.
    func goOn(_ connection: ClientConnection) {
        connection.isWaitingForTurn = false
        takeFrames(connection, UnsafeRawBufferPointer(start: nil, count: 0))
    }

    /// Sends what waits and then ends the connection.
    private func close(_ connection: ClientConnection) {
        connection.isClosing = true
        markDirty(connection)
    }

    func markDirty(_ connection: ClientConnection) {
        guard !connection.isDirty else { return }
        connection.isDirty = true
        dirtyConnections.append(connection)
    }

    /// Moves what the connections' encoders hold into the outbox, behind everything else.
    func flushConnections() {
        for connection in dirtyConnections {
            connection.isDirty = false
            flush(connection, into: outbox)
            if connection.isClosing {
                outbox.effects.append(.clientClose(connection.id))
                forget(connection.id)
            }
        }
        dirtyConnections.removeAll(keepingCapacity: true)
    }

    private func flush(_ connection: ClientConnection, into target: Outbox) {
        let start = target.bytes.count
        connection.encoder.flush(into: target.bytes)
        watchBuffers(of: connection)
        let count = target.bytes.count - start
        guard count > 0 else { return }
        target.effects.append(
            .clientBytes(connection.id, ByteRange(offset: start, count: count)))
        connection.unsentBytes += count
        let limit = configuration.clients.pauseReadingAboveBytes
        // Compression may have made less of the answers than had stopped the connection.
        if connection.unsentBytes > limit || connection.hasFramesWaiting, !connection.isPaused {
            connection.isPaused = true
            updateReading(connection)
        }
    }

    func forget(_ id: ConnectionID) {
        guard let connection = connections.removeValue(forKey: id) else { return }
        if lastConnection === connection { lastConnection = nil }
        giveBackRoom(of: connection)
    }

    func clientWritable(_ id: ConnectionID) {
        guard let connection = connections[id] else { return }
        connection.unsentBytes = 0
        guard connection.isPaused else { return }
        connection.isPaused = false
        if connection.hasFramesWaiting {
            takeFrames(connection, UnsafeRawBufferPointer(start: nil, count: 0))
        }
        if !connection.hasFramesWaiting { updateReading(connection) }
    }

    private func handle(_ frame: Frame, _ connection: ClientConnection) {
        let header = frame.header
        do throws(CQLError) {
            if !connection.isStarted, header.opcode != .startup, header.opcode != .options {
                throw CQLError.protocolError(
                    "Unexpected message \(header.opcode.name), expecting STARTUP or OPTIONS")
            }
            if connection.login == .wanted || connection.login == .underWay,
                header.opcode != .authResponse
            {
                throw CQLError.protocolError(
                    "Unexpected message \(header.opcode.name), expecting SASL_RESPONSE")
            }
            try dispatch(frame, connection)
        } catch {
            connection.encoder.error(header.version, stream: header.stream, error)
            markDirty(connection)
            // A session that did not begin properly is not worth keeping.
            if !connection.isStarted { close(connection) }
        }
    }

    private func dispatch(_ frame: Frame, _ connection: ClientConnection) throws(CQLError) {
        let header = frame.header
        let encoder = connection.encoder
        switch header.opcode {
        case .options:
            encoder.supported(header.version, stream: header.stream, Self.supportedOptions)
        case .startup:
            try startUp(try StartupRequest(try frame.requestBody()), frame, connection)
        case .register:
            let request = try RegisterRequest(try frame.requestBody())
            for event in request.events where !connection.registered.contains(event) {
                connection.registered.append(event)
            }
            encoder.ready(header.version, stream: header.stream)
        case .query, .prepare, .execute, .batch:
            try checkLoad()
            try admit(frame, connection)
            if isBusy { stopReading(connection.id) }
            try handleStatement(frame, connection)
            return
        case .authResponse:
            try logIn(try AuthResponseRequest(try frame.requestBody()), frame, connection)
            return
        default:
            throw .protocolError("Unexpected message \(header.opcode.name) from a client")
        }
        markDirty(connection)
    }

    private func checkLoad() throws(CQLError) {
        guard
            writes.count + reads.count + forwarded.count + conditionals.count
                + increments.count + longRequests.count
                < configuration.requests.maximumInFlight
        else {
            throw .overloaded(
                "Too many requests in flight: \(configuration.requests.maximumInFlight)")
        }
    }

    static let supportedOptions: [(key: String, values: [String])] = [
        ("COMPRESSION", ["lz4", "snappy"]),
        ("CQL_VERSION", ["3.4.7"]),
        ("PROTOCOL_VERSIONS", ProtocolVersion.supported),
    ]

    private func startUp(
        _ request: StartupRequest, _ frame: Frame, _ connection: ClientConnection
    ) throws(CQLError) {
        let header = frame.header
        guard !connection.isStarted else {
            throw .protocolError("Unexpected message STARTUP: the connection has begun already")
        }
        guard let version = request["CQL_VERSION"] else {
            throw .protocolError("Missing value CQL_VERSION in STARTUP message")
        }
        guard version.hasPrefix("3.") else {
            throw .protocolError(
                "CQL version \(version) is not supported, the lowest is 3.0.0 and ours is 3.4.7")
        }
        let compression = try request.compression(header.version)
        connection.options = request.options
        connection.throwsOnOverload = request["THROW_ON_OVERLOAD"] == "1"
        connection.wantsNoCompact = request["NO_COMPACT"]?.lowercased() == "true"
        connection.isStarted = true
        if configuration.authentication.authenticator == .password {
            connection.login = .wanted
            connection.encoder.authenticate(header.version, stream: header.stream)
        } else {
            connection.encoder.ready(header.version, stream: header.stream)
        }
        // The answer still travels in the old framing.
        flush(connection, into: deferred)
        let framing = Framing.afterStartup(header.version, compression: compression)
        connection.decoder.framing = framing
        connection.encoder.framing = framing
    }

    // MARK: Answers

    private func connection(_ id: ConnectionID) -> ClientConnection? {
        if let lastConnection, lastConnection.id == id { return lastConnection }
        return connections[id]
    }

    /// The connection of a request that is about to be answered; nil if it was answered or has gone.
    private func claim(_ client: ClientRequest) -> ClientConnection? {
        guard !client.isAnswered else { return nil }
        client.isAnswered = true
        recordAnswer(client)
        releaseBytes(of: client)
        if let latch = client.latch {
            client.latch = nil
            release(latch)
        }
        guard let connection = connection(client.connection) else { return nil }
        connection.inFlight -= 1
        markDirty(connection)
        return connection
    }

    func answerVoid(_ client: ClientRequest) {
        if let place = client.place {
            internalEnded(client, place, [], nil)
            return
        }
        claim(client)?.encoder.void(client.version, stream: client.stream, prefix: client.prefix)
        endTrace(client)
    }

    func answer(_ client: ClientRequest, error: CQLError) {
        if let place = client.place {
            internalEnded(client, place, [], error)
            return
        }
        claim(client)?.encoder.error(
            client.version, stream: client.stream, error, prefix: client.prefix)
        endTrace(client)
    }

    func answer(_ client: ClientRequest, keyspace: String) {
        guard let connection = claim(client) else { return }
        connection.keyspace = keyspace
        connection.encoder.setKeyspace(
            client.version, stream: client.stream, keyspace, prefix: client.prefix)
        endTrace(client)
    }

    func answer(_ client: ClientRequest, prepared: PreparedAnswer) {
        claim(client)?.encoder.prepared(
            client.version, stream: client.stream, prepared, prefix: client.prefix)
        endTrace(client)
    }

    func answer(_ client: ClientRequest, change: NativeProtocol.SchemaChange) {
        claim(client)?.encoder.schemaChange(
            client.version, stream: client.stream, change, prefix: client.prefix)
        endTrace(client)
    }

    /// Lets `write` write a rows answer.
    func answer(_ client: ClientRequest, rows write: (FrameEncoder) -> Void) {
        guard let connection = claim(client) else { return }
        write(connection.encoder)
        endTrace(client)
    }

    /// Tells all connections that registered for it.
    func announce(_ event: ServerEvent) {
        for id in connections.keys.sorted() {
            guard let connection = connections[id], connection.registered.contains(event.type)
            else {
                continue
            }
            connection.encoder.event(connection.version, event)
            markDirty(connection)
        }
    }
}

extension Opcode {
    /// As errors name it.
    fileprivate var name: String { "\(self)".uppercased() }
}
