// The read path.

package import Encoding
package import Environment
package import Model

extension StorageEngine {
    /// Answers a read. `.done`: the bytes of a `ReadResultView` were appended to `into`. `.parked`:
    /// blocks are being read, and the answer comes as a `CompletedRead` with this tag.
    ///
    /// A scan that goes on inside a partition (its position names a row) shows the partition's
    /// deletion and static row again; the static row does not count as a row then.
    package func read(
        _ command: ReadCommand, tag: UInt64, clock: ClockReading, outbox: Outbox,
        into writer: ByteWriter
    ) throws(StorageError) -> ReadStatus {
        guard let table = table(command.table) else { throw .unknownTable(command.table) }
        let rule = table.purgeRule(nowInSeconds: command.nowInSeconds)
        let start = ReadResultWriter.begin(into: writer)
        var limits = PartitionReader.Limits(
            rows: command.rowLimit, partitionRows: command.partitionRowLimit,
            endOfBytes: start.addingReportingOverflow(command.byteLimit).overflow
                ? .max : start + command.byteLimit)
        var isExhausted = true
        switch command.scope {
        case .partition(let token, let key):
            let outcome = try key.withBytes { (key) throws(StorageError) in
                try readPartition(
                    table, token: token, key: key, command, behind: nil, rule, &limits, writer)
            }
            isExhausted = outcome == .whole
        case .range(let range):
            isExhausted = try scan(table, range, command, rule, &limits, writer)
        }
        ReadResultWriter.finish(start: start, isExhausted: isExhausted, into: writer)
        return .done
    }

    private func readPartition(
        _ table: TableState, token: Int64, key: UnsafeRawBufferPointer, _ command: ReadCommand,
        behind: [UInt8]?, _ rule: PurgeRule, _ limits: inout PartitionReader.Limits,
        _ writer: ByteWriter
    ) throws(StorageError) -> PartitionReader.Outcome {
        let reader = partitionReader
        reader.begin()
        var used = 0
        addSource(table.live, token, key, &used)
        for memtable in table.frozen { addSource(memtable, token, key, &used) }
        if used == 0 { return .whole }
        return try reader.read(
            token: token, key: key, command, behind: behind, rule: rule, limits: &limits, into: writer)
    }

    private func addSource(
        _ memtable: Memtable, _ token: Int64, _ key: UnsafeRawBufferPointer, _ used: inout Int
    ) {
        guard let node = memtable.find(token: token, key: key) else { return }
        if used == memtableSources.count { memtableSources.append(MemtableRowSource()) }
        let source = memtableSources[used]
        used += 1
        source.open(node, in: memtable)
        partitionReader.sources.append(source)
        partitionReader.deletion = partitionReader.deletion.merged(with: node.deletion)
        if let row = node.staticRow { partitionReader.staticRows.append(row.row) }
    }

    private func scan(
        _ table: TableState, _ range: ReadCommand.TokenScope, _ command: ReadCommand,
        _ rule: PurgeRule, _ limits: inout PartitionReader.Limits, _ writer: ByteWriter
    ) throws(StorageError) -> Bool {
        var position = range.after
        var from = range.start == .min ? Int64.min : range.start + 1
        if range.start == .max { return true }
        if let position { from = max(from, position.token) }
        var cursors = ([table.live] + table.frozen).map { $0.cursor(from: from) }
        var heads = cursors.indices.map { cursors[$0].next() }
        while true {
            var best: PartitionNode?
            for index in heads.indices {
                while let node = heads[index], let after = position,
                    Self.isPassed(node, after)
                { heads[index] = cursors[index].next() }
                guard let node = heads[index] else { continue }
                if let current = best, !Self.precedes(node, current) { continue }
                best = node
            }
            guard let node = best, node.token <= range.end else { return true }
            if limits.rows <= 0 || writer.count >= limits.endOfBytes { return false }
            var behind: [UInt8]?
            if let after = position, let clustering = after.clustering, after.token == node.token,
                compare(node.key, after.key) == 0
            {
                behind = clustering
            }
            let outcome = try readPartition(
                table, token: node.token, key: node.key, command, behind: behind, rule, &limits, writer)
            if outcome == .limit { return false }
            position = ReadCommand.Position(token: node.token, key: [UInt8](node.key), clustering: nil)
        }
    }

    private static func precedes(_ a: PartitionNode, _ b: PartitionNode) -> Bool {
        a.token == b.token ? compareBytes(a.key, b.key) < 0 : a.token < b.token
    }

    /// Whether a scan at `after` has this partition wholly behind it.
    private static func isPassed(_ node: PartitionNode, _ after: ReadCommand.Position) -> Bool {
        if node.token != after.token { return node.token < after.token }
        let order = compare(node.key, after.key)
        return order == 0 ? after.clustering == nil : order < 0
    }
}
