// SELECT, select lists and the relations of WHERE and IF.

internal import Model

extension Parser {
    mutating func parseSelect() throws(CQLError) -> SelectSyntax {
        try expect(.select)
        var isJSON = false
        var isDistinct = false
        // `json` and `distinct` are also columns: they are words only if a selector follows.
        if at(.json), startsSelector(token(ahead: 1)) {
            advance()
            isJSON = true
        }
        if at(.distinct), startsSelector(token(ahead: 1)) {
            advance()
            isDistinct = true
        }
        var selectors: [SelectorWithAlias] = []
        if !accept(.star) {
            selectors = try commaSeparated { (parser) throws(CQLError) -> SelectorWithAlias in
                let selector = try parser.parseSelector()
                let alias = parser.accept(.as) ? try parser.parseName() : nil
                return SelectorWithAlias(selector: selector, alias: alias)
            }
        }
        try expect(.from)
        var select = try parseFrom()
        select.isJSON = isJSON
        select.isDistinct = isDistinct
        select.selectors = selectors
        if accept(.where) { select.relations = try parseRelations() }
        if accept([.group, .by]) {
            select.groupBy = try commaSeparated { (parser) throws(CQLError) in
                try parser.parseSelector()
            }
        }
        if accept([.order, .by]) {
            select.orderings = try commaSeparated { (parser) throws(CQLError) in
                try parser.parseOrdering()
            }
        }
        if accept([.per, .partition, .limit]) {
            select.perPartitionLimit = try parseIntegerValue()
        }
        if accept(.limit) { select.limit = try parseIntegerValue() }
        if accept(.allow) {
            try expect(.filtering)
            select.allowsFiltering = true
        }
        if at(.using) {
            advance()
            guard atTimeout else { throw mismatch("K_TIMEOUT") }
            select.timeout = try parseTimeout()
        }
        return select
    }

    /// A table, or Scylla's `MUTATION_FRAGMENTS(table)`.
    private mutating func parseFrom() throws(CQLError) -> SelectSyntax {
        guard case .identifier = current.kind, current.text == "mutation_fragments",
            token(ahead: 1).kind == .symbol(.leftParenthesis)
        else { return SelectSyntax(table: try parseQualifiedName()) }
        advance()
        try expect(.leftParenthesis)
        var select = SelectSyntax(table: try parseQualifiedName())
        select.showsFragments = true
        try expect(.rightParenthesis)
        return select
    }

    private func startsSelector(_ token: LexicalToken) -> Bool {
        switch token.kind {
        case .identifier, .quotedName, .string, .integer, .float, .boolean, .duration, .uuid,
            .hexadecimal, .symbol(.star), .symbol(.questionMark), .symbol(.colon),
            .symbol(.leftBracket), .symbol(.leftBrace):
            true
        case .keyword(.as): false
        case .keyword(let keyword): !keyword.isReserved || keyword == .token || keyword == .null
        default: false
        }
    }

    private mutating func parseOrdering() throws(CQLError) -> OrderingSyntax {
        let column = try parseColumnName()
        var nearest: Term?
        if accept([.ann, .of]) { nearest = try parseTerm() }
        var isDescending = false
        if accept(.desc) {
            isDescending = true
        } else {
            _ = accept(.asc)
        }
        return OrderingSyntax(
            column: column, isDescending: isDescending, nearestNeighbour: nearest)
    }

    // MARK: Selectors

    mutating func parseSelector() throws(CQLError) -> Selector {
        if depth == 0 { operators = 0 }
        return try nested { (parser) throws(CQLError) in
            var left = try parser.parseSelectorProduct()
            while parser.at(.plus) || parser.at(.minus) {
                let sign: ArithmeticOperator = parser.at(.plus) ? .add : .subtract
                parser.advance()
                try parser.countOperator()
                left = .arithmetic(sign, left, try parser.parseSelectorProduct())
            }
            return left
        }
    }

    private mutating func parseSelectorProduct() throws(CQLError) -> Selector {
        var left = try parseSignedSelector()
        while true {
            let sign: ArithmeticOperator
            if at(.star) {
                sign = .multiply
            } else if at(.slash) {
                sign = .divide
            } else if at(.percent) {
                sign = .remainder
            } else {
                return left
            }
            advance()
            try countOperator()
            left = .arithmetic(sign, left, try parseSignedSelector())
        }
    }

    private mutating func parseSignedSelector() throws(CQLError) -> Selector {
        if accept(.minus) {
            return .negation(
                try nested { (parser) throws(CQLError) in try parser.parseSignedSelector() })
        }
        let selector = try parseSimpleSelector()
        return try parseModifiers(of: selector)
    }

    /// `.field`, `[element]` and `[from..to]` after a selector.
    private mutating func parseModifiers(of selector: Selector) throws(CQLError) -> Selector {
        var selector = selector
        while true {
            if at(.dot) || at(.leftBracket) { try countOperator() }
            if accept(.dot) {
                selector = .field(selector, try parseName())
            } else if accept(.leftBracket) {
                if accept(.range) {
                    selector = .slice(selector, from: nil, to: try parseTerm())
                } else {
                    let first = try parseTerm()
                    if accept(.range) {
                        let last = at(.rightBracket) ? nil : try parseTerm()
                        selector = .slice(selector, from: first, to: last)
                    } else {
                        selector = .element(selector, first)
                    }
                }
                try expect(.rightBracket)
            } else {
                return selector
            }
        }
    }

