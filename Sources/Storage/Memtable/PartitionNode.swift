// A partition and its rows as they lie in a memtable's arena.
//
//     node   := token i64 | key length u32 | row count u32 | rows (pointer) | extras (pointer) | key bytes
//     extras := deletion i64, u32 | range list u32 | static row (pointer)
//     record := capacity u32 | row length u32 | key length u32 | is wide u32 | key bytes | row bytes
//
// `rows` is null without rows, the record itself for a single row (most tables have no clustering
// columns and must not pay for a tree), else the root of a `RowTree`. `extras` is null for a partition without
// deletions around its rows and without a static row, as most are. A row of many cells is wide: what
// lies in its record is not its bytes but where they are (`WideRow`).

internal import Encoding
internal import Model

/// One row: its encoded clustering key, never changed, and its bytes, replaced in place if they fit.
struct RowRecord {
    let base: UnsafeMutableRawPointer

    @inline(__always)
    init(_ base: UnsafeMutableRawPointer) { self.base = base }

    static let headerBytes = 16

    var capacity: Int { Int(base.load(as: UInt32.self)) }
    var rowCount: Int { Int(base.load(fromByteOffset: 4, as: UInt32.self)) }
    var keyCount: Int { Int(base.load(fromByteOffset: 8, as: UInt32.self)) }

    var key: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: base + Self.headerBytes, count: keyCount)
    }
    /// Whether the row lies in pieces.
    @inline(__always)
    var isWide: Bool { base.load(fromByteOffset: 12, as: UInt32.self) != 0 }
    /// The row's bytes, of a record that is not wide.
    @inline(__always)
    var row: UnsafeRawBufferPointer {
        precondition(!isWide, "the row lies in pieces")
        return contents
    }
    /// What lies here in whichever form.
    @inline(__always)
    var contents: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: base + Self.headerBytes + keyCount, count: rowCount)
    }

    /// A new record with room for `slack` bytes more than the row has.
    static func make(
        key: UnsafeRawBufferPointer, row: UnsafeRawBufferPointer, slack: Int, in arena: Arena
    ) -> RowRecord {
        let record = RowRecord(arena.allocate(headerBytes + key.count + row.count + slack))
        record.base.storeBytes(of: UInt32(row.count + slack), as: UInt32.self)
        record.base.storeBytes(of: UInt32(row.count), toByteOffset: 4, as: UInt32.self)
        record.base.storeBytes(
            of: UInt64(UInt32(key.count)).littleEndian, toByteOffset: 8, as: UInt64.self)
        if let source = key.baseAddress {
            (record.base + headerBytes).copyMemory(from: source, byteCount: key.count)
        }
        if let source = row.baseAddress {
            (record.base + headerBytes + key.count).copyMemory(
                from: source, byteCount: row.count)
        }
        return record
    }

    /// The contents say where the row is. Once, when the record is made.
    func markWide() { base.storeBytes(of: 1, toByteOffset: 12, as: UInt32.self) }

    /// Overwrites the contents if the record has room for them.
    func replaceInPlace(_ row: UnsafeRawBufferPointer) -> Bool {
        guard row.count <= capacity, let source = row.baseAddress else { return false }
        base.storeBytes(of: UInt32(row.count), toByteOffset: 4, as: UInt32.self)
        (base + Self.headerBytes + keyCount).copyMemory(from: source, byteCount: row.count)
        return true
    }
}

/// One partition of one memtable.
struct PartitionNode {
    let base: UnsafeMutableRawPointer

    @inline(__always)
    init(_ base: UnsafeMutableRawPointer) { self.base = base }

    static let headerBytes = 32

    static func make(token: Int64, key: UnsafeRawBufferPointer, in arena: Arena) -> PartitionNode {
        let node = PartitionNode(arena.allocate(headerBytes + key.count))
        let base = node.base
        base.storeBytes(of: token, as: Int64.self)
        base.storeBytes(of: UInt32(key.count), toByteOffset: 8, as: UInt32.self)
        base.storeBytes(of: 0, toByteOffset: 12, as: UInt32.self)
        base.storeBytes(of: 0, toByteOffset: 16, as: UInt.self)
        base.storeBytes(of: 0, toByteOffset: 24, as: UInt.self)
        if let source = key.baseAddress {
            (base + headerBytes).copyMemory(from: source, byteCount: key.count)
        }
        return node
    }

    var token: Int64 { base.load(as: Int64.self) }
    var key: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(
            start: base + Self.headerBytes,
            count: Int(base.load(fromByteOffset: 8, as: UInt32.self)))
    }

    var rowCount: Int {
        get { Int(base.load(fromByteOffset: 12, as: UInt32.self)) }
        nonmutating set { base.storeBytes(of: UInt32(newValue), toByteOffset: 12, as: UInt32.self) }
    }

    /// The single record, or the root of the tree; nil without rows.
    var rows: UnsafeMutableRawPointer? {
        get { UnsafeMutableRawPointer(bitPattern: base.load(fromByteOffset: 16, as: UInt.self)) }
        nonmutating set {
            base.storeBytes(of: UInt(bitPattern: newValue), toByteOffset: 16, as: UInt.self)
        }
    }

    // MARK: What lies around the rows

    /// No deletions and no static row: the rows are all there is.
    @inline(__always)
    var isPlain: Bool { extras == nil }

    private var extras: UnsafeMutableRawPointer? {
        @inline(__always) get {
            UnsafeMutableRawPointer(bitPattern: base.load(fromByteOffset: 24, as: UInt.self))
        }
    }

    private static let extrasBytes = 24

    private func makeExtras(in arena: Arena) -> UnsafeMutableRawPointer {
        if let extras { return extras }
        let made = arena.allocate(Self.extrasBytes)
        made.storeBytes(of: noTimestamp, as: Int64.self)
        made.storeBytes(of: 0, toByteOffset: 8, as: UInt64.self)
        made.storeBytes(of: 0, toByteOffset: 16, as: UInt.self)
        base.storeBytes(of: UInt(bitPattern: made), toByteOffset: 24, as: UInt.self)
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
