// A scripted CQL client: one connection to one coordinator, speaking the native protocol's bytes.
//
// It opens, says STARTUP, then sends whatever it is told, prepares statements when first used, and
// gives each request a time limit of its own. When the connection is lost all that waits is lost
// with it, and a new one is opened after a while. A node that has forgotten a prepared statement is
// told it again, as drivers do.

package import Environment
internal import Encoding
internal import Model
package import NativeProtocol

/// What became of a request.
package enum ClientOutcome: Sendable {
    case answer(ResponseMessage)
    /// Nothing came in time: it may have been done, or may still be.
    case timedOut
    /// The connection was lost first: it may have been done.
    case connectionLost
    /// It was never sent, because there was no connection.
    case notSent
}

/// One client with one connection at a time, owned by a simulation.
package final class SimulatedClient: ClientActor {
    private struct Waiting {
        let request: Request
        let number: UInt64
        let completion: (ClientOutcome) -> Void
    }

    private enum Request {
        case query(String, QueryOptions)
        case execute(String, QueryOptions)
        /// With nothing to execute the answer to PREPARE completes the request.
        case prepare(String, thenExecute: QueryOptions?)
    }

    private unowned let world: SimulatedWorld
    private let name: String
    private let node: Int
    private let version: ProtocolVersion
    private let credentials: Credentials?
    private let reconnectDelay = Instant.Span.milliseconds(100)
    private var connection: SimulatedConnection?
    private var connectionCount = 0
    private var encoder = FrameEncoder(side: .client)
    private var decoder = FrameDecoder(side: .client)
    private let output = ByteWriter()
    private var prepared: [String: PreparedStatement] = [:]
    private var waiting: [Int16: Waiting] = [:]
    private var nextStream: Int16 = 1
    private var nextNumber: UInt64 = 1
    private var isStopped = false
    /// The server has said READY.
    package private(set) var isReady = false
    /// Answers that could not be read; a broken node or a broken client.
    package private(set) var protocolErrors: [String] = []

    /// Who the client is, for nodes that ask.
    package struct Credentials: Sendable {
        package var role: String
        package var password: String
        package init(role: String, password: String) {
            self.role = role
            self.password = password
        }
    }

    package init(
        world: SimulatedWorld, name: String, node: Int, version: ProtocolVersion = .v4,
        credentials: Credentials? = nil
    ) {
        self.credentials = credentials
        self.world = world
        self.name = name
        self.node = node
        self.version = version
    }

    /// Opens the connection, and keeps one open from now on.
    package func open() {
        connectionCount += 1
        connection = world.connect(self, named: "\(name) \(connectionCount)", to: node)
    }

    /// Closes the connection for good.
    package func stop() {
        isStopped = true
        if let connection { world.close(connection) }
        loseAll()
    }

    // MARK: Requests

    /// Sends QUERY.
    package func query(
        _ text: String, _ options: QueryOptions = QueryOptions(), timeout: Instant.Span,
        _ completion: @escaping (ClientOutcome) -> Void
    ) {
        send(.query(text, options), timeout: timeout, completion)
    }

    /// Sends EXECUTE, after a PREPARE where that is needed.
    package func execute(
        _ text: String, _ options: QueryOptions, timeout: Instant.Span,
        _ completion: @escaping (ClientOutcome) -> Void
    ) {
        if prepared[text] == nil {
            send(.prepare(text, thenExecute: options), timeout: timeout, completion)
        } else {
            send(.execute(text, options), timeout: timeout, completion)
        }
    }

    /// Sends PREPARE, so that later calls of `execute` with that text begin with EXECUTE.
    package func prepare(
        _ text: String, timeout: Instant.Span, _ completion: @escaping (ClientOutcome) -> Void
    ) {
        send(.prepare(text, thenExecute: nil), timeout: timeout, completion)
    }

    private func send(
        _ request: Request, timeout: Instant.Span,
        _ completion: @escaping (ClientOutcome) -> Void
    ) {
        guard isReady, let connection, connection.isOpen else {
            completion(.notSent)
            return
        }
        let stream = transmit(request, completion)
        let number = nextNumber - 1
        world.schedule(at: world.now + timeout) { [weak self] in
            self?.expire(stream, number: number)
        }
    }

    /// Writes the request with a free stream and remembers it.
    @discardableResult
    private func transmit(
        _ request: Request, _ completion: @escaping (ClientOutcome) -> Void
    ) -> Int16 {
        let stream = freeStream()
        waiting[stream] = Waiting(request: request, number: nextNumber, completion: completion)
        nextNumber += 1
        write(request, stream)
        return stream
    }

    private func write(_ request: Request, _ stream: Int16) {
        switch request {
        case .query(let text, let options): encoder.query(version, stream: stream, text, options)
        case .prepare(let text, _): encoder.prepare(version, stream: stream, text)
        case .execute(let text, let options):
            guard let statement = prepared[text] else {
                preconditionFailure("executed before it was prepared")
            }
            encoder.execute(
                version, stream: stream, preparedID: statement.id,
                resultMetadataID: statement.resultMetadataID, options)
        }
        flush()
    }

    private func freeStream() -> Int16 {
        // Streams of requests that expired stay taken until their late answer or the connection's
        // end.
        while waiting[nextStream] != nil {
            nextStream = nextStream == .max ? 1 : nextStream + 1
        }
        let stream = nextStream
        nextStream = nextStream == .max ? 1 : nextStream + 1
        return stream
    }

    private func flush() {
        guard let connection else { return }
        encoder.flush(into: output)
        world.send(output.bytes, on: connection)
        output.removeAll()
    }

    private func expire(_ stream: Int16, number: UInt64) {
        guard let entry = waiting[stream], entry.number == number else { return }
        entry.completion(.timedOut)
        waiting[stream] = Waiting(request: entry.request, number: 0) { _ in }
    }

    // MARK: The connection

    package func connectionOpened(_ connection: SimulatedConnection) {
        guard connection === self.connection else { return }
        encoder = FrameEncoder(side: .client)
        decoder = FrameDecoder(side: .client)
        encoder.startup(version, stream: 0, [(key: "CQL_VERSION", value: "3.0.0")])
        flush()
    }

    package func received(_ bytes: UnsafeRawBufferPointer, on connection: SimulatedConnection) {
        guard connection === self.connection else { return }
        decoder.feed(bytes)
        do {
            while let frame = try decoder.next() {
                do {
                    handle(try Response(frame).message, stream: frame.header.stream)
                } catch {
                    protocolErrors.append("\(name): \(error)")
                }
                if connection !== self.connection { break }
            }
        } catch {
            protocolErrors.append("\(name): \(error)")
        }
        decoder.finish()
    }

    package func connectionClosed(_ connection: SimulatedConnection) {
        guard connection === self.connection else { return }
        self.connection = nil
        loseAll()
        if isStopped { return }
        world.schedule(at: world.now + reconnectDelay) { [weak self] in
            guard let self, !self.isStopped, self.connection == nil else { return }
            self.open()
        }
    }

    private func loseAll() {
        isReady = false
        let lost = waiting
        waiting.removeAll()
        for stream in lost.keys.sorted() { lost[stream]?.completion(.connectionLost) }
    }

    private func handle(_ message: ResponseMessage, stream: Int16) {
        if stream == 0 {
            switch message {
            case .ready:
                isReady = true
                changeFraming()
            case .authenticate:
                changeFraming()
                let own = credentials ?? Credentials(role: "", password: "")
                encoder.authResponse(
                    version, stream: 0,
                    token: [0] + Array(own.role.utf8) + [0] + Array(own.password.utf8))
                flush()
            case .authSuccess: isReady = true
            case .error(let answer): protocolErrors.append("\(name): STARTUP: \(answer)")
            default: protocolErrors.append("\(name): STARTUP was answered with \(message)")
            }
            return
        }
        guard let entry = waiting[stream] else {
            if stream > 0 { protocolErrors.append("\(name): an answer on unused stream \(stream)") }
            return
        }
        switch (entry.request, message) {
        case (.prepare(let text, let options), .prepared(let statement)):
            prepared[text] = statement
            if let options {
                resend(.execute(text, options), entry, stream)
            } else {
                complete(stream, entry, message)
            }
        case (.execute(let text, let options), .error(let answer)):
            if case .unprepared = answer.error {
                prepared[text] = nil
                resend(.prepare(text, thenExecute: options), entry, stream)
            } else {
                complete(stream, entry, message)
            }
        default: complete(stream, entry, message)
        }
    }

    /// What follows the answer to STARTUP has the framing of the version.
    private func changeFraming() {
        let framing = Framing.afterStartup(version, compression: nil)
        encoder.framing = framing
        decoder.framing = framing
    }

    /// Goes on with the same request on the same stream, unless nobody waits for it any more.
    private func resend(_ request: Request, _ entry: Waiting, _ stream: Int16) {
        if entry.number == 0 {
            waiting[stream] = nil
            return
        }
        waiting[stream] = Waiting(
            request: request, number: entry.number, completion: entry.completion)
        write(request, stream)
    }

    private func complete(_ stream: Int16, _ entry: Waiting, _ message: ResponseMessage) {
        waiting[stream] = nil
        entry.completion(.answer(message))
    }
}
