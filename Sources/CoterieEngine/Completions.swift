// What helper threads have finished, on its way to the engine's own thread.

internal import Disk
internal import Synchronization

/// A queue with a counter beside it, so that a look costs one load when nothing is there.
final class Completions: Sendable {
    private let queue = WorkQueue<HelperCompletion>()
    private let waiting = Atomic<Int>(0)

    /// From a helper thread.
    func push(_ completion: HelperCompletion) {
        // Counted first: whoever takes it has a count to take it from. Who sees the count waits for it.
        waiting.add(1, ordering: .releasing)
        queue.push(completion)
    }

    /// Whether nothing is there.
    @inline(__always)
    var isEmpty: Bool { waiting.load(ordering: .acquiring) == 0 }

    /// All there are; waits for the first one. The caller knows that one will come.
    func take() -> [HelperCompletion] {
        let all = queue.popAll() ?? []
        waiting.subtract(all.count, ordering: .relaxed)
        return all
    }
}
