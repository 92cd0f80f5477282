// Numbers as Python reads them from text, and its words for what is none: cqlsh reads the fields of CSV
// files and the options of COPY with them.

/// Reads numbers.
enum PythonNumber {
    /// Without blanks around it.
    static func stripped(_ text: some StringProtocol) -> String {
        var text = Substring(text)
        while text.first?.isWhitespace == true { text = text.dropFirst() }
        while text.last?.isWhitespace == true { text = text.dropLast() }
        return String(text)
    }

    /// The digits with their sign, without blanks and underscores between digits; nil if the text is no
    /// integer.
    static func integer(_ text: some StringProtocol) -> String? {
        let digits = withoutUnderscores(stripped(text))
        let body = digits.drop { $0 == "-" || $0 == "+" }
        guard !body.isEmpty, digits.utf8.count - body.utf8.count <= 1,
            body.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) })
        else { return nil }
        return digits.hasPrefix("+") ? String(body) : digits
    }

    /// An underscore between two digits is none; others stay and spoil the number.
    static func withoutUnderscores(_ text: String) -> String {
        guard text.utf8.contains(UInt8(ascii: "_")) else { return text }
        let characters = Array(text)
        return String(
            characters.indices.filter { index in
                guard characters[index] == "_", index > 0, index + 1 < characters.count else {
                    return true
                }
                return !(characters[index - 1].isNumber && characters[index + 1].isNumber)
            }.map { characters[$0] })
    }

    static func noInteger(_ text: String) -> String {
        "invalid literal for int() with base 10: \(PythonText.quoted(text))"
    }

    static func noFloat(_ text: String) -> String {
        "could not convert string to float: \(PythonText.quoted(text))"
    }
}
