// The schema that completion knows, read from the server when a person presses the key.

internal import Model
internal import NativeClient
internal import NativeProtocol

extension ShellSession {
    /// How long what was read is taken for true: others may change the schema too.
    private static let schemaMicroseconds: Int64 = 5_000_000

    /// The candidates for what stands before the cursor; `typed` are the statement's earlier lines.
    func completions(_ typed: String, _ before: String) -> Completer.Result {
        refreshSchema()
        return Completer(schema: schema, keyspace: keyspace)
            .complete(typed.isEmpty ? before : typed + " " + before)
    }

    private func refreshSchema() {
        let now = ShellClock.microseconds()
        if let readAt = schema.readAt, now - readAt < Self.schemaMicroseconds { return }
        do {
            schema = try Self.readSchema(connection)
            schema.readAt = now
        } catch {
            // Without a schema there are still the words of the grammar.
            schema.readAt = now
        }
    }

    private static func readSchema(_ connection: ShellConnection) throws -> CompletionSchema {
        var schema = CompletionSchema()
        func each(
            _ table: String, _ column: String,
            _ add: (inout CompletionSchema.Keyspace, String) -> Void
        ) throws {
            let rows = try connection.rows(
                "SELECT keyspace_name, \(column) FROM system_schema.\(table)")
            for row in rows.texts() {
                guard let keyspace = row["keyspace_name"], let name = row[column] else { continue }
                add(&schema.keyspaces[keyspace, default: .init()], name)
            }
        }
        for row in try connection.rows("SELECT keyspace_name FROM system_schema.keyspaces").texts()
        {
            if let name = row["keyspace_name"] { schema.keyspaces[name] = .init() }
        }
        let columns = try connection.rows(
            "SELECT keyspace_name, table_name, column_name FROM system_schema.columns")
        for row in columns.texts() {
            guard let keyspace = row["keyspace_name"], let table = row["table_name"],
                let name = row["column_name"]
            else { continue }
            schema.keyspaces[keyspace, default: .init()].tables[table, default: .init()].columns
                .append(name)
        }
        try each("types", "type_name") { $0.types.append($1) }
        try each("functions", "function_name") { $0.functions.append($1) }
        try each("aggregates", "aggregate_name") { $0.aggregates.append($1) }
        try each("indexes", "index_name") { $0.indexes.append($1) }
        try each("views", "view_name") { $0.views.append($1) }
        return schema
    }
}
