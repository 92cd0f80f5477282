// CREATE, ALTER and DROP, and the statements that are only recognised.

internal import Model

extension Parser {
    /// Reads to the end of the statement, for statements that are refused by name.
    private mutating func skipRest() {
        while current.kind != .end, !at(.semicolon) { advance() }
    }

    private mutating func unsupported(_ name: String) -> Statement {
        skipRest()
        return .unsupported(name)
    }

    mutating func parseCreate() throws(CQLError) -> Statement {
        try expect(.create)
        guard case .keyword(let keyword) = current.kind else { throw noAlternative }
        switch keyword {
        case .keyspace, .schema:
            advance()
            let ifNotExists = try parseIfNotExists()
            let name = try parseKeyspaceName()
            try expect(.with)
            return .createKeyspace(
                name: name, ifNotExists: ifNotExists, properties: try parseProperties())
        case .table, .columnfamily:
            advance()
            return try parseCreateTable()
        case .type:
            advance()
            let ifNotExists = try parseIfNotExists()
            let name = try parseTypeName()
            try expect(.leftParenthesis)
            var fields = [try parseField()]
            while accept(.comma) {
                if at(.rightParenthesis) { break }
                fields.append(try parseField())
            }
            try expect(.rightParenthesis)
            return .createType(name: name, ifNotExists: ifNotExists, fields: fields)
        case .custom, .index: return unsupported("CREATE INDEX")
        case .materialized: return unsupported("CREATE MATERIALIZED VIEW")
        case .function: return unsupported("CREATE FUNCTION")
        case .aggregate: return unsupported("CREATE AGGREGATE")
        case .or:
            advance()
            try expect(.replace)
            if at(.function) { return unsupported("CREATE FUNCTION") }
            if at(.aggregate) { return unsupported("CREATE AGGREGATE") }
            throw noAlternative
        case .trigger: return unsupported("CREATE TRIGGER")
        case .role: return .roles(try parseCreateRole())
        case .user: return .roles(try parseCreateUser())
        default: throw noAlternative
        }
    }

    private mutating func parseField() throws(CQLError) -> FieldSyntax {
        let name = try parseName()
        return FieldSyntax(name: name, type: try parseType())
    }

    // MARK: Tables

    private mutating func parseCreateTable() throws(CQLError) -> Statement {
        let ifNotExists = try parseIfNotExists()
        var table = CreateTableSyntax(name: try parseQualifiedName())
        table.ifNotExists = ifNotExists
        if at(.like) { return unsupported("CREATE TABLE LIKE") }
        try expect(.leftParenthesis)
        try parseTableColumn(&table)
        while accept(.comma) {
            if at(.comma) || at(.rightParenthesis) { continue }
            try parseTableColumn(&table)
        }
        try expect(.rightParenthesis)
        if accept(.with) {
            repeat { try parseTableProperty(&table) } while accept(.and)
        }
        return .createTable(table)
    }

    private mutating func parseTableColumn(_ table: inout CreateTableSyntax) throws(CQLError) {
        if accept([.primary, .key]) {
            try expect(.leftParenthesis)
            var partitionKey: [String] = []
            if accept(.leftParenthesis) {
                partitionKey = try commaSeparated { (parser) throws(CQLError) in
                    try parser.parseName()
                }
                try expect(.rightParenthesis)
            } else {
                partitionKey = [try parseName()]
            }
            var clustering: [String] = []
            while accept(.comma) { clustering.append(try parseName()) }
            try expect(.rightParenthesis)
            table.primaryKeys.append(
                CreateTableSyntax.PrimaryKeySyntax(
                    partitionKey: partitionKey, clustering: clustering))
            return
        }
        let column = try parseColumnDefinition()
        table.columns.append(column)
        if accept(.primary) {
            try expect(.key)
            table.primaryKeys.append(
                CreateTableSyntax.PrimaryKeySyntax(partitionKey: [column.name], clustering: []))
        }
    }

    private mutating func parseColumnDefinition() throws(CQLError) -> ColumnSyntax {
        let name = try parseName()
        let type = try parseType()
        let isStatic = accept(.static)
        if at(.masked) {
            throw .invalid("Dynamic data masking (MASKED WITH) is not supported by Coterie yet")
        }
        return ColumnSyntax(name: name, type: type, isStatic: isStatic)
    }

    private mutating func parseTableProperty(_ table: inout CreateTableSyntax) throws(CQLError) {
        if accept([.compact, .storage]) {
            table.hasCompactStorage = true
            return
        }
        guard accept([.clustering, .order, .by]) else {
            table.properties.append(try parseProperty())
            return
        }
        try expect(.leftParenthesis)
        let orders = try commaSeparated { (parser) throws(CQLError) -> ClusteringOrderSyntax in
            let column = try parser.parseName()
            let order: ClusteringOrder
            if parser.accept(.asc) {
                order = .ascending
            } else if parser.accept(.desc) {
                order = .descending
            } else {
                throw parser.noAlternative
            }
            return ClusteringOrderSyntax(column: column, order: order)
        }
        table.clusteringOrder += orders
        try expect(.rightParenthesis)
    }

