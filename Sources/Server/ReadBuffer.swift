// The memory into which a shard reads from its clients' sockets: one buffer for all of them.
//
// What is read is copied into the shard's inbox before the next socket is looked at, so a connection
// needs no buffer of its own to be read into, and one that waits costs none. NIO asks for a buffer, fills
// it and hands it to the channel's handler, which gives it back here; one that does not come back (the
// end of a connection brings no bytes) is made anew.
//
// **Invariant.** At most one buffer is kept, and nobody else refers to it: it is written into in place.

internal import NIOCore

/// The buffer that a shard's connections are read into. On the shard's loop only.
// Sendable unchecked: used on one event loop; NIO asks for it by the allocator that it hands to channels.
final class ReadBuffer: @unchecked Sendable {
    /// As much as one wake reads from one connection.
    private static let capacity = 256 << 10

    private var kept: ByteBuffer?

    /// The buffer, or another one while it is away.
    func take(_ allocator: ByteBufferAllocator) -> ByteBuffer {
        guard let buffer = kept else { return allocator.buffer(capacity: Self.capacity) }
        kept = nil
        return buffer
    }

    /// Takes the buffer back after its bytes were copied; small ones are a connection's own.
    func giveBack(_ buffer: ByteBuffer) {
        guard buffer.capacity >= Self.capacity, kept == nil else { return }
        kept = buffer
    }
}

/// Lets a channel read into its shard's buffer.
struct SharedReadAllocator: RecvByteBufferAllocator {
    let shared: ReadBuffer
    // NIO keeps the first buffer that it gets for as long as the channel lives: it gets a small one.
    private var hasRead = false
    private static let firstCapacity = 512

    init(_ shared: ReadBuffer) { self.shared = shared }

    func buffer(allocator: ByteBufferAllocator) -> ByteBuffer {
        guard hasRead else { return allocator.buffer(capacity: Self.firstCapacity) }
        var buffer = shared.take(allocator)
        buffer.clear()
        return buffer
    }

    /// True makes NIO ask for a buffer each time instead of keeping the one that it has.
    mutating func record(actualReadBytes: Int) -> Bool {
        hasRead = true
        return true
    }

    /// No size in advance: a buffer that is kept is not looked for.
    func nextBufferSize() -> Int? { nil }
}
