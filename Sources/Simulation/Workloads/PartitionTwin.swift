// A dumb twin of a partition: what a table with static, clustering and regular columns must show
// after a series of statements, kept in an array and computed in the most obvious way.

/// The rows of one partition of `lab.rows`.
struct PartitionTwin {
    struct Key: Hashable {
        var first: Int32
        var second: String
    }

    struct Row: Equatable {
        var key: Key
        /// An INSERT makes a row that is there even without values; an UPDATE does not.
        var isInserted = false
        var number: Int32?
        var text: String?

        var isVisible: Bool { isInserted || number != nil || text != nil }
    }

    /// One statement, with all that it binds.
    enum Change {
        case insert(Key, number: Int32?, text: String?)
        case updateNumber(Key, Int32?)
        case updateText(Key, String?)
        case setStatic(Int32?)
        case deleteNumber(Key)
        case deleteRow(Key)
        /// Rows with `low <= first < high`.
        case deleteRange(low: Int32, high: Int32)
        /// Rows with that first clustering value.
        case deleteGroup(Int32)
        case deletePartition
    }

    /// What a SELECT asks for.
    struct Query {
        var low: Int32?
        var high: Int32?
        var isReversed = false
        var limit: Int?
    }

    private(set) var rows: [Row] = []
    private(set) var shared: Int32?

    mutating func apply(_ change: Change) {
        switch change {
        case .insert(let key, let number, let text):
            update(key) { row in
                row.isInserted = true
                row.number = number
                row.text = text
            }
        case .updateNumber(let key, let number): update(key) { $0.number = number }
        case .updateText(let key, let text): update(key) { $0.text = text }
        case .setStatic(let value): shared = value
        case .deleteNumber(let key): update(key) { $0.number = nil }
        case .deleteRow(let key): rows.removeAll { $0.key == key }
        case .deleteRange(let low, let high):
            rows.removeAll { $0.key.first >= low && $0.key.first < high }
        case .deleteGroup(let first): rows.removeAll { $0.key.first == first }
        case .deletePartition:
            rows.removeAll()
            shared = nil
        }
    }

    private mutating func update(_ key: Key, _ change: (inout Row) -> Void) {
        var row = rows.first { $0.key == key } ?? Row(key: key)
        rows.removeAll { $0.key == key }
        change(&row)
        if row.isVisible { rows.append(row) }
    }

    /// The rows as lines `first|second|static|number|text`, in the order of the answer. The second
    /// clustering column is always ascending in the table, the first as the table says.
    func answer(_ query: Query, firstDescends: Bool) -> [String] {
        var found = rows.filter { row in
            row.key.first >= query.low ?? .min && (query.high.map { row.key.first < $0 } ?? true)
        }
        found.sort { left, right in
            if left.key.first != right.key.first {
                return (left.key.first < right.key.first) != firstDescends
            }
            return Array(left.key.second.utf8).lexicographicallyPrecedes(
                Array(right.key.second.utf8))
        }
        if query.isReversed { found.reverse() }
        var lines = found.map { row in
            Self.line(
                String(row.key.first), row.key.second, shared.map { String($0) },
                row.number.map { String($0) }, row.text)
        }
        // A partition of static values alone shows one row, unless the query names rows.
        if rows.isEmpty, shared != nil, query.low == nil, query.high == nil {
            lines = [Self.line(nil, nil, shared.map { String($0) }, nil, nil)]
        }
        return Array(lines.prefix(query.limit ?? .max))
    }

    static func line(
        _ first: String?, _ second: String?, _ shared: String?, _ number: String?, _ text: String?
    ) -> String {
        [first, second, shared, number, text].map { $0 ?? "null" }.joined(separator: "|")
    }
}

extension PartitionTwin.Change {
    /// The statement in CQL.
    func statement(partition: Int) -> String {
        func value(_ number: Int32?) -> String { number.map { String($0) } ?? "null" }
        func value(_ text: String?) -> String { text.map { "'\($0)'" } ?? "null" }
        func place(_ key: PartitionTwin.Key) -> String {
            "p = \(partition) AND a = \(key.first) AND b = '\(key.second)'"
        }
        return switch self {
        case .insert(let key, let number, let text):
            "INSERT INTO lab.rows (p, a, b, v, w) VALUES (\(partition), \(key.first), "
                + "'\(key.second)', \(value(number)), \(value(text)))"
        case .updateNumber(let key, let number):
            "UPDATE lab.rows SET v = \(value(number)) WHERE \(place(key))"
        case .updateText(let key, let text):
            "UPDATE lab.rows SET w = \(value(text)) WHERE \(place(key))"
        case .setStatic(let shared):
            "UPDATE lab.rows SET s = \(value(shared)) WHERE p = \(partition)"
        case .deleteNumber(let key): "DELETE v FROM lab.rows WHERE \(place(key))"
        case .deleteRow(let key): "DELETE FROM lab.rows WHERE \(place(key))"
        case .deleteRange(let low, let high):
            "DELETE FROM lab.rows WHERE p = \(partition) AND a >= \(low) AND a < \(high)"
        case .deleteGroup(let first):
            "DELETE FROM lab.rows WHERE p = \(partition) AND a = \(first)"
        case .deletePartition: "DELETE FROM lab.rows WHERE p = \(partition)"
        }
    }
}

extension PartitionTwin.Query {
    /// The statement in CQL.
    func statement(partition: Int, firstDescends: Bool) -> String {
        var text = "SELECT a, b, s, v, w FROM lab.rows WHERE p = \(partition)"
        if let low { text += " AND a >= \(low)" }
        if let high { text += " AND a < \(high)" }
        if isReversed { text += " ORDER BY a \(firstDescends ? "ASC" : "DESC"), b DESC" }
        if let limit { text += " LIMIT \(limit)" }
        return text
    }
}
