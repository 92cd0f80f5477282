// A blocked Bloom filter over partition tokens (Putze, Sanders and Singler, 2007): all bits of a key
// lie in one block of 64 bytes, so a lookup costs one cache miss.
//
// A token is already a Murmur3 hash of its key; it is mixed once more because tokens of a narrow slice
// share their upper bits.

internal import CMemory
internal import Encoding

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// The bits of a filter, at an address that a processor's cache line begins at: an array's elements
/// do not begin there, and each look-up would touch two lines.
// Sendable unchecked: written only while one owner fills it, before it is shared.
private final class FilterBits: @unchecked Sendable {
    let words: UnsafeMutablePointer<UInt64>
    let count: Int

    /// All bits are zero.
    init(count: Int) {
        var memory: UnsafeMutableRawPointer?
        let bytes = max(64, count * 8)
        guard posix_memalign(&memory, 64, bytes) == 0, let memory else {
            preconditionFailure("out of memory for a filter of \(bytes) bytes")
        }
        words = memory.initializeMemory(as: UInt64.self, repeating: 0, count: bytes / 8)
        self.count = count
    }

    deinit { free(words) }
}

/// Says that a token is surely not there, or may be. Copies share their bits: whoever inserts is the only
/// owner until the last token is in.
struct BloomFilter: Sendable {
    /// Blocks of eight words.
    private let bits: FilterBits
    private let blocks: UInt64
    private let probes: Int

    /// Room for `count` tokens at about that chance of a false "may be"; a chance of 1 or more makes a
    /// filter that says "may be" to all.
    init(count: Int, falsePositiveChance chance: Double) {
        guard chance < 1, count > 0 else {
            self.init(words: 0, probes: 0)
            return
        }
        let bits = Self.bitsPerToken(chance)
        self.init(words: Self.blocks(count, bits) * 8, probes: Self.probes(bits))
    }

    /// Room for `count` tokens at most, of which `folded` gives back what was too much.
    init(atMost count: Int, falsePositiveChance chance: Double) {
        guard chance < 1, count > 0 else {
            self.init(words: 0, probes: 0)
            return
        }
        let bits = Self.bitsPerToken(chance)
        let blocks = (Self.blocks(count, bits) + Self.foldable - 1) / Self.foldable * Self.foldable
        self.init(words: blocks * 8, probes: Self.probes(bits))
    }

    /// A number with many divisors.
    private static let foldable = 720

    /// Bits per key are log2(1/p) * 1.44 for an ideal filter; blocking costs some tenth more.
    private static func bitsPerToken(_ chance: Double) -> Int {
        var bits = 2
        var reached = 0.5
        while reached > chance, bits < 30 {
            bits += 1
            reached *= 0.62
        }
        return bits + 1
    }

    private static func blocks(_ count: Int, _ bits: Int) -> Int {
        max(1, (count * bits + 511) / 512)
    }

    private static func probes(_ bits: Int) -> Int { max(1, min(12, bits * 7 / 10)) }

    /// The filter of the same tokens in as few blocks as `count` of them need, or a few more. The block of
    /// a token is a share of all blocks, so that k neighbours become one.
    func folded(to count: Int, falsePositiveChance chance: Double) -> BloomFilter {
        guard blocks > 0 else { return self }
        let needed = Self.blocks(max(1, count), Self.bitsPerToken(chance))
        var factor = max(1, Int(blocks) / needed)
        while Int(blocks) % factor != 0 { factor -= 1 }
        if factor == 1 { return self }
        let folded = BloomFilter(words: bits.count / factor, probes: probes)
        for block in 0..<Int(blocks) {
            let target = folded.bits.words + block / factor * 8
            for word in 0..<8 { target[word] |= bits.words[block * 8 + word] }
        }
        return folded
    }

    private init(words: Int, probes: Int) {
        bits = FilterBits(count: words)
        blocks = UInt64(words / 8)
        self.probes = probes
    }

    /// Its size in memory.
    var byteCount: Int { bits.count * 8 }

    /// The size of a filter for so many tokens.
    static func byteCount(count: Int, falsePositiveChance chance: Double) -> Int {
        chance < 1 && count > 0 ? blocks(count, bitsPerToken(chance)) * 64 : 0
    }

