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
                throw .invalid("Invalid null value for column \(name)")
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
    /// How many columns it bounds if its value is a tuple, nil if it is the value of one column.
    var tupleWidth: Int?
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

/// An interval of tokens, each end as the relation had it.
struct TokenBounds: Sendable {
    let lower: SliceBound?
    let upper: SliceBound?
}

/// How clustering columns are restricted, in the order of the columns.
enum ClusteringRestriction: Sendable {
    /// One column.
    case equal(PlannedTerm)
    case among(InOperand)
    /// Several columns at once: `(a, b) = (1, 2)`; the value is a tuple.
    case tupleEqual(count: Int, PlannedTerm)
    case tupleAmong(count: Int, InOperand)
    /// The last one: an interval over one column or several; `count` is the wider end's.
    case slice(count: Int, lower: SliceBound?, upper: SliceBound?)

    var columnCount: Int {
        switch self {
        case .equal, .among: 1
        case .tupleEqual(let count, _), .tupleAmong(let count, _), .slice(let count, _, _): count
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
    /// Beside a whole key: of the keys, those whose token lies here.
    var keyTokens: TokenBounds?
    var clustering: [ClusteringRestriction] = []
    /// What neither the key nor the clustering slices express.
    var filters: [RowFilter] = []
    /// All relations, for rows in memory.
    var allFilters: [RowFilter] = []
    /// The columns that an equality restricts.
    var equalColumns: Set<String> = []
    /// Whether any clustering column or value column is restricted at all.
    var restrictsRows = false

    /// How many clustering columns the restrictions cover.
    var clusteringColumnCount: Int { clustering.reduce(0) { $0 + $1.columnCount } }

    static let needsFiltering: CQLError = .invalid(
        "Cannot execute this query as it might involve data filtering and thus may have unpredictable"
            + " performance. If you want to execute this query despite the performance"
            + " unpredictability, use ALLOW FILTERING")
}

extension TableSchema {
    /// The place of a column in the order of `SELECT *`.
    func slot(of column: ColumnSchema) -> Int {
        allColumns.firstIndex { $0.id == column.id } ?? 0
    }
}
