// What a tab can stand for: words of the grammar at this place, and names of the live schema.
//
// The place is told by the tokens before the cursor: which statement it is, and which word governs what
// comes next. That is far less than a parser, and right where people press the key: after a verb, where
// a keyspace, table, column, type, function, level or option belongs.

internal import Model

/// Names of the schema, by keyspace and table.
struct CompletionSchema: Equatable {
    struct Table: Equatable {
        var columns: [String] = []
    }

    struct Keyspace: Equatable {
        var tables: [String: Table] = [:]
        var types: [String] = []
        var functions: [String] = []
        var aggregates: [String] = []
        var indexes: [String] = []
        var views: [String] = []
    }

    var keyspaces: [String: Keyspace] = [:]
    /// When it was read, on the shell's clock; nil if it must be read.
    var readAt: Int64?

    mutating func forget() { readAt = nil }
}

/// Finds completions.
struct Completer {
    let schema: CompletionSchema
    /// The keyspace in use.
    let keyspace: String?

    /// What may follow, and how many characters before the cursor it replaces.
    struct Result: Equatable {
        var candidates: [String]
        var replaced: Int
    }

    /// Words that begin a statement or a command.
    static let verbs = [
        "ALTER", "BEGIN", "CAPTURE", "CLEAR", "CONSISTENCY", "COPY", "CREATE", "DELETE", "DESCRIBE",
        "DROP", "ELAPSED", "EXIT", "EXPAND", "GRANT", "HELP", "HISTORY", "INSERT", "LIST", "LOGIN",
        "PAGING", "QUIT", "REVOKE", "SELECT", "SERIAL", "SHOW", "SOURCE", "TRACING", "TRUNCATE",
        "UPDATE", "USE",
    ]

    static let levels = [
        "ALL", "ANY", "EACH_QUORUM", "LOCAL_ONE", "LOCAL_QUORUM", "LOCAL_SERIAL", "ONE", "QUORUM",
        "SERIAL", "THREE", "TWO",
    ]

    static let nativeTypes = [
        "ascii", "bigint", "blob", "boolean", "counter", "date", "decimal", "double", "duration",
        "float", "frozen<", "inet", "int", "list<", "map<", "set<", "smallint", "text", "time",
        "timestamp", "timeuuid", "tinyint", "tuple<", "uuid", "varchar", "varint", "vector<",
    ]

    static let functions = [
        "avg(", "blobasint(", "cast(", "count(", "currentdate(", "currenttime(",
        "currenttimestamp(", "currenttimeuuid(", "max(", "maxtimeuuid(", "maxwritetime(", "min(",
        "mintimeuuid(", "now(", "sum(", "to_date(", "to_timestamp(", "to_unix_timestamp(", "token(",
        "ttl(", "uuid(", "writetime(",
    ]

    static let tableOptions = [
        "additional_write_policy", "allow_auto_snapshot", "bloom_filter_fp_chance", "caching",
        "cdc",
        "CLUSTERING ORDER BY", "comment", "compaction", "compression", "crc_check_chance",
        "default_time_to_live", "extensions", "gc_grace_seconds", "incremental_backups",
        "max_index_interval", "memtable", "memtable_flush_period_in_ms", "min_index_interval",
        "read_repair", "speculative_retry",
    ]

    static let keyspaceOptions = ["durable_writes", "replication"]

    /// The candidates after `before`, which is the statement under way up to the cursor.
    func complete(_ before: String) -> Result {
        let word = Self.lastWord(before)
        let head = String(before.dropLast(word.count))
        let tokens = CommandLexer.tokens(head)
        if let last = tokens.last, !last.isWhole { return files(before, tokens) }
        let start = tokens.lastIndex { $0.value == ";" }.map { $0 + 1 } ?? 0
        let words = Array(tokens[start...])
        let candidates = self.candidates(words)
        let prefix = word.lowercased()
        let matching = candidates.filter { $0.lowercased().hasPrefix(prefix) }
        return Result(candidates: Array(Set(matching)).sorted(), replaced: word.count)
    }

