// Files as a shard's jobs and its start see them: one flat folder per node, synchronous calls. The
// node's shards share it: each shard's file names begin with its own prefix and are never used again,
// so that no two shards touch one file.
//
// Two worlds fulfil it: real files in `Disk`, and the simulated disk, where every write, sync, rename
// and folder sync is a point at which the node may crash. It is used
//   - at start, while the shard recovers, before its first step;
//   - inside `Job.step`, which the server runs on a helper thread and the simulator at virtual cost.
// On the request path a shard only emits effects (`logAppend`, `readBlock`): it never blocks here.
//
// Durability: bytes written survive a kill at once, but a power loss only after `sync` of that file;
// a created, renamed or removed name survives a power loss only after `syncFolder`.

package import Encoding

/// A file's name inside the node's folder, for example `g1s0-commitlog-17.log`.
package struct FileName: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let text: String
    package init(_ text: String) { self.text = text }
    package static func < (left: FileName, right: FileName) -> Bool { left.text < right.text }
    package var description: String { text }
}

/// The world's disk said no. The node stops taking writes; it does not guess.
package struct DiskFailure: Error, Equatable, Sendable, CustomStringConvertible {
    package enum Reason: Equatable, Sendable {
        case notFound
        case full
        case inputOutput
        /// The simulated node died in this very call. Never caught and continued.
        case crashed
    }

    package let reason: Reason
    package let file: FileName
    package let detail: String

    package init(_ reason: Reason, file: FileName, detail: String) {
        self.reason = reason
        self.file = file
        self.detail = detail
    }

    package var description: String { "\(file): \(detail)" }
}

/// How full the volume of a node's folder is.
package struct VolumeSpace: Equatable, Sendable {
    /// What this node may still write.
    package let freeBytes: Int
    package let totalBytes: Int

    package init(freeBytes: Int, totalBytes: Int) {
        self.freeBytes = freeBytes
        self.totalBytes = totalBytes
    }
}

/// The node's folder. Offsets are bytes from the start of the file.
package protocol FileSystem: AnyObject {
    /// Names in the folder, sorted.
    func list() throws(DiskFailure) -> [FileName]
    func size(of file: FileName) throws(DiskFailure) -> Int
    /// Bytes that the volume can still take, and its size: for decisions that must not fill it. What
    /// others write meanwhile makes it an estimate.
    func space() throws(DiskFailure) -> VolumeSpace
    /// Creates an empty file, replacing one of that name. `preallocate` reserves space without
    /// changing what a reader may trust: unwritten bytes read as zeros.
    func create(_ file: FileName, preallocate: Int) throws(DiskFailure)
    /// Writes at an offset, growing the file if need be.
    func write(_ file: FileName, at offset: Int, _ bytes: UnsafeRawBufferPointer)
        throws(DiskFailure)
    /// Appends up to `count` bytes from `offset` to `into`; fewer only at the file's end.
    func read(_ file: FileName, at offset: Int, count: Int, into: ByteWriter) throws(DiskFailure)
    func truncate(_ file: FileName, to size: Int) throws(DiskFailure)
    /// Returns when the file's bytes would survive a power loss.
    func sync(_ file: FileName) throws(DiskFailure)
    func rename(_ file: FileName, to: FileName) throws(DiskFailure)
    /// Gives the same bytes a second name (a hard link); each name is removed on its own.
    func link(_ file: FileName, to: FileName) throws(DiskFailure)
    func remove(_ file: FileName) throws(DiskFailure)
    /// Returns when creations, renames and removals would survive a power loss.
    func syncFolder() throws(DiskFailure)
}

/// Background work as a step machine: flush, compaction, hint replay, scrub. The shard makes it, a
/// worker of the world owns it until it has ended, and then the shard takes its result.
package protocol Job: AnyObject {
    /// A word for people, for example `flush ks.table`.
    var title: String { get }
    /// Does at most about `budgetBytes` of input or output and returns. Never called again after
    /// `.done` or a thrown failure.
    func step(_ files: any FileSystem, budgetBytes: Int) throws(DiskFailure) -> JobProgress
}

/// What one step of a job achieved.
package enum JobProgress: Equatable, Sendable {
    /// There is more to do; `bytes` were read or written in this step.
    case more(bytes: Int)
    case done(bytes: Int)
}
