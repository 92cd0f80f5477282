// Memory for memtables: bump allocation from chunks that grow, and a pool that takes chunks back.
//
// A fresh page costs microseconds, so chunks of a flushed memtable are used again. The first chunk is
// small: hundreds of idle tables must cost next to nothing.
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
    static let largestChunk = 1 << 22

    /// One stack for each power of two from the smallest to the largest chunk.
    private var free: [[UnsafeMutableRawPointer]]
    private var heldBytes = 0
    /// More than this is not kept.
    private let limitBytes: Int

    init(limitBytes: Int) {
        self.limitBytes = limitBytes
        let classes = Self.largestChunk.trailingZeroBitCount - Self.smallestChunk.trailingZeroBitCount + 1
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
        if let chunk = free[sizeClass(size)].popLast() {
            heldBytes -= size
            return chunk
        }
        return allocateChunk(size)
    }

    func give(_ chunk: UnsafeMutableRawPointer, size: Int) {
        let isPooled = size <= Self.largestChunk && size.nonzeroBitCount == 1
        guard isPooled, heldBytes + size <= limitBytes else {
            freeChunk(chunk)
            return
        }
        heldBytes += size
        free[sizeClass(size)].append(chunk)
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
    /// Bytes of all chunks.
    private(set) var heldBytes = 0

    init(pool: ArenaPool) {
        self.pool = pool
        let chunk = pool.take(nextSize)
        chunks.append((chunk, nextSize))
        cursor = chunk
        end = chunk + nextSize
        heldBytes = nextSize
    }

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
        nextSize = min(nextSize * 2, ArenaPool.largestChunk)
        if count > nextSize / 2 {
            // A large thing gets a chunk of its own, and the current one goes on.
            let chunk = allocateChunk(count)
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

    /// Gives all chunks to the pool. The owner promises that nobody reads this memory again.
    func recycle() {
        for chunk in chunks { pool.give(chunk.base, size: chunk.size) }
        chunks.removeAll()
        let empty = pool.take(ArenaPool.smallestChunk)
        chunks.append((empty, ArenaPool.smallestChunk))
        cursor = empty
        end = empty
        heldBytes = 0
    }
}
