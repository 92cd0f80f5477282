// How fast writes are taken in while flushing lags behind them.
//
//     used bytes of all memtables
//     limit  |- - - - - - - - - - - - - - - - nothing is taken until a flush has ended
//            |                       ___---
//            |              ___--- the line: writes may use so much at that time
//     3/4    |- - - - -__---
//            |       /   full speed
//            +------------------------------- time
//
// Up to three quarters of the budget writes go at full speed. From there a line leads to the whole
// budget at the time at which the flush under way will have ended, by the speed of those before; a
// write is taken while the used bytes are below the line. So a writer that is faster than the disk is
// slowed down to the disk's speed, in small delays, instead of stopping for seconds when the budget
// is used up. An estimate that was too good only means such a stop.
//
// No write fails here: the shard keeps what is not taken, asks again at `nextAdmission`, and stops
// reading from those who send more.

internal import Environment

/// The pace of writes for one engine. A pure value: it is told the time and the used bytes.
struct WriteThrottle {
    /// Below it nobody waits.
    let softBytes: Int
    private let limitBytes: Int
    /// How many bytes of memtables a second of flushing frees, by the last flushes.
    private(set) var bytesPerSecond = 64 << 20
    private var line: Line?
    private var blockedSince: Instant?

    private struct Line {
        let since: Instant
        let usedBytes: Int
        let bytesPerSecond: Int

        /// What may have been used since the line began.
        func bytes(until now: Instant) -> Int {
            Int(Double((now - since).nanoseconds) / 1e9 * Double(bytesPerSecond))
        }
    }

    // Figures, for people.
    /// How often writes began to wait.
    private(set) var delays = 0
    private var endedBlockedNanoseconds: Int64 = 0

    init(limitBytes: Int) {
        self.limitBytes = limitBytes
        softBytes = limitBytes / 4 * 3
    }

    /// Whether a write is taken now. `waitingBytes` are those of memtables on their way to the disk.
    mutating func admits(usedBytes: Int, waitingBytes: Int, now: Instant) -> Bool {
        guard usedBytes >= softBytes else {
            line = nil
            endWaiting(now)
            return true
        }
        let isTaken = usedBytes < limitBytes && isBelowLine(usedBytes, waitingBytes, now)
        if isTaken { endWaiting(now) } else { beginWaiting(now) }
        return isTaken
    }

    private mutating func isBelowLine(
        _ usedBytes: Int, _ waitingBytes: Int, _ now: Instant
    ) -> Bool {
        let line: Line
        if let known = self.line {
            line = known
        } else {
            let room = limitBytes - usedBytes
            let milliseconds = max(1, waitingBytes * 1_000 / bytesPerSecond)
            line = Line(
                since: now, usedBytes: usedBytes,
                bytesPerSecond: max(1_000, room * 1_000 / milliseconds))
            self.line = line
        }
        return usedBytes <= line.usedBytes + line.bytes(until: now)
    }

    /// When a write will be taken if nothing happens before; nil: not before a flush has ended.
    func nextAdmission(usedBytes: Int) -> Instant? {
        guard blockedSince != nil, usedBytes < limitBytes, let line else { return nil }
        let missing = max(0, usedBytes - line.usedBytes)
        let nanoseconds = Double(missing) / Double(line.bytesPerSecond) * 1e9
        return line.since + Instant.Span(nanoseconds: Int64(nanoseconds) + 1_000)
    }

    /// A flush has freed so many bytes.
    mutating func flushEnded(bytes: Int, after span: Instant.Span) {
        line = nil
        guard bytes >= limitBytes / 64, span.nanoseconds > 0 else { return }
        let measured = Double(bytes) / (Double(span.nanoseconds) / 1e9)
        let mean = (Double(bytesPerSecond) + min(measured, 1e12)) / 2
        bytesPerSecond = max(64 << 10, Int(mean))
    }

    /// Writes wait, for whatever reason.
    mutating func beginWaiting(_ now: Instant) {
        guard blockedSince == nil else { return }
        blockedSince = now
        delays += 1
    }

    /// Writes are taken again.
    mutating func endWaiting(_ now: Instant) {
        guard let since = blockedSince else { return }
        blockedSince = nil
        endedBlockedNanoseconds += (now - since).nanoseconds
    }

    /// How long writes have waited so far, all delays together.
    func blockedNanoseconds(now: Instant) -> Int64 {
        endedBlockedNanoseconds + (blockedSince.map { (now - $0).nanoseconds } ?? 0)
    }
}
