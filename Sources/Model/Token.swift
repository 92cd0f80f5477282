// Where a partition lies on the ring: the Murmur3 hash of its key, as Cassandra computes it.

internal import Encoding

/// A position on the ring: one of 2^64 places. `Int64.min` is the place before all keys: no key
/// hashes to it, so it serves as the open start of a range that begins at the ring's origin. `public`, because a
/// request compares some dozen of them and only that is inlined into other modules.
public struct Token: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// Where it is, from the smallest integer to the largest.
    public let value: Int64

    /// The place of that number.
    @inlinable
    public init(_ value: Int64) { self.value = value }

    /// Before every key's token.
    package static let minimum = Token(.min)
    /// The last place of the ring.
    package static let maximum = Token(.max)

    /// The token of a serialized partition key.
    package static func of(_ partitionKey: UnsafeRawBufferPointer) -> Token {
        Token(Murmur3.cassandraToken(partitionKey))
    }

    /// The token of a serialized partition key.
    package static func of(_ partitionKey: [UInt8]) -> Token {
        partitionKey.withUnsafeBytes { of($0) }
    }

    /// Whether both are the same place.
    @inlinable
    public static func == (left: Token, right: Token) -> Bool { left.value == right.value }

    /// Whether the left one comes first, from the ring's origin on.
    @inlinable
    public static func < (left: Token, right: Token) -> Bool { left.value < right.value }

    /// The decimal form, as drivers and the system tables have it.
    public var description: String { String(value) }
}

/// A stretch of the ring: `start` itself is outside, `end` inside. It may wrap over the ring's
/// origin; with `start == end` it is the whole ring.
package struct TokenRange: Hashable, Sendable, CustomStringConvertible {
    package let start: Token
    package let end: Token

    @inlinable
    package init(start: Token, end: Token) {
        self.start = start
        self.end = end
    }

    /// All tokens.
    package static let wholeRing = TokenRange(start: .minimum, end: .minimum)

    /// Whether the range goes over the ring's origin (the whole ring counts as such).
    @inlinable
    package var wraps: Bool { start >= end }

    @inlinable
    package func contains(_ token: Token) -> Bool {
        if start < end { return token > start && token <= end }
        return token > start || token <= end
    }

    /// The same tokens as ranges that do not wrap, by rising start. A range that ends at the last
    /// place of the ring is written with `Token.maximum` as its end.
    package var unwrapped: [TokenRange] {
        guard wraps else { return [self] }
        var parts: [TokenRange] = []
        if end > .minimum { parts.append(TokenRange(start: .minimum, end: end)) }
        if start < .maximum { parts.append(TokenRange(start: start, end: .maximum)) }
        return parts
    }

    package var description: String { "(\(start), \(end)]" }
}
