// Executing INSERT, UPDATE, DELETE and BATCH, by what they need:
//
//     nothing to know       build -> write
//     IF                    Shard+Conditional
//     lists by index, value latch -> read at the write's level -> build -> write
//     counters              build -> Shard+Counters
//     logged, partitions > 1   build -> Shard+Batchlog -> write

internal import CQL
internal import Encoding
internal import Environment
internal import Model
internal import NativeProtocol
internal import PeerProtocol
internal import Replication
internal import Topology

/// A statement of a batch, with its values where the frame has them.
struct BoundModification {
    let plan: ModificationPlan
    let values: BoundValues
}

/// What a request writes, and how.
struct WriteOrder {
    var kind: CQL.BatchKind?
    let consistency: ConsistencyLevel
    let timestamp: Int64

    var isLogged: Bool { kind == .logged }
    /// How timeouts name the write.
    func type(isCounter: Bool) -> WriteType {
        if isCounter { return .counter }
        return switch kind {
        case nil: .simple
        case .logged?: .batch
        case .unlogged?: .unloggedBatch
        case .counter?: .counter
        }
    }
}

/// A statement or batch that reads lists before it writes them.
final class ModificationRun {
    let parts: [(plan: ModificationPlan, values: RetainedValues)]
    let context: ExecutionContext
    let order: WriteOrder
    /// Reads still to come, last one first.
    var commands: [ReadCommand]
    let current = CurrentRows()
    /// The loop over the reads is on the stack: a read that ends at once only leaves a note.
    var isDriving = false
    var readEnded = false

    init(
        parts: [(plan: ModificationPlan, values: RetainedValues)], context: ExecutionContext,
        order: WriteOrder, commands: [ReadCommand]
    ) {
        self.parts = parts
        self.context = context
        self.order = order
        self.commands = commands
    }
}

extension Shard {
    /// Executes one statement or all those of a batch. `kind` is nil for a statement of its own.
    func execute(
        _ parts: [BoundModification], _ kind: CQL.BatchKind?,
        _ context: ExecutionContext,
        _ client: ClientRequest
    ) throws(CQLError) {
        let order = WriteOrder(
            kind: kind, consistency: parameters.consistency, timestamp: context.timestamp)
        guard let first = parts.first else {
            answerVoid(client)
            return
        }
        if parts.contains(where: \.plan.isConditional) {
            measure(client, first.plan.table.id, .conditionalWrite)
            noteConditional(first.plan.table, client)
            let request = try ConditionalRequest(
                parts.map { (plan: $0.plan, values: $0.values) }, context, isBatch: kind != nil)
            try startConditional(
                request, commit: order.consistency, serial: parameters.serialConsistency, client)
            return
        }
        measure(client, first.plan.table.id, .coordinatorWrite)
        let isCounter = parts.contains { $0.plan.table.isCounter }
        try checkConsistency(order.consistency, counters: isCounter ? first.plan.table : nil)
        if parts.contains(where: \.plan.requiresRead) {
            try startReading(parts, context, order, client)
            return
        }
        for part in parts { notePlain(part.plan.table, client) }
        sink.removeAll()
        for part in parts { try part.plan.build(part.values, context, into: sink) }
        try write(order, isBatch: kind != nil, isCounter: isCounter, client)
    }

    /// Executes one statement. Nearly all say what is written without a look at what is there.
    func execute(
        _ plan: ModificationPlan, _ values: BoundValues, _ context: ExecutionContext,
        _ client: ClientRequest
    ) throws(CQLError) {
        guard !plan.isConditional, !plan.requiresRead, !plan.table.isCounter else {
            try execute(
                [BoundModification(plan: plan, values: values)], nil, context, client)
            return
        }
        measure(client, plan.table.id, .coordinatorWrite)
        let consistency = parameters.consistency
        try checkConsistency(consistency, counters: nil)
        notePlain(plan.table, client)
        sink.removeAll()
        try plan.build(values, context, into: sink)
        try write(
            WriteOrder(consistency: consistency, timestamp: context.timestamp), isBatch: false,
            isCounter: false, client)
    }

