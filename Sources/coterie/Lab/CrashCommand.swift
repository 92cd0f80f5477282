// `coterie lab run crash`: rings in trouble, seed after seed.

internal import ArgumentParser
internal import ConsistencyLab
internal import Environment
internal import Simulation

/// The crash experiment.
struct CrashCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "crash",
        abstract: "Does a ring keep what it acknowledged when its nodes die?",
        discussion: """
            Registers are written and read at QUORUM on three simulated nodes that are killed, lose \
            power or are cut off, at an effect of the seed's choice. Ends with status 1 if a read was \
            stale, an acknowledged write is missing at the end, or the replicas differ after all was \
            read at ALL. The workload rows instead writes and deletes rows of partitions, each \
            statement until it is acknowledged, and compares every page with a dumb twin. Losses \
            of power with --sync periodic do lose writes: that mode does not promise otherwise.
            """)

    @Option(help: "All seeds from A to B (A..B).")
    var seeds = "1..20"

    @Option(help: "What the clients do: registers or rows.")
    var workload = "registers"

    @Option(help: "What happens: kills, power-losses or partitions.")
    var trouble = CrashScenario.Trouble.kills.rawValue

    @Option(help: "The commit log's sync mode: periodic, batch or group.")
    var sync = Configuration.CommitLogSync.periodic.rawValue

    @Option(help: "How many operations the clients plan.")
    var operations = 600

    @Option(help: "How many registers (or partitions, up to 50) there are.")
    var keys = 20

    @Option(help: "Bytes of padding in a row at most; with some thousand, memtables flush.")
    var padding = 0

    @Option(help: "How many crashes a run has.")
    var crashes = 8

    @Flag(help: "Nodes come back with another number of shards.")
    var reshard = false

    @Option(help: "Write every delivery as text to this file.")
    var trace: String?

    func run() throws {
        guard let trouble = CrashScenario.Trouble(rawValue: trouble) else {
            throw ValidationError("--trouble is kills, power-losses or partitions")
        }
        guard let sync = Configuration.CommitLogSync(rawValue: sync) else {
            throw ValidationError("--sync is periodic, batch or group")
        }
        guard operations > 0, keys > 0, keys <= 100_000, crashes >= 0,
            (0...30_000).contains(padding)
        else { throw ValidationError("operations, keys, crashes or padding are out of range") }
        guard workload == "registers" || workload == "rows" else {
            throw ValidationError("--workload is registers or rows")
        }
        let file = try trace.map { try OutputFile(path: $0) }
        let sink: ((String) -> Void)? = file.map { file in { file.write($0 + "\n") } }
        var (runs, broken, deaths, jobs, writes) = (0, 0, 0, 0, 0)
        var hash = TraceHash()
        for seed in try SeedRange.parse(seeds) {
            let violations: [String]
            if workload == "registers" {
                let outcome = registers(seed, sync, trouble).run(traceSink: sink)
                deaths += outcome.deaths
                jobs += outcome.jobsEnded
                writes += outcome.acknowledgedWrites
                hash.add(outcome.trace)
                violations = outcome.violations
            } else {
                let outcome = rows(seed, sync, trouble).run(traceSink: sink)
                deaths += outcome.deaths
                jobs += outcome.jobsEnded
                writes += outcome.statements
                hash.add(outcome.trace)
                violations = outcome.violations
            }
            runs += 1
            if !violations.isEmpty { broken += 1 }
            for violation in violations { print("VIOLATION \(violation)") }
        }
        try file?.close()
        print(
            "\(trouble.rawValue), \(sync.rawValue): \(runs) seeds, \(broken) broke a promise; "
                + "\(writes) acknowledged writes, \(deaths) deaths, \(jobs) background jobs")
        print("trace hash \(hash) over \(hash.count) deliveries")
        if broken > 0 { throw ExitCode(1) }
    }

    private func registers(
        _ seed: UInt64, _ sync: Configuration.CommitLogSync, _ trouble: CrashScenario.Trouble
    ) -> CrashScenario {
        var scenario = CrashScenario(seed: seed, sync: sync, trouble)
        scenario.operationCount = operations
        scenario.keyCount = keys
        scenario.paddingBytes = padding
        scenario.crashCount = crashes
        scenario.reshards = reshard
        return scenario
    }

    private func rows(
        _ seed: UInt64, _ sync: Configuration.CommitLogSync, _ trouble: CrashScenario.Trouble
    ) -> PartitionScenario {
        var scenario = PartitionScenario(seed: seed, sync: sync, trouble)
        scenario.partitionCount = min(keys, 50)
        scenario.statementCount = max(1, operations / scenario.partitionCount)
        if padding > 0 { scenario.textBytes = padding }
        scenario.crashCount = crashes
        scenario.reshards = reshard
        return scenario
    }
}
