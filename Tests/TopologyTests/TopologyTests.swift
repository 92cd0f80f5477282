import Encoding
import Environment
import Model
import Testing
import Topology

/// Nodes with the given places and tokens of a new cluster.
private func cluster(
    _ places: [(String, String)], virtualNodes: Int = 8, seed: UInt64 = 1
) -> [NodeDescription] {
    let tokens = TokenAllocation.tokens(
        for: places.map { TokenAllocation.Place(datacenter: $0.0, rack: $0.1) },
        virtualNodes: virtualNodes, seed: seed)
    return places.enumerated().map { index, place in
        let address = SocketAddress(address: [127, 0, 0, UInt8(index + 1)], port: 9042)
        return NodeDescription(
            hostID: HostID(UniqueID(high: 7, low: UInt64(index))), clientAddress: address,
            peerAddress: address, datacenter: place.0, rack: place.1, tokens: tokens[index],
            shardCount: 1)
    }
}

private func placement(
    _ nodes: [NodeDescription], _ strategy: ReplicationStrategy
) throws -> (Placement, PlacementSnapshot) {
    let snapshot = PlacementSnapshot(epoch: 1, nodes: nodes, keyspaces: [("ks", strategy)])
    return (try #require(snapshot.placement(of: "ks")), snapshot)
}

struct TokenRangeTests {
    @Test func rangeExcludesItsStartAndWraps() {
        let plain = TokenRange(start: Token(0), end: Token(10))
        #expect(!plain.contains(Token(0)) && plain.contains(Token(1)) && plain.contains(Token(10)))
        #expect(!plain.contains(Token(11)))
        let wrapping = TokenRange(start: Token(10), end: Token(0))
        #expect(wrapping.contains(Token(11)) && wrapping.contains(.maximum))
        #expect(wrapping.contains(Token(0)) && !wrapping.contains(Token(10)))
        #expect(TokenRange.wholeRing.contains(Token(5)) && TokenRange.wholeRing.contains(.maximum))
    }

    @Test func unwrappedRangesHoldTheSameTokens() {
        var random = RandomStream(seed: 3, name: "ranges")
        for _ in 0..<500 {
            let edges = [Int64.min, .min + 1, -5, 0, 5, .max - 1, .max]
            func pick() -> Token {
                random.chance(1, outOf: 2)
                    ? Token(edges[Int(random.below(UInt64(edges.count)))])
                    : Token(Int64(bitPattern: random.next()))
            }
            let range = TokenRange(start: pick(), end: pick())
            let parts = range.unwrapped
            #expect(parts.allSatisfy { $0.start < $0.end })
            for _ in 0..<20 {
                let token = pick()
                if token == .minimum { continue }
                #expect(range.contains(token) == parts.contains { $0.contains(token) })
            }
        }
    }
}

struct ShardMapTests {
    @Test func shardsAreContiguousEqualSlices() {
        var random = RandomStream(seed: 4, name: "shards")
        for count in [1, 2, 3, 5, 8, 64, 100] {
            #expect(ShardMap.shard(of: .minimum, count: count).value == 0)
            #expect(ShardMap.shard(of: .maximum, count: count).value == count - 1)
            for shard in 0..<count {
                let first = ShardMap.firstToken(of: ShardIndex(shard), count: count)
                let last = ShardMap.lastToken(of: ShardIndex(shard), count: count)
                #expect(ShardMap.shard(of: first, count: count).value == shard)
                #expect(ShardMap.shard(of: last, count: count).value == shard)
                if shard > 0 {
                    let before = ShardMap.shard(of: Token(first.value - 1), count: count)
                    #expect(before.value == shard - 1)
                }
            }
            for _ in 0..<100 {
                let token = Token(Int64(bitPattern: random.next()))
                let shard = ShardMap.shard(of: token, count: count)
                #expect(token >= ShardMap.firstToken(of: shard, count: count))
                #expect(token <= ShardMap.lastToken(of: shard, count: count))
            }
        }
    }

    @Test func sliceBoundsNeverChange() {
        #expect(ShardMap.firstToken(of: ShardIndex(1), count: 2) == Token(0))
        #expect(
            ShardMap.firstToken(of: ShardIndex(1), count: 3) == Token(-3_074_457_345_618_258_602))
        #expect(
            ShardMap.firstToken(of: ShardIndex(2), count: 3) == Token(3_074_457_345_618_258_603))
    }
}

