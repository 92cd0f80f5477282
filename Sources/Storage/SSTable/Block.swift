// One block of an SSTable, decompressed and checked, and the fragments of partitions in it.
//
//     stored := method u8 (0 plain, 1 LZ4, 2 Zstd) | plain length u32 | payload | crc u32
//     block  := count u32 | tokens i64 x count | offsets u32 x count | fragments
//
//     fragment := flags u8 | key length varint, key
//                 [deletion timestamp i64, local u32]  0x04   (first fragment of a partition only)
//                 [static length varint, row]          0x08   (first fragment of a partition only)
//                 [ranges: as in a partition]          0x10   clipped to the fragment's stretch
//                 row count varint
//                 [restart offsets u32]                for every 16th row but the first
//                 (shared varint | suffix length varint, suffix | row length varint, row)*
//
// Flags 0x01: the partition began in an earlier block; 0x02: it goes on in the next block.
// Inside a fragment a row's key shares its first `shared` bytes with the key before; at a restart
// nothing is shared. A partition over several blocks is cut into stretches of clustering keys, each
// with the range deletions that lie in it, so that a slice needs only its own blocks.

internal import Encoding
internal import Environment
internal import Model

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Flags of a fragment.
struct FragmentFlags: OptionSet {
    let rawValue: UInt8
    static let continued = FragmentFlags(rawValue: 0x01)
    static let continues = FragmentFlags(rawValue: 0x02)
    static let hasDeletion = FragmentFlags(rawValue: 0x04)
    static let hasStatic = FragmentFlags(rawValue: 0x08)
    static let hasRanges = FragmentFlags(rawValue: 0x10)
    /// Not all of the partition is in this fragment.
    static let partial = FragmentFlags(rawValue: 0x03)
    static let known = FragmentFlags(rawValue: 0x1F)
}

/// Rows between two restarts.
let rowsPerRestart = 16

/// A decompressed block. Immutable; owned by the cache and by the reads that hold it.
final class Block {
    private let memory: UnsafeMutableRawPointer
    /// What is in it, valid as long as the block.
    let view: BlockView
    var bytes: UnsafeRawBufferPointer { view.bytes }
    var count: Int { view.count }
    /// Where it came from, for error messages.
    let file: FileName
    let fileOffset: Int

    private init(
        memory: UnsafeMutableRawPointer, length: Int, count: Int, file: FileName, fileOffset: Int
    ) {
        self.memory = memory
        view = BlockView(
            bytes: UnsafeRawBufferPointer(start: memory, count: length), count: count)
        self.file = file
        self.fileOffset = fileOffset
    }

    /// Nothing will take its memory soon: it is not kept by the allocator when the block goes.
    var givesPagesBack = false

    deinit {
        if givesPagesBack { Self.givePagesBack(memory, view.bytes.count) }
        free(memory)
    }

    /// Blocks larger than this are not believed.
    static let maximumPlainBytes = 1 << 30

    /// Checks and decompresses a stored block. `isFresh`: its memory is likely to be new to the process.
    static func decode(
        _ stored: UnsafeRawBufferPointer, _ entry: BlockEntry, _ metadata: SSTableMetadata,
        isFresh: Bool = false
    ) throws(StorageError) -> Block {
        func damaged(_ detail: String) -> StorageError {
            .corruption(
                CorruptionError(file: metadata.file, offset: entry.offset, detail: detail))
        }
        guard stored.count == entry.length, stored.count >= 9 else {
            throw damaged("block of \(stored.count) bytes where the index says \(entry.length)")
        }
        let covered = UnsafeRawBufferPointer(rebasing: stored[0..<(stored.count - 4)])
        let expected = UInt32(
            littleEndian: stored.loadUnaligned(
                fromByteOffset: stored.count - 4, as: UInt32.self))
        let seed = SSTableMetadata.seed(identity: metadata.identity, offset: entry.offset)
        let found = CRC32C.checksum(covered, seed: seed)
        guard found == expected else {
            throw damaged("block checksum: expected \(expected), found \(found)")
        }
        let length = Int(
            UInt32(littleEndian: stored.loadUnaligned(fromByteOffset: 1, as: UInt32.self)))
        let payload = UnsafeRawBufferPointer(rebasing: stored[5..<(stored.count - 4)])
        guard let method = BlockMethod(rawValue: stored[0]) else {
            throw damaged("block of the unknown method \(stored[0])")
        }
        // No more memory is taken than the payload can fill.
        guard length >= 4, length <= maximumPlainBytes,
            length / method.largestRatio <= payload.count, let memory = malloc(length)
        else { throw damaged("block of \(length) plain bytes") }
        if isFresh { makePresent(memory, length) }
        let isWhole = method.decompress(
            payload, into: UnsafeMutableRawBufferPointer(start: memory, count: length))
        let count = Int(UInt32(littleEndian: memory.load(as: UInt32.self)))
        guard isWhole, count > 0, count <= (length - 4) / 12 else {
            free(memory)
            throw damaged("block does not decompress")
        }
        return Block(
            memory: memory, length: length, count: count, file: metadata.file,
            fileOffset: entry.offset)
    }

