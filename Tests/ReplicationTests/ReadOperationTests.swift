// A read that asks one replica more than it must, and repairs that go to others as well.

import Encoding
import Model
import Testing
import Topology

@testable import Replication

@Suite struct ReadOperationTests {
    private let nodes = (0..<5).map { NodeIndex($0) }
    private let old = answer(deletedAt: 1)
    private let new = answer(deletedAt: 2)

    /// One partition that was deleted then.
    private static func answer(deletedAt timestamp: Int64) -> [UInt8] {
        let partition = ByteWriter()
        PartitionWriter.begin(
            deletion: Deletion(timestamp: timestamp, localDeletionTime: 5), into: partition)
        let writer = ByteWriter()
        let start = ReadResultWriter.begin(into: writer)
        [UInt8](repeating: 7, count: 4).withBytes {
            ReadResultWriter.append(token: 7, key: $0, partition: partition.bytes, into: writer)
        }
        ReadResultWriter.finish(start: start, isExhausted: true, into: writer)
        return writer.array
    }

    private func digest(_ bytes: [UInt8]) throws -> ReadOperation.Answer {
        .digest(
            try bytes.withBytes { raw in
                try ReadDigest(of: ReadResultView(raw), purgeBefore: 0, scratch: ByteWriter())
            })
    }

    private func operation(
        required: Int, replicas: Int = 3, atOnce: Bool = false
    ) -> ReadOperation {
        ReadOperation(
            command: ReadCommand(
                table: TableID(.zero),
                scope: .partition(token: 7, key: [UInt8](repeating: 7, count: 4)),
                nowInSeconds: 10),
            consistency: required == 1 ? .one : .quorum, required: required,
            replicas: Array(nodes.prefix(replicas)), purgeBefore: 0, repairsReplicas: true,
            speculatesAtOnce: atOnce)
    }

    private func give(
        _ answer: ReadOperation.Answer, from node: Int, to operation: inout ReadOperation
    ) throws -> ReadOperation.Step {
        try operation.receive(answer, from: nodes[node], scratch: ByteWriter())
    }

    private func result(_ step: ReadOperation.Step) -> [UInt8]? {
        if case .finished(let result, _) = step { result } else { nil }
    }

    private func isWaiting(_ step: ReadOperation.Step) -> Bool {
        if case .wait = step { true } else { false }
    }

    private func sends(_ step: ReadOperation.Step) -> [ReadOperation.Send]? {
        if case .send(let sends) = step { sends } else { nil }
    }

    private func data(_ node: Int) -> ReadOperation.Send {
        ReadOperation.Send(node: nodes[node], wantsDigest: false)
    }

    private func digest(_ node: Int) -> ReadOperation.Send {
        ReadOperation.Send(node: nodes[node], wantsDigest: true)
    }

    @Test func oneMoreIsAskedForDataWhileThereIsNoneAndWhoeverComesFirstCounts() throws {
        var read = operation(required: 1)
        #expect(read.firstSends == [data(0)] && !read.hasSpeculated)
        #expect(read.speculate() == .send(data(1)))
        #expect(read.hasSpeculated)
        #expect(result(try give(.data(new), from: 1, to: &read)) == new)
        #expect(read.answeredBy == [nodes[1]])
        #expect(isWaiting(try give(.data(old), from: 0, to: &read)))
        #expect(read.speculate() == .notNeeded)
    }

    @Test func oneMoreIsAskedForADigestOnceThereIsData() throws {
        var read = operation(required: 2)
        #expect(read.firstSends == [data(0), digest(1)])
        #expect(isWaiting(try give(.data(new), from: 0, to: &read)))
        #expect(read.speculate() == .send(digest(2)))
        #expect(result(try give(try digest(new), from: 2, to: &read)) == new)
    }

    @Test func aDigestDoesNotStandInForData() throws {
        var read = operation(required: 2)
        #expect(isWaiting(try give(try digest(new), from: 1, to: &read)))
        #expect(read.speculate() == .send(data(2)))
        #expect(result(try give(.data(new), from: 2, to: &read)) == new)
        #expect(read.answeredBy == [nodes[2], nodes[1]])
    }

    @Test func nobodyIsLeftWhenAllLivingReplicasWereAsked() {
        var read = operation(required: 2, replicas: 2)
        #expect(read.speculate() == .nobodyLeft)
        #expect(!read.hasSpeculated)
    }

