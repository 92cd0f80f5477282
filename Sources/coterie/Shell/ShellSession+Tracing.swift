// TRACING and SHOW SESSION: what the nodes did for a request, from `system_traces`.
//
// The nodes write a trace after the answer, so it is waited for. Which replicas took part is said under
// the table, because that is what a consistency level is about.

internal import Encoding
internal import Model
internal import NativeClient
internal import NativeProtocol

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

extension ShellSession {
    private static let pollMicroseconds: UInt32 = 10_000

    /// Prints a trace; with `waits` it is waited for as long as `maximumTraceWaitSeconds`.
    func showSession(_ id: [UInt8], waits: Bool) throws {
        let name = CQLType.uuid.parsed(id)
        var remaining = waits ? Int(maximumTraceWaitSeconds * 1_000_000) : 0
        var session = try traceSession(id)
        while session.value(row: 0, "duration") == nil, remaining > 0 {
            usleep(Self.pollMicroseconds)
            remaining -= Int(Self.pollMicroseconds)
            session = try traceSession(id)
        }
        guard session.rowCount == 1 else {
            throw ShellFailure("Session \(name) wasn't found.")
        }
        if waits, session.value(row: 0, "duration") == nil {
            output.print(
                "Statement trace did not complete within \(Int(maximumTraceWaitSeconds)) seconds; "
                    + "trace data may be incomplete.")
        }
        // The events of other nodes come apart from those of the coordinator's.
        let events = try connection.rows(
            "SELECT activity, event_id, source, source_elapsed, thread FROM system_traces.events "
                + "WHERE session_id = ?", [.bytes(id)])
        guard events.rowCount > 0 else {
            throw ShellFailure("No rows for session \(name) found.")
        }
        print(session, events, name)
    }

    private func traceSession(_ id: [UInt8]) throws -> ResultRows {
        try connection.rows(
            "SELECT client, coordinator, duration, request, started_at "
                + "FROM system_traces.sessions WHERE session_id = ?", [.bytes(id)])
    }

    private func print(_ session: ResultRows, _ events: ResultRows, _ name: String) {
        let head = session.texts().first ?? [:]
        let client = head["client"] ?? "null"
        let coordinator = head["coordinator"] ?? "null"
        let started = session.value(row: 0, "started_at").map { Self.integer($0) * 1_000 } ?? 0
        func row(
            _ activity: String, _ microseconds: Int64, _ source: String, _ elapsed: String
        ) -> [ShownValue] {
            [
                ShownValue(string: activity, .yellow),
                ShownValue(Self.time(microseconds, isLocal: format.timestamps.isLocal), .yellow),
                ShownValue(source, .yellow),
                ShownValue(elapsed, elapsed == "--" ? .yellow : .green),
                ShownValue(client, .yellow),
            ]
        }
        var rows = [row(head["request"] ?? "", started, coordinator, "0")]
        var sources: [String] = []
        for (index, event) in events.texts().enumerated() {
            let source = event["source"] ?? "null"
            if !sources.contains(source) { sources.append(source) }
            let id = events.value(row: index, "event_id") ?? []
            rows.append(
                row(
                    "\(event["activity"] ?? "") [\(event["thread"] ?? "")]",
                    Self.microseconds(ofTimeUUID: id) ?? started, source,
                    event["source_elapsed"] ?? "--"))
        }
        if let duration = session.value(row: 0, "duration").map(Self.integer) {
            rows.append(
                row("Request complete", started + duration, coordinator, "\(duration)"))
        }
        output.printResult("")
        let label = "Tracing session: "
        output.printResult(
            (output.hasResultColors ? output.colored(label, .magenta) : label) + name)
        output.printResult("")
        let table = ResultTable(
            names: ["activity", "timestamp", "source", "source_elapsed", "client"], rows: rows)
        table.print(to: output, withHeader: true)
        if isInteractive { output.printResult("") }
        output.printResult("Nodes that took part: \(sources.sorted().joined(separator: ", "))")
        output.printResult("")
    }

    /// A big-endian integer of up to eight bytes.
    static func integer(_ bytes: [UInt8]) -> Int64 {
        var value: Int64 = bytes.first.map { $0 & 0x80 != 0 } == true ? -1 : 0
        for byte in bytes.prefix(8) { value = value << 8 | Int64(byte) }
        return value
    }

    /// The time in a time-based UUID (RFC 9562, section 5.1), in microseconds since 1970.
    static func microseconds(ofTimeUUID id: [UInt8]) -> Int64? {
        guard id.count == 16, id[6] >> 4 == 1 else { return nil }
        var ticks: Int64 = 0
        for index in [6, 7, 4, 5, 0, 1, 2, 3] {
            ticks = ticks << 8 | Int64(index == 6 ? id[6] & 0x0F : id[index])
        }
        return (ticks - 0x01B2_1DD2_1381_4000) / 10
    }

    private static func time(_ microseconds: Int64, isLocal: Bool) -> String {
        let format = TimestampFormat(pattern: "%Y-%m-%d %H:%M:%S", isLocal: isLocal)
        let milliseconds = CQLCalendar.floorDivide(microseconds, 1_000)
        let fraction = microseconds - CQLCalendar.floorDivide(microseconds, 1_000_000) * 1_000_000
        guard fraction != 0 else { return format.text(milliseconds) }
        let digits = String(fraction)
        return format.text(milliseconds) + "."
            + String(repeating: "0", count: 6 - digits.count) + digits
    }
}

extension CQLType {
    /// The display of bytes that are in an array.
    func parsed(_ bytes: [UInt8]) -> String {
        bytes.withUnsafeBytes { display($0) }
    }
}