    private func checkConsistency(
        _ consistency: ConsistencyLevel, counters table: TableSchema?
    ) throws(CQLError) {
        if let table {
            if consistency == .any {
                throw .invalid(
                    "Consistency level ANY is not yet supported for counter table \(table.name)")
            }
            if consistency.isSerial {
                throw .invalid("Counter operations are inherently non-serializable")
            }
        }
        if consistency.isSerial {
            throw .invalid("You must use conditional updates for serializable writes")
        }
    }

    /// Sends all mutations of the sink on their way.
    private func write(
        _ order: WriteOrder, isBatch: Bool, isCounter: Bool, _ client: ClientRequest
    ) throws(CQLError) {
        if isBatch {
            // Increments of one counter add up: each is carried out by itself.
            if !isCounter { try sink.mergePartitions() }
            try checkBatch(client, order)
        }
        guard !sink.entries.isEmpty else {
            answerVoid(client)
            return
        }
        if order.isLogged, sink.entries.count > 1 {
            try startLoggedBatch(
                sink.entries.map { [UInt8](sink[$0]) }, consistency: order.consistency,
                timestamp: order.timestamp, client)
            return
        }
        client.outstandingWrites = sink.entries.count
        for entry in sink.entries {
            if isCounter, try isIncrementOrThrow(sink[entry]) {
                coordinateIncrement(
                    sink[entry], consistency: order.consistency, client: client)
            } else {
                coordinateWrite(
                    sink.view(of: entry), facts: entry.facts, consistency: order.consistency,
                    type: order.type(isCounter: isCounter), timestamp: order.timestamp,
                    client: client)
            }
        }
    }

    private func isIncrementOrThrow(
        _ mutation: UnsafeRawBufferPointer
    ) throws(CQLError) -> Bool {
        do throws(MalformedBytes) {
            return try isIncrement(mutation)
        } catch {
            throw .serverError("a mutation that was just made is malformed: \(error)")
        }
    }

    private func checkBatch(_ client: ClientRequest, _ order: WriteOrder) throws(CQLError) {
        let kind =
            switch order.kind {
            case .unlogged: 1
            case .counter: 2
            case .logged, nil: 0
            }
        batchPartitions[kind].record(Int64(sink.entries.count))
        if order.kind == .logged {
            let names = batchTables { $0.options.gcGraceSeconds == 0 }
            if !names.isEmpty {
                client.warnings.append(
                    "Executing a LOGGED BATCH on table\(names.count == 1 ? "" : "s")"
                        + " [\(names.joined(separator: ", "))], configured with a gc_grace_seconds of 0."
                        + " The gc_grace_seconds is used to TTL batchlog entries, so setting"
                        + " gc_grace_seconds too low on tables involved in an atomic batch might cause"
                        + " batchlog entries to expire before being replayed.")
            }
        }
        let size = sink.bytes.count
        let limits = configuration.requests
        guard sink.entries.count > 1 else { return }
        if size > limits.batchSizeFailBytes { throw .invalid("Batch too large") }
        if size > limits.batchSizeWarnBytes {
            let names = batchTables { _ in true }
            client.warnings.append(
                "Batch for [\(names.joined(separator: ", "))] is of size \(size), exceeding specified "
                    + "threshold of \(limits.batchSizeWarnBytes) by "
                    + "\(size - limits.batchSizeWarnBytes).")
        }
        guard order.kind == .unlogged, sink.entries.count > limits.unloggedBatchWarnPartitions
        else {
            return
        }
        let tables = batchTables { _ in true }
        client.warnings.append(
            "Unlogged batch covering \(sink.entries.count) partitions detected against "
                + "table\(tables.count == 1 ? "" : "s") [\(tables.joined(separator: ", "))]. You should "
                + "use a logged batch for atomicity, or asynchronous writes for performance.")
    }

    /// The names of those tables that the batch under way writes to, each once.
    private func batchTables(where isWanted: (TableSchema) -> Bool) -> [String] {
        var names: [String] = []
        for entry in sink.entries {
            guard let table = cluster.schema.table(entry.table), isWanted(table) else { continue }
            let name = "\(table.keyspace).\(table.name)"
            if !names.contains(name) { names.append(name) }
        }
        return names
    }

