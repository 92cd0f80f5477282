// Several membership machines on a small simulated network with delays, loss and broken links.

import Encoding
import Environment
import Membership
import PeerProtocol
import Testing

private func host(_ number: Int) -> HostID { HostID(UniqueID(high: 0, low: UInt64(number + 1))) }

private func milliseconds(_ count: Int64) -> Instant {
    Instant(nanoseconds: count * 1_000_000)
}

/// A little world: one-millisecond steps, messages with a delay, links that follow who runs.
private struct World {
    var nodes: [ClusterMembership]
    var isRunning: [Bool]
    var isHung: [Bool]
    var generations: [UInt32]
    var now: Int64 = 0
    var random: RandomStream
    var lossPercent: UInt64 = 0
    /// Pairs that cannot reach each other.
    var cut: Set<[Int]> = []
    var pending: [(at: Int64, from: Int, generation: UInt32, to: Int, GossipMessage)] = []
    var held: [[(from: Int, generation: UInt32, GossipMessage)]]
    /// What each node reported, with the time in milliseconds.
    var log: [(at: Int64, node: Int, action: MembershipAction)] = []

    init(count: Int, seed: UInt64 = 1) {
        random = RandomStream(seed: seed, name: "world")
        nodes = []
        isRunning = [Bool](repeating: true, count: count)
        isHung = [Bool](repeating: false, count: count)
        generations = [UInt32](repeating: 1, count: count)
        held = [[(from: Int, generation: UInt32, GossipMessage)]](repeating: [], count: count)
        for index in 0..<count { nodes.append(make(index, seed: seed)) }
        for index in 0..<count { begin(index) }
    }

    private func make(_ index: Int, seed: UInt64) -> ClusterMembership {
        let address = SocketAddress(address: [127, 0, 0, UInt8(index + 1)], port: 7000)
        return ClusterMembership(
            own: EndpointState(
                host: host(index), generation: generations[index], heartbeat: 0,
                clientAddress: address, peerAddress: address, epoch: 1, isReady: true, load: 0),
            settings: Configuration().membership,
            random: RandomStream(seed: seed, name: "gossip \(index)"), now: milliseconds(now))
    }

    private mutating func begin(_ index: Int) {
        let all = isRunning.indices.map(host)
        carryOut(nodes[index].setMembers(all, now: milliseconds(now)), index)
        for other in isRunning.indices where other != index && isRunning[other] {
            connect(index, other)
        }
    }

    private mutating func connect(_ one: Int, _ other: Int) {
        guard one < nodes.count, other < nodes.count, !cut.contains([one, other].sorted()) else {
            return
        }
        carryOut(nodes[one].linkChanged(host(other), up: true, now: milliseconds(now)), one)
        carryOut(nodes[other].linkChanged(host(one), up: true, now: milliseconds(now)), other)
    }

    mutating func kill(_ index: Int) {
        isRunning[index] = false
        for other in nodes.indices where other != index && isRunning[other] {
            carryOut(
                nodes[other].linkChanged(host(index), up: false, now: milliseconds(now)), other)
        }
    }

    mutating func start(_ index: Int) {
        isRunning[index] = true
        generations[index] += 1
        nodes[index] = make(index, seed: UInt64(generations[index]))
        begin(index)
    }

    mutating func resume(_ index: Int) {
        isHung[index] = false
        let messages = held[index]
        held[index] = []
        for message in messages { deliver(message.from, message.generation, index, message.2) }
    }

    mutating func carryOut(_ actions: [MembershipAction], _ index: Int) {
        for action in actions {
            if case .send(let target, let message) = action {
                guard let to = isRunning.indices.first(where: { host($0) == target }),
                    !cut.contains([index, to].sorted()), !random.chance(lossPercent, outOf: 100)
                else { continue }
                let at = now + random.within(1...5)
                pending.append((at, index, generations[index], to, message))
            } else {
                log.append((now, index, action))
            }
        }
    }

    private mutating func deliver(
        _ from: Int, _ generation: UInt32, _ to: Int, _ message: GossipMessage
    ) {
        guard isRunning[to] else { return }
        if isHung[to] {
            held[to].append((from, generation, message))
            return
        }
        let actions = nodes[to].receive(
            message, from: host(from), incarnation: Incarnation(generation), now: milliseconds(now))
        carryOut(actions, to)
    }

