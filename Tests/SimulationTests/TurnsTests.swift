// Clients that ask for much: each step gives them a turn, and others theirs.
//
// A shard is stepped by hand, so that it is seen what one step answers.

import Encoding
import Environment
import Model
import NativeProtocol
import Testing

@testable import CQL
@testable import NodeLogic
@testable import Simulation
@testable import Storage

@Suite struct TurnsTests {
    private func query(_ text: String, stream: Int16) -> (FrameEncoder) -> Void {
        { $0.query(.v4, stream: stream, text) }
    }

    @Test func aClientThatAsksForTheSchemaAThousandTimesLeavesOthersTheirTurn() throws {
        let bench = try ShardBench()
        bench.open(1)
        bench.open(2)
        try bench.step()
        bench.answers = [:]
        bench.send(1) { encoder in
            for stream in 0..<1_000 {
                encoder.query(
                    .v4, stream: Int16(stream), "SELECT * FROM system_schema.columns",
                    QueryOptions())
            }
        }
        bench.send(2, query("SELECT key FROM system.local", stream: 1))
        #expect(try bench.step(), "the rest is due at once")
        #expect(bench.answers[2] == [.result])
        #expect((1...20).contains(bench.answers[1]?.count ?? 0))
        #expect(bench.isReading[1] == false)
        #expect(bench.isReading[2] == nil)
        var steps = 0
        while try bench.step() { steps += 1 }
        #expect(bench.answers[1]?.count == 1_000)
        #expect(bench.isReading[1] == true)
        #expect(steps > 50)
    }

    @Test func aLongStatementIsReadByAJobAndOthersAreAnsweredMeanwhile() throws {
        let bench = try ShardBench()
        bench.open(1)
        bench.open(2)
        try bench.step()
        bench.answers = [:]
        let comment = String(repeating: "x", count: 100_000)
        bench.send(1, query("SELECT key FROM system.local /* \(comment) */", stream: 1))
        bench.send(2, query("SELECT key FROM system.local", stream: 1))
        try bench.step()
        #expect(bench.answers == [2: [.result]])
        let (id, job) = try #require(bench.jobs.first { $0.1 is PlanningJob })
        #expect(try job.step(bench.files, budgetBytes: 1 << 20) == .done(bytes: 0))
        bench.end(id, job)
        try bench.step()
        #expect(bench.answers[1] == [.result])
    }

    @Test func aLongStatementPreparedUnderAnOlderSchemaIsPlannedAgainByAJob() throws {
        let bench = try ShardBench()
        bench.open(1)
        bench.open(2)
        try bench.step()
        let text = "SELECT key FROM system.local /* \(String(repeating: "x", count: 100_000)) */"
        let id = PreparedStatements.id(text: text, keyspace: nil)
        let present = bench.shard.cluster.schema
        let older = SchemaSnapshot(
            epoch: present.epoch + 7, version: present.version, keyspaces: present.keyspaces,
            localTables: present.localTables)
        let plan = try Planner.plan(try Parser.parse(text), schema: older, keyspace: nil)
        bench.shard.insert(PreparedStatement(id: id, text: text, keyspace: nil, plan: plan))
        bench.answers = [:]
        bench.send(1) {
            $0.execute(.v4, stream: 2, preparedID: id, resultMetadataID: [], QueryOptions())
        }
        bench.send(2, query("SELECT key FROM system.local", stream: 1))
        try bench.step()
        #expect(bench.answers == [2: [.result]])
        let (second, renewing) = try #require(bench.jobs.first { $0.1 is PlanningJob })
        #expect(try renewing.step(bench.files, budgetBytes: 1 << 20) == .done(bytes: 0))
        bench.end(second, renewing)
        try bench.step()
        #expect(bench.answers[1] == [.result])
        bench.send(1) {
            $0.execute(.v4, stream: 3, preparedID: id, resultMetadataID: [], QueryOptions())
        }
        try bench.step()
        #expect(bench.answers[1] == [.result, .result], "it is not planned a third time")
        #expect(bench.jobs.count { $0.1 is PlanningJob } == 1)
    }

    @Test func aLongStatementThatCannotBeReadIsAnsweredWithItsError() throws {
        let bench = try ShardBench()
        bench.open(1)
        try bench.step()
        bench.answers = [:]
        bench.send(1, query(String(repeating: "SELECT ", count: 50_000), stream: 1))
        try bench.step()
        let (id, job) = try #require(bench.jobs.first { $0.1 is PlanningJob })
        _ = try job.step(bench.files, budgetBytes: 1 << 20)
        bench.end(id, job)
        try bench.step()
        #expect(bench.answers[1] == [.error])
    }

    @Test func largeFramesOfOneAddressWaitForEachOther() throws {
        let bench = try ShardBench()
        for id in 1...5 as ClosedRange<UInt64> { bench.open(id) }
        try bench.step()
        // Of each frame of 15 MB the beginning: room is for four of them.
        for id in 1...5 as ClosedRange<UInt64> {
            let encoder = FrameEncoder(side: .client)
            encoder.query(.v4, stream: 1, String(repeating: " ", count: 15_000_000))
            let bytes = ByteWriter()
            encoder.flush(into: bytes)
            bench.sendRaw(id, UnsafeRawBufferPointer(rebasing: bytes.bytes[..<1_000]))
        }
        try bench.step()
        #expect(bench.isReading == [5: false])
        bench.close(1)
        try bench.step()
        #expect(bench.isReading == [5: true])
    }
}
