// A partition and its rows as they lie in a memtable's arena.
//
//     node   := token i64 | key length u32 | row count u32 | rows (pointer) | deletion i64, u32
//               | range list u32 | static row (pointer) | key bytes
//     record := capacity u32 | row length u32 | key length u32 | - u32 | key bytes | row bytes
//
// `rows` is null without rows, the record itself for a single row (most tables have no clustering
// columns and must not pay for a tree), else the root of a `RowTree`.

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
    var row: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: base + Self.headerBytes + keyCount, count: rowCount)
    }

    /// A new record with room for `slack` bytes more than the row has.
    static func make(
        key: UnsafeRawBufferPointer, row: UnsafeRawBufferPointer, slack: Int, in arena: Arena
    ) -> RowRecord {
        let record = RowRecord(arena.allocate(headerBytes + key.count + row.count + slack))
        record.base.storeBytes(of: UInt32(row.count + slack), as: UInt32.self)
        record.base.storeBytes(of: UInt32(row.count), toByteOffset: 4, as: UInt32.self)
        record.base.storeBytes(of: UInt32(key.count), toByteOffset: 8, as: UInt32.self)
        if let source = key.baseAddress {
            (record.base + headerBytes).copyMemory(from: source, byteCount: key.count)
        }
        if let source = row.baseAddress {
            (record.base + headerBytes + key.count).copyMemory(
                from: source, byteCount: row.count)
        }
        return record
    }

    /// Overwrites the row if the record has room for it.
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

    static let headerBytes = 48

    static func make(token: Int64, key: UnsafeRawBufferPointer, in arena: Arena) -> PartitionNode {
        let node = PartitionNode(arena.allocate(headerBytes + key.count))
        let base = node.base
        base.storeBytes(of: token, as: Int64.self)
        base.storeBytes(of: UInt32(key.count), toByteOffset: 8, as: UInt32.self)
        base.storeBytes(of: 0, toByteOffset: 12, as: UInt32.self)
        base.storeBytes(of: 0, toByteOffset: 16, as: UInt.self)
        base.storeBytes(of: noTimestamp, toByteOffset: 24, as: Int64.self)
        base.storeBytes(of: 0, toByteOffset: 32, as: UInt64.self)
        base.storeBytes(of: 0, toByteOffset: 40, as: UInt.self)
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

    var deletion: Deletion {
        get {
            Deletion(
                timestamp: base.load(fromByteOffset: 24, as: Int64.self),
                localDeletionTime: base.load(fromByteOffset: 32, as: UInt32.self))
        }
        nonmutating set {
            base.storeBytes(of: newValue.timestamp, toByteOffset: 24, as: Int64.self)
            base.storeBytes(of: newValue.localDeletionTime, toByteOffset: 32, as: UInt32.self)
        }
    }

    /// No deletions and no static row: the rows are all there is.
    @inline(__always)
    var isPlain: Bool {
        base.load(fromByteOffset: 24, as: Int64.self) == noTimestamp
            && base.load(fromByteOffset: 36, as: UInt32.self) == 0
            && base.load(fromByteOffset: 40, as: UInt.self) == 0
    }

    /// The number of the memtable's list of range deletions that is this partition's; 0 for none.
    var rangeList: Int {
        get { Int(base.load(fromByteOffset: 36, as: UInt32.self)) }
        nonmutating set { base.storeBytes(of: UInt32(newValue), toByteOffset: 36, as: UInt32.self) }
    }

    var staticRow: RowRecord? {
        get {
            UnsafeMutableRawPointer(bitPattern: base.load(fromByteOffset: 40, as: UInt.self))
                .map(RowRecord.init)
        }
        nonmutating set {
            base.storeBytes(of: UInt(bitPattern: newValue?.base), toByteOffset: 40, as: UInt.self)
        }
    }
}
