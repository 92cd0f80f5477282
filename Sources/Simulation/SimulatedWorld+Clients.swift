// Client byte streams: in order, cut and joined anywhere, held back when the shard does not read.

internal import Encoding
internal import Environment

extension SimulatedWorld {
    /// Opens a connection of a client to a node; `name` names its random stream and must be unique.
    /// The client is told when it is open, or closed if the node is not there.
    package func connect(
        _ client: any ClientActor, named name: String, to node: Int
    ) -> SimulatedConnection {
        let connection = SimulatedConnection(
            node: node, name: name, client: client, seed: settings.seed)
        let delay = settings.clients.delay.sample(&connection.stream)
        queue.push(at: now.nanoseconds + delay, .connectionOpened(connection))
        return connection
    }

    /// Sends bytes to the node; they arrive in order, in pieces.
    package func send(_ bytes: UnsafeRawBufferPointer, on connection: SimulatedConnection) {
        guard connection.state == .open, bytes.count > 0 else { return }
        let clients = settings.clients
        let first = max(
            now.nanoseconds + clients.delay.sample(&connection.stream), connection.toNodeTime)
        let splits = connection.stream.chance(clients.splitChance, outOf: 1_000_000)
        if splits, bytes.count > 1 {
            let cut = 1 + Int(connection.stream.below(UInt64(bytes.count - 1)))
            let second = first + clients.join.sample(&connection.stream)
            queue.push(
                at: first,
                .bytesToNode(connection, Array(UnsafeRawBufferPointer(rebasing: bytes[..<cut]))))
            queue.push(
                at: second,
                .bytesToNode(connection, Array(UnsafeRawBufferPointer(rebasing: bytes[cut...]))))
            connection.toNodeTime = second
        } else {
            queue.push(at: first, .bytesToNode(connection, Array(bytes)))
            connection.toNodeTime = first
        }
    }

    /// Closes the connection from the client's side.
    package func close(_ connection: SimulatedConnection) {
        guard connection.state == .open else {
            connection.state = .closed
            return
        }
        let time = max(now.nanoseconds + 1, connection.toNodeTime)
        queue.push(at: time, .closedToNode(connection))
        connection.state = .closed
    }

    // MARK: At the node's end

    func open(_ connection: SimulatedConnection) {
        guard connection.state == .opening else { return }
        let node = nodes[connection.node]
        guard node.state == .running else {
            connection.state = .closed
            connection.client.connectionClosed(connection)
            return
        }
        // The server accepts centrally and gives a connection to the least loaded shard.
        var shard = node.shards[0]
        for other in node.shards where other.connections.count < shard.connections.count {
            shard = other
        }
        connection.state = .open
        connection.shard = shard
        connection.life = node.life
        connection.id = ConnectionID(shard.nextConnection)
        shard.nextConnection += 1
        shard.connections[connection.id] = connection
        let port = UInt16(truncatingIfNeeded: 20_000 + connection.id.value % 40_000)
        deliver(
            .clientOpened(
                connection.id, local: node.clientAddress,
                remote: SocketAddress(address: [127, 0, 1, 1], port: port)),
            to: shard, .clientOpened, detail: connection.id.value, text: connection.name)
        connection.client.connectionOpened(connection)
    }

    /// The shard of an open connection, if it still lives the life that took it.
    private func shard(of connection: SimulatedConnection) -> SimulatedShard? {
        guard let shard = connection.shard, isAlive(shard, life: connection.life),
            shard.connections[connection.id] === connection
        else { return nil }
        return shard
    }

    func receiveFromClient(_ connection: SimulatedConnection, _ bytes: [UInt8]) {
        guard let shard = shard(of: connection) else { return }
        if !connection.held.isEmpty {
            connection.held += bytes
        } else if connection.stream.chance(settings.clients.joinChance, outOf: 1_000_000) {
            connection.held = bytes
            let delay = settings.clients.join.sample(&connection.stream)
            queue.push(at: now.nanoseconds + delay, .heldBytesToNode(connection))
        } else {
            deliverBytes(bytes, connection, shard)
        }
    }

