// The cache of decompressed blocks, for all SSTables of a shard, up to a number of bytes.
//
// Replacement is S3-FIFO (Yang, Zhang, Qiu, Yue and Rashmi, "FIFO queues are all you need for cache
// eviction", SOSP 2023): a block enters a small queue, and only if it is found again there does it move
// to the main one. So what a scan brings in passes through a tenth of the cache and leaves the rest
// alone. A block that comes back soon after it left the small queue goes to the main one at once: the
// ghost remembers names of blocks, about as many as the cache has.
//
//     new --> small (a tenth) --found again--> main --not found for a round--> gone
//               |                               ^
//               '--> gone, its name in the ghost -'  (when it is read again)
//
// Memory: the blocks' bytes, what open files hold besides (index and filters, which are always in memory) and
// what jobs work with stay below the limit together.
//
// Hits of scans do not count as found again. Flush and compaction read past the cache altogether.
//
// Cost: finding a block is an index into its SSTable's array, without hashing; a hit raises a count.
// Why not the simpler GCLOCK that was here before: modelled with 200,000 Zipf (0.99) reads of 20,000 blocks
// and a cache of a tenth of them, GCLOCK finds 70.9 % and this 74.3 %; with a scan over all blocks after
// every 20,000 reads, 67.8 % and 74.0 %.

internal import Environment

/// Decompressed blocks. Owned by the engine of one shard.
final class BlockCache {
    private struct Slot {
        let block: Block
        let sstable: SSTable
        let index: Int

        var hits: UInt8 { sstable.cached[index].hits }
    }

    /// A queue of slots in an array. A place whose slot was taken is empty, so that it keeps no block
    /// alive, and the empty ones at the head are cut off now and then.
    private struct Queue {
        private var slots: [Slot?] = []
        private var head = 0
        private(set) var bytes = 0

        var isEmpty: Bool { head == slots.count }
        var count: Int { slots.count - head }

        mutating func append(_ slot: Slot) {
            slots.append(slot)
            bytes += slot.block.bytes.count
        }

        mutating func removeFirst() -> Slot {
            guard let slot = slots[head] else { preconditionFailure("a slot was taken twice") }
            slots[head] = nil
            head += 1
            bytes -= slot.block.bytes.count
            if head >= 64, head * 2 >= slots.count {
                slots.removeFirst(head)
                head = 0
            }
            return slot
        }

        /// Removes the blocks of a file.
        mutating func removeAll(of sstable: SSTable) {
            slots.removeFirst(head)
            head = 0
            slots.removeAll { $0?.sstable === sstable }
            bytes = slots.reduce(0) { $0 + ($1?.block.bytes.count ?? 0) }
        }
    }

    /// Names of blocks that left the small queue, the oldest forgotten first.
    private struct Ghost {
        private var names: Set<BlockKey> = []
        private var order: [BlockKey] = []
        private var head = 0

        mutating func insert(_ name: BlockKey, limit: Int) {
            guard names.insert(name).inserted else { return }
            order.append(name)
            while order.count - head > max(16, limit) {
                names.remove(order[head])
                head += 1
            }
            if head >= 64, head * 2 >= order.count {
                order.removeFirst(head)
                head = 0
            }
        }

        /// Whether the name was there. Its place in the order is given up when its turn comes.
        mutating func remove(_ name: BlockKey) -> Bool { names.remove(name) != nil }
    }

    /// May be changed at any time: `resize`.
    private(set) var limitBytes: Int
    /// What open files hold in memory besides their blocks, and what jobs work with: `reserve`.
    private(set) var reservedBytes = 0
    private var small = Queue()
    private var main = Queue()
    private var ghost = Ghost()
    @exclusivity(unchecked) private(set) var hits = 0
    @exclusivity(unchecked) private(set) var misses = 0

    init(limitBytes: Int) { self.limitBytes = limitBytes }

    /// For blocks. A quarter of the limit stays for them, whatever is reserved.
    private var roomBytes: Int { max(limitBytes - reservedBytes, limitBytes / 4) }

