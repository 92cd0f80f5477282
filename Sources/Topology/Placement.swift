// Who holds which keys of a keyspace, computed once for each snapshot: one replica list for each
// virtual node's range, laid out flat.
//
// Cost: a lookup is the ring's binary search, unless there is one node, and a slice of an array; nothing is allocated.
// Building walks the ring once from each virtual node, until enough replicas are found.
//
// Invariant: all ranges of one placement have equally many replicas (a strategy takes what is
// configured, or all nodes there are where that is fewer), so that the list of position p begins at
// p x stride.

package import Model

/// The replicas of one keyspace. Immutable and shared.
package final class Placement: Sendable {
    package let strategy: ReplicationStrategy
    package let ring: TokenRing
    /// The configured replicas of all datacenters together; there may be fewer nodes.
    package let replicationFactor: Int
    /// The configured replicas by the snapshot's datacenter index (SimpleStrategy: 0, it knows
    /// none).
    package let datacenterFactors: [Int]
    /// How many replicas each range really has.
    @usableFromInline let stride: Int
    @usableFromInline let replicas: [NodeIndex]
    /// Whether all ranges have the same list: in a ring of one node.
    @usableFromInline let isUniform: Bool

    /// Places a keyspace. `datacenters` are the names behind `Site.datacenter`.
    init(strategy: ReplicationStrategy, ring: TokenRing, sites: [Site], datacenters: [String]) {
        self.strategy = strategy
        self.ring = ring
        replicationFactor = strategy.replicationFactor
        var lists: [[NodeIndex]] = []
        switch strategy {
        case .local:
            datacenterFactors = datacenters.map { _ in 0 }
        case .simple(let factor):
            datacenterFactors = datacenters.map { _ in 0 }
            let wanted = min(factor, Set(ring.owners).count)
            lists = ring.owners.indices.map { Self.simple(ring, from: $0, wanted) }
        case .networkTopology(let factors):
            datacenterFactors = datacenters.map { name in
                factors.first { $0.datacenter == name }?.factor ?? 0
            }
            let plan = RackPlan(ring: ring, sites: sites, factors: datacenterFactors)
            lists = ring.owners.indices.map { plan.replicas(from: $0) }
        }
        let stride = lists.first?.count ?? 0
        precondition(lists.allSatisfy { $0.count == stride }, "ranges with unequal replica counts")
        self.stride = stride
        replicas = lists.flatMap { $0 }
        isUniform = lists.allSatisfy { $0 == lists.first }
    }

    /// Whether the keyspace is every node's own; it then has no replica lists.
    package var isLocal: Bool { strategy == .local }

    /// How many replicas each range really has: the configured ones, or as many as there are nodes.
    @inlinable package var replicaCount: Int { stride }

    /// The replicas of a key by its token, in the order of the ring. Empty for a local keyspace and
    /// for an empty ring.
    @inlinable
    package func replicas(of token: Token) -> ArraySlice<NodeIndex> {
        guard stride > 0 else { return [] }
        if isUniform { return replicas[0..<stride] }
        return replicas(at: ring.position(of: token))
    }

    /// The replicas of the virtual node at that position of the ring.
    @inlinable
    package func replicas(at position: Int) -> ArraySlice<NodeIndex> {
        replicas[position * stride..<(position + 1) * stride]
    }

    /// The ranges that a node holds, by rising position; neighbours are not joined.
    package func ranges(heldBy node: NodeIndex) -> [TokenRange] {
        (0..<ring.count).filter { replicas(at: $0).contains(node) }.map { ring.range(at: $0) }
    }

    private static func simple(_ ring: TokenRing, from start: Int, _ wanted: Int) -> [NodeIndex] {
        var chosen: [NodeIndex] = []
        var step = 0
        while chosen.count < wanted, step < ring.count {
            let owner = ring.owners[(start + step) % ring.count]
            if !chosen.contains(owner) { chosen.append(owner) }
            step += 1
        }
        return chosen
    }
}

/// Where a node stands, by numbers.
struct Site {
    let datacenter: Int
    let rack: Int
}

/// NetworkTopologyStrategy's choice: along the ring, each datacenter takes a node of a rack that it
/// has not used yet; of used racks it takes at most as many nodes as it wants replicas beyond its
/// racks (Cassandra's rule since 3.0).
private struct RackPlan {
    let ring: TokenRing
    let sites: [Site]
    /// By datacenter: replicas to find, and how many of them may share a rack with another.
    let wanted: [Int]
    let repeats: [Int]

    init(ring: TokenRing, sites: [Site], factors: [Int]) {
        self.ring = ring
        self.sites = sites
        let owners = Set(ring.owners)
        var wanted: [Int] = []
        var repeats: [Int] = []
        for (datacenter, factor) in factors.enumerated() {
            let members = owners.filter { sites[$0.index].datacenter == datacenter }
            wanted.append(min(factor, members.count))
            repeats.append(factor - Set(members.map { sites[$0.index].rack }).count)
        }
        self.wanted = wanted
        self.repeats = repeats
    }

    func replicas(from start: Int) -> [NodeIndex] {
        var chosen: [NodeIndex] = []
        var left = wanted
        var repeatsLeft = repeats
        var racks = [Set<Int>](repeating: [], count: wanted.count)
        var unfinished = wanted.count { $0 > 0 }
        var step = 0
        while unfinished > 0, step < ring.count {
            let owner = ring.owners[(start + step) % ring.count]
            step += 1
            let site = sites[owner.index]
            guard left[site.datacenter] > 0, !chosen.contains(owner) else { continue }
            if !racks[site.datacenter].insert(site.rack).inserted {
                guard repeatsLeft[site.datacenter] > 0 else { continue }
                repeatsLeft[site.datacenter] -= 1
            }
            chosen.append(owner)
            left[site.datacenter] -= 1
            if left[site.datacenter] == 0 { unfinished -= 1 }
        }
        return chosen
    }
}
