// Taking out of a row what no reader needs any more: tombstones past gc grace, values that have
// expired, and cells of columns that were dropped. Reads do it to their answers and compaction to what
// it writes, by the same rule, so that a replica that has compacted and one that has not answer the
// same bytes.

package import Encoding

/// When something deleted or expired may be forgotten.
package struct PurgeRule: Hashable, Sendable {
    /// Seconds since 1970: what expires at or before it has expired.
    package var nowInSeconds: Int64
    /// Seconds since 1970: what was deleted (or expired) before it is past gc grace.
    package var gcBefore: Int64
    /// Only what is older than this timestamp goes: something older may lie elsewhere. Not so for dropped
    /// columns: whatever a cell of theirs hides is as dead as it is.
    package var olderThan: Int64
    package var dropped: DroppedCells

    package init(
        nowInSeconds: Int64, gcBefore: Int64, olderThan: Int64 = .max,
        dropped: DroppedCells = DroppedCells()
    ) {
        self.nowInSeconds = nowInSeconds
        self.gcBefore = gcBefore
        self.olderThan = olderThan
        self.dropped = dropped
    }

    /// Forgets cells of dropped columns and nothing else.
    package static func only(_ dropped: DroppedCells) -> PurgeRule {
        PurgeRule(nowInSeconds: .min, gcBefore: .min, olderThan: .min, dropped: dropped)
    }

    /// Whether a tombstone of that timestamp and local deletion time may be forgotten.
    @inlinable
    package func purges(timestamp: Int64, localDeletionTime: UInt32) -> Bool {
        Int64(localDeletionTime) < gcBefore && timestamp < olderThan
    }

    /// Whether a cell that is not live may be forgotten. A counter's tombstone also holds down counts
    /// that are newer than it, so it goes only when nothing of its partition may lie elsewhere.
    @inlinable
    package func purges(_ cell: Cell) -> Bool {
        purges(timestamp: cell.timestamp, localDeletionTime: cell.localDeletionTime)
            && (!cell.isCounterTombstone || olderThan == .max)
    }

    @inlinable
    package func purges(_ deletion: Deletion) -> Bool {
        !deletion.isNone
            && purges(timestamp: deletion.timestamp, localDeletionTime: deletion.localDeletionTime)
    }
}

/// Which cells are of columns that were dropped after they were written. A column that came back has its
/// newer cells; counters never come back, and no count of theirs is of any use.
package struct DroppedCells: Hashable, Sendable {
    private struct Column: Hashable {
        let id: UInt32
        let droppedAt: Int64
    }

    /// By rising id.
    private var columns: [Column] = []

    package init() {}

    package init(_ schema: TableSchema) {
        columns = schema.dropped.map { dropped in
            Column(
                id: dropped.column.id.value,
                droppedAt: dropped.column.type == .counter ? .max : dropped.droppedAt)
        }
        columns.sort { $0.id < $1.id }
    }

    /// Nothing was dropped.
    package var isEmpty: Bool { columns.isEmpty }

    /// Cost: tables have few such columns.
    package func contains(_ cell: Cell) -> Bool {
        for column in columns where column.id >= cell.column {
            return column.id == cell.column && cell.timestamp <= column.droppedAt
        }
        return false
    }
}

/// Applies a `PurgeRule` to rows.
package enum RowPurge {
    /// What a row is to a reader and to the rule.
    package struct Verdict: Equatable, Sendable {
        /// Some marker or cell is live.
        package var isLive: Bool
        /// `rewrite` would change it.
        package var needsRewrite: Bool
        /// Deletions in it that the rule keeps: of the row itself, and of cells.
        package var tombstones = 0
    }

    /// Reads the row once. Cost: the walk over its cells.
    package static func inspect(
        _ row: RowView, _ rule: PurgeRule
    ) throws(MalformedBytes) -> Verdict {
        var verdict = Verdict(
            isLive: row.liveness.isLive(nowInSeconds: rule.nowInSeconds),
            needsRewrite: rule.purges(row.deletion) || drops(row.liveness, rule))
        if !row.deletion.isNone, !rule.purges(row.deletion) { verdict.tombstones = 1 }
        var cursor = row.cells
        let mayBeDropped = !rule.dropped.isEmpty
        while let cell = try cursor.next() {
            if mayBeDropped, rule.dropped.contains(cell) {
                verdict.needsRewrite = true
                continue
            }
            if cell.isLive(nowInSeconds: rule.nowInSeconds) {
                verdict.isLive = true
                continue
            }
            let isPurged = rule.purges(cell)
            if !isPurged { verdict.tombstones += 1 }
            if cell.isExpiring && cell.value.count > 0 || isPurged { verdict.needsRewrite = true }
        }
        return verdict
    }

    /// Writes the row without what the rule purges and without cells of dropped columns; expired cells lose their values. They stay expiring
    /// cells: made into tombstones they would win ties that they lost before, and what a merge gives
    /// would depend on when each side was compacted. Returns false, with nothing written, if nothing
    /// is left.
    package static func rewrite(
        _ row: RowView, _ rule: PurgeRule, into writer: ByteWriter
    ) throws(MalformedBytes) -> Bool {
        var assembler = RowAssembler(
            liveness: drops(row.liveness, rule) ? .none : row.liveness,
            deletion: row.deletion, shadow: rule.purges(row.deletion) ? row.deletion : .none,
            originalKey: row.originalKey, writer: writer)
        var cursor = row.cells
        let mayBeDropped = !rule.dropped.isEmpty
        while var cell = try cursor.next() {
            if mayBeDropped, rule.dropped.contains(cell) { continue }
            if !cell.isLive(nowInSeconds: rule.nowInSeconds) {
                if rule.purges(cell) { continue }
                if cell.isExpiring { cell.value = UnsafeRawBufferPointer(start: nil, count: 0) }
            }
            try assembler.append(cell)
        }
        return assembler.finish()
    }

    private static func drops(_ liveness: Liveness, _ rule: PurgeRule) -> Bool {
        !liveness.isNone && !liveness.isLive(nowInSeconds: rule.nowInSeconds)
            && rule.purges(timestamp: liveness.timestamp, localDeletionTime: liveness.expiresAt)
    }
}
