// Links between nodes: delays, loss, duplicates, stragglers, cuts, and what their ends get to know.
//
// A message is dropped when its link is not up, when the link is full, when the direction is cut at
// its departure or its arrival, or when its target is dead. A connection that breaks is noticed
// late or never; one that can be made again is made, as long as the shard wants it.

internal import Encoding
internal import Environment

extension SimulatedWorld {
    /// Whether messages from one node to another vanish now.
    package func isCut(from: Int, to: Int) -> Bool { cuts[from * nodes.count + to] > 0 }

    // MARK: Messages

    func send(
        _ shard: SimulatedShard, to host: HostID, _ bytes: UnsafeRawBufferPointer, at time: Int64
    ) {
        messageCount += 1
        guard let target = indexByHost[host], let link = shard.links[target], link.state == .up,
            link.inFlight < settings.network.capacity
        else {
            lostMessageCount += 1
            return
        }
        let network = settings.network
        let delays = network.delays
        let model = delays[delays.count == 1 ? 0 : network.classify(bytes)]
        // All draws are made whatever comes of them, so that one message's fate moves no other's.
        var delay = model.sample(&link.stream)
        if network.straggleChance > 0, link.stream.chance(network.straggleChance, outOf: 1_000_000)
        {
            delay += network.straggle.sample(&link.stream)
        }
        let isLost =
            network.lossChance > 0 && link.stream.chance(network.lossChance, outOf: 1_000_000)
        let isDouble =
            network.duplicateChance > 0
            && link.stream.chance(network.duplicateChance, outOf: 1_000_000)
        if isLost || isCut(from: shard.node, to: target) {
            lostMessageCount += 1
            return
        }
        let copy = Array(bytes)
        link.inFlight += 1
        let life = link.targetLife
        queue.push(at: time + delay, .peerMessage(link, targetLife: life, copy))
        if isDouble {
            link.inFlight += 1
            let second = model.sample(&link.stream)
            queue.push(at: time + delay + second, .peerMessage(link, targetLife: life, copy))
        }
    }

    func receive(_ link: SimulatedLink, targetLife: UInt32, _ bytes: [UInt8]) {
        link.inFlight -= 1
        let node = nodes[link.toNode]
        guard node.state != .dead, !isCut(from: link.fromNode, to: link.toNode) else {
            lostMessageCount += 1
            return
        }
        if node.life != targetLife,
            !link.stream.chance(settings.network.staleArrivalChance, outOf: 1_000_000)
        {
            lostMessageCount += 1
            return
        }
        // The number of shards may have changed since the connection was made.
        let index =
            if let route = settings.network.route {
                bytes.withUnsafeBytes { route($0, node.shardCount) }
            } else {
                link.toShard % node.shardCount
            }
        let shard = node.shards[index]
        guard shard.machine != nil else { return }
        bytes.withUnsafeBytes { raw in
            record(
                .peerMessage, node: shard.node, shard: shard.index,
                detail: UInt64(link.fromNode) << 8 | UInt64(link.fromShard), raw,
                text: "from n\(link.fromNode).\(link.fromShard)")
            let range = shard.inbox.store(raw)
            shard.inbox.events.append(.peerMessage(range))
        }
        makeReady(shard)
    }

    // MARK: Connections

    func keepLink(_ shard: SimulatedShard, to host: HostID) {
        guard let target = indexByHost[host], target != shard.node else { return }
        let link: SimulatedLink
        if let known = shard.links[target] {
            link = known
        } else {
            link = SimulatedLink(
                fromNode: shard.node, fromShard: shard.index, toNode: target, seed: settings.seed)
            shard.links[target] = link
        }
        link.isWanted = true
        connect(link)
    }

    func dropLink(_ shard: SimulatedShard, to host: HostID) {
        guard let target = indexByHost[host], let link = shard.links[target] else { return }
        link.isWanted = false
        link.connection += 1
        let wasUp = link.state == .up
        link.state = .down
        if wasUp { deliverLink(link, .peerDisconnected(host), .peerDisconnected) }
    }

