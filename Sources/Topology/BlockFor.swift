// How many answers a consistency level waits for, and whether enough replicas live to try. The
// arithmetic is Cassandra's: it goes by the configured replication factor, so that QUORUM of three
// needs two answers even while the cluster has one node.

package import Model

/// The quorum arithmetic of the consistency levels.
package enum BlockFor {
    /// More than half.
    @inlinable
    package static func quorum(of replicationFactor: Int) -> Int { replicationFactor / 2 + 1 }

    /// The number of answers that `level` waits for. `pending` replicas (which are about to own the
    /// range) raise it for writes: all of them, or those of the local datacenter for local levels.
    package static func required(
        _ level: ConsistencyLevel, placement: Placement, localDatacenter: Int,
        pending: Int = 0, pendingLocally: Int = 0
    ) -> Int {
        switch level {
        case .any: 1
        case .one: 1 + pending
        case .two: 2 + pending
        case .three: 3 + pending
        case .quorum, .serial: quorum(of: placement.replicationFactor) + pending
        case .all: placement.replicationFactor + pending
        case .localOne: 1 + pendingLocally
        case .localQuorum, .localSerial:
            quorum(ofDatacenter: localDatacenter, placement) + pendingLocally
        case .eachQuorum: eachQuorum(placement) + pending
        }
    }

    /// Whether the living replicas can satisfy `level`, or what is missing: the numbers of the
    /// `Unavailable` error. ANY is always possible, as a hint will do.
    package static func availability(
        _ level: ConsistencyLevel, placement: Placement, snapshot: PlacementSnapshot,
        localDatacenter: Int, alive: [NodeIndex]
    ) -> Availability {
        let total = alive.count
        var local = 0
        for node in alive where snapshot.datacenter(of: node) == localDatacenter { local += 1 }
        let needed = required(level, placement: placement, localDatacenter: localDatacenter)
        switch level {
        case .any: return .sufficient
        case .localOne, .localQuorum, .localSerial:
            return local >= needed ? .sufficient : .insufficient(required: needed, alive: local)
        case .eachQuorum where placement.knowsDatacenters:
            for (datacenter, factor) in placement.datacenterFactors.enumerated() where factor > 0 {
                let here = alive.reduce(0) {
                    $0 + (snapshot.datacenter(of: $1) == datacenter ? 1 : 0)
                }
                if here < quorum(of: factor) {
                    return .insufficient(required: quorum(of: factor), alive: here)
                }
            }
            return .sufficient
        case .one, .two, .three, .quorum, .serial, .all, .eachQuorum:
            return total >= needed ? .sufficient : .insufficient(required: needed, alive: total)
        }
    }

    /// Whether a request can be tried.
    package enum Availability: Equatable, Sendable {
        case sufficient
        case insufficient(required: Int, alive: Int)
    }

    private static func quorum(ofDatacenter datacenter: Int, _ placement: Placement) -> Int {
        guard placement.knowsDatacenters else { return quorum(of: placement.replicationFactor) }
        return quorum(of: placement.datacenterFactors[datacenter])
    }

    private static func eachQuorum(_ placement: Placement) -> Int {
        guard placement.knowsDatacenters else { return quorum(of: placement.replicationFactor) }
        return placement.datacenterFactors.reduce(0) { $0 + ($1 > 0 ? quorum(of: $1) : 0) }
    }
}

extension Placement {
    /// Whether the strategy counts replicas by datacenter.
    package var knowsDatacenters: Bool {
        if case .networkTopology = strategy { true } else { false }
    }
}

/// Counts answers towards a consistency level. A value that a request keeps; only EACH_QUORUM makes
/// it allocate.
package struct AnswerQuota: Sendable {
    /// For the error messages.
    package let required: Int
    /// Answers that count for the level.
    package private(set) var received = 0
    private let localDatacenter: Int?
    /// EACH_QUORUM: what each datacenter still lacks.
    private var missing: [Int] = []

    package init(
        _ level: ConsistencyLevel, placement: Placement, localDatacenter: Int,
        pending: Int = 0, pendingLocally: Int = 0
    ) {
        required = BlockFor.required(
            level, placement: placement, localDatacenter: localDatacenter, pending: pending,
            pendingLocally: pendingLocally)
        self.localDatacenter = level.isLocal ? localDatacenter : nil
        if level == .eachQuorum, placement.knowsDatacenters {
            missing = placement.datacenterFactors.map { $0 > 0 ? BlockFor.quorum(of: $0) : 0 }
        }
    }

    /// Takes in one replica's answer, and says whether the level is satisfied now. Each replica's
    /// answer must be counted once.
    package mutating func count(answerFromDatacenter datacenter: Int) -> Bool {
        if let localDatacenter, localDatacenter != datacenter { return isSatisfied }
        if !missing.isEmpty {
            // More than a quorum of one datacenter is no part of another's.
            guard missing[datacenter] > 0 else { return isSatisfied }
            missing[datacenter] -= 1
        }
        received += 1
        return isSatisfied
    }

    package var isSatisfied: Bool {
        missing.isEmpty ? received >= required : missing.allSatisfy { $0 == 0 }
    }
}
