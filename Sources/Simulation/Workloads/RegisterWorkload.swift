// Clients that write and read registers, by an explicit plan made before the run.
//
// Each node has one client that uses it as its coordinator. An operation is invoked at its planned
// time whatever became of the ones before, so taking one out of the plan moves no other. The table
// is made through CQL, like everything else. With padding, each write also fills a second column
// from which the version can be told, so that rows put together from two writes show.

internal import Encoding
package import Environment
package import Model
internal import NativeProtocol

/// One operation of a plan.
package struct PlannedOperation: Equatable, Sendable {
    package let id: Int
    package let at: VirtualTime
    package let coordinator: Int
    package let key: Int
    package let kind: RegisterOperation.Kind
    /// The client's write timestamp; nil: the coordinator gives one.
    package let timestamp: Int64?

    package init(
        id: Int, at: VirtualTime, coordinator: Int, key: Int, kind: RegisterOperation.Kind,
        timestamp: Int64?
    ) {
        self.id = id
        self.at = at
        self.coordinator = coordinator
        self.key = key
        self.kind = kind
        self.timestamp = timestamp
    }
}

/// Clients on every node of a world, and what they saw.
package final class RegisterWorkload {
    private static let plainInsert = "INSERT INTO lab.registers (key, version) VALUES (?, ?)"
    private static let plainSelect = "SELECT version FROM lab.registers WHERE key = ?"
    private static let paddedInsert =
        "INSERT INTO lab.registers (key, version, padding) VALUES (?, ?, ?)"
    private static let paddedSelect = "SELECT version, padding FROM lab.registers WHERE key = ?"

    private let world: SimulatedWorld
    private let clients: [SimulatedClient]
    private let keyCount: Int
    private let clientTimeout: Instant.Span
    private let paddingBytes: Int
    private var insertText: String { paddingBytes > 0 ? Self.paddedInsert : Self.plainInsert }
    private var selectText: String { paddingBytes > 0 ? Self.paddedSelect : Self.plainSelect }
    /// Rows whose columns do not belong together, one sentence each.
    package private(set) var mixedRows: [String] = []
    /// What was invoked so far, in the order of invocation.
    package private(set) var history: [RegisterOperation] = []
    private var open = 0

    /// One client for each node; they give up on a request after `clientTimeout`. A row gets up to
    /// `paddingBytes` of padding.
    package init(
        world: SimulatedWorld, keyCount: Int, clientTimeout: Instant.Span,
        protocolVersion: UInt8 = 4, paddingBytes: Int = 0
    ) {
        self.paddingBytes = paddingBytes
        self.world = world
        self.keyCount = keyCount
        self.clientTimeout = clientTimeout
        let version = ProtocolVersion(rawValue: protocolVersion) ?? .v4
        clients = world.nodes.map { node in
            SimulatedClient(
                world: world, name: "client \(node.index)", node: node.index, version: version)
        }
    }

    /// The token of a register's key, an `int`.
    package static func token(ofKey key: Int) -> Int64 {
        keyBytes(key).withUnsafeBytes { Murmur3.cassandraToken($0) }
    }

    /// Answers that no client could read.
    package var protocolErrors: [String] { clients.flatMap(\.protocolErrors) }

    private static func keyBytes(_ key: Int) -> [UInt8] {
        withUnsafeBytes(of: Int32(key).bigEndian) { Array($0) }
    }

    // MARK: Setting up

    /// Opens the clients, makes keyspace and table, and prepares both statements everywhere; tells
    /// what is missing when the time is over.
    package func setUp(replicationFactor: Int, until end: VirtualTime) -> String? {
        for client in clients { client.open() }
        let factor = min(replicationFactor, world.nodes.count)
        let statements = [
            "CREATE KEYSPACE IF NOT EXISTS lab WITH replication = "
                + "{'class': 'SimpleStrategy', 'replication_factor': \(factor)}",
            "CREATE TABLE IF NOT EXISTS lab.registers (key int PRIMARY KEY, version bigint"
                + (paddingBytes > 0 ? ", padding blob)" : ")"),
        ]
        for statement in statements {
            if let problem = insist(
                on: clients[0], until: end,
                { client, completion in
                    client.query(statement, timeout: .seconds(5), completion)
                })
            {
                return "\(statement): \(problem)"
            }
        }
        for (node, client) in clients.enumerated() {
            for text in [selectText, insertText] {
                if let problem = insist(
                    on: client, until: end,
                    { client, completion in
                        client.prepare(text, timeout: .seconds(2), completion)
                    })
                {
                    return "node \(node): \(text): \(problem)"
                }
            }
        }
        return nil
    }

    /// Repeats a request until it is answered without an error; tells the last problem if it never
    /// is.
    private func insist(
        on client: SimulatedClient, until end: VirtualTime,
        _ request: @escaping (SimulatedClient, @escaping (ClientOutcome) -> Void) -> Void
    ) -> String? {
        var problem: String? = "never answered"
        var isDone = false
        func attempt() {
            request(client) { [world] outcome in
                switch outcome {
                case .answer(.error(let answer)): problem = answer.description
                case .answer:
                    isDone = true
                    return
                case .timedOut: problem = "timed out"
                case .connectionLost: problem = "the connection was lost"
                case .notSent: problem = "no connection"
                }
                world.schedule(at: world.now + .milliseconds(50)) { attempt() }
            }
        }
        attempt()
        return world.run(until: end) { isDone } ? nil : problem
    }

    // MARK: Running

    /// Puts the plan into the world's queue.
    package func schedule(
        _ plan: [PlannedOperation], writing: ConsistencyLevel, reading: ConsistencyLevel
    ) {
        for operation in plan {
            open += 1
            world.schedule(at: operation.at) { [weak self] in
                self?.invoke(operation, writing: writing, reading: reading)
            }
        }
    }

    /// Runs until every operation of the plan has its outcome.
    package func finish(until end: VirtualTime) -> Bool { world.run(until: end) { open == 0 } }

    private func invoke(
        _ planned: PlannedOperation, writing: ConsistencyLevel, reading: ConsistencyLevel
    ) {
        let index = history.count
        let client = clients[planned.coordinator]
        var options = QueryOptions()
        options.values = [.bytes(Self.keyBytes(planned.key))]
        options.skipMetadata = true
        let text: String
        switch planned.kind {
        case .write(let version):
            options.consistency = writing
            options.values.append(
                .bytes(withUnsafeBytes(of: version.bigEndian) { Array($0) }))
            if paddingBytes > 0 {
                options.values.append(.bytes(padding(key: planned.key, version: version)))
            }
            options.timestamp = planned.timestamp
            text = insertText
        case .read:
            options.consistency = reading
            text = selectText
        }
        history.append(
            RegisterOperation(
                id: planned.id, key: planned.key, kind: planned.kind,
                coordinator: planned.coordinator, consistency: options.consistency,
                invoked: world.now, timestamp: planned.timestamp))
        client.execute(text, options, timeout: clientTimeout) { [weak self] outcome in
            self?.complete(index, outcome)
        }
    }

    private func complete(_ index: Int, _ outcome: ClientOutcome) {
        open -= 1
        history[index].outcome = self.outcome(outcome, key: history[index].key)
        switch history[index].outcome {
        case .unknown: break
        case .acknowledged, .value, .refused: history[index].returned = world.now
        }
    }

    /// Of a length that the version decides, each byte as the key and the version decide.
    private func padding(key: Int, version: Int64) -> [UInt8] {
        let length = Int((UInt64(bitPattern: version) &* 0x9E37_79B9) % UInt64(paddingBytes + 1))
        let byte = UInt8(truncatingIfNeeded: Int64(key) &* 31 &+ version)
        return Array(repeating: byte, count: length)
    }

    private func outcome(_ outcome: ClientOutcome, key: Int) -> RegisterOperation.Outcome {
        switch outcome {
        case .notSent: return .refused("no connection")
        case .timedOut: return .unknown("the client gave up")
        case .connectionLost: return .unknown("the connection was lost")
        case .answer(.void): return .acknowledged
        case .answer(.rows(let rows)):
            guard rows.rowCount > 0, rows.columnCount > 0 else { return .value(nil) }
            guard let bytes = rows.value(row: 0, column: 0), bytes.count == 8 else {
                return .value(nil)
            }
            let version = bytes.reduce(0) { $0 << 8 | Int64($1) }
            if paddingBytes > 0 {
                let found = rows.columnCount > 1 ? rows.value(row: 0, column: 1) : nil
                if found != padding(key: key, version: version) {
                    mixedRows.append(
                        "\(world.now) ms: key \(key) has version \(version) and the padding of "
                            + "another: \(found.map { "\($0.count) times \($0.first ?? 0)" } ?? "null")"
                    )
                }
            }
            return .value(version)
        case .answer(.error(let answer)):
            switch answer.error {
            case .unavailable(let text, _, _, _): return .refused(text)
            default: return .unknown(answer.description)
            }
        case .answer(let message): return .unknown("answered with \(message)")
        }
    }

    // MARK: Looking afterwards

    /// Reads every key through one coordinator and returns the versions; nil for a key that could
    /// not be read in time.
    package func readAll(
        coordinator: Int, consistency: ConsistencyLevel, until end: VirtualTime
    ) -> [Int64?]? {
        var values = [Int64?](repeating: nil, count: keyCount)
        for key in 0..<keyCount {
            var value: Int64??
            let problem = insist(on: clients[coordinator], until: end) { client, completion in
                let options = QueryOptions(
                    consistency: consistency, values: [.bytes(Self.keyBytes(key))],
                    skipMetadata: true)
                client.execute(self.selectText, options, timeout: .seconds(2)) { outcome in
                    if case .value(let found) = self.outcome(outcome, key: key) { value = found }
                    completion(outcome)
                }
            }
            guard problem == nil, let found = value else { return nil }
            values[key] = found
        }
        return values
    }
}
