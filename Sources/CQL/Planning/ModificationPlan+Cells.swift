// The cells of one row of a mutation: values, tombstones, collections and increments, from the statement's terms.

internal import Encoding
internal import Model

extension ModificationPlan {
    /// Writes a row with these cells. False if it holds nothing.
    func writeCells(
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
        var current: [ListElement] = []
        if requiresRead, sources.contains(where: { $0.operation.requiresRead }) {
            current = try self.current(column, sink)
        }
        var collection = CollectionCells(
            column, values, context, timestamp: stamp.timestamp, places: sink.listPlaces,
            current: current)
        for source in sources {
            try collection.apply(source.operation, isDeletion: isDeletion)
        }
        collection.finish()
        sink.listPlaces = collection.places
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
    ) throws(CQLError) -> [ListElement] {
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
}