    /// What all filters look a token up by.
    @inline(__always)
    static func hash(_ token: Int64) -> UInt64 {
        var value = UInt64(bitPattern: token)
        value = (value ^ (value >> 32)) &* 0x9E37_79B9_7F4A_7C15
        value = (value ^ (value >> 29)) &* 0xBF58_476D_1CE4_E5B9
        return value ^ (value >> 32)
    }

    /// The block of a hash.
    @inline(__always)
    private func block(_ hash: UInt64) -> UnsafeMutablePointer<UInt64> {
        bits.words + Int(hash.multipliedFullWidth(by: blocks).high) * 8
    }

    func insert(_ token: Int64) {
        guard blocks > 0 else { return }
        let hash = Self.hash(token)
        let block = block(hash)
        var bits = hash &* 0xD6E8_FEB8_6659_FD93
        for _ in 0..<probes {
            block[Int(bits >> 61)] |= 1 << ((bits >> 55) & 63)
            bits = bits &* 0x9E37_79B9_7F4A_7C15 &+ 0x1234_5677
        }
    }

    /// Inserts tokens that lie one after another, little-endian.
    func insert(tokens: UnsafeRawBufferPointer) {
        for offset in stride(from: 0, to: tokens.count, by: 8) {
            let token = tokens.loadUnaligned(fromByteOffset: offset, as: Int64.self)
            insert(Int64(littleEndian: token))
        }
    }

    func mayContain(_ token: Int64) -> Bool { view.mayContain(Self.hash(token)) }

    /// For look-ups without a reference; valid as long as the filter.
    var view: View { View(words: bits.words, blocks: blocks, probes: probes) }

    /// A filter's bits where they lie.
    struct View: BitwiseCopyable {
        fileprivate let words: UnsafeMutablePointer<UInt64>
        fileprivate let blocks: UInt64
        fileprivate let probes: Int

        /// Has the processor load what `mayContain` will look at.
        @inline(__always)
        func prefetch(_ hash: UInt64) {
            coterie_prefetch(words + Int(hash.multipliedFullWidth(by: blocks).high) * 8)
        }

        /// Whether the token of that hash may be there.
        @inline(__always)
        func mayContain(_ hash: UInt64) -> Bool {
            if blocks == 0 { return true }
            let block = words + Int(hash.multipliedFullWidth(by: blocks).high) * 8
            var bits = hash &* 0xD6E8_FEB8_6659_FD93
            for _ in 0..<probes {
                if block[Int(bits >> 61)] & (1 << ((bits >> 55) & 63)) == 0 { return false }
                bits = bits &* 0x9E37_79B9_7F4A_7C15 &+ 0x1234_5677
            }
            return true
        }
    }

    // MARK: In the file: `probes u8 | words count varint | words`

    /// Appends words from `index` on until `writer` has `limit` bytes, one word at least, and tells which
    /// comes next; nil: none.
    func encode(from index: Int, limit: Int, into writer: ByteWriter) -> Int? {
        if index == 0 {
            writer.append(UInt8(probes))
            writer.appendVarint(UInt64(bits.count))
        }
        let next = min(bits.count, index + max(1, (limit - writer.count + 7) / 8))
        for index in index..<next { writer.appendLittleEndian(bits.words[index]) }
        return next < bits.count ? next : nil
    }

    /// Reads a filter of at most `byteCount` bytes in pieces. `read` gives so many bytes from an offset on,
    /// valid until it is called again.
    init(
        byteCount: Int,
        read: (_ offset: Int, _ count: Int) throws(MalformedBytes) -> UnsafeRawBufferPointer
    ) throws(MalformedBytes) {
        var head = ByteReader(try read(0, min(byteCount, Self.largestHeadBytes)))
        let probes = Int(try head.readUInt8())
        let count = Int(clamping: try head.readVarint())
        guard count % 8 == 0, count <= (byteCount - head.position) / 8, probes <= 12 else {
            throw MalformedBytes("bloom filter of \(count) words", offset: head.position)
        }
        self.init(words: count, probes: probes)
        var next = 0
        while next < count {
            let piece = min(count - next, SSTableTail.pieceBytes / 8)
            let words = try read(head.position + next * 8, piece * 8)
            for index in 0..<piece {
                bits.words[next + index] = UInt64(
                    littleEndian: words.loadUnaligned(fromByteOffset: index * 8, as: UInt64.self))
            }
            next += piece
        }
    }

    /// A byte and a varint.
    private static var largestHeadBytes: Int { 11 }
}
