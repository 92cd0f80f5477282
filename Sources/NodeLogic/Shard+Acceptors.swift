// Serving the coordinators of conditional writes: this shard as an acceptor of its partitions' Paxos.
//
// An acceptor's state is a row of `system.paxos`, under the same token as the partition it is about, so
// it moves with it when the number of shards changes. What is used is kept in memory; what is not is
// read first, and messages for that partition wait until it has come.
//
// **Ordering.** A promise or an acceptance is synced before it is answered, in every sync mode. The data
// that a promise carries is read after the promise was noted, and the commits that it names are those
// from before the reading: so data may be newer than what the promise says, never older. A commit is
// applied like any mutation; its record follows the mutation's sync.
//
// Rows live as long as the table's deletions must be kept, three hours at least: by then no message of a
// proposal can be under way.

internal import CQL
internal import Encoding
internal import Environment
internal import Model
internal import PeerProtocol
internal import Replication
internal import Storage
internal import Topology

/// The partition that an acceptor is about.
struct AcceptorKey: Hashable {
    let table: TableID
    let key: [UInt8]
}

/// An acceptor in memory.
final class AcceptorEntry {
    var acceptor = PartitionAcceptor()
    var isLoaded = false
    /// Messages that came before the state was read.
    var waiting: [(header: PeerHeader, body: [UInt8], fromShard: Bool)] = []
}

/// A promise that waits for its sync and its data.
struct PendingPromise {
    let header: PeerHeader
    let fromShard: Bool
    let ballot: PartitionBallot
    let state: PartitionAcceptor
    var data: [UInt8]?
    var isSynced = false
}

/// The columns of `system.paxos`.
enum PaxosTable {
    static let schema: TableSchema = {
        guard let table = SystemSchema.table("system", "paxos") else {
            preconditionFailure("the system keyspace has no table paxos")
        }
        return table
    }()
    static let promised = column("in_progress_ballot")
    static let acceptedBallot = column("proposal_ballot")
    static let accepted = column("proposal")
    static let committed = column("most_recent_commit_at")
    /// The ballot under which the committed value was first proposed.
    static let committedOrigin = column("most_recent_commit")

    private static func column(_ name: String) -> UInt32 {
        guard let column = schema.column(named: name) else {
            preconditionFailure("system.paxos has no column \(name)")
        }
        return column.id.value
    }

    /// The encoded clustering key of a table's row.
    static func clustering(_ table: TableID) -> [UInt8] {
        let writer = ByteWriter(capacity: 32)
        table.value.bytes.withBytes {
            ClusteringKey.appendComponent($0, type: .uuid, order: .ascending, into: writer)
        }
        ClusteringKey.appendTerminator(into: writer)
        return writer.array
    }
}

extension Shard {
    /// More acceptors than this are not kept in memory.
    private static var maximumAcceptors: Int { 10_000 }

    // MARK: Messages

    /// Takes in a prepare, an accept or a commit.
    func serveConditional(
        _ header: PeerHeader, _ body: UnsafeRawBufferPointer, fromShard: Bool
    ) throws {
        let key: AcceptorKey
        switch header.kind {
        case .conditionalPrepare:
            let request = try ConditionalPrepare(body)
            key = AcceptorKey(table: TableID(request.table), key: [UInt8](request.key))
        case .conditionalAccept:
            let request = try ConditionalAccept(body)
            key = AcceptorKey(table: TableID(request.table), key: [UInt8](request.key))
        default:
            let view = try MutationView(try ConditionalCommit(body).mutation)
            try view.validate()
            key = AcceptorKey(table: view.table, key: [UInt8](view.key))
        }
        guard cluster.schema.table(key.table) != nil else {
            refuseConditional(header, body, fromShard: fromShard, .incompatibleSchema)
            return
        }
        let entry = acceptorEntry(key)
        guard entry.isLoaded else {
            entry.waiting.append((header, [UInt8](body), fromShard))
            return
        }
        try serve(header, body, key, entry, fromShard: fromShard)
    }

