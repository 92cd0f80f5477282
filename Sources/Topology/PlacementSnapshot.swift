// The topology at one epoch of the metadata log: all nodes, the ring, and each keyspace's
// placement. A request keeps the snapshot that it was planned with to its end.

package import Environment
internal import Model

/// The nodes and who holds what, at one epoch. Immutable and shared.
package final class PlacementSnapshot: Sendable {
    package let epoch: UInt64
    /// Sorted by host id; a `NodeIndex` is a position here.
    package let nodes: [NodeDescription]
    package let ring: TokenRing
    /// Sorted by name.
    package let datacenters: [String]
    /// By node index: the position of its datacenter in `datacenters`.
    package let datacenterOfNode: [Int]

    private let placements: [String: Placement]
    private let indexes: [HostID: NodeIndex]

    /// Computes the placement of each keyspace. `nodes` may come in any order, each host once.
    package init(
        epoch: UInt64, nodes: [NodeDescription],
        keyspaces: [(name: String, strategy: ReplicationStrategy)]
    ) {
        precondition(nodes.count <= NodeIndex.maximumCount)
        let nodes = nodes.sorted { $0.hostID < $1.hostID }
        let datacenters = Set(nodes.map(\.datacenter)).sorted()
        let racks = Set(nodes.map(\.rack)).sorted()
        let sites = nodes.map { node in
            Site(
                datacenter: datacenters.firstIndex(of: node.datacenter) ?? 0,
                rack: racks.firstIndex(of: node.rack) ?? 0)
        }
        self.epoch = epoch
        self.nodes = nodes
        self.datacenters = datacenters
        datacenterOfNode = sites.map(\.datacenter)
        let ring = TokenRing(tokensOfNodes: nodes.map(\.tokens))
        self.ring = ring
        indexes = Dictionary(
            uniqueKeysWithValues: nodes.enumerated().map { ($1.hostID, NodeIndex($0)) })
        var byStrategy: [ReplicationStrategy: Placement] = [:]
        var placements: [String: Placement] = [:]
        for (name, strategy) in keyspaces {
            let placement =
                byStrategy[strategy]
                ?? Placement(
                    strategy: strategy, ring: ring, sites: sites, datacenters: datacenters)
            byStrategy[strategy] = placement
            placements[name] = placement
        }
        self.placements = placements
    }

    /// The placement of a keyspace; callers on the request path keep it rather than ask again.
    package func placement(of keyspace: String) -> Placement? { placements[keyspace] }

    package func index(of host: HostID) -> NodeIndex? { indexes[host] }
    package func node(_ host: HostID) -> NodeDescription? {
        indexes[host].map { nodes[$0.index] }
    }
    @inlinable
    package func host(at index: NodeIndex) -> HostID { nodes[index.index].hostID }
    @inlinable
    package func datacenter(of index: NodeIndex) -> Int { datacenterOfNode[index.index] }
    /// The index of a datacenter's name.
    package func datacenterIndex(_ name: String) -> Int? { datacenters.firstIndex(of: name) }
}
