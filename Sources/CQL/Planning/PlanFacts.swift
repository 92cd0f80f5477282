// What the coordinator's guardrails and figures ask of a plan.

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
