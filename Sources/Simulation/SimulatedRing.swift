// A simulated world whose nodes are real ones: `Shard` machines, born as one cluster.

internal import Encoding
internal import Environment
package import NodeLogic
internal import PeerProtocol

extension Shard: ShardMachine {}

/// Makes worlds of real nodes.
package enum SimulatedRing {
    /// A world of that many dead nodes, which hold entry 0 of their cluster's metadata log.
    package static func makeWorld(_ settings: WorldSettings) -> SimulatedWorld {
        var settings = settings
        settings.network.route = { PeerRouting.shard(of: $0, shardCount: $1).value }
        let hosts = SimulatedWorld.hosts(seed: settings.seed, count: settings.nodeCount)
        let birth = founding(settings, hosts: hosts)
        let metadata = hosts.map { host in
            var image = MetadataImage()
            image.apply(birth)
            image.apply(MetadataBatch([.setLocal("host_id", host.description)]))
            return image
        }
        return SimulatedWorld(settings, hosts: hosts, metadata: metadata, start: start)
    }

    private static func founding(_ settings: WorldSettings, hosts: [HostID]) -> MetadataBatch {
        let cluster = settings.configuration.cluster
        var stream = RandomStream(seed: settings.seed, name: "founding")
        let members = hosts.indices.map { index in
            ClusterBirth.Member(
                host: hosts[index], clientAddress: SimulatedNode.clientAddress(index),
                peerAddress: SimulatedNode.peerAddress(index),
                datacenter: settings.datacenters?[index] ?? cluster.datacenter,
                rack: cluster.rack, shardCount: settings.shardCount(ofNode: index))
        }
        do {
            return try ClusterBirth.batch(
                of: members, name: cluster.name, virtualNodes: cluster.virtualNodes,
                clusterID: stream.uniqueID(), seed: stream.next(),
                time: WallTime(microseconds: SimulatedClock.epochMicroseconds))
        } catch {
            preconditionFailure("a simulated cluster cannot be founded: \(error)")
        }
    }

    /// The start of a node, in the order that `Node` asks for.
    private static func start(
        _ launch: NodeLaunch, _ store: SimulatedMetadataStore, _ files: any FileSystem,
        _ clock: ClockReading, _ outboxes: [Outbox]
    ) throws(LaunchFailure) -> NodeBirth {
        do throws(ShardStartFailure) {
            let identity = try Node.begin(store.image, newHost: launch.host, boot: launch.boot)
            store.commit(identity.batch)
            let preparation = try Node.prepare(
                store.image, shardCount: launch.shardCount, configuration: launch.configuration,
                incarnation: identity.incarnation, files: files, clock: clock)
            store.commit(preparation.batch)
            try Node.finish(preparation, files: files)
            let image = store.image
            let hybridClock = try Node.makeClock(
                image, identity: identity, files: files, configuration: launch.configuration,
                wall: clock.wall)
            var machines: [any ShardMachine] = []
            for index in 0..<launch.shardCount {
                let shard = ShardIndex(index)
                let start = ShardStart(
                    index: shard, shardCount: launch.shardCount,
                    configuration: launch.configuration, host: identity.host,
                    incarnation: identity.incarnation, metadata: image,
                    clientAddress: launch.clientAddress, peerAddress: launch.peerAddress,
                    randomSeed: launch.randomSeed, clock: hybridClock,
                    filePrefix: preparation.layout.filePrefix(shard), observer: launch.observer)
                machines.append(
                    try Shard(start, files: files, clock: clock, outbox: outboxes[index]))
            }
            return NodeBirth(incarnation: identity.incarnation, machines: machines)
        } catch {
            throw LaunchFailure(error.description)
        }
    }

    /// The class of a message between nodes: 0 for mutations on their way to a replica, 1 for all
    /// else; for delay models that know writes from the rest. The kind is the third byte.
    @Sendable
    package static func isMutation(_ message: UnsafeRawBufferPointer) -> Int {
        message.count > 2 && message[2] == PeerMessageKind.mutation.rawValue ? 0 : 1
    }
}
