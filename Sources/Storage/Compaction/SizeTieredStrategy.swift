// Size-tiered compaction, as Cassandra's SizeTieredCompactionStrategy: files of similar size gather in a
// bucket, and a bucket of `min_threshold` files is compacted.
//
// Cost: every byte is written again once for each growth of its tier by the threshold; a read may meet
// up to `min_threshold - 1` files of each size; a compaction of the largest tier needs as much free
// space as there is data. Differs from Cassandra: without a count of reads per file, of several due
// buckets the one with the smallest files goes first.

internal import Model

/// Chooses by size.
struct SizeTieredStrategy {
    let options: CompactionOptions.SizeTiered

    init(_ options: CompactionOptions.SizeTiered) { self.options = options }

    func choose(_ view: CompactionView) -> CompactionChoice? {
        choose(among: view.idle, reason: .sizeTiered)
    }

    /// The due bucket of the smallest files, its smallest files first; nil if none is due.
    func choose(among files: [CompactionFile], reason: CompactionReason) -> CompactionChoice? {
        for bucket in buckets(files) where bucket.count >= options.minimumThreshold {
            return CompactionChoice(
                Array(bucket.prefix(options.maximumThreshold)), reason: reason, mayShrink: true)
        }
        return nil
    }

    /// By rising size.
    func buckets(_ files: [CompactionFile]) -> [[CompactionFile]] {
        let sorted = files.sorted {
            $0.bytes == $1.bytes ? $0.number < $1.number : $0.bytes < $1.bytes
        }
        var buckets: [[CompactionFile]] = []
        var average = 0.0
        for file in sorted {
            let size = Double(file.bytes)
            if let last = buckets.last {
                let areSmall =
                    file.bytes < options.minimumSSTableBytes
                    && average < Double(options.minimumSSTableBytes)
                if areSmall
                    || size >= average * options.bucketLow && size <= average * options.bucketHigh
                {
                    let count = Double(last.count)
                    average = (average * count + size) / (count + 1)
                    buckets[buckets.count - 1].append(file)
                    continue
                }
            }
            buckets.append([file])
            average = size
        }
        return buckets
    }
}
