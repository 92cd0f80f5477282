// One client's connection as the shard sees it: bytes in, frames out, and what the client asked for.
//
//     opened --(OPTIONS)*--> opened --(STARTUP)--> ready --(protocol error, close)--> closed
//                                      |              ^
//                                      +-> login -----+   where clients must say who they are
//
// The connection is a resource with one owner, the shard. Requests under way hold its id and their
// stream, never the object, because the client may leave at any time.

internal import Encoding
internal import Environment
internal import Model
internal import NativeProtocol

/// How far a client has come with saying who it is.
enum LoginState: Equatable {
    /// Everybody is let in.
    case notNeeded
    /// AUTHENTICATE was sent; only AUTH_RESPONSE may follow.
    case wanted
    /// A password is being looked at.
    case underWay
    case done(role: String)
}

/// The state of one client connection.
final class ClientConnection {
    let id: ConnectionID
    let local: SocketAddress
    let remote: SocketAddress
    /// What all connections of its address have under way here.
    let load: AddressLoad
    let decoder: FrameDecoder
    let encoder = FrameEncoder(side: .server)
    /// What STARTUP told, in order; shown to operators.
    var options: [(key: String, value: String)] = []
    var isStarted = false
    var login = LoginState.notNeeded
    /// What the logged-in role may do, as it was loaded last.
    var authority: Authority?
    /// The client came with the default superuser's default password, and was not told so yet.
    var mustWarnOfPassword = false
    var keyspace: String?
    /// The client was told that USE and prepared statements go ill together.
    var wasWarnedOfUse = false
    var registered: [EventType] = []
    /// Requests that were not answered yet.
    var inFlight = 0
    /// Requests since the connection was opened.
    var requestCount = 0
    /// The client asked to see tables with COMPACT STORAGE as they are without (NO_COMPACT).
    var wantsNoCompact = false
    /// The client asked to be refused rather than kept waiting (THROW_ON_OVERLOAD).
    var throwsOnOverload = false
    /// Frames wait in the encoder for the end of the step.
    var isDirty = false
    /// Bytes handed to the world and not yet taken by the socket, as far as we know.
    var unsentBytes = 0
    var isPaused = false
    /// Frames that were received stay in the decoder until the client has taken answers.
    var hasFramesWaiting = false
    /// Not read from because writing lags (`Shard+Backpressure`).
    var isHeld = false
    /// Frames that were received stay in the decoder until others had their turn (`Shard+Turns`).
    var isWaitingForTurn = false
    /// The room that the frame which is being received has taken, or waits for (`Shard+RequestBytes`).
    var receivingBytes = 0
    var isWaitingForRoom = false
    /// Its buffers have grown (`Shard+Buffers`), and how many requests it had made at the last look.
    var holdsMuch = false
    var requestCountSeen = 0
    /// What the world was told last.
    var isReading = true
    /// Closed by us: nothing more is read, what waits is sent.
    var isClosing = false
    /// The role that is logged in; nil for a client that nobody asked.
    var role: String? {
        if case .done(let role) = login { role } else { nil }
    }
    /// The version that the client speaks; v4 until it said so.
    var version: ProtocolVersion { decoder.version ?? .v4 }

    init(
        id: ConnectionID, local: SocketAddress, remote: SocketAddress, load: AddressLoad,
        maximumFrameBytes: Int
    ) {
        self.id = id
        self.local = local
        self.remote = remote
        self.load = load
        load.connections += 1
        decoder = FrameDecoder(
            side: .server,
            maximumBodyBytes: min(maximumFrameBytes, FrameHeader.maximumBodyBytes))
    }

    deinit { load.connections -= 1 }
}
