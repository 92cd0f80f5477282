// What a user can choose about the stale-read experiment.

package import Simulation

/// The settings of one stale-read experiment.
package struct StaleReadOptions: Sendable {
    /// Who stamps the writes.
    package enum Timestamps: String, Sendable, CaseIterable {
        /// The clients, who share one clock: a later write has a later timestamp.
        case client
        /// The coordinators, by their own clocks.
        case server
    }

    package var seed: UInt64
    package var operationCount = 1_800
    package var model = PBSModel.linkedInDisk
    package var timestamps = Timestamps.client
    /// How far the nodes' wall clocks are apart at most, in milliseconds.
    package var clockSkewMilliseconds: Int64 = 0
    /// The operation that is taken out of the plan.
    package var without: Int?
    /// Coordinators count one answer as a quorum: a planted fault that the checker must find.
    package var plantsBug = false

    package init(seed: UInt64) { self.seed = seed }
}
