// Pages that end before they are full, because much of what was read is deleted.
//
// A read over a million tombstones would be a request of unbounded work, in which nothing reaches the client.
// So a page ends behind so many of them, with what rows it has, and be it none; the client asks for the next
// page, as for any other. What the coordinator has passed counts, and what is found dead here.

internal import Encoding
internal import Model

extension SelectExecution {
    /// Lets the page end early, behind so many deletions. Only for pages of rows: groups, aggregates and rows
    /// that have to be sorted need what is still to come.
    package func limitTombstones(to limit: Int) {
        guard pageSize != nil, plan.grouping == nil, !plan.isAggregating, !needsSorting else {
            return
        }
        tombstoneLimit = max(1, limit)
    }

    /// Whether the page may end before it is full.
    package var mayPause: Bool { tombstoneLimit != .max }

    /// Whether so many deletions, and what was passed before, are enough for a page.
    package func isTired(by passed: Int) -> Bool {
        tombstoneLimit - passedTombstones <= passed
    }

    /// How many more deletions an answer may hold.
    var tombstonesLeft: Int {
        mayPause ? max(1, tombstoneLimit - passedTombstones) : .max
    }

    /// Ends the page between two named partitions if enough was passed.
    func pausesBetweenPartitions() -> Bool {
        guard mayPause, open == nil, keyIndex > 0, passedTombstones >= tombstoneLimit,
            case .keys(let keys) = source
        else { return false }
        let last = keys[keyIndex - 1]
        pause(
            PagingState(
                token: last.token, key: last.key, clustering: nil, remaining: remaining,
                remainingInPartition: perPartitionLimit))
        return true
    }

    /// Ends the page behind a place up to which everything was read.
    func pause(at position: ReadCommand.Position) throws {
        let isInside = open?.key == position.key
        let hadLiveRows = isInside && (open?.hadLiveRows ?? false)
        if !isInside { try closePartition() }
        var clustering = position.clustering
        if remainingInPartition <= 0 { clustering = nil }
        if isInside, clustering == nil { try closePartition() }
        if isPageComplete { return stop(hasMore: true) }
        pause(
            PagingState(
                token: position.token, key: position.key, clustering: clustering,
                remaining: remaining, remainingInPartition: remainingInPartition,
                hadLiveRows: hadLiveRows))
    }

    private func pause(_ state: PagingState) {
        isFinished = true
        var state = state
        state.origin = origin
        pagingState = state.bytes
    }
}
