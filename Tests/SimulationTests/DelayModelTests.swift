// The delay tables against the expectations of the PBS paper's own rule: a Monte Carlo of WARS.

import Environment
import Testing

@testable import Simulation

@Suite struct DelayModelTests {
    /// The chance that a read `t` after a write's acknowledgement sees it, of three replicas.
    private func freshness(
        _ model: PBSModel, read: Int, write: Int, trials: Int, delayMilliseconds: Int64
    ) -> Double {
        var stream = RandomStream(seed: 1, name: "wars \(model.rawValue) \(read) \(write)")
        var fresh = 0
        for _ in 0..<trials {
            let writes = (0..<3).map { _ in model.write.sample(&stream) }
            let acknowledgements = writes.map { $0 + model.other.sample(&stream) }
            let requests = (0..<3).map { _ in model.other.sample(&stream) }
            let responses = requests.map { $0 + model.other.sample(&stream) }
            let committed = acknowledgements.sorted()[write - 1]
            let order = (0..<3).sorted { responses[$0] < responses[$1] }
            let start = committed + delayMilliseconds * 1_000_000
            if order.prefix(read).contains(where: { start + requests[$0] >= writes[$0] }) {
                fresh += 1
            }
        }
        return Double(fresh) / Double(trials)
    }

    @Test(arguments: [
        (PBSModel.linkedInSSD, 1, 1, 0, 0.9735), (.linkedInSSD, 2, 1, 0, 0.9994),
        (.linkedInDisk, 1, 1, 0, 0.4366), (.linkedInDisk, 1, 1, 5, 0.818),
        (.linkedInDisk, 1, 1, 10, 0.926), (.linkedInDisk, 1, 2, 0, 0.7125),
        (.linkedInDisk, 2, 1, 0, 0.7634), (.linkedInDisk, 2, 1, 5, 0.975),
        (.yammer, 1, 1, 0, 0.8878), (.yammer, 1, 1, 10, 0.939), (.yammer, 2, 1, 0, 0.99),
    ])
    func tablesGiveTheFreshnessOfThePaper(
        _ model: PBSModel, _ read: Int, _ write: Int, _ milliseconds: Int, _ expected: Double
    ) {
        let found = freshness(
            model, read: read, write: write, trials: 40_000,
            delayMilliseconds: Int64(milliseconds))
        // Four standard deviations of 40,000 trials at one half are 1 %.
        #expect(abs(found - expected) < 0.01, "\(model) R \(read) W \(write): \(found)")
    }

    @Test(arguments: PBSModel.allCases)
    func overlappingQuorumsAreAlwaysFresh(_ model: PBSModel) {
        for (read, write) in [(2, 2), (1, 3), (3, 1)] {
            #expect(
                freshness(model, read: read, write: write, trials: 2_000, delayMilliseconds: 0) == 1
            )
        }
    }

    @Test func logarithmAndExponentialAreExactEnough() {
        for value in [1e-12, 0.001, 0.3, 0.7071, 1, 1.5, 2, 10, 12_345.678] {
            let back = DeterministicMath.exponential(DeterministicMath.logarithm(value))
            #expect(abs(back - value) <= value * 1e-13)
        }
        #expect(abs(DeterministicMath.logarithm(10) - 2.302_585_092_994_046) < 1e-14)
        #expect(abs(DeterministicMath.exponential(1) - 2.718_281_828_459_045) < 1e-14)
    }

    /// Golden figures: another machine, build or library must draw the very same delays.
    @Test func drawsAreTheSameEverywhere() {
        var stream = RandomStream(seed: 7, name: "golden")
        let drawn = (0..<6).map { _ in PBSModel.linkedInDisk.write.sample(&stream) }
        #expect(drawn == Self.golden, "\(drawn)")
    }

    private static let golden: [Int64] = [
        1_448_498, 207_883, 7_559_550, 25_101_390, 1_093_631, 1_463_297,
    ]
}
