// The prepared statements of a shard. The id is the MD5 of the text, behind the keyspace of USE where the text
// leaves that out, as in Cassandra: who prepares again after another USE gets the id that it had. All shards of
// a node know the same ones, and a node keeps them over restarts (`Shard+PreparedStatements`); where one is
// not known the answer is UNPREPARED, and drivers prepare anew by themselves.

internal import CQL
internal import Encoding
internal import Model
internal import NativeProtocol

/// A statement that was planned, with what clients are told about it.
final class PreparedStatement {
    let id: [UInt8]
    /// The same as a value; nil for one that cannot be an id.
    fileprivate let key: UniqueID?
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
    /// Whether `system.prepared_statements` may have it.
    var mayHaveRow = true

    /// A statement that a client prepares; `former` is the same text under an earlier schema.
    init(
        id: [UInt8], text: String, keyspace: String?, plan: PreparedPlan,
        former: PreparedStatement? = nil
    ) {
        self.id = id
        key = id.withBytes { PreparedStatements.key($0) }
        self.text = text
        self.keyspace = keyspace
        self.plan = plan
        markers = RowsMetadata(plan.bindMarkers)
        columns = RowsMetadata(plan.resultColumns)
        announced = columns
        hasHadOtherColumns = former?.hasChanged(to: columns) ?? false
    }

    /// What it is taken to need of memory: its plan, and its text.
    var cost: Int { Self.planBytes + text.utf8.count }
    private static let planBytes = 1024

    /// Whether it is kept over restarts. What changes schema or roles is not: it is prepared to be
    /// executed once, and may hold a password.
    var isKept: Bool {
        switch plan.plan {
        case .select, .modification, .batch: true
        case .schemaChange, .use, .describe, .truncate, .roles: false
        }
    }

    /// The tables that it names, as it was planned with.
    private var tables: [TableSchema] {
        switch plan.plan {
        case .select(let select): [select.subject]
        case .modification(let modification): [modification.table]
        case .batch(let batch): batch.modifications.map(\.table)
        case .truncate(let table): [table]
        case .schemaChange, .use, .describe, .roles: []
        }
    }

    private static func table(_ table: TableSchema, in schema: SchemaSnapshot) -> TableSchema? {
        if let known = schema.table(table.id) { return known }
        let own = SystemSchema.table(table.keyspace, table.name)
        return own?.id == table.id ? own : nil
    }

    /// Whether all tables that it names are still there.
    func isPossible(in schema: SchemaSnapshot) -> Bool {
        tables.allSatisfy { Self.table($0, in: schema) != nil }
    }

    /// Whether all tables that it names have the columns that it was planned with.
    func isUnchanged(in schema: SchemaSnapshot) -> Bool {
        tables.allSatisfy { table in
            guard let now = Self.table(table, in: schema) else { return false }
            return now === table || now.allColumns == table.allColumns
        }
    }

    /// The same statement, planned anew because the schema changed, without a client knowing it.
    init(renewing former: PreparedStatement, plan: PreparedPlan) {
        id = former.id
        key = former.key
        text = former.text
        keyspace = former.keyspace
        self.plan = plan
        markers = RowsMetadata(plan.bindMarkers)
        columns = RowsMetadata(plan.resultColumns)
        announced = former.announced
        hasHadOtherColumns = former.hasChanged(to: columns)
        mayHaveRow = former.mayHaveRow
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

/// A cache of prepared statements, bounded in their number and bytes; the one unused for longest leaves
/// first.
struct PreparedStatements {
    var maximumCount: Int
    var maximumBytes: Int
    /// Statements that left because others came.
    private(set) var evicted = 0
    private var statements: [UniqueID: PreparedStatement] = [:]
    /// Statements that were found, by the last bits of their ids, which are as good as random: a hash table's
    /// look-up costs more than the comparison.
    private var found = [PreparedStatement?](repeating: nil, count: 64)
    private var bytes = 0
    private var clock: UInt64 = 0

    init(maximumCount: Int, maximumBytes: Int) {
        self.maximumCount = max(1, maximumCount)
        self.maximumBytes = maximumBytes
    }

    var count: Int { statements.count }

    /// The id of a text that means something else in each keyspace, or that was not planned.
    static func id(text: String, keyspace: String?) -> [UInt8] {
        MD5.digest(Array((keyspace ?? "").utf8) + Array(text.utf8))
    }

    /// The id of a statement.
    static func id(text: String, keyspace: String?, plan: PreparedPlan) -> [UInt8] {
        id(text: text, keyspace: plan.namesItsKeyspaces ? nil : keyspace)
    }

    /// The statement that a client means who prepares `text` after USE of `keyspace`.
    mutating func find(_ text: String, keyspace: String?) -> PreparedStatement? {
        let alone = Self.id(text: text, keyspace: nil)
        let found = alone.withBytes { find($0) }
        guard let keyspace, found?.plan.namesItsKeyspaces != true else { return found }
        let id = Self.id(text: text, keyspace: keyspace)
        return id.withBytes { find($0) }
    }

    fileprivate static func key(_ id: UnsafeRawBufferPointer) -> UniqueID? {
        guard id.count == 16 else { return nil }
        return UniqueID(
            high: UInt64(bigEndian: id.loadUnaligned(as: UInt64.self)),
            low: UInt64(bigEndian: id.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
    }

    mutating func find(_ id: UnsafeRawBufferPointer) -> PreparedStatement? {
        guard let key = Self.key(id) else { return nil }
        let place = Int(truncatingIfNeeded: key.low) & (found.count - 1)
        clock += 1
        if let known = found[place], known.key == key {
            known.lastUse = clock
            return known
        }
        guard let statement = statements[key] else { return nil }
        statement.lastUse = clock
        found[place] = statement
        return statement
    }

    /// Refuses a statement that would have to push out all others.
    func check(_ text: String) throws(CQLError) {
        guard text.utf8.count <= maximumBytes else {
            throw .invalid(
                "Prepared statement of size \(text.utf8.count) bytes is larger than allowed maximum of"
                    + " \(maximumBytes) bytes: \(text.prefix(200))...")
        }
    }

    /// Takes a statement in, in place of one of its id. Gives the statements that had to leave for it.
    mutating func insert(_ statement: PreparedStatement) -> [PreparedStatement] {
        guard let key = statement.key else { return [] }
        clock += 1
        statement.lastUse = clock
        forget(key)
        bytes += statement.cost - (statements.updateValue(statement, forKey: key)?.cost ?? 0)
        var left: [PreparedStatement] = []
        while statements.count > 1, statements.count > maximumCount || bytes > maximumBytes,
            let oldest = statements.min(by: { $0.value.lastUse < $1.value.lastUse })
        {
            left.append(oldest.value)
            take(oldest.key)
            evicted += 1
        }
        return left
    }

    private mutating func forget(_ key: UniqueID) {
        found[Int(truncatingIfNeeded: key.low) & (found.count - 1)] = nil
    }

    private mutating func take(_ key: UniqueID) {
        forget(key)
        bytes -= statements.removeValue(forKey: key)?.cost ?? 0
    }

    mutating func remove(_ statement: PreparedStatement) {
        if let key = statement.key { take(key) }
    }

    /// Forgets the statements that are no longer possible. Gives these, and those whose tables have other
    /// columns now, sorted by id.
    mutating func removeImpossible(in schema: SchemaSnapshot) -> [PreparedStatement] {
        let changed = statements.filter { !$0.value.isUnchanged(in: schema) }
            .sorted { $0.key < $1.key }
        for (key, statement) in changed where !statement.isPossible(in: schema) { take(key) }
        return changed.map(\.value)
    }
}
