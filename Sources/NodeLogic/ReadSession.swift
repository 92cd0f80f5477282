// A read command of a client, between its pieces (`Shard+Reads`).

internal import CQL
internal import Encoding
internal import Model
internal import Replication
internal import Topology

/// One read command of one client, put together from pieces.
final class ReadSession {
    let command: ReadCommand
    let consistency: ConsistencyLevel
    let client: ClientRequest
    let topology: PlacementSnapshot
    let placement: Placement
    /// Whether replicas that differ are repaired before the answer.
    let repairsReplicas: Bool
    private(set) lazy var output = ByteWriter(capacity: 1024)
    /// Made when a piece needs it: the one piece of most reads goes to the select as it is.
    private var gathered: LiveRows?
    /// The slices still to read (partition reads).
    var slices: [ClusteringSlice]?
    /// Everything up to here has been read (scans).
    var token: Int64 = .min
    /// The last token of the piece under way (scans).
    var pieceEnd: Int64 = .max
    /// Where to go on inside the range (scans).
    var after: ReadCommand.Position?
    /// The loop over pieces is on the stack: a piece that ends at once only leaves a note.
    var isRunning = false
    var pieceEnded = false

    init(
        command: ReadCommand, consistency: ConsistencyLevel, client: ClientRequest,
        topology: PlacementSnapshot, placement: Placement, repairsReplicas: Bool
    ) {
        self.command = command
        self.consistency = consistency
        self.client = client
        self.topology = topology
        self.placement = placement
        self.repairsReplicas = repairsReplicas
        slices = command.slices
        if case .range(let range) = command.scope {
            token = range.start
            after = range.after
        }
    }

    /// Whether the client has enough for this command.
    var isFull: Bool {
        guard let gathered else { return false }
        return gathered.count >= command.rowLimit || gathered.byteCount >= command.byteLimit
    }

    /// Deletions that were passed so far.
    var tombstones: Int { gathered?.tombstones ?? 0 }

    /// Whether enough deletions were passed for the page to end here.
    var isTired: Bool {
        guard command.tombstoneLimit != .max, let execution = client.select?.execution else {
            return false
        }
        return execution.mayPause && execution.isTired(by: tombstones)
    }

    /// Whether a piece was taken in.
    var hasGathered: Bool { gathered != nil }

    /// Live rows so far.
    var liveCount: Int { gathered?.count ?? 0 }

    /// Live rows so far of the partition that is read.
    func liveRows(inPartition key: [UInt8]) -> Int { gathered?.rows(inPartition: key) ?? 0 }

    /// Takes in the live part of a piece.
    func append(_ piece: ReadResultView) throws(MalformedBytes) {
        var live = gathered ?? emptyRows
        gathered = nil
        defer { gathered = live }
        try live.append(piece)
    }

    private var emptyRows: LiveRows {
        var resumed: [UInt8]?
        if case .range(let range) = command.scope, let after = range.after,
            after.clustering != nil
        {
            resumed = after.key
        }
        return LiveRows(nowInSeconds: command.nowInSeconds, resumed: resumed, into: output)
    }

    /// Ends the result, which is then in `output`. `inside`: the partition behind a row of which it ends.
    func finish(isExhausted: Bool, inside: [UInt8]?) {
        var live = gathered ?? emptyRows
        live.finish(isExhausted: isExhausted, inside: inside)
        gathered = live
    }

    /// Whether a piece is the whole answer, and the select can read it as the replicas gave it.
    func isWholeAnswer(_ stop: ReadStop?) -> Bool {
        guard gathered == nil, stop == nil, case .partition = command.scope else { return false }
        return client.select?.readsReplicaData ?? false
    }
}
