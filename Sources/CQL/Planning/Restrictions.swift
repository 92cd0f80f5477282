// What a WHERE clause restricts: the partitions, the rows inside them, and what is left to be filtered.
//
// The relations are checked against the table and sorted into three parts:
//   - the partition key: each column by = or IN, or a range of tokens, or nothing (a full scan);
//   - the clustering key: a prefix of columns by = or IN, then at most one slice;
//   - filters: all other relations, which need ALLOW FILTERING.
// Every relation is also kept as a filter, for tables that are read from memory.
//
// Error texts are Cassandra's, because programs match them.

internal import Model

/// A list of values after IN.
enum InOperand: Sendable {
    case terms([PlannedTerm])
    /// One bound list.
    case marker(Int, list: CQLType)

    /// The values; null and unset among them are refused.
    func evaluate(
        _ values: BoundValues, _ context: ExecutionContext, _ name: String
    ) throws(CQLError) -> [[UInt8]] {
        switch self {
        case .terms(let terms):
            var result: [[UInt8]] = []
            for term in terms {
                switch try term.evaluate(values, context) {
                case .bytes(let bytes): result.append(bytes)
                case .null: throw .invalid("Invalid null value in condition for column \(name)")
                case .unset: throw .invalid("Invalid unset value for column \(name)")
                }
            }
            return result
        case .marker(let index, let type):
            guard case .bytes(let raw) = values[index] else {
                if case .unset = values[index] {
                    throw .invalid("Invalid unset value for column \(name)")
                }
                throw .invalid("Invalid null value for \(name)")
            }
            try type.check(raw)
            guard var parts = CQLValueParts(type, raw) else {
                throw .invalid("Invalid list value for column \(name)")
            }
            var result: [[UInt8]] = []
            while true {
                switch parts.next() {
                case .part(let part): result.append(Array(part))
                case .null: throw .invalid("Invalid null value in condition for column \(name)")
                case .end: return result
                case .malformed: throw .invalid("Invalid list value for column \(name)")
                }
            }
        }
    }
}

/// One end of an interval.
struct SliceBound: Sendable {
    let term: PlannedTerm
    let isInclusive: Bool
}

/// How one partition key column is restricted.
enum KeyRestriction: Sendable {
    case equal(PlannedTerm)
    case among(InOperand)
}

/// How the partitions are restricted.
enum PartitionRestriction: Sendable {
    /// One restriction for each column of the key.
    case keys([KeyRestriction])
    /// `after < token <= until`, each end as the relation had it.
    case tokens(lower: SliceBound?, upper: SliceBound?)
    case everything
}

/// How clustering columns are restricted, in the order of the columns.
enum ClusteringRestriction: Sendable {
    /// One column.
    case equal(PlannedTerm)
    case among(InOperand)
    /// Several columns at once: `(a, b) = (1, 2)`; the value is a tuple.
    case tupleEqual(count: Int, PlannedTerm)
    case tupleAmong(count: Int, InOperand)
    /// The last one: an interval over one column, or over several whose values are tuples.
    case slice(count: Int, isTuple: Bool, lower: SliceBound?, upper: SliceBound?)

    var columnCount: Int {
        switch self {
        case .equal, .among: 1
        case .tupleEqual(let count, _), .tupleAmong(let count, _), .slice(let count, _, _, _): count
        }
    }

    var isSlice: Bool {
        if case .slice = self { true } else { false }
    }

    var isEquality: Bool {
        switch self {
        case .equal, .tupleEqual: true
        default: false
        }
    }
}

/// The WHERE clause, sorted.
struct Restrictions: Sendable {
    var partition: PartitionRestriction = .everything
    var clustering: [ClusteringRestriction] = []
    /// What neither the key nor the clustering slices express.
    var filters: [RowFilter] = []
    /// All relations, for rows in memory.
    var allFilters: [RowFilter] = []
    /// Whether any clustering column or value column is restricted at all.
    var restrictsRows = false

