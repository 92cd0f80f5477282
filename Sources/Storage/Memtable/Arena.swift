// Memory for memtables: bump allocation from chunks that grow, and a pool that takes chunks back.
//
// A fresh page costs microseconds, so chunks of a flushed memtable are used again. The first chunk is
// small: hundreds of idle tables must cost next to nothing. The largest is a small part of the budget,
// so that the last, half-empty chunk of a memtable does not matter.
//
// The pool knows the bytes of all memtables at any time (`usedBytes`): that is what the budget is
// compared with. What it keeps for later is given up as far as used and kept bytes together pass the
// budget.
//
// Invariant: memory once handed out stays where it is until the arena dies; a frozen memtable may
// therefore be read by a job on another thread while nobody writes to it.

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
    /// Bytes of chunks that wait for their next memtable.
    private(set) var heldBytes = 0
    /// Bytes of all memtables: their chunks, and what they told by `charge`.
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

    /// A chunk of `size` bytes, a power of two between the smallest and the largest.
    func take(_ size: Int) -> UnsafeMutableRawPointer {
        usedBytes += size
        if let chunk = free[sizeClass(size)].popLast() {
            heldBytes -= size
            return chunk
        }
        trim()
        return allocateChunk(size)
    }

    /// A chunk of any size for one large thing; it is not kept later.
    func takeAlone(_ size: Int) -> UnsafeMutableRawPointer {
        usedBytes += size
        trim()
        return allocateChunk(size)
    }

    /// Takes a chunk back.
    func give(_ chunk: UnsafeMutableRawPointer, size: Int) {
        usedBytes -= size
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

@inline(__always)
private func freeChunk(_ chunk: UnsafeMutableRawPointer) { free(chunk) }

/// Large chunks are aligned to 2 MiB, so that the kernel can back them with huge pages: a memtable is
/// read at random, and most of a miss in it was the page walk.
private func allocateChunk(_ size: Int) -> UnsafeMutableRawPointer {
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
    private var chunks: [(base: UnsafeMutableRawPointer, size: Int)] = []
    private var nextSize = ArenaPool.smallestChunk
    private let pool: ArenaPool
    /// Bytes of all chunks, and what was charged.
    private(set) var heldBytes = 0
    private var chargedBytes = 0

    init(pool: ArenaPool) {
        self.pool = pool
        let chunk = pool.take(nextSize)
        chunks.append((chunk, nextSize))
        cursor = chunk
        end = chunk + nextSize
        heldBytes = nextSize
    }

    /// A memtable whose engine still lives was recycled before, by its shard: nothing is left then, and
    /// the last reference may go on another thread. Else the engine is gone with all its counts.
    deinit {
        for chunk in chunks { freeChunk(chunk.base) }
    }

    /// Memory for `count` bytes, aligned to eight.
    @inline(__always)
    func allocate(_ count: Int) -> UnsafeMutableRawPointer {
        let rounded = (count + 7) & ~7
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
        nextSize = min(nextSize * 2, pool.largestChunk)
        if count > nextSize / 2 {
            // A large thing gets a chunk of its own, and the current one goes on.
            let chunk = pool.takeAlone(count)
            chunks.append((chunk, count))
            heldBytes += count
            return chunk
        }
        let chunk = pool.take(nextSize)
        chunks.append((chunk, nextSize))
        heldBytes += nextSize
        cursor = chunk + count
        end = chunk + nextSize
        return chunk
    }

    /// Counts memory that the memtable holds outside the arena.
    func charge(_ bytes: Int) {
        pool.charge(bytes)
        heldBytes += bytes
        chargedBytes += bytes
    }

    /// Gives all chunks to the pool. The owner promises that nobody reads this memory again.
    func recycle() {
        for chunk in chunks { pool.give(chunk.base, size: chunk.size) }
        chunks.removeAll()
        pool.charge(-chargedBytes)
        chargedBytes = 0
        end = cursor
        heldBytes = 0
    }
}
