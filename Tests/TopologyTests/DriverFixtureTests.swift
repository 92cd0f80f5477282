// Compares tokens and replicas with those that the Python driver computed (Fixtures/topology).

import Encoding
import Environment
import Foundation
import Model
import Testing
import Topology

struct DriverFixtureTests {
    private static func lines() throws -> [[String]] {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        let file = root.appendingPathComponent("Fixtures/topology/replicas.txt")
        return try String(contentsOf: file, encoding: .utf8).split(separator: "\n").map {
            $0.split(separator: " ").map(String.init)
        }
    }

    private static func node(_ words: [String]) throws -> NodeDescription {
        let number = try #require(UInt64(words[1]))
        let address = SocketAddress(address: [10, 0, 0, UInt8(number + 1)], port: 9042)
        return NodeDescription(
            hostID: HostID(UniqueID(high: 0, low: number + 1)), clientAddress: address,
            peerAddress: address, datacenter: words[2], rack: words[3],
            tokens: try words[4...].map { Token(try #require(Int64($0))) }, shardCount: 1)
    }

    @Test func replicasAreThoseThatTheDriverRoutesTo() throws {
        var nodes: [NodeDescription] = []
        var placement: Placement?
        var compared = 0
        for words in try Self.lines() {
            switch words[0] {
            case "cluster": nodes = []
            case "node": nodes.append(try Self.node(words))
            case "keyspace":
                let options = Dictionary(
                    uniqueKeysWithValues: words[3...].map { option in
                        let parts = option.split(separator: "=")
                        return (String(parts[0]), String(parts[1]))
                    })
                let strategy = try ReplicationStrategy(
                    ReplicationParameters(strategyClass: words[2], options: options))
                let snapshot = PlacementSnapshot(
                    epoch: 1, nodes: nodes.reversed(), keyspaces: [("ks", strategy)])
                placement = snapshot.placement(of: "ks")
            case "replicas":
                let placed = try #require(placement)
                let token = Token(try #require(Int64(words[1])))
                let expected = try words[2...].map { try #require(Int($0)) }
                let found = placed.replicas(of: token).map(\.index)
                #expect(found.count == placed.replicaCount)
                if Set(nodes.map(\.rack)).count == 1 {
                    #expect(found == expected, "token \(token)")
                } else {
                    #expect(Set(found) == Set(expected), "token \(token)")
                }
                compared += 1
            default: break
            }
        }
        #expect(compared > 2_000)
    }

    @Test func tokensOfKeysAreThoseOfTheDriver() throws {
        var compared = 0
        for words in try Self.lines() where words[0] == "key" {
            let digits = words[1] == "-" ? [] : Array(words[1])
            let key = try stride(from: 0, to: digits.count, by: 2).map { index in
                try #require(UInt8(String(digits[index...index + 1]), radix: 16))
            }
            #expect(Token.of(key) == Token(try #require(Int64(words[2]))))
            compared += 1
        }
        #expect(compared > 100)
    }
}
