// Accepts connections of one port, on a thread of its own, and hands each to the least loaded shard.
//
// One place accepts for all shards, since the kernel spreads sockets by chance and drivers open few
// connections, each of which stays with its shard for life.

internal import Disk
internal import Environment

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// A listening socket and its thread.
// Sendable unchecked: immutable after `init`, the descriptors are the kernel's to share.
final class Acceptor: @unchecked Sendable {
    /// Takes over an accepted socket; called on the acceptor's thread.
    typealias Accept =
        @Sendable (
            _ socket: Int32, _ local: Environment.SocketAddress, _ remote: Environment.SocketAddress
        ) -> Void

    let address: Environment.SocketAddress
    private let purpose: String
    private let listener: Int32
    private let stopRead: Int32
    private let stopWrite: Int32
    private let log: NodeLog

    /// Takes the port without listening yet: clients are refused until `run`. Throws a message that
    /// says which port is in use.
    init(
        address: Environment.SocketAddress, purpose: String, log: NodeLog
    ) throws(ServerFailure) {
        let family = address.address.count == 4 ? AF_INET : AF_INET6
        #if canImport(Glibc)
            let listener = socket(family, Int32(SOCK_STREAM.rawValue), 0)
        #else
            let listener = socket(family, SOCK_STREAM, 0)
        #endif
        if listener < 0 { throw ServerFailure("\(SystemError(call: "socket"))") }
        var on: Int32 = 1
        _ = fcntl(listener, F_SETFD, FD_CLOEXEC)
        // Without it, a restarted node would wait for its old connections to time out.
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        let bound = SocketAddressBytes.with(address) { pointer, length in
            bind(listener, pointer, length)
        }
        if bound != 0 {
            let error = SystemError(call: "bind")
            close(listener)
            throw Self.failure(error, address, purpose)
        }
        var ends: [Int32] = [0, 0]
        if pipe(&ends) != 0 {
            let error = SystemError(call: "pipe")
            close(listener)
            throw ServerFailure("\(error)")
        }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        // A connection that its client took back before `accept` must not block the thread.
        _ = fcntl(listener, F_SETFL, O_NONBLOCK)
        self.listener = listener
        self.address = address
        self.purpose = purpose
        self.log = log
        (stopRead, stopWrite) = (ends[0], ends[1])
    }

    deinit {
        close(listener)
        close(stopRead)
        close(stopWrite)
    }

    /// Listens, and accepts until `stop`. Returns the thread, to be joined after `stop`.
    func run(_ accept: @escaping Accept) throws(ServerFailure) -> OwnThread {
        if listen(listener, 1024) != 0 {
            throw Self.failure(SystemError(call: "listen"), address, purpose)
        }
        return OwnThread(name: "accept") { self.loop(accept) }
    }

    private static func failure(
        _ error: SystemError, _ address: Environment.SocketAddress, _ purpose: String
    ) -> ServerFailure {
        switch error.number {
        case EADDRINUSE:
            ServerFailure("the \(purpose) port \(address) is in use by another program or node")
        case EADDRNOTAVAIL:
            ServerFailure(
                "this machine has no address \(address.host) for the \(purpose) port; on macOS "
                    + "add it (sudo ifconfig lo0 alias \(address.host)) or use --same-address")
        default: ServerFailure("the \(purpose) port \(address): \(error)")
        }
    }

    /// Ends the thread.
    func stop() {
        var byte: UInt8 = 1
        // A pipe that was never written to has room for one byte.
        _ = write(stopWrite, &byte, 1)
    }

    private func loop(_ accept: Accept) {
        var waits = [
            pollfd(fd: listener, events: Int16(POLLIN), revents: 0),
            pollfd(fd: stopRead, events: Int16(POLLIN), revents: 0),
        ]
        while true {
            let ready = poll(&waits, nfds_t(waits.count), -1)
            if ready < 0 {
                if errno == EINTR { continue }
                return log.error("accepting on \(address) ended: \(SystemError(call: "poll"))")
            }
            if waits[1].revents != 0 { return }
            acceptOne(accept)
        }
    }

    private func acceptOne(_ accept: Accept) {
        #if canImport(Glibc)
            let descriptor = Glibc.accept(listener, nil, nil)
        #else
            let descriptor = Darwin.accept(listener, nil, nil)
        #endif
        if descriptor < 0 {
            let error = SystemError(call: "accept")
            if [EINTR, EAGAIN, ECONNABORTED].contains(error.number) { return }
            log.warning("a connection to \(address) could not be accepted: \(error)")
            // Out of files or memory: it will not be better at once.
            usleep(50_000)
            return
        }
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        guard let local = SocketAddressBytes.local(of: descriptor),
            let remote = SocketAddressBytes.remote(of: descriptor)
        else {
            // The client has gone already.
            close(descriptor)
            return
        }
        accept(descriptor, local, remote)
    }
}

/// Between our socket addresses and the kernel's.
enum SocketAddressBytes {
    /// Calls `body` with the kernel's form of `address`.
    static func with<Result>(
        _ address: Environment.SocketAddress,
        _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
    ) -> Result {
        if address.address.count == 4 {
            var native = sockaddr_in()
            native.sin_family = sa_family_t(AF_INET)
            native.sin_port = address.port.bigEndian
            withUnsafeMutableBytes(of: &native.sin_addr) { $0.copyBytes(from: address.address) }
            return withBytes(of: &native, body)
        }
        var native = sockaddr_in6()
        native.sin6_family = sa_family_t(AF_INET6)
        native.sin6_port = address.port.bigEndian
        withUnsafeMutableBytes(of: &native.sin6_addr) { $0.copyBytes(from: address.address) }
        return withBytes(of: &native, body)
    }

    /// Our end of a connected socket.
    static func local(of socket: Int32) -> Environment.SocketAddress? {
        read { getsockname(socket, $0, $1) }
    }

    /// The other end of a connected socket.
    static func remote(of socket: Int32) -> Environment.SocketAddress? {
        read { getpeername(socket, $0, $1) }
    }

    private static func withBytes<Native, Result>(
        of native: inout Native, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
    ) -> Result {
        withUnsafePointer(to: &native) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<Native>.size))
            }
        }
    }

    private static func read(
        _ call: (UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> Int32
    ) -> Environment.SocketAddress? {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        return withUnsafeMutablePointer(to: &storage) { pointer in
            let result = pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                call($0, &length)
            }
            if result != 0 { return nil }
            let raw = UnsafeRawPointer(pointer)
            switch Int32(pointer.pointee.ss_family) {
            case AF_INET:
                let native = raw.load(as: sockaddr_in.self)
                return Environment.SocketAddress(
                    address: withUnsafeBytes(of: native.sin_addr) { Array($0) },
                    port: UInt16(bigEndian: native.sin_port))
            case AF_INET6:
                let native = raw.load(as: sockaddr_in6.self)
                return Environment.SocketAddress(
                    address: withUnsafeBytes(of: native.sin6_addr) { Array($0) },
                    port: UInt16(bigEndian: native.sin6_port))
            default: return nil
            }
        }
    }
}
