// Values, types and bind markers.

internal import Model

extension Parser {
    // MARK: Bind markers

    /// `?` or `:name`, if one stands here.
    mutating func acceptMarker() throws(CQLError) -> Int? {
        if accept(.questionMark) {
            bindMarkers.append(nil)
        } else if accept(.colon) {
            bindMarkers.append(try parseName())
        } else {
            return nil
        }
        guard bindMarkers.count <= 65_535 else {
            throw .invalid(
                "Too many markers(?). \(bindMarkers.count) markers exceed the allowed maximum of 65535"
            )
        }
        return bindMarkers.count - 1
    }

    /// An integer or a bind marker, as LIMIT and USING take them.
    mutating func parseIntegerValue() throws(CQLError) -> Term {
        if current.kind == .integer {
            let literal = Literal(kind: .integer, text: current.text)
            advance()
            return .literal(literal)
        }
        guard let marker = try acceptMarker() else { throw noAlternative }
        return .marker(marker)
    }

    // MARK: Terms

    mutating func parseTerm() throws(CQLError) -> Term {
        if depth == 0 { operators = 0 }
        return try nested { (parser) throws(CQLError) in
            var left = try parser.parseProduct()
            while parser.at(.plus) || parser.at(.minus) {
                // `k = v + k` prepends: the plus belongs to the assignment if a bare name follows.
                if parser.at(.plus), parser.isBareColumn(ahead: 1) { break }
                let sign: ArithmeticOperator = parser.at(.plus) ? .add : .subtract
                parser.advance()
                try parser.countOperator()
                left = .arithmetic(sign, left, try parser.parseProduct())
            }
            return left
        }
    }

    /// Whether a name that is no function call stands `count` tokens ahead.
    private func isBareColumn(ahead count: Int) -> Bool {
        guard nameHere(count) != nil || token(ahead: count).kind == .emptyQuotedName else {
            return false
        }
        let next = token(ahead: count + 1).kind
        return next != .symbol(.leftParenthesis) && next != .symbol(.dot)
    }

