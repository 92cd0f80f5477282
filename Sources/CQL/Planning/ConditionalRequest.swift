// A conditional statement, or a conditional batch, with its values: what has to be read, whether it is
// applied, what it writes, and what the client is told.
//
//     readCommand --(rows)--> judge --true--> mutation(at: the ballot's time)   answer(applied: true)
//                                 '--false------------------------------------> answer(applied: false)
//
// All statements of a conditional batch are about one partition. Judging may happen more than once, on
// newer rows each time, until Paxos has let one proposal through.
//
// Conditions on static columns are about the static row, whatever row their statement writes. If there are
// no others the first live row is read beside it, as Cassandra does: by it the client can tell a partition
// without static values from none at all. It is shown, and nothing is decided by it.

internal import Encoding
package import Model

/// A conditional statement being executed. Owned by its request.
package final class ConditionalRequest {
    /// A statement with its values.
    private struct Part {
        let plan: ModificationPlan
        let values: RetainedValues
    }

    /// Rows for the client.
    package struct Answer: Equatable {
        package let columns: [ColumnSpecification]
        package let rows: [[[UInt8]?]]
    }

    private enum RowCondition {
        case notExists
        case exists
        case columns([BoundCondition])
    }

    package let table: TableSchema
    /// The serialized partition key.
    package let key: [UInt8]
    package let token: Int64
    private let parts: [Part]
    private let isBatch: Bool
    private let context: ExecutionContext
    /// By row: its encoded clustering key, nil for the static row.
    private var conditions: [(clustering: [UInt8]?, condition: RowCondition)] = []
    /// The rows to read, sorted.
    private var slices: [ClusteringSlice] = []
    /// Whether the first live row is read, because no row is named.
    package var readsFirstRow: Bool { slices.isEmpty }

    /// Checks what depends on the values, and keeps a copy of them. There is at least one statement, and
    /// one of them is conditional.
    package init(
        _ statements: [(plan: ModificationPlan, values: BoundValues)], _ context: ExecutionContext,
        isBatch: Bool
    ) throws(CQLError) {
        var parts: [Part] = []
        for (plan, values) in statements {
            parts.append(Part(plan: plan, values: try plan.retained(values, context)))
        }
        self.parts = parts
        self.context = context
        self.isBatch = isBatch
        table = parts[0].plan.table
        if isBatch { try Self.checkBatch(parts.map(\.plan)) }
        var keys: [[UInt8]] = []
        for part in parts { keys.append(try Self.partitionKey(part, context, isBatch: isBatch)) }
        key = keys[0]
        guard keys.allSatisfy({ $0 == keys[0] }) else {
            throw .invalid("Batch with conditions cannot span multiple partitions")
        }
        token = Token.of(keys[0]).value
        for part in parts { try add(part) }
    }

    /// What holds for the statements of a conditional batch whatever their values are.
    package static func checkBatch(_ plans: [ModificationPlan]) throws(CQLError) {
        guard plans.allSatisfy({ $0.table.id == plans[0].table.id }) else {
            throw .invalid("Batch with conditions cannot span multiple tables")
        }
    }

    private static func partitionKey(
        _ part: Part, _ context: ExecutionContext, isBatch: Bool
    ) throws(CQLError) -> [UInt8] {
        let plan = part.plan
        for restriction in plan.partition {
            guard case .equal = restriction else {
                throw .invalid(
                    isBatch
                        ? "Batch with conditions cannot span multiple partitions (you cannot use IN on"
                            + " the partition key)"
                        : "IN on the partition key is not supported with conditional \(plan.kindName)"
                )
            }
        }
        for restriction in plan.clustering {
            switch restriction {
            case .among, .tupleAmong:
                throw .invalid(
                    "IN on the clustering key columns is not supported with conditional"
                        + " \(plan.kindName)")
            default: break
            }
        }
        let evaluation = KeyEvaluation(
            table: plan.table, values: part.values.values, context: context)
        return try evaluation.partitionKeys(plan.partition)[0]
    }

    private func add(_ part: Part) throws(CQLError) {
        let plan = part.plan
        guard plan.isConditional || plan.requiresRead else { return }
        let clustering = try clusteringKey(part)
        if plan.requiresRead, let clustering { addSlice(clustering) }
        guard let condition = plan.condition else { return }
        switch condition {
        case .notExists: try add(.notExists, on: clustering)
        case .exists: try add(.exists, on: clustering)
        case .columns(let conditions):
            var ofRow: [BoundCondition] = []
            var ofStaticRow: [BoundCondition] = []
            for condition in conditions {
                let bound = try condition.bound(part.values.values, context)
                if condition.column.isStatic {
                    ofStaticRow.append(bound)
                } else {
                    ofRow.append(bound)
                }
            }
            if !ofRow.isEmpty { try add(.columns(ofRow), on: clustering) }
            if !ofStaticRow.isEmpty { try add(.columns(ofStaticRow), on: nil) }
        }
    }

    private func add(_ condition: RowCondition, on clustering: [UInt8]?) throws(CQLError) {
        if let previous = conditions.first(where: { $0.clustering == clustering })?.condition {
            try Self.checkMix(previous, condition)
        }
        conditions.append((clustering, condition))
        if let clustering { addSlice(clustering) }
    }

    private static func checkMix(
        _ previous: RowCondition, _ next: RowCondition
    ) throws(CQLError) {
        switch (previous, next) {
        case (.notExists, .notExists), (.exists, .exists), (.columns, .columns): return
        case (.notExists, .exists), (.exists, .notExists):
            throw .invalid("Cannot mix IF EXISTS and IF NOT EXISTS conditions for the same row")
        case (.columns, .exists), (.exists, .columns):
            throw .invalid("Cannot mix IF conditions and IF EXISTS for the same row")
        case (.columns, .notExists), (.notExists, .columns):
            throw .invalid("Cannot mix IF conditions and IF NOT EXISTS for the same row")
        }
    }

    /// The encoded key of the statement's row; nil if it is about the static row.
    private func clusteringKey(_ part: Part) throws(CQLError) -> [UInt8]? {
        let plan = part.plan
        if !table.clustering.isEmpty, plan.clustering.isEmpty { return nil }
        let evaluation = KeyEvaluation(table: table, values: part.values.values, context: context)
        return try evaluation.clusteringKeys(plan.clustering).first.map(evaluation.completeKey)
    }

    private func addSlice(_ clustering: [UInt8]) {
        let slice = ClusteringSlice(key: clustering)
        guard !slices.contains(slice) else { return }
        slices.append(slice)
        slices.sort { compareBytes($0.lower, $1.lower) < 0 }
    }

    // MARK: Executing

    /// What to read before judging: the rows that are named, or else the first live one, and the static row
    /// with them.
    package var readCommand: ReadCommand {
        ReadCommand(
            table: table.id, scope: .partition(token: token, key: key),
            slices: readsFirstRow ? nil : slices, nowInSeconds: context.nowInSeconds,
            rowLimit: readsFirstRow ? 1 : .max)
    }

    /// Whether all conditions hold.
    package func judge(_ current: CurrentRows) throws(CQLError) -> Bool {
        do {
            for (clustering, condition) in conditions {
                switch condition {
                case .notExists: if current.row(key, clustering) != nil { return false }
                case .exists: if current.row(key, clustering) == nil { return false }
                case .columns(let list):
                    let values = try current.values(table, key, clustering)
                    let columns = table.allColumns
                    for condition in list {
                        let column = condition.condition.column
                        let slot = columns.firstIndex { $0.id == column.id }
                        if try !condition.holds(slot.flatMap { values[$0] }) { return false }
                    }
                }
            }
            return true
        } catch let error as CQLError {
            throw error
        } catch {
            throw .serverError("the rows that were read are malformed: \(error)")
        }
    }

    /// The one mutation that all statements together make, with that write timestamp; nil if they change
    /// nothing. Uses the sink as its working space.
    package func mutation(
        at timestamp: Int64, _ current: CurrentRows, _ sink: MutationSink
    ) throws(CQLError) -> [UInt8]? {
        sink.removeAll()
        sink.current = current
        defer { sink.removeAll() }
        var context = context
        context.timestamp = timestamp
        context.clock = timestamp
        for part in parts { try part.plan.buildRows(part.values.values, context, into: sink) }
        try sink.mergePartitions()
        guard let entry = sink.entries.first else { return nil }
        precondition(sink.entries.count == 1, "a conditional request of several partitions")
        return [UInt8](sink[entry])
    }

    // MARK: Answering

    /// `[applied]`, and the rows as they are if it was not.
    package func answer(applied: Bool, _ current: CurrentRows) throws(CQLError) -> Answer {
        let verdict = ColumnSpecification(
            keyspace: table.keyspace, table: table.name, name: "[applied]", type: .boolean)
        let alone = Answer(columns: [verdict], rows: [[[applied ? 1 : 0]]])
        if applied { return alone }
        let (shown, all) = shownColumns
        let rows: [[[UInt8]?]]
        do throws(MalformedBytes) {
            rows = try currentRows(current)
        } catch {
            throw .serverError("the rows that were read are malformed: \(error)")
        }
        if rows.isEmpty { return alone }
        let columns = shown.map { column in
            ColumnSpecification(
                keyspace: table.keyspace, table: table.name, name: column.name, type: column.type)
        }
        let slots = shown.map { column in all.firstIndex { $0.id == column.id } ?? 0 }
        return Answer(
            columns: [verdict] + columns,
            rows: rows.map { row in [[0]] + slots.map { row[$0] } })
    }

    /// Every column if a condition is about rows, else those that the conditions name.
    private var shownColumns: (shown: [ColumnSchema], all: [ColumnSchema]) {
        let all = table.allColumns
        var named: [ColumnSchema] = []
        for part in parts {
            guard let condition = part.plan.condition else { continue }
            guard let columns = condition.columns else { return (table.visibleColumns, all) }
            for column in columns where !named.contains(where: { $0.id == column.id }) {
                named.append(column)
            }
        }
        return (isBatch ? table.partitionKey + table.visibleClustering + named : named, all)
    }

    /// The rows that were read in their order, each in the order of `SELECT *`. Null stands for columns that
    /// Cassandra does not read: those that no condition names, unless they are static and a conditional
    /// statement writes static ones, or are not and some statement names a row.
    private func currentRows(_ current: CurrentRows) throws(MalformedBytes) -> [[[UInt8]?]] {
        let conditional = parts.filter(\.plan.isConditional)
        let named = conditional.flatMap { $0.plan.condition?.columns ?? [] }
        let writesStatics = conditional.contains { !$0.plan.staticCells.isEmpty }
        let namesRows =
            table.clustering.isEmpty || parts.contains { !$0.plan.clustering.isEmpty }
        let columns = table.allColumns
        let isShown = columns.map { column in
            switch column.kind {
            case .partitionKey, .clustering: true
            case .static: writesStatics || named.contains { $0.id == column.id }
            case .regular: namesRows || named.contains { $0.id == column.id }
            }
        }
        func row(_ clustering: [UInt8]?) throws(MalformedBytes) -> [[UInt8]?] {
            var values = try current.values(table, key, clustering)
            for slot in values.indices where !isShown[slot] { values[slot] = nil }
            return values
        }
        var rows: [[[UInt8]?]] = []
        for clustering in current.clusteringKeys(key).prefix(readsFirstRow ? 1 : .max) {
            rows.append(try row(clustering))
        }
        if rows.isEmpty {
            let statics = try row(nil)
            if columns.indices.contains(where: { columns[$0].isStatic && statics[$0] != nil }) {
                rows.append(statics)
            }
        }
        return rows
    }
}

extension ModificationPlan {
    /// As Cassandra names the kind of a conditional statement.
    fileprivate var kindName: String {
        if case .write = effect { "updates" } else { "deletions" }
    }

    /// The reads that its operations on lists need: one for each partition.
    package func readCommands(
        _ values: BoundValues, _ context: ExecutionContext
    ) throws(CQLError) -> [ReadCommand] {
        let evaluation = KeyEvaluation(table: table, values: values, context: context)
        let slices = isStaticOnly ? [] : try evaluation.slices(clustering)
        var commands: [ReadCommand] = []
        for key in try evaluation.partitionKeys(partition) {
            commands.append(
                ReadCommand(
                    table: table.id, scope: .partition(token: Token.of(key).value, key: key),
                    slices: slices, nowInSeconds: context.nowInSeconds))
        }
        return commands
    }
}