    /// Has the kernel make the pages of new memory present with one call: each by itself, when it is first
    /// touched, costs nearly twice as much.
    private static func makePresent(_ memory: UnsafeMutableRawPointer, _ count: Int) {
        #if os(Linux)
            let page = 4_095
            let start = UInt(bitPattern: memory) & ~UInt(page)
            let end = (UInt(bitPattern: memory) + UInt(count) + UInt(page)) & ~UInt(page)
            guard let base = UnsafeMutableRawPointer(bitPattern: start) else { return }
            // MADV_POPULATE_WRITE, which older headers do not have; where it fails they come one by one.
            _ = madvise(base, Int(end - start), 23)
        #endif
    }

    /// Has the kernel take whole pages of memory that is about to be freed; the allocator's own notes lie
    /// at the ends.
    private static func givePagesBack(_ memory: UnsafeMutableRawPointer, _ count: Int) {
        #if os(Linux)
            let page: UInt = 4_095
            let notes: UInt = 64
            let start = (UInt(bitPattern: memory) + notes + page) & ~page
            let end = (UInt(bitPattern: memory) + UInt(count) - min(UInt(count), notes)) & ~page
            guard start < end, let base = UnsafeMutableRawPointer(bitPattern: start) else { return }
            _ = madvise(base, Int(end - start), Int32(MADV_DONTNEED))
        #endif
    }

    func token(_ index: Int) -> Int64 { view.token(index) }

    func damaged(_ error: MalformedBytes) -> StorageError {
        .corruption(
            CorruptionError(
                file: file, offset: fileOffset,
                detail: "\(error.reason) at byte \(error.offset) of the block"))
    }

    /// Key and row of the fragment of that number if it is a whole partition of one row and nothing
    /// else; nil if it is not, or is damaged: `fragment` says how.
    @inline(__always)
    func single(
        _ index: Int
    ) throws(StorageError) -> (key: UnsafeRawBufferPointer, row: SingleRow)? {
        do throws(MalformedBytes) { return try view.single(index) } catch { throw damaged(error) }
    }

    /// The fragment of that number.
    func fragment(_ index: Int) throws(StorageError) -> Fragment {
        do throws(MalformedBytes) { return try view.fragment(index) } catch { throw damaged(error) }
    }

    /// The first fragment whose token is at least `token`.
    func lowerBound(_ token: Int64) -> Int {
        view.lowerBound(token, span: (view.token(0), view.token(count - 1)))
    }
}

/// A fragment with its head read. A view into its block, of plain bits only: it is copied in scans.
struct Fragment: BitwiseCopyable {
    let flags: FragmentFlags
    let key: UnsafeRawBufferPointer
    let deletion: Deletion
    let staticRow: UnsafeRawBufferPointer
    /// Length and bounds of the range deletions, checked when they are read.
    private let rangeBytes: UnsafeRawBufferPointer
    let rowCount: Int
    /// Restart offsets, unaligned.
    let restarts: UnsafeRawBufferPointer
    let rows: UnsafeRawBufferPointer

