// A folder in memory with the files that a target wants a decoder to find.

import Encoding
import Environment

final class FuzzFiles: FileSystem {
    private var files: [FileName: [UInt8]]

    init(_ files: [FileName: [UInt8]]) { self.files = files }

    private func find(_ file: FileName) throws(DiskFailure) -> [UInt8] {
        guard let bytes = files[file] else {
            throw DiskFailure(.notFound, file: file, detail: "no such file")
        }
        return bytes
    }

    func list() throws(DiskFailure) -> [FileName] { files.keys.sorted() }
    func size(of file: FileName) throws(DiskFailure) -> Int { try find(file).count }
    func space() throws(DiskFailure) -> VolumeSpace {
        VolumeSpace(freeBytes: .max, totalBytes: .max)
    }
    func create(_ file: FileName, preallocate: Int) throws(DiskFailure) { files[file] = [] }
    func write(
        _ file: FileName, at offset: Int, _ bytes: UnsafeRawBufferPointer
    ) throws(DiskFailure) {
        var content = try find(file)
        if content.count < offset {
            content.append(contentsOf: repeatElement(0, count: offset - content.count))
        }
        let end = min(content.count, offset + bytes.count)
        content.replaceSubrange(offset..<end, with: bytes)
        files[file] = content
    }
    func read(
        _ file: FileName, at offset: Int, count: Int, into: ByteWriter
    ) throws(DiskFailure) {
        let content = try find(file)
        guard offset < content.count else { return }
        let end = count < content.count - offset ? offset + count : content.count
        into.append(Array(content[offset..<end]))
    }
    func truncate(_ file: FileName, to size: Int) throws(DiskFailure) {
        files[file] = Array(try find(file).prefix(size))
    }
    func sync(_ file: FileName) throws(DiskFailure) { _ = try find(file) }
    func rename(_ file: FileName, to target: FileName) throws(DiskFailure) {
        files[target] = try find(file)
        files[file] = nil
    }
    func link(_ file: FileName, to target: FileName) throws(DiskFailure) {
        files[target] = try find(file)
    }
    func remove(_ file: FileName) throws(DiskFailure) {
        _ = try find(file)
        files[file] = nil
    }
    func syncFolder() throws(DiskFailure) {}
}
