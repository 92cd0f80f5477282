// A line of input with editing, on a terminal in raw mode.
//
// The terminal is raw only while a line is read, so that a statement under way can be interrupted as
// usual, and it is put back on every way out. A line longer than the terminal wraps over several rows;
// after each key the rows are drawn anew, in one write.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Reads lines from the terminal.
final class LineEditor {
    /// How reading a line ended.
    enum Result: Equatable {
        case line(String)
        /// Ctrl-C: forget what was typed.
        case interrupted
        /// Ctrl-D on an empty line, or the end of input.
        case end
    }

    private let history: ShellHistory
    /// What a tab may stand for after the given text.
    var complete: (String) -> Completer.Result = { _ in .init(candidates: [], replaced: 0) }
    private var buffer = EditBuffer()
    private var keys: KeyReader
    private let input: Int32
    private let output: Int32
    private var prompt = ""
    // Where the cursor was left by the last drawing: its row, counted from the prompt's.
    private var drawnRow = 0

    /// An editor on the terminal of the process, or on another one.
    init(history: ShellHistory, input: Int32 = STDIN_FILENO, output: Int32 = STDOUT_FILENO) {
        self.history = history
        self.input = input
        self.output = output
        keys = KeyReader(descriptor: input)
    }

    /// Reads a line; the line feed is not part of it.
    func readLine(prompt: String) -> Result {
        var saved = termios()
        guard tcgetattr(input, &saved) == 0 else { return readPlainLine(prompt) }
        var raw = saved
        cfmakeraw(&raw)
        // Output keeps its processing: the shell prints line feeds alone.
        raw.c_oflag = saved.c_oflag
        guard tcsetattr(input, TCSADRAIN, &raw) == 0 else { return readPlainLine(prompt) }
        defer { _ = tcsetattr(input, TCSADRAIN, &saved) }
        self.prompt = prompt
        buffer = EditBuffer()
        drawnRow = 0
        let result = edit()
        buffer.moveToEnd()
        draw()
        ShellOutput.write(Array((result == .interrupted ? "^C\n" : "\n").utf8), to: output)
        // The end of input gets its line feed from the caller.
        return result
    }

    private func readPlainLine(_ prompt: String) -> Result {
        ShellOutput.write(Array(prompt.utf8), to: output)
        return Swift.readLine().map { .line($0) } ?? .end
    }

