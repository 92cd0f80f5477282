// COPY: what export and import have in common.

internal import Model
internal import NativeClient
internal import NativeProtocol

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

extension ShellSession {
    /// Runs a COPY statement.
    func copy(_ text: String) throws {
        let statement = try CopyStatement(text)
        guard let keyspace = statement.keyspace ?? keyspace else {
            throw ShellFailure("Not in any keyspace.")
        }
        let table = try CopiedTable.read(keyspace, statement.table, connection)
        // An export to the terminal's own stream has nothing but rows there.
        let isTold = statement.direction == .from || statement.file != nil
        var options = try CopyOptions(
            try copyOptions(statement, keyspace, isTold: isTold), statement.direction,
            keyspace: keyspace, table: statement.table,
            timestampPattern: format.timestamps.pattern, cores: NodeArguments.processorCount)
        options.format.timestamps.isLocal = false
        for notice in options.notices { output.printError("Warning: " + notice) }
        if isTold { output.print("Using \(options.connections) child processes") }
        guard options.unrecognized.isEmpty else {
            throw ShellFailure(
                "Unrecognized COPY \(statement.direction.rawValue) options: "
                    + options.unrecognized.joined(separator: ", "))
        }
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

    /// The options of the settings' file and, after them, of the statement; says where they are from.
    private func copyOptions(
        _ statement: CopyStatement, _ keyspace: String, isTold: Bool
    ) throws -> [(name: String, value: String)] {
        var given = statement.options
        var file = configuration.copySections
        var path = configuration.copyPath
        if let index = given.lastIndex(where: { $0.name == "configfile" }) {
            path = Self.expandedPath(given[index].value)
            given.removeAll { $0.name == "configfile" }
            if access(path, F_OK) != 0 {
                output.printError(
                    "Warning: CONFIGFILE \(PythonText.quoted(path)) does not exist: no options are "
                        + "read from it")
            }
            file = SettingsFile(try TextFile.read(path) ?? "")
        }
        let sections = CopyOptions.sections(
            of: file, statement.direction, keyspace: keyspace, table: statement.table)
        if isTold, !sections.isEmpty || access(path, F_OK) == 0 {
            for section in sections {
                let options = PythonText.dictionary(section.options)
                output.print("Reading options from \(path):[\(section.name)]: \(options)")
            }
            if !given.isEmpty {
                let options = PythonText.dictionary(given)
                output.print("Reading options from the command line: \(options)")
            }
        }
        return sections.flatMap(\.options) + given
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
