// Files from outside a node's folder, brought in under names of their own: by a hard link where that is
// possible, else by a copy. The folder that they come from stays as it is.

internal import Disk

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Brings the files of an import into the node's folder.
enum ImportStaging {
    /// The longest name that file systems allow.
    private static let maximumNameBytes = 255

    /// Links or copies every file of a snapshot in `source`; `lead` goes before its name.
    static func stage(
        _ source: String, into target: String, lead: String
    ) throws(ServerFailure) {
        let names = try list(source).filter { $0.hasSuffix(".db") || $0.hasSuffix("-manifest") }
        guard names.contains(where: { $0.hasSuffix("-manifest") }) else {
            throw ServerFailure(
                "\(source) holds no snapshot: its files end in .db and -manifest")
        }
        for name in names {
            guard lead.utf8.count + name.utf8.count <= maximumNameBytes else {
                throw ServerFailure("\(source)/\(name): the name is too long")
            }
            try bring("\(source)/\(name)", to: "\(target)/\(lead)\(name)")
        }
    }

    private static func list(_ path: String) throws(ServerFailure) -> [String] {
        guard let stream = opendir(path) else {
            throw ServerFailure("\(path): \(SystemError(call: "opendir"))")
        }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let text = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(
                    to: CChar.self, capacity: MemoryLayout.size(ofValue: pointer.pointee)
                ) { String(cString: $0) }
            }
            if !text.hasPrefix(".") { names.append(text) }
        }
        return names.sorted()
    }

    private static func bring(_ source: String, to target: String) throws(ServerFailure) {
        if link(source, target) == 0 { return }
        // Another volume, or a file that this user may read and not link.
        let from = open(source, O_RDONLY | O_CLOEXEC)
        guard from >= 0 else { throw ServerFailure("\(source): \(SystemError(call: "open"))") }
        defer { close(from) }
        let to = open(target, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode_t(0o644))
        guard to >= 0 else { throw ServerFailure("\(target): \(SystemError(call: "create"))") }
        defer { close(to) }
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        while true {
            let count = read(from, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else {
                throw ServerFailure("\(source): \(SystemError(call: "read"))")
            }
            if count == 0 { break }
            guard write(to, buffer, count) == count else {
                throw ServerFailure("\(target): \(SystemError(call: "write"))")
            }
        }
        guard fsync(to) == 0 else { throw ServerFailure("\(target): \(SystemError(call: "sync"))") }
    }
}
