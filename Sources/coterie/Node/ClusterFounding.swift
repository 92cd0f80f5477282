// Founding a cluster of nodes whose folders are on this machine: `node --initialise` and `ring up`.

internal import Encoding
internal import Environment
internal import NodeLogic
internal import Server

/// Writes the birth of a cluster into the folders of its first nodes.
enum ClusterFounding {
    /// The folders must belong to no cluster yet. A crash half-way leaves folders that are refused the
    /// next time; they hold no data yet.
    static func found(ofNodes nodes: [NodeOptions]) throws {
        var generator = SystemRandomNumberGenerator()
        let members = try nodes.map { node in
            ClusterBirth.Member(
                host: try NodeIdentity.hostID(ofFolder: node.dataFolder),
                clientAddress: SocketAddress(address: node.address, port: node.clientPort),
                peerAddress: SocketAddress(address: node.address, port: node.peerPort),
                datacenter: node.configuration.cluster.datacenter,
                rack: node.configuration.cluster.rack, shardCount: node.shardCount)
        }
        guard let settings = nodes.first?.configuration.cluster else { return }
        let batch = try ClusterBirth.batch(
            of: members, name: settings.name, virtualNodes: settings.virtualNodes,
            clusterID: UniqueID(randomHigh: generator.next(), low: generator.next()),
            seed: generator.next(), time: NodeServer.wallTime())
        for node in nodes { try NodeIdentity.initialise(folder: node.dataFolder, batch) }
    }
}
