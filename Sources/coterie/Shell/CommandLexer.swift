// The words of the shell's own commands: names, strings, numbers and marks.
//
// It reads what CQL would read in the same place, comments left out, and trusts nothing: a string
// without its end is the rest of the text.

/// Cuts a command into tokens.
struct CommandLexer {
    /// One token with where it stands.
    struct Token: Equatable {
        enum Kind: Equatable { case word, quotedName, string, number, mark }

        let kind: Kind
        /// What it means: without quotes, quotes inside not doubled.
        let value: String
        /// Whether the end was found; false only for strings and quoted names.
        var isWhole = true

        /// The word in lower case; nil for other tokens.
        var keyword: String? { kind == .word ? value.lowercased() : nil }
        /// A name as the schema has it; nil for other tokens.
        var name: String? {
            switch kind {
            case .word: value.lowercased()
            case .quotedName: value
            default: nil
            }
        }
    }

    /// All tokens of `text`.
    static func tokens(_ text: String) -> [Token] {
        var rest = text[...]
        var tokens: [Token] = []
        while let first = rest.first {
            if first.isWhitespace {
                rest = rest.dropFirst()
            } else if rest.hasPrefix("--") || rest.hasPrefix("//") {
                rest = rest.drop { !$0.isNewline }
            } else if rest.hasPrefix("/*") {
                guard let end = rest.dropFirst(2).firstRange(of: "*/") else { return tokens }
                rest = rest[end.upperBound...]
            } else if first == "'" || first == "\"" {
                tokens.append(quoted(&rest, first))
            } else if first.isLetter || first == "_" {
                let word = rest.prefix { $0.isLetter || $0.isNumber || $0 == "_" }
                tokens.append(Token(kind: .word, value: String(word)))
                rest = rest.dropFirst(word.count)
            } else if first.isNumber || (first == "-" && rest.dropFirst().first?.isNumber == true) {
                // A UUID or a number with a point and an exponent is one token.
                let number = rest.dropFirst().prefix {
                    $0.isHexDigit || $0 == "-" || $0 == "." || $0 == "x"
                }
                tokens.append(Token(kind: .number, value: String(first) + number))
                rest = rest.dropFirst(number.count + 1)
            } else {
                tokens.append(Token(kind: .mark, value: String(first)))
                rest = rest.dropFirst()
            }
        }
        return tokens
    }

    private static func quoted(_ rest: inout Substring, _ quote: Character) -> Token {
        let kind: Token.Kind = quote == "'" ? .string : .quotedName
        rest = rest.dropFirst()
        var value = ""
        while let character = rest.popFirst() {
            guard character == quote else {
                value.append(character)
                continue
            }
            guard rest.first == quote else { return Token(kind: kind, value: value) }
            value.append(quote)
            rest = rest.dropFirst()
        }
        return Token(kind: kind, value: value, isWhole: false)
    }
}
