// What tables look like. Schema values are immutable: a change makes a new snapshot with a new epoch,
// and a request keeps the one that it was planned with.
//
// Columns are named in files and messages by `ColumnID`, issued with the schema. A column that is dropped and
// added again gets its number back, and with it the time of the drop: what was written until then stays dead.
// No number is given to a column of another name. Tables are named by `TableID`.

package import Encoding

/// The identity of a table, kept through every change of its schema.
package struct TableID: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let value: UniqueID
    package init(_ value: UniqueID) { self.value = value }
    package static func < (left: TableID, right: TableID) -> Bool { left.value < right.value }
    @inlinable package static func == (left: TableID, right: TableID) -> Bool {
        left.value.low == right.value.low && left.value.high == right.value.high
    }

    @inlinable package func hash(into hasher: inout Hasher) {
        hasher.combine(value.high)
        hasher.combine(value.low)
    }

    /// What a dictionary asks for. Ids are made by nodes, not by clients: mixing their bits is enough, at a tenth
    /// of a keyed hash, which three look-ups of every request would pay.
    @inlinable package func _rawHashValue(seed: Int) -> Int {
        var mixed = (value.high ^ UInt64(bitPattern: Int64(seed))) &* 0x9E37_79B9_7F4A_7C15
        mixed = (mixed ^ (mixed >> 32) ^ value.low) &* 0x9E37_79B9_7F4A_7C15
        return Int(truncatingIfNeeded: mixed ^ (mixed >> 32))
    }
    package var description: String { value.description }
}

/// A column's stable number inside its table.
package struct ColumnID: Hashable, Comparable, Sendable {
    package let value: UInt32
    package init(_ value: UInt32) { self.value = value }
    package static func < (left: ColumnID, right: ColumnID) -> Bool { left.value < right.value }
}

/// Which way a clustering column is sorted.
package enum ClusteringOrder: UInt8, Hashable, Sendable {
    case ascending = 0
    case descending = 1
}

/// One column of a table.
package struct ColumnSchema: Hashable, Sendable {
    package enum Kind: Hashable, Sendable {
        case partitionKey(position: Int)
        case clustering(position: Int, order: ClusteringOrder)
        case `static`
        case regular
    }

    package let id: ColumnID
    package let name: String
    package let type: CQLType
    package let kind: Kind
    /// Cells up to this timestamp are of an earlier life of the column, which was dropped; `noTimestamp` for a
    /// column that never was.
    package fileprivate(set) var deadThrough = noTimestamp

    package init(id: ColumnID, name: String, type: CQLType, kind: Kind) {
        self.id = id
        self.name = name
        self.type = type
        self.kind = kind
    }

    package var isPrimaryKey: Bool {
        switch kind {
        case .partitionKey, .clustering: true
        case .static, .regular: false
        }
    }
    package var isStatic: Bool { kind == .static }
}

/// A column that was dropped: cells not newer than `droppedAt` stay dead.
package struct DroppedColumn: Hashable, Sendable {
    package let column: ColumnSchema
    /// Microseconds since 1970.
    package let droppedAt: Int64

    package init(column: ColumnSchema, droppedAt: Int64) {
        self.column = column
        self.droppedAt = droppedAt
    }
}

/// The options of `CREATE TABLE ... WITH`, with Cassandra 5.0's defaults.
package struct TableOptions: Hashable, Sendable {
    package var additionalWritePolicy = "99p"
    package var allowAutoSnapshot = true
    package var bloomFilterFalsePositiveChance = 0.01
    package var caching = ["keys": "ALL", "rows_per_partition": "NONE"]
    package var cdc = false
    package var comment = ""
    package var compaction = [
        "class": "org.apache.cassandra.db.compaction.SizeTieredCompactionStrategy",
        "max_threshold": "32", "min_threshold": "4",
    ]
    package var compression = [
        "chunk_length_in_kb": "16", "class": "org.apache.cassandra.io.compress.LZ4Compressor",
    ]
    package var crcCheckChance = 1.0
    package var defaultTimeToLive: Int32 = 0
    package var extensions: [String: [UInt8]] = [:]
    package var gcGraceSeconds: Int32 = 864_000
    package var incrementalBackups = true
    package var maxIndexInterval: Int32 = 2_048
    package var memtable = "default"
    package var memtableFlushPeriodMilliseconds: Int32 = 0
    package var minIndexInterval: Int32 = 128
    package var readRepair = "BLOCKING"
    package var speculativeRetry = "99p"
    package var tombstoneGC = TombstoneGC()

    package init() {}
}

