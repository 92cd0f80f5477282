// The engine against the dumb twin, under random writes, reads, flushes, compactions and restarts.

import Encoding
import Environment
import Model
import Testing

@testable import Storage

@Suite struct EnginePropertyTests {
    @Test(arguments: 0..<12)
    func memtableAloneAnswersLikeTheTwin(seed: Int) throws {
        var generator = Generator(seed: UInt64(seed))
        let harness = Harness(
            schema: testSchema(), configuration: Configuration.Storage(),
            random: RandomStream(seed: UInt64(seed), name: "harness"))
        harness.seconds = generator.now
        try harness.open()
        var twin = Twin()
        for step in 0..<600 {
            if generator.random.chance(2, outOf: 3) {
                let mutation = try generator.mutation()
                try harness.apply(mutation)
                try twin.apply(mutation)
            } else {
                let command = generator.command()
                let found = try harness.read(command)
                let expected = try twin.read(command, gcGrace: testGcGrace)
                let isEqual = found == expected
                #expect(
                    isEqual, "seed \(seed) step \(step) \(command) \(describe(found, expected))")
                if !isEqual { return }
            }
        }
    }
}

/// Sizes so small that everything happens often.
func smallConfiguration(_ random: inout RandomStream) -> Configuration.Storage {
    var configuration = Configuration.Storage()
    configuration.commitLogSync =
        [.periodic, .batch, .group][Int(random.below(3))]
    configuration.commitLogSyncPeriod = .seconds(1)
    configuration.commitLogSegmentBytes = [700, 4_000, 1 << 20][Int(random.below(3))]
    configuration.maximumMutationBytes = 1 << 20
    configuration.commitLogTotalBytes = [6_000, 30_000, 1 << 30][Int(random.below(3))]
    configuration.memtableBytes = [6_000, 20_000, 1 << 20][Int(random.below(3))]
    configuration.blockBytes = [64, 300, 4_096][Int(random.below(3))]
    configuration.blockCacheBytes = [0, 2_000, 1 << 20][Int(random.below(3))]
    configuration.jobStepBytes = [1, 500, 1 << 20][Int(random.below(3))]
    return configuration
}

extension EnginePropertyTests {
    /// Everything at once: writes, parked reads, background work in any order, restarts.
    @Test(arguments: 0..<14)
    func engineAnswersLikeTheTwin(seed: Int) throws {
        try runAgainstTwin(seed: UInt64(seed), steps: 500, restarts: true)
    }

    /// Timestamps rise, so that nothing older comes after a tombstone is purged.
    @Test(arguments: 50..<60)
    func engineThatPurgesAnswersLikeTheTwin(seed: Int) throws {
        try runAgainstTwin(seed: UInt64(seed), steps: 500, restarts: true, gcGrace: testGcGrace)
    }

    @Test(arguments: 100..<104)
    func engineWithNarrowTokensAnswersLikeTheTwin(seed: Int) throws {
        try runAgainstTwin(seed: UInt64(seed), steps: 400, restarts: true) { generator in
            generator.tokens = 0...3
            generator.clusterings = 400
            generator.valueBytes = 120
        }
    }

    @Test(arguments: 200..<203)
    func engineWithOneWidePartitionAnswersLikeTheTwin(seed: Int) throws {
        try runAgainstTwin(seed: UInt64(seed), steps: 800, restarts: true) { generator in
            generator.keys = 1
            generator.clusterings = 2_000
        }
    }

    /// The short way of reading is for these.
    @Test(arguments: 400..<410)
    func engineWithSingleRowsAnswersLikeTheTwin(seed: Int) throws {
        try runAgainstTwin(seed: UInt64(seed), steps: 600, restarts: true) { generator in
            generator.hasSingleRows = true
            generator.hasOnlySimpleColumns = true
        }
    }

    /// Rows of many cells lie in pieces: collections of hundreds of elements, hundreds of columns.
    @Test(arguments: 300..<306)
    func engineWithWideRowsAnswersLikeTheTwin(seed: Int) throws {
        try runAgainstTwin(seed: UInt64(seed), steps: 400, restarts: true) { generator in
            generator.keys = 2
            generator.clusterings = 3
            generator.elements = 1_500
            generator.moreColumns = seed % 2 == 0 ? 0 : 200
        }
    }

    @Test(arguments: 310..<313)
    func engineThatPurgesWideRowsAnswersLikeTheTwin(seed: Int) throws {
        try runAgainstTwin(
            seed: UInt64(seed), steps: 300, restarts: true, gcGrace: testGcGrace
        ) { generator in
            generator.keys = 2
            generator.clusterings = 3
            generator.elements = 1_500
        }
    }

    func runAgainstTwin(
        seed: UInt64, steps: Int, restarts: Bool, gcGrace: Int64 = 1_000_000,
        _ adjust: (inout Generator) -> Void = { _ in }
    ) throws {
        var generator = Generator(seed: seed)
        generator.countersStayDeleted = gcGrace == testGcGrace
        adjust(&generator)
        let harness = Harness(
            schema: testSchema(isClustered: !generator.hasSingleRows) {
                $0.compaction["min_threshold"] = "3"
                $0.gcGraceSeconds = Int32(gcGrace)
            },
            configuration: smallConfiguration(&generator.random),
            random: RandomStream(seed: seed, name: "harness"))
        harness.seconds = generator.now
        try harness.open()
        var twin = Twin()
        for step in 0..<steps {
            harness.nanoseconds += Int64(generator.random.below(400_000_000))
            switch generator.random.below(100) {
            case 0..<50:
                if gcGrace == testGcGrace { generator.oldestTimestamp = Int64(step) * 60 }
                let mutation = try generator.mutation()
                try harness.apply(mutation)
                try twin.apply(mutation)
                if generator.random.chance(1, outOf: 3) { harness.engine?.requestSync() }
                if generator.random.chance(2, outOf: 3) { try harness.endTick() }
            case 50..<80:
                let command = generator.command()
                let found = try harness.read(command)
                let expected = try twin.read(command, gcGrace: gcGrace)
                let isEqual = found == expected
                #expect(
                    isEqual, "seed \(seed) step \(step) \(command) \(describe(found, expected))")
                if !isEqual { return }
            case 80..<92: for _ in 0..<3 { try harness.work() }
            case 92..<94: harness.engine?.flush(table: testTable)
            case 94: harness.engine?.compact(table: testTable)
            case 95..<97: try harness.settle()
            default:
                guard restarts else { continue }
                // A kill: what was handed to the kernel stays, the rest was not acknowledged.
                try harness.endTick()
                try harness.open()
            }
            #expect(harness.stopped == nil)
        }
        try harness.settle()
        #expect(harness.engine?.isIdle == true)
    }
}

/// Both answers from their first difference on.
func describe(_ found: [UInt8], _ expected: [UInt8]) -> String {
    var index = 0
    while index < min(found.count, expected.count), found[index] == expected[index] { index += 1 }
    let start = max(0, index - 24)
    return "at \(index) of \(found.count)/\(expected.count): \(found[start...].prefix(80)) for "
        + "\(expected[start...].prefix(80))"
}
