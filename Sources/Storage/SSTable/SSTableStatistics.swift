// Facts about everything in a file, by which reads and compactions leave it alone, and which people and
// tools look at. They are gathered while the file is written.
//
// In the file they are properties with tags, so that a later version can add some which this one passes
// over (docs/formats/sstable.md). A property that is missing has its initial value, which never makes a
// read skip the file.

internal import Encoding
internal import Model

/// What is in a file.
struct SSTableStatistics: Equatable, Sendable {
    var partitions = 0
    var rows = 0
    /// Deletions of partitions, ranges, rows, collections and cells.
    var tombstones = 0
    /// Bytes of the blocks before compression.
    var plainBytes = 0
    var minimumToken = Int64.max
    var maximumToken = Int64.min
    var minimumTimestamp = Int64.max
    var maximumTimestamp = Int64.min
    /// Of tombstones and of what expires; the maximum is 0 when there are none.
    var minimumLocalDeletionTime = UInt32.max
    var maximumLocalDeletionTime: UInt32 = 0
    /// Seconds, of what expires; the maximum is 0 when nothing does.
    var minimumTimeToLive = UInt32.max
    var maximumTimeToLive: UInt32 = 0
    /// Bounds of the clustering keys of rows.
    var minimumClustering: [UInt8] = []
    var maximumClustering: [UInt8] = []
    /// There are partition deletions, range deletions or static rows: clustering bounds say nothing.
    var hasPartitionWide = false
    /// There are values or row markers that neither expire nor are deletions: the file never becomes
    /// wholly forgettable by time alone.
    var hasLasting = false
    /// There are rows with their clustering values as first written: of two the larger stays, whatever
    /// their age.
    var hasOriginalKeys = false
    /// There are counters, whose merge does not follow timestamps alone.
    var hasCounters = false
    var tombstoneTimes = TombstoneHistogram()
    /// How many partitions have at most 2^n plain bytes and more than half of that, by n.
    var partitionSizes: [Int] = []
    var largestPartitionKey: [UInt8] = []
    var largestPartitionBytes = 0

    init() {}

    /// Nothing is deleted or expires: there is nothing to purge, and every row lives.
    var isPlain: Bool { tombstones == 0 && maximumLocalDeletionTime == 0 }

    mutating func add(timestamp: Int64) {
        minimumTimestamp = min(minimumTimestamp, timestamp)
        maximumTimestamp = max(maximumTimestamp, timestamp)
    }

    mutating func add(_ deletion: Deletion) {
        guard !deletion.isNone else { return }
        add(timestamp: deletion.timestamp)
        add(localDeletionTime: deletion.localDeletionTime)
        tombstones += 1
    }

    mutating func add(localDeletionTime: UInt32) {
        minimumLocalDeletionTime = min(minimumLocalDeletionTime, localDeletionTime)
        maximumLocalDeletionTime = max(maximumLocalDeletionTime, localDeletionTime)
        tombstoneTimes.add(localDeletionTime)
    }

    private mutating func add(timeToLive: UInt32) {
        minimumTimeToLive = min(minimumTimeToLive, timeToLive)
        maximumTimeToLive = max(maximumTimeToLive, timeToLive)
    }

    /// Counts a row. Most are plain, and one walk in the room of rows says all about them.
    mutating func add(row bytes: UnsafeRawBufferPointer) throws(MalformedBytes) {
        var summary = RowSummary()
        try summary.add(bytes)
        guard summary.isPlain else { return try add(try RowView(bytes)) }
        if summary.oldestTimestamp < minimumTimestamp { minimumTimestamp = summary.oldestTimestamp }
        if summary.newestTimestamp > maximumTimestamp { maximumTimestamp = summary.newestTimestamp }
        if summary.hasLasting { hasLasting = true }
        if summary.hasCounters { hasCounters = true }
        if summary.hasOriginalKeys { hasOriginalKeys = true }
    }

    mutating func add(_ row: RowView) throws(MalformedBytes) {
        if !row.liveness.isNone {
            add(timestamp: row.liveness.timestamp)
            if row.liveness.isExpiring {
                add(localDeletionTime: row.liveness.expiresAt)
                add(timeToLive: row.liveness.timeToLive)
            } else {
                hasLasting = true
            }
        }
        add(row.deletion)
        if row.originalKey.count > 0 { hasOriginalKeys = true }
        var cells = row.cells
        while let cell = try cells.next() {
            add(timestamp: cell.timestamp)
            if cell.flags.contains(.counter) { hasCounters = true }
            if cell.isCount, let clocks = try CounterShards(cell.value).clocks {
                add(timestamp: clocks.lowerBound)
            }
            if cell.isTombstone || cell.isComplexDeletion {
                tombstones += 1
                add(localDeletionTime: cell.localDeletionTime)
            } else if cell.isExpiring {
                add(localDeletionTime: cell.localDeletionTime)
                add(timeToLive: cell.timeToLive)
            } else {
                hasLasting = true
            }
        }
    }

    /// Counts a partition of that many plain bytes.
    mutating func addPartition(key: UnsafeRawBufferPointer, bytes: Int) {
        let bin = bytes <= 1 ? 0 : Int.bitWidth - (bytes - 1).leadingZeroBitCount
        while partitionSizes.count <= bin { partitionSizes.append(0) }
        partitionSizes[bin] += 1
        if bytes > largestPartitionBytes {
            largestPartitionBytes = bytes
            largestPartitionKey = [UInt8](key)
        }
    }
}

