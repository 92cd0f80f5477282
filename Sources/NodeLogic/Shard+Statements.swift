// Executing statements: QUERY, PREPARE, EXECUTE and BATCH.

internal import CQL
internal import Encoding
internal import Environment
internal import Model
internal import NativeProtocol
internal import PeerProtocol
internal import Topology

/// A select in progress: its own state, and how its answer is to look.
final class SelectRun {
    /// What makes the answer.
    enum Machine {
        case execution(SelectExecution)
        /// One row, which is one read.
        case point(PointRun)
    }

    let machine: Machine
    let form: RowsForm
    let consistency: ConsistencyLevel
    /// The loop over the select's reads is on the stack: a read that ends at once only leaves a note.
    var isDriving = false
    var readEnded = false

    init(_ machine: Machine, _ form: RowsForm, consistency: ConsistencyLevel) {
        self.machine = machine
        self.form = form
        self.consistency = consistency
    }

    /// nil for a point select.
    var execution: SelectExecution? {
        if case .execution(let execution) = machine { execution } else { nil }
    }

    /// Whether a replica's answer may be taken in with the deletions in it.
    var readsReplicaData: Bool { execution?.readsReplicaData ?? true }
}

extension Shard {
    /// Handles a frame with a statement; its answer may come in a later step.
    func handleStatement(_ frame: Frame, _ connection: ClientConnection) throws(CQLError) {
        let header = frame.header
        guard knowsAuthority(for: header.opcode, connection) else {
            try park(frame, connection)
            return
        }
        let client = request(of: connection, header)
        warnOfPassword(connection, client)
        connection.inFlight += 1
        connection.requestCount += 1
        client.began = now.monotonic
        holdBytes(of: frame, client, connection)
        beginTrace(frame, client, connection)
        handleStatement(frame, client, connection)
    }

    /// An object for a request: that of the one before, unless somebody still has it.
    private func request(of connection: ClientConnection, _ header: FrameHeader) -> ClientRequest {
        if isKnownUniquelyReferenced(&lastRequest) {
            lastRequest.begin(
                connection: connection.id, stream: header.stream, version: header.version)
        } else {
            lastRequest = ClientRequest(
                connection: connection.id, stream: header.stream, version: header.version)
        }
        return lastRequest
    }

    /// Handles a frame whose request is counted already.
    func handleStatement(
        _ frame: Frame, _ client: ClientRequest, _ connection: ClientConnection
    ) {
        defer { if !canonicalValues.isEmpty { canonicalValues.removeAll(keepingCapacity: true) } }
        let version = frame.header.version
        do {
            let body = try frame.requestBody()
            switch frame.header.opcode {
            case .query:
                let request = try QueryRequest(body, version, parameters: &parameters)
                try query(request, frame, client, connection)
            case .prepare:
                try prepare(try PrepareRequest(body, version), frame, client, connection)
            case .execute:
                let request = try ExecuteRequest(body, version, parameters: &parameters)
                try execute(request, frame, client, connection)
            default:
                let request = try BatchRequest(body, version, parameters: &parameters)
                try batch(request, frame, client, connection)
            }
        } catch {
            answer(client, error: error)
        }
    }

    func plan(
        _ text: String, keyspace: String?
    ) throws(CQLError) -> PreparedPlan {
        workDone += Cost.ofText(bytes: text.utf8.count)
        let parsed = try Parser.parse(text)
        return try Planner.plan(
            parsed, schema: cluster.schema, keyspace: keyspace,
            datacenters: cluster.topology.datacenters)
    }

    /// A statement's text and its plan.
    private func planned(
        _ text: StatementText, keyspace: String?
    ) throws(CQLError) -> (text: String, plan: PreparedPlan) {
        if let known = planned?[text] { return (known.text, try known.plan.get()) }
        let text = try text.string()
        return (text, try plan(text, keyspace: keyspace))
    }

    private func noteParsing(_ text: String, _ client: ClientRequest) {
        client.trace?.note("Parsing \(PasswordMask.masked(text))", now: now.monotonic)
    }

    /// The keyspace in which a request names its tables.
    private func keyspace(_ named: String?, _ connection: ClientConnection) -> String? {
        if let planned { planned.keyspace } else { named ?? connection.keyspace }
    }

