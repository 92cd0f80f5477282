// The pace of writes while flushing lags, as a pure value.

import Environment
import Testing

@testable import Storage

@Suite struct WriteThrottleTests {
    private let second: Int64 = 1_000_000_000

    private func isTaken(_ throttle: inout WriteThrottle, _ used: Int, at time: Int64) -> Bool {
        throttle.admits(
            usedBytes: used, waitingBytes: used, now: Instant(nanoseconds: time))
    }

    /// A writer that takes all it gets, against a disk that frees half of the budget in a second.
    private func write(
        _ throttle: inout WriteThrottle, from begin: Int, freed: Int, at end: Int64
    ) -> (used: Int, longestWait: Int64) {
        var used = begin
        var now: Int64 = 0
        var longestWait: Int64 = 0
        var waitBegan: Int64?
        while now < end {
            if throttle.admits(
                usedBytes: used, waitingBytes: freed, now: Instant(nanoseconds: now))
            {
                if let began = waitBegan { longestWait = max(longestWait, now - began) }
                waitBegan = nil
                used += 1_000
                now += 1_000
            } else {
                waitBegan = waitBegan ?? now
                let next = throttle.nextAdmission(usedBytes: used)
                now = max(now + 1_000, next?.nanoseconds ?? now + 1_000_000)
            }
        }
        return (used, longestWait)
    }

    @Test func belowThreeQuartersNobodyWaits() {
        var throttle = WriteThrottle(limitBytes: 1_000_000)
        for used in stride(from: 0, to: 750_000, by: 1_000) {
            let taken = isTaken(&throttle, used, at: 0)
            #expect(taken)
        }
        #expect(throttle.delays == 0)
        #expect(throttle.nextAdmission(usedBytes: 0) == nil)
    }

    @Test func aFastWriterIsStretchedOverTheFlushInsteadOfStopped() {
        var throttle = WriteThrottle(limitBytes: 100_000_000)
        // What the disk does is known from flushes before.
        for _ in 0..<30 { throttle.flushEnded(bytes: 50_000_000, after: .seconds(1)) }
        #expect(abs(throttle.bytesPerSecond - 50_000_000) < 1_000_000)
        let (used, longestWait) = write(
            &throttle, from: 50_000_000, freed: 50_000_000, at: second)
        #expect(used < 101_000_000, "the budget is kept")
        #expect(used > 97_000_000, "and used")
        #expect(longestWait < 1_000_000, "delays are short: \(longestWait) ns")
        #expect(throttle.delays > 1_000)
        let blocked = throttle.blockedNanoseconds(now: Instant(nanoseconds: second))
        #expect(blocked > second / 2 && blocked <= second)
    }

    @Test func nothingIsTakenAboveTheBudgetUntilAFlushHasEnded() {
        var throttle = WriteThrottle(limitBytes: 1_000)
        let first = isTaken(&throttle, 1_000, at: 0)
        #expect(!first)
        #expect(throttle.nextAdmission(usedBytes: 1_000) == nil)
        let later = isTaken(&throttle, 1_000, at: 100 * second)
        #expect(!later)
        throttle.flushEnded(bytes: 500, after: .seconds(100))
        let afterwards = isTaken(&throttle, 500, at: 100 * second)
        #expect(afterwards)
        #expect(
            throttle.blockedNanoseconds(now: Instant(nanoseconds: 200 * second)) == 100 * second)
        #expect(throttle.delays == 1)
    }
}
