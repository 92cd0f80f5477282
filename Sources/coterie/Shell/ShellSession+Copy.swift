// COPY: what export and import have in common.

internal import Model
internal import NativeClient
internal import NativeProtocol

extension ShellSession {
    /// Runs a COPY statement.
    func copy(_ text: String) throws {
        let statement = try CopyStatement(text)
        guard let keyspace = statement.keyspace ?? keyspace else {
            throw ShellFailure("Not in any keyspace.")
        }
        let table = try CopiedTable.read(keyspace, statement.table, connection)
        var given = statement.options
        var file = configuration.copySections
        if let index = given.lastIndex(where: { $0.name == "configfile" }) {
            let path = Self.expandedPath(given[index].value)
            guard let text = Self.fileText(path) else {
                throw ShellFailure("Can't open '\(path)' for reading")
            }
            file = SettingsFile(text)
            given.removeAll { $0.name == "configfile" }
        }
        let preset = CopyOptions.options(
            in: file, statement.direction, keyspace: keyspace, table: statement.table)
        var options = try CopyOptions(
            preset + given, statement.direction, keyspace: keyspace, table: statement.table,
            timestampPattern: format.timestamps.pattern)
        options.format.timestamps.isLocal = false
        for notice in options.notices { output.printError("Warning: " + notice) }
        let columns = statement.columns.isEmpty ? table.columns.map(\.name) : statement.columns
        for name in columns where table.column(name) == nil {
            throw ShellFailure("Invalid column name \(name)")
        }
        switch statement.direction {
        case .to:
            try CopyExport(self, table, columns, options, statement.file).run()
        case .from:
            try CopyImport(self, table, columns, options, statement.file).run()
        }
    }

    /// The line that begins a copy.
    static func startOfCopy(_ table: CopiedTable, _ columns: [String]) -> String {
        "\nStarting copy of \(table.keyspace).\(table.name) with columns "
            + "[\(columns.joined(separator: ", "))]."
    }
}

/// What COPY has to know of a table.
struct CopiedTable {
    struct Column: Equatable {
        enum Kind: String {
            case partitionKey = "partition_key"
            case clustering, `static`, regular
        }

        let name: String
        let kind: Kind
        let position: Int
        /// As the schema has it, for example `frozen<list<int>>`.
        let typeName: String
    }

    let keyspace: String
    let name: String
    /// The keys in their order, then the others by name: the order of a CSV file without a list.
    let columns: [Column]

    func column(_ name: String) -> Column? { columns.first { $0.name == name } }
    var partitionKey: [Column] { columns.filter { $0.kind == .partitionKey } }
    var primaryKey: [Column] {
        columns.filter { $0.kind == .partitionKey || $0.kind == .clustering }
    }
    var qualifiedName: String {
        CQLIdentifier.quoted(keyspace) + "." + CQLIdentifier.quoted(name)
    }

    init(keyspace: String, name: String, _ columns: [Column]) {
        self.keyspace = keyspace
        self.name = name
        func rank(_ column: Column) -> Int {
            switch column.kind {
            case .partitionKey: 0
            case .clustering: 1
            case .static, .regular: 2
            }
        }
        self.columns = columns.sorted { left, right in
            let (a, b) = (rank(left), rank(right))
            if a != b { return a < b }
            return a < 2 ? left.position < right.position : left.name < right.name
        }
    }

    /// Reads the table's columns from the server.
    static func read(
        _ keyspace: String, _ name: String, _ connection: ShellConnection
    ) throws -> CopiedTable {
        let keyspaces = try connection.rows(
            "SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = ?",
            [.bytes(Array(keyspace.utf8))])
        guard keyspaces.rowCount > 0 else {
            throw ShellFailure("Keyspace '\(keyspace)' not found.")
        }
        let rows = try connection.rows(
            "SELECT column_name, kind, position, type FROM system_schema.columns "
                + "WHERE keyspace_name = ? AND table_name = ?",
            [.bytes(Array(keyspace.utf8)), .bytes(Array(name.utf8))])
        guard rows.rowCount > 0 else { throw ShellFailure("Column family \(name) not found") }
        let tables = try connection.rows(
            "SELECT flags FROM system_schema.tables WHERE keyspace_name = ? AND table_name = ?",
            [.bytes(Array(keyspace.utf8)), .bytes(Array(name.utf8))])
        // Without any flag of a shape it has COMPACT STORAGE and no clustering columns.
        let flags = tables.texts().first?["flags"]
        let isStatic = flags.map { !$0.contains("compound") && !$0.contains("dense") } ?? false
        let columns = rows.texts().compactMap { row in
            Column.Kind(rawValue: row["kind"] ?? "").flatMap { (kind) -> Column? in
                // What COMPACT STORAGE hides.
                if isStatic, kind == .clustering || kind == .regular { return nil }
                if row["type"] == "empty" { return nil }
                return Column(
                    name: row["column_name"] ?? "", kind: kind,
                    position: Int(row["position"] ?? "") ?? 0, typeName: row["type"] ?? "")
            }
        }
        return CopiedTable(keyspace: keyspace, name: name, columns)
    }
}