    /// How many clustering columns the restrictions cover.
    var clusteringColumnCount: Int { clustering.reduce(0) { $0 + $1.columnCount } }

    static let needsFiltering: CQLError = .invalid(
        "Cannot execute this query as it might involve data filtering and thus may have unpredictable"
            + " performance. If you want to execute this query despite the performance"
            + " unpredictability, use ALLOW FILTERING")
}

/// Sorts relations into `Restrictions`.
struct RestrictionAnalysis {
    enum StatementKind: String {
        case select = "SELECT"
        case update = "UPDATE"
        case delete = "DELETE"
        case insert = "INSERT"
    }

    /// The relations of one column, or of one tuple of columns.
    private struct ColumnRelations {
        var equal: PlannedTerm?
        var among: InOperand?
        var lower: SliceBound?
        var upper: SliceBound?
        /// How many clustering columns it spans.
        var count = 1
        var isTuple = false
        /// Places in `filters`.
        var filters: [Int] = []
    }

    let table: TableSchema
    let kind: StatementKind
    let allowsFiltering: Bool
    private var byColumn: [String: ColumnRelations] = [:]
    private var token: ColumnRelations?
    private var tokenFilters: [RowFilter] = []
    private var filters: [RowFilter] = []
    /// Filters on value columns and with operators that no key can answer.
    private var unkeyed: [Int] = []

    init(table: TableSchema, kind: StatementKind, allowsFiltering: Bool) {
        self.table = table
        self.kind = kind
        self.allowsFiltering = allowsFiltering
    }

    /// The restrictions of `relations`, their terms compiled by `compiler`.
    static func analyse(
        _ relations: [Relation], table: TableSchema, kind: StatementKind, allowsFiltering: Bool,
        compiler: inout TermCompiler
    ) throws(CQLError) -> Restrictions {
        var analysis = RestrictionAnalysis(
            table: table, kind: kind, allowsFiltering: allowsFiltering)
        for relation in relations { try analysis.add(relation, &compiler) }
        return try analysis.finish()
    }

    // MARK: Relations

    private func column(_ name: String) throws(CQLError) -> ColumnSchema {
        guard let column = table.column(named: name) else {
            throw .invalid(
                "Undefined column name \(Identifier.quoted(name)) in table"
                    + " \(table.keyspace).\(table.name)")
        }
        return column
    }

    private mutating func add(
        _ relation: Relation, _ compiler: inout TermCompiler
    ) throws(CQLError) {
        switch relation.target {
        case .column(let name): try addColumn(try column(name), relation, &compiler)
        case .columns(let names): try addTuple(names, relation, &compiler)
        case .token(let names): try addToken(names, relation, &compiler)
        case .element:
            throw .invalid("Restrictions on map entries are not supported by Coterie yet")
        case .field: throw .invalid("Restrictions on fields are not supported by Coterie yet")
        }
    }

    private static func single(_ operand: Relation.Operand) throws(CQLError) -> Term {
        guard case .value(let term) = operand else {
            throw .invalid("The relation takes one value")
        }
        return term
    }

    private func listOperand(
        _ operand: Relation.Operand, _ type: CQLType, _ name: String,
        _ compiler: inout TermCompiler
    ) throws(CQLError) -> InOperand {
        switch operand {
        case .marker(let index):
            let list = CQLType.list(type.frozen, frozen: true)
            compiler.bind(index, "in(\(name))", .list(type.frozen, frozen: false))
            return .marker(index, list: list)
        case .values(let terms):
            var planned: [PlannedTerm] = []
            for term in terms { planned.append(try compiler.compile(term, as: type, for: name)) }
            return .terms(planned)
        case .value, .nothing: throw .invalid("The relation takes a list of values")
        }
    }

