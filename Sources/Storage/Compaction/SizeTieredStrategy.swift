// Choosing what to compact. A strategy only chooses; a `MergeJob` carries the choice out.

internal import Model

/// SSTables that are to become one.
struct CompactionChoice {
    var inputs: [SSTable]
}

/// Size-tiered compaction, as Cassandra's SizeTieredCompactionStrategy: files of similar size gather
/// in a bucket, and a bucket of `min_threshold` files is compacted.
///
/// Cost: every byte is written again once for each doubling-by-threshold of the table; a read may meet
/// up to `min_threshold - 1` files of each size.
struct SizeTieredStrategy {
    var minimumThreshold = 4
    var maximumThreshold = 32
    var bucketLow = 0.5
    var bucketHigh = 1.5
    var minimumSSTableBytes = 50 << 20
    var isEnabled = true

    /// Reads the options of `WITH compaction = {...}`; unknown ones are none of its business.
    init(_ options: [String: String]) {
        if let value = options["min_threshold"].flatMap({ Int($0) }) { minimumThreshold = max(2, value) }
        if let value = options["max_threshold"].flatMap({ Int($0) }) { maximumThreshold = value }
        if let value = options["bucket_low"].flatMap({ Double($0) }) { bucketLow = value }
        if let value = options["bucket_high"].flatMap({ Double($0) }) { bucketHigh = value }
        if let value = options["min_sstable_size"].flatMap({ Int($0) }) { minimumSSTableBytes = value }
        if options["enabled"] == "false" { isEnabled = false }
        maximumThreshold = max(maximumThreshold, minimumThreshold)
    }

    /// The fullest bucket that has enough files, its smallest files first; nil if none has.
    func choose(_ sstables: [SSTable]) -> CompactionChoice? {
        guard isEnabled else { return nil }
        let idle = sstables.filter { !$0.isCompacting }.sorted {
            $0.metadata.bytes == $1.metadata.bytes
                ? $0.number < $1.number : $0.metadata.bytes < $1.metadata.bytes
        }
        var buckets: [(average: Double, files: [SSTable])] = []
        for sstable in idle {
            let size = Double(sstable.metadata.bytes)
            if let last = buckets.last {
                let isSmall =
                    sstable.metadata.bytes < minimumSSTableBytes
                    && last.average < Double(minimumSSTableBytes)
                if isSmall || size >= last.average * bucketLow && size <= last.average * bucketHigh {
                    let count = Double(last.files.count)
                    buckets[buckets.count - 1].average = (last.average * count + size) / (count + 1)
                    buckets[buckets.count - 1].files.append(sstable)
                    continue
                }
            }
            buckets.append((size, [sstable]))
        }
        var best: [SSTable] = []
        for bucket in buckets where bucket.files.count >= minimumThreshold {
            if bucket.files.count > best.count { best = bucket.files }
        }
        if best.isEmpty { return nil }
        return CompactionChoice(inputs: Array(best.prefix(maximumThreshold)))
    }
}
