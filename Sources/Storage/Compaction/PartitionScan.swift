// The sources of a flush or a compaction: whole memtables and whole SSTables, in order.
//
// Most partitions of most tables are a single row and nothing else. Such a one is offered as it lies in
// the source (`single`), without a walk over its rows: key and row are pointers into the memtable or the
// block, valid until the next partition. Whoever wants it as any other calls `openRows`.
//
// Cost for each single partition: one virtual call; of a memtable two cache misses that a prefetch some
// partitions earlier has begun, of an SSTable a walk over six lengths.

internal import Encoding
internal import Environment
internal import Model

/// Walks over all partitions of one source. The current partition is valid until `nextPartition`.
class PartitionScan {
    @exclusivity(unchecked) final var token: Int64 = 0
    @exclusivity(unchecked) final var key = UnsafeRawBufferPointer(start: nil, count: 0)
    /// Of a partition that is not single; nor are the static row and `rows`.
    final var deletion = Deletion.none
    final var staticRow = UnsafeRawBufferPointer(start: nil, count: 0)
    @exclusivity(unchecked) final var isAtEnd = false
    /// The partition is one row and nothing else.
    @exclusivity(unchecked) final var single: SingleRow?
    /// The rows of the current partition, forwards, from the first one.
    final let rows: RowSource
    /// Bytes read from the disk so far.
    var bytesRead: Int { 0 }
    /// Read buffer and block; 0 for a memtable, which counts by itself.
    var memoryBytes: Int { 0 }
    /// Nothing in the source is deleted or expires: there is nothing to purge.
    final let isPlain: Bool
    /// How many there are in the source.
    final let partitions: Int
    /// Blocks of its file; 0 for a memtable.
    final let blocks: Int

    init(rows: RowSource, isPlain: Bool, partitions: Int, blocks: Int = 0) {
        self.rows = rows
        self.isPlain = isPlain
        self.partitions = partitions
        self.blocks = blocks
    }

    /// Tells where to read from in this step.
    func setFiles(_ files: any FileSystem) {}

    /// Goes to the next partition; the rows of one that is not single must have been read to their end.
    func nextPartition(_ files: any FileSystem) throws(StorageError) {
        preconditionFailure("abstract")
    }

    /// Makes a single partition one like the others.
    func openRows() throws(StorageError) { preconditionFailure("abstract") }
}

/// The only row of a partition without deletions and static row, where it lies.
struct SingleRow: BitwiseCopyable {
    var key: UnsafeRawBufferPointer
    var row: UnsafeRawBufferPointer
}

/// A frozen memtable as a source.
final class MemtableScan: PartitionScan {
    private let memtable: Memtable
    private var cursor: PartitionDirectory.Cursor
    private let source = MemtableRowSource()
    private var node: PartitionNode?
    private let offersSingles: Bool

    init(_ memtable: Memtable, slice: ClosedRange<Int64>, offersSingles: Bool = false) {
        precondition(memtable.isFrozen)
        self.offersSingles = offersSingles
        self.memtable = memtable
        cursor = memtable.cursor(from: slice.lowerBound)
        super.init(
            rows: source, isPlain: memtable.isPlain, partitions: memtable.partitionCount)
    }

    override func nextPartition(_ files: any FileSystem) throws(StorageError) {
        guard let node = cursor.next(ahead: Self.ahead) else {
            isAtEnd = true
            return
        }
        token = node.token
        key = node.key
        if offersSingles, let record = node.plainRecord {
            single = SingleRow(key: record.key, row: record.row)
            self.node = node
            return
        }
        try open(node)
    }

    /// How many partitions before its turn a node is prefetched.
    private static let ahead = 4

    override func openRows() throws(StorageError) {
        guard single != nil, let node else { return }
        try open(node)
    }

    private func open(_ node: PartitionNode) throws(StorageError) {
        single = nil
        deletion = node.deletion
        source.open(node, in: memtable)
        staticRow = try source.staticRow() ?? UnsafeRawBufferPointer(start: nil, count: 0)
        try source.seek(lower: nil, upper: nil, reversed: false)
    }
}

/// An SSTable as a source: its blocks are read in order, several at a time.
final class SSTableScan: PartitionScan {
    private let slice: ClosedRange<Int64>
    private let source: SSTableScanRows
    private let keyCopy = ByteWriter(capacity: 64)
    private let staticCopy = ByteWriter(capacity: 64)
    private let offersSingles: Bool

