// What the conformance tests need besides the sources: the built `coterie`, and a Python environment
// with unmodified clients, which is made once under `.build` and used again while its list of packages
// stays the same.

import Foundation

/// Finds and makes the tools of the conformance tests.
struct TestInstallation: Sendable {
    /// The program under test.
    let coterie: String
    /// The Python with the drivers.
    let python: String
    /// The folder with the Python suites.
    let suites: String
    /// Where the Go compiler keeps what it compiled.
    let goCache: String

    /// - Throws: `ProgramFailure` with what is missing and what to do.
    static func prepare() async throws -> TestInstallation {
        let sources = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        let package = sources.deletingLastPathComponent().deletingLastPathComponent()
        return TestInstallation(
            coterie: try findCoterie(package),
            python: try await makePython(package, sources.appendingPathComponent("python")),
            suites: sources.appendingPathComponent("python").path,
            goCache: package.appendingPathComponent(".build/conformance-go").path)
    }

    // MARK: The program

    private static func findCoterie(_ package: URL) throws -> String {
        if let path = ProcessInfo.processInfo.environment["COTERIE_BINARY"] {
            guard FileManager.default.isExecutableFile(atPath: path) else {
                throw ProgramFailure(description: "COTERIE_BINARY is \(path): no such program")
            }
            return path
        }
        // The test bundle lies beside the product; the same configuration is the one to test.
        let bundle = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
        let candidates =
            [bundle.appendingPathComponent("coterie")]
            + ["release", "debug"].map {
                package.appendingPathComponent(".build/\($0)/coterie")
            }
        for candidate in candidates
        where FileManager.default.isExecutableFile(atPath: candidate.path) {
            return candidate.path
        }
        throw ProgramFailure(
            description: "there is no coterie program in "
                + candidates.map(\.path).joined(separator: ", ")
                + ": run swift build first, or set COTERIE_BINARY")
    }

    // MARK: The Python environment

    /// `requirements.txt` has the clients, in the versions that the suites were written with.
    private static func makePython(_ package: URL, _ suites: URL) async throws -> String {
        if let path = ProcessInfo.processInfo.environment["COTERIE_PYTHON"] { return path }
        let folder = package.appendingPathComponent(".build/conformance-python")
        let python = folder.appendingPathComponent("bin/python3").path
        let requirements = suites.appendingPathComponent("requirements.txt")
        let mark = folder.appendingPathComponent("requirements.txt")
        let wanted = try String(contentsOf: requirements, encoding: .utf8)
        if (try? String(contentsOf: mark, encoding: .utf8)) == wanted { return python }
        try? FileManager.default.removeItem(at: folder)
        print("conformance: making a Python environment in \(folder.path)")
        try await succeed("/usr/bin/env", ["python3", "-m", "venv", folder.path])
        try await succeed(
            python,
            [
                "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r",
                requirements.path,
            ])
        try wanted.write(to: mark, atomically: true, encoding: .utf8)
        return python
    }

    private static func succeed(_ program: String, _ arguments: [String]) async throws {
        let result = try await Subprocess.run(program, arguments)
        guard result.status == 0 else {
            throw ProgramFailure(
                description: "the clients of the conformance tests cannot be installed: "
                    + "\(([program] + arguments).joined(separator: " ")) ended with "
                    + "\(result.status):\n\(result.output)\n"
                    + "They need python3 with venv (Debian: python3-venv) and a package index.")
        }
    }
}
