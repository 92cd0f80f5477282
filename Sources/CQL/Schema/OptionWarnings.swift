// Table options that are kept and shown, and that nothing acts upon yet. Who sets one to something else
// than its default is told so, in the answer.

internal import Model

extension SchemaChange {
    /// One sentence for each option of the statement that has no effect. Options that are malformed are
    /// none of ours: the change itself refuses them.
    package var optionWarnings: [String] {
        let properties: [Property]
        switch statement {
        case .createTable(let table): properties = table.properties
        case .alterTable(let alteration):
            guard case .options(let options) = alteration.change else { return [] }
            properties = options
        default: return []
        }
        return properties.compactMap(Self.warning)
    }

    private static func warning(_ property: Property) -> String? {
        guard case .text(let text) = property.value else { return nil }
        let isDefault: Bool
        switch property.name {
        case "min_index_interval": isDefault = Int32(text) == TableOptions().minIndexInterval
        case "max_index_interval": isDefault = Int32(text) == TableOptions().maxIndexInterval
        case "memtable": isDefault = text == TableOptions().memtable
        // Its default only allows what the node's own switch turns on, and there is none; nor for `cdc`.
        case "incremental_backups", "cdc": isDefault = PropertyReader.boolean(text) != true
        default: return nil
        }
        if isDefault { return nil }
        return "\(property.name) = \(text) is kept with the table, but has no effect in Coterie yet"
    }
}
