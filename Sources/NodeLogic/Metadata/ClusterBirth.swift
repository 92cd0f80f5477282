// How a cluster begins: entry 0 of the metadata log, made once and put into the empty stores of all its
// first nodes. Nothing else founds a cluster; an empty node without it waits.

package import Encoding
package import Environment
internal import Model
internal import Topology

/// Founds clusters.
package enum ClusterBirth {
    /// One of the first nodes.
    package struct Member: Equatable, Sendable {
        package let host: HostID
        package let clientAddress: SocketAddress
        package let peerAddress: SocketAddress
        package let datacenter: String
        package let rack: String
        package let shardCount: Int

        package init(
            host: HostID, clientAddress: SocketAddress, peerAddress: SocketAddress,
            datacenter: String, rack: String, shardCount: Int
        ) {
            self.host = host
            self.clientAddress = clientAddress
            self.peerAddress = peerAddress
            self.datacenter = datacenter
            self.rack = rack
            self.shardCount = shardCount
        }
    }

    /// The batch to commit into the store of every member. Tokens are dealt evenly; the first one,
    /// three or five members, taken over the racks in turn, are the voters.
    package static func batch(
        of members: [Member], name: String, virtualNodes: Int, clusterID: UniqueID, seed: UInt64,
        time: WallTime
    ) throws(InvalidEntry) -> MetadataBatch {
        let tokens = TokenAllocation.tokens(
            for: members.map { .init(datacenter: $0.datacenter, rack: $0.rack) },
            virtualNodes: virtualNodes, seed: seed)
        let nodes = zip(members, tokens).map { member, tokens in
            NodeDescription(
                hostID: member.host, clientAddress: member.clientAddress,
                peerAddress: member.peerAddress, datacenter: member.datacenter, rack: member.rack,
                tokens: tokens, shardCount: member.shardCount)
        }
        return try MetadataLog.initialise(
            clusterID: clusterID, name: name, voters: voters(of: members), nodes: nodes, time: time)
    }

    private static func voters(of members: [Member]) -> [HostID] {
        let count = members.count >= 5 ? 5 : members.count >= 3 ? 3 : 1
        var racks: [String: [HostID]] = [:]
        for member in members {
            racks["\(member.datacenter)/\(member.rack)", default: []].append(member.host)
        }
        let columns = racks.keys.sorted().map { racks[$0] ?? [] }
        var chosen: [HostID] = []
        var row = 0
        while chosen.count < min(count, members.count) {
            for column in columns where row < column.count && chosen.count < count {
                chosen.append(column[row])
            }
            row += 1
        }
        return chosen
    }
}
