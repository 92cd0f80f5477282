// The page that says what works names a behaviour for each capability: each must be there to be run.

import Testing

@Suite struct CompatibilityPageTests {
    @Test func everyCapabilityNamesABehaviourThatExists() throws {
        let page = try #require(Repository.file("docs/COMPATIBILITY.md"))
        var isInside = false
        var named = 0
        for line in page.lines {
            if line.hasPrefix("## ") { isInside = line == "## Capability by capability" }
            guard isInside, line.hasPrefix("| "), line.hasSuffix("` |") else { continue }
            let name = line.dropLast(3).split(separator: "| `").last ?? ""
            let parts = name.split(separator: ": ", maxSplits: 1)
            try #require(parts.count == 2, "\(line)")
            let path = "Tests/ConformanceTests/python/suite_\(parts[0]).py"
            let suite = try #require(Repository.file(path), "\(path), named by \(line)")
            #expect(Self.has(suite.text, behaviour: String(parts[1])), "\(path) has no \(parts[1])")
            named += 1
        }
        #expect(named > 80, "the table of capabilities is missing")
    }

    /// Whether a suite has the behaviour, as a function or as the name of a case.
    private static func has(_ text: String, behaviour: String) -> Bool {
        let function = String(behaviour.map { $0 == " " ? "_" : $0 })
        return text.contains("def \(function)(") || text.contains("\"\(behaviour)")
    }
}
