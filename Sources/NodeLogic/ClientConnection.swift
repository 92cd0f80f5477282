// One client's connection as the shard sees it: bytes in, frames out, and what the client asked for.
//
//     opened --(OPTIONS)*--> opened --(STARTUP)--> ready --(protocol error, close)--> closed
//
// The connection is a resource with one owner, the shard. Requests under way hold its id and their
// stream, never the object, because the client may leave at any time.

internal import Encoding
internal import Environment
internal import Model
internal import NativeProtocol

/// The state of one client connection.
final class ClientConnection {
    let id: ConnectionID
    let local: SocketAddress
    let remote: SocketAddress
    let decoder: FrameDecoder
    let encoder = FrameEncoder(side: .server)
    /// What STARTUP told, in order; shown to operators.
    var options: [(key: String, value: String)] = []
    var isStarted = false
    var keyspace: String?
    var registered: [EventType] = []
    /// Requests that were not answered yet.
    var inFlight = 0
    /// Frames wait in the encoder for the end of the step.
    var isDirty = false
    /// Bytes handed to the world and not yet taken by the socket, as far as we know.
    var unsentBytes = 0
    var isPaused = false
    /// Not read from because writing lags (`Shard+Backpressure`).
    var isHeld = false
    /// Closed by us: nothing more is read, what waits is sent.
    var isClosing = false
    /// The version that the client speaks; v4 until it said so.
    var version: ProtocolVersion { decoder.version ?? .v4 }

    init(
        id: ConnectionID, local: SocketAddress, remote: SocketAddress, maximumFrameBytes: Int
    ) {
        self.id = id
        self.local = local
        self.remote = remote
        decoder = FrameDecoder(
            side: .server,
            maximumBodyBytes: min(maximumFrameBytes, FrameHeader.maximumBodyBytes))
    }
}
