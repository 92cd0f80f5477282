// The hybrid logical clock of a node (Kulkarni and others, "Logical Physical Clocks", 2014), shared by
// its shards: every timestamp that it gives is later than all that this node has sent, received or
// answered before, whatever the wall clock does. So a write that causally follows another wins,
// through whichever nodes the two went, while clocks differ by no more than `maximumAhead`.
//
// It is the one thing that a node's shards share, hence the atomic: a shard per core would else need
// a message per request. Client timestamps never move it: they keep last-write-wins with its losses.
//
// Durability: an upper bound is kept ahead of use, one exact to 100 ms in a file that survives a kill,
// and one half a minute ahead in the metadata store that survives a power loss; the next life begins
// there, so that a wall clock that was set back never repeats a timestamp (`Node.makeClock`).

internal import Synchronization

/// A clock whose readings rise strictly.
package final class HybridClock: Sendable {
    private let last: Atomic<Int64>
    private let rejected = Atomic<Int>(0)
    /// Peers' stamps further ahead of our wall clock than this are ignored, in microseconds.
    private let maximumAhead: Int64

    /// Begins after `bound`, the persisted upper bound of the life before.
    package init(bound: WallTime, maximumAhead: Instant.Span) {
        last = Atomic(bound.microseconds)
        self.maximumAhead = maximumAhead.wholeMicroseconds
    }

    /// A timestamp later than all before, in microseconds since 1970.
    package func next(wall: WallTime) -> Int64 {
        var current = last.load(ordering: .relaxed)
        while true {
            let desired = max(current + 1, wall.microseconds)
            let (exchanged, original) = last.weakCompareExchange(
                expected: current, desired: desired, ordering: .relaxed)
            if exchanged { return desired }
            current = original
        }
    }

    /// The latest timestamp given or taken in: what messages carry.
    package var latest: Int64 { last.load(ordering: .relaxed) }

    /// Takes in a peer's stamp. False: it is too far ahead of our wall clock, and was ignored.
    package func observe(_ stamp: Int64, wall: WallTime) -> Bool {
        guard stamp <= wall.microseconds + maximumAhead else {
            rejected.add(1, ordering: .relaxed)
            return false
        }
        var current = last.load(ordering: .relaxed)
        while current < stamp {
            let (exchanged, original) = last.weakCompareExchange(
                expected: current, desired: stamp, ordering: .relaxed)
            if exchanged { break }
            current = original
        }
        return true
    }

    /// How many stamps were too far ahead.
    package var rejectedStamps: Int { rejected.load(ordering: .relaxed) }
}
