// Statements as they may be shown: without the passwords in them.

/// Hides passwords in the texts of statements.
package enum PasswordMask {
    private static let mark = "PASSWORD"

    /// The text up to its first password, with stars for it and all that follows; the text itself if it is
    /// no statement about a role or a user.
    package static func masked(_ text: String) -> String {
        let bytes = Array(text.utf8)
        let capitals = bytes.map { $0 >= 0x61 && $0 <= 0x7A ? $0 - 0x20 : $0 }
        let words = String(decoding: capitals, as: UTF8.self)
            .split(maxSplits: 2) { $0.isWhitespace }
        guard words.count > 1, ["CREATE", "ALTER"].contains(words[0]),
            ["ROLE", "USER"].contains(words[1])
        else { return text }
        let mark = Array(mark.utf8)
        var index = 0
        while index + mark.count <= capitals.count {
            if capitals[index..<index + mark.count].elementsEqual(mark) {
                return String(decoding: bytes[..<(index + mark.count)], as: UTF8.self) + " *******"
            }
            index += 1
        }
        return text
    }
}
