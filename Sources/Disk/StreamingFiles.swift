// The folder as background jobs use it: what a flush or a compaction moves does not push out of the page
// cache what readers have there. Large reads are forgotten as they go, and large files that were written
// as soon as they are synced.
//
// A job reads files that it will soon make superfluous and writes files whose blocks readers fetch one by
// one: neither gains by staying in the cache whole. Small files (manifest, log headers) are left alone:
// a page of the log that is forgotten would have to be read again before the next append to it.

internal import Encoding
internal import Environment

/// A view of the node's folder for one job. Used by the thread that steps the job.
final class StreamingFiles: FileSystem {
    private let files: RealFileSystem
    /// Bytes written to each file since it was created here.
    private var written: [FileName: Int] = [:]
    /// From this size on a file, or a read, is not kept.
    private static let largeBytes = 256 << 10

    init(_ files: RealFileSystem) { self.files = files }

    func list() throws(DiskFailure) -> [FileName] { try files.list() }
    func size(of file: FileName) throws(DiskFailure) -> Int { try files.size(of: file) }
    func space() throws(DiskFailure) -> VolumeSpace { try files.space() }
    func create(_ file: FileName, preallocate: Int) throws(DiskFailure) {
        try files.create(file, preallocate: preallocate)
        written[file] = 0
    }
    func write(
        _ file: FileName, at offset: Int, _ bytes: UnsafeRawBufferPointer
    ) throws(DiskFailure) {
        try files.write(file, at: offset, bytes)
        if let before = written[file] { written[file] = before + bytes.count }
    }
    func read(
        _ file: FileName, at offset: Int, count: Int, into writer: ByteWriter
    ) throws(DiskFailure) {
        try files.read(file, at: offset, count: count, into: writer)
        if count >= Self.largeBytes { try files.forget(file, from: offset, count: count) }
    }
    func truncate(_ file: FileName, to size: Int) throws(DiskFailure) {
        try files.truncate(file, to: size)
    }
    func sync(_ file: FileName) throws(DiskFailure) {
        try files.sync(file)
        if let bytes = written[file], bytes >= Self.largeBytes {
            try files.forget(file, from: 0, count: 0)
        }
    }
    func rename(_ file: FileName, to target: FileName) throws(DiskFailure) {
        try files.rename(file, to: target)
        written[target] = written.removeValue(forKey: file)
    }
    func link(_ file: FileName, to target: FileName) throws(DiskFailure) {
        try files.link(file, to: target)
    }
    func remove(_ file: FileName) throws(DiskFailure) {
        try files.remove(file)
        written[file] = nil
    }
    func syncFolder() throws(DiskFailure) { try files.syncFolder() }
}
