// Tracing: what happened to one request, written to `system_traces` where every driver and cqlsh look for
// it. The coordinator writes the session and its own events; each replica writes its own, because the
// session's id travels in the peer header.
//
// Traces are kept at the tables' own replication with consistency ANY: losing one harms nobody.

internal import CQL
internal import Encoding
internal import Environment
internal import Model
internal import NativeProtocol
internal import PeerProtocol

/// The events of one node for one traced request.
final class RequestTrace {
    let id: UniqueID
    let startedAt: WallTime
    let started: Instant
    let command: String
    /// The client asked for it and is told its id.
    var isAsked = true
    /// What kind of request it is, in Cassandra's words.
    private(set) var request = ""
    /// What was asked: the statement, the levels, the bound values.
    private(set) var parameters: [String: String] = [:]
    var client: [UInt8] = []
    private(set) var events: [(elapsed: Int64, activity: String)] = []

    /// More events than this are not kept: a scan may send very many messages.
    private static let maximumEvents = 256

    init(id: UniqueID, command: String, clock: ClockReading) {
        self.id = id
        self.command = command
        startedAt = clock.wall
        started = clock.monotonic
    }

    /// Says what the request is. A statement may hold a password, which is not shown.
    func describe(_ request: String, query: String? = nil, as asked: QueryParameters? = nil) {
        self.request = request
        if let query { parameters["query"] = PasswordMask.masked(query) }
        guard let asked else { return }
        parameters["consistency_level"] = asked.consistency.description
        parameters["serial_consistency_level"] = asked.serialConsistency.description
        if let pageSize = asked.pageSize, pageSize > 0 {
            parameters["page_size"] = "\(pageSize)"
        }
    }

    /// Adds the values that were bound to the markers of a prepared statement.
    func describe(_ values: BoundValues, of markers: [ColumnSpecification]) {
        for (place, marker) in markers.enumerated() where place < values.count {
            var text: String
            switch values[place] {
            case .null: text = "null"
            case .unset: text = "<unset>"
            case .bytes(let bytes): text = marker.type.format(bytes)
            }
            if text.count > Self.maximumValueLength {
                text = text.prefix(Self.maximumValueLength) + "...'"
            }
            parameters["bound_var_\(place)_\(marker.name)"] = text
        }
    }

    private static let maximumValueLength = 1_000

    func note(_ activity: String, now: Instant) {
        guard events.count < Self.maximumEvents else { return }
        events.append(((now - started).wholeMicroseconds, activity))
    }
}

/// Version 1 (time-based) UUIDs, RFC 9562 section 5.1.
enum TimeUUID {
    /// 100 ns intervals between 1582-10-15 and 1970-01-01.
    private static let gregorianOffset: UInt64 = 0x01B2_1DD2_1381_4000

    /// - Parameters:
    ///   - microseconds: since 1970.
    ///   - sequence: tells ids of the same microsecond and node apart.
    ///   - node: 48 bits that tell nodes apart.
    /// - Returns: an id of version 1.
    static func make(microseconds: Int64, sequence: UInt64, node: UInt64) -> UniqueID {
        let time = UInt64(bitPattern: microseconds) &* 10 &+ gregorianOffset &+ sequence % 10
        let high =
            (time & 0xFFFF_FFFF) << 32 | (time >> 32 & 0xFFFF) << 16 | 0x1000
            | (time >> 48 & 0x0FFF)
        let low = 0x8000_0000_0000_0000 | (sequence / 10 & 0x3FFF) << 48 | node & 0xFFFF_FFFF_FFFF
        return UniqueID(high: high, low: low)
    }
}

extension Shard {
    private static let sessionStatement = """
        INSERT INTO system_traces.sessions (session_id, client, command, coordinator,
        coordinator_port, duration, request, started_at, parameters)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
        USING TTL 86400
        """
    private static let eventStatement = """
        INSERT INTO system_traces.events (session_id, event_id, activity, source, source_port,
        source_elapsed, thread) VALUES (?, ?, ?, ?, ?, ?, ?) USING TTL 86400
        """

    /// A new id of now, or of that time.
    func timeUUID(at time: WallTime? = nil) -> UniqueID {
        nextTimeUUID += 1
        return TimeUUID.make(
            microseconds: (time ?? now.wall).microseconds, sequence: nextTimeUUID,
            node: host.value.low &+ UInt64(index.value))
    }

    /// Begins the trace of a request that asks for one.
    func beginTrace(_ frame: Frame, _ client: ClientRequest, _ connection: ClientConnection) {
        let isAsked = frame.header.flags.contains(.tracing)
        guard isAsked || isSampled() else { return }
        let trace = RequestTrace(
            id: timeUUID(), command: "QUERY", clock: now)
        trace.client = connection.remote.address
        trace.isAsked = isAsked
        client.trace = trace
    }

    /// The request was answered: its trace is written.
    func endTrace(_ client: ClientRequest) {
        guard let trace = client.trace else { return }
        client.trace = nil
        trace.note("Request complete", now: now.monotonic)
        let duration = Int32(clamping: (now.monotonic - trace.started).wholeMicroseconds)
        let values: [[UInt8]?] = [
            trace.id.bytes, trace.client, Array(trace.command.utf8), clientAddress.address,
            SystemValue.int(Int32(clientAddress.port)).bytes, SystemValue.int(duration).bytes,
            Array(trace.request.utf8),
            SystemValue.timestamp(trace.startedAt.microseconds / 1000).bytes,
            SystemValue.textMap(trace.parameters).bytes,
        ]
        executeInternal(Self.sessionStatement, values)
        writeEvents(trace)
    }

    /// Writes the events that this node has of a session.
    func writeEvents(_ trace: RequestTrace) {
        for event in trace.events {
            executeInternal(
                Self.eventStatement,
                [
                    trace.id.bytes, timeUUID().bytes, Array(event.activity.utf8),
                    peerAddress.address, SystemValue.int(Int32(peerAddress.port)).bytes,
                    SystemValue.int(Int32(clamping: event.elapsed)).bytes,
                    Array("shard-\(index.value)".utf8),
                ])
        }
    }

    /// What a replica did for a traced request of another coordinator.
    func traceReplica(_ header: PeerHeader, _ activity: @autoclosure () -> String) {
        guard let id = header.traceID else { return }
        let trace = RequestTrace(id: id, command: "", clock: now)
        trace.note(activity(), now: now.monotonic)
        writeEvents(trace)
    }

    /// Carries out a statement of our own, at consistency ANY; nobody waits for it.
    private func executeInternal(_ text: String, _ values: [[UInt8]?]) {
        let client = ClientRequest(connection: ConnectionID(0), stream: 0, version: .v4)
        do {
            let plan = try internalPlan(text)
            guard case .modification(let modification) = plan.plan else {
                preconditionFailure("an internal statement that modifies nothing: \(text)")
            }
            let timestamp = clock.next(wall: now.wall)
            let sink = MutationSink()
            try BoundValues.withValues(values) { bound throws(CQLError) in
                try modification.build(
                    bound,
                    ExecutionContext(timestamp: timestamp, nowInSeconds: now.wall.seconds),
                    into: sink)
            }
            client.outstandingWrites = sink.entries.count
            for entry in sink.entries {
                coordinateWrite(
                    sink[entry], consistency: .any, type: .simple, timestamp: timestamp,
                    client: client)
            }
        } catch {
            // A trace that cannot be written is lost, as the header says: it fails no request.
            return
        }
    }
}
