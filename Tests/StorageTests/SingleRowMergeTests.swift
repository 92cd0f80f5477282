// Partitions of one row take a shorter way through flush and compaction: the file is the same, byte by
// byte, as by the way that all others take.

import Encoding
import Environment
import Model
import Testing

@testable import Storage

@Suite struct SingleRowMergeTests {
    private let files = MemoryFiles()

    private func merge(
        _ scans: [PartitionScan], into number: UInt64, _ rule: PurgeRule,
        others: [SSTableMetadata] = [], split: OutputSplit = .never
    ) throws -> MergeJob {
        let targets = (0..<4).map { part in
            MergeJob.Target(
                number: number + UInt64(part), file: FileName("sst-\(number + UInt64(part)).db"),
                identity: UInt64(part),
                layout: SSTableLayout(
                    table: testTable, blockBytes: 300, compression: TableCompression(stored: [:]),
                    falsePositiveChance: 0.01))
        }
        let job = MergeJob(
            title: "merge", scans: scans, targets: targets, split: split,
            purge: MergeJob.Purge(rule: rule, others: others))
        while case .more = try job.step(files, budgetBytes: 400) {}
        #expect(job.failure == nil)
        return job
    }

    private func expectSame(_ one: MergeJob, _ other: MergeJob, _ seed: Int) {
        #expect(one.outputs.count == other.outputs.count, "seed \(seed)")
        for (left, right) in zip(one.outputs, other.outputs) {
            let bytes = files.names[left.metadata.file]?.bytes
            #expect(bytes?.isEmpty == false)
            #expect(bytes == files.names[right.metadata.file]?.bytes, "seed \(seed)")
            #expect(left.metadata.statistics == right.metadata.statistics, "seed \(seed)")
        }
        #expect(one.partitionsWritten == other.partitionsWritten, "seed \(seed)")
        #expect(one.partitionsBySources == other.partitionsBySources, "seed \(seed)")
        #expect(one.purgedTombstones == other.purgedTombstones, "seed \(seed)")
    }

    private func memtable(_ generator: inout Generator, isPlain: Bool) throws -> Memtable {
        let memtable = Memtable(
            slice: .min ... .max, expectedPartitions: 0, pool: ArenaPool(limitBytes: 1 << 22))
        var taken = 0
        while taken < 80 {
            let bytes = try generator.mutation()
            try bytes.withUnsafeBytes {
                let mutation = try MutationView($0)
                let partition = try PartitionView(mutation.partition)
                let facts = try StorageEngine.check(partition)
                if isPlain, !facts.isPlain { return }
                taken += 1
                try memtable.apply(
                    token: mutation.token, key: mutation.key, partition,
                    oldestTimestamp: facts.oldestTimestamp, isPlain: facts.isPlain,
                    position: LogPosition(segment: 1, offset: 1), scratch: ByteWriter())
            }
        }
        memtable.freeze()
        return memtable
    }

    @Test(arguments: 0..<24)
    func flushAndCompactionWriteTheSameFilesAsTheLongWay(seed: Int) throws {
        var generator = Generator(seed: UInt64(seed))
        generator.keys = [30, 200, 2_000][seed % 3]
        generator.clusterings = [1, 1, 3][seed / 3 % 3]
        // Tokens collide.
        if seed % 4 == 0 { generator.tokens = 100...160 }
        let slice: ClosedRange<Int64> = seed % 4 == 1 ? (0 ... .max) : (.min ... .max)
        let keeping = PurgeRule(nowInSeconds: generator.now, gcBefore: .min, olderThan: .min)
        var sources: [SSTableMetadata] = []
        for number in 0..<3 {
            let memtable = try memtable(&generator, isPlain: (seed + number) % 3 == 0)
            let jobs = try [false, true].map { isShort in
                try merge(
                    [
                        MemtableScan(
                            memtable, slice: .min ... .max, offersSingles: isShort)
                    ], into: UInt64(number * 100 + (isShort ? 50 : 0)), keeping)
            }
            expectSame(jobs[0], jobs[1], seed)
            sources += jobs[1].outputs.map(\.metadata)
        }
        let purging = PurgeRule(nowInSeconds: generator.now, gcBefore: generator.now - 60)
        for (index, rule) in [keeping, purging].enumerated() {
            for chosen in [sources, Array(sources.prefix(2))] {
                let jobs = try [false, true].map { isShort in
                    try merge(
                        chosen.map {
                            SSTableScan($0, slice: slice, offersSingles: isShort)
                        },
                        into: UInt64(1_000 + index * 100 + (isShort ? 50 : 0)), rule,
                        others: Array(sources.dropFirst(chosen.count)),
                        split: seed % 2 == 0 ? .bytes(2_000) : .never)
                }
                expectSame(jobs[0], jobs[1], seed)
            }
        }
    }
}
