// Reading the commit log at start.
//
// Each segment is read and walked once, in order, and its mutations are handed on as they come. What a
// stop means is known only at the end, when the highest position is known that any record tells to
// have been synced. Where a segment's sound records stop:
//   - at its end mark: it was closed there;
//   - before a place that was known synced: corruption, and `commit_failure_policy` says what follows;
//   - else it is the torn tail of a life that ended: it is counted, cut off, and closed by an end mark,
//     so that the next start does not take it for corruption.
// Later segments are replayed all the same: mutations commute, and any subset of what was not synced
// may survive a power loss. Nothing is changed on the disk before the verdict over all segments.
//
// Memory: one segment at a time, besides what `body` keeps.
// Cost: one read, one checksum over each record; of a segment that was closed before its first record, as a
// log is closed whose records are all in files, only its head is read.

internal import Encoding
internal import Environment

/// The reading half of the log: used once, before the first step.
struct CommitLogReplay {
    private struct Found {
        let number: UInt32
        let file: FileName
        let bytes: Int
    }

    /// Where the walk over a segment ended.
    private struct Stop {
        /// Nil: the header was never written whole.
        var seed: UInt32?
        var offset = 0
        var isClosed = false
        /// Sound records behind the stop.
        var behind = 0
    }

    private let prefix: String
    private let files: any FileSystem
    private let policy: Configuration.CommitFailurePolicy
    private let buffer = ByteWriter(capacity: 1 << 20)
    private var segments: [Found] = []
    /// Files of this prefix that hold no record.
    private(set) var emptyFiles: [FileName] = []
    private(set) var highestNumber: UInt32 = 0
    private(set) var report = ReplayReport()
    /// Segments with records, all synced, by rising number.
    private(set) var closed: [(segment: CommitLog.Segment, bytes: Int)] = []
    /// The first damage that the policy lets the node live with.
    private(set) var corruption: CorruptionError?

    init(
        prefix: String, policy: Configuration.CommitFailurePolicy, files: any FileSystem
    ) throws(StorageError) {
        self.prefix = prefix
        self.policy = policy
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
    private func seed(_ found: Found, _ bytes: UnsafeRawBufferPointer) throws(StorageError)
        -> UInt32?
    {
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
            guard version <= CommitLog.formatVersion else {
                throw MalformedBytes("version", offset: Int(version))
            }
            guard version == CommitLog.formatVersion else { return nil }
            // A file that was renamed for its next life still has the header of the former one.
            return number == found.number ? CommitLog.seed(identity) : nil
        } catch {
            throw .newerFormat(file: found.file, version: UInt32(error.offset))
        }
    }

    /// Reads a segment on from what is loaded of it, as far as `end`.
    private func load(_ found: Found, upTo end: Int) throws(StorageError) {
        guard end > buffer.count else { return }
        try storing { () throws(DiskFailure) in
            try files.read(
                found.file, at: buffer.count, count: end - buffer.count, into: buffer)
        }
    }

    /// Where a segment stops that was closed before its first record; nil for any other. Its head is loaded
    /// then.
    private func stopAtHead(
        _ found: Found, _ synced: inout LogPosition
    ) throws(StorageError) -> Stop? {
        buffer.removeAll()
        try load(found, upTo: min(found.bytes, CommitLog.headerBytes + LogRecord.headerBytes))
        guard let seed = try seed(found, buffer.bytes),
            case .end(let told, let next) = LogRecord.read(
                buffer.bytes, at: CommitLog.headerBytes, seed: seed)
        else { return nil }
        synced = max(synced, told)
        return Stop(seed: seed, offset: next, isClosed: true)
    }

    /// Takes a mutation, the position behind it, and the file that it stands in.
    typealias Body = (UnsafeRawBufferPointer, LogPosition, FileName) throws(StorageError) -> Void

