// Sections of `name = value` lines, in the form of Python's configparser.

/// A file of settings, read.
struct SettingsFile: Equatable {
    /// One line, or a few of which the later ones are indented.
    struct Setting: Equatable {
        /// In lower case.
        let name: String
        var value: String
    }

    /// By section, whose name counts as it is written.
    private(set) var sections: [String: [Setting]] = [:]

    init(_ text: String = "") {
        var section = ""
        for line in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline) {
            let trimmed = Self.trimmed(line)
            if trimmed.isEmpty || trimmed.hasPrefix("#") || trimmed.hasPrefix(";") { continue }
            if line.first?.isWhitespace == true, let last = sections[section]?.indices.last {
                sections[section]?[last].value += "\n" + trimmed
                continue
            }
            if trimmed.hasPrefix("["), trimmed.hasSuffix("]") {
                section = String(trimmed.dropFirst().dropLast())
                continue
            }
            guard let mark = trimmed.firstIndex(where: { $0 == "=" || $0 == ":" }) else { continue }
            let name = Self.trimmed(trimmed[..<mark]).lowercased()
            let value = Self.trimmed(trimmed[trimmed.index(after: mark)...])
            sections[section, default: []].append(Setting(name: name, value: value))
        }
    }

    private static func trimmed(_ text: some StringProtocol) -> String {
        var text = text[...]
        while text.first?.isWhitespace == true { text = text.dropFirst() }
        while text.last?.isWhitespace == true { text = text.dropLast() }
        return String(text)
    }

    /// The last value of the name in the section.
    func value(_ section: String, _ name: String) -> String? {
        sections[section]?.last { $0.name == name }?.value
    }
}
