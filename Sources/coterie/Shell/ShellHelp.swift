// HELP: what the shell understands, and where CQL's statements are described.

/// The topics of HELP.
enum ShellHelp {
    struct Topic {
        let name: String
        let usage: String
        let text: String
    }

    /// The shell's own commands.
    static let commands: [Topic] = [
        Topic(
            name: "CAPTURE", usage: "CAPTURE ['file' | JSON 'file' | OFF]",
            text: "Appends results to a file instead of showing them; JSON writes each row as one "
                + "line of JSON. Errors and the commands' own words are still shown."),
        Topic(name: "CLEAR", usage: "CLEAR", text: "Clears the screen; CLS does the same."),
        Topic(
            name: "CONSISTENCY", usage: "CONSISTENCY [level]",
            text: "Shows or sets how many replicas must answer: ANY, ONE, TWO, THREE, QUORUM, ALL, "
                + "LOCAL_QUORUM, EACH_QUORUM, SERIAL, LOCAL_SERIAL or LOCAL_ONE."),
        Topic(
            name: "COPY",
            usage:
                "COPY table [(column, ...)] FROM 'files' | STDIN [WITH option = value [AND ...]];\n"
                + "  COPY table [(column, ...)] TO 'file' | STDOUT [WITH option = value [AND ...]];",
            text: "Reads rows from CSV files, or writes a table as CSV.\n\n  Options of both: "
                + CopyOptions.commonNames.joined(separator: ", ") + ".\n  Only FROM: "
                + CopyOptions.importNames.dropFirst(CopyOptions.commonNames.count)
                .joined(separator: ", ") + ".\n  Only TO: "
                + CopyOptions.exportNames.dropFirst(CopyOptions.commonNames.count)
                .joined(separator: ", ") + "."),
        Topic(
            name: "DESCRIBE",
            usage: "DESC[RIBE] KEYSPACES | TABLES | TYPES | FUNCTIONS | AGGREGATES"
                + " | [ONLY] KEYSPACE [name]\n    | TABLE name | TYPE name | INDEX name"
                + " | MATERIALIZED VIEW name | FUNCTION name | AGGREGATE name\n"
                + "    | [FULL] SCHEMA | CLUSTER | name   [WITH INTERNALS]",
            text: "Shows what there is, as CQL that makes it again. The server answers it."),
        Topic(
            name: "ELAPSED", usage: "ELAPSED [ON | OFF]",
            text: "Says after each statement how long it took."),
        Topic(name: "EXIT", usage: "EXIT", text: "Ends the shell, as do QUIT and Ctrl-D."),
        Topic(
            name: "EXPAND", usage: "EXPAND [ON | OFF]",
            text: "Prints each row as a list of its columns."),
        Topic(name: "HELP", usage: "HELP [topic ...]", text: "Shows this."),
        Topic(
            name: "HISTORY", usage: "HISTORY [n]",
            text: "Shows the last statements; n becomes how many."),
        Topic(
            name: "LOGIN", usage: "LOGIN user ['password']",
            text: "Goes on as another user; without a password it is asked for."),
        Topic(
            name: "PAGING", usage: "PAGING [ON | OFF | rows]",
            text: "Shows or sets how many rows are fetched at a time."),
        Topic(
            name: "SERIAL", usage: "SERIAL CONSISTENCY [level]",
            text:
                "Shows or sets the consistency of the Paxos phase of conditional updates: SERIAL or "
                + "LOCAL_SERIAL."),
        Topic(
            name: "SHOW", usage: "SHOW VERSION | HOST | SESSION id | REPLICAS token [keyspace]",
            text: "Says what the shell is connected to, prints a trace that was recorded, or names "
                + "the replicas of a token."),
        Topic(name: "SOURCE", usage: "SOURCE 'file'", text: "Runs the statements of a file."),
        Topic(
            name: "TRACING", usage: "TRACING [ON | OFF]",
            text: "Prints after each statement what the nodes did for it, and which took part."),
        Topic(
            name: "UNICODE", usage: "UNICODE",
            text: "Text is read and written as UTF-8; wide characters take two columns. Control "
                + "characters are shown as escapes such as \\n and \\x01, a backslash doubled."),
    ]

