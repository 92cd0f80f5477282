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
// A file that goes away leaves its blocks to the cache, which lets them go a few at a time (`release`): a
// cache of gigabytes that drops half of its blocks in one step would keep all requests of the step waiting. The
// queues do not hold blocks but name them; names of blocks that are gone are passed over, and thrown out when
// they have become the half.
//
// Memory that the cache gives up for others (a reservation, a smaller limit, a file that went) goes back to the
// kernel page by page: the allocator would keep it, in holes between the blocks that stay, and the process
// would have both.
//
// Cost: finding a block is an index into its SSTable's array, without hashing; a hit raises a count.
// Why not the simpler GCLOCK that was here before: modelled with 200,000 Zipf (0.99) reads of 20,000 blocks
// and a cache of a tenth of them, GCLOCK finds 70.9 % and this 74.3 %; with a scan over all blocks after
// every 20,000 reads, 67.8 % and 74.0 %.

internal import Environment

/// The cache's place for a block of a file.
struct CachedBlock {
    /// Nil: it is not in the cache.
    var block: Block?
    /// The block's, so that a look-up does not touch the object: its count of references is a cache miss.
    var view = BlockView(bytes: UnsafeRawBufferPointer(start: nil, count: 0), count: 0)
    /// How often it was found since its queue came by.
    var hits: UInt8 = 0
    /// Which queue names it.
    var isMain = false
}

/// The places of one file's blocks, by their number. Only the cache changes them; they outlive the file until
/// the last is empty.
final class CachedFile {
    let number: UInt64
    let places: UnsafeMutableBufferPointer<CachedBlock>

    init(number: UInt64, blocks: Int) {
        self.number = number
        places = .allocate(capacity: blocks)
        places.initialize(repeating: CachedBlock())
    }

    deinit {
        places.deinitialize()
        places.deallocate()
    }
}

/// Decompressed blocks. Owned by the engine of one shard.
final class BlockCache {
    /// The name of a block that was put in; it may be gone by now.
    private struct Slot {
        let file: CachedFile
        let index: Int
    }

    /// Slots in the order in which they came.
    private struct Queue {
        private var slots: [Slot] = []
        private var head = 0
        /// Of the blocks that are still there, and how many there are.
        private(set) var bytes = 0
        private(set) var count = 0

        mutating func append(_ slot: Slot, bytes: Int) {
            slots.append(slot)
            self.bytes += bytes
            count += 1
        }

        /// Slots, those of blocks that are gone among them.
        var names: Int { slots.count - head }

        /// The oldest block that is still there; there must be one.
        mutating func removeFirst() -> Slot {
            while true {
                let slot = slots[head]
                head += 1
                if head >= 64, head * 2 >= slots.count {
                    slots.removeFirst(head)
                    head = 0
                }
                if let block = slot.file.places[slot.index].block {
                    left(block.bytes.count)
                    return slot
                }
            }
        }

        /// A block goes of which the slot stays.
        mutating func left(_ bytes: Int) {
            self.bytes -= bytes
            count -= 1
        }

        /// Throws slots out whose blocks are gone, when they are as many as the others.
        mutating func clean() {
            guard names >= 2 * count + 64 else { return }
            slots.removeFirst(head)
            head = 0
            slots.removeAll { $0.file.places[$0.index].block == nil }
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
    /// Files that went, and the next of their blocks to let go.
    private var leaving: [(file: CachedFile, next: Int)] = []
    @exclusivity(unchecked) private(set) var hits = 0
    @exclusivity(unchecked) private(set) var misses = 0

    init(limitBytes: Int) { self.limitBytes = limitBytes }

    deinit { resize(to: 0) }

    /// For blocks. A quarter of the limit stays for them, whatever is reserved.
    private var roomBytes: Int { max(limitBytes - reservedBytes, limitBytes / 4) }

    /// There is room without letting a block of that size go.
    func hasRoom(for bytes: Int) -> Bool { self.bytes + bytes <= roomBytes }

    /// Of the blocks themselves.
    var bytes: Int { small.bytes + main.bytes }
    var count: Int { small.count + main.count }
    /// Of the queues: more than there are blocks by those that are gone.
    var names: Int { small.names + main.names }

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
        makeRoom(room - size, givesBack: false)
        let isMain = ghost.remove(BlockKey(number: sstable.number, index: index))
        sstable.cached[index] = CachedBlock(block: block, view: block.view, isMain: isMain)
        append(Slot(file: sstable.places, index: index), bytes: size, isMain: isMain)
    }

