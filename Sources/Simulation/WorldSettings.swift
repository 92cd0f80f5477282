// What a simulated world is like: how many nodes, how slow its links and disks, how it misbehaves.
// All chances are parts per million, all times are nanoseconds of virtual time.

package import Environment

/// The properties of a simulated world, apart from its faults.
package struct WorldSettings: Sendable {
    package var seed: UInt64
    package var nodeCount = 3
    /// Shards of each node; nil: one to three by the seed.
    package var shardCounts: [Int]?
    /// The datacenter of each node; nil: that of the configuration.
    package var datacenters: [String]?
    package var configuration: Configuration
    package var network = Network()
    package var disk = Disk()
    package var clients = Clients()
    /// Of each node; missing ones run true.
    package var clocks: [SimulatedClock] = []
    /// Drawn from a stream of its shard for each step: how long the shard is busy.
    package var stepCost = DelayModel.constant(nanoseconds: 0)
    /// To another shard of the node.
    package var mailboxDelay = DelayModel.uniform(500...5_000)
    /// Chance that a completion of a life that has ended reaches the next one.
    package var lateCompletionChance: UInt64 = 100_000

    package init(seed: UInt64, configuration: Configuration) {
        self.seed = seed
        self.configuration = configuration
    }

    /// The number of shards that the node is started with first.
    package func shardCount(ofNode node: Int) -> Int {
        if let shardCounts { return shardCounts[node] }
        var stream = RandomStream(seed: seed, name: "shards of node \(node)")
        return Int(stream.within(1...3))
    }

    package struct Network: Sendable {
        /// One-way delays by message class.
        package var delays: [DelayModel] = [.uniform(100_000...1_000_000)]
        /// The class of a message, an index into `delays`.
        package var classify: @Sendable (UnsafeRawBufferPointer) -> Int = { _ in 0 }
        package var lossChance: UInt64 = 0
        package var duplicateChance: UInt64 = 0
        /// Chance of an additional delay, so that later messages overtake.
        package var straggleChance: UInt64 = 0
        package var straggle = DelayModel.uniform(1_000_000...50_000_000)
        /// The shard of the receiving node that a message goes to; nil: the one that serves the
        /// link.
        package var route: (@Sendable (UnsafeRawBufferPointer, _ shardCount: Int) -> Int)?
        /// Messages under way on one link above which it drops.
        package var capacity = 10_000
        /// How long until an end notices that the other is gone.
        package var detection = DelayModel.uniform(20_000_000...500_000_000)
        /// Chance that a cut link is never noticed.
        package var unnoticedChance: UInt64 = 250_000
        package var connect = DelayModel.uniform(200_000...2_000_000)
        /// Chance that a message sent to a former life of a node reaches the next one.
        package var staleArrivalChance: UInt64 = 100_000
    }

    package struct Disk: Sendable {
        package var append = DelayModel.uniform(1_000...20_000)
        package var sync = DelayModel.uniform(100_000...3_000_000)
        package var read = DelayModel.uniform(20_000...300_000)
        /// A job step's delay before its bytes are counted.
        package var jobStep = DelayModel.uniform(5_000...100_000)
        package var nanosecondsPerByte: Int64 = 2
        package var metadataCommit = DelayModel.uniform(200_000...3_000_000)
    }

    package struct Clients: Sendable {
        package var delay = DelayModel.uniform(20_000...100_000)
        /// Chance that a stretch of bytes is split in two on its way.
        package var splitChance: UInt64 = 100_000
        /// Chance that bytes wait a little and are joined with what follows.
        package var joinChance: UInt64 = 100_000
        package var join = DelayModel.uniform(1_000...50_000)
    }
}

extension Configuration {
    /// A node's configuration with all sizes and intervals shrunk together, and with rare paths
    /// made common, as the seed says.
    package static func simulation(seed: UInt64) -> Configuration {
        var stream = RandomStream(seed: seed, name: "configuration")
        var configuration = Configuration()
        configuration.cluster.name = "Simulation"
        configuration.cluster.virtualNodes = Int(stream.within(1...8))

        configuration.storage.commitLogSync = .periodic
        configuration.storage.commitLogSyncPeriod = .milliseconds(stream.within(50...1_000))
        configuration.storage.commitLogSyncGroupWindow = .milliseconds(stream.within(1...20))
        configuration.storage.commitLogSegmentBytes = (16 << 10) << Int(stream.below(4))
        configuration.storage.maximumMutationBytes = 1 << 20
        configuration.storage.commitLogTotalBytes = 1 << 20
        configuration.storage.memtableBytes = (64 << 10) << Int(stream.below(4))
        configuration.storage.blockBytes = 512 << Int(stream.below(4))
        configuration.storage.blockCacheBytes = (4 << 10) << Int(stream.below(8))
        configuration.storage.compactionThroughputBytesPerSecond = 8 << 20
        configuration.storage.jobStepBytes = (1 << 10) << Int(stream.below(6))

        configuration.requests.readTimeout = .milliseconds(stream.within(300...600))
        configuration.requests.rangeTimeout = .milliseconds(stream.within(600...1_000))
        configuration.requests.writeTimeout = .milliseconds(stream.within(200...400))
        configuration.requests.truncateTimeout = .seconds(5)
        configuration.requests.conditionalTimeout = .milliseconds(600)
        configuration.requests.batchlogReplayInterval = .seconds(1)
        configuration.requests.schemaTimeout = .seconds(3)
        configuration.requests.hintFlushPeriod = .milliseconds(stream.within(10...200))
        configuration.requests.hintReplayInterval = .milliseconds(stream.within(1_000...2_000))
        configuration.requests.hintReplayBatch = Int(stream.within(1...64))

        configuration.membership.gossipInterval = .seconds(1)
        configuration.membership.reconnectDelay = .milliseconds(stream.within(10...200))
        configuration.clients.maximumFrameBytes = 1 << 20
        configuration.clients.pauseReadingAboveBytes = (4 << 10) << Int(stream.below(6))
        return configuration
    }
}
