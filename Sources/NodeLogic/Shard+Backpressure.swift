// Writing slows down, and does not fail, while storage lags behind.
//
//     a mutation --> admitted? --yes--> applied in this step
//                       | no
//                       v
//                    held, in order --(flush ended, sync came back, the pace allows)--> applied
//
// A mutation that is held is answered when it is applied: that delay is what slows clients down. What
// is held is bounded:
//   - above half of the bound, the clients whose writes are held are no longer read from;
//   - above the bound, mutations of other nodes are dropped: their coordinators notice by the timeout,
//     and keep a hint;
//   - those of our own shards come from coordinators here, which stop reading from clients when half
//     of the allowed requests are under way.
// A client that is read from again finds its requests in the socket's buffer: none is lost.
//
// What conditional writes and increments ask of a replica waits in the same row, as the request that it
// came as: it is served when a mutation would be applied.
//
// The timeout of a coordinator goes on while its mutation is held here, and a late one is applied all
// the same: its outcome is unknown to the client, as with any timeout. A mutation of another node
// whose time is over is dropped, because that node has stored a hint by then.

internal import Encoding
internal import Environment
internal import Model
internal import PeerProtocol
internal import Replication
internal import Storage

/// A mutation that storage does not take yet.
struct HeldWrite {
    enum Waiter {
        /// A client's write whose only replica is this shard.
        case alone(ClientRequest, timestamp: Int64)
        /// This shard's part in a write that it coordinates.
        case operation(RequestID, PendingWrite)
        /// Another shard's or node's; nobody waits any more after `end`.
        case remote(PeerHeader, fromShard: Bool, end: Instant)
        /// A step of a conditional write or an increment, which is served from its begin: `mutation` is
        /// the whole request.
        case request(PeerHeader, fromShard: Bool, end: Instant)
    }

    let mutation: [UInt8]
    let waiter: Waiter

    fileprivate var client: ClientRequest? {
        switch waiter {
        case .alone(let client, _): client
        case .operation(_, let write): write.client
        case .remote, .request: nil
        }
    }
}

/// The mutations that wait, in the order in which they came.
struct HeldWrites {
    private var entries: [HeldWrite] = []
    private var head = 0
    private(set) var bytes = 0
    /// Mutations of other nodes that were dropped because too much is held, or their time was over.
    fileprivate(set) var dropped = 0

    var isEmpty: Bool { head == entries.count }
    var count: Int { entries.count - head }

    mutating func append(_ write: HeldWrite) {
        entries.append(write)
        bytes += write.mutation.count
    }

    mutating func popFirst() -> HeldWrite? {
        guard head < entries.count else { return nil }
        let first = entries[head]
        head += 1
        bytes -= first.mutation.count
        if head == entries.count {
            entries.removeAll(keepingCapacity: count < 4096)
            head = 0
        } else if head >= 4096, head * 2 >= entries.count {
            entries.removeFirst(head)
            head = 0
        }
        return first
    }
}

extension Shard {
    /// How many bytes of mutations may be held.
    private var heldBytesLimit: Int {
        min(max(configuration.storage.memtableBytes / 16, 256 << 10), 16 << 20)
    }

    /// Whether a mutation may be applied at once. Those that came before go first.
    var mayApply: Bool { held.isEmpty && storage.admitsWrites(now: now.monotonic) }

    /// Keeps a mutation until storage takes it.
    func hold(_ write: HeldWrite) {
        switch write.waiter {
        case .remote(_, fromShard: false, _), .request(_, fromShard: false, _):
            if held.bytes > heldBytesLimit {
                held.dropped += 1
                return
            }
        case .alone, .operation, .remote, .request: break
        }
        held.append(write)
        if let client = write.client, held.bytes > heldBytesLimit / 2 {
            stopReading(client.connection)
        }
    }

    /// Keeps a request that will write until storage takes it: promises and acceptances are rows too.
    /// False: it may be served now.
    func holdsBack(
        _ header: PeerHeader, _ body: UnsafeRawBufferPointer, fromShard: Bool
    ) -> Bool {
        if mayApply { return false }
        let budget = Instant.Span.microseconds(Int64(header.remainingBudget))
        // A commit is a mutation: of this node's it is never too late. Who asked for anything else has
        // given up by then, and an increment that is dropped is not counted twice.
        let isLasting = fromShard && header.kind == .conditionalCommit
        hold(
            HeldWrite(
                mutation: [UInt8](body),
                waiter: .request(
                    header, fromShard: fromShard,
                    end: isLasting ? .distantFuture : now.monotonic + budget)))
        return true
    }

    /// Applies what storage takes by now.
    func applyHeld() {
        while !held.isEmpty, storage.admitsWrites(now: now.monotonic), let write = held.popFirst() {
            apply(write)
        }
        readOnIfCalm()
    }

    private func apply(_ write: HeldWrite) {
        switch write.waiter {
        case .alone(let client, let timestamp):
            do {
                try write.mutation.withBytes { raw in
                    try applyAloneNow(try MutationView(raw), nil, timestamp, client)
                }
            } catch {
                finishWrite(client, error: .serverError("\(error)"))
            }
        case .operation(let id, let pending):
            write.mutation.withBytes { applyOwnNow($0, id, pending) }
        case .request(let header, let fromShard, let end):
            guard end > now.monotonic else {
                held.dropped += 1
                return
            }
            write.mutation.withBytes { serveHeld(header, $0, fromShard: fromShard) }
        case .remote(let header, let fromShard, let end):
            guard end > now.monotonic else {
                held.dropped += 1
                return
            }
            do {
                try write.mutation.withBytes { raw in
                    try applyMutation(try MutationView(raw), header, fromShard: fromShard)
                }
            } catch {
                respond(to: header, .mutationResponse, fromShard: fromShard) {
                    MutationResponse.failed(.unknown).encode(into: $0)
                }
            }
        }
    }

    // MARK: Reading from clients

    /// Reads no more from a client until it is calm again.
    func stopReading(_ id: ConnectionID) {
        guard let connection = connections[id], !connection.isHeld else { return }
        connection.isHeld = true
        heldConnections.append(id)
        updateReading(connection)
    }

    /// So many requests are under way that a client should not send more.
    var isBusy: Bool { requestsUnderWay >= configuration.requests.maximumInFlight / 2 }

    private var requestsUnderWay: Int {
        writes.count + reads.count + forwarded.count + increments.count + conditionals.count
    }

    private func readOnIfCalm() {
        guard !heldConnections.isEmpty, held.bytes <= heldBytesLimit / 4,
            requestsUnderWay <= configuration.requests.maximumInFlight / 4,
            requestBytes <= requestBytesLimit / 2
        else { return }
        var waiting: [ConnectionID] = []
        for id in heldConnections {
            guard let connection = connections[id] else { continue }
            guard connection.load.bytes <= addressBytesLimit / 2 else {
                waiting.append(id)
                continue
            }
            connection.isHeld = false
            updateReading(connection)
        }
        heldConnections = waiting
    }
}
