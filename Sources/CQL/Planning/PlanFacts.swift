// What the coordinator's guardrails and figures ask of a plan.

internal import Model

extension Plan {
    /// The name of a table with COMPACT STORAGE that the statement reads or writes.
    package var compactTable: String? {
        let tables: [TableSchema] =
            switch self {
            case .select(let select): [select.subject]
            case .modification(let modification): [modification.table]
            case .batch(let batch): batch.modifications.map(\.table)
            case .schemaChange, .use, .describe, .truncate, .roles: []
            }
        return tables.first { $0.compact != nil }.map { "\($0.keyspace).\($0.name)" }
    }
}

extension SelectPlan {
    /// Whether rows are judged one by one, under ALLOW FILTERING.
    package var filters: Bool { isFiltering }

    package var groups: Bool { grouping != nil }
}

extension ModificationPlan {
    /// Whether the statement states its timestamp (USING TIMESTAMP).
    package var statesTimestamp: Bool { timestamp != nil }
}

extension BatchPlan {
    package var statesTimestamp: Bool {
        timestamp != nil || modifications.contains(where: \.statesTimestamp)
    }
}

extension SchemaChange {
    /// The options that a CREATE or ALTER TABLE names, in order.
    package var tableOptionNames: [String] {
        switch statement {
        case .createTable(let table): return table.properties.map(\.name)
        case .alterTable(let alteration):
            guard case .options(let options) = alteration.change else { return [] }
            return options.map(\.name)
        default: return []
        }
    }

    /// Whether it makes a table with COMPACT STORAGE, and whether it takes that away from one.
    package var createsCompactStorage: Bool {
        if case .createTable(let table) = statement { table.hasCompactStorage } else { false }
    }

    package var dropsCompactStorage: Bool {
        if case .alterTable(let alteration) = statement {
            alteration.change == .dropCompactStorage
        } else {
            false
        }
    }

    /// What the statement is, for whoever allows or refuses kinds of changes.
    package enum Kind: Sendable {
        case createKeyspace(String)
        case alterKeyspace(String)
        case dropKeyspace
        case createTable(String)
        /// `columns`: it adds, drops or renames columns.
        case alterTable(String, columns: Bool)
        case dropTable
        case putType(String)
        case dropType
    }

    package var kind: Kind? {
        switch statement {
        case .createKeyspace(let name, _, _): return .createKeyspace(name)
        case .alterKeyspace(let name, _, _): return .alterKeyspace(name)
        case .dropKeyspace: return .dropKeyspace
        case .createTable(let syntax): return .createTable(syntax.name.name)
        case .alterTable(let syntax):
            let isOptions = if case .options = syntax.change { true } else { false }
            return .alterTable(syntax.name.name, columns: !isOptions)
        case .dropTable: return .dropTable
        case .createType(let name, _, _): return .putType(name.name)
        case .alterType(let syntax): return .putType(syntax.name.name)
        case .dropType: return .dropType
        default: return nil
        }
    }
}
