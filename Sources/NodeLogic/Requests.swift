// What a shard remembers of requests under way.

internal import CQL
internal import Encoding
internal import Environment
internal import Model
internal import NativeProtocol
internal import PeerProtocol
internal import Replication
internal import Storage
internal import Topology

/// One request of a client, from its frame to its answer. Most are answered in the step that brings them, and
/// their object is the next one's (`begin`): all that a request has of its own is `State`, and a new one has a
/// new one.
@dynamicMemberLookup
final class ClientRequest {
    /// What is known of one request.
    struct State {
        let connection: ConnectionID
        let stream: Int16
        let version: ProtocolVersion
        var warnings: [String] = []
        /// Set once: a request is answered exactly once.
        var isAnswered = false
        /// Mutations that the client still waits for.
        var outstandingWrites = 0
        /// The select in progress.
        var select: SelectRun?
        /// The lists that are read before they are written.
        var modification: ModificationRun?
        /// Given back with the answer.
        var latch: LatchKey?
        /// The batch whose entries are removed when all of its writes are through.
        var loggedBatch: LoggedBatch?
        var trace: RequestTrace?
        /// The statement's text, for whoever looks at what is under way.
        var statement = ""
        /// When the frame came in.
        var began = Instant(nanoseconds: 0)
        /// What the time until the answer is counted as.
        var measure: (table: TableID, kind: RequestMeasure)?
        /// Replicas that had to pass over many tombstones, and the most of one.
        var tombstoneWarnings = (replicas: 0, most: 0)
        /// Bytes of the frame, as long as they count as under way.
        var heldBytes = 0
        var load: AddressLoad?
        /// How long the client lets the request take, if it says so (`USING TIMEOUT`).
        var timeout: Instant.Span?
        /// The engine's short way was tried and is not enough (`Shard+PointReads`).
        var isNotSimple = false
        /// A statement of our own, whose end is for one of our machines.
        var place: InternalPlace?
        /// Who is to be granted what the statement creates.
        var creator: String?

        init(connection: ConnectionID, stream: Int16, version: ProtocolVersion) {
            self.connection = connection
            self.stream = stream
            self.version = version
        }
    }

    @exclusivity(unchecked) private var state: State

    init(connection: ConnectionID, stream: Int16, version: ProtocolVersion) {
        state = State(connection: connection, stream: stream, version: version)
    }

    /// Makes it another request, as if it had just been made. Only where nobody else has it.
    func begin(connection: ConnectionID, stream: Int16, version: ProtocolVersion) {
        state = State(connection: connection, stream: stream, version: version)
    }

    // Optimized builds see through the paths: what is left is a load or a store.

    @inline(__always)
    subscript<Value>(dynamicMember path: KeyPath<State, Value>) -> Value {
        @inline(__always) get { state[keyPath: path] }
    }

    @inline(__always)
    subscript<Value>(dynamicMember path: WritableKeyPath<State, Value>) -> Value {
        @inline(__always) get { state[keyPath: path] }
        @inline(__always) _modify { yield &state[keyPath: path] }
    }

    var prefix: ResponsePrefix? {
        let asked = state.trace?.isAsked == true ? state.trace : nil
        if state.warnings.isEmpty, asked == nil { return nil }
        return ResponsePrefix(tracingID: asked?.id, warnings: state.warnings)
    }
}

/// A mutation that some replica has not answered yet.
final class PendingWrite {
    var operation: WriteOperation
    let mutation: [UInt8]
    let table: TableID
    let token: Token
    let timestamp: Int64
    /// The placement that the operation's node indexes refer to.
    let topology: PlacementSnapshot
    let completion: WriteCompletion
    /// Whose trace it belongs to; nil for a write of no client (a repair).
    let client: ClientRequest?
    /// What was decided about it, if it is the value of a conditional write.
    let commit: (ballot: PartitionBallot, origin: PartitionBallot)?
    /// When the write began: a truncation later than that concerns its hints too.
    let begun: WallTime
    /// Some replica has not applied it, and there is no hint for it.
    var isMissedForGood = false