    mutating func run(for duration: Int64) {
        let end = now + duration
        while now < end {
            now += 1
            let due = pending.filter { $0.at <= now }
            pending.removeAll { $0.at <= now }
            for message in due { deliver(message.from, message.generation, message.to, message.4) }
            for index in nodes.indices where isRunning[index] && !isHung[index] {
                if nodes[index].deadline <= milliseconds(now) {
                    carryOut(nodes[index].tick(now: milliseconds(now)), index)
                }
            }
        }
    }

    func time(of action: MembershipAction, at node: Int, after: Int64 = 0) -> Int64? {
        log.first { $0.node == node && $0.action == action && $0.at >= after }?.at
    }
}

struct ClusterMembershipTests {
    @Test func allSeeEachOtherSoonAfterTheirLinksStand() {
        var world = World(count: 5)
        world.run(for: 100)
        for one in 0..<5 {
            for other in 0..<5 {
                #expect(world.nodes[one].isAlive(host(other)))
                #expect(world.nodes[one].isReady(host(other)))
            }
        }
    }

    @Test func killedNodeIsSeenDownWithinASecondAndUpWhenItIsBack() throws {
        var world = World(count: 3)
        world.run(for: 10_000)
        let killedAt = world.now
        world.kill(2)
        world.run(for: 1_000)
        for witness in 0..<2 {
            let down = try #require(world.time(of: .down(host(2)), at: witness, after: killedAt))
            #expect(down - killedAt <= 600, "node \(witness) after \(down - killedAt) ms")
            #expect(!world.nodes[witness].isAlive(host(2)))
        }
        let startedAt = world.now
        world.start(2)
        world.run(for: 200)
        for witness in 0..<2 {
            let up = try #require(world.time(of: .up(host(2)), at: witness, after: startedAt))
            #expect(up - startedAt <= 100)
            #expect(world.nodes[witness].state(of: host(2))?.generation == 2)
        }
    }

    @Test func refusedReconnectEndsTheDoubtAtOnce() {
        var world = World(count: 2)
        world.run(for: 3_000)
        let now = milliseconds(world.now)
        #expect(world.nodes[0].linkChanged(host(1), up: false, now: now).isEmpty)
        #expect(world.nodes[0].isAlive(host(1)))
        #expect(world.nodes[0].linkChanged(host(1), up: false, now: now) == [.down(host(1))])
        #expect(!world.nodes[0].isAlive(host(1)))
    }

    @Test func brokenLinkThatIsMadeAgainSoonIsNoDeath() {
        var world = World(count: 3)
        world.run(for: 5_000)
        let actions = world.nodes[0].linkChanged(host(1), up: false, now: milliseconds(world.now))
        world.carryOut(actions, 0)
        world.run(for: 200)
        let again = world.nodes[0].linkChanged(host(1), up: true, now: milliseconds(world.now))
        world.carryOut(again, 0)
        world.run(for: 5_000)
        #expect(world.time(of: .down(host(1)), at: 0) == nil)
    }

    @Test func hungNodeIsSuspectedByPhiAndComesBack() throws {
        var world = World(count: 3)
        world.run(for: 120_000)
        let hungAt = world.now
        world.isHung[1] = true
        world.run(for: 40_000)
        let down = try #require(world.time(of: .down(host(1)), at: 0, after: hungAt))
        // 8 x ln 10 = 18.4 mean intervals, which are a little over a second by gossip's chance.
        #expect((15_000...32_000).contains(down - hungAt), "\(down - hungAt) ms")
        let resumedAt = world.now
        world.resume(1)
        world.run(for: 3_000)
        for witness in [0, 2] {
            let up = try #require(world.time(of: .up(host(1)), at: witness, after: resumedAt))
            #expect(up - resumedAt <= 3_000)
        }
        // The node that hung must not take its own sleep for the others' death.
        #expect(world.time(of: .down(host(0)), at: 1, after: resumedAt) == nil)
    }

    @Test func newsGoRoundAboutButAliveMeansReachable() {
        var world = World(count: 3)
        world.cut = [[0, 1]]
        world.run(for: 3_000)
        world.kill(0)
        world.run(for: 1_000)
        world.start(0)
        world.run(for: 10_000)
        #expect(world.nodes[1].state(of: host(0))?.generation == 2)
        #expect(!world.nodes[1].isAlive(host(0)))
        #expect(world.nodes[2].isAlive(host(0)))
    }

    @Test func lossDoesNotMakeLivingNodesDie() {
        for seed in UInt64(1)...3 {
            var world = World(count: 3, seed: seed)
            world.lossPercent = 30
            world.run(for: 300_000)
            let deaths = world.log.filter { if case .down = $0.action { true } else { false } }
            #expect(deaths.isEmpty, "seed \(seed)")
        }
    }

