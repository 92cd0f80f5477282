// SHA3-224, SHA3-256, SHA3-384 and SHA3-512 (FIPS 202), for the function `mask_hash`.

/// The SHA-3 digests.
package enum SHA3 {
    /// The digest of `bits` bits: 224, 256, 384 or 512.
    package static func digest(_ message: [UInt8], bits: Int) -> [UInt8] {
        precondition([224, 256, 384, 512].contains(bits))
        let rate = 200 - bits / 4
        var padded = message
        padded.append(0x06)
        while padded.count % rate != 0 { padded.append(0) }
        padded[padded.count - 1] |= 0x80
        var lanes = [UInt64](repeating: 0, count: 25)
        for block in stride(from: 0, to: padded.count, by: rate) {
            for index in 0..<rate {
                lanes[index / 8] ^= UInt64(padded[block + index]) << UInt64(index % 8 * 8)
            }
            permute(&lanes)
        }
        return (0..<bits / 8).map {
            UInt8(truncatingIfNeeded: lanes[$0 / 8] >> UInt64($0 % 8 * 8))
        }
    }

    private static func rotated(_ lane: UInt64, _ count: Int) -> UInt64 {
        count == 0 ? lane : lane << UInt64(count) | lane >> UInt64(64 - count)
    }

    /// Keccak-f[1600]; the lane of column x and row y stands at x + 5y.
    private static func permute(_ lanes: inout [UInt64]) {
        // The bits of the round constants come out of a shift register (section 3.2.5).
        var register: UInt8 = 1
        for _ in 0..<24 {
            var columns = [UInt64](repeating: 0, count: 5)
            for index in 0..<25 { columns[index % 5] ^= lanes[index] }
            for index in 0..<25 {
                let x = index % 5
                lanes[index] ^= columns[(x + 4) % 5] ^ rotated(columns[(x + 1) % 5], 1)
            }
            var (x, y) = (1, 0)
            var carried = lanes[1]
            for step in 0..<24 {
                (x, y) = (y, (2 * x + 3 * y) % 5)
                let replaced = lanes[x + 5 * y]
                lanes[x + 5 * y] = rotated(carried, (step + 1) * (step + 2) / 2 % 64)
                carried = replaced
            }
            for row in stride(from: 0, to: 25, by: 5) {
                let old = Array(lanes[row..<row + 5])
                for x in 0..<5 { lanes[row + x] = old[x] ^ ~old[(x + 1) % 5] & old[(x + 2) % 5] }
            }
            for power in 0...6 {
                if register & 1 != 0 { lanes[0] ^= 1 << UInt64((1 << power) - 1) }
                register = register << 1 ^ (register & 0x80 != 0 ? 0x71 : 0)
            }
        }
    }
}
