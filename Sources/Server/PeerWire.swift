// How messages between nodes lie on a TCP connection. A connection carries messages one way only, from
// the node that opened it; the other way has a connection of its own.
//
//     preface: 8 bytes "CoteriP1", once
//     message: length UInt32 little-endian, then that many bytes (their layout: room PeerProtocol)

internal import Encoding

/// The framing of peer connections.
enum PeerWire {
    /// Says that this is a peer, and which version of the framing it speaks.
    static let preface = Array("CoteriP1".utf8)
    /// A longer message breaks the connection that carries it.
    static let maximumMessageBytes = 256 << 20
    /// Unsent bytes of a link above which further messages are dropped.
    static let maximumQueuedBytes = 64 << 20
}

/// Cuts a connection's bytes into messages.
struct PeerMessageSplitter {
    private let pending = ByteWriter(capacity: 256)
    private var hasPreface = false

    /// Takes bytes as they arrive and hands each whole message to `body`, in order. A message that
    /// came whole in `bytes` is not copied. Throws when the sender is no peer of ours.
    mutating func receive(
        _ bytes: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> Void
    ) throws(MalformedBytes) {
        if pending.count == 0 {
            let used = try split(bytes, body)
            pending.append(UnsafeRawBufferPointer(rebasing: bytes[used...]))
            return
        }
        pending.append(bytes)
        let used = try split(pending.bytes, body)
        if used > 0 { pending.removeFirst(used) }
        if pending.count == 0 { pending.shrink(to: 1 << 20) }
    }

    /// How many bytes at the front are done with.
    private mutating func split(
        _ bytes: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> Void
    ) throws(MalformedBytes) -> Int {
        var reader = ByteReader(bytes)
        if !hasPreface {
            if reader.remaining < PeerWire.preface.count { return 0 }
            guard try reader.readBytes(PeerWire.preface.count).elementsEqual(PeerWire.preface)
            else {
                throw MalformedBytes("not a peer of this version", offset: 0)
            }
            hasPreface = true
        }
        while reader.remaining >= 4 {
            let start = reader.position
            let count = Int(try reader.readLittleEndian(UInt32.self))
            guard count <= PeerWire.maximumMessageBytes else {
                throw MalformedBytes("message of \(count) bytes", offset: start)
            }
            if reader.remaining < count { return start }
            body(try reader.readBytes(count))
        }
        return reader.position
    }
}
