// The facts that the nodes tell about the registers, with the virtual time at which they told them.

package import Environment

/// One fact of one shard.
package struct RecordedFact: Sendable {
    package let time: VirtualTime
    package let node: Int
    package let fact: Fact
}

/// An observer that keeps the facts about given tokens.
package final class FactLog: Observer {
    private unowned let world: SimulatedWorld
    private let nodes: [HostID: Int]
    /// By token, in the order in which they were told.
    package private(set) var facts: [Int64: [RecordedFact]] = [:]

    /// Keeps facts about these tokens of any table.
    package init(world: SimulatedWorld, tokens: [Int64]) {
        self.world = world
        nodes = Dictionary(uniqueKeysWithValues: world.nodes.map { ($0.host, $0.index) })
        for token in tokens { facts[token] = [] }
    }

    package func observe(_ fact: Fact, host: HostID, shard: ShardIndex, at: ClockReading) {
        guard let token = fact.token, facts[token] != nil, let node = nodes[host] else { return }
        facts[token]?.append(RecordedFact(time: world.now, node: node, fact: fact))
    }

    /// A host's number in its world.
    package func node(_ host: HostID) -> Int { nodes[host] ?? -1 }

    /// Gives each write the timestamp under which its coordinator sent it. One connection is served
    /// in order, so the k-th write of a key that a coordinator was sent is the k-th that it sent
    /// on; refused ones were not. A fact outside an operation's time breaks the order, and the
    /// operation stays without a timestamp.
    package func attributeTimestamps(_ history: inout [RegisterOperation], token: (Int) -> Int64) {
        struct Place: Hashable {
            let key: Int
            let node: Int
        }
        var sent: [Place: [Int]] = [:]
        for index in history.indices.sorted(by: { history[$0].invoked < history[$1].invoked }) {
            guard case .write = history[index].kind else { continue }
            if case .refused = history[index].outcome { continue }
            sent[Place(key: history[index].key, node: history[index].coordinator), default: []]
                .append(index)
        }
        for (place, indices) in sent {
            var stamps: [(time: VirtualTime, timestamp: Int64)] = []
            for fact in facts[token(place.key)] ?? [] where fact.node == place.node {
                if case .writeSent(_, _, let timestamp, _, _) = fact.fact {
                    stamps.append((fact.time, timestamp))
                }
            }
            var next = 0
            for index in indices {
                while next < stamps.count, stamps[next].time < history[index].invoked { next += 1 }
                guard next < stamps.count,
                    stamps[next].time <= history[index].returned ?? .distantFuture
                else { continue }
                history[index].timestamp = stamps[next].timestamp
                next += 1
            }
        }
    }
}

extension Fact {
    /// The token that the fact is about, if it is about one.
    package var token: Int64? {
        switch self {
        case .mutationApplied(_, let token, _, _), .replicaAnswered(_, let token, _, _),
            .readSent(_, let token, _, _), .writeSent(_, let token, _, _, _),
            .readAnswered(_, let token, _, _, _), .writeAcknowledged(_, let token, _, _, _),
            .requestTimedOut(_, let token, _, _, _), .hintStored(_, _, let token),
            .readRepairSent(_, _, let token, _):
            token
        case .hintDelivered, .epochInstalled, .tombstonePurged: nil
        }
    }
}
