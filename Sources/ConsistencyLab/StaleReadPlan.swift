// The explicit lists of a stale-read experiment: what the clients do when, and what goes wrong.
//
// Each operation and each fault draws from a stream of its own name, so taking one away leaves all
// others as they were.

internal import Environment
package import Simulation

/// Operations and faults of one experiment, made before it runs.
package struct StaleReadPlan: Sendable {
    package static let nodeCount = 3
    package static let keyCount = 5
    /// The ring starts and the table is made before this time.
    package static let begin = VirtualTime.milliseconds(10_000)
    /// Operations are this far apart on average.
    private static let gapNanoseconds: Int64 = 5_000_000

    package let operations: [PlannedOperation]
    package let faults: [Fault]
    /// The planned time of the last operation.
    package let end: VirtualTime

    package init(_ options: StaleReadOptions) {
        struct Draft {
            var id: Int
            var at: VirtualTime
            var coordinator: Int
            var key: Int
            var isWrite: Bool
        }
        var drafts: [Draft] = []
        for id in 0..<options.operationCount {
            var stream = RandomStream(seed: options.seed, name: "operation \(id)")
            let slot = Self.begin.nanoseconds + Int64(id) * Self.gapNanoseconds
            drafts.append(
                Draft(
                    id: id,
                    at: VirtualTime(nanoseconds: slot + stream.within(0...20_000_000)),
                    coordinator: Int(stream.below(UInt64(Self.nodeCount))),
                    key: Int(stream.below(UInt64(Self.keyCount))),
                    isWrite: stream.chance(1, outOf: 4)))
        }
        drafts.sort { ($0.at, $0.id) < ($1.at, $1.id) }
        // Versions and timestamps are dealt out before one operation is taken away.
        var versions = [Int64](repeating: 0, count: Self.keyCount)
        var operations: [PlannedOperation] = []
        for draft in drafts {
            var kind = RegisterOperation.Kind.read
            var timestamp: Int64?
            if draft.isWrite {
                versions[draft.key] += 1
                kind = .write(version: versions[draft.key])
                if options.timestamps == .client {
                    timestamp =
                        SimulatedClock.epochMicroseconds + draft.at.nanoseconds / 1_000
                }
            }
            operations.append(
                PlannedOperation(
                    id: draft.id, at: draft.at, coordinator: draft.coordinator, key: draft.key,
                    kind: kind, timestamp: timestamp))
        }
        end = operations.last?.at ?? Self.begin
        self.operations = operations.filter { $0.id != options.without }
        faults = Self.faults(
            options.seed, begin: Self.begin, length: (end - Self.begin).nanoseconds)
    }

    /// Two partitions, each in its own part of the run: a node cut off from both others, or one
    /// direction of one link.
    private static func faults(_ seed: UInt64, begin: VirtualTime, length: Int64) -> [Fault] {
        var faults: [Fault] = []
        for number in 0..<2 {
            var stream = RandomStream(seed: seed, name: "fault \(number)")
            let part = length / 2
            let start = Int64(number) * part + stream.within(part / 10...part / 3)
            let span = stream.within(part / 6...part / 3)
            let from = VirtualTime(nanoseconds: begin.nanoseconds + start)
            let to = VirtualTime(nanoseconds: begin.nanoseconds + start + span)
            let node = Int(stream.below(UInt64(nodeCount)))
            let other = (node + 1 + Int(stream.below(UInt64(nodeCount - 1)))) % nodeCount
            if number == 0 || stream.chance(1, outOf: 2) {
                faults.append(Fault(at: from, .isolate(node: node)))
                faults.append(Fault(at: to, .rejoin(node: node)))
            } else {
                faults.append(Fault(at: from, .cut(from: node, to: other)))
                faults.append(Fault(at: to, .heal(from: node, to: other)))
            }
        }
        return faults
    }

    /// How the nodes' clocks go: always a little apart, and by the asked skew on top.
    static func clocks(_ options: StaleReadOptions) -> [SimulatedClock] {
        (0..<nodeCount).map { node in
            var stream = RandomStream(seed: options.seed, name: "clock \(node)")
            let drift = stream.within(-50...50)
            let own = stream.within(-2_000...2_000)
            // The first node keeps the time, the second is behind, the third ahead.
            let side: Int64 = node == 0 ? 0 : node == 1 ? -1 : 1
            let skew = options.clockSkewMilliseconds * 1_000 / 2
            return SimulatedClock(
                driftPartsPerMillion: drift, wallOffsetMicroseconds: own + side * skew)
        }
    }
}
