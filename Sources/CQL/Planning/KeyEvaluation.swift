// Restrictions with bound values: which partition keys, and which stretches of clustering keys.

internal import Encoding
internal import Model

/// Checks and serializes partition keys outside the hot path.
enum PartitionKeyBuilder {
    /// The key made of these components.
    static func serialize(_ components: [[UInt8]]) throws(CQLError) -> [UInt8] {
        if components.count == 1 {
            try check(components[0].count)
            guard !components[0].isEmpty else { throw .invalid("Key may not be empty") }
            return components[0]
        }
        try check(components.reduce(0) { $0 + $1.count })
        let writer = ByteWriter()
        for component in components {
            component.withUnsafeBytes { PartitionKey.appendComponent($0, into: writer) }
        }
        try check(writer.count)
        return writer.array
    }

    /// Checks the bytes of a key: of its values all together first, then as they are serialized.
    static func check(_ count: Int) throws(CQLError) {
        do throws(CQLValueError) {
            try PartitionKey.checkLength(count)
        } catch {
            throw .invalid(error.message)
        }
    }
}

/// `start < token <= end`; a `start` of the smallest integer means from the very beginning.
struct TokenStretch {
    let start: Int64
    let end: Int64

    func contains(_ token: Int64) -> Bool {
        (token > start || start == .min) && token <= end
    }
}

/// Computes keys and slices from restrictions.
struct KeyEvaluation {
    /// How many keys or slices one statement may ask for.
    static let maximumProduct = 65_535

    let table: TableSchema
    let values: BoundValues
    let context: ExecutionContext

    // MARK: Partition keys

    /// The serialized partition keys, sorted by value and without repeats.
    func partitionKeys(_ restrictions: [KeyRestriction]) throws(CQLError) -> [[UInt8]] {
        if restrictions.count == 1, case .equal(let term) = restrictions[0] {
            let key = try value(term, table.partitionKey[0].name)
            guard !key.isEmpty else { throw .invalid("Key may not be empty") }
            try PartitionKeyBuilder.check(key.count)
            return [key]
        }
        var product: [[[UInt8]]] = [[]]
        for (restriction, column) in zip(restrictions, table.partitionKey) {
            var choices: [[UInt8]]
            switch restriction {
            case .equal(let term): choices = [try value(term, column.name)]
            case .among(let operand):
                choices = sorted(
                    try operand.evaluate(values, context, column.name), column.type)
            }
            product = try Self.product(product, choices.map { [$0] })
        }
        var keys: [[UInt8]] = []
        for components in product { keys.append(try PartitionKeyBuilder.serialize(components)) }
        return keys
    }

    private static func product(
        _ prefixes: [[[UInt8]]], _ choices: [[[UInt8]]]
    ) throws(CQLError) -> [[[UInt8]]] {
        guard prefixes.count * choices.count <= maximumProduct else {
            throw .invalid(
                "The cartesian product of the IN restrictions asks for"
                    + " \(prefixes.count * choices.count) keys, over the limit of \(maximumProduct)"
            )
        }
        return prefixes.flatMap { prefix in choices.map { prefix + $0 } }
    }

    private func sorted(_ list: [[UInt8]], _ type: CQLType) -> [[UInt8]] {
        func order(_ left: [UInt8], _ right: [UInt8]) -> Int {
            left.withUnsafeBytes { a in right.withUnsafeBytes { b in type.compare(a, b) } }
        }
        var unique: [[UInt8]] = []
        for item in list.sorted(by: { order($0, $1) < 0 }) where unique.last != item {
            unique.append(item)
        }
        return unique
    }

    private func value(_ term: PlannedTerm, _ name: String) throws(CQLError) -> [UInt8] {
        switch try term.evaluate(values, context) {
        case .bytes(let bytes): return bytes
        case .null: throw .invalid("Invalid null value in condition for column \(name)")
        case .unset: throw .invalid("Invalid unset value for column \(name)")
        }
    }

    // MARK: Tokens

    /// The tokens between the bounds, nil if there are none.
    func tokenRange(
        _ lower: SliceBound?, _ upper: SliceBound?
    ) throws(CQLError) -> TokenStretch? {
        var start = Int64.min
        var end = Int64.max
        if let lower {
            let token = try token(lower.term)
            start = lower.isInclusive ? (token == .min ? .min : token - 1) : token
        }
        if let upper {
            let token = try token(upper.term)
            // The smallest integer as an end stands for the end of the ring, as for the beginning.
            if token == .min {
                end = .max
            } else {
                end = upper.isInclusive ? token : token - 1
            }
        }
        return start < end ? TokenStretch(start: start, end: end) : nil
    }