    /// The statements of CQL and the page of the language's description that is about them.
    static let language: [(name: String, summary: String)] = [
        (
            "AGGREGATES",
            "count(*), count(column), min, max, sum and avg, over all rows or GROUP BY ..."
        ),
        ("ALTER_KEYSPACE", "ALTER KEYSPACE [IF EXISTS] name WITH options"),
        (
            "ALTER_MATERIALIZED_VIEW",
            "ALTER MATERIALIZED VIEW [IF EXISTS] name WITH options"
        ),
        ("ALTER_TABLE", "ALTER TABLE [IF EXISTS] name ADD | DROP | RENAME | WITH ..."),
        ("ALTER_TYPE", "ALTER TYPE [IF EXISTS] name ADD field type | RENAME a TO b"),
        ("ALTER_ROLE", "ALTER ROLE [IF EXISTS] name WITH options"),
        ("ALTER_USER", "ALTER USER [IF EXISTS] name WITH PASSWORD '...' [SUPERUSER | NOSUPERUSER]"),
        (
            "APPLY",
            "APPLY BATCH ends a batch; see BATCH"
        ),
        ("ASCII", "A text of 7-bit characters, written 'like this', a quote in it doubled"),
        (
            "BATCH",
            "BEGIN [UNLOGGED | COUNTER] BATCH [USING TIMESTAMP n] statement; ... APPLY BATCH"
        ),
        ("BEGIN", "BEGIN starts a batch; see BATCH"),
        ("BLOB", "Any bytes, written 0x and an even number of hexadecimal digits"),
        ("BOOLEAN", "true or false"),
        (
            "COUNTER",
            "A number that is only counted up and down: UPDATE table SET c = c + 1 WHERE ..."
        ),
        ("CREATE_AGGREGATE", "CREATE [OR REPLACE] AGGREGATE name (types) SFUNC f STYPE type ..."),
        ("CREATE_COLUMNFAMILY", "CREATE COLUMNFAMILY is CREATE TABLE; see CREATE_TABLE"),
        ("CREATE_FUNCTION", "CREATE [OR REPLACE] FUNCTION name (arguments) ... RETURNS type ..."),
        ("CREATE_INDEX", "CREATE [CUSTOM] INDEX [IF NOT EXISTS] [name] ON table (column)"),
        (
            "CREATE_KEYSPACE",
            "CREATE KEYSPACE [IF NOT EXISTS] name WITH replication = {'class': ...}"
        ),
        (
            "CREATE_MATERIALIZED_VIEW",
            "CREATE MATERIALIZED VIEW name AS SELECT ... PRIMARY KEY (...)"
        ),
        ("CREATE_ROLE", "CREATE ROLE [IF NOT EXISTS] name [WITH options]"),
        (
            "CREATE_TABLE",
            "CREATE TABLE [IF NOT EXISTS] name (column type, ..., PRIMARY KEY (...)) [WITH options]"
        ),
        ("CREATE_TRIGGER", "CREATE TRIGGER [IF NOT EXISTS] name ON table USING 'class'"),
        ("CREATE_TYPE", "CREATE TYPE [IF NOT EXISTS] name (field type, ...)"),
        (
            "CREATE_USER",
            "CREATE USER [IF NOT EXISTS] name [WITH PASSWORD '...'] [SUPERUSER | NOSUPERUSER]"
        ),
        ("DATE", "A day, written '2024-02-29', or as a number of days around 2^31"),
        ("DELETE", "DELETE [columns] FROM table [USING TIMESTAMP n] WHERE ... [IF ...]"),
        ("DROP_AGGREGATE", "DROP AGGREGATE [IF EXISTS] name"),
        ("DROP_COLUMNFAMILY", "DROP COLUMNFAMILY is DROP TABLE; see DROP_TABLE"),
        ("DROP_FUNCTION", "DROP FUNCTION [IF EXISTS] name"),
        ("DROP_INDEX", "DROP INDEX [IF EXISTS] name"),
        ("DROP_KEYSPACE", "DROP KEYSPACE [IF EXISTS] name"),
        ("DROP_MATERIALIZED_VIEW", "DROP MATERIALIZED VIEW [IF EXISTS] name"),
        ("DROP_ROLE", "DROP ROLE [IF EXISTS] name"),
        ("DROP_TABLE", "DROP TABLE [IF EXISTS] name"),
        ("DROP_TRIGGER", "DROP TRIGGER [IF EXISTS] name ON table"),
        ("DROP_TYPE", "DROP TYPE [IF EXISTS] name"),
        ("DROP_USER", "DROP USER [IF EXISTS] name"),
        (
            "FUNCTIONS",
            "token, ttl, writetime, cast, now, uuid, toTimestamp, toDate, toJson, fromJson, "
                + "typeAsBlob, blobAsType, collection and vector functions, ..."
        ),
        ("GRANT", "GRANT permission ON resource TO role, or GRANT role TO role"),
        (
            "INSERT",
            "INSERT INTO table (columns) VALUES (...) [IF NOT EXISTS] [USING TTL n AND TIMESTAMP n]"
        ),
        ("INSERT_JSON", "INSERT INTO table JSON '{\"column\": value, ...}' [DEFAULT NULL | UNSET]"),
        ("INT", "A whole number of 32 bits; tinyint has 8, smallint 16, bigint 64, varint any"),
        ("JSON", "Rows as JSON: SELECT JSON and INSERT INTO ... JSON"),
        (
            "KEYWORDS",
            "Words of CQL in upper or lower case; a name that is one of the reserved ones stands in "
                + "double quotes"
        ),
        ("LIST_PERMISSIONS", "LIST ALL PERMISSIONS [ON resource] [OF role]"),
        ("LIST_ROLES", "LIST ROLES [OF role] [NORECURSIVE]"),
        ("LIST_USERS", "LIST USERS"),
        (
            "PERMISSIONS",
            "ALTER AUTHORIZE CREATE DESCRIBE DROP EXECUTE MODIFY SELECT UNMASK SELECT_MASKED, on ALL "
                + "KEYSPACES, KEYSPACE name, ALL TABLES IN KEYSPACE name, TABLE name, ALL ROLES, "
                + "ROLE name, ALL FUNCTIONS, FUNCTION name"
        ),
        ("REVOKE", "REVOKE permission ON resource FROM role, or REVOKE role FROM role"),
        (
            "SELECT",
            "SELECT [JSON | DISTINCT] selectors FROM table | MUTATION_FRAGMENTS(table) "
                + "[WHERE ...] [GROUP BY ...] [ORDER BY ...] [PER PARTITION LIMIT n] [LIMIT n] [ALLOW FILTERING]"
        ),
        ("SELECT_JSON", "SELECT JSON gives each row as one text of JSON; see SELECT"),
        ("TEXT", "A text of UTF-8, written 'like this', a quote in it doubled, or $$like this$$"),
        ("TIME", "A time of the day with nanoseconds, written '12:34:56.789012345'"),
        (
            "TIMESTAMP",
            "A point in time in milliseconds, written '2024-02-29 12:34:56.789+0000' or as a number"
        ),
        ("TRUNCATE", "TRUNCATE [TABLE] name"),
        (
            "TYPES",
            "ascii bigint blob boolean counter date decimal double duration float inet int smallint "
                + "text time timestamp timeuuid tinyint uuid varchar varint, and list<>, set<>, "
                + "map<>, tuple<>, vector<>, frozen<>, user-defined types"
        ),
        ("UPDATE", "UPDATE table [USING TTL n] SET column = value, ... WHERE ... [IF ...]"),
        ("USE", "USE keyspace"),
        ("UUID", "123e4567-e89b-42d3-a456-426614174000; uuid() and now() make new ones"),
    ]

