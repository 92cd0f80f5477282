// Random schemas' worth of mutations and reads over few keys, so that everything collides.

import Encoding
import Environment
import Model

@testable import Storage

let testTable = TableID(UniqueID(high: 0x1234, low: 0x5678))
let otherTable = TableID(UniqueID(high: 0x1234, low: 0x9999))
let testGcGrace: Int64 = 60

/// Without clustering columns the schema names all columns that a generator without collections writes.
func testSchema(
    isClustered: Bool = true, _ change: (inout TableOptions) -> Void = { _ in }
) -> SchemaSnapshot {
    var options = TableOptions()
    options.gcGraceSeconds = Int32(testGcGrace)
    change(&options)
    func table(_ id: TableID, _ name: String) -> TableSchema {
        var columns = [
            ColumnSchema(id: ColumnID(0), name: "k", type: .blob, kind: .partitionKey(position: 0)),
            ColumnSchema(id: ColumnID(3), name: "v", type: .blob, kind: .regular),
        ]
        if isClustered {
            columns += [
                ColumnSchema(
                    id: ColumnID(1), name: "c", type: .blob,
                    kind: .clustering(position: 0, order: .ascending)),
                ColumnSchema(id: ColumnID(2), name: "s", type: .blob, kind: .static),
            ]
        } else {
            columns += [
                ColumnSchema(id: ColumnID(4), name: "w", type: .blob, kind: .regular),
                ColumnSchema(id: ColumnID(5), name: "x", type: .blob, kind: .regular),
            ]
        }
        return TableSchema(
            id: id, keyspace: "ks", name: name, columns: columns, options: options,
            nextColumnID: 10)
    }
    return SchemaSnapshot(
        epoch: 1, version: UniqueID(high: 1, low: 1),
        keyspaces: [
            KeyspaceSchema(
                name: "ks",
                replication: ReplicationParameters(strategyClass: "SimpleStrategy", options: [:]),
                tables: [table(testTable, "t"), table(otherTable, "u")])
        ])
}

struct Generator {
    var random: RandomStream
    var keys = 12
    var clusterings = 40
    var timestamps: Int64 = 60
    var now: Int64 = 1_000
    /// All timestamps lie behind it, `timestamps` wide.
    var oldestTimestamp: Int64 = 0
    /// Where tokens lie; nil: the real hash.
    var tokens: ClosedRange<Int64>?
    var valueBytes = 12
    /// A counter's tombstone holds down later counts until it is purged, at a time that the twin does not know:
    /// in tests that purge, nobody counts again what was deleted.
    var countersStayDeleted = false
    /// Partition and row keys of counters that were deleted.
    private var deletedCounters: Set<[UInt8]> = []
    /// Among how many elements a collection's are drawn. Many: rows write up to 400 of them at once.
    var elements = 3
    /// Rows may have so many simple columns more.
    var moreColumns = 0
    /// No collections and no counters.
    var hasOnlySimpleColumns = false
    /// Partitions are one row each: no clustering keys, ranges or static rows.
    var hasSingleRows = false

    init(seed: UInt64) { random = RandomStream(seed: seed, name: "generator") }

    mutating func key() -> [UInt8] {
        let number = random.below(UInt64(keys))
        return [UInt8(truncatingIfNeeded: number >> 8), UInt8(truncatingIfNeeded: number), 7]
    }

    func token(_ key: [UInt8]) -> Int64 {
        let hash = Token.of(key).value
        guard let tokens else { return hash }
        let width = UInt64(bitPattern: tokens.upperBound &- tokens.lowerBound)
        return tokens.lowerBound &+ Int64(UInt64(bitPattern: hash) % (width + 1))
    }

    mutating func clustering() -> [UInt8] {
        if hasSingleRows { return [] }
        let number = random.below(UInt64(clusterings))
        var bytes: [UInt8] = [0x40, UInt8(truncatingIfNeeded: number >> 8)]
        bytes.append(UInt8(truncatingIfNeeded: number))
        if number % 3 == 0 { bytes += Array("a longer key with a shared part".utf8) }
        bytes.append(0x38)
        return bytes
    }

    mutating func timestamp() -> Int64 { oldestTimestamp + random.within(1...timestamps) }

    mutating func deletion() -> Deletion {
        Deletion(
            timestamp: timestamp(),
            localDeletionTime: UInt32(now - random.within(-5...120)))
    }

    mutating func value() -> [UInt8] {
        (0..<random.below(UInt64(valueBytes))).map { UInt8(97 + $0 % 4) }
    }

