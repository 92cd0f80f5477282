// What was typed before, kept in ~/.coterie/history: one statement a line, the oldest first.
//
// The file is readable for its owner only, and lines with a password are not kept at all. A history
// that cannot be read or written is no reason to stop: the shell then remembers for itself alone.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// The lines of this and earlier sessions.
final class ShellHistory {
    private static let maximumLines = 1000

    /// The oldest first.
    private(set) var lines: [String]
    private let path: String?

    init(lines: [String] = [], path: String? = nil) {
        self.lines = lines
        self.path = path
    }

    /// Reads the file, if there is one; what is added is not kept unless `isKept`.
    static func load(isKept: Bool = true) -> ShellHistory {
        let loaded = loadFile()
        return isKept ? loaded : ShellHistory(lines: loaded.lines)
    }

    private static func loadFile() -> ShellHistory {
        guard let home = getenv("HOME") else { return ShellHistory() }
        let folder = String(cString: home) + "/.coterie"
        // It may exist already; if it cannot be made, opening the file says so.
        _ = mkdir(folder, 0o700)
        let path = folder + "/history"
        guard let file = fopen(path, "r") else { return ShellHistory(path: path) }
        defer { fclose(file) }
        var lines: [String] = []
        var line: UnsafeMutablePointer<CChar>?
        var capacity = 0
        defer { free(line) }
        while true {
            let count = getline(&line, &capacity, file)
            guard count > 0, let line else { break }
            var text = String(cString: line)
            if text.hasSuffix("\n") { text.removeLast() }
            if !text.isEmpty { lines.append(text) }
        }
        let history = ShellHistory(lines: Array(lines.suffix(maximumLines)), path: path)
        if lines.count > 2 * maximumLines { history.rewrite() }
        return history
    }

    /// Adds a line, unless it is empty, the same as the last, or holds a password.
    func add(_ text: String) {
        var line = text.split(whereSeparator: \.isNewline).joined(separator: " ")
        while line.last?.isWhitespace == true { line.removeLast() }
        guard !line.isEmpty, line != lines.last, !Self.holdsPassword(line) else { return }
        lines.append(line)
        write([line], flags: O_APPEND)
    }

    private static func holdsPassword(_ line: String) -> Bool {
        let words = line.lowercased()
        // LOGIN may be given one without naming it.
        return words.contains("password") || words.hasPrefix("login") && words.contains("'")
    }

    private func rewrite() {
        write(lines, flags: O_TRUNC)
    }

    private func write(_ lines: [String], flags: Int32) {
        guard let path else { return }
        let descriptor = open(path, O_WRONLY | O_CREAT | flags, 0o600)
        guard descriptor >= 0 else { return }
        defer { _ = close(descriptor) }
        ShellOutput.write(Array((lines.joined(separator: "\n") + "\n").utf8), to: descriptor)
    }
}