    private func query(
        _ request: QueryRequest, _ frame: Frame, _ client: ClientRequest,
        _ connection: ClientConnection
    ) throws(CQLError) {
        let keyspace = keyspace(parameters.keyspace, connection)
        if planElsewhere([request.text], keyspace: keyspace, frame, client) { return }
        let (text, plan) = try planned(request.text, keyspace: keyspace)
        client.trace?.describe("Execute CQL3 query", query: text, as: parameters)
        noteParsing(text, client)
        let values = try checkedValues(plan)
        statementCounts.regular += 1
        try execute(plan, values, text: text, prepared: nil, columnsID: nil, client, connection)
    }

    private func prepare(
        _ request: PrepareRequest, _ frame: Frame, _ client: ClientRequest,
        _ connection: ClientConnection
    ) throws(CQLError) {
        let keyspace = keyspace(request.keyspace, connection)
        if planElsewhere([request.text], keyspace: keyspace, frame, client) { return }
        let known = planned?[request.text]
        let text = if let known { known.text } else { try request.text.string() }
        client.trace?.describe("Preparing CQL3 query", query: text)
        let former =
            if let known {
                known.id.withBytes { prepared.find($0) }
            } else {
                prepared.find(text, keyspace: keyspace)
            }
        if let former, former.plan.epoch == cluster.schema.epoch, !former.isOutdated {
            if request.keyspace == nil { warnOfUse(former, client, connection) }
            answer(client, prepared: former.answer)
            return
        }
        try prepared.check(text)
        noteParsing(text, client)
        let (_, plan) = try planned(request.text, keyspace: keyspace)
        let id = known?.id ?? PreparedStatements.id(text: text, keyspace: keyspace, plan: plan)
        let statement = PreparedStatement(
            id: id, text: text, keyspace: keyspace, plan: plan, former: former)
        keep(statement)
        if request.keyspace == nil { warnOfUse(statement, client, connection) }
        answer(client, prepared: statement.answer)
    }

    /// Tells a client once in each connection that a prepared statement depends on its USE.
    private func warnOfUse(
        _ statement: PreparedStatement, _ client: ClientRequest, _ connection: ClientConnection
    ) {
        guard statement.plan.dependsOnKeyspace, !connection.wasWarnedOfUse else { return }
        connection.wasWarnedOfUse = true
        client.warnings.append(
            "`USE <keyspace>` with prepared statements is considered to be an anti-pattern due to"
                + " ambiguity in non-qualified table names. Please consider removing instances of"
                + " `Session#setKeyspace(<keyspace>)`, `Session#execute(\"USE <keyspace>\")` and"
                + " `cluster.newSession(<keyspace>)` from your code, and always use fully qualified"
                + " table names (e.g. <keyspace>.<table>). Keyspace used: \(connection.keyspace ?? "null"),"
                + " statement keyspace: \(statement.keyspace ?? "null"), statement id:"
                + " \(HexText.text(statement.id))")
    }

    /// The statement of that id as the schema is now: one of an older epoch is planned again. A client
    /// that could not bind its values or read its result by what it knows gets UNPREPARED, as all do of
    /// Cassandra whenever a column came or went. Nil if a job plans it first, and the others that the frame
    /// names (`named`): then the frame is handled when it has.
    private func statement(
        _ id: UnsafeRawBufferPointer, _ named: @autoclosure () -> [UnsafeRawBufferPointer],
        _ frame: Frame, _ client: ClientRequest, _ connection: ClientConnection
    ) throws(CQLError) -> PreparedStatement? {
        guard let found = prepared.find(id) else { throw Self.unprepared(id) }
        if found.plan.epoch == cluster.schema.epoch {
            if found.isOutdated { throw Self.unprepared(id) }
            return found
        }
        let keyspace = keyspace(parameters.keyspace, connection)
        if renewElsewhere(named(), keyspace: keyspace, frame, client) { return nil }
        let renewal =
            planned?.renewed[found.id]
            ?? Result { () throws(CQLError) in try plan(found.text, keyspace: found.keyspace) }
        // One that is refused now is refused when it is prepared again, where the client expects that.
        guard let plan = try? renewal.get() else {
            forget(found)
            throw Self.unprepared(id)
        }
        let renewed = PreparedStatement(renewing: found, plan: plan)
        guard renewed.markers.id == found.markers.id else {
            forget(found)
            throw Self.unprepared(id)
        }
        insert(renewed)
        if renewed.isOutdated { throw Self.unprepared(id) }
        return renewed
    }

