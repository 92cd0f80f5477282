// A row as bytes: what a frame's values become once, and what then lies unchanged in the commit log,
// the memtable, the SSTable, the messages between nodes and the hints (docs/formats/row.md).
//
//     row  := flags u8 | timestamp i64
//             [ttl u32, expiresAt u32]            if livenessExpires
//             [timestamp i64, local u32]          if hasDeletion
//             [length varint, bytes]              if hasOriginalKey
//             cell*                               to the end of the row
//     cell := column varint | flags u8 | [timestamp i64] | [local u32] | [ttl u32]
//             [path length varint, path] | [value length varint, value]
//
// `timestamp` is the row marker's if `hasLiveness`, else merely a base that cells refer to. Fixed
// integers are little-endian. Cells are sorted (`Cell.position`) without repeats. The length of a row
// is known to whoever holds it.
//
// Cost: reading a cell is some ten loads and comparisons; nothing is allocated or copied.

package import Encoding

/// The flags of a row's first byte.
package struct RowFlags: OptionSet, Sendable {
    package let rawValue: UInt8
    @inlinable package init(rawValue: UInt8) { self.rawValue = rawValue }
    @inlinable package static var hasLiveness: RowFlags { RowFlags(rawValue: 0x01) }
    @inlinable package static var livenessExpires: RowFlags { RowFlags(rawValue: 0x02) }
    @inlinable package static var hasDeletion: RowFlags { RowFlags(rawValue: 0x04) }
    /// The clustering values as first written, where their encoding does not give them back.
    @inlinable package static var hasOriginalKey: RowFlags { RowFlags(rawValue: 0x08) }
    @inlinable package static var known: RowFlags { RowFlags(rawValue: 0x0F) }
}

/// A row's bytes with its header read. A view: valid while the bytes are.
package struct RowView {
    package let bytes: UnsafeRawBufferPointer
    package let flags: RowFlags
    /// The base that cells with `.sameTimestamp` refer to.
    package let baseTimestamp: Int64
    package let liveness: Liveness
    package let deletion: Deletion
    /// Empty where the encoded key says it all.
    package let originalKey: UnsafeRawBufferPointer
    @usableFromInline let cellsOffset: Int

    /// Reads the header; the cells are checked as they are read.
    package init(_ bytes: UnsafeRawBufferPointer) throws(MalformedBytes) {
        var reader = ByteReader(bytes)
        let flags = RowFlags(rawValue: try reader.readUInt8())
        guard RowFlags.known.isSuperset(of: flags) else {
            throw MalformedBytes("unknown row flags \(flags.rawValue)", offset: 0)
        }
        let base = try reader.readLittleEndian(Int64.self)
        var liveness = Liveness.none
        if flags.contains(.hasLiveness) { liveness.timestamp = base }
        if flags.contains(.livenessExpires) {
            liveness.timeToLive = try reader.readLittleEndian(UInt32.self)
            liveness.expiresAt = try reader.readLittleEndian(UInt32.self)
        }
        var deletion = Deletion.none
        if flags.contains(.hasDeletion) {
            deletion.timestamp = try reader.readLittleEndian(Int64.self)
            deletion.localDeletionTime = try reader.readLittleEndian(UInt32.self)
        }
        self.originalKey =
            flags.contains(.hasOriginalKey)
            ? try reader.readLengthPrefixed() : UnsafeRawBufferPointer(start: nil, count: 0)
        self.bytes = bytes
        self.flags = flags
        self.baseTimestamp = base
        self.liveness = liveness
        self.deletion = deletion
        self.cellsOffset = reader.position
    }

    /// Walks over the cells in order.
    @inlinable
    package var cells: CellCursor {
        CellCursor(reader: ByteReader(bytes, position: cellsOffset), baseTimestamp: baseTimestamp)
    }

    /// Whether a reader at that second sees the row: a live marker, or any live cell.
    package func isLive(nowInSeconds: Int64) throws(MalformedBytes) -> Bool {
        if liveness.isLive(nowInSeconds: nowInSeconds) { return true }
        var cursor = cells
        while let cell = try cursor.next() {
            if cell.isLive(nowInSeconds: nowInSeconds) { return true }
        }
        return false
    }

    /// The value of a column that has no elements, as a reader at that second sees it; nil if it has none.
    /// Here, so that the walk is one piece of code for whoever calls it from another room.
    package static func value(
        of column: UInt32, in bytes: UnsafeRawBufferPointer, nowInSeconds: Int64
    ) throws(MalformedBytes) -> UnsafeRawBufferPointer? {
        var cells = try RowView(bytes).cells
        while let cell = try cells.next() {
            if cell.column < column { continue }
            if cell.column > column { return nil }
            if cell.path.isEmpty, cell.isLive(nowInSeconds: nowInSeconds) { return cell.value }
        }
        return nil
    }

    /// The newest timestamp of marker, deletion and cells; `noTimestamp` for an empty row.
    package func newestTimestamp() throws(MalformedBytes) -> Int64 {
        var newest = max(liveness.timestamp, deletion.timestamp)
        var cursor = cells
        while let cell = try cursor.next() { newest = max(newest, cell.timestamp) }
        return newest
    }

    /// Reads every cell once: throws unless the row is well-formed and its cells are sorted.
    package func validate() throws(MalformedBytes) {
        var cursor = cells
        var previous: Cell?
        while let cell = try cursor.next() {
            if let previous, previous.position(comparedTo: cell) >= 0 {
                throw MalformedBytes("cells out of order", offset: cursor.reader.position)
            }
            if cell.isCount { try CounterShards(cell.value).validate(timestamp: cell.timestamp) }
            previous = cell
        }
    }
}