    // MARK: Properties

    private mutating func parseProperties() throws(CQLError) -> [Property] {
        var properties = [try parseProperty()]
        while accept(.and) { properties.append(try parseProperty()) }
        return properties
    }

    private mutating func parseProperty() throws(CQLError) -> Property {
        let name = try parseName()
        try expect(.equal)
        if at(.leftBrace) { return Property(name: name, value: .map(try parsePropertyMap())) }
        if let literal = acceptLiteral() { return Property(name: name, value: .text(literal.text)) }
        if case .keyword(let keyword) = current.kind, !keyword.isReserved {
            advance()
            return Property(name: name, value: .text(keyword.rawValue))
        }
        throw noAlternative
    }

    mutating func parsePropertyMap() throws(CQLError) -> [Property.Value.Entry] {
        try expect(.leftBrace)
        var entries: [Property.Value.Entry] = []
        if accept(.rightBrace) { return entries }
        repeat {
            let key = try parsePropertyPart("name")
            try expect(.colon)
            let value = try parsePropertyPart("value")
            guard !entries.contains(where: { $0.key == key }) else {
                throw failure("Multiple definition for property \(key)")
            }
            entries.append(Property.Value.Entry(key: key, value: value))
        } while accept(.comma)
        try expect(.rightBrace)
        return entries
    }

    private mutating func parsePropertyPart(_ part: String) throws(CQLError) -> String {
        if let literal = acceptLiteral() { return literal.text }
        if at(.questionMark) || at(.colon) {
            throw failure(
                "Invalid property \(part): ? (bind variables are not supported in DDL queries)")
        }
        throw noAlternative
    }

    // MARK: ALTER

    mutating func parseAlter() throws(CQLError) -> Statement {
        try expect(.alter)
        guard case .keyword(let keyword) = current.kind else { throw noAlternative }
        switch keyword {
        case .keyspace, .schema:
            advance()
            let ifExists = try parseIfExists()
            let name = try parseKeyspaceName()
            try expect(.with)
            return .alterKeyspace(
                name: name, ifExists: ifExists, properties: try parseProperties())
        case .table, .columnfamily:
            advance()
            let ifExists = try parseIfExists()
            let name = try parseQualifiedName()
            return .alterTable(
                AlterTableSyntax(name: name, ifExists: ifExists, change: try parseTableChange()))
        case .type:
            advance()
            let ifExists = try parseIfExists()
            let name = try parseTypeName()
            return .alterType(
                AlterTypeSyntax(name: name, ifExists: ifExists, change: try parseTypeChange()))
        case .materialized: return unsupported("ALTER MATERIALIZED VIEW")
        case .role: return .roles(try parseAlterRole())
        case .user: return .roles(try parseAlterUser())
        default: throw noAlternative
        }
    }

    private mutating func parseTableChange() throws(CQLError) -> AlterTableSyntax.Change {
        if accept(.add) {
            let ifNotExists = try parseIfNotExists()
            guard accept(.leftParenthesis) else {
                return .add([try parseColumnDefinition()], ifNotExists: ifNotExists)
            }
            let columns = try commaSeparated { (parser) throws(CQLError) in
                try parser.parseColumnDefinition()
            }
            try expect(.rightParenthesis)
            return .add(columns, ifNotExists: ifNotExists)
        }
        if accept(.drop) {
            if accept([.compact, .storage]) { return .dropCompactStorage }
            let ifExists = try parseIfExists()
            var columns: [String] = []
            if accept(.leftParenthesis) {
                columns = try commaSeparated { (parser) throws(CQLError) in try parser.parseName() }
                try expect(.rightParenthesis)
            } else {
                columns = [try parseName()]
            }
            var timestamp: Int64?
            if accept(.using) {
                try expect(.timestamp)
                guard current.kind == .integer else { throw mismatch("INTEGER") }
                guard let value = Int64(current.text) else {
                    throw failure("the timestamp does not fit into 64 bits")
                }
                timestamp = value
                advance()
            }
            return .drop(columns, ifExists: ifExists, timestamp: timestamp)
        }
        if accept(.rename) {
            let ifExists = try parseIfExists()
            return .rename(try parseRenamings(), ifExists: ifExists)
        }
        if accept(.with) { return .options(try parseProperties()) }
        if accept(.alter) {
            _ = try parseIfExists()
            let column = try parseColumnName()
            if accept(.type) {
                _ = try parseType()
                return .alterType(column: column)
            }
            skipRest()
            return .mask(column: column)
        }
        throw noAlternative
    }

    private mutating func parseRenamings() throws(CQLError) -> [AlterTableSyntax.Renaming] {
        var renamings: [AlterTableSyntax.Renaming] = []
        repeat {
            let from = try parseName()
            try expect(.to)
            renamings.append(AlterTableSyntax.Renaming(from: from, to: try parseName()))
        } while accept(.and)
        return renamings
    }