    init(_ bytes: UnsafeRawBufferPointer) throws(MalformedBytes) {
        var reader = ByteReader(bytes)
        flags = FragmentFlags(rawValue: try reader.readUInt8())
        guard FragmentFlags.known.isSuperset(of: flags) else {
            throw MalformedBytes("unknown fragment flags \(flags.rawValue)", offset: 0)
        }
        key = try reader.readLengthPrefixed()
        if flags.contains(.hasDeletion) {
            let timestamp = try reader.readLittleEndian(Int64.self)
            deletion = Deletion(
                timestamp: timestamp, localDeletionTime: try reader.readLittleEndian())
        } else {
            deletion = .none
        }
        staticRow =
            flags.contains(.hasStatic)
            ? try reader.readLengthPrefixed() : UnsafeRawBufferPointer(start: nil, count: 0)
        let start = reader.position
        if flags.contains(.hasRanges) {
            for _ in 0..<(try reader.readCount()) {
                _ = try reader.readLengthPrefixed()
                _ = try reader.readLengthPrefixed()
                try reader.skip(12)
            }
        }
        rangeBytes = UnsafeRawBufferPointer(rebasing: bytes[start..<reader.position])
        rowCount = try reader.readCount()
        restarts = try reader.readBytes(
            rowCount > rowsPerRestart ? (rowCount - 1) / rowsPerRestart * 4 : 0)
        rows = try reader.readBytes(reader.remaining)
    }

    /// The range deletions of the fragment's stretch.
    var ranges: [RangeTombstone] {
        get throws(MalformedBytes) {
            if rangeBytes.isEmpty { return [] }
            var reader = ByteReader(rangeBytes)
            var ranges: [RangeTombstone] = []
            for _ in 0..<(try reader.readCount()) {
                let start = [UInt8](try reader.readLengthPrefixed())
                let end = [UInt8](try reader.readLengthPrefixed())
                let timestamp = try reader.readLittleEndian(Int64.self)
                let local = try reader.readLittleEndian(UInt32.self)
                guard compareBytes(start, end) < 0, compareBytes(ranges.last?.end ?? [], start) <= 0
                else { throw MalformedBytes("range deletions overlap", offset: reader.position) }
                ranges.append(
                    RangeTombstone(
                        start: start, end: end,
                        deletion: Deletion(timestamp: timestamp, localDeletionTime: local)))
            }
            return ranges
        }
    }

    /// The row, if the whole partition is one.
    var onlyRow: (key: UnsafeRawBufferPointer, row: UnsafeRawBufferPointer)? {
        @inline(__always) get throws(MalformedBytes) {
            guard rowCount == 1, flags.isDisjoint(with: .partial) else {
                return nil
            }
            var reader = ByteReader(rows)
            guard try reader.readVarint() == 0 else {
                throw MalformedBytes("first row shares bytes", offset: 0)
            }
            let key = try reader.readLengthPrefixed()
            return (key, try reader.readLengthPrefixed())
        }
    }

    /// Groups of rows between restarts.
    var groups: Int { (rowCount + rowsPerRestart - 1) / rowsPerRestart }

    /// Where a group's rows begin.
    func groupOffset(_ group: Int) throws(MalformedBytes) -> Int {
        if group == 0 { return 0 }
        let offset = Int(
            UInt32(
                littleEndian: restarts.loadUnaligned(
                    fromByteOffset: (group - 1) * 4, as: UInt32.self)))
        guard offset <= rows.count else { throw MalformedBytes("restart offset", offset: offset) }
        return offset
    }

    /// The first key of a group, not copied.
    func groupKey(_ group: Int) throws(MalformedBytes) -> UnsafeRawBufferPointer {
        var reader = ByteReader(rows, position: try groupOffset(group))
        guard try reader.readVarint() == 0 else {
            throw MalformedBytes("restart shares bytes", offset: reader.position)
        }
        return try reader.readLengthPrefixed()
    }
}

/// Walks over the rows of a fragment, forwards or backwards. Reusable: `open` begins anew.
final class FragmentCursor {
    @exclusivity(unchecked) private(set) var key = UnsafeRawBufferPointer(start: nil, count: 0)
    @exclusivity(unchecked) private(set) var row = UnsafeRawBufferPointer(start: nil, count: 0)
    @exclusivity(unchecked) private(set) var isAtEnd = true
    @exclusivity(unchecked) private var fragment: Fragment?
    @exclusivity(unchecked) private var offset = 0
    @exclusivity(unchecked) private var index = 0
    private let keyBytes = ByteWriter(capacity: 64)
    // Backwards: the rows of one group, decoded.
    private var group = 0
    private var groupRows: [(key: ByteRange, row: UnsafeRawBufferPointer)] = []

