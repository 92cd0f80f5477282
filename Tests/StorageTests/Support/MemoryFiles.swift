// A folder in memory, as the engine's tests see the disk: with a count of operations after which it
// dies, and with the difference between what was written and what was synced.

import Encoding
import Environment

final class MemoryFiles: FileSystem {
    final class Inode {
        var bytes: [UInt8] = []
        /// The bytes at the last sync.
        var durable: [UInt8] = []
    }

    var names: [FileName: Inode] = [:]
    private var durableNames: [FileName: Inode] = [:]
    /// Operations left until every call fails with `.crashed`; nil: it never dies.
    var operationsLeft: Int?
    var operations = 0
    /// What a call that changes that file fails with; nil: it does not.
    var failure: (FileName) -> DiskFailure.Reason? = { _ in nil }
    /// Bytes read of each file.
    var bytesRead: [FileName: Int] = [:]

    private func count(_ file: FileName) throws(DiskFailure) {
        operations += 1
        if let reason = failure(file) {
            throw DiskFailure(reason, file: file, detail: "planned failure")
        }
        guard let left = operationsLeft else { return }
        if left <= 0 { throw DiskFailure(.crashed, file: file, detail: "planned crash") }
        operationsLeft = left - 1
    }

    private func inode(_ file: FileName) throws(DiskFailure) -> Inode {
        guard let inode = names[file] else {
            throw DiskFailure(.notFound, file: file, detail: "no such file")
        }
        return inode
    }

    func list() throws(DiskFailure) -> [FileName] { names.keys.sorted() }
    func size(of file: FileName) throws(DiskFailure) -> Int { try inode(file).bytes.count }
    /// Bytes of all names together above which a write finds the disk full.
    var capacityBytes = Int.max
    private var usedBytes: Int { names.values.reduce(0) { $0 + $1.bytes.count } }
    func space() throws(DiskFailure) -> VolumeSpace {
        VolumeSpace(freeBytes: max(0, capacityBytes - usedBytes), totalBytes: capacityBytes)
    }
    func create(_ file: FileName, preallocate: Int) throws(DiskFailure) {
        try count(file)
        names[file] = Inode()
    }
    func write(
        _ file: FileName, at offset: Int, _ bytes: UnsafeRawBufferPointer
    ) throws(DiskFailure) {
        try count(file)
        let inode = try inode(file)
        if capacityBytes != .max, offset + bytes.count > inode.bytes.count,
            usedBytes + offset + bytes.count - inode.bytes.count > capacityBytes
        {
            throw DiskFailure(.full, file: file, detail: "no space left in memory")
        }
        while inode.bytes.count < offset { inode.bytes.append(0) }
        let end = min(inode.bytes.count, offset + bytes.count)
        inode.bytes.replaceSubrange(offset..<end, with: bytes)
    }
    func read(
        _ file: FileName, at offset: Int, count: Int, into: ByteWriter
    ) throws(DiskFailure) {
        let inode = try inode(file)
        let end = min(offset + count, inode.bytes.count)
        bytesRead[file, default: 0] += max(0, end - offset)
        if offset < end { into.append(Array(inode.bytes[offset..<end])) }
    }
    func truncate(_ file: FileName, to size: Int) throws(DiskFailure) {
        try count(file)
        let inode = try inode(file)
        while inode.bytes.count < size { inode.bytes.append(0) }
        inode.bytes.removeLast(inode.bytes.count - size)
    }
    func sync(_ file: FileName) throws(DiskFailure) {
        try count(file)
        let inode = try inode(file)
        inode.durable = inode.bytes
    }
    func rename(_ file: FileName, to: FileName) throws(DiskFailure) {
        try count(file)
        names[to] = try inode(file)
        names[file] = nil
    }
    func link(_ file: FileName, to: FileName) throws(DiskFailure) {
        try count(file)
        names[to] = try inode(file)
    }
    func remove(_ file: FileName) throws(DiskFailure) {
        try count(file)
        _ = try inode(file)
        names[file] = nil
    }
    func syncFolder() throws(DiskFailure) {
        try count(FileName("folder"))
        durableNames = names
    }

    /// What a power loss leaves: durable names, and of each file a random mixture of what was synced
    /// and what was written, by sectors.
    func losePower(_ random: inout RandomStream, sector: Int = 64) {
        var kept = durableNames
        // A name that was created or removed since may or may not have reached the disk.
        for (name, inode) in names.sorted(by: { $0.key < $1.key }) where kept[name] !== inode {
            if random.chance(1, outOf: 2) { kept[name] = inode }
        }
        for (name, _) in durableNames.sorted(by: { $0.key < $1.key }) where names[name] == nil {
            if random.chance(1, outOf: 2) { kept[name] = nil }
        }
        names = kept
        durableNames = kept
        for (_, inode) in kept.sorted(by: { $0.key < $1.key }) {
            var bytes = inode.durable
            let size = random.chance(1, outOf: 2) ? inode.bytes.count : max(bytes.count, 0)
            while bytes.count < size { bytes.append(0) }
            for start in stride(from: 0, to: min(size, inode.bytes.count), by: sector)
            where random.chance(1, outOf: 2) {
                for index in start..<min(start + sector, size, inode.bytes.count) {
                    bytes[index] = inode.bytes[index]
                }
            }
            inode.bytes = bytes
            inode.durable = bytes
        }
    }
}
