// Partitions with rows under crashes, compared with a dumb twin.
//
// Each partition has one session: statement after statement, each repeated with its first write
// timestamp, through another coordinator, until it is acknowledged at QUORUM. So after each
// statement the state is known exactly, whatever died meanwhile, and every SELECT at QUORUM must
// give the twin's rows: slices, reversed, limited, in pages of any size whose next page may be
// asked of another node, and which may be empty behind tombstones. At the end a scan of the whole table must give all rows.

package import Environment
internal import Model
internal import NativeProtocol

/// One run of partitions in trouble.
package struct PartitionScenario: Sendable {
    package var seed: UInt64
    package var sync: Configuration.CommitLogSync
    package var trouble: CrashScenario.Trouble
    package var partitionCount = 4
    /// Of each partition's session.
    package var statementCount = 120
    package var crashCount = 8
    package var reshards = false
    /// Each partition is written through one node that gives the timestamps, while the wall clocks
    /// jump back and forth by seconds: what a node stamps later must win nevertheless.
    package var serverTimestamps = false
    /// Texts are of up to so many bytes; with some thousand, memtables flush.
    package var textBytes = 12

    package init(
        seed: UInt64, sync: Configuration.CommitLogSync, _ trouble: CrashScenario.Trouble
    ) {
        self.seed = seed
        self.sync = sync
        self.trouble = trouble
    }

    /// What a run gave.
    package struct Outcome: Sendable {
        package var violations: [String] = []
        package var statements = 0
        package var selects = 0
        package var repetitions = 0
        package var deaths = 0
        package var jobsEnded = 0
        package var events: UInt64 = 0
        package var trace = TraceHash()
    }

    /// Runs it to its end; `traceSink` gets a line for each delivery.
    package func run(traceSink: ((String) -> Void)? = nil) -> Outcome {
        var settings = WorldSettings(seed: seed, configuration: .simulation(seed: seed))
        settings.configuration.storage.commitLogSync = sync
        // Pages end early behind a few tombstones, in three of four runs.
        settings.configuration.requests.tombstonePageLimit = [1, 2, 5, 10_000][Int(seed % 4)]
        settings.network.straggleChance = 10_000
        settings.network.duplicateChance = 10_000
        settings.network.lossChance = 3_000
        settings.stepCost = .uniform(0...20_000)
        let world = SimulatedRing.makeWorld(settings)
        world.traceSink = traceSink
        world.startAll()
        let run = PartitionRun(self, world)
        run.play()
        return run.outcome
    }
}

/// The state of one run.
private final class PartitionRun {
    private let scenario: PartitionScenario
    private let world: SimulatedWorld
    private let clients: [SimulatedClient]
    private let firstDescends: Bool
    private var twins: [PartitionTwin]
    private var streams: [RandomStream]
    private var left: [Int]
    private var openSessions = 0
    private(set) var outcome = PartitionScenario.Outcome()

    init(_ scenario: PartitionScenario, _ world: SimulatedWorld) {
        self.scenario = scenario
        self.world = world
        let version = ProtocolVersion(rawValue: UInt8(3 + scenario.seed % 3)) ?? .v4
        clients = world.nodes.map {
            SimulatedClient(
                world: world, name: "client \($0.index)", node: $0.index, version: version)
        }
        firstDescends = scenario.seed % 2 == 1
        twins = Array(repeating: PartitionTwin(), count: scenario.partitionCount)
        streams = (0..<scenario.partitionCount).map {
            RandomStream(seed: scenario.seed, name: "session \($0)")
        }
        left = Array(repeating: scenario.statementCount, count: scenario.partitionCount)
    }

    func play() {
        for client in clients { client.open() }
        guard setUp(until: .milliseconds(10_000)) else {
            outcome.violations = ["seed \(scenario.seed): the table could not be made"]
            return
        }
        let begin = world.now
        let end = begin + .seconds(8)
        switch scenario.trouble {
        case .kills, .powerLosses:
            world.install(
                Fault.crashes(
                    seed: scenario.seed, nodeCount: clients.count, count: scenario.crashCount,
                    from: begin, to: end, powerLoss: scenario.trouble == .powerLosses,
                    reshards: scenario.reshards))
        case .partitions:
            world.install(
                Fault.partitions(
                    seed: scenario.seed, nodeCount: clients.count, count: scenario.crashCount / 2,
                    from: begin, to: end))
        }
        if scenario.serverTimestamps {
            world.install(
                Fault.clockJumps(
                    seed: scenario.seed, nodeCount: clients.count, count: 20, from: begin, to: end))
        }
        openSessions = scenario.partitionCount
        for partition in twins.indices { next(partition) }
        if !world.run(until: end + .seconds(120), { openSessions == 0 }) {
            outcome.violations.append("\(openSessions) sessions did not end")
        } else {
            scan()
        }
        outcome.violations += world.failures + clients.flatMap(\.protocolErrors)
        outcome.violations = outcome.violations.map { "seed \(scenario.seed): \($0)" }
        outcome.deaths = world.nodes.reduce(0) { $0 + Int($1.life) - 1 }
        outcome.jobsEnded = world.jobCount
        outcome.events = world.eventCount
        outcome.trace = world.trace
    }

