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
        let rest = bytes.count - tail
        var k1: UInt64 = 0
        var k2: UInt64 = 0
        var index = rest - 1
        while index >= 0 {
            let byte = bytes[tail + index]
            let wide =
                signExtendsTail ? UInt64(bitPattern: Int64(Int8(bitPattern: byte))) : UInt64(byte)
            if index >= 8 {
                k2 ^= wide << UInt64((index - 8) * 8)
            } else {
                k1 ^= wide << UInt64(index * 8)
            }
            index -= 1
        }
        if rest > 8 { h2 ^= rotate(k2 &* c2, 33) &* c1 }
        if rest > 0 { h1 ^= rotate(k1 &* c1, 31) &* c2 }
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