    @Test func asManyAnswersAsAreRequiredAreMergedWhenTheyDiffer() throws {
        var read = operation(required: 2)
        _ = try give(.data(old), from: 0, to: &read)
        #expect(read.speculate() == .send(digest(2)))
        // All that were asked and gave no data are asked for it; the first one to give it is enough.
        #expect(sends(try give(try digest(new), from: 2, to: &read)) == [data(1), data(2)])
        guard case .repair(let repairs) = try give(.data(new), from: 2, to: &read) else {
            Issue.record("the replicas that differ are not repaired")
            return
        }
        #expect(repairs.map(\.node) == [nodes[0]])
        #expect(isWaiting(try give(.data(new), from: 1, to: &read)))
        #expect(result(read.repaired(0)) != nil)
    }

    @Test func oneMoreIsAskedForDataWhenTheOnesThatDifferAreSlow() throws {
        var read = operation(required: 2)
        _ = try give(.data(old), from: 0, to: &read)
        #expect(sends(try give(try digest(new), from: 1, to: &read)) == [data(1)])
        #expect(read.speculate() == .send(data(2)))
        guard case .repair(let repairs) = try give(.data(new), from: 2, to: &read) else {
            Issue.record("the replicas that differ are not repaired")
            return
        }
        #expect(repairs.map(\.node) == [nodes[0]])
    }

    @Test func askingOneMoreAtOnceAsksTwoForData() throws {
        var one = operation(required: 1, atOnce: true)
        #expect(one.firstSends == [data(0), data(1)] && one.hasSpeculated)
        #expect(result(try give(.data(new), from: 1, to: &one)) == new)
        var quorum = operation(required: 2, atOnce: true)
        #expect(quorum.firstSends == [data(0), data(1), digest(2)])
        _ = try give(try digest(new), from: 2, to: &quorum)
        #expect(result(try give(.data(new), from: 1, to: &quorum)) == new)
        let all = operation(required: 3, atOnce: true)
        #expect(all.firstSends == [data(0), digest(1), digest(2)] && !all.hasSpeculated)
    }

    @Test func aFailureIsOneTooManyOnlyIfTooFewAreLeft() throws {
        let failure = ReadOperation.Answer.failed(address: [127, 0, 0, 1], reason: 0)
        var read = operation(required: 2)
        _ = read.speculate()
        #expect(isWaiting(try give(failure, from: 0, to: &read)))
        _ = try give(try digest(new), from: 1, to: &read)
        #expect(result(try give(.data(new), from: 2, to: &read)) == new)
        var other = operation(required: 2)
        #expect(sends(try give(failure, from: 1, to: &other)) == [data(2)])
        guard case .failed = try give(failure, from: 2, to: &other) else {
            Issue.record("one replica is enough for two")
            return
        }
    }

    /// Of five, three were asked; two of them lack what the third has.
    private func repairing() throws -> ReadOperation {
        var read = operation(required: 3, replicas: 5)
        _ = try give(.data(new), from: 0, to: &read)
        _ = try give(try digest(old), from: 1, to: &read)
        #expect(
            sends(try give(try digest(old), from: 2, to: &read)) == [data(1), data(2)])
        _ = try give(.data(old), from: 1, to: &read)
        guard case .repair(let repairs) = try give(.data(old), from: 2, to: &read) else {
            throw CQLError.serverError("nothing is repaired")
        }
        #expect(repairs.map(\.node) == [nodes[1], nodes[2]])
        return read
    }

    @Test func eachSilentRepairHasASubstituteOfItsOwn() throws {
        var read = try repairing()
        let substitutes = read.substituteRepairs()
        #expect(substitutes.map(\.node) == [nodes[3], nodes[4]])
        #expect(isWaiting(read.repaired(substitutes[0].number)))
        // The one that was silent is late: it counts once.
        #expect(isWaiting(read.repaired(substitutes[0].number)))
        #expect(result(read.repaired(substitutes[1].number)) != nil)
        #expect(read.substituteRepairs().isEmpty)
    }

    @Test func anAcknowledgedRepairNeedsNoSubstitute() throws {
        var read = try repairing()
        #expect(isWaiting(read.repaired(0)))
        let substitutes = read.substituteRepairs()
        #expect(substitutes.map(\.node) == [nodes[3]] && substitutes.map(\.number) == [1])
        #expect(result(read.repaired(1)) != nil)
    }
}
