// Where the sources of a scan stand: SSTables partition by partition, memtables node by node.
//
//     heads:    | token, key | token, key | token, key |   plain bits, compared in one pass
//     cursors:      memtable     SSTable      SSTable      what they stand for
//
// Most tables have partitions of one row, so a head reads that shape on the spot: key and row are
// found in place in the block, with no fragment made. A head goes through its block by itself; only behind
// its end, and for partitions of another shape, its cursor is needed.

internal import Encoding
internal import Environment
internal import Model

/// A source's next partition, as the merge of a scan compares it; of a file also where in its block it is.
struct ScanHead: BitwiseCopyable {
    var token: Int64 = .max
    var key = UnsafeRawBufferPointer(start: nil, count: 0)
    var isAtEnd = true
    /// It is one row, and nothing else is said of it.
    var isSingle = false
    /// Of a single one.
    var rowKey = UnsafeRawBufferPointer(start: nil, count: 0)
    var row = UnsafeRawBufferPointer(start: nil, count: 0)

    // Of a file.
    /// Nothing in it is deleted or expires: every row lives, and none has anything to purge.
    var isPlain = false
    /// It has moved behind what it knows by itself: its cursor has to go on.
    var isPending = false
    /// The partition goes on in the next block.
    fileprivate var continues = false
    /// The block's bytes and how many fragments it has.
    fileprivate var bytes = UnsafeRawBufferPointer(start: nil, count: 0)
    fileprivate var count = 0
    /// The partition's first fragment in the block.
    fileprivate(set) var place = 0
    /// A single one as it lies in the block from its key's length on, and where in it the key ends.
    fileprivate var single = UnsafeRawBufferPointer(start: nil, count: 0)
    fileprivate var keyEnd = 0

    @inline(__always)
    func isAt(_ token: Int64, _ key: UnsafeRawBufferPointer) -> Bool {
        self.token == token && !isAtEnd && equalBytes(self.key, key)
    }

    /// Goes to the next partition if it is a single one in the same block; else it is pending.
    @inline(__always)
    mutating func advance() {
        place += 1
        if continues || place >= count || !showSingle() { isPending = true }
    }

    /// Appends the single partition to an answer. There its bytes stand as here, but for the token before
    /// them and the length of its rows, which stands where the number of the rows is here: mostly one byte
    /// for one, so that all is one copy.
    @inline(__always)
    func append(into output: ByteWriter) {
        guard let source = single.baseAddress else { return }
        // Behind the key: the number of rows, how much their keys share, and the row.
        let rows = single.count - keyEnd - 1
        output.reserve(single.count + 24)
        output.appendLittleEndian(token)
        if rows < 0x80 {
            output.append(single)
            output.overwriteLittleEndian(at: output.count - rows - 1, UInt8(rows))
        } else {
            output.append(UnsafeRawBufferPointer(start: source, count: keyEnd))
            output.appendVarint(UInt64(rows))
            output.append(UnsafeRawBufferPointer(start: source + keyEnd + 1, count: rows))
        }
    }

    /// Shows the fragment at `place` if it is a partition of one row without anything around it.
    @inline(__always)
    fileprivate mutating func showSingle() -> Bool {
        // `Block.decode` has seen that tokens and offsets lie inside the block.
        let offsets = 4 + count * 8
        let start = Int(
            UInt32(
                littleEndian: bytes.loadUnaligned(
                    fromByteOffset: offsets + place * 4, as: UInt32.self)))
        let end =
            place + 1 < count
            ? Int(
                UInt32(
                    littleEndian: bytes.loadUnaligned(
                        fromByteOffset: offsets + place * 4 + 4, as: UInt32.self)))
            : bytes.count
        // What is out of shape is told by the general way.
        guard start >= offsets + count * 4, start < end, end <= bytes.count, bytes[start] == 0
        else { return false }
        var reader = ByteReader(
            UnsafeRawBufferPointer(rebasing: bytes[start + 1..<end]), position: 0)
        do throws(MalformedBytes) {
            let key = try reader.readLengthPrefixed()
            let keyEnd = reader.position
            guard try reader.readUInt8() == 1, try reader.readUInt8() == 0 else { return false }
            rowKey = try reader.readLengthPrefixed()
            row = try reader.readLengthPrefixed()
            self.key = key
            self.keyEnd = keyEnd
            single = UnsafeRawBufferPointer(rebasing: reader.bytes[0..<reader.position])
        } catch {
            return false
        }
        token = Int64(
            littleEndian: bytes.loadUnaligned(fromByteOffset: 4 + place * 8, as: Int64.self))
        continues = false
        isSingle = true
        isAtEnd = false
        return true
    }
}

/// The heads of a scan's sources, side by side. Pooled: the memory stays for the next scan, and `places` is
/// looked at without counting a reference.
final class ScanHeads {
    @exclusivity(unchecked) private var memory = UnsafeMutableBufferPointer<ScanHead>(
        start: nil, count: 0)
    @exclusivity(unchecked) private(set) var places = UnsafeMutableBufferPointer<ScanHead>(
        start: nil, count: 0)

    deinit { memory.deallocate() }

