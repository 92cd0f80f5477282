// One connection on its event loop: requests out, responses in, matched by stream.
//
// **Ordering.** Responses come in any order. A stream is free again when its answer came, also that of
// a request nobody waits for any more: reusing it earlier would give one request another's answer.
// The framing changes while the answer to STARTUP is processed, before the bytes after it are looked at.

internal import Encoding
internal import Model
internal import NIOCore
package import NativeProtocol

/// Writes one request for the given stream.
package typealias RequestWriter = @Sendable (FrameEncoder, ProtocolVersion, Int16) -> Void

final class ClientHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private struct Waiting {
        var promise: EventLoopPromise<Response>?
        var timeout: Scheduled<Void>?
    }

    private let version: ProtocolVersion
    private let compression: CompressionAlgorithm?
    private let events: AsyncStream<ServerEvent>.Continuation
    private let decoder = FrameDecoder(side: .client)
    private let encoder = FrameEncoder(side: .client)
    private let output = ByteWriter(capacity: 4096)
    private var waiting: [Int16: Waiting] = [:]
    private var freeStreams: [Int16] = []
    private var nextStream: Int16 = 0
    private var startupStream: Int16?
    private var isFlushScheduled = false
    private var context: ChannelHandlerContext?
    private var failure: ClientError?

    init(
        version: ProtocolVersion, compression: CompressionAlgorithm?,
        events: AsyncStream<ServerEvent>.Continuation
    ) {
        self.version = version
        self.compression = compression
        self.events = events
    }

    /// Sends a request; `promise` gets its answer, also an ERROR. On the event loop only.
    func send(
        _ write: RequestWriter, isStartup: Bool, timeout: TimeAmount?,
        _ promise: EventLoopPromise<Response>
    ) {
        guard let context, failure == nil else {
            promise.fail(failure ?? .closed("not connected"))
            return
        }
        guard let stream = takeStream() else {
            promise.fail(ClientError.tooManyRequests)
            return
        }
        if isStartup { startupStream = stream }
        write(encoder, version, stream)
        var entry = Waiting(promise: promise)
        if let timeout {
            entry.timeout = context.eventLoop.assumeIsolated().scheduleTask(in: timeout) {
                self.expire(stream, after: timeout)
            }
        }
        waiting[stream] = entry
        scheduleFlush(context)
    }

    private func takeStream() -> Int16? {
        if let stream = freeStreams.popLast() { return stream }
        guard nextStream < Int16.max else { return nil }
        defer { nextStream += 1 }
        return nextStream
    }

    private func expire(_ stream: Int16, after timeout: TimeAmount) {
        let promise = waiting[stream]?.promise
        waiting[stream]?.promise = nil
        promise?.fail(ClientError.timedOut(milliseconds: timeout.nanoseconds / 1_000_000))
    }

    /// All requests of one turn of the loop leave in one write.
    private func scheduleFlush(_ context: ChannelHandlerContext) {
        guard !isFlushScheduled else { return }
        isFlushScheduled = true
        context.eventLoop.assumeIsolated().execute { self.flush() }
    }

    private func flush() {
        isFlushScheduled = false
        encoder.flush(into: output)
        guard let context, output.count > 0 else { return }
        var buffer = context.channel.allocator.buffer(capacity: output.count)
        buffer.writeBytes(output.bytes)
        output.removeAll()
        context.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
    }

    // MARK: - ChannelInboundHandler

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let buffer = unwrapInboundIn(data)
        do {
            try buffer.withUnsafeReadableBytes { bytes in
                decoder.feed(bytes)
                defer { decoder.finish() }
                while let frame = try decoder.next() { try receive(frame) }
            }
        } catch {
            fail(.unexpectedAnswer("\((error as? FrameError)?.error.message ?? "\(error)")"))
            context.close(promise: nil)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        fail(.closed("the server ended the connection"))
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        fail(.closed("\(error)"))
        context.close(promise: nil)
    }

    private func receive(_ frame: Frame) throws(MalformedBytes) {
        let response = try Response(frame)
        let stream = frame.header.stream
        if case .event(let event) = response.message {
            events.yield(event)
            return
        }
        if stream == startupStream {
            startupStream = nil
            switch response.message {
            case .ready, .authenticate:
                let framing = Framing.afterStartup(version, compression: compression)
                decoder.framing = framing
                encoder.framing = framing
            default: break
            }
        }
        guard let entry = waiting.removeValue(forKey: stream) else {
            throw MalformedBytes("an answer on stream \(stream), which nobody asked on", offset: 0)
        }
        freeStreams.append(stream)
        entry.timeout?.cancel()
        entry.promise?.succeed(response)
    }

    private func fail(_ error: ClientError) {
        if failure == nil { failure = error }
        let all = waiting
        waiting = [:]
        // In the order of their streams, so that a test sees the same order each time.
        for (_, entry) in all.sorted(by: { $0.key < $1.key }) {
            entry.timeout?.cancel()
            entry.promise?.fail(error)
        }
        events.finish()
    }
}
