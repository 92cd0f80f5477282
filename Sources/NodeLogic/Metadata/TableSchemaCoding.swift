// The bytes of a whole table schema, and their checks.

internal import Encoding
internal import Model
internal import PeerProtocol

/// Encodes and decodes `TableSchema`.
enum TableSchemaCoding {
    static func encoded(_ table: TableSchema) -> [UInt8] {
        let writer = ByteWriter()
        encode(table, into: writer)
        return writer.array
    }

    static func encode(_ table: TableSchema, into writer: ByteWriter) {
        writer.append(table.id.value)
        writer.appendString(table.keyspace)
        writer.appendString(table.name)
        writer.appendVarint(UInt64(table.nextColumnID))
        let columns = table.allColumns
        writer.appendVarint(UInt64(columns.count))
        for column in columns { encode(column, table.compact, into: writer) }
        writer.appendVarint(UInt64(table.dropped.count))
        for dropped in table.dropped {
            encode(dropped.column, nil, into: writer)
            writer.appendLittleEndian(dropped.droppedAt)
        }
        encode(table.options, into: writer)
    }

    static func decode(_ reader: inout ByteReader) throws(MalformedBytes) -> TableSchema {
        let start = reader.position
        let id = TableID(try reader.readUniqueID())
        let keyspace = try reader.readString()
        let name = try reader.readString()
        let nextColumnID = try reader.readVarint()
        guard nextColumnID <= UInt64(UInt32.max) else {
            throw MalformedBytes("column id over 32 bits", offset: start)
        }
        var columns: [ColumnSchema] = []
        var compact: CompactStorage?
        for _ in 0..<(try reader.readCount(minimumBytes: 4)) {
            columns.append(try column(&reader, &compact))
        }
        var dropped: [DroppedColumn] = []
        for _ in 0..<(try reader.readCount(minimumBytes: 12)) {
            var shape: CompactStorage?
            let column = try column(&reader, &shape)
            dropped.append(
                DroppedColumn(column: column, droppedAt: try reader.readLittleEndian()))
        }
        if let fault = fault(of: columns, below: UInt32(nextColumnID)) {
            throw MalformedBytes("table \(keyspace).\(name): \(fault)", offset: start)
        }
        return TableSchema(
            id: id, keyspace: keyspace, name: name, columns: columns, dropped: dropped,
            options: try options(&reader), compact: compact, nextColumnID: UInt32(nextColumnID))
    }

    /// What keeps these columns from making a table.
    private static func fault(of columns: [ColumnSchema], below nextColumnID: UInt32) -> String? {
        var partitionKey: [Int] = []
        var clustering: [Int] = []
        for column in columns {
            guard column.id.value < nextColumnID else { return "column id was never issued" }
            switch column.kind {
            case .partitionKey(let position): partitionKey.append(position)
            case .clustering(let position, _): clustering.append(position)
            case .static, .regular: break
            }
        }
        guard !partitionKey.isEmpty else { return "no partition key" }
        guard partitionKey.sorted() == Array(partitionKey.indices) else {
            return "partition key positions"
        }
        guard clustering.sorted() == Array(clustering.indices) else {
            return "clustering positions"
        }
        guard Set(columns.map(\.id)).count == columns.count else { return "column id twice" }
        guard Set(columns.map(\.name)).count == columns.count else { return "column name twice" }
        return nil
    }

    /// A column of a partition key tells the shape of its table.
    private static func encode(
        _ column: ColumnSchema, _ compact: CompactStorage?, into writer: ByteWriter
    ) {
        writer.appendVarint(UInt64(column.id.value))
        writer.appendString(column.name)
        column.type.encode(into: writer)
        switch column.kind {
        case .partitionKey(let position):
            writer.append(compact.map { compactTag + $0.rawValue } ?? 1)
            writer.appendVarint(UInt64(position))
        case .clustering(let position, let order):
            writer.append(2)
            writer.appendVarint(UInt64(position))
            writer.append(order.rawValue)
        case .static: writer.append(3)
        case .regular: writer.append(4)
        }
    }

    /// Kinds of a partition key's columns beyond it are those of tables with COMPACT STORAGE.
    private static let compactTag: UInt8 = 4

