// The world itself, around a machine small enough to know what must come out of it.

import Encoding
import Environment
import Testing

@testable import Simulation

/// Says its number to everyone now and then, echoes clients, appends to a log and syncs it.
private final class Parrot: ShardMachine {
    let launch: NodeLaunch
    let incarnation: Incarnation
    let index: Int
    let hosts: [HostID]
    let spread: Int64
    var sequence: UInt64 = 0
    var logOffset = 0
    var due = Instant(nanoseconds: 0)
    var events: [String] = []
    var peerMessages = 0
    var synced = 0

    init(
        _ launch: NodeLaunch, incarnation: Incarnation, index: Int, hosts: [HostID], spread: Int64,
        files: any FileSystem,
        outbox: Outbox, clock: ClockReading
    ) throws(DiskFailure) {
        self.launch = launch
        self.incarnation = incarnation
        self.index = index
        self.hosts = hosts
        self.spread = spread
        let log = FileName("log-\(index)")
        if try files.list().contains(log) {
            logOffset = try files.size(of: log)
        } else {
            try files.create(log, preallocate: 0)
            try files.sync(log)
            try files.syncFolder()
        }
        for host in hosts where host != launch.host {
            outbox.effects.append(.peerLink(host, launch.peerAddress))
        }
        due = clock.monotonic + .milliseconds(spread)
        outbox.wakeAt = due
    }

    func step(_ inbox: Inbox, clock: ClockReading, outbox: Outbox) {
        for event in inbox.events {
            switch event {
            case .clientBytes(let id, let range):
                outbox.effects.append(.clientBytes(id, outbox.store(inbox.bytes[range])))
            case .peerConnected(let host): events.append("up \(hosts.firstIndex(of: host) ?? -1)")
            case .peerDisconnected(let host):
                events.append("down \(hosts.firstIndex(of: host) ?? -1)")
            case .peerMessage: peerMessages += 1
            case .logSynced(let id):
                if id.incarnation == incarnation { synced += 1 }
            default: break
            }
        }
        guard clock.monotonic >= due else {
            outbox.wakeAt = due
            return
        }
        due = clock.monotonic + .milliseconds(spread)
        sequence += 1
        let text = withUnsafeBytes(of: sequence.littleEndian) { outbox.store($0) }
        outbox.effects.append(
            .logAppend(FileName("log-\(index)"), offset: logOffset, text))
        logOffset += 8
        outbox.effects.append(
            .logSync(
                EffectID(incarnation: incarnation, sequence: sequence),
                FileName("log-\(index)")))
        for host in hosts where host != launch.host {
            outbox.effects.append(.peerMessage(host, text))
        }
        outbox.wakeAt = due
    }
}

private final class Ring {
    /// The machines of each node's present life.
    final class Cage { var parrots: [Int: [Parrot]] = [:] }

    let world: SimulatedWorld
    private let cage = Cage()
    var parrots: [Int: [Parrot]] { cage.parrots }

    init(_ settings: WorldSettings, spread: Int64 = 10) {
        let hosts = SimulatedWorld.hosts(seed: settings.seed, count: settings.nodeCount)
        let cage = cage
        world = SimulatedWorld(
            settings, hosts: hosts,
            metadata: Array(repeating: MetadataImage(), count: settings.nodeCount)
        ) { launch, store, files, clock, outboxes throws(LaunchFailure) in
            let stored = store.image.local["generation"].flatMap { UInt32($0) } ?? 0
            let incarnation = Incarnation(stored + 1)
            store.commit(MetadataBatch([.setLocal("generation", String(stored + 1))]))
            var parrots: [Parrot] = []
            for index in 0..<launch.shardCount {
                do {
                    parrots.append(
                        try Parrot(
                            launch, incarnation: incarnation, index: index, hosts: hosts,
                            spread: spread, files: files, outbox: outboxes[index], clock: clock))
                } catch {
                    throw LaunchFailure("\(error)")
                }
            }
            cage.parrots[launch.index] = parrots
            return NodeBirth(incarnation: incarnation, machines: parrots)
        }
        world.startAll()
    }
}