/// Reads the cells of a row one after another.
package struct CellCursor {
    package var reader: ByteReader
    @usableFromInline let baseTimestamp: Int64

    @inlinable
    init(reader: ByteReader, baseTimestamp: Int64) {
        self.reader = reader
        self.baseTimestamp = baseTimestamp
    }

    /// The next cell, or nil at the end of the row.
    @inlinable
    package mutating func next() throws(MalformedBytes) -> Cell? {
        if reader.isAtEnd { return nil }
        let column = try reader.readVarint()
        guard column <= UInt64(UInt32.max) else {
            throw MalformedBytes("column id over 32 bits", offset: reader.position)
        }
        let flags = Cell.Flags(rawValue: try reader.readUInt8())
        guard Cell.Flags.known.isSuperset(of: flags) else {
            throw MalformedBytes("unknown cell flags \(flags.rawValue)", offset: reader.position)
        }
        var cell = Cell(column: UInt32(column), flags: flags, timestamp: baseTimestamp)
        if !flags.contains(.sameTimestamp) {
            cell.timestamp = try reader.readLittleEndian(Int64.self)
        }
        if !flags.isDisjoint(with: .dated) {
            cell.localDeletionTime = try reader.readLittleEndian(UInt32.self)
        }
        if flags.contains(.expiring) { cell.timeToLive = try reader.readLittleEndian(UInt32.self) }
        if flags.contains(.hasPath) { cell.path = try reader.readLengthPrefixed() }
        if flags.isDisjoint(with: .deletions) {
            cell.value = try reader.readLengthPrefixed()
        }
        return cell
    }
}

/// Writes one row's bytes: `begin`, then the cells in order. The row ends where the next thing begins.
package struct RowWriter {
    private var baseTimestamp: Int64 = 0

    package init() {}

    /// Writes the header. `baseTimestamp` is the timestamp that most cells have.
    package mutating func begin(
        liveness: Liveness, deletion: Deletion, baseTimestamp: Int64,
        originalKey: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0),
        into writer: ByteWriter
    ) {
        var flags = RowFlags()
        if !liveness.isNone { flags.insert(.hasLiveness) }
        if !liveness.isNone && liveness.isExpiring { flags.insert(.livenessExpires) }
        if !deletion.isNone { flags.insert(.hasDeletion) }
        if originalKey.count > 0 { flags.insert(.hasOriginalKey) }
        self.baseTimestamp = liveness.isNone ? baseTimestamp : liveness.timestamp
        writer.append(flags.rawValue)
        writer.appendLittleEndian(self.baseTimestamp)
        if flags.contains(.livenessExpires) {
            writer.appendLittleEndian(liveness.timeToLive)
            writer.appendLittleEndian(liveness.expiresAt)
        }
        if flags.contains(.hasDeletion) {
            writer.appendLittleEndian(deletion.timestamp)
            writer.appendLittleEndian(deletion.localDeletionTime)
        }
        if flags.contains(.hasOriginalKey) { writer.appendLengthPrefixed(originalKey) }
    }

    /// Appends a cell; its position must be after the one before.
    package func append(_ cell: Cell, into writer: ByteWriter) {
        let flags = appendHead(cell, into: writer)
        if flags.isDisjoint(with: .deletions) {
            writer.appendLengthPrefixed(cell.value)
        }
    }

    /// Appends a count whose value is what the walk gives: `count` shards.
    func append(
        _ cell: Cell, shards: CounterMerge, count: Int, into writer: ByteWriter
    ) {
        _ = appendHead(cell, into: writer)
        writer.appendVarint(UInt64(count * CounterShards.shardBytes))
        var shards = shards
        while let shard = shards.next() { CounterShards.append(shard, into: writer) }
    }

    /// Appends all of a cell but its value.
    @inline(__always)
    private func appendHead(_ cell: Cell, into writer: ByteWriter) -> Cell.Flags {
        var flags = cell.flags
        if cell.timestamp == baseTimestamp {
            flags.insert(.sameTimestamp)
        } else {
            flags.remove(.sameTimestamp)
        }
        writer.appendVarint(UInt64(cell.column))
        writer.append(flags.rawValue)
        if !flags.contains(.sameTimestamp) { writer.appendLittleEndian(cell.timestamp) }
        if !flags.isDisjoint(with: .dated) {
            writer.appendLittleEndian(cell.localDeletionTime)
        }
        if flags.contains(.expiring) { writer.appendLittleEndian(cell.timeToLive) }
        if flags.contains(.hasPath) { writer.appendLengthPrefixed(cell.path) }
        return flags
    }
}