    /// All names that HELP knows.
    static var topicNames: [String] { commands.map(\.name) + language.map(\.name) }
}

extension ShellSession {
    /// Prints the help for the topics, or the list of them.
    func help(_ arguments: [String]) {
        guard !arguments.isEmpty else {
            output.print("\nDocumented shell commands:\n===========================")
            printColumns(ShellHelp.commands.map(\.name))
            output.print("\nCQL help topics:\n================")
            printColumns(ShellHelp.language.map(\.name))
            output.print(
                "\nThe shell's commands end with their line, COPY and all CQL with a semicolon.\n")
            return
        }
        for argument in arguments {
            let name = argument.uppercased()
            let aliases = ["DESC": "DESCRIBE", "QUIT": "EXIT", "CLS": "CLEAR"]
            let key = aliases[name] ?? name
            if let topic = ShellHelp.commands.first(where: { $0.name == key }) {
                output.print("\n  \(topic.usage)\n\n  \(topic.text)\n")
                continue
            }
            let found = ShellHelp.language.filter {
                $0.name == key || $0.name.hasPrefix(key + "_") || $0.name.hasSuffix("_" + key)
            }
            if found.isEmpty { fail("*** No help on \(argument)") }
            for topic in found {
                output.print("\n  \(topic.summary)\n")
            }
        }
    }
}
