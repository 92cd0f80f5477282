// Editing a line: the cursor is written as a bar.

import Testing

@testable import coterie

@Suite struct EditBufferTests {
    private func edited(_ text: String, _ edit: (inout EditBuffer) -> Void) -> String {
        var buffer = EditBuffer(text)
        edit(&buffer)
        return buffer.textBeforeCursor + "|" + buffer.textAfterCursor
    }

    @Test func cursorStaysInsideOfTheText() {
        #expect(edited("ab") { $0.moveRight() } == "ab|")
        #expect(edited("") { $0.moveLeft() } == "|")
        #expect(
            edited("ab") {
                $0.moveToStart(); $0.moveLeft(); $0.deleteBackward()
            } == "|ab")
        #expect(edited("ab") { $0.deleteForward() } == "ab|")
    }

    @Test func insertingAndDeletingHappenAtTheCursor() {
        #expect(
            edited("ac") {
                $0.moveLeft(); $0.insert("b")
            } == "ab|c")
        #expect(
            edited("abc") {
                $0.moveLeft(); $0.deleteBackward()
            } == "a|c")
        #expect(
            edited("abc") {
                $0.moveToStart(); $0.deleteForward()
            } == "|bc")
    }

    @Test func wordsAreSkippedAndDeletedWhole() {
        #expect(edited("one two_2 ") { $0.moveWordLeft() } == "one |two_2 ")
        #expect(
            edited("one two") {
                $0.moveToStart(); $0.moveWordRight()
            } == "one| two")
        #expect(edited("select a.b ") { $0.deleteWordBackward() } == "select |")
        #expect(edited("") { $0.deleteWordBackward() } == "|")
    }

    @Test func deletedTextCanBePutBack() {
        #expect(
            edited("ab cd") {
                $0.deleteWordBackward(); $0.moveToStart(); $0.yank()
            } == "cd|ab ")
        #expect(
            edited("abcd") {
                $0.moveLeft(); $0.deleteToStart(); $0.moveToEnd(); $0.yank()
            } == "dabc|")
        #expect(
            edited("abcd") {
                $0.moveToStart(); $0.moveRight(); $0.deleteToEnd()
            } == "a|")
    }

    @Test func transposingSwapsTheNeighbours() {
        #expect(edited("ab") { $0.transpose() } == "ba|")
        #expect(
            edited("abc") {
                $0.moveLeft(); $0.transpose()
            } == "acb|")
        #expect(edited("a") { $0.transpose() } == "a|")
    }

    @Test func combiningMarkJoinsItsLetter() {
        #expect(
            edited("e") {
                $0.insert("\u{301}"); $0.moveLeft()
            } == "|e\u{301}")
        #expect(TextWidth.columns("e\u{301}x") == 2)
        #expect(TextWidth.columns("東京") == 4)
        #expect(TextWidth.columns("🙂") == 2)
        #expect(TextWidth.columns("plain") == 5)
        #expect(TextWidth.columns("\u{1F468}\u{200D}\u{1F469}\u{200D}\u{1F467}x") == 3)
        #expect(TextWidth.columns("\u{2764}\u{FE0F}\u{231A}\u{FE0E}") == 3)
        #expect(TextWidth.columns("\u{1F1E8}\u{1F1ED}\u{1F1E9}") == 4)
        #expect(TextWidth.columns("\u{1F44D}\u{1F3FD}\u{1100}\u{1161}\u{11A8}") == 4)
        #expect(TextWidth.columns("\u{0915}\u{094D}\u{0937}\u{0928}\u{093F}") == 4)
    }
}
