// Our connection to one peer: one for each (shard, peer), kept up as long as the shard wants it.
//
// States:  connecting -> connected -> waiting -> connecting ...        (closed: from any, for good)
// A message is dropped when the link is not connected or has too much unsent; the shard expects that.
// Messages of one tick leave in one write.

internal import Disk
internal import Encoding
internal import Environment
internal import NIOCore
internal import NIOPosix

/// A link of a shard to a peer. Used on its shard's event loop only.
// Sendable unchecked: never leaves that loop.
final class PeerLink: @unchecked Sendable {
    private enum State {
        case connecting
        case connected(ChannelHandlerContext)
        case waiting
        case closed
    }

    let host: HostID
    private(set) var address: Environment.SocketAddress
    private let runner: ShardRunner
    private var state = State.waiting
    private var outgoing = ByteBufferAllocator().buffer(capacity: 0)
    private var hasReportedFailure = false

    init(host: HostID, address: Environment.SocketAddress, runner: ShardRunner) {
        self.host = host
        self.address = address
        self.runner = runner
    }

    /// Opens the connection; again and again, until `close`.
    func connect() {
        guard case .waiting = state else { return }
        state = .connecting
        let target: NIOCore.SocketAddress
        do {
            target = try NIOCore.SocketAddress(ipAddress: address.host, port: Int(address.port))
        } catch {
            runner.log.error("peer=\(host) has an unusable address \(address): \(error)")
            state = .closed
            return
        }
        ClientBootstrap(group: runner.eventLoop)
            .connectTimeout(.seconds(2))
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(
                .writeBufferWaterMark,
                value: .init(
                    low: PeerWire.maximumQueuedBytes / 2, high: PeerWire.maximumQueuedBytes)
            )
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(PeerLinkHandler(link: self))
                }
            }
            .connect(to: target)
            .whenFailure { self.failed($0) }
    }

    /// True if this is the first message of the tick, so the caller remembers to `flush`.
    func append(_ message: UnsafeRawBufferPointer) -> Bool {
        guard case .connected(let context) = state, context.channel.isWritable,
            message.count <= PeerWire.maximumMessageBytes
        else { return false }
        let isFirst = outgoing.readableBytes == 0
        outgoing.writeInteger(UInt32(message.count), endianness: .little)
        outgoing.writeBytes(message)
        return isFirst
    }

    /// Sends what was appended in this tick.
    func flush() {
        guard case .connected(let context) = state, outgoing.readableBytes > 0 else { return }
        context.writeAndFlush(NIOAny(outgoing), promise: nil)
        outgoing.clear()
    }

    /// Goes on with another address of the same host.
    func move(to newAddress: Environment.SocketAddress) {
        if newAddress == address { return }
        address = newAddress
        if case .connected(let context) = state { context.close(promise: nil) }
    }

    /// Ends the link for good, without a `peerDisconnected`.
    func close() {
        let old = state
        state = .closed
        if case .connected(let context) = old { context.close(promise: nil) }
    }

    fileprivate func opened(_ context: ChannelHandlerContext) {
        guard case .connecting = state else { return context.close(promise: nil) }
        state = .connected(context)
        hasReportedFailure = false
        outgoing.clear()
        outgoing.writeBytes(PeerWire.preface)
        flush()
        runner.log.info("peer=\(host) address=\(address) connected shard=\(runner.index.value)")
        runner.receive(.peerConnected(host))
    }

    fileprivate func ended() {
        guard case .connected = state else { return }
        state = .waiting
        outgoing.clear()
        runner.log.info("peer=\(host) address=\(address) disconnected shard=\(runner.index.value)")
        runner.receive(.peerDisconnected(host))
        connectLater()
    }

    private func failed(_ error: any Error) {
        guard case .connecting = state else { return }
        // Said once for each outage, not once for each attempt.
        if !hasReportedFailure {
            hasReportedFailure = true
            let words = (error as? IOError).map { SystemError.text($0.errnoCode) } ?? "\(error)"
            runner.log.info("peer=\(host) address=\(address) cannot be reached: \(words)")
        }
        state = .waiting
        connectLater()
    }

    private func connectLater() {
        // A tenth of jitter, so that a ring's nodes do not knock in step.
        let delay = runner.configuration.membership.reconnectDelay.nanoseconds
        let jitter = Int64.random(in: 0...(delay / 10 + 1))
        runner.eventLoop.scheduleTask(in: .nanoseconds(delay + jitter)) { self.connect() }
    }
}

/// Turns the channel's life into the link's.
private final class PeerLinkHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let link: PeerLink

    init(link: PeerLink) { self.link = link }

    func channelActive(context: ChannelHandlerContext) { link.opened(context) }
    func channelInactive(context: ChannelHandlerContext) { link.ended() }
    // Peers do not answer on our connection; bytes that come are read and dropped.
    func channelRead(context: ChannelHandlerContext, data: NIOAny) {}
    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}

/// Receives a peer's messages and routes each to the shard that it is for.
final class PeerReceiver: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let runner: ShardRunner
    private let remote: Environment.SocketAddress
    private var splitter = PeerMessageSplitter()

    init(runner: ShardRunner, remote: Environment.SocketAddress) {
        self.runner = runner
        self.remote = remote
    }

    func channelActive(context: ChannelHandlerContext) {
        runner.incomingPeers[ObjectIdentifier(self)] = context
    }

    func channelInactive(context: ChannelHandlerContext) {
        runner.incomingPeers[ObjectIdentifier(self)] = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        // NIO's closure takes no typed errors: the result brings them out.
        let result = unwrapInboundIn(data).withUnsafeReadableBytes { bytes in
            Result { () throws(MalformedBytes) in
                try splitter.receive(bytes) { runner.routePeerMessage($0) }
            }
        }
        if case .failure(let error) = result {
            runner.log.warning("peer connection from \(remote) closed: \(error)")
            context.close(promise: nil)
        }
        runner.postStaged()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}