    mutating func row(isStatic: Bool) throws -> [UInt8] {
        let raw = ByteWriter()
        let timestamp = timestamp()
        var liveness = Liveness.none
        if !isStatic, random.chance(1, outOf: 2) {
            liveness = Liveness(timestamp: timestamp)
            if random.chance(1, outOf: 4) {
                liveness.timeToLive = 50
                liveness.expiresAt = UInt32(now + random.within(-100...100))
            }
        }
        let rowDeletion = !isStatic && random.chance(1, outOf: 8) ? deletion() : .none
        var writer = RowWriter()
        writer.begin(
            liveness: liveness, deletion: rowDeletion, baseTimestamp: timestamp, into: raw)
        let columns: [UInt32] = isStatic ? [2] : [3, 4, 5]
        for column in columns where random.chance(2, outOf: 3) {
            try cell(column, timestamp, writer, raw)
        }
        if !isStatic, !hasOnlySimpleColumns, random.chance(1, outOf: 4) {
            if random.chance(1, outOf: 2) {
                let gone = deletion()
                writer.append(
                    Cell(
                        column: 6, flags: .complexDeletion, timestamp: gone.timestamp,
                        localDeletionTime: gone.localDeletionTime), into: raw)
            }
            try elements(of: 6, timestamp, writer, raw)
        }
        if !isStatic, !hasOnlySimpleColumns, random.chance(1, outOf: 4) { counter(7, writer, raw) }
        if isStatic, elements > 3 { try elements(of: 8, timestamp, writer, raw) }
        if !isStatic, moreColumns > 0 {
            let isWhole = random.chance(1, outOf: 20)
            // Their numbers take one byte at first and more later.
            for column in 0..<moreColumns where isWhole || random.chance(1, outOf: 40) {
                try cell(UInt32(100 + column * 3), timestamp, writer, raw)
            }
        }
        // Canonical bytes, as every real writer makes them.
        let canonical = ByteWriter()
        _ = try RowMerge.filter(try RowView(raw.bytes), shadow: .none, into: canonical)
        return canonical.array
    }

    private mutating func elements(
        of column: UInt32, _ timestamp: Int64, _ writer: RowWriter, _ raw: ByteWriter
    ) throws {
        if elements <= 3 {
            for path in 0..<elements where random.chance(1, outOf: 2) {
                try [UInt8(path)].withUnsafeBytes { path in
                    try cell(column, timestamp, writer, raw, path: path)
                }
            }
            return
        }
        let count = [1, 1, 2, 20, 400][Int(random.below(5))]
        var paths: Set<[UInt8]> = []
        for _ in 0..<count {
            let number = random.below(UInt64(elements))
            var path = [UInt8(truncatingIfNeeded: number >> 8), UInt8(truncatingIfNeeded: number)]
            if number % 7 == 0 { path += Array("a longer path".utf8) }
            paths.insert(path)
        }
        for path in paths.sorted(by: { compareBytes($0, $1) < 0 }) {
            try path.withUnsafeBytes { try cell(column, timestamp, writer, raw, path: $0) }
        }
    }

    private mutating func cell(
        _ column: UInt32, _ base: Int64, _ writer: RowWriter, _ raw: ByteWriter,
        path: UnsafeRawBufferPointer? = nil
    ) throws {
        let timestamp = random.chance(3, outOf: 4) ? base : timestamp()
        var flags: Cell.Flags = path == nil ? [] : .hasPath
        let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
        switch random.below(5) {
        case 0:
            flags.insert(.tombstone)
            writer.append(
                Cell(
                    column: column, flags: flags, timestamp: timestamp,
                    localDeletionTime: UInt32(now - random.within(-5...120)),
                    path: path ?? nothing), into: raw)
        case 1:
            flags.insert(.expiring)
            value().withUnsafeBytes { value in
                writer.append(
                    Cell(
                        column: column, flags: flags, timestamp: timestamp,
                        localDeletionTime: UInt32(now + (timestamp * 7) % 200 - 100),
                        timeToLive: 30, path: path ?? nothing, value: value), into: raw)
            }
        default:
            value().withUnsafeBytes { value in
                writer.append(
                    Cell(
                        column: column, flags: flags, timestamp: timestamp,
                        path: path ?? nothing, value: value), into: raw)
            }
        }
    }

    private mutating func counter(_ column: UInt32, _ writer: RowWriter, _ raw: ByteWriter) {
        if random.chance(1, outOf: 10) {
            let gone = deletion()
            return writer.append(
                Cell(
                    column: column, flags: [.counter, .tombstone], timestamp: gone.timestamp,
                    localDeletionTime: gone.localDeletionTime), into: raw)
        }
        let value = ByteWriter()
        var newest = noTimestamp
        for replica in 1...3 where replica == 1 || random.chance(1, outOf: 3) {
            let shard = CounterShard(
                replica: UniqueID(high: UInt64(replica), low: 0), clock: timestamp(),
                count: random.within(-5...5))
            newest = max(newest, shard.clock)
            CounterShards.append(shard, into: value)
        }
        writer.append(
            Cell(column: column, flags: .counter, timestamp: newest, value: value.bytes), into: raw)
    }

