// Where operators' commands come in: a Unix socket in the node's data folder, and a TCP port on a
// loopback address.
//
// Who may enter the data folder, or has an account on this machine, may command the node: there is no
// other check, so that the port is bound to loopback unless a setting says otherwise.

internal import Encoding
internal import Environment
internal import NIOCore
internal import NIOPosix

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Listens for commands.
final class ControlSocket: Sendable {
    /// Obeys a command; the closure takes the answer, on any thread.
    typealias Obey =
        @Sendable (_ request: AdminRequest, _ answer: @escaping @Sendable (AdminAnswer) -> Void)
        -> Void

    private let channel: any Channel
    private let path: String?

    /// Replaces a socket file that an earlier life of the node left behind.
    init(path: String, group: any EventLoopGroup, obey: @escaping Obey) throws(ServerFailure) {
        try ControlPath.check(path)
        unlink(path)
        do {
            channel = try Self.bootstrap(group, obey).bind(unixDomainSocketPath: path).wait()
        } catch {
            throw ServerFailure("\(path): \(error)")
        }
        self.path = path
    }

    /// Listens on a TCP port.
    init(
        address: Environment.SocketAddress, group: any EventLoopGroup, obey: @escaping Obey
    ) throws(ServerFailure) {
        do {
            channel = try Self.bootstrap(group, obey)
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .bind(host: address.host, port: Int(address.port)).wait()
        } catch {
            throw ServerFailure("admin port \(address): \(error)")
        }
        path = nil
    }

    private static func bootstrap(
        _ group: any EventLoopGroup, _ obey: @escaping Obey
    ) -> ServerBootstrap {
        ServerBootstrap(group: group).childChannelInitializer { channel in
            channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.addHandler(ControlHandler(obey: obey))
            }
        }
    }

    /// Stops listening and removes the socket file.
    func stop() {
        // The loop goes next; a channel that is closed already is what is wanted.
        channel.close(promise: nil)
        if let path { unlink(path) }
    }
}

/// Gathers one request and writes the answer.
private final class ControlHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let obey: ControlSocket.Obey
    private var bytes: [UInt8] = []
    private var isObeying = false

    init(obey: @escaping ControlSocket.Obey) { self.obey = obey }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if isObeying { return }
        bytes += unwrapInboundIn(data).readableBytesView
        do throws(MalformedBytes) {
            guard
                let (kind, payload) = try AdminWire.read(
                    bytes, limit: AdminWire.maximumRequestBytes)
            else { return }
            guard kind == .request else {
                throw MalformedBytes("an answer where a request is due", offset: 5)
            }
            isObeying = true
            let request = try AdminWire.request(payload)
            let channel = context.channel
            obey(request) { answer in Self.send(answer, on: channel) }
        } catch {
            isObeying = true
            Self.send(.refused(error.reason), on: context.channel)
        }
    }

    private static func send(_ answer: AdminAnswer, on channel: any Channel) {
        let buffer = channel.allocator.buffer(bytes: AdminWire.frame(answer))
        channel.writeAndFlush(buffer).whenComplete { _ in channel.close(promise: nil) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}

/// Unix sockets have short names.
enum ControlPath {
    /// The longest path that fits into the kernel's address, its closing zero included.
    static let maximumBytes = MemoryLayout.size(ofValue: sockaddr_un().sun_path)

    static func check(_ path: String) throws(ServerFailure) {
        if path.utf8.count >= maximumBytes {
            throw ServerFailure(
                "\(path) is too long for a socket (\(maximumBytes - 1) bytes at most): "
                    + "choose a data folder with a shorter path")
        }
    }
}
