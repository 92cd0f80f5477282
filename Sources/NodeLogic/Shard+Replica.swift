// Serving coordinators: this shard as a replica.

internal import Encoding
internal import Environment
internal import Model
internal import PeerProtocol
internal import Replication
internal import Storage
internal import Topology

extension Shard {
    func serveMutation(
        _ header: PeerHeader, _ request: MutationRequest, fromShard: Bool
    ) throws {
        let view = try MutationView(request.mutation)
        try view.validate()
        guard cluster.schema.table(view.table) != nil else {
            respond(to: header, .mutationResponse, fromShard: fromShard) {
                MutationResponse.failed(.incompatibleSchema).encode(into: $0)
            }
            return
        }
        guard mayApply else {
            // A coordinator of this node keeps no hint for it: its mutations are never too late.
            let budget = Instant.Span.microseconds(Int64(header.remainingBudget))
            let end = fromShard ? Instant.distantFuture : now.monotonic + budget
            hold(
                HeldWrite(
                    mutation: [UInt8](request.mutation),
                    waiter: .remote(header, fromShard: fromShard, end: end)))
            return
        }
        try applyMutation(view, header, fromShard: fromShard)
    }

    /// The same, once storage takes it. `view` was validated.
    func applyMutation(
        _ view: MutationView, _ header: PeerHeader, fromShard: Bool
    ) throws(StorageError) {
        let position = try storage.apply(view, clock: now)
        noteApplied(view.table)
        if view.table == BatchesTable.schema.id { mayHaveBatches = true }
        traceReplica(header, "Mutation applied to memtable and commit log")
        observe(
            .mutationApplied(
                table: view.table.value, token: view.token, timestamp: newestTimestamp(view),
                request: header.request.value))
        guard configuration.storage.commitLogSync != .periodic else {
            respond(to: header, .mutationResponse, fromShard: fromShard) {
                MutationResponse.applied.encode(into: $0)
            }
            return
        }
        durabilityWaiters.append(
            DurabilityWaiter(
                position: position, waiter: .remote(header, fromShard: fromShard)))
        storage.requestSync()
    }

    /// For the observer only.
    private func newestTimestamp(_ view: MutationView) -> Int64 {
        guard observer != nil, let partition = try? PartitionView(view.partition) else { return 0 }
        var newest = partition.deletion.timestamp
        var rows = partition.rows
        while let next = try? rows.next(), let row = try? RowView(next.row) {
            newest = max(newest, (try? row.newestTimestamp()) ?? newest)
        }
        return newest
    }

    func serveRead(_ header: PeerHeader, _ request: ReadRequest, fromShard: Bool) throws {
        var reader = ByteReader(request.command)
        let command = try ReadCommand(from: &reader)
        guard cluster.route(of: command.table) != nil || cluster.schema.table(command.table) != nil
        else {
            respond(to: header, .readResponse, fromShard: fromShard) {
                ReadResponse.failed(.incompatibleSchema).encode(into: $0)
            }
            return
        }
        var mayBeSimple = true
        if observer == nil {
            if try serveOnSpot(header, request, command, fromShard: fromShard) { return }
            mayBeSimple = false
        }
        readOwn(
            command,
            for: .remote(header, wantsDigest: request.wantsDigest, fromShard: fromShard),
            mayBeSimple: mayBeSimple)
    }

    /// Answers a coordinator out of memory; false, with nothing done, if that is not simple.
    private func serveOnSpot(
        _ header: PeerHeader, _ request: ReadRequest, _ command: ReadCommand, fromShard: Bool
    ) throws(MalformedBytes) -> Bool {
        resultScratch.removeAll()
        guard case .done = storage.readSimply(command, into: resultScratch) else { return false }
        let figures = storage.lastRead
        noteRead(of: command.table, .localRead, figures, since: now.monotonic)
        try answer(
            header, resultScratch.bytes, figures,
            digestOf: request.wantsDigest ? command : nil, fromShard: fromShard)
        return true
    }

    /// Reads this shard's storage for an operation of its own or of another coordinator. `mayBeSimple`: false
    /// where the engine's short way was tried.
    func readOwn(
        _ command: ReadCommand, for reader: LocalRead.Reader, mayBeSimple: Bool = true
    ) {
        var command = command
        var coveredThrough: Int64?
        if case .range(var range) = command.scope, shardCount > 1 {
            let first = range.start == .max ? range.start : range.start + 1
            let last = ShardMap.lastToken(
                of: owner(of: Token(range.after?.token ?? first)), count: shardCount)
            if range.end > last.value {
                range.end = last.value
                coveredThrough = range.end
                command.scope = .range(range)
            }
        }
        nextReadTag += 1
        let tag = nextReadTag
        let read = LocalRead(
            reader: reader, command: command, coveredThrough: coveredThrough, began: now.monotonic)
        resultScratch.removeAll()
        do {
            switch try storage.read(
                command, tag: tag, clock: now, outbox: outbox, into: resultScratch,
                mayBeSimple: mayBeSimple)
            {
            case .done:
                noteRead(command, storage.lastRead, since: read.began)
                try complete(read, resultScratch.bytes, storage.lastRead)
            case .parked: localReads[tag] = read
            }
        } catch {
            fail(read, Self.reason(error))
        }
    }

