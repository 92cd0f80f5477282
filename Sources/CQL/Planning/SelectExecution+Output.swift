// What a select does with its rows: groups, counts against the limits, the page that is complete.

internal import Encoding
package import Model

extension SelectExecution {
    // MARK: Groups

    /// Takes the current row into its group, or gives it out where there are no groups. False if it
    /// belongs to the next page.
    func take(_ clustering: UnsafeRawBufferPointer?) throws(CQLError) -> Bool {
        guard let grouping = plan.grouping else {
            try give(clustering)
            return true
        }
        let key = try output.groupKey(grouping)
        if group == nil || key != group {
            try closeGroup(atEndOfPartition: false)
            if isPageComplete { return false }
            guard remainingInPartition > 0 else { return true }
            group = key
            hasEmitted = false
            groupFirst = clustering.map { Array($0) } ?? []
        }
        // A distinct partition is one row, however many came.
        if plan.isDistinct, hasEmitted { return true }
        hasEmitted = true
        groupLast.removeAll(keepingCapacity: true)
        if let clustering { groupLast.append(contentsOf: clustering) }
        try output.emit()
        return true
    }

    /// Gives out the row of the group that is complete, if there is one.
    func closeGroup(atEndOfPartition: Bool) throws(CQLError) {
        guard group != nil else { return }
        group = nil
        let start = output.rows.count
        try output.closeGroup()
        try checkSize()
        if needsSorting { sort(rowFrom: start, groupFirst) }
        groupLast.withUnsafeBytes {
            count(atEndOfPartition || $0.isEmpty ? nil : $0)
        }
    }

    /// Gives out the current row.
    func give(_ clustering: UnsafeRawBufferPointer?) throws(CQLError) {
        let start = output.rows.count
        try output.emit()
        try checkSize()
        if needsSorting { sort(rowFrom: start, clustering.map { Array($0) } ?? []) }
        count(clustering)
    }

    package static let tooLarge = CQLError.invalid(
        "The result is larger than \(resultBytes) bytes: read it in pages, or less of it")

    func checkSize() throws(CQLError) {
        guard output.rows.count > Self.resultBytes else { return }
        throw Self.tooLarge
    }

    /// Keeps the row that was written last to be put in order at the end.
    func sort(rowFrom start: Int, _ clustering: [UInt8]) {
        let range = ByteRange(offset: start, count: output.rows.count - start)
        sortedRows.append((clustering, Array(output.rows[range])))
    }

    /// Counts a row that was given out. `clustering` is where its partition goes on.
    func count(_ clustering: UnsafeRawBufferPointer?) {
        if remainingInPartition != .max { remainingInPartition -= 1 }
        guard !needsSorting else { return }
        if remaining != .max { remaining -= 1 }
        if remainingInPage != .max { remainingInPage -= 1 }
        if pageSize != nil, output.rows.count >= Self.pageBytes { remainingInPage = 0 }
        guard pageSize != nil, isPageComplete, let open else { return }
        lastGiven = PagingState(
            token: open.token, key: open.key,
            clustering: remainingInPartition > 0 ? clustering.map { Array($0) } : nil,
            remaining: remaining, remainingInPartition: remainingInPartition)
    }

    /// Ends the partition: its static row alone is a row if nothing else was live.
    func closePartition() throws {
        guard let partition = open else { return }
        defer {
            open = nil
            remainingInPartition = perPartitionLimit
        }
        try showStaticRow(of: partition)
        try closeGroup(atEndOfPartition: true)
    }

    func showStaticRow(of partition: OpenPartition) throws {
        guard !partition.hadLiveRows, !partition.staticRow.isEmpty,
            !plan.restrictions.restrictsRows,
            !isPageComplete
        else { return }
        // The bytes are copies: the result that held them may be gone.
        try partition.key.withUnsafeBytes { key in
            try partition.staticRow.withUnsafeBytes { bytes in
                for index in output.slots.indices { output.slots[index] = RowOutput.Slot() }
                output.token = partition.token
                try plan.readPartitionKey(key, into: &output.slots)
                staticCollections?.removeAll()
                let isLive = try readCells(
                    try RowView(bytes), partition.deletion, collections: staticCollections)
                guard isLive else { return }
                if output.accepts(filters) { _ = try take(nil) }
            }
        }
    }

    func equal(_ key: [UInt8], _ other: UnsafeRawBufferPointer) -> Bool {
        key.withUnsafeBytes { equalBytes($0, other) }
    }

    // MARK: Ending

    /// Completes the page: aggregates are written, sorted rows are put in order.
    package func finish() throws(CQLError) {
        if needsSorting {
            let isReversed = plan.isReversed
            let order = sortedRows.indices.sorted { left, right in
                let order = compareBytes(sortedRows[left].clustering, sortedRows[right].clustering)
                if order != 0 { return isReversed ? order > 0 : order < 0 }
                return left < right
            }
            output.replaceRows(order.prefix(remaining).map { sortedRows[$0].row })
        }
        if group != nil { try closeGroup(atEndOfPartition: true) }
        try output.finish()
        try checkSize()
    }
}
