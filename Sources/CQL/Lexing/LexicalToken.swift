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

    /// The longest mark that begins with these two bytes.
    static func at(_ first: UInt8, _ second: UInt8) -> Symbol? {
        let isEqual = second == UInt8(ascii: "=")
        switch first {
        case UInt8(ascii: "("): return .leftParenthesis
        case UInt8(ascii: ")"): return .rightParenthesis
        case UInt8(ascii: "["): return .leftBracket
        case UInt8(ascii: "]"): return .rightBracket
        case UInt8(ascii: "{"): return .leftBrace
        case UInt8(ascii: "}"): return .rightBrace
        case UInt8(ascii: "<"): return isEqual ? .lessOrEqual : .less
        case UInt8(ascii: ">"): return isEqual ? .greaterOrEqual : .greater
        case UInt8(ascii: "="): return .equal
        case UInt8(ascii: "!"): return isEqual ? .notEqual : nil
        case UInt8(ascii: "+"): return isEqual ? .plusEqual : .plus
        case UInt8(ascii: "-"): return isEqual ? .minusEqual : .minus
        case UInt8(ascii: "*"): return .star
        case UInt8(ascii: "/"): return .slash
        case UInt8(ascii: "%"): return .percent
        case UInt8(ascii: ","): return .comma
        case UInt8(ascii: ";"): return .semicolon
        case UInt8(ascii: ":"): return .colon
        case UInt8(ascii: "."): return second == UInt8(ascii: ".") ? .range : .dot
        case UInt8(ascii: "?"): return .questionMark
        default: return nil
        }
    }
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
