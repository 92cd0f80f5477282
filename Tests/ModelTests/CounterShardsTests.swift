// Counters: shards of several replicas, their merge, and deletions.

import Encoding
import Testing

@testable import Model

@Suite struct CounterShardsTests {
    private let a = UniqueID(high: 1, low: 1)
    private let b = UniqueID(high: 1, low: 2)

    private func row(_ shards: [CounterShard]) -> [UInt8] {
        let value = ByteWriter()
        for shard in shards { CounterShards.append(shard, into: value) }
        return row(
            Cell(
                column: 3, flags: .counter, timestamp: shards.map(\.clock).max() ?? 0,
                value: value.bytes))
    }

    private func row(_ cell: Cell) -> [UInt8] {
        let bytes = ByteWriter()
        var writer = RowWriter()
        writer.begin(
            liveness: .none, deletion: .none, baseTimestamp: cell.timestamp, into: bytes)
        writer.append(cell, into: bytes)
        return bytes.array
    }

    private func merge(
        _ left: [UInt8], _ right: [UInt8], shadow: Deletion = .none
    ) throws -> [UInt8] {
        let writer = ByteWriter()
        try left.withUnsafeBytes { left in
            try right.withUnsafeBytes { right in
                _ = try RowMerge.merge(
                    try RowView(left), try RowView(right), shadow: shadow, into: writer)
            }
        }
        return writer.array
    }

    private func total(_ row: [UInt8]) throws -> Int64? {
        try row.withUnsafeBytes { raw in
            let view = try RowView(raw)
            try view.validate()
            var cells = view.cells
            guard let cell = try cells.next(), cell.isCount else { return nil }
            return try CounterShards(cell.value).total
        }
    }

    @Test func countsOfSeveralReplicasAddUpAndALaterClockReplacesAnEarlierOne() throws {
        let first = row([CounterShard(replica: a, clock: 10, count: 5)])
        let other = row([CounterShard(replica: b, clock: 11, count: -2)])
        let later = row([CounterShard(replica: a, clock: 12, count: 9)])
        #expect(try total(try merge(first, other)) == 3)
        #expect(try total(try merge(try merge(first, other), later)) == 7)
        // Arriving once more changes nothing.
        let all = try merge(try merge(later, other), first)
        #expect(try merge(all, first) == all)
        #expect(try merge(all, later) == all)
    }

    @Test func aDeletionOfTheRowTakesTheShardsThatAreNotNewer() throws {
        let counted = row([
            CounterShard(replica: a, clock: 10, count: 5),
            CounterShard(replica: b, clock: 20, count: 3),
        ])
        let gone = Deletion(timestamp: 10, localDeletionTime: 1)
        #expect(try total(try merge(counted, counted, shadow: gone)) == 3)
        #expect(
            try merge(counted, counted, shadow: Deletion(timestamp: 20, localDeletionTime: 1))
                .isEmpty)
    }

    @Test func theDeletionOfACounterIsFinal() throws {
        let tombstone = row(
            Cell(column: 3, flags: [.counter, .tombstone], timestamp: 5, localDeletionTime: 9))
        let later = row([CounterShard(replica: a, clock: 50, count: 5)])
        #expect(try merge(tombstone, later) == tombstone)
        #expect(try merge(later, tombstone) == tombstone)
        // Not even a later deletion of the row lets counts through again.
        let shadow = Deletion(timestamp: 10, localDeletionTime: 1)
        #expect(try merge(try merge(tombstone, tombstone, shadow: shadow), later) == tombstone)
    }

    @Test func aCountersTombstoneIsPurgedOnlyWhenNothingOfItsPartitionLiesElsewhere() throws {
        let tombstone = row(
            Cell(column: 3, flags: [.counter, .tombstone], timestamp: 5, localDeletionTime: 9))
        let writer = ByteWriter()
        try tombstone.withUnsafeBytes { raw in
            let view = try RowView(raw)
            let here = PurgeRule(nowInSeconds: 100, gcBefore: 50)
            let elsewhere = PurgeRule(nowInSeconds: 100, gcBefore: 50, olderThan: 1_000)
            #expect(try RowPurge.inspect(view, here).needsRewrite)
            #expect(try !RowPurge.inspect(view, elsewhere).needsRewrite)
            #expect(try !RowPurge.rewrite(view, here, into: writer))
            #expect(try RowPurge.rewrite(view, elsewhere, into: writer))
        }
    }

    @Test func shardsThatAreNoCounterAreRefused() throws {
        let good = CounterShard(replica: a, clock: 10, count: 5)
        let bytes = ByteWriter()
        CounterShards.append(good, into: bytes)
        #expect(throws: MalformedBytes.self) {
            try CounterShards(UnsafeRawBufferPointer(rebasing: bytes.bytes.dropLast()))
        }
        #expect(throws: MalformedBytes.self) {
            try CounterShards(bytes.bytes).validate(timestamp: 11)
        }
        CounterShards.append(good, into: bytes)
        #expect(throws: MalformedBytes.self) {
            try CounterShards(bytes.bytes).validate(timestamp: 10)
        }
        #expect(throws: MalformedBytes.self) {
            try CounterShards(UnsafeRawBufferPointer(start: nil, count: 0)).validate(timestamp: 10)
        }
    }
}
