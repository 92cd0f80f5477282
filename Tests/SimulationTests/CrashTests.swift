// Whole rings under crashes and partitions: what was acknowledged is there, as the sync mode
// promises, and the replicas agree again when all is well.

import Environment
import Simulation
import Testing

@Suite struct CrashTests {
    private func check(_ scenario: CrashScenario) -> CrashScenario.Outcome {
        let outcome = scenario.run()
        #expect(outcome.violations.isEmpty, "\(scenario): \(outcome.violations.prefix(5))")
        #expect(
            outcome.acknowledgedWrites > 50 && outcome.answeredReads > 20, "nothing was tested")
        #expect(outcome.deaths > 0 || scenario.trouble == .partitions)
        return outcome
    }

    @Test(arguments: 1...6 as ClosedRange<UInt64>)
    func aKillLosesNothingThatWasAcknowledgedInPeriodicMode(_ seed: UInt64) {
        _ = check(CrashScenario(seed: seed, sync: .periodic, .kills))
    }

    @Test(arguments: 1...6 as ClosedRange<UInt64>)
    func aPowerLossLosesNothingThatWasAcknowledgedInBatchMode(_ seed: UInt64) {
        _ = check(CrashScenario(seed: seed, sync: .batch, .powerLosses))
    }

    @Test(arguments: 1...3 as ClosedRange<UInt64>)
    func aPowerLossLosesNothingThatWasAcknowledgedInGroupMode(_ seed: UInt64) {
        _ = check(CrashScenario(seed: seed, sync: .group, .powerLosses))
    }

    @Test(arguments: 1...4 as ClosedRange<UInt64>)
    func flushesAndCompactionsLoseNothingUnderPowerLosses(_ seed: UInt64) {
        var scenario = CrashScenario(seed: seed, sync: .batch, .powerLosses)
        scenario.keyCount = 60
        scenario.paddingBytes = 4_000
        let outcome = check(scenario)
        #expect(outcome.jobsEnded > 20, "no background work")
    }

    @Test(arguments: 1...4 as ClosedRange<UInt64>)
    func nodesComeBackWithAnotherNumberOfShards(_ seed: UInt64) {
        var scenario = CrashScenario(seed: seed, sync: .periodic, .kills)
        scenario.keyCount = 40
        scenario.paddingBytes = 2_000
        scenario.reshards = true
        _ = check(scenario)
    }

    @Test(arguments: 1...4 as ClosedRange<UInt64>)
    func hintsAloneBringReplicasTogetherAfterPartitions(_ seed: UInt64) {
        _ = check(CrashScenario(seed: seed, sync: .periodic, .partitions))
    }

    /// The control: periodic mode does not promise to survive a power loss, and the checker must
    /// see that it does not.
    @Test func losingPowerInPeriodicModeIsSeenToLoseWrites() {
        let found = (1...60 as ClosedRange<UInt64>).first { seed in
            !CrashScenario(seed: seed, sync: .periodic, .powerLosses).run().violations.isEmpty
        }
        #expect(found != nil)
    }

    @Test func theSameSeedGivesTheSameTraceWithCrashes() {
        var scenario = CrashScenario(seed: 21, sync: .batch, .powerLosses)
        scenario.operationCount = 200
        let first = scenario.run().trace
        #expect(first == scenario.run().trace)
        scenario.seed = 22
        #expect(first != scenario.run().trace)
    }
}