    init() {}

    func close() {
        fragment = nil
        isAtEnd = true
    }

    /// Goes to the first row at or after `lower`.
    func seekForward(_ fragment: Fragment, _ lower: [UInt8]?) throws(MalformedBytes) {
        self.fragment = fragment
        keyBytes.removeAll()
        let start =
            try lower.map { (lower) throws(MalformedBytes) in
                try lastGroup(fragment, before: lower)
            } ?? 0
        offset = try fragment.groupOffset(start)
        index = start * rowsPerRestart
        try next()
        if let lower {
            while !isAtEnd, compare(key, lower) < 0 { try next() }
        }
    }

    /// The last group whose first key is below `bound`, or the first.
    private func lastGroup(
        _ fragment: Fragment, before bound: [UInt8]
    ) throws(MalformedBytes) -> Int {
        var low = 1
        var high = fragment.groups
        while low < high {
            let middle = (low + high) >> 1
            if compare(try fragment.groupKey(middle), bound) < 0 {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return low - 1
    }

    func next() throws(MalformedBytes) {
        guard let fragment, index < fragment.rowCount else {
            isAtEnd = true
            return
        }
        var reader = ByteReader(fragment.rows, position: offset)
        try readKey(&reader)
        row = try reader.readLengthPrefixed()
        key = keyBytes.bytes
        offset = reader.position
        index += 1
        isAtEnd = false
    }

    private func readKey(_ reader: inout ByteReader) throws(MalformedBytes) {
        let shared = Int(clamping: try reader.readVarint())
        let suffix = try reader.readLengthPrefixed()
        guard shared <= keyBytes.count else {
            throw MalformedBytes("key shares \(shared) bytes", offset: reader.position)
        }
        keyBytes.truncate(to: shared)
        keyBytes.append(suffix)
    }

    /// Goes to the last row before `upper`.
    func seekBackward(_ fragment: Fragment, _ upper: [UInt8]?) throws(MalformedBytes) {
        self.fragment = fragment
        guard fragment.rowCount > 0 else {
            isAtEnd = true
            return
        }
        group =
            try upper.map { (upper) throws(MalformedBytes) in
                try lastGroup(fragment, before: upper)
            } ?? fragment.groups - 1
        try loadGroup()
        index = groupRows.count
        repeat { try previous() } while !isAtEnd && isPast(upper)
    }

    private func isPast(_ upper: [UInt8]?) -> Bool {
        guard let upper else { return false }
        return compare(key, upper) >= 0
    }

    func previous() throws(MalformedBytes) {
        if index == 0 {
            guard group > 0, fragment != nil else {
                isAtEnd = true
                return
            }
            group -= 1
            try loadGroup()
            index = groupRows.count
        }
        index -= 1
        let found = groupRows[index]
        key = keyBytes[found.key]
        row = found.row
        isAtEnd = false
    }

    private func loadGroup() throws(MalformedBytes) {
        guard let fragment else { return }
        keyBytes.removeAll()
        groupRows.removeAll(keepingCapacity: true)
        var reader = ByteReader(fragment.rows, position: try fragment.groupOffset(group))
        let count = min(rowsPerRestart, fragment.rowCount - group * rowsPerRestart)
        var last = ByteRange(offset: 0, count: 0)
        for _ in 0..<count {
            let shared = Int(clamping: try reader.readVarint())
            let suffix = try reader.readLengthPrefixed()
            guard shared <= last.count else {
                throw MalformedBytes("key shares \(shared) bytes", offset: reader.position)
            }
            let start = keyBytes.count
            keyBytes.reserve(shared + suffix.count)
            keyBytes.append(keyBytes[ByteRange(offset: last.offset, count: shared)])
            keyBytes.append(suffix)
            last = ByteRange(offset: start, count: keyBytes.count - start)
            groupRows.append((last, try reader.readLengthPrefixed()))
        }
    }
}
