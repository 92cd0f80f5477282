// Partitions with rows, slices, deletions and pages under crashes, compared with a dumb twin; and
// the twin itself, by hand.

import Environment
import Testing

@testable import Simulation

@Suite struct PartitionTests {
    private func check(_ scenario: PartitionScenario) {
        let outcome = scenario.run()
        #expect(outcome.violations.isEmpty, "\(scenario): \(outcome.violations.prefix(3))")
        #expect(outcome.statements > 50 && outcome.selects > 30, "nothing was tested")
        #expect(outcome.deaths > 0 || scenario.trouble == .partitions)
    }

    @Test(arguments: 1...6 as ClosedRange<UInt64>)
    func rowsAreTheTwinsUnderKills(_ seed: UInt64) {
        check(PartitionScenario(seed: seed, sync: .periodic, .kills))
    }

    @Test(arguments: 1...4 as ClosedRange<UInt64>)
    func rowsAreTheTwinsUnderPowerLossesAndFlushes(_ seed: UInt64) {
        var scenario = PartitionScenario(seed: seed, sync: .batch, .powerLosses)
        scenario.textBytes = 3_000
        check(scenario)
    }

    @Test(arguments: [12, 39, 49, 1, 2] as [UInt64])
    func rowsAreTheTwinsUnderPartitions(_ seed: UInt64) {
        check(PartitionScenario(seed: seed, sync: .periodic, .partitions))
    }

    @Test(arguments: 1...3 as ClosedRange<UInt64>)
    func rowsAreTheTwinsWhenNodesChangeTheirShards(_ seed: UInt64) {
        var scenario = PartitionScenario(seed: seed, sync: .periodic, .kills)
        scenario.textBytes = 1_500
        scenario.reshards = true
        check(scenario)
    }

    @Test(arguments: 1...4 as ClosedRange<UInt64>, [CrashScenario.Trouble.kills, .powerLosses])
    func whatANodeStampsInALaterLifeWinsHoweverItsClockJumps(
        _ seed: UInt64, _ trouble: CrashScenario.Trouble
    ) {
        var scenario = PartitionScenario(seed: seed, sync: .batch, trouble)
        scenario.serverTimestamps = true
        check(scenario)
    }

    @Test(arguments: 1...4 as ClosedRange<UInt64>)
    func whatANodeStampsLaterWinsHoweverItsClockJumps(_ seed: UInt64) {
        var scenario = PartitionScenario(seed: seed, sync: .periodic, .partitions)
        scenario.serverTimestamps = true
        check(scenario)
    }

    @Test func theTwinShowsWhatCQLShows() {
        var twin = PartitionTwin()
        let key = PartitionTwin.Key(first: 1, second: "a")
        let all = PartitionTwin.Query()
        twin.apply(.setStatic(9))
        #expect(twin.answer(all, firstDescends: false) == ["null|null|9|null|null"])
        #expect(twin.answer(.init(low: 0), firstDescends: false) == [])
        twin.apply(.updateNumber(key, 5))
        #expect(twin.answer(all, firstDescends: false) == ["1|a|9|5|null"])
        twin.apply(.deleteNumber(key))
        #expect(twin.rows.isEmpty, "a row of an UPDATE ends with its last value")
        twin.apply(.insert(key, number: nil, text: nil))
        twin.apply(.deleteNumber(key))
        #expect(twin.answer(all, firstDescends: false) == ["1|a|9|null|null"])
        twin.apply(.insert(.init(first: 2, second: ""), number: 1, text: "x"))
        #expect(
            twin.answer(.init(isReversed: true, limit: 1), firstDescends: false)
                == ["2||9|1|x"])
        #expect(twin.answer(.init(high: 2), firstDescends: true) == ["1|a|9|null|null"])
        twin.apply(.deleteRange(low: 1, high: 2))
        #expect(twin.answer(all, firstDescends: false) == ["2||9|1|x"])
        twin.apply(.deletePartition)
        #expect(twin.answer(all, firstDescends: false) == [])
    }
}
