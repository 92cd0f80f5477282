// Hints: mutations for replicas that could not be reached, kept in files of their own until they are
// delivered (docs/formats/hints.md). One store for each shard, for the hints that it coordinated.
//
//     add --> unwritten bytes --endTick--> active file of the target --full--> closed files
//     nextBatch <-- decoded records <-- block reads <-- files, oldest first
//
//     file   := header | record*
//     header := magic u32 "CTHN" | version u32 | number u64 | CRC32C u32 of these | zero u32
//     record := length u32 | CRC32C u32 of what follows, seeded with the file's number
//               | created i64 | expires i64 | mutation          (microseconds since 1970)
//
// Hints are best effort by design. Appended bytes survive a kill, and a power loss only by luck; progress
// inside a file is not stored, so a file that was half delivered is delivered again from its begin after
// a restart, which is harmless because mutations are idempotent. A file with a damaged record is given
// up from there on, and the loss is counted.
//
// Bounds: a target's files together have at most `maximumBytesPerHost` bytes; what comes then is dropped
// and counted. In memory there are only the bytes of the current step and one block for each target.
//
// What has become of a hint's table since it was made is the caller's to know: it says of each hint whether it
// is still wanted, and one that is not is passed over like one that has expired.

internal import Encoding
package import Environment

/// What a hint store is opened with.
package struct HintStoreStart {
    package var prefix: String
    package var maximumBytesPerHost: Int
    package var fileBytes: Int
    package var effectIDs: EffectIDs

    package init(
        prefix: String, maximumBytesPerHost: Int, fileBytes: Int = 4 << 20, effectIDs: EffectIDs
    ) {
        self.prefix = prefix
        self.maximumBytesPerHost = maximumBytesPerHost
        self.fileBytes = fileBytes
        self.effectIDs = effectIDs
    }
}

