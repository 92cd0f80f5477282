// Fragments of a partition against a dumb twin: what was written before each flush, merged by itself and laid
// out in the order of its keys. Deletions of partitions are older than those of ranges, and these than rows: nothing shadows anything.

import Encoding
import Environment
import Model
import Testing

@testable import Storage

@Suite struct MutationFragmentTests {
    private static let table = TableSchema(
        id: TableID(UniqueID(high: 7, low: 1)), keyspace: "ks", name: "t",
        columns: [
            ColumnSchema(id: ColumnID(0), name: "k", type: .int, kind: .partitionKey(position: 0)),
            ColumnSchema(
                id: ColumnID(1), name: "a", type: .int,
                kind: .clustering(position: 0, order: .ascending)),
            ColumnSchema(
                id: ColumnID(2), name: "b", type: .int,
                kind: .clustering(position: 1, order: .descending)),
            ColumnSchema(id: ColumnID(3), name: "s", type: .text, kind: .static),
            ColumnSchema(id: ColumnID(4), name: "v", type: .text, kind: .regular),
        ], nextColumnID: 5)

    private static let key: [UInt8] = [0, 0, 0, 1]

    private struct Shown: Equatable {
        var key: [UInt8]
        var kind: String
        var metadata: String?
        var value: String?
    }

    /// The first place where two lists differ; nil if they are equal.
    private func difference(_ found: [Shown], _ wanted: [Shown]) -> String? {
        for index in 0..<max(found.count, wanted.count) {
            let left = index < found.count ? found[index] : nil
            let right = index < wanted.count ? wanted[index] : nil
            if left != right {
                return "at \(index): \(left.debugDescription), wanted \(right.debugDescription)"
            }
        }
        return nil
    }

    private func harness() throws -> Harness {
        var configuration = Configuration.Storage()
        configuration.blockBytes = 200
        let schema = SchemaSnapshot(
            epoch: 1, version: UniqueID(high: 1, low: 1),
            keyspaces: [
                KeyspaceSchema(
                    name: "ks",
                    replication: ReplicationParameters(
                        strategyClass: "SimpleStrategy", options: [:]),
                    tables: [Self.table])
            ])
        let harness = Harness(
            schema: schema, configuration: configuration,
            random: RandomStream(seed: 1, name: "harness"))
        try harness.open()
        return harness
    }

    // MARK: Writing

    private func clustering(_ a: Int32, _ b: Int32?, _ bound: ClusteringKey.Bound?) -> [UInt8] {
        let writer = ByteWriter()
        for (value, order) in [(a, ClusteringOrder.ascending), (b, .descending)] {
            guard let value else { continue }
            withUnsafeBytes(of: value.bigEndian) {
                ClusteringKey.appendComponent($0, type: .int, order: order, into: writer)
            }
        }
        if let bound {
            ClusteringKey.appendBound(bound, into: writer)
        } else {
            ClusteringKey.appendTerminator(into: writer)
        }
        return writer.array
    }

    private func row(_ column: UInt32, _ timestamp: Int64, _ text: String) -> [UInt8] {
        let bytes = ByteWriter()
        var writer = RowWriter()
        writer.begin(
            liveness: column == 4 ? Liveness(timestamp: timestamp) : .none, deletion: .none,
            baseTimestamp: timestamp, into: bytes)
        Array(text.utf8).withUnsafeBytes {
            writer.append(
                Cell(column: column, flags: [], timestamp: timestamp, value: $0), into: bytes)
        }
        return bytes.array
    }

    private func mutation(_ partition: (ByteWriter) -> Void) -> [UInt8] {
        let writer = ByteWriter()
        Self.key.withUnsafeBytes {
            MutationWriter.begin(
                table: Self.table.id, token: Token.of(Self.key).value, key: $0, into: writer)
        }
        partition(writer)
        return writer.array
    }

