// The operator's socket: a Unix socket in the node's data folder.
//
// One line is a command, the answer is text, and the end of the connection ends the answer. Who may
// enter the data folder may command the node.

internal import Encoding
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
        @Sendable (_ command: String, _ answer: @escaping @Sendable (String) -> Void) -> Void

    static let maximumCommandBytes = 64 << 10

    private let channel: any Channel
    private let path: String

    /// Replaces a socket file that an earlier life of the node left behind.
    init(path: String, group: any EventLoopGroup, obey: @escaping Obey) throws(ServerFailure) {
        try ControlPath.check(path)
        unlink(path)
        do {
            channel = try ServerBootstrap(group: group)
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(ControlHandler(obey: obey))
                    }
                }
                .bind(unixDomainSocketPath: path).wait()
        } catch {
            throw ServerFailure("\(path): \(error)")
        }
        self.path = path
    }

    /// Stops listening and removes the socket file.
    func stop() {
        // The loop goes next; a channel that is closed already is what is wanted.
        channel.close(promise: nil)
        unlink(path)
    }
}

/// Gathers one line and writes the answer.
private final class ControlHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let obey: ControlSocket.Obey
    private var line: [UInt8] = []
    private var isObeying = false

    init(obey: @escaping ControlSocket.Obey) { self.obey = obey }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if isObeying { return }
        line += unwrapInboundIn(data).readableBytesView
        guard let end = line.firstIndex(of: UInt8(ascii: "\n")) else {
            if line.count > ControlSocket.maximumCommandBytes { context.close(promise: nil) }
            return
        }
        isObeying = true
        let channel = context.channel
        obey(String(decoding: line[..<end], as: UTF8.self)) { answer in
            let buffer = channel.allocator.buffer(string: answer)
            channel.writeAndFlush(buffer).whenComplete { _ in channel.close(promise: nil) }
        }
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

/// Sends commands to a running node.
package enum ControlClient {
    /// The whole answer, or nil if no node listens there. Throws when the answer does not come for
    /// `timeoutMilliseconds`: a stopped (paused) node accepts and never answers.
    package static func ask(
        socketPath path: String, _ command: String, timeoutMilliseconds: Int = 5_000
    ) throws(ServerFailure) -> String? {
        try ControlPath.check(path)
        #if canImport(Glibc)
            let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        #else
            let descriptor = socket(AF_UNIX, SOCK_STREAM, 0)
        #endif
        guard descriptor >= 0 else { throw ServerFailure("no more sockets") }
        defer { close(descriptor) }
        var limit = timeval()
        limit.tv_sec = time_t(timeoutMilliseconds / 1_000)
        limit.tv_usec = suseconds_t(timeoutMilliseconds % 1_000 * 1_000)
        let size = socklen_t(MemoryLayout<timeval>.size)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, size)
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, size)
        guard isConnected(descriptor, to: path) else { return nil }
        let line = Array((command + "\n").utf8)
        guard send(descriptor, line, line.count, 0) == line.count else { return nil }
        var answer: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16 << 10)
        while true {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            if count == 0 { break }
            if count < 0 {
                if errno == EINTR { continue }
                if errno == ECONNRESET { break }
                throw ServerFailure("no answer from the node within \(timeoutMilliseconds) ms")
            }
            answer += buffer[0..<count]
        }
        return String(decoding: answer, as: UTF8.self)
    }

    private static func isConnected(_ descriptor: Int32, to path: String) -> Bool {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
            }
        }
    }
}