    private func serve(
        _ header: PeerHeader, _ body: UnsafeRawBufferPointer, _ key: AcceptorKey,
        _ entry: AcceptorEntry, fromShard: Bool
    ) throws {
        switch header.kind {
        case .conditionalPrepare:
            try promise(header, try ConditionalPrepare(body), key, entry, fromShard: fromShard)
        case .conditionalAccept:
            try accept(header, try ConditionalAccept(body), key, entry, fromShard: fromShard)
        default: try commit(header, try ConditionalCommit(body), key, entry, fromShard: fromShard)
        }
    }

    /// Tells a coordinator that we cannot.
    func refuseConditional(
        _ header: PeerHeader, _ body: UnsafeRawBufferPointer, fromShard: Bool,
        _ reason: ReplicaFailureReason = .unknown
    ) {
        if header.kind == .conditionalCommit {
            respond(to: header, .mutationResponse, fromShard: fromShard) {
                MutationResponse.failed(reason).encode(into: $0)
            }
            return
        }
        var ballot = PartitionBallot.zero
        do throws(MalformedBytes) {
            // Both requests begin with it.
            var reader = ByteReader(body)
            ballot = try PartitionBallot(&reader)
        } catch {
            // Whoever sent that will notice by its deadline.
            return
        }
        if header.kind == .conditionalPrepare {
            respond(to: header, .conditionalPromise, fromShard: fromShard) {
                ConditionalPromise(ballot: ballot, outcome: .failed, promised: .zero).encode(
                    into: $0)
            }
        } else {
            respond(to: header, .conditionalAccepted, fromShard: fromShard) {
                ConditionalAccepted(ballot: ballot, outcome: .failed, promised: .zero)
                    .encode(into: $0)
            }
        }
    }

    private func promise(
        _ header: PeerHeader, _ request: ConditionalPrepare, _ key: AcceptorKey,
        _ entry: AcceptorEntry, fromShard: Bool
    ) throws {
        var reader = ByteReader(request.command)
        let command = try ReadCommand(from: &reader)
        guard entry.acceptor.prepare(request.ballot) else {
            respond(to: header, .conditionalPromise, fromShard: fromShard) {
                ConditionalPromise(
                    ballot: request.ballot, outcome: .refused, promised: entry.acceptor.promised
                ).encode(into: $0)
            }
            return
        }
        let position = try store(entry.acceptor, key)
        nextReadTag += 1
        let tag = nextReadTag
        promises[tag] = PendingPromise(
            header: header, fromShard: fromShard, ballot: request.ballot, state: entry.acceptor)
        durabilityWaiters.append(
            DurabilityWaiter(position: position, waiter: .promise(tag)))
        storage.requestSync()
        traceReplica(header, "Promising ballot \(request.ballot.timeUUID)")
        readOwn(command, for: .promise(tag))
    }

    /// The data of a promise was read; nil: it could not be.
    func promiseRead(_ tag: UInt64, _ data: UnsafeRawBufferPointer?) {
        guard let pending = promises[tag] else { return }
        guard let data else {
            promises[tag] = nil
            respond(to: pending.header, .conditionalPromise, fromShard: pending.fromShard) {
                ConditionalPromise(
                    ballot: pending.ballot, outcome: .failed, promised: pending.ballot
                ).encode(into: $0)
            }
            return
        }
        promises[tag]?.data = [UInt8](data)
        sendPromise(tag)
    }

    func promiseSynced(_ tag: UInt64) {
        promises[tag]?.isSynced = true
        sendPromise(tag)
    }

    private func sendPromise(_ tag: UInt64) {
        guard let pending = promises[tag], pending.isSynced, let data = pending.data else { return }
        promises[tag] = nil
        data.withBytes { data in
            respond(to: pending.header, .conditionalPromise, fromShard: pending.fromShard) {
                ConditionalPromise(
                    ballot: pending.ballot, outcome: .promised, promised: pending.ballot,
                    committed: pending.state.committed,
                    committedOrigin: pending.state.committedOrigin,
                    accepted: pending.state.accepted, data: data
                ).encode(into: $0)
            }
        }
    }

