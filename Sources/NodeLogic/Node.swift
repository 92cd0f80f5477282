// A node: S shards that share a folder of files, a metadata store, a hybrid clock and an identity. What
// is done once for all shards at a start stands here; both worlds call it, in this order:
//
//     1. load the metadata image
//     2. `begin`      a new incarnation, and host id and shard layout if there are none: commit them
//     3. `prepare`    refuses a node that was away for too long; with another number of shards than before: rewrites the layout; commit that
//     4. `finish`     removes the files of the old layout
//     5. `makeClock`, then one `Shard` for each index

internal import Encoding
package import Environment
internal import Model
internal import Storage
internal import Topology

/// What a node's start does for all its shards.
package enum Node {
    private static let hostName = "host_id"
    private static let generationName = "generation"
    private static let clockBoundName = "hybrid_clock_bound"
    private static let layoutName = "shard_layout"
    private static let bootName = "machine_boot"

    /// Who the node is in this life.
    package struct Identity: Equatable, Sendable {
        package let host: HostID
        package let incarnation: Incarnation
        /// The machine has not been started anew since the life before: what that life gave to the
        /// kernel is all there, synced or not.
        let isSameBoot: Bool
        /// To be committed before any shard is made.
        package let batch: MetadataBatch
    }

    /// A new incarnation. `newHost` is used if the store knows no host id yet; `boot` names this run of
    /// the machine's kernel, empty if that is not known.
    package static func begin(
        _ image: MetadataImage, newHost: HostID, boot: String
    ) throws(ShardStartFailure) -> Identity {
        var host = newHost
        if let text = image.local[hostName] {
            guard let id = UniqueID(text) else {
                throw ShardStartFailure("the metadata store's host_id is no UUID: \(text)")
            }
            host = HostID(id)
        }
        let generation = (image.local[generationName].flatMap(UInt32.init) ?? 0) + 1
        return Identity(
            host: host, incarnation: Incarnation(generation),
            isSameBoot: !boot.isEmpty && image.local[bootName] == boot,
            batch: MetadataBatch([
                .setLocal(hostName, host.description),
                .setLocal(generationName, String(generation)), .setLocal(bootName, boot),
            ]))
    }

    /// How the node's files are divided among shards: the how-manieth division, and among how many.
    package struct Layout: Equatable, Sendable {
        package let generation: Int
        package let shardCount: Int

        /// The beginning of a shard's file names.
        package func filePrefix(_ shard: ShardIndex) -> String { "g\(generation)s\(shard.value)-" }

        var text: String { "\(generation):\(shardCount)" }

        init(generation: Int, shardCount: Int) {
            self.generation = generation
            self.shardCount = shardCount
        }

        init?(_ text: String) {
            let parts = text.split(separator: ":").compactMap { Int($0) }
            guard parts.count == 2, parts[1] > 0 else { return nil }
            self.init(generation: parts[0], shardCount: parts[1])
        }
    }

    /// The layout of this start.
    package struct Preparation: Sendable {
        package let layout: Layout
        /// To be committed before any shard is made.
        package let batch: MetadataBatch
        let former: Layout?
    }

    /// Makes the files ready for `shardCount` shards. A changed count replays the former shards' logs
    /// and gives each new shard the SSTables that overlap its slice.
    package static func prepare(
        _ image: MetadataImage, shardCount: Int, configuration: Configuration,
        incarnation: Incarnation, files: any FileSystem, clock: ClockReading
    ) throws(ShardStartFailure) -> Preparation {
        precondition(shardCount > 0)
        try checkResurrection(
            image, configuration: configuration, files: files, wall: clock.wall)
        guard let text = image.local[layoutName] else {
            let layout = Layout(generation: 1, shardCount: shardCount)
            return Preparation(
                layout: layout, batch: MetadataBatch([.setLocal(layoutName, layout.text)]),
                former: nil)
        }
        guard let former = Layout(text) else {
            throw ShardStartFailure("the metadata store's shard_layout is malformed: \(text)")
        }
        guard former.shardCount != shardCount else {
            return Preparation(layout: former, batch: MetadataBatch([]), former: nil)
        }
        let layout = Layout(generation: former.generation + 1, shardCount: shardCount)
        let schema = try ClusterView(loading: image, host: HostID(.zero)).schema
        let old = (0..<former.shardCount).map { shard in
            Resharding.ShardFiles(
                prefix: former.filePrefix(ShardIndex(shard)),
                slice: slice(shard, of: former.shardCount),
                truncations: truncations(image, shard: shard))
        }
        let new = (0..<shardCount).map { shard in
            Resharding.ShardFiles(
                prefix: layout.filePrefix(ShardIndex(shard)), slice: slice(shard, of: shardCount))
        }
        do {
            try Resharding.reshard(
                from: old, to: new, configuration: configuration.storage, schema: schema,
                incarnation: incarnation, files: files, clock: clock)
        } catch {
            throw ShardStartFailure(
                "cannot divide the data of \(former.shardCount) shards among \(shardCount): \(error)"
            )
        }
        // Positions of the former logs mean nothing in the new ones.
        let forgotten = image.truncations.sorted { $0.key.shard < $1.key.shard }.map { key, old in
            MetadataChange.putTruncation(
                table: key.table, shard: key.shard, microseconds: old.microseconds,
                position: LogPosition.zero.description)
        }
        return Preparation(
            layout: layout, batch: MetadataBatch([.setLocal(layoutName, layout.text)] + forgotten),
            former: former)
    }

    /// Refuses the start of a node that was away for longer than its peers keep deletions.
    private static func checkResurrection(
        _ image: MetadataImage, configuration: Configuration, files: any FileSystem, wall: WallTime
    ) throws(ShardStartFailure) {
        guard configuration.storage.checkDataResurrection,
            let bound = image.local[clockBoundName].flatMap(Int64.init)
        else { return }
        let filed = try filedClockBound(files).map { $0 - ClockBoundFile.ahead } ?? 0
        try ResurrectionCheck.check(
            schema: try ClusterView(loading: image, host: HostID(.zero)).schema,
            lastAlive: max(bound - clockBoundAhead, filed), now: wall)
    }

    private static func filedClockBound(
        _ files: any FileSystem
    ) throws(ShardStartFailure) -> Int64? {
        do { return try ClockBoundFile.latestBound(files: files) } catch {
            throw ShardStartFailure("cannot read how far the clock was: \(error)")
        }
    }

    /// Removes what an earlier layout left, once the new one is committed.
    package static func finish(
        _ preparation: Preparation, files: any FileSystem
    ) throws(ShardStartFailure) {
        let current = "g\(preparation.layout.generation)s"
        do {
            var removed = false
            for name in try files.list()
            where name.text.first == "g" && !name.text.hasPrefix(current) {
                guard name.text.dropFirst().first?.isNumber ?? false else { continue }
                try files.remove(name)
                removed = true
            }
            if removed { try files.syncFolder() }
        } catch {
            throw ShardStartFailure("cannot remove files of a former shard layout: \(error)")
        }
    }

    /// How far the committed bound lies ahead of what the clock had given out when it was committed.
    static let clockBoundAhead: Int64 = 30_000_000

    /// The node's clock, later than everything that left the node in former lives.
    ///
    /// After a kill the shards' bound files are whole, and no more than 100 ms later than what was given
    /// out (`ClockBoundFile`). After a power loss, or with a file that is damaged, the committed bound
    /// decides: a wall clock that has passed it is later than all; one that has not was set back, or
    /// the machine was up again within half a minute, and the clock begins at the bound itself. Then
    /// this node is up to that far ahead of peers, who take in no such stamps until they catch up.
    package static func makeClock(
        _ image: MetadataImage, identity: Identity, files: any FileSystem,
        configuration: Configuration, wall: WallTime
    ) throws(ShardStartFailure) -> HybridClock {
        let filed = try filedClockBound(files)
        let committed = image.local[clockBoundName].flatMap(Int64.init) ?? 0
        let bound: Int64
        if identity.isSameBoot, let filed {
            bound = filed
        } else {
            bound = max(filed ?? 0, wall.microseconds >= committed ? 0 : committed)
        }
        return HybridClock(
            bound: WallTime(microseconds: bound),
            maximumAhead: configuration.requests.maximumClockSkew)
    }

    /// Keeps the clock's upper bound.
    static func clockBound(_ microseconds: Int64) -> MetadataChange {
        .setLocal(clockBoundName, String(microseconds))
    }

    static func slice(_ shard: Int, of count: Int) -> ClosedRange<Int64> {
        let index = ShardIndex(shard)
        return ShardMap.firstToken(of: index, count: count)
            .value...ShardMap.lastToken(
                of: index, count: count
            ).value
    }

    private static func truncations(
        _ image: MetadataImage, shard: Int
    ) -> [TableID: LogPosition] {
        var positions: [TableID: LogPosition] = [:]
        for (key, truncation) in image.truncations where key.shard == shard {
            positions[TableID(key.table)] = LogPosition(truncation.position)
        }
        return positions
    }

    static func hintStart(_ start: ShardStart, effectIDs: EffectIDs) -> HintStoreStart {
        HintStoreStart(
            // Hints outlive a change of the layout: they belong to the node's shard of that index.
            prefix: "h\(start.index.value)-",
            maximumBytesPerHost: start.configuration.requests.maximumHintBytesPerHost,
            effectIDs: effectIDs)
    }

    static func storageStart(
        _ start: ShardStart, schema: SchemaSnapshot, effectIDs: EffectIDs
    ) -> StorageStart {
        // The setting is the node's; its shards share it.
        var configuration = start.configuration.storage
        let throughput = configuration.compactionThroughputBytesPerSecond
        if throughput > 0 {
            configuration.compactionThroughputBytesPerSecond = max(
                1, throughput / max(1, start.shardCount))
        }
        return StorageStart(
            configuration: configuration, prefix: start.filePrefix,
            slice: slice(start.index.value, of: start.shardCount), schema: schema,
            incarnation: start.incarnation,
            truncations: truncations(start.metadata, shard: start.index.value),
            effectIDs: effectIDs)
    }
}
