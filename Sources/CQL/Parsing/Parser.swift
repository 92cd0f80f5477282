// A recursive-descent parser for CQL (grammar of Cassandra 5.0).
//
// One method for each rule, in `Parser+….swift` by part of the language. This file holds what all share:
// the walk over the tokens, names, error texts, and the limit on nesting that keeps hostile input from
// exhausting the stack.
//
// Error texts are worded like those of the original's generated parser, because people search for them:
// `line L:C no viable alternative at input 'x' (… [x] …)`.

package import Model

/// Parses one statement.
package struct Parser {
    /// How deep terms, types and selectors may nest.
    static let maximumDepth = 128
    /// How many operators, fields and elements one expression may have: a chain of them is as deep a tree
    /// as brackets are, and whatever walks over it walks by recursion.
    static let maximumOperators = 200

    let bytes: [UInt8]
    let tokens: [LexicalToken]
    var index = 0
    var depth = 0
    /// Those of the outermost expression that is being read.
    var operators = 0
    var bindMarkers: [String?] = []

    init(_ bytes: [UInt8]) throws(CQLError) {
        self.bytes = bytes
        self.tokens = try Lexer.tokens(of: bytes)
    }

    /// The one statement that `text` holds, with an optional semicolon at its end.
    package static func parse(_ text: String) throws(CQLError) -> ParsedStatement {
        try parse(utf8: Array(text.utf8))
    }

    /// The one statement that the UTF-8 `bytes` hold.
    package static func parse(utf8 bytes: [UInt8]) throws(CQLError) -> ParsedStatement {
        var parser = try Parser(bytes)
        let statement = try parser.parseStatement()
        while parser.accept(.semicolon) {}
        guard parser.current.kind == .end else {
            throw parser.failure("missing EOF at '\(parser.spelling(parser.current))'")
        }
        return ParsedStatement(statement: statement, bindMarkers: parser.bindMarkers)
    }

    // MARK: Tokens

    var current: LexicalToken { tokens[index] }

    func token(ahead count: Int) -> LexicalToken { tokens[min(index + count, tokens.count - 1)] }

    mutating func advance() {
        if index < tokens.count - 1 { index += 1 }
    }

    func spelling(_ token: LexicalToken) -> String {
        token.kind == .end
            ? "<EOF>" : String(decoding: bytes[token.start..<token.end], as: UTF8.self)
    }

    func at(_ symbol: Symbol) -> Bool { current.kind == .symbol(symbol) }
    func at(_ keyword: Keyword) -> Bool { current.kind == .keyword(keyword) }
    func at(_ keywords: Keyword...) -> Bool {
        guard case .keyword(let keyword) = current.kind else { return false }
        return keywords.contains(keyword)
    }

    mutating func accept(_ symbol: Symbol) -> Bool {
        guard at(symbol) else { return false }
        advance()
        return true
    }

    mutating func accept(_ keyword: Keyword) -> Bool {
        guard at(keyword) else { return false }
        advance()
        return true
    }

    /// Takes the keywords only if all of them stand here.
    mutating func accept(_ keywords: [Keyword]) -> Bool {
        for (offset, keyword) in keywords.enumerated() {
            guard token(ahead: offset).kind == .keyword(keyword) else { return false }
        }
        for _ in keywords { advance() }
        return true
    }

    mutating func expect(_ symbol: Symbol) throws(CQLError) {
        guard accept(symbol) else { throw mismatch("'\(symbol.rawValue)'") }
    }

    mutating func expect(_ keyword: Keyword) throws(CQLError) {
        guard accept(keyword) else { throw mismatch(keyword.tokenName) }
    }

    // MARK: Errors

    func failure(_ reason: String) -> CQLError {
        .syntax("\(current.position) \(reason) (\(snippet))")
    }

    func mismatch(_ expected: String) -> CQLError {
        failure("mismatched input '\(spelling(current))' expecting \(expected)")
    }

    var noAlternative: CQLError {
        failure("no viable alternative at input '\(spelling(current))'")
    }

    /// The tokens around the place, with the offending one in brackets.
    private var snippet: String {
        let first = max(0, index - 10)
        let last = min(tokens.count - 1, index + 10)
        var text = first > 0 ? "..." : ""
        text += String(decoding: bytes[tokens[first].start..<current.start], as: UTF8.self)
        text += "[" + String(decoding: bytes[current.start..<current.end], as: UTF8.self) + "]"
        guard index < last else { return text }
        text += String(decoding: bytes[current.end..<tokens[last].end], as: UTF8.self)
        return text + (last < tokens.count - 1 ? "..." : "")
    }

    /// Runs `rule` one level deeper.
    mutating func nested<Result>(
        _ rule: (inout Parser) throws(CQLError) -> Result
    ) throws(CQLError) -> Result {
        guard depth < Self.maximumDepth else {
            throw failure("the statement is nested over \(Self.maximumDepth) levels deep")
        }
        depth += 1
        defer { depth -= 1 }
        return try rule(&self)
    }

    /// Counts an operator of the expression that is being read.
    mutating func countOperator() throws(CQLError) {
        operators += 1
        guard operators <= Self.maximumOperators else {
            throw failure("an expression has over \(Self.maximumOperators) operators")
        }
    }

    // MARK: Names

    /// A name: unquoted, quoted, or a keyword that isn't reserved. nil takes nothing.
    func nameHere(_ offset: Int = 0) -> String? {
        let candidate = token(ahead: offset)
        switch candidate.kind {
        case .identifier, .quotedName: return candidate.text
        case .keyword(let keyword) where !keyword.isReserved: return candidate.text
        default: return nil
        }
    }

    mutating func acceptName() -> String? {
        guard let name = nameHere() else { return nil }
        advance()
        return name
    }

    mutating func parseName() throws(CQLError) -> String {
        guard let name = acceptName() else { throw noAlternative }
        return name
    }

    /// A column's name, which may be the empty one of old tables.
    mutating func parseColumnName() throws(CQLError) -> String {
        if current.kind == .emptyQuotedName {
            advance()
            return ""
        }
        return try parseName()
    }

    /// `[keyspace.]name`
    mutating func parseQualifiedName(_ what: String = "table") throws(CQLError) -> QualifiedName {
        if at(.questionMark) {
            throw failure("Bind variables cannot be used for \(what) names")
        }
        let first = try parseName()
        guard accept(.dot) else { return QualifiedName(keyspace: nil, name: first) }
        if at(.questionMark) {
            throw failure("Bind variables cannot be used for \(what) names")
        }
        return QualifiedName(keyspace: first, name: try parseName())
    }

    mutating func parseKeyspaceName() throws(CQLError) -> String {
        if at(.questionMark) {
            throw failure("Bind variables cannot be used for keyspace names")
        }
        return try parseName()
    }

    mutating func parseIfNotExists() throws(CQLError) -> Bool {
        guard accept(.if) else { return false }
        try expect(.not)
        try expect(.exists)
        return true
    }

    mutating func parseIfExists() throws(CQLError) -> Bool {
        guard accept(.if) else { return false }
        try expect(.exists)
        return true
    }

    /// `rule (',' rule)*`
    mutating func commaSeparated<Item>(
        _ rule: (inout Parser) throws(CQLError) -> Item
    ) throws(CQLError) -> [Item] {
        var items = [try rule(&self)]
        while accept(.comma) { items.append(try rule(&self)) }
        return items
    }

    // MARK: Statements

    mutating func parseStatement() throws(CQLError) -> Statement {
        guard case .keyword(let keyword) = current.kind else { throw noAlternative }
        switch keyword {
        case .select: return .select(try parseSelect())
        case .insert, .update, .delete: return try parseModification()
        case .begin: return .batch(try parseBatch())
        case .use:
            advance()
            return .use(try parseKeyspaceName())
        case .truncate:
            advance()
            if at(.table, .columnfamily), nameHere(1) != nil { advance() }
            return .truncate(try parseQualifiedName())
        case .create: return try parseCreate()
        case .alter: return try parseAlter()
        case .drop: return try parseDrop()
        case .describe, .desc: return .describe(try parseDescribe())
        case .grant, .revoke, .list, .add: return try parsePermissionStatement()
        default: throw noAlternative
        }
    }
}
