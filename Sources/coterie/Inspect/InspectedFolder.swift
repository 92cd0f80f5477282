// A folder of files that is only read: of a stopped node, of a running one, or a copy of either.

internal import Encoding
internal import Environment

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Reads files; everything that would change one is refused.
final class InspectedFolder: FileSystem {
    let path: String

    init(path: String) { self.path = path }

    private func refused(_ file: FileName) -> DiskFailure {
        DiskFailure(.inputOutput, file: file, detail: "inspect changes nothing")
    }

    private func failed(_ file: FileName) -> DiskFailure {
        DiskFailure(
            errno == ENOENT ? .notFound : .inputOutput, file: file,
            detail: String(cString: strerror(errno)))
    }

    func list() throws(DiskFailure) -> [FileName] {
        guard let stream = opendir(path) else { throw failed(FileName(path)) }
        defer { closedir(stream) }
        var names: [FileName] = []
        while let entry = readdir(stream) {
            let text = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(
                    to: CChar.self, capacity: MemoryLayout.size(ofValue: pointer.pointee)
                ) { String(cString: $0) }
            }
            if !text.hasPrefix(".") { names.append(FileName(text)) }
        }
        return names.sorted()
    }

    func size(of file: FileName) throws(DiskFailure) -> Int {
        var status = stat()
        guard stat("\(path)/\(file.text)", &status) == 0 else { throw failed(file) }
        return Int(status.st_size)
    }

    func read(
        _ file: FileName, at offset: Int, count: Int, into writer: ByteWriter
    ) throws(DiskFailure) {
        let descriptor = open("\(path)/\(file.text)", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failed(file) }
        defer { close(descriptor) }
        let wanted = min(count, max(0, try size(of: file) - offset))
        var buffer = [UInt8](repeating: 0, count: min(max(wanted, 1), 1 << 20))
        var done = 0
        while done < wanted {
            let got = pread(
                descriptor, &buffer, min(buffer.count, wanted - done), off_t(offset + done))
            if got < 0 {
                if errno == EINTR { continue }
                throw failed(file)
            }
            if got == 0 { break }
            writer.append(Array(buffer[0..<got]))
            done += got
        }
    }

    func space() throws(DiskFailure) -> VolumeSpace { throw refused(FileName(path)) }
    func create(_ file: FileName, preallocate: Int) throws(DiskFailure) { throw refused(file) }
    func write(
        _ file: FileName, at offset: Int, _ bytes: UnsafeRawBufferPointer
    ) throws(DiskFailure) { throw refused(file) }
    func truncate(_ file: FileName, to size: Int) throws(DiskFailure) { throw refused(file) }
    func sync(_ file: FileName) throws(DiskFailure) { throw refused(file) }
    func rename(_ file: FileName, to: FileName) throws(DiskFailure) { throw refused(file) }
    func link(_ file: FileName, to: FileName) throws(DiskFailure) { throw refused(file) }
    func remove(_ file: FileName) throws(DiskFailure) { throw refused(file) }
    func syncFolder() throws(DiskFailure) { throw refused(FileName(path)) }
}