    private static func unprepared(_ id: UnsafeRawBufferPointer) -> CQLError {
        .unprepared(
            "Prepared query with ID \(HexText.text(id)) not found (either the query was not "
                + "prepared on this host (maybe the host has been restarted?) or you have "
                + "prepared too many queries and it has been evicted from the internal cache)",
            id: [UInt8](id))
    }

    private func execute(
        _ request: ExecuteRequest, _ frame: Frame, _ client: ClientRequest,
        _ connection: ClientConnection
    ) throws(CQLError) {
        let id = request.preparedID
        guard let statement = try statement(id, [id], frame, client, connection) else { return }
        if statement.hasHadOtherColumns, client.version < .v5 {
            // Some client may read by the columns that were; all get those that are.
            parameters.flags.remove(.skipMetadata)
        }
        let values = try checkedValues(statement.plan)
        if let trace = client.trace {
            trace.describe(
                "Execute CQL3 prepared query", query: statement.text, as: parameters)
            trace.describe(values, of: statement.plan.bindMarkers)
        }
        statementCounts.prepared += 1
        try execute(
            statement.plan, values, text: statement.text, prepared: statement,
            columnsID: request.resultMetadataID, client, connection)
    }

    /// The values of the request's only statement.
    private func checkedValues(_ plan: PreparedPlan) throws(CQLError) -> BoundValues {
        // Nearly always they can stay as they are; each copy of them would be counted.
        guard !parameters.values.isNamed, !plan.ordersValues else {
            return try checked(parameters.values, plan)
        }
        try plan.check(valueCount: parameters.values.count)
        return parameters.values
    }

    /// The values of one statement, as many as it has markers, with sets and maps in order. Like the frame
    /// they are there until the request has been handled.
    private func checked(
        _ bound: consuming BoundValues, _ plan: PreparedPlan
    ) throws(CQLError) -> BoundValues {
        let values = bound.isNamed ? try plan.ordered(bound) : bound
        try plan.check(valueCount: values.count)
        guard let canonical = plan.canonical(values) else { return values }
        canonicalValues.append(canonical)
        return canonical.values
    }

    /// The clock, fixed for the whole request: the client may state what its writes are stamped with, but
    /// not in which order its list elements come nor what `now()` is.
    private func executionContext() -> ExecutionContext {
        let issued = clock.next(wall: now.wall)
        return ExecutionContext(
            timestamp: parameters.timestamp ?? issued, clock: issued,
            nowInSeconds: parameters.nowInSeconds.map(Int64.init) ?? now.wall.seconds,
            random: (UInt64(bitPattern: issued) ^ host.value.high, UInt64(index.value)))
    }

