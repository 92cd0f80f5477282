// What is known of one peer.

internal import Environment
internal import PeerProtocol

/// A peer as this node sees it.
struct Endpoint {
    enum Link: Equatable {
        /// Our link to it stands.
        case connected
        /// It does not, since then; before the first connection since the node was made known.
        case disconnected(since: Instant)
    }

    /// Nil until the first news.
    var state: EndpointState?
    var detector: PhiAccrualFailureDetector
    var link: Link
    var isAlive = false
    /// Whether something came from the node itself over the present link.
    var wasHeard = false

    init(now: Instant, firstInterval: Instant.Span) {
        detector = PhiAccrualFailureDetector(firstInterval: firstInterval)
        link = .disconnected(since: now)
    }

    var isConnected: Bool { link == .connected }
}
