// Where the sources of a scan stand: SSTables partition by partition, memtables node by node.
//
//     heads:    | token, key | token, key | token, key |   plain bits, compared in one pass
//     cursors:      memtable     SSTable      SSTable      what they stand for
//
// Most tables have partitions of one row, so a cursor reads that shape on the spot: key and row are
// found in place in the block, with no fragment made.

internal import Encoding
internal import Environment
internal import Model

/// A source's next partition, as the merge of a scan compares it.
struct ScanHead: BitwiseCopyable {
    var token: Int64 = .max
    var key = UnsafeRawBufferPointer(start: nil, count: 0)
    var isAtEnd = true
    /// It is one row, and nothing else is said of it.
    var isSingle = false
    /// Of a single one.
    var rowKey = UnsafeRawBufferPointer(start: nil, count: 0)
    var row = UnsafeRawBufferPointer(start: nil, count: 0)

    @inline(__always)
    func isAt(_ token: Int64, _ key: UnsafeRawBufferPointer) -> Bool {
        self.token == token && !isAtEnd && equalBytes(self.key, key)
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

/// Walks over the partitions of an SSTable in a scan. Pooled: `open` begins anew.
final class SSTableKeyCursor {
    @exclusivity(unchecked) private(set) var sstable: SSTable?
    @exclusivity(unchecked) private(set) var blockIndex = 0
    @exclusivity(unchecked) private var from = Int64.min
    @exclusivity(unchecked) private var block: Block?
    /// The block's bytes and how many fragments it has: without a look at the object.
    @exclusivity(unchecked) private var bytes = UnsafeRawBufferPointer(start: nil, count: 0)
    @exclusivity(unchecked) private var count = 0
    /// The current partition's first fragment in its block.
    @exclusivity(unchecked) private(set) var place = 0
    @exclusivity(unchecked) private var continues = false
    /// How many bytes to ask for beyond a block that is missing.
    @exclusivity(unchecked) private var aheadBytes = 0

    // The current partition; valid until `advance`, and while the run lasts.
    @exclusivity(unchecked) private(set) var isAtEnd = true
    @exclusivity(unchecked) private(set) var token = Int64.max
    @exclusivity(unchecked) private(set) var key = UnsafeRawBufferPointer(start: nil, count: 0)
    /// It is one row, and nothing else is said of it.
    @exclusivity(unchecked) private(set) var isSingle = false
    @exclusivity(unchecked) private(set) var rowKey = UnsafeRawBufferPointer(start: nil, count: 0)
    @exclusivity(unchecked) private(set) var row = UnsafeRawBufferPointer(start: nil, count: 0)
    /// Key and row of a single one with their lengths, as they lie in the block and in answers.
    @exclusivity(unchecked) private var keyBytes = UnsafeRawBufferPointer(start: nil, count: 0)
    @exclusivity(unchecked) private var rowBytes = UnsafeRawBufferPointer(start: nil, count: 0)
    /// Nothing in the file is deleted or expires: every row lives, and none has anything to purge.
    @exclusivity(unchecked) private(set) var isPlain = false

    init() {}

    /// Stands before the first partition whose token is at least `from`; `load` goes to it.
    func open(_ sstable: SSTable, from: Int64, aheadBytes: Int) {
        self.sstable = sstable
        self.from = from
        self.aheadBytes = aheadBytes
        isPlain = sstable.metadata.statistics.isPlain
        blockIndex = sstable.metadata.firstBlock(endingAtOrAfter: from)
        leaveBlock()
    }

    func close() {
        sstable = nil
        leaveBlock()
    }

    private func leaveBlock() {
        block = nil
        bytes = UnsafeRawBufferPointer(start: nil, count: 0)
        count = 0
        place = 0
        isAtEnd = true
    }

    var head: ScanHead {
        ScanHead(
            token: token, key: key, isAtEnd: isAtEnd, isSingle: isSingle, rowKey: rowKey, row: row)
    }

    /// The current partition's first fragment, whole.
    func fragment() throws(StorageError) -> Fragment {
        guard let block else { preconditionFailure("a cursor without a block has no partition") }
        return try block.fragment(place)
    }

    /// Goes to the first partition; false if a block is missing.
    func load(_ context: ReadContext) throws(StorageError) -> Bool { try settle(context) }

    /// Goes to the next partition; false if a block is missing.
    @inline(__always)
    func advance(_ context: ReadContext) throws(StorageError) -> Bool {
        if isAtEnd { return true }
        place += 1
        if !continues, place < count, try showSingle() { return true }
        return try advanceSlowly(context)
    }

    /// Appends single partitions of a plain file up to the token `last`, or to a limit, or to one of
    /// another shape; `passed` is the last of them. False if a block is missing. Two copies for each: they
    /// lie in an answer as they lie here, but for the token and a length.
    func appendPlain(
        through last: Int64, limits: inout PartitionReader.Limits, into output: ByteWriter,
        passed: inout (token: Int64, key: UnsafeRawBufferPointer)?, _ context: ReadContext
    ) throws(StorageError) -> Bool {
        while !isAtEnd, isSingle, token <= last, limits.rows > 0,
            output.count < limits.endOfBytes
        {
            output.reserve(keyBytes.count + rowBytes.count + 24)
            output.appendLittleEndian(token)
            output.append(keyBytes)
            output.appendVarint(UInt64(1 + rowBytes.count))
            output.append(0)
            output.append(rowBytes)
            limits.rows -= 1
            passed = (token, key)
            if try !advance(context) { return false }
        }
        return true
    }

    @inline(never)
    private func advanceSlowly(_ context: ReadContext) throws(StorageError) -> Bool {
        if continues, let sstable {
            // The next partition begins in the last block of this one, or behind it.
            let last = sstable.metadata.lastBlock(ofPartitionFrom: blockIndex, token: token)
            let next = max(last, blockIndex + 1)
            leaveBlock()
            blockIndex = next
        }
        return try settle(context)
    }

    private func settle(_ context: ReadContext) throws(StorageError) -> Bool {
        isAtEnd = true
        guard let sstable else { return true }
        while true {
            while place < count {
                if try show() { return true }
                place += 1
            }
            if block != nil {
                leaveBlock()
                blockIndex += 1
            }
            guard blockIndex < sstable.metadata.blocks.count else {
                token = .max
                return true
            }
            guard let next = context.block(sstable, blockIndex) else {
                expectMore(sstable, context)
                return false
            }
            block = next
            bytes = next.bytes
            count = next.count
            place = next.token(0) < from ? next.lowerBound(from) : 0
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

    /// Shows the partition that begins at `place`; false if that is the rest of an earlier one.
    private func show() throws(StorageError) -> Bool {
        if try showSingle() { return true }
        guard let block else { return false }
        let fragment = try block.fragment(place)
        if fragment.flags.contains(.continued) { return false }
        token = block.token(place)
        key = fragment.key
        continues = fragment.flags.contains(.continues)
        isSingle = false
        isAtEnd = false
        return true
    }

    /// Shows the fragment at `place` if it is a partition of one row without anything around it.
    @inline(__always)
    private func showSingle() throws(StorageError) -> Bool {
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
            UnsafeRawBufferPointer(rebasing: bytes[start..<end]), position: 1)
        do throws(MalformedBytes) {
            let key = try reader.readLengthPrefixed()
            let keyEnd = reader.position
            guard try reader.readVarint() == 1, try reader.readVarint() == 0 else { return false }
            let rowStart = reader.position
            rowKey = try reader.readLengthPrefixed()
            row = try reader.readLengthPrefixed()
            self.key = key
            keyBytes = UnsafeRawBufferPointer(rebasing: reader.bytes[1..<keyEnd])
            rowBytes = UnsafeRawBufferPointer(rebasing: reader.bytes[rowStart..<reader.position])
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