    private mutating func parseSimpleSelector() throws(CQLError) -> Selector {
        if let literal = acceptLiteral() { return .term(.literal(literal)) }
        if let marker = try acceptMarker() { return .term(.marker(marker)) }
        if accept(.null) { return .term(.null) }
        if at(.leftBracket) {
            advance()
            if accept(.rightBracket) { return .list([]) }
            let items = try commaSeparated { (parser) throws(CQLError) in
                try parser.parseSelector()
            }
            try expect(.rightBracket)
            return .list(items)
        }
        if at(.leftBrace) { return try parseSelectorBraces() }
        if at(.leftParenthesis) {
            if let hint = try acceptSelectorTypeHint() {
                let value = try nested { (parser) throws(CQLError) in
                    try parser.parseSimpleSelector()
                }
                return .typeHint(hint, value)
            }
            advance()
            let items = try commaSeparated { (parser) throws(CQLError) in
                try parser.parseSelector()
            }
            try expect(.rightParenthesis)
            return .tuple(items)
        }
        return try parseColumnOrCall()
    }

    /// `(type)` before a selector. `(name)` alone is a selector in parentheses.
    private mutating func acceptSelectorTypeHint() throws(CQLError) -> TypeSyntax? {
        try returning { (parser, start) throws(CQLError) in
            guard let type = try parser.acceptTypeHint() else { return nil }
            switch parser.current.kind {
            case .symbol(.leftParenthesis), .symbol(.leftBracket), .symbol(.leftBrace),
                .symbol(.questionMark), .symbol(.colon), .string, .integer, .float, .boolean,
                .duration, .uuid, .hexadecimal, .identifier, .quotedName, .keyword(.null),
                .keyword(.token):
                return type
            case .keyword(.nan), .keyword(.infinity), .negativeNaN, .negativeInfinity: return type
            case .keyword(let keyword) where !keyword.isReserved && keyword != .as: return type
            default:
                parser.goBack(to: start)
                return nil
            }
        }
    }

    private mutating func parseSelectorBraces() throws(CQLError) -> Selector {
        try expect(.leftBrace)
        if accept(.rightBrace) { return .set([]) }
        let first = try parseSelector()
        guard accept(.colon) else {
            var items = [first]
            while accept(.comma) { items.append(try parseSelector()) }
            try expect(.rightBrace)
            return .set(items)
        }
        var entries = [Selector.MapEntry(key: first, value: try parseSelector())]
        while accept(.comma) {
            let key = try parseSelector()
            try expect(.colon)
            entries.append(Selector.MapEntry(key: key, value: try parseSelector()))
        }
        try expect(.rightBrace)
        return .map(entries)
    }

    private mutating func parseColumnOrCall() throws(CQLError) -> Selector {
        let callFollows = token(ahead: 1).kind == .symbol(.leftParenthesis)
        if callFollows, case .keyword(let keyword) = current.kind {
            switch keyword {
            case .count where token(ahead: 2).kind == .symbol(.star):
                for _ in 0..<3 { advance() }
                try expect(.rightParenthesis)
                return .countRows
            case .writetime: return try parseWriteTime(.writeTime)
            case .maxwritetime: return try parseWriteTime(.maximumWriteTime)
            case .ttl: return try parseWriteTime(.timeToLive)
            case .cast:
                advance()
                advance()
                let selector = try parseSelector()
                try expect(.as)
                let type = try parseNativeType()
                try expect(.rightParenthesis)
                return .cast(selector, type)
            default: break
            }
        }
        let qualifiedCallFollows =
            token(ahead: 1).kind == .symbol(.dot)
            && token(ahead: 3).kind == .symbol(.leftParenthesis)
        if callFollows || qualifiedCallFollows {
            let name = try parseFunctionName()
            try expect(.leftParenthesis)
            if accept(.rightParenthesis) { return .function(name, []) }
            let arguments = try commaSeparated { (parser) throws(CQLError) in
                try parser.parseSelector()
            }
            try expect(.rightParenthesis)
            return .function(name, arguments)
        }
        return .column(try parseColumnName())
    }

    private mutating func parseWriteTime(
        _ kind: Selector.WriteTimeKind
    ) throws(CQLError) -> Selector {
        advance()
        try expect(.leftParenthesis)
        let column = Selector.column(try parseColumnName())
        let selector = try parseModifiers(of: column)
        try expect(.rightParenthesis)
        return .writeTime(kind, of: selector)
    }

    // MARK: Relations

    mutating func parseRelations() throws(CQLError) -> [Relation] {
        var relations = [try parseRelation()]
        while accept(.and) { relations.append(try parseRelation()) }
        return relations
    }

