// The progress line of COPY, as cqlsh prints it.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Counts rows and tells how fast they go.
struct CopyMeter {
    private(set) var total = 0
    private let begin = ShellClock.microseconds()
    private var last: Int64
    private var fresh = 0
    private var rate = 0.0
    private let reportMicroseconds: Int64
    private let rateFile: String
    /// Whether a person is told.
    private let isShown: Bool

    init(_ options: CopyOptions, isShown: Bool) {
        last = begin
        reportMicroseconds = Int64(options.reportSeconds * 1_000_000)
        rateFile = options.rateFile
        self.isShown = isShown
        if !rateFile.isEmpty { unlink(rateFile) }
    }

    var seconds: Double { Double(ShellClock.microseconds() - begin) / 1_000_000 }

    /// Counts rows, and prints the line when it is time.
    mutating func add(_ rows: Int, _ output: ShellOutput) {
        fresh += rows
        if rows > 0, ShellClock.microseconds() - last >= reportMicroseconds { report(output) }
    }

    /// Prints the line now.
    mutating func report(_ output: ShellOutput) {
        let now = ShellClock.microseconds()
        let passed = max(Double(now - last) / 1_000_000, 1e-9)
        let newRate = Double(fresh) / passed
        rate = rate == 0 ? newRate : (rate + newRate) / 2
        total += fresh
        fresh = 0
        last = now
        let average = Double(total) / max(Double(now - begin) / 1_000_000, 1e-9)
        let line =
            "Processed: \(total) rows; Rate: \(Self.padded(rate)) rows/s; "
            + "Avg. rate: \(Self.padded(average)) rows/s"
        if isShown {
            output.print(line + "\r\r", terminator: "")
            output.flush()
        }
        guard !rateFile.isEmpty else { return }
        let file = open(rateFile, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, mode_t(0o644))
        guard file >= 0 else { return }
        defer { _ = close(file) }
        ShellOutput.write(Array((line + "\r\n").utf8), to: file)
    }

    private static func padded(_ rate: Double) -> String {
        let digits = AdminText.fixed(min(rate, 1e12), 0)
        return String(repeating: " ", count: max(7 - digits.count, 0)) + digits
    }

    /// `2 minutes and 3.250 seconds`.
    static func interval(_ seconds: Double) -> String {
        var parts: [String] = []
        var rest = seconds
        for (length, unit) in [(86_400.0, "day"), (3_600.0, "hour"), (60.0, "minute")] {
            let count = Int(rest / length)
            if count > 0 { parts.append("\(count) \(unit)\(count > 1 ? "s" : "")") }
            rest -= Double(count) * length
        }
        let words = "\(AdminText.fixed(rest, 3)) seconds"
        switch parts.count {
        case 0: return words
        case 1: return "\(parts[0]) and \(words)"
        default: return parts.joined(separator: ", ") + ", and " + words
        }
    }
}