    /// Hands every mutation to `body`, in order, with its position.
    mutating func run(_ body: Body) throws(StorageError) {
        var synced = LogPosition.zero
        var stops: [Stop] = []
        for found in segments {
            if let stop = try stopAtHead(found, &synced) {
                stops.append(stop)
                continue
            }
            try load(found, upTo: found.bytes)
            stops.append(try walk(found, &synced, body))
        }
        for (found, stop) in zip(segments, stops) {
            if let damage = damage(found, stop, synced) {
                try live(with: damage, in: found, stop, body)
                continue
            }
            guard let seed = stop.seed else {
                emptyFiles.append(found.file)
                continue
            }
            if !stop.isClosed {
                if stop.behind > 0 {
                    report.tornSegments += 1
                    report.droppedRecords += stop.behind
                }
                try close(found, at: stop.offset, seed: seed, synced: synced)
            }
            try storing { () throws(DiskFailure) in try files.sync(found.file) }
            closed.append((segment(found, seed), stop.offset))
        }
    }

    private func segment(_ found: Found, _ seed: UInt32) -> CommitLog.Segment {
        CommitLog.Segment(number: found.number, file: found.file, seed: seed)
    }

    /// What is wrong with a segment, once it is known how far the log was synced.
    private func damage(_ found: Found, _ stop: Stop, _ synced: LogPosition) -> CorruptionError? {
        let end = LogPosition(
            segment: found.number,
            offset: UInt32(stop.seed == nil ? CommitLog.headerBytes : stop.offset))
        guard !stop.isClosed, synced > end else { return nil }
        return CorruptionError(
            file: found.file, offset: stop.offset,
            detail: stop.seed == nil
                ? "damaged segment header" : "bad record before the synced position \(synced)")
    }

    /// Acts as the policy says. The damaged file stays as it is: an operator may want to look at it, and
    /// until what was read of it is flushed, the next start reads it again.
    private mutating func live(
        with damage: CorruptionError, in found: Found, _ stop: Stop, _ body: Body
    ) throws(StorageError) {
        switch policy {
        case .stop, .die: throw .corruption(damage)
        case .stopCommit: report.damagedSegments += 1
        case .ignore:
            report.damagedSegments += 1
            guard let seed = stop.seed else { return }
            buffer.removeAll()
            try load(found, upTo: found.bytes)
            let before = report.records
            try replayBehind(found, stop.offset, seed, body)
            report.recoveredRecords += report.records - before
            try storing { () throws(DiskFailure) in try files.sync(found.file) }
            closed.append((segment(found, seed), found.bytes))
        }
        if corruption == nil { corruption = damage }
    }

    /// Hands on the sound records of the loaded segment, and finds where they stop.
    private mutating func walk(
        _ found: Found, _ synced: inout LogPosition, _ body: Body
    ) throws(StorageError) -> Stop {
        let bytes = buffer.bytes
        guard let seed = try seed(found, bytes) else { return Stop() }
        var offset = CommitLog.headerBytes
        while true {
            switch LogRecord.read(bytes, at: offset, seed: seed) {
            case .record(let record, let told, let next):
                if told > synced { synced = told }
                report.records += 1
                try body(
                    record, LogPosition(segment: found.number, offset: UInt32(next)), found.file)
                offset = next
            case .end(let told, let next):
                synced = max(synced, told)
                return Stop(seed: seed, offset: next, isClosed: true)
            case .nothing:
                let behind = LogRecord.searchBehind(
                    bytes, from: offset + 1, segment: found.number, seed: seed)
                synced = max(synced, behind.synced)
                return Stop(seed: seed, offset: offset, behind: behind.count)
            }
        }
    }

    /// Hands on the sound records behind a damaged place.
    private mutating func replayBehind(
        _ found: Found, _ offset: Int, _ seed: UInt32, _ body: Body
    ) throws(StorageError) {
        var starts: [Int] = []
        LogRecord.searchBehind(
            buffer.bytes, from: offset + 1, segment: found.number, seed: seed
        ) { _, start in starts.append(start) }
        for start in starts {
            guard
                case .record(let record, _, let next) = LogRecord.read(
                    buffer.bytes, at: start, seed: seed)
            else { continue }
            report.records += 1
            try body(record, LogPosition(segment: found.number, offset: UInt32(next)), found.file)
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
