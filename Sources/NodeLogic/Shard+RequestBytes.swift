// How much of clients' requests may be under way: a bound on the bytes of frames that are not answered yet,
// of all clients of a shard and of one address. A client above it is no longer read from until half of
// it is free again; one that asked for it (`THROW_ON_OVERLOAD`) is refused instead. A request that is alone is
// always taken, however large it is.
//
// A large frame takes its room when its header has come: an address whose large frames would be more together
// than it may have under way waits with some of them until others are whole. Small frames never wait.
//
// Cost for each request: two comparisons, two additions, two subtractions.

internal import Environment
internal import Model
internal import NativeProtocol

/// What all connections of one address have under way on one shard.
final class AddressLoad {
    @exclusivity(unchecked) var bytes = 0
    @exclusivity(unchecked) var connections = 0
    /// Of large frames that are being received, and the connections whose frames wait for room.
    @exclusivity(unchecked) var receivingBytes = 0
    @exclusivity(unchecked) var waiting: [ClientConnection] = []
}

extension Shard {
    /// The node's bound is shared by its shards.
    var requestBytesLimit: Int {
        max(1, configuration.clients.maximumRequestBytesInFlight / shardCount)
    }

    var addressBytesLimit: Int {
        max(1, configuration.clients.maximumRequestBytesInFlightPerAddress / shardCount)
    }

    /// The load of a client's address, for a connection that begins.
    func load(of address: [UInt8]) -> AddressLoad {
        if let known = addressLoads[address] { return known }
        if addressLoads.count >= 1_024 {
            addressLoads = addressLoads.filter { $0.value.connections > 0 || $0.value.bytes > 0 }
        }
        let load = AddressLoad()
        addressLoads[address] = load
        return load
    }

    /// Frames above this size take room while they are received.
    static let largeFrameBytes = 256 << 10

    /// Takes room for the frame that the connection is receiving, gives back that of the one before, or
    /// reads no more from the client until there is room.
    func makeRoom(_ connection: ClientConnection) {
        let awaited = connection.decoder.awaitedBytes
        let wanted = awaited > Self.largeFrameBytes ? awaited : 0
        guard wanted != connection.receivingBytes else { return }
        giveBackRoom(of: connection)
        guard wanted > 0, !connection.isWaitingForRoom else { return }
        let load = connection.load
        if load.receivingBytes == 0 || load.receivingBytes + wanted <= addressBytesLimit {
            load.receivingBytes += wanted
            connection.receivingBytes = wanted
        } else {
            connection.isWaitingForRoom = true
            load.waiting.append(connection)
        }
    }

    /// The frame is whole, or its client has gone: those go on that have waited for its room.
    func giveBackRoom(of connection: ClientConnection) {
        guard connection.receivingBytes > 0 else { return }
        let load = connection.load
        load.receivingBytes -= connection.receivingBytes
        connection.receivingBytes = 0
        let waiting = load.waiting
        load.waiting = []
        for other in waiting where connections[other.id] === other {
            other.isWaitingForRoom = false
            makeRoom(other)
            updateReading(other)
        }
    }

    /// Refuses a request for which there is no room, or reads no more from its client.
    func admit(_ frame: Frame, _ connection: ClientConnection) throws(CQLError) {
        let bytes = frame.body.count
        let isOver =
            requestBytes > 0 && requestBytes + bytes > requestBytesLimit
            || connection.load.bytes > 0 && connection.load.bytes + bytes > addressBytesLimit
        guard isOver else { return }
        if connection.throwsOnOverload {
            throw .overloaded(
                "Server is in overloaded state. Cannot accept more requests at this point")
        }
        stopReading(connection.id)
    }

    /// The request counts as under way from here on.
    func holdBytes(of frame: Frame, _ client: ClientRequest, _ connection: ClientConnection) {
        client.heldBytes = frame.body.count
        client.load = connection.load
        requestBytes += client.heldBytes
        connection.load.bytes += client.heldBytes
    }

    /// It was answered.
    func releaseBytes(of client: ClientRequest) {
        guard let load = client.load else { return }
        client.load = nil
        requestBytes -= client.heldBytes
        load.bytes -= client.heldBytes
        completedCounts.requests += 1
    }
}
