// The command line: one program for the node, the local ring, the shell, the lab and the benchmarks.

internal import ArgumentParser
internal import CMemory

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

    /// Runs the command of the process's arguments. Of a command line that makes no sense the shell
    /// ends with the code that cqlsh has for it, other commands with the system's.
    static func main() {
        // Filters and indexes of files, foremost: they are often larger, and go with their files.
        coterie_keep_apart(1 << 20)
        do {
            var command = try parseAsRoot()
            try command.run()
        } catch {
            let isShell = CommandLine.arguments.dropFirst().first == "shell"
            guard isShell, exitCode(for: error) == .validationFailure else {
                exit(withError: error)
            }
            ShellOutput.write(Array((fullMessage(for: error) + "\n").utf8), to: 2)
            exit(withError: ExitCode(2))
        }
    }
}