    /// Executes one statement. `prepared`: where it is one that was prepared; `columnsID` is then the id of the
    /// columns that the client expects in its result (v5).
    private func execute(
        _ plan: PreparedPlan, _ values: BoundValues, text: String, prepared: PreparedStatement?,
        columnsID: UnsafeRawBufferPointer?, _ client: ClientRequest,
        _ connection: ClientConnection
    ) throws(CQLError) {
        // A statement about roles may hold a password.
        if !plan.isAboutRoles { client.statement = text }
        if connection.wantsNoCompact { try refuseCompact(plan.plan) }
        if configuration.authentication.authorizer == .granted {
            try authorize(plan.plan, connection)
        }
        if plan.timeout != nil, let timeout = try plan.timeoutNanoseconds(values) {
            client.timeout = Instant.Span(nanoseconds: timeout)
        }
        // The two that nearly all requests are; to look into the plan itself would copy it.
        if let modification = plan.modification {
            if modification.isOfSystem {
                try modification.checkWritable()
                if SystemSchema.isSettings(modification.table) {
                    try changeSettings(modification, values, client)
                    return
                }
            }
            try checkModification(modification, client)
            try execute(modification, values, executionContext(), client)
            return
        }
        if let select = plan.select {
            if let warning = select.aggregationWarning { client.warnings.append(warning) }
            var form = RowsForm(
                columns: prepared?.columns ?? RowsMetadata(plan.resultColumns),
                skipsMetadata: parameters.flags.contains(.skipMetadata))
            if let columnsID {
                form.hasOtherColumns = !form.columns.id.withBytes { equalBytes($0, columnsID) }
            }
            try startSelect(select, values, form, client)
            return
        }
        switch plan.plan {
        case .modification, .select: preconditionFailure("a statement that was executed above")
        case .batch(let batch):
            for modification in batch.modifications {
                try checkBatched(modification)
                try checkModification(modification, client)
            }
            try checkBatchTimestamp(batch)
            try execute(
                batch.modifications.map { BoundModification(plan: $0, values: values) }, batch.kind,
                try batch.context(values, executionContext()), client)
        case .use(let keyspace):
            answer(client, keyspace: keyspace)
        case .describe(let request): try describe(request, client)
        case .truncate(let table):
            try checkTruncation()
            startTruncation(table, client)
        case .schemaChange(let change):
            client.warnings += change.optionWarnings
            client.warnings += change.storageNotices
            try checkChange(change, client)
            client.creator = connection.role
            startSchemaChange(
                text, keyspace: keyspace(parameters.keyspace, connection), client)
        case .roles(let statement): startRoles(statement, by: connection.role, client)
        }
    }

    /// The hidden columns of tables with COMPACT STORAGE are not shown.
    private func refuseCompact(_ plan: Plan) throws(CQLError) {
        guard let table = plan.compactTable else { return }
        throw .invalid(
            "The table \(table) has COMPACT STORAGE: the option NO_COMPACT is not supported by "
                + "Coterie for it")
    }

    private func checkBatched(_ modification: ModificationPlan) throws(CQLError) {
        try modification.checkWritable()
        guard !SystemSchema.isSettings(modification.table) else {
            throw .invalid("A setting is changed by a statement of its own, not by one of a batch")
        }
    }

    // MARK: Writing

    private func batch(
        _ request: BatchRequest, _ frame: Frame, _ client: ClientRequest,
        _ connection: ClientConnection
    ) throws(CQLError) {
        let keyspace = keyspace(parameters.keyspace, connection)
        if planElsewhere(
            request.texts, prepared: request.preparedIDs, keyspace: keyspace, frame, client)
        {
            return
        }
        client.trace?.describe("Execute batch of CQL3 queries", as: parameters)
        var parts: [BoundModification] = []
        for part in request.statements {
            let plan: PreparedPlan
            switch part.statement {
            case .text(let text):
                let (text, found) = try planned(text, keyspace: keyspace)
                noteParsing(text, client)
                plan = found
            case .prepared(let id):
                guard
                    let found = try statement(
                        id, request.preparedIDs, frame, client, connection)
                else { return }
                plan = found.plan
            }
            guard case .modification(let modification) = plan.plan else {
                throw .invalid(
                    "Invalid statement in batch: only UPDATE, INSERT and DELETE statements are "
                        + "allowed.")
            }
            guard plan.timeout == nil else {
                throw .invalid("USING TIMEOUT is not allowed for a statement inside of a batch")
            }
            if connection.wantsNoCompact { try refuseCompact(plan.plan) }
            try authorize(plan.plan, connection)
            try checkModification(modification, client)
            let values = try checked(parameters.values.slice(part.values), plan)
            parts.append(BoundModification(plan: modification, values: values))
        }
        let kind: CQL.BatchKind =
            switch request.kind {
            case .logged: .logged
            case .unlogged: .unlogged
            case .counter: .counter
            }
        try BatchPlan.check(kind, parts.map(\.plan), hasTimestamp: false)
        for part in parts { try checkBatched(part.plan) }
        try execute(parts, kind, executionContext(), client)
    }

    // MARK: Reading

