// A shard's part in keeping the hybrid clock rising over restarts: a small file with a stamp that is
// later than everything that has left this shard.
//
//     step gives stamps --> latest > bound? --> logAppend(bound = latest + 100 ms) --> messages leave
//
// The append stands in the outbox before all that depends on it, like that of the commit log, and is
// not synced: it survives a kill at once, and costs one `pwrite` of 16 bytes in 100 ms of activity, none
// when idle. A power loss may take it; then the bound in the metadata store, committed half a minute
// ahead, stands in (`Node.makeClock`). Why there are two: a clock that begins half a minute ahead of
// its peers gives stamps that they must not take in, and its writes win over later ones of theirs.
//
// **Invariant.** No stamp later than `bound` leaves the shard before a later bound is in the kernel.
// Format: `docs/formats/clock-bound.md`.

internal import Encoding
internal import Environment

/// The file of one shard.
struct ClockBoundFile {
    private static let namePrefix = "clock-"
    private static let byteCount = 12
    /// How far a bound lies ahead of the clock when it is written, in microseconds: less than the
    /// skew that peers accept, so that a life that begins there is heard.
    static let ahead: Int64 = 100_000

    private let name: FileName
    private(set) var bound: Int64 = 0

    /// Makes the file if it is not there. What it says was read by `latestBound` before.
    init(
        of shard: ShardIndex, existing: [FileName], files: any FileSystem
    ) throws(DiskFailure) {
        name = FileName("\(Self.namePrefix)\(shard.value)")
        if !existing.contains(name) { try files.create(name, preallocate: 0) }
    }

    /// Emits the write of a later bound if the clock has reached the present one.
    mutating func keepAhead(of latest: Int64, outbox: Outbox) {
        guard latest > bound else { return }
        bound = latest + Self.ahead
        let start = outbox.bytes.count
        Self.encode(bound, into: outbox.bytes)
        outbox.effects.append(
            .logAppend(name, offset: 0, ByteRange(offset: start, count: Self.byteCount)))
    }

    /// What the files of all shards, of this and former layouts, say. Nil if there are none, or if one
    /// cannot be trusted: it is damaged, or empty because a power loss took its bytes.
    static func latestBound(files: any FileSystem) throws(DiskFailure) -> Int64? {
        var latest: Int64?
        for name in try files.list() where name.text.hasPrefix(namePrefix) {
            let bytes = ByteWriter(capacity: byteCount)
            try files.read(name, at: 0, count: byteCount, into: bytes)
            guard let bound = decode(bytes.bytes) else { return nil }
            latest = max(latest ?? bound, bound)
        }
        return latest
    }

    private static func encode(_ bound: Int64, into writer: ByteWriter) {
        let start = writer.count
        writer.appendLittleEndian(bound)
        let sum = CRC32C.checksum(
            writer[ByteRange(offset: start, count: MemoryLayout<Int64>.size)])
        writer.appendLittleEndian(sum)
    }

    private static func decode(_ bytes: UnsafeRawBufferPointer) -> Int64? {
        guard bytes.count == byteCount else { return nil }
        let sum = CRC32C.checksum(UnsafeRawBufferPointer(rebasing: bytes[..<8]))
        guard bytes.loadUnaligned(fromByteOffset: 8, as: UInt32.self).littleEndian == sum
        else { return nil }
        return bytes.loadUnaligned(as: Int64.self).littleEndian
    }
}