    /// The characters before the cursor that belong to the word being typed.
    static func lastWord(_ text: String) -> String {
        var word: [Character] = []
        for character in text.reversed() {
            guard character.isLetter || character.isNumber || character == "_" || character == "\""
            else { break }
            word.append(character)
            if character == "\"" { break }
        }
        return String(word.reversed())
    }

    // MARK: - Places

    private func candidates(_ words: [CommandLexer.Token]) -> [String] {
        guard let verb = words.first?.keyword else { return words.isEmpty ? Self.verbs : [] }
        let previous = words.last?.keyword ?? words.last?.value ?? ""
        if previous == ".", words.count > 1, let name = words[words.count - 2].name {
            return members(of: name, verb, words)
        }
        switch verb {
        case "consistency": return words.count == 1 ? Self.levels : []
        case "serial":
            return words.count == 1
                ? ["CONSISTENCY"] : words.count == 2 ? ["SERIAL", "LOCAL_SERIAL"] : []
        case "tracing", "expand", "paging", "elapsed": return words.count == 1 ? ["ON", "OFF"] : []
        case "capture": return words.count == 1 ? ["OFF", "JSON", "'"] : ["'"]
        case "source": return words.count == 1 ? ["'"] : []
        case "show":
            return words.count == 1
                ? ["HOST", "REPLICAS", "SESSION", "VERSION"] : words.count == 3 ? keyspaceNames : []
        case "help": return ShellHelp.topicNames
        case "use": return words.count == 1 ? keyspaceNames : []
        case "describe", "desc": return described(words, previous)
        case "copy": return copied(words, previous)
        case "select": return selected(words, previous)
        case "insert": return inserted(words, previous)
        case "update": return updated(words, previous)
        case "delete": return deleted(words, previous)
        case "truncate": return words.count == 1 ? ["TABLE"] + tableNames : tableNames
        case "create", "alter", "drop": return defined(verb, words, previous)
        case "begin":
            return words.count < 3 ? ["BATCH", "UNLOGGED", "COUNTER", "USING"] : Self.inBatch
        case "list": return ["ROLES", "USERS", "ALL PERMISSIONS"]
        default: return []
        }
    }

    private static let inBatch = ["INSERT", "UPDATE", "DELETE", "APPLY BATCH"]

    private func described(_ words: [CommandLexer.Token], _ previous: String) -> [String] {
        switch previous {
        case "describe", "desc":
            return [
                "AGGREGATE", "AGGREGATES", "CLUSTER", "FULL SCHEMA", "FUNCTION", "FUNCTIONS",
                "INDEX", "KEYSPACE", "KEYSPACES", "MATERIALIZED VIEW", "ONLY KEYSPACE", "SCHEMA",
                "TABLE", "TABLES", "TYPE", "TYPES",
            ] + keyspaceNames + tableNames
        case "keyspace": return keyspaceNames
        case "table", "columnfamily": return tableNames
        case "type": return names { $0.types }
        case "function": return names { $0.functions }
        case "aggregate": return names { $0.aggregates }
        case "index": return names { $0.indexes }
        case "view": return names { $0.views }
        case "materialized": return ["VIEW"]
        case "full": return ["SCHEMA"]
        case "only": return ["KEYSPACE"]
        case "with": return ["INTERNALS"]
        default: return ["WITH INTERNALS"]
        }
    }

    private func copied(_ words: [CommandLexer.Token], _ previous: String) -> [String] {
        let keywords = words.compactMap(\.keyword)
        if words.count == 1 { return tableNames }
        if keywords.contains("with") {
            guard previous == "with" || previous == "and" else { return ["AND", "="] }
            return keywords.contains("to") ? CopyOptions.exportNames : CopyOptions.importNames
        }
        if isOpen(words) { return columns(of: table(after: 0, words)) }
        switch previous {
        case "from": return ["'", "STDIN"]
        case "to": return ["'", "STDOUT"]
        default:
            return keywords.contains("from") || keywords.contains("to")
                ? ["WITH"] : ["FROM", "TO", "("]
        }
    }

