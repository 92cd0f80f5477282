// Memory that long frames have taken is given back once their connection has nothing more to say.
//
// A connection's encoder and decoder keep the memory that they have grown to, so that one that goes on
// with long frames allocates nothing. Most connections of a pool say something long now and then and are
// silent for the rest: those that hold much are looked at every few seconds, and give it back if they
// asked for nothing since the last look.
//
// Cost: a comparison for each connection that is answered in a step, and a look at those that hold much.

internal import Environment
internal import NativeProtocol

extension Shard {
    /// What a connection may hold without being looked at.
    private static let ordinaryBytes = 4 << 10
    private static let bufferCheckInterval = Instant.Span.seconds(5)

    /// Puts a connection that holds much on the list of those to look at.
    func watchBuffers(of connection: ClientConnection) {
        guard !connection.holdsMuch,
            connection.encoder.heldBytes + connection.decoder.heldBytes > Self.ordinaryBytes
        else { return }
        connection.holdsMuch = true
        connection.requestCountSeen = connection.requestCount
        largeConnections.append(connection.id)
        if nextBufferCheck == nil { nextBufferCheck = now.monotonic + Self.bufferCheckInterval }
    }

    /// Looks at the connections that hold much, when it is time.
    func tickBuffers() {
        guard let due = nextBufferCheck, due <= now.monotonic else { return }
        largeConnections.removeAll { id in
            guard let connection = connections[id] else { return true }
            guard connection.requestCount == connection.requestCountSeen, connection.inFlight == 0
            else {
                connection.requestCountSeen = connection.requestCount
                return false
            }
            connection.encoder.giveBack()
            connection.decoder.giveBack()
            connection.holdsMuch = false
            return true
        }
        nextBufferCheck =
            largeConnections.isEmpty ? nil : now.monotonic + Self.bufferCheckInterval
    }
}
