// The connection as the shell needs it: each call waits for its answer.

internal import NIOCore
internal import NIOPosix
internal import NativeClient
internal import NativeProtocol

/// A connection whose calls block the calling thread, which must not be the network's.
struct ShellConnection {
    let native: NativeConnection

    /// Connects and shakes hands.
    static func connect(
        host: String, port: Int, _ options: ConnectionOptions, on group: MultiThreadedEventLoopGroup
    ) throws -> ShellConnection {
        let native = try wait(on: group.next()) {
            try await NativeConnection.connect(host: host, port: port, options, on: group)
        }
        return ShellConnection(native: native, loop: group.next())
    }

    private let loop: any EventLoop

    private init(native: NativeConnection, loop: any EventLoop) {
        self.native = native
        self.loop = loop
    }

    /// Executes a statement's text.
    func query(_ text: String, _ options: QueryOptions) throws -> Response {
        let native = native
        return try Self.wait(on: loop) { try await native.query(text, options) }
    }

    /// Closes the connection.
    func close() {
        let native = native
        do {
            try Self.wait(on: loop) { try await native.close() }
        } catch {
            // The shell ends; there is nobody to tell.
        }
    }

    private static func wait<Result: Sendable>(
        on loop: any EventLoop, _ work: @escaping @Sendable () async throws -> Result
    ) throws -> Result {
        try loop.makeFutureWithTask(work).wait()
    }
}
