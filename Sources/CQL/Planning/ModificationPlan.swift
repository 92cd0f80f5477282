// INSERT, UPDATE and DELETE as mutations.
//
// The plan is arrays of values without closures; a mutation is written straight into the sink. The hot
// path, one row whose key and values are all bound, is `BoundRow`.
//
// **Invariant.** `cells` and `staticCells` are sorted by column id, as a row's bytes demand.

internal import Encoding
package import Model

/// A planned INSERT, UPDATE or DELETE.
package final class ModificationPlan: Sendable {
    /// What the statement does to what its WHERE clause (or its key values) names.
    enum Effect: Sendable {
        /// Sets cells; an INSERT also leaves a row marker.
        case write(marksRow: Bool)
        /// Deletes the named cells.
        case deleteCells
        /// Deletes rows, ranges of rows, or partitions.
        case deleteRows
    }

    struct CellSource: Sendable {
        let column: ColumnSchema
        /// Only `.set` for columns of one cell; of `.null` for deletions.
        let operation: CellOperation

        init(column: ColumnSchema, operation: CellOperation) {
            self.column = column
            self.operation = operation
        }

        init(column: ColumnSchema, term: PlannedTerm) {
            self.init(column: column, operation: .set(term))
        }
    }

    package let table: TableSchema
    let effect: Effect
    let partition: [KeyRestriction]
    let clustering: [ClusteringRestriction]
    let cells: [CellSource]
    let staticCells: [CellSource]
    let timestamp: PlannedTerm?
    let timeToLive: PlannedTerm?
    /// Whether the statement names the static row only.
    let isStaticOnly: Bool
    /// What follows IF.
    let condition: ConditionPlan?
    /// Whether it is applied only if a condition holds.
    package var isConditional: Bool { condition != nil }
    /// Whether it says how long its cells live.
    package var expires: Bool { timeToLive != nil }

    /// Whether the table is one of the system's.
    package let isOfSystem: Bool

    /// Refuses to write tables of the system, and of a node's views all but the settings.
    package func checkWritable() throws(CQLError) {
        guard SystemSchema.isProtected(table.keyspace) else { return }
        guard SystemSchema.isVirtual(table.keyspace) else {
            throw .unauthorized("\(table.keyspace) keyspace is not user-modifiable.")
        }
        guard timestamp == nil else {
            throw .invalid("Custom timestamp is not supported by virtual tables")
        }
        guard !expires else {
            throw .invalid("Expiring columns are not supported by virtual tables")
        }
        guard !isConditional else {
            throw .invalid("Conditional updates are not supported by virtual tables")
        }
        guard SystemSchema.isSettings(table) else {
            throw .invalid(
                "Modification is not supported by table \(table.keyspace).\(table.name)")
        }
    }
    /// Whether rows have to be read before they are written: operations on lists by index or value.
    package let requiresRead: Bool
    /// Whether it adds to counters, so that a leader has to carry it out.
    package let isIncrement: Bool
    /// Whether it is one row, or the static row, of one partition.
    private let isSingleRow: Bool
    /// The hot path, for a row whose values are all bound.
    private let boundRow: BoundRow?
    /// For INSERT JSON: where the values of the markers are found, which are none of the client's.
    private let json: JSONInsert?
    /// Whether its markers are the columns of a JSON text.
    var isJSON: Bool { json != nil }

    init(
        table: TableSchema, effect: Effect, partition: [KeyRestriction],
        clustering: [ClusteringRestriction], cells: [CellSource], timestamp: PlannedTerm?,
        timeToLive: PlannedTerm?, isStaticOnly: Bool, condition: ConditionPlan? = nil,
        json: JSONInsert? = nil
    ) {
        self.json = json
        self.table = table
        isOfSystem = SystemSchema.isSystem(table.keyspace)
        self.condition = condition
        self.requiresRead = cells.contains { $0.operation.requiresRead }
        self.isIncrement = cells.contains {
            if case .increment = $0.operation { true } else { false }
        }
        self.effect = effect
        self.partition = partition
        self.clustering = clustering
        self.cells = Self.sorted(cells.filter { !$0.column.isStatic })
        self.staticCells = Self.sorted(cells.filter(\.column.isStatic))
        self.timestamp = timestamp
        self.timeToLive = timeToLive
        self.isStaticOnly = isStaticOnly
        var isSingle = partition.allSatisfy { if case .equal = $0 { true } else { false } }
        for restriction in clustering {
            if case .equal = restriction { continue }
            isSingle = false
        }
        if case .deleteRows = effect { isSingle = false }
        let hasFullKey = clustering.count == table.clustering.count
        self.isSingleRow = isSingle && (isStaticOnly || hasFullKey)
        self.boundRow =
            isStaticOnly
            ? nil
            : BoundRow(
                table: table, effect: effect, partition: partition, clustering: clustering,
                cells: self.staticCells.isEmpty ? self.cells : self.staticCells)
    }

    /// By column, and by the order in the statement where a column has several operations.
    private static func sorted(_ cells: [CellSource]) -> [CellSource] {
        cells.enumerated().sorted {
            ($0.element.column.id, $0.offset) < ($1.element.column.id, $1.offset)
        }.map(\.element)
    }

    // MARK: Building

    /// Writes the statement's mutations, one for each partition, into `sink`. A statement that changes
    /// nothing (all its values are unset) writes none.
    ///
    /// `values` holds as many values as the statement has markers.
    package func build(
        _ values: BoundValues, _ context: ExecutionContext, into sink: MutationSink
    ) throws(CQLError) {
        if let json {
            try json.withValues(values, context, table) { (found) throws(CQLError) in
                try buildRows(found, context, into: sink)
            }
        } else {
            try buildRows(values, context, into: sink)
        }
    }

    /// A copy of the values, with those of INSERT JSON taken out of their text: for `buildRows`, and for
    /// whatever else looks at the plan's terms.
    func retained(
        _ values: BoundValues, _ context: ExecutionContext
    ) throws(CQLError) -> RetainedValues {
        guard let json else { return RetainedValues(copying: values) }
        return try json.withValues(values, context, table) { (found) throws(CQLError) in
            RetainedValues(copying: found)
        }
    }

    /// `build` with values that `retained` gave.
    func buildRows(
        _ values: BoundValues, _ context: ExecutionContext, into sink: MutationSink
    ) throws(CQLError) {
        var stamp = Stamp(timestamp: context.timestamp, nowInSeconds: context.nowInSeconds)
        if let timestamp {
            stamp.timestamp = try Self.timestamp(
                timestamp, values, context, default: context.timestamp)
        }
        stamp.timeToLive = try resolvedTimeToLive(values, context)
        if stamp.timeToLive > 0 {
            stamp.expiresAt = Self.seconds(context.nowInSeconds + Int64(stamp.timeToLive))
        }
        stamp.localDeletionTime = Self.seconds(context.nowInSeconds)
        if let boundRow {
            try build(boundRow, values, stamp, into: sink)
        } else if isSingleRow {
            try buildSingleRow(values, context, stamp, sink)
        } else {
            try buildGeneral(values, context, stamp, sink)
        }
    }

    /// The times that a mutation's cells get.
    struct Stamp {
        var timestamp: Int64
        let nowInSeconds: Int64
        var timeToLive: UInt32 = 0
        var expiresAt: UInt32 = 0
        var localDeletionTime: UInt32 = 0

        var liveness: Liveness {
            Liveness(timestamp: timestamp, timeToLive: timeToLive, expiresAt: expiresAt)
        }
        var deletion: Deletion {
            Deletion(timestamp: timestamp, localDeletionTime: localDeletionTime)
        }

        /// What is known of a row all of whose parts are written with this stamp, none of them a deletion.
        func facts(ofRowWithOriginal hasOriginalKey: Bool) -> RowSummary {
            var facts = RowSummary()
            facts.oldestTimestamp = timestamp
            facts.newestTimestamp = timestamp
            facts.isPlain = timeToLive == 0
            facts.hasLasting = timeToLive == 0
            facts.hasOriginalKeys = hasOriginalKey
            return facts
        }
    }

    private static var noBytes: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: nil, count: 0)
    }

    private static func seconds(_ value: Int64) -> UInt32 { UInt32(clamping: value) }

    static func timestamp(
        _ term: PlannedTerm, _ values: BoundValues, _ context: ExecutionContext,
        default standard: Int64
    ) throws(CQLError) -> Int64 {
        switch try term.evaluate(values, context) {
        case .unset: return standard
        case .null: throw .invalid("Invalid null value of timestamp")
        case .bytes(let bytes):
            guard bytes.count == 8 else { throw .invalid("Invalid timestamp value") }
            let value = bytes.reduce(Int64(0)) { $0 << 8 | Int64($1) }
            guard value != noTimestamp else {
                throw .invalid("Out of bound timestamp, must be above \(noTimestamp)")
            }
            return value
        }
    }

    private func resolvedTimeToLive(
        _ values: BoundValues, _ context: ExecutionContext
    ) throws(CQLError) -> UInt32 {
        let standard = UInt32(clamping: table.options.defaultTimeToLive)
        guard case .write = effect else { return 0 }
        guard let timeToLive else { return standard }
        switch try timeToLive.evaluate(values, context) {
        case .unset: return standard
        case .null: return 0
        case .bytes(let bytes):
            guard bytes.count == 4 else { throw .invalid("Invalid TTL value") }
            let seconds = Int32(
                truncatingIfNeeded: bytes.reduce(UInt32(0)) { $0 << 8 | UInt32($1) })
            guard seconds >= 0 else {
                throw .invalid("A TTL must be greater or equal to 0, but was \(seconds)")
            }
            guard seconds <= TimeToLive.maximum else {
                throw .invalid(
                    "ttl is too large. requested (\(seconds)) maximum (\(TimeToLive.maximum))")
            }
            return UInt32(seconds)
        }
    }

    // MARK: One row

    private func buildSingleRow(
        _ values: BoundValues, _ context: ExecutionContext, _ stamp: Stamp, _ sink: MutationSink
    ) throws(CQLError) {
        try writePartitionKey(values, context, sink)
        sink.clusteringKey.removeAll()
        sink.originalKey.removeAll()
        if !isStaticOnly { try writeClusteringKey(values, context, sink) }
        sink.staticRow.removeAll()
        if !staticCells.isEmpty {
            let any = try writeCells(
                staticCells, values, context, stamp, marksRow: false, originalKey: Self.noBytes,
                sink, into: sink.staticRow)
            if !any { sink.staticRow.removeAll() }
        }
        sink.row.removeAll()
        if !isStaticOnly {
            var marksRow = false
            if case .write(let marks) = effect { marksRow = marks }
            let any = try writeCells(
                cells, values, context, stamp, marksRow: marksRow,
                originalKey: sink.originalKey.bytes, sink, into: sink.row)
            if !any { sink.row.removeAll() }
        }
        if sink.staticRow.count == 0 && sink.row.count == 0 { return }
        let start = beginMutation(sink)
        PartitionWriter.begin(staticRow: sink.staticRow.bytes, into: sink.bytes)
        if sink.row.count > 0 {
            PartitionWriter.append(
                key: sink.clusteringKey.bytes, row: sink.row.bytes, into: sink.bytes)
        }
        finishMutation(start, sink)
    }

    /// Writes the key into the sink's working space, checked.
    private func writePartitionKey(
        _ values: BoundValues, _ context: ExecutionContext, _ sink: MutationSink
    ) throws(CQLError) {
        let writer = sink.partitionKey
        writer.removeAll()
        let isComposite = partition.count > 1
        var length = 0
        for index in partition.indices {
            guard case .equal(let term) = partition[index] else { continue }
            let column = table.partitionKey[index]
            try withValue(of: term, values, context, column) { (raw) throws(CQLError) in
                length += raw.count
                // Refused below, when the whole length is known.
                guard length <= PartitionKey.maximumLength else { return }
                if isComposite {
                    PartitionKey.appendComponent(raw, into: writer)
                } else {
                    guard !raw.isEmpty else { throw .invalid("Key may not be empty") }
                    writer.append(raw)
                }
            }
        }
        try PartitionKeyBuilder.check(length)
        try PartitionKeyBuilder.check(writer.count)
    }

    private func writeClusteringKey(
        _ values: BoundValues, _ context: ExecutionContext, _ sink: MutationSink
    ) throws(CQLError) {
        let writer = sink.clusteringKey
        let original = sink.originalKey
        var isCanonical = true
        var length = 0
        for index in clustering.indices {
            guard case .equal(let term) = clustering[index] else { continue }
            let column = table.clustering[index]
            try withValue(of: term, values, context, column) { (raw) throws(CQLError) in
                try checkCompactKey(raw.count, column)
                ClusteringKey.appendComponent(
                    raw, type: column.type, order: column.order, into: writer)
                original.appendLittleEndian(Int32(clamping: raw.count))
                original.append(raw)
                length += raw.count
                if !column.type.isClusteringEncodingInjective,
                    !ClusteringKey.isCanonical(raw, type: column.type)
                {
                    isCanonical = false
                }
            }
        }
        try Self.checkClusteringLength(length)
        ClusteringKey.appendTerminator(into: writer)
        if isCanonical { original.removeAll() }
    }

    /// The one clustering value of a compact table is not empty.
    private func checkCompactKey(_ length: Int, _ column: ColumnSchema) throws(CQLError) {
        guard table.compact != .dense || length > 0 else {
            throw .invalid("Invalid empty or null value for column \(column.name)")
        }
    }

    /// Checks the bytes of all clustering columns together: they may not have more than a partition key.
    static func checkClusteringLength(_ length: Int) throws(CQLError) {
        try PartitionKeyBuilder.check(length)
    }

    /// Gives a key column's value to `body`, checked where it lies.
    @inline(__always)
    private func withValue(
        of term: PlannedTerm, _ values: BoundValues, _ context: ExecutionContext,
        _ column: ColumnSchema, _ body: (UnsafeRawBufferPointer) throws(CQLError) -> Void
    ) throws(CQLError) {
        if case .marker(let index, let type) = term {
            switch values[index] {
            case .bytes(let raw):
                try type.check(raw)
                try body(raw)
            case .null:
                throw .invalid("Invalid null value in condition for column \(column.name)")
            case .unset: throw .invalid("Invalid unset value for column \(column.name)")
            }
            return
        }
        switch try term.evaluate(values, context) {
        case .bytes(let bytes):
            try bytes.withBytes { (raw) throws(CQLError) in try body(raw) }
        case .null: throw .invalid("Invalid null value in condition for column \(column.name)")
        case .unset: throw .invalid("Invalid unset value for column \(column.name)")
        }
    }

    /// Writes the header of a mutation of the key in the working space; returns where it begins.
    private func beginMutation(_ sink: MutationSink) -> (start: Int, token: Int64) {
        let start = sink.bytes.count
        let token = Token.of(sink.partitionKey.bytes).value
        MutationWriter.begin(
            table: table.id, token: token, key: sink.partitionKey.bytes, into: sink.bytes)
        return (start, token)
    }

    private func finishMutation(_ begun: (start: Int, token: Int64), _ sink: MutationSink) {
        let keyLength = sink.partitionKey.count
        var prefixLength = 1
        var rest = keyLength
        while rest >= 0x80 {
            prefixLength += 1
            rest >>= 7
        }
        // The header is the table's id, the token and the key's length (`MutationWriter`).
        let keyOffset = begun.start + 16 + 8 + prefixLength
        sink.add(
            table: table.id, token: begun.token,
            key: ByteRange(offset: keyOffset, count: keyLength), start: begun.start)
    }

    // MARK: Several rows, ranges and partitions

    private func buildGeneral(
        _ values: BoundValues, _ context: ExecutionContext, _ stamp: Stamp, _ sink: MutationSink
    ) throws(CQLError) {
        let evaluation = KeyEvaluation(table: table, values: values, context: context)
        let keys = try evaluation.partitionKeys(partition)
        if case .deleteRows = effect {
            try buildDeletions(keys, evaluation, stamp, sink)
            return
        }
        let rows = isStaticOnly ? [] : try evaluation.clusteringKeys(clustering)
        try Self.checkProduct(keys.count, rows.count)
        for key in keys {
            sink.partitionKey.removeAll()
            sink.partitionKey.append(key)
            sink.originalKey.removeAll()
            sink.staticRow.removeAll()
            if !staticCells.isEmpty {
                let any = try writeCells(
                    staticCells, values, context, stamp, marksRow: false,
                    originalKey: Self.noBytes, sink, into: sink.staticRow)
                if !any { sink.staticRow.removeAll() }
            }
            var marksRow = false
            if case .write(let marks) = effect { marksRow = marks }
            let begun = beginMutation(sink)
            PartitionWriter.begin(staticRow: sink.staticRow.bytes, into: sink.bytes)
            var wrote = sink.staticRow.count > 0
            for row in rows {
                sink.clusteringKey.removeAll()
                try writeKey(row, evaluation, sink)
                sink.row.removeAll()
                if try writeCells(
                    cells, values, context, stamp, marksRow: marksRow,
                    originalKey: sink.originalKey.bytes, sink, into: sink.row)
                {
                    PartitionWriter.append(
                        key: sink.clusteringKey.bytes, row: sink.row.bytes, into: sink.bytes)
                    wrote = true
                }
            }
            if wrote {
                finishMutation(begun, sink)
            } else {
                sink.bytes.truncate(to: begun.start)
            }
        }
    }

    private static func checkProduct(_ keys: Int, _ rows: Int) throws(CQLError) {
        guard keys * max(rows, 1) <= KeyEvaluation.maximumProduct else {
            throw .invalid(
                "The cartesian product of the IN restrictions names \(keys * rows) rows, over the"
                    + " limit of \(KeyEvaluation.maximumProduct)")
        }
    }

    /// Writes a complete clustering key, and its original values if the key does not give them back.
    private func writeKey(
        _ components: [[UInt8]], _ evaluation: KeyEvaluation, _ sink: MutationSink
    ) throws(CQLError) {
        try Self.checkClusteringLength(components.reduce(0) { $0 + $1.count })
        for (component, column) in zip(components, table.clustering) {
            try checkCompactKey(component.count, column)
        }
        sink.clusteringKey.append(evaluation.completeKey(components))
        sink.originalKey.removeAll()
        let isCanonical = zip(components, table.clustering).allSatisfy { component, column in
            component.withUnsafeBytes { ClusteringKey.isCanonical($0, type: column.type) }
        }
        guard !isCanonical else { return }
        for component in components {
            sink.originalKey.appendLittleEndian(Int32(clamping: component.count))
            sink.originalKey.append(component)
        }
        for _ in components.count..<table.clustering.count {
            sink.originalKey.appendLittleEndian(Int32(-1))
        }
    }

    private func buildDeletions(
        _ keys: [[UInt8]], _ evaluation: KeyEvaluation, _ stamp: Stamp, _ sink: MutationSink
    ) throws(CQLError) {
        let covered = clustering.reduce(0) { $0 + $1.columnCount }
        let namesRows =
            covered == table.clustering.count && !clustering.isEmpty
            && clustering.last?.isSlice == false
        let rows = namesRows ? try evaluation.clusteringKeys(clustering) : []
        let slices = namesRows ? nil : try evaluation.slices(clustering)
        try Self.checkProduct(keys.count, max(rows.count, slices?.count ?? 1))
        for key in keys {
            sink.partitionKey.removeAll()
            sink.partitionKey.append(key)
            if !namesRows, slices?.isEmpty == true { continue }
            if namesRows, rows.isEmpty { continue }
            let begun = beginMutation(sink)
            if namesRows {
                PartitionWriter.begin(into: sink.bytes)
                for row in rows {
                    sink.clusteringKey.removeAll()
                    try writeKey(row, evaluation, sink)
                    sink.row.removeAll()
                    var writer = RowWriter()
                    writer.begin(
                        liveness: .none, deletion: stamp.deletion, baseTimestamp: stamp.timestamp,
                        into: sink.row)
                    PartitionWriter.append(
                        key: sink.clusteringKey.bytes, row: sink.row.bytes, into: sink.bytes)
                }
            } else if let slices {
                PartitionWriter.begin(
                    ranges: slices.map {
                        RangeTombstone(start: $0.lower, end: $0.upper, deletion: stamp.deletion)
                    },
                    into: sink.bytes)
            } else {
                PartitionWriter.begin(deletion: stamp.deletion, into: sink.bytes)
            }
            finishMutation(begun, sink)
        }
    }
}
