// The stale-read experiment over many seeds: which pairs of levels ever showed a stale read.

package import Simulation

/// The sums of a pair over all seeds.
package struct StaleReadSurvey: Sendable {
    package struct Row: Sendable {
        package let pair: ConsistencyPair
        package var seeds = 0
        package var seedsWithStaleReads = 0
        package var staleReads = 0
        package var answeredReads = 0
        package var acknowledgedWrites = 0
        package var fewestReads = Int.max
        package var fewestAcknowledgedWrites = Int.max
        package var seedsWithLostWrites = 0
        package var lostWrites = 0
        package var worstAgeNanoseconds: Int64 = 0
    }

    package private(set) var rows: [Row] = ConsistencyPair.all.map { Row(pair: $0) }
    package private(set) var trace = TraceHash()
    package private(set) var events: UInt64 = 0
    /// With the seed before each.
    package private(set) var problems: [String] = []

    package init() {}

    /// Adds the report of one seed.
    package mutating func add(_ report: StaleReadReport) {
        for (index, result) in report.results.enumerated() {
            rows[index].seeds += 1
            rows[index].seedsWithStaleReads += result.staleReads > 0 ? 1 : 0
            rows[index].staleReads += result.staleReads
            rows[index].answeredReads += result.answeredReads
            rows[index].acknowledgedWrites += result.acknowledgedWrites
            rows[index].fewestReads = min(rows[index].fewestReads, result.answeredReads)
            rows[index].fewestAcknowledgedWrites = min(
                rows[index].fewestAcknowledgedWrites, result.acknowledgedWrites)
            rows[index].seedsWithLostWrites += result.lostToLastWriteWinsWrites > 0 ? 1 : 0
            rows[index].lostWrites += result.lostToLastWriteWinsWrites
            rows[index].worstAgeNanoseconds = max(
                rows[index].worstAgeNanoseconds, result.staleAges.maximum)
            events += result.events
        }
        trace.add(report.trace)
        problems += report.problems.map { "seed \(report.options.seed): \($0)" }
    }

    /// The survey for a person.
    package var text: String {
        var lines: [String] = []
        for row in rows {
            lines.append(
                "\(row.pair): stale in \(row.seedsWithStaleReads) of \(row.seeds) seeds, "
                    + "\(row.staleReads) of \(row.answeredReads) reads, out of date for up to "
                    + "\(VirtualTime.text(row.worstAgeNanoseconds)) ms; at least \(row.fewestReads) "
                    + "reads and \(row.fewestAcknowledgedWrites) acknowledged writes in each seed"
                    + (row.lostWrites > 0
                        ? "; \(row.lostWrites) writes lost to last-write-wins in "
                            + "\(row.seedsWithLostWrites) seeds" : ""))
        }
        lines.append("trace hash \(trace) over \(trace.count) deliveries, \(events) events")
        lines += problems.map { "VIOLATION \($0)" }
        return lines.joined(separator: "\n") + "\n"
    }

    /// The survey for a program.
    package var json: JSONText {
        .object([
            ("experiment", .string("stale-read survey")),
            (
                "pairs",
                .array(
                    rows.map { row in
                        .object([
                            ("write", .string("\(row.pair.write)")),
                            ("read", .string("\(row.pair.read)")),
                            ("seeds", .integer(Int64(row.seeds))),
                            ("seeds_with_stale_reads", .integer(Int64(row.seedsWithStaleReads))),
                            ("stale_reads", .integer(Int64(row.staleReads))),
                            ("answered_reads", .integer(Int64(row.answeredReads))),
                            ("acknowledged_writes", .integer(Int64(row.acknowledgedWrites))),
                            ("fewest_reads", .integer(Int64(row.fewestReads))),
                            (
                                "fewest_acknowledged_writes",
                                .integer(Int64(row.fewestAcknowledgedWrites))
                            ),
                            ("seeds_with_lost_writes", .integer(Int64(row.seedsWithLostWrites))),
                            ("lost_writes", .integer(Int64(row.lostWrites))),
                        ])
                    })
            ),
            ("problems", .array(problems.map { .string($0) })),
            ("trace_hash", .string("\(trace)")), ("events", .unsigned(events)),
        ])
    }
}
