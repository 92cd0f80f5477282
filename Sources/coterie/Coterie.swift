// The command line: one program for the node, the local ring, the shell, the lab and the benchmarks.

internal import ArgumentParser

/// The root command.
@main
struct Coterie: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "coterie",
        abstract: "An eventually consistent wide-column database that speaks CQL.",
        subcommands: [
            NodeCommand.self, RingCommand.self, ShellCommand.self, AdminCommand.self,
            InspectCommand.self, LabCommand.self, BenchCommand.self,
        ])
}
