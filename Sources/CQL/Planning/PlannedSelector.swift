// The select list with its names looked up and its types settled.

internal import Encoding
internal import Model

/// An expression over one row (or over the results of aggregates).
indirect enum PlannedSelector: Sendable {
    /// A column by its place in `SELECT *`.
    case column(Int)
    case term(PlannedTerm)
    /// When a column, or its parts, were written, or how long they still live.
    case cellTime(CellTimeSelection)
    /// The token of the row's partition.
    case token
    case function(ScalarFunction, [PlannedSelector], place: Int)
    /// The result of the aggregate of that number.
    case aggregate(Int)
    /// A field of a user-defined type, by its place.
    case field(PlannedSelector, Int, CQLType)
    /// The value of a key of a map, or an element of a set if it is there. The name is that of the map or
    /// set, for error texts.
    case element(PlannedSelector, PlannedTerm, CQLType, name: String)
    /// The entries of a map, or the elements of a set, from one key to another, both included.
    case slice(PlannedSelector, from: PlannedTerm?, to: PlannedTerm?, CQLType, name: String)
    /// A tuple or user-defined type made of its fields.
    case fields([PlannedSelector])
    /// A list, set or map made of its parts, or a vector.
    case collection(CQLType, [PlannedSelector])
}

extension PlannedSelector {
    /// The expressions that this one is made of.
    private var parts: [PlannedSelector] {
        switch self {
        case .function(_, let items, _), .fields(let items), .collection(_, let items): items
        case .field(let inner, _, _), .element(let inner, _, _, _), .slice(let inner, _, _, _, _):
            [inner]
        case .column, .term, .cellTime, .token, .aggregate: []
        }
    }

    /// Whether the expression holds values of its own.
    var holdsTerms: Bool {
        switch self {
        case .term, .element, .slice: true
        case .cellTime(let selection): selection.holdsTerms
        default: parts.contains(where: \.holdsTerms)
        }
    }

    /// Whether the expression depends on a row, or on several.
    private var looksAtRow: Bool {
        switch self {
        case .column, .cellTime, .token, .aggregate: true
        default: parts.contains(where: \.looksAtRow)
        }
    }

    /// Whether the expression is made of aggregates' results.
    var isAggregate: Bool {
        if case .aggregate = self { return true }
        return parts.contains(where: \.isAggregate)
    }

    /// The expression with everything that is not made of aggregates taken from the first row: that one is
    /// gone when the result is written.
    func ofFirstRow(_ aggregates: inout [PlannedAggregate]) -> PlannedSelector {
        guard looksAtRow else { return self }
        guard isAggregate else {
            aggregates.append(PlannedAggregate(kind: .first, argument: self, type: .blob))
            return .aggregate(aggregates.count - 1)
        }
        func mapped(_ items: [PlannedSelector]) -> [PlannedSelector] {
            items.map { $0.ofFirstRow(&aggregates) }
        }
        switch self {
        case .function(let function, let items, let place):
            return .function(function, mapped(items), place: place)
        case .fields(let items): return .fields(mapped(items))
        case .collection(let type, let items): return .collection(type, mapped(items))
        case .field(let inner, let index, let type):
            return .field(inner.ofFirstRow(&aggregates), index, type)
        case .element(let inner, let key, let type, let name):
            return .element(inner.ofFirstRow(&aggregates), key, type, name: name)
        case .slice(let inner, let from, let to, let type, let name):
            return .slice(inner.ofFirstRow(&aggregates), from: from, to: to, type, name: name)
        case .column, .term, .cellTime, .token, .aggregate: return self
        }
    }

    /// Whether it looks at when the parts of collections were written.
    var needsElementTimes: Bool {
        if case .cellTime(let selection) = self { return selection.isMultiCell }
        return parts.contains(where: \.needsElementTimes)
    }

    /// Adds the places of all columns that the expression looks at.
    func collectSlots(_ slots: inout Set<Int>) {
        switch self {
        case .column(let slot): slots.insert(slot)
        case .cellTime(let selection): slots.insert(selection.slot)
        default: for part in parts { part.collectSlots(&slots) }
        }
    }

