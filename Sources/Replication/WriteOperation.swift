// One mutation on its way to its replicas: who has answered, and whether that is enough.
//
//     begin --> waiting --(quota satisfied)--> acknowledged --(all answered or timed out)--> ended
//                  |---(too many failures)--> failed
//                  '---(deadline)-----------> timed out: the outcome is unknown, never "failed"
//
// All living replicas get the mutation at once; the consistency level says only how many answers the
// client waits for. Replicas that are down, or that have not answered by the deadline, get a hint:
// so the operation lives on after its client has been answered, until every replica has spoken.

package import Model
package import Topology

/// The bookkeeping of one mutation. A value that the coordinator keeps by request id.
package struct WriteOperation {
    /// What one event means for the client.
    package enum Outcome: Equatable {
        /// Nothing new for the client.
        case none
        /// The consistency level is reached, now.
        case acknowledged
        /// It cannot be reached any more.
        case failed(CQLError)
    }

    package let consistency: ConsistencyLevel
    package let type: WriteType
    /// Replicas that were sent the mutation and have not answered.
    package private(set) var waiting: [NodeIndex]
    /// Replicas that applied it, in the order of their answers.
    package private(set) var acknowledgedBy: [NodeIndex] = []
    private var quota: AnswerQuota
    private var failures: [CQLError.ReplicaFailure] = []
    private var isDecided = false

    /// Begins with the replicas that will be sent the mutation.
    package init(
        consistency: ConsistencyLevel, type: WriteType, replicas: [NodeIndex], quota: AnswerQuota
    ) {
        self.consistency = consistency
        self.type = type
        self.waiting = replicas
        self.quota = quota
    }

    /// Whether no replica is left to wait for.
    package var hasEnded: Bool { waiting.isEmpty }
    /// Whether the client was told the outcome.
    package var hasAnsweredClient: Bool { isDecided }

    /// A hint for some replica was stored; it counts for ANY alone.
    package mutating func hintStored() -> Outcome {
        guard consistency == .any, !isDecided else { return .none }
        isDecided = true
        return .acknowledged
    }

    /// A planted fault for the lab's checkers: one answer satisfies every level.
    package mutating func countOneAnswerAsQuorum() -> Outcome {
        guard !isDecided, !acknowledgedBy.isEmpty else { return .none }
        isDecided = true
        return .acknowledged
    }

    /// A replica applied the mutation. A second answer of the same replica is ignored.
    package mutating func acknowledged(by node: NodeIndex, datacenter: Int) -> Outcome {
        guard let index = waiting.firstIndex(of: node) else { return .none }
        waiting.remove(at: index)
        acknowledgedBy.append(node)
        guard quota.count(answerFromDatacenter: datacenter), !isDecided else { return .none }
        isDecided = true
        return .acknowledged
    }

    /// A replica refused the mutation: it has failed if those that have not answered, with their datacenters,
    /// cannot satisfy the level any more.
    package mutating func refused(
        by node: NodeIndex, address: [UInt8], reason: UInt16, datacenter: (NodeIndex) -> Int
    ) -> Outcome {
        guard let index = waiting.firstIndex(of: node) else { return .none }
        waiting.remove(at: index)
        failures.append(CQLError.ReplicaFailure(address: address, reason: reason))
        var best = quota
        for other in waiting { _ = best.count(answerFromDatacenter: datacenter(other)) }
        guard !best.isSatisfied, !isDecided else { return .none }
        isDecided = true
        return .failed(
            .writeFailure(
                "Operation failed - received \(quota.received) responses and \(failures.count) "
                    + "failures; applied on \(acknowledgedBy.count) replicas, may still apply",
                consistency: consistency, received: quota.received, required: quota.required,
                failures: failures, type: type))
    }

    /// The deadline passed. Returns the replicas that owe an answer (each is due a hint) and what the
    /// client is told, unless it knows already.
    package mutating func timedOut() -> (silent: [NodeIndex], error: CQLError?) {
        let silent = waiting
        waiting = []
        guard !isDecided else { return (silent, nil) }
        isDecided = true
        return (
            silent,
            .writeTimeout(
                "Operation timed out - received only \(quota.received) responses; applied on "
                    + "\(acknowledgedBy.count) of \(acknowledgedBy.count + silent.count + failures.count)"
                    + " replicas asked, may still apply",
                consistency: consistency, received: quota.received, required: quota.required,
                type: type)
        )
    }
}
