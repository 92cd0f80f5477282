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

    /// How many tokens are read at a time, how many of them stay ahead of the place, and how many behind.
    private static let (portion, ahead, behind) = (64, 16, 64)
    /// How much of the text around a mistake its error shows.
    private static let shownBytes = 256

    let bytes: [UInt8]
    private var lexer: Lexer
    /// The tokens around the place; as many as `dropped` were before them.
    private var tokens: [LexicalToken] = []
    private var dropped = 0
    /// What stopped the lexer. A mistake behind it would be one of the tokens that are missing.
    private var lexicalFailure: CQLError?
    /// The number of the token that is looked at.
    private(set) var index = 0
    /// How many rules may yet go back: no token is dropped meanwhile.
    private var returnPoints = 0
    var depth = 0
    /// Those of the outermost expression that is being read.
    var operators = 0
    var bindMarkers: [String?] = []

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
        lexer = Lexer(bytes)
        readAhead()
    }

    /// The one statement that `text` holds, with an optional semicolon at its end.
    package static func parse(_ text: String) throws(CQLError) -> ParsedStatement {
        try parse(utf8: Array(text.utf8))
    }

    /// The one statement that the UTF-8 `bytes` hold.
    package static func parse(utf8 bytes: [UInt8]) throws(CQLError) -> ParsedStatement {
        var parser = Parser(bytes)
        let statement = try parser.parseStatement()
        while parser.accept(.semicolon) {}
        guard parser.current.kind == .end else {
            throw parser.failure("missing EOF at '\(parser.spelling(parser.current))'")
        }
        if let failure = parser.lexicalFailure { throw failure }
        return ParsedStatement(statement: statement, bindMarkers: parser.bindMarkers)
    }

    // MARK: Tokens

    var current: LexicalToken { tokens[index - dropped] }

    /// One of the next few tokens.
    func token(ahead count: Int) -> LexicalToken {
        precondition(count < Self.ahead)
        return tokens[min(index - dropped + count, tokens.count - 1)]
    }

    mutating func advance() {
        guard index - dropped < tokens.count - 1 else { return }
        index += 1
        if tokens.count - (index - dropped) <= Self.ahead { readAhead() }
    }

    /// Reads more tokens, if there are any, and drops those that nobody asks for any more.
    private mutating func readAhead() {
        guard tokens.last?.kind != .end else { return }
        let done = index - dropped - Self.behind
        if returnPoints == 0, done > 0 {
            tokens.removeFirst(done)
            dropped += done
        }
        do throws(CQLError) {
            for _ in 0..<Self.portion {
                let token = try lexer.next()
                tokens.append(token)
                if token.kind == .end { return }
            }
        } catch {
            lexicalFailure = error
            let place = tokens.last?.end ?? 0
            tokens.append(
                LexicalToken(
                    kind: .end, start: place, end: place,
                    position: tokens.last?.position ?? SourcePosition(line: 1, column: 0),
                    text: ""))
        }
    }

    /// Runs `rule`, which may call `goBack` to the place where it began.
    mutating func returning<Result, Failure>(
        _ rule: (inout Parser, _ start: Int) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        returnPoints += 1
        defer { returnPoints -= 1 }
        return try rule(&self, index)
    }

    mutating func goBack(to start: Int) {
        precondition(returnPoints > 0 && start >= dropped && start <= index)
        index = start
    }

    func spelling(_ token: LexicalToken) -> String {
        token.kind == .end ? "<EOF>" : shown(token.start, token.end)
    }

    /// The text from `start` to `end`, but no more of it than an error needs.
    private func shown(_ start: Int, _ end: Int) -> String {
        guard end - start > Self.shownBytes else {
            return String(decoding: bytes[start..<end], as: UTF8.self)
        }
        var cut = start + Self.shownBytes
        while cut > start, bytes[cut] & 0xC0 == 0x80 { cut -= 1 }
        return String(decoding: bytes[start..<cut], as: UTF8.self) + "..."
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
        lexicalFailure ?? .syntax("\(current.position) \(reason) (\(snippet))")
    }

    func mismatch(_ expected: String) -> CQLError {
        failure("mismatched input '\(spelling(current))' expecting \(expected)")
    }

    var noAlternative: CQLError {
        failure("no viable alternative at input '\(spelling(current))'")
    }

    /// The tokens around the place, with the offending one in brackets.
    private var snippet: String {
        let place = index - dropped
        let first = max(0, place - 10)
        let last = min(tokens.count - 1, place + 10)
        var text = dropped + first > 0 ? "..." : ""
        text += shown(tokens[first].start, current.start)
        text += "[" + shown(current.start, current.end) + "]"
        guard place < last else { return text }
        text += shown(current.end, tokens[last].end)
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