    // MARK: Reading first

    private func startReading(
        _ parts: [BoundModification], _ context: ExecutionContext,
        _ order: WriteOrder,
        _ client: ClientRequest
    ) throws(CQLError) {
        guard order.consistency != .any else {
            throw .invalid(
                "Write operation require a read but consistency \(order.consistency) is not supported"
                    + " on reads")
        }
        var commands: [ReadCommand] = []
        for part in parts where part.plan.requiresRead {
            for command in try part.plan.readCommands(part.values, context)
            where !commands.contains(command) {
                commands.append(command)
            }
        }
        for part in parts { notePlain(part.plan.table, client) }
        client.modification = ModificationRun(
            parts: parts.map { ($0.plan, RetainedValues(copying: $0.values)) }, context: context,
            order: order, commands: commands.reversed())
        // Several partitions have no common latch: they are read and written as in Cassandra.
        if commands.count == 1, let command = commands.first,
            case .partition(_, let key) = command.scope
        {
            let latch = LatchKey(purpose: .coordination, table: command.table, key: key)
            guard latches.acquire(latch, .modification(client)) else {
                return
            }
            client.latch = latch
        }
        continueModification(client)
    }

    /// Starts the reads until one has to wait, and writes when all have come.
    func continueModification(_ client: ClientRequest) {
        guard let run = client.modification else { return }
        run.isDriving = true
        repeat {
            run.readEnded = false
            guard let command = run.commands.popLast() else {
                client.modification = nil
                finishModification(run, client)
                break
            }
            startRead(command, consistency: run.order.consistency, client: client)
        } while run.readEnded && !client.isAnswered
        run.isDriving = false
    }

    /// A read of the statement has its result, which may hold what is dead.
    func modificationRead(
        _ client: ClientRequest, _ run: ModificationRun, _ result: ReadResultView
    ) {
        do throws(MalformedBytes) {
            let output = ByteWriter(capacity: result.bytes.count + 16)
            var live = LiveRows(nowInSeconds: run.context.nowInSeconds, into: output)
            try live.append(result)
            live.finish(isExhausted: true)
            try run.current.add(try ReadResultView(output.bytes))
        } catch {
            readFailed(client, .serverError("a result that was just made is malformed: \(error)"))
            return
        }
        if run.isDriving { run.readEnded = true } else { continueModification(client) }
    }

    private func finishModification(_ run: ModificationRun, _ client: ClientRequest) {
        sink.removeAll()
        sink.current = run.current
        do throws(CQLError) {
            for part in run.parts {
                try part.plan.build(part.values.values, run.context, into: sink)
            }
            sink.current = nil
            try write(run.order, isBatch: run.order.kind != nil, isCounter: false, client)
        } catch {
            sink.current = nil
            answer(client, error: error)
        }
    }

    // MARK: Mixing conditional and plain writes

    /// How long after a conditional write a plain one of the same table is warned of.
    private static var mixWindow: Instant.Span { .seconds(10) }

    /// A conditional write takes its timestamp from Paxos, a plain one from a clock: warns when a table
    /// sees both within a short time.
    private func noteConditional(_ table: TableSchema, _ client: ClientRequest) {
        conditionalTables[table.id] = now.monotonic
        guard let plain = lastPlainWrite, plain.table == table.id,
            now.monotonic - plain.at < Self.mixWindow
        else { return }
        warnOfMix(table, client)
    }

    private func notePlain(_ table: TableSchema, _ client: ClientRequest) {
        lastPlainWrite = (table.id, now.monotonic)
        guard !conditionalTables.isEmpty, let at = conditionalTables[table.id],
            now.monotonic - at < Self.mixWindow
        else { return }
        warnOfMix(table, client)
    }

    private func warnOfMix(_ table: TableSchema, _ client: ClientRequest) {
        let warning =
            "\(table.keyspace).\(table.name) is written both with and without IF: the two kinds of "
            + "writes are not ordered among each other, and the later timestamp wins whichever came "
            + "last"
        if !client.warnings.contains(warning) { client.warnings.append(warning) }
    }
}
