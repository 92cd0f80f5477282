// What clients saw of a set of registers: one record for each operation, with the times at which it
// was invoked and answered. A register is a key whose value is the version that was written, and
// each version of a key is written once.

package import Model

/// One operation as its client saw it.
package struct RegisterOperation: Sendable {
    package enum Kind: Equatable, Sendable {
        /// Versions of a key rise in the order of the plan, from 1.
        case write(version: Int64)
        case read
    }

    package enum Outcome: Equatable, Sendable {
        case acknowledged
        /// What a read returned; nil: the key has no value.
        case value(Int64?)
        /// Nothing was done, says the node (`Unavailable`), or it was never sent.
        case refused(String)
        /// It may have been done, or may still be: a timeout, a lost connection.
        case unknown(String)
    }

    /// Its number in the plan.
    package let id: Int
    package let key: Int
    package let kind: Kind
    /// The node that was asked.
    package let coordinator: Int
    package let consistency: ConsistencyLevel
    package let invoked: VirtualTime
    package var returned: VirtualTime?
    package var outcome: Outcome
    /// Of a write: its write timestamp, where it is known.
    package var timestamp: Int64?

    package init(
        id: Int, key: Int, kind: Kind, coordinator: Int, consistency: ConsistencyLevel,
        invoked: VirtualTime, returned: VirtualTime? = nil,
        outcome: Outcome = .unknown("never answered"), timestamp: Int64? = nil
    ) {
        self.id = id
        self.key = key
        self.kind = kind
        self.coordinator = coordinator
        self.consistency = consistency
        self.invoked = invoked
        self.returned = returned
        self.outcome = outcome
        self.timestamp = timestamp
    }

    package var isAcknowledgedWrite: Bool {
        if case .write = kind { outcome == .acknowledged } else { false }
    }
}