    private mutating func addColumn(
        _ column: ColumnSchema, _ relation: Relation, _ compiler: inout TermCompiler
    ) throws(CQLError) {
        let name = column.name
        guard !column.type.containsDuration || !relation.comparison.isSlice else {
            throw .invalid("Slice restrictions are not supported on duration columns")
        }
        if column.type.isMultiCell {
            guard relation.comparison == .contains || relation.comparison == .containsKey else {
                throw .invalid(
                    "Collection column '\(name)' (\(column.type.cqlName)) cannot be restricted by a"
                        + " '\(relation.comparison.rawValue)' relation")
            }
        }
        var entry = byColumn[name] ?? ColumnRelations()
        let place = filters.count
        let slot = table.slot(of: column)
        func filter(_ operand: RowFilter.Operand) -> RowFilter {
            RowFilter(
                target: .column(slot, column.type, name), comparison: relation.comparison,
                operand: operand)
        }
        switch relation.comparison {
        case .equal:
            guard entry.equal == nil, entry.among == nil, entry.lower == nil, entry.upper == nil
            else {
                throw Self.moreThanOne(name, "an Equal")
            }
            let term = try compiler.compile(
                try Self.single(relation.operand), as: column.type, for: name)
            entry.equal = term
            filters.append(filter(.term(term)))
        case .in:
            guard entry.equal == nil, entry.among == nil, entry.lower == nil, entry.upper == nil
            else {
                throw Self.moreThanOne(name, "a IN")
            }
            let operand = try listOperand(relation.operand, column.type, name, &compiler)
            entry.among = operand
            filters.append(filter(.list(operand)))
        case .less, .lessOrEqual, .greater, .greaterOrEqual:
            guard entry.equal == nil, entry.among == nil else {
                throw Self.moreThanOne(name, entry.equal == nil ? "a IN" : "an Equal")
            }
            let term = try compiler.compile(
                try Self.single(relation.operand), as: column.type, for: name)
            try Self.addBound(&entry, relation.comparison, term, name)
            filters.append(filter(.term(term)))
        case .between:
            guard entry.equal == nil, entry.among == nil else {
                throw Self.moreThanOne(name, entry.equal == nil ? "a IN" : "an Equal")
            }
            guard case .values(let ends) = relation.operand, ends.count == 2 else {
                throw .invalid("BETWEEN takes two values")
            }
            let low = try compiler.compile(ends[0], as: column.type, for: name)
            let high = try compiler.compile(ends[1], as: column.type, for: name)
            try Self.addBound(&entry, .greaterOrEqual, low, name)
            try Self.addBound(&entry, .lessOrEqual, high, name)
            filters.append(filter(.list(.terms([low, high]))))
        case .contains, .containsKey:
            let part = try Self.containedType(column, relation.comparison)
            let term = try compiler.compile(
                try Self.single(relation.operand), as: part, for: "value(\(name))")
            filters.append(filter(.term(term)))
            unkeyed.append(place)
            return
        case .isNotNull:
            throw .invalid(
                "Unsupported restriction: \(Identifier.quoted(name)) IS NOT NULL")
        case .notEqual: throw .invalid("Unsupported \"!=\" relation: \(name) != ...")
        case .like:
            throw .invalid(
                "LIKE restriction is only supported on properly indexed columns."
                    + " \(name) LIKE ... is not valid.")
        case .notIn, .notContains, .notContainsKey:
            throw .invalid("\(relation.comparison.rawValue) is not supported by Coterie yet")
        }
        entry.filters.append(place)
        byColumn[name] = entry
    }

    private static func containedType(
        _ column: ColumnSchema, _ comparison: RelationOperator
    ) throws(CQLError) -> CQLType {
        switch (column.type, comparison) {
        case (.list(let element, _), .contains), (.set(let element, _), .contains): return element
        case (.map(_, let value, _), .contains): return value
        case (.map(let key, _, _), .containsKey): return key
        default:
            throw .invalid(
                "Cannot use \(comparison.rawValue) on non-\(comparison == .containsKey ? "map" : "collection")"
                    + " column \(column.name)")
        }
    }

    private static func moreThanOne(_ name: String, _ what: String) -> CQLError {
        .invalid("\(name) cannot be restricted by more than one relation if it includes \(what)")
    }

