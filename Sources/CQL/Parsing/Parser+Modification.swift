// INSERT, UPDATE, DELETE and BATCH.

internal import Model

extension Parser {
    mutating func parseModification() throws(CQLError) -> Statement {
        if at(.insert) { return .insert(try parseInsert()) }
        if at(.update) { return .update(try parseUpdate()) }
        if at(.delete) { return .delete(try parseDelete()) }
        throw noAlternative
    }

    private mutating func parseUsing(timeToLiveAllowed: Bool = true) throws(CQLError) -> UsingClause
    {
        var using = UsingClause()
        guard accept(.using) else { return using }
        repeat {
            if accept(.timestamp) {
                using.timestamp = try parseIntegerValue()
            } else if timeToLiveAllowed, accept(.ttl) {
                using.timeToLive = try parseIntegerValue()
            } else if atTimeout {
                using.timeout = try parseTimeout()
            } else {
                throw timeToLiveAllowed ? noAlternative : mismatch("K_TIMESTAMP")
            }
        } while accept(.and)
        return using
    }

    /// Whether `TIMEOUT` stands here, which is a word of Scylla's CQL and in all other places a name.
    var atTimeout: Bool { current.kind == .identifier && current.text == "timeout" }

    /// `TIMEOUT 50ms` or `TIMEOUT ?`
    mutating func parseTimeout() throws(CQLError) -> Term {
        advance()
        if current.kind == .duration {
            let literal = Literal(kind: .duration, text: current.text)
            advance()
            return .literal(literal)
        }
        guard let marker = try acceptMarker() else { throw mismatch("DURATION") }
        return .marker(marker)
    }

    private mutating func parseInsert() throws(CQLError) -> InsertSyntax {
        try expect(.insert)
        try expect(.into)
        let table = try parseQualifiedName()
        if accept(.json) {
            guard current.kind == .string || at(.questionMark) || at(.colon) else {
                throw noAlternative
            }
            let value = try parseTerm()
            var missing = InsertSyntax.MissingColumns.null
            if accept(.default), !accept(.null) {
                try expect(.unset)
                missing = .unset
            }
            let ifNotExists = try parseIfNotExists()
            return InsertSyntax(
                table: table, columns: [], values: [value], ifNotExists: ifNotExists,
                using: try parseUsing(), json: missing)
        }
        try expect(.leftParenthesis)
        let columns = try commaSeparated { (parser) throws(CQLError) in
            try parser.parseColumnName()
        }
        try expect(.rightParenthesis)
        try expect(.values)
        try expect(.leftParenthesis)
        let values = try commaSeparated { (parser) throws(CQLError) in try parser.parseTerm() }
        try expect(.rightParenthesis)
        let ifNotExists = try parseIfNotExists()
        return InsertSyntax(
            table: table, columns: columns, values: values, ifNotExists: ifNotExists,
            using: try parseUsing(), json: nil)
    }

    private mutating func parseUpdate() throws(CQLError) -> UpdateSyntax {
        try expect(.update)
        let table = try parseQualifiedName()
        let using = try parseUsing()
        try expect(.set)
        var assignments: [Assignment] = []
        repeat {
            let assignment = try parseAssignment()
            guard !assignments.contains(where: { $0.conflicts(with: assignment) }) else {
                throw failure("Multiple incompatible setting of column \(assignment.column)")
            }
            assignments.append(assignment)
        } while accept(.comma)
        try expect(.where)
        let relations = try parseRelations()
        return UpdateSyntax(
            table: table, using: using, assignments: assignments, relations: relations,
            condition: try parseCondition())
    }

