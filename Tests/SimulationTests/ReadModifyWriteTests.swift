// Conditional writes, counters and logged batches under loss, partitions, kills, power losses and clocks
// that jump: linearizable, inside the unknown band, all or nothing.

import Environment
import Simulation
import Testing

@Suite struct ReadModifyWriteTests {
    private func check(_ scenario: ReadModifyWriteScenario) {
        let outcome = scenario.run()
        #expect(outcome.violations.isEmpty, "\(scenario): \(outcome.violations.prefix(5))")
        #expect(outcome.acknowledged > 20, "nothing was tested: \(outcome)")
    }

    @Test(arguments: 1...6 as ClosedRange<UInt64>)
    func conditionalWritesAreLinearizableUnderKills(_ seed: UInt64) {
        check(ReadModifyWriteScenario(seed: seed, .registers, sync: .periodic, .kills))
    }

    @Test(arguments: 1...6 as ClosedRange<UInt64>)
    func conditionalWritesAreLinearizableUnderPartitionsAndJumpingClocks(_ seed: UInt64) {
        var scenario = ReadModifyWriteScenario(
            seed: seed, .registers, sync: .periodic, .partitions)
        scenario.clocksJump = true
        check(scenario)
    }

    /// Promises, acceptances and increments are synced in every mode.
    @Test(arguments: 1...6 as ClosedRange<UInt64>)
    func conditionalWritesSurvivePowerLossesInPeriodicMode(_ seed: UInt64) {
        check(ReadModifyWriteScenario(seed: seed, .registers, sync: .periodic, .powerLosses))
    }

    @Test(arguments: 1...4 as ClosedRange<UInt64>)
    func conditionalWritesSurvivePowerLossesInBatchMode(_ seed: UInt64) {
        check(ReadModifyWriteScenario(seed: seed, .registers, sync: .batch, .powerLosses))
    }

    @Test(arguments: 1...5 as ClosedRange<UInt64>)
    func countersStayInTheUnknownBandUnderKills(_ seed: UInt64) {
        check(ReadModifyWriteScenario(seed: seed, .counters, sync: .periodic, .kills))
    }

    @Test(arguments: 1...5 as ClosedRange<UInt64>)
    func countersStayInTheUnknownBandUnderPartitionsAndJumpingClocks(_ seed: UInt64) {
        var scenario = ReadModifyWriteScenario(
            seed: seed, .counters, sync: .periodic, .partitions)
        scenario.clocksJump = true
        check(scenario)
    }

    @Test(arguments: 1...5 as ClosedRange<UInt64>)
    func loggedBatchesAreAllOrNothingUnderKills(_ seed: UInt64) {
        check(ReadModifyWriteScenario(seed: seed, .batches, sync: .periodic, .kills))
    }

    @Test(arguments: 1...5 as ClosedRange<UInt64>)
    func loggedBatchesAreAllOrNothingUnderPartitions(_ seed: UInt64) {
        check(ReadModifyWriteScenario(seed: seed, .batches, sync: .periodic, .partitions))
    }

    /// The control: where one answer counts as a majority, the checker must find it.
    @Test func aMajorityOfOneIsSeenNotToBeLinearizable() {
        let found = (1...40 as ClosedRange<UInt64>).first { seed in
            var scenario = ReadModifyWriteScenario(
                seed: seed, .registers, sync: .periodic, .partitions)
            scenario.plantsBug = true
            return !scenario.run().violations.isEmpty
        }
        #expect(found != nil)
    }

    @Test func theSameSeedGivesTheSameTrace() {
        let scenario = ReadModifyWriteScenario(seed: 3, .registers, sync: .periodic, .kills)
        #expect(scenario.run().trace == scenario.run().trace)
    }
}