    private mutating func parseProduct() throws(CQLError) -> Term {
        var left = try parseSignedTerm()
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
            left = .arithmetic(sign, left, try parseSignedTerm())
        }
    }

    private mutating func parseSignedTerm() throws(CQLError) -> Term {
        if accept(.minus) { return .negation(try parseSimpleTerm()) }
        return try parseSimpleTerm()
    }

    /// The literal that stands here, if one does.
    mutating func acceptLiteral() -> Literal? {
        let kind: Literal.Kind
        var text = current.text
        switch current.kind {
        case .string: kind = .string
        case .integer: kind = .integer
        case .float: kind = .float
        case .boolean: kind = .boolean
        case .duration: kind = .duration
        case .uuid: kind = .uuid
        case .hexadecimal: kind = .hexadecimal
        case .keyword(.nan), .negativeNaN: (kind, text) = (.float, "NaN")
        case .keyword(.infinity): (kind, text) = (.float, "Infinity")
        case .negativeInfinity: (kind, text) = (.float, "-Infinity")
        default: return nil
        }
        advance()
        return Literal(kind: kind, text: text)
    }

    private mutating func parseSimpleTerm() throws(CQLError) -> Term {
        if let literal = acceptLiteral() { return .literal(literal) }
        if let marker = try acceptMarker() { return .marker(marker) }
        if accept(.null) { return .null }
        if at(.leftBracket) { return .list(try parseListItems()) }
        if at(.leftBrace) { return try parseBraces() }
        if at(.leftParenthesis) { return try parseParentheses() }
        if at(.cast), token(ahead: 1).kind == .symbol(.leftParenthesis) {
            advance()
            advance()
            let value = try nested { (parser) throws(CQLError) in try parser.parseSimpleTerm() }
            try expect(.as)
            let type = try parseNativeType()
            try expect(.rightParenthesis)
            return .cast(value, type)
        }
        return try parseFunctionCall()
    }

    /// `name(...)` or `keyspace.name(...)`, whose name may be one of the words that are functions.
    mutating func parseFunctionName() throws(CQLError) -> QualifiedName {
        func functionName(_ candidate: LexicalToken) -> String? {
            switch candidate.kind {
            case .identifier, .quotedName: return candidate.text
            case .keyword(let keyword) where keyword.isFunctionName: return candidate.text
            default: return nil
            }
        }
        if let keyspace = nameHere(), token(ahead: 1).kind == .symbol(.dot) {
            guard let name = functionName(token(ahead: 2)) else {
                advance()
                advance()
                throw noAlternative
            }
            for _ in 0..<3 { advance() }
            return QualifiedName(keyspace: keyspace, name: name)
        }
        guard let name = functionName(current) else { throw noAlternative }
        advance()
        return QualifiedName(keyspace: nil, name: name)
    }

    private mutating func parseFunctionCall() throws(CQLError) -> Term {
        let name = try parseFunctionName()
        guard at(.leftParenthesis) else { throw noAlternative }
        advance()
        if accept(.rightParenthesis) { return .function(name, []) }
        let arguments = try commaSeparated { (parser) throws(CQLError) in try parser.parseTerm() }
        try expect(.rightParenthesis)
        return .function(name, arguments)
    }

    private mutating func parseListItems() throws(CQLError) -> [Term] {
        try expect(.leftBracket)
        if accept(.rightBracket) { return [] }
        let items = try commaSeparated { (parser) throws(CQLError) in try parser.parseTerm() }
        try expect(.rightBracket)
        return items
    }

    /// A set, a map, or the fields of a user-defined type.
    private mutating func parseBraces() throws(CQLError) -> Term {
        try expect(.leftBrace)
        if accept(.rightBrace) { return .set([]) }
        if nameHere() != nil, token(ahead: 1).kind == .symbol(.colon) {
            let fields = try commaSeparated { (parser) throws(CQLError) -> Term.FieldValue in
                let name = try parser.parseName()
                try parser.expect(.colon)
                return Term.FieldValue(name: name, value: try parser.parseTerm())
            }
            try expect(.rightBrace)
            return .userType(fields)
        }
        let first = try parseTerm()
        guard accept(.colon) else {
            var items = [first]
            while accept(.comma) { items.append(try parseTerm()) }
            try expect(.rightBrace)
            return .set(items)
        }
        var entries = [Term.MapEntry(key: first, value: try parseTerm())]
        while accept(.comma) {
            let key = try parseTerm()
            try expect(.colon)
            entries.append(Term.MapEntry(key: key, value: try parseTerm()))
        }
        try expect(.rightBrace)
        return .map(entries)
    }

    /// `(type) value` or a tuple.
    private mutating func parseParentheses() throws(CQLError) -> Term {
        if let hint = try acceptTypeHint() {
            let value = try nested { (parser) throws(CQLError) in try parser.parseSimpleTerm() }
            return .typeHint(hint, value)
        }
        return .tuple(try parseTupleItems())
    }

    mutating func parseTupleItems() throws(CQLError) -> [Term] {
        try expect(.leftParenthesis)
        let items = try commaSeparated { (parser) throws(CQLError) in try parser.parseTerm() }
        try expect(.rightParenthesis)
        return items
    }

    /// `(type)` if that stands here and a value follows.
    mutating func acceptTypeHint() throws(CQLError) -> TypeSyntax? {
        guard at(.leftParenthesis) else { return nil }
        switch token(ahead: 1).kind {
        case .identifier, .quotedName, .keyword: break
        default: return nil
        }
        let markers = bindMarkers.count
        return try returning { (parser, start) throws(CQLError) in
            parser.advance()
            // Whether this is a type is seen only by trying: its failure means a tuple or a call.
            guard let type = parser.optionalType(), parser.accept(.rightParenthesis) else {
                parser.goBack(to: start)
                parser.bindMarkers.removeLast(parser.bindMarkers.count - markers)
                return nil
            }
            return type
        }
    }

    private mutating func optionalType() -> TypeSyntax? {
        do throws(CQLError) {
            return try parseType()
        } catch {
            // The caller goes back and reads the same tokens as something else.
            return nil
        }
    }

    // MARK: Types

    mutating func parseType() throws(CQLError) -> TypeSyntax {
        try nested { (parser) throws(CQLError) in try parser.parseTypeHere() }
    }

    private mutating func parseTypeHere() throws(CQLError) -> TypeSyntax {
        if current.kind == .string {
            let name = current.text
            advance()
            return .custom(name)
        }
        let opensParameters = token(ahead: 1).kind == .symbol(.less)
        if case .keyword(let keyword) = current.kind, opensParameters || keyword.nativeType != nil {
            switch keyword {
            case .frozen:
                advance()
                try expect(.less)
                let type = try parseType()
                try expect(.greater)
                return .frozen(type)
            case .list, .set:
                advance()
                try expect(.less)
                let type = try parseType()
                try expect(.greater)
                return keyword == .list ? .list(type) : .set(type)
            case .map:
                advance()
                try expect(.less)
                let key = try parseType()
                try expect(.comma)
                let value = try parseType()
                try expect(.greater)
                return .map(key, value)
            case .tuple:
                advance()
                try expect(.less)
                let parts = try commaSeparated { (parser) throws(CQLError) in try parser.parseType()
                }
                try expect(.greater)
                return .tuple(parts)
            case .vector:
                advance()
                try expect(.less)
                let type = try parseType()
                try expect(.comma)
                guard current.kind == .integer else { throw mismatch("INTEGER") }
                guard let dimensions = Int32(current.text) else {
                    // As Java says it, which drivers and tests know.
                    throw failure("NumberFormatException For input string: \"\(current.text)\"")
                }
                advance()
                try expect(.greater)
                return .vector(type, dimensions: Int(dimensions))
            default:
                if keyword.nativeType != nil { return try parseNativeType() }
            }
        }
        // `keyspace.type` or `type`
        if nameHere() != nil, token(ahead: 1).kind == .symbol(.dot) {
            return .userDefined(try parseTypeName())
        }
        return .userDefined(try parseTypeName())
    }

    mutating func parseNativeType() throws(CQLError) -> TypeSyntax {
        guard case .keyword(let keyword) = current.kind, let native = keyword.nativeType else {
            throw noAlternative
        }
        advance()
        // `varchar` is another word for `text`.
        return .native(native.type, name: native == .varchar ? "text" : native.rawValue)
    }

    /// The name of a user-defined type, which can't be that of a native one.
    mutating func parseTypeName() throws(CQLError) -> QualifiedName {
        var keyspace: String?
        if let name = nameHere(), token(ahead: 1).kind == .symbol(.dot) {
            keyspace = name
            advance()
            advance()
        }
        switch current.kind {
        case .identifier, .quotedName: break
        case .keyword(let keyword) where keyword.isTypeName: break
        default: throw noAlternative
        }
        let name = current.text
        let isQuoted = current.kind == .quotedName
        if !isQuoted,
            ["byte", "complex", "enum", "date", "interval", "macaddr", "bitstring"].contains(name)
        {
            throw failure("Invalid (reserved) user type name \(name)")
        }
        advance()
        return QualifiedName(keyspace: keyspace, name: name)
    }
}

extension NativeTypeName {
    var type: CQLType {
        switch self {
        case .ascii: .ascii
        case .bigint: .bigint
        case .blob: .blob
        case .boolean: .boolean
        case .counter: .counter
        case .date: .date
        case .decimal: .decimal
        case .double: .double
        case .duration: .duration
        case .float: .float
        case .inet: .inet
        case .int: .int
        case .smallint: .smallint
        case .text, .varchar: .text
        case .time: .time
        case .timestamp: .timestamp
        case .timeuuid: .timeuuid
        case .tinyint: .tinyint
        case .uuid: .uuid
        case .varint: .varint
        }
    }
}