    /// `=`, `<`, `<=`, `>`, `>=` or `!=`, if one stands here.
    mutating func acceptComparison() -> RelationOperator? {
        guard case .symbol(let symbol) = current.kind,
            let comparison = RelationOperator(rawValue: symbol.rawValue)
        else { return nil }
        advance()
        return comparison
    }

    private mutating func parseRelation() throws(CQLError) -> Relation {
        if at(.token), token(ahead: 1).kind == .symbol(.leftParenthesis) {
            advance()
            let columns = try parseColumnTuple()
            if accept(.between) {
                return try parseBetween(.token(columns)) { (parser) throws(CQLError) in
                    try parser.parseTerm()
                }
            }
            guard let comparison = acceptComparison() else { throw noAlternative }
            return Relation(
                target: .token(columns), comparison: comparison, operand: .value(try parseTerm()))
        }
        if at(.leftParenthesis) { return try parseParenthesisedRelation() }
        let column = try parseColumnName()
        if accept(.leftBracket) {
            let key = try parseTerm()
            try expect(.rightBracket)
            guard let comparison = acceptComparison() else { throw noAlternative }
            return Relation(
                target: .element(column, key), comparison: comparison,
                operand: .value(try parseTerm()))
        }
        return try parseColumnRelation(.column(column))
    }

    /// What follows a single column in WHERE or IF.
    mutating func parseColumnRelation(_ target: Relation.Target) throws(CQLError) -> Relation {
        if let comparison = acceptComparison() {
            return Relation(
                target: target, comparison: comparison, operand: .value(try parseTerm()))
        }
        if accept(.between) {
            return try parseBetween(target) { (parser) throws(CQLError) in try parser.parseTerm() }
        }
        if accept(.like) {
            return Relation(target: target, comparison: .like, operand: .value(try parseTerm()))
        }
        if accept(.is) {
            try expect(.not)
            try expect(.null)
            return Relation(target: target, comparison: .isNotNull, operand: .nothing)
        }
        let isNegated = accept(.not)
        if accept(.in) {
            return Relation(
                target: target, comparison: isNegated ? .notIn : .in,
                operand: try parseInOperand { (parser) throws(CQLError) in try parser.parseTerm() })
        }
        guard accept(.contains) else { throw noAlternative }
        let comparison: RelationOperator
        if accept(.key) {
            comparison = isNegated ? .notContainsKey : .containsKey
        } else {
            comparison = isNegated ? .notContains : .contains
        }
        return Relation(target: target, comparison: comparison, operand: .value(try parseTerm()))
    }

    private mutating func parseBetween(
        _ target: Relation.Target, _ value: (inout Parser) throws(CQLError) -> Term
    ) throws(CQLError) -> Relation {
        let low = try value(&self)
        try expect(.and)
        let high = try value(&self)
        return Relation(target: target, comparison: .between, operand: .values([low, high]))
    }

    /// `(a, b)`, `()` or one marker for all.
    mutating func parseInOperand(
        _ value: (inout Parser) throws(CQLError) -> Term
    ) throws(CQLError) -> Relation.Operand {
        if let marker = try acceptMarker() { return .marker(marker) }
        try expect(.leftParenthesis)
        if accept(.rightParenthesis) { return .values([]) }
        let values = try commaSeparated(value)
        try expect(.rightParenthesis)
        return .values(values)
    }

    private mutating func parseColumnTuple() throws(CQLError) -> [String] {
        try expect(.leftParenthesis)
        let columns = try commaSeparated { (parser) throws(CQLError) in
            try parser.parseColumnName()
        }
        try expect(.rightParenthesis)
        return columns
    }

    /// Whether nothing but names stands in the parentheses that begin here.
    private mutating func startsColumnTuple() -> Bool {
        returning { (parser, start) in
            defer { parser.goBack(to: start) }
            parser.advance()
            while parser.nameHere() != nil || parser.current.kind == .emptyQuotedName {
                parser.advance()
                if !parser.accept(.comma) { return parser.at(.rightParenthesis) }
            }
            return false
        }
    }

    /// `(a, b) > (1, 2)`, or a relation in parentheses.
    private mutating func parseParenthesisedRelation() throws(CQLError) -> Relation {
        guard startsColumnTuple() else {
            advance()
            let relation = try nested { (parser) throws(CQLError) in try parser.parseRelation() }
            try expect(.rightParenthesis)
            return relation
        }
        let target = Relation.Target.columns(try parseColumnTuple())
        let tuple: (inout Parser) throws(CQLError) -> Term = { (parser) throws(CQLError) in
            if let marker = try parser.acceptMarker() { return .marker(marker) }
            return .tuple(try parser.parseTupleItems())
        }
        if let comparison = acceptComparison() {
            return Relation(
                target: target, comparison: comparison, operand: .value(try tuple(&self)))
        }
        if accept(.between) { return try parseBetween(target, tuple) }
        let isNegated = accept(.not)
        try expect(.in)
        return Relation(
            target: target, comparison: isNegated ? .notIn : .in,
            operand: try parseInOperand(tuple))
    }
}