    /// Answers the reads whose blocks have come.
    func completeStorageReads() {
        let ended = storage.completedReads
        storage.completedReads = []
        for completed in ended {
            guard let read = localReads.removeValue(forKey: completed.tag) else { continue }
            switch completed.result {
            case .success(let bytes):
                noteRead(read.command, completed.figures, since: read.began)
                do {
                    try bytes.withBytes { raw throws(MalformedBytes) in
                        try complete(read, raw, completed.figures)
                    }
                } catch {
                    fail(read)
                }
            case .failure(let error):
                if case .remote(let header, _, _) = read.reader {
                    traceReplica(header, "Read failed: \(error)")
                }
                fail(read, Self.reason(error))
            }
        }
    }

    /// Why a replica could not read, for its coordinator.
    static func reason(_ error: any Error) -> ReplicaFailureReason {
        if case StorageError.tooManyTombstones = error { return .readTooManyTombstones }
        return .unknown
    }

    private func complete(
        _ read: LocalRead, _ result: UnsafeRawBufferPointer, _ figures: ReadFigures
    ) throws(MalformedBytes) {
        guard let covered = read.coveredThrough, try ReadResultView(result).isExhausted else {
            try deliver(read, result, figures)
            return
        }
        let clipped = ByteWriter(capacity: result.count + 16)
        ReadResultWriter.begin(coveredThrough: covered, into: clipped)
        clipped.append(UnsafeRawBufferPointer(rebasing: result[1...]))
        try deliver(read, clipped.bytes, figures)
    }

    private func deliver(
        _ read: LocalRead, _ result: UnsafeRawBufferPointer, _ figures: ReadFigures
    ) throws(MalformedBytes) {
        if observer != nil, case .partition(let token, _) = read.command.scope {
            let newest = try ReadResultView(result).newestTimestamp()
            let request: UInt64 =
                switch read.reader {
                case .operation(let id, _): id.value
                case .remote(let header, _, _): header.request.value
                case .acceptor, .promise, .counting, .batches: 0
                }
            observe(
                .replicaAnswered(
                    table: read.command.table.value, token: token, newestTimestamp: newest,
                    request: request))
        }
        switch read.reader {
        case .acceptor(let key): acceptorRead(key, result)
        case .promise(let tag): promiseRead(tag, result)
        case .counting(let tag): countersRead(tag, result)
        case .batches: batchesRead(result)
        case .operation(let id, let wantsDigest):
            if let pending = reads[id] {
                noteTombstones(figures.tombstones, pending.session.client)
            }
            let answer: ReadOperation.Answer =
                wantsDigest
                ? .digest(try digest(of: result, read.command)) : .data([UInt8](result))
            readAnswered(id, by: host, answer)
        case .remote(let header, let wantsDigest, let fromShard):
            try answer(
                header, result, figures, digestOf: wantsDigest ? read.command : nil,
                fromShard: fromShard)
        }
    }

    /// Sends a coordinator the data, or its digest, for which the command is needed.
    private func answer(
        _ header: PeerHeader, _ result: UnsafeRawBufferPointer, _ figures: ReadFigures,
        digestOf command: ReadCommand?, fromShard: Bool
    ) throws(MalformedBytes) {
        traceReplica(header, "Read executed: \(result.count) bytes")
        let found: ReadDigest? = if let command { try digest(of: result, command) } else { nil }
        respond(to: header, .readResponse, fromShard: fromShard) { writer in
            if let found {
                ReadResponse.digest(UniqueID(high: found.high, low: found.low))
                    .encode(into: writer)
            } else if figures.tombstones > configuration.requests.tombstoneWarnThreshold {
                ReadResponse.dataBehind(tombstones: figures.tombstones, result)
                    .encode(into: writer)
            } else {
                ReadResponse.data(result).encode(into: writer)
            }
        }
    }

    private func digest(
        of result: UnsafeRawBufferPointer, _ command: ReadCommand
    ) throws(MalformedBytes) -> ReadDigest {
        try ReadDigest(
            of: try ReadResultView(result), purgeBefore: purgeBefore(command),
            scratch: digestScratch)
    }

    /// Deletions of that table from before this second may be gone on some replicas and not on others.
    func purgeBefore(_ command: ReadCommand) -> Int64 {
        guard let table = cluster.schema.table(command.table) else { return command.nowInSeconds }
        return table.options.tombstoneGC.digestBefore(
            nowInSeconds: command.nowInSeconds, gcGraceSeconds: table.options.gcGraceSeconds)
    }

    /// Tells who asked that this replica cannot answer.
    func fail(_ read: LocalRead, _ reason: ReplicaFailureReason = .unknown) {
        switch read.reader {
        case .acceptor(let key): acceptorRead(key, nil)
        case .promise(let tag): promiseRead(tag, nil)
        case .counting(let tag): countersRead(tag, nil)
        case .batches: batchesRead(nil)
        case .operation(let id, _):
            readAnswered(
                id, by: host,
                .failed(address: clientAddress.address, reason: reason.rawValue))
        case .remote(let header, _, let fromShard):
            respond(to: header, .readResponse, fromShard: fromShard) {
                ReadResponse.failed(reason).encode(into: $0)
            }
        }
    }
}
