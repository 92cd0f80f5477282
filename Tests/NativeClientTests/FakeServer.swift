// A server for one connection at a time on the loopback interface, which answers as a test wants.

import Encoding
import Model
import NIOCore
import NIOPosix
import NativeProtocol

/// What a test's server does with a request: writes responses, in any order and number.
typealias Answer = @Sendable (_ frame: Frame, _ encoder: FrameEncoder) -> Reaction

/// What happens after the answer was written.
enum Reaction: Equatable {
    case stay
    case close
}

/// Listens on a port of its own until `stop`.
final class FakeServer: Sendable {
    private let channel: any Channel
    let port: Int

    init(
        on group: MultiThreadedEventLoopGroup, highestVersion: ProtocolVersion = .v5,
        authenticator: String? = nil, _ answer: @escaping Answer
    ) async throws {
        channel = try await ServerBootstrap(group: group)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        FakeServerHandler(highestVersion, authenticator, answer))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        port = channel.localAddress?.port ?? 0
    }

    func stop() async throws { try await channel.close() }
}

private final class FakeServerHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let highestVersion: ProtocolVersion
    private let authenticator: String?
    private let answer: Answer
    private let decoder = FrameDecoder(side: .server)
    private let encoder = FrameEncoder(side: .server)

    init(_ highestVersion: ProtocolVersion, _ authenticator: String?, _ answer: @escaping Answer) {
        self.highestVersion = highestVersion
        self.authenticator = authenticator
        self.answer = answer
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let output = ByteWriter()
        var reaction = Reaction.stay
        unwrapInboundIn(data).withUnsafeReadableBytes { bytes in
            decoder.feed(bytes)
            do {
                while let frame = try decoder.next() {
                    if try receive(frame, output) == .close { reaction = .close }
                }
            } catch {
                reaction = .close
            }
            decoder.finish()
        }
        encoder.flush(into: output)
        context.writeAndFlush(
            wrapOutboundOut(ByteBuffer(bytes: output.bytes)), promise: nil)
        if reaction == .close { context.close(promise: nil) }
    }

    private func receive(_ frame: Frame, _ output: ByteWriter) throws -> Reaction {
        let version = frame.header.version
        let stream = frame.header.stream
        guard version <= highestVersion else {
            encoder.error(
                FrameError(
                    "Invalid or unsupported protocol version (\(version.rawValue)); supported "
                        + "versions are (3/v3, 4/v4)", version: .v4, stream: stream))
            return .close
        }
        switch frame.header.opcode {
        case .startup:
            let compression = try StartupRequest(frame.body).compression(version)
            if let authenticator {
                encoder.authenticate(version, stream: stream, authenticator: authenticator)
            } else {
                encoder.ready(version, stream: stream)
            }
            encoder.flush(into: output)
            let framing = Framing.afterStartup(version, compression: compression)
            encoder.framing = framing
            decoder.framing = framing
            return .stay
        case .authResponse:
            let (user, password) = try AuthResponseRequest(frame.body).plainCredentials()
            if user == "cassandra", password == "secret" {
                encoder.authSuccess(version, stream: stream)
            } else {
                encoder.error(version, stream: stream, .badCredentials("wrong"))
            }
            return .stay
        default: return answer(frame, encoder)
        }
    }
}
