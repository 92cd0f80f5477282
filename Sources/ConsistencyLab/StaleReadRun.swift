// One run of the experiment: one ring, one pair of consistency levels, one plan.

internal import Environment
package import Model
package import Simulation

/// The levels at which writes and reads are done.
package struct ConsistencyPair: Hashable, Sendable, CustomStringConvertible {
    package let write: ConsistencyLevel
    package let read: ConsistencyLevel

    package init(write: ConsistencyLevel, read: ConsistencyLevel) {
        self.write = write
        self.read = read
    }

    /// Every pair of ONE and QUORUM.
    package static let all: [ConsistencyPair] = [
        ConsistencyPair(write: .one, read: .one), ConsistencyPair(write: .one, read: .quorum),
        ConsistencyPair(write: .quorum, read: .one), ConsistencyPair(write: .quorum, read: .quorum),
    ]

    /// How many of `replicas` answer for a level of this experiment.
    static func answers(_ level: ConsistencyLevel, replicas: Int) -> Int {
        level == .quorum ? replicas / 2 + 1 : 1
    }

    /// Whether every read meets every acknowledged write on some replica: W + R > N.
    package func overlaps(replicas: Int) -> Bool {
        Self.answers(write, replicas: replicas) + Self.answers(read, replicas: replicas) > replicas
    }

    package var description: String { "(\(write), \(read))" }
}

/// What one run gave.
package struct StaleReadResult: Sendable {
    package var pair: ConsistencyPair
    package var operations = 0
    package var writes = 0
    package var acknowledgedWrites = 0
    package var refusedWrites = 0
    package var writeTimeouts = 0
    package var reads = 0
    package var answeredReads = 0
    package var refusedReads = 0
    package var readTimeouts = 0
    package var staleReads = 0
    /// Nanoseconds for which a stale read's value had been out of date.
    package var staleAges = Distribution([])
    package var versionsBehind = Distribution([])
    /// Reads that showed an acknowledged write lost to last-write-wins, and how many writes that
    /// were.
    package var lostToLastWriteWinsReads = 0
    package var lostToLastWriteWinsWrites = 0
    /// What must not be, whatever the levels: impossible reads, protocol errors, nodes that ended.
    package var violations: [String] = []
    package var example: [String] = []
    package var trace = TraceHash()
    package var events: UInt64 = 0
    package var virtualTime = VirtualTime.zero
    /// When each operation was invoked, by its number in the plan.
    package var invocationTimes: [Int: VirtualTime] = [:]

    package init(pair: ConsistencyPair) { self.pair = pair }

    /// Whether the run showed what its levels rule out: a stale read although W + R > N.
    package var breaksPromise: Bool {
        staleReads > 0 && pair.overlaps(replicas: StaleReadPlan.nodeCount)
    }
}

/// Runs the experiment.
package enum StaleReadRun {
    /// Runs one pair of levels to its end; `traceSink` gets a line for each delivery.
    package static func run(
        _ options: StaleReadOptions, _ pair: ConsistencyPair, plan: StaleReadPlan,
        traceSink: ((String) -> Void)? = nil
    ) -> StaleReadResult {
        var settings = WorldSettings(
            seed: options.seed, configuration: .simulation(seed: options.seed))
        settings.nodeCount = StaleReadPlan.nodeCount
        settings.clocks = StaleReadPlan.clocks(options)
        settings.configuration.requests.plantedBugCountsOneAnswerAsQuorum = options.plantsBug
        settings.network.delays = [options.model.write, options.model.other]
        settings.network.classify = SimulatedRing.isMutation
        let world = SimulatedRing.makeWorld(settings)
        world.traceSink = traceSink
        let log = FactLog(
            world: world,
            tokens: (0..<StaleReadPlan.keyCount).map(RegisterWorkload.token(ofKey:)))
        world.observer = log
        world.startAll()

        var result = StaleReadResult(pair: pair)
        let workload = RegisterWorkload(
            world: world, keyCount: StaleReadPlan.keyCount, clientTimeout: .seconds(10),
            protocolVersion: settings.seed % 2 == 0 ? 4 : 5)
        let problem = workload.setUp(
            replicationFactor: StaleReadPlan.nodeCount, until: StaleReadPlan.begin)
        if let problem {
            result.violations.append("the table could not be made: \(problem)")
        } else {
            world.install(plan.faults)
            workload.schedule(plan.operations, writing: pair.write, reading: pair.read)
            if !workload.finish(until: plan.end + .seconds(60)) {
                result.violations.append("some operations were never answered")
            }
        }
        var history = workload.history
        if options.timestamps == .server {
            log.attributeTimestamps(&history, token: RegisterWorkload.token(ofKey:))
        }
        result.violations += world.failures + workload.protocolErrors
        result.trace = world.trace
        result.events = world.eventCount
        result.virtualTime = world.now
        judge(history, log, &result)
        return result
    }

    private static func judge(
        _ history: [RegisterOperation], _ log: FactLog, _ result: inout StaleReadResult
    ) {
        result.operations = history.count
        for operation in history {
            result.invocationTimes[operation.id] = operation.invoked
            switch (operation.kind, operation.outcome) {
            case (.write, .acknowledged): result.acknowledgedWrites += 1
            case (.write, .refused): result.refusedWrites += 1
            case (.write, _): result.writeTimeouts += 1
            case (.read, .value): result.answeredReads += 1
            case (.read, .refused): result.refusedReads += 1
            case (.read, _): result.readTimeouts += 1
            }
            if operation.kind == .read { result.reads += 1 } else { result.writes += 1 }
        }
        let verdict = RegisterChecker(history).check()
        result.violations += verdict.impossible
        result.staleReads = verdict.staleReads.count
        result.staleAges = Distribution(verdict.staleReads.map(\.ageNanoseconds))
        result.versionsBehind = Distribution(verdict.staleReads.map { Int64($0.versionsBehind) })
        result.lostToLastWriteWinsReads = Set(verdict.lostToLastWriteWins.map(\.read.id)).count
        result.lostToLastWriteWinsWrites = Set(verdict.lostToLastWriteWins.map(\.loser.id)).count
        let explainer = Explainer(log: log, pair: result.pair, replicas: StaleReadPlan.nodeCount)
        if let worst = verdict.staleReads.max(by: { $0.ageNanoseconds < $1.ageNanoseconds }) {
            result.example = explainer.explain(worst)
        } else if let lost = verdict.lostToLastWriteWins.first {
            result.example = explainer.explain(lost)
        }
    }
}