    private static func column(
        _ reader: inout ByteReader, _ compact: inout CompactStorage?
    ) throws(MalformedBytes) -> ColumnSchema {
        let start = reader.position
        let id = try reader.readVarint()
        guard id <= UInt64(UInt32.max) else {
            throw MalformedBytes("column id over 32 bits", offset: start)
        }
        let name = try reader.readString()
        let type = try CQLType.decode(from: &reader)
        let kind: ColumnSchema.Kind
        switch try reader.readUInt8() {
        case 1: kind = .partitionKey(position: try position(&reader))
        case 2:
            let position = try position(&reader)
            guard let order = ClusteringOrder(rawValue: try reader.readUInt8()) else {
                throw MalformedBytes("unknown clustering order", offset: reader.position - 1)
            }
            kind = .clustering(position: position, order: order)
        case 3: kind = .static
        case 4: kind = .regular
        case let tag where tag > compactTag:
            guard let shape = CompactStorage(rawValue: tag - compactTag) else {
                throw MalformedBytes("unknown column kind \(tag)", offset: start)
            }
            compact = shape
            kind = .partitionKey(position: try position(&reader))
        case let other: throw MalformedBytes("unknown column kind \(other)", offset: start)
        }
        return ColumnSchema(id: ColumnID(UInt32(id)), name: name, type: type, kind: kind)
    }

    private static func position(_ reader: inout ByteReader) throws(MalformedBytes) -> Int {
        let value = try reader.readVarint()
        guard value < 1 << 16 else {
            throw MalformedBytes("key position \(value)", offset: reader.position)
        }
        return Int(value)
    }

    private static func encode(_ options: TableOptions, into writer: ByteWriter) {
        writer.appendString(options.additionalWritePolicy)
        writer.append(options.allowAutoSnapshot ? 1 : 0)
        writer.appendLittleEndian(options.bloomFilterFalsePositiveChance.bitPattern)
        writer.append(map: options.caching)
        writer.append(options.cdc ? 1 : 0)
        writer.appendString(options.comment)
        writer.append(map: options.compaction)
        writer.append(map: options.compression)
        writer.appendLittleEndian(options.crcCheckChance.bitPattern)
        writer.appendLittleEndian(options.defaultTimeToLive)
        writer.appendVarint(UInt64(options.extensions.count))
        for key in options.extensions.keys.sorted() {
            writer.appendString(key)
            writer.appendLengthPrefixed(options.extensions[key] ?? [])
        }
        writer.appendLittleEndian(options.gcGraceSeconds)
        writer.append(options.incrementalBackups ? 1 : 0)
        writer.appendLittleEndian(options.maxIndexInterval)
        writer.appendString(options.memtable)
        writer.appendLittleEndian(options.memtableFlushPeriodMilliseconds)
        writer.appendLittleEndian(options.minIndexInterval)
        writer.appendString(options.readRepair)
        writer.appendString(options.speculativeRetry)
        writer.appendString(options.tombstoneGC.mode.rawValue)
        writer.appendLittleEndian(options.tombstoneGC.propagationDelaySeconds)
    }

    private static func options(_ reader: inout ByteReader) throws(MalformedBytes) -> TableOptions {
        var options = TableOptions()
        options.additionalWritePolicy = try reader.readString()
        options.allowAutoSnapshot = try reader.readBool()
        options.bloomFilterFalsePositiveChance = Double(
            bitPattern: try reader.readLittleEndian(UInt64.self))
        options.caching = try reader.readMap()
        options.cdc = try reader.readBool()
        options.comment = try reader.readString()
        options.compaction = try reader.readMap()
        options.compression = try reader.readMap()
        options.crcCheckChance = Double(bitPattern: try reader.readLittleEndian(UInt64.self))
        options.defaultTimeToLive = try reader.readLittleEndian()
        for _ in 0..<(try reader.readCount(minimumBytes: 2)) {
            let key = try reader.readString()
            options.extensions[key] = Array(try reader.readLengthPrefixed())
        }
        options.gcGraceSeconds = try reader.readLittleEndian()
        options.incrementalBackups = try reader.readBool()
        options.maxIndexInterval = try reader.readLittleEndian()
        options.memtable = try reader.readString()
        options.memtableFlushPeriodMilliseconds = try reader.readLittleEndian()
        options.minIndexInterval = try reader.readLittleEndian()
        options.readRepair = try reader.readString()
        options.speculativeRetry = try reader.readString()
        let mode = try reader.readString()
        guard let mode = TombstoneGC.Mode(rawValue: mode) else {
            throw MalformedBytes("unknown tombstone_gc mode \(mode)", offset: reader.position)
        }
        options.tombstoneGC.mode = mode
        options.tombstoneGC.propagationDelaySeconds = try reader.readLittleEndian()
        return options
    }
}
