// Cells, liveness and deletions: the atoms of a row, and the one rule by which two versions merge.
//
// The merge rule (what every node must decide alike, without looking at a clock):
//   1. the later write timestamp wins;
//   2. at a tie a tombstone beats an expiring cell, which beats a plain one;
//   3. then the later local deletion time (or expiry) wins;
//   4. then the larger value, compared as unsigned bytes, and at last the longer time to live.
// Counters merge shard by shard instead (CounterShards.swift), and the tombstone of a counter is final:
// it beats every count, also a later one, and no other deletion takes it away.
// It is commutative, associative and idempotent; `CellMergePropertyTests` says so.

internal import Encoding

/// "No timestamp": older than every write.
package let noTimestamp = Int64.min

/// A deletion of a partition, row, range or collection: it shadows what is not newer.
package struct Deletion: Hashable, Sendable, BitwiseCopyable {
    /// Microseconds since 1970; shadows everything with this timestamp or an older one.
    package var timestamp: Int64
    /// Seconds since 1970 on the coordinator's clock; from when on gc grace is counted.
    package var localDeletionTime: UInt32

    @inlinable
    package init(timestamp: Int64, localDeletionTime: UInt32) {
        self.timestamp = timestamp
        self.localDeletionTime = localDeletionTime
    }

    /// Shadows nothing.
    package static let none = Deletion(timestamp: noTimestamp, localDeletionTime: 0)

    @inlinable package var isNone: Bool { timestamp == noTimestamp }

    /// The stronger of two deletions.
    @inlinable
    package func merged(with other: Deletion) -> Deletion {
        if timestamp != other.timestamp { return timestamp > other.timestamp ? self : other }
        return localDeletionTime >= other.localDeletionTime ? self : other
    }

    /// Whether something written at `timestamp` is gone by this deletion.
    @inlinable
    package func shadows(_ timestamp: Int64) -> Bool { timestamp <= self.timestamp && !isNone }
}

/// The row marker that an INSERT leaves: the row exists even if all its cells are null.
package struct Liveness: Hashable, Sendable, BitwiseCopyable {
    package var timestamp: Int64
    /// Seconds; 0 when the marker does not expire.
    package var timeToLive: UInt32
    /// Seconds since 1970; meaningless when the marker does not expire.
    package var expiresAt: UInt32

    @inlinable
    package init(timestamp: Int64, timeToLive: UInt32 = 0, expiresAt: UInt32 = 0) {
        self.timestamp = timestamp
        self.timeToLive = timeToLive
        self.expiresAt = expiresAt
    }

    /// No marker.
    package static let none = Liveness(timestamp: noTimestamp)

    @inlinable package var isNone: Bool { timestamp == noTimestamp }
    @inlinable package var isExpiring: Bool { timeToLive != 0 }

    @inlinable
    package func isLive(nowInSeconds: Int64) -> Bool {
        !isNone && (!isExpiring || Int64(expiresAt) > nowInSeconds)
    }

    /// The winner of two markers.
    @inlinable
    package func merged(with other: Liveness) -> Liveness {
        if timestamp != other.timestamp { return timestamp > other.timestamp ? self : other }
        if isExpiring != other.isExpiring { return isExpiring ? self : other }
        if expiresAt != other.expiresAt { return expiresAt > other.expiresAt ? self : other }
        return timeToLive >= other.timeToLive ? self : other
    }
}

