// A node's folder as real files.
//
// The shards' event loops write their logs here (one `pwrite` a tick), and helper threads sync them,
// read blocks and run job steps, all at once. So the table of open files has a lock, which is held for a
// look-up only; the system calls run outside it, on a file that its reference count keeps open even
// when it is removed meanwhile.
//
// Invariants
//   - A file is opened once and stays open until it is removed or the folder is closed.
//   - A name never leads out of the folder: it has no `/` and does not begin with a dot.
// Durability
//   - `sync` is `fdatasync` (`F_FULLFSYNC` on macOS, where fsync does not reach the platter).
//   - `create` with `preallocate` makes a file of that size that reads as zeros, its blocks reserved,
//     so that a later `fdatasync` has no size or block map to write.

internal import CUring
package import Encoding
package import Environment

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// A folder of files, safe to use from several threads at once.
// Sendable unchecked: `open` is read and written under `lock`, the rest is immutable.
package final class RealFileSystem: FileSystem, @unchecked Sendable {
    /// The folder, for people.
    package let path: String
    private let folder: Int32
    private let lock = Lock()
    private var open: [FileName: OpenFile] = [:]

    /// A descriptor that is closed when its last user has gone.
    final class OpenFile: @unchecked Sendable {
        let descriptor: Int32
        // Sendable unchecked: the rest is read and written under `lock`.
        private let lock = Lock()
        private var directDescriptor: Int32?

        init(descriptor: Int32) { self.descriptor = descriptor }

        deinit {
            close(descriptor)
            if let directDescriptor, directDescriptor >= 0 { close(directDescriptor) }
        }

        func size(_ file: FileName) throws(DiskFailure) -> Int {
            var status = stat()
            if fstat(descriptor, &status) != 0 { throw SystemError(call: "stat").failure(file) }
            return Int(status.st_size)
        }

        /// A descriptor around the page cache; nil where the file system has none (tmpfs), or where the
        /// file has lost this name: it is then read through the cache, with the same bytes.
        func direct(in files: RealFileSystem, _ file: FileName) -> Int32? {
            lock.withLock {
                if directDescriptor == nil {
                    directDescriptor = files.openDirect(file, sameAs: descriptor) ?? -1
                }
                return directDescriptor.flatMap { $0 >= 0 ? $0 : nil }
            }
        }
    }

    /// Opens the folder at `path`, creating it (not its parents) if it is not there.
    package init(path: String) throws(DiskFailure) {
        let name = FileName(path)
        if mkdir(path, 0o755) != 0, errno != EEXIST {
            throw SystemError(call: "mkdir").failure(name)
        }
        let descriptor = Self.retrying {
            openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        }
        if descriptor < 0 { throw SystemError(call: "open").failure(name) }
        self.path = path
        self.folder = descriptor
    }

    deinit { close(folder) }

    // MARK: - FileSystem

    package func list() throws(DiskFailure) -> [FileName] {
        // A descriptor of its own: reading a directory moves the descriptor's position.
        let copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard copy >= 0, let stream = fdopendir(copy) else {
            throw SystemError(call: "opendir").failure(FileName(path))
        }
        defer { closedir(stream) }
        var names: [FileName] = []
        errno = 0
        while let entry = readdir(stream) {
            let text = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(
                    to: CChar.self, capacity: MemoryLayout.size(ofValue: pointer.pointee)
                ) { String(cString: $0) }
            }
            if !text.hasPrefix(".") { names.append(FileName(text)) }
            errno = 0
        }
        if errno != 0 { throw SystemError(call: "readdir").failure(FileName(path)) }
        return names.sorted()
    }

    package func size(of file: FileName) throws(DiskFailure) -> Int {
        let handle = try opened(file)
        var status = stat()
        if fstat(handle.descriptor, &status) != 0 { throw SystemError(call: "stat").failure(file) }
        return Int(status.st_size)
    }

    package func space() throws(DiskFailure) -> VolumeSpace {
        var status = statvfs()
        if fstatvfs(folder, &status) != 0 {
            throw SystemError(call: "statvfs").failure(FileName(path))
        }
        let unit = Int(clamping: status.f_frsize)
        return VolumeSpace(
            freeBytes: Int(clamping: status.f_bavail).multipliedClamping(by: unit),
            totalBytes: Int(clamping: status.f_blocks).multipliedClamping(by: unit))
    }

    package func create(_ file: FileName, preallocate: Int) throws(DiskFailure) {
        try check(file)
        precondition(preallocate >= 0)
        // The old file, if any, stays whole for whoever still reads it.
        if unlinkat(folder, file.text, 0) != 0, errno != ENOENT {
            throw SystemError(call: "unlink").failure(file)
        }
        let descriptor = Self.retrying {
            openat(folder, file.text, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode_t(0o644))
        }
        if descriptor < 0 { throw SystemError(call: "create").failure(file) }
        let handle = OpenFile(descriptor: descriptor)
        if preallocate > 0 { try reserve(handle, preallocate, file) }
        lock.withLock { open[file] = handle }
    }

    package func write(
        _ file: FileName, at offset: Int, _ bytes: UnsafeRawBufferPointer
    ) throws(DiskFailure) {
        precondition(offset >= 0)
        guard var next = bytes.baseAddress else { return }
        let handle = try opened(file)
        var position = offset
        var rest = bytes.count
        while rest > 0 {
            let written = pwrite(handle.descriptor, next, rest, off_t(position))
            if written < 0 {
                if errno == EINTR { continue }
                throw SystemError(call: "write of \(rest) bytes at \(position)").failure(file)
            }
            next += written
            position += written
            rest -= written
        }
    }

    package func read(
        _ file: FileName, at offset: Int, count: Int, into writer: ByteWriter
    ) throws(DiskFailure) {
        precondition(offset >= 0 && count >= 0)
        let handle = try opened(file)
        // Never more memory than the file has bytes, whatever a corrupt length asked for.
        var status = stat()
        if fstat(handle.descriptor, &status) != 0 { throw SystemError(call: "stat").failure(file) }
        let size = Int(status.st_size)
        if offset >= size { return }
        let wanted = min(count, size - offset)
        var failure: DiskFailure?
        let start = writer.count
        _ = writer.appendUninitialized(wanted) { target in
            var filled = 0
            while filled < wanted, let base = target.baseAddress {
                let got = pread(
                    handle.descriptor, base + filled, wanted - filled, off_t(offset + filled))
                if got < 0 {
                    if errno == EINTR { continue }
                    failure = SystemError(call: "read of \(wanted) bytes at \(offset)").failure(
                        file)
                    break
                }
                if got == 0 { break }
                filled += got
            }
            return filled
        }
        if let failure {
            writer.truncate(to: start)
            throw failure
        }
    }

    package func truncate(_ file: FileName, to size: Int) throws(DiskFailure) {
        precondition(size >= 0)
        let handle = try opened(file)
        let result = Self.retrying { ftruncate(handle.descriptor, off_t(size)) }
        if result != 0 { throw SystemError(call: "truncate to \(size)").failure(file) }
    }

    package func sync(_ file: FileName) throws(DiskFailure) {
        let handle = try opened(file)
        #if canImport(Darwin)
            let result = Self.retrying { fcntl(handle.descriptor, F_FULLFSYNC) }
        #else
            let result = Self.retrying { fdatasync(handle.descriptor) }
        #endif
        if result != 0 { throw SystemError(call: "sync").failure(file) }
    }

    package func rename(_ file: FileName, to target: FileName) throws(DiskFailure) {
        try check(file)
        try check(target)
        if renameat(folder, file.text, folder, target.text) != 0 {
            throw SystemError(call: "rename to \(target)").failure(file)
        }
        lock.withLock {
            let handle = open.removeValue(forKey: file)
            open[target] = handle
        }
    }

    package func link(_ file: FileName, to target: FileName) throws(DiskFailure) {
        try check(file)
        try check(target)
        if linkat(folder, file.text, folder, target.text, 0) != 0 {
            throw SystemError(call: "link to \(target)").failure(file)
        }
    }

    package func remove(_ file: FileName) throws(DiskFailure) {
        try check(file)
        if unlinkat(folder, file.text, 0) != 0 { throw SystemError(call: "remove").failure(file) }
        _ = lock.withLock { open.removeValue(forKey: file) }
    }

    package func syncFolder() throws(DiskFailure) {
        let result = Self.retrying { fsync(folder) }
        if result != 0 { throw SystemError(call: "sync of the folder").failure(FileName(path)) }
    }

    // MARK: - Blocks

    /// Reads a block; fewer bytes than asked for only at the file's end.
    package func readBlock(
        _ file: FileName, at offset: Int, count: Int, mode: Configuration.DiskAccessMode
    ) throws(DiskFailure) -> [UInt8] {
        let size = try opened(file).size(file)
        let wanted = max(0, min(count, size - offset))
        if wanted == 0 { return [] }
        let buffer = BlockBuffer()
        let bytes = try readBlock(
            file, at: offset, count: wanted, size: size, mode: mode, into: buffer)
        return withExtendedLifetime(buffer) { [UInt8](bytes) }
    }

    /// Reads a block on the spot, of a file that has at least `size` bytes, into memory that is used again;
    /// fewer bytes than asked for only if it has become shorter. One system call, where nothing cuts it short.
    /// The result is valid until the buffer's next use.
    package func readBlock(
        _ file: FileName, at offset: Int, count: Int, size: Int,
        mode: Configuration.DiskAccessMode, into buffer: BlockBuffer
    ) throws(DiskFailure) -> UnsafeRawBufferPointer {
        precondition(offset >= 0 && count >= 0 && count <= size - offset)
        let handle = try opened(file)
        let direct = mode == .direct ? handle.direct(in: self, file) : nil
        let start = direct == nil ? offset : offset & ~(BlockReader.alignment - 1)
        let wanted = offset + count - start
        let target = buffer.memory(
            direct == nil ? wanted : BlockReader.roundedUp(wanted))
        let filled = try fill(
            target, from: direct ?? handle.descriptor, isDirect: direct != nil, at: start,
            wanted: wanted, file)
        let skipped = offset - start
        let end = max(skipped, min(filled, skipped + count))
        return UnsafeRawBufferPointer(rebasing: target[skipped..<end])
    }

    /// Reads until `wanted` bytes are there or the file ends; how many are.
    private func fill(
        _ target: UnsafeMutableRawBufferPointer, from descriptor: Int32, isDirect: Bool,
        at start: Int, wanted: Int, _ file: FileName
    ) throws(DiskFailure) -> Int {
        var filled = 0
        while filled < wanted, let base = target.baseAddress {
            let got = pread(
                descriptor, base + filled, target.count - filled, off_t(start + filled))
            if got < 0 {
                if errno == EINTR { continue }
                throw SystemError(call: "read of \(wanted) bytes at \(start)").failure(file)
            }
            if got == 0 { break }
            filled += got
            // A direct read can only go on at an aligned place; a shorter one has met the file's end.
            if isDirect, filled & (BlockReader.alignment - 1) != 0 { break }
        }
        return filled
    }

    /// A second descriptor of an open file, around the page cache.
    fileprivate func openDirect(_ file: FileName, sameAs descriptor: Int32) -> Int32? {
        let flag = curing_direct_flag()
        if flag == 0 { return nil }
        let direct = Self.retrying { openat(folder, file.text, O_RDONLY | O_CLOEXEC | flag) }
        if direct < 0 { return nil }
        var one = stat()
        var other = stat()
        if fstat(descriptor, &one) == 0, fstat(direct, &other) == 0, one.st_ino == other.st_ino,
            one.st_dev == other.st_dev
        {
            return direct
        }
        close(direct)
        return nil
    }

    /// Lets the page cache forget a part of a file, to its end for a count of 0. Only a hint: what is not
    /// written yet stays.
    func forget(_ file: FileName, from offset: Int, count: Int) throws(DiskFailure) {
        #if os(Linux)
            let handle = try opened(file)
            // The hint's answer says nothing that anybody could act upon.
            _ = posix_fadvise(
                handle.descriptor, off_t(offset), off_t(count), POSIX_FADV_DONTNEED)
        #endif
    }

    // MARK: - Helpers

    /// Syncs every file that was used since the folder was opened, and the folder: the end of an
    /// orderly stop.
    package func syncAll() throws(DiskFailure) {
        let names = lock.withLock { open.keys.sorted() }
        for name in names {
            do {
                try sync(name)
            } catch {
                // A job may have removed it between the two lines.
                if error.reason != .notFound { throw error }
            }
        }
        try syncFolder()
    }

    private func check(_ file: FileName) throws(DiskFailure) {
        if file.text.isEmpty || file.text.hasPrefix(".")
            || file.text.utf8.contains(UInt8(ascii: "/"))
            || file.text.utf8.contains(0)
        {
            throw DiskFailure(
                .inputOutput, file: file, detail: "not a file name of the node's folder")
        }
    }

    func opened(_ file: FileName) throws(DiskFailure) -> OpenFile {
        if let handle = lock.withLock({ open[file] }) { return handle }
        try check(file)
        let descriptor = Self.retrying { openat(folder, file.text, O_RDWR | O_CLOEXEC) }
        if descriptor < 0 { throw SystemError(call: "open").failure(file) }
        let handle = OpenFile(descriptor: descriptor)
        // Two threads may have come here at once: the first one's descriptor stays.
        return lock.withLock {
            if let winner = open[file] { return winner }
            open[file] = handle
            return handle
        }
    }

    private func reserve(_ handle: OpenFile, _ size: Int, _ file: FileName) throws(DiskFailure) {
        #if canImport(Darwin)
            // Reserving is a wish on macOS; the size is what counts.
            var store = fstore_t(
                fst_flags: UInt32(F_ALLOCATEALL), fst_posmode: F_PEOFPOSMODE, fst_offset: 0,
                fst_length: off_t(size), fst_bytesalloc: 0)
            _ = fcntl(handle.descriptor, F_PREALLOCATE, &store)
            let result = ftruncate(handle.descriptor, off_t(size)) == 0 ? 0 : errno
        #else
            var result = posix_fallocate(handle.descriptor, 0, off_t(size))
            while result == EINTR { result = posix_fallocate(handle.descriptor, 0, off_t(size)) }
        #endif
        if result != 0 {
            throw SystemError(call: "reserving \(size) bytes", number: result).failure(file)
        }
    }

    private static func retrying(_ call: () -> Int32) -> Int32 {
        while true {
            let result = call()
            if result >= 0 || errno != EINTR { return result }
        }
    }
}

extension Int {
    fileprivate func multipliedClamping(by factor: Int) -> Int {
        let (product, overflow) = multipliedReportingOverflow(by: factor)
        return overflow ? .max : product
    }
}
