// The tables of an engine's crash test and random mutations of them: few keys, so that everything
// collides.
//
//   plain    nothing is ever purged, and timestamps are anything: old writes come late, ties happen
//   purging  tombstones go after a minute, so timestamps rise: nothing older comes behind a deletion
//   passing  is dropped and made anew, each time with another id
//
// What expires has a timestamp that nothing else has: how a tie between an expired cell and another
// one ends may depend on when it expired, and the twin is not to know that.

internal import Encoding
internal import Environment
internal import Model

/// The tables of the test.
enum CrashTable: Int, CaseIterable {
    case plain
    case purging
    case passing

    static let keyCount: UInt64 = 6
    private static let purgingGraceSeconds: Int32 = 60

    /// Its id in that life of the table.
    func id(_ generation: Int) -> TableID {
        TableID(UniqueID(high: 0xC0FE, low: UInt64(rawValue) << 32 | UInt64(generation)))
    }

    var graceSeconds: Int32 { self == .purging ? Self.purgingGraceSeconds : 500_000_000 }

    /// The schema with the tables that are there; a generation for each.
    static func schema(_ tables: [(CrashTable, generation: Int)]) -> SchemaSnapshot {
        let columns = [
            ColumnSchema(
                id: ColumnID(0), name: "k", type: .blob, kind: .partitionKey(position: 0)),
            ColumnSchema(
                id: ColumnID(1), name: "c", type: .blob,
                kind: .clustering(position: 0, order: .ascending)),
            ColumnSchema(id: ColumnID(2), name: "s", type: .blob, kind: .static),
            ColumnSchema(id: ColumnID(3), name: "v", type: .blob, kind: .regular),
            ColumnSchema(id: ColumnID(4), name: "w", type: .blob, kind: .regular),
            ColumnSchema(
                id: ColumnID(6), name: "x", type: .set(.blob, frozen: false), kind: .regular),
        ]
        let schemas = tables.map { table, generation in
            var options = TableOptions()
            options.gcGraceSeconds = table.graceSeconds
            options.compaction["min_threshold"] = "3"
            if table == .passing { options.compression = ["enabled": "false"] }
            return TableSchema(
                id: table.id(generation), keyspace: "ks", name: "t\(table.rawValue)",
                columns: columns, options: options, nextColumnID: 10)
        }
        return SchemaSnapshot(
            epoch: 1, version: UniqueID(high: 1, low: 1),
            keyspaces: [
                KeyspaceSchema(
                    name: "ks",
                    replication: ReplicationParameters(
                        strategyClass: "SimpleStrategy", options: [:]), tables: schemas)
            ])
    }
}

/// Draws mutations from an operation's own stream.
struct CrashMutationGenerator {
    var random: RandomStream
    let table: CrashTable
    let id: TableID
    /// Of the operation and its mutation; rises.
    let number: Int64
    let nowInSeconds: Int64

    static func key(_ number: UInt64) -> [UInt8] { [UInt8(truncatingIfNeeded: number), 7] }

    private mutating func clustering() -> [UInt8] {
        let number = UInt8(truncatingIfNeeded: random.below(24))
        // Some share a long beginning.
        let middle = number % 3 == 0 ? Array("a longer key with a shared part".utf8) : []
        return [0x40, number] + middle + [0x38]
    }

    /// Even ones collide; rising ones come in the order of the operations.
    private mutating func timestamp() -> Int64 {
        table == .purging ? number * 2 : random.within(1...40) * 2
    }

    /// Of its own operation alone: odd.
    private var uniqueTimestamp: Int64 { number * 2 + 1 }

    private mutating func deletion() -> Deletion {
        Deletion(
            timestamp: timestamp(),
            localDeletionTime: UInt32(nowInSeconds - random.within(0...20)))
    }

    private mutating func value() -> [UInt8] {
        let length = random.chance(1, outOf: 8) ? random.below(900) : random.below(12)
        return (0..<length).map { UInt8(97 + ($0 * 7 + UInt64(number)) % 23) }
    }

