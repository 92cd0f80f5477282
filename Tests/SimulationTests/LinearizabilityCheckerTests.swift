// The checker itself: it accepts what some order explains, finds planted violations, and agrees with a
// twin that tries every order.

import Environment
import Simulation
import Testing

@Suite struct LinearizabilityCheckerTests {
    private func event(
        _ id: Int, _ effect: RegisterEvent.Effect, _ from: Int64, _ to: Int64?
    ) -> RegisterEvent {
        RegisterEvent(
            id: id, key: 0, effect: effect, invoked: .milliseconds(from),
            returned: to.map { .milliseconds($0) })
    }

    @Test func aSequenceWithoutOverlapIsJudgedByItsAnswers() {
        let good = [
            event(1, .compareAndSet(expected: nil, new: 1, .applied), 0, 1),
            event(2, .read(1), 2, 3),
            event(3, .compareAndSet(expected: 9, new: 2, .refused(current: 1)), 4, 5),
            event(4, .compareAndSet(expected: 1, new: 2, .applied), 6, 7),
            event(5, .read(2), 8, 9),
        ]
        #expect(LinearizabilityChecker.check(good).isEmpty)
    }

    @Test func aStaleReadIsFound() {
        let stale = [
            event(1, .compareAndSet(expected: nil, new: 1, .applied), 0, 1),
            event(2, .read(nil), 2, 3),
        ]
        #expect(LinearizabilityChecker.check(stale).count == 1)
    }

    @Test func aReadThatOverlapsAWriteMaySeeItOrNot() {
        for value in [nil, 1] as [Int64?] {
            let history = [
                event(1, .compareAndSet(expected: nil, new: 1, .applied), 0, 10),
                event(2, .read(value), 2, 3),
            ]
            #expect(LinearizabilityChecker.check(history).isEmpty)
        }
    }

    @Test func twoWritesThatWonAgainstTheSameValueAreFound() {
        let history = [
            event(1, .compareAndSet(expected: nil, new: 1, .applied), 0, 10),
            event(2, .compareAndSet(expected: nil, new: 2, .applied), 0, 10),
        ]
        #expect(LinearizabilityChecker.check(history).count == 1)
    }

    @Test func anUnknownWriteMayTakeEffectLateOrNever() {
        let unknown = event(1, .compareAndSet(expected: nil, new: 1, .unknown), 0, nil)
        #expect(LinearizabilityChecker.check([unknown, event(2, .read(nil), 5, 6)]).isEmpty)
        #expect(
            LinearizabilityChecker.check([
                unknown, event(2, .read(nil), 5, 6), event(3, .read(1), 7, 8),
            ]).isEmpty)
        #expect(
            LinearizabilityChecker.check([
                unknown, event(2, .read(1), 5, 6), event(3, .read(nil), 7, 8),
            ]).count == 1)
    }

    /// Small random histories: the search agrees with trying every order of every subset of the unknown.
    @Test(arguments: 1...300 as ClosedRange<UInt64>)
    func theSearchAgreesWithTryingEveryOrder(_ seed: UInt64) {
        var stream = RandomStream(seed: seed, name: "history")
        let history = (0..<5).map { id -> RegisterEvent in
            let from = stream.within(0...10)
            let to = from + 1 + stream.within(0...6)
            let value: Int64? = stream.chance(1, outOf: 3) ? nil : Int64(stream.below(3))
            switch stream.below(4) {
            case 0: return event(id, .read(value), from, to)
            case 1:
                return event(
                    id, .compareAndSet(expected: value, new: Int64(stream.below(3)), .unknown),
                    from,
                    nil)
            case 2:
                return event(
                    id,
                    .compareAndSet(
                        expected: Int64(stream.below(3)), new: 2, .refused(current: value)), from,
                    to)
            default:
                return event(
                    id, .compareAndSet(expected: value, new: Int64(stream.below(3)), .applied),
                    from,
                    to)
            }
        }
        #expect(
            LinearizabilityChecker.check(history).isEmpty == Self.twin(history), "seed \(seed)")
    }

    private static func twin(_ events: [RegisterEvent]) -> Bool {
        func apply(_ event: RegisterEvent, _ state: Int64?) -> Int64?? {
            switch event.effect {
            case .read(let value): return value == state ? .some(state) : nil
            case .compareAndSet(let expected, let new, let result):
                switch result {
                case .applied: return expected == state ? .some(new) : nil
                case .refused(let current):
                    return current == state && expected != state ? .some(state) : nil
                case .unknown: return expected == state ? .some(new) : .some(state)
                }
            }
        }
        func explains(_ left: [RegisterEvent], _ state: Int64?) -> Bool {
            if left.allSatisfy({ $0.returned == nil }) { return true }
            for (index, event) in left.enumerated() {
                // No other may have been answered before this one was invoked.
                let isFree = left.allSatisfy { ($0.returned ?? .distantFuture) >= event.invoked }
                guard isFree, let next = apply(event, state) else { continue }
                var rest = left
                rest.remove(at: index)
                if explains(rest, next) { return true }
            }
            return false
        }
        return explains(events, nil)
    }
}
