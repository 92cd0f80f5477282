// Judges a register history by the merge rule: the value with the later write timestamp wins, and
// at equal timestamps the larger value, that is the larger version.
//
// - A read is *stale* if a write that was acknowledged before the read was invoked outranks what it
//   returned.
// - A write is *lost to last-write-wins* if it was acknowledged before a read, was invoked after
//   the value that the read returned had been acknowledged, and yet is outranked by it: clocks
//   disagreed about what came first. That is no stale read; the store did what its rule says.
// - A read is *impossible* if it returned what nobody had written by then, or what was refused.
//
// Writes of unknown outcome stay open: they may be seen or not, and are never held against a read.

internal import Environment

/// The judge of register histories.
package struct RegisterChecker {
    /// A read that missed something.
    package struct StaleRead: Sendable {
        package let read: RegisterOperation
        /// The write whose value was returned; nil: the key had no value.
        package let returned: RegisterOperation?
        /// Acknowledged before the read and outranking what it returned; newest last.
        package let missed: [RegisterOperation]

        /// For how long the returned value had been out of date: since the first write that it
        /// missed was acknowledged.
        package var ageNanoseconds: Int64 {
            let first = missed.compactMap(\.returned).min() ?? read.invoked
            return (read.invoked - first).nanoseconds
        }
        /// How many acknowledged versions the returned one was behind.
        package var versionsBehind: Int { missed.count }
    }

    /// A read that shows that an acknowledged write lost against an older one.
    package struct LostWrite: Sendable {
        package let read: RegisterOperation
        package let winner: RegisterOperation
        package let loser: RegisterOperation
    }

    package struct Verdict: Sendable {
        package var staleReads: [StaleRead] = []
        package var lostToLastWriteWins: [LostWrite] = []
        /// One sentence for each impossible read.
        package var impossible: [String] = []
    }

    /// Writes of each key, by version.
    private let writes: [[Int64: RegisterOperation]]
    /// Acknowledged writes of each key, by the time of their acknowledgement.
    private let acknowledged: [[RegisterOperation]]
    private let reads: [RegisterOperation]

    /// Takes in a history in any order; keys are numbered from 0.
    package init(_ history: [RegisterOperation]) {
        let keyCount = (history.map(\.key).max() ?? -1) + 1
        var writes = [[Int64: RegisterOperation]](repeating: [:], count: keyCount)
        var acknowledged = [[RegisterOperation]](repeating: [], count: keyCount)
        for operation in history {
            guard case .write(let version) = operation.kind else { continue }
            precondition(writes[operation.key][version] == nil, "a version was written twice")
            writes[operation.key][version] = operation
            if operation.outcome == .acknowledged { acknowledged[operation.key].append(operation) }
        }
        for key in acknowledged.indices {
            acknowledged[key].sort { ($0.returned ?? .zero, $0.id) < ($1.returned ?? .zero, $1.id) }
        }
        self.writes = writes
        self.acknowledged = acknowledged
        reads = history.filter { $0.kind == .read }.sorted { $0.id < $1.id }
    }

    /// Whether a write wins against another by the merge rule. One whose timestamp is not known was
    /// never seen by a replica, as far as anybody knows, and wins against nothing.
    private func outranks(_ left: RegisterOperation, _ right: RegisterOperation?) -> Bool {
        guard let leftTime = left.timestamp else { return false }
        guard let right else { return true }
        guard let rightTime = right.timestamp else { return false }
        if leftTime != rightTime { return leftTime > rightTime }
        return version(left) > version(right)
    }

    private func version(_ operation: RegisterOperation) -> Int64 {
        if case .write(let version) = operation.kind { version } else { 0 }
    }

    /// Judges every read that returned something.
    package func check() -> Verdict {
        var verdict = Verdict()
        for read in reads {
            guard case .value(let value) = read.outcome, let answered = read.returned else {
                continue
            }
            var returned: RegisterOperation?
            if let value {
                guard let write = writes[read.key][value], write.invoked <= answered else {
                    verdict.impossible.append(
                        "read \(read.id) of key \(read.key) returned version \(value), which nobody "
                            + "had written")
                    continue
                }
                if case .refused(let why) = write.outcome {
                    verdict.impossible.append(
                        "read \(read.id) of key \(read.key) returned version \(value), which was "
                            + "refused: \(why)")
                    continue
                }
                returned = write
            }
            let before = acknowledged[read.key].prefix { write in
                (write.returned ?? .distantFuture) <= read.invoked
            }
            let missed = before.filter { outranks($0, returned) }
            if !missed.isEmpty {
                verdict.staleReads.append(
                    StaleRead(
                        read: read, returned: returned,
                        missed: missed.sorted { outranks($1, $0) }))
                continue
            }
            guard let returned, let since = returned.returned, returned.outcome == .acknowledged
            else { continue }
            for write in before where write.invoked > since && outranks(returned, write) {
                verdict.lostToLastWriteWins.append(
                    LostWrite(read: read, winner: returned, loser: write))
            }
        }
        return verdict
    }

    /// Judges what is left of the registers at the end: each key must show the winner of all
    /// acknowledged writes, or a write of unknown outcome that outranks it. One sentence for each
    /// broken key.
    package func checkFinalState(_ values: [Int64?]) -> [String] {
        var violations: [String] = []
        for key in writes.indices {
            let value = key < values.count ? values[key] : nil
            let winner = acknowledged[key].reduce(nil as RegisterOperation?) { best, next in
                outranks(next, best) ? next : best
            }
            guard let value else {
                if let winner {
                    violations.append("key \(key) is empty; \(describe(winner)) was acknowledged")
                }
                continue
            }
            guard let shown = writes[key][value] else {
                violations.append("key \(key) shows version \(value), which nobody wrote")
                continue
            }
            if case .refused(let why) = shown.outcome {
                violations.append("key \(key) shows version \(value), which was refused: \(why)")
            } else if let winner, version(winner) != value, !outranks(shown, winner) {
                violations.append(
                    "key \(key) shows \(describe(shown)); \(describe(winner)) was acknowledged and "
                        + "outranks it")
            }
        }
        return violations
    }

    private func describe(_ write: RegisterOperation) -> String {
        "version \(version(write)) (timestamp \(write.timestamp.map(String.init) ?? "unknown"))"
    }
}
