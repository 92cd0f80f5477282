// What a shard counts of one table's requests.
//
// Times are those of steps: a request that is answered in the step that brings it counts as 0, because a
// shard has the clock of its step only; what waits for a disk or another node is measured.
//
// Cost on a request's path: one lookup of the table, which is mostly that of the request before, and one or
// two additions into a histogram.

internal import Environment
internal import Model

/// A kind of request by whom it is measured.
enum RequestMeasure: Int, CaseIterable {
    case coordinatorRead
    case coordinatorScan
    case coordinatorWrite
    case localRead
    case localScan
    case localWrite
    /// Conditional writes, and reads at serial levels.
    case conditionalWrite
    case conditionalRead
}

/// The figures of one kind of request to one table.
final class RequestFigures {
    let times = LogHistogram()
    @exclusivity(unchecked) private(set) var rate = RateMeter()

    /// A request took that long.
    @inline(__always)
    func record(_ span: Instant.Span, now: Instant) {
        rate.mark(now: now)
        times.record(span.nanoseconds)
    }
}

/// The figures of one table on one shard.
final class TableMetrics {
    /// By the kind; of the kinds that there were.
    @exclusivity(unchecked) private var requests = [RequestFigures?](
        repeating: nil, count: RequestMeasure.allCases.count)
    let rows = LogHistogram()
    let tombstones = LogHistogram()
    var speculation = SpeculationCounts()
    /// By the kind of request whose times they go by; of the kinds that were asked for.
    private var timers: [RequestMeasure: SpeculationTimer] = [:]

    /// How long requests of that kind wait before they ask one replica more: reads, and by the times of
    /// writes the repairs of reads.
    func threshold(
        _ measure: RequestMeasure, _ policy: SpeculativeRetry.Threshold, timeout: Instant.Span,
        now: Instant
    ) -> Instant.Span {
        timers[measure, default: SpeculationTimer()].threshold(
            policy, of: requests[measure.rawValue]?.times, timeout: timeout, now: now)
    }

    /// A request took that long.
    func record(_ measure: RequestMeasure, _ span: Instant.Span, now: Instant) {
        if let figures = requests[measure.rawValue] {
            figures.record(span, now: now)
            return
        }
        let figures = RequestFigures()
        figures.record(span, now: now)
        requests[measure.rawValue] = figures
    }

    func figures(_ measure: RequestMeasure) -> HistogramFigures {
        requests[measure.rawValue]?.times.figures ?? HistogramFigures()
    }

    func rate(_ measure: RequestMeasure, now: Instant) -> Double {
        requests[measure.rawValue]?.rate.perSecond(now: now) ?? 0
    }
}

/// Events for each second, averaged over about the last five minutes (exponentially, as load averages
/// are). Cost of an event: a comparison and an addition.
struct RateMeter {
    private static var interval: Instant.Span { .seconds(5) }
    /// 1 - e^(-5/300).
    private static let weight = 0.016529301951210582

    private var uncounted = 0
    private var rate: Double?
    private var counted: Instant?

    /// An event.
    @inline(__always)
    mutating func mark(now: Instant) {
        guard let counted else {
            counted = now
            uncounted = 1
            return
        }
        if now - counted >= Self.interval { settle(now: now) }
        uncounted += 1
    }

    private mutating func settle(now: Instant) {
        guard let start = counted else { return }
        var intervals = (now - start).nanoseconds / Self.interval.nanoseconds
        guard intervals > 0 else { return }
        counted = start + Instant.Span(nanoseconds: intervals * Self.interval.nanoseconds)
        let current = Double(uncounted) / 5
        uncounted = 0
        var value = rate.map { $0 + Self.weight * (current - $0) } ?? current
        intervals -= 1
        // After some hours of silence nothing is left.
        for _ in 0..<min(intervals, 4_096) { value -= Self.weight * value }
        rate = value
    }

    func perSecond(now: Instant) -> Double {
        var copy = self
        copy.settle(now: now)
        if let rate = copy.rate { return rate }
        // Less than one interval has passed.
        guard let counted else { return 0 }
        return Double(uncounted) / max(1, Double((now - counted).nanoseconds) / 1e9)
    }
}

extension Shard {
    /// The figures of a table.
    func metrics(of table: TableID) -> TableMetrics {
        if let lastMetrics, lastMetrics.table == table { return lastMetrics.metrics }
        let metrics: TableMetrics
        if let known = tableMetrics[table] {
            metrics = known
        } else {
            metrics = TableMetrics()
            tableMetrics[table] = metrics
        }
        lastMetrics = (table, metrics)
        return metrics
    }

    /// From here on the request counts as one of that kind.
    func measure(_ client: ClientRequest, _ table: TableID, _ measure: RequestMeasure) {
        client.measure = (table, measure)
    }

    /// The request was answered.
    func recordAnswer(_ client: ClientRequest) {
        guard let (table, kind) = client.measure else { return }
        client.measure = nil
        metrics(of: table).record(kind, now.monotonic - client.began, now: now.monotonic)
    }
}
