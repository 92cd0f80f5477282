// The page that says what works names behaviours for each capability: each must be there to be run.

import Testing

@Suite struct CompatibilityPageTests {
    @Test func everyCapabilityNamesBehavioursThatExist() throws {
        let page = try #require(Repository.file("docs/COMPATIBILITY.md"))
        var isInside = false
        var isTable = false
        var rows = 0
        for line in page.lines {
            if line.hasPrefix("## ") { isInside = line == "## Capability by capability" }
            guard isInside, line.hasPrefix("|") else {
                isTable = false
                continue
            }
            if line.hasPrefix("|---") {
                isTable = true
                continue
            }
            // The line above the rule names the columns.
            guard isTable else { continue }
            let proofs = line.split(separator: " | ").last.map(Self.names) ?? []
            #expect(!proofs.isEmpty, "nothing proves \(line)")
            for proof in proofs { try look(up: proof, of: line) }
            rows += 1
        }
        #expect(rows > 160, "the table of capabilities is missing")
    }

    /// The names in a cell: each stands between backticks.
    private static func names(_ cell: Substring) -> [String] {
        let parts = cell.split(separator: "`", omittingEmptySubsequences: false)
        return stride(from: 1, to: parts.count, by: 2).map { String(parts[$0]) }
    }

    private func look(up proof: String, of line: Substring) throws {
        let parts = proof.split(separator: ": ", maxSplits: 1).map(String.init)
        try #require(parts.count == 2, "\(proof) in \(line)")
        if parts[0].hasSuffix("Tests") {
            let files = Repository.files("Tests/\(parts[0])", ending: ".swift")
            #expect(
                files.contains { $0.text.contains("func \(parts[1])(") },
                "\(parts[0]) has no \(parts[1])")
            return
        }
        let path = "Tests/ConformanceTests/python/suite_\(parts[0]).py"
        let suite = try #require(Repository.file(path), "\(path), named by \(line)")
        let isThere = Self.has(suite.text, behaviour: Self.spaced(parts[1]))
        #expect(isThere, "\(path) has no \(parts[1])")
    }

    /// Whether a suite has the behaviour: as a function, as the name of a case, or as a name of the form that it gives
    /// to its cases. The run shows spaces for underscores.
    private static func has(_ suite: String, behaviour: String) -> Bool {
        let text = spaced(suite)
        if text.contains("def \(behaviour)(") || text.contains("\"\(behaviour)") { return true }
        // `refused: STATEMENT: name` is the case of that name.
        if behaviour.hasPrefix("refused: "), let name = behaviour.split(separator: ": ").last,
            text.contains("\"\(name)")
        {
            return true
        }
        return text.split(separator: "\n").contains { line in
            guard let start = line.firstRange(of: ".  name   = ")?.upperBound else { return false }
            return matches(behaviour, form: line[start...], text)
        }
    }

    /// Whether the behaviour has that form, `f"{what} holds"` or `"of " + what`, of something that the
    /// suite mentions.
    private static func matches(
        _ behaviour: String, form: Substring, _ suite: String
    ) -> Bool {
        guard let fixed = fixedParts(of: form), fixed.count > 1, behaviour.hasPrefix(fixed[0])
        else { return false }
        var remaining = behaviour.dropFirst(fixed[0].count)
        for index in 1..<fixed.count {
            let end = place(of: fixed[index], in: remaining, atEnd: index == fixed.count - 1)
            guard let end else { return false }
            // The source may break a long case into several lines.
            let what = remaining[..<end].prefix(24)
            guard !what.isEmpty, suite.contains(what) else { return false }
            remaining = remaining[end...].dropFirst(fixed[index].count)
        }
        return remaining.isEmpty
    }

    private static func place(
        of part: String, in text: Substring, atEnd: Bool
    ) -> Substring.Index? {
        guard atEnd else { return text.firstRange(of: part)?.lowerBound }
        return text.hasSuffix(part) ? text.index(text.endIndex, offsetBy: -part.count) : nil
    }

    /// What stands fast in a form, before and behind each part that differs; nil if it is none.
    private static func fixedParts(of form: Substring) -> [String]? {
        guard let open = form.firstIndex(of: "\"") else { return nil }
        let rest = form[form.index(after: open)...]
        guard form.hasPrefix("f\"") else {
            guard form.hasPrefix("\""), let close = rest.firstIndex(of: "\""),
                rest[close...].hasPrefix("\" + ")
            else { return nil }
            return [String(rest[..<close]), ""]
        }
        guard let close = rest.lastIndex(of: "\"") else { return nil }
        var parts = [""]
        var depth = 0
        for character in rest[..<close] {
            switch character {
            case "{":
                depth += 1
                parts.append("")
            case "}": depth -= 1
            default: if depth == 0 { parts[parts.count - 1].append(character) }
            }
        }
        return parts
    }

    private static func spaced(_ text: String) -> String {
        String(text.map { $0 == "_" ? " " : $0 })
    }
}
