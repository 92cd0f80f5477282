// A partition and its rows as they lie in a memtable's arena.
//
//     node   := token i64 | place of rows u64 | [key length u64, of a long key] | key bytes
//     place  := key length u16 | address, 48 bits, of which the low ones say: 1 a tree, 2 extras
//     extras := deletion i64, u32 | range list u32 | static row (pointer) | place of rows u64
//     record := row length u32 | key length u16, slack 15 bits, is wide 1 bit
//               | [key length u64, of a long key] | key bytes | row bytes | slack
//
// The rows are none, the record itself for a single row (most tables have no clustering columns and must
// not pay for a tree), else a `RowTree`. A node has `extras` only with deletions around its rows or a static
// row, as few have; the rows' place is there then. A row of many cells is wide: what lies in its record is
// not its bytes but where they are (`WideRow`).
//
// The arena's addresses fit into 48 bits (`ArenaPool` sees to it) and are multiples of eight.

internal import Encoding
internal import Model

/// A length of 65,535 bytes or more stands by itself.
private let longLength = 0xFFFF

/// One row: its encoded clustering key, never changed, and its bytes, replaced in place if they fit.
struct RowRecord {
    let base: UnsafeMutableRawPointer

    @inline(__always)
    init(_ base: UnsafeMutableRawPointer) { self.base = base }

    private static let headerBytes = 8
    private static let wideBit: UInt32 = 1 << 31
    private static let mostSlack = 1 << 15 - 1

    private var bits: UInt32 {
        @inline(__always) get { base.load(fromByteOffset: 4, as: UInt32.self) }
        nonmutating set { base.storeBytes(of: newValue, toByteOffset: 4, as: UInt32.self) }
    }
    private var rowCount: Int { Int(base.load(as: UInt32.self)) }
    private var slack: Int { Int(bits >> 16 & 0x7FFF) }

    var key: UnsafeRawBufferPointer {
        @inline(__always) get {
            let count = Int(bits & 0xFFFF)
            if count < longLength {
                return UnsafeRawBufferPointer(start: base + Self.headerBytes, count: count)
            }
            return UnsafeRawBufferPointer(
                start: base + Self.headerBytes + 8,
                count: Int(base.load(fromByteOffset: Self.headerBytes, as: UInt64.self)))
        }
    }
    /// Whether the row lies in pieces.
    @inline(__always)
    var isWide: Bool { bits & Self.wideBit != 0 }
    /// The row's bytes, of a record that is not wide.
    @inline(__always)
    var row: UnsafeRawBufferPointer {
        precondition(!isWide, "the row lies in pieces")
        return contents
    }
    /// What lies here in whichever form.
    @inline(__always)
    var contents: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: start, count: rowCount)
    }
    /// The memory that it takes, as far as it is known.
    var bytes: Int { start - base + rowCount + slack }

    private var start: UnsafeMutableRawPointer {
        @inline(__always) get {
            let key = key
            let isLong = key.count >= longLength
            return base + Self.headerBytes + (isLong ? 8 : 0) + key.count
        }
    }

    /// A new record with room for `slack` bytes more than the row has, or a few more.
    static func make(
        key: UnsafeRawBufferPointer, row: UnsafeRawBufferPointer, slack: Int, in arena: Arena
    ) -> RowRecord {
        let isLong = key.count >= longLength
        let used = headerBytes + (isLong ? 8 : 0) + key.count + row.count
        let size = Arena.rounded(used + slack)
        let record = RowRecord(arena.allocate(size))
        record.base.storeBytes(of: UInt32(row.count), as: UInt32.self)
        record.bits =
            UInt32(min(key.count, longLength)) | UInt32(min(size - used, mostSlack)) << 16
        if isLong {
            record.base.storeBytes(
                of: UInt64(key.count), toByteOffset: headerBytes, as: UInt64.self)
        }
        let start = record.start
        if let source = key.baseAddress {
            (start - key.count).copyMemory(from: source, byteCount: key.count)
        }
        if let source = row.baseAddress { start.copyMemory(from: source, byteCount: row.count) }
        return record
    }

    /// The contents say where the row is. Once, when the record is made.
    func markWide() { bits |= Self.wideBit }

    /// Overwrites the contents if the record has room for them.
    func replaceInPlace(_ row: UnsafeRawBufferPointer) -> Bool {
        let room = rowCount + slack
        guard row.count <= room, let source = row.baseAddress else { return false }
        base.storeBytes(of: UInt32(row.count), as: UInt32.self)
        bits = bits & ~(0x7FFF << 16) | UInt32(min(room - row.count, Self.mostSlack)) << 16
        start.copyMemory(from: source, byteCount: row.count)
        return true
    }
}

/// One partition of one memtable.
struct PartitionNode {
    let base: UnsafeMutableRawPointer

    @inline(__always)
    init(_ base: UnsafeMutableRawPointer) { self.base = base }

    /// The rows of a partition.
    enum Rows {
        case none
        case one(RowRecord)
        /// More than one; the root of a `RowTree`.
        case tree(UnsafeMutableRawPointer)
    }

    private static let headerBytes = 16
    private static let treeBit: UInt64 = 1
    private static let extrasBit: UInt64 = 2
    private static let addressMask: UInt64 = 0xFFFF_FFFF_FFF8
    private static let lengthMask: UInt64 = 0xFFFF << 48

