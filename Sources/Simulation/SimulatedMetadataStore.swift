// The node metadata of a simulated node: a value that loses uncommitted batches in a crash.
//
// Durability: `begin` promises nothing; `end` is the commit. Batches commit in order, so ending one
// ends all that were begun before it. A crash may leave a prefix of the begun batches committed
// although nobody was told, exactly as a database whose answer was lost.

package import Environment

/// One node's metadata store, owned by one world; it outlives the lives of its node.
package final class SimulatedMetadataStore {
    /// What is committed.
    package private(set) var image: MetadataImage
    private var pending: [(token: UInt64, batch: MetadataBatch)] = []
    private var nextToken: UInt64 = 1

    package init(_ image: MetadataImage = MetadataImage()) { self.image = image }

    /// Takes a batch; it is not durable before `end`.
    package func begin(_ batch: MetadataBatch) -> UInt64 {
        let token = nextToken
        nextToken += 1
        pending.append((token, batch))
        return token
    }

    /// Commits that batch and all before it; a token that a crash has dropped is ignored.
    package func end(_ token: UInt64) {
        guard pending.contains(where: { $0.token == token }) else { return }
        while let first = pending.first, first.token <= token {
            image.apply(first.batch)
            pending.removeFirst()
        }
    }

    /// Commits at once.
    package func commit(_ batch: MetadataBatch) { end(begin(batch)) }

    /// The process died: some prefix of the uncommitted batches is committed, the rest is lost.
    package func crash(_ stream: inout RandomStream) {
        let survivors = Int(stream.below(UInt64(pending.count + 1)))
        for index in 0..<survivors { image.apply(pending[index].batch) }
        pending.removeAll()
    }
}
