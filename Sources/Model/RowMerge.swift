// Merging two versions of one row, cell by cell, by the merge rule of `Cell.swift`.
//
// What comes out is canonical: which bytes stand there depends on the surviving contents alone, not on
// the order of merging, so that replicas that hold the same row compute the same digest. Therefore the
// base timestamp is the row marker's, else the row deletion's, else the first surviving cell's, and of
// two original keys the larger stays.

package import Encoding

/// Merges rows of the same key.
package enum RowMerge {
    /// Writes the row that holds what both hold, less what `shadow` (a deletion of the partition or of
    /// a range around the row), either row's deletion or a collection's deletion covers.
    /// Returns false, with nothing written, if nothing is left.
    package static func merge(
        _ a: RowView, _ b: RowView, shadow: Deletion = .none, into writer: ByteWriter
    ) throws(MalformedBytes) -> Bool {
        var assembler = RowAssembler(
            liveness: a.liveness.merged(with: b.liveness),
            deletion: a.deletion.merged(with: b.deletion), shadow: shadow,
            originalKey: compareBytes(a.originalKey, b.originalKey) >= 0
                ? a.originalKey : b.originalKey,
            writer: writer)
        var left = a.cells
        var right = b.cells
        var leftCell = try left.next()
        var rightCell = try right.next()
        while true {
            if let l = leftCell, let r = rightCell {
                let order = l.position(comparedTo: r)
                if order < 0 {
                    try assembler.append(l)
                    leftCell = try left.next()
                } else if order > 0 {
                    try assembler.append(r)
                    rightCell = try right.next()
                } else {
                    if l.isCount, r.isCount {
                        try assembler.append(l, merging: r)
                    } else {
                        try assembler.append(l.wins(over: r) ? l : r)
                    }
                    leftCell = try left.next()
                    rightCell = try right.next()
                }
            } else if let l = leftCell {
                try assembler.append(l)
                leftCell = try left.next()
            } else if let r = rightCell {
                try assembler.append(r)
                rightCell = try right.next()
            } else {
                return assembler.finish()
            }
        }
    }

    /// The newest of several versions of a row where it alone is what they merge to: each was written at one
    /// moment and sets the same plain columns, as when a row is put again. Nil where it takes `merge` to know,
    /// also if two are of the same moment. Nothing is copied.
    package static func newestAlike(
        _ versions: [UnsafeRawBufferPointer]
    ) throws(MalformedBytes) -> UnsafeRawBufferPointer? {
        guard var newest = versions.first else { return nil }
        for index in 1..<versions.count {
            guard let isNewer = try isNewer(versions[index], than: newest) else { return nil }
            if isNewer { newest = versions[index] }
        }
        return newest
    }

    /// Whether `a` replaces `b` (true) or `b` replaces `a`; nil if neither is plain to see.
    package static func isNewer(
        _ a: UnsafeRawBufferPointer, than b: UnsafeRawBufferPointer
    ) throws(MalformedBytes) -> Bool? {
        var left = ByteReader(a)
        var right = ByteReader(b)
        let flags = try left.readUInt8()
        guard flags & ~RowFlags.hasLiveness.rawValue == 0, try right.readUInt8() == flags else {
            return nil
        }
        let newer: Int64 = try left.readLittleEndian()
        let older: Int64 = try right.readLittleEndian()
        if newer == older || left.isAtEnd { return nil }
        while !left.isAtEnd, !right.isAtEnd {
            guard try left.readVarint() == right.readVarint(),
                try left.readUInt8() == Cell.Flags.sameTimestamp.rawValue,
                try right.readUInt8() == Cell.Flags.sameTimestamp.rawValue
            else { return nil }
            _ = try left.readLengthPrefixed()
            _ = try right.readLengthPrefixed()
        }
        return left.isAtEnd && right.isAtEnd ? newer > older : nil
    }

    /// Writes the row less what `shadow` and its own deletions cover.
    /// Returns false, with nothing written, if nothing is left.
    package static func filter(
        _ row: RowView, shadow: Deletion, into writer: ByteWriter
    ) throws(MalformedBytes) -> Bool {
        var assembler = RowAssembler(
            liveness: row.liveness, deletion: row.deletion, shadow: shadow,
            originalKey: row.originalKey, writer: writer)
        var cursor = row.cells
        while let cell = try cursor.next() { try assembler.append(cell) }
        return assembler.finish()
    }

    /// Writes the row less those elements of a collection that `deletion` covers, which may itself lie
    /// elsewhere. Returns false, with nothing written, if nothing is left.
    package static func filter(
        _ row: RowView, collection column: UInt32, deletion: Deletion, into writer: ByteWriter
    ) throws(MalformedBytes) -> Bool {
        var assembler = RowAssembler(
            liveness: row.liveness, deletion: row.deletion, shadow: .none,
            originalKey: row.originalKey, writer: writer)
        assembler.enter(column, deletion: deletion)
        var cursor = row.cells
        while let cell = try cursor.next() { try assembler.append(cell) }
        return assembler.finish()
    }
}

