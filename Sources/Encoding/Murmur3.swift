// Murmur3, x64 variant of 128 bits (Austin Appleby, public domain), in two forms.
//
// `cassandraToken` repeats a peculiarity of Apache Cassandra: the tail bytes are sign-extended before
// they are mixed, so that keys whose last block holds bytes over 0x7F hash differently from the
// reference. Drivers compute the same, so a deviation would route their requests to wrong nodes.

/// The 128-bit Murmur3 hash.
package enum Murmur3 {
    @inline(__always)
    private static func rotate(_ value: UInt64, _ bits: UInt64) -> UInt64 {
        (value << bits) | (value >> (64 - bits))
    }

    @inline(__always)
    private static func finish(_ value: UInt64) -> UInt64 {
        var k = value
        k ^= k >> 33
        k = k &* 0xFF51_AFD7_ED55_8CCD
        k ^= k >> 33
        k = k &* 0xC4CE_B9FE_1A85_EC53
        k ^= k >> 33
        return k
    }

    /// One to eight of the bytes as a little-endian number.
    @inline(__always)
    private static func word(_ bytes: UnsafeRawBufferPointer, at start: Int, count: Int) -> UInt64 {
        if count == 8 {
            return UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: start, as: UInt64.self))
        }
        let end = start + count
        if end >= 8 {
            // Those before it are shifted out.
            let last = UInt64(
                littleEndian: bytes.loadUnaligned(fromByteOffset: end - 8, as: UInt64.self))
            return last &>> UInt64((8 - count) * 8)
        }
        if count >= 4 {
            // Two halves that overlap, where they say the same.
            let low = UInt32(
                littleEndian: bytes.loadUnaligned(fromByteOffset: start, as: UInt32.self))
            let high = UInt32(
                littleEndian: bytes.loadUnaligned(fromByteOffset: end - 4, as: UInt32.self))
            return UInt64(low) | UInt64(high) &<< UInt64((count - 4) * 8)
        }
        var value = UInt64(bytes[start])
        for index in 1..<count { value |= UInt64(bytes[start + index]) &<< UInt64(index * 8) }
        return value
    }

    /// The bytes from `start` on, one to fifteen, as two numbers.
    @inline(__always)
    static func tail(
        _ bytes: UnsafeRawBufferPointer, from start: Int, signExtends: Bool
    ) -> (UInt64, UInt64) {
        let count = bytes.count - start
        var low = word(bytes, at: start, count: min(count, 8))
        var high = count > 8 ? word(bytes, at: start + 8, count: count - 8) : 0
        if signExtends {
            low ^= signs(low)
            high ^= signs(high)
        }
        return (low, high)
    }

    /// What sign-extended bytes, each shifted to its place and all mixed by exclusive or, differ by from the bytes as
    /// they are: a byte over 0x7F inverts all those above it, so that one is inverted if there is an odd number of
    /// such below it.
    @inline(__always)
    private static func signs(_ word: UInt64) -> UInt64 {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let negative = word >> 7 & ones
        // A product with `ones` has in each byte the sum of those up to it: at most eight.
        let below = negative << 8 &* ones
        return (below & ones) &* 0xFF
    }

    private static let c1: UInt64 = 0x87C3_7B91_1142_53D5
    private static let c2: UInt64 = 0x4CF5_AD43_2745_937F

    /// Both halves of the hash. With `signExtendsTail` the tail is mixed as Cassandra does it.
    package static func hash128(
        _ bytes: UnsafeRawBufferPointer, seed: UInt64 = 0, signExtendsTail: Bool = false
    ) -> (UInt64, UInt64) {
        var h1 = seed
        var h2 = seed
        let blocks = bytes.count / 16
        for block in 0..<blocks {
            var k1 = UInt64(
                littleEndian: bytes.loadUnaligned(fromByteOffset: block * 16, as: UInt64.self))
            var k2 = UInt64(
                littleEndian: bytes.loadUnaligned(fromByteOffset: block * 16 + 8, as: UInt64.self))
            k1 = rotate(k1 &* c1, 31) &* c2
            h1 ^= k1
            h1 = (rotate(h1, 27) &+ h2) &* 5 &+ 0x52DC_E729
            k2 = rotate(k2 &* c2, 33) &* c1
            h2 ^= k2
            h2 = (rotate(h2, 31) &+ h1) &* 5 &+ 0x3849_5AB5
        }
        let tail = blocks * 16
        if bytes.count > tail {
            let (k1, k2) = self.tail(bytes, from: tail, signExtends: signExtendsTail)
            // Of nothing this is nothing.
            h2 ^= rotate(k2 &* c2, 33) &* c1
            h1 ^= rotate(k1 &* c1, 31) &* c2
        }
        h1 ^= UInt64(bytes.count)
        h2 ^= UInt64(bytes.count)
        h1 = h1 &+ h2
        h2 = h2 &+ h1
        h1 = finish(h1)
        h2 = finish(h2)
        h1 = h1 &+ h2
        h2 = h2 &+ h1
        return (h1, h2)
    }

    /// The token of a serialized partition key, as Cassandra's Murmur3Partitioner computes it:
    /// the first half of the hash, where the smallest integer becomes the largest.
    package static func cassandraToken(_ key: UnsafeRawBufferPointer) -> Int64 {
        let token = Int64(bitPattern: hash128(key, signExtendsTail: true).0)
        return token == .min ? .max : token
    }
}
