// Deadlines of requests, grouped by how long the kind of request may take. Requests of one kind expire
// in the order in which they began, so each kind is a queue: adding is O(1), and so is looking at the
// next deadline. An ended request stays in its queue until its time comes; whoever owns it ignores it.

internal import Environment

/// When which request has waited long enough.
struct Deadlines<Key> {
    private struct Queue {
        let span: Instant.Span
        var entries: [(at: Instant, key: Key)] = []
        var head = 0
    }

    /// How many kinds there are before empty queues are looked for.
    private static var usualQueues: Int { 32 }

    private var queues: [Queue] = []

    /// The earliest deadline.
    var next: Instant? {
        var earliest: Instant?
        for queue in queues where queue.head < queue.entries.count {
            let at = queue.entries[queue.head].at
            if earliest.map({ at < $0 }) ?? true { earliest = at }
        }
        return earliest
    }

    /// Adds a request that began `now` and may take `span`.
    mutating func add(_ key: Key, span: Instant.Span, now: Instant) {
        if queues.count >= Self.usualQueues {
            // Clients may ask for any span (`USING TIMEOUT`): queues that nothing waits in go.
            queues.removeAll { $0.head == $0.entries.count }
        }
        let index = queues.firstIndex { $0.span == span } ?? queues.count
        if index == queues.count { queues.append(Queue(span: span)) }
        queues[index].entries.append((now + span, key))
    }

    /// Takes out the requests that have ended, as far as nobody waits before them.
    mutating func dropFirst(where hasEnded: (Key) -> Bool) {
        for index in queues.indices {
            while queues[index].head < queues[index].entries.count,
                hasEnded(queues[index].entries[queues[index].head].key)
            {
                advance(index)
            }
        }
    }

    /// Takes out a request whose deadline is not after `now`.
    mutating func popExpired(now: Instant) -> Key? {
        for index in queues.indices {
            let head = queues[index].head
            guard head < queues[index].entries.count, queues[index].entries[head].at <= now else {
                continue
            }
            let key = queues[index].entries[head].key
            advance(index)
            return key
        }
        return nil
    }

    private mutating func advance(_ index: Int) {
        queues[index].head += 1
        if queues[index].head > 1024, queues[index].head * 2 > queues[index].entries.count {
            queues[index].entries.removeFirst(queues[index].head)
            queues[index].head = 0
        }
    }
}
