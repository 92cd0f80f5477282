// How much of clients' requests may be under way: a bound on the bytes of frames that are not answered yet,
// of all clients of a shard and of one address. A client above it is no longer read from until half of
// it is free again; one that asked for it (`THROW_ON_OVERLOAD`) is refused instead. A request that is alone is
// always taken, however large it is.
//
// Cost for each request: two comparisons, two additions, two subtractions.

internal import Environment
internal import Model
internal import NativeProtocol

/// What all connections of one address have under way on one shard.
final class AddressLoad {
    @exclusivity(unchecked) var bytes = 0
    @exclusivity(unchecked) var connections = 0
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