    private func selected(_ words: [CommandLexer.Token], _ previous: String) -> [String] {
        guard let from = words.lastIndex(where: { $0.keyword == "from" }) else {
            let all = schema.keyspaces[keyspace ?? ""]?.tables.values.flatMap(\.columns) ?? []
            let start = words.count == 1 ? ["*", "DISTINCT", "JSON"] : ["FROM", "AS"]
            return start + Self.functions + all.map(CQLIdentifier.quoted)
        }
        if previous == "from" { return tableNames }
        let names = columns(of: table(after: from, words))
        let clauses = [
            "WHERE", "GROUP BY", "ORDER BY", "PER PARTITION LIMIT", "LIMIT", "ALLOW FILTERING",
        ]
        switch previous {
        case "where", "and", "by", ",", "(": return names + (previous == "(" ? [] : ["token("])
        case "order", "group": return ["BY"]
        case "per": return ["PARTITION LIMIT"]
        case "partition": return ["LIMIT"]
        case "allow": return ["FILTERING"]
        case "limit": return []
        default:
            let isCondition = words[from...].contains { $0.keyword == "where" }
            let operators = ["=", "<", ">", "<=", ">=", "IN", "CONTAINS", "CONTAINS KEY", "LIKE"]
            let isColumn =
                words.last?.name.map { names.contains(CQLIdentifier.quoted($0)) } ?? false
            return isCondition && isColumn ? operators : clauses + (isCondition ? ["AND"] : [])
        }
    }

    private func inserted(_ words: [CommandLexer.Token], _ previous: String) -> [String] {
        switch previous {
        case "insert": return ["INTO"]
        case "into": return tableNames
        case "using": return ["TTL", "TIMESTAMP"]
        default: break
        }
        let hasValues = words.contains { $0.keyword == "values" }
        if isOpen(words), !hasValues {
            let used = words.compactMap(\.name)
            return columns(of: table(after: 1, words)).filter { !used.contains($0) }
        }
        if isOpen(words) { return Self.functions }
        if hasValues { return ["IF NOT EXISTS", "USING"] }
        return previous == ")" ? ["VALUES ("] : ["(", "JSON"]
    }

    private func updated(_ words: [CommandLexer.Token], _ previous: String) -> [String] {
        if words.count == 1 { return tableNames }
        let names = columns(of: table(after: 0, words))
        switch previous {
        case "set", "where", "and", ",", "if": return names
        case "using": return ["TTL", "TIMESTAMP"]
        default:
            let keywords = words.compactMap(\.keyword)
            if keywords.contains("where") { return ["AND", "IF", "IF EXISTS", "=", "IN"] }
            return keywords.contains("set") ? ["WHERE", "="] : ["SET", "USING"]
        }
    }

    private func deleted(_ words: [CommandLexer.Token], _ previous: String) -> [String] {
        guard let from = words.lastIndex(where: { $0.keyword == "from" }) else {
            return ["FROM"]
                + (schema.keyspaces[keyspace ?? ""]?.tables.values.flatMap(\.columns) ?? [])
        }
        switch previous {
        case "from": return tableNames
        case "where", "and", "if": return columns(of: table(after: from, words))
        case "using": return ["TIMESTAMP"]
        default:
            return words.contains { $0.keyword == "where" }
                ? ["AND", "IF", "IF EXISTS", "=", "IN"] : ["WHERE", "USING"]
        }
    }

