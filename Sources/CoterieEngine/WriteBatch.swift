// A batch of changes, encoded as they are added.
//
// Cost of a put: two copies of key and value, no allocation once the buffers have grown.
//
// Changes of one partition that come in rising order of their rows share a mutation; others begin a new
// one. Any order is right, a sorted one is smaller.

internal import Encoding
internal import Model

/// Changes that are written together. One batch may be used again and again: `removeAll` keeps its memory.
///
/// Each change has a timestamp in microseconds since 1970; of two changes of one cell the later one
/// stands, whatever the order of writing. Without one given, changes of one engine have rising
/// timestamps.
public final class WriteBatch {
    /// The most bytes that a clustering key may have.
    public static let maximumClusteringLength = 65_535

    private let clock: TimestampSource
    let bytes = ByteWriter(capacity: 1 << 10)
    var mutations: [ByteRange] = []
    private let row = ByteWriter(capacity: 256)
    private var writer = RowWriter()
    /// All tables of the batch, mostly one.
    var tables: [Table] = []

    /// Where the open mutation's key and last row key lie, while rows may still be added to it.
    private var openTable: Table?
    private var openKey = ByteRange(offset: 0, count: 0)
    private var lastRow = ByteRange(offset: 0, count: 0)
    private var isOpen = false

    init(clock: TimestampSource) { self.clock = clock }

    /// How many bytes the batch has.
    public var byteCount: Int { bytes.count }
    /// Whether there is nothing in it.
    public var isEmpty: Bool { mutations.isEmpty && !isOpen }

    /// Forgets the changes and keeps the memory.
    public func removeAll() {
        bytes.removeAll()
        mutations.removeAll(keepingCapacity: true)
        tables.removeAll(keepingCapacity: true)
        isOpen = false
    }

    // MARK: Cells

    /// Sets a cell.
    ///
    /// - Parameters:
    ///   - table: a table of the batch's engine.
    ///   - partition: the partition's key, up to 65,535 bytes.
    ///   - clustering: the row's key inside the partition; rows are ordered by its bytes. Not empty if
    ///     the table is clustered, empty if it is not.
    ///   - column: the column's number.
    ///   - path: names an element of a collection (a map's key); empty for a plain column.
    ///   - value: the cell's bytes.
    ///   - timeToLive: seconds after which the cell is gone; 0 for never.
    ///   - timestamp: nil for the next one of the engine.
    public func put(
        _ table: Table, partition: UnsafeRawBufferPointer,
        clustering: UnsafeRawBufferPointer = .init(start: nil, count: 0), column: UInt32,
        path: UnsafeRawBufferPointer = .init(start: nil, count: 0),
        value: UnsafeRawBufferPointer, timeToLive: UInt32 = 0, timestamp: Int64? = nil
    ) {
        let timestamp = timestamp ?? clock.next()
        var cell = Cell(
            column: column, flags: path.isEmpty ? Cell.Flags() : .hasPath, timestamp: timestamp,
            path: path,
            value: value)
        if timeToLive != 0 {
            cell.flags.insert(.expiring)
            cell.timeToLive = timeToLive
            cell.localDeletionTime = clock.expiry(after: timeToLive)
        }
        append(table, partition, clustering, timestamp, cell)
    }

    /// Sets a cell.
    public func put(
        _ table: Table, partition: [UInt8], clustering: [UInt8] = [], column: UInt32,
        path: [UInt8] = [], value: [UInt8], timeToLive: UInt32 = 0, timestamp: Int64? = nil
    ) {
        partition.withUnsafeBytes { partition in
            clustering.withUnsafeBytes { clustering in
                path.withUnsafeBytes { path in
                    value.withUnsafeBytes { value in
                        put(
                            table, partition: partition, clustering: clustering, column: column,
                            path: path, value: value, timeToLive: timeToLive, timestamp: timestamp)
                    }
                }
            }
        }
    }

    /// Deletes a cell.
    public func delete(
        _ table: Table, partition: [UInt8], clustering: [UInt8] = [], column: UInt32,
        path: [UInt8] = [], timestamp: Int64? = nil
    ) {
        let timestamp = timestamp ?? clock.next()
        partition.withUnsafeBytes { partition in
            clustering.withUnsafeBytes { clustering in
                path.withUnsafeBytes { path in
                    let flags: Cell.Flags = path.isEmpty ? .tombstone : [.tombstone, .hasPath]
                    append(
                        table, partition, clustering, timestamp,
                        Cell(
                            column: column, flags: flags, timestamp: timestamp,
                            localDeletionTime: clock.seconds, path: path))
                }
            }
        }
    }