    /// Asks for a password without showing it.
    static func readPassword() throws -> String {
        var saved = termios()
        let isTerminal = tcgetattr(STDIN_FILENO, &saved) == 0
        if isTerminal {
            var silent = saved
            silent.c_lflag &= ~tcflag_t(ECHO)
            _ = tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent)
            // Who answers the prompt at once must not see the answer either.
            ShellOutput.write(Array("Password: ".utf8), to: STDERR_FILENO)
        }
        defer {
            if isTerminal {
                _ = tcsetattr(STDIN_FILENO, TCSAFLUSH, &saved)
                ShellOutput.write([UInt8(ascii: "\n")], to: STDERR_FILENO)
            }
        }
        return Swift.readLine() ?? ""
    }

    // MARK: - Keys

    private func edit() -> Result {
        // The line being typed is the last entry while one walks through the history.
        var entries = history.lines + [""]
        var entry = entries.count - 1
        func show(_ index: Int) {
            guard entries.indices.contains(index) else { return }
            entries[entry] = buffer.text
            entry = index
            buffer = EditBuffer(entries[index])
        }
        var isSecondTab = false
        while true {
            if !keys.hasMore { draw() }
            let key = keys.next()
            defer { isSecondTab = key == .tab }
            switch key {
            case .character(let character): buffer.insert(character)
            case .tab: completeWord(listsAll: isSecondTab)
            case .enter: return .line(buffer.text)
            case .endOfInput: return .end
            case .control("c"): return .interrupted
            case .control("d"):
                if buffer.isEmpty { return .end }
                buffer.deleteForward()
            case .left, .control("b"): buffer.moveLeft()
            case .right, .control("f"): buffer.moveRight()
            case .wordLeft: buffer.moveWordLeft()
            case .wordRight: buffer.moveWordRight()
            case .home, .control("a"): buffer.moveToStart()
            case .end, .control("e"): buffer.moveToEnd()
            case .backspace, .control("h"): buffer.deleteBackward()
            case .delete: buffer.deleteForward()
            case .control("k"): buffer.deleteToEnd()
            case .control("u"): buffer.deleteToStart()
            case .control("w"): buffer.deleteWordBackward()
            case .control("y"): buffer.yank()
            case .control("t"): buffer.transpose()
            case .control("l"): clearScreen()
            case .up, .control("p"): show(entry - 1)
            case .down, .control("n"): show(entry + 1)
            case .control("r"):
                if let result = search(entries) { return result }
            case .control, .unknown: break
            }
        }
    }

    /// Completes the word before the cursor as far as all candidates agree; a second time it lists them.
    private func completeWord(listsAll: Bool) {
        // A pasted tab is a blank.
        if keys.hasMoreThanTabs {
            buffer.insert(" ")
            return
        }
        let result = complete(buffer.textBeforeCursor)
        guard let first = result.candidates.first else { return }
        if result.candidates.count == 1 {
            let isOpen = first.last.map { "(<.'/".contains($0) } ?? true
            buffer.replaceBefore(result.replaced, with: first + (isOpen ? "" : " "))
            return
        }
        var common = first
        for candidate in result.candidates {
            while !candidate.lowercased().hasPrefix(common.lowercased()) { common.removeLast() }
        }
        if common.count > result.replaced {
            buffer.replaceBefore(result.replaced, with: common)
        } else if listsAll {
            list(result.candidates)
        } else {
            ShellOutput.write([0x07], to: output)
        }
    }

    private func list(_ candidates: [String]) {
        let width = (candidates.map { TextWidth.columns($0) }.max() ?? 0) + 2
        let inRow = max(terminalColumns() / width, 1)
        var text = ""
        for (index, candidate) in candidates.enumerated() {
            if index % inRow == 0 { text += "\n" }
            text += candidate
            text += String(repeating: " ", count: max(width - TextWidth.columns(candidate), 0))
        }
        // The line under way is drawn again below.
        ShellOutput.write(Array((text + "\n").utf8), to: output)
        drawnRow = 0
    }

    /// Searches backwards while one types; a key other than text, Backspace and Ctrl-R ends it.
    private func search(_ entries: [String]) -> Result? {
        let original = (prompt, buffer)
        var wanted = ""
        var index = entries.count
        func find(from start: Int) {
            var candidate = start
            while candidate >= 0 {
                if candidate < entries.count, entries[candidate].contains(wanted) {
                    index = candidate
                    buffer = EditBuffer(entries[candidate])
                    return
                }
                candidate -= 1
            }
        }
        defer { prompt = original.0 }
        while true {
            prompt = "(reverse-i-search)`\(wanted)': "
            draw()
            switch keys.next() {
            case .character(let character):
                wanted.append(character)
                find(from: min(index, entries.count - 1))
            case .backspace, .control("h"):
                if !wanted.isEmpty { wanted.removeLast() }
                index = entries.count
                find(from: entries.count - 1)
            case .control("r"): find(from: index - 1)
            case .control("c"), .control("g"):
                buffer = original.1
                return nil
            case .endOfInput: return .end
            case .enter:
                prompt = original.0
                return .line(buffer.text)
            default:
                return nil
            }
        }
    }

    // MARK: - Drawing

    private func clearScreen() {
        ShellOutput.write(Array("\u{1B}[H\u{1B}[2J".utf8), to: output)
        drawnRow = 0
    }

    private func terminalColumns() -> Int {
        var size = winsize()
        guard ioctl(output, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 1 else { return 80 }
        return Int(size.ws_col)
    }

    private func draw() {
        let columns = terminalColumns()
        var drawing = "\r"
        if drawnRow > 0 { drawing += "\u{1B}[\(drawnRow)A" }
        drawing += "\u{1B}[J" + prompt
        let start = Self.advance(0, prompt, columns)
        drawing += buffer.text
        let cursor = Self.advance(start, buffer.textBeforeCursor, columns)
        let end = Self.advance(cursor, buffer.textAfterCursor, columns)
        // A terminal keeps the cursor behind a full row until another character comes.
        if end > 0, end % columns == 0 { drawing += "\n\r" }
        let up = end / columns - cursor / columns
        if up > 0 { drawing += "\u{1B}[\(up)A" }
        drawing += "\r"
        if cursor % columns > 0 { drawing += "\u{1B}[\(cursor % columns)C" }
        drawnRow = cursor / columns
        ShellOutput.write(Array(drawing.utf8), to: output)
    }

    /// The position after `text`, counted in cells from the prompt's start. A wide character that does
    /// not fit the rest of a row begins the next one.
    private static func advance(_ position: Int, _ text: String, _ columns: Int) -> Int {
        var position = position
        for character in text {
            let width = TextWidth.columns(character)
            if width == 2, position % columns == columns - 1 { position += 1 }
            position += width
        }
        return position
    }
}
