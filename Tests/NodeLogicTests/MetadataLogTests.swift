// Several metadata logs on a network that loses, repeats and reorders messages, with nodes that are
// killed between any two actions and start again from what they had committed.

import Encoding
import Environment
import Model
import NodeLogic
import PeerProtocol
import Testing

private enum PaxosAcceptorBytes {
    /// The ballot at the start of a stored vote.
    static func promised(_ bytes: [UInt8]) throws -> Ballot {
        try bytes.withUnsafeBytes { raw in
            var reader = ByteReader(raw)
            return try Ballot(&reader)
        }
    }
}

/// What a client asked for, as the caller of the machine keeps it.
private struct Wish {
    let id: ProposalID
    let keyspace: String
}

private struct World {
    struct Node {
        var log: MetadataLog
        var image: MetadataImage
        var life: UInt32 = 1
        var isRunning = true
        /// Handed out and not durable yet.
        var pending: [(MetadataBatch, UInt64)] = []
        var wishes: [ProposalID: Wish] = [:]
        var installed: [UInt64] = []
    }

    var random: RandomStream
    var nodes: [Node] = []
    var now = Instant(nanoseconds: 0)
    var network: [(from: Int, to: Int, MetadataMessage)] = []
    var losesPercent: UInt64 = 0
    var repeatsPercent: UInt64 = 0
    /// Nodes that hear and say nothing.
    var isolated: Set<Int> = []
    var nextID: UInt64 = 0
    /// Keyspace names by outcome.
    var committed: [String: UInt64] = [:]
    var rejected: [String: String] = [:]
    var undecided: [String: MetadataLog.Outcome] = [:]
    var faults: [String] = []
    var deadline = Instant.Span.seconds(10)

    init(seed: UInt64, nodes count: Int, voters: Int) throws {
        random = RandomStream(seed: seed, name: "metadata world")
        var image = MetadataImage()
        image.apply(try initialBatch(nodes: count, voters: voters))
        for index in 0..<count {
            nodes.append(Node(log: try Self.load(image, index, 1), image: image))
        }
    }

    private static func load(
        _ image: MetadataImage, _ index: Int, _ life: UInt32
    ) throws -> MetadataLog {
        try MetadataLog(
            loading: image, host: host(index), incarnation: Incarnation(life),
            random: RandomStream(seed: UInt64(life), name: "log \(index)"))
    }

    var running: [HostID] { nodes.indices.filter { nodes[$0].isRunning }.map(host) }

    mutating func propose(_ keyspace: String, at index: Int, alive: [HostID]? = nil) {
        guard nodes[index].isRunning, let epoch = nodes[index].log.installed?.epoch else { return }
        nextID += 1
        let wish = Wish(id: ProposalID(nextID), keyspace: keyspace)
        nodes[index].wishes[wish.id] = wish
        let actions = nodes[index].log.propose(
            wish.id, .schema([keyspaceEdit(keyspace)]), expectedEpoch: epoch,
            alive: alive ?? nodes.indices.map(host), time: WallTime(microseconds: 1),
            deadline: now + deadline, now: now)
        carryOut(actions, index)
    }

    mutating func kill(_ index: Int) {
        nodes[index].isRunning = false
        nodes[index].pending = []
        nodes[index].wishes = [:]
    }

    mutating func start(_ index: Int) throws {
        guard !nodes[index].isRunning else { return }
        nodes[index].life += 1
        nodes[index].isRunning = true
        nodes[index].log = try Self.load(nodes[index].image, index, nodes[index].life)
        nodes[index].installed = []
    }