    /// The expression with its own values computed, so that it needs no bound values any more.
    func resolved(
        _ values: BoundValues, _ context: ExecutionContext
    ) throws(CQLError) -> PlannedSelector {
        func resolved(_ items: [PlannedSelector]) throws(CQLError) -> [PlannedSelector] {
            var result: [PlannedSelector] = []
            for item in items { result.append(try item.resolved(values, context)) }
            return result
        }
        switch self {
        case .term(let term):
            let value = try term.bytes(values, context, "selection")
            return .term(value.map { .constant($0) } ?? .null)
        case .function(let function, let arguments, let place):
            return .function(function, try resolved(arguments), place: place)
        case .fields(let items): return .fields(try resolved(items))
        case .collection(let type, let items): return .collection(type, try resolved(items))
        case .field(let inner, let index, let type):
            return .field(try inner.resolved(values, context), index, type)
        case .element(let inner, let key, let type, let name):
            return .element(
                try inner.resolved(values, context), try Self.key(key, values, context, name),
                type, name: name)
        case .slice(let inner, let from, let to, let type, let name):
            return .slice(
                try inner.resolved(values, context),
                from: try Self.bound(from, values, context, name),
                to: try Self.bound(to, values, context, name), type, name: name)
        case .cellTime(let selection):
            return .cellTime(try selection.resolved(values, context))
        case .column, .token, .aggregate: return self
        }
    }

    static func key(
        _ term: PlannedTerm, _ values: BoundValues, _ context: ExecutionContext, _ name: String
    ) throws(CQLError) -> PlannedTerm {
        switch try term.evaluate(values, context) {
        case .bytes(let bytes): return .constant(bytes)
        case .null: throw .invalid("Invalid null value for element selection on \(name)")
        case .unset: throw .invalid("Invalid unset value for element selection on \(name)")
        }
    }

    static func bound(
        _ term: PlannedTerm?, _ values: BoundValues, _ context: ExecutionContext, _ name: String
    ) throws(CQLError) -> PlannedTerm? {
        guard let term else { return nil }
        switch try term.evaluate(values, context) {
        case .unset: return nil
        case .null: throw .invalid("Invalid null value for slice selection on \(name)")
        case .bytes(let bytes): return .constant(bytes)
        }
    }

    /// The part of a serialized value of the nested `type` that a field or an element selects.
    static func part(
        of value: [UInt8], _ type: CQLType, field: Int = 0, key: [UInt8]? = nil
    ) -> [UInt8]? {
        value.withUnsafeBytes { raw -> [UInt8]? in
            guard var parts = CQLValueParts(type, raw) else { return nil }
            var index = 0
            while true {
                let step = parts.next()
                var part: UnsafeRawBufferPointer?
                switch step {
                case .end, .malformed: return nil
                case .part(let bytes): part = bytes
                case .null: part = nil
                }
                guard let key else {
                    if index == field { return part.map { Array($0) } }
                    index += 1
                    continue
                }
                let element = type.parts.first ?? .blob
                let matches = part.map { part in
                    key.withUnsafeBytes { element.compare(part, $0) == 0 }
                }
                if case .map = type {
                    guard case .part(let value) = parts.next() else { return nil }
                    if matches == true { return Array(value) }
                } else if matches == true {
                    return part.map { Array($0) }
                }
            }
        }
    }

    /// The places of the entries of a set or map that lie between two keys.
    static func places(
        in value: [UInt8], _ type: CQLType, from: [UInt8]?, to: [UInt8]?
    ) -> (parts: [[UInt8]], places: Range<Int>) {
        let parts = CollectionFunctions.parts(of: value, type) ?? []
        var step = 1
        if case .map = type { step = 2 }
        let element = type.parts.first ?? .blob
        func order(_ part: [UInt8], _ bound: [UInt8]) -> Int {
            part.withUnsafeBytes { a in bound.withUnsafeBytes { b in element.compare(a, b) } }
        }
        let keys = stride(from: 0, to: parts.count, by: step).map { parts[$0] }
        let start = from.flatMap { from in keys.firstIndex { order($0, from) >= 0 } }
        let first = from == nil ? 0 : start ?? keys.count
        let end = to.flatMap { to in keys.firstIndex { order($0, to) > 0 } } ?? keys.count
        return (parts, first..<max(first, end))
    }

    /// The entries of a set or map between two keys, as a set or map. Without any, a frozen one is empty
    /// and one of cells is not there.
    static func slice(
        of value: [UInt8], _ type: CQLType, from: [UInt8]?, to: [UInt8]?
    ) -> [UInt8]? {
        let (parts, places) = places(in: value, type, from: from, to: to)
        if places.isEmpty, type.isMultiCell { return nil }
        var step = 1
        if case .map = type { step = 2 }
        return SystemValue.collection(
            count: places.count,
            Array(parts[(places.lowerBound * step)..<(places.upperBound * step)]))
    }
}

