// Makes a failing case smaller: fewer faults, then fewer operations in ever smaller pieces (Zeller and
// Hildebrandt, "Simplifying and isolating failure-inducing input", 2002), as long as it still fails.

/// Finds a small case that breaks a promise.
package struct EngineCrashMinimiser {
    /// Runs that it may take.
    package var budget = 3_000
    package private(set) var runs = 0

    private let believesPowerLossesKeepAppends: Bool

    /// The argument is that of the runs.
    package init(believesPowerLossesKeepAppends: Bool = false) {
        self.believesPowerLossesKeepAppends = believesPowerLossesKeepAppends
    }

    private mutating func fails(_ test: EngineCrashCase) -> Bool {
        runs += 1
        let run = EngineCrashRun(
            test, believesPowerLossesKeepAppends: believesPowerLossesKeepAppends)
        return !run.run().violations.isEmpty
    }

    /// A case that fails like `test` and from which nothing more can be taken, or the best one within
    /// the budget. `test` must fail.
    package mutating func minimised(_ test: EngineCrashCase) -> EngineCrashCase {
        var best = test
        var before: EngineCrashCase
        repeat {
            before = best
            dropFaults(&best)
            dropOperations(&best)
        } while best != before && runs < budget
        return best
    }

    private mutating func dropFaults(_ best: inout EngineCrashCase) {
        var index = 0
        while index < best.faults.count, runs < budget {
            var smaller = best
            smaller.faults.remove(at: index)
            if fails(smaller) {
                best = smaller
                continue
            }
            smaller = best
            if smaller.faults[index].again != nil {
                smaller.faults[index].again = nil
                if fails(smaller) { best = smaller }
            }
            index += 1
        }
    }

    private mutating func dropOperations(_ best: inout EngineCrashCase) {
        var piece = max(best.operations.count / 2, 1)
        while true {
            var start = 0
            while start < best.operations.count, runs < budget {
                var smaller = best
                let end = min(start + piece, best.operations.count)
                smaller.operations.removeSubrange(start..<end)
                // A fault moves to the operation that comes now.
                let next = start < smaller.operations.count ? smaller.operations[start] : nil
                for index in smaller.faults.indices
                where best.operations[start..<end].contains(smaller.faults[index].operation) {
                    smaller.faults[index].operation = next ?? Int.max
                }
                if fails(smaller) { best = smaller } else { start = end }
            }
            if piece == 1 || runs >= budget { return }
            piece /= 2
        }
    }
}