    private func isReachable(_ link: SimulatedLink) -> Bool {
        nodes[link.toNode].state == .running && !isCut(from: link.fromNode, to: link.toNode)
            && !isCut(from: link.toNode, to: link.fromNode)
    }

    /// Begins to connect if the link is wanted and the other end can be reached.
    func connect(_ link: SimulatedLink) {
        guard link.isWanted, link.state == .down, nodes[link.fromNode].state != .dead,
            isReachable(link)
        else { return }
        link.state = .connecting
        link.connection += 1
        let delay = settings.network.connect.sample(&link.stream)
        queue.push(at: now.nanoseconds + delay, .linkUp(link, connection: link.connection))
    }

    func linkUp(_ link: SimulatedLink, connection: UInt64) {
        guard link.connection == connection, link.state == .connecting else { return }
        guard isReachable(link) else {
            link.state = .down
            return
        }
        let target = nodes[link.toNode]
        link.state = .up
        link.targetLife = target.life
        link.toShard = (link.fromNode + link.fromShard + Int(connection)) % target.shardCount
        deliverLink(link, .peerConnected(target.host), .peerConnected)
    }

    func linkDown(_ link: SimulatedLink, connection: UInt64) {
        guard link.connection == connection, link.state == .up else { return }
        let target = nodes[link.toNode]
        let isBroken =
            isCut(from: link.fromNode, to: link.toNode) || target.state == .dead
            || target.life != link.targetLife
        guard isBroken else { return }
        link.state = .down
        deliverLink(link, .peerDisconnected(target.host), .peerDisconnected)
        connect(link)
    }

    private func deliverLink(_ link: SimulatedLink, _ event: Event, _ kind: DeliveryKind) {
        let shard = nodes[link.fromNode].shards[link.fromShard]
        guard shard.machine != nil else { return }
        deliver(event, to: shard, kind, detail: UInt64(link.toNode), text: "n\(link.toNode)")
    }

    // MARK: Changes of reachability

    /// All links from one node to another, by the shards' order.
    func links(from: Int, to: Int) -> [SimulatedLink] {
        nodes[from].shards.compactMap { $0.links[to] }
    }

    /// The links to a node that died: a killed process resets them soon, a dark machine does not.
    func breakLinks(to node: Int, kind: DeathKind) {
        for from in nodes.indices where from != node {
            for link in links(from: from, to: node) where link.state == .up {
                let delay: Int64 =
                    switch kind {
                    case .kill, .stopped: link.stream.within(100_000...2_000_000)
                    case .powerLoss: settings.network.detection.sample(&link.stream)
                    }
                queue.push(
                    at: now.nanoseconds + delay, .linkDown(link, connection: link.connection))
            }
        }
    }

    /// A node has started: connections to its former life are reset, missing ones are made.
    func restoreLinks(to node: Int) {
        for from in nodes.indices where from != node {
            for link in links(from: from, to: node) {
                if link.state == .up {
                    let delay = link.stream.within(100_000...2_000_000)
                    queue.push(
                        at: now.nanoseconds + delay, .linkDown(link, connection: link.connection))
                } else {
                    connect(link)
                }
            }
        }
    }

    func cut(from: Int, to: Int, _ stream: inout RandomStream) {
        cuts[from * nodes.count + to] += 1
        record(
            .partitioned, node: from, shard: 0, detail: UInt64(to), text: "from n\(from) to n\(to)")
        for link in links(from: from, to: to) where link.state == .up {
            if stream.chance(settings.network.unnoticedChance, outOf: 1_000_000) { continue }
            let delay = settings.network.detection.sample(&stream)
            queue.push(at: now.nanoseconds + delay, .linkDown(link, connection: link.connection))
        }
    }

    func heal(from: Int, to: Int) {
        let index = from * nodes.count + to
        guard cuts[index] > 0 else { return }
        cuts[index] -= 1
        record(.healed, node: from, shard: 0, detail: UInt64(to), text: "from n\(from) to n\(to)")
        for link in links(from: from, to: to) + links(from: to, to: from) { connect(link) }
    }
}