    private func append(
        _ table: Table, _ partition: UnsafeRawBufferPointer, _ clustering: UnsafeRawBufferPointer,
        _ timestamp: Int64, _ cell: Cell
    ) {
        row.removeAll()
        writer.begin(
            liveness: .none, deletion: .none, baseTimestamp: timestamp, into: row)
        writer.append(cell, into: row)
        appendRow(table, partition, clustering)
    }

    // MARK: Rows, ranges and partitions

    /// Deletes a row with all its cells.
    public func deleteRow(
        _ table: Table, partition: [UInt8], clustering: [UInt8] = [], timestamp: Int64? = nil
    ) {
        row.removeAll()
        writer.begin(
            liveness: .none, deletion: deletion(timestamp), baseTimestamp: 0, into: row)
        partition.withUnsafeBytes { partition in
            clustering.withUnsafeBytes { appendRow(table, partition, $0) }
        }
    }

    /// Deletes the rows with `from <= clustering < to`; one small entry, however many rows there are.
    public func deleteRange(
        _ table: Table, partition: [UInt8], from: [UInt8], to: [UInt8], timestamp: Int64? = nil
    ) throws(EngineError) {
        guard compareBytes(from, to) < 0 else {
            throw .invalid("the range to be deleted is empty or upside down")
        }
        precondition(table.definition.isClustered, "table \(table.name) has no clustering keys")
        closeMutation()
        let start = bytes.count
        partition.withUnsafeBytes { begin(table, $0) }
        PartitionWriter.begin(
            ranges: [RangeTombstone(start: from, end: to, deletion: deletion(timestamp))],
            into: bytes)
        mutations.append(ByteRange(offset: start, count: bytes.count - start))
    }

    /// Deletes a whole partition.
    public func deletePartition(
        _ table: Table, partition: [UInt8], timestamp: Int64? = nil
    ) {
        closeMutation()
        let start = bytes.count
        partition.withUnsafeBytes { begin(table, $0) }
        PartitionWriter.begin(deletion: deletion(timestamp), into: bytes)
        mutations.append(ByteRange(offset: start, count: bytes.count - start))
    }

    private func deletion(_ timestamp: Int64?) -> Deletion {
        Deletion(timestamp: timestamp ?? clock.next(), localDeletionTime: clock.seconds)
    }

    // MARK: Mutations

    private var openStart = 0

    /// Adds the row that lies in `row`: to the open mutation if it goes on there.
    private func appendRow(
        _ table: Table, _ partition: UnsafeRawBufferPointer, _ clustering: UnsafeRawBufferPointer
    ) {
        precondition(
            table.definition.isClustered != clustering.isEmpty
                && clustering.count <= Self.maximumClusteringLength,
            "a clustering key that table \(table.name) cannot have")
        if !isOpen || !goesOn(table, partition, clustering) {
            closeMutation()
            openStart = bytes.count
            begin(table, partition)
            openKey = ByteRange(offset: bytes.count - partition.count, count: partition.count)
            PartitionWriter.begin(into: bytes)
            openTable = table
            isOpen = true
        }
        bytes.appendVarint(UInt64(clustering.count))
        lastRow = ByteRange(offset: bytes.count, count: clustering.count)
        bytes.append(clustering)
        bytes.appendLengthPrefixed(row.bytes)
    }

    private func goesOn(
        _ table: Table, _ partition: UnsafeRawBufferPointer, _ clustering: UnsafeRawBufferPointer
    ) -> Bool {
        guard let openTable, openTable === table else { return false }
        return equalBytes(bytes[openKey], partition)
            && compareBytes(bytes[lastRow], clustering) < 0
    }

    private func begin(_ table: Table, _ partition: UnsafeRawBufferPointer) {
        precondition(partition.count <= PartitionKey.maximumLength, "a partition's key is too long")
        if tables.last !== table { tables.append(table) }
        MutationWriter.begin(
            table: table.id, token: Token.of(partition).value, key: partition, into: bytes)
    }

    /// Ends the open mutation.
    func closeMutation() {
        guard isOpen else { return }
        isOpen = false
        mutations.append(ByteRange(offset: openStart, count: bytes.count - openStart))
    }
}

/// Timestamps that rise, near the wall clock as it was read last.
final class TimestampSource {
    private var last: Int64 = 0
    /// Microseconds since 1970, raised by the engine with each call.
    var wall: Int64 = 0

    @inline(__always)
    func next() -> Int64 {
        last = max(last + 1, wall)
        return last
    }

    /// Seconds since 1970.
    var seconds: UInt32 { UInt32(clamping: wall / 1_000_000) }

    /// Cassandra's rule: seconds, at most the last one that the formats can say.
    func expiry(after timeToLive: UInt32) -> UInt32 {
        UInt32(clamping: wall / 1_000_000 + Int64(timeToLive))
    }
}
