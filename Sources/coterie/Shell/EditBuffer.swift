// The text of a line under way and the cursor in it. Knows nothing of terminals.

/// A line with a cursor.
struct EditBuffer: Equatable {
    private var characters: [Character]
    private var cursor: Int
    // What the last deletion took, for Ctrl-Y.
    private var killed: [Character] = []

    /// The cursor is behind the text.
    init(_ text: String = "") {
        characters = Array(text)
        cursor = characters.count
    }

    var text: String { String(characters) }
    var textBeforeCursor: String { String(characters[..<cursor]) }
    var textAfterCursor: String { String(characters[cursor...]) }
    var isEmpty: Bool { characters.isEmpty }

    mutating func insert(_ character: Character) {
        // A combining mark joins the character before it.
        if cursor > 0 {
            let joined = String(characters[cursor - 1]) + String(character)
            if joined.count == 1, let one = joined.first {
                characters[cursor - 1] = one
                return
            }
        }
        characters.insert(character, at: cursor)
        cursor += 1
    }

    /// Puts `text` in place of the `count` characters before the cursor.
    mutating func replaceBefore(_ count: Int, with text: String) {
        let start = max(cursor - count, 0)
        let new = Array(text)
        characters.replaceSubrange(start..<cursor, with: new)
        cursor = start + new.count
    }

    mutating func moveLeft() { cursor = max(cursor - 1, 0) }
    mutating func moveRight() { cursor = min(cursor + 1, characters.count) }
    mutating func moveToStart() { cursor = 0 }
    mutating func moveToEnd() { cursor = characters.count }
    mutating func moveWordLeft() { cursor = wordStart }
    mutating func moveWordRight() {
        while cursor < characters.count, !Self.isWord(characters[cursor]) { cursor += 1 }
        while cursor < characters.count, Self.isWord(characters[cursor]) { cursor += 1 }
    }

    mutating func deleteBackward() {
        guard cursor > 0 else { return }
        cursor -= 1
        characters.remove(at: cursor)
    }

    mutating func deleteForward() {
        guard cursor < characters.count else { return }
        characters.remove(at: cursor)
    }

    mutating func deleteToEnd() { kill(cursor..<characters.count) }
    mutating func deleteToStart() { kill(0..<cursor) }

    /// Deletes back to the blank before the word, as a shell does.
    mutating func deleteWordBackward() {
        var start = cursor
        while start > 0, characters[start - 1].isWhitespace { start -= 1 }
        while start > 0, !characters[start - 1].isWhitespace { start -= 1 }
        kill(start..<cursor)
    }

    mutating func yank() {
        characters.insert(contentsOf: killed, at: cursor)
        cursor += killed.count
    }

    /// Swaps the two characters around the cursor, or the last two at the end.
    mutating func transpose() {
        guard cursor > 0, characters.count > 1 else { return }
        let right = cursor == characters.count ? cursor - 1 : cursor
        characters.swapAt(right - 1, right)
        cursor = right + 1
    }

    private mutating func kill(_ range: Range<Int>) {
        guard !range.isEmpty else { return }
        killed = Array(characters[range])
        characters.removeSubrange(range)
        cursor = range.lowerBound
    }

    private var wordStart: Int {
        var start = cursor
        while start > 0, !Self.isWord(characters[start - 1]) { start -= 1 }
        while start > 0, Self.isWord(characters[start - 1]) { start -= 1 }
        return start
    }

    private static func isWord(_ character: Character) -> Bool {
        character.isLetter || character.isNumber || character == "_"
    }
}
