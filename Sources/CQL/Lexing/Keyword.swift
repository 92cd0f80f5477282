// The words of the language, and which of them may still be names.
//
// CQL folds unquoted words to lower case. A reserved word is never a name; an unreserved one is a name
// wherever a name is expected. The lists are those of Cassandra 5.0's grammar.

internal import Model

/// A keyword of CQL, by its lower-case spelling.
enum Keyword: String, CaseIterable, Sendable {
    case access, add, aggregate, aggregates, all, allow, alter, and, ann, apply, `as`, asc, ascii
    case authorize, batch, begin, between, bigint, blob, boolean, by, called, cast, cidrs, cluster
    case clustering, columnfamilies, columnfamily, compact, contains, count, counter, create, custom
    case datacenters, date, decimal, `default`, delete, desc, describe, distinct, double, drop
    case duration, entries, execute, exists, filtering, finalfunc, float, from, frozen, full
    case function, functions, generated, grant, group, hashed, identity, `if`, `in`, index, inet
    case infinity, initcond, input, insert, int, internals, into, `is`, json, key, keys, keyspace
    case keyspaces, language, like, limit, list, login, map, masked, materialized, maxwritetime
    case mbean, mbeans, modify, nan, nologin, norecursive, nosuperuser, not, null, of, on, only
    case options, or, order, partition, password, per, permission, permissions, primary, rename
    case replace, returns, revoke, role, roles, schema, select, selectMasked = "select_masked", set
    case sfunc, smallint, `static`, storage, stype, superuser, superusers, table, tables, text, time
    case timestamp, timeuuid, tinyint, to, token, trigger, truncate, ttl, tuple, type, types
    case unlogged, unmask, unset, update, use, user, users, using, uuid, values, varchar, varint
    case vector, view, `where`, with, writetime

    private static let bySpelling: [String: Keyword] = Dictionary(
        uniqueKeysWithValues: allCases.map { ($0.rawValue, $0) })

    private static let longestSpelling = allCases.map(\.rawValue.utf8.count).max() ?? 0

    /// The keyword that `word`, in lower case, is.
    static func named(_ word: String) -> Keyword? {
        word.utf8.count <= longestSpelling ? bySpelling[word] : nil
    }

    /// How error texts call the keyword.
    var tokenName: String {
        switch self {
        case .table, .columnfamily: "K_COLUMNFAMILY"
        case .columnfamilies, .tables: "K_TABLES"
        default: "K_" + rawValue.uppercased()
        }
    }

    /// Whether the word can't be a name unless it is quoted.
    var isReserved: Bool {
        switch self {
        case .add, .allow, .alter, .and, .apply, .asc, .authorize, .batch, .begin, .by,
            .columnfamily, .create, .delete, .desc, .describe, .drop, .entries, .execute, .from,
            .full, .grant, .if, .in, .index, .infinity, .insert, .into, .is, .keyspace, .limit,
            .materialized, .modify, .nan, .norecursive, .not, .null, .of, .on, .or, .order,
            .primary, .rename, .revoke, .schema, .select, .set, .table, .to, .token, .truncate,
            .unlogged, .update, .use, .using, .view, .where, .with:
            true
        default: false
        }
    }

    /// Whether the word may name a function although it is a keyword.
    var isFunctionName: Bool {
        switch self {
        case .token, .count: true
        case .ttl, .writetime, .maxwritetime, .key, .cast, .json, .distinct: false
        default: !isReserved
        }
    }

    /// Whether the word may name a user-defined type: native type names may not.
    var isTypeName: Bool {
        switch self {
        case .key: true
        case .count, .ttl, .writetime, .maxwritetime, .cast, .json, .distinct: false
        default: !isReserved && nativeType == nil
        }
    }

    /// The native type of that name.
    var nativeType: NativeTypeName? { NativeTypeName(rawValue: rawValue) }
}

/// The names of native types in the grammar.
enum NativeTypeName: String, Sendable {
    case ascii, bigint, blob, boolean, counter, date, decimal, double, duration, float, inet, int
    case smallint, text, time, timestamp, timeuuid, tinyint, uuid, varchar, varint
}

/// Names as statements show them.
package enum Identifier {
    /// The name, in quotation marks where it needs them.
    package static func quoted(_ name: String) -> String { CQLIdentifier.quoted(name) }

    /// The text as a string literal.
    package static func literal(_ text: String) -> String { CQLIdentifier.literal(text) }
}