    private func token(_ term: PlannedTerm) throws(CQLError) -> Int64 {
        let bytes = try value(term, "partition key token")
        guard bytes.count == 8 else { throw .invalid("Invalid token value") }
        return bytes.reduce(Int64(0)) { $0 << 8 | Int64($1) }
    }

    // MARK: Clustering

    /// Complete clustering keys, each with its values; for writes that name whole rows.
    func clusteringKeys(
        _ restrictions: [ClusteringRestriction]
    ) throws(CQLError) -> [[[UInt8]]] {
        try prefixes(restrictions).sorted { left, right in
            compareBytes(encoded(left), encoded(right)) < 0
        }
    }

    /// The values of the equal and IN restrictions, multiplied out.
    private func prefixes(_ restrictions: [ClusteringRestriction]) throws(CQLError) -> [[[UInt8]]] {
        var product: [[[UInt8]]] = [[]]
        var position = 0
        for restriction in restrictions {
            let column = table.clustering[position]
            switch restriction {
            case .equal(let term):
                product = try Self.product(product, [[try value(term, column.name)]])
            case .among(let operand):
                let list = sorted(try operand.evaluate(values, context, column.name), column.type)
                product = try Self.product(product, list.map { [$0] })
            case .tupleEqual(let count, let term):
                let parts = try tuple(try value(term, column.name), position, count, .equal)
                product = try Self.product(product, [parts])
            case .tupleAmong(let count, let operand):
                var choices: [[[UInt8]]] = []
                for value in try operand.evaluate(values, context, column.name) {
                    let parts = try tuple(value, position, count, .among)
                    if !choices.contains(parts) { choices.append(parts) }
                }
                product = try Self.product(product, choices)
            case .slice: return product
            }
            position += restriction.columnCount
        }
        return product
    }

    /// What a tuple is compared by, which words the refusal of a null in it.
    private enum TupleUse {
        case equal
        case among
        case bound

        /// The refusal of a null for the column at `place` of `columns`.
        func refusal(_ columns: ArraySlice<ColumnSchema>, _ place: Int) -> CQLError {
            let name = columns[place].name
            switch self {
            case .equal: return .invalid("Invalid null value for column \(name)")
            case .among:
                let names = columns.map(\.name).joined(separator: ", ")
                return .invalid("Invalid null value in condition for columns: [\(names)]")
            case .bound: return .invalid("Invalid null value in condition for column \(name)")
            }
        }
    }

    /// The parts of a tuple for the columns from `position` on.
    private func tuple(
        _ value: [UInt8], _ position: Int, _ count: Int, _ use: TupleUse
    ) throws(CQLError) -> [[UInt8]] {
        let columns = table.clustering[position..<(position + count)]
        let type = CQLType.tuple(columns.map(\.type))
        return try value.withBytes { (raw) throws(CQLError) -> [[UInt8]] in
            guard var parts = CQLValueParts(type, raw) else {
                throw .invalid("Invalid tuple value")
            }
            var result: [[UInt8]] = []
            for offset in 0..<count {
                guard case .part(let part) = parts.next() else {
                    throw use.refusal(columns, position + offset)
                }
                result.append(Array(part))
            }
            return result
        }
    }

    /// The components as the beginning of an encoded key.
    func encoded(_ components: [[UInt8]]) -> [UInt8] {
        let writer = ByteWriter()
        for (component, column) in zip(components, table.clustering) {
            component.withUnsafeBytes {
                ClusteringKey.appendComponent(
                    $0, type: column.type, order: column.order, into: writer)
            }
        }
        return writer.array
    }

    /// The components as a whole key; what is missing of a row of a compact table is null.
    func completeKey(_ components: [[UInt8]]) -> [UInt8] {
        let writer = ByteWriter()
        writer.append(encoded(components))
        for column in table.clustering.dropFirst(components.count) {
            ClusteringKey.appendComponent(
                nil, type: column.type, order: column.order, into: writer)
        }
        ClusteringKey.appendTerminator(into: writer)
        return writer.array
    }

    private func bound(_ prefix: [UInt8], _ side: ClusteringKey.Bound) -> [UInt8] {
        let writer = ByteWriter()
        writer.append(prefix)
        ClusteringKey.appendBound(side, into: writer)
        return writer.array
    }

