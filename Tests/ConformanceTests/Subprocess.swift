// Running a program and reading what it prints, without blocking the test runner's threads.

import Foundation

/// What a program left behind.
struct ProgramResult: Sendable {
    var status: Int32
    var output: String
}

/// A program that could not be run, or that failed where it had to succeed.
struct ProgramFailure: Error, CustomStringConvertible {
    var description: String
}

/// Runs programs as children of the tests.
enum Subprocess {
    /// A program that takes longer hangs. No suite comes near it on a machine that is ten times slower than ours.
    private static let hangingSeconds: Double = 1_800

    /// Runs a program to its end, its error output among the other, and kills it if it hangs.
    static func run(
        _ program: String, _ arguments: [String], environment: [String: String] = [:]
    ) async throws -> ProgramResult {
        try await withCheckedThrowingContinuation { continuation in
            // A thread of its own: reading blocks, and the tests' threads are few.
            Thread.detachNewThread {
                continuation.resume(
                    with: Result {
                        try wait(program, arguments, environment)
                    })
            }
        }
    }

    private static func wait(
        _ program: String, _ arguments: [String], _ environment: [String: String]
    ) throws -> ProgramResult {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        let pipe = Pipe()
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let deadline = DispatchWorkItem { process.terminate() }
        DispatchQueue.global().asyncAfter(deadline: .now() + hangingSeconds, execute: deadline)
        let bytes = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        let isLate = process.terminationReason == .uncaughtSignal
        deadline.cancel()
        var output = String(decoding: bytes, as: UTF8.self)
        if isLate {
            output += "\n(ended by a signal; it may run for \(Int(hangingSeconds)) s)"
        }
        return ProgramResult(status: process.terminationStatus, output: output)
    }
}
