// Cuts a text into statements: at semicolons that are not inside a string, a quoted name or a comment.
//
// Two things end otherwise: the shell's own commands end with their line, and a batch goes on to the
// semicolon after APPLY BATCH. Comments between statements belong to none; those inside stay, so that
// the server's line and column are those of the text that is shown. A semicolon alone is a statement,
// which the server refuses, as cqlsh has it.

/// Collects text and gives out whole statements.
struct StatementSplitter {
    /// Where a text that is not whole stopped, for the prompt of the next line.
    enum Unfinished: Equatable {
        case nothing, statement, string, quotedName, dollars, comment
    }

    /// Commands that end with their line.
    static let lineCommands: Set<String> = [
        "?", "capture", "clear", "cls", "consistency", "debug", "desc", "describe", "elapsed",
        "exit",
        "expand", "help", "history", "login", "paging", "quit", "serial", "show", "source",
        "tracing",
        "unicode",
    ]

    private var text: [UInt8] = []
    private var start = 0
    // The line of `start`, counted from one over all text that was added.
    private var line = 1
    /// The line after the one on which the last statement given out ends, counted from one: where a
    /// reader stands who has read the statement's last line, which is what cqlsh names in errors.
    private(set) var followingLine = 1
    /// The last statement given out with the semicolon that ends it, as the server is to have it.
    private(set) var source = ""
    /// What the last `next` stopped in.
    private(set) var unfinished = Unfinished.nothing

    /// Adds text, most often a line with its line feed.
    mutating func append(_ more: String) {
        if start == text.count {
            text.removeAll(keepingCapacity: true)
            start = 0
        }
        text += Array(more.utf8)
    }

    /// Forgets a statement that was begun.
    mutating func reset() {
        text.removeAll()
        start = 0
        unfinished = .nothing
    }

    /// The next whole statement without its semicolon, or nil if more text is needed.
    mutating func next() -> String? {
        skipBlank()
        guard unfinished == .nothing, start < text.count else { return nil }
        var scanner = Scanner(text: text, position: start)
        let end = scanner.scanStatement()
        guard let end else {
            unfinished = scanner.unfinished
            return nil
        }
        defer { advance(to: scanner.position) }
        let newlines = text[start..<end].count { $0 == UInt8(ascii: "\n") }
        followingLine = line + newlines + 1
        source = String(decoding: text[start..<scanner.position], as: UTF8.self)
        return Self.trimmed(text[start..<end])
    }

    /// The next line of the text as it is, without its line feed; nil if none is left. COPY FROM STDIN
    /// takes its rows so. What is left of the statement's own line counts for nothing.
    mutating func nextRawLine() -> String? {
        guard start < text.count else { return nil }
        let end = text[start...].firstIndex(of: UInt8(ascii: "\n")) ?? text.count
        defer { advance(to: min(end + 1, text.count)) }
        return String(decoding: text[start..<end], as: UTF8.self)
    }

    private mutating func advance(to position: Int) {
        for byte in text[start..<position] where byte == UInt8(ascii: "\n") { line += 1 }
        start = position
    }

    /// What is left, taken as a statement although it has no end; nil if nothing or only blank is left.
    mutating func rest() -> String? {
        skipBlank()
        guard start < text.count else { return nil }
        defer { reset() }
        followingLine = line + text[start...].count { $0 == UInt8(ascii: "\n") }
        let rest = Self.trimmed(text[start...])
        source = rest + ";"
        return rest
    }

    /// Moves over blanks and comments.
    private mutating func skipBlank() {
        unfinished = .nothing
        while start < text.count {
            let byte = text[start]
            if Scanner.isSpace(byte) {
                advance(to: start + 1)
                continue
            }
            var scanner = Scanner(text: text, position: start)
            guard scanner.skipComment() else { break }
            guard scanner.unfinished == .nothing else {
                unfinished = scanner.unfinished
                return
            }
            advance(to: scanner.position)
        }
    }

    private static func trimmed(_ bytes: ArraySlice<UInt8>) -> String {
        var bytes = bytes
        while let last = bytes.last, Scanner.isSpace(last) { bytes.removeLast() }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// Walks over one statement.
private struct Scanner {
    let text: [UInt8]
    var position: Int
    var unfinished = StatementSplitter.Unfinished.nothing

    init(text: [UInt8], position: Int) {
        self.text = text
        self.position = position
    }

    static func isSpace(_ byte: UInt8) -> Bool {
        byte == 0x20 || (0x09...0x0D).contains(byte)
    }

    private static func isWord(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: "_") || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
            || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20) || byte >= 0x80
    }

    private func byte(at index: Int) -> UInt8? { index < text.count ? text[index] : nil }

    private func matches(_ mark: String) -> Bool {
        var index = position
        for byte in mark.utf8 {
            guard self.byte(at: index) == byte else { return false }
            index += 1
        }
        return true
    }

    /// The end of the statement that starts here, before its semicolon; `position` is then after it.
    mutating func scanStatement() -> Int? {
        var words: [String] = []
        var endsWithLine = false
        if byte(at: position) == UInt8(ascii: "?") { endsWithLine = true }
        while position < text.count {
            let byte = text[position]
            if skipComment() || skipQuoted() {
                guard unfinished == .nothing else { return nil }
                continue
            }
            if byte == UInt8(ascii: ";"), !isInsideBatch(words) {
                defer { position += 1 }
                return position
            }
            if endsWithLine, byte == UInt8(ascii: "\n") {
                defer { position += 1 }
                return position
            }
            guard Self.isWord(byte) else {
                position += 1
                continue
            }
            let start = position
            while let next = self.byte(at: position), Self.isWord(next) { position += 1 }
            let word = String(decoding: text[start..<position], as: UTF8.self).lowercased()
            if words.isEmpty { endsWithLine = StatementSplitter.lineCommands.contains(word) }
            // Only the first three and the last two words matter, for the batch.
            if words.count < 5 {
                words.append(word)
            } else {
                words = Array(words[0...2] + [words[4], word])
            }
        }
        unfinished = .statement
        return nil
    }

    private func isInsideBatch(_ words: [String]) -> Bool {
        guard words.first == "begin", words.prefix(3).contains("batch") else { return false }
        return words.suffix(2) != ["apply", "batch"]
    }

    /// Moves over a comment, if one starts here.
    mutating func skipComment() -> Bool {
        if matches("--") || matches("//") {
            while let byte = byte(at: position), byte != UInt8(ascii: "\n") { position += 1 }
            return true
        }
        guard matches("/*") else { return false }
        position += 2
        while position < text.count {
            if matches("*/") {
                position += 2
                return true
            }
            position += 1
        }
        unfinished = .comment
        return true
    }

    /// Moves over a string or a quoted name, if one starts here. A doubled quote reads as the end of
    /// one and the start of another, which comes to the same.
    private mutating func skipQuoted() -> Bool {
        let mark: String
        let inside: StatementSplitter.Unfinished
        if matches("'") {
            (mark, inside) = ("'", .string)
        } else if matches("\"") {
            (mark, inside) = ("\"", .quotedName)
        } else if matches("$$") {
            (mark, inside) = ("$$", .dollars)
        } else {
            return false
        }
        position += mark.utf8.count
        while position < text.count {
            if matches(mark) {
                position += mark.utf8.count
                return true
            }
            position += 1
        }
        unfinished = inside
        return true
    }
}
