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
        for index in partition.indices {
            guard case .equal(let term) = partition[index] else { continue }
            let column = table.partitionKey[index]
            try withValue(of: term, values, context, column) { (raw) throws(CQLError) in
                guard raw.count <= PartitionKey.maximumLength else {
                    try PartitionKeyBuilder.check(raw.count)
                    return
                }
                if isComposite {
                    PartitionKey.appendComponent(raw, into: writer)
                } else {
                    guard !raw.isEmpty else { throw .invalid("Key may not be empty") }
                    writer.append(raw)
                }
            }
        }
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

    static func checkClusteringLength(_ length: Int) throws(CQLError) {
        guard length <= PartitionKey.maximumLength else {
            throw .invalid(
                "The sum of all clustering columns is too long (\(length) >"
                    + " \(PartitionKey.maximumLength))")
        }
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

    /// Writes a row with these cells. False if it holds nothing.
    private func writeCells(
        _ sources: [CellSource], _ values: BoundValues, _ context: ExecutionContext, _ stamp: Stamp,
        marksRow: Bool, originalKey: UnsafeRawBufferPointer, _ sink: MutationSink,
        into writer: ByteWriter
    ) throws(CQLError) -> Bool {
        var row = RowWriter()
        row.begin(
            liveness: marksRow ? stamp.liveness : .none, deletion: .none,
            baseTimestamp: stamp.timestamp,
            originalKey: originalKey, into: writer)
        var any = marksRow
        var index = 0
        while index < sources.count {
            let column = sources[index].column
            if column.type.isMultiCell {
                let first = index
                while index < sources.count, sources[index].column.id == column.id { index += 1 }
                let wrote = try writeCollection(
                    sources[first..<index], values, context, stamp, row, sink, writer)
                any = any || wrote
                continue
            }
            let operation = sources[index].operation
            index += 1
            if case .increment(let term, let isNegative) = operation {
                guard let delta = try Self.delta(term, isNegative, values, context) else {
                    continue
                }
                appendDelta(delta, column, stamp, row, sink, writer)
                any = true
                continue
            }
            guard case .set(let term) = operation else {
                preconditionFailure("a column of one cell is only set as a whole")
            }
            switch term {
            case .marker(let place, let type):
                switch values[place] {
                case .bytes(let raw):
                    try type.check(raw)
                    append(raw, column, stamp, row, writer)
                case .null: appendTombstone(column, stamp, row, writer)
                case .unset: continue
                }
            case .null: appendTombstone(column, stamp, row, writer)
            case .constant(let bytes):
                bytes.withUnsafeBytes { append($0, column, stamp, row, writer) }
            case let term:
                switch try term.evaluate(values, context) {
                case .bytes(let bytes):
                    bytes.withUnsafeBytes { append($0, column, stamp, row, writer) }
                case .null: appendTombstone(column, stamp, row, writer)
                case .unset: continue
                }
            }
            any = true
        }
        return any
    }

    /// Writes the cells of a collection or user-defined type that isn't frozen. False if there are none.
    private func writeCollection(
        _ sources: ArraySlice<CellSource>, _ values: BoundValues, _ context: ExecutionContext,
        _ stamp: Stamp, _ row: RowWriter, _ sink: MutationSink, _ writer: ByteWriter
    ) throws(CQLError) -> Bool {
        guard let column = sources.first?.column else { return false }
        var isDeletion = false
        if case .deleteCells = effect { isDeletion = true }
        var current: [(path: [UInt8], value: [UInt8])] = []
        if requiresRead, sources.contains(where: { $0.operation.requiresRead }) {
            current = try self.current(column, sink)
        }
        var collection = CollectionCells(
            column, values, context, timestamp: stamp.timestamp, place: sink.listPlace,
            current: current)
        for source in sources {
            try collection.apply(source.operation, isDeletion: isDeletion)
        }
        collection.finish()
        sink.listPlace = collection.place
        if let timestamp = collection.deletionTimestamp {
            row.append(
                Cell(
                    column: column.id.value, flags: .complexDeletion, timestamp: timestamp,
                    localDeletionTime: stamp.localDeletionTime),
                into: writer)
        }
        let isExpiring = stamp.timeToLive > 0
        for (path, value) in collection.cells {
            var flags = Cell.Flags.hasPath
            if value == nil {
                flags.insert(.tombstone)
            } else if isExpiring {
                flags.insert(.expiring)
            }
            let isLive = value != nil && isExpiring
            let localTime =
                value == nil ? stamp.localDeletionTime : (isExpiring ? stamp.expiresAt : 0)
            path.withUnsafeBytes { path in
                (value ?? []).withUnsafeBytes { value in
                    row.append(
                        Cell(
                            column: column.id.value, flags: flags, timestamp: stamp.timestamp,
                            localDeletionTime: localTime,
                            timeToLive: isLive ? stamp.timeToLive : 0, path: path, value: value),
                        into: writer)
                }
            }
        }
        return !collection.isEmpty
    }

    /// The elements of a list as they were read, in the row whose key is in the working space.
    private func current(
        _ column: ColumnSchema, _ sink: MutationSink
    ) throws(CQLError) -> [(path: [UInt8], value: [UInt8])] {
        guard let rows = sink.current else {
            throw .serverError("the list \(column.name) was not read before it is changed")
        }
        do throws(MalformedBytes) {
            return try rows.listCells(
                column, sink.partitionKey.array,
                column.isStatic ? nil : sink.clusteringKey.array)
        } catch {
            throw .serverError("the row that was read is malformed: \(error)")
        }
    }

    /// What is added to a counter; nil if that is unset.
    private static func delta(
        _ term: PlannedTerm, _ isNegative: Bool, _ values: BoundValues, _ context: ExecutionContext
    ) throws(CQLError) -> Int64? {
        switch try term.evaluate(values, context) {
        case .unset: return nil
        case .null: throw .invalid("Invalid null value for counter increment")
        case .bytes(let bytes):
            guard bytes.count == 8 else { throw .invalid("Invalid counter increment") }
            let value = bytes.reduce(Int64(0)) { $0 << 8 | Int64($1) }
            guard isNegative else { return value }
            guard value != .min else {
                throw .invalid(
                    "The negation of \(value) overflows supported counter precision (signed 8 bytes"
                        + " integer)")
            }
            return -value
        }
    }

    /// An increment that no replica has led yet: a shard of nobody, whose count is to be added.
    private func appendDelta(
        _ delta: Int64, _ column: ColumnSchema, _ stamp: Stamp, _ row: RowWriter,
        _ sink: MutationSink, _ writer: ByteWriter
    ) {
        sink.values.removeAll()
        CounterShards.append(
            CounterShard(replica: .zero, clock: stamp.timestamp, count: delta), into: sink.values)
        row.append(
            Cell(
                column: column.id.value, flags: .counter, timestamp: stamp.timestamp,
                value: sink.values.bytes),
            into: writer)
    }

    @inline(__always)
    private func append(
        _ raw: UnsafeRawBufferPointer, _ column: ColumnSchema, _ stamp: Stamp, _ row: RowWriter,
        _ writer: ByteWriter
    ) {
        let isExpiring = stamp.timeToLive > 0
        row.append(
            Cell(
                column: column.id.value,
                flags: Cell.Flags(rawValue: isExpiring ? Cell.Flags.expiring.rawValue : 0),
                timestamp: stamp.timestamp,
                localDeletionTime: isExpiring ? stamp.expiresAt : 0,
                timeToLive: stamp.timeToLive, value: raw),
            into: writer)
    }

    private func appendTombstone(
        _ column: ColumnSchema, _ stamp: Stamp, _ row: RowWriter, _ writer: ByteWriter
    ) {
        row.append(
            Cell(
                column: column.id.value,
                flags: column.type == .counter ? [.tombstone, .counter] : .tombstone,
                timestamp: stamp.timestamp, localDeletionTime: stamp.localDeletionTime),
            into: writer)
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
        sink.clusteringKey.append(evaluation.encoded(components))
        ClusteringKey.appendTerminator(into: sink.clusteringKey)
        sink.originalKey.removeAll()
        let isCanonical = zip(components, table.clustering).allSatisfy { component, column in
            component.withUnsafeBytes { ClusteringKey.isCanonical($0, type: column.type) }
        }
        guard !isCanonical else { return }
        for component in components {
            sink.originalKey.appendLittleEndian(Int32(clamping: component.count))
            sink.originalKey.append(component)
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