    /// A node may be killed between any two actions.
    mutating func carryOut(_ actions: [MetadataLog.Action], _ index: Int, killChance: UInt64 = 0) {
        for action in actions {
            if killChance > 0, random.chance(killChance, outOf: 1_000) {
                kill(index)
                return
            }
            switch action {
            case .send(let target, let message):
                guard let to = nodes.indices.first(where: { host($0) == target }) else { continue }
                #expect(to != index, "a message to itself")
                network.append((index, to, message))
            case .commit(let batch, let number): nodes[index].pending.append((batch, number))
            case .installed(let state, let entries):
                let last = nodes[index].image.log.last?.epoch ?? 0
                if state.epoch > last { faults.append("installed \(state.epoch) before commit") }
                if entries.last?.epoch != state.epoch { faults.append("state of another epoch") }
                nodes[index].installed.append(state.epoch)
            case .revalidate(let id, let state):
                guard let wish = nodes[index].wishes[id] else { continue }
                if state.schema.keyspace(named: wish.keyspace) != nil {
                    nodes[index].wishes[id] = nil
                    rejected[wish.keyspace] = "exists"
                    carryOut(nodes[index].log.abandon(id, now: now), index, killChance: killChance)
                } else {
                    let again = nodes[index].log.repropose(
                        id, .schema([keyspaceEdit(wish.keyspace)]), expectedEpoch: state.epoch,
                        now: now)
                    carryOut(again, index, killChance: killChance)
                }
                if !nodes[index].isRunning { return }
            case .ended(let id, let outcome):
                guard let wish = nodes[index].wishes.removeValue(forKey: id) else { continue }
                switch outcome {
                case .committed(let epoch):
                    if committed[wish.keyspace] != nil { faults.append("twice: \(wish.keyspace)") }
                    committed[wish.keyspace] = epoch
                    if nodes[index].log.installed?.epoch ?? 0 < epoch {
                        faults.append("ended before installed")
                    }
                case .rejected(let reason): rejected[wish.keyspace] = reason
                case .noMajority: undecided[wish.keyspace] = outcome
                }
            case .conflict(let epoch, _): faults.append("conflict at \(epoch)")
            case .unreadable(let epoch, let reason): faults.append("unreadable \(epoch): \(reason)")
            }
        }
    }

    /// One random thing happens.
    mutating func step(killChance: UInt64 = 0) {
        let choice = random.below(10)
        if choice < 6, !network.isEmpty {
            let at = Int(random.below(UInt64(network.count)))
            let (from, to, message) = network[at]
            if !random.chance(repeatsPercent, outOf: 100) {
                network.swapAt(at, network.count - 1)
                network.removeLast()
            }
            if random.chance(losesPercent, outOf: 100) || !nodes[to].isRunning
                || isolated.contains(from) || isolated.contains(to)
            {
                return
            }
            let actions = nodes[to].log.receive(message, from: host(from), now: now)
            carryOut(actions, to, killChance: killChance)
        } else if choice < 9 {
            let index = Int(random.below(UInt64(nodes.count)))
            guard nodes[index].isRunning, !nodes[index].pending.isEmpty else { return }
            let (batch, number) = nodes[index].pending.removeFirst()
            nodes[index].image.apply(batch)
            carryOut(
                nodes[index].log.committed(number, now: now), index, killChance: killChance)
        } else {
            now = now + .milliseconds(random.within(1...40))
            for index in nodes.indices where nodes[index].isRunning {
                if let due = nodes[index].log.deadline, due <= now {
                    carryOut(nodes[index].log.tick(now: now), index, killChance: killChance)
                }
            }
        }
    }

    /// Headers and gossip tell of newer epochs.
    mutating func gossip() {
        for index in nodes.indices where nodes[index].isRunning && !isolated.contains(index) {
            let other = Int(random.below(UInt64(nodes.count)))
            guard nodes[other].isRunning, other != index, !isolated.contains(other),
                let epoch = nodes[other].log.installed?.epoch
            else { continue }
            carryOut(nodes[index].log.epochSeen(epoch, at: host(other), now: now), index)
        }
    }

    mutating func run(_ steps: Int) {
        for count in 0..<steps {
            step()
            if count % 50 == 0 { gossip() }
        }
    }

