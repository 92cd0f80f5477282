// What each strategy chooses, without files: views in, choices out.

import Environment
import Model
import Testing

@testable import Storage

private let mebibyte = 1 << 20

private func file(
    _ number: UInt64, _ bytes: Int, level: Int = 0, _ tokens: ClosedRange<Int64> = 0...1_000
) -> CompactionFile {
    var file = CompactionFile(number: number, bytes: bytes)
    file.level = level
    file.tokens = tokens
    return file
}

@Suite struct SizeTieredStrategyTests {
    private func choose(_ sizes: [Int], busy: Set<UInt64> = []) -> [UInt64]? {
        var options = CompactionOptions.SizeTiered()
        options.minimumSSTableBytes = 50
        options.maximumThreshold = 6
        let files = sizes.enumerated().map { index, size in
            var file = file(UInt64(index + 1), size)
            file.isBusy = busy.contains(file.number)
            return file
        }
        return SizeTieredStrategy(options).choose(CompactionView(files: files))?.inputs
    }

    @Test func filesOfSimilarSizeAreCompactedWhenThereAreEnough() {
        #expect(choose([100, 110, 105]) == nil)
        #expect(choose([100, 110, 105, 1_000, 95]) == [1, 2, 3, 5])
        #expect(choose([100, 110, 105, 1_000, 95], busy: [2]) == nil)
    }

    @Test func smallFilesAreAllSimilar() { #expect(choose([1, 49, 20, 5]) == [1, 2, 3, 4]) }

    @Test func theSmallestTierGoesFirstAndNotMoreThanTheMaximum() {
        #expect(
            choose([900, 910, 920, 930, 100, 101, 102, 103, 104, 105, 106, 107])
                == [5, 6, 7, 8, 9, 10])
    }
}

@Suite struct LeveledStrategyTests {
    private var strategy: LeveledStrategy {
        var options = CompactionOptions.Leveled()
        options.sstableBytes = 100
        options.fanout = 4
        options.levelZero.minimumSSTableBytes = 100
        return LeveledStrategy(options)
    }

    @Test func levelZeroWaitsAndThenGoesDownWithWhatItOverlaps() {
        let below = [file(1, 100, level: 1, 0...400), file(2, 100, level: 1, 500...2_000)]
        let zero = (10...12).map { file($0, 40) }
        #expect(strategy.choose(CompactionView(files: below + zero)) == nil)
        let choice = strategy.choose(CompactionView(files: below + zero + [file(13, 40)]))
        #expect(choice?.inputs == [1, 2, 10, 11, 12, 13])
        #expect(choice?.level == 1 && choice?.split == .bytes(100))
    }

    @Test func levelZeroIsMergedAmongItselfWhileItFillsNoFile() {
        let choice = strategy.choose(CompactionView(files: (1...4).map { file($0, 10) }))
        #expect(choice?.inputs == [1, 2, 3, 4] && choice?.level == 0 && choice?.split == .never)
    }

    @Test func aFullLevelSendsDownTheFileWithTheLeastBelowIt() {
        var files = (1...5).map { file($0, 100, level: 1, Int64($0) * 100...Int64($0) * 100 + 50) }
        files += [file(10, 100, level: 2, 100...310), file(11, 50, level: 2, 400...420)]
        files += [file(12, 90, level: 2, 500...900)]
        let choice = strategy.choose(CompactionView(files: files))
        #expect(choice?.inputs == [4, 11] && choice?.level == 2 && choice?.deed == .merge)
    }

