// Merged lists of range deletions say of every key what the lists together say.

import Encoding
import Testing

@testable import Model

@Suite struct RangeTombstonesPropertyTests {
    private func covering(_ key: [UInt8], _ list: [RangeTombstone]) -> Deletion {
        list.reduce(Deletion.none) { strongest, range in
            let isInside = compareBytes(range.start, key) <= 0 && compareBytes(key, range.end) < 0
            return isInside ? strongest.merged(with: range.deletion) : strongest
        }
    }

    @Test func mergedCoversWhatEitherCovers() {
        for seed in 0..<3_000 {
            var random = SmallRandom(seed)
            let a = random.ranges(4)
            let b = random.ranges(4)
            let merged = RangeTombstones.merged(a, b)
            #expect(merged == RangeTombstones.merged(b, a), "seed \(seed)")
            #expect(RangeTombstones.merged(merged, a) == merged, "seed \(seed)")
            for key in 0..<30 {
                for bytes in [[UInt8(key)], [UInt8(key), 0]] {
                    let expected = covering(bytes, a + b)
                    #expect(covering(bytes, merged) == expected, "seed \(seed)")
                    let found = bytes.withUnsafeBytes {
                        RangeTombstones.covering($0, in: merged)
                    }
                    #expect(found == expected, "seed \(seed)")
                }
            }
            for (left, right) in zip(merged, merged.dropFirst()) {
                #expect(compareBytes(left.end, right.start) <= 0, "seed \(seed)")
                let isJoined = left.end != right.start || left.deletion != right.deletion
                #expect(isJoined, "seed \(seed): neighbours that are one")
            }
        }
    }

    @Test func mergeIsAssociative() {
        for seed in 0..<3_000 {
            var random = SmallRandom(seed)
            let a = random.ranges(4)
            let b = random.ranges(4)
            let c = random.ranges(4)
            let left = RangeTombstones.merged(RangeTombstones.merged(a, b), c)
            let right = RangeTombstones.merged(a, RangeTombstones.merged(b, c))
            #expect(left == right, "seed \(seed)")
        }
    }

    @Test func clippedIsWhatLiesInside() {
        for seed in 0..<1_000 {
            var random = SmallRandom(seed)
            let list = random.ranges(5)
            let start = random.below(12)
            let end = start + 1 + random.below(6)
            let clipped = RangeTombstones.clipped(
                list, start: [UInt8(start)], end: [UInt8(end)])
            for key in 0..<25 {
                let expected = key >= start && key < end ? covering([UInt8(key)], list) : .none
                #expect(covering([UInt8(key)], clipped) == expected, "seed \(seed)")
            }
        }
    }
}