private final class EchoClient: ClientActor {
    var received: [UInt8] = []
    var pieces = 0
    var isOpen = false
    var isClosed = false
    func connectionOpened(_ connection: SimulatedConnection) { isOpen = true }
    func received(_ bytes: UnsafeRawBufferPointer, on connection: SimulatedConnection) {
        received += bytes
        pieces += 1
    }
    func connectionClosed(_ connection: SimulatedConnection) { isClosed = true }
}

@Suite struct WorldTests {
    private func settings(_ seed: UInt64) -> WorldSettings {
        WorldSettings(seed: seed, configuration: .simulation(seed: seed))
    }

    @Test func theSameSeedGivesTheSameTraceAndAnotherSeedAnother() {
        func run(_ seed: UInt64) -> TraceHash {
            var settings = settings(seed)
            settings.network.lossChance = 50_000
            settings.network.duplicateChance = 50_000
            settings.network.straggleChance = 50_000
            let ring = Ring(settings)
            ring.world.install([
                Fault(at: .milliseconds(100), .kill(node: 0, afterEffects: 3)),
                Fault(at: .milliseconds(300), .restart(node: 0)),
                Fault(at: .milliseconds(400), .powerLoss(node: 1, afterEffects: 7)),
                Fault(at: .milliseconds(500), .isolate(node: 2)),
                Fault(at: .milliseconds(800), .rejoin(node: 2)),
                Fault(at: .milliseconds(850), .restart(node: 1)),
            ])
            ring.world.run(until: .milliseconds(2_000))
            #expect(ring.world.failures.isEmpty)
            return ring.world.trace
        }
        let first = run(3)
        #expect(first == run(3))
        #expect(first != run(4))
        #expect(first.count > 1_000)
    }

    @Test func oneWayCutsLoseOneDirectionOnly() {
        var settings = settings(5)
        settings.shardCounts = [1, 1, 1]
        settings.network.unnoticedChance = 1_000_000
        let ring = Ring(settings)
        ring.world.run(until: .milliseconds(500))
        ring.world.install([Fault(at: ring.world.now, .cut(from: 0, to: 1))])
        ring.world.run(until: .milliseconds(510))
        let before = ring.parrots.mapValues { $0[0].peerMessages }
        ring.world.run(until: .milliseconds(1_510))
        let gained = ring.parrots.mapValues { $0[0].peerMessages }
            .merging(before) { $0 - $1 }
        // Each node hears two others at most; node 1 hears only node 2.
        #expect(gained[1] ?? 0 > 20)
        #expect((gained[1] ?? 0) * 3 < (gained[0] ?? 0) * 2)
        #expect((gained[1] ?? 0) * 3 < (gained[2] ?? 0) * 2)
    }

    @Test func linksAreRestoredAfterAKillAndAfterACut() {
        var settings = settings(6)
        settings.shardCounts = [1, 1, 1]
        settings.network.unnoticedChance = 0
        let ring = Ring(settings)
        ring.world.install([
            Fault(at: .milliseconds(500), .kill(node: 1, afterEffects: 0)),
            Fault(at: .milliseconds(1_500), .restart(node: 1)),
            Fault(at: .milliseconds(3_000), .isolate(node: 2)),
            Fault(at: .milliseconds(5_000), .rejoin(node: 2)),
        ])
        ring.world.run(until: .milliseconds(7_000))
        let seen = ring.parrots[0]?[0].events ?? []
        #expect(seen.filter { $0.hasSuffix("1") } == ["up 1", "down 1", "up 1"])
        #expect(seen.filter { $0.hasSuffix("2") } == ["up 2", "down 2", "up 2"])
    }

    @Test func clientBytesComeBackInOrderHoweverTheyAreCut() {
        var settings = settings(8)
        settings.clients.splitChance = 500_000
        settings.clients.joinChance = 500_000
        let ring = Ring(settings)
        let client = EchoClient()
        let connection = ring.world.connect(client, named: "echo", to: 1)
        ring.world.run(until: .milliseconds(5))
        #expect(client.isOpen)
        var sent: [UInt8] = []
        for round in 0..<300 {
            let bytes = (0..<7).map { UInt8(truncatingIfNeeded: round * 7 + $0) }
            sent += bytes
            bytes.withUnsafeBytes { ring.world.send($0, on: connection) }
            ring.world.run(until: ring.world.now + .microseconds(30))
        }
        ring.world.run(until: ring.world.now + .milliseconds(50))
        #expect(client.received == sent)
        #expect(client.pieces != 300)
        ring.world.kill(1)
        ring.world.run(until: ring.world.now + .milliseconds(50))
        #expect(client.isClosed)
    }

