// What connections hold: those that had long frames give the memory back when they have gone silent.

import Encoding
import Environment
import NativeProtocol
import Testing

@testable import NodeLogic

@Suite struct BuffersTests {
    private func held(_ bench: ShardBench, _ id: UInt64) throws -> Int {
        let connection = try #require(bench.shard.connections[ConnectionID(id)])
        return connection.encoder.heldBytes + connection.decoder.heldBytes
    }

    private let ordinaryBytes = 4 << 10

    private func askForTheSchema(_ bench: ShardBench) throws {
        bench.send(1) {
            $0.query(.v4, stream: 1, "SELECT * FROM system_schema.columns", QueryOptions())
        }
        while try bench.step() {}
    }

    @Test func aLongAnswersMemoryIsGivenBackAfterSomeSilence() throws {
        let bench = try ShardBench()
        bench.open(1)
        try bench.step()
        #expect(try held(bench, 1) <= ordinaryBytes)
        try askForTheSchema(bench)
        #expect(try held(bench, 1) > ordinaryBytes)
        // The client goes on: it keeps what it will need again.
        bench.pass(.seconds(4))
        try askForTheSchema(bench)
        bench.pass(.seconds(2))
        try bench.step()
        #expect(try held(bench, 1) > ordinaryBytes)
        bench.pass(.seconds(6))
        try bench.step()
        #expect(try held(bench, 1) <= ordinaryBytes)
        // And it may ask again.
        bench.answers = [:]
        try askForTheSchema(bench)
        #expect(bench.answers[1] == [.result])
    }

    @Test func aLongRequestsMemoryIsGivenBackToo() throws {
        let bench = try ShardBench()
        bench.open(1)
        try bench.step()
        let encoder = FrameEncoder(side: .client)
        let value = [UInt8](repeating: UInt8(ascii: "x"), count: 20_000)
        encoder.query(
            .v4, stream: 1, "SELECT key FROM system.local WHERE key = ?",
            QueryOptions(values: [.bytes(value)]))
        let bytes = ByteWriter()
        encoder.flush(into: bytes)
        for part in [0..<9_000, 9_000..<bytes.count] {
            bench.sendRaw(1, UnsafeRawBufferPointer(rebasing: bytes.bytes[part]))
            try bench.step()
        }
        #expect(bench.answers[1]?.last == .result)
        #expect(try held(bench, 1) > ordinaryBytes)
        bench.pass(.seconds(6))
        try bench.step()
        #expect(try held(bench, 1) <= ordinaryBytes)
    }

    @Test func connectionsThatAreGoneAreNoLongerLookedAt() throws {
        let bench = try ShardBench()
        bench.open(1)
        try bench.step()
        try askForTheSchema(bench)
        #expect(bench.shard.largeConnections == [ConnectionID(1)])
        bench.close(1)
        try bench.step()
        bench.pass(.seconds(6))
        try bench.step()
        #expect(bench.shard.largeConnections.isEmpty && bench.shard.nextBufferCheck == nil)
    }
}
