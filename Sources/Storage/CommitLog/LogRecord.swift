// The records of a log file: commit log segments and the manifest use the same frame
// (docs/formats/commit-log.md).
//
//     record := crc u32 | length u32 | synced u64 | body
//
// The CRC32C goes over all behind it and is seeded with the file's identity, so that bytes of a file's
// former life never pass. `synced` is the highest log position that was known to be on the disk when
// the record was written: a bad record before it is corruption, one behind it is a torn tail.
// A record of length 0 ends a segment.

internal import Encoding

/// Reads and writes framed records.
enum LogRecord {
    static let headerBytes = 16
    /// A record up to this length is always tried in a search; most are far shorter.
    private static let shortBytes = 4 << 10
    private static let longBytesTried = 256 << 20

    static func append(
        _ body: UnsafeRawBufferPointer, synced: LogPosition, seed: UInt32, into writer: ByteWriter
    ) {
        let start = writer.count
        writer.reserve(headerBytes + body.count)
        writer.appendLittleEndian(UInt32(0))
        writer.appendLittleEndian(UInt32(body.count))
        writer.appendLittleEndian(synced.packed)
        writer.append(body)
        let covered = ByteRange(offset: start + 4, count: headerBytes - 4 + body.count)
        let crc = CRC32C.checksum(writer[covered], seed: seed)
        writer.overwriteLittleEndian(at: start, crc)
    }

    /// What stands at `offset`.
    enum Found {
        case record(body: UnsafeRawBufferPointer, synced: LogPosition, next: Int)
        /// The segment was closed here.
        case end(synced: LogPosition, next: Int)
        /// Zeros, garbage of a former life, a torn or damaged record, or the file's end.
        case nothing
    }

    static func read(_ bytes: UnsafeRawBufferPointer, at offset: Int, seed: UInt32) -> Found {
        guard offset >= 0, bytes.count - offset >= headerBytes else { return .nothing }
        let crc = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
        let length = Int(
            UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset + 4, as: UInt32.self)))
        guard length <= bytes.count - offset - headerBytes else { return .nothing }
        let covered = UnsafeRawBufferPointer(
            rebasing: bytes[(offset + 4)..<(offset + headerBytes + length)])
        guard CRC32C.checksum(covered, seed: seed) == crc else { return .nothing }
        let synced = LogPosition(
            packed: UInt64(
                littleEndian: bytes.loadUnaligned(fromByteOffset: offset + 8, as: UInt64.self)))
        let next = offset + headerBytes + length
        if length == 0 { return .end(synced: synced, next: next) }
        let body = UnsafeRawBufferPointer(rebasing: bytes[(offset + headerBytes)..<next])
        return .record(body: body, synced: synced, next: next)
    }

    /// How many sound records there are behind a bad place, and the highest synced position they tell.
    static func searchBehind(
        _ bytes: UnsafeRawBufferPointer, from offset: Int, segment: UInt32, seed: UInt32
    ) -> (count: Int, synced: LogPosition) {
        var count = 0
        var highest = LogPosition.zero
        searchBehind(bytes, from: offset, segment: segment, seed: seed) { synced, _ in
            count += 1
            highest = max(highest, synced)
        }
        return (count, highest)
    }

    /// Looks for sound records behind a bad place, and hands on where each begins and the synced position
    /// that it tells. Cost: a filter of one load for each byte, a checksum where it passes; the zeros
    /// of a preallocated segment are skipped eight at a time.
    ///
    /// Behind the tail of a recycled segment stand the records of its former life, where the filter
    /// passes once in a hundred bytes with a length that means nothing. A checksum over each of those
    /// lengths would make the search quadratic (it took minutes), so that only short records are always
    /// tried, and long ones until `longBytesTried` have gone into those that were none.
    static func searchBehind(
        _ bytes: UnsafeRawBufferPointer, from offset: Int, segment: UInt32, seed: UInt32,
        _ found: (_ synced: LogPosition, _ offset: Int) -> Void
    ) {
        var position = offset
        var longBytes = longBytesTried
        // Sixteen zeros are no record, unless this segment's seed happens to give them that checksum.
        let zeros = [UInt8](repeating: 0, count: headerBytes)
        let zerosAreNothing = zeros.withUnsafeBytes {
            CRC32C.checksum(UnsafeRawBufferPointer(rebasing: $0[4...]), seed: seed) != 0
        }
        let filter = SegmentFilter(segment)
        while bytes.count - position >= headerBytes {
            position = filter.skip(bytes, from: position)
            guard bytes.count - position >= headerBytes else { return }
            let synced = UInt64(
                littleEndian: bytes.loadUnaligned(fromByteOffset: position + 8, as: UInt64.self))
            // Of this segment or one of the 63 before it, or nothing: most bytes end here. There is no
            // segment 0.
            let told = UInt32(truncatingIfNeeded: synced >> 32)
            guard told != 0 && segment &- told < 64 || synced == 0 else {
                position += 1
                continue
            }
            if zerosAreNothing, synced == 0 {
                let skipped = countZeros(bytes, from: position)
                if skipped >= headerBytes {
                    // The first record behind may begin with zeros itself.
                    position += skipped - (headerBytes - 1)
                    continue
                }
            }
            let length = Int(
                UInt32(
                    littleEndian: bytes.loadUnaligned(
                        fromByteOffset: position + 4, as: UInt32.self)))
            if length <= shortBytes || length <= longBytes {
                switch read(bytes, at: position, seed: seed) {
                case .record(_, let synced, let next), .end(let synced, let next):
                    found(synced, position)
                    position = next
                    continue
                case .nothing:
                    if length > shortBytes, length <= bytes.count - position - headerBytes {
                        longBytes -= length
                    }
                }
            }
            position += 1
        }
    }

    /// Passes eight places at once where none can be a record: the upper two bytes of the segment that a record
    /// tells are those of its own segment, or zero.
    private struct SegmentFilter {
        private static let ones: UInt64 = 0x0101_0101_0101_0101
        private let third: UInt64
        private let fourth: UInt64
        /// All segments that may be told have the same upper bytes.
        private let isUsable: Bool

        init(_ segment: UInt32) {
            third = UInt64(segment >> 16 & 0xFF) &* Self.ones
            fourth = UInt64(segment >> 24) &* Self.ones
            isUsable = (max(segment, 63) - 63) >> 16 == segment >> 16
        }

        @inline(__always)
        func skip(_ bytes: UnsafeRawBufferPointer, from start: Int) -> Int {
            var position = start
            guard isUsable else { return position }
            while bytes.count - position >= headerBytes + 8 {
                let low = bytes.loadUnaligned(fromByteOffset: position + 14, as: UInt64.self)
                let high = bytes.loadUnaligned(fromByteOffset: position + 15, as: UInt64.self)
                if Self.hasZero(low | high) { break }
                if Self.hasZero((low ^ third) | (high ^ fourth)) { break }
                position += 8
            }
            return position
        }

        @inline(__always)
        private static func hasZero(_ word: UInt64) -> Bool {
            (word &- ones) & ~word & (ones &<< 7) != 0
        }
    }

    /// How many bytes from `offset` on are zero, counted in eights.
    private static func countZeros(_ bytes: UnsafeRawBufferPointer, from offset: Int) -> Int {
        var position = offset
        while bytes.count - position >= 8,
            bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self) == 0
        {
            position += 8
        }
        return position - offset
    }
}