    private func random(_ random: inout RandomStream, at timestamp: Int64) -> [UInt8] {
        let a = Int32(random.below(6))
        let b = Int32(random.below(30))
        switch random.below(12) {
        case 0:
            return mutation {
                PartitionWriter.begin(
                    deletion: Deletion(timestamp: timestamp - 9_000, localDeletionTime: 86_399),
                    into: $0)
            }
        case 1:
            return mutation { writer in
                row(3, timestamp, "static").withUnsafeBytes {
                    PartitionWriter.begin(staticRow: $0, into: writer)
                }
            }
        case 2, 3, 4:
            // Of a prefix, of a stretch inside of one, or from one prefix to the end of another.
            let other = Int32(random.below(30))
            let range: (start: [UInt8], end: [UInt8])
            switch random.below(3) {
            case 0: range = (clustering(a, nil, .below), clustering(a, nil, .above))
            case 1:
                range = (
                    clustering(a, max(b, other), .below), clustering(a, min(b, other), .above)
                )
            default: range = (clustering(a, b, .above), clustering(a + 2, nil, .above))
            }
            return mutation {
                PartitionWriter.begin(
                    ranges: [
                        RangeTombstone(
                            start: range.start, end: range.end,
                            deletion: Deletion(
                                timestamp: timestamp - 1_000, localDeletionTime: 0))
                    ], into: $0)
            }
        default:
            return mutation { writer in
                PartitionWriter.begin(into: writer)
                clustering(a, b, nil).withUnsafeBytes { key in
                    row(4, timestamp, "some text \(a)").withUnsafeBytes {
                        PartitionWriter.append(key: key, row: $0, into: writer)
                    }
                }
            }
        }
    }

    // MARK: Reading

    private func command(
        slices: [ClusteringSlice]? = nil, rowLimit: Int = .max, isScan: Bool = false
    ) -> ReadCommand {
        ReadCommand(
            table: Self.table.id,
            scope: isScan
                ? .range(ReadCommand.TokenScope(start: .min, end: .max))
                : .partition(token: Token.of(Self.key).value, key: Self.key),
            slices: slices, nowInSeconds: 1_000, rowLimit: rowLimit, showsFragments: true)
    }

    private func shown(_ answer: [UInt8]) throws -> (isExhausted: Bool, rows: [Shown]) {
        let columns = MutationFragments.columns(of: Self.table)
        return try answer.withBytes { raw in
            let view = try ReadResultView(raw)
            var result: [Shown] = []
            var partitions = view.partitions
            while let (_, key, bytes) = try partitions.next() {
                #expect(Array(key) == Self.key)
                var rows = try PartitionView(bytes).rows
                while let (key, row) = try rows.next() {
                    var shown = Shown(key: Array(key), kind: "")
                    var cells = try RowView(row).cells
                    while let cell = try cells.next() {
                        let text = String(decoding: cell.value, as: UTF8.self)
                        switch cell.column {
                        case columns.kind: shown.kind = text
                        case columns.metadata: shown.metadata = text
                        default: shown.value = text
                        }
                    }
                    result.append(shown)
                }
            }
            return (view.isExhausted, result)
        }
    }

    /// What the mutations, merged, look like as one source.
    private func expected(_ mutations: [[UInt8]], source: String) throws -> [Shown] {
        let merged = ByteWriter()
        let held = mutations.map { bytes in
            let writer = ByteWriter()
            writer.append(bytes)
            return writer
        }
        try PartitionMerge.merge(
            try held.map { try PartitionView(try MutationView($0.bytes).partition) }, into: merged)
        defer { withExtendedLifetime(held) {} }
        let view = try PartitionView(merged.bytes)
        let keys = MutationFragmentKeys(Self.table, source: source)
        let text = MutationFragmentText(Self.table)
        var result: [Shown] = []
        func add(
            _ kind: String, _ metadata: String?, _ value: String?,
            _ write: (ByteWriter) throws -> Void
        ) throws {
            let writer = ByteWriter()
            try write(writer)
            result.append(
                Shown(key: writer.array, kind: kind, metadata: metadata, value: value))
        }
        try add("partition start", MutationFragmentText.tombstone(view.deletion), nil) {
            keys.appendEdge(.partitionStart, into: $0)
        }
        if !view.staticRow.isEmpty {
            let row = try RowView(view.staticRow)
            try add(
                "static row", try text.metadata(of: row, isStatic: true), try text.value(of: row)
            ) { keys.appendEdge(.staticRow, into: $0) }
        }
        var rows = view.rows
        while let (key, bytes) = try rows.next() {
            let row = try RowView(bytes)
            try add(
                "clustering row", try text.metadata(of: row, isStatic: false),
                try text.value(of: row)
            ) {
                keys.appendRow(key, original: row.originalKey, into: $0, values: ByteWriter())
            }
        }
        for (index, range) in view.ranges.enumerated() {
            var ends: [([UInt8], Deletion)] = []
            if index == 0 || view.ranges[index - 1].end != range.start {
                ends.append((range.start, range.deletion))
            }
            let meets =
                index + 1 < view.ranges.count && view.ranges[index + 1].start == range.end
            ends.append((range.end, meets ? view.ranges[index + 1].deletion : .none))
            for (bound, deletion) in ends {
                try add(
                    "range tombstone change", MutationFragmentText.tombstone(deletion), nil
                ) { writer in
                    try bound.withBytes {
                        try keys.appendChange(at: $0, into: writer, values: ByteWriter())
                    }
                }
            }
        }
        try add("partition end", nil, nil) { keys.appendEdge(.partitionEnd, into: $0) }
        return result.sorted { compareBytes($0.key, $1.key) < 0 }
    }