    /// Partitions outside `slice` are passed over: they belong to another shard.
    init(_ metadata: SSTableMetadata, slice: ClosedRange<Int64>, offersSingles: Bool = false) {
        self.slice = slice
        self.offersSingles = offersSingles
        source = SSTableScanRows(metadata, from: slice.lowerBound)
        super.init(
            rows: source, isPlain: metadata.statistics.isPlain,
            partitions: metadata.statistics.partitions, blocks: metadata.blocks.count)
    }

    override var bytesRead: Int { source.bytesRead }
    override var memoryBytes: Int { source.memoryBytes }

    override func setFiles(_ files: any FileSystem) { source.files = files }

    override func nextPartition(_ files: any FileSystem) throws(StorageError) {
        while true {
            if offersSingles, let (token, key, row) = try source.nextSingle() {
                if token < slice.lowerBound { continue }
                isAtEnd = token > slice.upperBound
                self.token = token
                self.key = key
                single = row
                return
            }
            guard let (token, fragment) = try source.beginPartition(), token <= slice.upperBound
            else {
                isAtEnd = true
                return
            }
            take(token, fragment)
            if token < slice.lowerBound {
                while source.state == .row { try source.advance() }
                continue
            }
            return
        }
    }

    private func take(_ token: Int64, _ fragment: Fragment) {
        // The fragment's block goes away as its rows are read.
        keyCopy.removeAll()
        keyCopy.append(fragment.key)
        staticCopy.removeAll()
        staticCopy.append(fragment.staticRow)
        self.token = token
        key = keyCopy.bytes
        single = nil
        deletion = fragment.deletion
        staticRow = staticCopy.bytes
    }

    override func openRows() throws(StorageError) {
        guard single != nil else { return }
        source.stepBack()
        guard let (token, fragment) = try source.beginPartition() else {
            preconditionFailure("a single partition went away")
        }
        take(token, fragment)
    }
}

/// The rows of an SSTable's current partition; moves over its blocks as they are needed.
final class SSTableScanRows: RowSource {
    var files: (any FileSystem)?
    private(set) var bytesRead = 0
    private let metadata: SSTableMetadata
    private var blockIndex: Int
    @exclusivity(unchecked) private var fragmentIndex = 0
    @exclusivity(unchecked) private var block: Block?
    private var fragment: Fragment?
    private let cursor = FragmentCursor()
    private let buffer = ByteWriter(capacity: 1 << 17)
    var memoryBytes: Int { buffer.heldBytes + (block?.bytes.count ?? 0) }
    /// The first byte of the buffer in the file.
    private var bufferOffset = 0
    private static let readBytes = 1 << 17
    /// Read at once; what is only looked up here and there begins with less.
    private var readBytes: Int
    private let isSparse: Bool
    /// Of the partition that was found last: its head lies there.
    private var headBlock: Block?

    /// `isSparse`: partitions are looked up with `find` instead of walked over.
    init(_ metadata: SSTableMetadata, from token: Int64, isSparse: Bool = false) {
        self.metadata = metadata
        self.isSparse = isSparse
        readBytes = isSparse ? 0 : Self.readBytes
        blockIndex = metadata.blocks.firstBlock(endingAtOrAfter: token)
        // A first block that begins inside a partition: begin where the partition does.
        if blockIndex < metadata.blocks.count {
            blockIndex = metadata.blocks.startBlock(blockIndex)
        }
    }

    private func loadBlock() throws(StorageError) -> Block? {
        if let block { return block }
        guard blockIndex < metadata.blocks.count else { return nil }
        let entry = metadata.blocks[blockIndex]
        let isBuffered =
            entry.offset >= bufferOffset
            && entry.offset + entry.length <= bufferOffset + buffer.count
        if !isBuffered {
            guard let files else { preconditionFailure("scan without files") }
            if isSparse {
                // As much again if it goes on where the last read ended, else the block alone.
                let isNext = buffer.count > 0 && entry.offset == bufferOffset + buffer.count
                readBytes = isNext ? min(max(readBytes, entry.length) * 2, Self.readBytes) : 0
            }
            buffer.removeAll()
            bufferOffset = entry.offset
            let end = metadata.blocks[metadata.blocks.count - 1]
            let count = min(
                max(entry.length, readBytes), end.offset + end.length - entry.offset)
            try storing { () throws(DiskFailure) in
                try files.read(metadata.file, at: entry.offset, count: count, into: buffer)
            }
            bytesRead += buffer.count
            guard buffer.count >= entry.length else {
                throw .corruption(
                    CorruptionError(
                        file: metadata.file, offset: entry.offset, detail: "file ends early"))
            }
        }
        let stored = buffer[
            ByteRange(offset: entry.offset - bufferOffset, count: entry.length)]
        let loaded = try Block.decode(stored, entry, metadata)
        block = loaded
        fragmentIndex = 0
        return loaded
    }