    private mutating func parseTypeChange() throws(CQLError) -> AlterTypeSyntax.Change {
        if accept(.add) {
            let ifNotExists = try parseIfNotExists()
            return .add(try parseField(), ifNotExists: ifNotExists)
        }
        if accept(.rename) {
            let ifExists = try parseIfExists()
            return .rename(try parseRenamings(), ifExists: ifExists)
        }
        try expect(.alter)
        let field = try parseName()
        try expect(.type)
        _ = try parseType()
        return .alter(field: field)
    }

    // MARK: DROP

    mutating func parseDrop() throws(CQLError) -> Statement {
        try expect(.drop)
        guard case .keyword(let keyword) = current.kind else { throw noAlternative }
        switch keyword {
        case .keyspace, .schema:
            advance()
            let ifExists = try parseIfExists()
            return .dropKeyspace(name: try parseKeyspaceName(), ifExists: ifExists)
        case .table, .columnfamily:
            advance()
            let ifExists = try parseIfExists()
            return .dropTable(name: try parseQualifiedName(), ifExists: ifExists)
        case .type:
            advance()
            let ifExists = try parseIfExists()
            return .dropType(name: try parseTypeName(), ifExists: ifExists)
        case .index: return try parseDropOfAbsent("DROP INDEX")
        case .materialized: return try parseDropOfAbsent("DROP MATERIALIZED VIEW")
        case .function: return try parseDropOfAbsent("DROP FUNCTION")
        case .aggregate: return try parseDropOfAbsent("DROP AGGREGATE")
        case .trigger: return unsupported("DROP TRIGGER")
        case .role: return .roles(try parseDropRole())
        case .user: return .roles(try parseDropUser())
        case .identity: return unsupported("DROP IDENTITY")
        default: throw noAlternative
        }
    }

    /// What Coterie has none of: with IF EXISTS there is nothing to do, without it the kind is refused.
    private mutating func parseDropOfAbsent(_ verb: String) throws(CQLError) -> Statement {
        advance()
        if verb.hasSuffix("VIEW") { try expect(.view) }
        guard try parseIfExists() else { return unsupported(verb) }
        let isCall = verb.hasSuffix("FUNCTION") || verb.hasSuffix("AGGREGATE")
        let name = isCall ? try parseFunctionName() : try parseQualifiedName()
        if isCall, accept(.leftParenthesis), !accept(.rightParenthesis) {
            _ = try commaSeparated { (parser) throws(CQLError) in try parser.parseType() }
            try expect(.rightParenthesis)
        }
        return .dropAbsent(name: name)
    }

    // MARK: Roles and permissions

    mutating func parsePermissionStatement() throws(CQLError) -> Statement {
        if at(.grant) { return .roles(try parseGrant()) }
        if at(.revoke) { return .roles(try parseRevoke()) }
        if accept(.add) {
            try expect(.identity)
            return unsupported("ADD IDENTITY")
        }
        try expect(.list)
        if at(.superusers) { return unsupported("LIST SUPERUSERS") }
        return .roles(try parseList())
    }

    // MARK: DESCRIBE

    mutating func parseDescribe() throws(CQLError) -> DescribeSyntax {
        advance()
        let subject = try parseDescribeSubject()
        var withInternals = false
        if accept(.with) {
            try expect(.internals)
            withInternals = true
        }
        return DescribeSyntax(subject: subject, withInternals: withInternals)
    }

    private mutating func parseDescribeSubject() throws(CQLError) -> DescribeSyntax.Subject {
        // `cluster.t` is a table: a word names a subject only if no dot follows.
        let dotFollows = token(ahead: 1).kind == .symbol(.dot)
        if case .keyword(let keyword) = current.kind, !dotFollows {
            let following = token(ahead: 1).kind
            let nameFollows = nameHere(1) != nil
            switch keyword {
            case .cluster: advance(); return .cluster
            case .full:
                advance()
                try expect(.schema)
                return .schema(full: true)
            case .schema: advance(); return .schema(full: false)
            case .keyspaces: advance(); return .keyspaces
            case .tables, .columnfamilies: advance(); return .tables
            case .types: advance(); return .types
            case .functions: advance(); return .functions
            case .aggregates: advance(); return .aggregates
            case .only where following == .keyword(.keyspace):
                advance()
                advance()
                return .keyspace(acceptName(), only: true)
            case .keyspace:
                advance()
                return .keyspace(acceptName(), only: false)
            case .table, .columnfamily:
                advance()
                return .table(try parseQualifiedName())
            case .index:
                advance()
                return .index(try parseQualifiedName("index"))
            case .materialized:
                advance()
                try expect(.view)
                return .view(try parseQualifiedName())
            case .type where nameFollows:
                advance()
                return .type(try parseTypeName())
            case .function where nameFollows:
                advance()
                return .function(try parseQualifiedName())
            case .aggregate where nameFollows:
                advance()
                return .aggregate(try parseQualifiedName())
            default: break
            }
        }
        return .named(try parseQualifiedName())
    }
}
