// The manifest: which SSTables there are, and how far each table is flushed. A change of the set of
// files is one record, so it happens wholly or not at all (docs/formats/manifest.md).
//
//     <prefix>manifest-<n>.log := header | (record | mark)*   framed as in the commit log
//     record body := edit*                                    the first record is a checkpoint
//
// A mark is an empty record, written when the record before it is synced and before anybody acts upon
// it: so a torn record is told from a damaged one.
//
// A new manifest with a checkpoint alone is written at each start and when the log has grown; it is
// complete and durable before its predecessor goes. At most one manifest job runs at a time.

internal import Encoding
internal import Environment
internal import Model

/// One SSTable as the manifest knows it.
struct ManifestEntry: Equatable {
    var number: UInt64
    var table: TableID
    var level: UInt8 = 0
    /// Milliseconds since 1970 of the repair that covered it; 0 for none.
    var repairedAt: Int64 = 0
    /// The repair session that claims it; zero for none.
    var pendingRepair = UniqueID.zero
    /// The host on which the data was first written; zero for this one.
    var originHost = UniqueID.zero
    var position: LogPosition
    /// Seconds since 1970: when it was written here.
    var createdAt: Int64 = 0
}

/// One change; a record holds several.
enum ManifestEdit: Equatable {
    /// Forget everything before.
    case clear
    case add(ManifestEntry)
    case remove(number: UInt64)
    case flushed(TableID, LogPosition)
    case dropTable(TableID)
    /// No file number below it is free.
    case nextNumber(UInt64)

    func encode(into writer: ByteWriter) {
        switch self {
        case .clear: writer.append(0)
        case .add(let entry):
            writer.append(1)
            writer.appendVarint(entry.number)
            writer.append(entry.table.value)
            writer.append(entry.level)
            writer.appendLittleEndian(entry.repairedAt)
            writer.append(entry.pendingRepair)
            writer.append(entry.originHost)
            writer.appendLittleEndian(entry.position.packed)
            writer.appendLittleEndian(entry.createdAt)
        case .remove(let number):
            writer.append(2)
            writer.appendVarint(number)
        case .flushed(let table, let position):
            writer.append(3)
            writer.append(table.value)
            writer.appendLittleEndian(position.packed)
        case .dropTable(let table):
            writer.append(4)
            writer.append(table.value)
        case .nextNumber(let number):
            writer.append(5)
            writer.appendVarint(number)
        }
    }

    init(from reader: inout ByteReader) throws(MalformedBytes) {
        switch try reader.readUInt8() {
        case 0: self = .clear
        case 1:
            let number = try Self.fileNumber(&reader)
            let table = TableID(try reader.readUniqueID())
            let level = try reader.readUInt8()
            let repairedAt = try reader.readLittleEndian(Int64.self)
            let pendingRepair = try reader.readUniqueID()
            let originHost = try reader.readUniqueID()
            let position = LogPosition(packed: try reader.readLittleEndian())
            self = .add(
                ManifestEntry(
                    number: number, table: table, level: level, repairedAt: repairedAt,
                    pendingRepair: pendingRepair, originHost: originHost, position: position,
                    createdAt: try reader.readLittleEndian()))
        case 2: self = .remove(number: try Self.fileNumber(&reader))
        case 3:
            let table = TableID(try reader.readUniqueID())
            self = .flushed(table, LogPosition(packed: try reader.readLittleEndian()))
        case 4: self = .dropTable(TableID(try reader.readUniqueID()))
        case 5: self = .nextNumber(try Self.fileNumber(&reader))
        case let tag: throw MalformedBytes("unknown manifest edit \(tag)", offset: reader.position)
        }
    }

    /// A number that leaves room for many more.
    private static func fileNumber(_ reader: inout ByteReader) throws(MalformedBytes) -> UInt64 {
        let number = try reader.readVarint()
        guard number < 1 << 62 else {
            throw MalformedBytes("file number \(number)", offset: reader.position)
        }
        return number
    }
}

/// What the manifest says.
struct ManifestState: Equatable {
    var entries: [UInt64: ManifestEntry] = [:]
    var flushed: [TableID: LogPosition] = [:]
    var nextNumber: UInt64 = 1