    private func setUp(until end: VirtualTime) -> Bool {
        let statements = [
            "CREATE KEYSPACE IF NOT EXISTS lab WITH replication = "
                + "{'class': 'SimpleStrategy', 'replication_factor': 3}",
            "CREATE TABLE IF NOT EXISTS lab.rows (p int, a int, b text, s int static, v int, w text, "
                + "PRIMARY KEY (p, a, b)) WITH CLUSTERING ORDER BY (a "
                + "\(firstDescends ? "DESC" : "ASC"), b ASC)",
        ]
        for statement in statements {
            var isDone = false
            insist(statement, QueryOptions(), node: { 0 }) { _ in isDone = true }
            guard world.run(until: end, { isDone }) else { return false }
        }
        return true
    }

    /// Repeats a request until it is answered without an error.
    private func insist(
        _ text: String, _ options: QueryOptions, node: @escaping () -> Int,
        _ completion: @escaping (ResponseMessage) -> Void
    ) {
        clients[node()].query(text, options, timeout: .seconds(3)) { [weak self] outcome in
            guard let self else { return }
            switch outcome {
            case .answer(.error(let answer)):
                switch answer.error {
                case .syntax, .invalid, .protocolError, .serverError:
                    // The table may not be everywhere yet; anything else is a broken node.
                    if self.openSessions > 0, !answer.description.contains("unconfigured table") {
                        self.outcome.violations.append("\(text): \(answer)")
                    }
                default: break
                }
            case .answer(let message):
                completion(message)
                return
            case .timedOut, .connectionLost, .notSent: break
            }
            self.outcome.repetitions += 1
            self.world.schedule(at: self.world.now + .milliseconds(20)) { [weak self] in
                self?.insist(text, options, node: node, completion)
            }
        }
    }

    // MARK: Sessions

    private func coordinator(_ partition: Int) -> Int {
        Int(streams[partition].below(UInt64(clients.count)))
    }

    private func next(_ partition: Int) {
        guard left[partition] > 0 else {
            openSessions -= 1
            return
        }
        left[partition] -= 1
        let pause = streams[partition].within(0...80)
        world.schedule(at: world.now + .milliseconds(pause)) { [weak self] in
            guard let self else { return }
            if self.streams[partition].chance(2, outOf: 5) {
                self.select(partition)
            } else {
                self.change(partition)
            }
        }
    }

    private func change(_ partition: Int) {
        let change = draw(&streams[partition])
        var options = QueryOptions(consistency: .quorum)
        if !scenario.serverTimestamps {
            options.timestamp = SimulatedClock.epochMicroseconds + world.now.nanoseconds / 1_000
        }
        insist(
            change.statement(partition: partition), options,
            node: { [unowned self] in
                scenario.serverTimestamps ? partition % clients.count : coordinator(partition)
            }
        ) { [weak self] _ in
            guard let self else { return }
            self.twins[partition].apply(change)
            self.outcome.statements += 1
            // The next statement has a later timestamp.
            self.world.schedule(at: self.world.now + .microseconds(2)) { [weak self] in
                self?.next(partition)
            }
        }
    }