    @Test func changesAreToldAtOnceAndDoNotUpsetTheRhythm() throws {
        var world = World(count: 3)
        world.run(for: 20_000)
        let before = world.now
        for epoch in UInt64(2)...400 {
            let actions = world.nodes[0].updateOwn(epoch: epoch, isReady: true, load: 5)
            world.carryOut(actions, 0)
            world.run(for: 20)
        }
        world.run(for: 100)
        let seen = try #require(world.time(of: .epochSeen(host(0), 2), at: 1, after: before))
        #expect(seen - before <= 50)
        #expect(world.nodes[2].state(of: host(0))?.epoch == 400)
        world.run(for: 60_000)
        #expect(world.time(of: .down(host(0)), at: 1) == nil)
        world.carryOut(world.nodes[0].updateOwn(epoch: 400, isReady: false, load: 5), 0)
        world.run(for: 50)
        #expect(world.time(of: .readyChanged(host(0), false), at: 1) != nil)
        #expect(world.nodes[1].isAlive(host(0)) && !world.nodes[1].isReady(host(0)))
    }

    @Test func laterLifeOfTheSameHostSupersedes() {
        var world = World(count: 2)
        let foreign = GossipMessage.syn([
            GossipDigest(host: host(0), generation: 9, heartbeat: 1)
        ])
        let actions = world.nodes[0].receive(
            foreign, from: host(1), incarnation: Incarnation(1), now: milliseconds(10))
        #expect(actions.contains(.superseded(generation: 9)))
    }

    @Test func messagesOfAFormerLifeDoNotRevive() {
        var world = World(count: 2)
        world.run(for: 2_000)
        world.kill(1)
        world.start(1)
        world.run(for: 2_000)
        world.kill(1)
        world.run(for: 1_000)
        let now = milliseconds(world.now)
        _ = world.nodes[0].linkChanged(host(1), up: true, now: now)
        #expect(world.nodes[0].heard(from: host(1), incarnation: Incarnation(1), now: now).isEmpty)
        #expect(
            world.nodes[0].heard(from: host(1), incarnation: Incarnation(3), now: now).first
                == .up(host(1)))
    }

    @Test func strangersAreIgnoredAndFormerMembersForgotten() {
        var world = World(count: 3)
        world.run(for: 2_000)
        let now = milliseconds(world.now)
        let actions = world.nodes[0].setMembers([host(0), host(1)], now: now)
        #expect(actions == [.down(host(2))])
        #expect(world.nodes[0].state(of: host(2)) == nil)
        let stranger = world.nodes[0].receive(
            .syn([]), from: host(2), incarnation: Incarnation(1), now: now)
        #expect(stranger.isEmpty)
    }

    @Test func sameSeedGivesTheSameHistory() {
        func history(_ seed: UInt64) -> [String] {
            var world = World(count: 4, seed: seed)
            world.lossPercent = 10
            world.run(for: 5_000)
            world.kill(2)
            world.run(for: 5_000)
            world.start(2)
            world.run(for: 5_000)
            return world.log.map { "\($0.at) \($0.node) \($0.action)" }
        }
        #expect(history(5) == history(5))
        #expect(history(5) != history(6))
    }
}

struct PhiAccrualFailureDetectorTests {
    @Test func phiGrowsWithSilenceByTheMeanInterval() {
        var detector = PhiAccrualFailureDetector(firstInterval: .seconds(2))
        #expect(detector.phi(at: milliseconds(0)) == 0)
        for second in 0...2_000 { detector.heartbeat(at: milliseconds(Int64(second) * 1_000)) }
        let end: Int64 = 2_000_000
        #expect(detector.phi(at: milliseconds(end)) == 0)
        #expect(abs(detector.phi(at: milliseconds(end + 1_000)) - 0.4343) < 0.001)
        #expect(detector.phi(at: milliseconds(end + 18_000)) < 8)
        #expect(detector.phi(at: milliseconds(end + 19_000)) > 8)
    }

    @Test func outagesAreNoPartOfTheRhythm() {
        var detector = PhiAccrualFailureDetector(firstInterval: .seconds(2))
        for second in 0...100 { detector.heartbeat(at: milliseconds(Int64(second) * 1_000)) }
        let before = detector.phi(at: milliseconds(110_000))
        detector.heartbeat(at: milliseconds(500_000))
        #expect(abs(detector.phi(at: milliseconds(510_000)) - before) < 0.05)
    }
}