    mutating func apply(_ edit: ManifestEdit) {
        switch edit {
        case .clear: self = ManifestState()
        case .add(let entry):
            entries[entry.number] = entry
            nextNumber = max(nextNumber, entry.number + 1)
        case .remove(let number): entries[number] = nil
        case .flushed(let table, let position):
            flushed[table] = max(flushed[table] ?? .zero, position)
        case .dropTable(let table):
            for number in entries.keys.sorted() where entries[number]?.table == table {
                entries[number] = nil
            }
            flushed[table] = nil
        case .nextNumber(let number): nextNumber = max(nextNumber, number)
        }
    }

    /// The edits that make this state out of nothing.
    var checkpoint: [ManifestEdit] {
        [.clear, .nextNumber(nextNumber)]
            + flushed.sorted { $0.key < $1.key }.map { .flushed($0.key, $0.value) }
            + entries.sorted { $0.key < $1.key }.map { .add($0.value) }
    }
}

/// The manifest's files: naming, reading, and the bytes of records.
enum ManifestFile {
    static let magic: UInt32 = 0x4D4E_5443
    static let formatVersion: UInt32 = 1
    static let headerBytes = 24

    static func name(_ prefix: String, _ number: UInt64) -> FileName {
        FileName("\(prefix)manifest-\(number).log")
    }

    static func number(of file: FileName, prefix: String) -> UInt64? {
        let start = "\(prefix)manifest-"
        guard file.text.hasPrefix(start), file.text.hasSuffix(".log") else { return nil }
        return UInt64(file.text.dropFirst(start.count).dropLast(4))
    }

    static func identity(_ file: FileName) -> UInt64 {
        Array(file.text.utf8).withUnsafeBytes { Murmur3.hash128($0, seed: UInt64(magic)).0 }
    }

    /// `magic u32 | version u32 | identity u64 | crc u32 | zero u32`
    static func header(_ file: FileName) -> [UInt8] {
        let writer = ByteWriter(capacity: headerBytes)
        writer.appendLittleEndian(magic)
        writer.appendLittleEndian(formatVersion)
        writer.appendLittleEndian(identity(file))
        writer.appendLittleEndian(CRC32C.checksum(writer.bytes))
        writer.appendLittleEndian(UInt32(0))
        return writer.array
    }

    static func record(_ edits: [ManifestEdit], _ file: FileName) -> [UInt8] {
        let body = ByteWriter()
        for edit in edits { edit.encode(into: body) }
        let writer = ByteWriter(capacity: body.count + 32)
        LogRecord.append(
            body.bytes, synced: .zero, seed: CommitLog.seed(identity(file)), into: writer)
        return writer.array
    }

    /// The mark written behind a record once that is synced: nobody acts upon a record before. With a
    /// mark behind it, a bad record is damage and not a torn tail.
    static func mark(_ file: FileName) -> [UInt8] {
        let writer = ByteWriter(capacity: LogRecord.headerBytes)
        LogRecord.append(
            UnsafeRawBufferPointer(start: nil, count: 0), synced: .zero,
            seed: CommitLog.seed(identity(file)), into: writer)
        return writer.array
    }

    /// Reads a manifest; nil if it was never completed (no sound header and checkpoint).
    static func load(
        _ file: FileName, from files: any FileSystem
    ) throws(StorageError) -> ManifestState? {
        let buffer = ByteWriter(capacity: 1 << 12)
        try storing { () throws(DiskFailure) in
            try files.read(
                file, at: 0, count: try files.size(of: file), into: buffer)
        }
        let bytes = buffer.bytes
        guard bytes.count >= headerBytes else { return nil }
        let expected = header(file)
        let seed = CommitLog.seed(identity(file))
        let version = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
        guard bytes.prefix(headerBytes).elementsEqual(expected) else {
            let crc = UInt32(
                littleEndian: bytes.loadUnaligned(fromByteOffset: 16, as: UInt32.self))
            let isSound =
                CRC32C.checksum(UnsafeRawBufferPointer(rebasing: bytes[0..<16])) == crc
            if isSound, version > formatVersion {
                throw .newerFormat(file: file, version: version)
            }
            // One that was never completed has no mark, and no record behind what is missing.
            if isRecord(bytes, at: headerBytes, seed: seed)
                || hasMark(bytes, from: headerBytes, seed: seed)
            {
                throw .corruption(
                    CorruptionError(file: file, offset: 0, detail: "bad manifest header"))
            }
            return nil
        }
        var state = ManifestState()
        var offset = headerBytes
        var count = 0
        reading: while true {
            let body: UnsafeRawBufferPointer
            switch LogRecord.read(bytes, at: offset, seed: seed) {
            case .nothing: break reading
            case .end(_, let next):
                offset = next
                continue
            case .record(let found, _, let next):
                body = found
                offset = next
            }
            do throws(MalformedBytes) {
                var reader = ByteReader(body)
                while !reader.isAtEnd { state.apply(try ManifestEdit(from: &reader)) }
            } catch {
                throw .corruption(
                    CorruptionError(file: file, offset: offset, detail: "\(error)"))
            }
            count += 1
        }
        // A torn last record was never acted upon. A bad one with a mark behind it is damage; with a
        // sound record alone it is not: a power loss may take the mark before it and leave the record.
        if hasMark(bytes, from: offset + 1, seed: seed) {
            throw .corruption(
                CorruptionError(file: file, offset: offset, detail: "bad manifest record"))
        }
        return count > 0 ? state : nil
    }