    private mutating func parseAssignment() throws(CQLError) -> Assignment {
        let column = try parseColumnName()
        if accept(.plusEqual) { return .add(column, try parseTerm()) }
        if accept(.minusEqual) { return .subtract(column, try parseTerm()) }
        if accept(.leftBracket) {
            let key = try parseTerm()
            try expect(.rightBracket)
            try expect(.equal)
            return .setElement(column, key: key, try parseTerm())
        }
        if accept(.dot) {
            let field = try parseName()
            try expect(.equal)
            return .setField(column, field: field, try parseTerm())
        }
        try expect(.equal)
        if let operand = nameHere() ?? (current.kind == .emptyQuotedName ? "" : nil) {
            let next = token(ahead: 1).kind
            if next == .symbol(.plus) || next == .symbol(.minus) || next == .integer {
                let sign = next == .symbol(.plus) ? "+" : "-"
                guard operand == column else {
                    throw failure(
                        "Only expressions of the form X = X \(sign)<value> are supported.")
                }
                advance()
                if next == .integer { return .add(column, try parseTerm()) }
                advance()
                return sign == "+"
                    ? .add(column, try parseTerm()) : .subtract(column, try parseTerm())
            }
        }
        let value = try parseTerm()
        guard accept(.plus) else { return .set(column, value) }
        guard try parseColumnName() == column else {
            throw failure("Only expressions of the form X = <value> + X are supported.")
        }
        return .prepend(column, value)
    }

    private mutating func parseDelete() throws(CQLError) -> DeleteSyntax {
        try expect(.delete)
        var deletions: [DeletionSyntax] = []
        if !at(.from) {
            deletions = try commaSeparated { (parser) throws(CQLError) -> DeletionSyntax in
                let column = try parser.parseColumnName()
                if parser.accept(.leftBracket) {
                    let key = try parser.parseTerm()
                    try parser.expect(.rightBracket)
                    return .element(column, key)
                }
                if parser.accept(.dot) { return .field(column, try parser.parseName()) }
                return .column(column)
            }
        }
        try expect(.from)
        let table = try parseQualifiedName()
        let using = try parseUsing(timeToLiveAllowed: false)
        try expect(.where)
        let relations = try parseRelations()
        return DeleteSyntax(
            table: table, deletions: deletions, using: using, relations: relations,
            condition: try parseCondition())
    }

    private mutating func parseCondition() throws(CQLError) -> ConditionSyntax {
        guard accept(.if) else { return .none }
        if at(.exists),
            token(ahead: 1).kind == .end || token(ahead: 1).kind == .symbol(.semicolon)
                || startsBatchPart(token(ahead: 1))
        {
            advance()
            return .exists
        }
        var relations: [Relation] = []
        repeat {
            let column = try parseColumnName()
            if accept(.leftBracket) {
                let key = try parseTerm()
                try expect(.rightBracket)
                relations.append(try parseColumnCondition(.element(column, key)))
            } else if accept(.dot) {
                relations.append(try parseColumnCondition(.field(column, try parseName())))
            } else {
                relations.append(try parseColumnCondition(.column(column)))
            }
        } while accept(.and)
        return .relations(relations)
    }

    /// What follows a column in IF: a comparison or IN, and CONTAINS behind whole columns.
    private mutating func parseColumnCondition(
        _ target: Relation.Target
    ) throws(CQLError) -> Relation {
        switch (current.kind, target) {
        case (.symbol, _), (.keyword(.in), _), (.keyword(.contains), .column):
            return try parseColumnRelation(target)
        default: throw noAlternative
        }
    }

    private func startsBatchPart(_ token: LexicalToken) -> Bool {
        switch token.kind {
        case .keyword(.insert), .keyword(.update), .keyword(.delete), .keyword(.apply): true
        default: false
        }
    }

    mutating func parseBatch() throws(CQLError) -> BatchSyntax {
        try expect(.begin)
        var kind = BatchKind.logged
        if accept(.unlogged) {
            kind = .unlogged
        } else if accept(.counter) {
            kind = .counter
        }
        try expect(.batch)
        let using = try parseUsing()
        var statements: [Statement] = []
        while !at(.apply) {
            guard at(.insert, .update, .delete) else { throw mismatch("K_APPLY") }
            statements.append(try parseModification())
            _ = accept(.semicolon)
        }
        try expect(.apply)
        try expect(.batch)
        return BatchSyntax(kind: kind, using: using, statements: statements)
    }
}
