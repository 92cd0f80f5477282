// The files that the shell reads whole: scripts, and options of COPY.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Reads texts from files.
enum ScriptFile {
    /// The text of a file: UTF-8 unless a byte order mark says that it is UTF-16. Throws with the words
    /// that cqlsh has for the system's error.
    static func text(_ path: String) throws(ShellFailure) -> String {
        let bytes = try bytes(path)
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) {
            return String(decoding: bytes.dropFirst(3), as: UTF8.self)
        }
        if bytes.starts(with: [0xFF, 0xFE]) { return wide(bytes.dropFirst(2), lowFirst: true) }
        if bytes.starts(with: [0xFE, 0xFF]) { return wide(bytes.dropFirst(2), lowFirst: false) }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func bytes(_ path: String) throws(ShellFailure) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure(path) }
        defer { _ = close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 * 1024)
        while true {
            let count = read(descriptor, &chunk, chunk.count)
            if count < 0 { throw failure(path) }
            if count == 0 { return bytes }
            bytes += chunk[0..<count]
        }
    }

    private static func failure(_ path: String) -> ShellFailure {
        ShellFailure(PythonText.fileError(errno, path))
    }

    private static func wide(_ bytes: ArraySlice<UInt8>, lowFirst: Bool) -> String {
        let units = stride(from: bytes.startIndex, to: bytes.endIndex - 1, by: 2).map { index in
            let (first, second) = (UInt16(bytes[index]), UInt16(bytes[index + 1]))
            return lowFirst ? second << 8 | first : first << 8 | second
        }
        return String(decoding: units, as: UTF16.self)
    }
}