    private static func addBound(
        _ entry: inout ColumnRelations, _ comparison: RelationOperator, _ term: PlannedTerm,
        _ name: String
    ) throws(CQLError) {
        let isInclusive = comparison == .lessOrEqual || comparison == .greaterOrEqual
        let bound = SliceBound(term: term, isInclusive: isInclusive)
        if comparison == .greater || comparison == .greaterOrEqual {
            guard entry.lower == nil else {
                throw .invalid("More than one restriction was found for the start bound on \(name)")
            }
            entry.lower = bound
        } else {
            guard entry.upper == nil else {
                throw .invalid("More than one restriction was found for the end bound on \(name)")
            }
            entry.upper = bound
        }
    }

    // MARK: Tuples

    private mutating func addTuple(
        _ names: [String], _ relation: Relation, _ compiler: inout TermCompiler
    ) throws(CQLError) {
        var columns: [ColumnSchema] = []
        var positions: [Int] = []
        for name in names {
            let column = try column(name)
            guard case .clustering(let position, _) = column.kind else {
                throw .invalid(
                    "Multi-column relations can only be applied to clustering columns but was applied"
                        + " to: \(name)")
            }
            guard !columns.contains(column) else {
                throw .invalid("Column \"\(name)\" appeared twice in a relation: \(names)")
            }
            if let last = positions.last, position != last + 1 {
                throw .invalid(
                    "Clustering columns must appear in the PRIMARY KEY order in multi-column"
                        + " relations: (\(names.joined(separator: ", ")))")
            }
            columns.append(column)
            positions.append(position)
        }
        let type = CQLType.tuple(columns.map(\.type))
        let label = "(" + names.joined(separator: ",") + ")"
        var entry = byColumn[names[0]] ?? ColumnRelations()
        guard entry.filters.isEmpty || (entry.isTuple && entry.count == names.count) else {
            throw Self.mixed(names[0])
        }
        for name in names.dropFirst() where byColumn[name] != nil { throw Self.mixed(name) }
        entry.isTuple = true
        entry.count = names.count
        let place = filters.count
        func filter(_ operand: RowFilter.Operand) -> RowFilter {
            RowFilter(
                target: .tuple(
                    columns.map { (table.slot(of: $0), $0.type) }.map(RowFilter.Slot.init)),
                comparison: relation.comparison, operand: operand)
        }
        let isFree = entry.equal == nil && entry.among == nil
        switch relation.comparison {
        case .equal:
            guard isFree, entry.lower == nil, entry.upper == nil else {
                throw Self.moreThanOne(label, "an Equal")
            }
            let term = try tupleTerm(relation.operand, type, label, &compiler)
            entry.equal = term
            filters.append(filter(.term(term)))
        case .in:
            guard isFree, entry.lower == nil, entry.upper == nil else {
                throw Self.moreThanOne(label, "a IN")
            }
            let operand = try listOperand(relation.operand, type, label, &compiler)
            entry.among = operand
            filters.append(filter(.list(operand)))
        case .less, .lessOrEqual, .greater, .greaterOrEqual:
            guard isFree else { throw Self.moreThanOne(label, "an Equal") }
            let term = try tupleTerm(relation.operand, type, label, &compiler)
            try Self.addBound(&entry, relation.comparison, term, label)
            filters.append(filter(.term(term)))
        default:
            throw .invalid("Unsupported relation on \(label): \(relation.comparison.rawValue)")
        }
        entry.filters.append(place)
        byColumn[names[0]] = entry
    }

    private static func mixed(_ name: String) -> CQLError {
        .invalid(
            "Column \"\(name)\" cannot be restricted by both a single column relation and a"
                + " multi-column relation, nor by multi-column relations that begin differently")
    }

    private func tupleTerm(
        _ operand: Relation.Operand, _ type: CQLType, _ label: String,
        _ compiler: inout TermCompiler
    ) throws(CQLError) -> PlannedTerm {
        let term = try Self.single(operand)
        if case .tuple(let items) = term, items.count != type.parts.count {
            throw .invalid(
                "Expected \(type.parts.count) elements in value tuple, but got \(items.count):"
                    + " \(term.sourceText)")
        }
        return try compiler.compile(term, as: type, for: label)
    }

