// The stale-read experiment for every pair of levels: running it, and telling what came out, as
// text for people and as JSON for programs. Both hold the same figures.

internal import Environment
package import Simulation

/// The experiment for one seed: all pairs of levels on the same plan.
package struct StaleReadReport: Sendable {
    package let options: StaleReadOptions
    package let plan: StaleReadPlan
    package let results: [StaleReadResult]

    /// Runs all pairs, each in a world of its own.
    package init(_ options: StaleReadOptions, traceSink: ((String) -> Void)? = nil) {
        self.options = options
        let plan = StaleReadPlan(options)
        self.plan = plan
        results = ConsistencyPair.all.map { pair in
            traceSink?("# \(pair)")
            return StaleReadRun.run(options, pair, plan: plan, traceSink: traceSink)
        }
    }

    /// One hash over the traces of all pairs.
    package var trace: TraceHash {
        results.reduce(into: TraceHash()) { $0.add($1.trace) }
    }

    /// What must not be: a broken promise of the levels, or a broken node.
    package var problems: [String] {
        results.flatMap { result in
            (result.breaksPromise
                ? ["\(result.pair): \(result.staleReads) stale reads although W + R > N"] : [])
                + result.violations.map { "\(result.pair): \($0)" }
        }
    }

    /// The report for a person.
    package var text: String {
        var lines = [
            "stale-read, seed \(options.seed): three replicas, delays of \(options.model.rawValue), "
                + "timestamps of the \(options.timestamps.rawValue), clock skew "
                + "\(options.clockSkewMilliseconds) ms"
        ]
        lines += plan.faults.map { "  fault at \($0)" }
        if options.plantsBug { lines.append("  planted bug: one answer counts as a quorum") }
        for result in results {
            lines.append("")
            lines += Self.lines(result)
        }
        lines.append("")
        lines.append("trace hash \(trace) over \(trace.count) deliveries")
        for problem in problems { lines.append("VIOLATION \(problem)") }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func lines(_ result: StaleReadResult) -> [String] {
        var lines = [
            "\(result.pair): \(result.operations) operations, \(result.acknowledgedWrites) of "
                + "\(result.writes) writes acknowledged (\(result.writeTimeouts) timed out, "
                + "\(result.refusedWrites) refused), \(result.answeredReads) of \(result.reads) reads "
                + "answered (\(result.readTimeouts) timed out, \(result.refusedReads) refused)"
        ]
        if result.staleReads == 0 {
            lines.append("  no stale read")
        } else {
            let ages = result.staleAges
            let versions = result.versionsBehind
            lines.append(
                "  \(result.staleReads) stale reads; out of date for (ms) mean "
                    + "\(VirtualTime.text(ages.mean)), p50 \(VirtualTime.text(ages.median)), p99 "
                    + "\(VirtualTime.text(ages.percentile99)), max \(VirtualTime.text(ages.maximum))"
            )
            lines.append(
                "  versions behind: mean \(versions.mean), p50 \(versions.median), p99 "
                    + "\(versions.percentile99), max \(versions.maximum)")
        }
        if result.lostToLastWriteWinsWrites > 0 {
            lines.append(
                "  lost to last-write-wins: \(result.lostToLastWriteWinsWrites) acknowledged writes, "
                    + "shown by \(result.lostToLastWriteWinsReads) reads")
        }
        if let first = result.example.first {
            lines.append("  example: \(first)")
            lines += result.example.dropFirst().map { "           \($0)" }
        }
        lines.append(
            "  trace \(result.trace), \(result.events) events, \(result.virtualTime) ms of virtual time"
        )
        return lines
    }

    /// The report for a program.
    package var json: JSONText {
        .object([
            ("experiment", .string("stale-read")), ("seed", .unsigned(options.seed)),
            ("replicas", .integer(Int64(StaleReadPlan.nodeCount))),
            ("model", .string(options.model.rawValue)),
            ("timestamps", .string(options.timestamps.rawValue)),
            ("clock_skew_ms", .integer(options.clockSkewMilliseconds)),
            ("planted_bug", .boolean(options.plantsBug)),
            ("faults", .array(plan.faults.map { .string("\($0)") })),
            ("pairs", .array(results.map(Self.json))),
            ("problems", .array(problems.map { .string($0) })),
            ("trace_hash", .string("\(trace)")), ("deliveries", .unsigned(trace.count)),
        ])
    }

    private static func json(_ result: StaleReadResult) -> JSONText {
        func distribution(_ figures: Distribution) -> JSONText {
            .object([
                ("mean", .integer(figures.mean)), ("p50", .integer(figures.median)),
                ("p99", .integer(figures.percentile99)), ("max", .integer(figures.maximum)),
            ])
        }
        func count(_ value: Int) -> JSONText { .integer(Int64(value)) }
        return .object([
            ("write", .string("\(result.pair.write)")), ("read", .string("\(result.pair.read)")),
            ("operations", count(result.operations)), ("writes", count(result.writes)),
            ("acknowledged_writes", count(result.acknowledgedWrites)),
            ("refused_writes", count(result.refusedWrites)),
            ("write_timeouts", count(result.writeTimeouts)), ("reads", count(result.reads)),
            ("answered_reads", count(result.answeredReads)),
            ("refused_reads", count(result.refusedReads)),
            ("read_timeouts", count(result.readTimeouts)),
            ("stale_reads", count(result.staleReads)),
            ("stale_for_ns", distribution(result.staleAges)),
            ("versions_behind", distribution(result.versionsBehind)),
            ("lost_to_last_write_wins_writes", count(result.lostToLastWriteWinsWrites)),
            ("lost_to_last_write_wins_reads", count(result.lostToLastWriteWinsReads)),
            ("violations", .array(result.violations.map { .string($0) })),
            ("example", .array(result.example.map { .string($0) })),
            ("events", .unsigned(result.events)),
            ("virtual_ns", .integer(result.virtualTime.nanoseconds)),
            ("trace_hash", .string("\(result.trace)")),
            (
                "invoked_ns",
                .object(
                    result.invocationTimes.sorted { $0.key < $1.key }.map {
                        (String($0.key), .integer($0.value.nanoseconds))
                    })
            ),
        ])
    }
}
