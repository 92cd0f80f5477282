// Files that a read leaves out: by tokens, filter, clustering keys and timestamps. The answer is the same
// as with all of them.

import Encoding
import Environment
import Model
import Testing

@testable import Storage

@Suite struct SkippedFilesTests {
    /// A table whose rows can be told complete: no collections.
    private func harness(clustering: Bool = true) -> Harness {
        var configuration = Configuration.Storage()
        configuration.blockBytes = 200
        var columns = [
            ColumnSchema(id: ColumnID(0), name: "k", type: .blob, kind: .partitionKey(position: 0)),
            ColumnSchema(id: ColumnID(3), name: "v", type: .blob, kind: .regular),
            ColumnSchema(id: ColumnID(4), name: "w", type: .blob, kind: .regular),
            ColumnSchema(id: ColumnID(5), name: "x", type: .blob, kind: .regular),
        ]
        if clustering {
            columns.append(
                ColumnSchema(
                    id: ColumnID(1), name: "c", type: .blob,
                    kind: .clustering(position: 0, order: .ascending)))
        }
        var options = TableOptions()
        options.compaction["min_threshold"] = "100"
        options.compaction["max_threshold"] = "100"
        let schema = SchemaSnapshot(
            epoch: 1, version: UniqueID(high: 1, low: 1),
            keyspaces: [
                KeyspaceSchema(
                    name: "ks",
                    replication: ReplicationParameters(
                        strategyClass: "SimpleStrategy", options: [:]),
                    tables: [
                        TableSchema(
                            id: testTable, keyspace: "ks", name: "t", columns: columns,
                            options: options, nextColumnID: 10)
                    ])
            ])
        return Harness(
            schema: schema, configuration: configuration,
            random: RandomStream(seed: 1, name: "skipped"))
    }

    private func row(_ timestamp: Int64, columns: [UInt32] = [3, 4, 5]) -> [UInt8] {
        let bytes = ByteWriter()
        var writer = RowWriter()
        writer.begin(
            liveness: Liveness(timestamp: timestamp), deletion: .none, baseTimestamp: timestamp,
            into: bytes)
        for column in columns {
            [UInt8(truncatingIfNeeded: timestamp)].withUnsafeBytes {
                writer.append(
                    Cell(column: column, flags: [], timestamp: timestamp, value: $0), into: bytes)
            }
        }
        return bytes.array
    }

    private func mutation(
        _ key: [UInt8], _ clustering: [UInt8], _ row: [UInt8], deletion: Deletion = .none
    ) -> [UInt8] {
        let writer = ByteWriter()
        key.withUnsafeBytes {
            MutationWriter.begin(
                table: testTable, token: Token.of(key).value, key: $0, into: writer)
        }
        PartitionWriter.begin(
            deletion: deletion, staticRow: UnsafeRawBufferPointer(start: nil, count: 0), ranges: [],
            into: writer)
        if !row.isEmpty {
            clustering.withUnsafeBytes { key in
                row.withUnsafeBytes { PartitionWriter.append(key: key, row: $0, into: writer) }
            }
        }
        return writer.array
    }

    private func flush(_ harness: Harness) throws {
        harness.engine?.flush(table: nil)
        try harness.settle()
    }

    private func counters(_ harness: Harness) throws -> ReadCounters {
        try #require(harness.engine?.statistics(of: testTable)).reads
    }

