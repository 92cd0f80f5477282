// Every interval, size and limit of a node. A room receives the piece that concerns it. The names of
// the settings are Cassandra's where it has them, so that its guides work here.

/// The whole configuration of a node.
package struct Configuration: Equatable, Sendable {
    package var cluster = Cluster()
    package var storage = Storage()
    package var requests = Requests()
    package var membership = Membership()
    package var clients = Clients()
    package var guardrails = Guardrails()
    package var authentication = Authentication()

    package init() {}

    package struct Cluster: Equatable, Sendable {
        package var name = "Coterie"
        package var datacenter = "datacenter1"
        package var rack = "rack1"
        package var virtualNodes = 16
        package init() {}
    }

    package enum CommitLogSync: String, Equatable, Sendable { case periodic, batch, group }

    /// What a start does when the commit log is damaged before a place that was known synced. (A log
    /// that cannot be written or synced ends the node whatever the policy says: what is not in the
    /// log must not be acknowledged.)
    package enum CommitFailurePolicy: String, Equatable, Sendable {
        /// The start fails, and names file and offset.
        case stop, die
        /// The node starts with what could be read and refuses writes; the damaged file stays.
        case stopCommit = "stop_commit"
        /// What could be read is used, also behind the damage.
        case ignore
    }

    /// What happens when a flush or a compaction cannot read or write. A full disk is no failure under
    /// any of them but `die`: writes are refused while it lasts, and reads go on.
    package enum DiskFailurePolicy: String, Equatable, Sendable {
        /// The node ends.
        case stop, die
        /// Serves what it can: a compaction is given up, a flush is tried again.
        case bestEffort = "best_effort"
        case ignore
    }

    /// How blocks are read; Cassandra's names. Its memory maps are not among them: a page fault would stall
    /// the shard.
    package enum DiskAccessMode: String, Equatable, Sendable, CaseIterable {
        /// Through the page cache.
        case standard
        /// Around the page cache (O_DIRECT): only the block cache holds what was read.
        case direct
    }

    package struct Storage: Equatable, Sendable {
        package var diskAccessMode = DiskAccessMode.standard
        /// When acknowledged writes are synced: on a timer, or before they are answered.
        package var commitLogSync = CommitLogSync.periodic
        package var commitLogSyncPeriod = Instant.Span.seconds(10)
        package var commitLogSyncGroupWindow = Instant.Span.milliseconds(15)
        package var commitLogSegmentBytes = 32 << 20
        package var commitFailurePolicy = CommitFailurePolicy.stop
        /// Refuse to start a node that was away for longer than its peers keep deletions.
        package var checkDataResurrection = true
        package var diskFailurePolicy = DiskFailurePolicy.stop
        /// How long what failed for want of disk space waits for its next attempt.
        package var diskRetryDelay = Instant.Span.seconds(1)
        /// How full the volume may be before clients are warned, and before writes are refused, in
        /// percent; -1: not watched.
        package var diskUsageWarnPercentage = -1
        package var diskUsageFailPercentage = -1
        package var diskUsageCheckInterval = Instant.Span.seconds(30)
        /// Larger mutations are refused; 0: half a segment.
        package var maximumMutationBytes = 0
        /// `maximumMutationBytes` with its default worked out.
        package var largestMutationBytes: Int {
            min(
                maximumMutationBytes > 0 ? maximumMutationBytes : commitLogSegmentBytes / 2,
                largestBlockBytes / 8)
        }
        /// No block of an SSTable has more before compression, however large a row is: what does not fit is
        /// refused. A memtable with large rows is flushed at a quarter of it, and a mutation has at most an
        /// eighth, so that whatever was taken can be flushed.
        package var largestBlockBytes = 1 << 30
        /// Of one shard. It bounds how much a start has to replay.
        package var commitLogTotalBytes = 128 << 20
        /// All memtables of one shard together; half of it in one table makes that one flush.
        package var memtableBytes = 256 << 20
        package var blockBytes = 16 << 10
        /// Of one shard; it fills as blocks are read.
        package var blockCacheBytes = 256 << 20
        /// Bytes that compactions of the whole node may read in a second, shared by its shards; 0 for no
        /// limit.
        package var compactionThroughputBytesPerSecond = 64 << 20
        /// Of one shard.
        package var concurrentCompactors = 1
        package var jobStepBytes = 1 << 20
        /// A table that is emptied or dropped leaves a snapshot.
        package var autoSnapshot = true
        package init() {}
    }

    package struct Requests: Equatable, Sendable {
        package var readTimeout = Instant.Span.seconds(5)
        package var rangeTimeout = Instant.Span.seconds(10)
        package var writeTimeout = Instant.Span.seconds(2)
        package var truncateTimeout = Instant.Span.seconds(60)
        package var schemaTimeout = Instant.Span.seconds(10)
        package var maximumInFlight = 32_768
        package var hintedHandoffEnabled = true
        package var maximumHintWindow = Instant.Span.seconds(3 * 3600)
        package var maximumHintBytesPerHost = 1 << 30
        package var hintFlushPeriod = Instant.Span.milliseconds(100)
        package var hintReplayInterval = Instant.Span.seconds(1)
        package var hintReplayBatch = 64
        package var maximumClockSkew = Instant.Span.milliseconds(500)
        /// How long a conditional write may contend until it is decided; its commit has the write timeout.
        package var conditionalTimeout = Instant.Span.milliseconds(1_800)
        /// After the n-th lost ballot a conditional write waits this long, doubled up to n times.
        package var conditionalBackoff = Instant.Span.milliseconds(4)
        /// How long a serial read waits for the last replica before it settles things by a proposal.
        package var conditionalLinger = Instant.Span.milliseconds(10)
        /// How often a node looks for batches that their coordinators have not finished.
        package var batchlogReplayInterval = Instant.Span.seconds(2)
        package var unloggedBatchWarnPartitions = 10
        package var batchSizeWarnBytes = 5 << 10
        package var batchSizeFailBytes = 50 << 10
        package var tombstoneWarnThreshold = 1_000
        package var tombstoneFailureThreshold = 100_000
        /// ALTER TABLE ... DROP COMPACT STORAGE.
        package var allowsDropCompactStorage = false
        /// A page ends early behind so many tombstones; 0: it never does.
        package var tombstonePageLimit = 10_000
        /// A planted fault for the checkers: one answer counts as a quorum. Never set by a server.
        package var plantedBugCountsOneAnswerAsQuorum = false
        package init() {}
    }

    package struct Membership: Equatable, Sendable {
        package var gossipInterval = Instant.Span.seconds(1)
        package var phiThreshold = 8.0
        package var reconnectDelay = Instant.Span.milliseconds(100)
        /// A node that starts lets clients in when it has heard every member, at the latest after this.
        package var settleTime = Instant.Span.seconds(2)
        package init() {}
    }

    package struct Clients: Equatable, Sendable {
        package var maximumFrameBytes = 16 << 20
        package var maximumPreparedStatements = 10_000
        /// Of the texts of prepared statements and what their plans are taken to need, in each shard.
        package var maximumPreparedBytes = 32 << 20
        /// Unsent response bytes of a connection above which it is no longer read from.
        package var pauseReadingAboveBytes = 1 << 20
        /// Bytes of requests that are not answered yet: of the whole node, shared by its shards, and of
        /// one client address on one shard.
        package var maximumRequestBytesInFlight = 256 << 20
        package var maximumRequestBytesInFlightPerAddress = 64 << 20
        package init() {}
    }

    /// What clients are warned of, and what is refused them. Nothing is but what an operator sets.
    package struct Guardrails: Equatable, Sendable {
        /// From where on clients are warned, and from where on they are refused; -1 for never.
        package struct Threshold: Equatable, Sendable {
            package var warn = -1
            package var fail = -1
            package init() {}
        }

        package var keyspaces = Threshold()
        package var tables = Threshold()
        package var columnsPerTable = Threshold()
        package var fieldsPerType = Threshold()
        package var pageSize = Threshold()
        package var partitionKeysInSelect = Threshold()
        package var cartesianProduct = Threshold()
        package var minimumReplicationFactor = Threshold()
        package var maximumReplicationFactor = Threshold()

        package var allowsFiltering = true
        package var allowsGroupBy = true
        package var allowsUserTimestamps = true
        package var allowsAlterTable = true
        package var allowsDropTruncateTable = true
        package var allowsDropKeyspace = true
        package var allowsUncompressedTables = true
        package var allowsCompactTables = true
        package var allowsListReads = true
        package var allowsSimpleStrategy = true

        package var readLevelsWarned: [String] = []
        package var readLevelsDisallowed: [String] = []
        package var writeLevelsWarned: [String] = []
        package var writeLevelsDisallowed: [String] = []
        package var tablePropertiesWarned: [String] = []
        package var tablePropertiesDisallowed: [String] = []
        package init() {}
    }
}
