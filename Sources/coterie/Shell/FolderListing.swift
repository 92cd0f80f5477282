// Names of files that a path being typed may lead to.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Lists folders for completion.
enum FolderListing {
    /// The entries that begin as `typed` ends; folders end with a slash.
    static func complete(_ typed: String) -> Completer.Result {
        let path = ShellSession.expandedPath(typed)
        let slash = path.lastIndex(of: "/")
        let folder = slash.map { String(path[...$0]) } ?? "./"
        let prefix = String(slash.map { path[path.index(after: $0)...] } ?? path[...])
        var candidates: [String] = []
        guard let listing = opendir(folder) else {
            return .init(candidates: [], replaced: prefix.count)
        }
        defer { closedir(listing) }
        while let entry = readdir(listing) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            guard name.hasPrefix(prefix), name != ".", name != "..",
                prefix.hasPrefix(".") || !name.hasPrefix(".")
            else { continue }
            var status = stat()
            let isFolder = stat(folder + name, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
            candidates.append(name + (isFolder ? "/" : "'"))
        }
        return .init(candidates: candidates.sorted(), replaced: prefix.count)
    }
}
