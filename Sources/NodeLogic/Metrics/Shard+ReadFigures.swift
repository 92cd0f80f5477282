// What reads and writes of this shard's own storage are counted as, and the warning about tombstones.

internal import Environment
internal import Model
internal import Storage

extension Shard {
    /// A read of this shard's storage has ended.
    func noteRead(_ command: ReadCommand, _ figures: ReadFigures, since began: Instant) {
        let isScan = if case .range = command.scope { true } else { false }
        noteRead(of: command.table, isScan ? .localScan : .localRead, figures, since: began)
    }

    /// The same, for a read without a command.
    func noteRead(
        of table: TableID, _ measure: RequestMeasure, _ figures: ReadFigures, since began: Instant
    ) {
        completedCounts.reads += 1
        let metrics = metrics(of: table)
        metrics.record(measure, now.monotonic - began, now: now.monotonic)
        metrics.rows.record(Int64(figures.rows))
        metrics.tombstones.record(Int64(figures.tombstones))
    }

    /// A mutation was applied: it is in memory and in the log's buffer in the step that brings it.
    func noteApplied(_ table: TableID) {
        completedCounts.writes += 1
        metrics(of: table).record(.localWrite, Instant.Span(nanoseconds: 0), now: now.monotonic)
    }

    /// A replica had to pass that many deletions for a client's read.
    func noteTombstones(_ count: Int, _ client: ClientRequest) {
        guard count > configuration.requests.tombstoneWarnThreshold else { return }
        client.tombstoneWarnings.replicas += 1
        client.tombstoneWarnings.most = max(client.tombstoneWarnings.most, count)
    }

    /// Warns the client of a select before it is answered.
    func warnOfTombstones(_ client: ClientRequest) {
        let (replicas, most) = client.tombstoneWarnings
        guard replicas > 0 else { return }
        client.warnings.append(
            "\(replicas) nodes scanned up to \(most) tombstones and issued tombstone warnings for "
                + "query \(client.statement)  (see tombstone_warn_threshold)")
    }
}
