// Every strategy against the dumb twin: whatever is compacted when, reads answer the same. Timestamps
// come out of order, all kinds of tombstones, expiring cells and collections are among them, strategies
// change under way, the engine is restarted, and compactions run side by side, are stopped, paused and
// asked for.

import Encoding
import Environment
import Model
import Testing

@testable import Storage

/// Options so small that everything happens with a few kilobytes.
func smallStrategy(_ random: inout RandomStream) -> CompactionOptions {
    var options = CompactionOptions()
    var tiers = CompactionOptions.SizeTiered()
    tiers.minimumThreshold = Int(2 + random.below(3))
    tiers.maximumThreshold = 8
    tiers.minimumSSTableBytes = Int(random.below(3_000))
    options.tombstones.threshold = random.chance(1, outOf: 2) ? 0.05 : 0.5
    options.tombstones.intervalSeconds = 0
    options.tombstones.isUnchecked = random.chance(1, outOf: 2)
    options.tombstones.isExplicit = random.chance(1, outOf: 2)
    switch random.below(4) {
    case 0: options.strategy = .sizeTiered(tiers)
    case 1:
        var levels = CompactionOptions.Leveled()
        levels.sstableBytes = [300, 1_500, 6_000][Int(random.below(3))]
        levels.fanout = Int(2 + random.below(3))
        levels.singleSSTableUplevel = random.chance(2, outOf: 3)
        levels.levelZero = tiers
        options.strategy = .leveled(levels)
    case 2:
        var windows = CompactionOptions.TimeWindow()
        windows.windowSeconds = [20, 1_000][Int(random.below(2))]
        windows.timestampsPerSecond = 1
        windows.newest = tiers
        options.strategy = .timeWindow(windows)
    default:
        var unified = CompactionOptions.Unified()
        unified.scaling = [[2], [-8], [0], [2, 0, -2]][Int(random.below(4))]
        unified.targetSSTableBytes = [700, 4_000][Int(random.below(2))]
        unified.minimumSSTableBytes = [0, 200][Int(random.below(2))]
        unified.baseShardCount = [1, 3, 4][Int(random.below(3))]
        unified.sstableGrowth = [0, 0.333, 1][Int(random.below(3))]
        unified.flushBytes = 800
        unified.maximumSSTablesToCompact = random.chance(1, outOf: 2) ? 3 : .max
        unified.overlapInclusion = [.none, .single, .transitive][Int(random.below(3))]
        options.strategy = .unified(unified)
    }
    return options
}

@Suite struct CompactionPropertyTests {
    /// Nothing is purged: timestamps may come in any order.
    @Test(arguments: 0..<12)
    func anyStrategyAnswersLikeTheTwin(seed: Int) throws {
        try run(seed: UInt64(seed), gcGrace: 1_000_000)
    }

    /// Timestamps rise, so that nothing older comes after a tombstone is purged.
    @Test(arguments: 100..<112)
    func anyStrategyThatPurgesAnswersLikeTheTwin(seed: Int) throws {
        try run(seed: UInt64(seed), gcGrace: testGcGrace)
    }

    /// Deletions go at once; still nothing that they hide comes back.
    @Test(arguments: 200..<206)
    func purgingAtOnceBringsNothingBack(seed: Int) throws {
        try run(seed: UInt64(seed), gcGrace: 0)
    }

    private func run(seed: UInt64, gcGrace: Int64, steps: Int = 420) throws {
        var generator = Generator(seed: seed)
        generator.countersStayDeleted = gcGrace < 1_000
        if seed % 3 == 0 { generator.clusterings = 600 }
        var configuration = smallConfiguration(&generator.random)
        configuration.memtableBytes = 20_000
        configuration.concurrentCompactors = Int(1 + generator.random.below(3))
        configuration.compactionThroughputBytesPerSecond =
            generator.random.chance(1, outOf: 3) ? 20_000 : 0
        let harness = Harness(
            schema: testSchema { $0.gcGraceSeconds = Int32(gcGrace) },
            configuration: configuration, random: RandomStream(seed: seed, name: "harness"))
        harness.seconds = generator.now
        try harness.open()
        var options = smallStrategy(&generator.random)
        var twin = Twin()
        func useStrategy() {
            harness.engine?.tables[testTable]?.strategy = CompactionStrategy(options: options)
            harness.engine?.tables[testTable]?.mayCompact = true
        }
        useStrategy()
        for step in 0..<steps {
            harness.nanoseconds += Int64(generator.random.below(400_000_000))
            switch generator.random.below(100) {
            case 0..<48:
                if gcGrace < 1_000 { generator.oldestTimestamp = Int64(step) * 60 }
                let mutation = try generator.mutation()
                try harness.apply(mutation)
                try twin.apply(mutation)
                if generator.random.chance(1, outOf: 2) { try harness.endTick() }
            case 48..<68:
                let command = generator.command()
                let found = try harness.read(command)
                let expected = try twin.read(command, gcGrace: gcGrace)
                let isEqual = found == expected
                #expect(
                    isEqual,
                    "seed \(seed) step \(step) \(options.strategy) \(describe(found, expected))")
                if !isEqual { return }
            case 68..<78: for _ in 0..<4 { try harness.work() }
            case 78..<88: harness.engine?.flush(table: testTable)
            case 88:
                harness.engine?.compact(
                    table: testTable, splitsOutput: generator.random.chance(1, outOf: 2))
            case 89:
                let start = generator.token(generator.key())
                harness.engine?.compact(table: testTable, tokens: start...max(start, .max / 2))
            case 90: harness.engine?.stopCompactions(table: testTable)
            case 91:
                let isOn = generator.random.chance(2, outOf: 3)
                harness.engine?.setAutomaticCompaction(table: testTable, isOn)
            case 92:
                options = smallStrategy(&generator.random)
                useStrategy()
            case 93..<97: try harness.settle()
            default:
                try harness.endTick()
                try harness.open()
                useStrategy()
            }
            try check(harness, options, seed)
            #expect(harness.stopped == nil)
        }
        try harness.settle()
    }

    /// Levels that a levelled strategy made itself do not overlap.
    private func check(_ harness: Harness, _ options: CompactionOptions, _ seed: UInt64) throws {
        guard let engine = harness.engine, let table = engine.tables[testTable] else { return }
        var byLevel: [UInt8: [SSTable]] = [:]
        for sstable in table.sstables where sstable.entry.level > 0 {
            byLevel[sstable.entry.level, default: []].append(sstable)
        }
        for (level, files) in byLevel {
            let ranges = files.map { CompactionFile.tokens($0.metadata) }
                .sorted { $0.lowerBound < $1.lowerBound }
            for (one, next) in zip(ranges, ranges.dropFirst()) {
                #expect(!one.overlaps(next), "seed \(seed): files of level \(level) overlap")
            }
        }
    }
}

