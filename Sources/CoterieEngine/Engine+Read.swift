// Reads of one partition.
//
// Cost of a point read of a table whose partitions are single rows: the engine's lookup and one copy of
// the row into the answer; of any other table also the command with a copy of the key (one allocation).

internal import Disk
internal import Encoding
internal import Environment
internal import Model
internal import Storage

/// A table as it was at one moment. Hold it only as long as it is needed: files that it sees are kept.
///
/// To take one flushes the table's memtable and waits for it, so that many snapshots of a table under
/// writes make many small files.
public final class Snapshot {
    /// The table that it is of.
    public let table: Table
    let pinned: PinnedView
    let nowInSeconds: Int64
    private let storage: StorageEngine

    init(_ table: Table, _ pinned: PinnedView, nowInSeconds: Int64, _ storage: StorageEngine) {
        self.table = table
        self.pinned = pinned
        self.nowInSeconds = nowInSeconds
        self.storage = storage
    }

    deinit { storage.unpin(pinned) }
}

extension Engine {
    /// Which rows of a partition a read wants.
    public struct Rows: Sendable {
        /// Rows with `lower <= clustering`; nil for no bound.
        public var lower: [UInt8]?
        /// Rows with `clustering < upper`; nil for no bound.
        public var upper: [UInt8]?
        /// From the last to the first.
        public var reversed = false
        /// At most so many.
        public var limit = Int.max

        /// All rows.
        public static let all = Rows()

        var isAll: Bool { lower == nil && upper == nil }

        /// Rows inside bounds.
        public init(
            lower: [UInt8]? = nil, upper: [UInt8]? = nil, reversed: Bool = false,
            limit: Int = .max
        ) {
            self.lower = lower
            self.upper = upper
            self.reversed = reversed
            self.limit = limit
        }

        /// The row of that key.
        public static func only(_ clustering: [UInt8]) -> Rows {
            Rows(lower: clustering, upper: clustering + [0])
        }

        /// Behind every clustering key, since none is as long.
        static let end = [UInt8](
            repeating: 0xFF, count: WriteBatch.maximumClusteringLength + 1)
    }

    /// Holds a table as it is now.
    public func snapshot(of table: Table) throws(EngineError) -> Snapshot {
        try ready()
        try flushMemtable(of: table)
        let pinned = try translated { () throws(StorageError) in try storage.pinView(of: table.id) }
        return Snapshot(table, pinned, nowInSeconds: nowInSeconds, storage)
    }

    /// Reads rows of one partition, as it is now or as a snapshot has it.
    public func read(
        _ table: Table, partition: UnsafeRawBufferPointer, rows: Rows = .all,
        at snapshot: Snapshot? = nil, into result: ReadResult
    ) throws(EngineError) {
        try ready()
        let token = Token.of(partition).value
        let nowInSeconds = snapshot?.nowInSeconds ?? nowInSeconds
        if rows.isAll, rows.limit > 0,
            try readSimply(table, token, partition, nowInSeconds, at: snapshot, into: result)
        {
            return
        }
        var slices: [ClusteringSlice]?
        if rows.lower != nil || rows.upper != nil {
            let slice = ClusteringSlice(lower: rows.lower ?? [], upper: rows.upper ?? Rows.end)
            guard compareBytes(slice.lower, slice.upper) < 0 else {
                throw .invalid("the bounds of a read are empty or upside down")
            }
            slices = [slice]
        }
        try run(
            ReadCommand(
                table: table.id,
                scope: .partition(token: token, key: [UInt8](partition)),
                slices: slices, reversed: rows.reversed, nowInSeconds: nowInSeconds,
                rowLimit: rows.limit, byteLimit: .max),
            at: snapshot?.pinned, into: result, mayBeSimple: !rows.isAll)
    }

    /// Answers a read of a whole partition without a command, if that is simple. A block that is missing
    /// is read on the spot, and so is that of the next older file if the first did not say it all; where
    /// several are sure to be needed, or turn out to be, it is not simple: the kernel does better with all at
    /// once.
    private func readSimply(
        _ table: Table, _ token: Int64, _ partition: UnsafeRawBufferPointer, _ nowInSeconds: Int64,
        at snapshot: Snapshot?, into result: ReadResult
    ) throws(EngineError) -> Bool {
        result.bytes.removeAll()
        for _ in 0..<Self.blocksOnTheSpot + 1 {
            switch storage.readSimply(
                table.id, token: token, key: partition, nowInSeconds: nowInSeconds,
                at: snapshot?.pinned, into: result.bytes)
            {
            case .notSimple: return false
            case .missing(let block): try readHere(block)
            case .done:
                result.nowInSeconds = nowInSeconds
                result.isComplete = true
                result.isAllLive = storage.lastRead.deadRows == 0
                return true
            }
        }
        return false
    }

    private static let blocksOnTheSpot = 2

    /// Reads a block and gives it to the storage engine.
    private func readHere(_ block: WantedBlock) throws(EngineError) {
        let bytes: UnsafeRawBufferPointer
        do throws(DiskFailure) {
            bytes = try files.readBlock(
                block.file, at: block.offset, count: block.count, size: block.fileBytes,
                mode: options.storage.diskAccessMode, into: blockBuffer)
        } catch {
            throw EngineError(StorageError.disk(error))
        }
        try translated { () throws(StorageError) in try storage.take(bytes, of: block) }
        notePeak()
    }

    /// Reads rows of one partition.
    public func read(
        _ table: Table, partition: [UInt8], rows: Rows = .all, at snapshot: Snapshot? = nil,
        into result: ReadResult
    ) throws(EngineError) {
        try partition.withBytes { (partition) throws(EngineError) in
            try read(table, partition: partition, rows: rows, at: snapshot, into: result)
        }
    }

    /// One cell's value; nil if it is not there.
    public func value(
        _ table: Table, partition: [UInt8], clustering: [UInt8] = [], column: UInt32,
        at snapshot: Snapshot? = nil
    ) throws(EngineError) -> [UInt8]? {
        let result = ReadResult()
        try read(
            table, partition: partition, rows: clustering.isEmpty ? .all : .only(clustering),
            at: snapshot, into: result)
        var cursor = result.rows()
        while let row = cursor.next() {
            if row.clustering.count == clustering.count {
                return row.value(column).map { [UInt8]($0) }
            }
        }
        return nil
    }

    /// Walks over all partitions of a table in the order of their tokens, from the first one whose token
    /// is at least that of `partition`.
    public func scan(
        _ table: Table, from partition: UnsafeRawBufferPointer? = nil,
        at snapshot: Snapshot? = nil, pageBytes: Int = 256 << 10, limit: Int = .max
    ) throws(EngineError) -> Scan {
        try ready()
        guard pageBytes > 0, limit > 0 else { throw .invalid("a scan with no room for a row") }
        let token = partition.map { Token.of($0).value } ?? .min
        return Scan(
            self, table, from: token, at: snapshot, pageBytes: pageBytes, limit: limit)
    }
}