    func checkAgreement(_ label: String) {
        #expect(faults.isEmpty, "\(label): \(faults)")
        let longest = nodes.map(\.image.log).max { $0.count < $1.count } ?? []
        for (index, node) in nodes.enumerated() {
            for (position, record) in node.image.log.enumerated() {
                #expect(record == longest[position], "\(label): node \(index) epoch \(position)")
            }
            #expect(node.installed == node.installed.sorted(), "\(label)")
        }
    }
}

struct MetadataLogTests {
    @Test func proposalIsInstalledEverywhere() throws {
        var world = try World(seed: 1, nodes: 3, voters: 3)
        world.propose("a", at: 0)
        world.run(2_000)
        #expect(world.committed == ["a": 1])
        for node in world.nodes {
            let state = try #require(node.log.installed)
            #expect(state.epoch == 1 && state.schema.keyspace(named: "a") != nil)
            #expect(
                node.image.log.map(\.summary) == [
                    "INITIALISE CLUSTER Test WITH 3 NODES", "CREATE KEYSPACE a",
                ])
            #expect(node.log.schemaVersion(atEpoch: 1) == state.schema.version)
        }
        world.checkAgreement("simple")
    }

    @Test func aSingleNodeAgreesWithItself() throws {
        var world = try World(seed: 1, nodes: 1, voters: 1)
        world.propose("a", at: 0)
        world.propose("b", at: 0)
        world.propose("a", at: 0)
        world.run(500)
        #expect(world.committed == ["a": 1, "b": 2])
        #expect(world.rejected == ["a": "exists"])
    }

    @Test func proposersOfTheSameEpochBothSucceedOneAfterTheOther() throws {
        for seed in UInt64(0)..<30 {
            var world = try World(seed: seed, nodes: 4, voters: 3)
            for index in 0..<4 { world.propose("k\(index)", at: index) }
            world.run(8_000)
            #expect(world.committed.values.sorted() == [1, 2, 3, 4], "seed \(seed)")
            world.checkAgreement("seed \(seed)")
        }
    }

    @Test func sameChangeProposedTwiceTakesEffectOnce() throws {
        for seed in UInt64(0)..<30 {
            var world = try World(seed: seed, nodes: 3, voters: 3)
            for index in 0..<3 { world.propose("same", at: index) }
            world.run(6_000)
            #expect(world.committed.count == 1 && world.rejected == ["same": "exists"])
            #expect(world.nodes.allSatisfy { $0.log.installed?.epoch == 1 }, "seed \(seed)")
        }
    }

    @Test func withoutAMajorityNothingIsAgreedAndTheCauseIsNamed() throws {
        var world = try World(seed: 3, nodes: 3, voters: 3)
        world.propose("dead", at: 0, alive: [host(0)])
        #expect(
            world.undecided["dead"]
                == .noMajority(
                    answered: [host(0)], voters: [host(0), host(1), host(2)],
                    mayStillCommit: false))
        world.isolated = [1, 2]
        world.deadline = .seconds(2)
        world.propose("alone", at: 0)
        world.run(4_000)
        #expect(
            world.undecided["alone"]
                == .noMajority(
                    answered: [host(0)], voters: [host(0), host(1), host(2)],
                    mayStillCommit: false))
        #expect(world.nodes[0].log.installed?.epoch == 0)
        world.isolated = []
        world.propose("later", at: 0)
        world.run(4_000)
        #expect(world.committed == ["later": 1])
    }

    @Test func nodeThatWasAwayCatchesUpByRange() throws {
        var world = try World(seed: 4, nodes: 3, voters: 3)
        world.kill(2)
        for count in 0..<20 {
            world.propose("k\(count)", at: count % 2)
            world.run(1_500)
        }
        #expect(world.committed.count == 20)
        try world.start(2)
        world.run(3_000)
        #expect(world.nodes[2].log.installed?.epoch == 20)
        world.checkAgreement("catch up")
    }

    @Test func emptyNodeIsToldTheWholeLogAndInstallsOnlyWhatIsDurable() throws {
        var founder = try World(seed: 5, nodes: 3, voters: 3)
        founder.propose("a", at: 0)
        founder.run(2_000)
        var empty = try MetadataLog(
            loading: MetadataImage(), host: host(8), incarnation: Incarnation(1),
            random: RandomStream(seed: 1, name: "empty"))
        let now = Instant(nanoseconds: 0)
        let asked = empty.epochSeen(1, at: host(0), now: now)
        guard case .send(host(0), .catchUp(from: 0)) = asked.first else {
            Issue.record("asked \(asked)")
            return
        }
        let told = founder.nodes[0].log.receive(.catchUp(from: 0), from: host(8), now: now)
        guard case .send(host(8), let entries) = told.first else {
            Issue.record("told \(told)")
            return
        }
        let actions = empty.receive(entries, from: host(0), now: now)
        #expect(actions.count == 1 && empty.installed == nil)
        guard case .commit(let batch, let number) = actions.first else {
            Issue.record("no commit")
            return
        }
        #expect(batch.changes.count == 2)
        _ = empty.committed(number, now: now)
        #expect(empty.installed == founder.nodes[0].log.installed)
        let proposal = try MetadataLog(
            loading: MetadataImage(), host: host(8), incarnation: Incarnation(1),
            random: RandomStream(seed: 1, name: "empty"))
        #expect(proposal.installed == nil && proposal.deadline == nil)
    }

    @Test func voteIsAnsweredOnlyWhenItIsDurable() throws {
        var world = try World(seed: 9, nodes: 3, voters: 3)
        let now = world.now
        let low = Ballot(round: 1 << 24, host: host(0))
        func sent(_ actions: [MetadataLog.Action]) -> [MetadataMessage] {
            actions.compactMap { if case .send(_, let message) = $0 { message } else { nil } }
        }
        func vote(_ message: MetadataMessage) throws -> UInt64 {
            let first = world.nodes[1].log.receive(message, from: host(0), now: now)
            let again = world.nodes[1].log.receive(message, from: host(0), now: now)
            #expect(sent(first).isEmpty && sent(again).isEmpty)
            guard first.count == 1, again.isEmpty, case .commit(let batch, let number) = first[0],
                case .putVote(epoch: 1, let bytes) = batch.changes.first
            else {
                Issue.record("\(first) \(again)")
                return 0
            }
            #expect(try PaxosAcceptorBytes.promised(bytes) == low)
            return number
        }
        let promised = try vote(.prepare(epoch: 1, ballot: low))
        let promise = MetadataMessage.promise(
            epoch: 1, ballot: low, promised: low, accepted: nil)
        #expect(sent(world.nodes[1].log.committed(promised, now: now)) == [promise, promise])
        let accepted = try vote(.accept(epoch: 1, ballot: low, value: [1]))
        let acceptance = MetadataMessage.accepted(epoch: 1, ballot: low, promised: low)
        #expect(sent(world.nodes[1].log.committed(accepted, now: now)) == [acceptance, acceptance])
    }

    @Test func longLogsAreToldInPieces() throws {
        var settings = MetadataLog.Settings()
        settings.catchUpBytes = 300
        var world = try World(seed: 6, nodes: 1, voters: 1)
        for count in 0..<10 {
            world.propose("k\(count)", at: 0)
            world.run(200)
        }
        var source = try MetadataLog(
            loading: world.nodes[0].image, host: host(0), incarnation: Incarnation(2),
            settings: settings, random: RandomStream(seed: 1, name: "source"))
        var target = try MetadataLog(
            loading: MetadataImage(), host: host(1), incarnation: Incarnation(1),
            random: RandomStream(seed: 1, name: "target"))
        let now = Instant(nanoseconds: 0)
        var pieces = 0
        var toTarget: [MetadataLog.Action] = target.epochSeen(10, at: host(0), now: now)
        while case .send(_, let request)? = toTarget.first(where: {
            if case .send = $0 { true } else { false }
        }) {
            pieces += 1
            try #require(pieces < 100)
            let answer = source.receive(request, from: host(1), now: now)
            guard case .send(_, let piece) = answer.first else { break }
            toTarget = target.receive(piece, from: host(0), now: now)
        }
        #expect(pieces > 3)
        #expect(target.entries(from: 0) == source.entries(from: 0))
    }

    @Test func invalidProposalIsRejectedWithItsReason() throws {
        var world = try World(seed: 7, nodes: 1, voters: 1)
        let actions = world.nodes[0].log.propose(
            ProposalID(99), .schema([.dropKeyspace("none")]), expectedEpoch: 0, alive: [],
            time: WallTime(microseconds: 1), deadline: world.now + .seconds(1), now: world.now)
        guard case .ended(_, .rejected(let reason)) = actions.first else {
            Issue.record("\(actions)")
            return
        }
        #expect(reason.contains("'none'"))
    }

    @Test func otherEntryInAKnownEpochIsReportedAsConflict() throws {
        var world = try World(seed: 8, nodes: 1, voters: 1)
        let foreign = MetadataEntryBytes(epoch: 0, body: initialEntry(nodes: 2).encoded)
        let actions = world.nodes[0].log.receive(.entries([foreign]), from: host(1), now: world.now)
        guard case .conflict(0, with: host(1)) = actions.first else {
            Issue.record("\(actions)")
            return
        }
    }

    /// Goal: one sequence for all, each proposal at most once, and progress once faults end.
    /// Method: random losses, repeats, reordering, and kills between any two actions, then a quiet
    /// time.
    @Test(arguments: [3, 5])
    func allAgreeOnOneSequenceWhateverHappens(voters: Int) throws {
        var commits = 0
        var kills = 0
        for seed in UInt64(0)..<60 {
            var world = try World(seed: seed, nodes: voters + 1, voters: voters)
            world.losesPercent = world.random.below(30)
            world.repeatsPercent = world.random.below(30)
            for round in 0..<6 {
                for index in 0...voters where world.random.chance(1, outOf: 3) {
                    world.propose("k\(round)_\(index)", at: index)
                }
                for count in 0..<700 {
                    world.step(killChance: 12)
                    if count % 60 == 0 { world.gossip() }
                    if count % 40 == 0 {
                        for index in world.nodes.indices
                        where !world.nodes[index].isRunning && world.random.chance(1, outOf: 3) {
                            kills += 1
                            try world.start(index)
                        }
                    }
                }
                world.checkAgreement("seed \(seed) round \(round)")
            }
            world.losesPercent = 0
            world.repeatsPercent = 0
            for index in world.nodes.indices { try world.start(index) }
            world.run(6_000)
            world.propose("last", at: 0)
            world.run(6_000)
            #expect(world.committed["last"] != nil, "seed \(seed)")
            world.checkAgreement("seed \(seed)")
            let epochs = world.nodes.map { $0.log.installed?.epoch ?? 0 }
            #expect(Set(epochs).count == 1, "seed \(seed): \(epochs)")
            try checkOutcomes(world, seed)
            commits += world.committed.count
        }
        #expect(commits > 300 && kills > 150, "\(commits) commits, \(kills) kills")
    }

    private func checkOutcomes(_ world: World, _ seed: UInt64) throws {
        let log = world.nodes[0].image.log
        let ids = try log.map { try MetadataEntry($0.body).id }
        #expect(Set(ids).count == ids.count, "seed \(seed): an entry is there twice")
        for (keyspace, epoch) in world.committed {
            #expect(log[Int(epoch)].summary == "CREATE KEYSPACE \(keyspace)", "seed \(seed)")
        }
        for (keyspace, outcome) in world.undecided {
            guard case .noMajority(_, _, mayStillCommit: false) = outcome else { continue }
            #expect(
                !log.contains { $0.summary == "CREATE KEYSPACE \(keyspace)" },
                "seed \(seed): \(keyspace) was said to be impossible")
        }
    }
}
