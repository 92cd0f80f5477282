// Keeps a second engine out of a folder, in this process or another.

internal import Disk

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// The lock of a folder, held as long as this value's owner lives; the kernel frees it with the process.
final class FolderLock: Sendable {
    private let descriptor: Int32

    /// Takes the lock of the folder at `path`, which is there.
    init(path: String) throws(EngineError) {
        let opened = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        if opened < 0 { throw .disk("\(path): \(SystemError(call: "open"))") }
        guard flock(opened, LOCK_EX | LOCK_NB) == 0 else {
            close(opened)
            throw .locked("\(path) is in use by another engine")
        }
        descriptor = opened
    }

    deinit { close(descriptor) }
}