    static func make(token: Int64, key: UnsafeRawBufferPointer, in arena: Arena) -> PartitionNode {
        let isLong = key.count >= longLength
        let header = headerBytes + (isLong ? 8 : 0)
        let base = arena.allocate(header + key.count)
        base.storeBytes(of: token, as: Int64.self)
        base.storeBytes(
            of: UInt64(min(key.count, longLength)) << 48, toByteOffset: 8, as: UInt64.self)
        if isLong {
            base.storeBytes(of: UInt64(key.count), toByteOffset: headerBytes, as: UInt64.self)
        }
        if let source = key.baseAddress {
            (base + header).copyMemory(from: source, byteCount: key.count)
        }
        return PartitionNode(base)
    }

    var token: Int64 { base.load(as: Int64.self) }
    var key: UnsafeRawBufferPointer {
        @inline(__always) get {
            let count = Int(place >> 48)
            if count < longLength {
                return UnsafeRawBufferPointer(start: base + Self.headerBytes, count: count)
            }
            return UnsafeRawBufferPointer(
                start: base + Self.headerBytes + 8,
                count: Int(base.load(fromByteOffset: Self.headerBytes, as: UInt64.self)))
        }
    }

    private var place: UInt64 {
        @inline(__always) get { base.load(fromByteOffset: 8, as: UInt64.self) }
        nonmutating set { base.storeBytes(of: newValue, toByteOffset: 8, as: UInt64.self) }
    }

    @inline(__always)
    private static func pointer(_ place: UInt64) -> UnsafeMutableRawPointer? {
        UnsafeMutableRawPointer(bitPattern: UInt(place & addressMask))
    }

    // MARK: Rows

    var rows: Rows {
        let place = extras?.load(fromByteOffset: 24, as: UInt64.self) ?? place
        guard let pointer = Self.pointer(place) else { return .none }
        return place & Self.treeBit == 0 ? .one(RowRecord(pointer)) : .tree(pointer)
    }

    /// The only row, in one piece, if that is all there is of the partition.
    var plainRecord: RowRecord? {
        @inline(__always) get {
            let place = place
            guard place & (Self.treeBit | Self.extrasBit) == 0, let pointer = Self.pointer(place)
            else { return nil }
            let record = RowRecord(pointer)
            return record.isWide ? nil : record
        }
    }

    /// What there is of one row.
    enum Found {
        case absent
        /// The row, in one piece, with nothing around the rows of its partition.
        case plain(RowRecord)
        /// There is a deletion or a static row around it, or it lies in pieces.
        case notPlain
    }

    /// Looks for a row where nothing lies around the rows.
    func find(_ key: UnsafeRawBufferPointer) -> Found {
        guard extras == nil else { return .notPlain }
        let record: RowRecord
        switch rows {
        case .none: return .absent
        case .one(let only):
            guard equalBytes(only.key, key) else { return .absent }
            record = only
        case .tree(let root):
            guard let slot = RowTree.find(key, root: root),
                let base = UnsafeMutableRawPointer(bitPattern: slot.pointee)
            else { return .absent }
            record = RowRecord(base)
        }
        return record.isWide ? .notPlain : .plain(record)
    }

    func set(rows: Rows) {
        var bits: UInt64
        switch rows {
        case .none: bits = 0
        case .one(let record): bits = UInt64(UInt(bitPattern: record.base))
        case .tree(let root): bits = UInt64(UInt(bitPattern: root)) | Self.treeBit
        }
        if let extras {
            extras.storeBytes(of: bits, toByteOffset: 24, as: UInt64.self)
        } else {
            bits |= place & Self.lengthMask
            place = bits
        }
    }

    // MARK: What lies around the rows

    private var extras: UnsafeMutableRawPointer? {
        @inline(__always) get {
            let place = place
            return place & Self.extrasBit == 0 ? nil : Self.pointer(place)
        }
    }

    private static let extrasBytes = 32

    private func makeExtras(in arena: Arena) -> UnsafeMutableRawPointer {
        if let extras { return extras }
        let made = arena.allocate(Self.extrasBytes)
        made.storeBytes(of: noTimestamp, as: Int64.self)
        made.storeBytes(of: 0, toByteOffset: 8, as: UInt64.self)
        made.storeBytes(of: 0, toByteOffset: 16, as: UInt.self)
        made.storeBytes(of: place & ~Self.lengthMask, toByteOffset: 24, as: UInt64.self)
        place = place & Self.lengthMask | UInt64(UInt(bitPattern: made)) | Self.extrasBit
        return made
    }

    var deletion: Deletion {
        guard let extras else { return .none }
        return Deletion(
            timestamp: extras.load(as: Int64.self),
            localDeletionTime: extras.load(fromByteOffset: 8, as: UInt32.self))
    }

    func set(deletion: Deletion, in arena: Arena) {
        let extras = makeExtras(in: arena)
        extras.storeBytes(of: deletion.timestamp, as: Int64.self)
        extras.storeBytes(of: deletion.localDeletionTime, toByteOffset: 8, as: UInt32.self)
    }

    /// The number of the memtable's list of range deletions that is this partition's; 0 for none.
    var rangeList: Int { extras.map { Int($0.load(fromByteOffset: 12, as: UInt32.self)) } ?? 0 }

    func set(rangeList: Int, in arena: Arena) {
        makeExtras(in: arena).storeBytes(
            of: UInt32(rangeList), toByteOffset: 12, as: UInt32.self)
    }

    var staticRow: RowRecord? {
        guard let extras else { return nil }
        return UnsafeMutableRawPointer(bitPattern: extras.load(fromByteOffset: 16, as: UInt.self))
            .map(RowRecord.init)
    }

    func set(staticRow: RowRecord, in arena: Arena) {
        makeExtras(in: arena).storeBytes(
            of: UInt(bitPattern: staticRow.base), toByteOffset: 16, as: UInt.self)
    }
}