    private func startSelect(
        _ select: SelectPlan, _ values: BoundValues, _ form: RowsForm, _ client: ClientRequest
    ) throws(CQLError) {
        guard parameters.consistency != .any else {
            throw .invalid("ANY ConsistencyLevel is only supported for writes")
        }
        if select.isOfSystem, cluster.route(of: select.table.id) == nil {
            let context = executionContext()
            if let table = select.fragmentsOf { throw SelectPlan.noFragments(of: table) }
            if isGathered(select.table) {
                gather(select, values, context, form, client)
                return
            }
            let known = systemRows(of: select.table)
            workDone += Cost.ofMadeRows(known.count)
            answer(client, form, try select.execute(overRows: known, values, context))
            return
        }
        try checkSelect(select, client)
        measure(
            client, select.table.id,
            !select.namesPartitions
                ? .coordinatorScan
                : parameters.consistency.isSerial ? .conditionalRead : .coordinatorRead)
        if readPoint(select, values, form, client) { return }
        let execution = try SelectExecution(
            select, values, executionContext(), pageSize: parameters.pageSize,
            pagingState: parameters.pagingState.map { [UInt8]($0) }, origin: host.value)
        if configuration.requests.tombstonePageLimit > 0, !parameters.consistency.isSerial {
            execution.limitTombstones(to: configuration.requests.tombstonePageLimit)
        }
        try checkKeys(execution, client)
        let run = SelectRun(.execution(execution), form, consistency: parameters.consistency)
        client.select = run
        drive(client, run)
    }

    /// Starts the select's reads until one has to wait, it has all it needs, or its turn is over.
    func drive(_ client: ClientRequest, _ run: SelectRun) {
        guard let execution = run.execution else { return }
        run.isDriving = true
        let end = workDone + Self.turnCost
        repeat {
            if workDone > end {
                waitingSelects.append(client)
                break
            }
            run.readEnded = false
            workDone += Cost.read
            do throws(CQLError) {
                guard let command = try execution.nextCommand() else {
                    finishSelect(client, run, execution)
                    break
                }
                startRead(command, consistency: run.consistency, client: client)
            } catch {
                readFailed(client, error)
                break
            }
        } while run.readEnded && !client.isAnswered
        run.isDriving = false
    }

    /// A command of the select has its result.
    /// `pausedAt`: the page is to end behind that place, because so many deletions were `passed`.
    func readFinished(
        _ client: ClientRequest, _ result: ReadResultView,
        pausedAt: ReadCommand.Position? = nil, passed: Int = 0
    ) {
        guard !client.isAnswered else { return }
        if let run = client.modification {
            modificationRead(client, run, result)
            return
        }
        guard let run = client.select else { return }
        switch run.machine {
        case .point(let point):
            client.select = nil
            point.withPlace { answer(client, point.answer, $0, result) }
        case .execution(let execution):
            do throws(CQLError) {
                workDone += Cost.ofResult(bytes: result.bytes.count)
                try execution.consume(result, pausedAt: pausedAt, passed: passed)
            } catch {
                readFailed(client, error)
                return
            }
            if run.isDriving { run.readEnded = true } else { drive(client, run) }
        }
    }

    func readFailed(_ client: ClientRequest, _ error: CQLError) {
        client.select = nil
        client.modification = nil
        answer(client, error: error)
    }

    private func finishSelect(
        _ client: ClientRequest, _ run: SelectRun, _ execution: SelectExecution
    ) {
        client.select = nil
        do {
            try execution.finish()
        } catch {
            answer(client, error: error)
            return
        }
        if let place = client.place {
            internalSelected(client, place, execution)
            return
        }
        warnOfTombstones(client)
        answer(client, run.form, pagingState: execution.pagingState) { rows in
            rows.appendRows(execution.rows, count: execution.rowCount)
        }
    }

    private func describe(
        _ request: DescribeRequest, _ client: ClientRequest
    ) throws(CQLError) {
        let (columns, rows) = try request.answer(
            schema: cluster.schema, cluster: clusterDescription(for: request))
        workDone += Cost.ofMadeRows(rows.count)
        let page = try DescribePage(
            of: rows.count, size: parameters.pageSize, state: parameters.pagingState,
            schema: cluster.schema.version)
        answerRows(
            client, RowsMetadata(columns), rows[page.rows], pagingState: page.pagingState)
    }
}
