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
//
// A read that takes long may ask one living replica more (`speculate`), and then goes by whichever answers
// come first, as many as its level requires. Repairs that are not acknowledged may go to replicas that
// were not asked as well (`substituteRepairs`), one for each that is silent: so again as many replicas as the
// level requires hold what the client is shown.

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
        /// Which one of the read's repairs it is, or stands in for.
        package let number: Int

        /// One for each mutation that a replica lacks.
        static func all(of nodes: [NodeIndex], lacking mutations: [[[UInt8]]]) -> [Repair] {
            var repairs: [Repair] = []
            for (node, lacked) in zip(nodes, mutations) {
                for mutation in lacked {
                    repairs.append(Repair(node: node, mutation: mutation, number: repairs.count))
                }
            }
            return repairs
        }
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

    /// What becomes of asking one replica more.
    package enum Speculation: Equatable {
        case send(Send)
        /// Every living replica that may be asked was asked.
        case nobodyLeft
        /// The replicas' answers are not what the read waits for.
        case notNeeded
    }

    private enum Phase {
        case awaiting
        case awaitingAllData
        case repairing(result: [UInt8], stop: ReadStop?, outstanding: [Repair])
        case ended
    }

    package let command: ReadCommand
    package let consistency: ConsistencyLevel
    /// Seconds since 1970: deletions from before may be purged by compaction.
    private let purgeBefore: Int64
    private let asksForDigests: Bool
    package let required: Int
    /// Whether replicas are written to when they differ (the table's read_repair).
    private let repairsReplicas: Bool
    /// The replicas asked, in order of preference; the first is asked for data.
    package private(set) var contacted: [NodeIndex]
    /// Whether one more than required was asked.
    package private(set) var hasSpeculated: Bool
    /// Living replicas that were not asked yet.
    private var spare: [NodeIndex]
    private var answers: [(node: NodeIndex, bytes: [UInt8])] = []
    private var digests: [(node: NodeIndex, digest: ReadDigest)] = []
    private var failures: [CQLError.ReplicaFailure] = []
    private var phase = Phase.awaiting

    /// Begins with living replicas in order of preference; at least `required` of them. One more is asked
    /// at once if `speculatesAtOnce`, and if there is one.
    package init(
        command: ReadCommand, consistency: ConsistencyLevel, required: Int, replicas: [NodeIndex],
        purgeBefore: Int64, repairsReplicas: Bool, speculatesAtOnce: Bool = false
    ) {
        precondition(required > 0 && replicas.count >= required)
        self.command = command
        self.consistency = consistency
        self.required = required
        self.purgeBefore = purgeBefore
        self.repairsReplicas = repairsReplicas
        hasSpeculated = speculatesAtOnce && replicas.count > required
        let count = hasSpeculated ? required + 1 : required
        contacted = Array(replicas.prefix(count))
        spare = Array(replicas.dropFirst(count))
        if case .partition = command.scope {
            asksForDigests = required > 1
        } else {
            asksForDigests = false
        }
    }

    /// Whom to ask first. With one more than required, two are asked for data: one of them may be slow.
    package var firstSends: [Send] {
        let dataCount = hasSpeculated ? 2 : 1
        return contacted.enumerated().map {
            Send(node: $1, wantsDigest: asksForDigests && $0 >= dataCount)
        }
    }

    /// How many distinct replicas answered.
    package var received: Int {
        answers.count + digests.count { d in !answers.contains { $0.node == d.node } }
    }

    /// The replicas whose answers the read goes by, in the order in which they came.
    package var answeredBy: [NodeIndex] {
        answers.map(\.node)
            + digests.map(\.node).filter { node in !answers.contains { $0.node == node } }
    }

    /// Asks one replica more: those that were asked take long. For a digest if there is data already.
    package mutating func speculate() -> Speculation {
        let wantsDigest: Bool
        switch phase {
        case .awaiting: wantsDigest = asksForDigests && !answers.isEmpty
        case .awaitingAllData: wantsDigest = false
        case .repairing, .ended: return .notNeeded
        }
        guard !spare.isEmpty else { return .nobodyLeft }
        let other = spare.removeFirst()
        contacted.append(other)
        hasSpeculated = true
        return .send(Send(node: other, wantsDigest: wantsDigest))
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
        contacted.removeAll { $0 == node }
        digests.removeAll { $0.node == node }
        if contacted.count >= required { return .wait }
        if !spare.isEmpty {
            let other = spare.removeFirst()
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
        if case .awaiting = phase, asksForDigests, answers.count < required {
            if try digestsAgree(scratch: scratch) { return try finishWithOneAnswer() }
            phase = .awaitingAllData
            let missing = contacted.filter { node in !answers.contains { $0.node == node } }
            return .send(missing.map { Send(node: $0, wantsDigest: false) })
        }
        guard answers.count >= required else { return .wait }
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
        let repairs =
            repairsReplicas ? Repair.all(of: answers.map(\.node), lacking: merged.repairs) : []
        if repairs.isEmpty {
            phase = .ended
            return .finished(result: merged.result, stop: merged.stop)
        }
        phase = .repairing(result: merged.result, stop: merged.stop, outstanding: repairs)
        return .repair(repairs)
    }

    /// One repair was acknowledged, by its own replica or by one that stands in for it.
    package mutating func repaired(_ number: Int) -> Step {
        guard case .repairing(let result, let stop, var outstanding) = phase else { return .wait }
        outstanding.removeAll { $0.number == number }
        guard outstanding.isEmpty else {
            phase = .repairing(result: result, stop: stop, outstanding: outstanding)
            return .wait
        }
        phase = .ended
        return .finished(result: result, stop: stop)
    }

    /// Repairs for replicas that were not asked, each in place of one that has not acknowledged its own. Two
    /// that are silent are never replaced by the same: what both lack must be on two.
    package mutating func substituteRepairs() -> [Repair] {
        guard case .repairing(_, _, let outstanding) = phase else { return [] }
        var substitutes: [NodeIndex: NodeIndex] = [:]
        return outstanding.compactMap { repair in
            if substitutes[repair.node] == nil, !spare.isEmpty {
                substitutes[repair.node] = spare.removeFirst()
            }
            return substitutes[repair.node].map {
                Repair(node: $0, mutation: repair.mutation, number: repair.number)
            }
        }
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
