// Memory for answers that are longer than what a connection keeps for itself.
//
// A connection keeps a small buffer. One that gets a long answer borrows a larger one for the tick, so
// that many connections that had long answers once do not each hold that memory for as long as they live.

internal import NIOCore

/// A shard's larger buffers. On the shard's loop only.
final class WriteBuffers {
    /// How many bytes a connection keeps.
    static let ownBytes = 4 << 10
    /// The largest buffer that is kept for others, and how many are.
    private static let maximumBytes = 256 << 10
    private static let maximumCount = 16

    private var kept: [ByteBuffer] = []

    /// An empty buffer that may have more than a connection keeps.
    func take(_ allocator: ByteBufferAllocator, atLeast count: Int) -> ByteBuffer {
        guard var buffer = kept.popLast() else { return allocator.buffer(capacity: count) }
        buffer.clear(minimumCapacity: count)
        return buffer
    }

    /// Keeps a buffer whose bytes were handed to the socket, if there is room for it.
    func giveBack(_ buffer: ByteBuffer) {
        guard kept.count < Self.maximumCount, buffer.capacity <= Self.maximumBytes else { return }
        kept.append(buffer)
    }
}