/// `writetime`, `maxwritetime` and `ttl` of a column, of a part of it, or of several.
struct CellTimeSelection: Sendable {
    /// Which of a column's cells are looked at.
    enum Part: Sendable {
        case field(Int)
        case element(PlannedTerm)
        case slice(from: PlannedTerm?, to: PlannedTerm?)
    }

    let kind: Selector.WriteTimeKind
    /// The column, by its place in `SELECT *`.
    let slot: Int
    let type: CQLType
    /// Slices, each of what the one before leaves, and behind them perhaps an element; or a field.
    let parts: [Part]
    /// The column's name, for error texts.
    let name: String
    /// The part itself, where it lies inside of a cell: without it there is no time.
    let presence: PlannedSelector?

    /// Whether the column has a cell for each part.
    var isMultiCell: Bool { type.isMultiCell }

    /// Whether the result is a list of times.
    var isList: Bool {
        guard isMultiCell, kind != .maximumWriteTime else { return false }
        return parts.allSatisfy { if case .slice = $0 { true } else { false } }
    }

    var holdsTerms: Bool {
        parts.contains { if case .field = $0 { false } else { true } }
            || presence?.holdsTerms ?? false
    }

    func resolved(
        _ values: BoundValues, _ context: ExecutionContext
    ) throws(CQLError) -> CellTimeSelection {
        var resolved: [Part] = []
        for part in parts {
            switch part {
            case .field: resolved.append(part)
            case .element(let key):
                resolved.append(.element(try PlannedSelector.key(key, values, context, name)))
            case .slice(let from, let to):
                resolved.append(
                    .slice(
                        from: try PlannedSelector.bound(from, values, context, name),
                        to: try PlannedSelector.bound(to, values, context, name)))
            }
        }
        return CellTimeSelection(
            kind: kind, slot: slot, type: type, parts: resolved, name: name,
            presence: try presence?.resolved(values, context))
    }

    /// The result for a row; nil for null.
    func evaluate(
        _ slot: RowOutput.Slot, _ elementTimes: [RowOutput.CellTime?], nowInSeconds: Int64
    ) -> [UInt8]? {
        guard let value = slot.value else { return nil }
        guard isMultiCell else { return serialized(slot.time, nowInSeconds) }
        let times = chosen(elementTimes, Array(value))
        if kind == .maximumWriteTime {
            return times.compactMap { $0?.timestamp }.max().map { SystemValue.bigEndian($0) }
        }
        guard isList else {
            return times.first.flatMap { $0.flatMap { serialized($0, nowInSeconds) } }
        }
        if times.isEmpty { return nil }
        return times.reduce(into: SystemValue.bigEndian(Int32(times.count))) { bytes, time in
            let part = time.flatMap { serialized($0, nowInSeconds) }
            bytes += SystemValue.bigEndian(Int32(part?.count ?? -1)) + (part ?? [])
        }
    }

    private func chosen(_ times: [RowOutput.CellTime?], _ value: [UInt8]) -> [RowOutput.CellTime?] {
        func constant(_ term: PlannedTerm?) -> [UInt8]? {
            if case .constant(let bytes)? = term { bytes } else { nil }
        }
        if parts.isEmpty, case .userDefined(let definition, _) = type {
            let missing = max(definition.fields.count - times.count, 0)
            return times + Array(repeating: nil, count: missing)
        }
        var places = times.indices
        for part in parts {
            let from: PlannedTerm?
            let to: PlannedTerm?
            switch part {
            case .field(let index): return index < times.count ? [times[index]] : []
            case .element(let key): (from, to) = (key, key)
            case .slice(let first, let last): (from, to) = (first, last)
            }
            places = PlannedSelector.places(
                in: value, type, from: constant(from), to: constant(to)
            ).places.clamped(to: places)
        }
        return Array(times[places])
    }

    private func serialized(_ time: RowOutput.CellTime, _ nowInSeconds: Int64) -> [UInt8]? {
        guard kind == .timeToLive else {
            return time.timestamp == noTimestamp ? nil : SystemValue.bigEndian(time.timestamp)
        }
        guard time.timeToLive > 0 else { return nil }
        return SystemValue.bigEndian(Int32(clamping: Int64(time.expiresAt) - nowInSeconds))
    }
}
