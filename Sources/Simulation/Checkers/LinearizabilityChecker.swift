// Judges histories of registers that are compared and set: is there an order of the operations, each
// between its invocation and its answer, in which every answer is right?
//
// The search is Wing and Gong's with Lowe's memory of visited states ("Testing for linearizability",
// 2017): take any operation that was invoked before every pending answer, see whether the register
// could have answered so, go on; back out of dead ends, and never enter the same set of operations in
// the same state twice. A history is linearizable if and only if it is for each key alone (locality), so
// keys are searched one by one, and the exponent is the operations of one key that overlap.
//
// An operation whose outcome is not known may take effect at any time after it was invoked, or never.

/// One operation on a register.
package struct RegisterEvent: Sendable {
    package enum Effect: Equatable, Sendable {
        case read(Int64?)
        /// Applied: the register had `expected`, and then `new`.
        case compareAndSet(expected: Int64?, new: Int64, Result)
    }

    package enum Result: Equatable, Sendable {
        case applied
        /// The register had another value than was expected: that one.
        case refused(current: Int64?)
        case unknown
    }

    package let id: Int
    package let key: Int
    package let effect: Effect
    package let invoked: VirtualTime
    /// Nil for an operation that was never answered, or of unknown outcome.
    package let returned: VirtualTime?

    package init(
        id: Int, key: Int, effect: Effect, invoked: VirtualTime, returned: VirtualTime?
    ) {
        self.id = id
        self.key = key
        self.effect = effect
        self.invoked = invoked
        self.returned = returned
    }

    /// The register's value after the operation, or nil if it could not have been answered so.
    func applied(to state: Int64?) -> Int64?? {
        switch effect {
        case .read(let value): return value == state ? .some(state) : nil
        case .compareAndSet(let expected, let new, .applied):
            return state == expected ? .some(new) : nil
        case .compareAndSet(let expected, _, .refused(let current)):
            return state == current && state != expected ? .some(state) : nil
        case .compareAndSet(let expected, let new, .unknown):
            return state == expected ? .some(new) : .some(state)
        }
    }
}

/// The judge of such histories. Registers begin without a value.
package enum LinearizabilityChecker {
    /// One sentence for each key whose history no order explains.
    package static func check(_ history: [RegisterEvent]) -> [String] {
        var byKey: [Int: [RegisterEvent]] = [:]
        for event in history { byKey[event.key, default: []].append(event) }
        return byKey.keys.sorted().compactMap { key in
            let events = (byKey[key] ?? []).sorted { ($0.invoked, $0.id) < ($1.invoked, $1.id) }
            guard let stuck = search(events) else { return nil }
            return
                "key \(key): no order of its \(events.count) operations explains the answers; the "
                + "longest one explains \(stuck.explained) and fails before #\(stuck.next)"
        }
    }

    private struct Visit: Hashable {
        let taken: [UInt64]
        let state: Int64?
    }

    private struct Frame {
        var taken: [UInt64]
        let state: Int64?
        let count: Int
        /// The next event to try.
        var next = 0
    }

    /// Nil if there is an order; else how far the best one comes.
    private static func search(_ events: [RegisterEvent]) -> (explained: Int, next: Int)? {
        let answered = events.indices.filter { events[$0].returned != nil }
        let words = (events.count + 63) / 64
        var visited: Set<Visit> = []
        var stack = [Frame(taken: Array(repeating: 0, count: words), state: nil, count: 0)]
        var best = (explained: 0, next: events.first?.id ?? 0)
        func isTaken(_ taken: [UInt64], _ index: Int) -> Bool {
            taken[index / 64] >> UInt64(index % 64) & 1 == 1
        }
        while let frame = stack.last {
            let pending = answered.filter { !isTaken(frame.taken, $0) }
            guard let first = pending.min(by: { returned(events[$0]) < returned(events[$1]) })
            else {
                return nil
            }
            if frame.count >= best.explained { best = (frame.count, events[first].id) }
            let limit = returned(events[first])
            var index = frame.next
            var pushed = false
            while index < events.count, events[index].invoked <= limit {
                defer { index += 1 }
                guard !isTaken(frame.taken, index),
                    let state = events[index].applied(to: frame.state)
                else { continue }
                // What leaves no trace need not be tried: an unknown write that changes nothing.
                if events[index].returned == nil, state == frame.state { continue }
                var taken = frame.taken
                taken[index / 64] |= 1 << UInt64(index % 64)
                guard visited.insert(Visit(taken: taken, state: state)).inserted else { continue }
                stack[stack.count - 1].next = index + 1
                stack.append(
                    Frame(
                        taken: taken, state: state,
                        count: frame.count + (events[index].returned == nil ? 0 : 1)))
                pushed = true
                break
            }
            if !pushed { stack.removeLast() }
        }
        return best
    }

    private static func returned(_ event: RegisterEvent) -> VirtualTime {
        event.returned ?? .distantFuture
    }
}
