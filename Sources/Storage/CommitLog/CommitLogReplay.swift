// Reading the commit log at start.
//
// First all segments are walked for the highest position that was known synced; then each again for
// its mutations. Where a segment's sound records stop:
//   - at its end mark: it was closed there;
//   - before a place that was known synced: corruption, the start fails and names file and offset;
//   - else it is the torn tail of a life that ended: it is counted, cut off, and closed by an end mark,
//     so that the next start does not take it for corruption.
// Later segments are replayed all the same: mutations commute, and any subset of what was not synced
// may survive a power loss.

internal import Encoding
internal import Environment

/// The reading half of the log: used once, before the first step.
struct CommitLogReplay {
    private struct Found {
        let number: UInt32
        let file: FileName
        let bytes: Int
    }

    private let prefix: String
    private let files: any FileSystem
    private var segments: [Found] = []
    /// Files of this prefix that hold no record.
    private(set) var emptyFiles: [FileName] = []
    private(set) var highestNumber: UInt32 = 0
    private(set) var report = ReplayReport()
    /// Segments with records, all synced, by rising number.
    private(set) var closed: [(segment: CommitLog.Segment, bytes: Int)] = []

    init(prefix: String, files: any FileSystem) throws(StorageError) {
        self.prefix = prefix
        self.files = files
        for file in try storing({ () throws(DiskFailure) in try files.list() }) {
            guard let number = CommitLog.number(of: file, prefix: prefix) else { continue }
            let bytes = try storing { () throws(DiskFailure) in try files.size(of: file) }
            segments.append(Found(number: number, file: file, bytes: bytes))
            highestNumber = max(highestNumber, number)
        }
        segments.sort { $0.number < $1.number }
    }

    /// The seed of a segment, or nil if its header was never written whole.
    private func seed(_ found: Found, _ bytes: UnsafeRawBufferPointer) throws(StorageError) -> UInt32? {
        do throws(MalformedBytes) {
            guard bytes.count >= CommitLog.headerBytes else { return nil }
            var reader = ByteReader(bytes)
            let magic = try reader.readLittleEndian(UInt32.self)
            let version = try reader.readLittleEndian(UInt32.self)
            let number = try reader.readLittleEndian(UInt32.self)
            _ = try reader.readLittleEndian(UInt32.self)
            let identity = try reader.readLittleEndian(UInt64.self)
            let crc = try reader.readLittleEndian(UInt32.self)
            let covered = UnsafeRawBufferPointer(rebasing: bytes[0..<24])
            guard magic == CommitLog.magic, crc == CRC32C.checksum(covered) else { return nil }
            guard version == CommitLog.formatVersion else {
                throw MalformedBytes("version", offset: Int(version))
            }
            // A file that was renamed for its next life still has the header of the former one.
            return number == found.number ? CommitLog.seed(identity) : nil
        } catch {
            throw .newerFormat(file: found.file, version: UInt32(error.offset))
        }
    }

    private func load(_ found: Found, into buffer: ByteWriter) throws(StorageError) {
        buffer.removeAll()
        try storing { () throws(DiskFailure) in
            try files.read(found.file, at: 0, count: found.bytes, into: buffer)
        }
    }

    /// Hands every mutation to `body`, in order, with its position.
    mutating func run(
        _ body: (UnsafeRawBufferPointer, LogPosition, FileName) throws(StorageError) -> Void
    ) throws(StorageError) {
        let buffer = ByteWriter(capacity: 1 << 20)
        var synced = LogPosition.zero
        var stops: [(seed: UInt32?, stop: Int, isClosed: Bool, behind: Int)] = []
        for found in segments {
            try load(found, into: buffer)
            guard let seed = try seed(found, buffer.bytes) else {
                stops.append((nil, 0, false, 0))
                continue
            }
            let walk = walk(found, buffer.bytes, seed, &synced)
            stops.append((seed, walk.stop, walk.isClosed, walk.behind))
        }
        for (found, stop) in zip(segments, stops) {
            guard let seed = stop.seed else {
                let isNeeded = synced.segment > found.number
                    || synced.segment == found.number && synced.offset > UInt32(CommitLog.headerBytes)
                if isNeeded {
                    throw .corruption(
                        CorruptionError(file: found.file, offset: 0, detail: "damaged segment header"))
                }
                emptyFiles.append(found.file)
                continue
            }
            let end = LogPosition(segment: found.number, offset: UInt32(stop.stop))
            if !stop.isClosed, synced > end {
                throw .corruption(
                    CorruptionError(
                        file: found.file, offset: stop.stop,
                        detail: "bad record before the synced position \(synced)"))
            }
            try load(found, into: buffer)
            try replay(found, buffer.bytes, seed, body)
            if !stop.isClosed {
                if stop.behind > 0 {
                    report.tornSegments += 1
                    report.droppedRecords += stop.behind
                }
                try close(found, at: stop.stop, seed: seed, synced: synced)
            }
            try storing { () throws(DiskFailure) in try files.sync(found.file) }
            closed.append(
                (
                    CommitLog.Segment(number: found.number, file: found.file, seed: seed),
                    stop.stop
                ))
        }
    }

    /// Finds where sound records stop, and the highest synced position told.
    private func walk(
        _ found: Found, _ bytes: UnsafeRawBufferPointer, _ seed: UInt32, _ synced: inout LogPosition
    ) -> (stop: Int, isClosed: Bool, behind: Int) {
        var offset = CommitLog.headerBytes
        while true {
            switch LogRecord.read(bytes, at: offset, seed: seed) {
            case .record(_, let told, let next):
                synced = max(synced, told)
                offset = next
            case .end(let told, let next):
                synced = max(synced, told)
                return (next, true, 0)
            case .nothing:
                let behind = LogRecord.searchBehind(
                    bytes, from: offset + 1, segment: found.number, seed: seed)
                synced = max(synced, behind.synced)
                return (offset, false, behind.count)
            }
        }
    }

    private mutating func replay(
        _ found: Found, _ bytes: UnsafeRawBufferPointer, _ seed: UInt32,
        _ body: (UnsafeRawBufferPointer, LogPosition, FileName) throws(StorageError) -> Void
    ) throws(StorageError) {
        var offset = CommitLog.headerBytes
        while case .record(let record, _, let next) = LogRecord.read(bytes, at: offset, seed: seed) {
            report.records += 1
            try body(record, LogPosition(segment: found.number, offset: UInt32(next)), found.file)
            offset = next
        }
    }

    private func close(
        _ found: Found, at stop: Int, seed: UInt32, synced: LogPosition
    ) throws(StorageError) {
        let mark = ByteWriter()
        LogRecord.append(
            UnsafeRawBufferPointer(start: nil, count: 0), synced: synced, seed: seed, into: mark)
        try storing { () throws(DiskFailure) in
            try files.truncate(found.file, to: stop)
            try files.write(found.file, at: stop, mark.bytes)
        }
    }
}