struct TokenAllocationTests {
    @Test func everyNodeOwnsAnEqualShare() throws {
        let nodes = cluster([("a", "1"), ("a", "2"), ("a", "3"), ("a", "1"), ("a", "2")])
        let (placed, _) = try placement(nodes, .simple(factor: 3))
        var shares = [Double](repeating: 0, count: nodes.count)
        for position in 0..<placed.ring.count {
            let range = placed.ring.range(at: position)
            let width = UInt64(bitPattern: range.end.value &- range.start.value)
            for node in placed.replicas(at: position) { shares[node.index] += Double(width) }
        }
        let whole = Double(UInt64.max)
        for share in shares { #expect(abs(share / whole - 0.6) < 0.01, "share \(share / whole)") }
    }

    @Test func tokensAreUniqueAndRepeatable() {
        let places = [("a", "1"), ("a", "1"), ("b", "1"), ("b", "2"), ("b", "3")]
        for seed in UInt64(0)..<50 {
            let nodes = cluster(places, virtualNodes: 16, seed: seed)
            let all = nodes.flatMap(\.tokens)
            #expect(Set(all).count == 5 * 16, "seed \(seed)")
            #expect(!all.contains(.minimum))
            #expect(cluster(places, virtualNodes: 16, seed: seed) == nodes)
        }
        #expect(cluster(places, seed: 1) != cluster(places, seed: 2))
    }
}

struct PlacementTests {
    @Test func replicasSpreadOverRacksWherePossible() throws {
        let nodes = cluster([("a", "1"), ("a", "1"), ("a", "2"), ("a", "2"), ("a", "3")])
        let (placed, snapshot) = try placement(
            nodes, .networkTopology([.init(datacenter: "a", factor: 3)]))
        for position in 0..<placed.ring.count {
            let racks = placed.replicas(at: position).map { snapshot.nodes[$0.index].rack }
            #expect(Set(racks).count == 3)
        }
    }

    @Test func moreReplicasThanNodesGivesAllNodes() throws {
        let nodes = cluster([("a", "1"), ("a", "1")])
        let (placed, _) = try placement(nodes, .simple(factor: 3))
        #expect(placed.replicaCount == 2)
        #expect(placed.replicationFactor == 3)
        #expect(placed.replicas(of: Token(0)).count == 2)
    }

    @Test func localKeyspaceHasNoReplicaLists() throws {
        let (placed, _) = try placement(cluster([("a", "1")]), .local)
        #expect(placed.isLocal && placed.replicas(of: Token(1)).isEmpty)
    }

    @Test func emptyRingAnswersNoReplicas() throws {
        let (placed, _) = try placement([], .simple(factor: 3))
        #expect(placed.replicas(of: Token(1)).isEmpty)
    }

    @Test func rangesOfANodeCoverWhatItReplicates() throws {
        let nodes = cluster([("a", "1"), ("a", "1"), ("a", "1"), ("a", "1")])
        let (placed, _) = try placement(nodes, .simple(factor: 2))
        var random = RandomStream(seed: 5, name: "tokens")
        for _ in 0..<200 {
            let token = Token(Int64(bitPattern: random.next()))
            for index in nodes.indices {
                let node = NodeIndex(index)
                let holds = placed.ranges(heldBy: node).contains { $0.contains(token) }
                #expect(holds == placed.replicas(of: token).contains(node))
            }
        }
    }
}

struct ReplicationOptionsTests {
    private func normalized(
        _ name: String, _ options: [String: String], previous: ReplicationParameters? = nil
    ) throws -> ReplicationParameters {
        try ReplicationStrategy.normalized(
            ReplicationParameters(strategyClass: name, options: options), previous: previous,
            datacenters: ["dc1", "dc2"])
    }

    @Test func shorthandIsExpandedToAllDatacenters() throws {
        let made = try normalized(
            "NetworkTopologyStrategy", ["replication_factor": "3", "dc2": "1"])
        #expect(made.strategyClass == ReplicationStrategy.networkTopologyClass)
        #expect(made.options == ["dc1": "3", "dc2": "1"])
        let altered = try normalized(
            "NetworkTopologyStrategy", ["replication_factor": "2"],
            previous: ReplicationParameters(
                strategyClass: ReplicationStrategy.networkTopologyClass, options: ["dc1": "5"]))
        #expect(altered.options == ["dc1": "5", "dc2": "2"])
    }

