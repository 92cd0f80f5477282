// The dumb twin of an engine that crashes: what was written, what was promised, and whether an answer
// can be explained by it.
//
// After a crash a partition must be the merge of all promised mutations and **any subset** of the rest.
// A merge of partitions is a join: writing it as a sum, an answer `a` is explained exactly if
//
//     a = promised + the sum of those others that are contained in a       (m is in a if a + m = a)
//
// because what was really kept is among those contained. So no subsets need to be tried. Where
// tombstones are purged, an answer does not show all that it contains; there every subset of the few
// uncertain mutations of a partition is tried.
//
// An answer that was explained becomes what is promised from then on: the start made it durable.

internal import Encoding
internal import Environment
internal import Model
internal import Storage

/// One table's promised and written mutations, by partition.
struct EngineTwin {
    /// Whether a mutation survives.
    enum Promise: Int, Comparable {
        /// Nothing was promised.
        case none
        /// The kernel has it.
        case appended
        /// The disk has it.
        case synced

        static func < (left: Promise, right: Promise) -> Bool { left.rawValue < right.rawValue }
    }

    struct Written {
        let partition: [UInt8]
        let position: LogPosition
        var promise = Promise.none
        /// A flipped bit in its log segment may have taken the promise back.
        var isDoubtful = false
        /// The table was truncated behind it, and the truncation is not committed yet.
        var isTruncated = false
    }

    struct Partition {
        /// What came back after the last crash; empty for nothing.
        var base: [UInt8] = []
        var isBaseTruncated = false
        var written: [Written] = []
    }

    /// By key.
    var partitions: [[UInt8]: Partition] = [:]
    /// Subsets are tried up to that many uncertain mutations of a partition.
    private static let maximumUncertain = 10

    mutating func write(key: [UInt8], _ partition: [UInt8], at position: LogPosition) {
        partitions[key, default: Partition()].written.append(
            Written(partition: partition, position: position))
    }

