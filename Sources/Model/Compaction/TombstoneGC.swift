// When a tombstone may be forgotten: `WITH tombstone_gc = {'mode': ...}`, in ScyllaDB's grammar.
//
// `timeout` trusts that a repair ran within `gc_grace_seconds`, as Cassandra does. `repair` forgets only
// what a repair has covered, so that a replica that missed the delete cannot bring the data back. In
// that mode a table with a single replica has nobody who could have missed it, and behaves as
// `immediate`.

/// A table's rule for forgetting tombstones.
package struct TombstoneGC: Hashable, Sendable {
    package enum Mode: String, CaseIterable, Hashable, Sendable {
        /// After `gc_grace_seconds`.
        case timeout
        /// After a repair that began later than the deletion and its spreading.
        case `repair`
        /// At once: for tables that nobody deletes from, or that have one replica.
        case immediate
        /// Never.
        case disabled
    }

    package var mode = Mode.timeout
    /// In mode `repair`: how long a deletion may have been on its way to the replicas.
    package var propagationDelaySeconds: Int32 = 3_600

    package init() {}

    /// Reads the map of the table option. Throws `.configuration`.
    package init(reading map: [String: String]) throws(CQLError) {
        for name in map.keys.sorted() {
            let text = map[name] ?? ""
            switch name {
            case "mode":
                guard let mode = Mode(rawValue: text) else {
                    throw .configuration(
                        "Invalid value for tombstone_gc option mode: \(text); it must be one of"
                            + " timeout, repair, immediate, disabled")
                }
                self.mode = mode
            case "propagation_delay_in_seconds":
                guard let value = Int32(text), value >= 0 else {
                    throw .configuration(
                        "Invalid value for tombstone_gc option propagation_delay_in_seconds: \(text)"
                    )
                }
                propagationDelaySeconds = value
            default: throw .configuration("Unknown tombstone_gc option: \(name)")
            }
        }
        guard map["mode"] != nil else {
            throw .configuration("Missing sub-option 'mode' for the 'tombstone_gc' option.")
        }
    }

    /// As DESCRIBE writes it.
    package var map: [String: String] {
        [
            "mode": mode.rawValue,
            "propagation_delay_in_seconds": String(propagationDelaySeconds),
        ]
    }

    /// Deletions from before this second are left out of digests: they may be gone on some replicas and
    /// not on others, and where the live rows agree nobody can see the difference.
    package func digestBefore(nowInSeconds: Int64, gcGraceSeconds: Int32) -> Int64 {
        mode == .immediate ? nowInSeconds : nowInSeconds - Int64(gcGraceSeconds)
    }

    /// What was deleted (or expired) before this second may be forgotten. `repairedAt`: the second of the
    /// repair that covered all of the data at hand; nil for none.
    package func gcBefore(
        nowInSeconds: Int64, gcGraceSeconds: Int32, isSingleReplica: Bool, repairedAt: Int64? = nil
    ) -> Int64 {
        switch mode {
        case .timeout: nowInSeconds - Int64(gcGraceSeconds)
        case .immediate: nowInSeconds
        case .disabled: .min
        case .repair:
            if isSingleReplica {
                nowInSeconds
            } else if let repairedAt {
                repairedAt - Int64(propagationDelaySeconds)
            } else {
                .min
            }
        }
    }
}

extension ReplicationParameters {
    /// Whether one node alone has the data: nobody else can have missed a delete.
    package var isSingleReplica: Bool {
        if strategyClass.hasSuffix("LocalStrategy") { return true }
        var replicas = 0
        for factor in options.values {
            // A factor that is not a plain number ('3/1') counts as several.
            replicas += Int(factor) ?? 2
        }
        return replicas == 1
    }
}
