// `coterie bench`: how fast the parts are, beside their peers where there are any.

internal import ArgumentParser

/// The parent of the benchmarks.
struct BenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Measures speed, beside a peer on the same machine.",
        subcommands: [EngineBenchCommand.self])
}
