// Long statements: parsed and planned by a job, because a text of a megabyte takes longer than any other
// client of the shard should wait. So are long statements that were prepared under an older schema.
//
//     frame --(long texts)--> in line --runJob--> a helper thread --jobEnded--> the frame is handled
//                                                                               with the plans at hand
//
// A request keeps the bytes of its frame meanwhile, which count as under way like any other's. One job of
// a shard runs at a time: flushes use the same threads. The plans are those of the schema and of the keyspace in use
// that the request came upon; it may be answered behind later ones of its connection, as the protocol
// allows.

internal import CQL
internal import Encoding
internal import Environment
internal import Model
internal import NativeProtocol
internal import Topology

/// A statement's text and what planning has made of it.
struct PlannedText {
    let text: String
    let plan: Result<PreparedPlan, CQLError>
    /// What PREPARE answers with; empty for others, and where there is no plan.
    let id: [UInt8]
}

/// A frame whose texts are planned already, while it is handled.
struct PlannedFrame {
    /// Where the body begins.
    let base: UnsafeRawPointer
    let keyspace: String?
    /// By where the text begins in the body.
    let texts: [Int: PlannedText]
    /// Plans of statements that were prepared under an older schema, by their ids.
    let renewed: [[UInt8]: Result<PreparedPlan, CQLError>]

    subscript(_ text: StatementText) -> PlannedText? {
        text.bytes.baseAddress.flatMap { texts[$0 - base] }
    }
}

/// A statement that was prepared under an older schema, to be planned again.
struct OldStatement {
    let id: [UInt8]
    let text: String
    let keyspace: String?
}

/// Parses and plans the texts of a frame, and its old statements. It belongs to the shard before and after it runs.
final class PlanningJob: Job {
    let title = "plan long statements"
    private let schema: SchemaSnapshot
    private let datacenters: [String]
    private let request: LongRequest
    private var next = 0
    private(set) var texts: [Int: PlannedText] = [:]
    private(set) var renewed: [[UInt8]: Result<PreparedPlan, CQLError>] = [:]

    init(_ request: LongRequest, schema: SchemaSnapshot, datacenters: [String]) {
        self.request = request
        self.schema = schema
        self.datacenters = datacenters
    }

    /// One text after another, as many at a time as make the budget.
    func step(_ files: any FileSystem, budgetBytes: Int) throws(DiskFailure) -> JobProgress {
        var done = 0
        let count = request.texts.count + request.old.count
        while done < budgetBytes, next < count {
            if next < request.texts.count {
                let range = request.texts[next]
                texts[range.offset] = planned(Array(request.body[range.offset..<range.end]))
                done += range.count
            } else {
                let old = request.old[next - request.texts.count]
                renewed[old.id] = plan(Array(old.text.utf8), keyspace: old.keyspace)
                done += old.text.utf8.count
            }
            next += 1
        }
        return next < count ? .more(bytes: 0) : .done(bytes: 0)
    }

    private func plan(_ text: [UInt8], keyspace: String?) -> Result<PreparedPlan, CQLError> {
        Result { () throws(CQLError) in
            try Planner.plan(
                try Parser.parse(utf8: text), schema: schema, keyspace: keyspace,
                datacenters: datacenters)
        }
    }

    private func planned(_ bytes: [UInt8]) -> PlannedText {
        guard let text = String(validating: bytes, as: UTF8.self) else {
            return PlannedText(text: "", plan: .failure(StatementText.notUTF8), id: [])
        }
        let plan = plan(bytes, keyspace: request.keyspace)
        let id: [UInt8] =
            if request.header.opcode == .prepare, case .success(let plan) = plan {
                PreparedStatements.id(text: text, keyspace: request.keyspace, plan: plan)
            } else {
                []
            }
        return PlannedText(text: text, plan: plan, id: id)
    }
}

/// A request whose statements are being planned.
struct LongRequest {
    let client: ClientRequest
    let header: FrameHeader
    let body: [UInt8]
    let keyspace: String?
    /// Where its texts are in the body.
    let texts: [ByteRange]
    let old: [OldStatement]
}

/// The requests with long statements, in the order in which they came.
struct LongRequests {
    fileprivate var running: (id: EffectID, request: LongRequest)?
    fileprivate var waiting: [LongRequest] = []

