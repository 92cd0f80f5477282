// The history of compactions: each that ends is a row of `system.compaction_history`, which goes by itself after
// a week, as the table says. `nodetool compactionhistory` and every SELECT read it there.

internal import CQL
internal import Encoding
internal import Environment
internal import Model
internal import Storage

extension Shard {
    private static let historyTable = "compaction_history"
    private static let writeCompaction =
        "INSERT INTO system.compaction_history (id, keyspace_name, columnfamily_name, compacted_at,"
        + " bytes_in, bytes_out, rows_merged, compaction_properties) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
    private static let readCompactions =
        "SELECT id, keyspace_name, columnfamily_name, compacted_at, bytes_in, bytes_out, rows_merged,"
        + " compaction_properties FROM system.compaction_history"

    /// Writes down the compactions that have ended since it was called last.
    func recordCompactions() {
        let ended = storage.endedCompactions
        guard ended > recordedCompactions else { return }
        let records = storage.compactionHistory.suffix(ended - recordedCompactions)
        recordedCompactions = ended
        guard cluster.ownIndex != nil else { return }
        // Its own compactions would go on making rows for ever.
        let calls = records.filter { $0.keyspace != "system" || $0.table != Self.historyTable }
            .map { record in
                InternalCall(
                    Self.writeCompaction,
                    [
                        .uuid(timeUUID()), .text(record.keyspace), .text(record.table),
                        .timestamp(record.time.microseconds / 1_000),
                        .bigint(Int64(record.bytesIn)), .bigint(Int64(record.bytesOut)),
                        .countMap(
                            Dictionary(
                                uniqueKeysWithValues: record.partitionsBySources.enumerated()
                                    .filter { $0.element > 0 }
                                    .map { (Int32($0.offset), Int64($0.element)) })),
                        .textMap(["compaction_type": "Compaction", "reason": record.reason]),
                    ])
            }
        if !calls.isEmpty {
            run(calls, at: .one, for: .untold("the history of compactions is not kept"))
        }
    }

    /// Starts the answer to an operator who asks for the history.
    func readCompactionHistory(for command: EffectID) {
        guard cluster.ownIndex != nil else { return answerCommand(command, .value(.list([]))) }
        run([InternalCall(Self.readCompactions)], at: .one, for: .compactionHistory(command))
    }

    /// The rows of the history are there: the newest is told first.
    func compactionHistoryRead(_ command: EffectID, _ rows: [SystemRow], _ failure: CQLError?) {
        if let failure {
            return answerCommand(
                command, .refused("the history of compactions cannot be read: \(failure.message)"))
        }
        func shown(_ type: CQLType, _ bytes: [UInt8]?) -> AdminValue {
            guard let bytes else { return .null }
            return .text(bytes.withBytes { type.display($0) })
        }
        func integer(_ bytes: [UInt8]?) -> Int64 {
            (bytes ?? []).reduce(0) { $0 << 8 | Int64($1) }
        }
        let entries = rows.sorted { integer($0[3]) > integer($1[3]) }.map { row -> AdminValue in
            [
                "id": shown(.uuid, row[0]), "keyspace": shown(.text, row[1]),
                "table": shown(.text, row[2]), "ended_at": .integer(integer(row[3]) * 1_000),
                "bytes_in": .integer(integer(row[4])), "bytes_out": .integer(integer(row[5])),
                "rows_merged": shown(.map(.int, .bigint, frozen: false), row[6]),
                "compaction_properties": shown(.map(.text, .text, frozen: true), row[7]),
            ]
        }
        answerCommand(command, .value(.list(entries)))
    }
}
