// The node-wide machines, on shard 0: who is there and alive (gossip), and what is agreed (the metadata
// log). The machines decide; the shard carries out what they ask for (`Shard+Control`).

internal import CQL
internal import Encoding
internal import Environment
internal import Membership
internal import Model
internal import PeerProtocol
internal import Topology

/// A statement that changes the schema, on its way through the metadata log.
struct PendingSchemaChange {
    let shard: ShardIndex
    let request: UInt64
    let statement: String
    let keyspace: String?
    /// What the client will be told; worked out anew whenever another entry came first.
    var answer: SchemaAnswer
    /// The id of a table that it creates: the same in every attempt.
    let tableID: TableID
    let timestamp: Int64
}

/// The state of shard 0 beyond that of other shards.
final class NodeControl {
    var log: MetadataLog
    var membership: ClusterMembership
    var proposals: [ProposalID: PendingSchemaChange] = [:]
    var nextProposal: UInt64 = 0
    var random: RandomStream
    /// The epoch that each shard of this node has installed.
    var shardEpochs: [UInt64]
    /// Agreed changes that some shard or some living node has not installed yet, as far as we know, and
    /// how long to wait for the nodes.
    var agreed: [(epoch: UInt64, pending: PendingSchemaChange, deadline: Instant)] = []
    var truncations: [TruncationOrigin: NodeTruncation] = [:]
    // Operators' commands (`Admin/Shard+Admin`).
    var admin: [UInt64: PendingAdmin] = [:]
    var nextAdmin: UInt64 = 0
    var adminJobs: [EffectID: AdminJob] = [:]
    /// The next time at which a snapshot goes by itself, and when to look.
    var snapshotExpiry: WallTime?
    var nextSnapshotCheck = Instant(nanoseconds: 0)
    /// Bytes of each shard's files.
    var shardLoads: [UInt64]
    /// Of all shards.
    var load: UInt64 { shardLoads.reduce(0, +) }
    /// The hybrid clock's committed upper bound, and whether a higher one is being committed.
    var clockBound: Int64
    var isRaisingClockBound = false
    var nextClockCheck: Instant
    /// A proposal with this node's addresses is under way.
    var isAnnouncingAddresses = false
    /// When clients are let in although some member has not been heard; nil: they are in.
    var settleDeadline: Instant?
    /// Clients wait for them too.
    var keptStatements = KeptStatements.unread
    /// The schema of this start, which is that of the former life's end.
    var firstSchema: SchemaSnapshot?
    /// What other shards were told last.
    var announcedLive: [HostID] = []

    init(_ start: ShardStart, clock: ClockReading) throws(ShardStartFailure) {
        random = RandomStream(seed: start.randomSeed, name: "node control of \(start.host)")
        do {
            log = try MetadataLog(
                loading: start.metadata, host: start.host, incarnation: start.incarnation,
                random: RandomStream(seed: start.randomSeed, name: "metadata log of \(start.host)"))
        } catch {
            throw ShardStartFailure("the metadata log in the store cannot be used: \(error.reason)")
        }
        membership = ClusterMembership(
            own: EndpointState(
                host: start.host, generation: start.incarnation.value, heartbeat: 0,
                clientAddress: start.clientAddress, peerAddress: start.peerAddress,
                epoch: log.installed?.epoch ?? 0, isReady: log.installed != nil, load: 0),
            settings: start.configuration.membership,
            random: RandomStream(seed: start.randomSeed, name: "gossip of \(start.host)"),
            now: clock.monotonic)
        shardLoads = Array(repeating: 0, count: start.shardCount)
        shardEpochs = Array(repeating: log.installed?.epoch ?? 0, count: start.shardCount)
        clockBound = start.clock.latest
        nextClockCheck = clock.monotonic
        settleDeadline = clock.monotonic + start.configuration.membership.settleTime
    }

    var nextWake: Instant? {
        [
            log.deadline, membership.deadline, nextClockCheck, settleDeadline,
            agreed.map(\.deadline).min(),
        ].compactMap { $0 }.min()
    }
}