    @Test func aPausedNodeDoesNothingAndThenGoesOn() {
        var settings = settings(9)
        settings.shardCounts = [1, 1, 1]
        let ring = Ring(settings)
        ring.world.run(until: .milliseconds(300))
        ring.world.pause(0)
        let before = ring.parrots[0]?[0].sequence
        ring.world.run(until: .milliseconds(900))
        #expect(ring.parrots[0]?[0].sequence == before)
        ring.world.resume(0)
        ring.world.run(until: .milliseconds(1_200))
        #expect(ring.parrots[0]?[0].sequence ?? 0 > (before ?? 0) + 10)
    }

    @Test func aKillKeepsEveryAppendedByteAndAPowerLossEverySyncedOne() throws {
        for seed in 1...40 as ClosedRange<UInt64> {
            var settings = settings(seed)
            settings.shardCounts = [1, 1, 1]
            let ring = Ring(settings)
            ring.world.run(until: .milliseconds(200 + Int64(seed)))
            let killed = try #require(ring.parrots[0]?[0])
            let darkened = try #require(ring.parrots[1]?[0])
            let file = FileName("log-0")
            ring.world.kill(0)
            ring.world.losePower(1)
            ring.world.nodes[0].disk.isDead = false
            ring.world.nodes[1].disk.isDead = false
            #expect(try ring.world.nodes[0].disk.size(of: file) == killed.logOffset)
            let left = try ring.world.nodes[1].disk.size(of: file)
            #expect(left >= darkened.synced * 8 && left <= darkened.logOffset, "seed \(seed)")
        }
    }

    @Test func everyCrashPointCanBeHit() {
        // The node dies after n effects, for each n: it always starts again.
        for effects in 0..<25 {
            let ring = Ring(settings(11))
            ring.world.install([
                Fault(at: .milliseconds(100), .powerLoss(node: 0, afterEffects: effects)),
                Fault(at: .milliseconds(400), .restart(node: 0)),
            ])
            ring.world.run(until: .milliseconds(800))
            #expect(ring.world.failures.isEmpty)
            #expect(ring.world.nodes[0].life == 2)
            #expect(ring.world.nodes[0].state == .running)
        }
    }

    @Test func clocksRunAtTheirOwnRate() {
        for drift in [-300, 0, 7, 250] as [Int64] {
            let clock = SimulatedClock(driftPartsPerMillion: drift)
            for nanoseconds in [0, 1, 999, 1_000_003, 86_400_000_000_001] as [Int64] {
                let wanted = Instant(nanoseconds: clock.monotonicBase + nanoseconds)
                let time = clock.time(of: wanted)
                #expect(clock.read(time).monotonic >= wanted)
                if time.nanoseconds > 0 {
                    let before = VirtualTime(nanoseconds: time.nanoseconds - 1)
                    #expect(clock.read(before).monotonic < wanted)
                }
            }
        }
    }

    @Test func theQueueIsOrderedByTimeAndThenByArrival() {
        let queue = EventQueue<Int>(capacity: 2)
        var stream = RandomStream(seed: 1, name: "queue")
        var twin: [(Int64, Int)] = []
        for number in 0..<5_000 {
            let time = Int64(stream.below(200))
            queue.push(at: time, number)
            twin.append((time, number))
            if stream.chance(1, outOf: 3) {
                twin.sort { $0 < $1 }
                let (time, element) = queue.pop()
                let expected = twin.removeFirst()
                #expect(time == expected.0 && element == expected.1)
            }
        }
    }

    @Test func theWorldIsFast() {
        var settings = settings(12)
        settings.shardCounts = [1, 1, 1]
        let ring = Ring(settings, spread: 1)
        let clock = ContinuousClock()
        let time = clock.measure { ring.world.run(until: .milliseconds(60_000)) }
        let seconds = Double(time.components.seconds) + Double(time.components.attoseconds) / 1e18
        print(
            "world: \(ring.world.eventCount) events in \(seconds) s, "
                + "\(Int(Double(ring.world.eventCount) / seconds)) a second")
        #expect(ring.world.eventCount > 300_000)
    }
}
