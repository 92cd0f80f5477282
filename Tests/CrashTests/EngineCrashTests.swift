// One shard's engine that dies, and disks that lie. `coterie lab crash` runs many more of the same.

import Simulation
import Testing

@Suite struct EngineCrashTests {
    private func check(_ test: EngineCrashCase) -> EngineCrashRun.Outcome {
        let outcome = EngineCrashRun(test).run()
        #expect(
            outcome.violations.isEmpty,
            "coterie lab crash \(test.options)\n\(outcome.violations.joined(separator: "\n"))")
        return outcome
    }

    @Test func everythingPromisedSurvivesFaultsOfAllKinds() {
        var survey = EngineCrashSurvey()
        for seed in UInt64(1)...70 { survey.add(check(EngineCrashCase(seed: seed))) }
        #expect(survey.strikes > 300, "\(survey.text)")
        #expect(survey.flips > 40 && survey.reports > 10, "\(survey.text)")
    }

    /// A kill and a loss of power at every single point of a short life.
    @Test func thereIsNoPointAtWhichDyingBreaksAPromise() {
        var survey = EngineCrashSurvey()
        for test in EngineCrashCase.sweep(seed: 3, operationCount: 30) {
            survey.add(check(test))
        }
        #expect(survey.deaths > 80, "\(survey.text)")
    }

    /// The control: with a promise that nobody gave, the test must fail, and its case become small.
    @Test func aBrokenPromiseIsFoundAndMadeSmall() throws {
        let found = (UInt64(1)...40).lazy.map { EngineCrashCase(seed: $0) }.first {
            !EngineCrashRun($0, believesPowerLossesKeepAppends: true).run().violations.isEmpty
        }
        let failing = try #require(found, "losing power was never seen to lose anything")
        var minimiser = EngineCrashMinimiser(believesPowerLossesKeepAppends: true)
        let small = minimiser.minimised(failing)
        #expect(
            small.operations.count <= failing.operations.count / 8 && small.faults.count <= 2,
            "\(small.options)")
        #expect(
            !EngineCrashRun(small, believesPowerLossesKeepAppends: true).run().violations.isEmpty)
    }

    @Test func aCaseIsTheSameEachTime() throws {
        let test = EngineCrashCase(seed: 11)
        #expect(EngineCrashRun(test).run().events == EngineCrashRun(test).run().events)
    }

    @Test func aCaseIsReadBackFromItsText() throws {
        for text in ["power@12+5/3", "kill@0+0", "flip@7+39"] {
            #expect(EngineFault(text).map { "\($0)" } == text)
        }
        #expect(EngineFault("kill@12") == nil)
        #expect(EngineFault("drown@1+1") == nil)
        #expect(NumberList.text([0, 1, 2, 5, 7, 8]) == "0..2,5,7..8")
        #expect(NumberList.parse("0..2,5,7..8") == [0, 1, 2, 5, 7, 8])
        #expect(NumberList.parse("5,4") == nil)
        #expect(NumberList.parse("none") == [])
    }
}
