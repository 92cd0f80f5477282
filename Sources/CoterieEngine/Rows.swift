// What a read answers: rows that live at its second, as views into the answer's bytes.

internal import Encoding
internal import Model

/// The answer of a read, used again for the next one: its memory stays.
public final class ReadResult {
    let bytes = ByteWriter(capacity: 1 << 10)
    var nowInSeconds: Int64 = 0
    /// Every row in it is live: nobody has to look.
    var isAllLive = false

    /// An empty answer.
    public init() {}

    /// Whether nothing of what was asked for lies behind the last row: no limit was met.
    public internal(set) var isComplete = true

    /// Walks over the live rows in order. Rows are valid until the next read into this answer.
    public func rows() -> RowCursor {
        RowCursor(bytes.bytes, nowInSeconds, isAllLive: isAllLive)
    }
}

/// One row. A view: valid as its source says.
public struct Row {
    /// The partition's key.
    public let partition: UnsafeRawBufferPointer
    /// The row's key inside the partition; empty for a partition's single row.
    public let clustering: UnsafeRawBufferPointer
    private let bytes: UnsafeRawBufferPointer
    private let nowInSeconds: Int64

    init(
        partition: UnsafeRawBufferPointer, clustering: UnsafeRawBufferPointer,
        bytes: UnsafeRawBufferPointer, nowInSeconds: Int64
    ) {
        self.partition = partition
        self.clustering = clustering
        self.bytes = bytes
        self.nowInSeconds = nowInSeconds
    }

    /// The value of a column that has no elements; nil if it is not set, was deleted or has expired.
    public func value(_ column: UInt32) -> UnsafeRawBufferPointer? {
        do throws(MalformedBytes) {
            return try RowView.value(of: column, in: bytes, nowInSeconds: nowInSeconds)
        } catch {
            preconditionFailure("the engine's own answer is malformed: \(error)")
        }
    }

    /// Walks over the live cells, by column and then by path.
    public func cells() -> RowCellCursor {
        do throws(MalformedBytes) {
            return RowCellCursor(try RowView(bytes), nowInSeconds)
        } catch {
            preconditionFailure("the engine's own answer is malformed: \(error)")
        }
    }
}

/// One live cell of a row. A view.
public struct RowCell {
    /// The column's number.
    public let column: UInt32
    /// The element's name in a collection; empty in a plain column.
    public let path: UnsafeRawBufferPointer
    /// What was put.
    public let value: UnsafeRawBufferPointer
    /// Microseconds since 1970.
    public let timestamp: Int64
}

/// Walks over a row's live cells.
public struct RowCellCursor {
    private var cells: CellCursor
    private let nowInSeconds: Int64

    init(_ view: RowView, _ nowInSeconds: Int64) {
        cells = view.cells
        self.nowInSeconds = nowInSeconds
    }

    /// The next live cell; nil at the end.
    public mutating func next() -> RowCell? {
        while let cell = nextStored() {
            if cell.isLive(nowInSeconds: nowInSeconds) {
                return RowCell(
                    column: cell.column, path: cell.path, value: cell.value,
                    timestamp: cell.timestamp)
            }
        }
        return nil
    }

    /// The engine wrote these bytes itself a moment ago, into memory that is ours.
    private mutating func nextStored() -> Cell? {
        do throws(MalformedBytes) { return try cells.next() } catch {
            preconditionFailure("the engine's own answer is malformed: \(error)")
        }
    }
}

/// Walks over the live rows of an answer.
public struct RowCursor {
    /// Over the whole answer; inside of a partition up to `partitionEnd`.
    private var reader: ByteReader
    private var partitionEnd = 0
    private var partition = UnsafeRawBufferPointer(start: nil, count: 0)
    private let nowInSeconds: Int64
    private let isAllLive: Bool
    /// Where the walk stands: what a scan goes on behind.
    private(set) var token: Int64 = 0
    private(set) var lastClustering = UnsafeRawBufferPointer(start: nil, count: 0)
    private(set) var hasSeenPartition = false
    var lastPartition: UnsafeRawBufferPointer { partition }

    init(_ bytes: UnsafeRawBufferPointer, _ nowInSeconds: Int64, isAllLive: Bool) {
        self.nowInSeconds = nowInSeconds
        self.isAllLive = isAllLive
        do throws(MalformedBytes) {
            let start = bytes.isEmpty ? 0 : try ReadResultView(bytes).partitionsOffset
            reader = ByteReader(bytes, position: start)
        } catch {
            preconditionFailure("the engine's own answer is malformed: \(error)")
        }
    }

    /// The next live row; nil at the end.
    public mutating func next() -> Row? {
        do throws(MalformedBytes) { return try nextStored() } catch {
            preconditionFailure("the engine's own answer is malformed: \(error)")
        }
    }

    private mutating func nextStored() throws(MalformedBytes) -> Row? {
        while true {
            while reader.position < partitionEnd {
                let clustering = try reader.readLengthPrefixed()
                let bytes = try reader.readLengthPrefixed()
                lastClustering = clustering
                if !isAllLive, try !RowView(bytes).isLive(nowInSeconds: nowInSeconds) { continue }
                return Row(
                    partition: partition, clustering: clustering, bytes: bytes,
                    nowInSeconds: nowInSeconds)
            }
            if reader.isAtEnd { return nil }
            try openPartition()
        }
    }

    /// Goes to the first row of the next partition.
    private mutating func openPartition() throws(MalformedBytes) {
        token = try reader.readLittleEndian(Int64.self)
        partition = try reader.readLengthPrefixed()
        let count = try reader.readCount()
        partitionEnd = reader.position + count
        hasSeenPartition = true
        lastClustering = UnsafeRawBufferPointer(start: nil, count: 0)
        // Most begin with a zero: nothing but rows.
        if count > 0, reader.bytes[reader.position] == 0 {
            reader.position += 1
        } else {
            let bytes = reader.bytes[reader.position..<partitionEnd]
            let view = try PartitionView(UnsafeRawBufferPointer(rebasing: bytes))
            reader.position += view.rows.reader.position
        }
    }
}