    /// The stretches of clustering keys, sorted upwards; nil for all rows.
    func slices(
        _ restrictions: [ClusteringRestriction]
    ) throws(CQLError) -> [ClusteringSlice]? {
        guard !restrictions.isEmpty else { return nil }
        let covered = restrictions.reduce(0) { $0 + $1.columnCount }
        var slices: [ClusteringSlice] = []
        let prefixes = try prefixes(restrictions)
        for prefix in prefixes {
            let start = encoded(prefix)
            if case .slice(let count, let lower, let upper)? = restrictions.last {
                slices += try interval(prefix, covered - count, lower, upper)
            } else if covered == table.clustering.count {
                let writer = ByteWriter()
                writer.append(start)
                ClusteringKey.appendTerminator(into: writer)
                slices.append(ClusteringSlice(key: writer.array))
            } else {
                slices.append(
                    ClusteringSlice(lower: bound(start, .below), upper: bound(start, .above)))
            }
        }
        return Self.normalised(slices)
    }

    /// Sorted, without overlaps, and with neighbours joined.
    private static func normalised(_ slices: [ClusteringSlice]) -> [ClusteringSlice] {
        var result: [ClusteringSlice] = []
        let sorted = slices.filter { compareBytes($0.lower, $0.upper) < 0 }
            .sorted { compareBytes($0.lower, $1.lower) < 0 }
        for slice in sorted {
            guard let last = result.last, compareBytes(slice.lower, last.upper) <= 0 else {
                result.append(slice)
                continue
            }
            if compareBytes(last.upper, slice.upper) < 0 {
                result[result.count - 1].upper = slice.upper
            }
        }
        return result
    }

    /// The keys with this prefix whose next columns, as many as each bound has, lie between the bounds.
    private func interval(
        _ prefix: [[UInt8]], _ position: Int, _ lower: SliceBound?, _ upper: SliceBound?
    ) throws(CQLError) -> [ClusteringSlice] {
        let start = encoded(prefix)
        let all = [ClusteringSlice(lower: bound(start, .below), upper: bound(start, .above))]
        var result = all
        for (end, isLower) in [(lower, true), (upper, false)] {
            guard let end else { continue }
            let name = table.clustering[position].name
            let raw = try value(end.term, name)
            var parts = [raw]
            if let width = end.tupleWidth { parts = try tuple(raw, position, width, .bound) }
            let side = half(prefix, position, parts, isLower: isLower, end.isInclusive)
            result = Self.intersection(result, side)
        }
        return result
    }

    /// The keys above (or below) the given values in the order of the *values*: with mixed clustering
    /// orders these are several stretches, one for each column at which a key first differs.
    private func half(
        _ prefix: [[UInt8]], _ position: Int, _ parts: [[UInt8]], isLower: Bool, _ isInclusive: Bool
    ) -> [ClusteringSlice] {
        var slices: [ClusteringSlice] = []
        for index in parts.indices {
            let fixed = prefix + parts[..<index]
            let before = encoded(fixed)
            let at = encoded(fixed + [parts[index]])
            let ascending = table.clustering[position + index].order == .ascending
            // Keys that differ first here, on the wanted side of the value.
            if isLower == ascending {
                slices.append(
                    ClusteringSlice(lower: bound(at, .above), upper: bound(before, .above)))
            } else {
                slices.append(
                    ClusteringSlice(lower: bound(before, .below), upper: bound(at, .below)))
            }
            if isInclusive, index == parts.count - 1 {
                slices.append(ClusteringSlice(lower: bound(at, .below), upper: bound(at, .above)))
            }
        }
        return Self.normalised(slices)
    }

    private static func intersection(
        _ left: [ClusteringSlice], _ right: [ClusteringSlice]
    ) -> [ClusteringSlice] {
        normalised(
            left.flatMap { a in
                right.compactMap { b in
                    let lower = compareBytes(a.lower, b.lower) < 0 ? b.lower : a.lower
                    let upper = compareBytes(a.upper, b.upper) < 0 ? a.upper : b.upper
                    return compareBytes(lower, upper) < 0
                        ? ClusteringSlice(lower: lower, upper: upper) : nil
                }
            })
    }
}

extension ColumnSchema {
    /// The clustering order; ascending for other columns.
    var order: ClusteringOrder {
        if case .clustering(_, let order) = kind { order } else { .ascending }
    }
}
