// Conditional writes, counters and logged batches on a ring in trouble, and what must be true of them:
//
// - *registers*, changed by IF and read at SERIAL, are linearizable (`LinearizabilityChecker`), whatever
//   dies, is cut off or loses its power, in every sync mode;
// - *counters* never leave the band between what was acknowledged and what may have been applied;
// - *logged batches* are there as a whole or not at all, once everything is well again.

package import Environment
internal import Model
internal import NativeProtocol

/// One run of such a workload.
package struct ReadModifyWriteScenario: Sendable {
    package enum Subject: String, Sendable, CaseIterable {
        case registers
        case counters
        case batches
    }

    package var seed: UInt64
    package var subject: Subject
    package var sync: Configuration.CommitLogSync
    package var trouble: CrashScenario.Trouble
    package var keyCount = 4
    package var operationCount = 240
    package var crashCount = 6
    /// The nodes' wall clocks jump back and forth by seconds.
    package var clocksJump = false
    /// Conditional writes count one answer as a majority, so that the checker has something to find.
    package var plantsBug = false

    package init(
        seed: UInt64, _ subject: Subject, sync: Configuration.CommitLogSync,
        _ trouble: CrashScenario.Trouble
    ) {
        self.seed = seed
        self.subject = subject
        self.sync = sync
        self.trouble = trouble
    }

    /// What a run gave.
    package struct Outcome: Sendable {
        package var violations: [String] = []
        package var acknowledged = 0
        package var unknown = 0
        /// Conditional writes that were not applied, and reads.
        package var answered = 0
        package var deaths = 0
        package var events: UInt64 = 0
        package var trace = TraceHash()
    }

    /// Runs it to its end; `traceSink` gets a line for each delivery.
    package func run(traceSink: ((String) -> Void)? = nil) -> Outcome {
        var settings = WorldSettings(seed: seed, configuration: .simulation(seed: seed))
        settings.configuration.storage.commitLogSync = sync
        settings.configuration.requests.plantedBugCountsOneAnswerAsQuorum = plantsBug
        settings.network.straggleChance = 10_000
        settings.network.duplicateChance = 10_000
        settings.network.lossChance = trouble == .partitions ? 1_000 : 5_000
        settings.stepCost = .uniform(0...20_000)
        let world = SimulatedRing.makeWorld(settings)
        world.traceSink = traceSink
        world.startAll()
        let run = ReadModifyWriteRun(self, world)
        run.play()
        return run.outcome
    }
}

/// The state of one run.
private final class ReadModifyWriteRun {
    private struct Increment {
        let key: Int
        let delta: Int64
        let invoked: VirtualTime
        var acknowledged: VirtualTime?
        var isRefused = false
    }

    private let scenario: ReadModifyWriteScenario
    private let world: SimulatedWorld
    private let clients: [SimulatedClient]
    private(set) var outcome = ReadModifyWriteScenario.Outcome()
    private var open = 0
    private var history: [RegisterEvent] = []
    /// By client and key: the value seen last.
    private var seen: [[Int64?]]
    private var increments: [Increment] = []
    private var batches: [(isAcknowledged: Bool, isRefused: Bool)] = []
    private static let rowsOfBatch = 3

    init(_ scenario: ReadModifyWriteScenario, _ world: SimulatedWorld) {
        self.scenario = scenario
        self.world = world
        let version = ProtocolVersion(rawValue: UInt8(3 + scenario.seed % 3)) ?? .v4
        clients = world.nodes.map {
            SimulatedClient(
                world: world, name: "client \($0.index)", node: $0.index, version: version)
        }
        seen = Array(
            repeating: Array(repeating: nil, count: scenario.keyCount), count: clients.count)
    }