    private func accept(
        _ header: PeerHeader, _ request: ConditionalAccept, _ key: AcceptorKey,
        _ entry: AcceptorEntry, fromShard: Bool
    ) throws {
        let value = [UInt8](request.value)
        // What could not be applied later must not be accepted now.
        let proposed = try ProposedValue(value)
        if !proposed.mutation.isEmpty {
            try proposed.mutation.withBytes { try MutationView($0).validate() }
        }
        guard entry.acceptor.accept(request.ballot, value) else {
            respond(to: header, .conditionalAccepted, fromShard: fromShard) {
                ConditionalAccepted(
                    ballot: request.ballot, outcome: .refused, promised: entry.acceptor.promised
                ).encode(into: $0)
            }
            return
        }
        let position = try store(entry.acceptor, key)
        durabilityWaiters.append(
            DurabilityWaiter(
                position: position,
                waiter: .accepted(header, request.ballot, fromShard: fromShard)))
        storage.requestSync()
        traceReplica(header, "Accepting proposal \(request.ballot.timeUUID)")
    }

    private func commit(
        _ header: PeerHeader, _ request: ConditionalCommit, _ key: AcceptorKey,
        _ entry: AcceptorEntry, fromShard: Bool
    ) throws {
        let view = try MutationView(request.mutation)
        // What was proposed before the table was emptied is settled, and gone with it.
        let isOutdated = isTruncated(
            key.table, since: WallTime(microseconds: request.origin.microseconds))
        let position =
            isOutdated ? storage.logPosition : try storage.apply(view, clock: now)
        traceReplica(header, "Committing proposal \(request.ballot.timeUUID)")
        if !isOutdated {
            observe(
                .mutationApplied(
                    table: view.table.value, token: view.token,
                    timestamp: request.origin.microseconds, request: header.request.value))
        }
        if entry.acceptor.commit(request.ballot, origin: request.origin) {
            durabilityWaiters.append(
                DurabilityWaiter(position: position, waiter: .commitRecord(key)))
            storage.requestSync()
        }
        // The acceptances of a majority are synced, so the commit can be answered before its own sync.
        guard configuration.storage.commitLogSync != .periodic else {
            respond(to: header, .mutationResponse, fromShard: fromShard) {
                MutationResponse.applied.encode(into: $0)
            }
            return
        }
        durabilityWaiters.append(
            DurabilityWaiter(position: position, waiter: .remote(header, fromShard: fromShard)))
        storage.requestSync()
    }

    /// A committed mutation is synced: now the acceptor may forget the value.
    func storeCommit(_ key: AcceptorKey) {
        guard let entry = acceptors[key], entry.isLoaded else { return }
        do {
            _ = try store(entry.acceptor, key)
        } catch {
            // The table or the shard's slice is gone: so is the need.
            acceptors[key] = nil
        }
    }

    // MARK: The stored state

    private func acceptorEntry(_ key: AcceptorKey) -> AcceptorEntry {
        if let entry = acceptors[key] { return entry }
        if acceptors.count >= Self.maximumAcceptors {
            // What was committed but not recorded yet must stay: a reader of the row would not know.
            let unrecorded = Set(
                durabilityWaiters.compactMap { waiter in
                    if case .commitRecord(let key) = waiter.waiter { key } else { nil }
                })
            acceptors = acceptors.filter { !$0.value.isLoaded || unrecorded.contains($0.key) }
        }
        let entry = AcceptorEntry()
        acceptors[key] = entry
        let command = ReadCommand(
            table: PaxosTable.schema.id,
            scope: .partition(token: Token.of(key.key).value, key: key.key),
            slices: [ClusteringSlice(key: PaxosTable.clustering(key.table))],
            nowInSeconds: now.wall.seconds)
        readOwn(command, for: .acceptor(key))
        return entry
    }

    /// An acceptor's row was read; nil: it could not be.
    func acceptorRead(_ key: AcceptorKey, _ result: UnsafeRawBufferPointer?) {
        guard let entry = acceptors[key], !entry.isLoaded else { return }
        let waiting = entry.waiting
        entry.waiting = []
        do {
            guard let result else { throw MalformedBytes("unreadable acceptor", offset: 0) }
            entry.acceptor = try Self.acceptor(result, nowInSeconds: now.wall.seconds)
            entry.isLoaded = true
        } catch {
            acceptors[key] = nil
            for message in waiting {
                message.body.withBytes {
                    refuseConditional(message.header, $0, fromShard: message.fromShard)
                }
            }
            return
        }
        for message in waiting {
            message.body.withBytes { body in
                do {
                    try serve(message.header, body, key, entry, fromShard: message.fromShard)
                } catch {
                    refuseConditional(message.header, body, fromShard: message.fromShard)
                }
            }
        }
    }

