// Randomness as named, seeded streams: every link, node and fault has its own, so that drawing once
// more in one place leaves all others as they were.

package import Encoding

/// A stream of pseudo-random numbers: xoshiro256** (Blackman and Vigna, 2018), seeded by SplitMix64.
package struct RandomStream: Sendable {
    private var s0: UInt64
    private var s1: UInt64
    private var s2: UInt64
    private var s3: UInt64

    /// The stream of that name under `seed`. Equal arguments give equal streams.
    package init(seed: UInt64, name: String) {
        var text = name
        let hash = text.withUTF8 { Murmur3.hash128(UnsafeRawBufferPointer($0), seed: seed) }
        var state = hash.0 ^ seed
        func next() -> UInt64 {
            state = state &+ 0x9E37_79B9_7F4A_7C15
            var z = state
            z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
            z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
            return z ^ (z >> 31)
        }
        s0 = next()
        s1 = next() ^ hash.1
        s2 = next()
        s3 = next() | 1
    }

    /// The next 64 random bits.
    package mutating func next() -> UInt64 {
        func rotate(_ value: UInt64, _ bits: UInt64) -> UInt64 {
            (value << bits) | (value >> (64 - bits))
        }
        let result = rotate(s1 &* 5, 7) &* 9
        let t = s1 << 17
        s2 ^= s0
        s3 ^= s1
        s1 ^= s2
        s0 ^= s3
        s2 ^= t
        s3 = rotate(s3, 45)
        return result
    }

    /// A number below `bound`, which must be positive; each equally likely.
    package mutating func below(_ bound: UInt64) -> UInt64 {
        precondition(bound > 0)
        return next().multipliedFullWidth(by: bound).high
    }

    /// A number of the closed range; each equally likely.
    package mutating func within(_ range: ClosedRange<Int64>) -> Int64 {
        let width = UInt64(bitPattern: range.upperBound &- range.lowerBound)
        if width == .max { return Int64(bitPattern: next()) }
        return range.lowerBound &+ Int64(bitPattern: below(width + 1))
    }

    /// True `numerator` times of `denominator` on average.
    package mutating func chance(_ numerator: UInt64, outOf denominator: UInt64) -> Bool {
        below(denominator) < numerator
    }

    /// A random (version 4) identifier.
    package mutating func uniqueID() -> UniqueID {
        let high = next()
        return UniqueID(randomHigh: high, low: next())
    }
}
