// The ids by which completions find those who asked.

/// Issues the ids of one shard's effects in one life; shared by the parts of the shard.
package final class EffectIDs {
    package let incarnation: Incarnation
    private var sequence: UInt64 = 0

    package init(incarnation: Incarnation) { self.incarnation = incarnation }

    /// An id that was not given before.
    package func next() -> EffectID {
        sequence += 1
        return EffectID(incarnation: incarnation, sequence: sequence)
    }
}
