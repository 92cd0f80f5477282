// What type a literal in a select list has if nothing is expected of it.
//
// Functions that take any type (`to_json`, `collection_count`, `similarity_cosine`) are found by it.

internal import Model

extension SelectorCompiler {
    /// The type of the expression if nothing is expected of it, also that of a list, set or map of literals;
    /// nil for null and bind markers.
    func likelyType(_ selector: Selector) throws(CQLError) -> CQLType? {
        switch selector {
        case .term(let term): return try terms.exactType(term) ?? terms.likelyType(term)
        case .tuple(let items) where items.count == 1: return try likelyType(items[0])
        case .list(let items):
            return try common(items).map { .list($0.frozen, frozen: false) }
        case .set(let items):
            return try common(items).map { .set($0.frozen, frozen: false) }
        case .map(let entries):
            // A key that is a bare name may be a field of a user-defined type.
            for entry in entries {
                if case .column(let name) = entry.key, table.column(named: name) == nil {
                    return nil
                }
            }
            guard let key = try common(entries.map(\.key)),
                let value = try common(entries.map(\.value))
            else { return nil }
            return .map(key.frozen, value.frozen, frozen: false)
        default: return try exactType(selector)
        }
    }

    private func common(_ items: [Selector]) throws(CQLError) -> CQLType? {
        var types: [CQLType?] = []
        for item in items { types.append(try likelyType(item)) }
        return TermCompiler.common(types)
    }
}
