// The hot path of writes: one row whose key and values are all bound.
//
// The plan of such a row is three arrays of plain data, so that building a mutation touches no reference
// count. Each value gets a quick check where it lies in the frame; only what the quick check doesn't
// accept is given to the full one, which knows the reason.

internal import Encoding
internal import Model

/// A marker with what is needed to place its value.
struct BoundSource: Sendable {
    /// What tells at once that a value is well-formed.
    enum QuickCheck: UInt8, Sendable {
        /// All bytes are values.
        case anything
        case text
        case oneByte, twoBytes, fourBytes, eightBytes, sixteenBytes
        /// Only the full check knows.
        case never
    }

    let marker: Int32
    let column: UInt32
    let check: QuickCheck

    init(marker: Int, column: ColumnSchema) {
        self.marker = Int32(marker)
        self.column = column.id.value
        switch column.type {
        case .blob: check = .anything
        case .text: check = .text
        case .tinyint, .boolean: check = .oneByte
        case .smallint: check = .twoBytes
        case .int, .float, .date: check = .fourBytes
        case .bigint, .double, .timestamp: check = .eightBytes
        case .uuid: check = .sixteenBytes
        default: check = .never
        }
    }

    /// The components of a whole clustering key; nil unless all are markers.
    static func clusteringKey(
        _ restrictions: [ClusteringRestriction], of table: TableSchema
    ) -> [BoundSource]? {
        guard restrictions.count == table.clustering.count else { return nil }
        var components: [BoundSource] = []
        for (restriction, column) in zip(restrictions, table.clustering) {
            guard case .equal(.marker(let marker, _)) = restriction else { return nil }
            components.append(BoundSource(marker: marker, column: column))
        }
        return components
    }

    /// Whether the value is surely well-formed.
    @inline(__always)
    func accepts(_ value: UnsafeRawBufferPointer) throws(CQLError) -> Bool {
        switch check {
        case .anything: return true
        case .text:
            try CQLType.text.check(value)
            return true
        case .oneByte: return value.count == 1
        case .twoBytes: return value.count == 2
        case .fourBytes: return value.count == 4
        case .eightBytes: return value.count == 8
        case .sixteenBytes: return value.count == 16
        case .never: return false
        }
    }

    /// The value of a component of a key, checked. `columns[index]` is what it is for.
    @inline(__always)
    func keyValue(
        _ values: BoundValues, _ columns: [ColumnSchema], _ index: Int
    ) throws(CQLError) -> UnsafeRawBufferPointer {
        guard case .bytes(let value) = values[Int(marker)] else {
            throw Self.missingKey(values[Int(marker)], columns[index])
        }
        if try !accepts(value) { try columns[index].type.check(value) }
        return value
    }

    private static func missingKey(
        _ value: BoundValues.Value, _ column: ColumnSchema
    ) -> CQLError {
        if case .unset = value { return .invalid("Invalid unset value for column \(column.name)") }
        return .invalid("Invalid null value in condition for column \(column.name)")
    }
}

/// A partition key whose components are all bound.
struct BoundKey: Sendable {
    let components: [BoundSource]

    /// nil unless all components are markers.
    init?(_ restrictions: [KeyRestriction], of table: TableSchema) {
        var components: [BoundSource] = []
        for (restriction, column) in zip(restrictions, table.partitionKey) {
            guard case .equal(.marker(let marker, _)) = restriction else { return nil }
            components.append(BoundSource(marker: marker, column: column))
        }
        self.components = components
    }

    /// The serialized key: the bound bytes themselves if it has one component, else it is put together in
    /// `writer`. `columns` are the table's key columns.
    func serialized(
        _ values: BoundValues, _ columns: [ColumnSchema], into writer: ByteWriter
    ) throws(CQLError) -> UnsafeRawBufferPointer {
        if components.count == 1 {
            let value = try components[0].keyValue(values, columns, 0)
            guard !value.isEmpty else { throw .invalid("Key may not be empty") }
            if value.count > PartitionKey.maximumLength {
                try PartitionKeyBuilder.check(value.count)
            }
            return value
        }
        writer.removeAll()
        var length = 0
        for index in components.indices {
            let value = try components[index].keyValue(values, columns, index)
            length += value.count
            // Refused below, when the whole length is known.
            guard length <= PartitionKey.maximumLength else { continue }
            PartitionKey.appendComponent(value, into: writer)
        }
        if length > PartitionKey.maximumLength { try PartitionKeyBuilder.check(length) }
        if writer.count > PartitionKey.maximumLength { try PartitionKeyBuilder.check(writer.count) }
        return writer.bytes
    }
}

