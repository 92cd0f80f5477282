// A shard's block reads: none of them blocks the shard.
//
//     read, read, read -- queued --> submit: one system call --> kernel
//     event descriptor becomes readable --> reap: all that have ended --> the shard's inbox
//
// Where the kernel has io_uring, each shard has a ring of its own, used on its own thread: no thread is
// woken and no lock taken for a read. Elsewhere (macOS, old kernels, sandboxes that forbid it) the node's
// helper threads `pread`, and deliver each by itself.
//
// Both work through the page cache (`standard`) or around it (`direct`). Direct reads must begin and end
// at multiples of `alignment`: the buffer has room for the widened range, and only the middle is given out.
//
// Invariants
//   - At most `capacity` reads are with the kernel; the rest wait in their order.
//   - A read's buffer and descriptor live until its end has been reaped, even if the file is removed.
// Cost of a read through the ring: a buffer from the pool, a share of one system call, one copy of the
// block into the event's array.

internal import CUring
package import Environment

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// What carries a node's block reads out.
package enum BlockReading: Equatable, Sendable {
    case ring
    /// Helper threads; the reason why there is no ring.
    case threads(String)

    /// Whether this kernel lets this process have a ring.
    package static func probe() -> BlockReading {
        #if os(Linux)
            var error: CInt = 0
            guard let ring = curing_open(2, &error) else {
                return .threads("io_uring: \(SystemError.text(error))")
            }
            curing_close(ring)
            return .ring
        #else
            return .threads("io_uring is Linux's")
        #endif
    }
}

