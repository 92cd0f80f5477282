// A node's folder on the simulated disk, shared by its shards as the seam has it.
//
// What was written survives a kill at once. A power loss makes any subset of the unsynced sectors
// vanish (`SimulatedFile`), and any subset of the folder's changes since its last sync: a created
// name, a removed one, a rename (which is one change: a journaling file system never shows half of
// it). Every write, truncation, sync, rename, link, removal and folder sync is a point at which the
// node may crash: the call then throws `.crashed`, having done its work or not, as the stream says.
//
// The disk can also lie: a bit flips (`damage`), a sector is written in part when power is lost, a
// call fails (`failsHere`), the disk is full (`capacityBytes`). A write that fails has done a part of
// its work; after a sync that failed, any subset of what it should have made durable is lost.

package import Encoding
package import Environment

/// The calls of a file system, as far as they fail each in its own way.
package enum DiskCall: String, Sendable, CaseIterable {
    case read
    case write
    case sync
    /// All that changes the folder: create, rename, link, remove, truncate, and its sync.
    case folder
}

/// One node's files, owned by one world; it outlives the lives of its node.
package final class SimulatedDisk: FileSystem {
    private enum FolderChange {
        case link(FileName, SimulatedFile)
        case unlink(FileName)
        case rename(FileName, FileName, SimulatedFile)
    }

    /// Asked at each point at which the node may crash; true: it dies here.
    package var crashesHere: () -> Bool = { false }
    /// Asked at each call that may fail; a reason: it fails with it.
    package var failsHere: (DiskCall, FileName) -> DiskFailure.Reason? = { _, _ in nil }
    /// Bytes of all files together above which a write finds the disk full.
    package var capacityBytes = Int.max
    /// Once the node has died, every call fails until the world starts it again.
    package var isDead = false
    /// A file of which every read and write fails, as of a broken sector.
    package var brokenFile: FileName?

    private var files: [FileName: SimulatedFile] = [:]
    private var durableFiles: [FileName: SimulatedFile] = [:]
    private var changes: [FolderChange] = []
    private var stream: RandomStream
    private var nextSync: UInt64 = 1
    /// How many crash points were passed, for tests that want to hit each of them.
    package private(set) var crashPointCount = 0
    /// Bytes moved by reads and writes, for the world's cost model.
    package private(set) var movedBytes = 0

    /// An empty folder; `stream` draws what a crash leaves.
    package init(stream: RandomStream) { self.stream = stream }

    // MARK: FileSystem

    package func list() throws(DiskFailure) -> [FileName] {
        if isDead { throw crashed(FileName("")) }
        return files.keys.sorted()
    }

    package func size(of file: FileName) throws(DiskFailure) -> Int { try find(file).size }

    package func space() throws(DiskFailure) -> VolumeSpace {
        if isDead { throw crashed(FileName("")) }
        guard capacityBytes != .max else {
            return VolumeSpace(freeBytes: .max, totalBytes: .max)
        }
        return VolumeSpace(
            freeBytes: max(0, capacityBytes - usedBytes), totalBytes: capacityBytes)
    }

    package func create(_ file: FileName, preallocate: Int) throws(DiskFailure) {
        try folderCall(file)
        try crashPoint(file) {
            let created = SimulatedFile(preallocate: preallocate)
            files[file] = created
            changes.append(.link(file, created))
        }
    }

    package func write(
        _ file: FileName, at offset: Int, _ bytes: UnsafeRawBufferPointer
    ) throws(DiskFailure) {
        let found = try find(file)
        guard offset >= 0 else {
            throw DiskFailure(.inputOutput, file: file, detail: "negative offset \(offset)")
        }
        if capacityBytes != .max, offset + bytes.count > found.size,
            usedBytes + offset + bytes.count - found.size > capacityBytes
        {
            throw DiskFailure(.full, file: file, detail: "no space left on the simulated disk")
        }
        movedBytes += bytes.count
        if let reason = failsHere(.write, file) {
            let done = Int(stream.below(UInt64(bytes.count + 1)))
            found.write(at: offset, UnsafeRawBufferPointer(rebasing: bytes[..<done]))
            throw failure(reason, file)
        }
        try crashPoint(file) { found.write(at: offset, bytes) }
    }

    package func read(
        _ file: FileName, at offset: Int, count: Int, into: ByteWriter
    ) throws(DiskFailure) {
        let found = try find(file)
        guard offset >= 0, count >= 0 else {
            throw DiskFailure(.inputOutput, file: file, detail: "bad range \(offset), \(count)")
        }
        if let reason = failsHere(.read, file) { throw failure(reason, file) }
        movedBytes += count
        found.read(at: offset, count: count, into: into)
    }

    package func truncate(_ file: FileName, to size: Int) throws(DiskFailure) {
        try folderCall(file)
        let found = try find(file)
        try crashPoint(file) { found.truncate(to: size) }
    }

    package func sync(_ file: FileName) throws(DiskFailure) {
        let found = try find(file)
        if let reason = failsHere(.sync, file) {
            found.losePower(&stream)
            throw failure(reason, file)
        }
        try crashPoint(file) { found.sync() }
    }

    package func rename(_ file: FileName, to target: FileName) throws(DiskFailure) {
        try folderCall(file)
        let found = try find(file)
        try crashPoint(file) {
            files[file] = nil
            files[target] = found
            changes.append(.rename(file, target, found))
        }
    }

    package func link(_ file: FileName, to target: FileName) throws(DiskFailure) {
        try folderCall(file)
        let found = try find(file)
        try crashPoint(file) {
            files[target] = found
            changes.append(.link(target, found))
        }
    }

    package func remove(_ file: FileName) throws(DiskFailure) {
        try folderCall(file)
        _ = try find(file)
        try crashPoint(file) {
            files[file] = nil
            changes.append(.unlink(file))
        }
    }

    package func syncFolder() throws(DiskFailure) {
        try folderCall(FileName(""))
        if isDead { throw crashed(FileName("")) }
        try crashPoint(FileName("")) { makeFolderDurable() }
    }

    // MARK: The world's side

    /// Begins the sync of a log file; `endLogSync` makes durable what was there now.
    func beginLogSync(_ file: FileName) throws(DiskFailure) -> UInt64 {
        let found = try find(file)
        let token = nextSync
        nextSync += 1
        found.beginSync(token: token)
        return token
    }

    /// Ends a sync, unless the file is gone or the node died in between.
    func endLogSync(_ file: FileName, token: UInt64) { files[file]?.endSync(token: token) }

    /// A crash point that is no call of the file system: the end of a log's sync, a commit of metadata.
    package func passCrashPoint() throws(DiskFailure) {
        if isDead { throw crashed(FileName("")) }
        try crashPoint(FileName("")) {}
    }

    /// Makes of the folder what a power loss may leave. If the disk `tears`, one sector of each file
    /// that was not synced may hold a part of its new bytes.
    package func losePower(tears: Bool = false) {
        if !changes.isEmpty {
            let mode = stream.below(4)
            for change in changes {
                let survives = mode == 0 ? false : mode == 1 ? true : stream.chance(1, outOf: 2)
                if survives { apply(change) }
            }
            changes.removeAll()
        }
        files = durableFiles
        // A file with two names is drawn once: the first draw leaves it durable.
        for name in files.keys.sorted() { files[name]?.losePower(&stream, tears: tears) }
    }

    /// Flips one bit of a file, as a failing disk would.
    @discardableResult
    package func damage(
        _ file: FileName, at offset: Int, bit: UInt8
    ) throws(DiskFailure) -> SimulatedDamage {
        let found = try find(file)
        guard let damage = SimulatedDamage(found, file, offset, bit) else {
            throw DiskFailure(.inputOutput, file: file, detail: "no byte at \(offset)")
        }
        return damage
    }

    /// The names under which the damaged file is known: the one that it had, and those that it has.
    package func names(of damage: SimulatedDamage) -> [FileName] {
        [damage.file] + files.keys.sorted().filter { files[$0] === damage.content }
    }

    /// How many bytes of a file were ever written: the rest reads as zeros.
    package func writtenBytes(of file: FileName) -> Int { files[file]?.writtenBytes ?? 0 }

    /// Whether a power loss now would lose anything.
    package var isDurable: Bool { changes.isEmpty && files.values.allSatisfy(\.isDurable) }

    package var usedBytes: Int { files.values.reduce(0) { $0 + $1.size } }

    private func makeFolderDurable() {
        durableFiles = files
        changes.removeAll()
    }

    private func apply(_ change: FolderChange) {
        switch change {
        case .link(let name, let file): durableFiles[name] = file
        case .unlink(let name): durableFiles[name] = nil
        case .rename(let source, let target, let file):
            if durableFiles[source] === file { durableFiles[source] = nil }
            durableFiles[target] = file
        }
    }

    private func find(_ file: FileName) throws(DiskFailure) -> SimulatedFile {
        if isDead { throw crashed(file) }
        if let brokenFile, brokenFile == file {
            throw DiskFailure(.inputOutput, file: file, detail: "simulated input/output error")
        }
        guard let found = files[file] else {
            throw DiskFailure(.notFound, file: file, detail: "no such file")
        }
        return found
    }

    private func folderCall(_ file: FileName) throws(DiskFailure) {
        if isDead { throw crashed(file) }
        if let reason = failsHere(.folder, file) { throw failure(reason, file) }
    }

    private func failure(_ reason: DiskFailure.Reason, _ file: FileName) -> DiskFailure {
        DiskFailure(reason, file: file, detail: "simulated failure of the disk")
    }

    private func crashed(_ file: FileName) -> DiskFailure {
        DiskFailure(.crashed, file: file, detail: "the simulated node is dead")
    }

    /// Does `work` unless the node dies before it; throws if it dies before or after.
    private func crashPoint(_ file: FileName, _ work: () -> Void) throws(DiskFailure) {
        crashPointCount += 1
        guard crashesHere() else {
            work()
            return
        }
        if stream.chance(1, outOf: 2) { work() }
        isDead = true
        throw crashed(file)
    }
}
