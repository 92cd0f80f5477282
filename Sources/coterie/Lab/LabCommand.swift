// `coterie lab`: the consistency experiments.

internal import ArgumentParser
internal import ConsistencyLab
internal import Simulation

/// Runs experiments on simulated rings.
struct LabCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lab", abstract: "Run consistency experiments.",
        subcommands: [LabRunCommand.self, EngineCrashCommand.self])
}

/// Runs one experiment by its name.
struct LabRunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Run one experiment and report.",
        subcommands: [StaleReadCommand.self, CrashCommand.self])
}

/// The stale-read experiment.
struct StaleReadCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stale-read",
        abstract: "How stale are reads at ONE and QUORUM, on three simulated replicas?",
        discussion: """
            Writes and reads registers on a simulated ring of three nodes, with the delays of the PBS \
            paper and two partitions, for every pair of write and read level. The same seed gives the \
            same run, down to the byte. Ends with status 1 if a pair with W + R > N showed a stale \
            read, or if anything was wrong that no level allows.
            """)

    @Option(help: "The seed of the run.")
    var seed: UInt64 = 1

    @Option(help: "Run all seeds from A to B instead (A..B) and print the sums.")
    var seeds: String?

    @Option(help: "How many operations the clients plan.")
    var operations = 1_800

    @Option(help: "Delay model: lnkd-ssd, lnkd-disk, ymmr or wan.")
    var model = PBSModel.linkedInDisk.rawValue

    @Option(help: "Who stamps the writes: client or server.")
    var timestamps = StaleReadOptions.Timestamps.client.rawValue

    @Option(name: .customLong("clock-skew"), help: "Milliseconds between the nodes' wall clocks.")
    var clockSkew: Int64 = 0

    @Option(help: "Take this operation out of the plan.")
    var without: Int?

    @Flag(name: .customLong("plant-bug"), help: "Let coordinators count one answer as a quorum.")
    var plantBug = false

    @Option(help: "Write the report as JSON to this file.")
    var json: String?

    @Option(help: "Write every delivery as text to this file.")
    var trace: String?

    private func options(seed: UInt64) throws -> StaleReadOptions {
        var options = StaleReadOptions(seed: seed)
        guard operations > 0, operations <= 1_000_000 else {
            throw ValidationError("--operations must lie between 1 and 1000000")
        }
        options.operationCount = operations
        guard let model = PBSModel(rawValue: model) else {
            let names = PBSModel.allCases.map(\.rawValue).joined(separator: ", ")
            throw ValidationError("unknown model \(self.model); there are \(names)")
        }
        options.model = model
        guard let timestamps = StaleReadOptions.Timestamps(rawValue: timestamps) else {
            throw ValidationError("--timestamps is client or server")
        }
        options.timestamps = timestamps
        guard clockSkew >= 0, clockSkew <= 3_600_000 else {
            throw ValidationError("--clock-skew must lie between 0 and 3600000")
        }
        options.clockSkewMilliseconds = clockSkew
        options.without = without
        options.plantsBug = plantBug
        return options
    }

    func run() throws {
        let traceFile = try trace.map { try OutputFile(path: $0) }
        let sink: ((String) -> Void)? = traceFile.map { file in { file.write($0 + "\n") } }
        let problems: [String]
        let document: JSONText
        if let range = try seeds.map(SeedRange.parse) {
            var survey = StaleReadSurvey()
            for seed in range {
                survey.add(StaleReadReport(try options(seed: seed), traceSink: sink))
            }
            print(survey.text, terminator: "")
            (problems, document) = (survey.problems, survey.json)
        } else {
            let report = StaleReadReport(try options(seed: seed), traceSink: sink)
            print(report.text, terminator: "")
            (problems, document) = (report.problems, report.json)
        }
        try traceFile?.close()
        if let json {
            let file = try OutputFile(path: json)
            file.write(document.text() + "\n")
            try file.close()
        }
        if !problems.isEmpty { throw ExitCode(1) }
    }
}

/// Reads `A..B`.
enum SeedRange {
    static func parse(_ text: String) throws -> ClosedRange<UInt64> {
        let parts = text.split(separator: ".", omittingEmptySubsequences: true)
        guard parts.count == 2, let first = UInt64(parts[0]), let last = UInt64(parts[1]),
            first <= last
        else { throw ValidationError("--seeds is A..B, for example 1..100") }
        return first...last
    }
}
