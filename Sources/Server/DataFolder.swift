// A node's folder: what lies where, and the lock that keeps a second process out.
//
//     lock           locked (flock) while a process serves the folder; holds its process id
//     metadata.db    the node's metadata
//     files/         the shards' logs, SSTables and hints, in one flat folder
//     control.sock   the operator's socket while the node runs

internal import Disk
internal import SQLiteMetadata

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// A node could not be started, or was asked for something impossible. Made for a person to read.
package struct ServerFailure: Error, Equatable, Sendable, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }
}

/// A node's data folder, locked as long as this value's owner lives.
package final class DataFolder: Sendable {
    package let path: String
    private let lockFile: Int32

    /// Creates the folder with its parents if it is not there, and takes its lock.
    package init(path: String) throws(ServerFailure) {
        try Self.createFolders(path)
        self.path = path
        let lockPath = path + "/lock"
        let descriptor = open(lockPath, O_RDWR | O_CREAT | O_CLOEXEC, mode_t(0o644))
        if descriptor < 0 { throw ServerFailure("\(lockPath): \(SystemError(call: "open"))") }
        if !Self.takeLock(descriptor) {
            let holder = Self.firstLine(of: descriptor)
            close(descriptor)
            throw ServerFailure(
                "\(path) is in use by another node"
                    + (holder.isEmpty ? "" : " (process \(holder))"))
        }
        let text = Array("\(getpid())\n".utf8)
        if ftruncate(descriptor, 0) != 0 || pwrite(descriptor, text, text.count, 0) != text.count {
            let error = SystemError(call: "write")
            close(descriptor)
            throw ServerFailure("\(lockPath): \(error)")
        }
        lockFile = descriptor
    }

    deinit { close(lockFile) }

    package var metadataPath: String { path + "/metadata.db" }
    package var controlPath: String { path + "/control.sock" }
    package var filesPath: String { path + "/files" }

    /// Tries for a moment: `holder` holds the lock for as long as it takes to ask.
    private static func takeLock(_ descriptor: Int32) -> Bool {
        for _ in 0..<20 {
            if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { return true }
            usleep(5_000)
        }
        return false
    }

    /// The process that serves the folder now; nil if none does.
    package static func holder(path: String) throws(ServerFailure) -> Int32? {
        let lockPath = path + "/lock"
        let descriptor = open(lockPath, O_RDWR | O_CLOEXEC)
        if descriptor < 0 {
            if errno == ENOENT || errno == ENOTDIR { return nil }
            throw ServerFailure("\(lockPath): \(SystemError(call: "open"))")
        }
        defer { close(descriptor) }
        // Shared, so that two who ask do not see each other.
        if flock(descriptor, LOCK_SH | LOCK_NB) == 0 { return nil }
        return Int32(firstLine(of: descriptor))
    }

    /// Creates a folder and its missing parents.
    package static func createFolders(_ path: String) throws(ServerFailure) {
        var current = path.hasPrefix("/") ? "/" : ""
        for part in path.split(separator: "/") {
            current += (current.isEmpty || current.hasSuffix("/") ? "" : "/") + part
            if mkdir(current, 0o755) != 0, errno != EEXIST {
                let error = SystemError(call: "mkdir")
                // A parent that is there may still answer that this user may not write beside it.
                var status = stat()
                if stat(current, &status) == 0, status.st_mode & S_IFMT == S_IFDIR { continue }
                throw ServerFailure("\(current): \(error)")
            }
        }
    }

    private static func firstLine(of descriptor: Int32) -> String {
        var buffer = [UInt8](repeating: 0, count: 32)
        let count = pread(descriptor, &buffer, buffer.count, 0)
        if count <= 0 { return "" }
        return String(
            decoding: buffer[0..<count].prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
    }
}