    func play() {
        for client in clients { client.open() }
        guard setUp(until: .milliseconds(15_000)) else {
            outcome.violations = ["seed \(scenario.seed): the table could not be made"]
            return
        }
        let begin = world.now
        let end = begin + .milliseconds(Int64(scenario.operationCount) * 25)
        install(from: begin, to: end)
        for id in 0..<scenario.operationCount {
            var stream = RandomStream(seed: scenario.seed, name: "operation \(id)")
            let at = begin + .milliseconds(Int64(id) * 25 + stream.within(0...24))
            open += 1
            world.schedule(at: at) { [weak self] in self?.invoke(id, stream) }
        }
        if !world.run(until: end + .seconds(60), { open == 0 }) {
            outcome.violations.append("\(open) operations were never answered")
        }
        // Hints and the batch log have time to bring everything together.
        world.run(until: max(world.now, end) + .seconds(40))
        judge()
        outcome.violations += world.failures + clients.flatMap(\.protocolErrors)
        outcome.violations = outcome.violations.map { "seed \(scenario.seed): \($0)" }
        outcome.deaths = world.nodes.reduce(0) { $0 + Int($1.life) - 1 }
        outcome.events = world.eventCount
        outcome.trace = world.trace
    }

    private func install(from begin: VirtualTime, to end: VirtualTime) {
        switch scenario.trouble {
        case .kills, .powerLosses:
            world.install(
                Fault.crashes(
                    seed: scenario.seed, nodeCount: clients.count, count: scenario.crashCount,
                    from: begin, to: end, powerLoss: scenario.trouble == .powerLosses,
                    reshards: false))
        case .partitions:
            world.install(
                Fault.partitions(
                    seed: scenario.seed, nodeCount: clients.count, count: scenario.crashCount,
                    from: begin, to: end))
        }
        guard scenario.clocksJump else { return }
        world.install(
            Fault.clockJumps(
                seed: scenario.seed, nodeCount: clients.count, count: 20, from: begin, to: end))
    }

    private func setUp(until end: VirtualTime) -> Bool {
        let table =
            switch scenario.subject {
            case .registers: "lab.registers (key int PRIMARY KEY, version bigint)"
            case .counters: "lab.counters (key int PRIMARY KEY, count counter)"
            case .batches: "lab.batches (key int PRIMARY KEY, number int)"
            }
        let statements = [
            "CREATE KEYSPACE IF NOT EXISTS lab WITH replication = "
                + "{'class': 'SimpleStrategy', 'replication_factor': 3}",
            "CREATE TABLE IF NOT EXISTS " + table,
        ]
        for statement in statements {
            guard ask(statement, QueryOptions(), node: 0, until: end) != nil else { return false }
        }
        // Every node must know the table before the plan begins.
        for node in clients.indices {
            let text = "SELECT * FROM lab.\(scenario.subject.rawValue)"
            guard ask(text, QueryOptions(), node: node, until: end) != nil else { return false }
        }
        return true
    }

    /// Repeats a request until it is answered without an error; nil if it is not in time.
    private func ask(
        _ text: String, _ options: QueryOptions, node: Int, until end: VirtualTime
    ) -> ResponseMessage? {
        var answer: ResponseMessage?
        func attempt() {
            clients[node].query(text, options, timeout: .seconds(5)) { [world] outcome in
                if case .answer(let message) = outcome {
                    guard case .error = message else {
                        answer = message
                        return
                    }
                }
                world.schedule(at: world.now + .milliseconds(50)) { attempt() }
            }
        }
        attempt()
        return world.run(until: end, { answer != nil }) ? answer : nil
    }

    // MARK: Operations

    private func invoke(_ id: Int, _ source: RandomStream) {
        var stream = source
        let node = Int(stream.below(UInt64(clients.count)))
        let key = Int(stream.below(UInt64(scenario.keyCount)))
        switch scenario.subject {
        case .registers:
            if stream.chance(1, outOf: 4) {
                readRegister(id, key, node)
            } else {
                changeRegister(
                    id, key, node, stream.chance(1, outOf: 8) ? Int64(id / 2) : seen[node][key])
            }
        case .counters:
            if stream.chance(1, outOf: 4) {
                readCounter(key, node)
            } else {
                increment(key, node, 1 + Int64(stream.below(1_000)))
            }
        case .batches: writeBatch(id, node)
        }
    }

    /// What became of a request, as far as the client knows.
    private enum Known {
        case answered(ResponseMessage)
        case refused
        case unknown
    }