    init(
        operation: WriteOperation, mutation: [UInt8], table: TableID, token: Token,
        timestamp: Int64, topology: PlacementSnapshot, completion: WriteCompletion,
        client: ClientRequest?, begun: WallTime,
        commit: (ballot: PartitionBallot, origin: PartitionBallot)? = nil
    ) {
        self.begun = begun
        self.completion = completion
        self.commit = commit
        self.operation = operation
        self.mutation = mutation
        self.table = table
        self.token = token
        self.timestamp = timestamp
        self.topology = topology
        self.client = client
    }

    /// Whether every replica is to have it in the end, rather than those that a read asked.
    var isForEveryReplica: Bool {
        switch completion {
        case .repair, .conditionalRepair: false
        default: true
        }
    }
}

/// Who is told what became of a mutation.
enum WriteCompletion {
    case client(ClientRequest)
    /// The read whose repair it is, and which one of them.
    case repair(RequestID, number: Int)
    /// A conditional write: the commit of its own value, or of one that others had left.
    case conditional(RequestID, isOwn: Bool)
    case conditionalRepair(RequestID)
    /// The coordinator of an increment that this shard leads.
    case increment(PeerHeader, fromShard: Bool)
    case batchReplay(UniqueID)
}

/// A read operation in progress, a piece of a `ReadSession`.
final class PendingRead {
    var operation: ReadOperation
    let session: ReadSession
    let token: Token

    init(operation: ReadOperation, session: ReadSession, token: Token) {
        self.operation = operation
        self.session = session
        self.token = token
    }
}

/// Who waits for a read of this shard's own storage.
struct LocalRead {
    enum Reader {
        /// A read operation of this shard.
        case operation(RequestID, wantsDigest: Bool)
        /// Another shard or node.
        case remote(PeerHeader, wantsDigest: Bool, fromShard: Bool)
        /// The state of an acceptor.
        case acceptor(AcceptorKey)
        /// What a promise shows, by its number.
        case promise(UInt64)
        /// What an increment is added to, by its number.
        case counting(UInt64)
        /// The batches that are kept for others.
        case batches
    }

    let reader: Reader
    let command: ReadCommand
    /// The scope was cut at the end of this shard's slice: this is the last token answered for.
    let coveredThrough: Int64?
    var began = Instant(nanoseconds: 0)
}

/// A write that is answered only when the log is synced so far.
struct DurabilityWaiter {
    enum Waiter {
        case operation(RequestID)
        case remote(PeerHeader, fromShard: Bool)
        /// A promise, by its number.
        case promise(UInt64)
        case accepted(PeerHeader, PartitionBallot, fromShard: Bool)
        /// A committed mutation, whose acceptor may be told.
        case commitRecord(AcceptorKey)
        /// An increment that was counted, by its number.
        case counted(UInt64)
    }

    let position: LogPosition
    let waiter: Waiter
}

/// What a deadline is for.
enum DeadlineKey {
    case write(RequestID)
    case read(RequestID)
    case truncation(RequestID)
    case schema(UInt64)
    case hints(HostID, RequestID)
    case conditional(RequestID)
    case conditionalTick(RequestID)
    case increment(RequestID)
    case batchLog(RequestID)
}

/// A truncation that waits for all nodes.
final class PendingTruncation {
    let client: ClientRequest
    let nodeCount: Int
    var waiting: [HostID: Int]

    init(client: ClientRequest, waiting: [HostID: Int]) {
        self.client = client
        nodeCount = waiting.count
        self.waiting = waiting
    }
}

/// Hints of one target on their way: how many of the batch were answered.
struct HintReplay {
    var outstanding: Set<RequestID>
    var failed = false
}

/// Which nodes requests may be sent to, worked out once for what gossip and the links say and asked by
/// every request.
struct ReplicaHealth {
    /// What the indexes refer to; nil for figures that have to be made anew.
    var topology: PlacementSnapshot?
    /// By node index.
    var isAlive: [Bool] = []
}
