// How a command says that it failed: one line for a person, and exit code 1.

internal import ArgumentParser
internal import Environment

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Turns errors into a line on the standard error output.
enum CommandFailure {
    /// Runs `body`; prints what it throws as `coterie: ...` and ends the command with exit code 1.
    static func reporting<Result>(_ body: () throws -> Result) throws -> Result {
        do { return try body() } catch let exit as ExitCode {
            throw exit
        } catch {
            printError("coterie: \(error)")
            throw ExitCode(1)
        }
    }

    /// Writes a line to the standard error output.
    static func printError(_ line: String) {
        let bytes = Array((line + "\n").utf8)
        // There is nowhere left to tell that this failed.
        _ = write(2, bytes, bytes.count)
    }
}
