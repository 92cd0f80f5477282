// The connection as the shell needs it: each call waits for its answer, or gives a future of it.

internal import Encoding
internal import Model
internal import NIOCore
internal import NIOPosix
internal import NativeClient
internal import NativeProtocol

/// How the shell connects, again and as somebody else too.
struct ShellConnector {
    let host: String
    let port: Int
    var options: ConnectionOptions
    let group: MultiThreadedEventLoopGroup

    func connect() throws -> ShellConnection {
        try ShellConnection.connect(host: host, port: port, options, on: group)
    }

    /// The same with another login.
    func asUser(_ user: String, password: String) -> ShellConnector {
        var other = self
        other.options.user = user
        other.options.password = password
        return other
    }
}

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
    func query(_ text: String, _ options: QueryOptions, isTraced: Bool = false) throws -> Response {
        let native = native
        return try Self.wait(on: loop) {
            try await native.query(text, options, isTraced: isTraced)
        }
    }

    /// All rows of a statement of the shell's own.
    func rows(_ text: String, _ values: [BindValue] = []) throws -> ResultRows {
        let options = QueryOptions(consistency: .one, values: values)
        guard case .rows(let rows) = try query(text, options).message else {
            throw ClientError.unexpectedAnswer("no rows to \(text)")
        }
        return rows
    }

    /// Prepares a statement.
    func prepare(_ text: String) throws -> PreparedStatement {
        let native = native
        return try Self.wait(on: loop) { try await native.prepare(text) }
    }

    /// Sends a prepared statement; many may be under way.
    func executing(
        _ prepared: PreparedStatement, _ options: QueryOptions
    ) -> EventLoopFuture<Response> {
        let native = native
        return loop.makeFutureWithTask { try await native.execute(prepared, options) }
    }

    /// Sends a batch; many may be under way.
    func executing(
        _ kind: BatchKind, _ items: [BatchItem], _ options: QueryOptions
    ) -> EventLoopFuture<Response> {
        let native = native
        return loop.makeFutureWithTask { try await native.batch(kind, items, options) }
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

extension ResultRows {
    /// Each row by column name, values as they are displayed, text as it is; nulls left out.
    func texts(_ columns: [ColumnSpecification]? = nil) -> [[String: String]] {
        let columns = columns ?? self.columns ?? []
        return (0..<rowCount).map { row in
            var texts: [String: String] = [:]
            for (index, column) in columns.enumerated() {
                withValue(row: row, column: index) { value in
                    guard let value else { return }
                    texts[column.name] =
                        column.type == .text
                        ? String(decoding: value, as: UTF8.self) : column.type.display(value)
                }
            }
            return texts
        }
    }

    /// The serialized value of the column with that name; nil for null and where there is none.
    func value(row: Int, _ name: String) -> [UInt8]? {
        guard row < rowCount, let index = columns?.firstIndex(where: { $0.name == name }) else {
            return nil
        }
        return value(row: row, column: index)
    }
}

/// Texts of UUIDs.
enum UniqueIDText {
    /// The sixteen bytes; nil if the text is no UUID.
    static func bytes(_ text: String) -> [UInt8]? { UniqueID(text)?.bytes }
}