/// COMPACT STORAGE: a table in the shape that tables had before CQL. Its rows have no markers: a row is there as
/// long as a cell of it lives.
///
///     static    no clustering columns declared: the columns are static ones, and a clustering column and a
///               value column are hidden
///     dense     one value column for each row, hidden if none was declared; a row may have fewer clustering
///               values than there are columns, if there are several
package enum CompactStorage: UInt8, Hashable, Sendable {
    case `static` = 1
    case dense = 2
    /// Dense, with several clustering columns.
    case compound = 3

    /// The type of the hidden value of a dense table that declares none: nothing.
    package static let emptyType = CQLType.custom("org.apache.cassandra.db.marshal.EmptyType")
}

/// A table: its columns in declared order, and what was dropped. Immutable and shared.
package final class TableSchema: Sendable {
    package let id: TableID
    package let keyspace: String
    package let name: String
    /// In key order.
    package let partitionKey: [ColumnSchema]
    /// In clustering order.
    package let clustering: [ColumnSchema]
    /// Sorted by name, as Cassandra shows them.
    package let statics: [ColumnSchema]
    /// Sorted by name, as Cassandra shows them.
    package let regulars: [ColumnSchema]
    /// Sorted by name.
    package let dropped: [DroppedColumn]
    package let options: TableOptions
    /// nil for a table as CQL makes them.
    package let compact: CompactStorage?
    /// The number that the next new column gets.
    package let nextColumnID: UInt32

    /// Whether the columns beside the key are counters. A table stays one when the last of them is dropped. Asked
    /// by every request.
    package let isCounter: Bool

    private let columnsByName: [String: ColumnSchema]

    /// Whether a column is there again that was dropped. Asked by every request.
    package let hasReturnedColumns: Bool

    /// Sorts `columns` into their kinds. Ids must be unique and below `nextColumnID`.
    package init(
        id: TableID, keyspace: String, name: String, columns: [ColumnSchema],
        dropped: [DroppedColumn] = [], options: TableOptions = TableOptions(),
        compact: CompactStorage? = nil, nextColumnID: UInt32
    ) {
        self.id = id
        self.keyspace = keyspace
        self.name = name
        var partitionKey: [(Int, ColumnSchema)] = []
        var clustering: [(Int, ColumnSchema)] = []
        var statics: [ColumnSchema] = []
        var regulars: [ColumnSchema] = []
        var hasReturnedColumns = false
        for var column in columns {
            precondition(column.id.value < nextColumnID, "column id beyond the issued ones")
            column.deadThrough = noTimestamp
            if let former = dropped.first(where: { $0.column.id == column.id }) {
                column.deadThrough = former.droppedAt
                hasReturnedColumns = true
            }
            switch column.kind {
            case .partitionKey(let position): partitionKey.append((position, column))
            case .clustering(let position, _): clustering.append((position, column))
            case .static: statics.append(column)
            case .regular: regulars.append(column)
            }
        }
        self.partitionKey = partitionKey.sorted { $0.0 < $1.0 }.map(\.1)
        self.clustering = clustering.sorted { $0.0 < $1.0 }.map(\.1)
        self.statics = statics.sorted { $0.name < $1.name }
        self.regulars = regulars.sorted { $0.name < $1.name }
        self.dropped = dropped.sorted { $0.column.name < $1.column.name }
        self.options = options
        self.compact = compact
        self.nextColumnID = nextColumnID
        self.isCounter =
            columns.contains { $0.type == .counter }
            || dropped.contains { $0.column.type == .counter }
        self.hasReturnedColumns = hasReturnedColumns
        let all = self.partitionKey + self.clustering + self.statics + self.regulars
        let visible = all.filter { !Self.isHidden($0, compact) }
        self.columnsByName = Dictionary(visible.map { ($0.name, $0) }) { first, _ in first }
    }

    private static func isHidden(_ column: ColumnSchema, _ compact: CompactStorage?) -> Bool {
        switch (compact, column.kind) {
        case (nil, _), (_, .partitionKey), (_, .static): false
        case (.static, .clustering), (.static, .regular): true
        case (_, .clustering): false
        case (_, .regular): column.type == CompactStorage.emptyType
        }
    }

    /// Whether the column is one of COMPACT STORAGE that no statement can name.
    package func isHidden(_ column: ColumnSchema) -> Bool { Self.isHidden(column, compact) }

    /// The columns of `SELECT *`, in its order.
    package var visibleColumns: [ColumnSchema] {
        compact == nil ? allColumns : allColumns.filter { !isHidden($0) }
    }

    /// The clustering columns that statements can name.
    package var visibleClustering: [ColumnSchema] { compact == .static ? [] : clustering }

    /// All columns, hidden ones too, in the order of `SELECT *`: partition key, clustering, static, regular.
    package var allColumns: [ColumnSchema] { partitionKey + clustering + statics + regulars }

    /// The column of that name, unless it is hidden.
    package func column(named name: String) -> ColumnSchema? { columnsByName[name] }

    package var clusteringOrders: [ClusteringOrder] {
        clustering.map { column in
            if case .clustering(_, let order) = column.kind { order } else { .ascending }
        }
    }
}

