// INSERT JSON: the values of a row in one text.
//
// The statement is planned as an INSERT of all columns with a bind marker for each. When it is executed, the
// text is read once, and its values stand in for those that a client would have bound.

internal import Encoding
internal import Model

/// Where the values of an INSERT JSON come from.
struct JSONInsert: Sendable {
    let text: PlannedTerm
    let missing: InsertSyntax.MissingColumns
    let timestamp: PlannedTerm?
    let timeToLive: PlannedTerm?
    /// In the order of `SELECT *`.
    let columns: [ColumnSchema]

    /// The markers that follow those of the columns.
    var timestampMarker: PlannedTerm? { timestamp.map { _ in .marker(columns.count, .bigint) } }
    var timeToLiveMarker: PlannedTerm? { timeToLive.map { _ in .marker(columns.count + 1, .int) } }

    /// Runs `body` with the values of the columns, of the timestamp and of the time to live.
    func withValues<Result>(
        _ values: BoundValues, _ context: ExecutionContext, _ table: TableSchema,
        _ body: (BoundValues) throws(CQLError) -> Result
    ) throws(CQLError) -> Result {
        guard let text = try text.bytes(values, context, "[json]") else {
            throw .invalid("Got null for INSERT JSON values")
        }
        let row = try JSONValues(clock: context.clock).row(text, table)
        var found: [PlannedTerm.Value] = []
        for column in columns {
            if let value = row[column.name] {
                found.append(value.map { .bytes($0) } ?? .null)
            } else {
                found.append(missing == .unset && !column.isPrimaryKey ? .unset : .null)
            }
        }
        found.append(try timestamp?.evaluate(values, context) ?? .unset)
        found.append(try timeToLive?.evaluate(values, context) ?? .unset)
        // All bytes first: the writer may move while it grows.
        let writer = ByteWriter(capacity: 256)
        var ranges: [ByteRange] = []
        for case .bytes(let bytes) in found {
            ranges.append(ByteRange(offset: writer.count, count: bytes.count))
            writer.append(bytes)
        }
        var bound = BoundValues()
        bound.removeAll(base: writer.bytes.baseAddress)
        var next = ranges.makeIterator()
        for value in found {
            switch value {
            case .bytes: if let range = next.next() { bound.append(range) }
            case .null: bound.appendNull()
            case .unset: bound.appendUnset()
            }
        }
        defer { withExtendedLifetime(writer) {} }
        return try body(bound)
    }
}
