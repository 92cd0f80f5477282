// The node's log: one line for each event, to the standard error output.
//
//     2026-03-01T12:00:00.123Z INFO  node=127.0.0.1:9042 listening cql=127.0.0.1:9042
//
// One `write` per line, so lines of several threads and nodes never mix.

internal import Disk
internal import Environment

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Writes lines that say what happened to which node.
package struct NodeLog: Sendable {
    /// How much a line matters.
    package enum Level: String, Sendable {
        case info = "INFO "
        case warning = "WARN "
        case error = "ERROR"
    }

    /// Written into each line.
    let node: String
    /// Whether only errors are written: the node is a part of a program with a person before it.
    let isQuiet: Bool

    package init(node: String, isQuiet: Bool = false) {
        self.node = node
        self.isQuiet = isQuiet
    }

    /// Writes one line; line breaks inside become spaces.
    package func write(_ level: Level, _ text: String) {
        if isQuiet, level != .error { return }
        let flat = text.split(whereSeparator: \.isNewline).joined(separator: " ")
        let line = "\(Self.timeOfDay(SystemClocks.wall())) \(level.rawValue) node=\(node) \(flat)\n"
        let bytes = Array(line.utf8)
        // A log that cannot be written must not stop the node.
        bytes.withUnsafeBytes { raw in
            #if canImport(Glibc)
                _ = Glibc.write(2, raw.baseAddress, raw.count)
            #else
                _ = Darwin.write(2, raw.baseAddress, raw.count)
            #endif
        }
    }

    package func info(_ text: String) { write(.info, text) }
    package func warning(_ text: String) { write(.warning, text) }
    package func error(_ text: String) { write(.error, text) }

    private static func timeOfDay(_ time: WallTime) -> String {
        var seconds = time_t(time.seconds)
        var parts = tm()
        gmtime_r(&seconds, &parts)
        func digits(_ number: Int32, _ width: Int) -> String {
            let text = String(number)
            return String(repeating: "0", count: max(0, width - text.count)) + text
        }
        let thousandths = Int32((time.microseconds - time.seconds * 1_000_000) / 1_000)
        return "\(digits(parts.tm_year + 1900, 4))-\(digits(parts.tm_mon + 1, 2))-"
            + "\(digits(parts.tm_mday, 2))T\(digits(parts.tm_hour, 2)):\(digits(parts.tm_min, 2)):"
            + "\(digits(parts.tm_sec, 2)).\(digits(thousandths, 3))Z"
    }
}