/// The ring of one shard. Owned and used by the shard's thread.
package final class BlockReader {
    /// Reads with the kernel at once.
    private static let capacity = 256
    /// Of direct reads: offset, length and memory.
    package static let alignment = 4_096
    private static let largestPooledBytes = 256 << 10
    private static let pooledBuffers = 64

    private struct Request {
        let id: EffectID
        let file: FileName
        let offset: Int
        let count: Int
    }

    private struct Reading {
        let request: Request
        let handle: RealFileSystem.OpenFile
        let buffer: UnsafeMutableRawBufferPointer
        /// What the kernel was asked for: a direct read is wider than the request.
        let start: Int
        let length: Int
    }

    private let ring: OpaquePointer
    private let files: RealFileSystem
    private let mode: Configuration.DiskAccessMode
    private var waiting: [Request] = []
    private var waitingHead = 0
    private var slots: [Reading?] = []
    private var freeSlots: [Int] = []
    private var queued = 0
    private var pool: [UnsafeMutableRawBufferPointer] = []
    /// Ends that need no kernel: a file that cannot be opened.
    private var failures: [(EffectID, BlockRead)] = []
    private var tags = [UInt64](repeating: 0, count: 64)
    private var results = [Int32](repeating: 0, count: 64)

    /// Opens a ring; fails as `BlockReading.probe` says.
    package init(files: RealFileSystem, mode: Configuration.DiskAccessMode) throws(SystemError) {
        var error: CInt = 0
        guard let ring = curing_open(UInt32(Self.capacity), &error) else {
            throw SystemError(call: "io_uring_setup", number: error)
        }
        self.ring = ring
        self.files = files
        self.mode = mode
    }

    /// Waits for what the kernel still has, since it writes into our buffers.
    deinit {
        while slots.count > freeSlots.count {
            if curing_submit(ring, 1) < 0, errno != EINTR { break }
            reap { _, _ in }
        }
        curing_close(ring)
        for buffer in pool { buffer.deallocate() }
    }

    /// A descriptor that becomes readable (an eventfd) when there is something to `reap`; the caller's to
    /// close.
    package func makeEventDescriptor() throws(SystemError) -> Int32 {
        let copy = dup(curing_event(ring))
        if copy < 0 { throw SystemError(call: "dup") }
        return copy
    }

    /// Reads that have not ended.
    package var underWay: Int {
        slots.count - freeSlots.count + waiting.count - waitingHead + failures.count
    }

    /// Queues a read; fewer bytes than asked for come only at the file's end.
    package func read(_ id: EffectID, _ file: FileName, offset: Int, count: Int) {
        precondition(offset >= 0 && count >= 0)
        waiting.append(Request(id: id, file: file, offset: offset, count: count))
    }

    /// Hands everything that is queued to the kernel. True if there is something to reap at once.
    package func submit() -> Bool {
        fill()
        // A failed call leaves the queue as it is; the next one takes it along.
        while queued > 0 {
            let taken = curing_submit(ring, 0)
            if taken == -EINTR { continue }
            if taken <= 0 { break }
            queued -= Int(taken)
        }
        return !failures.isEmpty
    }

    /// Waits until at least one read has ended, if any is under way: for callers without an event loop.
    package func wait() {
        if submit() || slots.count == freeSlots.count { return }
        while curing_submit(ring, 1) == -EINTR {}
    }

    /// Gives out everything that has ended.
    package func reap(_ body: (EffectID, BlockRead) -> Void) {
        while true {
            let count = Int(curing_reap(ring, &tags, &results, UInt32(tags.count)))
            for index in 0..<count { end(Int(tags[index]), Int(results[index]), body) }
            if count < tags.count { break }
        }
        let failed = failures
        failures.removeAll()
        for (id, read) in failed { body(id, read) }
        // Those that had no room.
        if waitingHead < waiting.count { _ = submit() }
    }

    private func fill() {
        while waitingHead < waiting.count, slots.count - freeSlots.count < Self.capacity {
            let request = waiting[waitingHead]
            waitingHead += 1
            do throws(DiskFailure) { try begin(request) } catch {
                failures.append((request.id, .failed(error)))
            }
        }
        if waitingHead == waiting.count {
            waiting.removeAll(keepingCapacity: true)
            waitingHead = 0
        }
    }

    private func begin(_ request: Request) throws(DiskFailure) {
        let handle = try files.opened(request.file)
        // Never more memory than the file has bytes, whatever a corrupt length asked for.
        let size = try handle.size(request.file)
        let wanted = max(0, min(request.count, size - request.offset))
        if wanted == 0 {
            failures.append((request.id, .bytes([])))
            return
        }
        let direct = mode == .direct ? handle.direct(in: files, request.file) : nil
        let start = direct == nil ? request.offset : request.offset & ~(Self.alignment - 1)
        let end = request.offset + wanted
        let length = Self.roundedUp(end - start)
        let reading = Reading(
            request: Request(
                id: request.id, file: request.file, offset: request.offset, count: wanted),
            handle: handle, buffer: takeBuffer(length), start: start,
            length: direct == nil ? wanted : length)
        let slot = freeSlots.popLast() ?? slots.count
        if slot == slots.count { slots.append(nil) }
        slots[slot] = reading
        let isQueued = curing_read(
            ring, direct ?? handle.descriptor, reading.buffer.baseAddress, UInt32(reading.length),
            UInt64(start), UInt64(slot))
        precondition(isQueued != 0, "the ring has no room for \(Self.capacity) reads")
        queued += 1
    }

    private func end(_ slot: Int, _ result: Int, _ body: (EffectID, BlockRead) -> Void) {
        guard let reading = slots[slot] else { preconditionFailure("no read \(slot) is under way") }
        slots[slot] = nil
        freeSlots.append(slot)
        let request = reading.request
        defer { give(reading.buffer) }
        let skipped = request.offset - reading.start
        if result < 0, result != -Int(EAGAIN), result != -Int(EINTR) {
            let error = SystemError(
                call: "read of \(request.count) bytes at \(request.offset)",
                number: Int32(-result))
            return body(request.id, .failed(error.failure(request.file)))
        }
        if result >= skipped + request.count {
            let bytes = UnsafeRawBufferPointer(
                rebasing: reading.buffer[skipped..<skipped + request.count])
            return body(request.id, .bytes([UInt8](bytes)))
        }
        // Cut short by a signal or by the file's end, which is rare: the rest is read where we stand.
        do throws(DiskFailure) {
            body(
                request.id,
                .bytes(
                    try files.readBlock(
                        request.file, at: request.offset, count: request.count, mode: .standard)))
        } catch {
            body(request.id, .failed(error))
        }
    }

    // MARK: Buffers

    static func roundedUp(_ count: Int) -> Int { (count + alignment - 1) & ~(alignment - 1) }

    private func takeBuffer(_ length: Int) -> UnsafeMutableRawBufferPointer {
        if let last = pool.last, last.count >= length { return pool.removeLast() }
        // Room for the usual block and its widening.
        return .allocate(
            byteCount: max(length, 32 << 10), alignment: Self.alignment)
    }

    private func give(_ buffer: UnsafeMutableRawBufferPointer) {
        guard buffer.count <= Self.largestPooledBytes, pool.count < Self.pooledBuffers else {
            return buffer.deallocate()
        }
        pool.append(buffer)
    }
}
