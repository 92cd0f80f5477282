// One case of the engine's crash test: a seed, which of its operations are done, and what goes wrong.
// All that happens follows from it.

internal import Environment

/// A case that can be run again, and made smaller.
package struct EngineCrashCase: Equatable, Sendable {
    package var seed: UInt64
    /// Numbers of the operations, rising.
    package var operations: [Int]
    package var faults: [EngineFault]

    package init(seed: UInt64, operations: [Int], faults: [EngineFault]) {
        self.seed = seed
        self.operations = operations
        self.faults = faults
    }

    /// As the seed draws it.
    package init(seed: UInt64, operationCount: Int = 160, faultCount: Int = 8) {
        self.init(seed: seed, operations: Array(0..<operationCount), faults: [])
        faults = (0..<faultCount).map { number in
            var random = RandomStream(seed: seed, name: "engine fault \(number)")
            return EngineFault.draw(&random, operations: operationCount)
        }
    }

    func operation(_ number: Int) -> EngineOperation {
        var random = RandomStream(seed: seed, name: "engine operation \(number)")
        return EngineOperation.draw(&random)
    }

    /// Sizes so small that everything happens often.
    var configuration: Configuration.Storage {
        var random = RandomStream(seed: seed, name: "engine configuration")
        func pick<Value>(_ values: [Value]) -> Value {
            values[Int(random.below(UInt64(values.count)))]
        }
        var configuration = Configuration.Storage()
        configuration.commitLogSync = pick([.periodic, .batch, .group])
        configuration.commitLogSyncPeriod = .seconds(1)
        configuration.commitLogSegmentBytes = pick([900, 4_000, 30_000])
        configuration.commitLogTotalBytes = pick([6_000, 30_000, 1 << 30])
        configuration.memtableBytes = pick([6_000, 20_000, 1 << 20])
        configuration.blockBytes = pick([64, 300, 4_096])
        configuration.blockCacheBytes = pick([0, 2_000, 1 << 20])
        configuration.jobStepBytes = pick([1, 500, 1 << 20])
        return configuration
    }

    /// The options of `coterie lab crash` that run it again.
    package var options: String {
        "--seed \(seed) --operations \(NumberList.text(operations))"
            + faults.map { " --fault \($0)" }.joined()
    }

    /// Its operations and faults in words, a line each.
    package var lines: [String] {
        var lines: [String] = []
        for number in operations {
            lines += faults.filter { $0.operation == number }.map { "     fault \($0)" }
            lines.append("\(number): \(operation(number))")
        }
        return lines
    }
}

/// Rising numbers as text: `0..11,14`.
package enum NumberList {
    package static func text(_ numbers: [Int]) -> String {
        var parts: [String] = []
        var index = 0
        while index < numbers.count {
            var end = index
            while end + 1 < numbers.count, numbers[end + 1] == numbers[end] + 1 { end += 1 }
            parts.append(
                end == index ? "\(numbers[index])" : "\(numbers[index])..\(numbers[end])")
            index = end + 1
        }
        return parts.isEmpty ? "none" : parts.joined(separator: ",")
    }

    /// Nil if it is no such list.
    package static func parse(_ text: String) -> [Int]? {
        if text == "none" { return [] }
        var numbers: [Int] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let ends = part.split(separator: ".", omittingEmptySubsequences: true)
            guard (1...2).contains(ends.count), let first = Int(ends[0]),
                let last = Int(ends[ends.count - 1]), first >= 0, first <= last,
                last - first < 1_000_000, numbers.last.map({ $0 < first }) ?? true
            else { return nil }
            numbers += Array(first...last)
        }
        return numbers
    }
}

extension EngineCrashCase {
    /// The seed's operations again and again: a kill, and a loss of power, at each single point at
    /// which the node may crash.
    package static func sweep(seed: UInt64, operationCount: Int = 60) -> [EngineCrashCase] {
        let whole = EngineCrashCase(
            seed: seed, operations: Array(0..<operationCount), faults: [])
        let points = EngineCrashRun(whole).run().crashPoints
        return (0..<points).flatMap { point in
            [EngineFault.Kind.kill, .power].map { kind in
                var test = whole
                test.faults = [EngineFault(kind, operation: 0, after: point)]
                return test
            }
        }
    }
}

/// The sums of many runs.
package struct EngineCrashSurvey: Sendable {
    package private(set) var cases = 0
    package private(set) var deaths = 0
    package private(set) var flips = 0
    package private(set) var reports = 0
    private var writes = 0
    private var answers = 0
    package private(set) var broken = 0

    package init() {}

    /// Faults that have struck.
    package var strikes: Int { deaths + reports }

    package mutating func add(_ outcome: EngineCrashRun.Outcome) {
        cases += 1
        deaths += outcome.deaths
        flips += outcome.flips
        reports += outcome.reports
        writes += outcome.writes
        answers += outcome.answers
        if !outcome.violations.isEmpty { broken += 1 }
    }

    package var text: String {
        "\(cases) cases, \(broken) broke a promise; \(deaths) deaths, \(flips) flipped bits of which "
            + "\(reports) were reported, \(writes) writes, \(answers) answers compared"
    }
}