/// How a keyspace is replicated: the class name and its options, as the client gave them.
package struct ReplicationParameters: Hashable, Sendable {
    /// The fully qualified class, for example `org.apache.cassandra.locator.SimpleStrategy`.
    package let strategyClass: String
    /// The other options, for example `["replication_factor": "3"]` or `["dc1": "3"]`.
    package let options: [String: String]

    package init(strategyClass: String, options: [String: String]) {
        self.strategyClass = strategyClass
        self.options = options
    }
}

/// A keyspace with its tables and types. Immutable.
package struct KeyspaceSchema: Sendable {
    package let name: String
    package let replication: ReplicationParameters
    package let durableWrites: Bool
    /// Sorted by name.
    package let tables: [TableSchema]
    /// Sorted by name.
    package let types: [UserDefinedType]

    package init(
        name: String, replication: ReplicationParameters, durableWrites: Bool = true,
        tables: [TableSchema] = [], types: [UserDefinedType] = []
    ) {
        self.name = name
        self.replication = replication
        self.durableWrites = durableWrites
        self.tables = tables.sorted { $0.name < $1.name }
        self.types = types.sorted { $0.name < $1.name }
    }

    package func table(named name: String) -> TableSchema? { tables.first { $0.name == name } }
    package func type(named name: String) -> UserDefinedType? { types.first { $0.name == name } }
}

/// All keyspaces at one epoch of the metadata log. Immutable and shared.
package final class SchemaSnapshot: Sendable {
    /// The epoch of the metadata log whose fold this is.
    package let epoch: UInt64
    /// What drivers compare to see agreement.
    package let version: UniqueID
    /// Sorted by name.
    package let keyspaces: [KeyspaceSchema]
    /// Tables of a node's own, which are stored like others and belong to none of the keyspaces.
    package let localTables: [TableSchema]

    private let keyspacesByName: [String: Int]
    private let tablesByID: [TableID: TableSchema]

    package init(
        epoch: UInt64, version: UniqueID, keyspaces: [KeyspaceSchema],
        localTables: [TableSchema] = []
    ) {
        self.epoch = epoch
        self.version = version
        self.localTables = localTables
        self.keyspaces = keyspaces.sorted { $0.name < $1.name }
        self.keyspacesByName = Dictionary(
            uniqueKeysWithValues: self.keyspaces.enumerated().map { ($1.name, $0) })
        self.tablesByID = Dictionary(
            (keyspaces.flatMap(\.tables) + localTables).map { ($0.id, $0) }
        ) { first, _ in first }
    }

    /// Every table that is stored, by keyspace and name.
    package var allTables: [TableSchema] { keyspaces.flatMap(\.tables) + localTables }

    package func keyspace(named name: String) -> KeyspaceSchema? {
        keyspacesByName[name].map { keyspaces[$0] }
    }
    package func table(_ keyspace: String, _ name: String) -> TableSchema? {
        self.keyspace(named: keyspace)?.table(named: name)
    }
    package func table(_ id: TableID) -> TableSchema? { tablesByID[id] }

    /// Whether one node alone has the table's data.
    package func isSingleReplica(_ table: TableSchema) -> Bool {
        keyspace(named: table.keyspace)?.replication.isSingleReplica ?? false
    }
}
