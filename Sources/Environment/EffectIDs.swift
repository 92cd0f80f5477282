// One counter for all effect ids of a shard, shared by the machines inside it.

/// Issues the ids of a shard's effects. One per shard and life; its owner is the shard.
package final class EffectIDs {
    /// Which life issues them.
    package let incarnation: Incarnation
    private var sequence: UInt64 = 0

    package init(incarnation: Incarnation) { self.incarnation = incarnation }

    /// An id never issued before in this life.
    package func next() -> EffectID {
        sequence += 1
        return EffectID(incarnation: incarnation, sequence: sequence)
    }
}
