// `coterie lab crash`: one shard's engine that dies at thousands of places.

internal import ArgumentParser
internal import Simulation

/// The randomised crash test of the storage engine.
struct EngineCrashCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "crash",
        abstract: "Does a shard's engine keep what it promised, wherever it dies?",
        discussion: """
            Random writes, flushes, compactions, truncations and drops on a simulated disk, and faults: \
            kills, losses of power, torn sectors, flipped bits, calls that fail, a full disk. After each \
            the engine starts again and every answer is compared with a dumb twin that knows what was \
            promised. Goes from seed to seed until so many faults have struck; ends with status 1 if a \
            promise was broken, and prints a small case that breaks it. With --seed it runs one case: \
            the seed's own, or the operations and faults that are named.
            """)

    @Option(help: "How many deaths and reported damages there must be.")
    var points = 10_000

    @Option(help: "The first seed.")
    var from: UInt64 = 1

    @Option(help: "Run the case of this seed alone, and say what happens.")
    var seed: UInt64?

    @Option(help: "The case's operations, for example 0..11,14.")
    var operations: String?

    @Option(help: "A fault of the case, for example power@12+5/3; may be repeated.")
    var fault: [String] = []

    @Flag(help: "Lose power and kill at every single point of the seed's operations, one by one.")
    var sweep = false

    @Flag(help: "Print each case before it is run: for one that traps.")
    var verbose = false

    func run() throws {
        guard points > 0 else { throw ValidationError("--points must be positive") }
        if sweep { return try runSweep() }
        if let seed { return try runOne(seed) }
        var survey = EngineCrashSurvey()
        var seed = from
        while survey.strikes < points {
            try run(EngineCrashCase(seed: seed), into: &survey)
            seed += 1
        }
        print(survey.text)
    }

    private func run(_ test: EngineCrashCase, into survey: inout EngineCrashSurvey) throws {
        if verbose { print("coterie lab crash \(test.options)") }
        let outcome = EngineCrashRun(test).run()
        survey.add(outcome)
        if outcome.violations.isEmpty { return }
        print(survey.text)
        try explain(test)
    }

    private func runSweep() throws {
        var survey = EngineCrashSurvey()
        for test in EngineCrashCase.sweep(seed: seed ?? from) { try run(test, into: &survey) }
        print(survey.text)
    }

    private func runOne(_ seed: UInt64) throws {
        var test = EngineCrashCase(seed: seed)
        if let operations {
            guard let numbers = NumberList.parse(operations) else {
                throw ValidationError("--operations is a list like 0..11,14")
            }
            test.operations = numbers
        }
        if !fault.isEmpty || operations != nil {
            test.faults = try fault.map { text in
                guard let fault = EngineFault(text) else {
                    throw ValidationError("--fault is like kill@12+5 or power@12+5/3")
                }
                return fault
            }
        }
        for line in test.lines { print(line) }
        let outcome = EngineCrashRun(test).run()
        print(outcome.events.joined(separator: "\n"))
        var survey = EngineCrashSurvey()
        survey.add(outcome)
        print(survey.text)
        if !outcome.violations.isEmpty { try explain(test) }
    }

    /// Makes the case small, prints it, and ends with status 1.
    private func explain(_ test: EngineCrashCase) throws -> Never {
        var minimiser = EngineCrashMinimiser()
        let small = minimiser.minimised(test)
        print("\nA promise is broken. After \(minimiser.runs) runs the smallest case is:\n")
        for line in small.lines { print("  " + line) }
        print("\nwhat happens:\n")
        for event in EngineCrashRun(small).run().events { print("  " + event) }
        print("\nagain: coterie lab crash \(small.options)")
        throw ExitCode(1)
    }
}