/// One cell as it lies in a row's bytes: a view, valid while those bytes are.
package struct Cell {
    /// How the cell's bytes are to be read (docs/formats/row.md).
    package struct Flags: OptionSet, Sendable {
        package let rawValue: UInt8
        @inlinable package init(rawValue: UInt8) { self.rawValue = rawValue }
        /// Deleted: no value; `localDeletionTime` says when.
        @inlinable package static var tombstone: Flags { Flags(rawValue: 0x01) }
        /// Dies by itself at `localDeletionTime`.
        @inlinable package static var expiring: Flags { Flags(rawValue: 0x02) }
        /// One element of a collection or one field of a user-defined type.
        @inlinable package static var hasPath: Flags { Flags(rawValue: 0x04) }
        /// Not a cell but the deletion of the whole collection, before its elements.
        @inlinable package static var complexDeletion: Flags { Flags(rawValue: 0x08) }
        /// The value is a counter's shards.
        @inlinable package static var counter: Flags { Flags(rawValue: 0x10) }
        /// Its timestamp is the row's: not written again.
        @inlinable package static var sameTimestamp: Flags { Flags(rawValue: 0x20) }
        // Several at once are written as numbers: a literal of more than one flag is put together by the
        // library's unspecialised code, at a hundred nanoseconds.
        /// What has a local deletion time: a deletion of either kind, or what expires.
        @inlinable package static var dated: Flags { Flags(rawValue: 0x0B) }
        /// Deletions of either kind, which have no value.
        @inlinable package static var deletions: Flags { Flags(rawValue: 0x09) }
        /// The deletion of a counter.
        @inlinable package static var counterTombstone: Flags { Flags(rawValue: 0x11) }
        /// All that are defined; others are malformed.
        @inlinable package static var known: Flags { Flags(rawValue: 0x3F) }
    }

    package var column: UInt32
    package var flags: Flags
    package var timestamp: Int64
    /// Seconds since 1970: when it was deleted, or when it expires; 0 for a plain cell.
    package var localDeletionTime: UInt32
    /// Seconds; 0 for a cell that does not expire.
    package var timeToLive: UInt32
    /// Empty without `.hasPath`. Ordered as bytes.
    package var path: UnsafeRawBufferPointer
    /// Empty for a tombstone.
    package var value: UnsafeRawBufferPointer

    @inlinable
    package init(
        column: UInt32, flags: Flags, timestamp: Int64, localDeletionTime: UInt32 = 0,
        timeToLive: UInt32 = 0,
        path: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0),
        value: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0)
    ) {
        self.column = column
        self.flags = flags
        self.timestamp = timestamp
        self.localDeletionTime = localDeletionTime
        self.timeToLive = timeToLive
        self.path = path
        self.value = value
    }

    @inlinable package var isTombstone: Bool { flags.contains(.tombstone) }
    @inlinable package var isComplexDeletion: Bool { flags.contains(.complexDeletion) }
    @inlinable package var isExpiring: Bool { flags.contains(.expiring) }
    /// A count, to be merged by shards.
    @inlinable package var isCount: Bool { flags.intersection(.counterTombstone) == .counter }
    /// The deletion of a counter, which is final.
    @inlinable package var isCounterTombstone: Bool {
        flags.isSuperset(of: .counterTombstone)
    }

    /// Whether a reader at that second sees its value.
    @inlinable
    package func isLive(nowInSeconds: Int64) -> Bool {
        if isTombstone || isComplexDeletion { return false }
        return !isExpiring || Int64(localDeletionTime) > nowInSeconds
    }

    /// Whether this version of a cell beats `other` of the same column and path (rules 1 to 4). Not for
    /// two counts, which merge.
    package func wins(over other: Cell) -> Bool {
        if flags.union(other.flags).contains(.counter), isTombstone != other.isTombstone {
            return isTombstone
        }
        if timestamp != other.timestamp { return timestamp > other.timestamp }
        if isTombstone != other.isTombstone { return isTombstone }
        if isExpiring != other.isExpiring { return isExpiring }
        if localDeletionTime != other.localDeletionTime {
            return localDeletionTime > other.localDeletionTime
        }
        let order = compareBytes(value, other.value)
        if order != 0 { return order > 0 }
        return timeToLive >= other.timeToLive
    }

    /// Order inside a row: by column, the collection's deletion first, then by path.
    package func position(comparedTo other: Cell) -> Int {
        if column != other.column { return column < other.column ? -1 : 1 }
        if isComplexDeletion != other.isComplexDeletion { return isComplexDeletion ? -1 : 1 }
        if path.count == 0 && other.path.count == 0 { return 0 }
        return compareBytes(path, other.path)
    }
}