    private func draw(_ stream: inout RandomStream) -> PartitionTwin.Change {
        let first = Int32(stream.below(8)) - 2
        let key = PartitionTwin.Key(
            first: first, second: ["", "a", "ab", "b", "zz"][Int(stream.below(5))])
        let number: Int32? = stream.chance(1, outOf: 6) ? nil : Int32(stream.below(1_000))
        let length = Int(stream.below(UInt64(scenario.textBytes + 1)))
        let letter = ["x", "y", "z"][Int(stream.below(3))]
        let text: String? =
            stream.chance(1, outOf: 6) ? nil : String(repeating: letter, count: length)
        switch stream.below(20) {
        case 0..<7: return .insert(key, number: number, text: text)
        case 7..<10: return .updateNumber(key, number)
        case 10..<12: return .updateText(key, text)
        case 12: return .setStatic(number)
        case 13..<15: return .deleteNumber(key)
        case 15..<17: return .deleteRow(key)
        case 17: return .deleteRange(low: first, high: first + Int32(stream.below(4)))
        case 18: return .deleteGroup(first)
        default:
            return stream.chance(1, outOf: 4) ? .deletePartition : .setStatic(number)
        }
    }

    private func select(_ partition: Int) {
        var query = PartitionTwin.Query()
        if streams[partition].chance(1, outOf: 2) {
            query.low = Int32(streams[partition].below(8)) - 2
        }
        if streams[partition].chance(1, outOf: 3) {
            query.high = Int32(streams[partition].below(8)) - 1
        }
        query.isReversed = streams[partition].chance(1, outOf: 3)
        if streams[partition].chance(1, outOf: 3) {
            query.limit = 1 + Int(streams[partition].below(6))
        }
        let pageSize: Int? =
            streams[partition].chance(1, outOf: 2) ? 1 + Int(streams[partition].below(5)) : nil
        let text = query.statement(partition: partition, firstDescends: firstDescends)
        let expected = twins[partition].answer(query, firstDescends: firstDescends)
        readPages(
            text, pageSize: pageSize, state: nil, found: [],
            node: { [unowned self] in coordinator(partition) }
        ) { [weak self] found in
            guard let self else { return }
            self.outcome.selects += 1
            if found != expected {
                self.outcome.violations.append(
                    "\(self.world.now) ms: \(text), pages of \(pageSize.map { String($0) } ?? "all"): "
                        + "found \(found.map(Self.shortened)), expected "
                        + "\(expected.map(Self.shortened))")
            }
            self.next(partition)
        }
    }

    private static func shortened(_ line: String) -> String {
        line.utf8.count > 40 ? "\(line.prefix(30))...(\(line.utf8.count))" : line
    }

    private func readPages(
        _ text: String, pageSize: Int?, state: [UInt8]?, found: [String],
        node: @escaping () -> Int, _ completion: @escaping ([String]) -> Void
    ) {
        var options = QueryOptions(consistency: .quorum)
        options.pageSize = pageSize
        options.pagingState = state
        insist(text, options, node: node) { [weak self] message in
            guard let self, case .rows(let rows) = message else {
                completion(found + ["not rows"])
                return
            }
            let all = found + (0..<rows.rowCount).map { Self.line(rows, $0) }
            if let pageSize, rows.rowCount > pageSize {
                completion(all + ["a page of \(rows.rowCount) rows"])
            } else if let state = rows.pagingState, all.count < 10_000 {
                self.readPages(
                    text, pageSize: pageSize, state: state, found: all, node: node, completion)
            } else {
                completion(all)
            }
        }
    }

    private static func line(_ rows: ResultRows, _ row: Int) -> String {
        func number(_ column: Int) -> String? {
            rows.value(row: row, column: column).map { bytes in
                String(bytes.reduce(Int32(0)) { $0 << 8 | Int32($1) })
            }
        }
        func text(_ column: Int) -> String? {
            rows.value(row: row, column: column).map { String(decoding: $0, as: UTF8.self) }
        }
        return PartitionTwin.line(number(0), text(1), number(2), number(3), text(4))
    }

    /// Reads the whole table in small pages, when all sessions have ended.
    private func scan() {
        var found: [String]?
        var turn = 0
        openSessions = 1
        readPages(
            "SELECT a, b, s, v, w FROM lab.rows", pageSize: 3, state: nil, found: [],
            node: { [clients] in
                turn += 1
                return turn % clients.count
            }
        ) { found = $0 }
        guard world.run(until: world.now + .seconds(60), { found != nil }) else {
            outcome.violations.append("the table could not be scanned")
            return
        }
        let expected = twins.flatMap {
            $0.answer(PartitionTwin.Query(), firstDescends: firstDescends)
        }
        // Partitions come in the order of their tokens, so only the sets are compared.
        if found?.sorted() != expected.sorted() {
            outcome.violations.append(
                "a scan found \((found ?? []).map(Self.shortened)), expected "
                    + "\(expected.map(Self.shortened))")
        }
    }
}
