// Memory for memtables: bump allocation from chunks that grow, and a pool that takes chunks back.
//
// A fresh page costs microseconds, so chunks of a flushed memtable are used again. The first chunk is
// small: hundreds of idle tables must cost next to nothing. The largest is a small part of the budget,
// so that the last, half-empty chunk of a memtable does not matter.
//
// The pool knows the bytes of all memtables at any time (`usedBytes`): that is what the budget is
// compared with. A memtable takes a chunk window by window, so that the rest of the chunk that it has just
// begun does not count before it is used; it is kept for later, as chunks that wait are. What is kept is
// given up as far as used and kept bytes together pass the budget.
//
// Invariants: memory once handed out stays where it is until the arena dies; a frozen memtable may
// therefore be read by a job on another thread while nobody writes to it. Addresses fit into 48 bits.

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Chunks given back, by size. Owned by one engine and used only by its shard.
final class ArenaPool {
    static let smallestChunk = 1 << 10
    /// No budget asks for larger ones.
    static let largestChunk = 1 << 22
    /// One thirty-second of the budget, so that chunks fill it evenly.
    let largestChunk: Int

    /// One stack for each power of two from the smallest to the largest chunk.
    private var free: [[UnsafeMutableRawPointer]]
    /// Bytes of chunks that wait for their next memtable, and what is left of those that have one.
    private(set) var heldBytes = 0
    /// Bytes of all memtables: of their chunks as far as they are used, and what they told by `charge`.
    private(set) var usedBytes = 0
    /// Used and held bytes together stay below it, as far as held ones can help it.
    private let limitBytes: Int

    init(limitBytes: Int) {
        self.limitBytes = limitBytes
        var largest = Self.smallestChunk
        while largest < Self.largestChunk, largest * 2 <= limitBytes / 32 { largest *= 2 }
        largestChunk = largest
        let classes = largest.trailingZeroBitCount - Self.smallestChunk.trailingZeroBitCount + 1
        free = Array(repeating: [], count: classes)
    }

    deinit {
        for stack in free {
            for chunk in stack { freeChunk(chunk) }
        }
    }

    private func sizeClass(_ size: Int) -> Int {
        size.trailingZeroBitCount - Self.smallestChunk.trailingZeroBitCount
    }

    /// A chunk of `size` bytes, a power of two between the smallest and the largest. Nothing of it is used
    /// yet: `use` tells.
    func take(_ size: Int) -> UnsafeMutableRawPointer {
        if let chunk = free[sizeClass(size)].popLast() { return chunk }
        heldBytes += size
        trim()
        return allocateChunk(size)
    }

    /// A chunk of any size for one large thing, all of it used; it is not kept later.
    func takeAlone(_ size: Int) -> UnsafeMutableRawPointer {
        usedBytes += size
        trim()
        return allocateChunk(size)
    }

    /// So much more of a chunk that was taken is in use.
    func use(_ bytes: Int) {
        usedBytes += bytes
        heldBytes -= bytes
    }

    /// Takes a chunk back of which so many bytes were used.
    func give(_ chunk: UnsafeMutableRawPointer, size: Int, used: Int) {
        usedBytes -= used
        heldBytes -= size - used
        let isPooled =
            size >= Self.smallestChunk && size <= largestChunk && size.nonzeroBitCount == 1
        guard isPooled, usedBytes + heldBytes + size <= limitBytes else {
            freeChunk(chunk)
            return
        }
        heldBytes += size
        free[sizeClass(size)].append(chunk)
    }

    /// Counts memory of a memtable that is not in chunks; a negative number takes it back.
    func charge(_ bytes: Int) { usedBytes += bytes }

    /// Frees kept chunks, large ones first, until the limit is kept or none is left.
    private func trim() {
        var index = free.count - 1
        while usedBytes + heldBytes > limitBytes, index >= 0 {
            guard let chunk = free[index].popLast() else {
                index -= 1
                continue
            }
            heldBytes -= Self.smallestChunk << index
            freeChunk(chunk)
        }
    }
}

/// A memtable's chunk, and how much of it is in use.
private struct ArenaChunk {
    let base: UnsafeMutableRawPointer
    let size: Int
    var used: Int
}

