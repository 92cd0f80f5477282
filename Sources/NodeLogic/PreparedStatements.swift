// The prepared statements of a shard. The id is the MD5 of keyspace and text, as in Cassandra, so that
// a driver may execute on any node and shard what it prepared on another one, once it was prepared
// there too (else the answer is UNPREPARED, and drivers prepare anew by themselves).

internal import CQL
internal import Encoding
internal import Model
internal import NativeProtocol

/// A statement that was planned, with what clients are told about it.
final class PreparedStatement {
    let id: [UInt8]
    let text: String
    let keyspace: String?
    let plan: PreparedPlan
    let markers: RowsMetadata
    let columns: RowsMetadata
    /// What the last PREPARED answer told of the columns. It outlives a schema change, until a client
    /// prepares again.
    private let announced: RowsMetadata
    /// Whether the result has had other columns before: of the clients that prepared then, some may not
    /// have prepared again, and those before v5 do not say which columns they know.
    let hasHadOtherColumns: Bool
    fileprivate(set) var lastUse: UInt64 = 0

    /// A statement that a client prepares; `former` is the same text under an earlier schema.
    init(
        id: [UInt8], text: String, keyspace: String?, plan: PreparedPlan,
        former: PreparedStatement? = nil
    ) {
        self.id = id
        self.text = text
        self.keyspace = keyspace
        self.plan = plan
        markers = RowsMetadata(plan.bindMarkers)
        columns = RowsMetadata(plan.resultColumns)
        announced = columns
        hasHadOtherColumns = former?.hasChanged(to: columns) ?? false
    }

    /// The same statement, planned anew because the schema changed, without a client knowing it.
    init(renewing former: PreparedStatement, plan: PreparedPlan) {
        id = former.id
        text = former.text
        keyspace = former.keyspace
        self.plan = plan
        markers = RowsMetadata(plan.bindMarkers)
        columns = RowsMetadata(plan.resultColumns)
        announced = former.announced
        hasHadOtherColumns = former.hasChanged(to: columns)
    }

    private func hasChanged(to columns: RowsMetadata) -> Bool {
        hasHadOtherColumns || self.columns.id != columns.id || announced.id != columns.id
    }

    /// Whether no client has been told the columns that the result has now. They are told by PREPARE: clients
    /// skip the metadata of results, and those before v5 have no id to notice a change by.
    var isOutdated: Bool { hasHadOtherColumns && announced.id != columns.id }

    var answer: PreparedAnswer {
        PreparedAnswer(
            id: id, markers: markers, partitionKeyMarkers: plan.partitionKeyBindIndexes,
            columns: columns)
    }
}

/// A bounded cache of prepared statements; the one unused for longest leaves first.
struct PreparedStatements {
    var maximumCount: Int
    /// Statements that left because others came.
    private(set) var evicted = 0
    private var statements: [UniqueID: PreparedStatement] = [:]
    private var clock: UInt64 = 0

    init(maximumCount: Int) { self.maximumCount = max(1, maximumCount) }

    var count: Int { statements.count }

    /// The id of a statement.
    static func id(text: String, keyspace: String?) -> [UInt8] {
        MD5.digest(Array((keyspace ?? "").utf8) + Array(text.utf8))
    }

    private static func key(_ id: UnsafeRawBufferPointer) -> UniqueID? {
        guard id.count == 16 else { return nil }
        return UniqueID(
            high: UInt64(bigEndian: id.loadUnaligned(as: UInt64.self)),
            low: UInt64(bigEndian: id.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
    }

    mutating func find(_ id: UnsafeRawBufferPointer) -> PreparedStatement? {
        guard let key = Self.key(id), let found = statements[key] else { return nil }
        clock += 1
        found.lastUse = clock
        return found
    }

    mutating func insert(_ statement: PreparedStatement) {
        guard let key = statement.id.withBytes({ Self.key($0) }) else { return }
        if statements[key] == nil, statements.count >= maximumCount,
            let oldest = statements.min(by: { $0.value.lastUse < $1.value.lastUse })
        {
            statements[oldest.key] = nil
            evicted += 1
        }
        clock += 1
        statement.lastUse = clock
        statements[key] = statement
    }

    /// Forgets a statement, which clients must prepare again.
    mutating func remove(_ id: UnsafeRawBufferPointer) {
        if let key = Self.key(id) { statements[key] = nil }
    }

    /// All statements, sorted by id; for `system.prepared_statements`.
    var all: [PreparedStatement] { statements.sorted { $0.key < $1.key }.map(\.value) }
}