    @Test func unusableOptionsAreRefusedByName() {
        func message(_ name: String, _ options: [String: String]) -> String {
            do {
                _ = try normalized(name, options)
                return "accepted"
            } catch let error as ReplicationError {
                return error.message
            } catch {
                return "other"
            }
        }
        #expect(message("Nonsense", [:]).contains("org.apache.cassandra.locator.Nonsense"))
        #expect(message("SimpleStrategy", [:]).contains("requires a replication_factor"))
        #expect(message("SimpleStrategy", ["replication_factor": "x"]).contains("numeric"))
        #expect(message("SimpleStrategy", ["replication_factor": "-1"]).contains("non-negative"))
        #expect(message("SimpleStrategy", ["replication_factor": "3/1"]).contains("Transient"))
        #expect(message("SimpleStrategy", ["replication_factor": "3", "x": "1"]).contains("{x}"))
        #expect(message("NetworkTopologyStrategy", ["dc9": "1"]).contains("{dc9}"))
        #expect(message("NetworkTopologyStrategy", ["dc1": "0"]).contains("at least one"))
    }
}

struct BlockForTests {
    @Test func levelsNeedCassandrasNumbers() throws {
        let nodes = cluster([
            ("a", "1"), ("a", "2"), ("a", "3"), ("b", "1"), ("b", "2"), ("b", "3"),
        ])
        let (placed, snapshot) = try placement(
            nodes,
            .networkTopology([
                .init(datacenter: "a", factor: 3), .init(datacenter: "b", factor: 2),
            ]))
        func required(_ level: ConsistencyLevel, _ datacenter: String = "a") throws -> Int {
            BlockFor.required(
                level, placement: placed,
                localDatacenter: try #require(snapshot.datacenterIndex(datacenter)))
        }
        #expect(try required(.any) == 1 && required(.one) == 1 && required(.localOne) == 1)
        #expect(try required(.two) == 2 && required(.three) == 3)
        #expect(try required(.quorum) == 3 && required(.serial) == 3)
        #expect(try required(.all) == 5)
        #expect(try required(.localQuorum) == 2 && required(.localQuorum, "b") == 2)
        #expect(try required(.eachQuorum) == 4)
        let pending = BlockFor.required(
            .localQuorum, placement: placed, localDatacenter: 0, pending: 2, pendingLocally: 1)
        #expect(pending == 3)
    }

    @Test func unavailableCarriesRequiredAndAlive() throws {
        let nodes = cluster([("a", "1"), ("a", "2"), ("a", "3"), ("b", "1")])
        let (placed, snapshot) = try placement(
            nodes,
            .networkTopology([
                .init(datacenter: "a", factor: 3), .init(datacenter: "b", factor: 1),
            ]))
        func check(_ level: ConsistencyLevel, _ alive: [Int]) -> BlockFor.Availability {
            BlockFor.availability(
                level, placement: placed, snapshot: snapshot, localDatacenter: 0,
                alive: alive.map { NodeIndex($0) })
        }
        #expect(check(.quorum, [0, 1, 3]) == .sufficient)
        #expect(check(.quorum, [0, 3]) == .insufficient(required: 3, alive: 2))
        #expect(check(.all, [0, 1, 3]) == .insufficient(required: 4, alive: 3))
        #expect(check(.localQuorum, [0, 3]) == .insufficient(required: 2, alive: 1))
        #expect(check(.localOne, [3]) == .insufficient(required: 1, alive: 0))
        #expect(check(.eachQuorum, [0, 1, 2]) == .insufficient(required: 1, alive: 0))
        #expect(check(.eachQuorum, [0, 1, 3]) == .sufficient)
        #expect(check(.any, []) == .sufficient)
    }

    @Test func configuredFactorCountsEvenWithFewerNodes() throws {
        let (placed, snapshot) = try placement(cluster([("a", "1")]), .simple(factor: 3))
        #expect(
            BlockFor.availability(
                .quorum, placement: placed, snapshot: snapshot, localDatacenter: 0,
                alive: [NodeIndex(0)]) == .insufficient(required: 2, alive: 1))
    }

    @Test func quotaCountsOnlyWhatTheLevelCounts() throws {
        let nodes = cluster([("a", "1"), ("a", "2"), ("a", "3"), ("b", "1")])
        let (placed, _) = try placement(
            nodes,
            .networkTopology([
                .init(datacenter: "a", factor: 3), .init(datacenter: "b", factor: 1),
            ]))
        var local = AnswerQuota(.localQuorum, placement: placed, localDatacenter: 0)
        let answers = [1, 0, 0].map { local.count(answerFromDatacenter: $0) }
        #expect(answers == [false, false, true])
        #expect(local.received == 2)
        var each = AnswerQuota(.eachQuorum, placement: placed, localDatacenter: 0)
        let eachAnswers = [0, 0, 0, 1].map { each.count(answerFromDatacenter: $0) }
        #expect(eachAnswers == [false, false, false, true])
        var quorum = AnswerQuota(.quorum, placement: placed, localDatacenter: 0)
        #expect(quorum.required == 3)
        let quorumAnswers = [0, 1, 0].map { quorum.count(answerFromDatacenter: $0) }
        #expect(quorumAnswers == [false, false, true])
    }
}