    /// There is room without letting a block of that size go.
    func hasRoom(for bytes: Int) -> Bool { self.bytes + bytes <= roomBytes }

    /// Of the blocks themselves.
    var bytes: Int { small.bytes + main.bytes }
    var count: Int { small.count + main.count }

    /// The cached block, which earns credit unless a scan asks.
    @inline(__always)
    func find(_ sstable: SSTable, _ index: Int, isScan: Bool) -> Block? {
        guard let block = sstable.cached[index].block else {
            misses += 1
            return nil
        }
        hits += 1
        if !isScan, sstable.cached[index].hits < 3 { sstable.cached[index].hits += 1 }
        return block
    }

    /// The same for a look-up that ends before anything is inserted; nil and nothing counted if the block
    /// is not there. `places` are those of its SSTable.
    @inline(__always)
    func look(
        _ places: UnsafeMutableBufferPointer<CachedBlock>, _ index: Int, isScan: Bool
    ) -> BlockView? {
        precondition(index >= 0 && index < places.count)
        guard let place = places.baseAddress.map({ $0 + index }),
            place.pointee.view.bytes.baseAddress != nil
        else { return nil }
        hits += 1
        if !isScan, place.pointee.hits < 3 { place.pointee.hits += 1 }
        return place.pointee.view
    }

    /// A look-up found nothing.
    func countMiss() { misses += 1 }

    /// Takes a block in unless it is there already, or larger than the cache.
    func insert(_ block: Block, _ sstable: SSTable, _ index: Int) {
        guard sstable.cached[index].block == nil, !sstable.isObsolete else { return }
        let size = block.bytes.count
        let room = roomBytes
        guard size <= room else { return }
        while bytes + size > room { evictOne() }
        sstable.cached[index] = CachedBlock(block: block, view: block.view)
        let slot = Slot(block: block, sstable: sstable, index: index)
        if ghost.remove(BlockKey(number: sstable.number, index: index)) {
            main.append(slot)
        } else {
            small.append(slot)
        }
    }

    /// Changes the limit; blocks go at once if it is lower.
    func resize(to limitBytes: Int) {
        self.limitBytes = limitBytes
        while bytes > roomBytes { evictOne() }
    }

    /// So many bytes are held outside of the cache, and count against its limit from now on; a negative number
    /// takes that back.
    func reserve(_ bytes: Int) {
        reservedBytes += bytes
        while self.bytes > roomBytes { evictOne() }
    }

    /// Lets one block go; there must be one. Ends because each turn takes credit from a block, moves one
    /// to the main queue, or evicts one.
    private func evictOne() {
        while true {
            if !small.isEmpty, main.isEmpty || small.bytes * 10 > roomBytes {
                let slot = small.removeFirst()
                if slot.hits > 0 {
                    slot.sstable.cached[slot.index].hits = 0
                    main.append(slot)
                    continue
                }
                ghost.insert(
                    BlockKey(number: slot.sstable.number, index: slot.index),
                    limit: main.count + small.count)
                slot.sstable.cached[slot.index] = CachedBlock()
                return
            }
            precondition(!main.isEmpty, "evicting from an empty cache")
            let slot = main.removeFirst()
            if slot.hits > 0 {
                slot.sstable.cached[slot.index].hits -= 1
                main.append(slot)
                continue
            }
            slot.sstable.cached[slot.index] = CachedBlock()
            return
        }
    }

    /// Forgets the blocks of a file that is no longer read.
    func forget(_ sstable: SSTable) {
        small.removeAll(of: sstable)
        main.removeAll(of: sstable)
        for index in sstable.cached.indices { sstable.cached[index] = CachedBlock() }
    }
}

/// What a job works with: it takes the room of blocks as long as this lives. Owned and let go by the shard.
final class MemoryReservation {
    private let cache: BlockCache
    var bytes: Int { didSet { cache.reserve(bytes - oldValue) } }

    init(_ bytes: Int, of cache: BlockCache) {
        self.cache = cache
        self.bytes = bytes
        cache.reserve(bytes)
    }

    deinit { cache.reserve(-bytes) }
}
