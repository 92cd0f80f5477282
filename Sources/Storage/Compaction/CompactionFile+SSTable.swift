// From an open SSTable to what strategies see of it.

internal import Model

extension CompactionFile {
    /// `gcBefore`: what was deleted or expired before that second may be forgotten.
    init(_ sstable: SSTable, gcBefore: Int64) {
        let statistics = sstable.metadata.statistics
        number = sstable.number
        bytes = sstable.metadata.bytes
        level = Int(sstable.entry.level)
        tokens = Self.tokens(sstable.metadata)
        minimumTimestamp = statistics.minimumTimestamp
        maximumTimestamp = statistics.maximumTimestamp
        lastDeletionTime =
            statistics.hasLasting ? nil : Int64(statistics.maximumLocalDeletionTime)
        droppableShare = statistics.droppableShare(gcBefore: gcBefore)
        createdAt = sstable.entry.createdAt
        isBusy = sstable.isCompacting || sstable.isSuspect
    }

    /// From the first to the last token; a file that says nothing may have any.
    static func tokens(_ metadata: SSTableMetadata) -> ClosedRange<Int64> {
        let statistics = metadata.statistics
        guard statistics.minimumToken <= statistics.maximumToken else { return .min ... .max }
        return statistics.minimumToken...statistics.maximumToken
    }
}

extension SSTableStatistics {
    /// Something in it goes away by time.
    var mayExpire: Bool { maximumLocalDeletionTime != 0 }

    /// Of all rows or deletions, whichever are more: those that gc grace has passed by.
    func droppableShare(gcBefore: Int64) -> Double {
        let total = max(rows, tombstoneTimes.total)
        return total > 0 ? Double(tombstoneTimes.count(before: gcBefore)) / Double(total) : 0
    }
}
