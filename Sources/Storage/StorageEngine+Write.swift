// The write path.
//
//     admits? -- no --> the shard keeps the mutation and asks again (`WriteThrottle`)
//        | yes
//     apply: checks -> record into the tick's buffer -> live memtable
//
// Cost of a one-row write of 116 bytes: one comparison with the budget, one walk that checks the row,
// one copy with a CRC32C into the log's buffer, one directory lookup, one copy into the arena. No
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
    @discardableResult
    package func apply(
        _ mutation: MutationView, clock: ClockReading
    ) throws(StorageError) -> LogPosition {
        guard let table = table(mutation.table) else { throw .unknownTable(mutation.table) }
        guard slice.contains(mutation.token) else { throw .outsideSlice(token: mutation.token) }
        if let writeRefusal { throw writeRefusal }
        if mutation.bytes.count > maximumMutationBytes {
            throw .mutationTooLarge(bytes: mutation.bytes.count, limit: maximumMutationBytes)
        }
        do throws(MalformedBytes) {
            let partition = try PartitionView(mutation.partition)
            let facts = try Self.check(partition)
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

    /// Larger mutations are refused.
    package var maximumMutationBytes: Int { configuration.largestMutationBytes }

    /// What a walk over a mutation's partition finds.
    struct MutationFacts {
        /// No cell, marker or deletion is older.
        var oldestTimestamp = Int64.max
        /// Nothing is deleted and nothing expires.
        var isPlain = true
    }

    /// Walks over the whole partition once: it is well-formed, and these are the facts about it.
    static func check(_ partition: PartitionView) throws(MalformedBytes) -> MutationFacts {
        var facts = MutationFacts()
        if !partition.deletion.isNone {
            facts.oldestTimestamp = partition.deletion.timestamp
            facts.isPlain = false
        }
        for range in partition.ranges {
            facts.oldestTimestamp = min(facts.oldestTimestamp, range.deletion.timestamp)
            facts.isPlain = false
        }
        if !partition.staticRow.isEmpty { try check(partition.staticRow, &facts) }
        var rows = partition.rows
        var previous: UnsafeRawBufferPointer?
        while let (key, row) = try rows.next() {
            if let previous, compareBytes(previous, key) >= 0 {
                throw MalformedBytes("rows out of order", offset: rows.reader.position)
            }
            previous = key
            try check(row, &facts)
        }
        return facts
    }

    private static func check(
        _ bytes: UnsafeRawBufferPointer, _ facts: inout MutationFacts
    ) throws(MalformedBytes) {
        let row = try RowView(bytes)
        if !row.liveness.isNone {
            facts.oldestTimestamp = min(facts.oldestTimestamp, row.liveness.timestamp)
            if row.liveness.isExpiring { facts.isPlain = false }
        }
        if !row.deletion.isNone {
            facts.oldestTimestamp = min(facts.oldestTimestamp, row.deletion.timestamp)
            facts.isPlain = false
        }
        var cells = row.cells
        var previous: Cell?
        while let cell = try cells.next() {
            if let previous, previous.position(comparedTo: cell) >= 0 {
                throw MalformedBytes("cells out of order", offset: cells.reader.position)
            }
            previous = cell
            facts.oldestTimestamp = min(facts.oldestTimestamp, cell.timestamp)
            if !cell.flags.isDisjoint(with: [.tombstone, .expiring, .complexDeletion]) {
                facts.isPlain = false
            }
            if cell.isCount {
                let shards = try CounterShards(cell.value)
                try shards.validate(timestamp: cell.timestamp)
                if let clocks = shards.clocks {
                    facts.oldestTimestamp = min(facts.oldestTimestamp, clocks.lowerBound)
                }
            }
        }
    }

    /// Asks that `syncedPosition` move over all that was applied: batch and group mode.
    package func requestSync() { log.requestSync(at: nil) }
}
