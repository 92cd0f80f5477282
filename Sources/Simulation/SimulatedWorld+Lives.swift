// Starting, killing, pausing: the lives of nodes, and the faults that end or disturb them.

internal import Encoding
package import Environment

extension SimulatedWorld {
    /// Starts all nodes, in order.
    package func startAll() {
        for node in nodes where node.state == .dead { start(node.index) }
    }

    /// Starts a dead node: its shards recover from their disks, in order.
    package func start(_ index: Int) {
        let node = nodes[index]
        guard node.state == .dead else { return }
        node.life += 1
        node.isDying = false
        record(.started, node: index, shard: 0, detail: UInt64(node.life))
        node.disk.isDead = false
        for shard in node.shards { shard.outbox.removeAll() }
        // Running from here on, so that a crash point inside recovery ends it properly.
        node.state = .running
        let launch = NodeLaunch(
            index: index, shardCount: node.shardCount, configuration: settings.configuration,
            host: node.host, clientAddress: node.clientAddress, peerAddress: node.peerAddress,
            randomSeed: RandomStream.derivedSeed(
                settings.seed, "node \(index) life \(node.life)"),
            boot: "boot \(node.boots)", observer: observer)
        do {
            let birth = try startNode(
                launch, node.store, node.disk, node.clock.read(now), node.shards.map(\.outbox))
            precondition(birth.machines.count == node.shardCount)
            node.incarnation = birth.incarnation
            for (shard, machine) in zip(node.shards, birth.machines) { shard.machine = machine }
        } catch {
            if !node.isDying {
                failures.append("\(now) ms: node \(index) cannot start: \(error)")
                node.crashKind = .stopped
            }
            node.lastDeath = error.description
            finishDeath(of: node)
            return
        }
        if node.isDying {
            finishDeath(of: node)
            return
        }
        let life = node.life
        for shard in node.shards {
            carryOut(shard, of: node, cost: 0)
            if node.state == .dead || node.life != life { return }
        }
        restoreLinks(to: index)
    }

    /// Kills a node now: its process is gone, the kernel keeps what it was given.
    package func kill(_ index: Int) { die(nodes[index], .kill) }

    /// Switches a node's machine off now.
    package func losePower(_ index: Int) { die(nodes[index], .powerLoss) }

    /// Ends a node that has passed the crash point of a fault or stopped itself.
    func finishDeath(of node: SimulatedNode) { die(node, node.crashKind) }

    private func die(_ node: SimulatedNode, _ kind: DeathKind) {
        guard node.state != .dead else { return }
        node.state = .dead
        node.isDying = false
        node.crashCountdown = nil
        node.crashKind = .kill
        record(.died, node: node.index, shard: 0, detail: kind.rawValue, text: "\(kind)")
        for shard in node.shards {
            for id in shard.connections.keys.sorted() {
                guard let connection = shard.connections[id] else { continue }
                let delay = connection.stream.within(100_000...5_000_000)
                queue.push(
                    at: max(now.nanoseconds + delay, connection.toClientTime),
                    .closedToClient(connection))
            }
            for link in shard.links {
                guard let link else { continue }
                link.isWanted = false
                link.state = .down
                link.connection += 1
            }
            shard.forget()
        }
        deferred[node.index].removeAll()
        node.store.crash(&node.stream)
        node.disk.isDead = true
        if kind == .powerLoss {
            node.boots += 1
            node.disk.losePower()
        }
        breakLinks(to: node.index, kind: kind)
    }

    /// Stops a node's processor: nothing is handled, everything waits.
    package func pause(_ index: Int) {
        let node = nodes[index]
        guard node.state == .running else { return }
        node.state = .paused
        record(.paused, node: index, shard: 0)
        for shard in node.shards { shard.isReady = false }
    }

    package func resume(_ index: Int) {
        let node = nodes[index]
        guard node.state == .paused else { return }
        node.state = .running
        record(.resumed, node: index, shard: 0)
        for occurrence in deferred[index] { queue.push(at: now.nanoseconds, occurrence) }
        deferred[index].removeAll()
        for shard in node.shards {
            if !shard.inbox.isEmpty || shard.wantedWake <= now.nanoseconds { makeReady(shard) }
            queueWake(shard)
        }
    }

    func apply(_ fault: Fault) {
        // Named by the fault itself, so that taking another one away does not move its draws.
        var stream = RandomStream(seed: settings.seed, name: "fault \(fault)")
        switch fault.kind {
        case .kill(let index, let effects): arm(nodes[index], .kill, after: effects)
        case .powerLoss(let index, let effects): arm(nodes[index], .powerLoss, after: effects)
        case .restart(let index):
            // A death that was armed and did not come yet comes now.
            if nodes[index].crashCountdown != nil { finishDeath(of: nodes[index]) }
            start(index)
        case .reshard(let index, let shards):
            if nodes[index].crashCountdown != nil { finishDeath(of: nodes[index]) }
            if nodes[index].state == .dead { nodes[index].changeShardCount(to: shards) }
            start(index)
        case .pause(let index): pause(index)
        case .resume(let index): resume(index)
        case .cut(let from, let to): cut(from: from, to: to, &stream)
        case .heal(let from, let to): heal(from: from, to: to)
        case .isolate(let index):
            for other in nodes.indices where other != index {
                cut(from: index, to: other, &stream)
                cut(from: other, to: index, &stream)
            }
        case .rejoin(let index):
            for other in nodes.indices where other != index {
                heal(from: index, to: other)
                heal(from: other, to: index)
            }
        case .jumpClock(let index, let microseconds):
            nodes[index].clock.wallOffsetMicroseconds += microseconds
            record(
                .clockChanged, node: index, shard: 0,
                detail: UInt64(bitPattern: microseconds), text: "\(microseconds) us")
        }
    }

    private func arm(_ node: SimulatedNode, _ kind: DeathKind, after effects: Int) {
        guard node.state != .dead else { return }
        node.crashKind = kind
        if effects == 0 {
            finishDeath(of: node)
        } else {
            node.crashCountdown = effects - 1
        }
    }
}

extension RandomStream {
    /// A seed of that name under another seed.
    package static func derivedSeed(_ seed: UInt64, _ name: String) -> UInt64 {
        var stream = RandomStream(seed: seed, name: name)
        return stream.next()
    }
}