    @Test func aFileWithNothingBelowItMovesWithoutBeingRewritten() {
        let files = (1...5).map { file($0, 100, level: 1, Int64($0) * 100...Int64($0) * 100 + 50) }
        #expect(strategy.choose(CompactionView(files: files))?.deed == .relevel)
        var options = strategy.options
        options.singleSSTableUplevel = false
        #expect(
            LeveledStrategy(options).choose(CompactionView(files: files))?.deed == .merge)
    }

    @Test func whatRunsIsNotDisturbed() {
        var files = (1...5).map { file($0, 100, level: 1, Int64($0) * 100...Int64($0) * 100 + 50) }
        files.append(file(10, 100, level: 2, 0...1_000))
        var view = CompactionView(files: files)
        view.files[5].isBusy = true
        #expect(strategy.choose(view) == nil)
        // An output that is still to come, without an input in that level.
        view = CompactionView(files: Array(files.prefix(5)))
        view.running = [RunningOutput(level: 2, tokens: 0...10_000)]
        #expect(strategy.choose(view) == nil)
        view.running = [RunningOutput(level: 2, tokens: 500...600)]
        #expect(strategy.choose(view)?.inputs == [1])
    }

    @Test func filesThatOverlapInALevelCountAsLevelZero() {
        let files = [file(1, 10, level: 1, 0...50), file(2, 10, level: 1, 40...90)]
        let levels = strategy.levels(files)
        #expect(levels[0].map(\.number) == [2] && levels[1].map(\.number) == [1])
    }

    @Test func aCrowdedLevelZeroIsCompactedBySize() {
        let choice = strategy.choose(CompactionView(files: (1...40).map { file($0, 200) }))
        #expect(choice?.inputs.count == 32 && choice?.level == 0)
    }
}

@Suite struct TimeWindowStrategyTests {
    private let hour: Int64 = 3_600_000_000
    private var strategy: CompactionStrategy {
        var windows = CompactionOptions.TimeWindow()
        windows.windowSeconds = 3_600
        var options = CompactionOptions()
        options.strategy = .timeWindow(windows)
        return CompactionStrategy(options: options)
    }

    private func file(_ number: UInt64, hour window: Int64) -> CompactionFile {
        var file = CompactionFile(number: number, bytes: 100)
        file.minimumTimestamp = window * hour
        file.maximumTimestamp = window * hour + 5
        return file
    }

    @Test func anOldWindowBecomesOneFileAndTheNewestGoesByTiers() {
        let files = [
            file(1, hour: 4), file(2, hour: 4), file(3, hour: 5), file(4, hour: 6),
            file(5, hour: 6),
            file(6, hour: 6),
        ]
        #expect(strategy.choose(CompactionView(files: files))?.inputs == [1, 2])
        #expect(
            strategy.choose(CompactionView(files: files + [file(7, hour: 6)]))?.inputs
                == [4, 5, 6, 7])
        #expect(strategy.choose(CompactionView(files: Array(files[2...]))) == nil)
    }

    @Test func timesBeforeTheEpochHaveWindowsToo() {
        guard case .timeWindow(let options) = strategy.options.strategy else { return }
        let windows = TimeWindowStrategy(options)
        #expect(windows.window(file(1, hour: -1)) == -1)
        #expect(windows.window(file(1, hour: 0)) == 0)
    }

    @Test func expiredFilesGoUnreadUnlessTheyMayShadowSomething() {
        var old = file(1, hour: 1)
        old.lastDeletionTime = 500
        var view = CompactionView(files: [old, file(2, hour: 5)])
        view.gcBefore = 500
        #expect(strategy.choose(view) == nil)
        view.gcBefore = 501
        let choice = strategy.choose(view)
        #expect(choice?.inputs == [1] && choice?.deed == .drop && choice?.reason == .expired)
        // Something as old in another file, in a file of another group, in memory.
        view.files[1].minimumTimestamp = old.maximumTimestamp
        #expect(strategy.choose(view) == nil)
        view.files[1].tokens = 5...9
        view.files[0].tokens = 10...20
        #expect(strategy.choose(view)?.inputs == [1])
        view.others = [file(9, hour: 0)]
        #expect(strategy.choose(view) == nil)
        view.others = []
        view.oldestInMemory = old.maximumTimestamp
        #expect(strategy.choose(view) == nil)
    }

    @Test func aggressiveExpirationAsksNobody() {
        var windows = CompactionOptions.TimeWindow()
        windows.dropsExpiredUnchecked = true
        var options = CompactionOptions()
        options.strategy = .timeWindow(windows)
        var old = file(1, hour: 1)
        old.lastDeletionTime = 500
        var view = CompactionView(files: [old, file(2, hour: 0)])
        view.gcBefore = 501
        #expect(CompactionStrategy(options: options).choose(view)?.inputs == [1])
    }
}

