// What a shard sends to and receives from each other node.

internal import Environment
internal import Model

/// Counts of messages with one node.
final class PeerTraffic {
    @exclusivity(unchecked) private(set) var sentCount = 0
    @exclusivity(unchecked) private(set) var sentBytes = 0
    @exclusivity(unchecked) private(set) var receivedCount = 0
    @exclusivity(unchecked) private(set) var receivedBytes = 0
    /// Messages that could not be read.
    var refusedCount = 0

    func sent(_ bytes: Int) {
        sentCount += 1
        sentBytes += bytes
    }

    func received(_ bytes: Int) {
        receivedCount += 1
        receivedBytes += bytes
    }
}

extension Shard {
    func traffic(with peer: HostID) -> PeerTraffic {
        if let known = peerTraffic[peer] { return known }
        let made = PeerTraffic()
        peerTraffic[peer] = made
        return made
    }
}
