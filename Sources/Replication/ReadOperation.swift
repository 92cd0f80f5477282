// One read of one stretch (a partition, or tokens with the same replicas) by a coordinator.
//
//     start ----> awaiting ----(all agree)------------------------------> finished
//                    |----(digests differ)--> awaiting all data --.
//                    |----(scan: data differ)---------------------+--> repairing --(all repaired)--> finished
//                    '----(deadline, or too many failures)--> failed
//
// A read of one partition asks one replica for the data and the others for a digest (`ReadDigest`).
// If they differ, all that were asked send their data, the coordinator merges it, writes to each what it
// lacks, and answers only after the repairs were acknowledged: so that, while W + R > N, a later read
// never shows an older value ("monotonic quorum reads"). Scans ask for data everywhere at once.

package import Encoding
package import Model
package import Topology

/// The bookkeeping of one read. A value that the coordinator keeps by request id.
package struct ReadOperation {
    /// A request to one replica.
    package struct Send: Equatable {
        package let node: NodeIndex
        package let wantsDigest: Bool
    }

    /// A repair for one replica: mutations to be acknowledged.
    package struct Repair: Equatable {
        package let node: NodeIndex
        package let mutation: [UInt8]
    }

    /// What one replica said.
    package enum Answer {
        case data([UInt8])
        case digest(ReadDigest)
        /// It could not: the reason's code (native protocol v5, reason map).
        case failed(address: [UInt8], reason: UInt16)
    }

    /// What to do next.
    package enum Step {
        case wait
        case send([Send])
        /// Send these, and tell of each acknowledgement by `repaired`.
        case repair([Repair])
        /// The merged result, and how far it goes (nil: the whole scope).
        case finished(result: [UInt8], stop: ReadStop?)
        case failed(CQLError)
    }

    private enum Phase {
        case awaiting
        case awaitingAllData
        case repairing(result: [UInt8], stop: ReadStop?, outstanding: Int)
        case ended
    }

    package let command: ReadCommand
    package let consistency: ConsistencyLevel
    /// Seconds since 1970: deletions from before may be purged by compaction.
    private let purgeBefore: Int64
    private let asksForDigests: Bool
    private let required: Int
    /// Whether replicas are written to when they differ (the table's read_repair).
    private let repairsReplicas: Bool
    /// The replicas asked, in order of preference; the first is asked for data.
    package private(set) var contacted: [NodeIndex]
    /// Living replicas that were not asked yet.
    private var spare: [NodeIndex]
    private var answers: [(node: NodeIndex, bytes: [UInt8])] = []
    private var digests: [(node: NodeIndex, digest: ReadDigest)] = []
    private var failures: [CQLError.ReplicaFailure] = []
    private var phase = Phase.awaiting

    /// Begins with living replicas in order of preference; at least `required` of them.
    package init(
        command: ReadCommand, consistency: ConsistencyLevel, required: Int, replicas: [NodeIndex],
        purgeBefore: Int64, repairsReplicas: Bool
    ) {
        precondition(required > 0 && replicas.count >= required)
        self.command = command
        self.consistency = consistency
        self.required = required
        self.purgeBefore = purgeBefore
        self.repairsReplicas = repairsReplicas
        contacted = Array(replicas.prefix(required))
        spare = Array(replicas.dropFirst(required))
        if case .partition = command.scope {
            asksForDigests = required > 1
        } else {
            asksForDigests = false
        }
    }

    /// Whom to ask first.
    package var firstSends: [Send] {
        contacted.enumerated().map { Send(node: $1, wantsDigest: asksForDigests && $0 > 0) }
    }

    /// How many distinct replicas answered.
    package var received: Int {
        answers.count + digests.count { d in !answers.contains { $0.node == d.node } }
    }

    /// Takes in a replica's answer. Answers of replicas that were not asked are ignored.
    package mutating func receive(
        _ answer: Answer, from node: NodeIndex, scratch: ByteWriter
    ) throws(MalformedBytes) -> Step {
        guard contacted.contains(node) else { return .wait }
        switch (phase, answer) {
        case (.repairing, _), (.ended, _): return .wait
        case (_, .failed(let address, let reason)):
            return replicaFailed(node, address: address, reason: reason)
        case (_, .data(let bytes)):
            if answers.contains(where: { $0.node == node }) { return .wait }
            answers.append((node, bytes))
        case (_, .digest(let digest)):
            if digests.contains(where: { $0.node == node }) { return .wait }
            digests.append((node, digest))
        }
        return try next(scratch: scratch)
    }

    /// Whether data of that replica is all that is waited for: then the operation has ended with it, and the
    /// answer may be used where it lies.
    package mutating func endsWithOneAnswer(from node: NodeIndex) -> Bool {
        guard required == 1, answers.isEmpty, case .awaiting = phase, contacted.contains(node)
        else {
            return false
        }
        phase = .ended
        return true
    }

    private mutating func replicaFailed(
        _ node: NodeIndex, address: [UInt8], reason: UInt16
    ) -> Step {
        guard !answers.contains(where: { $0.node == node }) else { return .wait }
        failures.append(CQLError.ReplicaFailure(address: address, reason: reason))
        if !spare.isEmpty {
            let other = spare.removeFirst()
            contacted.removeAll { $0 == node }
            digests.removeAll { $0.node == node }
            contacted.append(other)
            return .send([Send(node: other, wantsDigest: false)])
        }
        phase = .ended
        return .failed(
            .readFailure(
                "Operation failed - received \(received) responses and \(failures.count) failures",
                consistency: consistency, received: received, required: required,
                failures: failures, dataPresent: !answers.isEmpty))
    }

    private mutating func next(scratch: ByteWriter) throws(MalformedBytes) -> Step {
        guard received >= required, !answers.isEmpty else { return .wait }
        if case .awaiting = phase, asksForDigests, answers.count < contacted.count {
            if try digestsAgree(scratch: scratch) { return try finishWithOneAnswer() }
            phase = .awaitingAllData
            let missing = contacted.filter { node in !answers.contains { $0.node == node } }
            return .send(missing.map { Send(node: $0, wantsDigest: false) })
        }
        guard answers.count == contacted.count else { return .wait }
        if answers.count == 1 { return try finishWithOneAnswer() }
        return try mergeAll()
    }

    private func digestsAgree(scratch: ByteWriter) throws(MalformedBytes) -> Bool {
        var all = digests.filter { d in !answers.contains { $0.node == d.node } }.map(\.digest)
        for answer in answers {
            scratch.removeAll()
            all.append(try Self.digest(answer.bytes, purgeBefore: purgeBefore, scratch: scratch))
        }
        return all.allSatisfy { $0 == all[0] }
    }

    private static func digest(
        _ bytes: [UInt8], purgeBefore: Int64, scratch: ByteWriter
    ) throws(MalformedBytes) -> ReadDigest {
        try bytes.withBytes { raw throws(MalformedBytes) in
            try ReadDigest(
                of: try ReadResultView(raw), purgeBefore: purgeBefore, scratch: scratch)
        }
    }

    private mutating func finishWithOneAnswer() throws(MalformedBytes) -> Step {
        phase = .ended
        let bytes = answers[0].bytes
        let stop = try bytes.withBytes { raw throws(MalformedBytes) in
            try ReadMerge.stop(of: try ReadResultView(raw))
        }
        return .finished(result: bytes, stop: stop)
    }

    private mutating func mergeAll() throws(MalformedBytes) -> Step {
        let merged = try ReadMerge.merge(
            answers.map { ReadMerge.Answer(bytes: $0.bytes) }, command: command)
        var repairs: [Repair] = []
        if repairsReplicas {
            for (answer, mutations) in zip(answers, merged.repairs) {
                repairs += mutations.map { Repair(node: answer.node, mutation: $0) }
            }
        }
        if repairs.isEmpty {
            phase = .ended
            return .finished(result: merged.result, stop: merged.stop)
        }
        phase = .repairing(result: merged.result, stop: merged.stop, outstanding: repairs.count)
        return .repair(repairs)
    }

    /// One repair was acknowledged.
    package mutating func repaired() -> Step {
        guard case .repairing(let result, let stop, let outstanding) = phase else { return .wait }
        if outstanding > 1 {
            phase = .repairing(result: result, stop: stop, outstanding: outstanding - 1)
            return .wait
        }
        phase = .ended
        return .finished(result: result, stop: stop)
    }

    /// The deadline passed: what the client is told.
    package mutating func timedOut() -> CQLError {
        if case .repairing = phase {
            phase = .ended
            return .readTimeout(
                "Operation timed out - the replicas answered, but not all acknowledged their repair",
                consistency: consistency, received: received, required: required, dataPresent: true)
        }
        phase = .ended
        return .readTimeout(
            "Operation timed out - received only \(received) responses.", consistency: consistency,
            received: received, required: required, dataPresent: !answers.isEmpty)
    }
}
