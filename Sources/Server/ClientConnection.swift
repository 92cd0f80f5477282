// One client's connection: bytes in, bytes out, nothing understood. The shard is the protocol.
//
// Bytes that arrive are copied into the shard's inbox and the shard's tick is scheduled; NIO runs it
// after all readable connections of this wake have been read, so one step sees them all. What the
// shard answers is gathered here and leaves as one write for each tick. The buffer that is read into,
// and those of long answers, are the shard's: a connection that waits holds a few kilobytes.
//
// Back-pressure both ways: `clientReading(false)` holds NIO's reads back, and `clientWritable` tells
// the shard that its bytes have left. Small answers that the socket took at once are not worth a step
// of their own: their `clientWritable` rides along with the next one.

internal import Encoding
internal import Environment
internal import NIOCore

/// The channel handler of one client. Used on its shard's event loop only.
final class ClientConnection: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// Taken bytes of which the shard is not told yet, above which it is told.
    private static let writableNoticeBytes = 32 << 10

    let id: ConnectionID
    private let runner: ShardRunner
    private let local: Environment.SocketAddress
    private let remote: Environment.SocketAddress
    private var context: ChannelHandlerContext?
    private let allocator: ByteBufferAllocator
    private var outgoing: ByteBuffer
    /// The connection's own buffer while `outgoing` is a borrowed one.
    private var own: ByteBuffer?
    private var isReadingPaused = false
    private var isReadHeldBack = false
    private var unreportedBytes = 0
    private var isWaitingForSocket = false

    init(
        id: ConnectionID, runner: ShardRunner, local: Environment.SocketAddress,
        remote: Environment.SocketAddress, allocator: ByteBufferAllocator
    ) {
        self.id = id
        self.runner = runner
        self.local = local
        self.remote = remote
        self.allocator = allocator
        self.outgoing = allocator.buffer(capacity: 0)
    }

    // MARK: - From the socket

    func channelActive(context: ChannelHandlerContext) {
        self.context = context
        runner.connections[id] = self
        runner.receive(.clientOpened(id, local: local, remote: remote))
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let buffer = unwrapInboundIn(data)
        buffer.withUnsafeReadableBytes { bytes in
            runner.receive(.clientBytes(id, runner.inbox.store(bytes)))
        }
        runner.readBuffer.giveBack(buffer)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable, isWaitingForSocket {
            isWaitingForSocket = false
            unreportedBytes = 0
            runner.receive(.clientWritable(id))
        }
        context.fireChannelWritabilityChanged()
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.context = nil
        runner.connections[id] = nil
        runner.connectionEnded()
        runner.receive(.clientClosed(id))
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // A reset or a broken pipe is an ordinary end of a client.
        context.close(promise: nil)
    }

    func read(context: ChannelHandlerContext) {
        if isReadingPaused {
            isReadHeldBack = true
        } else {
            context.read()
        }
    }

    // MARK: - From the shard

    /// True if this is the first of the tick, so the caller remembers to `flush`.
    func append(_ bytes: UnsafeRawBufferPointer) -> Bool {
        let waiting = outgoing.readableBytes
        let total = waiting + bytes.count
        if total > WriteBuffers.ownBytes, own == nil {
            var larger = runner.writeBuffers.take(allocator, atLeast: total)
            larger.writeBuffer(&outgoing)
            own = outgoing
            outgoing = larger
        }
        outgoing.writeBytes(bytes)
        return waiting == 0
    }

    /// Sends what was appended in this tick.
    func flush() {
        guard let context, outgoing.readableBytes > 0 else { return }
        unreportedBytes += outgoing.readableBytes
        context.writeAndFlush(wrapOutboundOut(outgoing), promise: nil)
        if let own {
            runner.writeBuffers.giveBack(outgoing)
            outgoing = own
            self.own = nil
        }
        // Keeps the memory if NIO has given it back already, takes new memory if not.
        outgoing.clear()
        guard context.channel.isWritable else {
            isWaitingForSocket = true
            return
        }
        if unreportedBytes >= Self.writableNoticeBytes || isReadingPaused {
            unreportedBytes = 0
            runner.receiveLater(.clientWritable(id), isUrgent: isReadingPaused)
        }
    }

    /// Stops or goes on reading from the client.
    func setReading(_ isOn: Bool) {
        isReadingPaused = !isOn
        if isOn, isReadHeldBack {
            isReadHeldBack = false
            context?.read()
        }
        if !isOn, unreportedBytes > 0, !isWaitingForSocket {
            unreportedBytes = 0
            runner.receiveLater(.clientWritable(id), isUrgent: isReadingPaused)
        }
    }

    /// Closes after what was appended has left.
    func closeAfterFlush() {
        guard let context else { return }
        let promise = context.eventLoop.makePromise(of: Void.self)
        promise.futureResult.assumeIsolated().whenComplete { _ in context.close(promise: nil) }
        context.writeAndFlush(wrapOutboundOut(outgoing), promise: promise)
        outgoing.clear()
    }

    /// Closes at once.
    func close() {
        context?.close(promise: nil)
    }
}