extension SSTableStatistics {
    /// The tags of properties. Numbers are never used again.
    private enum Tag: UInt64, CaseIterable {
        case counts = 1
        case tokens = 2
        case timestamps = 3
        case localDeletionTimes = 4
        case timesToLive = 5
        case clusterings = 6
        case flags = 7
        case tombstoneTimes = 8
        case partitionSizes = 9
        case largestPartition = 10
    }

    /// `count varint | (tag varint | length varint, bytes)*`.
    func encode(into writer: ByteWriter) {
        let value = ByteWriter()
        writer.appendVarint(UInt64(Tag.allCases.count))
        for tag in Tag.allCases {
            value.removeAll()
            encode(tag, into: value)
            writer.appendVarint(tag.rawValue)
            writer.appendLengthPrefixed(value.bytes)
        }
    }

    private func encode(_ tag: Tag, into writer: ByteWriter) {
        switch tag {
        case .counts:
            for count in [partitions, rows, tombstones, plainBytes] {
                writer.appendVarint(UInt64(count))
            }
        case .tokens:
            writer.appendLittleEndian(minimumToken)
            writer.appendLittleEndian(maximumToken)
        case .timestamps:
            writer.appendLittleEndian(minimumTimestamp)
            writer.appendLittleEndian(maximumTimestamp)
        case .localDeletionTimes:
            writer.appendLittleEndian(minimumLocalDeletionTime)
            writer.appendLittleEndian(maximumLocalDeletionTime)
        case .timesToLive:
            writer.appendLittleEndian(minimumTimeToLive)
            writer.appendLittleEndian(maximumTimeToLive)
        case .clusterings:
            writer.appendLengthPrefixed(minimumClustering)
            writer.appendLengthPrefixed(maximumClustering)
        case .flags:
            let flags: UInt8 = (hasPartitionWide ? 1 : 0) | (hasLasting ? 2 : 0)
            writer.append(flags | (hasOriginalKeys ? 4 : 0) | (hasCounters ? 8 : 0))
        case .tombstoneTimes: tombstoneTimes.encode(into: writer)
        case .partitionSizes:
            writer.appendVarint(UInt64(partitionSizes.count))
            for count in partitionSizes { writer.appendVarint(UInt64(count)) }
        case .largestPartition:
            writer.appendVarint(UInt64(largestPartitionBytes))
            writer.appendLengthPrefixed(largestPartitionKey)
        }
    }

    init(from reader: inout ByteReader) throws(MalformedBytes) {
        // What is not said must not make reads skip the file.
        minimumToken = .min
        maximumToken = .max
        minimumTimestamp = .min
        maximumTimestamp = .max
        minimumLocalDeletionTime = 0
        maximumLocalDeletionTime = .max
        hasPartitionWide = true
        hasLasting = true
        hasOriginalKeys = true
        hasCounters = true
        for _ in 0..<(try reader.readCount()) {
            let tag = try reader.readVarint()
            var value = ByteReader(try reader.readLengthPrefixed())
            if let known = Tag(rawValue: tag) { try decode(known, from: &value) }
        }
    }

    private mutating func decode(
        _ tag: Tag, from reader: inout ByteReader
    ) throws(MalformedBytes) {
        switch tag {
        case .counts:
            partitions = Int(clamping: try reader.readVarint())
            rows = Int(clamping: try reader.readVarint())
            tombstones = Int(clamping: try reader.readVarint())
            plainBytes = Int(clamping: try reader.readVarint())
        case .tokens:
            minimumToken = try reader.readLittleEndian()
            maximumToken = try reader.readLittleEndian()
        case .timestamps:
            minimumTimestamp = try reader.readLittleEndian()
            maximumTimestamp = try reader.readLittleEndian()
        case .localDeletionTimes:
            minimumLocalDeletionTime = try reader.readLittleEndian()
            maximumLocalDeletionTime = try reader.readLittleEndian()
        case .timesToLive:
            minimumTimeToLive = try reader.readLittleEndian()
            maximumTimeToLive = try reader.readLittleEndian()
        case .clusterings:
            minimumClustering = [UInt8](try reader.readLengthPrefixed())
            maximumClustering = [UInt8](try reader.readLengthPrefixed())
        case .flags:
            let flags = try reader.readUInt8()
            hasPartitionWide = flags & 1 != 0
            hasLasting = flags & 2 != 0
            hasOriginalKeys = flags & 4 != 0
            hasCounters = flags & 8 != 0
        case .tombstoneTimes: tombstoneTimes = try TombstoneHistogram(from: &reader)
        case .partitionSizes:
            let count = try reader.readCount()
            guard count <= Int.bitWidth else {
                throw MalformedBytes("partition sizes of \(count) bins", offset: reader.position)
            }
            for _ in 0..<count {
                partitionSizes.append(Int(clamping: try reader.readVarint()))
            }
        case .largestPartition:
            largestPartitionBytes = Int(clamping: try reader.readVarint())
            largestPartitionKey = [UInt8](try reader.readLengthPrefixed())
        }
    }
}
