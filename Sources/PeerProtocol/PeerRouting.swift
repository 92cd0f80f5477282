// Which shard of the receiving node a message goes to, from its fixed header alone: the world asks
// this for each message before any shard has seen it.

package import Environment
internal import Model
internal import Topology

/// Sends whole messages to shards.
package enum PeerRouting {
    /// Requests for a key go by its token, responses to the shard that asked, all else to shard 0.
    /// What is too short or of an unknown kind goes to shard 0 too, which reports it.
    package static func shard(of message: UnsafeRawBufferPointer, shardCount: Int) -> ShardIndex {
        let first = ShardIndex(0)
        guard shardCount > 1, message.count >= PeerEnvelope.headerBytes,
            let kind = PeerMessageKind(rawValue: message[2])
        else { return first }
        switch kind.route {
        case .control: return first
        case .token:
            let token = Int64(
                littleEndian: message.loadUnaligned(fromByteOffset: 56, as: Int64.self))
            return ShardMap.shard(of: Token(token), count: shardCount)
        case .shard:
            let target = UInt16(
                littleEndian: message.loadUnaligned(fromByteOffset: 54, as: UInt16.self))
            // The node may have been restarted with fewer shards; whoever asked is gone then.
            return Int(target) < shardCount ? ShardIndex(Int(target)) : first
        }
    }
}
