// Virtual tables, and system tables whose rows are figures: a select asks all shards of its node, and is
// answered out of what they tell, put together.
//
//     select --> asking shard --viewTask--> each shard --viewFacts--> asking shard --> rows, select, answer
//
// Facts are an `AdminValue`, so that those of several shards join as operators' figures do: lists follow
// each other, figures of the same name add up. What only shard 0 knows only shard 0 tells.

internal import CQL
internal import Encoding
internal import Environment
internal import Model
internal import NativeProtocol
internal import Storage

/// A select that waits for what the shards know.
struct PendingView {
    let client: ClientRequest
    let select: SelectPlan
    let values: RetainedValues
    let context: ExecutionContext
    let form: RowsForm
    /// Shards that have not told yet.
    var waiting: Int
    var facts = AdminValue.null
}

extension Shard {
    /// Whether the rows of a table are made of what all shards know.
    func isGathered(_ table: TableSchema) -> Bool {
        switch table.keyspace {
        case "system_views": !SystemSchema.isSettings(table)
        case "system": Self.gatheredSystemTables.contains(table.name)
        default: false
        }
    }

    private static let gatheredSystemTables = [
        "size_estimates", "sstable_activity_v2", "table_estimates",
    ]

    /// Answers a select of such a table.
    func gather(
        _ select: SelectPlan, _ values: BoundValues, _ context: ExecutionContext,
        _ form: RowsForm, _ client: ClientRequest
    ) {
        nextView += 1
        pendingViews[nextView] = PendingView(
            client: client, select: select, values: RetainedValues(copying: values),
            context: context, form: form, waiting: shardCount)
        let table = select.table.keyspace + "." + select.table.name
        for shard in 0..<shardCount {
            sendShard(.viewTask(nextView, table), to: ShardIndex(shard))
        }
    }

    /// Another shard, or this one, makes rows of a table.
    func serveView(_ id: UInt64, _ table: String, from shard: ShardIndex) {
        if table == "system_views.snapshots", control != nil {
            startAdminJob(SnapshotFolderJob(.list), .view(id, shard))
            return
        }
        sendShard(.viewFacts(id, facts(for: table)), to: shard)
    }

    /// One shard has told.
    func viewTold(_ id: UInt64, _ facts: AdminValue) {
        guard var view = pendingViews[id] else { return }
        view.waiting -= 1
        view.facts = view.facts.joined(with: facts)
        pendingViews[id] = view.waiting > 0 ? view : nil
        if view.waiting == 0 { answer(view) }
    }

    private func answer(_ view: PendingView) {
        let table = view.select.table
        let rows = viewRows(table.keyspace + "." + table.name, view.facts)
            .map { table.systemRow(describing: $0) }
        let keyCount = table.partitionKey.count + table.clustering.count
        do throws(CQLError) {
            let result = try view.select.execute(
                overRows: Self.sorted(rows, keyCount), view.values.values, view.context)
            answer(view.client, view.form, result)
        } catch {
            answer(view.client, error: error)
        }
    }

    /// By the bytes of their keys; of two rows of one key the later one stays.
    static func sorted(_ rows: [SystemRow], _ keyCount: Int) -> [SystemRow] {
        func precedes(_ left: SystemRow, _ right: SystemRow) -> Bool {
            for index in 0..<keyCount {
                let (a, b) = (left[index] ?? [], right[index] ?? [])
                if a != b { return a.lexicographicallyPrecedes(b) }
            }
            return false
        }
        var result: [SystemRow] = []
        for row in rows.sorted(by: precedes) {
            if let last = result.last, !precedes(last, row) {
                result[result.count - 1] = row
            } else {
                result.append(row)
            }
        }
        return result
    }
}

extension TableSchema {
    /// A row of this table out of facts by its columns' names.
    fileprivate func systemRow(describing facts: AdminValue) -> SystemRow {
        var values: [String: SystemValue] = [:]
        for field in facts.fields {
            guard let column = column(named: field.name) else {
                preconditionFailure("no column \(field.name) in \(keyspace).\(name)")
            }
            values[field.name] = SystemValue(field.value, as: column.type)
        }
        return systemRow(values)
    }
}

extension SystemValue {
    /// A fact as a value of a column; nil for null. Times are milliseconds since 1970, addresses and ids
    /// text.
    init?(_ fact: AdminValue, as type: CQLType) {
        if fact == .null { return nil }
        switch type {
        case .int: self = .int(Int32(clamping: fact.integer))
        case .bigint: self = .bigint(fact.integer)
        case .double: self = .double(fact.number)
        case .boolean: self = .boolean(fact.isTrue)
        case .timestamp: self = .timestamp(fact.integer)
        case .uuid, .timeuuid:
            guard let id = UniqueID(fact.text) else { return nil }
            self = .uuid(id)
        case .inet:
            guard let address = InternetAddress.parse(fact.text) else { return nil }
            self = .inet(address)
        case .map(.text, .text, _):
            var map: [String: String] = [:]
            for field in fact.fields { map[field.name] = field.value.text }
            self = .textMap(map)
        case .list(.text, _): self = .textList(fact.elements.map(\.text))
        default: self = .text(fact.text)
        }
    }
}