    private func append(_ slot: Slot, bytes: Int, isMain: Bool) {
        if isMain {
            main.append(slot, bytes: bytes)
            main.clean()
        } else {
            small.append(slot, bytes: bytes)
            small.clean()
        }
    }

    /// Changes the limit; blocks go at once if it is lower.
    func resize(to limitBytes: Int) {
        self.limitBytes = limitBytes
        makeRoom(roomBytes, givesBack: true)
    }

    /// So many bytes are held outside of the cache, and count against its limit from now on; a negative number
    /// takes that back.
    func reserve(_ bytes: Int) {
        reservedBytes += bytes
        makeRoom(roomBytes, givesBack: true)
    }

    /// Lets blocks go until there are at most so many bytes, those that nobody needs first. `givesBack`: no
    /// other block takes their memory.
    private func makeRoom(_ limit: Int, givesBack: Bool) {
        while bytes > limit {
            if isReleasing { release() } else { evictOne(givesBack) }
        }
    }

    /// Lets one block go; there must be one. Ends because each turn takes credit from a block, moves one
    /// to the main queue, or evicts one.
    private func evictOne(_ givesBack: Bool) {
        while true {
            if small.count > 0, main.count == 0 || small.bytes * 10 > roomBytes {
                let slot = small.removeFirst()
                let place = slot.file.places[slot.index]
                if place.hits > 0, let block = place.block {
                    slot.file.places[slot.index].hits = 0
                    slot.file.places[slot.index].isMain = true
                    append(slot, bytes: block.bytes.count, isMain: true)
                    continue
                }
                ghost.insert(
                    BlockKey(number: slot.file.number, index: slot.index),
                    limit: main.count + small.count)
                return empty(slot, givesBack)
            }
            precondition(main.count > 0, "evicting from an empty cache")
            let slot = main.removeFirst()
            let place = slot.file.places[slot.index]
            if place.hits > 0, let block = place.block {
                slot.file.places[slot.index].hits -= 1
                append(slot, bytes: block.bytes.count, isMain: true)
                continue
            }
            return empty(slot, givesBack)
        }
    }

    private func empty(_ slot: Slot, _ givesBack: Bool) {
        if givesBack { slot.file.places[slot.index].block?.givesPagesBack = true }
        slot.file.places[slot.index] = CachedBlock()
    }

    // MARK: Files that go

    /// Nobody reads that file any more: its blocks go with the next calls of `release`.
    func forget(_ sstable: SSTable) { leaving.append((sstable.places, 0)) }

    /// Blocks of files that went are still there.
    var isReleasing: Bool { !leaving.isEmpty }

    /// Lets a few blocks go of files that went. Cost: some 50 us at most.
    func release() {
        var blocks = Self.releasedBlocks
        var places = Self.releasedPlaces
        while let (file, start) = leaving.last {
            var next = start
            while next < file.places.count, blocks > 0, places > 0 {
                if let block = file.places[next].block {
                    blocks -= 1
                    if file.places[next].isMain {
                        main.left(block.bytes.count)
                    } else {
                        small.left(block.bytes.count)
                    }
                    empty(Slot(file: file, index: next), true)
                }
                places -= 1
                next += 1
            }
            guard next == file.places.count else {
                leaving[leaving.count - 1].next = next
                return
            }
            leaving.removeLast()
        }
        main.clean()
        small.clean()
    }

    private static let releasedBlocks = 32
    private static let releasedPlaces = 4_096
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