    private static func acceptor(
        _ result: UnsafeRawBufferPointer, nowInSeconds: Int64
    ) throws(MalformedBytes) -> PartitionAcceptor {
        var promised = PartitionBallot.zero
        var acceptedBallot = PartitionBallot.zero
        var value: [UInt8]?
        var committed = PartitionBallot.zero
        var origin = PartitionBallot.zero
        var partitions = try ReadResultView(result).partitions
        while let (_, _, partition) = try partitions.next() {
            var rows = try PartitionView(partition).rows
            while let (_, row) = try rows.next() {
                var cells = try RowView(row).cells
                while let cell = try cells.next() {
                    guard cell.isLive(nowInSeconds: nowInSeconds) else { continue }
                    switch cell.column {
                    case PaxosTable.promised: promised = try ballot(cell.value)
                    case PaxosTable.acceptedBallot: acceptedBallot = try ballot(cell.value)
                    case PaxosTable.accepted: value = [UInt8](cell.value)
                    case PaxosTable.committed: committed = try ballot(cell.value)
                    case PaxosTable.committedOrigin: origin = try ballot(cell.value)
                    default: break
                    }
                }
            }
        }
        return PartitionAcceptor(
            promised: promised,
            accepted: value.map { AcceptedProposal(ballot: acceptedBallot, value: $0) },
            committed: committed, committedOrigin: origin)
    }

    private static func ballot(
        _ value: UnsafeRawBufferPointer
    ) throws(MalformedBytes) -> PartitionBallot {
        var reader = ByteReader(value)
        return PartitionBallot(timeUUID: try reader.readUniqueID())
    }

    /// Writes an acceptor's row; the caller has it synced before anything depends on it.
    private func store(
        _ acceptor: PartitionAcceptor, _ key: AcceptorKey
    ) throws(StorageError) -> LogPosition {
        let grace = Int64(cluster.schema.table(key.table)?.options.gcGraceSeconds ?? 0)
        let timeToLive = UInt32(clamping: max(grace, 3 * 3600))
        let expiresAt = UInt32(clamping: now.wall.seconds + Int64(timeToLive))
        let timestamp = clock.next(wall: now.wall)
        var values: [(column: UInt32, value: [UInt8]?)] = [
            (PaxosTable.promised, acceptor.promised.timeUUID.bytes),
            (PaxosTable.acceptedBallot, acceptor.accepted?.ballot.timeUUID.bytes),
            (PaxosTable.accepted, acceptor.accepted?.value),
            (
                PaxosTable.committed,
                acceptor.committed == .zero ? nil : acceptor.committed.timeUUID.bytes
            ),
            (
                PaxosTable.committedOrigin,
                acceptor.committed == .zero ? nil : acceptor.committedOrigin.timeUUID.bytes
            ),
        ]
        values.sort { $0.column < $1.column }
        let row = ByteWriter(capacity: 256)
        var writer = RowWriter()
        writer.begin(liveness: .none, deletion: .none, baseTimestamp: timestamp, into: row)
        for (column, value) in values {
            guard let value else {
                writer.append(
                    Cell(
                        column: column, flags: .tombstone, timestamp: timestamp,
                        localDeletionTime: UInt32(clamping: now.wall.seconds)),
                    into: row)
                continue
            }
            value.withBytes { value in
                writer.append(
                    Cell(
                        column: column, flags: .expiring, timestamp: timestamp,
                        localDeletionTime: expiresAt, timeToLive: timeToLive, value: value),
                    into: row)
            }
        }
        mutationScratch.removeAll()
        key.key.withBytes {
            MutationWriter.begin(
                table: PaxosTable.schema.id, token: Token.of($0).value, key: $0,
                into: mutationScratch)
        }
        PartitionWriter.begin(into: mutationScratch)
        PaxosTable.clustering(key.table).withBytes {
            PartitionWriter.append(key: $0, row: row.bytes, into: mutationScratch)
        }
        let view: MutationView
        do throws(MalformedBytes) {
            view = try MutationView(mutationScratch.bytes)
        } catch {
            throw .malformed(error)
        }
        return try storage.apply(view, clock: now)
    }
}