    private func send(
        _ text: String, _ options: QueryOptions, _ node: Int,
        _ completion: @escaping (Known) -> Void
    ) {
        clients[node].query(text, options, timeout: .seconds(4)) { [weak self] result in
            guard let self else { return }
            self.open -= 1
            switch result {
            case .notSent: completion(.refused)
            case .timedOut, .connectionLost: completion(.unknown)
            case .answer(.error(let answer)):
                switch answer.error {
                case .unavailable: completion(.refused)
                case .syntax, .invalid, .protocolError, .serverError:
                    if !answer.description.contains("unconfigured table") {
                        self.outcome.violations.append("\(text): \(answer)")
                    }
                    completion(.unknown)
                default: completion(.unknown)
                }
            case .answer(let message): completion(.answered(message))
            }
        }
    }

    private static func bytes(_ value: Int64?) -> BindValue {
        guard let value else { return .null }
        return .bytes(withUnsafeBytes(of: value.bigEndian) { Array($0) })
    }

    private static func number(_ bytes: [UInt8]?) -> Int64? {
        bytes.map { $0.reduce(0) { $0 << 8 | Int64($1) } }
    }

    private func changeRegister(_ id: Int, _ key: Int, _ node: Int, _ expected: Int64?) {
        let invoked = world.now
        let new = Int64(id) + 1
        var options = QueryOptions(consistency: .quorum)
        options.values = [Self.bytes(new), Self.bytes(expected)]
        let text = "UPDATE lab.registers SET version = ? WHERE key = \(key) IF version = ?"
        send(text, options, node) { [weak self] known in
            guard let self else { return }
            var result = RegisterEvent.Result.unknown
            switch known {
            case .refused: return
            case .unknown: self.outcome.unknown += 1
            case .answered(.rows(let rows)) where rows.rowCount == 1:
                if rows.value(row: 0, column: 0) == [1] {
                    result = .applied
                    self.seen[node][key] = new
                    self.outcome.acknowledged += 1
                } else {
                    let current =
                        rows.columnCount > 1 ? Self.number(rows.value(row: 0, column: 1)) : nil
                    result = .refused(current: current)
                    self.seen[node][key] = current
                    self.outcome.answered += 1
                }
            case .answered(let message):
                self.outcome.violations.append("\(text): answered with \(message)")
            }
            self.history.append(
                RegisterEvent(
                    id: id, key: key,
                    effect: .compareAndSet(expected: expected, new: new, result),
                    invoked: invoked, returned: result == .unknown ? nil : self.world.now))
        }
    }

    private func readRegister(_ id: Int, _ key: Int, _ node: Int) {
        let invoked = world.now
        send(
            "SELECT version FROM lab.registers WHERE key = \(key)",
            QueryOptions(consistency: .serial), node
        ) { [weak self] known in
            guard let self, case .answered(.rows(let rows)) = known else { return }
            let value = rows.rowCount > 0 ? Self.number(rows.value(row: 0, column: 0)) : nil
            self.seen[node][key] = value
            self.outcome.answered += 1
            self.history.append(
                RegisterEvent(
                    id: id, key: key, effect: .read(value), invoked: invoked,
                    returned: self.world.now))
        }
    }

    private func increment(_ key: Int, _ node: Int, _ delta: Int64) {
        let index = increments.count
        increments.append(Increment(key: key, delta: delta, invoked: world.now))
        send(
            "UPDATE lab.counters SET count = count + \(delta) WHERE key = \(key)",
            QueryOptions(consistency: .quorum), node
        ) { [weak self] known in
            guard let self else { return }
            switch known {
            case .refused: self.increments[index].isRefused = true
            case .unknown: self.outcome.unknown += 1
            case .answered:
                self.increments[index].acknowledged = self.world.now
                self.outcome.acknowledged += 1
            }
        }
    }

    private func readCounter(_ key: Int, _ node: Int) {
        let invoked = world.now
        send(
            "SELECT count FROM lab.counters WHERE key = \(key)",
            QueryOptions(consistency: .quorum), node
        ) { [weak self] known in
            guard let self, case .answered(.rows(let rows)) = known else { return }
            self.outcome.answered += 1
            let value = rows.rowCount > 0 ? Self.number(rows.value(row: 0, column: 0)) ?? 0 : 0
            self.checkBand(value, key, invoked: invoked, returned: self.world.now)
        }
    }