@Suite struct UnifiedStrategyTests {
    private func strategy(
        _ adjust: (inout CompactionOptions.Unified) -> Void = { _ in }
    ) -> UnifiedStrategy {
        var options = CompactionOptions.Unified()
        adjust(&options)
        return UnifiedStrategy(options)
    }

    private let whole: ClosedRange<Int64> = .min ... .max
    private func quarter(_ index: Int64) -> ClosedRange<Int64> {
        let start = Int64.min &+ (index << 62)
        return start...(start &+ ((1 << 62) - 1))
    }

    @Test func fourFlushesThatOverlapAreDueWithT4AndTwoWithL10() {
        var view = CompactionView(files: (1...3).map { file($0, 10 * mebibyte, whole) })
        view.flushBytes = 10 * mebibyte
        #expect(strategy().choose(view) == nil)
        #expect(strategy { $0.scaling = [-8] }.choose(view)?.inputs == [1, 2, 3])
        view.files.append(file(4, 10 * mebibyte, whole))
        #expect(strategy().choose(view)?.inputs == [1, 2, 3, 4])
    }

    @Test func densityAndNotSizeMakesTheLevel() {
        var view = CompactionView(files: [])
        view.flushBytes = 10 * mebibyte
        view.files = [
            file(1, 10 * mebibyte, whole), file(2, 10 * mebibyte, quarter(1)),
            file(3, 40 * mebibyte, whole), file(4, 170 * mebibyte, whole),
        ]
        let levels = strategy().levels(view)
        #expect(levels.map { $0.map(\.number) } == [[1], [2, 3], [4]])
    }

    @Test func filesOfDifferentShardsAreDifferentCompactions() {
        var view = CompactionView(files: [])
        view.flushBytes = 1 * mebibyte
        for shard in 0..<4 {
            for index in 0..<4 {
                view.files.append(
                    file(UInt64(shard * 4 + index + 1), mebibyte, quarter(Int64(shard))))
            }
        }
        let options = CompactionOptions.Strategy.unified(strategy().options)
        var all = CompactionOptions()
        all.strategy = options
        let pending = CompactionStrategy(options: all).pending(view)
        #expect(pending.tasks == 4 && pending.bytes == 16 * mebibyte)
        #expect(strategy().choose(view)?.inputs == [1, 2, 3, 4])
    }

    @Test func overlapsOfOverlapsAreTakenAlongAsTheMethodSays() {
        var view = CompactionView(files: [])
        view.flushBytes = mebibyte
        view.files = [
            file(1, 100, 0...100), file(2, 100, 50...200), file(3, 100, 150...300),
            file(4, 100, 250...400), file(5, 100, 1_000...1_100),
        ]
        func inputs(_ method: CompactionOptions.OverlapInclusion) -> [UInt64]? {
            strategy {
                $0.scaling = [0]
                $0.overlapInclusion = method
            }.choose(view)?.inputs
        }
        view.slice = 0...1_000_000
        #expect(inputs(.none) == [1, 2])
        #expect(inputs(.single) == [1, 2, 3])
        #expect(inputs(.transitive) == [1, 2, 3, 4])
    }

    @Test func aLimitTakesFilesThatShareAToken() {
        // Four old files side by side under one young one.
        var view = CompactionView(files: [])
        view.slice = 0...1_000_000
        for number in 0..<4 {
            let start = Int64(number * 100)
            view.files.append(file(UInt64(number + 1), 100, start...start + 99))
            view.files[number].maximumTimestamp = 5
        }
        view.files.append(file(9, 100, 0...400))
        let choice = strategy {
            $0.scaling = [0]
            $0.maximumSSTablesToCompact = 2
        }.choose(view)
        #expect(choice?.inputs == [1, 9])
    }