    private func defined(
        _ verb: String, _ words: [CommandLexer.Token], _ previous: String
    ) -> [String] {
        let kinds = [
            "AGGREGATE", "FUNCTION", "INDEX", "KEYSPACE", "MATERIALIZED VIEW", "ROLE",
            "TABLE", "TRIGGER", "TYPE", "USER",
        ]
        if words.count == 1 {
            return verb == "create" ? kinds + ["CUSTOM INDEX", "OR REPLACE"] : kinds
        }
        let kind = words[1].keyword ?? ""
        let keywords = words.compactMap(\.keyword)
        if keywords.contains("with") {
            guard previous == "with" || previous == "and" else { return ["AND", "="] }
            return kind == "keyspace" ? Self.keyspaceOptions : Self.tableOptions
        }
        if verb != "create" {
            if words.count == 2 {
                switch kind {
                case "keyspace": return (verb == "drop" ? ["IF EXISTS"] : []) + keyspaceNames
                case "table": return (verb == "drop" ? ["IF EXISTS"] : []) + tableNames
                case "type": return names { $0.types }
                case "index": return names { $0.indexes }
                case "function": return names { $0.functions }
                case "aggregate": return names { $0.aggregates }
                case "materialized": return ["VIEW"]
                default: return []
                }
            }
            if verb == "alter", kind == "table" {
                switch previous {
                case "drop", "rename": return columns(of: table(after: 1, words))
                case "add": return []
                default:
                    return words.count > 4 && words[words.count - 2].keyword == "add"
                        ? typeNames : ["ADD", "DROP", "RENAME", "WITH"]
                }
            }
            return kind == "keyspace" ? ["WITH"] : []
        }
        if words.count == 2 {
            return ["IF NOT EXISTS"]
                + (kind == "materialized" ? ["VIEW"] : keyspaceNames.map { $0 + "." })
        }
        if isOpen(words) {
            // After a column's name comes its type.
            let isName = words.last?.name != nil && previous != "key"
            return isName ? typeNames + ["PRIMARY KEY ("] : ["PRIMARY KEY ("]
        }
        if kind == "index" || kind == "custom" {
            return previous == "on" ? tableNames : ["ON", "USING", "WITH"]
        }
        return ["WITH", "("]
    }

    // MARK: - Names

    private var keyspaceNames: [String] { schema.keyspaces.keys.map(CQLIdentifier.quoted) }

    /// Tables of the keyspace in use, and keyspaces with the dot that leads to theirs.
    private var tableNames: [String] {
        let own = schema.keyspaces[keyspace ?? ""].map { Array($0.tables.keys) + $0.views } ?? []
        return own.map(CQLIdentifier.quoted) + keyspaceNames.map { $0 + "." }
    }

    private var typeNames: [String] { Self.nativeTypes + names { $0.types } }

    private func names(_ part: (CompletionSchema.Keyspace) -> [String]) -> [String] {
        (schema.keyspaces[keyspace ?? ""].map(part) ?? []).map(CQLIdentifier.quoted)
            + keyspaceNames.map { $0 + "." }
    }

    private func members(
        of name: String, _ verb: String, _ words: [CommandLexer.Token]
    ) -> [String] {
        guard let members = schema.keyspaces[name] else { return [] }
        let kind = words.count > 2 ? words[words.count - 3].keyword ?? "" : ""
        let found: [String] =
            switch kind {
            case "type": members.types
            case "function": members.functions
            case "aggregate": members.aggregates
            case "index": members.indexes
            case "view": members.views
            default: Array(members.tables.keys) + members.views
            }
        return found.map(CQLIdentifier.quoted)
    }

    /// The table named after the word at `index`, with or without its keyspace.
    private func table(
        after index: Int, _ words: [CommandLexer.Token]
    ) -> CompletionSchema.Table? {
        guard words.count > index + 1, let first = words[index + 1].name else { return nil }
        if words.count > index + 3, words[index + 2].value == ".",
            let second = words[index + 3].name
        {
            return schema.keyspaces[first]?.tables[second]
        }
        return schema.keyspaces[keyspace ?? ""]?.tables[first]
    }

    private func columns(of table: CompletionSchema.Table?) -> [String] {
        (table?.columns ?? []).map(CQLIdentifier.quoted)
    }

    private func isOpen(_ words: [CommandLexer.Token]) -> Bool {
        words.reduce(0) { $0 + ($1.value == "(" ? 1 : $1.value == ")" ? -1 : 0) } > 0
    }

    // MARK: - Files

    /// Names of files, inside of the string that follows SOURCE, CAPTURE or COPY.
    private func files(_ before: String, _ tokens: [CommandLexer.Token]) -> Result {
        let verbs: Set<String> = ["source", "capture", "copy"]
        guard let last = tokens.last, last.kind == .string,
            let verb = tokens.first?.keyword, verbs.contains(verb)
        else { return Result(candidates: [], replaced: 0) }
        let typed = before.split(separator: "'", omittingEmptySubsequences: false).last ?? ""
        return FolderListing.complete(String(typed))
    }
}
