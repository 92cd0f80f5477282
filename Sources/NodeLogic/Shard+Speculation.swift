// Speculation: a read that takes longer than its table's `speculative_retry` says asks one living replica more,
// and a read whose repairs take longer than `additional_write_policy` says sends them to others as well. As in
// Cassandra, scans and serial reads do neither, and what stays in a datacenter goes on to do so.
//
//     read sent --(threshold)--> one more is asked --(as many answers as the level requires)--> answered
//     repairs sent --(threshold)--> a substitute for each silent one --(acknowledged)--> answered
//
// Cost on a read's path: a look-up of its table and an entry in a queue, for reads that wait for anybody. An entry
// whose read was answered is taken out at the end of a step when it comes first, and wakes nobody.

internal import Environment
internal import Model
internal import PeerProtocol
internal import Replication
internal import Topology

/// What a read does when its time has come.
enum SpeculationKey {
    case read(RequestID)
    case repair(RequestID)

    var read: RequestID {
        switch self {
        case .read(let id), .repair(let id): id
        }
    }
}

/// Counts of one table on one shard, with Cassandra's names.
struct SpeculationCounts {
    var retries = 0
    /// Reads that timed out nevertheless.
    var failedRetries = 0
    /// Reads that would have asked one more, had there been one.
    var insufficientReplicas = 0
}

extension Shard {
    /// When a read asks one replica more; never for what has no others, and for levels that count answers by
    /// datacenter.
    func speculativeRetry(_ command: ReadCommand, _ session: ReadSession) -> SpeculativeRetry {
        guard case .partition = command.scope, !session.placement.isLocal,
            session.consistency != .eachQuorum, let route = cluster.route(of: command.table)
        else { return .never }
        return route.speculativeRetry
    }

    /// The read is sent: remembers when it is to ask one more.
    func planSpeculation(
        _ id: RequestID, _ pending: PendingRead, _ policy: SpeculativeRetry, timeout: Instant.Span
    ) {
        let table = pending.operation.command.table
        let span: Instant.Span
        switch policy {
        case .never: return
        case .always:
            if pending.operation.hasSpeculated { return }
            span = Instant.Span(nanoseconds: 0)
        case .threshold(let threshold):
            span = metrics(of: table).threshold(
                .coordinatorRead, threshold, timeout: configuration.requests.readTimeout,
                now: now.monotonic)
        }
        guard span < timeout else { return }
        speculations.add(.read(id), span: span, now: now.monotonic)
    }

    /// The read's repairs are sent: remembers when others are to have them as well.
    func planSubstitutes(_ id: RequestID, _ pending: PendingRead) {
        guard let route = cluster.route(of: pending.operation.command.table) else { return }
        let span: Instant.Span
        switch route.additionalWritePolicy {
        case .never: return
        case .always: span = Instant.Span(nanoseconds: 0)
        case .threshold(let threshold):
            span = metrics(of: route.table.id).threshold(
                .coordinatorWrite, threshold, timeout: configuration.requests.writeTimeout,
                now: now.monotonic)
        }
        speculations.add(.repair(id), span: span, now: now.monotonic)
    }

    /// Does what the time has come for.
    func speculateExpired() {
        while let key = speculations.popExpired(now: now.monotonic) {
            guard let pending = reads[key.read] else { continue }
            switch key {
            case .read(let id): speculate(id, pending)
            case .repair(let id):
                for repair in pending.operation.substituteRepairs() {
                    let target = pending.session.topology.host(at: repair.node)
                    pending.session.client.trace?.note(
                        "Sending speculative read repair to \(name(of: target))",
                        now: now.monotonic)
                    sendRepair(repair, for: id, pending)
                }
            }
        }
    }

    /// When the next read asks one more, if it is not answered before.
    var nextSpeculation: Instant? {
        speculations.dropFirst { reads[$0.read] == nil }
        return speculations.next
    }

    private func speculate(_ id: RequestID, _ pending: PendingRead) {
        let metrics = metrics(of: pending.operation.command.table)
        switch pending.operation.speculate() {
        case .notNeeded: break
        case .nobodyLeft:
            // ALL asks everybody anyway.
            if pending.operation.consistency != .all {
                metrics.speculation.insufficientReplicas += 1
            }
        case .send(let more):
            metrics.speculation.retries += 1
            let target = pending.session.topology.host(at: more.node)
            pending.session.client.trace?.note(
                "Speculating read retry on \(name(of: target))", now: now.monotonic)
            observe(
                .readSent(
                    table: pending.operation.command.table.value, token: pending.token.value,
                    replicas: [target], request: id.value))
            send([more], id, pending)
        }
    }
}