    /// A counter shows all that was acknowledged before, and nothing that was not asked for.
    private func checkBand(
        _ value: Int64, _ key: Int, invoked: VirtualTime, returned: VirtualTime
    ) {
        let own = increments.filter { $0.key == key }
        let least = own.filter { ($0.acknowledged ?? .distantFuture) <= invoked }
            .reduce(0) { $0 + $1.delta }
        let most = own.filter { !$0.isRefused && $0.invoked <= returned }.reduce(0) {
            $0 + $1.delta
        }
        guard value < least || value > most else { return }
        outcome.violations.append(
            "\(returned) ms: counter \(key) shows \(value), which is not between \(least) and \(most)"
        )
    }

    private func writeBatch(_ id: Int, _ node: Int) {
        let index = batches.count
        batches.append((false, false))
        let rows = (0..<Self.rowsOfBatch).map { row in
            "INSERT INTO lab.batches (key, number) VALUES (\(index * Self.rowsOfBatch + row), \(index)); "
        }
        send(
            "BEGIN BATCH \(rows.joined())APPLY BATCH", QueryOptions(consistency: .quorum), node
        ) { [weak self] known in
            guard let self else { return }
            switch known {
            case .refused: self.batches[index].isRefused = true
            case .unknown: self.outcome.unknown += 1
            case .answered:
                self.batches[index].isAcknowledged = true
                self.outcome.acknowledged += 1
            }
        }
    }

    // MARK: Judging

    private func judge() {
        let end = world.now + .seconds(60)
        switch scenario.subject {
        case .registers:
            for key in 0..<scenario.keyCount {
                let invoked = world.now
                let text = "SELECT version FROM lab.registers WHERE key = \(key)"
                guard
                    case .rows(let rows)? = ask(
                        text, QueryOptions(consistency: .serial), node: key % clients.count,
                        until: end)
                else {
                    outcome.violations.append("key \(key) cannot be read at SERIAL")
                    continue
                }
                let value = rows.rowCount > 0 ? Self.number(rows.value(row: 0, column: 0)) : nil
                history.append(
                    RegisterEvent(
                        id: scenario.operationCount + key, key: key, effect: .read(value),
                        invoked: invoked, returned: world.now))
            }
            outcome.violations += LinearizabilityChecker.check(history)
        case .counters:
            for key in 0..<scenario.keyCount {
                let text = "SELECT count FROM lab.counters WHERE key = \(key)"
                var values: [Int64] = []
                for consistency in [ConsistencyLevel.all, .one, .one, .one] {
                    let node = max(0, values.count - 1)
                    guard
                        case .rows(let rows)? = ask(
                            text, QueryOptions(consistency: consistency), node: node, until: end)
                    else {
                        outcome.violations.append("counter \(key) cannot be read at \(consistency)")
                        break
                    }
                    values.append(
                        rows.rowCount > 0 ? Self.number(rows.value(row: 0, column: 0)) ?? 0 : 0)
                }
                guard let first = values.first else { continue }
                checkBand(first, key, invoked: world.now, returned: world.now)
                if values.contains(where: { $0 != first }) {
                    outcome.violations.append("the nodes count \(values) for counter \(key)")
                }
            }
        case .batches:
            for (index, batch) in batches.enumerated() {
                var found = 0
                for row in 0..<Self.rowsOfBatch {
                    let text =
                        "SELECT number FROM lab.batches WHERE key = \(index * Self.rowsOfBatch + row)"
                    guard
                        case .rows(let rows)? = ask(
                            text, QueryOptions(consistency: .all), node: 0, until: end)
                    else {
                        outcome.violations.append("batch \(index) cannot be read")
                        break
                    }
                    found += rows.rowCount
                }
                let isWhole = found == Self.rowsOfBatch
                if batch.isAcknowledged, !isWhole {
                    outcome.violations.append(
                        "batch \(index) was acknowledged and has \(found) rows")
                } else if batch.isRefused, found > 0 {
                    outcome.violations.append("batch \(index) was refused and has \(found) rows")
                } else if found > 0, !isWhole {
                    outcome.violations.append("batch \(index) is there in part: \(found) rows")
                }
            }
        }
    }
}