    private mutating func forEachWritten(_ body: (inout Written) -> Void) {
        for key in partitions.keys.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
            guard var partition = partitions[key] else { continue }
            for index in partition.written.indices { body(&partition.written[index]) }
            partitions[key] = partition
        }
    }

    /// Everything up to here is in the kernel.
    mutating func appended(through position: LogPosition) {
        forEachWritten {
            if $0.position <= position { $0.promise = max($0.promise, .appended) }
        }
    }

    /// Everything up to here is on the disk.
    mutating func synced(through position: LogPosition) {
        forEachWritten { if $0.position <= position { $0.promise = .synced } }
    }

    /// A bit of that segment is flipped.
    mutating func doubt(segment: UInt32) {
        forEachWritten { if $0.position.segment == segment { $0.isDoubtful = true } }
    }

    /// The table is being emptied.
    mutating func truncate() {
        forEachWritten { $0.isTruncated = true }
        for key in partitions.keys.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
            partitions[key]?.isBaseTruncated = true
        }
    }

    /// The table is empty for good but for what was written since.
    mutating func commitTruncation() {
        for key in partitions.keys.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
            guard var partition = partitions[key] else { continue }
            if partition.isBaseTruncated { partition.base = [] }
            partition.isBaseTruncated = false
            partition.written.removeAll { $0.isTruncated }
            partitions[key] = partition
        }
    }

    /// What a running engine answers: everything written, and nothing truncated.
    func expected(_ key: [UInt8], _ rule: PurgeRule) throws(MalformedBytes) -> [UInt8] {
        guard let partition = partitions[key] else { return [] }
        let sources =
            (partition.isBaseTruncated ? [] : [partition.base])
            + partition.written.filter { !$0.isTruncated }.map(\.partition)
        return try Self.answer(sources, rule)
    }

    /// Whether an engine that crashed may answer so; nil: it may, else a reason. If it may, the answer
    /// is what is promised from now on. With doubts (a damaged log) less may be there, but nothing
    /// that was never written.
    mutating func accept(
        _ found: [UInt8], _ key: [UInt8], surviving: Promise, _ rule: PurgeRule, purges: Bool,
        hasDoubts: Bool
    ) throws(MalformedBytes) -> String? {
        let partition = partitions[key] ?? Partition()
        var isExplained = try explains(partition, found, surviving, rule, purges)
        if !isExplained, hasDoubts {
            let all = [partition.base] + partition.written.map(\.partition)
            // Where tombstones are purged, an answer does not show what it contains.
            isExplained = purges
            if !purges {
                isExplained = try Self.answer([found] + all, rule) == Self.answer(all, rule)
            }
        }
        partitions[key] = Partition(base: found)
        return isExplained ? nil : describe(partition, found, surviving)
    }

    private func explains(
        _ partition: Partition, _ found: [UInt8], _ surviving: Promise, _ rule: PurgeRule,
        _ purges: Bool
    ) throws(MalformedBytes) -> Bool {
        let isTruncating =
            partition.isBaseTruncated || partition.written.contains(where: \.isTruncated)
        // A truncation that was not committed has happened wholly or not at all.
        for isTruncated in isTruncating ? [false, true] : [false] {
            var promised = isTruncated && partition.isBaseTruncated ? [] : [partition.base]
            var uncertain: [[UInt8]] = []
            for written in partition.written where !(isTruncated && written.isTruncated) {
                if written.promise >= surviving, !written.isDoubtful {
                    promised.append(written.partition)
                } else {
                    uncertain.append(written.partition)
                }
            }
            if try Self.isSum(promised, uncertain, found, rule, purges) { return true }
        }
        return false
    }

    private static func isSum(
        _ promised: [[UInt8]], _ uncertain: [[UInt8]], _ found: [UInt8], _ rule: PurgeRule,
        _ purges: Bool
    ) throws(MalformedBytes) -> Bool {
        guard purges else {
            var kept = promised
            for mutation in uncertain {
                if try answer([found, mutation], rule) == found { kept.append(mutation) }
            }
            return try answer(kept, rule) == found
        }
        let tried = uncertain.suffix(maximumUncertain)
        for subset in 0..<(1 << tried.count) {
            var kept = promised + uncertain.dropLast(tried.count)
            for (index, mutation) in tried.enumerated() where subset >> index & 1 == 1 {
                kept.append(mutation)
            }
            if try answer(kept, rule) == found { return true }
        }
        return false
    }

    private func describe(
        _ partition: Partition, _ found: [UInt8], _ surviving: Promise
    ) -> String {
        let promised = partition.written.count { $0.promise >= surviving && !$0.isDoubtful }
        let uncertain = partition.written.count - promised
        return "no subset of \(uncertain) uncertain mutations beside \(promised) promised ones and "
            + "\(partition.base.count) bytes of before explains the answer of \(found.count) bytes"
    }

    // MARK: The merge

    /// The merge of partitions as a read shows it; empty for nothing.
    static func answer(
        _ sources: [[UInt8]], _ rule: PurgeRule
    ) throws(MalformedBytes) -> [UInt8] {
        // Copies that stay where they are while the merge reads them.
        let memory = sources.filter { !$0.isEmpty }.map { source in
            let copy = UnsafeMutableRawBufferPointer.allocate(
                byteCount: source.count, alignment: 8)
            copy.copyBytes(from: source)
            return copy
        }
        defer { for copy in memory { copy.deallocate() } }
        var views: [PartitionView] = []
        for copy in memory { views.append(try PartitionView(UnsafeRawBufferPointer(copy))) }
        let merged = ByteWriter()
        try PartitionMerge.merge(views, into: merged)
        return try purged(try PartitionView(merged.bytes), rule)
    }

    /// A partition without what the rule purges.
    private static func purged(
        _ partition: PartitionView, _ rule: PurgeRule
    ) throws(MalformedBytes) -> [UInt8] {
        let scratch = ByteWriter()
        var staticRow: [UInt8] = []
        if !partition.staticRow.isEmpty,
            try RowPurge.rewrite(try RowView(partition.staticRow), rule, into: scratch)
        {
            staticRow = scratch.array
        }
        let body = ByteWriter()
        var cursor = partition.rows
        while let (key, row) = try cursor.next() {
            scratch.removeAll()
            if try RowPurge.rewrite(try RowView(row), rule, into: scratch) {
                PartitionWriter.append(key: key, row: scratch.bytes, into: body)
            }
        }
        let ranges = partition.ranges.filter { !rule.purges($0.deletion) }
        let deletion = rule.purges(partition.deletion) ? Deletion.none : partition.deletion
        if deletion.isNone, staticRow.isEmpty, ranges.isEmpty, body.count == 0 { return [] }
        let whole = ByteWriter()
        staticRow.withUnsafeBytes {
            PartitionWriter.begin(deletion: deletion, staticRow: $0, ranges: ranges, into: whole)
        }
        whole.append(body.bytes)
        return whole.array
    }
}
