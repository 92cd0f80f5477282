// What a shard's start found, for the people who run the node.

internal import Storage

extension Shard {
    /// A sentence for the node's log.
    package struct RecoveryReport: Sendable {
        package let text: String
        /// Something is missing that was once written.
        package let isAlarming: Bool
    }

    /// What the replay of the commit log found; nil if there was nothing in it.
    package var recoveryReport: RecoveryReport? {
        let report = storage.replayReport
        guard report.records > 0 || report.droppedRecords > 0 || report.damagedSegments > 0 else {
            return nil
        }
        var text = "replayed \(report.records - report.skipped) mutations of the commit log"
        if report.skipped > 0 { text += ", \(report.skipped) more were no longer needed" }
        if report.droppedRecords > 0 {
            text +=
                "; dropped \(report.droppedRecords) records behind the torn tails of "
                + "\(report.tornSegments) segments, none of which had been synced"
        }
        if let corruption = report.corruption {
            text +=
                "; \(report.damagedSegments) segments are damaged, the first one is \(corruption)"
                + (report.recoveredRecords > 0
                    ? " (\(report.recoveredRecords) records behind the damage were read)" : "")
        }
        if let refusal = storage.writeRefusal { text += "; \(refusal)" }
        return RecoveryReport(
            text: text, isAlarming: report.droppedRecords > 0 || report.damagedSegments > 0)
    }
}