    // MARK: Tokens

    private mutating func addToken(
        _ names: [String], _ relation: Relation, _ compiler: inout TermCompiler
    ) throws(CQLError) {
        guard kind == .select else {
            throw .invalid(
                "The token function cannot be used in WHERE clauses for \(kind.rawValue) statements"
            )
        }
        for name in names { _ = try column(name) }
        let expected = table.partitionKey.map(\.name)
        guard names == expected else {
            if Set(names) == Set(expected) {
                throw .invalid(
                    "The token function arguments must be in the partition key order: "
                        + expected.joined(separator: ", "))
            }
            throw .invalid(
                "The token() function must be applied to all partition key components or none of them"
            )
        }
        var entry = token ?? ColumnRelations()
        let name = "partition key token"
        let bounds: [(RelationOperator, Term)]
        switch (relation.comparison, relation.operand) {
        case (.equal, .value(let term)):
            // Both ends inclusive.
            bounds = [(.greaterOrEqual, term), (.lessOrEqual, term)]
        case (.between, .values(let ends)) where ends.count == 2:
            bounds = [(.greaterOrEqual, ends[0]), (.lessOrEqual, ends[1])]
        case (let comparison, .value(let term)) where comparison.isSlice:
            bounds = [(comparison, term)]
        default:
            throw .invalid("\(relation.comparison.rawValue) cannot be used with the token function")
        }
        for (comparison, term) in bounds {
            let planned = try compileToken(term, name, &compiler)
            try Self.addBound(
                &entry, comparison, planned, "token(\(names.joined(separator: ", ")))")
            tokenFilters.append(
                RowFilter(target: .token, comparison: comparison, operand: .term(planned)))
        }
        token = entry
    }

    /// A token is a number, or `token(…)` of constant key values.
    private func compileToken(
        _ term: Term, _ name: String, _ compiler: inout TermCompiler
    ) throws(CQLError) -> PlannedTerm {
        guard case .function(let function, let arguments) = term, function.name == "token" else {
            return try compiler.compile(term, as: .bigint, for: name)
        }
        guard arguments.count == table.partitionKey.count else {
            throw .invalid(
                "Invalid number of arguments in call to function token: \(table.partitionKey.count)"
                    + " required but \(arguments.count) provided")
        }
        var components: [[UInt8]] = []
        for (argument, column) in zip(arguments, table.partitionKey) {
            let planned = try compiler.compile(argument, as: column.type, for: column.name)
            guard case .constant(let bytes) = planned else {
                throw .invalid("token() of bind markers is not supported by Coterie yet")
            }
            components.append(bytes)
        }
        let key = try PartitionKeyBuilder.serialize(components)
        return .constant(SystemValue.bigEndian(Token.of(key).value))
    }

    // MARK: Sorting

    private mutating func finish() throws(CQLError) -> Restrictions {
        var result = Restrictions()
        result.allFilters = filters + tokenFilters
        var residual = Set(unkeyed)
        try finishPartition(&result, &residual)
        try finishClustering(&result, &residual)
        for column in table.statics + table.regulars {
            guard let entry = byColumn[column.name] else { continue }
            guard kind == .select else {
                throw .invalid("Non PRIMARY KEY columns found in where clause: \(column.name)")
            }
            residual.formUnion(entry.filters)
        }
        guard residual.isEmpty || kind == .select else {
            throw .invalid("Invalid restriction in \(kind.rawValue) statement")
        }
        guard residual.isEmpty || allowsFiltering || SystemSchema.isVirtual(table.keyspace) else {
            throw Restrictions.needsFiltering
        }
        result.filters = residual.sorted().map { filters[$0] }
        let hasRowFilter = result.filters.contains { filter in
            filter.slots.contains { table.allColumns[$0].kind == .regular }
        }
        let restrictsClustering = table.clustering.contains { byColumn[$0.name] != nil }
        result.restrictsRows = restrictsClustering || hasRowFilter
        return result
    }

