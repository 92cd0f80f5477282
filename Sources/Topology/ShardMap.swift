// Which shard of a node serves a token: shard s of S owns the s-th of S equal, contiguous slices of
// the whole token space. The function is part of the formats (files name slices by it), so it never
// changes.

package import Environment
package import Model

/// The shard function `f(token, S)`.
package enum ShardMap {
    /// The shard of a token among `count` shards.
    @inlinable
    package static func shard(of token: Token, count: Int) -> ShardIndex {
        precondition(count > 0)
        let biased = UInt64(bitPattern: token.value) ^ (1 << 63)
        return ShardIndex(Int(biased.multipliedFullWidth(by: UInt64(count)).high))
    }

    /// The smallest token of that shard.
    package static func firstToken(of shard: ShardIndex, count: Int) -> Token {
        precondition(count > 0 && shard.value >= 0 && shard.value < count)
        if shard.value == 0 { return .minimum }
        // The smallest x with floor(x * count / 2^64) = shard is ceil(shard * 2^64 / count).
        let divided = UInt64(count).dividingFullWidth((high: UInt64(shard.value), low: 0))
        let biased = divided.quotient + (divided.remainder > 0 ? 1 : 0)
        return Token(Int64(bitPattern: biased ^ (1 << 63)))
    }

    /// The largest token of that shard.
    package static func lastToken(of shard: ShardIndex, count: Int) -> Token {
        if shard.value == count - 1 { return .maximum }
        return Token(firstToken(of: ShardIndex(shard.value + 1), count: count).value - 1)
    }

    /// The tokens of that shard, both ends inside.
    package static func slice(of shard: ShardIndex, count: Int) -> ClosedRange<Token> {
        firstToken(of: shard, count: count)...lastToken(of: shard, count: count)
    }
}
