// What the shell prints: buffered, in colours only where a person looks.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// The shell's standard output.
final class ShellOutput {
    /// The colours of cqlsh.
    enum Color: String {
        case red = "\u{1B}[0;1;31m"
        case green = "\u{1B}[0;1;32m"
        case yellow = "\u{1B}[0;1;33m"
        case blue = "\u{1B}[0;1;34m"
        case magenta = "\u{1B}[0;1;35m"
        case cyan = "\u{1B}[0;1;36m"
        case white = "\u{1B}[0;1;37m"
        case darkMagenta = "\u{1B}[0;35m"
    }

    static let reset = "\u{1B}[0m"

    /// A file that takes results instead of the terminal.
    struct Capture {
        let path: String
        let descriptor: Int32
        /// Whether rows are written as lines of JSON instead of tables.
        let isJSON: Bool
    }

    let hasColors: Bool
    /// Where results go while CAPTURE is on.
    private(set) var capture: Capture?
    private var buffer: [UInt8] = []
    private var captured: [UInt8] = []

    init(hasColors: Bool) {
        self.hasColors = hasColors
    }

    /// Whether the standard output is a terminal that knows colours.
    static func terminalHasColors() -> Bool {
        guard isatty(STDOUT_FILENO) == 1, let kind = getenv("TERM"), getenv("NO_COLOR") == nil
        else { return false }
        let name = String(cString: kind)
        return name != "dumb" && !name.isEmpty
    }

    /// Adds text.
    func print(_ text: String, terminator: String = "\n") {
        buffer += Array(text.utf8)
        buffer += Array(terminator.utf8)
        if buffer.count > 64 * 1024 { flush() }
    }

    /// Whether results have colours: a file has none.
    var hasResultColors: Bool { hasColors && capture == nil }

    /// Adds a line of a result, which goes to the captured file if there is one.
    func printResult(_ text: String, terminator: String = "\n") {
        guard capture != nil else { return print(text, terminator: terminator) }
        captured += Array(text.utf8)
        captured += Array(terminator.utf8)
        if captured.count > 64 * 1024 { flush() }
    }

    /// Sends results to a file from now on.
    func begin(_ capture: Capture) {
        flush()
        self.capture = capture
    }

    /// Sends results to the terminal again.
    func endCapture() {
        flush()
        if let capture { _ = close(capture.descriptor) }
        capture = nil
    }

    /// The text in the colour, if there are colours.
    func colored(_ text: String, _ color: Color) -> String {
        hasColors ? color.rawValue + text + Self.reset : text
    }

    /// What was printed and not yet written out.
    var pending: String { String(decoding: buffer, as: UTF8.self) }

    /// Writes out what waits.
    func flush() {
        Self.write(buffer, to: STDOUT_FILENO)
        buffer.removeAll(keepingCapacity: true)
        if let capture { Self.write(captured, to: capture.descriptor) }
        captured.removeAll(keepingCapacity: true)
    }

    /// A line on the standard error output, after everything printed before it.
    func printError(_ text: String) {
        flush()
        let line = hasResultColors ? Color.red.rawValue + text + Self.reset : text
        Self.write(Array((line + "\n").utf8), to: STDERR_FILENO)
    }

    /// Writes all bytes; gives up, with false, where the reader is gone or the disk is full.
    @discardableResult
    static func write(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
        var done = 0
        while done < bytes.count {
            let written = bytes.withUnsafeBytes { all in
                UnsafeRawBufferPointer(rebasing: all[done...]).withMemoryRebound(to: UInt8.self) {
                    #if canImport(Glibc)
                        Glibc.write(descriptor, $0.baseAddress, $0.count)
                    #else
                        Darwin.write(descriptor, $0.baseAddress, $0.count)
                    #endif
                }
            }
            if written < 0, errno == EINTR { continue }
            guard written > 0 else { return false }
            done += written
        }
        return true
    }
}