    func releaseHeldBytes(_ connection: SimulatedConnection) {
        let bytes = connection.held
        connection.held = []
        guard let shard = shard(of: connection), !bytes.isEmpty else { return }
        deliverBytes(bytes, connection, shard)
    }

    private func deliverBytes(
        _ bytes: [UInt8], _ connection: SimulatedConnection, _ shard: SimulatedShard
    ) {
        if connection.isReadingPaused || !connection.unread.isEmpty {
            connection.unread += bytes
            return
        }
        bytes.withUnsafeBytes { raw in
            record(
                .clientBytes, node: shard.node, shard: shard.index, detail: connection.id.value,
                raw,
                text: connection.name)
            let range = shard.inbox.store(raw)
            shard.inbox.events.append(.clientBytes(connection.id, range))
        }
        makeReady(shard)
    }

    func closedByClient(_ connection: SimulatedConnection) {
        guard let shard = shard(of: connection) else { return }
        releaseHeldBytes(connection)
        shard.connections[connection.id] = nil
        deliver(
            .clientClosed(connection.id), to: shard, .clientClosed, detail: connection.id.value,
            text: connection.name)
    }

    // MARK: Effects of the shard

    func sendToClient(
        _ shard: SimulatedShard, _ id: ConnectionID, _ bytes: UnsafeRawBufferPointer, at time: Int64
    ) {
        guard let connection = shard.connections[id], bytes.count > 0 else { return }
        let arrival = max(
            time + settings.clients.delay.sample(&connection.stream), connection.toClientTime)
        connection.toClientTime = arrival
        connection.unsentBytes += bytes.count
        queue.push(at: arrival, .bytesToClient(connection, Array(bytes)))
    }

    func closeClient(_ shard: SimulatedShard, _ id: ConnectionID, at time: Int64) {
        guard let connection = shard.connections.removeValue(forKey: id) else { return }
        queue.push(at: max(time, connection.toClientTime), .closedToClient(connection))
    }

    func setReading(_ shard: SimulatedShard, _ id: ConnectionID, _ isReading: Bool) {
        guard let connection = shard.connections[id] else { return }
        connection.isReadingPaused = !isReading
        if isReading, !connection.unread.isEmpty {
            queue.push(at: now.nanoseconds + 1, .unreadBytesToNode(connection))
        }
    }

    /// The shard reads again: what had arrived comes before all that arrives from now on.
    func releaseUnreadBytes(_ connection: SimulatedConnection) {
        if connection.isReadingPaused || connection.unread.isEmpty { return }
        let bytes = connection.unread
        connection.unread = []
        guard let shard = shard(of: connection) else { return }
        deliverBytes(bytes, connection, shard)
    }

    // MARK: At the client's end

    func receiveFromNode(_ connection: SimulatedConnection, _ bytes: [UInt8]) {
        connection.unsentBytes -= bytes.count
        if connection.unsentBytes == 0, let shard = shard(of: connection) {
            record(
                .clientWritable, node: shard.node, shard: shard.index, detail: connection.id.value)
            shard.inbox.events.append(.clientWritable(connection.id))
            // Nobody waits for it unless reading is paused; then it must not wait for other news.
            if connection.isReadingPaused { makeReady(shard) }
        }
        if connection.state == .closed { return }
        bytes.withUnsafeBytes { raw in
            record(
                .toClient, node: connection.node, shard: connection.shard?.index ?? 0,
                detail: connection.id.value, raw, text: connection.name)
            connection.client.received(raw, on: connection)
        }
    }

    func closedByNode(_ connection: SimulatedConnection) {
        if connection.state == .closed { return }
        connection.state = .closed
        record(
            .closedToClient, node: connection.node, shard: connection.shard?.index ?? 0,
            detail: connection.id.value, text: connection.name)
        connection.client.connectionClosed(connection)
    }
}
