// Appending to a log's preallocated segments through a mapping, for a caller that appends one small record
// at a time: a copy of a hundred bytes instead of a system call, which costs ten times as much. A shard of
// a node gathers a step's records into one `pwrite` and has no need of it.
//
//     append -> in the part of the mapping that is ready -> copy
//            -> behind it -> have the kernel make the next pages ready -> copy
//            -> cannot be mapped, or behind the file's end -> pwrite
//
// Durability: what was copied into a shared mapping is in the kernel's page cache, as after a `pwrite`: a
// kill of this process loses nothing, and `sync` of the file brings it to the device.
//
// A store into a mapping has no way to say that the disk is broken or full: the kernel kills the process.
// Therefore pages are made ready by a call that does say so (`MADV_POPULATE_WRITE`, Linux 5.14), the
// segment's blocks are reserved before, and only file systems are trusted that overwrite a reserved block
// in place (ext4, XFS, tmpfs). Everywhere else, and wherever the call fails, `pwrite` does it and tells.
//
// Memory: two windows of pages at most; what lies before them is let go, and counts as the kernel's page
// cache and no longer as this process's.
//
// Invariants: bytes from `releasedEnd` to `readyEnd` of the mapped file have writable pages; a file is mapped as it was
// when its first append came, and what it grows later is not.

internal import CUring
package import Environment

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Writes the log of one engine. Used by one thread.
package final class MappedLog {
    private let files: RealFileSystem
    private var mapping: Mapping?
    /// The file that was found not to be worth mapping.
    private var refused: FileName?

    private struct Mapping {
        let file: FileName
        let base: UnsafeMutableRawPointer
        let size: Int
        var readyEnd: Int
        /// Pages before it were let go.
        var releasedEnd = 0
    }

    /// So much is made ready at once: enough to make the call cheap, little enough to make it short.
    private static let windowBytes = 128 << 10
    private static let pageBytes = Int(sysconf(Int32(_SC_PAGESIZE)))

    package init(_ files: RealFileSystem) { self.files = files }

    deinit { unmap() }

    /// Whether appends to the file go through a mapping; for tests and for people.
    package func isMapped(_ file: FileName) -> Bool { mapping?.file == file }

    /// Writes a record where the log says. When it returns, the bytes are in the kernel.
    package func append(
        _ file: FileName, at offset: Int, _ bytes: UnsafeRawBufferPointer
    ) throws(DiskFailure) {
        if let mapping, offset + bytes.count <= mapping.readyEnd, mapping.file == file,
            let source = bytes.baseAddress
        {
            (mapping.base + offset).copyMemory(from: source, byteCount: bytes.count)
            return
        }
        try appendSlowly(file, at: offset, bytes)
    }

    private func appendSlowly(
        _ file: FileName, at offset: Int, _ bytes: UnsafeRawBufferPointer
    ) throws(DiskFailure) {
        precondition(offset >= 0)
        if mapping?.file != file, refused != file {
            unmap()
            try map(file)
        }
        guard let source = bytes.baseAddress, let base = makeReady(offset, bytes.count) else {
            return try files.write(file, at: offset, bytes)
        }
        (base + offset).copyMemory(from: source, byteCount: bytes.count)
    }

    private func unmap() {
        guard let mapping else { return }
        munmap(mapping.base, mapping.size)
        self.mapping = nil
    }

    private func map(_ file: FileName) throws(DiskFailure) {
        refused = file
        #if os(Linux)
            let handle = try files.opened(file)
            var status = stat()
            guard Self.overwritesInPlace(curing_file_system(handle.descriptor)),
                fstat(handle.descriptor, &status) == 0,
                // All blocks are there.
                status.st_size >= Self.windowBytes, status.st_blocks * 512 >= status.st_size
            else { return }
            let size = Int(status.st_size)
            let base = mmap(
                nil, size, PROT_READ | PROT_WRITE, MAP_SHARED, handle.descriptor, 0)
            guard let base, base != MAP_FAILED else { return }
            mapping = Mapping(file: file, base: base, size: size, readyEnd: 0)
            refused = nil
        #endif
    }

    /// By the magic numbers that `statfs` tells.
    private static func overwritesInPlace(_ type: Int64) -> Bool {
        switch type {
        case 0xEF53, 0x5846_5342, 0x0102_1994: true
        default: false
        }
    }

    /// The mapping's begin, if those bytes and some more have writable pages now.
    private func makeReady(_ offset: Int, _ count: Int) -> UnsafeMutableRawPointer? {
        guard let mapping, offset + count <= mapping.size else { return nil }
        let start = offset & ~(Self.pageBytes - 1)
        let end = min(mapping.size, offset + count + Self.windowBytes)
        guard populate(mapping.base + start, end - start) else {
            // What is wrong the next write tells; this file is left alone.
            refused = mapping.file
            unmap()
            return nil
        }
        release(before: start)
        self.mapping?.readyEnd = end
        return mapping.base
    }

    /// Takes pages that are written out of this process's memory; the kernel keeps them as the file's.
    private func release(before start: Int) {
        guard let mapping, start > mapping.releasedEnd else { return }
        #if os(Linux)
            // Shared and of a file: nothing is lost. Where it fails the pages count as ours for longer.
            _ = madvise(
                mapping.base + mapping.releasedEnd, start - mapping.releasedEnd,
                Int32(MADV_DONTNEED))
        #endif
        self.mapping?.releasedEnd = start
    }

    private func populate(_ start: UnsafeMutableRawPointer, _ count: Int) -> Bool {
        #if os(Linux)
            // MADV_POPULATE_WRITE, which older headers do not have.
            while madvise(start, count, 23) != 0 {
                guard errno == EINTR || errno == EAGAIN else { return false }
            }
            return true
        #else
            return false
        #endif
    }
}
