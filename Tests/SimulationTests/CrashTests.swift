// Whole rings under crashes and partitions: what was acknowledged is there, as the sync mode promises,
// and the replicas agree again when all is well.

import Environment
import Model
import Simulation
import Testing

@Suite struct CrashTests {
    private struct Outcome {
        var violations: [String] = []
        var acknowledged = 0
        var answeredReads = 0
        var deaths = 0
        var trace = TraceHash()
    }

    private enum Trouble { case kills, powerLosses, partitions }

    private func run(
        _ seed: UInt64, sync: Configuration.CommitLogSync, _ trouble: Trouble,
        keyCount: Int = 20, operationCount: Int = 600
    ) -> Outcome {
        var settings = WorldSettings(seed: seed, configuration: .simulation(seed: seed))
        settings.configuration.storage.commitLogSync = sync
        settings.network.straggleChance = 10_000
        settings.network.duplicateChance = 10_000
        settings.network.lossChance = trouble == .partitions ? 0 : 5_000
        settings.stepCost = .uniform(0...20_000)
        let world = SimulatedRing.makeWorld(settings)
        world.startAll()
        let workload = RegisterWorkload(
            world: world, keyCount: keyCount, clientTimeout: .seconds(3),
            protocolVersion: UInt8(3 + seed % 3))
        var outcome = Outcome()
        let begin = VirtualTime.milliseconds(10_000)
        if let problem = workload.setUp(replicationFactor: 3, until: begin) {
            return Outcome(violations: ["seed \(seed): \(problem)"])
        }
        var versions = [Int64](repeating: 0, count: keyCount)
        var plan: [PlannedOperation] = []
        for id in 0..<operationCount {
            var stream = RandomStream(seed: seed, name: "operation \(id)")
            let at = begin + .microseconds(Int64(id) * 10_000 + stream.within(0...9_000))
            let key = Int(stream.below(UInt64(keyCount)))
            var kind = RegisterOperation.Kind.read
            if stream.chance(2, outOf: 3) {
                versions[key] += 1
                kind = .write(version: versions[key])
            }
            plan.append(
                PlannedOperation(
                    id: id, at: at, coordinator: Int(stream.below(3)), key: key, kind: kind,
                    timestamp: kind == .read
                        ? nil : SimulatedClock.epochMicroseconds + at.nanoseconds / 1_000))
        }
        let end = begin + .microseconds(Int64(operationCount) * 10_000)
        switch trouble {
        case .kills, .powerLosses:
            world.install(
                Fault.crashes(
                    seed: seed, nodeCount: 3, count: 8, from: begin, to: end,
                    powerLoss: trouble == .powerLosses))
        case .partitions:
            world.install(
                Fault.partitions(seed: seed, nodeCount: 3, count: 4, from: begin, to: end))
        }
        workload.schedule(plan, writing: .quorum, reading: .quorum)
        if !workload.finish(until: end + .seconds(60)) {
            outcome.violations.append("some operations were never answered")
        }
        world.run(until: end + .seconds(30))

        let checker = RegisterChecker(workload.history)
        let verdict = checker.check()
        outcome.violations += verdict.impossible
        outcome.violations += verdict.staleReads.map { stale in
            "read \(stale.read.id) at QUORUM missed \(stale.versionsBehind) acknowledged writes"
        }
        if trouble == .partitions {
            // Hints alone must have brought every replica up to date.
            for node in 0..<3 {
                let values = workload.readAll(
                    coordinator: node, consistency: .one, until: world.now + .seconds(20))
                outcome.violations +=
                    values.map { checker.checkFinalState($0).map { "node \(node) at ONE: \($0)" } }
                    ?? ["node \(node) cannot be read at ONE"]
            }
        }
        let all = workload.readAll(coordinator: 0, consistency: .all, until: world.now + .seconds(20))
        outcome.violations += all.map(checker.checkFinalState) ?? ["the ring cannot be read at ALL"]
        for node in 0..<3 {
            let values = workload.readAll(
                coordinator: node, consistency: .one, until: world.now + .seconds(20))
            if values != all {
                outcome.violations.append("node \(node) differs at ONE after a read at ALL")
            }
        }
        outcome.violations += world.failures + workload.protocolErrors
        outcome.violations = outcome.violations.map { "seed \(seed): \($0)" }
        outcome.acknowledged = workload.history.count { $0.isAcknowledgedWrite }
        outcome.answeredReads = workload.history.count {
            if case .value = $0.outcome { true } else { false }
        }
        outcome.deaths = world.nodes.reduce(0) { $0 + Int($1.life) } - 3
        outcome.trace = world.trace
        return outcome
    }

    private func check(_ outcome: Outcome, deathsExpected: Bool) {
        #expect(outcome.violations.isEmpty, "\(outcome.violations.prefix(5))")
        #expect(outcome.acknowledged > 50 && outcome.answeredReads > 20, "nothing was tested")
        #expect(outcome.deaths > 0 || !deathsExpected)
    }

    @Test(arguments: 1...8 as ClosedRange<UInt64>)
    func aKillLosesNothingThatWasAcknowledgedInPeriodicMode(_ seed: UInt64) {
        check(run(seed, sync: .periodic, .kills), deathsExpected: true)
    }

    @Test(arguments: 1...8 as ClosedRange<UInt64>)
    func aPowerLossLosesNothingThatWasAcknowledgedInBatchMode(_ seed: UInt64) {
        check(run(seed, sync: .batch, .powerLosses), deathsExpected: true)
    }

    @Test(arguments: 1...4 as ClosedRange<UInt64>)
    func aPowerLossLosesNothingThatWasAcknowledgedInGroupMode(_ seed: UInt64) {
        check(run(seed, sync: .group, .powerLosses), deathsExpected: true)
    }

    @Test(arguments: 1...6 as ClosedRange<UInt64>)
    func hintsAloneBringReplicasTogetherAfterPartitions(_ seed: UInt64) {
        check(run(seed, sync: .periodic, .partitions), deathsExpected: false)
    }

    @Test func theSameSeedGivesTheSameTraceWithCrashes() {
        let first = run(21, sync: .batch, .powerLosses, operationCount: 200)
        let second = run(21, sync: .batch, .powerLosses, operationCount: 200)
        #expect(first.trace == second.trace)
        #expect(first.trace != run(22, sync: .batch, .powerLosses, operationCount: 200).trace)
    }
}
