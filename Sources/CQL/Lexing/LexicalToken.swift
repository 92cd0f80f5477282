// What the lexer makes of the text: kinds of tokens, and where each stood.

/// A mark made of one or two characters.
enum Symbol: String, Sendable {
    case leftParenthesis = "("
    case rightParenthesis = ")"
    case leftBracket = "["
    case rightBracket = "]"
    case leftBrace = "{"
    case rightBrace = "}"
    case less = "<"
    case lessOrEqual = "<="
    case greater = ">"
    case greaterOrEqual = ">="
    case equal = "="
    case notEqual = "!="
    case plus = "+"
    case plusEqual = "+="
    case minus = "-"
    case minusEqual = "-="
    case star = "*"
    case slash = "/"
    case percent = "%"
    case comma = ","
    case semicolon = ";"
    case colon = ":"
    case dot = "."
    case range = ".."
    case questionMark = "?"
}

/// A place in a statement: lines from 1, columns from 0, in characters, as Cassandra counts them.
package struct SourcePosition: Equatable, Sendable, CustomStringConvertible {
    package let line: Int
    package let column: Int

    package var description: String { "line \(line):\(column)" }
}

/// One token. Its text is the bytes from `start` up to `end`.
struct LexicalToken: Sendable {
    enum Kind: Equatable, Sendable {
        case identifier, quotedName, emptyQuotedName
        case string, integer, float, boolean, duration, uuid, hexadecimal
        /// `-NaN` and `-Infinity` are one token each.
        case negativeNaN, negativeInfinity
        case keyword(Keyword)
        case symbol(Symbol)
        case end
    }

    let kind: Kind
    let start: Int
    let end: Int
    let position: SourcePosition
    /// The folded name, or the text of a literal without its quotation marks.
    let text: String
}