    @Test(arguments: 0..<12)
    func everySourceShowsWhatWasWrittenToItAlone(seed: Int) throws {
        let harness = try harness()
        var random = RandomStream(seed: UInt64(seed), name: "fragments")
        var batches: [[[UInt8]]] = []
        var timestamp: Int64 = 10_000
        for batch in 0..<3 {
            var mutations: [[UInt8]] = []
            for _ in 0..<(5 + random.below(60)) {
                timestamp += 1
                mutations.append(self.random(&random, at: timestamp))
            }
            for mutation in mutations { try harness.apply(mutation) }
            batches.append(mutations)
            if batch < 2 {
                harness.engine?.flush(table: nil)
                try harness.settle()
            }
        }
        let names = harness.files.names.keys.map(\.text).filter { $0.contains("sst-") }.sorted()
        try #require(names.count == 2)
        let wanted =
            try expected(batches[2], source: "memtable:0")
            + expected(batches[0], source: "sstable:" + names[0])
            + expected(batches[1], source: "sstable:" + names[1])
        let whole = try shown(try harness.read(command()))
        #expect(whole.isExhausted)
        #expect(difference(whole.rows, wanted) == nil, "seed \(seed)")
        for (left, right) in zip(wanted, wanted.dropFirst()) {
            #expect(compareBytes(left.key, right.key) < 0, "seed \(seed)")
        }
        let scanned = try shown(try harness.read(command(isScan: true))).rows
        #expect(difference(scanned, wanted) == nil, "seed \(seed)")

        // In pages, each behind the last key of the one before.
        var rows: [Shown] = []
        var isExhausted = false
        while !isExhausted {
            let lower = rows.last.map { $0.key + [0] } ?? [0]
            let page = try shown(
                try harness.read(
                    command(
                        slices: [ClusteringSlice(lower: lower, upper: [0xFF])],
                        rowLimit: 1 + Int(random.below(5)))))
            rows += page.rows
            isExhausted = page.isExhausted
            try #require(rows.count <= wanted.count)
        }
        #expect(difference(rows, wanted) == nil, "seed \(seed)")

        // Any stretch.
        for _ in 0..<20 {
            let a = wanted[Int(random.below(UInt64(wanted.count)))].key
            let b = wanted[Int(random.below(UInt64(wanted.count)))].key
            guard compareBytes(a, b) < 0 else { continue }
            let slice = ClusteringSlice(lower: a, upper: b)
            let found = try shown(try harness.read(command(slices: [slice]))).rows
            let inside = wanted.filter {
                compareBytes(a, $0.key) <= 0 && compareBytes($0.key, b) < 0
            }
            #expect(difference(found, inside) == nil, "seed \(seed)")
        }
    }

    @Test func metadataTellsTimesAndDeletions() throws {
        let harness = try harness()
        try harness.apply(
            mutation {
                PartitionWriter.begin(
                    deletion: Deletion(timestamp: 5, localDeletionTime: 1_706_659_199), into: $0)
            })
        try harness.apply(
            mutation { writer in
                PartitionWriter.begin(into: writer)
                let row = ByteWriter()
                var cells = RowWriter()
                cells.begin(
                    liveness: Liveness(timestamp: 9, timeToLive: 60, expiresAt: 60),
                    deletion: Deletion(timestamp: 7, localDeletionTime: 0), baseTimestamp: 9,
                    into: row)
                cells.append(
                    Cell(column: 4, flags: .tombstone, timestamp: 8, localDeletionTime: 1),
                    into: row)
                clustering(1, 2, nil).withUnsafeBytes {
                    PartitionWriter.append(key: $0, row: row.bytes, into: writer)
                }
            })
        let rows = try shown(try harness.read(command())).rows
        #expect(
            rows.map(\.metadata) == [
                #"{"tombstone":{"timestamp":5,"deletion_time":"2024-01-30 23:59:59z"}}"#,
                #"{"tombstone":{"timestamp":7,"deletion_time":"1970-01-01 00:00:00z"},"#
                    + #""marker":{"timestamp":9,"ttl":"60s","expiry":"1970-01-01 00:01:00z"},"#
                    + #""columns":{"v":{"is_live":false,"type":"regular","timestamp":8,"#
                    + #""deletion_time":"1970-01-01 00:00:01z"}}}"#,
                nil,
            ])
        #expect(rows.map(\.value) == [nil, "{}", nil])
    }
}
