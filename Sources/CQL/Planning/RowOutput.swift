// The current row of a query, and what becomes of it: filtered, then written out or taken into aggregates.

internal import Encoding
internal import Model

/// Collects a query's rows in the form of the native protocol.
struct RowOutput {
    /// What is known of a column of the current row.
    struct Slot {
        /// nil for null.
        var value: UnsafeRawBufferPointer?
        var time = CellTime()
    }

    /// When a cell was written, and how long it lives.
    struct CellTime {
        var timestamp: Int64 = noTimestamp
        var timeToLive: UInt32 = 0
        var expiresAt: UInt32 = 0
    }

    let plan: SelectPlan
    private let context: ExecutionContext
    /// Without bind markers: the frame that holds bound values is gone when rows come.
    private let selectors: [PlannedSelector]
    private let groupExpressions: [PlannedSelector]
    /// How many rows there may be; aggregates take in all rows and give one.
    let limit: Int
    /// The current row, by the place in `SELECT *`. The bytes are somebody else's.
    var slots: [Slot]
    /// By the place of a column that has a cell for each part: when these were written, if the query
    /// asks; nil for an absent field.
    private(set) var elementTimes: [[CellTime?]] = []
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
        var expressions: [PlannedSelector] = []
        for expression in plan.grouping?.expressions ?? [] {
            expressions.append(try expression.resolved(values, context))
        }
        groupExpressions = expressions
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

    /// Notes when the parts of the column were written.
    mutating func note(_ times: [CellTime?], slot: Int) {
        if elementTimes.isEmpty {
            elementTimes = Array(repeating: [], count: slots.count)
        }
        elementTimes[slot] = times
    }

    var isAggregating: Bool { plan.isAggregating }
    var isFull: Bool { (!isAggregating || plan.grouping != nil) && rowCount >= limit }

    /// Makes the row current, in memory of our own, and takes it if it satisfies the filters.
    mutating func add(_ row: SystemRow, _ filters: [BoundFilter]) throws(CQLError) -> Bool {
        guard try set(row, filters) else { return false }
        try emit()
        return true
    }

    /// Makes the row current, in memory of our own. False if it does not satisfy the filters.
    mutating func set(_ row: SystemRow, _ filters: [BoundFilter]) throws(CQLError) -> Bool {
        scratch.removeAll()
        var ranges: [ByteRange?] = []
        for value in row {
            ranges.append(value.map { ByteRange(offset: scratch.count, count: $0.count) })
            if let value { scratch.append(value) }
        }
        for (index, range) in ranges.enumerated() {
            slots[index] = Slot(value: range.map { scratch[$0] })
        }
        return accepts(filters)
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
        if plan.isJSON {
            try writeRow()
        } else if let plain = plan.plainSlots {
            for slot in plain { append(slots[slot].value) }
        } else {
            for selector in selectors { append(try evaluate(selector)) }
        }
    }

    /// Writes the row that the aggregates make of the rows taken so far, and begins anew.
    mutating func closeGroup() throws(CQLError) {
        rowCount += 1
        try writeRow()
        for index in accumulators.indices { accumulators[index].reset() }
    }

    /// Writes the one row of a query with aggregates and without groups.
    mutating func finish() throws(CQLError) {
        guard isAggregating, plan.grouping == nil else { return }
        try closeGroup()
    }

    private mutating func writeRow() throws(CQLError) {
        guard plan.isJSON else {
            for selector in selectors { append(try evaluate(selector)) }
            return
        }
        var values: [[UInt8]?] = []
        for selector in selectors { values.append(try evaluate(selector)) }
        append(Array(JSONText.row(plan.jsonNames, plan.jsonTypes, values).utf8))
    }

    /// What tells a group from the next: the values of the grouping columns of the current row.
    func groupKey(_ grouping: Grouping) throws(CQLError) -> [[UInt8]?] {
        var key: [[UInt8]?] = []
        for part in grouping.parts {
            switch part {
            case .column(let slot): key.append(slots[slot].value.map { Array($0) })
            case .expression(let index): key.append(try evaluate(groupExpressions[index]))
            }
        }
        return key
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
        case .cellTime(let selection):
            if let presence = selection.presence {
                guard let value = try evaluate(presence) else { return nil }
                // Of a slice, elements have to be there.
                if case .slice(_, _, _, let type, _) = presence,
                    CollectionFunctions.parts(of: value, type)?.isEmpty ?? true
                {
                    return nil
                }
            }
            return selection.evaluate(
                slots[selection.slot],
                elementTimes.isEmpty ? [] : elementTimes[selection.slot],
                nowInSeconds: context.nowInSeconds)
        case .token: return SystemValue.bigEndian(token)
        case .function(let function, let arguments, let place):
            var evaluated: [[UInt8]?] = []
            for argument in arguments { evaluated.append(try evaluate(argument)) }
            return try function.evaluate(evaluated, context, place: place)
        case .aggregate(let index): return try accumulators[index].result()
        case .field(let inner, let index, let type):
            return try evaluate(inner).flatMap { PlannedSelector.part(of: $0, type, field: index) }
        case .element(let inner, let key, let type, _):
            guard let value = try evaluate(inner), let wanted = Self.constant(key) else {
                return nil
            }
            return PlannedSelector.part(of: value, type, key: wanted)
        case .slice(let inner, let from, let to, let type, _):
            return try evaluate(inner).flatMap {
                PlannedSelector.slice(
                    of: $0, type, from: Self.constant(from), to: Self.constant(to))
            }
        case .fields(let parts):
            var bytes: [UInt8] = []
            for part in parts {
                let value = try evaluate(part)
                bytes += SystemValue.bigEndian(Int32(value?.count ?? -1)) + (value ?? [])
            }
            return bytes
        case .collection(let type, let parts):
            var values: [[UInt8]] = []
            for part in parts {
                guard let value = try evaluate(part) else {
                    throw .invalid("null is not supported inside collections")
                }
                values.append(value)
            }
            if case .vector(let element, _) = type {
                return Array(values.map { PlannedTerm.vectorElement(element, $0) }.joined())
            }
            return PlannedTerm.collection(type, values)
        }
    }

    /// A value that was computed before the first row.
    private static func constant(_ term: PlannedTerm?) -> [UInt8]? {
        if case .constant(let bytes)? = term { bytes } else { nil }
    }
}