/// The hints of one shard.
package final class HintStore {
    private static let blockBytes = 64 << 10
    static let magic: UInt32 = 0x4E48_5443
    static let formatVersion: UInt32 = 1
    static let fileHeaderBytes = 24
    private static let headerBytes = 8
    private static let stampBytes = 16
    private static let maximumRecordBytes = 64 << 20

    private struct File {
        let number: UInt64
        let name: FileName
        var size: Int
        /// The file is there, so that bytes may be appended.
        var isCreated: Bool
    }

    private final class Target {
        let host: HostID
        /// Oldest first; the last one is the active one if `hasActive`.
        var files: [File] = []
        var hasActive = false
        let unwritten = ByteWriter(capacity: 256)
        /// How much of the first file is delivered.
        var delivered = 0
        /// Bytes of the first file from `delivered` on.
        var block: [UInt8] = []
        var reading: EffectID?
        /// Where the batch on its way ends, counted from `delivered`, and how many hints it has.
        var batch: (bytes: Int, count: Int)?
        /// When the first hint was made that is kept, or at the latest.
        var oldest: WallTime?

        init(host: HostID) { self.host = host }

        var bytes: Int { files.reduce(unwritten.count) { $0 + $1.size } - delivered }
    }

    private let start: HintStoreStart
    private var targetsByHost: [HostID: Target] = [:]
    private var nextNumber: UInt64 = 1
    private var creations: [EffectID: (host: HostID, number: UInt64)] = [:]
    private var removals: Set<EffectID> = []
    private var reads: [EffectID: HostID] = [:]
    private var finished: [FileName] = []
    /// Hints that were not kept because their target has too many, and those lost in damaged files.
    package private(set) var droppedCount = 0
    package private(set) var damagedFileCount = 0

    private init(_ start: HintStoreStart) { self.start = start }

    /// Finds the files of former lives. A file of a newer version is refused by name: to deliver the rest
    /// and drop it would lose what a newer node has promised to keep.
    package static func open(
        _ start: HintStoreStart, files: any FileSystem, clock: ClockReading
    ) throws(StorageError) -> HintStore {
        let store = HintStore(start)
        let names = try storing { () throws(DiskFailure) in try files.list() }
        for name in names {
            guard let (host, number) = store.parse(name) else { continue }
            let target = store.target(host)
            let size = try storing { () throws(DiskFailure) in try files.size(of: name) }
            try refuseNewer(name, size: size, files)
            target.files.append(
                File(number: number, name: name, size: size, isCreated: true))
            store.nextNumber = max(store.nextNumber, number + 1)
        }
        for target in store.targetsByHost.values {
            target.files.sort { $0.number < $1.number }
            if let file = target.files.first {
                target.oldest = try firstTime(in: file.name, size: file.size, files)
            }
        }
        return store
    }

    /// When the first hint of a file was made; nil for one without hints. Nothing but the window goes by it, so
    /// that the record need not be checked here.
    private static func firstTime(
        in name: FileName, size: Int, _ files: any FileSystem
    ) throws(StorageError) -> WallTime? {
        let offset = fileHeaderBytes + headerBytes
        guard size >= offset + stampBytes else { return nil }
        let stamp = ByteWriter(capacity: 8)
        try storing { () throws(DiskFailure) in
            try files.read(name, at: offset, count: 8, into: stamp)
        }
        guard stamp.count == 8 else { return nil }
        return WallTime(
            microseconds: Int64(
                littleEndian: stamp.bytes.loadUnaligned(fromByteOffset: 0, as: Int64.self)))
    }

    static func refuseNewer(
        _ name: FileName, size: Int, _ files: any FileSystem
    ) throws(StorageError) {
        guard size >= fileHeaderBytes else { return }
        let head = ByteWriter(capacity: fileHeaderBytes)
        try storing { () throws(DiskFailure) in
            try files.read(name, at: 0, count: fileHeaderBytes, into: head)
        }
        let bytes = head.bytes
        guard bytes.count == fileHeaderBytes else { return }
        func word(_ offset: Int) -> UInt32 {
            UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
        }
        let isSound =
            word(0) == magic
            && word(16) == CRC32C.checksum(UnsafeRawBufferPointer(rebasing: bytes[..<16]))
        if isSound, word(4) > formatVersion {
            throw .newerFormat(file: name, version: word(4))
        }
    }

    /// What every file of today's version begins with.
    static func header(number: UInt64) -> [UInt8] {
        let writer = ByteWriter(capacity: fileHeaderBytes)
        writer.appendLittleEndian(magic)
        writer.appendLittleEndian(formatVersion)
        writer.appendLittleEndian(number)
        writer.appendLittleEndian(CRC32C.checksum(writer.bytes))
        writer.appendLittleEndian(UInt32(0))
        return writer.array
    }

    private func parse(_ name: FileName) -> (HostID, UInt64)? {
        let lead = start.prefix + "hints-"
        guard name.text.hasPrefix(lead), name.text.hasSuffix(".hint") else { return nil }
        let middle = name.text.dropFirst(lead.count).dropLast(5)
        guard middle.count > 37, let id = UniqueID(middle.prefix(36)),
            let number = UInt64(middle.dropFirst(37))
        else { return nil }
        return (HostID(id), number)
    }

    private func target(_ host: HostID) -> Target {
        if let found = targetsByHost[host] { return found }
        let made = Target(host: host)
        targetsByHost[host] = made
        return made
    }

    // MARK: Questions

    package var isEmpty: Bool { targetsByHost.values.allSatisfy { $0.bytes <= 0 } }

    /// The hosts that hints are kept for, sorted.
    package var targets: [HostID] {
        targetsByHost.filter { $0.value.bytes > 0 }.keys.sorted()
    }

    /// Files kept for a host.
    package func fileCount(for host: HostID) -> Int { targetsByHost[host]?.files.count ?? 0 }

    /// When the first of the hints was made that are kept for a host; nil if there are none.
    package func oldest(for host: HostID) -> WallTime? {
        guard let target = targetsByHost[host], target.bytes > 0 else { return nil }
        return target.oldest
    }

    /// Bytes kept for a host.
    package func bytes(for host: HostID) -> Int { targetsByHost[host]?.bytes ?? 0 }

    // MARK: Adding

    /// Keeps a mutation, which reaches its file at the end of the step; false if its target has too many.
    @discardableResult
    package func add(
        target host: HostID, mutation: [UInt8], createdAt: WallTime, expiresAt: WallTime
    ) -> Bool {
        let target = target(host)
        let size =
            Self.fileHeaderBytes + Self.headerBytes + Self.stampBytes + mutation.count
        guard target.bytes + size <= start.maximumBytesPerHost else {
            droppedCount += 1
            return false
        }
        if target.bytes <= 0 || target.oldest == nil { target.oldest = createdAt }
        if !target.hasActive || (target.files.last?.size ?? 0) >= start.fileBytes {
            rotate(target)
        }
        let record = target.unwritten
        let number = target.files.last?.number ?? 0
        if record.count == 0, target.files.last?.size == 0 {
            record.append(Self.header(number: number))
        }
        let begin = record.count
        record.appendLittleEndian(UInt32(Self.stampBytes + mutation.count))
        record.appendLittleEndian(UInt32(0))
        let body = record.count
        record.appendLittleEndian(createdAt.microseconds)
        record.appendLittleEndian(expiresAt.microseconds)
        record.append(mutation)
        record.overwriteLittleEndian(
            at: begin + 4,
            CRC32C.checksum(
                record[ByteRange(offset: body, count: record.count - body)],
                seed: UInt32(truncatingIfNeeded: number)))
        return true
    }

    /// Begins a new active file. Only called when nothing of the former one is unwritten.
    private func rotate(_ target: Target) {
        guard target.unwritten.count == 0 else { return }
        let number = nextNumber
        nextNumber += 1
        target.files.append(
            File(
                number: number,
                name: FileName("\(start.prefix)hints-\(target.host)-\(number).hint"), size: 0,
                isCreated: false))
        target.hasActive = true
    }

    // MARK: Delivering

    /// The next hints for a host, oldest first; empty if there are none, if a batch is on its way, or if
    /// they must be read from disk first (`receive` then says so). Those that have expired, or are not wanted
    /// (when they were made, and the mutation), are passed over.
    package func nextBatch(
        _ host: HostID, maximum: Int, clock: ClockReading, outbox: Outbox,
        isWanted: (WallTime, [UInt8]) -> Bool = { _, _ in true }
    ) -> [[UInt8]] {
        guard let target = targetsByHost[host], target.batch == nil, target.reading == nil else {
            return []
        }
        while let file = target.files.first {
            var batch: [[UInt8]] = []
            var offset = 0
            var isDamaged = !passHeader(target, file)
            while batch.count < maximum, target.delivered > 0 {
                switch record(in: target.block, at: offset, number: file.number) {
                case .whole(let created, let expires, let mutation, let next):
                    if offset == 0 { target.oldest = created }
                    if expires > clock.wall.microseconds, isWanted(created, mutation) {
                        batch.append(mutation)
                    }
                    offset = next
                    continue
                case .partial: break
                case .damaged: isDamaged = true
                }
                break
            }
            if !batch.isEmpty {
                target.batch = (offset, batch.count)
                return batch
            }
            target.delivered += offset
            target.block.removeFirst(offset)
            if isDamaged {
                damagedFileCount += 1
                finishFirst(target, outbox)
            } else if target.delivered + target.block.count < file.size {
                read(target, file, outbox)
                return []
            } else if target.files.count > 1 || target.unwritten.count == 0 {
                if !target.block.isEmpty { damagedFileCount += 1 }
                finishFirst(target, outbox)
            } else {
                return []
            }
        }
        return []
    }

    /// Takes the header off the first file's block once it is there; false if it is damaged.
    private func passHeader(_ target: Target, _ file: File) -> Bool {
        guard target.delivered == 0, target.block.count >= Self.fileHeaderBytes else { return true }
        guard target.block.starts(with: Self.header(number: file.number)) else { return false }
        target.delivered = Self.fileHeaderBytes
        target.block.removeFirst(Self.fileHeaderBytes)
        return true
    }

    private enum Record {
        case whole(created: WallTime, expires: Int64, mutation: [UInt8], next: Int)
        case partial
        case damaged
    }

    private func record(in block: [UInt8], at offset: Int, number: UInt64) -> Record {
        block.withBytes { bytes in
            guard bytes.count - offset >= Self.headerBytes else { return .partial }
            let length = Int(
                UInt32(
                    littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
            guard length > Self.stampBytes, length <= Self.maximumRecordBytes else {
                return .damaged
            }
            let end = offset + Self.headerBytes + length
            guard end <= bytes.count else { return .partial }
            let expected = UInt32(
                littleEndian: bytes.loadUnaligned(fromByteOffset: offset + 4, as: UInt32.self))
            let body = UnsafeRawBufferPointer(rebasing: bytes[(offset + Self.headerBytes)..<end])
            guard
                CRC32C.checksum(body, seed: UInt32(truncatingIfNeeded: number)) == expected
            else { return .damaged }
            let created = Int64(
                littleEndian: body.loadUnaligned(fromByteOffset: 0, as: Int64.self))
            let expires = Int64(
                littleEndian: body.loadUnaligned(fromByteOffset: 8, as: Int64.self))
            return .whole(
                created: WallTime(microseconds: created), expires: expires,
                mutation: [UInt8](UnsafeRawBufferPointer(rebasing: body[Self.stampBytes...])),
                next: end)
        }
    }

    private func read(_ target: Target, _ file: File, _ outbox: Outbox) {
        guard file.isCreated else { return }
        let id = start.effectIDs.next()
        let offset = target.delivered + target.block.count
        target.reading = id
        reads[id] = target.host
        outbox.effects.append(
            .readBlock(
                id, file.name, offset: offset, count: min(Self.blockBytes, file.size - offset)))
    }

    /// Gives up the first file: all of it is delivered, or it is damaged.
    private func finishFirst(_ target: Target, _ outbox: Outbox) {
        let file = target.files.removeFirst()
        if target.files.isEmpty { target.hasActive = false }
        target.delivered = 0
        target.block = []
        if file.isCreated { remove([file.name], outbox) } else { finished.append(file.name) }
    }

    private func remove(_ names: [FileName], _ outbox: Outbox) {
        let id = start.effectIDs.next()
        removals.insert(id)
        outbox.effects.append(.runJob(id, RemoveFilesJob(names)))
    }

    /// Forgets all that is kept for a host; what is on its way may still arrive.
    package func removeAll(of host: HostID, outbox: Outbox) {
        guard let target = targetsByHost[host] else { return }
        let names = target.files.filter(\.isCreated).map(\.name)
        // A file that is being made stays, empty, as the active one.
        target.files.removeAll(where: \.isCreated)
        target.hasActive = !target.files.isEmpty
        target.unwritten.removeAll()
        target.delivered = 0
        target.block = []
        target.reading = nil
        target.batch = nil
        target.oldest = nil
        if !names.isEmpty { remove(names, outbox) }
    }

    /// The batch on its way has arrived; returns how many hints it had.
    package func batchDelivered(_ host: HostID, outbox: Outbox) -> Int {
        guard let target = targetsByHost[host], let batch = target.batch else { return 0 }
        target.batch = nil
        target.delivered += batch.bytes
        target.block.removeFirst(batch.bytes)
        return batch.count
    }

    /// The batch on its way has not arrived, or not for certain: it comes again.
    package func abandonBatch(_ host: HostID) { targetsByHost[host]?.batch = nil }

    // MARK: Events

    /// Takes in the end of an effect of this store; false if it is not one of this store's.
    package func receive(
        _ event: Event, clock: ClockReading, outbox: Outbox
    ) throws(DiskFailure) -> Bool {
        switch event {
        case .blockRead(let id, let outcome):
            guard let host = reads.removeValue(forKey: id) else { return false }
            guard let target = targetsByHost[host], target.reading == id else { return true }
            target.reading = nil
            switch outcome {
            case .bytes(let bytes) where !bytes.isEmpty: target.block += bytes
            case .bytes, .failed:
                // The file is shorter than it was, or cannot be read: what is left of it is lost.
                damagedFileCount += 1
                finishFirst(target, outbox)
            }
            return true
        case .jobEnded(let id, _, let failure):
            if removals.remove(id) != nil { return true }
            guard let (host, number) = creations.removeValue(forKey: id) else { return false }
            if let failure { throw failure }
            guard let target = targetsByHost[host],
                let index = target.files.firstIndex(where: { $0.number == number })
            else { return true }
            target.files[index].isCreated = true
            return true
        default: return false
        }
    }

    /// Appends the step's hints to their files.
    package func endTick(clock: ClockReading, outbox: Outbox) {
        for host in targetsByHost.keys.sorted() {
            guard let target = targetsByHost[host], target.hasActive,
                let index = target.files.indices.last
            else { continue }
            let file = target.files[index]
            if !file.isCreated {
                guard !creations.values.contains(where: { $0.number == file.number }) else {
                    continue
                }
                let id = start.effectIDs.next()
                creations[id] = (host, file.number)
                outbox.effects.append(.runJob(id, CreateFileJob(file.name)))
            } else if target.unwritten.count > 0 {
                let range = outbox.store(target.unwritten.bytes)
                outbox.effects.append(.logAppend(file.name, offset: file.size, range))
                target.files[index].size += range.count
                target.unwritten.removeAll()
            }
        }
    }

    package var nextWake: Instant? { nil }
}

/// Creates an empty file, durably.
final class CreateFileJob: Job {
    private let file: FileName
    init(_ file: FileName) { self.file = file }
    var title: String { "create \(file)" }

    func step(_ files: any FileSystem, budgetBytes: Int) throws(DiskFailure) -> JobProgress {
        try files.create(file, preallocate: 0)
        try files.syncFolder()
        return .done(bytes: 0)
    }
}

/// Removes files.
final class RemoveFilesJob: Job {
    private let names: [FileName]
    init(_ names: [FileName]) { self.names = names }
    var title: String { "remove \(names.count) files" }

    func step(_ files: any FileSystem, budgetBytes: Int) throws(DiskFailure) -> JobProgress {
        for name in names { try files.remove(name) }
        return .done(bytes: 0)
    }
}
