// A node that dies at each effect and disk operation of a stretch of writes, one after the other: what
// it acknowledged before is there when it comes back.

import Environment
import Model
import Simulation
import Testing

@Suite struct KillPointTests {
    private func run(
        sync: Configuration.CommitLogSync, kind: Fault.Kind, seed: UInt64
    ) -> (acknowledged: Int, violations: [String], died: Bool) {
        var settings = WorldSettings(seed: seed, configuration: .simulation(seed: seed))
        settings.nodeCount = 1
        settings.shardCounts = [1]
        settings.configuration.storage.commitLogSync = sync
        settings.configuration.storage.memtableBytes = 64 << 10
        settings.configuration.storage.commitLogSegmentBytes = 32 << 10
        let world = SimulatedRing.makeWorld(settings)
        world.startAll()
        let begin = VirtualTime.milliseconds(10_000)
        let workload = RegisterWorkload(
            world: world, keyCount: 10, clientTimeout: .seconds(1), paddingBytes: 4_000)
        if let problem = workload.setUp(replicationFactor: 1, until: begin) {
            return (0, [problem], false)
        }
        var versions = [Int64](repeating: 0, count: 10)
        let plan = (0..<50).map { id in
            versions[id % 10] += 1
            let at = begin + .microseconds(Int64(id) * 2_000)
            return PlannedOperation(
                id: id, at: at, coordinator: 0, key: id % 10,
                kind: .write(version: versions[id % 10]), timestamp: 1_000_000 + Int64(id))
        }
        workload.schedule(plan, writing: .one, reading: .one)
        world.install([
            Fault(at: begin + .milliseconds(20), kind),
            Fault(at: begin + .milliseconds(1_000), .restart(node: 0)),
        ])
        var violations: [String] = []
        if !workload.finish(until: begin + .seconds(30)) { violations.append("never answered") }
        world.run(until: begin + .seconds(5))
        let checker = RegisterChecker(workload.history)
        if let all = workload.readAll(
            coordinator: 0, consistency: .one, until: world.now + .seconds(20))
        {
            violations += checker.checkFinalState(all)
        } else {
            violations.append("cannot be read")
        }
        violations += world.failures
        return (
            workload.history.count { $0.isAcknowledgedWrite }, violations, world.nodes[0].life > 1
        )
    }

    @Test func acknowledgedImpliesRecoveredWhereverAKillFalls() {
        var acknowledged = 0
        for effects in 1...120 {
            let outcome = run(
                sync: .periodic, kind: .kill(node: 0, afterEffects: effects), seed: 3)
            #expect(outcome.violations.isEmpty, "after \(effects): \(outcome.violations.prefix(3))")
            #expect(outcome.died)
            acknowledged += outcome.acknowledged
        }
        #expect(acknowledged > 120 * 5)
    }

    @Test(arguments: [Configuration.CommitLogSync.batch, .group])
    func acknowledgedImpliesRecoveredWhereverAPowerLossFalls(sync: Configuration.CommitLogSync) {
        for effects in stride(from: 1, through: 120, by: 2) {
            let outcome = run(
                sync: sync, kind: .powerLoss(node: 0, afterEffects: effects), seed: 4)
            #expect(outcome.violations.isEmpty, "after \(effects): \(outcome.violations.prefix(3))")
            #expect(outcome.died)
        }
    }
}
