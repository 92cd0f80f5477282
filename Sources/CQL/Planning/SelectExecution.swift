// Running a SELECT: a machine that asks for reads and consumes their results, one after another.
//
//     while let command = execution.nextCommand() { execution.consume(<result of command>) }
//     execution.finish()
//
// It does no reading of its own and keeps no time: the coordinator carries the commands out. A result may
// hold dead rows and deletions, which are judged here: so the answer of one replica, or the merge of
// several, becomes the page without a result in between. After `finish`, `rows` holds the page in the form of the native
// protocol and `pagingState` says where the next one begins.
//
// Ordering: partitions named by IN are read in the order of their values, a scan in token order. Cost:
// one command at a time; values are copied once, from the result into the page.

internal import Encoding
package import Model

/// One execution of a SELECT, or of one page of it. A class: it has some thirty fields, and is looked at
/// from several places.
package final class SelectExecution {
    private enum Source {
        case key(token: Int64, key: [UInt8])
        case keys([(token: Int64, key: [UInt8])])
        /// `start < token <= end`
        case range(start: Int64, end: Int64)
    }

    /// What has been read of a partition that isn't finished.
    private struct OpenPartition {
        let token: Int64
        let key: [UInt8]
        /// The last row read, dead or alive.
        var clustering: [UInt8]?
        var hadLiveRows = false
        /// The static row waits to be shown alone if no live row follows.
        var staticRow: [UInt8] = []
        /// What covers it.
        var deletion = Deletion.none
    }

    /// How many rows are asked for at once where the page size says nothing about it.
    private static let fetchSize = 5_000
    /// A page ends behind the row that reaches it, whatever number of rows it may have: a client's page size
    /// must not decide how much memory a node uses.
    private static let pageBytes = 16 << 20
    /// A result without pages that grows beyond it is refused: the protocol's frames end at 256 MiB.
    private static let resultBytes = 192 << 20

    package let plan: SelectPlan
    private let context: ExecutionContext
    private let slices: [ClusteringSlice]?
    private let filters: [BoundFilter]
    private let perPartitionLimit: Int
    private let pageSize: Int?
    private var output: RowOutput
    private var source: Source
    private var keyIndex = 0
    private var open: OpenPartition?
    /// In a scan: everything up to here was read.
    private var scannedKey: (token: Int64, key: [UInt8])?
    private var remaining: Int
    private var remainingInPartition: Int
    private var remainingInPage: Int
    private var isFinished = false
    private var sortedRows: [(clustering: [UInt8], row: [UInt8])] = []
    private lazy var clusteringValues = ByteWriter()
    private var clusteringRanges: [ByteRange] = []
    /// What tells the current group from the next; nil outside of groups.
    private var group: [[UInt8]?]?
    /// The clustering keys of the group's first and last row.
    private var groupFirst: [UInt8] = []
    /// Whether the current group has taken in a row.
    private var hasEmitted = false
    private var groupLast: [UInt8] = []
    // Only for tables that have collections which aren't frozen.
    private let rowCollections: ByteWriter?
    private let staticCollections: ByteWriter?

    /// Where the next page begins; nil if there is none. Known after `finish`.
    package private(set) var pagingState: [UInt8]?

    /// How many rows the page has.
    package var rowCount: Int { output.rowCount }
    /// The rows one after another, each value as [bytes].
    package var rows: UnsafeRawBufferPointer { output.rows.bytes }

    /// How many partitions and how many stretches of each are named; 0 where none is.
    package var partitionCount: Int {
        switch source {
        case .key: 1
        case .keys(let keys): keys.count
        case .range: 0
        }
    }
    package var sliceCount: Int { slices?.count ?? 0 }

    // MARK: Beginning

    /// Begins an execution. `pageSize` is nil, or not positive, for all rows at once; `pagingState` is
    /// what the page before gave, and garbage in it is refused.
    package init(
        _ plan: SelectPlan, _ values: BoundValues, _ context: ExecutionContext,
        pageSize: Int? = nil, pagingState: [UInt8]? = nil
    ) throws(CQLError) {
        self.plan = plan
        self.context = context
        rowCollections = plan.hasCollections ? ByteWriter() : nil
        staticCollections = plan.hasCollections ? ByteWriter() : nil
        let limit = try SelectPlan.limit(plan.limit, "LIMIT", values, context) ?? .max
        let perPartition = try SelectPlan.limit(
            plan.perPartitionLimit, "PER PARTITION LIMIT", values, context)
        perPartitionLimit = plan.isDistinct ? 1 : perPartition ?? .max
        let pageSize = (pageSize ?? 0) > 0 ? pageSize : nil
        let evaluation = KeyEvaluation(table: plan.table, values: values, context: context)
        let clusteringSlices = try evaluation.slices(plan.restrictions.clustering)
        slices = clusteringSlices
        var bound: [BoundFilter] = []
        for filter in plan.restrictions.filters { bound.append(try filter.bound(values, context)) }
        filters = bound
        switch plan.restrictions.partition {
        case .keys(let restrictions):
            let keys = try evaluation.partitionKeys(restrictions)
            if let bounds = plan.restrictions.keyTokens {
                let range = try evaluation.tokenRange(bounds.lower, bounds.upper)
                source = .keys(
                    keys.map { (Token.of($0).value, $0) }.filter { key in
                        guard let range else { return false }
                        return range.contains(key.0)
                    })
            } else if keys.count == 1 {
                source = .key(token: Token.of(keys[0]).value, key: keys[0])
            } else {
                source = .keys(keys.map { (Token.of($0).value, $0) })
            }
        case .tokens(let lower, let upper):
            if let range = try evaluation.tokenRange(lower, upper) {
                source = .range(start: range.start, end: range.end)
            } else {
                source = .keys([])
            }
        case .everything: source = .range(start: .min, end: .max)
        }
        let isAggregating = plan.isAggregating && plan.grouping == nil
        self.pageSize = isAggregating ? nil : pageSize
        remaining = isAggregating ? .max : limit
        remainingInPage = isAggregating ? .max : pageSize ?? .max
        remainingInPartition = perPartitionLimit
        output = try RowOutput(plan, values, context, limit: .max)
        if clusteringSlices?.isEmpty == true { isFinished = true }
        if needsSorting, pageSize != nil {
            throw .invalid(
                "Cannot page queries with both ORDER BY and a IN restriction on the partition key; you"
                    + " must either remove the ORDER BY or the IN and sort client side, or disable"
                    + " paging for this query")
        }
        if let pagingState, !isAggregating, !needsSorting { try resume(pagingState) }
    }

    /// Whether rows of several partitions have to be put in order.
    private var needsSorting: Bool {
        guard plan.hasOrdering, case .keys(let keys) = source else { return false }
        return keys.count > 1
    }

    private func resume(_ bytes: [UInt8]) throws(CQLError) {
        let state = try PagingState(bytes, clusteringColumns: plan.table.clustering)
        remaining = min(remaining, state.remaining)
        guard remaining > 0 else {
            isFinished = true
            return
        }
        switch source {
        case .key(_, let key):
            guard key == state.key else { throw PagingState.invalid }
            keyIndex = state.clustering == nil ? 1 : 0
        case .keys(let keys):
            guard let index = keys.firstIndex(where: { $0.key == state.key }) else {
                throw PagingState.invalid
            }
            keyIndex = state.clustering == nil ? index + 1 : index
        case .range(let start, let end):
            guard state.token > start || start == .min, state.token <= end else {
                throw PagingState.invalid
            }
            scannedKey = (state.token, state.key)
        }
        guard let clustering = state.clustering else { return }
        open = OpenPartition(
            token: state.token, key: state.key, clustering: clustering, hadLiveRows: true)
        remainingInPartition = min(perPartitionLimit, state.remainingInPartition)
    }

    // MARK: Asking

    /// The next read to carry out, or nil when the page is complete.
    package func nextCommand() throws(CQLError) -> ReadCommand? {
        guard !isFinished, remaining > 0, remainingInPage > 0 else { return nil }
        let countsRows = filters.isEmpty && plan.grouping == nil
        let isCounting = countsRows && !plan.isAggregating && !needsSorting
        let rowLimit = isCounting ? min(remaining, remainingInPage) : Self.fetchSize
        let perPartition = countsRows || plan.isDistinct ? perPartitionLimit : .max
        switch source {
        case .key, .keys:
            guard keyIndex < keyCount else { return nil }
            let (token, key) = currentKey
            var slices = slices
            if let clustering = open?.clustering { slices = rest(of: slices, after: clustering) }
            if slices?.isEmpty == true || remainingInPartition <= 0 {
                // Nothing that is wanted can follow the last row that was read.
                try reporting { try closePartition() }
                open = nil
                keyIndex += 1
                remainingInPartition = perPartitionLimit
                if isPageComplete { stop(hasMore: keyIndex < keyCount) }
                return try nextCommand()
            }
            return ReadCommand(
                table: plan.table.id, scope: .partition(token: token, key: key), slices: slices,
                reversed: plan.isReversed, nowInSeconds: context.nowInSeconds, rowLimit: rowLimit,
                partitionRowLimit: countsRows ? remainingInPartition : .max)
        case .range(let start, let end):
            var scope = ReadCommand.TokenScope(start: start, end: end)
            if let scannedKey {
                scope.after = ReadCommand.Position(
                    token: scannedKey.token, key: scannedKey.key, clustering: open?.clustering)
            }
            return ReadCommand(
                table: plan.table.id, scope: .range(scope), slices: slices,
                reversed: plan.isReversed, nowInSeconds: context.nowInSeconds, rowLimit: rowLimit,
                partitionRowLimit: perPartition)
        }
    }

    /// How many partitions are named; none in a scan.
    private var keyCount: Int {
        switch source {
        case .key: 1
        case .keys(let keys): keys.count
        case .range: 0
        }
    }

    /// The partition that is read now, where partitions are named.
    private var currentKey: (token: Int64, key: [UInt8]) {
        switch source {
        case .key(let token, let key): (token, key)
        case .keys(let keys): keys[keyIndex]
        case .range: preconditionFailure("a scan names no partition")
        }
    }

    private var isScan: Bool {
        if case .range = source { true } else { false }
    }

    /// The part of the slices that is read after `clustering`.
    private func rest(of slices: [ClusteringSlice]?, after clustering: [UInt8]) -> [ClusteringSlice]
    {
        let lowest = ByteWriter()
        ClusteringKey.appendBound(.below, into: lowest)
        let highest = ByteWriter()
        ClusteringKey.appendBound(.above, into: highest)
        let all = slices ?? [ClusteringSlice(lower: lowest.array, upper: highest.array)]
        return all.compactMap { slice in
            var slice = slice
            if plan.isReversed {
                if compareBytes(clustering, slice.upper) < 0 { slice.upper = clustering }
            } else {
                let next = clustering + [0]
                if compareBytes(slice.lower, next) < 0 { slice.lower = next }
            }
            return compareBytes(slice.lower, slice.upper) < 0 ? slice : nil
        }
    }

    // MARK: Consuming

    /// Whether `consume` may be given a replica's answer with the deletions in it, if that answer is
    /// exhausted. A counter's shards have to be summed before.
    package var readsReplicaData: Bool { !plan.table.isCounter }

    /// Takes in the answer to the last command. `scannedThrough` is the token up to which a scan was
    /// answered, if the coordinator read only a part of the command's range; `isExhausted` is then
    /// about that part.
    package func consume(
        _ result: ReadResultView, scannedThrough: Int64? = nil
    ) throws(CQLError) {
        try reporting { try consumeResult(result, scannedThrough) }
    }

    /// Runs `body` with its errors as a client's.
    private func reporting(_ body: () throws -> Void) throws(CQLError) {
        do {
            try body()
        } catch let error as CQLError {
            throw error
        } catch {
            throw .serverError("malformed read result: \(error)")
        }
    }

    private func consumeResult(
        _ result: ReadResultView, _ scannedThrough: Int64?
    ) throws {
        var partitions = result.partitions
        var sawAny = false
        while let (token, key, bytes) = try partitions.next() {
            sawAny = true
            let isSame = open.map { equal($0.key, key) } ?? false
            if !isSame {
                try closePartition()
                if isPageComplete {
                    return stop(hasMore: true)
                }
                open = OpenPartition(token: token, key: try copy(of: key))
                remainingInPartition = perPartitionLimit
            }
            if isScan, let open { scannedKey = (token, open.key) }
            let partition = try PartitionView(bytes)
            let isLast = partitions.reader.isAtEnd
            let keepsPlace = isLast && !result.isExhausted
            let finished = try consumePartition(partition, key, token, keepsPlace: keepsPlace)
            if !finished {
                // The page ended inside the partition.
                let isDone = isLast && result.isExhausted && isLastScope(scannedThrough)
                return stop(hasMore: !(isDone && rowsEnded))
            }
            if isLast, !result.isExhausted, open?.clustering == nil || shownRows == 0 {
                // An answer that stops at a partition without rows stops behind it.
                try closePartition()
                if !isScan { keyIndex += 1 }
            }
        }
        if isPageComplete, !result.isExhausted {
            return stop(hasMore: isScan || keyIndex < keyCount)
        }
        guard result.isExhausted else {
            guard sawAny else {
                if let scannedThrough { return moveOn(scannedThrough) }
                throw CQLError.serverError("a read answered nothing and was not at its end")
            }
            return
        }
        try closePartition()
        switch source {
        case .key, .keys:
            keyIndex += 1
            if keyIndex >= keyCount { isFinished = true }
        case .range(_, let end):
            if let scannedThrough, scannedThrough < end {
                moveOn(scannedThrough)
            } else {
                isFinished = true
            }
        }
        if isPageComplete { stop(hasMore: !isFinished) }
    }

    /// How many rows the last consumed partition showed, and whether the page ended on the last one.
    private var shownRows = 0
    private var rowsEnded = false
    /// The last row or partition that was given out, for the paging state.
    private var lastGiven: PagingState?

    private var isPageComplete: Bool { remaining <= 0 || remainingInPage <= 0 }

    private func isLastScope(_ scannedThrough: Int64?) -> Bool {
        switch source {
        case .key, .keys: return keyIndex >= keyCount - 1
        case .range(_, let end): return scannedThrough.map { $0 >= end } ?? true
        }
    }

    /// Goes on behind a part of the range that was read completely.
    private func moveOn(_ token: Int64) {
        guard case .range(_, let end) = source else { return }
        open = nil
        scannedKey = nil
        if token >= end {
            isFinished = true
        } else {
            source = .range(start: token, end: end)
        }
    }

    /// Ends the page.
    private func stop(hasMore: Bool) {
        isFinished = true
        guard hasMore, pageSize != nil, remaining > 0, var state = lastGiven else { return }
        state.remaining = remaining
        pagingState = state.bytes
    }

    /// The key as an array; the one that was asked for is shared.
    private func copy(of key: UnsafeRawBufferPointer) throws -> [UInt8] {
        guard !isScan else { return Array(key) }
        let asked = currentKey.key
        guard equal(asked, key) else {
            throw MalformedBytes("an answer about another partition", offset: 0)
        }
        return asked
    }

    /// Reads a partition's rows. `keepsPlace`: the read may have to go on behind the last row. False if the page was completed before its end.
    private func consumePartition(
        _ partition: PartitionView, _ key: UnsafeRawBufferPointer, _ token: Int64, keepsPlace: Bool
    ) throws -> Bool {
        output.token = token
        for index in output.slots.indices { output.slots[index] = RowOutput.Slot() }
        try readPartitionKey(key)
        if !partition.staticRow.isEmpty {
            staticCollections?.removeAll()
            if try readCells(
                try RowView(partition.staticRow), partition.deletion,
                collections: staticCollections)
            {
                open?.staticRow = Array(partition.staticRow)
                open?.deletion = partition.deletion
            }
        }
        shownRows = 0
        var last: UnsafeRawBufferPointer?
        defer { if keepsPlace, let last { open?.clustering = Array(last) } }
        var rows = partition.rows
        while let (clustering, bytes) = try rows.next() {
            shownRows += 1
            last = clustering
            let row = try RowView(bytes)
            clearRegulars()
            rowCollections?.removeAll()
            let covering = partition.shadow(of: clustering).merged(with: row.deletion)
            let hasCells = try readCells(row, covering, collections: rowCollections)
            let isMarked =
                row.liveness.isLive(nowInSeconds: context.nowInSeconds)
                && !covering.shadows(row.liveness.timestamp)
            // A row that lives by cells of dropped columns alone is none.
            guard hasCells || isMarked else { continue }
            open?.hadLiveRows = true
            guard remainingInPartition > 0 || group != nil else { continue }
            try readClustering(clustering, row)
            guard output.accepts(filters) else { continue }
            guard try take(clustering) else {
                // The row begins a group that the next page shows.
                rowsEnded = false
                return false
            }
            if isPageComplete {
                rowsEnded = rows.reader.isAtEnd
                return false
            }
        }
        return true
    }

    private func readPartitionKey(_ key: UnsafeRawBufferPointer) throws {
        let count = plan.table.partitionKey.count
        guard count > 1 else {
            output.slots[0].value = key
            return
        }
        for (slot, range) in try PartitionKey.components(of: key, count: count).enumerated() {
            output.slots[slot].value = UnsafeRawBufferPointer(
                rebasing: key[range.offset..<range.end])
        }
    }

    private func clearRegulars() {
        let first = plan.columns.count - plan.table.regulars.count
        for slot in first..<plan.columns.count { output.slots[slot] = RowOutput.Slot() }
    }

    /// Puts the row's live cells into their places. False if there are none. Collections are put together
    /// in `writer`.
    private func readCells(
        _ row: RowView, _ covering: Deletion, collections writer: ByteWriter?
    ) throws -> Bool {
        var found = false
        var assembly = CollectionAssembly()
        var times: [(slot: Int, elements: [RowOutput.CellTime?])] = []
        var complexColumn: UInt32?
        var complexDeletion = Deletion.none
        var cells = row.cells
        while let cell = try cells.next() {
            guard cell.column < plan.slotByColumnID.count else { continue }
            let slot = plan.slotByColumnID[Int(cell.column)]
            guard slot >= 0 else { continue }
            if cell.isComplexDeletion {
                complexColumn = cell.column
                complexDeletion = Deletion(
                    timestamp: cell.timestamp, localDeletionTime: cell.localDeletionTime)
                continue
            }
            guard cell.isLive(nowInSeconds: context.nowInSeconds),
                !covering.shadows(cell.timestamp),
                complexColumn != cell.column || !complexDeletion.shadows(cell.timestamp)
            else { continue }
            found = true
            if cell.flags.contains(.hasPath) {
                guard let writer else {
                    throw MalformedBytes(
                        "a cell with a path in a table without collections", offset: 0)
                }
                let type = plan.columns[Int(slot)].type
                try assembly.add(cell, slot: Int(slot), type: type, into: writer)
                if plan.needsElementTimes { try note(cell, slot: Int(slot), type, &times) }
                continue
            }
            output.slots[Int(slot)] = RowOutput.Slot(
                value: cell.value, time: RowOutput.CellTime(cell))
        }
        guard let writer else { return found }
        // The writer's memory stays where it is from here on until the next row.
        for (slot, range) in assembly.finish(into: writer) {
            output.slots[slot] = RowOutput.Slot(value: writer[range])
        }
        for (slot, elements) in times { output.note(elements, slot: slot) }
        return found
    }

    /// Notes when an element or field was written.
    private func note(
        _ cell: Cell, slot: Int, _ type: CQLType,
        _ times: inout [(slot: Int, elements: [RowOutput.CellTime?])]
    ) throws(MalformedBytes) {
        if times.last?.slot != slot { times.append((slot, [])) }
        if case .userDefined = type {
            var path = ByteReader(cell.path)
            let field = Int(try path.readBigEndian(UInt16.self))
            while times[times.count - 1].elements.count < field {
                times[times.count - 1].elements.append(nil)
            }
        }
        times[times.count - 1].elements.append(RowOutput.CellTime(cell))
    }

    private func readClustering(
        _ encoded: UnsafeRawBufferPointer, _ row: RowView
    ) throws {
        let columns = plan.table.clustering
        guard plan.needsClustering, !columns.isEmpty else { return }
        let first = plan.table.partitionKey.count
        if row.originalKey.count > 0 {
            var reader = ByteReader(row.originalKey)
            for slot in columns.indices {
                let length = Int(try reader.readLittleEndian(Int32.self))
                output.slots[first + slot].value = try reader.readBytes(length)
            }
            return
        }
        clusteringValues.removeAll()
        clusteringRanges.removeAll(keepingCapacity: true)
        try ClusteringKey.decode(
            encoded, columns: columns, into: clusteringValues, ranges: &clusteringRanges)
        for (slot, range) in clusteringRanges.enumerated() {
            output.slots[first + slot].value = range.count < 0 ? nil : clusteringValues[range]
        }
    }

    // MARK: Groups

    /// Takes the current row into its group, or gives it out where there are no groups. False if it
    /// belongs to the next page.
    private func take(_ clustering: UnsafeRawBufferPointer?) throws(CQLError) -> Bool {
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
    private func closeGroup(atEndOfPartition: Bool) throws(CQLError) {
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
    private func give(_ clustering: UnsafeRawBufferPointer?) throws(CQLError) {
        let start = output.rows.count
        try output.emit()
        try checkSize()
        if needsSorting { sort(rowFrom: start, clustering.map { Array($0) } ?? []) }
        count(clustering)
    }

    private func checkSize() throws(CQLError) {
        guard output.rows.count > Self.resultBytes else { return }
        throw .invalid(
            "The result is larger than \(Self.resultBytes) bytes: read it in pages, or less of it")
    }

    /// Keeps the row that was written last to be put in order at the end.
    private func sort(rowFrom start: Int, _ clustering: [UInt8]) {
        let range = ByteRange(offset: start, count: output.rows.count - start)
        sortedRows.append((clustering, Array(output.rows[range])))
    }

    /// Counts a row that was given out. `clustering` is where its partition goes on.
    private func count(_ clustering: UnsafeRawBufferPointer?) {
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
    private func closePartition() throws {
        guard let partition = open else { return }
        defer {
            open = nil
            remainingInPartition = perPartitionLimit
        }
        try showStaticRow(of: partition)
        try closeGroup(atEndOfPartition: true)
    }

    private func showStaticRow(of partition: OpenPartition) throws {
        guard !partition.hadLiveRows, !partition.staticRow.isEmpty,
            !plan.restrictions.restrictsRows,
            !isPageComplete
        else { return }
        // The bytes are copies: the result that held them may be gone.
        try partition.key.withUnsafeBytes { key in
            try partition.staticRow.withUnsafeBytes { bytes in
                for index in output.slots.indices { output.slots[index] = RowOutput.Slot() }
                output.token = partition.token
                try readPartitionKey(key)
                staticCollections?.removeAll()
                let isLive = try readCells(
                    try RowView(bytes), partition.deletion, collections: staticCollections)
                guard isLive else { return }
                if output.accepts(filters) { _ = try take(nil) }
            }
        }
    }

    private func equal(_ key: [UInt8], _ other: UnsafeRawBufferPointer) -> Bool {
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

extension RowOutput.CellTime {
    init(_ cell: Cell) {
        self.init(
            timestamp: cell.timestamp, timeToLive: cell.timeToLive,
            expiresAt: cell.localDeletionTime)
    }
}
