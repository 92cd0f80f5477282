// The connections that share the work of a COPY, and what is prepared on each.
//
// The first is the shell's own; others are made when there is work for them, and end with the copy.

internal import NIOCore
internal import NativeClient
internal import NativeProtocol

/// Connections in a row.
final class CopyWorkers {
    private let connector: ShellConnector
    private let maximum: Int
    private var connections: [ShellConnection]
    private var prepared: [[String: PreparedStatement]] = [[:]]

    init(_ session: ShellSession, maximum: Int) {
        connector = session.connector
        connections = [session.connection]
        self.maximum = maximum
    }

    /// The worker whose turn it is for the piece of work with that number.
    func worker(of number: Int) throws -> Int {
        let worker = number % maximum
        while worker >= connections.count {
            connections.append(try connector.connect())
            prepared.append([:])
        }
        return worker
    }

    func connection(_ worker: Int) -> ShellConnection { connections[worker] }

    /// The statement as that worker's connection prepared it.
    func prepared(_ text: String, by worker: Int) throws -> PreparedStatement {
        if let known = prepared[worker][text] { return known }
        let statement = try connections[worker].prepare(text)
        prepared[worker][text] = statement
        return statement
    }

    /// Forgets what the server has forgotten.
    func forget(_ text: String, by worker: Int) {
        prepared[worker][text] = nil
    }

    /// Closes all connections but the shell's own.
    func close() {
        for connection in connections.dropFirst() { connection.close() }
    }
}
