// A ring in trouble, and what must be true of it: registers written and read at QUORUM while nodes
// crash, lose power or are cut off; afterwards what was acknowledged is there, as the sync mode
// promises, and the replicas agree.
//
// What is promised: a kill loses nothing in any sync mode; a power loss loses nothing in the modes
// `batch` and `group`. So QUORUM reads are never stale under either, however many nodes are down,
// and at the end a read at ALL shows the winner of all acknowledged writes. After partitions alone,
// hints must have brought every replica up to date without any read.

package import Environment
internal import Model

/// One run of a ring in trouble.
package struct CrashScenario: Sendable {
    /// What happens to the nodes.
    package enum Trouble: String, Sendable, CaseIterable {
        case kills
        case powerLosses = "power-losses"
        case partitions
    }

    package var seed: UInt64
    package var sync: Configuration.CommitLogSync
    package var trouble: Trouble
    package var keyCount = 20
    package var operationCount = 600
    /// With padding the memtables fill, so that flushes and compactions meet the crashes.
    package var paddingBytes = 0
    package var crashCount = 8
    /// Nodes come back with another number of shards.
    package var reshards = false

    package init(seed: UInt64, sync: Configuration.CommitLogSync, _ trouble: Trouble) {
        self.seed = seed
        self.sync = sync
        self.trouble = trouble
    }

    /// What a run gave.
    package struct Outcome: Sendable {
        /// One sentence for each broken promise, with the seed.
        package var violations: [String] = []
        package var acknowledgedWrites = 0
        package var answeredReads = 0
        /// How many lives ended.
        package var deaths = 0
        package var jobsEnded = 0
        package var events: UInt64 = 0
        package var trace = TraceHash()
    }

    private static let nodeCount = 3
    private static let begin = VirtualTime.milliseconds(10_000)
    private static let gapMicroseconds: Int64 = 10_000
    private var end: VirtualTime {
        Self.begin + .microseconds(Int64(operationCount) * Self.gapMicroseconds)
    }

    private func makeWorld() -> SimulatedWorld {
        var settings = WorldSettings(seed: seed, configuration: .simulation(seed: seed))
        settings.configuration.storage.commitLogSync = sync
        settings.network.straggleChance = 10_000
        settings.network.duplicateChance = 10_000
        settings.network.lossChance = trouble == .partitions ? 0 : 5_000
        settings.stepCost = .uniform(0...20_000)
        return SimulatedRing.makeWorld(settings)
    }

    private func makePlan() -> [PlannedOperation] {
        var versions = [Int64](repeating: 0, count: keyCount)
        return (0..<operationCount).map { id in
            var stream = RandomStream(seed: seed, name: "operation \(id)")
            let at =
                Self.begin
                + .microseconds(Int64(id) * Self.gapMicroseconds + stream.within(0...9_000))
            let key = Int(stream.below(UInt64(keyCount)))
            var kind = RegisterOperation.Kind.read
            var timestamp: Int64?
            if stream.chance(2, outOf: 3) {
                versions[key] += 1
                kind = .write(version: versions[key])
                timestamp = SimulatedClock.epochMicroseconds + at.nanoseconds / 1_000
            }
            return PlannedOperation(
                id: id, at: at, coordinator: Int(stream.below(UInt64(Self.nodeCount))), key: key,
                kind: kind, timestamp: timestamp)
        }
    }

    private func makeFaults() -> [Fault] {
        switch trouble {
        case .kills, .powerLosses:
            Fault.crashes(
                seed: seed, nodeCount: Self.nodeCount, count: crashCount, from: Self.begin, to: end,
                powerLoss: trouble == .powerLosses, reshards: reshards)
        case .partitions:
            Fault.partitions(
                seed: seed, nodeCount: Self.nodeCount, count: crashCount / 2, from: Self.begin,
                to: end)
        }
    }

    /// Runs it to its end; `traceSink` gets a line for each delivery.
    package func run(traceSink: ((String) -> Void)? = nil) -> Outcome {
        let world = makeWorld()
        world.traceSink = traceSink
        world.startAll()
        let workload = RegisterWorkload(
            world: world, keyCount: keyCount, clientTimeout: .seconds(3),
            protocolVersion: UInt8(3 + seed % 3), paddingBytes: paddingBytes)
        var outcome = Outcome()
        if let problem = workload.setUp(replicationFactor: Self.nodeCount, until: Self.begin) {
            outcome.violations = ["seed \(seed): the table could not be made: \(problem)"]
            return outcome
        }
        world.install(makeFaults())
        workload.schedule(makePlan(), writing: .quorum, reading: .quorum)
        if !workload.finish(until: end + .seconds(60)) {
            outcome.violations.append("some operations were never answered")
        }
        world.run(until: end + .seconds(30))
        outcome.violations += judge(world, workload)
        outcome.violations += world.failures + workload.protocolErrors + workload.mixedRows
        outcome.violations = outcome.violations.map { "seed \(seed): \($0)" }
        outcome.acknowledgedWrites = workload.history.count { $0.isAcknowledgedWrite }
        outcome.answeredReads = workload.history.count {
            if case .value = $0.outcome { true } else { false }
        }
        outcome.deaths = world.nodes.reduce(0) { $0 + Int($1.life) - 1 }
        outcome.jobsEnded = world.jobCount
        outcome.events = world.eventCount
        outcome.trace = world.trace
        return outcome
    }

    private func judge(_ world: SimulatedWorld, _ workload: RegisterWorkload) -> [String] {
        let checker = RegisterChecker(workload.history)
        let verdict = checker.check()
        var violations = verdict.impossible
        violations += verdict.staleReads.map { stale in
            "read #\(stale.read.id) of key \(stale.read.key) at QUORUM missed "
                + "\(stale.versionsBehind) acknowledged writes, the newest is "
                + "#\(stale.missed.last?.id ?? -1)"
        }
        if trouble == .partitions {
            for node in 0..<Self.nodeCount {
                guard let values = read(world, workload, node, .one) else {
                    violations.append("node \(node) cannot be read at ONE")
                    continue
                }
                violations += checker.checkFinalState(values).map { "node \(node) at ONE: \($0)" }
            }
        }
        guard let all = read(world, workload, 0, .all) else {
            return violations + ["the ring cannot be read at ALL"]
        }
        violations += checker.checkFinalState(all)
        for node in 0..<Self.nodeCount where read(world, workload, node, .one) != all {
            violations.append("node \(node) differs at ONE after everything was read at ALL")
        }
        return violations
    }

    private func read(
        _ world: SimulatedWorld, _ workload: RegisterWorkload, _ node: Int,
        _ consistency: ConsistencyLevel
    ) -> [Int64?]? {
        workload.readAll(
            coordinator: node, consistency: consistency, until: world.now + .seconds(20))
    }
}