    /// The next partition if it is single; else nil, and nothing happened.
    func nextSingle() throws(StorageError)
        -> (token: Int64, key: UnsafeRawBufferPointer, row: SingleRow)?
    {
        while let block = try loadBlock() {
            let index = fragmentIndex
            guard index < block.count else {
                self.block = nil
                blockIndex += 1
                continue
            }
            guard let found = try block.single(index) else { return nil }
            fragmentIndex = index + 1
            return (block.token(index), found.key, found.row)
        }
        return nil
    }

    /// Takes back the single partition that was given last.
    func stepBack() {
        precondition(fragmentIndex > 0 && block != nil)
        fragmentIndex -= 1
    }

    /// The next partition's first fragment, its first row current; nil at the end of the file.
    func beginPartition() throws(StorageError) -> (token: Int64, fragment: Fragment)? {
        ranges = []
        state = .end
        while let block = try loadBlock() {
            guard fragmentIndex < block.count else {
                self.block = nil
                blockIndex += 1
                continue
            }
            let found = try block.fragment(fragmentIndex)
            let token = block.token(fragmentIndex)
            try open(found, block)
            return (token, found)
        }
        return nil
    }

    /// Goes to a partition, its first row current; nil if it is not in the file. What is returned is valid
    /// until the next call. Tokens must not fall from call to call. Cost: a search in the index, and the block.
    func find(
        token: Int64, key: UnsafeRawBufferPointer
    ) throws(StorageError) -> Fragment? {
        ranges = []
        state = .end
        fragment = nil
        let first = metadata.blocks.firstBlock(endingAtOrAfter: token)
        if first != blockIndex {
            block = nil
            blockIndex = first
        }
        while let block = try loadBlock() {
            fragmentIndex = block.lowerBound(token)
            while fragmentIndex < block.count, block.token(fragmentIndex) == token {
                let found = try block.fragment(fragmentIndex)
                if !found.flags.contains(.continued), equalBytes(found.key, key) {
                    headBlock = block
                    try open(found, block)
                    return found
                }
                fragmentIndex += 1
            }
            // Other keys of that token may go on behind the block.
            guard fragmentIndex == block.count else { return nil }
            self.block = nil
            blockIndex += 1
        }
        return nil
    }

    private func open(_ found: Fragment, _ block: Block) throws(StorageError) {
        fragment = found
        do throws(MalformedBytes) {
            if found.flags.contains(.hasRanges) {
                ranges = RangeTombstones.merged(ranges, try found.ranges)
            }
            try cursor.seekForward(found, nil)
        } catch {
            throw block.damaged(error)
        }
        try settle()
    }

    override func seek(
        lower: [UInt8]?, upper: [UInt8]?, reversed: Bool
    ) throws(StorageError) {
        preconditionFailure("a scan goes forwards only")
    }

    override func advance() throws(StorageError) {
        guard let block else { return }
        do throws(MalformedBytes) { try cursor.next() } catch { throw block.damaged(error) }
        try settle()
    }

    private func settle() throws(StorageError) {
        guard cursor.isAtEnd else {
            key = cursor.key
            row = cursor.row
            state = .row
            return
        }
        state = .end
        guard let fragment else { return }
        guard fragment.flags.contains(.continues) else {
            fragmentIndex += 1
            self.fragment = nil
            return
        }
        block = nil
        blockIndex += 1
        guard let next = try loadBlock() else {
            throw .corruption(
                CorruptionError(
                    file: metadata.file, offset: metadata.bytes, detail: "partition without an end")
            )
        }
        let found = try next.fragment(0)
        guard found.flags.contains(.continued) else {
            throw next.damaged(MalformedBytes("partition does not go on here", offset: 0))
        }
        try open(found, next)
    }
}
