// A ring of nodes around a whole suite of tests: started before the first, stopped and removed after the
// last, whatever happens.

import Foundation
import Testing

/// A running ring and the way to ask the Python suites about it.
struct ConformanceRing: Sendable {
    let installation: TestInstallation
    let folder: String
    let nodes: Int

    /// The ring of the current suite.
    @TaskLocal static var current: ConformanceRing?

    /// Runs `conformance.py`.
    func command(_ verb: String, _ arguments: [String]) async throws -> ProgramResult {
        try await Subprocess.run(
            installation.python,
            [
                installation.suites + "/conformance.py", verb, "--binary", installation.coterie,
                "--data", folder,
            ] + arguments,
            environment: [
                "PYTHONDONTWRITEBYTECODE": "1", "PYTHONWARNINGS": "ignore",
                "COTERIE_GO_CACHE": installation.goCache,
            ])
    }
}

/// Gives a suite a ring of its own.
struct RingTrait: SuiteTrait, TestScoping {
    let nodes: Int

    func provideScope(
        for test: Test, testCase: Test.Case?,
        performing function: @Sendable () async throws -> Void
    ) async throws {
        let installation = try await TestInstallation.prepare()
        let folder = FileManager.default.temporaryDirectory
            .appendingPathComponent("coterie-conformance-\(UUID().uuidString)").path
        let ring = ConformanceRing(installation: installation, folder: folder, nodes: nodes)
        let up = try await ring.command("up", ["--nodes", String(nodes)])
        print("conformance: \(up.output.trimmingCharacters(in: .whitespacesAndNewlines))")
        var failure: (any Error)?
        if up.status == 0 {
            do {
                try await ConformanceRing.$current.withValue(ring) { try await function() }
            } catch {
                failure = error
            }
        } else {
            failure = ProgramFailure(description: "the ring does not start: \(up.output)")
        }
        await Self.printTable(of: ring)
        let down = try await ring.command("down", [])
        if ProcessInfo.processInfo.environment["COTERIE_KEEP"] == nil {
            try? FileManager.default.removeItem(atPath: folder)
        } else {
            print("conformance: the ring's folder is \(folder)")
        }
        if let failure { throw failure }
        if down.status != 0 {
            throw ProgramFailure(description: "the ring does not stop: \(down.output)")
        }
    }
}

extension RingTrait {
    /// Prints what was proved, statement by statement, and reports statements without behaviours if all suites
    /// ran.
    private static func printTable(of ring: ConformanceRing) async {
        do {
            let table = try await ring.command("table", [])
            for line in table.output.split(separator: "\n") {
                print("conformance: \(line)")
                if line.hasPrefix("FAIL ") { Issue.record(Comment(rawValue: String(line))) }
            }
        } catch {
            Issue.record(error, "the table of behaviours")
        }
    }
}

extension Trait where Self == RingTrait {
    /// A ring of so many nodes for the whole suite.
    static func ring(of nodes: Int) -> RingTrait { RingTrait(nodes: nodes) }
}
