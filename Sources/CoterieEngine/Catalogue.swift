// The engine's own small file: which tables there are, and how often the folder was opened. A database
// node keeps this in its metadata store; an engine that stands alone has no such store.
//
//     catalogue := "CTRE" | version u32 | life u32 | created u32 | count u32 | table*  | crc32c u32
//     table     := number u32 | flags u8 (1: compressed, 2: clustered) | chance f64 | grace u32
//                  | name length varint, name
//
// Written whole under another name and renamed, so that a crash leaves the old or the new one
// (docs/formats/engine-catalogue.md).

internal import Encoding
internal import Environment

/// What the file says.
struct Catalogue {
    static let file = FileName("engine-catalogue")
    private static let draft = FileName("engine-catalogue.new")
    private static let magic: UInt32 = 0x4552_5443
    static let version: UInt32 = 1
    private static let maximumTables = 10_000

    /// One more at each opening: files of a former life never pass for this one's.
    var life: UInt32 = 0
    /// How many tables were ever made. A table's number is its identity: one that is made again under
    /// the name of a dropped one must not find that one's records in the log.
    var created: UInt32 = 0
    /// Sorted by name.
    var tables: [(number: UInt32, definition: TableDefinition)] = []

    /// Adds a table under a new number.
    mutating func add(_ definition: TableDefinition) -> UInt32 {
        created += 1
        tables.append((created, definition))
        tables.sort { $0.definition.name < $1.definition.name }
        return created
    }

    /// Reads the folder's catalogue; an empty one if the folder is new.
    static func load(_ files: any FileSystem) throws(EngineError) -> Catalogue {
        let names = try onDisk { () throws(DiskFailure) in try files.list() }
        guard names.contains(file) else {
            if let other = names.first(where: { $0 != draft }) {
                throw .corruption("the folder has files (\(other)) and no catalogue")
            }
            return Catalogue()
        }
        let bytes = ByteWriter()
        try onDisk { () throws(DiskFailure) in
            try files.read(file, at: 0, count: try files.size(of: file), into: bytes)
        }
        do throws(MalformedBytes) { return try Catalogue(bytes.bytes) } catch {
            throw .corruption("\(file): \(error)")
        }
    }

    /// Makes this the folder's catalogue; durable when it returns.
    func store(_ files: any FileSystem) throws(EngineError) {
        let bytes = encoded
        try onDisk { () throws(DiskFailure) in
            try files.create(Self.draft, preallocate: 0)
            try files.write(Self.draft, at: 0, bytes.bytes)
            try files.sync(Self.draft)
            try files.rename(Self.draft, to: Self.file)
            try files.syncFolder()
        }
    }

    var encoded: ByteWriter {
        let writer = ByteWriter()
        writer.appendLittleEndian(Self.magic)
        writer.appendLittleEndian(Self.version)
        writer.appendLittleEndian(life)
        writer.appendLittleEndian(created)
        writer.appendLittleEndian(UInt32(tables.count))
        for (number, table) in tables {
            writer.appendLittleEndian(number)
            writer.append((table.isCompressed ? 1 : 0) | (table.isClustered ? 2 : 0))
            writer.appendLittleEndian(table.falsePositiveChance.bitPattern)
            writer.appendLittleEndian(UInt32(table.tombstoneGraceSeconds))
            writer.appendLengthPrefixed(Array(table.name.utf8))
        }
        writer.appendLittleEndian(CRC32C.checksum(writer.bytes))
        return writer
    }

    init() {}

    init(_ bytes: UnsafeRawBufferPointer) throws(MalformedBytes) {
        guard bytes.count >= 24 else { throw MalformedBytes("too short", offset: bytes.count) }
        let body = UnsafeRawBufferPointer(rebasing: bytes[..<(bytes.count - 4)])
        var reader = ByteReader(bytes, position: body.count)
        guard try reader.readLittleEndian(UInt32.self) == CRC32C.checksum(body) else {
            throw MalformedBytes("checksum", offset: body.count)
        }
        reader = ByteReader(body)
        guard try reader.readLittleEndian(UInt32.self) == Self.magic else {
            throw MalformedBytes("not a catalogue", offset: 0)
        }
        let version = try reader.readLittleEndian(UInt32.self)
        guard version == Self.version else {
            throw MalformedBytes("unknown version \(version)", offset: 4)
        }
        life = try reader.readLittleEndian(UInt32.self)
        created = try reader.readLittleEndian(UInt32.self)
        let count = Int(try reader.readLittleEndian(UInt32.self))
        guard count <= Self.maximumTables else {
            throw MalformedBytes("too many tables", offset: 16)
        }
        for _ in 0..<count {
            let number = try reader.readLittleEndian(UInt32.self)
            let flags = try reader.readUInt8()
            let chance = Double(bitPattern: try reader.readLittleEndian(UInt64.self))
            let grace = try reader.readLittleEndian(UInt32.self)
            var table = TableDefinition(name: try reader.readString())
            guard number > 0, number <= created, flags <= 3, chance > 0, chance <= 1,
                grace <= UInt32(Int32.max)
            else {
                throw MalformedBytes("table out of range", offset: reader.position)
            }
            table.isCompressed = flags & 1 != 0
            table.isClustered = flags & 2 != 0
            table.falsePositiveChance = chance
            table.tombstoneGraceSeconds = Int(grace)
            tables.append((number, table))
        }
        guard reader.isAtEnd else {
            throw MalformedBytes("bytes after the last table", offset: reader.position)
        }
    }
}