    private func finishPartition(
        _ result: inout Restrictions, _ residual: inout Set<Int>
    ) throws(CQLError) {
        let names = table.partitionKey.map(\.name)
        let restricted = names.filter { byColumn[$0] != nil }
        if let token {
            guard restricted.isEmpty else {
                guard allowsFiltering else {
                    throw .invalid(
                        "Columns \"\(restricted.joined(separator: "\", \""))\" cannot be restricted by"
                            + " both a normal relation and a token relation")
                }
                for name in restricted { residual.formUnion(byColumn[name]?.filters ?? []) }
                result.partition = .tokens(lower: token.lower, upper: token.upper)
                return
            }
            result.partition = .tokens(lower: token.lower, upper: token.upper)
            return
        }
        let missing = names.filter { byColumn[$0] == nil }
        if kind != .select {
            guard missing.isEmpty else {
                throw .invalid(
                    "Some partition key parts are missing: \(missing.joined(separator: ", "))")
            }
        }
        var keys: [KeyRestriction] = []
        for name in names {
            guard let entry = byColumn[name] else { continue }
            if let term = entry.equal {
                keys.append(.equal(term))
            } else if let among = entry.among {
                keys.append(.among(among))
            } else if kind != .select {
                throw .invalid(
                    "Only EQ and IN relation are supported on the partition key (unless you use the"
                        + " token() function) for \(kind.rawValue) statements")
            }
        }
        if keys.count == names.count {
            result.partition = .keys(keys)
            return
        }
        guard restricted.isEmpty || allowsFiltering || SystemSchema.isVirtual(table.keyspace) else {
            throw Restrictions.needsFiltering
        }
        for name in restricted { residual.formUnion(byColumn[name]?.filters ?? []) }
    }

    private func finishClustering(
        _ result: inout Restrictions, _ residual: inout Set<Int>
    ) throws(CQLError) {
        var position = 0
        var unrestricted: ColumnSchema?
        var afterSlice: ColumnSchema?
        while position < table.clustering.count {
            let column = table.clustering[position]
            guard let entry = byColumn[column.name] else {
                unrestricted = unrestricted ?? column
                position += 1
                continue
            }
            position += entry.count
            if unrestricted != nil || afterSlice != nil {
                guard kind == .select, allowsFiltering || SystemSchema.isVirtual(table.keyspace)
                else {
                    throw Self.outOfOrder(column, afterSlice, unrestricted)
                }
                residual.formUnion(entry.filters)
                continue
            }
            if let term = entry.equal {
                result.clustering.append(
                    entry.isTuple ? .tupleEqual(count: entry.count, term) : .equal(term))
            } else if let among = entry.among {
                result.clustering.append(
                    entry.isTuple ? .tupleAmong(count: entry.count, among) : .among(among))
            } else if entry.lower != nil || entry.upper != nil {
                result.clustering.append(
                    .slice(
                        count: entry.count, isTuple: entry.isTuple, lower: entry.lower,
                        upper: entry.upper))
                afterSlice = column
            } else {
                unrestricted = column
            }
        }
    }

    private static func outOfOrder(
        _ column: ColumnSchema, _ slice: ColumnSchema?, _ unrestricted: ColumnSchema?
    ) -> CQLError {
        if let slice {
            return .invalid(
                "Clustering column \"\(column.name)\" cannot be restricted (preceding column"
                    + " \"\(slice.name)\" is restricted by a non-EQ relation)")
        }
        return .invalid(
            "PRIMARY KEY column \"\(column.name)\" cannot be restricted as preceding column"
                + " \"\(unrestricted?.name ?? "")\" is not restricted")
    }
}

extension TableSchema {
    /// The place of a column in the order of `SELECT *`.
    func slot(of column: ColumnSchema) -> Int {
        allColumns.firstIndex { $0.id == column.id } ?? 0
    }
}