    @Test func aCompleteNewerRowLeavesOlderFilesUnread() throws {
        let harness = harness(clustering: false)
        try harness.open()
        let key: [UInt8] = [1, 2, 3]
        for round in 1...4 {
            try harness.apply(mutation(key, [], row(Int64(round * 10))))
            try flush(harness)
        }
        let command = ReadCommand(
            table: testTable, scope: .partition(token: Token.of(key).value, key: key),
            nowInSeconds: 1_000)
        let answer = try harness.read(command)
        let found = try counters(harness)
        #expect(
            found.filesRead == 2, "the newest file: a round that missed its block, and one more")
        #expect(found.skippedByTimestamp == 3)
        // An older row with something of its own is still read: here two columns are missing.
        try harness.apply(mutation(key, [], row(50, columns: [3])))
        let merged = try harness.read(command)
        #expect(merged != answer)
        #expect(try counters(harness).filesRead == 3)
    }

    /// Reads without a command, each missing block as it is asked for. The files of those blocks; the answer,
    /// nil if it is not simple.
    private func readOnTheSpot(
        _ harness: Harness, _ key: [UInt8]
    ) throws -> (files: [FileName], answer: [UInt8]?) {
        let engine = try #require(harness.engine)
        let answer = ByteWriter()
        var asked: [FileName] = []
        while asked.count < 10 {
            let read = key.withUnsafeBytes {
                engine.readSimply(
                    testTable, token: Token.of(key).value, key: $0,
                    nowInSeconds: harness.seconds, into: answer)
            }
            switch read {
            case .done: return (asked, answer.array)
            case .notSimple:
                #expect(answer.count == 0)
                return (asked, nil)
            case .missing(let block):
                #expect(answer.count == 0)
                #expect(block.offset + block.count <= block.fileBytes)
                asked.append(block.file)
                let bytes = ByteWriter()
                try harness.files.read(
                    block.file, at: block.offset, count: block.count, into: bytes)
                try engine.take(bytes.bytes, of: block)
            }
        }
        return (asked, nil)
    }

    @Test func aReadOnTheSpotAsksForTheNewestBlockAlone() throws {
        let harness = harness(clustering: false)
        try harness.open()
        let key: [UInt8] = [1, 2, 3]
        for round in 1...4 {
            try harness.apply(mutation(key, [], row(Int64(round * 10))))
            try flush(harness)
        }
        let files = try #require(harness.engine?.tables[testTable]).sstables
            .map(\.metadata.file)
        let (asked, answer) = try readOnTheSpot(harness, key)
        #expect(asked == [files[3]])
        let command = ReadCommand(
            table: testTable, scope: .partition(token: Token.of(key).value, key: key),
            nowInSeconds: 1_000)
        #expect(try answer == harness.read(command))
    }

    @Test func aReadOnTheSpotGoesOnToOlderBlocksAsLongAsSomethingIsLacking() throws {
        let harness = harness(clustering: false)
        try harness.open()
        let key: [UInt8] = [1, 2, 3]
        try harness.apply(mutation(key, [], row(10)))
        try flush(harness)
        try harness.apply(mutation(key, [], row(20)))
        try flush(harness)
        try harness.apply(mutation(key, [], row(30, columns: [4])))
        try flush(harness)
        let files = try #require(harness.engine?.tables[testTable]).sstables
            .map(\.metadata.file)
        let (asked, answer) = try readOnTheSpot(harness, key)
        #expect(asked == [files[2], files[1]], "the oldest has nothing that counts")
        #expect(answer != nil)
    }

    @Test func blocksThatAreAllNeededAreAskedForTogether() throws {
        let harness = harness(clustering: false)
        try harness.open()
        let key: [UInt8] = [1, 2, 3]
        // Each has something that is newer than what the other has.
        for column in [3, 4] as [UInt32] {
            try harness.apply(mutation(key, [], row(10 + Int64(column), columns: [3])))
            try harness.apply(mutation([UInt8(column)], [], row(100 - Int64(column))))
            try flush(harness)
        }
        let (asked, answer) = try readOnTheSpot(harness, key)
        #expect(asked.isEmpty)
        #expect(answer == nil)
    }

    /// Partitions of one row over files in every order of their timestamps, against the twin.
    @Test(arguments: 0..<8)
    func readsOnTheSpotAnswerLikeTheTwin(seed: Int) throws {
        var generator = Generator(seed: UInt64(seed))
        generator.keys = 6
        generator.hasOnlySimpleColumns = true
        generator.hasSingleRows = true
        let harness = harness(clustering: false)
        harness.configuration.blockCacheBytes = seed % 2 == 0 ? 2_000 : 1 << 20
        harness.seconds = generator.now
        try harness.open()
        var twin = Twin()
        var answers = 0
        for round in 0..<12 {
            generator.oldestTimestamp = Int64(generator.random.chance(1, outOf: 4) ? 0 : round * 60)
            for _ in 0..<8 {
                let mutation = try generator.mutation()
                try harness.apply(mutation)
                try twin.apply(mutation)
            }
            if round % 4 != 3 { try flush(harness) }
            for _ in 0..<10 {
                let key = generator.key()
                let command = ReadCommand(
                    table: testTable, scope: .partition(token: Token.of(key).value, key: key),
                    nowInSeconds: generator.now)
                guard let answer = try readOnTheSpot(harness, key).answer else { continue }
                answers += 1
                #expect(
                    try answer == twin.read(command, gcGrace: 864_000),
                    "seed \(seed) round \(round)")
            }
        }
        #expect(answers > 20, "\(answers) reads were simple")
    }

    @Test func aDeletionOfThePartitionLeavesOlderFilesUnread() throws {
        let harness = harness()
        try harness.open()
        let key: [UInt8] = [9]
        try harness.apply(mutation(key, [0x40, 1, 0x38], row(10)))
        try flush(harness)
        try harness.apply(
            mutation(key, [], [], deletion: Deletion(timestamp: 20, localDeletionTime: 990)))
        let command = ReadCommand(
            table: testTable, scope: .partition(token: Token.of(key).value, key: key),
            nowInSeconds: 1_000)
        _ = try harness.read(command)
        #expect(try counters(harness).skippedByTimestamp == 1)
        #expect(try counters(harness).filesRead == 0)
    }

    @Test func filesAreLeftOutByTokensFilterAndClusteringKeys() throws {
        let harness = harness()
        try harness.open()
        for key in 0..<40 as Range<UInt8> {
            try harness.apply(mutation([key], [0x40, 5, 0x38], row(10)))
        }
        try flush(harness)
        func read(_ key: [UInt8], _ slices: [ClusteringSlice]?) throws {
            _ = try harness.read(
                ReadCommand(
                    table: testTable, scope: .partition(token: Token.of(key).value, key: key),
                    slices: slices, nowInSeconds: 1_000))
        }
        for key in 100..<200 as Range<UInt8> { try read([key], nil) }
        var found = try counters(harness)
        #expect(found.skippedByTokens + found.skippedByFilter >= 95)
        #expect(found.skippedByFilter > 50)
        #expect(found.falsePositives == found.filesRead)
        let before = found.skippedByClustering
        try read([7], [ClusteringSlice(lower: [0x40, 6], upper: [0x40, 7])])
        found = try counters(harness)
        #expect(found.skippedByClustering == before + 1)
    }

    /// Overwritten rows over files in every order of their timestamps, against the twin.
    @Test(arguments: 0..<8)
    func readsThatLeaveOutFilesAnswerLikeTheTwin(seed: Int) throws {
        var generator = Generator(seed: UInt64(seed))
        generator.keys = 4
        generator.clusterings = 6
        generator.hasOnlySimpleColumns = true
        let harness = harness()
        harness.seconds = generator.now
        try harness.open()
        var twin = Twin()
        let grace: Int64 = 864_000
        for round in 0..<12 {
            // Mostly rising; some files hold older timestamps than those before.
            generator.oldestTimestamp = Int64(generator.random.chance(1, outOf: 4) ? 0 : round * 60)
            for _ in 0..<20 {
                let mutation = try generator.mutation()
                try harness.apply(mutation)
                try twin.apply(mutation)
                if generator.random.chance(1, outOf: 2) {
                    let time = generator.timestamp()
                    let whole = self.mutation(generator.key(), generator.clustering(), row(time))
                    try harness.apply(whole)
                    try twin.apply(whole)
                }
            }
            if generator.random.chance(3, outOf: 4) { try flush(harness) }
            for _ in 0..<30 {
                var command = generator.command()
                if generator.random.chance(1, outOf: 2) {
                    command.slices = [ClusteringSlice(key: generator.clustering())]
                }
                let found = try harness.read(command)
                let expected = try twin.read(command, gcGrace: grace)
                let isEqual = found == expected
                #expect(isEqual, "seed \(seed) \(command) \(describe(found, expected))")
                if !isEqual { return }
            }
        }
        #expect(try counters(harness).skippedByTimestamp > 0)
    }
}
