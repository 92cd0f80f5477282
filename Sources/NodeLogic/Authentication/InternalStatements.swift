// Statements of our own: the tables of `system_auth` are read and written by the same coordinator, at the
// same consistency levels, as those of users, and so are tables that a node keeps for itself.
//
//     run(calls, for: purpose) -> each call is a request without a connection -> all ended -> purpose
//
// A run's calls go out together and are not ordered among each other. Its end is told once, with the rows
// of each call, or with the first error.

internal import CQL
internal import Encoding
internal import Environment
internal import Model
internal import NativeProtocol
internal import PeerProtocol

/// One statement with its values.
struct InternalCall: Equatable {
    let text: String
    let values: [[UInt8]?]
    /// For a write that every other write wins against.
    var timestamp: Int64?

    init(_ text: String, _ values: [SystemValue?] = [], timestamp: Int64? = nil) {
        self.text = text
        self.values = values.map { $0?.bytes }
        self.timestamp = timestamp
    }
}

/// Calls that run together.
final class InternalRun {
    /// The machine that goes on when all have ended.
    enum Purpose {
        case login(LoginRun)
        case authority(AuthorityLoad)
        /// A password that is read again.
        case credential(CredentialUpdate)
        case roles(RoleRun)
        /// The prepared statements of former lives.
        case keptStatements
        /// An operator's command.
        case compactionHistory(EffectID)
        /// Nobody: what is written is only remembered. A failure goes to the node's log, with these words.
        case untold(String)
    }

    let purpose: Purpose
    fileprivate var outstanding: Int
    /// Of each call, in the order of the calls.
    fileprivate var rows: [[SystemRow]]
    fileprivate var failure: CQLError?

    fileprivate init(_ purpose: Purpose, count: Int) {
        self.purpose = purpose
        outstanding = count
        rows = Array(repeating: [], count: count)
    }
}

/// Which call of which run a request is.
struct InternalPlace {
    fileprivate let run: InternalRun
    fileprivate let index: Int
}

extension Shard {
    /// Runs the calls, of which there must be one at least.
    func run(
        _ calls: [InternalCall], at consistency: ConsistencyLevel, for purpose: InternalRun.Purpose
    ) {
        precondition(!calls.isEmpty)
        let run = InternalRun(purpose, count: calls.count)
        for (index, call) in calls.enumerated() {
            let client = ClientRequest(connection: ConnectionID(0), stream: 0, version: .v4)
            let place = InternalPlace(run: run, index: index)
            client.place = place
            do throws(CQLError) {
                try start(call, consistency, client)
            } catch {
                internalEnded(client, place, [], error)
            }
        }
    }

    private func start(
        _ call: InternalCall, _ consistency: ConsistencyLevel, _ client: ClientRequest
    ) throws(CQLError) {
        let plan = try internalPlan(call.text)
        let issued = clock.next(wall: now.wall)
        let timestamp = call.timestamp ?? issued
        let context = ExecutionContext(
            timestamp: timestamp, clock: issued, nowInSeconds: now.wall.seconds)
        switch plan.plan {
        case .select(let select):
            let execution = try BoundValues.withValues(call.values) { values throws(CQLError) in
                try SelectExecution(select, values, context)
            }
            let run = SelectRun(
                .execution(execution), RowsForm(columns: RowsMetadata(plan.resultColumns)),
                consistency: consistency)
            client.select = run
            drive(client, run)
        case .modification(let modification):
            let sink = MutationSink()
            try BoundValues.withValues(call.values) { values throws(CQLError) in
                try modification.build(values, context, into: sink)
            }
            client.outstandingWrites = sink.entries.count
            for entry in sink.entries {
                coordinateWrite(
                    sink[entry], consistency: consistency, type: .simple, timestamp: timestamp,
                    client: client)
            }
        default: preconditionFailure("an internal statement of another kind: \(call.text)")
        }
    }

    /// The plan of a statement of our own. There are few texts, and each is planned once for a schema.
    func internalPlan(_ text: String) throws(CQLError) -> PreparedPlan {
        if let known = internalPlans[text], known.epoch == cluster.schema.epoch { return known }
        let plan = try Planner.plan(
            try Parser.parse(text), schema: cluster.schema, keyspace: nil, isOwn: true)
        internalPlans[text] = plan
        return plan
    }

    /// A select of ours has all its rows.
    func internalSelected(
        _ client: ClientRequest, _ place: InternalPlace, _ execution: SelectExecution
    ) {
        do throws(MalformedBytes) {
            var reader = ByteReader(execution.rows)
            var rows: [SystemRow] = []
            for _ in 0..<execution.rowCount {
                var row: SystemRow = []
                for _ in execution.plan.resultColumns {
                    let count = Int(try reader.readBigEndian(Int32.self))
                    row.append(count < 0 ? nil : [UInt8](try reader.readBytes(count)))
                }
                rows.append(row)
            }
            internalEnded(client, place, rows, nil)
        } catch {
            internalEnded(
                client, place, [], .serverError("rows that were just made are malformed: \(error)"))
        }
    }

    /// One call has ended.
    func internalEnded(
        _ client: ClientRequest, _ place: InternalPlace, _ rows: [SystemRow], _ error: CQLError?
    ) {
        guard !client.isAnswered else { return }
        client.isAnswered = true
        let run = place.run
        run.rows[place.index] = rows
        if run.failure == nil { run.failure = error }
        run.outstanding -= 1
        guard run.outstanding == 0 else { return }
        switch run.purpose {
        case .login(let login): loginStatementsEnded(login, run.rows, run.failure)
        case .authority(let load): authorityStatementsEnded(load, run.rows, run.failure)
        case .credential(let update): credentialRead(update, run.rows[0], run.failure)
        case .roles(let roles): roleStatementsEnded(roles, run.rows, run.failure)
        case .keptStatements: keptStatementsRead(run.rows[0], run.failure)
        case .compactionHistory(let command):
            compactionHistoryRead(command, run.rows[0], run.failure)
        case .untold(let what):
            if let failure = run.failure { report("\(what): \(failure.message)") }
        }
    }
}

/// Reading the values of rows of ours. A value that is not there, or not of its type, is nil or empty.
enum InternalValue {
    static func text(_ bytes: [UInt8]?) -> String? {
        bytes.map { String(decoding: $0, as: UTF8.self) }
    }

    static func boolean(_ bytes: [UInt8]?) -> Bool { bytes?.first == 1 }

    static func textSet(_ bytes: [UInt8]?) -> [String] {
        guard let bytes else { return [] }
        var items: [String] = []
        bytes.withBytes { raw in
            var reader = ByteReader(raw)
            do throws(MalformedBytes) {
                for _ in 0..<max(0, Int(try reader.readBigEndian(Int32.self))) {
                    let count = Int(try reader.readBigEndian(Int32.self))
                    items.append(String(decoding: try reader.readBytes(count), as: UTF8.self))
                }
            } catch {
                // What a damaged set still holds is all that it grants.
                return
            }
        }
        return items
    }
}
