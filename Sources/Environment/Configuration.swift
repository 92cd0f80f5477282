// Every interval, size and limit of a node. A room receives the piece that concerns it. The names of
// the settings are Cassandra's where it has them, so that its guides work here.

/// The whole configuration of a node.
package struct Configuration: Equatable, Sendable {
    package var cluster = Cluster()
    package var storage = Storage()
    package var requests = Requests()
    package var membership = Membership()
    package var clients = Clients()

    package init() {}

    package struct Cluster: Equatable, Sendable {
        package var name = "Coterie"
        package var datacenter = "datacenter1"
        package var rack = "rack1"
        package var virtualNodes = 16
        package init() {}
    }

    package enum CommitLogSync: String, Equatable, Sendable { case periodic, batch, group }

    package struct Storage: Equatable, Sendable {
        /// When acknowledged writes are synced: on a timer, or before they are answered.
        package var commitLogSync = CommitLogSync.periodic
        package var commitLogSyncPeriod = Instant.Span.seconds(10)
        package var commitLogSyncGroupWindow = Instant.Span.milliseconds(15)
        package var commitLogSegmentBytes = 32 << 20
        /// Of one shard. It bounds how much a start has to replay.
        package var commitLogTotalBytes = 128 << 20
        /// All memtables of one shard together; half of it in one table makes that one flush.
        package var memtableBytes = 256 << 20
        package var blockBytes = 16 << 10
        /// Of one shard; it fills as blocks are read.
        package var blockCacheBytes = 256 << 20
        package var compactionThroughputBytesPerSecond = 64 << 20
        package var concurrentCompactors = 1
        package var jobStepBytes = 1 << 20
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
        package var maximumFrameBytes = 256 << 20
        package var maximumPreparedStatements = 10_000
        /// Unsent response bytes of a connection above which it is no longer read from.
        package var pauseReadingAboveBytes = 1 << 20
        package init() {}
    }
}