    /// Room for so many, all at their end.
    func resize(to count: Int) {
        if memory.count < count {
            memory.deallocate()
            memory = .allocate(capacity: max(16, count))
        }
        places = UnsafeMutableBufferPointer(start: memory.baseAddress, count: count)
        places.initialize(repeating: ScanHead())
    }
}

/// A memtable's next partition in a scan.
struct MemtableHead {
    let memtable: Memtable
    private var cursor: PartitionDirectory.Cursor
    private(set) var node: PartitionNode?

    init(_ memtable: Memtable, from token: Int64) {
        self.memtable = memtable
        cursor = memtable.cursor(from: token)
    }

    mutating func advance() { node = cursor.next() }

    var head: ScanHead {
        guard let node else { return ScanHead() }
        var head = ScanHead(token: node.token, key: node.key, isAtEnd: false)
        if let record = node.plainRecord {
            head.isSingle = true
            head.rowKey = record.key
            head.row = record.row
        }
        return head
    }
}

/// Walks over the partitions of an SSTable in a scan, beyond what its head does by itself. Pooled: `open` begins
/// anew.
final class SSTableKeyCursor {
    @exclusivity(unchecked) private(set) var sstable: SSTable?
    @exclusivity(unchecked) private(set) var blockIndex = 0
    @exclusivity(unchecked) private var from = Int64.min
    @exclusivity(unchecked) private var block: Block?
    /// How many bytes to ask for beyond a block that is missing.
    @exclusivity(unchecked) private var aheadBytes = 0

    init() {}

    /// Stands before the first partition whose token is at least `from`; `load` goes to it.
    func open(_ sstable: SSTable, from: Int64, aheadBytes: Int) {
        self.sstable = sstable
        self.from = from
        self.aheadBytes = aheadBytes
        blockIndex = sstable.metadata.blocks.firstBlock(endingAtOrAfter: from)
        block = nil
    }

    func close() {
        sstable = nil
        block = nil
    }

    /// The head's current partition: its first fragment, whole.
    func fragment(_ head: ScanHead) throws(StorageError) -> Fragment {
        guard let block else { preconditionFailure("a cursor without a block has no partition") }
        return try block.fragment(head.place)
    }

    /// Goes to the first partition; false if a block is missing.
    func load(_ head: inout ScanHead, _ context: ReadContext) throws(StorageError) -> Bool {
        head = ScanHead()
        head.isPlain = sstable?.metadata.statistics.isPlain ?? false
        return try settle(&head, context)
    }

    /// Goes to the next partition; false if a block is missing.
    func advance(_ head: inout ScanHead, _ context: ReadContext) throws(StorageError) -> Bool {
        if head.isAtEnd { return true }
        head.advance()
        guard head.isPending else { return true }
        return try goOn(&head, context)
    }

    /// Takes a pending head to its partition; false if a block is missing.
    func goOn(_ head: inout ScanHead, _ context: ReadContext) throws(StorageError) -> Bool {
        head.isPending = false
        if head.continues, let sstable {
            // The next partition begins in the last block of this one, or behind it.
            let last = sstable.metadata.blocks.lastBlock(
                ofPartitionFrom: blockIndex, token: head.token)
            leaveBlock(&head, for: max(last, blockIndex + 1))
        }
        return try settle(&head, context)
    }

    private func leaveBlock(_ head: inout ScanHead, for next: Int) {
        block = nil
        blockIndex = next
        head.bytes = UnsafeRawBufferPointer(start: nil, count: 0)
        head.count = 0
        head.place = 0
    }

    private func settle(_ head: inout ScanHead, _ context: ReadContext) throws(StorageError) -> Bool
    {
        head.isAtEnd = true
        head.isSingle = false
        guard let sstable else { return true }
        while true {
            while head.place < head.count {
                if try show(&head) { return true }
                head.place += 1
            }
            if block != nil { leaveBlock(&head, for: blockIndex + 1) }
            guard blockIndex < sstable.metadata.blocks.count else {
                head.token = .max
                return true
            }
            guard let next = context.block(sstable, blockIndex) else {
                expectMore(sstable, context)
                return false
            }
            block = next
            head.bytes = next.bytes
            head.count = next.count
            head.place = next.token(0) < from ? next.lowerBound(from) : 0
        }
    }

    /// Asks for what follows the missing block too.
    private func expectMore(_ sstable: SSTable, _ context: ReadContext) {
        let blocks = sstable.metadata.blocks
        var left = max(aheadBytes, context.readAhead * blocks[blockIndex].length)
        var index = blockIndex + 1
        while index < blocks.count, left >= blocks[index].length {
            context.expect(sstable, index)
            left -= blocks[index].length
            index += 1
        }
    }

    /// Shows the partition that begins at the head's place; false if that is the rest of an earlier one.
    private func show(_ head: inout ScanHead) throws(StorageError) -> Bool {
        if head.showSingle() { return true }
        guard let block else { return false }
        let fragment = try block.fragment(head.place)
        if fragment.flags.contains(.continued) { return false }
        head.token = block.token(head.place)
        head.key = fragment.key
        head.continues = fragment.flags.contains(.continues)
        head.isSingle = false
        head.isAtEnd = false
        return true
    }
}