@inline(__always)
private func freeChunk(_ chunk: UnsafeMutableRawPointer) { free(chunk) }

/// Large chunks are aligned to 2 MiB, so that the kernel can back them with huge pages: a memtable is
/// read at random, and most of a miss in it was the page walk.
private func allocateChunk(_ size: Int) -> UnsafeMutableRawPointer {
    let chunk = allocateMemory(size)
    precondition((UInt(bitPattern: chunk) + UInt(size)) >> 48 == 0, "an address of over 48 bits")
    return chunk
}

private func allocateMemory(_ size: Int) -> UnsafeMutableRawPointer {
    if size >= 2 << 20 {
        var aligned: UnsafeMutableRawPointer?
        if posix_memalign(&aligned, 2 << 20, size) == 0, let aligned {
            #if os(Linux)
                _ = madvise(aligned, size, Int32(MADV_HUGEPAGE))
            #endif
            return aligned
        }
    }
    guard let memory = malloc(size) else { preconditionFailure("out of memory for \(size) bytes") }
    return memory
}

/// The memory of one memtable.
final class Arena {
    private var cursor: UnsafeMutableRawPointer
    private var end: UnsafeMutableRawPointer
    private var chunks: [ArenaChunk] = []
    /// The chunk that is being filled.
    private var open = 0
    private var nextSize = ArenaPool.smallestChunk
    private let pool: ArenaPool
    /// Bytes of all chunks as far as they are used, and what was charged.
    private(set) var heldBytes = 0
    private var chargedBytes = 0

    /// A chunk comes into use so much at a time.
    private static let windowBytes = 1 << 16

    init(pool: ArenaPool) {
        self.pool = pool
        let chunk = pool.take(nextSize)
        chunks.append(ArenaChunk(base: chunk, size: nextSize, used: 0))
        cursor = chunk
        end = chunk
        openWindow()
    }

    /// A memtable whose engine still lives was recycled before, by its shard: nothing is left then, and
    /// the last reference may go on another thread. Else the engine is gone with all its counts.
    deinit {
        for chunk in chunks { freeChunk(chunk.base) }
    }

    /// What `count` bytes take.
    @inline(__always)
    static func rounded(_ count: Int) -> Int { (count + 7) & ~7 }

    /// Memory for `count` bytes, aligned to eight.
    @inline(__always)
    func allocate(_ count: Int) -> UnsafeMutableRawPointer {
        let rounded = Self.rounded(count)
        let start = cursor
        if rounded <= end - start {
            cursor = start + rounded
            return start
        }
        return allocateSlowly(rounded)
    }

    @inline(never)
    private func allocateSlowly(_ count: Int) -> UnsafeMutableRawPointer {
        precondition(!chunks.isEmpty, "allocation in a recycled arena")
        while count > end - cursor, chunks[open].used < chunks[open].size { openWindow() }
        if count > end - cursor {
            nextSize = min(nextSize * 2, pool.largestChunk)
            if count > nextSize / 2 {
                // A large thing gets a chunk of its own, and the current one goes on.
                let chunk = pool.takeAlone(count)
                chunks.append(ArenaChunk(base: chunk, size: count, used: count))
                heldBytes += count
                return chunk
            }
            let chunk = pool.take(nextSize)
            open = chunks.count
            chunks.append(ArenaChunk(base: chunk, size: nextSize, used: 0))
            cursor = chunk
            end = chunk
            while count > end - cursor { openWindow() }
        }
        let start = cursor
        cursor += count
        return start
    }

    /// Takes more of the open chunk into use.
    private func openWindow() {
        let window = min(Self.windowBytes, chunks[open].size - chunks[open].used)
        pool.use(window)
        chunks[open].used += window
        heldBytes += window
        end += window
    }

    /// Counts memory that the memtable holds outside the arena.
    func charge(_ bytes: Int) {
        pool.charge(bytes)
        heldBytes += bytes
        chargedBytes += bytes
    }

    /// Gives all chunks to the pool. The owner promises that nobody reads this memory again.
    func recycle() {
        for chunk in chunks { pool.give(chunk.base, size: chunk.size, used: chunk.used) }
        chunks.removeAll()
        pool.charge(-chargedBytes)
        chargedBytes = 0
        end = cursor
        heldBytes = 0
    }
}