    private mutating func append(
        _ column: UInt32, path: [UInt8] = [], _ base: Int64, _ writer: RowWriter,
        _ bytes: ByteWriter
    ) {
        var cell = Cell(column: column, flags: path.isEmpty ? [] : .hasPath, timestamp: base)
        let content = value()
        switch random.below(6) {
        case 0:
            cell.flags.insert(.tombstone)
            cell.localDeletionTime = UInt32(nowInSeconds - random.within(0...20))
        case 1:
            cell.flags.insert(.expiring)
            cell.timestamp = uniqueTimestamp
            cell.timeToLive = 30
            cell.localDeletionTime = UInt32(nowInSeconds + random.within(0...60))
        default: break
        }
        path.withUnsafeBytes { path in
            content.withUnsafeBytes { content in
                cell.path = path
                if !cell.isTombstone { cell.value = content }
                writer.append(cell, into: bytes)
            }
        }
    }

    /// A row in the form that every real writer makes; empty if nothing is in it.
    private mutating func row(isStatic: Bool) throws(MalformedBytes) -> [UInt8] {
        let raw = ByteWriter()
        let base = timestamp()
        var liveness = Liveness.none
        if !isStatic, random.chance(1, outOf: 2) {
            liveness = Liveness(timestamp: base)
            if random.chance(1, outOf: 4) {
                liveness = Liveness(
                    timestamp: uniqueTimestamp, timeToLive: 50,
                    expiresAt: UInt32(nowInSeconds + random.within(0...60)))
            }
        }
        let deletion = !isStatic && random.chance(1, outOf: 6) ? deletion() : .none
        var writer = RowWriter()
        writer.begin(liveness: liveness, deletion: deletion, baseTimestamp: base, into: raw)
        for column: UInt32 in isStatic ? [2] : [3, 4] where random.chance(2, outOf: 3) {
            append(column, base, writer, raw)
        }
        if !isStatic, random.chance(1, outOf: 4) {
            if random.chance(1, outOf: 2) {
                let gone = self.deletion()
                writer.append(
                    Cell(
                        column: 6, flags: .complexDeletion, timestamp: gone.timestamp,
                        localDeletionTime: gone.localDeletionTime), into: raw)
            }
            for path: UInt8 in 0..<3 where random.chance(1, outOf: 2) {
                append(6, path: [path], base, writer, raw)
            }
        }
        let canonical = ByteWriter()
        _ = try RowMerge.filter(try RowView(raw.bytes), shadow: .none, into: canonical)
        return canonical.array
    }

    private mutating func ranges() -> [RangeTombstone] {
        let one = clustering()
        let other = clustering()
        guard one != other else { return [] }
        let isFirst = compareBytes(one, other) < 0
        return [
            RangeTombstone(
                start: isFirst ? one : other, end: isFirst ? other : one, deletion: deletion())
        ]
    }

    /// The bytes of a `MutationView`.
    mutating func mutation() throws(MalformedBytes) -> [UInt8] {
        let key = Self.key(random.below(CrashTable.keyCount))
        let writer = ByteWriter()
        key.withUnsafeBytes {
            MutationWriter.begin(table: id, token: Token.of(key).value, key: $0, into: writer)
        }
        let gone = random.chance(1, outOf: 25) ? deletion() : .none
        let ranges = random.chance(1, outOf: 8) ? ranges() : []
        let staticRow = random.chance(1, outOf: 8) ? try row(isStatic: true) : []
        staticRow.withUnsafeBytes {
            PartitionWriter.begin(deletion: gone, staticRow: $0, ranges: ranges, into: writer)
        }
        var rows: [(key: [UInt8], row: [UInt8])] = []
        for _ in 0..<random.below(4) {
            let bytes = try row(isStatic: false)
            let clustering = clustering()
            if !bytes.isEmpty, !rows.contains(where: { $0.key == clustering }) {
                rows.append((clustering, bytes))
            }
        }
        rows.sort { compareBytes($0.key, $1.key) < 0 }
        for (key, row) in rows {
            key.withUnsafeBytes { key in
                row.withUnsafeBytes { PartitionWriter.append(key: key, row: $0, into: writer) }
            }
        }
        return writer.array
    }
}
