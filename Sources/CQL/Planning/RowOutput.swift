// The current row of a query, and what becomes of it: filtered, then written out or taken into aggregates.

internal import Encoding
internal import Model

/// Collects a query's rows in the form of the native protocol.
struct RowOutput {
    /// What is known of a column of the current row.
    struct Slot {
        /// nil for null.
        var value: UnsafeRawBufferPointer?
        var timestamp: Int64 = noTimestamp
        var timeToLive: UInt32 = 0
        var expiresAt: UInt32 = 0
    }

    let plan: SelectPlan
    private let context: ExecutionContext
    /// Without bind markers: the frame that holds bound values is gone when rows come.
    private let selectors: [PlannedSelector]
    /// How many rows there may be; aggregates take in all rows and give one.
    let limit: Int
    /// The current row, by the place in `SELECT *`. The bytes are somebody else's.
    var slots: [Slot]
    var token: Int64 = 0
    let rows = ByteWriter()
    private(set) var rowCount = 0
    private var accumulators: [Accumulator]
    private lazy var scratch = ByteWriter()

    init(
        _ plan: SelectPlan, _ values: BoundValues, _ context: ExecutionContext, limit: Int
    ) throws(CQLError) {
        self.plan = plan
        self.context = context
        self.limit = limit
        slots = Array(repeating: Slot(), count: plan.columns.count)
        if plan.selectsTerms {
            var resolved: [PlannedSelector] = []
            for selector in plan.selectors {
                resolved.append(try selector.resolved(values, context))
            }
            selectors = resolved
        } else {
            selectors = plan.selectors
        }
        accumulators = []
        for aggregate in plan.aggregates {
            accumulators.append(
                Accumulator(
                    PlannedAggregate(
                        kind: aggregate.kind,
                        argument: try aggregate.argument?.resolved(values, context),
                        type: aggregate.type)))
        }
    }

    var isAggregating: Bool { !accumulators.isEmpty }
    var isFull: Bool { !isAggregating && rowCount >= limit }

    /// Makes the row current, in memory of our own, and takes it if it satisfies the filters.
    mutating func add(_ row: SystemRow, _ filters: [BoundFilter]) throws(CQLError) -> Bool {
        scratch.removeAll()
        var ranges: [ByteRange?] = []
        for value in row {
            ranges.append(value.map { ByteRange(offset: scratch.count, count: $0.count) })
            if let value { scratch.append(value) }
        }
        for (index, range) in ranges.enumerated() {
            slots[index] = Slot(value: range.map { scratch[$0] })
        }
        guard accepts(filters) else { return false }
        try emit()
        return true
    }

    /// Whether the current row satisfies all filters.
    func accepts(_ filters: [BoundFilter]) -> Bool {
        for filter in filters {
            guard filter.accepts(token: token, { slots[$0].value }) else { return false }
        }
        return true
    }

    /// Takes the current row.
    mutating func emit() throws(CQLError) {
        if isAggregating {
            for index in accumulators.indices {
                let argument = accumulators[index].aggregate.argument
                accumulators[index].add(try argument.map(evaluate) ?? nil)
            }
            return
        }
        rowCount += 1
        if let plain = plan.plainSlots {
            for slot in plain { append(slots[slot].value) }
        } else {
            for selector in selectors { append(try evaluate(selector)) }
        }
    }

    /// Writes the one row of a query with aggregates.
    mutating func finish() throws(CQLError) {
        guard isAggregating else { return }
        rowCount = 1
        for selector in selectors { append(try evaluate(selector)) }
    }

    /// Puts these rows in the place of those taken so far.
    mutating func replaceRows(_ replacement: [[UInt8]]) {
        rows.removeAll()
        for row in replacement { rows.append(row) }
        rowCount = replacement.count
    }

    private func append(_ value: UnsafeRawBufferPointer?) {
        guard let value else {
            rows.appendBigEndian(Int32(-1))
            return
        }
        rows.appendBigEndian(Int32(value.count))
        rows.append(value)
    }

    private func append(_ value: [UInt8]?) {
        guard let value else {
            rows.appendBigEndian(Int32(-1))
            return
        }
        value.withUnsafeBytes { append($0) }
    }

    private func evaluate(_ selector: PlannedSelector) throws(CQLError) -> [UInt8]? {
        switch selector {
        case .column(let slot): return slots[slot].value.map { Array($0) }
        case .term(let term): return try term.bytes(BoundValues(), context, "selection")
        case .writeTime(let slot):
            let slot = slots[slot]
            guard slot.value != nil, slot.timestamp != noTimestamp else { return nil }
            return SystemValue.bigEndian(slot.timestamp)
        case .timeToLive(let slot):
            let slot = slots[slot]
            guard slot.value != nil, slot.timeToLive > 0 else { return nil }
            return SystemValue.bigEndian(
                Int32(clamping: Int64(slot.expiresAt) - context.nowInSeconds))
        case .token: return SystemValue.bigEndian(token)
        case .function(let function, let arguments, let place):
            var evaluated: [[UInt8]?] = []
            for argument in arguments { evaluated.append(try evaluate(argument)) }
            return try function.evaluate(evaluated, context, place: place)
        case .aggregate(let index): return accumulators[index].result
        case .field(let inner, let index, let type):
            return try evaluate(inner).flatMap { PlannedSelector.part(of: $0, type, field: index) }
        case .element(let inner, let key, let type):
            guard let value = try evaluate(inner),
                let wanted = try key.bytes(BoundValues(), context, "selection")
            else { return nil }
            return PlannedSelector.part(of: value, type, key: wanted)
        }
    }
}