    private static func isRecord(
        _ bytes: UnsafeRawBufferPointer, at offset: Int, seed: UInt32
    ) -> Bool {
        if case .record = LogRecord.read(bytes, at: offset, seed: seed) { return true }
        return false
    }

    /// Whether a mark stands at or behind `start`. Cost: one load for each byte, a checksum of sixteen
    /// bytes where a length of zero stands.
    private static func hasMark(
        _ bytes: UnsafeRawBufferPointer, from start: Int, seed: UInt32
    ) -> Bool {
        var position = start
        while bytes.count - position >= LogRecord.headerBytes {
            let length = bytes.loadUnaligned(fromByteOffset: position + 4, as: UInt32.self)
            if length == 0, case .end = LogRecord.read(bytes, at: position, seed: seed) {
                return true
            }
            position += 1
        }
        return false
    }

    /// Writes a new manifest that holds that state alone, durably.
    static func writeCheckpoint(
        _ state: ManifestState, _ file: FileName, _ files: any FileSystem
    ) throws(DiskFailure) -> Int {
        let bytes = header(file) + record(state.checkpoint, file)
        let mark = mark(file)
        try files.create(file, preallocate: 0)
        try bytes.withBytes { (raw) throws(DiskFailure) in try files.write(file, at: 0, raw) }
        try files.sync(file)
        try files.syncFolder()
        try mark.withBytes { (raw) throws(DiskFailure) in
            try files.write(file, at: bytes.count, raw)
        }
        return bytes.count + mark.count
    }
}

/// Appends a record to the manifest and syncs it, or writes a checkpoint into a new one; then removes
/// files that the record lets go.
final class ManifestJob: Job {
    private let file: FileName
    private let offset: Int
    private let bytes: [UInt8]
    /// The manifest that a checkpoint replaces.
    private let replaced: FileName?

    var title: String { "manifest" }

    init(file: FileName, offset: Int, bytes: [UInt8], replacing replaced: FileName?) {
        self.file = file
        self.offset = offset
        self.bytes = bytes
        self.replaced = replaced
    }

    func step(_ files: any FileSystem, budgetBytes: Int) throws(DiskFailure) -> JobProgress {
        if replaced != nil { try files.create(file, preallocate: 0) }
        try bytes.withBytes { (raw) throws(DiskFailure) in
            try files.write(file, at: offset, raw)
        }
        try files.sync(file)
        if replaced != nil { try files.syncFolder() }
        try ManifestFile.mark(file).withBytes { (raw) throws(DiskFailure) in
            try files.write(file, at: offset + bytes.count, raw)
        }
        if let replaced {
            do { try files.remove(replaced) } catch  where error.reason == .notFound {
                // An attempt before this one came so far.
            }
        }
        return .done(bytes: bytes.count)
    }
}

/// Removes files that nobody needs.
final class RemoveObsoleteJob: Job {
    private let names: [FileName]

    var title: String { "remove \(names.count) files" }

    init(_ names: [FileName]) { self.names = names }

    func step(_ files: any FileSystem, budgetBytes: Int) throws(DiskFailure) -> JobProgress {
        for name in names {
            do { try files.remove(name) } catch  where error.reason == .notFound {
                // Gone already: an earlier life removed it.
            }
        }
        return .done(bytes: 0)
    }
}
