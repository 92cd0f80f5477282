// Says in words why a read was stale, from the facts that the nodes told: which replica held what,
// which were asked, and which rule allows (or forbids) it.

internal import Environment
internal import Simulation

/// Explains single findings of one run.
struct Explainer {
    let log: FactLog
    let pair: ConsistencyPair
    let replicas: Int

    private func facts(_ key: Int) -> [RecordedFact] {
        log.facts[RegisterWorkload.token(ofKey: key)] ?? []
    }

    private func nodes(_ numbers: [Int]) -> String {
        "{" + numbers.sorted().map { "n\($0)" }.joined(separator: ", ") + "}"
    }

    private func version(_ write: RegisterOperation?) -> String {
        guard let write, case .write(let version) = write.kind else { return "nothing" }
        return "version \(version)"
    }

    /// The story of a stale read, line by line.
    func explain(_ stale: RegisterChecker.StaleRead) -> [String] {
        guard let missed = stale.missed.last, let timestamp = missed.timestamp else { return [] }
        let read = stale.read
        var lines: [String] = []
        lines.append(
            "read #\(read.id) of key \(read.key) at \(read.consistency) through n\(read.coordinator), "
                + "\(read.invoked) to \(read.returned ?? read.invoked) ms, returned "
                + "\(version(stale.returned))")
        lines.append(
            "it missed \(version(missed)), write #\(missed.id) at \(missed.consistency) through "
                + "n\(missed.coordinator), acknowledged at \(missed.returned ?? missed.invoked) ms, "
                + "\(VirtualTime.text(read.invoked.nanoseconds - (missed.returned ?? read.invoked).nanoseconds))"
                + " ms before the read began")
        lines += acknowledgement(of: missed, timestamp)
        lines += holders(of: missed, timestamp, at: read)
        let asked = askedReplicas(read, &lines)
        lines.append(rule(asked))
        return lines
    }

    private func acknowledgement(of write: RegisterOperation, _ timestamp: Int64) -> [String] {
        for entry in facts(write.key) {
            if case .writeAcknowledged(_, _, timestamp, let hosts, _) = entry.fact {
                return [
                    "n\(entry.node) acknowledged it after the answers of "
                        + nodes(hosts.map { log.node($0) })
                ]
            }
        }
        return []
    }

    /// When each replica got the write, compared with the read.
    private func holders(
        of write: RegisterOperation, _ timestamp: Int64, at read: RegisterOperation
    ) -> [String] {
        var times: [Int: VirtualTime] = [:]
        for entry in facts(write.key) {
            if case .mutationApplied(_, _, timestamp, _) = entry.fact, times[entry.node] == nil {
                times[entry.node] = entry.time
            }
        }
        return (0..<replicas).map { node in
            guard let time = times[node] else { return "n\(node) never got it during the run" }
            let when = time <= (read.returned ?? read.invoked) ? "held it from" : "got it only at"
            return "n\(node) \(when) \(time) ms"
        }
    }

    /// Whom the read's coordinator asked and what they answered; adds lines.
    private func askedReplicas(_ read: RegisterOperation, _ lines: inout [String]) -> [Int] {
        let end = read.returned ?? .distantFuture
        var asked: [Int] = []
        var request: UInt64?
        for entry in facts(read.key) where entry.time >= read.invoked && entry.time <= end {
            switch entry.fact {
            case .readSent(_, _, let hosts, let id)
            where request == nil && entry.node == read.coordinator:
                request = id
                asked = hosts.map { log.node($0) }
                lines.append("n\(entry.node) asked \(nodes(asked)) at \(entry.time) ms")
            case .readSent(_, _, let hosts, let id) where id == request:
                let more = hosts.map { log.node($0) }
                asked += more
                lines.append("n\(entry.node) asked \(nodes(more)) too at \(entry.time) ms")
            case .replicaAnswered(_, _, let newest, let id)
            where id == request && asked.contains(entry.node):
                lines.append(
                    "n\(entry.node) answered at \(entry.time) ms with "
                        + (newest.map { "timestamp \($0)" } ?? "nothing"))
            default: break
            }
        }
        return asked
    }

    private func rule(_ asked: [Int]) -> String {
        let write = ConsistencyPair.answers(pair.write, replicas: replicas)
        let read = ConsistencyPair.answers(pair.read, replicas: replicas)
        if write + read <= replicas {
            return
                "rule: W + R = \(write) + \(read) <= N = \(replicas), so a read need not meet the "
                + "replicas that acknowledged the write"
        }
        return
            "rule broken: W + R = \(write) + \(read) > N = \(replicas), so some replica must have "
            + "both acknowledged the write and answered the read"
    }

    /// The story of a write that lost although it came later.
    func explain(_ lost: RegisterChecker.LostWrite) -> [String] {
        let (winner, loser, read) = (lost.winner, lost.loser, lost.read)
        return [
            "write #\(winner.id) through n\(winner.coordinator) put \(version(winner)) with timestamp "
                + "\(winner.timestamp.map(String.init) ?? "unknown"), acknowledged at "
                + "\(winner.returned ?? winner.invoked) ms",
            "write #\(loser.id) through n\(loser.coordinator) began later, at \(loser.invoked) ms, and "
                + "put \(version(loser)) with the smaller timestamp "
                + "\(loser.timestamp.map(String.init) ?? "unknown"), acknowledged at "
                + "\(loser.returned ?? loser.invoked) ms",
            "read #\(read.id) of key \(read.key) through n\(read.coordinator) at \(read.invoked) ms "
                + "returned \(version(winner)) all the same",
            "rule: the later timestamp wins, whatever came later; the clocks of n\(winner.coordinator) "
                + "and n\(loser.coordinator) disagreed",
        ]
    }
}
