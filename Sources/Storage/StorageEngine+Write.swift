// The write path.
//
//     admits? -- no --> the shard keeps the mutation and asks again (`WriteThrottle`)
//        | yes
//     apply: checks -> record into the tick's buffer -> live memtable
//
// Cost of a one-row write of 116 bytes: one comparison with the budget, one walk that checks the row unless it was
// just built here, one copy with a CRC32C into the log's buffer, one directory lookup, one copy into the arena. No
// allocation outside the arena.

internal import Encoding
package import Environment
package import Model

extension StorageEngine {
    /// Makes a mutation part of the shard's data: a log record in this step's buffer, and the memtable.
    /// Nothing that depends on it may leave before the step's `endTick`. On an error nothing happened.
    ///
    /// Returns the position that must be synced before the mutation is durable; `.zero` for a table of a
    /// keyspace without `durable_writes`, which lives in memtables alone until it is flushed.
    ///
    /// `facts`: of a mutation that was just built, by whoever built it; it is not walked over then.
    @discardableResult
    package func apply(
        _ mutation: MutationView, facts known: RowSummary? = nil, clock: ClockReading
    ) throws(StorageError) -> LogPosition {
        guard let table = table(mutation.table) else { throw .unknownTable(mutation.table) }
        guard slice.contains(mutation.token) else { throw .outsideSlice(token: mutation.token) }
        if let writeRefusal { throw writeRefusal }
        if mutation.bytes.count > maximumMutationBytes {
            throw .mutationTooLarge(bytes: mutation.bytes.count, limit: maximumMutationBytes)
        }
        freezeIfOversized(table)
        do throws(MalformedBytes) {
            // The memtable's misses go on while the mutation is checked and logged.
            table.live.prefetchSlot(mutation.token)
            let partition = try PartitionView(mutation.partition)
            let facts: RowSummary
            if let known { facts = known } else { facts = try Self.check(partition) }
            assert(facts == (try? Self.check(partition)), "a mutation is not what its builder says")
            table.live.prefetchLeaf(mutation.token)
            let isLogged = table.isLogged
            let position = isLogged ? log.append(mutation.bytes) : log.nextPosition
            try table.live.apply(
                token: mutation.token, key: mutation.key, partition,
                oldestTimestamp: facts.oldestTimestamp, isPlain: facts.isPlain,
                position: position, isLogged: isLogged, scratch: mergeScratch)
            return isLogged ? position : .zero
        } catch {
            throw .malformed(error)
        }
    }

    /// Has the processor load what writes of these partitions of a table will touch: before several are
    /// applied in a row, some dozens at a time. A hint: nothing depends on it.
    package func prefetch(_ id: TableID, tokens: UnsafeBufferPointer<Int64>) {
        table(id)?.live.prefetch(tokens)
    }

    /// Walks over the whole partition once: it is well-formed, and these are the facts about it.
    static func check(_ partition: PartitionView) throws(MalformedBytes) -> RowSummary {
        var facts = RowSummary()
        facts.add(partition.deletion)
        for range in partition.ranges { facts.add(range.deletion) }
        if !partition.staticRow.isEmpty { try facts.addChecking(partition.staticRow) }
        var rows = partition.rows
        var previous: UnsafeRawBufferPointer?
        while let (key, row) = try rows.next() {
            if let previous, compareBytes(previous, key) >= 0 {
                throw MalformedBytes("rows out of order", offset: rows.reader.position)
            }
            previous = key
            try facts.addChecking(row)
        }
        return facts
    }

    /// Asks that `syncedPosition` move over all that was applied: batch and group mode.
    package func requestSync() { log.requestSync(at: nil) }
}