@Suite struct CompactionCrashTests {
    /// Makes the same few files, compacts them in a given way and dies at operation `crashAt` of the
    /// compaction; true if it came to its end before.
    private func run(
        _ options: CompactionOptions, crashAt: Int, losesPower: Bool, seed: UInt64
    ) throws -> Bool {
        var generator = Generator(seed: seed)
        var configuration = Configuration.Storage()
        configuration.blockBytes = 200
        configuration.jobStepBytes = 600
        configuration.commitLogSegmentBytes = 1 << 16
        let harness = Harness(
            schema: testSchema { $0.gcGraceSeconds = 1_000_000 }, configuration: configuration,
            random: RandomStream(seed: seed, name: "harness"))
        try harness.open()
        harness.engine?.setAutomaticCompaction(table: nil, false)
        var twin = Twin()
        for _ in 0..<4 {
            for _ in 0..<12 {
                let mutation = try generator.mutation()
                try harness.apply(mutation)
                try twin.apply(mutation)
            }
            harness.engine?.flush(table: testTable)
            try harness.settle()
        }
        harness.engine?.requestSync()
        try harness.settle()
        let before = Set(try #require(harness.engine?.tables[testTable]).sstables.map(\.number))
        harness.engine?.tables[testTable]?.strategy = CompactionStrategy(options: options)
        harness.files.operationsLeft = crashAt
        var isDone = false
        do {
            harness.engine?.compact(table: testTable)
            try harness.settle()
            isDone = true
        } catch {
            // The planned crash.
        }
        harness.files.operationsLeft = nil
        if losesPower { harness.files.losePower(&generator.random) }
        try harness.open()
        let after = Set(try #require(harness.engine?.tables[testTable]).sstables.map(\.number))
        #expect(
            after == before || after.isDisjoint(with: before),
            "crash at \(crashAt): \(after.sorted()) out of \(before.sorted())")
        if isDone { #expect(after.isDisjoint(with: before) && !after.isEmpty) }
        // What nobody names is gone.
        let files = harness.files.names.keys.filter { $0.text.contains("sst-") }
        #expect(files.count == after.count, "crash at \(crashAt): \(files)")
        let everything = ReadCommand(
            table: testTable, scope: .range(ReadCommand.TokenScope(start: .min, end: .max)),
            nowInSeconds: generator.now)
        #expect(
            try harness.read(everything) == twin.read(everything, gcGrace: 1_000_000),
            "crash at \(crashAt)")
        return isDone
    }

    private static var strategies: [CompactionOptions] {
        var levels = CompactionOptions.Leveled()
        levels.sstableBytes = 700
        var unified = CompactionOptions.Unified()
        unified.minimumSSTableBytes = 0
        unified.targetSSTableBytes = 700
        return [
            CompactionOptions.Strategy.sizeTiered(.init()), .leveled(levels), .unified(unified),
        ]
        .map {
            var options = CompactionOptions()
            options.strategy = $0
            return options
        }
    }

    @Test(arguments: 0..<6)
    func aCrashAtAnyStepLeavesEitherTheOldFilesOrTheNew(index: Int) throws {
        let options = Self.strategies[index / 2]
        var step = 0
        while try !run(options, crashAt: step, losesPower: index % 2 == 1, seed: UInt64(step)) {
            step += 1
            #expect(step < 1_000)
        }
        #expect(step > 8, "the compaction had steps to crash at")
    }
}