/// Puts a row together from its head and from stretches of its cells, which come in order: the same bytes
/// as if it had always been one.
package struct RowJoin {
    private var assembler: RowAssembler

    package init(
        liveness: Liveness, deletion: Deletion, originalKey: UnsafeRawBufferPointer,
        into writer: ByteWriter
    ) {
        assembler = RowAssembler(
            liveness: liveness, deletion: deletion, shadow: .none, originalKey: originalKey,
            writer: writer)
    }

    /// Appends the cells of `piece`; its own head does not count.
    package mutating func append(_ piece: RowView) throws(MalformedBytes) {
        var cursor = piece.cells
        while let cell = try cursor.next() { try assembler.append(cell) }
    }

    /// Whether anything is left of the row; else nothing was written.
    package func finish() -> Bool { assembler.finish() }
}

/// Writes the surviving parts of a row: cells come in order, the header before the first of them.
struct RowAssembler {
    private let liveness: Liveness
    private let deletion: Deletion
    /// What covers cells: the row's deletion and the shadow together.
    private var covering: Deletion
    private let originalKey: UnsafeRawBufferPointer
    private let writer: ByteWriter
    private var rowWriter = RowWriter()
    private var hasBegun = false
    private var complexColumn: UInt32?
    private var complexDeletion = Deletion.none

    init(
        liveness: Liveness, deletion: Deletion, shadow: Deletion,
        originalKey: UnsafeRawBufferPointer, writer: ByteWriter
    ) {
        let covering = deletion.merged(with: shadow)
        self.covering = covering
        // A row deletion that the shadow covers says nothing any more.
        self.deletion = shadow.shadows(deletion.timestamp) ? .none : deletion
        self.liveness = covering.shadows(liveness.timestamp) ? .none : liveness
        self.originalKey = originalKey
        self.writer = writer
        if !self.liveness.isNone || !self.deletion.isNone {
            begin(baseTimestamp: self.deletion.timestamp)
        }
    }

    /// A deletion that covers cells too and is not the row's: what it covers of the head is gone already.
    mutating func cover(_ deletion: Deletion) { covering = covering.merged(with: deletion) }

    /// The deletion of a collection whose elements come, where it is not among them.
    mutating func enter(_ column: UInt32, deletion: Deletion) {
        complexColumn = column
        complexDeletion = deletion
    }

    private mutating func begin(baseTimestamp: Int64) {
        hasBegun = true
        rowWriter.begin(
            liveness: liveness, deletion: deletion, baseTimestamp: baseTimestamp,
            originalKey: originalKey, into: writer)
    }

    mutating func append(_ cell: Cell) throws(MalformedBytes) {
        if cell.flags.contains(.counter) {
            if cell.isTombstone {
                // Final: not even a later deletion takes it away, or older counts would come back.
                if !hasBegun { begin(baseTimestamp: cell.timestamp) }
                return rowWriter.append(cell, into: writer)
            }
            if !covering.isNone {
                return try append(cell, merging: nil)
            }
        }
        if covering.shadows(cell.timestamp) { return }
        if cell.isComplexDeletion {
            complexColumn = cell.column
            complexDeletion = Deletion(
                timestamp: cell.timestamp, localDeletionTime: cell.localDeletionTime)
        } else if complexColumn == cell.column, complexDeletion.shadows(cell.timestamp) {
            return
        }
        if !hasBegun { begin(baseTimestamp: cell.timestamp) }
        rowWriter.append(cell, into: writer)
    }

    /// Appends what is left of one or two versions of a count.
    mutating func append(_ cell: Cell, merging other: Cell?) throws(MalformedBytes) {
        let shards = CounterMerge(
            try CounterShards(cell.value),
            try CounterShards(other?.value ?? UnsafeRawBufferPointer(start: nil, count: 0)),
            shadow: covering)
        let (count, newest) = shards.measure()
        if count == 0 { return }
        var cell = cell
        cell.timestamp = newest
        if !hasBegun { begin(baseTimestamp: newest) }
        rowWriter.append(cell, shards: shards, count: count, into: writer)
    }

    func finish() -> Bool { hasBegun }
}