    @Test func shardsAreAPowerOfTwoTimesTheBaseAndNearTheTarget() {
        let fixed = strategy { $0.sstableGrowth = 0 }
        for gibibytes in [1, 3, 4, 5, 8, 64, 1_000] {
            let shards = fixed.shardCount(density: Double(gibibytes << 30))
            #expect(shards % 4 == 0 && (shards / 4) & (shards / 4 - 1) == 0)
            let size = Double(gibibytes) / Double(shards)
            if gibibytes > 4 { #expect(size > 0.7 && size < 1.42, "\(gibibytes): \(size)") }
        }
        // Below the minimum size it is not split, or less.
        #expect(fixed.shardCount(density: Double(50 << 20)) == 1)
        #expect(fixed.shardCount(density: Double(250 << 20)) == 2)
        let growing = strategy { $0.sstableGrowth = 1 }
        #expect(growing.shardCount(density: 1e15) == 4)
        let half = strategy {
            $0.sstableGrowth = 0.5
            $0.baseShardCount = 1
        }
        #expect(half.shardCount(density: Double(1 << 40)) == 32)
    }

    @Test func bordersOfFewShardsAreBordersOfMany() {
        guard case .tokens(let few) = strategy().split(whole, into: 4),
            case .tokens(let many) = strategy().split(whole, into: 16)
        else { return }
        #expect(few.count == 3 && many.count == 15 && few == few.sorted())
        #expect(Set(many).isSuperset(of: few))
        #expect(strategy().split(0...0, into: 4) == .never)
    }

    @Test func aFileOfOnePartitionCountsAsIfItSpannedAll() {
        #expect(strategy().share(5...5, of: whole) == 1)
    }
}

@Suite struct TombstoneChoiceTests {
    private func view(droppable: Double, createdAt: Int64 = 0) -> CompactionView {
        var one = file(1, 100)
        one.droppableShare = droppable
        one.createdAt = createdAt
        one.minimumTimestamp = 50
        one.maximumTimestamp = 90
        var view = CompactionView(files: [one])
        view.nowInSeconds = 100_000
        return view
    }

    private func strategy(
        _ adjust: (inout CompactionOptions.Tombstones) -> Void = { _ in }
    ) -> CompactionStrategy {
        var options = CompactionOptions()
        adjust(&options.tombstones)
        return CompactionStrategy(options: options)
    }

    @Test func oneFileIsRewrittenWhenEnoughOfItCanGo() {
        #expect(strategy().choose(view(droppable: 0.1)) == nil)
        #expect(strategy().choose(view(droppable: 0.3))?.reason == .tombstones)
        #expect(strategy().choose(view(droppable: 0.3, createdAt: 90_000)) == nil)
        #expect(strategy { $0.threshold = 0.5 }.choose(view(droppable: 0.3)) == nil)
    }

    @Test func itStaysWhileOthersMayHoldWhatItShadowsUnlessUnchecked() {
        var view = view(droppable: 0.9)
        var other = file(2, 1_000_000_000)
        other.minimumTimestamp = 60
        view.files.append(other)
        #expect(strategy().choose(view) == nil)
        #expect(strategy { $0.isUnchecked = true }.choose(view)?.inputs == [1])
        // Half of it is without overlap.
        view.files[1].tokens = 500...1_000
        #expect(strategy().choose(view)?.inputs == [1])
        view.files[1].tokens = 0...1_000
        view.files[1].minimumTimestamp = 91
        #expect(strategy().choose(view)?.inputs == [1])
    }
}

@Suite struct OverlapFiguresTests {
    @Test func depthAndSpaceAreThoseOfThePlaceWithTheMost() {
        #expect(OverlapFigures([]).depth == 0 && OverlapFigures([]).spaceAmplification == 0)
        let one = OverlapFigures([file(1, 100, 0...100)])
        #expect(one.depth == 1 && one.spaceAmplification == 1)
        let two = OverlapFigures([file(1, 100, 0...100), file(2, 100, 0...100)])
        #expect(two.depth == 2 && two.spaceAmplification == 2)
        let run = OverlapFigures([file(1, 100, 0...100), file(2, 100, 101...201)])
        #expect(run.depth == 1 && run.spaceAmplification == 1)
        let small = OverlapFigures([file(1, 100, 0...100), file(2, 10, 0...10), file(3, 1, 5...5)])
        #expect(small.depth == 3)
        #expect(abs(small.spaceAmplification - 111.0 / 101.0) < 0.03)
    }
}