    /// The row without the count of a counter that was deleted before.
    private mutating func withoutCounts(_ row: [UInt8], at place: [UInt8]) throws -> [UInt8] {
        try row.withUnsafeBytes { raw in
            let view = try RowView(raw)
            let raw = ByteWriter()
            var writer = RowWriter()
            writer.begin(
                liveness: view.liveness, deletion: view.deletion,
                baseTimestamp: view.baseTimestamp, into: raw)
            var cells = view.cells
            while let cell = try cells.next() {
                if cell.isCounterTombstone { deletedCounters.insert(place) }
                if cell.isCount, deletedCounters.contains(place) { continue }
                writer.append(cell, into: raw)
            }
            let canonical = ByteWriter()
            _ = try RowMerge.filter(try RowView(raw.bytes), shadow: .none, into: canonical)
            return canonical.array
        }
    }

    mutating func ranges() -> [RangeTombstone] {
        var list: [RangeTombstone] = []
        for _ in 0..<(1 + random.below(2)) {
            let a = clustering()
            let b = clustering()
            guard a != b else { continue }
            let isFirst = compareBytes(a, b) < 0
            let one = RangeTombstone(
                start: isFirst ? a : b, end: isFirst ? b : a, deletion: deletion())
            list = RangeTombstones.merged(list, [one])
        }
        return list
    }

    mutating func mutation(table: TableID = testTable) throws -> [UInt8] {
        let key = key()
        let writer = ByteWriter()
        key.withUnsafeBytes {
            MutationWriter.begin(table: table, token: token(key), key: $0, into: writer)
        }
        let gone = random.chance(1, outOf: 30) ? deletion() : .none
        let ranges = !hasSingleRows && random.chance(1, outOf: 6) ? ranges() : []
        let staticRow =
            !hasSingleRows && random.chance(1, outOf: 6) ? try row(isStatic: true) : []
        staticRow.withUnsafeBytes {
            PartitionWriter.begin(deletion: gone, staticRow: $0, ranges: ranges, into: writer)
        }
        var rows: [[UInt8]: [UInt8]] = [:]
        for _ in 0..<random.below(4) {
            let bytes = try row(isStatic: false)
            if bytes.isEmpty { continue }
            let place = clustering()
            let allowed = countersStayDeleted ? try withoutCounts(bytes, at: key + place) : bytes
            if !allowed.isEmpty { rows[place] = allowed }
        }
        for (key, row) in rows.sorted(by: { compareBytes($0.key, $1.key) < 0 }) {
            key.withUnsafeBytes { a in
                row.withUnsafeBytes { b in PartitionWriter.append(key: a, row: b, into: writer) }
            }
        }
        return writer.array
    }

    mutating func slices() -> [ClusteringSlice]? {
        if hasSingleRows { return random.chance(1, outOf: 3) ? [ClusteringSlice(key: [])] : nil }
        switch random.below(4) {
        case 0: return nil
        case 1: return random.chance(1, outOf: 5) ? [] : [ClusteringSlice(key: clustering())]
        default:
            var points = (0..<(2 * (1 + random.below(3)))).map { _ in clustering() }
            points.sort { compareBytes($0, $1) < 0 }
            var list: [ClusteringSlice] = []
            for index in stride(from: 0, to: points.count - 1, by: 2)
            where points[index] != points[index + 1] {
                list.append(ClusteringSlice(lower: points[index], upper: points[index + 1]))
            }
            return list
        }
    }

    mutating func command(table: TableID = testTable) -> ReadCommand {
        let scope: ReadCommand.Scope
        let key = key()
        if random.chance(2, outOf: 3) {
            scope = .partition(token: token(key), key: key)
        } else {
            var range = ReadCommand.TokenScope(start: .min, end: .max)
            if random.chance(1, outOf: 2) {
                let a = token(self.key())
                let b = token(self.key())
                range.start = min(a, b)
                range.end = max(a, b)
            }
            let place = token(key)
            if random.chance(1, outOf: 3), place > range.start, place <= range.end {
                range.after = ReadCommand.Position(
                    token: place, key: key,
                    clustering: hasSingleRows || random.chance(1, outOf: 2)
                        ? nil : random.chance(1, outOf: 5) ? [] : clustering())
            }
            scope = .range(range)
        }
        return ReadCommand(
            table: table, scope: scope, slices: slices(), reversed: random.chance(1, outOf: 3),
            nowInSeconds: now,
            rowLimit: random.chance(1, outOf: 2) ? .max : Int(1 + random.below(12)),
            partitionRowLimit: random.chance(2, outOf: 3) ? .max : Int(1 + random.below(4)),
            byteLimit: random.chance(3, outOf: 4) ? 1 << 20 : Int(random.below(400)))
    }
}
