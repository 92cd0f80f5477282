// A client's byte stream to a node, both ways in order, split and joined at random on its way.

internal import Environment

/// A client of the simulated world. Its calls come from the world's loop; it may send at once.
package protocol ClientActor: AnyObject {
    /// The node took the connection.
    func connectionOpened(_ connection: SimulatedConnection)
    /// Some bytes of the stream, cut anywhere; valid during the call only.
    func received(_ bytes: UnsafeRawBufferPointer, on connection: SimulatedConnection)
    /// The node is gone or has closed; nothing more will come.
    func connectionClosed(_ connection: SimulatedConnection)
}

/// One connection of one client.
package final class SimulatedConnection {
    enum State { case opening, open, closed }

    /// Which node it leads to.
    package let node: Int
    let name: String
    let client: any ClientActor
    var state = State.opening
    /// The shard that took it.
    var shard: SimulatedShard?
    var id = ConnectionID(0)
    var life: UInt32 = 0
    var stream: RandomStream
    /// Until when the stream to the node is filled, so that it stays in order.
    var toNodeTime: Int64 = 0
    /// Bytes that wait to be joined with what follows.
    var held: [UInt8] = []
    /// Bytes that the shard does not want to read now.
    var unread: [UInt8] = []
    var isReadingPaused = false
    var toClientTime: Int64 = 0
    /// Bytes on their way to the client.
    var unsentBytes = 0

    init(node: Int, name: String, client: any ClientActor, seed: UInt64) {
        self.node = node
        self.name = name
        self.client = client
        stream = RandomStream(seed: seed, name: "connection \(name)")
    }

    /// Whether bytes can be sent.
    package var isOpen: Bool { state == .open }
}
