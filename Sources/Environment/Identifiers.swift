// Who is who at the seam.

package import Encoding

/// A node's identity: it stays with the data folder, whatever its address.
package struct HostID: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let value: UniqueID
    package init(_ value: UniqueID) { self.value = value }
    package static func < (left: HostID, right: HostID) -> Bool { left.value < right.value }
    package var description: String { value.description }
}

/// Which of a node's shards. Every request asks whether it is for this one: `public`, to be inlined.
public struct ShardIndex: Hashable, Comparable, Sendable {
    /// From 0 on.
    public let value: Int
    /// The shard of that number.
    @inlinable public init(_ value: Int) { self.value = value }
    /// Whether both are the same shard.
    @inlinable public static func == (left: ShardIndex, right: ShardIndex) -> Bool {
        left.value == right.value
    }
    /// Whether the left one has the smaller number.
    @inlinable public static func < (left: ShardIndex, right: ShardIndex) -> Bool {
        left.value < right.value
    }
}

/// Which life of a node: one more at each start, kept in the metadata store (gossip's generation).
package struct Incarnation: Hashable, Comparable, Sendable {
    package let value: UInt32
    @inlinable package init(_ value: UInt32) { self.value = value }
    @inlinable package static func < (left: Incarnation, right: Incarnation) -> Bool {
        left.value < right.value
    }
}

/// Names an effect whose completion comes back as an event. It carries the incarnation that asked, and
/// a completion of an earlier one is dropped.
package struct EffectID: Hashable, Sendable {
    package let incarnation: Incarnation
    package let sequence: UInt64
    @inlinable package init(incarnation: Incarnation, sequence: UInt64) {
        self.incarnation = incarnation
        self.sequence = sequence
    }
}

/// A client's connection. The world issues the numbers, unique within one life of a shard.
package struct ConnectionID: Hashable, Comparable, Sendable {
    package let value: UInt64
    @inlinable package init(_ value: UInt64) { self.value = value }
    @inlinable package static func < (left: ConnectionID, right: ConnectionID) -> Bool {
        left.value < right.value
    }
    @inlinable package static func == (left: ConnectionID, right: ConnectionID) -> Bool {
        left.value == right.value
    }

    @inlinable package func hash(into hasher: inout Hasher) { hasher.combine(value) }

    /// What a dictionary asks for: connections are counted, so spreading the numbers is enough.
    @inlinable package func _rawHashValue(seed: Int) -> Int {
        let mixed = (value ^ UInt64(bitPattern: Int64(seed))) &* 0x9E37_79B9_7F4A_7C15
        return Int(truncatingIfNeeded: mixed ^ (mixed >> 32))
    }
}

/// An IP address and a port.
package struct SocketAddress: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// Four bytes (IPv4) or sixteen (IPv6), most significant first, as CQL's `inet` has them.
    package let address: [UInt8]
    package let port: UInt16

    package init(address: [UInt8], port: UInt16) {
        precondition(address.count == 4 || address.count == 16)
        self.address = address
        self.port = port
    }

    package static func < (left: SocketAddress, right: SocketAddress) -> Bool {
        if left.address == right.address { return left.port < right.port }
        return left.address.lexicographicallyPrecedes(right.address)
    }

    /// The address as people write it, without the port.
    package var host: String {
        if address.count == 4 { return address.map(String.init).joined(separator: ".") }
        return stride(from: 0, to: 16, by: 2).map { index in
            String(UInt16(address[index]) << 8 | UInt16(address[index + 1]), radix: 16)
        }.joined(separator: ":")
    }

    package var description: String {
        address.count == 4 ? "\(host):\(port)" : "[\(host)]:\(port)"
    }
}
