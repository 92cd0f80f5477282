// The editor on a pseudo terminal: a script presses keys and looks at what is drawn.

import Foundation
import Testing

@testable import coterie

#if canImport(Glibc)
    import Glibc
#endif

/// The two ends of a pseudo terminal.
private final class Terminal: @unchecked Sendable {
    // The person's end is used by one thread, the program's by the other.
    let person: Int32
    let program: Int32
    private(set) var shown = ""

    init() throws {
        person = posix_openpt(O_RDWR | O_NOCTTY)
        try #require(person >= 0 && grantpt(person) == 0 && unlockpt(person) == 0)
        let name = try #require(ptsname(person))
        program = open(name, O_RDWR | O_NOCTTY)
        try #require(program >= 0)
        var size = winsize(ws_row: 24, ws_col: 40, ws_xpixel: 0, ws_ypixel: 0)
        _ = ioctl(person, UInt(TIOCSWINSZ), &size)
    }

    /// Reads what the program draws until `text` has come.
    func wait(for text: String) {
        var buffer = [UInt8](repeating: 0, count: 4096)
        while !shown.contains(text) {
            let count = read(person, &buffer, buffer.count)
            guard count > 0 else { return }
            shown += String(decoding: buffer[0..<count], as: UTF8.self)
        }
        shown = ""
    }

    func press(_ keys: String) {
        let bytes = Array(keys.utf8)
        _ = write(person, bytes, bytes.count)
    }

    /// Ends the program's end, which ends the person's reading, and then that.
    func close(after reader: DispatchSemaphore) {
        _ = Foundation.close(program)
        reader.wait()
        _ = Foundation.close(person)
    }
}

@Suite struct LineEditorTests {
    /// What the editor gives when these keys are pressed, group by group, each after what it waits for
    /// was drawn.
    private func edited(
        history: [String] = [], candidates: [String] = [],
        _ script: (String, afterSeeing: String)...
    ) throws -> LineEditor.Result {
        let terminal = try Terminal()
        let hasRead = DispatchSemaphore(value: 0)
        defer { terminal.close(after: hasRead) }
        let editor = LineEditor(
            history: ShellHistory(lines: history), input: terminal.program,
            output: terminal.program)
        editor.complete = { before in
            let word = Completer.lastWord(before)
            return .init(
                candidates: candidates.filter { $0.hasPrefix(word) }, replaced: word.count)
        }
        let thread = Thread {
            for (keys, seen) in script {
                terminal.wait(for: seen)
                terminal.press(keys)
            }
            terminal.wait(for: "\u{0}never")
            hasRead.signal()
        }
        thread.start()
        return editor.readLine(prompt: "cql> ")
    }

    @Test func keysMakeALine() throws {
        #expect(try edited(("SELEKT\u{8}\u{8}CT\r", "cql> ")) == .line("SELECT"))
        #expect(try edited(("bc\u{1B}[D\u{1B}[Da\u{5}d\r", "cql> ")) == .line("abcd"))
        #expect(try edited(("東京 ü🙂\r", "cql> ")) == .line("東京 ü🙂"))
        #expect(try edited(("one two\u{17}\u{19}\u{19}\r", "cql> ")) == .line("one twotwo"))
    }

    @Test func controlKeysEndOrForgetTheLine() throws {
        #expect(try edited(("abc\u{3}", "cql> ")) == .interrupted)
        #expect(try edited(("\u{4}", "cql> ")) == .end)
        #expect(try edited(("ab\u{1}\u{4}\r", "cql> ")) == .line("b"))
    }

    @Test func historyIsWalkedAndSearched() throws {
        let lines = ["SELECT 1", "INSERT 2", "SELECT 3"]
        #expect(try edited(history: lines, ("\u{1B}[A\r", "cql> ")) == .line("SELECT 3"))
        #expect(try edited(history: lines, ("\u{10}\u{10}\u{E}\r", "cql> ")) == .line("SELECT 3"))
        #expect(
            try edited(history: lines, ("\u{12}INS", "cql> "), ("\r", "`INS': "))
                == .line("INSERT 2"))
        #expect(try edited(history: lines, ("\u{12}SEL\u{12}\r", "cql> ")) == .line("SELECT 1"))
    }

    @Test func tabsCompleteAndList() throws {
        #expect(
            try edited(
                candidates: ["keyspaces", "tables"], ("DESC ta\t", "cql> "), ("\r", "tables "))
                == .line("DESC tables "))
        #expect(
            try edited(
                candidates: ["orders", "orders_old"], ("or\t", "cql> "), ("\t", "orders"),
                ("\t", "\u{7}"), ("\r", "orders_old")) == .line("orders"))
    }

    @Test func linesLongerThanTheTerminalWrap() throws {
        let long = String(repeating: "x", count: 100)
        #expect(try edited((long, "cql> "), ("\u{1}a\r", "xxxx")) == .line("a" + long))
    }
}
