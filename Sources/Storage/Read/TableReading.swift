// What a read of a table may rely on, and the counts of what its reads did.
//
// The newest data of a row often makes older files superfluous: they are asked newest first, and one is
// left out if all that it can hold of the row loses against what is known already. The answer must not
// depend on how the data lies in files (replicas compare digests), so a file is left out only if it
// could not even have added a deletion.

internal import Encoding
internal import Model

/// Counts of one table's reads since the engine was opened.
package struct ReadCounters: Equatable, Sendable {
    /// Reads of one partition, and scans.
    package var partitionReads = 0
    package var scans = 0
    /// Files that reads of one partition looked into, and those of them that did not have it.
    package var filesRead = 0
    package var falsePositives = 0
    /// Files that they left out, by reason.
    package var skippedByTokens = 0
    package var skippedByFilter = 0
    package var skippedByClustering = 0
    package var skippedByTimestamp = 0

    package init() {}
}

/// One table's reading: owned by its state, shared with the views of its reads.
final class TableReading {
    @exclusivity(unchecked) var counters = ReadCounters()
    /// The partition is one row: there are no clustering columns.
    private(set) var hasSingleRows = false
    /// Sorted ids of the columns that a row needs to be complete; nil if that cannot be told from its
    /// cells: collections, dropped columns, counters.
    private(set) var columns: [UInt32]?

    init(_ schema: TableSchema) { schemaChanged(schema) }

    func schemaChanged(_ schema: TableSchema) {
        hasSingleRows = schema.clustering.isEmpty
        let isTellable =
            !schema.isCounter && schema.dropped.isEmpty
            && !schema.regulars.contains { $0.type.isMultiCell }
        columns = isTellable ? schema.regulars.map(\.id.value).sorted() : nil
    }
}

/// How new the parts of one row are, as far as its versions are known.
struct RowBound {
    /// The newest timestamp of each column that the row needs.
    private var columns: [Int64] = []
    private var canBeComplete = false
    private var liveness = noTimestamp
    /// Of the row itself.
    private var deletion = noTimestamp

    /// `needed`: the columns of a complete row, if that can be told.
    mutating func begin(needed: [UInt32]?) {
        columns.removeAll(keepingCapacity: true)
        for _ in needed ?? [] { columns.append(noTimestamp) }
        canBeComplete = needed != nil
        liveness = noTimestamp
        deletion = noTimestamp
    }

    /// Takes in a version. Cost: one walk over its cells.
    mutating func add(_ row: RowView, needed: [UInt32]?) throws(MalformedBytes) {
        liveness = max(liveness, row.liveness.timestamp)
        deletion = max(deletion, row.deletion.timestamp)
        guard let needed else { return }
        var place = 0
        var cells = row.cells
        while let cell = try cells.next() {
            while place < needed.count, needed[place] < cell.column { place += 1 }
            guard place < needed.count else { return }
            if needed[place] == cell.column {
                columns[place] = max(columns[place], cell.timestamp)
            }
        }
    }

    /// Markers and cells that are older lose against what is known.
    private var complete: Int64 {
        if !canBeComplete { return noTimestamp }
        var oldest = liveness
        for column in columns { oldest = min(oldest, column) }
        return oldest
    }

    /// Whether nothing of a file with these statistics can change the row.
    func makesSuperfluous(_ statistics: borrowing SSTableStatistics) -> Bool {
        // What lies around rows counts too.
        guard !statistics.hasPartitionWide else { return false }
        if deletion > statistics.maximumTimestamp { return true }
        return statistics.tombstones == 0 && complete > statistics.maximumTimestamp
    }
}
