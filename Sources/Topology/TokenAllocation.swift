// Tokens for a cluster that is born with all its nodes at once.
//
// Each datacenter is a ring of its own as far as NetworkTopologyStrategy is concerned, so each gets
// evenly spaced tokens, dealt out round robin: every node owns the same share, and any run of n
// neighbours holds n different nodes. Nodes are dealt in an order that alternates racks, so that
// neighbours also lie in different racks as far as the racks' sizes allow.

internal import Environment
package import Model

/// Allots the first tokens of a new cluster.
package enum TokenAllocation {
    /// A node as far as the allotment is concerned.
    package struct Place: Hashable, Sendable {
        package let datacenter: String
        package let rack: String
        package init(datacenter: String, rack: String) {
            self.datacenter = datacenter
            self.rack = rack
        }
    }

    /// The tokens of each node, in the order of `places`; equal arguments give equal tokens. The
    /// seed shifts the whole ring, so that two clusters do not cut the token space at the same
    /// places.
    package static func tokens(
        for places: [Place], virtualNodes: Int, seed: UInt64
    ) -> [[Token]] {
        precondition(virtualNodes > 0)
        var result = [[Token]](repeating: [], count: places.count)
        let datacenters = Set(places.map(\.datacenter)).sorted()
        var random = RandomStream(seed: seed, name: "token allocation")
        let shift = random.next()
        var used: Set<Int64> = []
        for (number, datacenter) in datacenters.enumerated() {
            let order = dealingOrder(places, datacenter)
            let slots = UInt64(order.count * virtualNodes)
            let width = UInt64.max / slots
            // Datacenters are interleaved inside one slot; the seed moves all of them together.
            let step = width / UInt64(datacenters.count + 1)
            let offset = shift % (step + 1) + step * UInt64(number)
            for slot in 0..<slots {
                var place = Int64(bitPattern: (slot * width + offset) ^ (1 << 63))
                // Datacenters of different sizes may meet at a place; and no key hashes to the
                // first.
                while place == .min || !used.insert(place).inserted { place &+= 1 }
                let token = Token(place)
                result[order[Int(slot) % order.count]].append(token)
            }
        }
        return result.map { $0.sorted() }
    }

    /// The nodes of a datacenter, taken from its racks in turn.
    private static func dealingOrder(_ places: [Place], _ datacenter: String) -> [Int] {
        var racks: [String: [Int]] = [:]
        for (index, place) in places.enumerated() where place.datacenter == datacenter {
            racks[place.rack, default: []].append(index)
        }
        let columns = racks.keys.sorted().map { racks[$0] ?? [] }
        let longest = columns.map(\.count).max() ?? 0
        var order: [Int] = []
        for row in 0..<longest {
            for column in columns where row < column.count { order.append(column[row]) }
        }
        return order
    }
}