    var count: Int { waiting.count + (running == nil ? 0 : 1) }
}

extension Shard {
    /// Statements of more bytes than this in one frame are planned by a job.
    static let longStatementBytes = 16 << 10

    /// Hands a frame's statements to a job if they are long. False if they are not, or are planned already.
    /// `prepared` are those that it names by their ids: old ones are planned again along with the others.
    func planElsewhere(
        _ texts: @autoclosure () -> [StatementText],
        prepared: @autoclosure () -> [UnsafeRawBufferPointer] = [], keyspace: String?,
        _ frame: Frame, _ client: ClientRequest
    ) -> Bool {
        guard frame.body.count > Self.longStatementBytes, planned == nil,
            let base = frame.body.baseAddress
        else { return false }
        let ranges = texts().compactMap { text in
            text.bytes.baseAddress.map {
                ByteRange(offset: UnsafeRawPointer($0) - base, count: text.bytes.count)
            }
        }
        guard ranges.reduce(0, { $0 + $1.count }) > Self.longStatementBytes else { return false }
        longRequests.waiting.append(
            LongRequest(
                client: client, header: frame.header, body: [UInt8](frame.body),
                keyspace: keyspace, texts: ranges, old: old(among: prepared())))
        runLongRequests()
        return true
    }

    /// Hands the old ones among a frame's prepared statements to a job if they are long. False if they are not,
    /// or are planned already.
    func renewElsewhere(
        _ prepared: [UnsafeRawBufferPointer], keyspace: String?, _ frame: Frame,
        _ client: ClientRequest
    ) -> Bool {
        guard planned == nil else { return false }
        let old = old(among: prepared)
        guard old.reduce(0, { $0 + $1.text.utf8.count }) > Self.longStatementBytes else {
            return false
        }
        longRequests.waiting.append(
            LongRequest(
                client: client, header: frame.header, body: [UInt8](frame.body),
                keyspace: keyspace, texts: [], old: old))
        runLongRequests()
        return true
    }

    private func old(among ids: [UnsafeRawBufferPointer]) -> [OldStatement] {
        var seen: Set<[UInt8]> = []
        return ids.compactMap { id in
            guard let found = prepared.find(id), found.plan.epoch != cluster.schema.epoch,
                seen.insert(found.id).inserted
            else { return nil }
            return OldStatement(id: found.id, text: found.text, keyspace: found.keyspace)
        }
    }

    private func runLongRequests() {
        while longRequests.running == nil, !longRequests.waiting.isEmpty {
            let next = longRequests.waiting.removeFirst()
            guard connections[next.client.connection] != nil else {
                answer(next.client, error: .serverError("the client has gone"))
                continue
            }
            let id = effectIDs.next()
            longRequests.running = (id, next)
            let job = PlanningJob(
                next, schema: cluster.schema, datacenters: cluster.topology.datacenters)
            outbox.effects.append(.runJob(id, job))
        }
    }

    /// A job has ended; false if it is none of ours.
    func planningJobEnded(_ id: EffectID, _ job: any Job) -> Bool {
        guard let (running, request) = longRequests.running, running == id else { return false }
        longRequests.running = nil
        defer { runLongRequests() }
        guard let connection = connections[request.client.connection],
            let job = job as? PlanningJob
        else {
            answer(request.client, error: .serverError("the client has gone"))
            return true
        }
        request.body.withBytes { body in
            guard let base = body.baseAddress else { return }
            let frame = Frame(header: request.header, body: body)
            guard knowsAuthority(for: frame.header.opcode, connection) else {
                judgeAgain(frame, request.client, connection)
                return
            }
            planned = PlannedFrame(
                base: base, keyspace: request.keyspace, texts: job.texts, renewed: job.renewed)
            defer { planned = nil }
            handleStatement(frame, request.client, connection)
        }
        return true
    }

    /// What the client may do was forgotten meanwhile: its frame is handled like one that has just come.
    private func judgeAgain(
        _ frame: Frame, _ client: ClientRequest, _ connection: ClientConnection
    ) {
        do throws(CQLError) {
            try park(frame, connection)
        } catch {
            answer(client, error: error)
            return
        }
        client.isAnswered = true
        releaseBytes(of: client)
        connection.inFlight -= 1
    }
}
