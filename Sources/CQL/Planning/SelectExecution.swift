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

package import Encoding
package import Model

/// One execution of a SELECT, or of one page of it. A class: it has some thirty fields, and is looked at
/// from several places.
package final class SelectExecution {
    enum Source {
        case key(token: Int64, key: [UInt8])
        case keys([(token: Int64, key: [UInt8])])
        /// `start < token <= end`
        case range(start: Int64, end: Int64)
    }

    /// What has been read of a partition that isn't finished.
    struct OpenPartition {
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
    static let fetchSize = 5_000
    /// A page ends behind the row that reaches it, whatever number of rows it may have: a client's page size
    /// must not decide how much memory a node uses.
    static let pageBytes = 16 << 20
    /// A result without pages that grows beyond it is refused: the protocol's frames end at 256 MiB.
    package static let resultBytes = 192 << 20

    /// No key begins so: of a partition, the static row alone is read.
    static let noRows = [ClusteringSlice(lower: [0], upper: [1])]

    package let plan: SelectPlan
    let context: ExecutionContext
    let slices: [ClusteringSlice]?
    let filters: [BoundFilter]
    let perPartitionLimit: Int
    let pageSize: Int?
    var output: RowOutput
    var source: Source
    var keyIndex = 0
    var open: OpenPartition?
    /// In a scan: everything up to here was read.
    var scannedKey: (token: Int64, key: [UInt8])?
    var remaining: Int
    var remainingInPartition: Int
    var remainingInPage: Int
    var isFinished = false
    var sortedRows: [(clustering: [UInt8], row: [UInt8])] = []
    lazy var clusteringValues = ClusteringValues()
    /// What tells the current group from the next; nil outside of groups.
    var group: [[UInt8]?]?
    /// The clustering keys of the group's first and last row.
    var groupFirst: [UInt8] = []
    /// Whether the current group has taken in a row.
    var hasEmitted = false
    var groupLast: [UInt8] = []
    // Only for tables that have collections which aren't frozen.
    let rowCollections: ByteWriter?
    let staticCollections: ByteWriter?

    /// Where the next page begins; nil if there is none. Known after `finish`.
    package internal(set) var pagingState: [UInt8]?
    /// Behind so many deletions the page may end early.
    var tombstoneLimit = Int.max
    /// Deletions that were passed, as far as they are known here.
    package var passedTombstones = 0
    /// The node whose fragments are shown.
    let origin: UniqueID?

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
    /// what the page before gave, and garbage in it is refused. `origin` is this node, for a select of its
    /// mutation fragments, which goes on nowhere else.
    package init(
        _ plan: SelectPlan, _ values: BoundValues, _ context: ExecutionContext,
        pageSize: Int? = nil, pagingState: [UInt8]? = nil, origin: UniqueID? = nil
    ) throws(CQLError) {
        self.plan = plan
        self.origin = plan.fragmentsOf == nil ? nil : origin
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
        slices = plan.table.compact == .static ? Self.noRows : clusteringSlices
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
    var needsSorting: Bool {
        guard plan.hasOrdering, case .keys(let keys) = source else { return false }
        return keys.count > 1
    }

    func resume(_ bytes: [UInt8]) throws(CQLError) {
        // The places of fragments are more than keys.
        let state = try PagingState(
            bytes, clusteringColumns: plan.fragmentsOf == nil ? plan.table.clustering : nil)
        guard state.origin == origin else {
            guard let other = state.origin, origin != nil else { throw PagingState.invalid }
            throw .invalid(
                "Moving between coordinators is not allowed in SELECT FROM MUTATION_FRAGMENTS()"
                    + " statements, last page's coordinator was \(other)")
        }
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
            token: state.token, key: state.key, clustering: clustering,
            hadLiveRows: state.hadLiveRows)
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
            guard keyIndex < keyCount, !pausesBetweenPartitions() else { return nil }
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
                partitionRowLimit: countsRows ? remainingInPartition : .max,
                tombstoneLimit: tombstonesLeft, showsFragments: plan.fragmentsOf != nil)
        case .range(let start, let end):
            var scope = ReadCommand.TokenScope(start: start, end: end)
            if let scannedKey {
                scope.after = ReadCommand.Position(
                    token: scannedKey.token, key: scannedKey.key, clustering: open?.clustering)
            }
            return ReadCommand(
                table: plan.table.id, scope: .range(scope), slices: slices,
                reversed: plan.isReversed, nowInSeconds: context.nowInSeconds, rowLimit: rowLimit,
                partitionRowLimit: perPartition, tombstoneLimit: tombstonesLeft,
                showsFragments: plan.fragmentsOf != nil)
        }
    }

    /// How many partitions are named; none in a scan.
    var keyCount: Int {
        switch source {
        case .key: 1
        case .keys(let keys): keys.count
        case .range: 0
        }
    }

    /// The partition that is read now, where partitions are named.
    var currentKey: (token: Int64, key: [UInt8]) {
        switch source {
        case .key(let token, let key): (token, key)
        case .keys(let keys): keys[keyIndex]
        case .range: preconditionFailure("a scan names no partition")
        }
    }

    var isScan: Bool {
        if case .range = source { true } else { false }
    }

    /// The part of the slices that is read after `clustering`.
    func rest(of slices: [ClusteringSlice]?, after clustering: [UInt8]) -> [ClusteringSlice] {
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
    /// about that part. `pausedAt`: the coordinator stopped behind that place, because of `passed` deletions,
    /// and the page is to end there.
    package func consume(
        _ result: ReadResultView, scannedThrough: Int64? = nil,
        pausedAt: ReadCommand.Position? = nil, passed: Int = 0
    ) throws(CQLError) {
        passedTombstones += passed
        try reporting { try consumeResult(result, scannedThrough, pausedAt) }
    }

    /// Runs `body` with its errors as a client's.
    func reporting(_ body: () throws -> Void) throws(CQLError) {
        do {
            try body()
        } catch let error as CQLError {
            throw error
        } catch {
            throw .serverError("malformed read result: \(error)")
        }
    }

    func consumeResult(
        _ result: ReadResultView, _ scannedThrough: Int64?, _ pausedAt: ReadCommand.Position?
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
            let keepsPlace = isLast && !result.isExhausted && pausedAt == nil
            let finished = try consumePartition(partition, key, token, keepsPlace: keepsPlace)
            if !finished {
                // The page ended inside the partition.
                let isDone = isLast && result.isExhausted && isLastScope(scannedThrough)
                return stop(hasMore: !(isDone && rowsEnded))
            }
            if isLast, !result.isExhausted, pausedAt == nil,
                open?.clustering == nil || shownRows == 0
            {
                // An answer that stops at a partition without rows stops behind it.
                try closePartition()
                if !isScan { keyIndex += 1 }
            }
        }
        if isPageComplete, !result.isExhausted {
            return stop(hasMore: isScan || keyIndex < keyCount)
        }
        guard result.isExhausted else {
            if let pausedAt { return try pause(at: pausedAt) }
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
    var shownRows = 0
    var rowsEnded = false
    /// The last row or partition that was given out, for the paging state.
    var lastGiven: PagingState?

    var isPageComplete: Bool { remaining <= 0 || remainingInPage <= 0 }

    func isLastScope(_ scannedThrough: Int64?) -> Bool {
        switch source {
        case .key, .keys: return keyIndex >= keyCount - 1
        case .range(_, let end): return scannedThrough.map { $0 >= end } ?? true
        }
    }

    /// Goes on behind a part of the range that was read completely.
    func moveOn(_ token: Int64) {
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
    func stop(hasMore: Bool) {
        isFinished = true
        guard hasMore, pageSize != nil, remaining > 0, var state = lastGiven else { return }
        state.remaining = remaining
        state.origin = origin
        pagingState = state.bytes
    }

    /// The key as an array; the one that was asked for is shared.
    func copy(of key: UnsafeRawBufferPointer) throws -> [UInt8] {
        guard !isScan else { return Array(key) }
        let asked = currentKey.key
        guard equal(asked, key) else {
            throw MalformedBytes("an answer about another partition", offset: 0)
        }
        return asked
    }
}
