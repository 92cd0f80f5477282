// The properties after WITH: each is there once, has the right shape, and none is unknown.

internal import Model

/// Hands out a statement's properties by name and remembers which were asked for.
struct PropertyReader {
    private var properties: [String: Property.Value] = [:]

    /// Refuses a property that is given twice or that is not in `known`.
    init(_ list: [Property], known: [String]) throws(CQLError) {
        for property in list {
            guard properties.updateValue(property.value, forKey: property.name) == nil else {
                throw .syntax("Multiple definitions for property '\(property.name)'")
            }
            guard known.contains(property.name) else {
                let hint =
                    Self.nearest(to: property.name, in: known)
                    .map { ". Did you mean '\($0)'?" } ?? ""
                throw .syntax("Unknown property '\(property.name)'\(hint)")
            }
        }
    }

    func has(_ name: String) -> Bool { properties[name] != nil }

    func text(_ name: String) throws(CQLError) -> String? {
        switch properties[name] {
        case nil: return nil
        case .text(let text): return text
        case .map: throw .syntax("Invalid value for property '\(name)'. It should be a string")
        }
    }

    func map(_ name: String) throws(CQLError) -> [String: String]? {
        switch properties[name] {
        case nil: return nil
        case .map(let entries):
            return Dictionary(entries.map { ($0.key, $0.value) }) { _, last in last }
        case .text: throw .syntax("Invalid value for property '\(name)'. It should be a map.")
        }
    }

    func boolean(_ name: String) throws(CQLError) -> Bool? {
        guard let text = try text(name) else { return nil }
        guard let value = Self.boolean(text) else {
            throw .syntax(
                "Invalid boolean value \(text) for '\(name)'. Positive values can be '1', 'true' or"
                    + " 'yes'. Negative values can be '0', 'false' or 'no'.")
        }
        return value
    }

    static func boolean(_ text: String) -> Bool? {
        switch text.lowercased() {
        case "1", "true", "yes": true
        case "0", "false", "no": false
        default: nil
        }
    }

    func integer(_ name: String) throws(CQLError) -> Int32? {
        guard let text = try text(name) else { return nil }
        guard let value = Int32(text) else {
            throw .syntax("Invalid integer value \(text) for '\(name)'")
        }
        return value
    }

    func double(_ name: String) throws(CQLError) -> Double? {
        guard let text = try text(name) else { return nil }
        guard let value = Double(text), value.isFinite else {
            throw .syntax("Invalid double value \(text) for '\(name)'")
        }
        return value
    }

    /// The known name that `name` probably meant: at most two letters away.
    static func nearest(to name: String, in known: [String]) -> String? {
        let distances = known.map { (distance(Array(name.utf8), Array($0.utf8)), $0) }
        guard let best = distances.min(by: { $0 < $1 }), best.0 <= 2 else { return nil }
        return best.1
    }

    /// Levenshtein's distance; names are short.
    private static func distance(_ left: [UInt8], _ right: [UInt8]) -> Int {
        guard left.count <= 64, right.count <= 64 else { return .max }
        var row = Array(0...right.count)
        for (i, a) in left.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, b) in right.enumerated() {
                let substitution = diagonal + (a == b ? 0 : 1)
                diagonal = row[j + 1]
                row[j + 1] = min(substitution, row[j] + 1, row[j + 1] + 1)
            }
        }
        return row[right.count]
    }
}
