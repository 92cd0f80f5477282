// Sending commands to a running node, with plain blocking calls: a command line has nothing else to do.

internal import Encoding
package import Environment

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Sends commands to a running node.
package enum AdminClient {
    /// The port that nodetool knows.
    package static let defaultPort: UInt16 = 7199

    /// Asks over the socket in a data folder. nil if no node listens there. Throws when the answer does
    /// not come for `timeoutMilliseconds`: a stopped (paused) node accepts and never answers.
    package static func ask(
        socketPath path: String, _ request: AdminRequest, timeoutMilliseconds: Int = 5_000
    ) throws(ServerFailure) -> AdminAnswer? {
        try ControlPath.check(path)
        let descriptor = try makeSocket(AF_UNIX, timeoutMilliseconds)
        defer { close(descriptor) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        guard connects(descriptor, to: &address) else { return nil }
        return try exchange(descriptor, request)
    }

    /// Asks over TCP. nil if nobody listens there. Without a timeout it waits as long as the command
    /// takes.
    package static func ask(
        _ target: SocketAddress, _ request: AdminRequest, timeoutMilliseconds: Int = 0
    ) throws(ServerFailure) -> AdminAnswer? {
        if target.address.count == 4 {
            let descriptor = try makeSocket(AF_INET, timeoutMilliseconds)
            defer { close(descriptor) }
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = target.port.bigEndian
            withUnsafeMutableBytes(of: &address.sin_addr) { $0.copyBytes(from: target.address) }
            guard connects(descriptor, to: &address) else { return nil }
            return try exchange(descriptor, request)
        }
        let descriptor = try makeSocket(AF_INET6, timeoutMilliseconds)
        defer { close(descriptor) }
        var address = sockaddr_in6()
        address.sin6_family = sa_family_t(AF_INET6)
        address.sin6_port = target.port.bigEndian
        withUnsafeMutableBytes(of: &address.sin6_addr) { $0.copyBytes(from: target.address) }
        guard connects(descriptor, to: &address) else { return nil }
        return try exchange(descriptor, request)
    }

    private static func makeSocket(
        _ family: Int32, _ timeoutMilliseconds: Int
    ) throws(ServerFailure) -> Int32 {
        #if canImport(Glibc)
            let descriptor = socket(family, Int32(SOCK_STREAM.rawValue), 0)
        #else
            let descriptor = socket(family, SOCK_STREAM, 0)
        #endif
        guard descriptor >= 0 else { throw ServerFailure("no more sockets") }
        var limit = timeval()
        limit.tv_sec = time_t(timeoutMilliseconds / 1_000)
        limit.tv_usec = suseconds_t(timeoutMilliseconds % 1_000 * 1_000)
        let size = socklen_t(MemoryLayout<timeval>.size)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, size)
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, size)
        return descriptor
    }

    private static func connects<Address>(_ descriptor: Int32, to address: inout Address) -> Bool {
        withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<Address>.size)) == 0
            }
        }
    }

    /// nil if the other side ends the connection without an answer.
    private static func exchange(
        _ descriptor: Int32, _ request: AdminRequest
    ) throws(ServerFailure) -> AdminAnswer? {
        let frame = AdminWire.frame(request)
        guard send(descriptor, frame, frame.count, 0) == frame.count else { return nil }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            do throws(MalformedBytes) {
                if let (kind, payload) = try AdminWire.read(
                    bytes, limit: AdminWire.maximumAnswerBytes)
                {
                    return try AdminWire.answer(kind, payload)
                }
            } catch {
                throw ServerFailure("the answer cannot be read: \(error.reason)")
            }
            let count = recv(descriptor, &buffer, buffer.count, 0)
            if count == 0 { return nil }
            if count < 0 {
                if errno == EINTR { continue }
                if errno == ECONNRESET { return nil }
                throw ServerFailure("no answer from the node in time")
            }
            bytes += buffer[0..<count]
        }
    }
}
