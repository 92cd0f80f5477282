// A blocked Bloom filter over partition tokens (Putze, Sanders and Singler, 2007): all bits of a key
// lie in one block of 64 bytes, so a lookup costs one cache miss.
//
// A token is already a Murmur3 hash of its key; it is mixed once more because tokens of a narrow slice
// share their upper bits.

internal import Encoding

/// Says that a token is surely not there, or may be.
struct BloomFilter: Sendable {
    /// Blocks of eight words.
    private var words: [UInt64]
    private let probes: Int

    /// Room for `count` tokens at about that chance of a false "may be"; a chance of 1 or more makes a
    /// filter that says "may be" to all.
    init(count: Int, falsePositiveChance chance: Double) {
        guard chance < 1, count > 0 else {
            words = []
            probes = 0
            return
        }
        // Bits per key are log2(1/p) * 1.44 for an ideal filter; blocking costs some tenth more.
        var bits = 2
        var reached = 0.5
        while reached > chance, bits < 30 {
            bits += 1
            reached *= 0.62
        }
        bits += 1
        probes = max(1, min(12, bits * 7 / 10))
        let blocks = max(1, (count * bits + 511) / 512)
        words = Array(repeating: 0, count: blocks * 8)
    }

    private init(words: [UInt64], probes: Int) {
        self.words = words
        self.probes = probes
    }

    /// Its size in memory.
    var byteCount: Int { words.count * 8 }

    private static func mix(_ token: Int64) -> UInt64 {
        var value = UInt64(bitPattern: token)
        value = (value ^ (value >> 32)) &* 0x9E37_79B9_7F4A_7C15
        value = (value ^ (value >> 29)) &* 0xBF58_476D_1CE4_E5B9
        return value ^ (value >> 32)
    }

    mutating func insert(_ token: Int64) {
        guard !words.isEmpty else { return }
        let hash = Self.mix(token)
        let block = Int(hash.multipliedFullWidth(by: UInt64(words.count / 8)).high) * 8
        var bits = hash &* 0xD6E8_FEB8_6659_FD93
        for _ in 0..<probes {
            words[block + Int(bits >> 61)] |= 1 << ((bits >> 55) & 63)
            bits = bits &* 0x9E37_79B9_7F4A_7C15 &+ 0x1234_5677
        }
    }

    /// Inserts tokens that lie one after another, little-endian.
    mutating func insert(tokens: UnsafeRawBufferPointer) {
        guard !words.isEmpty else { return }
        let blocks = UInt64(words.count / 8)
        let probes = probes
        words.withUnsafeMutableBufferPointer { words in
            for offset in stride(from: 0, to: tokens.count, by: 8) {
                let token = tokens.loadUnaligned(fromByteOffset: offset, as: Int64.self)
                let hash = Self.mix(Int64(littleEndian: token))
                let block = Int(hash.multipliedFullWidth(by: blocks).high) * 8
                var bits = hash &* 0xD6E8_FEB8_6659_FD93
                for _ in 0..<probes {
                    words[block + Int(bits >> 61)] |= 1 << ((bits >> 55) & 63)
                    bits = bits &* 0x9E37_79B9_7F4A_7C15 &+ 0x1234_5677
                }
            }
        }
    }

    func mayContain(_ token: Int64) -> Bool {
        guard !words.isEmpty else { return true }
        let hash = Self.mix(token)
        let block = Int(hash.multipliedFullWidth(by: UInt64(words.count / 8)).high) * 8
        var bits = hash &* 0xD6E8_FEB8_6659_FD93
        for _ in 0..<probes {
            if words[block + Int(bits >> 61)] & (1 << ((bits >> 55) & 63)) == 0 { return false }
            bits = bits &* 0x9E37_79B9_7F4A_7C15 &+ 0x1234_5677
        }
        return true
    }

    /// `probes u8 | words count varint | words`.
    func encode(into writer: ByteWriter) {
        writer.append(UInt8(probes))
        writer.appendVarint(UInt64(words.count))
        for word in words { writer.appendLittleEndian(word) }
    }

    init(from reader: inout ByteReader) throws(MalformedBytes) {
        let probes = Int(try reader.readUInt8())
        let count = Int(clamping: try reader.readVarint())
        guard count % 8 == 0, count <= reader.remaining / 8, probes <= 12 else {
            throw MalformedBytes("bloom filter of \(count) words", offset: reader.position)
        }
        var words: [UInt64] = []
        words.reserveCapacity(count)
        for _ in 0..<count { words.append(try reader.readLittleEndian()) }
        self.init(words: words, probes: probes)
    }
}