/// A row whose key and values are all bound.
struct BoundRow: Sendable {
    let partitionKey: BoundKey
    let clustering: [BoundSource]
    /// Sorted by column id.
    let cells: [BoundSource]
    let marksRow: Bool
    /// Whether a clustering value may have to be kept beside the key.
    let mayKeepOriginal: Bool

    /// nil unless all values are markers and there is no static column.
    init?(
        table: TableSchema, effect: ModificationPlan.Effect, partition: [KeyRestriction],
        clustering: [ClusteringRestriction], cells: [ModificationPlan.CellSource]
    ) {
        guard case .write(let marksRow) = effect, table.compact == nil,
            let key = BoundKey(partition, of: table),
            let rowKey = BoundSource.clusteringKey(clustering, of: table)
        else { return nil }
        self.marksRow = marksRow
        var values: [BoundSource] = []
        for cell in cells {
            guard case .set(.marker(let marker, _)) = cell.operation, !cell.column.isStatic,
                !cell.column.type.isMultiCell
            else { return nil }
            values.append(BoundSource(marker: marker, column: cell.column))
        }
        partitionKey = key
        self.clustering = rowKey
        self.cells = values
        mayKeepOriginal = table.clustering.contains { !$0.type.isClusteringEncodingInjective }
    }
}

extension ModificationPlan {
    /// Builds the one row of `bound`.
    func build(
        _ bound: BoundRow, _ values: BoundValues, _ stamp: Stamp, into sink: MutationSink
    ) throws(CQLError) {
        let key = try bound.partitionKey.serialized(
            values, table.partitionKey, into: sink.partitionKey)
        let clusteringKey = sink.clusteringKey
        clusteringKey.removeAll()
        sink.originalKey.removeAll()
        if !bound.clustering.isEmpty { try appendClustering(bound, values, sink) }
        ClusteringKey.appendTerminator(into: clusteringKey)
        let row = sink.row
        row.removeAll()
        var writer = RowWriter()
        writer.begin(
            liveness: bound.marksRow ? stamp.liveness : .none, deletion: .none,
            baseTimestamp: stamp.timestamp, originalKey: sink.originalKey.bytes, into: row)
        var wroteAny = bound.marksRow
        var hasTombstones = false
        let isExpiring = stamp.timeToLive > 0
        let flags = Cell.Flags(rawValue: isExpiring ? Cell.Flags.expiring.rawValue : 0)
        let localTime = isExpiring ? stamp.expiresAt : 0
        for index in bound.cells.indices {
            let source = bound.cells[index]
            switch values[Int(source.marker)] {
            case .bytes(let value):
                if try !source.accepts(value) { try cells[index].column.type.check(value) }
                writer.append(
                    Cell(
                        column: source.column, flags: flags, timestamp: stamp.timestamp,
                        localDeletionTime: localTime, timeToLive: stamp.timeToLive, value: value),
                    into: row)
            case .null:
                hasTombstones = true
                writer.append(
                    Cell(
                        column: source.column, flags: .tombstone, timestamp: stamp.timestamp,
                        localDeletionTime: stamp.localDeletionTime),
                    into: row)
            case .unset: continue
            }
            wroteAny = true
        }
        guard wroteAny else { return }
        let start = sink.bytes.count
        let token = Token.of(key).value
        MutationWriter.begin(table: table.id, token: token, key: key, into: sink.bytes)
        let keyEnd = sink.bytes.count
        PartitionWriter.begin(into: sink.bytes)
        PartitionWriter.append(key: clusteringKey.bytes, row: row.bytes, into: sink.bytes)
        sink.add(
            table: table.id, token: token,
            key: ByteRange(offset: keyEnd - key.count, count: key.count), start: start,
            facts: hasTombstones ? nil : stamp.facts(ofRowWithOriginal: sink.originalKey.count > 0))
    }

    private func appendClustering(
        _ bound: BoundRow, _ values: BoundValues, _ sink: MutationSink
    ) throws(CQLError) {
        var length = 0
        var isCanonical = true
        for index in bound.clustering.indices {
            let value = try bound.clustering[index].keyValue(values, table.clustering, index)
            let column = table.clustering[index]
            ClusteringKey.appendComponent(
                value, type: column.type, order: column.order, into: sink.clusteringKey)
            length += value.count
            guard bound.mayKeepOriginal else { continue }
            sink.originalKey.appendLittleEndian(Int32(clamping: value.count))
            sink.originalKey.append(value)
            isCanonical = isCanonical && ClusteringKey.isCanonical(value, type: column.type)
        }
        if length > PartitionKey.maximumLength { try Self.checkClusteringLength(length) }
        if isCanonical { sink.originalKey.removeAll() }
    }
}
